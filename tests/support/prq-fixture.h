/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A VT-d unit with a page request queue of 4 KiB, a device and a PASID that may
 * ask for pages, and groups that are given to the queue directly.
 *
 * Threads: the test's own.
 * Locks:   none.
 */
#ifndef TESTS_SUPPORT_PRQ_FIXTURE_H
#define TESTS_SUPPORT_PRQ_FIXTURE_H

#include "vtd-fixture.h"
#include "vtd-tables.h"

#define PRQ_RID 0x1234
#define PRQ_PASID 0x155
#define PRQ_ADDR UINT64_C(0x00007f8140203000)

#define PRS_PPR FIELD_MASK(PRS, PPR)
#define PRS_PRO FIELD_MASK(PRS, PRO)
#define ECTL_IP FIELD_MASK(ECTL, IP)
#define ECTL_IM FIELD_MASK(ECTL, IM)

#define PRQ_ENTRIES 128
#define PRQ_CAPACITY (PRQ_ENTRIES - 1)

typedef struct PrqFixture {
    VtdFixture *f;
    Vtd *v;
    VtdTables t;
} PrqFixture;

/* The one of the program, between prq_setup() and prq_teardown(). */
extern PrqFixture prq;

void prq_setup(void);
void prq_teardown(void);

/* @count pages to be read, at PRQ_ADDR and on. */
PageGroup prq_group(uint32_t pasid, uint32_t index, size_t count);

/* A Stop Marker of PRQ_PASID. */
PageGroup prq_stop_marker(void);

void prq_deliver(PageGroup *group);

/* @count pages in one group of PRQ_PASID. */
PageOutcome prq_deliver_pages(size_t count);

/* Assert that the unit has answered by itself. */
void prq_assert_answered(const PageGroup *group, uint32_t code);

uint32_t prq_room(uint32_t want);
uint32_t prq_status(void);
uint64_t prq_tail(void);
unsigned prq_messages(void);

/* Software's order: PRS, PQT, entries, PQH. */
void prq_consume_all(void);

#endif
