/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The order of accesses is that of Linux 7.3's arm-smmu-v3 driver, from probe
 * to the last enable.
 */
#include "guest-smmuv3-internal.h"

#include "base/error.h"
#include "base/report.h"
#include "iothread/aio-context.h"

#include <sched.h>

#define TIMEOUT_NS INT64_C(1000000000)

/* 6.3.11, 6.3.12: inner shareable, write-back everywhere; PTM, RECINVSID. */
#define CR1_LINUX 0xd75
#define CR2_LINUX 0x6

/* 6.3.21: device-nGnRE */
#define IRQ_CFG2_LINUX 0x1

#define TTF_AARCH64 2

static uint32_t read32(GuestSmmuv3 *guest, uint32_t offset)
{
    return viommu_mmio_read(guest->viommu, offset, 4);
}

static void write32(GuestSmmuv3 *guest, uint32_t offset, uint32_t value)
{
    viommu_mmio_write(guest->viommu, offset, 4, value);
}

bool guest_smmuv3_wait(GuestSmmuv3 *guest, uint32_t offset, uint32_t mask,
                       uint32_t value, GError **error)
{
    int64_t deadline = aio_clock_ns() + TIMEOUT_NS;
    uint32_t found;

    while (((found = read32(guest, offset)) & mask) != value) {
        if (aio_clock_ns() > deadline) {
            g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                        "register 0x%x is 0x%x after a second, not 0x%x",
                        offset, found, value);
            return false;
        }
        sched_yield();
    }
    return true;
}

/* Write a control register and wait until its ACK, the next one, agrees. */
static bool write_acked(GuestSmmuv3 *guest, uint32_t offset, uint32_t value,
                        GError **error)
{
    write32(guest, offset, value);
    return guest_smmuv3_wait(guest, offset + 4, UINT32_MAX, value, error);
}

/* Which features there are; refuse what cannot be driven. */
static bool probe(GuestSmmuv3 *guest, GError **error)
{
    guest->idr0 = read32(guest, SMMU_IDR0);
    guest->idr1 = read32(guest, SMMU_IDR1);
    /* Range invalidation, address sizes, errata: of no use to this driver. */
    read32(guest, SMMU_IDR3);
    read32(guest, SMMU_IDR5);
    read32(guest, SMMU_IIDR);
    if (!(FIELD_GET(guest->idr0, IDR0, TTF) & TTF_AARCH64) ||
        FIELD_GET(guest->idr1, IDR1, PRESET)) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "cannot drive an SMMU with IDR0 0x%x and IDR1 0x%x",
                    guest->idr0, guest->idr1);
        return false;
    }
    return true;
}

/* An SMMU that somebody left on must abort before it is set up. */
static bool switch_off(GuestSmmuv3 *guest, GError **error)
{
    if (FIELD_GET(read32(guest, SMMU_CR0), CR0, SMMUEN)) {
        if (!guest_smmuv3_wait(guest, SMMU_GBPA, FIELD_MASK(GBPA, UPDATE), 0,
                               error)) {
            return false;
        }
        write32(guest, SMMU_GBPA, read32(guest, SMMU_GBPA) |
                                      FIELD_MASK(GBPA, ABORT) |
                                      FIELD_MASK(GBPA, UPDATE));
        if (!guest_smmuv3_wait(guest, SMMU_GBPA, FIELD_MASK(GBPA, UPDATE), 0,
                               error)) {
            return false;
        }
    }
    return write_acked(guest, SMMU_CR0, 0, error);
}

/* Commands come before events: the first of them empty all caches. */
static bool set_up_tables_and_commands(GuestSmmuv3 *guest, uint32_t *cr0,
                                       GError **error)
{
    write32(guest, SMMU_CR1, CR1_LINUX);
    write32(guest, SMMU_CR2, CR2_LINUX);
    if (!guest_strtab_init(guest, error) || !guest_cmdq_init(guest, error)) {
        return false;
    }
    *cr0 = FIELD_MASK(CR0, CMDQEN);
    return write_acked(guest, SMMU_CR0, *cr0, error) &&
           guest_cmdq_invalidate_all(guest, error);
}

/* BASE, then indices, then the enable: the size says which bits they have. */
static bool set_up_event_queue(GuestSmmuv3 *guest, uint32_t *cr0,
                               GError **error)
{
    guest->eventq = guest_eventq_new(guest->viommu, guest->ram,
                                     FIELD_GET(guest->idr1, IDR1, EVENTQS),
                                     error);
    if (!guest->eventq) {
        return false;
    }
    guest_eventq_expect(guest->eventq, &guest->records);
    viommu_mmio_write(guest->viommu, SMMU_EVENTQ_BASE, 8,
                      guest_eventq_get_base(guest->eventq) | SMMU_BASE_HINT);
    write32(guest, SMMU_EVENTQ_PROD, 0);
    write32(guest, SMMU_EVENTQ_CONS, 0);
    *cr0 |= FIELD_MASK(CR0, EVENTQEN);
    if (!write_acked(guest, SMMU_CR0, *cr0, error)) {
        return false;
    }
    if (FIELD_GET(guest->idr0, IDR0, ATS)) {
        *cr0 |= FIELD_MASK(CR0, ATSCHK);
        return write_acked(guest, SMMU_CR0, *cr0, error);
    }
    return true;
}

