/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where a device's traffic goes: from STEs to HWPTs (IHI 0070 G.b, 3.3, 5.2),
 * and what moves whom when. Where an STE is: test-smmuv3-strtab.c; hot plug and
 * a host that refuses: test-smmuv3-plug.c.
 */
#include "cmdq-fixture.h"

#include "host/iommufd-abi.h"
#include "host/vfio-abi.h"
#include "hw/arm/smmuv3-internal.h"

#include <inttypes.h>

#define SID 0x10

#define STE_V UINT64_C(1)
#define CONFIG(n) ((uint64_t)(n) << 1)
#define ABORT_STE (STE_V | CONFIG(0))
#define BYPASS_STE (STE_V | CONFIG(4))
#define S1_STE (STE_V | CONFIG(5) | UINT64_C(0x12345000))
#define S1STALLD BIT(27)
#define EATS(n) ((uint64_t)(n) << 28)

static Fixture *f;
static VfioDevice *device;

static void setup_with(const Smmuv3Properties *props)
{
    f = fixture_new(props, false);
    message_log_start();
    device = fixture_plug(f, SID);
}

static void setup(void)
{
    setup_with(NULL);
}

static void teardown(void)
{
    fixture_free(f);
}

static uint64_t objects(void)
{
    return emul_get_stats(f->host).objects;
}

/* From now on count the ioctls of kind @request, without failing any. */
static void count_calls(unsigned long request)
{
    const EmulFailure failure = {
        .call = EMUL_CALL_IOCTL, .request = request, .nth = UINT64_MAX,
    };

    emul_set_failure(f->host, &failure);
}

static void test_disabled_follows_gbpa(void)
{
    const uint32_t abort_bit = FIELD_MASK(GBPA, ABORT);
    const uint32_t update = FIELD_MASK(GBPA, UPDATE);

    g_assert_cmpint(fixture_place(f, SID), ==, PLACE_BYPASS);
    guest_write(f, A_GBPA, abort_bit);
    g_assert_cmpint(fixture_place(f, SID), ==, PLACE_BYPASS);
    guest_write(f, A_GBPA, abort_bit | update);
    g_assert_cmpint(fixture_place(f, SID), ==, PLACE_ABORT);
    guest_write(f, A_GBPA, 0);
    g_assert_cmpint(fixture_place(f, SID), ==, PLACE_ABORT);
    guest_write(f, A_GBPA, update);
    g_assert_cmpint(fixture_place(f, SID), ==, PLACE_BYPASS);
}

static void test_enabled_ignores_gbpa(void)
{
    guest_start(f, 4, 4);
    cmdq_set_ste(f, SID, S1_STE, 0);
    count_calls(0);
    guest_write(f, A_GBPA, FIELD_MASK(GBPA, ABORT) | FIELD_MASK(GBPA, UPDATE));
    g_assert_cmpuint(emul_get_calls_counted(f->host), ==, 0);
    g_assert_cmpint(fixture_place(f, SID), ==, PLACE_STAGE1);
    /* It counts once SMMUEN is 0. */
    guest_write(f, A_CR0, 0xc);
    g_assert_cmpint(fixture_place(f, SID), ==, PLACE_ABORT);
    guest_write(f, A_CR0, 0xd);
    g_assert_cmpint(fixture_place(f, SID), ==, PLACE_STAGE1);
}

