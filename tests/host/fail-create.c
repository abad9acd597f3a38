/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Steps that make what vIOMMUs are made of, and vIOMMUs themselves, each in
 * surroundings that are there: what fails is the one thing.
 */
#include "fail-nth.h"

#include "base/error.h"
#include "host/iommufd-abi.h"
#include "hw/arm/smmuv3.h"
#include "hw/i386/vtd.h"
#include "hw/iommu/irq-sink.h"
#include "hw/iommu/sva-device.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define SVA_ID 9
#define SVA_CREDITS 4
#define LINES 3

/* What there may be; what a step has not made is NULL. */
typedef struct Parts {
    IOThread *iothread;
    AioContext *ctx;            /* that thread's, or the test's own */
    bool own_ctx;
    AioTimer *timer;
    AioBH *bh;
    int fd;                     /* watched; or -1 */
    unsigned runs;              /* of callbacks */
    uint8_t *ram;
    GuestMem *mem;
    GuestMem *made_mem;
    IrqSink *sink;
    CountingSink irq;
    Viommu *viommu;
    SvaDevice *sva;
    HostIommu *host;
} Parts;

/* ---- An iommufd where there is none ---- */

static bool pretend_iommufd;

int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);

/* All that opening one asks: is there no object 0? */
int __wrap_ioctl(int fd, unsigned long request, ...)
{
    void *arg;
    va_list ap;

    if (pretend_iommufd && request == IOMMU_DESTROY) {
        errno = ENOENT;
        return -1;
    }
    va_start(ap, request);
    arg = va_arg(ap, void *);
    va_end(ap);
    return __real_ioctl(fd, request, arg);
}

/* ---- Surroundings ---- */

static void count_run(void *opaque)
{
    Parts *p = opaque;

    p->runs++;
}

static void nothing(void *opaque)
{
}

static void responded(void *opaque, SvaGroup *group)
{
}

static void free_watch(Parts *p)
{
    if (p->fd >= 0) {
        aio_set_fd_handler(p->ctx, p->fd, NULL, NULL, NULL, NULL, NULL);
        close(p->fd);
        p->fd = -1;
    }
}

static void free_context(Parts *p)
{
    if (p->own_ctx && p->ctx) {
        free_watch(p);
        aio_timer_free(p->timer);
        if (p->bh) {
            aio_bh_delete(p->bh);
        }
        test_context_pump(p->ctx);
        aio_context_unref(p->ctx);
        p->timer = NULL;
        p->bh = NULL;
        p->ctx = NULL;
    }
}

static void free_parts(void *unit)
{
    Parts *p = unit;

    if (p->sva) {
        viommu_remove_sva_device(p->sva);
    }
    viommu_free(p->viommu);
    free_context(p);
    if (p->iothread) {
        iothread_stop(p->iothread);
    }
    irq_sink_eventfd_free(p->sink);
    guest_mem_free(p->made_mem);
    if (p->ram) {
        guest_ram_free(p->ram, p->mem);
    }
    host_iommu_free(p->host);
    pretend_iommufd = false;
    g_free(p);
}

static void make_parts(World *w)
{
    Parts *p = g_new0(Parts, 1);

    p->fd = -1;
    w->unit = p;
    w->free_unit = free_parts;
}

static void make_iothread(World *w)
{
    g_autoptr(GError) error = NULL;
    Parts *p;

    make_parts(w);
    p = w->unit;
    p->iothread = iothread_new("test", NULL, &error);
    g_assert_no_error(error);
    p->ctx = iothread_get_aio_context(p->iothread);
}

static void make_surroundings(World *w)
{
    Parts *p;

    make_iothread(w);
    p = w->unit;
    p->ram = guest_ram_new(&p->mem);
    counting_sink_init(&p->irq);
}

static ViommuConfig viommu_config(Parts *p)
{
    return (ViommuConfig){
        .id = "viommu0", .ctx = p->ctx, .mem = p->mem, .irq = &p->irq.parent,
    };
}

