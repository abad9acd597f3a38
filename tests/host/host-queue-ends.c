/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A host queue that ends: its reads fail for good, or give nothing, while its
 * fd says that it is ready, or has hung up. It is closed with one message, and
 * after some turns the loop has nothing to do; the queue of another vIOMMU on
 * the same thread goes on; and when the guest sets its queue up again there is
 * another one. The loop is the test's, which counts the turns.
 */
#include "failing-host.h"
#include "fixture.h"
#include "vtd-fixture.h"

#include "base/rcu.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOG2_EVENTQ 3
#define LOG2_CMDQ 4
#define SID 1
#define PASID 1
#define DID 17

/* What it may take to read what there is, or to give up: "try again" is tried
   more often than others. */
#define TURNS_MAX 100
#define TURNS_AGAIN_MAX 5000

#define CONTEXT_BITS                                                     \
    (FIELD_MASK(CONTEXT0, P) | FIELD_MASK(CONTEXT0, DTE) |               \
     FIELD_MASK(CONTEXT0, PASIDE) | FIELD_MASK(CONTEXT0, PRE))

FIELD(PRQ_ENTRY1, PRGI, 3, 9)

/* How it ends. */
typedef struct End {
    const char *path;
    int err;                    /* 0: reads give nothing */
    bool hang_up;
    unsigned turns_max;         /* until it is given up */
} End;

/* The loop comes to rest. */
static void run_turns_until(AioContext *ctx, unsigned turns_max)
{
    unsigned turns = 0;

    while (aio_poll(ctx, false)) {
        g_assert_cmpuint(++turns, <, turns_max);
    }
}

static void run_turns(AioContext *ctx)
{
    run_turns_until(ctx, TURNS_MAX);
}

/* ---- The other end goes ---- */

/* The writer of the pipe that @fd reads from. */
static int find_writer(int fd)
{
    g_autofree char *own = g_strdup_printf("/proc/self/fd/%d", fd);
    g_autofree char *pipe = g_file_read_link(own, NULL);

    for (int other = 0; other < 1024; other++) {
        g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", other);
        g_autofree char *link = g_file_read_link(path, NULL);

        if (other != fd && g_strcmp0(link, pipe) == 0) {
            return other;
        }
    }
    g_error("no writer for %s", pipe);
}

/* POLLHUP on @fd. In the place of a writer comes one without a reader. */
static void hang_up(int fd)
{
    int orphan[2];
    int writer;

    if (shutdown(fd, SHUT_RDWR) == 0) {
        return;
    }
    writer = find_writer(fd);
    g_assert_cmpint(pipe2(orphan, O_CLOEXEC), ==, 0);
    close(orphan[0]);
    g_assert_cmpint(dup2(orphan[1], writer), ==, writer);
    close(orphan[1]);
}

static void end_queue(int fd, const End *end)
{
    failing_host_end_queue(fd, end->err);
    if (end->hang_up) {
        hang_up(fd);
    }
}

static HostIommu *open_host(void)
{
    g_autoptr(GError) error = NULL;
    HostIommu *host = test_host_open("mock", 0, NULL, &error);

    g_assert_no_error(error);
    failing_host_lay_over(host);
    return host;
}

static void check_told_once(const End *end, const char *queue)
{
    g_assert_cmpuint(message_log_count(), ==, 1);
    g_assert_cmpuint(message_log_matching(queue), ==, 1);
    g_assert_cmpuint(message_log_matching(
        end->err ? g_strerror(end->err) : "always ready"), ==, 1);
    g_assert_cmpuint(message_log_matching("closed until"), ==, 1);
    message_log_start();
}

/* ---- SMMUv3 ---- */

/* Another one behind the same host and on the same thread. */
static Fixture *fixture_new_beside(const Fixture *f)
{
    Fixture *other = g_memdup2(f, sizeof(*f));
    g_autoptr(GError) error = NULL;

    other->ram = guest_ram_new(&other->mem);
    other->devices = g_ptr_array_new();
    memset(&other->irq, 0, sizeof(other->irq));
    counting_sink_init(&other->irq);
    other->viommu = smmuv3_new(&(ViommuConfig){ .id = "smmu1",
                                                .ctx = other->ctx,
                                                .mem = other->mem,
                                                .irq = &other->irq.parent },
                               NULL, &error);
    g_assert_no_error(error);
    return other;
}

static void fixture_free_beside(Fixture *other)
{
    fixture_unplug_all(other);
    g_ptr_array_unref(other->devices);
    viommu_free(other->viommu);
    guest_ram_free(other->ram, other->mem);
    g_free(other);
}

static void check_arrives(Fixture *f, VfioDevice *device)
{
    uint64_t event[4];

    g_assert_cmpint(fixture_report(f, device, 0x1000), ==, HARDWARE_QUEUED);
    run_turns(f->ctx);
    g_assert_true(guest_consume(f, event));
    g_assert_false(guest_consume(f, event));
}

