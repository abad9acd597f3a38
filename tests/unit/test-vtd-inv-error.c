/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Errors of VT-d's invalidation queue (D51397-018, 6.5.2.10): IQERCD.IQEI,
 * where IQH stands, what was done, and how software goes on.
 */
#include "vtd-fixture.h"

#include <inttypes.h>

#define IQE FIELD_MASK(FSTS, IQE)
#define BAD_TYPE 0xf
#define RESERVED (VTD_DESC_WAIT | BIT(12))

static VtdFixture *f;

static void setup(void)
{
    message_log_start();
    f = vtd_fixture_new(NULL, false);
    vtd_guest_start(f, 0);
}

static void teardown(void)
{
    vtd_fixture_free(f);
}

static void setup_with(const VtdProperties *props)
{
    teardown();
    f = vtd_fixture_new(props, false);
    vtd_guest_start(f, 0);
}

/* In legacy mode, with descriptors of 128 bits. */
static void setup_narrow(void)
{
    teardown();
    f = vtd_fixture_new(NULL, false);
    vtd_guest_enable_faults(f);
    vtd_guest_enable_iq(f, 1, false);
}

static void assert_error(uint32_t iqh, VtdIqei iqei)
{
    g_assert_cmphex(vtd_guest_read32(f, A_FSTS) & IQE, ==, IQE);
    g_assert_cmphex(vtd_guest_read64(f, A_IQERCD), ==, iqei);
    g_assert_cmphex(vtd_guest_read64(f, A_IQH), ==, iqh);
}

static void assert_done(void)
{
    g_assert_cmphex(vtd_guest_read64(f, A_IQH), ==, f->iq_tail);
    g_assert_cmphex(vtd_guest_read32(f, A_FSTS), ==, 0);
}

static void clear_error(void)
{
    vtd_guest_write32(f, A_FSTS, IQE);
}

/* Replace the descriptor at @offset, as software may while in error. */
static void overwrite(uint32_t offset, uint64_t word0, uint64_t word1)
{
    vtd_guest_store_words(f, VTD_GUEST_IQ + offset,
                          (uint64_t[]){ word0, word1, 0, 0 },
                          f->iq_wide ? 4 : 2);
}

/* Wait descriptors that count in their status words. */
static void put_numbered(unsigned first, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        vtd_guest_put(f, VTD_DESC_WAIT | FIELD_MASK(WAIT_DESC0, SW) |
                             (uint64_t)(first + i) << 32,
                      VTD_GUEST_FREE + 4 * (first + i));
    }
}

static uint32_t numbered(unsigned i)
{
    return ((uint32_t *)vtd_guest_words(f, VTD_GUEST_FREE))[i];
}

/* ---- At a descriptor ---- */

static const struct {
    uint64_t word0;
    uint64_t word1;
    VtdIqei iqei;
} malformed[] = {
    { 0, 0, VTD_IQEI_TYPE },
    { BAD_TYPE, 0, VTD_IQEI_TYPE },
    { 0xa, 0, VTD_IQEI_TYPE },                          /* HPT cache */
    { VTD_DESC_WAIT | 1 << 9, 0, VTD_IQEI_TYPE },       /* type 15h */
    { UINT64_MAX, UINT64_MAX, VTD_IQEI_TYPE },
    { VTD_DESC_CONTEXT_CACHE, 0, VTD_IQEI_RESERVED },   /* G 0 */
    { VTD_DESC_CONTEXT_CACHE | 1 << 4, 1, VTD_IQEI_RESERVED },
    { VTD_DESC_IOTLB, 0, VTD_IQEI_RESERVED },
    { VTD_DESC_IOTLB | 1 << 4, BIT(11), VTD_IQEI_RESERVED },
    { VTD_DESC_DEVICE_TLB | BIT(12), 0, VTD_IQEI_RESERVED },    /* PFSID */
    { VTD_DESC_DEVICE_TLB, BIT(1), VTD_IQEI_RESERVED },
    { VTD_DESC_IEC | BIT(5), 0, VTD_IQEI_RESERVED },
    { RESERVED, 0, VTD_IQEI_RESERVED },
    { VTD_GUEST_WAIT0, VTD_GUEST_STATUS | 2, VTD_IQEI_RESERVED },
    { VTD_DESC_PASID_IOTLB | 1 << 4, 0, VTD_IQEI_RESERVED },
    { VTD_DESC_PASID_IOTLB | 2 << 4 | BIT(52), 0, VTD_IQEI_RESERVED },
    { VTD_DESC_PASID_CACHE | 2 << 4, 0, VTD_IQEI_RESERVED },
    { VTD_DESC_PASID_CACHE | BIT(52), 0, VTD_IQEI_RESERVED },
    { VTD_DESC_PASID_DEVICE_TLB | BIT(63), 0, VTD_IQEI_RESERVED },
    { VTD_DESC_PASID_DEVICE_TLB, BIT(10), VTD_IQEI_RESERVED },
    { VTD_DESC_PAGE_RESPONSE | BIT(5), 0, VTD_IQEI_RESERVED },
    { VTD_DESC_PAGE_RESPONSE, BIT(12), VTD_IQEI_RESERVED },
};

