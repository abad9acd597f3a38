/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The interposed functions run before main() and inside the dynamic linker, so
 * they touch nothing but thread-local words of the executable. dlsym() may
 * allocate: what it asks for before malloc() is found comes from a little
 * memory of ours, and is never given back.
 */
#include "call-count.h"

#include <dlfcn.h>
#include <errno.h>
#include <glib.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WITH_SANITIZER
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define WITH_SANITIZER
#endif
#endif

static _Thread_local struct {
    CallCount count;
    const void *own;
    bool on;
    unsigned paused;
} counting;

static bool is_counting(void)
{
    return counting.on && counting.paused == 0;
}

void call_count_start(const void *own)
{
    counting.count = (CallCount){ 0 };
    counting.own = own;
    counting.paused = 0;
    counting.on = true;
}

CallCount call_count_stop(void)
{
    counting.on = false;
    return counting.count;
}

void call_count_pause(void)
{
    counting.paused++;
}

void call_count_resume(void)
{
    counting.paused--;
}

static void note_alloc(void)
{
    counting.count.allocations += is_counting();
}

static void note_free(void)
{
    counting.count.frees += is_counting();
}

#ifdef WITH_SANITIZER

/* sanitizer/allocator_interface.h, which gcc 12 has without a header. */
int __sanitizer_install_malloc_and_free_hooks(
    void (*malloc_hook)(const volatile void *, size_t),
    void (*free_hook)(const volatile void *));

static void malloc_hook(const volatile void *ptr, size_t size)
{
    note_alloc();
}

static void free_hook(const volatile void *ptr)
{
    if (ptr) {
        note_free();
    }
}

void call_count_init(void)
{
    int slot = __sanitizer_install_malloc_and_free_hooks(malloc_hook,
                                                         free_hook);

    g_assert_cmpint(slot, >, 0);
}

bool call_count_sees_locks(void)
{
    return false;
}

#else

static void note_lock(const void *lock)
{
    if (is_counting()) {
        if (lock == counting.own) {
            counting.count.own_locks++;
        } else {
            counting.count.other_locks++;
        }
    }
}

static _Alignas(16) char early[4096];
static size_t early_used;

static void *early_alloc(size_t size)
{
    char *ptr = early + early_used;

    early_used += (size + 15) & ~(size_t)15;
    if (early_used > sizeof(early)) {
        abort();
    }
    return ptr;                 /* zeroed, and never used before */
}

static bool is_early(const void *ptr)
{
    return (const char *)ptr >= early &&
           (const char *)ptr < early + sizeof(early);
}

enum {
    NEXT_malloc,
    NEXT_calloc,
    NEXT_realloc,
    NEXT_free,
    NEXT_aligned_alloc,
    NEXT_posix_memalign,
    NEXT_pthread_mutex_lock,
    NEXT_pthread_mutex_trylock,
    NEXT_pthread_rwlock_rdlock,
    NEXT_pthread_rwlock_wrlock,
    NEXT_pthread_spin_lock,
    NEXT_g_mutex_lock,
    NEXT_COUNT,
};

static const char *const next_names[] = {
    "malloc", "calloc", "realloc", "free", "aligned_alloc", "posix_memalign",
    "pthread_mutex_lock", "pthread_mutex_trylock", "pthread_rwlock_rdlock",
    "pthread_rwlock_wrlock", "pthread_spin_lock", "g_mutex_lock",
};

_Static_assert(G_N_ELEMENTS(next_names) == NEXT_COUNT, "a name for each");

/*
 * The next definition of a function, or NULL while one is being looked for:
 * that is before main(), so there is one thread.
 */
static void *next(unsigned which)
{
    static void *found[NEXT_COUNT];
    static bool searching;

    if (!found[which] && !searching) {
        searching = true;
        found[which] = dlsym(RTLD_NEXT, next_names[which]);
        searching = false;
        if (!found[which]) {
            abort();
        }
    }
    return found[which];
}

#define NEXT(func) ((__typeof__(&func))next(NEXT_##func))

/* All before there is a second thread. */
static __attribute__((constructor)) void find_all(void)
{
    for (unsigned i = 0; i < NEXT_COUNT; i++) {
        next(i);
    }
}

void *malloc(size_t size)
{
    note_alloc();
    return NEXT(malloc) ? NEXT(malloc)(size) : early_alloc(size);
}

void *calloc(size_t count, size_t size)
{
    note_alloc();
    return NEXT(calloc) ? NEXT(calloc)(count, size)
                        : early_alloc(count * size);
}

void *realloc(void *ptr, size_t size)
{
    g_assert(!is_early(ptr));
    note_alloc();
    return NEXT(realloc)(ptr, size);
}

void free(void *ptr)
{
    if (ptr && !is_early(ptr)) {
        note_free();
        NEXT(free)(ptr);
    }
}

void *aligned_alloc(size_t alignment, size_t size)
{
    note_alloc();
    return NEXT(aligned_alloc)(alignment, size);
}

int posix_memalign(void **ptr, size_t alignment, size_t size)
{
    note_alloc();
    return NEXT(posix_memalign)(ptr, alignment, size);
}

int pthread_mutex_lock(pthread_mutex_t *mutex)
{
    note_lock(mutex);
    return NEXT(pthread_mutex_lock)(mutex);
}

int pthread_mutex_trylock(pthread_mutex_t *mutex)
{
    note_lock(mutex);
    return NEXT(pthread_mutex_trylock)(mutex);
}

int pthread_rwlock_rdlock(pthread_rwlock_t *lock)
{
    note_lock(lock);
    return NEXT(pthread_rwlock_rdlock)(lock);
}

int pthread_rwlock_wrlock(pthread_rwlock_t *lock)
{
    note_lock(lock);
    return NEXT(pthread_rwlock_wrlock)(lock);
}

int pthread_spin_lock(pthread_spinlock_t *lock)
{
    note_lock((const void *)lock);
    return NEXT(pthread_spin_lock)(lock);
}

void g_mutex_lock(GMutex *mutex)
{
    note_lock(mutex);
    NEXT(g_mutex_lock)(mutex);
}

void call_count_init(void)
{
}

bool call_count_sees_locks(void)
{
    return true;
}

#endif
