/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The emulated host, between its own files: descriptors and device IDs lead to
 * queues without a lock (EmulSlots), objects live under one lock, each queue
 * has its own.
 *
 * Threads: any.
 * Locks:   EmulHost::lock, EmulQueue::lock, EmulFaultQueue::lock and
 *          EmulControls::lock are leaves, so none of them is ever taken under
 *          another. Where a step needs two, it takes them one after the other
 *          and its comment says why that is enough.
 */
#ifndef HOST_EMUL_INTERNAL_H
#define HOST_EMUL_INTERNAL_H

#include "emul-queue.h"
#include "host/mock-abi.h"
#include "host/vfio-abi.h"

#include <limits.h>
#include <stdatomic.h>

/* ---- emul-slots.c: a table of words that readers need no lock for ---- */

enum {
    EMUL_SLOTS_CHUNK = 1024,    /* words per chunk */
    EMUL_SLOTS_CHUNKS = 1024,
};

typedef _Atomic(uint64_t) EmulSlot;

typedef struct EmulSlots {
    /* Chunks come, and stay until emul_slots_free(). */
    _Atomic(EmulSlot *) chunks[EMUL_SLOTS_CHUNKS];
} EmulSlots;

/* The word at @index, 0 if none was stored; sees all before the store. */
uint64_t emul_slots_load(EmulSlots *slots, uint32_t index);

/**
 * emul_slots_store() - set the word at @index
 *
 * Context: Writers of a new index are serialised by the caller.
 * Return: false if @index is beyond the table.
 */
bool emul_slots_store(EmulSlots *slots, uint32_t index, uint64_t word);

/* Take the word at @index out: of two callers one gets it, the other 0. */
uint64_t emul_slots_take(EmulSlots *slots, uint32_t index);

void emul_slots_free(EmulSlots *slots);

/* ---- The host ---- */

typedef enum EmulType {
    EMUL_ANY,
    EMUL_IOAS,
    EMUL_HWPT,                  /* paging */
    EMUL_NESTED,                /* HWPT nested in a vIOMMU or a nest parent */
    EMUL_VIOMMU,
    EMUL_VDEVICE,
    EMUL_VEVENTQ,
    EMUL_FAULT,
    EMUL_DEVICE,
    EMUL_SELFTEST,              /* a mock device's outside: emul-mock.c */
} EmulType;

/* First member of every object. */
typedef struct EmulObject {
    EmulType type;
    uint32_t id;                /* 0 while not in the table */
    unsigned users;             /* who must let go before it can be destroyed */
} EmulObject;

/* Makes calls fail; emul-inject.c. */
typedef struct EmulControls {
    Lock lock;
    EmulFailure failure GUARDED_BY(&lock);
    uint64_t counted GUARDED_BY(&lock);
    atomic_bool failing;        /* [atomic] whether to look at the failure */
    atomic_uint first_sequence; /* [atomic] */
    atomic_size_t read_limit;   /* [atomic] 0: none */
} EmulControls;

/* The host's part in page faults. */
typedef struct EmulFaultHost {
    EmulFaultQueue *free_queues;    /* [EmulHost::lock] */
    uint32_t queue_count;       /* [EmulHost::lock] queues ever made */
    uint32_t last_handle;       /* [EmulHost::lock] of an attachment */
    EmulSlots queues;           /* queue index to EmulFaultQueue */
    EmulSlots ports;            /* device ID to EmulSlots, as below */
    EmulAnswerHandler handler;  /* [const] once there are faults */
} EmulFaultHost;

typedef struct EmulHost {
    HostIommu base;
    Lock lock;
    GPtrArray *objects GUARDED_BY(&lock);   /* by ID */
    GPtrArray *devices GUARDED_BY(&lock);   /* open device fds, with holes */
    EmulQueue *free_queues GUARDED_BY(&lock);
    uint32_t queue_count GUARDED_BY(&lock); /* queues ever made */
    EmulStats stats GUARDED_BY(&lock);  /* objects, invalidations, busy */
    EmulMapped mapped GUARDED_BY(&lock);
    EmulControls controls;
    EmulSlots queues;           /* queue index to EmulQueue */
    EmulSlots fds;              /* fd to EMUL_FD() */
    EmulSlots routes;           /* device ID to EMUL_ROUTE() */
    EmulFaultHost faults;
} EmulHost;

