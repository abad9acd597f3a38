/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An event of the mock driver says whose it is, and no more. What was reported
 * with it waits here: the kernel's queue and this ring hold the same events in
 * the same order. As reports and reads exclude each other, and the kernel loses
 * an event exactly if it holds as many as the depth says, no lost event is ever
 * taken for one that is there.
 *
 * A read of n bytes of an SMMUv3's records becomes one of as many of the mock
 * driver's: room for k events of 40 bytes becomes room for k of 12, and a rest
 * that a LOST_EVENTS header fits becomes such a rest, so whatever the kernel
 * answers is the answer.
 */
#include "mock-internal.h"

#include <errno.h>

#define MOCK_EVENT_BYTES \
    (sizeof(struct iommufd_vevent_header) + \
     sizeof(struct iommu_viommu_event_selftest))

/* An event as an SMMUv3's queue gives it. */
typedef struct MockRecord {
    struct iommufd_vevent_header header;
    struct iommu_vevent_arm_smmuv3 event;
} MockRecord;

_Static_assert(sizeof(MockRecord) == 40, "a record must have no padding");

/* ---- The ring ---- */

static MockEvent *ring_at(MockRing *ring, uint32_t index)
{
    return &ring->events[(ring->head + (uint64_t)index) % ring->depth];
}

static void ring_drop(MockRing *ring, uint32_t count)
{
    ring->head = (ring->head + (uint64_t)count) % ring->depth;
    ring->used -= count;
}

/* ---- The queue's life ---- */

static bool start_locked(MockHost *host, MockEvents *events,
                         const struct iommu_veventq_alloc *cmd,
                         MockEvent *ring) REQUIRES(&events->lock)
{
    if (!emul_slots_store(&host->fds, cmd->out_veventq_fd,
                          (uintptr_t)events)) {
        return false;
    }
    events->ring = (MockRing){
        .events = ring, .depth = cmd->veventq_depth,
    };
    events->fd = (int)cmd->out_veventq_fd;
    events->next_number = 0;
    events->counts.unseen = 0;
    return true;
}

int mock_events_start(MockHost *host, MockEvents *events,
                      struct iommu_veventq_alloc *cmd)
{
    bool good = cmd->veventq_depth <= IOMMU_VEVENTQ_DEPTH_MAX;
    MockEvent *ring = g_try_new(MockEvent, good ? cmd->veventq_depth : 0);
    int ret;

    if (!ring && good && cmd->veventq_depth > 0) {
        return -ENOMEM;
    }
    lock_acquire(&events->lock);
    ret = mock_ioctl(host, IOMMU_VEVENTQ_ALLOC, cmd);
    if (ret == 0 && !start_locked(host, events, cmd, ring)) {
        host->inner->ops->close(host->inner, (int)cmd->out_veventq_fd);
        mock_destroy(host, cmd->out_veventq_id);
        ret = -EMFILE;
    }
    lock_release(&events->lock);
    if (ret < 0) {
        g_free(ring);
    }
    return ret;
}

int mock_events_stop(MockHost *host, MockEvents *events, uint32_t id)
{
    int ret;

    lock_acquire(&events->lock);
    ret = mock_destroy(host, id);
    if (ret == 0) {
        events->counts.dropped += events->counts.unseen;
        events->counts.unseen = 0;
        g_free(events->ring.events);
        events->ring = (MockRing){ 0 };
        events->fd = -1;
    }
    lock_release(&events->lock);
    return ret;
}

/* ---- Reading ---- */

/* The event at @from, the @index-th in the ring, to @to, which may overlap. */
static void dress_event(MockEvents *events, uint32_t index, const uint8_t *from,
                        uint8_t *to) REQUIRES(&events->lock)
{
    struct iommu_viommu_event_selftest event;
    MockRecord record = { 0 };
    const MockEvent *known;

    memcpy(&record.header, from, sizeof(record.header));
    memcpy(&event, from + sizeof(record.header), sizeof(event));
    /* One that nobody reported is no record that a guest takes for good. */
    if (index < events->ring.used) {
        known = ring_at(&events->ring, index);
        for (int i = 0; i < 4; i++) {
            record.event.evt[i] = GUINT64_TO_LE(known->words[i]);
        }
        emul_smmuv3_set_sid(&record.event, event.virt_id);
    }
    memcpy(to, &record, sizeof(record));
}

