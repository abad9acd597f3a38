/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vpump-bench-calls: what calls.h has run. A child carries events by a peer;
 * the parent traces the peer's thread, and it alone. Its system calls take
 * longer for that: at a rate, more events may come together than would else.
 */
#include "allocations.h"
#include "bench.h"
#include "drain.h"
#include "load.h"

#include "base/rcu.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECONDS 0.3

/* What the child waits for. */
typedef enum Tracer {
    TRACER_COMES,
    TRACER_THERE,
    TRACER_REFUSED,
} Tracer;

/**
 * struct Shared - by both processes
 * @tid: of the peer's thread, once it has warmed up
 * @tracer: a Tracer
 * @counting: from the first event that counts until the last was read
 */
typedef struct Shared {
    atomic_int tid;
    atomic_int tracer;
    atomic_bool counting;
    uint64_t events;            /* the child's, until it has ended */
    uint64_t allocations;
    uint64_t syscalls;          /* the parent's */
} Shared;

typedef struct Request {
    SourceKind kind;
    const PeerOps *ops;
    uint64_t rate;
} Request;

/* ---- The child ---- */

/* A thread's clock has its ID, inverted, above three bits (Linux's ABI). */
static int clock_tid(clockid_t clock)
{
    return ~(clock >> 3);
}

static void wait_for_tracer(Shared *shared, Peer *peer)
{
    atomic_store(&shared->tid, clock_tid(peer->cpu_clock));
    while (atomic_load(&shared->tracer) == TRACER_COMES) {
        usleep(1000);
    }
}

static void count_start(Shared *shared)
{
    allocations_start();
    atomic_store(&shared->counting, true);
}

static void count_stop(Shared *shared)
{
    atomic_store(&shared->counting, false);
    shared->allocations = allocations_stop();
}

static void count_drain(Shared *shared, Peer *peer)
{
    uint64_t before;
    Drain drain;

    drain_init(&drain, peer, false);
    drain_once(&drain);         /* warm-up */
    drain_once(&drain);
    wait_for_tracer(shared, peer);
    before = drain.tag;
    count_start(shared);
    drain_once(&drain);
    count_stop(shared);
    shared->events = drain.tag - before;
}

static void count_at(Shared *shared, Peer *peer, uint64_t rate)
{
    g_autofree LoadResult *result = g_new(LoadResult, 1);

    load_run(peer, rate, SECONDS / 3, result);  /* warm-up */
    wait_for_tracer(shared, peer);
    count_start(shared);
    load_run(peer, rate, SECONDS, result);
    count_stop(shared);
    g_assert_cmpuint(result->lost, ==, 0);
    shared->events = SECONDS * rate;
}

static void carry(Shared *shared, const Request *request)
{
    GError *error = NULL;
    EventSource *source;
    Peer *peer;

    if (!bench_find_cpus(&error)) {
        bench_fail("%s", error->message);
    }
    bench_pin(BENCH_CPU_WORLD);
    prctl(PR_SET_TIMERSLACK, 1UL);
    rcu_register_thread();
    source = event_source_new(request->kind, &error);
    if (!source) {
        bench_fail("%s", error->message);
    }
    peer = request->ops->open(request->ops,
                              &(PeerConfig){ .source = source,
                                             .log2_ring = DRAIN_LOG2_RING });
    if (request->rate == 0) {
        count_drain(shared, peer);
    } else {
        count_at(shared, peer, request->rate);
    }
    request->ops->close(peer);
    event_source_free(source);
    rcu_unregister_thread();
}

/* ---- The parent ---- */

static bool has_ended(pid_t child)
{
    siginfo_t info = { 0 };

    return waitid(P_PID, child, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == child;
}

/* Return: the thread to trace, or 0: there is none. */
static int wait_for_thread(Shared *shared, pid_t child)
{
    int tid;

    while (!(tid = atomic_load(&shared->tid)) && !has_ended(child)) {
        usleep(1000);
    }
    return tid;
}

static bool trace(int tid)
{
    return ptrace(PTRACE_SEIZE, tid, NULL,
                  PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) == 0 &&
           ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) == 0;
}

/* Whether it stands before a system call, not behind one. */
static bool enters_call(int tid)
{
    struct __ptrace_syscall_info info;

    return ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof(info), &info) > 0 &&
           info.op == PTRACE_SYSCALL_INFO_ENTRY;
}

/* Until the thread is gone. */
static void count_syscalls(Shared *shared, int tid)
{
    int status;

    while (waitpid(tid, &status, __WALL) == tid && WIFSTOPPED(status)) {
        int signal = WSTOPSIG(status);

        if (signal == (SIGTRAP | 0x80)) {
            signal = 0;
            if (enters_call(tid) && atomic_load(&shared->counting)) {
                shared->syscalls++;
            }
        } else if (status >> 16 == PTRACE_EVENT_STOP) {
            signal = 0;
        }
        ptrace(PTRACE_SYSCALL, tid, NULL, (void *)(intptr_t)signal);
        /* It is on its way, and will stop at each system call. */
        atomic_store(&shared->tracer, TRACER_THERE);
    }
}

static Request parse(int argc, char **argv)
{
    Request request = { 0 };

    if (argc != 4) {
        bench_fail("usage: %s emulated|pipe|kernel PEER RATE", g_get_prgname());
    }
    while (strcmp(source_kind_name(request.kind), argv[1])) {
        if (request.kind++ == SOURCE_KERNEL) {
            bench_fail("%s: there is no such source", argv[1]);
        }
    }
    request.ops = peer_find(argv[2]);
    if (!request.ops) {
        bench_fail("%s: there is no such peer", argv[2]);
    }
    request.rate = strtoull(argv[3], NULL, 10);
    return request;
}

int main(int argc, char **argv)
{
    Shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    Request request;
    pid_t child;
    int tid, status;

    g_set_prgname("vpump-bench-calls");
    g_assert(shared != MAP_FAILED);
    request = parse(argc, argv);
    child = fork();             /* there are no other threads yet */
    g_assert(child >= 0);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        carry(shared, &request);
        return EXIT_SUCCESS;
    }
    tid = wait_for_thread(shared, child);
    if (tid && trace(tid)) {
        count_syscalls(shared, tid);
    } else if (tid) {
        fprintf(stderr, "%s: system calls are not counted: ptrace: %s\n",
                g_get_prgname(), g_strerror(errno));
        atomic_store(&shared->tracer, TRACER_REFUSED);
    }
    if (waitpid(child, &status, 0) != child || status != 0) {
        bench_fail("%s: it did not end well", request.ops->name);
    }
    printf("events %" PRIu64 " allocations %" PRIu64 " syscalls %" PRId64 "\n",
           shared->events, shared->allocations,
           atomic_load(&shared->tracer) == TRACER_THERE
               ? (int64_t)shared->syscalls : -1);
    return EXIT_SUCCESS;
}
