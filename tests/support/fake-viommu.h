/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A vIOMMU without an architecture, on the emulated host: a model that has no
 * registers, only a page request queue, which a test enlarges, switches off and
 * takes entries from; VT-d devices whose PASIDs the test attaches; emulated
 * devices that keep what comes back.
 *
 * The queue keeps PageSinkOps to the letter, and asserts that its user does:
 * what is delivered was promised room.
 *
 * Threads: without an IOThread the test's own thread is home of the context,
 *          so every step is the test's: fake_pump() runs what is due. The
 *          guest's calls on any one thread that is registered with RCU.
 * Locks:   the ring_lock, as a model; FakeMachine::lock, a leaf.
 */
#ifndef TESTS_SUPPORT_FAKE_VIOMMU_H
#define TESTS_SUPPORT_FAKE_VIOMMU_H

#include "host/emul.h"
#include "hw/iommu/viommu-internal.h"
#include "iothread/iothread.h"
#include "message-log.h"

#define FAKE_QUEUE_MAX 16383

/* Instead of a capacity: a model that takes no page requests. */
#define FAKE_NO_PAGES UINT32_MAX

/* What the model itself answers while its queue is off. */
#define FAKE_CODE_OFF 0xf

/* An entry of the guest's queue. */
typedef struct FakeEntry {
    PageRequestKey key;
    uint64_t addr;
    uint32_t perm;
    bool last;
} FakeEntry;

/**
 * struct FakeQueue - the guest's queue. [ring_lock]
 * @entries: a ring of FAKE_QUEUE_MAX
 * @capacity: 0: off
 * @wanted: somebody waits for room for so many; 0: nobody does
 * @promised: what the last room() said, less what was delivered since
 * @overflow: until the guest acknowledges
 * @deliveries: calls with groups
 */
typedef struct FakeQueue {
    FakeEntry *entries;
    uint32_t capacity;
    uint32_t head;
    uint32_t used;
    uint32_t wanted;
    uint32_t promised;
    bool overflow;
    unsigned deliveries;
} FakeQueue;

typedef struct FakeViommu {
    Viommu parent;              /* first */
    FakeQueue queue;
    atomic_bool present;        /* is every page of the guest's there? */
    atomic_uint walks;          /* calls of the translate op */
} FakeViommu;

typedef struct FakeMachine {
    HostIommu *host;
    IOThread *iothread;         /* NULL: the context's home is the test */
    AioContext *ctx;
    GuestMem *mem;
    IrqSink irq;
    FakeViommu *model;
    Viommu *viommu;             /* the same */
    Lock lock;
    GArray *host_answers GUARDED_BY(&lock);     /* EmulPageAnswer, in order */
} FakeMachine;

/**
 * fake_machine_new() - a host without devices, a vIOMMU with its queue on
 * @capacity: of the guest's queue; 0: it is off; or %FAKE_NO_PAGES
 * @iothread: on an IOThread of its own
 */
FakeMachine *fake_machine_new(uint32_t capacity, bool iothread);

/*
 * Every device is gone. Asserts that nothing is left on the host, that no
 * IOMMU_DESTROY found its object in use, and that every group was counted.
 */
void fake_machine_free(FakeMachine *m);

/* Run the context until it makes no progress. Not with an IOThread. */
void fake_pump(FakeMachine *m);

/* raised = answered + invalid + retried + open, at rest. */
ViommuPageStats fake_assert_balanced(FakeMachine *m);

/* ---- Devices of the host ---- */

typedef struct FakeDevice {
    VfioDevice *vfio;
    uint32_t rid;
    uint32_t dev_id;
} FakeDevice;

/* Bind a device and plug it in; it is attached to nothing. */
FakeDevice *fake_plug(FakeMachine *m, uint32_t rid);

/* Unplug, which detaches whatever is attached; close. */
void fake_unplug(FakeMachine *m, FakeDevice *device);

