/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine-facts.h"

#include <stdint.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define CLOCK_READINGS 100000

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* The names of /proc/cpuinfo, which differ: x86's; arm64 has none. */
static char *cpu_model(void)
{
    g_autofree char *text = NULL;
    const char *line, *colon;

    if (!g_file_get_contents("/proc/cpuinfo", &text, NULL, NULL)) {
        return g_strdup("unknown");
    }
    line = strstr(text, "model name");
    if (!line) {
        line = strstr(text, "CPU part");
    }
    colon = line ? strchr(line, ':') : NULL;
    if (!colon) {
        return g_strdup("unknown");
    }
    return g_strstrip(g_strndup(colon + 1, strcspn(colon + 1, "\n")));
}

static char *clocksource(void)
{
    char *text;

    if (!g_file_get_contents("/sys/devices/system/clocksource/clocksource0/"
                             "current_clocksource", &text, NULL, NULL)) {
        return g_strdup("unknown");
    }
    return g_strstrip(text);
}

static void add_string(JsonBuilder *json, const char *name, const char *value)
{
    json_builder_set_member_name(json, name);
    json_builder_add_string_value(json, value);
}

static void add_clock(JsonBuilder *json)
{
    int64_t start = now_ns(), last = start, step = INT64_MAX;

    for (unsigned i = 0; i < CLOCK_READINGS; i++) {
        int64_t now = now_ns();

        if (now > last) {
            step = MIN(step, now - last);
        }
        last = now;
    }
    json_builder_set_member_name(json, "clock_ns");
    json_builder_add_double_value(json,
                                  (double)(last - start) / CLOCK_READINGS);
    json_builder_set_member_name(json, "clock_step_ns");
    json_builder_add_int_value(json, step);
}

void machine_facts_add(JsonBuilder *json)
{
    g_autofree char *model = cpu_model();
    g_autofree char *clock = clocksource();
    struct utsname name;

    uname(&name);
    json_builder_begin_object(json);
    add_string(json, "cpu", model);
    json_builder_set_member_name(json, "cpus");
    json_builder_add_int_value(json, sysconf(_SC_NPROCESSORS_ONLN));
    add_string(json, "kernel", name.release);
    add_string(json, "compiler", __VERSION__);
    add_string(json, "version", VPUMP_VERSION);
    add_string(json, "clocksource", clock);
    add_clock(json);
    json_builder_end_object(json);
}
