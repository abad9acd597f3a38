/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the command line accepts. What it refuses: test-option-errors.c.
 */
#include "command-line.h"

#include <string.h>

#define S "arm-smmuv3,id=s0"
#define HOST "-object", "iommufd-emulated,id=h0"

static const Smmuv3Entry *smmu_of(const Config *config)
{
    const ConfigEntry *entry = config->lists[CONFIG_DEVICES]->pdata[0];

    g_assert_true(entry->type == &config_type_arm_smmuv3);
    return (const Smmuv3Entry *)entry;
}

static void test_booleans(void)
{
    static const struct {
        const char *argument;
        bool msi;
        bool ats;
    } cases[] = {
        { S, true, false },
        { S ",msi=off,ats=on", false, true },
        { S ",msi=no,ats=yes", false, true },
        { S ",msi=false,ats=true", false, true },
        { S ",msi=n,ats=y", false, true },
        { S ",msi=on,ats=off", true, false },
        { S ",ats=auto", true, false },
        { S ",ats=on,ats=off", true, false },
        { S ",ats=on,ats=auto", true, false },
        { S ",msi=bad,msi=off", false, false },
        { S ",ats", true, true },
        { "{\"driver\":\"arm-smmuv3\",\"id\":\"s0\",\"msi\":false,"
          "\"ats\":true}", false, true },
        { "{\"driver\":\"arm-smmuv3\",\"id\":\"s0\",\"ats\":\"on\"}",
          true, true },
        { "{\"driver\":\"arm-smmuv3\",\"id\":\"s0\",\"ats\":\"auto\"}",
          true, false },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        Words words = { { "-device", cases[i].argument } };
        g_autoptr(Config) config = words_parse_good(&words);

        g_assert_cmpint(smmu_of(config)->properties.msi, ==, cases[i].msi);
        g_assert_cmpint(smmu_of(config)->properties.ats, ==, cases[i].ats);
    }
}

static void test_pri(void)
{
    static const struct {
        const char *argument;
        bool pri;
        unsigned log2_priq;
    } cases[] = {
        { S, false, 19 },
        { S ",pri=on,ats=on", true, 19 },
        { S ",ats=on,priq-log2size=3,pri=on", true, 3 },
        { S ",priq-log2size=0", false, 0 },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        Words words = { { "-device", cases[i].argument } };
        g_autoptr(Config) config = words_parse_good(&words);
        const Smmuv3Properties *properties = &smmu_of(config)->properties;

        g_assert_cmpint(properties->pri, ==, cases[i].pri);
        g_assert_cmpuint(properties->log2_priq, ==, cases[i].log2_priq);
    }
}

static void test_short_form_boolean_warns(void)
{
    Words words = { { "-device", S ",ats,msi=off" } };
    g_autoptr(Config) config = words_parse_good(&words);

    g_assert_cmpuint(config->warnings->len, ==, 1);
    g_assert_cmpstr(config->warnings->pdata[0], ==,
                    "-device " S ",ats,msi=off: short-form boolean option "
                    "'ats' deprecated\nPlease use ats=on instead");
}

static void test_numbers(void)
{
    static const struct {
        const char *argument;
        unsigned oas;
        unsigned ssid;
        unsigned log2_eventq;
    } cases[] = {
        { S, 44, 0, 15 },
        { S ",oas=48,ssidsize=20,eventq-log2size=19", 48, 20, 19 },
        { S ",oas=0x30,ssidsize=0xa,eventq-log2size=0", 48, 10, 0 },
        { S ",oas=auto,ssidsize=auto", 44, 0, 15 },
        { S ",ssidsize=010", 44, 10, 15 },
        { "{\"driver\":\"arm-smmuv3\",\"id\":\"s0\",\"oas\":48,"
          "\"ssidsize\":\"16\"}", 48, 16, 15 },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        Words words = { { "--device", cases[i].argument } };
        g_autoptr(Config) config = words_parse_good(&words);
        const Smmuv3Properties *properties = &smmu_of(config)->properties;

        g_assert_cmpuint(properties->oas_bits, ==, cases[i].oas);
        g_assert_cmpuint(properties->ssid_bits, ==, cases[i].ssid);
        g_assert_cmpuint(properties->log2_eventq, ==, cases[i].log2_eventq);
    }
}

