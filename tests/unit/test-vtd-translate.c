/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * First-stage translation for emulated devices (D51397, 3.6): sizes,
 * permissions, reserved bits, Accessed and Dirty, and a guest that changes an
 * entry meanwhile.
 */
#include "vtd-fixture.h"
#include "vtd-tables.h"

#include "base/rcu.h"

#include <pthread.h>
#include <sched.h>

#define RID 0x08
#define PASID 5
#define NO_PASID PAGE_REQUEST_NO_PASID
#define IOVA UINT64_C(0x00007f8140203000)
#define GPA UINT64_C(0x50000000)        /* of a page; need not be memory */

#define READ PGFAULT_PERM_READ
#define WRITE PGFAULT_PERM_WRITE
#define EXEC PGFAULT_PERM_EXEC
#define PRIV PGFAULT_PERM_PRIV

#define PAGE (FS_P | FS_RW | FS_US)

static VtdFixture *f;
static VtdTables t;
static uint64_t space;

static void setup_with(const VtdProperties *props)
{
    f = vtd_fixture_new(props, false);
    vtd_tables_init(&t, f->ram, GUEST_RAM, VTD_GUEST_FREE,
                    GUEST_RAM + GUEST_RAM_SIZE);
    space = vtd_tables_alloc(&t, 1);
    vtd_tables_set_context(&t, RID, VTD_CONTEXT_SVA, 0);
    vtd_tables_set_first_stage(&t, RID, PASID, 7, space);
    vtd_guest_write64(f, A_RTADDR, FIELD_SET(t.root, RTADDR, TTM,
                                             TTM_SCALABLE));
    vtd_guest_command(f, FIELD_MASK(GCMD, SRTP), true);
    vtd_guest_command(f, FIELD_MASK(GCMD, TE), true);
}

static void setup(void)
{
    setup_with(NULL);
}

static void teardown(void)
{
    vtd_fixture_free(f);
}

static bool try(uint32_t pasid, uint64_t iova, uint32_t perm, uint64_t *gpa)
{
    bool done;

    rcu_section_enter();
    done = vtd_translate(f->viommu, RID, pasid, iova, perm, gpa);
    rcu_section_leave();
    return done;
}

static void assert_to(uint64_t iova, uint32_t perm, uint64_t expected)
{
    uint64_t gpa = 0;

    g_assert_true(try(PASID, iova, perm, &gpa));
    g_assert_cmphex(gpa, ==, expected);
}

static void assert_none(uint64_t iova, uint32_t perm)
{
    uint64_t gpa;

    g_assert_false(try(PASID, iova, perm, &gpa));
}

static uint64_t entry_gpa(unsigned level)
{
    return vtd_tables_fs_gpa(&t, space, IOVA, level);
}

static void set_entry(unsigned level, uint64_t entry)
{
    vtd_tables_store(&t, entry_gpa(level), entry);
}

static uint64_t get_entry(unsigned level)
{
    return vtd_tables_load(&t, entry_gpa(level));
}

static void test_4k(void)
{
    vtd_tables_map(&t, space, IOVA, GPA, PAGE);
    assert_to(IOVA, READ, GPA);
    assert_to(IOVA + 0xabc, READ | WRITE, GPA + 0xabc);
    assert_none(IOVA + 0x1000, READ);
    assert_none(IOVA - 1, READ);
}

/* Bits 12 and up of the page's address, 51 included. */
static void test_address_bits(void)
{
    vtd_tables_map(&t, space, IOVA, BIT_RANGE(12, 40), PAGE);
    assert_to(IOVA + 1, READ, BIT_RANGE(12, 40) + 1);
    /* 11:9 and 62:52 are ignored. */
    vtd_tables_map(&t, space, IOVA, GPA, PAGE | BIT_RANGE(9, 3) |
                                             BIT_RANGE(52, 11));
    assert_to(IOVA, READ, GPA);
}

static void test_2m(void)
{
    uint64_t offset = IOVA % 0x200000 + 0x123;

    set_entry(1, 0x60000000 | PAGE | FS_PS);
    assert_to(IOVA + 0x123, READ | WRITE, 0x60000000 + offset);
    /* Bit 12 is PAT; those up to 20 are reserved. */
    set_entry(1, 0x60000000 | PAGE | FS_PS | BIT(12));
    assert_to(IOVA + 0x123, READ, 0x60000000 + offset);
    for (unsigned bit = 13; bit < 21; bit++) {
        set_entry(1, 0x60000000 | PAGE | FS_PS | BIT(bit));
        assert_none(IOVA, READ);
    }
}

