/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The device, with a client that is the test: on the real model with the
 * built-in guest, which maps what is asked for.
 */
#include "sva-accel.h"

#include "guest-vtd-fixture.h"

#include "base/rcu.h"

#include <poll.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

enum { DEADLINE_MS = 60000 };

#define DESCRIPTOR_BYTES (8 * SVA_ACCEL_DESCRIPTOR_WORDS)

/* The device's memory is what the guest has left of its. */
typedef struct Client {
    GuestVtdFixture f;
    uint8_t *descriptors;
    uint64_t *ring;
    uint64_t seen;              /* completions */
    GuestAddressSpace *space;   /* of PASID 1 */
    uint64_t base;
} Client;

static void client_set_up(Client *client, uint32_t depth, uint32_t credits)
{
    GuestVtdFixture *f = &client->f;
    GError *error = NULL;
    uint64_t gpa;

    f->sva_devices = 1;
    f->pasids = 2;
    f->pages = MAX(2 * depth, 16);
    f->depth = depth;
    f->credits = credits;
    guest_vtd_fixture_set_up(f);
    gpa = guest_ram_alloc(f->ram, depth * DESCRIPTOR_BYTES, 64, &error);
    g_assert_no_error(error);
    client->descriptors = guest_ram_ptr(f->ram, gpa);
    sva_accel_mmio_write(f->accel[0], SVA_ACCEL_DESCRIPTORS, 8, gpa);
    gpa = guest_ram_alloc(f->ram, 8 * SVA_ACCEL_RING_WORDS(depth), 64, &error);
    g_assert_no_error(error);
    client->ring = guest_ram_ptr(f->ram, gpa);
    sva_accel_mmio_write(f->accel[0], SVA_ACCEL_COMPLETIONS, 8, gpa);
    client->space = guest_vtd_get_space(f->guest, GUEST_VTD_FIXTURE_SVA_RID(0),
                                        1);
    client->base = guest_address_space_get_base(client->space);
}

static void client_tear_down(Client *client)
{
    guest_vtd_fixture_tear_down(&client->f);
}

static void put(Client *client, uint32_t slot, uint64_t pasid, uint64_t src,
                uint64_t dst, uint64_t length, uint64_t key)
{
    const uint64_t words[SVA_ACCEL_DESCRIPTOR_WORDS] = {
        [SVA_ACCEL_WORD_PASID] = pasid, [SVA_ACCEL_WORD_SRC] = src,
        [SVA_ACCEL_WORD_DST] = dst, [SVA_ACCEL_WORD_LENGTH] = length,
        [SVA_ACCEL_WORD_KEY] = key,
    };

    guest_words_store(client->descriptors + slot * DESCRIPTOR_BYTES, words,
                      SVA_ACCEL_DESCRIPTOR_WORDS);
}

static void ring_doorbell(Client *client, uint64_t slot)
{
    lock_acquire(&client->f.big_lock);
    sva_accel_mmio_write(client->f.accel[0], SVA_ACCEL_DOORBELL, 8, slot);
    lock_release(&client->f.big_lock);
}

/* Return: the slot that is completed next, and its status. */
static uint32_t wait_completion(Client *client, uint64_t *status)
{
    struct pollfd fd = {
        .fd = sva_accel_get_irq_fd(client->f.accel[0]), .events = POLLIN,
    };
    uint64_t words[SVA_ACCEL_DESCRIPTOR_WORDS];
    uint64_t slot, raised;

    while (__atomic_load_n(&client->ring[0], __ATOMIC_ACQUIRE) ==
           client->seen) {
        g_assert_cmpint(poll(&fd, 1, DEADLINE_MS), ==, 1);
        g_assert_cmpint(read(fd.fd, &raised, sizeof(raised)), ==, 8);
    }
    guest_words_load(&slot,
                     &client->ring[1 + client->seen % client->f.depth], 1);
    client->seen++;
    guest_words_load(words, client->descriptors + slot * DESCRIPTOR_BYTES,
                     SVA_ACCEL_DESCRIPTOR_WORDS);
    *status = words[SVA_ACCEL_WORD_STATUS];
    return slot;
}

