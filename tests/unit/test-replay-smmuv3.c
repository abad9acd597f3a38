/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest that is replayed to finds in its event queue, byte for byte, what the
 * one that was recorded did, with losses in the middle and at the tail.
 */
#include "fixture.h"
#include "recorded-host.h"

#include "hw/arm/smmuv3-internal.h"

#include <string.h>

/* Room in the guest's event queue, and so the depth of the host's. */
#define LOG2_EVENTS 4
#define EVENTQ_BYTES (32 << LOG2_EVENTS)

#define SID_A 8
#define SID_B 16

static char *path;

static void setup(void)
{
    path = recording_file_new();
}

static void teardown(void)
{
    recording_file_free(path);
}

/* What a run has left: all that was read in order, and the ring as it is. */
typedef struct EventsSeen {
    GByteArray *read;
    uint8_t ring[EVENTQ_BYTES];
    uint32_t prod;
    ViommuStats stats;
} EventsSeen;

static void seen_clear(EventsSeen *seen)
{
    g_byte_array_unref(seen->read);
}

static bool consume_event(Fixture *f, EventsSeen *seen)
{
    uint64_t event[4];

    if (!guest_consume(f, event)) {
        return false;
    }
    g_byte_array_append(seen->read, (const uint8_t *)event, sizeof(event));
    return true;
}

static void consume_all_events(Fixture *f, EventsSeen *seen)
{
    do {
        fixture_pump(f);
    } while (consume_event(f, seen));
}

static void see_events(Fixture *f, EventsSeen *seen)
{
    memcpy(seen->ring, guest_words(f, GUEST_EVENTQ), sizeof(seen->ring));
    seen->prod = guest_read(f, A_EVENTQ_PROD);
    seen->stats = viommu_get_stats(f->viommu);
}

static void plug(Fixture *f, VfioDevice *device, uint32_t sid)
{
    GError *error = NULL;

    viommu_add_device(f->viommu, device, sid, &error);
    g_assert_no_error(error);
    g_ptr_array_add(f->devices, device);
}

static void report(HostIommu *inner, VfioDevice *device, uint64_t number)
{
    const uint64_t event[4] = {
        0x10, BIT(35), number << 12, number * UINT64_C(0x9e3779b97f4a7c15),
    };

    g_assert_cmpint(emul_report_event(inner, vfio_device_get_dev_id(device),
                                      event), !=, EMUL_REPORT_REFUSED);
}

/* A guest that now and then does not look, so that the host's queue is full. */
static void record_events(EventsSeen *seen)
{
    Recorder *recorder = test_recorder_new(path);
    HostIommu *inner = test_emul_new();
    HostIommu *outer = record_host_new(inner, recorder, "host", "test");
    Fixture *f = fixture_new(NULL, false);
    VfioDevice *devices[] = {
        recorded_device_open(inner, outer, SID_A, EMUL_IOMMU_SMMUV3),
        recorded_device_open(inner, outer, SID_B, EMUL_IOMMU_SMMUV3),
    };
    GRand *rand = g_rand_new_with_seed(7);
    uint64_t number = 0;

    seen->read = g_byte_array_new();
    plug(f, devices[0], SID_A);
    plug(f, devices[1], SID_B);
    guest_start(f, LOG2_EVENTS, 4);
    for (int step = 0; step < 500; step++) {
        for (int i = g_rand_int_range(rand, 0, 14); i > 0; i--) {
            report(inner, devices[g_rand_boolean(rand)], number++);
        }
        if (g_rand_boolean(rand)) {
            fixture_pump(f);
        }
        for (int i = g_rand_int_range(rand, 0, 16); i > 0; i--) {
            consume_event(f, seen);
        }
    }
    consume_all_events(f, seen);
    see_events(f, seen);
    g_assert_cmpuint(seen->stats.lost, >, 100);
    g_assert_cmpuint(seen->stats.delivered + seen->stats.lost, ==, number);
    fixture_unplug_all(f);
    fixture_free(f);
    host_iommu_free(outer);
    test_recorder_close(recorder);
    g_rand_free(rand);
}

/* @lazy: it leaves some, so that room comes piecemeal. */
static void replay_events(EventsSeen *seen, ReplaySpeed speed, bool lazy)
{
    HostIommu *host = test_replay_new(path, speed);
    Fixture *f = fixture_new(NULL, false);
    ReplayStats stats;

    seen->read = g_byte_array_new();
    plug(f, replayed_device_open(host, SID_A, EMUL_IOMMU_SMMUV3), SID_A);
    plug(f, replayed_device_open(host, SID_B, EMUL_IOMMU_SMMUV3), SID_B);
    guest_start(f, LOG2_EVENTS, 4);
    fixture_pump(f);
    g_assert_false(consume_event(f, seen));
    replay_host_start(host);
    while (!replay_host_is_done(host)) {
        fixture_pump(f);
        for (int i = 0; i < 3 && lazy; i++) {
            consume_event(f, seen);
        }
        if (!lazy) {
            consume_all_events(f, seen);
        }
    }
    consume_all_events(f, seen);
    see_events(f, seen);
    stats = replay_host_get_stats(host);
    g_assert_cmpuint(stats.left, ==, 0);
    g_assert_cmpuint(stats.generated, ==,
                     seen->stats.delivered + seen->stats.lost);
    fixture_unplug_all(f);
    fixture_free(f);
    g_assert_cmpuint(emul_get_stats(replay_host_get_emul(host)).objects, ==, 0);
    g_assert_cmpuint(emul_get_stats(replay_host_get_emul(host)).busy, ==, 0);
    host_iommu_free(host);
}

static void assert_same_events(const EventsSeen *a, const EventsSeen *b)
{
    g_assert_cmpmem(a->read->data, a->read->len, b->read->data, b->read->len);
    g_assert_cmpmem(a->ring, sizeof(a->ring), b->ring, sizeof(b->ring));
    g_assert_cmphex(a->prod, ==, b->prod);
    g_assert_cmpuint(a->stats.delivered, ==, b->stats.delivered);
    g_assert_cmpuint(a->stats.lost, ==, b->stats.lost);
    g_assert_cmpuint(b->stats.malformed, ==, 0);
}

static void check_events(ReplaySpeed speed, bool lazy)
{
    EventsSeen recorded, replayed;

    record_events(&recorded);
    replay_events(&replayed, speed, lazy);
    assert_same_events(&recorded, &replayed);
    seen_clear(&recorded);
    seen_clear(&replayed);
}

static void test_events_max(void)
{
    check_events(REPLAY_MAX, false);
}

static void test_events_little_room(void)
{
    check_events(REPLAY_MAX, true);
}

static void test_events_recorded_pace(void)
{
    check_events(REPLAY_RECORDED, false);
}

static const FixtureTest tests[] = {
    { test_events_max, "at-full-speed-are-the-same-bytes" },
    { test_events_little_room, "into-little-room-are-the-same-bytes" },
    { test_events_recorded_pace, "at-their-pace-are-the-same-bytes" },
};

int main(int argc, char **argv)
{
    return fixture_main(argc, argv, "/replay/events", tests,
                        G_N_ELEMENTS(tests), setup, teardown);
}
