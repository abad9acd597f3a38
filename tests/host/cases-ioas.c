/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An IOAS: maps, by address and by file, and IOVA ranges.
 */
#include "conformance.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE   UINT64_C(4096)
#define IOVA   (MOCK_APERTURE_START + 0x10000)
#define BYTES  (16 * PAGE)

enum {
    READ_WRITE = IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE,
    FIXED = IOMMU_IOAS_MAP_FIXED_IOVA | READ_WRITE,
};

/* An IOAS with a device, and memory to map. */
typedef struct Space {
    uint32_t ioas_id;
    uint32_t stdev_id;
    uint32_t hwpt_id;
    int memfd;
    char *memory;
} Space;

static bool space_up(Conformance *c, Space *s)
{
    s->memfd = memfd_create("conformance", MFD_CLOEXEC);
    if (!need(c, "memfd", s->memfd) ||
        !need(c, "truncate", ftruncate(s->memfd, BYTES)) ||
        !need(c, "IOAS", ioas_alloc(c, &s->ioas_id))) {
        return false;
    }
    s->memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
                     s->memfd, 0);
    return need(c, "mmap", s->memory == MAP_FAILED ? -1 : 0) &&
           need(c, "device", mock_device(c, s->ioas_id, 0, &s->stdev_id,
                                         &s->hwpt_id, NULL));
}

static void space_down(Conformance *c, Space *s)
{
    need(c, "destroy", destroy(c, s->stdev_id));
    need(c, "destroy", destroy(c, s->ioas_id));
    munmap(s->memory, BYTES);
    close(s->memfd);
}

static int map(Conformance *c, const Space *s, uint32_t flags, uint64_t iova,
               uint64_t length)
{
    struct iommu_ioas_map cmd = {
        .size = sizeof(cmd),
        .flags = flags,
        .ioas_id = s->ioas_id,
        .user_va = (uintptr_t)s->memory,
        .length = length,
        .iova = iova,
    };

    return host_ioctl(c, IOMMU_IOAS_MAP, &cmd);
}

static int map_file(Conformance *c, const Space *s, int fd, uint64_t start,
                    uint64_t iova, uint64_t length)
{
    struct iommu_ioas_map_file cmd = {
        .size = sizeof(cmd),
        .flags = FIXED,
        .ioas_id = s->ioas_id,
        .fd = fd,
        .start = start,
        .length = length,
        .iova = iova,
    };

    return host_ioctl(c, IOMMU_IOAS_MAP_FILE, &cmd);
}

static int unmap(Conformance *c, const Space *s, uint64_t iova,
                 uint64_t *length)
{
    struct iommu_ioas_unmap cmd = {
        .size = sizeof(cmd),
        .ioas_id = s->ioas_id,
        .iova = iova,
        .length = *length,
    };
    int ret = host_ioctl(c, IOMMU_IOAS_UNMAP, &cmd);

    *length = cmd.length;
    return ret;
}

static int unmap_bytes(Conformance *c, const Space *s, uint64_t iova,
                       uint64_t length)
{
    return unmap(c, s, iova, &length);
}

/* Whether the device sees @page of the memory at @iova. */
static int check_map(Conformance *c, const Space *s, uint64_t iova,
                     const char *page)
{
    struct iommu_test_cmd cmd = {
        .size = sizeof(cmd),
        .op = IOMMU_TEST_OP_MD_CHECK_MAP,
        .id = s->hwpt_id,
        .check_map = {
            .iova = iova, .length = PAGE, .uptr = (uintptr_t)page,
        },
    };

    return host_ioctl(c, IOMMU_TEST_CMD, &cmd);
}

