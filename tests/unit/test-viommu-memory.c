/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Guest memory in the IOAS of a vIOMMU's devices: there from the first to the
 * last, by file where there is one, and what the map says in between.
 */
#include "fixture.h"

#include "base/error.h"
#include "base/rcu.h"
#include "base/thread.h"
#include "host/iommufd.h"
#include "hw/iommu/viommu-internal.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE UINT64_C(4096)
#define EXTRA_GPA UINT64_C(0x10000000)

enum { EXTRA_PAGES = 4 };

static Fixture *f;
static int extra_fd;
static char *extra;             /* EXTRA_PAGES of a memfd */

static void setup(void)
{
    extra_fd = memfd_create("test-viommu-memory", MFD_CLOEXEC);
    g_assert_cmpint(ftruncate(extra_fd, EXTRA_PAGES * PAGE), ==, 0);
    extra = mmap(NULL, EXTRA_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
                 extra_fd, 0);
    g_assert_true(extra != MAP_FAILED);
    f = fixture_new(NULL, false);
}

static void teardown(void)
{
    fixture_unplug_all(f);
    g_assert_cmpuint(emul_get_mapped(f->host).bytes, ==, 0);
    fixture_free(f);
    munmap(extra, EXTRA_PAGES * PAGE);
    close(extra_fd);
}

static uint64_t mapped(void)
{
    return emul_get_mapped(f->host).bytes;
}

static uint64_t mapped_files(void)
{
    return emul_get_mapped(f->host).file_bytes;
}

/* The guest's RAM, and @count pages of the file at EXTRA_GPA. */
static bool set_regions(size_t count, GError **error)
{
    const GuestMemRegion regions[] = {
        { .gpa = GUEST_RAM, .size = GUEST_RAM_SIZE, .hva = f->ram },
        { .gpa = EXTRA_GPA, .size = count * PAGE, .hva = extra,
          .has_fd = true, .fd = extra_fd },
    };

    return guest_mem_set_regions(f->mem, regions, count > 0 ? 2 : 1, error);
}

static void set_regions_ok(size_t count)
{
    g_autoptr(GError) error = NULL;

    set_regions(count, &error);
    g_assert_no_error(error);
}

/* Whether the host has something at @iova. */
static bool is_mapped(uint64_t iova)
{
    IommufdMemory memory = {
        .iova = iova, .length = PAGE, .va = extra, .fd = -1,
    };
    g_autoptr(GError) error = NULL;
    uint32_t ioas_id;

    lock_assume_alone(&f->viommu->config_lock);
    ioas_id = f->viommu->host.ioas_id;
    if (iommufd_ioas_map(f->host, ioas_id, &memory, &error)) {
        g_assert_true(iommufd_ioas_unmap(f->host, ioas_id, iova, PAGE, NULL));
        return false;
    }
    g_assert_nonnull(strstr(error->message, g_strerror(EEXIST)));
    return true;
}

static void test_first_to_last_device(void)
{
    VfioDevice *first, *second;

    g_assert_cmpuint(mapped(), ==, 0);
    first = fixture_plug(f, 1);
    g_assert_cmpuint(mapped(), ==, GUEST_RAM_SIZE);
    g_assert_cmpuint(mapped_files(), ==, 0);
    g_assert_true(is_mapped(GUEST_RAM));
    g_assert_true(is_mapped(GUEST_RAM + GUEST_RAM_SIZE - PAGE));
    g_assert_false(is_mapped(GUEST_RAM + GUEST_RAM_SIZE));
    second = fixture_plug(f, 2);
    g_assert_cmpuint(mapped(), ==, GUEST_RAM_SIZE);
    fixture_unplug(f, first, 1);
    g_assert_cmpuint(mapped(), ==, GUEST_RAM_SIZE);
    fixture_unplug(f, second, 2);
    g_assert_cmpuint(mapped(), ==, 0);
}

static void test_by_file(void)
{
    set_regions_ok(3);
    fixture_plug(f, 1);
    g_assert_cmpuint(mapped_files(), ==, 3 * PAGE);
    g_assert_true(is_mapped(EXTRA_GPA + 2 * PAGE));
    g_assert_false(is_mapped(EXTRA_GPA + 3 * PAGE));
}

static void test_follows_the_map(void)
{
    VfioDevice *device = fixture_plug(f, 1);

    set_regions_ok(4);
    g_assert_cmpuint(mapped(), ==, GUEST_RAM_SIZE + 4 * PAGE);
    set_regions_ok(2);
    g_assert_cmpuint(mapped(), ==, GUEST_RAM_SIZE + 2 * PAGE);
    g_assert_false(is_mapped(EXTRA_GPA + 2 * PAGE));
    fixture_unplug(f, device, 1);
    set_regions_ok(3);
    g_assert_cmpuint(mapped(), ==, 0);
    fixture_plug(f, 2);
    g_assert_cmpuint(mapped(), ==, GUEST_RAM_SIZE + 3 * PAGE);
}

