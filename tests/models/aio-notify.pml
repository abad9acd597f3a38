/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A notification against a turn: iothread/aio-context.c, aio-poll.c.
 *
 * Threads hand over work and call aio_notify(); a device makes a host fd ready;
 * the loop takes turns until all is served. A callback may take turns of its
 * own until all else is served, as aio_wait_bh_oneshot() does on the home
 * thread. With GSOURCE the turns are GLib's: prepare, poll, check, dispatch,
 * among other sources that wake it, and that may keep it from checking ours.
 *
 * A loop that sleeps while there is work is an invalid end state. That all is
 * served under weak fairness, whatever the busy polling does, is `served`.
 *
 * incoming, slice   AioBHQueue, as counts: its own model is aio-bh.pml
 * edge              the eventfd is in epoll's ready list: EPOLLET, nobody
 *                   reads, so a write puts it there and epoll_wait() takes it
 *                   out. As the counter stays above 0, a poll() of the epoll
 *                   fd (GLib's) finds it and leaves it there
 * hostfd            a watched fd, level-triggered
 *
 * Sequentially consistent, as all of spin. Sound, for the state word is
 * changed by read-modify-write alone, so all threads see one order of its
 * changes, and what a notifier wrote before its exchange (release) is seen
 * after the loop's (acquire). No step relies on one variable's store being
 * seen before another's load. BAD_RELAXED has the store after the exchange,
 * which a relaxed exchange would allow.
 *
 * run: -                        | safety     | pass
 * run: -                        | ltl served | pass
 * run: GSOURCE                  | safety     | pass
 * run: GSOURCE,ROUNDS=1         | ltl served | pass
 * run: BAD_CHECK_THEN_SLEEP     | safety     | end state
 * run: BAD_LOAD_THEN_STORE      | safety     | end state
 * run: BAD_RELAXED              | safety     | end state
 * run: BAD_ACCEPT_LATE          | safety     | end state
 * run: BAD_ACCEPT_LATE          | ltl served | cycle
 * run: BAD_SLEEP_LEFT_OVER      | safety     | end state
 * run: BAD_SLEEP_UNSAID         | safety     | end state
 * run: GSOURCE,BAD_CHECK_THEN_SLEEP | safety | end state
 * run: GSOURCE,BAD_SLEEP_LEFT_OVER  | safety | end state
 * run: GSOURCE,BAD_ACCEPT_LATE  | safety     | end state
 */
#define NOTIFIERS 2
#ifndef ROUNDS
#define ROUNDS    2
#endif
#define TOTAL     (NOTIFIERS * ROUNDS)

mtype = { RUNNING, SLEEPING, NOTIFIED };

mtype state = RUNNING;
bool edge, hostfd;
bool fd_due;                    /* AioFdMonitor::ready */
byte incoming, slice, served;
byte fds_made, fds_served;
bool nested;
bit others;                     /* GLib's other sources */

#define all_served (served == TOTAL && fds_served == 1)

/* bh_enqueue(), its last two steps; aio_notify() */
proctype notifier()
{
    mtype old;
    byte i;

    for (i : 1 .. ROUNDS) {
#ifdef BAD_RELAXED
        d_step { old = state; state = NOTIFIED }
        incoming++;
#else
        incoming++;             /* cds_wfcq_enqueue() */
#ifdef BAD_LOAD_THEN_STORE
        old = state;
        state = NOTIFIED;
#else
        d_step { old = state; state = NOTIFIED }    /* atomic_exchange */
#endif
#endif
        if
        :: old == SLEEPING -> edge = true   /* write(notify_fd) */
        :: else
        fi
    }
}

/* The kernel: a host queue has something. */
proctype device()
{
    fds_made++;
    hostfd = true
}

/* aio_accept_notify() */
inline accept_notify()
{
    state = RUNNING             /* atomic_exchange, result unused */
}

/* aio_may_sleep(): sleep = its result */
inline may_sleep()
{
#ifdef BAD_CHECK_THEN_SLEEP
    sleep = state != NOTIFIED;
    if
    :: sleep -> state = SLEEPING
    :: else
    fi
#else
    d_step {                    /* atomic_compare_exchange */
        sleep = state != NOTIFIED;
        if
        :: sleep -> state = SLEEPING
        :: else
        fi
    }
#endif
}

/* turn_left_over(): nobody but the home thread changes these */
#ifdef BAD_SLEEP_LEFT_OVER
#define left_over false
#else
#define left_over (slice > 0 || fd_due)
#endif

/* aio_fd_collect(): epoll_wait(). A timeout of 0 if !sleep. */
inline fd_collect()
{
    atomic {
        (!sleep || edge || hostfd) ->
        edge = false;
        if
        :: hostfd -> fd_due = true      /* aio_fd_mark_ready() */
        :: else
        fi
    }
}

/*
 * aio_poll_busy(): a test of the fd hits, or the state word or the clock ends
 * it. Rounds before that change nothing, and take a bounded time.
 */
inline busy_poll()
{
    if
    :: hostfd -> fd_due = true; hit = true
    :: true
    fi
}

/* turn_wait() */
inline turn_wait()
{
    hit = false;
    sleep = !left_over;
    if
    :: sleep -> busy_poll()
    :: else
    fi;
    if
    :: hit                      /* aio_poll_covers_all() */
    :: true ->
        sleep = sleep && !hit;
#ifndef BAD_SLEEP_UNSAID
        if
        :: sleep -> may_sleep()
        :: else
        fi;
#endif
        fd_collect()
    fi;
#ifndef BAD_ACCEPT_LATE
    accept_notify()
#endif
}

/* One iteration of GLib's main loop. */
inline glib_wait()
{
    hit = false;
    sleep = false;
    if                          /* source_prepare() */
    :: !left_over -> may_sleep()
    :: else
    fi;
    atomic {                    /* g_poll(), on the epoll fd */
        (!sleep || edge || hostfd || others) ->
        hit = edge || hostfd
    };
    if
    :: others -> others = 0; go = false     /* it alone is dispatched */
    :: go = state == NOTIFIED || left_over || hit   /* source_check() */
    fi;
    if
    :: go ->
#ifndef BAD_ACCEPT_LATE
        accept_notify()
#endif
    :: else
    fi
}

/* slice_take_incoming() of aio_bh_poll() */
inline bh_splice()
{
    d_step { slice = slice + incoming; incoming = 0 }
#ifdef BAD_ACCEPT_LATE
    ;
    accept_notify()             /* after looking for work */
#endif
}

inline fd_dispatch()
{
    if
    :: fd_due -> fd_due = false;
        if
        :: hostfd -> hostfd = false; fds_served++   /* read() */
        :: else                 /* an inner turn was there first */
        fi
    :: else
    fi
}

#ifdef GSOURCE
#define WAIT()     go = true; glib_wait()
#define COLLECT()  sleep = false; fd_collect()
#else
#define WAIT()     go = true; turn_wait()
#define COLLECT()  skip
#endif

/* aio_poll(ctx, true) within a callback, or a GMainContext that is run there */
inline nested_turn()
{
    WAIT();
    if
    :: go ->
        bh_splice();
        do
        :: slice > 0 -> slice--; served++
        :: else -> break
        od;
        COLLECT();
        fd_dispatch()
    :: else
    fi
}

active proctype loop()
{
    bool sleep, hit, go;

    do
    :: all_served -> break
    :: else ->
        WAIT();
        if
        :: go ->
            bh_splice();
            do
            :: slice > 0 ->
                slice--;
                served++;
                if              /* its callback */
                :: !nested -> nested = true;
                    do
                    :: all_served -> break
                    :: else -> nested_turn()
                    od
                :: true
                fi
            :: else -> break
            od;
            COLLECT();
            fd_dispatch()
        :: else
        fi
    od
}

init
{
    byte i;

    atomic {
        for (i : 1 .. NOTIFIERS) {
            run notifier()
        }
        run device()
    };
    others = 1                  /* some time */
}

ltl served { <> (all_served) }
