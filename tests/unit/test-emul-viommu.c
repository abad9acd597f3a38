/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Allocation on a vIOMMU, nested stream table entries, invalidations.
 */
#include "test-emul.h"

#include <limits.h>
#include <unistd.h>

static void test_viommu_alloc(void)
{
    struct iommu_viommu_alloc cmd = { .size = sizeof(cmd) };
    uint32_t plain_hwpt;
    uint32_t id;
    Machine m;

    machine_init(&m);
    cmd.dev_id = m.dev_id;
    cmd.hwpt_id = m.parent_id;
    cmd.type = IOMMU_VIOMMU_TYPE_DEFAULT;
    g_assert_cmpint(host_call(m.host, m.host->fd, IOMMU_VIOMMU_ALLOC, &cmd),
                    ==, -EOPNOTSUPP);
    cmd.type = 2;
    g_assert_cmpint(host_call(m.host, m.host->fd, IOMMU_VIOMMU_ALLOC, &cmd),
                    ==, -EOPNOTSUPP);
    cmd.type = IOMMU_VIOMMU_TYPE_ARM_SMMUV3;
    cmd.flags = 1;
    g_assert_cmpint(host_call(m.host, m.host->fd, IOMMU_VIOMMU_ALLOC, &cmd),
                    ==, -EOPNOTSUPP);
    g_assert_cmpint(viommu_alloc(m.host, 99, m.parent_id, &id), ==, -ENOENT);
    g_assert_cmpint(viommu_alloc(m.host, m.dev_id, 99, &id), ==, -ENOENT);
    g_assert_cmpint(viommu_alloc(m.host, m.dev_id, m.ioas_id, &id), ==,
                    -ENOENT);
    g_assert_cmpint(hwpt_alloc(m.host, m.dev_id, m.ioas_id, 0, &plain_hwpt),
                    ==, 0);
    g_assert_cmpint(viommu_alloc(m.host, m.dev_id, plain_hwpt, &id), ==,
                    -EINVAL);
    g_assert_cmpint(destroy(m.host, plain_hwpt), ==, 0);
    machine_cleanup(&m);
}

static void test_vdevice_alloc(void)
{
    uint32_t other_dev;
    uint32_t id;
    int other_fd;
    Machine m;

    machine_init(&m);
    other_fd = emul_device_open(m.host);
    g_assert_cmpint(device_bind(m.host, other_fd, &other_dev), ==, 0);
    g_assert_cmpint(vdevice_alloc(m.host, 99, other_dev, 1, &id), ==, -ENOENT);
    g_assert_cmpint(vdevice_alloc(m.host, m.ioas_id, other_dev, 1, &id), ==,
                    -ENOENT);
    g_assert_cmpint(vdevice_alloc(m.host, m.viommu_id, 99, 1, &id), ==,
                    -ENOENT);
    /* The number is taken; the device has one; then neither. */
    g_assert_cmpint(vdevice_alloc(m.host, m.viommu_id, other_dev, VSID, &id),
                    ==, -EEXIST);
    g_assert_cmpint(vdevice_alloc(m.host, m.viommu_id, m.dev_id, 1, &id), ==,
                    -EEXIST);
    g_assert_cmpint(vdevice_alloc(m.host, m.viommu_id, other_dev, 0, &id), ==,
                    0);
    g_assert_cmpint(destroy(m.host, id), ==, 0);
    /* The kernel's numbers are as wide as its words. */
    g_assert_cmpint(vdevice_alloc(m.host, m.viommu_id, other_dev,
                                  (uint64_t)UINT_MAX + 1 + VSID, &id), ==, 0);
    g_assert_cmpint(destroy(m.host, id), ==, 0);
    g_assert_cmpint(m.host->ops->close(m.host, other_fd), ==, 0);
    machine_cleanup(&m);
}

/* ---- vEVENTQ ---- */

typedef struct QueueCase {
    const char *name;
    uint32_t flags;
    uint32_t type;
    uint32_t depth;
    uint32_t reserved;
    int result;
} QueueCase;

