/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A cursor goes over the mapped file, a record at a time. The header of a
 * record has a checksum of its own: only a length that is right can be told to
 * reach beyond the end of the file, which is how a file that was cut is told
 * from one that was damaged.
 */
#include "recording.h"

#include "base/error.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

/* One record, in host byte order. */
typedef struct Record {
    RecordHeader header;
    const uint8_t *payload;     /* at a multiple of 8 */
} Record;

typedef struct Reader {
    Recording *recording;
    const char *path;
    const uint8_t *bytes;
    size_t size;
    size_t pos;
    uint32_t serial;            /* of the next record */
    bool ended;                 /* RECORD_END was there */
    bool cut;                   /* before that */
    bool any_read;
} Reader;

/* What the record means. Return: NULL, or what is wrong with it. */
typedef const char *RecordFunc(Reader *reader, const Record *record);

static const RecordingDevice *get_device(const Recording *recording,
                                         uint32_t number)
{
    return number < recording->devices->len
               ? &g_array_index(recording->devices, RecordingDevice, number)
               : NULL;
}

static RecordingQueue *get_queue(const Recording *recording, uint32_t number)
{
    return number < recording->queues->len
               ? recording->queues->pdata[number] : NULL;
}

static void queue_free(void *opaque)
{
    RecordingQueue *queue = opaque;

    g_array_unref(queue->users);
    g_array_unref(queue->reads);
    g_free(queue);
}

/* ---- What each type of record means ---- */

static const char *take_host(Reader *reader, const Record *record)
{
    const char *name = (const char *)record->payload;
    const uint32_t len = record->header.length;
    const char *end = memchr(name, '\0', len);
    RecordingHost host = { .name = name };

    if (record->header.subject != reader->recording->hosts->len) {
        return "a host out of order";
    }
    if (!end || end + 1 == name + len || name[len - 1] != '\0') {
        return "a host without a name";
    }
    host.kind = end + 1;
    g_array_append_val(reader->recording->hosts, host);
    return NULL;
}

static const char *take_device(Reader *reader, const Record *record)
{
    Recording *recording = reader->recording;
    const RecordDevice *from = (const RecordDevice *)record->payload;
    RecordingDevice device = { 0 };

    if (record->header.length != sizeof(*from) ||
        record->header.subject != recording->devices->len ||
        GUINT32_FROM_LE(from->host) >= recording->hosts->len) {
        return "a device of no host, or out of order";
    }
    device.host = GUINT32_FROM_LE(from->host);
    device.dev_id = GUINT32_FROM_LE(from->dev_id);
    g_array_append_val(recording->devices, device);
    return NULL;
}

static const char *take_device_id(Reader *reader, const Record *record)
{
    const RecordDeviceId *from = (const RecordDeviceId *)record->payload;
    const uint32_t number = record->header.subject;
    RecordingDevice *device;

    if (record->header.length < sizeof(*from) ||
        !get_device(reader->recording, number)) {
        return "an ID of no device";
    }
    device = &g_array_index(reader->recording->devices, RecordingDevice,
                            number);
    device->identified = true;
    device->virt_id = GUINT64_FROM_LE(from->virt_id);
    return NULL;
}

static bool queue_is_sound(const Recording *recording,
                           const RecordingQueue *queue)
{
    if (queue->host >= recording->hosts->len ||
        (queue->device != RECORD_NO_DEVICE &&
         !get_device(recording, queue->device))) {
        return false;
    }
    return queue->kind == RECORD_VEVENTQ
               ? queue->record_size <= RECORD_LENGTH_MAX
               : queue->kind == RECORD_FAULT_QUEUE &&
                     queue->record_size == sizeof(struct iommu_hwpt_pgfault);
}

static const char *take_queue(Reader *reader, const Record *record)
{
    Recording *recording = reader->recording;
    const RecordQueue *from = (const RecordQueue *)record->payload;
    RecordingQueue *queue;

    if (record->header.length != sizeof(*from) ||
        record->header.subject != recording->queues->len) {
        return "a queue out of order";
    }
    queue = g_new0(RecordingQueue, 1);
    queue->host = GUINT32_FROM_LE(from->host);
    queue->kind = GUINT32_FROM_LE(from->kind);
    queue->device = GUINT32_FROM_LE(from->device);
    queue->type = GUINT32_FROM_LE(from->type);
    queue->record_size = GUINT32_FROM_LE(from->record_size);
    queue->users = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    queue->reads = g_array_new(FALSE, FALSE, sizeof(RecordingRead));
    g_ptr_array_add(recording->queues, queue);
    return queue_is_sound(recording, queue) ? NULL : "a queue of no known kind";
}

