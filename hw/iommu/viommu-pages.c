/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Page requests, all of it on the home thread: in from the host's fault queue
 * (viommu-fault-queue.c) and from emulated devices, out to the guest's queue;
 * the guest's answers in, out to the host or the device.
 *
 * Other threads hand over and schedule one bottom half, pages_work(): emulated
 * devices put groups into the inbox (wait-free), vCPUs put responses into an
 * array under the ring_lock, and a guest that makes room does nothing else.
 *
 * Every group that is taken in is counted as raised and ends in one of three
 * counters: answered, invalid, retried.
 */
#include "hw/iommu/viommu-internal.h"

#include "base/rcu.h"

#include <string.h>

/* Turns in one drain: VT-d's largest ring. Any two move more than a batch. */
#define DRAIN_TURNS 64

/*
 * Grace periods after which a group that was enqueued is out of the inbox: an
 * enqueue under way may hide it from before it, then another from behind it.
 */
#define INBOX_GAPS 2

/* ---- How groups end ---- */

/* Without the guest. */
static void count_end(Viommu *viommu, uint32_t code)
{
    ViommuPageCounters *counters = &viommu->page_counters;

    counter_add(code == PAGE_RESPONSE_SUCCESS ? &counters->retried
                                              : &counters->invalid, 1);
}

static void table_dropped(void *opaque, const PageRequest *request,
                          PageRequestDrop how)
{
    Viommu *viommu = opaque;

    count_end(viommu, PAGE_RESPONSE_INVALID);
    if (request->emulated) {
        sva_device_respond(request->emulated, PAGE_RESPONSE_INVALID);
    }
}

/* The host ended the group before our answer came: a detach, by another. */
static void table_refused(void *opaque, const PageRequest *request)
{
    viommu_warn_once(opaque, VIOMMU_WARN_ANSWER_REFUSED,
                     "the host does not know cookie %u of ID 0x%x any more",
                     request->cookie, request->key.virt_id);
}

static const PageRequestOps table_ops = {
    .dropped = table_dropped,
    .refused = table_refused,
};

void viommu_pages_answer(Viommu *viommu, const PageRequest *request,
                         uint32_t code)
{
    bool responded = true;

    count_end(viommu, code);
    if (request->emulated) {
        sva_device_respond(request->emulated, code);
    } else {
        responded = page_request_respond(viommu->pages.table, request, code);
    }
    g_assert(responded);        /* the reserve, see viommu_pages_room() */
}

static void settle(Viommu *viommu, const PageGroup *group)
{
    PageRequestOpen open;

    switch (group->outcome) {
    case PAGE_WRITTEN:
        /* Its answer is a bottom half of this thread: not before this. */
        open = page_request_open(viommu->pages.table, &group->request);
        g_assert(open != PAGE_REQUEST_FULL);
        break;
    case PAGE_ANSWERED:
        viommu_pages_answer(viommu, &group->request, group->code);
        break;
    case PAGE_SILENT:
        counter_add(&viommu->page_counters.markers, 1);
        sva_device_respond(group->request.emulated, PAGE_RESPONSE_SUCCESS);
        break;
    }
}

/* ---- How groups begin ---- */

static bool wants_access(const PageGroup *group)
{
    const uint32_t access = PGFAULT_PERM_READ | PGFAULT_PERM_WRITE;

    for (size_t i = 0; i < group->count; i++) {
        if (!(page_group_page(group, i).perm & access)) {
            return false;
        }
    }
    return true;
}

/*
 * A group with a page that wants no access would look like a Stop Marker to
 * the guest, and never be answered; a PASID that is none would be cut, and the
 * guest answer another's group.
 */
static bool presentable(const PageGroup *group)
{
    uint32_t pasid = group->request.key.pasid;

    if (pasid != PAGE_REQUEST_NO_PASID && pasid > PAGE_GROUP_PASID_MAX) {
        return false;
    }
    return group->stop_marker ? group->count == 1 && group->request.emulated
                              : wants_access(group);
}

void viommu_pages_deliver(Viommu *viommu, PageGroup *groups, size_t count)
{
    size_t good = 0;

    for (size_t i = 0; i < count; i++) {
        if (presentable(&groups[i])) {
            groups[good++] = groups[i];
        } else if (groups[i].stop_marker) {
            groups[i].outcome = PAGE_SILENT;
            settle(viommu, &groups[i]);
        } else {
            viommu_pages_answer(viommu, &groups[i].request,
                                PAGE_RESPONSE_INVALID);
        }
    }
    if (good > 0) {
        viommu->ops->pages.deliver(viommu, groups, good);
    }
    for (size_t i = 0; i < good; i++) {
        settle(viommu, &groups[i]);
    }
}

