/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A program that was not written for the emulated host: it opens /dev/iommu and
 * a VFIO device, by the system calls of host-syscalls.c, and finds what the
 * preloaded library makes of them. And a client of the control socket.
 */
#ifndef PRELOAD_MACHINE_H
#define PRELOAD_MACHINE_H

#include "../unit/test-emul.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SMMUV3_PATH "/dev/vfio/devices/vfio0"
#define VTD_PATH    "/dev/vfio/devices/vfio1"

static inline HostIommu *preload_machine_open(void)
{
    GError *error = NULL;
    HostIommu *host = host_syscalls_new(NULL, &error);

    g_assert_no_error(error);
    return host;
}

/* A device behind an SMMUv3, on a nested HWPT; no queue. */
static inline void preload_machine_init(Machine *m)
{
    *m = (Machine) { .host = preload_machine_open() };
    m->device_fd = open(SMMUV3_PATH, O_RDWR | O_CLOEXEC);
    g_assert_cmpint(m->device_fd, >=, 0);
    machine_bind(m);
}

static inline void preload_machine_cleanup(Machine *m)
{
    machine_unbind(m);
    host_iommu_free(m->host);
}

/* IOMMUFD_EMUL_SOCKET is "FOLDER/%p", as meson.build says. */
static inline int control_connect(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_autofree char *folder = g_path_get_dirname(
        g_getenv("IOMMUFD_EMUL_SOCKET"));

    g_snprintf(address.sun_path, sizeof(address.sun_path), "%s/%d", folder,
               (int)getpid());
    g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof(address)),
                    ==, 0);
    return fd;
}

/* One command; its answer, without the end of line. */
static inline char *control_ask(int fd, const char *command)
{
    g_autofree char *line = g_strconcat(command, "\n", NULL);
    GString *answer = g_string_new(NULL);
    char byte;

    g_assert_cmpint(send(fd, line, strlen(line), 0), ==, strlen(line));
    while (recv(fd, &byte, 1, 0) == 1 && byte != '\n') {
        g_string_append_c(answer, byte);
    }
    return g_string_free(answer, FALSE);
}

static inline void control_expect(int fd, const char *command,
                                  const char *expected)
{
    g_autofree char *answer = control_ask(fd, command);

    g_assert_cmpstr(answer, ==, expected);
}

/* The hardware reports an F_TRANSLATION for @m's device. */
static inline void control_event(int fd, const Machine *m, uint64_t number)
{
    g_autofree char *command = g_strdup_printf(
        "event %u 0x10 0 %" G_GUINT64_FORMAT " 0", m->dev_id, number);

    control_expect(fd, command, "ok queued");
}

/* Without the library each test would fail at its first open(). */
static inline void preload_test_init(int *argc, char ***argv)
{
    const char *preload = g_getenv("LD_PRELOAD");

    g_test_init(argc, argv, NULL);
    if (!preload || !strstr(preload, "libiommufd-emul")) {
        g_error("to be run by \"meson test\", which sets LD_PRELOAD");
    }
}

#endif
