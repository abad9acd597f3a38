/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every slot of the device has a region of its own in every address space, so
 * that operations under way do not touch each other's bytes; but regions are no
 * whole pages, so they do share those. What the last operation of a region has
 * left is looked at again before the next one overwrites it: a device that
 * writes late is found out.
 */
#include "workload-sva.h"

#include "workload-events.h"

#include "base/counter.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/rcu.h"
#include "base/thread.h"
#include "iothread/aio-context.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>

#define NS_PER_S INT64_C(1000000000)

enum {
    LENGTH_MIN = 64,
    LENGTH_MAX = SVA_ACCEL_LENGTH_MAX,
    HALF_BYTES = 5 * 1024,      /* source or destination, and where it starts */
    REGION_BYTES = 2 * HALF_BYTES,
    DESCRIPTOR_BYTES = 8 * SVA_ACCEL_DESCRIPTOR_WORDS,
};

/* Of the pages of an address space, one in so many stays in. */
enum { IN_SHARE = 4 };

/* One turn in so many takes pages away for no reason. */
enum { TAKE_TURNS = 32 };

/**
 * struct Operation - what was last done in a region
 * @seed: of the source's contents
 * @length: 0: nothing yet
 */
typedef struct Operation {
    uint64_t src;
    uint64_t dst;
    uint64_t seed;
    uint64_t key;
    uint32_t length;
} Operation;

/* [thread] writes, anybody reads. */
typedef struct Counters {
    Counter started;
    Counter verified;
    Counter failed;
    Counter corrupt;
    Counter changed;
} Counters;

struct WorkloadSva {
    WorkloadSvaConfig config;   /* [const] id and spaces are ours */
    uint8_t *descriptors;       /* [const] of the slots, in guest memory */
    uint64_t *ring;             /* [const] of completions, in guest memory */
    uint64_t ring_count;        /* [thread] slots seen in it */
    uint32_t *free_slots;       /* [thread] a stack */
    uint32_t free_count;        /* [thread] */
    uint32_t *slot_pasids;      /* [thread] of what is in a slot */
    Operation *operations;      /* [thread] by PASID and slot */
    Prng prng;                  /* [thread] */
    int64_t start_ns;           /* [const] */
    int wake_fd;                /* [const] to stop and to rest */
    Lock lock;                  /* for stop, stopped and quit */
    pthread_cond_t stopped_cond;
    bool stop GUARDED_BY(&lock);    /* start no operation any more */
    bool stopped GUARDED_BY(&lock); /* none is started any more */
    bool quit GUARDED_BY(&lock);    /* the thread ends */
    pthread_t thread;
    bool running;               /* whether to join it */
    Counters counters;
};

/* ---- Memory ---- */

static uint64_t region_addr(WorkloadSva *load, uint32_t pasid, uint32_t slot)
{
    return guest_address_space_get_base(load->config.spaces[pasid - 1]) +
           (uint64_t)slot * REGION_BYTES;
}

static Operation *operation_of(WorkloadSva *load, uint32_t pasid,
                               uint32_t slot)
{
    return &load->operations[(size_t)(pasid - 1) * load->config.depth + slot];
}

static void fill(uint8_t *bytes, size_t len, uint64_t seed)
{
    Prng prng = { seed };

    for (size_t i = 0; i < len; i += 8) {
        uint64_t word = prng_next(&prng);

        memcpy(bytes + i, &word, MIN(len - i, 8));
    }
}

/* Does the memory hold what the operation has read, and what it has written? */
static bool verify(WorkloadSva *load, uint32_t pasid,
                   const Operation *operation)
{
    GuestAddressSpace *space = load->config.spaces[pasid - 1];
    uint8_t expected[LENGTH_MAX], found[LENGTH_MAX], out[LENGTH_MAX];
    size_t len = operation->length;

    fill(expected, len, operation->seed);
    guest_address_space_read(space, operation->src, found, len);
    if (memcmp(expected, found, len) != 0) {
        return false;
    }
    sva_accel_transform(out, expected, len, operation->key, 0);
    guest_address_space_read(space, operation->dst, found, len);
    return memcmp(out, found, len) == 0;
}

/* ---- Operations ---- */