static void maps(Conformance *c)
{
    Space s;

    if (!space_up(c, &s)) {
        return;
    }
    check_errno(c, "map", map(c, &s, FIXED, IOVA, 4 * PAGE), 0);
    check_errno(c, "first page", check_map(c, &s, IOVA, s.memory), 0);
    check_errno(c, "last page", check_map(c, &s, IOVA + 3 * PAGE,
                                          s.memory + 3 * PAGE), 0);
    check_errno(c, "another page", check_map(c, &s, IOVA, s.memory + PAGE),
                EINVAL);
    check_errno(c, "the next one", check_map(c, &s, IOVA + 4 * PAGE,
                                             s.memory + 4 * PAGE), EINVAL);
    check_errno(c, "over it", map(c, &s, FIXED, IOVA + PAGE, PAGE), EEXIST);
    check_errno(c, "over its end", map(c, &s, FIXED, IOVA + 3 * PAGE,
                                       2 * PAGE), EEXIST);
    check_errno(c, "after it", map(c, &s, FIXED, IOVA + 4 * PAGE, PAGE), 0);
    check_errno(c, "the same memory again",
                map(c, &s, FIXED, IOVA + 8 * PAGE, PAGE), 0);
    space_down(c, &s);
}

static void maps_refused(Conformance *c)
{
    struct iommu_ioas_map cmd = { .size = sizeof(cmd) };
    Space s;

    if (!space_up(c, &s)) {
        return;
    }
    check_errno(c, "unknown flag", map(c, &s, FIXED | 1 << 3, IOVA, PAGE),
                EOPNOTSUPP);
    check_errno(c, "no access", map(c, &s, IOMMU_IOAS_MAP_FIXED_IOVA, IOVA,
                                    PAGE), EINVAL);
    check_errno(c, "length 0", map(c, &s, FIXED, IOVA, 0), EINVAL);
    check_errno(c, "odd IOVA", map(c, &s, FIXED, IOVA + 1, PAGE), EINVAL);
    check_errno(c, "odd length", map(c, &s, FIXED, IOVA, PAGE + 1), EINVAL);
    check_errno(c, "below the aperture", map(c, &s, FIXED, 0, PAGE), EINVAL);
    check_errno(c, "over its end",
                map(c, &s, FIXED, MOCK_APERTURE_LAST + 1 - PAGE, 2 * PAGE),
                EINVAL);
    check_errno(c, "its last page",
                map(c, &s, FIXED, MOCK_APERTURE_LAST + 1 - PAGE, PAGE), 0);
    check_errno(c, "IOVA of all ones", map(c, &s, FIXED, UINT64_MAX, PAGE),
                EOVERFLOW);
    check_errno(c, "length of all ones", map(c, &s, FIXED, IOVA, UINT64_MAX),
                EOVERFLOW);
    cmd.flags = FIXED;
    cmd.ioas_id = s.ioas_id;
    cmd.iova = IOVA;
    cmd.length = PAGE;
    cmd.user_va = (uintptr_t)s.memory;
    cmd.__reserved = 1;
    check_errno(c, "reserved", host_ioctl(c, IOMMU_IOAS_MAP, &cmd),
                EOPNOTSUPP);
    cmd.__reserved = 0;
    cmd.ioas_id = 99;
    check_errno(c, "unknown ID", host_ioctl(c, IOMMU_IOAS_MAP, &cmd),
                ENOENT);
    cmd.ioas_id = s.hwpt_id;
    check_errno(c, "a HWPT", host_ioctl(c, IOMMU_IOAS_MAP, &cmd), ENOENT);
    space_down(c, &s);
}

/* Where nothing is mapped in this process: looked at if a device is there. */
static void no_memory_behind(Conformance *c)
{
    struct iommu_ioas_map cmd = {
        .size = sizeof(cmd), .flags = FIXED, .iova = IOVA, .length = PAGE,
    };
    Space s;
    char *hole;

    if (!space_up(c, &s)) {
        return;
    }
    hole = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(hole, PAGE);
    cmd.user_va = (uintptr_t)hole;
    cmd.ioas_id = s.ioas_id;
    check_errno(c, "map", host_ioctl(c, IOMMU_IOAS_MAP, &cmd), EFAULT);
    check_errno(c, "the IOVA is free still", map(c, &s, FIXED, IOVA, PAGE),
                0);
    space_down(c, &s);
}

