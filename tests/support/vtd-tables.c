/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vtd-tables.h"

#include <string.h>

#define PAGE_BYTES 4096
#define ADDRESS BIT_RANGE(12, VTD_ADDRESS_BITS - 12)
#define FS_TOP_LEVEL 3

static uint64_t *words_at(VtdTables *t, uint64_t gpa)
{
    return (uint64_t *)(t->ram + (gpa - t->ram_gpa));
}

uint64_t vtd_tables_load(VtdTables *t, uint64_t gpa)
{
    return GUINT64_FROM_LE(__atomic_load_n(words_at(t, gpa),
                                           __ATOMIC_ACQUIRE));
}

void vtd_tables_store(VtdTables *t, uint64_t gpa, uint64_t word)
{
    __atomic_store_n(words_at(t, gpa), GUINT64_TO_LE(word), __ATOMIC_RELEASE);
}

uint64_t vtd_tables_alloc(VtdTables *t, size_t pages)
{
    uint64_t gpa = t->next;

    t->next += pages * PAGE_BYTES;
    g_assert_cmphex(t->next, <=, t->end);
    memset(words_at(t, gpa), 0, pages * PAGE_BYTES);
    return gpa;
}

void vtd_tables_init(VtdTables *t, uint8_t *ram, uint64_t ram_gpa,
                     uint64_t first, uint64_t end)
{
    *t = (VtdTables){
        .ram = ram, .ram_gpa = ram_gpa, .next = first, .end = end,
    };
    t->root = vtd_tables_alloc(t, 1);
}

/* The table that the entry at @gpa leads to, made with @bits if need be. */
static uint64_t table_get(VtdTables *t, uint64_t gpa, uint64_t bits,
                          size_t pages)
{
    uint64_t entry = vtd_tables_load(t, gpa);

    if (!(entry & ADDRESS)) {
        entry = vtd_tables_alloc(t, pages) | bits;
        vtd_tables_store(t, gpa, entry);
    }
    return entry & ADDRESS;
}

/* Word 0 last, cleared first. */
static void store_entry(VtdTables *t, uint64_t gpa, const uint64_t *words,
                        size_t count)
{
    vtd_tables_store(t, gpa, 0);
    for (size_t i = count; i-- > 0;) {
        vtd_tables_store(t, gpa + 8 * i, words[i]);
    }
}

uint64_t vtd_tables_root_gpa(const VtdTables *t, uint16_t rid)
{
    return t->root + 16 * (rid >> 8) + (rid & 0x80 ? 8 : 0);
}

uint64_t vtd_tables_context_gpa(VtdTables *t, uint16_t rid)
{
    return table_get(t, vtd_tables_root_gpa(t, rid), 1, 1) +
           32 * (rid & 0x7f);
}

void vtd_tables_set_context(VtdTables *t, uint16_t rid, uint64_t bits,
                            uint32_t rid_pasid)
{
    uint64_t gpa = vtd_tables_context_gpa(t, rid);
    unsigned pdts = FIELD_GET(vtd_tables_load(t, gpa), CONTEXT0, PDTS);
    uint64_t words[4] = { 0 };

    if (!(vtd_tables_load(t, gpa) & ADDRESS)) {
        pdts = t->pdts;
    }
    words[0] = FIELD_SET(table_get(t, gpa, 0, MAX(1, (8u << (pdts + 7)) /
                                                         PAGE_BYTES)) | bits,
                         CONTEXT0, PDTS, pdts);
    words[1] = FIELD_SET(0, CONTEXT1, RID_PASID, rid_pasid);
    store_entry(t, gpa, words, 4);
}

uint64_t vtd_tables_dir_gpa(VtdTables *t, uint16_t rid, uint32_t pasid)
{
    uint64_t context = vtd_tables_load(t, vtd_tables_context_gpa(t, rid));

    return (context & ADDRESS) + 8 * (pasid / 64);
}

uint64_t vtd_tables_pasid_gpa(VtdTables *t, uint16_t rid, uint32_t pasid)
{
    return table_get(t, vtd_tables_dir_gpa(t, rid, pasid), 1, 1) +
           64 * (pasid % 64);
}

static void set_pasid(VtdTables *t, uint16_t rid, uint32_t pasid,
                      uint64_t word0, uint16_t did, uint64_t word2)
{
    const uint64_t words[8] = { word0, did, word2 };

    store_entry(t, vtd_tables_pasid_gpa(t, rid, pasid), words, 8);
}

void vtd_tables_set_first_stage(VtdTables *t, uint16_t rid, uint32_t pasid,
                                uint16_t did, uint64_t table)
{
    set_pasid(t, rid, pasid, FIELD_SET(1, PASID0, PGTT, PGTT_FIRST), did,
              table);
}

void vtd_tables_set_pass_through(VtdTables *t, uint16_t rid, uint32_t pasid,
                                 uint16_t did)
{
    uint64_t word0 = FIELD_SET(1, PASID0, PGTT, PGTT_PASS_THROUGH);

    /* As Linux does: the widest that the unit has. */
    set_pasid(t, rid, pasid, FIELD_SET(word0, PASID0, AW, 2), did, 0);
}

void vtd_tables_clear_pasid(VtdTables *t, uint16_t rid, uint32_t pasid)
{
    set_pasid(t, rid, pasid, 0, 0, 0);
}

uint64_t vtd_tables_fs_gpa(VtdTables *t, uint64_t table, uint64_t iova,
                           unsigned level)
{
    for (unsigned i = FS_TOP_LEVEL;; i--) {
        uint64_t gpa = table + 8 * (iova >> (12 + 9 * i) & 511);

        if (i == level) {
            return gpa;
        }
        table = table_get(t, gpa, FS_TABLE, 1);
    }
}

void vtd_tables_map(VtdTables *t, uint64_t table, uint64_t iova, uint64_t gpa,
                    uint64_t bits)
{
    vtd_tables_store(t, vtd_tables_fs_gpa(t, table, iova, 0), gpa | bits);
}
