/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an event costs with 1 to 1,000 vIOMMUs on one iothread: while all have
 * events, and while one has and the others are idle; and what memory and how
 * many descriptors a vIOMMU takes.
 *
 * Only the number changes: rings have one size, and a unit that has events has
 * two batches of them at a time. So what 1,000 units touch in a round is a
 * thousand times as much, and in no cache of the processor's, for anybody: the
 * limit says how much of the cost that is.
 */
#include "bench.h"
#include "crowd.h"

#include <dirent.h>
#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

/* Twice what a unit gets at a time: never full. */
#define LOG2_RING 11
#define BACKLOG 1024

/* Per repetition and figure; more, if as many rounds have more. */
#define EVENTS (1 << 20)
#define EVENTS_QUICK (1 << 18)
#define MIN_ROUNDS 3

/* Rounds in which all of each ring is touched. */
#define WARM_UP 2

/* Of a unit of either kind, and of the rest of the program. */
#define UNIT_FDS 8
#define OTHER_FDS 100

typedef enum Load {
    LOAD_BUSY,
    LOAD_IDLE,
    LOADS,
} Load;

static const char *const load_names[] = {
    [LOAD_BUSY] = "busy",
    [LOAD_IDLE] = "idle",
};

static const size_t counts[] = { 1, 10, 100, 1000 };

static const CrowdOps *const competitors[] = { &crowd_limit, &crowd_vpump };

/* For the curves: ns per event. */
typedef struct Curve {
    double x[G_N_ELEMENTS(counts)];
    double y[G_N_ELEMENTS(counts)];
    size_t points;
} Curve;

typedef struct Scale {
    size_t count;               /* of units, now */
    SmmuMemory mem[G_N_ELEMENTS(competitors)];
    EventSource *sources[G_N_ELEMENTS(competitors)];
    Crowd *crowds[G_N_ELEMENTS(competitors)];
    GArray *values[G_N_ELEMENTS(competitors)][LOADS];
    Curve curves[G_N_ELEMENTS(competitors)][LOADS];
} Scale;

static void add_figure(Bench *bench, const char *what, size_t count,
                       const char *competitor, double value)
{
    g_autofree char *name = g_strdup_printf("scale/%s/%zu", what, count);

    figures_add(bench->figures,
                &(FigureKind){ .name = name, .unit = "ns",
                               .better = FIGURE_LOWER },
                competitor, value);
}

/* Return: ns per event, the median of rounds. */
static double drain_all(Crowd *crowd, size_t active, uint64_t events)
{
    size_t first = (crowd->count - active) / 2;
    double round = (double)active * BACKLOG;
    size_t rounds = MAX(events / round, MIN_ROUNDS);
    g_autofree double *ns = g_new(double, rounds);

    for (size_t i = 0; i < rounds; i++) {
        ns[i] = crowd_drain(crowd, first, active, BACKLOG) / round;
    }
    return figures_median(ns, rounds);
}

static void measure(Bench *bench, size_t competitor, void *opaque)
{
    Scale *scale = opaque;
    Crowd *crowd = scale->crowds[competitor];

    if (!crowd) {
        return;
    }
    for (Load load = 0; load < LOADS; load++) {
        double ns = drain_all(crowd, load == LOAD_BUSY ? crowd->count : 1,
                              bench->quick ? EVENTS_QUICK : EVENTS);

        add_figure(bench, load_names[load], crowd->count, crowd->ops->name,
                   ns);
        g_array_append_val(scale->values[competitor][load], ns);
    }
}

/* ---- What a unit takes ---- */

/**
 * struct Footprint - of the process
 * @resident: bytes of memory that it has touched
 * @heap: bytes allocated
 * @fds: descriptors
 */
typedef struct Footprint {
    double resident;
    double heap;
    double fds;
} Footprint;

static double count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    double count = 0;

    g_assert(dir);
    while (readdir(dir)) {
        count++;
    }
    closedir(dir);
    return count;
}

static Footprint footprint_now(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    struct mallinfo2 info;
    unsigned long pages;
    int fields;

    /* What was freed before would be used again, and not seen to grow. */
    malloc_trim(0);
    fields = fscanf(file, "%*u %lu", &pages);
    g_assert(fields == 1);
    fclose(file);
    info = mallinfo2();
    return (Footprint){
        .resident = (double)pages * sysconf(_SC_PAGESIZE),
        .heap = (double)info.uordblks + info.hblkhd,
        .fds = count_fds(),
    };
}