static void test_IQH_stays_on_the_bad_descriptor(void)
{
    static const unsigned before[] = { 0, 1, 130 };

    for (size_t i = 0; i < G_N_ELEMENTS(malformed); i++) {
        g_test_message("0x%" PRIx64, malformed[i].word0);
        for (size_t b = 0; b < G_N_ELEMENTS(before); b++) {
            unsigned n = before[b];

            setup_with(NULL);
            put_numbered(1, n);
            vtd_guest_put(f, malformed[i].word0, malformed[i].word1);
            put_numbered(n + 1, 3);
            vtd_guest_kick(f);
            assert_error(32 * n, malformed[i].iqei);
            g_assert_cmpuint(f->irq.messages, ==, 1);
            /* What stands before it is done, what follows is not. */
            g_assert_cmpuint(numbered(n), ==, n);
            g_assert_cmpuint(numbered(n + 1), ==, 0);
            overwrite(32 * n, VTD_DESC_WAIT, 0);
            clear_error();
            assert_done();
            for (unsigned k = 1; k <= n + 3; k++) {
                g_assert_cmpuint(numbered(k), ==, k);
            }
        }
    }
}

static void test_bits_128_to_255_are_reserved(void)
{
    for (unsigned bit = 0; bit < 128; bit++) {
        uint32_t at = f->iq_tail;

        vtd_guest_put(f, VTD_DESC_WAIT, 0);
        vtd_guest_store(f, VTD_GUEST_IQ + at + 16 + 8 * (bit / 64),
                        BIT(bit % 64));
        vtd_guest_kick(f);
        assert_error(at, VTD_IQEI_RESERVED);
        overwrite(at, VTD_DESC_WAIT, 0);
        clear_error();
        assert_done();
    }
}

/* Linux: on IQE with IQH at its first descriptor, a copy of the wait. */
static void test_linux_recovers(void)
{
    uint32_t first;

    vtd_guest_submit(f, vtd_desc_iotlb(IOTLB_G_GLOBAL, 0), 0);
    first = f->iq_tail;
    vtd_guest_put(f, BAD_TYPE, 0);
    vtd_guest_put_wait(f, 0);
    vtd_guest_kick(f);
    g_assert_cmpuint(vtd_guest_status(f), ==, VTD_GUEST_IN_USE);
    assert_error(first, VTD_IQEI_TYPE);
    overwrite(first, VTD_GUEST_WAIT0, VTD_GUEST_STATUS);
    clear_error();
    g_assert_cmpuint(vtd_guest_status(f), ==, VTD_GUEST_DONE);
    assert_done();
    vtd_guest_submit(f, vtd_desc_iotlb(IOTLB_G_GLOBAL, 0), 0);
}

static void test_page_response_needs_page_requests(void)
{
    static const struct {
        bool svm;
        bool wide;
        unsigned ttm;
        VtdIqei iqei;
    } cases[] = {
        { false, true, TTM_SCALABLE, VTD_IQEI_TYPE },
        { true, false, TTM_SCALABLE, VTD_IQEI_WIDTH },
        { true, false, TTM_LEGACY, VTD_IQEI_TYPE },
        { true, true, TTM_LEGACY, VTD_IQEI_TYPE },
        { true, true, TTM_SCALABLE, VTD_IQEI_NONE },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        VtdProperties props = VTD_PROPERTIES_DEFAULT;

        props.svm = cases[i].svm;
        teardown();
        f = vtd_fixture_new(&props, false);
        vtd_guest_set_root(f, cases[i].ttm);
        vtd_guest_enable_iq(f, 0, cases[i].wide);
        vtd_guest_put(f, VTD_DESC_PAGE_RESPONSE, 0);
        vtd_guest_put_wait(f, 0);
        vtd_guest_kick(f);
        if (cases[i].iqei == VTD_IQEI_NONE) {
            assert_done();
            continue;
        }
        assert_error(0, cases[i].iqei);
        g_assert_cmpuint(vtd_guest_status(f), ==, VTD_GUEST_IN_USE);
    }
}

