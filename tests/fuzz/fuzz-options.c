/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A command line: words, each ended by a NUL, to options_parse(). A word that
 * is the value of -object or -device may be JSON.
 *
 * Checked: it is one of the three results, and only that. A Config is one that
 * the tables of properties allow: numbers in their ranges, links that lead to
 * what they may, IDs that are unique. An error is a line of text that begins
 * with what is at fault, and perhaps a second one.
 */
#include "fuzz-input.h"

#include "base/error.h"
#include "base/report.h"
#include "message-log.h"
#include "options.h"

#include <string.h>

#define WORDS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* ---- A Config ---- */

static void check_number(const Property *property, int64_t value)
{
    g_assert_cmpint(value, >=, property->min);
    g_assert_cmpint(value, <=, property->max);
    if (property->step) {
        g_assert_cmpint((value - property->min) % property->step, ==, 0);
    }
}

static void check_link(const Config *config, const Property *property,
                       const char *id)
{
    const ConfigType *const *target = property->targets;
    const ConfigEntry *found;

    if (!id) {
        g_assert_false(property->required);
        return;
    }
    found = config_find(config, (*target)->list, id);
    g_assert_nonnull(found);
    while (*target && *target != found->type) {
        target++;
    }
    g_assert_nonnull(*target);
}

static void check_property(const Config *config, const ConfigEntry *entry,
                           const Property *property)
{
    const void *at = (const char *)entry + property->offset;

    switch (property->kind) {
    case PROPERTY_BOOL:
        /* A row with one value only has no other. */
        g_assert_true(property->min != property->max ||
                      *(const bool *)at == property->min);
        break;
    case PROPERTY_INT:
        check_number(property, *(const int64_t *)at);
        break;
    case PROPERTY_UNSIGNED:
        check_number(property, *(const unsigned *)at);
        break;
    case PROPERTY_LINK:
        check_link(config, property, *(char *const *)at);
        break;
    case PROPERTY_ID:
    case PROPERTY_STRING:
        break;
    }
}

static void check_entry(const Config *config, ConfigList list,
                        const ConfigEntry *entry)
{
    const ConfigType *type = entry->type;

    g_assert_cmpint(type->list, ==, list);
    g_assert_true(property_id_wellformed(entry->id));
    g_assert_true(config_find(config, list, entry->id) == entry);
    for (size_t i = 0; i < type->property_count; i++) {
        check_property(config, entry, &type->properties[i]);
    }
    if (type->role == CONFIG_ROLE_VIOMMU) {
        const ViommuEntry *viommu = (const ViommuEntry *)entry;

        g_assert_nonnull(config_find(config, CONFIG_OBJECTS, viommu->iothread));
    }
}

/* Behind one vIOMMU each has a name of its own. */
static void check_sid(const Config *config, const EndpointEntry *endpoint)
{
    const GPtrArray *devices = config->lists[CONFIG_DEVICES];

    g_assert_nonnull(config_viommu_of(config, endpoint));
    g_assert_cmpint(endpoint->sid, !=, CONFIG_SID_AUTO);
    for (unsigned i = 0; i < devices->len; i++) {
        const ConfigEntry *entry = devices->pdata[i];
        const EndpointEntry *other = devices->pdata[i];

        if (entry->type->role == CONFIG_ROLE_ENDPOINT && other != endpoint &&
            strcmp(other->viommu, endpoint->viommu) == 0) {
            g_assert_cmpint(other->sid, !=, endpoint->sid);
        }
    }
}

static void check_config(const Config *config)
{
    g_assert_cmpint(config->duration_ns, >=, 0);
    for (ConfigList list = CONFIG_OBJECTS; list <= CONFIG_DEVICES; list++) {
        const GPtrArray *entries = config->lists[list];

        for (unsigned i = 0; i < entries->len; i++) {
            const ConfigEntry *entry = entries->pdata[i];

            check_entry(config, list, entry);
            if (entry->type->role == CONFIG_ROLE_ENDPOINT) {
                check_sid(config, entries->pdata[i]);
            }
        }
    }
    /* Without any there is the default machine. */
    g_assert_cmpuint(config->lists[CONFIG_DEVICES]->len, >, 0);
}

/* ---- Text ---- */

/* Text for a terminal: no control character but the ends of lines. */
static void check_text(const char *text)
{
    g_assert_true(g_utf8_validate(text, -1, NULL));
    g_assert_cmpuint(text[0], !=, '\0');
    for (const char *p = text; *p; p = g_utf8_next_char(p)) {
        g_assert_true(*p == '\n' || !g_unichar_iscntrl(g_utf8_get_char(p)));
    }
}

static unsigned count_char(const char *text, char c)
{
    unsigned count = 0;

    for (; *text; text++) {
        count += *text == c;
    }
    return count;
}

/* As main() reports it. @error: given */
static void check_error(GError *error, GPtrArray *words)
{
    unsigned own_lines = 0;
    const char *message;

    g_assert_true(error->domain == VIOMMU_ERROR);
    error_report_err(error);
    g_assert_cmpuint(message_log_count(), ==, 1);
    message = message_log_get(0);
    check_text(message);
    /* What is at fault comes first: an option, or the word that is none. */
    g_assert_true(message[0] == '-' || message[0] == '\'' ||
                  g_str_has_prefix(message, "default machine"));
    g_assert_nonnull(strstr(message, ": "));
    /* More lines than two are those of a word that is shown. */
    for (unsigned i = 0; i < words->len && words->pdata[i]; i++) {
        own_lines += count_char(words->pdata[i], '\n');
    }
    if (own_lines == 0) {
        const char *hint = strchr(message, '\n');

        g_assert_true(!hint || (hint[1] && !strchr(hint + 1, '\n')));
    }
}

/* ---- The input ---- */

static GPtrArray *split(const uint8_t *data, size_t size)
{
    GPtrArray *words = g_ptr_array_new_with_free_func(g_free);

    g_ptr_array_add(words, g_strdup("vpump"));
    while (size > 0 && words->len < WORDS_MAX) {
        const uint8_t *end = memchr(data, 0, size);
        size_t len = end ? (size_t)(end - data) : size;

        g_ptr_array_add(words, g_strndup((const char *)data, len));
        len += end != NULL;
        data += len;
        size -= len;
    }
    g_ptr_array_add(words, NULL);
    return words;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GPtrArray) words = split(data, size);
    g_autoptr(Config) config = config_new();
    g_autofree char *text = NULL;
    GError *error = NULL;
    OptionsResult result = options_parse(words->len - 1, (char **)words->pdata,
                                         config, &text, &error);

    message_log_start();
    g_assert_true((result == OPTIONS_ERROR) == (error != NULL));
    g_assert_true((result == OPTIONS_PRINT) == (text != NULL));
    switch (result) {
    case OPTIONS_RUN:
        check_config(config);
        for (unsigned i = 0; i < config->warnings->len; i++) {
            warn_report("%s", (const char *)config->warnings->pdata[i]);
            check_text(message_log_get(i));
        }
        break;
    case OPTIONS_PRINT:
        check_text(text);
        break;
    case OPTIONS_ERROR:
        check_error(error, words);
        break;
    }
    message_log_stop();
    return 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    /* A warning of GLib's or JSON-GLib's is a finding, too. */
    g_log_set_always_fatal(G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL |
                           G_LOG_LEVEL_WARNING);
    return 0;
}
