/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A group is named by a tag: device, group index, and a number that no other
 * use of that index has. The thread that hears of an answer exchanges the
 * group's state, which names the same number, so that of two answers one finds
 * nothing. It marks the index in a bitmap; the device's thread, which takes
 * the marks, reads from the group what it needs.
 *
 * The device's thread sleeps only when it can do nothing without answers, and
 * is woken when half of those that it waits for are there: both sides do a
 * sequentially consistent access to what the other one looks at, the sleeper
 * to wake_at and then answered, the answerer the other way round.
 */
#include "workload-pages.h"

#include "workload-events.h"

#include "base/counter.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/lock.h"
#include "base/rcu.h"
#include "base/thread.h"
#include "host/hardware.h"
#include "host/iommufd-abi.h"
#include "iothread/aio-context.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/eventfd.h>

#define NS_PER_S INT64_C(1000000000)

enum {
    INDEX_WORDS = WORKLOAD_PAGES_OUTSTANDING_MAX / 64,
    /* Of the pages of an address space, one in so many stays in. */
    IN_SHARE = 2,
    /* Groups raised between two looks at the rest. */
    RAISE_AT_ONCE = 64,
};

/* A tag: device, index and number. */
#define TAG_DEVICE_SHIFT 48
#define TAG_INDEX_SHIFT 39
#define TAG_NUMBER_MASK ((UINT64_C(1) << TAG_INDEX_SHIFT) - 1)

/* Group::state: not open; else the number. Numbers begin at 1. */
#define NOT_OPEN 0

/* LoadDevice::wake_at: nobody sleeps. */
#define AWAKE UINT64_MAX

/**
 * struct Group - one group index of a device
 * @state: number of the group that is open, or %NOT_OPEN. [atomic]
 * @answered_ns: by the answer, for the thread that takes the mark
 * @raised_ns: [thread]
 */
typedef struct Group {
    _Atomic uint64_t state;
    int64_t raised_ns;
    int64_t answered_ns;
} Group;

/* [thread] writes, anybody reads. */
typedef struct Counters {
    Counter tried;              /* before it is raised, so never too low */
    Counter refused;
    Counter pages;
    Counter digest;
} Counters;

typedef struct LoadDevice {
    WorkloadPages *load;        /* [const] */
    WorkloadPagesDevice config; /* [const] id and spaces are ours */
    size_t index;               /* [const] */
    Prng prng;                  /* [thread] */
    uint64_t number;            /* [thread] of the last group */
    uint64_t raised;            /* [thread] */
    uint32_t free_count;        /* [thread] */
    uint16_t free[WORKLOAD_PAGES_OUTSTANDING_MAX];      /* [thread] a stack */
    Histogram *roundtrip;       /* [thread] records */
    Counters counters;
    pthread_t thread;
    bool running;               /* whether to join it */
    bool stopped;               /* [WorkloadPages::lock] raises no more */
    int wake_fd;                /* [const]: answers, stop, rest */
    /* What answers touch. */
    _Atomic uint64_t answered;  /* groups */
    _Atomic uint64_t wake_at;   /* wake when so many were; or AWAKE */
    _Atomic uint64_t success;
    _Atomic uint64_t invalid;
    _Atomic uint64_t stray;
    _Atomic uint64_t marks[INDEX_WORDS];    /* answered, not yet taken */
    Group groups[WORKLOAD_PAGES_OUTSTANDING_MAX];
} LoadDevice;

struct WorkloadPages {
    HostIommu *host;            /* [const] */
    GPtrArray *devices;         /* [const] once started: LoadDevice */
    int64_t start_ns;           /* [const] once started */
    Lock lock;                  /* for stopped_cond */
    pthread_cond_t stopped_cond;
    atomic_bool stop;           /* set, then the threads are woken */
    atomic_bool quit;           /* likewise */
};

static void wake(LoadDevice *device)
{
    const uint64_t one = 1;

    /* A counter that is full is as good. */
    if (write(device->wake_fd, &one, sizeof(one)) < 0) {
        g_assert(errno == EAGAIN);
    }
}

/* ---- Answers, on whatever thread gives them ---- */

static void wake_if_due(LoadDevice *device)
{
    uint64_t answered = atomic_fetch_add(&device->answered, 1) + 1;

    /* The exchange: one of several answerers wakes. */
    if (answered >= atomic_load(&device->wake_at) &&
        atomic_exchange(&device->wake_at, AWAKE) != AWAKE) {
        wake(device);
    }
}

static void count_relaxed(_Atomic uint64_t *count)
{
    atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
}

static bool answer_is_its(const LoadDevice *device,
                          const HardwarePageAnswer *answer, uint32_t index)
{
    return answer->dev_id == device->config.dev_id && answer->grpid == index;
}

