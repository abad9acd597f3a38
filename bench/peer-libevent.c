/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libevent: a persistent event's callback, of one read of 1 or 64 records. */
#include "peer-all.h"

#include "raw-peer.h"

#include <event2/event.h>

static void on_events(evutil_socket_t fd, short what, void *opaque)
{
    RawPeer *raw = opaque;

    raw_take(raw, raw_read(raw, raw->peer.ops->batch));
}

static void on_stop(evutil_socket_t fd, short what, void *opaque)
{
    event_base_loopbreak(opaque);
}

static void *libevent_run(void *opaque)
{
    RawPeer *raw = opaque;
    struct event_base *base = event_base_new();
    struct event *queue = event_new(base, raw->rig.fd, EV_READ | EV_PERSIST,
                                    on_events, raw);
    struct event *stop = event_new(base, raw->stop_fd, EV_READ | EV_PERSIST,
                                   on_stop, base);

    event_add(queue, NULL);
    event_add(stop, NULL);
    raw_ready(raw);
    event_base_dispatch(base);
    event_free(queue);
    event_free(stop);
    event_base_free(base);
    return NULL;
}

static Peer *libevent_open(const PeerOps *ops, const PeerConfig *config)
{
    return raw_peer_open(ops, config, sizeof(RawPeer), libevent_run);
}

const PeerOps peer_libevent_1 = {
    .name = "libevent-1",
    .batch = 1,
    .open = libevent_open,
    RAW_PEER_GUEST,
};

const PeerOps peer_libevent_64 = {
    .name = "libevent-64",
    .batch = 64,
    .open = libevent_open,
    RAW_PEER_GUEST,
};
