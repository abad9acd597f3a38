/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rules that the driver of an SMMUv3 breaks, one per input, and what the
 * specification says of it (Arm IHI 0070 G.b). All was read and answered before
 * but for groups that wait for the guest's answer. A reset follows.
 */
#include "fuzz-driver-smmuv3.h"

#define ERR_ILL 1
#define ERR_ABT 2

/* A device of the host in some slot; plugged in if there is none. */
static FuzzSlot *host_slot(Driver *d)
{
    FuzzSlot *slot = driver_slot(d);

    if (slot->sva) {
        driver_answer_all(d);
        driver_unplug(d, slot);
    }
    if (!slot->plugged) {
        driver_plug(d, slot, false);
    }
    return slot;
}

/* The same of an emulated device. */
static FuzzSlot *sva_slot(Driver *d)
{
    FuzzSlot *slot = driver_slot(d);

    if (slot->vfio) {
        driver_unplug(d, slot);
    }
    if (!slot->plugged) {
        driver_plug(d, slot, true);
    }
    return slot;
}

static HardwareReport report(Driver *d, FuzzSlot *slot)
{
    const uint64_t event[4] = { 0x10, BIT(35), 0, 0 };

    return d->u->host->hardware->report_event(
        d->u->host, vfio_device_get_dev_id(slot->vfio), event);
}

static uint32_t active_errors(Driver *d)
{
    return smmu_read(d, A_GERROR) ^ smmu_read(d, A_GERRORN);
}

static void assert_stray(Driver *d, uint64_t count)
{
    fuzz_turn(d->u);
    g_assert_cmpuint(viommu_get_page_stats(d->u->viommu).stray, ==,
                     d->u->pages.stray + count);
}

/* ---- 7.1: commands ---- */

/* An error stops the queue where it is; its cure has it go on. */
static void break_command(Driver *d)
{
    static const uint64_t bad[][2] = {
        { 0xff, 0 }, { 0x00, 0 },               /* no such command */
        { 0x44, 0 }, { 0x45, 0 },               /* nothing stalls */
        { 0x46 | 3 << 12, 0 },                  /* CS */
        { 0x41, 3 << 12 },                      /* Resp */
        { 0x03 | BIT(10), 0 },                  /* SSec */
        { 0x20, 0 },                            /* EL2 */
    };
    const uint64_t *words = bad[driver_below(d, G_N_ELEMENTS(bad))];
    const uint64_t sync[2] = { SMMU_SYNC, 0 };
    unsigned interrupts;
    uint32_t at;

    smmu_run(d);
    smmu_put(d, 0x30, 0);
    at = d->cmd_prod;
    smmu_put(d, words[0], words[1]);
    smmu_put(d, SMMU_SYNC | 1 << 12, GUEST_DOORBELL);
    smmu_write(d, A_CMDQ_PROD, d->cmd_prod);
    g_assert_cmphex(smmu_read(d, A_CMDQ_CONS), ==, ERR_ILL << 24 | at);
    g_assert_cmphex(active_errors(d), ==, FIELD_MASK(GERROR, CMDQ_ERR));
    /* Not again while it is active; what GERROR raised is no SYNC's. */
    interrupts = smmu_interrupts(d, SMMUV3_IRQ_CMD_SYNC);
    smmu_write(d, A_CMDQ_PROD, d->cmd_prod);
    g_assert_cmphex(smmu_read(d, A_CMDQ_CONS), ==, ERR_ILL << 24 | at);
    fuzz_store(d->u, smmu_command_gpa(d, at), sync, 2);
    smmu_write(d, A_GERRORN, smmu_read(d, A_GERROR));
    g_assert_cmphex(smmu_read(d, A_CMDQ_CONS), ==, d->cmd_prod);
    g_assert_cmphex(active_errors(d), ==, 0);
    g_assert_cmpuint(smmu_interrupts(d, SMMUV3_IRQ_CMD_SYNC), ==,
                     interrupts + 1);
}

