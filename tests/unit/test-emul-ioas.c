/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an IOAS maps, with and without a domain on it. Where a result looks odd
 * it is the kernel's, measured on Linux 7.3 with its mock driver.
 */
#include "test-emul.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define BASE UINT64_C(0x2000000)
#define FIXED IOMMU_IOAS_MAP_FIXED_IOVA
#define RW    (IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE)
#define PAGE  UINT64_C(0x1000)
#define ALL   UINT64_MAX

enum { MEMORY_SIZE = 1 << 20 };

/* An IOAS, and memory to map in it: a file, and where that is. */
typedef struct Space {
    Machine m;
    uint32_t ioas_id;
    int fd;
    uint64_t va;
} Space;

/* With @domain, that of a machine: 4096 and 48 bits. */
static void space_init(Space *s, bool domain)
{
    machine_init(&s->m);
    if (domain) {
        s->ioas_id = s->m.ioas_id;
    } else {
        g_assert_cmpint(ioas_alloc(s->m.host, &s->ioas_id), ==, 0);
    }
    s->fd = memfd_create("test-emul-ioas", MFD_CLOEXEC);
    g_assert_cmpint(ftruncate(s->fd, MEMORY_SIZE), ==, 0);
    s->va = (uintptr_t)mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE,
                            MAP_SHARED, s->fd, 0);
    g_assert_cmpuint(s->va, !=, (uintptr_t)MAP_FAILED);
}

static void space_cleanup(Space *s)
{
    munmap((void *)(uintptr_t)s->va, MEMORY_SIZE);
    close(s->fd);
    if (s->ioas_id != s->m.ioas_id) {
        g_assert_cmpint(destroy(s->m.host, s->ioas_id), ==, 0);
    }
    machine_cleanup(&s->m);
}

static int map(Space *s, uint32_t flags, uint64_t va, uint64_t length,
               uint64_t *iova)
{
    struct iommu_ioas_map cmd = {
        .size = sizeof(cmd), .flags = flags, .ioas_id = s->ioas_id,
        .user_va = va, .length = length, .iova = *iova,
    };
    int ret = host_call(s->m.host, s->m.host->fd, IOMMU_IOAS_MAP, &cmd);

    *iova = cmd.iova;
    return ret;
}

static int map_file(Space *s, uint32_t flags, int fd, uint64_t start,
                    uint64_t length, uint64_t *iova)
{
    struct iommu_ioas_map_file cmd = {
        .size = sizeof(cmd), .flags = flags, .ioas_id = s->ioas_id, .fd = fd,
        .start = start, .length = length, .iova = *iova,
    };
    int ret = host_call(s->m.host, s->m.host->fd, IOMMU_IOAS_MAP_FILE, &cmd);

    *iova = cmd.iova;
    return ret;
}

static int map_at(Space *s, uint64_t iova, uint64_t length)
{
    return map(s, FIXED | RW, s->va, length, &iova);
}

static int unmap(Space *s, uint64_t iova, uint64_t length, uint64_t *unmapped)
{
    struct iommu_ioas_unmap cmd = {
        .size = sizeof(cmd), .ioas_id = s->ioas_id, .iova = iova,
        .length = length,
    };
    int ret = host_call(s->m.host, s->m.host->fd, IOMMU_IOAS_UNMAP, &cmd);

    *unmapped = cmd.length;
    return ret;
}

static uint64_t unmap_all(Space *s)
{
    uint64_t unmapped;

    g_assert_cmpint(unmap(s, 0, ALL, &unmapped), ==, 0);
    return unmapped;
}

/* ---- One map by address, in both kinds of IOAS ---- */

/* @va counts from the memory's start; with @absolute from 0. */
typedef struct MapCase {
    const char *name;
    uint32_t flags;
    bool absolute;
    uint64_t va;
    uint64_t length;
    uint64_t iova;
    int bare;                   /* result without a domain */
    int domain;                 /* result with one */
} MapCase;

