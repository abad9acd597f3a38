/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Two trees, root - device - (device, PASID) - group: one of open groups by the
 * guest's device ID, one of answers to write by the host's. Inner nodes exist
 * while they have children, so a subtree is dropped at the cost of its groups.
 * One hash table finds the nodes of both, but not the answers, which have no
 * key of their own: they are found through their parent or their place in line.
 *
 * The hash is multilinear with random coefficients: two keys, whoever chose
 * them, meet with the probability of two random ones.
 *
 * A group needs three nodes at most, in either tree, and the table has three
 * per group: taking a node cannot fail while there is room.
 */
#include "hw/iommu/page-request.h"

#include "host/iommufd-abi.h"

#include <errno.h>

/* Consecutive interrupted writes after which the caller is to try again. */
#define MAX_INTERRUPTS 16

enum { NODES_PER_GROUP = 3 };

typedef enum Tree { OPEN, ANSWERED, TREES } Tree;

typedef enum Level { ROOT, DEVICE, PASID, GROUP, LEVELS } Level;

/* Below its level, a key is 0. */
typedef struct NodeKey {
    uint32_t kind;              /* tree and level */
    uint32_t device;            /* virt_id if open, dev_id if answered */
    uint32_t pasid;
    uint32_t index;
} NodeKey;

typedef struct Node Node;

struct Node {
    NodeKey key;
    Node *parent;               /* NULL: a root */
    GQueue children;            /* by their sibling, oldest first */
    GList sibling;              /* in the parent's children, or in free */
    Node *chain;                /* next in the hash bucket */
    /* Of groups only: */
    GList place;                /* in answers */
    uint32_t code;              /* once answered */
    PageRequest request;
};

struct PageRequestTable {
    const PageRequestOps *ops;  /* [const] */
    void *opaque;               /* [const] */
    uint32_t capacity;          /* [const] */
    unsigned bits;              /* [const] 2^bits buckets, 1 or more */
    uint64_t factors[5];        /* [const] of the hash, random */
    Node *nodes;                /* [const] all, NODES_PER_GROUP * capacity */
    Node **buckets;             /* [const] the array */
    GQueue free;
    GQueue answers;             /* to write, by their place, oldest first */
    uint32_t open;              /* groups */
    Node roots[TREES];
    struct iommu_hwpt_page_response batch[PAGE_REQUEST_BATCH];
};

static uint32_t node_kind(Tree tree, Level level)
{
    return tree * LEVELS + level;
}

static Level kind_level(uint32_t kind)
{
    return kind % LEVELS;
}

static NodeKey device_key(Tree tree, uint32_t device)
{
    return (NodeKey) { .kind = node_kind(tree, DEVICE), .device = device };
}

static NodeKey pasid_key(Tree tree, uint32_t device, uint32_t pasid)
{
    return (NodeKey) {
        .kind = node_kind(tree, PASID), .device = device, .pasid = pasid,
    };
}

static NodeKey open_key(const PageRequestKey *key)
{
    return (NodeKey) {
        .kind = node_kind(OPEN, GROUP), .device = key->virt_id,
        .pasid = key->pasid, .index = key->index,
    };
}

static bool same_key(const NodeKey *a, const NodeKey *b)
{
    return a->kind == b->kind && a->device == b->device &&
           a->pasid == b->pasid && a->index == b->index;
}

static Node **bucket_of(const PageRequestTable *table, const NodeKey *key)
{
    const uint64_t *f = table->factors;
    uint64_t hash = f[0] * key->kind + f[1] * key->device +
                    f[2] * key->pasid + f[3] * key->index + f[4];

    return &table->buckets[hash >> (64 - table->bits)];
}

/* Return: the node, which has or is a group; NULL if there is none. */
static Node *find(PageRequestTable *table, const NodeKey *key)
{
    Node *node;

    if (kind_level(key->kind) == ROOT) {
        node = &table->roots[key->kind / LEVELS];
        return node->children.length ? node : NULL;
    }
    node = *bucket_of(table, key);
    while (node && !same_key(&node->key, key)) {
        node = node->chain;
    }
    return node;
}

static bool is_hashed(const Node *node)
{
    return node->key.kind != node_kind(ANSWERED, GROUP);
}

static Node *take_node(PageRequestTable *table, const NodeKey *key,
                       Node *parent)
{
    GList *link = g_queue_pop_head_link(&table->free);
    Node *node = link->data;

    node->key = *key;
    node->parent = parent;
    g_queue_push_tail_link(&parent->children, link);
    if (is_hashed(node)) {
        Node **bucket = bucket_of(table, key);

        node->chain = *bucket;
        *bucket = node;
    }
    return node;
}

