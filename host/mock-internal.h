/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The dressed mock driver, between its own files: descriptors and device IDs
 * lead to what they stand for without a lock (EmulSlots), and what they lead to
 * is type-stable: it goes back to a pool, never to malloc(), so whoever found
 * it may always take its lock, and then finds out whether it still is what he
 * looked for.
 *
 * What a driver for real hardware takes is what the emulated one takes
 * (emul-smmuv3.c, emul-vtd.c): the mock driver looks at none of it.
 *
 * Threads: any, as host/mock.h says.
 * Locks:   MockDevice::lock or MockParking::lock, then MockEvents::lock, then
 *          MockHost::lock, a leaf. All but that are held across an ioctl of
 *          the host below.
 */
#ifndef HOST_MOCK_INTERNAL_H
#define HOST_MOCK_INTERNAL_H

#include "emul-driver.h"
#include "emul-smmuv3.h"

#include "host/mock-abi.h"
#include "host/mock.h"

/* Page request group indices are below: PCIe's 9 bits. */
enum { MOCK_GROUPS = 512 };

typedef struct MockDevice MockDevice;
typedef struct MockEvents MockEvents;
typedef struct MockFaults MockFaults;

typedef enum MockFileKind {
    MOCK_FILE_DEVICE,
    MOCK_FILE_EVENTS,
    MOCK_FILE_FAULTS,
} MockFileKind;

/* First member of what an fd stands for. */
typedef struct MockFile {
    MockFileKind kind;          /* [const] */
    struct MockFile *next_free; /* [MockHost::lock] */
} MockFile;

/* ---- Events ---- */

typedef struct MockEvent {
    uint64_t words[4];          /* as reported */
    uint64_t number;            /* of the queue's events, lost ones included */
} MockEvent;

/* What the kernel's queue holds, in its order: it keeps only whose it is. */
typedef struct MockRing {
    MockEvent *events;          /* NULL: there is no queue */
    uint32_t depth;
    uint32_t head;              /* the oldest */
    uint32_t used;
} MockRing;

typedef struct MockEventCounts {
    uint64_t generated;
    uint64_t dropped;
    uint64_t unseen;            /* since the newest that a reader knows of */
} MockEventCounts;

/*
 * Of one vIOMMU. Reports and reads exclude each other, so how full the kernel's
 * queue is, and with it which event is lost, is known and not guessed.
 */
struct MockEvents {
    MockFile file;
    Lock lock;
    MockRing ring GUARDED_BY(&lock);
    MockEventCounts counts GUARDED_BY(&lock);   /* two of them survive reuse */
    uint64_t next_number GUARDED_BY(&lock);
    int fd GUARDED_BY(&lock);   /* of the vEVENTQ; -1 without */
};

/* ---- Page requests ---- */

typedef enum MockGroupState {
    MOCK_GROUP_NONE,
    MOCK_GROUP_OPEN,
} MockGroupState;

/*
 * One group index of a device. Filled by who raises it, then open; the home
 * thread notes the cookie, and whoever takes the state answers.
 */
typedef struct MockGroup {
    MockDevice *device;         /* [const] */
    uint32_t grpid;             /* [const] */
    _Atomic uint32_t state;     /* enum MockGroupState */
    uint32_t dev_id;
    uint32_t pasid;
    uint32_t via;               /* PASID of the attachment that it came by */
    MockFaults *faults;
    uint64_t tag;
    uint64_t cookie;            /* [iothread] 1 more, 0: not read */
} MockGroup;

/* A fault queue. */
struct MockFaults {
    MockFile file;
    _Atomic uint32_t open;      /* groups raised and not answered */
    _Atomic uint32_t reserved;  /* [MockHost::lock] to set: room in cookies */
    EmulSlots cookies;          /* to MockGroup */
};

/* ---- Devices ---- */

/* Where a device, or a PASID of it, is attached. */
typedef struct MockAttachment {
    uint32_t hwpt_id;
    bool nested;
    MockEvents *events;         /* of its vIOMMU, or NULL */
    MockFaults *faults;         /* or NULL */
} MockAttachment;