/* A message to the doorbell pulses the line that a wire would. */
static void set_up_message(GuestSmmuv3 *guest, uint32_t cfg0, uint32_t line)
{
    viommu_mmio_write(guest->viommu, cfg0, 8, GUEST_SMMUV3_DOORBELL);
    write32(guest, cfg0 + IRQ_CFG1_OFFSET, line);
    write32(guest, cfg0 + IRQ_CFG2_OFFSET, IRQ_CFG2_LINUX);
}

/* All off before they are changed, as the registers are guarded. */
static bool set_up_interrupts(GuestSmmuv3 *guest, GError **error)
{
    if (!write_acked(guest, SMMU_IRQ_CTRL, 0, error)) {
        return false;
    }
    viommu_mmio_write(guest->viommu, SMMU_GERROR_IRQ_CFG0, 8, 0);
    viommu_mmio_write(guest->viommu, SMMU_EVENTQ_IRQ_CFG0, 8, 0);
    if (FIELD_GET(guest->idr0, IDR0, MSI)) {
        set_up_message(guest, SMMU_EVENTQ_IRQ_CFG0, SMMUV3_IRQ_EVENTQ);
        set_up_message(guest, SMMU_GERROR_IRQ_CFG0, SMMUV3_IRQ_GERROR);
    }
    return write_acked(guest, SMMU_IRQ_CTRL,
                       FIELD_MASK(IRQ_CTRL, EVENTQ_IRQEN) |
                           FIELD_MASK(IRQ_CTRL, GERROR_IRQEN), error);
}

static bool set_up(GuestSmmuv3 *guest, GError **error)
{
    uint32_t cr0 = 0;

    return probe(guest, error) && switch_off(guest, error) &&
           set_up_tables_and_commands(guest, &cr0, error) &&
           set_up_event_queue(guest, &cr0, error) &&
           set_up_interrupts(guest, error) &&
           write_acked(guest, SMMU_CR0, cr0 | FIELD_MASK(CR0, SMMUEN), error);
}

/*
 * After SMMUEN, as a kernel attaches devices when their drivers probe: until
 * then their StreamIDs are not in the table, and abort.
 */
static bool attach_devices(GuestSmmuv3 *guest, const uint32_t *sids,
                           size_t count, GError **error)
{
    for (size_t i = 0; i < count; i++) {
        guest_eventq_add_device(guest->eventq, sids[i]);
        if (!guest_strtab_attach(guest, sids[i], error)) {
            return false;
        }
    }
    return true;
}

/* As the driver's shutdown does. Before the queue's memory may go. */
static void disable(GuestSmmuv3 *guest)
{
    GError *error = NULL;

    if (!write_acked(guest, SMMU_IRQ_CTRL, 0, &error) ||
        !write_acked(guest, SMMU_CR0, 0, &error)) {
        error_report("guest of '%s': %s", viommu_get_id(guest->viommu),
                     error->message);
        g_error_free(error);
        guest->stop_errors++;
    }
}

GuestSmmuv3 *guest_smmuv3_new(const GuestSmmuv3Config *config, GError **error)
{
    GuestSmmuv3 *guest = g_new0(GuestSmmuv3, 1);

    guest->viommu = config->viommu;
    guest->ram = config->ram;
    guest->records = config->records;
    if (set_up(guest, error) &&
        attach_devices(guest, config->sids, config->sid_count, error) &&
        guest_eventq_start(guest->eventq, config->irq, error)) {
        return guest;
    }
    /* Off, so that nothing refers to the memory that goes. */
    g_prefix_error(error, "guest of '%s': ", viommu_get_id(config->viommu));
    disable(guest);
    guest_smmuv3_free(guest);
    return NULL;
}

void guest_smmuv3_rest(GuestSmmuv3 *guest)
{
    guest_eventq_stop(guest->eventq);
}

void guest_smmuv3_stop(GuestSmmuv3 *guest)
{
    guest_smmuv3_rest(guest);
    disable(guest);
}

void guest_smmuv3_free(GuestSmmuv3 *guest)
{
    if (guest) {
        guest_eventq_free(guest->eventq);
        g_free(guest);
    }
}

GuestSmmuv3Counts guest_smmuv3_get_counts(const GuestSmmuv3 *guest)
{
    GuestSmmuv3Counts counts = guest_eventq_get_counts(guest->eventq);

    counts.gerrors += guest->stop_errors;
    return counts;
}

void guest_smmuv3_get_latency(const GuestSmmuv3 *guest,
                              HistogramSnapshot *latency)
{
    guest_eventq_get_latency(guest->eventq, latency);
}
