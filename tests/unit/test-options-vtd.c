/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the command line accepts for an intel-iommu and for devices behind it.
 * What it refuses: test-option-errors.c.
 */
#include "command-line.h"

#define V "intel-iommu,id=v0"
#define HOST "-object", "iommufd-emulated,id=h0"

static const VtdEntry *vtd_of(const Config *config)
{
    const ConfigEntry *entry = config_find(config, CONFIG_DEVICES, "v0");

    g_assert_true(entry->type == &config_type_intel_iommu);
    return (const VtdEntry *)entry;
}

static void test_defaults_can_run_svm(void)
{
    Words words = { { "-device", V } };
    g_autoptr(Config) config = words_parse_good(&words);
    const VtdEntry *vtd = vtd_of(config);

    g_assert_true(vtd->properties.svm);
    g_assert_true(vtd->properties.caching_mode);
    g_assert_true(vtd->properties.pt);
    g_assert_true(vtd->properties.fs1gp);
    g_assert_cmpuint(vtd->properties.pasid_bits, ==, 20);
    g_assert_cmpstr(vtd->viommu.iothread, ==, "v0-iothread");
    g_assert_nonnull(config_find(config, CONFIG_OBJECTS, "v0-iothread"));
    g_assert_cmpuint(config->warnings->len, ==, 0);
}

static void test_properties(void)
{
    static const struct {
        const char *argument;
        VtdProperties properties;   /* svm, caching-mode, pt, fs1gp, bits */
    } cases[] = {
        { V ",scalable-mode=on,fsts=on,svm=on,device-iotlb=on,aw-bits=48",
          { true, true, true, true, 20 } },
        { V ",caching-mode=off", { true, false, true, true, 20 } },
        { V ",pt=off", { true, true, false, true, 20 } },
        { V ",fs1gp=off", { true, true, true, false, 20 } },
        { V ",pasid-bits=5", { true, true, true, true, 5 } },
        { V ",svm=off", { false, true, true, true, 20 } },
        { V ",svm=off,device-iotlb=off", { false, true, true, true, 20 } },
        { V ",svm=off,pasid-bits=0", { false, true, true, true, 0 } },
        { V ",x-scalable-mode=on,x-flts=on,x-pasid-mode=on,svm=on",
          { true, true, true, true, 20 } },
        { V ",svm=off,x-pasid-mode=off", { false, true, true, true, 20 } },
        { "{\"driver\":\"intel-iommu\",\"id\":\"v0\",\"svm\":true,"
          "\"pasid-bits\":8,\"pt\":false}", { true, true, false, true, 8 } },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        Words words = { { "-device", cases[i].argument } };
        g_autoptr(Config) config = words_parse_good(&words);
        const VtdProperties *got = &vtd_of(config)->properties;
        const VtdProperties *want = &cases[i].properties;

        g_assert_cmpint(got->svm, ==, want->svm);
        g_assert_cmpint(got->caching_mode, ==, want->caching_mode);
        g_assert_cmpint(got->pt, ==, want->pt);
        g_assert_cmpint(got->fs1gp, ==, want->fs1gp);
        g_assert_cmpuint(got->pasid_bits, ==, want->pasid_bits);
        g_assert_cmpuint(config->warnings->len, ==, want->svm ? 0 : 1);
    }
}

static void test_without_svm_it_is_useless(void)
{
    Words words = { { "-device", V ",svm=off" } };
    g_autoptr(Config) config = words_parse_good(&words);

    g_assert_cmpuint(config->warnings->len, ==, 1);
    g_assert_cmpstr(config->warnings->pdata[0], ==,
                    "-device " V ",svm=off: no device but a vfio-pci can be "
                    "behind it\n"
                    "devices behind an intel-iommu ask for pages, which needs "
                    "svm=on");
}

/* It may do without page requests. */
static void test_without_svm_for_a_real_device(void)
{
    Words words = { {
        "-object", "iommufd,id=k", "-device", V ",svm=off",
        "-device", "vfio-pci,id=d0,viommu=v0,iommufd=k,host=3b:0.0",
    } };
    g_autoptr(Config) config = words_parse_good(&words);

    g_assert_cmpuint(config->warnings->len, ==, 0);
}

