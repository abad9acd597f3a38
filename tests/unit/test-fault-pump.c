/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The fault queue's pump between a host that reads and writes by a script and
 * a sink that takes notes.
 */
#include "hw/iommu/fault-pump.h"

#include "base/rcu.h"
#include "host/iommufd-abi.h"
#include "message-log.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define QUEUE_ID 42
#define DEV_ID 9
#define ANSWERS_MAX 4096

typedef struct ScriptedHost {
    HostIommu parent;
    GByteArray *pending;        /* what reads will give: whole groups */
    size_t garbage;             /* bytes of it that the next read gives as is */
    int fd;                     /* an eventfd, readable while told so */
    int read_err;               /* errno of reads, ... */
    unsigned read_errs;         /* ... this often */
    int write_err;
    unsigned write_errs;
    size_t most_answers;        /* per write; 0: no limit */
    uint32_t unknown_cookie;    /* refused; 0: none */
    unsigned reads;
    size_t last_count;          /* bytes that the last read asked for */
    unsigned writes;
    uint32_t cookies[ANSWERS_MAX];  /* answered, in order */
    unsigned answered;
    unsigned closed;
    unsigned destroyed;
} ScriptedHost;

typedef struct NotingSink {
    uint32_t room;
    uint32_t capacity;          /* want more: UNLIMITED */
    uint32_t wanted;            /* the last want that there was no room for */
    GArray *counts;             /* uint32_t: pages of each group */
    GArray *cookies;            /* uint32_t: of each group */
    unsigned deliveries;
    size_t largest;             /* groups in one */
    unsigned malformed;
    unsigned nameless;          /* malformed without a cookie */
    unsigned seen;
    bool seen_last;             /* nothing has come since */
    char *failure;
    FaultPump *flush;           /* in deliver: write the answers of table */
    PageRequestTable *table;
} NotingSink;

typedef struct Fixture {
    AioContext *ctx;
    ScriptedHost host;
    NotingSink sink;
    FaultPump *pump;
    PageRequestTable *table;
    unsigned refused;           /* cookies */
} Fixture;

/* ---- The host ---- */

static ScriptedHost *scripted(HostIommu *host)
{
    return caa_container_of(host, ScriptedHost, parent);
}

static size_t first_group(const ScriptedHost *s, size_t at)
{
    const struct iommu_hwpt_pgfault *record =
        (const void *)(s->pending->data + at);
    size_t len = sizeof(*record);

    while (!(record->flags & IOMMU_PGFAULT_FLAGS_LAST_PAGE)) {
        record++;
        len += sizeof(*record);
    }
    return len;
}

/* Whole groups, as many as fit; EINVAL if not even the first. */
static ssize_t host_read(HostIommu *host, int fd, void *buf, size_t count)
{
    ScriptedHost *s = scripted(host);
    size_t len;

    s->reads++;
    s->last_count = count;
    g_assert_cmpuint(count % sizeof(struct iommu_hwpt_pgfault), ==, 0);
    if (s->read_errs > 0) {
        s->read_errs--;
        errno = s->read_err;
        return -1;
    }
    len = MIN(s->garbage, count);
    while (s->garbage == 0 && len < s->pending->len &&
           len + first_group(s, len) <= count) {
        len += first_group(s, len);
    }
    if (len == 0 && s->pending->len > 0) {
        errno = EINVAL;
        return -1;
    }
    if (len > 0) {
        memcpy(buf, s->pending->data, len);
        g_byte_array_remove_range(s->pending, 0, len);
    }
    return len;
}

static ssize_t host_write(HostIommu *host, int fd, const void *buf,
                          size_t count)
{
    const struct iommu_hwpt_page_response *answers = buf;
    ScriptedHost *s = scripted(host);
    size_t limit = count / sizeof(*answers);
    size_t done = 0;

    g_assert_cmpint(fd, ==, s->fd);
    s->writes++;
    if (s->write_errs > 0) {
        s->write_errs--;
        errno = s->write_err;
        return -1;
    }
    limit = s->most_answers ? MIN(limit, s->most_answers) : limit;
    while (done < limit && answers[done].cookie != s->unknown_cookie) {
        g_assert_cmpuint(s->answered, <, ANSWERS_MAX);
        s->cookies[s->answered++] = answers[done++].cookie;
    }
    errno = EINVAL;
    return done ? (ssize_t)(done * sizeof(*answers)) : -1;
}

