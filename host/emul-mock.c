/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The mock driver's devices and its test ioctl (host/mock-abi.h).
 *
 * A mock device is two objects: the stdev, by which it is attached and
 * destroyed, and the device that iommufd knows. Both come and go together, and
 * there is no fd: the stdev holds the device as VFIO's open fd does.
 */
#include "emul-driver.h"

#include <errno.h>

typedef struct EmulStdev {
    EmulObject obj;
    EmulMockDevice *mock;
} EmulStdev;

/* The device with this stdev or device ID, or NULL. */
static EmulDevice *stdev_find_locked(EmulHost *host, uint32_t id)
    REQUIRES(&host->lock)
{
    EmulStdev *stdev = (EmulStdev *)emul_object_find_locked(host, id,
                                                            EMUL_SELFTEST);

    return stdev ? &stdev->mock->device : NULL;
}

static EmulDevice *device_find_locked(EmulHost *host, uint32_t id)
    REQUIRES(&host->lock)
{
    return (EmulDevice *)emul_object_find_locked(host, id, EMUL_DEVICE);
}

/* ---- Devices come, move and go ---- */

static EmulMockDevice *mock_device_new(uint32_t flags)
{
    EmulMockDevice *mock = g_new0(EmulMockDevice, 1);

    mock->device.driver = &emul_mock_driver;
    mock->device.capabilities = IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED;
    if (!(flags & MOCK_FLAGS_DEVICE_NO_DIRTY)) {
        mock->device.capabilities |= IOMMU_HW_CAP_DIRTY_TRACKING;
    }
    if (flags & MOCK_FLAGS_DEVICE_PASID) {
        mock->device.pasid_bits = MOCK_PASID_WIDTH;
    }
    mock->flags = flags;
    for (unsigned i = 0; i < MOCK_DEV_CACHE_NUM; i++) {
        mock->cache[i] = IOMMU_TEST_DEV_CACHE_DEFAULT;
    }
    return mock;
}

static void stdev_free_locked(EmulHost *host, EmulStdev *stdev, GArray *ended)
    REQUIRES(&host->lock)
{
    EmulDevice *device = &stdev->mock->device;

    emul_device_unbind_locked(host, device, ended);
    emul_device_remove_locked(host, device);
    emul_device_free(device);
    emul_object_remove_locked(host, &stdev->obj, false);
    g_free(stdev);
}

void emul_stdev_destroy_locked(EmulHost *host, EmulObject *stdev,
                               GArray *ended)
{
    stdev_free_locked(host, (EmulStdev *)stdev, ended);
}

/* IDs in the kernel's order: stdev, device, and last an automatic HWPT. */
static int mock_domain_locked(EmulHost *host, struct iommu_test_cmd *cmd,
                              uint32_t flags, GArray *ended)
    REQUIRES(&host->lock)
{
    uint32_t pt_id = cmd->id;
    EmulStdev *stdev;
    int ret;

    if (flags & ~(uint32_t)(MOCK_FLAGS_DEVICE_NO_DIRTY |
                            MOCK_FLAGS_DEVICE_PASID)) {
        return -EINVAL;
    }
    stdev = g_new0(EmulStdev, 1);
    stdev->mock = mock_device_new(flags);
    emul_object_add_locked(host, &stdev->obj, EMUL_SELFTEST);
    emul_device_add_locked(host, &stdev->mock->device);
    ret = emul_device_bind_locked(host, &stdev->mock->device);
    if (ret == 0) {
        ret = emul_attach_locked(host, &stdev->mock->device, 0, EMUL_ATTACH,
                                 &pt_id, ended);
    }
    if (ret < 0) {
        stdev_free_locked(host, stdev, ended);
        return ret;
    }
    cmd->mock_domain.out_stdev_id = stdev->obj.id;
    cmd->mock_domain.out_hwpt_id = pt_id;
    cmd->mock_domain.out_idev_id = stdev->mock->device.obj.id;
    return 0;
}

