/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Registers: what they read, who may write them when (IHI 0070 G.b, 6).
 */
#include "fixture.h"

#include "base/rcu.h"
#include "hw/arm/smmuv3-internal.h"

static Fixture *f;

static void setup(void)
{
    f = fixture_new(NULL, false);
}

static void teardown(void)
{
    fixture_free(f);
}

static void test_id_registers(void)
{
    const Smmuv3Properties all = {
        .ats = true, .ril = true, .msi = true, .oas_bits = 48,
        .ssid_bits = 20, .log2_eventq = 10, .log2_cmdq = 11,
    };

    /* The defaults: stage 1, 16-bit ASID, two-level table, MSI, no ATS. */
    g_assert_cmphex(guest_read(f, A_IDR0), ==, 0x0d40301a);
    g_assert_cmphex(guest_read(f, A_IDR1), ==, 0x02730010);
    g_assert_cmphex(guest_read(f, 0x008), ==, 0);
    g_assert_cmphex(guest_read(f, A_IDR3), ==, 0x400);
    g_assert_cmphex(guest_read(f, A_IDR5), ==, 0x74);
    g_assert_cmphex(guest_read(f, A_AIDR), ==, 1);
    teardown();

    f = fixture_new(&all, false);
    g_assert_cmphex(guest_read(f, A_IDR0), ==, 0x0d48341a);
    g_assert_cmphex(guest_read(f, A_IDR1), ==,
                    16 | 20 << 6 | 10 << 16 | 11 << 21);
    g_assert_cmphex(guest_read(f, A_IDR5), ==, 0x75);
}

static void test_peripheral_id(void)
{
    static const uint8_t bytes[] = { 0x04, 0, 0, 0, 0x84, 0xb4,
                                     0xf0, 0x10, 0x0d, 0xf0, 0x05, 0xb1 };

    for (unsigned i = 0; i < G_N_ELEMENTS(bytes); i++) {
        g_assert_cmphex(guest_read(f, 0xfd0 + 4 * i), ==, bytes[i]);
    }
}

/* 14.1 of the digest: every poll ends on its first read. */
static void test_probe_sequence(void)
{
    guest_start(f, 7, 8);
    g_assert_cmphex(guest_read(f, A_CR0ACK), ==, 0xd);
    g_assert_cmphex(guest_read(f, A_IRQ_CTRLACK), ==, 0x5);
    g_assert_cmphex(guest_read(f, A_CR1), ==, 0xd75);
    g_assert_cmphex(guest_read(f, A_CR2), ==, 0x6);
    g_assert_cmphex(guest_read(f, A_GERROR), ==, 0);
}

/* Which registers exist, what of them is stored, and what closes them. */
static const struct {
    uint64_t offset;
    unsigned size;
    uint64_t stored;            /* of all ones */
    uint64_t by_register;       /* A_CR0 or A_IRQ_CTRL */
    uint32_t bit;               /* there, that closes it; 0: nothing does */
} plain[] = {
    { A_CR1, 4, 0xfff, A_CR0, 0 },
    { A_CR2, 4, 0x6, A_CR0, 1 },
    { A_GERROR_IRQ_CFG0, 8, 0x00fffffffffffffc, A_IRQ_CTRL, 1 },
    { A_GERROR_IRQ_CFG1, 4, 0xffffffff, A_IRQ_CTRL, 1 },
    { A_GERROR_IRQ_CFG2, 4, 0x3f, A_IRQ_CTRL, 1 },
    { A_STRTAB_BASE, 8, 0x40ffffffffffffc0, A_CR0, 1 },
    { A_STRTAB_BASE_CFG, 4, 0x307ff, A_CR0, 1 },
    { A_CMDQ_BASE, 8, 0x40ffffffffffffff, A_CR0, 8 },
    { A_CMDQ_CONS, 4, 0x7f0fffff, A_CR0, 8 },
    { A_EVENTQ_BASE, 8, 0x40ffffffffffffff, A_CR0, 4 },
    { A_EVENTQ_PROD, 4, 0x800fffff, A_CR0, 4 },
    { A_EVENTQ_CONS, 4, 0x800fffff, A_CR0, 0 },
    { A_EVENTQ_IRQ_CFG0, 8, 0x00fffffffffffffc, A_IRQ_CTRL, 4 },
    { A_EVENTQ_IRQ_CFG1, 4, 0xffffffff, A_IRQ_CTRL, 4 },
    { A_EVENTQ_IRQ_CFG2, 4, 0x3f, A_IRQ_CTRL, 4 },
};