static const MapCase map_cases[] = {
    { "good", FIXED | RW, 0, 0, PAGE, BASE, 0, 0 },
    { "no-access", FIXED, 0, 0, PAGE, BASE, -EINVAL, -EINVAL },
    { "unknown-flag", FIXED | RW | 8, 0, 0, PAGE, BASE, -EOPNOTSUPP,
      -EOPNOTSUPP },
    { "length-0", FIXED | RW, 0, 0, 0, BASE, -EINVAL, -EINVAL },
    { "length-0-chosen", RW, 0, 0, 0, 0, -EINVAL, -EINVAL },
    { "length-max", FIXED | RW, 0, 0, ALL, BASE, -EOVERFLOW, -EOVERFLOW },
    { "iova-max", FIXED | RW, 0, 0, PAGE, ALL, -EOVERFLOW, -EOVERFLOW },
    { "iova-max-chosen", RW, 0, 0, PAGE, ALL, -EOVERFLOW, -EOVERFLOW },
    { "iova-wraps", FIXED | RW, 0, 0, 2 * PAGE, -PAGE, -EOVERFLOW,
      -EOVERFLOW },
    { "iova-0", FIXED | RW, 0, 0, PAGE, 0, 0, 0 },
    { "iova-last-page", FIXED | RW, 0, 0, PAGE, -PAGE, 0, -EINVAL },
    { "iova-last-of-48-bits", FIXED | RW, 0, 0, PAGE,
      (UINT64_C(1) << 48) - PAGE, 0, 0 },
    { "iova-beyond-48-bits", FIXED | RW, 0, 0, 2 * PAGE,
      (UINT64_C(1) << 48) - PAGE, 0, -EINVAL },
    { "va-wraps", FIXED | RW, true, -PAGE, 2 * PAGE, BASE, -EOVERFLOW,
      -EOVERFLOW },
    { "va-odd", FIXED | RW, 0, 1, PAGE, BASE, 0, -EINVAL },
    { "va-half-a-page", FIXED | RW, 0, PAGE / 2, PAGE, BASE, 0, -EINVAL },
    { "length-odd", FIXED | RW, 0, 0, PAGE - 1, BASE, 0, -EINVAL },
    { "iova-odd", FIXED | RW, 0, 0, PAGE, BASE + 1, 0, -EINVAL },
    { "va-not-mapped", FIXED | RW, true, PAGE, PAGE, BASE, 0, -EFAULT },
    { "chosen-beyond-48-bits", RW, 0, 0, UINT64_C(1) << 48, 0, 0, -ENOSPC },
    { "chosen-half-of-all", RW, true, 0, ALL / 2, 0, -EOVERFLOW, -EINVAL },
};

static void test_map(gconstpointer data)
{
    const MapCase *c = data;
    Space s;

    for (int domain = 0; domain < 2; domain++) {
        uint64_t iova = c->iova;

        space_init(&s, domain);
        g_assert_cmpint(map(&s, c->flags, c->va + (c->absolute ? 0 : s.va),
                            c->length, &iova), ==,
                        domain ? c->domain : c->bare);
        unmap_all(&s);
        space_cleanup(&s);
    }
}

static void test_map_reserved_and_unknown(void)
{
    struct iommu_ioas_map cmd = {
        .size = sizeof(cmd), .flags = FIXED | RW, .__reserved = 1,
        .length = PAGE,
    };
    Space s;

    space_init(&s, false);
    cmd.ioas_id = s.ioas_id;
    cmd.user_va = s.va;
    g_assert_cmpint(host_call(s.m.host, s.m.host->fd, IOMMU_IOAS_MAP, &cmd),
                    ==, -EOPNOTSUPP);
    cmd.__reserved = 0;
    cmd.ioas_id = s.m.parent_id;        /* a HWPT, not an IOAS */
    g_assert_cmpint(host_call(s.m.host, s.m.host->fd, IOMMU_IOAS_MAP, &cmd),
                    ==, -ENOENT);
    cmd.size = offsetof(struct iommu_ioas_map, iova);
    g_assert_cmpint(host_call(s.m.host, s.m.host->fd, IOMMU_IOAS_MAP, &cmd),
                    ==, -EINVAL);
    space_cleanup(&s);
}

