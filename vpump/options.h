/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command line of vpump, in QEMU's syntax: argv to Config, no effects.
 *
 * Threads: any; pure.
 */
#ifndef VPUMP_OPTIONS_H
#define VPUMP_OPTIONS_H

#include "config.h"

/**
 * enum OptionsResult - what the command line asks for
 * @OPTIONS_RUN: a run, as the Config says
 * @OPTIONS_PRINT: a text on stdout, and nothing else
 * @OPTIONS_ERROR: nothing that we could do
 */
typedef enum OptionsResult {
    OPTIONS_RUN,
    OPTIONS_PRINT,
    OPTIONS_ERROR,
} OptionsResult;

/**
 * options_parse() - read @argv from its second string on
 * @config: new; filled and completed for %OPTIONS_RUN
 * @text: set for %OPTIONS_PRINT; to be given to g_free()
 * @error: set for %OPTIONS_ERROR, as "-opt ARGUMENT: MESSAGE", perhaps with a
 *         hint on a second line
 *
 * Options are read in order: the first that asks for help, or is wrong,
 * decides.
 */
OptionsResult options_parse(int argc, char **argv, Config *config, char **text,
                            GError **error);

#endif