uint32_t viommu_pages_room(Viommu *viommu, uint32_t want)
{
    if (page_request_room(viommu->pages.table) < 2 * PAGE_TABLE_RESERVE) {
        return 0;               /* until answers come, which have us run */
    }
    return viommu->ops->pages.room(viommu, want);
}

/* ---- From emulated devices ---- */

void viommu_pages_enqueue(Viommu *viommu, SvaGroup *group)
{
    ViommuPages *pages = &viommu->pages;

    cds_wfcq_node_init(&group->node);
    RCU_TSAN_RELEASE(&group->node);     /* to backlog_take_inbox() */
    /* A section: see viommu_pages_drop_device(). */
    rcu_section_enter();
    cds_wfcq_enqueue(&pages->inbox_head, &pages->inbox_tail, &group->node);
    rcu_section_leave();
    aio_bh_schedule(pages->work);
}

static void list_append(SvaGroupList *list, SvaGroup *group)
{
    group->next = NULL;
    *(list->first ? &list->last->next : &list->first) = group;
    list->last = group;
}

static SvaGroup *list_pop(SvaGroupList *list)
{
    SvaGroup *group = list->first;

    if (group) {
        list->first = group->next;
    }
    return group;
}

static void list_push(SvaGroupList *list, SvaGroup *group)
{
    group->next = list->first;
    if (!list->first) {
        list->last = group;
    }
    list->first = group;
}

/*
 * All that is in the inbox, up to an enqueue that is under way: the group that
 * it comes behind cannot be had yet, nor what stands behind it. It has us run
 * again. Bounded by the devices' credits.
 *
 * Return: false if there was such a gap.
 */
static bool backlog_take_inbox(Viommu *viommu)
{
    ViommuPages *pages = &viommu->pages;
    struct cds_wfcq_node *node;
    SvaGroup *group;

    while ((node = __cds_wfcq_dequeue_nonblocking(&pages->inbox_head,
                                                  &pages->inbox_tail)) &&
           node != CDS_WFCQ_WOULDBLOCK) {
        RCU_TSAN_ACQUIRE(node);         /* from viommu_pages_enqueue() */
        group = caa_container_of(node, SvaGroup, node);
        counter_add(&viommu->page_counters.raised, !group->stop_marker);
        list_append(&pages->backlog, group);
    }
    return node == NULL;
}

static PageGroup emulated_group(SvaGroup *group)
{
    return (PageGroup){
        .request = { .key = sva_group_key(group), .emulated = group },
        .count = group->count,
        .stop_marker = group->stop_marker,
        .pages = group->pages,
    };
}

/*
 * Take from the backlog what there is room for, at most a batch of it. What
 * is answered at once goes alone, as it says nothing of the next one.
 */
static size_t backlog_fill(Viommu *viommu)
{
    ViommuPages *pages = &viommu->pages;
    uint32_t room = 0;
    size_t entries = 0;
    size_t count = 0;
    SvaGroup *group;

    while (count < PAGE_GROUP_BATCH && (group = list_pop(&pages->backlog))) {
        if (count == 0) {
            room = viommu_pages_room(viommu, group->count);
        }
        if (entries + group->count > MIN(room, PAGE_GROUP_BATCH) &&
            (count > 0 || room < group->count)) {
            list_push(&pages->backlog, group);
            break;
        }
        entries += group->count;
        pages->batch[count++] = emulated_group(group);
        if (room == PAGE_ROOM_UNLIMITED) {
            break;
        }
    }
    return count;
}

/* What came of one batch of a source. */
typedef enum Progress {
    PROGRESS_NONE,              /* there was nothing */
    PROGRESS_MOVED,
    PROGRESS_WAITS,             /* there was no room */
} Progress;

static Progress run_backlog(Viommu *viommu)
{
    size_t count;

    backlog_take_inbox(viommu);
    count = backlog_fill(viommu);
    if (count > 0) {
        viommu_pages_deliver(viommu, viommu->pages.batch, count);
        return PROGRESS_MOVED;
    }
    return viommu->pages.backlog.first ? PROGRESS_WAITS : PROGRESS_NONE;
}

static Progress run_host(Viommu *viommu)
{
    ViommuPages *pages = &viommu->pages;
    bool moved;

    if (!pages->pump) {
        return PROGRESS_NONE;
    }
    pages->host_turn = true;
    moved = fault_pump_run(pages->pump);
    pages->host_turn = false;
    if (moved) {
        return PROGRESS_MOVED;
    }
    return fault_pump_waits(pages->pump) ? PROGRESS_WAITS : PROGRESS_NONE;
}

/* ---- Answers ---- */

