/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Random steps of everybody who has to do with page requests, and after them a
 * guest that only makes room: whatever waited comes, and in the end each group
 * was answered exactly once. Busy polling is on, so the steps also fall between
 * a read and its handler.
 */
#include "test-viommu-pages.h"

#define DEVICES 3               /* of either kind */
#define PASIDS 2
#define INDICES 8               /* few, so that keys are used again */
#define STEPS 400

typedef struct HostSide {
    FakeDevice *device;         /* NULL: not plugged in */
    bool attached[PASIDS];
} HostSide;

typedef struct World {
    GRand *rand;
    HostSide hosts[DEVICES];
    FakeSva *svas[DEVICES];     /* NULL: not plugged in */
    GArray *answered;           /* uint8_t: by tag, how often */
    unsigned asked;             /* groups of emulated devices */
    unsigned back;
    unsigned credits;
} World;

static unsigned pick(World *w, unsigned count)
{
    return g_rand_int_range(w->rand, 0, count);
}

static void host_raise(World *w, HostSide *host)
{
    uint32_t pasid = 1 + pick(w, PASIDS);
    unsigned count = 1 + pick(w, 12);
    uint8_t never = 0;
    EmulReport report = EMUL_REPORT_REFUSED;
    EmulPageRequest request = {
        .dev_id = host->device->dev_id, .pasid = pasid,
        .grpid = pick(w, INDICES), .tag = w->answered->len,
        .perm = pick(w, 10) ? PGFAULT_PERM_READ : 0,
    };

    for (unsigned i = 0; i < count; i++) {
        request.addr = 4096 * i;
        request.last = i == count - 1;
        report = emul_request_page(m->host, &request);
    }
    g_assert_cmpint(report, ==, host->attached[pasid - 1]
                                    ? EMUL_REPORT_QUEUED
                                    : EMUL_REPORT_REFUSED);
    if (report == EMUL_REPORT_QUEUED) {
        g_array_append_val(w->answered, never);
    }
}

static void host_toggle(World *w, HostSide *host, unsigned number)
{
    unsigned i = pick(w, PASIDS);

    if (!host->device) {
        host->device = fake_plug(m, RID + number);
    } else if (pick(w, 8) == 0) {
        fake_unplug(m, g_steal_pointer(&host->device));
        memset(host->attached, 0, sizeof(host->attached));
    } else if (host->attached[i] && pick(w, 2)) {
        fake_detach(m, host->device, 1 + i);
        host->attached[i] = false;
    } else {
        fake_attach_ok(m, host->device, 1 + i);
        host->attached[i] = true;
    }
}

static void came_back(FakeSva *device_, SvaGroup *group)
{
    World *w = device_->opaque;

    g_assert_cmpuint(group->code, !=, UINT32_MAX);
    w->back++;
    fake_group_free(group);
}

static void sva_ask(World *w, FakeSva *asking)
{
    SvaGroup *group = pick(w, 20)
        ? fake_group_new(1 + pick(w, PASIDS), pick(w, INDICES),
                         1 + pick(w, 12))
        : fake_stop_marker_new(1);

    if (viommu_page_request(asking->device, group)) {
        w->asked++;
    } else {
        fake_group_free(group);
    }
}

static void sva_toggle(World *w, FakeSva **device_, unsigned number)
{
    if (*device_) {
        fake_remove_sva(g_steal_pointer(device_));
        return;
    }
    *device_ = fake_add_sva(m, SVA_RID + number, 64);
    (*device_)->responded = came_back;
    (*device_)->opaque = w;
}

static void guest_answers(World *w)
{
    bool host = pick(w, 2);

    fake_respond(m, (host ? RID : SVA_RID) + pick(w, DEVICES),
                 1 + pick(w, PASIDS), pick(w, INDICES), pick(w, 3));
}

