/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fd handlers of an AioContext over one epoll instance.
 *
 * A handler leaves epoll in the very call that removes it, so the kernel holds
 * no reference to the file when the caller closes it, and no event of a later
 * epoll_wait() can lead to it. Events already fetched are in
 * AioHandler::ready, which removal clears. What is left is the memory: a
 * dispatch under way may be inside one of the callbacks, so the outermost one
 * frees it.
 *
 * Replacing keeps the AioHandler and its place in epoll, but forgets what was
 * ready for the old callbacks: epoll is level-triggered and will tell again.
 */
#include "iothread/aio-internal.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/error.h"

enum { EVENTS_PER_WAIT = 128 };

static uint32_t handler_events(const AioHandler *handler)
{
    if (handler->paused) {
        return 0;               /* errors and hang-ups come none the less */
    }
    return (handler->io_read ? EPOLLIN : 0) |
           (handler->io_write ? EPOLLOUT : 0);
}

/* Whoever is there is told of errors and hang-ups, or the loop would spin. */
static unsigned ready_from_events(const AioHandler *handler, uint32_t events)
{
    const uint32_t trouble = EPOLLERR | EPOLLHUP;
    unsigned ready = 0;

    if (handler->io_read && (events & (EPOLLIN | trouble))) {
        ready |= AIO_READY_READ;
    }
    if (handler->io_write && (events & (EPOLLOUT | trouble))) {
        ready |= AIO_READY_WRITE;
    }
    return ready;
}

/* Deadlines are in ns: epoll_wait() alone would make them late by up to 1 ms */
static int monitor_wait(AioFdMonitor *monitor, struct epoll_event *events,
                        int64_t timeout_ns)
{
    struct timespec timeout = {
        .tv_sec = timeout_ns / 1000000000,
        .tv_nsec = timeout_ns % 1000000000,
    };
    int count;

    if (timeout_ns > 0 && !monitor->no_pwait2) {
        count = epoll_pwait2(monitor->epoll_fd, events, EVENTS_PER_WAIT,
                             &timeout, NULL);
        /* EPERM: how old system call filters say ENOSYS. */
        if (count >= 0 || (errno != ENOSYS && errno != EPERM)) {
            return count;
        }
        monitor->no_pwait2 = true;
    }
    return epoll_wait(monitor->epoll_fd, events, EVENTS_PER_WAIT,
                      aio_timeout_ms(timeout_ns));
}

void aio_fd_mark_ready(AioContext *ctx, AioHandler *handler, unsigned ready)
{
    handler->ready |= ready;
    if (cds_list_empty(&handler->ready_node)) {
        cds_list_add_tail(&handler->ready_node, &ctx->fd.ready);
    }
}

void aio_fd_collect(AioContext *ctx, int64_t timeout_ns)
{
    struct epoll_event events[EVENTS_PER_WAIT];
    int count = monitor_wait(&ctx->fd, events, timeout_ns);

    g_assert(count >= 0 || errno == EINTR);
    for (int i = 0; i < count; i++) {
        AioHandler *handler = events[i].data.ptr;

        if (handler) {          /* else the notifier: to wake was all */
            aio_fd_mark_ready(ctx, handler,
                              ready_from_events(handler, events[i].events));
        }
    }
}

static bool ready_take(AioHandler *handler, unsigned bit)
{
    bool taken = handler->ready & bit;

    handler->ready &= ~bit;
    return taken;
}

/* Each callback may clear what is ready for the ones after it. */
static bool handler_dispatch(AioContext *ctx, AioHandler *handler)
{
    bool ran = false;

    if (!handler->paused) {
        aio_poll_join(ctx, handler);
    }
    if (handler->ready & AIO_READY_READ) {
        ready_take(handler, AIO_READY_POLL);    /* the same news */
    }
    if (ready_take(handler, AIO_READY_POLL)) {
        handler->in_poll_ready = true;
        handler->io_poll_ready(handler->opaque);
        handler->in_poll_ready = false;
        ran = true;
    }
    if (ready_take(handler, AIO_READY_READ)) {
        handler->io_read(handler->opaque);
        ran = true;
    }
    if (ready_take(handler, AIO_READY_WRITE)) {
        handler->io_write(handler->opaque);
        ran = true;
    }
    return ran;
}

