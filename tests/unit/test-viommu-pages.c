/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The way of a page request group, from the host's fault queue or an emulated
 * device to the guest's queue, and of its answer back: every group is answered
 * once, and counted once.
 */
#include "test-viommu-pages.h"

#include "host/iommufd-abi.h"

/* ---- There and back ---- */

static void test_host_group_there_and_back(void)
{
    FakeEntry entry;

    setup(8);
    raise_host(3, 2);
    fake_pump(m);
    for (unsigned i = 0; i < 2; i++) {
        g_assert_true(fake_take(m, &entry));
        g_assert_cmphex(entry.key.virt_id, ==, RID);
        g_assert_cmpuint(entry.key.pasid, ==, 1);
        g_assert_cmpuint(entry.key.index, ==, 3);
        g_assert_cmphex(entry.addr, ==, (UINT64_C(3) << 32) + 4096 * i);
        g_assert_cmpuint(entry.perm, ==,
                         PGFAULT_PERM_READ | PGFAULT_PERM_WRITE);
        g_assert_cmpint(entry.last, ==, i == 1);
    }
    g_assert_cmpuint(fake_host_answers(m), ==, 0);
    g_assert_cmpuint(fake_assert_balanced(m).open, ==, 1);
    fake_respond(m, RID, 1, 3, PAGE_RESPONSE_SUCCESS);
    fake_pump(m);
    g_assert_cmpuint(fake_host_answers(m), ==, 1);
    g_assert_cmpuint(fake_host_answer(m, 0).tag, ==, 3);
    g_assert_cmpuint(fake_host_answer(m, 0).code, ==, PAGE_RESPONSE_SUCCESS);
    g_assert_false(fake_host_answer(m, 0).automatic);
    g_assert_cmpuint(fake_assert_balanced(m).answered, ==, 1);
    teardown();
}

static void test_emulated_group_there_and_back(void)
{
    SvaGroup *group;
    PageRequestKey key;

    setup(8);
    group = fake_ask(sva, NO_PASID, 511, 3);
    fake_pump(m);
    g_assert_cmpuint(fake_take_group(m, &key), ==, 3);
    g_assert_cmphex(key.virt_id, ==, SVA_RID);
    g_assert_cmpuint(key.pasid, ==, NO_PASID);
    g_assert_cmpuint(key.index, ==, 511);
    g_assert_cmpuint(sva->returned->len, ==, 0);
    fake_respond(m, SVA_RID, NO_PASID, 511, PAGE_RESPONSE_INVALID);
    fake_pump(m);
    g_assert_true(returned(0) == group);
    g_assert_cmpuint(group->code, ==, PAGE_RESPONSE_INVALID);
    g_assert_cmpuint(fake_assert_balanced(m).answered, ==, 1);
    teardown();
}

/* The kernel knows two; a device hears what the guest has said. */
static void test_codes(void)
{
    static const uint32_t codes[] = { 0, 1, 2, 0xe, 0xf, UINT32_MAX };

    setup(64);
    for (uint32_t i = 0; i < G_N_ELEMENTS(codes); i++) {
        raise_host(i, 1);
        fake_ask(sva, 5, i, 1);
    }
    fake_pump(m);
    for (uint32_t i = 0; i < G_N_ELEMENTS(codes); i++) {
        fake_respond(m, RID, 1, i, codes[i]);
        fake_respond(m, SVA_RID, 5, i, codes[i]);
    }
    fake_pump(m);
    for (uint32_t i = 0; i < G_N_ELEMENTS(codes); i++) {
        g_assert_cmpuint(fake_host_answer(m, i).tag, ==, i);
        g_assert_cmpuint(fake_host_answer(m, i).code, ==,
                         codes[i] == 0 ? IOMMUFD_PAGE_RESP_SUCCESS
                                       : IOMMUFD_PAGE_RESP_INVALID);
        g_assert_cmpuint(returned(i)->code, ==, codes[i]);
    }
    g_assert_cmpuint(fake_assert_balanced(m).answered, ==, 12);
    teardown();
}

