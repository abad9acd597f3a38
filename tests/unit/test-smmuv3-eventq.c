/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Event queue: which records are written where, and which are not (IHI 0070
 * G.b, 3.5, 7.2, 7.3). Loss and overflow: test-smmuv3-overflow.c; interrupts:
 * test-smmuv3-irq.c.
 */
#include "event-read.h"
#include "fixture.h"

#include "host/iommufd-abi.h"
#include "hw/arm/smmuv3-internal.h"

#include <string.h>

#define SID 0x10
#define LOG2_CMDQ 4

static Fixture *f;
static VfioDevice *device;
static uint64_t reported;       /* records so far; each is its own address */
static uint64_t consumed;

static const unsigned sizes[] = { 0, 1, 2, 3, 7 };

static void setup(void)
{
    f = fixture_new(NULL, false);
    device = fixture_plug(f, SID);
    reported = consumed = 0;
}

static void teardown(void)
{
    fixture_free(f);
}

static void setup_again(const Smmuv3Properties *props)
{
    teardown();
    f = fixture_new(props, false);
    device = fixture_plug(f, SID);
    reported = consumed = 0;
}

static void report(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        g_assert_cmpint(fixture_report(f, device, reported++), ==,
                        EMUL_REPORT_QUEUED);
    }
}

/* Fill the ring and then, with @more, the host's queue behind it. */
static void report_beyond(unsigned size, unsigned more)
{
    report(size);
    fixture_pump(f);
    report(more);
    fixture_pump(f);
}

/* The guest finds @count records, the next ones. */
static void consume(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        uint64_t event[4];

        g_assert_true(guest_consume(f, event));
        g_assert_cmphex(event[0], ==, UINT64_C(0x10) | (uint64_t)SID << 32);
        g_assert_cmphex(event[2], ==, consumed++);
    }
}

static void assert_empty(void)
{
    uint64_t event[4];

    g_assert_false(guest_consume(f, event));
}

static void assert_counts(uint64_t delivered, uint64_t discarded, uint64_t lost)
{
    ViommuStats stats = viommu_get_stats(f->viommu);

    g_assert_cmpuint(stats.delivered, ==, delivered);
    g_assert_cmpuint(stats.discarded, ==, discarded);
    g_assert_cmpuint(stats.lost, ==, lost);
}

/* A read by the pump of @count records of StreamID @sid. */
static void deliver(uint32_t sid, unsigned count)
{
    EventRead read;

    event_read_init(&read);
    for (unsigned i = 0; i < count; i++) {
        event_read_add(&read, sid, reported++);
    }
    smmuv3_eventq_room(f->viommu);
    smmuv3_eventq_deliver(f->viommu, event_read_stream(&read));
}

static void test_all_entries_are_usable(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        uint32_t size = 1u << sizes[i];

        setup_again(NULL);
        guest_start(f, sizes[i], LOG2_CMDQ);
        report(size);
        fixture_pump(f);
        assert_counts(size, 0, 0);
        g_assert_cmpuint(viommu_get_stats(f->viommu).queue_used, ==, size);
        /* Full: the index is 0 again, the wrap bit is not. */
        g_assert_cmphex(guest_read(f, A_EVENTQ_PROD), ==, size);
        g_assert_cmphex(guest_read(f, A_GERROR), ==, 0);
        consume(size);
        assert_empty();
    }
}

static void test_order_over_many_wraps(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        uint32_t size = 1u << sizes[i];

        setup_again(NULL);
        guest_start(f, sizes[i], LOG2_CMDQ);
        for (unsigned round = 0; round < 10 * size + 3; round++) {
            unsigned burst = round % size + 1;

            report(burst);
            fixture_pump(f);
            consume(burst);
            assert_empty();
        }
        assert_counts(reported, 0, 0);
        g_assert_cmphex(guest_read(f, A_EVENTQ_PROD), ==,
                        reported & (2 * size - 1));
    }
}

static void test_indices_may_start_anywhere(void)
{
    for (uint32_t start = 0; start < 16; start++) {
        setup_again(NULL);
        guest_start(f, 3, LOG2_CMDQ);
        guest_disable_eventq(f);
        guest_write(f, A_EVENTQ_PROD, start);
        guest_write(f, A_EVENTQ_CONS, start);
        guest_write(f, A_CR0, 0xd);
        report(8);
        fixture_pump(f);
        g_assert_cmphex(guest_read(f, A_EVENTQ_PROD), ==, (start + 8) & 15);
        consume(8);
        assert_empty();
    }
}