/* One operation in slot 0. Return: its status. */
static uint64_t run(Client *client, uint64_t pasid, uint64_t src, uint64_t dst,
                    uint64_t length, uint64_t key)
{
    uint64_t status;

    put(client, 0, pasid, src, dst, length, key);
    ring_doorbell(client, 0);
    g_assert_cmpuint(wait_completion(client, &status), ==, 0);
    return status;
}

static SvaAccelCounts get_counts(Client *client)
{
    return sva_accel_get_counts(client->f.accel[0]);
}

/* ---- The tests ---- */

static void test_transform_can_be_cut_anywhere(void)
{
    const uint64_t key = UINT64_C(0x0123456789abcdef);
    uint8_t src[64], whole[64], parts[64];

    for (size_t i = 0; i < sizeof(src); i++) {
        src[i] = i * 7;
    }
    sva_accel_transform(whole, src, sizeof(src), key, 0);
    g_assert_cmpuint(whole[0], ==, src[0] ^ 0xef);
    g_assert_cmpuint(whole[63], ==, src[63] ^ 0x01);
    for (size_t i = 0; i <= sizeof(src); i++) {
        for (size_t j = i; j <= sizeof(src); j++) {
            memset(parts, 0, sizeof(parts));
            sva_accel_transform(parts, src, i, key, 0);
            sva_accel_transform(parts + i, src + i, j - i, key, i);
            sva_accel_transform(parts + j, src + j, sizeof(src) - j, key, j);
            g_assert_cmpmem(parts, sizeof(parts), whole, sizeof(whole));
        }
    }
}

/* Two pages of source, two of destination: one group, one round trip. */
static void test_what_is_missing_is_asked_for_at_once(void)
{
    enum { LENGTH = 4000 };
    Client client = { 0 };
    uint8_t in[LENGTH], out[LENGTH], expected[LENGTH];
    uint64_t src, dst;

    client_set_up(&client, 8, 16);
    src = client.base + 4096 - 100;
    dst = client.base + 4 * 4096 - 3000;
    memset(in, 0x3c, sizeof(in));
    guest_address_space_write(client.space, src, in, LENGTH);
    g_assert_cmpuint(run(&client, 1, src, dst, LENGTH, 99), ==,
                     SVA_ACCEL_STATUS_DONE);
    sva_accel_transform(expected, in, LENGTH, 99, 0);
    guest_address_space_read(client.space, dst, out, LENGTH);
    g_assert_cmpmem(out, LENGTH, expected, LENGTH);
    g_assert_cmpuint(get_counts(&client).raised, ==, 1);
    g_assert_cmpuint(guest_vtd_get_counts(client.f.guest).requests, ==, 4);
    /* And now all is there. */
    g_assert_cmpuint(run(&client, 1, src, dst, LENGTH, 98), ==,
                     SVA_ACCEL_STATUS_DONE);
    g_assert_cmpuint(get_counts(&client).raised, ==, 1);
    g_assert_cmpuint(get_counts(&client).completed, ==, 2);
    guest_vtd_fixture_assert_good(&client.f);
    client_tear_down(&client);
}

/* A page that is read and written is asked for once, for both. */
static void test_one_page_for_both(void)
{
    Client client = { 0 };

    client_set_up(&client, 8, 16);
    g_assert_cmpuint(run(&client, 1, client.base, client.base + 128, 64, 0),
                     ==, SVA_ACCEL_STATUS_DONE);
    g_assert_cmpuint(guest_vtd_get_counts(client.f.guest).requests, ==, 1);
    client_tear_down(&client);
}

static void test_bad_descriptors_are_not_run(void)
{
    static const struct {
        uint64_t pasid;
        uint64_t length;
    } bad[] = {
        { 0, 64 }, { 3, 64 }, { UINT64_MAX, 64 },
        { 1, 0 }, { 1, SVA_ACCEL_LENGTH_MAX + 1 }, { 1, UINT64_MAX },
    };
    Client client = { 0 };

    client_set_up(&client, 8, 16);
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_cmpuint(run(&client, bad[i].pasid, client.base, client.base,
                             bad[i].length, 0), ==, SVA_ACCEL_STATUS_BAD);
        g_assert_cmpuint(get_counts(&client).failed, ==, i + 1);
    }
    g_assert_cmpuint(get_counts(&client).raised, ==, 0);
    g_assert_cmpuint(run(&client, 1, client.base, client.base,
                         SVA_ACCEL_LENGTH_MAX, 0), ==, SVA_ACCEL_STATUS_DONE);
    client_tear_down(&client);
}