static int host_ioctl(HostIommu *host, int fd, unsigned long request,
                      void *arg)
{
    const struct iommu_destroy *cmd = arg;

    g_assert_cmpuint(request, ==, IOMMU_DESTROY);
    g_assert_cmpuint(cmd->id, ==, QUEUE_ID);
    g_assert_cmpuint(scripted(host)->closed, ==, 1);
    scripted(host)->destroyed++;
    return 0;
}

static int host_close(HostIommu *host, int fd)
{
    scripted(host)->closed++;
    return close(fd);
}

static const HostIommuOps host_ops = {
    .ioctl = host_ioctl,
    .read = host_read,
    .write = host_write,
    .close = host_close,
};

/* ---- The sink ---- */

static uint32_t sink_room(void *opaque, uint32_t want)
{
    NotingSink *sink = opaque;

    if (want > sink->capacity) {
        return PAGE_ROOM_UNLIMITED;
    }
    if (sink->room < want) {
        sink->wanted = want;
    }
    return sink->room;
}

static void sink_deliver(void *opaque, const PgfaultGroup *groups,
                         size_t count)
{
    NotingSink *sink = opaque;

    sink->deliveries++;
    sink->largest = MAX(sink->largest, count);
    sink->seen_last = false;
    for (size_t i = 0; i < count; i++) {
        uint32_t pages = groups[i].count;

        g_array_append_val(sink->counts, pages);
        g_array_append_val(sink->cookies, groups[i].cookie);
    }
    if (sink->flush) {
        fault_pump_flush(sink->flush, sink->table);
    }
}

static void sink_malformed(void *opaque, const PgfaultGroup *group)
{
    NotingSink *sink = opaque;

    sink->malformed++;
    sink->nameless += group->count == 0;
    sink->seen_last = false;
}

static void sink_seen(void *opaque)
{
    NotingSink *sink = opaque;

    sink->seen++;
    sink->seen_last = true;
}

static void sink_failed(void *opaque, const char *message)
{
    NotingSink *sink = opaque;

    g_assert_null(sink->failure);
    sink->failure = g_strdup(message);
}

static const FaultPumpOps sink_ops = {
    .room = sink_room,
    .deliver = sink_deliver,
    .malformed = sink_malformed,
    .seen = sink_seen,
    .failed = sink_failed,
};

static void table_dropped(void *opaque, const PageRequest *request,
                          PageRequestDrop how)
{
}

static void table_refused(void *opaque, const PageRequest *request)
{
    ((Fixture *)opaque)->refused++;
}

static const PageRequestOps table_ops = {
    .dropped = table_dropped,
    .refused = table_refused,
};

/* ---- Set-up ---- */

static void setup(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    HostQueue queue = { .host = &f->host.parent, .id = QUEUE_ID,
                        .record_size = PGFAULT_RECORD_SIZE };

    f->ctx = aio_context_new(&error);
    g_assert_no_error(error);
    aio_context_bind(f->ctx);
    f->host.parent.ops = &host_ops;
    f->host.pending = g_byte_array_new();
    f->host.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    f->sink.room = 1023;
    f->sink.capacity = 1023;
    f->sink.counts = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    f->sink.cookies = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    queue.fd = f->host.fd;
    f->pump = fault_pump_new(f->ctx, &queue, &sink_ops, &f->sink);
    f->table = page_request_table_new(ANSWERS_MAX, &table_ops, f);
    message_log_start();
}

static void teardown(Fixture *f, gconstpointer data)
{
    g_assert_cmpuint(f->host.destroyed, ==, 0);
    fault_pump_free(f->pump);
    g_assert_cmpuint(f->host.closed, ==, 1);
    g_assert_cmpuint(f->host.destroyed, ==, 1);
    page_request_table_free(f->table);
    aio_context_unref(f->ctx);
    g_byte_array_unref(f->host.pending);
    g_array_unref(f->sink.counts);
    g_array_unref(f->sink.cookies);
    g_free(f->sink.failure);
    message_log_stop();
}

