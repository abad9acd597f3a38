/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a model (hw/arm, hw/i386) sees of a Viommu, and what it provides.
 *
 * Threads, Locks: hw/iommu/viommu.h. REQUIRES() says which lock a call needs;
 * calls tagged [iothread] run on the home thread without a lock.
 */
#ifndef HW_IOMMU_VIOMMU_INTERNAL_H
#define HW_IOMMU_VIOMMU_INTERNAL_H

#include "base/counter.h"
#include "base/lock.h"
#include "host/iommufd.h"
#include "hw/iommu/device-map.h"
#include "hw/iommu/event-pump.h"
#include "hw/iommu/fault-pump.h"
#include "hw/iommu/sva-device.h"
#include "hw/iommu/viommu.h"

#include <stdatomic.h>
#include <urcu/arch.h>

/* viommu_warn_once(): what is not the model's, from the end of the range. */
enum {
    VIOMMU_WARN_ANSWER_REFUSED = 31,
};

/* viommu_host_error(): what a guest can have the host do again and again. */
typedef enum ViommuHostError {
    VIOMMU_HOST_QUEUE_REFUSED,
    VIOMMU_HOST_QUEUE_FAILED,
    VIOMMU_HOST_DESTROY_FAILED,
    VIOMMU_HOST_ERRORS,
} ViommuHostError;

/* Of each kind, so many are told. */
#define VIOMMU_HOST_ERRORS_TOLD 8

/**
 * struct ViommuDevice - one device behind a vIOMMU
 * @entry: its place in the device map; first, so that a find gives it
 * @vfio: borrowed from the embedder; NULL for an emulated device, which has
 *        no host objects
 * @sva: the emulated device, or NULL
 * @vdevice_id: its vDEVICE object, or 0
 * @hwpt_id: the HWPT made for it alone, or 0. [config_lock]
 * @refs: walkers that make host calls for it, see viommu_device_get(). [atomic]
 */
typedef struct ViommuDevice {
    DeviceEntry entry;
    VfioDevice *vfio;
    SvaDevice *sva;
    uint32_t vdevice_id;
    uint32_t hwpt_id;
    atomic_uint refs;
} ViommuDevice;

/**
 * struct ViommuOps - what makes a model
 * @viommu_type: IOMMU_VIOMMU_TYPE_* of the host object; 0: the model has none,
 *               and no vDEVICEs and events
 * @veventq_type: IOMMU_VEVENTQ_TYPE_* of its events
 * @record_size: bytes per event
 * @virt_id_bits: of a device's ID
 * @device_size: of the structure that begins with a ViommuDevice
 * @sink: takes the events; opaque is the Viommu. [iothread]
 * @pages: takes page requests. [iothread]
 * @has_pages: does this one, by its properties, take page requests?
 * @translate: see viommu_translate(). Any thread, in a read section, no lock
 * @mmio_read, @mmio_write: see viommu.h; @size is 4 or 8, @offset a multiple
 * @reset: all registers to reset values; the host queue is gone
 * @check_host: can the host of @vfio do what the guest is shown? Asked first of
 *              all for each device; NULL: whatever it can
 * @host_up: the vIOMMU object was made, with @vfio as the first device: make
 *           what all devices share. On failure leave nothing behind.
 * @host_down: undo it
 * @attach: attach @device to the HWPT that the guest's tables say, or move it
 *          there. On failure it is where it was, or nowhere if it was new.
 * @get_queue: the guest's event queue: entries in it and its size, 0 when off
 * @get_page_queue: the same of its page request queue
 * @detach: @device goes for good: detach it, destroy what was made for it
 * @free: free the model's structure, which begins with the Viommu
 *
 * @check_host, @reset to @detach are called under the config_lock.
 */
