/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of descriptors. While a number is closed, or becomes another file,
 * it leads to "changing", and who looks it up waits: nobody ever reads the pipe
 * of a queue, nor takes a stranger's new descriptor for ours. It is changed
 * before its file loses the reference that it stood for, so that a file without
 * references is not found again.
 *
 * The emulated host knows a file by one number. When that one is closed while
 * there are copies, one of those takes its place (emul_move_fd()); the last one
 * is closed by the emulated host itself.
 */
#include "preload-internal.h"
#include "preload-next.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>

/* A signal handler may have interrupted the one that it waits for. */
enum { MAX_YIELDS = 100000 };

Lock files_lock = LOCK_INITIALIZER(LOCK_RANK_FILES);

/* [files_lock] to store, [atomic] to load. */
static _Atomic(PreloadFile *) files[PRELOAD_FDS];
static PreloadFile *free_files GUARDED_BY(files_lock);

/* It is never freed: it has a reference too many. */
static PreloadFile hidden_file = { .kind = PRELOAD_HIDDEN, .refs = 1 };
static PreloadFile changing = { .kind = PRELOAD_HIDDEN, .refs = 1 };

static PreloadFile *file_load(int fd)
{
    if (fd < 0 || fd >= PRELOAD_FDS) {
        return NULL;
    }
    /* Acquire: pairs with the release in file_store_locked(). */
    return atomic_load_explicit(&files[fd], memory_order_acquire);
}

static void file_store_locked(int fd, PreloadFile *file) REQUIRES(&files_lock)
{
    /* Release: who finds the file sees what is in it. */
    atomic_store_explicit(&files[fd], file, memory_order_release);
}

/* Where @fd leads when it is not being changed. */
static PreloadFile *file_load_settled(int fd)
{
    PreloadFile *file = file_load(fd);

    for (int i = 0; file == &changing && i < MAX_YIELDS; i++) {
        sched_yield();
        file = file_load(fd);
    }
    return file;
}

/*
 * The kernel gave us @fd while who closed it before still has to say so here,
 * which would take out what we are about to put in.
 */
static void number_await(int fd)
{
    file_load_settled(fd);
}

bool preload_is_ours(int fd)
{
    return file_load(fd);
}

