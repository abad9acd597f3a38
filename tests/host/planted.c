/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bugs that the sweeps must find, each in a variant of their programs: the
 * linker (--wrap) puts a broken function in the place of the library's, for
 * those that call it from another file. expect-report runs them.
 */
#include "failing-host.h"

#include "hw/iommu/device-map.h"
#include "hw/iommu/queue-reader.h"
#include "host/vfio-device.h"

/* Declared as what they stand for, so that a change of it does not compile. */
#define DECLARE(name)                   \
    __typeof__(name) __real_##name;     \
    __typeof__(name) __wrap_##name

#ifdef PLANTED_LEFT_QUEUE
DECLARE(host_queue_destroy);

/* Who has no memory for a pump leaves the host's queue where it is. */
bool __wrap_host_queue_destroy(HostQueue *queue, GError **error)
{
    return true;
}
#endif

#ifdef PLANTED_LEAK
DECLARE(device_map_free);

/* Who has no memory for a vIOMMU forgets what there is of it. */
void __wrap_device_map_free(DeviceMap *map)
{
    if (!failing_host_is_armed()) {
        __real_device_map_free(map);
    }
}
#endif

#ifdef PLANTED_IGNORED_ERROR
DECLARE(vfio_device_attach);

/* Attached or not, on it goes. */
bool __wrap_vfio_device_attach(VfioDevice *device, uint32_t pt_id,
                               GError **error)
{
    __real_vfio_device_attach(device, pt_id, NULL);
    return true;
}
#endif

#ifdef PLANTED_SPIN
DECLARE(aio_pause_fd_handler);
DECLARE(aio_set_fd_handler);

/* The fd stays watched, though there is no room for what it has, */
void __wrap_aio_pause_fd_handler(AioContext *ctx, int fd, bool paused)
{
}

/* whatever the reader does about it. */
int __wrap_aio_set_fd_handler(AioContext *ctx, int fd, IOHandler *io_read,
                              IOHandler *io_write, AioPollFn *io_poll,
                              IOHandler *io_poll_ready, void *opaque)
{
    return io_read ? __real_aio_set_fd_handler(ctx, fd, io_read, io_write,
                                               io_poll, io_poll_ready, opaque)
                   : 0;
}
#endif
