/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fault, invalidation and page request events (7.3 to 7.5, 6.5.2): one state
 * machine. A message is sent under the ring_lock, with the change of status
 * that it announces: a vCPU that sees it sees the change.
 */
#include "hw/i386/vtd-internal.h"

#include <inttypes.h>

/**
 * struct EventRegisters - where an event has its registers
 * @status: of it, @counted: the bits that keep it pending
 * @control: IM and IP; data, address and upper address follow
 */
typedef struct EventRegisters {
    unsigned status;
    uint32_t counted;
    unsigned control;
} EventRegisters;

enum { CONTROL, DATA, ADDR, UADDR };

static const EventRegisters events[] = {
    [VTD_EVENT_FAULT] = {
        R_FSTS, FIELD_MASK(FSTS, PFO) | FIELD_MASK(FSTS, PPF) |
                    FIELD_MASK(FSTS, IQE) | FIELD_MASK(FSTS, ICE) |
                    FIELD_MASK(FSTS, ITE), R_FECTL,
    },
    [VTD_EVENT_INVALIDATION] = { R_ICS, FIELD_MASK(ICS, IWC), R_IECTL },
    [VTD_EVENT_PAGE_REQUEST] = {
        R_PRS, FIELD_MASK(PRS, PPR) | FIELD_MASK(PRS, PRO), R_PECTL,
    },
};

G_STATIC_ASSERT(R_FECTL + UADDR == R_FEUADDR);
G_STATIC_ASSERT(R_IECTL + UADDR == R_IEUADDR);
G_STATIC_ASSERT(R_PECTL + UADDR == R_PEUADDR);

/* The message goes to the interrupt controller: it is never remapped. */
static void send(Vtd *v, VtdEvent event) REQUIRES(&v->parent.ring_lock)
{
    IrqSink *irq = v->parent.config.irq;
    uint32_t *control = &v->reg[events[event].control];
    uint64_t address = (uint64_t)control[UADDR] << 32 | control[ADDR];

    control[CONTROL] &= ~FIELD_MASK(ECTL, IP);
    if (event == VTD_EVENT_PAGE_REQUEST) {
        /* By the home thread or a vCPU that unmasks: the lock makes it one. */
        counter_add(&v->parent.page_counters.interrupts, 1);
    }
    if (!irq->ops->message(irq, address, control[DATA])) {
        viommu_warn_once(&v->parent, VTD_WARN_INTERRUPT,
                         "interrupt message to 0x%" PRIx64 " finds nothing",
                         address);
    }
}

void vtd_event_set(Vtd *v, VtdEvent event, uint32_t bits)
{
    uint32_t *status = &v->reg[events[event].status];
    uint32_t *control = &v->reg[events[event].control];
    bool first = !(*status & events[event].counted);

    *status |= bits;
    if (first) {
        control[CONTROL] |= FIELD_MASK(ECTL, IP);
        if (!FIELD_GET(control[CONTROL], ECTL, IM)) {
            send(v, event);
        }
    }
}

void vtd_event_cleared(Vtd *v, VtdEvent event)
{
    if (!(v->reg[events[event].status] & events[event].counted)) {
        v->reg[events[event].control] &= ~FIELD_MASK(ECTL, IP);
    }
}

void vtd_event_write_control(Vtd *v, VtdEvent event, uint32_t value)
{
    uint32_t *control = &v->reg[events[event].control];

    *control = FIELD_SET(*control, ECTL, IM, FIELD_GET(value, ECTL, IM));
    if (!FIELD_GET(*control, ECTL, IM) && FIELD_GET(*control, ECTL, IP)) {
        send(v, event);
    }
}
