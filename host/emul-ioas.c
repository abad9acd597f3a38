/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an IOAS maps. As in the kernel, a mapping by itself is only noted: who
 * has a domain (a paging HWPT) on the IOAS fixes how IOVAs are aligned and
 * where they lie, and has all of the memory pinned, so that what no device
 * could use is refused then: when the HWPT is made, or in a map after it.
 *
 * Mappings are sorted by IOVA and never overlap, split or merge. Nobody here
 * goes through them to memory: whether it is there is asked once, when it is
 * mapped, and before the lock is taken.
 */
#include "emul-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define PAGE UINT64_C(4096)

/* What the kernel chooses lies in here: never 0, never the last page. */
#define CHOSEN_FIRST PAGE
#define CHOSEN_LAST  (UINT64_MAX - PAGE)

/* A map request, by address or by file. */
typedef struct MapRequest {
    uint32_t flags;
    uint32_t ioas_id;
    uint64_t start;             /* address, or offset in the file */
    uint64_t length;
    uint64_t iova;              /* in or out */
    bool by_file;
    dev_t dev;                  /* of the file */
    ino_t ino;
    int pin_err;                /* 0, or what a domain will say */
} MapRequest;

/* The IOVAs of an IOAS, by its domains. */
static EmulGeometry ioas_geometry(const EmulIoas *ioas)
{
    EmulGeometry all = { .first = 0, .last = UINT64_MAX, .align = 1 };

    for (GSList *l = ioas->domains; l; l = l->next) {
        const EmulGeometry *geometry = &((const EmulHwpt *)l->data)->geometry;

        all.first = MAX(all.first, geometry->first);
        all.last = MIN(all.last, geometry->last);
        all.align = MAX(all.align, geometry->align);
    }
    return all;
}

