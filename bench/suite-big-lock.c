/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Latency and throughput of events while others hold the monitor's big lock.
 * "free" has the same thread as 90%-1ms, which wakes up as often, but takes a
 * lock of its own: so the two differ by the lock alone. In slices of 50 us
 * wake-ups are so many that they cost all something: the limit's figures, which
 * takes no lock, show how much.
 *
 * The guest's accesses to registers take no big lock here, though in QEMU they
 * would: that favours qemu.
 */
#include "bench.h"
#include "drain.h"
#include "load.h"
#include "lock-holder.h"

#define RATE 10000
#define SECONDS 0.11
#define SECONDS_QUICK 0.15
#define ROUNDS 3

/* Drains go on until they have taken that long, and there were two. */
#define DRAIN_MIN_NS INT64_C(8000000)

/**
 * struct Setting - how the lock is held
 * @quick: measured then, too
 */
typedef struct Setting {
    const char *name;
    bool others;                /* the lock is another one */
    int64_t held_ns;
    int64_t gap_ns;
    bool quick;
} Setting;

/* The one to compare with first, and beside it the one that is compared most. */
static const Setting settings[] = {
    { "free", true, 1000000, 111111, true },
    { "90%-1ms", false, 1000000, 111111, true },
    { "50%-1ms", false, 1000000, 1000000, false },
    { "90%-50us", false, 50000, 5556, false },
    { "50%-50us", false, 50000, 50000, false },
};

static const char *const competitors[] = {
    "limit", "limit-poll", "qemu", "cloud-hypervisor", "libuv-64", "vpump",
};

/* All settings of a competitor, then those of the next. */
#define COMBINATIONS (G_N_ELEMENTS(settings) * G_N_ELEMENTS(competitors))

static const Setting *setting_of(size_t combination)
{
    return &settings[combination % G_N_ELEMENTS(settings)];
}

static const char *competitor_of(size_t combination)
{
    return competitors[combination / G_N_ELEMENTS(settings)];
}

/* What was measured, by repetition: GArrays of double. */
typedef struct Measurement {
    GArray *p99;
    GArray *throughput;
} Measurement;

static void add(Bench *bench, const Setting *setting, const char *what,
                const char *unit, FigureBetter better, const char *competitor,
                double value)
{
    g_autofree char *name = g_strdup_printf("big-lock/%s/%s", setting->name,
                                            what);

    figures_add(bench->figures,
                &(FigureKind){ .name = name, .unit = unit, .better = better },
                competitor, value);
}

/* The share of the time in which the lock is held, percent. */
typedef struct Share {
    const LockHolder *holder;
    int64_t held_ns;
    int64_t start_ns;
} Share;

static Share share_start(const LockHolder *holder)
{
    return (Share){
        .holder = holder,
        .held_ns = lock_holder_held_ns(holder),
        .start_ns = bench_now_ns(),
    };
}

static double share_end(const Share *share)
{
    return 100.0 * (lock_holder_held_ns(share->holder) - share->held_ns) /
           (bench_now_ns() - share->start_ns);
}

static void measure_latency(Bench *bench, const Setting *setting, Peer *peer,
                            const LockHolder *holder, Measurement *m)
{
    const char *name = peer->ops->name;
    g_autofree char *base = g_strdup_printf("big-lock/%s", setting->name);
    g_autofree LoadResult *result = g_new(LoadResult, 1);
    Share share = share_start(holder);
    double p99;

    load_run(peer, RATE, bench->quick ? SECONDS_QUICK : SECONDS, result);
    if (!setting->others) {
        add(bench, setting, "held", "%", FIGURE_HIGHER, name,
            share_end(&share));
    }
    figures_add_latencies(bench->figures, base, name, &result->entries);
    p99 = histogram_snapshot_quantile(&result->entries, 990);
    g_array_append_val(m->p99, p99);
}

/* The mean, not a median, of drains: they differ by what others hold. */
static void measure_throughput(Bench *bench, const Setting *setting, Peer *peer,
                               const LockHolder *holder, Measurement *m)
{
    const char *name = peer->ops->name;
    Share share = share_start(holder);
    unsigned count = 0;
    int64_t ns = 0;
    double throughput;
    Drain drain;

    drain_init(&drain, peer, false);
    drain_once(&drain);         /* warm-up */
    while (count < 2 || ns < DRAIN_MIN_NS) {
        ns += drain_once(&drain);
        count++;
    }
    if (!setting->others) {
        add(bench, setting, "held-saturated", "%", FIGURE_HIGHER, name,
            share_end(&share));
    }
    throughput = (double)count * DRAIN_EVENTS * 1e9 / ns;
    add(bench, setting, "throughput", "events/s", FIGURE_HIGHER, name,
        throughput);
    g_array_append_val(m->throughput, throughput);
}

static void measure(Bench *bench, size_t combination, void *opaque)
{
    const Setting *setting = setting_of(combination);
    const char *name = competitor_of(combination);
    const PeerOps *ops = peer_find(name);
    Measurement *m = (Measurement *)opaque + combination;
    Lock big, other;
    LockHolder *holder;
    GError *error = NULL;
    EventSource *source;
    Peer *peer;

    if (!bench_wants(bench, name) || (bench->quick && !setting->quick)) {
        return;
    }
    source = event_source_new(bench->kernel ? SOURCE_KERNEL : SOURCE_EMULATED,
                              &error);
    bench_must(source, &error);
    lock_init(&big, LOCK_RANK_BIG);
    lock_init(&other, LOCK_RANK_BIG);
    peer = ops->open(ops, &(PeerConfig){ .source = source, .big = &big,
                                         .log2_ring = DRAIN_LOG2_RING });
    holder = lock_holder_start(setting->others ? &other : &big,
                               setting->held_ns, setting->gap_ns);
    measure_latency(bench, setting, peer, holder, m);
    measure_throughput(bench, setting, peer, holder, m);
    lock_holder_stop(holder);
    ops->close(peer);
    event_source_free(source);
    lock_destroy(&other);
    lock_destroy(&big);
}

static void add_ratios(Bench *bench, size_t combination, const char *what,
                       FigureBetter better, const GArray *values,
                       const GArray *free_values)
{
    const Setting *setting = setting_of(combination);
    const char *name = competitor_of(combination);

    for (guint i = 0; i < values->len; i++) {
        add(bench, setting, what, "ratio", better, name,
            g_array_index(values, double, i) /
                g_array_index(free_values, double, i));
    }
}

static void run(Bench *bench)
{
    Measurement m[COMBINATIONS];

    for (size_t i = 0; i < COMBINATIONS; i++) {
        m[i].p99 = g_array_new(FALSE, FALSE, sizeof(double));
        m[i].throughput = g_array_new(FALSE, FALSE, sizeof(double));
    }
    bench_rounds(bench, ROUNDS, COMBINATIONS, measure, m);
    for (size_t i = 0; i < COMBINATIONS; i++) {
        const Measurement *unheld = &m[i - i % G_N_ELEMENTS(settings)];

        if (setting_of(i)->others) {
            continue;
        }
        add_ratios(bench, i, "p99-to-free", FIGURE_LOWER, m[i].p99,
                   unheld->p99);
        add_ratios(bench, i, "throughput-to-free", FIGURE_HIGHER,
                   m[i].throughput, unheld->throughput);
    }
    for (size_t i = 0; i < COMBINATIONS; i++) {
        g_array_unref(m[i].p99);
        g_array_unref(m[i].throughput);
    }
}

const BenchSuite suite_big_lock = {
    .name = "big-lock",
    .what = "latency and throughput while others hold the big lock",
    .on_kernel = true,
    .run = run,
};