/* Once popped, a nested turn meets the handler only if epoll finds it anew. */
static AioHandler *handlers_pop(struct cds_list_head *list)
{
    AioHandler *handler;

    if (cds_list_empty(list)) {
        return NULL;
    }
    handler = cds_list_first_entry(list, AioHandler, ready_node);
    cds_list_del_init(&handler->ready_node);
    return handler;
}

bool aio_fd_dispatch(AioContext *ctx, int64_t block_ns)
{
    AioFdMonitor *monitor = &ctx->fd;
    bool progress = false;
    AioHandler *handler;

    /* No handler is freed meanwhile: it outlives its callbacks, and learns. */
    monitor->depth++;
    while ((handler = handlers_pop(&monitor->ready))) {
        progress |= handler_dispatch(ctx, handler);
        aio_poll_learn(ctx, handler, block_ns);
    }
    if (--monitor->depth == 0) {
        while ((handler = handlers_pop(&monitor->removed))) {
            g_free(handler);
        }
    }
    return progress;
}

/* Nothing that was found before is called any more. */
static void handler_forget_ready(AioContext *ctx, AioHandler *handler)
{
    handler->ready = 0;
    cds_list_del_init(&handler->ready_node);
    aio_poll_leave(ctx, handler);
}

/* A paused handler counts as paused, and as nothing else. */
static void handler_set_paused(AioContext *ctx, AioHandler *handler,
                               bool paused)
{
    if (handler->paused == paused) {
        return;
    }
    handler->paused = paused;
    if (paused) {
        ctx->fd.paused++;
        ctx->poll.without_io_poll -= !handler->io_poll;
    } else {
        ctx->fd.paused--;
        ctx->poll.without_io_poll += !handler->io_poll;
    }
}

/* Undo handler_set(): no callback begins any more. */
static void handler_unset(AioContext *ctx, AioHandler *handler)
{
    handler_forget_ready(ctx, handler);
    handler_set_paused(ctx, handler, false);
    ctx->poll.without_io_poll -= !handler->io_poll;
}

/* @callbacks: an AioHandler of which only the callbacks and opaque count. */
static void handler_set(AioContext *ctx, AioHandler *handler,
                        const AioHandler *callbacks)
{
    handler->io_read = callbacks->io_read;
    handler->io_write = callbacks->io_write;
    handler->io_poll = callbacks->io_poll;
    handler->io_poll_ready = callbacks->io_poll_ready;
    handler->opaque = callbacks->opaque;
    ctx->poll.without_io_poll += !handler->io_poll;
}

static struct cds_hlist_head *handlers_bucket(AioContext *ctx, int fd)
{
    return &ctx->fd.handlers[(unsigned)fd % AIO_FD_BUCKETS];
}

AioHandler *aio_fd_find(AioContext *ctx, int fd)
{
    AioHandler *handler;

    cds_hlist_for_each_entry_2(handler, handlers_bucket(ctx, fd), fd_node) {
        if (handler->fd == fd) {
            return handler;
        }
    }
    return NULL;
}

static int handler_add(AioContext *ctx, const AioHandler *callbacks)
{
    AioHandler *handler = g_try_new0(AioHandler, 1);
    struct epoll_event event = {
        .events = handler_events(callbacks),
        .data.ptr = handler,
    };

    if (!handler) {
        return -ENOMEM;
    }
    if (epoll_ctl(ctx->fd.epoll_fd, EPOLL_CTL_ADD, callbacks->fd, &event)) {
        int err = errno;

        g_free(handler);
        return -err;
    }
    handler->fd = callbacks->fd;
    CDS_INIT_LIST_HEAD(&handler->ready_node);
    CDS_INIT_LIST_HEAD(&handler->poll_node);
    handler_set(ctx, handler, callbacks);
    cds_hlist_add_head(&handler->fd_node, handlers_bucket(ctx, handler->fd));
    ctx->fd.count++;
    return 0;
}

