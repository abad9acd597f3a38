/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * SvaAccel: an emulated device that transforms buffers in address spaces of its
 * guest, named by PASID and virtual address (shared virtual addressing). What
 * is not mapped it asks for by page requests.
 *
 * A thread of its own executes operations, several at once: one that waits for
 * a page or for credits does not hold up the others. The device's lock is held
 * both in the MMIO handler, which a vCPU calls under a monitor's big lock, and
 * around page requests: what viommu_page_request() is there to allow.
 *
 * The guest puts a descriptor of 64 bytes into a slot, and the slot's number
 * into the doorbell. When the operation is done, the number is in the
 * completion ring, and the interrupt, an eventfd, is raised once for all that
 * were done meanwhile.
 *
 * Threads: created and freed on a thread that may block; MMIO on any; counts on
 *          any, exact when no operation is under way.
 * Locks:   sva_accel_mmio_*() take the device's (LOCK_RANK_DEVICE); the caller
 *          may hold a big lock (LOCK_RANK_BIG), or a guest's.
 */
#ifndef VPUMP_SVA_ACCEL_H
#define VPUMP_SVA_ACCEL_H

#include "histogram.h"

#include "hw/iommu/sva-device.h"

typedef struct SvaAccel SvaAccel;

/* Slots, at most: each has its own page request group index. */
#define SVA_ACCEL_DEPTH_MAX 512u

/* A group has at most as many pages, and no more than there are credits. */
#define SVA_ACCEL_GROUP_PAGES 4

/* Registers, of 8 bytes each. */
enum {
    SVA_ACCEL_DESCRIPTORS = 0x00,   /* guest physical address of slot 0 */
    SVA_ACCEL_COMPLETIONS = 0x08,   /* of the completion ring */
    SVA_ACCEL_DEPTH = 0x10,         /* RO: slots */
    SVA_ACCEL_DOORBELL = 0x18,      /* WO: start the operation of a slot */
};

/*
 * A descriptor is eight words of 64 bits. STATUS is the device's, and says
 * nothing until the slot is in the completion ring.
 */
enum {
    SVA_ACCEL_WORD_PASID,
    SVA_ACCEL_WORD_SRC,             /* virtual addresses, any alignment */
    SVA_ACCEL_WORD_DST,
    SVA_ACCEL_WORD_LENGTH,          /* bytes, 1 to 4096 */
    SVA_ACCEL_WORD_KEY,             /* for the transformation */
    SVA_ACCEL_WORD_STATUS,
    SVA_ACCEL_DESCRIPTOR_WORDS = 8,
};

#define SVA_ACCEL_LENGTH_MAX 4096

enum {
    SVA_ACCEL_STATUS_DONE = 1,
    SVA_ACCEL_STATUS_BAD = 2,       /* a PASID or length that it does not do */
    SVA_ACCEL_STATUS_FAULT = 3,     /* a page request was answered INVALID */
};

/*
 * The completion ring: word 0 counts the slots that were ever put in it, and
 * the one put in as number n is in word 1 + n % DEPTH. No more are in it than
 * there are slots, so it is never full.
 */
#define SVA_ACCEL_RING_WORDS(depth) (1 + (size_t)(depth))

/**
 * struct SvaAccelConfig - what -device sva-device says
 * @id: for messages; the thread is named "sva " and this; copied
 * @viommu: which translates; borrowed until sva_accel_free()
 * @mem: guest memory; borrowed likewise
 * @rid: requester ID
 * @pasids: it does PASIDs 1 to @pasids
 * @credits: pages asked for at once, at least %SVA_ACCEL_GROUP_PAGES
 * @depth: slots, 1 to %SVA_ACCEL_DEPTH_MAX
 */
typedef struct SvaAccelConfig {
    const char *id;
    Viommu *viommu;
    GuestMem *mem;
    uint32_t rid;
    uint32_t pasids;
    uint32_t credits;
    uint32_t depth;
} SvaAccelConfig;

/**
 * struct SvaAccelCounts - since creation
 * @completed: operations that were done
 * @failed: operations that were not, whatever the status; 0 in a good run
 * @raised: page request groups
 * @success, @invalid: responses to them; raised = success + invalid + open
 * @stray: responses to groups that were not open; 0 in a good run
 * @no_credit: times that an operation had to wait for credits
 */
typedef struct SvaAccelCounts {
    uint64_t completed;
    uint64_t failed;
    uint64_t raised;
    uint64_t success;
    uint64_t invalid;
    uint64_t stray;
    uint64_t no_credit;
} SvaAccelCounts;

/**
 * sva_accel_new() - start the device's thread, and plug it into its vIOMMU
 *
 * Return: the device, or NULL and @error set.
 */
SvaAccel *sva_accel_new(const SvaAccelConfig *config, GError **error);

/**
 * sva_accel_free() - unplug it, join its thread
 *
 * Operations under way end; nobody hears of them. NULL is ignored.
 *
 * Context: Blocks for the device's thread and for the vIOMMU's iothread.
 */
void sva_accel_free(SvaAccel *accel);

/* A guest's access to a register. If not of 8 bytes: ignored, reads as 0. */
uint64_t sva_accel_mmio_read(SvaAccel *accel, uint64_t offset, unsigned size);
void sva_accel_mmio_write(SvaAccel *accel, uint64_t offset, unsigned size,
                          uint64_t value);

/* That of the device's thread; borrowed. */
AioContext *sva_accel_get_aio_context(const SvaAccel *accel);

/* The interrupt: an eventfd, non-blocking; borrowed. */
int sva_accel_get_irq_fd(const SvaAccel *accel);

SvaAccelCounts sva_accel_get_counts(const SvaAccel *accel);

/* From a page request to its response, ns, by group. Any thread. */
void sva_accel_get_roundtrip(const SvaAccel *accel,
                             HistogramSnapshot *roundtrip);

/**
 * sva_accel_transform() - what an operation does: pure
 * @offset: of @src[0] in the operation's buffer
 *
 * @dst may not overlap @src. Cut anywhere, the parts give what the whole does.
 */
void sva_accel_transform(uint8_t *dst, const uint8_t *src, size_t len,
                         uint64_t key, size_t offset);

#endif
