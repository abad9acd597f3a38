/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What was recorded is a row of reads, each a row of items: an event with its
 * header, a LOST_EVENTS header, or a group of page requests. Items are handed
 * out whole and in order, however they were cut when they were recorded; of
 * bytes that are no item (a host may have given such) the rest of their read
 * counts as one.
 *
 * A group waits until an earlier one with its cookie, or of its device, PASID
 * and index, was answered: so it was when it was recorded, and a guest could
 * not tell the two apart. All that comes after it waits too.
 *
 * The fd is a timerfd, set to when the next item is due: readable from then on.
 */
#include "replay-queue.h"

#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

/* The timer's time for "now"; 0 is for "never". */
#define AT_ONCE_NS 1

/* Where it goes on. */
typedef struct ReplayCursor {
    size_t read;                /* index into the source's */
    size_t offset;              /* in that read */
    size_t item;                /* index into ReplayGroups::items */
    uint32_t expected;          /* sequence number */
} ReplayCursor;

struct ReplayQueue {
    Lock lock;
    RecordQueueKind kind;       /* [const] */
    const ReplayClock *clock;   /* [const] */
    int fd GUARDED_BY(&lock);
    uint64_t armed_ns GUARDED_BY(&lock); /* what the timer is set to; 0: off */
    /* NULL: nothing to deliver */
    const RecordingQueue *source GUARDED_BY(&lock);
    ReplayGroups groups GUARDED_BY(&lock);
    ReplayCursor cursor GUARDED_BY(&lock);
    ReplayStats *stats GUARDED_BY(&lock);   /* by number; last: of no device */
};

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * UINT64_C(1000000000) + now.tv_nsec;
}

/* ---- Items ---- */

static struct iommu_hwpt_pgfault load_fault(const uint8_t *from)
{
    struct iommu_hwpt_pgfault record;

    memcpy(&record, from, sizeof(record));
    return record;
}

static bool is_lost_header(const uint8_t *bytes, size_t left)
{
    struct iommufd_vevent_header header;

    if (left < sizeof(header)) {
        return false;
    }
    memcpy(&header, bytes, sizeof(header));
    return header.flags & IOMMU_VEVENTQ_FLAG_LOST_EVENTS;
}

static size_t event_bytes(const RecordingQueue *source, const uint8_t *bytes,
                          size_t left)
{
    size_t whole = sizeof(struct iommufd_vevent_header) + source->record_size;

    if (is_lost_header(bytes, left)) {
        return sizeof(struct iommufd_vevent_header);
    }
    return source->record_size > 0 && whole <= left ? whole : left;
}

/* Records of one cookie, up to the last page. */
static size_t group_bytes(const uint8_t *bytes, size_t left)
{
    const size_t size = sizeof(struct iommu_hwpt_pgfault);
    struct iommu_hwpt_pgfault first, record;
    size_t done = 0;

    if (left < size) {
        return left;
    }
    first = load_fault(bytes);
    while (left - done >= size) {
        record = load_fault(bytes + done);
        if (record.cookie != first.cookie) {
            break;
        }
        done += size;
        if (record.flags & IOMMU_PGFAULT_FLAGS_LAST_PAGE) {
            break;
        }
    }
    return done;
}

static size_t item_bytes(const RecordingQueue *source,
                         const RecordingRead *read, size_t offset)
{
    const uint8_t *bytes = read->bytes + offset;
    size_t left = read->len - offset;

    return source->kind == RECORD_VEVENTQ ? event_bytes(source, bytes, left)
                                          : group_bytes(bytes, left);
}

/* ---- What is known of groups before they are due ---- */

/* The number of the latest device that had @dev_id when @read was made. */
static uint32_t find_device(const Recording *recording,
                            const RecordingQueue *source,
                            const RecordingRead *read, uint32_t dev_id)
{
    for (uint32_t i = read->devices; i > 0; i--) {
        const RecordingDevice *device =
            &g_array_index(recording->devices, RecordingDevice, i - 1);

        if (device->host == source->host && device->dev_id == dev_id) {
            return i - 1;
        }
    }
    return RECORD_NO_DEVICE;
}

