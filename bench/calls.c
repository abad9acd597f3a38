/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "calls.h"

#include "bench.h"

#include <inttypes.h>
#include <stdio.h>

static bool parse(const char *output, Calls *calls, GError **error)
{
    int64_t syscalls;

    if (sscanf(output, "events %" SCNu64 " allocations %" SCNu64
                       " syscalls %" SCNd64,
               &calls->events, &calls->allocations, &syscalls) != 3 ||
        calls->events == 0) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
                    "vpump-bench-calls: this is no count: %s", output);
        return false;
    }
    calls->traced = syscalls >= 0;
    calls->syscalls = calls->traced ? syscalls : 0;
    return true;
}

bool calls_count(SourceKind kind, const char *peer, uint64_t rate,
                 Calls *calls, GError **error)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", error);
    g_autofree char *dir = self ? g_path_get_dirname(self) : NULL;
    g_autofree char *program = dir ? g_build_filename(dir, "vpump-bench-calls",
                                                      NULL) : NULL;
    g_autofree char *rate_text = g_strdup_printf("%" PRIu64, rate);
    const char *argv[] = { program, source_kind_name(kind), peer, rate_text,
                           NULL };
    g_auto(GStrv) env = g_get_environ();
    g_autofree char *output = NULL;
    bool ran;
    int status;

    if (!program) {
        return false;
    }
    /* GLib's own allocator would hide what it has in stock. */
    env = g_environ_setenv(env, "G_SLICE", "always-malloc", TRUE);
    /* A child may be where its parent may be. */
    bench_unpin();
    ran = g_spawn_sync(NULL, (char **)argv, env, G_SPAWN_DEFAULT, NULL, NULL,
                       &output, NULL, &status, error);
    bench_pin(BENCH_CPU_WORLD);
    return ran && g_spawn_check_wait_status(status, error) &&
           parse(output, calls, error);
}
