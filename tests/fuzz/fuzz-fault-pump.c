/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A fault pump and the page request table whose answers it writes, between a
 * hostile host and a guest whose room comes and goes, who answers some groups,
 * and loses others with a device or a PASID. The input is a list of steps, and
 * what the host answers meanwhile.
 *
 * Checked: the sink gets the items that an oracle finds in the bytes, in order,
 * no more pages than there is room for, and is asked for room by what is known
 * of the first group. What is written is what plain lists say: the answers, in
 * their order, of groups that were read and are open on the host, each once. A
 * host that gives or takes nothing is given up.
 */
#include "hostile-host.h"
#include "hw/iommu/fault-pump.h"
#include "page-request-oracle.h"
#include "stream-oracle.h"

#include "host/iommufd-abi.h"
#include "message-log.h"

#include <errno.h>

/* As in queue-reader.c and fault-pump.c, with some to spare. */
#define MOST_FAILURES 20
#define MOST_RETRIES 4100

/* Of one turn: EINVAL makes each ask for a batch more, up to the largest. */
#define MOST_READS (FAULT_PUMP_GROUP_MAX / PAGE_GROUP_BATCH + 2)

#define DEVICES 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

typedef struct Rig {
    FuzzInput in;
    AioContext *ctx;
    HostileHost host;
    FaultPump *pump;
    PageRequestOracle requests;
    uint32_t room;              /* the sink's */
    uint32_t granted;           /* what it said last */
    uint32_t want;              /* pages that the first group has at least */
    bool busy;                  /* polling */
    unsigned failures;
    uint32_t cookie;            /* of the next well-formed group */
    /* Of the last read, until all is handed over: */
    bool pending;
    size_t count;
    size_t next_group;          /* items: groups come in batches, what is */
    size_t next_malformed;      /* malformed when it is met */
    size_t pages;               /* of groups that were delivered */
} Rig;

/* Too large to be cleared for each input. */
static PgfaultItem items[ORACLE_ITEMS];
static uint8_t bytes[ORACLE_READ_MAX];

/* ---- The host ---- */

static size_t fill(void *opaque, uint8_t *buf, size_t count)
{
    Rig *rig = opaque;
    unsigned pages = fuzz_u8(&rig->in);
    uint8_t choice = fuzz_u8(&rig->in);
    size_t len = 0;

    for (; pages > 0 && len + PGFAULT_RECORD_SIZE <= count; pages--) {
        const bool last = pages == 1 || pages % (1 + choice / 16) == 0;
        struct iommu_hwpt_pgfault record = {
            .flags = last ? IOMMU_PGFAULT_FLAGS_LAST_PAGE : 0,
            .dev_id = choice % DEVICES,
            .grpid = rig->cookie,
            .cookie = rig->cookie,
            .addr = pages,
        };

        if (choice & DEVICES) {
            record.flags |= IOMMU_PGFAULT_FLAGS_PASID_VALID;
            record.pasid = choice % 3;
        }
        rig->cookie += last;
        memcpy(buf + len, &record, sizeof(record));
        len += sizeof(record);
    }
    return len;
}

static void gave(void *opaque, const uint8_t *buf, size_t len)
{
    Rig *rig = opaque;

    g_assert_false(rig->pending);
    rig->pending = true;
    rig->want = 1;
    rig->next_group = rig->next_malformed = 0;
    rig->pages = 0;
    memcpy(bytes, buf, len);
    rig->count = pgfault_oracle(bytes, len, items);
}

/* Only EINVAL says that the first group is larger than what was asked for. */
static void refused(void *opaque, int err)
{
    Rig *rig = opaque;
    uint32_t asked = rig->host.asked / PGFAULT_RECORD_SIZE;

    if (err == EINVAL && asked < FAULT_PUMP_GROUP_MAX) {
        rig->want = asked + 1;
    }
}