static void add_group(ReplayQueue *queue, const Recording *recording,
                      const RecordingRead *read, size_t offset, size_t bytes)
    REQUIRES(&queue->lock)
{
    struct iommu_hwpt_pgfault first;

    if (bytes < sizeof(first)) {
        replay_groups_add(&queue->groups, NULL, RECORD_NO_DEVICE);
        return;
    }
    first = load_fault(read->bytes + offset);
    replay_groups_add(&queue->groups, &first,
                      find_device(recording, queue->source, read,
                                  first.dev_id));
}

static void add_groups(ReplayQueue *queue, const Recording *recording)
    REQUIRES(&queue->lock)
{
    const RecordingQueue *source = queue->source;

    for (unsigned i = 0; i < source->reads->len; i++) {
        const RecordingRead *read =
            &g_array_index(source->reads, RecordingRead, i);

        for (size_t offset = 0; offset < read->len;) {
            size_t bytes = item_bytes(source, read, offset);

            add_group(queue, recording, read, offset, bytes);
            offset += bytes;
        }
    }
}

/* ---- Readiness ---- */

static const RecordingRead *current_read_locked(const ReplayQueue *queue)
    REQUIRES(&queue->lock)
{
    const RecordingQueue *source = queue->source;

    return source && queue->cursor.read < source->reads->len
               ? &g_array_index(source->reads, RecordingRead,
                                queue->cursor.read)
               : NULL;
}

/* When the next item is due; 0 for never, as things are. */
static uint64_t due_ns_locked(const ReplayQueue *queue) REQUIRES(&queue->lock)
{
    const RecordingRead *read = current_read_locked(queue);
    const ReplayClock *clock = queue->clock;
    uint64_t start_ns = atomic_load(&clock->start_ns);

    if (!read || start_ns == 0 || atomic_load(&clock->stopped) ||
        (queue->kind == RECORD_FAULT_QUEUE &&
         replay_groups_is_held(&queue->groups, queue->cursor.item))) {
        return 0;
    }
    return clock->speed == REPLAY_MAX
               ? AT_ONCE_NS : start_ns + (read->time_ns - clock->first_ns);
}

static void set_timer_locked(ReplayQueue *queue, uint64_t at_ns)
    REQUIRES(&queue->lock)
{
    struct itimerspec timer = {
        .it_value.tv_sec = at_ns / UINT64_C(1000000000),
        .it_value.tv_nsec = at_ns % UINT64_C(1000000000),
    };

    /* Fails only for arguments that these are not. */
    timerfd_settime(queue->fd, TFD_TIMER_ABSTIME, &timer, NULL);
    queue->armed_ns = at_ns;
}

/* @now: at or before the present. A timer that has fired stays readable. */
static void arm_locked(ReplayQueue *queue, uint64_t now)
    REQUIRES(&queue->lock)
{
    uint64_t due = due_ns_locked(queue);
    bool fired = queue->armed_ns != 0 && queue->armed_ns <= now;

    if (queue->fd >= 0 && due != queue->armed_ns &&
        !(fired && due != 0 && due <= now)) {
        set_timer_locked(queue, due);
    }
}

/* ---- Delivery ---- */

static ReplayStats *stats_locked(ReplayQueue *queue, uint32_t number)
    REQUIRES(&queue->lock)
{
    return &queue->stats[MIN(number, queue->clock->devices)];
}

static void count_event_locked(ReplayQueue *queue, const uint8_t *item,
                               size_t bytes) REQUIRES(&queue->lock)
{
    const uint32_t mask = INT32_MAX;
    struct iommufd_vevent_header header;

    if (bytes >= sizeof(header)) {
        memcpy(&header, item, sizeof(header));
        if (header.sequence <= mask) {
            stats_locked(queue, queue->source->device)->generated +=
                ((header.sequence + 1 - queue->cursor.expected) & mask);
            queue->cursor.expected = (header.sequence + 1) & mask;
        }
    }
}

/* The device has another ID now, or, unknown to this host, none: 0. */
static void put_dev_ids_locked(ReplayQueue *queue, uint8_t *item, size_t bytes)
    REQUIRES(&queue->lock)
{
    const size_t size = sizeof(struct iommu_hwpt_pgfault);
    uint32_t device =
        replay_groups_get(&queue->groups, queue->cursor.item)->device;
    uint32_t recorded = load_fault(item).dev_id;
    uint32_t id = device == RECORD_NO_DEVICE
                      ? 0 : atomic_load(&queue->clock->live[device]);

    for (size_t at = 0; at + size <= bytes; at += size) {
        struct iommu_hwpt_pgfault record = load_fault(item + at);

        record.dev_id = record.dev_id == recorded ? id : 0;
        memcpy(item + at, &record, size);
    }
    stats_locked(queue, device)->pages += bytes / size;
}