static void set_ready(Fixture *f, bool ready)
{
    uint64_t value = 1;

    g_assert_cmpint(ready ? write(f->host.fd, &value, sizeof(value))
                          : read(f->host.fd, &value, sizeof(value)), ==,
                    sizeof(value));
}

static void push_record(Fixture *f, uint32_t cookie, uint32_t flags)
{
    const struct iommu_hwpt_pgfault record = {
        .flags = flags, .dev_id = DEV_ID, .perm = IOMMU_PGFAULT_PERM_READ,
        .cookie = cookie,
    };

    g_byte_array_append(f->host.pending, (const void *)&record,
                        sizeof(record));
}

static void push_group(Fixture *f, uint32_t cookie, unsigned count)
{
    for (unsigned i = 1; i <= count; i++) {
        push_record(f, cookie, i == count ? IOMMU_PGFAULT_FLAGS_LAST_PAGE : 0);
    }
}

/* Turns of the loop, each of which must make progress. */
static void turns(Fixture *f, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        g_assert_true(aio_poll(f->ctx, false));
    }
}

/* The groups' sizes so far. */
#define assert_counts(f, ...)                                             \
    do {                                                                  \
        const uint32_t expected[] = { __VA_ARGS__ };                      \
        g_assert_cmpmem((f)->sink.counts->data,                           \
                        (f)->sink.counts->len * sizeof(uint32_t),         \
                        expected, sizeof(expected));                      \
    } while (0)

/* ---- Reading ---- */

static void test_whole_groups_in_order(Fixture *f, gconstpointer data)
{
    push_group(f, 1, 1);
    push_group(f, 2, 3);
    push_group(f, 3, 2);
    g_assert_true(fault_pump_run(f->pump));
    assert_counts(f, 1, 3, 2);
    g_assert_cmpuint(f->sink.deliveries, ==, 1);
    g_assert_cmpuint(f->sink.seen, ==, 1);
    g_assert_true(f->sink.seen_last);
    g_assert_false(fault_pump_run(f->pump));
    g_assert_cmpuint(f->sink.seen, ==, 1);
    g_assert_false(fault_pump_waits(f->pump));
}

static void test_watched_from_the_first_run_on(Fixture *f, gconstpointer data)
{
    set_ready(f, true);
    g_assert_false(aio_poll(f->ctx, false));
    g_assert_false(fault_pump_run(f->pump));
    push_group(f, 1, 2);
    turns(f, 1);
    assert_counts(f, 2);
}

static void test_no_more_pages_than_room(Fixture *f, gconstpointer data)
{
    f->sink.room = 6;
    for (unsigned i = 1; i <= 4; i++) {
        push_group(f, i, 2);
    }
    g_assert_true(fault_pump_run(f->pump));
    assert_counts(f, 2, 2, 2);
    f->sink.room = 0;
    set_ready(f, true);
    turns(f, 1);
    g_assert_true(fault_pump_waits(f->pump));
    /* Ready, but not watched. */
    g_assert_false(aio_poll(f->ctx, false));
    f->sink.room = 2;
    g_assert_true(fault_pump_run(f->pump));
    assert_counts(f, 2, 2, 2, 2);
    g_assert_false(fault_pump_waits(f->pump));
}

/* It stays in the kernel until it fits, and not a page longer. */
static void test_large_group_waits_for_exactly_so_much_room(Fixture *f,
                                                            gconstpointer data)
{
    f->sink.room = 3;
    push_group(f, 1, 20);
    push_group(f, 2, 1);
    set_ready(f, true);
    g_assert_false(fault_pump_run(f->pump));
    for (uint32_t room = 3; room < 20; room++) {
        f->sink.room = room;
        g_assert_false(fault_pump_run(f->pump));
        g_assert_true(fault_pump_waits(f->pump));
        g_assert_cmpuint(f->sink.wanted, ==, room + 1);
        g_assert_false(aio_poll(f->ctx, false));
    }
    f->sink.room = 20;
    g_assert_true(fault_pump_run(f->pump));
    assert_counts(f, 20);
    f->sink.room = 1;
    g_assert_true(fault_pump_run(f->pump));
    assert_counts(f, 20, 1);
}