/* The digest's: type 9 without PRS, and on after IQE clear without IQT. */
static void test_refused_page_response_goes_on_when_IQE_is_cleared(void)
{
    VtdProperties props = VTD_PROPERTIES_DEFAULT;

    props.svm = false;
    setup_with(&props);
    put_numbered(1, 1);
    vtd_guest_put(f, VTD_DESC_PAGE_RESPONSE, 0);
    vtd_guest_put_wait(f, 0);
    vtd_guest_kick(f);
    assert_error(32, VTD_IQEI_TYPE);
    overwrite(32, VTD_DESC_WAIT, 0);
    clear_error();
    assert_done();
    g_assert_cmpuint(vtd_guest_status(f), ==, VTD_GUEST_DONE);
}

static void test_PD_is_reserved_without_PDS(void)
{
    VtdProperties props = VTD_PROPERTIES_DEFAULT;

    props.svm = false;
    setup_with(&props);
    vtd_guest_put_wait(f, FIELD_MASK(WAIT_DESC0, PD));
    vtd_guest_kick(f);
    assert_error(0, VTD_IQEI_RESERVED);
    g_assert_cmpuint(vtd_guest_status(f), ==, VTD_GUEST_IN_USE);
}

/* ---- Of the queue ---- */

static void test_width_not_valid_for_the_mode(void)
{
    setup_narrow();
    vtd_guest_submit(f, vtd_desc_iotlb(IOTLB_G_GLOBAL, 0), 0);
    vtd_guest_set_root(f, TTM_SCALABLE);
    g_assert_cmphex(vtd_guest_read32(f, A_FSTS), ==, 0);    /* it is empty */
    vtd_guest_put_wait(f, 0);
    vtd_guest_kick(f);
    assert_error(32, VTD_IQEI_WIDTH);
    g_assert_cmpuint(f->irq.messages, ==, 1);
    /* Clearing alone does not help. */
    clear_error();
    assert_error(32, VTD_IQEI_WIDTH);
    g_assert_cmpuint(f->irq.messages, ==, 2);
    vtd_guest_set_root(f, TTM_LEGACY);
    clear_error();
    assert_done();
    g_assert_cmpuint(vtd_guest_status(f), ==, VTD_GUEST_DONE);
}

static void test_reserved_TTM(void)
{
    vtd_guest_set_root(f, TTM_RESERVED);
    vtd_guest_put_wait(f, 0);
    vtd_guest_kick(f);
    assert_error(0, VTD_IQEI_TTM);
    vtd_guest_set_root(f, TTM_ABORT);
    clear_error();
    assert_done();
}

static void test_misaligned_tail(void)
{
    put_numbered(1, 2);
    for (unsigned i = 0; i < 3; i++) {
        vtd_guest_write32(f, A_IQT, 0x30);
        assert_error(0, VTD_IQEI_TAIL_ALIGNMENT);
        g_assert_cmpuint(numbered(1), ==, 0);
        /* Again, unless the tail is mended first. */
        clear_error();
        assert_error(0, VTD_IQEI_TAIL_ALIGNMENT);
    }
    vtd_guest_kick(f);
    g_assert_cmpuint(numbered(1), ==, 0);
    clear_error();
    assert_done();
    g_assert_cmpuint(numbered(2), ==, 2);
}

/* Bit 4 of the tail is fine where descriptors have 128 bits. */
static void test_odd_tail_of_narrow_descriptors(void)
{
    setup_narrow();
    put_numbered(1, 1);
    g_assert_cmphex(f->iq_tail, ==, 0x10);
    vtd_guest_kick(f);
    assert_done();
    g_assert_cmpuint(numbered(1), ==, 1);
}

