/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One bottom half does the work: it runs what is ready, and is scheduled by
 * doorbells and by responses. Operations that wait for credits do so in a row,
 * and only the first of them tries: whoever waits has groups of others before
 * it, whose responses bring their credits back.
 */
#include "sva-accel-internal.h"

#include "base/error.h"
#include "base/fd.h"
#include "base/thread.h"
#include "hw/iommu/guest-mem.h"

#include <errno.h>
#include <sys/eventfd.h>

enum { DESCRIPTOR_BYTES = 8 * SVA_ACCEL_DESCRIPTOR_WORDS };

/* Low bits of addresses in registers: reserved, and so descriptors aligned. */
#define ADDRESS_MASK (~UINT64_C(63))

/* What the thread found under the lock, to go on without. */
typedef struct ReadyWork {
    SvaOperation *first;
    uint64_t descriptors;
} ReadyWork;

static void list_append(SvaOperationList *list, SvaOperation *operation)
{
    operation->next = NULL;
    if (list->first) {
        list->last->next = operation;
    } else {
        list->first = operation;
    }
    list->last = operation;
}

static uint32_t slot_of(const SvaAccel *accel, const SvaOperation *operation)
{
    return operation - accel->operations;
}

/* ---- Completion ---- */

/*
 * The ring's count is stored last. Release: pairs with the guest's load, after
 * which it reads slot and status, and the memory that was written.
 */
static void publish(SvaAccel *accel, uint32_t slot, uint64_t status,
                    uint64_t descriptors, uint64_t completions)
{
    const GuestMem *mem = accel->config.mem;
    uint32_t depth = accel->config.depth;
    const uint64_t entry = slot;
    uint64_t *words, *ring;

    rcu_section_enter();
    words = guest_mem_ptr(mem,
                          descriptors + (uint64_t)slot * DESCRIPTOR_BYTES,
                          DESCRIPTOR_BYTES);
    ring = guest_mem_ptr(mem, completions, 8 * SVA_ACCEL_RING_WORDS(depth));
    if (words && ring) {
        guest_words_store(&words[SVA_ACCEL_WORD_STATUS], &status, 1);
        guest_words_store(&ring[1 + accel->ring_count % depth], &entry, 1);
        accel->ring_count++;
        __atomic_store_n(ring, GUINT64_TO_LE(accel->ring_count),
                         __ATOMIC_RELEASE);
    }
    rcu_section_leave();
}

static void complete(SvaAccel *accel, SvaOperation *operation, uint64_t status)
{
    uint64_t descriptors, completions;

    counter_add(status == SVA_ACCEL_STATUS_DONE ? &accel->counters.completed
                                                : &accel->counters.failed, 1);
    /* Free before the guest hears of it and may use the slot again. */
    lock_acquire(&accel->dev_lock);
    operation->fetched = false;
    operation->state = SVA_OPERATION_FREE;
    descriptors = accel->descriptors;
    completions = accel->completions;
    lock_release(&accel->dev_lock);
    publish(accel, slot_of(accel, operation), status, descriptors,
            completions);
    accel->raise = true;
}

static void raise_interrupt(SvaAccel *accel)
{
    const uint64_t one = 1;

    if (accel->raise) {
        accel->raise = false;
        /* A counter that is full is as good. */
        if (write(accel->irq_fd, &one, sizeof(one)) < 0) {
            g_assert(errno == EAGAIN);
        }
    }
}

/* ---- Page requests ---- */

/* Under the device's lock, as real models ask from the middle of things. */
static bool ask(SvaAccel *accel, SvaOperation *operation)
{
    bool asked;

    lock_acquire(&accel->dev_lock);
    operation->group.index = slot_of(accel, operation);
    operation->asked_ns = aio_clock_ns();
    asked = viommu_page_request(accel->sva, &operation->group);
    operation->state = asked ? SVA_OPERATION_ASKED : SVA_OPERATION_STARVED;
    lock_release(&accel->dev_lock);
    if (asked) {
        counter_add(&accel->counters.raised, 1);
    }
    return asked;
}

/*
 * Run it, and ask for what is missing, unless others wait for credits already.
 * Return: false for want of credits.
 */
static bool run(SvaAccel *accel, SvaOperation *operation, uint64_t descriptors)
{
    bool in_row = accel->starved.first && accel->starved.first != operation;
    uint64_t descriptor = descriptors +
        (uint64_t)slot_of(accel, operation) * DESCRIPTOR_BYTES;
    SvaOutcome outcome = sva_operation_run(accel, operation, descriptor);

    if (outcome == SVA_OUTCOME_MISSING) {
        return !in_row && ask(accel, operation);
    }
    complete(accel, operation, outcome);
    return true;
}

