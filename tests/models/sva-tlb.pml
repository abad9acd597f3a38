/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sequence lock of a cached translation: hw/iommu/sva-tlb.c. Two threads
 * insert into one entry, a third one drops the page, one looks it up.
 *
 * Shown: what is found is what one insert has entered: a translation of the
 * page asked for, in the generation asked for, never fields of two.
 *
 * Each load and store of a field is a step, in the order of the program. They
 * are acquire and release, so a processor keeps loads, and stores, in their
 * order, which is all that this relies on: nobody looks at one variable after a
 * store to another to learn which was first. BAD_LOOK_FIRST and BAD_STORE_FIRST
 * have the orders that relaxed loads and relaxed stores would allow.
 *
 * run: -                | safety | pass
 * run: BAD_LOOK_FIRST   | safety | assert a==
 * run: BAD_STORE_FIRST  | safety | assert a==
 * run: BAD_NO_SEQUENCE  | safety | assert a==
 * run: BAD_TWO_WRITERS  | safety | assert a==
 */
/* SvaTlbEntry. An insert by writer w has page w, gpa 10 + w, generation g. */
byte sequence, page, gpa, generation;

/* write_begin(): begun */
inline write_begin()
{
    seq = sequence;
#ifdef BAD_TWO_WRITERS
    begun = seq % 2 == 0;
    if
    :: begun -> sequence = seq + 1
    :: else
    fi
#else
    d_step {                    /* compare and exchange */
        begun = seq % 2 == 0 && sequence == seq;
        sequence = sequence + begun
    }
#endif
}

/* sva_tlb_insert() */
proctype insert(byte w)
{
    byte seq;
    bool begun;

    write_begin();
    if
    :: begun ->
#ifdef BAD_STORE_FIRST
        sequence = seq;         /* it becomes odd later than the fields */
#endif
        generation = 1;
        page = w;
#ifdef BAD_STORE_FIRST
        sequence = seq + 1;
#endif
        gpa = 10 + w;
        sequence = seq + 2      /* write_end() */
    :: else
    fi
}

/* sva_tlb_drop_page() of page 1 */
proctype drop()
{
    byte seq;
    bool begun;

    write_begin();
    if
    :: begun ->
        if
        :: page == 1 -> generation = 0
        :: else
        fi;
        sequence = seq + 2
    :: else
    fi
}

/* sva_tlb_find() of page w in generation 1 */
proctype find(byte w)
{
    byte before, g, p, a, after;

    before = sequence;
#ifdef BAD_LOOK_FIRST
    after = sequence;
#endif
    g = generation;
    p = page;
    a = gpa;
#ifndef BAD_LOOK_FIRST
    after = sequence;
#endif
    if
#ifdef BAD_NO_SEQUENCE
    :: g == 1 && p == w ->
#else
    :: before % 2 == 0 && g == 1 && p == w && after == before ->
#endif
        assert(a == 10 + w)     /* gpa */
    :: else
    fi
}

init
{
    atomic {
        run insert(1);
        run insert(2);
        run drop();
        run find(1)
    }
}
