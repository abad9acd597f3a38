/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vpump with a real device of the kernel's VFIO, on a host that cannot nest: an
 * AMD IOMMU. Each way in ends in one message, and leaves the device as it was.
 *
 * The device is QEMU's teaching device, edu, which nobody misses: the machine
 * is q35 with -device amd-iommu -device edu, the kernel has vfio-pci and
 * CONFIG_VFIO_DEVICE_CDEV. Elsewhere all cases are skipped. VPUMP names the
 * program.
 */
#include "host/host-iommu.h"
#include "host/vfio-device.h"
#include "host/vfio-pci.h"
#include "vpump-process.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEVICES "/sys/bus/pci/devices"
#define HOST "-object", "iommufd,id=k0"
#define SMMU "-device", "arm-smmuv3,id=v0"
#define VTD  "-device", "intel-iommu,id=v0,scalable-mode=on,fsts=on,svm=on," \
                        "device-iotlb=on"

enum { NOBODY = 65534 };

static char *address;           /* of the device; NULL: there is none */
static const char *reason;      /* why not */

static bool file_says(const char *device, const char *file, const char *text)
{
    g_autofree char *path = g_build_filename(DEVICES, device, file, NULL);
    g_autofree char *contents = NULL;

    return g_file_get_contents(path, &contents, NULL, NULL) &&
           strcmp(g_strchomp(contents), text) == 0;
}

static void find_device(void)
{
    GDir *dir = g_dir_open(DEVICES, 0, NULL);
    const char *name;

    if (!g_getenv("VPUMP")) {
        reason = "VPUMP does not name the program";
    } else if (access("/dev/iommu", F_OK) < 0) {
        reason = "there is no /dev/iommu";
    } else if (access("/sys/bus/pci/drivers/vfio-pci", F_OK) < 0) {
        reason = "the kernel has no vfio-pci driver";
    } else {
        reason = "there is no edu device behind an AMD IOMMU";
        while (dir && !address && (name = g_dir_read_name(dir))) {
            g_autofree char *group =
                g_build_filename(DEVICES, name, "iommu_group", NULL);

            if (file_says(name, "vendor", "0x1234") &&
                file_says(name, "device", "0x11e8") &&
                access(group, F_OK) == 0 &&
                access("/sys/class/iommu/ivhd0", F_OK) == 0) {
                address = g_strdup(name);
            }
        }
    }
    if (dir) {
        g_dir_close(dir);
    }
}

/* Into a file of sysfs; its content is an order. */
static void order(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(write(fd, text, strlen(text)), ==, (ssize_t)strlen(text));
    close(fd);
}

/* As two messages say it is done. */
static void bind_to_vfio(bool unsafe_interrupts)
{
    g_autofree char *override = g_build_filename(DEVICES, address,
                                                 "driver_override", NULL);

    order(override, "vfio-pci");
    order("/sys/bus/pci/drivers_probe", address);
    order("/sys/module/iommufd/parameters/allow_unsafe_interrupts",
          unsafe_interrupts ? "Y" : "N");
}

static void unbind(void)
{
    g_autofree char *override = g_build_filename(DEVICES, address,
                                                 "driver_override", NULL);

    order("/sys/bus/pci/drivers/vfio-pci/unbind", address);
    order(override, "\n");
}

/* With @device= after the device's id and links. */
static Outcome run_with(const char *const *viommu, const char *device,
                        GSpawnChildSetupFunc setup)
{
    g_autofree char *argument =
        g_strdup_printf("vfio-pci,id=nic0,iommufd=k0,viommu=v0,%s", device);
    const char *words[] = {
        HOST, viommu[0], viommu[1], "-device", argument, "-duration", "1",
        NULL,
    };

    return vpump_run_with(words, setup, NULL);
}

static bool names_amd(const char *text)
{
    return strstr(text, "device 'nic0': the host IOMMU of device 1 is of type "
                        "4 (AMD), but") ||
           strstr(text, "device 'nic0': the host IOMMU of device 1 is of type "
                        "0 (not told by the kernel, as AMD without "
                        "CONFIG_AMD_IOMMU_IOMMUFD), but");
}

/* Status 1, nothing but the one message, which ends so. */
static void assert_refused(Outcome outcome, const char *end)
{
    g_autofree char *line = g_strconcat(end, "\n", NULL);

    g_test_message("%s", outcome.err);
    g_assert_cmpint(outcome.status, ==, 1);
    g_assert_cmpstr(outcome.out, ==, "");
    g_assert_true(g_str_has_prefix(outcome.err, "vpump: -device vfio-pci,"));
    g_assert_true(g_str_has_suffix(outcome.err, line));
    g_assert_true(!strstr(end, "this vIOMMU needs") ||
                  names_amd(outcome.err));
    outcome_clear(&outcome);
}

static const char *const smmu[] = { SMMU };
static const char *const vtd[] = { VTD };

/* As the kernel has CONFIG_AMD_IOMMU_IOMMUFD or not. */
#define NEEDS_SMMU "but this vIOMMU needs Arm SMMUv3 (type 2)"
#define NEEDS_VTD  "but this vIOMMU needs Intel VT-d (type 1)"

