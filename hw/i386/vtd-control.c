/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Registers whose writes change more than themselves: GCMD, IQT and, when it
 * restarts the queue, FSTS. They take the config_lock, change registers under
 * the ring_lock, and act on host objects without it. GSTS shows a command when
 * all of its work is done.
 */
#include "hw/i386/vtd-internal.h"

#define GCMD_TE FIELD_MASK(GCMD, TE)
#define GCMD_QIE FIELD_MASK(GCMD, QIE)

/* Level bits are at the same place in GSTS. */
G_STATIC_ASSERT((int)GCMD_TE_SHIFT == (int)GSTS_TES_SHIFT);
G_STATIC_ASSERT((int)GCMD_QIE_SHIFT == (int)GSTS_QIES_SHIFT);

static void set_status(Vtd *v, uint32_t bits) EXCLUDES(&v->parent.ring_lock)
{
    lock_acquire(&v->parent.ring_lock);
    v->reg[R_GSTS] |= bits;
    lock_release(&v->parent.ring_lock);
}

/* What translation goes by; config_lock and ring_lock make one writer. */
static void set_root(Vtd *v, uint64_t root)
    REQUIRES(&v->parent.config_lock, &v->parent.ring_lock)
{
    /* Release: pairs with the acquire loads of those who walk the tables. */
    atomic_store_explicit(&v->root, root, memory_order_release);
}

static uint64_t get_root(const Vtd *v) REQUIRES(&v->parent.config_lock)
{
    return atomic_load_explicit(&v->root, memory_order_relaxed);
}

/* All that was cached of the tables, and of translations, is looked up anew. */
static void invalidate_all(Vtd *v)
    REQUIRES(&v->parent.config_lock) EXCLUDES(&v->parent.ring_lock)
{
    vtd_pasid_changed(v, &VTD_CHANGE_ALL);
    vtd_flush_add(v, &(VtdFlush){ .did = VTD_ALL_DIDS,
                                  .pasid = PAGE_REQUEST_NO_PASID,
                                  .npages = UINT64_MAX });
    vtd_flush_send(v);
    viommu_invalidate_sva(&v->parent);
    v->pending.sva_stale = false;
}

/* CAP.ESRTPS: the new root table is in use, and nothing of the old one. */
static void set_root_table(Vtd *v) REQUIRES(&v->parent.config_lock)
{
    const uint64_t mask = FIELD_MASK(RTADDR, RTA) | FIELD_MASK(RTADDR, TTM);

    lock_acquire(&v->parent.ring_lock);
    v->reg[R_GSTS] &= ~FIELD_MASK(GSTS, RTPS);
    set_root(v, (vtd_reg64(v, R_RTADDR) & mask) |
                    (get_root(v) & FIELD_MASK(ROOT, TES)));
    lock_release(&v->parent.ring_lock);
    invalidate_all(v);
    set_status(v, FIELD_MASK(GSTS, RTPS));
}

static void set_translation(Vtd *v, bool on) REQUIRES(&v->parent.config_lock)
{
    lock_acquire(&v->parent.ring_lock);
    set_root(v, FIELD_SET(get_root(v), ROOT, TES, on));
    lock_release(&v->parent.ring_lock);
    invalidate_all(v);
    lock_acquire(&v->parent.ring_lock);
    v->reg[R_GSTS] = FIELD_SET(v->reg[R_GSTS], GSTS, TES, on);
    if (!on) {
        v->frcd_index = 0;      /* 7.2.1: TES and IRES are 0 */
    }
    lock_release(&v->parent.ring_lock);
}

/*
 * Until the queue is empty, off or in error. In between those who wait for the
 * lock get it (see lock_acquire()) and may do what they like, a reset included:
 * all is read anew each time.
 */
static void consume_all(Vtd *v) REQUIRES(&v->parent.config_lock)
{
    while (vtd_inv_consume(v)) {
        lock_release(&v->parent.config_lock);
        lock_acquire(&v->parent.config_lock);
    }
}

static void enable_queue(Vtd *v) REQUIRES(&v->parent.config_lock)
{
    set_status(v, FIELD_MASK(GSTS, QIES));
    consume_all(v);             /* the tail may have been written before */
}

