/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Some of each family that .clang-tidy asks for. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t widen_too_late(uint32_t a, uint32_t b);
int use_after_free(void);
int compare(const char *a, const char *b);
void ignore(const char *path);
int never_equal(int a);
void *bytes(unsigned n);

/* Where address arithmetic goes wrong. */
uint64_t widen_too_late(uint32_t a, uint32_t b)
{
    return a * b; /* finds: bugprone-implicit-widening */
}

int use_after_free(void)
{
    int *p = malloc(sizeof(*p));

    if (!p) {
        return 0;
    }
    *p = 1;
    free(p);
    return *p; /* finds: clang-analyzer-unix.Malloc */
}

int compare(const char *a, const char *b)
{
    return strcmp(a, b) == 1; /* finds: bugprone-suspicious-string-compare */
}

void ignore(const char *path)
{
    rename(path, "lost"); /* finds: bugprone-unused-return-value */
}

int never_equal(int a)
{
    return a == 1 && a == 2; /* finds: misc-redundant-expression */
}

void *bytes(unsigned n)
{
    return malloc(sizeof(char *) * 2 + sizeof(n) * sizeof(n)); /* finds: bugprone-sizeof-expression */
}
