/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The life of the host's event queue against its load: hw/iommu/viommu-queue.c,
 * viommu-device.c, hw/arm/smmuv3-control.c, smmuv3-eventq.c.
 *
 * A vCPU switches the event queue off and on, under a big lock; the monitor
 * unplugs the last device and plugs one in; another vCPU writes its consumer
 * index; the kernel has events, may fail a read, and may not let the fd be
 * watched. Whoever needs the home
 * thread waits for it (aio_wait_bh_oneshot()) with all its locks but the
 * ring_lock.
 *
 * Shown: the home thread never reads a fd that is closed, IOMMU_DESTROY never
 * finds the queue in use, there is one queue at a time, CR0ACK says off only
 * when it is gone, nothing is written to the guest's queue after that nor
 * published once EVENTQEN is clear, and nobody waits for ever.
 *
 * A section of the ring_lock is a lock here, not one step, so that who waits in
 * one is seen. `scheduled` is the waiter's one-shot: the config_lock lets one
 * wait at a time. Wake-ups and order of bottom halves are other models' matter.
 *
 * run: -                  | safety   | pass
 * run: EVENTS=1           | ltl ends | pass
 * run: BAD_CLOSE_ELSEWHERE | safety  | assert
 * run: BAD_WAIT_IN_RING   | safety   | end state
 * run: BAD_WAIT_IN_RING   | ltl ends | cycle
 * run: BAD_HOME_TAKES_CONFIG | safety | end state
 * run: BAD_HOME_TAKES_BIG | safety   | end state
 * run: BAD_ACK_EARLY      | safety   | assert !(object)
 * run: BAD_PUBLISH        | safety   | assert eventqen
 * run: BAD_STALE_PUMP     | safety   | assert pump
 * run: BAD_LEFT_WATCHED   | safety   | assert fd_open
 */
#ifndef EVENTS
#define EVENTS 2
#endif

mtype = { NONE, START, STOP };

bool big_lock, config_lock, ring_lock;

bool eventqen, cr0ack;          /* [ring_lock] */
bool plugged;                   /* ViommuHost::iommu; [config_lock] */
bool queue_open;                /* ViommuQueue::open; [config_lock] */
bool published;                 /* the device is in the map */

bool object, fd_open;           /* the host's */
bool reading;                   /* somebody is in a read() of the fd */
byte events, made;

mtype scheduled = NONE;         /* the one-shot of who waits */
bool done, refused;             /* its fd cannot be watched */
bool resume;                    /* ViommuQueue::resume is scheduled */

bool pump, pump_open, watched;  /* the home thread's */

byte ended;

inline lock(l)   { atomic { !l -> l = true } }
inline unlock(l) { l = false }

active proctype kernel()
{
end:
    do
    :: made < EVENTS && object ->
        d_step { events = events + object; made++ }
    od
}

/* ---- Home thread ---- */

/* close(), IOMMU_DESTROY */
inline host_close()
{
    assert(fd_open);
    fd_open = false;
    events = 0;
    assert(!reading && !fd_open);       /* else EBUSY */
    object = false
}

/* smmuv3_eventq_deliver() of one event */
inline deliver()
{
    found = published;          /* drop_strangers() */
    if
    :: found -> assert(cr0ack || eventqen)      /* write_records() */
    :: else
    fi;
    lock(ring_lock);            /* deliver_locked() */
    if
#ifdef BAD_PUBLISH
    :: found -> assert(eventqen)
#else
    :: found && eventqen -> assert(eventqen)    /* publish_locked() */
#endif
    :: else                     /* discarded */
    fi;
    unlock(ring_lock)
#ifdef BAD_HOME_TAKES_BIG
    ;
    lock(big_lock);             /* to raise an interrupt */
    unlock(big_lock)
#endif
}

/* read() of one event, or of none */
inline read_one()
{
    reading = true;
    assert(fd_open && object);
    d_step { got = events > 0; events = events - got };
    reading = false
}

/* queue_reader_run(), reader_ready() */
inline run_pump()
{
    assert(pump);
    if
    :: pump_open ->
        read_one();
        if
        :: got -> deliver()
        :: !got
        :: true ->              /* pump_failed() */
#ifdef BAD_HOME_TAKES_CONFIG
            lock(config_lock);
#endif
            watched = false;
            pump_open = false;
            host_close();
#ifdef BAD_HOME_TAKES_CONFIG
            unlock(config_lock)
#endif
        fi
    :: else
    fi
}

