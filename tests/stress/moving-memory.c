/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "moving-memory.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MOVE_STEPS 4

static void *view_new(MovingMemory *m, unsigned stretch)
{
    void *view = mmap(NULL, MOVING_STRETCH_SIZE, PROT_READ | PROT_WRITE,
                      MAP_SHARED, m->fd,
                      (off_t)stretch * MOVING_STRETCH_SIZE);

    g_assert_true(view != MAP_FAILED);
    return view;
}

/* No access from now on; the address is not used for another one soon. */
static void view_bury(MovingMemory *m, void *view)
{
    void **grave = &m->graves[m->buried++ % MOVING_GRAVES];

    g_assert_cmpint(mprotect(view, MOVING_STRETCH_SIZE, PROT_NONE), ==, 0);
    if (*grave) {
        munmap(*grave, MOVING_STRETCH_SIZE);
    }
    *grave = view;
}

static void set_regions(MovingMemory *m, void *const *views)
{
    GuestMemRegion regions[MOVING_STRETCHES];
    size_t count = 0;
    GError *error = NULL;

    for (unsigned i = 0; i < MOVING_STRETCHES; i++) {
        if (views[i]) {
            regions[count++] = (GuestMemRegion){
                .gpa = GUEST_RAM + i * MOVING_STRETCH_SIZE,
                .size = MOVING_STRETCH_SIZE,
                .hva = views[i],
                /* Devices get either the file or what is there. */
                .has_fd = i & 1,
                .fd = m->fd,
                .offset = i * MOVING_STRETCH_SIZE,
            };
        }
    }
    guest_mem_set_regions(m->mem, regions, count, &error);
    g_assert_no_error(error);
}

static void replace(MovingMemory *m, void *const *views)
{
    set_regions(m, views);
    for (unsigned i = 0; i < MOVING_STRETCHES; i++) {
        if (m->views[i] && m->views[i] != views[i]) {
            view_bury(m, m->views[i]);
        }
        m->views[i] = views[i];
    }
    m->moves++;
}

static void move(MovingMemory *m)
{
    void *views[MOVING_STRETCHES];

    for (unsigned i = 0; i < MOVING_STRETCHES; i++) {
        if (m->may_go & 1u << i && g_rand_int_range(m->rand, 0, 4) == 0) {
            views[i] = NULL;
        } else if (m->views[i] && g_rand_boolean(m->rand)) {
            views[i] = m->views[i];
        } else {
            views[i] = view_new(m, i);
        }
    }
    replace(m, views);
}

void moving_memory_step(void *opaque)
{
    MovingMemory *m = opaque;

    move(m);
    gate_await_steps(m->gate, g_rand_int_range(m->rand, 1, MOVE_STEPS));
}

void moving_memory_settle(MovingMemory *m)
{
    void *views[MOVING_STRETCHES];

    for (unsigned i = 0; i < MOVING_STRETCHES; i++) {
        views[i] = m->views[i] ? m->views[i] : view_new(m, i);
    }
    replace(m, views);
}

void moving_memory_init(MovingMemory *m, Gate *gate, GRand *seeds,
                        GuestMem *mem, uint8_t **ram)
{
    void *views[MOVING_STRETCHES];

    *m = (MovingMemory){
        .gate = gate,
        .rand = g_rand_new_with_seed(g_rand_int(seeds)),
        .mem = mem,
    };
    m->fd = memfd_create("guest", MFD_CLOEXEC);
    g_assert_cmpint(m->fd, >=, 0);
    g_assert_cmpint(ftruncate(m->fd, GUEST_RAM_SIZE), ==, 0);
    m->ram = mmap(NULL, GUEST_RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
                  m->fd, 0);
    g_assert_true(m->ram != MAP_FAILED);
    memcpy(m->ram, *ram, GUEST_RAM_SIZE);
    for (unsigned i = 0; i < MOVING_STRETCHES; i++) {
        views[i] = view_new(m, i);
    }
    replace(m, views);
    munmap(*ram, GUEST_RAM_SIZE);
    *ram = m->ram;
}

void moving_memory_destroy(MovingMemory *m)
{
    const GuestMemRegion all = {
        .gpa = GUEST_RAM, .size = GUEST_RAM_SIZE, .hva = m->ram,
    };
    GError *error = NULL;

    guest_mem_set_regions(m->mem, &all, 1, &error);
    g_assert_no_error(error);
    for (unsigned i = 0; i < MOVING_STRETCHES; i++) {
        if (m->views[i]) {
            view_bury(m, m->views[i]);
        }
    }
    for (unsigned i = 0; i < MOVING_GRAVES; i++) {
        if (m->graves[i]) {
            munmap(m->graves[i], MOVING_STRETCH_SIZE);
        }
    }
    close(m->fd);
    g_rand_free(m->rand);
}