/* Takes all, some, a part of one, none, more than there are; or fails. */
static ssize_t wrote(void *opaque, const uint8_t *buf, size_t len)
{
    Rig *rig = opaque;
    uint8_t choice = fuzz_u8(&rig->in);
    size_t took = len;

    page_request_oracle_compare(&rig->requests, buf, len);
    switch (choice % 8) {
    case 0:
        took = 0;
        break;
    case 1:
        errno = hostile_host_errno(&rig->host);
        return -1;
    case 2:
    case 3:
        took = MIN(choice / 8, len);
        break;
    case 4:
        took = len + choice;
        break;
    default:
        break;
    }
    page_request_oracle_written(&rig->requests, MIN(took, len));
    return took;
}

static const HostileHostOps host_ops = {
    .fill = fill, .gave = gave, .refused = refused, .wrote = wrote,
};

/* ---- The sink ---- */

static uint32_t sink_room(void *opaque, uint32_t want)
{
    Rig *rig = opaque;

    g_assert_cmpuint(want, ==, rig->want);
    g_assert_cmpuint(want, <=, FAULT_PUMP_GROUP_MAX);
    rig->granted = rig->room;
    return rig->room;
}

static void flush(Rig *rig)
{
    fault_pump_flush(rig->pump, rig->requests.table);
    if (rig->host.closed) {
        page_request_oracle_forget_answers(&rig->requests);
    }
    page_request_oracle_check(&rig->requests);
}

/* The next item of the read that is a group, or is none, from @at on. */
static size_t find_item(const Rig *rig, size_t at, bool group)
{
    while (at < rig->count && (items[at].kind == PGFAULT_GROUP) != group) {
        at++;
    }
    return at;
}

static void check_item(Rig *rig, size_t at, const PgfaultGroup *group)
{
    const PgfaultItem *item = &items[at];

    g_assert_true(rig->pending);
    g_assert_cmpuint(at, <, rig->count);
    g_assert_cmpuint(group->count, ==, item->count);
    g_assert_cmpuint(group->cookie, ==, item->cookie);
    if (item->count > 0) {
        g_assert_cmpmem(group->first, item->count * PGFAULT_RECORD_SIZE,
                        bytes + item->at, item->count * PGFAULT_RECORD_SIZE);
    }
}

static PageRequest request_of(const PgfaultGroup *group)
{
    return (PageRequest){
        .key = {
            .virt_id = ~group->dev_id,
            .pasid = group->pasid_valid ? group->pasid
                                        : PAGE_REQUEST_NO_PASID,
            .index = group->grpid & PAGE_GROUP_INDEX_MASK,
        },
        .dev_id = group->dev_id,
        .cookie = group->cookie,
    };
}

static void sink_deliver(void *opaque, const PgfaultGroup *groups, size_t count)
{
    Rig *rig = opaque;

    g_assert_cmpuint(count, >, 0);
    g_assert_cmpuint(count, <=, PAGE_GROUP_BATCH);
    for (size_t i = 0; i < count; i++) {
        PageRequest request = request_of(&groups[i]);

        rig->next_group = find_item(rig, rig->next_group, true);
        check_item(rig, rig->next_group++, &groups[i]);
        rig->pages += groups[i].count;
        if (request.cookie % 4) {
            page_request_oracle_open(&rig->requests, &request);
        } else {
            page_request_oracle_respond(&rig->requests, &request,
                                        request.cookie / 4 % 2);
        }
    }
    g_assert_cmpuint(rig->pages, <=, rig->granted);
    /* As the vIOMMU does when there is no place for more. */
    if (page_request_room(rig->requests.table) == 0) {
        flush(rig);
    }
}

static void sink_malformed(void *opaque, const PgfaultGroup *group)
{
    Rig *rig = opaque;
    PageRequest request = request_of(group);

    rig->next_malformed = find_item(rig, rig->next_malformed, false);
    check_item(rig, rig->next_malformed++, group);
    if (group->count > 0) {
        page_request_oracle_respond(&rig->requests, &request,
                                    PAGE_RESPONSE_INVALID);
    }
}

