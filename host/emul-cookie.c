/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Cookies: lowest free number first. A bit per number says that it is free,
 * and a bit of the level above that some bit of a word is set, so finding the
 * lowest costs the same however many are out.
 *
 * 0 is no cookie. As in the kernel's xarray it becomes one, for as long as the
 * queue lives, once somebody answers it while another cookie is out.
 */
#include "emul-internal.h"

enum { FIRST_SIZE = 64 };

static uint32_t level_words(uint32_t size, unsigned level)
{
    uint64_t bits = UINT64_C(64) << (6 * level);    /* numbers per word */

    return (uint32_t)((size + bits - 1) / bits);
}

static void mark_free(EmulCookies *cookies, uint32_t number)
{
    for (unsigned level = 0; level < EMUL_COOKIE_LEVELS; level++) {
        uint64_t *word = &cookies->free[level][number / 64];
        bool known = *word != 0;

        *word |= UINT64_C(1) << number % 64;
        if (known) {
            break;
        }
        number /= 64;
    }
}

static void mark_taken(EmulCookies *cookies, uint32_t number)
{
    for (unsigned level = 0; level < EMUL_COOKIE_LEVELS; level++) {
        uint64_t *word = &cookies->free[level][number / 64];

        *word &= ~(UINT64_C(1) << number % 64);
        if (*word != 0) {
            break;
        }
        number /= 64;
    }
}

/* Twice the numbers; the only allocation, and none once it is large enough. */
static void grow(EmulCookies *cookies)
{
    uint32_t old = cookies->size;
    uint32_t size = old ? old * 2 : FIRST_SIZE;

    g_assert(size <= UINT32_C(1) << 30);
    for (unsigned level = 0; level < EMUL_COOKIE_LEVELS; level++) {
        uint32_t from = level_words(old, level);
        uint32_t words = level_words(size, level);

        cookies->free[level] = g_renew(uint64_t, cookies->free[level], words);
        for (uint32_t i = from; i < words; i++) {
            cookies->free[level][i] = 0;
        }
    }
    cookies->groups = g_renew(EmulGroup *, cookies->groups, size);
    for (uint32_t i = old; i < size; i++) {
        cookies->groups[i] = NULL;
        if (i > 0) {
            mark_free(cookies, i);
        }
    }
    cookies->size = size;
}

uint32_t emul_cookies_add(EmulCookies *cookies, EmulGroup *group)
{
    uint32_t number = 0;

    if (cookies->size == 0 || cookies->free[EMUL_COOKIE_LEVELS - 1][0] == 0) {
        grow(cookies);
    }
    for (int level = EMUL_COOKIE_LEVELS - 1; level >= 0; level--) {
        uint64_t word = cookies->free[level][number];

        number = number * 64 + (uint32_t)__builtin_ctzll(word);
    }
    mark_taken(cookies, number);
    cookies->groups[number] = group;
    cookies->out++;
    return number;
}

EmulGroup *emul_cookies_take(EmulCookies *cookies, uint32_t cookie)
{
    EmulGroup *group = cookie < cookies->size ? cookies->groups[cookie] : NULL;

    if (group) {
        cookies->groups[cookie] = NULL;
        cookies->out--;
        mark_free(cookies, cookie);
    } else if (cookie == 0 && cookies->out > 0) {
        mark_free(cookies, 0);
    }
    return group;
}

/* The memory stays: the next life of the queue needs about as much. */
void emul_cookies_reset(EmulCookies *cookies)
{
    g_assert(cookies->out == 0);
    if (cookies->size > 0) {
        mark_taken(cookies, 0);
    }
}

void emul_cookies_free(EmulCookies *cookies)
{
    for (unsigned level = 0; level < EMUL_COOKIE_LEVELS; level++) {
        g_free(cookies->free[level]);
    }
    g_free(cookies->groups);
}