struct MockDevice {
    MockFile file;
    Lock lock;
    HardwareIommu iommu;        /* [const] while open */
    uint32_t stdev_id GUARDED_BY(&lock);    /* 0: not bound */
    uint32_t dev_id GUARDED_BY(&lock);
    uint32_t parking_id GUARDED_BY(&lock);  /* the HWPT if it is detached */
    MockAttachment rid GUARDED_BY(&lock);   /* hwpt_id 0: parked */
    GHashTable *pasids GUARDED_BY(&lock);   /* by PASID: MockAttachment */
    MockGroup groups[MOCK_GROUPS];
};

/*
 * The mock driver has no device that is attached to nothing. Those that VFIO
 * would have so are attached to a HWPT of their own that takes PASIDs, on an
 * IOAS of its own.
 */
typedef struct MockParking {
    Lock lock;                  /* as a device's */
    uint32_t ioas_id GUARDED_BY(&lock);
    uint32_t hwpt_id GUARDED_BY(&lock);
    unsigned devices GUARDED_BY(&lock);
} MockParking;

/* ---- The host ---- */

typedef enum MockObjectType {
    MOCK_OBJECT_HWPT,
    MOCK_OBJECT_VIOMMU,
    MOCK_OBJECT_VDEVICE,
    MOCK_OBJECT_VEVENTQ,
    MOCK_OBJECT_FAULT,
} MockObjectType;

/**
 * struct MockObject - what has to be known of an object of the host below
 * @nested: of a HWPT
 * @attach_err: of a HWPT: why an attach to it fails, -errno, or 0
 * @viommu_id, @dev_id, @virt_id: of a vDEVICE
 * @events: of a HWPT on a vIOMMU, a vIOMMU, a vEVENTQ
 * @faults: of a HWPT or a fault queue, or NULL
 */
typedef struct MockObject {
    MockObjectType type;
    uint32_t id;
    bool nested;
    int attach_err;
    uint32_t viommu_id;
    uint32_t dev_id;
    uint64_t virt_id;
    MockEvents *events;
    MockFaults *faults;
} MockObject;

typedef struct MockCounts {
    _Atomic uint64_t raised;
    _Atomic uint64_t answered;
    _Atomic uint64_t automatic;
    _Atomic uint64_t invalidations;
    _Atomic uint64_t invalidate_ioctls;
    _Atomic uint64_t busy;
} MockCounts;

typedef struct MockHost {
    HostIommu base;
    HostIommu *inner;           /* [const] owned */
    Lock lock;
    GPtrArray *files GUARDED_BY(&lock); /* every MockFile, owned */
    MockFile *free[3] GUARDED_BY(&lock);    /* by kind */
    GHashTable *objects GUARDED_BY(&lock);  /* by ID: MockObject */
    GHashTable *ids GUARDED_BY(&lock);  /* of objects that are ours */
    MockParking parking;
    EmulSlots fds;              /* fd to MockFile */
    EmulSlots devices;          /* device ID to MockDevice */
    EmulAnswerHandler handler;  /* [const] once there are faults */
    MockCounts counts;
} MockHost;

static inline MockHost *mock_host(HostIommu *host)
{
    return (MockHost *)host;
}

static inline void mock_count(_Atomic uint64_t *count, uint64_t by)
{
    atomic_fetch_add_explicit(count, by, memory_order_relaxed);
}

/* ---- mock.c ---- */

/* An ioctl on the iommufd below. Return: 0 or -errno. */
int mock_ioctl(MockHost *host, unsigned long request, void *arg);

/* IOMMU_DESTROY below. Return: 0 or -errno. */
int mock_destroy(MockHost *host, uint32_t id);
int mock_destroy_cmd(MockHost *host, struct iommu_destroy *cmd);

/* ---- mock-object.c: what is known of the objects below ---- */

/* One from the pool, or a new one; all but its locks as if new. */
MockFile *mock_file_get(MockHost *host, MockFileKind kind);
void mock_file_put(MockHost *host, MockFile *file);

