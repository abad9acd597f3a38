/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whatever became of the file: a recording that was cut is played up to there,
 * one that was damaged is refused, and one whose checksums are right but whose
 * contents are nonsense does no harm.
 */
#include "recorded-host.h"

#include "host/recording-format.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define SID 8
#define RID 24
#define DEPTH 4

static char *path;

/* The whole file, and what a replay of it delivers by host. */
static GByteArray *whole;
static GByteArray *delivered[2];

/* ---- A recording with everything in it ---- */

static void record_events(Recorder *recorder)
{
    RecordedRig rig = { .inner = test_emul_new() };
    uint8_t buf[DEPTH * 40 + 8];

    rig.host = record_host_new(rig.inner, recorder, "events", "test");
    recorded_rig_events(&rig, SID, DEPTH);
    for (uint64_t i = 0; i < 3 * DEPTH; i++) {
        const uint64_t event[4] = { 0x10, 0, i << 12, i };

        emul_report_event(rig.inner, vfio_device_get_dev_id(rig.device),
                          event);
        if (i % 5 == 4) {
            rig.host->ops->read(rig.host, rig.queue_fd, buf,
                                i == 4 ? 40 : sizeof(buf));
        }
    }
    rig.host->ops->read(rig.host, rig.queue_fd, buf, sizeof(buf));
    recorded_rig_down(&rig);
    host_iommu_free(rig.host);
}

static void record_pages(Recorder *recorder)
{
    RecordedRig rig = { .inner = test_emul_new() };
    uint8_t buf[8 * 40];

    rig.host = record_host_new(rig.inner, recorder, "pages", "test");
    recorded_rig_pages(&rig, RID);
    for (uint32_t i = 0; i < 6; i++) {
        EmulPageRequest request = {
            .dev_id = vfio_device_get_dev_id(rig.device), .pasid = 1,
            .grpid = i / 2, .perm = IOMMU_PGFAULT_PERM_READ,
            .addr = i << 12, .last = i % 2 == 1,
        };

        g_assert_cmpint(emul_request_page(rig.inner, &request), ==,
                        EMUL_REPORT_QUEUED);
        if (i == 3) {
            rig.host->ops->read(rig.host, rig.queue_fd, buf, sizeof(buf));
        }
    }
    rig.host->ops->read(rig.host, rig.queue_fd, buf, sizeof(buf));
    recorded_rig_down(&rig);
    host_iommu_free(rig.host);
}

static GByteArray *read_file(void)
{
    char *bytes;
    gsize len;

    g_assert_true(g_file_get_contents(path, &bytes, &len, NULL));
    return g_byte_array_new_take((guint8 *)bytes, len);
}

/* Not by g_file_set_contents() or O_TRUNC: both may wait for the disk. */
static void write_file(const uint8_t *bytes, size_t len)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(write(fd, bytes, len), ==, len);
    g_assert_cmpint(ftruncate(fd, len), ==, 0);
    close(fd);
}

/* ---- Playing it ---- */

static void answer_pages(RecordedRig *rig, const uint8_t *bytes, size_t len)
{
    struct iommu_hwpt_pgfault record;

    for (size_t at = 0; at + sizeof(record) <= len; at += sizeof(record)) {
        struct iommu_hwpt_page_response response;

        memcpy(&record, bytes + at, sizeof(record));
        response = (struct iommu_hwpt_page_response){ record.cookie, 0 };
        rig->host->ops->write(rig->host, rig->queue_fd, &response,
                              sizeof(response));
    }
}

/* What the one queue of @host gives; it ends, since each turn gives some. */
static GByteArray *play_queue(HostIommu *host, bool pages)
{
    RecordedRig rig = { .host = host };
    GByteArray *bytes = g_byte_array_new();
    uint8_t buf[4000];
    ssize_t len;

    if (pages) {
        recorded_rig_pages(&rig, RID);
    } else {
        recorded_rig_events(&rig, SID, DEPTH);
    }
    replay_host_start(host);
    while ((len = host->ops->read(host, rig.queue_fd, buf, sizeof(buf))) > 0) {
        g_byte_array_append(bytes, buf, len);
        answer_pages(&rig, buf, pages ? len : 0);
    }
    recorded_rig_down(&rig);
    return bytes;
}

/**
 * play() - of one of the two hosts
 * @shortened: set to whether the recording says that it is
 *
 * Return: what it delivers, or NULL if it is refused, with a message that names
 * the file.
 */
static GByteArray *play(bool pages, bool *shortened)
{
    GError *error = NULL;
    HostIommu *host = replay_host_new(path, pages ? "pages" : "events",
                                      REPLAY_MAX, &error);
    GByteArray *bytes;

    if (!host) {
        g_assert_nonnull(strstr(error->message, path));
        g_error_free(error);
        return NULL;
    }
    *shortened = replay_host_get_shortened(host) != NULL;
    bytes = play_queue(host, pages);
    host_iommu_free(host);
    return bytes;
}