static uint64_t read_sized(uint64_t offset, unsigned size)
{
    return viommu_mmio_read(f->viommu, offset, size);
}

static void test_stored_bits(void)
{
    /* The largest queues, so that no index bit is RAZ. */
    guest_write64(f, A_EVENTQ_BASE, 19);
    guest_write64(f, A_CMDQ_BASE, 19);
    for (size_t i = 0; i < G_N_ELEMENTS(plain); i++) {
        viommu_mmio_write(f->viommu, plain[i].offset, plain[i].size,
                          UINT64_MAX);
        g_assert_cmphex(read_sized(plain[i].offset, plain[i].size), ==,
                        plain[i].stored);
    }
}

static void test_guards(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(plain); i++) {
        uint64_t before;

        /* Closed: the write is ignored. */
        guest_write(f, plain[i].by_register, plain[i].bit);
        before = read_sized(plain[i].offset, plain[i].size);
        viommu_mmio_write(f->viommu, plain[i].offset, plain[i].size,
                          plain[i].bit ? ~before : before);
        g_assert_cmphex(read_sized(plain[i].offset, plain[i].size), ==,
                        before);
        /* Open again. */
        guest_write(f, plain[i].by_register, 0);
        viommu_mmio_write(f->viommu, plain[i].offset, plain[i].size,
                          plain[i].stored);
        if (plain[i].offset != A_EVENTQ_PROD &&
            plain[i].offset != A_CMDQ_CONS) {
            g_assert_cmphex(read_sized(plain[i].offset, plain[i].size), ==,
                            plain[i].stored);
        }
        viommu_mmio_write(f->viommu, plain[i].offset, plain[i].size, 0);
        g_assert_cmphex(read_sized(plain[i].offset, plain[i].size), ==, 0);
    }
}

static void test_halves_of_64_bit_registers(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(plain); i++) {
        uint64_t offset = plain[i].offset;

        if (plain[i].size != 8) {
            continue;
        }
        guest_write(f, offset, UINT32_MAX);
        g_assert_cmphex(guest_read64(f, offset), ==,
                        plain[i].stored & UINT32_MAX);
        guest_write(f, offset + 4, UINT32_MAX);
        g_assert_cmphex(guest_read64(f, offset), ==, plain[i].stored);
        g_assert_cmphex(guest_read(f, offset + 4), ==,
                        plain[i].stored >> 32);
        guest_write64(f, offset, 0);
    }
}

/* CR1: queue attributes close with the queues, table attributes with SMMUEN. */
static void test_cr1_has_two_guards(void)
{
    guest_write(f, A_CR0, FIELD_MASK(CR0, CMDQEN));
    guest_write(f, A_CR1, 0xfff);
    g_assert_cmphex(guest_read(f, A_CR1), ==, 0xfc0);
    guest_write(f, A_CR0, FIELD_MASK(CR0, SMMUEN));
    guest_write(f, A_CR1, 0x3f);
    g_assert_cmphex(guest_read(f, A_CR1), ==, 0xfff);
}

static void test_acks_show_implemented_bits(void)
{
    guest_write(f, A_CR0, UINT32_MAX & ~FIELD_MASK(CR0, CMDQEN));
    g_assert_cmphex(guest_read(f, A_CR0ACK), ==, 0x15);
    guest_write(f, A_CR0, 0);
    guest_write(f, A_IRQ_CTRL, UINT32_MAX);
    g_assert_cmphex(guest_read(f, A_IRQ_CTRLACK), ==, 0x5);
}

static void test_gbpa_needs_update(void)
{
    g_assert_cmphex(guest_read(f, A_GBPA), ==, 0x1000);
    guest_write(f, A_GBPA, FIELD_MASK(GBPA, ABORT));
    g_assert_cmphex(guest_read(f, A_GBPA), ==, 0x1000);
    guest_write(f, A_GBPA,
                FIELD_MASK(GBPA, ABORT) | FIELD_MASK(GBPA, UPDATE));
    g_assert_cmphex(guest_read(f, A_GBPA), ==, FIELD_MASK(GBPA, ABORT));
}

