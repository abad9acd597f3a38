/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files that fill a Config share: the rows that several tables of
 * properties have, and the default machine.
 *
 * Threads: config.h.
 */
#ifndef VPUMP_CONFIG_INTERNAL_H
#define VPUMP_CONFIG_INTERNAL_H

#include "config.h"

#define CONFIG_STRING_OF(x) #x
#define CONFIG_NUMBER_TEXT(x) CONFIG_STRING_OF(x)
#define CONFIG_RANGE_TEXT(min, max) \
    CONFIG_NUMBER_TEXT(min) " to " CONFIG_NUMBER_TEXT(max)

/* Of every type, where it means the same. */
#define CONFIG_ID_PROPERTY                                                    \
    {                                                                         \
        .name = "id", .kind = PROPERTY_ID,                                    \
        .offset = offsetof(ConfigEntry, id), .type_name = "string",           \
        .accepts = "an identifier",                                           \
        .description = "name for other options and the report (required)",    \
    }

/* Of every vIOMMU. */
#define CONFIG_IOTHREAD_PROPERTY                                              \
    {                                                                         \
        .name = "iothread", .kind = PROPERTY_LINK,                            \
        .offset = offsetof(ViommuEntry, iothread),                            \
        .targets = config_link_iothread,                                      \
        .accepts = "the id of an iothread", .type_name = "link<iothread>",    \
        .description = "who pumps its events",                                \
        .default_text = "one of its own, <id>-iothread",                      \
    }

/* A number of our own descriptors, as text. */
#define CONFIG_FD_ACCEPTS "the number of a file descriptor"

/* Is @text one? Else @error is set, naming the property @name. */
bool config_check_fd(const char *name, const char *text, GError **error);

/* Of every device behind one. */
#define CONFIG_SID_PROPERTY                                                   \
    {                                                                         \
        .name = "sid", .kind = PROPERTY_INT,                                  \
        .offset = offsetof(EndpointEntry, sid), .max = UINT16_MAX,            \
        .accepts = "a number from 0 to 65535", .type_name = "uint16",         \
        .description = "StreamID or requester ID, the guest's name for it",   \
        .default_text = "the next multiple of 8 that is free",                \
    }

extern const ConfigType *const config_link_iothread[];

/* What the default machine's entries have for an option. */
extern const char config_default_origin[];

/**
 * config_add_default_machine() - what runs without -device
 *
 * Context: there are no devices yet, so no id can be taken.
 */
void config_add_default_machine(Config *config);

#endif
