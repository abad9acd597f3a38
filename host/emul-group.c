/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Groups of page faults: lists of them, and the pool that they come from. Its
 * blocks stay until the queue is freed.
 */
#include "emul-queue.h"

enum { POOL_BLOCK = 256 };      /* groups or pages */

void emul_groups_append(EmulGroupList *list, EmulGroup *group)
{
    group->next = NULL;
    *list->end = group;
    list->end = &group->next;
}

void emul_groups_init(EmulGroupList *list)
{
    list->first = NULL;
    list->end = &list->first;
}

EmulGroup *emul_groups_pop(EmulGroupList *list)
{
    EmulGroup *group = list->first;

    list->first = group->next;
    if (!list->first) {
        list->end = &list->first;
    }
    return group;
}

EmulGroup *emul_pool_get_group(EmulGroupPool *pool)
{
    EmulGroup *group;

    if (!pool->groups) {
        EmulGroup *block = g_new(EmulGroup, POOL_BLOCK);

        pool->blocks = g_slist_prepend(pool->blocks, block);
        for (unsigned i = 0; i < POOL_BLOCK; i++) {
            block[i].next = pool->groups;
            pool->groups = &block[i];
        }
    }
    group = pool->groups;
    pool->groups = group->next;
    group->pages = NULL;
    group->tail = &group->pages;
    group->num = 0;
    return group;
}

EmulPage *emul_pool_get_page(EmulGroupPool *pool)
{
    EmulPage *page;

    if (!pool->pages) {
        EmulPage *block = g_new(EmulPage, POOL_BLOCK);

        pool->blocks = g_slist_prepend(pool->blocks, block);
        for (unsigned i = 0; i < POOL_BLOCK; i++) {
            block[i].next = pool->pages;
            pool->pages = &block[i];
        }
    }
    page = pool->pages;
    pool->pages = page->next;
    return page;
}

void emul_pool_put(EmulGroupPool *pool, EmulGroup *group)
{
    if (group->pages) {
        *group->tail = pool->pages;
        pool->pages = group->pages;
    }
    group->next = pool->groups;
    pool->groups = group;
}
