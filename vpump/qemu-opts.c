/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * No text of keys and values is malformed: whether a key is known, and needs a
 * value, is for its reader to say. JSON can be, and its parser recurses.
 */
#include "qemu-opts.h"

#include "base/error.h"

#include <string.h>

/* No option of ours nests; deeper text would only exhaust the JSON parser. */
#define JSON_DEPTH_MAX 16

static void qemu_opt_free(void *opaque)
{
    QemuOpt *opt = opaque;

    g_free(opt->key);
    g_free(opt->text);
    g_clear_pointer(&opt->json, json_node_unref);
    g_free(opt);
}

/* @key is given. */
static QemuOpt *qemu_opt_add(QemuOpts *opts, char *key)
{
    QemuOpt *opt = g_new0(QemuOpt, 1);

    opt->key = key;
    g_ptr_array_add(opts, opt);
    return opt;
}

/* Up to a single comma; two stand for one. Moves @pos behind the value. */
static char *take_value(const char **pos)
{
    GString *value = g_string_new(NULL);
    const char *p = *pos;

    for (; *p; p++) {
        if (*p == ',') {
            if (p[1] != ',') {
                break;
            }
            p++;
        }
        g_string_append_c(value, *p);
    }
    *pos = *p ? p + 1 : p;
    return g_string_free(value, FALSE);
}

QemuOpts *qemu_opts_parse_keyval(const char *argument,
                                 const char *implied_key)
{
    QemuOpts *opts = g_ptr_array_new_with_free_func(qemu_opt_free);
    const char *pos = argument;

    while (*pos) {
        size_t key_len = strcspn(pos, "=,");

        if (pos[key_len] == '=') {
            QemuOpt *opt = qemu_opt_add(opts, g_strndup(pos, key_len));

            pos += key_len + 1;
            opt->text = take_value(&pos);
        } else if (pos == argument) {
            qemu_opt_add(opts, g_strdup(implied_key))->text = take_value(&pos);
        } else {
            qemu_opt_add(opts, take_value(&pos));
        }
    }
    return opts;
}

/* Past the string that begins at @p: its last '"', or the end of the text. */
static const char *skip_string(const char *p)
{
    for (p++; *p && *p != '"'; p++) {
        if (*p == '\\' && p[1]) {
            p++;
        }
    }
    return p;
}

/*
 * JSON-GLib recurses as deep as it is told, takes comments, and of several
 * values the last, for which it leaks those before it.
 *
 * Return: what is too much in @text, or NULL.
 */
static const char *json_find_excess(const char *text)
{
    int depth = 0;

    for (const char *p = text; *p; p++) {
        if (p != text && depth == 0 && !g_ascii_isspace(*p)) {
            return "there is more after the object";
        }
        if (*p == '"') {
            p = skip_string(p);
            if (!*p) {
                break;
            }
        } else if (*p == '/') {
            return "there are no comments in JSON";
        } else if (*p == '{' || *p == '[') {
            if (++depth > JSON_DEPTH_MAX) {
                return "nested more than " G_STRINGIFY(JSON_DEPTH_MAX) " deep";
            }
        } else if (*p == '}' || *p == ']') {
            depth--;
        }
    }
    return NULL;
}

static QemuOpts *parse_json(const char *argument, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new_immutable();
    g_autoptr(GError) reason = NULL;
    QemuOpts *opts;
    JsonObjectIter iter;
    const char *excess = json_find_excess(argument);
    const char *name;
    JsonNode *value;

    if (excess) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "JSON parse error, %s", excess);
        return NULL;
    }
    if (!json_parser_load_from_data(parser, argument, -1, &reason)) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "JSON parse error, %s", reason->message);
        return NULL;
    }

    opts = g_ptr_array_new_with_free_func(qemu_opt_free);
    json_object_iter_init_ordered(
        &iter, json_node_get_object(json_parser_get_root(parser)));
    while (json_object_iter_next_ordered(&iter, &name, &value)) {
        qemu_opt_add(opts, g_strdup(name))->json = json_node_ref(value);
    }
    return opts;
}

QemuOpts *qemu_opts_parse(const char *argument, const char *implied_key,
                          GError **error)
{
    if (argument[0] == '{') {
        return parse_json(argument, error);
    }
    return qemu_opts_parse_keyval(argument, implied_key);
}

const QemuOpt *qemu_opts_find(const QemuOpts *opts, const char *key)
{
    for (unsigned i = opts->len; i > 0; i--) {
        const QemuOpt *opt = opts->pdata[i - 1];

        if (strcmp(opt->key, key) == 0) {
            return opt;
        }
    }
    return NULL;
}

bool qemu_opts_is_help(const char *word)
{
    return strcmp(word, "help") == 0 || strcmp(word, "?") == 0;
}

bool qemu_opts_has_help(const QemuOpts *opts)
{
    for (unsigned i = 0; i < opts->len; i++) {
        const QemuOpt *opt = opts->pdata[i];

        if (!opt->text && !opt->json && qemu_opts_is_help(opt->key)) {
            return true;
        }
    }
    return false;
}