static void deliver_pages_locked(ReplayQueue *queue, uint8_t *item,
                                 size_t bytes) REQUIRES(&queue->lock)
{
    if (replay_groups_open(&queue->groups, queue->cursor.item)) {
        uint32_t device =
            replay_groups_get(&queue->groups, queue->cursor.item)->device;

        put_dev_ids_locked(queue, item, bytes);
        stats_locked(queue, device)->raised++;
        stats_locked(queue, device)->open++;
    }
    queue->cursor.item++;
}

static void deliver_locked(ReplayQueue *queue, const RecordingRead *read,
                           uint8_t *to, size_t bytes) REQUIRES(&queue->lock)
{
    ReplayCursor *cursor = &queue->cursor;

    memcpy(to, read->bytes + cursor->offset, bytes);
    if (queue->kind == RECORD_VEVENTQ) {
        count_event_locked(queue, to, bytes);
    } else {
        deliver_pages_locked(queue, to, bytes);
    }
    cursor->offset += bytes;
    if (cursor->offset == read->len) {
        cursor->offset = 0;
        cursor->read++;
    }
}

/* A LOST_EVENTS header is the last thing in a read. */
static ssize_t read_locked(ReplayQueue *queue, uint8_t *buf, size_t count,
                           uint64_t now) REQUIRES(&queue->lock)
{
    const RecordingRead *read;
    size_t done = 0;
    bool lost = false;
    uint64_t due;

    while (!lost && (due = due_ns_locked(queue)) != 0 && due <= now) {
        size_t bytes;

        read = current_read_locked(queue);
        bytes = item_bytes(queue->source, read, queue->cursor.offset);
        if (bytes > count - done) {
            return done > 0 ? (ssize_t)done : -EINVAL;
        }
        lost = queue->kind == RECORD_VEVENTQ &&
               is_lost_header(read->bytes + queue->cursor.offset, bytes);
        deliver_locked(queue, read, buf + done, bytes);
        done += bytes;
    }
    return done;
}

static int check_count(const ReplayQueue *queue, size_t count)
{
    if (queue->kind == RECORD_VEVENTQ) {
        return count < sizeof(struct iommufd_vevent_header) ? -EINVAL : 0;
    }
    return count % sizeof(struct iommu_hwpt_pgfault) != 0 ? -ESPIPE : 0;
}

ssize_t replay_queue_read(ReplayQueue *queue, int fd, void *buf, size_t count)
{
    ssize_t ret = check_count(queue, count);
    uint64_t now = now_ns();

    if (ret < 0) {
        return ret;
    }
    lock_acquire(&queue->lock);
    if (queue->fd == fd) {
        ret = read_locked(queue, buf, count, now);
        arm_locked(queue, now);
    } else {
        ret = -EBADF;
    }
    lock_release(&queue->lock);
    return ret;
}

/* ---- Answers ---- */

static int answer_locked(ReplayQueue *queue,
                         const struct iommu_hwpt_page_response *response)
    REQUIRES(&queue->lock)
{
    ReplayStats *stats;
    uint32_t device;

    if (response->code > IOMMUFD_PAGE_RESP_INVALID ||
        !replay_groups_answer(&queue->groups, response->cookie, &device)) {
        return -EINVAL;
    }
    stats = stats_locked(queue, device);
    stats->open--;
    stats->answered++;
    stats->failed += response->code != IOMMUFD_PAGE_RESP_SUCCESS;
    return 0;
}

/* Up to the first that is refused. */
static ssize_t write_locked(ReplayQueue *queue, const uint8_t *buf,
                            size_t count) REQUIRES(&queue->lock)
{
    struct iommu_hwpt_page_response response;
    size_t done;
    int ret;

    for (done = 0; done < count; done += sizeof(response)) {
        memcpy(&response, buf + done, sizeof(response));
        ret = answer_locked(queue, &response);
        if (ret < 0) {
            return done > 0 ? (ssize_t)done : ret;
        }
    }
    return done;
}