static const char *take_user(Reader *reader, const Record *record)
{
    const RecordUser *from = (const RecordUser *)record->payload;
    RecordingQueue *queue =
        get_queue(reader->recording, record->header.subject);
    uint32_t device;

    if (record->header.length != sizeof(*from) || !queue) {
        return "a user of no queue";
    }
    device = GUINT32_FROM_LE(from->device);
    if (device != RECORD_NO_DEVICE && !get_device(reader->recording, device)) {
        return "a queue that is used by no device";
    }
    g_array_append_val(queue->users, device);
    return NULL;
}

static const char *take_read(Reader *reader, const Record *record)
{
    Recording *recording = reader->recording;
    RecordingQueue *queue = get_queue(recording, record->header.subject);
    RecordingRead read = {
        .time_ns = record->header.time_ns,
        .bytes = record->payload,
        .len = record->header.length,
        .devices = recording->devices->len,
    };

    if (!queue || read.len == 0 || recording->shortened) {
        return "a read of no queue, of no bytes, or after a gap";
    }
    if (!reader->any_read) {
        reader->any_read = true;
        recording->first_read_ns = read.time_ns;
    }
    g_array_append_val(queue->reads, read);
    return NULL;
}

static const char *take_queue_end(Reader *reader, const Record *record)
{
    return get_queue(reader->recording, record->header.subject)
               ? NULL : "the end of no queue";
}

static const char *take_gap(Reader *reader, const Record *record)
{
    const RecordGap *gap = (const RecordGap *)record->payload;

    if (record->header.length != sizeof(*gap) ||
        reader->recording->shortened) {
        return "a gap of a wrong length, or a second one";
    }
    reader->recording->shortened = g_strdup_printf(
        "recording '%s' ends %.3f s after its start, %" PRIu64 " reads before "
        "the end: the file was too slow for them", reader->path,
        record->header.time_ns / 1e9, GUINT64_FROM_LE(gap->reads));
    return NULL;
}

static const char *take_end(Reader *reader, const Record *record)
{
    reader->ended = true;
    return record->header.length == 0 ? NULL : "an end of a wrong length";
}

static RecordFunc *const record_funcs[] = {
    [RECORD_HOST] = take_host,
    [RECORD_DEVICE] = take_device,
    [RECORD_DEVICE_ID] = take_device_id,
    [RECORD_QUEUE] = take_queue,
    [RECORD_USER] = take_user,
    [RECORD_READ] = take_read,
    [RECORD_QUEUE_END] = take_queue_end,
    [RECORD_GAP] = take_gap,
    [RECORD_END] = take_end,
};

/* ---- Record after record ---- */

static RecordHeader load_header(const uint8_t *from)
{
    RecordHeader header;

    memcpy(&header, from, sizeof(header));
    header.length = GUINT32_FROM_LE(header.length);
    header.type = GUINT16_FROM_LE(header.type);
    header.time_ns = GUINT64_FROM_LE(header.time_ns);
    header.subject = GUINT32_FROM_LE(header.subject);
    header.serial = GUINT32_FROM_LE(header.serial);
    header.payload_crc = GUINT32_FROM_LE(header.payload_crc);
    header.header_crc = GUINT32_FROM_LE(header.header_crc);
    return header;
}

static bool fail(const Reader *reader, const char *what, GError **error)
{
    g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                "recording '%s' is damaged: record %u (byte %zu): %s",
                reader->path, reader->serial, reader->pos, what);
    return false;
}

/* All that this record or its end is not there for. */
static bool cut_short(Reader *reader)
{
    size_t left = reader->size - reader->pos;

    reader->cut = true;
    g_free(reader->recording->shortened);
    reader->recording->shortened =
        left == 0 ? g_strdup_printf("recording '%s' ends without an end mark "
                                    "after %u records (byte %zu): it was cut "
                                    "short", reader->path, reader->serial,
                                    reader->pos)
                  : g_strdup_printf("recording '%s' ends in the middle of "
                                    "record %u (byte %zu): it was cut short",
                                    reader->path, reader->serial, reader->pos);
    return true;
}

/* Is the header what was written, and what may come here? */
static const char *check_header(const Reader *reader,
                                const RecordHeader *header)
{
    uint32_t crc = (uint32_t)crc32(0, reader->bytes + reader->pos,
                                   offsetof(RecordHeader, header_crc));

    if (crc != header->header_crc) {
        return "wrong checksum of its header";
    }
    if (header->serial != reader->serial) {
        return "not the record that comes next";
    }
    if (header->time_ns < reader->recording->last_ns) {
        return "earlier than the one before";
    }
    if (header->time_ns > INT64_MAX) {
        return "later than any clock can say";
    }
    if (header->type >= G_N_ELEMENTS(record_funcs) ||
        !record_funcs[header->type] || header->reserved != 0) {
        return "of no known type";
    }
    return header->length > RECORD_LENGTH_MAX ? "too long" : NULL;
}

