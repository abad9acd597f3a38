/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Events and page faults of the emulated mock driver's devices.
 */
#include "test-emul-mock.h"

/* ---- Events ---- */

typedef struct MockEvents {
    MockMachine m;
    uint32_t queue_id;
    int fd;
} MockEvents;

static void events_init(MockEvents *e, uint32_t depth)
{
    mock_machine_init(&e->m);
    mock_machine_attach(&e->m, e->m.nested_id);
    g_assert_cmpint(veventq_alloc(e->m.host, e->m.viommu_id,
                                  IOMMU_VEVENTQ_TYPE_SELFTEST, depth,
                                  &e->queue_id, &e->fd), ==, 0);
}

static void events_cleanup(MockEvents *e)
{
    g_assert_cmpint(e->m.host->ops->close(e->m.host, e->fd), ==, 0);
    g_assert_cmpint(destroy(e->m.host, e->queue_id), ==, 0);
    mock_machine_cleanup(&e->m);
}

/* The virt_id of the next event, which must have been triggered. */
static uint32_t next_virt_id(MockEvents *e)
{
    uint32_t record[3];

    g_assert_cmpint(mock_vevent(e->m.host, e->m.device.dev_id), ==, 0);
    g_assert_cmpint(host_read(e->m.host, e->fd, record, sizeof(record)), ==,
                    sizeof(record));
    return record[2];
}

static void test_event_size(void)
{
    uint32_t record[3 * 2 + 2];
    MockEvents e;

    events_init(&e, 2);
    for (int i = 0; i < 4; i++) {
        g_assert_cmpint(mock_vevent(e.m.host, e.m.device.dev_id), ==, 0);
    }
    g_assert_cmpint(host_read(e.m.host, e.fd, record, 11), ==, -EINVAL);
    g_assert_cmpint(host_read(e.m.host, e.fd, record, 23), ==, 12);
    g_assert_cmpuint(record[1], ==, 0);
    g_assert_cmphex(record[2], ==, MOCK_VIRT_ID);
    g_assert_cmpint(host_read(e.m.host, e.fd, record, sizeof(record)), ==, 20);
    g_assert_cmpuint(record[1], ==, 1);
    g_assert_cmpuint(record[3], ==, IOMMU_VEVENTQ_FLAG_LOST_EVENTS);
    g_assert_cmpuint(record[4], ==, 3);
    g_assert_cmpuint(emul_get_stats(e.m.host).generated, ==, 4);
    events_cleanup(&e);
}

/* More than one step of a read, around the end of the ring. */
static void test_many_events(void)
{
    enum { DEPTH = 20000 };
    g_autofree uint32_t *records = g_new(uint32_t, DEPTH * 3);
    MockEvents e;

    events_init(&e, DEPTH);
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < DEPTH * 3 / 4; i++) {
            g_assert_cmpint(mock_vevent(e.m.host, e.m.device.dev_id), ==, 0);
        }
        g_assert_cmpint(host_read(e.m.host, e.fd, records, 12), ==, 12);
        g_assert_cmpint(host_read(e.m.host, e.fd, records, DEPTH * 12), ==,
                        (DEPTH * 3 / 4 - 1) * 12);
        for (uint32_t i = 0; i < DEPTH * 3 / 4 - 1; i++) {
            g_assert_cmpuint(records[i * 3 + 1], ==,
                             round * (DEPTH * 3 / 4) + i + 1);
        }
    }
    events_cleanup(&e);
}

static void test_event_errors(void)
{
    MockMachine m;
    uint32_t id;
    int fd;

    mock_machine_init(&m);
    g_assert_cmpint(mock_vevent(m.host, 99), ==, -ENOENT);
    g_assert_cmpint(mock_vevent(m.host, m.device.stdev_id), ==, -ENOENT);
    g_assert_cmpint(mock_vevent(m.host, m.device.dev_id), ==, -ENOENT);
    mock_machine_attach(&m, m.nested_id);
    g_assert_cmpint(mock_vevent(m.host, m.device.dev_id), ==, -EOPNOTSUPP);
    g_assert_cmpint(veventq_alloc(m.host, m.viommu_id,
                                  IOMMU_VEVENTQ_TYPE_ARM_SMMUV3, 4, &id, &fd),
                    ==, 0);
    g_assert_cmpint(mock_vevent(m.host, m.device.dev_id), ==, -EOPNOTSUPP);
    g_assert_cmpint(m.host->ops->close(m.host, fd), ==, 0);
    g_assert_cmpint(destroy(m.host, id), ==, 0);
    /* Nested, but in no vIOMMU. */
    g_assert_cmpint(mock_nested(m.host, m.device.dev_id, m.parent_id, 0, 0,
                                &id), ==, 0);
    mock_machine_attach(&m, id);
    g_assert_cmpint(mock_vevent(m.host, m.device.dev_id), ==, -ENOENT);
    mock_machine_attach(&m, m.parent_id);
    g_assert_cmpint(destroy(m.host, id), ==, 0);
    mock_machine_cleanup(&m);
}