/* Whichever comes last on the command line. */
static void test_newer_name_wins_with_a_warning(void)
{
    static const struct {
        const char *argument;
        const char *older;
        const char *newer;
    } cases[] = {
        { V ",x-scalable-mode=off,scalable-mode=on",
          "x-scalable-mode", "scalable-mode" },
        { V ",fsts=on,x-flts=off", "x-flts", "fsts" },
        { V ",pasid-bits=16,x-pasid-mode=off", "x-pasid-mode", "pasid-bits" },
        { V ",x-pasid-mode=on,pasid-bits=16", "x-pasid-mode", "pasid-bits" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        Words words = { { "-device", cases[i].argument } };
        g_autoptr(Config) config = words_parse_good(&words);
        g_autofree char *warning = g_strdup_printf(
            "-device %s: '%s' is ignored, as '%s' is given\n"
            "they are two names of one thing", cases[i].argument,
            cases[i].older, cases[i].newer);

        g_assert_true(vtd_of(config)->scalable_mode);
        g_assert_true(vtd_of(config)->fsts);
        g_assert_cmpuint(config->warnings->len, ==, 1);
        g_assert_cmpstr(config->warnings->pdata[0], ==, warning);
    }
}

static void test_sva_device(void)
{
    static const struct {
        const char *argument;
        unsigned pasids;
        unsigned credits;
        unsigned queue_depth;
    } cases[] = {
        { "sva-device,id=a,viommu=v0", 4, 64, 32 },
        { "sva-device,id=a,viommu=v0,pasids=1,credits=1,queue-depth=1",
          1, 1, 1 },
        { "sva-device,queue-depth=512,credits=2048,pasids=64,viommu=v0,id=a",
          64, 2048, 512 },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        Words words = { { "-device", V, "-device", cases[i].argument } };
        g_autoptr(Config) config = words_parse_good(&words);
        const SvaEntry *sva = (const SvaEntry *)config_find(
            config, CONFIG_DEVICES, "a");

        g_assert_true(sva->endpoint.base.type == &config_type_sva_device);
        g_assert_cmpuint(sva->pasids, ==, cases[i].pasids);
        g_assert_cmpuint(sva->credits, ==, cases[i].credits);
        g_assert_cmpuint(sva->queue_depth, ==, cases[i].queue_depth);
        g_assert_cmpstr(sva->endpoint.viommu, ==, "v0");
    }
}

/* Both kinds of devices take from one set; each vIOMMU has its own. */
static void test_free_sids_are_found_across_kinds(void)
{
    Words words = { {
        "-device", "sva-device,id=d0,viommu=v0",
        "-device", "emulated-pci,id=d1,viommu=v0,iommufd=h0",
        "-device", "sva-device,id=d2,viommu=v0,sid=16",
        "-device", "emulated-pci,id=d3,viommu=s0,iommufd=h0",
        "-device", V, "-device", "arm-smmuv3,id=s0,iothread=v0-io",
        "-object", "iothread,id=v0-io", HOST,
    } };
    static const int64_t sids[] = { 8, 24, 16, 8 };
    g_autoptr(Config) config = words_parse_good(&words);

    for (size_t i = 0; i < G_N_ELEMENTS(sids); i++) {
        const EndpointEntry *device =
            config->lists[CONFIG_DEVICES]->pdata[i];

        g_assert_cmpint(device->sid, ==, sids[i]);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/options-vtd/defaults-can-run-svm",
                    test_defaults_can_run_svm);
    g_test_add_func("/options-vtd/properties", test_properties);
    g_test_add_func("/options-vtd/without-svm-it-is-useless",
                    test_without_svm_it_is_useless);
    g_test_add_func("/options/vtd/without-svm/for-a-real-device",
                    test_without_svm_for_a_real_device);
    g_test_add_func("/options-vtd/newer-name-wins-with-a-warning",
                    test_newer_name_wins_with_a_warning);
    g_test_add_func("/options-vtd/sva-device", test_sva_device);
    g_test_add_func("/options-vtd/free-sids-are-found-across-kinds",
                    test_free_sids_are_found_across_kinds);
    return g_test_run();
}
