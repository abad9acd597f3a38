/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The two options differ in their implied key, and in what a key that stands
 * alone is: an error for -object; for -device on, with a warning.
 */
#include "option-entry.h"

#include "option-help.h"

#include "base/error.h"

#include <string.h>

/* Where the results go: arguments of option_entry_apply(). */
typedef struct Parse {
    Config *config;
    GError **error;
} Parse;

/* What a first part without '=' is the value of. */
static const char *const implied_keys[] = {
    [CONFIG_OBJECTS] = "qom-type",
    [CONFIG_DEVICES] = "driver",
};

static const char *const list_options[] = {
    [CONFIG_OBJECTS] = "-object",
    [CONFIG_DEVICES] = "-device",
};

/* Names of what @list can make, with commas. */
static char *list_types(ConfigList list)
{
    GString *names = g_string_new(NULL);

    for (const ConfigType *const *type = config_types; *type; type++) {
        if ((*type)->list == list) {
            g_string_append_printf(names, "%s%s", names->len ? ", " : "",
                                   (*type)->name);
        }
    }
    return g_string_free(names, FALSE);
}

/* The same for the properties of @type. */
static char *list_properties(const ConfigType *type)
{
    GString *names = g_string_new(NULL);

    for (size_t i = 0; i < type->property_count; i++) {
        g_string_append_printf(names, "%s%s", i ? ", " : "",
                               type->properties[i].name);
    }
    return g_string_free(names, FALSE);
}

/* QEMU words this differently for the two options. */
static OptionsResult fail_unknown_type(Parse *parse, ConfigList list,
                                       const char *name)
{
    g_autofree char *accepted = list_types(list);

    g_set_error(parse->error, VIOMMU_ERROR, VIOMMU_ERROR_NOT_FOUND,
                list == CONFIG_OBJECTS
                    ? "Parameter 'qom-type' does not accept value '%s'\n"
                      "accepted: %s"
                    : "'%s' is not a valid device model name\naccepted: %s",
                name, accepted);
    return OPTIONS_ERROR;
}

static OptionsResult fail_unknown_property(Parse *parse, const ConfigType *type,
                                           const char *name)
{
    g_autofree char *accepted = list_properties(type);

    g_set_error(parse->error, VIOMMU_ERROR, VIOMMU_ERROR_NOT_FOUND,
                "Property '%s.%s' not found\naccepted: %s", type->name, name,
                accepted);
    return OPTIONS_ERROR;
}

/* The value of @key as a string, or NULL and an error with @hint. */
static const char *require_string(Parse *parse, const QemuOpts *opts,
                                  const char *key, const char *hint)
{
    const QemuOpt *opt = qemu_opts_find(opts, key);

    if (!opt || (!opt->text && !opt->json)) {
        g_set_error(parse->error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "Parameter '%s' is missing\naccepted: %s", key, hint);
        return NULL;
    }
    if (!opt->json) {
        return opt->text;
    }
    if (!JSON_NODE_HOLDS_VALUE(opt->json) ||
        json_node_get_value_type(opt->json) != G_TYPE_STRING) {
        g_set_error(parse->error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "Invalid parameter type for '%s', expected: string", key);
        return NULL;
    }
    return json_node_get_string(opt->json);
}

static const Property *find_property(const ConfigType *type, const char *name)
{
    for (size_t i = 0; i < type->property_count; i++) {
        if (strcmp(type->properties[i].name, name) == 0) {
            return &type->properties[i];
        }
    }
    return NULL;
}

static OptionsResult fail_no_value(Parse *parse, const ConfigType *type,
                                   const char *key)
{
    const Property *property = find_property(type, key);
    g_autofree char *accepted = list_properties(type);

    g_set_error(parse->error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                "Expected '=' after parameter '%s'\n%s%s%s", key,
                property ? key : "accepted: ", property ? " takes " : "",
                property ? property->accepts : accepted);
    return OPTIONS_ERROR;
}

/* Every key must be known and, for -object, have a value. */
static OptionsResult check_keys(Parse *parse, const ConfigType *type,
                                const QemuOpts *opts)
{
    for (unsigned i = 0; i < opts->len; i++) {
        const QemuOpt *opt = opts->pdata[i];

        if (strcmp(opt->key, implied_keys[type->list]) == 0) {
            continue;
        }
        if (!opt->text && !opt->json && type->list == CONFIG_OBJECTS) {
            return fail_no_value(parse, type, opt->key);
        }
        if (!find_property(type, opt->key)) {
            return fail_unknown_property(parse, type, opt->key);
        }
    }
    return OPTIONS_RUN;
}

