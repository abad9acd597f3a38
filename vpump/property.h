/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Property: one typed, named field of something that the command line makes.
 * A table of them says all there is to parse, to check and to print as help.
 *
 * Threads: any; pure.
 */
#ifndef VPUMP_PROPERTY_H
#define VPUMP_PROPERTY_H

#include "qemu-opts.h"

#include <stddef.h>
#include <stdint.h>

/**
 * enum PropertyKind - the field's type in C, and how its text is read
 * @PROPERTY_BOOL: bool
 * @PROPERTY_INT: int64_t
 * @PROPERTY_UNSIGNED: unsigned
 * @PROPERTY_ID: char *, owned: a name for the thing itself, which it was made
 *               with; property_set() leaves the check of it to the maker
 * @PROPERTY_STRING: char *, owned: any text
 * @PROPERTY_LINK: char *, owned: the id of another thing; config_complete()
 *                 checks it
 */
typedef enum PropertyKind {
    PROPERTY_BOOL,
    PROPERTY_INT,
    PROPERTY_UNSIGNED,
    PROPERTY_ID,
    PROPERTY_STRING,
    PROPERTY_LINK,
} PropertyKind;

/* What a link may lead to; config.h has it. */
struct ConfigType;

/**
 * struct Property - one row of a table
 * @name: the key
 * @kind: how it is read and stored
 * @offset: where, from the start of the structure
 * @min, @max: bounds of a number; @min of a bool is its only value if @max is
 *             the same
 * @step: of the numbers from @min on, only each @step-th; 0 for all
 * @takes_auto: the word "auto" leaves the default
 * @alias_of: name of the row that this one is an older spelling of; given
 *            together, that one counts. NULL for a row of its own
 * @targets: of a link: the types that it may lead to; NULL ends
 * @required: of a link: it must be given
 * @accepts: completes "Parameter 'X' expects …"
 * @type_name: in help, between the angle brackets
 * @description: in help
 * @default_text: in help; NULL for none
 */
typedef struct Property {
    const char *name;
    PropertyKind kind;
    size_t offset;
    int64_t min;
    int64_t max;
    int64_t step;
    bool takes_auto;
    const char *alias_of;
    const struct ConfigType *const *targets;
    bool required;
    const char *accepts;
    const char *type_name;
    const char *description;
    const char *default_text;
} Property;

/**
 * property_set() - store the value of @opt, text or JSON, in @object
 * @owner: name of the type that @property belongs to, for messages
 *
 * A JSON value must have the property's type; text is converted. Where "auto"
 * is a value, JSON may also have the text form in a string.
 *
 * Return: false, @object unchanged and @error set: the parameter and what it
 * takes, in QEMU's words; a second line may hold a hint.
 */
bool property_set(const Property *property, void *object, const char *owner,
                  const QemuOpt *opt, GError **error);

/* First a letter, then letters, digits, '-', '.' and '_'. */
bool property_id_wellformed(const char *id);

/**
 * property_parse_number() - decimal, or hexadecimal after "0x"; may be negative
 * @value: written on success only
 *
 * Return: 0, -EINVAL if @text is no number, -ERANGE if it is beyond int64_t.
 */
int property_parse_number(const char *text, int64_t *value);

/* Of a descriptor, in the same spellings. Return: -1 if @text is none. */
int property_parse_fd(const char *text);

#endif