static void test_smmuen_switches_all(void)
{
    fixture_plug(f, SID + 1);
    fixture_plug(f, SID + 2);
    guest_start(f, 4, 4);
    guest_write(f, A_CR0, 0xc);
    guest_set_ste(f, SID, S1_STE, 0);
    guest_set_ste(f, SID + 1, ABORT_STE, 0);
    guest_set_ste(f, SID + 2, BYPASS_STE, 0);
    for (unsigned i = 0; i < 3; i++) {
        uint64_t before = objects();

        guest_write(f, A_CR0, 0xd);
        g_assert_cmpint(fixture_place(f, SID), ==, PLACE_STAGE1);
        g_assert_cmpint(fixture_place(f, SID + 1), ==, PLACE_ABORT);
        g_assert_cmpint(fixture_place(f, SID + 2), ==, PLACE_BYPASS);
        g_assert_cmpuint(objects(), ==, before + 1);
        guest_write(f, A_CR0, 0xc);
        g_assert_cmpint(fixture_place(f, SID), ==, PLACE_BYPASS);
        g_assert_cmpint(fixture_place(f, SID + 1), ==, PLACE_BYPASS);
        g_assert_cmpuint(objects(), ==, before);
    }
}

/* An STE, the place that it sends its device to, and what the host is told. */
typedef struct SteCase {
    uint64_t word0, word1;
    FixturePlace place;
    uint64_t host0, host1;
    bool warns;
} SteCase;

static void check_ste_cases(const Smmuv3Properties *props,
                            const SteCase *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t ste[2];

        g_test_message("0x%" PRIx64 " 0x%" PRIx64, cases[i].word0,
                       cases[i].word1);
        teardown();
        setup_with(props);
        guest_start(f, 4, 4);
        cmdq_set_ste(f, SID, cases[i].word0, cases[i].word1);
        g_assert_cmpint(fixture_place(f, SID), ==, cases[i].place);
        if (cases[i].place == PLACE_STAGE1) {
            fixture_attached_to(f, device, ste);
            g_assert_cmphex(ste[0], ==, cases[i].host0);
            g_assert_cmphex(ste[1], ==, cases[i].host1);
        }
        g_assert_cmpuint(message_log_matching("STE of StreamID 0x10 is "
                                               "illegal"), ==, cases[i].warns);
    }
}

static void test_ste_says_where(void)
{
    static const SteCase cases[] = {
        { .word0 = 0, .place = PLACE_ABORT },
        { .word0 = CONFIG(4), .place = PLACE_ABORT },         /* V=0 */
        { .word0 = S1_STE & ~STE_V, .place = PLACE_ABORT },
        { .word0 = STE_V | CONFIG(0), .place = PLACE_ABORT },
        { .word0 = STE_V | CONFIG(1), .place = PLACE_ABORT },
        { .word0 = STE_V | CONFIG(2), .place = PLACE_ABORT },
        { .word0 = STE_V | CONFIG(3), .place = PLACE_ABORT },
        { .word0 = STE_V | CONFIG(4), .place = PLACE_BYPASS },
        { .word0 = STE_V | CONFIG(6), .place = PLACE_ABORT, .warns = true },
        { .word0 = STE_V | CONFIG(7), .place = PLACE_ABORT, .warns = true },
        /* Stage 1 fields do not count without stage 1. */
        { .word0 = ~CONFIG(7) | CONFIG(4), .word1 = UINT64_MAX,
          .place = PLACE_BYPASS },
        { .word0 = ~CONFIG(7) | CONFIG(2), .word1 = UINT64_MAX,
          .place = PLACE_ABORT },
        { .word0 = S1_STE, .place = PLACE_STAGE1, .host0 = S1_STE,
          .host1 = S1STALLD },
        /* Only what the host takes; S1CDMax is 0 without substreams. */
        { .word0 = (~CONFIG(7) & ~BIT_RANGE(59, 5)) | CONFIG(5),
          .word1 = ~S1STALLD & ~EATS(3), .place = PLACE_STAGE1,
          .host0 = UINT64_C(0x000ffffffffffffb), .host1 = S1STALLD | 0xff },
        { .word0 = S1_STE, .word1 = S1STALLD, .place = PLACE_ABORT,
          .warns = true },
        { .word0 = S1_STE | BIT(59), .place = PLACE_ABORT, .warns = true },
        /* EATS is for SMMUs with ATS. */
        { .word0 = S1_STE, .word1 = EATS(1), .place = PLACE_STAGE1,
          .host0 = S1_STE, .host1 = S1STALLD },
        { .word0 = S1_STE, .word1 = EATS(3), .place = PLACE_STAGE1,
          .host0 = S1_STE, .host1 = S1STALLD },
    };

    check_ste_cases(NULL, cases, G_N_ELEMENTS(cases));
}