static void test_iothread_properties(void)
{
    static const struct {
        const char *argument;
        IOThreadProperties properties;
    } cases[] = {
        { "iothread,id=io0", { 32768, 0, 0 } },
        { "iothread,id=io0,poll-max-ns=0", { 0, 0, 0 } },
        { "iothread,poll-shrink=3,id=io0,poll-grow=2,poll-max-ns=7",
          { 7, 2, 3 } },
        { "qom-type=iothread,id=io0,poll-max-ns=9223372036854775807",
          { INT64_MAX, 0, 0 } },
        { "{\"qom-type\":\"iothread\",\"id\":\"io0\",\"poll-max-ns\":5,"
          "\"poll-grow\":4}", { 5, 4, 0 } },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        Words words = { { "-object", cases[i].argument, "-device",
                          S ",iothread=io0" } };
        g_autoptr(Config) config = words_parse_good(&words);
        ConfigEntry *entry = config_find(config, CONFIG_OBJECTS, "io0");
        const IOThreadProperties *properties =
            &((IothreadEntry *)entry)->properties;

        g_assert_true(entry->type == &config_type_iothread);
        g_assert_cmpint(properties->poll_max_ns, ==,
                        cases[i].properties.poll_max_ns);
        g_assert_cmpint(properties->poll_grow, ==,
                        cases[i].properties.poll_grow);
        g_assert_cmpint(properties->poll_shrink, ==,
                        cases[i].properties.poll_shrink);
        g_assert_cmpuint(config->lists[CONFIG_OBJECTS]->len, ==, 1);
        g_assert_cmpstr(smmu_of(config)->viommu.iothread, ==, "io0");
    }
}

static void test_settings(void)
{
    static const struct {
        Words words;
        int64_t duration_ns;
        uint64_t load;
        bool quiet;
        const char *name;
        const char *report;
    } cases[] = {
        { { { NULL } }, 10000000000, 100000, false, NULL, NULL },
        { { { "-duration", "0", "-load", "max", "-quiet" } },
          0, CONFIG_LOAD_MAX, true, NULL, NULL },
        { { { "--duration", "2.5", "--load", "0", "--quiet" } },
          2500000000, 0, true, NULL, NULL },
        { { { "-duration", "0.0000000001", "-load", "1000000000" } },
          1, 1000000000, false, NULL, NULL },
        { { { "-duration", "1", "-duration", "2", "-load", "1", "-load",
              "0x10" } }, 2000000000, 16, false, NULL, NULL },
        { { { "-name", "box,,1", "-report", "-" } },
          10000000000, 100000, false, "box,1", "-" },
        { { { "-name", "guest=a=b", "-report", "a", "-report", "b,c" } },
          10000000000, 100000, false, "a=b", "b,c" },
        { { { "-name", "debug-threads=on", "-duration", "1000000000" } },
          1000000000000000000, 100000, false, NULL, NULL },
        { { { "-name", "a,process=p,debug-threads=off", "-duration", ".5" } },
          500000000, 100000, false, "a", NULL },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(Config) config = words_parse_good(&cases[i].words);

        g_assert_cmpint(config->duration_ns, ==, cases[i].duration_ns);
        g_assert_cmpuint(config->load, ==, cases[i].load);
        g_assert_cmpint(config->quiet, ==, cases[i].quiet);
        g_assert_cmpstr(config->name, ==, cases[i].name);
        g_assert_cmpstr(config->report, ==, cases[i].report);
    }
}

static unsigned count_type(const Config *config, const ConfigType *type)
{
    const GPtrArray *list = config->lists[type->list];
    unsigned count = 0;

    for (unsigned i = 0; i < list->len; i++) {
        count += ((ConfigEntry *)list->pdata[i])->type == type;
    }
    return count;
}

