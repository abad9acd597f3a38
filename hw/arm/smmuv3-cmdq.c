/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command queue (4, 3.5). Invalidations for the host are collected and
 * sent with one ioctl: before a CMD_SYNC, before a command that acts on the
 * host otherwise, and when the collection is full. CMDQ_CONS passes a command
 * only when it is done, so an error leaves it at the command to blame, and a
 * command behind that one has had no effect yet.
 */
#include "hw/arm/smmuv3-internal.h"

#include "base/rcu.h"
#include "host/iommufd.h"

#include <errno.h>
#include <inttypes.h>

/* 4.1.1: opcodes */
enum {
    CMD_PREFETCH_CONFIG = 0x01,
    CMD_PREFETCH_ADDR = 0x02,
    CMD_CFGI_STE = 0x03,
    CMD_CFGI_STE_RANGE = 0x04,
    CMD_CFGI_CD = 0x05,
    CMD_CFGI_CD_ALL = 0x06,
    CMD_TLBI_NH_ALL = 0x10,
    CMD_TLBI_NH_ASID = 0x11,
    CMD_TLBI_NH_VA = 0x12,
    CMD_TLBI_NH_VAA = 0x13,
    CMD_TLBI_NSNH_ALL = 0x30,
    CMD_ATC_INV = 0x40,
    CMD_PRI_RESP = 0x41,
    CMD_RESUME = 0x44,
    CMD_STALL_TERM = 0x45,
    CMD_SYNC = 0x46,
};

FIELD(CMD0, OP, 0, 8)
FIELD(CMD0, SSEC, 10, 1)
FIELD(CMD0, SSV, 11, 1)
FIELD(CMD0, SSID, 12, 20)
FIELD(CMD0, SID, 32, 32)
FIELD(CMD1, RANGE, 0, 5)
FIELD(PRI_RESP1, PRGINDEX, 0, 9)
FIELD(PRI_RESP1, RESP, 12, 2)
FIELD(SYNC0, CS, 12, 2)
FIELD(SYNC0, MSIDATA, 32, 32)
FIELD(SYNC1, MSIADDRESS, 2, 54)

enum { SYNC_CS_NONE, SYNC_CS_IRQ, SYNC_CS_SEV };

/* 4.5.2: PRI_RESP1.RESP */
enum { RESP_FAILURE, RESP_INVALID, RESP_SUCCESS };

/* 7.1: CMDQ_CONS.ERR */
typedef enum CommandError {
    CERROR_NONE,
    CERROR_ILL,
    CERROR_ABT,
} CommandError;

/* Commands read from guest memory at a time, and sent to the host at once. */
#define CMDQ_CHUNK 128

/*
 * What is done before the config_lock is let go of, counted in commands. A look
 * at one STE may move a device on the host, one at a range all of them; a SYNC
 * may wait for a grace period.
 */
#define CMDQ_RUN 1024
#define CMDQ_STE_COST 64
#define CMDQ_WAIT_COST 64

typedef struct Command {
    uint64_t word[2];
} Command;

G_STATIC_ASSERT(sizeof(Command) == SMMUV3_CMD_BYTES);

/**
 * struct CommandRun - commands being consumed
 * @ring: log2size and prod as read; cons is the next command
 * @base: of the queue
 * @translating: CR0.SMMUEN, which the config_lock keeps as it is
 * @done: what CMDQ_CONS will say: as ring.cons, or the command to blame
 * @cost: of what was run, as CMDQ_RUN counts it
 * @chunk, @chunk_count, @chunk_next: read and not yet run
 * @batch, @batch_count: invalidations not yet sent
 * @batch_at: where in the queue each of them stands
 */
typedef struct CommandRun {
    GuestRing ring;
    uint64_t base;
    bool translating;
    uint32_t done;
    uint32_t cost;
    Command chunk[CMDQ_CHUNK];
    uint32_t chunk_count;
    uint32_t chunk_next;
    struct iommu_viommu_arm_smmuv3_invalidate batch[CMDQ_CHUNK];
    uint32_t batch_at[CMDQ_CHUNK];
    uint32_t batch_count;
    bool said;                  /* why the host did not do it */
} CommandRun;

GuestRing smmuv3_cmdq_ring(const Smmuv3 *s)
{
    unsigned log2size = FIELD_GET(s->reg[R_CMDQ_BASE], Q_BASE, LOG2SIZE);

    return (GuestRing){
        .log2size = MIN(log2size, s->props.log2_cmdq),
        .prod = s->reg[R_CMDQ_PROD],
        .cons = s->reg[R_CMDQ_CONS],
    };
}