/* What an fd of ours is, and which. */
typedef enum EmulFdKind {
    EMUL_FD_NONE,
    EMUL_FD_HOST,
    EMUL_FD_DEVICE,             /* index in EmulHost::devices */
    EMUL_FD_QUEUE,              /* index in EmulHost::queues */
    EMUL_FD_FAULT,              /* index in EmulFaultHost::queues */
} EmulFdKind;

#define EMUL_FD(kind, index) ((uint64_t)(kind) << 32 | (index))
#define EMUL_FD_KIND(word)   ((EmulFdKind)((word) >> 32))
#define EMUL_FD_INDEX(word)  ((uint32_t)(word))

/* Where a device's events go and what StreamID they carry; 0 is nowhere. */
#define EMUL_ROUTE(queue_index, vsid) ((uint64_t)(queue_index) << 32 | (vsid))
#define EMUL_ROUTE_QUEUE(word)        ((uint32_t)((word) >> 32))
#define EMUL_ROUTE_VSID(word)         ((uint32_t)(word))

/*
 * Where the page faults of a device's PASID go (PASID 0: those without one), in
 * a table per device ID: the queue, the attachment's handle, and whether PASIDs
 * that are not attached go the same way. 0: not attached, or the RID without a
 * queue. NOWHERE: a PASID attached without one, for which the RID's does not
 * stand in.
 */
#define EMUL_FAULT_ROUTE(queue_index, handle, any) \
    ((uint64_t)(queue_index) << 32 | (uint64_t)(handle) << 1 | (any))
#define EMUL_FAULT_ROUTE_NOWHERE UINT64_C(1)    /* no queue has index 0 */
#define EMUL_FAULT_ROUTE_QUEUE(word)  ((uint32_t)((word) >> 32))
#define EMUL_FAULT_ROUTE_HANDLE(word) ((uint32_t)(word) >> 1)
#define EMUL_FAULT_ROUTE_ANY(word)    ((word) & 1)

static inline EmulHost *emul_host(HostIommu *host)
{
    return (EmulHost *)host;
}

/* The queue at @index, which must have been handed out. */
static inline EmulQueue *emul_host_queue(EmulHost *host, uint32_t index)
{
    return (EmulQueue *)(uintptr_t)emul_slots_load(&host->queues, index);
}

static inline EmulFaultQueue *emul_host_fault_queue(EmulHost *host,
                                                    uint32_t index)
{
    return (EmulFaultQueue *)(uintptr_t)
        emul_slots_load(&host->faults.queues, index);
}

/* ---- emul-object.c: IDs, users, IOAS and HWPT ---- */

typedef struct EmulHwpt EmulHwpt;
typedef struct EmulViommu EmulViommu;
typedef struct EmulVdevice EmulVdevice;
typedef struct EmulDevice EmulDevice;
typedef struct EmulDriver EmulDriver;

/* The IOVAs that a domain can map: @first to @last, multiples of @align. */
typedef struct EmulGeometry {
    uint64_t first;
    uint64_t last;
    uint64_t align;             /* a power of two, 4096 at most */
} EmulGeometry;

typedef struct EmulMap {
    uint64_t first;             /* IOVAs */
    uint64_t last;
    uint64_t start;             /* address, or offset in the file */
    bool by_file;
    dev_t dev;                  /* of the file */
    ino_t ino;
    bool writeable;
    int pin_err;                /* 0, or what a domain says of the memory */
} EmulMap;

typedef struct EmulIoas {
    EmulObject obj;
    EmulHwpt *auto_hwpt;        /* made by attaching to the IOAS, or NULL */
    GSList *domains;            /* its paging HWPTs */
    GArray *maps;               /* EmulMap, by IOVA; NULL: none yet */
} EmulIoas;

