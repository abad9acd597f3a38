/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What invalidation queue descriptors do (D51397-018, 6.5.2, 7.8): to the
 * host's HWPTs, to emulated devices, to page requests; and when. To tables:
 * test-vtd-inv-tables.c.
 */
#include "vtd-fixture.h"

#define RID 0x10
#define DID 5
#define PASID 7
#define NO_PASID PAGE_REQUEST_NO_PASID
#define TABLE VTD_GUEST_FREE

#define CONTEXT_BITS                                              \
    (FIELD_MASK(CONTEXT0, P) | FIELD_MASK(CONTEXT0, DTE) |        \
     FIELD_MASK(CONTEXT0, PASIDE) | FIELD_MASK(CONTEXT0, PRE))

static VtdFixture *f;
static Vtd *v;
static GArray *codes;           /* that came back to the emulated device */
static SvaDevice *sva;

static void setup(void)
{
    f = vtd_fixture_new(NULL, false);
    v = vtd_fixture_vtd(f);
    codes = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    sva = NULL;
    vtd_guest_start(f, 0);
}

static void teardown(void)
{
    if (sva) {
        viommu_remove_sva_device(sva);
    }
    vtd_fixture_free(f);
    g_array_unref(codes);
}

static EmulStats host(void)
{
    return emul_get_stats(f->host);
}

/* ---- Invalidations for the host ---- */

/* A device whose PASID, and a second one of another domain, are attached. */
static void plug_with_pasids(void)
{
    vtd_guest_set_context(f, RID, CONTEXT_BITS);
    vtd_guest_set_pasid(f, PASID, DID, TABLE);
    vtd_guest_set_pasid(f, PASID + 1, DID + 1, TABLE + 4096);
    vtd_fixture_plug(f, RID);
}

static const struct {
    uint64_t word0;
    uint64_t word1;
    VtdFlush flush;
} flushes[] = {
    { 0x12, 0, { VTD_ALL_DIDS, NO_PASID, 0, UINT64_MAX, false } },
    /* Address and hint are only for pages. */
    { 0x12, 0x12345000 | BIT(6) | 3,
      { VTD_ALL_DIDS, NO_PASID, 0, UINT64_MAX, false } },
    { 0x22 | DID << 16, 0, { DID, NO_PASID, 0, UINT64_MAX, false } },
    { 0x32 | DID << 16, 0x12345000, { DID, NO_PASID, 0x12345000, 1, false } },
    { 0x32 | 0xffffu << 16, 0x12345000 | BIT(6) | 9,
      { 0xffff, NO_PASID, 0x12200000, 512, true } },
    { 0x26 | DID << 16 | UINT64_C(0xabcde) << 32, 0,
      { DID, 0xabcde, 0, UINT64_MAX, false } },
    { 0x36 | DID << 16 | UINT64_C(0) << 32, 0xffffffffff000,
      { DID, 0, 0xffffffffff000, 1, false } },
    { 0x36 | DID << 16 | UINT64_C(7) << 32, 0x7fffffff000 | BIT(6) | 18,
      { DID, 7, 0x7ffc0000000, 1 << 18, true } },
    { 0x36 | DID << 16 | UINT64_C(7) << 32, UINT64_MAX << 12 | 51,
      { DID, 7, BIT(63), BIT(51), false } },
    /* More than there is. */
    { 0x36 | DID << 16 | UINT64_C(7) << 32, UINT64_MAX << 12 | 52,
      { DID, 7, 0, UINT64_MAX, false } },
    { 0x36 | DID << 16 | UINT64_C(7) << 32, UINT64_MAX << 12 | 63,
      { DID, 7, 0, UINT64_MAX, false } },
};

static void test_fields_of_IOTLB_descriptors(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(flushes); i++) {
        const VtdFlush *expected = &flushes[i].flush;
        const VtdFlush *flush = &v->pending.flush[0];

        vtd_guest_put(f, flushes[i].word0, flushes[i].word1);
        vtd_guest_kick(f);
        g_assert_cmpuint(v->pending.flush_count, ==, 1);
        g_assert_cmphex(flush->did, ==, expected->did);
        g_assert_cmphex(flush->pasid, ==, expected->pasid);
        g_assert_cmphex(flush->addr, ==, expected->addr);
        g_assert_cmphex(flush->npages, ==, expected->npages);
        g_assert_cmpint(flush->leaf, ==, expected->leaf);
        vtd_guest_submit_put(f, 0);
        g_assert_cmpuint(v->pending.flush_count, ==, 0);
    }
}