/* Emulated devices are not the host's. */
static bool host_has_device(Smmuv3 *s, uint32_t sid)
{
    DeviceEntry *entry;
    bool has;

    rcu_section_enter();
    entry = device_map_find_virt(s->parent.devices, sid);
    has = entry && caa_container_of(entry, ViommuDevice, entry)->vfio;
    rcu_section_leave();
    return has;
}

/* Send the first @num of the batch; out: how far the host has come. */
static int batch_send(Smmuv3 *s, CommandRun *run, uint32_t *num)
    REQUIRES(&s->parent.config_lock)
{
    const ViommuHost *host = &s->parent.host;

    return iommufd_invalidate(host->iommu, host->viommu_id,
                              IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3,
                              run->batch, sizeof(run->batch[0]), num);
}

/*
 * The batch could not be sent as a whole. The host checks commands one by one
 * and issues them in blocks, so those before one that it refuses (EIO) may not
 * have been issued: they are sent again without it. Any other failure leaves
 * all of them in doubt, and has software fetch all of them again, which does
 * no harm to invalidations.
 */
static CommandError batch_failed(Smmuv3 *s, CommandRun *run, int err,
                                 uint32_t refused)
    REQUIRES(&s->parent.config_lock)
{
    uint32_t before = refused;

    if (err == -EIO && refused < run->batch_count) {
        err = before > 0 ? batch_send(s, run, &before) : 0;
        if (err == 0) {
            run->done = run->batch_at[refused];
            return CERROR_ILL;  /* the host's SMMU would not take it either */
        }
    }
    viommu_warn_once(&s->parent, SMMUV3_WARN_HOST_INVALIDATE,
                     "the host's invalidation fails: %s", g_strerror(-err));
    run->said = true;
    run->done = run->batch_at[0];
    return CERROR_ABT;
}

/* Send the batch. On error, run->done is at the command to blame. */
static CommandError batch_flush(Smmuv3 *s, CommandRun *run)
    REQUIRES(&s->parent.config_lock)
{
    uint32_t handled = run->batch_count;
    CommandError error = CERROR_NONE;
    int ret;

    if (run->batch_count == 0) {
        return CERROR_NONE;
    }
    ret = batch_send(s, run, &handled);
    if (ret != 0) {
        error = batch_failed(s, run, ret, handled);
    }
    run->batch_count = 0;
    return error;
}

static CommandError batch_add(Smmuv3 *s, CommandRun *run,
                              const Command *command)
    REQUIRES(&s->parent.config_lock)
{
    if (!s->parent.host.iommu) {
        return CERROR_NONE;     /* no device: nothing is cached anywhere */
    }
    for (size_t i = 0; i < 2; i++) {
        run->batch[run->batch_count].cmd[i] = GUINT64_TO_LE(command->word[i]);
    }
    run->batch_at[run->batch_count] = run->ring.cons;
    run->batch_count++;
    return run->batch_count == CMDQ_CHUNK ? batch_flush(s, run) : CERROR_NONE;
}

/* 4.3.2: Range 31 is CFGI_ALL, else an aligned block of 2^(Range + 1). */
static void cfgi_ste_range(Smmuv3 *s, uint32_t sid, unsigned range)
    REQUIRES(&s->parent.config_lock)
{
    uint32_t span = range >= 31 ? UINT32_MAX : (UINT32_C(2) << range) - 1;

    smmuv3_reattach(s, sid & ~span, sid | span);
}

static CommandError run_sync(Smmuv3 *s, CommandRun *run,
                             const Command *command)
    REQUIRES(&s->parent.config_lock)
{
    unsigned cs = FIELD_GET(command->word[0], SYNC0, CS);
    CommandError error;

    if (cs > SYNC_CS_SEV) {
        return CERROR_ILL;
    }
    error = batch_flush(s, run);
    if (error == CERROR_NONE && s->sva_stale) {
        viommu_invalidate_sva(&s->parent);
        s->sva_stale = false;
        run->cost += CMDQ_WAIT_COST;
    }
    if (error != CERROR_NONE || cs != SYNC_CS_IRQ) {
        return error;
    }
    lock_acquire(&s->parent.ring_lock);
    /* 4.7: the SYNC is consumed before its interrupt is seen. */
    s->reg[R_CMDQ_CONS] = guest_ring_advance(&run->ring, run->ring.cons, 1);
    smmuv3_irq_cmd_sync(s, command->word[1] & FIELD_MASK(SYNC1, MSIADDRESS),
                        FIELD_GET(command->word[0], SYNC0, MSIDATA));
    lock_release(&s->parent.ring_lock);
    return CERROR_NONE;
}

