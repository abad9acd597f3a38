/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libuv: a poll handle's callback, of one read of 1 or 64 records. */
#include "peer-all.h"

#include "raw-peer.h"

#include <uv.h>

static void on_events(uv_poll_t *handle, int status, int events)
{
    RawPeer *raw = handle->data;

    raw_take(raw, raw_read(raw, raw->peer.ops->batch));
}

static void on_stop(uv_poll_t *handle, int status, int events)
{
    uv_stop(handle->loop);
}

static void start_poll(uv_loop_t *loop, uv_poll_t *handle, int fd,
                       uv_poll_cb func, RawPeer *raw)
{
    int ret = uv_poll_init(loop, handle, fd);

    g_assert(ret == 0);
    handle->data = raw;
    ret = uv_poll_start(handle, UV_READABLE, func);
    g_assert(ret == 0);
}

static void *libuv_run(void *opaque)
{
    RawPeer *raw = opaque;
    uv_loop_t loop;
    uv_poll_t queue, stop;
    int ret = uv_loop_init(&loop);

    g_assert(ret == 0);
    start_poll(&loop, &queue, raw->rig.fd, on_events, raw);
    start_poll(&loop, &stop, raw->stop_fd, on_stop, raw);
    raw_ready(raw);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&queue, NULL);
    uv_close((uv_handle_t *)&stop, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    ret = uv_loop_close(&loop);
    g_assert(ret == 0);
    return NULL;
}

static Peer *libuv_open(const PeerOps *ops, const PeerConfig *config)
{
    return raw_peer_open(ops, config, sizeof(RawPeer), libuv_run);
}

const PeerOps peer_libuv_1 = {
    .name = "libuv-1",
    .batch = 1,
    .open = libuv_open,
    RAW_PEER_GUEST,
};

const PeerOps peer_libuv_64 = {
    .name = "libuv-64",
    .batch = 64,
    .open = libuv_open,
    RAW_PEER_GUEST,
};