static void test_stray_answers(void)
{
    setup(8);
    raise_host(1, 1);
    fake_ask(sva, 1, 1, 1);
    /* Before it was shown, though it is there already. */
    fake_respond(m, RID, 1, 1, 0);
    fake_respond(m, SVA_RID, 1, 1, 0);
    fake_pump(m);
    g_assert_cmpuint(fake_assert_balanced(m).stray, ==, 2);
    /* Nearly its name. */
    fake_respond(m, RID + 1, 1, 1, 0);
    fake_respond(m, RID, NO_PASID, 1, 0);
    fake_respond(m, RID, 2, 1, 0);
    fake_respond(m, RID, 1, 2, 0);
    fake_pump(m);
    g_assert_cmpuint(fake_assert_balanced(m).stray, ==, 6);
    g_assert_cmpuint(fake_host_answers(m), ==, 0);
    /* Once is enough. */
    for (unsigned i = 0; i < 3; i++) {
        fake_respond(m, RID, 1, 1, 0);
        fake_respond(m, SVA_RID, 1, 1, 0);
        fake_pump(m);
    }
    g_assert_cmpuint(fake_assert_balanced(m).stray, ==, 10);
    g_assert_cmpuint(fake_assert_balanced(m).answered, ==, 2);
    g_assert_cmpuint(fake_host_answers(m), ==, 1);
    g_assert_cmpuint(sva->returned->len, ==, 1);
    teardown();
}

/* A device that uses a key again, though the group is open. */
static void test_key_reuse_ends_the_older_group(void)
{
    SvaGroup *older;

    setup(8);
    older = fake_ask(sva, 1, 7, 1);
    fake_pump(m);
    fake_ask(sva, 1, 7, 1);
    fake_pump(m);
    g_assert_true(returned(0) == older);
    g_assert_cmpuint(older->code, ==, PAGE_RESPONSE_INVALID);
    raise_host(7, 1);
    fake_pump(m);
    raise_host(7, 1);
    fake_pump(m);
    g_assert_cmpuint(fake_host_answers(m), ==, 1);
    g_assert_cmpuint(fake_host_answer(m, 0).code, ==, PAGE_RESPONSE_INVALID);
    g_assert_false(fake_host_answer(m, 0).automatic);
    g_assert_cmpuint(fake_assert_balanced(m).invalid, ==, 2);
    g_assert_cmpuint(fake_assert_balanced(m).open, ==, 2);
    g_assert_cmpuint(fake_serve_all(m, 0), ==, 4);
    fake_pump(m);
    g_assert_cmpuint(fake_assert_balanced(m).answered, ==, 2);
    g_assert_cmpuint(fake_assert_balanced(m).stray, ==, 2);
    teardown();
}

/* ---- Answers that are not the guest's ---- */

/*
 * Attached to the same fault queue, and not a device of the vIOMMU. What is
 * answered in place of the guest is written at once, with no other news.
 */
static void test_unknown_device(void)
{
    g_autoptr(GError) error = NULL;
    FakeDevice stranger = { .rid = RID + 1 };
    const struct iommu_hwpt_vtd_s1 s1 = { .addr_width = 48 };
    uint32_t hwpt_id;

    setup(8);
    stranger.vfio = vfio_device_bind(
        m->host, emul_device_open_behind(m->host, EMUL_IOMMU_VTD), "stranger",
        &error);
    g_assert_no_error(error);
    stranger.dev_id = vfio_device_get_dev_id(stranger.vfio);
    lock_assume_alone(&m->viommu->config_lock);
    iommufd_hwpt_alloc(m->host,
                       &(IommufdHwpt){
                           .dev_id = stranger.dev_id,
                           .pt_id = m->viommu->host.parent_hwpt_id,
                           .flags = IOMMU_HWPT_FAULT_ID_VALID |
                                    IOMMU_HWPT_ALLOC_PASID,
                           .fault_id = m->viommu->host.fault_id,
                           .data_type = IOMMU_HWPT_DATA_VTD_S1,
                           .data_len = sizeof(s1),
                           .data = &s1,
                       },
                       &hwpt_id, &error);
    g_assert_no_error(error);
    vfio_device_attach(stranger.vfio, hwpt_id, &error);
    g_assert_no_error(error);
    fake_pump(m);
    for (uint32_t i = 0; i < 5; i++) {
        g_assert_cmpint(fake_raise(m, &stranger, NO_PASID, i, 2), ==,
                        EMUL_REPORT_QUEUED);
        fake_pump(m);
        g_assert_cmpuint(fake_host_answers(m), ==, i + 1);
        g_assert_cmpuint(fake_host_answer(m, i).code, ==,
                         PAGE_RESPONSE_INVALID);
        g_assert_false(fake_host_answer(m, i).automatic);
    }
    g_assert_cmpuint(fake_queue_used(m), ==, 0);
    g_assert_cmpuint(fake_assert_balanced(m).invalid, ==, 5);
    vfio_device_free(stranger.vfio);
    iommufd_destroy(m->host, hwpt_id, &error);
    g_assert_no_error(error);
    teardown();
}