/* An SMMUv3's event is none of a mock device's. */
static void test_events_of_another_kind(void)
{
    MockEvents e;

    events_init(&e, 4);
    g_assert_cmpint(emul_report_event(e.m.host, e.m.device.dev_id,
                                      (uint64_t[4]) { 0x10 }), ==,
                    EMUL_REPORT_REFUSED);
    g_assert_cmpuint(emul_get_stats(e.m.host).generated, ==, 0);
    events_cleanup(&e);
}

/*
 * The virt_id is the one at the time of the attach, and stays while the device
 * moves within the vIOMMU.
 */
static void test_virt_id_is_of_the_vIOMMU(void)
{
    uint32_t other_id;
    MockEvents e;

    events_init(&e, 4);
    g_assert_cmpint(mock_nested(e.m.host, e.m.device.dev_id, e.m.viommu_id, 0,
                                0, &other_id), ==, 0);
    g_assert_cmpint(destroy(e.m.host, e.m.vdevice_id), ==, 0);
    g_assert_cmphex(next_virt_id(&e), ==, MOCK_VIRT_ID);
    g_assert_cmpint(vdevice_alloc(e.m.host, e.m.viommu_id, e.m.device.dev_id,
                                  0x77, &e.m.vdevice_id), ==, 0);
    mock_machine_attach(&e.m, other_id);
    g_assert_cmphex(next_virt_id(&e), ==, MOCK_VIRT_ID);
    mock_machine_attach(&e.m, e.m.parent_id);
    mock_machine_attach(&e.m, other_id);
    g_assert_cmphex(next_virt_id(&e), ==, 0x77);
    mock_machine_attach(&e.m, e.m.parent_id);
    g_assert_cmpint(destroy(e.m.host, other_id), ==, 0);
    events_cleanup(&e);
}

/* 0 is no virt_id to the driver; of others the lower half is reported. */
static void test_odd_virt_ids(void)
{
    MockEvents e;

    events_init(&e, 4);
    mock_machine_attach(&e.m, e.m.parent_id);
    g_assert_cmpint(destroy(e.m.host, e.m.vdevice_id), ==, 0);
    g_assert_cmpint(vdevice_alloc(e.m.host, e.m.viommu_id, e.m.device.dev_id,
                                  0, &e.m.vdevice_id), ==, 0);
    mock_machine_attach(&e.m, e.m.nested_id);
    g_assert_cmpint(mock_vevent(e.m.host, e.m.device.dev_id), ==, -ENOENT);
    mock_machine_attach(&e.m, e.m.parent_id);
    g_assert_cmpint(destroy(e.m.host, e.m.vdevice_id), ==, 0);
    g_assert_cmpint(vdevice_alloc(e.m.host, e.m.viommu_id, e.m.device.dev_id,
                                  UINT64_C(0x500000000), &e.m.vdevice_id), ==,
                    0);
    mock_machine_attach(&e.m, e.m.nested_id);
    g_assert_cmphex(next_virt_id(&e), ==, 0);
    events_cleanup(&e);
}

/* ---- Page faults ---- */

typedef struct MockFaults {
    MockMachine m;
    uint32_t fault_id;
    uint32_t hwpt_id;           /* nested in the vIOMMU, for PASIDs */
    int fd;
} MockFaults;

