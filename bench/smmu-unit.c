/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A slice: the event queue, the stream table, the command queue, each aligned
 * to its size, which the specification asks for.
 */
#include "smmu-unit.h"

#include "bench.h"
#include "peer.h"

#include "hw/arm/smmuv3-internal.h"

#include <sys/mman.h>

#define BASE_GPA UINT64_C(0x40000000)
#define STE_BYTES 64
#define STRTAB_BYTES (SMMU_UNIT_STREAMS * STE_BYTES)
#define LOG2_STREAMS 10
#define LOG2_CMDQ 8
#define CMDQ_BYTES 4096

G_STATIC_ASSERT(1 << LOG2_STREAMS == SMMU_UNIT_STREAMS);
G_STATIC_ASSERT(SMMUV3_CMD_BYTES << LOG2_CMDQ == CMDQ_BYTES);
G_STATIC_ASSERT(SMMU_UNIT_BATCH + 1 < 1 << LOG2_CMDQ);

/* STE (5.2): V, Config "bypass". */
#define STE0_BYPASS UINT64_C(0x9)

/* 4.4.1.5 and 4.7: opcodes; CMD_TLBI_NH_VA: ASID 1, Leaf. */
#define TLBI_NH_VA (UINT64_C(0x12) | UINT64_C(1) << 48)
#define TLBI_LEAF UINT64_C(1)
#define SYNC UINT64_C(0x46)

/* ---- Guest memory ---- */

static size_t ring_bytes(const SmmuMemory *mem)
{
    return (size_t)PEER_ENTRY_BYTES << mem->log2_ring;
}

static size_t strtab_offset(const SmmuMemory *mem)
{
    return MAX(ring_bytes(mem), STRTAB_BYTES);
}

static size_t cmdq_offset(const SmmuMemory *mem)
{
    return 2 * strtab_offset(mem);
}

/* A multiple of what is in it, so that the next one is aligned too. */
static size_t slice_bytes(const SmmuMemory *mem)
{
    return 3 * strtab_offset(mem);
}

uint64_t *smmu_memory_entries(const SmmuMemory *mem, size_t place)
{
    return (uint64_t *)(mem->bytes + place * slice_bytes(mem));
}

