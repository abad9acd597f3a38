/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * VT-d's registers (D51397-018, 11.4): which there are and what is stored.
 * Those that act: test-vtd-control.c.
 */
#include "vtd-fixture.h"

#define ALL UINT64_MAX

static VtdFixture *f;

static void setup(void)
{
    f = vtd_fixture_new(NULL, false);
}

static void teardown(void)
{
    vtd_fixture_free(f);
}

static void setup_with(VtdProperties props)
{
    teardown();
    f = vtd_fixture_new(&props, false);
}

static uint64_t read_sized(uint64_t offset, unsigned size)
{
    return viommu_mmio_read(f->viommu, offset, size);
}

static void write_sized(uint64_t offset, unsigned size, uint64_t value)
{
    viommu_mmio_write(f->viommu, offset, size, value);
}

/* ---- Reset and ID values ---- */

static void test_reset_values(void)
{
    for (uint64_t offset = 0; offset < VTD_MMIO_SIZE; offset += 4) {
        uint32_t value = vtd_guest_read32(f, offset);

        switch (offset) {
        case A_VER:
        case A_CAP ... A_ECAP + 4:
            break;
        case A_FECTL:
        case A_IECTL:
        case A_PECTL:
            g_assert_cmphex(value, ==, 0x80000000);
            break;
        default:
            g_assert_cmphex(value, ==, 0);
            break;
        }
    }
}

static void test_capabilities(void)
{
    g_assert_cmphex(vtd_guest_read32(f, A_VER), ==, 0x30);
    /* ND 6, CM, 48 bits, FRO 0x220, PSI, 8 FRCDs, MAMV 18, DWD, DRD, FS1GP,
     * ESRTPS */
    g_assert_cmphex(vtd_guest_read64(f, A_CAP), ==, 0x81d20780222f0486);
    /* C, QI, DT, PT, SC, IRO 0xf0, PRS, PSS 19, PASID, PDS, SMTS, FSTS,
     * SMPWCS, RPS, SMS */
    g_assert_cmphex(vtd_guest_read64(f, A_ECAP), ==, 0x04038d9820000fc7);
}

/* What the digest demands for a Linux guest with PRI. */
static void test_linux_finds_what_it_needs_for_page_requests(void)
{
    uint64_t ecap = vtd_guest_read64(f, A_ECAP);

    g_assert_true(FIELD_GET(ecap, ECAP, QI) && FIELD_GET(ecap, ECAP, DT) &&
                  FIELD_GET(ecap, ECAP, SMTS) &&
                  FIELD_GET(ecap, ECAP, PASID) &&
                  FIELD_GET(ecap, ECAP, FSTS) && FIELD_GET(ecap, ECAP, PRS) &&
                  FIELD_GET(ecap, ECAP, PDS) &&
                  FIELD_GET(ecap, ECAP, SMPWCS));
}

/* One property off, and the bits that go with it. */
static void test_properties(void)
{
    static const struct {
        VtdProperties props;
        uint64_t cap;
        uint64_t ecap;
    } cases[] = {
        { { false, true, true, true, 20 }, 0,
          BIT(29) | UINT64_C(19) << 35 | BIT(40) | BIT(42) | BIT(58) },
        { { true, false, true, true, 20 }, BIT(7), 0 },
        { { true, true, false, true, 20 }, 0, BIT(6) },
        { { true, true, true, false, 20 }, BIT(56), 0 },
        { { true, true, true, true, 1 }, 0, UINT64_C(19) << 35 },
        { { true, true, true, true, 17 }, 0, UINT64_C(3) << 35 },
    };
    uint64_t cap = vtd_guest_read64(f, A_CAP);
    uint64_t ecap = vtd_guest_read64(f, A_ECAP);

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        setup_with(cases[i].props);
        g_assert_cmphex(vtd_guest_read64(f, A_CAP) ^ cap, ==, cases[i].cap);
        g_assert_cmphex(vtd_guest_read64(f, A_ECAP) ^ ecap, ==, cases[i].ecap);
    }
}

