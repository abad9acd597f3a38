/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A ring of bytes between those who append and the thread that writes. Whole
 * records lie between tail and head; the writer alone moves tail, and reads and
 * completes (checksums) what is before head without the lock.
 *
 * The writer is woken when the ring is no longer empty, and lets it fill for a
 * moment: a system call per append would be the readers' time.
 */
#include "recorder.h"

#include "base/error.h"
#include "base/lock.h"
#include "base/report.h"
#include "base/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

/* How long the writer lets the ring fill. */
#define COLLECT_NS 5000000

/* Most that one write() is asked for. */
#define WRITE_BYTES_MAX (UINT32_C(1) << 20)

/* What the file does not have. */
typedef struct RecorderMissed {
    uint64_t since_ns;          /* time of the first record that is missing */
    RecordGap gap;
} RecorderMissed;

struct Recorder {
    Lock lock;
    pthread_cond_t filled;      /* [lock] the ring is not empty, or closing */
    char *path;                 /* [const] */
    int fd;                     /* [const] */
    bool started;               /* [const] once it is: there is a writer */
    pthread_t writer;
    uint8_t *ring;              /* [const] pointer; bytes see above */
    size_t size;                /* [const] a power of two */
    uint64_t head GUARDED_BY(&lock);    /* bytes appended */
    uint64_t tail GUARDED_BY(&lock);    /* bytes written */
    uint64_t start_ns;          /* [const] time 0 */
    uint32_t serial GUARDED_BY(&lock);  /* of the next record */
    uint32_t numbers[RECORD_END] GUARDED_BY(&lock); /* by enum RecordType */
    bool stopped GUARDED_BY(&lock); /* nothing is appended any more */
    bool closing GUARDED_BY(&lock);
    RecorderMissed missed GUARDED_BY(&lock);
    int err;                    /* [writer] errno of a write, 0 for none */
    uint64_t written;           /* [writer] bytes */
};

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return now.tv_sec * UINT64_C(1000000000) + now.tv_nsec;
}

/* ---- The ring ---- */

static void ring_put(Recorder *recorder, uint64_t pos, const void *bytes,
                     size_t len)
{
    size_t at = pos & (recorder->size - 1);
    size_t first = MIN(len, recorder->size - at);

    if (len > 0) {
        memcpy(recorder->ring + at, bytes, first);
        memcpy(recorder->ring, (const uint8_t *)bytes + first, len - first);
    }
}

static void ring_get(const Recorder *recorder, uint64_t pos, void *bytes,
                     size_t len)
{
    size_t at = pos & (recorder->size - 1);
    size_t first = MIN(len, recorder->size - at);

    memcpy(bytes, recorder->ring + at, first);
    memcpy((uint8_t *)bytes + first, recorder->ring, len - first);
}

static uint32_t ring_crc(const Recorder *recorder, uint64_t pos, size_t len)
{
    size_t at = pos & (recorder->size - 1);
    size_t first = MIN(len, recorder->size - at);
    uLong crc = crc32(0, recorder->ring + at, (uInt)first);

    return (uint32_t)crc32(crc, recorder->ring, (uInt)(len - first));
}

/* ---- Those who append ---- */

static void miss_locked(Recorder *recorder, RecordType type, size_t len)
    REQUIRES(&recorder->lock)
{
    RecorderMissed *missed = &recorder->missed;

    if (type == RECORD_READ) {
        if (missed->gap.reads == 0) {
            missed->since_ns =
                clock_ns(CLOCK_MONOTONIC) - recorder->start_ns;
        }
        missed->gap.reads++;
        missed->gap.bytes += len;
    }
}

/* Whole, or not at all; once one is missing, so are all that come after it. */
static bool has_room_locked(Recorder *recorder, size_t len)
    REQUIRES(&recorder->lock)
{
    if (!recorder->stopped) {
        recorder->stopped =
            len > RECORD_LENGTH_MAX ||
            record_bytes((uint32_t)len) >
                recorder->size - (recorder->head - recorder->tail);
    }
    return !recorder->stopped;
}