/* HardwareAnswerFunc */
static void on_answer(const HardwarePageAnswer *answer, void *opaque)
{
    WorkloadPages *load = opaque;
    LoadDevice *device =
        load->devices->pdata[answer->tag >> TAG_DEVICE_SHIFT];
    uint32_t index = answer->tag >> TAG_INDEX_SHIFT &
                     (WORKLOAD_PAGES_OUTSTANDING_MAX - 1);
    uint64_t number = answer->tag & TAG_NUMBER_MASK;
    Group *group = &device->groups[index];
    bool success = answer->code == IOMMUFD_PAGE_RESP_SUCCESS;

    /* Acquire: pairs with raise_group(). */
    if (!answer_is_its(device, answer, index) ||
        !atomic_compare_exchange_strong_explicit(&group->state, &number,
                                                 NOT_OPEN,
                                                 memory_order_acquire,
                                                 memory_order_relaxed)) {
        count_relaxed(&device->stray);
        return;
    }
    group->answered_ns = aio_clock_ns();
    count_relaxed(success ? &device->success : &device->invalid);
    /* Release: pairs with take_answers(). */
    atomic_fetch_or_explicit(&device->marks[index / 64],
                             UINT64_C(1) << index % 64, memory_order_release);
    wake_if_due(device);
}

/* ---- The device's thread ---- */

static void take_answers(LoadDevice *device)
{
    for (uint32_t word = 0; word < INDEX_WORDS; word++) {
        uint64_t marks = 0;

        if (atomic_load_explicit(&device->marks[word], memory_order_relaxed)) {
            /* Acquire: pairs with on_answer(). */
            marks = atomic_exchange_explicit(&device->marks[word], 0,
                                             memory_order_acquire);
        }
        for (; marks; marks &= marks - 1) {
            uint32_t index = word * 64 + __builtin_ctzll(marks);
            const Group *group = &device->groups[index];

            histogram_record(device->roundtrip,
                             group->answered_ns - group->raised_ns);
            device->free[device->free_count++] = index;
        }
    }
}

static uint64_t digest_of(const HardwarePageRequest *request)
{
    uint32_t perm = 0;

    perm |= request->perm & IOMMU_PGFAULT_PERM_READ ? PAGE_DIGEST_READ : 0;
    perm |= request->perm & IOMMU_PGFAULT_PERM_WRITE ? PAGE_DIGEST_WRITE : 0;
    return page_digest(request->pasid, request->grpid, perm, request->last,
                       request->addr);
}

/* Consecutive pages from a random one on, as a device prefetches. */
static bool raise_pages(LoadDevice *device, HardwarePageRequest *request,
                        GuestAddressSpace *space, uint32_t count)
{
    HostIommu *host = device->load->host;
    uint64_t digest = 0;
    size_t pages = guest_address_space_get_pages(space);
    uint64_t addr = guest_address_space_get_base(space) +
                    (uint64_t)prng_below(&device->prng, pages - count + 1) *
                        GUEST_FRAME_BYTES;

    for (uint32_t i = 0; i < count; i++) {
        request->addr = addr + (uint64_t)i * GUEST_FRAME_BYTES;
        request->last = i == count - 1;
        if (host->hardware->request_page(host, request) != HARDWARE_QUEUED) {
            return false;
        }
        digest += digest_of(request);
    }
    counter_add(&device->counters.pages, count);
    counter_add(&device->counters.digest, digest);
    return true;
}

/* Pages that a group may have. */
static uint32_t group_max(const LoadDevice *device,
                          const GuestAddressSpace *space)
{
    uint32_t most = MIN(WORKLOAD_PAGES_GROUP_MAX,
                        device->load->host->hardware->group_pages_max);

    return MIN(most, guest_address_space_get_pages(space));
}

/*
 * The state is set before the last page is there, as its answer may come at
 * once. Release: pairs with on_answer().
 */
static void raise_group(LoadDevice *device)
{
    Prng *prng = &device->prng;
    uint32_t index = device->free[--device->free_count];
    uint32_t pasid = 1 + prng_below(prng, device->config.pasids);
    GuestAddressSpace *space = device->config.spaces[pasid - 1];
    uint32_t count = 1 + prng_below(prng, group_max(device, space));
    Group *group = &device->groups[index];
    HardwarePageRequest request = {
        .dev_id = device->config.dev_id, .pasid = pasid, .grpid = index,
        .perm = prng_below(prng, 2)
                    ? IOMMU_PGFAULT_PERM_READ | IOMMU_PGFAULT_PERM_WRITE
                    : IOMMU_PGFAULT_PERM_READ,
    };

    device->number++;
    request.tag = (uint64_t)device->index << TAG_DEVICE_SHIFT |
                  (uint64_t)index << TAG_INDEX_SHIFT | device->number;
    group->raised_ns = aio_clock_ns();
    counter_add(&device->counters.tried, 1);
    atomic_store_explicit(&group->state, device->number, memory_order_release);
    if (!raise_pages(device, &request, space, count)) {
        atomic_store_explicit(&group->state, NOT_OPEN, memory_order_relaxed);
        counter_add(&device->counters.refused, 1);
        device->free[device->free_count++] = index;
    }
}

