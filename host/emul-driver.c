/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the drivers share: how they take the user's data. The kernel's helpers
 * for that do not agree with its ioctls: one structure must not be longer than
 * the driver knows it, an array's entries may be.
 */
#include "emul-driver.h"

#include <errno.h>

static const EmulDriver *const drivers[] = {
    &emul_smmuv3_driver, &emul_vtd_driver, &emul_mock_driver,
};

uint32_t emul_event_size(uint32_t veventq_type)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(drivers); i++) {
        if (drivers[i]->viommu_type != 0 &&
            drivers[i]->veventq_type == veventq_type) {
            return drivers[i]->event_size;
        }
    }
    return 0;
}

int emul_user_data_copy(void *dst, size_t dst_len, size_t min_len,
                        const EmulUserData *data)
{
    const void *src = (const void *)(uintptr_t)data->uptr;

    if (data->len < min_len || data->len > dst_len) {
        return -EINVAL;
    }
    return src ? emul_copy_struct(dst, dst_len, src, data->len) : -EFAULT;
}

int emul_copy_entry(const struct iommu_hwpt_invalidate *cmd, uint32_t index,
                    void *dst, size_t dst_len, size_t min_len)
{
    const EmulUserData data = {
        .len = cmd->entry_len,
        .uptr = cmd->data_uptr + (uint64_t)index * cmd->entry_len,
    };

    return emul_user_data_copy(dst, dst_len, min_len, &data);
}

int emul_copy_entries(const struct iommu_hwpt_invalidate *cmd, size_t size,
                      void **entries)
{
    const char *src = (const char *)(uintptr_t)cmd->data_uptr;
    char *copy;

    if (cmd->entry_num == 0) {
        return -EINVAL;
    }
    copy = g_try_malloc_n(cmd->entry_num, size);
    if (!copy) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < cmd->entry_num; i++) {
        int ret = emul_copy_struct(copy + i * size, size,
                                   src + i * cmd->entry_len, cmd->entry_len);

        if (ret < 0) {
            g_free(copy);
            return ret;
        }
    }
    *entries = copy;
    return 0;
}