/* No system call if the same events are wanted: cheap to pause one side. */
static int handler_replace(AioContext *ctx, AioHandler *handler,
                           const AioHandler *callbacks)
{
    struct epoll_event event = {
        .events = handler_events(callbacks),
        .data.ptr = handler,
    };

    if (event.events != handler_events(handler) &&
        epoll_ctl(ctx->fd.epoll_fd, EPOLL_CTL_MOD, handler->fd, &event)) {
        return -errno;
    }
    handler_unset(ctx, handler);
    handler_set(ctx, handler, callbacks);
    return 0;
}

static void handler_remove(AioContext *ctx, AioHandler *handler)
{
    AioFdMonitor *monitor = &ctx->fd;
    int ret = epoll_ctl(monitor->epoll_fd, EPOLL_CTL_DEL, handler->fd, NULL);

    /* Else the fd was closed before, and epoll may still know @handler. */
    g_assert(ret == 0);
    handler_unset(ctx, handler);
    cds_hlist_del(&handler->fd_node);
    monitor->count--;
    if (monitor->depth > 0) {
        cds_list_add_tail(&handler->ready_node, &monitor->removed);
    } else {
        g_free(handler);
    }
}

int aio_set_fd_handler(AioContext *ctx, int fd, IOHandler *io_read,
                       IOHandler *io_write, AioPollFn *io_poll,
                       IOHandler *io_poll_ready, void *opaque)
{
    const AioHandler callbacks = {
        .fd = fd,
        .io_read = io_read,
        .io_write = io_write,
        .io_poll = io_poll_ready ? io_poll : NULL,
        .io_poll_ready = io_poll_ready,
        .opaque = opaque,
    };
    AioHandler *handler;

    g_assert(aio_in_home_thread(ctx));
    handler = aio_fd_find(ctx, fd);
    if (io_read || io_write) {
        return handler ? handler_replace(ctx, handler, &callbacks) :
                         handler_add(ctx, &callbacks);
    }
    if (handler) {
        handler_remove(ctx, handler);
    }
    return 0;
}

void aio_pause_fd_handler(AioContext *ctx, int fd, bool paused)
{
    AioHandler *handler;
    struct epoll_event event;
    int ret;

    g_assert(aio_in_home_thread(ctx));
    handler = aio_fd_find(ctx, fd);
    g_assert(handler);
    if (handler->paused == paused) {
        return;
    }
    handler_forget_ready(ctx, handler);
    handler_set_paused(ctx, handler, paused);
    event.events = handler_events(handler);
    event.data.ptr = handler;
    ret = epoll_ctl(ctx->fd.epoll_fd, EPOLL_CTL_MOD, fd, &event);
    g_assert(ret == 0);         /* it is there, and nothing is allocated */
}

void aio_fd_init(AioContext *ctx)
{
    ctx->fd.epoll_fd = -1;
    ctx->fd.notify_fd = -1;
    CDS_INIT_LIST_HEAD(&ctx->fd.ready);
    CDS_INIT_LIST_HEAD(&ctx->fd.removed);
}

/* Whatever is open after a failure is for aio_fd_close(). */
bool aio_fd_open(AioContext *ctx, GError **error)
{
    AioFdMonitor *monitor = &ctx->fd;
    struct epoll_event event = { .events = EPOLLIN | EPOLLET };

    monitor->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (monitor->epoll_fd < 0) {
        error_set_errno(error, errno, "AioContext: epoll_create1");
        return false;
    }
    monitor->notify_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (monitor->notify_fd < 0) {
        error_set_errno(error, errno, "AioContext: eventfd");
        return false;
    }
    if (epoll_ctl(monitor->epoll_fd, EPOLL_CTL_ADD, monitor->notify_fd,
                  &event)) {
        error_set_errno(error, errno, "AioContext: epoll_ctl");
        return false;
    }
    return true;
}

void aio_fd_close(AioContext *ctx)
{
    AioFdMonitor *monitor = &ctx->fd;

    if (monitor->notify_fd >= 0) {
        close(monitor->notify_fd);
    }
    if (monitor->epoll_fd >= 0) {
        close(monitor->epoll_fd);
    }
}
