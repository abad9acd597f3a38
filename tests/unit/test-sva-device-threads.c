/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Emulated devices on threads of their own, each with a lock that it holds
 * while it asks and takes in its response; a vCPU that answers, under a big
 * lock; a vIOMMU on an IOThread. Every group comes back once, on its device's
 * own thread, with the answer that was the guest's, or INVALID if the device
 * went away.
 */
#include "fake-viommu.h"

#include "base/rcu.h"

#include <semaphore.h>

#define DEVICES 4
#define CREDITS 24
#define CAPACITY 31
#define GROUPS_MAX 16           /* open at a time, of a device */

/* The guest's answer to a group: its index tells whose it is. */
#define CODE(index) (100 + (index))

typedef struct Worker {
    FakeMachine *m;
    uint32_t rid;
    pthread_t thread;
    Lock lock;                  /* the device's own */
    AioContext *ctx;
    SvaDevice *device;          /* of the moment */
    SvaGroup *groups[GROUPS_MAX];
    bool out[GROUPS_MAX] GUARDED_BY(&lock); /* asked for, and not back */
    uint64_t asked GUARDED_BY(&lock);
    uint64_t back GUARDED_BY(&lock);    /* answered by the guest */
    uint64_t invalid GUARDED_BY(&lock); /* by the removal */
    uint64_t refused;           /* for lack of credits */
    unsigned rounds;            /* groups to ask for */
    unsigned lives;             /* times to be plugged in */
    bool removing;
} Worker;

typedef struct Vcpu {
    FakeMachine *m;
    pthread_t thread;
    Lock big_lock;
    atomic_bool quit;
    uint64_t answers;
} Vcpu;

/* In the device's own context, never under the lock that it takes. */
static void responded(void *opaque, SvaGroup *group)
{
    Worker *w = opaque;
    unsigned i = group->index;

    g_assert_true(aio_in_home_thread(w->ctx));
    g_assert_true(pthread_equal(pthread_self(), w->thread));
    lock_acquire(&w->lock);
    g_assert_true(w->groups[i] == group);
    g_assert_true(w->out[i]);
    w->out[i] = false;
    if (group->code == CODE(i)) {
        w->back++;
    } else {
        g_assert_true(w->removing);
        g_assert_cmpuint(group->code, ==, PAGE_RESPONSE_INVALID);
        w->invalid++;
    }
    lock_release(&w->lock);
}

static void plug(Worker *w)
{
    g_autoptr(GError) error = NULL;

    w->removing = false;
    w->device = viommu_add_sva_device(
        w->m->viommu,
        &(SvaDeviceConfig){ .name = "worker", .virt_id = w->rid,
                            .ctx = w->ctx, .credits = CREDITS,
                            .responded = responded, .opaque = w },
        &error);
    g_assert_no_error(error);
}

/* Ask for the next group, if it is back and there are credits. */
static bool ask(Worker *w)
{
    bool taken = false;
    unsigned i;

    lock_acquire(&w->lock);
    i = w->asked % GROUPS_MAX;
    if (!w->out[i]) {
        /* It may be back before this returns, but for the lock. */
        w->out[i] = true;
        w->groups[i]->code = UINT32_MAX;
        taken = viommu_page_request(w->device, w->groups[i]);
        w->out[i] = taken;
        w->asked += taken;
        w->refused += !taken;
    }
    lock_release(&w->lock);
    return taken;
}

static uint64_t open_groups(Worker *w)
{
    uint64_t count;

    lock_acquire(&w->lock);
    count = w->asked - w->back - w->invalid;
    lock_release(&w->lock);
    return count;
}

/* One life: some groups; then away, with all of them back or with some open. */
static void live(Worker *w, unsigned rounds, bool in_peace)
{
    plug(w);
    for (unsigned i = 0; i < rounds;) {
        if (ask(w)) {
            i++;
        } else {
            aio_poll(w->ctx, true);
        }
        aio_poll(w->ctx, false);
    }
    while (in_peace && open_groups(w) > 0) {
        aio_poll(w->ctx, true);
    }
    w->removing = true;
    viommu_remove_sva_device(w->device);
    g_assert_cmpuint(open_groups(w), ==, 0);
}

static void *worker_thread(void *opaque)
{
    Worker *w = opaque;

    rcu_register_thread();
    aio_context_bind(w->ctx);
    for (unsigned life = 0; life < w->lives; life++) {
        live(w, w->rounds / w->lives, life == w->lives - 1);
    }
    rcu_unregister_thread();
    return NULL;
}

