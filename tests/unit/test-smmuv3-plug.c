/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Devices that come and go, a host that refuses, and reset: nobody is left
 * somewhere else than the guest's tables say or on abort, and nothing leaks.
 */
#include "cmdq-fixture.h"

#include "host/iommufd-abi.h"
#include "host/vfio-abi.h"
#include "hw/arm/smmuv3-internal.h"

#include <errno.h>

#define SID 0x10

#define STE_V UINT64_C(1)
#define CONFIG(n) ((uint64_t)(n) << 1)
#define ABORT_STE (STE_V | CONFIG(0))
#define BYPASS_STE (STE_V | CONFIG(4))
#define S1_STE (STE_V | CONFIG(5) | UINT64_C(0x12345000))

static Fixture *f;
static VfioDevice *device;

static void setup(void)
{
    f = fixture_new(NULL, false);
    message_log_start();
    device = fixture_plug(f, SID);
}

static void teardown(void)
{
    fixture_free(f);
}

static uint64_t objects(void)
{
    return emul_get_stats(f->host).objects;
}

static void fail_calls(unsigned long request, unsigned nth, unsigned times,
                       int err)
{
    const EmulFailure failure = {
        .call = EMUL_CALL_IOCTL, .request = request, .nth = nth,
        .times = times, .err = err,
    };

    emul_set_failure(f->host, &failure);
}

static void test_host_refuses_an_hwpt(void)
{
    static const int errors[] = { EIO, ENOMEM, EINVAL, ENOSPC };

    guest_start(f, 4, 4);
    for (size_t i = 0; i < G_N_ELEMENTS(errors); i++) {
        uint64_t before;

        cmdq_set_ste(f, SID, BYPASS_STE, 0);
        before = objects();
        cmdq_set_ste(f, SID, S1_STE, 0);
        fail_calls(IOMMU_HWPT_ALLOC, 1, 1, errors[i]);
        cmdq_set_ste(f, SID, S1_STE + 0x1000, 0);
        g_assert_cmpint(fixture_place(f, SID), ==, PLACE_ABORT);
        g_assert_cmpuint(objects(), ==, before);
        /* Said once, however often the guest asks for it. */
        g_assert_cmpuint(message_log_count(), ==, 1);
        g_assert_cmpuint(message_log_matching("StreamID 0x10: "), ==, 1);
        g_assert_cmpuint(message_log_matching(g_strerror(errors[0])), ==, 1);
        g_assert_cmphex(guest_read(f, A_GERROR), ==, 0);
        cmdq_cfgi_ste(f, SID);
        g_assert_cmpint(fixture_place(f, SID), ==, PLACE_STAGE1);
        g_assert_cmpuint(objects(), ==, before + 1);
    }
}

static void test_host_refuses_an_attach(void)
{
    uint64_t before;

    guest_start(f, 4, 4);
    before = objects();
    fail_calls(VFIO_DEVICE_ATTACH_IOMMUFD_PT, 1, 1, EBUSY);
    cmdq_set_ste(f, SID, S1_STE, 0);
    g_assert_cmpint(fixture_place(f, SID), ==, PLACE_ABORT);
    g_assert_cmpuint(objects(), ==, before);
    cmdq_cfgi_ste(f, SID);
    g_assert_cmpint(fixture_place(f, SID), ==, PLACE_STAGE1);
}

/* Not even to the abort HWPT: better nowhere than on tables taken back. */
static void test_host_refuses_every_attach(void)
{
    uint64_t before;

    guest_start(f, 4, 4);
    cmdq_set_ste(f, SID, S1_STE, 0);
    before = objects();
    fail_calls(VFIO_DEVICE_ATTACH_IOMMUFD_PT, 1, 0, EBUSY);
    cmdq_set_ste(f, SID, S1_STE + 0x1000, 0);
    g_assert_cmpuint(objects(), ==, before - 1);
    g_assert_cmpuint(message_log_matching(g_strerror(EBUSY)), ==, 2);
    g_assert_cmpuint(message_log_matching("it is detached"), ==, 1);
    fail_calls(0, 0, 0, 0);
    cmdq_set_ste(f, SID, BYPASS_STE, 0);
    g_assert_cmpint(fixture_place(f, SID), ==, PLACE_BYPASS);
    g_assert_cmpuint(objects(), ==, before - 1);
}

static void test_one_failure_does_not_stop_the_others(void)
{
    unsigned stage1 = 0;

    for (uint32_t i = 1; i < 5; i++) {
        fixture_plug(f, SID + i);
    }
    guest_start(f, 4, 4);
    for (uint32_t i = 0; i < 5; i++) {
        guest_set_ste(f, SID + i, S1_STE, 0);
    }
    fail_calls(IOMMU_HWPT_ALLOC, 3, 1, ENOMEM);
    guest_command(f, 0x04, 31);
    guest_kick(f);
    for (uint32_t i = 0; i < 5; i++) {
        stage1 += fixture_place(f, SID + i) == PLACE_STAGE1;
        g_assert_cmpint(fixture_place(f, SID + i), !=, PLACE_BYPASS);
    }
    g_assert_cmpuint(stage1, ==, 4);
}

