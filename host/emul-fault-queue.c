/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The page faults of one fault queue. A group is in one of four places: its
 * pages come in (incomplete), it waits for a reader (ready), its cookie is out,
 * or it has been answered and is on its way to the hardware. Whoever takes it
 * out of the first three, under the lock, is the only one who answers it.
 *
 * The user's fd is one end of a socket pair: it is readable while a byte is in
 * it and always writable, and the other end shows POLLHUP once the last
 * reference to it is gone. The lock is held for a chunk of a read or write.
 */
#include "emul-internal.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    READ_CHUNK = 1638,          /* records, 64 KiB */
    WRITE_CHUNK = 1024,         /* answers */
    RECORD_SIZE = sizeof(struct iommu_hwpt_pgfault),
    RESPONSE_SIZE = sizeof(struct iommu_hwpt_page_response),
};

/* ---- Readiness and the open file ---- */

/* A group became ready; without a reader's fd nobody is there to be told. */
static void signal_locked(EmulFaultQueue *queue) REQUIRES(&queue->lock)
{
    if (send(queue->file.peer_fd, "", 1, MSG_NOSIGNAL) < 0) {
        g_assert(queue->file.fd < 0);   /* room for one byte, and a reader */
    }
}

static void unsignal_locked(EmulFaultQueue *queue) REQUIRES(&queue->lock)
{
    char byte;

    /* As of a vEVENTQ: somebody else may have read the socket. */
    if (queue->file.fd >= 0 && recv(queue->file.fd, &byte, 1, 0) < 0) {
        g_assert(errno == EAGAIN);
    }
}

/* Whether the kernel would still have the open file of this queue. */
static bool file_is_held_locked(const EmulFaultQueue *queue)
    REQUIRES(&queue->lock)
{
    struct pollfd peer = { .fd = queue->file.peer_fd };

    return queue->file.fd >= 0 || queue->file.using > 0 ||
           poll(&peer, 1, 0) != 1 || !(peer.revents & POLLHUP);
}

/* ---- Answers ---- */

/* @group has just been taken out: the answer is @code, and nobody else's. */
static void answer_locked(EmulFaultQueue *queue, EmulGroup *group,
                          uint32_t code, bool automatic, EmulGroupList *done)
    REQUIRES(&queue->lock)
{
    group->code = code;
    group->automatic = automatic;
    if (automatic) {
        queue->counts.automatic++;
    } else {
        queue->counts.answered++;
    }
    emul_groups_append(done, group);
}

/* Tell the hardware, without the lock, and put the groups back. */
static void deliver_unlocked(EmulFaultQueue *queue, EmulGroupList *done)
    EXCLUDES(&queue->lock)
{
    const EmulAnswerHandler *handler = queue->handler;

    if (!done->first) {
        return;
    }
    for (const EmulGroup *group = done->first; group; group = group->next) {
        const EmulPageAnswer answer = {
            .dev_id = group->last.dev_id,
            .pasid = group->last.pasid,
            .grpid = group->last.grpid,
            .code = group->code,
            .automatic = group->automatic,
            .tag = group->tag,
        };

        if (handler->func) {
            handler->func(&answer, handler->opaque);
        }
    }
    lock_acquire(&queue->lock);
    while (done->first) {
        emul_pool_put(&queue->pool, emul_groups_pop(done));
    }
    lock_release(&queue->lock);
}

/* ---- Faults come in ---- */

/* The group's place among the incomplete ones: where the pointer to it is. */
static EmulGroup **find_incomplete_locked(EmulFaultQueue *queue,
                                          uint32_t dev_id, uint32_t grpid)
    REQUIRES(&queue->lock)
{
    uint32_t hash = (dev_id * 31 + grpid) % EMUL_FAULT_BUCKETS;
    EmulGroup **at = &queue->incomplete[hash];

    while (*at && ((*at)->last.dev_id != dev_id ||
                   (*at)->last.grpid != grpid)) {
        at = &(*at)->next;
    }
    return at;
}

