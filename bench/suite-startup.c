/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How long the program takes from exec() to the end of the shortest run that it
 * has, default machine and all, beside what it takes to say its version; and
 * how long the first, the hundredth and the thousandth device of a vIOMMU take
 * to be plugged in while its guest runs, and out again.
 *
 * The first device brings the host objects along that all of them share, and
 * the last takes them away. Devices were opened and bound before.
 */
#include "bench.h"
#include "smmu-unit.h"

#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs of the program, per repetition. */
#define RUNS 15
#define RUNS_QUICK 5

#define DEVICES 1000
#define LOG2_RING 11

/* A device's time is the median of so many around it; the first's is its own. */
#define AROUND 20

/* For the curves. */
#define POINTS 100
#define STEP (DEVICES / POINTS)

/* What did not come in a minute does not come. */
#define TIME_OUT_NS INT64_C(60000000000)

/* ---- The program ---- */

typedef struct Process {
    const char *competitor;
    const char *arguments[5];
} Process;

static const Process processes[] = {
    { FIGURES_LIMIT, { "-version" } },
    { FIGURES_OURS, { "-quiet", "-duration", "0.000000001" } },
};

/* On any CPU, as a program is: this thread must not be pinned now. */
static int64_t run_once(const char *path, const Process *process)
{
    char *argv[G_N_ELEMENTS(process->arguments) + 1] = { (char *)path };
    posix_spawn_file_actions_t actions;
    int64_t start;
    int status;
    pid_t pid;
    int ret;

    for (size_t i = 0; process->arguments[i]; i++) {
        argv[i + 1] = (char *)process->arguments[i];
    }
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null",
                                     O_WRONLY, 0);
    start = bench_now_ns();
    ret = posix_spawn(&pid, path, &actions, NULL, argv, environ);
    g_assert(ret == 0);
    ret = waitpid(pid, &status, 0);
    start = bench_now_ns() - start;
    g_assert(ret == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    posix_spawn_file_actions_destroy(&actions);
    return start;
}

static void unpin(void)
{
    cpu_set_t all;
    int ret;

    memset(&all, 0xff, sizeof(all));
    ret = sched_setaffinity(0, sizeof(all), &all);
    g_assert(ret == 0);
}

static void measure_process(Bench *bench, size_t competitor, void *opaque)
{
    static const FigureKind median = { "startup/process", "ns", FIGURE_LOWER };
    static const FigureKind least = { "startup/process-minimum", "ns",
                                      FIGURE_LOWER };
    const Process *process = &processes[competitor];
    unsigned runs = bench->quick ? RUNS_QUICK : RUNS;
    double ns[RUNS];

    if (!bench_wants(bench, process->competitor)) {
        return;
    }
    unpin();
    run_once(opaque, process);          /* now it is in memory */
    for (unsigned i = 0; i < runs; i++) {
        ns[i] = run_once(opaque, process);
    }
    bench_pin(BENCH_CPU_WORLD);
    figures_add(bench->figures, &median, process->competitor,
                figures_median(ns, runs));
    figures_add(bench->figures, &least, process->competitor, ns[0]);
}

/* Built beside this program. */
static void measure_processes(Bench *bench)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *folder = g_path_get_dirname(self);
    g_autofree char *path = g_build_filename(folder, "..", "vpump", "vpump",
                                             NULL);

    if (access(path, X_OK)) {
        fprintf(stderr, "startup: %s is not built: left out\n", path);
        return;
    }
    bench_alternate(bench, G_N_ELEMENTS(processes), measure_process, path);
}

/* ---- Devices ---- */

/* Changes of how many devices there are: from n - 1 to n, or back. */
typedef enum Change {
    CHANGE_ATTACH,
    CHANGE_DETACH,
    CHANGES,
} Change;

static const char *const change_names[] = {
    [CHANGE_ATTACH] = "device",
    [CHANGE_DETACH] = "detach",
};

/**
 * struct Devices - of one vIOMMU
 * @ns: by change and n - 1, of this repetition
 * @all: the same of all of them
 */
typedef struct Devices {
    EventSource *source;
    IOThread *iothread;
    SmmuMemory mem;
    SmmuUnit unit;
    VfioDevice *vfio[DEVICES];
    double ns[CHANGES][DEVICES];
    GArray *all[CHANGES][DEVICES];
} Devices;

static void attach_all(Devices *devices)
{
    Viommu *viommu = devices->unit.viommu;
    GError *error = NULL;

    for (uint32_t i = 0; i < DEVICES; i++) {
        int64_t start = bench_now_ns();
        bool added = viommu_add_device(viommu, devices->vfio[i], i, &error);

        devices->ns[CHANGE_ATTACH][i] = bench_now_ns() - start;
        bench_must(added, &error);
    }
}

/* The last first. */
static void detach_all(Devices *devices)
{
    for (uint32_t i = DEVICES; i-- > 0;) {
        int64_t start = bench_now_ns();
        bool removed = viommu_remove_device(devices->unit.viommu, i);

        devices->ns[CHANGE_DETACH][i] = bench_now_ns() - start;
        g_assert(removed);
    }
}