/* Legal only if the queue is drained: else QIES stays, and software waits. */
static void disable_queue(Vtd *v) REQUIRES(&v->parent.config_lock)
{
    bool drained;

    lock_acquire(&v->parent.ring_lock);
    drained = v->reg[R_IQH] == v->reg[R_IQT];
    lock_release(&v->parent.ring_lock);
    if (!drained) {
        viommu_warn_once(&v->parent, VTD_WARN_QI_DISABLE,
                         "the invalidation queue is to be disabled and is not "
                         "drained: refused");
        return;
    }
    vtd_inv_complete(v);        /* what no wait descriptor waited for */
    lock_acquire(&v->parent.ring_lock);
    v->reg[R_IQH] = 0;
    v->reg[R_GSTS] &= ~FIELD_MASK(GSTS, QIES);
    lock_release(&v->parent.ring_lock);
}

/*
 * 11.4: software changes one bit at a time. IRE and CFI need ECAP.IR and WBF
 * CAP.RWBF, which are 0; SIRTP is done, and without effect.
 */
void vtd_write_gcmd(Vtd *v, uint32_t value)
{
    uint32_t changed;

    lock_acquire(&v->parent.config_lock);
    lock_acquire(&v->parent.ring_lock);
    changed = (value ^ v->reg[R_GSTS]) & (GCMD_TE | GCMD_QIE);
    lock_release(&v->parent.ring_lock);
    if (FIELD_GET(value, GCMD, SRTP)) {
        set_root_table(v);
    }
    if (FIELD_GET(value, GCMD, SIRTP)) {
        set_status(v, FIELD_MASK(GSTS, IRTPS));
    }
    if (changed & GCMD_TE) {
        set_translation(v, value & GCMD_TE);
    }
    if (changed & GCMD_QIE) {
        if (value & GCMD_QIE) {
            enable_queue(v);
        } else {
            disable_queue(v);
        }
    }
    lock_release(&v->parent.config_lock);
}

void vtd_write_iqt(Vtd *v, uint32_t value)
{
    lock_acquire(&v->parent.config_lock);
    lock_acquire(&v->parent.ring_lock);
    v->reg[R_IQT] = value & FIELD_MASK(IQT, QT);
    lock_release(&v->parent.ring_lock);
    consume_all(v);
    lock_release(&v->parent.config_lock);
}

/* 6.5.2.10: the queue goes on by itself when its error is cleared. */
void vtd_write_fsts(Vtd *v, uint32_t value)
{
    uint32_t cleared;

    lock_acquire(&v->parent.ring_lock);
    cleared = v->reg[R_FSTS] & value &
              (FIELD_MASK(FSTS, PFO) | FIELD_MASK(FSTS, IQE) |
               FIELD_MASK(FSTS, ICE) | FIELD_MASK(FSTS, ITE));
    v->reg[R_FSTS] &= ~cleared;
    vtd_event_cleared(v, VTD_EVENT_FAULT);
    lock_release(&v->parent.ring_lock);
    if (FIELD_GET(cleared, FSTS, IQE)) {
        lock_acquire(&v->parent.config_lock);
        consume_all(v);
        lock_release(&v->parent.config_lock);
    }
}

/*
 * The root table first: page requests that come now find none. Those that were
 * found to be good before are written to the old queue, and end with it, before
 * the registers forget where that is.
 */
void vtd_reset(Viommu *viommu)
{
    Vtd *v = vtd_from(viommu);
    bool resume;

    lock_assert_held(&v->parent.config_lock);
    lock_acquire(&v->parent.ring_lock);
    set_root(v, 0);
    lock_release(&v->parent.ring_lock);
    viommu_drop_page_requests(viommu);
    lock_acquire(&v->parent.ring_lock);
    vtd_regs_reset(v);
    resume = v->props.svm && vtd_prq_has_room_now(v);
    lock_release(&v->parent.ring_lock);
    if (resume) {
        viommu_resume_page_requests(viommu);
    }
    invalidate_all(v);
}