static void test_1g(void)
{
    uint64_t offset = IOVA % 0x40000000 + 0x123;

    set_entry(2, 0xc0000000 | PAGE | FS_PS);
    assert_to(IOVA + 0x123, READ | WRITE, 0xc0000000 + offset);
    for (unsigned bit = 13; bit < 30; bit++) {
        set_entry(2, 0xc0000000 | PAGE | FS_PS | BIT(bit));
        assert_none(IOVA, READ);
    }
}

static void test_1g_not_supported(void)
{
    VtdProperties props = VTD_PROPERTIES_DEFAULT;

    teardown();
    props.fs1gp = false;
    setup_with(&props);
    set_entry(2, 0xc0000000 | PAGE | FS_PS);
    assert_none(IOVA, READ);
    /* 2 MiB are not affected. */
    set_entry(2, 0);
    set_entry(1, 0x60000000 | PAGE | FS_PS);
    assert_to(IOVA, READ, 0x60000000 + IOVA % 0x200000);
}

static void test_512g_is_reserved(void)
{
    set_entry(3, PAGE | FS_PS);
    assert_none(IOVA, READ);
}

static void test_not_present_at_any_level(void)
{
    vtd_tables_map(&t, space, IOVA, GPA, PAGE);
    for (unsigned level = 0; level < 4; level++) {
        uint64_t entry = get_entry(level);

        set_entry(level, entry & ~FS_P);
        assert_none(IOVA, READ);
        set_entry(level, entry);
        assert_to(IOVA, READ, GPA);
    }
}

static void test_table_not_in_memory(void)
{
    vtd_tables_map(&t, space, IOVA, GPA, PAGE);
    for (unsigned level = 1; level < 4; level++) {
        uint64_t entry = get_entry(level);

        set_entry(level, GUEST_NOWHERE | FS_TABLE);
        assert_none(IOVA, READ);
        set_entry(level, entry);
    }
    assert_to(IOVA, READ, GPA);
    vtd_tables_set_first_stage(&t, RID, PASID, 7, GUEST_NOWHERE);
    assert_none(IOVA, READ);
}

static void test_canonical(void)
{
    uint64_t high = UINT64_C(0xffff800000000000);

    vtd_tables_map(&t, space, high, GPA, PAGE);
    assert_to(high, READ, GPA);
    assert_none(high & ~BIT(63), READ);
    assert_none(high & BIT_RANGE(0, 48), READ);
    vtd_tables_map(&t, space, 0, GPA + 0x1000, PAGE);
    assert_to(0, READ, GPA + 0x1000);
    assert_none(BIT(63), READ);
    assert_none(BIT(48), READ);
}

/* Rights are what every level gives. */
static void test_permissions_of_all_levels(void)
{
    vtd_tables_map(&t, space, IOVA, GPA, PAGE);
    for (unsigned level = 0; level < 4; level++) {
        uint64_t entry = get_entry(level);

        set_entry(level, entry & ~FS_RW);
        assert_to(IOVA, READ, GPA);
        assert_none(IOVA, WRITE);
        assert_none(IOVA, READ | WRITE);
        set_entry(level, entry & ~FS_US);
        assert_none(IOVA, READ);
        set_entry(level, entry);
        assert_to(IOVA, WRITE, GPA);
    }
}

/* 5Dh: ECAP.SRS is 0, and with it there is no SRE; pass-through has none. */
static void test_supervisor(void)
{
    vtd_tables_map(&t, space, IOVA, GPA, PAGE);
    assert_none(IOVA, READ | PRIV);
    assert_to(IOVA, READ, GPA);
    vtd_tables_store(&t, vtd_tables_pasid_gpa(&t, RID, PASID) + 16,
                     space | FIELD_MASK(PASID2, SRE));
    assert_none(IOVA, READ | PRIV);
    assert_none(IOVA, READ);
    vtd_tables_set_pass_through(&t, RID, PASID, 7);
    assert_to(IOVA, READ | PRIV, IOVA);
}

