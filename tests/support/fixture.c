/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

#include "base/rcu.h"
#include "host/iommufd.h"
#include "hw/arm/smmuv3-internal.h"

G_STATIC_ASSERT((int)SMMUV3_IRQ_COUNT <= COUNTING_SINK_LINES);

/* What @f has is its host and its context. */
static Fixture *fixture_init(Fixture *f, const Smmuv3Properties *properties)
{
    GError *error = NULL;

    f->ram = guest_ram_new(&f->mem);
    counting_sink_init(&f->irq);
    f->devices = g_ptr_array_new();
    f->viommu = smmuv3_new(&(ViommuConfig){ .id = "smmu0",
                                            .ctx = f->ctx,
                                            .mem = f->mem,
                                            .irq = &f->irq.parent },
                           properties, &error);
    g_assert_no_error(error);
    return f;
}

Fixture *fixture_new_on(HostIommu *host, const Smmuv3Properties *properties,
                        bool iothread)
{
    Fixture *f = g_new0(Fixture, 1);

    f->host = host;
    f->ctx = test_context_new(iothread, &f->iothread);
    return fixture_init(f, properties);
}

Fixture *fixture_new_in(HostIommu *host, const Smmuv3Properties *properties,
                        AioContext *ctx)
{
    Fixture *f = g_new0(Fixture, 1);

    f->host = host;
    f->ctx = aio_context_ref(ctx);
    f->shared = true;
    return fixture_init(f, properties);
}

Fixture *fixture_new(const Smmuv3Properties *properties, bool iothread)
{
    GError *error = NULL;
    HostIommu *host = emul_new(&error);

    g_assert_no_error(error);
    return fixture_new_on(host, properties, iothread);
}

void fixture_unplug_all(Fixture *f)
{
    test_devices_close(f->viommu, f->devices);
}

void fixture_assert_balanced(Fixture *f, uint64_t skipped)
{
    HardwareStats host = f->host->hardware->get_stats(f->host);
    ViommuStats guest = viommu_get_stats(f->viommu);

    g_assert_cmpuint(host.generated + skipped, ==,
                     guest.delivered + guest.discarded + guest.lost +
                         host.dropped);
}

void fixture_free(Fixture *f)
{
    fixture_unplug_all(f);
    g_ptr_array_unref(f->devices);
    viommu_free(f->viommu);
    g_assert_cmpuint(f->host->hardware->count_left(f->host), ==, 0);
    host_iommu_free(f->host);
    if (f->shared) {
        aio_context_unref(f->ctx);
    } else {
        test_context_free(f->ctx, f->iothread);
    }
    guest_ram_free(f->ram, f->mem);
    g_free(f);
}

VfioDevice *fixture_open_device(Fixture *f)
{
    return test_device_open(f->host, EMUL_IOMMU_SMMUV3, f->devices);
}

VfioDevice *fixture_plug(Fixture *f, uint32_t sid)
{
    VfioDevice *device = fixture_open_device(f);
    GError *error = NULL;

    viommu_add_device(f->viommu, device, sid, &error);
    g_assert_no_error(error);
    return device;
}

void fixture_unplug(Fixture *f, VfioDevice *device, uint32_t sid)
{
    g_assert_true(viommu_remove_device(f->viommu, sid));
    g_assert_true(g_ptr_array_remove(f->devices, device));
    vfio_device_free(device);
}

EmulReport fixture_report(Fixture *f, VfioDevice *device, uint64_t address)
{
    const uint64_t event[4] = { 0x10, BIT(35), address, 0 };

    return f->host->hardware->report_event(
        f->host, vfio_device_get_dev_id(device), event);
}

uint32_t fixture_attached_to(Fixture *f, VfioDevice *device, uint64_t ste[2])
{
    return test_attached_ste(f->host, device, ste);
}

static ViommuDevice *find_device(Fixture *f, uint32_t sid)
{
    DeviceEntry *entry;

    rcu_section_enter();
    entry = device_map_find_virt(f->viommu->devices, sid);
    rcu_section_leave();
    g_assert_nonnull(entry);
    return caa_container_of(entry, ViommuDevice, entry);
}