static void test_tail_outside_the_queue(void)
{
    for (unsigned wide = 0; wide < 2; wide++) {
        for (unsigned qs = 0; qs < 7; qs++) {
            uint32_t size = 4096u << qs;

            teardown();
            f = vtd_fixture_new(NULL, false);
            vtd_guest_enable_iq(f, qs, wide);
            put_numbered(1, 1);
            vtd_guest_write32(f, A_IQT, size);
            assert_error(0, VTD_IQEI_TAIL_RANGE);
            g_assert_cmpuint(numbered(1), ==, 0);
            vtd_guest_write32(f, A_IQT, 0x7ffe0);
            clear_error();
            assert_error(0, VTD_IQEI_TAIL_RANGE);
            vtd_guest_kick(f);
            clear_error();
            assert_done();
        }
    }
}

static void restart_at(uint64_t base, unsigned qs)
{
    vtd_guest_command(f, FIELD_MASK(GCMD, QIE), false);
    vtd_guest_write32(f, A_IQT, 0);
    vtd_guest_write64(f, A_IQA, base | BIT(11) | qs);
    vtd_guest_command(f, FIELD_MASK(GCMD, QIE), true);
}

static void test_fetch_outside_memory(void)
{
    static const uint64_t nowhere[] = {
        GUEST_NOWHERE, GUEST_RAM - 4096, GUEST_RAM + GUEST_RAM_SIZE,
        UINT64_MAX & ~UINT64_C(4095), 0,
    };

    for (size_t i = 0; i < G_N_ELEMENTS(nowhere); i++) {
        setup_with(NULL);
        restart_at(nowhere[i], 0);
        vtd_guest_write32(f, A_IQT, 0x60);
        assert_error(0, VTD_IQEI_FETCH);
        g_assert_cmpuint(f->irq.messages, ==, 1);
        clear_error();
        assert_error(0, VTD_IQEI_FETCH);
    }
    g_assert_cmpuint(message_log_count(), ==, G_N_ELEMENTS(nowhere));
}

/* As far as there is memory, descriptor by descriptor. */
static void test_fetch_across_the_end_of_memory(void)
{
    uint64_t base = GUEST_RAM + GUEST_RAM_SIZE - 4096;

    restart_at(base, 1);
    for (unsigned i = 0; i < 128; i++) {
        vtd_guest_store_words(f, base + 32 * i,
                              (uint64_t[4]){ VTD_GUEST_WAIT0,
                                             VTD_GUEST_STATUS }, 4);
    }
    /* So that the next chunk is in memory for a part only. */
    vtd_guest_write32(f, A_IQT, 5 * 32);
    g_assert_cmphex(vtd_guest_read64(f, A_IQH), ==, 5 * 32);
    vtd_guest_write32(f, A_IQT, 4096 + 64);
    assert_error(4096, VTD_IQEI_FETCH);
    g_assert_cmpuint(vtd_guest_status(f), ==, VTD_GUEST_DONE);
    g_assert_cmpuint(message_log_matching("is not in memory"), ==, 1);
}

/* ---- In error ---- */

static void test_tail_writes_in_error_are_stored_and_start_nothing(void)
{
    vtd_guest_put(f, BAD_TYPE, 0);
    vtd_guest_kick(f);
    overwrite(0, VTD_DESC_WAIT, 0);
    for (unsigned i = 1; i < 5; i++) {
        put_numbered(i, 1);
        vtd_guest_kick(f);
        g_assert_cmphex(vtd_guest_read64(f, A_IQT), ==, f->iq_tail);
        assert_error(0, VTD_IQEI_TYPE);
        g_assert_cmpuint(numbered(i), ==, 0);
    }
    g_assert_cmpuint(f->irq.messages, ==, 1);
    clear_error();
    assert_done();
    g_assert_cmpuint(numbered(4), ==, 4);
}

static void test_only_clearing_IQE_restarts(void)
{
    vtd_guest_put(f, BAD_TYPE, 0);
    vtd_guest_kick(f);
    overwrite(0, VTD_DESC_WAIT, 0);
    vtd_guest_write32(f, A_FSTS, 0);
    vtd_guest_write32(f, A_FSTS, UINT32_MAX & ~IQE);
    vtd_guest_write32(f, A_GCMD, vtd_guest_read32(f, A_GSTS));
    assert_error(0, VTD_IQEI_TYPE);
    clear_error();
    assert_done();
}

