/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an SMMUv3 shows its guest, the host's must be able to do: field by field
 * of the ID registers.
 */
#include "fixture.h"

#include "base/error.h"
#include "base/rcu.h"
#include "host/iommufd.h"
#include "hw/arm/smmuv3-internal.h"

#include <string.h>

enum { SID = 9 };

static Fixture *f;
static const HostIommuOps *real_ops;
static HostIommuOps ops;
static uint32_t host_idr[6];    /* what the host says from now on */
static uint32_t host_type;

/* Whoever asks for the hardware's description gets ours. */
static int altered_ioctl(HostIommu *host, int fd, unsigned long request,
                         void *arg)
{
    int ret = real_ops->ioctl(host, fd, request, arg);

    if (ret == 0 && request == IOMMU_GET_HW_INFO) {
        struct iommu_hw_info *cmd = arg;
        struct iommu_hw_info_arm_smmuv3 *info =
            (void *)(uintptr_t)cmd->data_uptr;

        memcpy(info->idr, host_idr, sizeof(host_idr));
        cmd->out_data_type = host_type;
    }
    return ret;
}

/* All that a guest can be shown: more than the default. */
static const Smmuv3Properties all_properties = {
    .ats = true, .ril = true, .msi = true, .oas_bits = 48, .ssid_bits = 20,
    .log2_eventq = 19, .log2_cmdq = 19,
};

static void setup_with(const Smmuv3Properties *properties)
{
    f = fixture_new(properties, false);
    real_ops = f->host->ops;
    ops = *real_ops;
    ops.ioctl = altered_ioctl;
    f->host->ops = &ops;
    host_type = IOMMU_HW_INFO_TYPE_ARM_SMMUV3;
    host_idr[0] = 0x0c48141b;
    host_idr[1] = 0x02730510;
    host_idr[3] = 0x00001500;
    host_idr[5] = 0x00400075;
}

static void teardown(void)
{
    fixture_unplug_all(f);
    fixture_free(f);
}

/* The device is refused with exactly @message, and nothing is left of it. */
static void assert_refused(VfioDevice *device, const char *message)
{
    g_autofree char *whole =
        g_strdup_printf("device '%s': %s", vfio_device_get_name(device),
                        message);
    uint64_t before = emul_get_stats(f->host).objects;
    g_autoptr(GError) error = NULL;

    g_assert_false(viommu_add_device(f->viommu, device, SID, &error));
    g_assert_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST);
    g_assert_cmpstr(error->message, ==, whole);
    g_assert_cmpuint(emul_get_stats(f->host).objects, ==, before);
    g_assert_cmpuint(emul_get_mapped(f->host).bytes, ==, 0);
}

typedef struct FieldCase {
    const char *name;
    unsigned idr;
    uint32_t mask;              /* bits that the host has not as it should */
    uint32_t value;             /* what it has there */
    const char *message;
} FieldCase;

