/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/report.h"

#include "base/lock.h"

#include <stdio.h>
#include <string.h>

static Lock report_lock = LOCK_INITIALIZER(LOCK_RANK_LEAF);
static ReportHandler *report_handler GUARDED_BY(report_lock);
static void *report_opaque GUARDED_BY(report_lock);

static const char *const level_prefix[] = {
    [REPORT_ERROR] = "",
    [REPORT_WARNING] = "warning: ",
    [REPORT_INFO] = "info: ",
};

void report_print(ReportLevel level, const char *message)
{
    const char *program = g_get_prgname();

    fprintf(stderr, "%s: %s%s\n", program ? program : "vpump",
            level_prefix[level], message);
}

/*
 * Names and values in it are a user's: what is no text, or moves a terminal's
 * cursor, is not passed on. Return: to be given to g_free().
 */
static char *make_plain(const char *message)
{
    char *text = g_utf8_make_valid(message, -1);
    char *next;

    for (char *p = text; *p; p = next) {
        next = g_utf8_next_char(p);
        if (*p != '\n' && g_unichar_iscntrl(g_utf8_get_char(p))) {
            memset(p, '?', next - p);
        }
    }
    return text;
}

static void report(ReportLevel level, const char *message)
{
    g_autofree char *text = make_plain(message);

    lock_acquire(&report_lock);
    if (report_handler) {
        report_handler(level, text, report_opaque);
    } else {
        report_print(level, text);
    }
    lock_release(&report_lock);
}

#define REPORT_VA(level, format)                                  \
    do {                                                          \
        va_list ap;                                               \
                                                                  \
        va_start(ap, format);                                     \
        g_autofree char *message = g_strdup_vprintf(format, ap);  \
        va_end(ap);                                               \
        report(level, message);                                   \
    } while (0)

void error_report(const char *format, ...)
{
    REPORT_VA(REPORT_ERROR, format);
}

void warn_report(const char *format, ...)
{
    REPORT_VA(REPORT_WARNING, format);
}

void info_report(const char *format, ...)
{
    REPORT_VA(REPORT_INFO, format);
}

void error_report_err(GError *error)
{
    report(REPORT_ERROR, error->message);
    g_error_free(error);
}

void report_set_handler(ReportHandler *handler, void *opaque)
{
    lock_acquire(&report_lock);
    report_handler = handler;
    report_opaque = opaque;
    lock_release(&report_lock);
}
