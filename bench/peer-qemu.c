/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * As QEMU's accelerated SMMUv3 has it: a handler of the main loop, which is a
 * GMainContext and holds the big lock but for the time that it polls; a read()
 * takes one record; each record raises its interrupt.
 *
 * Of its model there is only the ring: no translation of guest addresses, no
 * registers. The guest's accesses to PROD and CONS would take the big lock in
 * QEMU; here they do not.
 */
#include "peer-all.h"

#include "raw-peer.h"

#include <glib-unix.h>

typedef struct QemuPeer {
    RawPeer raw;
    Lock own_lock;              /* where nobody else has one */
    Lock *big;                  /* [const] */
} QemuPeer;

/* The poll function of a GMainContext has no argument. */
static _Thread_local Lock *poll_big;

static int poll_unlocked(GPollFD *fds, guint count, int timeout)
    NO_THREAD_SAFETY_ANALYSIS
{
    int ret;

    lock_release(poll_big);
    ret = g_poll(fds, count, timeout);
    lock_acquire(poll_big);
    return ret;
}

static gboolean qemu_handle(int fd, GIOCondition condition, void *opaque)
{
    RawPeer *raw = opaque;
    size_t bytes = raw_read(raw, 1);

    if (bytes >= RAW_RECORD_BYTES && raw_room(raw) > 0) {
        raw_put(raw, raw->buf, 1);
        raw_publish(raw);
        peer_irq_raise(&raw->peer.irq);
    }
    return G_SOURCE_CONTINUE;
}

static gboolean qemu_wake(int fd, GIOCondition condition, void *opaque)
{
    return G_SOURCE_CONTINUE;
}

static GSource *add_handler(GMainContext *context, int fd, GUnixFDSourceFunc f,
                            void *opaque)
{
    GSource *source = g_unix_fd_source_new(fd, G_IO_IN);

    /* As QEMU does, or GLib has the source blocked while it is dispatched. */
    g_source_set_can_recurse(source, TRUE);
    g_source_set_callback(source, G_SOURCE_FUNC(f), opaque, NULL);
    g_source_attach(source, context);
    return source;
}

static void *qemu_run(void *opaque)
{
    QemuPeer *self = opaque;
    RawPeer *raw = &self->raw;
    GMainContext *context = g_main_context_new();
    GSource *queue, *stop;

    lock_init(&self->own_lock, LOCK_RANK_BIG);
    self->big = raw->peer.config.big ? raw->peer.config.big : &self->own_lock;
    poll_big = self->big;
    g_main_context_set_poll_func(context, poll_unlocked);
    queue = add_handler(context, raw->rig.fd, qemu_handle, raw);
    stop = add_handler(context, raw->stop_fd, qemu_wake, NULL);
    raw_ready(raw);
    lock_acquire(self->big);
    while (!raw_stopped(raw)) {
        g_main_context_iteration(context, TRUE);
    }
    lock_release(self->big);
    g_source_destroy(queue);
    g_source_unref(queue);
    g_source_destroy(stop);
    g_source_unref(stop);
    g_main_context_unref(context);
    lock_destroy(&self->own_lock);
    return NULL;
}

static Peer *qemu_open(const PeerOps *ops, const PeerConfig *config)
{
    return raw_peer_open(ops, config, sizeof(QemuPeer), qemu_run);
}

const PeerOps peer_qemu = {
    .name = "qemu",
    .batch = 1,
    .open = qemu_open,
    RAW_PEER_GUEST,
};