static void put_piotlb(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        vtd_guest_put(f, vtd_desc_pasid_iotlb(PASID_IOTLB_G_PAGE, DID, PASID),
                      (uint64_t)i << 12);
    }
}

static void test_host_is_called_once_before_the_wait_is_done(void)
{
    plug_with_pasids();
    put_piotlb(9);
    vtd_guest_kick(f);
    g_assert_cmpuint(host().invalidations, ==, 0);
    vtd_guest_submit_put(f, 0);
    g_assert_cmpuint(host().invalidations, ==, 9);
    g_assert_cmpuint(host().invalidate_ioctls, ==, 1);
    /* A wait that has nothing to wait for. */
    vtd_guest_submit_put(f, 0);
    g_assert_cmpuint(host().invalidate_ioctls, ==, 1);
}

/* SW and IF are not what makes it wait. */
static void test_wait_without_flags_completes_too(void)
{
    plug_with_pasids();
    put_piotlb(2);
    vtd_guest_put(f, VTD_DESC_WAIT, 0);
    vtd_guest_kick(f);
    g_assert_cmpuint(host().invalidations, ==, 2);
}

static void test_more_than_a_batch(void)
{
    plug_with_pasids();
    put_piotlb(VTD_FLUSH_BATCH + 3);
    vtd_guest_submit_put(f, 0);
    g_assert_cmpuint(host().invalidations, ==, VTD_FLUSH_BATCH + 3);
    g_assert_cmpuint(host().invalidate_ioctls, ==, 2);
}

/* Linux disables the queue only after a wait; others may not. */
static void test_QIE_off_completes(void)
{
    plug_with_pasids();
    put_piotlb(2);
    vtd_guest_kick(f);
    vtd_guest_command(f, FIELD_MASK(GCMD, QIE), false);
    g_assert_cmpuint(host().invalidations, ==, 2);
}

/* By what the entry says when they come: it may be another domain's next. */
static void test_table_changes_come_after_earlier_invalidations(void)
{
    static const uint64_t changes[] = { 0x11, 0x37 };

    for (size_t i = 0; i < G_N_ELEMENTS(changes); i++) {
        teardown();
        setup();
        plug_with_pasids();
        put_piotlb(2);
        vtd_guest_set_pasid(f, PASID, DID + 2, TABLE);
        vtd_guest_put(f, changes[i], 0);
        vtd_guest_kick(f);
        g_assert_cmpuint(host().invalidations, ==, 2);
    }
}

/* CAP.ESRTPS, and TE that goes to 0: all caches. */
static void test_SRTP_and_TE_invalidate_everything(void)
{
    plug_with_pasids();
    vtd_guest_command(f, FIELD_MASK(GCMD, SRTP), true);
    g_assert_cmpuint(host().invalidations, ==, 2);
    put_piotlb(1);
    vtd_guest_kick(f);
    vtd_guest_command(f, FIELD_MASK(GCMD, TE), false);
    vtd_guest_command(f, FIELD_MASK(GCMD, TE), true);
    g_assert_cmpuint(v->pending.flush_count, ==, 0);
}

/* ---- Emulated devices ---- */

static void responded(void *opaque, SvaGroup *group)
{
    g_array_append_val(codes, group->code);
}

static void plug_sva(void)
{
    GError *error = NULL;

    vtd_guest_set_context(f, RID, CONTEXT_BITS);
    vtd_guest_set_pasid(f, 0, DID, TABLE);
    vtd_guest_set_pasid(f, PASID, DID, TABLE);
    sva = viommu_add_sva_device(f->viommu, &(SvaDeviceConfig){
        .name = "sva0", .virt_id = RID, .ctx = f->ctx, .credits = 256,
        .responded = responded,
    }, &error);
    g_assert_no_error(error);
}

static uint64_t generation(void)
{
    return atomic_load(&f->viommu->pages.generation);
}

