/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "storm.h"

/* Group indices are the place in slots[], plus a multiple of their number. */
#define INDEX_MULTIPLES 2
#define INDICES (INDEX_MULTIPLES * HOST_PORT_SLOTS)

#define MAX_PAGES 3

static HostSlot *claim_slot(HostPort *port, GRand *rand)
{
    unsigned start = g_rand_int_range(rand, 0, HOST_PORT_SLOTS);

    for (unsigned i = 0; i < HOST_PORT_SLOTS; i++) {
        HostSlot *slot = &port->slots[(start + i) % HOST_PORT_SLOTS];

        if (!atomic_exchange(&slot->out, true)) {
            return slot;
        }
    }
    return NULL;
}

/* Of the ports' indices none are the same: no group gets another's pages. */
static uint32_t random_index(const HostPort *port, const HostSlot *slot,
                             GRand *rand)
{
    return (port->rid - STORM_HOST_RID) * INDICES + (slot - port->slots) +
           HOST_PORT_SLOTS * g_rand_int_range(rand, 0, INDEX_MULTIPLES);
}

/*
 * Pages go where the PASID is attached at that moment. If that is nowhere when
 * the last one comes, those before it may be left behind, and come along with
 * the next group of that index: a malformed one, if its PASID is another.
 */
static bool raise_pages(HostPort *port, EmulPageRequest *request, int count)
{
    StormUnit *unit = port->unit;
    HostIommu *host = unit->f->host;
    bool begun = false;
    bool raised = false;

    for (int i = 1; i <= count; i++) {
        request->addr = 4096 * i;
        request->last = i == count;
        raised = host->hardware->request_page(host, request) ==
                 HARDWARE_QUEUED;
        begun |= raised;
    }
    storm_count(&unit->books.left_behind, begun && !raised);
    storm_count(&unit->books.host_raised, raised);
    return raised;
}

bool host_port_raise(HostPort *port, uint32_t pasid, GRand *rand)
{
    HostSlot *slot = claim_slot(port, rand);
    int most = MIN(MAX_PAGES,
                   port->unit->f->host->hardware->group_pages_max);
    EmulPageRequest request = {
        .dev_id = atomic_load(&port->dev_id),
        .pasid = pasid,
        .perm = PGFAULT_PERM_READ | PGFAULT_PERM_WRITE,
        .tag = (uintptr_t)slot,
    };

    if (!slot) {
        return false;
    }
    slot->index = random_index(port, slot, rand);
    request.grpid = slot->index;
    if (!raise_pages(port, &request,
                     g_rand_int_range(rand, 1, most + 1))) {
        atomic_store(&slot->out, false);
        return false;
    }
    return true;
}

void host_port_answered(const EmulPageAnswer *answer, void *opaque)
{
    HostSlot *slot = (HostSlot *)(uintptr_t)answer->tag;
    StormUnit *unit = slot->unit;

    storm_count(&unit->books.host_back, 1);
    if (answer->automatic) {
        storm_count(&unit->books.automatic, 1);
    } else {
        storm_note_code(unit, slot->index, answer->code);
    }
    /* Once, or somebody else's group was answered in its place. */
    g_assert_true(atomic_exchange(&slot->out, false));
}

void host_port_plug(HostPort *port)
{
    port->device = vtd_fixture_plug(port->unit->f, port->rid);
    atomic_store(&port->dev_id, vfio_device_get_dev_id(port->device));
}

void host_port_unplug(HostPort *port)
{
    vtd_fixture_unplug(port->unit->f, g_steal_pointer(&port->device),
                       port->rid);
}

void host_port_init(HostPort *port, StormUnit *unit, uint16_t rid)
{
    port->unit = unit;
    port->rid = rid;
    for (unsigned i = 0; i < HOST_PORT_SLOTS; i++) {
        port->slots[i].unit = unit;
    }
}
