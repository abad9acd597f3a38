/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The order of accesses is that of Linux 7.3's intel-iommu driver, from probe
 * to the last enable, and back.
 */
#include "guest-vtd-internal.h"

#include "base/error.h"
#include "base/fd.h"
#include "base/rcu.h"
#include "base/report.h"
#include "base/thread.h"
#include "iothread/aio-context.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>

#define TIMEOUT_NS INT64_C(10000000000)

/* RTADDR.TTM 01: scalable mode */
#define RTADDR_SMT BIT(10)

/* What Linux wants for page requests, and this driver does not do without. */
#define ECAP_REQUIRED                                                     \
    (FIELD_MASK(DMAR_ECAP, C) | FIELD_MASK(DMAR_ECAP, QI) |               \
     FIELD_MASK(DMAR_ECAP, DT) | FIELD_MASK(DMAR_ECAP, PRS) |             \
     FIELD_MASK(DMAR_ECAP, PASID) | FIELD_MASK(DMAR_ECAP, PDS) |          \
     FIELD_MASK(DMAR_ECAP, SMTS) | FIELD_MASK(DMAR_ECAP, FSTS))

/* Besides frames and tables of address spaces: queues, root, message words. */
#define RAM_FIXED_BYTES (UINT64_C(1) << 20)

/* Directory, PASID tables and a context table; the load's descriptors. */
#define RAM_DEVICE_BYTES (UINT64_C(128) << 10)

/* Tables of 64 PASID entries; alignment. */
#define RAM_PASID_BYTES UINT64_C(4096)

static bool wait_status(GuestVtd *guest, uint32_t bit, bool on, GError **error)
{
    int64_t deadline_ns = aio_clock_ns() + TIMEOUT_NS;

    while (!!(guest_vtd_read32(guest, DMAR_GSTS) & bit) != on) {
        if (aio_clock_ns() > deadline_ns) {
            g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                        "bit 0x%x of GSTS is not %d after 10 s", bit, on);
            return false;
        }
        sched_yield();
    }
    return true;
}

/* One change at a time; what is not a level is not kept. */
bool guest_vtd_command(GuestVtd *guest, uint32_t bit, bool on, GError **error)
{
    if (on && bit == FIELD_MASK(DMAR_GCMD, SRTP)) {
        guest_vtd_write32(guest, DMAR_GCMD, guest->gcmd | bit);
    } else {
        guest->gcmd = on ? guest->gcmd | bit : guest->gcmd & ~bit;
        guest_vtd_write32(guest, DMAR_GCMD, guest->gcmd);
    }
    return wait_status(guest, bit, on, error);
}

void guest_vtd_set_up_event(GuestVtd *guest, uint32_t control, uint32_t line)
{
    guest_vtd_write32(guest, control + EVENT_DATA_OFFSET, line);
    guest_vtd_write32(guest, control + EVENT_ADDR_OFFSET,
                      (uint32_t)GUEST_VTD_DOORBELL);
    guest_vtd_write32(guest, control + EVENT_UADDR_OFFSET,
                      GUEST_VTD_DOORBELL >> 32);
    guest_vtd_write32(guest, control, 0);
    guest_vtd_read32(guest, control);
}

/* Which features there are; refuse what cannot be driven. */
static bool probe(GuestVtd *guest, const GuestVtdConfig *config,
                  GError **error)
{
    uint32_t pasids = 0;

    guest->cap = guest_vtd_read64(guest, DMAR_CAP);
    guest->ecap = guest_vtd_read64(guest, DMAR_ECAP);
    guest_vtd_read32(guest, DMAR_VER);
    guest->gcmd = guest_vtd_read32(guest, DMAR_GSTS) & DMAR_GSTS_LEVELS &
                  ~FIELD_MASK(DMAR_GCMD, SRTP);
    for (size_t i = 0; i < config->device_count; i++) {
        pasids = MAX(pasids, config->devices[i].pasids);
    }
    if ((guest->ecap & ECAP_REQUIRED) != ECAP_REQUIRED ||
        pasids >> (FIELD_GET(guest->ecap, DMAR_ECAP, PSS) + 1) ||
        (config->device_count + 2) >>
                (4 + 2 * FIELD_GET(guest->cap, DMAR_CAP, ND))) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "cannot drive a VT-d unit with CAP 0x%" PRIx64
                    " and ECAP 0x%" PRIx64 ", for %zu devices with up to %u "
                    "PASIDs", guest->cap, guest->ecap, config->device_count,
                    pasids);
        return false;
    }
    return true;
}