/* Attach or replace; 0 as a PASID is the device itself. */
static int change_pt_locked(EmulHost *host, uint32_t stdev_id, uint32_t pasid,
                            EmulAttachMode mode, uint32_t *pt_id,
                            GArray *ended) REQUIRES(&host->lock)
{
    EmulDevice *device = stdev_find_locked(host, stdev_id);

    return device ? emul_attach_locked(host, device, pasid, mode, pt_id, ended)
                  : -ENOENT;
}

static int pasid_detach_locked(EmulHost *host,
                               const struct iommu_test_cmd *cmd,
                               GArray *ended) REQUIRES(&host->lock)
{
    EmulDevice *device = stdev_find_locked(host, cmd->id);

    if (!device) {
        return -ENOENT;
    }
    emul_detach_locked(host, device, cmd->pasid_detach.pasid, ended);
    return 0;
}

/* ---- What became of it ---- */

static int pasid_check_locked(EmulHost *host, const struct iommu_test_cmd *cmd)
    REQUIRES(&host->lock)
{
    uint32_t hwpt_id = cmd->pasid_check.hwpt_id;
    const EmulDevice *device = stdev_find_locked(host, cmd->id);
    const EmulObject *obj;
    const EmulPt *pt;

    if (!device) {
        return -ENOENT;
    }
    pt = emul_attached_pt(device, cmd->pasid_check.pasid);
    if (hwpt_id == 0) {
        return pt ? -EINVAL : 0;    /* it should be attached to none */
    }
    obj = emul_object_find_locked(host, hwpt_id, EMUL_ANY);
    if (!obj) {
        return -ENOENT;
    }
    return pt && obj == &pt->obj ? 0 : -EINVAL;
}

static int check_iotlb_locked(EmulHost *host, const struct iommu_test_cmd *cmd)
    REQUIRES(&host->lock)
{
    const EmulNested *nested = (EmulNested *)
        emul_object_find_locked(host, cmd->id, EMUL_NESTED);

    if (!nested) {
        return -ENOENT;
    }
    return nested->driver == &emul_mock_driver &&
           cmd->check_iotlb.id <= MOCK_NESTED_DOMAIN_IOTLB_ID_MAX &&
           nested->iotlb[cmd->check_iotlb.id] == cmd->check_iotlb.iotlb
           ? 0 : -EINVAL;
}

static int check_cache_locked(EmulHost *host, const struct iommu_test_cmd *cmd)
    REQUIRES(&host->lock)
{
    EmulDevice *device = device_find_locked(host, cmd->id);
    const EmulMockDevice *mock;

    if (!device) {
        return -ENOENT;
    }
    mock = emul_mock_device(device);
    return mock && cmd->check_dev_cache.id <= MOCK_DEV_CACHE_ID_MAX &&
           mock->cache[cmd->check_dev_cache.id] == cmd->check_dev_cache.cache
           ? 0 : -EINVAL;
}

/* ---- The device does something, which takes a queue's lock only ---- */

/* Whether it is a mock device at all. */
static int check_device(EmulHost *host, uint32_t dev_id)
{
    EmulDevice *device;
    int ret = -ENOENT;

    lock_acquire(&host->lock);
    device = device_find_locked(host, dev_id);
    if (device) {
        ret = emul_mock_device(device) ? 0 : -EINVAL;
    }
    lock_release(&host->lock);
    return ret;
}

static int trigger_iopf(EmulHost *host, const struct iommu_test_cmd *cmd)
{
    const EmulPageRequest request = {
        .dev_id = cmd->trigger_iopf.dev_id,
        .pasid = cmd->trigger_iopf.pasid,
        .grpid = cmd->trigger_iopf.grpid,
        .perm = cmd->trigger_iopf.perm,
        .addr = cmd->trigger_iopf.addr,
        .last = true,
    };
    int ret = check_device(host, request.dev_id);

    if (ret == 0) {
        emul_request_page(&host->base, &request);   /* nobody hears of it */
    }
    return ret;
}