static bool skip(void)
{
    if (!address) {
        g_test_skip(reason);
    }
    return !address;
}

static void test_not_bound(void)
{
    g_autofree char *device = NULL;
    g_autofree char *message = NULL;

    if (skip()) {
        return;
    }
    device = g_strdup_printf("host=%s", address);
    message = g_strdup_printf(
        "nic0: device %s is bound to no driver\n"
        "as root: modprobe vfio-pci; echo vfio-pci > " DEVICES
        "/%s/driver_override; echo %s > /sys/bus/pci/drivers_probe", address,
        address, address);
    assert_refused(run_with(smmu, device, NULL), message);
}

/* A kernel without interrupt remapping; one with it gets further. */
static void test_interrupts(void)
{
    g_autofree char *device = NULL;
    Outcome outcome;

    if (skip()) {
        return;
    }
    device = g_strdup_printf("host=%s", address);
    bind_to_vfio(false);
    outcome = run_with(smmu, device, NULL);
    if (names_amd(outcome.err)) {
        g_test_skip("interrupts are isolated here");
        outcome_clear(&outcome);
    } else {
        assert_refused(outcome,
                       " (interrupts of the device are not isolated: enable "
                       "interrupt remapping, or load iommufd with "
                       "allow_unsafe_interrupts=1): Operation not permitted");
    }
    unbind();
}

/* Twice, so that something left would show as EBUSY. */
static void test_amd(void)
{
    g_autofree char *host = NULL;
    g_autofree char *sysfsdev = NULL;

    if (skip()) {
        return;
    }
    host = g_strdup_printf("host=%s", address + strlen("0000:"));
    sysfsdev = g_strdup_printf("sysfsdev=" DEVICES "/%s", address);
    bind_to_vfio(true);
    for (unsigned i = 0; i < 2; i++) {
        assert_refused(run_with(smmu, host, NULL), NEEDS_SMMU);
        assert_refused(run_with(vtd, sysfsdev, NULL), NEEDS_VTD);
    }
    unbind();
}

static int open_device(void)
{
    const VfioPciName name = { .host = address, .fd = -1 };
    g_autoptr(GError) error = NULL;
    int fd = vfio_pci_open("other", &name, NULL, &error);

    g_assert_no_error(error);
    return fd;
}

static int inherited;

/* In the child. */
static void inherit(void *opaque)
{
    fcntl(inherited, F_SETFD, 0);
}

static void test_by_fd(void)
{
    g_autofree char *device = NULL;

    if (skip()) {
        return;
    }
    bind_to_vfio(true);
    inherited = open_device();
    device = g_strdup_printf("fd=%d", inherited);
    assert_refused(run_with(smmu, device, inherit), NEEDS_SMMU);
    close(inherited);
    unbind();
}

static void test_busy(void)
{
    g_autofree char *device = NULL;
    g_autoptr(GError) error = NULL;
    HostIommu *host;
    VfioDevice *other;
    Outcome outcome;

    if (skip()) {
        return;
    }
    device = g_strdup_printf("host=%s", address);
    bind_to_vfio(true);
    host = host_syscalls_new(NULL, &error);
    g_assert_no_error(error);
    other = vfio_device_bind(host, open_device(), "other", &error);
    g_assert_no_error(error);
    outcome = run_with(smmu, device, NULL);
    g_test_message("%s", outcome.err);
    g_assert_cmpint(outcome.status, ==, 1);
    g_assert_nonnull(strstr(outcome.err, "nic0: cannot bind fd"));
    g_assert_nonnull(strstr(outcome.err, "another process has it bound"));
    outcome_clear(&outcome);
    vfio_device_free(other);
    host_iommu_free(host);
    assert_refused(run_with(smmu, device, NULL), NEEDS_SMMU);
    unbind();
}

/* In the child. */
static void become_nobody(void *opaque)
{
    if (setuid(NOBODY) < 0) {
        _exit(100);
    }
}

static void test_no_permission(void)
{
    g_autofree char *device = NULL;
    struct stat st;

    if (skip()) {
        return;
    }
    device = g_strdup_printf("host=%s", address);
    bind_to_vfio(true);
    g_assert_cmpint(stat("/dev/iommu", &st), ==, 0);
    g_assert_cmpint(chmod("/dev/iommu", 0666), ==, 0);
    assert_refused(run_with(smmu, device, become_nobody),
                   ": Permission denied\n"
                   "give this user read and write access to it, as by chown "
                   "or a udev rule");
    g_assert_cmpint(chmod("/dev/iommu", st.st_mode & 07777), ==, 0);
    unbind();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    find_device();
    g_test_add_func("/host/vfio-pci/not-bound", test_not_bound);
    g_test_add_func("/host/vfio-pci/interrupts-not-isolated", test_interrupts);
    g_test_add_func("/host/vfio-pci/an-AMD-IOMMU-is-named", test_amd);
    g_test_add_func("/host/vfio-pci/by-fd", test_by_fd);
    g_test_add_func("/host/vfio-pci/busy", test_busy);
    g_test_add_func("/host/vfio-pci/no-permission", test_no_permission);
    return g_test_run();
}