/* A fault queue object; HWPTs are its users. */
typedef struct EmulFault {
    EmulObject obj;
    EmulFaultQueue *queue;
    uint64_t generation;        /* of the queue, while it is ours */
    unsigned destroyers;        /* IOMMU_DESTROY calls; the last one frees */
} EmulFault;

/* First member of the HWPTs: what an attachment needs of either kind. */
typedef struct EmulPt {
    EmulObject obj;
    EmulFault *fault;           /* where page faults go, or NULL */
    bool pasid_compat;          /* IOMMU_HWPT_ALLOC_PASID */
} EmulPt;

struct EmulHwpt {
    EmulPt pt;
    EmulIoas *ioas;
    EmulGeometry geometry;      /* [const] */
    bool mock;                  /* [const] the mock driver's */
    bool nest_parent;
    bool auto_domain;           /* goes with its last attachment */
    bool dirty;                 /* IOMMU_HWPT_ALLOC_DIRTY_TRACKING */
};

/* Give @obj the lowest free ID, from 1. */
void emul_object_add_locked(EmulHost *host, EmulObject *obj, EmulType type)
    REQUIRES(&host->lock);

/* Free the ID, or (@bury) never give it out again. @obj stays. */
void emul_object_remove_locked(EmulHost *host, EmulObject *obj, bool bury)
    REQUIRES(&host->lock);

/* The object with @id, or NULL if there is none or it is not of @type. */
EmulObject *emul_object_find_locked(EmulHost *host, uint32_t id, EmulType type)
    REQUIRES(&host->lock);

/* The IOAS' automatic HWPT, made for @device if there is none: 0 or -errno. */
int emul_ioas_get_auto_locked(EmulHost *host, EmulIoas *ioas,
                              const EmulDevice *device, EmulHwpt **hwpt)
    REQUIRES(&host->lock);

/* Let go of a page table; an automatic one goes with its last user. */
void emul_pt_put_locked(EmulHost *host, EmulPt *pt) REQUIRES(&host->lock);

/* The fault queue goes with the HWPT's life. */
void emul_pt_put_fault(EmulPt *pt);

/**
 * emul_copy_struct() - copy a structure of the user's as the kernel does
 *
 * A shorter one is filled up with zeroes, a longer one must end in zeroes.
 *
 * Return: 0 or -E2BIG.
 */
int emul_copy_struct(void *dst, size_t dst_len, const void *src,
                     size_t src_len);

int emul_destroy(EmulHost *host, void *arg);
int emul_ioas_alloc(EmulHost *host, void *arg);
int emul_hwpt_alloc(EmulHost *host, void *arg);

/* Frees whatever is left, regardless of users. */
void emul_objects_free(EmulHost *host) REQUIRES(&host->lock);

/* ---- emul-ioas.c: what an IOAS maps ---- */

int emul_ioas_map(EmulHost *host, void *arg);
int emul_ioas_map_file(EmulHost *host, void *arg);
int emul_ioas_unmap(EmulHost *host, void *arg);
int emul_ioas_iova_ranges(EmulHost *host, void *arg);

/* The mapping that has @iova, or NULL. */
const EmulMap *emul_ioas_find_map_locked(EmulHost *host, EmulIoas *ioas,
                                         uint64_t iova)
    REQUIRES(&host->lock);

/* A paging HWPT comes: all that is mapped must suit it. 0 or -errno. */
int emul_ioas_add_domain_locked(EmulHost *host, EmulIoas *ioas, EmulHwpt *hwpt)
    REQUIRES(&host->lock);
void emul_ioas_remove_domain_locked(EmulHost *host, EmulIoas *ioas,
                                    EmulHwpt *hwpt)
    REQUIRES(&host->lock);

/* With its mappings; the memory only. */
void emul_ioas_free_locked(EmulHost *host, EmulIoas *ioas)
    REQUIRES(&host->lock);

/* ---- emul-viommu.c, emul-veventq.c: what a guest's IOMMU is made of ---- */