static CommandError run_cfgi_ste(Smmuv3 *s, CommandRun *run, uint32_t sid,
                                 const Command *command)
    REQUIRES(&s->parent.config_lock)
{
    CommandError error = batch_flush(s, run);

    if (error == CERROR_NONE) {
        s->sva_stale = true;
        if (FIELD_GET(command->word[0], CMD0, OP) == CMD_CFGI_STE) {
            smmuv3_reattach(s, sid, sid);
            run->cost += CMDQ_STE_COST;
        } else {
            cfgi_ste_range(s, sid, FIELD_GET(command->word[1], CMD1, RANGE));
            run->cost += CMDQ_RUN;
        }
    }
    return error;
}

/* 4.5.1: emulated devices may hold translations, of streams that bypass. */
static CommandError run_atc_inv(Smmuv3 *s, CommandRun *run, uint32_t sid,
                                const Command *command)
    REQUIRES(&s->parent.config_lock)
{
    if (!s->props.ats) {
        return CERROR_ILL;
    }
    if (!run->translating) {
        return CERROR_NONE;     /* 6.3.9: no ATS without SMMUEN */
    }
    s->sva_stale = true;
    return host_has_device(s, sid) ? batch_add(s, run, command)
                                   : CERROR_NONE;
}

static CommandError run_pri_resp(Smmuv3 *s, CommandRun *run, uint32_t sid,
                                 const Command *command)
    REQUIRES(&s->parent.config_lock)
{
    static const uint32_t codes[] = {
        [RESP_FAILURE] = PAGE_RESPONSE_FAILURE,
        [RESP_INVALID] = PAGE_RESPONSE_INVALID,
        [RESP_SUCCESS] = PAGE_RESPONSE_SUCCESS,
    };
    unsigned resp = FIELD_GET(command->word[1], PRI_RESP1, RESP);
    PageRequestKey key = {
        .virt_id = sid,
        .pasid = FIELD_GET(command->word[0], CMD0, SSV)
                     ? FIELD_GET(command->word[0], CMD0, SSID)
                     : PAGE_REQUEST_NO_PASID,
        .index = FIELD_GET(command->word[1], PRI_RESP1, PRGINDEX),
    };
    CommandError error;

    if (!s->props.pri || resp > RESP_SUCCESS) {
        return CERROR_ILL;
    }
    /* A response cannot be taken back if an invalidation before it fails. */
    error = batch_flush(s, run);
    if (error == CERROR_NONE && run->translating) {
        viommu_respond_page_group(&s->parent, &key, codes[resp]);
    }
    return error;
}

static CommandError run_command(Smmuv3 *s, CommandRun *run,
                                const Command *command)
    REQUIRES(&s->parent.config_lock)
{
    uint32_t sid = FIELD_GET(command->word[0], CMD0, SID);

    if (FIELD_GET(command->word[0], CMD0, SSEC)) {
        return CERROR_ILL;
    }
    switch (FIELD_GET(command->word[0], CMD0, OP)) {
    case CMD_PREFETCH_CONFIG:
    case CMD_PREFETCH_ADDR:
        return CERROR_NONE;     /* hints */
    case CMD_CFGI_STE:
    case CMD_CFGI_STE_RANGE:
        return run_cfgi_ste(s, run, sid, command);
    case CMD_ATC_INV:
        return run_atc_inv(s, run, sid, command);
    case CMD_PRI_RESP:
        return run_pri_resp(s, run, sid, command);
    case CMD_CFGI_CD:
    case CMD_CFGI_CD_ALL:
        /* The host knows streams that have a vDEVICE. */
        return host_has_device(s, sid) ? batch_add(s, run, command)
                                       : CERROR_NONE;
    case CMD_TLBI_NH_ALL:
    case CMD_TLBI_NH_ASID:
    case CMD_TLBI_NH_VA:
    case CMD_TLBI_NH_VAA:
    case CMD_TLBI_NSNH_ALL:
        return batch_add(s, run, command);
    case CMD_SYNC:
        return run_sync(s, run, command);
    case CMD_RESUME:
    case CMD_STALL_TERM:
        return CERROR_ILL;      /* 4.6: STALL_MODEL is 1, nothing stalls */
    default:
        /* 4.1.3: unknown, or not for these ID registers (EL2, stage 2). */
        return CERROR_ILL;
    }
}

