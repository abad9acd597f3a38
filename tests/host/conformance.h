/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The conformance suite: what iommufd promises, as cases that are written once
 * against HostIommuOps and the mock driver's test ioctl, and run on the real
 * kernel and on the emulated host.
 *
 * A check both judges and notes what it saw: "destroy EBUSY; destroy 0". The
 * notes of a case are its result in the table of docs/iommufd-uapi.md, so the
 * table says what was measured, not what was hoped for.
 *
 * Threads: a case runs on the main thread; threads that it starts end with it,
 *          and use no check.
 * Locks:   none.
 */
#ifndef TESTS_HOST_CONFORMANCE_H
#define TESTS_HOST_CONFORMANCE_H

#include "host/host-iommu.h"
#include "host/mock-abi.h"

#include <stdbool.h>

/**
 * struct Conformance - one case under way
 * @host: fresh for each case; nothing may be left on it when the case ends
 *        (the runner sweeps the IDs and fails the case if so)
 * @result: what the checks saw
 * @failed: a check did not see what it should
 * @skipped: why the case cannot be run here, or NULL
 */
typedef struct Conformance {
    HostIommu *host;
    GString *result;
    bool failed;
    const char *skipped;
} Conformance;

/**
 * struct ConformanceCase - one row of the table
 * @name: a path that reads as a statement,
 *        "veventq/destroy/is-EBUSY-while-the-fd-is-open"
 */
typedef struct ConformanceCase {
    const char *name;
    void (*run)(Conformance *c);
} ConformanceCase;

/* The tables of cases, a file each; a NULL name ends one. */
extern const ConformanceCase conformance_alloc[];
extern const ConformanceCase conformance_ioas[];
extern const ConformanceCase conformance_objects[];
extern const ConformanceCase conformance_device[];
extern const ConformanceCase conformance_invalidate[];
extern const ConformanceCase conformance_destroy[];
extern const ConformanceCase conformance_races[];
extern const ConformanceCase conformance_veventq[];
extern const ConformanceCase conformance_loss[];
extern const ConformanceCase conformance_ready[];
extern const ConformanceCase conformance_fault[];
extern const ConformanceCase conformance_fault_route[];
extern const ConformanceCase conformance_respond[];

/*
 * Checks. @what is a word or two for the notes, the same on every host: no
 * time, no address. All return whether it was as expected, so that a case can
 * stop where nothing after makes sense.
 */

/*
 * @ret of a call is -1 and errno is @err, or for 0 as @err: the call succeeded.
 * "destroy EBUSY", "destroy 0".
 */
bool check_errno(Conformance *c, const char *what, int64_t ret, int err);

/* A number: bytes read, an ID, a sequence number. */
bool check_value(Conformance *c, const char *what, uint64_t seen,
                 uint64_t expected);

/* Whatever else can be told in a few words. */
bool check_text(Conformance *c, const char *what, const char *seen,
                const char *expected);

/* Of a race, where how often is not the point: noted as "some" or "none". */
bool check_none(Conformance *c, const char *what, uint64_t seen);

/* What the case does, between the checks: "5 triggered" */
void note(Conformance *c, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* "EBUSY"; "0" for none */
const char *errno_name(int err);

/* What is not the point of the case: success, noted only if it fails. */
bool need(Conformance *c, const char *what, int64_t ret);

/*
 * The calls, one each: errno as the host left it, -1 on failure. Zeroed
 * structures of the right size; out parameters may be NULL, and are written on
 * success only.
 */
int host_ioctl(Conformance *c, unsigned long request, void *arg);
ssize_t host_read(Conformance *c, int fd, void *buf, size_t count);
ssize_t host_write(Conformance *c, int fd, const void *buf, size_t count);
int destroy(Conformance *c, uint32_t id);
int ioas_alloc(Conformance *c, uint32_t *id);
int nest_parent_alloc(Conformance *c, uint32_t dev_id, uint32_t ioas_id,
                      uint32_t *id);
/* IOMMU_HWPT_DATA_SELFTEST on a nest parent or a vIOMMU; @fault_id 0: none */
int nested_alloc(Conformance *c, uint32_t dev_id, uint32_t pt_id,
                 uint32_t fault_id, uint32_t *id);
int viommu_alloc(Conformance *c, uint32_t dev_id, uint32_t hwpt_id,
                 uint32_t *id);
int vdevice_alloc(Conformance *c, uint32_t viommu_id, uint32_t dev_id,
                  uint64_t virt_id, uint32_t *id);
/* IOMMU_VEVENTQ_TYPE_SELFTEST */
int veventq_alloc(Conformance *c, uint32_t viommu_id, uint32_t depth,
                  uint32_t *id, int *fd);
int fault_alloc(Conformance *c, uint32_t *id, int *fd);
int close_fd(Conformance *c, int fd);

/* IOMMU_TEST_CMD */
int mock_device(Conformance *c, uint32_t pt_id, uint32_t flags,
                uint32_t *stdev_id, uint32_t *hwpt_id, uint32_t *dev_id);
/* The device goes, its idev and auto HWPT too: destroy(stdev_id). */
int mock_replace(Conformance *c, uint32_t stdev_id, uint32_t pt_id);
int mock_pasid_attach(Conformance *c, uint32_t stdev_id, uint32_t pasid,
                      uint32_t pt_id);
int mock_pasid_detach(Conformance *c, uint32_t stdev_id, uint32_t pasid);
int trigger_vevent(Conformance *c, uint32_t dev_id);
/* A group of one page; read and write asked for. */
int trigger_iopf(Conformance *c, uint32_t dev_id, uint32_t pasid,
                 uint32_t grpid, uint64_t addr);

/**
 * struct Rig - what most cases start from: a mock device that is attached to a
 * nested HWPT of a vIOMMU, with a vDEVICE, and what was made for it
 *
 * An ID is 0 where there is none (any more): rig_down() leaves out what a case
 * has destroyed and zeroed. The HWPT that the attach to the IOAS made went with
 * the attach to @hwpt_id.
 */
typedef struct Rig {
    uint32_t ioas_id;
    uint32_t stdev_id;
    uint32_t dev_id;
    uint32_t parent_id;
    uint32_t viommu_id;
    uint32_t vdevice_id;
    uint32_t hwpt_id;
    uint32_t fault_id;          /* 0 without */
    int fault_fd;               /* -1 without */
} Rig;

/* The vDEVICE of a rig has this virt_id. */
#define RIG_VIRT_ID UINT64_C(0x99)

/* Return: false, the case failed, and nothing is left. */
bool rig_up(Conformance *c, Rig *rig, bool faults);
void rig_down(Conformance *c, Rig *rig);

#endif