/* What was learnt of the first group is not asked again. */
static void test_waiting_does_not_read(Fixture *f, gconstpointer data)
{
    unsigned reads;

    f->sink.room = 3;
    push_group(f, 1, 20);
    fault_pump_run(f->pump);
    reads = f->host.reads;
    for (unsigned i = 0; i < 10; i++) {
        g_assert_false(fault_pump_run(f->pump));
    }
    g_assert_cmpuint(f->host.reads, ==, reads);
}

/* Larger than a batch, smaller than the room: found in a few reads. */
static void test_einval_grows_by_batches(Fixture *f, gconstpointer data)
{
    f->sink.room = f->sink.capacity = 16383;
    push_group(f, 1, 5000);
    for (unsigned i = 2; i <= 600; i++) {
        push_group(f, i, 1);
    }
    g_assert_true(fault_pump_run(f->pump));
    g_assert_cmpuint(g_array_index(f->sink.counts, uint32_t, 0), ==, 5000);
    g_assert_cmpuint(f->host.reads, <=, 5000 / PAGE_GROUP_BATCH + 1);
    /* However large the first one was, a read has a batch of groups at most. */
    g_assert_cmpuint(f->sink.deliveries, ==, 1);
    g_assert_cmpuint(f->sink.largest, <=, PAGE_GROUP_BATCH);
    /* And the next is of the usual size again. */
    fault_pump_run(f->pump);
    g_assert_cmpuint(f->host.last_count, ==,
                     PAGE_GROUP_BATCH * PGFAULT_RECORD_SIZE);
}

static void test_larger_than_the_queue_is_read(Fixture *f, gconstpointer data)
{
    push_group(f, 1, 1024);
    push_group(f, 2, 1);
    g_assert_true(fault_pump_run(f->pump));
    g_assert_cmpuint(g_array_index(f->sink.counts, uint32_t, 0), ==, 1024);
}

static void test_the_largest_group_is_read(Fixture *f, gconstpointer data)
{
    push_group(f, 1, FAULT_PUMP_GROUP_MAX);
    g_assert_true(fault_pump_run(f->pump));
    assert_counts(f, FAULT_PUMP_GROUP_MAX);
}

static void test_larger_than_everything_closes(Fixture *f, gconstpointer data)
{
    push_group(f, 1, FAULT_PUMP_GROUP_MAX + 1);
    set_ready(f, true);
    g_assert_false(fault_pump_run(f->pump));
    while (aio_poll(f->ctx, false)) {
        g_assert_cmpuint(f->host.reads, <, 1000);
    }
    g_assert_nonnull(strstr(f->sink.failure, "fault queue 42: read() fails"));
    g_assert_nonnull(strstr(f->sink.failure,
                            "until the guest sets up its first PASID"));
    g_assert_cmpuint(f->host.closed, ==, 1);
    g_assert_cmpuint(f->sink.counts->len, ==, 0);
    g_assert_false(fault_pump_waits(f->pump));
    g_assert_false(fault_pump_run(f->pump));
}

/* The large group has ended on the host, and the one behind it is small. */
static void test_look_anew_forgets_the_large_group(Fixture *f,
                                                   gconstpointer data)
{
    f->sink.room = 3;
    push_group(f, 1, 20);
    g_assert_false(fault_pump_run(f->pump));
    g_byte_array_set_size(f->host.pending, 0);
    push_group(f, 2, 2);
    fault_pump_look_anew(f->pump);
    g_assert_true(fault_pump_run(f->pump));
    assert_counts(f, 2);
}

