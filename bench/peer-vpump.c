/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vpump, whole: an IOThread, an SMMUv3, a device that was plugged in, and the
 * guest's accesses by MMIO. With default properties, or polling for up to a
 * millisecond.
 */
#include "peer-all.h"

#include "bench.h"

#include "host/vfio-device.h"
#include "hw/arm/smmuv3-internal.h"
#include "iothread/iothread.h"

#include <sys/mman.h>

/* Guest physical: the event queue is all that there is. */
#define QUEUE_GPA UINT64_C(0x40000000)

typedef struct VpumpPeer {
    Peer peer;
    IOThread *iothread;
    GuestMem *mem;
    size_t mem_bytes;
    Viommu *viommu;
    VfioDevice *vfio;
} VpumpPeer;

static VpumpPeer *to_vpump(Peer *peer)
{
    return caa_container_of(peer, VpumpPeer, peer);
}

static void write_reg(VpumpPeer *self, uint64_t offset, uint32_t value)
{
    viommu_mmio_write(self->viommu, offset, 4, value);
}

static uint32_t vpump_prod(Peer *peer)
{
    return viommu_mmio_read(to_vpump(peer)->viommu, A_EVENTQ_PROD, 4) &
           FIELD_MASK(Q, POINTER);
}

static void vpump_set_cons(Peer *peer, uint32_t cons)
{
    write_reg(to_vpump(peer), A_EVENTQ_CONS, cons);
}

/* On the IOThread. */
static void vpump_pin(void *opaque)
{
    Peer *peer = opaque;
    int ret;

    bench_pin(BENCH_CPU_PUMP);
    ret = pthread_getcpuclockid(pthread_self(), &peer->cpu_clock);
    g_assert(ret == 0);
}

static void start_iothread(VpumpPeer *self, int64_t poll_max_ns)
{
    IOThreadProperties properties = IOTHREAD_PROPERTIES_DEFAULT;
    GError *error = NULL;

    properties.poll_max_ns = poll_max_ns;
    self->iothread = iothread_new("bench", &properties, &error);
    bench_must(self->iothread, &error);
    aio_wait_bh_oneshot(iothread_get_aio_context(self->iothread), vpump_pin,
                        &self->peer);
}

static void make_memory(VpumpPeer *self)
{
    GuestMemRegion region = { .gpa = QUEUE_GPA };
    GError *error = NULL;

    self->mem_bytes = MAX((size_t)PEER_ENTRY_BYTES
                              << self->peer.config.log2_ring, 4096);
    region.size = self->mem_bytes;
    region.hva = mmap(NULL, self->mem_bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    g_assert(region.hva != MAP_FAILED);
    self->peer.entries = region.hva;
    self->mem = guest_mem_new();
    bench_must(guest_mem_set_regions(self->mem, &region, 1, &error), &error);
}

static void plug_device(VpumpPeer *self, HostIommu *host)
{
    GError *error = NULL;
    int fd = host->hardware->device_open(host, HARDWARE_SMMUV3);

    g_assert(fd >= 0);
    self->vfio = vfio_device_bind(host, fd, "bench", &error);
    bench_must(self->vfio, &error);
    bench_must(viommu_add_device(self->viommu, self->vfio, PEER_VIRT_ID,
                                 &error), &error);
    self->peer.device = (SourceDevice){
        .dev_id = vfio_device_get_dev_id(self->vfio),
        .virt_id = PEER_VIRT_ID,
    };
}

/* In the order of Linux's driver; without stream table: all bypass. */
static void start_guest(VpumpPeer *self)
{
    viommu_mmio_write(self->viommu, A_EVENTQ_BASE, 8,
                      QUEUE_GPA | self->peer.config.log2_ring);
    write_reg(self, A_IRQ_CTRL, FIELD_MASK(IRQ_CTRL, EVENTQ_IRQEN));
    write_reg(self, A_CR0, FIELD_MASK(CR0, EVENTQEN));
}

static Peer *open_polling(const PeerOps *ops, const PeerConfig *config,
                          int64_t poll_max_ns)
{
    VpumpPeer *self = g_new0(VpumpPeer, 1);
    GError *error = NULL;

    self->peer.ops = ops;
    self->peer.config = *config;
    peer_irq_init(&self->peer.irq);
    make_memory(self);
    start_iothread(self, poll_max_ns);
    self->viommu = smmuv3_new(
        &(ViommuConfig){
            .id = "bench",
            .ctx = iothread_get_aio_context(self->iothread),
            .mem = self->mem,
            .irq = &self->peer.irq.parent,
        },
        NULL, &error);
    bench_must(self->viommu, &error);
    plug_device(self, event_source_host(config->source));
    start_guest(self);
    return &self->peer;
}

static Peer *vpump_open(const PeerOps *ops, const PeerConfig *config)
{
    return open_polling(ops, config, IOTHREAD_POLL_MAX_NS_DEFAULT);
}

static Peer *vpump_busy_open(const PeerOps *ops, const PeerConfig *config)
{
    return open_polling(ops, config, 1000000);
}

static void vpump_close(Peer *peer)
{
    VpumpPeer *self = to_vpump(peer);

    viommu_remove_device(self->viommu, PEER_VIRT_ID);
    vfio_device_free(self->vfio);
    viommu_free(self->viommu);
    iothread_stop(self->iothread);
    guest_mem_free(self->mem);
    munmap(peer->entries, self->mem_bytes);
    peer_irq_destroy(&peer->irq);
    g_free(self);
}

const PeerOps peer_vpump = {
    .name = "vpump",
    .batch = EVENT_PUMP_BATCH,
    .open = vpump_open,
    .close = vpump_close,
    .prod = vpump_prod,
    .set_cons = vpump_set_cons,
};

const PeerOps peer_vpump_busy = {
    .name = "vpump-busy",
    .batch = EVENT_PUMP_BATCH,
    .open = vpump_busy_open,
    .close = vpump_close,
    .prod = vpump_prod,
    .set_cons = vpump_set_cons,
};
