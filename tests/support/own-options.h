/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A test program's own options, beside those of g_test_init().
 *
 * Threads: main().
 * Locks:   none.
 */
#ifndef TESTS_SUPPORT_OWN_OPTIONS_H
#define TESTS_SUPPORT_OWN_OPTIONS_H

#include <glib.h>
#include <stdlib.h>

/**
 * own_options_parse() - take them from the command line, or exit
 *
 * To be called before g_test_init(), which knows another --seed.
 */
static inline void own_options_parse(const GOptionEntry *options, int *argc,
                                     char ***argv)
{
    GOptionContext *context = g_option_context_new(NULL);
    g_autoptr(GError) error = NULL;

    g_option_context_add_main_entries(context, options, NULL);
    g_option_context_set_ignore_unknown_options(context, TRUE);
    g_option_context_set_help_enabled(context, FALSE);
    if (!g_option_context_parse(context, argc, argv, &error)) {
        g_printerr("%s\n", error->message);
        exit(2);
    }
    g_option_context_free(context);
}

#endif
