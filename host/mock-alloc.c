/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Objects of mock devices are asked for as those of an SMMUv3 or a VT-d unit,
 * and made as the mock driver's.
 */
#include "mock-internal.h"

#include <errno.h>

/*
 * @dst as the kernel copies it, but for a tail that it does not know.
 * Return: how much of @arg there is.
 */
static uint32_t copy_in(void *dst, size_t len, const void *arg)
{
    uint32_t size;

    memcpy(&size, arg, sizeof(size));
    size = MIN(size, len);
    memset(dst, 0, len);
    memcpy(dst, arg, size);
    memcpy(dst, &size, sizeof(size));
    return size;
}

int mock_ioas_alloc(MockHost *host, void *arg)
{
    struct iommu_ioas_alloc *cmd = arg;
    int ret = mock_ioctl(host, IOMMU_IOAS_ALLOC, cmd);

    if (ret == 0) {
        mock_note_id(host, cmd->out_ioas_id);
    }
    return ret;
}

/* ---- HWPTs ---- */

/* What the guest's table says is looked at here: the mock driver does not. */
static int dress_nested(MockHost *host, HardwareIommu iommu,
                        const struct iommu_hwpt_alloc *cmd, MockObject *hwpt)
{
    const EmulUserData data = {
        .type = cmd->data_type, .len = cmd->data_len, .uptr = cmd->data_uptr,
    };
    EmulNested nested = { .pt.obj.type = EMUL_NESTED };
    MockObject viommu;
    int ret;

    hwpt->nested = true;
    if (iommu == HARDWARE_VTD) {
        ret = emul_vtd_driver.nested_init(&nested, cmd->flags, &data);
        if (ret == 0) {
            hwpt->attach_err = emul_vtd_driver.attach(NULL, 0, &nested.pt);
        }
        return ret;
    }
    if (!mock_object_find(host, cmd->pt_id, MOCK_OBJECT_VIOMMU, &viommu)) {
        return -EOPNOTSUPP;
    }
    hwpt->events = viommu.events;
    return emul_smmuv3_driver.viommu_nested_init(
        &nested, cmd->flags & ~IOMMU_HWPT_FAULT_ID_VALID, &data);
}

int mock_hwpt_alloc(MockHost *host, void *arg)
{
    struct iommu_hwpt_selftest data = { .iotlb = IOMMU_TEST_IOTLB_DEFAULT };
    MockObject hwpt = { .type = MOCK_OBJECT_HWPT };
    struct iommu_hwpt_alloc cmd;
    HardwareIommu iommu;
    MockObject fault;
    int ret;

    copy_in(&cmd, sizeof(cmd), arg);
    if (mock_device_iommu(host, cmd.dev_id, &iommu) &&
        cmd.data_type != IOMMU_HWPT_DATA_NONE) {
        ret = dress_nested(host, iommu, &cmd, &hwpt);
        if (ret < 0) {
            return ret;
        }
        cmd.data_type = IOMMU_HWPT_DATA_SELFTEST;
        cmd.data_len = sizeof(data);
        cmd.data_uptr = (uintptr_t)&data;
    }
    if ((cmd.flags & IOMMU_HWPT_FAULT_ID_VALID) &&
        mock_object_find(host, cmd.fault_id, MOCK_OBJECT_FAULT, &fault)) {
        hwpt.faults = fault.faults;
    }
    ret = mock_ioctl(host, IOMMU_HWPT_ALLOC, &cmd);
    if (ret == 0) {
        ((struct iommu_hwpt_alloc *)arg)->out_hwpt_id = cmd.out_hwpt_id;
        hwpt.id = cmd.out_hwpt_id;
        mock_object_add(host, &hwpt);
    }
    return ret;
}

/* ---- vIOMMUs, vDEVICEs and queues ---- */

int mock_viommu_alloc(MockHost *host, void *arg)
{
    MockObject viommu = { .type = MOCK_OBJECT_VIOMMU };
    struct iommu_viommu_alloc cmd;
    HardwareIommu iommu;
    int ret;

    copy_in(&cmd, sizeof(cmd), arg);
    if (!mock_device_iommu(host, cmd.dev_id, &iommu)) {
        return mock_ioctl(host, IOMMU_VIOMMU_ALLOC, arg);
    }
    if (iommu != HARDWARE_SMMUV3 || cmd.type != IOMMU_VIOMMU_TYPE_ARM_SMMUV3) {
        return -EOPNOTSUPP;
    }
    cmd.type = IOMMU_VIOMMU_TYPE_SELFTEST;
    viommu.events = (MockEvents *)mock_file_get(host, MOCK_FILE_EVENTS);
    ret = mock_ioctl(host, IOMMU_VIOMMU_ALLOC, &cmd);
    if (ret < 0) {
        mock_file_put(host, &viommu.events->file);
        return ret;
    }
    ((struct iommu_viommu_alloc *)arg)->out_viommu_id = cmd.out_viommu_id;
    viommu.id = cmd.out_viommu_id;
    mock_object_add(host, &viommu);
    return 0;
}