/* StreamID becomes the guest's; all else is as the hardware said. */
static void test_record_is_byte_exact(void)
{
    static const uint64_t events[][4] = {
        { 0x10, 0, 0, 0 },
        { 0xffffffffabcdef13, 0xffffff7f7fffffff, UINT64_MAX, UINT64_MAX },
        { 0x0000000012345804, 0, 0, 0 },
        { 0x5555555555555508, 0x0123456700000000, 0x0123456789abcdef,
          0xfedcba9876543210 },
    };
    static const uint64_t filler[4] = { 7, 7, 7, 7 };

    guest_start(f, 3, LOG2_CMDQ);
    for (size_t i = 0; i < G_N_ELEMENTS(events); i++) {
        uint64_t *slot = guest_words(f, GUEST_EVENTQ + 32 * i);
        uint64_t bytes[4];

        memcpy(slot + 4, filler, sizeof(filler));
        g_assert_cmpint(emul_report_event(f->host,
                                          vfio_device_get_dev_id(device),
                                          events[i]), ==, EMUL_REPORT_QUEUED);
        fixture_pump(f);
        memcpy(bytes, slot, sizeof(bytes));
        g_assert_cmphex(GUINT64_FROM_LE(bytes[0]), ==,
                        (events[i][0] & UINT32_MAX) | (uint64_t)SID << 32);
        for (unsigned w = 1; w < 4; w++) {
            g_assert_cmphex(GUINT64_FROM_LE(bytes[w]), ==, events[i][w]);
        }
        g_assert_cmpmem(slot + 4, 32, filler, 32);
    }
}

static void test_records_keep_their_stream(void)
{
    VfioDevice *other = fixture_plug(f, 0xfedc);
    uint64_t event[4];

    guest_start(f, 4, LOG2_CMDQ);
    /* The table covers 256 streams: this one's traffic is aborted, silently. */
    for (unsigned i = 0; i < 8; i++) {
        fixture_report(f, i % 3 ? other : device, i);
    }
    fixture_pump(f);
    for (unsigned i = 0; i < 8; i++) {
        g_assert_true(guest_consume(f, event));
        g_assert_cmphex(event[0] >> 32, ==, i % 3 ? 0xfedc : SID);
        g_assert_cmphex(event[2], ==, i);
    }
}

static void test_base_is_aligned_to_the_size(void)
{
    guest_start(f, 3, LOG2_CMDQ);
    guest_disable_eventq(f);
    /* 8 entries are 256 bytes: the low bits do not count. */
    guest_write64(f, A_EVENTQ_BASE, BIT(62) | GUEST_EVENTQ | 0xe0 | 3);
    guest_write(f, A_CR0, 0xd);
    report(8);
    fixture_pump(f);
    consume(8);
}

static void test_size_is_capped_by_idr1(void)
{
    Smmuv3Properties props = SMMUV3_PROPERTIES_DEFAULT;

    props.log2_eventq = 3;
    setup_again(&props);
    guest_start(f, 31, LOG2_CMDQ);
    report_beyond(8, 8);
    g_assert_cmphex(guest_read(f, A_EVENTQ_PROD), ==, 8);
    assert_counts(8, 0, 0);
}

static void test_full_ring_leaves_records_with_the_host(void)
{
    uint64_t reads;

    guest_start(f, 2, LOG2_CMDQ);
    report_beyond(4, 4);
    assert_counts(4, 0, 0);
    reads = viommu_get_stats(f->viommu).reads;
    fixture_pump(f);
    g_assert_cmpuint(viommu_get_stats(f->viommu).reads, ==, reads);
    for (unsigned i = 1; i <= 4; i++) {
        consume(1);
        fixture_pump(f);
        assert_counts(4 + i, 0, 0);
        g_assert_cmpuint(viommu_get_stats(f->viommu).queue_used, ==, 4);
    }
    consume(4);
    assert_empty();
    g_assert_cmphex(guest_read(f, A_EVENTQ_PROD), ==, 0);
}

static void test_freed_entries_are_filled_in_one_read(void)
{
    uint64_t reads;

    guest_start(f, 3, LOG2_CMDQ);
    report(8);
    fixture_pump(f);
    report(8);
    consume(5);
    reads = viommu_get_stats(f->viommu).reads;
    fixture_pump(f);
    g_assert_cmpuint(viommu_get_stats(f->viommu).reads, ==, reads + 1);
    assert_counts(13, 0, 0);
    consume(8);
    fixture_pump(f);
    consume(3);
    assert_empty();
}

