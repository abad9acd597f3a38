/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Passes if a program with a planted bug is found out: it must end in the given
 * way, and what it says must match. (GLib of Debian 13 has a fatal message on
 * stdout, that of Debian 12 on stderr.) A test with should_fail would be content
 * with any other crash.
 *
 *   expect-report NAME END PATTERN PROGRAM [ARGUMENTS]
 *
 * END is an exit status, or SIG and the number of a signal; both that and
 * PATTERN are regular expressions; ARGUMENTS one word, with spaces between
 * them. Where bugs are planted by the linker (planted.c), NAME says which of
 * them the program has. ThreadSanitizer names no functions: for that it would
 * fork, and whoever closes a queue's fd meanwhile finds that the child holds it.
 * Goes by the runner's time limit, as a silent detector may mean a real deadlock.
 */
#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static char **command;           /* and its arguments */
static const char *wanted_end;
static const char *pattern;

static void keep_tsan_from_forking(void)
{
    const char *options = g_getenv("TSAN_OPTIONS");
    g_autofree char *more = g_strconcat(options ? options : "",
                                        ":symbolize=0", NULL);

    g_setenv("TSAN_OPTIONS", more, TRUE);
}

/* As END is written. */
static char *end_string(int status)
{
    return WIFSIGNALED(status) ? g_strdup_printf("SIG%d", WTERMSIG(status))
                               : g_strdup_printf("%d", WEXITSTATUS(status));
}

static void test_is_reported(void)
{
    g_autofree char *out = NULL;
    g_autofree char *err = NULL;
    g_autofree char *said = NULL;
    g_autofree char *end = NULL;
    GError *error = NULL;
    int status;

    g_spawn_sync(NULL, command, NULL, G_SPAWN_DEFAULT, NULL, NULL, &out, &err,
                 &status, &error);
    g_assert_no_error(error);
    end = end_string(status);
    said = g_strconcat(out, "\n", err, NULL);
    if (!g_regex_match_simple(wanted_end, end, 0, 0) ||
        !g_regex_match_simple(pattern, said, 0, 0)) {
        g_printerr("%s\n%s\n", said, end);
    }
    g_assert_true(g_regex_match_simple(wanted_end, end, 0, 0));
    g_assert_true(g_regex_match_simple(pattern, said, 0, 0));
}

int main(int argc, char **argv)
{
    g_autofree char *path = NULL;
    g_auto(GStrv) words = NULL;

    g_test_init(&argc, &argv, NULL);
    if (argc < 5 || argc > 6) {
        g_printerr("expect-report NAME END PATTERN PROGRAM [ARGUMENTS]\n");
        return 2;
    }
    path = g_strdup_printf("/stress/%s/is-reported", argv[1]);
    g_setenv("STRESS_PLANTED", argv[1], TRUE);
    keep_tsan_from_forking();
    wanted_end = g_strdup_printf("^(%s)$", argv[2]);
    pattern = argv[3];
    words = g_strsplit(argc == 6 ? argv[5] : "", " ", 0);
    command = g_new0(char *, g_strv_length(words) + 2);
    command[0] = argv[4];
    memcpy(&command[1], words, g_strv_length(words) * sizeof(*words));
    g_test_add_func(path, test_is_reported);
    return g_test_run();
}
