/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A VT-d unit whose guest has tables and queues, devices of the emulated host
 * behind it, and what those are attached to.
 *
 * Threads: the test's own.
 * Locks:   none.
 */
#ifndef TESTS_SUPPORT_PASID_FIXTURE_H
#define TESTS_SUPPORT_PASID_FIXTURE_H

#include "vtd-fixture.h"
#include "vtd-tables.h"

/* Two devices that share nothing, and any first-stage table. */
#define PASID_RID 0x1234
#define PASID_RID2 0x1290
#define PASID_SPACE UINT64_C(0x7f000)

/**
 * struct PasidFixture - one of them, between pasid_setup() and _teardown()
 * @ioctl_done: called after each ioctl of the host's with what it returned and
 *              what it left in @arg; returns what the caller is to see. NULL:
 *              not called
 */
typedef struct PasidFixture {
    VtdFixture *f;
    Vtd *v;
    VtdTables t;
    int (*ioctl_done)(unsigned long request, void *arg, int ret);
} PasidFixture;

extern PasidFixture pf;

/* A reset unit, no devices. @props: NULL for the defaults. */
void pasid_setup_with(const VtdProperties *props);
void pasid_setup(void);
void pasid_teardown(void);

/* Queues, root table, TE; contexts of both devices, for SVA. */
void pasid_start(void);

/* ---- The guest changes tables and invalidates what it must ---- */

/* PASID cache, one PASID of @did. */
void pasid_invalidate(uint16_t did, uint32_t pasid);
void pasid_set_first_stage(uint16_t rid, uint32_t pasid, uint16_t did,
                           uint64_t table);
void pasid_set_pass_through(uint16_t rid, uint32_t pasid, uint16_t did);
void pasid_clear(uint16_t rid, uint32_t pasid, uint16_t did);
void pasid_set_context(uint16_t rid, uint64_t bits, uint32_t rid_pasid);

/* ---- What the host has ---- */

/**
 * struct PasidPlace - what a PASID is attached to
 * @id: of the HWPT
 * @s1, @faults: of a first-stage HWPT: its words; whether it has a fault queue
 */
typedef struct PasidPlace {
    enum { PLACE_NONE, PLACE_PARENT, PLACE_FIRST_STAGE } kind;
    uint32_t id;
    struct iommu_hwpt_vtd_s1 s1;
    bool faults;
} PasidPlace;

/* Of the emulated host, checked against the model's books. */
PasidPlace pasid_place(VfioDevice *device, uint32_t pasid);

/* Assert that @pasid is on a first-stage HWPT of @table. Return: its ID. */
uint32_t pasid_assert_on(VfioDevice *device, uint32_t pasid, uint64_t table);
void pasid_assert_parent(VfioDevice *device, uint32_t pasid);
void pasid_assert_none(VfioDevice *device, uint32_t pasid);

/* Objects of the host. */
uint64_t pasid_objects(void);

/* emul_set_failure() on ioctls; @request 0: any; @nth 0: none any more. */
void pasid_fail(unsigned long request, uint64_t nth, uint64_t times, int err);

/* Count ioctls from now on; how many there were. */
void pasid_count_calls(unsigned long request);
uint64_t pasid_calls(void);

#endif