FixturePlace fixture_place(Fixture *f, uint32_t sid)
{
    const Smmuv3Host *shared = &smmuv3_from(f->viommu)->host;
    ViommuDevice *device = find_device(f, sid);
    uint64_t ste[2];
    uint32_t id = fixture_attached_to(f, device->vfio, ste);

    if (device->hwpt_id != 0) {
        g_assert_cmpuint(device->hwpt_id, ==, id);
        g_assert_cmphex(ste[0] & 0xf, ==, 0xb);     /* V, Config 5 */
        return PLACE_STAGE1;
    }
    if (id == shared->abort_id) {
        g_assert_cmphex(ste[0], ==, 0);
        return PLACE_ABORT;
    }
    if (id == shared->bypass_id) {
        g_assert_cmphex(ste[0], ==, 0x9);           /* V, Config 4 */
        return PLACE_BYPASS;
    }
    return PLACE_ELSEWHERE;
}

void fixture_pump(Fixture *f)
{
    test_context_pump(f->ctx);
}

uint32_t guest_read(Fixture *f, uint64_t offset)
{
    return viommu_mmio_read(f->viommu, offset, 4);
}

uint64_t guest_read64(Fixture *f, uint64_t offset)
{
    return viommu_mmio_read(f->viommu, offset, 8);
}

void guest_write(Fixture *f, uint64_t offset, uint32_t value)
{
    viommu_mmio_write(f->viommu, offset, 4, value);
}

void guest_write64(Fixture *f, uint64_t offset, uint64_t value)
{
    viommu_mmio_write(f->viommu, offset, 8, value);
}

uint64_t *guest_words(Fixture *f, uint64_t gpa)
{
    return (uint64_t *)(f->ram + (gpa - GUEST_RAM));
}

static void set_cr0(Fixture *f, uint32_t value)
{
    guest_write(f, A_CR0, value);
    g_assert_cmphex(guest_read(f, A_CR0ACK), ==, value);
}

void guest_enable_eventq(Fixture *f, unsigned log2_eventq)
{
    guest_write64(f, A_EVENTQ_BASE, GUEST_EVENTQ | log2_eventq);
    guest_write(f, A_EVENTQ_PROD, 0);
    guest_write(f, A_EVENTQ_CONS, 0);
    set_cr0(f, guest_read(f, A_CR0) | FIELD_MASK(CR0, EVENTQEN));
}

void guest_disable_eventq(Fixture *f)
{
    set_cr0(f, guest_read(f, A_CR0) & ~FIELD_MASK(CR0, EVENTQEN));
}

void guest_enable_priq(Fixture *f, unsigned log2_priq)
{
    guest_write64(f, A_PRIQ_BASE, GUEST_PRIQ | log2_priq);
    guest_write(f, A_PRIQ_PROD, 0);
    guest_write(f, A_PRIQ_CONS, 0);
    set_cr0(f, guest_read(f, A_CR0) | FIELD_MASK(CR0, PRIQEN));
}

void guest_disable_priq(Fixture *f)
{
    set_cr0(f, guest_read(f, A_CR0) & ~FIELD_MASK(CR0, PRIQEN));
}

/* As far as the event queue. */
static void start_queues(Fixture *f, unsigned log2_eventq, unsigned log2_cmdq)
{
    set_cr0(f, 0);
    guest_write(f, A_CR1, 0xd75);
    guest_write(f, A_CR2, 0x6);
    for (uint32_t sid = 0; sid < 256; sid++) {
        guest_set_ste(f, sid, 1 | 4 << 1, 0);
    }
    guest_write64(f, A_STRTAB_BASE, GUEST_STRTAB);
    guest_write(f, A_STRTAB_BASE_CFG, 8);
    guest_write64(f, A_CMDQ_BASE, GUEST_CMDQ | log2_cmdq);
    guest_write(f, A_CMDQ_PROD, 0);
    guest_write(f, A_CMDQ_CONS, 0);
    f->log2_cmdq = log2_cmdq;
    f->cmdq_prod = 0;
    set_cr0(f, FIELD_MASK(CR0, CMDQEN));
    guest_enable_eventq(f, log2_eventq);
}