static void break_cmdq_base(Driver *d)
{
    smmu_run(d);
    smmu_cr0(d, smmu_read(d, A_CR0) & ~FIELD_MASK(CR0, CMDQEN));
    fuzz_write(d->u, A_CMDQ_BASE, 8, GUEST_NOWHERE | d->log2_cmdq);
    smmu_write(d, A_CMDQ_CONS, 0);
    smmu_write(d, A_CMDQ_PROD, 1);
    smmu_cr0(d, smmu_read(d, A_CR0) | FIELD_MASK(CR0, CMDQEN));
    g_assert_cmphex(smmu_read(d, A_CMDQ_CONS), ==, ERR_ABT << 24);
    g_assert_cmphex(active_errors(d), ==, FIELD_MASK(GERROR, CMDQ_ERR));
}

/* 3.5: more than the queue has room for: nothing is run. */
static void break_cmdq_prod(Driver *d)
{
    uint32_t cons = smmu_read(d, A_CMDQ_CONS);

    smmu_write(d, A_CMDQ_PROD, (cons ^ 1u << d->log2_cmdq) + 1);
    g_assert_cmphex(smmu_read(d, A_CMDQ_CONS), ==, cons);
    g_assert_cmphex(active_errors(d), ==, 0);
}

/* ---- 6.3: registers ---- */

/* What a guard says stays as it is while it is on; IDs always do. */
static void break_guards(Driver *d)
{
    static const struct {
        uint32_t offset;
        unsigned size;
    } guarded[] = {
        { A_CR1, 4 }, { A_CR2, 4 }, { A_STRTAB_BASE, 8 },
        { A_STRTAB_BASE_CFG, 4 }, { A_CMDQ_BASE, 8 }, { A_CMDQ_CONS, 4 },
        { A_EVENTQ_BASE, 8 }, { A_EVENTQ_PROD, 4 }, { A_PRIQ_BASE, 8 },
        { A_PRIQ_PROD, 4 }, { A_EVENTQ_IRQ_CFG0, 8 }, { A_EVENTQ_IRQ_CFG1, 4 },
        { A_PRIQ_IRQ_CFG0, 8 }, { A_PRIQ_IRQ_CFG2, 4 },
        { A_GERROR_IRQ_CFG0, 8 }, { A_IDR0, 4 }, { A_IDR1, 4 },
        { A_CR0ACK, 4 }, { A_GERROR, 4 }, { A_IRQ_CTRLACK, 4 },
    };
    unsigned which = driver_below(d, G_N_ELEMENTS(guarded));
    uint64_t old = fuzz_read(d->u, guarded[which].offset, guarded[which].size);

    fuzz_write(d->u, guarded[which].offset, guarded[which].size,
               fuzz_value(d->u, old));
    g_assert_cmphex(fuzz_read(d->u, guarded[which].offset,
                              guarded[which].size), ==, old);
}

/* Of a size or an alignment that there is not: as if it had not been. */
static void break_access(Driver *d)
{
    static const uint32_t plain[] = { A_GERRORN, A_CMDQ_PROD, A_EVENTQ_CONS,
                                      A_PRIQ_CONS, A_CR0, A_IRQ_CTRL };
    static const uint8_t sizes[] = { 1, 2, 3, 5, 6, 7, 8, 8 };
    uint32_t offset = plain[driver_below(d, G_N_ELEMENTS(plain))];
    unsigned size = sizes[driver_below(d, sizeof(sizes))];
    uint32_t old = smmu_read(d, offset);

    fuzz_write(d->u, offset, size, ~(uint64_t)old);
    g_assert_cmphex(smmu_read(d, offset), ==, old);
    fuzz_write(d->u, offset + 2, 4, ~(uint64_t)old);
    g_assert_cmphex(smmu_read(d, offset), ==, old);
    g_assert_cmphex(fuzz_read(d->u, offset, size), ==, 0);
}

/* 6.3.14: without Update. */
static void break_gbpa(Driver *d)
{
    uint32_t old = smmu_read(d, A_GBPA);

    smmu_write(d, A_GBPA, FIELD_MASK(GBPA, ABORT));
    g_assert_cmphex(smmu_read(d, A_GBPA), ==, old);
}

