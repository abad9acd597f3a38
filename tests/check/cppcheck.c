/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What cppcheck of any version has to see. */
#include <stdio.h>
#include <stdlib.h>

int past_the_end(void);
int leak(int n);
void wrong_format(long n);

int past_the_end(void)
{
    int words[4] = { 1, 2, 3, 4 };

    return words[4]; /* finds: out of bounds */
}

int leak(int n)
{
    int *p = malloc(sizeof(*p));

    if (n > 1) {
        return 0; /* finds: Memory leak: p */
    }
    free(p);
    return 1;
}

void wrong_format(long n)
{
    printf("%s %d\n", "n"); /* finds: printf format string requires 2 param */
    (void)n;
}
