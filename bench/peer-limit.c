/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The limit: a bare thread that does nothing but read and write the ring. It
 * spins: read() of an empty vEVENTQ gives 0 at once, so there is nothing that
 * hears of an event earlier. Its sibling sleeps in poll() while there is none:
 * the limit of those that leave the CPU to others.
 */
#include "peer-all.h"

#include "raw-peer.h"

#include <poll.h>

static void *limit_run(void *opaque)
{
    RawPeer *raw = opaque;

    raw_ready(raw);
    while (!raw_stopped(raw)) {
        raw_take(raw, raw_read(raw, raw->peer.ops->batch));
    }
    return NULL;
}

static Peer *limit_open(const PeerOps *ops, const PeerConfig *config)
{
    return raw_peer_open(ops, config, sizeof(RawPeer), limit_run);
}

static void *limit_poll_run(void *opaque)
{
    RawPeer *raw = opaque;
    struct pollfd fds[] = {
        { .fd = raw->rig.fd, .events = POLLIN },
        { .fd = raw->stop_fd, .events = POLLIN },
    };

    raw_ready(raw);
    while (!raw_stopped(raw)) {
        size_t bytes;

        poll(fds, G_N_ELEMENTS(fds), -1);
        while ((bytes = raw_read(raw, raw->peer.ops->batch)) > 0) {
            raw_take(raw, bytes);
        }
    }
    return NULL;
}

static Peer *limit_poll_open(const PeerOps *ops, const PeerConfig *config)
{
    return raw_peer_open(ops, config, sizeof(RawPeer), limit_poll_run);
}

const PeerOps peer_limit = {
    .name = "limit",
    .batch = 1024,
    .open = limit_open,
    RAW_PEER_GUEST,
};

const PeerOps peer_limit_poll = {
    .name = "limit-poll",
    .batch = 1024,
    .open = limit_poll_open,
    RAW_PEER_GUEST,
};