/* ---- By file ---- */

typedef struct FileCase {
    const char *name;
    uint32_t flags;
    uint64_t start;
    uint64_t length;
    int bare;
    int domain;
} FileCase;

static const FileCase file_cases[] = {
    { "good", FIXED | RW, 0, PAGE, 0, 0 },
    { "no-access", FIXED, 0, PAGE, -EINVAL, -EINVAL },
    { "unknown-flag", FIXED | RW | 8, 0, PAGE, -EOPNOTSUPP, -EOPNOTSUPP },
    { "length-0", FIXED | RW, 0, 0, -EINVAL, -EINVAL },
    { "start-odd", FIXED | RW, 1, PAGE, 0, -EINVAL },
    { "start-wraps", FIXED | RW, -PAGE, 2 * PAGE, -EOVERFLOW, -EOVERFLOW },
    { "to-the-end", FIXED | RW, MEMORY_SIZE - PAGE, PAGE, 0, 0 },
    { "beyond-the-end", FIXED | RW, MEMORY_SIZE - PAGE, 2 * PAGE, 0, -EINVAL },
};

static void test_map_file(gconstpointer data)
{
    const FileCase *c = data;
    Space s;

    for (int domain = 0; domain < 2; domain++) {
        uint64_t iova = BASE;

        space_init(&s, domain);
        g_assert_cmpint(map_file(&s, c->flags, s.fd, c->start, c->length,
                                 &iova), ==, domain ? c->domain : c->bare);
        unmap_all(&s);
        space_cleanup(&s);
    }
}

static void test_what_is_no_memfd(void)
{
    uint64_t iova = BASE;
    int pipes[2];
    uint32_t bare;
    Space s;

    space_init(&s, false);
    bare = s.ioas_id;
    g_assert_cmpint(pipe(pipes), ==, 0);
    g_assert_cmpint(map_file(&s, FIXED | RW, pipes[0], 0, PAGE, &iova), ==, 0);
    g_assert_cmpint(map_file(&s, FIXED | RW, -1, 0, PAGE, &iova), ==, -EBADF);
    /* The number is looked up before anything is compared. */
    g_assert_cmpint(map_file(&s, FIXED | RW, 1 << 20, 0, PAGE, &iova), ==,
                    -EBADF);
    s.ioas_id = s.m.ioas_id;
    g_assert_cmpint(map_file(&s, FIXED | RW, pipes[0], 0, PAGE, &iova), ==,
                    -EINVAL);
    s.ioas_id = bare;
    close(pipes[0]);
    close(pipes[1]);
    space_cleanup(&s);
}

static void test_file_may_be_closed(void)
{
    uint64_t iova = BASE, unmapped;
    Space s;

    space_init(&s, true);
    g_assert_cmpint(map_at(&s, 0, PAGE), ==, 0);
    g_assert_cmpint(map_file(&s, FIXED | RW, s.fd, 0, PAGE, &iova), ==, 0);
    g_assert_cmpuint(emul_get_mapped(s.m.host).bytes, ==, 2 * PAGE);
    g_assert_cmpuint(emul_get_mapped(s.m.host).file_bytes, ==, PAGE);
    close(s.fd);
    s.fd = -1;
    g_assert_cmpint(unmap(&s, BASE, PAGE, &unmapped), ==, 0);
    g_assert_cmpuint(unmapped, ==, PAGE);
    g_assert_cmpuint(emul_get_mapped(s.m.host).bytes, ==, PAGE);
    g_assert_cmpuint(emul_get_mapped(s.m.host).file_bytes, ==, 0);
    space_cleanup(&s);
}

/* ---- Where the host chooses ---- */

static uint64_t chosen(Space *s, uint64_t offset, uint64_t length)
{
    uint64_t iova = 0;

    g_assert_cmpint(map(s, RW, s->va + offset, length, &iova), ==, 0);
    return iova;
}