typedef struct ViommuOps {
    uint32_t viommu_type;
    uint32_t veventq_type;
    uint32_t record_size;
    unsigned virt_id_bits;
    size_t device_size;
    EventSinkOps sink;
    PageSinkOps pages;
    bool (*has_pages)(const Viommu *viommu);
    bool (*translate)(Viommu *viommu, uint32_t virt_id, uint32_t pasid,
                      uint64_t iova, uint32_t perm, uint64_t *gpa);
    uint64_t (*mmio_read)(Viommu *viommu, uint64_t offset, unsigned size);
    void (*mmio_write)(Viommu *viommu, uint64_t offset, unsigned size,
                       uint64_t value);
    void (*reset)(Viommu *viommu);
    bool (*check_host)(Viommu *viommu, VfioDevice *vfio, GError **error);
    bool (*host_up)(Viommu *viommu, VfioDevice *vfio, GError **error);
    void (*host_down)(Viommu *viommu);
    bool (*attach)(Viommu *viommu, ViommuDevice *device, GError **error);
    void (*detach)(Viommu *viommu, ViommuDevice *device);
    void (*get_queue)(Viommu *viommu, uint32_t *used, uint32_t *size);
    void (*get_page_queue)(Viommu *viommu, uint32_t *used, uint32_t *size);
    void (*free)(Viommu *viommu);
} ViommuOps;

/**
 * struct ViommuHost - the host objects that all devices share. [config_lock]
 * @iommu: the iommufd of the devices; NULL while there is none of the host's,
 *         and then none of the objects exists
 * @devices: how many of the host's there are
 * @fault_id: the fault queue, while @fault_hwpts is not 0
 * @fault_hwpts: HWPTs that name it
 * @memory: maps guest memory into the IOAS. Reads @iommu and @ioas_id under
 *          GuestMem's lock instead: they are constant while it listens
 */
typedef struct ViommuHost {
    HostIommu *iommu;
    unsigned devices;
    uint32_t ioas_id;
    uint32_t parent_hwpt_id;
    uint32_t viommu_id;
    uint32_t fault_id;
    unsigned fault_hwpts;
    GuestMemListener memory;
} ViommuHost;

/**
 * struct ViommuQueue - the event queue's host side
 * @depth: what the guest's queue asks for; 0 while that is off. [config_lock]
 * @open: a host queue exists: @depth is not 0, a vIOMMU object exists, and the
 *        host did not refuse. [config_lock]
 * @pump: empties it; NULL while it is not open. [iothread]
 * @resume: runs @pump again; lives as long as the Viommu. [const]
 */
typedef struct ViommuQueue {
    uint32_t depth;
    bool open;
    EventPump *pump;
    AioBH *resume;
} ViommuQueue;

/* Responses of the guest's that the home thread has yet to see. */
#define PAGE_RESPONSES_MAX 1024

/* Open groups of one vIOMMU. More of them wait, in the kernel or the inbox. */
#define PAGE_TABLE_GROUPS 8192

/*
 * Kept free in the table while groups are taken in: a read has no more groups,
 * and each may need a place for its answer.
 */
#define PAGE_TABLE_RESERVE PAGE_GROUP_BATCH

/* A page group response, as a command or descriptor says it. */
typedef struct PageResponse {
    PageRequestKey key;
    uint32_t code;
} PageResponse;

/**
 * struct PageResponses - from vCPUs to the home thread
 * @pending, @count: at most PAGE_RESPONSES_MAX. [ring_lock]
 * @taken: what the home thread works on. [iothread]
 */
typedef struct PageResponses {
    PageResponse *pending;
    size_t count;
    PageResponse *taken;
} PageResponses;

/* Groups in a row, by SvaGroup::next. */
typedef struct SvaGroupList {
    SvaGroup *first;
    SvaGroup *last;
} SvaGroupList;

/**
 * struct ViommuPages - page requests; all zero if the model has none
 * @table: open groups. [iothread]
 * @pump: empties the host's fault queue; NULL while there is none. [iothread]
 * @batch: PAGE_GROUP_BATCH groups on their way through. [iothread]
 * @backlog: of emulated devices, not yet delivered. [iothread]
 * @host_first: whose turn it is to be first. [iothread]
 * @host_turn: the pump runs in its turn, not because its fd is ready.
 *             [iothread]
 * @inbox_head, @inbox_tail: groups of emulated devices: any thread enqueues,
 *                           the home thread dequeues
 * @responses: of the guest's
 * @sva_devices: how many there are. [config_lock]
 * @generation: of what emulated devices have cached; changed by every
 *              invalidation. [atomic]
 * @work: all of the home thread's part; lives as long as the Viommu. [const]
 */
typedef struct ViommuPages {
    PageRequestTable *table;
    FaultPump *pump;
    PageGroup *batch;
    SvaGroupList backlog;
    bool host_first;
    bool host_turn;
    struct __cds_wfcq_head inbox_head;
    struct cds_wfcq_tail inbox_tail;
    PageResponses responses;
    unsigned sva_devices;
    _Atomic uint64_t generation;
    AioBH *work;
} ViommuPages;