static void test_gerrorn_ignores_inactive_bits(void)
{
    guest_write(f, A_GERRORN, UINT32_MAX);
    g_assert_cmphex(guest_read(f, A_GERRORN), ==, 0);
}

static void test_read_only_registers(void)
{
    static const uint64_t offsets[] = {
        A_IDR0, A_IDR1, A_IDR3, A_IDR5, A_AIDR, A_CR0ACK, 0x040,
        A_IRQ_CTRLACK, A_GERROR, 0xfd0,
    };

    for (size_t i = 0; i < G_N_ELEMENTS(offsets); i++) {
        uint32_t before = guest_read(f, offsets[i]);

        guest_write(f, offsets[i], ~before);
        g_assert_cmphex(guest_read(f, offsets[i]), ==, before);
    }
}

/* Without PRI its registers are RES0, as are holes, in both pages. */
static void test_undefined_offsets(void)
{
    static const uint64_t offsets[] = {
        0x030, 0x048, 0x0a8, 0x0ac, 0x0c0, 0x0c8, 0x0d0, 0x0dc, 0x0e0, 0x100,
        0xe00, 0xfcc, 0x1000, 0xfffc, 0x10000, 0x10020, 0x100a0, 0x100c8,
        0x100cc, 0x10fd0, 0x1fffc, SMMUV3_MMIO_SIZE, UINT64_MAX - 3,
    };

    for (size_t i = 0; i < G_N_ELEMENTS(offsets); i++) {
        guest_write(f, offsets[i], UINT32_MAX);
        g_assert_cmphex(guest_read(f, offsets[i]), ==, 0);
    }
}

/* 6.2: other sizes and misaligned accesses are RAZ/WI here. */
static void test_other_access_sizes(void)
{
    static const unsigned sizes[] = { 0, 1, 2, 3, 5, 6, 7, 16 };

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        viommu_mmio_write(f->viommu, A_STRTAB_BASE, sizes[i], UINT64_MAX);
        g_assert_cmphex(read_sized(A_IDR0, sizes[i]), ==, 0);
    }
    viommu_mmio_write(f->viommu, A_STRTAB_BASE + 2, 4, UINT64_MAX);
    viommu_mmio_write(f->viommu, A_STRTAB_BASE + 4, 8, UINT64_MAX);
    g_assert_cmphex(guest_read64(f, A_STRTAB_BASE), ==, 0);
    g_assert_cmphex(guest_read(f, A_IDR0 + 1), ==, 0);
    /* A 64-bit access to two 32-bit registers. */
    guest_write64(f, A_CR1, UINT64_MAX);
    g_assert_cmphex(guest_read(f, A_CR1), ==, 0);
    g_assert_cmphex(guest_read64(f, A_IDR0), ==, 0);
}

static void test_no_msi_makes_its_registers_res0(void)
{
    Smmuv3Properties props = SMMUV3_PROPERTIES_DEFAULT;

    teardown();
    props.msi = false;
    f = fixture_new(&props, false);
    guest_write64(f, A_EVENTQ_IRQ_CFG0, UINT64_MAX);
    guest_write(f, A_EVENTQ_IRQ_CFG1, UINT32_MAX);
    guest_write(f, A_GERROR_IRQ_CFG2, UINT32_MAX);
    g_assert_cmphex(guest_read64(f, A_EVENTQ_IRQ_CFG0), ==, 0);
    g_assert_cmphex(guest_read(f, A_EVENTQ_IRQ_CFG1), ==, 0);
    g_assert_cmphex(guest_read(f, A_GERROR_IRQ_CFG2), ==, 0);
}

static void test_bits_above_the_wrap_are_raz(void)
{
    guest_write64(f, A_CMDQ_BASE, GUEST_CMDQ | 4);
    guest_write(f, A_CMDQ_CONS, UINT32_MAX);
    g_assert_cmphex(guest_read(f, A_CMDQ_CONS), ==, 0x7f00001f);
    guest_write64(f, A_EVENTQ_BASE, GUEST_EVENTQ | 4);
    guest_write(f, A_EVENTQ_PROD, UINT32_MAX);
    g_assert_cmphex(guest_read(f, A_EVENTQ_PROD), ==, 0x8000001f);
}