static void finds_an_iova(Conformance *c)
{
    struct iommu_ioas_map cmd = {
        .size = sizeof(cmd), .flags = READ_WRITE, .length = 4 * PAGE,
    };
    uint64_t first;
    Space s;

    if (!space_up(c, &s)) {
        return;
    }
    cmd.ioas_id = s.ioas_id;
    cmd.user_va = (uintptr_t)s.memory;
    check_errno(c, "map", host_ioctl(c, IOMMU_IOAS_MAP, &cmd), 0);
    first = cmd.iova;
    check_value(c, "in the aperture", first >= MOCK_APERTURE_START &&
                first + 4 * PAGE - 1 <= MOCK_APERTURE_LAST, 1);
    check_errno(c, "is there", check_map(c, &s, first, s.memory), 0);
    check_errno(c, "map", host_ioctl(c, IOMMU_IOAS_MAP, &cmd), 0);
    check_value(c, "overlaps", cmd.iova < first + 4 * PAGE &&
                first < cmd.iova + 4 * PAGE, 0);
    check_errno(c, "unmap", unmap_bytes(c, &s, first, 4 * PAGE), 0);
    cmd.length = MOCK_APERTURE_LAST + 1;
    check_errno(c, "more than the aperture",
                host_ioctl(c, IOMMU_IOAS_MAP, &cmd), ENOSPC);
    space_down(c, &s);
}

/* Ends that wrap: of the memory, of the IOVA, and more than half of all. */
static void ends_that_wrap(Conformance *c)
{
    const uint64_t high = -(uint64_t)PAGE;
    struct iommu_ioas_map cmd = {
        .size = sizeof(cmd), .flags = FIXED, .iova = IOVA, .length = 2 * PAGE,
        .user_va = high,
    };
    Space s;

    if (!space_up(c, &s)) {
        return;
    }
    cmd.ioas_id = s.ioas_id;
    check_errno(c, "memory", host_ioctl(c, IOMMU_IOAS_MAP, &cmd), EOVERFLOW);
    check_errno(c, "IOVA", map(c, &s, FIXED, high, 2 * PAGE), EOVERFLOW);
    check_errno(c, "offset in a file",
                map_file(c, &s, s.memfd, high, IOVA, 2 * PAGE), EOVERFLOW);
    cmd.flags = READ_WRITE;
    cmd.user_va = (uintptr_t)s.memory;
    cmd.length = UINT64_C(1) << 63;
    check_errno(c, "half of all IOVAs", host_ioctl(c, IOMMU_IOAS_MAP, &cmd),
                EOVERFLOW);
    check_errno(c, "unmap", unmap_bytes(c, &s, high, 2 * PAGE), EOVERFLOW);
    space_down(c, &s);
}

static void files(Conformance *c)
{
    Space s;
    int null_fd, closed_fd;

    if (!space_up(c, &s)) {
        return;
    }
    check_errno(c, "map", map_file(c, &s, s.memfd, 2 * PAGE, IOVA, 4 * PAGE),
                0);
    check_errno(c, "first page", check_map(c, &s, IOVA, s.memory + 2 * PAGE),
                0);
    check_errno(c, "last page", check_map(c, &s, IOVA + 3 * PAGE,
                                          s.memory + 5 * PAGE), 0);
    check_errno(c, "over it", map_file(c, &s, s.memfd, 0, IOVA, PAGE),
                EEXIST);
    check_errno(c, "length 0", map_file(c, &s, s.memfd, 0, IOVA, 0), EINVAL);
    check_errno(c, "odd IOVA", map_file(c, &s, s.memfd, 0, IOVA + 1, PAGE),
                EINVAL);
    check_errno(c, "behind its end",
                map_file(c, &s, s.memfd, BYTES, IOVA + 8 * PAGE, PAGE),
                EINVAL);
    closed_fd = dup(s.memfd);
    close(closed_fd);
    check_errno(c, "closed fd",
                map_file(c, &s, closed_fd, 0, IOVA + 8 * PAGE, PAGE), EBADF);
    null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    check_errno(c, "/dev/null",
                map_file(c, &s, null_fd, 0, IOVA + 8 * PAGE, PAGE), EINVAL);
    close(null_fd);
    check_errno(c, "their IOVA is free still",
                map_file(c, &s, s.memfd, 0, IOVA + 8 * PAGE, PAGE), 0);
    space_down(c, &s);
}