/*
 * [iothread] writes, anybody reads; but VT-d's @interrupts [ring_lock], since
 * a vCPU that unmasks the event sends the message too.
 */
typedef struct ViommuPageCounters {
    Counter raised;
    Counter answered;
    Counter invalid;
    Counter retried;
    Counter markers;
    Counter stray;
    Counter overflows;
    Counter interrupts;
} ViommuPageCounters;

/* [iothread] writes, anybody reads. */
typedef struct ViommuCounters {
    Counter delivered;
    Counter discarded;
    Counter lost;
    Counter malformed;
    Counter reads;
    Counter interrupts;
    Counter overflows;
} ViommuCounters;

/* For ViommuDevice::refs. @lock is a leaf; @gone: a device's last one is. */
typedef struct DeviceRefs {
    Lock lock;
    pthread_cond_t gone;
} DeviceRefs;

/*
 * Base of the models' own structures. What the home thread writes with each
 * event, what is under a lock of others, and what is only looked at share no
 * cache line. What page requests need from both sides (ViommuPages) may.
 */
struct Viommu {
    const ViommuOps *ops;       /* [const] */
    ViommuConfig config;        /* [const] id and ctx are ours */
    DeviceMap *devices;         /* [config_lock] to change, [RCU] to find */
    char config_gap[CAA_CACHE_LINE_SIZE];
    Lock config_lock;
    ViommuHost host GUARDED_BY(&config_lock);
    char ring_gap[CAA_CACHE_LINE_SIZE];
    Lock ring_lock;             /* both sides, in turn */
    char queue_gap[CAA_CACHE_LINE_SIZE];
    ViommuQueue queue;
    ViommuPages pages;
    ViommuCounters counters;
    ViommuPageCounters page_counters;
    _Atomic uint32_t warned;    /* a bit per kind of guest mistake */
    atomic_uint host_errors[VIOMMU_HOST_ERRORS]; /* told, of each kind */
    _Atomic uint64_t untold;    /* messages that were not printed */
    DeviceRefs refs;
};

/**
 * viommu_init() - set up the base of a model's structure
 * @viommu: zeroed
 *
 * Return: false and @error set: no memory, and nothing to be undone.
 */
bool viommu_init(Viommu *viommu, const ViommuOps *ops,
                 const ViommuConfig *config, GError **error);

/**
 * viommu_set_event_queue() - the guest's event queue was switched on, off or
 * to another size: make the host's follow
 * @depth: its size in events; 0 is off, and then the sink discards already
 *
 * Context: May block: waits until the old host queue is gone.
 * Return: false and @error set if the host refused a new one; it is tried
 * again with the next device or when the guest next switches its queue on.
 */
bool viommu_set_event_queue(Viommu *viommu, uint32_t depth, GError **error)
    REQUIRES(&viommu->config_lock) EXCLUDES(&viommu->ring_lock);

/**
 * viommu_open_event_queue() - make the host queue if it is due and not there
 * viommu_close_event_queue() - drain and destroy it, if it is there
 *
 * Context: May block: both wait for the home thread.
 */
bool viommu_open_event_queue(Viommu *viommu, GError **error)
    REQUIRES(&viommu->config_lock) EXCLUDES(&viommu->ring_lock);
void viommu_close_event_queue(Viommu *viommu)
    REQUIRES(&viommu->config_lock) EXCLUDES(&viommu->ring_lock);

/* A queue that nobody came to read: closed and destroyed. */
void viommu_undo_queue(Viommu *viommu, HostQueue *queue)
    REQUIRES(&viommu->config_lock);

/**
 * viommu_resume_events() - the sink that said "no room" has some
 *
 * Context: Any thread, any locks; wait-free.
 */
void viommu_resume_events(Viommu *viommu);

/*
 * Devices. A walk over the map that makes host calls does not stay in its read
 * section for them: it takes a reference to each device in the section, leaves
 * it, makes the calls, and puts the reference. Removal waits for the
 * references before it detaches and destroys, so who has one does not wait for
 * a config_lock that it does not hold.
 */

/* Context: RCU read-side section; @device was found in it. */
void viommu_device_get(ViommuDevice *device);
/* Context: any thread. @device may be gone when it returns. */
void viommu_device_put(Viommu *viommu, ViommuDevice *device);

