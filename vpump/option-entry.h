/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The arguments of -object and -device: TYPE,id=ID,PROPERTY=VALUE or JSON, and
 * their help.
 *
 * Threads: any; pure.
 */
#ifndef VPUMP_OPTION_ENTRY_H
#define VPUMP_OPTION_ENTRY_H

#include "options.h"

/**
 * option_entry_apply() - add what @argument asks for to @config
 * @list: which of the two options it is
 * @text: set for %OPTIONS_PRINT; to be given to g_free()
 *
 * Links to other entries are not followed yet: those may come later.
 *
 * Return: %OPTIONS_ERROR with @error set, without the option's name; @config
 * then is fit for config_free() only.
 */
OptionsResult option_entry_apply(Config *config, ConfigList list,
                                 const char *argument, char **text,
                                 GError **error);

#endif
