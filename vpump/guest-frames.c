/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The frame given back last is taken first: it is still in the processor's
 * cache, and a device that uses it too long has little time to do so unseen.
 * Its memory is filled, and looked at, while nobody else can get it.
 */
#include "guest-frames.h"

#include "base/lock.h"

#include <string.h>

enum { PATTERN = 0xa5 };

struct GuestFrames {
    GuestRam *ram;              /* [const] */
    bool watched;               /* [const] */
    Lock lock;
    uint64_t *free GUARDED_BY(&lock);   /* a stack, with room for all */
    size_t count GUARDED_BY(&lock); /* of free ones */
    uint64_t damaged GUARDED_BY(&lock);
    uint8_t pattern[GUEST_FRAME_BYTES];     /* [const] what is in a free one */
};

static bool is_whole(const GuestFrames *frames, uint64_t gpa)
{
    return memcmp(guest_ram_ptr(frames->ram, gpa), frames->pattern,
                  GUEST_FRAME_BYTES) == 0;
}

static void fill(const GuestFrames *frames, uint64_t gpa)
{
    memset(guest_ram_ptr(frames->ram, gpa), PATTERN, GUEST_FRAME_BYTES);
}

uint64_t guest_frames_take(GuestFrames *frames)
{
    uint64_t gpa = 0;

    lock_acquire(&frames->lock);
    if (frames->count > 0) {
        gpa = frames->free[--frames->count];
    }
    lock_release(&frames->lock);
    if (gpa && frames->watched && !is_whole(frames, gpa)) {
        lock_acquire(&frames->lock);
        frames->damaged++;
        lock_release(&frames->lock);
    }
    return gpa;
}

void guest_frames_give(GuestFrames *frames, const uint64_t *gpas, size_t count)
{
    for (size_t i = 0; frames->watched && i < count; i++) {
        fill(frames, gpas[i]);
    }
    lock_acquire(&frames->lock);
    memcpy(&frames->free[frames->count], gpas, count * sizeof(gpas[0]));
    frames->count += count;
    lock_release(&frames->lock);
}

/* What was found is made good, so that it counts once. */
void guest_frames_check(GuestFrames *frames)
{
    lock_acquire(&frames->lock);
    for (size_t i = 0; frames->watched && i < frames->count; i++) {
        if (!is_whole(frames, frames->free[i])) {
            frames->damaged++;
            fill(frames, frames->free[i]);
        }
    }
    lock_release(&frames->lock);
}

uint64_t guest_frames_get_damaged(GuestFrames *frames)
{
    uint64_t damaged;

    lock_acquire(&frames->lock);
    damaged = frames->damaged;
    lock_release(&frames->lock);
    return damaged;
}

void *guest_frames_ptr(GuestFrames *frames, uint64_t gpa)
{
    return guest_ram_ptr(frames->ram, gpa);
}

GuestFrames *guest_frames_new(GuestRam *ram, size_t count, bool watched,
                              GError **error)
{
    uint64_t gpa = guest_ram_alloc(ram, (uint64_t)count * GUEST_FRAME_BYTES,
                                   GUEST_FRAME_BYTES, error);
    GuestFrames *frames;

    if (!gpa) {
        return NULL;
    }
    frames = g_new0(GuestFrames, 1);
    lock_init(&frames->lock, LOCK_RANK_LEAF);
    frames->ram = ram;
    frames->watched = watched;
    frames->free = g_new(uint64_t, count);
    frames->count = count;
    memset(frames->pattern, PATTERN, sizeof(frames->pattern));
    for (size_t i = 0; i < count; i++) {
        frames->free[i] = gpa + i * GUEST_FRAME_BYTES;
        if (watched) {
            fill(frames, frames->free[i]);
        }
    }
    return frames;
}

void guest_frames_free(GuestFrames *frames)
{
    if (frames) {
        lock_destroy(&frames->lock);
        g_free(frames->free);
        g_free(frames);
    }
}
