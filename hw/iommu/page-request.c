/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Open groups are a tree, root - device - (device, PASID) - group, by the
 * guest's names. Inner nodes exist while they have children, so a subtree is
 * dropped at the cost of its groups. A hash table finds all nodes.
 *
 * The hash is multilinear with random coefficients: two keys, whoever chose
 * them, meet with the probability of two random ones.
 *
 * A group that is answered leaves the tree, and its node waits in a list to be
 * written. Nobody looks there but who forgets answers: that is rare, and few
 * wait then, as a rule none.
 *
 * A group needs three nodes at most, and the table has three per group: taking
 * a node cannot fail while there is room.
 */
#include "hw/iommu/page-request.h"

#include "host/iommufd-abi.h"

#include <errno.h>
#include <urcu/list.h>

/* Consecutive interrupted writes after which the caller is to try again. */
#define MAX_INTERRUPTS 16

enum { NODES_PER_GROUP = 3 };

typedef enum Level { ROOT, DEVICE, PASID, GROUP } Level;

/* Below its level, a key is 0. */
typedef struct NodeKey {
    uint32_t level;
    uint32_t device;            /* virt_id */
    uint32_t pasid;
    uint32_t index;
} NodeKey;

typedef struct Node Node;

struct Node {
    NodeKey key;
    Node *parent;               /* NULL: the root */
    Node *chain;                /* next in the hash bucket */
    struct cds_list_head children;  /* by their link, oldest first */
    struct cds_list_head link;  /* in the parent's children, answers or free */
    /* Of groups only: */
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
    struct cds_list_head free;
    struct cds_list_head answers;   /* to write, oldest first */
    uint32_t unwritten;         /* how many */
    uint32_t open;              /* groups */
    Node root;
    struct iommu_hwpt_page_response batch[PAGE_REQUEST_BATCH];
};

static NodeKey device_key(uint32_t device)
{
    return (NodeKey) { .level = DEVICE, .device = device };
}

static NodeKey pasid_key(uint32_t device, uint32_t pasid)
{
    return (NodeKey) { .level = PASID, .device = device, .pasid = pasid };
}

static NodeKey open_key(const PageRequestKey *key)
{
    return (NodeKey) {
        .level = GROUP, .device = key->virt_id, .pasid = key->pasid,
        .index = key->index,
    };
}

static bool same_key(const NodeKey *a, const NodeKey *b)
{
    return a->level == b->level && a->device == b->device &&
           a->pasid == b->pasid && a->index == b->index;
}

static Node **bucket_of(const PageRequestTable *table, const NodeKey *key)
{
    const uint64_t *f = table->factors;
    uint64_t hash = f[0] * key->level + f[1] * key->device +
                    f[2] * key->pasid + f[3] * key->index + f[4];

    return &table->buckets[hash >> (64 - table->bits)];
}

/* Return: the node, which has or is a group; NULL if there is none. */
static Node *find(PageRequestTable *table, const NodeKey *key)
{
    Node *node;

    if (key->level == ROOT) {
        return cds_list_empty(&table->root.children) ? NULL : &table->root;
    }
    node = *bucket_of(table, key);
    while (node && !same_key(&node->key, key)) {
        node = node->chain;
    }
    return node;
}

static Node *take_free(PageRequestTable *table)
{
    Node *node = cds_list_first_entry(&table->free, Node, link);

    cds_list_del(&node->link);
    return node;
}

/* At the head: what was used last is in the cache. */
static void put_free(PageRequestTable *table, Node *node)
{
    cds_list_add(&node->link, &table->free);
}

static Node *take_node(PageRequestTable *table, const NodeKey *key,
                       Node *parent)
{
    Node *node = take_free(table);
    Node **bucket = bucket_of(table, key);

    node->key = *key;
    node->parent = parent;
    node->chain = *bucket;
    *bucket = node;
    cds_list_add_tail(&node->link, &parent->children);
    return node;
}

/* Of a node without children. Return: the parent. */
static Node *leave_tree(PageRequestTable *table, Node *node)
{
    Node **chain = bucket_of(table, &node->key);

    while (*chain != node) {
        chain = &(*chain)->chain;
    }
    *chain = node->chain;
    cds_list_del(&node->link);
    return node->parent;
}

static Node *find_or_take(PageRequestTable *table, NodeKey key, Node *parent)
{
    Node *node = find(table, &key);

    return node ? node : take_node(table, &key, parent);
}

/* Context: there is room. */
static void add_open(PageRequestTable *table, const NodeKey *key,
                     const PageRequest *request)
{
    Node *node = find_or_take(table, device_key(key->device), &table->root);

    node = find_or_take(table, pasid_key(key->device, key->pasid), node);
    node = take_node(table, key, node);
    node->request = *request;
    table->open++;
}

/* With the inner nodes that have no children any more. @group is in no list. */
static void remove_open(PageRequestTable *table, Node *group)
{
    Node *node = leave_tree(table, group);

    while (node->parent && cds_list_empty(&node->children)) {
        Node *parent = leave_tree(table, node);

        put_free(table, node);
        node = parent;
    }
    table->open--;
}

/* The oldest group of the oldest branch. */
static Node *first_group(Node *node)
{
    while (node->key.level != GROUP) {
        node = cds_list_first_entry(&node->children, Node, link);
    }
    return node;
}