/* Read on, as far as is contiguous. Return: false for an abort on the bus. */
static bool chunk_fetch(Smmuv3 *s, CommandRun *run)
{
    const GuestRing *ring = &run->ring;
    uint32_t index = guest_ring_index(ring, ring->cons);
    uint64_t gpa = run->base + (uint64_t)index * SMMUV3_CMD_BYTES;
    uint32_t count = MIN(guest_ring_used(ring), guest_ring_size(ring) - index);

    count = MIN(count, CMDQ_CHUNK);
    if (!guest_mem_read_words(s->parent.config.mem, gpa,
                              run->chunk[0].word, 2 * (size_t)count)) {
        count = 1;              /* the first may be in memory none the less */
        if (!guest_mem_read_words(s->parent.config.mem, gpa,
                                  run->chunk[0].word, 2)) {
            return false;
        }
    }
    run->chunk_count = count;
    run->chunk_next = 0;
    return true;
}

static CommandError run_some(Smmuv3 *s, CommandRun *run)
    REQUIRES(&s->parent.config_lock)
{
    CommandError error;

    while (!guest_ring_empty(&run->ring) && run->cost < CMDQ_RUN) {
        if (run->chunk_next == run->chunk_count && !chunk_fetch(s, run)) {
            error = batch_flush(s, run);
            return error != CERROR_NONE ? error : CERROR_ABT;
        }
        error = run_command(s, run, &run->chunk[run->chunk_next]);
        if (error != CERROR_NONE) {
            CommandError earlier = batch_flush(s, run);

            return earlier != CERROR_NONE ? earlier : error;
        }
        run->chunk_next++;
        run->cost++;
        run->ring.cons = guest_ring_advance(&run->ring, run->ring.cons, 1);
        run->done = run->ring.cons;
    }
    return batch_flush(s, run);
}

/* 3.5: whether there is anything to run, and from where. */
static bool run_begin(Smmuv3 *s, CommandRun *run)
    REQUIRES(&s->parent.ring_lock)
{
    if (!FIELD_GET(s->reg[R_CR0], CR0, CMDQEN) ||
        smmuv3_gerror_is_active(s, FIELD_MASK(GERROR, CMDQ_ERR))) {
        return false;
    }
    run->ring = smmuv3_cmdq_ring(s);
    run->ring.cons = guest_ring_advance(&run->ring, run->ring.cons, 0);
    run->base = smmuv3_queue_base(smmuv3_reg64(s, R_CMDQ_BASE),
                                  run->ring.log2size, SMMUV3_CMD_BYTES);
    run->translating = FIELD_GET(s->reg[R_CR0], CR0, SMMUEN);
    run->done = run->ring.cons;
    run->cost = 0;
    run->chunk_count = 0;
    run->chunk_next = 0;
    run->batch_count = 0;
    run->said = false;
    return guest_ring_used(&run->ring) > 0;
}

static void warn(Smmuv3 *s, const CommandRun *run, CommandError error)
{
    if (error == CERROR_ILL) {
        viommu_warn_once(&s->parent, SMMUV3_WARN_COMMAND,
                         "illegal command at index %u of the command queue",
                         guest_ring_index(&run->ring, run->done));
    } else if (!run->said) {
        viommu_warn_once(&s->parent, SMMUV3_WARN_CMDQ_ABORT,
                         "command at index %u of the queue at 0x%" PRIx64
                         " cannot be fetched or done",
                         guest_ring_index(&run->ring, run->done), run->base);
    }
}

bool smmuv3_cmdq_consume(Smmuv3 *s)
{
    CommandRun run;
    CommandError error;
    bool any;

    lock_acquire(&s->parent.ring_lock);
    any = run_begin(s, &run);
    lock_release(&s->parent.ring_lock);
    if (!any) {
        return false;
    }
    error = run_some(s, &run);

    lock_acquire(&s->parent.ring_lock);
    s->reg[R_CMDQ_CONS] = run.done;
    if (error != CERROR_NONE) {
        s->reg[R_CMDQ_CONS] |= FIELD_SET(0, CMDQ_CONS, ERR, error);
        smmuv3_gerror_raise(s, FIELD_MASK(GERROR, CMDQ_ERR));
    }
    lock_release(&s->parent.ring_lock);
    if (error != CERROR_NONE) {
        warn(s, &run, error);
    }
    return error == CERROR_NONE && !guest_ring_empty(&run.ring);
}