/* Unless the unit does that itself, it forgets all that it had cached. */
static bool set_root(GuestVtd *guest, GError **error)
{
    const GuestVtdDescriptor descriptors[] = {
        guest_qi_context_global(), guest_qi_pasid_cache_global(),
        guest_qi_iotlb_global(),
    };

    if (!guest_pasid_init(guest, error)) {
        return false;
    }
    guest_vtd_write64(guest, DMAR_RTADDR, guest->root_gpa | RTADDR_SMT);
    if (!guest_vtd_command(guest, FIELD_MASK(DMAR_GCMD, SRTP), true, error)) {
        return false;
    }
    if (FIELD_GET(guest->cap, DMAR_CAP, ESRTPS)) {
        return true;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(descriptors); i++) {
        if (!guest_qi_submit(guest, &descriptors[i], 1, false)) {
            g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                        "global invalidation failed");
            return false;
        }
    }
    return true;
}

/* What somebody else has left on, or not looked at, comes first. */
static bool set_up_queues(GuestVtd *guest, GError **error)
{
    guest_fault_handle(guest);
    if (!guest_qi_disable(guest, error) || !guest_qi_set_up(guest, error) ||
        !set_root(guest, error) || !guest_prq_set_up(guest, error)) {
        return false;
    }
    guest_vtd_set_up_event(guest, DMAR_FECTL, GUEST_VTD_IRQ_FAULT);
    guest_fault_handle(guest);
    return true;
}

/* For every page of every space, and for what is on its way. */
static GuestFrames *make_frames(GuestVtd *guest, const GuestVtdConfig *config,
                                bool contents, GError **error)
{
    size_t count = 0;

    for (size_t i = 0; i < config->device_count; i++) {
        const GuestVtdDevice *device = &config->devices[i];

        if (device->contents == contents) {
            count += device->pasids * device->pages + GUEST_TAKE_MAX;
        }
    }
    return guest_frames_new(guest->ram, MAX(count, 1), contents, error);
}

static bool make_all_frames(GuestVtd *guest, const GuestVtdConfig *config,
                            GError **error)
{
    guest->frames = make_frames(guest, config, true, error);
    guest->bare_frames =
        guest->frames ? make_frames(guest, config, false, error) : NULL;
    return guest->bare_frames != NULL;
}

static bool add_functions(GuestVtd *guest, const GuestVtdConfig *config,
                          GError **error)
{
    for (size_t i = 0; i < config->device_count; i++) {
        g_assert(config->devices[i].pasids <= GUEST_VTD_PASIDS_MAX);
        if (!guest_pasid_add_function(guest, &config->devices[i], error)) {
            return false;
        }
    }
    return true;
}

static bool enable(GuestVtd *guest, GError **error)
{
    if (!guest_vtd_command(guest, FIELD_MASK(DMAR_GCMD, TE), true, error)) {
        return false;
    }
    if (FIELD_GET(guest->cap, DMAR_CAP, PLMR) ||
        FIELD_GET(guest->cap, DMAR_CAP, PHMR)) {
        guest_vtd_write32(guest, DMAR_PMEN, 0);
    }
    return true;
}

static bool set_up(GuestVtd *guest, const GuestVtdConfig *config,
                   GError **error)
{
    if (!probe(guest, config, error) || 
        !make_all_frames(guest, config, error)) {
        return false;
    }
    guest->enabled = true;
    return set_up_queues(guest, error) &&
           add_functions(guest, config, error) && enable(guest, error);
}

