/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A PageRequestTable beside two plain lists, of open groups and of answers to
 * write, to which the same is done: what the table says and has written is
 * compared with them.
 *
 * Threads: one. Locks: none.
 */
#ifndef TESTS_FUZZ_PAGE_REQUEST_ORACLE_H
#define TESTS_FUZZ_PAGE_REQUEST_ORACLE_H

#include "hw/iommu/page-request.h"

typedef struct PageRequestOracle {
    PageRequestTable *table;
    uint32_t capacity;
    GArray *open;               /* PageRequest, oldest first */
    GArray *answers;            /* Answer, oldest first */
} PageRequestOracle;

void page_request_oracle_init(PageRequestOracle *oracle, uint32_t capacity);

/* Context: no flush comes any more; all that is left is forgotten. */
void page_request_oracle_finish(PageRequestOracle *oracle);

/* As of the table, which has to do what the lists say. */
void page_request_oracle_open(PageRequestOracle *oracle,
                              const PageRequest *request);
void page_request_oracle_respond(PageRequestOracle *oracle,
                                 const PageRequest *request, uint32_t code);
void page_request_oracle_answer(PageRequestOracle *oracle,
                                const PageRequestKey *key, uint32_t code);
void page_request_oracle_forget_answers(PageRequestOracle *oracle);

/**
 * page_request_oracle_drop() - groups of a device, a PASID, or all
 * @device: NULL: all
 * @pasid: NULL: whatever they have
 */
void page_request_oracle_drop(PageRequestOracle *oracle,
                              const DeviceEntry *device, const uint32_t *pasid,
                              PageRequestDrop how);

/* The table is about to write these: they are the oldest answers. */
void page_request_oracle_compare(const PageRequestOracle *oracle,
                                 const uint8_t *buf, size_t len);

/* Of which the host took @len bytes. */
void page_request_oracle_written(PageRequestOracle *oracle, size_t len);

/* As many as the lists have. */
void page_request_oracle_check(const PageRequestOracle *oracle);

#endif