static void add_footprint(Bench *bench, const Crowd *crowd,
                          const Footprint *before)
{
    Footprint after = footprint_now();
    const struct {
        FigureKind kind;
        double value;
    } figures[] = {
        { { "scale/memory", "bytes", FIGURE_LOWER },
          after.resident - before->resident },
        { { "scale/heap", "bytes", FIGURE_LOWER },
          after.heap - before->heap },
        { { "scale/fds", "descriptors", FIGURE_LOWER },
          after.fds - before->fds },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(figures); i++) {
        figures_add(bench->figures, &figures[i].kind, crowd->ops->name,
                    figures[i].value / crowd->count);
    }
}

/* ---- One number of units ---- */

static void open_crowd(Bench *bench, Scale *scale, size_t competitor)
{
    SmmuMemory *mem = &scale->mem[competitor];
    GError *error = NULL;
    Footprint before;
    Crowd *crowd;

    if (!bench_wants(bench, competitors[competitor]->name)) {
        return;
    }
    smmu_memory_init(mem, scale->count, LOG2_RING);
    before = footprint_now();
    scale->sources[competitor] = event_source_new(SOURCE_EMULATED, &error);
    if (!scale->sources[competitor]) {
        g_error("%s", error->message);
    }
    crowd = competitors[competitor]->open(scale->sources[competitor], mem,
                                          scale->count);
    scale->crowds[competitor] = crowd;
    for (unsigned i = 0; i < WARM_UP; i++) {
        crowd_drain(crowd, 0, crowd->count, BACKLOG);
    }
    if (scale->count == counts[G_N_ELEMENTS(counts) - 1]) {
        add_footprint(bench, crowd, &before);
    }
}

static void close_crowd(Scale *scale, size_t competitor)
{
    Crowd *crowd = scale->crowds[competitor];

    if (crowd) {
        crowd->ops->close(crowd);
        event_source_free(scale->sources[competitor]);
        smmu_memory_destroy(&scale->mem[competitor]);
        scale->crowds[competitor] = NULL;
    }
}

static void add_point(Scale *scale, size_t competitor, Load load)
{
    GArray *values = scale->values[competitor][load];
    Curve *curve = &scale->curves[competitor][load];

    if (values->len > 0) {
        curve->x[curve->points] = scale->count;
        curve->y[curve->points] =
            figures_median((double *)values->data, values->len);
        curve->points++;
        g_array_set_size(values, 0);
    }
}

static void measure_count(Bench *bench, Scale *scale)
{
    for (size_t i = 0; i < G_N_ELEMENTS(competitors); i++) {
        open_crowd(bench, scale, i);
    }
    bench_alternate(bench, G_N_ELEMENTS(competitors), measure, scale);
    for (size_t i = 0; i < G_N_ELEMENTS(competitors); i++) {
        close_crowd(scale, i);
        for (Load load = 0; load < LOADS; load++) {
            add_point(scale, i, load);
        }
    }
}

/* As many descriptors as we may have. Return: how many. */
static rlim_t raise_limit(void)
{
    struct rlimit limit;
    int ret = getrlimit(RLIMIT_NOFILE, &limit);

    g_assert(ret == 0);
    limit.rlim_cur = limit.rlim_max;
    ret = setrlimit(RLIMIT_NOFILE, &limit);
    g_assert(ret == 0);
    return limit.rlim_cur;
}

static void run(Bench *bench)
{
    rlim_t most = raise_limit();
    Scale scale = { 0 };

    if (bench->kernel) {
        return;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(competitors); i++) {
        for (Load load = 0; load < LOADS; load++) {
            scale.values[i][load] = g_array_new(FALSE, FALSE, sizeof(double));
        }
    }
    for (size_t i = 0; i < G_N_ELEMENTS(counts); i++) {
        scale.count = counts[i];
        if (G_N_ELEMENTS(competitors) * UNIT_FDS * counts[i] + OTHER_FDS >
            most) {
            fprintf(stderr, "scale: %zu units need more descriptors than "
                    "ulimit -Hn says: left out\n", counts[i]);
            continue;
        }
        measure_count(bench, &scale);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(competitors); i++) {
        for (Load load = 0; load < LOADS; load++) {
            g_autofree char *name = g_strdup_printf("scale/%s",
                                                    load_names[load]);
            Curve *curve = &scale.curves[i][load];

            if (curve->points > 0) {
                figures_add_curve(bench->figures, name, competitors[i]->name,
                                  curve->x, curve->y, curve->points);
            }
            g_array_unref(scale.values[i][load]);
        }
    }
}

const BenchSuite suite_scale = {
    .name = "scale",
    .what = "cost per event, memory and descriptors by number of vIOMMUs",
    .run = run,
};
