/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The program from outside: streams, exit status and signals. Its path is in
 * the environment, as VPUMP.
 */
#include <errno.h>
#include <glib.h>
#include <json-glib/json-glib.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORDS_MAX = 10 };

typedef struct Outcome {
    char *out;
    char *err;
    int status;
} Outcome;

typedef char **ArgumentVector;

/* argv: the program and @words, which NULL ends. */
static ArgumentVector arguments(const char *const *words)
{
    ArgumentVector argv = g_new0(char *, WORDS_MAX + 2);

    argv[0] = g_strdup(g_getenv("VPUMP"));
    for (int i = 0; words[i]; i++) {
        g_assert_cmpint(i, <, WORDS_MAX);
        argv[i + 1] = g_strdup(words[i]);
    }
    return argv;
}

static Outcome run(const char *const *words)
{
    g_auto(GStrv) argv = arguments(words);
    GError *error = NULL;
    Outcome outcome;
    int status;

    g_spawn_sync(NULL, argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, &outcome.out,
                 &outcome.err, &status, &error);
    g_assert_no_error(error);
    g_assert_true(WIFEXITED(status));
    outcome.status = WEXITSTATUS(status);
    return outcome;
}

static void outcome_clear(Outcome *outcome)
{
    g_free(outcome->out);
    g_free(outcome->err);
}

static void test_help_goes_to_stdout(void)
{
    static const struct {
        const char *words[3];
        const char *begin;
    } cases[] = {
        { { "-help" }, "usage: vpump" },
        { { "--help" }, "usage: vpump" },
        { { "--version" }, "vpump version " },
        { { "-device", "help" }, "Misc devices:\n" },
        { { "-device", "arm-smmuv3,help" }, "arm-smmuv3 options:\n" },
        { { "-object", "?" }, "List of user creatable objects:\n" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        Outcome outcome = run(cases[i].words);

        g_assert_cmpint(outcome.status, ==, 0);
        g_assert_true(g_str_has_prefix(outcome.out, cases[i].begin));
        g_assert_cmpstr(outcome.err, ==, "");
        outcome_clear(&outcome);
    }
}

static void test_errors_go_to_stderr(void)
{
    static const struct {
        const char *words[3];
        const char *err;
    } cases[] = {
        { { "-device", "foo" },
          "vpump: -device foo: 'foo' is not a valid device model name\n"
          "accepted: arm-smmuv3, emulated-pci\n" },
        { { "-duration" },
          "vpump: -duration: requires an argument: SECONDS, 0 until "
          "interrupted\n" },
        { { "-report", "/nonexistent/r.json" },
          "vpump: -report /nonexistent/r.json: cannot be written: No such file "
          "or directory\n" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        Outcome outcome = run(cases[i].words);

        g_assert_cmpint(outcome.status, ==, 1);
        g_assert_cmpstr(outcome.out, ==, "");
        g_assert_cmpstr(outcome.err, ==, cases[i].err);
        outcome_clear(&outcome);
    }
}

static void test_report_to_stdout_stands_alone(void)
{
    static const char *const words[] = { "-duration", "0.2", "-load", "5000",
                                         "-report", "-", NULL };
    Outcome outcome = run(words);
    g_autoptr(JsonParser) parser = json_parser_new();
    JsonObject *root;

    g_assert_cmpint(outcome.status, ==, 0);
    g_assert_true(json_parser_load_from_data(parser, outcome.out, -1, NULL));
    root = json_node_get_object(json_parser_get_root(parser));
    g_assert_true(json_object_get_boolean_member(root, "balanced"));
    g_assert_cmpuint(
        json_array_get_length(json_object_get_array_member(root, "viommus")),
        ==, 2);
    g_assert_nonnull(strstr(outcome.err, "generated"));
    outcome_clear(&outcome);
}

static void test_full_disk_fails(void)
{
    static const char *const words[] = { "-duration", "0.1", "-quiet",
                                         "-report", "/dev/full", NULL };
    Outcome outcome = run(words);

    g_assert_cmpint(outcome.status, ==, 1);
    g_assert_cmpstr(outcome.err, ==,
                    "vpump: -report /dev/full: cannot be written: No space "
                    "left on device\n");
    outcome_clear(&outcome);
}

/* Start a run without end, and wait until it has printed something. */
static GPid start_endless(int *out)
{
    static const char *const words[] = { "-duration", "0", "-load", "1000",
                                         NULL };
    g_auto(GStrv) argv = arguments(words);
    GError *error = NULL;
    char byte;
    GPid pid;

    g_spawn_async_with_pipes(NULL, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL,
                             NULL, &pid, NULL, out, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpint(read(*out, &byte, 1), ==, 1);
    return pid;
}

/* Read the rest, as the program would block if nobody did, and reap it. */
static int finish(GPid pid, int out)
{
    char buf[4096];
    int status;

    while (read(out, buf, sizeof(buf)) > 0) {
    }
    close(out);
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_signal_ends_in_order(void)
{
    static const int signals[] = { SIGINT, SIGTERM };

    for (size_t i = 0; i < G_N_ELEMENTS(signals); i++) {
        int out;
        GPid pid = start_endless(&out);

        kill(pid, signals[i]);
        g_assert_cmpint(finish(pid, out), ==, 0);
    }
}

/* Stopped meanwhile, so that both are there when it goes on. */
static void test_second_signal_ends_at_once(void)
{
    int out;
    GPid pid = start_endless(&out);

    kill(pid, SIGSTOP);
    kill(pid, SIGINT);
    kill(pid, SIGTERM);
    kill(pid, SIGCONT);
    g_assert_cmpint(finish(pid, out), ==, 130);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vpump/help-goes-to-stdout", test_help_goes_to_stdout);
    g_test_add_func("/vpump/errors-go-to-stderr", test_errors_go_to_stderr);
    g_test_add_func("/vpump/report-to-stdout-stands-alone",
                    test_report_to_stdout_stands_alone);
    g_test_add_func("/vpump/full-disk-fails", test_full_disk_fails);
    g_test_add_func("/vpump/signal-ends-in-order", test_signal_ends_in_order);
    g_test_add_func("/vpump/second-signal-ends-at-once",
                    test_second_signal_ends_at_once);
    return g_test_run();
}
