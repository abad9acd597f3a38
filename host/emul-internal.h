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

#include "base/lock.h"
#include "host/emul.h"
#include "host/iommufd-abi.h"
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

/* ---- emul-queue.c: the events of one vEVENTQ ---- */

/* An event as read() gives it. */
typedef struct EmulRecord {
    struct iommufd_vevent_header header;
    struct iommu_vevent_arm_smmuv3 event;
} EmulRecord;

_Static_assert(sizeof(EmulRecord) == 40, "a record must have no padding");

typedef struct EmulRing {
    EmulRecord *records;        /* NULL while the queue is not in use */
    uint32_t depth;
    uint32_t head;              /* the oldest record */
    uint32_t used;
} EmulRing;

typedef struct EmulQueueCounts {
    uint64_t generated;
    uint64_t dropped;
    uint64_t unseen;            /* sequence numbers since the last one read */
} EmulQueueCounts;

/*
 * Queues are type-stable: one that is destroyed goes back to the pool, never to
 * malloc(), so whoever found it without a lock may always take its lock, and
 * then finds out whether it still is what he looked for. The pipe holds a byte
 * exactly while a reader would get something.
 */
typedef struct EmulQueue {
    Lock lock;
    EmulRing ring;              /* [lock] */
    EmulQueueCounts counts;     /* [lock]; two of them survive reuse */
    int fd;                     /* [lock] read end; -1 once closed */
    int write_fd;               /* [lock] the other end of the pipe */
    uint32_t next_sequence;     /* [lock] */
    bool lost_tail;             /* [lock] the last event generated was lost */
    unsigned reading;           /* [lock] reads between two chunks */
    uint64_t generation;        /* [lock] counts the lives of this queue */
    uint32_t index;             /* [const] in the pool, from 1 */
    struct EmulQueue *next_free;    /* [EmulHost::lock] */
} EmulQueue;

EmulQueue *emul_queue_new(uint32_t index);

/**
 * emul_queue_start() - begin a life: an empty ring and a pipe
 * @fd: out: the read end, for the user
 *
 * Return: 0 or -errno, with nothing left behind.
 */
int emul_queue_start(EmulQueue *queue, uint32_t depth, uint32_t first_sequence,
                     int *fd, uint64_t *generation);

/**
 * emul_queue_stop() - end a life, unless somebody holds the file
 *
 * Return: 0; -EBUSY if the fd is open, a read is under way or any other
 * reference to the file is left (a thread in poll(), a dup()); -ENOENT if life
 * @generation is over.
 */
int emul_queue_stop(EmulQueue *queue, uint64_t generation);

/* End a life of which the user never learnt, and close its fd. */
void emul_queue_abandon(EmulQueue *queue);

/* The user closes @fd: the file may live on, the number may not be used. */
void emul_queue_forget_fd(EmulQueue *queue, int fd);

/* Return: bytes read, 0 if empty, or -errno; as the kernel's read(). */
ssize_t emul_queue_read(EmulQueue *queue, int fd, void *buf, size_t count);

EmulReport emul_queue_report_locked(EmulQueue *queue,
                                    const uint64_t event[4])
    REQUIRES(&queue->lock);

/* Closes what is left of it, except the user's fd. */
void emul_queue_free(EmulQueue *queue);

/* ---- emul-cookie.c: the cookies of one fault queue ---- */

typedef struct EmulGroup EmulGroup;

enum { EMUL_COOKIE_LEVELS = 5 };    /* of 64 bits: 2^30 numbers */

/* Protected by the queue's lock. All zero is empty. */
typedef struct EmulCookies {
    uint64_t *free[EMUL_COOKIE_LEVELS];     /* bits: there is a free one */
    EmulGroup **groups;         /* by number; NULL if it is not out */
    uint32_t size;              /* numbers that the arrays have room for */
    uint32_t out;
} EmulCookies;

/* The lowest free number, from 1, now @group's. */
uint32_t emul_cookies_add(EmulCookies *cookies, EmulGroup *group);

/* Whose number @cookie was, or NULL; it is free again. */
EmulGroup *emul_cookies_take(EmulCookies *cookies, uint32_t cookie);

/* As new; none may be out. */
void emul_cookies_reset(EmulCookies *cookies);
void emul_cookies_free(EmulCookies *cookies);

