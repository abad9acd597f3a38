/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest's VT-d tables in its RAM: root, context, PASID directories and
 * tables, and first-stage page tables. What a call needs and is not there yet
 * is made; what is there stays as it is. No invalidation is queued.
 *
 * Words are written as software does it, the one with P last.
 *
 * Threads: one.
 * Locks:   none.
 */
#ifndef TESTS_SUPPORT_VTD_TABLES_H
#define TESTS_SUPPORT_VTD_TABLES_H

#include "hw/i386/vtd-internal.h"

/* Bits of first-stage entries (3.6). */
#define FS_P BIT(0)
#define FS_RW BIT(1)
#define FS_US BIT(2)
#define FS_A BIT(5)
#define FS_D BIT(6)
#define FS_PS BIT(7)
#define FS_XD BIT(63)

/* Upper levels are made with these. */
#define FS_TABLE (FS_P | FS_RW | FS_US)

/* Word 0 of a context entry for a device with PASIDs and page requests. */
#define VTD_CONTEXT_SVA                                            \
    (FIELD_MASK(CONTEXT0, P) | FIELD_MASK(CONTEXT0, DTE) |         \
     FIELD_MASK(CONTEXT0, PASIDE) | FIELD_MASK(CONTEXT0, PRE))

/**
 * struct VtdTables - the tables, and the RAM that they come from
 * @ram, @ram_gpa: where guest RAM is, here and to the guest
 * @next, @end: guest physical, what is free
 * @root: of the root table
 * @pdts: of directories made from now on: 2^(pdts + 7) entries
 */
typedef struct VtdTables {
    uint8_t *ram;
    uint64_t ram_gpa;
    uint64_t next;
    uint64_t end;
    uint64_t root;
    unsigned pdts;
} VtdTables;

/* An empty root table; pages are taken from @first to @end. */
void vtd_tables_init(VtdTables *t, uint8_t *ram, uint64_t ram_gpa,
                     uint64_t first, uint64_t end);

/* @pages pages of zeros. Return: where they are. */
uint64_t vtd_tables_alloc(VtdTables *t, size_t pages);

uint64_t vtd_tables_load(VtdTables *t, uint64_t gpa);
void vtd_tables_store(VtdTables *t, uint64_t gpa, uint64_t word);

/* Where the half of the root entry, and the context entry, of @rid are. */
uint64_t vtd_tables_root_gpa(const VtdTables *t, uint16_t rid);
uint64_t vtd_tables_context_gpa(VtdTables *t, uint16_t rid);

/**
 * vtd_tables_set_context() - set P, DTE and so on, and keep the directory
 * @bits: of word 0
 */
void vtd_tables_set_context(VtdTables *t, uint16_t rid, uint64_t bits,
                            uint32_t rid_pasid);

/* Where the directory entry, and the PASID entry, are. */
uint64_t vtd_tables_dir_gpa(VtdTables *t, uint16_t rid, uint32_t pasid);
uint64_t vtd_tables_pasid_gpa(VtdTables *t, uint16_t rid, uint32_t pasid);

/* A PASID entry; @table: FSPTPTR, of 4 levels. */
void vtd_tables_set_first_stage(VtdTables *t, uint16_t rid, uint32_t pasid,
                                uint16_t did, uint64_t table);
void vtd_tables_set_pass_through(VtdTables *t, uint16_t rid, uint32_t pasid,
                                 uint16_t did);
void vtd_tables_clear_pasid(VtdTables *t, uint16_t rid, uint32_t pasid);

/**
 * vtd_tables_fs_gpa() - where the first-stage entry of @iova is
 * @table: of the highest level
 * @level: 0 for pages of 4 KiB, 1 for 2 MiB, 2 for 1 GiB
 */
uint64_t vtd_tables_fs_gpa(VtdTables *t, uint64_t table, uint64_t iova,
                           unsigned level);

/* Map a page of 4 KiB: @bits FS_*. */
void vtd_tables_map(VtdTables *t, uint64_t table, uint64_t iova, uint64_t gpa,
                    uint64_t bits);

#endif