/* Index of the first mapping that ends at or above @iova. */
static guint map_index(const EmulIoas *ioas, uint64_t iova)
{
    guint low = 0, high = ioas->maps ? ioas->maps->len : 0;

    while (low < high) {
        guint middle = low + (high - low) / 2;

        if (g_array_index(ioas->maps, EmulMap, middle).last < iova) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The first mapping that has an IOVA from @first to @last, or NULL. */
static const EmulMap *map_find(const EmulIoas *ioas, uint64_t first,
                               uint64_t last)
{
    guint i = map_index(ioas, first);
    const EmulMap *map;

    if (!ioas->maps || i == ioas->maps->len) {
        return NULL;
    }
    map = &g_array_index(ioas->maps, EmulMap, i);
    return map->first <= last ? map : NULL;
}

const EmulMap *emul_ioas_find_map_locked(EmulHost *host, EmulIoas *ioas,
                                         uint64_t iova)
{
    return map_find(ioas, iova, iova);
}

/* Whether memory is mapped there; not whether it can be written. */
static int check_address(uint64_t va, uint64_t length)
{
    unsigned char there[1024];
    uint64_t first = va & ~(PAGE - 1);
    uint64_t pages = (va - first + length + PAGE - 1) / PAGE;

    while (pages > 0) {
        uint64_t count = MIN(pages, G_N_ELEMENTS(there));

        /* EAGAIN: the kernel is short of memory, which says nothing of ours. */
        if (mincore((void *)(uintptr_t)first, count * PAGE, there) < 0 &&
            errno != EAGAIN) {
            return -EFAULT;
        }
        first += count * PAGE;
        pages -= count;
    }
    return 0;
}

/* Only memory of a memfd, shmem or hugetlbfs can be pinned: those with seals */
static int check_file(int fd, MapRequest *req)
{
    struct stat st;

    if (fcntl(fd, F_GET_SEALS) < 0 || fstat(fd, &st) < 0) {
        return -EINVAL;
    }
    req->dev = st.st_dev;
    req->ino = st.st_ino;
    return req->start + req->length > (uint64_t)st.st_size ? -EINVAL : 0;
}

/* Count @map once more, or once less. */
static void count_locked(EmulHost *host, const EmulMap *map, bool more)
    REQUIRES(&host->lock)
{
    uint64_t bytes = map->last - map->first + 1;

    bytes = more ? bytes : -bytes;
    host->mapped.bytes += bytes;
    host->mapped.file_bytes += map->by_file ? bytes : 0;
}

/* In the kernel's order, as far as it comes before the IOAS is looked up. */
static int check_flags(const MapRequest *req, uint32_t reserved)
{
    if ((req->flags & ~(IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_WRITEABLE |
                        IOMMU_IOAS_MAP_READABLE)) || reserved) {
        return -EOPNOTSUPP;
    }
    if (req->iova == UINT64_MAX || req->length == UINT64_MAX) {
        return -EOVERFLOW;
    }
    return req->flags & (IOMMU_IOAS_MAP_WRITEABLE | IOMMU_IOAS_MAP_READABLE)
           ? 0 : -EINVAL;
}

static int check_fixed(const EmulIoas *ioas, const EmulGeometry *geometry,
                       const MapRequest *req)
{
    uint64_t last = req->iova + (req->length - 1);

    if (req->iova % geometry->align) {
        return -EINVAL;
    }
    if (last < req->iova) {
        return -EOVERFLOW;
    }
    if (req->iova < geometry->first || last > geometry->last) {
        return -EINVAL;
    }
    return map_find(ioas, req->iova, last) ? -EEXIST : 0;
}

/* 2^63 is not among what is asked for. */
static uint64_t round_up_power(uint64_t value)
{
    uint64_t power = 1;

    while (power < value) {
        power <<= 1;
    }
    return power;
}

/*
 * Fit @length into @first to @last; as the kernel, which leaves out a place
 * that begins at the last byte.
 */
static bool fit(uint64_t first, uint64_t last, uint64_t length, uint64_t align,
                uint64_t page_offset, uint64_t *iova)
{
    uint64_t start = (first + align - 1) & ~(align - 1);

    if (first > UINT64_MAX - (align - 1)) {
        return false;
    }
    start |= page_offset;
    if (start >= last || last - start < length - 1) {
        return false;
    }
    *iova = start;
    return true;
}

/* The lowest place. It keeps the memory's own alignment, up to a page. */
static int choose_iova(const EmulIoas *ioas, const EmulGeometry *geometry,
                       MapRequest *req)
{
    uint64_t first = MAX(geometry->first, CHOSEN_FIRST);
    uint64_t end = MIN(geometry->last, CHOSEN_LAST);
    uint64_t align = PAGE;

    if (req->length >= UINT64_MAX / 2) {
        return -EOVERFLOW;
    }
    align = MIN(align, round_up_power(req->length));
    if (req->start) {
        align = MIN(align, req->start & -req->start);
    }
    if (align < geometry->align) {
        return -EINVAL;
    }
    while (first <= end) {
        const EmulMap *map = map_find(ioas, first, end);

        if (!map || map->first > first) {
            if (fit(first, map ? map->first - 1 : end, req->length, align,
                    req->start % PAGE, &req->iova)) {
                return 0;
            }
        }
        if (!map) {
            break;
        }
        first = map->last + 1;
    }
    return -ENOSPC;
}

static int map_locked(EmulHost *host, MapRequest *req) REQUIRES(&host->lock)
{
    EmulIoas *ioas = (EmulIoas *)emul_object_find_locked(host, req->ioas_id,
                                                         EMUL_IOAS);
    EmulGeometry geometry;
    EmulMap map;
    int ret;

    if (!ioas) {
        return -ENOENT;
    }
    geometry = ioas_geometry(ioas);
    if (req->length % geometry.align) {
        return -EINVAL;
    }
    ret = req->flags & IOMMU_IOAS_MAP_FIXED_IOVA
          ? check_fixed(ioas, &geometry, req)
          : choose_iova(ioas, &geometry, req);
    if (ret == 0 && req->start % PAGE % geometry.align) {
        ret = -EINVAL;
    }
    if (ret == 0 && ioas->domains) {
        ret = req->pin_err;
    }
    if (ret < 0) {
        return ret;
    }
    if (!ioas->maps) {
        ioas->maps = g_array_new(FALSE, FALSE, sizeof(EmulMap));
    }
    map = (EmulMap) {
        .first = req->iova, .last = req->iova + (req->length - 1),
        .start = req->start, .by_file = req->by_file,
        .dev = req->dev, .ino = req->ino,
        .writeable = req->flags & IOMMU_IOAS_MAP_WRITEABLE,
        .pin_err = req->pin_err,
    };
    g_array_insert_val(ioas->maps, map_index(ioas, map.first), map);
    count_locked(host, &map, true);
    return 0;
}

static int map(EmulHost *host, MapRequest *req)
{
    int ret;

    lock_acquire(&host->lock);
    ret = map_locked(host, req);
    lock_release(&host->lock);
    return ret;
}

static bool ioas_exists(EmulHost *host, uint32_t id)
{
    bool exists;

    lock_acquire(&host->lock);
    exists = emul_object_find_locked(host, id, EMUL_IOAS);
    lock_release(&host->lock);
    return exists;
}

int emul_ioas_map(EmulHost *host, void *arg)
{
    struct iommu_ioas_map *cmd = arg;
    MapRequest req = {
        .flags = cmd->flags, .ioas_id = cmd->ioas_id, .start = cmd->user_va,
        .length = cmd->length, .iova = cmd->iova,
    };
    int ret = check_flags(&req, cmd->__reserved);

    if (ret < 0) {
        return ret;
    }
    if (!ioas_exists(host, req.ioas_id)) {
        return -ENOENT;
    }
    if (req.start + req.length < req.start) {
        return -EOVERFLOW;
    }
    if (req.length == 0 || req.length > UINT64_MAX - PAGE) {
        return -EINVAL;
    }
    req.pin_err = check_address(req.start, req.length);
    ret = map(host, &req);
    cmd->iova = req.iova;
    return ret;
}

int emul_ioas_map_file(EmulHost *host, void *arg)
{
    struct iommu_ioas_map_file *cmd = arg;
    MapRequest req = {
        .flags = cmd->flags, .ioas_id = cmd->ioas_id, .start = cmd->start,
        .length = cmd->length, .iova = cmd->iova, .by_file = true,
    };
    int ret = check_flags(&req, 0);

    if (ret < 0) {
        return ret;
    }
    if (!ioas_exists(host, req.ioas_id)) {
        return -ENOENT;
    }
    if (req.length == 0) {
        return -EINVAL;
    }
    if (req.start + (req.length - 1) < req.start) {
        return -EOVERFLOW;
    }
    if (fcntl(cmd->fd, F_GETFD) < 0) {
        return -EBADF;
    }
    if (req.length > UINT64_MAX - PAGE) {
        return -EINVAL;
    }
    req.pin_err = check_file(cmd->fd, &req);
    ret = map(host, &req);
    cmd->iova = req.iova;
    return ret;
}

/*
 * Whole mappings only. As in the kernel, those before one that would have to be
 * cut are gone when that fails.
 */
static int unmap_range_locked(EmulHost *host, EmulIoas *ioas, uint64_t first,
                              uint64_t last, uint64_t *unmapped)
    REQUIRES(&host->lock)
{
    const EmulMap *map;

    *unmapped = 0;
    while ((map = map_find(ioas, first, last))) {
        if (map->first < first || map->last > last) {
            return -ENOENT;
        }
        *unmapped += map->last - map->first + 1;
        count_locked(host, map, false);
        g_array_remove_index(ioas->maps, map_index(ioas, map->first));
    }
    return 0;
}

static int unmap_locked(EmulHost *host, struct iommu_ioas_unmap *cmd)
    REQUIRES(&host->lock)
{
    EmulIoas *ioas = (EmulIoas *)emul_object_find_locked(host, cmd->ioas_id,
                                                         EMUL_IOAS);
    uint64_t unmapped;
    int ret;

    if (!ioas) {
        return -ENOENT;
    }
    if (cmd->iova == 0 && cmd->length == UINT64_MAX) {
        unmap_range_locked(host, ioas, 0, UINT64_MAX, &unmapped);
        cmd->length = unmapped;
        return 0;               /* all of nothing, too */
    }
    if (cmd->iova == UINT64_MAX || cmd->length == UINT64_MAX) {
        return -EOVERFLOW;
    }
    if (cmd->length == 0) {
        return -EINVAL;
    }
    if (cmd->iova + (cmd->length - 1) < cmd->iova) {
        return -EOVERFLOW;
    }
    ret = unmap_range_locked(host, ioas, cmd->iova,
                             cmd->iova + (cmd->length - 1), &unmapped);
    if (ret == 0 && unmapped == 0) {
        ret = -ENOENT;
    }
    cmd->length = unmapped;
    return ret;
}

int emul_ioas_unmap(EmulHost *host, void *arg)
{
    int ret;

    lock_acquire(&host->lock);
    ret = unmap_locked(host, arg);
    lock_release(&host->lock);
    return ret;
}

/* One range at most: no device here reserves anything inside. */
int emul_ioas_iova_ranges(EmulHost *host, void *arg)
{
    struct iommu_ioas_iova_ranges *cmd = arg;
    uint32_t room = cmd->num_iovas;
    EmulGeometry geometry;
    EmulIoas *ioas;

    if (cmd->__reserved) {
        return -EOPNOTSUPP;
    }
    lock_acquire(&host->lock);
    ioas = (EmulIoas *)emul_object_find_locked(host, cmd->ioas_id, EMUL_IOAS);
    if (ioas) {
        geometry = ioas_geometry(ioas);
    }
    lock_release(&host->lock);
    if (!ioas) {
        return -ENOENT;
    }
    if (room > 0 && geometry.first <= geometry.last) {
        struct iommu_iova_range *ranges =
            (struct iommu_iova_range *)(uintptr_t)cmd->allowed_iovas;

        if (!ranges) {
            return -EFAULT;
        }
        *ranges = (struct iommu_iova_range) { geometry.first, geometry.last };
    }
    cmd->num_iovas = geometry.first <= geometry.last;
    cmd->out_iova_alignment = geometry.align;
    return cmd->num_iovas > room ? -EMSGSIZE : 0;
}

EmulMapped emul_get_mapped(HostIommu *base)
{
    EmulHost *host = emul_host(base);
    EmulMapped mapped;

    lock_acquire(&host->lock);
    mapped = host->mapped;
    lock_release(&host->lock);
    return mapped;
}

/* What is mapped already must suit the new domain, and is pinned for it. */
int emul_ioas_add_domain_locked(EmulHost *host, EmulIoas *ioas, EmulHwpt *hwpt)
{
    const EmulGeometry *geometry = &hwpt->geometry;

    for (guint i = 0; ioas->maps && i < ioas->maps->len; i++) {
        const EmulMap *map = &g_array_index(ioas->maps, EmulMap, i);

        if (map->first % geometry->align ||
            (map->last + 1) % geometry->align ||
            map->start % PAGE % geometry->align ||
            map->first < geometry->first || map->last > geometry->last) {
            return -EADDRINUSE;
        }
    }
    for (guint i = 0; ioas->maps && i < ioas->maps->len; i++) {
        const EmulMap *map = &g_array_index(ioas->maps, EmulMap, i);

        if (map->pin_err < 0) {
            return map->pin_err;
        }
    }
    ioas->domains = g_slist_prepend(ioas->domains, hwpt);
    return 0;
}

void emul_ioas_remove_domain_locked(EmulHost *host, EmulIoas *ioas,
                                    EmulHwpt *hwpt)
{
    ioas->domains = g_slist_remove(ioas->domains, hwpt);
}

void emul_ioas_free_locked(EmulHost *host, EmulIoas *ioas)
{
    uint64_t unmapped;

    unmap_range_locked(host, ioas, 0, UINT64_MAX, &unmapped);
    g_slist_free(ioas->domains);
    if (ioas->maps) {
        g_array_unref(ioas->maps);
    }
    g_free(ioas);
}
