/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Page requests of the dressed mock driver: each group that was taken is
 * answered once, by the write that answers it or by the end of its attachment.
 */
#include "test-mock.h"

#include "base/thread.h"

#include <stdatomic.h>
#include <string.h>

enum { ANSWERS_MAX = 64 };

/* A rig, and what its hardware has heard. */
typedef struct Pages {
    MockRig rig;
    unsigned count;
    HardwarePageAnswer answers[ANSWERS_MAX];
} Pages;

static void on_answer(const HardwarePageAnswer *answer, void *opaque)
{
    Pages *p = opaque;

    g_assert_cmpuint(p->count, <, ANSWERS_MAX);
    p->answers[p->count++] = *answer;
}

static void pages_up(Pages *p)
{
    mock_rig_up(&p->rig, HARDWARE_VTD);
    p->count = 0;
    p->rig.host->hardware->set_answer_func(p->rig.host, on_answer, p);
}

static HardwareReport request_of(Pages *p, uint32_t pasid, uint32_t grpid)
{
    const HardwarePageRequest request = {
        .dev_id = p->rig.dev_id, .pasid = pasid, .grpid = grpid, .last = true,
        .perm = IOMMU_PGFAULT_PERM_READ, .addr = 0x1000 * grpid,
        .tag = 7000 + grpid,
    };

    return p->rig.host->hardware->request_page(p->rig.host, &request);
}

/* Return: how many. */
static int read_faults(Pages *p, struct iommu_hwpt_pgfault records[8])
{
    ssize_t ret = p->rig.host->ops->read(p->rig.host, p->rig.fault_fd, records,
                                         8 * sizeof(records[0]));

    g_assert_cmpint(ret, >=, 0);
    return ret / sizeof(records[0]);
}

/* 0 or more bytes, or -errno */
static ssize_t respond(Pages *p, const struct iommu_hwpt_page_response *resp,
                       unsigned count)
{
    ssize_t ret = p->rig.host->ops->write(p->rig.host, p->rig.fault_fd, resp,
                                          count * sizeof(*resp));

    return ret < 0 ? -errno : ret;
}

static void expect_answer(const Pages *p, unsigned index, uint32_t grpid,
                          uint32_t code, bool automatic)
{
    const HardwarePageAnswer *answer = &p->answers[index];

    g_assert_cmpuint(index, <, p->count);
    g_assert_cmpuint(answer->dev_id, ==, p->rig.dev_id);
    g_assert_cmpuint(answer->grpid, ==, grpid);
    g_assert_cmpuint(answer->tag, ==, 7000 + grpid);
    g_assert_cmpuint(answer->code, ==, code);
    g_assert_cmpint(answer->automatic, ==, automatic);
}

static void expect_stats(const Pages *p, uint64_t raised, uint64_t answered,
                         uint64_t automatic)
{
    HardwarePageStats stats =
        p->rig.host->hardware->get_page_stats(p->rig.host);

    g_assert_cmpuint(stats.pages, ==, raised);
    g_assert_cmpuint(stats.raised, ==, raised);
    g_assert_cmpuint(stats.answered, ==, answered);
    g_assert_cmpuint(stats.automatic, ==, automatic);
    g_assert_cmpuint(stats.open, ==, raised - answered - automatic);
}

static void test_answered_by_the_write(void)
{
    struct iommu_hwpt_pgfault records[8];
    struct iommu_hwpt_page_response resp[2];
    Pages p;

    pages_up(&p);
    g_assert_cmpint(request_of(&p, 0, 3), ==, HARDWARE_QUEUED);
    g_assert_cmpint(request_of(&p, 0, 511), ==, HARDWARE_QUEUED);
    g_assert_cmpint(read_faults(&p, records), ==, 2);
    g_assert_cmpuint(records[0].dev_id, ==, p.rig.dev_id);
    g_assert_cmpuint(records[0].grpid, ==, 3);
    g_assert_cmphex(records[0].addr, ==, 0x3000);
    expect_stats(&p, 2, 0, 0);
    resp[0].cookie = records[1].cookie;
    resp[0].code = IOMMUFD_PAGE_RESP_INVALID;
    resp[1].cookie = records[0].cookie;
    resp[1].code = IOMMUFD_PAGE_RESP_SUCCESS;
    g_assert_cmpint(respond(&p, resp, 2), ==, 16);
    g_assert_cmpuint(p.count, ==, 2);
    expect_answer(&p, 0, 511, IOMMUFD_PAGE_RESP_INVALID, false);
    expect_answer(&p, 1, 3, IOMMUFD_PAGE_RESP_SUCCESS, false);
    expect_stats(&p, 2, 2, 0);
    /* The index is free again. */
    g_assert_cmpint(request_of(&p, 0, 3), ==, HARDWARE_QUEUED);
    mock_rig_down(&p.rig);
}