static const QueueCase queue_cases[] = {
    { "depth-1", 0, 1, 1, 0, 0 },
    { "depth-largest", 0, 1, 524288, 0, 0 },
    { "depth-0-is-EINVAL", 0, 1, 0, 0, -EINVAL },
    { "depth-too-large-is-EINVAL", 0, 1, 524289, 0, -EINVAL },
    { "depth-UINT_MAX-is-EINVAL", 0, 1, UINT_MAX, 0, -EINVAL },
    { "type-0-is-EOPNOTSUPP", 0, 0, 1, 0, -EOPNOTSUPP },
    { "type-unheard-of", 0, 77, 1, 0, 0 },
    { "flags-are-EOPNOTSUPP", 1, 1, 1, 0, -EOPNOTSUPP },
    { "reserved-is-EOPNOTSUPP", 0, 1, 1, 1, -EOPNOTSUPP },
};

static void test_veventq_alloc(gconstpointer data)
{
    const QueueCase *c = data;
    struct iommu_veventq_alloc cmd = {
        .size = sizeof(cmd), .flags = c->flags, .type = c->type,
        .veventq_depth = c->depth, .__reserved = c->reserved,
    };
    Machine m;

    machine_init(&m);
    cmd.viommu_id = m.viommu_id;
    g_assert_cmpint(host_call(m.host, m.host->fd, IOMMU_VEVENTQ_ALLOC, &cmd),
                    ==, c->result);
    if (c->result == 0) {
        m.queue_id = cmd.out_veventq_id;
        m.fd = (int)cmd.out_veventq_fd;
    }
    machine_cleanup(&m);
}

static void test_veventq_wrong_viommu(void)
{
    uint32_t id;
    Machine m;
    int fd;

    machine_init(&m);
    g_assert_cmpint(veventq_alloc(m.host, 0, 1, 1, &id, &fd), ==, -ENOENT);
    g_assert_cmpint(veventq_alloc(m.host, m.ioas_id, 1, 1, &id, &fd), ==,
                    -ENOENT);
    machine_cleanup(&m);
}

/* One of a type per vIOMMU, until it is destroyed, not just closed. */
static void test_second_veventq_is_EEXIST(void)
{
    uint32_t id;
    Machine m;
    int fd;

    machine_init(&m);
    machine_open_queue(&m, 4);
    g_assert_cmpint(veventq_alloc(m.host, m.viommu_id, 1, 4, &id, &fd), ==,
                    -EEXIST);
    g_assert_cmpint(m.host->ops->close(m.host, m.fd), ==, 0);
    g_assert_cmpint(veventq_alloc(m.host, m.viommu_id, 1, 4, &id, &fd), ==,
                    -EEXIST);
    g_assert_cmpint(destroy(m.host, m.queue_id), ==, 0);
    machine_open_queue(&m, 4);
    machine_cleanup(&m);
}

static void test_types_and_viommus_are_independent(void)
{
    uint32_t viommu_id;
    uint32_t ids[3];
    int fds[3];
    Machine m;

    machine_init(&m);
    g_assert_cmpint(viommu_alloc(m.host, m.dev_id, m.parent_id, &viommu_id),
                    ==, 0);
    machine_open_queue(&m, 4);
    g_assert_cmpint(veventq_alloc(m.host, viommu_id, 1, 4, &ids[0], &fds[0]),
                    ==, 0);
    g_assert_cmpint(veventq_alloc(m.host, m.viommu_id, 2, 4, &ids[1], &fds[1]),
                    ==, 0);
    g_assert_cmpint(veventq_alloc(m.host, m.viommu_id, 3, 4, &ids[2], &fds[2]),
                    ==, 0);
    /* An event goes to the one queue that it belongs to. */
    g_assert_cmpint(report_one(&m, 0), ==, EMUL_REPORT_QUEUED);
    g_assert_cmpint(poll_now(m.fd), ==, POLLIN | POLLRDNORM);
    for (int i = 0; i < 3; i++) {
        g_assert_cmpint(poll_now(fds[i]), ==, 0);
        g_assert_cmpint(m.host->ops->close(m.host, fds[i]), ==, 0);
        g_assert_cmpint(destroy(m.host, ids[i]), ==, 0);
    }
    g_assert_cmpint(destroy(m.host, viommu_id), ==, 0);
    machine_cleanup(&m);
}

static void test_a_failed_alloc_leaves_no_fd(void)
{
    uint32_t id;
    int before;
    int fd;
    Machine m;

    machine_init(&m);
    machine_open_queue(&m, 4);
    before = dup(0);
    close(before);
    g_assert_cmpint(veventq_alloc(m.host, m.viommu_id, 1, 4, &id, &fd), ==,
                    -EEXIST);
    fd = dup(0);
    g_assert_cmpint(fd, ==, before);
    close(fd);
    machine_cleanup(&m);
}

