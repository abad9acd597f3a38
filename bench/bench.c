/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bench.h"

#include "host/emul.h"
#include "host/mock.h"

#include <errno.h>
#include <glib.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* By BenchCpu. */
static int cpus[2];

void bench_fail(const char *format, ...)
{
    va_list args;

    fprintf(stderr, "%s: error: ", g_get_prgname());
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    putc('\n', stderr);
    exit(EXIT_FAILURE);
}

HostIommu *bench_host_new(bool kernel, GError **error)
{
    HostIommu *inner;
    HostIommu *host;

    if (!kernel) {
        return emul_new(error);
    }
    inner = host_syscalls_new(NULL, error);
    host = inner ? mock_host_new(inner, error) : NULL;
    if (inner && !host) {
        host_iommu_free(inner);
    }
    return host;
}

bool bench_find_cpus(GError **error)
{
    cpu_set_t allowed;
    size_t found = 0;

    if (sched_getaffinity(0, sizeof(allowed), &allowed)) {
        int err = errno;

        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(err),
                    "the CPUs of this process: %s", g_strerror(err));
        return false;
    }
    for (int cpu = 0; cpu < CPU_SETSIZE && found < G_N_ELEMENTS(cpus); cpu++) {
        if (CPU_ISSET(cpu, &allowed)) {
            cpus[found++] = cpu;
        }
    }
    if (found < G_N_ELEMENTS(cpus)) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
                    "two CPUs are needed, and this process may use %zu only; "
                    "see taskset --cpu-list --pid %d", found, (int)getpid());
        return false;
    }
    return true;
}

static void set_affinity(const cpu_set_t *set)
{
    if (sched_setaffinity(0, sizeof(*set), set)) {
        bench_fail("a thread cannot stay on CPU %d or %d: %s", cpus[0],
                   cpus[1], g_strerror(errno));
    }
}

void bench_pin(BenchCpu cpu)
{
    cpu_set_t one;

    CPU_ZERO(&one);
    CPU_SET(cpus[cpu], &one);
    set_affinity(&one);
}

void bench_unpin(void)
{
    cpu_set_t both;

    CPU_ZERO(&both);
    CPU_SET(cpus[0], &both);
    CPU_SET(cpus[1], &both);
    set_affinity(&both);
}

bool bench_wants(const Bench *bench, const char *competitor)
{
    g_hash_table_add(bench->known, g_strdup(competitor));
    return !bench->only ||
           g_strv_contains((const char *const *)bench->only, competitor);
}

unsigned bench_handicap(const Bench *bench, const char *competitor)
{
    return g_str_has_prefix(competitor, FIGURES_OURS) ? bench->handicap : 0;
}

void bench_alternate(Bench *bench, size_t count, BenchFunc *func,
                     void *opaque)
{
    for (unsigned repetition = 0; repetition < bench->repetitions;
         repetition++) {
        for (size_t i = 0; i < count; i++) {
            func(bench, repetition % 2 ? count - 1 - i : i, opaque);
        }
    }
}

void bench_rounds(Bench *bench, unsigned rounds, size_t count, BenchFunc *func,
                  void *opaque)
{
    for (unsigned i = 0; i < (bench->quick ? 1 : rounds); i++) {
        bench_alternate(bench, count, func, opaque);
    }
}
