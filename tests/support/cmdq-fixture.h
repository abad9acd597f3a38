/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Commands for the SMMUv3 of a Fixture, and what its command queue then says.
 *
 * Threads: as fixture.h.
 * Locks:   none.
 */
#ifndef TESTS_SUPPORT_CMDQ_FIXTURE_H
#define TESTS_SUPPORT_CMDQ_FIXTURE_H

#include "fixture.h"

#include "hw/arm/smmuv3-internal.h"

/* First words of commands. */
#define OP(op, sid) ((uint64_t)(op) | (uint64_t)(sid) << 32)
#define SYNC UINT64_C(0x46)
#define ILLEGAL UINT64_C(0xff)

#define CMDQ_ERR FIELD_MASK(GERROR, CMDQ_ERR)

/* Put @count of the same in the queue; guest_kick() hands them over. */
void cmdq_put(Fixture *f, uint64_t word0, unsigned count);

/* One command, handed over. */
void cmdq_run(Fixture *f, uint64_t word0);

/* A CFGI_STE for one StreamID, which must be consumed without an error. */
void cmdq_cfgi_ste(Fixture *f, uint32_t sid);

/* Write an STE into the linear table, and have it looked at. */
void cmdq_set_ste(Fixture *f, uint32_t sid, uint64_t word0, uint64_t word1);

bool cmdq_error_is_active(Fixture *f);
void cmdq_acknowledge(Fixture *f);

/* Assert that all that was handed over has been consumed, without an error. */
void cmdq_assert_done(Fixture *f);

/* Assert that the queue stands at @rd (index and wrap) for reason @err. */
void cmdq_assert_error(Fixture *f, uint32_t rd, unsigned err);

/* Software's cure: a SYNC, or @word0, in place of the command to blame. */
void cmdq_overwrite(Fixture *f, uint32_t rd, uint64_t word0);

/* Invalidations that the host has taken. */
uint64_t cmdq_invalidations(Fixture *f);

#endif