/* 6.3.9: bits that are reserved here have no acknowledgement. */
static void break_cr0(Driver *d)
{
    uint32_t old = smmu_read(d, A_CR0);

    smmu_write(d, A_CR0, old | fuzz_u32(&d->u->in) << 5);
    g_assert_cmphex(smmu_read(d, A_CR0ACK), ==, old);
}

/* 6.3.18: an error that is not active. */
static void break_gerrorn(Driver *d)
{
    uint32_t old = smmu_read(d, A_GERRORN);

    smmu_write(d, A_GERRORN, old ^ (fuzz_u8(&d->u->in) | 1));
    g_assert_cmphex(smmu_read(d, A_GERRORN), ==, old);
}

/* ---- 5.2: stream table entries ---- */

static void break_ste(Driver *d)
{
    static const uint64_t bad[] = { 0xd, 0xf };         /* stage 2 */
    FuzzSlot *slot = host_slot(d);

    smmu_store_ste(d, slot, bad[driver_below(d, G_N_ELEMENTS(bad))], 0);
    smmu_put(d, 0x03 | (uint64_t)slot->id << 32, 1);
    smmu_run(d);
    d->place[slot - d->u->slots] = 0;
    smmu_check_place(d, slot);
}

/* Changed, and nobody told: the host has the old one until somebody is. */
static void break_stale_ste(Driver *d)
{
    FuzzSlot *slot = host_slot(d);

    smmu_set_ste(d, slot, SMMU_STE_BYPASS);
    smmu_store_ste(d, slot, SMMU_STE_STAGE1, 0);
    smmu_run(d);
    smmu_check_place(d, slot);
    smmu_set_ste(d, slot, SMMU_STE_STAGE1);
}

/* ---- 7.2: the event queue ---- */

/* CONS more than PROD: full until it is right again, and then all is there. */
static void break_eventq_cons(Driver *d)
{
    FuzzSlot *slot = host_slot(d);
    uint32_t prod = smmu_read(d, A_EVENTQ_PROD);
    uint32_t cons = smmu_read(d, A_EVENTQ_CONS);
    uint32_t mask = (2u << d->log2_eventq) - 1;

    smmu_write(d, A_EVENTQ_CONS, (cons & BIT(31)) | ((cons + 1) & mask));
    g_assert_cmpint(report(d, slot), ==, HARDWARE_QUEUED);
    fuzz_turn(d->u);
    g_assert_cmphex(smmu_read(d, A_EVENTQ_PROD), ==, prod);
    smmu_write(d, A_EVENTQ_CONS, cons);
    fuzz_turn(d->u);
    g_assert_cmphex(smmu_read(d, A_EVENTQ_PROD) & mask, ==, (prod + 1) & mask);
}

static void break_eventq_base(Driver *d)
{
    FuzzSlot *slot = host_slot(d);

    smmu_cr0(d, smmu_read(d, A_CR0) & ~FIELD_MASK(CR0, EVENTQEN));
    smmu_enable_eventq(d, GUEST_NOWHERE);
    g_assert_cmpint(report(d, slot), ==, HARDWARE_QUEUED);
    fuzz_turn(d->u);
    g_assert_cmphex(active_errors(d), ==, FIELD_MASK(GERROR, EVENTQ_ABT_ERR));
    g_assert_cmphex(smmu_read(d, A_EVENTQ_PROD), ==, 0);
}

/* ---- 8: page requests ---- */

/* The group is answered by the SMMU. */
static void break_priq_base(Driver *d)
{
    FuzzSlot *slot = sva_slot(d);
    DriverGroup *group;

    smmu_cr0(d, smmu_read(d, A_CR0) & ~FIELD_MASK(CR0, PRIQEN));
    smmu_enable_priq(d, GUEST_NOWHERE);
    group = driver_request(d, slot, 7, 1);
    fuzz_turn(d->u);
    if (group) {
        driver_answered(d, group, PAGE_RESPONSE_FAILURE);
        g_assert_cmphex(active_errors(d), ==,
                        FIELD_MASK(GERROR, PRIQ_ABT_ERR));
    }
}

