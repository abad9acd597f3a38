/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Steps of a VT-d unit whose devices ask for pages, through the host's fault
 * queue, by two PASIDs of each. The guest's answers show whether it works.
 */
#include "fail-nth.h"
#include "vtd-fixture.h"

#define CONTEXT_BITS                                                     \
    (FIELD_MASK(CONTEXT0, P) | FIELD_MASK(CONTEXT0, DTE) |               \
     FIELD_MASK(CONTEXT0, PASIDE) | FIELD_MASK(CONTEXT0, PRE))

/* 7.5.1.1: what the guest reads of a page request */
FIELD(PRQ_ENTRY0, PP, 8, 1)
FIELD(PRQ_ENTRY0, RID, 16, 16)
FIELD(PRQ_ENTRY0, PASID, 32, 20)
FIELD(PRQ_ENTRY1, PRGI, 3, 9)

#define PASIDS 2                /* 0: without one */
#define DID(pasid) (16 + (pasid))
#define TABLE(pasid) (VTD_GUEST_FREE + 0x1000 * (pasid))

static void set_pasid(World *w, uint32_t pasid, bool present)
{
    vtd_guest_set_pasid(w->unit, pasid, DID(pasid),
                        present ? TABLE(pasid) : 0);
    vtd_guest_submit(w->unit,
                     vtd_desc_pasid_cache(PASID_CACHE_G_PASID, DID(pasid),
                                          pasid), 0);
}

static void set_pasids(World *w, bool present)
{
    for (uint32_t pasid = 0; pasid < PASIDS; pasid++) {
        set_pasid(w, pasid, present);
    }
}

/* It knows of its devices before they are there. */
static void start_guest(World *w)
{
    vtd_guest_start(w->unit, 0);
    for (uint16_t rid = WORLD_ID(0); rid < WORLD_ID(WORLD_DEVICES); rid++) {
        vtd_guest_set_context(w->unit, rid, CONTEXT_BITS);
    }
    vtd_guest_submit(w->unit, vtd_desc_context_cache(CONTEXT_G_GLOBAL, 0, 0),
                     0);
}

static void free_unit(void *unit)
{
    vtd_fixture_free(unit);
}

static void make_bare(World *w)
{
    const VtdProperties properties = {
        .svm = true, .pt = true, .fs1gp = true, .pasid_bits = 8,
    };

    VtdFixture *f = vtd_fixture_new_on(w->host, &properties, true);

    world_set_calm(f->iothread);
    w->iommu = HARDWARE_VTD;
    w->unit = f;
    w->viommu = f->viommu;
    w->open = f->devices;
    w->free_unit = free_unit;
    start_guest(w);
}

static void make_unit(World *w)
{
    make_bare(w);
    set_pasids(w, true);
}

static void make_first(World *w)
{
    g_autoptr(GError) error = NULL;

    make_unit(w);
    world_plug(w, 0, &error);
    g_assert_no_error(error);
}

static void make_all(World *w)
{
    make_unit(w);
    world_plug_all(w);
}

static void make_all_bare(World *w)
{
    make_bare(w);
    world_plug_all(w);
}

static bool plug_first(World *w, GError **error)
{
    return world_plug(w, 0, error);
}

static bool plug_second(World *w, GError **error)
{
    return world_plug(w, 1, error);
}

static bool add_pasids(World *w, GError **error)
{
    set_pasids(w, true);
    return world_check_messages(error);
}

static bool cycle_pasids(World *w, GError **error)
{
    set_pasids(w, false);
    set_pasids(w, true);
    return world_check_messages(error);
}

static bool reset(World *w, GError **error)
{
    viommu_reset(w->viommu);
    start_guest(w);
    set_pasids(w, true);
    return world_check_messages(error);
}

static bool unplug(World *w, GError **error)
{
    world_unplug_all(w);
    return world_check_messages(error);
}

