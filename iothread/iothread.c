/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A thread, its AioContext and its registration with RCU. Signals of the
 * process are not delivered to it: the program handles them on a thread of its
 * choice.
 */
#include "iothread/iothread.h"

#include <errno.h>
#include <unistd.h>

#include "base/error.h"
#include "base/lock.h"
#include "base/rcu.h"
#include "base/thread.h"
#include "iothread/aio-internal.h"

/*
 * The context outlives the thread: what was deleted too late for the loop is
 * freed with the context, by the thread that stops it.
 */
struct IOThread {
    char *id;                       /* [const] */
    AioContext *ctx;                /* [const] */
    pthread_t thread;               /* [const] */
    bool running;                   /* the thread itself */
    Lock lock;                      /* a leaf */
    pthread_cond_t started;         /* tid was set */
    pid_t tid;                      /* [lock], [const] once started */
    IOThreadProperties properties GUARDED_BY(&lock);
};

static bool property_check(const char *name, int64_t value, GError **error)
{
    if (value < 0) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "%s value must be in range [0, %" G_GINT64_FORMAT "]",
                    name, G_MAXINT64);
        return false;
    }
    return true;
}

static bool properties_check(const IOThreadProperties *properties,
                             GError **error)
{
    return property_check("poll-max-ns", properties->poll_max_ns, error) &&
           property_check("poll-grow", properties->poll_grow, error) &&
           property_check("poll-shrink", properties->poll_shrink, error);
}

/* Kept as they were set, 0 included: that is what a query shows. */
static void properties_apply(IOThread *iothread,
                             const IOThreadProperties *properties)
{
    lock_acquire(&iothread->lock);
    iothread->properties = *properties;
    lock_release(&iothread->lock);
    aio_set_poll_params(iothread->ctx, properties->poll_max_ns,
                        properties->poll_grow, properties->poll_shrink);
}

const char *iothread_get_id(IOThread *iothread)
{
    return iothread->id;
}

pid_t iothread_get_thread_id(IOThread *iothread)
{
    return iothread->tid;
}

AioContext *iothread_get_aio_context(IOThread *iothread)
{
    return iothread->ctx;
}

IOThreadProperties iothread_get_properties(IOThread *iothread)
{
    IOThreadProperties properties;

    lock_acquire(&iothread->lock);
    properties = iothread->properties;
    lock_release(&iothread->lock);
    return properties;
}

bool iothread_set_properties(IOThread *iothread,
                             const IOThreadProperties *properties,
                             GError **error)
{
    if (!properties_check(properties, error)) {
        return false;
    }
    properties_apply(iothread, properties);
    return true;
}

static void context_set_name(AioContext *ctx, const char *id)
{
    g_autofree char *name = g_strdup_printf("IO %s aio-context", id);

    g_source_set_name(&ctx->source, name);
}

/* The front of the id, where it is cut: the kernel's names are short. */
static void set_thread_name(const char *id)
{
    g_autofree char *name = g_strdup_printf("IO %s", id);

    thread_set_name(name);
}

static void *iothread_run(void *opaque)
{
    IOThread *iothread = opaque;

    rcu_register_thread();
    set_thread_name(iothread->id);
    aio_context_bind(iothread->ctx);

    lock_acquire(&iothread->lock);
    iothread->tid = gettid();
    pthread_cond_signal(&iothread->started);
    lock_release(&iothread->lock);

    while (iothread->running) {
        aio_poll(iothread->ctx, true);
    }
    /* What was scheduled before the stop, and what that has scheduled. */
    while (aio_bh_poll(iothread->ctx)) {
    }
    rcu_unregister_thread();
    return NULL;
}

/* Runs in iothread_run()'s thread. */
static void iothread_stop_bh(void *opaque)
{
    IOThread *iothread = opaque;

    iothread->running = false;
}

static void iothread_wait_started(IOThread *iothread)
{
    lock_acquire(&iothread->lock);
    while (!iothread->tid) {
        lock_wait(&iothread->lock, &iothread->started);
    }
    lock_release(&iothread->lock);
}

static void iothread_free(IOThread *iothread)
{
    pthread_cond_destroy(&iothread->started);
    lock_destroy(&iothread->lock);
    g_free(iothread->id);
    g_free(iothread);
}

IOThread *iothread_new(const char *id, const IOThreadProperties *properties,
                       GError **error)
{
    const IOThreadProperties defaults = IOTHREAD_PROPERTIES_DEFAULT;
    IOThread *iothread;
    int err;

    properties = properties ? properties : &defaults;
    if (!properties_check(properties, error)) {
        return NULL;
    }
    iothread = g_try_new0(IOThread, 1);
    if (!iothread) {
        error_set_errno(error, ENOMEM, "iothread '%s'", id);
        return NULL;
    }
    iothread->id = g_strdup(id);
    iothread->running = true;
    lock_init(&iothread->lock, LOCK_RANK_LEAF);
    pthread_cond_init(&iothread->started, NULL);
    iothread->ctx = aio_context_new(error);
    if (!iothread->ctx) {
        goto out_free;
    }
    context_set_name(iothread->ctx, id);
    properties_apply(iothread, properties);
    err = thread_create(&iothread->thread, iothread_run, iothread);
    if (err) {
        error_set_errno(error, err, "iothread '%s': pthread_create", id);
        goto out_unref;
    }
    iothread_wait_started(iothread);
    return iothread;

out_unref:
    aio_context_unref(iothread->ctx);
out_free:
    iothread_free(iothread);
    return NULL;
}

void iothread_stop(IOThread *iothread)
{
    g_assert(!aio_in_home_thread(iothread->ctx));
    aio_wait_bh_oneshot(iothread->ctx, iothread_stop_bh, iothread);
    pthread_join(iothread->thread, NULL);
    aio_context_unref(iothread->ctx);
    iothread_free(iothread);
}
