/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Locks that are taken twice, left held, or not held where one has to be. */
#include "hw/iommu/viommu-internal.h"

void call_without(Viommu *viommu);
void call_with_another(Viommu *viommu, Viommu *other);
void leave_held(Viommu *viommu);
void leave_held_on_one_path(Viommu *viommu, bool early);
void take_twice(Viommu *viommu);
void take_what_is_required(Viommu *viommu) REQUIRES(&viommu->ring_lock);
void call_excluded(Viommu *viommu) REQUIRES(&viommu->config_lock);
void release_what_is_not_held(Viommu *viommu);

static void do_locked(Viommu *viommu) REQUIRES(&viommu->ring_lock);
static void do_locked(Viommu *viommu)
{
    (void)viommu;
}

void call_without(Viommu *viommu)
{
    do_locked(viommu); /* finds: calling function 'do_locked' requires */
}

void call_with_another(Viommu *viommu, Viommu *other)
{
    lock_acquire(&other->ring_lock);
    do_locked(viommu); /* finds: calling function 'do_locked' requires */
    lock_release(&other->ring_lock);
}

void leave_held(Viommu *viommu)
{
    lock_acquire(&viommu->ring_lock);
} /* finds: mutex 'viommu->ring_lock' is still held at the end of function */

void leave_held_on_one_path(Viommu *viommu, bool early)
{
    lock_acquire(&viommu->ring_lock);
    if (!early) {
        lock_release(&viommu->ring_lock);
    }
} /* finds: mutex 'viommu->ring_lock' is not held on every path */

void take_twice(Viommu *viommu)
{
    lock_acquire(&viommu->ring_lock);
    lock_acquire(&viommu->ring_lock); /* finds: that is already held */
    lock_release(&viommu->ring_lock);
}

void take_what_is_required(Viommu *viommu)
{
    lock_acquire(&viommu->ring_lock); /* finds: that is already held */
}

/* It waits for the home thread, which takes the ring_lock. */
void call_excluded(Viommu *viommu)
{
    lock_acquire(&viommu->ring_lock);
    viommu_close_event_queue(viommu); /* finds: cannot call function 'viommu_close_event_queue' while mutex */
    lock_release(&viommu->ring_lock);
}

void release_what_is_not_held(Viommu *viommu)
{
    lock_release(&viommu->ring_lock); /* finds: releasing mutex 'viommu->ring_lock' that was not held */
}