static void *vcpu_thread(void *opaque)
{
    Vcpu *vcpu = opaque;
    FakeMachine *m = vcpu->m;
    FakeEntry entry;

    rcu_register_thread();
    while (!atomic_load(&vcpu->quit)) {
        lock_acquire(&vcpu->big_lock);
        while (fake_take(m, &entry)) {
            if (entry.last) {
                fake_respond(m, entry.key.virt_id, entry.key.pasid,
                             entry.key.index, CODE(entry.key.index));
                vcpu->answers++;
            }
        }
        lock_release(&vcpu->big_lock);
        sched_yield();
    }
    rcu_unregister_thread();
    return NULL;
}

static void worker_start(Worker *w, FakeMachine *m, unsigned number,
                         unsigned rounds, unsigned lives)
{
    g_autoptr(GError) error = NULL;

    *w = (Worker){
        .m = m, .rid = 1 + number, .rounds = rounds, .lives = lives,
    };
    lock_init(&w->lock, LOCK_RANK_DEVICE);
    w->ctx = aio_context_new(&error);
    g_assert_no_error(error);
    for (unsigned i = 0; i < GROUPS_MAX; i++) {
        w->groups[i] = fake_group_new(number, i, 1 + i % 3);
    }
    g_assert_cmpint(pthread_create(&w->thread, NULL, worker_thread, w), ==, 0);
}

static void worker_join(Worker *w)
{
    pthread_join(w->thread, NULL);
    aio_context_bind(w->ctx);
    while (aio_poll(w->ctx, false)) {
        continue;
    }
    aio_context_unref(w->ctx);
    for (unsigned i = 0; i < GROUPS_MAX; i++) {
        fake_group_free(w->groups[i]);
    }
    lock_destroy(&w->lock);
}

/* Return: what the vIOMMU has counted, which the workers' numbers are. */
static ViommuPageStats run(unsigned rounds, unsigned lives)
{
    FakeMachine *m = fake_machine_new(CAPACITY, true);
    Vcpu vcpu = { .m = m };
    Worker workers[DEVICES];
    ViommuPageStats stats;
    uint64_t asked = 0;
    uint64_t back = 0;
    uint64_t invalid = 0;

    lock_init(&vcpu.big_lock, LOCK_RANK_BIG);
    g_assert_cmpint(pthread_create(&vcpu.thread, NULL, vcpu_thread, &vcpu),
                    ==, 0);
    for (unsigned i = 0; i < DEVICES; i++) {
        worker_start(&workers[i], m, i, rounds, lives);
    }
    for (unsigned i = 0; i < DEVICES; i++) {
        worker_join(&workers[i]);
        lock_assume_alone(&workers[i].lock);
        asked += workers[i].asked;
        back += workers[i].back;
        invalid += workers[i].invalid;
        g_assert_cmpuint(workers[i].asked, ==, rounds / lives * lives);
    }
    atomic_store(&vcpu.quit, true);
    pthread_join(vcpu.thread, NULL);
    viommu_drain_page_requests(m->viommu);
    stats = fake_assert_balanced(m);
    g_assert_cmpuint(stats.raised, ==, asked);
    g_assert_cmpuint(stats.answered, ==, back);
    g_assert_cmpuint(stats.invalid, ==, invalid);
    g_assert_cmpuint(stats.answered + stats.stray, ==, vcpu.answers);
    g_assert_cmpuint(stats.open + stats.retried, ==, 0);
    lock_destroy(&vcpu.big_lock);
    fake_machine_free(m);
    return stats;
}

static unsigned rounds_of(unsigned quick)
{
    return g_test_quick() ? quick : 100 * quick;
}

static void test_each_group_comes_back_once(void)
{
    unsigned rounds = rounds_of(3000);
    ViommuPageStats stats = run(rounds, 1);

    g_assert_cmpuint(stats.answered, ==, DEVICES * rounds);
    g_assert_cmpuint(stats.stray, ==, 0);
}

static void test_removal_while_asking(void)
{
    ViommuPageStats stats = run(rounds_of(3000), 50);

    g_test_message("%" G_GUINT64_FORMAT " answered, %" G_GUINT64_FORMAT
                   " ended by removals, %" G_GUINT64_FORMAT " strays",
                   stats.answered, stats.invalid, stats.stray);
    g_assert_cmpuint(stats.invalid, >, 0);
}