static void test_no_such_page_is_a_fault(void)
{
    static const uint64_t addrs[] = {
        0, UINT64_C(0x7ffffffff000), UINT64_C(0x800000000000),
        UINT64_C(0xfffffffffffff000), UINT64_MAX,
    };
    Client client = { 0 };

    client_set_up(&client, 8, 16);
    for (size_t i = 0; i < G_N_ELEMENTS(addrs); i++) {
        g_assert_cmpuint(run(&client, 1, client.base, addrs[i], 4096, 0), ==,
                         SVA_ACCEL_STATUS_FAULT);
        g_assert_cmpuint(get_counts(&client).invalid, ==, i + 1);
        g_assert_cmpuint(get_counts(&client).failed, ==, i + 1);
    }
    g_assert_cmpuint(get_counts(&client).success, ==, 0);
    client_tear_down(&client);
}

/* Those without wait in a row, and all come to their end. */
static void test_without_credit_operations_wait(void)
{
    enum { DEPTH = 64, ROUNDS = 20 };
    Client client = { 0 };
    SvaAccelCounts counts;
    Prng prng = { 3 };

    client_set_up(&client, DEPTH, SVA_ACCEL_GROUP_PAGES);
    for (int round = 0; round < ROUNDS; round++) {
        for (uint32_t slot = 0; slot < DEPTH; slot++) {
            put(&client, slot, 1, client.base + slot * 8192 + 64,
                client.base + slot * 8192 + 4096 + 64, 4032, slot);
            ring_doorbell(&client, slot);
        }
        for (uint32_t i = 0; i < DEPTH; i++) {
            uint64_t status;

            wait_completion(&client, &status);
            g_assert_cmpuint(status, ==, SVA_ACCEL_STATUS_DONE);
        }
        while (guest_address_space_take(client.space, &prng, 64)) {
        }
    }
    counts = get_counts(&client);
    g_assert_cmpuint(counts.completed, ==, DEPTH * ROUNDS);
    g_assert_cmpuint(counts.raised, ==, DEPTH * ROUNDS);
    g_assert_cmpuint(counts.no_credit, >, 0);
    guest_vtd_fixture_assert_good(&client.f);
    client_tear_down(&client);
}

/* The guest is hostile: a doorbell does nothing where there is nothing. */
static void test_doorbells_that_do_nothing(void)
{
    Client client = { 0 };
    uint64_t status;

    client_set_up(&client, 8, 16);
    guest_vtd_rest(client.f.guest);
    put(&client, 3, 1, client.base, client.base + 8192, 64, 0);
    for (int i = 0; i < 3; i++) {
        ring_doorbell(&client, 3);
    }
    ring_doorbell(&client, 8);
    ring_doorbell(&client, UINT64_MAX);
    sva_accel_mmio_write(client.f.accel[0], SVA_ACCEL_DOORBELL, 4, 5);
    sva_accel_mmio_write(client.f.accel[0], 0x1000, 8, 5);
    g_assert_cmpuint(sva_accel_mmio_read(client.f.accel[0], SVA_ACCEL_DEPTH,
                                         8), ==, 8);
    g_assert_cmpuint(sva_accel_mmio_read(client.f.accel[0], SVA_ACCEL_DEPTH,
                                         4), ==, 0);
    /* A bad one goes at once: by then all before it have been looked at. */
    put(&client, 4, 0, 0, 0, 0, 0);
    ring_doorbell(&client, 4);
    g_assert_cmpuint(wait_completion(&client, &status), ==, 4);
    g_assert_cmpuint(get_counts(&client).raised, ==, 1);
    client_tear_down(&client);
}