/* What the kernel did not take was not answered. */
static void test_short_write_answers_what_it_took(void)
{
    struct iommu_hwpt_pgfault records[8];
    struct iommu_hwpt_page_response resp[3] = { { 0 } };
    Pages p;

    pages_up(&p);
    request_of(&p, 0, 1);
    request_of(&p, 0, 2);
    g_assert_cmpint(read_faults(&p, records), ==, 2);
    resp[0].cookie = records[0].cookie;
    resp[1].cookie = 999;
    resp[2].cookie = records[1].cookie;
    g_assert_cmpint(respond(&p, resp, 3), ==, 8);
    g_assert_cmpuint(p.count, ==, 1);
    expect_answer(&p, 0, 1, IOMMUFD_PAGE_RESP_SUCCESS, false);
    g_assert_cmpint(respond(&p, resp, 3), ==, -EINVAL);
    g_assert_cmpuint(p.count, ==, 1);
    g_assert_cmpint(respond(&p, &resp[2], 1), ==, 8);
    expect_answer(&p, 1, 2, IOMMUFD_PAGE_RESP_SUCCESS, false);
    mock_rig_down(&p.rig);
}

/* Read or not; and the cookie's next owner is another. */
static void test_detach_answers(void)
{
    struct iommu_hwpt_pgfault records[8];
    struct iommu_hwpt_page_response resp = { 0 };
    Pages p;

    pages_up(&p);
    request_of(&p, 0, 1);
    g_assert_cmpint(read_faults(&p, records), ==, 1);
    request_of(&p, 0, 2);
    vfio_device_detach(p.rig.vfio);
    g_assert_cmpuint(p.count, ==, 2);
    expect_answer(&p, 0, 1, IOMMUFD_PAGE_RESP_INVALID, true);
    expect_answer(&p, 1, 2, IOMMUFD_PAGE_RESP_INVALID, true);
    expect_stats(&p, 2, 0, 2);
    resp.cookie = records[0].cookie;
    g_assert_cmpint(respond(&p, &resp, 1), ==, -EINVAL);
    g_assert_cmpint(request_of(&p, 0, 1), ==, HARDWARE_REFUSED);
    vfio_device_attach(p.rig.vfio, p.rig.hwpt_id, NULL);
    g_assert_cmpint(request_of(&p, 0, 3), ==, HARDWARE_QUEUED);
    g_assert_cmpint(read_faults(&p, records), ==, 1);
    g_assert_cmpuint(records[0].cookie, ==, resp.cookie);
    g_assert_cmpint(respond(&p, &resp, 1), ==, 8);
    expect_answer(&p, 2, 3, IOMMUFD_PAGE_RESP_SUCCESS, false);
    mock_rig_down(&p.rig);
}

static void test_attach_elsewhere_answers(void)
{
    uint32_t other;
    Pages p;

    pages_up(&p);
    other = mock_rig_nested(&p.rig, HARDWARE_VTD);
    request_of(&p, 0, 1);
    /* Where it is already: nothing ends. */
    g_assert_true(vfio_device_attach(p.rig.vfio, p.rig.hwpt_id, NULL));
    g_assert_cmpuint(p.count, ==, 0);
    g_assert_true(vfio_device_attach(p.rig.vfio, other, NULL));
    g_assert_cmpuint(p.count, ==, 1);
    expect_answer(&p, 0, 1, IOMMUFD_PAGE_RESP_INVALID, true);
    g_assert_true(vfio_device_attach(p.rig.vfio, p.rig.hwpt_id, NULL));
    g_assert_cmpint(mock_destroy_id(p.rig.host, other), ==, 0);
    mock_rig_down(&p.rig);
}

