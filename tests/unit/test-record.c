/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What goes wrong with the file while a host is recorded holds up nobody, and
 * is said: by the recorder, and by the file to whoever plays it.
 */
#include "call-count.h"
#include "message-log.h"
#include "recorded-host.h"

#include "host/iommufd-abi.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SID 8
#define DEPTH 64
#define EVENT_BYTES 40

/* What the tests of a file that is too slow have for a buffer. */
#define SMALL_BUFFER 16384

static void rig_up(RecordedRig *rig, Recorder *recorder)
{
    *rig = (RecordedRig){ .inner = test_emul_new() };
    rig->host = record_host_new(rig->inner, recorder, "host", "test");
    recorded_rig_events(rig, SID, DEPTH);
}

static void rig_down(RecordedRig *rig)
{
    recorded_rig_down(rig);
    host_iommu_free(rig->host);
}

/* @count events, each read by itself. */
static void deliver(RecordedRig *rig, unsigned count)
{
    const uint64_t event[4] = { 0x10, 0, 0, 0 };
    uint8_t buf[EVENT_BYTES];

    for (unsigned i = 0; i < count; i++) {
        emul_report_event(rig->inner, vfio_device_get_dev_id(rig->device),
                          event);
        g_assert_cmpint(rig->host->ops->read(rig->host, rig->queue_fd, buf,
                                             sizeof(buf)), ==, sizeof(buf));
    }
}

static int fifo_new(const char *path)
{
    int fd;

    g_assert_cmpint(mkfifo(path, 0600), ==, 0);
    fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(fcntl(fd, F_SETPIPE_SZ, 4096), >=, 0);
    return fd;
}

/* All that comes out of a fifo until it is closed. */
static void *drain_thread(void *opaque)
{
    int fd = GPOINTER_TO_INT(opaque);
    GByteArray *bytes = g_byte_array_new();
    uint8_t buf[4096];
    ssize_t len;

    fcntl(fd, F_SETFL, 0);
    while ((len = read(fd, buf, sizeof(buf))) > 0) {
        g_byte_array_append(bytes, buf, len);
    }
    return bytes;
}

/* What a replay of @path delivers: events. */
static uint64_t play(const char *path, const char *shortened)
{
    GError *error = NULL;
    RecordedRig rig = {
        .host = replay_host_new(path, "host", REPLAY_MAX, &error),
    };
    uint8_t buf[EVENT_BYTES];
    uint64_t generated;

    g_assert_no_error(error);
    g_assert_nonnull(strstr(replay_host_get_shortened(rig.host), shortened));
    recorded_rig_events(&rig, SID, DEPTH);
    replay_host_start(rig.host);
    while (rig.host->ops->read(rig.host, rig.queue_fd, buf, sizeof(buf)) > 0) {
        continue;
    }
    generated = replay_host_get_stats(rig.host).generated;
    recorded_rig_down(&rig);
    host_iommu_free(rig.host);
    return generated;
}

static Recorder *small_recorder_new(const char *path)
{
    GError *error = NULL;
    Recorder *recorder = recorder_new(path, SMALL_BUFFER, &error);

    g_assert_no_error(error);
    recorder_start(recorder, &error);
    g_assert_no_error(error);
    return recorder;
}

static void test_slow_file(void)
{
    char *path = recording_file_new();
    int fd = fifo_new(path);
    GError *error = NULL;
    Recorder *recorder = small_recorder_new(path);
    RecordedRig rig;
    GThread *drain;
    GByteArray *bytes;
    uint64_t played;

    message_log_start();
    rig_up(&rig, recorder);
    deliver(&rig, 2000);
    rig_down(&rig);
    drain = g_thread_new("drain", drain_thread, GINT_TO_POINTER(fd));
    g_assert_false(recorder_close(recorder, &error));
    g_assert_nonnull(strstr(error->message, "is incomplete"));
    g_assert_nonnull(strstr(error->message, "the file is too slow"));
    bytes = g_thread_join(drain);
    close(fd);
    unlink(path);
    g_assert_true(g_file_set_contents(path, (const char *)bytes->data,
                                      bytes->len, NULL));
    played = play(path, "the file was too slow");
    g_assert_cmpuint(played, >, 10);
    g_assert_cmpuint(played, <, 1000);
    g_assert_cmpuint(message_log_matching("ends here"), ==, 1);
    message_log_stop();
    g_error_free(error);
    g_byte_array_unref(bytes);
    recording_file_free(path);
}

static void test_failing_file(void)
{
    char *path = recording_file_new();
    int fd = fifo_new(path);
    GError *error = NULL;
    Recorder *recorder = small_recorder_new(path);
    RecordedRig rig;

    message_log_start();
    close(fd);
    rig_up(&rig, recorder);
    deliver(&rig, 10000);
    rig_down(&rig);
    g_assert_false(recorder_close(recorder, &error));
    g_assert_nonnull(strstr(error->message, "it ends after 64 bytes: Broken"));
    g_assert_cmpuint(message_log_matching("ends here: Broken pipe"), ==, 1);
    g_assert_cmpuint(message_log_count(), ==, 1);
    message_log_stop();
    g_error_free(error);
    recording_file_free(path);
}