/* Those that wait for credits, as far as there are some. */
static void run_starved(SvaAccel *accel)
{
    while (accel->starved.first) {
        SvaOperation *operation = accel->starved.first;
        SvaOperation *next = operation->next;

        if (!run(accel, operation, 0)) {
            return;
        }
        accel->starved.first = next;
    }
}

static void run_ready(SvaAccel *accel, const ReadyWork *ready)
{
    SvaOperation *operation = ready->first;

    while (operation) {
        SvaOperation *next = operation->next;

        if (!run(accel, operation, ready->descriptors)) {
            list_append(&accel->starved, operation);
        }
        operation = next;
    }
}

static ReadyWork take_ready(SvaAccel *accel)
{
    ReadyWork ready;

    lock_acquire(&accel->dev_lock);
    ready.first = accel->ready.first;
    ready.descriptors = accel->descriptors;
    accel->ready.first = NULL;
    lock_release(&accel->dev_lock);
    return ready;
}

/* ---- Callbacks of the context ---- */

/* What becomes ready meanwhile schedules it again. */
static void work_bh(void *opaque)
{
    SvaAccel *accel = opaque;
    ReadyWork ready;

    if (accel->closing) {
        return;
    }
    run_starved(accel);
    ready = take_ready(accel);
    run_ready(accel, &ready);
    raise_interrupt(accel);
}

/* Return: whether @operation had asked, as it should have. */
static bool end_wait(SvaAccel *accel, SvaOperation *operation, bool again)
{
    bool asked;

    lock_acquire(&accel->dev_lock);
    asked = operation->state == SVA_OPERATION_ASKED;
    if (asked) {
        operation->state = SVA_OPERATION_READY;
        if (again) {
            list_append(&accel->ready, operation);
        }
    }
    lock_release(&accel->dev_lock);
    return asked;
}

/* SvaDeviceConfig::responded */
static void on_response(void *opaque, SvaGroup *group)
{
    SvaAccel *accel = opaque;
    SvaOperation *operation = (SvaOperation *)
        ((char *)group - offsetof(SvaOperation, group));
    bool success = group->code == PAGE_RESPONSE_SUCCESS;

    if (!end_wait(accel, operation, success)) {
        counter_add(&accel->counters.stray, 1);
        return;
    }
    histogram_record(accel->roundtrip, aio_clock_ns() - operation->asked_ns);
    counter_add(success ? &accel->counters.success : &accel->counters.invalid,
                1);
    if (!success) {
        complete(accel, operation, SVA_ACCEL_STATUS_FAULT);
    }
    aio_bh_schedule(accel->work);
}

static void close_bh(void *opaque)
{
    SvaAccel *accel = opaque;

    accel->closing = true;
}

static void stop_bh(void *opaque)
{
    SvaAccel *accel = opaque;

    aio_bh_delete(accel->work);
    accel->stop = true;
}

static void *accel_thread(void *opaque)
{
    SvaAccel *accel = opaque;
    g_autofree char *name = g_strdup_printf("sva %s", accel->config.id);

    rcu_register_thread();
    thread_set_name(name);
    aio_context_bind(accel->ctx);
    while (!accel->stop) {
        aio_poll(accel->ctx, true);
    }
    /* What was scheduled before the stop, and the bottom half's end. */
    while (aio_poll(accel->ctx, false)) {
    }
    rcu_unregister_thread();
    return NULL;
}

/* ---- Registers ---- */

uint64_t sva_accel_mmio_read(SvaAccel *accel, uint64_t offset, unsigned size)
{
    uint64_t value = 0;

    if (size != 8) {
        return 0;
    }
    lock_acquire(&accel->dev_lock);
    switch (offset) {
    case SVA_ACCEL_DESCRIPTORS:
        value = accel->descriptors;
        break;
    case SVA_ACCEL_COMPLETIONS:
        value = accel->completions;
        break;
    case SVA_ACCEL_DEPTH:
        value = accel->config.depth;
        break;
    default:
        break;
    }
    lock_release(&accel->dev_lock);
    return value;
}

/* A slot that is in use, or that there is not, does nothing. */
static void ring_doorbell_locked(SvaAccel *accel, uint64_t slot)
    REQUIRES(&accel->dev_lock)
{
    if (slot < accel->config.depth &&
        accel->operations[slot].state == SVA_OPERATION_FREE) {
        accel->operations[slot].state = SVA_OPERATION_READY;
        list_append(&accel->ready, &accel->operations[slot]);
        aio_bh_schedule(accel->work);
    }
}