static void test_log2size_reads_back_and_is_capped_in_use(void)
{
    Smmuv3Properties props = SMMUV3_PROPERTIES_DEFAULT;

    teardown();
    props.log2_eventq = 3;
    f = fixture_new(&props, false);
    guest_enable_eventq(f, 31);
    g_assert_cmphex(guest_read64(f, A_EVENTQ_BASE), ==, GUEST_EVENTQ | 31);
    g_assert_cmpuint(viommu_get_stats(f->viommu).queue_size, ==, 8);
}

static void test_reset_restores_everything(void)
{
    uint32_t words[SMMUV3_REG_WORDS];

    for (unsigned i = 0; i < SMMUV3_REG_WORDS; i++) {
        words[i] = guest_read(f, 4 * i);
    }
    guest_start(f, 5, 5);
    guest_write(f, A_EVENTQ_CONS, 0x80000001);
    viommu_reset(f->viommu);
    for (unsigned i = 0; i < SMMUV3_REG_WORDS; i++) {
        g_assert_cmphex(guest_read(f, 4 * i), ==, words[i]);
    }
    g_assert_cmphex(guest_read(f, A_EVENTQ_PROD), ==, 0);
    g_assert_cmphex(guest_read(f, A_EVENTQ_CONS), ==, 0);
}

static void test_bad_properties(void)
{
    static const struct {
        Smmuv3Properties props;
        const char *message;
    } cases[] = {
        { { .oas_bits = 52 },
          "arm-smmuv3: oas 52 is not supported, 44 or 48 is accepted" },
        { { .oas_bits = 44, .ssid_bits = 21 },
          "arm-smmuv3: ssidsize 21 is out of range, 0 to 20 is accepted" },
        { { .oas_bits = 44, .log2_eventq = 20 },
          "arm-smmuv3: log2 size of the event queue 20 is out of range, "
          "0 to 19 is accepted" },
        { { .oas_bits = 44, .log2_cmdq = 20 },
          "arm-smmuv3: log2 size of the command queue 20 is out of range, "
          "0 to 19 is accepted" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        ViommuConfig config = { .id = "x", .ctx = f->ctx, .mem = f->mem,
                                .irq = &f->irq.parent };
        g_autoptr(GError) error = NULL;

        g_assert_null(smmuv3_new(&config, &cases[i].props, &error));
        g_assert_cmpstr(error->message, ==, cases[i].message);
    }
}

typedef void TestFunc(void);

static void run(gconstpointer data)
{
    setup();
    (*(TestFunc *const *)data)();
    teardown();
}

int main(int argc, char **argv)
{
    static const struct {
        TestFunc *func;
        const char *path;
    } tests[] = {
        { test_id_registers, "id-registers" },
        { test_peripheral_id, "peripheral-id" },
        { test_probe_sequence, "probe-sequence" },
        { test_stored_bits, "stored-bits" },
        { test_guards, "guards" },
        { test_halves_of_64_bit_registers, "halves-of-64-bit-registers" },
        { test_cr1_has_two_guards, "cr1-has-two-guards" },
        { test_acks_show_implemented_bits, "acks-show-implemented-bits" },
        { test_gbpa_needs_update, "gbpa-needs-update" },
        { test_gerrorn_ignores_inactive_bits, "gerrorn-ignores-inactive-bits" },
        { test_read_only_registers, "read-only-registers" },
        { test_undefined_offsets, "undefined-offsets" },
        { test_other_access_sizes, "other-access-sizes" },
        { test_no_msi_makes_its_registers_res0,
          "no-msi-makes-its-registers-res0" },
        { test_bits_above_the_wrap_are_raz, "bits-above-the-wrap-are-raz" },
        { test_log2size_reads_back_and_is_capped_in_use,
          "log2size-reads-back-and-is-capped-in-use" },
        { test_reset_restores_everything, "reset-restores-everything" },
        { test_bad_properties, "bad-properties" },
    };
    int ret;

    g_test_init(&argc, &argv, NULL);
    rcu_register_thread();
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *path = g_strdup_printf("/smmuv3/regs/%s",
                                                tests[i].path);

        g_test_add_data_func(path, &tests[i].func, run);
    }
    ret = g_test_run();
    rcu_unregister_thread();
    return ret;
}
