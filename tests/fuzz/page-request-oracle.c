/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "page-request-oracle.h"

#include "host/iommufd-abi.h"

#include <string.h>

typedef struct Answer {
    PageRequest request;
    uint32_t code;
} Answer;

static const PageRequest *open_at(const PageRequestOracle *oracle, unsigned i)
{
    return &g_array_index(oracle->open, PageRequest, i);
}

static const Answer *answer_at(const PageRequestOracle *oracle, unsigned i)
{
    return &g_array_index(oracle->answers, Answer, i);
}

static bool same_key(const PageRequestKey *a, const PageRequestKey *b)
{
    return a->virt_id == b->virt_id && a->pasid == b->pasid &&
           a->index == b->index;
}

/* Return: where it is among the open ones, or their number. */
static unsigned find_open(const PageRequestOracle *oracle,
                          const PageRequestKey *key)
{
    unsigned i = 0;

    while (i < oracle->open->len && !same_key(&open_at(oracle, i)->key, key)) {
        i++;
    }
    return i;
}

static bool is_open(const PageRequestOracle *oracle, const PageRequestKey *key)
{
    return find_open(oracle, key) < oracle->open->len;
}

static bool is_full(const PageRequestOracle *oracle)
{
    return oracle->open->len + oracle->answers->len == oracle->capacity;
}

/* Only success is one; the kernel knows no other failure than INVALID. */
static void add_answer(PageRequestOracle *oracle, const PageRequest *request,
                       uint32_t code)
{
    Answer answer = {
        .request = *request,
        .code = code == 0 ? IOMMUFD_PAGE_RESP_SUCCESS
                          : IOMMUFD_PAGE_RESP_INVALID,
    };

    g_array_append_val(oracle->answers, answer);
}

static void table_dropped(void *opaque, const PageRequest *request,
                          PageRequestDrop how)
{
    PageRequestOracle *oracle = opaque;
    unsigned i = find_open(oracle, &request->key);

    g_assert_cmpuint(i, <, oracle->open->len);
    g_assert_cmpuint(request->cookie, ==, open_at(oracle, i)->cookie);
    g_array_remove_index(oracle->open, i);
    if (how != PAGE_REQUEST_FORGET) {
        add_answer(oracle, request, PAGE_RESPONSE_INVALID);
    }
}

static void table_refused(void *opaque, const PageRequest *request)
{
    PageRequestOracle *oracle = opaque;

    g_assert_cmpuint(oracle->answers->len, >, 0);
    g_assert_cmpuint(request->cookie, ==, answer_at(oracle, 0)->request.cookie);
    g_array_remove_index(oracle->answers, 0);
}

static const PageRequestOps table_ops = {
    .dropped = table_dropped,
    .refused = table_refused,
};

void page_request_oracle_init(PageRequestOracle *oracle, uint32_t capacity)
{
    oracle->capacity = capacity;
    oracle->open = g_array_new(FALSE, FALSE, sizeof(PageRequest));
    oracle->answers = g_array_new(FALSE, FALSE, sizeof(Answer));
    oracle->table = page_request_table_new(capacity, &table_ops, oracle);
}

void page_request_oracle_finish(PageRequestOracle *oracle)
{
    page_request_oracle_drop(oracle, NULL, NULL, PAGE_REQUEST_FORGET);
    page_request_table_free(oracle->table);
    g_array_unref(oracle->open);
    g_array_unref(oracle->answers);
}

void page_request_oracle_open(PageRequestOracle *oracle,
                              const PageRequest *request)
{
    PageRequestOpen expected = PAGE_REQUEST_OPENED;

    if (is_full(oracle)) {
        expected = PAGE_REQUEST_FULL;
    } else if (is_open(oracle, &request->key)) {
        expected = PAGE_REQUEST_REOPENED;
    }
    g_assert_cmpint(page_request_open(oracle->table, request), ==, expected);
    if (expected != PAGE_REQUEST_FULL) {
        g_assert_false(is_open(oracle, &request->key));
        g_array_append_val(oracle->open, *request);
    }
}