/* From the last on, so that none is written over before it was looked at. */
static size_t dress(MockEvents *events, uint8_t *buf, size_t len)
    REQUIRES(&events->lock)
{
    const size_t header = sizeof(struct iommufd_vevent_header);
    uint32_t count = len / MOCK_EVENT_BYTES;
    bool lost = len % MOCK_EVENT_BYTES == header;
    uint32_t known = MIN(count, events->ring.used);

    if (lost) {
        memmove(buf + count * sizeof(MockRecord),
                buf + count * MOCK_EVENT_BYTES, header);
    }
    for (uint32_t i = count; i-- > 0; ) {
        dress_event(events, i, buf + i * MOCK_EVENT_BYTES,
                    buf + i * sizeof(MockRecord));
    }
    if (known > 0) {
        events->counts.unseen = events->next_number - 1 -
                                ring_at(&events->ring, known - 1)->number;
        ring_drop(&events->ring, known);
    }
    if (lost) {
        events->counts.unseen = 0;  /* it has the newest number */
    }
    return count * sizeof(MockRecord) + (lost ? header : 0);
}

static ssize_t read_locked(MockHost *host, MockEvents *events, int fd,
                           void *buf, size_t count) REQUIRES(&events->lock)
{
    HostIommu *inner = host->inner;
    size_t rest = count % sizeof(MockRecord);
    ssize_t ret;

    if (events->fd != fd) {
        return inner->ops->read(inner, fd, buf, count);
    }
    count = count / sizeof(MockRecord) * MOCK_EVENT_BYTES;
    if (rest >= sizeof(struct iommufd_vevent_header)) {
        count += sizeof(struct iommufd_vevent_header);
    }
    ret = inner->ops->read(inner, fd, buf, count);
    return ret > 0 ? (ssize_t)dress(events, buf, ret) : ret;
}

ssize_t mock_events_read(MockHost *host, MockEvents *events, int fd, void *buf,
                         size_t count)
{
    ssize_t ret;

    lock_acquire(&events->lock);
    ret = read_locked(host, events, fd, buf, count);
    lock_release(&events->lock);
    return ret;
}

/* ---- Reporting ---- */

static HardwareReport report_locked(MockHost *host, MockEvents *events,
                                    uint32_t dev_id, const uint64_t words[4])
    REQUIRES(&events->lock)
{
    struct iommu_test_cmd cmd = {
        .size = sizeof(cmd), .op = IOMMU_TEST_OP_TRIGGER_VEVENT,
        .trigger_vevent.dev_id = dev_id,
    };
    MockRing *ring = &events->ring;
    bool full = ring->used == ring->depth;
    MockEvent *event;
    int ret;

    if (!ring->events) {
        return HARDWARE_REFUSED;
    }
    ret = mock_ioctl(host, IOMMU_TEST_CMD, &cmd);
    /* Without memory for the event, the kernel counts it as lost. */
    if (ret < 0 && ret != -ENOMEM) {
        return HARDWARE_REFUSED;
    }
    events->counts.generated++;
    events->counts.unseen++;
    events->next_number++;
    if (full || ret < 0) {
        return HARDWARE_LOST;
    }
    event = ring_at(ring, ring->used++);
    memcpy(event->words, words, sizeof(event->words));
    event->number = events->next_number - 1;
    return HARDWARE_QUEUED;
}

static HardwareReport report_device_locked(MockHost *host, MockDevice *device,
                                           const uint64_t words[4])
    REQUIRES(&device->lock)
{
    MockEvents *events = device->rid.events;
    HardwareReport report;

    if (!events) {
        return HARDWARE_REFUSED;
    }
    lock_acquire(&events->lock);
    report = report_locked(host, events, device->dev_id, words);
    lock_release(&events->lock);
    return report;
}

HardwareReport mock_report_event(HostIommu *base, uint32_t dev_id,
                                 const uint64_t event[4])
{
    MockHost *host = mock_host(base);
    HardwareReport report = HARDWARE_REFUSED;
    MockDevice *device = mock_device_find(host, dev_id);

    if (!device || !emul_smmuv3_forwards(event)) {
        return HARDWARE_REFUSED;
    }
    lock_acquire(&device->lock);
    if (device->dev_id == dev_id) {
        report = report_device_locked(host, device, event);
    }
    lock_release(&device->lock);
    return report;
}
