/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From a PCI address to a device file, in a sysfs and a /dev of our own: each
 * thing that may be missing, and what is said of it.
 */
#include "host/vfio-pci.h"
#include "proc-self.h"

#include "base/error.h"

#include <glib/gstdio.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BDF "0000:3b:00.0"

enum { NOBODY = 65534 };

/* sysfs/bus/pci/devices/BDF below @top, and dev/vfio/devices. */
typedef struct Tree {
    char *top;
    char *sysfs;
    char *dev;
    char *folder;
    VfioPciRoots roots;
    unsigned fds;
} Tree;

static void make_folder(const char *path)
{
    g_assert_cmpint(g_mkdir_with_parents(path, 0755), ==, 0);
}

static void tree_init(Tree *tree)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *devices = NULL;

    tree->fds = proc_self_fds();
    tree->top = g_dir_make_tmp("test-vfio-pci-XXXXXX", &error);
    g_assert_no_error(error);
    tree->sysfs = g_build_filename(tree->top, "sys", NULL);
    tree->dev = g_build_filename(tree->top, "dev", NULL);
    tree->folder = g_build_filename(tree->sysfs, "bus/pci/devices", BDF, NULL);
    tree->roots = (VfioPciRoots){ .sysfs = tree->sysfs, .dev = tree->dev };
    devices = g_build_filename(tree->dev, "vfio/devices", NULL);
    make_folder(tree->folder);
    make_folder(devices);
}

/* With all that is in it. */
static void remove_all(const char *path)
{
    GDir *dir = g_file_test(path, G_FILE_TEST_IS_SYMLINK)
                ? NULL : g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *inner = g_build_filename(path, name, NULL);

        remove_all(inner);
    }
    if (dir) {
        g_dir_close(dir);
    }
    g_assert_cmpint(g_remove(path), ==, 0);
}

static void tree_cleanup(Tree *tree)
{
    remove_all(tree->top);
    g_free(tree->top);
    g_free(tree->sysfs);
    g_free(tree->dev);
    g_free(tree->folder);
    g_assert_cmpuint(proc_self_fds(), ==, tree->fds);
}

static void tree_set_driver(const Tree *tree, const char *driver)
{
    g_autofree char *link = g_build_filename(tree->folder, "driver", NULL);
    g_autofree char *target = g_strconcat("../../drivers/", driver, NULL);

    g_assert_cmpint(symlink(target, link), ==, 0);
}

static void tree_add_vfio_dev(const Tree *tree, const char *name)
{
    g_autofree char *path = g_build_filename(tree->folder, "vfio-dev", name,
                                             NULL);

    make_folder(path);
}

/* @target: what the file is a link to. */
static void tree_add_cdev(const Tree *tree, const char *name,
                          const char *target)
{
    g_autofree char *path = g_build_filename(tree->dev, "vfio/devices", name,
                                             NULL);

    g_assert_cmpint(symlink(target, path), ==, 0);
}

static void assert_opens(const Tree *tree, const VfioPciName *name)
{
    g_autoptr(GError) error = NULL;
    int fd = vfio_pci_open("nic0", name, &tree->roots, &error);

    g_assert_no_error(error);
    g_assert_cmpint(fcntl(fd, F_GETFD), ==, FD_CLOEXEC);
    g_assert_cmpint(fcntl(fd, F_GETFL) & O_ACCMODE, ==, O_RDWR);
    close(fd);
}

/* @message: %T stands for the temporary folder. */
static void assert_refused(const Tree *tree, const VfioPciName *name,
                           ViommuError code, const char *message)
{
    g_auto(GStrv) parts = g_strsplit(message, "%T", -1);
    g_autofree char *whole = g_strjoinv(tree->top, parts);
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(vfio_pci_open("nic0", name, &tree->roots, &error), ==, -1);
    g_assert_error(error, VIOMMU_ERROR, (int)code);
    g_assert_cmpstr(error->message, ==, whole);
}

static const VfioPciName by_host = { .host = "0000:3b:00.0", .fd = -1 };
static const VfioPciName by_short_host = { .host = "3B:0.0", .fd = -1 };

