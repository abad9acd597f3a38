/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * VT-d's invalidation queue (D51397-018, 6.5.2): what is run, in which order,
 * wait descriptors. Errors: test-vtd-inv-error.c; what the descriptors do:
 * test-vtd-inv-effect.c.
 */
#include "vtd-fixture.h"

#include <string.h>

#define IF FIELD_MASK(WAIT_DESC0, IF)
#define SW FIELD_MASK(WAIT_DESC0, SW)
#define FN FIELD_MASK(WAIT_DESC0, FN)
#define PD FIELD_MASK(WAIT_DESC0, PD)

static VtdFixture *f;

static void setup(void)
{
    f = vtd_fixture_new(NULL, false);
    vtd_guest_start(f, 0);
}

static void teardown(void)
{
    vtd_fixture_free(f);
}

/* A queue of another geometry; the unit is in legacy mode if it is narrow. */
static void setup_queue(unsigned qs, bool wide)
{
    teardown();
    f = vtd_fixture_new(NULL, false);
    vtd_guest_enable_iq(f, qs, wide);
    if (wide) {
        vtd_guest_set_root(f, TTM_SCALABLE);
    }
}

static void assert_done(void)
{
    g_assert_cmphex(vtd_guest_read64(f, A_IQH), ==, f->iq_tail);
    g_assert_cmphex(vtd_guest_read32(f, A_FSTS), ==, 0);
}

/* Wait descriptors whose data goes up from @first, one word each. */
static void put_numbered(unsigned first, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        vtd_guest_put(f, VTD_DESC_WAIT | SW | (uint64_t)(first + i) << 32,
                      VTD_GUEST_FREE + 4 * (first + i));
    }
}

static uint32_t numbered(unsigned i)
{
    return ((uint32_t *)vtd_guest_words(f, VTD_GUEST_FREE))[i];
}

static void assert_numbered(unsigned first, unsigned count)
{
    for (unsigned i = first; i < first + count; i++) {
        g_assert_cmpuint(numbered(i), ==, i);
    }
}

/* ---- Geometry ---- */

static void test_every_size_and_width_wraps(void)
{
    for (unsigned qs = 0; qs <= 7; qs++) {
        for (unsigned wide = 0; wide < 2; wide++) {
            unsigned entries = 4096u << qs >> (wide ? 5 : 4);
            unsigned number = 1;

            setup_queue(qs, wide);
            /* Twice around, in steps that do not divide it. */
            while (number < 2 * entries) {
                unsigned step = MIN(entries - 1, 1000 + number % 7);

                put_numbered(number, step);
                vtd_guest_kick(f);
                assert_done();
                assert_numbered(number, step);
                number += step;
            }
        }
    }
}

/* One step of the loop that a write of IQT runs. */
static bool step(void)
{
    Vtd *v = vtd_fixture_vtd(f);
    bool more;

    lock_acquire(&v->parent.config_lock);
    more = vtd_inv_consume(v);
    lock_release(&v->parent.config_lock);
    return more;
}

/* IQT without its effect, as if another thread had the lock first. */
static void set_tail(uint32_t tail)
{
    Vtd *v = vtd_fixture_vtd(f);

    lock_acquire(&v->parent.ring_lock);
    v->reg[R_IQT] = tail;
    lock_release(&v->parent.ring_lock);
}

/* Whoever waits for the lock gets it after so many descriptors. */
static void test_a_step_is_bounded(void)
{
    setup_queue(3, true);
    put_numbered(1, 600);
    set_tail(f->iq_tail);
    g_assert_true(step());
    g_assert_cmphex(vtd_guest_read64(f, A_IQH), ==, 256 * 32);
    g_assert_cmpuint(numbered(256), ==, 256);
    g_assert_cmpuint(numbered(257), ==, 0);
    g_assert_true(step());
    g_assert_false(step());
    assert_done();
    assert_numbered(1, 600);
    g_assert_false(step());
}

