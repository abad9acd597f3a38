/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * FuzzInput: the bytes that a fuzzer made up, taken from the front as numbers,
 * choices and blocks. Past the end all is zero, so a short input is a valid
 * one, and loops go on while fuzz_left() says so.
 *
 * Threads, Locks: none; pure.
 */
#ifndef TESTS_FUZZ_FUZZ_INPUT_H
#define TESTS_FUZZ_FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct FuzzInput {
    const uint8_t *data;
    size_t size;
} FuzzInput;

static inline size_t fuzz_left(const FuzzInput *in)
{
    return in->size;
}

/* Up to @size bytes to @to, zeros behind them; @to may be NULL for none. */
static inline void fuzz_bytes(FuzzInput *in, void *to, size_t size)
{
    const size_t n = size < in->size ? size : in->size;

    if (n > 0) {
        memcpy(to, in->data, n);
        in->data += n;
        in->size -= n;
    }
    if (n < size) {
        memset((uint8_t *)to + n, 0, size - n);
    }
}

static inline uint8_t fuzz_u8(FuzzInput *in)
{
    uint8_t value;

    fuzz_bytes(in, &value, sizeof(value));
    return value;
}

static inline uint16_t fuzz_u16(FuzzInput *in)
{
    uint16_t value;

    fuzz_bytes(in, &value, sizeof(value));
    return value;
}

static inline uint32_t fuzz_u32(FuzzInput *in)
{
    uint32_t value;

    fuzz_bytes(in, &value, sizeof(value));
    return value;
}

static inline uint64_t fuzz_u64(FuzzInput *in)
{
    uint64_t value;

    fuzz_bytes(in, &value, sizeof(value));
    return value;
}

/* A length of two bytes, up to @most and to what is left. */
static inline size_t fuzz_length(FuzzInput *in, size_t most)
{
    const size_t len = fuzz_u16(in) % (most + 1);

    return len < in->size ? len : in->size;
}

/* 0 to @n - 1, of one byte; @n is 1 to 256. */
static inline unsigned fuzz_below(FuzzInput *in, unsigned n)
{
    return fuzz_u8(in) % n;
}

#endif