static void answer_all(World *w)
{
    uint64_t entry[4];

    while (vtd_guest_consume(w->unit, entry)) {
        bool with_pasid = FIELD_GET(entry[0], PRQ_ENTRY0, PP);

        vtd_guest_respond(w->unit, FIELD_GET(entry[0], PRQ_ENTRY0, RID),
                          with_pasid ? FIELD_GET(entry[0], PRQ_ENTRY0, PASID)
                                     : PAGE_REQUEST_NO_PASID,
                          FIELD_GET(entry[1], PRQ_ENTRY1, PRGI),
                          PAGE_RESPONSE_SUCCESS);
    }
}

static bool all_answered(World *w)
{
    answer_all(w);
    return w->host->hardware->get_page_stats(w->host).open == 0;
}

static bool all_answered_or_told(World *w)
{
    return all_answered(w) || message_log_count() > 0;
}

static bool request(World *w, unsigned device, uint32_t pasid)
{
    const HardwarePageRequest page = {
        .dev_id = vfio_device_get_dev_id(w->devices[device]),
        .pasid = pasid,
        .grpid = ++w->expected,
        .perm = PGFAULT_PERM_READ,
        .addr = 0x1000,
        .last = true,
    };

    return w->host->hardware->request_page(w->host, &page) == HARDWARE_QUEUED;
}

/* One of each PASID of each device. Return: how many there are. */
static unsigned request_all(World *w)
{
    unsigned raised = 0;

    for (unsigned i = 0; i < WORLD_DEVICES; i++) {
        for (uint32_t pasid = 0; w->devices[i] && pasid < PASIDS; pasid++) {
            raised += request(w, i, pasid);
        }
    }
    return raised;
}

static unsigned count_pasids(const World *w)
{
    unsigned count = 0;

    for (unsigned i = 0; i < WORLD_DEVICES; i++) {
        count += w->devices[i] ? PASIDS : 0;
    }
    return count;
}

/* A page request of each PASID of each device is answered by the guest. */
static void works(World *w)
{
    uint64_t answered = w->host->hardware->get_page_stats(w->host).answered;
    unsigned raised = request_all(w);

    g_assert_cmpuint(raised, ==, count_pasids(w));
    world_wait(w, all_answered);
    g_assert_cmpuint(w->host->hardware->get_page_stats(w->host).answered, ==,
                     answered + raised);
}

/*
 * An answer that cannot be written closes the queue; the guest sets up its
 * PASIDs anew, and has another. (To ask for a page takes a host call as well,
 * which may fail: then there is one less.)
 */
static bool load(World *w, GError **error)
{
    if (!cycle_pasids(w, error)) {
        return false;
    }
    request_all(w);
    world_wait(w, all_answered_or_told);
    return world_check_messages(error);
}

const FailStep fail_steps_vtd[] = {
    { "vtd/start-up", FAIL_HOST_CALLS | FAIL_FUNCTIONS, make_unit, plug_first,
      works },
    { "vtd/hot-plug", FAIL_HOST_CALLS | FAIL_FUNCTIONS, make_first,
      plug_second, works },
    { "vtd/pasids-come", FAIL_HOST_CALLS | FAIL_FUNCTIONS, make_all_bare,
      add_pasids, works },
    { "vtd/pasids-go-and-come", FAIL_HOST_CALLS | FAIL_FUNCTIONS, make_all,
      cycle_pasids, works },
    { "vtd/reset", FAIL_HOST_CALLS | FAIL_FUNCTIONS, make_all, reset, works },
    /* A kernel without memory for a group keeps it open, and silent. */
    { "vtd/load", FAIL_HOST_CALLS | FAIL_FUNCTIONS | FAIL_TRANSFERS |
      FAIL_NOT_IN_KERNEL, make_all, load, works },
    { "vtd/teardown", FAIL_HOST_CALLS, make_all, unplug, works },
    { NULL, 0, NULL, NULL, NULL },
};
