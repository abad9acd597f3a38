/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sink of eventfds. They are non-blocking: a write to one whose counter is
 * at its maximum fails, which loses nothing, since its reader has a pending
 * interrupt already.
 */
#include "hw/iommu/irq-sink.h"

#include "base/error.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LINES_MAX 8

typedef struct EventfdSink {
    IrqSink sink;               /* first */
    uint64_t doorbell;          /* [const] 0 for none */
    unsigned lines;             /* [const] */
    int fds[LINES_MAX];         /* [const] the first @lines are open */
} EventfdSink;

static EventfdSink *to_eventfd_sink(IrqSink *sink)
{
    return (EventfdSink *)sink;
}

/* A line beyond those asked for has nobody to tell; guests may provoke it. */
static void eventfd_pulse(IrqSink *sink, unsigned line)
{
    EventfdSink *self = to_eventfd_sink(sink);
    const uint64_t one = 1;

    if (line < self->lines) {
        ssize_t ret = write(self->fds[line], &one, sizeof(one));

        g_assert(ret == sizeof(one) || errno == EAGAIN);
    }
}

static bool eventfd_message(IrqSink *sink, uint64_t address, uint32_t data)
{
    EventfdSink *self = to_eventfd_sink(sink);

    if (self->doorbell == 0 || address != self->doorbell ||
        data >= self->lines) {
        return false;
    }
    eventfd_pulse(sink, data);
    return true;
}

static const IrqSinkOps eventfd_ops = {
    .pulse = eventfd_pulse,
    .message = eventfd_message,
};

int irq_sink_eventfd_get(IrqSink *sink, unsigned line)
{
    EventfdSink *self = to_eventfd_sink(sink);

    g_assert(line < self->lines);
    return self->fds[line];
}

void irq_sink_eventfd_free(IrqSink *sink)
{
    if (sink) {
        EventfdSink *self = to_eventfd_sink(sink);

        for (unsigned i = 0; i < self->lines; i++) {
            close(self->fds[i]);
        }
        g_free(self);
    }
}

IrqSink *irq_sink_eventfd_new(unsigned lines, uint64_t doorbell, GError **error)
{
    EventfdSink *self;

    if (lines < 1 || lines > LINES_MAX) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "%u interrupt lines: must be 1 to %d", lines, LINES_MAX);
        return NULL;
    }
    self = g_try_new0(EventfdSink, 1);
    if (!self) {
        error_set_errno(error, ENOMEM, "%u interrupt lines", lines);
        return NULL;
    }
    self->sink.ops = &eventfd_ops;
    self->doorbell = doorbell;
    /* lines counts the fds that are open, so that _free() undoes so many. */
    while (self->lines < lines) {
        int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

        if (fd < 0) {
            error_set_errno(error, errno, "eventfd for interrupt line %u",
                            self->lines);
            irq_sink_eventfd_free(&self->sink);
            return NULL;
        }
        self->fds[self->lines++] = fd;
    }
    return &self->sink;
}