static void run_response(Viommu *viommu, const PageResponse *response)
{
    ViommuPageCounters *counters = &viommu->page_counters;
    PageRequest request;

    if (!page_request_answer(viommu->pages.table, &response->key,
                             response->code, &request)) {
        counter_add(&counters->stray, 1);
        return;
    }
    counter_add(&counters->answered, 1);
    if (request.emulated) {
        sva_device_respond(request.emulated, response->code);
    }
}

void viommu_pages_take_responses(Viommu *viommu)
{
    PageResponses *responses = &viommu->pages.responses;
    size_t count;

    lock_acquire(&viommu->ring_lock);
    count = responses->count;
    memcpy(responses->taken, responses->pending,
           count * sizeof(responses->taken[0]));
    responses->count = 0;
    lock_release(&viommu->ring_lock);
    for (size_t i = 0; i < count; i++) {
        run_response(viommu, &responses->taken[i]);
    }
}

void viommu_pages_settle(Viommu *viommu)
{
    if (viommu->pages.pump) {
        fault_pump_settle(viommu->pages.pump);
    }
}

void viommu_pages_flush(Viommu *viommu)
{
    ViommuPages *pages = &viommu->pages;

    if (pages->pump && !fault_pump_flush(pages->pump, pages->table)) {
        aio_bh_schedule(pages->work);   /* interrupted: goes on there */
    }
}

/*
 * One batch of either source. They take turns at being first, so that neither
 * takes all the room that the guest makes. While the first waits for room the
 * other gets none, else its small groups would keep a large one out for ever;
 * and the last to ask the sink for room is the one that is to be told of some.
 *
 * Return: whether anything moved, so that there may be more.
 */
static bool run_once(Viommu *viommu)
{
    ViommuPages *pages = &viommu->pages;
    const bool host_first = pages->host_first;
    Progress first;
    Progress second;

    viommu_pages_settle(viommu);
    viommu_pages_take_responses(viommu);
    viommu_pages_flush(viommu);
    first = host_first ? run_host(viommu) : run_backlog(viommu);
    if (first == PROGRESS_WAITS) {
        return false;
    }
    pages->host_first = !host_first;
    second = host_first ? run_backlog(viommu) : run_host(viommu);
    return first == PROGRESS_MOVED || second == PROGRESS_MOVED;
}

static void pages_work(void *opaque)
{
    Viommu *viommu = opaque;

    if (run_once(viommu)) {
        aio_bh_schedule(viommu->pages.work);
    }
}

/**
 * struct InboxVisit - another thread has something done to all of the inbox
 * @device: or NULL
 * @whole: out: nothing was hidden
 * @moved: out: something went on its way
 */
typedef struct InboxVisit {
    Viommu *viommu;
    ViommuDevice *device;
    bool whole;
    bool moved;
} InboxVisit;

/* @func, an InboxVisit's, on the home thread until it has met all groups. */
static void visit_inbox(InboxVisit *visit, AioBHFunc *func)
{
    for (unsigned i = 0; i <= INBOX_GAPS; i++) {
        aio_wait_bh_oneshot(visit->viommu->config.ctx, func, visit);
        if (visit->whole) {
            break;
        }
        /* An enqueue is a read section: after this it is complete. */
        rcu_synchronize();
    }
}

static void drain_bh(void *opaque)
{
    InboxVisit *visit = opaque;

    visit->whole = backlog_take_inbox(visit->viommu);
    visit->moved = run_once(visit->viommu);
}

/*
 * A turn at a time, as others have theirs in between. As much as one of the
 * guest's queues holds: the rest came later.
 */
void viommu_drain_page_requests(Viommu *viommu)
{
    InboxVisit visit = { .viommu = viommu };

    if (!viommu->pages.table) {
        return;
    }
    visit_inbox(&visit, drain_bh);
    for (unsigned i = 0; i < DRAIN_TURNS && visit.moved; i++) {
        aio_wait_bh_oneshot(viommu->config.ctx, drain_bh, &visit);
    }
}

static void drop_bh(void *opaque)
{
    Viommu *viommu = opaque;

    viommu_pages_settle(viommu);
    viommu_pages_take_responses(viommu);
    page_request_drop_all(viommu->pages.table, PAGE_REQUEST_ANSWER_INVALID);
    viommu_pages_flush(viommu);
    /* For those that waited for a place in the table, or in the queue. */
    aio_bh_schedule(viommu->pages.work);
}

void viommu_drop_page_requests(Viommu *viommu)
{
    if (viommu->pages.table) {
        aio_wait_bh_oneshot(viommu->config.ctx, drop_bh, viommu);
    }
}