static bool read_record(Reader *reader, GError **error)
{
    const size_t left = reader->size - reader->pos;
    Record record;
    const char *wrong;
    size_t bytes;

    if (left < sizeof(record.header)) {
        return cut_short(reader);
    }
    record.header = load_header(reader->bytes + reader->pos);
    wrong = check_header(reader, &record.header);
    if (wrong) {
        return fail(reader, wrong, error);
    }
    bytes = record_bytes(record.header.length);
    if (bytes > left) {
        return cut_short(reader);
    }
    record.payload = reader->bytes + reader->pos + sizeof(record.header);
    if ((uint32_t)crc32(0, record.payload,
                        (uInt)(bytes - sizeof(record.header))) !=
        record.header.payload_crc) {
        return fail(reader, "wrong checksum of its payload", error);
    }
    wrong = record_funcs[record.header.type](reader, &record);
    if (wrong) {
        return fail(reader, wrong, error);
    }
    reader->recording->last_ns = record.header.time_ns;
    reader->pos += bytes;
    reader->serial++;
    return true;
}

static bool read_header(Reader *reader, GError **error)
{
    RecordingHeader header;

    if (reader->size < sizeof(header.magic) ||
        memcmp(reader->bytes, RECORDING_MAGIC, sizeof(header.magic)) != 0) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "'%s' is not a recording: it does not begin with "
                    RECORDING_MAGIC, reader->path);
        return false;
    }
    if (reader->size < sizeof(header)) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "recording '%s' ends in its header: it was cut short, and "
                    "nothing of it can be played", reader->path);
        return false;
    }
    memcpy(&header, reader->bytes, sizeof(header));
    if ((uint32_t)crc32(0, reader->bytes, offsetof(RecordingHeader, crc)) !=
        GUINT32_FROM_LE(header.crc)) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "recording '%s' is damaged: wrong checksum of its header",
                    reader->path);
        return false;
    }
    if (GUINT32_FROM_LE(header.version) != RECORDING_VERSION ||
        GUINT32_FROM_LE(header.header_bytes) != sizeof(header)) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "recording '%s' is of version %u; this program reads "
                    "version %u", reader->path,
                    GUINT32_FROM_LE(header.version), RECORDING_VERSION);
        return false;
    }
    reader->recording->monotonic_ns = GUINT64_FROM_LE(header.monotonic_ns);
    reader->pos = sizeof(header);
    return true;
}

static bool read_all(Reader *reader, GError **error)
{
    if (!read_header(reader, error)) {
        return false;
    }
    while (!reader->ended && !reader->cut) {
        if (!read_record(reader, error)) {
            return false;
        }
    }
    if (reader->ended && reader->pos != reader->size) {
        return fail(reader, "it comes after the end mark", error);
    }
    return true;
}

/* O_NONBLOCK: a FIFO that nobody writes to must not hold us up. */
static GMappedFile *map_file(const char *path, GError **error)
{
    g_auto(AutoFd) fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK |
                                   O_NOCTTY);
    g_autoptr(GError) reason = NULL;
    GMappedFile *file;
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0) {
        error_set_errno(error, errno, "cannot read recording '%s'", path);
        return NULL;
    }
    if (!S_ISREG(st.st_mode)) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "'%s' is no file that a recording can be played from\n"
                    "it is mapped: put what a pipe gives into a file first",
                    path);
        return NULL;
    }
    file = g_mapped_file_new_from_fd(fd, FALSE, &reason);
    if (!file) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST,
                    "cannot read recording '%s': %s", path, reason->message);
    }
    return file;
}

Recording *recording_open(const char *path, GError **error)
{
    GMappedFile *file = map_file(path, error);
    Recording *recording;
    Reader reader = { .path = path };

    if (!file) {
        return NULL;
    }
    recording = g_new0(Recording, 1);
    recording->file = file;
    recording->hosts = g_array_new(FALSE, FALSE, sizeof(RecordingHost));
    recording->devices = g_array_new(FALSE, FALSE, sizeof(RecordingDevice));
    recording->queues = g_ptr_array_new_with_free_func(queue_free);
    reader.recording = recording;
    reader.bytes = (const uint8_t *)g_mapped_file_get_contents(file);
    reader.size = g_mapped_file_get_length(file);
    if (!read_all(&reader, error)) {
        recording_free(recording);
        return NULL;
    }
    return recording;
}

void recording_free(Recording *recording)
{
    if (recording) {
        g_ptr_array_unref(recording->queues);
        g_array_unref(recording->devices);
        g_array_unref(recording->hosts);
        g_mapped_file_unref(recording->file);
        g_free(recording->shortened);
        g_free(recording);
    }
}
