/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "guest-frames.h"

#include "base/rcu.h"
#include "base/thread.h"

#include <string.h>

enum { COUNT = 8 };

typedef struct Fixture {
    GuestRam *ram;
    GuestFrames *frames;
} Fixture;

static void fixture_set_up(Fixture *fixture, gconstpointer data)
{
    GError *error = NULL;

    fixture->ram = guest_ram_new(16 * GUEST_FRAME_BYTES, &error);
    g_assert_no_error(error);
    fixture->frames = guest_frames_new(fixture->ram, COUNT, true, &error);
    g_assert_no_error(error);
}

static void fixture_tear_down(Fixture *fixture, gconstpointer data)
{
    guest_frames_free(fixture->frames);
    guest_ram_free(fixture->ram);
}

static void test_each_is_given_once(Fixture *fixture, gconstpointer data)
{
    uint64_t gpas[COUNT];

    for (int i = 0; i < COUNT; i++) {
        gpas[i] = guest_frames_take(fixture->frames);
        g_assert_cmphex(gpas[i], !=, 0);
        g_assert_cmphex(gpas[i] % GUEST_FRAME_BYTES, ==, 0);
        for (int j = 0; j < i; j++) {
            g_assert_cmphex(gpas[i], !=, gpas[j]);
        }
    }
    g_assert_cmphex(guest_frames_take(fixture->frames), ==, 0);
    guest_frames_give(fixture->frames, &gpas[3], 1);
    g_assert_cmphex(guest_frames_take(fixture->frames), ==, gpas[3]);
    g_assert_cmphex(guest_frames_take(fixture->frames), ==, 0);
    g_assert_cmpuint(guest_frames_get_damaged(fixture->frames), ==, 0);
}

/* A byte is enough, wherever in the frame it is. */
static void test_late_write_is_found(Fixture *fixture, gconstpointer data)
{
    static const size_t offsets[] = { 0, 1, 2047, GUEST_FRAME_BYTES - 1 };

    for (size_t i = 0; i < G_N_ELEMENTS(offsets); i++) {
        uint64_t gpa = guest_frames_take(fixture->frames);
        uint8_t *bytes = guest_frames_ptr(fixture->frames, gpa);

        memset(bytes, i, GUEST_FRAME_BYTES);
        guest_frames_give(fixture->frames, &gpa, 1);
        bytes[offsets[i]] ^= 1;
        g_assert_cmpuint(guest_frames_get_damaged(fixture->frames), ==, i);
        g_assert_cmphex(guest_frames_take(fixture->frames), ==, gpa);
        g_assert_cmpuint(guest_frames_get_damaged(fixture->frames), ==, i + 1);
        guest_frames_give(fixture->frames, &gpa, 1);
    }
}

/* No device comes near them, so there is nothing to fill or to look at. */
static void test_unwatched_frames_are_not_touched(void)
{
    GError *error = NULL;
    GuestRam *ram = guest_ram_new(GUEST_FRAME_BYTES, &error);
    GuestFrames *frames = guest_frames_new(ram, 1, false, &error);
    uint64_t gpa = guest_frames_take(frames);
    uint8_t *bytes = guest_frames_ptr(frames, gpa);

    g_assert_no_error(error);
    g_assert_cmphex(gpa, !=, 0);
    bytes[1] = 7;
    guest_frames_give(frames, &gpa, 1);
    guest_frames_check(frames);
    g_assert_cmphex(guest_frames_take(frames), ==, gpa);
    g_assert_cmpuint(guest_frames_get_damaged(frames), ==, 0);
    g_assert_cmphex(bytes[0], ==, 0);
    g_assert_cmphex(bytes[1], ==, 7);
    guest_frames_free(frames);
    guest_ram_free(ram);
}

static void test_check_finds_it_once(Fixture *fixture, gconstpointer data)
{
    uint64_t gpas[2];

    gpas[0] = guest_frames_take(fixture->frames);
    gpas[1] = guest_frames_take(fixture->frames);
    guest_frames_give(fixture->frames, gpas, 2);
    guest_frames_check(fixture->frames);
    g_assert_cmpuint(guest_frames_get_damaged(fixture->frames), ==, 0);
    memset(guest_frames_ptr(fixture->frames, gpas[0]), 0, 64);
    guest_frames_check(fixture->frames);
    guest_frames_check(fixture->frames);
    g_assert_cmpuint(guest_frames_get_damaged(fixture->frames), ==, 1);
    guest_frames_take(fixture->frames);
    guest_frames_take(fixture->frames);
    g_assert_cmpuint(guest_frames_get_damaged(fixture->frames), ==, 1);
}

static void *use_frames(void *opaque)
{
    GuestFrames *frames = opaque;

    for (int i = 0; i < 2000; i++) {
        uint64_t gpas[2];

        for (int j = 0; j < 2; j++) {
            gpas[j] = guest_frames_take(frames);
            g_assert_cmphex(gpas[j], !=, 0);
            memset(guest_frames_ptr(frames, gpas[j]), i, GUEST_FRAME_BYTES);
        }
        guest_frames_give(frames, gpas, 2);
    }
    return NULL;
}

static void test_threads_do_not_share_any(Fixture *fixture, gconstpointer data)
{
    pthread_t threads[COUNT / 2];

    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++) {
        g_assert_cmpint(thread_create(&threads[i], use_frames,
                                      fixture->frames), ==, 0);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++) {
        pthread_join(threads[i], NULL);
    }
    guest_frames_check(fixture->frames);
    g_assert_cmpuint(guest_frames_get_damaged(fixture->frames), ==, 0);
}

static void test_ram_runs_out(void)
{
    g_autoptr(GError) error = NULL;
    GuestRam *ram = guest_ram_new(4 * GUEST_FRAME_BYTES, &error);

    g_assert_no_error(error);
    g_assert_null(guest_frames_new(ram, 5, true, &error));
    g_assert_nonnull(error);
    guest_ram_free(ram);
}

static void add(const char *path, void (*test)(Fixture *, gconstpointer))
{
    g_test_add(path, Fixture, NULL, fixture_set_up, test, fixture_tear_down);
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    rcu_register_thread();
    add("/guest-frames/each-is-given-once", test_each_is_given_once);
    add("/guest-frames/late-write-is-found", test_late_write_is_found);
    g_test_add_func("/guest-frames/unwatched-frames-are-not-touched",
                    test_unwatched_frames_are_not_touched);
    add("/guest-frames/check-finds-it-once", test_check_finds_it_once);
    add("/guest-frames/threads-do-not-share-any",
        test_threads_do_not_share_any);
    g_test_add_func("/guest-frames/ram-runs-out", test_ram_runs_out);
    ret = g_test_run();
    rcu_unregister_thread();
    return ret;
}