/* What empties the devices' translation caches, once a wait comes. */
static void test_cache_invalidations_reach_emulated_devices(void)
{
    static const struct {
        uint64_t word0;
        bool invalidates;
    } cases[] = {
        { 0x11, true }, { 0x12, true }, { VTD_DESC_DEVICE_TLB, true },
        { VTD_DESC_IEC, false }, { VTD_DESC_WAIT, false }, { 0x26, true },
        { 0x37, true }, { VTD_DESC_PASID_DEVICE_TLB, true },
        { VTD_DESC_PAGE_RESPONSE, false },
    };

    plug_sva();
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint64_t before = generation();

        vtd_guest_put(f, cases[i].word0, 0);
        vtd_guest_put(f, cases[i].word0, 0);
        vtd_guest_kick(f);
        g_assert_cmphex(generation(), ==, before);
        vtd_guest_submit_put(f, 0);
        g_assert_cmphex(i << 8 | (generation() - before), ==,
                        i << 8 | cases[i].invalidates);
        vtd_guest_submit_put(f, 0);
        g_assert_cmpuint(generation() - before, ==, cases[i].invalidates);
    }
}

/* 8.4: a response is posted behind earlier device TLB invalidations. */
static void test_response_comes_after_device_TLB_invalidations(void)
{
    static const struct {
        uint64_t word0;
        bool waits;
    } cases[] = {
        { VTD_DESC_DEVICE_TLB, true }, { VTD_DESC_PASID_DEVICE_TLB, true },
        { 0x26, false },
    };

    plug_sva();
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint64_t before = generation();

        vtd_guest_put(f, cases[i].word0, 0);
        vtd_guest_put(f, VTD_DESC_PAGE_RESPONSE, 0);
        vtd_guest_put(f, VTD_DESC_PAGE_RESPONSE, 0);
        vtd_guest_kick(f);
        g_assert_cmpuint(generation() - before, ==, cases[i].waits);
        vtd_guest_submit_put(f, 0);
    }
}

static void test_root_table_and_TE_reach_emulated_devices(void)
{
    uint64_t before;

    plug_sva();
    before = generation();
    vtd_guest_command(f, FIELD_MASK(GCMD, SRTP), true);
    g_assert_cmpuint(generation() - before, ==, 1);
    vtd_guest_command(f, FIELD_MASK(GCMD, TE), false);
    g_assert_cmpuint(generation() - before, ==, 2);
    viommu_reset(f->viommu);
    g_assert_cmpuint(generation() - before, ==, 3);
}

/* ---- Page group responses ---- */

static const struct {
    uint64_t word0;
    uint64_t word1;
    PageResponse response;
} responses[] = {
    { 0x9 | UINT64_C(0x1234) << 16, 0, { { 0x1234, NO_PASID, 0 }, 0 } },
    { 0x9 | BIT(4), 0, { { 0, 0, 0 }, 0 } },
    { 0x9 | BIT(4) | UINT64_C(0xfffff) << 32 | 0xffffu << 16, 0x1ff << 3,
      { { 0xffff, 0xfffff, 0x1ff }, 0 } },
    /* Without PP the PASID is ignored; qw1[2] was LPIG. */
    { 0x9 | UINT64_C(0xfffff) << 32, 5 << 3 | BIT(2),
      { { 0, NO_PASID, 5 }, 0 } },
    { 0x9 | 1 << 12, 0, { { 0, NO_PASID, 0 }, 1 } },
    { 0x9 | 2 << 12, 0, { { 0, NO_PASID, 0 }, 2 } },
    { 0x9 | 0xe << 12, 0, { { 0, NO_PASID, 0 }, 0xe } },
    { 0x9 | 0xf << 12, 0, { { 0, NO_PASID, 0 }, 0xf } },
};

static void test_fields_of_responses(void)
{
    const ViommuPages *pages = &f->viommu->pages;

    for (size_t i = 0; i < G_N_ELEMENTS(responses); i++) {
        const PageResponse *expected = &responses[i].response;

        vtd_guest_submit(f, responses[i].word0, responses[i].word1);
        /* The home thread, which is this one, has yet to see it. */
        g_assert_cmpuint(pages->responses.count, ==, 1);
        g_assert_cmphex(pages->responses.pending[0].key.virt_id, ==,
                        expected->key.virt_id);
        g_assert_cmphex(pages->responses.pending[0].key.pasid, ==,
                        expected->key.pasid);
        g_assert_cmphex(pages->responses.pending[0].key.index, ==,
                        expected->key.index);
        g_assert_cmphex(pages->responses.pending[0].code, ==, expected->code);
        vtd_fixture_pump(f);
    }
}

static void test_unknown_group_is_ignored(void)
{
    for (unsigned i = 0; i < 3; i++) {
        vtd_guest_respond(f, RID, PASID, i, 0);
    }
    vtd_fixture_pump(f);
    g_assert_cmpuint(viommu_get_page_stats(f->viommu).stray, ==, 3);
    g_assert_cmphex(vtd_guest_read32(f, A_FSTS), ==, 0);
}

