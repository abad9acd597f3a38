/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vpump-process.h"

#include <json-glib/json-glib.h>
#include <sys/wait.h>
#include <unistd.h>

typedef char **ArgumentVector;

/* argv: the program and @words. */
static ArgumentVector arguments(const char *const *words)
{
    GPtrArray *argv = g_ptr_array_new();

    g_ptr_array_add(argv, g_strdup(g_getenv("VPUMP")));
    for (; *words; words++) {
        g_ptr_array_add(argv, g_strdup(*words));
    }
    g_ptr_array_add(argv, NULL);
    return (ArgumentVector)g_ptr_array_free(argv, FALSE);
}

Outcome vpump_run_with(const char *const *words, GSpawnChildSetupFunc setup,
                       void *opaque)
{
    g_auto(GStrv) argv = arguments(words);
    GError *error = NULL;
    Outcome outcome;
    int status;

    g_spawn_sync(NULL, argv, NULL, G_SPAWN_DEFAULT, setup, opaque,
                 &outcome.out, &outcome.err, &status, &error);
    g_assert_no_error(error);
    g_assert_true(WIFEXITED(status));
    outcome.status = WEXITSTATUS(status);
    return outcome;
}

Outcome vpump_run(const char *const *words)
{
    return vpump_run_with(words, NULL, NULL);
}

void outcome_clear(Outcome *outcome)
{
    g_free(outcome->out);
    g_free(outcome->err);
}

GPid vpump_start(const char *const *words, GSpawnChildSetupFunc setup,
                 void *opaque, int *out)
{
    g_auto(GStrv) argv = arguments(words);
    GError *error = NULL;
    GPid pid;

    g_spawn_async_with_pipes(NULL, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, setup,
                             opaque, &pid, NULL, out, NULL, &error);
    g_assert_no_error(error);
    return pid;
}

GPid vpump_start_endless(int *out)
{
    static const char *const words[] = { "-duration", "0", "-load", "1000",
                                         NULL };
    GPid pid = vpump_start(words, NULL, NULL, out);
    char byte;

    g_assert_cmpint(read(*out, &byte, 1), ==, 1);
    return pid;
}

int vpump_finish(GPid pid, int out)
{
    char buf[4096];
    int status;

    if (out >= 0) {
        while (read(out, buf, sizeof(buf)) > 0) {
        }
        close(out);
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

bool report_is_balanced(const char *text)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    JsonObject *root;

    g_assert_true(json_parser_load_from_data(parser, text, -1, NULL));
    root = json_node_get_object(json_parser_get_root(parser));
    g_assert_cmpuint(
        json_array_get_length(json_object_get_array_member(root, "viommus")),
        >, 0);
    return json_object_get_boolean_member(root, "balanced");
}