/* One more reference, if there is any. */
static bool file_try_ref(PreloadFile *file)
{
    unsigned refs = atomic_load_explicit(&file->refs, memory_order_relaxed);

    while (refs > 0) {
        /* Acquire: pairs with the release in preload_file_put(). */
        if (atomic_compare_exchange_weak_explicit(&file->refs, &refs, refs + 1,
                                                  memory_order_acquire,
                                                  memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

PreloadFile *preload_file_get(int fd)
{
    for (;;) {
        PreloadFile *file = file_load_settled(fd);

        if (!file) {
            return NULL;
        }
        if (file_try_ref(file)) {
            if (file_load(fd) == file) {
                return file;
            }
            preload_file_put(file);     /* closed meanwhile, and used anew */
        }
    }
}

static PreloadFile *file_new_locked(PreloadKind kind) REQUIRES(&files_lock)
{
    PreloadFile *file = free_files;

    if (file) {
        free_files = file->next_free;
    } else {
        file = g_new0(PreloadFile, 1);
        file->numbers = g_array_new(FALSE, FALSE, sizeof(int));
    }
    file->kind = kind;
    return file;
}

void preload_file_put(PreloadFile *file)
{
    PreloadHost *host;

    /* Release for those before, acquire for the one that finds none left. */
    if (atomic_fetch_sub_explicit(&file->refs, 1, memory_order_acq_rel) > 1) {
        return;
    }
    host = atomic_load_explicit(&file->host, memory_order_relaxed);
    lock_acquire(&files_lock);
    if (file->device && host) {
        file->device->bound = false;
    }
    file->next_free = free_files;
    free_files = file;
    lock_release(&files_lock);
    if (host) {
        preload_host_put(host);
    }
}

static void number_add_locked(PreloadFile *file, int fd) REQUIRES(&files_lock)
{
    g_array_append_val(file->numbers, fd);
    /* Relaxed: the caller's own reference keeps it, or it is new. */
    atomic_fetch_add_explicit(&file->refs, 1, memory_order_relaxed);
    file_store_locked(fd, file);
}

void preload_file_add(int fd, PreloadKind kind, PreloadHost *host,
                      PreloadDevice *device)
{
    PreloadFile *file;

    number_await(fd);
    lock_acquire(&files_lock);
    file = file_new_locked(kind);
    file->device = device;
    /* Relaxed, all three: the number is stored after them. */
    atomic_store_explicit(&file->host, host, memory_order_relaxed);
    atomic_store_explicit(&file->fd, fd, memory_order_relaxed);
    atomic_store_explicit(&file->status, 0, memory_order_relaxed);
    number_add_locked(file, fd);
    lock_release(&files_lock);
}

void preload_hide(int fd)
{
    number_await(fd);
    lock_acquire(&files_lock);
    file_store_locked(fd, &hidden_file);
    lock_release(&files_lock);
}

void preload_close_hidden(int fd)
{
    lock_acquire(&files_lock);
    file_store_locked(fd, NULL);
    lock_release(&files_lock);
    next_close(fd);
}

int preload_copied(PreloadFile *file, int copy)
{
    bool added = false;

    if (copy < 0) {
        return -1;
    }
    number_await(copy);
    lock_acquire(&files_lock);
    if (file->numbers->len > 0 && copy < PRELOAD_FDS) {
        number_add_locked(file, copy);
        added = true;
    }
    lock_release(&files_lock);
    if (!added) {
        next_close(copy);
        errno = EBADF;
        return -1;
    }
    return copy;
}

/* @fd is being changed from now on. Return: the file whose reference it had. */
static PreloadFile *number_take_locked(int fd) REQUIRES(&files_lock)
{
    PreloadFile *file = file_load(fd);
    guint i = 0;

    if (!file || file->kind == PRELOAD_HIDDEN) {
        return NULL;
    }
    while (g_array_index(file->numbers, int, i) != fd) {
        i++;
    }
    g_array_remove_index_fast(file->numbers, i);
    file_store_locked(fd, &changing);
    return file;
}

/* @fd has been closed, or is somebody else's. */
static void number_settle(int fd)
{
    lock_acquire(&files_lock);
    if (file_load(fd) == &changing) {
        file_store_locked(fd, NULL);
    }
    lock_release(&files_lock);
}

/* If the emulated host knows the file by @fd, it shall by another number. */
static void file_move_locked(PreloadFile *file, int fd, int to)
    REQUIRES(&files_lock)
{
    PreloadHost *host = atomic_load_explicit(&file->host,
                                             memory_order_relaxed);

    if (atomic_load_explicit(&file->fd, memory_order_relaxed) != fd) {
        return;
    }
    if (host && !emul_move_fd(host->iommu, fd, to)) {
        g_assert_not_reached();     /* the tables have the same size */
    }
    /* Release, both: whoever calls by the new number finds it. */
    atomic_store_explicit(&file->fd, to, memory_order_release);
    atomic_fetch_add_explicit(&file->moves, 1, memory_order_release);
}

/*
 * Take @fd out, and leave the emulated host a number that stays. Return: the
 * file; and in *@closer the emulated host, if that has to close it, by @fd.
 */
static PreloadFile *number_leave(int fd, HostIommu **closer)
{
    PreloadFile *file;
    PreloadHost *host = NULL;

    lock_acquire(&files_lock);
    file = number_take_locked(fd);
    if (file && file->numbers->len > 0) {
        file_move_locked(file, fd, g_array_index(file->numbers, int, 0));
    } else if (file && file->kind == PRELOAD_IOMMUFD) {
        file_move_locked(file, fd, -1);     /* the host itself stays */
    } else if (file) {
        host = atomic_load_explicit(&file->host, memory_order_relaxed);
    }
    lock_release(&files_lock);
    *closer = host ? host->iommu : NULL;
    return file;
}

int preload_close(int fd)
{
    HostIommu *closer;
    PreloadFile *file;
    int ret;
    int err;

    if (!file_load_settled(fd)) {
        return next_close(fd);      /* another thread was faster */
    }
    file = number_leave(fd, &closer);
    if (!file) {
        errno = EBADF;              /* hidden, or as above */
        return -1;
    }
    ret = closer ? closer->ops->close(closer, fd) : next_close(fd);
    err = errno;
    number_settle(fd);
    preload_file_put(file);
    errno = err;
    return ret;
}

/*
 * The last number moves to a copy that the emulated host closes, so that the
 * number itself stays open for dup2() to replace.
 */
static void vacate(PreloadFile *file, HostIommu *closer, int fd)
{
    int copy;

    if (closer) {
        copy = next_fcntl(fd, F_DUPFD_CLOEXEC, NULL);
        if (copy >= 0) {
            lock_acquire(&files_lock);
            file_move_locked(file, fd, copy);
            lock_release(&files_lock);
            closer->ops->close(closer, copy);
        } else {
            closer->ops->close(closer, fd);     /* no fd is left */
        }
    }
    preload_file_put(file);
}

bool preload_change(int fd)
{
    HostIommu *closer;
    PreloadFile *file;
    bool may;

    file_load_settled(fd);
    file = number_leave(fd, &closer);
    if (file) {
        vacate(file, closer, fd);
        return true;
    }
    lock_acquire(&files_lock);
    may = !file_load(fd);
    if (may) {
        file_store_locked(fd, &changing);
    }
    lock_release(&files_lock);
    return may;
}

int preload_changed(PreloadFile *file, int fd, int ret)
{
    bool added = false;
    int err = errno;

    lock_acquire(&files_lock);
    if (ret >= 0 && file && file->numbers->len > 0) {
        number_add_locked(file, fd);
        added = true;
    }
    lock_release(&files_lock);
    if (added) {
        return ret;
    }
    if (ret >= 0 && file) {
        next_close(fd);             /* closed while it was copied */
        ret = -1;
        err = EBADF;
    }
    number_settle(fd);
    errno = err;
    return ret;
}

bool preload_bind(PreloadFile *file, PreloadHost *host, int from)
{
    bool bound;

    lock_acquire(&files_lock);
    bound = file->numbers->len > 0;
    if (bound) {
        int fd = g_array_index(file->numbers, int, 0);

        bound = emul_move_fd(host->iommu, from, fd);
        atomic_store_explicit(&file->fd, fd, memory_order_relaxed);
    }
    if (bound) {
        /* Release: pairs with the acquire in preload_ioctl(). */
        atomic_store_explicit(&file->host, host, memory_order_release);
    }
    lock_release(&files_lock);
    return bound;
}

int preload_find_number(unsigned first, unsigned last)
{
    for (unsigned fd = first; fd <= last && fd < PRELOAD_FDS; fd++) {
        if (preload_is_ours((int)fd)) {
            return (int)fd;
        }
    }
    return -1;
}

int preload_host_fd(PreloadHost *host)
{
    int fd;

    lock_acquire(&files_lock);
    fd = host->iommu->fd;
    lock_release(&files_lock);
    return fd;
}

/* So that a child does not find the table locked by a thread it lacks. */
static void before_fork(void) NO_THREAD_SAFETY_ANALYSIS
{
    lock_acquire(&files_lock);
}

static void after_fork_in_parent(void) NO_THREAD_SAFETY_ANALYSIS
{
    lock_release(&files_lock);
}

static void after_fork_in_child(void) NO_THREAD_SAFETY_ANALYSIS
{
    lock_release(&files_lock);
    preload_control_forget();
}

__attribute__((constructor)) static void register_fork_handlers(void)
{
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}