static const Pgfault page = { .addr = 0x1000, .perm = PGFAULT_PERM_READ };

static SvaGroup request(uint32_t pasid, uint32_t index)
{
    return (SvaGroup){ .pasid = pasid, .index = index, .count = 1,
                       .pages = &page };
}

/* The way there and back, with and without a PASID, by every code. */
static void test_response_reaches_the_device(void)
{
    plug_sva();
    for (unsigned code = 0; code < 16; code++) {
        uint32_t pasid = code % 2 ? PASID : NO_PASID;
        SvaGroup group = request(pasid, code);
        uint64_t entry[4];

        g_assert_true(viommu_page_request(sva, &group));
        vtd_fixture_pump(f);
        vtd_guest_write32(f, A_PRS, 1);
        g_assert_true(vtd_guest_consume(f, entry));
        /* A key that is a little different is another group's. */
        vtd_guest_respond(f, RID + 1, pasid, code, 0);
        vtd_guest_respond(f, RID, pasid ^ 1, code, 0);
        vtd_guest_respond(f, RID, pasid, code ^ 1, 0);
        vtd_fixture_pump(f);
        g_assert_cmpuint(codes->len, ==, code);
        vtd_guest_respond(f, RID, pasid, code, code);
        vtd_fixture_pump(f);
        g_assert_cmpuint(codes->len, ==, code + 1);
        g_assert_cmpint(g_array_index(codes, uint32_t, code) == 0, ==,
                        code == 0);
    }
    g_assert_cmpuint(viommu_get_page_stats(f->viommu).answered, ==, 16);
    g_assert_cmpuint(viommu_get_page_stats(f->viommu).open, ==, 0);
}

static unsigned queue_used(void)
{
    return viommu_get_page_stats(f->viommu).queue_used;
}

/* What does not fit waits for a write that makes room, of any register. */
static void test_writes_of_page_request_registers_make_room(void)
{
    static const struct {
        uint64_t offset;
        uint64_t value;
    } writes[] = {
        { A_PQH, 0x20 },                /* one entry consumed */
        { A_PQT, 0x40 },                /* software may */
        { A_PQA, VTD_GUEST_PRQ | 1 },   /* a larger queue */
    };

    for (size_t i = 0; i < G_N_ELEMENTS(writes); i++) {
        SvaGroup groups[128];

        teardown();
        setup();
        plug_sva();
        for (unsigned k = 0; k < G_N_ELEMENTS(groups); k++) {
            groups[k] = request(PASID, k);
            g_assert_true(viommu_page_request(sva, &groups[k]));
        }
        vtd_fixture_pump(f);
        g_assert_cmphex(vtd_guest_read64(f, A_PQT), ==, 127 * 32);
        vtd_guest_write64(f, 0x0d8, 0);         /* nothing is there */
        vtd_fixture_pump(f);
        g_assert_cmphex(vtd_guest_read64(f, A_PQT), ==, 127 * 32);
        vtd_guest_write64(f, writes[i].offset, writes[i].value);
        vtd_fixture_pump(f);
        g_assert_cmphex(vtd_guest_read64(f, A_PQT), !=, 127 * 32);
        g_assert_cmphex(vtd_guest_read32(f, A_PRS), ==, FIELD_MASK(PRS, PPR));
        for (unsigned k = 0; k < G_N_ELEMENTS(groups); k++) {
            vtd_guest_respond(f, RID, PASID, k, 0);
        }
        vtd_fixture_pump(f);
        g_assert_cmpuint(codes->len, ==, G_N_ELEMENTS(groups));
    }
}

/* ---- PD ---- */


static uint32_t status_at_message;

static void note_status(void *opaque)
{
    status_at_message = vtd_guest_status(f);
}

