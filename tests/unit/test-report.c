/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/error.h"
#include "base/report.h"

#include <errno.h>

static ReportLevel last_level;
static char *last_message;

static void capture(ReportLevel level, const char *message, void *opaque)
{
    g_assert_true(opaque == &last_message);
    last_level = level;
    g_free(last_message);
    last_message = g_strdup(message);
}

static void test_handler_gets_level_and_text(void)
{
    report_set_handler(capture, &last_message);
    warn_report("%s is %d", "x", 1);
    g_assert_cmpint(last_level, ==, REPORT_WARNING);
    g_assert_cmpstr(last_message, ==, "x is 1");
    error_report_err(g_error_new(VIOMMU_ERROR, VIOMMU_ERROR_EXISTS, "taken"));
    g_assert_cmpint(last_level, ==, REPORT_ERROR);
    g_assert_cmpstr(last_message, ==, "taken");
    report_set_handler(NULL, NULL);
    g_clear_pointer(&last_message, g_free);
}

/* Escape, delete and a control character of two bytes; bytes that are none. */
static void test_what_is_no_text_is_not_passed_on(void)
{
    report_set_handler(capture, &last_message);
    warn_report("%s", "id '\x1b[2J\x7f\xc2\x9b': \xff\nt\xc3\xa4kes");
    g_assert_cmpstr(last_message, ==,
                    "id '?[2J??" "?': \xef\xbf\xbd\nt\xc3\xa4kes");
    report_set_handler(NULL, NULL);
    g_clear_pointer(&last_message, g_free);
}

static void test_stderr_names_the_program(void)
{
    if (g_test_subprocess()) {
        g_set_prgname("vpump");
        info_report("hello");
        return;
    }
    g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr("*vpump: info: hello\n*");
}

static void test_errno_chooses_the_code(void)
{
    static const struct {
        int err;
        ViommuError code;
    } cases[] = {
        { EBUSY, VIOMMU_ERROR_HOST },
        { ENOMEM, VIOMMU_ERROR_RESOURCE },
        { EMFILE, VIOMMU_ERROR_RESOURCE },
        { ENOSPC, VIOMMU_ERROR_RESOURCE },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *text =
            g_strdup_printf("object 7: %s", g_strerror(cases[i].err));

        error_set_errno(&error, cases[i].err, "object %d", 7);
        g_assert_error(error, VIOMMU_ERROR, (int)cases[i].code);
        g_assert_cmpstr(error->message, ==, text);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/report/handler-gets-level-and-text",
                    test_handler_gets_level_and_text);
    g_test_add_func("/report/what-is-no-text-is-not-passed-on",
                    test_what_is_no_text_is_not_passed_on);
    g_test_add_func("/report/stderr-names-the-program",
                    test_stderr_names_the_program);
    g_test_add_func("/error/errno-chooses-the-code",
                    test_errno_chooses_the_code);
    return g_test_run();
}
