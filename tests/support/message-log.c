/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "message-log.h"

#include "base/report.h"

#include <stdatomic.h>
#include <string.h>

static GPtrArray *messages;
static atomic_uint kept;

static void keep(ReportLevel level, const char *message, void *opaque)
{
    g_ptr_array_add(messages, g_strdup(message));
    atomic_fetch_add(&kept, 1);
}

void message_log_start(void)
{
    message_log_stop();
    atomic_store(&kept, 0);
    messages = g_ptr_array_new_with_free_func(g_free);
    report_set_handler(keep, NULL);
}

void message_log_stop(void)
{
    report_set_handler(NULL, NULL);
    g_clear_pointer(&messages, g_ptr_array_unref);
}

unsigned message_log_count(void)
{
    return atomic_load(&kept);
}

unsigned message_log_matching(const char *part)
{
    unsigned count = 0;

    for (unsigned i = 0; i < messages->len; i++) {
        count += strstr(messages->pdata[i], part) != NULL;
    }
    return count;
}

const char *message_log_get(unsigned index)
{
    g_assert_cmpuint(index, <, messages->len);
    return messages->pdata[index];
}