static void test_bad_properties(void)
{
    static const unsigned bits[] = { 0, 21, UINT32_MAX };

    for (size_t i = 0; i < G_N_ELEMENTS(bits); i++) {
        VtdProperties props = VTD_PROPERTIES_DEFAULT;
        ViommuConfig config = { .id = "x", .ctx = f->ctx, .mem = f->mem,
                                .irq = &f->irq.parent };
        g_autoptr(GError) error = NULL;
        g_autofree char *message = NULL;

        props.pasid_bits = bits[i];
        message = g_strdup_printf("intel-iommu: pasid bits %u is out of range, "
                                  "1 to 20 is accepted", bits[i]);
        g_assert_null(vtd_new(&config, &props, &error));
        g_assert_cmpstr(error->message, ==, message);
    }
}

/* ---- Registers whose writes store ---- */

static const struct {
    uint64_t offset;
    unsigned size;
    uint64_t stored;            /* of all ones */
} plain[] = {
    { A_RTADDR, 8, 0xfffffffffffffc00 },
    { A_CCMD, 8, 0x00000003ffffffff | UINT64_C(3) << 61 },
    { A_FECTL, 4, 0x80000000 },
    { A_FEDATA, 4, 0xffff },
    { A_FEADDR, 4, 0xfffffffc },
    { A_FEUADDR, 4, 0xffffffff },
    { A_IQT, 8, 0x7fff0 },
    { A_IQA, 8, 0xfffffffffffff807 },
    { A_IECTL, 4, 0x80000000 },
    { A_IEDATA, 4, 0xffff },
    { A_IEADDR, 4, 0xfffffffc },
    { A_IEUADDR, 4, 0xffffffff },
    { A_IRTA, 8, 0xfffffffffffff80f },
    { A_PQH, 8, 0x7ffe0 },
    { A_PQT, 8, 0x7ffe0 },
    { A_PQA, 8, 0xfffffffffffff007 },
    { A_PECTL, 4, 0x80000000 },
    { A_PEDATA, 4, 0xffff },
    { A_PEADDR, 4, 0xfffffffc },
    { A_PEUADDR, 4, 0xffffffff },
    { A_IOTLB, 8, 0x3003ffff00000000 },
};

/* A command bit of CCMD or IOTLB in all ones says what was done: all. */
static uint64_t stored(size_t i)
{
    return plain[i].stored |
           (plain[i].offset == A_CCMD ? FIELD_MASK(CCMD, CAIG) : 0) |
           (plain[i].offset == A_IOTLB ? FIELD_MASK(IOTLB, IAIG) : 0);
}

static void test_stored_bits(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(plain); i++) {
        write_sized(plain[i].offset, plain[i].size, ALL);
        g_assert_cmphex(read_sized(plain[i].offset, plain[i].size), ==,
                        stored(i));
        write_sized(plain[i].offset, plain[i].size, 0);
        g_assert_cmphex(read_sized(plain[i].offset, plain[i].size), ==,
                        stored(i) & ~plain[i].stored);
    }
}

static void test_halves_of_64_bit_registers(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(plain); i++) {
        uint64_t offset = plain[i].offset;

        if (plain[i].size != 8) {
            continue;
        }
        vtd_guest_write32(f, offset, UINT32_MAX);
        g_assert_cmphex(vtd_guest_read64(f, offset), ==,
                        stored(i) & UINT32_MAX);
        vtd_guest_write32(f, offset + 4, UINT32_MAX);
        g_assert_cmphex(vtd_guest_read64(f, offset), ==, stored(i));
        g_assert_cmphex(vtd_guest_read32(f, offset + 4), ==, stored(i) >> 32);
    }
}

