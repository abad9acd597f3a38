/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the dressed mock driver allocates and locks while events and page
 * requests pass, without what the host below does.
 */
#include "test-mock.h"

#include "call-count.h"
#include "quiet-host.h"

enum { EVENTS = 100, GROUPS = 200 };

static void report(MockRig *rig)
{
    static const uint64_t words[4] = { 0x10 };  /* F_TRANSLATION */

    g_assert_cmpint(rig->host->hardware->report_event(rig->host, rig->dev_id,
                                                      words), ==,
                    HARDWARE_QUEUED);
}

static void test_events(void)
{
    static char buf[EVENTS * 40];
    uint32_t id;
    CallCount count;
    MockRig rig;
    int fd;

    mock_rig_up(&rig, HARDWARE_SMMUV3);
    quiet_host_begin(rig.inner);
    g_assert_true(iommufd_veventq_alloc(rig.host, rig.viommu_id,
                                        IOMMU_VEVENTQ_TYPE_ARM_SMMUV3, EVENTS,
                                        &id, &fd, NULL));
    call_count_start(NULL);
    for (int i = 0; i < EVENTS; i++) {
        report(&rig);
    }
    count = call_count_stop();
    g_assert_cmpuint(count.allocations, ==, 0);

    call_count_start(NULL);
    g_assert_cmpint(rig.host->ops->read(rig.host, fd, buf, sizeof(buf)), ==,
                    sizeof(buf));
    count = call_count_stop();
    g_assert_cmpuint(count.allocations, ==, 0);
    g_assert_cmpuint(count.frees, ==, 0);
    if (call_count_sees_locks()) {
        g_assert_cmpuint(count.other_locks, ==, 1);     /* for all of it */
    }
    rig.host->ops->close(rig.host, fd);
    g_assert_cmpint(mock_destroy_id(rig.host, id), ==, 0);
    mock_rig_down(&rig);
}

/* Once there have been as many open before. */
static void request_pages(MockRig *rig)
{
    for (uint32_t i = 0; i < GROUPS; i++) {
        const HardwarePageRequest request = {
            .dev_id = rig->dev_id, .grpid = i, .last = true,
        };

        g_assert_cmpint(rig->host->hardware->request_page(rig->host, &request),
                        ==, HARDWARE_QUEUED);
    }
}

static void serve_pages(MockRig *rig)
{
    static struct iommu_hwpt_pgfault records[GROUPS];
    static struct iommu_hwpt_page_response responses[GROUPS];
    HostIommu *host = rig->host;

    g_assert_cmpint(host->ops->read(host, rig->fault_fd, records,
                                    sizeof(records)), ==, sizeof(records));
    for (int i = 0; i < GROUPS; i++) {
        responses[i].cookie = records[i].cookie;
    }
    g_assert_cmpint(host->ops->write(host, rig->fault_fd, responses,
                                     sizeof(responses)), ==,
                    sizeof(responses));
}

static void test_pages(void)
{
    CallCount count;
    MockRig rig;

    mock_rig_up(&rig, HARDWARE_VTD);
    quiet_host_begin(rig.inner);
    request_pages(&rig);
    call_count_start(NULL);
    serve_pages(&rig);
    count = call_count_stop();
    g_assert_cmpuint(count.allocations, ==, 0);
    g_assert_cmpuint(count.frees, ==, 0);
    if (call_count_sees_locks()) {
        g_assert_cmpuint(count.other_locks, ==, 0);
    }

    call_count_start(NULL);
    request_pages(&rig);
    count = call_count_stop();
    g_assert_cmpuint(count.allocations, ==, 0);
    mock_rig_down(&rig);
}

int main(int argc, char **argv)
{
    call_count_init();
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mock/data-path/events-allocate-nothing", test_events);
    g_test_add_func("/mock/data-path/page-requests-take-no-lock", test_pages);
    return g_test_run();
}