static void sink_seen(void *opaque)
{
    Rig *rig = opaque;

    g_assert_true(rig->pending);
    rig->pending = false;
    g_assert_cmpuint(find_item(rig, rig->next_group, true), ==, rig->count);
    g_assert_cmpuint(find_item(rig, rig->next_malformed, false), ==,
                     rig->count);
}

static void sink_failed(void *opaque, const char *message)
{
    Rig *rig = opaque;

    if (hostile_host_takes_message(&rig->host, message)) {
        return;
    }
    g_assert_cmpuint(rig->failures++, ==, 0);
    g_assert_cmpuint(rig->host.closed, ==, 1);
    g_assert_cmpuint(rig->host.destroyed, ==, 0);
    g_assert_nonnull(strstr(message, "fault queue 42"));
}

static const FaultPumpOps sink_ops = {
    .room = sink_room,
    .deliver = sink_deliver,
    .malformed = sink_malformed,
    .seen = sink_seen,
    .failed = sink_failed,
};

/* ---- Steps ---- */

/* Unless a write has failed while it waited: then it is left to the host. */
static void assert_read_was_taken(const Rig *rig)
{
    g_assert_true(!rig->pending || rig->host.closed);
}

static void run(Rig *rig)
{
    unsigned reads = rig->host.reads;
    bool closed = rig->host.closed;
    bool waits;

    fault_pump_run(rig->pump);
    assert_read_was_taken(rig);
    g_assert_cmpuint(rig->host.reads - reads, <=, closed ? 0 : MOST_READS);
    waits = fault_pump_waits(rig->pump);
    g_assert_true(!waits || !rig->host.closed);
}

/* The sink takes what busy polling has read before its room is another. */
static void change_room(Rig *rig)
{
    uint8_t choice = fuzz_u8(&rig->in);

    fault_pump_settle(rig->pump);
    assert_read_was_taken(rig);
    rig->room = choice == 0xff ? PAGE_ROOM_UNLIMITED : choice * choice / 8;
}

static void free_pump(Rig *rig)
{
    page_request_oracle_drop(&rig->requests, NULL, NULL, PAGE_REQUEST_FORGET);
    fault_pump_free(g_steal_pointer(&rig->pump));
    rig->pending = false;
}

/* The guest answers one that is open, or any. */
static void answer(Rig *rig)
{
    const GArray *open = rig->requests.open;
    uint8_t choice = fuzz_u8(&rig->in);
    PageRequestKey key = { .virt_id = ~0, .index = choice };

    if (open->len > 0 && choice < 0xf0) {
        key = g_array_index(open, PageRequest, choice % open->len).key;
    }
    page_request_oracle_answer(&rig->requests, &key, fuzz_u8(&rig->in));
}

/* Of a device, or one of its PASIDs, or all: answered, or ended on the host. */
static void drop(Rig *rig)
{
    uint8_t choice = fuzz_u8(&rig->in);
    DeviceEntry device = { .dev_id = choice % DEVICES };
    uint32_t pasid = choice / 4 % 4;
    PageRequestDrop how = choice & 16 ? PAGE_REQUEST_FORGET
                                      : PAGE_REQUEST_ANSWER_INVALID;

    device.virt_id = ~device.dev_id;
    pasid = pasid == 3 ? PAGE_REQUEST_NO_PASID : pasid;
    /* Before groups end on the host what was read of them is taken. */
    fault_pump_settle(rig->pump);
    page_request_oracle_drop(&rig->requests, choice & 32 ? &device : NULL,
                             choice & 64 ? &pasid : NULL, how);
    fault_pump_look_anew(rig->pump);
    rig->want = 1;
}

/* In a turn, after the busy polling and before its handler. */
static void amid_turn(void *opaque)
{
    Rig *rig = opaque;

    switch (fuzz_below(&rig->in, 8)) {
    case 0:
        run(rig);
        break;
    case 1:
        change_room(rig);
        break;
    case 2:
        drop(rig);
        break;
    case 3:
        flush(rig);
        break;
    case 4:
        free_pump(rig);
        break;
    default:
        break;
    }
}