/**
 * viommu_device_next() - walk over all devices, in no particular order
 * @cursor: 0 to begin with
 *
 * Return: a device, for viommu_device_put(), or NULL at the end. It allocates
 * nothing: a guest's invalidation cannot fail.
 */
ViommuDevice *viommu_device_next(Viommu *viommu, size_t *cursor)
    REQUIRES(&viommu->config_lock);

/*
 * Page requests (viommu-pages.c), as a model needs them.
 */

/**
 * viommu_respond_page_group() - the guest's response, by command or descriptor
 * @code: PCIe's response code, or what the guest gave for one
 *
 * Context: May block, if the home thread is far behind.
 */
void viommu_respond_page_group(Viommu *viommu, const PageRequestKey *key,
                               uint32_t code)
    REQUIRES(&viommu->config_lock) EXCLUDES(&viommu->ring_lock);

/* There is room in the guest's queue again. Any thread, locks; wait-free. */
void viommu_resume_page_requests(Viommu *viommu);

/**
 * viommu_drain_page_requests() - what was requested before is in the guest's
 * queue when this returns, as far as there is room
 *
 * Context: Blocks for the home thread.
 */
void viommu_drain_page_requests(Viommu *viommu) EXCLUDES(&viommu->ring_lock);

/**
 * viommu_drop_page_requests() - answer every open group INVALID (reset)
 *
 * Context: Blocks for the home thread.
 */
void viommu_drop_page_requests(Viommu *viommu)
    REQUIRES(&viommu->config_lock) EXCLUDES(&viommu->ring_lock);

/**
 * viommu_invalidate_sva() - emulated devices forget what they have translated,
 * and when this returns use none of it any more
 *
 * Context: Blocks for a grace period, if there is an emulated device.
 */
void viommu_invalidate_sva(Viommu *viommu)
    REQUIRES(&viommu->config_lock) EXCLUDES(&viommu->ring_lock);

/**
 * viommu_implicit_invalidate() - one page of an emulated device, before its
 * request is shown to the guest. Of the host's devices the host does it.
 *
 * Context: Home thread. Does not wait for uses under way.
 */
void viommu_implicit_invalidate(Viommu *viommu, const PageGroup *group,
                                uint64_t addr);

/**
 * struct ViommuHwpt - a nested HWPT, and what a device uses it for
 * @id: of the HWPT; 0 for none
 * @faults: page requests on it go to the fault queue
 */
typedef struct ViommuHwpt {
    uint32_t id;
    bool faults;
} ViommuHwpt;

/**
 * viommu_hwpt_alloc() - IOMMU_HWPT_ALLOC, with the fault queue if @faults
 * @hwpt: what to make; fault_id and its flag are filled in
 * @out: set
 *
 * The first HWPT with @faults makes the fault queue: here; it is watched from
 * then on by the home thread.
 *
 * Context: May block. Return: false and @error set, and nothing is left.
 */
bool viommu_hwpt_alloc(Viommu *viommu, const IommufdHwpt *hwpt, bool faults,
                       ViommuHwpt *out, GError **error)
    REQUIRES(&viommu->config_lock) EXCLUDES(&viommu->ring_lock);

/**
 * viommu_hwpt_destroy() - IOMMU_DESTROY of a HWPT that no device is on
 *
 * The last one with faults takes the fault queue along: unwatched, closed,
 * destroyed on the home thread. *@hwpt is {0} afterwards; of {0} no effect.
 *
 * Context: May block.
 */
void viommu_hwpt_destroy(Viommu *viommu, ViommuHwpt *hwpt)
    REQUIRES(&viommu->config_lock) EXCLUDES(&viommu->ring_lock);

/**
 * viommu_attach() - move a device, or one PASID of it, to another HWPT
 * @pasid: or %PAGE_REQUEST_NO_PASID for the device itself
 * @pt_id: a HWPT; 0 detaches
 *
 * Its open groups end: the host answers them INVALID, the guest's later
 * answers find nothing. On the home thread: what was read is taken in, what the
 * guest has answered is written, the groups are forgotten, then the ioctl is
 * made.
 *
 * Context: Blocks for the home thread.
 * Return: false and @error set: the device, or the PASID, is detached then.
 */