void sva_accel_mmio_write(SvaAccel *accel, uint64_t offset, unsigned size,
                          uint64_t value)
{
    if (size != 8) {
        return;
    }
    lock_acquire(&accel->dev_lock);
    switch (offset) {
    case SVA_ACCEL_DESCRIPTORS:
        accel->descriptors = value & ADDRESS_MASK;
        break;
    case SVA_ACCEL_COMPLETIONS:
        accel->completions = value & ADDRESS_MASK;
        break;
    case SVA_ACCEL_DOORBELL:
        ring_doorbell_locked(accel, value);
        break;
    default:
        break;
    }
    lock_release(&accel->dev_lock);
}

/* ---- Life cycle ---- */

AioContext *sva_accel_get_aio_context(const SvaAccel *accel)
{
    return accel->ctx;
}

int sva_accel_get_irq_fd(const SvaAccel *accel)
{
    return accel->irq_fd;
}

/* Responses before requests, so that no more were answered than raised. */
SvaAccelCounts sva_accel_get_counts(const SvaAccel *accel)
{
    const SvaAccelCounters *counters = &accel->counters;
    SvaAccelCounts counts = {
        .success = counter_get(&counters->success),
        .invalid = counter_get(&counters->invalid),
    };

    counts.completed = counter_get(&counters->completed);
    counts.failed = counter_get(&counters->failed);
    counts.raised = counter_get(&counters->raised);
    counts.stray = counter_get(&counters->stray);
    counts.no_credit = viommu_get_no_credit(accel->sva);
    return counts;
}

void sva_accel_get_roundtrip(const SvaAccel *accel,
                             HistogramSnapshot *roundtrip)
{
    histogram_snapshot(accel->roundtrip, roundtrip);
}

static bool check_config(const SvaAccelConfig *config, GError **error)
{
    if (config->depth == 0 || config->depth > SVA_ACCEL_DEPTH_MAX) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "queue-depth %u is out of range, 1 to %u are accepted",
                    config->depth, SVA_ACCEL_DEPTH_MAX);
        return false;
    }
    return true;
}

static void stop_thread(SvaAccel *accel)
{
    aio_wait_bh_oneshot(accel->ctx, stop_bh, accel);
    pthread_join(accel->thread, NULL);
}

static void accel_free(SvaAccel *accel)
{
    aio_context_unref(accel->ctx);
    lock_destroy(&accel->dev_lock);
    histogram_free(accel->roundtrip);
    g_free(accel->operations);
    g_free((char *)accel->config.id);
    g_free(accel);
}

/* The device's thread before the device, whose context it serves. */
static bool plug_in(SvaAccel *accel, GError **error)
{
    const SvaDeviceConfig config = {
        .name = accel->config.id, .virt_id = accel->config.rid,
        .ctx = accel->ctx, .credits = accel->config.credits,
        .responded = on_response, .opaque = accel,
    };

    accel->sva = viommu_add_sva_device(accel->config.viommu, &config, error);
    return accel->sva != NULL;
}

static SvaAccel *accel_new(const SvaAccelConfig *config, AioContext *ctx)
{
    SvaAccel *accel = g_new0(SvaAccel, 1);

    accel->config = *config;
    accel->config.id = g_strdup(config->id);
    accel->ctx = ctx;
    accel->operations = g_new0(SvaOperation, config->depth);
    accel->roundtrip = histogram_new();
    lock_init(&accel->dev_lock, LOCK_RANK_DEVICE);
    return accel;
}

SvaAccel *sva_accel_new(const SvaAccelConfig *config, GError **error)
{
    AioContext *ctx;
    SvaAccel *accel;
    int ret;

    if (!check_config(config, error)) {
        return NULL;
    }
    ctx = aio_context_new(error);
    if (!ctx) {
        return NULL;
    }
    accel = accel_new(config, ctx);
    accel->irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (accel->irq_fd < 0) {
        error_set_errno(error, errno, "eventfd for device '%s'", config->id);
        goto out_free;
    }
    accel->work = aio_bh_new(ctx, work_bh, accel);
    if (!accel->work) {
        error_set_errno(error, ENOMEM, "device '%s'", config->id);
        goto out_close;
    }
    ret = thread_create(&accel->thread, accel_thread, accel);
    if (ret != 0) {
        error_set_errno(error, ret, "thread for device '%s'", config->id);
        goto out_delete_work;
    }
    if (!plug_in(accel, error)) {
        goto out_stop;
    }
    return accel;

out_stop:
    stop_thread(accel);
    goto out_close;
out_delete_work:
    aio_bh_delete(accel->work);
    aio_context_bind(ctx);
    while (aio_poll(ctx, false)) {
    }
out_close:
    close(accel->irq_fd);
out_free:
    accel_free(accel);
    return NULL;
}

void sva_accel_free(SvaAccel *accel)
{
    if (!accel) {
        return;
    }
    aio_wait_bh_oneshot(accel->ctx, close_bh, accel);
    viommu_remove_sva_device(accel->sva);
    stop_thread(accel);
    close(accel->irq_fd);
    accel_free(accel);
}