static void fill_record(struct iommu_hwpt_pgfault *record,
                        const EmulPageRequest *request)
{
    *record = (struct iommu_hwpt_pgfault) {
        .flags = (request->pasid ? IOMMU_PGFAULT_FLAGS_PASID_VALID : 0) |
                 (request->last ? IOMMU_PGFAULT_FLAGS_LAST_PAGE : 0),
        .dev_id = request->dev_id,
        .pasid = request->pasid,
        .grpid = request->grpid,
        .perm = request->perm,
        .addr = request->addr,
    };
}

/* A group belongs to the attachment through which its newest page came. */
static void add_page_locked(EmulFaultQueue *queue, EmulGroup *group,
                            const EmulPageRequest *request)
    REQUIRES(&queue->lock)
{
    EmulPage *page = emul_pool_get_page(&queue->pool);

    fill_record(&page->record, request);
    page->next = NULL;
    *group->tail = page;
    group->tail = &page->next;
    group->last = page->record;     /* the key, until the last page comes */
    queue->counts.pages++;
}

static void complete_locked(EmulFaultQueue *queue, EmulGroup *group,
                            const EmulPageRequest *request)
    REQUIRES(&queue->lock)
{
    bool was_empty = !queue->ready.first;

    fill_record(&group->last, request);
    group->tag = request->tag;
    emul_groups_append(&queue->ready, group);
    queue->counts.pages++;
    queue->counts.raised++;
    if (was_empty) {
        signal_locked(queue);
    }
}

bool emul_fault_queue_raise_locked(EmulFaultQueue *queue, uint32_t handle,
                                   const EmulPageRequest *request)
{
    EmulGroup **at = find_incomplete_locked(queue, request->dev_id,
                                            request->grpid);
    EmulGroup *group = *at;

    if (!queue->alive) {
        return false;
    }
    if (!group) {
        group = emul_pool_get_group(&queue->pool);
        group->next = NULL;
        if (!request->last) {
            *at = group;
        }
    } else if (request->last) {
        *at = group->next;
    }
    group->num++;
    group->handle = handle;
    if (request->last) {
        complete_locked(queue, group, request);
    } else {
        add_page_locked(queue, group, request);
    }
    return true;
}

/* ---- Reading and writing ---- */

/* One group's records, oldest page first, and its cookie: it is out now. */
static char *read_group_locked(EmulFaultQueue *queue, char *buf)
    REQUIRES(&queue->lock)
{
    EmulGroup *group = emul_groups_pop(&queue->ready);
    uint32_t cookie = emul_cookies_add(&queue->cookies, group);

    for (EmulPage *page = group->pages; page; page = page->next) {
        page->record.cookie = cookie;
        memcpy(buf, &page->record, RECORD_SIZE);
        buf += RECORD_SIZE;
    }
    group->last.cookie = cookie;
    memcpy(buf, &group->last, RECORD_SIZE);
    return buf + RECORD_SIZE;
}

/* Whole groups, up to about one chunk of them. Return: bytes. */
static size_t read_chunk_locked(EmulFaultQueue *queue, char *buf, size_t count)
    REQUIRES(&queue->lock)
{
    const char *end = buf + count;
    char *at = buf;

    while (queue->ready.first && at - buf < READ_CHUNK * RECORD_SIZE &&
           (size_t)(end - at) / RECORD_SIZE >= queue->ready.first->num) {
        at = read_group_locked(queue, at);
    }
    if (at > buf && !queue->ready.first) {
        unsignal_locked(queue);
    }
    return (size_t)(at - buf);
}

static ssize_t read_locked(EmulFaultQueue *queue, char *buf, size_t count)
    REQUIRES(&queue->lock)
{
    size_t done = 0;
    size_t chunk;

    queue->file.using++;
    for (;;) {
        chunk = read_chunk_locked(queue, buf + done, count - done);
        done += chunk;
        if (chunk < READ_CHUNK * RECORD_SIZE) {
            break;
        }
        lock_release(&queue->lock);     /* let a device in */
        lock_acquire(&queue->lock);
    }
    queue->file.using--;
    return done == 0 && queue->ready.first ? -EINVAL : (ssize_t)done;
}

/* A read to NULL takes no group; one that is too small is found out first. */
static int null_read_locked(const EmulFaultQueue *queue, size_t count)
    REQUIRES(&queue->lock)
{
    if (!queue->ready.first) {
        return 0;
    }
    return count / RECORD_SIZE < queue->ready.first->num ? -EINVAL : -EFAULT;
}

