/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * QEMU's option syntax taken apart: key=value,key=value with ",," for a comma
 * and a first key that may be implied, or a JSON object in its place. What the
 * keys mean is for others to say.
 *
 * Threads: any; pure.
 */
#ifndef VPUMP_QEMU_OPTS_H
#define VPUMP_QEMU_OPTS_H

#include <json-glib/json-glib.h>
#include <stdbool.h>

/**
 * struct QemuOpt - one key
 * @key: without its value
 * @text: what followed '='; NULL for a key that stands alone, and in JSON
 * @json: the member's value; NULL outside JSON
 */
typedef struct QemuOpt {
    char *key;
    char *text;
    JsonNode *json;
} QemuOpt;

/* A list of QemuOpt, in the order in which they were written. */
typedef GPtrArray QemuOpts;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuOpts, g_ptr_array_unref)

/**
 * qemu_opts_parse_keyval() - split key=value,key=value
 * @implied_key: what a first part without '=' is the value of
 *
 * Return: the list, to be given to g_ptr_array_unref(); no text is malformed.
 */
QemuOpts *qemu_opts_parse_keyval(const char *argument,
                                 const char *implied_key);

/**
 * qemu_opts_parse() - the same, or a JSON object if @argument begins with '{'
 *
 * Return: as above, or NULL and @error set if the JSON text is malformed.
 */
QemuOpts *qemu_opts_parse(const char *argument, const char *implied_key,
                          GError **error);

/**
 * qemu_opts_find() - the value that counts: the last one given
 *
 * Return: borrowed from @opts, or NULL.
 */
const QemuOpt *qemu_opts_find(const QemuOpts *opts, const char *key);

/* Is @word what asks for help: "help" or "?" */
bool qemu_opts_is_help(const char *word);

/* Does a key that stands alone ask for help? */
bool qemu_opts_has_help(const QemuOpts *opts);

#endif