static void setup(void)
{
    Recorder *recorder;
    bool shortened;

    path = recording_file_new();
    recorder = test_recorder_new(path);
    record_events(recorder);
    record_pages(recorder);
    test_recorder_close(recorder);
    whole = read_file();
    for (int i = 0; i < 2; i++) {
        delivered[i] = play(i, &shortened);
        g_assert_nonnull(delivered[i]);
        g_assert_false(shortened);
    }
}

static void teardown(void)
{
    g_byte_array_unref(whole);
    g_byte_array_unref(delivered[0]);
    g_byte_array_unref(delivered[1]);
    recording_file_free(path);
}

/* ---- The tests ---- */

/* [0] [1 2 3 5 L9] [10 11]: lost are 4, which shows in the numbers, and 6-9. */
static void test_whole(void)
{
    g_assert_cmpuint(delivered[0]->len, ==, 7 * 40 + 8);
    g_assert_cmpuint(delivered[1]->len, ==, 6 * 40);
}

static void test_truncated(void)
{
    unsigned played = 0;

    for (size_t len = 0; len < whole->len; len++) {
        write_file(whole->data, len);
        for (int i = 0; i < 2; i++) {
            bool shortened = false;
            g_autoptr(GByteArray) bytes = play(i, &shortened);

            if (bytes) {
                played++;
                g_assert_true(shortened);
                g_assert_cmpuint(bytes->len, <=, delivered[i]->len);
                g_assert_cmpmem(bytes->data, bytes->len, delivered[i]->data,
                                bytes->len);
            }
        }
    }
    g_assert_cmpuint(played, >, whole->len);
}

static void test_damaged(void)
{
    for (size_t at = 0; at < whole->len; at++) {
        for (unsigned bit = 0; bit < 8; bit += 3) {
            bool shortened;

            whole->data[at] ^= 1 << bit;
            write_file(whole->data, whole->len);
            g_assert_null(play(0, &shortened));
            whole->data[at] ^= 1 << bit;
        }
    }
}

/* Each record says which one it is, so a missing one shows. */
static void test_record_missing(void)
{
    size_t pos = sizeof(RecordingHeader);
    bool shortened;

    while (pos + sizeof(RecordHeader) < whole->len) {
        g_autoptr(GByteArray) bytes = g_byte_array_new();
        RecordHeader header;

        memcpy(&header, whole->data + pos, sizeof(header));
        g_byte_array_append(bytes, whole->data, whole->len);
        g_byte_array_remove_range(bytes, pos, record_bytes(header.length));
        write_file(bytes->data, bytes->len);
        g_assert_null(play(0, &shortened));
        pos += record_bytes(header.length);
    }
}

/* Give every record that still looks like one its checksums. */
static void sign(uint8_t *bytes, size_t size)
{
    size_t pos = sizeof(RecordingHeader);

    while (size - pos >= sizeof(RecordHeader)) {
        RecordHeader header;
        size_t len;

        memcpy(&header, bytes + pos, sizeof(header));
        len = record_bytes(header.length);
        if (header.length > size || len > size - pos) {
            len = sizeof(header);
        }
        header.payload_crc = crc32(0, bytes + pos + sizeof(header),
                                   len - sizeof(header));
        header.header_crc = crc32(0, (const Bytef *)&header,
                                  offsetof(RecordHeader, header_crc));
        memcpy(bytes + pos, &header, sizeof(header));
        pos += len;
    }
}

/* The last record is as late as can be, or later. */
static bool plays_until(uint64_t time_ns)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    const size_t last = whole->len - sizeof(RecordHeader);
    g_autoptr(GByteArray) played = NULL;
    bool shortened;

    g_byte_array_append(bytes, whole->data, whole->len);
    memcpy(bytes->data + last + offsetof(RecordHeader, time_ns), &time_ns,
           sizeof(time_ns));
    sign(bytes->data, bytes->len);
    write_file(bytes->data, bytes->len);
    played = play(0, &shortened);
    return played != NULL;
}

static void test_time(void)
{
    g_assert_true(plays_until(INT64_MAX));
    g_assert_false(plays_until((uint64_t)INT64_MAX + 1));
    g_assert_false(plays_until(UINT64_MAX));
}