ssize_t emul_fault_queue_read(EmulFaultQueue *queue, int fd, void *buf,
                              size_t count)
{
    ssize_t ret;

    if (count % RECORD_SIZE) {
        return -ESPIPE;
    }
    lock_acquire(&queue->lock);
    /* Another fd: this one was closed since it was looked up. */
    ret = queue->file.fd != fd ? -EBADF :
          buf ? read_locked(queue, buf, count)
              : null_read_locked(queue, count);
    lock_release(&queue->lock);
    return ret;
}

/* One answer; the code is looked at first. Return: false if it is refused. */
static bool write_one_locked(EmulFaultQueue *queue, const char *buf,
                             EmulGroupList *done) REQUIRES(&queue->lock)
{
    struct iommu_hwpt_page_response response;
    EmulGroup *group;

    memcpy(&response, buf, sizeof(response));
    if (response.code != IOMMUFD_PAGE_RESP_SUCCESS &&
        response.code != IOMMUFD_PAGE_RESP_INVALID) {
        return false;
    }
    group = emul_cookies_take(&queue->cookies, response.cookie);
    if (group) {
        answer_locked(queue, group, response.code, false, done);
    }
    return group;
}

/* Up to one chunk. Return: bytes taken; less than @count: one was refused. */
static size_t write_chunk(EmulFaultQueue *queue, const char *buf, size_t count)
    EXCLUDES(&queue->lock)
{
    EmulGroupList done;
    size_t taken = 0;

    emul_groups_init(&done);
    lock_acquire(&queue->lock);
    while (taken < count && write_one_locked(queue, buf + taken, &done)) {
        taken += RESPONSE_SIZE;
    }
    lock_release(&queue->lock);
    deliver_unlocked(queue, &done);
    return taken;
}

static bool begin_use(EmulFaultQueue *queue, int fd) EXCLUDES(&queue->lock)
{
    bool is_open;

    lock_acquire(&queue->lock);
    is_open = queue->file.fd == fd;
    queue->file.using += is_open;
    lock_release(&queue->lock);
    return is_open;
}

static void end_use(EmulFaultQueue *queue) EXCLUDES(&queue->lock)
{
    lock_acquire(&queue->lock);
    queue->file.using--;
    lock_release(&queue->lock);
}

ssize_t emul_fault_queue_write(EmulFaultQueue *queue, int fd, const void *buf,
                               size_t count)
{
    const char *bytes = buf;
    size_t done = 0;

    if (count % RESPONSE_SIZE) {
        return -ESPIPE;
    }
    if (!buf && count > 0) {
        return -EFAULT;
    }
    if (!begin_use(queue, fd)) {
        return -EBADF;
    }
    while (done < count) {
        size_t chunk = MIN(count - done, WRITE_CHUNK * RESPONSE_SIZE);
        size_t taken = write_chunk(queue, bytes + done, chunk);

        done += taken;
        if (taken < chunk) {
            break;
        }
    }
    end_use(queue);
    return done == 0 && count > 0 ? -EINVAL : (ssize_t)done;
}

/* ---- Groups end without the user ---- */

static bool ends(const EmulGroup *group, uint32_t handle)
{
    return handle == EMUL_HANDLE_ALL || group->handle == handle;
}

/* Nobody waits for an answer to a group whose last page has not come. */
static void drop_incomplete_locked(EmulFaultQueue *queue, uint32_t handle)
    REQUIRES(&queue->lock)
{
    for (unsigned i = 0; i < EMUL_FAULT_BUCKETS; i++) {
        EmulGroup **at = &queue->incomplete[i];

        while (*at) {
            EmulGroup *group = *at;

            if (ends(group, handle)) {
                *at = group->next;
                emul_pool_put(&queue->pool, group);
            } else {
                at = &group->next;
            }
        }
    }
}

