/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of descriptors under several threads: without the wrapped calls,
 * inside which ThreadSanitizer sees no locks, but with all that is below them.
 */
#include "preload-internal.h"
#include "preload-next.h"

#include "host/iommufd-abi.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum {
    ROUNDS = 3000,
    FIRST_COPY = 600,           /* numbers that nothing else uses */
    COPIES = 2,
};

/* What the threads of one test share. */
typedef struct Race {
    int fd;                     /* /dev/iommu, whose copies come and go */
    atomic_bool end;            /* [atomic] */
} Race;

static int call_ioas_alloc(int fd)
{
    struct iommu_ioas_alloc cmd = { .size = sizeof(cmd) };
    PreloadFile *file = preload_file_get(fd);
    int ret;

    if (!file) {
        return -EBADF;
    }
    ret = preload_ioctl(file, IOMMU_IOAS_ALLOC, &cmd);
    ret = ret < 0 ? -errno : (int)cmd.out_ioas_id;
    preload_file_put(file);
    return ret;
}

static void call_destroy(int fd, uint32_t id)
{
    struct iommu_destroy cmd = { .size = sizeof(cmd), .id = id };
    PreloadFile *file = preload_file_get(fd);

    g_assert_nonnull(file);
    g_assert_cmpint(preload_ioctl(file, IOMMU_DESTROY, &cmd), ==, 0);
    preload_file_put(file);
}

/* As dup_to() in preload-calls.c. */
static void call_dup2(int fd, int to)
{
    PreloadFile *file = preload_file_get(fd);

    g_assert_nonnull(file);
    g_assert_true(preload_change(to));
    g_assert_cmpint(preload_changed(file, to, next_dup2(fd, to)), ==, to);
    preload_file_put(file);
}

/* A copy that is there works, one that is not is EBADF, and nothing else. */
static void *user_run(void *opaque)
{
    Race *race = opaque;

    /* Relaxed: only whether to stop. */
    while (!atomic_load_explicit(&race->end, memory_order_relaxed)) {
        for (int i = 0; i < COPIES; i++) {
            int id = call_ioas_alloc(FIRST_COPY + i);

            if (id < 0) {
                g_assert_cmpint(id, ==, -EBADF);
            } else {
                call_destroy(race->fd, (uint32_t)id);
            }
        }
    }
    return NULL;
}

static void test_copies_come_and_go(void)
{
    Race race = { 0 };
    pthread_t users[2];

    g_assert_true(preload_open("/dev/iommu", O_RDWR, &race.fd));
    g_assert_cmpint(race.fd, >=, 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(users); i++) {
        pthread_create(&users[i], NULL, user_run, &race);
    }
    for (int i = 0; i < ROUNDS; i++) {
        int copy = FIRST_COPY + i % COPIES;

        call_dup2(race.fd, copy);
        /* Every other time the one that the emulated host knows it by. */
        if (i % 2) {
            g_assert_cmpint(preload_close(copy), ==, 0);
        } else {
            call_dup2(copy, race.fd);
        }
    }
    atomic_store_explicit(&race.end, true, memory_order_relaxed);
    for (unsigned i = 0; i < G_N_ELEMENTS(users); i++) {
        pthread_join(users[i], NULL);
    }
    /* Nothing is left, and the next open() begins anew. */
    g_assert_cmpint(call_ioas_alloc(race.fd), ==, 1);
    preload_close(race.fd);
    for (int i = 0; i < COPIES; i++) {
        if (preload_is_ours(FIRST_COPY + i)) {
            g_assert_cmpint(preload_close(FIRST_COPY + i), ==, 0);
        }
    }
    g_assert_null(preload_host_get(0));
}

/* Each opens, uses and closes; numbers are used again by the others. */
static void *opener_run(void *opaque)
{
    for (int i = 0; i < ROUNDS / 4; i++) {
        int fd;

        g_assert_true(preload_open("/dev/iommu", O_RDWR, &fd));
        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(call_ioas_alloc(fd), ==, 1);
        g_assert_cmpint(preload_close(fd), ==, 0);
    }
    return NULL;
}

static void test_opens_are_apart(void)
{
    pthread_t openers[4];

    for (unsigned i = 0; i < G_N_ELEMENTS(openers); i++) {
        pthread_create(&openers[i], NULL, opener_run, NULL);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(openers); i++) {
        pthread_join(openers[i], NULL);
    }
    g_assert_null(preload_host_get(0));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/preload/threads/copies-come-and-go-under-users",
                    test_copies_come_and_go);
    g_test_add_func("/preload/threads/opens-are-apart", test_opens_are_apart);
    return g_test_run();
}