/* 5Ch: ECAP.ERS is 0. */
static void test_execute_is_refused(void)
{
    vtd_tables_map(&t, space, IOVA, GPA, PAGE);
    assert_none(IOVA, READ | EXEC);
    /* XD says nothing of reads. */
    vtd_tables_map(&t, space, IOVA, GPA, PAGE | FS_XD);
    assert_to(IOVA, READ | WRITE, GPA);
}

static void test_read_sets_accessed(void)
{
    vtd_tables_map(&t, space, IOVA, GPA, PAGE);
    assert_to(IOVA, READ, GPA);
    for (unsigned level = 0; level < 4; level++) {
        g_assert_cmphex(get_entry(level) & (FS_A | (level ? 0 : FS_D)), ==,
                        FS_A);
    }
    g_assert_cmphex(get_entry(0), ==, GPA | PAGE | FS_A);
}

static void test_write_sets_dirty_in_leaf(void)
{
    vtd_tables_map(&t, space, IOVA, GPA, PAGE);
    assert_to(IOVA, WRITE, GPA);
    g_assert_cmphex(get_entry(0), ==, GPA | PAGE | FS_A | FS_D);
    for (unsigned level = 1; level < 4; level++) {
        g_assert_cmphex(get_entry(level) & (FS_A | FS_D), ==, FS_A);
    }

    vtd_tables_store(&t, space + 8 * (IOVA >> 39 & 511), 0);
    set_entry(1, 0x60000000 | PAGE | FS_PS);
    assert_to(IOVA, WRITE, 0x60000000 + IOVA % 0x200000);
    g_assert_cmphex(get_entry(1), ==,
                    0x60000000 | PAGE | FS_PS | FS_A | FS_D);
}

static void test_refusal_marks_nothing(void)
{
    vtd_tables_map(&t, space, IOVA, GPA, PAGE & ~FS_RW);
    assert_none(IOVA, WRITE);
    for (unsigned level = 0; level < 4; level++) {
        g_assert_cmphex(get_entry(level) & (FS_A | FS_D), ==, 0);
    }
}

/* A table that is its own child: every level is the same entry. */
static void test_recursive_table(void)
{
    uint64_t iova = 0;

    vtd_tables_store(&t, space, space | PAGE);
    assert_to(iova + 0x10, WRITE, space + 0x10);
    g_assert_cmphex(vtd_tables_load(&t, space), ==,
                    space | PAGE | FS_A | FS_D);
}

static void test_pass_through(void)
{
    uint64_t gpa;

    vtd_tables_set_pass_through(&t, RID, PASID, 7);
    assert_to(IOVA + 5, READ | WRITE, IOVA + 5);
    vtd_tables_set_pass_through(&t, RID, 0, 7);
    g_assert_true(try(NO_PASID, 0x1234, WRITE, &gpa));
    g_assert_cmphex(gpa, ==, 0x1234);
}

static void test_without_pasid_by_rid_pasid(void)
{
    uint64_t gpa;

    g_assert_false(try(NO_PASID, IOVA, READ, &gpa));
    vtd_tables_set_first_stage(&t, RID, 0, 7, space);
    vtd_tables_map(&t, space, IOVA, GPA, PAGE);
    g_assert_true(try(NO_PASID, IOVA, READ, &gpa));
    g_assert_cmphex(gpa, ==, GPA);
    /* It is not for requests that name it. */
    g_assert_false(try(0, IOVA, READ, &gpa));
}

/* ECAP.PSS: neither on the host nor here does a larger one translate. */
static void test_pasid_beyond_width(void)
{
    VtdProperties props = VTD_PROPERTIES_DEFAULT;
    uint64_t gpa;

    teardown();
    props.pasid_bits = 3;
    setup_with(&props);
    vtd_tables_set_first_stage(&t, RID, 8, 7, space);
    vtd_tables_map(&t, space, IOVA, GPA, PAGE);
    assert_to(IOVA, READ, GPA);
    g_assert_false(try(8, IOVA, READ, &gpa));
}

static void test_translation_off(void)
{
    uint64_t gpa;

    vtd_tables_map(&t, space, IOVA, GPA, PAGE);
    vtd_guest_command(f, FIELD_MASK(GCMD, TE), false);
    g_assert_true(try(NO_PASID, IOVA, WRITE, &gpa));
    g_assert_cmphex(gpa, ==, IOVA);
    assert_none(IOVA, READ);
    vtd_guest_command(f, FIELD_MASK(GCMD, TE), true);
    assert_to(IOVA, READ, GPA);
}

