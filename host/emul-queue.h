/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The emulated host's queues, each with a lock of its own: events of a vEVENTQ,
 * page faults of a fault queue and their cookies.
 *
 * Threads: any.
 * Locks:   EmulQueue::lock and EmulFaultQueue::lock are leaves.
 */
#ifndef HOST_EMUL_QUEUE_H
#define HOST_EMUL_QUEUE_H

#include "base/lock.h"
#include "host/emul.h"
#include "host/iommufd-abi.h"

/* ---- emul-queue.c: the events of one vEVENTQ ---- */

/* Events as read() gives them: a header and the event, without padding. */
typedef struct EmulRing {
    char *records;              /* NULL while the queue is not in use */
    uint32_t record_size;
    uint32_t depth;
    uint32_t head;              /* the oldest record */
    uint32_t used;
} EmulRing;

typedef struct EmulQueueCounts {
    uint64_t generated;
    uint64_t dropped;
    uint64_t unseen;            /* sequence numbers since the last one read */
} EmulQueueCounts;

/*
 * Queues are type-stable: one that is destroyed goes back to the pool, never to
 * malloc(), so whoever found it without a lock may always take its lock, and
 * then finds out whether it still is what he looked for. The pipe holds a byte
 * exactly while a reader would get something.
 */
typedef struct EmulQueue {
    Lock lock;
    EmulRing ring GUARDED_BY(&lock);
    EmulQueueCounts counts GUARDED_BY(&lock);   /* two of them survive reuse */
    int fd GUARDED_BY(&lock);   /* read end; -1 once closed */
    int write_fd GUARDED_BY(&lock); /* the other end of the pipe */
    uint32_t next_sequence GUARDED_BY(&lock);
    bool lost_tail GUARDED_BY(&lock);   /* the last event generated was lost */
    unsigned reading GUARDED_BY(&lock); /* reads between two chunks */
    uint64_t generation GUARDED_BY(&lock);  /* counts the lives of this queue */
    uint32_t index;             /* [const] in the pool, from 1 */
    struct EmulQueue *next_free;    /* [EmulHost::lock] */
} EmulQueue;

EmulQueue *emul_queue_new(uint32_t index);

typedef struct EmulQueueSpec {
    uint32_t depth;
    uint32_t event_size;        /* a multiple of 4 */
    uint32_t first_sequence;
} EmulQueueSpec;

/**
 * emul_queue_start() - begin a life: an empty ring and a pipe
 * @fd: out: the read end, for the user
 *
 * Return: 0 or -errno, with nothing left behind.
 */
int emul_queue_start(EmulQueue *queue, const EmulQueueSpec *spec, int *fd,
                     uint64_t *generation);

/**
 * emul_queue_stop() - end a life, unless somebody holds the file
 *
 * Return: 0; -EBUSY if the fd is open, a read is under way or any other
 * reference to the file is left (a thread in poll(), a dup()); -ENOENT if life
 * @generation is over.
 */
int emul_queue_stop(EmulQueue *queue, uint64_t generation);

/* End a life of which the user never learnt, and close its fd. */
void emul_queue_abandon(EmulQueue *queue);

/*
 * The user's fd @from is @to from now on. -1: the user closes it; the file may
 * live on, the number may not be used.
 */
void emul_queue_move_fd(EmulQueue *queue, int from, int to);

/* Return: bytes read, 0 if empty, or -errno; as the kernel's read(). */
ssize_t emul_queue_read(EmulQueue *queue, int fd, void *buf, size_t count);

/* Of another size than the queue's events: %EMUL_REPORT_REFUSED. */
EmulReport emul_queue_report_locked(EmulQueue *queue, const void *event,
                                    size_t size) REQUIRES(&queue->lock);

/* Closes what is left of it, except the user's fd. */
void emul_queue_free(EmulQueue *queue);

/* ---- emul-cookie.c: the cookies of one fault queue ---- */

typedef struct EmulGroup EmulGroup;

enum { EMUL_COOKIE_LEVELS = 5 };    /* of 64 bits: 2^30 numbers */

/* Protected by the queue's lock. All zero is empty. */
typedef struct EmulCookies {
    uint64_t *free[EMUL_COOKIE_LEVELS];     /* bits: there is a free one */
    EmulGroup **groups;         /* by number; NULL if it is not out */
    uint32_t size;              /* numbers that the arrays have room for */
    uint32_t out;
} EmulCookies;

/* The lowest free number, from 1, now @group's. */
uint32_t emul_cookies_add(EmulCookies *cookies, EmulGroup *group);

/* Whose number @cookie was, or NULL; it is free again. */
EmulGroup *emul_cookies_take(EmulCookies *cookies, uint32_t cookie);

/* As new; none may be out. */
void emul_cookies_reset(EmulCookies *cookies);
void emul_cookies_free(EmulCookies *cookies);

