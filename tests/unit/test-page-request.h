/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the tests of page-request share: a table whose callbacks are written
 * down, on a host that knows its cookies and whose writes follow a script.
 */
#ifndef TEST_PAGE_REQUEST_H
#define TEST_PAGE_REQUEST_H

#include "hw/iommu/page-request.h"

#include <errno.h>
#include <string.h>

#define NO_PASID PAGE_REQUEST_NO_PASID
#define INVALID PAGE_REQUEST_ANSWER_INVALID
#define FORGET PAGE_REQUEST_FORGET

enum { COOKIES = 4096, STEPS = 8, LOG = 4096 };

/* What one write() does; the default is what the kernel does. */
typedef struct Step {
    size_t most;                /* answers it takes; 0: no limit */
    ssize_t ret;                /* returned as it is, nothing taken; 0: no */
    int err;                    /* fails with it; 0: no */
    bool zero;                  /* returns 0 */
} Step;

/* A kernel that knows the cookies it gave out, with a script for its writes. */
typedef struct FakeHost {
    HostIommu host;
    bool out[COOKIES];
    Step steps[STEPS];
    bool last_for_ever;         /* the last step is that of all later calls */
    unsigned calls;
    size_t first_count;         /* answers in the first write */
    uint32_t taken[LOG][2];     /* cookie and code, in order */
    unsigned taken_count;
} FakeHost;

static inline const Step *next_step(FakeHost *fake)
{
    static const Step ordinary;
    unsigned call = fake->calls++;

    if (fake->last_for_ever) {
        call = MIN(call, STEPS - 1);
    }
    return call < STEPS ? &fake->steps[call] : &ordinary;
}

static inline bool fake_take(FakeHost *fake, const uint32_t answer[2])
{
    if (answer[0] >= COOKIES || !fake->out[answer[0]] || answer[1] > 1) {
        return false;
    }
    fake->out[answer[0]] = false;
    g_assert_cmpuint(fake->taken_count, <, LOG);
    memcpy(fake->taken[fake->taken_count++], answer, 8);
    return true;
}

static inline ssize_t fake_write(HostIommu *host, int fd, const void *buf,
                                 size_t count)
{
    FakeHost *fake = (FakeHost *)host;
    const uint32_t (*answers)[2] = buf;
    const Step *step = next_step(fake);
    size_t limit = count / 8, done = 0;

    g_assert_cmpint(fd, ==, 42);
    g_assert_cmpuint(count, >, 0);
    g_assert_cmpuint(count % 8, ==, 0);
    if (fake->calls == 1) {
        fake->first_count = limit;
    }
    if (step->err) {
        errno = step->err;
        return -1;
    }
    if (step->zero || step->ret) {
        return step->ret;
    }
    limit = step->most ? MIN(limit, step->most) : limit;
    while (done < limit && fake_take(fake, answers[done])) {
        done++;
    }
    errno = EINVAL;
    return done ? (ssize_t)(done * 8) : -1;
}

static const HostIommuOps fake_ops = { .write = fake_write };

/* What the callbacks were told, and the table and host they belong to. */
typedef struct Fixture {
    PageRequestTable *table;
    FakeHost fake;
    PageRequest dropped[LOG];
    PageRequestDrop how;        /* of all that were dropped */
    unsigned dropped_count;
    uint32_t refused[LOG];      /* cookies */
    unsigned refused_count;
} Fixture;

static inline void on_dropped(void *opaque, const PageRequest *request,
                              PageRequestDrop how)
{
    Fixture *f = opaque;

    g_assert_cmpuint(f->dropped_count, <, LOG);
    f->dropped[f->dropped_count++] = *request;
    f->how = how;
}

static inline void on_refused(void *opaque, const PageRequest *request)
{
    Fixture *f = opaque;

    g_assert_cmpuint(f->refused_count, <, LOG);
    f->refused[f->refused_count++] = request->cookie;
}

static const PageRequestOps ops = {
    .dropped = on_dropped,
    .refused = on_refused,
};

static inline Fixture *fixture_new(uint32_t capacity)
{
    Fixture *f = g_new0(Fixture, 1);

    f->fake.host.ops = &fake_ops;
    f->table = page_request_table_new(capacity, &ops, f);
    return f;
}

static inline void fixture_free(Fixture *f)
{
    page_request_drop_all(f->table, PAGE_REQUEST_FORGET);
    page_request_table_free(f->table);
    g_free(f);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Fixture, fixture_free)

static inline int flush(Fixture *f)
{
    return page_request_flush(f->table, &f->fake.host, 42);
}

static inline DeviceEntry device(uint32_t virt_id)
{
    return (DeviceEntry) { .virt_id = virt_id, .dev_id = virt_id + 100 };
}

/* A group of the host's, whose cookie the kernel has given out. */
static inline PageRequest host_group(Fixture *f, uint32_t virt_id,
                                     uint32_t pasid, uint32_t index,
                                     uint32_t cookie)
{
    f->fake.out[cookie] = true;
    return (PageRequest) {
        .key = { virt_id, pasid, index },
        .dev_id = virt_id + 100,
        .cookie = cookie,
    };
}

static inline PageRequest emulated_group(uint32_t virt_id, uint32_t pasid,
                                         uint32_t index, uint32_t tag)
{
    return (PageRequest) {
        .key = { virt_id, pasid, index },
        .emulated = GUINT_TO_POINTER(tag),
        .cookie = tag,          /* not looked at; tells them apart here */
    };
}

static inline void open_host(Fixture *f, uint32_t virt_id, uint32_t pasid,
                             uint32_t index, uint32_t cookie)
{
    PageRequest request = host_group(f, virt_id, pasid, index, cookie);

    g_assert_cmpint(page_request_open(f->table, &request), ==,
                    PAGE_REQUEST_OPENED);
}

static inline void open_emulated(Fixture *f, uint32_t virt_id, uint32_t pasid,
                                 uint32_t index, uint32_t tag)
{
    PageRequest request = emulated_group(virt_id, pasid, index, tag);

    g_assert_cmpint(page_request_open(f->table, &request), ==,
                    PAGE_REQUEST_OPENED);
}

static inline bool answer(Fixture *f, uint32_t virt_id, uint32_t pasid,
                          uint32_t index, uint32_t code)
{
    const PageRequestKey key = { virt_id, pasid, index };

    return page_request_answer(f->table, &key, code, NULL);
}

static inline void assert_counts(Fixture *f, uint32_t open,
                                 uint32_t unwritten, uint32_t room)
{
    g_assert_cmpuint(page_request_open_count(f->table), ==, open);
    g_assert_cmpuint(page_request_unwritten(f->table), ==, unwritten);
    g_assert_cmpuint(page_request_room(f->table), ==, room);
}

/* Number @i of those that the kernel took. */
static inline void assert_taken(Fixture *f, unsigned i, uint32_t cookie,
                                uint32_t code)
{
    g_assert_cmpuint(i, <, f->fake.taken_count);
    g_assert_cmpuint(f->fake.taken[i][0], ==, cookie);
    g_assert_cmpuint(f->fake.taken[i][1], ==, code);
}

#endif