static void test_tables_refuse(void)
{
    uint64_t gpa;

    vtd_tables_map(&t, space, IOVA, GPA, PAGE);
    vtd_tables_set_context(&t, RID,
                           FIELD_MASK(CONTEXT0, P) |
                               FIELD_MASK(CONTEXT0, PASIDE), 0);
    assert_none(IOVA, READ);            /* 44h */
    vtd_tables_set_context(&t, RID, VTD_CONTEXT_SVA, 0);
    assert_to(IOVA, READ, GPA);
    g_assert_false(try(PASID + 1, IOVA, READ, &gpa));
    vtd_guest_write64(f, A_RTADDR, t.root);
    vtd_guest_command(f, FIELD_MASK(GCMD, SRTP), true);
    assert_none(IOVA, READ);            /* legacy mode */
    g_assert_false(try(NO_PASID, IOVA, READ, &gpa));
}

/* Pages that the guest of the next test finds dirty, then it ends. */
#define RACE_PAGES 500
#define RACE_LOOKS 20

/*
 * The guest maps a page and takes it away at once, which must be for good: a
 * mark that is put on what was there before would bring it back.
 */
static void *guest_unmaps(void *opaque)
{
    atomic_uint *dirty = opaque;
    uint64_t *slot = vtd_guest_words(f, entry_gpa(0));
    unsigned round = 0;

    while (atomic_load(dirty) < RACE_PAGES) {
        uint64_t old;

        __atomic_store_n(slot, GUINT64_TO_LE(GPA | PAGE), __ATOMIC_RELEASE);
        if (++round % 8 == 0) {
            sched_yield();      /* on one processor, too, a device gets at it */
        }
        old = __atomic_exchange_n(slot, 0, __ATOMIC_ACQ_REL);
        for (unsigned i = 0; i < RACE_LOOKS; i++) {
            g_assert_cmphex(__atomic_load_n(slot, __ATOMIC_ACQUIRE), ==, 0);
        }
        if (GUINT64_FROM_LE(old) & FS_D) {
            atomic_fetch_add(dirty, 1);
        }
    }
    return NULL;
}

static void test_marks_are_atomic(void)
{
    atomic_uint dirty = 0;
    pthread_t thread;
    unsigned writes = 0;

    entry_gpa(0);               /* makes the upper levels */
    pthread_create(&thread, NULL, guest_unmaps, &dirty);
    while (atomic_load(&dirty) < RACE_PAGES) {
        uint64_t gpa;

        writes += try(PASID, IOVA, WRITE, &gpa);
    }
    pthread_join(thread, NULL);
    /* Each page that the guest has found dirty was written. */
    g_assert_cmpuint(writes, >=, RACE_PAGES);
}

static const FixtureTest tests[] = {
    { test_4k, "4-KiB-page" },
    { test_address_bits, "address-bits" },
    { test_2m, "2-MiB-page" },
    { test_1g, "1-GiB-page" },
    { test_1g_not_supported, "1-GiB-page-not-supported" },
    { test_512g_is_reserved, "PS-in-top-level-is-reserved" },
    { test_not_present_at_any_level, "not-present-at-any-level" },
    { test_table_not_in_memory, "table-not-in-memory" },
    { test_canonical, "non-canonical-address" },
    { test_permissions_of_all_levels, "rights-of-all-levels" },
    { test_supervisor, "supervisor-is-refused" },
    { test_execute_is_refused, "execute-is-refused" },
    { test_read_sets_accessed, "read-sets-A" },
    { test_write_sets_dirty_in_leaf, "write-sets-D-in-leaf" },
    { test_refusal_marks_nothing, "refusal-marks-nothing" },
    { test_recursive_table, "recursive-table" },
    { test_pass_through, "pass-through" },
    { test_without_pasid_by_rid_pasid, "without-PASID-by-RID_PASID" },
    { test_pasid_beyond_width, "PASID-beyond-width" },
    { test_translation_off, "TES-0" },
    { test_tables_refuse, "tables-refuse" },
    { test_marks_are_atomic, "marks-are-atomic" },
};

int main(int argc, char **argv)
{
    return fixture_main(argc, argv, "/vtd/translate", tests,
                        G_N_ELEMENTS(tests), setup, teardown);
}
