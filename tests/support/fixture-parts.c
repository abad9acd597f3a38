/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture-parts.h"

#include "failing-host.h"

#include "base/error.h"
#include "base/rcu.h"
#include "host/emul-internal.h"
#include "host/mock.h"
#include "hw/iommu/viommu-internal.h"

#include <string.h>
#include <sys/mman.h>

static void sink_raised(CountingSink *counting)
{
    if (counting->raised) {
        counting->raised(counting->opaque);
    }
}

static void sink_pulse(IrqSink *sink, unsigned line)
{
    CountingSink *counting = caa_container_of(sink, CountingSink, parent);

    g_assert_cmpuint(line, <, COUNTING_SINK_LINES);
    atomic_fetch_add(&counting->pulses[line], 1);
    sink_raised(counting);
}

static bool sink_message(IrqSink *sink, uint64_t address, uint32_t data)
{
    CountingSink *counting = caa_container_of(sink, CountingSink, parent);

    if (address != counting->doorbell) {
        atomic_fetch_add(&counting->aborts, 1);
        return false;
    }
    atomic_store(&counting->last_data, data);
    atomic_fetch_add(&counting->messages, 1);
    sink_raised(counting);
    return true;
}

void counting_sink_init(CountingSink *sink)
{
    static const IrqSinkOps ops = {
        .pulse = sink_pulse,
        .message = sink_message,
    };

    sink->parent.ops = &ops;
    sink->doorbell = GUEST_DOORBELL;
}

uint8_t *guest_ram_new(GuestMem **mem)
{
    GuestMemRegion region = { .gpa = GUEST_RAM, .size = GUEST_RAM_SIZE };
    GError *error = NULL;

    region.hva = mmap(NULL, GUEST_RAM_SIZE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    g_assert_true(region.hva != MAP_FAILED);
    *mem = guest_mem_new();
    guest_mem_set_regions(*mem, &region, 1, &error);
    g_assert_no_error(error);
    return region.hva;
}

void guest_ram_free(uint8_t *ram, GuestMem *mem)
{
    guest_mem_free(mem);
    munmap(ram, GUEST_RAM_SIZE);
}

AioContext *test_context_new(bool own_thread, IOThread **iothread)
{
    GError *error = NULL;
    AioContext *ctx;

    *iothread = NULL;
    if (own_thread) {
        *iothread = iothread_new("test", NULL, &error);
        g_assert_no_error(error);
        return aio_context_ref(iothread_get_aio_context(*iothread));
    }
    ctx = aio_context_new(&error);
    g_assert_no_error(error);
    aio_context_bind(ctx);
    return ctx;
}

void test_context_pump(AioContext *ctx)
{
    while (aio_poll(ctx, false)) {
        continue;
    }
}

void test_context_free(AioContext *ctx, IOThread *iothread)
{
    if (!iothread) {
        test_context_pump(ctx); /* lets go of what was deleted */
    }
    aio_context_unref(ctx);
    if (iothread) {
        iothread_stop(iothread);
    }
}

static HostIommu *mock_open(bool kernel, unsigned long request,
                            HostIommu **counted, GError **error)
{
    HostIommu *inner = kernel ? host_syscalls_new(NULL, error)
                              : emul_new(error);
    HostIommu *host;

    if (!inner) {
        return NULL;
    }
    inner = failing_host_new(inner, request);
    host = mock_host_new(inner, error);
    if (!host) {
        host_iommu_free(inner);
    } else if (counted) {
        *counted = inner;
    }
    return host;
}

HostIommu *test_host_open(const char *name, unsigned long request,
                          HostIommu **counted, GError **error)
{
    if (!strcmp(name, "emulated")) {
        return emul_new(error);
    }
    if (!strcmp(name, "mock") || !strcmp(name, "kernel")) {
        return mock_open(*name == 'k', request, counted, error);
    }
    g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                "there is no host '%s': it is emulated, mock or kernel", name);
    return NULL;
}

VfioDevice *test_device_open(HostIommu *host, EmulIommu iommu,
                             GPtrArray *devices)
{
    g_autofree char *name = g_strdup_printf("dev%u", devices->len);
    GError *error = NULL;
    VfioDevice *device;

    device = vfio_device_bind(host, host->hardware->device_open(host, iommu),
                              name, &error);
    g_assert_no_error(error);
    g_ptr_array_add(devices, device);
    return device;
}

uint32_t test_attached_ste(HostIommu *emulated_host, VfioDevice *device,
                           uint64_t ste[2])
{
    EmulHost *host = emul_host(emulated_host);
    EmulDevice *emulated;
    EmulNested *nested;
    uint32_t id;

    lock_acquire(&host->lock);
    emulated = (EmulDevice *)emul_object_find_locked(
        host, vfio_device_get_dev_id(device), EMUL_DEVICE);
    g_assert_cmpint(emulated->pt->type, ==, EMUL_NESTED);
    nested = (EmulNested *)emulated->pt;
    ste[0] = nested->ste[0];
    ste[1] = nested->ste[1];
    id = nested->obj.id;
    lock_release(&host->lock);
    return id;
}

/* The ID that @viommu knows @device by, or UINT32_MAX. */
static uint32_t plugged_id(Viommu *viommu, VfioDevice *device)
{
    DeviceEntry *entry;
    uint32_t id = UINT32_MAX;

    rcu_section_enter();
    entry = device_map_find_dev(viommu->devices,
                                vfio_device_get_dev_id(device));
    if (entry) {
        id = entry->virt_id;
    }
    rcu_section_leave();
    return id;
}

void test_devices_close(Viommu *viommu, GPtrArray *devices)
{
    while (devices->len > 0) {
        VfioDevice *device = devices->pdata[0];
        uint32_t id = plugged_id(viommu, device);

        if (id != UINT32_MAX) {
            g_assert_true(viommu_remove_device(viommu, id));
        }
        g_ptr_array_remove_index(devices, 0);
        vfio_device_free(device);
    }
}

/* What the tests of one program run between. */
static void (*main_setup)(void);
static void (*main_teardown)(void);

static void main_run(gconstpointer data)
{
    const FixtureTest *test = data;

    main_setup();
    test->func();
    main_teardown();
    message_log_stop();
}

int fixture_main(int argc, char **argv, const char *prefix,
                 const FixtureTest *tests, size_t count,
                 void (*setup)(void), void (*teardown)(void))
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    rcu_register_thread();
    main_setup = setup;
    main_teardown = teardown;
    for (size_t i = 0; i < count; i++) {
        g_autofree char *path = g_strdup_printf("%s/%s", prefix,
                                                tests[i].path);

        g_test_add_data_func(path, &tests[i], main_run);
    }
    ret = g_test_run();
    rcu_unregister_thread();
    return ret;
}