static void test_smmuv3(gconstpointer opaque)
{
    const End *end = opaque;
    Fixture *f = fixture_new_on(open_host(), NULL, false);
    Fixture *other = fixture_new_beside(f);
    VfioDevice *device;
    VfioDevice *others;
    int fd;

    message_log_start();
    guest_start(f, LOG2_EVENTQ, LOG2_CMDQ);
    guest_start(other, LOG2_EVENTQ, LOG2_CMDQ);
    device = fixture_plug(f, SID);
    fd = failing_host_last_queue();
    others = fixture_plug(other, SID);
    check_arrives(f, device);

    /* Readable, unless it hangs up: then that is all that is told of it. */
    if (!end->hang_up) {
        g_assert_cmpint(fixture_report(f, device, 0), ==, HARDWARE_QUEUED);
    }
    end_queue(fd, end);
    run_turns_until(f->ctx, end->turns_max);
    check_told_once(end, "vIOMMU 'smmu0': vEVENTQ");
    check_arrives(other, others);

    failing_host_end_queue(-1, 0);
    guest_disable_eventq(f);
    guest_enable_eventq(f, LOG2_EVENTQ);
    check_arrives(f, device);
    check_arrives(other, others);
    g_assert_cmpuint(message_log_count(), ==, 0);
    fixture_free_beside(other);
    fixture_free(f);
}

/* ---- VT-d ---- */

static void set_pasid(VtdFixture *f, bool present)
{
    vtd_guest_set_pasid(f, PASID, DID, present ? VTD_GUEST_FREE : 0);
    vtd_guest_submit(f, vtd_desc_pasid_cache(PASID_CACHE_G_PASID, DID, PASID),
                     0);
}

static void request(VtdFixture *f, VfioDevice *device, uint32_t index)
{
    const HardwarePageRequest page = {
        .dev_id = vfio_device_get_dev_id(device),
        .pasid = PASID, .grpid = index, .perm = PGFAULT_PERM_READ,
        .addr = 0x1000, .last = true,
    };

    g_assert_cmpint(f->host->hardware->request_page(f->host, &page), ==,
                    HARDWARE_QUEUED);
}

static void check_answered(VtdFixture *f, VfioDevice *device, uint32_t index)
{
    uint64_t entry[4];

    request(f, device, index);
    run_turns(f->ctx);
    g_assert_true(vtd_guest_consume(f, entry));
    vtd_guest_respond(f, SID, PASID, FIELD_GET(entry[1], PRQ_ENTRY1, PRGI),
                      PAGE_RESPONSE_SUCCESS);
    run_turns(f->ctx);
    g_assert_cmpuint(f->host->hardware->get_page_stats(f->host).open, ==, 0);
}

static VtdFixture *new_vtd(VfioDevice **device)
{
    const VtdProperties properties = {
        .svm = true, .pt = true, .fs1gp = true, .pasid_bits = 8,
    };
    VtdFixture *f = vtd_fixture_new_on(open_host(), &properties, false);

    vtd_guest_start(f, 0);
    vtd_guest_set_context(f, SID, CONTEXT_BITS);
    vtd_guest_submit(f, vtd_desc_context_cache(CONTEXT_G_GLOBAL, 0, 0), 0);
    set_pasid(f, true);
    *device = vtd_fixture_plug(f, SID);
    return f;
}

static void test_vtd(gconstpointer opaque)
{
    const End *end = opaque;
    VfioDevice *device;
    VtdFixture *f = new_vtd(&device);
    int fd = failing_host_last_queue();

    message_log_start();
    check_answered(f, device, 1);
    if (!end->hang_up) {
        request(f, device, 2);
    }
    end_queue(fd, end);
    run_turns_until(f->ctx, end->turns_max);
    check_told_once(end, "fault queue");

    failing_host_end_queue(-1, 0);
    set_pasid(f, false);
    set_pasid(f, true);
    check_answered(f, device, 3);
    g_assert_cmpuint(message_log_count(), ==, 0);
    vtd_fixture_free(f);
}

/* ---- Not at its end, but without room ---- */

/* Readable all the time, and there is nothing to be done until CONS moves. */
static void test_full(void)
{
    Fixture *f = fixture_new_on(open_host(), NULL, false);
    const unsigned more = 5;
    uint64_t event[4];
    VfioDevice *device;

    guest_start(f, LOG2_EVENTQ, LOG2_CMDQ);
    device = fixture_plug(f, SID);
    for (unsigned i = 0; i < (1 << LOG2_EVENTQ) + more; i++) {
        fixture_report(f, device, i);
        run_turns(f->ctx);
    }
    for (unsigned i = 0; i < (1 << LOG2_EVENTQ) + more; i++) {
        run_turns(f->ctx);
        g_assert_true(guest_consume(f, event));
    }
    run_turns(f->ctx);
    g_assert_false(guest_consume(f, event));
    fixture_free(f);
}

static const End ends[] = {
    { "ENODEV", ENODEV, false, TURNS_MAX },
    { "EIO", EIO, false, TURNS_MAX },
    { "EINTR", EINTR, false, TURNS_AGAIN_MAX },
    { "EAGAIN", EAGAIN, false, TURNS_AGAIN_MAX },
    { "nothing", 0, false, TURNS_MAX },
    { "ENODEV-and-hang-up", ENODEV, true, TURNS_MAX },
    { "nothing-and-hang-up", 0, true, TURNS_MAX },
};

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    rcu_register_thread();
    for (size_t i = 0; i < G_N_ELEMENTS(ends); i++) {
        g_autofree char *smmuv3 =
            g_strdup_printf("/queue-ends/smmuv3/%s", ends[i].path);
        g_autofree char *vtd =
            g_strdup_printf("/queue-ends/vtd/%s", ends[i].path);

        g_test_add_data_func(smmuv3, &ends[i], test_smmuv3);
        g_test_add_data_func(vtd, &ends[i], test_vtd);
    }
    g_test_add_func("/queue-ends/full-is-no-end", test_full);
    ret = g_test_run();
    rcu_unregister_thread();
    return ret;
}
