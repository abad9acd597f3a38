/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bit fields of registers and records, named after the specification that
 * defines them: FIELD(REG, NAME, shift, length), then FIELD_GET(), FIELD_SET()
 * and FIELD_MASK(). Also the loads and stores of guest and host memory.
 *
 * Threads: any; pure.
 */
#ifndef BASE_BITS_H
#define BASE_BITS_H

#include <stdbool.h>
#include <stdint.h>

#define BIT(n) (UINT64_C(1) << (n))

/* Bits shift + length - 1 to shift, in place. */
#define BIT_RANGE(shift, length) \
    ((~UINT64_C(0) >> (64 - (length))) << (shift))

#define FIELD(reg, field, shift, length)              \
    enum {                                            \
        reg##_##field##_SHIFT = (shift),              \
        reg##_##field##_LENGTH = (length),            \
    };

#define FIELD_MASK(reg, field) \
    BIT_RANGE(reg##_##field##_SHIFT, reg##_##field##_LENGTH)

#define FIELD_GET(value, reg, field)                                    \
    (((uint64_t)(value) >> reg##_##field##_SHIFT) &                     \
     (~UINT64_C(0) >> (64 - reg##_##field##_LENGTH)))

/* @value with the field replaced; other bits as they were. */
#define FIELD_SET(value, reg, field, new)                               \
    (((value) & ~FIELD_MASK(reg, field)) |                              \
     (((uint64_t)(new) << reg##_##field##_SHIFT) & FIELD_MASK(reg, field)))

#endif
