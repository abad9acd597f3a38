/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The emulated host's cookies against a plain array: every short history, and
 * as many out as make each level of the bitmap full.
 */
#include "../../host/emul-queue.h"

#include <glib.h>

enum { NUMBERS = 64 * 64 * 2 + 1 };

/* What is out, by number: a group is the how-maniest that was added. */
typedef struct Model {
    size_t group[NUMBERS + 1];  /* 0: not out */
    size_t added;
    size_t out;
    bool zero;                  /* 0 is a cookie by now */
} Model;

static EmulGroup *group_of(size_t number)
{
    return GSIZE_TO_POINTER(number);    /* only compared */
}

static void check_add(EmulCookies *cookies, Model *model)
{
    uint32_t lowest = model->zero ? 0 : 1;

    while (model->group[lowest]) {
        lowest++;
    }
    model->group[lowest] = ++model->added;
    model->out++;
    g_assert_cmpuint(emul_cookies_add(cookies, group_of(model->added)), ==,
                     lowest);
    g_assert_cmpuint(cookies->out, ==, model->out);
}

static void check_take(EmulCookies *cookies, Model *model, uint32_t cookie)
{
    size_t group = cookie <= NUMBERS ? model->group[cookie] : 0;

    g_assert_true(emul_cookies_take(cookies, cookie) == group_of(group));
    if (group) {
        model->group[cookie] = 0;
        model->out--;
    } else if (cookie == 0 && model->out > 0) {
        model->zero = true;
    }
    g_assert_cmpuint(cookies->out, ==, model->out);
}

static void take_all(EmulCookies *cookies, Model *model)
{
    for (uint32_t cookie = 0; model->out > 0; cookie++) {
        if (model->group[cookie]) {
            check_take(cookies, model, cookie);
        }
    }
}

/* Add, take one of 0 to 3, or begin a new life: LENGTH of these. */
static void test_every_history(void)
{
    enum { LENGTH = 8, TAKES = 4, CHOICES = TAKES + 2 };
    g_autofree Model *model = g_new0(Model, 1);
    EmulCookies cookies = { 0 };
    unsigned histories = 1;

    for (unsigned i = 0; i < LENGTH; i++) {
        histories *= CHOICES;
    }
    for (unsigned history = 0; history < histories; history++) {
        unsigned rest = history;

        model->added = 0;
        model->zero = false;
        for (unsigned i = 0; i < LENGTH; i++, rest /= CHOICES) {
            unsigned choice = rest % CHOICES;

            if (choice < TAKES) {
                check_take(&cookies, model, choice);
            } else if (choice == TAKES) {
                check_add(&cookies, model);
            } else {
                take_all(&cookies, model);
                emul_cookies_reset(&cookies);
                model->zero = false;
            }
        }
        take_all(&cookies, model);
        emul_cookies_reset(&cookies);
    }
    emul_cookies_free(&cookies);
}

/* Up to where the bitmap grows, and by one more; then holes around there. */
static void test_levels(void)
{
    static const uint32_t edges[] = { 1, 63, 64, 65, 127, 128, 4095, 4096,
                                      4097, NUMBERS };
    g_autofree Model *model = g_new0(Model, 1);
    EmulCookies cookies = { 0 };

    while (model->out < NUMBERS) {
        check_add(&cookies, model);
    }
    /* Every pair of holes, filled lowest first. */
    for (size_t i = 0; i < G_N_ELEMENTS(edges); i++) {
        for (size_t j = 0; j < i; j++) {
            check_take(&cookies, model, edges[i]);
            check_take(&cookies, model, edges[j]);
            check_add(&cookies, model);
            check_add(&cookies, model);
        }
    }
    check_take(&cookies, model, NUMBERS + 1);
    check_take(&cookies, model, UINT32_MAX);
    check_take(&cookies, model, 0);     /* a cookie from now on */
    check_take(&cookies, model, 64);
    check_add(&cookies, model);
    check_add(&cookies, model);
    g_assert_cmpuint(model->group[0], >, 0);
    take_all(&cookies, model);
    emul_cookies_free(&cookies);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/emul-cookie/every-history", test_every_history);
    g_test_add_func("/emul-cookie/levels", test_levels);
    return g_test_run();
}