/* It would look like a Stop Marker, and the guest not answer it. */
static void test_group_without_permissions(void)
{
    SvaGroup *group;

    setup(8);
    fake_raise_perm(m, device, 1, 1, 0);
    fake_raise_perm(m, device, 1, 2, IOMMU_PGFAULT_PERM_EXEC);
    fake_raise_perm(m, device, 1, 3, IOMMU_PGFAULT_PERM_WRITE);
    group = fake_group_new(1, 4, 3);
    ((Pgfault *)group->pages)[1].perm = 0;
    g_assert_true(viommu_page_request(sva->device, group));
    fake_pump(m);
    g_assert_cmpuint(fake_host_answers(m), ==, 2);
    g_assert_cmpuint(fake_host_answer(m, 1).code, ==, PAGE_RESPONSE_INVALID);
    g_assert_true(returned(0) == group);
    g_assert_cmpuint(group->code, ==, PAGE_RESPONSE_INVALID);
    g_assert_cmpuint(fake_queue_used(m), ==, 1);
    g_assert_cmpuint(fake_assert_balanced(m).invalid, ==, 3);
    g_assert_cmpuint(fake_serve_all(m, 0), ==, 1);
    fake_pump(m);
    teardown();
}

static void test_stop_marker(void)
{
    SvaGroup *marker;
    FakeEntry entry;

    setup(2);
    marker = fake_stop_marker_new(4);
    g_assert_true(viommu_page_request(sva->device, marker));
    fake_pump(m);
    g_assert_true(returned(0) == marker);
    g_assert_true(fake_take(m, &entry));
    g_assert_cmpuint(entry.key.pasid, ==, 4);
    g_assert_cmpuint(entry.perm, ==, 0);
    g_assert_true(entry.last);
    /* Off: dropped, and back all the same. */
    fake_set_queue(m, 0);
    g_assert_true(viommu_page_request(sva->device, fake_stop_marker_new(4)));
    fake_pump(m);
    g_assert_cmpuint(sva->returned->len, ==, 2);
    /* Nobody answers one; who does is a stray. */
    fake_respond(m, SVA_RID, 4, 0, 0);
    fake_pump(m);
    g_assert_cmpuint(fake_assert_balanced(m).markers, ==, 2);
    g_assert_cmpuint(fake_assert_balanced(m).stray, ==, 1);
    g_assert_cmpuint(fake_assert_balanced(m).raised, ==, 0);
    teardown();
}

/* One that says more than a marker does is not shown. */
static void test_malformed_stop_marker(void)
{
    SvaGroup *marker;

    setup(8);
    marker = fake_group_new(4, 0, 2);
    marker->stop_marker = true;
    g_assert_true(viommu_page_request(sva->device, marker));
    fake_pump(m);
    g_assert_true(returned(0) == marker);
    g_assert_cmpuint(fake_queue_used(m), ==, 0);
    g_assert_cmpuint(fake_assert_balanced(m).markers, ==, 1);
    teardown();
}

