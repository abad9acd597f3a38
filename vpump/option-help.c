/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "option-help.h"

/* Where descriptions of properties begin. */
#define DESCRIPTION_COLUMN 24

static const char program_help[] =
"usage: vpump [options]\n"
"\n"
"Moves IOMMU events and page requests from a host, the kernel's or an\n"
"emulated one, and from emulated devices, to built-in guest drivers, their\n"
"answers back, and counts all at both ends. Without -device it builds three\n"
"vIOMMUs, each with an iothread and four devices of its own: an arm-smmuv3\n"
"whose devices report events, an intel-iommu whose devices ask for pages\n"
"through the host, and one with sva-devices, which work in the guest's\n"
"address spaces.\n"
"\n"
"  -object TYPE,id=ID[,PROPERTY=VALUE]...\n"
"                  add an object: iothread, iommufd, iommufd-emulated,\n"
"                  iommufd-replay\n"
"  -device DRIVER,id=ID[,PROPERTY=VALUE]...\n"
"                  add a device: arm-smmuv3, intel-iommu, or behind one of\n"
"                  them emulated-pci, iommufd-mock, sva-device, vfio-pci\n"
"  -object help, -object TYPE,help, -device help, -device DRIVER,help\n"
"                  list types, or the properties of one\n"
"  -name NAME[,process=NAME][,debug-threads=on|off]\n"
"                  name the machine in what is printed; and the process\n"
"                  (names of threads are always set)\n"
"  -duration SECONDS\n"
"                  stop after so long (default: 10, or when all recordings\n"
"                  are played); 0: when interrupted\n"
"  -load PER_SECOND|max\n"
"                  for each vIOMMU, shared by its devices: events behind an\n"
"                  arm-smmuv3; behind an intel-iommu groups of page requests,\n"
"                  and operations of sva-devices (default: 100000); max: as\n"
"                  fast as the host takes them, or they are answered\n"
"  -report FILE    write a report in JSON (docs/report.md) when the run is\n"
"                  over; -: to stdout, and what else is printed to stderr\n"
"  -record FILE    record what the hosts deliver (docs/recording.md), to be\n"
"                  played by an iommufd-replay\n"
"  -quiet          print no line per second and no table\n"
"  -sandbox on|off confine the process before guests run: no capabilities,\n"
"                  only the system calls of a running machine, none that\n"
"                  opens anything (default: on; docs/security.md)\n"
"  -version        print the version\n"
"  -help           print this\n"
"\n"
"-opt and --opt are the same. -object and -device also take a JSON object:\n"
"  -object '{\"qom-type\":\"iothread\",\"id\":\"io0\",\"poll-max-ns\":0}'\n"
"\n"
"Latency of an event runs from a device's report to the moment when the\n"
"guest's driver has read the producer index that shows the entry. It includes\n"
"the interrupt and the driver's work on entries before: an upper bound of the\n"
"time until the entry is visible to the guest. That of a page request runs\n"
"from the device's request to the response that it gets.\n"
"\n"
"SIGINT and SIGTERM end the run in order; a second one ends it at once, with\n"
"status 130. Status is 0 only if everything is accounted for: events\n"
"generated are delivered + discarded + lost, the guest found each delivered\n"
"record once and intact, and it has noticed that events were lost, if any\n"
"were; groups of page requests are answered + invalid + retried, each exactly\n"
"once, and none is open; the guest's memory holds what the operations of\n"
"devices should have left there; and guests stop and devices go without an\n"
"error.\n";

char *option_help_program(void)
{
    return g_strdup(program_help);
}

char *option_help_version(void)
{
    return g_strdup("vpump version " VPUMP_VERSION "\n");
}

static void append_object_list(GString *text)
{
    g_string_append(text, "List of user creatable objects:\n");
    for (const ConfigType *const *type = config_types; *type; type++) {
        if ((*type)->list == CONFIG_OBJECTS) {
            g_string_append_printf(text, "  %s\n", (*type)->name);
        }
    }
}

static void append_device_list(GString *text)
{
    g_string_append(text, "Misc devices:\n");
    for (const ConfigType *const *type = config_types; *type; type++) {
        if ((*type)->list != CONFIG_DEVICES) {
            continue;
        }
        g_string_append_printf(text, "name \"%s\"", (*type)->name);
        if ((*type)->bus) {
            g_string_append_printf(text, ", bus %s", (*type)->bus);
        }
        g_string_append_printf(text, ", desc \"%s\"\n", (*type)->description);
    }
}

char *option_help_list(ConfigList list)
{
    GString *text = g_string_new(NULL);

    if (list == CONFIG_OBJECTS) {
        append_object_list(text);
    } else {
        append_device_list(text);
    }
    return g_string_free(text, FALSE);
}

static void append_property(GString *text, const Property *property)
{
    gsize start = text->len;

    g_string_append_printf(text, "  %s=<%s>", property->name,
                           property->type_name);
    while (text->len - start < DESCRIPTION_COLUMN) {
        g_string_append_c(text, ' ');
    }
    g_string_append_printf(text, " - %s", property->description);
    if (property->default_text) {
        g_string_append_printf(text, " (default: %s)", property->default_text);
    }
    g_string_append_c(text, '\n');
}

char *option_help_type(const ConfigType *type)
{
    GString *text = g_string_new(NULL);

    g_string_append_printf(text, "%s options:\n", type->name);
    for (size_t i = 0; i < type->property_count; i++) {
        append_property(text, &type->properties[i]);
    }
    if (type->notes) {
        g_string_append_printf(text, "\n%s", type->notes);
    }
    return g_string_free(text, FALSE);
}