static void test_chosen_iovas(void)
{
    uint64_t iova = 0;
    Space s;

    space_init(&s, false);
    g_assert_cmphex(chosen(&s, 0, 0x10000), ==, 0x1000);
    g_assert_cmphex(chosen(&s, 0x1000, 0x1000), ==, 0x11000);
    g_assert_cmphex(chosen(&s, 0, 0x10000), ==, 0x12000);
    g_assert_cmphex(chosen(&s, 0x1000, 0x2000), ==, 0x22000);
    /* Without a domain even odd addresses map, and keep what is odd. */
    g_assert_cmphex(chosen(&s, 1, 0x2000), ==, 0x24001);
    /* The lowest hole, not the last. */
    g_assert_cmpint(unmap(&s, 0x11000, 0x1000, &iova), ==, 0);
    g_assert_cmphex(chosen(&s, 0, 0x1000), ==, 0x11000);
    unmap_all(&s);
    space_cleanup(&s);
}

static void test_chosen_iova_is_aligned_for_the_domain(void)
{
    uint64_t iova = 0;
    Space s;

    space_init(&s, true);
    g_assert_cmpint(map(&s, RW, s.va + 1, 2 * PAGE, &iova), ==, -EINVAL);
    g_assert_cmphex(chosen(&s, 0, 2 * PAGE), ==, 0x1000);
    unmap_all(&s);
    space_cleanup(&s);
}

/* ---- Overlap and unmap ---- */

static void test_overlap(void)
{
    Space s;

    for (int domain = 0; domain < 2; domain++) {
        space_init(&s, domain);
        g_assert_cmpint(map_at(&s, BASE + 0x10000, 0x4000), ==, 0);
        g_assert_cmpint(map_at(&s, BASE + 0x10000, 0x4000), ==, -EEXIST);
        g_assert_cmpint(map_at(&s, BASE + 0x11000, 0x1000), ==, -EEXIST);
        g_assert_cmpint(map_at(&s, BASE + 0xf000, 0x2000), ==, -EEXIST);
        g_assert_cmpint(map_at(&s, BASE + 0x13000, 0x2000), ==, -EEXIST);
        g_assert_cmpint(map_at(&s, BASE, 0x20000), ==, -EEXIST);
        g_assert_cmpint(map_at(&s, BASE + 0x14000, 0x1000), ==, 0);
        g_assert_cmpint(map_at(&s, BASE + 0xf000, 0x1000), ==, 0);
        g_assert_cmphex(unmap_all(&s), ==, 0x6000);
        space_cleanup(&s);
    }
}

typedef struct UnmapCase {
    const char *name;
    uint64_t iova;
    uint64_t length;
    int result;
    uint64_t left;              /* of 0x4000 at BASE and 0x1000 behind it */
} UnmapCase;

static const UnmapCase unmap_cases[] = {
    { "exact", BASE, 0x4000, 0, 0x1000 },
    { "superset", BASE - 0x1000, 0x10000, 0, 0 },
    { "length-0", BASE, 0, -EINVAL, 0x5000 },
    { "head", BASE, 0x1000, -ENOENT, 0x5000 },
    { "tail", BASE + 0x2000, 0x2000, -ENOENT, 0x5000 },
    { "nothing-there", BASE + 0x5000, 0x1000, -ENOENT, 0x5000 },
    /* The whole ones before the one that is cut are gone. */
    { "cuts-the-second", BASE, 0x4800, -ENOENT, 0x1000 },
    { "iova-max", ALL, 1, -EOVERFLOW, 0x5000 },
    { "length-max-not-from-0", BASE, ALL, -EOVERFLOW, 0x5000 },
    { "wraps", ALL - 1, 4, -EOVERFLOW, 0x5000 },
    { "all", 0, ALL, 0, 0 },
    { "all-but-the-last-byte", 0, ALL - 1, 0, 0 },
};