void smmu_memory_init(SmmuMemory *mem, size_t count, unsigned log2_ring)
{
    GuestMemRegion region = { .gpa = BASE_GPA };
    GError *error = NULL;

    mem->log2_ring = log2_ring;
    mem->size = count * slice_bytes(mem);
    mem->bytes = mmap(NULL, mem->size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    g_assert(mem->bytes != MAP_FAILED);
    region.hva = mem->bytes;
    region.size = mem->size;
    mem->map = guest_mem_new();
    bench_must(guest_mem_set_regions(mem->map, &region, 1, &error), &error);
}

void smmu_memory_destroy(SmmuMemory *mem)
{
    guest_mem_free(mem->map);
    munmap(mem->bytes, mem->size);
}

/* ---- The guest ---- */

static uint64_t slice_gpa(const SmmuUnit *unit, size_t offset)
{
    return BASE_GPA + unit->place * slice_bytes(unit->mem) + offset;
}

static uint64_t *slice_words(const SmmuUnit *unit, size_t offset)
{
    return smmu_memory_entries(unit->mem, unit->place) + offset / 8;
}

static void write_reg(SmmuUnit *unit, uint64_t offset, uint32_t value)
{
    viommu_mmio_write(unit->viommu, offset, 4, value);
}

static void write_reg64(SmmuUnit *unit, uint64_t offset, uint64_t value)
{
    viommu_mmio_write(unit->viommu, offset, 8, value);
}

static void set_cr0(SmmuUnit *unit, uint32_t value)
{
    write_reg(unit, A_CR0, value);
    g_assert_cmphex(viommu_mmio_read(unit->viommu, A_CR0ACK, 4), ==, value);
}

/* In the order of Linux's driver. */
static void start_guest(SmmuUnit *unit)
{
    const SmmuMemory *mem = unit->mem;
    uint64_t *strtab = slice_words(unit, strtab_offset(mem));

    for (size_t i = 0; i < SMMU_UNIT_STREAMS; i++) {
        guest_words_store(&strtab[i * STE_BYTES / 8],
                          (uint64_t[]){ STE0_BYPASS }, 1);
    }
    write_reg64(unit, A_STRTAB_BASE, slice_gpa(unit, strtab_offset(mem)));
    write_reg(unit, A_STRTAB_BASE_CFG, LOG2_STREAMS);
    write_reg64(unit, A_CMDQ_BASE,
                slice_gpa(unit, cmdq_offset(mem)) | LOG2_CMDQ);
    set_cr0(unit, FIELD_MASK(CR0, CMDQEN));
    write_reg64(unit, A_EVENTQ_BASE, slice_gpa(unit, 0) | mem->log2_ring);
    set_cr0(unit, FIELD_MASK(CR0, CMDQEN) | FIELD_MASK(CR0, EVENTQEN));
    write_reg(unit, A_IRQ_CTRL, FIELD_MASK(IRQ_CTRL, EVENTQ_IRQEN));
    set_cr0(unit, FIELD_MASK(CR0, CMDQEN) | FIELD_MASK(CR0, EVENTQEN) |
                      FIELD_MASK(CR0, SMMUEN));
}

uint32_t smmu_unit_prod(SmmuUnit *unit)
{
    return viommu_mmio_read(unit->viommu, A_EVENTQ_PROD, 4) &
           FIELD_MASK(Q, POINTER);
}

void smmu_unit_set_cons(SmmuUnit *unit, uint32_t cons)
{
    write_reg(unit, A_EVENTQ_CONS, cons);
}

static void put_command(SmmuUnit *unit, uint64_t word0, uint64_t word1)
{
    const GuestRing ring = { .log2size = LOG2_CMDQ };
    uint64_t *slot = slice_words(unit, cmdq_offset(unit->mem)) +
                     guest_ring_index(&ring, unit->cmdq_prod) *
                         SMMUV3_CMD_BYTES / 8;

    guest_words_store(slot, (uint64_t[]){ word0, word1 }, 2);
    unit->cmdq_prod = guest_ring_advance(&ring, unit->cmdq_prod, 1);
}

void smmu_unit_invalidate(SmmuUnit *unit)
{
    for (uint64_t page = 0; page < SMMU_UNIT_BATCH; page++) {
        put_command(unit, TLBI_NH_VA, page << 12 | TLBI_LEAF);
    }
    put_command(unit, SYNC, 0);
    write_reg(unit, A_CMDQ_PROD, unit->cmdq_prod);
    g_assert_cmphex(viommu_mmio_read(unit->viommu, A_CMDQ_CONS, 4), ==,
                    unit->cmdq_prod);
}

/* ---- Life ---- */

VfioDevice *smmu_device_open(HostIommu *host)
{
    int fd = host->hardware->device_open(host, HARDWARE_SMMUV3);
    GError *error = NULL;
    VfioDevice *vfio;

    g_assert(fd >= 0);
    vfio = vfio_device_bind(host, fd, "bench", &error);
    bench_must(vfio, &error);
    return vfio;
}

void smmu_unit_open(SmmuUnit *unit, AioContext *ctx, SmmuMemory *mem,
                    size_t place)
{
    GError *error = NULL;

    unit->mem = mem;
    unit->place = place;
    unit->entries = smmu_memory_entries(mem, place);
    peer_irq_init(&unit->irq);
    unit->viommu = smmuv3_new(&(ViommuConfig){ .id = "bench",
                                               .ctx = ctx,
                                               .mem = mem->map,
                                               .irq = &unit->irq.parent },
                              NULL, &error);
    bench_must(unit->viommu, &error);
    start_guest(unit);
}

void smmu_unit_plug(SmmuUnit *unit, HostIommu *host)
{
    GError *error = NULL;

    unit->vfio = smmu_device_open(host);
    bench_must(viommu_add_device(unit->viommu, unit->vfio, SMMU_UNIT_VIRT_ID,
                                 &error), &error);
    unit->device = (SourceDevice){
        .dev_id = vfio_device_get_dev_id(unit->vfio),
        .virt_id = SMMU_UNIT_VIRT_ID,
    };
}

void smmu_unit_unplug(SmmuUnit *unit)
{
    bool removed = viommu_remove_device(unit->viommu, SMMU_UNIT_VIRT_ID);

    g_assert(removed);
    vfio_device_free(unit->vfio);
}

void smmu_unit_close(SmmuUnit *unit)
{
    viommu_free(unit->viommu);
    peer_irq_destroy(&unit->irq);
}

static void pin_bh(void *opaque)
{
    bench_pin(BENCH_CPU_PUMP);
}

IOThread *smmu_iothread_new(void)
{
    GError *error = NULL;
    IOThread *iothread = iothread_new("bench", NULL, &error);

    bench_must(iothread, &error);
    aio_wait_bh_oneshot(iothread_get_aio_context(iothread), pin_bh, NULL);
    return iothread;
}