/* A PASID's own end with it, and no others. */
static void test_pasids_end_by_themselves(void)
{
    Pages p;

    pages_up(&p);
    g_assert_true(vfio_device_attach_pasid(p.rig.vfio, 5, p.rig.hwpt_id, NULL));
    g_assert_true(vfio_device_attach_pasid(p.rig.vfio, 6, p.rig.hwpt_id, NULL));
    g_assert_cmpint(request_of(&p, 5, 50), ==, HARDWARE_QUEUED);
    g_assert_cmpint(request_of(&p, 6, 60), ==, HARDWARE_QUEUED);
    g_assert_cmpint(request_of(&p, 0, 1), ==, HARDWARE_QUEUED);
    vfio_device_detach_pasid(p.rig.vfio, 5);
    g_assert_cmpuint(p.count, ==, 1);
    expect_answer(&p, 0, 50, IOMMUFD_PAGE_RESP_INVALID, true);
    vfio_device_detach(p.rig.vfio);
    g_assert_cmpuint(p.count, ==, 2);
    expect_answer(&p, 1, 1, IOMMUFD_PAGE_RESP_INVALID, true);
    vfio_device_detach_pasid(p.rig.vfio, 6);
    expect_answer(&p, 2, 60, IOMMUFD_PAGE_RESP_INVALID, true);
    mock_rig_down(&p.rig);
}

static void test_close_answers(void)
{
    Pages p;

    pages_up(&p);
    g_assert_true(vfio_device_attach_pasid(p.rig.vfio, 5, p.rig.hwpt_id, NULL));
    request_of(&p, 5, 50);
    request_of(&p, 0, 1);
    vfio_device_free(g_steal_pointer(&p.rig.vfio));
    g_assert_cmpuint(p.count, ==, 2);
    expect_stats(&p, 2, 0, 2);
    g_assert_cmpint(request_of(&p, 0, 2), ==, HARDWARE_REFUSED);
    mock_rig_down(&p.rig);
}

static void test_refused(void)
{
    HardwarePageRequest request = { .grpid = 1, .last = true };
    const HardwareOps *hardware;
    Pages p;

    pages_up(&p);
    hardware = p.rig.host->hardware;
    /* The mock driver's groups are of one page, their indices of 9 bits. */
    g_assert_cmpuint(hardware->group_pages_max, ==, 1);
    request.dev_id = p.rig.dev_id;
    request.last = false;
    g_assert_cmpint(hardware->request_page(p.rig.host, &request), ==,
                    HARDWARE_REFUSED);
    g_assert_cmpint(request_of(&p, 0, 512), ==, HARDWARE_REFUSED);
    /* One at a time of an index; a HWPT without a queue. */
    g_assert_cmpint(request_of(&p, 0, 1), ==, HARDWARE_QUEUED);
    g_assert_cmpint(request_of(&p, 0, 1), ==, HARDWARE_REFUSED);
    g_assert_true(vfio_device_attach_pasid(p.rig.vfio, 9, p.rig.parent_id,
                                           NULL));
    g_assert_cmpint(request_of(&p, 9, 2), ==, HARDWARE_REFUSED);
    /* No VT-d device's PASID goes by the HWPT of the device itself. */
    g_assert_cmpint(request_of(&p, 8, 2), ==, HARDWARE_REFUSED);
    expect_stats(&p, 1, 0, 0);
    vfio_device_detach_pasid(p.rig.vfio, 9);
    mock_rig_down(&p.rig);
}

/* The driver fails every second change of this one. */
static void test_pasid_1024_is_like_others(void)
{
    uint32_t other;
    Pages p;

    pages_up(&p);
    other = mock_rig_nested(&p.rig, HARDWARE_VTD);
    for (int i = 0; i < 3; i++) {
        GError *error = NULL;

        vfio_device_attach_pasid(p.rig.vfio, IOMMU_TEST_PASID_RESERVED,
                                 p.rig.hwpt_id, &error);
        g_assert_no_error(error);
        g_assert_cmpint(request_of(&p, IOMMU_TEST_PASID_RESERVED, 1), ==,
                        HARDWARE_QUEUED);
        vfio_device_attach_pasid(p.rig.vfio, IOMMU_TEST_PASID_RESERVED, other,
                                 &error);
        g_assert_no_error(error);
        g_assert_cmpuint(p.count, ==, 1 + i);
    }
    vfio_device_detach_pasid(p.rig.vfio, IOMMU_TEST_PASID_RESERVED);
    g_assert_cmpint(mock_destroy_id(p.rig.host, other), ==, 0);
    mock_rig_down(&p.rig);
}

/* ---- Requests while the device comes and goes ---- */

