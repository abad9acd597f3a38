/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files that claim to be recordings: read, and what is accepted played to its
 * end. By its first byte the input is the file as it is, or a list of records
 * from which the file is made, with right lengths, numbers and checksums, so
 * that what is behind those is reached:
 *
 *   bytes to cut off; type, subject, us since the last, length, payload; ...
 *
 * Checked: a file is accepted, or there is one message, which names it. What
 * is accepted points into the file, and is accepted still when the end is cut
 * off. What is played is the contents of one of its queues, and all of it, as
 * long as every group is answered.
 */
#include "fuzz-input.h"

#include "host/recording.h"

#include "base/error.h"
#include "base/rcu.h"
#include "recorded-host.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

/* More than any file here has. */
#define BUF_BYTES (40 * 8192)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static int file_fd;
static char *path;
static uint8_t buf[BUF_BYTES];

/* ---- The file ---- */

static void add_header(GByteArray *file)
{
    RecordingHeader header = {
        .version = GUINT32_TO_LE(RECORDING_VERSION),
        .header_bytes = GUINT32_TO_LE(sizeof(header)),
    };

    memcpy(header.magic, RECORDING_MAGIC, sizeof(header.magic));
    header.crc = GUINT32_TO_LE((uint32_t)crc32(
        0, (const uint8_t *)&header, offsetof(RecordingHeader, crc)));
    g_byte_array_append(file, (const uint8_t *)&header, sizeof(header));
}

static void add_record(GByteArray *file, RecordHeader *header,
                       const uint8_t *payload)
{
    static const uint8_t zeros[8];
    const size_t padded = record_bytes(header->length) - sizeof(*header);
    uLong crc = crc32(0, payload, header->length);

    header->payload_crc = (uint32_t)crc32(crc, zeros, padded - header->length);
    header->header_crc = (uint32_t)crc32(0, (const uint8_t *)header,
                                         offsetof(RecordHeader, header_crc));
    g_byte_array_append(file, (const uint8_t *)header, sizeof(*header));
    g_byte_array_append(file, payload, header->length);
    g_byte_array_append(file, zeros, padded - header->length);
}

static GByteArray *make_file(FuzzInput *in)
{
    GByteArray *file = g_byte_array_new();
    RecordHeader header = { .time_ns = 1 << 20 };

    add_header(file);
    while (fuzz_left(in) > 0) {
        g_autofree uint8_t *payload = NULL;

        header.type = fuzz_below(in, RECORD_END + 2);
        header.subject = fuzz_u8(in);
        header.time_ns += (int8_t)fuzz_u8(in) * INT64_C(1000);
        header.length = fuzz_length(in, UINT16_MAX);
        payload = g_malloc(header.length + 1);
        fuzz_bytes(in, payload, header.length);
        add_record(file, &header, payload);
        header.serial++;
    }
    return file;
}

static Recording *open_file(const GByteArray *file, GError **error)
{
    g_assert_cmpint(ftruncate(file_fd, 0), ==, 0);
    g_assert_cmpint(pwrite(file_fd, file->data, file->len, 0), ==, file->len);
    return recording_open(path, error);
}

/* ---- What is accepted ---- */

static void check_queue(const Recording *recording, const RecordingQueue *queue)
{
    const uint8_t *begin =
        (const uint8_t *)g_mapped_file_get_contents(recording->file);
    const uint8_t *end = begin + g_mapped_file_get_length(recording->file);
    uint64_t last_ns = recording->first_read_ns;

    g_assert_cmpuint(queue->host, <, recording->hosts->len);
    for (unsigned i = 0; i < queue->reads->len; i++) {
        const RecordingRead *read =
            &g_array_index(queue->reads, RecordingRead, i);

        g_assert_cmpuint(read->len, >, 0);
        g_assert_true(read->bytes >= begin && read->bytes < end &&
                      read->len <= (size_t)(end - read->bytes));
        g_assert_cmpuint(read->time_ns, >=, last_ns);
        g_assert_cmpuint(read->devices, <=, recording->devices->len);
        last_ns = read->time_ns;
    }
    g_assert_cmpuint(last_ns, <=, recording->last_ns);
}

