/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu-opts.h"

#include "base/error.h"

#include <string.h>

/* A list as text: "key=value;key;…", a key that stands alone without '='. */
static char *flatten(const QemuOpts *opts)
{
    GString *text = g_string_new(NULL);

    for (unsigned i = 0; i < opts->len; i++) {
        const QemuOpt *opt = opts->pdata[i];

        g_string_append_printf(text, "%s%s", i ? ";" : "", opt->key);
        if (opt->text) {
            g_string_append_printf(text, "=%s", opt->text);
        }
        if (opt->json) {
            g_autofree char *value = json_to_string(opt->json, FALSE);

            g_string_append_printf(text, ":%s", value);
        }
    }
    return g_string_free(text, FALSE);
}

static void test_splits(void)
{
    static const struct {
        const char *argument;
        const char *list;
    } cases[] = {
        { "", "" },
        { "foo", "type=foo" },
        { "foo,id=a", "type=foo;id=a" },
        { "id=a", "id=a" },
        { "foo,", "type=foo" },
        { "foo,id=", "type=foo;id=" },
        { "foo,id=a,,b", "type=foo;id=a,b" },
        { "foo,id=,,", "type=foo;id=," },
        { "foo,id=a,,,b=c", "type=foo;id=a,;b=c" },
        { "f,,oo,a=b", "type=f,oo;a=b" },
        { "foo,a=b=c", "type=foo;a=b=c" },
        { "foo,bar", "type=foo;bar" },
        { "foo,bar,help", "type=foo;bar;help" },
        { "foo,=a", "type=foo;=a" },
        { ",id=a", "type=;id=a" },
        { "foo,a=1,a=2", "type=foo;a=1;a=2" },
        { "{\"a\":1,\"b\":\"x,y\",\"c\":true}", "a:1;b:\"x,y\";c:true" },
        { "{}", "" },
        { "{\"a\":\"[[[[[[[[[[[[[[[[[[[[\\\"[[[[\"}",
          "a:\"[[[[[[[[[[[[[[[[[[[[\\\"[[[[\"" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(QemuOpts) opts =
            qemu_opts_parse(cases[i].argument, "type", &error);
        g_autofree char *list = NULL;

        g_assert_no_error(error);
        list = flatten(opts);
        g_assert_cmpstr(list, ==, cases[i].list);
    }
}

static void test_last_one_wins(void)
{
    g_autoptr(QemuOpts) opts = qemu_opts_parse_keyval("foo,a=1,b=2,a=3", "t");

    g_assert_cmpstr(qemu_opts_find(opts, "a")->text, ==, "3");
    g_assert_cmpstr(qemu_opts_find(opts, "b")->text, ==, "2");
    g_assert_null(qemu_opts_find(opts, "c"));
}

static void test_help_is_a_key_that_stands_alone(void)
{
    static const struct {
        const char *argument;
        bool help;
    } cases[] = {
        { "foo,help", true },
        { "foo,?", true },
        { "foo,id=a,help", true },
        { "foo,help=on", false },
        { "foo,id=help", false },
        { "foo", false },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(QemuOpts) opts =
            qemu_opts_parse_keyval(cases[i].argument, "t");

        g_assert_cmpint(qemu_opts_has_help(opts), ==, cases[i].help);
    }
}

static void test_bad_json_is_refused(void)
{
    static const char *const cases[] = {
        "{", "{\"a\"", "{\"a\":}", "{\"a\":1,}", "{\"a\":1}x", "{a:1}",
        "{\"a\":1", "{{}", "{]",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(qemu_opts_parse(cases[i], "t", &error));
        g_assert_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID);
        g_assert_true(g_str_has_prefix(error->message, "JSON parse error, "));
    }
}

/* As long as an argument may be, and deep enough for any stack. */
static void test_deep_json_is_refused(void)
{
    g_autoptr(GString) text = g_string_new("{\"a\":");
    g_autoptr(GError) error = NULL;

    for (int i = 0; i < 120000; i++) {
        g_string_append_c(text, '[');
    }
    g_assert_null(qemu_opts_parse(text->str, "t", &error));
    g_assert_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID);
    g_assert_cmpstr(error->message, ==,
                    "JSON parse error, nested more than 16 deep");
}

/* What the parser underneath would take, and lose the first of two. */
static void test_one_object_and_nothing_else(void)
{
    static const struct {
        const char *text;
        const char *reason;     /* NULL: accepted */
    } cases[] = {
        { "{\"a\":1} \t\n", NULL },
        { "{\"a\":\"}{/*\\\"\"}", NULL },
        { "{\"a\":1}{\"a\":2}", "there is more after the object" },
        { "{\"a\":1} [2]", "there is more after the object" },
        { "{\"a\":1}}", "there is more after the object" },
        { "{\"a\":1 /* } */}", "there are no comments in JSON" },
        { "{\"a\":1 // }\n}", "there are no comments in JSON" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(QemuOpts) opts = qemu_opts_parse(cases[i].text, "t", &error);
        g_autofree char *message = NULL;

        if (!cases[i].reason) {
            g_assert_no_error(error);
            g_assert_cmpuint(opts->len, ==, 1);
            continue;
        }
        message = g_strdup_printf("JSON parse error, %s", cases[i].reason);
        g_assert_null(opts);
        g_assert_cmpstr(error->message, ==, message);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qemu-opts/splits", test_splits);
    g_test_add_func("/qemu-opts/last-one-wins", test_last_one_wins);
    g_test_add_func("/qemu-opts/help-is-a-key-that-stands-alone",
                    test_help_is_a_key_that_stands_alone);
    g_test_add_func("/qemu-opts/bad-json-is-refused", test_bad_json_is_refused);
    g_test_add_func("/qemu-opts/deep-json-is-refused",
                    test_deep_json_is_refused);
    g_test_add_func("/qemu-opts/one-object-and-nothing-else",
                    test_one_object_and_nothing_else);
    return g_test_run();
}
