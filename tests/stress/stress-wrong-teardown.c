/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Why only the owning iothread may close a queue. The wrong way, which other
 * monitors have: one thread sits in poll() on the queue's fd in a GMainContext,
 * another closes the fd and destroys the vEVENTQ. The sleeper holds the file,
 * so IOMMU_DESTROY answers EBUSY until it wakes up. Ours, with the iothread
 * just as asleep, never sees that.
 *
 * It is also the proof that "no EBUSY" in the other tests means something: the
 * emulated host would have said so.
 */
#include "fixture.h"
#include "proc-self.h"

#include "base/rcu.h"
#include "host/iommufd.h"
#include "hw/arm/smmuv3-internal.h"

#include <glib-unix.h>
#include <sched.h>
#include <unistd.h>

#define ROUNDS 200
#define DEPTH 16

/* A thread that polls a queue in a GMainContext of its own. */
typedef struct Watcher {
    int fd;
    atomic_int polling;         /* 0, or the tid that is about to poll() */
    atomic_bool quit;
    _Atomic(GMainContext *) context;
    pthread_t thread;
} Watcher;

static Watcher watcher;

/* On the watcher's thread: nothing but poll() itself sleeps in between. */
static gint noting_poll(GPollFD *fds, guint count, gint timeout)
{
    gint ret;

    atomic_store(&watcher.polling, gettid());
    ret = g_poll(fds, count, timeout);
    atomic_store(&watcher.polling, 0);
    return ret;
}

static gboolean queue_ready(gint fd, GIOCondition condition, gpointer opaque)
{
    return G_SOURCE_CONTINUE;
}

/* A source stays with the thread that made it; others only wake it. */
static void *watcher_run(void *opaque)
{
    GMainContext *context = g_main_context_new();
    GSource *source = g_unix_fd_source_new(watcher.fd, G_IO_IN);

    g_main_context_set_poll_func(context, noting_poll);
    g_source_set_callback(source, G_SOURCE_FUNC(queue_ready), NULL, NULL);
    g_source_attach(source, context);
    atomic_store(&watcher.context, context);
    while (!atomic_load(&watcher.quit)) {
        g_main_context_iteration(context, TRUE);
    }
    g_source_destroy(source);
    g_source_unref(source);
    g_main_context_unref(context);
    return NULL;
}

static void watcher_start(int fd)
{
    watcher.fd = fd;
    atomic_store(&watcher.quit, false);
    atomic_store(&watcher.context, NULL);
    g_assert_cmpint(pthread_create(&watcher.thread, NULL, watcher_run, NULL),
                    ==, 0);
}

/* Until the thread sleeps, and has said that poll() is what it sleeps in. */
static void watcher_wait_asleep(void)
{
    for (;;) {
        pid_t tid = atomic_load(&watcher.polling);

        if (tid != 0 && proc_self_is_asleep(tid)) {
            return;
        }
        sched_yield();
    }
}

static void watcher_stop(void)
{
    atomic_store(&watcher.quit, true);
    g_main_context_wakeup(atomic_load(&watcher.context));
    pthread_join(watcher.thread, NULL);
}

/* A vIOMMU object, with nothing of ours around it. */
typedef struct Bare {
    HostIommu *host;
    VfioDevice *device;
    uint32_t ioas_id;
    uint32_t parent_id;
    uint32_t viommu_id;
} Bare;

static void bare_init(Bare *bare)
{
    g_autoptr(GError) error = NULL;
    uint32_t dev_id;

    bare->host = emul_new(&error);
    g_assert_no_error(error);
    bare->device = vfio_device_bind(bare->host, emul_device_open(bare->host),
                                    "dev", &error);
    g_assert_no_error(error);
    dev_id = vfio_device_get_dev_id(bare->device);
    iommufd_ioas_alloc(bare->host, &bare->ioas_id, &error);
    g_assert_no_error(error);
    iommufd_nest_parent_alloc(bare->host, dev_id, bare->ioas_id,
                              &bare->parent_id, &error);
    g_assert_no_error(error);
    iommufd_viommu_alloc(bare->host, IOMMU_VIOMMU_TYPE_ARM_SMMUV3, dev_id,
                         bare->parent_id, &bare->viommu_id, &error);
    g_assert_no_error(error);
}

