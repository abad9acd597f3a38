/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz-unit.h"

#include "base/bits.h"
#include "base/rcu.h"

#include <stdlib.h>
#include <sys/mman.h>

/* No action of these inputs has cause for more. */
#define CALLS_MAX 200000
#define TURNS_MAX 20000

/* Kinds of warnings that there can be. */
#define WARNINGS_MAX 32

/* Above what a real address can be for some, and at the end of all of them. */
#define HIGH_GPA UINT64_C(0x000ffffffffff000)

/**
 * struct Shared - what serves all inputs
 * @ram: with a page that nobody may touch on either side
 * @viommus: all that were made
 * @unit: of the input that runs
 */
typedef struct Shared {
    HostIommu *host;
    AioContext *ctx;
    GuestMem *mem;
    CountingSink irq;
    uint8_t *ram;
    uint8_t *saved;
    GPtrArray *viommus;
    FuzzUnit *unit;
} Shared;

static Shared shared;

/* What stands before the emulated host's own calls. */
static HostIommuOps counting_ops;
static const HostIommuOps *emul_ops;

/* ---- The host ---- */

static void count_call(void)
{
    g_assert_cmpuint(++shared.unit->calls, <, CALLS_MAX);
}

static int counting_ioctl(HostIommu *host, int fd, unsigned long request,
                          void *arg)
{
    count_call();
    return emul_ops->ioctl(host, fd, request, arg);
}

static ssize_t counting_read(HostIommu *host, int fd, void *buf, size_t count)
{
    count_call();
    return emul_ops->read(host, fd, buf, count);
}

static ssize_t counting_write(HostIommu *host, int fd, const void *buf,
                              size_t count)
{
    count_call();
    return emul_ops->write(host, fd, buf, count);
}

static void host_answered(const HardwarePageAnswer *answer, void *opaque)
{
    FuzzUnit *u = shared.unit;

    g_assert_cmpuint(answer->tag, <, u->tag_count);
    g_assert_cmpuint(u->tags[answer->tag]++, ==, FUZZ_TAG_OPEN);
    g_assert_cmpuint(answer->code, <=, 1);
    u->codes[answer->tag] = answer->code;
}

static void host_new(void)
{
    GError *error = NULL;

    shared.host = emul_new(&error);
    g_assert_no_error(error);
    emul_ops = shared.host->ops;
    counting_ops = *emul_ops;
    counting_ops.ioctl = counting_ioctl;
    counting_ops.read = counting_read;
    counting_ops.write = counting_write;
    shared.host->ops = &counting_ops;
    emul_set_answer_func(shared.host, host_answered, NULL);
}

/* ---- Registers and turns ---- */

uint64_t fuzz_read(FuzzUnit *u, uint64_t offset, unsigned size)
{
    return viommu_mmio_read(u->viommu, offset, size);
}

void fuzz_write(FuzzUnit *u, uint64_t offset, unsigned size, uint64_t value)
{
    viommu_mmio_write(u->viommu, offset, size, value);
}

void fuzz_turn(FuzzUnit *u)
{
    unsigned turns = 0;

    while (aio_poll(u->ctx, false)) {
        g_assert_cmpuint(++turns, <, TURNS_MAX);
    }
}

/* ---- Numbers ---- */

uint64_t fuzz_gpa(FuzzUnit *u)
{
    static const uint64_t others[] = {
        0, GUEST_NOWHERE, GUEST_DOORBELL, GUEST_RAM - 4096, GUEST_RAM - 8,
        FUZZ_PAGE(FUZZ_PAGES), FUZZ_PAGE(FUZZ_PAGES) - 16, HIGH_GPA,
        HIGH_GPA + 4096, UINT64_MAX - 4095, UINT64_MAX,
    };
    unsigned page = fuzz_u8(&u->in);

    if (page >= 256 - G_N_ELEMENTS(others)) {
        return others[255 - page];
    }
    return FUZZ_PAGE(page % FUZZ_PAGES);
}

uint64_t fuzz_value(FuzzUnit *u, uint64_t old)
{
    switch (fuzz_below(&u->in, 12)) {
    case 0:
        return fuzz_u8(&u->in);
    case 1:
        return fuzz_u16(&u->in);
    case 2:
        return fuzz_u32(&u->in);
    case 3:
        return fuzz_u64(&u->in);
    case 4:
        return fuzz_gpa(u);
    case 5:
    case 6:
        return fuzz_gpa(u) | (fuzz_u16(&u->in) & 4095);
    case 7:
        return UINT64_C(1) << fuzz_below(&u->in, 64);
    case 8:
        return old ^ UINT64_C(1) << fuzz_below(&u->in, 64);
    case 9:
        return old + fuzz_u8(&u->in);
    case 10:
        return old + UINT64_C(16) * fuzz_u8(&u->in);
    default:
        return UINT64_MAX >> fuzz_below(&u->in, 64);
    }
}

