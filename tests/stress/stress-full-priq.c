/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An SMMUv3's PRI queue that is full: emulated devices race, each under its
 * dev_lock, for the room that a lazy guest makes, which answers some groups
 * late, some twice, some for others; a vCPU changes their STEs and CDs and
 * invalidates both; a monitor unplugs and plugs them.
 *
 * Checked is that every group comes back once, with the answer that was meant
 * for it or the unplug's; that each response was an answer or is counted as a
 * stray one; and back pressure: the guest never sees an overflow, and no group
 * is answered in its place.
 */
#include "cmdq-fixture.h"
#include "priq-port.h"
#include "priq-fixture.h"
#include "race.h"

#define PORTS 3
#define FIRST_SID 0x10
#define LOG2_PRIQ 3             /* 8 entries: two or three groups */

#define LAZY_STEPS 4
#define MAX_LATE 16
#define MAX_SETTLING 1000
#define PLUG_STEPS 40

#define OP_CFGI_STE 0x03
#define OP_CFGI_CD 0x05

/* CMD_PRI_RESP.Resp */
enum { RESP_INVALID = 1, RESP_SUCCESS };

typedef struct PriqAnswer {
    uint32_t sid;
    uint32_t pasid;
    uint32_t index;
} PriqAnswer;

typedef struct PriqRace {
    Gate *gate;
    Fixture *f;
    pthread_mutex_t guest;      /* the guest's own: its command queue */
    PriqPort ports[PORTS];
    GArray *late;               /* PriqAnswer; the handler's */
    uint64_t responses;         /* the handler's */
    uint64_t plugs;             /* the monitor's */
    GRand *handler_rand;
    GRand *vcpu_rand;
    GRand *monitor_rand;
} PriqRace;

static uint64_t full;
static uint64_t stray;
static uint64_t no_answer;

static bool once_in(GRand *rand, gint32 n)
{
    return g_rand_int_range(rand, 0, n) == 0;
}

/* ---- The handler ---- */

static void respond(PriqRace *r, const PriqAnswer *answer)
{
    pthread_mutex_lock(&r->guest);
    priq_respond(r->f, answer->sid, answer->pasid, answer->index,
                 answer->index & 1 ? RESP_INVALID : RESP_SUCCESS);
    pthread_mutex_unlock(&r->guest);
    r->responses++;
}

static void respond_late(PriqRace *r)
{
    for (guint i = 0; i < r->late->len; i++) {
        respond(r, &g_array_index(r->late, PriqAnswer, i));
    }
    g_array_set_size(r->late, 0);
}

/* Another device's, PASID's or index's; that of an index that may be open. */
static void respond_to_stranger(PriqRace *r, const PriqAnswer *answer)
{
    PriqAnswer stranger = *answer;

    switch (g_rand_int_range(r->handler_rand, 0, 3)) {
    case 0:
        stranger.sid = FIRST_SID + g_rand_int_range(r->handler_rand, 0,
                                                    PORTS + 1);
        break;
    case 1:
        stranger.pasid = g_rand_int_range(r->handler_rand, 1, 6);
        break;
    case 2:
        stranger.index = g_rand_int_range(r->handler_rand, 0, 512);
        break;
    }
    respond(r, &stranger);
}

static void answer_group(PriqRace *r, const PriqAnswer *answer)
{
    if (once_in(r->handler_rand, 4) && r->late->len < MAX_LATE) {
        g_array_append_val(r->late, *answer);
        return;
    }
    respond(r, answer);
    if (once_in(r->handler_rand, 8)) {
        respond(r, answer);
    }
    if (once_in(r->handler_rand, 8)) {
        respond_to_stranger(r, answer);
    }
}

/* Return: false if the queue was empty. */
static bool read_entry(PriqRace *r)
{
    uint64_t ppr[2];
    PriqAnswer answer;

    if (!guest_consume_ppr(r->f, ppr)) {
        return false;
    }
    answer = (PriqAnswer){
        .sid = (uint32_t)ppr[0],
        .pasid = ppr[0] & PPR_SSV ? ppr[0] >> 32 & PAGE_GROUP_PASID_MAX
                                  : NO_PASID,
        .index = ppr[1] & PAGE_GROUP_INDEX_MASK,
    };
    if (ppr[0] & PPR_LAST) {
        answer_group(r, &answer);
    }
    return true;
}

static bool is_full(PriqRace *r)
{
    ViommuPageStats stats = viommu_get_page_stats(r->f->viommu);

    return stats.queue_used + PRIQ_PORT_PAGES > stats.queue_size;
}

static void handler_step(void *opaque)
{
    PriqRace *r = opaque;
    int steps = g_rand_int_range(r->handler_rand, 1, LAZY_STEPS);
    int entries = g_rand_int_range(r->handler_rand, 1, 9);

    while (steps-- > 0 && !is_full(r)) {
        gate_await_steps(r->gate, 1);
    }
    full += is_full(r);
    while (entries-- > 0 && read_entry(r)) {
        continue;
    }
    if (once_in(r->handler_rand, 4)) {
        respond_late(r);
    }
}

/* ---- The vCPU, and the monitor ---- */

/* Bypass or invalid; nothing looks at the latter while there is no overflow. */
static void vcpu_step(void *opaque)
{
    PriqRace *r = opaque;
    uint32_t sid = FIRST_SID + g_rand_int_range(r->vcpu_rand, 0, PORTS);

    pthread_mutex_lock(&r->guest);
    guest_set_ste(r->f, sid, g_rand_boolean(r->vcpu_rand) ? 1 | 4 << 1 : 0, 0);
    guest_command(r->f, OP(OP_CFGI_STE, sid), 1);
    guest_command(r->f, OP(OP_CFGI_CD, sid), 1);
    guest_command(r->f, SYNC, 0);
    guest_kick(r->f);
    pthread_mutex_unlock(&r->guest);
    gate_step(r->gate);
}

