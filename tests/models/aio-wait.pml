/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Waiting for a bottom half: aio_wait_bh_oneshot() and bh_wait_run() of
 * iothread/aio-bh.c.
 *
 * Two threads wait, some times each. Each looks for a while, then falls asleep
 * on the context's condition, which they share. The wait is on its thread's
 * stack: it is there from enqueue to return. How long a thread looks is left
 * open: it gives up at any time.
 *
 * Shown: who returns has the callback's effects; nobody sleeps for ever; the
 * home thread touches nothing of a wait whose thread may have returned; it
 * takes the lock for those only who sleep or are about to.
 *
 * Sequentially consistent. Sound, as what hands over is a compare and exchange
 * of one word, release by the home thread, acquire by who looks, or else the
 * lock. BAD_RELAXED has the callback's effects after the exchange.
 *
 * run: -                  | safety   | pass
 * run: ROUNDS=1           | ltl ends | pass
 * run: BAD_RELAXED        | safety   | assert effect[me]
 * run: BAD_TOUCH          | safety   | assert there[w]
 * run: BAD_DONE_FIRST     | safety   | assert there[w]
 * run: BAD_LOAD_STORE     | safety   | end state
 * run: BAD_ASLEEP_STORE   | safety   | end state
 * run: BAD_UNLOCKED       | safety   | end state
 * run: BAD_SIGNAL         | safety   | end state
 * run: ROUNDS=1,BAD_UNLOCKED | ltl ends | cycle
 */
#ifndef ROUNDS
#define ROUNDS 2
#endif

#define WAITERS 2

mtype = { AWAKE, ASLEEP, DONE };

mtype state[WAITERS];           /* AioBHWait::state */
bool there[WAITERS];            /* the AioBHWait */
bool scheduled[WAITERS];        /* AioBHWait::bh is in the queue */
bool effect[WAITERS];           /* what the callback writes */

bool wait_lock;                 /* AioContext::wait_lock, wait_cond */
bool sleeping[WAITERS];         /* in pthread_cond_wait() */

byte ended;

inline lock(l)   { atomic { !l -> l = true } }
inline unlock(l) { l = false }

/* pthread_cond_broadcast() */
inline wake()
{
#ifdef BAD_SIGNAL
    if
    :: sleeping[0] -> sleeping[0] = false
    :: sleeping[1] -> sleeping[1] = false
    :: !sleeping[0] && !sleeping[1]
    fi
#else
    d_step { sleeping[0] = false; sleeping[1] = false }
#endif
}

/* wait_end_awake(): compare and exchange */
inline end_awake()
{
#ifdef BAD_LOAD_STORE
    awake = state[w] == AWAKE;
    if
    :: awake -> state[w] = DONE
    :: else
    fi
#else
    d_step {
        assert(there[w]);
        awake = state[w] == AWAKE;
        state[w] = (awake -> DONE : state[w])
    }
#endif
}

/* bh_wait_run() */
inline wait_run()
{
    assert(there[w]);
#ifndef BAD_RELAXED
    effect[w] = true;           /* AioBHWait::func */
#endif
    end_awake();
#ifdef BAD_RELAXED
    effect[w] = true;
#endif
    if
    :: awake ->
#ifdef BAD_TOUCH
        assert(there[w])        /* wait->bh.ctx, say, to wake it */
#else
        skip
#endif
    :: else ->
        assert(state[w] == ASLEEP);
#ifdef BAD_UNLOCKED
        state[w] = DONE;
        wake()
#else
#ifdef BAD_DONE_FIRST
        state[w] = DONE;
        lock(wait_lock);
        assert(there[w]);       /* DONE once more, under the lock */
        wake();
        unlock(wait_lock)
#else
        lock(wait_lock);
        d_step { assert(there[w]); state[w] = DONE };
        wake();
        unlock(wait_lock)
#endif
#endif
    fi
}

active proctype home()
{
    byte w;
    bool awake;

end:
    do
    :: d_step { scheduled[0] -> scheduled[0] = false; w = 0 } -> wait_run()
    :: d_step { scheduled[1] -> scheduled[1] = false; w = 1 } -> wait_run()
    od
}

/* wait_fall_asleep(): compare and exchange */
inline fall_asleep()
{
#ifdef BAD_ASLEEP_STORE
    asleep = state[me] == AWAKE;
    if
    :: asleep -> state[me] = ASLEEP
    :: else
    fi
#else
    d_step {
        asleep = state[me] == AWAKE;
        state[me] = (asleep -> ASLEEP : state[me])
    }
#endif
}

/* wait_sleep() */
inline sleep()
{
    lock(wait_lock);
    do
    :: state[me] == DONE -> break
    :: else ->
        d_step { sleeping[me] = true; wait_lock = false };
        !sleeping[me];
        lock(wait_lock)
    od;
    unlock(wait_lock)
}

/* aio_wait_bh_oneshot() */
active [WAITERS] proctype waiter()
{
    byte me = _pid - 1;
    byte round;
    bool asleep;

    for (round : 1 .. ROUNDS) {
        d_step {
            effect[me] = false;
            state[me] = AWAKE;
            there[me] = true
        };
        scheduled[me] = true;   /* bh_enqueue() */
        if
        :: state[me] == DONE    /* wait_spin() */
        :: true ->              /* time is up */
            fall_asleep();
            if
            :: asleep -> sleep()
            :: else
            fi
        fi;
        assert(effect[me]);
        there[me] = false
    };
    ended++
}

ltl ends { <> (ended == WAITERS) }
