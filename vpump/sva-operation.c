/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An operation is cut where source or destination cross a page. Each part is
 * translated and done inside one read section, which is what the guest's
 * invalidations wait for; nothing that was translated is kept any longer.
 */
#include "sva-accel-internal.h"

#include "hw/iommu/guest-mem.h"

#include <string.h>

enum { PAGE_BYTES = 4096 };

/* Bytes from @addr to the end of its page. */
static size_t page_rest(uint64_t addr)
{
    return PAGE_BYTES - addr % PAGE_BYTES;
}

/* The key repeats every eight bytes; it is turned to begin with @offset. */
void sva_accel_transform(uint8_t *dst, const uint8_t *src, size_t len,
                         uint64_t key, size_t offset)
{
    unsigned turn = offset % 8 * 8;
    uint64_t mask = turn ? key >> turn | key << (64 - turn) : key;
    uint64_t word;

    mask = GUINT64_TO_LE(mask);
    for (; len >= 8; len -= 8, src += 8, dst += 8) {
        memcpy(&word, src, 8);
        word ^= mask;
        memcpy(dst, &word, 8);
    }
    word = 0;
    memcpy(&word, src, len);
    word ^= mask;
    memcpy(dst, &word, len);
}

static bool fetch(SvaAccel *accel, SvaOperation *operation,
                  uint64_t descriptor)
{
    uint64_t words[SVA_ACCEL_DESCRIPTOR_WORDS];

    if (!guest_mem_read_words(accel->config.mem, descriptor, words,
                              SVA_ACCEL_DESCRIPTOR_WORDS)) {
        return false;
    }
    if (words[SVA_ACCEL_WORD_PASID] == 0 ||
        words[SVA_ACCEL_WORD_PASID] > accel->config.pasids ||
        words[SVA_ACCEL_WORD_LENGTH] == 0 ||
        words[SVA_ACCEL_WORD_LENGTH] > SVA_ACCEL_LENGTH_MAX) {
        return false;
    }
    operation->pasid = words[SVA_ACCEL_WORD_PASID];
    operation->src = words[SVA_ACCEL_WORD_SRC];
    operation->dst = words[SVA_ACCEL_WORD_DST];
    operation->length = words[SVA_ACCEL_WORD_LENGTH];
    operation->key = words[SVA_ACCEL_WORD_KEY];
    operation->done = 0;
    operation->fetched = true;
    return true;
}

static bool translate(SvaAccel *accel, const SvaOperation *operation,
                      uint64_t addr, uint32_t perm, uint64_t *gpa)
{
    return viommu_translate(accel->sva, operation->pasid, addr, perm, gpa);
}

/* The next part, within one page each. Context: RCU read-side section. */
static SvaOutcome do_part(SvaAccel *accel, SvaOperation *operation)
{
    uint64_t src = operation->src + operation->done;
    uint64_t dst = operation->dst + operation->done;
    size_t len = MIN(operation->length - operation->done,
                     MIN(page_rest(src), page_rest(dst)));
    uint64_t src_gpa, dst_gpa;
    const uint8_t *from;
    uint8_t *to;

    if (!translate(accel, operation, src, PGFAULT_PERM_READ, &src_gpa) ||
        !translate(accel, operation, dst, PGFAULT_PERM_WRITE, &dst_gpa)) {
        return SVA_OUTCOME_MISSING;
    }
    from = guest_mem_ptr(accel->config.mem, src_gpa, len);
    to = guest_mem_ptr(accel->config.mem, dst_gpa, len);
    if (!from || !to) {
        return SVA_OUTCOME_FAULT;       /* the tables name what is no memory */
    }
    sva_accel_transform(to, from, len, operation->key, operation->done);
    operation->done += len;
    return SVA_OUTCOME_DONE;
}

/*
 * One page in the group, once, whatever it is wanted for. Those that there are
 * no credits for are asked for when these have come.
 */
static void add_page(SvaAccel *accel, SvaOperation *operation, uint64_t page,
                     uint32_t perm)
{
    SvaGroup *group = &operation->group;

    for (uint32_t i = 0; i < group->count; i++) {
        if (operation->pages[i].addr == page) {
            operation->pages[i].perm |= perm;
            return;
        }
    }
    if (group->count < MIN(accel->config.credits, SVA_ACCEL_GROUP_PAGES)) {
        operation->pages[group->count++] =
            (Pgfault){ .addr = page, .perm = perm };
    }
}

/* Those of the rest of one buffer that are missing. */
static void add_missing(SvaAccel *accel, SvaOperation *operation, uint64_t addr,
                        uint32_t perm)
{
    uint32_t left = operation->length - operation->done;

    addr += operation->done;
    while (left > 0) {
        uint32_t part = MIN(left, page_rest(addr));
        uint64_t gpa;

        if (!translate(accel, operation, addr, perm, &gpa)) {
            add_page(accel, operation, addr - addr % PAGE_BYTES, perm);
        }
        addr += part;
        left -= part;
    }
}

/*
 * All that the rest needs, so that it takes one round trip if all goes well; or
 * as much of it as the device has credits for.
 */
static void fill_group(SvaAccel *accel, SvaOperation *operation)
{
    operation->group.pasid = operation->pasid;
    operation->group.pages = operation->pages;
    operation->group.count = 0;
    rcu_section_enter();
    add_missing(accel, operation, operation->src, PGFAULT_PERM_READ);
    add_missing(accel, operation, operation->dst, PGFAULT_PERM_WRITE);
    rcu_section_leave();
}

SvaOutcome sva_operation_run(SvaAccel *accel, SvaOperation *operation,
                             uint64_t descriptor)
{
    SvaOutcome outcome = SVA_OUTCOME_DONE;

    if (!operation->fetched && !fetch(accel, operation, descriptor)) {
        return SVA_OUTCOME_BAD;
    }
    while (operation->done < operation->length) {
        rcu_section_enter();
        outcome = do_part(accel, operation);
        rcu_section_leave();
        if (outcome == SVA_OUTCOME_FAULT) {
            return outcome;
        }
        if (outcome == SVA_OUTCOME_MISSING) {
            fill_group(accel, operation);
            /* None if they have come meanwhile. */
            if (operation->group.count > 0) {
                return outcome;
            }
        }
    }
    return SVA_OUTCOME_DONE;
}