static void test_descriptor_that_stays_bad_is_an_error_again(void)
{
    vtd_guest_put(f, RESERVED, 0);
    vtd_guest_kick(f);
    for (unsigned i = 1; i < 5; i++) {
        assert_error(0, VTD_IQEI_RESERVED);
        g_assert_cmpuint(f->irq.messages, ==, i);
        g_assert_cmphex(f->irq.last_data, ==, VTD_GUEST_FAULT_DATA);
        clear_error();
    }
    g_assert_cmpuint(message_log_matching("error 4 at offset 0x0"), ==, 1);
    g_assert_cmpuint(message_log_count(), ==, 1);
}

/* IQE joins the fault event: no second message while a fault is pending. */
static void test_error_while_a_fault_is_pending(void)
{
    Vtd *v = vtd_fixture_vtd(f);

    lock_acquire(&v->parent.ring_lock);
    vtd_record_fault(v, &(VtdFault){ .reason = VTD_FR_ROOT_P });
    lock_release(&v->parent.ring_lock);
    vtd_guest_put(f, BAD_TYPE, 0);
    vtd_guest_kick(f);
    g_assert_cmpuint(f->irq.messages, ==, 1);
    g_assert_cmphex(vtd_guest_read32(f, A_FSTS), ==,
                    IQE | FIELD_MASK(FSTS, PPF));
    /* Linux's fault handler does not clear it. */
    vtd_guest_write32(f, A_FRCD + 12, FIELD_MASK(ECTL, IM));
    vtd_guest_write32(f, A_FSTS, 0x83);
    assert_error(0, VTD_IQEI_TYPE);
}

static uint64_t seen_iqercd;
static uint32_t seen_iqh;

static void note_error(void *opaque)
{
    Vtd *v = vtd_fixture_vtd(f);

    lock_assert_held(&v->parent.ring_lock);
    seen_iqercd = vtd_reg64(v, R_IQERCD);
    seen_iqh = v->reg[R_IQH];
}

static void test_IQERCD_and_IQH_come_before_the_message(void)
{
    f->irq.raised = note_error;
    put_numbered(1, 2);
    vtd_guest_put(f, RESERVED, 0);
    vtd_guest_kick(f);
    g_assert_cmphex(seen_iqercd, ==, VTD_IQEI_RESERVED);
    g_assert_cmphex(seen_iqh, ==, 64);
}

int main(int argc, char **argv)
{
    static const FixtureTest tests[] = {
        { test_IQH_stays_on_the_bad_descriptor,
          "IQH-stays-on-the-bad-descriptor" },
        { test_bits_128_to_255_are_reserved, "bits-128-to-255-are-reserved" },
        { test_linux_recovers, "linux-recovers" },
        { test_page_response_needs_page_requests,
          "page-response-needs-page-requests" },
        { test_refused_page_response_goes_on_when_IQE_is_cleared,
          "refused-page-response-goes-on-when-IQE-is-cleared" },
        { test_PD_is_reserved_without_PDS, "PD-is-reserved-without-PDS" },
        { test_width_not_valid_for_the_mode, "width-not-valid-for-the-mode" },
        { test_reserved_TTM, "reserved-TTM" },
        { test_misaligned_tail, "misaligned-tail" },
        { test_odd_tail_of_narrow_descriptors,
          "odd-tail-of-narrow-descriptors" },
        { test_tail_outside_the_queue, "tail-outside-the-queue" },
        { test_fetch_outside_memory, "fetch-outside-memory" },
        { test_fetch_across_the_end_of_memory,
          "fetch-across-the-end-of-memory" },
        { test_tail_writes_in_error_are_stored_and_start_nothing,
          "tail-writes-in-error-are-stored-and-start-nothing" },
        { test_only_clearing_IQE_restarts, "only-clearing-IQE-restarts" },
        { test_descriptor_that_stays_bad_is_an_error_again,
          "descriptor-that-stays-bad-is-an-error-again" },
        { test_error_while_a_fault_is_pending,
          "error-while-a-fault-is-pending" },
        { test_IQERCD_and_IQH_come_before_the_message,
          "IQERCD-and-IQH-come-before-the-message" },
    };

    return fixture_main(argc, argv, "/vtd/inv/error", tests,
                        G_N_ELEMENTS(tests), setup, teardown);
}
