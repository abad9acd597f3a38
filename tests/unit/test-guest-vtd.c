/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The built-in driver against the real model and an emulated host: its order of
 * accesses, and what it makes of faults, bad requests and bad descriptors.
 */
#include "guest-vtd-internal.h"

#include "guest-vtd-fixture.h"
#include "message-log.h"

#include "base/rcu.h"
#include "hw/iommu/viommu-internal.h"

#include <sched.h>
#include <string.h>

#define DEADLINE_NS (60 * INT64_C(1000000000))

/* One access, as the trace records it. */
typedef struct Access {
    char kind;                  /* 'r', 'w' */
    unsigned size;
    uint64_t offset;
    uint64_t value;             /* of a write */
} Access;

/* In a table of them: an address, which may be any. */
#define ANY UINT64_MAX

/* Of the doorbell's message. */
#define DOORBELL 0xfee00000

/* The accesses of the driver under test, and the model that they go on to. */
static GArray *trace;
static const ViommuOps *real_ops;

/* A register that is polled counts once. */
static uint64_t trace_read(Viommu *viommu, uint64_t offset, unsigned size)
{
    const Access access = { 'r', size, offset, 0 };
    const Access *last = trace->len
        ? &g_array_index(trace, Access, trace->len - 1) : NULL;

    if (!last || last->kind != 'r' || last->offset != offset) {
        g_array_append_val(trace, access);
    }
    return real_ops->mmio_read(viommu, offset, size);
}

static void trace_write(Viommu *viommu, uint64_t offset, unsigned size,
                        uint64_t value)
{
    const Access access = { 'w', size, offset, value };

    g_array_append_val(trace, access);
    real_ops->mmio_write(viommu, offset, size, value);
}

/* The ops table is the seam: the driver is not told that it is watched. */
static void trace_begin(GuestVtdFixture *f, ViommuOps *ops)
{
    trace = g_array_new(FALSE, FALSE, sizeof(Access));
    real_ops = f->viommu->ops;
    *ops = *real_ops;
    ops->mmio_read = trace_read;
    ops->mmio_write = trace_write;
    guest_vtd_fixture_set_ops(f, ops);
}

static void trace_end(GuestVtdFixture *f, const Access *expected, size_t count)
{
    guest_vtd_fixture_set_ops(f, real_ops);
    for (size_t i = 0; i < MIN(trace->len, count); i++) {
        const Access *access = &g_array_index(trace, Access, i);

        g_assert_cmphex(access->offset, ==, expected[i].offset);
        g_assert_cmpint(access->kind, ==, expected[i].kind);
        g_assert_cmpuint(access->size, ==, expected[i].size);
        if (expected[i].value != ANY) {
            g_assert_cmphex(access->value, ==, expected[i].value);
        }
    }
    g_assert_cmpuint(trace->len, ==, count);
    g_array_unref(trace);
}

