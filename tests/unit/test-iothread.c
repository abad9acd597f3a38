/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../../iothread/aio-internal.h"
#include "aio-fixture.h"
#include "base/error.h"
#include "iothread/iothread.h"

static IOThread *start(const char *id)
{
    GError *error = NULL;
    IOThread *iothread = iothread_new(id, NULL, &error);

    g_assert_no_error(error);
    return iothread;
}

static void test_id_is_copied(void)
{
    char id[] = "io0";
    IOThread *iothread = iothread_new(id, NULL, NULL);

    id[0] = 'x';
    g_assert_cmpstr(iothread_get_id(iothread), ==, "io0");
    iothread_stop(iothread);
}

/* As the kernel has it; without a name of its own it is the creator's. */
static char *thread_comm(IOThread *iothread)
{
    g_autofree char *path = g_strdup_printf(
        "/proc/self/task/%d/comm", iothread_get_thread_id(iothread));
    char *comm = NULL;

    g_assert_true(g_file_get_contents(path, &comm, NULL, NULL));
    return g_strchomp(comm);
}

static void test_name_and_tid(void)
{
    static const struct {
        const char *id, *comm;
    } cases[] = {
        { "io0", "IO io0" },
        { "123456789012", "IO 123456789012" },  /* the longest that fits */
        { "smmu0-iothread", "IO smmu0-iothre" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        IOThread *iothread = start(cases[i].id);
        g_autofree char *comm = thread_comm(iothread);

        g_assert_cmpint(iothread_get_thread_id(iothread), !=, gettid());
        g_assert_cmpstr(comm, ==, cases[i].comm);
        iothread_stop(iothread);
    }
}

static void test_source_name(void)
{
    IOThread *iothread = start("io0");
    GSource *source = aio_get_g_source(iothread_get_aio_context(iothread));

    g_assert_cmpstr(g_source_get_name(source), ==, "IO io0 aio-context");
    g_source_unref(source);
    iothread_stop(iothread);
}

static void assert_properties(IOThread *iothread, IOThreadProperties expected)
{
    AioPolling *poll = &iothread_get_aio_context(iothread)->poll;
    IOThreadProperties properties = iothread_get_properties(iothread);

    g_assert_cmpint(properties.poll_max_ns, ==, expected.poll_max_ns);
    g_assert_cmpint(properties.poll_grow, ==, expected.poll_grow);
    g_assert_cmpint(properties.poll_shrink, ==, expected.poll_shrink);
    g_assert_cmpint(atomic_load(&poll->max_ns), ==, expected.poll_max_ns);
    g_assert_cmpint(atomic_load(&poll->grow), ==, expected.poll_grow);
    g_assert_cmpint(atomic_load(&poll->shrink), ==, expected.poll_shrink);
}

static void test_default_properties(void)
{
    IOThread *iothread = start("io0");

    assert_properties(iothread, (IOThreadProperties){ 32768, 0, 0 });
    iothread_stop(iothread);
}

static void test_given_properties(void)
{
    const IOThreadProperties given = { INT64_MAX, 0, INT64_MAX };
    IOThread *iothread = iothread_new("io0", &given, NULL);

    assert_properties(iothread, given);
    iothread_stop(iothread);
}

static const struct {
    IOThreadProperties properties;
    const char *message;
} bad_properties[] = {
    { { -1, 0, 0 },
      "poll-max-ns value must be in range [0, 9223372036854775807]" },
    { { 0, -1, 0 },
      "poll-grow value must be in range [0, 9223372036854775807]" },
    { { 0, 0, INT64_MIN },
      "poll-shrink value must be in range [0, 9223372036854775807]" },
};

static void assert_refused(GError *error, const char *message)
{
    g_assert_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID);
    g_assert_cmpstr(error->message, ==, message);
    g_error_free(error);
}

static void test_new_refuses_properties(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(bad_properties); i++) {
        GError *error = NULL;

        g_assert_null(
            iothread_new("io0", &bad_properties[i].properties, &error));
        assert_refused(error, bad_properties[i].message);
    }
}

static void test_set_refuses_properties(void)
{
    IOThread *iothread = start("io0");

    for (size_t i = 0; i < G_N_ELEMENTS(bad_properties); i++) {
        GError *error = NULL;

        g_assert_false(iothread_set_properties(
            iothread, &bad_properties[i].properties, &error));
        assert_refused(error, bad_properties[i].message);
        assert_properties(iothread, IOTHREAD_PROPERTIES_DEFAULT);
    }
    iothread_stop(iothread);
}

static bool always(void *opaque)
{
    return true;
}

