/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "drain.h"

#include "bench.h"

#define FILL (DRAIN_EVENTS + DRAIN_BEHIND)

/* What did not come in a minute does not come. */
#define TIME_OUT_NS INT64_C(60000000000)

/* A reader that is awake, or is woken, has come by then, mostly. */
#define CATCH_NS 1000000

/* Drains until caches, and what adapts itself, are warm. */
#define WARM_UP 4

static void check_entry(void *opaque, const uint64_t entry[4])
{
    Drain *drain = opaque;

    g_assert_cmpuint(entry[2], ==, drain->expected);
    drain->expected++;
}

/* All that was made, so far. */
static void read_all(Drain *drain)
{
    int64_t end = bench_now_ns() + TIME_OUT_NS;

    while (drain->expected < drain->tag) {
        g_assert_cmpint(bench_now_ns(), <, end);
        peer_consume(drain->peer, check_entry, drain);
    }
}

static void read_some(void *opaque)
{
    Drain *drain = opaque;

    peer_consume(drain->peer, check_entry, drain);
}

static void fill(void *opaque)
{
    Drain *drain = opaque;
    uint64_t queued = event_source_fill(drain->peer->config.source,
                                        &drain->peer->device, 1, FILL,
                                        drain->tag);

    g_assert_cmpuint(queued, ==, FILL);
    drain->tag += FILL;
}

void drain_init(Drain *drain, Peer *peer, bool warm)
{
    *drain = (Drain){ .peer = peer, .warm = warm };
}

/* Until all that was made is in the ring, unread. */
static void await_all(Drain *drain)
{
    const uint32_t mask = (UINT32_C(2) << DRAIN_LOG2_RING) - 1;
    Peer *peer = drain->peer;
    int64_t end = bench_now_ns() + TIME_OUT_NS;

    while (peer->ops->prod(peer) != (drain->tag & mask)) {
        bench_relax();
        g_assert_cmpint(bench_now_ns(), <, end);
    }
}

/* Make events, seldom, until a reader comes for them and is held. */
static void catch_reader(Drain *drain)
{
    EventSource *source = drain->peer->config.source;

    while (!event_source_is_waited_for(source)) {
        int64_t end = bench_now_ns() + CATCH_NS;
        bool queued = event_source_report(source, &drain->peer->device,
                                          drain->tag++);

        g_assert(queued);
        while (!event_source_is_waited_for(source) && bench_now_ns() < end) {
            bench_relax();
        }
    }
}

int64_t drain_once(Drain *drain)
{
    EventSource *source = drain->peer->config.source;
    int64_t ns, cpu_ns;

    event_source_hold(source);
    if (drain->warm) {
        catch_reader(drain);
        event_source_on_reader(source, read_some, drain);
        event_source_on_reader(source, fill, drain);
    } else {
        fill(drain);
    }
    cpu_ns = peer_cpu_ns(drain->peer);
    ns = event_source_time(source, DRAIN_EVENTS);
    g_assert_cmpint(ns, >, 0);
    drain->cpu_ns = peer_cpu_ns(drain->peer) - cpu_ns;
    if (drain->warm) {
        await_all(drain);
    } else {
        read_all(drain);
    }
    return ns;
}

double drain_median(Drain *drain, unsigned count)
{
    g_autofree double *ns = g_new(double, count);

    for (unsigned i = 0; i < WARM_UP; i++) {
        drain_once(drain);
    }
    for (unsigned i = 0; i < count; i++) {
        ns[i] = drain_once(drain);
    }
    read_all(drain);
    return figures_median(ns, count);
}
