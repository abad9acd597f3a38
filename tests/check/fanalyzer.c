/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What gcc -fanalyzer of any version has to see. */
#include <stdlib.h>

int use_after_free(void);
int leak(int n);
void null_dereference(int **out);

int use_after_free(void)
{
    int *p = malloc(sizeof(*p));

    if (!p) {
        return 0;
    }
    *p = 1;
    free(p);
    return *p; /* finds: use after .free. of .p. */
}

int leak(int n)
{
    int *p = malloc(sizeof(*p));

    if (!p) {
        return 0;
    }
    *p = n;
    return n; /* finds: leak of .p. */
}

void null_dereference(int **out)
{
    *out = malloc(sizeof(**out));
    **out = 1; /* finds: dereference of possibly-NULL .\*out. */
}