static void count_up(void *opaque)
{
    atomic_fetch_add((atomic_uint *)opaque, 1);
}

typedef struct Watch {
    AioContext *ctx;
    int fd;
    atomic_uint runs;
} Watch;

static void watch_ready(void *opaque)
{
    Watch *watch = opaque;

    count_up(&watch->runs);
}

static void watch_set(void *opaque)
{
    Watch *watch = opaque;

    g_assert_cmpint(aio_set_fd_handler(watch->ctx, watch->fd, watch_ready,
                                       NULL, always, watch_ready, watch), ==,
                    0);
}

static void watch_remove(void *opaque)
{
    Watch *watch = opaque;

    aio_set_fd_handler(watch->ctx, watch->fd, NULL, NULL, NULL, NULL, NULL);
}

/* The loop turns at full speed over a handler that is always ready. */
static void test_set_while_running(void)
{
    IOThread *iothread = start("io0");
    Watch watch = { .ctx = iothread_get_aio_context(iothread),
                    .fd = eventfd(1, EFD_CLOEXEC) };

    aio_wait_bh_oneshot(watch.ctx, watch_set, &watch);
    for (unsigned i = 0; i < 200; i++) {
        IOThreadProperties properties = { i % 2 * 1000000, i % 3, i % 5 };
        unsigned runs = atomic_load(&watch.runs);

        g_assert_true(iothread_set_properties(iothread, &properties, NULL));
        assert_properties(iothread, properties);
        while (atomic_load(&watch.runs) == runs) {
            sched_yield();
        }
    }
    aio_wait_bh_oneshot(watch.ctx, watch_remove, &watch);
    iothread_stop(iothread);
    close(watch.fd);
}

static void assert_in_home_thread(void *opaque)
{
    IOThread *iothread = opaque;

    g_assert_true(aio_in_home_thread(iothread_get_aio_context(iothread)));
    g_assert_cmpint(iothread_get_thread_id(iothread), ==, gettid());
}

static void test_runs_its_context(void)
{
    IOThread *iothread = start("io0");

    aio_wait_bh_oneshot(iothread_get_aio_context(iothread),
                        assert_in_home_thread, iothread);
    iothread_stop(iothread);
}

static void assert_signals_blocked(void *opaque)
{
    static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGCHLD };
    static const int faults[] = { SIGABRT, SIGBUS, SIGSEGV, SIGSYS };
    sigset_t mask;

    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    for (size_t i = 0; i < G_N_ELEMENTS(signals); i++) {
        g_assert_cmpint(sigismember(&mask, signals[i]), ==, 1);
    }
    /* Their handlers tell where the thread was. */
    for (size_t i = 0; i < G_N_ELEMENTS(faults); i++) {
        g_assert_cmpint(sigismember(&mask, faults[i]), ==, 0);
    }
}

static void test_signals_stay_outside(void)
{
    IOThread *iothread = start("io0");
    sigset_t mask;

    aio_wait_bh_oneshot(iothread_get_aio_context(iothread),
                        assert_signals_blocked, NULL);
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    g_assert_cmpint(sigismember(&mask, SIGTERM), ==, 0);
    iothread_stop(iothread);
}

static void read_section(void *opaque)
{
    rcu_section_enter();
    g_assert_true(rcu_read_ongoing());
    rcu_section_leave();
}

static void test_registered_with_rcu(void)
{
    IOThread *iothread = start("io0");

    aio_wait_bh_oneshot(iothread_get_aio_context(iothread), read_section,
                        NULL);
    rcu_synchronize();
    iothread_stop(iothread);
}

typedef struct Chain {
    AioContext *ctx;
    unsigned length;
} Chain;

static void chain_run(void *opaque)
{
    Chain *chain = opaque;

    if (--chain->length > 0) {
        aio_bh_schedule_oneshot(chain->ctx, chain_run, chain);
    }
}

/* Each link is scheduled by the one before, most of them after the stop. */
static void test_stop_runs_what_is_scheduled(void)
{
    IOThread *iothread = start("io0");
    Chain chain = { .ctx = iothread_get_aio_context(iothread),
                    .length = 100 };

    aio_bh_schedule_oneshot(chain.ctx, chain_run, &chain);
    iothread_stop(iothread);
    g_assert_cmpuint(chain.length, ==, 0);
}

static void test_stop_frees_what_is_deleted(void)
{
    IOThread *iothread = start("io0");
    atomic_uint runs = 0;
    AioBH *bh = aio_bh_new(iothread_get_aio_context(iothread), count_up,
                           &runs);

    aio_bh_schedule(bh);
    aio_bh_delete(bh);
    iothread_stop(iothread);
}

