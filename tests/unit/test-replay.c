/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A replayed queue as its user sees it: like the kernel's, with what was
 * recorded in it.
 */
#include "recorded-host.h"

#include "host/iommufd.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#define SID 8
#define RID 24
#define DEPTH 8
#define EVENT_BYTES 40
#define PAGE_BYTES 40

static char *path;
static Recorder *recorder;
static RecordedRig rig;

static void record_begin(void)
{
    path = recording_file_new();
    recorder = test_recorder_new(path);
    rig = (RecordedRig){ .inner = test_emul_new() };
    rig.host = record_host_new(rig.inner, recorder, "host", "test");
}

static void record_end(void)
{
    recorded_rig_down(&rig);
    host_iommu_free(rig.host);
    test_recorder_close(recorder);
}

static void replay_begin(ReplaySpeed speed)
{
    rig = (RecordedRig){ .host = test_replay_new(path, speed) };
}

static void replay_end(void)
{
    recorded_rig_down(&rig);
    g_assert_cmpuint(emul_get_stats(replay_host_get_emul(rig.host)).objects,
                     ==, 0);
    host_iommu_free(rig.host);
    recording_file_free(path);
}

static ssize_t rig_read(void *buf, size_t count)
{
    return rig.host->ops->read(rig.host, rig.queue_fd, buf, count);
}

static bool is_readable(void)
{
    struct pollfd pfd = { .fd = rig.queue_fd, .events = POLLIN };

    return poll(&pfd, 1, 0) == 1;
}

static ReplayStats device_stats(void)
{
    return replay_device_get_stats(rig.host,
                                   vfio_device_get_dev_id(rig.device));
}

static void assert_errno(ssize_t ret, int err)
{
    g_assert_cmpint(ret, ==, -1);
    g_assert_cmpint(errno, ==, err);
}

static void report(uint64_t address)
{
    const uint64_t event[4] = { 0x10, 0, address, 0 };

    emul_report_event(rig.inner, vfio_device_get_dev_id(rig.device), event);
}

/* ---- Events ---- */

/* [0 1 2] read at once, or [0] [1 2] if @apart. */
static void record_events(unsigned count)
{
    uint8_t buf[EVENT_BYTES * 100];

    record_begin();
    recorded_rig_events(&rig, SID, DEPTH);
    for (unsigned i = 0; i < count; i++) {
        report(i);
    }
    rig_read(buf, sizeof(buf));
    record_end();
}

static void test_room(void)
{
    uint8_t buf[3 * EVENT_BYTES];

    record_events(3);
    replay_begin(REPLAY_MAX);
    recorded_rig_events(&rig, SID, DEPTH);
    g_assert_false(is_readable());
    g_assert_cmpint(rig_read(buf, sizeof(buf)), ==, 0);
    replay_host_start(rig.host);
    g_assert_true(is_readable());
    assert_errno(rig_read(buf, 7), EINVAL);
    assert_errno(rig_read(buf, EVENT_BYTES - 1), EINVAL);
    g_assert_cmpint(rig_read(buf, 2 * EVENT_BYTES + 39), ==, 2 * EVENT_BYTES);
    g_assert_true(is_readable());
    g_assert_false(replay_host_is_done(rig.host));
    g_assert_cmpint(rig_read(buf, sizeof(buf)), ==, EVENT_BYTES);
    g_assert_false(is_readable());
    g_assert_cmpint(rig_read(buf, sizeof(buf)), ==, 0);
    g_assert_true(replay_host_is_done(rig.host));
    g_assert_cmpuint(replay_host_get_stats(rig.host).generated, ==, 3);
    g_assert_cmpuint(device_stats().generated, ==, 3);
    replay_end();
}

static void test_lost_header_is_last(void)
{
    uint8_t buf[100 * EVENT_BYTES];
    struct iommufd_vevent_header header;

    record_begin();
    recorded_rig_events(&rig, SID, DEPTH);
    for (unsigned i = 0; i < DEPTH + 2; i++) {
        report(i);
    }
    rig_read(buf, sizeof(buf));
    report(99);
    rig_read(buf, sizeof(buf));
    record_end();
    replay_begin(REPLAY_MAX);
    recorded_rig_events(&rig, SID, DEPTH);
    replay_host_start(rig.host);
    g_assert_cmpint(rig_read(buf, sizeof(buf)), ==, DEPTH * EVENT_BYTES + 8);
    memcpy(&header, buf + DEPTH * EVENT_BYTES, sizeof(header));
    g_assert_cmpuint(header.flags, ==, IOMMU_VEVENTQ_FLAG_LOST_EVENTS);
    g_assert_cmpuint(header.sequence, ==, DEPTH + 1);
    g_assert_cmpint(rig_read(buf, sizeof(buf)), ==, EVENT_BYTES);
    g_assert_cmpuint(replay_host_get_stats(rig.host).generated, ==, DEPTH + 3);
    replay_end();
}

