/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The clock is not the reader's: one that reads all queues before it writes
 * what it has read would look faster than it is. A guest cannot tell such from
 * others, and it is a guest that waits here: for the last entry of each ring.
 */
#include "crowd.h"

#include "bench.h"

#include "hw/iommu/guest-mem.h"

/* What did not come in a minute does not come. */
#define TIME_OUT_NS INT64_C(60000000000)

static uint32_t entry_mask(const Crowd *crowd)
{
    return (UINT32_C(1) << crowd->log2_ring) - 1;
}

static uint64_t entry_tag(const Crowd *crowd, const CrowdUnit *unit,
                          uint32_t behind)
{
    uint32_t index = (unit->cons + behind) & entry_mask(crowd);
    uint64_t words[4];

    guest_words_load(words, &unit->entries[index * 4], 4);
    return words[2];
}

/* Tags have never been there before. */
static void await_entry(const Crowd *crowd, const CrowdUnit *unit,
                        uint32_t behind, uint64_t tag)
{
    int64_t end = bench_now_ns() + TIME_OUT_NS;

    while (entry_tag(crowd, unit, behind) != tag) {
        bench_relax();
        g_assert_cmpint(bench_now_ns(), <, end);
    }
}

/* The last entry is there: PROD is about to say so. */
static void read_ring(Crowd *crowd, size_t index, uint32_t events,
                      uint64_t tag)
{
    CrowdUnit *unit = &crowd->units[index];
    uint32_t prod = (unit->cons + events) & (entry_mask(crowd) << 1 | 1);
    int64_t end = bench_now_ns() + TIME_OUT_NS;

    while (crowd->ops->prod(crowd, index) != prod) {
        g_assert_cmpint(bench_now_ns(), <, end);
    }
    for (uint32_t i = 0; i < events; i++) {
        g_assert_cmpuint(entry_tag(crowd, unit, i), ==, tag + i);
    }
    unit->cons = prod;
    crowd->ops->set_cons(crowd, index, prod);
}

int64_t crowd_drain(Crowd *crowd, size_t first, size_t count, uint32_t events)
{
    CrowdUnit *units = &crowd->units[first];
    uint64_t tag = crowd->tag;
    int64_t start_ns;
    int64_t ns;

    event_source_hold(crowd->source);
    for (size_t i = 0; i < count; i++) {
        uint64_t queued = event_source_fill(crowd->source, &units[i].device, 1,
                                            events, crowd->tag);

        g_assert_cmpuint(queued, ==, events);
        crowd->tag += events;
    }
    start_ns = bench_now_ns();
    event_source_release(crowd->source, 1);
    for (size_t i = 0; i < count; i++) {
        await_entry(crowd, &units[i], events - 1, tag + (i + 1) * events - 1);
    }
    ns = bench_now_ns() - start_ns;
    for (size_t i = 0; i < count; i++) {
        read_ring(crowd, first + i, events, tag + i * events);
    }
    return ns;
}
