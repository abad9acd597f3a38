/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Planted bugs: the linker puts these functions over those of the same name
 * (--wrap), and the one that the environment names in STRESS_PLANTED has its
 * mistake, the others none. What is planted is a mistake that the code could
 * have; who finds it out is the test that it is planted in, by the check that
 * tests/stress/meson.build names for it.
 *
 * Threads: those of the functions.
 * Locks:   theirs.
 */
#include "hw/iommu/page-request.h"
#include "hw/iommu/queue-reader.h"
#include "hw/iommu/sva-device.h"
#include "hw/iommu/vevent-stream.h"
#include "hw/iommu/viommu-internal.h"
#include "iothread/iothread.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define WRAP(ret, name, ...)                                           \
    ret __real_##name(__VA_ARGS__);                                    \
    ret __wrap_##name(__VA_ARGS__);                                    \
    ret __wrap_##name(__VA_ARGS__)

/* How often what is done now and then goes wrong. */
#define NOW_AND_THEN 100

static atomic_uint occasions;

static bool is_planted(const char *bug)
{
    const char *planted = getenv("STRESS_PLANTED");

    return planted && !strcmp(planted, bug);
}

/* Is it time for @bug? Counts, so ask where it could happen, and only there. */
static bool strikes(const char *bug)
{
    /* Relaxed: which of two threads it strikes does not matter. */
    return is_planted(bug) &&
           atomic_fetch_add_explicit(&occasions, 1, memory_order_relaxed) %
                   NOW_AND_THEN == NOW_AND_THEN - 1;
}

/* ---- Events ---- */

WRAP(VeventKind, vevent_stream_next, VeventStream *stream, Vevent *event)
{
    const VeventStream before = *stream;
    VeventKind kind = __real_vevent_stream_next(stream, event);

    if (kind != VEVENT_EVENT) {
        return kind;
    }
    if (strikes("event-delivered-twice")) {
        *stream = before;
    }
    if (strikes("event-not-counted")) {
        return __real_vevent_stream_next(stream, event);
    }
    if (strikes("event-counted-twice")) {
        event->lost++;
    }
    return kind;
}

/* ---- Page requests ---- */

WRAP(bool, page_request_answer, PageRequestTable *table,
     const PageRequestKey *key, uint32_t code, PageRequest *request)
{
    bool answered = __real_page_request_answer(table, key, code, request);

    if (answered && request && !request->emulated &&
        strikes("host-group-answered-twice")) {
        page_request_respond(table, request, code);
    }
    return answered;
}

/* What is open stays open, though the host ends it: a late answer is written. */
WRAP(uint32_t, page_request_drop_pasid, PageRequestTable *table,
     const DeviceEntry *device, uint32_t pasid, PageRequestDrop how)
{
    return is_planted("cookie-after-detach")
               ? 0 : __real_page_request_drop_pasid(table, device, pasid, how);
}

/* All tables of a process have the same. */
static _Atomic(const PageRequestOps *) table_ops;

static void forgetful_dropped(void *opaque, const PageRequest *request,
                              PageRequestDrop how)
{
    if (how == PAGE_REQUEST_FORGET && strikes("group-forgotten-at-detach")) {
        return;
    }
    if (request->emulated && strikes("group-forgotten-at-unplug")) {
        return;
    }
    atomic_load(&table_ops)->dropped(opaque, request, how);
}

static void forgetful_refused(void *opaque, const PageRequest *request)
{
    atomic_load(&table_ops)->refused(opaque, request);
}

WRAP(PageRequestTable *, page_request_table_new, uint32_t capacity,
     const PageRequestOps *ops, void *opaque)
{
    static const PageRequestOps forgetful = {
        .dropped = forgetful_dropped, .refused = forgetful_refused,
    };

    atomic_store(&table_ops, ops);
    return __real_page_request_table_new(capacity, &forgetful, opaque);
}

typedef void RespondedFunc(void *opaque, SvaGroup *group);

/* All devices of a process have the same. */
static _Atomic(RespondedFunc *) responded;