/* Destroyed and allocated anew: the second goes on with the second. */
static void remake_queue(void)
{
    GError *error = NULL;

    rig.host->ops->close(rig.host, rig.queue_fd);
    iommufd_destroy(rig.host, rig.queue_id, &error);
    g_assert_no_error(error);
    iommufd_veventq_alloc(rig.host, rig.viommu_id,
                          IOMMU_VEVENTQ_TYPE_ARM_SMMUV3, DEPTH, &rig.queue_id,
                          &rig.queue_fd, &error);
    g_assert_no_error(error);
}

static void test_second_queue(void)
{
    uint8_t buf[100 * EVENT_BYTES];

    record_begin();
    recorded_rig_events(&rig, SID, DEPTH);
    report(1);
    rig_read(buf, sizeof(buf));
    remake_queue();
    report(2);
    report(3);
    rig_read(buf, sizeof(buf));
    record_end();
    replay_begin(REPLAY_MAX);
    recorded_rig_events(&rig, SID, DEPTH);
    replay_host_start(rig.host);
    g_assert_cmpint(rig_read(buf, sizeof(buf)), ==, EVENT_BYTES);
    g_assert_cmpuint(replay_host_get_stats(rig.host).left, ==, 1);
    remake_queue();
    g_assert_true(is_readable());
    g_assert_cmpint(rig_read(buf, sizeof(buf)), ==, 2 * EVENT_BYTES);
    g_assert_cmpuint(replay_host_get_stats(rig.host).left, ==, 0);
    remake_queue();
    g_assert_cmpint(rig_read(buf, sizeof(buf)), ==, 0);
    replay_end();
}

/* The second read is not due before its time; poll() sleeps until then. */
static void test_pace(void)
{
    const struct timespec pause = { .tv_nsec = 50000000 };
    struct pollfd pfd = { .events = POLLIN };
    uint8_t buf[100 * EVENT_BYTES];
    ssize_t len = 0, ret;
    int64_t start_us;

    record_begin();
    recorded_rig_events(&rig, SID, DEPTH);
    report(1);
    rig_read(buf, sizeof(buf));
    nanosleep(&pause, NULL);    /* what is recorded is time */
    report(2);
    rig_read(buf, sizeof(buf));
    record_end();
    replay_begin(REPLAY_RECORDED);
    recorded_rig_events(&rig, SID, DEPTH);
    pfd.fd = rig.queue_fd;
    start_us = g_get_monotonic_time();
    replay_host_start(rig.host);
    /* Both at once, if we come late to the first. */
    while (len < 2 * EVENT_BYTES) {
        g_assert_cmpint(poll(&pfd, 1, -1), ==, 1);
        ret = rig_read(buf, sizeof(buf));
        g_assert_cmpint(ret, >, 0);
        len += ret;
    }
    g_assert_cmpint(len, ==, 2 * EVENT_BYTES);
    g_assert_cmpint(g_get_monotonic_time() - start_us, >=, 49000);
    replay_end();
}

static void test_stop(void)
{
    uint8_t buf[3 * EVENT_BYTES];

    record_events(3);
    replay_begin(REPLAY_MAX);
    recorded_rig_events(&rig, SID, DEPTH);
    replay_host_start(rig.host);
    g_assert_cmpint(rig_read(buf, EVENT_BYTES), ==, EVENT_BYTES);
    replay_host_stop(rig.host);
    g_assert_false(is_readable());
    g_assert_cmpint(rig_read(buf, sizeof(buf)), ==, 0);
    g_assert_cmpuint(replay_host_get_stats(rig.host).generated, ==, 1);
    g_assert_cmpuint(replay_host_get_stats(rig.host).left, ==, 1);
    replay_end();
}

/* ---- Page requests ---- */

static void raise_group(uint32_t grpid, unsigned pages)
{
    EmulPageRequest request = {
        .dev_id = vfio_device_get_dev_id(rig.device), .pasid = 1,
        .grpid = grpid, .perm = IOMMU_PGFAULT_PERM_READ,
    };

    for (unsigned i = 0; i < pages; i++) {
        request.last = i == pages - 1;
        g_assert_cmpint(emul_request_page(rig.inner, &request), ==,
                        EMUL_REPORT_QUEUED);
    }
}

static ssize_t answer(uint32_t cookie, uint32_t code)
{
    struct iommu_hwpt_page_response response = { cookie, code };

    return rig.host->ops->write(rig.host, rig.queue_fd, &response,
                                sizeof(response));
}

/* Group 5 of two pages, cookie 1, answered; then group 6, cookie 1 again. */
static void record_pages(void)
{
    uint8_t buf[8 * PAGE_BYTES];

    record_begin();
    /* The device has an ID here that it will not have again. */
    iommufd_ioas_alloc(rig.host, &rig.ioas_id, NULL);
    recorded_rig_pages(&rig, RID);
    raise_group(5, 2);
    g_assert_cmpint(rig_read(buf, sizeof(buf)), ==, 2 * PAGE_BYTES);
    g_assert_cmpint(answer(1, 0), ==, 8);
    raise_group(6, 1);
    g_assert_cmpint(rig_read(buf, sizeof(buf)), ==, PAGE_BYTES);
    record_end();
}