static void test_at_most_a_batch_per_turn(Fixture *f, gconstpointer data)
{
    f->sink.room = f->sink.capacity = 16383;
    for (unsigned i = 1; i <= 3 * PAGE_GROUP_BATCH; i++) {
        push_group(f, i, 1);
    }
    set_ready(f, true);
    g_assert_true(fault_pump_run(f->pump));
    g_assert_cmpuint(f->sink.counts->len, ==, PAGE_GROUP_BATCH);
    turns(f, 1);
    g_assert_cmpuint(f->sink.counts->len, ==, 2 * PAGE_GROUP_BATCH);
}

/* More groups than were asked for, which no kernel gives: batch by batch. */
static void test_more_than_a_batch_is_cut(Fixture *f, gconstpointer data)
{
    f->sink.room = f->sink.capacity = 16383;
    for (unsigned i = 1; i <= 2000; i++) {
        push_group(f, i, 1);
    }
    /* It says that the first is larger than it is. */
    f->host.read_err = EINVAL;
    f->host.read_errs = 3;
    g_assert_true(fault_pump_run(f->pump));
    g_assert_cmpuint(f->sink.counts->len, ==, 2000);
    g_assert_cmpuint(f->sink.deliveries, ==, 4);
    g_assert_cmpuint(f->sink.largest, ==, PAGE_GROUP_BATCH);
    g_assert_cmpuint(f->sink.seen, ==, 1);
}

/* ---- What no kernel writes ---- */

static void test_malformed_group_is_named(Fixture *f, gconstpointer data)
{
    push_record(f, 5, 0);
    push_record(f, 6, IOMMU_PGFAULT_FLAGS_LAST_PAGE);
    push_group(f, 7, 2);
    g_assert_true(fault_pump_run(f->pump));
    g_assert_cmpuint(f->sink.malformed, ==, 2);
    g_assert_cmpuint(f->sink.nameless, ==, 0);
    assert_counts(f, 2);
    g_assert_true(f->sink.seen_last);
}

static void test_malformed_alone_is_handed_over(Fixture *f, gconstpointer data)
{
    push_record(f, 5, 0x80000000 | IOMMU_PGFAULT_FLAGS_LAST_PAGE);
    g_assert_true(fault_pump_run(f->pump));
    g_assert_cmpuint(f->sink.malformed, ==, 1);
    g_assert_cmpuint(f->sink.deliveries, ==, 0);
    g_assert_cmpuint(f->sink.seen, ==, 1);
    g_assert_true(f->sink.seen_last);
}

static void test_truncated_read_names_nothing(Fixture *f, gconstpointer data)
{
    push_group(f, 1, 1);
    push_group(f, 2, 1);
    f->host.garbage = 2 * PGFAULT_RECORD_SIZE - 1;
    g_assert_true(fault_pump_run(f->pump));
    assert_counts(f, 1);
    g_assert_cmpuint(f->sink.malformed, ==, 1);
    g_assert_cmpuint(f->sink.nameless, ==, 1);
}

static void test_failing_reads_close(Fixture *f, gconstpointer data)
{
    fault_pump_run(f->pump);
    set_ready(f, true);
    f->host.read_err = EIO;
    f->host.read_errs = UINT32_MAX;
    while (aio_poll(f->ctx, false)) {
        g_assert_cmpuint(f->host.reads, <=, 17);
    }
    g_assert_nonnull(strstr(f->sink.failure, g_strerror(EIO)));
    g_assert_cmpuint(f->host.closed, ==, 1);
}

static void test_passing_errors_do_not(Fixture *f, gconstpointer data)
{
    static const int errors[] = { EIO, EINTR, EAGAIN, ENOMEM, EFAULT };

    fault_pump_run(f->pump);
    set_ready(f, true);
    for (unsigned i = 0; i < G_N_ELEMENTS(errors); i++) {
        push_group(f, i + 1, 1);
        f->host.read_err = errors[i];
        f->host.read_errs = 10;
        turns(f, 11);
        g_assert_cmpuint(f->sink.counts->len, ==, i + 1);
    }
    g_assert_null(f->sink.failure);
}

/* ---- Writing ---- */