/* Nothing was on; one device with one PASID; caching mode, pass-through. */
static void test_set_up_is_in_the_order_of_linux(void)
{
    static const Access expected[] = {
        { 'r', 8, 0x08, 0 }, { 'r', 8, 0x10, 0 },       /* CAP, ECAP */
        { 'r', 4, 0x00, 0 }, { 'r', 4, 0x1c, 0 },       /* VER, GSTS */
        { 'r', 4, 0x34, 0 }, { 'w', 4, 0x34, 0x83 },    /* fault scan */
        { 'r', 4, 0x1c, 0 },                            /* QIES is 0 */
        { 'w', 4, 0x88, 0 }, { 'w', 8, 0x90, ANY },     /* IQT, IQA */
        { 'w', 4, 0x18, 0x04000000 }, { 'r', 4, 0x1c, 0 },      /* QIE */
        { 'w', 8, 0x20, ANY },                          /* RTADDR */
        { 'w', 4, 0x18, 0x44000000 }, { 'r', 4, 0x1c, 0 },      /* SRTP */
        { 'w', 4, 0xe4, 1 }, { 'w', 4, 0xe8, DOORBELL },        /* PEDATA.. */
        { 'w', 4, 0xec, 0 }, { 'w', 4, 0xe0, 0 }, { 'r', 4, 0xe0, 0 },
        { 'w', 8, 0xc0, 0 }, { 'w', 8, 0xc8, 0 },       /* PQH, PQT */
        { 'w', 8, 0xd0, ANY },                          /* PQA */
        { 'w', 4, 0x3c, 0 }, { 'w', 4, 0x40, DOORBELL },        /* FEDATA.. */
        { 'w', 4, 0x44, 0 }, { 'w', 4, 0x38, 0 }, { 'r', 4, 0x38, 0 },
        { 'r', 4, 0x34, 0 }, { 'w', 4, 0x34, 0x83 },
        { 'w', 4, 0x88, 0x60 },         /* context entry: 1, 2, wait */
        { 'w', 4, 0x88, 0xc0 },         /* RID_PASID: 7, 6, wait */
        { 'w', 4, 0x88, 0x120 },        /* PASID 1: likewise */
        { 'w', 4, 0x18, 0x84000000 }, { 'r', 4, 0x1c, 0 },      /* TE */
    };
    GuestVtdFixture f = { .host_devices = 1, .pasids = 1, .pages = 8 };
    ViommuOps ops;

    guest_vtd_fixture_make(&f);
    g_assert_true(FIELD_GET(viommu_mmio_read(f.viommu, DMAR_CAP, 8), DMAR_CAP,
                            ESRTPS));
    trace_begin(&f, &ops);
    guest_vtd_fixture_start(&f);
    trace_end(&f, expected, G_N_ELEMENTS(expected));
    guest_vtd_fixture_assert_good(&f);
    guest_vtd_fixture_tear_down(&f);
}

/* What is needed, or not, is asked for: without CM nothing is invalidated. */
static void test_without_caching_mode(void)
{
    VtdProperties properties = VTD_PROPERTIES_DEFAULT;
    GuestVtdFixture f = {
        .properties = &properties, .sva_devices = 1, .pasids = 1, .pages = 8,
        .credits = 4, .depth = 1,
    };

    properties.caching_mode = false;
    properties.pt = false;
    guest_vtd_fixture_set_up(&f);
    g_assert_cmphex(viommu_mmio_read(f.viommu, DMAR_IQT, 4), ==, 0);
    g_assert_cmphex(viommu_mmio_read(f.viommu, DMAR_GSTS, 4) >> 31, ==, 1);
    guest_vtd_fixture_tear_down(&f);
}

static void test_stop_leaves_nothing_on(void)
{
    static const uint32_t offsets[] = {
        DMAR_GSTS, DMAR_PQA, DMAR_PQH, DMAR_PQT, DMAR_FSTS,
    };
    GuestVtdFixture f = { .host_devices = 2, .pasids = 3, .pages = 8 };

    guest_vtd_fixture_set_up(&f);
    guest_vtd_stop(f.guest);
    for (size_t i = 0; i < G_N_ELEMENTS(offsets); i++) {
        uint64_t value = viommu_mmio_read(f.viommu, offsets[i], 4);

        /* RTPS and the like stay. */
        g_assert_cmphex(value & (offsets[i] == DMAR_GSTS ? 0x84000000 : ~0u),
                        ==, 0);
    }
    g_assert_cmphex(viommu_mmio_read(f.viommu, DMAR_PECTL, 4), ==, 0x80000000);
    g_assert_cmphex(viommu_mmio_read(f.viommu, DMAR_FECTL, 4), ==, 0x80000000);
    guest_vtd_fixture_assert_good(&f);
    guest_vtd_fixture_tear_down(&f);
}

/* A driver takes over what another one has left on. */
static void test_takes_over_an_enabled_queue(void)
{
    GuestVtdFixture f = { .host_devices = 1, .pasids = 1, .pages = 8 };

    guest_vtd_fixture_make(&f);
    viommu_mmio_write(f.viommu, DMAR_IQA, 8, 0x40000000 | 0x801);
    viommu_mmio_write(f.viommu, DMAR_GCMD, 4, 0x04000000);
    g_assert_cmphex(viommu_mmio_read(f.viommu, DMAR_GSTS, 4), ==, 0x04000000);
    guest_vtd_fixture_start(&f);
    guest_vtd_fixture_assert_good(&f);
    guest_vtd_fixture_tear_down(&f);
}