ssize_t replay_queue_write(ReplayQueue *queue, int fd, const void *buf,
                           size_t count)
{
    ssize_t ret;

    if (queue->kind == RECORD_VEVENTQ) {
        return -EINVAL;
    }
    if (count % sizeof(struct iommu_hwpt_page_response) != 0) {
        return -ESPIPE;
    }
    lock_acquire(&queue->lock);
    if (queue->fd == fd) {
        ret = write_locked(queue, buf, count);
        arm_locked(queue, now_ns());
    } else {
        ret = -EBADF;
    }
    lock_release(&queue->lock);
    return ret;
}

void replay_queue_end_groups(ReplayQueue *queue, uint32_t number,
                             uint32_t pasid)
{
    unsigned ended;

    lock_acquire(&queue->lock);
    ended = replay_groups_end(&queue->groups, number, pasid);
    stats_locked(queue, number)->ended += ended;
    stats_locked(queue, number)->open -= ended;
    arm_locked(queue, now_ns());
    lock_release(&queue->lock);
}

/* ---- Its life ---- */

int replay_queue_get_fd(ReplayQueue *queue)
{
    int fd;

    lock_acquire(&queue->lock);
    fd = queue->fd;
    lock_release(&queue->lock);
    return fd;
}

RecordQueueKind replay_queue_get_kind(const ReplayQueue *queue)
{
    return queue->kind;
}

void replay_queue_wake(ReplayQueue *queue)
{
    lock_acquire(&queue->lock);
    arm_locked(queue, now_ns());
    lock_release(&queue->lock);
}

void replay_queue_set_source(ReplayQueue *queue, const Recording *recording,
                             const RecordingQueue *source)
{
    lock_acquire(&queue->lock);
    queue->source = source;
    if (queue->kind == RECORD_FAULT_QUEUE) {
        add_groups(queue, recording);
    }
    arm_locked(queue, now_ns());
    lock_release(&queue->lock);
}

bool replay_queue_has_source(ReplayQueue *queue)
{
    bool has;

    lock_acquire(&queue->lock);
    has = queue->source != NULL;
    lock_release(&queue->lock);
    return has;
}

void replay_queue_close(ReplayQueue *queue)
{
    lock_acquire(&queue->lock);
    if (queue->fd >= 0) {
        close(queue->fd);
        queue->fd = -1;
    }
    lock_release(&queue->lock);
}

bool replay_queue_is_done(ReplayQueue *queue)
{
    bool done;

    lock_acquire(&queue->lock);
    done = queue->fd < 0 || !current_read_locked(queue);
    lock_release(&queue->lock);
    return done;
}

static void add_stats_locked(const ReplayQueue *queue, uint32_t number,
                             ReplayStats *stats) REQUIRES(&queue->lock)
{
    const ReplayStats *own = &queue->stats[number];

    stats->generated += own->generated;
    stats->pages += own->pages;
    stats->raised += own->raised;
    stats->answered += own->answered;
    stats->failed += own->failed;
    stats->ended += own->ended;
    stats->open += own->open;
}

void replay_queue_add_device_stats(ReplayQueue *queue, uint32_t number,
                                   ReplayStats *stats)
{
    lock_acquire(&queue->lock);
    add_stats_locked(queue, number, stats);
    lock_release(&queue->lock);
}

void replay_queue_add_stats(ReplayQueue *queue, ReplayStats *stats)
{
    lock_acquire(&queue->lock);
    for (uint32_t i = 0; i <= queue->clock->devices; i++) {
        add_stats_locked(queue, i, stats);
    }
    if (queue->source) {
        stats->left += queue->source->reads->len - queue->cursor.read;
    }
    lock_release(&queue->lock);
}

ReplayQueue *replay_queue_new(RecordQueueKind kind, const ReplayClock *clock)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    ReplayQueue *queue;

    if (fd < 0) {
        return NULL;
    }
    queue = g_new0(ReplayQueue, 1);
    lock_init(&queue->lock, LOCK_RANK_LEAF);
    queue->kind = kind;
    queue->clock = clock;
    queue->fd = fd;
    queue->stats = g_new0(ReplayStats, clock->devices + 1);
    replay_groups_init(&queue->groups);
    return queue;
}

void replay_queue_free(ReplayQueue *queue)
{
    replay_queue_close(queue);
    lock_destroy(&queue->lock);
    replay_groups_clear(&queue->groups);
    g_free(queue->stats);
    g_free(queue);
}
