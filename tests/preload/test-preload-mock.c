/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Mock devices under the preloaded library, as the kernel's selftests have
 * them: no VFIO, and events by the test ioctl or by the control socket.
 */
#include "preload-machine.h"
#include "../unit/test-emul-mock.h"

enum { MOCK_EVENT_SIZE = 12 };

static void test_events(void)
{
    MockMachine m = { .host = preload_machine_open() };
    int control = control_connect();
    g_autofree char *command = NULL;
    uint32_t record[MOCK_EVENT_SIZE / 4];
    uint32_t queue_id;
    int fd;

    mock_machine_make(&m);
    command = g_strdup_printf("event %u", m.device.dev_id);
    control_expect(control, command, "error device 3: No such file or "
                                     "directory");
    mock_machine_attach(&m, m.nested_id);
    control_expect(control, command, "error device 3: Operation not "
                                     "supported");
    g_assert_cmpint(veventq_alloc(m.host, m.viommu_id,
                                  IOMMU_VEVENTQ_TYPE_SELFTEST, 4, &queue_id,
                                  &fd), ==, 0);
    g_assert_cmpint(mock_vevent(m.host, m.device.dev_id), ==, 0);
    control_expect(control, command, "ok");
    for (uint32_t i = 0; i < 2; i++) {
        g_assert_cmpint(poll_now(fd), ==, POLLIN | POLLRDNORM);
        g_assert_cmpint(read(fd, record, sizeof(record)), ==, sizeof(record));
        g_assert_cmpuint(record[1], ==, i);
        g_assert_cmphex(record[2], ==, MOCK_VIRT_ID);
    }
    g_assert_cmpint(poll_now(fd), ==, 0);
    close(fd);
    g_assert_cmpint(destroy(m.host, queue_id), ==, 0);
    mock_machine_destroy(&m);
    close(control);
    host_iommu_free(m.host);
}

int main(int argc, char **argv)
{
    preload_test_init(&argc, &argv);
    g_test_add_func("/preload/mock/events-by-ioctl-and-by-command",
                    test_events);
    return g_test_run();
}