/* @count groups that were answered in place of the guest. */
static void put_answers(Fixture *f, unsigned count)
{
    for (unsigned i = 1; i <= count; i++) {
        const PageRequest request = { .dev_id = DEV_ID, .cookie = i };

        g_assert_true(page_request_respond(f->table, &request,
                                           PAGE_RESPONSE_SUCCESS));
    }
}

static void assert_answered(Fixture *f, unsigned count)
{
    g_assert_cmpuint(f->host.answered, ==, count);
    g_assert_cmpuint(page_request_unwritten(f->table), ==, 0);
}

static void test_flush_writes_all_in_batches(Fixture *f, gconstpointer data)
{
    g_assert_true(fault_pump_flush(f->pump, f->table));
    g_assert_cmpuint(f->host.writes, ==, 0);
    put_answers(f, 2 * PAGE_REQUEST_BATCH + 1);
    g_assert_true(fault_pump_flush(f->pump, f->table));
    assert_answered(f, 2 * PAGE_REQUEST_BATCH + 1);
    g_assert_cmpuint(f->host.writes, ==, 3);
}

static void test_short_writes_go_on(Fixture *f, gconstpointer data)
{
    f->host.most_answers = 3;
    put_answers(f, 10);
    g_assert_true(fault_pump_flush(f->pump, f->table));
    assert_answered(f, 10);
    g_assert_cmpuint(f->host.writes, ==, 4);
}

static void test_refused_cookie_is_left_out(Fixture *f, gconstpointer data)
{
    f->host.unknown_cookie = 4;
    put_answers(f, 10);
    g_assert_true(fault_pump_flush(f->pump, f->table));
    assert_answered(f, 9);
    g_assert_cmpuint(f->refused, ==, 1);
    g_assert_cmpuint(f->host.closed, ==, 0);
}

static void test_interrupted_flush_is_for_later(Fixture *f, gconstpointer data)
{
    f->host.write_err = EINTR;
    f->host.write_errs = 100;
    put_answers(f, 10);
    g_assert_false(fault_pump_flush(f->pump, f->table));
    g_assert_cmpuint(page_request_unwritten(f->table), ==, 10);
    while (!fault_pump_flush(f->pump, f->table)) {
        continue;
    }
    assert_answered(f, 10);
    g_assert_cmpuint(f->host.closed, ==, 0);
}

/* Not for ever: that were a spin. And counted anew after each success. */
static void test_lasting_interrupts_give_up(Fixture *f, gconstpointer data)
{
    unsigned tries = 0;

    f->host.write_err = EAGAIN;
    for (unsigned i = 0; i < 3; i++) {
        put_answers(f, 1);
        f->host.write_errs = 3000;
        while (!fault_pump_flush(f->pump, f->table)) {
            continue;
        }
    }
    assert_answered(f, 3);
    put_answers(f, 1);
    f->host.write_errs = UINT32_MAX;
    while (!fault_pump_flush(f->pump, f->table)) {
        g_assert_cmpuint(++tries, <, 10000);
    }
    g_assert_cmpuint(f->host.closed, ==, 1);
    assert_answered(f, 3);
}

/* The answers are forgotten, the fd closed; the object goes at the end only. */
static void test_broken_fd_forgets_answers(Fixture *f, gconstpointer data)
{
    fault_pump_run(f->pump);
    set_ready(f, true);
    f->host.write_err = EBADF;
    f->host.write_errs = UINT32_MAX;
    put_answers(f, 10);
    g_assert_true(fault_pump_flush(f->pump, f->table));
    assert_answered(f, 0);
    g_assert_cmpuint(f->host.writes, ==, 1);
    g_assert_cmpuint(f->host.closed, ==, 1);
    g_assert_cmpuint(f->host.destroyed, ==, 0);
    g_assert_cmpuint(message_log_matching("fault queue 42: write() fails"), ==,
                     1);
    /* No more is read, nor written, and nobody is told again. */
    g_assert_false(aio_poll(f->ctx, false));
    g_assert_false(fault_pump_run(f->pump));
    put_answers(f, 10);
    g_assert_true(fault_pump_flush(f->pump, f->table));
    assert_answered(f, 0);
    g_assert_cmpuint(f->host.writes, ==, 1);
    g_assert_cmpuint(message_log_count(), ==, 1);
}

