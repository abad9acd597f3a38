/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "page-world.h"

#include "bench.h"
#include "hw/iommu/guest-mem.h"

#include <stdio.h>
#include <stdlib.h>

/* Without an answer, while some are due. */
#define PATIENCE_NS INT64_C(20000000000)

#define PAGE_BYTES 4096

/* A slot's group: open or not, its name, when it was due. */
typedef struct WorldSlot {
    bool open;
    PageKey key;
    int64_t due_ns;
} WorldSlot;

struct PageWorld {
    PagePeer *peer;
    Histogram *histogram;
    uint32_t head;              /* PQH */
    unsigned interrupts;        /* that the guest has taken */
    uint64_t raised;
    uint64_t answered;
    int64_t answered_ns;        /* when the last was, at the device */
    uint64_t seen;              /* entries that the guest has read */
    uint64_t churns;
    int64_t churn_ns;
    double loop_ns;             /* of the last closed loop */
    unsigned free_count;
    unsigned free[PAGE_PEER_SLOTS];
    WorldSlot slots[PAGE_PEER_SLOTS];
};

/* ---- Devices ---- */

static void raise_group(PageWorld *world, int64_t due_ns)
{
    unsigned at = world->free[--world->free_count];
    WorldSlot *slot = &world->slots[at];

    slot->open = true;
    slot->due_ns = due_ns;
    /* The page says which request of all this is. */
    slot->key = page_peer_key(world->peer, at, ++world->raised * PAGE_BYTES);
    world->peer->ops->raise(world->peer, at, &slot->key);
}

/* Return: false if there was no answer. */
static bool take_answer(PageWorld *world)
{
    PageAnswer answer;
    WorldSlot *slot;

    if (!page_peer_take_answer(world->peer, &answer)) {
        return false;
    }
    slot = &world->slots[answer.slot];
    g_assert(slot->open);
    slot->open = false;
    world->free[world->free_count++] = answer.slot;
    world->answered++;
    world->answered_ns = answer.ns;
    if (world->histogram) {
        histogram_record(world->histogram, answer.ns - slot->due_ns);
    }
    return true;
}

/* ---- The guest ---- */

static void check_entry(PageWorld *world, const uint64_t words[4])
{
    unsigned at = page_peer_entry_slot(world->peer, words);
    const WorldSlot *slot = &world->slots[at];
    uint64_t expected[4];

    g_assert(at < PAGE_PEER_SLOTS && slot->open);
    page_peer_make_entry(&slot->key, expected);
    g_assert(words[0] == expected[0] && words[1] == expected[1]);
    world->seen++;
}

/* From the head up to @tail, a batch at most. Return: entries. */
static size_t load_entries(PageWorld *world, uint32_t tail,
                           uint64_t (*entries)[4])
{
    size_t count = 0;

    while (world->head != tail && count < PAGE_PEER_BATCH) {
        guest_words_load(entries[count],
                         &world->peer->entries[world->head *
                                               PAGE_PEER_ENTRY_WORDS], 4);
        check_entry(world, entries[count++]);
        world->head = (world->head + 1) % PAGE_PEER_ENTRIES;
    }
    return count;
}

/* Read and answer as far as @tail. */
static void serve_entries(PageWorld *world, uint32_t tail)
{
    uint64_t entries[PAGE_PEER_BATCH][4];

    while (tail != world->head) {
        size_t count = load_entries(world, tail, entries);

        world->peer->ops->set_head(world->peer, world->head);
        world->peer->ops->respond(world->peer,
                                  (const uint64_t (*)[4])entries, count);
    }
}

/* The interrupt handler: all that is there, then what has come meanwhile. */
static void serve_interrupt(PageWorld *world)
{
    const PagePeerOps *ops = world->peer->ops;
    uint32_t tail;

    ops->acknowledge(world->peer);
    while ((tail = ops->tail(world->peer)) != world->head) {
        serve_entries(world, tail);
    }
}

