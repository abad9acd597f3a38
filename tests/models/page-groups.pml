/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Page request groups of a host: detach against the guest's responses, late,
 * twice or never, and against cookies that the host gives out again.
 * hw/iommu/viommu-fault-queue.c, viommu-pages.c, page-request.c, fault-pump.c.
 *
 * The host raises GROUPS groups of two devices. A read() gives a group the
 * lowest cookie that is free. A vCPU has device 0 detached, which answers all
 * its groups, and attached again. In the end it drops all that is open.
 *
 * Each device uses one group index, so that the guest's late response may meet
 * the next group of the same key. A write of answers may be interrupted before
 * any, and go on later. A busy-polling hit reads, and its handler takes it
 * later, other bottom halves in between.
 *
 * Shown: no answer is written to a cookie that is not out, or by now another
 * group's; every group is answered once, by the host or by us.
 *
 * Each section of the ring_lock, and each system call, is one step; what only
 * the home thread touches makes no steps of its own.
 *
 * run: -                    | safety | pass
 * run: BAD_NO_SETTLE        | safety | assert out[
 * run: BAD_NO_DROP          | safety | assert out[
 * run: BAD_KEEP_ANSWERS     | safety | assert out[
 * run: BAD_DETACH_ELSEWHERE | safety | assert out[
 * run: BAD_DROP_LATE        | safety | assert out[
 * run: BAD_ANSWER_STAYS     | safety | assert out[
 * run: BAD_REPLACE          | safety | assert answered[
 */
#define GROUPS  3
#define COOKIES 3
#define RESPONSES 3             /* by the guest */
#define NIL     255

#define device_of(g) (g % 2)

mtype = { NONE, DETACH, FORGET, ATTACH, DROP };

/* The host's. A group is its number. */
byte raised;
byte out[COOKIES] = NIL;        /* the group whose cookie is out */
bool waits[GROUPS];             /* in the queue, not yet read */
byte answered[GROUPS];
bool attached = true;           /* device 0 */

/* [ring_lock] PageResponses, by device; 2 is a code that is not a success */
bool response[2];
bool shown[2];                  /* the guest has seen such a group */

mtype scheduled = NONE;         /* the bottom half of the vCPU that waits */
bool done;

/* The home thread's. */
byte filled = NIL;              /* cookie that busy polling has read */
byte fill_group;
byte open[2] = NIL;             /* cookie of the open group, by device */
byte unwritten[COOKIES + 1] = NIL;      /* cookies of answers, oldest first */
byte owner_of[COOKIES + 1];     /* their devices */
byte count;

/* Ghost: which group we mean by a cookie. */
byte meant[COOKIES];

active proctype host()
{
    do
    :: raised < GROUPS ->
        atomic {                /* iopf: no group of a detached device */
            (device_of(raised) == 1 || attached) ->
            waits[raised] = true;
            raised++
        }
    :: else -> break
    od
}

active proctype guest()
{
    byte i;

    for (i : 1 .. RESPONSES) {
        if                      /* viommu_respond_page_group() */
        :: shown[0] -> response[0] = true
        :: shown[1] -> response[1] = true
        :: true
        fi
    }
}

/* ---- Home thread; all of these are within a d_step, but for calls ---- */

/* add_answer() */
inline add_answer(cookie, device)
{
    unwritten[count] = cookie;
    owner_of[count] = device;
    count++
}

/* host_deliver(), settle(), page_request_open() */
inline take(cookie, group)
{
    meant[cookie] = group;
    if
    :: open[device_of(group)] != NIL ->         /* PAGE_REQUEST_REPLACED */
#ifndef BAD_REPLACE
        add_answer(open[device_of(group)], device_of(group))
#else
        skip
#endif
    :: else
    fi;
    open[device_of(group)] = cookie;
    shown[device_of(group)] = true
}

/* read() of one group, the oldest: its cookie, or NIL */
inline read_group(cookie, group)
{
    d_step {
        cookie = NIL;
        group = 0;
        do
        :: group < GROUPS && !waits[group] -> group++
        :: else -> break
        od;
        if
        :: group < GROUPS ->
            waits[group] = false;
            cookie = 0;
            do
            :: out[cookie] != NIL -> cookie++
            :: else -> break
            od;
            out[cookie] = group
        :: else
        fi
    }
}

/* viommu_pages_settle() */
inline pages_settle()
{
    d_step {
        if
        :: filled != NIL -> take(filled, fill_group); filled = NIL
        :: else
        fi
    }
}

/* viommu_pages_take_responses(), run_response(), page_request_answer() */
inline take_responses()
{
    d_step {
        i = 0;
        do
        :: i < 2 ->
            if
            :: response[i] && open[i] != NIL ->
                add_answer(open[i], i);
#ifndef BAD_ANSWER_STAYS
                open[i] = NIL
#endif
            :: else             /* stray */
            fi;
            response[i] = false;
            i++
        :: else -> break
        od;
        i = 0
    }
}

/* The write() of one answer */
inline write_answer()
{
    d_step {
        cookie = unwritten[0];
        assert(out[cookie] == meant[cookie]);
        answered[out[cookie]]++;
        out[cookie] = NIL;
        i = 1;
        do
        :: i < count ->
            unwritten[i - 1] = unwritten[i];
            owner_of[i - 1] = owner_of[i];
            i++
        :: else -> break
        od;
        i = 0;
        count--;
        unwritten[count] = NIL;
        owner_of[count] = 0
    }
}

/* fault_pump_flush(). Or it is interrupted, and pages_work() goes on. */
inline pages_flush()
{
    do
    :: count > 0 -> write_answer()
    :: break
    od
}

/* page_request_drop_pasid(PAGE_REQUEST_FORGET) of device 0 */
inline forget()
{
    d_step {
#ifndef BAD_NO_DROP
        open[0] = NIL;
#endif
#ifndef BAD_KEEP_ANSWERS
        i = 0;
        cookie = 0;
        do
        :: i < count ->
            if
            :: owner_of[i] != 0 ->
                unwritten[cookie] = unwritten[i];
                owner_of[cookie] = owner_of[i];
                cookie++
            :: else
            fi;
            i++
        :: else -> break
        od;
        count = cookie;
        do
        :: cookie <= COOKIES -> unwritten[cookie] = NIL; cookie++
        :: else -> break
        od;
        cookie = 0;
        i = 0
#endif
    }
}

/* vfio_device_detach(): the host answers all groups of the device */
inline host_detach()
{
    d_step {
        attached = false;
        i = 0;
        do
        :: i < COOKIES ->
            if
            :: out[i] != NIL && device_of(out[i]) == 0 ->
                answered[out[i]]++;
                out[i] = NIL
            :: else
            fi;
            if
            :: waits[i] && device_of(i) == 0 ->
                answered[i]++;
                waits[i] = false
            :: else
            fi;
            i++
        :: else -> break
        od;
        i = 0
    }
}

/* attach_bh() with end_groups() */
inline detach_bh()
{
#ifndef BAD_NO_SETTLE
    pages_settle();
#endif
    take_responses();
    pages_flush();
#if !defined(BAD_DETACH_ELSEWHERE) && !defined(BAD_DROP_LATE)
    forget();
#endif
#ifndef BAD_DETACH_ELSEWHERE
    host_detach()
#endif
}

#define hq_empty (!waits[0] && !waits[1] && !waits[2])

active proctype home()
{
    byte cookie, group, i;

end:
    do
    :: !hq_empty && filled == NIL ->    /* a busy-polling hit */
        read_group(filled, fill_group)
    :: !hq_empty || filled != NIL || count > 0 || response[0] || response[1] ->
        pages_settle();                 /* run_once() */
        take_responses();
        pages_flush();
        read_group(cookie, group);
        d_step {
            if
            :: cookie != NIL -> take(cookie, group)
            :: else
            fi;
            cookie = 0;
            group = 0
        }
    :: scheduled == DETACH ->
        scheduled = NONE;
        detach_bh();
        done = true
#if defined(BAD_DETACH_ELSEWHERE) || defined(BAD_DROP_LATE)
    :: scheduled == FORGET ->
        scheduled = NONE;
        forget();
        done = true
#endif
    :: scheduled == ATTACH ->           /* attach_bh(), elsewhere */
        scheduled = NONE;
        attached = true;
        done = true
    :: scheduled == DROP ->             /* drop_bh() */
        scheduled = NONE;
        pages_settle();
        take_responses();
        d_step {
            i = 0;
            do
            :: i < 2 ->
                if
                :: open[i] != NIL -> add_answer(open[i], i); open[i] = NIL
                :: else
                fi;
                i++
            :: else -> break
            od;
            i = 0
        };
        pages_flush();
        done = true
    od
}

inline wait_for(what)
{
    done = false;
    scheduled = what;
    done
}

active proctype vcpu()
{
    byte i;

#ifdef BAD_DETACH_ELSEWHERE
    host_detach();
#endif
    wait_for(DETACH);
#if defined(BAD_DETACH_ELSEWHERE) || defined(BAD_DROP_LATE)
    wait_for(FORGET);
#endif
    wait_for(ATTACH);
    raised == GROUPS && hq_empty;
    wait_for(DROP);
    count == 0;                         /* pages_work() has flushed */
    for (i : 0 .. GROUPS - 1) {
        assert(answered[i] == 1)
    }
}
