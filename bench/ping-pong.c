/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ping-pong.h"

#include "base/thread.h"
#include "bench.h"

#include <semaphore.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <urcu/arch.h>
#include <urcu/compiler.h>

/* The last ping. */
#define STOP UINT64_MAX

struct PingPong {
    bool spin;                  /* [const] */
    int fd;                     /* [const] */
    pthread_t thread;
    sem_t ready;
    uint64_t last;
    _Atomic uint64_t ping __attribute__((aligned(CAA_CACHE_LINE_SIZE)));
    _Atomic uint64_t pong __attribute__((aligned(CAA_CACHE_LINE_SIZE)));
    int64_t pong_ns;            /* published by pong */
};

/* Return: another ping than @last. */
static uint64_t await_ping(PingPong *pair, uint64_t last)
{
    uint64_t count;
    uint64_t ping;

    if (!pair->spin) {
        ssize_t ret = read(pair->fd, &count, sizeof(count));

        g_assert(ret == sizeof(count));
    }
    /* Acquire, as release on the other side: what a message would have. */
    while ((ping = atomic_load_explicit(&pair->ping,
                                        memory_order_acquire)) == last) {
        bench_relax();
    }
    return ping;
}

static void *pong_thread(void *opaque)
{
    PingPong *pair = opaque;
    uint64_t ping = 0;

    bench_pin(BENCH_CPU_PUMP);
    sem_post(&pair->ready);
    while ((ping = await_ping(pair, ping)) != STOP) {
        pair->pong_ns = bench_now_ns();
        atomic_store_explicit(&pair->pong, ping, memory_order_release);
    }
    return NULL;
}

static void send_ping(PingPong *pair, uint64_t ping)
{
    const uint64_t one = 1;

    atomic_store_explicit(&pair->ping, ping, memory_order_release);
    if (!pair->spin) {
        ssize_t ret = write(pair->fd, &one, sizeof(one));

        g_assert(ret == sizeof(one));
    }
}

static void exchange(PingPong *pair)
{
    send_ping(pair, ++pair->last);
    while (atomic_load_explicit(&pair->pong, memory_order_acquire) !=
           pair->last) {
        bench_relax();
    }
}

void ping_pong_trips(PingPong *pair, uint64_t count, int64_t pause_ns,
                     Histogram *histogram)
{
    int64_t due_ns = bench_now_ns();

    for (uint64_t i = 0; i < count; i++) {
        while (bench_now_ns() < due_ns) {
            bench_relax();
        }
        exchange(pair);
        exchange(pair);
        if (histogram) {
            histogram_record(histogram, pair->pong_ns - due_ns);
        }
        due_ns = bench_now_ns() + pause_ns;
    }
}

PingPong *ping_pong_new(bool spin)
{
    PingPong *pair = g_aligned_alloc0(1, sizeof(*pair), CAA_CACHE_LINE_SIZE);
    int ret;

    pair->spin = spin;
    pair->fd = eventfd(0, EFD_CLOEXEC);
    g_assert(pair->fd >= 0);
    sem_init(&pair->ready, 0, 0);
    ret = thread_create(&pair->thread, pong_thread, pair);
    g_assert(ret == 0);
    while (sem_wait(&pair->ready) < 0) {
        continue;
    }
    return pair;
}

void ping_pong_free(PingPong *pair)
{
    send_ping(pair, STOP);
    pthread_join(pair->thread, NULL);
    sem_destroy(&pair->ready);
    close(pair->fd);
    g_aligned_free(pair);
}