static const FieldCase field_cases[] = {
    { "S1P", 0, 1 << 1, 0,
      "IDR0.S1P of the host's SMMUv3 is 0, the guest's needs 1 or more" },
    { "TTF", 0, 3 << 2, 1 << 2,
      "IDR0.TTF of the host's SMMUv3 is 0, the guest's needs 2 or more" },
    { "COHACC", 0, 1 << 4, 0,
      "IDR0.COHACC of the host's SMMUv3 is 0, the guest's needs 1 or more" },
    { "ATS", 0, 1 << 10, 0,
      "IDR0.ATS of the host's SMMUv3 is 0, the guest's needs 1 or more (give "
      "the vIOMMU ats=off)" },
    { "ASID16", 0, 1 << 12, 0,
      "IDR0.ASID16 of the host's SMMUv3 is 0, the guest's needs 1 or more" },
    { "CD2L", 0, 1 << 19, 0,
      "IDR0.CD2L of the host's SMMUv3 is 0, the guest's needs 1 or more (give "
      "the vIOMMU ssidsize=0)" },
    { "TTENDIAN", 0, 3 << 21, 3 << 21,
      "IDR0.TTENDIAN of the host's SMMUv3 is 3, the guest's needs 0 or 2" },
    { "SSIDSIZE", 1, 0x1f << 6, 16 << 6,
      "IDR1.SSIDSIZE of the host's SMMUv3 is 16, the guest's needs 20 or more "
      "(give the vIOMMU a smaller ssidsize)" },
    { "RIL", 3, 1 << 10, 0,
      "IDR3.RIL of the host's SMMUv3 is 0, the guest's needs 1 or more (give "
      "the vIOMMU ril=off)" },
    { "OAS", 5, 7, 4,
      "IDR5.OAS of the host's SMMUv3 is 4, the guest's needs 5 or more (give "
      "the vIOMMU oas=44)" },
    { "GRAN4K", 5, 1 << 4, 0,
      "IDR5.GRAN4K of the host's SMMUv3 is 0, the guest's needs 1 or more" },
    { "GRAN16K", 5, 1 << 5, 0,
      "IDR5.GRAN16K of the host's SMMUv3 is 0, the guest's needs 1 or more" },
    { "GRAN64K", 5, 1 << 6, 0,
      "IDR5.GRAN64K of the host's SMMUv3 is 0, the guest's needs 1 or more" },
};

static void test_field(gconstpointer data)
{
    const FieldCase *c = data;
    VfioDevice *device;

    setup_with(&all_properties);
    device = fixture_open_device(f);
    host_idr[c->idr] = (host_idr[c->idr] & ~c->mask) | c->value;
    assert_refused(device, c->message);
    /* Of a second device it is asked as well. */
    host_idr[c->idr] |= c->mask;
    host_idr[0] = FIELD_SET(host_idr[0], IDR0, TTENDIAN, 2);
    g_assert_true(viommu_add_device(f->viommu, device, SID + 1, NULL));
    teardown();
}

static void test_no_more_than_the_guest_sees(void)
{
    const Smmuv3Properties least = {
        .oas_bits = 44, .log2_eventq = 4, .log2_cmdq = 4,
    };
    g_autoptr(GError) error = NULL;

    setup_with(&least);
    /* No ATS, CD2L, MSI, PRI; linear tables; mixed endianness; AArch32 too. */
    host_idr[0] = 0x0000101e;
    host_idr[1] = 0x10;
    host_idr[3] = 0;
    host_idr[5] = 0x74;
    viommu_add_device(f->viommu, fixture_open_device(f), SID, &error);
    g_assert_no_error(error);
    teardown();
}

static void test_another_iommu(void)
{
    static const char *const names[] = {
        "not told by the kernel, as AMD without CONFIG_AMD_IOMMU_IOMMUFD",
        "Intel VT-d", NULL, "NVIDIA CMDQV", "AMD", "unknown",
    };
    VfioDevice *device;

    setup_with(NULL);
    device = fixture_open_device(f);
    for (uint32_t type = 0; type < G_N_ELEMENTS(names); type++) {
        g_autofree char *message = NULL;

        if (type == IOMMU_HW_INFO_TYPE_ARM_SMMUV3) {
            continue;
        }
        host_type = type;
        message = g_strdup_printf(
            "the host IOMMU of device %u is of type %u (%s), but this vIOMMU "
            "needs Arm SMMUv3 (type 2)", vfio_device_get_dev_id(device), type,
            names[type]);
        assert_refused(device, message);
    }
    teardown();
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    rcu_register_thread();
    for (size_t i = 0; i < G_N_ELEMENTS(field_cases); i++) {
        g_autofree char *path =
            g_strconcat("/smmuv3/host/needs-", field_cases[i].name, NULL);

        g_test_add_data_func(path, &field_cases[i], test_field);
    }
    g_test_add_func("/smmuv3/host/no-more-than-the-guest-sees",
                    test_no_more_than_the_guest_sees);
    g_test_add_func("/smmuv3/host/another-iommu-is-named", test_another_iommu);
    ret = g_test_run();
    rcu_unregister_thread();
    return ret;
}