/* Every register alone: a write to one changes no other. */
static void test_a_write_changes_one_register(void)
{
    uint32_t before[VTD_REG_WORDS];

    for (size_t i = 0; i < G_N_ELEMENTS(plain); i++) {
        for (unsigned w = 0; w < VTD_REG_WORDS; w++) {
            before[w] = vtd_guest_read32(f, 4 * w);
        }
        write_sized(plain[i].offset, plain[i].size, ALL);
        for (unsigned w = 0; w < VTD_REG_WORDS; w++) {
            if (4 * w < plain[i].offset ||
                4 * w >= plain[i].offset + plain[i].size) {
                g_assert_cmphex(vtd_guest_read32(f, 4 * w), ==, before[w]);
            }
        }
    }
}

static void test_read_only_registers(void)
{
    static const uint64_t offsets[] = {
        A_VER, A_CAP, A_CAP + 4, A_ECAP, A_ECAP + 4, A_GSTS, A_IQH, A_IQH + 4,
        A_IQERCD, A_IQERCD + 4, A_FRCD, A_FRCD + 4, A_FRCD + 8, A_FRCD + 12,
    };

    for (size_t i = 0; i < G_N_ELEMENTS(offsets); i++) {
        uint32_t before = vtd_guest_read32(f, offsets[i]);

        vtd_guest_write32(f, offsets[i], ~before);
        g_assert_cmphex(vtd_guest_read32(f, offsets[i]), ==, before);
    }
    /* Status that is not set is not set by writing it. */
    vtd_guest_write32(f, A_FSTS, UINT32_MAX);
    vtd_guest_write32(f, A_ICS, UINT32_MAX);
    vtd_guest_write32(f, A_PRS, UINT32_MAX);
    g_assert_cmphex(vtd_guest_read32(f, A_FSTS), ==, 0);
    g_assert_cmphex(vtd_guest_read32(f, A_ICS), ==, 0);
    g_assert_cmphex(vtd_guest_read32(f, A_PRS), ==, 0);
}

static void test_write_only_registers(void)
{
    vtd_guest_write64(f, A_IVA, ALL);
    g_assert_cmphex(vtd_guest_read64(f, A_IVA), ==, 0);
    /* Command bits that do nothing, and none of them is kept. */
    vtd_guest_write32(f, A_GCMD, FIELD_MASK(GCMD, WBF));
    g_assert_cmphex(vtd_guest_read32(f, A_GCMD), ==, 0);
    g_assert_cmphex(vtd_guest_read32(f, A_GSTS), ==, 0);
}

/* AFLOG, protected memory, MTRRs, performance monitoring, commands, holes. */
static void test_unmodelled_features_read_0(void)
{
    static const uint64_t offsets[] = {
        0x004, 0x030, 0x048, 0x04c, 0x050, 0x058, 0x05c, 0x060, 0x064, 0x068,
        0x06c, 0x070, 0x074, 0x078, 0x07c, 0x098, 0x0d8, 0x100, 0x180, 0x21c,
        0x2a0, 0x300, 0x400, 0x408, 0x410, 0x420, 0x430, 0xe00, 0xe10, 0xe30,
        0xffc, VTD_MMIO_SIZE, UINT64_MAX - 3,
    };

    for (size_t i = 0; i < G_N_ELEMENTS(offsets); i++) {
        vtd_guest_write32(f, offsets[i], UINT32_MAX);
        g_assert_cmphex(vtd_guest_read32(f, offsets[i]), ==, 0);
    }
    vtd_guest_write64(f, UINT64_MAX - 7, ALL);
    g_assert_cmphex(vtd_guest_read64(f, UINT64_MAX - 7), ==, 0);
}

/* Of 32-bit registers a qword is not allowed, nor anything but 4 and 8. */
static void test_other_access_sizes(void)
{
    static const unsigned sizes[] = { 0, 1, 2, 3, 5, 6, 7, 16 };

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        write_sized(A_RTADDR, sizes[i], ALL);
        g_assert_cmphex(read_sized(A_CAP, sizes[i]), ==, 0);
    }
    write_sized(A_RTADDR + 2, 4, ALL);
    write_sized(A_RTADDR + 4, 8, ALL);
    g_assert_cmphex(vtd_guest_read64(f, A_RTADDR), ==, 0);
    g_assert_cmphex(read_sized(A_CAP + 1, 4), ==, 0);
    g_assert_cmphex(read_sized(A_CAP + 4, 8), ==, 0);
    write_sized(A_FEADDR, 8, ALL);
    g_assert_cmphex(vtd_guest_read32(f, A_FEADDR), ==, 0);
    g_assert_cmphex(vtd_guest_read32(f, A_FEUADDR), ==, 0);
    write_sized(A_GCMD, 8, ALL);
    g_assert_cmphex(vtd_guest_read32(f, A_GSTS), ==, 0);
    g_assert_cmphex(read_sized(A_FECTL, 8), ==, 0);
    g_assert_cmphex(read_sized(A_PEADDR, 8), ==, 0);
}

