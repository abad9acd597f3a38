/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Texts of what a queue gave, and the fixtures that several tables of cases
 * share. Set-up is silent, so that the notes of a case are its own.
 */
#include "queue-checks.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>

/* ---- Texts ---- */

/* Of a call that has just failed, its errno. */
static GString *text_of_return(int64_t ret)
{
    GString *text = g_string_new(NULL);

    if (ret < 0) {
        g_string_append(text, errno_name(errno));
    } else {
        g_string_append_printf(text, "%" PRId64, ret);
    }
    return text;
}

/* One record of a vEVENTQ. Return: bytes, 0 if it is not whole. */
static size_t parse_vevent(const char *buf, size_t size,
                           struct iommufd_vevent_header *header,
                           uint32_t *virt_id)
{
    if (size < VEVENT_HEADER_SIZE) {
        return 0;
    }
    memcpy(header, buf, VEVENT_HEADER_SIZE);
    *virt_id = RIG_VIRT_ID;
    if (header->flags & IOMMU_VEVENTQ_FLAG_LOST_EVENTS) {
        return VEVENT_HEADER_SIZE;
    }
    if (size < VEVENT_SIZE) {
        return 0;
    }
    memcpy(virt_id, buf + VEVENT_HEADER_SIZE, sizeof(*virt_id));
    return VEVENT_SIZE;
}

/* A run of ordinary events in the making: none if @num is 0. */
typedef struct Run {
    uint32_t first;
    uint32_t num;
} Run;

static void end_run(GString *text, Run *run)
{
    if (run->num > 2) {
        g_string_append_printf(text, " %u-%u", run->first,
                               run->first + run->num - 1);
    } else {
        for (uint32_t i = 0; i < run->num; i++) {
            g_string_append_printf(text, " %u", run->first + i);
        }
    }
    run->num = 0;
}

static void add_vevent(GString *text, Run *run,
                       const struct iommufd_vevent_header *header,
                       uint32_t virt_id)
{
    if (header->flags == 0 && virt_id == RIG_VIRT_ID) {
        if (run->num == 0 || header->sequence != run->first + run->num) {
            end_run(text, run);
            run->first = header->sequence;
        }
        run->num++;
        return;
    }
    end_run(text, run);
    if (header->flags == IOMMU_VEVENTQ_FLAG_LOST_EVENTS) {
        g_string_append_printf(text, " L%u", header->sequence);
        return;
    }
    g_string_append_printf(text, " %u", header->sequence);
    if (header->flags) {
        g_string_append_printf(text, "/f%x", header->flags);
    }
    if (virt_id != RIG_VIRT_ID) {
        g_string_append_printf(text, "/v%x", virt_id);
    }
}

static void add_vevents(GString *text, const char *buf, size_t size)
{
    struct iommufd_vevent_header header;
    Run run = { 0 };
    uint32_t virt_id;
    size_t at = 0;
    size_t taken;

    while ((taken = parse_vevent(buf + at, size - at, &header, &virt_id))) {
        add_vevent(text, &run, &header, virt_id);
        at += taken;
    }
    end_run(text, &run);
    if (at < size) {
        g_string_append_printf(text, " and %zu bytes", size - at);
    }
}

static void add_faults(GString *text, const char *buf, size_t size)
{
    struct iommu_hwpt_pgfault record;

    for (size_t at = 0; at + PGFAULT_SIZE <= size; at += PGFAULT_SIZE) {
        memcpy(&record, buf + at, PGFAULT_SIZE);
        g_string_append_printf(text, " c%u/g%u", record.cookie, record.grpid);
    }
    if (size % PGFAULT_SIZE) {
        g_string_append_printf(text, " and %zu bytes", size % PGFAULT_SIZE);
    }
}

/* ---- Checks ---- */

static bool check_read(Conformance *c, int fd, size_t count,
                       void (*add)(GString *text, const char *buf,
                                   size_t size), const char *expected)
{
    g_autofree char *what = g_strdup_printf("read(%zu)", count);
    g_autofree char *buf = g_malloc(count + 1);
    ssize_t ret = host_read(c, fd, buf, count);
    GString *text = text_of_return(ret);
    bool same;

    if (ret > 0) {
        GString *records = g_string_new(NULL);

        add(records, buf, (size_t)ret);
        g_string_append_printf(text, " [%s]", records->str + 1);
        g_string_free(records, TRUE);
    }
    same = check_text(c, what, text->str, expected);
    g_string_free(text, TRUE);
    return same;
}

bool check_vevents(Conformance *c, int fd, size_t count, const char *expected)
{
    return check_read(c, fd, count, add_vevents, expected);
}

bool check_faults(Conformance *c, int fd, size_t count, const char *expected)
{
    return check_read(c, fd, count, add_faults, expected);
}

bool check_fault(Conformance *c, int fd, struct iommu_hwpt_pgfault *record)
{
    ssize_t ret;

    memset(record, 0xee, sizeof(*record));
    ret = host_read(c, fd, record, sizeof(*record));
    return need(c, "read", ret) &&
           (ret == PGFAULT_SIZE ||
            check_value(c, "bytes", (uint64_t)ret, PGFAULT_SIZE));
}