static void test_unmap(gconstpointer data)
{
    const UnmapCase *c = data;
    uint64_t unmapped;
    Space s;

    for (int domain = 0; domain < 2; domain++) {
        space_init(&s, domain);
        g_assert_cmpint(map_at(&s, BASE + 0x4000, 0x1000), ==, 0);
        g_assert_cmpint(map_at(&s, BASE, 0x4000), ==, 0);
        g_assert_cmpint(unmap(&s, c->iova, c->length, &unmapped), ==,
                        c->result);
        if (c->result == 0) {
            g_assert_cmphex(unmapped, ==, 0x5000 - c->left);
        }
        g_assert_cmphex(unmap_all(&s), ==, c->left);
        space_cleanup(&s);
    }
}

static void test_unmap_of_nothing(void)
{
    uint64_t unmapped;
    Space s;

    space_init(&s, true);
    g_assert_cmphex(unmap_all(&s), ==, 0);
    g_assert_cmpint(unmap(&s, 0, ALL - 1, &unmapped), ==, -ENOENT);
    s.ioas_id = s.m.viommu_id;
    g_assert_cmpint(unmap(&s, 0, ALL, &unmapped), ==, -ENOENT);
    s.ioas_id = s.m.ioas_id;
    space_cleanup(&s);
}

/* ---- Ranges ---- */

static int get_ranges(Space *s, uint32_t room, struct iommu_iova_range *ranges,
                      uint32_t *num, uint64_t *align)
{
    struct iommu_ioas_iova_ranges cmd = {
        .size = sizeof(cmd), .ioas_id = s->ioas_id, .num_iovas = room,
        .allowed_iovas = (uintptr_t)ranges,
    };
    int ret = host_call(s->m.host, s->m.host->fd, IOMMU_IOAS_IOVA_RANGES,
                        &cmd);

    *num = cmd.num_iovas;
    *align = cmd.out_iova_alignment;
    return ret;
}

static void test_ranges(void)
{
    struct iommu_iova_range range[2];
    uint64_t align;
    uint32_t num;
    Space s;

    for (int domain = 0; domain < 2; domain++) {
        space_init(&s, domain);
        g_assert_cmpint(get_ranges(&s, 0, NULL, &num, &align), ==, -EMSGSIZE);
        g_assert_cmpuint(num, ==, 1);
        g_assert_cmpuint(align, ==, domain ? 4096 : 1);
        g_assert_cmpint(get_ranges(&s, 1, NULL, &num, &align), ==, -EFAULT);
        g_assert_cmpuint(num, ==, 1);
        range[1].start = 42;
        g_assert_cmpint(get_ranges(&s, 2, range, &num, &align), ==, 0);
        g_assert_cmpuint(num, ==, 1);
        g_assert_cmphex(range[0].start, ==, 0);
        g_assert_cmphex(range[0].last, ==,
                        domain ? (UINT64_C(1) << 48) - 1 : UINT64_MAX);
        g_assert_cmphex(range[1].start, ==, 42);
        space_cleanup(&s);
    }
}

static void test_ranges_go_with_the_domain(void)
{
    struct iommu_iova_range range;
    uint64_t align;
    uint32_t num;
    Space s;

    space_init(&s, true);
    g_assert_cmpint(device_detach(s.m.host, s.m.device_fd), ==, 0);
    g_assert_cmpint(destroy(s.m.host, s.m.nested_id), ==, 0);
    g_assert_cmpint(destroy(s.m.host, s.m.vdevice_id), ==, 0);
    g_assert_cmpint(destroy(s.m.host, s.m.viommu_id), ==, 0);
    g_assert_cmpint(destroy(s.m.host, s.m.parent_id), ==, 0);
    g_assert_cmpint(get_ranges(&s, 1, &range, &num, &align), ==, 0);
    g_assert_cmphex(range.last, ==, UINT64_MAX);
    g_assert_cmpuint(align, ==, 1);
    g_assert_cmpint(destroy(s.m.host, s.m.ioas_id), ==, 0);
    s.m.host->ops->close(s.m.host, s.m.device_fd);
    close(s.fd);
    munmap((void *)(uintptr_t)s.va, MEMORY_SIZE);
    host_iommu_free(s.m.host);
}

/* ---- A domain that comes later ---- */