/* A pair counts for 18: with the 15th they are more than 256. */
static void check_pairs(uint64_t first, uint64_t wait)
{
    setup_queue(0, true);
    for (unsigned i = 1; i <= 20; i++) {
        vtd_guest_put(f, first, 0);
        vtd_guest_put(f, VTD_DESC_WAIT | SW | wait | (uint64_t)i << 32,
                      VTD_GUEST_FREE + 4 * i);
    }
    set_tail(f->iq_tail);
    g_assert_true(step());
    g_assert_cmphex(vtd_guest_read64(f, A_IQH), ==, 15 * 64);
    assert_numbered(1, 15);
    g_assert_cmpuint(numbered(16), ==, 0);
    g_assert_false(step());
    assert_done();
    assert_numbered(1, 20);
}

/* Sooner if the host is called, or readers or page requests are waited for. */
static void test_what_waits_counts_for_many(void)
{
    check_pairs(vtd_desc_iotlb(IOTLB_G_GLOBAL, 0), 0);
    check_pairs(VTD_DESC_DEVICE_TLB, 0);
    check_pairs(VTD_DESC_IEC, FIELD_MASK(WAIT_DESC0, PD));
}

/* And after the tables were looked at. */
static void test_a_look_at_the_tables_ends_a_step(void)
{
    setup_queue(0, true);
    for (unsigned i = 1; i <= 3; i++) {
        vtd_guest_put(f, vtd_desc_pasid_cache(PASID_CACHE_G_GLOBAL, 0, 0), 0);
        put_numbered(i, 1);
    }
    set_tail(f->iq_tail);
    for (unsigned i = 1; i <= 3; i++) {
        g_assert_cmpint(step(), ==, i < 3);
        g_assert_cmphex(vtd_guest_read64(f, A_IQH), ==, i * 64);
        assert_numbered(1, i);
    }
    assert_done();
}

static void test_all_but_one_entry_are_usable(void)
{
    setup_queue(0, true);
    put_numbered(1, 127);
    g_assert_cmphex(f->iq_tail, ==, 127 * 32);
    vtd_guest_kick(f);
    assert_done();
    assert_numbered(1, 127);
    /* The last one, and the wrap. */
    put_numbered(200, 1);
    g_assert_cmphex(f->iq_tail, ==, 0);
    vtd_guest_kick(f);
    assert_done();
    assert_numbered(200, 1);
}

static void test_same_tail_again_runs_nothing(void)
{
    put_numbered(1, 3);
    vtd_guest_kick(f);
    memset(vtd_guest_words(f, VTD_GUEST_FREE), 0, 64);
    vtd_guest_kick(f);
    assert_done();
    g_assert_cmpuint(numbered(1), ==, 0);
}

/* The chunk that is read ahead ends at the tail, and is read afresh. */
static void test_descriptors_behind_the_tail_are_not_run(void)
{
    uint32_t tail;

    put_numbered(1, 4);
    tail = f->iq_tail;
    put_numbered(5, 4);
    vtd_guest_write32(f, A_IQT, tail);
    assert_numbered(1, 4);
    g_assert_cmpuint(numbered(5), ==, 0);
    /* Software may still change them. */
    f->iq_tail = tail;
    put_numbered(50, 4);
    vtd_guest_kick(f);
    assert_numbered(50, 4);
    g_assert_cmpuint(numbered(5), ==, 0);
}

static void test_tail_is_also_written_as_qword(void)
{
    put_numbered(1, 2);
    vtd_guest_write64(f, A_IQT, UINT64_MAX << 32 | f->iq_tail);
    assert_done();
    assert_numbered(1, 2);
    g_assert_cmphex(vtd_guest_read64(f, A_IQT), ==, f->iq_tail);
    /* The upper half is reserved and starts nothing. */
    put_numbered(3, 1);
    vtd_guest_write32(f, A_IQT + 4, f->iq_tail);
    g_assert_cmpuint(numbered(3), ==, 0);
}

static void test_runs_whatever_TE_is(void)
{
    vtd_guest_command(f, FIELD_MASK(GCMD, TE), false);
    put_numbered(1, 2);
    vtd_guest_kick(f);
    assert_done();
    assert_numbered(1, 2);
}