static void test_nonsense(void)
{
    unsigned rounds = g_test_quick() ? 5000 : 100000;
    unsigned played = 0;

    for (unsigned round = 0; round < rounds; round++) {
        g_autoptr(GByteArray) bytes = g_byte_array_new();
        int changes = g_test_rand_int_range(1, 4);

        g_byte_array_append(bytes, whole->data, whole->len);
        while (changes-- > 0) {
            size_t at = g_test_rand_int_range(sizeof(RecordingHeader),
                                              bytes->len);

            bytes->data[at] ^= 1 << g_test_rand_int_range(0, 8);
        }
        sign(bytes->data, bytes->len);
        write_file(bytes->data, bytes->len);
        for (int i = 0; i < 2; i++) {
            bool shortened;
            GByteArray *got = play(i, &shortened);

            if (got) {
                played++;
                g_byte_array_unref(got);
            }
        }
    }
    g_assert_cmpuint(played, >, rounds / 4);
}

static void assert_refused(const char *message)
{
    GError *error = NULL;
    g_autofree char *expected = g_strdup_printf(message, path);

    g_assert_null(replay_host_new(path, "events", REPLAY_MAX, &error));
    g_assert_cmpstr(error->message, ==, expected);
    g_error_free(error);
}

static void test_messages(void)
{
    RecordingHeader header;

    write_file(whole->data, 0);
    assert_refused("'%s' is not a recording: it does not begin with VPUMPREC");
    write_file(whole->data, 20);
    assert_refused("recording '%s' ends in its header: it was cut short, and "
                   "nothing of it can be played");
    memcpy(&header, whole->data, sizeof(header));
    header.version = 2;
    header.crc = crc32(0, (const Bytef *)&header,
                       offsetof(RecordingHeader, crc));
    write_file((const uint8_t *)&header, sizeof(header));
    assert_refused("recording '%s' is of version 2; this program reads "
                   "version 1");
    whole->data[70] ^= 1;
    write_file(whole->data, whole->len);
    assert_refused("recording '%s' is damaged: record 0 (byte 64): wrong "
                   "checksum of its header");
    whole->data[70] ^= 1;
    g_byte_array_append(whole, (const guint8 *)"more", 4);
    write_file(whole->data, whole->len);
    g_assert_false(replay_host_new(path, "events", REPLAY_MAX, NULL));
}

/* A FIFO would keep us waiting, a folder cannot be mapped. */
static void test_no_file(void)
{
    static const char refusal[] =
        "'%s' is no file that a recording can be played from\n"
        "it is mapped: put what a pipe gives into a file first";

    unlink(path);
    g_assert_cmpint(mkfifo(path, 0600), ==, 0);
    assert_refused(refusal);
    unlink(path);
    g_assert_cmpint(mkdir(path, 0700), ==, 0);
    assert_refused(refusal);
    rmdir(path);
    assert_refused("cannot read recording '%s': No such file or directory");
}

static void test_shortened(void)
{
    GError *error = NULL;
    HostIommu *host;

    write_file(whole->data, whole->len - sizeof(RecordHeader) - 1);
    host = replay_host_new(path, "events", REPLAY_MAX, &error);
    g_assert_no_error(error);
    g_assert_nonnull(strstr(replay_host_get_shortened(host),
                            "ends in the middle of record"));
    host_iommu_free(host);
    write_file(whole->data, whole->len - sizeof(RecordHeader));
    host = replay_host_new(path, "events", REPLAY_MAX, &error);
    g_assert_no_error(error);
    g_assert_nonnull(strstr(replay_host_get_shortened(host),
                            "ends without an end mark"));
    host_iommu_free(host);
}

static void test_hosts(void)
{
    GError *error = NULL;

    write_file(whole->data, whole->len);
    g_assert_null(replay_host_new(path, NULL, REPLAY_MAX, &error));
    g_assert_nonnull(strstr(error->message, "'events', 'pages'"));
    g_clear_error(&error);
    g_assert_null(replay_host_new(path, "other", REPLAY_MAX, &error));
    g_assert_nonnull(strstr(error->message, "has no host 'other'"));
    g_clear_error(&error);
}

static void add(const char *name, void (*func)(void))
{
    g_autofree char *full = g_strdup_printf("/recording/%s", name);

    g_test_add_func(full, func);
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    setup();
    add("whole/is-played-as-a-whole", test_whole);
    add("cut/at-any-byte-is-played-up-to-there", test_truncated);
    add("cut/says-where", test_shortened);
    add("damaged/at-any-byte-is-refused", test_damaged);
    add("damaged/without-one-record-is-refused", test_record_missing);
    add("damaged/time-is-one-that-clocks-have", test_time);
    add("nonsense/does-no-harm", test_nonsense);
    add("hosts/are-chosen-by-name", test_hosts);
    add("refused/says-why", test_messages);
    add("refused/what-is-no-file", test_no_file);
    ret = g_test_run();
    teardown();
    return ret;
}