/* A CONS write that frees nothing wakes nobody. */
static void test_cons_write_without_room_reads_nothing(void)
{
    uint64_t reads;

    guest_start(f, 2, LOG2_CMDQ);
    report_beyond(4, 4);
    reads = viommu_get_stats(f->viommu).reads;
    guest_write(f, A_EVENTQ_CONS, 0);
    fixture_pump(f);
    g_assert_cmpuint(viommu_get_stats(f->viommu).reads, ==, reads);
}

/* log2 size 3, PROD at 8: which CONS leave room, and how much. */
static void test_inconsistent_cons_counts_as_full(void)
{
    for (uint32_t cons = 0; cons < 16; cons++) {
        uint32_t used = (8 - cons) & 15;
        uint32_t room = used > 8 ? 0 : 8 - used;

        setup_again(NULL);
        guest_start(f, 3, LOG2_CMDQ);
        report_beyond(8, 8);
        guest_write(f, A_EVENTQ_CONS, cons);
        fixture_pump(f);
        assert_counts(8 + room, 0, 0);
        /* Back to a CONS that makes sense: all eight were read. */
        guest_write(f, A_EVENTQ_CONS, 8);
        fixture_pump(f);
        assert_counts(16, 0, 0);
        consumed = 8;
        consume(8);
        assert_empty();
    }
}

static void test_unknown_stream_is_discarded(void)
{
    guest_start(f, 3, LOG2_CMDQ);
    deliver(SID + 1, 2);
    deliver(UINT32_MAX, 1);
    assert_counts(0, 3, 0);
    assert_empty();
    deliver(SID, 1);
    assert_counts(1, 3, 0);
    consumed = 3;
    consume(1);
}

static void test_unplugged_device_is_discarded(void)
{
    VfioDevice *other = fixture_plug(f, SID + 1);

    guest_start(f, 2, LOG2_CMDQ);
    report(4);
    fixture_pump(f);
    fixture_report(f, other, 1000);
    report(1);
    fixture_report(f, other, 1001);
    fixture_unplug(f, other, SID + 1);
    consume(4);
    fixture_pump(f);
    assert_counts(5, 2, 0);
    consume(1);
    assert_empty();
}

static void test_queue_that_is_off_discards(void)
{
    guest_start(f, 3, LOG2_CMDQ);
    guest_disable_eventq(f);
    deliver(SID, 12);
    assert_counts(0, 12, 0);
    g_assert_cmphex(guest_read(f, A_EVENTQ_PROD), ==, 0);
    g_assert_cmphex(guest_read(f, A_GERROR), ==, 0);
}

static void test_switching_off_discards_what_the_host_has(void)
{
    guest_start(f, 2, LOG2_CMDQ);
    report_beyond(4, 3);
    guest_disable_eventq(f);
    assert_counts(4, 3, 0);
    g_assert_cmphex(guest_read(f, A_EVENTQ_PROD), ==, 4);
    guest_enable_eventq(f, 2);
    fixture_pump(f);
    assert_empty();
    report(1);
    consumed = 7;
    fixture_pump(f);
    consume(1);
}

/* Enabled over a new size: the host's queue is as deep. */
static void test_host_queue_has_the_guest_queues_size(void)
{
    for (unsigned log2 = 0; log2 < 5; log2++) {
        unsigned queued = 0;

        guest_start(f, log2, LOG2_CMDQ);
        while (fixture_report(f, device, 0) == EMUL_REPORT_QUEUED) {
            queued++;
        }
        g_assert_cmpuint(queued, ==, 1u << log2);
    }
}

/* The queue of 16 entries at @base, enabled anew. */
static void move_queue(uint64_t base)
{
    guest_disable_eventq(f);
    guest_write64(f, A_EVENTQ_BASE, base | 4);
    guest_write(f, A_EVENTQ_PROD, 0);
    guest_write(f, A_EVENTQ_CONS, 0);
    guest_write(f, A_CR0, 0xd);
}

static void acknowledge_errors(void)
{
    guest_write(f, A_GERRORN, guest_read(f, A_GERROR));
}

