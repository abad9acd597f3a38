/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest that writes whatever comes to its mind, on several vCPUs, to VT-d's
 * registers, tables and queues, while devices of the host's and an emulated one
 * ask for pages. Now and then it puts all in order and hands over descriptors
 * that are mostly legal, so that they are run and not just refused. No account
 * is off at the end, and no group lost.
 */
#include "vtd-fixture.h"

#include "base/rcu.h"

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#define SVA_RID 0x10
#define HOST_RID (SVA_RID + 1)
#define DID 5
#define SVA_PASID 7
#define GROUPS 16
#define TABLE VTD_GUEST_FREE
#define CONTEXT_BITS                                              \
    (FIELD_MASK(CONTEXT0, P) | FIELD_MASK(CONTEXT0, DTE) |        \
     FIELD_MASK(CONTEXT0, PASIDE) | FIELD_MASK(CONTEXT0, PRE))

#define TYPES (VTD_DESC_PAGE_RESPONSE + 1)

/* 32 descriptors of 256 bits at a time; the queue is one page. */
#define BURST 32
#define QUEUE_BYTES 4096
#define DESC_BYTES 32

#define VCPUS 3
#define ROUNDS 150
#define ACCESSES 20
#define RESET_ROUNDS 12

static const Pgfault page = { .addr = 0x1000, .perm = PGFAULT_PERM_READ };

static VtdFixture *f;
static VfioDevice *device;
static SvaDevice *sva;
static SvaGroup groups[GROUPS];
static atomic_bool busy[GROUPS];
static atomic_bool stop;
static atomic_uint host_raised;
static atomic_uint host_answered;

/* Descriptors that IQH has passed, by type. */
static atomic_uint passed[TYPES];

/* One vCPU at a time has the queue; the others write at random meanwhile. */
static pthread_mutex_t iq_lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- Devices ---- */

static void responded(void *opaque, SvaGroup *group)
{
    /* Release: pairs with the acquire load of who asks again. */
    atomic_store_explicit(&busy[group - groups], false, memory_order_release);
}

static void host_answer(const EmulPageAnswer *answer, void *opaque)
{
    atomic_fetch_add(&host_answered, 1);
}

static void ask_emulated(unsigned i)
{
    if (atomic_load_explicit(&busy[i], memory_order_acquire)) {
        return;
    }
    atomic_store_explicit(&busy[i], true, memory_order_relaxed);
    groups[i] = (SvaGroup){ .pasid = SVA_PASID, .index = i, .count = 1,
                            .pages = &page };
    if (!viommu_page_request(sva, &groups[i])) {
        atomic_store_explicit(&busy[i], false, memory_order_relaxed);
    }
}

static void ask_host(unsigned i)
{
    const EmulPageRequest request = {
        .dev_id = vfio_device_get_dev_id(device), .pasid = SVA_PASID,
        .grpid = i, .perm = IOMMU_PGFAULT_PERM_READ, .addr = page.addr,
        .last = true,
    };

    if (atomic_load(&host_raised) - atomic_load(&host_answered) >= GROUPS) {
        return;
    }
    atomic_fetch_add(&host_raised, 1);
    if (emul_request_page(f->host, &request) == EMUL_REPORT_REFUSED) {
        atomic_fetch_sub(&host_raised, 1);
    }
}

static void *devices_thread(void *opaque)
{
    rcu_register_thread();
    for (unsigned i = 0; !atomic_load(&stop); i = (i + 1) % GROUPS) {
        ask_emulated(i);
        ask_host(i);
        sched_yield();
    }
    rcu_unregister_thread();
    return NULL;
}

/* ---- At random ---- */

/* Mostly registers that there are. */
static uint64_t random_offset(GRand *rand)
{
    switch (g_rand_int_range(rand, 0, 8)) {
    case 0:
        return g_rand_int(rand) % (VTD_MMIO_SIZE + 16);
    case 1:
        return A_IQT;
    case 2:
        return A_FSTS;
    case 3:
        return A_PQH + g_rand_int_range(rand, 0, 12) * 4;
    default:
        return g_rand_int_range(rand, 0, VTD_REG_WORDS) * 4;
    }
}