int mock_vdevice_alloc(MockHost *host, void *arg)
{
    struct iommu_vdevice_alloc *cmd = arg;
    int ret = mock_ioctl(host, IOMMU_VDEVICE_ALLOC, cmd);

    if (ret == 0) {
        mock_object_add(host, &(MockObject){
            .type = MOCK_OBJECT_VDEVICE,
            .id = cmd->out_vdevice_id,
            .viommu_id = cmd->viommu_id,
            .dev_id = cmd->dev_id,
            .virt_id = cmd->virt_id,
        });
    }
    return ret;
}

int mock_veventq_alloc(MockHost *host, void *arg)
{
    MockObject veventq = { .type = MOCK_OBJECT_VEVENTQ };
    struct iommu_veventq_alloc cmd;
    MockObject viommu;
    int ret;

    copy_in(&cmd, sizeof(cmd), arg);
    if (cmd.type != IOMMU_VEVENTQ_TYPE_ARM_SMMUV3 ||
        !mock_object_find(host, cmd.viommu_id, MOCK_OBJECT_VIOMMU, &viommu)) {
        return mock_ioctl(host, IOMMU_VEVENTQ_ALLOC, arg);
    }
    cmd.type = IOMMU_VEVENTQ_TYPE_SELFTEST;
    ret = mock_events_start(host, viommu.events, &cmd);
    if (ret == 0) {
        struct iommu_veventq_alloc *out = arg;

        out->out_veventq_id = cmd.out_veventq_id;
        out->out_veventq_fd = cmd.out_veventq_fd;
        veventq.id = cmd.out_veventq_id;
        veventq.events = viommu.events;
        mock_object_add(host, &veventq);
    }
    return ret;
}

int mock_fault_alloc(MockHost *host, void *arg)
{
    MockObject fault = { .type = MOCK_OBJECT_FAULT };
    struct iommu_fault_alloc *cmd = arg;
    int ret = mock_ioctl(host, IOMMU_FAULT_QUEUE_ALLOC, cmd);

    if (ret < 0) {
        return ret;
    }
    fault.id = cmd->out_fault_id;
    fault.faults = (MockFaults *)mock_file_get(host, MOCK_FILE_FAULTS);
    if (!emul_slots_store(&host->fds, cmd->out_fault_fd,
                          (uintptr_t)fault.faults)) {
        mock_file_put(host, &fault.faults->file);
        host->inner->ops->close(host->inner, (int)cmd->out_fault_fd);
        mock_destroy(host, fault.id);
        return -EMFILE;
    }
    mock_object_add(host, &fault);
    return 0;
}

/* ---- What the hardware can do ---- */

int mock_get_hw_info(MockHost *host, void *arg)
{
    struct iommu_test_hw_info test = { 0 };
    struct iommu_hw_info *wanted = arg;
    const EmulDriver *driver;
    HardwareIommu iommu;
    struct iommu_hw_info cmd;
    int ret;

    copy_in(&cmd, sizeof(cmd), arg);
    if (!mock_device_iommu(host, cmd.dev_id, &iommu)) {
        return mock_ioctl(host, IOMMU_GET_HW_INFO, arg);
    }
    driver = iommu == HARDWARE_VTD ? &emul_vtd_driver : &emul_smmuv3_driver;
    if ((cmd.flags & IOMMU_HW_INFO_FLAG_INPUT_TYPE) &&
        cmd.in_data_type != IOMMU_HW_INFO_TYPE_DEFAULT &&
        cmd.in_data_type != driver->hw_info_type) {
        return -EOPNOTSUPP;
    }
    cmd.in_data_type = IOMMU_HW_INFO_TYPE_DEFAULT;
    cmd.data_len = sizeof(test);
    cmd.data_uptr = (uintptr_t)&test;
    ret = mock_ioctl(host, IOMMU_GET_HW_INFO, &cmd);
    if (ret < 0) {
        return ret;
    }
    if (cmd.out_data_type != IOMMU_HW_INFO_TYPE_SELFTEST ||
        test.test_reg != IOMMU_HW_INFO_SELFTEST_REGVAL) {
        return -EIO;
    }
    if (wanted->data_len > 0 && !wanted->data_uptr) {
        return -EFAULT;
    }
    emul_hw_info_fill(wanted, driver);
    wanted->out_max_pasid_log2 = cmd.out_max_pasid_log2;
    wanted->out_capabilities = cmd.out_capabilities;
    return 0;
}

/* ---- The end ---- */

int mock_object_destroy(MockHost *host, void *arg)
{
    struct iommu_destroy *cmd = arg;
    MockObject object;
    int ret;

    if (!mock_object_take(host, cmd->id, &object)) {
        ret = mock_destroy_cmd(host, cmd);
        mock_count(&host->counts.busy, ret == -EBUSY);
        return ret;
    }
    ret = object.type == MOCK_OBJECT_VEVENTQ
              ? mock_events_stop(host, object.events, object.id)
              : mock_destroy_cmd(host, cmd);
    if (ret < 0) {
        mock_object_add(host, &object);
        mock_count(&host->counts.busy, ret == -EBUSY);
        return ret;
    }
    if (object.type == MOCK_OBJECT_VIOMMU) {
        mock_file_put(host, &object.events->file);
    } else if (object.type == MOCK_OBJECT_FAULT) {
        mock_file_put(host, &object.faults->file);
    }
    return 0;
}