static void set_thread_name(const char *id)
{
    g_autofree char *name = g_strdup_printf("guest %s", id);

    thread_set_name(name);
}

/* What a vCPU does between interrupts: nothing. */
static void *interrupt_thread(void *opaque)
{
    GuestVtd *guest = opaque;
    struct pollfd fds[GUEST_VTD_WAKE_COUNT];
    bool stop = false;

    rcu_register_thread();
    set_thread_name(viommu_get_id(guest->viommu));
    for (int i = 0; i < GUEST_VTD_WAKE_COUNT; i++) {
        fds[i] = (struct pollfd){ .fd = guest->wake_fds[i], .events = POLLIN };
    }
    while (!stop) {
        uint64_t raised;

        if (poll(fds, GUEST_VTD_WAKE_COUNT, -1) < 0) {
            g_assert(errno == EINTR);
            continue;
        }
        /* Taken before the registers are read: what comes later wakes again. */
        for (int i = 0; i < GUEST_VTD_WAKE_COUNT; i++) {
            if (fds[i].revents &&
                read(fds[i].fd, &raised, sizeof(raised)) < 0) {
                g_assert(errno == EAGAIN);
            }
        }
        stop = fds[GUEST_VTD_WAKE_STOP].revents != 0;
        if (fds[GUEST_VTD_IRQ_FAULT].revents || stop) {
            guest_fault_handle(guest);
        }
        if (fds[GUEST_VTD_IRQ_PAGE_REQUEST].revents || stop) {
            guest_prq_serve(guest);
        }
    }
    rcu_unregister_thread();
    return NULL;
}

static bool start_thread(GuestVtd *guest, IrqSink *irq, GError **error)
{
    int ret;

    for (int i = 0; i < GUEST_VTD_IRQ_COUNT; i++) {
        guest->wake_fds[i] = irq_sink_eventfd_get(irq, i);
    }
    guest->wake_fds[GUEST_VTD_WAKE_STOP] =
        eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (guest->wake_fds[GUEST_VTD_WAKE_STOP] < 0) {
        error_set_errno(error, errno, "eventfd for the interrupt thread");
        return false;
    }
    ret = thread_create(&guest->thread, interrupt_thread, guest);
    if (ret != 0) {
        error_set_errno(error, ret, "interrupt thread");
        return false;
    }
    guest->running = true;
    return true;
}

uint64_t guest_vtd_ram_bytes(const GuestVtdDevice *devices, size_t count)
{
    uint64_t bytes = RAM_FIXED_BYTES;

    for (size_t i = 0; i < count; i++) {
        const GuestVtdDevice *device = &devices[i];

        bytes += RAM_DEVICE_BYTES + GUEST_TAKE_MAX * GUEST_FRAME_BYTES +
                 device->pasids *
                     (RAM_PASID_BYTES + device->pages * GUEST_FRAME_BYTES +
                      guest_address_space_table_bytes(device->pages));
    }
    return bytes;
}

GuestVtd *guest_vtd_new(const GuestVtdConfig *config, GError **error)
{
    GuestVtd *guest = g_new0(GuestVtd, 1);

    guest->viommu = config->viommu;
    guest->ram = config->ram;
    guest->wake_fds[GUEST_VTD_WAKE_STOP] = -1;
    lock_init(&guest->qi.lock, LOCK_RANK_GUEST);
    guest->functions = g_ptr_array_new();
    guest->by_rid = g_hash_table_new(NULL, NULL);
    if (set_up(guest, config, error) &&
        start_thread(guest, config->irq, error)) {
        return guest;
    }
    /* Off, so that nothing refers to the memory that goes. */
    g_prefix_error(error, "guest of '%s': ", viommu_get_id(config->viommu));
    guest_vtd_stop(guest);
    guest_vtd_free(guest);
    return NULL;
}

GuestAddressSpace *guest_vtd_get_space(GuestVtd *guest, uint32_t rid,
                                       uint32_t pasid)
{
    GuestVtdFunction *function =
        g_hash_table_lookup(guest->by_rid, GUINT_TO_POINTER(rid));

    g_assert(function && pasid >= 1 && pasid <= function->pasid_count);
    return function->pasids[pasid - 1].space;
}