/* A queue that ends in the middle of nowhere runs as far as it goes. */
static void test_queue_at_the_end_of_memory(void)
{
    uint64_t base = GUEST_RAM + GUEST_RAM_SIZE - 4096;

    vtd_guest_command(f, FIELD_MASK(GCMD, QIE), false);
    vtd_guest_write32(f, A_IQT, 0);
    vtd_guest_write64(f, A_IQA, base | 0x801);
    vtd_guest_command(f, FIELD_MASK(GCMD, QIE), true);
    for (unsigned i = 0; i < 128; i++) {
        vtd_guest_store_words(f, base + 32 * i,
                              (uint64_t[4]){ VTD_GUEST_WAIT0,
                                             VTD_GUEST_STATUS }, 4);
    }
    vtd_guest_write32(f, A_IQT, 4096);
    g_assert_cmphex(vtd_guest_read64(f, A_IQH), ==, 4096);
    g_assert_cmphex(vtd_guest_read32(f, A_FSTS), ==, 0);
    g_assert_cmpuint(vtd_guest_status(f), ==, VTD_GUEST_DONE);
}

/* Undefined, but no harm may come of it. */
static void test_IQA_changed_while_in_use(void)
{
    message_log_start();
    setup_queue(3, false);
    put_numbered(1, 1025);
    vtd_guest_kick(f);
    g_assert_cmphex(vtd_guest_read64(f, A_IQH), ==, 1025 * 16);
    /* Now IQH is neither inside the queue nor aligned. */
    vtd_guest_write64(f, A_IQA, (VTD_GUEST_IQ + 0x40000) | 0x800);
    memset(vtd_guest_words(f, VTD_GUEST_IQ + 0x40000), 0xff, 4096);
    vtd_guest_write32(f, A_IQT, 0x20);
    g_assert_cmphex(vtd_guest_read32(f, A_FSTS), ==, FIELD_MASK(FSTS, IQE));
    g_assert_cmphex(vtd_guest_read64(f, A_IQH), <, 4096);
    g_assert_cmphex(vtd_guest_read64(f, A_IQH) % 32, ==, 0);
}

/* ---- Wait descriptors ---- */

static void unmask_completion(void)
{
    vtd_guest_write32(f, A_IEDATA, 0x4033);
    vtd_guest_write32(f, A_IEADDR, GUEST_DOORBELL);
    vtd_guest_write32(f, A_IECTL, 0);
}

static void test_every_combination_of_flags(void)
{
    unmask_completion();
    for (uint64_t flags = 0; flags < 16; flags++) {
        unsigned before = f->irq.messages;
        unsigned interrupts = flags << 4 & IF ? 1 : 0;

        vtd_guest_store(f, VTD_GUEST_STATUS, UINT64_MAX);
        vtd_guest_put(f, VTD_DESC_WAIT | flags << 4 | UINT64_C(0x1234) << 32,
                      VTD_GUEST_STATUS + 4);
        vtd_guest_kick(f);
        assert_done();
        g_assert_cmphex(*vtd_guest_words(f, VTD_GUEST_STATUS), ==,
                        flags << 4 & SW ? 0x00001234ffffffff : UINT64_MAX);
        g_assert_cmphex(vtd_guest_read32(f, A_ICS), ==, interrupts);
        g_assert_cmpuint(f->irq.messages - before, ==, interrupts);
        vtd_guest_write32(f, A_ICS, 1);
    }
}

static void test_IWC_interrupts_once_until_cleared(void)
{
    unmask_completion();
    for (unsigned i = 0; i < 3; i++) {
        vtd_guest_put_wait(f, IF);
    }
    vtd_guest_kick(f);
    g_assert_cmpuint(f->irq.messages, ==, 1);
    g_assert_cmphex(f->irq.last_data, ==, 0x4033);
    vtd_guest_write32(f, A_ICS, 0);
    g_assert_cmphex(vtd_guest_read32(f, A_ICS), ==, 1);
    vtd_guest_write32(f, A_ICS, 1);
    g_assert_cmphex(vtd_guest_read32(f, A_ICS), ==, 0);
    vtd_guest_submit_put(f, IF);
    g_assert_cmpuint(f->irq.messages, ==, 2);
}

