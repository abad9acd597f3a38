/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "run-view.h"

#include "base/report.h"
#include "iothread/aio-context.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Where the lines scroll, the heading comes back after so many updates. */
#define HEADING_EVERY 20

/* ECMA-48: cursor up, and erase to the end of the line. */
#define CURSOR_UP "\033[%zuA"
#define ERASE_LINE "\033[K"

/* One vIOMMU at the last update. */
typedef struct ViewRow {
    RunSample sample;
    HistogramSnapshot latency;
} ViewRow;

struct RunView {
    const Machine *machine;     /* [const] */
    FILE *out;                  /* [const] */
    bool is_terminal;           /* [const] */
    bool was_in_place;          /* the last update, so it can be gone back to */
    int id_width;               /* [const] */
    size_t count;               /* [const] rows */
    int64_t time_ns;            /* of the last update */
    unsigned updates;
    /*
     * [atomic] A message stands where the lines were. Relaxed: show_message()
     * pairs with run_view_update(), which only asks whether.
     */
    atomic_bool disturbed;
    RunLatencies latest;        /* for update_row() */
    HistogramSnapshot interval; /* the same */
    ViewRow rows[];
};

/* The next update then begins on a new line. */
static void show_message(ReportLevel level, const char *message, void *opaque)
{
    RunView *view = opaque;

    report_print(level, message);
    atomic_store_explicit(&view->disturbed, true, memory_order_relaxed);
}

/* One that knows ECMA-48. */
static bool is_terminal(FILE *out)
{
    const char *term = g_getenv("TERM");

    return isatty(fileno(out)) && g_strcmp0(term, "dumb") != 0;
}

/* Asked for at each update, as the window may have been resized. */
static bool fits_terminal(const RunView *view)
{
    struct winsize size;
    int fd = fileno(view->out);

    /* A line that wraps, or has scrolled away, cannot be gone back to. */
    return view->is_terminal && ioctl(fd, TIOCGWINSZ, &size) == 0 &&
           size.ws_col >= view->id_width + RUN_REPORT_LINE_WIDTH &&
           size.ws_row > view->count;
}

RunView *run_view_new(const Machine *machine, FILE *out)
{
    size_t count = machine_get_viommu_count(machine);
    RunView *view = g_malloc0(sizeof(*view) + count * sizeof(view->rows[0]));

    view->machine = machine;
    view->out = out;
    view->count = count;
    view->id_width = strlen("vIOMMU");
    for (size_t i = 0; i < count; i++) {
        RunResult result = machine_get_result(machine, i, &view->latest);

        view->rows[i].sample = result.sample;
        view->rows[i].latency =
            *run_report_latency(result.sample.kinds, &view->latest);
        view->id_width = MAX(view->id_width, (int)strlen(result.id));
    }
    view->is_terminal = is_terminal(out);
    view->time_ns = aio_clock_ns();
    if (view->is_terminal) {
        report_set_handler(show_message, view);
    }
    return view;
}

void run_view_free(RunView *view)
{
    if (view) {
        report_set_handler(NULL, NULL);
        g_free(view);
    }
}

static void update_row(RunView *view, GString *text, size_t index,
                       int64_t interval_ns)
{
    ViewRow *row = &view->rows[index];
    RunResult result = machine_get_result(view->machine, index, &view->latest);
    const HistogramSnapshot *latency =
        run_report_latency(result.sample.kinds, &view->latest);

    view->interval = *latency;
    histogram_snapshot_subtract(&view->interval, &row->latency);
    run_report_line(text, view->id_width, result.id, &row->sample,
                    &result.sample, interval_ns, &view->interval);
    row->sample = result.sample;
    row->latency = *latency;
}

/* Back to the first of the lines, or a heading for new ones. */
static void begin_update(RunView *view, GString *text, bool in_place)
{
    bool disturbed = atomic_exchange_explicit(&view->disturbed, false,
                                              memory_order_relaxed);

    if (in_place ? !view->was_in_place || disturbed
                 : view->updates % HEADING_EVERY == 0) {
        run_report_heading(text, view->id_width);
    } else if (in_place) {
        g_string_append_printf(text, CURSOR_UP, view->count);
    }
    view->was_in_place = in_place;
    view->updates++;
}

void run_view_update(RunView *view)
{
    g_autoptr(GString) text = g_string_new(NULL);
    int64_t now_ns = aio_clock_ns();
    int64_t interval_ns = MAX(now_ns - view->time_ns, 1);
    bool in_place = fits_terminal(view);

    begin_update(view, text, in_place);
    for (size_t i = 0; i < view->count; i++) {
        if (in_place) {
            g_string_append(text, ERASE_LINE);
        }
        update_row(view, text, i, interval_ns);
    }
    view->time_ns = now_ns;
    fputs(text->str, view->out);
    fflush(view->out);
}