/* ---- Nested stream table entries ---- */

typedef struct SteCase {
    const char *name;
    uint64_t ste[2];
    int result;
    bool needs_vdevice;         /* to be attached */
} SteCase;

static const SteCase ste_cases[] = {
    { "stage-1", { STE_S1, 0 }, 0, true },
    { "bypass", { STE_BYPASS, 0 }, 0, false },
    { "abort", { STE_ABORT, 0 }, 0, false },
    { "invalid-acts-as-abort", { 0, 0 }, 0, false },
    { "invalid-hides-everything", { UINT64_MAX - 1, UINT64_MAX }, 0, false },
    { "stage-1-all-allowed-bits",
      { UINT64_C(0xF80FFFFFFFFFFFF0) | STE_S1, 0x180000FF }, 0, true },
    { "config-1-is-EIO", { 0x03, 0 }, -EIO, false },
    { "config-2-is-EIO", { 0x05, 0 }, -EIO, false },
    { "config-3-is-EIO", { 0x07, 0 }, -EIO, false },
    { "stage-2-is-EIO", { 0x0d, 0 }, -EIO, false },
    { "nested-is-EIO", { 0x0f, 0 }, -EIO, false },
    { "word-0-bit-52-is-EIO", { UINT64_C(1) << 52 | STE_S1, 0 }, -EIO, false },
    { "word-0-bit-58-is-EIO", { UINT64_C(1) << 58 | STE_S1, 0 }, -EIO, false },
    { "word-1-MEV-is-EIO", { STE_S1, 1 << 19 }, -EIO, false },
    { "word-1-STRW-is-EIO", { STE_S1, UINT64_C(1) << 30 }, -EIO, false },
    { "S1STALLD", { STE_S1, 1 << 27 }, 0, true },
    { "EATS-full", { STE_S1, 1 << 28 }, 0, true },
    { "EATS-split-is-EIO", { STE_S1, 2 << 28 }, -EIO, false },
    { "EATS-3-is-EIO", { STE_S1, 3 << 28 }, -EIO, false },
};

/* Allocated as the case says; then attached with and without a vDEVICE. */
static void test_ste(gconstpointer data)
{
    const SteCase *c = data;
    uint32_t pt_id;
    uint32_t id;
    Machine m;

    machine_init(&m);
    g_assert_cmpint(nested_alloc(m.host, m.dev_id, m.viommu_id, c->ste[0],
                                 c->ste[1], &id), ==, c->result);
    if (c->result == 0) {
        pt_id = id;
        g_assert_cmpint(device_attach(m.host, m.device_fd, &pt_id), ==, 0);
        g_assert_cmpint(device_detach(m.host, m.device_fd), ==, 0);
        g_assert_cmpint(destroy(m.host, m.vdevice_id), ==, 0);
        g_assert_cmpint(device_attach(m.host, m.device_fd, &pt_id), ==,
                        c->needs_vdevice ? -ENOENT : 0);
        g_assert_cmpint(device_detach(m.host, m.device_fd), ==, 0);
        g_assert_cmpint(vdevice_alloc(m.host, m.viommu_id, m.dev_id, VSID,
                                      &m.vdevice_id), ==, 0);
        g_assert_cmpint(destroy(m.host, id), ==, 0);
    }
    machine_cleanup(&m);
}

