/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A ring of records ready for read(), and a pipe whose read end is the user's
 * fd. The lock is held for one append or for one chunk of a read, so a reader
 * with a large buffer does not keep the reporters out.
 *
 * Whether anybody still holds the file is asked of the kernel: a pipe's write
 * end shows POLLERR once the last reference to the read end is gone, and a
 * thread that sleeps in poll() on it is a reference.
 */
#include "emul-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

enum { READ_CHUNK = 64 * 1024 };    /* bytes of whole records, at most */

/* The record @offset after the oldest; offset <= depth. */
static char *ring_at(const EmulRing *ring, uint32_t offset)
{
    size_t index = (size_t)ring->head + offset;

    if (index >= ring->depth) {
        index -= ring->depth;
    }
    return ring->records + index * ring->record_size;
}

static uint32_t ring_sequence(const EmulRing *ring, uint32_t offset)
{
    struct iommufd_vevent_header header;

    memcpy(&header, ring_at(ring, offset), sizeof(header));
    return header.sequence;
}

/* After the newest record; the ring must have room. */
static void ring_append(EmulRing *ring, uint32_t sequence, const void *event,
                        size_t size)
{
    const struct iommufd_vevent_header header = { .sequence = sequence };
    char *record = ring_at(ring, ring->used++);

    memcpy(record, &header, sizeof(header));
    memcpy(record + sizeof(header), event, size);
}

/* Copy the @num oldest records out and remove them. */
static void ring_take(EmulRing *ring, void *buf, uint32_t num)
{
    uint32_t first = MIN(num, ring->depth - ring->head);

    memcpy(buf, ring_at(ring, 0), (size_t)first * ring->record_size);
    memcpy((char *)buf + (size_t)first * ring->record_size, ring->records,
           (size_t)(num - first) * ring->record_size);
    ring->used -= num;
    /* An empty ring starts over: a short queue stays in the cache. */
    ring->head = ring->used ? (ring->head + num) % ring->depth : 0;
}

/*
 * Write to a pipe that may have lost its reader. A SIGPIPE is raised in the
 * writing thread: it is held back there and taken out, unless one was pending
 * before that is somebody else's.
 */