static void test_hot_plug_follows_the_table(void)
{
    static const struct {
        uint64_t ste;
        FixturePlace place;
    } cases[] = {
        { ABORT_STE, PLACE_ABORT },
        { BYPASS_STE, PLACE_BYPASS },
        { S1_STE, PLACE_STAGE1 },
        { 0, PLACE_ABORT },
    };

    guest_start(f, 4, 4);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint32_t sid = 0x20 + i;

        guest_set_ste(f, sid, cases[i].ste, 0);
        fixture_plug(f, sid);
        g_assert_cmpint(fixture_place(f, sid), ==, cases[i].place);
    }
    /* Beyond the table, without any translation, and the first of all. */
    fixture_plug(f, 0x100);
    g_assert_cmpint(fixture_place(f, 0x100), ==, PLACE_ABORT);
    guest_write(f, A_CR0, 0xc);
    fixture_plug(f, 0x101);
    g_assert_cmpint(fixture_place(f, 0x101), ==, PLACE_BYPASS);
}

static void test_unplug_destroys_its_hwpt(void)
{
    uint64_t before;

    guest_start(f, 4, 4);
    before = objects();
    guest_set_ste(f, SID + 1, S1_STE, 0);
    fixture_unplug(f, fixture_plug(f, SID + 1), SID + 1);
    g_assert_cmpuint(objects(), ==, before);
    cmdq_set_ste(f, SID, S1_STE, 0);
    fixture_unplug(f, device, SID);
    g_assert_cmpuint(objects(), ==, 0);
    device = fixture_plug(f, SID);
    g_assert_cmpint(fixture_place(f, SID), ==, PLACE_STAGE1);
}

/* Each host call of a plug fails in turn: all or nothing. */
static void test_plug_that_fails_leaves_nothing(void)
{
    VfioDevice *other = fixture_open_device(f);
    uint64_t before;
    unsigned nth = 0;
    bool added;

    guest_start(f, 4, 4);
    guest_set_ste(f, SID + 1, S1_STE, 0);
    before = objects();
    do {
        g_autoptr(GError) error = NULL;

        fail_calls(0, ++nth, 1, ENOMEM);
        added = viommu_add_device(f->viommu, other, SID + 1, &error);
        g_assert_cmpint(added, ==, error == NULL);
        fail_calls(0, 0, 0, 0);
        g_assert_cmpuint(objects(), ==, before + (added ? 2 : 0));
    } while (!added);
    /* Hardware info, vDEVICE, HWPT and attach could fail. */
    g_assert_cmpuint(nth, ==, 5);
    g_assert_cmpint(fixture_place(f, SID + 1), ==, PLACE_STAGE1);
}

static void test_first_plug_that_fails_leaves_nothing(void)
{
    unsigned nth = 0;
    bool added;

    fixture_unplug(f, device, SID);
    guest_start(f, 4, 4);
    guest_set_ste(f, SID, S1_STE, 0);
    device = fixture_open_device(f);
    do {
        g_autoptr(GError) error = NULL;

        fail_calls(0, ++nth, 1, EMFILE);
        added = viommu_add_device(f->viommu, device, SID, &error);
        fail_calls(0, 0, 0, 0);
        if (!added) {
            g_assert_nonnull(error);
            g_assert_cmpuint(objects(), ==, 1);     /* the device */
        }
    } while (!added);
    g_assert_cmpuint(nth, ==, 12);
    g_assert_cmpint(fixture_place(f, SID), ==, PLACE_STAGE1);
}

static void test_reset_goes_to_bypass(void)
{
    uint64_t before = objects();

    guest_start(f, 4, 4);
    cmdq_set_ste(f, SID, S1_STE, 0);
    viommu_reset(f->viommu);
    g_assert_cmpint(fixture_place(f, SID), ==, PLACE_BYPASS);
    g_assert_cmpuint(objects(), ==, before);
}

static void test_reset_undoes_gbpa(void)
{
    guest_write(f, A_GBPA, FIELD_MASK(GBPA, ABORT) | FIELD_MASK(GBPA, UPDATE));
    g_assert_cmpint(fixture_place(f, SID), ==, PLACE_ABORT);
    viommu_reset(f->viommu);
    g_assert_cmpint(fixture_place(f, SID), ==, PLACE_BYPASS);
}

int main(int argc, char **argv)
{
    static const FixtureTest tests[] = {
        { test_host_refuses_an_hwpt, "host-refuses-an-hwpt" },
        { test_host_refuses_an_attach, "host-refuses-an-attach" },
        { test_host_refuses_every_attach, "host-refuses-every-attach" },
        { test_one_failure_does_not_stop_the_others,
          "one-failure-does-not-stop-the-others" },
        { test_hot_plug_follows_the_table, "hot-plug-follows-the-table" },
        { test_unplug_destroys_its_hwpt, "unplug-destroys-its-hwpt" },
        { test_plug_that_fails_leaves_nothing,
          "plug-that-fails-leaves-nothing" },
        { test_first_plug_that_fails_leaves_nothing,
          "first-plug-that-fails-leaves-nothing" },
        { test_reset_goes_to_bypass, "reset-goes-to-bypass" },
        { test_reset_undoes_gbpa, "reset-undoes-gbpa" },
    };

    return fixture_main(argc, argv, "/smmuv3/plug", tests,
                        G_N_ELEMENTS(tests), setup, teardown);
}