/**
 * fake_attach() - attach @pasid to a nested HWPT of its own, or move it there
 * @pasid: or %PAGE_REQUEST_NO_PASID
 * @faults: its page requests go to the fault queue
 *
 * Return: false and @error set: nothing is attached, nothing is left.
 */
bool fake_attach(FakeMachine *m, FakeDevice *device, uint32_t pasid,
                 bool faults, GError **error);

/* The same; must succeed. With faults. */
void fake_attach_ok(FakeMachine *m, FakeDevice *device, uint32_t pasid);
void fake_detach(FakeMachine *m, FakeDevice *device, uint32_t pasid);

/**
 * fake_raise() - the device's hardware asks for @count pages, read and write
 * @index: page request group index, and tag of the answer
 */
EmulReport fake_raise(FakeMachine *m, FakeDevice *device, uint32_t pasid,
                      uint32_t index, unsigned count);

/* The same, with other permissions; must be taken. */
void fake_raise_perm(FakeMachine *m, FakeDevice *device, uint32_t pasid,
                     uint32_t index, uint32_t perm);

/* How many groups the host's devices have heard of; the one at @i. */
unsigned fake_host_answers(FakeMachine *m);
EmulPageAnswer fake_host_answer(FakeMachine *m, unsigned i);

/* ---- Emulated devices ---- */

/* What came back, in order. Its thread is that of the AioContext. */
typedef struct FakeSva {
    SvaDevice *device;
    uint32_t rid;
    GPtrArray *returned;        /* SvaGroup, not freed */
    void (*responded)(struct FakeSva *sva, SvaGroup *group);    /* or NULL */
    void *opaque;               /* for it */
} FakeSva;

/* In the machine's own context, or another. */
FakeSva *fake_add_sva(FakeMachine *m, uint32_t rid, uint32_t credits);
FakeSva *fake_add_sva_in(FakeMachine *m, AioContext *ctx, uint32_t rid,
                         uint32_t credits);

/* Removes the device, if it is there still, and frees what came back. */
void fake_remove_sva(FakeSva *sva);

/* A group of @count pages, read and write, not asked for yet. */
SvaGroup *fake_group_new(uint32_t pasid, uint32_t index, uint32_t count);
SvaGroup *fake_stop_marker_new(uint32_t pasid);
void fake_group_free(SvaGroup *group);

/* Ask for a new group's pages; must be taken. Return: borrowed. */
SvaGroup *fake_ask(FakeSva *sva, uint32_t pasid, uint32_t index,
                   uint32_t count);

/* ---- The guest ---- */

/* Of another size, 0: off. What is in it is gone; nothing is acknowledged. */
void fake_set_queue(FakeMachine *m, uint32_t capacity);

/* Take an entry out, which makes room. Return: false if there is none. */
bool fake_take(FakeMachine *m, FakeEntry *entry);

/* Take out all entries of one group, or of all. Return: the entries. */
unsigned fake_take_group(FakeMachine *m, PageRequestKey *key);
unsigned fake_take_all(FakeMachine *m);

unsigned fake_queue_used(FakeMachine *m);
void fake_acknowledge_overflow(FakeMachine *m);

/* A page group response. */
void fake_respond(FakeMachine *m, uint32_t rid, uint32_t pasid, uint32_t index,
                  uint32_t code);

/* Take every entry out, answer every group. Return: groups. */
unsigned fake_serve_all(FakeMachine *m, uint32_t code);

/* Reset. */
void fake_drop_all(FakeMachine *m);

/* ---- Between the files: a device as the model keeps it ---- */

typedef struct FakeModelDevice {
    ViommuDevice parent;        /* first */
    GHashTable *hwpts;          /* PASID to ViommuHwpt. [config_lock] */
} FakeModelDevice;

bool fake_model_attach(Viommu *viommu, ViommuDevice *device, GError **error);
void fake_model_detach(Viommu *viommu, ViommuDevice *device);

#endif
