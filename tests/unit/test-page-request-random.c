/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test-page-request.h"

/*
 * The model: two arrays, in the order of time, searched from end to end. Keys
 * are few, so that they meet; a cookie is never given out twice at a time.
 */
enum { DEVICES = 3, PASIDS = 3, INDICES = 4, MODEL_MAX = 16 };

/* What a drop is asked for. */
typedef struct Scope {
    uint32_t virt_id;           /* DEVICES: all */
    bool whole;                 /* the device, not one PASID */
    uint32_t pasid;
    PageRequestDrop how;
} Scope;

typedef struct Model {
    PageRequest open[MODEL_MAX];
    unsigned open_count;
    PageRequest answered[MODEL_MAX];
    uint32_t codes[MODEL_MAX];
    unsigned answered_count;
    unsigned capacity;
    uint32_t serial;
} Model;

static const uint32_t pasids[PASIDS] = { 0, 5, NO_PASID };

static PageRequestKey random_key(void)
{
    return (PageRequestKey) {
        .virt_id = g_test_rand_int_range(0, DEVICES),
        .pasid = pasids[g_test_rand_int_range(0, PASIDS)],
        .index = g_test_rand_int_range(0, INDICES),
    };
}

/* Device 0 is emulated. */
static PageRequest random_request(Fixture *f, Model *model)
{
    PageRequestKey key = random_key();

    do {
        model->serial = model->serial % (COOKIES - 1) + 1;
    } while (f->fake.out[model->serial]);
    return key.virt_id == 0
               ? emulated_group(0, key.pasid, key.index, model->serial)
               : host_group(f, key.virt_id, key.pasid, key.index,
                            model->serial);
}

static int model_find(const Model *model, const PageRequestKey *key)
{
    for (unsigned i = 0; i < model->open_count; i++) {
        if (memcmp(&model->open[i].key, key, sizeof(*key)) == 0) {
            return i;
        }
    }
    return -1;
}

static void model_add_answer(Model *model, const PageRequest *request,
                             uint32_t code)
{
    model->answered[model->answered_count] = *request;
    model->codes[model->answered_count++] = code != 0;
}

static PageRequest model_remove_open(Model *model, unsigned i)
{
    PageRequest request = model->open[i];

    model->open_count--;
    memmove(&model->open[i], &model->open[i + 1],
            (model->open_count - i) * sizeof(request));
    return request;
}

static void model_remove_answer(Model *model, unsigned i)
{
    model->answered_count--;
    memmove(&model->answered[i], &model->answered[i + 1],
            (model->answered_count - i) * sizeof(model->answered[0]));
    memmove(&model->codes[i], &model->codes[i + 1],
            (model->answered_count - i) * sizeof(model->codes[0]));
}

static void random_open(Fixture *f, Model *model)
{
    PageRequest request = random_request(f, model);
    PageRequestOpen want = PAGE_REQUEST_OPENED;
    int older = model_find(model, &request.key);

    f->dropped_count = 0;
    if (model->open_count + model->answered_count == model->capacity) {
        want = PAGE_REQUEST_FULL;
        f->fake.out[model->serial] = false;
    } else {
        if (older >= 0) {
            PageRequest old = model_remove_open(model, older);

            want = PAGE_REQUEST_REOPENED;
            if (!old.emulated) {
                model_add_answer(model, &old, 1);
            }
        }
        model->open[model->open_count++] = request;
    }
    g_assert_cmpint(page_request_open(f->table, &request), ==, want);
    g_assert_cmpuint(f->dropped_count, ==, want == PAGE_REQUEST_REOPENED);
}

static void random_respond(Fixture *f, Model *model)
{
    PageRequest request = random_request(f, model);
    uint32_t code = g_test_rand_int_range(0, 3);
    bool room = model->open_count + model->answered_count < model->capacity;

    if (request.emulated) {
        return;
    }
    if (room) {
        model_add_answer(model, &request, code);
    } else {
        f->fake.out[model->serial] = false;
    }
    g_assert_cmpint(page_request_respond(f->table, &request, code), ==, room);
}