bool viommu_attach(Viommu *viommu, ViommuDevice *device, uint32_t pasid,
                   uint32_t pt_id, GError **error)
    REQUIRES(&viommu->config_lock) EXCLUDES(&viommu->ring_lock);

/* viommu-pages.c, for the other files of the Viommu. */

/* Return: false if there is no memory; viommu_pages_cleanup() none the less. */
bool viommu_pages_init(Viommu *viommu);
void viommu_pages_cleanup(Viommu *viommu);

/* Context: any thread registered with RCU; wait-free. */
void viommu_pages_enqueue(Viommu *viommu, SvaGroup *group);

/*
 * As PageSinkOps::room(), but 0 too while the table is nearly full; then the
 * sink was not asked. [iothread]
 */
uint32_t viommu_pages_room(Viommu *viommu, uint32_t want)
    EXCLUDES(&viommu->ring_lock);

/*
 * Show the guest at most PAGE_GROUP_BATCH groups, for which there is room, and
 * note what becomes of them. All are counted as raised. [iothread]
 */
void viommu_pages_deliver(Viommu *viommu, PageGroup *groups, size_t count)
    EXCLUDES(&viommu->ring_lock);

/* The vIOMMU's own answer to a group that is in no table. [iothread] */
void viommu_pages_answer(Viommu *viommu, const PageRequest *request,
                         uint32_t code);

/* Deliver what the fault pump has read; first of all, always. [iothread] */
void viommu_pages_settle(Viommu *viommu);

/* Take in what vCPUs have responded. [iothread] */
void viommu_pages_take_responses(Viommu *viommu) EXCLUDES(&viommu->ring_lock);

/* Write the answers that wait to the host. [iothread] */
void viommu_pages_flush(Viommu *viommu);

/* End all groups of an emulated device that was unpublished. Blocks. */
void viommu_pages_drop_device(Viommu *viommu, ViommuDevice *device)
    REQUIRES(&viommu->config_lock) EXCLUDES(&viommu->ring_lock);

/**
 * struct ViommuHostField - a field of the ID registers that host and guest see
 * @name: as the specification has it, REGISTER.FIELD
 * @host: what the host's has
 * @guest: what the guest is shown, and no less will do
 * @remedy: properties of the vIOMMU that do with less, or NULL
 */
typedef struct ViommuHostField {
    const char *name;
    uint64_t host;
    uint64_t guest;
    const char *remedy;
} ViommuHostField;

/**
 * viommu_check_host_fields() - is there enough of each of them?
 * @unit: what the host's IOMMU is, for messages
 *
 * Return: false and @error set: the first field that is not, and both values.
 */
bool viommu_check_host_fields(const char *unit, const ViommuHostField *fields,
                              size_t count, GError **error);

/**
 * viommu_map_memory() - map guest memory into the IOAS, and follow its changes
 * viommu_unmap_memory() - undo it
 *
 * Context: May block: the host pins what is mapped.
 * Return: false and @error set, and nothing is mapped.
 */
bool viommu_map_memory(Viommu *viommu, GError **error)
    REQUIRES(&viommu->config_lock) EXCLUDES(&viommu->ring_lock);
void viommu_unmap_memory(Viommu *viommu)
    REQUIRES(&viommu->config_lock) EXCLUDES(&viommu->ring_lock);

/* viommu-device.c: an emulated device in the map, and out of it. */
ViommuDevice *viommu_publish_sva(Viommu *viommu, SvaDevice *sva,
                                 uint32_t virt_id, GError **error);
void viommu_unpublish_sva(Viommu *viommu, ViommuDevice *device);

/* sva-device.c, for viommu-pages.c. [iothread] */
PageRequestKey sva_group_key(const SvaGroup *group);
void sva_device_respond(SvaGroup *group, uint32_t code);

/**
 * viommu_warn_once() - tell the operator of what a guest may provoke at will,
 * once per kind
 * @kind: 0 to 31, the model's numbering
 *
 * Context: Any thread. Formats only the first time.
 */
void viommu_warn_once(Viommu *viommu, unsigned kind, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/**
 * viommu_host_error() - tell the operator of what the host refuses or breaks,
 * %VIOMMU_HOST_ERRORS_TOLD times per kind
 * @message: without the vIOMMU's name
 *
 * A host is asked as often as its guest likes.
 *
 * Context: Any thread. Formats only what is told.
 */
void viommu_host_error(Viommu *viommu, ViommuHostError kind,
                       const char *message);

#endif