uint32_t fuzz_id(FuzzUnit *u)
{
    unsigned slot = fuzz_u8(&u->in);

    return slot < 248 ? u->slots[slot % FUZZ_SLOTS].id
                      : fuzz_u32(&u->in);
}

uint32_t fuzz_pasid(FuzzUnit *u)
{
    unsigned pasid = fuzz_u8(&u->in);

    if (pasid < 64) {
        return PAGE_REQUEST_NO_PASID;
    }
    return pasid < 248 ? pasid % 4 : fuzz_u32(&u->in) & 0xfffff;
}

void fuzz_flip(FuzzUnit *u, uint64_t *words, size_t count)
{
    for (unsigned flips = fuzz_u8(&u->in); flips > 0xf0; flips--) {
        unsigned bit = fuzz_u16(&u->in) % (64 * count);

        words[bit / 64] ^= UINT64_C(1) << bit % 64;
    }
}

/* ---- An input ---- */

static Viommu *viommu_get(FuzzModel *model, unsigned variant)
{
    const ViommuConfig config = {
        .id = "fuzz", .ctx = shared.ctx, .mem = shared.mem,
        .irq = &shared.irq.parent,
    };
    Viommu **viommu = &model->viommus[variant];

    if (!*viommu) {
        g_assert_cmpuint(model->offset_count, <=, FUZZ_OFFSETS_MAX);
        *viommu = model->create(&config, variant);
        g_ptr_array_add(shared.viommus, *viommu);
        for (size_t i = 0; i < model->offset_count; i++) {
            model->reset[variant][i] =
                viommu_mmio_read(*viommu, model->offsets[i], 4);
        }
    }
    return *viommu;
}

FuzzUnit *fuzz_unit_begin(FuzzModel *model, const FuzzInput *in,
                          unsigned variant)
{
    FuzzUnit *u = g_new0(FuzzUnit, 1);

    shared.unit = u;
    message_log_start();
    u->in = *in;
    u->model = model;
    u->variant = variant;
    u->host = shared.host;
    u->ctx = shared.ctx;
    u->mem = shared.mem;
    u->irq = &shared.irq;
    u->ram = shared.ram;
    u->saved = shared.saved;
    memset(u->ram, 0, FUZZ_RAM_BYTES);
    for (unsigned i = 0; i < FUZZ_SLOTS; i++) {
        u->slots[i].id = model->ids[i];
    }
    fuzz_map_init(u);
    u->viommu = viommu_get(model, variant);
    u->events = viommu_get_stats(u->viommu);
    u->pages = viommu_get_page_stats(u->viommu);
    u->hardware = u->host->hardware->get_stats(u->host);
    return u;
}

void fuzz_unit_step(FuzzUnit *u)
{
    u->calls = 0;
}

/* Each group of the host's was answered once, or never taken. */
static void check_host(FuzzUnit *u)
{
    HardwarePageStats stats = u->host->hardware->get_page_stats(u->host);

    for (unsigned i = 0; i < u->tag_count; i++) {
        g_assert_cmpuint(u->tags[i], >, FUZZ_TAG_OPEN);
    }
    g_assert_cmpuint(stats.open, ==, 0);
    g_assert_cmpuint(stats.raised, ==, stats.answered + stats.automatic);
}

static void check_books(FuzzUnit *u)
{
    HardwareStats host = u->host->hardware->get_stats(u->host);
    ViommuStats events = viommu_get_stats(u->viommu);
    ViommuPageStats pages = viommu_get_page_stats(u->viommu);

    g_assert_cmpuint(host.generated - u->hardware.generated, ==,
                     events.delivered - u->events.delivered +
                         events.discarded - u->events.discarded +
                         events.lost - u->events.lost +
                         host.dropped - u->hardware.dropped);
    g_assert_cmpuint(events.malformed, ==, 0);
    g_assert_cmpuint(pages.open, ==, 0);
    g_assert_cmpuint(pages.raised - u->pages.raised, ==,
                     pages.answered - u->pages.answered +
                         pages.invalid - u->pages.invalid +
                         pages.retried - u->pages.retried);
    g_assert_cmpuint(host.busy, ==, 0);
    g_assert_cmpuint(u->host->hardware->count_left(u->host), ==, 0);
}