static uint32_t seen_status;
static uint32_t seen_iqh;

static void note_completion(void *opaque)
{
    seen_status = vtd_guest_status(f);
    seen_iqh = vtd_fixture_vtd(f)->reg[R_IQH];
}

static void test_status_and_IQH_come_before_the_interrupt(void)
{
    unmask_completion();
    f->irq.raised = note_completion;
    put_numbered(1, 2);
    vtd_guest_put_wait(f, IF);
    put_numbered(3, 2);
    vtd_guest_kick(f);
    g_assert_cmpuint(seen_status, ==, VTD_GUEST_DONE);
    g_assert_cmphex(seen_iqh, ==, 3 * 32);
}

static void test_status_outside_memory_is_lost(void)
{
    static const uint64_t nowhere[] = {
        GUEST_NOWHERE, GUEST_RAM - 4, GUEST_RAM + GUEST_RAM_SIZE,
        GUEST_DOORBELL, UINT64_MAX & ~3,
    };

    message_log_start();
    unmask_completion();
    for (size_t i = 0; i < G_N_ELEMENTS(nowhere); i++) {
        vtd_guest_put(f, VTD_GUEST_WAIT0 | IF, nowhere[i]);
        vtd_guest_submit_put(f, 0);
        assert_done();
        g_assert_cmphex(vtd_guest_read32(f, A_ICS), ==, 1);
        vtd_guest_write32(f, A_ICS, 1);
    }
    g_assert_cmpuint(f->irq.messages, ==, G_N_ELEMENTS(nowhere));
    g_assert_cmpuint(message_log_count(), ==, 1);
    g_assert_cmpuint(message_log_matching("status of a wait descriptor at "
                                          "0x20000000 is not in memory"),
                     ==, 1);
}

/* Status words may be where descriptors are: those read ahead were read. */
static void test_status_into_the_queue(void)
{
    vtd_guest_put(f, VTD_GUEST_WAIT0, VTD_GUEST_IQ);
    vtd_guest_submit_put(f, 0);
    g_assert_cmphex(*vtd_guest_words(f, VTD_GUEST_IQ) & UINT32_MAX, ==,
                    VTD_GUEST_DONE);
    assert_done();
}

int main(int argc, char **argv)
{
    static const FixtureTest tests[] = {
        { test_every_size_and_width_wraps, "every-size-and-width-wraps" },
        { test_a_step_is_bounded, "step/is-bounded" },
        { test_what_waits_counts_for_many, "step/what-waits-counts-for-many" },
        { test_a_look_at_the_tables_ends_a_step, "step/ends-with-tables" },
        { test_all_but_one_entry_are_usable, "all-but-one-entry-are-usable" },
        { test_same_tail_again_runs_nothing, "same-tail-again-runs-nothing" },
        { test_descriptors_behind_the_tail_are_not_run,
          "descriptors-behind-the-tail-are-not-run" },
        { test_tail_is_also_written_as_qword,
          "tail-is-also-written-as-qword" },
        { test_runs_whatever_TE_is, "runs-whatever-TE-is" },
        { test_queue_at_the_end_of_memory, "queue-at-the-end-of-memory" },
        { test_IQA_changed_while_in_use, "IQA-changed-while-in-use" },
        { test_every_combination_of_flags,
          "wait/every-combination-of-flags" },
        { test_IWC_interrupts_once_until_cleared,
          "wait/IWC-interrupts-once-until-cleared" },
        { test_status_and_IQH_come_before_the_interrupt,
          "wait/status-and-IQH-come-before-the-interrupt" },
        { test_status_outside_memory_is_lost,
          "wait/status-outside-memory-is-lost" },
        { test_status_into_the_queue, "wait/status-into-the-queue" },
    };

    return fixture_main(argc, argv, "/vtd/inv", tests, G_N_ELEMENTS(tests),
                        setup, teardown);
}