/* Off, and nobody told the device. */
static void break_priq_off(Driver *d)
{
    FuzzSlot *slot = sva_slot(d);
    DriverGroup *group;

    smmu_cr0(d, smmu_read(d, A_CR0) & ~FIELD_MASK(CR0, PRIQEN));
    group = driver_request(d, slot, 7, 3);
    fuzz_turn(d->u);
    if (group) {
        driver_answered(d, group, PAGE_RESPONSE_FAILURE);
    }
}

static void put_response(Driver *d, uint32_t sid, uint32_t pasid,
                         uint32_t index)
{
    smmu_put(d, 0x41 | BIT(11) | (uint64_t)pasid << 12 | (uint64_t)sid << 32,
             index | 2 << 12);
}

/* A response to what nobody asked. */
static void break_response(Driver *d)
{
    put_response(d, driver_slot(d)->id, 9, driver_below(d, DRIVER_INDICES));
    put_response(d, 0x1234, 1, 0);
    smmu_run(d);
    assert_stray(d, 2);
}

static void break_response_twice(Driver *d)
{
    DriverGroup *group = driver_request(d, sva_slot(d), 7, 1);

    if (!group) {
        return;
    }
    d->ops->drain(d);
    for (unsigned i = 0; i < 2; i++) {
        put_response(d, group->slot->id, 7, group->index);
    }
    smmu_run(d);
    assert_stray(d, 1);
    driver_answered(d, group, PAGE_RESPONSE_SUCCESS);
}

/* 8.1: never acknowledged, and then a group that does not fit. */
static void break_priq_cons(Driver *d)
{
    FuzzSlot *slot = sva_slot(d);
    uint32_t prod = smmu_read(d, A_PRIQ_PROD);
    DriverGroup *group;

    /* OVACKFLG without an overflow looks like one that is active. */
    smmu_write(d, A_PRIQ_CONS, prod ^ BIT(31));
    group = driver_request(d, slot, PAGE_REQUEST_NO_PASID, 2);
    fuzz_turn(d->u);
    if (group) {
        driver_answered(d, group, PAGE_RESPONSE_SUCCESS);
        g_assert_cmphex(smmu_read(d, A_PRIQ_PROD), ==, prod);
    }
    smmu_write(d, A_PRIQ_CONS, prod);
}

/* 3.18: messages to where nothing is. */
static void break_msi(Driver *d)
{
    FuzzSlot *slot = host_slot(d);

    smmu_write(d, A_IRQ_CTRL, 0);
    fuzz_write(d->u, A_EVENTQ_IRQ_CFG0, 8, GUEST_NOWHERE);
    smmu_write(d, A_IRQ_CTRL, 7);
    g_assert_cmpint(report(d, slot), ==, HARDWARE_QUEUED);
    fuzz_turn(d->u);
    g_assert_cmphex(active_errors(d), ==,
                    FIELD_MASK(GERROR, MSI_EVENTQ_ABT_ERR));
    smmu_put(d, SMMU_SYNC | 1 << 12, GUEST_NOWHERE);
    smmu_write(d, A_CMDQ_PROD, d->cmd_prod);
    g_assert_cmphex(smmu_read(d, A_CMDQ_CONS), ==, d->cmd_prod);
    g_assert_cmphex(active_errors(d), ==,
                    FIELD_MASK(GERROR, MSI_EVENTQ_ABT_ERR) |
                        FIELD_MASK(GERROR, MSI_CMDQ_ABT_ERR));
}

void (*const smmu_breaks[SMMU_BREAKS])(Driver *) = {
    break_command, break_cmdq_base, break_cmdq_prod, break_guards,
    break_access, break_gbpa, break_cr0, break_gerrorn, break_ste,
    break_stale_ste, break_eventq_cons, break_eventq_base, break_priq_base,
    break_priq_off, break_response, break_response_twice, break_priq_cons,
    break_msi,
};