/* Nested in a vIOMMU or in a nest parent. */
typedef struct EmulNested {
    union {
        EmulPt pt;
        EmulObject obj;         /* its first member */
    };
    const EmulDriver *driver;   /* [const] whose data it holds: */
    union {
        uint64_t ste[2];        /* [const] SMMUv3: host byte order */
        struct iommu_hwpt_vtd_s1 s1;    /* [const] VT-d */
        uint32_t iotlb[MOCK_NESTED_DOMAIN_IOTLB_NUM];   /* mock */
    };
    EmulViommu *viommu;         /* NULL: directly in */
    EmulHwpt *parent;           /* the nest parent, else NULL */
} EmulNested;

typedef struct EmulVeventq {
    EmulObject obj;
    EmulViommu *viommu;
    uint32_t type;
    EmulQueue *queue;
    uint64_t generation;        /* of the queue, while it is ours */
} EmulVeventq;

struct EmulViommu {
    EmulObject obj;
    const EmulDriver *driver;   /* [const] */
    EmulHwpt *parent;
    uint64_t mmap_offset;       /* [const] mock: of its pages; 0: none */
    GHashTable *vdevices;       /* by &EmulVdevice::virt_id */
    GSList *veventqs;
};

struct EmulVdevice {
    EmulObject obj;
    EmulViommu *viommu;
    EmulDevice *device;
    uint64_t virt_id;
};

int emul_viommu_alloc(EmulHost *host, void *arg);
int emul_vdevice_alloc(EmulHost *host, void *arg);
int emul_veventq_alloc(EmulHost *host, void *arg);
int emul_invalidate(EmulHost *host, void *arg);

/* IOMMU_HWPT_ALLOC for @device on @pt, a vIOMMU or a paging HWPT. */
int emul_nested_alloc_locked(EmulHost *host, const EmulDevice *device,
                             EmulObject *pt, struct iommu_hwpt_alloc *cmd)
    REQUIRES(&host->lock);

/* The vIOMMU's queue of @type, or NULL. */
EmulVeventq *emul_viommu_find_veventq(EmulViommu *viommu, uint32_t type);

void emul_viommu_destroy_locked(EmulHost *host, EmulViommu *viommu)
    REQUIRES(&host->lock);
void emul_nested_destroy_locked(EmulHost *host, EmulNested *nested)
    REQUIRES(&host->lock);
void emul_vdevice_destroy_locked(EmulHost *host, EmulVdevice *vdevice,
                                 bool bury)
    REQUIRES(&host->lock);
/* After emul_queue_stop() of its queue. */
void emul_veventq_destroy_locked(EmulHost *host, EmulVeventq *veventq)
    REQUIRES(&host->lock);

/* ---- emul-attach.c: what devices are attached to ---- */

typedef struct EmulAttachment {
    EmulPt *pt;                 /* NULL: not attached */
    uint32_t handle;            /* never twice the same */
} EmulAttachment;

struct EmulDevice {
    EmulObject obj;             /* in the table while bound */
    const EmulDriver *driver;   /* [const] of the IOMMU that it is behind */
    uint8_t pasid_bits;         /* [const] 0: PASIDs cannot be attached */
    uint64_t capabilities;      /* [const] IOMMU_HW_CAP_* */
    union {
        EmulAttachment rid;     /* of the device itself */
        EmulObject *pt;         /* its first member, as an object */
    };
    GHashTable *pasids;         /* by PASID: EmulAttachment; NULL: none yet */
    EmulVdevice *vdevice;       /* or NULL */
    bool has_vsid;              /* its events have a StreamID: */
    uint32_t vsid;              /* the lower half of a virt_id */
};

typedef enum EmulAttachMode {
    EMUL_ATTACH,                /* EBUSY if it is attached */
    EMUL_REPLACE,               /* EINVAL if it is not */
    EMUL_ATTACH_OR_REPLACE,     /* as VFIO does */
} EmulAttachMode;

/**
 * emul_attach_locked() - attach a device, or a PASID of it
 * @pasid: 0: the device itself
 * @pt_id: what to; out: the HWPT, which for an IOAS is its automatic one
 * @ended: for emul_faults_end()
 */
int emul_attach_locked(EmulHost *host, EmulDevice *device, uint32_t pasid,
                       EmulAttachMode mode, uint32_t *pt_id, GArray *ended)
    REQUIRES(&host->lock);

