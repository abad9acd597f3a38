/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "option-help.h"

/* Where descriptions of properties begin. */
#define DESCRIPTION_COLUMN 24

static const char program_help[] =
"usage: vpump [options]\n"
"\n"
"Moves IOMMU events from an emulated host to built-in guest drivers, and\n"
"counts them at both ends. Without -device it builds two arm-smmuv3, each\n"
"with an iothread and four devices of its own.\n"
"\n"
"  -object TYPE,id=ID[,PROPERTY=VALUE]...\n"
"                  add an object: iothread, iommufd-emulated\n"
"  -device DRIVER,id=ID[,PROPERTY=VALUE]...\n"
"                  add a device: arm-smmuv3, emulated-pci\n"
"  -object help, -object TYPE,help, -device help, -device DRIVER,help\n"
"                  list types, or the properties of one\n"
"  -name NAME[,process=NAME][,debug-threads=on|off]\n"
"                  name the machine in what is printed; and the process\n"
"                  (names of threads are always set)\n"
"  -duration SECONDS\n"
"                  stop after so long (default: 10); 0: when interrupted\n"
"  -load EVENTS_PER_SECOND|max\n"
"                  events for each vIOMMU, shared by its devices\n"
"                  (default: 100000); max: as fast as the host takes them\n"
"  -report FILE    write a report in JSON when the run is over; -: to stdout,\n"
"                  and what else is printed to stderr\n"
"  -quiet          print no line per second and no table\n"
"  -version        print the version\n"
"  -help           print this\n"
"\n"
"-opt and --opt are the same. -object and -device also take a JSON object:\n"
"  -object '{\"qom-type\":\"iothread\",\"id\":\"io0\",\"poll-max-ns\":0}'\n"
"\n"
"Latency runs from a device's report to the moment when the guest's driver\n"
"has read the producer index that shows the entry. It includes the interrupt\n"
"and the driver's work on entries before: an upper bound of the time until\n"
"the entry is visible to the guest.\n"
"\n"
"SIGINT and SIGTERM end the run in order; a second one ends it at once, with\n"
"status 130. Status is 0 only if every event is accounted for: generated is\n"
"delivered + discarded + lost, the guest found each delivered record once and\n"
"intact, and it has noticed that events were lost, if any were.\n";

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
    return g_string_free(text, FALSE);
}