static bool new_vtd(World *w, GError **error)
{
    Parts *p = w->unit;
    const ViommuConfig config = viommu_config(p);

    p->viommu = vtd_new(&config, &(VtdProperties){ .svm = true,
                                                   .pasid_bits = 8 }, error);
    return p->viommu;
}

static void make_vtd(World *w)
{
    g_autoptr(GError) error = NULL;

    make_surroundings(w);
    new_vtd(w, &error);
    g_assert_no_error(error);
}

/* ---- Steps, and whether what they made works ---- */

static bool new_iothread(World *w, GError **error)
{
    Parts *p = w->unit;

    p->iothread = iothread_new("test", NULL, error);
    return p->iothread;
}

static void iothread_works(World *w)
{
    Parts *p = w->unit;

    p->runs = 0;
    aio_wait_bh_oneshot(iothread_get_aio_context(p->iothread), count_run, p);
    g_assert_cmpuint(p->runs, ==, 1);
}

/* Asleep until a time, often enough to be interrupted. */
static void sleep_thrice(Parts *p)
{
    for (unsigned runs = 1; runs <= 3; runs++) {
        aio_timer_mod(p->timer, aio_clock_ns() + 100000);
        while (p->runs < runs) {
            aio_poll(p->ctx, true);
        }
    }
}

static bool fill_context(Parts *p, GError **error)
{
    int ret;

    aio_context_bind(p->ctx);
    p->timer = aio_timer_new(p->ctx, count_run, p);
    p->bh = aio_bh_new(p->ctx, count_run, p);
    if (!p->timer || !p->bh || !aio_bh_schedule_oneshot(p->ctx, nothing, p)) {
        error_set_errno(error, ENOMEM, "context");
        return false;
    }
    p->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (p->fd < 0) {
        error_set_errno(error, errno, "eventfd");
        return false;
    }
    ret = aio_set_fd_handler(p->ctx, p->fd, count_run, NULL, NULL, NULL, p);
    if (ret < 0) {
        close(p->fd);
        p->fd = -1;
        error_set_errno(error, -ret, "handler");
    }
    return ret == 0;
}

static bool new_context(World *w, GError **error)
{
    Parts *p = w->unit;

    p->own_ctx = true;
    p->runs = 0;
    p->ctx = aio_context_new(error);
    if (!p->ctx) {
        return false;
    }
    if (!fill_context(p, error)) {
        free_context(p);
        return false;
    }
    sleep_thrice(p);
    return true;
}

/* The one-shot, the timer, the bottom half and the handler: four calls. */
static void context_works(World *w)
{
    Parts *p = w->unit;

    p->runs = 0;
    g_assert_true(aio_bh_schedule_oneshot(p->ctx, count_run, p));
    g_assert_cmpint(eventfd_write(p->fd, 1), ==, 0);
    aio_timer_mod(p->timer, aio_clock_ns());
    aio_bh_schedule(p->bh);
    aio_poll(p->ctx, true);
    g_assert_cmpuint(p->runs, ==, 4);
}

static bool new_memory(World *w, GError **error)
{
    Parts *p = w->unit;
    GuestMemRegion region = { .gpa = 0x1000, .size = 4096, .hva = p->ram };

    p->made_mem = guest_mem_new();
    if (!p->made_mem) {
        error_set_errno(error, ENOMEM, "guest memory");
        return false;
    }
    if (!guest_mem_set_regions(p->made_mem, &region, 1, error)) {
        guest_mem_free(g_steal_pointer(&p->made_mem));
        return false;
    }
    return true;
}

static void memory_works(World *w)
{
    Parts *p = w->unit;
    const uint64_t word = 0x123456789abcdef0;

    g_assert_true(guest_mem_write_words(p->made_mem, 0x1008, &word, 1));
    g_assert_cmphex(*(uint64_t *)(p->ram + 8), ==, word);
}