static void unhash(PageRequestTable *table, Node *node)
{
    Node **link = bucket_of(table, &node->key);

    while (*link != node) {
        link = &(*link)->chain;
    }
    *link = node->chain;
}

/* With the inner nodes that have no children any more. */
static void release_node(PageRequestTable *table, Node *node)
{
    while (node->parent && node->children.length == 0) {
        Node *parent = node->parent;

        if (is_hashed(node)) {
            unhash(table, node);
        }
        g_queue_unlink(&parent->children, &node->sibling);
        /* At the head: what was used last is in the cache. */
        g_queue_push_head_link(&table->free, &node->sibling);
        node = parent;
    }
}

static Node *find_or_take(PageRequestTable *table, NodeKey key, Node *parent)
{
    Node *node = find(table, &key);

    return node ? node : take_node(table, &key, parent);
}

/* Context: there is room. */
static Node *add_group(PageRequestTable *table, Tree tree,
                       const PageRequest *request)
{
    NodeKey key = open_key(&request->key);
    Node *node = &table->roots[tree];

    if (tree == ANSWERED) {
        key.kind = node_kind(ANSWERED, GROUP);
        key.device = request->dev_id;
    }
    node = find_or_take(table, device_key(tree, key.device), node);
    node = find_or_take(table, pasid_key(tree, key.device, key.pasid), node);
    node = take_node(table, &key, node);
    node->request = *request;
    return node;
}

/* The oldest group of the oldest branch. */
static Node *first_group(Node *node)
{
    while (kind_level(node->key.kind) != GROUP) {
        node = node->children.head->data;
    }
    return node;
}

static void add_answer(PageRequestTable *table, const PageRequest *request,
                       uint32_t code)
{
    Node *node = add_group(table, ANSWERED, request);

    node->code = code == PAGE_RESPONSE_SUCCESS ? PAGE_RESPONSE_SUCCESS
                                               : PAGE_RESPONSE_INVALID;
    g_queue_push_tail_link(&table->answers, &node->place);
}

static PageRequest remove_answer(PageRequestTable *table, Node *node)
{
    PageRequest request = node->request;

    g_queue_unlink(&table->answers, &node->place);
    release_node(table, node);
    return request;
}

static Node *oldest_answer(PageRequestTable *table)
{
    return table->answers.head->data;
}

static PageRequest remove_open(PageRequestTable *table, Node *node)
{
    PageRequest request = node->request;

    table->open--;
    release_node(table, node);
    return request;
}

/* A callback may change the table, so each round looks anew. */
static uint32_t drop_open(PageRequestTable *table, const NodeKey *top,
                          PageRequestDrop how)
{
    uint32_t count = 0;
    Node *node;

    while ((node = find(table, top))) {
        PageRequest request = remove_open(table, first_group(node));

        if (!request.emulated && how != PAGE_REQUEST_FORGET) {
            add_answer(table, &request, PAGE_RESPONSE_INVALID);
        }
        count++;
        table->ops->dropped(table->opaque, &request, how);
    }
    return count;
}

/*
 * @open and @answered: the tops of the two subtrees. Answers go last, so that
 * one which a callback has given is forgotten too.
 */
static uint32_t drop(PageRequestTable *table, NodeKey open, NodeKey answered,
                     PageRequestDrop how)
{
    uint32_t count = drop_open(table, &open, how);
    Node *node;

    while (how == PAGE_REQUEST_FORGET && (node = find(table, &answered))) {
        remove_answer(table, first_group(node));
    }
    return count;
}

uint32_t page_request_open_count(const PageRequestTable *table)
{
    return table->open;
}

uint32_t page_request_unwritten(const PageRequestTable *table)
{
    return table->answers.length;
}

uint32_t page_request_room(const PageRequestTable *table)
{
    return table->capacity - table->open - table->answers.length;
}

PageRequestOpen page_request_open(PageRequestTable *table,
                                  const PageRequest *request)
{
    NodeKey key = open_key(&request->key);
    uint32_t replaced;

    if (page_request_room(table) == 0) {
        return PAGE_REQUEST_FULL;
    }
    replaced = drop_open(table, &key, PAGE_REQUEST_REPLACED);
    add_group(table, OPEN, request);
    table->open++;
    return replaced ? PAGE_REQUEST_REOPENED : PAGE_REQUEST_OPENED;
}

bool page_request_answer(PageRequestTable *table, const PageRequestKey *key,
                         uint32_t code, PageRequest *request)
{
    NodeKey wanted = open_key(key);
    Node *node = find(table, &wanted);
    PageRequest found;

    if (!node) {
        return false;
    }
    found = remove_open(table, node);
    if (!found.emulated) {
        add_answer(table, &found, code);
    }
    if (request) {
        *request = found;
    }
    return true;
}