/* Return: false if the home thread is so far behind that there is no place. */
static bool add_response(Viommu *viommu, const PageResponse *response)
{
    PageResponses *responses = &viommu->pages.responses;
    bool added;

    lock_acquire(&viommu->ring_lock);
    added = responses->count < PAGE_RESPONSES_MAX;
    if (added) {
        responses->pending[responses->count++] = *response;
    }
    lock_release(&viommu->ring_lock);
    return added;
}

static void responses_bh(void *opaque)
{
    viommu_pages_take_responses(opaque);
}

void viommu_respond_page_group(Viommu *viommu, const PageRequestKey *key,
                               uint32_t code)
{
    const PageResponse response = { .key = *key, .code = code };

    while (!add_response(viommu, &response)) {
        aio_wait_bh_oneshot(viommu->config.ctx, responses_bh, viommu);
    }
    aio_bh_schedule(viommu->pages.work);
}

void viommu_resume_page_requests(Viommu *viommu)
{
    aio_bh_schedule(viommu->pages.work);
}

/* ---- Emulated devices come and go ---- */

/* In the backlog still, or open: both end INVALID. Others keep their order. */
static void drop_device_bh(void *opaque)
{
    InboxVisit *drop = opaque;
    Viommu *viommu = drop->viommu;
    ViommuPages *pages = &viommu->pages;
    SvaGroupList others = { 0 };
    SvaGroup *group;
    PageGroup dropped;

    viommu_pages_take_responses(viommu);
    drop->whole = backlog_take_inbox(viommu);
    while ((group = list_pop(&pages->backlog))) {
        if (group->device != drop->device->sva) {
            list_append(&others, group);
            continue;
        }
        dropped = emulated_group(group);
        dropped.outcome = group->stop_marker ? PAGE_SILENT : PAGE_ANSWERED;
        dropped.code = PAGE_RESPONSE_INVALID;
        settle(viommu, &dropped);
    }
    pages->backlog = others;
    page_request_drop_device(pages->table, &drop->device->entry,
                             PAGE_REQUEST_ANSWER_INVALID);
    aio_bh_schedule(pages->work);
}

void viommu_pages_drop_device(Viommu *viommu, ViommuDevice *device)
{
    InboxVisit drop = { .viommu = viommu, .device = device };

    visit_inbox(&drop, drop_device_bh);
}

/* ---- Life ---- */

ViommuPageStats viommu_get_page_stats(Viommu *viommu)
{
    ViommuPageCounters *counters = &viommu->page_counters;
    ViommuPageStats stats = {
        .answered = counter_get(&counters->answered),
        .invalid = counter_get(&counters->invalid),
        .retried = counter_get(&counters->retried),
        .markers = counter_get(&counters->markers),
        .stray = counter_get(&counters->stray),
        .overflows = counter_get(&counters->overflows),
        .interrupts = counter_get(&counters->interrupts),
    };
    uint64_t ended;

    /* Last, so that no end is counted before its beginning. */
    stats.raised = counter_get(&counters->raised);
    ended = stats.answered + stats.invalid + stats.retried;
    /* Relaxed, so it may be none the less, while groups move. */
    stats.open = stats.raised - MIN(ended, stats.raised);
    if (viommu->pages.table) {
        viommu->ops->get_page_queue(viommu, &stats.queue_used,
                                    &stats.queue_size);
    }
    return stats;
}

bool viommu_pages_init(Viommu *viommu)
{
    ViommuPages *pages = &viommu->pages;

    if (!viommu->ops->has_pages || !viommu->ops->has_pages(viommu)) {
        return true;
    }
    atomic_init(&pages->generation, 1);
    __cds_wfcq_init(&pages->inbox_head, &pages->inbox_tail);
    pages->table = page_request_table_new(PAGE_TABLE_GROUPS, &table_ops,
                                          viommu);
    pages->batch = g_try_new(PageGroup, PAGE_GROUP_BATCH);
    pages->responses.pending = g_try_new(PageResponse, PAGE_RESPONSES_MAX);
    pages->responses.taken = g_try_new(PageResponse, PAGE_RESPONSES_MAX);
    pages->work = aio_bh_new(viommu->config.ctx, pages_work, viommu);
    return pages->table && pages->batch && pages->responses.pending &&
           pages->responses.taken && pages->work;
}

/* Context: once no device is left and no bottom half runs. */
void viommu_pages_cleanup(Viommu *viommu)
{
    ViommuPages *pages = &viommu->pages;

    g_assert(!pages->pump && !pages->backlog.first);
    page_request_table_free(pages->table);
    g_free(pages->batch);
    g_free(pages->responses.pending);
    g_free(pages->responses.taken);
}