static void set_virt_id(void *event, uint32_t sid)
{
    ((struct iommu_viommu_event_selftest *)event)->virt_id = sid;
}

/* Why an event went nowhere. */
static int vevent_errno(EmulHost *host, uint32_t dev_id)
{
    const EmulDevice *device;
    int ret = -ENOENT;

    lock_acquire(&host->lock);
    device = device_find_locked(host, dev_id);
    if (device && device->has_vsid) {
        ret = -EOPNOTSUPP;      /* no vEVENTQ of the type */
    }
    lock_release(&host->lock);
    return ret;
}

static int trigger_vevent(EmulHost *host, const struct iommu_test_cmd *cmd)
{
    struct iommu_viommu_event_selftest event;
    uint32_t dev_id = cmd->trigger_vevent.dev_id;
    EmulReport report = emul_report_routed(host, dev_id, &event, sizeof(event),
                                           set_virt_id);

    return report == EMUL_REPORT_REFUSED ? vevent_errno(host, dev_id) : 0;
}

/* ---- The ioctl ---- */

static int test_locked(EmulHost *host, struct iommu_test_cmd *cmd,
                       GArray *ended) REQUIRES(&host->lock)
{
    switch (cmd->op) {
    case IOMMU_TEST_OP_MOCK_DOMAIN:
        return mock_domain_locked(host, cmd, 0, ended);
    case IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS:
        return mock_domain_locked(host, cmd, cmd->mock_domain_flags.dev_flags,
                                  ended);
    case IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE:
        return change_pt_locked(host, cmd->id, 0, EMUL_REPLACE,
                                &cmd->mock_domain_replace.pt_id, ended);
    case IOMMU_TEST_OP_PASID_ATTACH:
        return change_pt_locked(host, cmd->id, cmd->pasid_attach.pasid,
                                EMUL_ATTACH, &cmd->pasid_attach.pt_id, ended);
    case IOMMU_TEST_OP_PASID_REPLACE:
        return change_pt_locked(host, cmd->id, cmd->pasid_attach.pasid,
                                EMUL_REPLACE, &cmd->pasid_attach.pt_id, ended);
    case IOMMU_TEST_OP_PASID_DETACH:
        return pasid_detach_locked(host, cmd, ended);
    case IOMMU_TEST_OP_PASID_CHECK_HWPT:
        return pasid_check_locked(host, cmd);
    case IOMMU_TEST_OP_MD_CHECK_IOTLB:
        return check_iotlb_locked(host, cmd);
    case IOMMU_TEST_OP_DEV_CHECK_CACHE:
        return check_cache_locked(host, cmd);
    case IOMMU_TEST_OP_MD_CHECK_REFS:
        /* Nothing pins pages here, so there is no count that could be wrong. */
        return (cmd->check_refs.length | cmd->check_refs.uptr) & 4095 ? -EINVAL
                                                                      : 0;
    case IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT:
        /* There is none; the kernel wants room for one item. */
        return cmd->memory_limit.limit < 12 ? -EINVAL : 0;
    default:
        return -EOPNOTSUPP;
    }
}

int emul_test(EmulHost *host, void *arg)
{
    g_autoptr(GArray) ended = NULL;
    struct iommu_test_cmd *cmd = arg;
    int ret;

    if (cmd->op == IOMMU_TEST_OP_TRIGGER_VEVENT) {
        return trigger_vevent(host, cmd);
    }
    if (cmd->op == IOMMU_TEST_OP_TRIGGER_IOPF) {
        return trigger_iopf(host, cmd);
    }
    if (cmd->op == IOMMU_TEST_OP_MD_CHECK_MAP) {
        return emul_mock_check_map(host, cmd);
    }
    ended = g_array_new(FALSE, FALSE, sizeof(EmulEnded));
    lock_acquire(&host->lock);
    ret = test_locked(host, cmd, ended);
    lock_release(&host->lock);
    emul_faults_end(ended);
    return ret;
}
