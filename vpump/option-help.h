/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The texts that help options print, in QEMU's forms.
 *
 * Threads: any; pure.
 */
#ifndef VPUMP_OPTION_HELP_H
#define VPUMP_OPTION_HELP_H

#include "config.h"

/* All return text that ends in a newline, to be given to g_free(). */

/* -help */
char *option_help_program(void);

/* -version */
char *option_help_version(void);

/* -object help, -device help */
char *option_help_list(ConfigList list);

/* -object TYPE,help, -device TYPE,help */
char *option_help_type(const ConfigType *type);

#endif
