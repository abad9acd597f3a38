/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "run-sample.h"

#include <glib.h>

/* Of an SMMUv3 whose devices report events. */
static RunSample good_sample(void)
{
    return (RunSample){
        .kinds = RUN_EVENTS,
        .generated = 1000,
        .seen = 900,
        .guest_overflows = 3,
        .pump = {
            .delivered = 900, .discarded = 10, .lost = 90, .reads = 50,
            .interrupts = 40, .overflows = 3, .queue_used = 64,
            .queue_size = 256,
        },
    };
}

/* A good sample with one field changed. */
typedef struct Case {
    size_t field;
    int64_t change;
    bool settled;
    const char *explanation;
} Case;

static void check(RunSample sample, const Case *c)
{
    g_autofree char *explanation = NULL;

    G_STRUCT_MEMBER(uint64_t, &sample, c->field) += c->change;
    g_assert_cmpint(run_sample_pending(&sample) == 0, ==, c->settled);
    explanation = run_sample_explain(&sample);
    g_assert_cmpstr(explanation, ==, c->explanation);
}

static void test_balance(void)
{
    static const Case cases[] = {
        { offsetof(RunSample, seen), 0, true, NULL },
        { offsetof(RunSample, generated), 1, false,
          "1001 events generated, but 1000 delivered, discarded or lost "
          "(difference +1)" },
        { offsetof(RunSample, pump.lost), 2, false,
          "1000 events generated, but 1002 delivered, discarded or lost "
          "(difference -2)" },
        { offsetof(RunSample, pump.discarded), -1, false,
          "1000 events generated, but 999 delivered, discarded or lost "
          "(difference +1)" },
        { offsetof(RunSample, seen), -3, false,
          "900 records delivered, but 897 read by the guest (difference +3)" },
        { offsetof(RunSample, corrupt), 1, false,
          "900 records delivered, but 901 read by the guest (difference -1); "
          "1 records damaged, out of order or twice" },
        { offsetof(RunSample, refused), 5, true,
          "5 events refused by the host" },
        { offsetof(RunSample, guest_overflows), -1, true,
          "3 overflows shown to the guest, but 2 seen by it" },
        { offsetof(RunSample, pump.overflows), -3, true,
          "90 events lost, but no overflow shown to the guest; "
          "0 overflows shown to the guest, but 3 seen by it" },
        { offsetof(RunSample, gerrors), 2, true, "2 global errors or faults" },
        { offsetof(RunSample, pump.delivered), 1, false,
          "1000 events generated, but 1001 delivered, discarded or lost "
          "(difference -1); 901 records delivered, but 900 read by the guest "
          "(difference +1)" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        check(good_sample(), &cases[i]);
    }
}

#define PAGES(field) offsetof(RunSample, pages.field)
#define OPERATIONS(field) offsetof(RunSample, operations.field)

/* Of a VT-d with SVA devices. */
static RunSample good_pages(void)
{
    return (RunSample){
        .kinds = RUN_PAGES | RUN_OPERATIONS,
        .pages = {
            .raised = 500, .responded = 500, .no_credit = 7,
            .guest_overflows = 1, .guest_answered = 480,
            .pump = {
                .raised = 500, .answered = 480, .invalid = 15, .retried = 5,
                .markers = 3, .overflows = 1,
            },
        },
        .operations = { .begun = 100, .completed = 100, .verified = 100 },
    };
}

static void test_page_requests_balance(void)
{
    static const Case cases[] = {
        { PAGES(no_credit), 1, true, NULL },
        { PAGES(pump.markers), 1, true, NULL },
        { PAGES(raised), 1, false,
          "501 groups raised, but 500 taken in (difference +1); "
          "501 groups raised, but 500 responded to (difference +1)" },
        { PAGES(responded), -2, false,
          "500 groups raised, but 498 responded to (difference +2)" },
        { PAGES(responded), 1, false,
          "500 groups raised, but 501 responded to (difference -1)" },
        { PAGES(pump.raised), 1, true,
          "500 groups raised, but 501 taken in (difference -1); "
          "501 groups taken in, but 500 answered, invalid, retried or open "
          "(difference +1)" },
        { PAGES(pump.answered), -1, false,
          "500 groups taken in, but 499 answered, invalid, retried or open "
          "(difference +1); 479 answers of the guest's counted by the vIOMMU, "
          "but 480 by the guest (difference -1)" },
        { PAGES(guest_answered), 17, true,
          "480 answers of the guest's counted by the vIOMMU, but 497 by the "
          "guest (difference -17)" },
        { PAGES(pump.invalid), 1, false,
          "500 groups taken in, but 501 answered, invalid, retried or open "
          "(difference -1)" },
        { PAGES(pump.retried), 1, false,
          "500 groups taken in, but 501 answered, invalid, retried or open "
          "(difference -1)" },
        { PAGES(pump.open), 1, false,
          "500 groups taken in, but 501 answered, invalid, retried or open "
          "(difference -1); 1 groups open" },
        { PAGES(unexpected), 1, true, "1 groups answered twice" },
        { PAGES(failed), 2, true, "2 groups not answered Success" },
        { PAGES(refused), 3, true, "3 groups refused by the host" },
        { PAGES(pump.stray), 1, true,
          "481 answers of the guest's counted by the vIOMMU, but 480 by the "
          "guest (difference +1); 1 answers of the guest's to groups that "
          "were not open" },
        { PAGES(guest_bad), 1, true, "1 page requests damaged" },
        { PAGES(guest_overflows), -1, true,
          "1 page request overflows shown to the guest, but 0 seen by it" },
        { PAGES(unlike), 1, true,
          "1 devices whose page requests the guest has not read as they were "
          "raised" },
        { OPERATIONS(begun), 1, false,
          "101 operations begun, but 100 verified, corrupt or failed "
          "(difference +1)" },
        { OPERATIONS(completed), 1, true,
          "101 operations completed, but 100 verified or corrupt "
          "(difference +1)" },
        { OPERATIONS(changed), 2, true,
          "2 results changed after they were verified" },
        { OPERATIONS(damaged), 1, true,
          "1 pages written to after their translation was gone" },
        { offsetof(RunSample, gerrors), 1, true, "1 global errors or faults" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        check(good_pages(), &cases[i]);
    }
}

/* An answered group that is open as well balances, but is not at rest. */
static void test_open_group_is_pending(void)
{
    RunSample sample = good_pages();
    g_autofree char *explanation = NULL;

    sample.pages.pump.open++;
    sample.pages.pump.answered--;
    sample.pages.guest_answered--;
    g_assert_cmpuint(run_sample_pending(&sample), ==, 1);
    explanation = run_sample_explain(&sample);
    g_assert_cmpstr(explanation, ==, "1 groups open");
}

/* Of real devices only what the queues say is known, and has to balance. */
static void test_uncounted(void)
{
    static const Case cases[] = {
        { offsetof(RunSample, pump.delivered), 1, false,
          "901 records delivered, but 900 read by the guest (difference +1)" },
        { offsetof(RunSample, pages.pump.raised), 1, true,
          "1 groups taken in, but 0 answered, invalid, retried or open "
          "(difference +1)" },
        { offsetof(RunSample, pages.guest_answered), 1, true,
          "0 answers of the guest's counted by the vIOMMU, but 1 by the guest "
          "(difference -1)" },
    };
    RunSample sample = good_sample();

    sample.uncounted = true;
    sample.generated = 0;
    g_assert_cmpuint(run_sample_pending(&sample), ==, 0);
    g_assert_null(run_sample_explain(&sample));
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        check(sample, &cases[i]);
    }
    sample.pages.pump.open = sample.pages.pump.raised = 2;
    g_assert_cmpuint(run_sample_pending(&sample), ==, 2);
}

/* A group that an operation waits for: once, though three sums lack it. */
static void test_pending_counts_once(void)
{
    RunSample sample = good_pages();

    sample.operations.begun++;
    g_assert_cmpuint(run_sample_pending(&sample), ==, 1);
    sample.pages.raised++;
    g_assert_cmpuint(run_sample_pending(&sample), ==, 1);
    sample.pages.pump.raised++;
    sample.pages.pump.open++;
    g_assert_cmpuint(run_sample_pending(&sample), ==, 1);
    sample.pages.raised += 2;
    g_assert_cmpuint(run_sample_pending(&sample), ==, 3);
    sample.generated += 4;
    g_assert_cmpuint(run_sample_pending(&sample), ==, 7);
}

/* Stopping: what had been wrong before is said elsewhere. */
static void test_stop_is_judged(void)
{
    static const Case cases[] = {
        { offsetof(RunSample, pump.interrupts), 1, true, NULL },
        { offsetof(RunSample, gerrors), 2, true,
          "2 global errors, faults or refused commands" },
        { offsetof(RunSample, corrupt), 1, true,
          "1 records damaged, out of order or twice" },
        { PAGES(guest_bad), 1, true, "1 page requests damaged" },
        { PAGES(unexpected), 1, true, "1 groups answered twice" },
        { PAGES(pump.stray), 1, true,
          "1 answers of the guest's to groups that were not open" },
        { PAGES(pump.open), 1, true, "1 groups open" },
        { OPERATIONS(damaged), 1, true,
          "1 pages written to after their translation was gone" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *explanation = NULL;
        RunSample before = good_pages();
        RunSample after;

        before.gerrors = before.corrupt = before.pages.guest_bad = 5;
        after = before;
        G_STRUCT_MEMBER(uint64_t, &after, cases[i].field) += cases[i].change;
        explanation = run_sample_explain_stop(&before, &after);
        g_assert_cmpstr(explanation, ==, cases[i].explanation);
    }
}

/* The guest has heard of it, so it is not waited for. */
static void test_bad_operation_settles_unbalanced(void)
{
    RunSample sample = good_pages();
    g_autofree char *explanation = NULL;

    sample.operations.verified -= 3;
    sample.operations.completed -= 2;
    sample.operations.corrupt++;
    sample.operations.failed += 2;
    g_assert_cmpuint(run_sample_pending(&sample), ==, 0);
    explanation = run_sample_explain(&sample);
    g_assert_cmpstr(explanation, ==, "1 operations with wrong results; "
                                     "2 operations failed");
}

/* Every record was read, but not every one is good: settled, yet no balance. */
static void test_corrupt_record_settles_unbalanced(void)
{
    RunSample sample = good_sample();
    g_autofree char *explanation = NULL;

    sample.seen--;
    sample.corrupt++;
    g_assert_cmpuint(run_sample_pending(&sample), ==, 0);
    explanation = run_sample_explain(&sample);
    g_assert_cmpstr(explanation, ==,
                    "1 records damaged, out of order or twice");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/run-sample/balance", test_balance);
    g_test_add_func("/run-sample/page-requests-balance",
                    test_page_requests_balance);
    g_test_add_func("/run-sample/open-group-is-pending",
                    test_open_group_is_pending);
    g_test_add_func("/run-sample/pending-counts-once",
                    test_pending_counts_once);
    g_test_add_func("/run-sample/uncounted", test_uncounted);
    g_test_add_func("/run-sample/stop-is-judged", test_stop_is_judged);
    g_test_add_func("/run-sample/bad-operation-settles-unbalanced",
                    test_bad_operation_settles_unbalanced);
    g_test_add_func("/run-sample/corrupt-record-settles-unbalanced",
                    test_corrupt_record_settles_unbalanced);
    return g_test_run();
}