static void choose(WorkloadSva *load, uint32_t pasid, uint32_t slot,
                   Operation *operation)
{
    Prng *prng = &load->prng;
    uint64_t region = region_addr(load, pasid, slot);

    operation->length = LENGTH_MIN +
                        prng_below(prng, LENGTH_MAX - LENGTH_MIN + 1);
    operation->src = region +
                     prng_below(prng, HALF_BYTES - operation->length + 1);
    operation->dst = region + HALF_BYTES +
                     prng_below(prng, HALF_BYTES - operation->length + 1);
    operation->seed = prng_next(prng);
    operation->key = prng_next(prng);
}

static void put_descriptor(WorkloadSva *load, uint32_t pasid, uint32_t slot,
                           const Operation *operation)
{
    const uint64_t words[SVA_ACCEL_DESCRIPTOR_WORDS] = {
        [SVA_ACCEL_WORD_PASID] = pasid,
        [SVA_ACCEL_WORD_SRC] = operation->src,
        [SVA_ACCEL_WORD_DST] = operation->dst,
        [SVA_ACCEL_WORD_LENGTH] = operation->length,
        [SVA_ACCEL_WORD_KEY] = operation->key,
    };

    guest_words_store(load->descriptors + (size_t)slot * DESCRIPTOR_BYTES,
                      words, SVA_ACCEL_DESCRIPTOR_WORDS);
}

/* As a vCPU: the monitor takes its big lock, and the device its own. */
static void ring_doorbell(WorkloadSva *load, uint32_t slot)
{
    lock_acquire(load->config.big_lock);
    sva_accel_mmio_write(load->config.accel, SVA_ACCEL_DOORBELL, 8, slot);
    lock_release(load->config.big_lock);
}

static void start_operation(WorkloadSva *load)
{
    uint32_t slot = load->free_slots[--load->free_count];
    uint32_t pasid = 1 + prng_below(&load->prng, load->config.pasids);
    Operation *operation = operation_of(load, pasid, slot);
    uint8_t bytes[LENGTH_MAX];

    if (operation->length && !verify(load, pasid, operation)) {
        counter_add(&load->counters.changed, 1);
    }
    choose(load, pasid, slot, operation);
    fill(bytes, operation->length, operation->seed);
    guest_address_space_write(load->config.spaces[pasid - 1], operation->src,
                              bytes, operation->length);
    load->slot_pasids[slot] = pasid;
    put_descriptor(load, pasid, slot, operation);
    counter_add(&load->counters.started, 1);
    ring_doorbell(load, slot);
}

static void finish_operation(WorkloadSva *load, uint32_t slot)
{
    uint32_t pasid = load->slot_pasids[slot];
    Operation *operation = operation_of(load, pasid, slot);
    uint64_t words[SVA_ACCEL_DESCRIPTOR_WORDS];

    guest_words_load(words, load->descriptors + (size_t)slot * DESCRIPTOR_BYTES,
                     SVA_ACCEL_DESCRIPTOR_WORDS);
    if (words[SVA_ACCEL_WORD_STATUS] != SVA_ACCEL_STATUS_DONE) {
        operation->length = 0;
        counter_add(&load->counters.failed, 1);
    } else if (!verify(load, pasid, operation)) {
        operation->length = 0;
        counter_add(&load->counters.corrupt, 1);
    } else {
        counter_add(&load->counters.verified, 1);
    }
    load->free_slots[load->free_count++] = slot;
}

/* Acquire: pairs with the device's store, before which it wrote memory. */
static void finish_operations(WorkloadSva *load)
{
    uint64_t count = GUINT64_FROM_LE(__atomic_load_n(&load->ring[0],
                                                     __ATOMIC_ACQUIRE));

    while (load->ring_count < count) {
        uint64_t slot;

        guest_words_load(&slot,
                         &load->ring[1 + load->ring_count % load->config.depth],
                         1);
        load->ring_count++;
        finish_operation(load, slot);
    }
}

/* ---- The guest's memory management ---- */

/* Down to the share that may be in, and now and then a few more. */
static void take_pages(WorkloadSva *load)
{
    for (uint32_t i = 0; i < load->config.pasids; i++) {
        GuestAddressSpace *space = load->config.spaces[i];
        size_t most = guest_address_space_get_pages(space) / IN_SHARE;

        if (guest_address_space_count_in(space) >= most + GUEST_TAKE_MAX / 2) {
            guest_address_space_take(space, &load->prng, GUEST_TAKE_MAX / 2);
        } else if (prng_below(&load->prng, TAKE_TURNS) == 0) {
            guest_address_space_take(space, &load->prng,
                                     1 + prng_below(&load->prng, 8));
        }
    }
}