static void bare_clear(Bare *bare)
{
    g_assert_true(iommufd_destroy(bare->host, bare->viommu_id, NULL));
    g_assert_true(iommufd_destroy(bare->host, bare->parent_id, NULL));
    g_assert_true(iommufd_destroy(bare->host, bare->ioas_id, NULL));
    vfio_device_free(bare->device);
    g_assert_cmpuint(emul_get_stats(bare->host).objects, ==, 0);
    host_iommu_free(bare->host);
}

/* Return: whether the destroy that did not wait for the sleeper failed. */
static bool wrong_round(Bare *bare)
{
    g_autoptr(GError) error = NULL;
    bool destroyed;
    uint32_t id;
    int fd;

    iommufd_veventq_alloc(bare->host, bare->viommu_id,
                          IOMMU_VEVENTQ_TYPE_ARM_SMMUV3, DEPTH, &id, &fd,
                          &error);
    g_assert_no_error(error);
    watcher_start(fd);
    watcher_wait_asleep();

    g_assert_cmpint(bare->host->ops->close(bare->host, fd), ==, 0);
    destroyed = iommufd_destroy(bare->host, id, NULL);

    /* Once the sleeper is out, it works. */
    watcher_stop();
    if (!destroyed) {
        iommufd_destroy(bare->host, id, &error);
        g_assert_no_error(error);
    }
    return !destroyed;
}

static void test_wrong_thread_closes(void)
{
    unsigned busy = 0;
    Bare bare;

    bare_init(&bare);
    for (unsigned i = 0; i < ROUNDS; i++) {
        busy += wrong_round(&bare);
    }
    g_test_message("EBUSY in %u of %u rounds", busy, ROUNDS);
    g_assert_cmpuint(emul_get_stats(bare.host).busy, ==, busy);
    g_assert_cmpuint(busy, >=, ROUNDS * 9 / 10);
    bare_clear(&bare);
}

/* Waiting for the sleeper first is the whole cure. */
static void test_wrong_thread_waits_first(void)
{
    Bare bare;

    bare_init(&bare);
    for (unsigned i = 0; i < ROUNDS; i++) {
        g_autoptr(GError) error = NULL;
        uint32_t id;
        int fd;

        iommufd_veventq_alloc(bare.host, bare.viommu_id,
                              IOMMU_VEVENTQ_TYPE_ARM_SMMUV3, DEPTH, &id, &fd,
                              &error);
        g_assert_no_error(error);
        watcher_start(fd);
        watcher_wait_asleep();
        watcher_stop();
        bare.host->ops->close(bare.host, fd);
        iommufd_destroy(bare.host, id, &error);
        g_assert_no_error(error);
    }
    g_assert_cmpuint(emul_get_stats(bare.host).busy, ==, 0);
    bare_clear(&bare);
}

static void wait_asleep(pid_t tid)
{
    while (!proc_self_is_asleep(tid)) {
        sched_yield();
    }
}

/* The same moment, by our rules: the owner unwatches, closes and destroys. */
static void test_owner_closes(void)
{
    Fixture *f = fixture_new(NULL, true);
    pid_t tid = iothread_get_thread_id(f->iothread);
    VfioDevice *device = fixture_plug(f, 1);

    for (unsigned i = 0; i < ROUNDS; i++) {
        guest_enable_eventq(f, 4);
        /* Half of the queues have events in them, some of them lost. */
        for (unsigned n = 0; n < 40 * (i % 2); n++) {
            g_assert_cmpint(fixture_report(f, device, n), !=,
                            EMUL_REPORT_REFUSED);
        }
        wait_asleep(tid);
        guest_disable_eventq(f);
        g_assert_cmpint(fixture_report(f, device, 0), ==,
                        EMUL_REPORT_REFUSED);
    }
    g_assert_cmpuint(emul_get_stats(f->host).busy, ==, 0);
    fixture_unplug_all(f);
    fixture_assert_balanced(f, 0);
    fixture_free(f);
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    rcu_register_thread();
    g_test_add_func("/stress/teardown/wrong-thread-closes",
                    test_wrong_thread_closes);
    g_test_add_func("/stress/teardown/wrong-thread-waits-first",
                    test_wrong_thread_waits_first);
    g_test_add_func("/stress/teardown/owner-closes", test_owner_closes);
    ret = g_test_run();
    rcu_unregister_thread();
    return ret;
}
