/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Registers of the PRI queue (IHI 0070 G.b, 6): there with IDR0.PRI, RES0
 * without. All others: test-smmuv3-regs.c.
 */
#include "priq-fixture.h"

static Fixture *f;

static void setup(void)
{
    f = fixture_new(&PRIQ_PROPERTIES, false);
}

static void setup_again(bool pri, bool msi)
{
    Smmuv3Properties props = PRIQ_PROPERTIES;

    fixture_free(f);
    props.pri = pri;
    props.msi = msi;
    f = fixture_new(&props, false);
}

static void teardown(void)
{
    fixture_free(f);
}

/* What is stored of all ones, and what closes the register. */
static const struct {
    uint64_t offset;
    unsigned size;
    uint64_t stored, stored_without_msi;
    uint64_t by_register;
    uint32_t bit;
} registers[] = {
    { A_PRIQ_BASE, 8, 0x40ffffffffffffff, 0x40ffffffffffffff, A_CR0, 2 },
    { A_PRIQ_PROD, 4, 0x800fffff, 0x800fffff, A_CR0, 2 },
    { A_PRIQ_CONS, 4, 0x800fffff, 0x800fffff, A_CR0, 0 },
    { A_PRIQ_IRQ_CFG0, 8, 0x00fffffffffffffc, 0, A_IRQ_CTRL, 2 },
    { A_PRIQ_IRQ_CFG1, 4, 0xffffffff, 0, A_IRQ_CTRL, 2 },
    { A_PRIQ_IRQ_CFG2, 4, 0x8000003f, 0x80000000, A_IRQ_CTRL, 2 },
};

static uint64_t read_at(size_t i)
{
    return viommu_mmio_read(f->viommu, registers[i].offset, registers[i].size);
}

static void write_at(size_t i, uint64_t value)
{
    viommu_mmio_write(f->viommu, registers[i].offset, registers[i].size,
                      value);
}

static void test_id_registers(void)
{
    Smmuv3Properties props = PRIQ_PROPERTIES;

    g_assert_cmphex(guest_read(f, A_IDR0), ==, 0x0d49341a);
    g_assert_cmphex(guest_read(f, A_IDR1), ==, 0x02739d10 | 4 << 6);
    g_assert_cmphex(guest_read(f, A_IDR3), ==, 0x400);
    teardown();
    props.pps = true;
    props.log2_priq = 7;
    f = fixture_new(&props, false);
    g_assert_cmphex(guest_read(f, A_IDR1) >> 11 & 0x1f, ==, 7);
    g_assert_cmphex(guest_read(f, A_IDR3), ==, 0x420);
    setup_again(false, true);
    g_assert_cmphex(guest_read(f, A_IDR0), ==, 0x0d48341a);
    g_assert_cmphex(guest_read(f, A_IDR1), ==, 0x02730010 | 20 << 6);
}

/* 14.1 of the digest, with PRI and ATS: every poll ends on its first read. */
static void test_probe_sequence(void)
{
    guest_start_priq(f, 7, 8, 9);
    g_assert_cmphex(guest_read(f, A_CR0ACK), ==, 0x1f);
    g_assert_cmphex(guest_read(f, A_IRQ_CTRLACK), ==, 0x7);
    g_assert_cmphex(guest_read(f, A_GERROR), ==, 0);
}

static void test_stored_bits(void)
{
    for (unsigned msi = 0; msi < 2; msi++) {
        setup_again(true, msi);
        guest_write64(f, A_PRIQ_BASE, 19);      /* no index bit is RAZ */
        for (size_t i = 0; i < G_N_ELEMENTS(registers); i++) {
            write_at(i, UINT64_MAX);
            g_assert_cmphex(read_at(i), ==,
                            msi ? registers[i].stored
                                : registers[i].stored_without_msi);
        }
    }
}