/* ---- The thread ---- */

typedef enum Phase {
    PHASE_RUN,
    PHASE_STOPPED,              /* operations under way go on */
    PHASE_QUIT,
} Phase;

static Phase get_phase(WorkloadSva *load)
{
    Phase phase = PHASE_RUN;

    lock_acquire(&load->lock);
    if (load->stop) {
        phase = load->quit ? PHASE_QUIT : PHASE_STOPPED;
        if (!load->stopped) {
            load->stopped = true;
            pthread_cond_broadcast(&load->stopped_cond);
        }
    }
    lock_release(&load->lock);
    return phase;
}

/* Operations that may be started now, as far as the rate goes. */
static uint64_t count_due(WorkloadSva *load)
{
    uint64_t due;

    if (load->config.rate == WORKLOAD_SVA_RATE_MAX) {
        return UINT64_MAX;
    }
    due = workload_events_due_count(load->config.rate, 1, 0,
                                    aio_clock_ns() - load->start_ns);
    return due - MIN(due, counter_get(&load->counters.started));
}

static void start_operations(WorkloadSva *load)
{
    uint64_t due = count_due(load);

    for (; due > 0 && load->free_count > 0; due--) {
        start_operation(load);
    }
}

/* Until more are due; -1 if an interrupt will come before. */
static int64_t sleep_ns(WorkloadSva *load, Phase phase)
{
    if (phase != PHASE_RUN || load->free_count == 0 ||
        load->config.rate == WORKLOAD_SVA_RATE_MAX) {
        return -1;
    }
    return workload_events_sleep_ns(load->config.rate,
                                    counter_get(&load->counters.started),
                                    load->free_count,
                                    aio_clock_ns() - load->start_ns);
}

/* Both descriptors are drained: what comes later wakes again. */
static void wait_for_work(WorkloadSva *load, int64_t ns)
{
    const struct timespec timeout = { ns / NS_PER_S, ns % NS_PER_S };
    struct pollfd fds[] = {
        { .fd = sva_accel_get_irq_fd(load->config.accel), .events = POLLIN },
        { .fd = load->wake_fd, .events = POLLIN },
    };
    uint64_t count;

    if (ppoll(fds, G_N_ELEMENTS(fds), ns < 0 ? NULL : &timeout, NULL) < 0) {
        g_assert(errno == EINTR);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
        if (fds[i].revents && read(fds[i].fd, &count, sizeof(count)) < 0) {
            g_assert(errno == EAGAIN);
        }
    }
}

static void *load_thread(void *opaque)
{
    WorkloadSva *load = opaque;
    g_autofree char *name = g_strdup_printf("load %s", load->config.id);
    Phase phase;

    rcu_register_thread();
    thread_set_name(name);
    while ((phase = get_phase(load)) != PHASE_QUIT) {
        finish_operations(load);
        if (phase == PHASE_RUN) {
            take_pages(load);
            start_operations(load);
        }
        wait_for_work(load, sleep_ns(load, phase));
    }
    finish_operations(load);
    rcu_unregister_thread();
    return NULL;
}

/* ---- Life cycle ---- */

size_t workload_sva_pages(uint32_t depth)
{
    return ((size_t)depth * REGION_BYTES + GUEST_FRAME_BYTES - 1) /
           GUEST_FRAME_BYTES;
}

static void wake(WorkloadSva *load)
{
    const uint64_t one = 1;
    ssize_t ret = write(load->wake_fd, &one, sizeof(one));

    g_assert(ret == sizeof(one));
}

void workload_sva_stop(WorkloadSva *load)
{
    if (!load->running) {
        return;
    }
    lock_acquire(&load->lock);
    load->stop = true;
    wake(load);
    while (!load->stopped) {
        lock_wait(&load->lock, &load->stopped_cond);
    }
    lock_release(&load->lock);
}

/* What the regions hold in the end: the last look at them. */
static void verify_all(WorkloadSva *load)
{
    for (uint32_t pasid = 1; pasid <= load->config.pasids; pasid++) {
        for (uint32_t slot = 0; slot < load->config.depth; slot++) {
            Operation *operation = operation_of(load, pasid, slot);

            if (operation->length && !verify(load, pasid, operation)) {
                counter_add(&load->counters.changed, 1);
            }
        }
    }
}