static void test_bad_base_is_an_abort(void)
{
    static const uint64_t bases[] = {
        0, GUEST_NOWHERE, GUEST_RAM + GUEST_RAM_SIZE, GUEST_RAM - 0x200,
        FIELD_MASK(Q_BASE, ADDR) & ~UINT64_C(0x1ff),
    };

    message_log_start();
    guest_start(f, 4, LOG2_CMDQ);
    for (size_t i = 0; i < G_N_ELEMENTS(bases); i++) {
        ViommuStats before = viommu_get_stats(f->viommu);

        move_queue(bases[i]);
        report(3);
        fixture_pump(f);
        g_assert_cmphex(guest_read(f, A_GERROR) ^ guest_read(f, A_GERRORN),
                        ==, FIELD_MASK(GERROR, EVENTQ_ABT_ERR));
        g_assert_cmphex(guest_read(f, A_EVENTQ_PROD), ==, 0);
        g_assert_cmpuint(f->irq.pulses[SMMUV3_IRQ_EVENTQ], ==, 0);
        g_assert_cmpuint(f->irq.pulses[SMMUV3_IRQ_GERROR], ==, i + 1);
        assert_counts(0, before.discarded + 3, 0);
        acknowledge_errors();
    }
    /* Told once. */
    g_assert_cmpuint(message_log_matching("is not in memory"), ==, 1);
}

static void test_abort_discards_silently_until_acknowledged(void)
{
    message_log_start();
    guest_start(f, 4, LOG2_CMDQ);
    move_queue(GUEST_NOWHERE);
    report(1);
    fixture_pump(f);
    move_queue(GUEST_EVENTQ);
    /* More than the ring holds: no overflow either. */
    for (unsigned i = 0; i < 20; i++) {
        report(1);
        fixture_pump(f);
    }
    assert_counts(0, 21, 0);
    g_assert_cmphex(guest_read(f, A_EVENTQ_PROD), ==, 0);
    g_assert_cmphex(guest_read(f, A_GERROR), ==,
                    FIELD_MASK(GERROR, EVENTQ_ABT_ERR));
    g_assert_cmpuint(f->irq.pulses[SMMUV3_IRQ_GERROR], ==, 1);
    acknowledge_errors();
    report(2);
    fixture_pump(f);
    consumed = 21;
    consume(2);
    assert_counts(2, 21, 0);
}

/* 16 entries, the first four of which are the last bytes of RAM. */
static void test_good_part_is_published_before_the_abort(void)
{
    GuestMemRegion region = { .gpa = GUEST_EVENTQ, .size = 0x1000,
                              .hva = f->ram };
    g_autoptr(GError) error = NULL;
    const uint64_t *words = (const uint64_t *)f->ram;

    message_log_start();
    guest_start(f, 8, LOG2_CMDQ);
    /* 256 entries are 0x2000 bytes: 128 are in memory. */
    guest_mem_set_regions(f->mem, &region, 1, &error);
    g_assert_no_error(error);
    report(120);
    fixture_pump(f);
    guest_write(f, A_EVENTQ_CONS, 120);
    report(20);
    fixture_pump(f);
    g_assert_cmphex(guest_read(f, A_EVENTQ_PROD), ==, 128);
    g_assert_cmphex(guest_read(f, A_GERROR), ==,
                    FIELD_MASK(GERROR, EVENTQ_ABT_ERR));
    g_assert_cmpuint(f->irq.pulses[SMMUV3_IRQ_EVENTQ], ==, 2);
    assert_counts(128, 12, 0);
    for (unsigned i = 0; i < 128; i++) {
        g_assert_cmphex(words[4 * i + 2], ==, i);
    }
}

/* Two regions, each with half of the ring: a run ends where a region does. */
static void test_queue_in_two_regions(void)
{
    const GuestMemRegion regions[] = {
        { .gpa = GUEST_EVENTQ, .size = 0x1000, .hva = f->ram + 0x8000 },
        { .gpa = GUEST_EVENTQ + 0x1000, .size = 0x1000, .hva = f->ram },
    };
    g_autoptr(GError) error = NULL;

    guest_start(f, 8, LOG2_CMDQ);
    guest_mem_set_regions(f->mem, regions, 2, &error);
    g_assert_no_error(error);
    report(256);
    fixture_pump(f);
    assert_counts(256, 0, 0);
    for (unsigned i = 0; i < 256; i++) {
        size_t offset = i < 128 ? 0x8000 + 32 * i : 32 * (i - 128);
        uint64_t address;

        memcpy(&address, f->ram + offset + 16, sizeof(address));
        g_assert_cmphex(GUINT64_FROM_LE(address), ==, i);
    }
}

/* Records that the bus refused are no overflow: the ring never was full. */
static void test_surplus_of_an_aborted_batch_is_discarded(void)
{
    message_log_start();
    guest_start(f, 3, LOG2_CMDQ);
    guest_disable_eventq(f);
    guest_write64(f, A_EVENTQ_BASE, GUEST_NOWHERE | 3);
    guest_write(f, A_CR0, 0xd);
    deliver(SID, 10);
    g_assert_cmphex(guest_read(f, A_EVENTQ_PROD), ==, 0);
    assert_counts(0, 10, 0);
}

