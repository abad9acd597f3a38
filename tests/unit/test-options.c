/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "options.h"

#include "base/error.h"

#include <string.h>

#define S "arm-smmuv3,id=s0"
#define HOST "-object", "iommufd-emulated,id=h0"
#define ID_HINT                                                          \
    "\nIdentifiers consist of letters, digits, '-', '.', '_', starting " \
    "with a letter."
#define OPTION_HINT                                                     \
    "\naccepted: -object, -device, -name, -duration, -load, -report, "  \
    "-quiet, -version, -help"
#define SMMU_HINT                                                        \
    "\naccepted: accel, ats, eventq-log2size, id, iothread, msi, oas, "  \
    "ril, ssidsize"

enum { WORDS_MAX = 12 };

/* A command line, without the program's name; NULL ends. */
typedef struct Words {
    const char *word[WORDS_MAX];
} Words;

static OptionsResult parse(const Words *words, Config *config, char **text,
                           GError **error)
{
    char *argv[WORDS_MAX + 2] = { (char *)"vpump" };
    int argc = 1;

    while (argc <= WORDS_MAX && words->word[argc - 1]) {
        argv[argc] = (char *)words->word[argc - 1];
        argc++;
    }
    return options_parse(argc, argv, config, text, error);
}

/* What must be accepted. */
static Config *parse_good(const Words *words)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    Config *config = config_new();
    OptionsResult result = parse(words, config, &text, &error);

    g_assert_no_error(error);
    g_assert_cmpint(result, ==, OPTIONS_RUN);
    g_assert_null(text);
    return config;
}