static void test_unit_without_page_requests_is_refused(void)
{
    VtdProperties properties = VTD_PROPERTIES_DEFAULT;
    GuestVtdFixture f = { .properties = &properties };
    g_autoptr(GError) error = NULL;
    GuestVtdConfig config = { 0 };

    properties.svm = false;
    guest_vtd_fixture_make(&f);
    config.viommu = f.viommu;
    config.ram = f.ram;
    config.irq = f.irq;
    g_assert_null(guest_vtd_new(&config, &error));
    g_assert_true(g_str_has_prefix(error->message,
                                   "guest of 'v0': cannot drive a VT-d unit"));
    guest_vtd_fixture_tear_down(&f);
}

static void test_ram_runs_out(void)
{
    GuestVtdFixture f = { .host_devices = 1, .pasids = 2, .pages = 8 };
    bool made = false;

    /* At every step of the way. */
    for (uint64_t pages = 2; !made; pages++) {
        g_autoptr(GError) error = NULL;
        GuestVtdConfig config = {
            .devices = f.devices, .device_count = 1,
        };

        f.ram_bytes = pages * 4096;
        guest_vtd_fixture_make(&f);
        config.viommu = f.viommu;
        config.ram = f.ram;
        config.irq = f.irq;
        f.guest = guest_vtd_new(&config, &error);
        made = f.guest != NULL;
        if (!made) {
            g_assert_nonnull(strstr(error->message, "is used up"));
        }
        guest_vtd_fixture_tear_down(&f);
    }
}

/* ---- Page requests of a host's device, raised here ---- */

typedef struct Answers {
    _Atomic uint64_t count;
    _Atomic uint32_t code;      /* of the last one */
} Answers;

static void on_answer(const EmulPageAnswer *answer, void *opaque)
{
    Answers *answers = opaque;

    atomic_store(&answers->code, answer->code);
    atomic_fetch_add(&answers->count, 1);
}

static void wait_answers(Answers *answers, uint64_t count)
{
    int64_t deadline_ns = aio_clock_ns() + DEADLINE_NS;

    while (atomic_load(&answers->count) < count) {
        g_assert_cmpint(aio_clock_ns(), <, deadline_ns);
        sched_yield();
    }
    g_assert_cmpuint(atomic_load(&answers->count), ==, count);
}

static EmulReport raise_page(GuestVtdFixture *f, uint32_t pasid, uint64_t addr,
                             uint32_t perm, bool last)
{
    const EmulPageRequest request = {
        .dev_id = vfio_device_get_dev_id(f->vfio[0]), .pasid = pasid,
        .grpid = 5, .perm = perm, .addr = addr, .last = last,
    };

    return emul_request_page(f->host, &request);
}

static void test_pages_are_mapped_and_answered(void)
{
    enum { READ = 1, WRITE = 2 };
    GuestVtdFixture f = { .host_devices = 1, .pasids = 2, .pages = 8 };
    Answers answers = { 0 };
    GuestAddressSpace *space;
    GuestVtdCounts counts;
    uint64_t base;

    guest_vtd_fixture_set_up(&f);
    emul_set_answer_func(f.host, on_answer, &answers);
    space = guest_vtd_get_space(f.guest, GUEST_VTD_FIXTURE_RID(0), 2);
    base = guest_address_space_get_base(space);
    raise_page(&f, 2, base, READ, false);
    raise_page(&f, 2, base + 4096, WRITE, false);
    raise_page(&f, 2, base + 3 * 4096 + 17, READ | WRITE, true);
    wait_answers(&answers, 1);
    g_assert_cmpuint(atomic_load(&answers.code), ==, PAGE_RESPONSE_SUCCESS);
    g_assert_cmpuint(guest_address_space_count_in(space), ==, 3);
    guest_vtd_rest(f.guest);
    counts = guest_vtd_get_counts(f.guest);
    g_assert_cmpuint(counts.requests, ==, 3);
    g_assert_cmpuint(counts.answered, ==, 1);
    g_assert_cmpuint(counts.mapped, ==, 3);
    guest_vtd_fixture_assert_good(&f);
    guest_vtd_fixture_tear_down(&f);
}

