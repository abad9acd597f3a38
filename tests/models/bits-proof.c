/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Proof by cbmc of include/base/bits.h: fields of any place and length, of any
 * value, bit by bit; and no shift that C leaves undefined.
 *
 * run: -            | unwind 1 | pass
 * run: BAD_SPILL    | unwind 1 | fail other bits stay
 * run: BAD_RANGE    | unwind 1 | fail a mask is its bits
 * run: BAD_SHIFT    | unwind 1 | fail shift distance
 *
 * mutate: BAD_SPILL include/base/bits.h s/(((uint64_t)(new) << reg##_##field##_SHIFT) & FIELD_MASK(reg, field))/((uint64_t)(new) << reg##_##field##_SHIFT)/
 * mutate: BAD_RANGE include/base/bits.h s/((~UINT64_C(0) >> (64 - (length))) << (shift))/((~UINT64_C(0) >> (63 - (length))) << (shift))/
 * mutate: BAD_SHIFT include/base/bits.h s/((~UINT64_C(0) >> (64 - (length))) << (shift))/(((UINT64_C(1) << (length)) - 1) << (shift))/
 */
#include "base/bits.h"

#define CHECK(what, condition) __CPROVER_assert(condition, what)
#define ASSUME(condition) __CPROVER_assume(condition)

unsigned nondet_unsigned(void);
uint64_t nondet_u64(void);

int main(void)
{
    /* What FIELD(REG, F, shift, length) makes constants of. */
    const unsigned REG_F_SHIFT = nondet_unsigned();
    const unsigned REG_F_LENGTH = nondet_unsigned();
    const unsigned i = nondet_unsigned();
    const uint64_t value = nondet_u64(), new = nondet_u64();
    uint64_t set;
    bool in;

    ASSUME(REG_F_LENGTH >= 1 && REG_F_LENGTH <= 64);
    ASSUME(REG_F_SHIFT <= 64 - REG_F_LENGTH);
    ASSUME(i < 64);
    in = i >= REG_F_SHIFT && i < REG_F_SHIFT + REG_F_LENGTH;
    set = FIELD_SET(value, REG, F, new);

    CHECK("a mask is its bits", (FIELD_MASK(REG, F) >> i & 1) == in);
    if (in) {
        CHECK("get", (FIELD_GET(value, REG, F) >> (i - REG_F_SHIFT) & 1) ==
                         (value >> i & 1));
        CHECK("set", (set >> i & 1) == (new >> (i - REG_F_SHIFT) & 1));
    } else {
        CHECK("other bits stay", (set >> i & 1) == (value >> i & 1));
    }
    CHECK("get has no other bits",
          REG_F_LENGTH == 64 || FIELD_GET(value, REG, F) >> REG_F_LENGTH == 0);
    CHECK("what is set is got",
          FIELD_GET(set, REG, F) ==
              (new & (~UINT64_C(0) >> (64 - REG_F_LENGTH))));
    return 0;
}