/* queue_stop_bh(): event_pump_free() */
inline stop_pump()
{
    assert(pump);
    if
    :: pump_open ->
#ifndef BAD_LEFT_WATCHED
        watched = false;        /* queue_reader_unwatch() */
#endif
        do                      /* pump_drain() */
        :: read_one();
            if
            :: got -> deliver()
            :: else -> break
            fi
        od;
        pump_open = false;
#ifndef BAD_CLOSE_ELSEWHERE
        host_close()
#endif
    :: else
    fi;
    pump = false
}

active proctype home()
{
    bool got, found;

end:
    do
    :: resume ->                /* resume_bh() */
        resume = false;
#ifdef BAD_STALE_PUMP
        run_pump()
#else
        if
        :: pump -> run_pump()
        :: else
        fi
#endif
    :: watched && events > 0 ->
#ifdef BAD_LEFT_WATCHED
        read_one()
#else
        run_pump()
#endif
    :: scheduled == START ->    /* queue_start_bh() */
        scheduled = NONE;
        pump = true;
        pump_open = true;
        if                      /* queue_reader_start() */
        :: watched = true; run_pump(); refused = false
        :: stop_pump(); refused = true
        fi;
        done = true
    :: scheduled == STOP ->
        scheduled = NONE;
        stop_pump();
        done = true
    od
}

/* ---- Those who wait for it ---- */

inline wait_for(what)
{
    done = false;
    scheduled = what;
    done
}

/* viommu_open_event_queue() */
inline open_queue()
{
    if
    :: !queue_open && eventqen && plugged ->
        assert(!object);
        object = true;
        fd_open = true;
        wait_for(START);
        queue_open = !refused
    :: else
    fi
}

/* viommu_close_event_queue() */
inline close_queue()
{
    if
    :: queue_open ->
        queue_open = false;
#ifdef BAD_CLOSE_ELSEWHERE
        if
        :: fd_open -> host_close()
        :: else
        fi;
#endif
        wait_for(STOP)
    :: else
    fi
}

/* smmuv3_write_cr0(): EVENTQEN becomes on */
inline write_cr0(on)
{
    lock(config_lock);
    lock(ring_lock);            /* exchange() */
    eventqen = on;
#ifdef BAD_WAIT_IN_RING
    if
    :: on -> unlock(ring_lock); open_queue()
    :: else -> close_queue(); unlock(ring_lock)
    fi;
#else
    unlock(ring_lock);
#ifdef BAD_ACK_EARLY
    assert(on || !object);
    cr0ack = on;
#endif
    if
    :: on -> open_queue()
    :: else -> close_queue()
    fi;
#endif
    assert(on || (!object && !fd_open && !pump));
    lock(ring_lock);
    cr0ack = on;
    unlock(ring_lock);
    unlock(config_lock)
}

active proctype vcpu()
{
    lock(big_lock);
    write_cr0(true);
    unlock(big_lock);
    lock(big_lock);
    write_cr0(false);
    unlock(big_lock);
#if EVENTS > 1
    lock(big_lock);
    write_cr0(true);
    unlock(big_lock);
#endif
    ended++
}

/* viommu_add_device(), viommu_remove_device() of the only device */
active proctype monitor()
{
    lock(config_lock);
    plugged = true;
    published = true;
    open_queue();
    unlock(config_lock);

    lock(config_lock);
    published = false;          /* unpublish(), see device-removal.pml */
    close_queue();
    assert(!object);            /* host_down() */
    plugged = false;
    unlock(config_lock);

    lock(config_lock);          /* another one */
    plugged = true;
    published = true;
    open_queue();
    unlock(config_lock);
    ended++
}

/* smmuv3_write_eventq_cons(), of a queue that was full */
active proctype other_vcpu()
{
    byte i;

    for (i : 1 .. EVENTS) {
        lock(ring_lock);
        skip;
        unlock(ring_lock);
        resume = true           /* viommu_resume_events() */
    };
    ended++
}

ltl ends { <> (ended == 3) }
