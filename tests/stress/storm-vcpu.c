/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vCPU threads of the storm: changes of the tables, floods of invalidations,
 * and MMIO of devices.
 */
#include "storm.h"
#include "storm-guest.h"

#define MAX_FLOOD 64
#define BURST 4

/* ---- Descriptors ---- */

static uint64_t random_address(GRand *rand)
{
    return (uint64_t)g_rand_int_range(rand, 0, 1 << 20) << 12;
}

static void put(StormUnit *unit, uint64_t word0, uint64_t word1)
{
    vtd_guest_put(unit->f, word0, word1);
    storm_count(&unit->books.flushes, 1);
}

static void put_pasid_iotlb(StormUnit *unit, GRand *rand, uint32_t pasid)
{
    uint16_t did = storm_guest_did(pasid);

    if (storm_once_in(rand, 2)) {
        put(unit, vtd_desc_pasid_iotlb(PASID_IOTLB_G_PASID, did, pasid), 0);
    } else {
        put(unit, vtd_desc_pasid_iotlb(PASID_IOTLB_G_PAGE, did, pasid),
            random_address(rand) | g_rand_int_range(rand, 0, 4));
    }
}

static void put_pasid_device_tlb(StormUnit *unit, GRand *rand, uint32_t pasid)
{
    uint64_t word0 = VTD_DESC_PASID_DEVICE_TLB;
    uint16_t rid = STORM_SVA_RID + g_rand_int_range(rand, 0, STORM_SVA);

    word0 = FIELD_SET(word0, PASID_DEVICE_TLB_DESC0, SID, rid);
    word0 = FIELD_SET(word0, DESC0, PASID, pasid);
    put(unit, word0, random_address(rand));
}

static void put_iotlb(StormUnit *unit, GRand *rand, uint32_t pasid)
{
    unsigned g = g_rand_int_range(rand, IOTLB_G_GLOBAL, IOTLB_G_PAGE + 1);

    put(unit, vtd_desc_iotlb(g, storm_guest_did(pasid)),
        g == IOTLB_G_PAGE ? random_address(rand) : 0);
}

static void put_device_tlb(StormUnit *unit, GRand *rand)
{
    uint64_t word0 = VTD_DESC_DEVICE_TLB;
    uint16_t rid = STORM_HOST_RID + g_rand_int_range(rand, 0, STORM_HOST);

    put(unit, FIELD_SET(word0, DEVICE_TLB_DESC0, SID, rid),
        random_address(rand));
}

static void put_flood(StormUnit *unit, GRand *rand)
{
    uint32_t pasid = g_rand_int_range(rand, 0, STORM_SVA_PASIDS);

    switch (g_rand_int_range(rand, 0, 6)) {
    case 0:
        put_iotlb(unit, rand, pasid);
        break;
    case 1:
        put_device_tlb(unit, rand);
        break;
    case 2:
        put_pasid_device_tlb(unit, rand, pasid);
        break;
    default:
        put_pasid_iotlb(unit, rand, pasid);
        break;
    }
}

void storm_flood_step(void *opaque)
{
    StormUnit *unit = opaque;
    GRand *rand = unit->rand[STORM_FLOOD];
    int count = g_rand_int_range(rand, 1, MAX_FLOOD);

    storm_guest_lock(unit);
    for (int i = 0; i < count; i++) {
        put_flood(unit, rand);
    }
    storm_guest_submit(unit, rand);
    storm_guest_unlock(unit);
    gate_await_steps(unit->gate, g_rand_int_range(rand, 1, 5));
}

/* ---- Changes of the tables ---- */

/* As Linux does: the entry, then PASID cache, IOTLB, device TLB. */
static void submit_pasid_change(StormVcpu *vcpu, uint32_t pasid)
{
    StormUnit *unit = vcpu->unit;
    GRand *rand = vcpu->rand;
    unsigned g = storm_once_in(rand, 32)  ? PASID_CACHE_G_GLOBAL
                 : storm_once_in(rand, 8) ? PASID_CACHE_G_DOMAIN
                                          : PASID_CACHE_G_PASID;

    put(unit, vtd_desc_pasid_cache(g, storm_guest_did(pasid), pasid), 0);
    put_pasid_iotlb(unit, rand, pasid);
    put_pasid_device_tlb(unit, rand, pasid);
    storm_guest_submit(unit, rand);
    storm_count(&unit->books.changes, 1);
}

/* Whether the entry of @pasid is this vCPU's to change. */
static bool has_pasid(const StormVcpu *vcpu, uint32_t pasid)
{
    return pasid % vcpu->unit->mix->churners == vcpu->number;
}

/* Mostly one that is there goes, so that often none is left. */
static uint32_t choose_pasid(StormVcpu *vcpu, bool *goes)
{
    uint32_t start = g_rand_int_range(vcpu->rand, 0, STORM_PASIDS);
    uint32_t other = 0;

    *goes = !storm_once_in(vcpu->rand, 8);
    for (uint32_t i = 0; i < STORM_PASIDS; i++) {
        uint32_t pasid = (start + i) % STORM_PASIDS;

        if (has_pasid(vcpu, pasid) && *goes && vcpu->unit->tables[pasid]) {
            return pasid;
        }
        other = has_pasid(vcpu, pasid) ? pasid : other;
    }
    *goes = false;
    return other;
}