/* Open, it can be started, or not: @message has %s for @path. */
static void assert_not_started(Recorder *recorder, const char *path,
                               const char *message)
{
    g_autofree char *expected = g_strdup_printf(message, path);
    GError *error = NULL;

    g_assert_nonnull(recorder);
    g_assert_false(recorder_start(recorder, &error));
    g_assert_cmpstr(error->message, ==, expected);
    g_error_free(error);
    g_assert_true(recorder_close(recorder, NULL));
}

static void test_no_file(void)
{
    char *path = recording_file_new();
    g_autofree char *below = g_strdup_printf("%s/file", path);
    g_autofree char *expected = g_strdup_printf(
        "cannot write to '%s': No such file or directory", below);
    GError *error = NULL;

    g_assert_null(recorder_new(below, SMALL_BUFFER, &error));
    g_assert_cmpstr(error->message, ==, expected);
    g_clear_error(&error);
    assert_not_started(recorder_new("/dev/full", SMALL_BUFFER, &error),
                       "/dev/full",
                       "cannot record to '%s': No space left on device");
    recording_file_free(path);
}

/* Its reader goes while all the rest is made. */
static void test_fifo_that_is_left(void)
{
    char *path = recording_file_new();
    int fd = fifo_new(path);
    Recorder *recorder = recorder_new(path, SMALL_BUFFER, NULL);

    close(fd);
    assert_not_started(recorder, path, "cannot record to '%s': Broken pipe");
    recording_file_free(path);
}

/* What was recorded before is lost when the new recording starts, not before */
static void test_old_file_stays(void)
{
    char *path = recording_file_new();
    g_autofree char *kept = NULL;
    RecordedRig rig;
    Recorder *recorder;

    g_assert_true(g_file_set_contents(path, "older", -1, NULL));
    recorder = recorder_new(path, SMALL_BUFFER, NULL);
    rig_up(&rig, recorder);
    rig_down(&rig);
    g_assert_true(recorder_close(recorder, NULL));
    g_assert_true(g_file_get_contents(path, &kept, NULL, NULL));
    g_assert_cmpstr(kept, ==, "older");
    recording_file_free(path);
}

/* Not even SIGTERM would end it then. */
static void test_fifo_without_reader(void)
{
    char *path = recording_file_new();
    g_autofree char *expected = g_strdup_printf(
        "cannot write to '%s': nobody reads it\n"
        "a FIFO needs a reader before the recording", path);
    GError *error = NULL;

    g_assert_cmpint(mkfifo(path, 0600), ==, 0);
    g_assert_null(recorder_new(path, SMALL_BUFFER, &error));
    g_assert_cmpstr(error->message, ==, expected);
    g_error_free(error);
    recording_file_free(path);
}

/* Calls go through, with what they return and their errnos. */
static void test_transparent(void)
{
    char *path = recording_file_new();
    Recorder *recorder = test_recorder_new(path);
    RecordedRig rig;
    uint8_t buf[EVENT_BYTES];

    rig_up(&rig, recorder);
    g_assert_cmpint(rig.host->ops->read(rig.host, rig.queue_fd, buf, 4), ==,
                    -1);
    g_assert_cmpint(errno, ==, EINVAL);
    g_assert_cmpint(rig.host->ops->write(rig.host, rig.queue_fd, buf, 8), ==,
                    -1);
    g_assert_cmpint(errno, ==, EINVAL);
    g_assert_cmpint(rig.host->ops->ioctl(rig.host, rig.host->fd,
                                         IOMMU_DESTROY,
                                         &(struct iommu_destroy){
                                             .size = 8, .id = 12345 }), ==,
                    -1);
    g_assert_cmpint(errno, ==, ENOENT);
    rig_down(&rig);
    test_recorder_close(recorder);
    recording_file_free(path);
}

static void test_no_allocation(void)
{
    char *path = recording_file_new();
    Recorder *recorder = test_recorder_new(path);
    RecordedRig rig;
    CallCount count;

    rig_up(&rig, recorder);
    deliver(&rig, 1);
    call_count_start(NULL);
    deliver(&rig, 1000);
    count = call_count_stop();
    g_assert_cmpuint(count.allocations, ==, 0);
    rig_down(&rig);
    test_recorder_close(recorder);
    recording_file_free(path);
}

int main(int argc, char **argv)
{
    call_count_init();
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/record/file/too-slow-ends-the-recording-and-says-so",
                    test_slow_file);
    g_test_add_func("/record/file/failing-ends-the-recording-and-says-so",
                    test_failing_file);
    g_test_add_func("/record/file/that-cannot-be-written-is-named",
                    test_no_file);
    g_test_add_func("/record/file/fifo-whose-reader-left-is-EPIPE",
                    test_fifo_that_is_left);
    g_test_add_func("/record/file/stays-until-it-is-started",
                    test_old_file_stays);
    g_test_add_func("/record/file/fifo-without-reader-is-not-waited-for",
                    test_fifo_without_reader);
    g_test_add_func("/record/host/does-what-the-inner-one-does",
                    test_transparent);
    g_test_add_func("/record/host/read-allocates-nothing", test_no_allocation);
    return g_test_run();
}
