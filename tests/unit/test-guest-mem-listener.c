/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who listens to the guest memory map has what the map says, whatever came
 * before, and whatever was refused on the way.
 */
#include "hw/iommu/guest-mem.h"
#include "message-log.h"

#include "base/error.h"
#include "base/rcu.h"

#include <string.h>

#define PAGE UINT64_C(4096)
#define SOMEWHERE ((char *)UINT64_C(0x10000000))

enum { MAX_REGIONS = 8, ORDER_MAX = 32 };

/* Has regions, refuses the Nth, and notes the order of things. */
typedef struct Listener {
    GuestMemListener parent;
    GuestMem *mem;
    GuestMemRegion regions[MAX_REGIONS];
    size_t count;
    unsigned adds;              /* so far */
    unsigned refuse_nth;        /* from 1; 0: none */
    GString *order;
} Listener;

static GuestMem *mem;
static Listener listeners[2];

/* Whether a reader finds the region's first byte at its place. */
static bool published(const GuestMemRegion *region)
{
    bool there;

    rcu_section_enter();
    there = guest_mem_ptr(mem, region->gpa, 1) == region->hva;
    rcu_section_leave();
    return there;
}

static bool overlap(const GuestMemRegion *a, const GuestMemRegion *b)
{
    return a->gpa < b->gpa + b->size && b->gpa < a->gpa + a->size;
}

static bool listener_add(GuestMemListener *parent,
                         const GuestMemRegion *region, GError **error)
{
    Listener *l = (Listener *)parent;

    if (++l->adds == l->refuse_nth) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST, "refused");
        return false;
    }
    for (size_t i = 0; i < l->count; i++) {
        g_assert_false(overlap(&l->regions[i], region));
    }
    g_assert_cmpuint(l->count, <, MAX_REGIONS);
    l->regions[l->count++] = *region;
    g_string_append_printf(l->order, "+%c%c ",
                           'a' + (int)(region->gpa / PAGE),
                           published(region) ? '!' : '?');
    return true;
}

static bool same(const GuestMemRegion *a, const GuestMemRegion *b)
{
    return a->gpa == b->gpa && a->size == b->size && a->hva == b->hva &&
           a->has_fd == b->has_fd && a->fd == b->fd && a->offset == b->offset;
}

static void listener_del(GuestMemListener *parent,
                         const GuestMemRegion *region)
{
    Listener *l = (Listener *)parent;
    size_t i = 0;

    while (i < l->count && !same(&l->regions[i], region)) {
        i++;
    }
    g_assert_cmpuint(i, <, l->count);
    l->regions[i] = l->regions[--l->count];
    g_string_append_printf(l->order, "-%c%c ",
                           'a' + (int)(region->gpa / PAGE),
                           published(region) ? '!' : '?');
}

static void set_up(void)
{
    g_autoptr(GError) error = NULL;

    mem = guest_mem_new();
    for (size_t i = 0; i < G_N_ELEMENTS(listeners); i++) {
        listeners[i] = (Listener) {
            .parent = { .add = listener_add, .del = listener_del },
            .order = g_string_new(NULL),
        };
        guest_mem_add_listener(mem, &listeners[i].parent, &error);
        g_assert_no_error(error);
    }
}

static void tear_down(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(listeners); i++) {
        guest_mem_remove_listener(mem, &listeners[i].parent);
        g_assert_cmpuint(listeners[i].count, ==, 0);
        g_string_free(listeners[i].order, TRUE);
    }
    guest_mem_free(mem);
}

/* Region of one letter: a page, whose memory is of that kind. */
static GuestMemRegion page(char letter, unsigned kind)
{
    return (GuestMemRegion) {
        .gpa = (uint64_t)(letter - 'a') * PAGE, .size = PAGE,
        .hva = SOMEWHERE + kind * 64 * PAGE + (letter - 'a') * PAGE,
    };
}

/* "abA": pages a and b as they are, A: a with other memory. */
static size_t parse(const char *text, GuestMemRegion *regions)
{
    size_t count = 0;

    for (; *text; text++) {
        regions[count++] = g_ascii_islower(*text)
                           ? page(*text, 0)
                           : page(g_ascii_tolower(*text), 1);
    }
    return count;
}

static bool set(const char *text)
{
    g_autoptr(GError) error = NULL;
    GuestMemRegion regions[MAX_REGIONS];
    bool ok = guest_mem_set_regions(mem, regions, parse(text, regions),
                                    &error);

    g_assert_true(ok == !error);
    return ok;
}

static void assert_has(const Listener *l, const char *text)
{
    GuestMemRegion regions[MAX_REGIONS];
    size_t count = parse(text, regions);

    g_assert_cmpuint(l->count, ==, count);
    for (size_t i = 0; i < count; i++) {
        size_t found = 0;

        while (found < count && !same(&l->regions[found], &regions[i])) {
            found++;
        }
        g_assert_cmpuint(found, <, count);
    }
}

static void assert_order(const char *order)
{
    for (size_t i = 0; i < G_N_ELEMENTS(listeners); i++) {
        g_assert_cmpstr(listeners[i].order->str, ==, order);
        g_string_truncate(listeners[i].order, 0);
    }
}