/* A key that stands alone means on, but should not be written so. */
static void complete_short_form(Parse *parse, const char *origin,
                                const QemuOpt *opt, QemuOpt *complete)
{
    *complete = *opt;
    if (opt->text || opt->json) {
        return;
    }
    complete->text = (char *)"on";
    g_ptr_array_add(parse->config->warnings,
                    g_strdup_printf("%s: short-form boolean option '%s' "
                                    "deprecated\nPlease use %s=on instead",
                                    origin, opt->key, opt->key));
}

/* Is the value of @alias put aside by the name that counts? */
static bool overridden(Parse *parse, const char *origin, const QemuOpts *opts,
                       const Property *alias)
{
    if (!alias->alias_of || !qemu_opts_find(opts, alias->alias_of)) {
        return false;
    }
    g_ptr_array_add(parse->config->warnings,
                    g_strdup_printf("%s: '%s' is ignored, as '%s' is given\n"
                                    "they are two names of one thing", origin,
                                    alias->name, alias->alias_of));
    return true;
}

/* In the order of the table: of a key that is repeated the last one counts. */
static OptionsResult set_properties(Parse *parse, ConfigEntry *entry,
                                    const QemuOpts *opts)
{
    const ConfigType *type = entry->type;

    for (size_t i = 0; i < type->property_count; i++) {
        const Property *property = &type->properties[i];
        const QemuOpt *opt = qemu_opts_find(opts, property->name);
        QemuOpt complete;

        /* The id was read before: an entry begins with it. */
        if (!opt || property->kind == PROPERTY_ID ||
            overridden(parse, entry->origin, opts, property)) {
            continue;
        }
        complete_short_form(parse, entry->origin, opt, &complete);
        if (!property_set(property, entry, type->name, &complete,
                          parse->error)) {
            return OPTIONS_ERROR;
        }
    }
    return OPTIONS_RUN;
}

/* Keys first, so that a mistyped "id" is not reported as missing. */
static OptionsResult add_entry(Parse *parse, const ConfigType *type,
                               const QemuOpts *opts, const char *argument)
{
    g_autofree char *origin =
        g_strdup_printf("%s %s", list_options[type->list], argument);
    const char *id;
    ConfigEntry *entry;

    if (check_keys(parse, type, opts) != OPTIONS_RUN) {
        return OPTIONS_ERROR;
    }
    id = require_string(parse, opts, "id", "id=NAME");
    if (!id) {
        return OPTIONS_ERROR;
    }
    if (!property_id_wellformed(id)) {
        g_set_error(parse->error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "Parameter 'id' expects an identifier\n"
                    "Identifiers consist of letters, digits, '-', '.', '_', "
                    "starting with a letter.");
        return OPTIONS_ERROR;
    }
    entry = config_add(parse->config, type, id, origin, parse->error);
    if (!entry) {
        return OPTIONS_ERROR;
    }
    return set_properties(parse, entry, opts);
}

OptionsResult option_entry_apply(Config *config, ConfigList list,
                                 const char *argument, char **text,
                                 GError **error)
{
    Parse parse = { config, error };
    g_autoptr(QemuOpts) opts =
        qemu_opts_parse(argument, implied_keys[list], error);
    g_autofree char *types = list_types(list);
    const ConfigType *type;
    const char *name;

    if (!opts) {
        return OPTIONS_ERROR;
    }
    name = require_string(&parse, opts, implied_keys[list], types);
    if (!name) {
        return OPTIONS_ERROR;
    }
    if (argument[0] != '{' && qemu_opts_is_help(name)) {
        *text = option_help_list(list);
        return OPTIONS_PRINT;
    }
    type = config_type_find(list, name);
    if (!type) {
        return fail_unknown_type(&parse, list, name);
    }
    if (qemu_opts_has_help(opts)) {
        *text = option_help_type(type);
        return OPTIONS_PRINT;
    }
    return add_entry(&parse, type, opts, argument);
}
