/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hw/iommu/irq-sink.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#define DOORBELL UINT64_C(0xfee00000fee01000)

static IrqSink *sink_new(unsigned lines, uint64_t doorbell)
{
    g_autoptr(GError) error = NULL;
    IrqSink *sink = irq_sink_eventfd_new(lines, doorbell, &error);

    g_assert_no_error(error);
    g_assert_nonnull(sink);
    return sink;
}

/* Pulses of @line since the last look; 0 also proves that it is non-blocking */
static uint64_t pulses(IrqSink *sink, unsigned line)
{
    uint64_t count = 0;
    ssize_t ret = read(irq_sink_eventfd_get(sink, line), &count, sizeof(count));

    if (ret < 0) {
        g_assert_cmpint(errno, ==, EAGAIN);
        return 0;
    }
    g_assert_cmpint(ret, ==, sizeof(count));
    return count;
}

static unsigned fds_open(void)
{
    g_autoptr(GDir) dir = g_dir_open("/proc/self/fd", 0, NULL);
    unsigned count = 0;

    while (g_dir_read_name(dir)) {
        count++;
    }
    return count;
}

static void test_pulse_reaches_its_line(void)
{
    IrqSink *sink = sink_new(8, 0);

    for (unsigned line = 0; line < 8; line++) {
        sink->ops->pulse(sink, line);
        sink->ops->pulse(sink, line);
        for (unsigned other = 0; other < 8; other++) {
            g_assert_cmpuint(pulses(sink, other), ==, other == line ? 2 : 0);
        }
    }
    irq_sink_eventfd_free(sink);
}

static void test_line_not_there_is_ignored(void)
{
    IrqSink *sink = sink_new(2, DOORBELL);

    sink->ops->pulse(sink, 2);
    sink->ops->pulse(sink, UINT_MAX);
    g_assert_cmpuint(pulses(sink, 0) + pulses(sink, 1), ==, 0);
    irq_sink_eventfd_free(sink);
}

static void test_message(void)
{
    IrqSink *sink = sink_new(2, DOORBELL);

    g_assert_true(sink->ops->message(sink, DOORBELL, 1));
    g_assert_cmpuint(pulses(sink, 0), ==, 0);
    g_assert_cmpuint(pulses(sink, 1), ==, 1);
    g_assert_false(sink->ops->message(sink, DOORBELL, 2));
    g_assert_false(sink->ops->message(sink, DOORBELL + 4, 0));
    g_assert_false(sink->ops->message(sink, (uint32_t)DOORBELL, 0));
    g_assert_false(sink->ops->message(sink, 0, 0));
    g_assert_cmpuint(pulses(sink, 0) + pulses(sink, 1), ==, 0);
    irq_sink_eventfd_free(sink);
}

static void test_no_doorbell(void)
{
    IrqSink *sink = sink_new(1, 0);

    g_assert_false(sink->ops->message(sink, 0, 0));
    g_assert_cmpuint(pulses(sink, 0), ==, 0);
    irq_sink_eventfd_free(sink);
}

/* Nobody drains, the counter is at its end: no blocking, no abort. */
static void test_counter_at_maximum(void)
{
    IrqSink *sink = sink_new(1, 0);
    const uint64_t most = UINT64_MAX - 1;

    g_assert_cmpint(write(irq_sink_eventfd_get(sink, 0), &most, sizeof(most)),
                    ==, sizeof(most));
    sink->ops->pulse(sink, 0);
    g_assert_cmpuint(pulses(sink, 0), ==, most);
    irq_sink_eventfd_free(sink);
}

static void test_flags_and_close(void)
{
    unsigned before = fds_open();
    IrqSink *sink = sink_new(8, 0);

    g_assert_cmpuint(fds_open(), ==, before + 8);
    for (unsigned line = 0; line < 8; line++) {
        int fd = irq_sink_eventfd_get(sink, line);

        g_assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        g_assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    }
    irq_sink_eventfd_free(sink);
    g_assert_cmpuint(fds_open(), ==, before);
    irq_sink_eventfd_free(NULL);
}

static void test_bad_line_count(gconstpointer data)
{
    unsigned lines = GPOINTER_TO_UINT(data);
    g_autoptr(GError) error = NULL;
    g_autofree char *pattern = g_strdup_printf("%u interrupt lines*1 to 8",
                                               lines);

    g_assert_null(irq_sink_eventfd_new(lines, 0, &error));
    g_assert_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID);
    g_assert_true(g_pattern_match_simple(pattern, error->message));
}

/* The third of four cannot be had: the first two are closed again. */
static void test_out_of_descriptors(void)
{
    unsigned before = fds_open();
    struct rlimit limit, low;
    g_autoptr(GError) error = NULL;
    int first = dup(0), second = dup(0);
    IrqSink *sink;

    close(first);
    close(second);
    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    low = (struct rlimit) { second + 1, limit.rlim_max };
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &low), ==, 0);
    sink = irq_sink_eventfd_new(4, 0, &error);
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);

    g_assert_null(sink);
    g_assert_error(error, VIOMMU_ERROR, VIOMMU_ERROR_RESOURCE);
    g_assert_nonnull(strstr(error->message, "line 2"));
    g_assert_cmpuint(fds_open(), ==, before);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    /* First: the others would hang on an eventfd that blocks. */
    g_test_add_func("/irq-sink/flags-and-close", test_flags_and_close);
    g_test_add_func("/irq-sink/pulse-reaches-its-line",
                    test_pulse_reaches_its_line);
    g_test_add_func("/irq-sink/line-not-there-is-ignored",
                    test_line_not_there_is_ignored);
    g_test_add_func("/irq-sink/message-pulses-or-aborts", test_message);
    g_test_add_func("/irq-sink/no-doorbell-aborts", test_no_doorbell);
    g_test_add_func("/irq-sink/counter-at-maximum", test_counter_at_maximum);
    g_test_add_data_func("/irq-sink/no-lines", GUINT_TO_POINTER(0),
                         test_bad_line_count);
    g_test_add_data_func("/irq-sink/too-many-lines", GUINT_TO_POINTER(9),
                         test_bad_line_count);
    g_test_add_func("/irq-sink/out-of-descriptors", test_out_of_descriptors);
    return g_test_run();
}
