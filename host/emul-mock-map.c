/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * IOMMU_TEST_OP_MD_CHECK_MAP: whether the pages that a mock HWPT maps are those
 * at an address of the program. The kernel compares physical pages; here two
 * pages are the same if they are at the same address, or at the same place in
 * the same file, which /proc/self/maps tells. That is read with no lock held.
 */
#include "emul-driver.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/sysmacros.h>

/* A line of /proc/self/maps. */
typedef struct Vma {
    uint64_t first;
    uint64_t end;               /* open */
    uint64_t offset;
    dev_t dev;
    ino_t ino;                  /* 0: not shared memory of a file */
    bool readable;
} Vma;

/* A page: where it is in a file, or in this process' memory. */
typedef struct Place {
    dev_t dev;
    ino_t ino;                  /* 0: in memory */
    uint64_t at;
} Place;

static bool vma_parse(const char *line, Vma *vma)
{
    unsigned major_nr, minor_nr;
    uint64_t ino;
    char access[5];

    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64,
               &vma->first, &vma->end, access, &vma->offset, &major_nr,
               &minor_nr, &ino) != 7) {
        return false;
    }
    vma->readable = access[0] == 'r';
    vma->dev = makedev(major_nr, minor_nr);
    vma->ino = access[3] == 's' ? ino : 0;
    return true;
}

/* The process' memory, or NULL where there is no /proc. */
static GArray *vmas_read(void)
{
    FILE *file = fopen("/proc/self/maps", "re");
    GArray *vmas;
    char *line = NULL;
    size_t size = 0;
    Vma vma;

    if (!file) {
        return NULL;
    }
    vmas = g_array_new(FALSE, FALSE, sizeof(Vma));
    while (getline(&line, &size, file) >= 0) {
        if (vma_parse(line, &vma)) {
            g_array_append_val(vmas, vma);
        }
    }
    free(line);
    fclose(file);
    return vmas;
}

/* What is at @address. Return: false if nothing is, or it cannot be read. */
static bool find_place(const GArray *vmas, uint64_t address, Place *place)
{
    for (guint i = 0; i < vmas->len; i++) {
        const Vma *vma = &g_array_index(vmas, Vma, i);

        if (address < vma->first || address >= vma->end) {
            continue;
        }
        *place = (Place) { .at = address };
        if (vma->ino != 0) {
            *place = (Place) {
                .dev = vma->dev, .ino = vma->ino,
                .at = address - vma->first + vma->offset,
            };
        }
        return vma->readable;
    }
    return false;
}

static bool same_place(const Place *a, const Place *b)
{
    return a->at == b->at && a->dev == b->dev && a->ino == b->ino;
}

static bool maps_to(const GArray *vmas, const EmulMap *map, uint64_t iova,
                    const Place *place)
{
    Place mapped = {
        .dev = map->dev, .ino = map->ino,
        .at = map->start + (iova - map->first),
    };

    return (map->by_file || find_place(vmas, mapped.at, &mapped)) &&
           same_place(&mapped, place);
}

static bool find_map_locked(EmulHost *host, EmulIoas *ioas, uint64_t iova,
                            EmulMap *map) REQUIRES(&host->lock)
{
    const EmulMap *found = emul_ioas_find_map_locked(host, ioas, iova);

    if (found) {
        *map = *found;
    }
    return found;
}

/* One page of a HWPT; that the HWPT is there is found out each time. */
static int check_page(EmulHost *host, const GArray *vmas, uint32_t hwpt_id,
                      uint64_t iova, uint64_t address)
{
    bool is_mapped = false;
    EmulHwpt *hwpt;
    EmulMap map;
    Place place;

    if (!find_place(vmas, address, &place)) {
        return -EFAULT;
    }
    lock_acquire(&host->lock);
    hwpt = (EmulHwpt *)emul_object_find_locked(host, hwpt_id, EMUL_HWPT);
    if (hwpt) {
        is_mapped = find_map_locked(host, hwpt->ioas, iova, &map);
    }
    lock_release(&host->lock);
    return is_mapped && maps_to(vmas, &map, iova, &place) ? 0 : -EINVAL;
}

/* Return: 0 or -errno. @align: out: how IOVAs are aligned in the HWPT. */
static int check_hwpt(EmulHost *host, uint32_t hwpt_id, uint64_t *align)
{
    EmulHwpt *hwpt;
    int ret = -ENOENT;

    lock_acquire(&host->lock);
    hwpt = (EmulHwpt *)emul_object_find_locked(host, hwpt_id, EMUL_HWPT);
    if (hwpt) {
        *align = hwpt->geometry.align;
        ret = hwpt->mock ? 0 : -EINVAL;
    }
    lock_release(&host->lock);
    return ret;
}

int emul_mock_check_map(EmulHost *host, const struct iommu_test_cmd *cmd)
{
    uint64_t iova = cmd->check_map.iova;
    uint64_t length = cmd->check_map.length;
    uint64_t address = cmd->check_map.uptr;
    g_autoptr(GArray) vmas = NULL;
    uint64_t align;
    int ret = check_hwpt(host, cmd->id, &align);

    if (ret < 0) {
        return ret;
    }
    if ((iova | length | address) % align || address + length < address) {
        return -EINVAL;
    }
    vmas = vmas_read();
    if (!vmas) {
        return -EFAULT;
    }
    for (uint64_t at = 0; at < length && ret == 0; at += align) {
        ret = check_page(host, vmas, cmd->id, iova + at, address + at);
    }
    return ret;
}