/* An entry comes, changes or goes: the last one takes the fault queue along. */
static void churn_host(StormVcpu *vcpu)
{
    StormUnit *unit = vcpu->unit;
    bool goes;
    uint32_t pasid = choose_pasid(vcpu, &goes);
    uint64_t table = STORM_FIRST_STAGES +
                     (random_address(vcpu->rand) & 0xfffff);

    unit->tables[pasid] = goes ? 0 : table;
    storm_guest_set_pasid(unit, STORM_HOST_PASID_TABLE, pasid,
                          unit->tables[pasid]);
    submit_pasid_change(vcpu, pasid);
}

/* The one PASID of the SVA devices that comes and goes, to either tree. */
static void churn_sva(StormVcpu *vcpu)
{
    const uint32_t pasid = STORM_SVA_PASIDS - 1;
    StormUnit *unit = vcpu->unit;
    unsigned tree = g_rand_int_range(vcpu->rand, 0, STORM_TREES + 1);
    unsigned bit = tree < STORM_TREES ? 1u << tree : 0;

    atomic_fetch_or(&unit->sva_tables, bit);
    storm_guest_set_pasid(unit, STORM_SVA_PASID_TABLE, pasid,
                          bit ? STORM_TREE(tree) : 0);
    submit_pasid_change(vcpu, pasid);
    atomic_store(&unit->sva_tables, bit);
}

/* Page requests of a host device are switched off, or on again. */
static void churn_context(StormVcpu *vcpu)
{
    StormUnit *unit = vcpu->unit;
    GRand *rand = vcpu->rand;
    uint16_t rid = STORM_HOST_RID + g_rand_int_range(rand, 0, STORM_HOST);

    storm_guest_set_context(unit, rid, !storm_once_in(rand, 4));
    put(unit, vtd_desc_context_cache(CONTEXT_G_DEVICE, 0, rid), 0);
    put(unit, vtd_desc_pasid_cache(PASID_CACHE_G_GLOBAL, 0, 0), 0);
    put(unit, vtd_desc_iotlb(IOTLB_G_GLOBAL, 0), 0);
    storm_guest_submit(unit, rand);
    storm_count(&unit->books.changes, 1);
}

static void churn(StormVcpu *vcpu)
{
    switch (g_rand_int_range(vcpu->rand, 0, 32)) {
    case 0:
        churn_context(vcpu);
        break;
    case 1:
    case 2:
    case 3:
        churn_sva(vcpu);
        break;
    default:
        churn_host(vcpu);
        break;
    }
}

/* The guest has its devices work with what there is. */
static void burst(StormVcpu *vcpu)
{
    StormUnit *unit = vcpu->unit;

    for (uint32_t pasid = 0; pasid < STORM_PASIDS; pasid++) {
        if (!has_pasid(vcpu, pasid) || !unit->tables[pasid]) {
            continue;           /* read without lock: nobody else writes it */
        }
        for (unsigned i = 0; i < BURST; i++) {
            host_port_raise(&unit->host[i % STORM_HOST], pasid, vcpu->rand);
        }
    }
}

void storm_churn_step(void *opaque)
{
    StormVcpu *vcpu = opaque;

    storm_guest_lock(vcpu->unit);
    churn(vcpu);
    storm_guest_unlock(vcpu->unit);
    if (vcpu->unit->mix->hosts) {
        burst(vcpu);
    }
    gate_step(vcpu->unit->gate);
}

/* ---- MMIO ---- */

static void toggle_mask(StormUnit *unit, bool big)
{
    storm_guest_lock(unit);
    big_lock_acquire_if(big);
    vtd_guest_write32(unit->f, A_PECTL, FIELD_MASK(ECTL, IM));
    vtd_guest_write32(unit->f, A_PECTL, 0);
    big_lock_release_if(big);
    storm_guest_unlock(unit);
}

static void device_mmio(StormUnit *unit, GRand *rand)
{
    big_lock_acquire();
    sva_port_mmio(unit->sva[g_rand_int_range(rand, 0, STORM_SVA)], rand);
    big_lock_release();
    storm_count(&unit->books.mmio, 1);
}

void storm_mmio_step(void *opaque)
{
    const StormVcpu *vcpu = opaque;
    StormUnit *unit = vcpu->unit;
    GRand *rand = vcpu->rand;

    for (int i = g_rand_int_range(rand, 1, 8); i > 0; i--) {
        device_mmio(unit, rand);
        vtd_guest_read64(unit->f, storm_once_in(rand, 2) ? A_PQT : A_IQH);
    }
    if (storm_once_in(rand, 8)) {
        toggle_mask(unit, storm_once_in(rand, 2));
    }
    if (unit->mix->churners == 0) {
        gate_step(unit->gate);
    } else {
        gate_await_steps(unit->gate, 1);
    }
}
