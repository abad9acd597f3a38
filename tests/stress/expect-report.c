/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Passes if a program with a planted bug is found out: it must end in the given
 * way, and what it says on stderr must match. A test with should_fail would be
 * content with any other crash.
 *
 *   expect-report NAME PROGRAM END PATTERN
 *
 * END is an exit status, or SIG and the number of a signal; PATTERN a regular
 * expression. Goes by the runner's time limit, as a silent detector may mean a
 * real deadlock.
 */
#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static const char *program;
static const char *wanted_end;
static const char *pattern;

/* As END is written. */
static char *end_string(int status)
{
    return WIFSIGNALED(status) ? g_strdup_printf("SIG%d", WTERMSIG(status))
                               : g_strdup_printf("%d", WEXITSTATUS(status));
}

static void test_is_reported(void)
{
    char *argv[] = { (char *)program, NULL };
    g_autofree char *out = NULL;
    g_autofree char *err = NULL;
    g_autofree char *end = NULL;
    GError *error = NULL;
    int status;

    g_spawn_sync(NULL, argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, &out, &err,
                 &status, &error);
    g_assert_no_error(error);
    end = end_string(status);
    if (strcmp(end, wanted_end) != 0 ||
        !g_regex_match_simple(pattern, err, 0, 0)) {
        g_printerr("%s\n%s\n", out, err);
    }
    g_assert_cmpstr(end, ==, wanted_end);
    g_assert_true(g_regex_match_simple(pattern, err, 0, 0));
}

int main(int argc, char **argv)
{
    g_autofree char *path = NULL;

    g_test_init(&argc, &argv, NULL);
    if (argc != 5) {
        g_printerr("expect-report NAME PROGRAM END PATTERN\n");
        return 2;
    }
    path = g_strdup_printf("/stress/%s/is-reported", argv[1]);
    program = argv[2];
    wanted_end = argv[3];
    pattern = argv[4];
    g_test_add_func(path, test_is_reported);
    return g_test_run();
}