/* An event of each device is known by its StreamID. */
static void check_all(Devices *devices)
{
    SmmuUnit *unit = &devices->unit;
    int64_t end = bench_now_ns() + TIME_OUT_NS;

    for (uint32_t i = 0; i < DEVICES; i++) {
        SourceDevice device = {
            .dev_id = vfio_device_get_dev_id(devices->vfio[i]),
            .virt_id = i,
        };
        bool queued = event_source_report(devices->source, &device, i);

        g_assert(queued);
    }
    while (smmu_unit_prod(unit) != DEVICES) {
        g_assert_cmpint(bench_now_ns(), <, end);
    }
    for (uint32_t i = 0; i < DEVICES; i++) {
        g_assert_cmpuint(unit->entries[4 * i] >> 32, ==, i);
        g_assert_cmpuint(unit->entries[4 * i + 2], ==, i);
    }
}

static void devices_open(Devices *devices)
{
    HostIommu *host = event_source_host(devices->source);

    devices->iothread = smmu_iothread_new();
    smmu_memory_init(&devices->mem, 1, LOG2_RING);
    devices->unit = (SmmuUnit){ 0 };
    smmu_unit_open(&devices->unit,
                   iothread_get_aio_context(devices->iothread),
                   &devices->mem, 0);
    for (uint32_t i = 0; i < DEVICES; i++) {
        devices->vfio[i] = smmu_device_open(host);
    }
}

static void devices_close(Devices *devices)
{
    for (uint32_t i = 0; i < DEVICES; i++) {
        vfio_device_free(devices->vfio[i]);
    }
    smmu_unit_close(&devices->unit);
    iothread_stop(devices->iothread);
    smmu_memory_destroy(&devices->mem);
}

/* Of the times for @n devices, and of those around it. */
static double time_around(Devices *devices, Change change, unsigned n)
{
    unsigned first = n == 1 ? 1 : MIN(MAX(n, AROUND / 2 + 2) - AROUND / 2,
                                      DEVICES - AROUND + 1);
    unsigned count = n == 1 ? 1 : AROUND;
    double ns[AROUND];

    memcpy(ns, &devices->ns[change][first - 1], count * sizeof(*ns));
    return figures_median(ns, count);
}

static void measure_devices(Bench *bench, size_t competitor, void *opaque)
{
    static const unsigned named[] = { 1, 100, 1000 };
    Devices *devices = opaque;

    devices_open(devices);
    attach_all(devices);
    check_all(devices);
    detach_all(devices);
    devices_close(devices);
    for (Change change = 0; change < CHANGES; change++) {
        for (size_t i = 0; i < G_N_ELEMENTS(named); i++) {
            g_autofree char *name =
                g_strdup_printf("startup/%s-%u", change_names[change],
                                named[i]);

            figures_add(bench->figures,
                        &(FigureKind){ .name = name, .unit = "ns",
                                       .better = FIGURE_LOWER },
                        FIGURES_OURS,
                        time_around(devices, change, named[i]));
        }
        for (unsigned i = 0; i < DEVICES; i++) {
            g_array_append_val(devices->all[change][i],
                               devices->ns[change][i]);
        }
    }
}

/* The median of the repetitions, and of those around it. */
static void add_curve(Bench *bench, Devices *devices, Change change)
{
    g_autofree char *name = g_strdup_printf("startup/%s",
                                            change_names[change]);
    double x[POINTS];
    double y[POINTS];

    for (unsigned i = 0; i < DEVICES; i++) {
        GArray *values = devices->all[change][i];

        devices->ns[change][i] = figures_median((double *)values->data,
                                                values->len);
    }
    for (unsigned i = 0; i < POINTS; i++) {
        x[i] = (i + 1) * STEP;
        y[i] = time_around(devices, change, (i + 1) * STEP);
    }
    figures_add_curve(bench->figures, name, FIGURES_OURS, x, y, POINTS);
}

static void measure_plugs(Bench *bench)
{
    g_autofree Devices *devices = g_new0(Devices, 1);
    GError *error = NULL;

    devices->source = event_source_new(SOURCE_EMULATED, &error);
    bench_must(devices->source, &error);
    for (size_t i = 0; i < CHANGES * DEVICES; i++) {
        devices->all[i / DEVICES][i % DEVICES] =
            g_array_new(FALSE, FALSE, sizeof(double));
    }
    bench_alternate(bench, 1, measure_devices, devices);
    for (Change change = 0; change < CHANGES; change++) {
        add_curve(bench, devices, change);
    }
    for (size_t i = 0; i < CHANGES * DEVICES; i++) {
        g_array_unref(devices->all[i / DEVICES][i % DEVICES]);
    }
    event_source_free(devices->source);
}

static void run(Bench *bench)
{
    if (bench->kernel) {
        return;
    }
    measure_processes(bench);
    if (bench_wants(bench, FIGURES_OURS)) {
        measure_plugs(bench);
    }
}

const BenchSuite suite_startup = {
    .name = "startup",
    .what = "start of the program, and of the 1st to the 1000th device",
    .run = run,
};