/* One bad member is enough, wherever in the group; the next group is fine. */
static void test_bad_requests_are_refused(void)
{
    enum { READ = 1, WRITE = 2, EXEC = 4, PRIV = 8 };
    static const struct {
        uint64_t offset;        /* from the base of the space */
        uint64_t addr;          /* if that is 0 */
        uint32_t perm;
    } bad[] = {
        { 8 * 4096, 0, READ }, { 0, 0x1000, READ },
        { 0, UINT64_C(0x800000000000), READ },
        { 0, UINT64_C(0xffff7ffffffff000), READ },
        { 4096, 0, READ | EXEC }, { 4096, 0, WRITE | PRIV },
    };
    GuestVtdFixture f = { .host_devices = 1, .pasids = 1, .pages = 8 };
    Answers answers = { 0 };
    uint64_t base, expected = 0;

    guest_vtd_fixture_set_up(&f);
    emul_set_answer_func(f.host, on_answer, &answers);
    base = guest_address_space_get_base(
        guest_vtd_get_space(f.guest, GUEST_VTD_FIXTURE_RID(0), 1));
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        uint64_t addr = bad[i].offset ? base + bad[i].offset : bad[i].addr;

        for (int first = 0; first < 2; first++) {
            raise_page(&f, 1, first ? addr : base,
                       first ? bad[i].perm : READ, false);
            raise_page(&f, 1, first ? base : addr,
                       first ? READ : bad[i].perm, true);
            wait_answers(&answers, ++expected);
            g_assert_cmpuint(atomic_load(&answers.code), ==,
                             PAGE_RESPONSE_INVALID);
        }
        raise_page(&f, 1, base, READ, true);
        wait_answers(&answers, ++expected);
        g_assert_cmpuint(atomic_load(&answers.code), ==,
                         PAGE_RESPONSE_SUCCESS);
    }
    guest_vtd_rest(f.guest);
    g_assert_cmpuint(guest_vtd_get_counts(f.guest).refused, ==,
                     2 * G_N_ELEMENTS(bad));
    g_assert_cmpuint(guest_vtd_get_counts(f.guest).bad, ==,
                     2 * G_N_ELEMENTS(bad));
    guest_vtd_fixture_tear_down(&f);
}

/* PASIDs are torn down by the driver: the host answers what is open then. */
static void test_open_groups_end_with_their_pasid(void)
{
    GuestVtdFixture f = { .host_devices = 1, .pasids = 1, .pages = 8 };
    Answers answers = { 0 };
    uint64_t base;

    guest_vtd_fixture_set_up(&f);
    emul_set_answer_func(f.host, on_answer, &answers);
    base = guest_address_space_get_base(
        guest_vtd_get_space(f.guest, GUEST_VTD_FIXTURE_RID(0), 1));
    guest_vtd_rest(f.guest);
    g_assert_cmpint(raise_page(&f, 1, base, 1, true), ==, EMUL_REPORT_QUEUED);
    guest_vtd_stop(f.guest);
    wait_answers(&answers, 1);
    g_assert_cmpuint(atomic_load(&answers.code), ==, PAGE_RESPONSE_INVALID);
    g_assert_cmpint(raise_page(&f, 1, base, 1, true), ==, EMUL_REPORT_REFUSED);
    guest_vtd_fixture_tear_down(&f);
}

/* ---- Taking pages, and its descriptors ---- */

/* Descriptors that were in the queue when IQT was last written. */
typedef struct Submission {
    GuestVtdDescriptor descriptors[QI_ENTRIES];
    uint32_t count;
} Submission;

static Submission submission;
static GuestVtd *watched;
static uint32_t last_tail;

static void watch_write(Viommu *viommu, uint64_t offset, unsigned size,
                        uint64_t value)
{
    if (offset == DMAR_IQT) {
        submission.count = 0;
        for (; last_tail != value; last_tail = (last_tail + 32) % 8192) {
            guest_words_load(
                submission.descriptors[submission.count++].word,
                watched->qi.entries + last_tail, QI_WORDS);
        }
    }
    real_ops->mmio_write(viommu, offset, size, value);
}