/* The map holds the memory: of the file only the descriptor goes. */
static void file_is_closed(Conformance *c)
{
    Space s;
    int copy;

    if (!space_up(c, &s)) {
        return;
    }
    copy = fcntl(s.memfd, F_DUPFD_CLOEXEC, 0);
    need(c, "map", map_file(c, &s, copy, 0, IOVA, PAGE));
    close(copy);
    check_errno(c, "closed, is there", check_map(c, &s, IOVA, s.memory), 0);
    check_errno(c, "unmap", unmap_bytes(c, &s, IOVA, PAGE), 0);
    check_errno(c, "is there", check_map(c, &s, IOVA, s.memory), EINVAL);
    space_down(c, &s);
}

static void unmaps(Conformance *c)
{
    uint64_t length = 8 * PAGE;
    Space s;

    if (!space_up(c, &s)) {
        return;
    }
    need(c, "map", map(c, &s, FIXED, IOVA, 4 * PAGE));
    need(c, "map", map(c, &s, FIXED, IOVA + 4 * PAGE, 2 * PAGE));
    check_errno(c, "part of one", unmap_bytes(c, &s, IOVA, PAGE), ENOENT);
    check_errno(c, "its end", unmap_bytes(c, &s, IOVA + 2 * PAGE, 2 * PAGE),
                ENOENT);
    check_errno(c, "is there", check_map(c, &s, IOVA, s.memory), 0);
    check_errno(c, "both, and more", unmap(c, &s, IOVA, &length), 0);
    check_value(c, "bytes", length, 6 * PAGE);
    check_errno(c, "is there", check_map(c, &s, IOVA, s.memory), EINVAL);
    check_errno(c, "again", unmap_bytes(c, &s, IOVA, 8 * PAGE), ENOENT);
    check_errno(c, "length 0", unmap_bytes(c, &s, IOVA, 0), EINVAL);
    check_errno(c, "IOVA of all ones",
                unmap_bytes(c, &s, UINT64_MAX, PAGE), EOVERFLOW);
    check_errno(c, "beyond all ones",
                unmap_bytes(c, &s, UINT64_MAX - PAGE, 2 * PAGE), EOVERFLOW);
    check_errno(c, "length of all ones",
                unmap_bytes(c, &s, IOVA, UINT64_MAX), EOVERFLOW);
    space_down(c, &s);
}

static void unmaps_all(Conformance *c)
{
    uint64_t length = UINT64_MAX;
    Space s;

    if (!space_up(c, &s)) {
        return;
    }
    need(c, "map", map(c, &s, FIXED, IOVA, PAGE));
    need(c, "map", map_file(c, &s, s.memfd, 0, IOVA + 8 * PAGE, 2 * PAGE));
    check_errno(c, "all", unmap(c, &s, 0, &length), 0);
    check_value(c, "bytes", length, 3 * PAGE);
    length = UINT64_MAX;
    check_errno(c, "all of nothing", unmap(c, &s, 0, &length), 0);
    check_value(c, "bytes", length, 0);
    space_down(c, &s);
}

/* Maps are made good when a device comes; the IOAS takes them with it. */
static void map_before_the_device(Conformance *c)
{
    uint32_t late_id;
    Space s;

    if (!space_up(c, &s)) {
        return;
    }
    need(c, "destroy", destroy(c, s.stdev_id));
    check_errno(c, "outside a mock device's aperture",
                map(c, &s, FIXED, 2 * PAGE, PAGE), 0);
    check_errno(c, "device", mock_device(c, s.ioas_id, 0, &late_id, NULL,
                                         NULL), EADDRINUSE);
    need(c, "unmap", unmap_bytes(c, &s, 2 * PAGE, PAGE));
    check_errno(c, "inside", map(c, &s, FIXED, IOVA, PAGE), 0);
    check_errno(c, "device", mock_device(c, s.ioas_id, 0, &s.stdev_id,
                                         &s.hwpt_id, NULL), 0);
    check_errno(c, "is there", check_map(c, &s, IOVA, s.memory), 0);
    space_down(c, &s);
}