static void monitor_step(void *opaque)
{
    PriqRace *r = opaque;
    PriqPort *port = &r->ports[g_rand_int_range(r->monitor_rand, 0, PORTS)];

    if (priq_port_is_plugged(port)) {
        priq_port_unplug(port);
    } else {
        priq_port_plug(port);
    }
    r->plugs++;
    gate_await_steps(r->gate, g_rand_int_range(r->monitor_rand, 1, PLUG_STEPS));
}

/* ---- Books ---- */

static unsigned all_out(PriqRace *r)
{
    unsigned out = 0;

    for (unsigned i = 0; i < PORTS; i++) {
        out += priq_port_out(&r->ports[i]);
    }
    return out;
}

static void nothing_bh(void *opaque)
{
}

static void settle(PriqRace *r)
{
    unsigned rounds = 0;

    do {
        g_assert_cmpuint(rounds++, <, MAX_SETTLING);
        while (read_entry(r)) {
            continue;
        }
        respond_late(r);
        /* What was answered is with the devices, and what waited is here. */
        aio_wait_bh_oneshot(r->f->ctx, nothing_bh, NULL);
        for (unsigned i = 0; i < PORTS; i++) {
            priq_port_settle(&r->ports[i]);
        }
    } while (all_out(r) > 0);
}

static void priq_check(void *opaque)
{
    PriqRace *r = opaque;
    ViommuPageStats stats;
    uint64_t raised = 0;
    uint64_t unanswered = 0;

    settle(r);
    stats = viommu_get_page_stats(r->f->viommu);
    for (unsigned i = 0; i < PORTS; i++) {
        g_assert_cmpuint(r->ports[i].back, ==, r->ports[i].raised);
        raised += r->ports[i].raised;
        unanswered += r->ports[i].no_answer;
    }
    g_assert_cmpuint(stats.raised, ==, raised);
    g_assert_cmpuint(stats.raised, ==, stats.answered + stats.invalid);
    g_assert_cmpuint(stats.open, ==, 0);
    g_assert_cmpuint(r->responses, ==, stats.answered + stats.stray);
    g_assert_cmpuint(unanswered, <=, stats.invalid);
    g_assert_cmpuint(stats.retried + stats.overflows, ==, 0);
    g_assert_false(cmdq_error_is_active(r->f));
}

/* ---- A round ---- */

static void *priq_setup(RaceRun *run)
{
    PriqRace *r = g_new0(PriqRace, 1);

    r->gate = &run->gate;
    r->f = fixture_new(&PRIQ_PROPERTIES, true);
    pthread_mutex_init(&r->guest, NULL);
    r->late = g_array_new(FALSE, FALSE, sizeof(PriqAnswer));
    r->handler_rand = g_rand_new_with_seed(g_rand_int(run->rand));
    r->vcpu_rand = g_rand_new_with_seed(g_rand_int(run->rand));
    r->monitor_rand = g_rand_new_with_seed(g_rand_int(run->rand));
    guest_start_priq(r->f, 4, 6, LOG2_PRIQ);
    for (unsigned i = 0; i < PORTS; i++) {
        priq_port_init(&r->ports[i], r->gate, r->f->viommu, FIRST_SID + i,
                       run->rand);
        priq_port_plug(&r->ports[i]);
        gate_add_thread(r->gate, "device", priq_port_step, &r->ports[i]);
    }
    gate_add_thread(r->gate, "vcpu handler", handler_step, r);
    gate_add_thread(r->gate, "vcpu tables", vcpu_step, r);
    gate_add_thread(r->gate, "monitor", monitor_step, r);
    return r;
}

static void priq_kick(void *opaque)
{
    PriqRace *r = opaque;

    for (unsigned i = 0; i < PORTS; i++) {
        priq_port_kick(&r->ports[i]);
    }
}

static void priq_teardown(void *opaque, RaceRun *run)
{
    PriqRace *r = opaque;

    for (unsigned i = 0; i < PORTS; i++) {
        if (priq_port_is_plugged(&r->ports[i])) {
            priq_port_unplug(&r->ports[i]);
        }
        run->counts.groups += r->ports[i].raised;
        no_answer += r->ports[i].no_answer;
        priq_port_destroy(&r->ports[i]);
    }
    run->counts.plugs += r->plugs;
    stray += viommu_get_page_stats(r->f->viommu).stray;
    fixture_free(r->f);
    pthread_mutex_destroy(&r->guest);
    g_array_unref(r->late);
    g_rand_free(r->handler_rand);
    g_rand_free(r->vcpu_rand);
    g_rand_free(r->monitor_rand);
    g_free(r);
}

static bool priq_enough(void)
{
    return full > 0 && stray > 0 && no_answer > 0;
}

static void priq_end(void)
{
    g_test_message("%" G_GUINT64_FORMAT " times full, %" G_GUINT64_FORMAT
                   " stray responses, %" G_GUINT64_FORMAT
                   " groups that an unplug ended", full, stray, no_answer);
}

int main(int argc, char **argv)
{
    static const Race race = {
        .name = "full-priq",
        .quiet_points = 4,
        .stride = 1000,
        .setup = priq_setup,
        .kick = priq_kick,
        .check = priq_check,
        .teardown = priq_teardown,
        .least = { .groups = 1, .plugs = 1 },
        .enough = priq_enough,
        .end = priq_end,
    };

    return race_main(argc, argv, &race);
}