/* @node is in no list. */
static void add_answer(PageRequestTable *table, Node *node, uint32_t code)
{
    node->code = code == PAGE_RESPONSE_SUCCESS ? PAGE_RESPONSE_SUCCESS
                                               : PAGE_RESPONSE_INVALID;
    cds_list_add_tail(&node->link, &table->answers);
    table->unwritten++;
}

static void remove_answer(PageRequestTable *table, Node *node)
{
    cds_list_del(&node->link);
    put_free(table, node);
    table->unwritten--;
}

static Node *oldest_answer(PageRequestTable *table)
{
    return cds_list_first_entry(&table->answers, Node, link);
}

/* A callback may change the table, so each round looks anew. */
static uint32_t drop_open(PageRequestTable *table, const NodeKey *top,
                          PageRequestDrop how)
{
    uint32_t count = 0;
    Node *node;

    while ((node = find(table, top))) {
        Node *group = first_group(node);
        PageRequest request = group->request;

        remove_open(table, group);
        if (!request.emulated && how != PAGE_REQUEST_FORGET) {
            add_answer(table, group, PAGE_RESPONSE_INVALID);
        } else {
            put_free(table, group);
        }
        count++;
        table->ops->dropped(table->opaque, &request, how);
    }
    return count;
}

/* Those of @dev_id, and of one PASID of it unless @pasid is NULL. */
static void forget_answers(PageRequestTable *table, uint32_t dev_id,
                           const uint32_t *pasid)
{
    Node *node, *next;

    cds_list_for_each_entry_safe(node, next, &table->answers, link) {
        if (node->request.dev_id == dev_id &&
            (!pasid || node->request.key.pasid == *pasid)) {
            remove_answer(table, node);
        }
    }
}

uint32_t page_request_open_count(const PageRequestTable *table)
{
    return table->open;
}

uint32_t page_request_unwritten(const PageRequestTable *table)
{
    return table->unwritten;
}

uint32_t page_request_room(const PageRequestTable *table)
{
    return table->capacity - table->open - table->unwritten;
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
    add_open(table, &key, request);
    return replaced ? PAGE_REQUEST_REOPENED : PAGE_REQUEST_OPENED;
}

bool page_request_answer(PageRequestTable *table, const PageRequestKey *key,
                         uint32_t code, PageRequest *request)
{
    NodeKey wanted = open_key(key);
    Node *node = find(table, &wanted);

    if (!node) {
        return false;
    }
    if (request) {
        *request = node->request;
    }
    remove_open(table, node);
    if (node->request.emulated) {
        put_free(table, node);
    } else {
        add_answer(table, node, code);
    }
    return true;
}

bool page_request_respond(PageRequestTable *table, const PageRequest *request,
                          uint32_t code)
{
    Node *node;

    g_assert(!request->emulated);
    if (page_request_room(table) == 0) {
        return false;
    }
    node = take_free(table);
    node->request = *request;
    add_answer(table, node, code);
    return true;
}

/* Answers go last, so that one which a callback has given is forgotten too. */
uint32_t page_request_drop_device(PageRequestTable *table,
                                  const DeviceEntry *device,
                                  PageRequestDrop how)
{
    NodeKey top = device_key(device->virt_id);
    uint32_t count = drop_open(table, &top, how);

    if (how == PAGE_REQUEST_FORGET) {
        forget_answers(table, device->dev_id, NULL);
    }
    return count;
}

uint32_t page_request_drop_pasid(PageRequestTable *table,
                                 const DeviceEntry *device, uint32_t pasid,
                                 PageRequestDrop how)
{
    NodeKey top = pasid_key(device->virt_id, pasid);
    uint32_t count = drop_open(table, &top, how);

    if (how == PAGE_REQUEST_FORGET) {
        forget_answers(table, device->dev_id, &pasid);
    }
    return count;
}

void page_request_forget_answers(PageRequestTable *table)
{
    while (table->unwritten > 0) {
        remove_answer(table, oldest_answer(table));
    }
}

uint32_t page_request_drop_all(PageRequestTable *table, PageRequestDrop how)
{
    uint32_t count = drop_open(table, &table->root.key, how);

    if (how == PAGE_REQUEST_FORGET) {
        page_request_forget_answers(table);
    }
    return count;
}

/* Return: answers in batch, the oldest that wait. */
static size_t fill_batch(PageRequestTable *table)
{
    size_t count = 0;
    Node *node;

    cds_list_for_each_entry(node, &table->answers, link) {
        if (count == PAGE_REQUEST_BATCH) {
            break;
        }
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
    while (table->unwritten > 0) {
        size_t count = fill_batch(table);
        ssize_t ret = write_batch(table, host, fd, count);
        size_t done = ret > 0 ? ret / sizeof(table->batch[0]) : 0;

        if (ret == -EINVAL) {
            Node *oldest = oldest_answer(table);
            PageRequest refused = oldest->request;

            remove_answer(table, oldest);
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
    CDS_INIT_LIST_HEAD(&table->free);
    CDS_INIT_LIST_HEAD(&table->answers);
    CDS_INIT_LIST_HEAD(&table->root.children);
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
        CDS_INIT_LIST_HEAD(&table->nodes[i].children);
        cds_list_add_tail(&table->nodes[i].link, &table->free);
    }
    return table;
}

void page_request_table_free(PageRequestTable *table)
{
    if (table) {
        g_assert(page_request_room(table) == table->capacity);
        table_free(table);
    }
}