static void test_opens(void)
{
    VfioPciName by_folder = { .fd = -1 };
    Tree tree;

    tree_init(&tree);
    by_folder.sysfsdev = tree.folder;
    tree_add_vfio_dev(&tree, "vfio7");
    tree_add_cdev(&tree, "vfio7", "/dev/null");
    /* The driver is not asked for: a variant of vfio-pci may have any name. */
    assert_opens(&tree, &by_host);
    assert_opens(&tree, &by_short_host);
    assert_opens(&tree, &by_folder);
    tree_cleanup(&tree);
}

static void test_no_such_device(void)
{
    const VfioPciName other = { .host = "0001:3b:00.1", .fd = -1 };
    const VfioPciName nowhere = { .sysfsdev = "/dev/null/device", .fd = -1 };
    Tree tree;

    tree_init(&tree);
    assert_refused(&tree, &other, VIOMMU_ERROR_NOT_FOUND,
                   "nic0: there is no PCI device 0001:3b:00.1\n"
                   "lspci -D lists those that there are");
    assert_refused(&tree, &nowhere, VIOMMU_ERROR_NOT_FOUND,
                   "nic0: there is no device at /dev/null/device\n"
                   "sysfsdev takes the folder of one, as "
                   "/sys/bus/pci/devices/0000:3b:00.0");
    tree_cleanup(&tree);
}

static void test_no_driver(void)
{
    Tree tree;

    tree_init(&tree);
    assert_refused(&tree, &by_short_host, VIOMMU_ERROR_HOST,
                   "nic0: device " BDF " is bound to no driver\n"
                   "as root: modprobe vfio-pci; echo vfio-pci > "
                   "%T/sys/bus/pci/devices/" BDF "/driver_override; "
                   "echo " BDF " > %T/sys/bus/pci/drivers_probe");
    tree_cleanup(&tree);
}

static void test_another_driver(void)
{
    Tree tree;

    tree_init(&tree);
    tree_set_driver(&tree, "nvme");
    assert_refused(&tree, &by_host, VIOMMU_ERROR_HOST,
                   "nic0: device " BDF " is bound to driver 'nvme', not to "
                   "vfio-pci\n"
                   "as root: modprobe vfio-pci; echo vfio-pci > "
                   "%T/sys/bus/pci/devices/" BDF "/driver_override; "
                   "echo " BDF " > %T/sys/bus/pci/devices/" BDF
                   "/driver/unbind; "
                   "echo " BDF " > %T/sys/bus/pci/drivers_probe");
    tree_cleanup(&tree);
}

static void test_no_cdev_in_the_kernel(void)
{
    Tree tree;

    tree_init(&tree);
    tree_set_driver(&tree, "vfio-pci");
    assert_refused(&tree, &by_host, VIOMMU_ERROR_HOST,
                   "nic0: device " BDF " has driver 'vfio-pci', but no "
                   "vfio-dev folder\n"
                   "the kernel must be built with CONFIG_VFIO_DEVICE_CDEV "
                   "(Linux 6.6 or later)");
    tree_cleanup(&tree);
}

static void test_no_device_file(void)
{
    Tree tree;

    tree_init(&tree);
    tree_add_vfio_dev(&tree, "vfio7");
    assert_refused(&tree, &by_host, VIOMMU_ERROR_HOST,
                   "nic0: cannot open %T/dev/vfio/devices/vfio7 of device "
                   BDF ": No such file or directory\n"
                   "the device is there, but not its file: is this a container "
                   "without it, or udev not running?");
    tree_cleanup(&tree);
}

/* Root may open any file, and so is somebody else for a while. */
static void test_no_permission(void)
{
    g_autofree char *path = NULL;
    Tree tree;

    tree_init(&tree);
    tree_add_vfio_dev(&tree, "vfio7");
    path = g_build_filename(tree.top, "file", NULL);
    g_assert_cmpint(mknod(path, S_IFREG, 0), ==, 0);
    tree_add_cdev(&tree, "vfio7", path);
    if (geteuid() == 0) {
        g_assert_cmpint(chown(tree.top, NOBODY, -1), ==, 0);
        g_assert_cmpint(seteuid(NOBODY), ==, 0);
    }
    assert_refused(&tree, &by_host, VIOMMU_ERROR_HOST,
                   "nic0: cannot open %T/dev/vfio/devices/vfio7 of device "
                   BDF ": Permission denied\n"
                   "give this user read and write access to it, as by chown "
                   "or a udev rule");
    g_assert_cmpint(seteuid(getuid()), ==, 0);
    tree_cleanup(&tree);
}