/* The guest's memory management: down to the share that may be in. */
static void take_pages(LoadDevice *device)
{
    for (uint32_t i = 0; i < device->config.pasids; i++) {
        GuestAddressSpace *space = device->config.spaces[i];
        size_t most = guest_address_space_get_pages(space) / IN_SHARE;

        if (guest_address_space_count_in(space) >= most) {
            guest_address_space_take(space, &device->prng, GUEST_TAKE_MAX);
        }
    }
}

static bool is_stopping(const WorkloadPages *load)
{
    /* Acquire: what stops us has been said before; see also wake(). */
    return atomic_load_explicit(&load->stop, memory_order_acquire);
}

static void note_stopped(LoadDevice *device)
{
    lock_acquire(&device->load->lock);
    device->stopped = true;
    pthread_cond_broadcast(&device->load->stopped_cond);
    lock_release(&device->load->lock);
}

static uint64_t count_due(LoadDevice *device)
{
    uint64_t due;

    if (device->config.rate == WORKLOAD_PAGES_RATE_MAX) {
        return RAISE_AT_ONCE;
    }
    due = workload_events_due_count(device->config.rate, 1, 0,
                                    aio_clock_ns() - device->load->start_ns);
    return MIN(due - MIN(due, device->raised), RAISE_AT_ONCE);
}

/* Return: whether it could have gone on. */
static bool raise_due(LoadDevice *device)
{
    uint64_t due = count_due(device);

    for (; due > 0 && device->free_count > 0; due--) {
        raise_group(device);
        device->raised++;
    }
    return device->free_count > 0;
}

/* Until more are due; -1 if there is nothing to do without answers. */
static int64_t sleep_ns(const LoadDevice *device, bool can_raise)
{
    if (!can_raise) {
        return -1;
    }
    if (device->config.rate == WORKLOAD_PAGES_RATE_MAX) {
        return 0;
    }
    return workload_events_sleep_ns(device->config.rate, device->raised,
                                    device->free_count,
                                    aio_clock_ns() - device->load->start_ns);
}

static void sleep_until_woken(LoadDevice *device, int64_t ns)
{
    const struct timespec timeout = { ns / NS_PER_S, ns % NS_PER_S };
    struct pollfd fd = { .fd = device->wake_fd, .events = POLLIN };
    uint64_t count;

    if (ppoll(&fd, 1, ns < 0 ? NULL : &timeout, NULL) < 0) {
        g_assert(errno == EINTR);
    }
    if (fd.revents && read(device->wake_fd, &count, sizeof(count)) < 0) {
        g_assert(errno == EAGAIN);
    }
}

/* Sleep until half of what is open was answered. */
static void wait_for_answers(LoadDevice *device)
{
    uint32_t open = device->config.outstanding - device->free_count;
    uint64_t taken = device->raised - counter_get(&device->counters.refused) -
                     open;
    uint64_t wanted = taken + (open + 1) / 2;

    /* See the top of the file. Nothing is open: only stop and rest wake. */
    atomic_store(&device->wake_at, open ? wanted : AWAKE);
    if (open == 0 || atomic_load(&device->answered) < wanted) {
        sleep_until_woken(device, -1);
    }
    atomic_store(&device->wake_at, AWAKE);
}

static void *device_thread(void *opaque)
{
    LoadDevice *device = opaque;
    g_autofree char *name = g_strdup_printf("load %s", device->config.id);

    rcu_register_thread();
    thread_set_name(name);
    while (!atomic_load_explicit(&device->load->quit, memory_order_acquire)) {
        bool can_raise = false;
        int64_t ns;

        take_answers(device);
        if (is_stopping(device->load)) {
            note_stopped(device);
        } else {
            take_pages(device);
            can_raise = raise_due(device);
        }
        ns = sleep_ns(device, can_raise);
        if (ns > 0) {
            sleep_until_woken(device, ns);
        } else if (ns < 0) {
            wait_for_answers(device);
        }
    }
    take_answers(device);
    rcu_unregister_thread();
    return NULL;
}

/* ---- Life cycle ---- */

WorkloadPages *workload_pages_new(HostIommu *host)
{
    WorkloadPages *load = g_new0(WorkloadPages, 1);

    load->host = host;
    load->devices = g_ptr_array_new();
    lock_init(&load->lock, LOCK_RANK_LEAF);
    pthread_cond_init(&load->stopped_cond, NULL);
    if (host->hardware) {
        host->hardware->set_answer_func(host, on_answer, load);
    }
    return load;
}

