/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * CMD_PRI_RESP (IHI 0070 G.b, 4.5.2): which group it names, what the device
 * hears. And the commands for stalls (4.6), which there are not: STALL_MODEL 1.
 */
#include "priq-fixture.h"

#define SID 0x10
#define HOST_SID 0x20           /* of a device of the host's */
#define PASID 5
#define INDEX 0x123

#define TLBI OP(0x10, 0)
#define HOST_REFUSES (TLBI | BIT(11))   /* a reserved bit: EIO */
#define CMD_RESUME 0x44
#define CMD_STALL_TERM 0x45

enum { ERR_ILL = 1 };
enum { RESP_FAILURE, RESP_INVALID, RESP_SUCCESS };

static Fixture *f;
static SvaDevice *device;
static PriqRequest request;

static void setup_with(const Smmuv3Properties *props)
{
    f = fixture_new(props, false);
    message_log_start();
    fixture_plug(f, HOST_SID);
}

/* The guest has a group to respond to. */
static void setup(void)
{
    setup_with(&PRIQ_PROPERTIES);
    guest_start_priq(f, 4, 12, 4);
    device = priq_add_device(f, SID, 8);
    priq_request(device, &request, PASID, INDEX, 1);
    fixture_pump(f);
    g_assert_cmpuint(priq_consume_all(f), ==, 1);
}

static void teardown(void)
{
    if (device) {
        viommu_remove_sva_device(device);
        device = NULL;
    }
    fixture_free(f);
}

static void setup_again(void)
{
    teardown();
    setup();
}

static ViommuPageStats stats(void)
{
    fixture_pump(f);
    return viommu_get_page_stats(f->viommu);
}

static void assert_open(void)
{
    g_assert_cmpuint(stats().open, ==, 1);
    g_assert_cmpuint(request.responses, ==, 0);
}

static void respond(unsigned resp)
{
    priq_respond(f, SID, PASID, INDEX, resp);
    fixture_pump(f);
}

static void test_codes(void)
{
    static const struct {
        unsigned resp;
        uint32_t code;
    } cases[] = {
        { RESP_FAILURE, 0xf }, { RESP_INVALID, 1 }, { RESP_SUCCESS, 0 },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        setup_again();
        respond(cases[i].resp);
        cmdq_assert_done(f);
        priq_assert_response(&request, cases[i].code);
        g_assert_cmpuint(stats().answered, ==, 1);
        g_assert_cmpuint(stats().open, ==, 0);
    }
}

static void test_Resp_3_is_illegal(void)
{
    respond(3);
    cmdq_assert_error(f, 0, ERR_ILL);
    assert_open();
    /* Also where a legal one would be ignored. */
    cmdq_overwrite(f, 0, SYNC);
    cmdq_acknowledge(f);
    guest_write(f, A_CR0, 0x1e);
    respond(3);
    cmdq_assert_error(f, 1, ERR_ILL);
}

static void test_illegal_without_PRI(void)
{
    Smmuv3Properties props = PRIQ_PROPERTIES;

    for (unsigned enabled = 0; enabled < 2; enabled++) {
        teardown();
        props.pri = false;
        setup_with(&props);
        guest_start(f, 4, 4);
        guest_write(f, A_CR0, 0xc | enabled);
        respond(RESP_SUCCESS);
        cmdq_assert_error(f, 0, ERR_ILL);
    }
}

static void test_ignored_while_SMMUEN_is_0(void)
{
    guest_write(f, A_CR0, 0x1e);
    respond(RESP_SUCCESS);
    cmdq_assert_done(f);
    assert_open();
    g_assert_cmpuint(stats().stray, ==, 0);
    guest_write(f, A_CR0, 0x1f);
    respond(RESP_SUCCESS);
    priq_assert_response(&request, 0);
}

/* The queue has no part in it. */
static void test_not_ignored_while_PRIQEN_is_0(void)
{
    guest_disable_priq(f);
    respond(RESP_SUCCESS);
    priq_assert_response(&request, 0);
}

static void test_other_keys_are_strays(void)
{
    static const struct {
        uint32_t sid, pasid, index;
    } others[] = {
        { SID + 1, PASID, INDEX }, { SID | 0x10000, PASID, INDEX },
        { HOST_SID, PASID, INDEX }, { SID, PASID + 1, INDEX },
        { SID, NO_PASID, INDEX }, { SID, PASID, INDEX + 1 },
        { SID, PASID, INDEX ^ 0x100 },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
        priq_respond(f, others[i].sid, others[i].pasid, others[i].index,
                     RESP_SUCCESS);
        cmdq_assert_done(f);
        assert_open();
        g_assert_cmpuint(stats().stray, ==, i + 1);
    }
    respond(RESP_SUCCESS);
    priq_assert_response(&request, 0);
}

static void test_SubstreamID_counts_with_SSV_only(void)
{
    PriqRequest without;

    priq_request(device, &without, NO_PASID, INDEX, 1);
    fixture_pump(f);
    /* SSV is 0, SubstreamID is not. */
    guest_command(f, priq_resp_word0(SID, PASID) & ~BIT(11),
                  priq_resp_word1(INDEX, RESP_SUCCESS));
    guest_kick(f);
    fixture_pump(f);
    priq_assert_response(&without, 0);
    assert_open();
}