static void test_without_svm_page_request_registers_are_rsvdz(void)
{
    setup_with((VtdProperties){ .pasid_bits = 20 });
    for (uint64_t offset = A_PQH; offset <= A_PEUADDR; offset += 4) {
        g_assert_cmphex(vtd_guest_read32(f, offset), ==, 0);
        vtd_guest_write32(f, offset, UINT32_MAX);
        g_assert_cmphex(vtd_guest_read32(f, offset), ==, 0);
    }
    vtd_guest_write64(f, A_PQA, ALL);
    g_assert_cmphex(vtd_guest_read64(f, A_PQA), ==, 0);
    vtd_guest_start(f, 0);
    g_assert_cmphex(vtd_guest_read32(f, A_GSTS), ==, 0xc4000000);
    viommu_reset(f->viommu);
    g_assert_cmphex(vtd_guest_read32(f, A_PECTL), ==, 0);
}

/* ---- Statistics ---- */

static void test_page_queue_in_statistics(void)
{
    ViommuPageStats stats = viommu_get_page_stats(f->viommu);

    g_assert_cmpuint(stats.queue_size, ==, 0);
    vtd_guest_enable_prq(f, 2);
    vtd_guest_write64(f, A_PQH, 0x40);
    vtd_guest_write64(f, A_PQT, 0x20);
    stats = viommu_get_page_stats(f->viommu);
    g_assert_cmpuint(stats.queue_size, ==, 511);
    g_assert_cmpuint(stats.queue_used, ==, 511);
    /* Software's shutdown: PQH, PQT and PQA are 0. */
    vtd_guest_write64(f, A_PQA, 0);
    stats = viommu_get_page_stats(f->viommu);
    g_assert_cmpuint(stats.queue_size, ==, 0);
    g_assert_cmpuint(stats.queue_used, ==, 0);
}

static void test_no_event_queue_in_statistics(void)
{
    ViommuStats stats;

    vtd_guest_start(f, 0);
    stats = viommu_get_stats(f->viommu);
    g_assert_cmpuint(stats.queue_size, ==, 0);
    g_assert_cmpuint(stats.queue_used, ==, 0);
}

int main(int argc, char **argv)
{
    static const FixtureTest tests[] = {
        { test_reset_values, "reset-values" },
        { test_capabilities, "capabilities" },
        { test_linux_finds_what_it_needs_for_page_requests,
          "linux-finds-what-it-needs-for-page-requests" },
        { test_properties, "properties" },
        { test_bad_properties, "bad-properties" },
        { test_stored_bits, "stored-bits" },
        { test_halves_of_64_bit_registers, "halves-of-64-bit-registers" },
        { test_a_write_changes_one_register, "a-write-changes-one-register" },
        { test_read_only_registers, "read-only-registers" },
        { test_write_only_registers, "write-only-registers" },
        { test_unmodelled_features_read_0, "unmodelled-features-read-0" },
        { test_other_access_sizes, "other-access-sizes" },
        { test_without_svm_page_request_registers_are_rsvdz,
          "without-svm-page-request-registers-are-RsvdZ" },
        { test_page_queue_in_statistics, "page-queue-in-statistics" },
        { test_no_event_queue_in_statistics, "no-event-queue-in-statistics" },
    };

    return fixture_main(argc, argv, "/vtd/regs", tests, G_N_ELEMENTS(tests),
                        setup, teardown);
}
