/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * HostIommu: an open /dev/iommu, real or emulated. Four calls shaped like the
 * system calls they stand for are all that differs between the two; nothing
 * above host/ asks which one it has.
 *
 * Threads: any, as far as the kernel allows: the owning iothread alone watches,
 *          reads, writes and closes a queue fd.
 * Locks:   the kernel's, or the emulated host's own (leaves). ioctl may block.
 */
#ifndef HOST_HOST_IOMMU_H
#define HOST_HOST_IOMMU_H

#include <glib.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct HostIommu HostIommu;

/**
 * struct HostIommuOps - the lowest layer
 * @ioctl: on @host's own fd or on a device fd; @arg as the kernel takes it
 * @read: on a queue fd; never blocks
 * @write: on a fault queue fd
 * @close: any fd that this host handed out
 * @free: close @host's own fd and free @host
 *
 * The four return what the system call returns: -1 with errno set on failure.
 * Fds are real descriptors: poll and epoll see a queue's readiness on them.
 */
typedef struct HostIommuOps {
    int (*ioctl)(HostIommu *host, int fd, unsigned long request, void *arg);
    ssize_t (*read)(HostIommu *host, int fd, void *buf, size_t count);
    ssize_t (*write)(HostIommu *host, int fd, const void *buf, size_t count);
    int (*close)(HostIommu *host, int fd);
    void (*free)(HostIommu *host);
} HostIommuOps;

struct HardwareOps;

/*
 * Base of the implementations' own structures. @hardware: how its devices are
 * made to fault (host/hardware.h); NULL if they are real.
 */
struct HostIommu {
    const HostIommuOps *ops;    /* [const] */
    const struct HardwareOps *hardware;     /* [const] */
    int fd;                     /* [const] /dev/iommu, or what stands for it,
                                   unless emul_move_fd() moves it */
};

/**
 * host_syscalls_new() - open the kernel's iommufd
 * @path: NULL for /dev/iommu
 *
 * Return: the host, or NULL and @error set, naming @path and what to do.
 */
HostIommu *host_syscalls_new(const char *path, GError **error);

/**
 * host_syscalls_new_from_fd() - the kernel's iommufd, already open
 * @fd: stays the caller's, who closes it after host_iommu_free()
 *
 * Return: the host, or NULL and @error set: @fd is no iommufd.
 */
HostIommu *host_syscalls_new_from_fd(int fd, GError **error);

/**
 * host_iommu_free() - close it
 *
 * Context: After every queue and device of it is closed. NULL is ignored.
 */
void host_iommu_free(HostIommu *host);

#endif