static void test_second_response_is_a_stray(void)
{
    respond(RESP_SUCCESS);
    respond(RESP_INVALID);
    priq_assert_response(&request, 0);
    g_assert_cmpuint(stats().stray, ==, 1);
    g_assert_cmpuint(stats().answered, ==, 1);
}

/* Two in one run of commands: the first counts. */
static void test_first_response_counts(void)
{
    guest_command(f, priq_resp_word0(SID, PASID),
                  priq_resp_word1(INDEX, RESP_INVALID));
    respond(RESP_SUCCESS);
    priq_assert_response(&request, 1);
}

static void test_Secure_is_illegal(void)
{
    guest_command(f, priq_resp_word0(SID, PASID) | BIT(10),
                  priq_resp_word1(INDEX, RESP_SUCCESS));
    guest_kick(f);
    cmdq_assert_error(f, 0, ERR_ILL);
    assert_open();
}

/* A command behind one that fails has had no effect, wherever that shows. */
static void test_not_before_the_invalidations_before_it(void)
{
    cmdq_put(f, TLBI, 2);
    cmdq_put(f, HOST_REFUSES, 1);
    respond(RESP_SUCCESS);
    cmdq_assert_error(f, 2, ERR_ILL);
    assert_open();
    cmdq_overwrite(f, 2, SYNC);
    cmdq_acknowledge(f);
    cmdq_assert_done(f);
    fixture_pump(f);
    priq_assert_response(&request, 0);
    g_assert_cmpuint(stats().stray, ==, 0);
}

static void test_not_behind_an_illegal_command(void)
{
    cmdq_put(f, ILLEGAL, 1);
    respond(RESP_SUCCESS);
    cmdq_assert_error(f, 0, ERR_ILL);
    assert_open();
}

/* Far more than the vIOMMU keeps until its home thread takes them. */
static void test_as_many_as_the_queue_holds(void)
{
    for (unsigned i = 0; i < 4000; i++) {
        guest_command(f, priq_resp_word0(SID, PASID),
                      priq_resp_word1(0, RESP_SUCCESS));
    }
    respond(RESP_SUCCESS);
    cmdq_assert_done(f);
    g_assert_cmpuint(stats().stray, ==, 4000);
    priq_assert_response(&request, 0);
}

static void assert_illegal(uint64_t op)
{
    static const uint64_t actions[] = { 0, BIT(12), BIT(13) };

    for (unsigned pri = 0; pri < 2; pri++) {
        for (size_t i = 0; i < G_N_ELEMENTS(actions); i++) {
            Smmuv3Properties props = PRIQ_PROPERTIES;

            teardown();
            props.pri = pri;
            setup_with(&props);
            guest_start(f, 4, 4);
            cmdq_run(f, SYNC);
            guest_command(f, OP(op, HOST_SID) | actions[i], 1);
            guest_kick(f);
            cmdq_assert_error(f, 1, ERR_ILL);
            g_assert_cmpuint(f->irq.pulses[SMMUV3_IRQ_GERROR], ==, 1);
        }
    }
}

static void test_RESUME_is_illegal_without_stalls(void)
{
    g_assert_cmphex(guest_read(f, A_IDR0) >> 24 & 3, ==, 1);
    assert_illegal(CMD_RESUME);
}

static void test_STALL_TERM_is_illegal_without_stalls(void)
{
    assert_illegal(CMD_STALL_TERM);
}

int main(int argc, char **argv)
{
    static const FixtureTest tests[] = {
        { test_codes, "codes" },
        { test_Resp_3_is_illegal, "Resp-3-is-illegal" },
        { test_illegal_without_PRI, "illegal-without-PRI" },
        { test_ignored_while_SMMUEN_is_0, "ignored-while-SMMUEN-is-0" },
        { test_not_ignored_while_PRIQEN_is_0,
          "not-ignored-while-PRIQEN-is-0" },
        { test_other_keys_are_strays, "other-keys-are-strays" },
        { test_SubstreamID_counts_with_SSV_only,
          "SubstreamID-counts-with-SSV-only" },
        { test_second_response_is_a_stray, "second-response-is-a-stray" },
        { test_first_response_counts, "first-response-counts" },
        { test_Secure_is_illegal, "Secure-is-illegal" },
        { test_not_before_the_invalidations_before_it,
          "not-before-the-invalidations-before-it" },
        { test_not_behind_an_illegal_command,
          "not-behind-an-illegal-command" },
        { test_as_many_as_the_queue_holds, "as-many-as-the-queue-holds" },
        { test_RESUME_is_illegal_without_stalls,
          "RESUME-is-illegal-without-stalls" },
        { test_STALL_TERM_is_illegal_without_stalls,
          "STALL_TERM-is-illegal-without-stalls" },
    };

    return fixture_main(argc, argv, "/smmuv3/pri-resp", tests,
                        G_N_ELEMENTS(tests), setup, teardown);
}
