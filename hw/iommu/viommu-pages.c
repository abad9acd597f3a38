/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Page requests, all of it on the home thread: in from the host's fault queue
 * and from emulated devices, out to the guest's queue; the guest's answers in,
 * out to the host or the device.
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
#include "base/report.h"

#include <string.h>

/* Open groups of one vIOMMU. More of them wait, in the kernel or the inbox. */
#define PAGE_TABLE_GROUPS 8192

/*
 * Kept free in the table while groups are taken in: a read has no more groups,
 * and each may need a place for its answer.
 */
#define PAGE_TABLE_RESERVE PAGE_GROUP_BATCH

/* Turns of the pump in one drain: the largest ring's worth. */
#define DRAIN_TURNS 32

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

/* The vIOMMU's own answer to a group that is in no table. */
static void answer_now(Viommu *viommu, const PageRequest *request,
                       uint32_t code)
{
    bool responded = true;

    count_end(viommu, code);
    if (request->emulated) {
        sva_device_respond(request->emulated, code);
    } else {
        responded = page_request_respond(viommu->pages.table, request, code);
    }
    g_assert(responded);        /* the reserve, see pages_room() */
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
        answer_now(viommu, &group->request, group->code);
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
 * the guest, and never be answered.
 */
static bool presentable(const PageGroup *group)
{
    return group->stop_marker ? group->count == 1 && group->request.emulated
                              : wants_access(group);
}

/* At most PAGE_GROUP_BATCH groups, for which there is room. */
static void deliver(Viommu *viommu, PageGroup *groups, size_t count)
{
    size_t raised = 0;
    size_t good = 0;

    for (size_t i = 0; i < count; i++) {
        raised += !groups[i].stop_marker;
        if (presentable(&groups[i])) {
            groups[good++] = groups[i];
        } else if (groups[i].stop_marker) {
            groups[i].outcome = PAGE_SILENT;
            settle(viommu, &groups[i]);
        } else {
            answer_now(viommu, &groups[i].request, PAGE_RESPONSE_INVALID);
        }
    }
    counter_add(&viommu->page_counters.raised, raised);
    if (good > 0) {
        viommu->ops->pages.deliver(viommu, groups, good);
    }
    for (size_t i = 0; i < good; i++) {
        settle(viommu, &groups[i]);
    }
}

/* As PageSinkOps::room(), but 0 too while the table is nearly full. */
static uint32_t pages_room(Viommu *viommu, uint32_t want)
{
    if (page_request_room(viommu->pages.table) < 2 * PAGE_TABLE_RESERVE) {
        return 0;               /* until answers come, which have us run */
    }
    return viommu->ops->pages.room(viommu, want);
}

/* ---- From the host ---- */

static uint32_t host_room(void *opaque, uint32_t want)
{
    return pages_room(opaque, want);
}

/* [RCU] Return: false if the device is not there (any more). */
static bool host_group(Viommu *viommu, const PgfaultGroup *host,
                       PageGroup *group)
{
    const DeviceEntry *entry =
        device_map_find_dev(viommu->devices, host->dev_id);

    *group = (PageGroup){
        .request = {
            .key = {
                .virt_id = entry ? entry->virt_id : 0,
                .pasid = host->pasid_valid ? host->pasid
                                           : PAGE_REQUEST_NO_PASID,
                .index = host->grpid & PAGE_GROUP_INDEX_MASK,
            },
            .dev_id = host->dev_id,
            .cookie = host->cookie,
        },
        .count = host->count,
        .host = host,
    };
    return entry != NULL;
}

static void host_deliver(void *opaque, const PgfaultGroup *groups, size_t count)
{
    Viommu *viommu = opaque;
    PageGroup *batch = viommu->pages.batch;
    PageGroup stranger;
    size_t known = 0;

    rcu_section_enter();
    for (size_t i = 0; i < count; i++) {
        if (host_group(viommu, &groups[i], &batch[known])) {
            known++;
        } else {
            stranger = batch[known];
            counter_add(&viommu->page_counters.raised, 1);
            answer_now(viommu, &stranger.request, PAGE_RESPONSE_INVALID);
        }
    }
    rcu_section_leave();
    deliver(viommu, batch, known);
    /* The answers of a long read are written before more of it comes. */
    while (page_request_room(viommu->pages.table) < PAGE_TABLE_RESERVE &&
           !fault_pump_flush(viommu->pages.pump, viommu->pages.table)) {
        continue;               /* ends: it gives up at some time */
    }
}

static void host_malformed(void *opaque, const PgfaultGroup *group)
{
    Viommu *viommu = opaque;
    const PageRequest request = {
        .key = { .pasid = PAGE_REQUEST_NO_PASID },
        .dev_id = group->dev_id,
        .cookie = group->cookie,
    };

    counter_add(&viommu->counters.malformed, 1);
    if (group->count > 0) {
        counter_add(&viommu->page_counters.raised, 1);
        answer_now(viommu, &request, PAGE_RESPONSE_INVALID);
    }
}

static void host_seen(void *opaque)
{
    Viommu *viommu = opaque;

    counter_add(&viommu->counters.reads, 1);
}

static void host_failed(void *opaque, const char *message)
{
    Viommu *viommu = opaque;

    error_report("vIOMMU '%s': %s", viommu->config.id, message);
}

const FaultPumpOps viommu_fault_pump_ops = {
    .room = host_room,
    .deliver = host_deliver,
    .malformed = host_malformed,
    .seen = host_seen,
    .failed = host_failed,
};

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
 * All that is in the inbox, but for what stands behind an enqueue that is
 * under way: that has us run again. Bounded by the devices' credits.
 */
static void backlog_take_inbox(ViommuPages *pages)
{
    struct cds_wfcq_node *node;

    while ((node = __cds_wfcq_dequeue_nonblocking(&pages->inbox_head,
                                                  &pages->inbox_tail)) &&
           node != CDS_WFCQ_WOULDBLOCK) {
        RCU_TSAN_ACQUIRE(node);         /* from viommu_pages_enqueue() */
        list_append(&pages->backlog, caa_container_of(node, SvaGroup, node));
    }
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
            room = pages_room(viommu, group->count);
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

/* Return: whether anything moved. */
static bool run_backlog(Viommu *viommu)
{
    size_t count;

    backlog_take_inbox(&viommu->pages);
    count = backlog_fill(viommu);
    if (count > 0) {
        deliver(viommu, viommu->pages.batch, count);
    }
    return count > 0;
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
    ViommuPages *pages = &viommu->pages;
    size_t count;

    lock_acquire(&viommu->ring_lock);
    count = pages->response_count;
    memcpy(pages->taken, pages->responses, count * sizeof(pages->taken[0]));
    pages->response_count = 0;
    lock_release(&viommu->ring_lock);
    for (size_t i = 0; i < count; i++) {
        run_response(viommu, &pages->taken[i]);
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
 * One batch of either source, and again if there may be more. They take turns
 * at being first, so that neither takes all the room that the guest makes.
 */
static bool run_once(Viommu *viommu)
{
    ViommuPages *pages = &viommu->pages;
    bool moved = false;

    viommu_pages_take_responses(viommu);
    viommu_pages_flush(viommu);
    pages->host_first = !pages->host_first;
    if (!pages->host_first) {
        moved |= run_backlog(viommu);
    }
    if (pages->pump) {
        moved |= fault_pump_run(pages->pump);
    }
    if (pages->host_first) {
        moved |= run_backlog(viommu);
    }
    viommu_pages_flush(viommu);
    return moved;
}

static void pages_work(void *opaque)
{
    Viommu *viommu = opaque;

    if (run_once(viommu)) {
        aio_bh_schedule(viommu->pages.work);
    }
}

/* As much as one of the guest's queues holds; the rest came later. */
static void drain_bh(void *opaque)
{
    Viommu *viommu = opaque;

    for (unsigned i = 0; i < DRAIN_TURNS && run_once(viommu); i++) {
        continue;
    }
}

void viommu_drain_page_requests(Viommu *viommu)
{
    if (viommu->pages.table) {
        aio_wait_bh_oneshot(viommu->config.ctx, drain_bh, viommu);
    }
}

static void drop_bh(void *opaque)
{
    Viommu *viommu = opaque;

    viommu_pages_take_responses(viommu);
    page_request_drop_all(viommu->pages.table, PAGE_REQUEST_ANSWER_INVALID);
    viommu_pages_flush(viommu);
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
    ViommuPages *pages = &viommu->pages;
    bool added;

    lock_acquire(&viommu->ring_lock);
    added = pages->response_count < PAGE_RESPONSES_MAX;
    if (added) {
        pages->responses[pages->response_count++] = *response;
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

void viommu_implicit_invalidate(Viommu *viommu, const PageGroup *group,
                                uint64_t addr)
{
    SvaGroup *emulated = group->request.emulated;

    if (emulated) {
        sva_device_drop_page(emulated->device, group->request.key.pasid, addr);
    }
}

void viommu_invalidate_sva(Viommu *viommu)
{
    if (viommu->pages.sva_devices > 0) {
        /*
         * Release: pairs with the acquire load in viommu_translate(). Who loads
         * the old number does so in a read section that is waited for.
         */
        atomic_fetch_add_explicit(&viommu->pages.generation, 1,
                                  memory_order_release);
        rcu_synchronize();
    }
}

typedef struct DropDevice {
    Viommu *viommu;
    ViommuDevice *device;
} DropDevice;

/* In the backlog still, or open: both end INVALID. Others keep their order. */
static void drop_device_bh(void *opaque)
{
    DropDevice *drop = opaque;
    Viommu *viommu = drop->viommu;
    ViommuPages *pages = &viommu->pages;
    SvaGroupList others = { 0 };
    SvaGroup *group;
    PageGroup dropped;

    viommu_pages_take_responses(viommu);
    backlog_take_inbox(pages);
    while ((group = list_pop(&pages->backlog))) {
        if (group->device != drop->device->sva) {
            list_append(&others, group);
            continue;
        }
        dropped = emulated_group(group);
        dropped.outcome = group->stop_marker ? PAGE_SILENT : PAGE_ANSWERED;
        dropped.code = PAGE_RESPONSE_INVALID;
        counter_add(&viommu->page_counters.raised, !group->stop_marker);
        settle(viommu, &dropped);
    }
    pages->backlog = others;
    page_request_drop_device(pages->table, &drop->device->entry,
                             PAGE_REQUEST_ANSWER_INVALID);
    aio_bh_schedule(pages->work);
}

/*
 * After a grace period: no enqueue that began before it leaves a gap in the
 * inbox any more, so all groups of the device can be reached.
 */
void viommu_pages_drop_device(Viommu *viommu, ViommuDevice *device)
{
    DropDevice drop = { viommu, device };

    aio_wait_bh_oneshot(viommu->config.ctx, drop_device_bh, &drop);
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

    /* Last, so that no end is counted before its beginning. */
    stats.raised = counter_get(&counters->raised);
    stats.open = stats.raised - stats.answered - stats.invalid - stats.retried;
    if (viommu->pages.table) {
        viommu->ops->get_page_queue(viommu, &stats.queue_used,
                                    &stats.queue_size);
    }
    return stats;
}

void viommu_pages_init(Viommu *viommu)
{
    ViommuPages *pages = &viommu->pages;

    if (!viommu->ops->has_pages || !viommu->ops->has_pages(viommu)) {
        return;
    }
    atomic_init(&pages->generation, 1);
    __cds_wfcq_init(&pages->inbox_head, &pages->inbox_tail);
    pages->table = page_request_table_new(PAGE_TABLE_GROUPS, &table_ops,
                                          viommu);
    pages->batch = g_new(PageGroup, PAGE_GROUP_BATCH);
    pages->responses = g_new(PageResponse, PAGE_RESPONSES_MAX);
    pages->taken = g_new(PageResponse, PAGE_RESPONSES_MAX);
    pages->work = aio_bh_new(viommu->config.ctx, pages_work, viommu);
}

/* Context: once no device is left and no bottom half runs. */
void viommu_pages_cleanup(Viommu *viommu)
{
    ViommuPages *pages = &viommu->pages;

    g_assert(!pages->pump && pages->hwpts == 0 && !pages->backlog.first);
    page_request_table_free(pages->table);
    g_free(pages->batch);
    g_free(pages->responses);
    g_free(pages->taken);
}
