/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Allocation only goes forward: what a driver shares with its SMMU it keeps
 * until it is gone itself.
 */
#include "guest-ram.h"

#include "base/error.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <unistd.h>

/* Where RAM begins on QEMU's virt machine. */
#define RAM_BASE UINT64_C(0x40000000)

struct GuestRam {
    GuestMem *mem;
    int fd;                     /* a memfd, which can be mapped by file */
    uint8_t *hva;
    uint64_t size;
    uint64_t used;              /* bytes from the start */
};

/* Pages that nobody touches cost nothing. */
static GuestRam *ram_map(uint64_t size, GError **error)
{
    int fd = memfd_create("guest-ram", MFD_CLOEXEC);
    void *hva = MAP_FAILED;
    GuestRam *ram;

    if (fd >= 0 && ftruncate(fd, (off_t)size) == 0) {
        hva = mmap(NULL, size, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_NORESERVE, fd, 0);
    }
    if (hva == MAP_FAILED) {
        error_set_errno(error, errno, "%" PRIu64 " bytes of guest memory",
                        size);
        if (fd >= 0) {
            close(fd);
        }
        return NULL;
    }
    ram = g_new0(GuestRam, 1);
    ram->fd = fd;
    ram->hva = hva;
    ram->size = size;
    return ram;
}

GuestRam *guest_ram_new(uint64_t size, GError **error)
{
    GuestMemRegion region = { .gpa = RAM_BASE, .size = size, .has_fd = true };
    GuestRam *ram = ram_map(size, error);

    if (!ram) {
        return NULL;
    }
    region.hva = ram->hva;
    region.fd = ram->fd;
    ram->mem = guest_mem_new();
    if (!ram->mem) {
        error_set_errno(error, ENOMEM, "%" PRIu64 " bytes of guest memory",
                        size);
        guest_ram_free(ram);
        return NULL;
    }
    if (!guest_mem_set_regions(ram->mem, &region, 1, error)) {
        guest_ram_free(ram);
        return NULL;
    }
    return ram;
}

void guest_ram_free(GuestRam *ram)
{
    if (ram) {
        guest_mem_free(ram->mem);
        munmap(ram->hva, ram->size);
        close(ram->fd);
        g_free(ram);
    }
}

GuestMem *guest_ram_get_mem(GuestRam *ram)
{
    return ram->mem;
}

uint64_t guest_ram_alloc(GuestRam *ram, uint64_t size, uint64_t align,
                         GError **error)
{
    uint64_t gpa = (RAM_BASE + ram->used + align - 1) & ~(align - 1);

    if (gpa - RAM_BASE > ram->size || size > ram->size - (gpa - RAM_BASE)) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_RESOURCE,
                    "guest memory of %" PRIu64 " bytes is used up", ram->size);
        return 0;
    }
    ram->used = gpa - RAM_BASE + size;
    return gpa;
}

void *guest_ram_ptr(GuestRam *ram, uint64_t gpa)
{
    g_assert(gpa >= RAM_BASE && gpa - RAM_BASE < ram->size);
    return ram->hva + (gpa - RAM_BASE);
}