static void guest_changes_queue(World *w)
{
    static const uint32_t sizes[] = { 0, 3, 8, 16, 64 };

    if (pick(w, 4)) {
        fake_acknowledge_overflow(m);
    } else if (pick(w, 4)) {
        fake_set_queue(m, sizes[pick(w, G_N_ELEMENTS(sizes))]);
    } else {
        fake_drop_all(m);
    }
}

static void step(World *w)
{
    unsigned i = pick(w, DEVICES);
    FakeEntry entry;

    switch (pick(w, 12)) {
    case 0:
    case 1:
    case 2:
        if (w->hosts[i].device) {
            host_raise(w, &w->hosts[i]);
        }
        break;
    case 3:
    case 4:
    case 5:
        if (w->svas[i]) {
            sva_ask(w, w->svas[i]);
        }
        break;
    case 6:
        host_toggle(w, &w->hosts[i], i);
        break;
    case 7:
        if (pick(w, 5) == 0) {
            sva_toggle(w, &w->svas[i], i);
        }
        break;
    case 8:
        guest_answers(w);
        break;
    case 9:
        for (unsigned n = pick(w, 12); n > 0 && fake_take(m, &entry); n--) {
            continue;
        }
        break;
    case 10:
        guest_changes_queue(w);
        break;
    default:
        aio_poll(m->ctx, false);
        break;
    }
}

/*
 * From here on the guest takes entries out, and does nothing else: no answer
 * has the home thread look around.
 */
static void let_all_come(void)
{
    fake_pump(m);
    fake_acknowledge_overflow(m);
    do {
        fake_pump(m);
        fake_acknowledge_overflow(m);
    } while (fake_take_all(m) > 0);
}

static void assert_all_shown(const World *w)
{
    EmulPageStats host = emul_get_page_stats(m->host);
    ViommuPageStats stats = fake_assert_balanced(m);

    g_assert_cmpuint(stats.open, ==,
                     page_request_open_count(m->viommu->pages.table));
    g_assert_null(m->viommu->pages.backlog.first);
    /* None is left in the kernel, unread. */
    g_assert_cmpuint(host.open + w->asked - w->back, ==, stats.open);
}

static void clean_up(World *w)
{
    for (unsigned i = 0; i < DEVICES; i++) {
        if (w->hosts[i].device) {
            fake_unplug(m, w->hosts[i].device);
        }
        if (w->svas[i]) {
            fake_remove_sva(w->svas[i]);
        }
    }
    g_assert_cmpuint(w->back, ==, w->asked);
    lock_assume_alone(&m->lock);
    for (unsigned i = 0; i < m->host_answers->len; i++) {
        uint64_t tag = fake_host_answer(m, i).tag;

        g_assert_cmpuint(g_array_index(w->answered, uint8_t, tag)++, ==, 0);
    }
    g_assert_cmpuint(m->host_answers->len, ==, w->answered->len);
    g_array_unref(w->answered);
    g_rand_free(w->rand);
    fake_machine_free(m);
}

static void run_world(uint32_t seed)
{
    World w = {
        .rand = g_rand_new_with_seed(seed),
        .answered = g_array_new(FALSE, FALSE, 1),
    };

    m = fake_machine_new(16, false);
    aio_set_poll_params(m->ctx, 1000 * 1000, 0, 0);
    for (unsigned i = 0; i < DEVICES; i++) {
        host_toggle(&w, &w.hosts[i], i);
        host_toggle(&w, &w.hosts[i], i);
        sva_toggle(&w, &w.svas[i], i);
    }
    for (unsigned i = 0; i < STEPS; i++) {
        step(&w);
    }
    let_all_come();
    assert_all_shown(&w);
    clean_up(&w);
}

static void test_random(void)
{
    unsigned worlds = g_test_quick() ? 100 : 50000;

    for (unsigned i = 0; i < worlds; i++) {
        uint32_t seed = g_test_rand_int();

        g_test_message("seed %u", seed);
        run_world(seed);
    }
}

static const Test tests[] = {
    { "random", test_random },
};

int main(int argc, char **argv)
{
    return run_tests(argc, argv, "/viommu-pages", tests, G_N_ELEMENTS(tests));
}
