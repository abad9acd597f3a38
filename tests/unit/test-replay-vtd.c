/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest that is replayed to finds in its page request queue, byte for byte,
 * what the one that was recorded did: groups of one and of more pages, of two
 * devices and several PASIDs.
 */
#include "pasid-fixture.h"
#include "recorded-host.h"

#include <string.h>

static char *path;

static void setup(void)
{
    path = recording_file_new();
}

static void teardown(void)
{
    recording_file_free(path);
}

#define PRQ_BYTES 4096
#define DID 7

typedef struct PagesSeen {
    GByteArray *read;
    uint8_t ring[PRQ_BYTES];
    uint64_t tail;
    ViommuPageStats stats;
} PagesSeen;

/* Read an entry; the last of a group is answered at once, if @answer. */
static bool consume_page(PagesSeen *seen, GArray *owed)
{
    uint64_t entry[4];

    if (!vtd_guest_consume(pf.f, entry)) {
        return false;
    }
    g_byte_array_append(seen->read, (const uint8_t *)entry, sizeof(entry));
    if (entry[1] & BIT(2)) {
        g_array_append_val(owed, entry);
    }
    return true;
}

/* Answer the group that was read first. */
static void answer_one(GArray *owed)
{
    const uint64_t *entry = (const uint64_t *)owed->data;

    vtd_guest_respond(pf.f, entry[0] >> 16 & 0xffff, entry[0] >> 32 & 0xfffff,
                      entry[1] >> 3 & 0x1ff, 0);
    g_array_remove_index(owed, 0);
    vtd_fixture_pump(pf.f);
}

static void finish_pages(PagesSeen *seen, GArray *owed)
{
    vtd_fixture_pump(pf.f);
    while (consume_page(seen, owed) || owed->len > 0) {
        if (owed->len > 0) {
            answer_one(owed);
        }
        vtd_fixture_pump(pf.f);
    }
    memcpy(seen->ring, vtd_guest_words(pf.f, VTD_GUEST_PRQ),
           sizeof(seen->ring));
    seen->tail = vtd_guest_read64(pf.f, A_PQT);
    seen->stats = viommu_get_page_stats(pf.f->viommu);
}

static void start_pages_guest(VfioDevice *first, VfioDevice *second)
{
    GError *error = NULL;

    pasid_setup();
    viommu_add_device(pf.f->viommu, first, PASID_RID, &error);
    g_assert_no_error(error);
    viommu_add_device(pf.f->viommu, second, PASID_RID2, &error);
    g_assert_no_error(error);
    g_ptr_array_add(pf.f->devices, first);
    g_ptr_array_add(pf.f->devices, second);
    pasid_start();
    pasid_set_first_stage(PASID_RID, 1, DID, PASID_SPACE);
    pasid_set_first_stage(PASID_RID2, 1, DID, PASID_SPACE);
    pasid_set_first_stage(PASID_RID2, 2, DID, PASID_SPACE + 0x10000);
}

/* Each index of a device's is open once at a time. */
static bool raise_pages(HostIommu *inner, VfioDevice *device, uint32_t pasid,
                        uint32_t grpid, unsigned count, uint64_t number)
{
    EmulPageRequest request = {
        .dev_id = vfio_device_get_dev_id(device), .pasid = pasid,
        .grpid = grpid, .tag = number,
    };

    for (unsigned i = 0; i < count; i++) {
        request.perm = 1 + (number + i) % 3;
        request.addr = (number << 20 & INT64_MAX >> 17) + 4096 * i;
        request.last = i == count - 1;
        g_assert_cmpint(emul_request_page(inner, &request), ==,
                        EMUL_REPORT_QUEUED);
    }
    return true;
}

static bool index_open[2][512];

static void note_answer(const EmulPageAnswer *answer, void *opaque)
{
    index_open[answer->tag & 1][answer->grpid] = false;
}