enum { ROUNDS = 300 };

typedef struct Storm {
    MockRig rig;
    _Atomic uint64_t answered[512];     /* by group index */
    _Atomic uint64_t strays;
    uint64_t taken[512];                /* [thread] */
    atomic_bool stop;
    pthread_t thread;
} Storm;

static void on_storm_answer(const HardwarePageAnswer *answer, void *opaque)
{
    Storm *s = opaque;

    /* The tag says the how manieth group of its index it is. */
    if (atomic_fetch_add(&s->answered[answer->grpid], 1) != answer->tag) {
        atomic_fetch_add(&s->strays, 1);
    }
}

static void *storm_thread(void *opaque)
{
    Storm *s = opaque;

    while (!atomic_load(&s->stop)) {
        for (uint32_t i = 0; i < 512; i++) {
            HardwarePageRequest request = {
                .dev_id = s->rig.dev_id, .grpid = i, .last = true,
                .tag = s->taken[i],
            };

            if (atomic_load(&s->answered[i]) == s->taken[i] &&
                s->rig.host->hardware->request_page(s->rig.host, &request) ==
                    HARDWARE_QUEUED) {
                s->taken[i]++;
            }
        }
    }
    return NULL;
}

/* The home thread's part: read, answer, detach, attach. */
static void storm_round(Storm *s)
{
    struct iommu_hwpt_page_response resp[8];
    struct iommu_hwpt_pgfault records[8];
    HostIommu *host = s->rig.host;

    for (int i = 0; i < 20; i++) {
        ssize_t ret = host->ops->read(host, s->rig.fault_fd, records,
                                      sizeof(records));
        unsigned count = MAX(ret, 0) / sizeof(records[0]);

        for (unsigned k = 0; k < count; k++) {
            resp[k].cookie = records[k].cookie;
            resp[k].code = IOMMUFD_PAGE_RESP_SUCCESS;
        }
        ret = host->ops->write(host, s->rig.fault_fd, resp,
                               count / 2 * sizeof(resp[0]));
        g_assert_cmpint(ret, ==, count / 2 * sizeof(resp[0]));
    }
    vfio_device_detach(s->rig.vfio);
    g_assert_true(vfio_device_attach(s->rig.vfio, s->rig.hwpt_id, NULL));
}

static void test_answered_once_while_attachments_end(void)
{
    HardwarePageStats stats;
    uint64_t taken = 0;
    Storm *s = g_new0(Storm, 1);

    mock_rig_up(&s->rig, HARDWARE_VTD);
    s->rig.host->hardware->set_answer_func(s->rig.host, on_storm_answer, s);
    g_assert_cmpint(thread_create(&s->thread, storm_thread, s), ==, 0);
    for (int i = 0; i < ROUNDS; i++) {
        storm_round(s);
    }
    atomic_store(&s->stop, true);
    pthread_join(s->thread, NULL);
    vfio_device_detach(s->rig.vfio);
    for (int i = 0; i < 512; i++) {
        g_assert_cmpuint(atomic_load(&s->answered[i]), ==, s->taken[i]);
        taken += s->taken[i];
    }
    stats = s->rig.host->hardware->get_page_stats(s->rig.host);
    g_assert_cmpuint(atomic_load(&s->strays), ==, 0);
    g_assert_cmpuint(stats.raised, ==, taken);
    g_assert_cmpuint(stats.open, ==, 0);
    mock_rig_down(&s->rig);
    g_free(s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mock/pages/answered-by-the-write",
                    test_answered_by_the_write);
    g_test_add_func("/mock/pages/short-write-answers-what-it-took",
                    test_short_write_answers_what_it_took);
    g_test_add_func("/mock/pages/detach-answers", test_detach_answers);
    g_test_add_func("/mock/pages/attach-elsewhere-answers",
                    test_attach_elsewhere_answers);
    g_test_add_func("/mock/pages/PASIDs-end-by-themselves",
                    test_pasids_end_by_themselves);
    g_test_add_func("/mock/pages/close-answers", test_close_answers);
    g_test_add_func("/mock/pages/refused", test_refused);
    g_test_add_func("/mock/pages/PASID-1024-is-like-others",
                    test_pasid_1024_is_like_others);
    g_test_add_func("/mock/pages/answered-once-while-attachments-end",
                    test_answered_once_while_attachments_end);
    return g_test_run();
}
