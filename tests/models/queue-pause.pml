/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A queue that is full: the pump pauses, the guest's write of its consumer
 * index has it go on. hw/iommu/queue-reader.c, event-pump.c, and the sink in
 * hw/arm/smmuv3-eventq.c.
 *
 * The kernel queues EVENTS events, the home thread's turns are busy polling,
 * bottom halves, ready fds; the guest consumes, and may stop for good. BATCH
 * stands for EVENT_PUMP_BATCH, half of it for POLLED_RECORDS, of busy polling:
 * below that the sink is asked before a read, from it on what the sink has said
 * is good until it is used up.
 *
 * Shown: no read of more than there is room for; in an end in which nothing can
 * go on, nothing waits in the host's queue while the guest's has room, and
 * every event is in one of the two; a guest that goes on consuming gets all.
 *
 * Each section of the ring_lock is one step: what it protects is not touched
 * outside. The resume bottom half is a flag, which aio-bh.pml is about. No
 * memory order is involved but the lock's.
 *
 * run: GUEST_STOPS,BATCH=1  | safety   | pass
 * run: GUEST_STOPS,BATCH=2  | safety   | pass
 * run: GUEST_STOPS,BATCH=4  | safety   | pass
 * run: BATCH=1              | ltl all_come | pass
 * run: BATCH=2              | ltl all_come | pass
 * run: GUEST_STOPS,BATCH=2,BAD_UNLOCKED_MARK | safety | assert (queue==0)
 * run: BATCH=2,BAD_UNLOCKED_MARK   | ltl all_come | cycle
 * run: GUEST_STOPS,BATCH=2,BAD_RESUME_FIRST  | safety | assert (queue==0)
 * run: GUEST_STOPS,BATCH=2,BAD_WATCH_ONLY    | safety | assert (queue==0)
 * run: GUEST_STOPS,BATCH=2,BAD_READ_FIRST    | safety | assert filled<=
 * run: GUEST_STOPS,BATCH=1,BAD_KEEP_ROOM     | safety | assert bytes<=
 * run: GUEST_STOPS,BATCH=2,BAD_FILL_TWICE    | safety | assert ==made
 */
#define SIZE   2                /* of the guest's queue */
#define EVENTS 5
#define POLLED ((BATCH + 1) / 2)

#define room_now (SIZE - (prod - cons))

mtype = { UNWATCHED, WATCHED, PAUSED };

byte made, queue;               /* the kernel's: so far, and not yet read */
byte prod, cons;                /* [ring_lock] since the beginning */
bool waiting;                   /* [ring_lock] */
byte ring_room;                 /* Smmuv3::eventq.ring, home thread's */

mtype watch = UNWATCHED;
byte known;                     /* EventPump::room */
byte filled;                    /* QueueReader::filled */
bool behind;                    /* QueueReader::behind */
bool polled;                    /* in AioPolling::set */
bool ready_poll;                /* AIO_READY_POLL */
bool once_more = true;          /* a nested turn polls before it is served */
bool resume;                    /* the bottom half is scheduled */
bool trouble;                   /* the fd says POLLERR, once */
bool edge;                      /* BAD_WATCH_ONLY: as if edge-triggered */

active proctype kernel()
{
    do
    :: made < EVENTS -> d_step { made++; queue++; edge = true }
    :: else -> break
    od;
    trouble = true
}

/* room_locked(), and pump_learn_room() of what it returns */
inline room_locked()
{
    ring_room = room_now;
    known = ring_room;
#ifndef BAD_UNLOCKED_MARK
    waiting = ring_room == 0
#endif
}

/* Behind each section of the ring_lock that calls room_locked() */
inline mark_unlocked()
{
#ifdef BAD_UNLOCKED_MARK
    waiting = ring_room == 0
#else
    skip
#endif
}

/* pump_room(); bytes: in records */
inline pump_room(most)
{
    if
    :: known < most ->
        d_step { room_locked() };
        mark_unlocked()
    :: else
    fi;
    bytes = (known < most -> known : most)
}

