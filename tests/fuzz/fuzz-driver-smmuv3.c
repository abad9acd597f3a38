/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The driver of an SMMUv3: what it does right. What it does wrong, once, is in
 * fuzz-break-smmuv3.c.
 */
#include "fuzz-driver-smmuv3.h"

static const uint32_t offsets[] = {
    A_IDR0, A_IDR1, A_CR0, A_CR0ACK, A_CR1, A_CR2, A_GBPA, A_IRQ_CTRL, A_GERROR,
    A_GERRORN, A_STRTAB_BASE, A_STRTAB_BASE_CFG, A_CMDQ_BASE, A_CMDQ_PROD,
    A_CMDQ_CONS, A_EVENTQ_BASE, A_EVENTQ_PROD, A_EVENTQ_CONS, A_PRIQ_BASE,
    A_PRIQ_PROD, A_PRIQ_CONS,
};

static Viommu *create(const ViommuConfig *config, unsigned variant)
{
    static const Smmuv3Properties properties = {
        .ats = true, .ril = true, .msi = true, .pri = true, .oas_bits = 44,
        .ssid_bits = 16, .log2_eventq = 8, .log2_cmdq = 8, .log2_priq = 8,
    };
    GError *error = NULL;
    Viommu *viommu = smmuv3_new(config, &properties, &error);

    g_assert_no_error(error);
    return viommu;
}

uint32_t smmu_read(Driver *d, uint64_t offset)
{
    return fuzz_read(d->u, offset, 4);
}

void smmu_write(Driver *d, uint64_t offset, uint32_t value)
{
    fuzz_write(d->u, offset, 4, value);
}

void smmu_cr0(Driver *d, uint32_t value)
{
    smmu_write(d, A_CR0, value);
    g_assert_cmphex(smmu_read(d, A_CR0ACK), ==, value);
}

/* ---- Commands ---- */

uint64_t smmu_command_gpa(Driver *d, uint32_t pointer)
{
    return DRIVER_CMDQ +
           SMMUV3_CMD_BYTES * (uint64_t)(pointer & ((1u << d->log2_cmdq) - 1));
}

static uint32_t command_next(Driver *d)
{
    return (d->cmd_prod + 1) & ((2u << d->log2_cmdq) - 1);
}

/* If the queue is full, all before it is run. */
void smmu_put(Driver *d, uint64_t word0, uint64_t word1)
{
    const uint64_t words[2] = { word0, word1 };
    uint32_t full = smmu_read(d, A_CMDQ_CONS) ^ 1u << d->log2_cmdq;

    if (d->cmd_prod == full) {
        smmu_run(d);
    }
    fuzz_store(d->u, smmu_command_gpa(d, d->cmd_prod), words, 2);
    d->cmd_prod = command_next(d);
}

void smmu_run(Driver *d)
{
    smmu_write(d, A_CMDQ_PROD, d->cmd_prod);
    g_assert_cmphex(smmu_read(d, A_CMDQ_CONS), ==, d->cmd_prod);
    g_assert_cmphex(smmu_read(d, A_GERROR), ==, smmu_read(d, A_GERRORN));
}

/* ---- Tables ---- */

void smmu_store_ste(Driver *d, const FuzzSlot *slot, uint64_t word0,
                    uint64_t word1)
{
    const uint64_t words[2] = { word0, word1 };
    /* The tables of the second level are one behind the other. */
    uint64_t table = d->two_level ? DRIVER_STRTAB_L2 : DRIVER_STRTAB;

    fuzz_store(d->u, table + 64 * (uint64_t)slot->id, words, 2);
}

/* What the host has the device attached to is what the STE says. */
void smmu_check_place(Driver *d, const FuzzSlot *slot)
{
    uint64_t ste[2];

    if (slot->vfio) {
        test_attached_ste(d->u->host, slot->vfio, ste);
        g_assert_cmphex(ste[0], ==, d->place[slot - d->u->slots]);
    }
}

void smmu_set_ste(Driver *d, FuzzSlot *slot, uint64_t word0)
{
    smmu_store_ste(d, slot, word0, 0);
    smmu_put(d, 0x03 | (uint64_t)slot->id << 32, 1);
    smmu_put(d, SMMU_SYNC, 0);
    smmu_run(d);
    d->place[slot - d->u->slots] = word0 & 1 ? word0 : 0;
    smmu_check_place(d, slot);
}

