/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "replay-groups.h"

#include <string.h>

/* What a guest knows a group by. */
typedef struct GroupKey {
    uint32_t device;
    uint32_t pasid;             /* or REPLAY_NO_PASID */
    uint32_t grpid;
} GroupKey;

/* The group that has a cookie, while it is open. */
typedef struct ReplayCookie {
    bool open;
    uint32_t key_slot;
    uint32_t device;
    uint32_t pasid;
} ReplayCookie;

/* By slot. */
typedef struct ReplayKey {
    bool open;
    GroupKey key;
} ReplayKey;

static guint key_hash(gconstpointer opaque)
{
    const GroupKey *key = opaque;

    return (key->device * 31 + key->pasid) * UINT32_C(0x9e3779b1) + key->grpid;
}

static gboolean key_equal(gconstpointer a, gconstpointer b)
{
    return memcmp(a, b, sizeof(GroupKey)) == 0;
}

static ReplayCookie *cookie_at(const ReplayGroups *groups, uint32_t slot)
{
    return &g_array_index(groups->cookies, ReplayCookie, slot);
}

static ReplayKey *key_at(const ReplayGroups *groups, uint32_t slot)
{
    return &g_array_index(groups->keys, ReplayKey, slot);
}

static uint32_t cookie_slot(ReplayGroups *groups, uint32_t cookie)
{
    gpointer found =
        g_hash_table_lookup(groups->by_cookie, GUINT_TO_POINTER(cookie));
    ReplayCookie fresh = { 0 };

    if (found) {
        return GPOINTER_TO_UINT(found) - 1;
    }
    g_array_append_val(groups->cookies, fresh);
    g_hash_table_insert(groups->by_cookie, GUINT_TO_POINTER(cookie),
                        GUINT_TO_POINTER(groups->cookies->len));
    return groups->cookies->len - 1;
}

static uint32_t key_slot(ReplayGroups *groups, const GroupKey *key)
{
    gpointer found = g_hash_table_lookup(groups->by_key, key);
    ReplayKey fresh = { .key = *key };

    if (found) {
        return GPOINTER_TO_UINT(found) - 1;
    }
    g_array_append_val(groups->keys, fresh);
    g_hash_table_insert(groups->by_key, g_memdup2(key, sizeof(*key)),
                        GUINT_TO_POINTER(groups->keys->len));
    return groups->keys->len - 1;
}

static void close_group(ReplayGroups *groups, ReplayCookie *cookie)
{
    cookie->open = false;
    key_at(groups, cookie->key_slot)->open = false;
}

void replay_groups_add(ReplayGroups *groups,
                       const struct iommu_hwpt_pgfault *first,
                       uint32_t device)
{
    ReplayGroup group = { REPLAY_NO_SLOT, REPLAY_NO_SLOT, device };

    if (first) {
        GroupKey key = {
            .device = device,
            .pasid = first->flags & IOMMU_PGFAULT_FLAGS_PASID_VALID
                         ? first->pasid : REPLAY_NO_PASID,
            .grpid = first->grpid,
        };

        group.cookie_slot = cookie_slot(groups, first->cookie);
        group.key_slot = key_slot(groups, &key);
    }
    g_array_append_val(groups->items, group);
}

const ReplayGroup *replay_groups_get(const ReplayGroups *groups, size_t item)
{
    return &g_array_index(groups->items, ReplayGroup, item);
}

bool replay_groups_is_held(const ReplayGroups *groups, size_t item)
{
    const ReplayGroup *group = replay_groups_get(groups, item);

    return group->cookie_slot != REPLAY_NO_SLOT &&
           (cookie_at(groups, group->cookie_slot)->open ||
            key_at(groups, group->key_slot)->open);
}

bool replay_groups_open(ReplayGroups *groups, size_t item)
{
    const ReplayGroup *group = replay_groups_get(groups, item);
    ReplayKey *key;

    if (group->cookie_slot == REPLAY_NO_SLOT) {
        return false;
    }
    key = key_at(groups, group->key_slot);
    key->open = true;
    *cookie_at(groups, group->cookie_slot) = (ReplayCookie){
        .open = true,
        .key_slot = group->key_slot,
        .device = group->device,
        .pasid = key->key.pasid,
    };
    return true;
}

bool replay_groups_answer(ReplayGroups *groups, uint32_t cookie,
                          uint32_t *device)
{
    gpointer found =
        g_hash_table_lookup(groups->by_cookie, GUINT_TO_POINTER(cookie));
    ReplayCookie *group;

    if (!found) {
        return false;
    }
    group = cookie_at(groups, GPOINTER_TO_UINT(found) - 1);
    if (!group->open) {
        return false;
    }
    *device = group->device;
    close_group(groups, group);
    return true;
}

unsigned replay_groups_end(ReplayGroups *groups, uint32_t device,
                           uint32_t pasid)
{
    unsigned ended = 0;

    for (unsigned i = 0; i < groups->cookies->len; i++) {
        ReplayCookie *group = cookie_at(groups, i);

        if (group->open && group->device == device &&
            (pasid == REPLAY_ALL_PASIDS || group->pasid == pasid)) {
            close_group(groups, group);
            ended++;
        }
    }
    return ended;
}

void replay_groups_init(ReplayGroups *groups)
{
    *groups = (ReplayGroups){
        .items = g_array_new(FALSE, FALSE, sizeof(ReplayGroup)),
        .by_cookie = g_hash_table_new(NULL, NULL),
        .cookies = g_array_new(FALSE, FALSE, sizeof(ReplayCookie)),
        .by_key = g_hash_table_new_full(key_hash, key_equal, g_free, NULL),
        .keys = g_array_new(FALSE, FALSE, sizeof(ReplayKey)),
    };
}

void replay_groups_clear(ReplayGroups *groups)
{
    g_array_unref(groups->items);
    g_hash_table_unref(groups->by_cookie);
    g_array_unref(groups->cookies);
    g_hash_table_unref(groups->by_key);
    g_array_unref(groups->keys);
}
