/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * As Cloud Hypervisor's devices have it: a thread of its own around epoll; a
 * read() takes up to 64 records; for each the device's mutex is taken, the entry
 * written and published, and the guest interrupted if it had read all.
 */
#include "peer-all.h"

#include "raw-peer.h"

#include <sys/epoll.h>
#include <unistd.h>

static void take_locked(RawPeer *raw, Lock *device, size_t bytes)
{
    for (size_t i = 0; i < bytes / RAW_RECORD_BYTES; i++) {
        lock_acquire(device);
        if (raw_room(raw) > 0) {
            raw_put(raw, raw->buf + i * RAW_RECORD_BYTES, 1);
            if (raw_publish(raw)) {
                peer_irq_raise(&raw->peer.irq);
            }
        }
        lock_release(device);
    }
}

static void add_fd(int epoll_fd, int fd)
{
    struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
    int ret = epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);

    g_assert(ret == 0);
}

static void *cloud_hypervisor_run(void *opaque)
{
    RawPeer *raw = opaque;
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    Lock device;

    lock_init(&device, LOCK_RANK_DEVICE);
    add_fd(epoll_fd, raw->rig.fd);
    add_fd(epoll_fd, raw->stop_fd);
    raw_ready(raw);
    while (!raw_stopped(raw)) {
        struct epoll_event events[2];
        int count = epoll_wait(epoll_fd, events, 2, -1);

        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == raw->rig.fd) {
                take_locked(raw, &device,
                            raw_read(raw, raw->peer.ops->batch));
            }
        }
    }
    lock_destroy(&device);
    close(epoll_fd);
    return NULL;
}

static Peer *cloud_hypervisor_open(const PeerOps *ops, const PeerConfig *config)
{
    return raw_peer_open(ops, config, sizeof(RawPeer), cloud_hypervisor_run);
}

const PeerOps peer_cloud_hypervisor = {
    .name = "cloud-hypervisor",
    .batch = 64,
    .open = cloud_hypervisor_open,
    RAW_PEER_GUEST,
};