static void test_what_is_owed_for_a_page(void)
{
    GuestVtdFixture f = {
        .sva_devices = 1, .pasids = 2, .pages = 8, .credits = 4, .depth = 4,
    };
    uint32_t rid = GUEST_VTD_FIXTURE_SVA_RID(0);
    const uint64_t did = 2;
    GuestAddressSpace *space;
    uint64_t base, *word;
    ViommuOps ops;
    Prng prng = { 0 };

    guest_vtd_fixture_set_up(&f);
    space = guest_vtd_get_space(f.guest, rid, 2);
    base = guest_address_space_get_base(space);
    g_assert_true(guest_address_space_map(space, base + 4096, true));
    real_ops = f.viommu->ops;
    ops = *real_ops;
    ops.mmio_write = watch_write;
    guest_vtd_fixture_set_ops(&f, &ops);
    watched = f.guest;
    lock_assume_alone(&f.guest->qi.lock);
    last_tail = f.guest->qi.tail * 32;
    g_assert_cmpuint(guest_address_space_take(space, &prng, 64), ==, 1);
    guest_vtd_fixture_set_ops(&f, real_ops);
    g_assert_cmpuint(submission.count, ==, 3);
    /* 6.5.2.7, type 6, page in PASID; 6.5.2.9, type 8; 6.5.2.8, wait */
    word = submission.descriptors[0].word;
    g_assert_cmphex(word[0], ==, 0x36 | did << 16 | UINT64_C(2) << 32);
    g_assert_cmphex(word[1], ==, base + 4096);
    word = submission.descriptors[1].word;
    g_assert_cmphex(word[0], ==, 0x8 | rid << 16 | UINT64_C(2) << 32);
    g_assert_cmphex(word[1], ==, base + 4096);
    word = submission.descriptors[2].word;
    g_assert_cmphex(word[0], ==, 0x25 | UINT64_C(2) << 32);
    for (int i = 0; i < 3; i++) {
        g_assert_cmphex(submission.descriptors[i].word[2], ==, 0);
        g_assert_cmphex(submission.descriptors[i].word[3], ==, 0);
    }
    guest_vtd_fixture_assert_good(&f);
    guest_vtd_fixture_tear_down(&f);
}

/* Descriptors in each of its places of the batch. */
static void test_a_refused_descriptor_is_got_over(void)
{
    enum { COUNT = 5 };
    GuestVtdFixture f = { .host_devices = 1, .pasids = 1, .pages = 8 };

    guest_vtd_fixture_set_up(&f);
    message_log_start();
    for (int bad = 0; bad < COUNT; bad++) {
        GuestVtdDescriptor descriptors[COUNT];

        for (int i = 0; i < COUNT; i++) {
            descriptors[i] = guest_qi_iotlb_domain(7);
        }
        descriptors[bad].word[0] = 0xf;         /* no such type */
        g_assert_false(guest_qi_submit(f.guest, descriptors, COUNT, false));
        g_assert_cmpuint(guest_vtd_get_counts(f.guest).queue_errors, ==,
                         bad + 1);
        g_assert_cmphex(viommu_mmio_read(f.viommu, DMAR_FSTS, 4) & 0x10, ==,
                        0);
        descriptors[bad] = guest_qi_iotlb_global();
        g_assert_true(guest_qi_submit(f.guest, descriptors, COUNT, false));
    }
    g_assert_cmpuint(guest_vtd_get_counts(f.guest).queue_errors, ==, COUNT);
    guest_vtd_fixture_tear_down(&f);
    message_log_stop();
}

static void test_batches_larger_than_the_queue(void)
{
    enum { COUNT = 3 * QI_ENTRIES + 1 };
    GuestVtdFixture f = { .host_devices = 1, .pasids = 1, .pages = 8 };
    g_autofree GuestVtdDescriptor *descriptors =
        g_new(GuestVtdDescriptor, COUNT);

    guest_vtd_fixture_set_up(&f);
    for (int i = 0; i < COUNT; i++) {
        descriptors[i] = guest_qi_piotlb_page(2, 1, i * UINT64_C(4096));
    }
    for (size_t count = 0; count <= COUNT; count += 51) {
        g_assert_true(guest_qi_submit(f.guest, descriptors, count, false));
    }
    guest_vtd_fixture_assert_good(&f);
    guest_vtd_fixture_tear_down(&f);
}