static void test_ste_with_ats_and_substreams(void)
{
    static const SteCase cases[] = {
        { .word0 = S1_STE, .word1 = EATS(0), .place = PLACE_STAGE1,
          .host0 = S1_STE, .host1 = S1STALLD },
        { .word0 = S1_STE, .word1 = EATS(1), .place = PLACE_STAGE1,
          .host0 = S1_STE, .host1 = S1STALLD | EATS(1) },
        { .word0 = S1_STE, .word1 = EATS(2), .place = PLACE_ABORT,
          .warns = true },
        { .word0 = S1_STE, .word1 = EATS(3), .place = PLACE_ABORT,
          .warns = true },
        { .word0 = S1_STE | UINT64_C(16) << 59 | 2 << 4, .word1 = 2,
          .place = PLACE_STAGE1, .host0 = S1_STE | UINT64_C(16) << 59 | 2 << 4,
          .host1 = S1STALLD | 2 },
        { .word0 = S1_STE | UINT64_C(17) << 59, .place = PLACE_ABORT,
          .warns = true },
        { .word0 = S1_STE | UINT64_C(31) << 59, .place = PLACE_ABORT,
          .warns = true },
    };
    Smmuv3Properties props = SMMUV3_PROPERTIES_DEFAULT;

    props.ats = true;
    props.ssid_bits = 16;
    check_ste_cases(&props, cases, G_N_ELEMENTS(cases));
}

static const HostIommuOps *real_ops;

/* A host whose SMMU cannot stall: STALL_MODEL 1. */
static int no_stall_ioctl(HostIommu *host, int fd, unsigned long request,
                          void *arg)
{
    int ret = real_ops->ioctl(host, fd, request, arg);

    if (ret == 0 && request == IOMMU_GET_HW_INFO) {
        const struct iommu_hw_info *cmd = arg;
        struct iommu_hw_info_arm_smmuv3 *info =
            (void *)(uintptr_t)cmd->data_uptr;

        info->idr[0] = FIELD_SET(info->idr[0], IDR0, STALL_MODEL, 1);
    }
    return ret;
}

static void test_s1stalld_only_where_the_host_can_stall(void)
{
    static HostIommuOps ops;
    uint64_t ste[2];

    fixture_unplug(f, device, SID);
    real_ops = f->host->ops;
    ops = *real_ops;
    ops.ioctl = no_stall_ioctl;
    f->host->ops = &ops;
    device = fixture_plug(f, SID);
    guest_start(f, 4, 4);
    cmdq_set_ste(f, SID, S1_STE, 3);
    g_assert_cmpint(fixture_place(f, SID), ==, PLACE_STAGE1);
    fixture_attached_to(f, device, ste);
    g_assert_cmphex(ste[1], ==, 3);
}

/* Nothing follows a table before it is told to. */
static void test_change_without_cfgi_has_no_effect(void)
{
    guest_start(f, 4, 4);
    count_calls(0);
    guest_set_ste(f, SID, S1_STE, 0);
    guest_command(f, 0x05 | (uint64_t)SID << 32, 0);    /* CFGI_CD */
    guest_command(f, 0x46, 0);
    guest_kick(f);
    g_assert_cmpint(fixture_place(f, SID), ==, PLACE_BYPASS);
    cmdq_cfgi_ste(f, SID);
    g_assert_cmpint(fixture_place(f, SID), ==, PLACE_STAGE1);
}

