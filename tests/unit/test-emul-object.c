/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * IDs, structure sizes, and which object must go before which.
 */
#include "test-emul.h"

#include <unistd.h>

/* ---- IDs ---- */

static void test_lowest_free_id_from_one(void)
{
    HostIommu *host = emul_new(NULL);
    uint32_t id[4];

    for (uint32_t i = 0; i < 4; i++) {
        g_assert_cmpint(ioas_alloc(host, &id[i]), ==, 0);
        g_assert_cmpuint(id[i], ==, i + 1);
    }
    g_assert_cmpint(destroy(host, 3), ==, 0);
    g_assert_cmpint(destroy(host, 2), ==, 0);
    g_assert_cmpint(ioas_alloc(host, &id[0]), ==, 0);
    g_assert_cmpuint(id[0], ==, 2);
    g_assert_cmpint(ioas_alloc(host, &id[0]), ==, 0);
    g_assert_cmpuint(id[0], ==, 3);
    g_assert_cmpint(ioas_alloc(host, &id[0]), ==, 0);
    g_assert_cmpuint(id[0], ==, 5);
    g_assert_cmpuint(emul_get_stats(host).objects, ==, 5);
    host_iommu_free(host);
}

static void test_a_failed_alloc_uses_no_id(void)
{
    uint32_t id;
    Machine m;

    machine_init(&m);
    g_assert_cmpint(nested_alloc(m.host, m.dev_id, m.viommu_id, 3, 0, &id),
                    ==, -EIO);
    g_assert_cmpint(ioas_alloc(m.host, &id), ==, 0);
    g_assert_cmpuint(id, ==, m.nested_id + 1);
    g_assert_cmpint(destroy(m.host, id), ==, 0);
    machine_cleanup(&m);
}

static void test_unknown_ids(void)
{
    HostIommu *host = emul_new(NULL);

    g_assert_cmpint(destroy(host, 0), ==, -ENOENT);
    g_assert_cmpint(destroy(host, 1), ==, -ENOENT);
    g_assert_cmpint(destroy(host, UINT32_MAX), ==, -ENOENT);
    host_iommu_free(host);
}

/* ---- Sizes ---- */

typedef struct SizeCase {
    const char *name;
    uint32_t size;
    size_t junk_at;             /* 0: none */
    int result;
} SizeCase;

/* struct iommu_ioas_alloc: 12 bytes, all mandatory. */
static const SizeCase size_cases[] = {
    { "zero-is-EINVAL", 0, 0, -EINVAL },
    { "without-last-field-is-EINVAL", 11, 0, -EINVAL },
    { "exact", 12, 0, 0 },
    { "zero-tail", 64, 0, 0 },
    { "junk-in-tail-is-E2BIG", 64, 63, -E2BIG },
    { "junk-first-in-tail-is-E2BIG", 16, 12, -E2BIG },
    { "junk-behind-tail", 16, 16, 0 },
};

static void test_size(gconstpointer data)
{
    const SizeCase *c = data;
    HostIommu *host = emul_new(NULL);
    union {
        struct iommu_ioas_alloc cmd;
        char bytes[128];
    } arg = { .cmd = { .size = c->size } };

    if (c->junk_at) {
        arg.bytes[c->junk_at] = 1;
    }
    g_assert_cmpint(host_call(host, host->fd, IOMMU_IOAS_ALLOC, &arg), ==,
                    c->result);
    g_assert_cmpuint(emul_get_stats(host).objects, ==, c->result == 0);
    host_iommu_free(host);
}

static void test_sizes_of_veventq_alloc(void)
{
    struct iommu_veventq_alloc cmd = {
        .size = offsetof(struct iommu_veventq_alloc, __reserved),
        .type = IOMMU_VEVENTQ_TYPE_ARM_SMMUV3, .veventq_depth = 1,
    };
    Machine m;

    machine_init(&m);
    cmd.viommu_id = m.viommu_id;
    cmd.__reserved = 77;        /* beyond the size: not looked at */
    g_assert_cmpint(host_call(m.host, m.host->fd, IOMMU_VEVENTQ_ALLOC, &cmd),
                    ==, 0);
    m.queue_id = cmd.out_veventq_id;
    m.fd = (int)cmd.out_veventq_fd;
    g_assert_cmpuint(cmd.__reserved, ==, 77);
    machine_close_queue(&m);
    machine_cleanup(&m);
}