typedef struct LateCase {
    const char *name;
    uint64_t va;                /* from the memory's start */
    uint64_t length;
    uint64_t iova;
    int result;                 /* of the HWPT */
} LateCase;

static const LateCase late_cases[] = {
    { "good", 0, PAGE, BASE, 0 },
    { "iova-odd", 0, PAGE, BASE + 1, -EADDRINUSE },
    { "length-odd", 0, PAGE - 1, BASE, -EADDRINUSE },
    { "va-odd", 1, PAGE, BASE, -EADDRINUSE },
    { "iova-out-of-reach", 0, PAGE, UINT64_C(1) << 48, -EADDRINUSE },
    { "va-not-mapped", UINT64_C(1) << 60, PAGE, BASE, -EFAULT },
};

static void test_late(gconstpointer data)
{
    const LateCase *c = data;
    uint64_t iova = c->iova;
    uint32_t id, pt_id;
    uint64_t objects;
    Space s;

    space_init(&s, false);
    g_assert_cmpint(map(&s, FIXED | RW, s.va + c->va, c->length, &iova), ==,
                    0);
    objects = emul_get_stats(s.m.host).objects;
    g_assert_cmpint(hwpt_alloc(s.m.host, s.m.dev_id, s.ioas_id, 0, &id), ==,
                    c->result);
    if (c->result == 0) {
        g_assert_cmpint(destroy(s.m.host, s.ioas_id), ==, -EBUSY);
        g_assert_cmpint(destroy(s.m.host, id), ==, 0);
    }
    /* The automatic one of an attach likewise. */
    pt_id = s.ioas_id;
    g_assert_cmpint(device_attach(s.m.host, s.m.device_fd, &pt_id), ==,
                    c->result);
    pt_id = s.m.nested_id;
    g_assert_cmpint(device_attach(s.m.host, s.m.device_fd, &pt_id), ==, 0);
    g_assert_cmpuint(emul_get_stats(s.m.host).objects, ==, objects);
    /* Mappings are no users: they go with the IOAS. */
    g_assert_cmpuint(emul_get_mapped(s.m.host).bytes, ==, c->length);
    g_assert_cmpint(destroy(s.m.host, s.ioas_id), ==, 0);
    g_assert_cmpuint(emul_get_mapped(s.m.host).bytes, ==, 0);
    s.ioas_id = s.m.ioas_id;
    space_cleanup(&s);
}

#define ADD_TABLE(prefix, cases, func)                                    \
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {                  \
        g_autofree char *path = g_strconcat(prefix, (cases)[i].name, NULL); \
                                                                          \
        g_test_add_data_func(path, &(cases)[i], func);                    \
    }

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD_TABLE("/emul/ioas/map/", map_cases, test_map);
    g_test_add_func("/emul/ioas/map/reserved-and-unknown",
                    test_map_reserved_and_unknown);
    ADD_TABLE("/emul/ioas/map-file/", file_cases, test_map_file);
    g_test_add_func("/emul/ioas/map-file/what-is-no-memfd-is-EINVAL",
                    test_what_is_no_memfd);
    g_test_add_func("/emul/ioas/map-file/may-be-closed",
                    test_file_may_be_closed);
    g_test_add_func("/emul/ioas/chosen/lowest-hole", test_chosen_iovas);
    g_test_add_func("/emul/ioas/chosen/aligned-for-the-domain",
                    test_chosen_iova_is_aligned_for_the_domain);
    g_test_add_func("/emul/ioas/overlap-is-EEXIST", test_overlap);
    ADD_TABLE("/emul/ioas/unmap/", unmap_cases, test_unmap);
    g_test_add_func("/emul/ioas/unmap/of-nothing", test_unmap_of_nothing);
    g_test_add_func("/emul/ioas/ranges/by-domain", test_ranges);
    g_test_add_func("/emul/ioas/ranges/go-with-the-domain",
                    test_ranges_go_with_the_domain);
    ADD_TABLE("/emul/ioas/late-domain/", late_cases, test_late);
    return g_test_run();
}