/*
 * One turn of the loop. Something has to end the busy polling, and is looked at
 * after the tests.
 */
static bool turn(Rig *rig)
{
    unsigned reads = rig->host.reads;
    bool progress;

    if (rig->busy) {
        aio_bh_schedule_oneshot(rig->ctx, amid_turn, rig);
    }
    progress = aio_poll(rig->ctx, rig->busy);
    /* The test's, the bottom half's, the handler's. */
    g_assert_cmpuint(rig->host.reads - reads, <=,
                     (rig->busy ? 3 : 1) * MOST_READS);
    return progress;
}

static void step(Rig *rig)
{
    switch (fuzz_below(&rig->in, 10)) {
    case 0:
        run(rig);
        break;
    case 1:
        change_room(rig);
        break;
    case 2:
        hostile_host_set_ready(&rig->host, fuzz_u8(&rig->in) & 1);
        break;
    case 3:
        rig->busy = fuzz_u8(&rig->in) & 1;
        aio_set_poll_params(rig->ctx, rig->busy ? 1000 * 1000 : 0, 0, 0);
        break;
    case 4:
        if (fuzz_u8(&rig->in) == 0xff) {
            hostile_host_hang_up(&rig->host);
        }
        break;
    case 5:
        answer(rig);
        break;
    case 6:
        drop(rig);
        break;
    case 7:
        flush(rig);
        break;
    default:
        turn(rig);
        break;
    }
    page_request_oracle_check(&rig->requests);
}

/* The input is used up: the host says "ready", and gives nothing any more. */
static void check_no_spin(Rig *rig, int last_errno)
{
    const bool again = last_errno == EAGAIN || last_errno == EINTR;
    unsigned turns = 0;

    rig->busy = false;
    aio_set_poll_params(rig->ctx, 0, 0, 0);
    rig->host.last_errno = last_errno;
    rig->room = PAGE_ROOM_UNLIMITED;
    run(rig);
    hostile_host_set_ready(&rig->host, true);
    while (aio_poll(rig->ctx, false)) {
        g_assert_cmpuint(turns++, <, again ? MOST_RETRIES : MOST_FAILURES);
    }
    g_assert_cmpuint(rig->host.closed, ==, 1);
}

static void rig_init(Rig *rig)
{
    uint8_t capacity = fuzz_u8(&rig->in);
    HostQueue queue;

    rig->ctx = aio_context_new(NULL);
    g_assert_nonnull(rig->ctx);
    aio_context_bind(rig->ctx);
    queue = hostile_host_init(&rig->host, &rig->in, &host_ops, rig);
    queue.record_size = PGFAULT_RECORD_SIZE;
    rig->pump = fault_pump_new(rig->ctx, &queue, &sink_ops, rig);
    /* Small as a rule, so that it gets full; or more than a write has. */
    page_request_oracle_init(&rig->requests,
                             capacity == 0xff ? 2 * PAGE_REQUEST_BATCH
                                              : 1 + capacity % 64);
}

static void rig_finish(Rig *rig)
{
    if (rig->pump) {
        free_pump(rig);
    }
    hostile_host_finish(&rig->host);
    page_request_oracle_finish(&rig->requests);
    aio_context_unref(rig->ctx);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Rig rig = { .in = { data, size }, .want = 1 };
    int last_errno;
    uint8_t end;

    message_log_start();
    rig_init(&rig);
    end = fuzz_u8(&rig.in);
    last_errno = hostile_host_last_errno(&rig.host);
    while (rig.pump && fuzz_left(&rig.in) > 0) {
        step(&rig);
    }
    if (rig.pump && end >= 128) {
        check_no_spin(&rig, last_errno);
    }
    rig_finish(&rig);
    message_log_stop();
    return 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    g_random_set_seed(0);       /* of the table's hash: the same in each run */
    return 0;
}
