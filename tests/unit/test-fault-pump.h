/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the tests of the fault queue's pump share: it stands between a host that
 * reads and writes by a script and a sink that takes notes.
 */
#ifndef TEST_FAULT_PUMP_H
#define TEST_FAULT_PUMP_H

#include "hw/iommu/fault-pump.h"

#include "base/rcu.h"
#include "host/iommufd-abi.h"

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

static inline ScriptedHost *scripted(HostIommu *host)
{
    return caa_container_of(host, ScriptedHost, parent);
}

static inline size_t first_group(const ScriptedHost *s, size_t at)
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
static inline ssize_t host_read(HostIommu *host, int fd, void *buf,
                                size_t count)
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

static inline ssize_t host_write(HostIommu *host, int fd, const void *buf,
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

static inline int host_ioctl(HostIommu *host, int fd, unsigned long request,
                             void *arg)
{
    const struct iommu_destroy *cmd = arg;

    g_assert_cmpuint(request, ==, IOMMU_DESTROY);
    g_assert_cmpuint(cmd->id, ==, QUEUE_ID);
    g_assert_cmpuint(scripted(host)->closed, ==, 1);
    scripted(host)->destroyed++;
    return 0;
}

static inline int host_close(HostIommu *host, int fd)
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

static inline uint32_t sink_room(void *opaque, uint32_t want)
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

static inline void sink_deliver(void *opaque, const PgfaultGroup *groups,
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

static inline void sink_malformed(void *opaque, const PgfaultGroup *group)
{
    NotingSink *sink = opaque;

    sink->malformed++;
    sink->nameless += group->count == 0;
    sink->seen_last = false;
}

static inline void sink_seen(void *opaque)
{
    NotingSink *sink = opaque;

    sink->seen++;
    sink->seen_last = true;
}

static inline void sink_failed(void *opaque, const char *message)
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

static inline void table_dropped(void *opaque, const PageRequest *request,
                                 PageRequestDrop how)
{
}

static inline void table_refused(void *opaque, const PageRequest *request)
{
    ((Fixture *)opaque)->refused++;
}

static const PageRequestOps table_ops = {
    .dropped = table_dropped,
    .refused = table_refused,
};

/* ---- Set-up ---- */

static inline void setup(Fixture *f, gconstpointer data)
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
}

static inline void teardown(Fixture *f, gconstpointer data)
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
}

static inline void set_ready(Fixture *f, bool ready)
{
    uint64_t value = 1;

    g_assert_cmpint(ready ? write(f->host.fd, &value, sizeof(value))
                          : read(f->host.fd, &value, sizeof(value)), ==,
                    sizeof(value));
}

static inline void push_record(Fixture *f, uint32_t cookie, uint32_t flags)
{
    const struct iommu_hwpt_pgfault record = {
        .flags = flags, .dev_id = DEV_ID, .perm = IOMMU_PGFAULT_PERM_READ,
        .cookie = cookie,
    };

    g_byte_array_append(f->host.pending, (const void *)&record,
                        sizeof(record));
}

static inline void push_group(Fixture *f, uint32_t cookie, unsigned count)
{
    for (unsigned i = 1; i <= count; i++) {
        push_record(f, cookie, i == count ? IOMMU_PGFAULT_FLAGS_LAST_PAGE : 0);
    }
}

/* Turns of the loop, each of which must make progress. */
static inline void turns(Fixture *f, unsigned count)
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

#define ADD(path, func) \
    g_test_add("/fault-pump/" path, Fixture, NULL, setup, func, teardown)

#endif
