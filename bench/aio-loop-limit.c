/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What no loop that watches fds can beat: epoll_wait() and a call per ready fd;
 * bottom halves in a ring with one producer, and a write to an eventfd if the
 * loop sleeps. It can do nothing else: no second producer, no removal.
 */
#include "aio-loop.h"

#include <stdatomic.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    LIMIT_RING = 256,
    LIMIT_EVENTS = 128,
};

typedef struct LimitLoop LimitLoop;

typedef struct LimitBH {
    LimitLoop *loop;
    AioLoopFunc *func;
    void *opaque;
} LimitBH;

/*
 * The loop sets @asleep, then looks at @head; the producer moves @head, then
 * looks at @asleep: sequentially consistent, so one of them sees the other.
 */
struct LimitLoop {
    int epoll_fd;
    int notify_fd;
    GPtrArray *bhs;
    bool running;
    unsigned tail;              /* the loop's */
    LimitBH *ring[LIMIT_RING];
    _Alignas(64) atomic_uint head;
    _Alignas(64) atomic_bool asleep;
};

static LimitLoop *limit_loop(AioLoop *loop)
{
    return (LimitLoop *)loop;
}

static void limit_add(LimitLoop *loop, int fd, uint32_t events, void *handler)
{
    struct epoll_event event = { .events = events, .data.ptr = handler };
    int ret = epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event);

    g_assert(ret == 0);
}

static AioLoop *limit_open(void)
{
    LimitLoop *loop = g_aligned_alloc0(1, sizeof(*loop), _Alignof(LimitLoop));

    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->notify_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    g_assert(loop->epoll_fd >= 0 && loop->notify_fd >= 0);
    loop->bhs = g_ptr_array_new_with_free_func(g_free);
    loop->running = true;
    limit_add(loop, loop->notify_fd, EPOLLIN | EPOLLET, NULL);
    return (AioLoop *)loop;
}

static void limit_close(AioLoop *base)
{
    LimitLoop *loop = limit_loop(base);

    close(loop->notify_fd);
    close(loop->epoll_fd);
    g_ptr_array_free(loop->bhs, TRUE);
    g_aligned_free(loop);
}

static void limit_run_bhs(LimitLoop *loop)
{
    unsigned head = atomic_load_explicit(&loop->head, memory_order_acquire);

    while (loop->tail != head) {
        LimitBH *bh = loop->ring[loop->tail++ % LIMIT_RING];

        bh->func(bh->opaque);
    }
}

/* Return: whether a handler was called. */
static bool limit_epoll(LimitLoop *loop, int timeout)
{
    struct epoll_event events[LIMIT_EVENTS];
    int count = epoll_wait(loop->epoll_fd, events, LIMIT_EVENTS, timeout);
    bool called = false;

    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr) {
            aio_loop_handle(events[i].data.ptr);
            called = true;
        }
    }
    return called;
}

/* It may sleep. Return: whether a handler was called. */
static bool limit_sleep(LimitLoop *loop)
{
    bool called = false;

    atomic_store(&loop->asleep, true);
    if (atomic_load(&loop->head) == loop->tail) {
        called = limit_epoll(loop, -1);
    }
    atomic_store_explicit(&loop->asleep, false, memory_order_relaxed);
    return called;
}

/*
 * Whoever had something to do twice in a row will have again: it does not say
 * that it sleeps, or each turn would cost the producer a write.
 */
static void limit_run(AioLoop *base)
{
    LimitLoop *loop = limit_loop(base);
    unsigned row = 0;

    while (loop->running) {
        bool called = row < 2 ? limit_sleep(loop) : limit_epoll(loop, 0);

        row = called ? row + 1 : 0;
        limit_run_bhs(loop);
    }
}

static void limit_quit(AioLoop *loop)
{
    limit_loop(loop)->running = false;
}

static void limit_turn(AioLoop *loop)
{
    limit_epoll(limit_loop(loop), 0);
}

static void limit_watch(AioLoop *loop, AioLoopHandler *handler)
{
    limit_add(limit_loop(loop), handler->fd, EPOLLIN, handler);
}

static AioLoopBH *limit_bh_new(AioLoop *base, AioLoopFunc *func, void *opaque)
{
    LimitLoop *loop = limit_loop(base);
    LimitBH *bh = g_new(LimitBH, 1);

    *bh = (LimitBH){ .loop = loop, .func = func, .opaque = opaque };
    g_ptr_array_add(loop->bhs, bh);
    return (AioLoopBH *)bh;
}

/* Context: fewer than LIMIT_RING are under way. */
static void limit_bh_schedule(AioLoopBH *base)
{
    LimitBH *bh = (LimitBH *)base;
    LimitLoop *loop = bh->loop;
    unsigned head = atomic_load_explicit(&loop->head, memory_order_relaxed);
    const uint64_t one = 1;

    loop->ring[head % LIMIT_RING] = bh;
    atomic_store(&loop->head, head + 1);
    if (atomic_load(&loop->asleep) && atomic_exchange(&loop->asleep, false)) {
        ssize_t ret = write(loop->notify_fd, &one, sizeof(one));

        g_assert(ret == sizeof(one));
    }
}

const AioLoopOps aio_loop_limit = {
    .name = "limit",
    .open = limit_open,
    .close = limit_close,
    .run = limit_run,
    .quit = limit_quit,
    .turn = limit_turn,
    .watch = limit_watch,
    .bh_new = limit_bh_new,
    .bh_schedule = limit_bh_schedule,
};