/* reader_fill_room(): filled, or bytes = 0 for NO_ROOM */
inline fill_room(most)
{
#ifdef BAD_READ_FIRST
    bytes = most;
#else
    pump_room(most);
#endif
    if
    :: bytes > 0 ->
        d_step {                /* read() */
            filled = (bytes < queue -> bytes : queue);
            queue = queue - filled;
            behind = 2 * filled > bytes;
            edge = false;
            bytes = filled;
            assert(bytes <= room_now)
        };
        bytes = 1
    :: else
    fi
}

/* smmuv3_eventq_deliver(). go_on: its result */
inline deliver(count)
{
    assert(count <= ring_room);         /* else lost, though there is room */
    d_step {                            /* deliver_locked(), room_locked() */
        prod = prod + count;
        filled = filled - count;
#ifdef BAD_KEEP_ROOM
        ring_room = known;
        waiting = room_now == 0;
        go_on = true
#else
        room_locked();
        go_on = ring_room > 0
#endif
    };
    mark_unlocked()
}

/* reader_take(), pump_take() */
inline take()
{
    assert(filled <= ring_room);
    deliver(filled)
}

/* reader_step() */
inline reader_step()
{
    if
    :: filled == 0 ->
        fill_room(BATCH);
        if
        :: bytes == 0 -> go_on = false
        :: bytes > 0 && filled == 0 -> go_on = true
        :: filled > 0 -> take()
        fi
    :: else -> take()
    fi
}

/* reader_turn(), of any budget */
inline reader_turn()
{
    reader_step();
    do
    :: go_on && behind -> reader_step()
    :: true -> break
    od
}

/* reader_pause() */
inline reader_pause()
{
    if
    :: watch == WATCHED ->
        watch = PAUSED;
        ready_poll = false;     /* handler_forget_ready() */
        polled = false
    :: else -> watch = UNWATCHED
    fi
}

/* queue_reader_run() */
inline reader_run()
{
#ifdef BAD_WATCH_ONLY
    watch = WATCHED
#else
    reader_step();
    if
    :: go_on -> watch = WATCHED
    :: !go_on && watch == WATCHED -> reader_pause()
    :: else
    fi
#endif
}

#ifdef BAD_WATCH_ONLY
#define fd_ready (queue > 0 && edge)
#else
#define fd_ready (queue > 0)
#endif

active proctype home()
{
    byte bytes;
    bool go_on;

    watch = WATCHED;            /* queue_start_bh(), queue_reader_start() */
    reader_run();
end:
    do
    :: resume -> resume = false;        /* resume_bh() */
        reader_run()
    :: (watch == WATCHED && fd_ready) || (watch != UNWATCHED && trouble) ->
        trouble = false;                /* aio_poll_join(), reader_ready() */
        polled = watch == WATCHED;
        reader_turn();
        if
        :: go_on
        :: else -> reader_pause()
        fi
    /* Busy polling. If there is nothing, a round of it changes nothing. */
    :: polled && (fd_ready || behind) && (!ready_poll || once_more) ->
        once_more = once_more && !ready_poll;   /* reader_poll() */
#ifndef BAD_FILL_TWICE
        if
        :: filled > 0 || behind -> bytes = 0
        :: else -> fill_room(POLLED)
        fi;
#else
        fill_room(POLLED);
#endif
        ready_poll = filled > 0 || bytes == 0
    :: ready_poll ->                    /* reader_poll_ready() */
        ready_poll = false;
        reader_turn();
        if
        :: go_on
        :: else -> reader_pause()
        fi
    od
}

/* smmuv3_write_eventq_cons() */
active proctype vcpu()
{
    bool go;

end:
    do
    :: prod > cons ->
#ifdef BAD_RESUME_FIRST
        go = waiting;
        if
        :: go -> resume = true; waiting = false
        :: else
        fi;
        cons++
#else
        d_step {
            cons++;
            go = false;
            if
            :: waiting -> go = room_now > 0; waiting = !go
            :: else
            fi
        };
        if
        :: go -> resume = true          /* viommu_resume_events() */
        :: else
        fi
#endif
#ifdef GUEST_STOPS
    :: true -> break
#endif
    od
}

#ifdef GUEST_STOPS
active proctype judge()
{
    timeout;
    assert(queue == 0 || room_now == 0);
    assert(prod + queue == made);
    assert(filled == 0 && made == EVENTS)
}
#endif

ltl all_come { <> (prod == EVENTS) }
