/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Page request groups for the SMMUv3 of a Fixture, given to its PRI queue
 * directly or asked for by an emulated device, and what the queue then holds
 * and says.
 *
 * Threads: the home thread of the Fixture's context; requests on any.
 * Locks:   none.
 */
#ifndef TESTS_SUPPORT_PRIQ_FIXTURE_H
#define TESTS_SUPPORT_PRIQ_FIXTURE_H

#include "cmdq-fixture.h"

#include "hw/arm/smmuv3-internal.h"

#define NO_PASID PAGE_REQUEST_NO_PASID

#define PRIQ_OVFLG FIELD_MASK(PRIQ_PROD, OVFLG)
#define PRIQ_LO FIELD_MASK(PRIQ_IRQ_CFG2, LO)
#define PRIQ_ABT FIELD_MASK(GERROR, PRIQ_ABT_ERR)
#define MSI_PRIQ_ABT FIELD_MASK(GERROR, MSI_PRIQ_ABT_ERR)

/* The defaults with ATS, PRI and 20 bits of PASID. */
#define PRIQ_PROPERTIES                                                      \
    ((Smmuv3Properties){ .ats = true, .ril = true, .msi = true, .pri = true, \
                         .oas_bits = 44, .ssid_bits = 20, .log2_eventq = 19, \
                         .log2_cmdq = 19, .log2_priq = 19 })

/* Bits of an entry, as software has them. */
#define PPR_PRIV BIT(58)
#define PPR_X BIT(59)
#define PPR_R BIT(60)
#define PPR_W BIT(61)
#define PPR_LAST BIT(62)
#define PPR_SSV BIT(63)

/* The most pages of a group here. */
#define PRIQ_GROUP_MAX 600

/* A group of @count pages to read and write, page @i at address i << 12. */
PageGroup priq_group(uint32_t sid, uint32_t pasid, uint32_t index,
                     size_t count);
PageGroup priq_stop_marker(uint32_t sid, uint32_t pasid);

/* Ask for room for the first group, then deliver all. Return: that room. */
uint32_t priq_deliver(Fixture *f, PageGroup *groups, size_t count);

/* One group of @pages pages of StreamID @sid, with PASID 5. */
PageGroup priq_deliver_one(Fixture *f, uint32_t sid, size_t pages);

void priq_assert_written(const PageGroup *group);
void priq_assert_answered(const PageGroup *group, uint32_t code);

/* A group of an emulated device, and how often it has come back. */
typedef struct PriqRequest {
    SvaGroup group;             /* first */
    unsigned responses;
} PriqRequest;

/* Its responses come in the Fixture's context. */
SvaDevice *priq_add_device(Fixture *f, uint32_t sid, uint32_t credits);

/* Ask for @count pages as those of priq_group(). The caller keeps @request. */
void priq_request(SvaDevice *device, PriqRequest *request, uint32_t pasid,
                  uint32_t index, uint32_t count);

void priq_assert_response(const PriqRequest *request, uint32_t code);

/* Words of a CMD_PRI_RESP, and the command handed over. */
uint64_t priq_resp_word0(uint32_t sid, uint32_t pasid);
uint64_t priq_resp_word1(uint32_t index, unsigned resp);
void priq_respond(Fixture *f, uint32_t sid, uint32_t pasid, uint32_t index,
                  unsigned resp);

/* Entries that the guest takes out of the queue. */
unsigned priq_consume_all(Fixture *f);

bool priq_overflow_is_active(Fixture *f);

/* As Linux does once its queue is empty: CONS with OVACKFLG = OVFLG. */
void priq_acknowledge(Fixture *f);

#endif
