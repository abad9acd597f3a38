/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The lines on a terminal, which is a pty that the test reads.
 */
#include "command-line.h"
#include "run-view.h"

#include "base/rcu.h"
#include "base/report.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define UP "\033[1A"
#define ERASE "\033[K"
#define HEADING "vIOMMU events/s"

typedef struct Fixture {
    Config *config;
    Machine *machine;
    int master;
    FILE *out;
    RunView *view;
} Fixture;

static void resize(Fixture *f, int columns, int rows)
{
    struct winsize size = { .ws_col = columns, .ws_row = rows };

    g_assert_cmpint(ioctl(f->master, TIOCSWINSZ, &size), ==, 0);
}

static void setup(Fixture *f, gconstpointer term)
{
    static const Words words = { { "-device", "arm-smmuv3,id=s" } };
    GError *error = NULL;
    struct termios raw;

    g_setenv("TERM", term, TRUE);
    f->config = words_parse_good(&words);
    f->machine = machine_new(f->config, &error);
    g_assert_no_error(error);
    machine_start(f->machine, &error);
    g_assert_no_error(error);
    f->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    g_assert_cmpint(grantpt(f->master), ==, 0);
    g_assert_cmpint(unlockpt(f->master), ==, 0);
    f->out = fopen(ptsname(f->master), "we");
    g_assert_nonnull(f->out);
    /* No carriage returns are added. */
    g_assert_cmpint(tcgetattr(fileno(f->out), &raw), ==, 0);
    cfmakeraw(&raw);
    tcsetattr(fileno(f->out), TCSANOW, &raw);
    resize(f, 200, 24);
    f->view = run_view_new(f->machine, f->out);
}

static void teardown(Fixture *f, gconstpointer term)
{
    run_view_free(f->view);
    fclose(f->out);
    close(f->master);
    machine_free(f->machine);
    config_free(f->config);
}

/* A pty hands over what was written when it likes, and in parts. */
static void read_lines(Fixture *f, char *text, size_t size, int lines)
{
    size_t len = 0;

    while (lines > 0) {
        g_assert_cmpuint(len, <, size - 1);
        g_assert_cmpint(read(f->master, text + len, 1), ==, 1);
        lines -= text[len++] == '\n';
    }
    text[len] = '\0';
}

/* One update must print the heading or not, @start, and one line for s. */
static void expect_update(Fixture *f, bool heading, const char *start)
{
    char text[4096];
    const char *line = text;

    run_view_update(f->view);
    read_lines(f, text, sizeof(text), heading ? 2 : 1);
    g_assert_cmpint(g_str_has_prefix(line, HEADING), ==, heading);
    if (heading) {
        line = strchr(line, '\n') + 1;
    }
    g_assert_true(g_str_has_prefix(line, start));
    line += strlen(start);
    g_assert_true(g_str_has_prefix(line, "s  "));
}

static void test_redraws_in_place(Fixture *f, gconstpointer term)
{
    expect_update(f, true, ERASE);
    expect_update(f, false, UP ERASE);
    expect_update(f, false, UP ERASE);
}

/* What a message has pushed up is not gone back to. */
static void test_message_starts_anew(Fixture *f, gconstpointer term)
{
    expect_update(f, true, ERASE);
    info_report("for the test");
    expect_update(f, true, ERASE);
    expect_update(f, false, UP ERASE);
}

static void test_width_is_taken_at_each_update(Fixture *f, gconstpointer term)
{
    expect_update(f, true, ERASE);
    resize(f, 79, 24);
    expect_update(f, false, "");
    resize(f, 80, 24);
    expect_update(f, true, ERASE);
    expect_update(f, false, UP ERASE);
    resize(f, 80, 1);
    expect_update(f, false, "");
}

static void test_dumb_terminal_scrolls(Fixture *f, gconstpointer term)
{
    expect_update(f, true, "");
    for (int i = 1; i < 20; i++) {
        expect_update(f, false, "");
    }
    expect_update(f, true, "");
}

/* A chroot or a container may lack them. */
static bool has_terminals(void)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    bool granted = master >= 0 && grantpt(master) == 0;

    if (master >= 0) {
        close(master);
    }
    return granted;
}

#define ADD(path, term, test) \
    g_test_add("/run-view/" path, Fixture, term, setup, test, teardown)

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    if (!has_terminals()) {
        puts("1..0 # SKIP no pseudo-terminal to be had: is devpts mounted?");
        return 0;
    }
    rcu_register_thread();
    ADD("redraws-in-place", "xterm", test_redraws_in_place);
    ADD("message-starts-anew", "xterm", test_message_starts_anew);
    ADD("width-is-taken-at-each-update", "xterm",
        test_width_is_taken_at_each_update);
    ADD("dumb-terminal-scrolls", "dumb", test_dumb_terminal_scrolls);
    ret = g_test_run();
    rcu_unregister_thread();
    return ret;
}