static int iova_ranges(Conformance *c, uint32_t ioas_id, uint32_t *num,
                       struct iommu_iova_range *ranges, uint64_t *alignment)
{
    struct iommu_ioas_iova_ranges cmd = {
        .size = sizeof(cmd),
        .ioas_id = ioas_id,
        .num_iovas = *num,
        .allowed_iovas = (uintptr_t)ranges,
    };
    int ret = host_ioctl(c, IOMMU_IOAS_IOVA_RANGES, &cmd);

    *num = cmd.num_iovas;
    *alignment = cmd.out_iova_alignment;
    return ret;
}

static void ranges(Conformance *c)
{
    struct iommu_iova_range range[2];
    uint32_t ioas_id, stdev_id, num = 2;
    uint64_t alignment = 0;

    need(c, "IOAS", ioas_alloc(c, &ioas_id));
    check_errno(c, "no device", iova_ranges(c, ioas_id, &num, range,
                                            &alignment), 0);
    check_value(c, "ranges", num, 1);
    check_value(c, "from", range[0].start, 0);
    check_value(c, "to", range[0].last, UINT64_MAX);
    check_value(c, "alignment", alignment, 1);
    need(c, "device", mock_device(c, ioas_id, 0, &stdev_id, NULL, NULL));
    num = 2;
    check_errno(c, "device", iova_ranges(c, ioas_id, &num, range,
                                         &alignment), 0);
    check_value(c, "ranges", num, 1);
    check_value(c, "from", range[0].start, MOCK_APERTURE_START);
    check_value(c, "to", range[0].last, MOCK_APERTURE_LAST);
    check_value(c, "alignment", alignment, MOCK_PAGE_SIZE);
    num = 0;
    check_errno(c, "no room", iova_ranges(c, ioas_id, &num, range,
                                          &alignment), EMSGSIZE);
    check_value(c, "ranges", num, 1);
    num = 1;
    check_errno(c, "unknown ID", iova_ranges(c, 99, &num, range, &alignment),
                ENOENT);
    need(c, "destroy", destroy(c, stdev_id));
    num = 1;
    need(c, "again", iova_ranges(c, ioas_id, &num, range, &alignment));
    check_value(c, "device gone, from", range[0].start, 0);
    need(c, "destroy", destroy(c, ioas_id));
}

static int hwpt_alloc(Conformance *c, uint32_t dev_id, uint32_t ioas_id,
                      uint32_t pagetable_type, uint32_t *id)
{
    struct iommu_hwpt_selftest data = { .pagetable_type = pagetable_type };
    struct iommu_hwpt_alloc cmd = {
        .size = sizeof(cmd),
        .dev_id = dev_id,
        .pt_id = ioas_id,
        .data_type = IOMMU_HWPT_DATA_SELFTEST,
        .data_len = sizeof(data),
        .data_uptr = (uintptr_t)&data,
    };
    int ret = host_ioctl(c, IOMMU_HWPT_ALLOC, &cmd);

    *id = cmd.out_hwpt_id;
    return ret;
}

