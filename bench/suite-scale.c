/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an event costs with 1 to 1,000 vIOMMUs on one iothread: while all have
 * events, and while one has and the others are idle; and what memory and how
 * many descriptors a vIOMMU takes.
 *
 * Only the number changes: rings have one size, and a unit that has events has
 * one batch of them at a time. So what 1,000 units touch in a round is a
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

/*
 * In the order in which they are measured: the limit beside vpump, and one unit
 * beside a thousand, which are those that are compared. All are there at once.
 */
static const struct {
    const CrowdOps *ops;
    size_t count;
} cases[] = {
    { &crowd_limit, 1 },    { &crowd_vpump, 1 },
    { &crowd_vpump, 1000 }, { &crowd_limit, 1000 },
    { &crowd_limit, 100 },  { &crowd_vpump, 100 },
    { &crowd_vpump, 10 },   { &crowd_limit, 10 },
};

/**
 * struct Member - of cases[]
 * @crowd: NULL: it is left out
 * @values: ns per event, by repetition
 */
typedef struct Member {
    SmmuMemory mem;
    EventSource *source;
    Crowd *crowd;
    GArray *values[LOADS];
} Member;

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

static void measure(Bench *bench, size_t index, void *opaque)
{
    Member *member = (Member *)opaque + index;
    Crowd *crowd = member->crowd;

    if (!crowd) {
        return;
    }
    for (Load load = 0; load < LOADS; load++) {
        double ns = drain_all(crowd, load == LOAD_BUSY ? crowd->count : 1,
                              bench->quick ? EVENTS_QUICK : EVENTS);

        add_figure(bench, load_names[load], crowd->count, crowd->ops->name,
                   ns);
        g_array_append_val(member->values[load], ns);
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

/* ---- All of them ---- */

static void open_crowd(Bench *bench, Member *member, const CrowdOps *ops,
                       size_t count)
{
    GError *error = NULL;
    Footprint before;

    smmu_memory_init(&member->mem, count, LOG2_RING);
    before = footprint_now();
    member->source = event_source_new(SOURCE_EMULATED, &error);
    bench_must(member->source, &error);
    member->crowd = ops->open(member->source, &member->mem, count);
    for (unsigned i = 0; i < WARM_UP; i++) {
        crowd_drain(member->crowd, 0, count, BACKLOG);
    }
    if (count == counts[G_N_ELEMENTS(counts) - 1]) {
        add_footprint(bench, member->crowd, &before);
    }
}

static void close_crowd(Member *member)
{
    if (member->crowd) {
        member->crowd->ops->close(member->crowd);
        event_source_free(member->source);
        smmu_memory_destroy(&member->mem);
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

/* Whether there are descriptors for so many units, and all that are fewer. */
static bool has_descriptors(size_t count, rlim_t most)
{
    rlim_t needed = OTHER_FDS;

    for (size_t i = 0; i < G_N_ELEMENTS(counts) && counts[i] <= count; i++) {
        needed += G_N_ELEMENTS(competitors) * UNIT_FDS * counts[i];
    }
    return needed <= most;
}

static void open_all(Bench *bench, Member *members)
{
    rlim_t most = raise_limit();

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        for (Load load = 0; load < LOADS; load++) {
            members[i].values[load] = g_array_new(FALSE, FALSE,
                                                  sizeof(double));
        }
        if (!bench_wants(bench, cases[i].ops->name)) {
            continue;
        }
        if (has_descriptors(cases[i].count, most)) {
            open_crowd(bench, &members[i], cases[i].ops, cases[i].count);
        } else {
            fprintf(stderr, "scale: %s, %zu units: they need more descriptors "
                    "than ulimit -Hn says: left out\n", cases[i].ops->name,
                    cases[i].count);
        }
    }
}

static void close_all(Member *members)
{
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        close_crowd(&members[i]);
        for (Load load = 0; load < LOADS; load++) {
            g_array_unref(members[i].values[load]);
        }
    }
}

static const Member *find_member(const Member *members, const CrowdOps *ops,
                                 size_t count)
{
    size_t i = 0;

    while (cases[i].ops != ops || cases[i].count != count) {
        i++;
    }
    return &members[i];
}

static void add_curve(Bench *bench, const Member *members,
                      const CrowdOps *ops, Load load)
{
    g_autofree char *name = g_strdup_printf("scale/%s", load_names[load]);
    double x[G_N_ELEMENTS(counts)];
    double y[G_N_ELEMENTS(counts)];
    size_t points = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(counts); i++) {
        GArray *values = find_member(members, ops, counts[i])->values[load];

        if (values->len > 0) {
            x[points] = counts[i];
            y[points++] = figures_median((double *)values->data, values->len);
        }
    }
    if (points > 0) {
        figures_add_curve(bench->figures, name, ops->name, x, y, points);
    }
}

static void run(Bench *bench)
{
    Member members[G_N_ELEMENTS(cases)] = { 0 };

    open_all(bench, members);
    bench_alternate(bench, G_N_ELEMENTS(cases), measure, members);
    for (size_t i = 0; i < G_N_ELEMENTS(competitors); i++) {
        for (Load load = 0; load < LOADS; load++) {
            add_curve(bench, members, competitors[i], load);
        }
    }
    close_all(members);
}

const BenchSuite suite_scale = {
    .name = "scale",
    .what = "cost per event, memory and descriptors by number of vIOMMUs",
    .run = run,
};