/* ---- A callback that asks during the removal ---- */

/* It has its credit, and not yet enqueued; the linker puts us in between. */
typedef struct LateGroup {
    AioContext *ctx;            /* the device's; NULL: nobody is late */
    SvaGroup *group;
    sem_t has_credit;
    sem_t remover_waits;
    unsigned back;
} LateGroup;

static LateGroup late;

void __real_viommu_pages_enqueue(Viommu *viommu, SvaGroup *group);
void __wrap_viommu_pages_enqueue(Viommu *viommu, SvaGroup *group);
void __real_aio_wait_bh_oneshot(AioContext *ctx, AioBHFunc *func,
                                void *opaque);
void __wrap_aio_wait_bh_oneshot(AioContext *ctx, AioBHFunc *func,
                                void *opaque);

static void wait_for(sem_t *sem)
{
    while (sem_wait(sem) < 0) {
        continue;
    }
}

void __wrap_viommu_pages_enqueue(Viommu *viommu, SvaGroup *group)
{
    if (late.ctx && group == late.group) {
        sem_post(&late.has_credit);
        wait_for(&late.remover_waits);
    }
    __real_viommu_pages_enqueue(viommu, group);
}

void __wrap_aio_wait_bh_oneshot(AioContext *ctx, AioBHFunc *func,
                                void *opaque)
{
    if (late.ctx && ctx == late.ctx) {
        sem_post(&late.remover_waits);
    }
    __real_aio_wait_bh_oneshot(ctx, func, opaque);
}

static void ask_late(FakeSva *sva, SvaGroup *group)
{
    late.back++;
    g_ptr_array_add(sva->returned, group);
    if (group != late.group) {
        g_assert_true(viommu_page_request(sva->device, late.group));
    }
}

/* Before it looks for the device's groups, the removal waits for callbacks. */
static void test_removal_waits_for_who_is_asking(void)
{
    FakeMachine *m = fake_machine_new(FAKE_QUEUE_MAX, true);
    g_autoptr(GError) error = NULL;
    IOThread *thread = iothread_new("device", NULL, &error);
    FakeSva *sva;

    g_assert_no_error(error);
    late.ctx = iothread_get_aio_context(thread);
    late.group = fake_group_new(1, 2, 1);
    late.back = 0;
    sem_init(&late.has_credit, 0, 0);
    sem_init(&late.remover_waits, 0, 0);
    sva = fake_add_sva_in(m, late.ctx, 1, 2);
    sva->responded = ask_late;
    fake_ask(sva, 1, 1, 1);
    viommu_drain_page_requests(m->viommu);
    g_assert_cmpuint(fake_serve_all(m, 0), ==, 1);
    wait_for(&late.has_credit);
    viommu_remove_sva_device(g_steal_pointer(&sva->device));
    g_assert_cmpuint(late.back, ==, 2);
    g_assert_cmpuint(late.group->code, ==, PAGE_RESPONSE_INVALID);
    late.ctx = NULL;
    sem_destroy(&late.has_credit);
    sem_destroy(&late.remover_waits);
    fake_remove_sva(sva);
    iothread_stop(thread);
    fake_machine_free(m);
}

/* ---- An iothread that is far behind ---- */

typedef struct Blocker {
    sem_t blocked;
    sem_t go;
} Blocker;

static void block_bh(void *opaque)
{
    Blocker *blocker = opaque;

    sem_post(&blocker->blocked);
    wait_for(&blocker->go);
}

static void *respond_thread(void *opaque)
{
    FakeMachine *m = opaque;

    rcu_register_thread();
    for (uint32_t i = 0; i < 3 * PAGE_RESPONSES_MAX; i++) {
        fake_respond(m, 1, 1 + i / 512, i % 512, 0);
    }
    rcu_unregister_thread();
    return NULL;
}

static size_t responses_waiting(FakeMachine *m)
{
    size_t count;

    lock_acquire(&m->viommu->ring_lock);
    count = m->viommu->pages.responses.count;
    lock_release(&m->viommu->ring_lock);
    return count;
}

static void count_responses(FakeSva *sva, SvaGroup *group)
{
    atomic_uint *count = sva->opaque;

    atomic_fetch_add(count, 1);
}