static void responded_twice(void *opaque, SvaGroup *group)
{
    bool again = strikes("device-group-answered-twice");

    atomic_load(&responded)(opaque, group);
    if (again) {
        atomic_load(&responded)(opaque, group);
    }
}

WRAP(SvaDevice *, viommu_add_sva_device, Viommu *viommu,
     const SvaDeviceConfig *config, GError **error)
{
    SvaDeviceConfig twice = *config;

    atomic_store(&responded, config->responded);
    twice.responded = responded_twice;
    return __real_viommu_add_sva_device(viommu, &twice, error);
}

/* These two are of headers that cannot be had together. */
WRAP(uint32_t, vtd_prq_room, void *opaque, uint32_t want)
{
    uint32_t room = __real_vtd_prq_room(opaque, want);

    return room < want && strikes("room-that-is-not") ? want : room;
}

WRAP(uint32_t, smmuv3_priq_room, void *opaque, uint32_t want)
{
    uint32_t room = __real_smmuv3_priq_room(opaque, want);

    return room < want && strikes("priq-room-that-is-not") ? want : room;
}

WRAP(void, viommu_respond_page_group, Viommu *viommu,
     const PageRequestKey *key, uint32_t code)
{
    code ^= strikes("wrong-answer");
    __real_viommu_respond_page_group(viommu, key, code);
}

/* ---- Readers, and what is taken from under them ---- */

static _Thread_local bool impatient;

WRAP(void, rcu_synchronize, void)
{
    if (!impatient) {
        __real_rcu_synchronize();
    }
}

WRAP(bool, guest_mem_set_regions, GuestMem *mem, const GuestMemRegion *regions,
     size_t count, GError **error)
{
    bool set;

    impatient = is_planted("no-grace-period-of-memory");
    set = __real_guest_mem_set_regions(mem, regions, count, error);
    impatient = false;
    return set;
}

/* Who has a pointer is slow to use it: a removal that waits does not mind. */
WRAP(void *, guest_mem_ptr, const GuestMem *mem, uint64_t gpa, uint64_t len)
{
    void *host = __real_guest_mem_ptr(mem, gpa, len);

    if (strikes("no-grace-period-of-memory")) {
        g_usleep(1000);
    }
    return host;
}

/* Walkers go on with devices that they have no reference to. */
WRAP(void, viommu_device_get, ViommuDevice *device)
{
    if (!is_planted("no-reference")) {
        __real_viommu_device_get(device);
    }
}

WRAP(void, viommu_device_put, Viommu *viommu, ViommuDevice *device)
{
    if (!is_planted("no-reference")) {
        __real_viommu_device_put(viommu, device);
    }
}

/* Devices go on with what they have cached. */
WRAP(void, viommu_invalidate_sva, Viommu *viommu)
{
    if (!is_planted("stale-translation")) {
        __real_viommu_invalidate_sva(viommu);
    }
}

/* ---- What is left, and what never comes ---- */

/* As if another thread were in poll() on it, or in read(). */
WRAP(void, queue_reader_destroy, QueueReader *reader)
{
    int fd = is_planted("queue-held-elsewhere") ? dup(reader->queue.fd) : -1;

    __real_queue_reader_destroy(reader);
    if (fd >= 0) {
        close(fd);
    }
    if (is_planted("fd-leak")) {
        eventfd(0, EFD_CLOEXEC);
    }
}

static void *sleep_for_ever(void *opaque)
{
    for (;;) {
        pause();
    }
    return NULL;
}

WRAP(void, iothread_stop, IOThread *iothread)
{
    pthread_t thread;

    __real_iothread_stop(iothread);
    if (is_planted("thread-leak") &&
        !pthread_create(&thread, NULL, sleep_for_ever, NULL)) {
        pthread_detach(thread);
    }
}

WRAP(void, aio_notify, AioContext *ctx)
{
    if (!strikes("lost-wake-up")) {
        __real_aio_notify(ctx);
    }
}