size_t workload_pages_add(WorkloadPages *load,
                          const WorkloadPagesDevice *config)
{
    LoadDevice *device = g_new0(LoadDevice, 1);

    g_assert(config->outstanding >= 1 &&
             config->outstanding <= WORKLOAD_PAGES_OUTSTANDING_MAX);
    device->load = load;
    device->config = *config;
    device->config.id = g_strdup(config->id);
    device->config.spaces = g_memdup2(config->spaces, config->pasids *
                                                          sizeof(void *));
    device->index = load->devices->len;
    device->prng.state = config->seed;
    device->roundtrip = histogram_new();
    device->wake_fd = -1;
    atomic_init(&device->wake_at, AWAKE);
    while (device->free_count < config->outstanding) {
        device->free[device->free_count] = device->free_count;
        device->free_count++;
    }
    g_ptr_array_add(load->devices, device);
    return device->index;
}

static bool start_device(LoadDevice *device, GError **error)
{
    int ret;

    device->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (device->wake_fd < 0) {
        error_set_errno(error, errno, "eventfd for the load of '%s'",
                        device->config.id);
        return false;
    }
    if (device->config.rate == 0) {
        return true;
    }
    ret = thread_create(&device->thread, device_thread, device);
    if (ret != 0) {
        error_set_errno(error, ret, "thread for the load of '%s'",
                        device->config.id);
        return false;
    }
    device->running = true;
    return true;
}

bool workload_pages_start(WorkloadPages *load, GError **error)
{
    load->start_ns = aio_clock_ns();
    for (unsigned i = 0; i < load->devices->len; i++) {
        if (!start_device(load->devices->pdata[i], error)) {
            workload_pages_rest(load);
            return false;
        }
    }
    return true;
}

static void wake_all(WorkloadPages *load)
{
    for (unsigned i = 0; i < load->devices->len; i++) {
        LoadDevice *device = load->devices->pdata[i];

        if (device->running) {
            wake(device);
        }
    }
}

void workload_pages_stop(WorkloadPages *load)
{
    atomic_store_explicit(&load->stop, true, memory_order_release);
    wake_all(load);
    lock_acquire(&load->lock);
    for (unsigned i = 0; i < load->devices->len; i++) {
        LoadDevice *device = load->devices->pdata[i];

        while (device->running && !device->stopped) {
            lock_wait(&load->lock, &load->stopped_cond);
        }
    }
    lock_release(&load->lock);
}

void workload_pages_rest(WorkloadPages *load)
{
    workload_pages_stop(load);
    atomic_store_explicit(&load->quit, true, memory_order_release);
    wake_all(load);
    for (unsigned i = 0; i < load->devices->len; i++) {
        LoadDevice *device = load->devices->pdata[i];

        if (device->running) {
            pthread_join(device->thread, NULL);
            device->running = false;
        }
    }
}

static void device_free(LoadDevice *device)
{
    if (device->wake_fd >= 0) {
        close(device->wake_fd);
    }
    histogram_free(device->roundtrip);
    g_free((void *)device->config.spaces);
    g_free((char *)device->config.id);
    g_free(device);
}

void workload_pages_free(WorkloadPages *load)
{
    if (!load) {
        return;
    }
    workload_pages_rest(load);
    for (unsigned i = 0; i < load->devices->len; i++) {
        device_free(load->devices->pdata[i]);
    }
    g_ptr_array_unref(load->devices);
    pthread_cond_destroy(&load->stopped_cond);
    lock_destroy(&load->lock);
    g_free(load);
}

static uint64_t get_relaxed(const _Atomic uint64_t *count)
{
    return atomic_load_explicit(count, memory_order_relaxed);
}

/* While they change, what was raised may be read too low. */
WorkloadPagesCounts workload_pages_get_counts(const WorkloadPages *load,
                                              size_t index)
{
    const LoadDevice *device = load->devices->pdata[index];
    WorkloadPagesCounts counts = {
        .success = get_relaxed(&device->success),
        .invalid = get_relaxed(&device->invalid),
        .stray = get_relaxed(&device->stray),
        .refused = counter_get(&device->counters.refused),
        .pages.digest = counter_get(&device->counters.digest),
        .pages.pages = counter_get(&device->counters.pages),
    };
    uint64_t ended = counts.success + counts.invalid;
    uint64_t tried = counter_get(&device->counters.tried);

    counts.raised = MAX(tried, counts.refused + ended) - counts.refused;
    counts.open = counts.raised - ended;
    return counts;
}

void workload_pages_get_roundtrip(const WorkloadPages *load, size_t index,
                                  HistogramSnapshot *roundtrip)
{
    const LoadDevice *device = load->devices->pdata[index];

    histogram_snapshot(device->roundtrip, roundtrip);
}