static void test_unknown_requests(void)
{
    struct iommu_destroy cmd = { .size = sizeof(cmd) };
    HostIommu *host = emul_new(NULL);

    g_assert_cmpint(host_call(host, host->fd, _IO(IOMMUFD_TYPE, 0x82), &cmd),
                    ==, -ENOTTY);
    g_assert_cmpint(host_call(host, host->fd, _IO(IOMMUFD_TYPE, 0xff), &cmd),
                    ==, -ENOTTY);
    g_assert_cmpint(host_call(host, host->fd, IOMMU_DESTROY, NULL), ==,
                    -EFAULT);
    g_assert_cmpint(host_call(host, -1, IOMMU_DESTROY, &cmd), ==, -EBADF);
    host_iommu_free(host);
}

static void test_flags_and_reserved(void)
{
    struct iommu_ioas_alloc ioas = { .size = sizeof(ioas), .flags = 1 };
    struct iommu_hwpt_alloc hwpt = { .size = sizeof(hwpt) };
    uint32_t id;
    Machine m;

    machine_init(&m);
    g_assert_cmpint(host_call(m.host, m.host->fd, IOMMU_IOAS_ALLOC, &ioas),
                    ==, -EOPNOTSUPP);
    hwpt.dev_id = m.dev_id;
    hwpt.pt_id = m.ioas_id;
    hwpt.__reserved = 1;
    g_assert_cmpint(host_call(m.host, m.host->fd, IOMMU_HWPT_ALLOC, &hwpt),
                    ==, -EOPNOTSUPP);
    hwpt.__reserved = 0;
    hwpt.data_len = 16;         /* data without a type */
    g_assert_cmpint(host_call(m.host, m.host->fd, IOMMU_HWPT_ALLOC, &hwpt),
                    ==, -EINVAL);
    g_assert_cmpint(hwpt_alloc(m.host, m.dev_id, m.ioas_id,
                               IOMMU_HWPT_ALLOC_DIRTY_TRACKING, &id), ==,
                    -EOPNOTSUPP);
    g_assert_cmpint(hwpt_alloc(m.host, m.dev_id, m.ioas_id, 1u << 31, &id),
                    ==, -EOPNOTSUPP);
    machine_cleanup(&m);
}

/* ---- HWPT_ALLOC's references ---- */

static void test_hwpt_alloc_ids(void)
{
    uint32_t id;
    Machine m;

    machine_init(&m);
    g_assert_cmpint(hwpt_alloc(m.host, 99, m.ioas_id, 0, &id), ==, -ENOENT);
    g_assert_cmpint(hwpt_alloc(m.host, m.ioas_id, m.ioas_id, 0, &id), ==,
                    -ENOENT);
    g_assert_cmpint(hwpt_alloc(m.host, m.dev_id, 99, 0, &id), ==, -EINVAL);
    g_assert_cmpint(hwpt_alloc(m.host, m.dev_id, m.vdevice_id, 0, &id), ==,
                    -EINVAL);
    g_assert_cmpint(hwpt_alloc(m.host, m.dev_id, m.nested_id, 0, &id), ==,
                    -EINVAL);
    g_assert_cmpint(hwpt_alloc(m.host, m.dev_id, m.parent_id, 0, &id), ==,
                    -EOPNOTSUPP);
    g_assert_cmpint(hwpt_alloc(m.host, m.dev_id, m.viommu_id, 0, &id), ==,
                    -EOPNOTSUPP);
    g_assert_cmpint(hwpt_alloc(m.host, m.dev_id, m.ioas_id, 0, &id), ==, 0);
    g_assert_cmpint(destroy(m.host, id), ==, 0);
    machine_cleanup(&m);
}

/* ---- What is EBUSY while what exists ---- */

/* IDs in the order in which machine_init() makes them, the queue last. */
enum { DEVICE, IOAS, PARENT, VIOMMU, VDEVICE, NESTED, QUEUE, NUM_OBJECTS };

static uint32_t object_id(const Machine *m, int object)
{
    const uint32_t ids[NUM_OBJECTS] = {
        [DEVICE] = m->dev_id, [IOAS] = m->ioas_id, [PARENT] = m->parent_id,
        [VIOMMU] = m->viommu_id, [VDEVICE] = m->vdevice_id,
        [NESTED] = m->nested_id, [QUEUE] = m->queue_id,
    };

    return ids[object];
}

/* Asserts which of the objects can be destroyed by trying the others. */
static void assert_busy(Machine *m, unsigned busy)
{
    for (int i = 0; i < NUM_OBJECTS; i++) {
        if (busy & (1u << i)) {
            g_assert_cmpint(destroy(m->host, object_id(m, i)), ==, -EBUSY);
        }
    }
}