static void test_RES0_without_PRI(void)
{
    setup_again(false, true);
    for (size_t i = 0; i < G_N_ELEMENTS(registers); i++) {
        write_at(i, UINT64_MAX);
        g_assert_cmphex(read_at(i), ==, 0);
    }
    guest_write(f, A_CR0, 0x12);
    g_assert_cmphex(guest_read(f, A_CR0), ==, 0x10);
    g_assert_cmphex(guest_read(f, A_CR0ACK), ==, 0x10);
    guest_write(f, A_IRQ_CTRL, 0x7);
    g_assert_cmphex(guest_read(f, A_IRQ_CTRL), ==, 0x5);
    g_assert_cmphex(guest_read(f, A_IRQ_CTRLACK), ==, 0x5);
}

static void test_acks_show_the_bits(void)
{
    guest_write(f, A_CR0, UINT32_MAX & ~FIELD_MASK(CR0, CMDQEN));
    g_assert_cmphex(guest_read(f, A_CR0ACK), ==, 0x17);
    guest_write(f, A_IRQ_CTRL, UINT32_MAX);
    g_assert_cmphex(guest_read(f, A_IRQ_CTRLACK), ==, 0x7);
}

static void test_guards(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(registers); i++) {
        uint64_t before = read_at(i);

        if (registers[i].bit == 0) {
            continue;
        }
        guest_write(f, registers[i].by_register, registers[i].bit);
        write_at(i, ~before);
        g_assert_cmphex(read_at(i), ==, before);
        guest_write(f, registers[i].by_register, 0);
        write_at(i, 1);
        write_at(i, 4);
        g_assert_cmphex(read_at(i), ==,
                        registers[i].offset == A_PRIQ_PROD ? 0 : 4);
        write_at(i, 0);
    }
    /* Of other queues and interrupts no matter. */
    guest_write(f, A_IRQ_CTRL, 0x5);
    guest_write(f, A_CR0, 0xc);
    for (size_t i = 0; i < G_N_ELEMENTS(registers); i++) {
        write_at(i, 4);
        g_assert_cmphex(read_at(i), ==, 4);
    }
}

/* The stored bit closes, also where SMMUEN keeps it without effect. */
static void test_PRIQEN_without_SMMUEN_is_a_guard(void)
{
    guest_write(f, A_CR0, FIELD_MASK(CR0, PRIQEN));
    g_assert_cmphex(guest_read(f, A_CR0ACK), ==, FIELD_MASK(CR0, PRIQEN));
    guest_write64(f, A_PRIQ_BASE, GUEST_PRIQ);
    g_assert_cmphex(guest_read64(f, A_PRIQ_BASE), ==, 0);
}

static void test_PRIQEN_closes_CR1_queue_attributes(void)
{
    guest_write(f, A_CR0, FIELD_MASK(CR0, PRIQEN));
    guest_write(f, A_CR1, 0xfff);
    g_assert_cmphex(guest_read(f, A_CR1), ==, 0xfc0);
}

static void test_halves_of_64_bit_registers(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(registers); i++) {
        uint64_t offset = registers[i].offset;

        if (registers[i].size != 8) {
            continue;
        }
        guest_write(f, offset, UINT32_MAX);
        g_assert_cmphex(read_at(i), ==, registers[i].stored & UINT32_MAX);
        guest_write(f, offset + 4, UINT32_MAX);
        g_assert_cmphex(read_at(i), ==, registers[i].stored);
        g_assert_cmphex(guest_read(f, offset + 4), ==,
                        registers[i].stored >> 32);
    }
}

static void test_indices_are_in_page_1_only(void)
{
    guest_write64(f, A_PRIQ_BASE, 19);
    guest_write(f, A_PRIQ_PROD, 5);
    guest_write(f, A_PRIQ_CONS, 6);
    g_assert_cmphex(guest_read(f, A_PRIQ_PROD - SMMUV3_PAGE_SIZE), ==, 0);
    g_assert_cmphex(guest_read(f, A_PRIQ_CONS - SMMUV3_PAGE_SIZE), ==, 0);
    guest_write(f, A_PRIQ_PROD - SMMUV3_PAGE_SIZE, 1);
    guest_write(f, A_PRIQ_CONS - SMMUV3_PAGE_SIZE, 1);
    g_assert_cmphex(guest_read(f, A_PRIQ_PROD), ==, 5);
    g_assert_cmphex(guest_read(f, A_PRIQ_CONS), ==, 6);
    g_assert_cmphex(guest_read(f, A_PRIQ_BASE + SMMUV3_PAGE_SIZE), ==, 0);
    g_assert_cmphex(guest_read(f, A_PRIQ_IRQ_CFG2 + SMMUV3_PAGE_SIZE), ==, 0);
    /* A 64-bit access to the two. */
    guest_write64(f, A_PRIQ_PROD, UINT64_MAX);
    g_assert_cmphex(guest_read64(f, A_PRIQ_PROD), ==, 0);
    g_assert_cmphex(guest_read(f, A_PRIQ_PROD), ==, 5);
}

