/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Stands in for libFuzzer where a target is a test: runs every input of its
 * corpus, in the order of their names, in each set-up that there is.
 *
 *   fuzz-TARGET [TEST_OPTION]... FOLDER|FILE...
 *
 * A target that needs RCU registers its thread in LLVMFuzzerInitialize(), as
 * libFuzzer's main() does not.
 *
 * What has crashed once is found again by its name, which is said first.
 */
#include <glib.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static GPtrArray *inputs;       /* paths */

static int compare_paths(gconstpointer a, gconstpointer b)
{
    return g_strcmp0(*(const char *const *)a, *(const char *const *)b);
}

static void add_path(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;

    if (!dir) {
        g_ptr_array_add(inputs, g_strdup(path));
        return;
    }
    while ((name = g_dir_read_name(dir))) {
        g_ptr_array_add(inputs, g_build_filename(path, name, NULL));
    }
}

static void run_input(const char *path)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *data = NULL;
    size_t size;

    g_test_message("%s", path);
    g_file_get_contents(path, &data, &size, &error);
    g_assert_no_error(error);
    g_assert_cmpint(LLVMFuzzerTestOneInput((const uint8_t *)data, size), ==, 0);
}

static void test_corpus(void)
{
    /* An empty corpus would prove nothing. */
    g_assert_cmpuint(inputs->len, >, 0);
    for (unsigned i = 0; i < inputs->len; i++) {
        run_input(inputs->pdata[i]);
    }
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    LLVMFuzzerInitialize(&argc, &argv);
    inputs = g_ptr_array_new_with_free_func(g_free);
    for (int i = 1; i < argc; i++) {
        add_path(argv[i]);
    }
    g_ptr_array_sort(inputs, compare_paths);
    g_test_add_func("/fuzz/corpus", test_corpus);
    ret = g_test_run();
    g_ptr_array_unref(inputs);
    return ret;
}
