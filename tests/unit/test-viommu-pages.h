/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the tests of page requests share: a vIOMMU with one device of the
 * host's, of which PASID 1 is attached, and an emulated one.
 */
#ifndef TEST_VIOMMU_PAGES_H
#define TEST_VIOMMU_PAGES_H

#include "fake-viommu.h"

#include "base/rcu.h"

#define NO_PASID PAGE_REQUEST_NO_PASID
#define RID 0x100               /* of the host's device */
#define SVA_RID 0x200           /* of the emulated one */

static FakeMachine *m;
static FakeDevice *device;
static FakeSva *sva;

static inline void setup(uint32_t capacity)
{
    m = fake_machine_new(capacity, false);
    device = fake_plug(m, RID);
    fake_attach_ok(m, device, 1);
    sva = fake_add_sva(m, SVA_RID, SVA_CREDITS_MAX);
}

static inline void teardown(void)
{
    fake_remove_sva(sva);
    fake_unplug(m, device);
    fake_machine_free(m);
}

static inline void raise_host(uint32_t index, unsigned count)
{
    g_assert_cmpint(fake_raise(m, device, 1, index, count), ==,
                    EMUL_REPORT_QUEUED);
}

/* What came back to the emulated device, in order. */
static inline SvaGroup *returned(unsigned i)
{
    g_assert_cmpuint(i, <, sva->returned->len);
    return g_ptr_array_index(sva->returned, i);
}

typedef struct Test {
    const char *path;
    void (*func)(void);
} Test;

static inline int run_tests(int argc, char **argv, const char *prefix,
                            const Test *tests, size_t count)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    rcu_register_thread();
    for (size_t i = 0; i < count; i++) {
        g_autofree char *path = g_strdup_printf("%s/%s", prefix,
                                                tests[i].path);

        g_test_add_func(path, tests[i].func);
    }
    ret = g_test_run();
    rcu_unregister_thread();
    return ret;
}

#endif