/* Return: whether anything has happened. */
static bool world_step(PageWorld *world)
{
    /* Acquire: pairs with peer_irq_raise(). */
    unsigned interrupts = atomic_load_explicit(&world->peer->irq.count,
                                               memory_order_acquire);
    bool interrupted = interrupts != world->interrupts;

    if (interrupted) {
        world->interrupts = interrupts;
        serve_interrupt(world);
    }
    if (world->peer->ops->poll) {
        world->peer->ops->poll(world->peer);
    }
    return interrupted;
}

/* ---- Both ---- */

static G_GNUC_NORETURN void give_up(const PageWorld *world)
{
    fprintf(stderr, "%s: %" G_GUINT64_FORMAT " page request groups raised, %"
            G_GUINT64_FORMAT " seen by the guest, %" G_GUINT64_FORMAT
            " answered; no more come\n", world->peer->ops->name,
            world->raised, world->seen, world->answered);
    abort();
}

/* Until an answer is there to be taken. */
static void await_answer(PageWorld *world)
{
    int64_t start_ns = bench_now_ns();

    while (!take_answer(world)) {
        if (!world_step(world)) {
            bench_relax();
            if (bench_now_ns() - start_ns > PATIENCE_NS) {
                give_up(world);
            }
        }
    }
}

static void await_time(int64_t ns)
{
    while (bench_now_ns() < ns) {
        bench_relax();
    }
}

void page_world_trips(PageWorld *world, uint64_t count, int64_t pause_ns)
{
    int64_t due_ns = bench_now_ns();

    for (uint64_t i = 0; i < count; i++) {
        await_time(due_ns);
        raise_group(world, due_ns);
        await_answer(world);
        due_ns = bench_now_ns() + pause_ns;
    }
}

static void await_all(PageWorld *world)
{
    while (world->answered < world->raised) {
        await_answer(world);
    }
}

/* What is still open counts for nobody. */
static void drain(PageWorld *world)
{
    world->histogram = NULL;
    await_all(world);
}

/* Return: when the last was published, by the interrupt if that was the one. */
static int64_t await_entries(PageWorld *world, unsigned count)
{
    const uint32_t all = (world->head + count) % PAGE_PEER_ENTRIES;
    int64_t start_ns = bench_now_ns();
    PeerIrq *irq = &world->peer->irq;

    /* Acquire: pairs with peer_irq_raise(). */
    while (atomic_load_explicit(&irq->count, memory_order_acquire) ==
           world->interrupts) {
        bench_relax();
    }
    world->interrupts++;
    if (world->peer->ops->tail(world->peer) == all) {
        return atomic_load_explicit(&irq->raised_ns, memory_order_relaxed);
    }
    while (world->peer->ops->tail(world->peer) != all) {
        if (bench_now_ns() - start_ns > PATIENCE_NS) {
            give_up(world);
        }
    }
    return bench_now_ns();
}

static int64_t time_requests(PageWorld *world, unsigned count)
{
    int64_t start_ns;

    world->peer->ops->hold(world->peer);
    for (unsigned i = 0; i < count; i++) {
        raise_group(world, 0);
    }
    start_ns = bench_now_ns();
    world->peer->ops->release(world->peer);
    return await_entries(world, count) - start_ns;
}

/* Who answers on the vCPU has done so before the pump is let go. */
static int64_t time_answers(PageWorld *world, unsigned count)
{
    const PagePeerOps *ops = world->peer->ops;
    int64_t start_ns;
    bool there;

    ops->acknowledge(world->peer);
    ops->hold(world->peer);
    start_ns = bench_now_ns();
    serve_entries(world, (world->head + count) % PAGE_PEER_ENTRIES);
    there = page_peer_answers(world->peer) == count;
    start_ns = there ? start_ns : bench_now_ns();
    ops->release(world->peer);
    await_all(world);
    return world->answered_ns - start_ns;
}