/* What all HWPTs on it can map, whether a device is attached or not. */
static void ranges_of_hwpts(Conformance *c)
{
    struct iommu_iova_range range = { 0 };
    uint32_t home_id, ioas_id, stdev_id, dev_id, wide_id, id, num = 1;
    uint64_t alignment = 0;

    need(c, "IOAS", ioas_alloc(c, &home_id));
    need(c, "IOAS", ioas_alloc(c, &ioas_id));
    need(c, "device", mock_device(c, home_id, 0, &stdev_id, NULL, &dev_id));
    need(c, "wide HWPT", hwpt_alloc(c, dev_id, ioas_id, MOCK_IOMMUPT_HUGE,
                                    &wide_id));
    need(c, "ranges", iova_ranges(c, ioas_id, &num, &range, &alignment));
    check_value(c, "wide, from", range.start, 0);
    check_value(c, "to", range.last, 0x3fffffffff);
    check_value(c, "alignment", alignment, 4096);
    need(c, "HWPT", hwpt_alloc(c, dev_id, ioas_id, 0, &id));
    num = 1;
    need(c, "ranges", iova_ranges(c, ioas_id, &num, &range, &alignment));
    check_value(c, "both, from", range.start, MOCK_APERTURE_START);
    check_value(c, "to", range.last, MOCK_APERTURE_LAST);
    check_value(c, "alignment", alignment, 4096);
    need(c, "destroy", destroy(c, id));
    num = 1;
    need(c, "ranges", iova_ranges(c, ioas_id, &num, &range, &alignment));
    check_value(c, "wide again, from", range.start, 0);
    need(c, "destroy", destroy(c, wide_id));
    need(c, "destroy", destroy(c, stdev_id));
    need(c, "destroy", destroy(c, home_id));
    need(c, "destroy", destroy(c, ioas_id));
}

/* Sizes, each with a command that is refused for its IOAS if it gets there. */
static void sizes(Conformance *c)
{
    static const struct {
        unsigned long request;
        uint32_t size;
    } requests[] = {
        { IOMMU_IOAS_MAP, sizeof(struct iommu_ioas_map) },
        { IOMMU_IOAS_MAP_FILE, sizeof(struct iommu_ioas_map_file) },
        { IOMMU_IOAS_UNMAP, sizeof(struct iommu_ioas_unmap) },
        { IOMMU_IOAS_IOVA_RANGES, sizeof(struct iommu_ioas_iova_ranges) },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(requests); i++) {
        char buf[64] = { 0 };
        uint32_t size = requests[i].size - 1;

        /* Readable, so that maps get past their flags. */
        buf[4] = requests[i].request == IOMMU_IOAS_MAP ||
                 requests[i].request == IOMMU_IOAS_MAP_FILE ? 4 : 0;
        memcpy(buf, &size, sizeof(size));
        check_errno(c, "too short", host_ioctl(c, requests[i].request, buf),
                    EINVAL);
        size += 9;
        memcpy(buf, &size, sizeof(size));
        check_errno(c, "longer", host_ioctl(c, requests[i].request, buf),
                    ENOENT);
        buf[size - 1] = 1;
        check_errno(c, "junk at the end",
                    host_ioctl(c, requests[i].request, buf), E2BIG);
    }
}

static void ranges_refused(Conformance *c)
{
    struct iommu_ioas_iova_ranges cmd = {
        .size = sizeof(cmd), .num_iovas = 1, .__reserved = 1,
    };

    need(c, "IOAS", ioas_alloc(c, &cmd.ioas_id));
    check_errno(c, "reserved", host_ioctl(c, IOMMU_IOAS_IOVA_RANGES, &cmd),
                EOPNOTSUPP);
    cmd.__reserved = 0;
    check_errno(c, "NULL", host_ioctl(c, IOMMU_IOAS_IOVA_RANGES, &cmd),
                EFAULT);
    need(c, "destroy", destroy(c, cmd.ioas_id));
}

const ConformanceCase conformance_ioas[] = {
    { "ioas/map/fixed", maps },
    { "ioas/map/finds-an-IOVA", finds_an_iova },
    { "ioas/map/refused", maps_refused },
    { "ioas/map/ends-that-wrap", ends_that_wrap },
    { "ioas/map/no-memory-is-EFAULT", no_memory_behind },
    { "ioas/map/before-the-device", map_before_the_device },
    { "ioas/map-file/pages-of-a-memfd", files },
    { "ioas/map-file/outlives-its-descriptor", file_is_closed },
    { "ioas/unmap/whole-maps-only", unmaps },
    { "ioas/unmap/all", unmaps_all },
    { "ioas/IOVA-ranges/of-a-device", ranges },
    { "ioas/IOVA-ranges/of-HWPTs", ranges_of_hwpts },
    { "ioas/IOVA-ranges/refused", ranges_refused },
    { "ioas/sizes", sizes },
    { NULL, NULL },
};