static RecordHeader make_header_locked(Recorder *recorder, RecordType type,
                                       uint32_t subject, size_t len)
    REQUIRES(&recorder->lock)
{
    return (RecordHeader){
        .length = GUINT32_TO_LE((uint32_t)len),
        .type = GUINT16_TO_LE(type),
        .time_ns = GUINT64_TO_LE(clock_ns(CLOCK_MONOTONIC) -
                                 recorder->start_ns),
        .subject = GUINT32_TO_LE(subject),
        .serial = GUINT32_TO_LE(recorder->serial++),
    };
}

static void append_locked(Recorder *recorder, RecordType type,
                          uint32_t subject, const void *head, size_t head_len,
                          const void *tail, size_t tail_len)
    REQUIRES(&recorder->lock)
{
    static const uint8_t padding[8];
    const size_t len = head_len + tail_len;
    RecordHeader header = make_header_locked(recorder, type, subject, len);
    uint64_t pos = recorder->head;

    ring_put(recorder, pos, &header, sizeof(header));
    pos += sizeof(header);
    ring_put(recorder, pos, head, head_len);
    ring_put(recorder, pos + head_len, tail, tail_len);
    ring_put(recorder, pos + len, padding,
             record_bytes((uint32_t)len) - sizeof(header) - len);
    recorder->head += record_bytes((uint32_t)len);
}

static void put_locked(Recorder *recorder, RecordType type, uint32_t subject,
                       const void *head, size_t head_len, const void *tail,
                       size_t tail_len)
    REQUIRES(&recorder->lock)
{
    bool was_empty = recorder->head == recorder->tail;

    if (has_room_locked(recorder, head_len + tail_len)) {
        append_locked(recorder, type, subject, head, head_len, tail, tail_len);
        if (was_empty) {
            pthread_cond_signal(&recorder->filled);
        }
    } else {
        miss_locked(recorder, type, head_len + tail_len);
    }
}

void recorder_append(Recorder *recorder, RecordType type, uint32_t subject,
                     const void *head, size_t head_len, const void *tail,
                     size_t tail_len)
{
    lock_acquire(&recorder->lock);
    put_locked(recorder, type, subject, head, head_len, tail, tail_len);
    lock_release(&recorder->lock);
}

/* Number and place in the file at once: a reader finds them in order. */
uint32_t recorder_add(Recorder *recorder, RecordType type, const void *head,
                      size_t head_len, const void *tail, size_t tail_len)
{
    uint32_t number;

    lock_acquire(&recorder->lock);
    number = recorder->numbers[type]++;
    put_locked(recorder, type, number, head, head_len, tail, tail_len);
    lock_release(&recorder->lock);
    return number;
}

/* ---- The writer ---- */

static uint32_t header_crc(const RecordHeader *header)
{
    return (uint32_t)crc32(0, (const Bytef *)header,
                           offsetof(RecordHeader, header_crc));
}

/* Put the checksums into the records between @pos and @end. */
static void complete_records(Recorder *recorder, uint64_t pos, uint64_t end)
{
    while (pos < end) {
        RecordHeader header;
        size_t bytes;

        ring_get(recorder, pos, &header, sizeof(header));
        bytes = record_bytes(GUINT32_FROM_LE(header.length));
        header.payload_crc = GUINT32_TO_LE(
            ring_crc(recorder, pos + sizeof(header), bytes - sizeof(header)));
        header.header_crc = GUINT32_TO_LE(header_crc(&header));
        ring_put(recorder, pos, &header, sizeof(header));
        pos += bytes;
    }
}

/* Return: 0 or an errno. */
static int write_all(Recorder *recorder, const void *bytes, size_t len)
{
    const uint8_t *from = bytes;

    while (len > 0) {
        ssize_t done = write(recorder->fd, from, len);

        if (done < 0 && errno != EINTR) {
            return errno;
        }
        if (done > 0) {
            recorder->written += done;
            from += done;
            len -= done;
        }
    }
    return 0;
}