static void faults_init(MockFaults *f)
{
    struct iommu_fault_alloc cmd = { .size = sizeof(cmd) };

    mock_machine_init(&f->m);
    g_assert_cmpint(host_call(f->m.host, f->m.host->fd,
                              IOMMU_FAULT_QUEUE_ALLOC, &cmd), ==, 0);
    f->fault_id = cmd.out_fault_id;
    f->fd = (int)cmd.out_fault_fd;
    g_assert_cmpint(mock_nested(f->m.host, f->m.device.dev_id,
                                f->m.viommu_id, IOMMU_HWPT_ALLOC_PASID |
                                IOMMU_HWPT_FAULT_ID_VALID, f->fault_id,
                                &f->hwpt_id), ==, 0);
}

static void faults_cleanup(MockFaults *f)
{
    mock_machine_attach(&f->m, f->m.parent_id);
    g_assert_cmpint(destroy(f->m.host, f->hwpt_id), ==, 0);
    g_assert_cmpint(f->m.host->ops->close(f->m.host, f->fd), ==, 0);
    g_assert_cmpint(destroy(f->m.host, f->fault_id), ==, 0);
    mock_machine_cleanup(&f->m);
}

static ssize_t faults_read(MockFaults *f, struct iommu_hwpt_pgfault *record)
{
    return host_read(f->m.host, f->fd, record, sizeof(*record));
}

static ssize_t faults_answer(MockFaults *f, uint32_t cookie)
{
    const struct iommu_hwpt_page_response response = { .cookie = cookie };
    ssize_t ret = f->m.host->ops->write(f->m.host, f->fd, &response,
                                        sizeof(response));

    return ret < 0 ? -errno : ret;
}

static void test_fault_fields(void)
{
    struct iommu_hwpt_pgfault record;
    MockFaults f;

    faults_init(&f);
    mock_machine_attach(&f.m, f.hwpt_id);
    g_assert_cmpint(mock_iopf(f.m.host, f.m.device.dev_id, 0, UINT_MAX), ==,
                    0);
    g_assert_cmpint(faults_read(&f, &record), ==, sizeof(record));
    g_assert_cmphex(record.flags, ==, IOMMU_PGFAULT_FLAGS_LAST_PAGE);
    g_assert_cmpuint(record.dev_id, ==, f.m.device.dev_id);
    g_assert_cmpuint(record.pasid, ==, 0);
    g_assert_cmphex(record.grpid, ==, UINT_MAX);
    g_assert_cmphex(record.perm, ==, 0x10003);  /* as it was given */
    g_assert_cmphex(record.addr, ==, UINT64_C(0x123456789a));
    g_assert_cmpint(faults_answer(&f, record.cookie), ==, 8);
    faults_cleanup(&f);
}

/* Not even one that nobody can see is an error. */
static void test_fault_without_a_queue(void)
{
    struct iommu_hwpt_pgfault record;
    MockFaults f;

    faults_init(&f);
    g_assert_cmpint(mock_iopf(f.m.host, f.m.device.dev_id, 0, 0), ==, 0);
    g_assert_cmpint(mock_iopf(f.m.host, 99, 0, 0), ==, -ENOENT);
    g_assert_cmpint(mock_iopf(f.m.host, f.m.device.stdev_id, 0, 0), ==,
                    -ENOENT);
    mock_machine_attach(&f.m, f.hwpt_id);
    g_assert_cmpint(faults_read(&f, &record), ==, 0);
    faults_cleanup(&f);
}

/* The guest has the table: any PASID comes through the nested HWPT. */
static void test_fault_of_any_pasid(void)
{
    static const uint32_t pasids[] = { 5, 0xfffff, UINT_MAX };
    struct iommu_hwpt_pgfault record;
    MockFaults f;

    faults_init(&f);
    mock_machine_attach(&f.m, f.hwpt_id);
    for (unsigned i = 0; i < G_N_ELEMENTS(pasids); i++) {
        g_assert_cmpint(mock_iopf(f.m.host, f.m.device.dev_id, pasids[i], i),
                        ==, 0);
        g_assert_cmpint(faults_read(&f, &record), ==, sizeof(record));
        g_assert_cmphex(record.pasid, ==, pasids[i]);
        g_assert_cmphex(record.flags, ==, IOMMU_PGFAULT_FLAGS_LAST_PAGE |
                        IOMMU_PGFAULT_FLAGS_PASID_VALID);
    }
    faults_cleanup(&f);
}