static void random_answer(Fixture *f, Model *model)
{
    PageRequestKey key = random_key();
    uint32_t code = g_test_rand_int_range(0, 16);
    int i = model_find(model, &key);
    PageRequest got, want;

    g_assert_cmpint(page_request_answer(f->table, &key, code, &got), ==,
                    i >= 0);
    if (i >= 0) {
        want = model_remove_open(model, i);
        g_assert_cmpuint(got.cookie, ==, want.cookie);
        g_assert_true(got.emulated == want.emulated);
        if (!want.emulated) {
            model_add_answer(model, &want, code);
        }
    }
}

static bool in_scope(const Scope *c, const PageRequestKey *key)
{
    return c->virt_id == DEVICES ||
           (key->virt_id == c->virt_id &&
            (c->whole || key->pasid == c->pasid));
}

static bool was_dropped(const Fixture *f, uint32_t cookie)
{
    for (unsigned i = 0; i < f->dropped_count; i++) {
        if (f->dropped[i].cookie == cookie) {
            return true;
        }
    }
    return false;
}

/* The table's order among PASIDs is its own: the model takes it over. */
static void model_drop(Fixture *f, Model *model, const Scope *c)
{
    unsigned count = 0;

    for (unsigned i = model->open_count; i-- > 0;) {
        if (in_scope(c, &model->open[i].key)) {
            g_assert_true(was_dropped(f, model->open[i].cookie));
            model_remove_open(model, i);
            count++;
        }
    }
    g_assert_cmpuint(f->dropped_count, ==, count);
    for (unsigned i = model->answered_count; i-- > 0;) {
        if (c->how == FORGET && in_scope(c, &model->answered[i].key)) {
            f->fake.out[model->answered[i].cookie] = false;
            model_remove_answer(model, i);
        }
    }
    for (unsigned i = 0; i < f->dropped_count; i++) {
        if (c->how == FORGET) {
            f->fake.out[f->dropped[i].cookie] = false;
        } else if (!f->dropped[i].emulated) {
            model_add_answer(model, &f->dropped[i], 1);
        }
    }
}

static void random_drop(Fixture *f, Model *model)
{
    const Scope c = {
        .virt_id = g_test_rand_int_range(0, DEVICES + 1),
        .whole = g_test_rand_int_range(0, 2),
        .pasid = pasids[g_test_rand_int_range(0, PASIDS)],
        .how = g_test_rand_int_range(0, 2) ? FORGET : INVALID,
    };
    const DeviceEntry entry = device(c.virt_id);

    f->dropped_count = 0;
    if (c.virt_id == DEVICES) {
        page_request_drop_all(f->table, c.how);
    } else if (c.whole) {
        page_request_drop_device(f->table, &entry, c.how);
    } else {
        page_request_drop_pasid(f->table, &entry, c.pasid, c.how);
    }
    model_drop(f, model, &c);
}

static void random_flush(Fixture *f, Model *model)
{
    f->fake.calls = STEPS;
    f->fake.taken_count = 0;
    g_assert_cmpint(flush(f), ==, 0);
    g_assert_cmpuint(f->refused_count, ==, 0);
    g_assert_cmpuint(f->fake.taken_count, ==, model->answered_count);
    for (unsigned i = 0; i < model->answered_count; i++) {
        assert_taken(f, i, model->answered[i].cookie, model->codes[i]);
    }
    model->answered_count = 0;
}

static void random_run(void)
{
    Model model = { .capacity = g_test_rand_int_range(1, MODEL_MAX + 1) };
    g_autoptr(Fixture) f = fixture_new(model.capacity);

    for (unsigned i = 0; i < 500; i++) {
        switch (g_test_rand_int_range(0, 20)) {
        case 0: random_drop(f, &model); break;
        case 1: random_flush(f, &model); break;
        case 2: random_respond(f, &model); break;
        case 3 ... 8: random_answer(f, &model); break;
        default: random_open(f, &model); break;
        }
        assert_counts(f, model.open_count, model.answered_count,
                      model.capacity - model.open_count -
                          model.answered_count);
    }
}

static void test_random(void)
{
    const unsigned runs = g_test_quick() ? 2000 : 20000;

    for (unsigned i = 0; i < runs; i++) {
        random_run();
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/page-request/random", test_random);
    return g_test_run();
}