/* One vIOMMU for each way that events and page requests take. */
static void test_default_machine(void)
{
    static const struct {
        const char *viommu;
        const ConfigType *type;
        const ConfigType *devices;
    } cases[] = {
        { "smmu0", &config_type_arm_smmuv3, &config_type_emulated_pci },
        { "vtd0", &config_type_intel_iommu, &config_type_emulated_pci },
        { "vtd1", &config_type_intel_iommu, &config_type_sva_device },
    };
    Words words = { { "-object", "iothread,id=spare" } };
    g_autoptr(Config) config = words_parse_good(&words);

    g_assert_cmpuint(config->lists[CONFIG_DEVICES]->len, ==, 3 * 5);
    g_assert_cmpuint(count_type(config, &config_type_iommufd_emulated), ==, 1);
    g_assert_cmpuint(count_type(config, &config_type_iothread), ==, 4);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        const ConfigEntry *viommu =
            config_find(config, CONFIG_DEVICES, cases[i].viommu);
        g_autofree char *iothread =
            g_strdup_printf("%s-iothread", cases[i].viommu);

        g_assert_true(viommu->type == cases[i].type);
        g_assert_cmpstr(((const ViommuEntry *)viommu)->iothread, ==, iothread);
        g_assert_nonnull(config_find(config, CONFIG_OBJECTS, iothread));
        for (int j = 0; j < 4; j++) {
            g_autofree char *id =
                g_strdup_printf("%s-dev%d", cases[i].viommu, j);
            const EndpointEntry *device = (const EndpointEntry *)config_find(
                config, CONFIG_DEVICES, id);

            g_assert_true(device->base.type == cases[i].devices);
            g_assert_cmpstr(device->viommu, ==, cases[i].viommu);
            g_assert_cmpint(device->sid, ==, 8 * (j + 1));
        }
    }
}