static void check_recording(const Recording *recording)
{
    for (unsigned i = 0; i < recording->devices->len; i++) {
        g_assert_cmpuint(
            g_array_index(recording->devices, RecordingDevice, i).host, <,
            recording->hosts->len);
    }
    for (unsigned i = 0; i < recording->queues->len; i++) {
        check_queue(recording, recording->queues->pdata[i]);
    }
}

static void check_refusal(const GError *error)
{
    g_assert_true(error->domain == VIOMMU_ERROR);
    g_assert_nonnull(strstr(error->message, path));
}

/* ---- What is played ---- */

/* Of a fault queue the devices have other numbers now. */
static void hide_devices(GByteArray *bytes, const RecordingQueue *queue)
{
    const size_t size = sizeof(struct iommu_hwpt_pgfault);
    const size_t at = offsetof(struct iommu_hwpt_pgfault, dev_id);
    size_t begin = 0;

    for (unsigned r = 0; r < queue->reads->len; r++) {
        const size_t len =
            g_array_index(queue->reads, RecordingRead, r).len;

        for (size_t i = 0; i + size <= len; i += size) {
            memset(bytes->data + begin + i + at, 0, sizeof(uint32_t));
        }
        begin += len;
    }
}

/* All that the queue @number has. */
static GByteArray *list_queue(const Recording *recording, unsigned number)
{
    const RecordingQueue *queue = recording->queues->pdata[number];
    GByteArray *bytes = g_byte_array_new();

    for (unsigned i = 0; i < queue->reads->len; i++) {
        const RecordingRead *read =
            &g_array_index(queue->reads, RecordingRead, i);

        g_byte_array_append(bytes, read->bytes, read->len);
    }
    return bytes;
}

/* But for the names of devices, which are those of the host that plays. */
static bool is_of_queue(const GByteArray *played, const Recording *recording,
                        unsigned number)
{
    const RecordingQueue *queue = recording->queues->pdata[number];
    g_autoptr(GByteArray) whole = list_queue(recording, number);
    g_autoptr(GByteArray) copy = g_byte_array_new();

    if (played->len != whole->len) {
        return false;
    }
    g_byte_array_append(copy, played->data, played->len);
    if (queue->kind == RECORD_FAULT_QUEUE) {
        hide_devices(copy, queue);
        hide_devices(whole, queue);
    }
    return memcmp(whole->data, copy->data, copy->len) == 0;
}

/* Nothing, or what one of the queues has. */
static void check_played(const Recording *recording, const GByteArray *played,
                         RecordQueueKind kind)
{
    bool found = played->len == 0;

    for (unsigned i = 0; i < recording->queues->len && !found; i++) {
        const RecordingQueue *queue = recording->queues->pdata[i];

        found = queue->kind == kind && is_of_queue(played, recording, i);
    }
    g_assert_true(found);
}

/*
 * Each that may be a cookie, at any byte, since reads of any length may have
 * been recorded; the host knows.
 */
static void answer(const RecordedRig *rig, size_t len)
{
    const size_t size = sizeof(struct iommu_hwpt_pgfault);

    for (size_t at = 0; at + size <= len; at++) {
        struct iommu_hwpt_page_response response = { 0 };

        memcpy(&response.cookie,
               buf + at + offsetof(struct iommu_hwpt_pgfault, cookie),
               sizeof(response.cookie));
        rig->host->ops->write(rig->host, rig->queue_fd, &response,
                              sizeof(response));
    }
}

/* Ends: each read takes something from the file. */
static GByteArray *play_queue(const RecordedRig *rig, RecordQueueKind kind)
{
    GByteArray *played = g_byte_array_new();
    ssize_t len;

    do {
        len = rig->host->ops->read(rig->host, rig->queue_fd, buf, sizeof(buf));
        g_assert_cmpint(len, >=, 0);
        g_byte_array_append(played, buf, len);
        if (kind == RECORD_FAULT_QUEUE) {
            answer(rig, len);
        }
    } while (len > 0);
    return played;
}