static void test_reset_discards_and_starts_over(void)
{
    guest_start(f, 2, LOG2_CMDQ);
    report_beyond(4, 2);
    viommu_reset(f->viommu);
    assert_counts(4, 2, 0);
    g_assert_cmpint(fixture_report(f, device, 0), ==, EMUL_REPORT_REFUSED);
    guest_start(f, 2, LOG2_CMDQ);
    consumed = reported;
    report(4);
    fixture_pump(f);
    consume(4);
    assert_empty();
}

/* ---- CR0ACK ---- */

static const HostIommuOps *real_ops;
static unsigned queue_calls;
static uint32_t acknowledged;   /* EVENTQEN in CR0ACK, at the last of them */

static int watching_ioctl(HostIommu *host, int fd, unsigned long request,
                          void *arg)
{
    int ret = real_ops->ioctl(host, fd, request, arg);

    if (request == IOMMU_VEVENTQ_ALLOC || request == IOMMU_DESTROY) {
        queue_calls++;
        acknowledged = FIELD_GET(guest_read(f, A_CR0ACK), CR0, EVENTQEN);
    }
    return ret;
}

/* 6.3.9: ACK shows what has taken effect. */
static void test_acknowledge_waits_for_the_hosts_queue(void)
{
    HostIommuOps ops = *f->host->ops;
    uint32_t cr0;

    guest_start(f, 2, LOG2_CMDQ);
    cr0 = guest_read(f, A_CR0);
    real_ops = f->host->ops;
    ops.ioctl = watching_ioctl;
    f->host->ops = &ops;
    queue_calls = 0;

    guest_write(f, A_CR0, cr0 & ~FIELD_MASK(CR0, EVENTQEN));
    g_assert_cmpuint(queue_calls, ==, 1);
    g_assert_cmpuint(acknowledged, ==, 1);
    g_assert_cmphex(guest_read(f, A_CR0ACK), ==,
                    cr0 & ~FIELD_MASK(CR0, EVENTQEN));
    guest_write(f, A_CR0, cr0);
    g_assert_cmpuint(queue_calls, ==, 2);
    g_assert_cmpuint(acknowledged, ==, 0);
    g_assert_cmphex(guest_read(f, A_CR0ACK), ==, cr0);
    f->host->ops = real_ops;
}

int main(int argc, char **argv)
{
    static const FixtureTest tests[] = {
        { test_all_entries_are_usable, "all-entries-are-usable" },
        { test_order_over_many_wraps, "order-over-many-wraps" },
        { test_indices_may_start_anywhere, "indices-may-start-anywhere" },
        { test_record_is_byte_exact, "record-is-byte-exact" },
        { test_records_keep_their_stream, "records-keep-their-stream" },
        { test_base_is_aligned_to_the_size, "base-is-aligned-to-the-size" },
        { test_size_is_capped_by_idr1, "size-is-capped-by-idr1" },
        { test_full_ring_leaves_records_with_the_host,
          "full-ring-leaves-records-with-the-host" },
        { test_freed_entries_are_filled_in_one_read,
          "freed-entries-are-filled-in-one-read" },
        { test_cons_write_without_room_reads_nothing,
          "cons-write-without-room-reads-nothing" },
        { test_inconsistent_cons_counts_as_full,
          "inconsistent-cons-counts-as-full" },
        { test_unknown_stream_is_discarded, "unknown-stream-is-discarded" },
        { test_unplugged_device_is_discarded, "unplugged-device-is-discarded" },
        { test_queue_that_is_off_discards, "queue-that-is-off-discards" },
        { test_switching_off_discards_what_the_host_has,
          "switching-off-discards-what-the-host-has" },
        { test_host_queue_has_the_guest_queues_size,
          "host-queue-has-the-guest-queues-size" },
        { test_bad_base_is_an_abort, "bad-base-is-an-abort" },
        { test_abort_discards_silently_until_acknowledged,
          "abort-discards-silently-until-acknowledged" },
        { test_good_part_is_published_before_the_abort,
          "good-part-is-published-before-the-abort" },
        { test_queue_in_two_regions, "queue-in-two-regions" },
        { test_surplus_of_an_aborted_batch_is_discarded,
          "surplus-of-an-aborted-batch-is-discarded" },
        { test_reset_discards_and_starts_over,
          "reset-discards-and-starts-over" },
        { test_acknowledge_waits_for_the_hosts_queue,
          "acknowledge-waits-for-the-hosts-queue" },
    };

    return fixture_main(argc, argv, "/smmuv3/eventq", tests,
                        G_N_ELEMENTS(tests), setup, teardown);
}
