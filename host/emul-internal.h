/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The emulated host, between its own files: descriptors and device IDs lead to
 * queues without a lock (EmulSlots), objects live under one lock, each queue
 * has its own.
 *
 * Threads: any.
 * Locks:   EmulHost::lock, EmulQueue::lock and EmulControls::lock are leaves,
 *          so none of them is ever taken under another. Where a step needs two,
 *          it takes them one after the other and its comment says why that is
 *          enough.
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

/* ---- The host ---- */

typedef enum EmulType {
    EMUL_ANY,
    EMUL_IOAS,
    EMUL_HWPT,                  /* paging */
    EMUL_NESTED,                /* HWPT nested in a vIOMMU */
    EMUL_VIOMMU,
    EMUL_VDEVICE,
    EMUL_VEVENTQ,
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
} EmulHost;

/* What an fd of ours is, and which. */
typedef enum EmulFdKind {
    EMUL_FD_NONE,
    EMUL_FD_HOST,
    EMUL_FD_DEVICE,             /* index in EmulHost::devices */
    EMUL_FD_QUEUE,              /* index in EmulHost::queues */
} EmulFdKind;

#define EMUL_FD(kind, index) ((uint64_t)(kind) << 32 | (index))
#define EMUL_FD_KIND(word)   ((EmulFdKind)((word) >> 32))
#define EMUL_FD_INDEX(word)  ((uint32_t)(word))

/* Where a device's events go and what StreamID they carry; 0 is nowhere. */
#define EMUL_ROUTE(queue_index, vsid) ((uint64_t)(queue_index) << 32 | (vsid))
#define EMUL_ROUTE_QUEUE(word)        ((uint32_t)((word) >> 32))
#define EMUL_ROUTE_VSID(word)         ((uint32_t)(word))

static inline EmulHost *emul_host(HostIommu *host)
{
    return (EmulHost *)host;
}

/* The queue at @index, which must have been handed out. */
static inline EmulQueue *emul_host_queue(EmulHost *host, uint32_t index)
{
    return (EmulQueue *)(uintptr_t)emul_slots_load(&host->queues, index);
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

struct EmulHwpt {
    EmulObject obj;
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
void emul_pt_put_locked(EmulHost *host, EmulObject *pt)
    REQUIRES(&host->lock);

int emul_destroy(EmulHost *host, void *arg);
int emul_ioas_alloc(EmulHost *host, void *arg);
int emul_hwpt_alloc(EmulHost *host, void *arg);

/* Frees whatever is left, regardless of users. */
void emul_objects_free(EmulHost *host);

/* ---- emul-viommu.c, emul-veventq.c: what a guest's IOMMU is made of ---- */

typedef struct EmulNested {
    EmulObject obj;
    EmulViommu *viommu;
    uint64_t ste[2];            /* [const] host byte order */
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

struct EmulDevice {
    EmulObject obj;             /* in the table while bound */
    EmulObject *pt;             /* attached to, or NULL */
    EmulVdevice *vdevice;       /* or NULL */
    bool has_vsid;              /* a vDEVICE existed at the time of attach */
    uint32_t vsid;              /* its virt_id */
};

/* An ioctl on device fd @fd. Return: 0 or -errno. */
int emul_device_ioctl(EmulHost *host, int fd, unsigned long request,
                      void *arg);
void emul_device_close(EmulHost *host, uint32_t index);
int emul_get_hw_info(EmulHost *host, void *arg);

/* Point the events of every device on @viommu where they now belong. */
void emul_devices_reroute_locked(EmulHost *host, EmulViommu *viommu)
    REQUIRES(&host->lock);

/* ---- emul-smmuv3.c: what Linux's SMMUv3 driver accepts; pure ---- */

/* Check and normalise the words of a nested STE. Return: 0 or -EIO. */
int emul_smmuv3_check_ste(uint64_t ste[2]);

/* Whether the STE translates, so that an attach needs a vDEVICE. */
bool emul_smmuv3_ste_translates(const uint64_t ste[2]);

/**
 * emul_smmuv3_check_command() - one command of an invalidation
 * @has_sid: out: whether the command names a stream
 * @sid: out: which; it must be a vDEVICE's
 *
 * Return: 0 or -EIO.
 */
int emul_smmuv3_check_command(const uint64_t cmd[2], bool *has_sid,
                              uint32_t *sid);

/* Whether the driver hands this event record to a vEVENTQ. */
bool emul_smmuv3_forwards(const uint64_t event[4]);

/* Word 0 of an event record with another StreamID. */
uint64_t emul_smmuv3_set_sid(uint64_t word, uint32_t sid);

extern const struct iommu_hw_info_arm_smmuv3 emul_smmuv3_hw_info;

/* ---- emul-inject.c: controls ---- */

/* The errno that this call must fail with, or 0. */
int emul_controls_fail(EmulControls *controls, EmulCall call,
                       unsigned long request);

#endif
