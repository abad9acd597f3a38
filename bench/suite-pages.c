/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Page requests: the round trip from a device to the guest and back, alone and
 * under load, and while the guest changes PASIDs. How each is measured is in
 * docs/performance.md.
 *
 * Alone the limit is a ping-pong; under load a thread that does no more than
 * the work itself.
 */
#include "bench.h"
#include "page-peer.h"
#include "page-world.h"
#include "ping-pong.h"

#include "iothread/iothread.h"

/* Between round trips that are alone: the pump has gone to sleep again. */
#define PAUSE_NS INT64_C(200000)

/* Longer than that: it never does. */
#define BUSY_POLL_NS INT64_C(1000000)

/* Open groups of the closed loop, of 8 devices with 16 PASIDs each. */
#define LOAD_GROUPS 256
#define LOAD_DEVICES 8
#define LOAD_PASIDS 16

/* Of what is measured, see bench_rounds(). Emulation is slow. */
#define ROUNDS 4
#define ROUNDS_KERNEL 1

/* A PASID comes and goes per so many groups. */
#define CHURN_EVERY 1024

/**
 * struct PageCase - what is measured under a figure's name
 * @figure: path, without the last part
 * @competitor: as in figures
 * @ops: NULL: a ping-pong
 * @busy: neither the pump nor its floor ever sleeps
 * @churn: PASIDs come and go
 */
typedef struct PageCase {
    const char *figure;
    const char *competitor;
    const PagePeerOps *ops;
    bool busy;
    bool churn;
} PageCase;

static Lock big_lock = LOCK_INITIALIZER(LOCK_RANK_BIG);

/* ---- Figures ---- */

/* A kernel's are not to be taken for those of here. */
static char *figure_name(const Bench *bench, const PageCase *page_case)
{
    return g_strconcat(page_case->figure, bench->kernel ? "-kernel" : "",
                       NULL);
}

static void add(Bench *bench, const PageCase *page_case, const char *part,
                const char *unit, FigureBetter better, double value)
{
    g_autofree char *figure = figure_name(bench, page_case);
    g_autofree char *name = g_strconcat(figure, *part ? "/" : "", part, NULL);

    figures_add(bench->figures, &(FigureKind){ name, unit, better },
                page_case->competitor, value);
}

/* Return: 99 % by the median. */
static double add_latencies(Bench *bench, const PageCase *page_case,
                            const Histogram *histogram)
{
    g_autofree HistogramSnapshot *snapshot = g_new(HistogramSnapshot, 1);
    g_autofree char *figure = figure_name(bench, page_case);

    histogram_snapshot(histogram, snapshot);
    figures_add_latencies(bench->figures, figure, page_case->competitor,
                          snapshot);
    return (double)histogram_snapshot_quantile(snapshot, 990) /
           histogram_snapshot_quantile(snapshot, 500);
}

/* ---- Alone ---- */

static PagePeer *open_peer(const Bench *bench, const PageCase *page_case,
                           unsigned devices, unsigned pasids)
{
    const PagePeerConfig config = {
        .devices = devices, .pasids = pasids, .kernel = bench->kernel,
        .poll_max_ns = page_case->busy ? BUSY_POLL_NS
                                       : IOTHREAD_POLL_MAX_NS_DEFAULT,
        .big = &big_lock,
    };

    return page_case->ops->open(page_case->ops, &config);
}

static void run_peer_trips(const Bench *bench, const PageCase *page_case,
                           uint64_t count, Histogram *histogram)
{
    PagePeer *peer = open_peer(bench, page_case, 1, 1);
    PageWorld *world = page_world_new(peer);

    page_world_trips(world, count / 10, PAUSE_NS);
    page_world_record(world, histogram);
    page_world_trips(world, count, PAUSE_NS);
    page_world_free(world);
    page_case->ops->close(peer);
}

static void run_ping_pong(const PageCase *page_case, uint64_t count,
                          Histogram *histogram)
{
    PingPong *pair = ping_pong_new(page_case->busy);

    ping_pong_trips(pair, count / 10, PAUSE_NS, NULL);
    ping_pong_trips(pair, count, PAUSE_NS, histogram);
    ping_pong_free(pair);
}

static void measure_trips(Bench *bench, size_t i, void *opaque)
{
    const PageCase *page_case = (const PageCase *)opaque + i;
    const uint64_t count = 800;
    Histogram *histogram;

    if (!bench_wants(bench, page_case->competitor)) {
        return;
    }
    histogram = histogram_new();
    if (page_case->ops) {
        run_peer_trips(bench, page_case, count, histogram);
    } else {
        run_ping_pong(page_case, count, histogram);
    }
    add_latencies(bench, page_case, histogram);
    histogram_free(histogram);
}

/* ---- Under load ---- */

#define DURATION_NS INT64_C(200000000)

static void measure_saturated(Bench *bench, PageWorld *world,
                              const PageCase *page_case)
{
    const PageCase saturated = {
        .figure = "pages/saturated", .competitor = page_case->competitor,
    };

    page_world_capacity(world, LOAD_GROUPS, DURATION_NS / 10);
    add(bench, &saturated, "", "groups/s", FIGURE_HIGHER,
        page_world_capacity(world, LOAD_GROUPS, DURATION_NS));
}