static void test_pages(void)
{
    struct iommu_hwpt_pgfault pages[8];

    record_pages();
    replay_begin(REPLAY_MAX);
    recorded_rig_pages(&rig, RID);
    replay_host_start(rig.host);
    assert_errno(rig_read(pages, 100), ESPIPE);
    assert_errno(rig_read(pages, PAGE_BYTES), EINVAL);
    assert_errno(answer(1, 0), EINVAL);
    g_assert_cmpint(rig_read(pages, sizeof(pages)), ==, 2 * PAGE_BYTES);
    g_assert_cmpuint(pages[0].dev_id, ==, vfio_device_get_dev_id(rig.device));
    g_assert_cmpuint(pages[1].cookie, ==, 1);
    /* The next one had the cookie that this one still has. */
    g_assert_false(is_readable());
    g_assert_cmpint(rig_read(pages, sizeof(pages)), ==, 0);
    assert_errno(answer(1, 2), EINVAL);
    assert_errno(answer(2, 0), EINVAL);
    g_assert_cmpint(answer(1, 0), ==, 8);
    assert_errno(answer(1, 0), EINVAL);
    g_assert_true(is_readable());
    g_assert_cmpint(rig_read(pages, sizeof(pages)), ==, PAGE_BYTES);
    g_assert_cmpuint(pages[0].grpid, ==, 6);
    g_assert_cmpint(answer(1, 1), ==, 8);
    g_assert_true(replay_host_is_done(rig.host));
    g_assert_cmpuint(replay_host_get_stats(rig.host).answered, ==, 2);
    g_assert_cmpuint(replay_host_get_stats(rig.host).failed, ==, 1);
    g_assert_cmpuint(device_stats().answered, ==, 2);
    g_assert_cmpuint(device_stats().pages, ==, 3);
    replay_end();
}

static void test_detach(void)
{
    struct iommu_hwpt_pgfault pages[8];
    ReplayStats stats;

    record_pages();
    replay_begin(REPLAY_MAX);
    recorded_rig_pages(&rig, RID);
    replay_host_start(rig.host);
    g_assert_cmpint(rig_read(pages, sizeof(pages)), ==, 2 * PAGE_BYTES);
    vfio_device_detach_pasid(rig.device, 2);
    g_assert_cmpuint(replay_host_get_stats(rig.host).open, ==, 1);
    vfio_device_detach_pasid(rig.device, 1);
    assert_errno(answer(1, 0), EINVAL);
    stats = replay_host_get_stats(rig.host);
    g_assert_cmpuint(stats.open, ==, 0);
    g_assert_cmpuint(stats.ended, ==, 1);
    g_assert_cmpint(rig_read(pages, sizeof(pages)), ==, PAGE_BYTES);
    replay_end();
}

/* ---- Devices ---- */

static void test_devices(void)
{
    const uint32_t wrong[] = { SID + 8 }, right[] = { SID };
    const uint32_t many[] = { SID, SID + 8 };
    GError *error = NULL;

    record_events(1);
    replay_begin(REPLAY_MAX);
    g_assert_true(replay_host_check_devices(rig.host, right, 1, NULL));
    g_assert_false(replay_host_check_devices(rig.host, many, 2, NULL));
    g_assert_false(replay_host_check_devices(rig.host, NULL, 0, NULL));
    g_assert_false(replay_host_check_devices(rig.host, wrong, 1, &error));
    g_assert_cmpstr(error->message, ==,
                    "the recording of 'host' has devices with sid 8; here are "
                    "16\ngive the same ones, behind vIOMMUs like those "
                    "recorded");
    g_error_free(error);
    recorded_rig_events(&rig, SID, DEPTH);
    replay_end();
}

/* A device that was not recorded has a queue, and it is empty. */
static void test_unknown_device(void)
{
    uint8_t buf[EVENT_BYTES];

    record_events(1);
    replay_begin(REPLAY_MAX);
    recorded_rig_events(&rig, SID + 8, DEPTH);
    replay_host_start(rig.host);
    g_assert_cmpint(rig_read(buf, sizeof(buf)), ==, 0);
    g_assert_cmpuint(replay_host_get_stats(rig.host).left, ==, 1);
    replay_end();
}

static void add(const char *name, void (*func)(void))
{
    g_autofree char *full = g_strdup_printf("/replay/%s", name);

    g_test_add_func(full, func);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add("events/are-cut-to-the-room", test_room);
    add("events/lost-header-ends-a-read", test_lost_header_is_last);
    add("events/second-queue-goes-on-with-the-second", test_second_queue);
    add("events/come-at-their-pace", test_pace);
    add("events/come-no-more-once-stopped", test_stop);
    add("pages/wait-for-the-cookie", test_pages);
    add("pages/end-with-a-detach", test_detach);
    add("devices/must-be-those-recorded", test_devices);
    add("devices/unknown-ones-deliver-nothing", test_unknown_device);
    return g_test_run();
}