static void stop(Recorder *recorder)
{
    lock_acquire(&recorder->lock);
    recorder->stopped = true;
    lock_release(&recorder->lock);
}

static void write_chunk(Recorder *recorder, const uint8_t *bytes, size_t len)
{
    recorder->err = write_all(recorder, bytes, len);
    if (recorder->err != 0) {
        stop(recorder);
        error_report("recording '%s' ends here: %s", recorder->path,
                     g_strerror(recorder->err));
    }
}

/*
 * Whole records. There is room again after each piece of them. After an error
 * bytes go nowhere, as the ring must not stay full.
 */
static void write_ring(Recorder *recorder, uint64_t pos, uint64_t end)
{
    complete_records(recorder, pos, end);
    while (pos < end) {
        size_t at = pos & (recorder->size - 1);
        size_t len = MIN(MIN(end - pos, recorder->size - at), WRITE_BYTES_MAX);

        if (recorder->err == 0) {
            write_chunk(recorder, recorder->ring + at, len);
        }
        pos += len;
        lock_acquire(&recorder->lock);
        recorder->tail = pos;
        lock_release(&recorder->lock);
    }
}

/* Return: false if there is nothing left, and nothing will come. */
static bool wait_filled(Recorder *recorder, uint64_t *pos, uint64_t *end,
                        bool *slow)
{
    bool few;

    lock_acquire(&recorder->lock);
    while (recorder->head == recorder->tail && !recorder->closing) {
        lock_wait(&recorder->lock, &recorder->filled);
    }
    few = recorder->head - recorder->tail < WRITE_BYTES_MAX &&
          !recorder->closing;
    lock_release(&recorder->lock);
    if (few) {
        nanosleep(&(struct timespec){ .tv_nsec = COLLECT_NS }, NULL);
    }
    lock_acquire(&recorder->lock);
    *pos = recorder->tail;
    *end = recorder->head;
    *slow = recorder->missed.gap.reads > 0;
    lock_release(&recorder->lock);
    return *pos < *end;
}

/* Nobody appends any more, and the ring is empty. */
static void write_end(Recorder *recorder)
{
    RecordGap gap;
    uint64_t pos, end;

    lock_acquire(&recorder->lock);
    gap.reads = GUINT64_TO_LE(recorder->missed.gap.reads);
    gap.bytes = GUINT64_TO_LE(recorder->missed.gap.bytes);
    pos = recorder->head;
    if (gap.reads > 0) {
        append_locked(recorder, RECORD_GAP, 0, &gap, sizeof(gap), NULL, 0);
    }
    append_locked(recorder, RECORD_END, 0, NULL, 0, NULL, 0);
    end = recorder->head;
    lock_release(&recorder->lock);
    write_ring(recorder, pos, end);
}

static void *writer_thread(void *opaque)
{
    Recorder *recorder = opaque;
    uint64_t pos, end;
    bool slow, said_so = false;

    thread_set_name("recorder");
    while (wait_filled(recorder, &pos, &end, &slow)) {
        write_ring(recorder, pos, end);
        if (slow && recorder->err == 0 && !said_so) {
            said_so = true;
            error_report("recording '%s' ends here: the file is too slow",
                         recorder->path);
        }
    }
    if (recorder->err == 0) {
        write_end(recorder);
    }
    return NULL;
}

/* ---- Its life ---- */

/* What was in it goes now. Return: 0 or an errno, likewise below. */
static int empty_file(const Recorder *recorder)
{
    struct stat st;

    if (fstat(recorder->fd, &st) < 0) {
        return errno;
    }
    return S_ISREG(st.st_mode) && ftruncate(recorder->fd, 0) < 0 ? errno : 0;
}

static int write_header(Recorder *recorder)
{
    RecordingHeader header = {
        .version = GUINT32_TO_LE(RECORDING_VERSION),
        .header_bytes = GUINT32_TO_LE(sizeof(header)),
        .realtime_ns = GUINT64_TO_LE(clock_ns(CLOCK_REALTIME)),
        .monotonic_ns = GUINT64_TO_LE(recorder->start_ns),
    };

    memcpy(header.magic, RECORDING_MAGIC, sizeof(header.magic));
    header.crc = GUINT32_TO_LE((uint32_t)crc32(
        0, (const Bytef *)&header, offsetof(RecordingHeader, crc)));
    return write_all(recorder, &header, sizeof(header));
}