static void test_PD_waits_for_earlier_page_requests(void)
{
    SvaGroup groups[3];

    plug_sva();
    for (unsigned i = 0; i < G_N_ELEMENTS(groups); i++) {
        groups[i] = request(PASID, i);
        g_assert_true(viommu_page_request(sva, &groups[i]));
    }
    vtd_guest_submit_put(f, 0);
    g_assert_cmpuint(queue_used(), ==, 0);
    f->irq.raised = note_status;
    vtd_guest_submit_put(f, FIELD_MASK(WAIT_DESC0, PD));
    g_assert_cmpuint(queue_used(), ==, 3);
    g_assert_cmphex(vtd_guest_read32(f, A_PRS), ==, FIELD_MASK(PRS, PPR));
    g_assert_cmpuint(status_at_message, ==, VTD_GUEST_IN_USE);
    /* No answer is owed by the drain. */
    g_assert_cmpuint(codes->len, ==, 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(groups); i++) {
        vtd_guest_respond(f, RID, PASID, i, 0);
    }
    vtd_fixture_pump(f);
    g_assert_cmpuint(codes->len, ==, 3);
}

/* Linux, when it takes a PASID away: FN; IOTLB, device TLB; SW and PD. */
static void test_drain_of_linux(void)
{
    plug_sva();
    vtd_guest_put(f, VTD_DESC_WAIT | FIELD_MASK(WAIT_DESC0, FN), 0);
    vtd_guest_put(f, vtd_desc_pasid_iotlb(PASID_IOTLB_G_PASID, DID, PASID), 0);
    vtd_guest_put(f, VTD_DESC_PASID_DEVICE_TLB | 31 << 4 | RID << 16 |
                         (uint64_t)PASID << 32, 0x7ffffffffffff800);
    vtd_guest_submit_put(f, FIELD_MASK(WAIT_DESC0, PD));
    g_assert_cmphex(vtd_guest_read32(f, A_PRS), ==, 0);
}

/* ---- Reset ---- */

static void test_reset_answers_open_groups(void)
{
    SvaGroup first = request(PASID, 1);
    SvaGroup second = request(PASID, 2);
    ViommuPageStats stats;

    plug_sva();
    g_assert_true(viommu_page_request(sva, &first));
    vtd_fixture_pump(f);
    g_assert_cmpuint(queue_used(), ==, 1);
    /* One is in the guest's queue, the other on its way. */
    g_assert_true(viommu_page_request(sva, &second));
    viommu_reset(f->viommu);
    vtd_fixture_pump(f);
    g_assert_cmpuint(codes->len, ==, 2);
    g_assert_cmpuint(g_array_index(codes, uint32_t, 0), ==,
                     PAGE_RESPONSE_INVALID);
    g_assert_cmpuint(g_array_index(codes, uint32_t, 1), ==,
                     PAGE_RESPONSE_INVALID);
    stats = viommu_get_page_stats(f->viommu);
    g_assert_cmpuint(stats.open, ==, 0);
    g_assert_cmpuint(stats.raised, ==, 2);
    g_assert_cmpuint(stats.invalid, ==, 2);
    g_assert_cmpuint(queue_used(), ==, 0);
}

int main(int argc, char **argv)
{
    static const FixtureTest tests[] = {
        { test_fields_of_IOTLB_descriptors, "host/fields" },
        { test_host_is_called_once_before_the_wait_is_done,
          "host/called-once-before-the-wait-is-done" },
        { test_wait_without_flags_completes_too,
          "host/wait-without-flags-completes-too" },
        { test_more_than_a_batch, "host/more-than-a-batch" },
        { test_QIE_off_completes, "host/QIE-off-completes" },
        { test_table_changes_come_after_earlier_invalidations,
          "host/table-changes-come-after-earlier-invalidations" },
        { test_SRTP_and_TE_invalidate_everything,
          "host/SRTP-and-TE-invalidate-everything" },
        { test_cache_invalidations_reach_emulated_devices,
          "sva/cache-invalidations-reach-emulated-devices" },
        { test_response_comes_after_device_TLB_invalidations,
          "sva/response-comes-after-device-TLB-invalidations" },
        { test_root_table_and_TE_reach_emulated_devices,
          "sva/root-table-and-TE-reach-emulated-devices" },
        { test_fields_of_responses, "response/fields" },
        { test_unknown_group_is_ignored, "response/unknown-group-is-ignored" },
        { test_response_reaches_the_device,
          "response/response-reaches-the-device" },
        { test_writes_of_page_request_registers_make_room,
          "writes-of-page-request-registers-make-room" },
        { test_PD_waits_for_earlier_page_requests,
          "wait/PD-waits-for-earlier-page-requests" },
        { test_drain_of_linux, "wait/drain-of-linux" },
        { test_reset_answers_open_groups, "reset-answers-open-groups" },
    };

    return fixture_main(argc, argv, "/vtd/inv/effect", tests,
                        G_N_ELEMENTS(tests), setup, teardown);
}