/* No effect on what is not attached. */
void emul_detach_locked(EmulHost *host, EmulDevice *device, uint32_t pasid,
                        GArray *ended) REQUIRES(&host->lock);

/* What @pasid is attached to, or NULL. */
EmulPt *emul_attached_pt(const EmulDevice *device, uint32_t pasid);

/* The vIOMMU whose guest programs the device's stage 1, or NULL. */
EmulViommu *emul_device_viommu(const EmulDevice *device);

/* Point the events of every device on @viommu where they now belong. */
void emul_devices_reroute_locked(EmulHost *host, EmulViommu *viommu)
    REQUIRES(&host->lock);

/* ---- emul-device.c: VFIO devices, and what all devices have ---- */

/* An ioctl on device fd @fd. Return: 0 or -errno. */
int emul_device_ioctl(EmulHost *host, int fd, unsigned long request,
                      void *arg);
void emul_device_close(EmulHost *host, uint32_t index);
/* The memory, of an EmulDevice or NULL. */
void emul_device_free(gpointer opaque);
int emul_get_hw_info(EmulHost *host, void *arg);

/* Into the lowest hole of EmulHost::devices. Return: where that is. */
uint32_t emul_device_add_locked(EmulHost *host, EmulDevice *device)
    REQUIRES(&host->lock);
void emul_device_remove_locked(EmulHost *host, EmulDevice *device)
    REQUIRES(&host->lock);

/* The object comes. Return: 0 or -ENOMEM. */
int emul_device_bind_locked(EmulHost *host, EmulDevice *device)
    REQUIRES(&host->lock);

/* All attachments end, the vDEVICE and the object go. */
void emul_device_unbind_locked(EmulHost *host, EmulDevice *device,
                               GArray *ended) REQUIRES(&host->lock);

/* ---- emul-mock.c: devices of the mock driver, and its test ioctl ---- */

int emul_test(EmulHost *host, void *arg);

/* IOMMU_DESTROY of a stdev. */
void emul_stdev_destroy_locked(EmulHost *host, EmulObject *stdev,
                               GArray *ended) REQUIRES(&host->lock);

/* ---- emul-fault.c: fault queue objects, and the way to them ---- */

/* A queue and one attachment whose faults went there. */
typedef struct EmulEnded {
    EmulFaultQueue *queue;
    uint32_t handle;
} EmulEnded;

int emul_fault_alloc(EmulHost *host, void *arg);

/* After emul_fault_queue_stop() of its queue. */
void emul_fault_destroy_locked(EmulHost *host, EmulFault *fault)
    REQUIRES(&host->lock);

/* An IOMMU_DESTROY of it is over, whatever came of it. */
void emul_fault_put_destroyer_locked(EmulHost *host, EmulFault *fault)
    REQUIRES(&host->lock);

/**
 * emul_fault_attach_locked() - route a PASID's page faults
 * @pasid: 0: those without one
 * @attachment: NULL: nowhere
 */
void emul_fault_attach_locked(EmulHost *host, const EmulDevice *device,
                              uint32_t pasid,
                              const EmulAttachment *attachment)
    REQUIRES(&host->lock);

/* Note the end of @attachment, for emul_faults_end(). */
void emul_fault_note_end(GArray *ended, const EmulAttachment *attachment);

/* With no lock held, and before the call returns to the user. */
void emul_faults_end(const GArray *ended);

void emul_faults_free(EmulHost *host) REQUIRES(&host->lock);

/* ---- emul-inject.c: controls ---- */

/* The errno that this call must fail with, or 0. */
int emul_controls_fail(EmulControls *controls, EmulCall call,
                       unsigned long request);

typedef void EmulSetSidFunc(void *event, uint32_t sid);

/* A device has an event, to which @set_sid gives the StreamID of its route. */
EmulReport emul_report_routed(EmulHost *host, uint32_t dev_id, void *event,
                              size_t size, EmulSetSidFunc *set_sid);

extern const HardwareOps emul_hardware_ops;

#endif