double page_world_capacity(PageWorld *world, unsigned count,
                           int64_t duration_ns)
{
    g_autofree HistogramSnapshot *snapshot = g_new(HistogramSnapshot, 1);
    const int64_t start_ns = bench_now_ns();
    Histogram *rounds = histogram_new();

    drain(world);
    while (bench_now_ns() - start_ns < duration_ns) {
        int64_t requests_ns = time_requests(world, count);

        histogram_record(rounds, requests_ns + time_answers(world, count));
    }
    histogram_snapshot(rounds, snapshot);
    histogram_free(rounds);
    return count * 1e9 / histogram_snapshot_quantile(snapshot, 500);
}

static void churn(PageWorld *world)
{
    int64_t start_ns = bench_now_ns();

    page_peer_churn(world->peer);
    world->churn_ns += bench_now_ns() - start_ns;
    world->churns++;
}

/* What is answered is raised again. Return: whether there was anything. */
static bool turn_round(PageWorld *world)
{
    bool any = false;

    while (take_answer(world)) {
        raise_group(world, bench_now_ns());
        any = true;
    }
    return any;
}

double page_world_closed_loop(PageWorld *world, unsigned count,
                              int64_t duration_ns, uint64_t churn_every)
{
    int64_t start_ns = bench_now_ns();
    int64_t progress_ns = start_ns;
    uint64_t before = world->answered;
    uint64_t next_churn = churn_every ? before + churn_every : UINT64_MAX;
    int64_t now_ns = start_ns;
    double rate;

    world->churns = 0;
    world->churn_ns = 0;
    while (world->raised - world->answered < count) {
        raise_group(world, start_ns);
    }
    for (; now_ns - start_ns < duration_ns; now_ns = bench_now_ns()) {
        world_step(world);
        if (turn_round(world)) {
            progress_ns = now_ns;
        } else if (now_ns - progress_ns > PATIENCE_NS) {
            give_up(world);
        }
        if (world->answered >= next_churn) {
            churn(world);
            next_churn += churn_every;
        }
    }
    world->loop_ns = now_ns - start_ns;
    rate = (world->answered - before) * 1e9 / world->loop_ns;
    drain(world);
    return rate;
}

/* Of the group @next of an open loop that has begun at @start_ns. */
static int64_t due_time(int64_t start_ns, uint64_t next, double rate)
{
    return start_ns + next * 1e9 / rate;
}

double page_world_open_loop(PageWorld *world, double rate,
                            int64_t duration_ns)
{
    const uint64_t total = rate * duration_ns / 1e9;
    const int64_t start_ns = bench_now_ns();
    uint64_t before = world->answered;
    uint64_t next = 0;

    while (next < total) {
        int64_t now_ns = bench_now_ns();
        int64_t due_ns = due_time(start_ns, next, rate);

        if (now_ns - due_ns > PATIENCE_NS) {
            give_up(world);
        }
        /* All at once: hardware does not wait for us in between. */
        while (next < total && due_ns <= now_ns && world->free_count > 0) {
            raise_group(world, due_ns);
            due_ns = due_time(start_ns, ++next, rate);
        }
        world_step(world);
        while (take_answer(world)) {
            continue;
        }
    }
    await_all(world);
    return (world->answered - before) * 1e9 / (bench_now_ns() - start_ns);
}

void page_world_record(PageWorld *world, Histogram *histogram)
{
    world->histogram = histogram;
}

PageChurn page_world_get_churn(const PageWorld *world)
{
    return (PageChurn){
        .count = world->churns,
        .mean_ns = (double)world->churn_ns / MAX(world->churns, 1),
        .share = world->churn_ns / MAX(world->loop_ns, 1.0),
    };
}

PageWorld *page_world_new(PagePeer *peer)
{
    PageWorld *world = g_new0(PageWorld, 1);

    world->peer = peer;
    /* The first slots on top: few open groups are those of all devices. */
    while (world->free_count < PAGE_PEER_SLOTS) {
        world->free[world->free_count] =
            PAGE_PEER_SLOTS - 1 - world->free_count;
        world->free_count++;
    }
    return world;
}

void page_world_free(PageWorld *world)
{
    drain(world);
    g_assert_cmpuint(world->seen, ==, world->raised);
    g_free(world);
}