static void start_tables(Driver *d)
{
    d->two_level = driver_below(d, 2);
    fuzz_write(d->u, A_STRTAB_BASE, 8, DRIVER_STRTAB);
    smmu_write(d, A_STRTAB_BASE_CFG, d->two_level ? 16 | 6 << 6 | 1 << 16 : 8);
    for (unsigned i = 0; i < FUZZ_SLOTS; i++) {
        FuzzSlot *slot = &d->u->slots[i];
        uint64_t l1 = slot->id >> 6;
        uint64_t desc = (DRIVER_STRTAB_L2 + l1 * 64 * 64) | 7;

        if (d->two_level) {
            fuzz_store(d->u, DRIVER_STRTAB + 8 * l1, &desc, 1);
        }
        smmu_store_ste(d, slot, SMMU_STE_BYPASS, 0);
        d->place[i] = SMMU_STE_BYPASS;
    }
}

void smmu_enable_eventq(Driver *d, uint64_t base)
{
    d->log2_eventq = driver_below(d, 9);
    fuzz_write(d->u, A_EVENTQ_BASE, 8, base | d->log2_eventq);
    smmu_write(d, A_EVENTQ_PROD, 0);
    smmu_write(d, A_EVENTQ_CONS, 0);
    smmu_cr0(d, smmu_read(d, A_CR0) | FIELD_MASK(CR0, EVENTQEN));
    d->event_count = 0;
    d->lost = false;
}

/* All groups fit: they have at most FUZZ_GROUP_PAGES pages. */
void smmu_enable_priq(Driver *d, uint64_t base)
{
    d->log2_priq = 3 + driver_below(d, 6);
    fuzz_write(d->u, A_PRIQ_BASE, 8, base | d->log2_priq);
    smmu_write(d, A_PRIQ_PROD, 0);
    smmu_write(d, A_PRIQ_CONS, 0);
    smmu_cr0(d, smmu_read(d, A_CR0) | FIELD_MASK(CR0, PRIQEN));
}

static void start_interrupts(Driver *d)
{
    uint64_t doorbell = driver_below(d, 2) ? GUEST_DOORBELL : 0;

    smmu_write(d, A_IRQ_CTRL, 0);
    fuzz_write(d->u, A_GERROR_IRQ_CFG0, 8, doorbell);
    fuzz_write(d->u, A_EVENTQ_IRQ_CFG0, 8, doorbell);
    fuzz_write(d->u, A_PRIQ_IRQ_CFG0, 8, doorbell);
    smmu_write(d, A_IRQ_CTRL, 7);
    g_assert_cmphex(smmu_read(d, A_IRQ_CTRLACK), ==, 7);
}

/* In the order of Linux's driver. */
static void smmu_start(Driver *d)
{
    smmu_cr0(d, 0);
    smmu_write(d, A_CR1, 0xd75);
    smmu_write(d, A_CR2, 0x6);
    start_tables(d);
    d->log2_cmdq = 2 + driver_below(d, 7);
    d->cmd_prod = 0;
    fuzz_write(d->u, A_CMDQ_BASE, 8, DRIVER_CMDQ | d->log2_cmdq);
    smmu_write(d, A_CMDQ_PROD, 0);
    smmu_write(d, A_CMDQ_CONS, 0);
    smmu_cr0(d, FIELD_MASK(CR0, CMDQEN));
    smmu_put(d, 0x04, 31);      /* CFGI_ALL */
    smmu_put(d, SMMU_SYNC, 0);
    smmu_run(d);
    smmu_put(d, 0x30, 0);       /* TLBI_NSNH_ALL */
    smmu_put(d, SMMU_SYNC, 0);
    smmu_run(d);
    smmu_enable_eventq(d, DRIVER_EVENTQ);
    smmu_enable_priq(d, DRIVER_PRIQ);
    smmu_cr0(d, smmu_read(d, A_CR0) | FIELD_MASK(CR0, ATSCHK));
    start_interrupts(d);
    smmu_cr0(d, 0x1f);
    for (unsigned i = 0; i < FUZZ_SLOTS; i++) {
        smmu_check_place(d, &d->u->slots[i]);
    }
}

/* ---- Events ---- */

static bool event_is_there(Driver *d)
{
    uint32_t mask = (2u << d->log2_eventq) - 1;

    return (smmu_read(d, A_EVENTQ_PROD) ^ smmu_read(d, A_EVENTQ_CONS)) & mask;
}

static void event_check(Driver *d, uint64_t gpa)
{
    uint64_t expected = d->events[d->event_first];

    g_assert_cmpuint(d->event_count, >, 0);
    g_assert_cmphex(fuzz_load(d->u, gpa), ==,
                    0x10 | (expected >> 32) << 32);
    g_assert_cmphex(fuzz_load(d->u, gpa + 8), ==, BIT(35));
    g_assert_cmphex(fuzz_load(d->u, gpa + 16), ==, (uint32_t)expected);
    d->event_first = (d->event_first + 1) % DRIVER_EVENTS;
    d->event_count--;
}