/*
 * The pump alone; then all together, of which devices and guest have a share,
 * in a closed loop; and round trips in an open one at half of that rate.
 */
static void measure_load(Bench *bench, size_t i, void *opaque)
{
    const PageCase *page_case = (const PageCase *)opaque + i;
    Histogram *histogram;
    PageWorld *world;
    PagePeer *peer;
    double rate;

    if (!bench_wants(bench, page_case->competitor)) {
        return;
    }
    histogram = histogram_new();
    peer = open_peer(bench, page_case, LOAD_DEVICES, LOAD_PASIDS);
    world = page_world_new(peer);
    measure_saturated(bench, world, page_case);
    page_world_closed_loop(world, LOAD_GROUPS, DURATION_NS / 10, 0);
    rate = page_world_closed_loop(world, LOAD_GROUPS, DURATION_NS, 0);
    add(bench, page_case, "throughput", "groups/s", FIGURE_HIGHER, rate);
    page_world_open_loop(world, rate / 2, DURATION_NS / 10);
    page_world_record(world, histogram);
    page_world_open_loop(world, rate / 2, DURATION_NS);
    add(bench, page_case, "p99-by-p50", "1", FIGURE_LOWER,
        add_latencies(bench, page_case, histogram));
    page_world_free(world);
    page_case->ops->close(peer);
    histogram_free(histogram);
}

/* ---- While PASIDs come and go ---- */

/*
 * The vCPU that changes PASIDs is the one that serves page requests, so it does
 * not while it waits for a change, and no device raises any: the throughput is
 * the lower for it, and round trips are longer. Without that time it is "net":
 * that is too good, as the pump may catch up meanwhile. The truth is between
 * the two.
 */
static void measure_churn(Bench *bench, size_t i, void *opaque)
{
    const PageCase *page_case = (const PageCase *)opaque + i;
    const uint64_t every = page_case->churn ? CHURN_EVERY : 0;
    Histogram *histogram;
    PageWorld *world;
    PagePeer *peer;
    PageChurn churn;
    double rate;

    if (!bench_wants(bench, page_case->competitor)) {
        return;
    }
    histogram = histogram_new();
    peer = open_peer(bench, page_case, LOAD_DEVICES, LOAD_PASIDS);
    world = page_world_new(peer);
    page_world_closed_loop(world, LOAD_GROUPS, DURATION_NS / 10, every);
    page_world_record(world, histogram);
    rate = page_world_closed_loop(world, LOAD_GROUPS, DURATION_NS,
                                  every);
    add(bench, page_case, "throughput", "groups/s", FIGURE_HIGHER, rate);
    churn = page_world_get_churn(world);
    if (churn.count > 0) {
        add(bench, page_case, "throughput-net", "groups/s", FIGURE_HIGHER,
            rate / (1 - churn.share));
        add(bench, page_case, "change", "ns", FIGURE_LOWER, churn.mean_ns);
    }
    add_latencies(bench, page_case, histogram);
    page_world_free(world);
    page_case->ops->close(peer);
    histogram_free(histogram);
}

/* ---- All ---- */

static const PageCase alone[] = {
    { "pages/round-trip", "limit", .ops = NULL },
    { "pages/round-trip", "qemu", .ops = &page_peer_qemu },
    { "pages/round-trip", "vpump", .ops = &page_peer_vpump },
};

static const PageCase busy[] = {
    { "pages/round-trip-busy", "limit", .ops = NULL, .busy = true },
    { "pages/round-trip-busy", "vpump", .ops = &page_peer_vpump,
      .busy = true },
};

static const PageCase sva[] = {
    { "pages/sva-round-trip", "limit", .ops = NULL },
    { "pages/sva-round-trip", "vpump", .ops = &page_peer_sva },
};

static const PageCase loaded[] = {
    { "pages/loaded", "limit", .ops = &page_peer_limit },
    { "pages/loaded", "qemu", .ops = &page_peer_qemu },
    { "pages/loaded", "vpump", .ops = &page_peer_vpump },
};

static const PageCase churned[] = {
    { "storms/pages-quiet", "vpump", .ops = &page_peer_vpump },
    { "storms/pasid-churn", "vpump", .ops = &page_peer_vpump, .churn = true },
};

static void run(Bench *bench)
{
    const unsigned rounds = bench->kernel ? ROUNDS_KERNEL : ROUNDS;

    bench_rounds(bench, rounds, G_N_ELEMENTS(alone), measure_trips,
                 (void *)alone);
    /* Of a kernel the busy floor would be short of its system calls. */
    if (!bench->kernel) {
        bench_rounds(bench, rounds, G_N_ELEMENTS(busy), measure_trips,
                     (void *)busy);
        bench_rounds(bench, rounds, G_N_ELEMENTS(sva), measure_trips,
                     (void *)sva);
    }
    bench_rounds(bench, rounds, G_N_ELEMENTS(loaded), measure_load,
                 (void *)loaded);
    bench_rounds(bench, rounds, G_N_ELEMENTS(churned), measure_churn,
                 (void *)churned);
}

const BenchSuite suite_pages = {
    .name = "pages",
    .what = "page requests: round trips, under load, and with PASID churn",
    .on_kernel = true,
    .run = run,
};
