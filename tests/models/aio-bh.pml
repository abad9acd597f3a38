/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bottom halves: schedule against run, cancel and delete: iothread/aio-bh.c.
 *
 * Two threads schedule A, which may schedule itself once more; one also makes a
 * one-shot B. With CANCEL a third one cancels A meanwhile. When they are done a
 * fourth waits for a one-shot W1 (aio_wait_bh_oneshot()), deletes A, waits for
 * another, W2, and takes A's memory for gone, as viommu_free() does. With
 * SELF_DELETE A is scheduled once, its callback deletes it and then polls on,
 * and the others make one-shots.
 *
 * liburcu's wfcqueue is modelled by its pointers, a step per access that others
 * can see: next[] of the nodes and of the two heads, and the tails. An enqueue
 * may be preempted between its exchange and its store.
 *
 * Shown: A runs after the last schedule, with what was written before it (seen,
 * wrote); one run per batch of schedules; what was scheduled before a one-shot
 * has run when that has; no run of what was deleted or cancelled before the run
 * began; no node is queued twice, freed twice, freed while queued or touched
 * after it is freed.
 *
 * Who schedules A while another thread is amid scheduling it finds it PENDING
 * and leaves it at that: A's place is the other's, who may take it later than
 * the first one takes another's. BAD_ORDER_CLAIM says that it does not.
 *
 * Sequentially consistent. Sound, as all that hands over is a read-modify-write
 * of one word, acquire and release (flags), or liburcu's exchange of the tail,
 * a full barrier. BAD_RELAXED has the caller's store after its fetch_or.
 *
 * run: -                    | safety | pass
 * run: CANCEL               | safety | pass
 * run: SELF_DELETE          | safety | pass
 * run: -                    | ltl ends | pass
 * run: BAD_ORDER_CLAIM      | safety | assert seen[0]==wrote[0]
 * run: BAD_RELAXED          | safety | assert strict
 * run: BAD_LEAVE_LATE       | safety | assert strict
 * run: BAD_LEAVE_EARLY      | safety | assert queued[
 * run: BAD_FETCH_OR         | safety | assert
 * run: BAD_NOTIFY_FIRST     | safety | end state
 * run: BAD_NOTIFY_FIRST     | ltl ends | cycle
 * run: BAD_STEP_OVER_GAP    | safety | assert stail==
 * run: BAD_RUN_DELETED      | safety | assert run_it&&deleted
 * run: CANCEL,BAD_RUN_CANCELLED   | safety | assert runs<=batches
 * run: SELF_DELETE,BAD_LOOK_AGAIN | safety | assert freed[node]
 */
#define NIL  0
#define A    1
#define B    2
#define W1   3
#define W2   4
#define NODES 5                 /* bottom halves and NIL */
#define INC  5                  /* AioBHQueue::incoming_head */
#define SL   6                  /* AioBHQueue::slice_head */

#ifdef CANCEL
#define THREADS 3
#else
#define THREADS 2
#endif

/*
 * Who waits has his on the stack: nobody frees it, it is gone once it ran.
 * Others are AIO_BH_ONESHOT.
 */
#ifdef SELF_DELETE
#define on_stack(n) (n == W2)
#else
#define on_stack(n) (n == W1 || n == W2)
#endif
#define oneshot(n) (n != A && !on_stack(n))

byte next[7];                   /* cds_wfcq_node::next */
byte itail = INC, stail = SL;   /* incoming_tail, slice_tail */
bit pending[NODES], scheduled[NODES], deleted[NODES];   /* AioBH::flags */
bool news;                      /* aio_notify(): a turn will begin */

bit queued[NODES], freed[NODES], ran[NODES];
byte wrote[2], seen[2];
byte batches, runs;             /* of A */
byte threads;                   /* that have ended */
bool amid;                      /* A's PENDING is set, its place not taken */
bool again = true, gone, over;

#define all_seen (seen[0] == wrote[0] && seen[1] == wrote[1])

/*
 * bh_enqueue(). @n may be freed as soon as it was in the queue: nothing of it
 * is touched after that.
 */
inline bh_enqueue(n, sched, del)
{
    assert(!freed[n]);
    assert(!deleted[n]);
#ifdef BAD_FETCH_OR
    was_pending = pending[n];
    amid = amid || (n == A && !was_pending);
    d_step {
        batches = batches + (n == A && sched && !scheduled[n]);
        scheduled[n] = scheduled[n] || sched;
        deleted[n] = deleted[n] || del;
        pending[n] = 1
    };
#else
    d_step {                    /* atomic_fetch_or */
        was_pending = pending[n];
        amid = amid || (n == A && !was_pending);
        batches = batches + (n == A && sched && !scheduled[n]);
        scheduled[n] = scheduled[n] || sched;
        deleted[n] = deleted[n] || del;
        pending[n] = 1
    };
#endif
    if
    :: !was_pending ->
#ifdef BAD_NOTIFY_FIRST
        news = true;
#endif
        d_step {                /* node_init; exchange of the tail */
            assert(!queued[n]);
            queued[n] = 1;
            amid = amid && n != A;
            next[n] = NIL;
            old = itail;
            itail = n
        };
        d_step {                /* store to the one before */
            assert(old >= NODES || !freed[old]);
            next[old] = n
        };
#ifndef BAD_NOTIFY_FIRST
        news = true             /* aio_notify() */
#endif
    :: else
    fi
}

/* aio_bh_schedule() by thread t, which has written something before */
inline schedule(t)
{
#ifdef BAD_RELAXED
    bh_enqueue(A, 1, 0);
    wrote[t]++
#else
    wrote[t]++;
    bh_enqueue(A, 1, 0)
#endif
}

/* slice_take_incoming(): __cds_wfcq_splice_nonblocking() */
inline take_incoming()
{
    head = next[INC];
    if
    :: head == NIL && itail == INC              /* empty */
    :: else ->
        d_step { head = next[INC]; next[INC] = NIL };
        if
        :: head == NIL                          /* a gap: would block */
        :: else ->
            d_step { last = itail; itail = INC };
            d_step { old = stail; stail = last; next[old] = head }
        fi
    fi
}

/* bh_dequeue(): __cds_wfcq_dequeue_nonblocking(). NIL: none, or a gap. */
inline dequeue()
{
    node = next[SL];            /* the home thread's alone, like stail */
    if
    :: node == NIL -> assert(stail == SL)
    :: else ->
        assert(!freed[node]);
        head = next[node];
        if
        :: head != NIL -> next[SL] = head; queued[node] = 0
        :: else ->
            next[SL] = NIL;
            if
            :: stail == node -> stail = SL; queued[node] = 0
            :: else ->
                head = next[node];
                if
#ifdef BAD_STEP_OVER_GAP
                :: head == NIL -> queued[node] = 0
#else
                :: head == NIL -> next[SL] = node; node = NIL
#endif
                :: else -> next[SL] = head; queued[node] = 0
                fi
            fi
        fi
    fi
}

/* bh_leave_queue(): atomic_fetch_and; run and die are what to do then */
inline leave_queue()
{
    d_step {
        assert(!freed[node]);
#ifdef BAD_RUN_CANCELLED
        run_it = !deleted[node];
#else
#ifdef BAD_RUN_DELETED
        run_it = scheduled[node] || deleted[node];
#else
        run_it = scheduled[node] && !deleted[node];
#endif
#endif
        die = deleted[node] || oneshot(node);
        assert(!(run_it && deleted[node]));     /* here a run begins */
        pending[node] = 0;
        scheduled[node] = 0
    }
}

/* bh_free() */
inline free_node()
{
    d_step {
        assert(!freed[node]);
        assert(!queued[node]);
        freed[node] = 1
    }
}

/* What the callback does that the check is about. */
inline callback()
{
    d_step {
        assert(!(node == A && gone));
        ran[node] = 1;
        freed[node] = on_stack(node);   /* bh_wait_run() */
        runs = runs + (node == A);
        assert(runs <= batches)
    }
#ifndef SELF_DELETE
    ;
    if
    :: node == A -> seen[0] = wrote[0]; seen[1] = wrote[1]
    :: else
    fi
#endif
}

/* aio_bh_poll() of an aio_poll() in a callback */
inline nested_bh_poll()
{
    take_incoming();
    dequeue();
    do
    :: node == NIL -> break
    :: else ->
        leave_queue();
        if
        :: die -> free_node()
        :: else
        fi;
        if
        :: run_it -> callback()
        :: else
        fi;
        dequeue()
    od
}

/* What A's callback does besides */
inline in_callback()
{
#ifdef SELF_DELETE
    if
    :: node == A ->
        outer = node;
        bh_enqueue(A, 0, 1);
        nested_bh_poll();
        node = outer
    :: else
    fi
#else
    if
    :: node == A && again -> again = false; bh_enqueue(A, 1, 0)
    :: true
    fi
#endif
}

/* aio_bh_poll() */
inline bh_poll()
{
    take_incoming();
#ifdef BAD_LEAVE_EARLY
    node = next[SL];
    if
    :: node != NIL -> leave_queue()
    :: else
    fi;
#endif
    dequeue();
    do
    :: node == NIL -> break
    :: else ->
#ifdef BAD_LEAVE_LATE
        if
        :: node == A ->
            d_step {
                run_it = scheduled[node] && !deleted[node];
                die = false
            }
        :: else -> leave_queue()
        fi;
#else
#ifndef BAD_LEAVE_EARLY
        leave_queue();
#endif
#endif
#ifndef BAD_LOOK_AGAIN
        if
        :: die -> free_node()
        :: else
        fi;
#endif
        if
        :: run_it -> callback(); in_callback()
        :: else
        fi;
#ifdef BAD_LOOK_AGAIN
        assert(!freed[node]);   /* reads its flags */
        if
        :: die -> free_node()
        :: else
        fi;
#endif
#ifdef BAD_LEAVE_LATE
        if
        :: node == A ->
            leave_queue();
            if
            :: die -> free_node()
            :: else
            fi
        :: else
        fi;
#endif
#ifdef BAD_LEAVE_EARLY
        node = next[SL];
        if
        :: node != NIL -> leave_queue()
        :: else
        fi;
#endif
        dequeue()
    od
}

active proctype home()
{
    byte node, head, last, old, outer;
    bit run_it, die, was_pending;

    do
    :: news -> news = false; bh_poll()
    :: over && !news -> break
    od
}

active proctype scheduler()
{
    byte old;
    bit was_pending;

#ifdef SELF_DELETE
    bh_enqueue(W1, 1, 0);       /* another one-shot */
#else
    schedule(0);
    schedule(0);
#endif
    threads++
}

active proctype maker()
{
    byte old;
    bit was_pending;

#ifndef SELF_DELETE
    schedule(1);
#endif
    bh_enqueue(B, 1, 0);        /* aio_bh_schedule_oneshot() */
    threads++
}

#ifdef CANCEL
active proctype canceller()
{
    d_step {                    /* aio_bh_cancel(): atomic_fetch_and */
        batches = batches - (scheduled[A] && !freed[A]);
        scheduled[A] = 0
    };
    threads++
}
#endif

/* viommu_free() */
active proctype owner()
{
    byte old;
    bit was_pending, strict;

#ifdef SELF_DELETE
    bh_enqueue(A, 1, 0);
    threads == THREADS;
    bh_enqueue(W2, 1, 0);
    ran[W2];
    assert(ran[B] && ran[W1]);
    freed[A];                   /* may stand behind W2 */
#else
    threads == THREADS;
    strict = !amid;
    bh_enqueue(W1, 1, 0);       /* aio_wait_bh_oneshot() */
    ran[W1];
    assert(ran[B]);
#ifndef CANCEL
#ifdef BAD_ORDER_CLAIM
    assert(seen[0] == wrote[0]);
#else
    assert(!strict || all_seen);
#endif
    all_seen;
#endif
    bh_enqueue(A, 0, 1);        /* aio_bh_delete() */
    bh_enqueue(W2, 1, 0);       /* aio_wait_bh_oneshot(nothing_bh) */
    ran[W2];
    assert(freed[A] || !strict);
#endif
    gone = true;
    over = true
}

ltl ends { <> over }