/* All that came through @handle is answered INVALID, read or not. */
static void end_groups_locked(EmulFaultQueue *queue, uint32_t handle,
                              EmulGroupList *done) REQUIRES(&queue->lock)
{
    EmulGroupList ready = queue->ready;
    bool was_ready = ready.first;

    emul_groups_init(&queue->ready);
    while (was_ready && ready.first) {
        EmulGroup *group = ready.first;

        ready.first = group->next;
        if (ends(group, handle)) {
            answer_locked(queue, group, IOMMUFD_PAGE_RESP_INVALID, true, done);
        } else {
            emul_groups_append(&queue->ready, group);
        }
    }
    if (was_ready && !queue->ready.first) {
        unsignal_locked(queue);
    }
    for (uint32_t i = 0; queue->cookies.out > 0 && i < queue->cookies.size;
         i++) {
        if (queue->cookies.groups[i] &&
            ends(queue->cookies.groups[i], handle)) {
            answer_locked(queue, emul_cookies_take(&queue->cookies, i),
                          IOMMUFD_PAGE_RESP_INVALID, true, done);
        }
    }
    drop_incomplete_locked(queue, handle);
}

void emul_fault_queue_end_handle(EmulFaultQueue *queue, uint32_t handle)
{
    EmulGroupList done;

    emul_groups_init(&done);
    lock_acquire(&queue->lock);
    end_groups_locked(queue, handle, &done);
    lock_release(&queue->lock);
    deliver_unlocked(queue, &done);
}

/* ---- Life ---- */

void emul_fault_queue_move_fd(EmulFaultQueue *queue, int from, int to)
{
    lock_acquire(&queue->lock);
    if (queue->file.fd == from) {
        queue->file.fd = to;
    }
    lock_release(&queue->lock);
}

int emul_fault_queue_start(EmulFaultQueue *queue, int *fd,
                           uint64_t *generation)
{
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                   fds) < 0) {
        return -errno;
    }
    lock_acquire(&queue->lock);
    queue->file.fd = fds[0];
    queue->file.peer_fd = fds[1];
    queue->alive = true;
    *generation = ++queue->generation;
    lock_release(&queue->lock);
    *fd = fds[0];
    return 0;
}

static void stop_locked(EmulFaultQueue *queue, EmulGroupList *done)
    REQUIRES(&queue->lock)
{
    end_groups_locked(queue, EMUL_HANDLE_ALL, done);
    emul_cookies_reset(&queue->cookies);
    close(queue->file.peer_fd);
    queue->alive = false;
}

int emul_fault_queue_stop(EmulFaultQueue *queue, uint64_t generation)
{
    EmulGroupList done;
    int ret = 0;

    emul_groups_init(&done);
    lock_acquire(&queue->lock);
    /* Another caller may have ended it, and the pool given it out again. */
    if (!queue->alive || queue->generation != generation) {
        ret = -ENOENT;
    } else if (file_is_held_locked(queue)) {
        ret = -EBUSY;
    } else {
        stop_locked(queue, &done);
    }
    lock_release(&queue->lock);
    deliver_unlocked(queue, &done);
    return ret;
}

void emul_fault_queue_abandon(EmulFaultQueue *queue)
{
    EmulGroupList done;
    int fd;

    emul_groups_init(&done);
    lock_acquire(&queue->lock);
    fd = queue->file.fd;
    queue->file.fd = -1;
    stop_locked(queue, &done);      /* nobody has found it: there is nothing */
    lock_release(&queue->lock);
    close(fd);
}

EmulFaultCounts emul_fault_queue_get_counts(EmulFaultQueue *queue)
{
    EmulFaultCounts counts;

    lock_acquire(&queue->lock);
    counts = queue->counts;
    lock_release(&queue->lock);
    return counts;
}

EmulFaultQueue *emul_fault_queue_new(uint32_t index,
                                     const EmulAnswerHandler *handler)
{
    EmulFaultQueue *queue = g_new0(EmulFaultQueue, 1);

    lock_init(&queue->lock, LOCK_RANK_LEAF);
    emul_groups_init(&queue->ready);
    queue->index = index;
    queue->handler = handler;
    queue->file.fd = -1;
    return queue;
}

void emul_fault_queue_free(EmulFaultQueue *queue)
{
    lock_destroy(&queue->lock);
    if (queue->alive) {
        close(queue->file.peer_fd);
    }
    emul_cookies_free(&queue->cookies);
    g_slist_free_full(queue->pool.blocks, g_free);
    g_free(queue);
}