/* A vCPU waits for a place for its response; none is lost. */
static void test_responses_wait_for_a_place(void)
{
    FakeMachine *m = fake_machine_new(FAKE_QUEUE_MAX, true);
    FakeSva *sva = fake_add_sva(m, 1, SVA_CREDITS_MAX);
    SvaGroup *groups[3 * PAGE_RESPONSES_MAX];
    atomic_uint count = 0;
    Blocker blocker;
    pthread_t thread;

    sva->responded = count_responses;
    sva->opaque = &count;
    for (uint32_t i = 0; i < G_N_ELEMENTS(groups); i++) {
        groups[i] = fake_ask(sva, 1 + i / 512, i % 512, 1);
    }
    viommu_drain_page_requests(m->viommu);
    sem_init(&blocker.blocked, 0, 0);
    sem_init(&blocker.go, 0, 0);
    aio_bh_schedule_oneshot(m->ctx, block_bh, &blocker);
    wait_for(&blocker.blocked);
    g_assert_cmpint(pthread_create(&thread, NULL, respond_thread, m), ==, 0);
    while (responses_waiting(m) < PAGE_RESPONSES_MAX) {
        sched_yield();
    }
    g_assert_cmpuint(atomic_load(&count), ==, 0);
    sem_post(&blocker.go);
    pthread_join(thread, NULL);
    viommu_drain_page_requests(m->viommu);
    g_assert_cmpuint(fake_assert_balanced(m).answered, ==,
                     G_N_ELEMENTS(groups));
    g_assert_cmpuint(fake_assert_balanced(m).stray, ==, 0);
    fake_remove_sva(sva);
    g_assert_cmpuint(atomic_load(&count), ==, G_N_ELEMENTS(groups));
    for (uint32_t i = 0; i < G_N_ELEMENTS(groups); i++) {
        fake_group_free(groups[i]);
    }
    sem_destroy(&blocker.go);
    sem_destroy(&blocker.blocked);
    fake_machine_free(m);
}

/* ---- A context of its own ---- */

typedef struct Asker {
    SvaDevice *device;
    AioContext *ctx;
    atomic_uint back;           /* that were not asked for again */
    atomic_uint answered;
} Asker;

/* Whatever comes back is asked for again, up to the removal. */
static void ask_again(void *opaque, SvaGroup *group)
{
    Asker *asker = opaque;

    g_assert_true(aio_in_home_thread(asker->ctx));
    atomic_fetch_add(&asker->answered, group->code == CODE(group->index));
    if (!viommu_page_request(asker->device, group)) {
        atomic_fetch_add(&asker->back, 1);
    }
}

static void ask_and_remove(FakeMachine *m, Asker *asker, SvaGroup **groups)
{
    g_autoptr(GError) error = NULL;
    SvaDeviceConfig config = { .name = "asker", .virt_id = 1,
                               .ctx = asker->ctx, .credits = CREDITS,
                               .responded = ask_again, .opaque = asker };

    atomic_init(&asker->back, 0);
    atomic_init(&asker->answered, 0);
    asker->device = viommu_add_sva_device(m->viommu, &config, &error);
    g_assert_no_error(error);
    for (unsigned i = 0; i < CREDITS; i++) {
        g_assert_true(viommu_page_request(asker->device, groups[i]));
    }
    while (atomic_load(&asker->answered) < 2 * CREDITS) {
        sched_yield();
    }
    viommu_remove_sva_device(asker->device);
    g_assert_cmpuint(atomic_load(&asker->back), ==, CREDITS);
}

/* The main thread removes what asks on another, all the time. */
static void test_removal_while_callbacks_ask(void)
{
    FakeMachine *m = fake_machine_new(CAPACITY, true);
    g_autoptr(GError) error = NULL;
    IOThread *iothread = iothread_new("asker", NULL, &error);
    Asker asker = { .ctx = iothread_get_aio_context(iothread) };
    Vcpu vcpu = { .m = m };
    SvaGroup *groups[CREDITS];

    g_assert_no_error(error);
    lock_init(&vcpu.big_lock, LOCK_RANK_BIG);
    for (unsigned i = 0; i < CREDITS; i++) {
        groups[i] = fake_group_new(1, i, 1);
    }
    g_assert_cmpint(pthread_create(&vcpu.thread, NULL, vcpu_thread, &vcpu),
                    ==, 0);
    for (unsigned i = 0; i < rounds_of(50); i++) {
        ask_and_remove(m, &asker, groups);
    }
    atomic_store(&vcpu.quit, true);
    pthread_join(vcpu.thread, NULL);
    iothread_stop(iothread);
    for (unsigned i = 0; i < CREDITS; i++) {
        fake_group_free(groups[i]);
    }
    lock_destroy(&vcpu.big_lock);
    viommu_drain_page_requests(m->viommu);
    fake_machine_free(m);
}

