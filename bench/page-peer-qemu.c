/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * QEMU's way. It forwards no page requests of a host's device today; this is
 * how it would by what it has: a handler in the main loop, as the one of its
 * vEVENTQs, which reads one record and interrupts the guest for each; and, as
 * any MMIO, the guest's accesses under the big lock: a write of IQT makes the
 * host's write(), one per response, there and then. So a response waits for no
 * other thread, but for the lock.
 *
 * The main loop holds the lock but in poll(). So the queue's reads and writes
 * exclude each other, though on two threads, as the mock driver's dress wants
 * it. There is an interrupt for each record unless PPR is still set, as the
 * specification has it.
 */
#include "page-peer-bare.h"

#include <glib-unix.h>

typedef struct QemuPagePeer {
    BarePagePeer bare;
    GMainLoop *loop;
    bool held;                  /* the main thread has the big lock */
} QemuPagePeer;

/* A GPollFunc has no argument. */
static Lock *big;

static QemuPagePeer *qemu_from(PagePeer *peer)
{
    return caa_container_of(peer, QemuPagePeer, bare.peer);
}

static gint unlocked_poll(GPollFD *fds, guint count, gint timeout)
    NO_THREAD_SAFETY_ANALYSIS
{
    gint ret;

    lock_release(big);
    ret = g_poll(fds, count, timeout);
    lock_acquire(big);
    return ret;
}

static gboolean fault_ready(gint fd, GIOCondition condition, gpointer opaque)
{
    BarePagePeer *bare = opaque;

    if (bare_page_read(bare, 1) == 1) {
        bare_page_put(bare, bare->records);
        bare_page_publish(bare);
    }
    return G_SOURCE_CONTINUE;
}

static gboolean stop_ready(gint fd, GIOCondition condition, gpointer opaque)
{
    QemuPagePeer *qemu = opaque;

    g_main_loop_quit(qemu->loop);
    return G_SOURCE_REMOVE;
}

static void add_handler(GMainContext *context, int fd, GUnixFDSourceFunc func,
                        void *opaque)
{
    g_autoptr(GSource) source = g_unix_fd_source_new(fd, G_IO_IN);

    g_source_set_callback(source, G_SOURCE_FUNC(func), opaque, NULL);
    g_source_attach(source, context);
}

static void *qemu_run(void *opaque)
{
    QemuPagePeer *qemu = opaque;
    GMainContext *context = g_main_context_new();

    big = qemu->bare.peer.config.big;
    qemu->loop = g_main_loop_new(context, FALSE);
    g_main_context_set_poll_func(context, unlocked_poll);
    add_handler(context, qemu->bare.rig.fd, fault_ready, qemu);
    add_handler(context, qemu->bare.stop_fd, stop_ready, qemu);
    bare_page_ready(&qemu->bare);
    lock_acquire(big);
    g_main_loop_run(qemu->loop);
    lock_release(big);
    g_main_loop_unref(qemu->loop);
    g_main_context_unref(context);
    return NULL;
}

static PagePeer *qemu_open(const PagePeerOps *ops,
                           const PagePeerConfig *config)
{
    return bare_page_open(ops, config, sizeof(QemuPagePeer), qemu_run);
}

static void enter_mmio(PagePeer *peer) NO_THREAD_SAFETY_ANALYSIS
{
    if (!qemu_from(peer)->held) {
        lock_acquire(peer->config.big);
    }
}

static void leave_mmio(PagePeer *peer) NO_THREAD_SAFETY_ANALYSIS
{
    if (!qemu_from(peer)->held) {
        lock_release(peer->config.big);
    }
}

static void qemu_acknowledge(PagePeer *peer)
{
    enter_mmio(peer);
    bare_page_acknowledge(peer);
    leave_mmio(peer);
}

static uint32_t qemu_tail(PagePeer *peer)
{
    uint32_t tail;

    enter_mmio(peer);
    tail = bare_page_tail(peer);
    leave_mmio(peer);
    return tail;
}

static void qemu_set_head(PagePeer *peer, uint32_t head)
{
    enter_mmio(peer);
    bare_page_set_head(peer, head);
    leave_mmio(peer);
}

static void qemu_respond(PagePeer *peer, const uint64_t (*entries)[4],
                         size_t count)
{
    QemuPagePeer *qemu = qemu_from(peer);

    enter_mmio(peer);
    for (size_t i = 0; i < count; i++) {
        const struct iommu_hwpt_page_response response = {
            .cookie = bare_page_cookie(entries[i]),
            .code = IOMMUFD_PAGE_RESP_SUCCESS,
        };

        bare_page_write(&qemu->bare, &response, 1);
    }
    leave_mmio(peer);
}

/* The main loop stands still without the lock; who has it may still respond. */
static void qemu_hold(PagePeer *peer) NO_THREAD_SAFETY_ANALYSIS
{
    lock_acquire(peer->config.big);
    qemu_from(peer)->held = true;
}

static void qemu_release(PagePeer *peer) NO_THREAD_SAFETY_ANALYSIS
{
    qemu_from(peer)->held = false;
    lock_release(peer->config.big);
}

const PagePeerOps page_peer_qemu = {
    .name = "qemu",
    .open = qemu_open,
    .close = bare_page_close,
    .raise = page_peer_raise,
    .acknowledge = qemu_acknowledge,
    .tail = qemu_tail,
    .set_head = qemu_set_head,
    .respond = qemu_respond,
    .hold = qemu_hold,
    .release = qemu_release,
};