static void test_errors(void)
{
    static const struct {
        Words words;
        const char *message;
    } cases[] = {
        /* options */
        { { { "-foo" } }, "-foo: invalid option" OPTION_HINT },
        { { { "--foo" } }, "--foo: invalid option" OPTION_HINT },
        { { { "---load" } }, "---load: invalid option" OPTION_HINT },
        { { { "-" } }, "-: invalid option" OPTION_HINT },
        { { { "--" } }, "--: invalid option" OPTION_HINT },
        { { { "disk.img" } }, "disk.img: unexpected argument" OPTION_HINT },
        { { { "" } }, ": unexpected argument" OPTION_HINT },
        { { { "-load" } }, "-load: requires an argument" },
        { { { "-quiet", "--device" } }, "--device: requires an argument" },
        { { { "--load=5" } }, "--load=5: invalid option" OPTION_HINT },
        /* types */
        { { { "-object", "foo" } },
          "-object foo: Parameter 'qom-type' does not accept value 'foo'\n"
          "accepted: iommufd-emulated, iothread" },
        { { { "-object", "arm-smmuv3,id=a" } },
          "-object arm-smmuv3,id=a: Parameter 'qom-type' does not accept "
          "value 'arm-smmuv3'\naccepted: iommufd-emulated, iothread" },
        { { { "-device", "foo" } },
          "-device foo: 'foo' is not a valid device model name\n"
          "accepted: arm-smmuv3, emulated-pci" },
        { { { "--device", "foo,help" } },
          "-device foo,help: 'foo' is not a valid device model name\n"
          "accepted: arm-smmuv3, emulated-pci" },
        { { { "-device", "" } }, "-device : Parameter 'driver' is missing" },
        { { { "-device", "id=x" } },
          "-device id=x: Parameter 'driver' is missing" },
        { { { "-object", "id=x" } },
          "-object id=x: Parameter 'qom-type' is missing" },
        { { { "-device", "x,driver" } },
          "-device x,driver: Parameter 'driver' is missing" },
        /* ids */
        { { { "-device", "arm-smmuv3" } },
          "-device arm-smmuv3: Parameter 'id' is missing" },
        { { { "-object", "iothread" } },
          "-object iothread: Parameter 'id' is missing" },
        { { { "-object", "iothread,id=" } },
          "-object iothread,id=: Parameter 'id' expects an identifier"
          ID_HINT },
        { { { "-object", "iothread,id=1a" } },
          "-object iothread,id=1a: Parameter 'id' expects an identifier"
          ID_HINT },
        { { { "-device", "arm-smmuv3,id=a/b" } },
          "-device arm-smmuv3,id=a/b: Parameter 'id' expects an identifier"
          ID_HINT },
        { { { "-device", "arm-smmuv3,id=a,,b" } },
          "-device arm-smmuv3,id=a,,b: Parameter 'id' expects an identifier"
          ID_HINT },
        { { { "-object", "iothread,id=a", "-object", "iothread,id=a" } },
          "-object iothread,id=a: Duplicate ID 'a' for object" },
        { { { "-object", "iothread,id=a", "-object",
              "iommufd-emulated,id=a" } },
          "-object iommufd-emulated,id=a: Duplicate ID 'a' for object" },
        { { { "-device", S, "-device", S ",ats=on" } },
          "-device " S ",ats=on: Duplicate ID 's0' for device" },
        { { { "-object", "iothread,id=s0-iothread", "-device", S } },
          "-device " S ": Duplicate ID 's0-iothread' for object\n"
          "without iothread= it makes an iothread of that name" },
        /* keys */
        { { { "-device", S ",foo=1" } },
          "-device " S ",foo=1: Property 'arm-smmuv3.foo' not found"
          SMMU_HINT },
        { { { "-device", S ",foo" } },
          "-device " S ",foo: Property 'arm-smmuv3.foo' not found" SMMU_HINT },
        { { { "-device", S ",=1" } },
          "-device " S ",=1: Property 'arm-smmuv3.' not found" SMMU_HINT },
        { { { "-object", "iothread,id=a,poll-weight=1" } },
          "-object iothread,id=a,poll-weight=1: Property "
          "'iothread.poll-weight' not found\n"
          "accepted: id, poll-grow, poll-max-ns, poll-shrink" },
        { { { "-object", "iothread,id=a,poll-grow" } },
          "-object iothread,id=a,poll-grow: Expected '=' after parameter "
          "'poll-grow'" },
        /* booleans */
        { { { "-device", S ",msi=maybe" } },
          "-device " S ",msi=maybe: Parameter 'msi' expects 'on' or 'off'" },
        { { { "-device", S ",msi=" } },
          "-device " S ",msi=: Parameter 'msi' expects 'on' or 'off'" },
        { { { "-device", S ",msi=auto" } },
          "-device " S ",msi=auto: Parameter 'msi' expects 'on' or 'off'" },
        { { { "-device", S ",msi=ON" } },
          "-device " S ",msi=ON: Parameter 'msi' expects 'on' or 'off'" },
        { { { "-device", S ",ats=1" } },
          "-device " S ",ats=1: Parameter 'ats' expects 'on', 'off' or "
          "'auto'" },
        { { { "-device", S ",accel=off" } },
          "-device " S ",accel=off: Property 'arm-smmuv3.accel' doesn't take "
          "value 'off'\naccel takes 'on': stage 1 is always run by the host" },
        /* numbers */
        { { { "-object", "iothread,id=a,poll-max-ns=x" } },
          "-object iothread,id=a,poll-max-ns=x: Parameter 'poll-max-ns' "
          "expects a number from 0 to 9223372036854775807" },
        { { { "-object", "iothread,id=a,poll-max-ns=-1" } },
          "-object iothread,id=a,poll-max-ns=-1: poll-max-ns value must be in "
          "range [0, 9223372036854775807]" },
        { { { "-object", "iothread,id=a,poll-grow=9223372036854775808" } },
          "-object iothread,id=a,poll-grow=9223372036854775808: Value "
          "'9223372036854775808' is too large for parameter 'poll-grow'" },
        { { { "-object", "iothread,id=a,poll-shrink=1 " } },
          "-object iothread,id=a,poll-shrink=1 : Parameter 'poll-shrink' "
          "expects a number from 0 to 9223372036854775807" },
        { { { "-device", S ",oas=45" } },
          "-device " S ",oas=45: Property 'arm-smmuv3.oas' doesn't take value "
          "'45'\noas takes 44, 48 or 'auto'" },
        { { { "-device", S ",oas=52" } },
          "-device " S ",oas=52: Property 'arm-smmuv3.oas' doesn't take value "
          "'52'\noas takes 44, 48 or 'auto'" },
        { { { "-device", S ",oas=big" } },
          "-device " S ",oas=big: Parameter 'oas' expects 44, 48 or 'auto'" },
        { { { "-device", S ",ssidsize=21" } },
          "-device " S ",ssidsize=21: ssidsize value must be in range "
          "[0, 20]" },
        { { { "-device", S ",ssidsize=0x" } },
          "-device " S ",ssidsize=0x: Parameter 'ssidsize' expects a number "
          "from 0 to 20, or 'auto'" },
        { { { "-device", S ",eventq-log2size=20" } },
          "-device " S ",eventq-log2size=20: eventq-log2size value must be in "
          "range [0, 19]" },
        /* links */
        { { { "-device", S ",iothread=io0" } },
          "-device " S ",iothread=io0: Device 'io0' not found\n"
          "iothread takes the id of an iothread" },
        { { { "-device", S ",iothread=" } },
          "-device " S ",iothread=: Device '' not found\n"
          "iothread takes the id of an iothread" },
        { { { "-device", S, "-device", "arm-smmuv3,id=s1,"
              "iothread=s0-iothread" } },
          "-device arm-smmuv3,id=s1,iothread=s0-iothread: Device "
          "'s0-iothread' not found\niothread takes the id of an iothread" },
        { { { HOST, "-device", S ",iothread=h0" } },
          "-device " S ",iothread=h0: Invalid parameter type for 'iothread', "
          "expected: iothread\n'h0' is an iommufd-emulated" },
        { { { HOST, "-device", "emulated-pci,id=d0,iommufd=h0,viommu=s0" } },
          "-device emulated-pci,id=d0,iommufd=h0,viommu=s0: Device 's0' not "
          "found\nviommu takes the id of an arm-smmuv3" },
        { { { HOST, "-device", "emulated-pci,id=d0,iommufd=h0" } },
          "-device emulated-pci,id=d0,iommufd=h0: Parameter 'viommu' is "
          "missing\nviommu takes the id of an arm-smmuv3" },
        { { { "-device", S, "-device", "emulated-pci,id=d0,viommu=s0" } },
          "-device emulated-pci,id=d0,viommu=s0: Parameter 'iommufd' is "
          "missing\niommufd takes the id of an iommufd-emulated" },
        { { { "-device", S, "-device",
              "emulated-pci,id=d0,viommu=s0,iommufd=h9" } },
          "-device emulated-pci,id=d0,viommu=s0,iommufd=h9: Device 'h9' not "
          "found\niommufd takes the id of an iommufd-emulated" },
        { { { HOST, "-device", "emulated-pci,id=d0,viommu=d0,iommufd=h0" } },
          "-device emulated-pci,id=d0,viommu=d0,iommufd=h0: Invalid parameter "
          "type for 'viommu', expected: arm-smmuv3\n'd0' is an emulated-pci" },
        { { { HOST, "-object", "iommufd-emulated,id=h1", "-device", S,
              "-device", "emulated-pci,id=d0,viommu=s0,iommufd=h0",
              "-device", "emulated-pci,id=d1,viommu=s0,iommufd=h1" } },
          "-device emulated-pci,id=d1,viommu=s0,iommufd=h1: Property "
          "'emulated-pci.iommufd' doesn't take value 'h1'\n"
          "'d0' behind the same arm-smmuv3 has 'h0'" },
        { { { HOST, "-device", S,
              "-device", "emulated-pci,id=d0,viommu=s0,iommufd=h0,sid=7",
              "-device", "emulated-pci,id=d1,viommu=s0,iommufd=h0,sid=7" } },
          "-device emulated-pci,id=d0,viommu=s0,iommufd=h0,sid=7: Property "
          "'emulated-pci.sid' doesn't take value '7'\n"
          "'d1' behind the same arm-smmuv3 has it" },
        { { { HOST, "-device",
              "emulated-pci,id=d0,viommu=s0,iommufd=h0,sid=65536" } },
          "-device emulated-pci,id=d0,viommu=s0,iommufd=h0,sid=65536: sid "
          "value must be in range [0, 65535]" },
        /* settings */
        { { { "-duration", "x" } },
          "-duration x: Parameter 'duration' expects a number of seconds, 0 "
          "to run until interrupted" },
        { { { "-duration", "" } },
          "-duration : Parameter 'duration' expects a number of seconds, 0 to "
          "run until interrupted" },
        { { { "-duration", "-1" } },
          "-duration -1: Parameter 'duration' expects a number of seconds, 0 "
          "to run until interrupted" },
        { { { "-duration", "1.2.3" } },
          "-duration 1.2.3: Parameter 'duration' expects a number of seconds, "
          "0 to run until interrupted" },
        { { { "-duration", "." } },
          "-duration .: Parameter 'duration' expects a number of seconds, 0 to "
          "run until interrupted" },
        { { { "-duration", "1000000001" } },
          "-duration 1000000001: Value '1000000001' is too large for parameter "
          "'duration'\nduration takes at most 1000000000" },
        { { { "-load", "fast" } },
          "-load fast: Parameter 'load' expects a number of events per second, "
          "or 'max'" },
        { { { "-load", "-5" } },
          "-load -5: Parameter 'load' expects a number of events per second, "
          "or 'max'" },
        { { { "-load", "1000000001" } },
          "-load 1000000001: Value '1000000001' is too large for parameter "
          "'load'\nload takes at most 1000000000, or 'max'" },
        { { { "-load", "99999999999999999999" } },
          "-load 99999999999999999999: Value '99999999999999999999' is too "
          "large for parameter 'load'\n"
          "load takes at most 1000000000, or 'max'" },
        { { { "-report", "" } },
          "-report : Parameter 'report' expects a file name, or '-' for "
          "stdout" },
        { { { "-name", "a,process=b" } },
          "-name a,process=b: Invalid parameter 'process'\n"
          "accepted: guest=NAME" },
        /* JSON: types are checked, not converted */
        { { { "-object", "{\"qom-type\":\"iothread\"}" } },
          "-object {\"qom-type\":\"iothread\"}: Parameter 'id' is missing" },
        { { { "-object", "{\"id\":\"a\"}" } },
          "-object {\"id\":\"a\"}: Parameter 'qom-type' is missing" },
        { { { "-device", "{\"driver\":1}" } },
          "-device {\"driver\":1}: Invalid parameter type for 'driver', "
          "expected: string" },
        { { { "-device", "{\"driver\":\"help\"}" } },
          "-device {\"driver\":\"help\"}: 'help' is not a valid device model "
          "name\naccepted: arm-smmuv3, emulated-pci" },
        { { { "-object", "{\"qom-type\":\"iothread\",\"id\":7}" } },
          "-object {\"qom-type\":\"iothread\",\"id\":7}: Invalid parameter "
          "type for 'id', expected: string" },
        { { { "-object", "{\"qom-type\":\"iothread\",\"id\":\"a\","
              "\"poll-max-ns\":\"5\"}" } },
          "-object {\"qom-type\":\"iothread\",\"id\":\"a\","
          "\"poll-max-ns\":\"5\"}: Invalid parameter type for 'poll-max-ns', "
          "expected: integer" },
        { { { "-object", "{\"qom-type\":\"iothread\",\"id\":\"a\","
              "\"poll-max-ns\":1.5}" } },
          "-object {\"qom-type\":\"iothread\",\"id\":\"a\","
          "\"poll-max-ns\":1.5}: Invalid parameter type for 'poll-max-ns', "
          "expected: integer" },
        { { { "-object", "{\"qom-type\":\"iothread\",\"id\":\"a\","
              "\"poll-max-ns\":-2}" } },
          "-object {\"qom-type\":\"iothread\",\"id\":\"a\","
          "\"poll-max-ns\":-2}: poll-max-ns value must be in range "
          "[0, 9223372036854775807]" },
        { { { "-device", "{\"driver\":\"arm-smmuv3\",\"id\":\"s\","
              "\"msi\":\"on\"}" } },
          "-device {\"driver\":\"arm-smmuv3\",\"id\":\"s\",\"msi\":\"on\"}: "
          "Invalid parameter type for 'msi', expected: boolean" },
        { { { "-device", "{\"driver\":\"arm-smmuv3\",\"id\":\"s\","
              "\"msi\":1}" } },
          "-device {\"driver\":\"arm-smmuv3\",\"id\":\"s\",\"msi\":1}: "
          "Invalid parameter type for 'msi', expected: boolean" },
        { { { "-device", "{\"driver\":\"arm-smmuv3\",\"id\":\"s\","
              "\"iothread\":null}" } },
          "-device {\"driver\":\"arm-smmuv3\",\"id\":\"s\","
          "\"iothread\":null}: Invalid parameter type for 'iothread', "
          "expected: string" },
        { { { "-device", "{\"driver\":\"arm-smmuv3\",\"id\":\"s\","
              "\"oas\":[44]}" } },
          "-device {\"driver\":\"arm-smmuv3\",\"id\":\"s\",\"oas\":[44]}: "
          "Invalid parameter type for 'oas', expected: integer" },
        { { { "-device", "{\"driver\":\"arm-smmuv3\",\"id\":\"s\","
              "\"foo\":{}}" } },
          "-device {\"driver\":\"arm-smmuv3\",\"id\":\"s\",\"foo\":{}}: "
          "Property 'arm-smmuv3.foo' not found" SMMU_HINT },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(Config) config = config_new();
        g_autoptr(GError) error = NULL;
        g_autofree char *text = NULL;

        g_assert_cmpint(parse(&cases[i].words, config, &text, &error), ==,
                        OPTIONS_ERROR);
        g_assert_nonnull(error);
        g_assert_cmpstr(error->message, ==, cases[i].message);
        g_assert_true(error->domain == VIOMMU_ERROR);
        g_assert_null(text);
    }
}

