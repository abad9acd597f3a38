/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A device that is removed, against readers and against who holds a reference:
 * hw/iommu/viommu-device.c (unpublish(), viommu_device_get(), _put()),
 * device-map.c, where a removal is one store; and against who translates:
 * sva-tlb.c, viommu_translate() and viommu_invalidate_sva() of sva-device.c.
 *
 * The home thread looks the device up within a read section. A vCPU finds it in
 * a section, takes a reference, and makes a host call with it outside. The
 * monitor removes the device. With TLB an emulated device translates in a
 * section, from its cache or by a walk, and uses the result there; the guest
 * takes the page away and invalidates.
 *
 * Shown: nobody has the device once it is freed; no host call is made for it
 * after that; who waits is woken. No access goes by an old translation once the
 * invalidation is complete, from the cache neither.
 *
 * rcu_synchronize() is modelled as it is promised: it waits for the sections
 * that had begun. `old` has those. The reference count is relaxed: the lock of
 * refs orders it with the waiter, and the grace period before that with the
 * sections. The generation is read by acquire before the walk, changed by
 * release after the page is gone, which the model's order is; BAD_LATE_NUMBER
 * reads it after. The cache's own sequence lock is one step here: sva-tlb.pml.
 *
 * run: -                  | safety   | pass
 * run: -                  | ltl ends | pass
 * run: TLB                | safety   | pass
 * run: BAD_NO_GRACE_PERIOD | safety  | assert !(freed)
 * run: BAD_NO_REFERENCE   | safety   | assert !(freed)
 * run: BAD_LATE_REFERENCE | safety   | assert !(freed)
 * run: BAD_GRACE_FIRST    | safety   | assert !(freed)
 * run: BAD_UNLOCKED_WAKE  | safety   | end state
 * run: BAD_UNLOCKED_WAKE  | ltl ends | cycle
 * run: TLB,BAD_LATE_NUMBER | safety  | assert !(complete)
 * run: TLB,BAD_NO_NUMBER  | safety   | assert !(complete)
 * run: TLB,BAD_NO_GRACE_PERIOD | safety | assert !(complete)
 */
#define READERS 2

bool published = true, freed;
byte refs;                      /* ViommuDevice::refs */
bool refs_lock, waiting, woken; /* Viommu::refs: lock, a waiter, gone */
bool section[READERS];          /* a read section is open */
bool old[READERS];              /* and was when the grace period began */
byte ended;

inline lock(l)    { atomic { !l -> l = true } }
inline unlock(l)  { l = false }
inline enter(me)  { section[me] = true }
inline leave(me)  { d_step { section[me] = false; old[me] = false } }

/* rcu_synchronize() */
inline synchronize()
{
    d_step { old[0] = section[0]; old[1] = section[1] };
    !old[0] && !old[1]
}

#ifndef TLB

/* device_map_find_virt(), drop_strangers() */
active proctype home()
{
    bool found;

    enter(0);
    found = published;
    if
    :: found -> assert(!freed)
    :: else
    fi;
    leave(0);
    ended++
}

/* viommu_device_next(), and a host call, without the config_lock even */
active proctype vcpu()
{
    bool found;

    enter(1);
    found = published;
#ifdef BAD_LATE_REFERENCE
    leave(1);
#endif
    if
    :: found ->
        assert(!freed);
#ifndef BAD_NO_REFERENCE
        refs++;                 /* viommu_device_get() */
#endif
#ifndef BAD_LATE_REFERENCE
        leave(1);
#endif
        assert(!freed);         /* the host call */
#ifndef BAD_NO_REFERENCE
        /* viommu_device_put() */
#ifdef BAD_UNLOCKED_WAKE
        refs--;
        if
        :: refs == 0 && waiting -> woken = true
        :: else
        fi
#else
        lock(refs_lock);
        refs--;
        if
        :: refs == 0 -> d_step { woken = waiting }  /* broadcast */
        :: else
        fi;
        unlock(refs_lock)
#endif
#endif
    :: else ->
#ifndef BAD_LATE_REFERENCE
        leave(1)
#else
        skip
#endif
    fi;
    ended++
}

/* remove_device_locked() */
active proctype monitor()
{
#ifdef BAD_GRACE_FIRST
    synchronize();
#endif
    published = false;          /* device_map_remove() */
#if !defined(BAD_GRACE_FIRST) && !defined(BAD_NO_GRACE_PERIOD)
    synchronize();
#endif
    lock(refs_lock);
    do
    :: refs > 0 ->
#ifdef BAD_UNLOCKED_WAKE
        skip;                   /* looked at without what put() holds */
#endif
        d_step { waiting = true; refs_lock = false };   /* lock_wait() */
        woken;
        d_step { waiting = false; woken = false };
        lock(refs_lock)
    :: else -> break
    od;
    unlock(refs_lock);
    freed = true;               /* detach, destroy, free */
    ended++
}

#define ENDED 3

#else

bool mapped = true;             /* the guest's page table */
bool complete;                  /* the wait descriptor is */
byte generation = 1;            /* ViommuPages::generation */
byte cached;                    /* SvaTlbEntry::generation; 0: none */

/* viommu_translate() and an access, twice, by two threads of the device */
active [READERS] proctype device()
{
    byte number, i;
    bool found;

    for (i : 1 .. 2) {
        enter(_pid);
        number = generation;
        found = cached == number;       /* sva_tlb_find() */
        if
        :: !found ->
            found = mapped;             /* vtd_translate() */
#ifdef BAD_LATE_NUMBER
            number = generation;
#endif
            if
            :: found -> cached = number /* sva_tlb_insert() */
            :: else
            fi
        :: else
        fi;
        if
        :: found -> assert(!complete)   /* the access */
        :: else
        fi;
        leave(_pid)
    };
    ended++
}

/* The guest, and viommu_invalidate_sva() */
active proctype vcpu()
{
    mapped = false;
#ifndef BAD_NO_NUMBER
    generation++;
#endif
#ifndef BAD_NO_GRACE_PERIOD
    synchronize();
#endif
    complete = true;
    ended++
}

#define ENDED 3

#endif

ltl ends { <> (ended == ENDED) }