static void test_nested_data(void)
{
    struct {
        struct iommu_hwpt_arm_smmuv3 data;
        uint64_t tail;
    } buf = { .data.ste = { GUINT64_TO_LE(STE_S1), 0 } };
    struct iommu_hwpt_alloc cmd = { .size = sizeof(cmd) };
    Machine m;

    machine_init(&m);
    cmd.dev_id = m.dev_id;
    cmd.pt_id = m.viommu_id;
    cmd.data_uptr = (uintptr_t)&buf;
    cmd.data_len = sizeof(buf.data);
    cmd.data_type = IOMMU_HWPT_DATA_VTD_S1;
    g_assert_cmpint(host_call(m.host, m.host->fd, IOMMU_HWPT_ALLOC, &cmd), ==,
                    -EINVAL);
    cmd.data_type = IOMMU_HWPT_DATA_ARM_SMMUV3;
    cmd.data_len = 8;
    g_assert_cmpint(host_call(m.host, m.host->fd, IOMMU_HWPT_ALLOC, &cmd), ==,
                    -EINVAL);
    cmd.data_len = sizeof(buf);     /* longer than known, though all zero */
    g_assert_cmpint(host_call(m.host, m.host->fd, IOMMU_HWPT_ALLOC, &cmd), ==,
                    -EINVAL);
    cmd.data_len = sizeof(buf.data);
    cmd.flags = IOMMU_HWPT_ALLOC_PASID;
    g_assert_cmpint(host_call(m.host, m.host->fd, IOMMU_HWPT_ALLOC, &cmd), ==,
                    -EOPNOTSUPP);
    cmd.flags = 0;
    cmd.__reserved2 = 1;            /* not looked at */
    g_assert_cmpint(host_call(m.host, m.host->fd, IOMMU_HWPT_ALLOC, &cmd), ==,
                    0);
    g_assert_cmpint(destroy(m.host, cmd.out_hwpt_id), ==, 0);
    machine_cleanup(&m);
}

/* ---- Invalidations ---- */

#define SID(sid) ((uint64_t)(sid) << 32)

typedef struct CommandCase {
    const char *name;
    uint64_t cmd[2];
    int result;
} CommandCase;

static const CommandCase command_cases[] = {
    { "TLBI_NSNH_ALL", { 0x30, 0 }, 0 },
    { "TLBI_NH_ALL", { UINT64_C(7) << 32 | 0x10, 0 }, 0 },
    { "TLBI_NH_ASID", { UINT64_C(9) << 48 | 0x11, 0 }, 0 },
    { "TLBI_NH_VA", { UINT64_C(9) << 48 | 3 << 20 | 5 << 12 | 0x12,
                      0xffff000 | 0xf01 }, 0 },
    { "TLBI_NH_VAA", { 0x13, 0x1001 }, 0 },
    { "CFGI_CD", { SID(VSID) | 3 << 12 | 0x05, 1 }, 0 },
    { "CFGI_CD_ALL", { SID(VSID) | 0x06, 0 }, 0 },
    { "ATC_INV", { SID(VSID) | 1 << 11 | 1 << 9 | 0x40, 0x1034 }, 0 },
    { "ATC_INV-unknown-stream-is-EIO", { SID(VSID + 1) | 0x40, 0 }, -EIO },
    { "CFGI_CD-unknown-stream-is-EIO", { SID(VSID + 1) | 0x05, 0 }, -EIO },
    { "CFGI_STE-is-EIO", { SID(VSID) | 0x03, 0 }, -EIO },
    { "SYNC-is-EIO", { 0x46, 0 }, -EIO },
    { "TLBI_EL2_ALL-is-EIO", { 0x20, 0 }, -EIO },
    { "opcode-0-is-EIO", { 0, 0 }, -EIO },
    { "SSec-is-EIO", { 1 << 10 | 0x30, 0 }, -EIO },
    { "reserved-word-0-is-EIO", { 1 << 8 | 0x10, 0 }, -EIO },
    { "reserved-word-1-is-EIO", { 0x11, 1 }, -EIO },
    { "VAA-with-ASID-is-EIO", { UINT64_C(1) << 48 | 0x13, 0 }, -EIO },
};

static int invalidate(Machine *m, uint32_t id, const void *entries,
                      uint32_t entry_len, uint32_t *num)
{
    struct iommu_hwpt_invalidate cmd = {
        .size = sizeof(cmd), .hwpt_id = id, .data_uptr = (uintptr_t)entries,
        .data_type = IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3,
        .entry_len = entry_len, .entry_num = *num,
    };
    int ret = host_call(m->host, m->host->fd, IOMMU_HWPT_INVALIDATE, &cmd);

    *num = cmd.entry_num;
    return ret;
}

