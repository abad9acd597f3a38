/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * GuestFrames: page frames of a built-in guest, given back and taken again.
 * If they are watched, one that nobody has is filled with a pattern, and
 * whoever takes it looks whether that is whole: a device that writes by a
 * translation that the guest has invalidated is found out. Those that are not
 * watched are never touched, and so cost no memory.
 *
 * Threads: any, but for the first and the last call.
 * Locks:   its own, a leaf.
 */
#ifndef VPUMP_GUEST_FRAMES_H
#define VPUMP_GUEST_FRAMES_H

#include "guest-ram.h"

#include <stdbool.h>
#include <stddef.h>

#define GUEST_FRAME_BYTES 4096

typedef struct GuestFrames GuestFrames;

/**
 * guest_frames_new() - take @count frames from @ram
 * @ram: borrowed until guest_frames_free()
 * @watched: devices do access them
 *
 * Return: the frames, or NULL and @error set.
 */
GuestFrames *guest_frames_new(GuestRam *ram, size_t count, bool watched,
                              GError **error);

/* Context: nobody uses it any more. NULL is ignored. */
void guest_frames_free(GuestFrames *frames);

/**
 * guest_frames_take() - a frame; if watched, its contents are the pattern
 *
 * Return: its guest physical address, or 0 if all are in use.
 */
uint64_t guest_frames_take(GuestFrames *frames);

/* Nobody uses these @count frames any more. */
void guest_frames_give(GuestFrames *frames, const uint64_t *gpas,
                       size_t count);

/* Look at all frames that nobody has, if they are watched. */
void guest_frames_check(GuestFrames *frames);

/* Frames found written to while nobody had them. 0 in a good run. */
uint64_t guest_frames_get_damaged(GuestFrames *frames);

/* Where @gpa is in this process. */
void *guest_frames_ptr(GuestFrames *frames, uint64_t gpa);

#endif