static void record_pages(PagesSeen *seen)
{
    Recorder *recorder = test_recorder_new(path);
    HostIommu *inner = test_emul_new();
    HostIommu *outer = record_host_new(inner, recorder, "host", "test");
    VfioDevice *devices[] = {
        recorded_device_open(inner, outer, PASID_RID, EMUL_IOMMU_VTD),
        recorded_device_open(inner, outer, PASID_RID2, EMUL_IOMMU_VTD),
    };
    g_autoptr(GArray) owed = g_array_new(FALSE, FALSE, 4 * sizeof(uint64_t));
    GRand *rand = g_rand_new_with_seed(11);
    uint64_t raised = 0;

    seen->read = g_byte_array_new();
    memset(index_open, 0, sizeof(index_open));
    emul_set_answer_func(inner, note_answer, NULL);
    start_pages_guest(devices[0], devices[1]);
    for (int step = 0; step < 600; step++) {
        unsigned which = g_rand_int_range(rand, 0, 2);
        uint32_t grpid = g_rand_int_range(rand, 0, 40);

        if (!index_open[which][grpid]) {
            index_open[which][grpid] = true;
            raised += raise_pages(inner, devices[which],
                                  which ? 1 + grpid % 2 : 1, grpid,
                                  g_rand_int_range(rand, 1, 9),
                                  (uint64_t)step << 1 | which);
        }
        if (g_rand_boolean(rand)) {
            vtd_fixture_pump(pf.f);
        }
        for (int i = g_rand_int_range(rand, 0, 10); i > 0; i--) {
            consume_page(seen, owed);
        }
        for (int i = g_rand_int_range(rand, 0, 4); i > 0 && owed->len; i--) {
            answer_one(owed);
        }
    }
    finish_pages(seen, owed);
    g_assert_cmpuint(seen->stats.answered, ==, raised);
    test_devices_close(pf.f->viommu, pf.f->devices);
    pasid_teardown();
    host_iommu_free(outer);
    test_recorder_close(recorder);
    g_rand_free(rand);
}

static void replay_pages(PagesSeen *seen, ReplaySpeed speed)
{
    HostIommu *host = test_replay_new(path, speed);
    g_autoptr(GArray) owed = g_array_new(FALSE, FALSE, 4 * sizeof(uint64_t));
    ReplayStats stats;

    seen->read = g_byte_array_new();
    start_pages_guest(
        replayed_device_open(host, PASID_RID, EMUL_IOMMU_VTD),
        replayed_device_open(host, PASID_RID2, EMUL_IOMMU_VTD));
    replay_host_start(host);
    while (!replay_host_is_done(host)) {
        vtd_fixture_pump(pf.f);
        consume_page(seen, owed);
        if (owed->len > 5) {
            answer_one(owed);
        }
        if (owed->len > 0 && !consume_page(seen, owed)) {
            answer_one(owed);
        }
    }
    finish_pages(seen, owed);
    stats = replay_host_get_stats(host);
    g_assert_cmpuint(stats.left, ==, 0);
    g_assert_cmpuint(stats.open, ==, 0);
    g_assert_cmpuint(stats.answered, ==, seen->stats.answered);
    test_devices_close(pf.f->viommu, pf.f->devices);
    pasid_teardown();
    g_assert_cmpuint(emul_get_stats(replay_host_get_emul(host)).objects, ==, 0);
    host_iommu_free(host);
}

static void check_pages(ReplaySpeed speed)
{
    PagesSeen recorded, replayed;

    record_pages(&recorded);
    replay_pages(&replayed, speed);
    g_assert_cmpuint(recorded.read->len, >, 1000 * 32);
    g_assert_cmpmem(recorded.read->data, recorded.read->len,
                    replayed.read->data, replayed.read->len);
    g_assert_cmpmem(recorded.ring, sizeof(recorded.ring),
                    replayed.ring, sizeof(replayed.ring));
    g_assert_cmphex(recorded.tail, ==, replayed.tail);
    g_assert_cmpuint(recorded.stats.answered, ==, replayed.stats.answered);
    g_assert_cmpuint(replayed.stats.invalid, ==, 0);
    g_byte_array_unref(recorded.read);
    g_byte_array_unref(replayed.read);
}

static void test_pages_max(void)
{
    check_pages(REPLAY_MAX);
}

static void test_pages_recorded_pace(void)
{
    check_pages(REPLAY_RECORDED);
}

static const FixtureTest tests[] = {
    { test_pages_max, "at-full-speed-are-the-same-bytes" },
    { test_pages_recorded_pace, "at-their-pace-are-the-same-bytes" },
};

int main(int argc, char **argv)
{
    return fixture_main(argc, argv, "/replay/pages", tests,
                        G_N_ELEMENTS(tests), setup, teardown);
}