static bool event_consume(Driver *d)
{
    uint32_t cons = smmu_read(d, A_EVENTQ_CONS);
    uint32_t size = 1u << d->log2_eventq;

    if (!event_is_there(d)) {
        return false;
    }
    event_check(d, DRIVER_EVENTQ +
                       SMMUV3_EVENT_BYTES * (uint64_t)(cons & (size - 1)));
    smmu_write(d, A_EVENTQ_CONS,
               (cons & BIT(31)) | ((cons + 1) & (2 * size - 1)));
    return true;
}

unsigned smmu_interrupts(Driver *d, unsigned line)
{
    return atomic_load(&d->u->irq->messages) +
           atomic_load(&d->u->irq->pulses[line]);
}

/* A turn; a queue that is empty no more has an interrupt. */
static void turn_and_check(Driver *d)
{
    unsigned interrupts = smmu_interrupts(d, SMMUV3_IRQ_EVENTQ);
    bool empty = !event_is_there(d);

    fuzz_turn(d->u);
    if (empty && event_is_there(d)) {
        g_assert_cmpuint(smmu_interrupts(d, SMMUV3_IRQ_EVENTQ), >, interrupts);
    }
}

static bool request_consume(Driver *d)
{
    uint32_t prod = smmu_read(d, A_PRIQ_PROD);
    uint32_t cons = smmu_read(d, A_PRIQ_CONS);
    uint32_t size = 1u << d->log2_priq;
    uint64_t gpa = DRIVER_PRIQ +
                   SMMUV3_PPR_BYTES * (uint64_t)(cons & (size - 1));
    uint64_t word0 = fuzz_load(d->u, gpa);
    uint64_t word1 = fuzz_load(d->u, gpa + 8);

    g_assert_cmphex((prod ^ cons) & BIT(31), ==, 0);
    if (prod == cons) {
        return false;
    }
    driver_entry(d, &(DriverEntry){
        .id = word0,
        .pasid = word0 >> 63 ? word0 >> 32 & 0xfffff : PAGE_REQUEST_NO_PASID,
        .index = word1 & 511,
        .addr = word1 & BIT_RANGE(12, 52),
        .read = word0 >> 60 & 1,
        .write = word0 >> 61 & 1,
        .last = word0 >> 62 & 1,
    });
    smmu_write(d, A_PRIQ_CONS, (cons + 1) & (2 * size - 1));
    return true;
}

/* Till nothing is left anywhere; a loss has been shown, or there was none. */
static void smmu_drain(Driver *d)
{
    bool overflow;

    for (bool more = true; more;) {
        more = false;
        turn_and_check(d);
        while (event_consume(d)) {
            more = true;
        }
        while (request_consume(d)) {
            more = true;
        }
    }
    g_assert_cmpuint(d->event_count, ==, 0);
    overflow = (smmu_read(d, A_EVENTQ_PROD) ^ smmu_read(d, A_EVENTQ_CONS)) &
               BIT(31);
    g_assert_cmpint(overflow, ==, d->lost);
    if (overflow) {
        smmu_write(d, A_EVENTQ_CONS, smmu_read(d, A_EVENTQ_CONS) ^ BIT(31));
        d->lost = false;
    }
}

static void smmu_answer(Driver *d, DriverGroup *group, uint32_t code)
{
    static const uint8_t resp[] = { 2, 1, 0 };      /* PCI's 0, 1, 15 */
    bool ssv = group->pasid != PAGE_REQUEST_NO_PASID;

    smmu_put(d, 0x41 | (uint64_t)group->slot->id << 32 |
                    (ssv ? BIT(11) | (uint64_t)group->pasid << 12 : 0),
             group->index | (uint64_t)resp[MIN(code, 2)] << 12);
    smmu_put(d, SMMU_SYNC, 0);
    smmu_run(d);
    fuzz_turn(d->u);
    driver_answered(d, group, code > 1 ? PAGE_RESPONSE_FAILURE : code);
}

/* ---- Steps ---- */

static void step_plug(Driver *d)
{
    FuzzSlot *slot = driver_slot(d);
    bool sva = driver_below(d, 2);

    if (slot->plugged) {
        smmu_drain(d);
        driver_unplug(d, slot);
        driver_ended(d, slot, DRIVER_ALL_PASIDS, PAGE_RESPONSE_INVALID);
    } else {
        driver_plug(d, slot, sva);
        smmu_check_place(d, slot);
    }
}

static void step_ste(Driver *d)
{
    static const uint64_t stes[] = { 0, SMMU_STE_BYPASS, SMMU_STE_STAGE1,
                                     SMMU_STE_STAGE1 | DRIVER_CD };
    FuzzSlot *slot = driver_slot(d);

    smmu_set_ste(d, slot, stes[driver_below(d, G_N_ELEMENTS(stes))]);
}