/* ---- emul-group.c: the groups that page faults come in ---- */

typedef struct EmulPage {
    struct EmulPage *next;
    struct iommu_hwpt_pgfault record;
} EmulPage;

struct EmulGroup {
    EmulGroup *next;            /* in whichever list it is */
    EmulPage *pages;            /* all but the last, oldest first */
    EmulPage **tail;            /* where the next of them goes */
    struct iommu_hwpt_pgfault last;
    uint32_t num;               /* pages, with the last */
    uint32_t handle;            /* of the attachment that it came through */
    uint32_t code;              /* once answered, as is: */
    bool automatic;
    uint64_t tag;
};

typedef struct EmulGroupList {
    EmulGroup *first;
    EmulGroup **end;
} EmulGroupList;

/* What is not in use, and the memory that it is made of. */
typedef struct EmulGroupPool {
    EmulGroup *groups;
    EmulPage *pages;
    GSList *blocks;
} EmulGroupPool;

/* At the end; the first one out, of a list that is not empty. */
void emul_groups_init(EmulGroupList *list);
void emul_groups_append(EmulGroupList *list, EmulGroup *group);
EmulGroup *emul_groups_pop(EmulGroupList *list);

/* A group without pages; one page, not filled in. */
EmulGroup *emul_pool_get_group(EmulGroupPool *pool);
EmulPage *emul_pool_get_page(EmulGroupPool *pool);
/* A group and its pages. */
void emul_pool_put(EmulGroupPool *pool, EmulGroup *group);

/* ---- emul-fault-queue.c: the page faults of one fault queue ---- */

typedef struct EmulFaultFile {
    int fd;                     /* the user's end; -1 once closed */
    int peer_fd;                /* the other end of the socket pair */
    unsigned using;             /* reads and writes under way */
} EmulFaultFile;

typedef struct EmulFaultCounts {
    uint64_t pages;
    uint64_t raised;            /* groups that became complete */
    uint64_t answered;
    uint64_t automatic;
} EmulFaultCounts;

typedef struct EmulAnswerHandler {
    EmulAnswerFunc *func;       /* or NULL */
    void *opaque;
} EmulAnswerHandler;

enum {
    EMUL_FAULT_BUCKETS = 256,
    EMUL_HANDLE_ALL = 0,        /* no attachment has this one */
};

/* Type-stable, as an EmulQueue. */
typedef struct EmulFaultQueue {
    Lock lock;
    EmulFaultFile file GUARDED_BY(&lock);
    /* Complete, oldest first, not read */
    EmulGroupList ready GUARDED_BY(&lock);
    /* By device and grpid */
    EmulGroup *incomplete[EMUL_FAULT_BUCKETS] GUARDED_BY(&lock);
    EmulCookies cookies GUARDED_BY(&lock);  /* read, not answered */
    EmulGroupPool pool GUARDED_BY(&lock);
    EmulFaultCounts counts GUARDED_BY(&lock);   /* survive reuse */
    bool alive GUARDED_BY(&lock);
    uint64_t generation GUARDED_BY(&lock);  /* counts the lives of this queue */
    uint32_t index;             /* [const] in the host's pool, from 1 */
    const EmulAnswerHandler *handler;       /* [const] the host's */
    struct EmulFaultQueue *next_free;       /* [EmulHost::lock] */
} EmulFaultQueue;

EmulFaultQueue *emul_fault_queue_new(uint32_t index,
                                     const EmulAnswerHandler *handler);

/* These five as their emul_queue_ namesakes. */
int emul_fault_queue_start(EmulFaultQueue *queue, int *fd,
                           uint64_t *generation);
int emul_fault_queue_stop(EmulFaultQueue *queue, uint64_t generation);
void emul_fault_queue_abandon(EmulFaultQueue *queue);
void emul_fault_queue_move_fd(EmulFaultQueue *queue, int from, int to);
void emul_fault_queue_free(EmulFaultQueue *queue);

/* Return: bytes, or -errno; as the kernel's read() and write(). */
ssize_t emul_fault_queue_read(EmulFaultQueue *queue, int fd, void *buf,
                              size_t count);
ssize_t emul_fault_queue_write(EmulFaultQueue *queue, int fd, const void *buf,
                               size_t count);

/* A page fault through attachment @handle. Return: false if it is not alive. */
bool emul_fault_queue_raise_locked(EmulFaultQueue *queue, uint32_t handle,
                                   const EmulPageRequest *request)
    REQUIRES(&queue->lock);

/* Answer what came through @handle INVALID; nothing more may come. */
void emul_fault_queue_end_handle(EmulFaultQueue *queue, uint32_t handle);

EmulFaultCounts emul_fault_queue_get_counts(EmulFaultQueue *queue);

#endif
