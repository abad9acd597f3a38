/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest that writes whatever comes to its mind, on several vCPUs, to an
 * SMMUv3's registers, stream table and queues, while an emulated device asks
 * for pages. Now and then it puts all in order and hands over commands that are
 * mostly legal, so that they are run and not just refused. No account is off at
 * the end, and no group lost.
 */
#include "priq-fixture.h"

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>

#define SVA_SID 0x10
#define HOST_SID (SVA_SID + 1)
#define PASID 5
#define GROUPS 16

/* Commands at a time, in a queue of twice as many. */
#define BURST 32
#define LOG2_CMDQ 6
#define LOG2_PRIQ 2

#define VCPUS 3
#define ROUNDS 150
#define ACCESSES 20
#define RESET_ROUNDS 12

/* 4.1.3: those that are not CERROR_ILL here. */
static const uint8_t ops[] = {
    0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x10, 0x11, 0x12, 0x13, 0x30, 0x40,
    0x41, 0x46,
};
#define OP_PRI_RESP 0x41

static const Pgfault page = { .addr = 0x1000, .perm = PGFAULT_PERM_READ };

static Fixture *f;
static SvaDevice *sva;
static SvaGroup groups[GROUPS];
static atomic_bool busy[GROUPS];
static atomic_bool stop;

/* Commands that CMDQ_CONS has passed, by opcode. */
static atomic_uint passed[256];

/* One vCPU at a time has the queue; the others write at random meanwhile. */
static pthread_mutex_t cmdq_lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- The device ---- */

static void responded(void *opaque, SvaGroup *group)
{
    /* Release: pairs with the acquire load of who asks again. */
    atomic_store_explicit(&busy[group - groups], false, memory_order_release);
}

static void *device_thread(void *opaque)
{
    rcu_register_thread();
    for (unsigned i = 0; !atomic_load(&stop); i = (i + 1) % GROUPS) {
        if (atomic_load_explicit(&busy[i], memory_order_acquire)) {
            sched_yield();
            continue;
        }
        atomic_store_explicit(&busy[i], true, memory_order_relaxed);
        groups[i] = (SvaGroup){ .pasid = PASID, .index = i, .count = 1,
                                .pages = &page };
        if (!viommu_page_request(sva, &groups[i])) {
            atomic_store_explicit(&busy[i], false, memory_order_relaxed);
        }
    }
    rcu_unregister_thread();
    return NULL;
}

/* ---- At random ---- */

static uint64_t random_offset(GRand *rand)
{
    static const uint64_t offsets[] = {
        A_CR0, A_GERRORN, A_CMDQ_PROD, A_PRIQ_CONS, A_PRIQ_PROD, A_IRQ_CTRL,
    };

    switch (g_rand_int_range(rand, 0, 4)) {
    case 0:
        return offsets[g_rand_int_range(rand, 0, G_N_ELEMENTS(offsets))];
    case 1:
        return 0x10000 + g_rand_int_range(rand, 0, 0xe0);
    default:
        return g_rand_int_range(rand, 0, SMMUV3_REG_WORDS) * 4;
    }
}

static uint64_t random_word(GRand *rand)
{
    return (uint64_t)g_rand_int(rand) << 32 | g_rand_int(rand);
}

static uint64_t random_value(GRand *rand)
{
    uint64_t value = random_word(rand);

    switch (g_rand_int_range(rand, 0, 5)) {
    case 0:
        return value;
    case 1:
        return GUEST_RAM + value % GUEST_RAM_SIZE;
    case 2:
        return BIT(value % 64);
    case 3:
        return value & (0x1f | PRIQ_OVFLG);
    default:
        return GUEST_PRIQ | (value & 0x1f);
    }
}

/* In the queues, in the stream table, or anywhere. */
static void scribble(GRand *rand)
{
    static const uint64_t bases[] = {
        GUEST_CMDQ, GUEST_STRTAB, GUEST_PRIQ, GUEST_RAM,
    };
    uint64_t base = bases[g_rand_int_range(rand, 0, G_N_ELEMENTS(bases))];
    uint64_t word = random_value(rand);

    guest_words_store(guest_words(f, base + g_rand_int_range(rand, 0, 512) * 8),
                      &word, 1);
}

static void write_at_random(GRand *rand)
{
    for (unsigned i = 0; i < ACCESSES; i++) {
        uint64_t offset = random_offset(rand);
        unsigned size = g_rand_boolean(rand) ? 4 : 8;

        viommu_mmio_read(f->viommu, offset, size);
        viommu_mmio_write(f->viommu, offset, size, random_value(rand));
        scribble(rand);
    }
}