static void test_reference_rules(void)
{
    const unsigned base = 1u << DEVICE | 1u << IOAS | 1u << PARENT |
                          1u << VIOMMU;
    Machine m;

    machine_init(&m);
    machine_open_queue(&m, 4);
    assert_busy(&m, base | 1u << NESTED | 1u << QUEUE);
    /* The queue alone holds the vIOMMU, open, and closed but not destroyed. */
    g_assert_cmpint(device_detach(m.host, m.device_fd), ==, 0);
    g_assert_cmpint(destroy(m.host, m.nested_id), ==, 0);
    g_assert_cmpint(destroy(m.host, m.vdevice_id), ==, 0);
    assert_busy(&m, base | 1u << QUEUE);
    g_assert_cmpint(m.host->ops->close(m.host, m.fd), ==, 0);
    assert_busy(&m, base);
    g_assert_cmpint(destroy(m.host, m.queue_id), ==, 0);
    /* Then each is let go by the one above. */
    assert_busy(&m, base & ~(1u << VIOMMU));
    g_assert_cmpint(destroy(m.host, m.viommu_id), ==, 0);
    assert_busy(&m, 1u << DEVICE | 1u << IOAS);
    g_assert_cmpint(destroy(m.host, m.parent_id), ==, 0);
    assert_busy(&m, 1u << DEVICE);
    g_assert_cmpint(destroy(m.host, m.ioas_id), ==, 0);
    assert_busy(&m, 1u << DEVICE);
    g_assert_cmpint(m.host->ops->close(m.host, m.device_fd), ==, 0);
    g_assert_cmpint(destroy(m.host, m.dev_id), ==, -ENOENT);
    g_assert_cmpuint(emul_get_stats(m.host).objects, ==, 0);
    host_iommu_free(m.host);
}

static void test_vdevice_holds_viommu(void)
{
    Machine m;

    machine_init(&m);
    g_assert_cmpint(device_detach(m.host, m.device_fd), ==, 0);
    g_assert_cmpint(destroy(m.host, m.nested_id), ==, 0);
    g_assert_cmpint(destroy(m.host, m.viommu_id), ==, -EBUSY);
    g_assert_cmpint(destroy(m.host, m.vdevice_id), ==, 0);
    g_assert_cmpint(destroy(m.host, m.viommu_id), ==, 0);
    host_iommu_free(m.host);
    close(m.device_fd);
}

static void test_nested_holds_viommu(void)
{
    Machine m;

    machine_init(&m);
    g_assert_cmpint(device_detach(m.host, m.device_fd), ==, 0);
    g_assert_cmpint(destroy(m.host, m.vdevice_id), ==, 0);
    g_assert_cmpint(destroy(m.host, m.viommu_id), ==, -EBUSY);
    g_assert_cmpint(destroy(m.host, m.nested_id), ==, 0);
    g_assert_cmpint(destroy(m.host, m.viommu_id), ==, 0);
    host_iommu_free(m.host);
    close(m.device_fd);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/emul/id/lowest-free-from-one",
                    test_lowest_free_id_from_one);
    g_test_add_func("/emul/id/a-failed-alloc-uses-none",
                    test_a_failed_alloc_uses_no_id);
    g_test_add_func("/emul/id/unknown-is-ENOENT", test_unknown_ids);
    for (unsigned i = 0; i < G_N_ELEMENTS(size_cases); i++) {
        g_autofree char *path = g_strdup_printf("/emul/size/%s",
                                                size_cases[i].name);

        g_test_add_data_func(path, &size_cases[i], test_size);
    }
    g_test_add_func("/emul/size/veventq-without-reserved",
                    test_sizes_of_veventq_alloc);
    g_test_add_func("/emul/ioctl/unknown-is-ENOTTY", test_unknown_requests);
    g_test_add_func("/emul/ioctl/flags-and-reserved-are-EOPNOTSUPP",
                    test_flags_and_reserved);
    g_test_add_func("/emul/hwpt/ids", test_hwpt_alloc_ids);
    g_test_add_func("/emul/users/in-order", test_reference_rules);
    g_test_add_func("/emul/users/vdevice-holds-viommu",
                    test_vdevice_holds_viommu);
    g_test_add_func("/emul/users/nested-holds-viommu",
                    test_nested_holds_viommu);
    return g_test_run();
}