/* ---- Faults ---- */

static void respond_nothing(void *opaque, SvaGroup *group)
{
    _Atomic uint64_t *count = opaque;

    atomic_fetch_add(count, 1);
}

/* A device that is in no table: each request is a fault, and is counted. */
static void test_faults_are_counted_and_cleared(void)
{
    enum { GROUPS = 100 };
    GuestVtdFixture f = { .host_devices = 1, .pasids = 1, .pages = 8 };
    _Atomic uint64_t responses = 0;
    SvaDeviceConfig config = {
        .name = "x", .virt_id = 0x77, .credits = 4,
        .responded = respond_nothing, .opaque = &responses,
    };
    const Pgfault page = { .addr = 0x1000, .perm = PGFAULT_PERM_READ };
    SvaGroup group = { .pasid = 1, .count = 1, .pages = &page };
    int64_t deadline_ns = aio_clock_ns() + DEADLINE_NS;
    GError *error = NULL;
    SvaDevice *device;

    guest_vtd_fixture_set_up(&f);
    message_log_start();
    config.ctx = iothread_get_aio_context(f.iothread);
    device = viommu_add_sva_device(f.viommu, &config, &error);
    g_assert_no_error(error);
    for (uint64_t i = 1; i <= GROUPS; i++) {
        g_assert_true(viommu_page_request(device, &group));
        while (atomic_load(&responses) < i ||
               guest_vtd_get_counts(f.guest).faults < i) {
            g_assert_cmpint(aio_clock_ns(), <, deadline_ns);
            sched_yield();
        }
        g_assert_cmpuint(group.code, ==, PAGE_RESPONSE_INVALID);
    }
    g_assert_cmpuint(guest_vtd_get_counts(f.guest).faults, ==, GROUPS);
    guest_vtd_rest(f.guest);
    g_assert_cmphex(viommu_mmio_read(f.viommu, DMAR_FSTS, 4) & 3, ==, 0);
    viommu_remove_sva_device(device);
    guest_vtd_fixture_tear_down(&f);
    /* Nobody is flooded. */
    g_assert_cmpuint(message_log_matching("guest of 'v0': fault 0x39 of device "
                                          "0x77, PASID 0x1, address 0x1000"),
                     ==, 10);
    g_assert_cmpuint(message_log_matching("more are not reported"), ==, 1);
    message_log_stop();
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    rcu_register_thread();
    g_test_add_func("/guest-vtd/set-up-is-in-the-order-of-linux",
                    test_set_up_is_in_the_order_of_linux);
    g_test_add_func("/guest-vtd/without-caching-mode",
                    test_without_caching_mode);
    g_test_add_func("/guest-vtd/stop-leaves-nothing-on",
                    test_stop_leaves_nothing_on);
    g_test_add_func("/guest-vtd/takes-over-an-enabled-queue",
                    test_takes_over_an_enabled_queue);
    g_test_add_func("/guest-vtd/unit-without-page-requests-is-refused",
                    test_unit_without_page_requests_is_refused);
    g_test_add_func("/guest-vtd/ram-runs-out", test_ram_runs_out);
    g_test_add_func("/guest-vtd/pages-are-mapped-and-answered",
                    test_pages_are_mapped_and_answered);
    g_test_add_func("/guest-vtd/bad-requests-are-refused",
                    test_bad_requests_are_refused);
    g_test_add_func("/guest-vtd/open-groups-end-with-their-pasid",
                    test_open_groups_end_with_their_pasid);
    g_test_add_func("/guest-vtd/what-is-owed-for-a-page",
                    test_what_is_owed_for_a_page);
    g_test_add_func("/guest-vtd/a-refused-descriptor-is-got-over",
                    test_a_refused_descriptor_is_got_over);
    g_test_add_func("/guest-vtd/batches-larger-than-the-queue",
                    test_batches_larger_than_the_queue);
    g_test_add_func("/guest-vtd/faults-are-counted-and-cleared",
                    test_faults_are_counted_and_cleared);
    ret = g_test_run();
    rcu_unregister_thread();
    return ret;
}