/* ---- A vCPU that answers late ---- */

/*
 * It answers what a PASID had open until it was moved, while a stranger's
 * groups have got the cookies. None of those may hear it.
 */
typedef struct LateVcpu {
    FakeMachine *m;
    atomic_uint round;          /* the move of so many rounds is done */
    atomic_bool quit;
} LateVcpu;

enum { GOING = 0x10, STRANGER = 0x20 };

static void *late_thread(void *opaque)
{
    LateVcpu *vcpu = opaque;
    unsigned round = 0;

    rcu_register_thread();
    while (!atomic_load(&vcpu->quit)) {
        if (atomic_load(&vcpu->round) == round) {
            sched_yield();
            continue;
        }
        round = atomic_load(&vcpu->round);
        for (uint32_t i = 0; i < 12; i++) {
            fake_respond(vcpu->m, GOING, 1, i % 4, PAGE_RESPONSE_INVALID);
        }
    }
    rcu_unregister_thread();
    return NULL;
}

static void answer_stranger(FakeMachine *m, unsigned groups)
{
    PageRequestKey key;

    while (groups > 0) {
        if (fake_take_group(m, &key) > 0 && key.virt_id == STRANGER) {
            fake_respond(m, STRANGER, 1, key.index, PAGE_RESPONSE_SUCCESS);
            groups--;
        }
    }
}

/* The move finds groups open, or unread, or just read by busy polling. */
static void late_round(FakeMachine *m, FakeDevice *going, FakeDevice *stranger,
                       LateVcpu *vcpu, unsigned round)
{
    for (uint32_t i = 0; i < 4; i++) {
        fake_raise(m, going, 1, i, 1);
    }
    if (round % 2) {
        viommu_drain_page_requests(m->viommu);
    }
    fake_attach_ok(m, going, 1);
    for (uint32_t i = 0; i < 4; i++) {
        fake_raise(m, stranger, 1, 8 + i, 1);
    }
    viommu_drain_page_requests(m->viommu);
    atomic_fetch_add(&vcpu->round, 1);
    if (round % 3) {
        sched_yield();
    }
    answer_stranger(m, 4);
}

static void test_late_answers_hit_no_stranger(void)
{
    unsigned rounds = rounds_of(300);
    FakeMachine *m = fake_machine_new(FAKE_QUEUE_MAX, true);
    FakeDevice *going = fake_plug(m, GOING);
    FakeDevice *stranger = fake_plug(m, STRANGER);
    LateVcpu vcpu = { .m = m };
    pthread_t thread;

    fake_attach_ok(m, going, 1);
    fake_attach_ok(m, stranger, 1);
    g_assert_cmpint(pthread_create(&thread, NULL, late_thread, &vcpu), ==, 0);
    for (unsigned round = 0; round < rounds; round++) {
        late_round(m, going, stranger, &vcpu, round);
    }
    atomic_store(&vcpu.quit, true);
    pthread_join(thread, NULL);
    fake_unplug(m, stranger);
    fake_unplug(m, going);
    g_assert_cmpuint(fake_host_answers(m), ==, 8 * rounds);
    for (unsigned i = 0; i < 8 * rounds; i++) {
        EmulPageAnswer answer = fake_host_answer(m, i);

        g_assert_cmpuint(answer.code, ==,
                         answer.tag >= 8 ? PAGE_RESPONSE_SUCCESS
                                         : PAGE_RESPONSE_INVALID);
    }
    fake_machine_free(m);
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    rcu_register_thread();
    g_test_add_func("/sva-device/threads/each-group-comes-back-once",
                    test_each_group_comes_back_once);
    g_test_add_func("/sva-device/threads/removal-while-asking",
                    test_removal_while_asking);
    g_test_add_func("/sva-device/threads/removal-waits-for-who-is-asking",
                    test_removal_waits_for_who_is_asking);
    g_test_add_func("/sva-device/threads/responses-wait-for-a-place",
                    test_responses_wait_for_a_place);
    g_test_add_func("/sva-device/threads/removal-while-callbacks-ask",
                    test_removal_while_callbacks_ask);
    g_test_add_func("/viommu-fault-queue/threads/late-answers-hit-no-stranger",
                    test_late_answers_hit_no_stranger);
    ret = g_test_run();
    rcu_unregister_thread();
    return ret;
}