/* The device is elsewhere: only the PASID that is attached comes through. */
static void test_fault_of_an_attached_pasid(void)
{
    struct iommu_hwpt_pgfault record;
    uint32_t paging_id;
    MockFaults f;

    faults_init(&f);
    g_assert_cmpint(hwpt_alloc(f.m.host, f.m.device.dev_id, f.m.ioas_id,
                               IOMMU_HWPT_ALLOC_PASID, &paging_id), ==, 0);
    mock_machine_attach(&f.m, paging_id);
    g_assert_cmpint(mock_pasid(f.m.host, IOMMU_TEST_OP_PASID_ATTACH,
                               f.m.device.stdev_id, 6, f.hwpt_id), ==, 0);
    g_assert_cmpint(mock_iopf(f.m.host, f.m.device.dev_id, 7, 0), ==, 0);
    g_assert_cmpint(mock_iopf(f.m.host, f.m.device.dev_id, 6, 0), ==, 0);
    g_assert_cmpint(faults_read(&f, &record), ==, sizeof(record));
    g_assert_cmphex(record.pasid, ==, 6);
    g_assert_cmpint(faults_read(&f, &record), ==, 0);
    /* Its end is its faults' end. */
    g_assert_cmpint(mock_pasid(f.m.host, IOMMU_TEST_OP_PASID_REPLACE,
                               f.m.device.stdev_id, 6, paging_id), ==, 0);
    g_assert_cmpint(faults_answer(&f, record.cookie), ==, -EINVAL);
    g_assert_cmpint(mock_pasid_detach(f.m.host, f.m.device.stdev_id, 6), ==,
                    0);
    mock_machine_attach(&f.m, f.m.parent_id);
    g_assert_cmpint(destroy(f.m.host, paging_id), ==, 0);
    faults_cleanup(&f);
}

/* Read or not, they are answered INVALID by the host. */
static void test_destroy_ends_faults(void)
{
    struct iommu_hwpt_pgfault record;
    EmulPageStats stats;
    MockFaults f;

    faults_init(&f);
    mock_machine_attach(&f.m, f.hwpt_id);
    for (uint32_t i = 0; i < 3; i++) {
        g_assert_cmpint(mock_iopf(f.m.host, f.m.device.dev_id, 0, i), ==, 0);
    }
    g_assert_cmpint(faults_read(&f, &record), ==, sizeof(record));
    g_assert_cmpint(destroy(f.m.host, f.m.device.stdev_id), ==, 0);
    g_assert_cmpint(faults_answer(&f, record.cookie), ==, -EINVAL);
    g_assert_cmpint(faults_read(&f, &record), ==, 0);
    g_assert_cmpint(poll_now(f.fd), ==, POLLOUT);
    stats = emul_get_page_stats(f.m.host);
    g_assert_cmpuint(stats.raised, ==, 3);
    g_assert_cmpuint(stats.automatic, ==, 3);
    g_assert_cmpuint(stats.open, ==, 0);
    g_assert_cmpint(f.m.host->ops->close(f.m.host, f.fd), ==, 0);
    host_iommu_free(f.m.host);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/emul/mock/event/is-of-12-bytes", test_event_size);
    g_test_add_func("/emul/mock/event/many", test_many_events);
    g_test_add_func("/emul/mock/event/errors", test_event_errors);
    g_test_add_func("/emul/mock/event/of-another-kind-is-refused",
                    test_events_of_another_kind);
    g_test_add_func("/emul/mock/event/virt-id-stays-within-the-viommu",
                    test_virt_id_is_of_the_vIOMMU);
    g_test_add_func("/emul/mock/event/odd-virt-ids", test_odd_virt_ids);
    g_test_add_func("/emul/mock/fault/fields", test_fault_fields);
    g_test_add_func("/emul/mock/fault/without-a-queue",
                    test_fault_without_a_queue);
    g_test_add_func("/emul/mock/fault/of-any-pasid", test_fault_of_any_pasid);
    g_test_add_func("/emul/mock/fault/of-an-attached-pasid",
                    test_fault_of_an_attached_pasid);
    g_test_add_func("/emul/mock/fault/ends-with-the-device",
                    test_destroy_ends_faults);
    return g_test_run();
}