/* ---- emul-fault-queue.c: the page faults of one fault queue ---- */

typedef struct EmulPage {
    struct EmulPage *next;
    struct iommu_hwpt_pgfault record;
} EmulPage;

struct EmulGroup {
    EmulGroup *next;            /* in whichever list it is */
    EmulPage *pages;            /* all but the last, oldest first */
    EmulPage **tail;            /* where the next of them goes */
    struct iommu_hwpt_pgfault last;
    uint32_t num;               /* pages, with the last */
    uint32_t handle;            /* of the attachment that it came through */
    uint32_t code;              /* once answered, as is: */
    bool automatic;
    uint64_t tag;
};

typedef struct EmulGroupList {
    EmulGroup *first;
    EmulGroup **end;
} EmulGroupList;

/* What is not in use, and the memory that it is made of. */
typedef struct EmulGroupPool {
    EmulGroup *groups;
    EmulPage *pages;
    GSList *blocks;
} EmulGroupPool;

typedef struct EmulFaultFile {
    int fd;                     /* the user's end; -1 once closed */
    int peer_fd;                /* the other end of the socket pair */
    unsigned using;             /* reads and writes under way */
} EmulFaultFile;

typedef struct EmulFaultCounts {
    uint64_t pages;
    uint64_t raised;            /* groups that became complete */
    uint64_t answered;
    uint64_t automatic;
} EmulFaultCounts;

typedef struct EmulAnswerHandler {
    EmulAnswerFunc *func;       /* or NULL */
    void *opaque;
} EmulAnswerHandler;

enum {
    EMUL_FAULT_BUCKETS = 256,
    EMUL_HANDLE_ALL = 0,        /* no attachment has this one */
};

/* Type-stable, as an EmulQueue. */
typedef struct EmulFaultQueue {
    Lock lock;
    EmulFaultFile file;         /* [lock] */
    EmulGroupList ready;        /* [lock] complete, oldest first, not read */
    EmulGroup *incomplete[EMUL_FAULT_BUCKETS];  /* [lock] by device and grpid */
    EmulCookies cookies;        /* [lock] read, not answered */
    EmulGroupPool pool;         /* [lock] */
    EmulFaultCounts counts;     /* [lock] survive reuse */
    bool alive;                 /* [lock] */
    uint64_t generation;        /* [lock] counts the lives of this queue */
    uint32_t index;             /* [const] in the host's pool, from 1 */
    const EmulAnswerHandler *handler;       /* [const] the host's */
    struct EmulFaultQueue *next_free;       /* [EmulHost::lock] */
} EmulFaultQueue;

EmulFaultQueue *emul_fault_queue_new(uint32_t index,
                                     const EmulAnswerHandler *handler);

/* These five as their emul_queue_ namesakes. */
int emul_fault_queue_start(EmulFaultQueue *queue, int *fd,
                           uint64_t *generation);
int emul_fault_queue_stop(EmulFaultQueue *queue, uint64_t generation);
void emul_fault_queue_abandon(EmulFaultQueue *queue);
void emul_fault_queue_forget_fd(EmulFaultQueue *queue, int fd);
void emul_fault_queue_free(EmulFaultQueue *queue);

/* Return: bytes, or -errno; as the kernel's read() and write(). */
ssize_t emul_fault_queue_read(EmulFaultQueue *queue, int fd, void *buf,
                              size_t count);
ssize_t emul_fault_queue_write(EmulFaultQueue *queue, int fd, const void *buf,
                               size_t count);

/* A page fault through attachment @handle. Return: false if it is not alive. */
bool emul_fault_queue_raise_locked(EmulFaultQueue *queue, uint32_t handle,
                                   const EmulPageRequest *request)
    REQUIRES(&queue->lock);

/* Answer what came through @handle INVALID; nothing more may come. */
void emul_fault_queue_end_handle(EmulFaultQueue *queue, uint32_t handle);

EmulFaultCounts emul_fault_queue_get_counts(EmulFaultQueue *queue);

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
    EmulFailure failure;        /* [lock] */
    uint64_t counted;           /* [lock] */
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
    GPtrArray *objects;         /* [lock] by ID */
    GPtrArray *devices;         /* [lock] open device fds, with holes */
    EmulQueue *free_queues;     /* [lock] */
    uint32_t queue_count;       /* [lock] queues ever made */
    EmulStats stats;            /* [lock] objects, invalidations, busy */
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
 * that are not attached go the same way; 0 is nowhere.
 */
