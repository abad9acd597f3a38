/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An event carries the time at which it was due as its tag, so the ring's entry
 * says all: tags grow, and together are the sum of those that were queued.
 */
#include "load.h"

#include "bench.h"
#include "prng.h"

#define NS_PER_S 1000000000

/* After so long without an interrupt the guest looks whether it missed one. */
#define SILENCE_NS INT64_C(1000000000)

/* What did not come in a minute does not come. */
#define TIME_OUT_NS INT64_C(60000000000)

typedef struct Load {
    Peer *peer;
    LoadResult *result;
    Histogram *entries;
    Histogram *interrupts;
    Histogram *late;
    int64_t warm_ns;            /* what was due before does not count */
    uint64_t queued;
    uint64_t queued_sum;        /* of tags */
    uint64_t read;
    uint64_t read_sum;
    int64_t last_tag;
    unsigned irqs;              /* seen */
    int64_t raised_ns;          /* when the next entry's interrupt came, or 0 */
    int64_t heard_ns;           /* when the last interrupt was seen */
} Load;

/* ---- The guest ---- */

static void read_entry(void *opaque, const uint64_t entry[4])
{
    Load *load = opaque;
    int64_t now = bench_now_ns();
    int64_t due = entry[2];

    if (due <= load->last_tag || due > now) {
        g_error("%s: an event came twice, out of order or damaged",
                load->peer->ops->name);
    }
    load->last_tag = due;
    load->read++;
    load->read_sum += due;
    if (due >= load->warm_ns) {
        histogram_record(load->entries, now - due);
        if (load->raised_ns >= due) {
            histogram_record(load->interrupts, load->raised_ns - due);
        }
    }
    load->raised_ns = 0;
}

/*
 * An interrupt is that of the first entry that it finds, if it came alone: of
 * several, only the last one's time is known. One that comes after its entry
 * was read finds another one now and then, which may not even have been due.
 */
static void look(Load *load)
{
    PeerIrq *irq = &load->peer->irq;
    /* Acquire: pairs with peer_irq_raise(): so raised_ns is set. */
    unsigned irqs = atomic_load_explicit(&irq->count, memory_order_acquire);

    if (irqs == load->irqs) {
        return;
    }
    load->raised_ns = irqs - load->irqs == 1
                          ? atomic_load_explicit(&irq->raised_ns,
                                                 memory_order_relaxed)
                          : 0;
    load->irqs = irqs;
    peer_consume(load->peer, read_entry, load);
    load->raised_ns = 0;
    load->heard_ns = bench_now_ns();
}

/* A peer that does not interrupt is broken, and one that is stuck is too. */
static void check_silence(Load *load, int64_t now)
{
    const PeerOps *ops = load->peer->ops;
    int64_t silence = now - load->heard_ns;

    if (load->read == load->queued || silence < SILENCE_NS) {
        return;
    }
    if (ops->prod(load->peer) != load->peer->cons) {
        g_error("%s: no interrupt tells of entries in the ring", ops->name);
    }
    if (silence > TIME_OUT_NS) {
        g_error("%s: %" G_GUINT64_FORMAT " events do not come", ops->name,
                load->queued - load->read);
    }
}

static void wait_a_little(Load *load, int64_t now)
{
    bench_relax();
    look(load);
    check_silence(load, now);
}

/* ---- The hardware ---- */

static void report(Load *load, int64_t due, int64_t now)
{
    Peer *peer = load->peer;
    bool queued = event_source_report(peer->config.source, &peer->device, due);

    if (load->read == load->queued) {
        load->heard_ns = now;   /* nothing was owed until now */
    }
    if (queued) {
        load->queued++;
        load->queued_sum += due;
    }
    if (due >= load->warm_ns) {
        load->result->offered++;
        load->result->lost += !queued;
        histogram_record(load->late, now - due);
    }
}

/* Overdue ones at once, but the guest looks after each. */
static void report_all(Load *load, uint64_t rate, int64_t start_ns,
                       uint64_t count)
{
    const uint32_t interval_ns = NS_PER_S / rate;
    Prng prng = { .state = rate };
    int64_t cpu_ns = 0;

    for (uint64_t i = 0; i < count; i++) {
        int64_t due = start_ns + (int64_t)(i * interval_ns) +
                      prng_below(&prng, interval_ns);
        int64_t now;

        while ((now = bench_now_ns()) < due) {
            wait_a_little(load, now);
        }
        if (cpu_ns == 0 && due >= load->warm_ns) {
            cpu_ns = peer_cpu_ns(load->peer);
            load->result->wall_ns = -now;
        }
        report(load, due, now);
        look(load);
    }
    load->result->cpu_ns = -cpu_ns;
}

static void read_rest(Load *load)
{
    while (load->read < load->queued) {
        wait_a_little(load, bench_now_ns());
    }
    load->result->cpu_ns += peer_cpu_ns(load->peer);
    load->result->wall_ns += bench_now_ns();
    if (load->read != load->queued || load->read_sum != load->queued_sum) {
        g_error("%s: events were lost and others came twice",
                load->peer->ops->name);
    }
}

/* ---- Results ---- */

static void move(Histogram *histogram, HistogramSnapshot *snapshot)
{
    histogram_snapshot(histogram, snapshot);
    histogram_free(histogram);
}

void load_run(Peer *peer, uint64_t rate, double seconds, LoadResult *result)
{
    int64_t start_ns = bench_now_ns() + 100000;
    Load load = {
        .peer = peer,
        .result = result,
        .entries = histogram_new(),
        .interrupts = histogram_new(),
        .late = histogram_new(),
        .warm_ns = start_ns + (int64_t)(seconds / 10 * NS_PER_S),
        .irqs = atomic_load_explicit(&peer->irq.count, memory_order_acquire),
        .heard_ns = start_ns,
    };

    result->offered = 0;
    result->lost = 0;
    report_all(&load, rate, start_ns, seconds * rate);
    read_rest(&load);
    move(load.entries, &result->entries);
    move(load.interrupts, &result->interrupts);
    move(load.late, &result->late);
}