/* What @fd stands for, or NULL. */
MockFile *mock_file_find(MockHost *host, int fd);

/* Note an ID that the host below gave, whatever has it. */
void mock_note_id(MockHost *host, uint32_t id);

/* It is to be destroyed. Return: whether it was noted. */
bool mock_forget_id(MockHost *host, uint32_t id);

/* @object is copied. */
void mock_object_add(MockHost *host, const MockObject *object);

/* Copy the object with @id out. Return: false if none of @type is known. */
bool mock_object_find(MockHost *host, uint32_t id, MockObjectType type,
                      MockObject *object);

/* The same, and forget it: for its destruction; or of any type. */
bool mock_object_take(MockHost *host, uint32_t id, MockObject *object);

/* Forget the vDEVICEs of a device, which go with it. */
void mock_object_forget_vdevices(MockHost *host, uint32_t dev_id);

/* A vDEVICE of a vIOMMU. Return: false if there is none. */
bool mock_object_find_vdevice(MockHost *host, uint32_t viommu_id,
                              uint64_t *virt_id);

/* ---- mock-alloc.c: ioctls on the iommufd; 0 or -errno ---- */

int mock_ioas_alloc(MockHost *host, void *arg);
int mock_hwpt_alloc(MockHost *host, void *arg);
int mock_viommu_alloc(MockHost *host, void *arg);
int mock_vdevice_alloc(MockHost *host, void *arg);
int mock_veventq_alloc(MockHost *host, void *arg);
int mock_fault_alloc(MockHost *host, void *arg);
int mock_get_hw_info(MockHost *host, void *arg);

/* IOMMU_DESTROY */
int mock_object_destroy(MockHost *host, void *arg);

/* ---- mock-invalidate.c ---- */

int mock_invalidate(MockHost *host, void *arg);

/* ---- mock-device.c: VFIO devices ---- */

int mock_device_open(HostIommu *host, HardwareIommu iommu);
int mock_device_ioctl(MockHost *host, MockDevice *device,
                      unsigned long request, void *arg);
void mock_device_close(MockHost *host, MockDevice *device);

/* Who had @dev_id a moment ago: look again under its lock; or NULL. */
MockDevice *mock_device_find(MockHost *host, uint32_t dev_id);

/* The IOMMU that @dev_id seems to be behind. Return: false if not ours. */
bool mock_device_iommu(MockHost *host, uint32_t dev_id, HardwareIommu *iommu);

/* ---- mock-events.c ---- */

/* The life of the queue: those two call the host below under the lock. */
int mock_events_start(MockHost *host, MockEvents *events,
                      struct iommu_veventq_alloc *cmd);
int mock_events_stop(MockHost *host, MockEvents *events, uint32_t id);

ssize_t mock_events_read(MockHost *host, MockEvents *events, int fd, void *buf,
                         size_t count);

HardwareReport mock_report_event(HostIommu *host, uint32_t dev_id,
                                 const uint64_t event[4]);

/* ---- mock-pages.c ---- */

ssize_t mock_faults_read(MockHost *host, MockFaults *faults, int fd, void *buf,
                         size_t count);
ssize_t mock_faults_write(MockHost *host, MockFaults *faults, int fd,
                          const void *buf, size_t count);

HardwareReport mock_request_page(HostIommu *host,
                                 const HardwarePageRequest *request);

/* Groups that an attachment's end has answered. */
typedef struct MockEnded {
    size_t count;
    HardwarePageAnswer answers[MOCK_GROUPS];
} MockEnded;

/* Not a PASID: whatever the attachment. */
#define MOCK_VIA_ALL UINT32_MAX

/* The kernel has ended what came by the attachment of PASID @via. */
void mock_groups_end_locked(MockHost *host, MockDevice *device, uint32_t via,
                            MockEnded *ended) REQUIRES(&device->lock);

/* Tell of it, with no lock held. */
void mock_groups_tell(MockHost *host, const MockEnded *ended);

#endif
