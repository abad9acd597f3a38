/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Queues and rings, and a thread that goes from one to the next that is ready.
 */
#include "crowd.h"

#include "figures.h"
#include "raw-peer.h"

#include "base/rcu.h"
#include "base/thread.h"
#include "hw/iommu/event-pump.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* As many as vpump reads. */
#define BATCH EVENT_PUMP_BATCH

/* Of one epoll_wait(). */
#define READY 1024

typedef struct LimitCrowd {
    Crowd crowd;
    RawPeer *peers;             /* without threads; one buffer for all */
    uint8_t *buf;
    int epoll_fd;
    int stop_fd;
    pthread_t thread;
} LimitCrowd;

static LimitCrowd *to_limit(Crowd *crowd)
{
    return caa_container_of(crowd, LimitCrowd, crowd);
}

/* Read until there is less than there may be. */
static void empty_queue(RawPeer *raw)
{
    size_t bytes;

    do {
        bytes = raw_read(raw, BATCH);
        raw_take(raw, bytes);
    } while (bytes >= BATCH * RAW_RECORD_BYTES);
}

static void *limit_run(void *opaque)
{
    LimitCrowd *self = opaque;
    struct epoll_event ready[READY];
    bool stop = false;

    bench_pin(BENCH_CPU_PUMP);
    rcu_register_thread();
    while (!stop) {
        int count = epoll_wait(self->epoll_fd, ready, READY, -1);

        for (int i = 0; i < count; i++) {
            if (ready[i].data.ptr) {
                empty_queue(ready[i].data.ptr);
            } else {
                stop = true;
            }
        }
    }
    rcu_unregister_thread();
    return NULL;
}

static void watch(LimitCrowd *self, int fd, RawPeer *raw)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = raw };
    int ret = epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, fd, &event);

    g_assert(ret == 0);
}

static void open_unit(LimitCrowd *self, SmmuMemory *mem, size_t index)
{
    Crowd *crowd = &self->crowd;
    RawPeer *raw = &self->peers[index];

    raw->peer.config.log2_ring = mem->log2_ring;
    raw->peer.entries = smmu_memory_entries(mem, index);
    raw->buf = self->buf;
    peer_irq_init(&raw->peer.irq);
    queue_rig_open(&raw->rig, event_source_host(crowd->source),
                   1u << mem->log2_ring, SMMU_UNIT_VIRT_ID);
    crowd->units[index].device = raw->rig.device;
    crowd->units[index].entries = raw->peer.entries;
    watch(self, raw->rig.fd, raw);
}

static Crowd *limit_open(EventSource *source, SmmuMemory *mem, size_t count)
{
    LimitCrowd *self = g_new0(LimitCrowd, 1);
    int ret;

    self->crowd = (Crowd){
        .ops = &crowd_limit,
        .source = source,
        .log2_ring = mem->log2_ring,
        .count = count,
        .units = g_new0(CrowdUnit, count),
    };
    self->peers = g_aligned_alloc0(count, sizeof(RawPeer),
                                   CAA_CACHE_LINE_SIZE);
    self->buf = g_malloc(BATCH * RAW_RECORD_BYTES +
                         sizeof(struct iommufd_vevent_header));
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    self->stop_fd = eventfd(0, EFD_CLOEXEC);
    g_assert(self->epoll_fd >= 0 && self->stop_fd >= 0);
    watch(self, self->stop_fd, NULL);
    for (size_t i = 0; i < count; i++) {
        open_unit(self, mem, i);
    }
    ret = thread_create(&self->thread, limit_run, self);
    g_assert(ret == 0);
    return &self->crowd;
}

static void limit_close(Crowd *crowd)
{
    LimitCrowd *self = to_limit(crowd);
    ssize_t ret = write(self->stop_fd, &(uint64_t){ 1 }, sizeof(uint64_t));

    g_assert(ret == sizeof(uint64_t));
    pthread_join(self->thread, NULL);
    for (size_t i = 0; i < crowd->count; i++) {
        RawPeer *raw = &self->peers[i];

        epoll_ctl(self->epoll_fd, EPOLL_CTL_DEL, raw->rig.fd, NULL);
        queue_rig_close(&raw->rig);
        peer_irq_destroy(&raw->peer.irq);
    }
    close(self->stop_fd);
    close(self->epoll_fd);
    g_free(self->buf);
    g_aligned_free(self->peers);
    g_free(crowd->units);
    g_free(self);
}

static uint32_t limit_prod(Crowd *crowd, size_t unit)
{
    return raw_peer_prod(&to_limit(crowd)->peers[unit].peer);
}

static void limit_set_cons(Crowd *crowd, size_t unit, uint32_t cons)
{
    raw_peer_set_cons(&to_limit(crowd)->peers[unit].peer, cons);
}

const CrowdOps crowd_limit = {
    .name = FIGURES_LIMIT,
    .open = limit_open,
    .close = limit_close,
    .prod = limit_prod,
    .set_cons = limit_set_cons,
};