/* Between two good ones: the number handled is the index of the bad one. */
static void test_command(gconstpointer data)
{
    const CommandCase *c = data;
    const uint64_t entries[3][2] = {
        { GUINT64_TO_LE(UINT64_C(0x30)), 0 },
        { GUINT64_TO_LE(c->cmd[0]), GUINT64_TO_LE(c->cmd[1]) },
        { GUINT64_TO_LE(UINT64_C(0x30)), 0 },
    };
    uint32_t num = 3;
    EmulStats stats;
    Machine m;

    machine_init(&m);
    g_assert_cmpint(invalidate(&m, m.viommu_id, entries, 16, &num), ==,
                    c->result);
    g_assert_cmpuint(num, ==, c->result == 0 ? 3 : 1);
    stats = emul_get_stats(m.host);
    /* The one before it was checked, but not issued. */
    g_assert_cmpuint(stats.invalidations, ==, c->result == 0 ? 3 : 0);
    g_assert_cmpuint(stats.invalidate_ioctls, ==, c->result == 0);
    machine_cleanup(&m);
}

typedef struct ArrayCase {
    const char *name;
    uint32_t entry_len;
    uint32_t entry_num;
    bool no_data;
    int result;
    uint32_t handled;
} ArrayCase;

/* Of two entries, each followed by 8 bytes of which one is not 0. */
static const ArrayCase array_cases[] = {
    { "none-is-EINVAL", 16, 0, false, -EINVAL, 0 },
    { "no-data-is-EINVAL", 16, 1, true, -EINVAL, 0 },
    { "length-0-is-EINVAL", 0, 1, false, -EINVAL, 0 },
    { "short-entries-are-filled-up", 8, 1, false, 0, 1 },
    { "long-entry-with-junk-is-E2BIG", 24, 1, false, -E2BIG, 0 },
};

static void test_array(gconstpointer data)
{
    const ArrayCase *c = data;
    const uint64_t entries[6] = {
        GUINT64_TO_LE(UINT64_C(0x30)), 0, 1,
        GUINT64_TO_LE(UINT64_C(0x30)), 0, 1,
    };
    uint32_t num = c->entry_num;
    EmulStats stats;
    Machine m;

    machine_init(&m);
    g_assert_cmpint(invalidate(&m, m.viommu_id, c->no_data ? NULL : entries,
                               c->entry_len, &num), ==, c->result);
    g_assert_cmpuint(num, ==, c->handled);
    stats = emul_get_stats(m.host);
    g_assert_cmpuint(stats.invalidate_ioctls, ==, c->handled > 0);
    machine_cleanup(&m);
}

static void test_invalidate_wrong_object(void)
{
    const uint64_t entry[2] = { GUINT64_TO_LE(UINT64_C(0x30)), 0 };
    uint32_t num = 1;
    Machine m;

    machine_init(&m);
    g_assert_cmpint(invalidate(&m, 99, entry, 16, &num), ==, -ENOENT);
    g_assert_cmpuint(num, ==, 0);
    num = 1;
    g_assert_cmpint(invalidate(&m, m.ioas_id, entry, 16, &num), ==, -EINVAL);
    num = 1;
    g_assert_cmpint(invalidate(&m, m.nested_id, entry, 16, &num), ==,
                    -EOPNOTSUPP);
    machine_cleanup(&m);
}

#define ADD_CASES(prefix, cases, func)                                  \
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {                \
        g_autofree char *path = g_strconcat(prefix, (cases)[i].name,    \
                                            NULL);                      \
                                                                        \
        g_test_add_data_func(path, &(cases)[i], func);                  \
    }

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/emul/viommu/alloc", test_viommu_alloc);
    g_test_add_func("/emul/vdevice/alloc", test_vdevice_alloc);
    ADD_CASES("/emul/veventq/alloc/", queue_cases, test_veventq_alloc);
    g_test_add_func("/emul/veventq/alloc/wrong-viommu-is-ENOENT",
                    test_veventq_wrong_viommu);
    g_test_add_func("/emul/veventq/alloc/second-is-EEXIST",
                    test_second_veventq_is_EEXIST);
    g_test_add_func("/emul/veventq/alloc/types-and-viommus-are-independent",
                    test_types_and_viommus_are_independent);
    g_test_add_func("/emul/veventq/alloc/failed-leaves-no-fd",
                    test_a_failed_alloc_leaves_no_fd);
    ADD_CASES("/emul/ste/", ste_cases, test_ste);
    g_test_add_func("/emul/ste/data", test_nested_data);
    ADD_CASES("/emul/invalidate/command/", command_cases, test_command);
    ADD_CASES("/emul/invalidate/array/", array_cases, test_array);
    g_test_add_func("/emul/invalidate/wrong-object",
                    test_invalidate_wrong_object);
    return g_test_run();
}
