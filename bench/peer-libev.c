/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libev: an io watcher's callback, of one read of 1 or 64 records. */
#include "peer-all.h"

#include "raw-peer.h"

#include <ev.h>

static void on_events(struct ev_loop *loop, ev_io *watcher, int what)
{
    RawPeer *raw = watcher->data;

    raw_take(raw, raw_read(raw, raw->peer.ops->batch));
}

static void on_stop(struct ev_loop *loop, ev_io *watcher, int what)
{
    ev_break(loop, EVBREAK_ALL);
}

static void start_io(struct ev_loop *loop, ev_io *watcher, int fd,
                     void (*func)(struct ev_loop *, ev_io *, int),
                     RawPeer *raw)
{
    ev_init(watcher, func);
    ev_io_set(watcher, fd, EV_READ);
    watcher->data = raw;
    ev_io_start(loop, watcher);
}

static void *libev_run(void *opaque)
{
    RawPeer *raw = opaque;
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    ev_io queue, stop;

    start_io(loop, &queue, raw->rig.fd, on_events, raw);
    start_io(loop, &stop, raw->stop_fd, on_stop, raw);
    raw_ready(raw);
    ev_run(loop, 0);
    ev_io_stop(loop, &queue);
    ev_io_stop(loop, &stop);
    ev_loop_destroy(loop);
    return NULL;
}

static Peer *libev_open(const PeerOps *ops, const PeerConfig *config)
{
    return raw_peer_open(ops, config, sizeof(RawPeer), libev_run);
}

const PeerOps peer_libev_1 = {
    .name = "libev-1",
    .batch = 1,
    .open = libev_open,
    RAW_PEER_GUEST,
};

const PeerOps peer_libev_64 = {
    .name = "libev-64",
    .batch = 64,
    .open = libev_open,
    RAW_PEER_GUEST,
};