/* JSON has QEMU's type for fd, which may be a name there. */
static void test_iommufd(void)
{
    static const struct {
        const char *object;
        const char *path;
        const char *fd;
    } cases[] = {
        { "iommufd,id=k", NULL, NULL },
        { "iommufd,id=k,path=/tmp/a,,b", "/tmp/a,b", NULL },
        { "iommufd,id=k,fd=7", NULL, "7" },
        { "{\"qom-type\":\"iommufd\",\"id\":\"k\",\"fd\":\"7\"}", NULL, "7" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        Words words = { { "-object", cases[i].object } };
        g_autoptr(Config) config = words_parse_good(&words);
        const IommufdEntry *iommufd = (const IommufdEntry *)config_find(
            config, CONFIG_OBJECTS, "k");

        g_assert_true(iommufd->base.type == &config_type_iommufd);
        g_assert_cmpstr(iommufd->path, ==, cases[i].path);
        g_assert_cmpstr(iommufd->fd, ==, cases[i].fd);
    }
}

/* Of either host; StreamID 0 is none that is chosen. */
static void test_iommufd_mock(void)
{
    static const char *const hosts[] = {
        "iommufd,id=h", "iommufd-emulated,id=h",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(hosts); i++) {
        Words words = { {
            "-object", hosts[i], "-device", "arm-smmuv3,id=s0",
            "-device", "iommufd-mock,id=d0,viommu=s0,iommufd=h",
            "-device", "intel-iommu,id=v0",
            "-device", "iommufd-mock,id=d1,viommu=v0,iommufd=h,sid=0",
        } };
        g_autoptr(Config) config = words_parse_good(&words);
        const PciEntry *d0 = (const PciEntry *)config_find(
            config, CONFIG_DEVICES, "d0");

        g_assert_cmpstr(d0->iommufd, ==, "h");
        g_assert_cmpint(d0->endpoint.sid, ==, 8);
        g_assert_true(config_first_device_of(config, "h") ==
                      &d0->endpoint.base);
        g_assert_null(config_first_device_of(config, "s0"));
    }
}

static void test_vfio_pci(void)
{
    static const struct {
        const char *device;
        const char *host;
        const char *sysfsdev;
        const char *fd;
    } cases[] = {
        { "vfio-pci,id=d0,viommu=s0,iommufd=k,host=3B:00.0", "3B:00.0", NULL,
          NULL },
        { "vfio-pci,id=d0,viommu=s0,iommufd=k,sysfsdev=/sys/x", NULL, "/sys/x",
          NULL },
        { "vfio-pci,id=d0,viommu=s0,iommufd=k,fd=7", NULL, NULL, "7" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        Words words = { {
            "-object", "iommufd,id=k", "-device", "arm-smmuv3,id=s0",
            "-device", cases[i].device,
        } };
        g_autoptr(Config) config = words_parse_good(&words);
        const VfioPciEntry *vfio = (const VfioPciEntry *)config_find(
            config, CONFIG_DEVICES, "d0");

        g_assert_cmpstr(vfio->host, ==, cases[i].host);
        g_assert_cmpstr(vfio->sysfsdev, ==, cases[i].sysfsdev);
        g_assert_cmpstr(vfio->fd, ==, cases[i].fd);
        g_assert_cmpstr(config_iommufd_of(&vfio->pci.endpoint.base), ==, "k");
        g_assert_cmpint(vfio->pci.endpoint.sid, ==, 8);
    }
}

/* A host that was asked for is used, and its name may be in the way. */
static void test_default_machine_finds_its_host(void)
{
    static const struct {
        const char *object;
        const char *iommufd;
    } cases[] = {
        { "iommufd-emulated,id=mine", "mine" },
        { "iothread,id=iommufd0", "iommufd1" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        Words words = { { "-object", cases[i].object } };
        g_autoptr(Config) config = words_parse_good(&words);
        const PciEntry *pci = (const PciEntry *)config_find(
            config, CONFIG_DEVICES, "smmu0-dev0");

        g_assert_cmpstr(pci->iommufd, ==, cases[i].iommufd);
        g_assert_cmpuint(count_type(config, &config_type_iommufd_emulated), ==,
                         1);
    }
}

static void test_record(void)
{
    Words words = { { "-record", "a", "-record", "b,c" } };
    g_autoptr(Config) config = words_parse_good(&words);

    g_assert_cmpstr(config->record, ==, "b,c");
}

static void test_sandbox(void)
{
    static const struct {
        Words words;
        bool sandbox;
    } cases[] = {
        { { { "-quiet" } }, true },
        { { { "-sandbox", "on" } }, true },
        { { { "-sandbox", "off" } }, false },
        { { { "--sandbox", "enable=off" } }, false },
        { { { "-sandbox", "off", "-sandbox", "on" } }, true },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(Config) config = words_parse_good(&cases[i].words);

        g_assert_true(config->sandbox == cases[i].sandbox);
    }
}

/* It lasts as long as the recordings, unless something else is asked for. */
static void test_replay(void)
{
    static const struct {
        Words words;
        bool max;
        const char *host;
        int64_t duration_ns;
    } cases[] = {
        { { { "-object", "iommufd-replay,id=r,file=f" } }, false, NULL, 0 },
        { { { "-object", "iommufd-replay,id=r,file=f,speed=recorded,host=h",
              "-duration", "10" } }, false, "h", 10000000000 },
        { { { "-duration", "0", "-object",
              "{\"qom-type\":\"iommufd-replay\",\"id\":\"r\","
              "\"file\":\"f\",\"speed\":\"max\"}" } }, true, NULL, 0 },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(Config) config = words_parse_good(&cases[i].words);
        const ReplayEntry *entry = (const ReplayEntry *)config_find(
            config, CONFIG_OBJECTS, "r");
        const PciEntry *pci = (const PciEntry *)config_find(
            config, CONFIG_DEVICES, "vtd0-dev3");

        g_assert_cmpstr(entry->file, ==, "f");
        g_assert_cmpstr(entry->host, ==, cases[i].host);
        g_assert_cmpint(config_replay_is_max(entry), ==, cases[i].max);
        g_assert_cmpint(config->duration_ns, ==, cases[i].duration_ns);
        /* The default machine, on that host and without emulated devices. */
        g_assert_cmpstr(pci->iommufd, ==, "r");
        g_assert_null(config_find(config, CONFIG_DEVICES, "vtd1"));
        g_assert_cmpuint(count_type(config, &config_type_iommufd_emulated), ==,
                         0);
    }
}

/* Order on the command line does not matter; free StreamIDs are found. */
static void test_links_forward_and_stream_ids(void)
{
    Words words = { {
        "-device", "emulated-pci,id=d0,viommu=s0,iommufd=h0",
        "-device", "emulated-pci,id=d1,viommu=s0,iommufd=h0,sid=8",
        "-device", "emulated-pci,id=d2,viommu=s0,iommufd=h0",
        "-device", S, HOST,
    } };
    static const int64_t sids[] = { 16, 8, 24 };
    g_autoptr(Config) config = words_parse_good(&words);

    for (size_t i = 0; i < G_N_ELEMENTS(sids); i++) {
        const EndpointEntry *device =
            config->lists[CONFIG_DEVICES]->pdata[i];

        g_assert_cmpint(device->sid, ==, sids[i]);
    }
}

static void test_full_house_of_stream_ids(void)
{
    g_autoptr(Config) config = config_new();
    g_autoptr(GError) error = NULL;
    GPtrArray *devices = config->lists[CONFIG_DEVICES];
    PciEntry *pci = NULL;

    config_add(config, &config_type_iommufd_emulated, "h", "x", NULL);
    config_add(config, &config_type_arm_smmuv3, "s", "x", NULL);
    /* Not by config_add(), which would look for each id among all. */
    for (int i = 0; i < 8192; i++) {
        g_autofree char *id = g_strdup_printf("d%d", i);

        pci = g_new0(PciEntry, 1);
        pci->endpoint.base.type = &config_type_emulated_pci;
        pci->endpoint.base.id = g_steal_pointer(&id);
        pci->endpoint.base.origin = g_strdup("y");
        pci->endpoint.viommu = g_strdup("s");
        pci->iommufd = g_strdup("h");
        pci->endpoint.sid = 8 * i;
        g_ptr_array_add(devices, pci);
    }
    /* The last one finds 65528, which it had; another one then finds none. */
    pci->endpoint.sid = CONFIG_SID_AUTO;
    g_assert_true(config_complete(config, &error));
    g_assert_cmpint(pci->endpoint.sid, ==, 65528);
    ((EndpointEntry *)devices->pdata[1])->sid = CONFIG_SID_AUTO;
    g_assert_false(config_complete(config, &error));
    g_assert_cmpstr(error->message, ==,
                    "y: no sid is left behind 's'\n"
                    "sid takes a number from 0 to 65535");
}

static void test_help(void)
{
    static const struct {
        Words words;
        const char *begin;
        const char *part;
    } cases[] = {
        { { { "-help" } }, "usage: vpump [options]\n",
          "\n  -duration SECONDS\n" },
        { { { "--help" } }, "usage: vpump [options]\n", "-report FILE" },
        { { { "-h" } }, "usage: vpump [options]\n", "-quiet" },
        { { { "-version" } }, "vpump version ", "\n" },
        { { { "--version", "-foo" } }, "vpump version ", "\n" },
        { { { "-object", "help" } }, "List of user creatable objects:\n",
          "objects:\n  iommufd\n  iommufd-emulated\n  iommufd-replay\n"
          "  iothread\n" },
        { { { "-object", "?" } }, "List of user creatable objects:\n",
          "\n  iothread\n" },
        { { { "-device", "help" } }, "Misc devices:\n",
          "\nname \"arm-smmuv3\", desc \"" },
        { { { "-device", "?" } }, "Misc devices:\n",
          "\nname \"emulated-pci\", bus PCI, desc \"" },
        { { { "-device", "driver=help" } }, "Misc devices:\n", "arm-smmuv3" },
        { { { "-object", "iothread,help" } }, "iothread options:\n",
          "\n  poll-max-ns=<int>      - longest busy polling per turn, ns; 0 "
          "for none (default: 32768)\n" },
        { { { "-object", "iommufd,help" } }, "iommufd options:\n",
          "\n  path=<string>          - the character device (default: "
          "/dev/iommu)\n" },
        { { { "-object", "iommufd-emulated,help" } },
          "iommufd-emulated options:\n",
          "\n  id=<string>            - name for other options and the report "
          "(required)\n" },
        { { { "-object", "iommufd-replay,help" } },
          "iommufd-replay options:\n", "\n  speed=<ReplaySpeed>    - " },
        { { { "-device", "arm-smmuv3,help" } }, "arm-smmuv3 options:\n",
          "\n  accel=<bool>           - stage 1 is run by the host through "
          "iommufd (default: on)\n" },
        { { { "-device", "arm-smmuv3,?" } }, "arm-smmuv3 options:\n",
          "  eventq-log2size=<uint8> - entries" },
        { { { "--device", "emulated-pci,id=1,help" } },
          "emulated-pci options:\n", "\n  sid=<uint16>           - " },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(Config) config = config_new();
        g_autoptr(GError) error = NULL;
        g_autofree char *text = NULL;

        g_assert_cmpint(words_parse(&cases[i].words, config, &text, &error), ==,
                        OPTIONS_PRINT);
        g_assert_no_error(error);
        g_assert_true(g_str_has_prefix(text, cases[i].begin));
        g_assert_nonnull(strstr(text, cases[i].part));
        g_assert_cmpint(text[strlen(text) - 1], ==, '\n');
    }
}

/* Help shows properties, and errors accepted ones, in this order. */
static void test_tables_are_sorted(void)
{
    for (const ConfigType *const *type = config_types; *type; type++) {
        for (size_t i = 1; i < (*type)->property_count; i++) {
            g_assert_cmpstr((*type)->properties[i - 1].name, <,
                            (*type)->properties[i].name);
        }
    }
}

static void test_help_fits_a_terminal(void)
{
    static const Words cases[] = {
        { { "-help" } }, { { "-device", "help" } },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(Config) config = config_new();
        g_autofree char *text = NULL;
        g_auto(GStrv) lines = NULL;

        words_parse(&cases[i], config, &text, NULL);
        lines = g_strsplit(text, "\n", -1);
        for (char **line = lines; *line; line++) {
            g_assert_cmpuint(strlen(*line), <=, 80);
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/options/booleans", test_booleans);
    g_test_add_func("/options/pri", test_pri);
    g_test_add_func("/options/short-form-boolean-warns",
                    test_short_form_boolean_warns);
    g_test_add_func("/options/numbers", test_numbers);
    g_test_add_func("/options/iothread-properties", test_iothread_properties);
    g_test_add_func("/options/settings", test_settings);
    g_test_add_func("/options/iommufd", test_iommufd);
    g_test_add_func("/options/iommufd-mock", test_iommufd_mock);
    g_test_add_func("/options/vfio-pci", test_vfio_pci);
    g_test_add_func("/options/default-machine", test_default_machine);
    g_test_add_func("/options/default-machine-finds-its-host",
                    test_default_machine_finds_its_host);
    g_test_add_func("/options/record", test_record);
    g_test_add_func("/options/replay", test_replay);
    g_test_add_func("/options/links-forward-and-stream-ids",
                    test_links_forward_and_stream_ids);
    g_test_add_func("/options/full-house-of-stream-ids",
                    test_full_house_of_stream_ids);
    g_test_add_func("/options/help", test_help);
    g_test_add_func("/options/sandbox", test_sandbox);
    g_test_add_func("/options/tables-are-sorted", test_tables_are_sorted);
    g_test_add_func("/options/help-fits-a-terminal",
                    test_help_fits_a_terminal);
    return g_test_run();
}