/* As new, for the next input too. */
static void check_reset(FuzzUnit *u)
{
    viommu_reset(u->viommu);
    fuzz_turn(u);
    for (size_t i = 0; i < u->model->offset_count; i++) {
        g_assert_cmphex(fuzz_read(u, u->model->offsets[i], 4), ==,
                        u->model->reset[u->variant][i]);
    }
    g_assert_false(u->viommu->queue.open);
    g_assert_null(u->viommu->pages.pump);
    atomic_store(&u->viommu->warned, 0);
    for (unsigned i = 0; i < VIOMMU_HOST_ERRORS; i++) {
        atomic_store(&u->viommu->host_errors[i], 0);
    }
}

/*
 * A guest's mistake is told of once per kind, a host's failure a few times; but
 * each time if it is not the guest who asks, but the monitor, for another map.
 */
static void check_messages(FuzzUnit *u)
{
    unsigned failures = 0;

    for (unsigned i = 0; i < message_log_count(); i++) {
        const char *message = message_log_get(i);
        unsigned times = message_log_matching(message);

        if (strstr(message, "(not reported again)")) {
            if (times > 1) {
                g_error("%u times: %s", times, message);
            }
        } else if (!strstr(message, "guest memory") &&
                   ++failures > VIOMMU_HOST_ERRORS * VIOMMU_HOST_ERRORS_TOLD) {
            g_error("one message too many: %s", message);
        }
    }
    g_assert_cmpuint(message_log_matching("(not reported again)"), <=,
                     WARNINGS_MAX);
    /* No answer goes to a group that the host has ended. */
    if (!u->writes_fail) {
        g_assert_cmpuint(message_log_matching("does not know cookie"), ==, 0);
    }
}

void fuzz_unit_end(FuzzUnit *u)
{
    emul_set_failure(u->host, &(EmulFailure){ 0 });
    emul_set_read_limit(u->host, 0);
    fuzz_unit_step(u);
    for (unsigned i = 0; i < FUZZ_SLOTS; i++) {
        fuzz_slot_close(u, &u->slots[i]);
    }
    fuzz_turn(u);
    check_books(u);
    check_host(u);
    fuzz_check_unmapped(u);
    check_reset(u);
    check_messages(u);
    message_log_stop();
    g_free(u);
}

void fuzz_unit_run(FuzzModel *model, const uint8_t *data, size_t size)
{
    FuzzInput in = { data, size };
    unsigned variant = fuzz_below(&in, FUZZ_VARIANTS);
    FuzzUnit *u = fuzz_unit_begin(model, &in, variant);

    while (fuzz_left(&u->in) > 0) {
        unsigned action = fuzz_u8(&u->in);
        unsigned which = action / 2;

        fuzz_unit_step(u);
        if (action & 1) {
            model->actions[which % model->action_count](u);
        } else {
            fuzz_outside_act(u, which);
        }
    }
    fuzz_unit_end(u);
}

/* What serves all inputs goes without a trace, too. */
static void shared_free(void)
{
    g_ptr_array_unref(shared.viommus);
    g_assert_cmpuint(shared.host->hardware->count_left(shared.host), ==, 0);
    host_iommu_free(shared.host);
    test_context_free(shared.ctx, NULL);
    guest_mem_free(shared.mem);
    munmap(shared.ram - FUZZ_PAGE_BYTES, FUZZ_RAM_BYTES + 2 * FUZZ_PAGE_BYTES);
    g_free(shared.saved);
    rcu_unregister_thread();
}

static void ram_new(void)
{
    const size_t bytes = FUZZ_RAM_BYTES + 2 * FUZZ_PAGE_BYTES;
    uint8_t *all = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
                        -1, 0);

    g_assert_true(all != MAP_FAILED);
    shared.ram = all + FUZZ_PAGE_BYTES;
    g_assert_cmpint(mprotect(shared.ram, FUZZ_RAM_BYTES,
                             PROT_READ | PROT_WRITE), ==, 0);
    shared.saved = g_malloc0(FUZZ_RAM_BYTES);
}

void fuzz_unit_init(void)
{
    IOThread *none;

    g_random_set_seed(0);       /* of hash tables: the same in each run */
    rcu_register_thread();
    host_new();
    shared.ctx = test_context_new(false, &none);
    shared.mem = guest_mem_new();
    counting_sink_init(&shared.irq);
    ram_new();
    shared.viommus =
        g_ptr_array_new_with_free_func((GDestroyNotify)viommu_free);
    atexit(shared_free);
}
