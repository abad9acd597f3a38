/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Text and JSON meet in the store functions, so bounds are checked, and
 * refused in the same words, whichever way a value came.
 */
#include "property.h"

#include "base/error.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>

/* The value is not of the property's type. */
static bool fail_expects(const Property *property, GError **error)
{
    g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                "Parameter '%s' expects %s", property->name, property->accepts);
    return false;
}

/* As QMP words it, with JSON's names of types. */
static bool fail_json_type(const Property *property, const char *expected,
                           GError **error)
{
    g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                "Invalid parameter type for '%s', expected: %s",
                property->name, expected);
    return false;
}

/* The type is right, but not this value. */
static bool fail_value(const Property *property, const char *owner,
                       const char *value, GError **error)
{
    g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                "Property '%s.%s' doesn't take value '%s'\n%s takes %s",
                owner, property->name, value, property->name,
                property->accepts);
    return false;
}

int property_parse_number(const char *text, int64_t *value)
{
    const char *digits = text[0] == '-' ? text + 1 : text;
    bool hex = g_ascii_strncasecmp(digits, "0x", 2) == 0;
    char *end;
    int64_t number;

    /* strtoll() would also take blanks, '+' and octal. */
    if (!(hex ? g_ascii_isxdigit(digits[2]) : g_ascii_isdigit(digits[0]))) {
        return -EINVAL;
    }
    errno = 0;
    number = g_ascii_strtoll(text, &end, hex ? 16 : 10);
    if (*end) {
        return -EINVAL;
    }
    if (errno == ERANGE) {
        return -ERANGE;
    }
    *value = number;
    return 0;
}

int property_parse_fd(const char *text)
{
    int64_t number;

    return property_parse_number(text, &number) == 0 && number >= 0 &&
                   number <= INT_MAX
               ? (int)number : -1;
}

/* All spellings that QEMU takes. Return: false if @text is none of them. */
static bool parse_bool(const char *text, bool *value)
{
    static const char *const on[] = { "on", "yes", "true", "y", NULL };
    static const char *const off[] = { "off", "no", "false", "n", NULL };

    *value = g_strv_contains(on, text);
    return *value || g_strv_contains(off, text);
}

bool property_id_wellformed(const char *id)
{
    if (!g_ascii_isalpha(id[0])) {
        return false;
    }
    while (*id && (g_ascii_isalnum(*id) || strchr("-._", *id))) {
        id++;
    }
    return !*id;
}

static bool store_bool(const Property *property, void *object,
                       const char *owner, bool value, GError **error)
{
    if (property->min == property->max && value != property->min) {
        return fail_value(property, owner, value ? "on" : "off", error);
    }
    G_STRUCT_MEMBER(bool, object, property->offset) = value;
    return true;
}

/* In a range, or one of a few. */
static bool store_number(const Property *property, void *object,
                         const char *owner, int64_t value, GError **error)
{
    bool inside = value >= property->min && value <= property->max;

    if (property->step &&
        !(inside && (value - property->min) % property->step == 0)) {
        g_autofree char *text = g_strdup_printf("%" PRId64, value);

        return fail_value(property, owner, text, error);
    }
    if (!inside) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "%s value must be in range [%" PRId64 ", %" PRId64 "]",
                    property->name, property->min, property->max);
        return false;
    }
    if (property->kind == PROPERTY_INT) {
        G_STRUCT_MEMBER(int64_t, object, property->offset) = value;
    } else {
        G_STRUCT_MEMBER(unsigned, object, property->offset) = value;
    }
    return true;
}

static bool store_string(const Property *property, void *object,
                         const char *value)
{
    char **field = &G_STRUCT_MEMBER(char *, object, property->offset);

    g_free(*field);
    *field = g_strdup(value);
    return true;
}

static bool set_text(const Property *property, void *object,
                     const char *owner, const char *text, GError **error)
{
    int64_t number;
    bool on;

    if (property->takes_auto && strcmp(text, "auto") == 0) {
        return true;
    }
    switch (property->kind) {
    case PROPERTY_BOOL:
        if (!parse_bool(text, &on)) {
            return fail_expects(property, error);
        }
        return store_bool(property, object, owner, on, error);
    case PROPERTY_INT:
    case PROPERTY_UNSIGNED:
        switch (property_parse_number(text, &number)) {
        case 0:
            return store_number(property, object, owner, number, error);
        case -ERANGE:
            g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                        "Value '%s' is too large for parameter '%s'\n"
                        "%s takes %s", text, property->name, property->name,
                        property->accepts);
            return false;
        default:
            return fail_expects(property, error);
        }
    case PROPERTY_ID:
    case PROPERTY_STRING:
    case PROPERTY_LINK:
        break;
    }
    return store_string(property, object, text);
}

/* Nothing is converted: "5" is no number and 1 is no boolean. */
static bool set_json(const Property *property, void *object,
                     const char *owner, JsonNode *node, GError **error)
{
    GType type = JSON_NODE_HOLDS_VALUE(node) ? json_node_get_value_type(node)
                                             : G_TYPE_NONE;

    if (property->takes_auto && type == G_TYPE_STRING) {
        return set_text(property, object, owner, json_node_get_string(node),
                        error);
    }
    switch (property->kind) {
    case PROPERTY_BOOL:
        if (type != G_TYPE_BOOLEAN) {
            return fail_json_type(property, "boolean", error);
        }
        return store_bool(property, object, owner,
                          json_node_get_boolean(node), error);
    case PROPERTY_INT:
    case PROPERTY_UNSIGNED:
        if (type != G_TYPE_INT64) {
            return fail_json_type(property, "integer", error);
        }
        return store_number(property, object, owner, json_node_get_int(node),
                            error);
    case PROPERTY_ID:
    case PROPERTY_STRING:
    case PROPERTY_LINK:
        break;
    }
    if (type != G_TYPE_STRING) {
        return fail_json_type(property, "string", error);
    }
    return store_string(property, object, json_node_get_string(node));
}

bool property_set(const Property *property, void *object, const char *owner,
                  const QemuOpt *opt, GError **error)
{
    return opt->json
        ? set_json(property, object, owner, opt->json, error)
        : set_text(property, object, owner, opt->text, error);
}