/* What is open and allocated, without the thread. */
static void recorder_free(Recorder *recorder)
{
    close(recorder->fd);
    pthread_cond_destroy(&recorder->filled);
    lock_destroy(&recorder->lock);
    g_free(recorder->ring);
    g_free(recorder->path);
    g_free(recorder);
}

/* Non-blocking for the sake of a FIFO, and only until it is open. */
static int open_file(const char *path, GError **error)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
                  0666);

    if (fd < 0 && errno == ENXIO) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "cannot write to '%s': nobody reads it\n"
                    "a FIFO needs a reader before the recording", path);
        return -1;
    }
    if (fd < 0) {
        error_set_errno(error, errno, "cannot write to '%s'", path);
        return -1;
    }
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    return fd;
}

Recorder *recorder_new(const char *path, size_t buffer_bytes, GError **error)
{
    int fd = open_file(path, error);
    Recorder *recorder;

    g_assert(buffer_bytes > 0 && (buffer_bytes & (buffer_bytes - 1)) == 0);
    if (fd < 0) {
        return NULL;
    }
    recorder = g_new0(Recorder, 1);
    lock_init(&recorder->lock, LOCK_RANK_LEAF);
    pthread_cond_init(&recorder->filled, NULL);
    recorder->path = g_strdup(path);
    recorder->fd = fd;
    recorder->size = buffer_bytes;
    recorder->ring = g_malloc(buffer_bytes);
    /* Touched here, so that no append has to wait for a page. */
    memset(recorder->ring, 0xff, buffer_bytes);
    recorder->start_ns = clock_ns(CLOCK_MONOTONIC);
    return recorder;
}

/* Whoever read the FIFO may be gone: that is EPIPE, and no signal. */
static int begin_file(Recorder *recorder)
{
    int err = empty_file(recorder);
    sigset_t pipe, old;

    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, &old);
    if (err == 0) {
        err = write_header(recorder);
    }
    if (err == EPIPE) {
        sigtimedwait(&pipe, NULL, &(struct timespec){ 0 });
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return err;
}

bool recorder_start(Recorder *recorder, GError **error)
{
    int err = begin_file(recorder);

    if (err == 0) {
        err = thread_create(&recorder->writer, writer_thread, recorder);
    }
    if (err != 0) {
        error_set_errno(error, err, "cannot record to '%s'", recorder->path);
        return false;
    }
    recorder->started = true;
    return true;
}

static bool is_complete(const Recorder *recorder, GError **error)
{
    const RecorderMissed *missed = &recorder->missed;

    if (recorder->err != 0) {
        error_set_errno(error, recorder->err,
                        "recording '%s' is incomplete: it ends after %" PRIu64
                        " bytes", recorder->path, recorder->written);
        return false;
    }
    if (missed->gap.reads > 0) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_RESOURCE,
                    "recording '%s' is incomplete: it ends after %.3f s, "
                    "%" PRIu64 " reads with %" PRIu64 " bytes before the end: "
                    "the file is too slow", recorder->path,
                    missed->since_ns / 1e9, missed->gap.reads,
                    missed->gap.bytes);
        return false;
    }
    return true;
}

static bool stop_writer(Recorder *recorder, GError **error)
{
    lock_acquire(&recorder->lock);
    recorder->closing = true;
    pthread_cond_signal(&recorder->filled);
    lock_release(&recorder->lock);
    pthread_join(recorder->writer, NULL);
    return is_complete(recorder, error);
}

bool recorder_close(Recorder *recorder, GError **error)
{
    bool complete;

    if (!recorder) {
        return true;
    }
    complete = !recorder->started || stop_writer(recorder, error);
    recorder_free(recorder);
    return complete;
}