bool page_request_respond(PageRequestTable *table, const PageRequest *request,
                          uint32_t code)
{
    g_assert(!request->emulated);
    if (page_request_room(table) == 0) {
        return false;
    }
    add_answer(table, request, code);
    return true;
}

uint32_t page_request_drop_device(PageRequestTable *table,
                                  const DeviceEntry *device,
                                  PageRequestDrop how)
{
    return drop(table, device_key(OPEN, device->virt_id),
                device_key(ANSWERED, device->dev_id), how);
}

uint32_t page_request_drop_pasid(PageRequestTable *table,
                                 const DeviceEntry *device, uint32_t pasid,
                                 PageRequestDrop how)
{
    return drop(table, pasid_key(OPEN, device->virt_id, pasid),
                pasid_key(ANSWERED, device->dev_id, pasid), how);
}

void page_request_forget_answers(PageRequestTable *table)
{
    while (table->answers.length > 0) {
        remove_answer(table, oldest_answer(table));
    }
}

uint32_t page_request_drop_all(PageRequestTable *table, PageRequestDrop how)
{
    return drop(table, table->roots[OPEN].key, table->roots[ANSWERED].key, how);
}

/* Return: answers in batch, the oldest that wait. */
static size_t fill_batch(PageRequestTable *table)
{
    size_t count = 0;

    for (GList *l = table->answers.head; l && count < PAGE_REQUEST_BATCH;
         l = l->next) {
        const Node *node = l->data;

        table->batch[count++] = (struct iommu_hwpt_page_response) {
            .cookie = node->request.cookie,
            .code = node->code,
        };
    }
    return count;
}

/*
 * The kernel stops at an answer that it refuses and says how many it took; only
 * if that is none does it say why. So a short write tells nothing, and the next
 * one begins with the answer in question.
 *
 * Return: bytes, or -errno.
 */
static ssize_t write_batch(PageRequestTable *table, HostIommu *host, int fd,
                           size_t count)
{
    unsigned interrupts = 0;
    ssize_t ret;

    do {
        ret = host->ops->write(host, fd, table->batch,
                               count * sizeof(table->batch[0]));
    } while (ret < 0 && errno == EINTR && ++interrupts < MAX_INTERRUPTS);
    return ret < 0 ? -errno : ret;
}

int page_request_flush(PageRequestTable *table, HostIommu *host, int fd)
{
    while (table->answers.length > 0) {
        size_t count = fill_batch(table);
        ssize_t ret = write_batch(table, host, fd, count);
        size_t done = ret > 0 ? ret / sizeof(table->batch[0]) : 0;

        if (ret == -EINVAL) {
            PageRequest refused = remove_answer(table, oldest_answer(table));

            table->ops->refused(table->opaque, &refused);
        } else if (done == 0) {
            return ret < 0 ? ret : -EIO;
        }
        for (done = MIN(done, count); done > 0; done--) {
            remove_answer(table, oldest_answer(table));
        }
    }
    return 0;
}

static void table_free(PageRequestTable *table)
{
    g_free(table->buckets);
    g_free(table->nodes);
    g_free(table);
}

static void init_node(Node *node)
{
    node->sibling.data = node;
    node->place.data = node;
}

PageRequestTable *page_request_table_new(uint32_t capacity,
                                         const PageRequestOps *ops,
                                         void *opaque)
{
    const uint32_t count = NODES_PER_GROUP * capacity;
    PageRequestTable *table;

    g_assert(capacity > 0 && capacity <= PAGE_REQUEST_CAPACITY_MAX);
    table = g_try_new0(PageRequestTable, 1);
    if (!table) {
        return NULL;
    }
    table->ops = ops;
    table->opaque = opaque;
    table->capacity = capacity;
    table->bits = g_bit_storage(count);
    for (size_t i = 0; i < G_N_ELEMENTS(table->factors); i++) {
        table->factors[i] = (uint64_t)g_random_int() << 32 | g_random_int();
    }
    table->nodes = g_try_new0(Node, count);
    table->buckets = g_try_new0(Node *, (size_t)1 << table->bits);
    if (!table->nodes || !table->buckets) {
        table_free(table);
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++) {
        init_node(&table->nodes[i]);
        g_queue_push_tail_link(&table->free, &table->nodes[i].sibling);
    }
    table->roots[OPEN].key.kind = node_kind(OPEN, ROOT);
    table->roots[ANSWERED].key.kind = node_kind(ANSWERED, ROOT);
    return table;
}

void page_request_table_free(PageRequestTable *table)
{
    if (table) {
        g_assert(page_request_room(table) == table->capacity);
        table_free(table);
    }
}