static uint64_t random_word(GRand *rand)
{
    return (uint64_t)g_rand_int(rand) << 32 | g_rand_int(rand);
}

static uint64_t random_value(GRand *rand)
{
    uint64_t value = random_word(rand);

    switch (g_rand_int_range(rand, 0, 6)) {
    case 0:
        return value;
    case 1:
        return GUEST_RAM + value % GUEST_RAM_SIZE;
    case 2:
        return VTD_GUEST_ROOT | TTM_SCALABLE << 10;
    case 3:
        return BIT(value % 64);
    case 4:
        return value % 0x2000 & ~UINT64_C(0x1f);
    default:
        return VTD_GUEST_IQ | (value & 0x807);
    }
}

/* In the queue, among the tables, or anywhere. */
static void scribble(GRand *rand)
{
    static const uint64_t bases[] = {
        VTD_GUEST_IQ, VTD_GUEST_ROOT, VTD_GUEST_PASID_TABLE, GUEST_RAM,
    };
    uint64_t base = bases[g_rand_int_range(rand, 0, G_N_ELEMENTS(bases))];

    vtd_guest_store(f, base + g_rand_int_range(rand, 0, 512) * 8,
                    random_value(rand));
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

static void restore_tables(void)
{
    vtd_guest_store(f, VTD_GUEST_ROOT, VTD_GUEST_CONTEXT | 1);
    vtd_guest_store(f, VTD_GUEST_PASID_DIR, VTD_GUEST_PASID_TABLE | 1);
    vtd_guest_set_context(f, SVA_RID, CONTEXT_BITS);
    vtd_guest_set_context(f, HOST_RID, CONTEXT_BITS);
    vtd_guest_set_pasid(f, SVA_PASID, DID, TABLE);
}

/*
 * As after a queue error, but for what is at IQH: it is not run any more. Other
 * vCPUs may have something else in mind, so nothing is asserted.
 */
static void put_in_order(void)
{
    const uint32_t te = FIELD_MASK(GCMD, TE), qie = FIELD_MASK(GCMD, QIE);

    vtd_guest_write32(f, A_IQT, vtd_guest_read64(f, A_IQH));
    vtd_guest_write32(f, A_FSTS, 0x71);
    vtd_guest_write32(f, A_GCMD, te);
    restore_tables();
    vtd_guest_write64(f, A_RTADDR, VTD_GUEST_ROOT | TTM_SCALABLE << 10);
    vtd_guest_write32(f, A_GCMD, te | FIELD_MASK(GCMD, SRTP));
    vtd_guest_write64(f, A_PQA, VTD_GUEST_PRQ);
    vtd_guest_write64(f, A_PQH, vtd_guest_read64(f, A_PQT));
    vtd_guest_write32(f, A_PRS, 3);
    vtd_guest_write32(f, A_IQT, 0);
    vtd_guest_write64(f, A_IQA, VTD_GUEST_IQ | FIELD_MASK(IQA, DW));
    vtd_guest_write32(f, A_GCMD, te | qie);
}

/* Granularities that exist. */
static unsigned random_g(GRand *rand, VtdDescType type)
{
    static const unsigned pasid_cache[] = { PASID_CACHE_G_DOMAIN,
                                            PASID_CACHE_G_PASID,
                                            PASID_CACHE_G_GLOBAL };

    switch (type) {
    case VTD_DESC_PASID_CACHE:
        return pasid_cache[g_rand_int_range(rand, 0, 3)];
    case VTD_DESC_PASID_IOTLB:
        return g_rand_int_range(rand, 2, 4);
    default:
        return g_rand_int_range(rand, 1, 4);
    }
}

static uint16_t random_rid(GRand *rand)
{
    return g_rand_int_range(rand, SVA_RID, SVA_RID + 3);
}

/* One that names groups which may be open. */
static void random_response(GRand *rand, uint64_t *word)
{
    word[0] = FIELD_SET(word[0], PAGE_RESPONSE_DESC0, PP, 1);
    word[0] = FIELD_SET(word[0], PAGE_RESPONSE_DESC0, RID, random_rid(rand));
    word[0] = FIELD_SET(word[0], PAGE_RESPONSE_DESC0, RC,
                        g_rand_int_range(rand, 0, 2));
    word[0] = FIELD_SET(word[0], DESC0, PASID, SVA_PASID);
    word[1] = FIELD_SET(0, PAGE_RESPONSE_DESC1, PRGI,
                        g_rand_int_range(rand, 0, GROUPS));
}

static void random_wait(GRand *rand, uint64_t *word)
{
    word[0] |= random_word(rand) & (FIELD_MASK(WAIT_DESC0, IF) |
                                    FIELD_MASK(WAIT_DESC0, SW) |
                                    FIELD_MASK(WAIT_DESC0, FN) |
                                    FIELD_MASK(WAIT_DESC0, PD) |
                                    FIELD_MASK(WAIT_DESC0, STATUS_DATA));
    word[1] = VTD_GUEST_STATUS + 4 * g_rand_int_range(rand, 0, 16);
}

/* Legal, of @type, with fields at random. */
static void random_descriptor(GRand *rand, VtdDescType type, uint64_t *word)
{
    uint16_t did = DID + g_rand_int_range(rand, 0, 2);
    unsigned g = random_g(rand, type);

    word[0] = type;
    word[1] = 0;
    switch (type) {
    case VTD_DESC_CONTEXT_CACHE:
        word[0] = vtd_desc_context_cache(g, did, random_rid(rand));
        word[0] = FIELD_SET(word[0], CONTEXT_DESC0, FM,
                            g_rand_int_range(rand, 0, 4));
        break;
    case VTD_DESC_IOTLB:
    case VTD_DESC_PASID_IOTLB:
        word[0] = type == VTD_DESC_IOTLB
                      ? vtd_desc_iotlb(g, did)
                      : vtd_desc_pasid_iotlb(g, did, SVA_PASID);
        word[1] = random_word(rand) & (FIELD_MASK(IOTLB_DESC1, ADDR) |
                                       FIELD_MASK(IOTLB_DESC1, IH) | 0xf);
        break;
    case VTD_DESC_PASID_CACHE:
        word[0] = vtd_desc_pasid_cache(g, did, SVA_PASID);
        break;
    case VTD_DESC_DEVICE_TLB:
        word[0] = FIELD_SET(word[0], DEVICE_TLB_DESC0, SID, random_rid(rand));
        break;
    case VTD_DESC_PASID_DEVICE_TLB:
        word[0] = FIELD_SET(word[0], PASID_DEVICE_TLB_DESC0, SID,
                            random_rid(rand));
        word[0] = FIELD_SET(word[0], DESC0, PASID, SVA_PASID);
        break;
    case VTD_DESC_IEC:
        word[0] = FIELD_SET(word[0], IEC_DESC0, G, g & 1);
        break;
    case VTD_DESC_WAIT:
        random_wait(rand, word);
        break;
    case VTD_DESC_PAGE_RESPONSE:
        random_response(rand, word);
        break;
    }
}

/* Half of them answers, and here and there a bit that is not legal. */
static void fill_queue(GRand *rand, VtdDescType *types)
{
    for (unsigned i = 0; i < BURST; i++) {
        uint64_t words[4] = { 0 };

        types[i] = g_rand_boolean(rand) ? VTD_DESC_PAGE_RESPONSE
                                        : g_rand_int_range(rand, 1, TYPES);
        random_descriptor(rand, types[i], words);
        if (g_rand_int_range(rand, 0, 200) == 0) {
            words[g_rand_int_range(rand, 0, 4)] ^=
                BIT(g_rand_int_range(rand, 0, 64));
        }
        vtd_guest_store_words(f, VTD_GUEST_IQ + DESC_BYTES * i, words, 4);
    }
}

/*
 * What IQH says after the write of IQT. Where another vCPU has moved the queue
 * away meanwhile it says nothing of what was run.
 */
static void count_passed(const VtdDescType *types)
{
    uint64_t head = vtd_guest_read64(f, A_IQH);

    if (vtd_guest_read64(f, A_IQA) !=
        (VTD_GUEST_IQ | FIELD_MASK(IQA, DW)) || head > BURST * DESC_BYTES) {
        return;
    }
    for (unsigned i = 0; i < head / DESC_BYTES; i++) {
        atomic_fetch_add(&passed[types[i]], 1);
    }
}

static void hand_over(GRand *rand)
{
    VtdDescType types[BURST];

    pthread_mutex_lock(&iq_lock);
    put_in_order();
    fill_queue(rand, types);
    vtd_guest_write32(f, A_IQT, BURST * DESC_BYTES);
    count_passed(types);
    pthread_mutex_unlock(&iq_lock);
}

/* ---- All at once ---- */

G_STATIC_ASSERT(BURST * DESC_BYTES < QUEUE_BYTES);

/* The devices' threads have come to their turn, and so has an answer. */
static bool has_answered(void)
{
    return viommu_get_page_stats(f->viommu).answered > 0 &&
           atomic_load(&host_raised) > 0;
}

/* The one that @resets goes on until the devices were there, however late. */
static void run_vcpu(uint32_t seed, bool resets)
{
    GRand *rand = g_rand_new_with_seed(seed);

    for (unsigned i = 1; i <= ROUNDS || (resets && !has_answered()); i++) {
        hand_over(rand);
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
    f = vtd_fixture_new(NULL, true);
    emul_set_answer_func(f->host, host_answer, NULL);
    vtd_guest_start(f, 0);
    restore_tables();
    device = vtd_fixture_plug(f, HOST_RID);
    sva = viommu_add_sva_device(f->viommu, &(SvaDeviceConfig){
        .name = "sva0", .virt_id = SVA_RID, .ctx = f->ctx, .credits = GROUPS,
        .responded = responded,
    }, &error);
    g_assert_no_error(error);
    atomic_store(&stop, false);
    atomic_store(&host_raised, 0);
    atomic_store(&host_answered, 0);
    for (unsigned i = 0; i < TYPES; i++) {
        atomic_store(&passed[i], 0);
    }
}

/* Nothing is lost, here or on the host. */
static void assert_balanced(void)
{
    ViommuPageStats stats = viommu_get_page_stats(f->viommu);
    EmulPageStats host = emul_get_page_stats(f->host);

    g_assert_cmpuint(stats.open, ==, 0);
    g_assert_cmpuint(stats.raised, ==,
                     stats.answered + stats.invalid + stats.retried);
    g_assert_cmpuint(host.open, ==, 0);
    g_assert_cmpuint(host.raised, ==, atomic_load(&host_raised));
    g_assert_cmpuint(host.raised, ==, atomic_load(&host_answered));
    for (unsigned i = 0; i < GROUPS; i++) {
        g_assert_false(atomic_load(&busy[i]));
    }
}

static void teardown(void)
{
    viommu_remove_sva_device(sva);
    vtd_fixture_unplug(f, device, HOST_RID);
    assert_balanced();
    vtd_fixture_free(f);
}

/* That it was no idle guest: each type was run, and groups were answered. */
static void assert_not_idle(void)
{
    ViommuPageStats stats = viommu_get_page_stats(f->viommu);

    for (unsigned type = VTD_DESC_CONTEXT_CACHE; type < TYPES; type++) {
        g_test_message("type %u: %u", type, atomic_load(&passed[type]));
        g_assert_cmpuint(atomic_load(&passed[type]), >, 0);
    }
    g_test_message("raised %" PRIu64 ", answered %" PRIu64 ", invalid %" PRIu64
                   ", retried %" PRIu64 ", stray %" PRIu64 ", host %u",
                   stats.raised, stats.answered, stats.invalid, stats.retried,
                   stats.stray, atomic_load(&host_raised));
    g_assert_cmpuint(stats.answered, >, 0);
    g_assert_cmpuint(stats.stray, >, 0);
    g_assert_cmpuint(atomic_load(&host_raised), >, 0);
}

static void test_random_accesses_do_no_harm(void)
{
    pthread_t threads[VCPUS];

    pthread_create(&threads[0], NULL, devices_thread, NULL);
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
    vtd_guest_start(f, 0);
    vtd_guest_submit(f, vtd_desc_iotlb(IOTLB_G_GLOBAL, 0), 0);
}

int main(int argc, char **argv)
{
    static const FixtureTest tests[] = {
        { test_random_accesses_do_no_harm, "accesses-do-no-harm" },
    };

    return fixture_main(argc, argv, "/vtd/random", tests, G_N_ELEMENTS(tests),
                        setup, teardown);
}