static void report(Driver *d, FuzzSlot *slot)
{
    unsigned at = (d->event_first + d->event_count) % DRIVER_EVENTS;
    const uint64_t event[4] = { 0x10, BIT(35), ++d->next, 0 };

    switch (d->u->host->hardware->report_event(
        d->u->host, vfio_device_get_dev_id(slot->vfio), event)) {
    case HARDWARE_QUEUED:
        d->events[at] = (uint64_t)slot->id << 32 | d->next;
        d->event_count++;
        break;
    case HARDWARE_LOST:
        d->lost = true;
        break;
    default:
        g_assert_not_reached();
    }
}

static void step_events(Driver *d)
{
    FuzzSlot *slot = driver_slot(d);
    unsigned count = 1 + driver_below(d, 64);

    if (slot->vfio) {
        for (unsigned i = 0; i < count; i++) {
            report(d, slot);
        }
    }
}

static void step_turn(Driver *d)
{
    turn_and_check(d);
}

static void step_consume(Driver *d)
{
    unsigned events = driver_below(d, 64);
    unsigned requests = driver_below(d, 64);

    while (events-- > 0 && event_consume(d)) {
        continue;
    }
    while (requests-- > 0 && request_consume(d)) {
        continue;
    }
}

/* The queue goes, and comes back with another size. */
static void step_eventq(Driver *d)
{
    smmu_drain(d);
    smmu_cr0(d, smmu_read(d, A_CR0) & ~FIELD_MASK(CR0, EVENTQEN));
    for (unsigned i = 0; i < FUZZ_SLOTS; i++) {
        FuzzSlot *slot = &d->u->slots[i];
        const uint64_t event[4] = { 0x10, BIT(35), 0, 0 };

        if (slot->vfio) {
            g_assert_cmpint(d->u->host->hardware->report_event(
                d->u->host, vfio_device_get_dev_id(slot->vfio), event), ==,
                HARDWARE_REFUSED);
        }
    }
    smmu_enable_eventq(d, DRIVER_EVENTQ);
}

static void step_priq(Driver *d)
{
    smmu_drain(d);
    smmu_cr0(d, smmu_read(d, A_CR0) & ~FIELD_MASK(CR0, PRIQEN));
    smmu_enable_priq(d, DRIVER_PRIQ);
}

static void step_invalidate(Driver *d)
{
    static const uint8_t ops[] = { 0x01, 0x05, 0x06, 0x10, 0x11, 0x12, 0x13,
                                   0x30, 0x40 };
    unsigned count = 1 + driver_below(d, 200);
    unsigned interrupts = smmu_interrupts(d, SMMUV3_IRQ_CMD_SYNC);
    uint64_t op = ops[driver_below(d, sizeof(ops))];

    /* TLB invalidations by VA or of everything name no stream. */
    while (count-- > 0) {
        uint64_t sid = (op & 0xf0) == 0x10 || op == 0x30
                           ? 0
                           : driver_slot(d)->id;

        smmu_put(d, op | sid << 32, 0);
    }
    smmu_put(d, SMMU_SYNC | 1 << 12, GUEST_DOORBELL);
    smmu_run(d);
    g_assert_cmpuint(smmu_interrupts(d, SMMUV3_IRQ_CMD_SYNC), ==,
                     interrupts + 1);
}

static void step_request(Driver *d)
{
    FuzzSlot *slot = driver_slot(d);
    uint32_t pasid = driver_below(d, 3);
    unsigned count = 1 + driver_below(d, FUZZ_GROUP_PAGES);

    if (slot->sva) {
        driver_request(d, slot, pasid ? pasid : PAGE_REQUEST_NO_PASID, count);
    }
}

static void step_answer(Driver *d)
{
    DriverGroup *group = driver_shown(d);

    if (group) {
        smmu_answer(d, group, driver_below(d, 3));
    }
}

static void (*const steps[])(Driver *) = {
    step_plug, step_plug, step_ste, step_ste, step_events, step_events,
    step_events, step_turn, step_turn, step_consume, step_consume, step_eventq,
    step_priq, step_invalidate, step_request, step_request, step_answer,
    step_answer,
};

static FuzzModel model = {
    .iommu = HARDWARE_SMMUV3,
    .mmio_size = SMMUV3_MMIO_SIZE,
    .ids = { 0, 1, 0x41, 0xff },
    .offsets = offsets,
    .offset_count = G_N_ELEMENTS(offsets),
    .create = create,
};

const DriverOps driver_smmuv3 = {
    .model = &model,
    .start = smmu_start,
    .steps = steps,
    .step_count = G_N_ELEMENTS(steps),
    .drain = smmu_drain,
    .answer = smmu_answer,
    .breaks = smmu_breaks,
    .break_count = SMMU_BREAKS,
};
