/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Registers whose writes change more than themselves: they take the
 * config_lock, change the register under the ring_lock, act on host objects
 * without it, and acknowledge (CR0ACK) when that is done.
 */
#include "hw/arm/smmuv3-internal.h"

static uint32_t cr0_implemented(const Smmuv3 *s)
{
    return FIELD_MASK(CR0, SMMUEN) |
           (s->props.pri ? FIELD_MASK(CR0, PRIQEN) : 0) |
           FIELD_MASK(CR0, EVENTQEN) | FIELD_MASK(CR0, CMDQEN) |
           FIELD_MASK(CR0, ATSCHK);
}

static void resume_page_requests(Smmuv3 *s)
{
    if (s->props.pri) {
        viommu_resume_page_requests(&s->parent);
    }
}

static uint32_t exchange(Smmuv3 *s, unsigned r, uint32_t value)
    EXCLUDES(&s->parent.ring_lock)
{
    uint32_t old;

    lock_acquire(&s->parent.ring_lock);
    old = s->reg[r];
    s->reg[r] = value;
    lock_release(&s->parent.ring_lock);
    return old;
}

/* The host's queue is as deep as the guest's is long, and there when it is. */
static void follow_eventq(Smmuv3 *s, uint32_t cr0)
    REQUIRES(&s->parent.config_lock) EXCLUDES(&s->parent.ring_lock)
{
    GError *error = NULL;
    uint32_t depth = 0;

    if (FIELD_GET(cr0, CR0, EVENTQEN)) {
        GuestRing ring;

        lock_acquire(&s->parent.ring_lock);
        ring = smmuv3_eventq_ring(s);
        lock_release(&s->parent.ring_lock);
        depth = guest_ring_size(&ring);
    }
    if (!viommu_set_event_queue(&s->parent, depth, &error)) {
        viommu_host_error(&s->parent, VIOMMU_HOST_QUEUE_REFUSED,
                          error->message);
        g_error_free(error);
    }
}

/* What says where traffic goes has changed for all streams. */
static void reattach_all(Smmuv3 *s) REQUIRES(&s->parent.config_lock)
{
    smmuv3_table_publish(s);
    smmuv3_reattach(s, 0, UINT32_MAX);
    viommu_invalidate_sva(&s->parent);
}

/*
 * Until the command queue is empty, off or in error. In between those who wait
 * for the lock get it (see lock_acquire()) and may do what they like, a reset
 * included: all is read anew each time.
 */
static void consume_all(Smmuv3 *s) REQUIRES(&s->parent.config_lock)
{
    while (smmuv3_cmdq_consume(s)) {
        lock_release(&s->parent.config_lock);
        lock_acquire(&s->parent.config_lock);
    }
}

/* 6.3.9: bits take effect one by one; ACK shows them when they have. */
void smmuv3_write_cr0(Smmuv3 *s, uint32_t value)
{
    uint32_t new = value & cr0_implemented(s);
    uint32_t old;

    lock_acquire(&s->parent.config_lock);
    old = exchange(s, R_CR0, new);
    if (FIELD_GET(old ^ new, CR0, EVENTQEN)) {
        follow_eventq(s, new);
    }
    if (FIELD_GET(old ^ new, CR0, SMMUEN)) {
        reattach_all(s);
    }
    /*
     * Off, nothing is written any more, and ACK need not wait for the home
     * thread: what it holds for want of room it answers when it comes to it.
     */
    if ((old ^ new) & (FIELD_MASK(CR0, PRIQEN) | FIELD_MASK(CR0, SMMUEN))) {
        resume_page_requests(s);
    }
    exchange(s, R_CR0ACK, new);
    consume_all(s);
    lock_release(&s->parent.config_lock);
}

/* 6.3.14: a write without Update is ignored; ours take effect at once. */
void smmuv3_write_gbpa(Smmuv3 *s, uint32_t value)
{
    const uint32_t implemented = 0x000f3f1f | FIELD_MASK(GBPA, ABORT);
    uint32_t old;
    bool bypassing;

    if (!FIELD_GET(value, GBPA, UPDATE)) {
        return;
    }
    lock_acquire(&s->parent.config_lock);
    old = exchange(s, R_GBPA, value & implemented);
    lock_acquire(&s->parent.ring_lock);
    bypassing = !FIELD_GET(s->reg[R_CR0], CR0, SMMUEN);
    lock_release(&s->parent.ring_lock);
    if (bypassing && FIELD_GET(old ^ value, GBPA, ABORT)) {
        reattach_all(s);
    }
    lock_release(&s->parent.config_lock);
}

/* 6.3.18: toggling the bit of an error that is not active has no effect. */
void smmuv3_write_gerrorn(Smmuv3 *s, uint32_t value)
{
    lock_acquire(&s->parent.config_lock);
    lock_acquire(&s->parent.ring_lock);
    s->reg[R_GERRORN] ^= (s->reg[R_GERRORN] ^ value) &
                         (s->reg[R_GERROR] ^ s->reg[R_GERRORN]);
    lock_release(&s->parent.ring_lock);
    consume_all(s);
    lock_release(&s->parent.config_lock);
}

void smmuv3_write_cmdq_prod(Smmuv3 *s, uint32_t value)
{
    lock_acquire(&s->parent.config_lock);
    exchange(s, R_CMDQ_PROD, value & FIELD_MASK(Q, POINTER));
    consume_all(s);
    lock_release(&s->parent.config_lock);
}

void smmuv3_reset(Viommu *viommu)
{
    Smmuv3 *s = smmuv3_from(viommu);

    lock_assert_held(&s->parent.config_lock);
    /* Off first: what the host still has is discarded, not written. */
    exchange(s, R_CR0, 0);
    follow_eventq(s, 0);
    viommu_drop_page_requests(viommu);
    lock_acquire(&s->parent.ring_lock);
    smmuv3_regs_reset(s);
    s->eventq.waiting = false;
    s->priq.wanted = 0;
    lock_release(&s->parent.ring_lock);
    resume_page_requests(s);
    reattach_all(s);
}
