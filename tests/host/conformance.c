/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Checks, and the rig that most cases start from.
 */
#include "conformance.h"

#include <errno.h>
#include <string.h>

/* Numbers from here on are constants rather than counts. */
#define HEX_FROM 0x10000

void note(Conformance *c, const char *format, ...)
{
    va_list args;

    if (c->result->len) {
        g_string_append(c->result, "; ");
    }
    va_start(args, format);
    g_string_append_vprintf(c->result, format, args);
    va_end(args);
}

const char *errno_name(int err)
{
    const char *name = err ? strerrorname_np(err) : "0";

    return name ? name : "an unknown errno";
}

bool check_errno(Conformance *c, const char *what, int64_t ret, int err)
{
    int seen = ret < 0 ? errno : 0;

    if (seen == err) {
        note(c, "%s %s", what, errno_name(seen));
        return true;
    }
    note(c, "%s %s, not %s", what, errno_name(seen), errno_name(err));
    c->failed = true;
    return false;
}

bool check_value(Conformance *c, const char *what, uint64_t seen,
                 uint64_t expected)
{
    g_autofree char *text = g_strdup_printf(
        seen < HEX_FROM ? "%" G_GUINT64_FORMAT : "0x%" G_GINT64_MODIFIER "x",
        seen);

    if (seen == expected) {
        note(c, "%s %s", what, text);
        return true;
    }
    note(c, "%s %s, not %" G_GUINT64_FORMAT, what, text, expected);
    c->failed = true;
    return false;
}

bool check_text(Conformance *c, const char *what, const char *seen,
                const char *expected)
{
    if (strcmp(seen, expected) == 0) {
        note(c, "%s %s", what, seen);
        return true;
    }
    note(c, "%s %s, not %s", what, seen, expected);
    c->failed = true;
    return false;
}

bool check_none(Conformance *c, const char *what, uint64_t seen)
{
    note(c, "%s: %s", what, seen ? "some" : "none");
    c->failed |= seen > 0;
    return seen == 0;
}

bool need(Conformance *c, const char *what, int64_t ret)
{
    return ret >= 0 || check_errno(c, what, ret, 0);
}

/* Destroys @id, if it is there, and forgets it. */
static void drop(Conformance *c, const char *what, uint32_t *id)
{
    if (*id) {
        need(c, what, destroy(c, *id));
        *id = 0;
    }
}

void rig_down(Conformance *c, Rig *rig)
{
    if (rig->fault_fd >= 0) {
        need(c, "close of the rig's fault queue", close_fd(c, rig->fault_fd));
        rig->fault_fd = -1;
    }
    /* Before the device: an ID of a vDEVICE that goes with it stays taken. */
    drop(c, "destroy of the rig's vDEVICE", &rig->vdevice_id);
    drop(c, "destroy of the rig's device", &rig->stdev_id);
    drop(c, "destroy of the rig's HWPT", &rig->hwpt_id);
    drop(c, "destroy of the rig's fault queue", &rig->fault_id);
    drop(c, "destroy of the rig's vIOMMU", &rig->viommu_id);
    drop(c, "destroy of the rig's parent", &rig->parent_id);
    drop(c, "destroy of the rig's IOAS", &rig->ioas_id);
}

bool rig_up(Conformance *c, Rig *rig, bool faults)
{
    *rig = (Rig) { .fault_fd = -1 };
    if (need(c, "IOAS", ioas_alloc(c, &rig->ioas_id)) &&
        need(c, "mock device", mock_device(c, rig->ioas_id, 0, &rig->stdev_id,
                                           NULL, &rig->dev_id)) &&
        need(c, "nest parent", nest_parent_alloc(c, rig->dev_id, rig->ioas_id,
                                                 &rig->parent_id)) &&
        need(c, "vIOMMU", viommu_alloc(c, rig->dev_id, rig->parent_id,
                                       &rig->viommu_id)) &&
        need(c, "vDEVICE", vdevice_alloc(c, rig->viommu_id, rig->dev_id,
                                         RIG_VIRT_ID, &rig->vdevice_id)) &&
        (!faults || need(c, "fault queue", fault_alloc(c, &rig->fault_id,
                                                       &rig->fault_fd))) &&
        need(c, "nested HWPT", nested_alloc(c, rig->dev_id, rig->viommu_id,
                                            rig->fault_id, &rig->hwpt_id)) &&
        need(c, "attach", mock_replace(c, rig->stdev_id, rig->hwpt_id))) {
        return true;
    }
    rig_down(c, rig);
    return false;
}
