/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A command line as a row of a table, for the tests of vpump's options.
 *
 * Threads: any; pure.
 */
#ifndef TESTS_COMMAND_LINE_H
#define TESTS_COMMAND_LINE_H

#include "options.h"

enum { WORDS_MAX = 20 };

/* Without the program's name; NULL ends. */
typedef struct Words {
    const char *word[WORDS_MAX];
} Words;

static inline OptionsResult words_parse(const Words *words, Config *config,
                                        char **text, GError **error)
{
    char *argv[WORDS_MAX + 2] = { (char *)"vpump" };
    int argc = 1;

    while (argc <= WORDS_MAX && words->word[argc - 1]) {
        argv[argc] = (char *)words->word[argc - 1];
        argc++;
    }
    return options_parse(argc, argv, config, text, error);
}

/* What must be accepted. */
static inline Config *words_parse_good(const Words *words)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    Config *config = config_new();
    OptionsResult result = words_parse(words, config, &text, &error);

    g_assert_no_error(error);
    g_assert_cmpint(result, ==, OPTIONS_RUN);
    g_assert_null(text);
    return config;
}

#endif
