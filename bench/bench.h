/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The comparison suite: what each measurement is given, and how measurements of
 * competitors alternate. docs/performance.md says what is measured and why so.
 *
 * Threads: a suite runs on the main thread, which is pinned to BENCH_CPU_WORLD:
 *          it plays hardware and guest. What is measured runs on threads of its
 *          own on BENCH_CPU_PUMP.
 * Locks:   none.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include "figures.h"
#include "host/host-iommu.h"

#include <glib.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* The first two CPUs that the process may use. */
typedef enum BenchCpu {
    BENCH_CPU_PUMP,
    BENCH_CPU_WORLD,
} BenchCpu;

/**
 * struct Bench - what was asked for
 * @figures: where results go
 * @repetitions: of each measurement, in alternating order
 * @quick: shorter: fewer points, not other ones; still true, but less sharp
 * @kernel: on the kernel's mock driver (/dev/iommu), not on the emulated host
 *          and pipes: what cannot be measured there is left out
 * @only: names of competitors (a GStrv), or NULL for all
 * @known: names that bench_wants() was asked for, a set
 * @handicap: percent, 0 but in the test of the guard: as bench_handicap()
 */
typedef struct Bench {
    Figures *figures;
    unsigned repetitions;
    bool quick;
    bool kernel;
    char **only;
    GHashTable *known;
    unsigned handicap;
} Bench;

/**
 * struct BenchSuite - one of the measurements, a file suite-NAME.c each
 * @what: a line for --help
 * @on_kernel: can be measured on the kernel's mock driver; the others are left
 *             out with --kernel
 */
typedef struct BenchSuite {
    const char *name;
    const char *what;
    bool on_kernel;
    void (*run)(Bench *bench);
} BenchSuite;

extern const BenchSuite suite_throughput;
extern const BenchSuite suite_batch;
extern const BenchSuite suite_latency;
extern const BenchSuite suite_big_lock;
extern const BenchSuite suite_pages;
extern const BenchSuite suite_cost;
extern const BenchSuite suite_scale;
extern const BenchSuite suite_storms;
extern const BenchSuite suite_aio;
extern const BenchSuite suite_startup;

/* Says why on standard error, and ends the program. */
void bench_fail(const char *format, ...) G_GNUC_PRINTF(1, 2) G_GNUC_NORETURN;

/*
 * A step of what is set up: the program ends with *@error if it was not @done.
 * A pointer to it, as @done may be the call that sets it.
 */
static inline void bench_must(bool done, GError **error)
{
    if (!done) {
        bench_fail("%s", (*error)->message);
    }
}

/**
 * bench_host_new() - a host with HardwareOps
 * @kernel: the kernel's mock driver, not the emulated host
 *
 * Return: NULL and @error set: there is no such host here.
 */
HostIommu *bench_host_new(bool kernel, GError **error);

/* Before any thread is pinned. */
bool bench_find_cpus(GError **error);

/* Whether @competitor was asked for. */
bool bench_wants(const Bench *bench, const char *competitor);

/*
 * What suites that are in the test of the guard give to
 * event_source_set_handicap(): vpump alone is slowed down.
 */
unsigned bench_handicap(const Bench *bench, const char *competitor);

typedef void BenchFunc(Bench *bench, size_t competitor, void *opaque);

/**
 * bench_alternate() - call @func for each of @count competitors, as often as
 * there are repetitions: forwards and backwards in turn, so that a machine that
 * becomes slower, or faster, does so for all
 */
void bench_alternate(Bench *bench, size_t count, BenchFunc *func,
                     void *opaque);

/**
 * bench_rounds() - bench_alternate() as often as @rounds says, once if quick
 *
 * For what a stall of the machine would spoil: of many short repetitions it
 * hits a few, and the median does not see it.
 */
void bench_rounds(Bench *bench, unsigned rounds, size_t count, BenchFunc *func,
                  void *opaque);

/* The calling thread stays there, and those that it makes. */
void bench_pin(BenchCpu cpu);

/* It may be on either again. */
void bench_unpin(void);

/* ns, of CLOCK_MONOTONIC. */
static inline int64_t bench_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* In a loop that waits for another CPU. */
static inline void bench_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#endif
