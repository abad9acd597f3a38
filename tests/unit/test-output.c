/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The program's streams and its report: closed, full, without a reader.
 */
#include "vpump-process.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* A name for a file that the test makes and removes. */
static char *new_path(void)
{
    char *path = NULL;
    GError *error = NULL;
    int fd = g_file_open_tmp("vpump-XXXXXX", &path, &error);

    g_assert_no_error(error);
    close(fd);
    g_unlink(path);
    return path;
}

static char *read_and_remove(const char *path)
{
    char *text = NULL;
    GError *error = NULL;

    g_file_get_contents(path, &text, NULL, &error);
    g_assert_no_error(error);
    g_unlink(path);
    return text;
}

/* Runs in the child. */
static void close_fd(gpointer opaque)
{
    close(GPOINTER_TO_INT(opaque));
}

/* The program's own descriptors must not take the place of a closed one. */
static void test_closed_stream_is_not_reused(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        g_autofree char *path = new_path();
        const char *const words[] = { "-duration", "1.1", "-load", "1000",
                                      "-report", path, NULL };
        Outcome outcome = vpump_run_with(words, close_fd, GINT_TO_POINTER(fd));
        g_autofree char *report = read_and_remove(path);

        g_assert_true(report_is_balanced(report));
        g_assert_cmpint(outcome.status, ==, fd == STDOUT_FILENO);
        g_assert_cmpstr(outcome.err, ==,
                        fd == STDOUT_FILENO
                            ? "vpump: stdout: cannot be written: Bad file "
                              "descriptor\n"
                            : "");
        outcome_clear(&outcome);
    }
}

static void test_closed_stdout_without_output_is_fine(void)
{
    static const char *const words[] = { "-duration", "0.1", "-quiet", NULL };
    Outcome outcome = vpump_run_with(words, close_fd,
                                     GINT_TO_POINTER(STDOUT_FILENO));

    g_assert_cmpint(outcome.status, ==, 0);
    g_assert_cmpstr(outcome.err, ==, "");
    outcome_clear(&outcome);
}

/* Runs in the child. */
static void stdout_to_full_disk(gpointer opaque)
{
    dup2(open("/dev/full", O_WRONLY | O_CLOEXEC), STDOUT_FILENO);
}

static void test_full_stdout_fails(void)
{
    static const char *const cases[][5] = {
        { "-help" }, { "--version" }, { "-device", "help" },
        { "-duration", "0.1" }, { "-duration", "1.1", "-load", "100" },
        { "-duration", "0.1", "-report", "-" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        Outcome outcome = vpump_run_with(cases[i], stdout_to_full_disk, NULL);

        g_assert_cmpint(outcome.status, ==, 1);
        g_assert_true(g_str_has_suffix(
            outcome.err, "vpump: stdout: cannot be written: No space left on "
                         "device\n"));
        outcome_clear(&outcome);
    }
}

static void test_full_disk_for_report_fails(void)
{
    static const char *const words[] = { "-duration", "0.1", "-quiet",
                                         "-report", "/dev/full", NULL };
    Outcome outcome = vpump_run(words);

    g_assert_cmpint(outcome.status, ==, 1);
    g_assert_cmpstr(outcome.err, ==,
                    "vpump: -report /dev/full: cannot be written: No space "
                    "left on device\n");
    outcome_clear(&outcome);
}

/* Runs in the child. */
static void set_fd_limit(gpointer opaque)
{
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = GPOINTER_TO_INT(opaque);
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* Until there is a new report the old one stays; then nothing of it is left. */
static void test_old_report_stays_until_there_is_a_new_one(void)
{
    g_autofree char *path = new_path();
    g_autofree char *old = g_strnfill(100000, 'x');
    g_autofree char *text = NULL;
    const char *const words[] = { "-duration", "0.1", "-quiet", "-report", path,
                                  NULL };
    Outcome outcome;

    g_assert_true(g_file_set_contents(path, old, -1, NULL));
    outcome = vpump_run_with(words, set_fd_limit, GINT_TO_POINTER(12));
    g_assert_cmpint(outcome.status, ==, 1);
    g_assert_nonnull(strstr(outcome.err, "ulimit -n is 12"));
    outcome_clear(&outcome);
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, old);
    g_free(text);

    outcome = vpump_run(words);
    g_assert_cmpint(outcome.status, ==, 0);
    outcome_clear(&outcome);
    text = read_and_remove(path);
    g_assert_true(report_is_balanced(text));
}

static void test_report_to_fifo_needs_a_reader(void)
{
    g_autofree char *path = new_path();
    const char *const words[] = { "-duration", "0.1", "-quiet", "-report", path,
                                  NULL };
    g_autofree char *expected = g_strdup_printf(
        "vpump: -report %s: cannot be written: nobody reads it\n"
        "a FIFO needs a reader before the run\n", path);
    char text[8192] = { 0 };
    Outcome outcome;
    int fd;

    g_assert_cmpint(mkfifo(path, 0600), ==, 0);
    outcome = vpump_run(words);
    g_assert_cmpint(outcome.status, ==, 1);
    g_assert_cmpstr(outcome.err, ==, expected);
    outcome_clear(&outcome);

    fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    outcome = vpump_run(words);
    g_assert_cmpint(outcome.status, ==, 0);
    outcome_clear(&outcome);
    g_assert_cmpint(read(fd, text, sizeof(text) - 1), >, 0);
    g_assert_true(report_is_balanced(text));
    close(fd);
    g_unlink(path);
}

static void test_report_to_stdout_stands_alone(void)
{
    static const char *const words[] = { "-duration", "0.2", "-load", "5000",
                                         "-report", "-", NULL };
    Outcome outcome = vpump_run(words);

    g_assert_cmpint(outcome.status, ==, 0);
    g_assert_true(report_is_balanced(outcome.out));
    g_assert_nonnull(strstr(outcome.err, "generated"));
    outcome_clear(&outcome);
}

static void test_quiet_prints_nothing(void)
{
    static const char *const words[] = { "-duration", "1.1", "-load", "100",
                                         "-quiet", NULL };
    Outcome outcome = vpump_run(words);

    g_assert_cmpint(outcome.status, ==, 0);
    g_assert_cmpstr(outcome.out, ==, "");
    g_assert_cmpstr(outcome.err, ==, "");
    outcome_clear(&outcome);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/output/closed-stream-is-not-reused",
                    test_closed_stream_is_not_reused);
    g_test_add_func("/output/closed-stdout-without-output-is-fine",
                    test_closed_stdout_without_output_is_fine);
    g_test_add_func("/output/full-stdout-fails", test_full_stdout_fails);
    g_test_add_func("/output/full-disk-for-report-fails",
                    test_full_disk_for_report_fails);
    g_test_add_func("/output/old-report-stays-until-there-is-a-new-one",
                    test_old_report_stays_until_there_is_a_new_one);
    g_test_add_func("/output/report-to-fifo-needs-a-reader",
                    test_report_to_fifo_needs_a_reader);
    g_test_add_func("/output/report-to-stdout-stands-alone",
                    test_report_to_stdout_stands_alone);
    g_test_add_func("/output/quiet-prints-nothing", test_quiet_prints_nothing);
    return g_test_run();
}