/* JSON that does not parse: the reason is the parser's. */
static void test_malformed_json_names_the_option(void)
{
    g_autoptr(Config) config = config_new();
    g_autoptr(GError) error = NULL;
    Words words = { { "-object", "{\"qom-type\"" } };

    g_assert_cmpint(parse(&words, config, NULL, &error), ==, OPTIONS_ERROR);
    g_assert_true(g_str_has_prefix(
        error->message, "-object {\"qom-type\": JSON parse error, "));
}

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
        g_autoptr(Config) config = parse_good(&words);

        g_assert_cmpint(smmu_of(config)->properties.msi, ==, cases[i].msi);
        g_assert_cmpint(smmu_of(config)->properties.ats, ==, cases[i].ats);
    }
}

static void test_short_form_boolean_warns(void)
{
    Words words = { { "-device", S ",ats,msi=off" } };
    g_autoptr(Config) config = parse_good(&words);

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
        { S, 44, 0, 12 },
        { S ",oas=48,ssidsize=20,eventq-log2size=19", 48, 20, 19 },
        { S ",oas=0x30,ssidsize=0xa,eventq-log2size=0", 48, 10, 0 },
        { S ",oas=auto,ssidsize=auto", 44, 0, 12 },
        { S ",ssidsize=010", 44, 10, 12 },
        { "{\"driver\":\"arm-smmuv3\",\"id\":\"s0\",\"oas\":48,"
          "\"ssidsize\":\"16\"}", 48, 16, 12 },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        Words words = { { "--device", cases[i].argument } };
        g_autoptr(Config) config = parse_good(&words);
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
        g_autoptr(Config) config = parse_good(&words);
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
        g_assert_cmpstr(smmu_of(config)->iothread, ==, "io0");
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
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(Config) config = parse_good(&cases[i].words);

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

static void test_default_machine(void)
{
    Words words = { { "-object", "iothread,id=spare" } };
    g_autoptr(Config) config = parse_good(&words);

    g_assert_cmpuint(count_type(config, &config_type_arm_smmuv3), ==, 2);
    g_assert_cmpuint(count_type(config, &config_type_emulated_pci), ==, 8);
    g_assert_cmpuint(count_type(config, &config_type_iommufd_emulated), ==, 1);
    g_assert_cmpuint(count_type(config, &config_type_iothread), ==, 3);
    for (unsigned i = 0; i < config->lists[CONFIG_DEVICES]->len; i++) {
        const PciEntry *pci = config->lists[CONFIG_DEVICES]->pdata[i];

        if (pci->base.type == &config_type_emulated_pci) {
            g_assert_cmpint(pci->sid, ==, 8 * (pci->base.id[9] - '0' + 1));
            g_assert_cmpstr(pci->iommufd, ==, "iommufd0");
        }
    }
    g_assert_nonnull(config_find(config, CONFIG_OBJECTS, "smmu1-iothread"));
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
        g_autoptr(Config) config = parse_good(&words);
        const PciEntry *pci = (const PciEntry *)config_find(
            config, CONFIG_DEVICES, "smmu0-dev0");

        g_assert_cmpstr(pci->iommufd, ==, cases[i].iommufd);
        g_assert_cmpuint(count_type(config, &config_type_iommufd_emulated), ==,
                         1);
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
    g_autoptr(Config) config = parse_good(&words);

    for (size_t i = 0; i < G_N_ELEMENTS(sids); i++) {
        const PciEntry *pci = config->lists[CONFIG_DEVICES]->pdata[i];

        g_assert_cmpint(pci->sid, ==, sids[i]);
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
        pci->base.type = &config_type_emulated_pci;
        pci->base.id = g_steal_pointer(&id);
        pci->base.origin = g_strdup("y");
        pci->viommu = g_strdup("s");
        pci->iommufd = g_strdup("h");
        pci->sid = 8 * i;
        g_ptr_array_add(devices, pci);
    }
    /* The last one finds 65528, which it had; another one then finds none. */
    pci->sid = CONFIG_SID_AUTO;
    g_assert_true(config_complete(config, &error));
    g_assert_cmpint(pci->sid, ==, 65528);
    ((PciEntry *)devices->pdata[1])->sid = CONFIG_SID_AUTO;
    g_assert_false(config_complete(config, &error));
    g_assert_cmpstr(error->message, ==,
                    "y: no StreamID is left behind 's'\n"
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
          "objects:\n  iommufd-emulated\n  iothread\n" },
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
        { { { "-object", "iommufd-emulated,help" } },
          "iommufd-emulated options:\n",
          "\n  id=<string>            - name for other options and the report "
          "(required)\n" },
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

        g_assert_cmpint(parse(&cases[i].words, config, &text, &error), ==,
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

        parse(&cases[i], config, &text, NULL);
        lines = g_strsplit(text, "\n", -1);
        for (char **line = lines; *line; line++) {
            g_assert_cmpuint(strlen(*line), <=, 80);
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/options/errors", test_errors);
    g_test_add_func("/options/malformed-json-names-the-option",
                    test_malformed_json_names_the_option);
    g_test_add_func("/options/booleans", test_booleans);
    g_test_add_func("/options/short-form-boolean-warns",
                    test_short_form_boolean_warns);
    g_test_add_func("/options/numbers", test_numbers);
    g_test_add_func("/options/iothread-properties", test_iothread_properties);
    g_test_add_func("/options/settings", test_settings);
    g_test_add_func("/options/default-machine", test_default_machine);
    g_test_add_func("/options/default-machine-finds-its-host",
                    test_default_machine_finds_its_host);
    g_test_add_func("/options/links-forward-and-stream-ids",
                    test_links_forward_and_stream_ids);
    g_test_add_func("/options/full-house-of-stream-ids",
                    test_full_house_of_stream_ids);
    g_test_add_func("/options/help", test_help);
    g_test_add_func("/options/tables-are-sorted", test_tables_are_sorted);
    g_test_add_func("/options/help-fits-a-terminal",
                    test_help_fits_a_terminal);
    return g_test_run();
}
