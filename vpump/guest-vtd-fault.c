/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The order is that of Linux's dmar_fault(). Invalidation queue errors are left
 * to whoever submitted.
 */
#include "guest-vtd-internal.h"

#include "base/report.h"

#include <inttypes.h>

/* 11.4.7.5: a record's dwords 2 and 3 */
FIELD(FRCD2, SID, 0, 16)
FIELD(FRCD3, FR, 0, 8)
FIELD(FRCD3, PV, 8, 20)
FIELD(FRCD3, F, 31, 1)

enum { FRCD_BYTES = 16 };

/* PFO, PPF, and bit 7, which was PRO: what Linux writes. */
#define FSTS_LINUX 0x83

/* Messages to the operator: a flood of faults fails the run all the same. */
enum { REPORTS_MAX = 10 };

static void report_record(GuestVtd *guest, uint32_t dword2, uint32_t dword3,
                          uint64_t addr)
{
    uint64_t count = counter_get(&guest->counters.faults);

    if (count > REPORTS_MAX) {
        return;
    }
    warn_report("guest of '%s': fault 0x%x of device 0x%x, PASID 0x%x, "
                "address 0x%" PRIx64 "%s",
                viommu_get_id(guest->viommu),
                (unsigned)FIELD_GET(dword3, FRCD3, FR),
                (unsigned)FIELD_GET(dword2, FRCD2, SID),
                (unsigned)FIELD_GET(dword3, FRCD3, PV), addr,
                count == REPORTS_MAX ? "; more are not reported" : "");
}

/* Return: false if there is no record at @offset. */
static bool take_record(GuestVtd *guest, uint32_t offset)
{
    uint32_t dword3 = guest_vtd_read32(guest, offset + 12);
    uint32_t dword2;
    uint64_t addr;

    if (!FIELD_GET(dword3, FRCD3, F)) {
        return false;
    }
    dword2 = guest_vtd_read32(guest, offset + 8);
    addr = guest_vtd_read64(guest, offset);
    guest_vtd_write32(guest, offset + 12, FIELD_MASK(FRCD3, F));
    counter_add(&guest->counters.faults, 1);
    report_record(guest, dword2, dword3, addr);
    return true;
}

void guest_fault_handle(GuestVtd *guest)
{
    uint32_t base = FIELD_GET(guest->cap, DMAR_CAP, FRO) * FRCD_BYTES;
    uint32_t count = FIELD_GET(guest->cap, DMAR_CAP, NFR) + 1;
    uint32_t fsts = guest_vtd_read32(guest, DMAR_FSTS);

    if (FIELD_GET(fsts, DMAR_FSTS, PPF)) {
        uint32_t index = FIELD_GET(fsts, DMAR_FSTS, FRI) % count;

        while (take_record(guest, base + index * FRCD_BYTES)) {
            index = (index + 1) % count;
        }
    }
    guest_vtd_write32(guest, DMAR_FSTS, FSTS_LINUX);
}