/* At once, and by nothing but the fd's readiness or the request itself. */
static void test_queue_off(void)
{
    setup(0);
    for (uint32_t i = 0; i < 5; i++) {
        raise_host(i, 3);
        fake_pump(m);
        g_assert_cmpuint(fake_host_answers(m), ==, i + 1);
        g_assert_cmpuint(fake_host_answer(m, i).code, ==,
                         IOMMUFD_PAGE_RESP_INVALID);
        fake_ask(sva, 1, i, 2);
        fake_pump(m);
        g_assert_cmpuint(returned(i)->code, ==, FAKE_CODE_OFF);
    }
    /* And many at a time. */
    for (uint32_t i = 0; i < 1000; i++) {
        raise_host(i, 1);
        fake_ask(sva, 1, i, 1);
    }
    fake_pump(m);
    g_assert_cmpuint(fake_host_answers(m), ==, 1005);
    g_assert_cmpuint(sva->returned->len, ==, 1005);
    g_assert_cmpuint(fake_assert_balanced(m).invalid, ==, 2010);
    teardown();
}

static void test_group_larger_than_the_queue(void)
{
    setup(4);
    raise_host(1, 5);
    fake_pump(m);
    g_assert_cmpuint(fake_host_answer(m, 0).code, ==, PAGE_RESPONSE_SUCCESS);
    g_assert_cmpuint(fake_assert_balanced(m).overflows, ==, 1);
    fake_ask(sva, 1, 1, 1);
    fake_pump(m);
    g_assert_cmpuint(returned(0)->code, ==, PAGE_RESPONSE_SUCCESS);
    fake_acknowledge_overflow(m);
    fake_ask(sva, 1, 1, 5);
    fake_pump(m);
    g_assert_cmpuint(returned(1)->code, ==, PAGE_RESPONSE_SUCCESS);
    g_assert_cmpuint(fake_assert_balanced(m).overflows, ==, 2);
    g_assert_cmpuint(fake_assert_balanced(m).retried, ==, 3);
    fake_acknowledge_overflow(m);
    raise_host(2, 4);
    fake_pump(m);
    g_assert_cmpuint(fake_serve_all(m, 0), ==, 1);
    fake_pump(m);
    teardown();
}

/* ---- Back pressure ---- */

/* Groups of 3 in a queue of 8: two of them, and none of the third. */
static void test_back_pressure_by_whole_groups(void)
{
    PageRequestKey key;

    setup(8);
    for (uint32_t i = 0; i < 4; i++) {
        raise_host(i, 3);
    }
    fake_pump(m);
    g_assert_cmpuint(fake_queue_used(m), ==, 6);
    g_assert_cmpuint(fake_assert_balanced(m).raised, ==, 2);
    g_assert_cmpuint(fake_take_group(m, &key), ==, 3);
    fake_pump(m);
    g_assert_cmpuint(fake_queue_used(m), ==, 6);
    for (uint32_t i = 1; i < 4; i++) {
        g_assert_cmpuint(fake_take_group(m, &key), ==, 3);
        g_assert_cmpuint(key.index, ==, i);
        fake_pump(m);
    }
    for (uint32_t i = 0; i < 4; i++) {
        fake_respond(m, RID, 1, i, 0);
    }
    fake_pump(m);
    g_assert_cmpuint(fake_host_answers(m), ==, 4);
    teardown();
}

/* The same; what is held counts as open. */
static void test_emulated_back_pressure(void)
{
    PageRequestKey key;

    setup(8);
    for (uint32_t i = 0; i < 4; i++) {
        fake_ask(sva, 1, i, 3);
    }
    fake_pump(m);
    g_assert_cmpuint(fake_queue_used(m), ==, 6);
    g_assert_cmpuint(fake_assert_balanced(m).raised, ==, 4);
    g_assert_cmpuint(fake_assert_balanced(m).open, ==, 4);
    for (uint32_t i = 0; i < 4; i++) {
        g_assert_cmpuint(fake_take_group(m, &key), ==, 3);
        g_assert_cmpuint(key.index, ==, i);
        fake_respond(m, SVA_RID, 1, i, 0);
        fake_pump(m);
    }
    g_assert_cmpuint(sva->returned->len, ==, 4);
    teardown();
}