void workload_sva_rest(WorkloadSva *load)
{
    if (!load->running) {
        return;
    }
    workload_sva_stop(load);
    lock_acquire(&load->lock);
    load->quit = true;
    wake(load);
    lock_release(&load->lock);
    pthread_join(load->thread, NULL);
    load->running = false;
    if (load->free_count == load->config.depth) {
        verify_all(load);
    }
}

void workload_sva_free(WorkloadSva *load)
{
    if (!load) {
        return;
    }
    workload_sva_rest(load);
    if (load->wake_fd >= 0) {
        close(load->wake_fd);
    }
    pthread_cond_destroy(&load->stopped_cond);
    lock_destroy(&load->lock);
    g_free(load->operations);
    g_free(load->slot_pasids);
    g_free(load->free_slots);
    g_free((void *)load->config.spaces);
    g_free((char *)load->config.id);
    g_free(load);
}

static WorkloadSva *load_new(const WorkloadSvaConfig *config)
{
    WorkloadSva *load = g_new0(WorkloadSva, 1);

    load->config = *config;
    load->config.id = g_strdup(config->id);
    load->config.spaces = g_memdup2(config->spaces, config->pasids *
                                                        sizeof(void *));
    load->free_slots = g_new(uint32_t, config->depth);
    for (uint32_t slot = 0; slot < config->depth; slot++) {
        load->free_slots[load->free_count++] = slot;
    }
    load->slot_pasids = g_new0(uint32_t, config->depth);
    load->operations = g_new0(Operation, (size_t)config->pasids *
                                             config->depth);
    load->prng.state = config->seed;
    lock_init(&load->lock, LOCK_RANK_LEAF);
    pthread_cond_init(&load->stopped_cond, NULL);
    load->wake_fd = -1;
    return load;
}

/* The memory that guest and device share, and the registers that name it. */
static bool set_up_device(WorkloadSva *load, GError **error)
{
    const WorkloadSvaConfig *config = &load->config;
    uint64_t descriptors = guest_ram_alloc(
        config->ram, (uint64_t)config->depth * DESCRIPTOR_BYTES, 64, error);
    uint64_t ring;

    if (!descriptors) {
        return false;
    }
    ring = guest_ram_alloc(config->ram, 8 * SVA_ACCEL_RING_WORDS(config->depth),
                           64, error);
    if (!ring) {
        return false;
    }
    load->descriptors = guest_ram_ptr(config->ram, descriptors);
    load->ring = guest_ram_ptr(config->ram, ring);
    lock_acquire(config->big_lock);
    sva_accel_mmio_write(config->accel, SVA_ACCEL_DESCRIPTORS, 8, descriptors);
    sva_accel_mmio_write(config->accel, SVA_ACCEL_COMPLETIONS, 8, ring);
    lock_release(config->big_lock);
    return true;
}

static bool start_thread(WorkloadSva *load, GError **error)
{
    int ret;

    load->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (load->wake_fd < 0) {
        error_set_errno(error, errno, "eventfd for the load of '%s'",
                        load->config.id);
        return false;
    }
    load->start_ns = aio_clock_ns();
    if (load->config.rate == 0) {
        return true;
    }
    ret = thread_create(&load->thread, load_thread, load);
    if (ret != 0) {
        error_set_errno(error, ret, "thread for the load of '%s'",
                        load->config.id);
        return false;
    }
    load->running = true;
    return true;
}

WorkloadSva *workload_sva_start(const WorkloadSvaConfig *config,
                                GError **error)
{
    WorkloadSva *load;

    for (uint32_t i = 0; i < config->pasids; i++) {
        g_assert(guest_address_space_get_pages(config->spaces[i]) >=
                 workload_sva_pages(config->depth));
    }
    load = load_new(config);
    if (!set_up_device(load, error) || !start_thread(load, error)) {
        workload_sva_free(load);
        return NULL;
    }
    return load;
}

/* While they change, what was started may be read too low. */
WorkloadSvaCounts workload_sva_get_counts(const WorkloadSva *load)
{
    const Counters *counters = &load->counters;
    WorkloadSvaCounts counts = {
        .verified = counter_get(&counters->verified),
        .failed = counter_get(&counters->failed),
        .corrupt = counter_get(&counters->corrupt),
        .changed = counter_get(&counters->changed),
    };
    uint64_t ended = counts.verified + counts.failed + counts.corrupt;

    counts.started = MAX(counter_get(&counters->started), ended);
    counts.open = counts.started - ended;
    return counts;
}