/* A kernel before Linux 6.13. */
static void test_without_map_file(void)
{
    EmulFailure failure = {
        .call = EMUL_CALL_IOCTL, .request = IOMMU_IOAS_MAP_FILE, .nth = 1,
        .err = ENOTTY,
    };

    set_regions_ok(4);
    emul_set_failure(f->host, &failure);
    fixture_plug(f, 1);
    g_assert_cmpuint(mapped(), ==, GUEST_RAM_SIZE + 4 * PAGE);
    g_assert_cmpuint(mapped_files(), ==, 0);
    failure.nth = 0;
    emul_set_failure(f->host, &failure);
}

static void fail_map(unsigned long request, int err)
{
    const EmulFailure failure = {
        .call = EMUL_CALL_IOCTL, .request = request, .nth = 1, .times = 1,
        .err = err,
    };

    emul_set_failure(f->host, &failure);
}

static void test_refused_at_plug(void)
{
    static const unsigned long requests[] = {
        IOMMU_IOAS_MAP, IOMMU_IOAS_MAP_FILE,
    };
    VfioDevice *device = fixture_open_device(f);

    set_regions_ok(2);
    for (size_t i = 0; i < G_N_ELEMENTS(requests); i++) {
        g_autoptr(GError) error = NULL;

        fail_map(requests[i], ENOMEM);
        g_assert_false(viommu_add_device(f->viommu, device, 1, &error));
        g_assert_error(error, VIOMMU_ERROR, VIOMMU_ERROR_RESOURCE);
        g_test_message("%s", error->message);
        g_assert_true(g_pattern_match_simple(
            i == 0 ? "device 'dev0': vIOMMU 'smmu0': cannot map 4194304 bytes "
                     "of guest memory at 0x40000000 into IOAS *"
                   : "device 'dev0': vIOMMU 'smmu0': cannot map 8192 bytes of "
                     "guest memory at 0x10000000 into IOAS *",
            error->message));
        g_assert_cmpuint(mapped(), ==, 0);
        g_assert_cmpuint(emul_get_stats(f->host).objects, ==, 1);
    }
    g_assert_true(viommu_add_device(f->viommu, device, 1, NULL));
    g_assert_cmpuint(mapped(), ==, GUEST_RAM_SIZE + 2 * PAGE);
}

static void test_refused_change(void)
{
    g_autoptr(GError) error = NULL;

    set_regions_ok(2);
    fixture_plug(f, 1);
    fail_map(IOMMU_IOAS_MAP_FILE, ENOMEM);
    g_assert_false(set_regions(4, &error));
    g_assert_nonnull(strstr(error->message, "vIOMMU 'smmu0'"));
    g_assert_cmpuint(mapped(), ==, GUEST_RAM_SIZE + 2 * PAGE);
    rcu_section_enter();
    g_assert_nonnull(guest_mem_ptr(f->mem, EXTRA_GPA + PAGE, 1));
    g_assert_null(guest_mem_ptr(f->mem, EXTRA_GPA + 2 * PAGE, 1));
    rcu_section_leave();
}

typedef struct Changer {
    atomic_bool stop;
    atomic_uint changes;
} Changer;

static void *change(void *opaque)
{
    Changer *changer = opaque;

    rcu_register_thread();
    while (!atomic_load(&changer->stop)) {
        set_regions_ok(atomic_fetch_add(&changer->changes, 1) %
                       (EXTRA_PAGES + 1));
    }
    set_regions_ok(1);
    rcu_unregister_thread();
    return NULL;
}

/* A map that changes while vIOMMUs come and go is followed all the same. */
static void test_changes_while_plugging(void)
{
    Changer changer = { 0 };
    pthread_t thread;

    g_assert_cmpint(thread_create(&thread, change, &changer), ==, 0);
    while (atomic_load(&changer.changes) == 0) {
        sched_yield();
    }
    for (unsigned i = 0; i < 200; i++) {
        VfioDevice *device = fixture_plug(f, 1);

        g_assert_cmpuint(mapped(), >=, GUEST_RAM_SIZE);
        if (i < 199) {
            fixture_unplug(f, device, 1);
            g_assert_cmpuint(mapped(), ==, 0);
        }
    }
    atomic_store(&changer.stop, true);
    pthread_join(thread, NULL);
    g_assert_cmpuint(mapped(), ==, GUEST_RAM_SIZE + PAGE);
}

int main(int argc, char **argv)
{
    static const FixtureTest tests[] = {
        { test_first_to_last_device, "first-to-last-device" },
        { test_by_file, "by-file" },
        { test_follows_the_map, "follows-the-map" },
        { test_without_map_file, "without-map-file-by-address" },
        { test_refused_at_plug, "refused-at-plug-leaves-nothing" },
        { test_refused_change, "refused-change-changes-nothing" },
        { test_changes_while_plugging, "changes-while-plugging" },
    };

    return fixture_main(argc, argv, "/viommu/memory", tests,
                        G_N_ELEMENTS(tests), setup, teardown);
}