/* ---- In order ---- */

/* As after an error. Others may have something else in mind. */
static void put_in_order(void)
{
    guest_write(f, A_CR0, 0);
    guest_write(f, A_GERRORN, guest_read(f, A_GERROR));
    guest_set_ste(f, SVA_SID, 1 | 4 << 1, 0);
    guest_set_ste(f, HOST_SID, 1 | 4 << 1, 0);
    guest_write64(f, A_STRTAB_BASE, GUEST_STRTAB);
    guest_write(f, A_STRTAB_BASE_CFG, 8);
    guest_write64(f, A_CMDQ_BASE, GUEST_CMDQ | LOG2_CMDQ);
    guest_write(f, A_CMDQ_PROD, 0);
    guest_write(f, A_CMDQ_CONS, 0);
    guest_write64(f, A_PRIQ_BASE, GUEST_PRIQ | LOG2_PRIQ);
    guest_write(f, A_PRIQ_PROD, 0);
    guest_write(f, A_PRIQ_CONS, 0);
    guest_write(f, A_CR0, 0x1f);
}

static uint32_t random_sid(GRand *rand)
{
    return g_rand_int_range(rand, SVA_SID, SVA_SID + 3);
}

/* Legal, of @op, with fields at random. */
static void random_command(GRand *rand, uint8_t op, uint64_t *word)
{
    word[0] = OP(op, random_sid(rand));
    word[1] = 0;
    switch (op) {
    case OP_PRI_RESP:
        word[0] = priq_resp_word0(random_sid(rand), PASID);
        word[1] = priq_resp_word1(g_rand_int_range(rand, 0, GROUPS),
                                  g_rand_int_range(rand, 0, 3));
        break;
    case 0x04:                          /* CFGI_STE_RANGE: 2^(n + 1) */
        word[1] = g_rand_int_range(rand, 0, 32);
        break;
    case 0x11:                          /* TLBI_NH_ASID */
        word[0] = op | (uint64_t)g_rand_int_range(rand, 0, 1 << 16) << 48;
        break;
    case 0x12:                          /* TLBI_NH_VA: ASID, address */
        word[0] = op | (uint64_t)g_rand_int_range(rand, 0, 1 << 16) << 48;
        word[1] = random_word(rand) & ~UINT64_C(0xfff);
        break;
    case 0x13:                          /* TLBI_NH_VAA: address */
        word[0] = op;
        word[1] = random_word(rand) & ~UINT64_C(0xfff);
        break;
    case 0x10:
    case 0x30:
    case 0x46:
        word[0] = op;
        break;
    }
}

/* Half of them answers, and here and there a bit that is not legal. */
static void fill_queue(GRand *rand, uint8_t *filled)
{
    for (unsigned i = 0; i < BURST; i++) {
        uint64_t words[2];

        filled[i] = g_rand_boolean(rand)
                        ? OP_PRI_RESP
                        : ops[g_rand_int_range(rand, 0, G_N_ELEMENTS(ops))];
        random_command(rand, filled[i], words);
        if (g_rand_int_range(rand, 0, 200) == 0) {
            words[g_rand_int_range(rand, 0, 2)] ^=
                BIT(g_rand_int_range(rand, 0, 64));
        }
        guest_words_store(guest_words(f, GUEST_CMDQ + SMMUV3_CMD_BYTES * i),
                          words, 2);
    }
}

/*
 * What CMDQ_CONS says after the write of PROD. Where another vCPU has moved the
 * queue away meanwhile it says nothing of what was run.
 */
static void count_passed(const uint8_t *filled)
{
    uint32_t rd = guest_read(f, A_CMDQ_CONS) & (BIT(LOG2_CMDQ + 1) - 1);

    if (guest_read64(f, A_CMDQ_BASE) != (GUEST_CMDQ | LOG2_CMDQ) ||
        rd > BURST) {
        return;
    }
    for (unsigned i = 0; i < rd; i++) {
        atomic_fetch_add(&passed[filled[i]], 1);
    }
}

static void hand_over(GRand *rand)
{
    uint8_t filled[BURST];

    pthread_mutex_lock(&cmdq_lock);
    put_in_order();
    fill_queue(rand, filled);
    guest_write(f, A_CMDQ_PROD, BURST);
    count_passed(filled);
    pthread_mutex_unlock(&cmdq_lock);
}