static void test_stop_while_polling(void)
{
    const IOThreadProperties properties = { .poll_max_ns = INT64_MAX };
    IOThread *iothread = iothread_new("io0", &properties, NULL);

    iothread_stop(iothread);
}

/*
 * A thread that was joined may be listed for a moment yet: until the kernel has
 * taken it off.
 */
static void wait_for_threads(unsigned count)
{
    while (count_entries("/proc/self/task") != count) {
        sched_yield();
    }
}

static void test_start_and_stop_leave_nothing(void)
{
    enum { ROUNDS = 200 };
    unsigned fds = count_entries("/proc/self/fd");
    unsigned threads = count_entries("/proc/self/task");

    for (int i = 0; i < ROUNDS; i++) {
        IOThread *iothread = start("io0");

        g_assert_cmpuint(count_entries("/proc/self/fd"), ==, fds + 2);
        iothread_stop(iothread);
    }
    g_assert_cmpuint(count_entries("/proc/self/fd"), ==, fds);
    wait_for_threads(threads);
}

static void test_no_fds_left(void)
{
    unsigned threads = count_entries("/proc/self/task");
    unsigned fds = count_entries("/proc/self/fd");
    int lowest_free = dup(STDIN_FILENO);
    struct rlimit limit, low;
    GError *error = NULL;

    close(lowest_free);
    getrlimit(RLIMIT_NOFILE, &limit);
    low = limit;
    low.rlim_cur = lowest_free;
    setrlimit(RLIMIT_NOFILE, &low);
    g_assert_null(iothread_new("io0", NULL, &error));
    setrlimit(RLIMIT_NOFILE, &limit);
    g_assert_error(error, VIOMMU_ERROR, VIOMMU_ERROR_RESOURCE);
    g_error_free(error);
    g_assert_cmpuint(count_entries("/proc/self/fd"), ==, fds);
    wait_for_threads(threads);
}

/* No thread can be had with a stack of this size. */
static void test_no_thread_to_be_had(void)
{
    const size_t huge = (size_t)1 << 50;
    unsigned fds = count_entries("/proc/self/fd");
    pthread_attr_t attr, old;
    GError *error = NULL;

    g_assert_cmpint(pthread_getattr_default_np(&old), ==, 0);
    g_assert_cmpint(pthread_attr_init(&attr), ==, 0);
    g_assert_cmpint(pthread_attr_setstacksize(&attr, huge), ==, 0);
    g_assert_cmpint(pthread_setattr_default_np(&attr), ==, 0);
    g_assert_null(iothread_new("io0", NULL, &error));
    g_assert_cmpint(pthread_setattr_default_np(&old), ==, 0);
    g_assert_nonnull(error);
    g_assert_true(g_str_has_prefix(error->message,
                                   "iothread 'io0': pthread_create: "));
    g_error_free(error);
    pthread_attr_destroy(&attr);
    pthread_attr_destroy(&old);
    g_assert_cmpuint(count_entries("/proc/self/fd"), ==, fds);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path;
        GTestFunc func;
    } tests[] = {
        { "/iothread/id-is-copied", test_id_is_copied },
        { "/iothread/name-and-tid", test_name_and_tid },
        { "/iothread/source-name", test_source_name },
        { "/iothread/default-properties", test_default_properties },
        { "/iothread/given-properties", test_given_properties },
        { "/iothread/new-refuses-properties", test_new_refuses_properties },
        { "/iothread/set-refuses-properties", test_set_refuses_properties },
        { "/iothread/set-while-running", test_set_while_running },
        { "/iothread/runs-its-context", test_runs_its_context },
        { "/iothread/signals-stay-outside", test_signals_stay_outside },
        { "/iothread/registered-with-rcu", test_registered_with_rcu },
        { "/iothread/stop-runs-what-is-scheduled",
          test_stop_runs_what_is_scheduled },
        { "/iothread/stop-frees-what-is-deleted",
          test_stop_frees_what_is_deleted },
        { "/iothread/stop-while-polling", test_stop_while_polling },
        { "/iothread/start-and-stop-leave-nothing",
          test_start_and_stop_leave_nothing },
        { "/iothread/no-fds-left", test_no_fds_left },
        { "/iothread/no-thread-to-be-had", test_no_thread_to_be_had },
    };

    g_test_init(&argc, &argv, NULL);
    rcu_register_thread();
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_test_add_func(tests[i].path, tests[i].func);
    }
    int ret = g_test_run();

    rcu_unregister_thread();
    return ret;
}