/* POLLWRNORM is left out: a socket has it, the kernel's fault queue has not. */
bool check_poll(Conformance *c, int fd, const char *expected)
{
    static const struct {
        short event;
        const char *name;
    } names[] = {
        { POLLIN, " IN" }, { POLLRDNORM, " RDNORM" }, { POLLOUT, " OUT" },
        { POLLPRI, " PRI" }, { POLLRDHUP, " RDHUP" }, { POLLERR, " ERR" },
        { POLLHUP, " HUP" }, { POLLNVAL, " NVAL" },
    };
    struct pollfd pollfd = {
        .fd = fd,
        .events = POLLIN | POLLRDNORM | POLLOUT | POLLPRI | POLLRDHUP,
    };
    int ret = poll(&pollfd, 1, 0);
    g_autoptr(GString) text = g_string_new(ret == 0 ? " none" : NULL);

    for (size_t i = 0; ret > 0 && i < G_N_ELEMENTS(names); i++) {
        if (pollfd.revents & names[i].event) {
            g_string_append(text, names[i].name);
        }
    }
    return check_text(c, "poll", text->str + 1, expected);
}

bool check_answers(Conformance *c, int fd, const char *expected,
                   const struct iommu_hwpt_page_response *answers,
                   size_t count)
{
    ssize_t ret = host_write(c, fd, answers, count * RESPONSE_SIZE);
    GString *seen = text_of_return(ret);
    g_autoptr(GString) what = g_string_new("answer");
    bool same;

    for (size_t i = 0; i < count; i++) {
        g_string_append_printf(what, "%sc%u", i ? "+" : " ",
                               answers[i].cookie);
        if (answers[i].code != IOMMUFD_PAGE_RESP_SUCCESS) {
            g_string_append_printf(what, "=%u", answers[i].code);
        }
    }
    same = check_text(c, what->str, seen->str, expected);
    g_string_free(seen, TRUE);
    return same;
}

void check_queue_fd(Conformance *c, int fd)
{
    struct iommu_ioas_alloc cmd = { .size = sizeof(cmd) };

    check_value(c, "F_GETFD", (uint64_t)fcntl(fd, F_GETFD), FD_CLOEXEC);
    check_errno(c, "ioctl", c->host->ops->ioctl(c->host, fd, IOMMU_IOAS_ALLOC,
                                                &cmd), ENOTTY);
}

void check_closed_fd(Conformance *c, int fd)
{
    char buf[PGFAULT_SIZE] = { 0 };

    check_errno(c, "read", host_read(c, fd, buf, sizeof(buf)), EBADF);
    check_errno(c, "write", host_write(c, fd, buf, RESPONSE_SIZE), EBADF);
    check_errno(c, "close", close_fd(c, fd), EBADF);
    check_poll(c, fd, "NVAL");
}

/* ---- Actions ---- */

void trigger_vevents(Conformance *c, uint32_t dev_id, unsigned n)
{
    note(c, "%u triggered", n);
    for (unsigned i = 0; i < n; i++) {
        if (!need(c, "trigger", trigger_vevent(c, dev_id))) {
            return;
        }
    }
}

void trigger_faults(Conformance *c, uint32_t dev_id, uint32_t pasid,
                    uint32_t first, unsigned n)
{
    note(c, n > 1 ? "faults g%u-g%u" : "fault g%u", first, first + n - 1);
    if (pasid) {
        g_string_append_printf(c->result, " of PASID %u", pasid);
    }
    for (unsigned i = 0; i < n; i++) {
        if (!need(c, "trigger", trigger_iopf(c, dev_id, pasid, first + i,
                                             MOCK_APERTURE_START))) {
            return;
        }
    }
}

/* ---- Fixtures ---- */

bool veventq_up(Conformance *c, uint32_t viommu_id, uint32_t depth,
                Queue *queue)
{
    return need(c, "veventq", veventq_alloc(c, viommu_id, depth, &queue->id,
                                            &queue->fd));
}

bool fault_queue_up(Conformance *c, Queue *queue)
{
    return need(c, "fault queue", fault_alloc(c, &queue->id, &queue->fd));
}

void queue_down(Conformance *c, const Queue *queue)
{
    need(c, "close", close_fd(c, queue->fd));
    need(c, "destroy queue", destroy(c, queue->id));
}

bool veventq_rig_up(Conformance *c, VeventqRig *v, uint32_t depth)
{
    if (!rig_up(c, &v->rig, false)) {
        return false;
    }
    if (!veventq_up(c, v->rig.viommu_id, depth, &v->queue)) {
        rig_down(c, &v->rig);
        return false;
    }
    return true;
}

void veventq_rig_down(Conformance *c, VeventqRig *v)
{
    queue_down(c, &v->queue);
    rig_down(c, &v->rig);
}

bool other_device_up(Conformance *c, const Rig *rig, uint64_t virt_id,
                     uint32_t fault_id, OtherDevice *other)
{
    if (!need(c, "device", mock_device(c, rig->ioas_id, 0, &other->stdev_id,
                                       NULL, &other->dev_id))) {
        return false;
    }
    if (!need(c, "vdevice", vdevice_alloc(c, rig->viommu_id, other->dev_id,
                                          virt_id, &other->vdevice_id))) {
        goto out_destroy_device;
    }
    if (!need(c, "nested", nested_alloc(c, other->dev_id, rig->viommu_id,
                                        fault_id, &other->hwpt_id))) {
        goto out_destroy_vdevice;
    }
    if (!need(c, "attach", mock_replace(c, other->stdev_id,
                                        other->hwpt_id))) {
        goto out_destroy_hwpt;
    }
    return true;

out_destroy_hwpt:
    destroy(c, other->hwpt_id);
out_destroy_vdevice:
    destroy(c, other->vdevice_id);
out_destroy_device:
    destroy(c, other->stdev_id);
    return false;
}

void other_device_down(Conformance *c, const OtherDevice *other)
{
    need(c, "destroy vdevice", destroy(c, other->vdevice_id));
    need(c, "destroy device", destroy(c, other->stdev_id));
    need(c, "destroy nested", destroy(c, other->hwpt_id));
}