/* Take some of the requests out, and acknowledge an overflow. */
static void consume(void)
{
    guest_write(f, A_PRIQ_CONS, guest_read(f, A_PRIQ_PROD));
}

/* ---- All at once ---- */

/* The device's thread has come to its turn, and so has an answer. */
static bool has_answered(void)
{
    return viommu_get_page_stats(f->viommu).answered > 0;
}

/* The one that @resets goes on until the device was there, however late. */
static void run_vcpu(uint32_t seed, bool resets)
{
    GRand *rand = g_rand_new_with_seed(seed);

    for (unsigned i = 1; i <= ROUNDS || (resets && !has_answered()); i++) {
        hand_over(rand);
        consume();
        write_at_random(rand);
        if (resets && i % RESET_ROUNDS == 0) {
            viommu_reset(f->viommu);
        }
    }
    g_rand_free(rand);
}

static void *vcpu(void *opaque)
{
    rcu_register_thread();
    run_vcpu(GPOINTER_TO_UINT(opaque), false);
    rcu_unregister_thread();
    return NULL;
}

static void setup(void)
{
    GError *error = NULL;

    message_log_start();
    f = fixture_new(&PRIQ_PROPERTIES, true);
    guest_start_priq(f, 4, LOG2_CMDQ, LOG2_PRIQ);
    fixture_plug(f, HOST_SID);
    sva = viommu_add_sva_device(f->viommu, &(SvaDeviceConfig){
        .name = "sva0", .virt_id = SVA_SID, .ctx = f->ctx, .credits = GROUPS,
        .responded = responded,
    }, &error);
    g_assert_no_error(error);
    atomic_store(&stop, false);
    for (unsigned i = 0; i < G_N_ELEMENTS(passed); i++) {
        atomic_store(&passed[i], 0);
    }
}

static void teardown(void)
{
    ViommuPageStats stats;

    viommu_remove_sva_device(sva);
    stats = viommu_get_page_stats(f->viommu);
    g_assert_cmpuint(stats.open, ==, 0);
    g_assert_cmpuint(stats.raised, ==,
                     stats.answered + stats.invalid + stats.retried);
    for (unsigned i = 0; i < GROUPS; i++) {
        g_assert_false(atomic_load(&busy[i]));
    }
    fixture_free(f);
}

/* That it was no idle guest: each command was run, and groups answered. */
static void assert_not_idle(void)
{
    ViommuPageStats stats = viommu_get_page_stats(f->viommu);

    for (unsigned i = 0; i < G_N_ELEMENTS(ops); i++) {
        g_test_message("command 0x%02x: %u", ops[i],
                       atomic_load(&passed[ops[i]]));
        g_assert_cmpuint(atomic_load(&passed[ops[i]]), >, 0);
    }
    g_test_message("raised %" PRIu64 ", answered %" PRIu64 ", invalid %" PRIu64
                   ", retried %" PRIu64 ", stray %" PRIu64,
                   stats.raised, stats.answered, stats.invalid, stats.retried,
                   stats.stray);
    g_assert_cmpuint(stats.answered, >, 0);
    g_assert_cmpuint(stats.stray, >, 0);
}

static void test_random_accesses_do_no_harm(void)
{
    pthread_t threads[VCPUS];

    pthread_create(&threads[0], NULL, device_thread, NULL);
    for (unsigned i = 1; i < VCPUS; i++) {
        pthread_create(&threads[i], NULL, vcpu,
                       GUINT_TO_POINTER(g_test_rand_int()));
    }
    run_vcpu(g_test_rand_int(), true);
    for (unsigned i = 1; i < VCPUS; i++) {
        pthread_join(threads[i], NULL);
    }
    atomic_store(&stop, true);
    pthread_join(threads[0], NULL);
    assert_not_idle();
    /* It is as good as new after a reset. */
    viommu_reset(f->viommu);
    guest_start_priq(f, 4, LOG2_CMDQ, LOG2_PRIQ);
    cmdq_run(f, SYNC);
    cmdq_assert_done(f);
}

int main(int argc, char **argv)
{
    static const FixtureTest tests[] = {
        { test_random_accesses_do_no_harm, "accesses-do-no-harm" },
    };

    return fixture_main(argc, argv, "/smmuv3/random", tests,
                        G_N_ELEMENTS(tests), setup, teardown);
}
