/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The program of the example session in docs/preload.md: as small as a monitor
 * can be. It knows the kernel's interface and the C library, nothing else: on a
 * host with the hardware it runs unchanged.
 *
 * usage: preload-example VFIO_DEVICE
 */
#include "host/iommufd-abi.h"
#include "host/vfio-abi.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int iommufd;

static void call(int fd, unsigned long request, void *arg, const char *what)
{
    if (ioctl(fd, request, arg) < 0) {
        fprintf(stderr, "%s: %s\n", what, strerror(errno));
        exit(1);
    }
}

static int open_or_die(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);

    if (fd < 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        exit(1);
    }
    return fd;
}

/* A nest parent and on it a vIOMMU; its ID. */
static uint32_t make_viommu(uint32_t dev_id)
{
    struct iommu_ioas_alloc ioas = { .size = sizeof(ioas) };
    struct iommu_hwpt_alloc parent = {
        .size = sizeof(parent), .flags = IOMMU_HWPT_ALLOC_NEST_PARENT,
        .dev_id = dev_id,
    };
    struct iommu_viommu_alloc viommu = {
        .size = sizeof(viommu), .type = IOMMU_VIOMMU_TYPE_ARM_SMMUV3,
        .dev_id = dev_id,
    };

    call(iommufd, IOMMU_IOAS_ALLOC, &ioas, "IOMMU_IOAS_ALLOC");
    parent.pt_id = ioas.out_ioas_id;
    call(iommufd, IOMMU_HWPT_ALLOC, &parent, "IOMMU_HWPT_ALLOC");
    viommu.hwpt_id = parent.out_hwpt_id;
    call(iommufd, IOMMU_VIOMMU_ALLOC, &viommu, "IOMMU_VIOMMU_ALLOC");
    return viommu.out_viommu_id;
}

/* The device is StreamID 0x42 of the guest, and translated by its stage 1. */
static void attach(int device, uint32_t dev_id, uint32_t viommu_id)
{
    struct iommu_vdevice_alloc vdevice = {
        .size = sizeof(vdevice), .viommu_id = viommu_id, .dev_id = dev_id,
        .virt_id = 0x42,
    };
    struct iommu_hwpt_arm_smmuv3 ste = { .ste = { 0x0b } };
    struct iommu_hwpt_alloc nested = {
        .size = sizeof(nested), .dev_id = dev_id, .pt_id = viommu_id,
        .data_type = IOMMU_HWPT_DATA_ARM_SMMUV3, .data_len = sizeof(ste),
        .data_uptr = (uintptr_t)&ste,
    };
    struct vfio_device_attach_iommufd_pt pt = { .argsz = sizeof(pt) };

    call(iommufd, IOMMU_VDEVICE_ALLOC, &vdevice, "IOMMU_VDEVICE_ALLOC");
    call(iommufd, IOMMU_HWPT_ALLOC, &nested, "IOMMU_HWPT_ALLOC");
    pt.pt_id = nested.out_hwpt_id;
    call(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &pt,
         "VFIO_DEVICE_ATTACH_IOMMUFD_PT");
}

/* Waits for an event and prints it. */
static void print_event(int fd)
{
    struct pollfd pfd = { .fd = fd, .events = POLLIN };
    struct {
        struct iommufd_vevent_header header;
        struct iommu_vevent_arm_smmuv3 event;
    } record;

    if (poll(&pfd, 1, -1) != 1 ||
        read(fd, &record, sizeof(record)) != sizeof(record)) {
        fprintf(stderr, "no event: %s\n", strerror(errno));
        exit(1);
    }
    printf("event %" PRIu32 ": %016" PRIx64 " %016" PRIx64 " %016" PRIx64
           " %016" PRIx64 "\n", record.header.sequence,
           (uint64_t)record.event.evt[0], (uint64_t)record.event.evt[1],
           (uint64_t)record.event.evt[2], (uint64_t)record.event.evt[3]);
}

int main(int argc, char **argv)
{
    struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind) };
    struct iommu_veventq_alloc queue = {
        .size = sizeof(queue), .type = IOMMU_VEVENTQ_TYPE_ARM_SMMUV3,
        .veventq_depth = 64,
    };
    int device;

    if (argc != 2) {
        fprintf(stderr, "usage: preload-example VFIO_DEVICE\n");
        return 2;
    }
    iommufd = open_or_die("/dev/iommu");
    device = open_or_die(argv[1]);
    bind.iommufd = iommufd;
    call(device, VFIO_DEVICE_BIND_IOMMUFD, &bind, "VFIO_DEVICE_BIND_IOMMUFD");
    queue.viommu_id = make_viommu(bind.out_devid);
    attach(device, bind.out_devid, queue.viommu_id);
    call(iommufd, IOMMU_VEVENTQ_ALLOC, &queue, "IOMMU_VEVENTQ_ALLOC");
    printf("device %" PRIu32 " waits for an event\n", bind.out_devid);
    fflush(stdout);
    print_event((int)queue.out_veventq_fd);
    return 0;
}