void guest_vtd_rest(GuestVtd *guest)
{
    const uint64_t one = 1;
    ssize_t ret;

    if (guest->running) {
        ret = write(guest->wake_fds[GUEST_VTD_WAKE_STOP], &one, sizeof(one));
        g_assert(ret == sizeof(one));
        pthread_join(guest->thread, NULL);
        guest->running = false;
        guest_frames_check(guest->frames);
    }
}

/* As the driver's shutdown does. Before the tables' memory may go. */
static void disable(GuestVtd *guest, GError **error)
{
    for (unsigned i = 0; i < guest->functions->len; i++) {
        guest_pasid_remove_function(guest->functions->pdata[i]);
    }
    guest_prq_disable(guest);
    if (guest_vtd_command(guest, FIELD_MASK(DMAR_GCMD, TE), false, error)) {
        guest_qi_disable(guest, error);
    }
    guest_fault_handle(guest);
    guest_vtd_write32(guest, DMAR_FECTL, FIELD_MASK(DMAR_ECTL, IM));
}

void guest_vtd_stop(GuestVtd *guest)
{
    GError *error = NULL;

    guest_vtd_rest(guest);
    if (guest->enabled) {
        guest->enabled = false;
        disable(guest, &error);
    }
    if (error) {
        error_report("guest of '%s': %s", viommu_get_id(guest->viommu),
                     error->message);
        g_error_free(error);
        guest_qi_count_error(guest);
    }
}

void guest_vtd_free(GuestVtd *guest)
{
    if (!guest) {
        return;
    }
    if (guest->wake_fds[GUEST_VTD_WAKE_STOP] >= 0) {
        close(guest->wake_fds[GUEST_VTD_WAKE_STOP]);
    }
    for (unsigned i = 0; i < guest->functions->len; i++) {
        guest_pasid_free_function(guest->functions->pdata[i]);
    }
    g_ptr_array_unref(guest->functions);
    g_hash_table_unref(guest->by_rid);
    guest_frames_free(guest->frames);
    guest_frames_free(guest->bare_frames);
    lock_destroy(&guest->qi.lock);
    g_free(guest);
}

PageDigestSum guest_vtd_get_pages(GuestVtd *guest, uint32_t rid)
{
    const GuestVtdFunction *function =
        g_hash_table_lookup(guest->by_rid, GUINT_TO_POINTER(rid));

    g_assert(function);
    return (PageDigestSum){
        .pages = counter_get(&function->pages),
        .digest = counter_get(&function->digest),
    };
}

/* Sums over all address spaces. */
static void add_space_counts(GuestVtd *guest, GuestVtdCounts *counts)
{
    for (unsigned i = 0; i < guest->functions->len; i++) {
        GuestVtdFunction *function = guest->functions->pdata[i];

        for (uint32_t j = 0; j < function->pasid_count; j++) {
            GuestAddressSpaceCounts space =
                guest_address_space_get_counts(function->pasids[j].space);

            counts->damaged += space.corrupt;
            counts->mapped += space.mapped;
            counts->taken += space.taken;
        }
    }
}

GuestVtdCounts guest_vtd_get_counts(GuestVtd *guest)
{
    const GuestVtdCounters *counters = &guest->counters;
    GuestVtdCounts counts = {
        .requests = counter_get(&counters->requests),
        .answered = counter_get(&counters->answered),
        .refused = counter_get(&counters->refused),
        .bad = counter_get(&counters->bad),
        .markers = counter_get(&counters->markers),
        .overflows = counter_get(&counters->overflows),
        .faults = counter_get(&counters->faults),
        .queue_errors = counter_get(&guest->qi.errors),
        .damaged = guest_frames_get_damaged(guest->frames),
        .digest = ring_digest_get(&guest->prq.digest),
    };

    add_space_counts(guest, &counts);
    return counts;
}
