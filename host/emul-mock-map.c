/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * IOMMU_TEST_OP_MD_CHECK_MAP: whether a mock HWPT maps the memory that is at an
 * address of this process. Nothing is translated here, so memory is compared by
 * name: an address with an address, and what was mapped by file with the file
 * that is mapped at the address.
 */
#include "emul-driver.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

#define PAGE UINT64_C(4096)

/* A mapping of this process; all 0: none yet. */
typedef struct Vma {
    uint64_t first;
    uint64_t end;
    uint64_t offset;            /* in the file */
    dev_t dev;
    uint64_t ino;
} Vma;

static bool vma_parse(const char *line, Vma *vma)
{
    unsigned dev_major, dev_minor;

    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %" SCNx64 " %x:%x %" SCNu64,
               &vma->first, &vma->end, &vma->offset, &dev_major, &dev_minor,
               &vma->ino) != 6) {
        return false;
    }
    vma->dev = makedev(dev_major, dev_minor);
    return true;
}

/* The one at @va; often that of the last time. */
static bool vma_find(Vma *vma, uint64_t va)
{
    char line[512];
    bool found = vma->first <= va && va < vma->end;
    FILE *maps = found ? NULL : fopen("/proc/self/maps", "re");

    while (maps && !found && fgets(line, sizeof(line), maps)) {
        found = vma_parse(line, vma) && vma->first <= va && va < vma->end;
    }
    if (maps) {
        fclose(maps);
    }
    return found;
}

/* @offset in @map is what is at @va. */
static bool same_memory(const EmulMap *map, uint64_t offset, uint64_t va,
                        Vma *vma)
{
    uint64_t start = map->start + offset;

    if (!map->by_file) {
        return start == va;
    }
    return vma_find(vma, va) && vma->dev == map->dev &&
           vma->ino == map->ino && vma->offset + (va - vma->first) == start;
}

static int check_page_locked(EmulHost *host, EmulIoas *ioas, uint64_t iova,
                             uint64_t va, Vma *vma) REQUIRES(&host->lock)
{
    const EmulMap *map = emul_ioas_find_map_locked(host, ioas, iova);
    unsigned char there;

    if (mincore((void *)(uintptr_t)(va & ~(PAGE - 1)), PAGE, &there) < 0 &&
        errno != EAGAIN) {
        return -EFAULT;
    }
    return map && same_memory(map, iova - map->first, va, vma) ? 0 : -EINVAL;
}

int emul_mock_check_map_locked(EmulHost *host,
                               const struct iommu_test_cmd *cmd)
{
    const EmulHwpt *hwpt = (EmulHwpt *)
        emul_object_find_locked(host, cmd->id, EMUL_HWPT);
    uint64_t step, va = cmd->check_map.uptr;
    uint64_t length = cmd->check_map.length;
    Vma vma = { 0 };
    int ret = 0;

    if (!hwpt) {
        return -ENOENT;
    }
    step = hwpt->geometry.align;
    if (!hwpt->mock || (cmd->check_map.iova | length | va) % step ||
        va + length < va) {
        return -EINVAL;
    }
    for (uint64_t i = 0; i < length && ret == 0; i += step) {
        ret = check_page_locked(host, hwpt->ioas, cmd->check_map.iova + i,
                                va + i, &vma);
    }
    return ret;
}