static uint32_t get_sid(const Recording *recording, uint8_t choice)
{
    const RecordingDevice *device;

    if (recording->devices->len == 0) {
        return choice;
    }
    device = &g_array_index(recording->devices, RecordingDevice,
                            choice % recording->devices->len);
    return device->virt_id;
}

static void check_stats(HostIommu *host)
{
    ReplayStats stats = replay_host_get_stats(host);

    g_assert_true(replay_host_is_done(host));
    g_assert_cmpuint(stats.raised, ==, stats.answered);
    g_assert_cmpuint(stats.open + stats.ended + stats.failed, ==, 0);
}

static void play_events(const Recording *recording, HostIommu *host,
                        uint32_t sid)
{
    RecordedRig rig = { .host = host };
    g_autoptr(GByteArray) played = NULL;

    recorded_rig_events(&rig, sid, 4);
    replay_host_start(host);
    played = play_queue(&rig, RECORD_VEVENTQ);
    check_played(recording, played, RECORD_VEVENTQ);
    check_stats(host);
    recorded_rig_down(&rig);
}

static void play_pages(const Recording *recording, HostIommu *host,
                       uint32_t sid)
{
    RecordedRig rig = { .host = host };
    g_autoptr(GByteArray) played = NULL;

    recorded_rig_pages(&rig, sid);
    replay_host_start(host);
    played = play_queue(&rig, RECORD_FAULT_QUEUE);
    check_played(recording, played, RECORD_FAULT_QUEUE);
    check_stats(host);
    recorded_rig_down(&rig);
}

/* What one device takes no other gets, so either kind has a host of its own. */
static void play_all(const Recording *recording, uint8_t choice)
{
    for (unsigned i = 0; i < MIN(recording->hosts->len, 2); i++) {
        const char *name =
            g_array_index(recording->hosts, RecordingHost, i).name;
        g_autoptr(GError) error = NULL;
        HostIommu *host = replay_host_new(path, name, REPLAY_MAX, &error);
        uint32_t sid = get_sid(recording, choice / 4);

        g_assert_no_error(error);
        if (choice & 2) {
            play_events(recording, host, sid);
        } else {
            play_pages(recording, host, sid);
        }
        host_iommu_free(host);
    }
}

static void check_file(const GByteArray *file, uint8_t choice)
{
    g_autoptr(GError) error = NULL;
    Recording *recording = open_file(file, &error);

    g_assert_true((recording == NULL) == (error != NULL));
    if (recording) {
        check_recording(recording);
        play_all(recording, choice);
        recording_free(recording);
    } else {
        check_refusal(error);
    }
}

/* What is played of a file is played of its beginning, with a warning. */
static void check_cut(GByteArray *file, size_t cut)
{
    Recording *recording = open_file(file, NULL);
    GError *error = NULL;

    if (recording && file->len - sizeof(RecordingHeader) > cut) {
        recording_free(recording);
        g_byte_array_set_size(file, file->len - cut);
        recording = open_file(file, &error);
        g_assert_no_error(error);
        g_assert_nonnull(recording->shortened);
        check_recording(recording);
    }
    recording_free(recording);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput in = { data, size };
    const uint8_t choice = fuzz_u8(&in);
    g_autoptr(GByteArray) file = NULL;
    size_t cut = 0;

    if (choice & 1) {
        file = g_byte_array_append(g_byte_array_new(), in.data, in.size);
    } else {
        cut = fuzz_u8(&in);
        file = make_file(&in);
    }
    check_file(file, choice);
    if (cut > 0) {
        check_cut(file, cut);
    }
    return 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    rcu_register_thread();
    file_fd = memfd_create("recording", MFD_CLOEXEC);
    g_assert_cmpint(file_fd, >=, 0);
    path = g_strdup_printf("/proc/self/fd/%d", file_fd);
    return 0;
}