static bool new_sink(World *w, GError **error)
{
    Parts *p = w->unit;

    p->sink = irq_sink_eventfd_new(LINES, 0, error);
    return p->sink;
}

static void sink_works(World *w)
{
    Parts *p = w->unit;
    uint64_t count;

    for (unsigned i = 0; i < LINES; i++) {
        p->sink->ops->pulse(p->sink, i);
        g_assert_cmpint(eventfd_read(irq_sink_eventfd_get(p->sink, i),
                                     &count), ==, 0);
        g_assert_cmpuint(count, ==, 1);
    }
}

static bool new_smmuv3(World *w, GError **error)
{
    Smmuv3Properties properties = SMMUV3_PROPERTIES_DEFAULT;
    Parts *p = w->unit;
    const ViommuConfig config = viommu_config(p);

    properties.ats = true;
    properties.pri = true;
    p->viommu = smmuv3_new(&config, &properties, error);
    return p->viommu;
}

/* It can be reset, and is still without a device. */
static void viommu_works(World *w)
{
    Parts *p = w->unit;

    viommu_reset(p->viommu);
    g_assert_cmpuint(viommu_get_stats(p->viommu).reads, ==, 0);
}

static bool add_sva(World *w, GError **error)
{
    Parts *p = w->unit;
    const SvaDeviceConfig config = {
        .name = "sva0", .virt_id = SVA_ID, .ctx = p->ctx,
        .credits = SVA_CREDITS, .responded = responded,
    };

    p->sva = viommu_add_sva_device(p->viommu, &config, error);
    return p->sva;
}

static void sva_works(World *w)
{
    Parts *p = w->unit;

    g_assert_cmpuint(viommu_get_no_credit(p->sva), ==, 0);
    aio_wait_bh_oneshot(p->ctx, nothing, NULL);
}

static void pretend(World *w)
{
    make_parts(w);
    pretend_iommufd = true;
}

static bool new_host(World *w, GError **error)
{
    Parts *p = w->unit;

    p->host = host_syscalls_new("/dev/null", error);
    return p->host;
}

/* From a descriptor, that is: it is the caller's. */
static bool new_host_from_fd(World *w, GError **error)
{
    Parts *p = w->unit;

    p->fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (p->fd < 0) {
        error_set_errno(error, errno, "/dev/null");
        return false;
    }
    p->host = host_syscalls_new_from_fd(p->fd, error);
    close(p->fd);
    p->fd = -1;
    return p->host;
}

static void host_works(World *w)
{
    Parts *p = w->unit;
    struct iommu_destroy cmd = { .size = sizeof(cmd) };

    g_assert_cmpint(p->host->ops->ioctl(p->host, p->host->fd, IOMMU_DESTROY,
                                        &cmd), <, 0);
    g_assert_cmpint(errno, ==, ENOENT);
}

const FailStep fail_steps_create[] = {
    { "create/iothread", FAIL_FUNCTIONS, make_parts, new_iothread,
      iothread_works },
    { "create/context", FAIL_FUNCTIONS, make_parts, new_context,
      context_works },
    { "create/memory", FAIL_FUNCTIONS, make_surroundings, new_memory,
      memory_works },
    { "create/interrupts", FAIL_FUNCTIONS, make_parts, new_sink, sink_works },
    { "create/smmuv3", FAIL_FUNCTIONS, make_surroundings, new_smmuv3,
      viommu_works },
    { "create/vtd", FAIL_FUNCTIONS, make_surroundings, new_vtd, viommu_works },
    { "create/emulated-device", FAIL_FUNCTIONS, make_vtd, add_sva,
      sva_works },
    { "create/host", FAIL_FUNCTIONS, pretend, new_host, host_works },
    { "create/host-from-fd", FAIL_FUNCTIONS, pretend, new_host_from_fd,
      host_works },
    { NULL, 0, NULL, NULL, NULL },
};