static void orphan_write(int fd)
{
    static const struct timespec no_wait;
    sigset_t sigpipe;
    sigset_t pending;
    sigset_t old;

    sigemptyset(&sigpipe);
    sigaddset(&sigpipe, SIGPIPE);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &sigpipe, &old);
    if (write(fd, "", 1) < 0 && errno == EPIPE &&
        !sigismember(&pending, SIGPIPE)) {
        sigtimedwait(&sigpipe, NULL, &no_wait);
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static bool empty_locked(const EmulQueue *queue) REQUIRES(&queue->lock)
{
    return queue->ring.used == 0 && !queue->lost_tail;
}

/* The queue has become readable: poll() and epoll see it. */
static void signal_locked(EmulQueue *queue) REQUIRES(&queue->lock)
{
    if (queue->fd < 0) {
        orphan_write(queue->write_fd);
    } else if (write(queue->write_fd, "", 1) < 0) {
        g_assert_not_reached();     /* room for one byte, and a reader */
    }
}

/* The queue has been read empty. */
static void unsignal_locked(EmulQueue *queue) REQUIRES(&queue->lock)
{
    char byte;

    /*
     * Closed under a read that goes on: no number to read by, and no poller.
     * A program that was not written for it may have read the pipe itself
     * (preload/): then there is nothing left to take.
     */
    if (queue->fd >= 0 && read(queue->fd, &byte, 1) < 0) {
        g_assert(errno == EAGAIN);
    }
}

/*
 * As much as fits, up to one chunk: whole records and, behind the last of all,
 * the header that tells of a lost tail. Its number is that of the last event
 * generated, which is the last one lost. Return: bytes.
 */
static size_t read_chunk_locked(EmulQueue *queue, char *buf, size_t count)
    REQUIRES(&queue->lock)
{
    uint32_t last = (queue->next_sequence - 1) & INT_MAX;
    uint32_t num = (uint32_t)MIN(MIN(count, READ_CHUNK) /
                                 queue->ring.record_size, queue->ring.used);
    size_t done = (size_t)num * queue->ring.record_size;

    if (num > 0) {
        uint32_t seen = ring_sequence(&queue->ring, num - 1);

        ring_take(&queue->ring, buf, num);
        queue->counts.unseen = (last - seen) & INT_MAX;
    }
    if (queue->ring.used == 0 && queue->lost_tail &&
        count - done >= sizeof(struct iommufd_vevent_header)) {
        struct iommufd_vevent_header trailer = {
            .flags = IOMMU_VEVENTQ_FLAG_LOST_EVENTS,
            .sequence = last,
        };

        memcpy(buf + done, &trailer, sizeof(trailer));
        done += sizeof(trailer);
        queue->lost_tail = false;
        queue->counts.unseen = 0;
    }
    if (done > 0 && empty_locked(queue)) {
        unsignal_locked(queue);
    }
    return done;
}

/*
 * Chunk after chunk until one is not full. Between two of them the lock is let
 * go, and "reading" stands for the open file that the kernel's read() holds.
 */
static ssize_t queue_read_locked(EmulQueue *queue, char *buf, size_t count)
    REQUIRES(&queue->lock)
{
    size_t done = 0;
    size_t chunk;

    if (count < sizeof(struct iommufd_vevent_header)) {
        return -EINVAL;
    }
    queue->reading++;
    for (;;) {
        chunk = read_chunk_locked(queue, buf + done, count - done);
        done += chunk;
        if (chunk + queue->ring.record_size <= READ_CHUNK) {
            break;
        }
        lock_release(&queue->lock);     /* let a reporter in */
        lock_acquire(&queue->lock);
    }
    queue->reading--;
    return done == 0 && !empty_locked(queue) ? -EINVAL : (ssize_t)done;
}

/* A read to NULL: of the errors the one that the kernel finds first. */
static int null_read_locked(const EmulQueue *queue, size_t count)
    REQUIRES(&queue->lock)
{
    size_t first = queue->ring.used > 0 ? queue->ring.record_size
                                        : sizeof(struct iommufd_vevent_header);

    if (count < sizeof(struct iommufd_vevent_header)) {
        return -EINVAL;
    }
    return empty_locked(queue) ? 0 : count < first ? -EINVAL : -EFAULT;
}

/*
 * Every event uses up a number, queued or lost. Of a loss one bit is kept:
 * which numbers are gone follows from those that a reader sees.
 */
EmulReport emul_queue_report_locked(EmulQueue *queue, const void *event,
                                    size_t size)
{
    bool was_empty = empty_locked(queue);
    uint32_t sequence = queue->next_sequence;

    if (!queue->ring.records ||
        queue->ring.record_size != sizeof(struct iommufd_vevent_header) +
                                   size) {
        return EMUL_REPORT_REFUSED;
    }
    queue->next_sequence = (sequence + 1) & INT_MAX;
    queue->counts.generated++;
    queue->counts.unseen++;
    if (queue->ring.used == queue->ring.depth) {
        queue->lost_tail = true;
        return EMUL_REPORT_LOST;
    }
    ring_append(&queue->ring, sequence, event, size);
    /* From here on the gap in the numbers tells of what was lost before. */
    queue->lost_tail = false;
    if (was_empty) {
        signal_locked(queue);
    }
    return EMUL_REPORT_QUEUED;
}

/* Whether the kernel would still have the open file of this queue. */
static bool file_is_held_locked(const EmulQueue *queue) REQUIRES(&queue->lock)
{
    struct pollfd writer = { .fd = queue->write_fd };

    return queue->fd >= 0 || queue->reading > 0 ||
           poll(&writer, 1, 0) != 1 || !(writer.revents & POLLERR);
}

/* What was generated and not read is dropped: counted, told to nobody. */
static void queue_stop_locked(EmulQueue *queue) REQUIRES(&queue->lock)
{
    close(queue->write_fd);
    g_free(queue->ring.records);
    queue->ring = (EmulRing) { 0 };
    queue->counts.dropped += queue->counts.unseen;
    queue->counts.unseen = 0;
    queue->lost_tail = false;
}

ssize_t emul_queue_read(EmulQueue *queue, int fd, void *buf, size_t count)
{
    ssize_t ret;

    lock_acquire(&queue->lock);
    /* Another fd: this one was closed since it was looked up. */
    ret = queue->fd != fd ? -EBADF :
          buf ? queue_read_locked(queue, buf, count)
              : null_read_locked(queue, count);
    lock_release(&queue->lock);
    return ret;
}

void emul_queue_move_fd(EmulQueue *queue, int from, int to)
{
    lock_acquire(&queue->lock);
    if (queue->fd == from) {
        queue->fd = to;
    }
    lock_release(&queue->lock);
}

int emul_queue_start(EmulQueue *queue, const EmulQueueSpec *spec, int *fd,
                     uint64_t *generation)
{
    uint32_t record_size = (uint32_t)sizeof(struct iommufd_vevent_header) +
                           spec->event_size;
    /* Not touched before it is used, so a deep queue costs what it holds. */
    char *records = g_try_malloc_n(spec->depth, record_size);
    int fds[2];

    if (!records) {
        return -ENOMEM;
    }
    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0) {
        int err = errno;

        g_free(records);
        return -err;
    }
    lock_acquire(&queue->lock);
    queue->ring = (EmulRing) {
        .records = records, .record_size = record_size, .depth = spec->depth,
    };
    queue->fd = fds[0];
    queue->write_fd = fds[1];
    queue->next_sequence = spec->first_sequence;
    *generation = ++queue->generation;
    lock_release(&queue->lock);
    *fd = fds[0];
    return 0;
}

int emul_queue_stop(EmulQueue *queue, uint64_t generation)
{
    int ret = 0;

    lock_acquire(&queue->lock);
    /* Another caller may have ended it, and the pool given it out again. */
    if (!queue->ring.records || queue->generation != generation) {
        ret = -ENOENT;
    } else if (file_is_held_locked(queue)) {
        ret = -EBUSY;
    } else {
        queue_stop_locked(queue);
    }
    lock_release(&queue->lock);
    return ret;
}

void emul_queue_abandon(EmulQueue *queue)
{
    int fd;

    lock_acquire(&queue->lock);
    fd = queue->fd;
    queue->fd = -1;
    queue_stop_locked(queue);
    lock_release(&queue->lock);
    close(fd);
}

EmulQueue *emul_queue_new(uint32_t index)
{
    EmulQueue *queue = g_new0(EmulQueue, 1);

    lock_init(&queue->lock, LOCK_RANK_LEAF);
    queue->index = index;
    queue->fd = -1;
    return queue;
}

/* The lock is taken only because the fields ask for it: nobody is left. */
void emul_queue_free(EmulQueue *queue)
{
    lock_acquire(&queue->lock);
    if (queue->ring.records) {
        queue_stop_locked(queue);
    }
    lock_release(&queue->lock);
    lock_destroy(&queue->lock);
    g_free(queue);
}