static void test_bits_above_the_wrap_are_raz(void)
{
    guest_write64(f, A_PRIQ_BASE, GUEST_PRIQ | 4);
    guest_write(f, A_PRIQ_PROD, UINT32_MAX);
    g_assert_cmphex(guest_read(f, A_PRIQ_PROD), ==, 0x8000001f);
    guest_write(f, A_PRIQ_CONS, UINT32_MAX);
    g_assert_cmphex(guest_read(f, A_PRIQ_CONS), ==, 0x800fffff);
}

static void test_reset_restores_everything(void)
{
    guest_start_priq(f, 4, 4, 3);
    priq_deliver_one(f, 0x10, 2);
    priq_deliver_one(f, 0x10, 9);
    guest_write(f, A_PRIQ_CONS, 1);
    guest_write(f, A_IRQ_CTRL, 0);
    for (size_t i = 3; i < G_N_ELEMENTS(registers); i++) {
        write_at(i, UINT64_MAX);
    }
    viommu_reset(f->viommu);
    for (size_t i = 0; i < G_N_ELEMENTS(registers); i++) {
        g_assert_cmphex(read_at(i), ==, 0);
    }
    g_assert_cmphex(guest_read(f, A_CR0ACK), ==, 0);
    g_assert_cmphex(guest_read(f, A_IRQ_CTRLACK), ==, 0);
}

static void test_queue_size_is_0_while_it_is_off(void)
{
    guest_start_priq(f, 4, 4, 3);
    g_assert_cmpuint(viommu_get_page_stats(f->viommu).queue_size, ==, 8);
    guest_write(f, A_CR0, 0x1e);
    g_assert_cmpuint(viommu_get_page_stats(f->viommu).queue_size, ==, 0);
    guest_write(f, A_CR0, 0x1d);
    g_assert_cmpuint(viommu_get_page_stats(f->viommu).queue_size, ==, 0);
}

static void test_bad_properties(void)
{
    static const struct {
        Smmuv3Properties props;
        const char *message;
    } cases[] = {
        { { .oas_bits = 44, .pri = true },
          "arm-smmuv3: pri on needs ats on" },
        { { .oas_bits = 44, .ats = true, .pps = true },
          "arm-smmuv3: pps on needs pri on" },
        { { .oas_bits = 44, .log2_priq = 20 },
          "arm-smmuv3: log2 size of the PRI queue 20 is out of range, "
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

int main(int argc, char **argv)
{
    static const FixtureTest tests[] = {
        { test_id_registers, "id-registers" },
        { test_probe_sequence, "probe-sequence" },
        { test_stored_bits, "stored-bits" },
        { test_RES0_without_PRI, "RES0-without-PRI" },
        { test_acks_show_the_bits, "acks-show-the-bits" },
        { test_guards, "guards" },
        { test_PRIQEN_without_SMMUEN_is_a_guard,
          "PRIQEN-without-SMMUEN-is-a-guard" },
        { test_PRIQEN_closes_CR1_queue_attributes,
          "PRIQEN-closes-CR1-queue-attributes" },
        { test_halves_of_64_bit_registers, "halves-of-64-bit-registers" },
        { test_indices_are_in_page_1_only, "indices-are-in-page-1-only" },
        { test_bits_above_the_wrap_are_raz, "bits-above-the-wrap-are-raz" },
        { test_reset_restores_everything, "reset-restores-everything" },
        { test_queue_size_is_0_while_it_is_off,
          "queue-size-is-0-while-it-is-off" },
        { test_bad_properties, "bad-properties" },
    };

    return fixture_main(argc, argv, "/smmuv3/priq-regs", tests,
                        G_N_ELEMENTS(tests), setup, teardown);
}