/* Without room there is no turn of the loop: no spin. */
static void test_waiting_is_no_spin(void)
{
    setup(4);
    for (uint32_t i = 0; i < 10; i++) {
        raise_host(i, 3);
        fake_ask(sva, 1, i, 3);
    }
    fake_pump(m);
    g_assert_false(aio_poll(m->ctx, false));
    g_assert_cmpuint(fake_serve_all(m, 0), ==, 1);
    while (fake_assert_balanced(m).answered < 20) {
        fake_pump(m);
        g_assert_false(aio_poll(m->ctx, false));
        fake_serve_all(m, 0);
    }
    fake_pump(m);
    teardown();
}

/* Many groups of all sizes, a guest that takes one entry at a time. */
static void test_all_sizes_pass_a_small_queue(void)
{
    unsigned groups = 0;
    FakeEntry entry;

    setup(7);
    for (uint32_t i = 0; i < 300; i++) {
        raise_host(i, 1 + i % 7);
        fake_ask(sva, 1, i, 1 + (i + 3) % 7);
    }
    fake_pump(m);
    while (fake_take(m, &entry)) {
        groups += entry.last;
        if (entry.last) {
            fake_respond(m, entry.key.virt_id, 1, entry.key.index, 0);
        }
        fake_pump(m);
    }
    g_assert_cmpuint(groups, ==, 600);
    g_assert_cmpuint(fake_assert_balanced(m).answered, ==, 600);
    g_assert_cmpuint(fake_host_answers(m), ==, 300);
    g_assert_cmpuint(sva->returned->len, ==, 300);
    for (uint32_t i = 0; i < 300; i++) {
        g_assert_cmpuint(fake_host_answer(m, i).tag, ==, i);
        g_assert_cmpuint(returned(i)->index, ==, i);
    }
    teardown();
}

/* ---- Fairness ---- */

/* Both have more than the guest takes: neither is behind. */
static void test_both_get_half(void)
{
    unsigned counts[2] = { 0 };
    FakeEntry entry;

    setup(1);
    for (uint32_t i = 0; i < 500; i++) {
        raise_host(i, 1);
        fake_ask(sva, 1, i, 1);
    }
    fake_pump(m);
    for (unsigned i = 0; i < 100; i++) {
        g_assert_true(fake_take(m, &entry));
        counts[entry.key.virt_id == RID]++;
        fake_pump(m);
    }
    g_assert_cmpuint(counts[0], ==, 50);
    g_assert_cmpuint(counts[1], ==, 50);
    fake_set_queue(m, FAKE_QUEUE_MAX);
    fake_pump(m);
    fake_drop_all(m);
    fake_pump(m);
    teardown();
}

/* Takes single entries until one of @rid comes. Return: how many. */
static unsigned take_until(uint32_t rid)
{
    FakeEntry entry;

    for (unsigned i = 1; i < 1000; i++) {
        g_assert_true(fake_take(m, &entry));
        fake_respond(m, entry.key.virt_id, entry.key.pasid, entry.key.index,
                     0);
        fake_pump(m);
        if (entry.key.virt_id == rid) {
            return i;
        }
    }
    g_assert_not_reached();
}

/*
 * The queue is full and each entry that the guest takes could be had by a small
 * group of the host's: the large one gets its room none the less.
 */
static void test_small_host_groups_do_not_keep_a_large_one_out(void)
{
    setup(8);
    for (uint32_t i = 0; i < 500; i++) {
        raise_host(i, 1);
    }
    fake_pump(m);
    g_assert_cmpuint(fake_queue_used(m), ==, 8);
    fake_ask(sva, 1, 1, 5);
    fake_pump(m);
    g_assert_cmpuint(take_until(SVA_RID), <=, 20);
    while (fake_serve_all(m, 0) > 0) {
        fake_pump(m);
    }
    teardown();
}