static void test_new_before_and_gone_after(void)
{
    set_up();
    g_assert_true(set("ab"));
    assert_order("+a? +b? ");
    g_assert_true(set("bc"));
    assert_order("+c? -a? ");
    g_assert_true(set("cb"));
    assert_order("");
    g_assert_true(set(""));
    assert_order("-b? -c? ");
    tear_down();
}

static void test_other_memory_at_an_address(void)
{
    set_up();
    g_assert_true(set("abc"));
    assert_order("+a? +b? +c? ");
    g_assert_true(set("aBd"));
    /* The old b has to go while the old table is still the one that counts. */
    assert_order("-b! +b? +d? -c? ");
    tear_down();
}

static void test_every_field_counts(void)
{
    GuestMemRegion region = page('a', 0);
    GuestMemRegion changed[5];
    g_autoptr(GError) error = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(changed); i++) {
        changed[i] = region;
    }
    changed[0].size = 2 * PAGE;
    changed[1].hva = SOMEWHERE + PAGE;
    changed[2].has_fd = true;
    changed[3].has_fd = true;
    changed[3].fd = 1;
    changed[4].has_fd = true;
    changed[4].fd = 1;
    changed[4].offset = PAGE;
    set_up();
    for (size_t i = 0; i < G_N_ELEMENTS(changed); i++) {
        guest_mem_set_regions(mem, &changed[i], 1, &error);
        g_assert_no_error(error);
        g_assert_cmpuint(listeners[0].adds, ==, i + 1);
        g_assert_true(same(&listeners[0].regions[0], &changed[i]));
    }
    tear_down();
}

static void test_late_listener_gets_all(void)
{
    Listener late = {
        .parent = { .add = listener_add, .del = listener_del },
        .order = g_string_new(NULL),
    };
    g_autoptr(GError) error = NULL;

    set_up();
    g_assert_true(set("abc"));
    for (unsigned nth = 3; nth >= 1; nth--) {
        late.adds = 0;
        late.refuse_nth = nth;
        g_assert_false(guest_mem_add_listener(mem, &late.parent, &error));
        g_assert_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST);
        g_clear_error(&error);
        g_assert_cmpuint(late.count, ==, 0);
    }
    late.refuse_nth = 0;
    g_assert_true(guest_mem_add_listener(mem, &late.parent, &error));
    assert_has(&late, "abc");
    g_assert_true(set("c"));
    assert_has(&late, "c");
    guest_mem_remove_listener(mem, &late.parent);
    g_assert_cmpuint(late.count, ==, 0);
    g_assert_true(set("abc"));
    g_assert_cmpuint(late.count, ==, 0);
    g_string_free(late.order, TRUE);
    tear_down();
}

/* From any map to any other, refused by either listener at any step. */
static void test_refused_changes_nothing(void)
{
    static const char *const maps[] = {
        "", "a", "A", "ab", "Ab", "bc", "aBc", "ABC", "abd", "dcBA",
    };
    unsigned refused = 0;

    for (size_t from = 0; from < G_N_ELEMENTS(maps); from++) {
        for (size_t to = 0; to < G_N_ELEMENTS(maps); to++) {
            for (unsigned nth = 0; nth < 10; nth++) {
                Listener *l = &listeners[nth % 2];
                const char *now;

                set_up();
                g_assert_true(set(maps[from]));
                l->adds = 0;
                l->refuse_nth = nth / 2;
                now = set(maps[to]) ? maps[to] : maps[from];
                refused += now == maps[from] && from != to;
                l->refuse_nth = 0;
                assert_has(&listeners[0], now);
                assert_has(&listeners[1], now);
                g_assert_true(published(&listeners[0].regions[0]) ||
                              !*now);
                tear_down();
            }
        }
    }
    g_assert_cmpuint(refused, >, 100);
}

/* Undoing may fail, too: the region is lost, and somebody is told. */
static void test_undo_that_fails(void)
{
    set_up();
    g_assert_true(set("a"));
    message_log_start();
    listeners[1].adds = 0;
    /* Called first: what comes last is at the head. */
    listeners[1].refuse_nth = 2;        /* a, when it comes back */
    listeners[0].adds = 0;
    listeners[0].refuse_nth = 1;
    g_assert_false(set("A"));
    g_assert_cmpuint(message_log_matching("refused"), ==, 1);
    message_log_stop();
    g_assert_cmpuint(listeners[1].count, ==, 0);
    assert_has(&listeners[0], "a");
    /* So that all is in order again. */
    listeners[1].regions[listeners[1].count++] = page('a', 0);
    tear_down();
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    rcu_register_thread();
    g_test_add_func("/guest-mem/listener/new-before-and-gone-after",
                    test_new_before_and_gone_after);
    g_test_add_func("/guest-mem/listener/other-memory-at-an-address",
                    test_other_memory_at_an_address);
    g_test_add_func("/guest-mem/listener/every-field-counts",
                    test_every_field_counts);
    g_test_add_func("/guest-mem/listener/late-one-gets-all",
                    test_late_listener_gets_all);
    g_test_add_func("/guest-mem/listener/refused-changes-nothing",
                    test_refused_changes_nothing);
    g_test_add_func("/guest-mem/listener/undo-that-fails-is-told",
                    test_undo_that_fails);
    ret = g_test_run();
    rcu_unregister_thread();
    return ret;
}
