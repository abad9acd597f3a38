/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The input: which model and properties, how many valid steps, the steps, which
 * rule is broken, and the steps after all is set up again.
 */
#include "fuzz-driver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* Valid steps before a rule is broken, and after. */
#define STEPS_MAX 48

unsigned driver_below(Driver *d, unsigned n)
{
    return fuzz_below(&d->u->in, n);
}

FuzzSlot *driver_slot(Driver *d)
{
    return &d->u->slots[driver_below(d, FUZZ_SLOTS)];
}

void driver_plug(Driver *d, FuzzSlot *slot, bool sva)
{
    fuzz_slot_plug(d->u, slot, sva);
    g_assert_true(slot->plugged);
}

void driver_unplug(Driver *d, FuzzSlot *slot)
{
    fuzz_slot_close(d->u, slot);
    fuzz_turn(d->u);
}

/* ---- Groups ---- */

static bool is_open(const Driver *d, const FuzzSlot *slot, uint32_t pasid,
                    uint32_t index)
{
    for (unsigned i = 0; i < DRIVER_GROUPS; i++) {
        const DriverGroup *group = &d->groups[i];

        if (group->state != GROUP_FREE && group->slot == slot &&
            group->pasid == pasid && group->index == index) {
            return true;
        }
    }
    return false;
}

static DriverGroup *group_free(Driver *d)
{
    for (unsigned i = 0; i < DRIVER_GROUPS; i++) {
        if (d->groups[i].state == GROUP_FREE) {
            return &d->groups[i];
        }
    }
    return NULL;
}

static uint64_t page_addr(const DriverGroup *group, unsigned page)
{
    return ((uint64_t)group->number * FUZZ_GROUP_PAGES + page) << 12;
}

static bool group_ask(Driver *d, DriverGroup *group)
{
    FuzzGroup *sva = fuzz_group_get(d->u);
    Pgfault *pages = sva->pages;

    for (unsigned i = 0; i < group->count; i++) {
        pages[i] = (Pgfault){ page_addr(group, i),
                              i & 1 ? PGFAULT_PERM_WRITE : PGFAULT_PERM_READ };
    }
    if (!group->slot->sva) {
        group->tag = fuzz_host_request(d->u, group->slot, group->pasid,
                                       group->index, pages, group->count);
        return group->tag >= 0;
    }
    sva->group = (SvaGroup){
        .pasid = group->pasid, .index = group->index, .count = group->count,
        .pages = pages,
    };
    group->sva = sva;
    return fuzz_sva_request(group->slot, sva);
}

DriverGroup *driver_request(Driver *d, FuzzSlot *slot, uint32_t pasid,
                            unsigned count)
{
    DriverGroup *group = group_free(d);
    uint32_t index = 0;

    while (index < DRIVER_INDICES && is_open(d, slot, pasid, index)) {
        index++;
    }
    if (!group || index == DRIVER_INDICES) {
        return NULL;
    }
    *group = (DriverGroup){
        .slot = slot, .pasid = pasid, .index = index, .count = count,
        .number = ++d->next,
    };
    if (!group_ask(d, group)) {
        return NULL;
    }
    group->state = GROUP_ASKED;
    return group;
}

/* The oldest group of @id that the guest has not seen all of. */
static DriverGroup *next_of(Driver *d, uint32_t id)
{
    DriverGroup *next = NULL;

    for (unsigned i = 0; i < DRIVER_GROUPS; i++) {
        DriverGroup *group = &d->groups[i];

        if (group->state == GROUP_ASKED && group->slot->id == id &&
            (!next || group->number < next->number)) {
            next = group;
        }
    }
    return next;
}

void driver_entry(Driver *d, const DriverEntry *entry)
{
    DriverGroup *group = next_of(d, entry->id);
    unsigned page;

    g_assert_nonnull(group);
    page = group->seen++;
    g_assert_cmpuint(entry->pasid, ==, group->pasid);
    g_assert_cmpuint(entry->index, ==, group->index);
    g_assert_cmphex(entry->addr, ==, page_addr(group, page));
    g_assert_cmpint(entry->read, ==, !(page & 1));
    g_assert_cmpint(entry->write, ==, page & 1);
    g_assert_cmpint(entry->last, ==, group->seen == group->count);
    if (entry->last) {
        group->state = GROUP_SHOWN;
    }
}

DriverGroup *driver_shown(Driver *d)
{
    unsigned first = driver_below(d, DRIVER_GROUPS);

    for (unsigned i = 0; i < DRIVER_GROUPS; i++) {
        DriverGroup *group = &d->groups[(first + i) % DRIVER_GROUPS];

        if (group->state == GROUP_SHOWN) {
            return group;
        }
    }
    return NULL;
}

/* The host's groups know Success, and all the rest. */
void driver_answered(Driver *d, DriverGroup *group, uint32_t code)
{
    if (group->sva) {
        g_assert_null(group->sva->device);
        g_assert_cmpuint(group->sva->group.code, ==, code);
    } else {
        g_assert_cmpuint(d->u->tags[group->tag], ==, FUZZ_TAG_ANSWERED);
        g_assert_cmpuint(d->u->codes[group->tag], ==, code != 0);
    }
    group->state = GROUP_FREE;
}

void driver_ended(Driver *d, const FuzzSlot *slot, uint32_t pasid,
                  uint32_t code)
{
    for (unsigned i = 0; i < DRIVER_GROUPS; i++) {
        DriverGroup *group = &d->groups[i];

        if (group->state != GROUP_FREE && (!slot || group->slot == slot) &&
            (pasid == DRIVER_ALL_PASIDS || group->pasid == pasid)) {
            driver_answered(d, group, code);
        }
    }
}

void driver_all_shown(Driver *d)
{
    for (unsigned i = 0; i < DRIVER_GROUPS; i++) {
        g_assert_cmpint(d->groups[i].state, !=, GROUP_ASKED);
    }
}

void driver_answer_all(Driver *d)
{
    d->ops->drain(d);
    driver_all_shown(d);
    for (unsigned i = 0; i < DRIVER_GROUPS; i++) {
        if (d->groups[i].state == GROUP_SHOWN) {
            d->ops->answer(d, &d->groups[i], 0);
        }
    }
}

/* ---- The input ---- */

static void run_steps(Driver *d)
{
    for (unsigned i = driver_below(d, STEPS_MAX + 1); i > 0; i--) {
        fuzz_unit_step(d->u);
        d->ops->steps[driver_below(d, d->ops->step_count)](d);
    }
    d->ops->drain(d);
    driver_all_shown(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const DriverOps *const drivers[] = { &driver_smmuv3, &driver_vtd };
    FuzzInput in = { data, size };
    Driver *d = g_new0(Driver, 1);

    d->ops = drivers[fuzz_below(&in, G_N_ELEMENTS(drivers))];
    d->u = fuzz_unit_begin(d->ops->model, &in, 0);
    d->ops->start(d);
    run_steps(d);
    fuzz_unit_step(d->u);
    d->ops->breaks[driver_below(d, d->ops->break_count)](d);
    /* Whatever that was: a reset and a valid start, and all is as ever. */
    fuzz_unit_step(d->u);
    viommu_reset(d->u->viommu);
    fuzz_turn(d->u);
    driver_ended(d, NULL, DRIVER_ALL_PASIDS, PAGE_RESPONSE_INVALID);
    d->event_count = 0;
    d->lost = false;
    d->ops->start(d);
    run_steps(d);
    fuzz_unit_end(d->u);
    g_free(d);
    return 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_unit_init();
    return 0;
}