static void test_small_emulated_groups_do_not_keep_a_large_one_out(void)
{
    setup(8);
    for (uint32_t i = 0; i < 500; i++) {
        fake_ask(sva, 1, i, 1);
    }
    fake_pump(m);
    g_assert_cmpuint(fake_queue_used(m), ==, 8);
    raise_host(1, 5);
    fake_pump(m);
    g_assert_cmpuint(take_until(RID), <=, 20);
    while (fake_serve_all(m, 0) > 0) {
        fake_pump(m);
    }
    teardown();
}

/*
 * A device's group waits; there is some room, and the host's fd says that it is
 * ready. That must not cost the device the news of more room.
 */
static void test_ready_fd_does_not_cost_a_waiter_its_news(void)
{
    unsigned taken = 0;

    setup(8);
    raise_host(0, 4);
    fake_pump(m);
    fake_ask(sva, 1, 1, 6);
    fake_pump(m);
    g_assert_cmpuint(fake_queue_used(m), ==, 4);
    for (uint32_t i = 1; i <= 2; i++) {
        raise_host(i, 1);
        fake_pump(m);
    }
    /* Room is all the news there is: no answer, no other group. */
    while (fake_queue_used(m) > 0) {
        taken += fake_take_all(m);
        fake_pump(m);
    }
    g_assert_cmpuint(taken, ==, 4 + 6 + 2);
    fake_drop_all(m);
    fake_pump(m);
    teardown();
}

/*
 * Busy polling has read the host's groups, for which there was room; then comes
 * a bottom half with those of the device. (The model asserts the promise.)
 */
static void test_what_polling_read_keeps_its_room(void)
{
    setup(4);
    aio_set_poll_params(m->ctx, 1000 * 1000, 0, 0);
    for (uint32_t i = 0; i < 200; i++) {
        raise_host(i, 3);
        fake_ask(sva, 1, i, 3);
        aio_poll(m->ctx, true);
        while (fake_serve_all(m, 0) > 0) {
            aio_poll(m->ctx, true);
        }
    }
    fake_pump(m);
    g_assert_cmpuint(fake_serve_all(m, 0), <=, 2);
    fake_pump(m);
    fake_serve_all(m, 0);
    fake_pump(m);
    g_assert_cmpuint(fake_assert_balanced(m).answered, ==, 400);
    teardown();
}

static const Test tests[] = {
    { "host-group-there-and-back", test_host_group_there_and_back },
    { "emulated-group-there-and-back", test_emulated_group_there_and_back },
    { "codes", test_codes },
    { "stray-answers", test_stray_answers },
    { "key-reuse-ends-the-older-group", test_key_reuse_ends_the_older_group },
    { "automatic/unknown-device", test_unknown_device },
    { "automatic/group-without-permissions", test_group_without_permissions },
    { "automatic/queue-off", test_queue_off },
    { "automatic/larger-than-the-queue", test_group_larger_than_the_queue },
    { "stop-marker/shown-or-dropped", test_stop_marker },
    { "stop-marker/malformed-is-not-shown", test_malformed_stop_marker },
    { "back-pressure/whole-groups", test_back_pressure_by_whole_groups },
    { "back-pressure/emulated", test_emulated_back_pressure },
    { "back-pressure/waiting-is-no-spin", test_waiting_is_no_spin },
    { "back-pressure/all-sizes-pass-a-small-queue",
      test_all_sizes_pass_a_small_queue },
    { "fairness/both-get-half", test_both_get_half },
    { "fairness/small-host-groups-do-not-keep-a-large-one-out",
      test_small_host_groups_do_not_keep_a_large_one_out },
    { "fairness/small-emulated-groups-do-not-keep-a-large-one-out",
      test_small_emulated_groups_do_not_keep_a_large_one_out },
    { "fairness/ready-fd-does-not-cost-a-waiter-its-news",
      test_ready_fd_does_not_cost_a_waiter_its_news },
    { "fairness/what-polling-read-keeps-its-room",
      test_what_polling_read_keeps_its_room },
};

int main(int argc, char **argv)
{
    return run_tests(argc, argv, "/viommu-pages", tests, G_N_ELEMENTS(tests));
}