static void test_every_move_leaves_one_hwpt_at_most(void)
{
    static const uint64_t stes[] = { ABORT_STE, BYPASS_STE, S1_STE,
                                     S1_STE + 0x1000, 0 };
    uint64_t before;

    guest_start(f, 4, 4);
    before = objects();
    for (size_t i = 0; i < G_N_ELEMENTS(stes); i++) {
        for (size_t j = 0; j < G_N_ELEMENTS(stes); j++) {
            cmdq_set_ste(f, SID, stes[i], 0);
            cmdq_set_ste(f, SID, stes[j], 0);
            g_assert_cmpuint(objects(), ==, before +
                             ((stes[j] & CONFIG(7)) == CONFIG(5)));
        }
    }
}

/* All devices of 0 to 255 whose block the command names, and no other. */
static void test_cfgi_names_whom_it_moves(void)
{
    static const uint32_t sids[] = { 0, 1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 64,
                                     127, 128, 255 };
    static const struct {
        unsigned op;
        uint32_t sid;
        unsigned range;
        uint32_t first, last;
    } cases[] = {
        { 0x03, 3, 0, 3, 3 }, { 0x03, 17, 31, 17, 17 }, { 0x03, 5, 0, 1, 0 },
        { 0x04, 0, 0, 0, 1 }, { 0x04, 3, 0, 2, 3 }, { 0x04, 3, 1, 0, 3 },
        { 0x04, 16, 2, 16, 23 }, { 0x04, 20, 3, 16, 31 },
        { 0x04, 255, 6, 128, 255 }, { 0x04, 77, 7, 0, 255 },
        { 0x04, 200, 15, 0, 255 }, { 0x04, 0x100, 7, 1, 0 },
        { 0x04, 0, 30, 0, 255 }, { 0x04, UINT32_C(1) << 31, 30, 1, 0 },
        { 0x04, 0, 31, 0, 255 }, { 0x04, UINT32_MAX, 31, 0, 255 },
    };

    fixture_unplug(f, device, SID);
    for (size_t i = 0; i < G_N_ELEMENTS(sids); i++) {
        fixture_plug(f, sids[i]);
    }
    for (size_t c = 0; c < G_N_ELEMENTS(cases); c++) {
        unsigned moved = 0;

        guest_start(f, 4, 4);   /* all bypass again */
        for (uint32_t sid = 0; sid < 256; sid++) {
            guest_set_ste(f, sid, S1_STE, 0);
        }
        count_calls(IOMMU_HWPT_ALLOC);
        guest_command(f, cases[c].op | (uint64_t)cases[c].sid << 32,
                      cases[c].range);
        guest_kick(f);
        for (size_t i = 0; i < G_N_ELEMENTS(sids); i++) {
            bool named = sids[i] >= cases[c].first &&
                         sids[i] <= cases[c].last;

            g_assert_cmpint(fixture_place(f, sids[i]), ==,
                            named ? PLACE_STAGE1 : PLACE_BYPASS);
            moved += named;
        }
        g_assert_cmpuint(emul_get_calls_counted(f->host), ==, moved);
    }
}

int main(int argc, char **argv)
{
    static const FixtureTest tests[] = {
        { test_disabled_follows_gbpa, "disabled-follows-gbpa" },
        { test_enabled_ignores_gbpa, "enabled-ignores-gbpa" },
        { test_smmuen_switches_all, "smmuen-switches-all" },
        { test_ste_says_where, "ste-says-where" },
        { test_ste_with_ats_and_substreams, "ste-with-ats-and-substreams" },
        { test_s1stalld_only_where_the_host_can_stall,
          "s1stalld-only-where-the-host-can-stall" },
        { test_change_without_cfgi_has_no_effect,
          "change-without-cfgi-has-no-effect" },
        { test_every_move_leaves_one_hwpt_at_most,
          "every-move-leaves-one-hwpt-at-most" },
        { test_cfgi_names_whom_it_moves, "cfgi-names-whom-it-moves" },
    };

    return fixture_main(argc, argv, "/smmuv3/ste", tests,
                        G_N_ELEMENTS(tests), setup, teardown);
}