void guest_start(Fixture *f, unsigned log2_eventq, unsigned log2_cmdq)
{
    start_queues(f, log2_eventq, log2_cmdq);
    guest_write(f, A_IRQ_CTRL, FIELD_MASK(IRQ_CTRL, EVENTQ_IRQEN) |
                                   FIELD_MASK(IRQ_CTRL, GERROR_IRQEN));
    set_cr0(f, guest_read(f, A_CR0) | FIELD_MASK(CR0, SMMUEN));
}

void guest_start_priq(Fixture *f, unsigned log2_eventq, unsigned log2_cmdq,
                      unsigned log2_priq)
{
    start_queues(f, log2_eventq, log2_cmdq);
    guest_enable_priq(f, log2_priq);
    set_cr0(f, guest_read(f, A_CR0) | FIELD_MASK(CR0, ATSCHK));
    guest_write(f, A_IRQ_CTRL, 0);
    g_assert_cmphex(guest_read(f, A_IRQ_CTRLACK), ==, 0);
    guest_write64(f, A_GERROR_IRQ_CFG0, 0);
    guest_write64(f, A_EVENTQ_IRQ_CFG0, 0);
    guest_write64(f, A_PRIQ_IRQ_CFG0, 0);
    guest_write(f, A_IRQ_CTRL, 0x7);
    g_assert_cmphex(guest_read(f, A_IRQ_CTRLACK), ==, 0x7);
    set_cr0(f, guest_read(f, A_CR0) | FIELD_MASK(CR0, SMMUEN));
}

void guest_command(Fixture *f, uint64_t word0, uint64_t word1)
{
    GuestRing ring = { .log2size = f->log2_cmdq };
    uint32_t index = guest_ring_index(&ring, f->cmdq_prod);
    uint64_t *slot = guest_words(f, GUEST_CMDQ + index * SMMUV3_CMD_BYTES);

    guest_words_store(slot, (uint64_t[]){ word0, word1 }, 2);
    f->cmdq_prod = guest_ring_advance(&ring, f->cmdq_prod, 1);
}

void guest_kick(Fixture *f)
{
    guest_write(f, A_CMDQ_PROD, f->cmdq_prod);
}

void guest_set_ste(Fixture *f, uint32_t sid, uint64_t word0, uint64_t word1)
{
    guest_words_store(guest_words(f, GUEST_STRTAB + sid * 64),
                      (uint64_t[]){ word0, word1 }, 2);
}

bool guest_consume(Fixture *f, uint64_t event[4])
{
    unsigned log2 = FIELD_GET(guest_read64(f, A_EVENTQ_BASE), Q_BASE, LOG2SIZE);
    uint32_t cons = guest_read(f, A_EVENTQ_CONS);
    GuestRing ring = {
        .log2size = log2,
        .prod = guest_read(f, A_EVENTQ_PROD),
        .cons = cons,
    };

    if (guest_ring_empty(&ring)) {
        return false;
    }
    guest_words_load(event,
                     guest_words(f, GUEST_EVENTQ +
                                        guest_ring_index(&ring, cons) *
                                            SMMUV3_EVENT_BYTES), 4);
    guest_write(f, A_EVENTQ_CONS,
                (cons & FIELD_MASK(EVENTQ_CONS, OVACKFLG)) |
                    guest_ring_advance(&ring, cons, 1));
    return true;
}

bool guest_consume_ppr(Fixture *f, uint64_t ppr[2])
{
    uint32_t cons = guest_read(f, A_PRIQ_CONS);
    GuestRing ring = {
        .log2size = FIELD_GET(guest_read64(f, A_PRIQ_BASE), Q_BASE, LOG2SIZE),
        .prod = guest_read(f, A_PRIQ_PROD),
        .cons = cons,
    };

    if (guest_ring_empty(&ring)) {
        return false;
    }
    guest_words_load(ppr,
                     guest_words(f, GUEST_PRIQ +
                                        guest_ring_index(&ring, cons) *
                                            SMMUV3_PPR_BYTES), 2);
    guest_write(f, A_PRIQ_CONS,
                (cons & FIELD_MASK(PRIQ_CONS, OVACKFLG)) |
                    guest_ring_advance(&ring, cons, 1));
    return true;
}