static void test_breaks_while_it_is_read(Fixture *f, gconstpointer data)
{
    fault_pump_run(f->pump);
    set_ready(f, true);
    push_group(f, 1, 1);
    put_answers(f, 1);
    f->host.write_err = EIO;
    f->host.write_errs = 1;
    f->sink.flush = f->pump;
    f->sink.table = f->table;
    turns(f, 1);
    assert_counts(f, 1);
    g_assert_true(f->sink.seen_last);
    g_assert_cmpuint(f->host.closed, ==, 1);
    g_assert_false(aio_poll(f->ctx, false));
}

/* ---- Busy polling ---- */

static void settle_bh(void *opaque)
{
    Fixture *f = opaque;

    g_assert_cmpuint(f->sink.counts->len, ==, 0);
    fault_pump_settle(f->pump);
    assert_counts(f, 2);
    f->sink.room = 0;
}

/* What it has read is delivered before the room goes to others. */
static void test_settle_delivers_what_polling_read(Fixture *f,
                                                   gconstpointer data)
{
    aio_set_poll_params(f->ctx, 1000 * 1000, 0, 0);
    fault_pump_run(f->pump);
    set_ready(f, true);
    /* Dispatched twice: it polls from now on. */
    aio_poll(f->ctx, true);
    aio_poll(f->ctx, true);
    set_ready(f, false);
    aio_poll(f->ctx, false);
    push_group(f, 1, 2);
    aio_bh_schedule_oneshot(f->ctx, settle_bh, f);
    aio_poll(f->ctx, true);
    assert_counts(f, 2);
    g_assert_null(f->sink.failure);
}

#define ADD(path, func) \
    g_test_add("/fault-pump/" path, Fixture, NULL, setup, func, teardown)

static void add_reading(void)
{
    ADD("whole-groups-in-order", test_whole_groups_in_order);
    ADD("watched-from-the-first-run-on", test_watched_from_the_first_run_on);
    ADD("no-more-pages-than-room", test_no_more_pages_than_room);
    ADD("large-group-waits-for-exactly-so-much-room",
        test_large_group_waits_for_exactly_so_much_room);
    ADD("waiting-does-not-read", test_waiting_does_not_read);
    ADD("EINVAL-grows-by-batches", test_einval_grows_by_batches);
    ADD("larger-than-the-queue-is-read", test_larger_than_the_queue_is_read);
    ADD("the-largest-group-is-read", test_the_largest_group_is_read);
    ADD("larger-than-everything-closes", test_larger_than_everything_closes);
    ADD("look-anew-forgets-the-large-group",
        test_look_anew_forgets_the_large_group);
    ADD("at-most-a-batch-per-turn", test_at_most_a_batch_per_turn);
    ADD("more-than-a-batch-is-cut", test_more_than_a_batch_is_cut);
    ADD("malformed-group-is-named", test_malformed_group_is_named);
    ADD("malformed-alone-is-handed-over",
        test_malformed_alone_is_handed_over);
    ADD("truncated-read-names-nothing", test_truncated_read_names_nothing);
    ADD("failing-reads-close", test_failing_reads_close);
    ADD("passing-errors-do-not", test_passing_errors_do_not);
    ADD("settle-delivers-what-polling-read",
        test_settle_delivers_what_polling_read);
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    rcu_register_thread();
    add_reading();
    ADD("flush/writes-all-in-batches", test_flush_writes_all_in_batches);
    ADD("flush/short-writes-go-on", test_short_writes_go_on);
    ADD("flush/refused-cookie-is-left-out", test_refused_cookie_is_left_out);
    ADD("flush/interrupted-is-for-later", test_interrupted_flush_is_for_later);
    ADD("flush/lasting-interrupts-give-up", test_lasting_interrupts_give_up);
    ADD("flush/broken-fd-forgets-answers", test_broken_fd_forgets_answers);
    ADD("flush/breaks-while-it-is-read", test_breaks_while_it_is_read);
    ret = g_test_run();
    rcu_unregister_thread();
    return ret;
}