/* Registers that name nothing: no descriptor, no completion, no crash. */
static void test_registers_outside_of_memory(void)
{
    Client client = { 0 };
    uint64_t descriptors;
    uint64_t status;

    client_set_up(&client, 8, 16);
    descriptors = sva_accel_mmio_read(client.f.accel[0], SVA_ACCEL_DESCRIPTORS,
                                      8);
    sva_accel_mmio_write(client.f.accel[0], SVA_ACCEL_DESCRIPTORS, 8,
                         UINT64_MAX);
    ring_doorbell(&client, 0);
    while (get_counts(&client).failed == 0) {
        sched_yield();
    }
    sva_accel_mmio_write(client.f.accel[0], SVA_ACCEL_DESCRIPTORS, 8,
                         descriptors | 63);
    put(&client, 1, 0, 0, 0, 0, 0);
    ring_doorbell(&client, 1);
    g_assert_cmpuint(wait_completion(&client, &status), ==, 1);
    g_assert_cmpuint(status, ==, SVA_ACCEL_STATUS_BAD);
    client_tear_down(&client);
}

/* What waits for a page that nobody maps any more. */
static void test_unplugged_with_operations_under_way(void)
{
    Client client = { 0 };

    client_set_up(&client, 8, SVA_ACCEL_GROUP_PAGES);
    guest_vtd_rest(client.f.guest);
    for (uint32_t slot = 0; slot < 8; slot++) {
        put(&client, slot, 1, client.base, client.base + 8192, 4096, 0);
        ring_doorbell(&client, slot);
    }
    while (get_counts(&client).raised == 0) {
        sched_yield();
    }
    sva_accel_free(client.f.accel[0]);
    client.f.sva_devices = 0;
    g_assert_cmpuint(viommu_get_page_stats(client.f.viommu).open, ==, 0);
    client_tear_down(&client);
}

static void test_what_is_refused(void)
{
    static const struct {
        uint32_t rid, credits, depth;
        const char *message;
    } cases[] = {
        { 1, 16, 0, "queue-depth 0 is out of range, 1 to 512 are accepted" },
        { 1, 16, 513, "queue-depth 513 is out of range, 1 to 512 are "
                      "accepted" },
        { 1, 0, 8, "device 'a': 0 credits are out of range, 1 to 16384 are "
                    "accepted" },
        { 0x0290, 16, 8, NULL },            /* there is one already */
        { 0x10000, 16, 8, NULL },
    };
    Client client = { 0 };

    client_set_up(&client, 8, 16);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        const SvaAccelConfig config = {
            .id = "a", .viommu = client.f.viommu,
            .mem = guest_ram_get_mem(client.f.ram), .rid = cases[i].rid,
            .pasids = 1, .credits = cases[i].credits,
            .depth = cases[i].depth,
        };

        g_assert_null(sva_accel_new(&config, &error));
        g_assert_nonnull(error);
        if (cases[i].message) {
            g_assert_cmpstr(error->message, ==, cases[i].message);
        }
    }
    client_tear_down(&client);
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    rcu_register_thread();
    g_test_add_func("/sva-accel/transform-can-be-cut-anywhere",
                    test_transform_can_be_cut_anywhere);
    g_test_add_func("/sva-accel/what-is-missing-is-asked-for-at-once",
                    test_what_is_missing_is_asked_for_at_once);
    g_test_add_func("/sva-accel/one-page-for-both", test_one_page_for_both);
    g_test_add_func("/sva-accel/bad-descriptors-are-not-run",
                    test_bad_descriptors_are_not_run);
    g_test_add_func("/sva-accel/no-such-page-is-a-fault",
                    test_no_such_page_is_a_fault);
    g_test_add_func("/sva-accel/without-credit-operations-wait",
                    test_without_credit_operations_wait);
    g_test_add_func("/sva-accel/doorbells-that-do-nothing",
                    test_doorbells_that_do_nothing);
    g_test_add_func("/sva-accel/registers-outside-of-memory",
                    test_registers_outside_of_memory);
    g_test_add_func("/sva-accel/unplugged-with-operations-under-way",
                    test_unplugged_with_operations_under_way);
    g_test_add_func("/sva-accel/what-is-refused", test_what_is_refused);
    ret = g_test_run();
    rcu_unregister_thread();
    return ret;
}