#define EMUL_FAULT_ROUTE(queue_index, handle, any) \
    ((uint64_t)(queue_index) << 32 | (uint64_t)(handle) << 1 | (any))
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

typedef struct EmulIoas {
    EmulObject obj;
    EmulHwpt *auto_hwpt;        /* made by attaching to the IOAS, or NULL */
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
    bool nest_parent;
    bool auto_domain;           /* goes with its last attachment */
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

/* The IOAS' automatic HWPT, made if there is none. */
EmulHwpt *emul_ioas_get_auto_locked(EmulHost *host, EmulIoas *ioas)
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
void emul_objects_free(EmulHost *host);

/* ---- emul-viommu.c, emul-veventq.c: what a guest's IOMMU is made of ---- */

/* Nested in a vIOMMU (SMMUv3) or in a nest parent (VT-d). */
typedef struct EmulNested {
    union {
        EmulPt pt;
        EmulObject obj;         /* its first member */
    };
    EmulViommu *viommu;         /* NULL: VT-d's */
    EmulHwpt *parent;           /* VT-d: the nest parent */
    uint64_t ste[2];            /* [const] SMMUv3: host byte order */
    struct iommu_hwpt_vtd_s1 s1;    /* [const] VT-d */
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
    EmulHwpt *parent;
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

/* IOMMU_HWPT_ALLOC on a vIOMMU. */
int emul_nested_alloc_locked(EmulHost *host, EmulViommu *viommu,
                             struct iommu_hwpt_alloc *cmd)
    REQUIRES(&host->lock);

/* IOMMU_HWPT_INVALIDATE on a HWPT of VT-d. */
int emul_vtd_invalidate(const struct iommu_hwpt_invalidate *cmd,
                        uint32_t *done);

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

/* ---- emul-device.c: VFIO devices ---- */

typedef struct EmulAttachment {
    EmulPt *pt;                 /* NULL: not attached */
    uint32_t handle;            /* never twice the same */
} EmulAttachment;

struct EmulDevice {
    EmulObject obj;             /* in the table while bound */
    EmulIommu iommu;            /* [const] behind which it is */
    union {
        EmulAttachment rid;     /* of the device itself */
        EmulObject *pt;         /* its first member, as an object */
    };
    GHashTable *pasids;         /* by PASID: EmulAttachment; NULL: none yet */
    EmulVdevice *vdevice;       /* or NULL */
    bool has_vsid;              /* a vDEVICE existed at the time of attach */
    uint32_t vsid;              /* its virt_id */
};

/* An ioctl on device fd @fd. Return: 0 or -errno. */
int emul_device_ioctl(EmulHost *host, int fd, unsigned long request,
                      void *arg);
void emul_device_close(EmulHost *host, uint32_t index);
/* The memory, of an EmulDevice or NULL. */
void emul_device_free(gpointer opaque);
int emul_get_hw_info(EmulHost *host, void *arg);

/* Point the events of every device on @viommu where they now belong. */
void emul_devices_reroute_locked(EmulHost *host, EmulViommu *viommu)
    REQUIRES(&host->lock);

/* ---- emul-vtd.c: what Linux's VT-d driver accepts ---- */

/* IOMMU_HWPT_ALLOC on a nest parent. */
int emul_vtd_nested_alloc_locked(EmulHost *host, EmulHwpt *parent,
                                 struct iommu_hwpt_alloc *cmd)
    REQUIRES(&host->lock);

/* Whether the hardware can use the table: asked at attach. 0 or -EINVAL. */
int emul_vtd_check_s1(const struct iommu_hwpt_vtd_s1 *s1);

enum { EMUL_VTD_PASID_BITS = 20 };

extern const struct iommu_hw_info_vtd emul_vtd_hw_info;

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

void emul_faults_free(EmulHost *host);

/* ---- emul-inject.c: controls ---- */

/* The errno that this call must fail with, or 0. */
int emul_controls_fail(EmulControls *controls, EmulCall call,
                       unsigned long request);

#endif