void page_request_oracle_respond(PageRequestOracle *oracle,
                                 const PageRequest *request, uint32_t code)
{
    bool full = is_full(oracle);

    g_assert_true(page_request_respond(oracle->table, request, code) != full);
    if (!full) {
        add_answer(oracle, request, code);
    }
}

void page_request_oracle_answer(PageRequestOracle *oracle,
                                const PageRequestKey *key, uint32_t code)
{
    unsigned i = find_open(oracle, key);
    bool found = i < oracle->open->len;
    PageRequest request;

    g_assert_true(page_request_answer(oracle->table, key, code, &request) ==
                  found);
    if (found) {
        g_assert_cmpuint(request.cookie, ==, open_at(oracle, i)->cookie);
        add_answer(oracle, open_at(oracle, i), code);
        g_array_remove_index(oracle->open, i);
    }
}

void page_request_oracle_forget_answers(PageRequestOracle *oracle)
{
    g_array_set_size(oracle->answers, 0);
}

/* Nothing of it is open any more, and forgotten answers are no more either. */
static void check_dropped(PageRequestOracle *oracle, const DeviceEntry *device,
                          const uint32_t *pasid, PageRequestDrop how)
{
    for (unsigned i = 0; i < oracle->open->len; i++) {
        const PageRequest *request = open_at(oracle, i);

        g_assert_true(device && (request->key.virt_id != device->virt_id ||
                                 (pasid && request->key.pasid != *pasid)));
    }
    for (unsigned i = oracle->answers->len; i-- > 0;) {
        const PageRequest *request = &answer_at(oracle, i)->request;

        if (how == PAGE_REQUEST_FORGET &&
            (!device || (request->dev_id == device->dev_id &&
                         (!pasid || request->key.pasid == *pasid)))) {
            g_array_remove_index(oracle->answers, i);
        }
    }
}

void page_request_oracle_drop(PageRequestOracle *oracle,
                              const DeviceEntry *device, const uint32_t *pasid,
                              PageRequestDrop how)
{
    uint32_t before = oracle->open->len;
    uint32_t dropped;

    if (!device) {
        dropped = page_request_drop_all(oracle->table, how);
    } else if (pasid) {
        dropped = page_request_drop_pasid(oracle->table, device, *pasid, how);
    } else {
        dropped = page_request_drop_device(oracle->table, device, how);
    }
    g_assert_cmpuint(dropped, ==, before - oracle->open->len);
    check_dropped(oracle, device, pasid, how);
    page_request_oracle_check(oracle);
}

void page_request_oracle_compare(const PageRequestOracle *oracle,
                                 const uint8_t *buf, size_t len)
{
    struct iommu_hwpt_page_response response;
    size_t count = len / sizeof(response);

    g_assert_cmpuint(count, ==, MIN(oracle->answers->len, PAGE_REQUEST_BATCH));
    g_assert_cmpuint(len % sizeof(response), ==, 0);
    for (size_t i = 0; i < count; i++) {
        memcpy(&response, buf + i * sizeof(response), sizeof(response));
        g_assert_cmpuint(response.cookie, ==,
                         answer_at(oracle, i)->request.cookie);
        g_assert_cmpuint(response.code, ==, answer_at(oracle, i)->code);
    }
}

void page_request_oracle_written(PageRequestOracle *oracle, size_t len)
{
    size_t count = len / sizeof(struct iommu_hwpt_page_response);

    g_array_remove_range(oracle->answers, 0, count);
}

void page_request_oracle_check(const PageRequestOracle *oracle)
{
    g_assert_cmpuint(page_request_open_count(oracle->table), ==,
                     oracle->open->len);
    g_assert_cmpuint(page_request_unwritten(oracle->table), ==,
                     oracle->answers->len);
    g_assert_cmpuint(page_request_room(oracle->table), ==, oracle->capacity -
                     oracle->open->len - oracle->answers->len);
}
