/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether the emulated mock driver sees what is mapped: its HWPTs' geometry,
 * and IOMMU_TEST_OP_MD_CHECK_MAP.
 */
#include "test-emul-mock.h"

#include <sys/mman.h>
#include <unistd.h>

#define PAGE  UINT64_C(4096)
#define IOVA  MOCK_APERTURE_START
#define BYTES (8 * PAGE)

/* A mock device, and memory: private, and of files, one of them twice. */
typedef struct Memory {
    MockMachine m;
    int memfd;
    int other_memfd;
    char *anon;
    char *file;
    char *other_file;
    char *file_from_4;          /* from its fifth page on */
} Memory;

static char *map_memory(size_t size, int flags, int fd, off_t offset)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, offset);

    g_assert_true(memory != MAP_FAILED);
    return memory;
}

static void memory_init(Memory *mem)
{
    mock_machine_init(&mem->m);
    mem->memfd = memfd_create("test", MFD_CLOEXEC);
    mem->other_memfd = memfd_create("other", MFD_CLOEXEC);
    g_assert_cmpint(ftruncate(mem->memfd, BYTES), ==, 0);
    g_assert_cmpint(ftruncate(mem->other_memfd, BYTES), ==, 0);
    mem->anon = map_memory(BYTES, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mem->file = map_memory(BYTES, MAP_SHARED, mem->memfd, 0);
    mem->other_file = map_memory(BYTES, MAP_SHARED, mem->other_memfd, 0);
    mem->file_from_4 = map_memory(BYTES / 2, MAP_SHARED, mem->memfd, 4 * PAGE);
}

static void memory_cleanup(Memory *mem)
{
    munmap(mem->anon, BYTES);
    munmap(mem->file, BYTES);
    munmap(mem->other_file, BYTES);
    munmap(mem->file_from_4, BYTES / 2);
    close(mem->memfd);
    close(mem->other_memfd);
    mock_machine_cleanup(&mem->m);
}

static int map_address(Memory *mem, uint64_t iova, const void *address,
                       uint64_t length)
{
    struct iommu_ioas_map cmd = {
        .size = sizeof(cmd), .ioas_id = mem->m.ioas_id,
        .flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE,
        .user_va = (uintptr_t)address, .length = length, .iova = iova,
    };

    return host_call(mem->m.host, mem->m.host->fd, IOMMU_IOAS_MAP, &cmd);
}

static int map_file(Memory *mem, uint64_t iova, uint64_t start,
                    uint64_t length)
{
    struct iommu_ioas_map_file cmd = {
        .size = sizeof(cmd), .ioas_id = mem->m.ioas_id,
        .flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE,
        .fd = mem->memfd, .start = start, .length = length, .iova = iova,
    };

    return host_call(mem->m.host, mem->m.host->fd, IOMMU_IOAS_MAP_FILE, &cmd);
}

static int check_hwpt(Memory *mem, uint32_t hwpt_id, uint64_t iova,
                      const void *address, uint64_t length)
{
    struct iommu_test_cmd cmd = {
        .op = IOMMU_TEST_OP_MD_CHECK_MAP, .id = hwpt_id,
        .check_map = {
            .iova = iova, .length = length, .uptr = (uintptr_t)address,
        },
    };

    return mock_test(mem->m.host, &cmd);
}

static int check(Memory *mem, uint64_t iova, const void *address,
                 uint64_t length)
{
    return check_hwpt(mem, mem->m.device.hwpt_id, iova, address, length);
}

static void test_by_address(void)
{
    Memory mem;

    memory_init(&mem);
    g_assert_cmpint(map_address(&mem, IOVA, mem.anon, 4 * PAGE), ==, 0);
    g_assert_cmpint(check(&mem, IOVA, mem.anon, 4 * PAGE), ==, 0);
    g_assert_cmpint(check(&mem, IOVA + 2048, mem.anon + 2048, 2048), ==, 0);
    g_assert_cmpint(check(&mem, IOVA, mem.anon + PAGE, PAGE), ==, -EINVAL);
    g_assert_cmpint(check(&mem, IOVA, mem.anon, 5 * PAGE), ==, -EINVAL);
    g_assert_cmpint(check(&mem, IOVA + 8 * PAGE, mem.anon, PAGE), ==, -EINVAL);
    g_assert_cmpint(check_hwpt(&mem, mem.m.parent_id, IOVA, mem.anon, PAGE),
                    ==, 0);
    memory_cleanup(&mem);
}

/* The same page of the file, wherever the program has it. */
static void test_by_file(void)
{
    Memory mem;

    memory_init(&mem);
    g_assert_cmpint(map_file(&mem, IOVA, PAGE, 4 * PAGE), ==, 0);
    g_assert_cmpint(check(&mem, IOVA, mem.file + PAGE, 4 * PAGE), ==, 0);
    g_assert_cmpint(check(&mem, IOVA + 3 * PAGE, mem.file_from_4, PAGE), ==,
                    0);
    g_assert_cmpint(check(&mem, IOVA, mem.file, PAGE), ==, -EINVAL);
    g_assert_cmpint(check(&mem, IOVA, mem.anon, PAGE), ==, -EINVAL);
    g_assert_cmpint(check(&mem, IOVA, mem.other_file + PAGE, PAGE), ==,
                    -EINVAL);
    g_assert_cmpint(map_address(&mem, IOVA + 8 * PAGE, mem.file + 4 * PAGE,
                                PAGE), ==, 0);
    g_assert_cmpint(check(&mem, IOVA + 8 * PAGE, mem.file_from_4, PAGE), ==,
                    0);
    memory_cleanup(&mem);
}

static void test_errors(void)
{
    Memory mem;
    char *hole;

    memory_init(&mem);
    hole = map_memory(PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(hole, PAGE);
    g_assert_cmpint(map_address(&mem, IOVA, mem.anon, PAGE), ==, 0);
    g_assert_cmpint(check(&mem, IOVA + 1024, mem.anon + 1024, 2048), ==,
                    -EINVAL);
    g_assert_cmpint(check(&mem, IOVA, mem.anon, 1024), ==, -EINVAL);
    g_assert_cmpint(check(&mem, IOVA, mem.anon + 1024, 2048), ==, -EINVAL);
    g_assert_cmpint(check(&mem, IOVA, mem.anon, -PAGE), ==, -EINVAL);
    g_assert_cmpint(check(&mem, IOVA, hole, PAGE), ==, -EFAULT);
    g_assert_cmpint(check(&mem, IOVA, hole, 0), ==, 0);
    g_assert_cmpint(check_hwpt(&mem, 99, IOVA, mem.anon, PAGE), ==, -ENOENT);
    g_assert_cmpint(check_hwpt(&mem, mem.m.nested_id, IOVA, mem.anon, PAGE),
                    ==, -ENOENT);
    memory_cleanup(&mem);
}

/* Of two HWPTs the coarser pages count, and what is mapped must suit it. */
static void test_huge_hwpt(void)
{
    const struct iommu_hwpt_selftest data = {
        .pagetable_type = MOCK_IOMMUPT_HUGE,
    };
    Memory mem;
    uint32_t id;

    memory_init(&mem);
    g_assert_cmpint(map_address(&mem, IOVA + 2048, mem.anon + 2048, 2048), ==,
                    0);
    g_assert_cmpint(mock_hwpt(mem.m.host, mem.m.device.dev_id, mem.m.ioas_id,
                              0, 0, &data, sizeof(data), &id), ==,
                    -EADDRINUSE);
    memory_cleanup(&mem);
    memory_init(&mem);
    g_assert_cmpint(mock_hwpt(mem.m.host, mem.m.device.dev_id, mem.m.ioas_id,
                              0, 0, &data, sizeof(data), &id), ==, 0);
    g_assert_cmpint(map_address(&mem, IOVA + 2048, mem.anon + 2048, 2048), ==,
                    -EINVAL);
    g_assert_cmpint(destroy(mem.m.host, id), ==, 0);
    g_assert_cmpint(map_address(&mem, IOVA + 2048, mem.anon + 2048, 2048), ==,
                    0);
    memory_cleanup(&mem);
}

/* Outside the aperture: refused with a device, and a device is with it. */
static void test_aperture(void)
{
    MockDevice device;
    Memory mem;
    uint32_t ioas_id;

    memory_init(&mem);
    g_assert_cmpint(map_address(&mem, IOVA - PAGE, mem.anon, PAGE), ==,
                    -EINVAL);
    g_assert_cmpint(map_address(&mem, MOCK_APERTURE_LAST + 1 - PAGE, mem.anon,
                                2 * PAGE), ==, -EINVAL);
    ioas_id = mem.m.ioas_id;
    g_assert_cmpint(ioas_alloc(mem.m.host, &mem.m.ioas_id), ==, 0);
    g_assert_cmpint(map_address(&mem, IOVA - PAGE, mem.anon, PAGE), ==, 0);
    g_assert_cmpint(mock_domain(mem.m.host, mem.m.ioas_id, 0, &device), ==,
                    -EADDRINUSE);
    g_assert_cmpint(destroy(mem.m.host, mem.m.ioas_id), ==, 0);
    mem.m.ioas_id = ioas_id;
    memory_cleanup(&mem);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/emul/mock/check-map/by-address", test_by_address);
    g_test_add_func("/emul/mock/check-map/by-file", test_by_file);
    g_test_add_func("/emul/mock/check-map/errors", test_errors);
    g_test_add_func("/emul/mock/map/huge-pages", test_huge_hwpt);
    g_test_add_func("/emul/mock/map/aperture", test_aperture);
    return g_test_run();
}