/* Of a socket open() says what it says of a device whose driver has gone. */
static void test_device_going_away(void)
{
    g_autofree char *path = NULL;
    Tree tree;

    tree_init(&tree);
    tree_add_vfio_dev(&tree, "vfio7");
    path = g_build_filename(tree.top, "socket", NULL);
    g_assert_cmpint(mknod(path, S_IFSOCK | 0600, 0), ==, 0);
    tree_add_cdev(&tree, "vfio7", path);
    assert_refused(&tree, &by_host, VIOMMU_ERROR_HOST,
                   "nic0: cannot open %T/dev/vfio/devices/vfio7 of device "
                   BDF ": No such device or address\n"
                   "the device is going away, or its driver is being changed");
    tree_cleanup(&tree);
}

static void test_by_fd(void)
{
    VfioPciName name = { .fd = open("/dev/null", O_RDWR | O_CLOEXEC) };
    g_autofree char *text = NULL;
    Tree tree;
    int pipes[2];

    tree_init(&tree);
    g_assert_cmpint(vfio_pci_open("nic0", &name, NULL, NULL), ==, name.fd);
    close(name.fd);
    text = g_strdup_printf("nic0: fd %d is no VFIO device\n"
                           "fd takes the number of an open "
                           "/dev/vfio/devices/vfioN", name.fd);
    assert_refused(&tree, &name, VIOMMU_ERROR_INVALID, text);
    g_assert_cmpint(pipe2(pipes, O_CLOEXEC), ==, 0);
    g_assert_cmpint(pipes[0], ==, name.fd);
    assert_refused(&tree, &name, VIOMMU_ERROR_INVALID, text);
    close(pipes[0]);
    close(pipes[1]);
    tree.fds--;                 /* ours was open when they were counted */
    tree_cleanup(&tree);
}

static void test_addresses(void)
{
    static const struct {
        const char *text;
        const char *address;    /* NULL: none */
    } cases[] = {
        { "0000:3b:00.0", "0000:3b:00.0" },
        { "3b:00.0", "0000:3b:00.0" },
        { "3B:1F.7", "0000:3b:1f.7" },
        { "0:0:0.0", "0000:00:00.0" },
        { "ffff:ff:1f.7", "ffff:ff:1f.7" },
        { "10000:e1:00.0", "10000:e1:00.0" },
        { "", NULL }, { "3b", NULL }, { "3b:00", NULL }, { "3b:00.", NULL },
        { "3b:20.0", NULL }, { "3b:00.8", NULL }, { "3b:00.0.0", NULL },
        { "0000:3b:00.0 ", NULL }, { "-1:00.0", NULL }, { "0x3b:00.0", NULL },
        { "3b:00.0g", NULL }, { "100:00.0", NULL }, { "0000:3b:00.00", NULL },
        { "../../..", NULL },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *address = vfio_pci_address(cases[i].text);

        g_test_message("%s", cases[i].text);
        g_assert_cmpstr(address, ==, cases[i].address);
    }
}

static void test_malformed_address(void)
{
    const VfioPciName name = { .host = "eth0", .fd = -1 };
    Tree tree;

    tree_init(&tree);
    assert_refused(&tree, &name, VIOMMU_ERROR_INVALID,
                   "nic0: 'eth0' is no PCI address\n"
                   "host takes [DOMAIN:]BUS:DEVICE.FUNCTION, as 0000:3b:00.0");
    tree_cleanup(&tree);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vfio-pci/opens", test_opens);
    g_test_add_func("/vfio-pci/by-fd", test_by_fd);
    g_test_add_func("/vfio-pci/addresses", test_addresses);
    g_test_add_func("/vfio-pci/refused/malformed-address",
                    test_malformed_address);
    g_test_add_func("/vfio-pci/refused/no-such-device", test_no_such_device);
    g_test_add_func("/vfio-pci/refused/no-driver", test_no_driver);
    g_test_add_func("/vfio-pci/refused/another-driver", test_another_driver);
    g_test_add_func("/vfio-pci/refused/no-cdev-in-the-kernel",
                    test_no_cdev_in_the_kernel);
    g_test_add_func("/vfio-pci/refused/no-device-file", test_no_device_file);
    g_test_add_func("/vfio-pci/refused/no-permission", test_no_permission);
    g_test_add_func("/vfio-pci/refused/going-away", test_device_going_away);
    return g_test_run();
}
