/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The life of the host's fault queue, and what becomes of groups whose device
 * or PASID goes elsewhere: the host ends them, and no answer that comes late
 * reaches another group that got the same cookie.
 */
#include "test-viommu-pages.h"

#include "host/iommufd-abi.h"
#include "host/vfio-abi.h"
#include "proc-self.h"

#include <errno.h>

/* A device, its IOAS and nest parent. */
#define BASE_OBJECTS 3

static unsigned fds;            /* before there was anything */

/* One device, to which nothing is attached. */
static void setup_bare(void)
{
    fds = proc_self_fds();
    m = fake_machine_new(64, false);
    device = fake_plug(m, RID);
}

static void teardown_bare(void)
{
    fake_unplug(m, device);
    fake_machine_free(m);
    g_assert_cmpuint(proc_self_fds(), ==, fds);
}

static uint64_t objects(void)
{
    return emul_get_stats(m->host).objects;
}

/* ---- Life ---- */

static void test_lives_from_the_first_hwpt_to_the_last(void)
{
    g_autoptr(GError) error = NULL;

    setup_bare();
    fake_attach(m, device, 1, false, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(objects(), ==, BASE_OBJECTS + 1);
    g_assert_null(m->viommu->pages.pump);
    g_assert_cmpint(fake_raise(m, device, 1, 0, 1), ==, EMUL_REPORT_REFUSED);

    fake_attach_ok(m, device, 2);
    g_assert_cmpuint(objects(), ==, BASE_OBJECTS + 3);
    g_assert_nonnull(m->viommu->pages.pump);
    fake_attach_ok(m, device, 3);
    fake_attach_ok(m, device, NO_PASID);
    g_assert_cmpuint(objects(), ==, BASE_OBJECTS + 5);

    /* The one that it was made for goes first. */
    fake_detach(m, device, 2);
    fake_detach(m, device, NO_PASID);
    g_assert_cmpuint(objects(), ==, BASE_OBJECTS + 3);
    g_assert_cmpint(fake_raise(m, device, 3, 0, 1), ==, EMUL_REPORT_QUEUED);
    fake_pump(m);
    g_assert_cmpuint(fake_queue_used(m), ==, 1);
    fake_detach(m, device, 3);
    g_assert_cmpuint(objects(), ==, BASE_OBJECTS + 1);
    g_assert_null(m->viommu->pages.pump);
    teardown_bare();
}

/* Many lives, with groups unread, open and answered at the end of each. */
static void test_many_lives(void)
{
    uint64_t answers = 0;

    setup_bare();
    for (uint32_t life = 0; life < 300; life++) {
        fake_attach_ok(m, device, 1);
        for (uint32_t i = 0; i < 4; i++) {
            fake_raise(m, device, 1, i, 1);
            if (i % 2 == life % 2) {
                fake_pump(m);
            }
        }
        fake_respond(m, RID, 1, life % 4, 0);
        fake_detach(m, device, 1);
        answers += 4;
        g_assert_cmpuint(fake_host_answers(m), ==, answers);
        fake_take_all(m);
    }
    g_assert_cmpuint(emul_get_stats(m->host).busy, ==, 0);
    teardown_bare();
}

/* The same on an IOThread that polls, so that it is about to read. */
static void test_many_lives_on_an_iothread(void)
{
    fds = proc_self_fds();
    m = fake_machine_new(64, true);
    device = fake_plug(m, RID);
    for (uint32_t life = 0; life < 300; life++) {
        fake_attach_ok(m, device, 1);
        for (uint32_t i = 0; i < 4; i++) {
            fake_raise(m, device, 1, i, 1);
        }
        fake_serve_all(m, 0);
        fake_detach(m, device, 1);
        g_assert_cmpuint(fake_host_answers(m), ==, 4 * (life + 1));
        fake_take_all(m);
    }
    g_assert_cmpuint(emul_get_stats(m->host).busy, ==, 0);
    teardown_bare();
}

/* ---- Groups that end with their PASID ---- */

static void test_detach_ends_open_groups(void)
{
    setup(64);
    fake_attach_ok(m, device, 2);
    for (uint32_t i = 0; i < 3; i++) {
        fake_raise(m, device, 1, i, 2);
        fake_raise(m, device, 2, 16 + i, 2);
    }
    fake_pump(m);
    fake_detach(m, device, 1);
    g_assert_cmpuint(fake_host_answers(m), ==, 3);
    for (unsigned i = 0; i < 3; i++) {
        g_assert_true(fake_host_answer(m, i).automatic);
        g_assert_cmpuint(fake_host_answer(m, i).tag, ==, i);
    }
    g_assert_cmpuint(fake_assert_balanced(m).invalid, ==, 3);
    g_assert_cmpuint(fake_assert_balanced(m).open, ==, 3);
    /* The guest, who has them all in its queue, answers them all. */
    g_assert_cmpuint(fake_serve_all(m, 0), ==, 6);
    fake_pump(m);
    g_assert_cmpuint(fake_host_answers(m), ==, 6);
    g_assert_cmpuint(fake_assert_balanced(m).answered, ==, 3);
    g_assert_cmpuint(fake_assert_balanced(m).stray, ==, 3);
    teardown();
}

/* To another HWPT, with faults or not. */
static void test_move_ends_open_groups(void)
{
    g_autoptr(GError) error = NULL;

    setup(64);
    raise_host(1, 1);
    fake_pump(m);
    fake_attach_ok(m, device, 1);
    g_assert_true(fake_host_answer(m, 0).automatic);
    raise_host(1, 1);
    fake_pump(m);
    fake_attach(m, device, 1, false, &error);
    g_assert_no_error(error);
    g_assert_true(fake_host_answer(m, 1).automatic);
    fake_serve_all(m, 0);
    fake_pump(m);
    g_assert_cmpuint(fake_assert_balanced(m).stray, ==, 2);
    g_assert_cmpuint(fake_assert_balanced(m).invalid, ==, 2);
    g_assert_cmpuint(fake_host_answers(m), ==, 2);
    teardown();
}

/* Groups without PASID are the device's own attachment's. */
static void test_device_and_pasids_end_apart(void)
{
    setup(64);
    fake_attach_ok(m, device, NO_PASID);
    fake_raise(m, device, NO_PASID, 1, 1);
    fake_raise(m, device, 1, 2, 1);
    fake_pump(m);
    fake_detach(m, device, NO_PASID);
    g_assert_cmpuint(fake_host_answers(m), ==, 1);
    g_assert_cmpuint(fake_host_answer(m, 0).tag, ==, 1);
    fake_serve_all(m, 0);
    fake_pump(m);
    g_assert_cmpuint(fake_host_answers(m), ==, 2);
    g_assert_false(fake_host_answer(m, 1).automatic);
    teardown();
}

/* What the guest said before the detach is what the device hears. */
static void test_answers_before_a_detach_count(void)
{
    setup(64);
    raise_host(1, 1);
    raise_host(2, 1);
    fake_pump(m);
    fake_respond(m, RID, 1, 1, 0);
    fake_detach(m, device, 1);
    g_assert_cmpuint(fake_host_answers(m), ==, 2);
    g_assert_false(fake_host_answer(m, 0).automatic);
    g_assert_cmpuint(fake_host_answer(m, 0).tag, ==, 1);
    g_assert_cmpuint(fake_host_answer(m, 0).code, ==, PAGE_RESPONSE_SUCCESS);
    g_assert_true(fake_host_answer(m, 1).automatic);
    teardown();
}

/* Unless it cannot be written: then it is not written later, either. */
static void test_answers_not_written_die_with_the_groups(void)
{
    setup(64);
    /* Which keeps the queue: with that they would go, too. */
    fake_attach_ok(m, device, 2);
    raise_host(1, 1);
    fake_pump(m);
    fake_respond(m, RID, 1, 1, 0);
    emul_set_failure(m->host, &(EmulFailure){ .call = EMUL_CALL_WRITE,
                                              .nth = 1, .err = EINTR });
    fake_detach(m, device, 1);
    emul_set_failure(m->host, &(EmulFailure){ .nth = 0 });
    g_assert_true(fake_host_answer(m, 0).automatic);
    g_assert_cmpuint(page_request_unwritten(m->viommu->pages.table), ==, 0);
    fake_pump(m);
    g_assert_cmpuint(fake_host_answers(m), ==, 1);
    teardown();
}

/* Unread, open, answered, and some of another device's. */
static void test_unplug_with_groups_everywhere(void)
{
    FakeDevice *other;
    unsigned answers;

    setup(8);
    other = fake_plug(m, RID + 1);
    fake_attach_ok(m, other, 1);
    fake_attach_ok(m, device, 2);
    for (uint32_t i = 0; i < 10; i++) {
        raise_host(i, 1);
        fake_raise(m, device, 2, 32 + i, 1);
        fake_raise(m, other, 1, 64 + i, 1);
    }
    fake_pump(m);
    g_assert_cmpuint(fake_queue_used(m), ==, 8);
    fake_respond(m, RID, 1, 0, 0);
    fake_unplug(m, device);
    answers = fake_host_answers(m);
    g_assert_cmpuint(answers, ==, 20);
    for (unsigned i = 0; i < answers; i++) {
        g_assert_cmpuint(fake_host_answer(m, i).tag, <, 64);
        g_assert_cmpint(fake_host_answer(m, i).automatic, ==, i > 0);
    }
    do {
        fake_pump(m);
    } while (fake_serve_all(m, 0) > 0);
    g_assert_cmpuint(fake_host_answers(m), ==, 30);
    device = other;
    teardown();
}

/* ---- Cookies are given out again ---- */

/* @device's group is open; its PASID goes; a stranger gets its cookie. */
static FakeDevice *collide(void (*detach_naively)(void))
{
    FakeDevice *stranger;

    setup(64);
    stranger = fake_plug(m, RID + 1);
    fake_attach_ok(m, stranger, 1);
    raise_host(1, 1);
    fake_pump(m);
    if (detach_naively) {
        detach_naively();
    } else {
        fake_detach(m, device, 1);
    }
    g_assert_true(fake_host_answer(m, 0).automatic);
    fake_raise(m, stranger, 1, 2, 1);
    fake_pump(m);
    g_assert_cmpuint(fake_queue_used(m), ==, 2);
    /* Late. */
    fake_respond(m, RID, 1, 1, PAGE_RESPONSE_INVALID);
    fake_pump(m);
    return stranger;
}

static void test_late_answer_hits_no_stranger(void)
{
    FakeDevice *stranger = collide(NULL);

    g_assert_cmpuint(fake_host_answers(m), ==, 1);
    g_assert_cmpuint(fake_assert_balanced(m).stray, ==, 1);
    fake_respond(m, RID + 1, 1, 2, PAGE_RESPONSE_SUCCESS);
    fake_pump(m);
    g_assert_cmpuint(fake_host_answers(m), ==, 2);
    g_assert_cmpuint(fake_host_answer(m, 1).code, ==, PAGE_RESPONSE_SUCCESS);
    fake_unplug(m, stranger);
    teardown();
}

static void *detach_thread(void *opaque)
{
    vfio_device_detach_pasid(device->vfio, 1);
    return NULL;
}

/* A vCPU detaches, as everybody else does, and nobody forgets the cookie. */
static void detach_on_another_thread(void)
{
    pthread_t thread;

    g_assert_cmpint(pthread_create(&thread, NULL, detach_thread, NULL), ==, 0);
    pthread_join(thread, NULL);
}

/* So the test above can fail: in the naive order the stranger is answered. */
static void test_naive_order_hits_the_stranger(void)
{
    FakeDevice *stranger = collide(detach_on_another_thread);

    g_assert_cmpuint(fake_host_answers(m), ==, 2);
    g_assert_cmpuint(fake_host_answer(m, 1).dev_id, ==, stranger->dev_id);
    g_assert_cmpuint(fake_host_answer(m, 1).tag, ==, 2);
    g_assert_cmpuint(fake_host_answer(m, 1).code, ==, PAGE_RESPONSE_INVALID);
    g_assert_false(fake_host_answer(m, 1).automatic);
    fake_unplug(m, stranger);
    teardown();
}

/*
 * The wait for the detach is a turn of the loop, in which busy polling reads
 * the group before the detach ends it.
 */
static void test_group_read_by_polling_before_the_detach(void)
{
    FakeDevice *stranger;

    setup(64);
    stranger = fake_plug(m, RID + 1);
    fake_attach_ok(m, stranger, 1);
    aio_set_poll_params(m->ctx, 1000 * 1000, 0, 0);
    for (uint32_t i = 0; i < 20; i++) {
        unsigned before = fake_host_answers(m);

        /* Dispatched before: it polls from now on. */
        raise_host(3, 1);
        fake_pump(m);
        fake_serve_all(m, 0);
        fake_pump(m);
        raise_host(1, 1);
        fake_detach(m, device, 1);
        g_assert_cmpuint(fake_host_answers(m), ==, before + 2);
        g_assert_true(fake_host_answer(m, before + 1).automatic);
        fake_raise(m, stranger, 1, 2, 1);
        fake_pump(m);
        /* If the guest has seen it, it answers late. */
        fake_respond(m, RID, 1, 1, PAGE_RESPONSE_INVALID);
        fake_pump(m);
        g_assert_cmpuint(fake_host_answers(m), ==, before + 2);
        fake_respond(m, RID + 1, 1, 2, PAGE_RESPONSE_SUCCESS);
        fake_pump(m);
        g_assert_cmpuint(fake_host_answers(m), ==, before + 3);
        g_assert_cmpuint(fake_host_answer(m, before + 2).code, ==,
                         PAGE_RESPONSE_SUCCESS);
        fake_take_all(m);
        fake_attach_ok(m, device, 1);
    }
    fake_unplug(m, stranger);
    teardown();
}

/* The first group was large, and waited; it is gone, the next is small. */
static void test_large_group_gone_does_not_hold_up_others(void)
{
    FakeDevice *other;

    setup(8);
    other = fake_plug(m, RID + 1);
    fake_attach_ok(m, other, 1);
    fake_raise(m, other, 1, 0, 4);
    fake_pump(m);
    raise_host(1, 7);
    fake_raise(m, other, 1, 2, 2);
    fake_ask(sva, 1, 3, 2);
    fake_pump(m);
    g_assert_cmpuint(fake_queue_used(m), ==, 4);
    fake_detach(m, device, 1);
    fake_pump(m);
    g_assert_cmpuint(fake_queue_used(m), ==, 8);
    fake_serve_all(m, 0);
    fake_pump(m);
    fake_unplug(m, other);
    teardown();
}

/* It was its turn; with the queue it goes, and the device's is next. */
static void test_queue_gone_does_not_hold_up_devices(void)
{
    setup(8);
    raise_host(0, 4);
    fake_pump(m);
    raise_host(1, 7);
    fake_ask(sva, 1, 3, 2);
    fake_pump(m);
    fake_detach(m, device, 1);
    fake_pump(m);
    g_assert_cmpuint(fake_queue_used(m), ==, 6);
    fake_serve_all(m, 0);
    fake_pump(m);
    teardown();
}

/* ---- Host calls that fail ---- */

static uint64_t calls_of_attach(void)
{
    uint64_t calls;

    emul_set_failure(m->host, &(EmulFailure){ .nth = UINT64_MAX, .err = EIO });
    fake_attach_ok(m, device, 1);
    calls = emul_get_calls_counted(m->host);
    emul_set_failure(m->host, &(EmulFailure){ .nth = 0 });
    fake_detach(m, device, 1);
    return calls;
}

/* Each call in turn: nothing is left, and the next attempt succeeds. */
static void test_failing_calls_of_the_first_attach(void)
{
    unsigned failed = 0;
    uint64_t calls;
    unsigned before;

    setup_bare();
    calls = calls_of_attach();
    g_assert_cmpuint(calls, >=, 4);
    before = proc_self_fds();
    for (uint64_t nth = 1; nth <= calls; nth++) {
        g_autoptr(GError) error = NULL;

        emul_set_failure(m->host, &(EmulFailure){ .nth = nth, .times = 1,
                                                  .err = ENOMEM });
        if (fake_attach(m, device, 1, true, &error)) {
            /* A read() that failed once is made again. */
            g_assert_no_error(error);
            fake_detach(m, device, 1);
        } else {
            g_assert_nonnull(error);
            failed++;
        }
        emul_set_failure(m->host, &(EmulFailure){ .nth = 0 });
        g_assert_cmpuint(objects(), ==, BASE_OBJECTS);
        g_assert_cmpuint(proc_self_fds(), ==, before);
        g_assert_null(m->viommu->pages.pump);
        fake_attach_ok(m, device, 1);
        fake_raise(m, device, 1, 1, 1);
        fake_pump(m);
        g_assert_cmpuint(fake_serve_all(m, 0), ==, 1);
        fake_pump(m);
        fake_detach(m, device, 1);
    }
    /* Queue, HWPT, attachment. */
    g_assert_cmpuint(failed, ==, 3);
    teardown_bare();
}

/* The PASID is attached to nothing then; its groups have ended. */
static void fail_move(unsigned long request, bool ends)
{
    g_autoptr(GError) error = NULL;

    setup(64);
    raise_host(1, 1);
    fake_pump(m);
    emul_set_failure(m->host, &(EmulFailure){ .call = EMUL_CALL_IOCTL,
                                              .request = request, .nth = 1,
                                              .times = 1, .err = ENOMEM });
    g_assert_false(fake_attach(m, device, 1, true, &error));
    g_assert_nonnull(error);
    emul_set_failure(m->host, &(EmulFailure){ .nth = 0 });
    g_assert_cmpuint(fake_host_answers(m), ==, ends);
    g_assert_cmpuint(fake_serve_all(m, 0), ==, 1);
    fake_pump(m);
    g_assert_cmpuint(fake_host_answers(m), ==, 1);
    g_assert_cmpint(fake_host_answer(m, 0).automatic, ==, ends);
    g_assert_cmpuint(fake_assert_balanced(m).stray, ==, ends);
    g_assert_cmpint(fake_raise(m, device, 1, 1, 1), ==,
                    ends ? EMUL_REPORT_REFUSED : EMUL_REPORT_QUEUED);
    teardown();
}

static void test_move_that_fails_detaches(void)
{
    fail_move(VFIO_DEVICE_ATTACH_IOMMUFD_PT, true);
}

/* No HWPT, no move: everything is as it was. */
static void test_no_hwpt_no_move(void)
{
    fail_move(IOMMU_HWPT_ALLOC, false);
}

/* The last detach fails to destroy: said, and not tried for ever. */
static void test_destroy_that_fails_is_said(void)
{
    g_autoptr(GError) error = NULL;

    setup_bare();
    fake_attach_ok(m, device, 1);
    message_log_start();
    emul_set_failure(m->host, &(EmulFailure){ .call = EMUL_CALL_IOCTL,
                                              .request = IOMMU_DESTROY,
                                              .nth = 2, .times = 1,
                                              .err = EIO });
    fake_detach(m, device, 1);
    emul_set_failure(m->host, &(EmulFailure){ .nth = 0 });
    g_assert_cmpuint(message_log_count(), ==, 1);
    g_assert_cmpuint(objects(), ==, BASE_OBJECTS + 1);
    lock_assume_alone(&m->viommu->config_lock);
    g_assert_true(iommufd_destroy(m->host, m->viommu->host.fault_id, &error));
    message_log_stop();
    teardown_bare();
}

static const Test tests[] = {
    { "lives-from-the-first-hwpt-to-the-last",
      test_lives_from_the_first_hwpt_to_the_last },
    { "many-lives", test_many_lives },
    { "many-lives-on-an-iothread", test_many_lives_on_an_iothread },
    { "detach-ends-open-groups", test_detach_ends_open_groups },
    { "move-ends-open-groups", test_move_ends_open_groups },
    { "device-and-PASIDs-end-apart", test_device_and_pasids_end_apart },
    { "answers-before-a-detach-count", test_answers_before_a_detach_count },
    { "answers-not-written-die-with-the-groups",
      test_answers_not_written_die_with_the_groups },
    { "unplug-with-groups-everywhere", test_unplug_with_groups_everywhere },
    { "cookie/late-answer-hits-no-stranger",
      test_late_answer_hits_no_stranger },
    { "cookie/naive-order-hits-the-stranger",
      test_naive_order_hits_the_stranger },
    { "cookie/group-read-by-polling-before-the-detach",
      test_group_read_by_polling_before_the_detach },
    { "large-group-gone-does-not-hold-up-others",
      test_large_group_gone_does_not_hold_up_others },
    { "queue-gone-does-not-hold-up-devices",
      test_queue_gone_does_not_hold_up_devices },
    { "failing/calls-of-the-first-attach",
      test_failing_calls_of_the_first_attach },
    { "failing/move-detaches", test_move_that_fails_detaches },
    { "failing/no-hwpt-no-move", test_no_hwpt_no_move },
    { "failing/destroy-is-said", test_destroy_that_fails_is_said },
};

int main(int argc, char **argv)
{
    return run_tests(argc, argv, "/viommu-fault-queue", tests,
                     G_N_ELEMENTS(tests));
}
