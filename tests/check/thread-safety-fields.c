/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Fields that a lock guards, with it and without. */
#include "base/lock.h"

#include <glib.h>

typedef struct Box {
    Lock lock;
    int value GUARDED_BY(&lock);
    int *array GUARDED_BY(&lock);
    struct {
        int inside;
    } part GUARDED_BY(&lock);
} Box;

int read_without(Box *box);
void write_without(Box *box);
int read_part_without(Box *box);
int read_element_without(Box *box);
int read_after(Box *box);
int read_with(Box *box);
Box *box_new(void);
void box_free(Box *box);

int read_without(Box *box)
{
    return box->value; /* finds: reading variable 'value' requires holding */
}

void write_without(Box *box)
{
    box->value = 1; /* finds: writing variable 'value' requires holding */
}

int read_part_without(Box *box)
{
    return box->part.inside; /* finds: reading variable 'part' requires */
}

int read_element_without(Box *box)
{
    return box->array[0]; /* finds: reading variable 'array' requires */
}

int read_after(Box *box)
{
    lock_acquire(&box->lock);
    lock_release(&box->lock);
    return box->value; /* finds: reading variable 'value' requires holding */
}

int read_with(Box *box)
{
    int value;

    lock_acquire(&box->lock);
    value = box->value + box->part.inside + box->array[0];
    lock_release(&box->lock);
    return value;
}

/* Whoever makes or unmakes it is alone. */
Box *box_new(void)
{
    Box *box = g_new0(Box, 1);

    lock_init(&box->lock, LOCK_RANK_LEAF);
    box->value = 1;
    return box;
}

void box_free(Box *box)
{
    lock_destroy(&box->lock);
    g_free(box->array);
    g_free(box);
}
