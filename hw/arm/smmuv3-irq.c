/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Interrupts (3.18) and global errors (7.5). All are raised under the
 * ring_lock, after the register change that they announce: a vCPU that sees
 * the interrupt sees the change, and IRQ_CTRLACK has nothing to wait for.
 */
#include "hw/arm/smmuv3-internal.h"

bool smmuv3_gerror_is_active(const Smmuv3 *s, uint32_t error)
{
    return (s->reg[R_GERROR] ^ s->reg[R_GERRORN]) & error;
}

/*
 * A message if the guest gave an address, else an edge on the wire.
 * Return: false if the message was aborted.
 */
static bool send(Smmuv3 *s, unsigned line, uint64_t address, uint32_t data)
{
    const ViommuConfig *config = &s->parent.config;

    if (!s->props.msi || address == 0) {
        config->irq->ops->pulse(config->irq, line);
        return true;
    }
    return guest_mem_write_u32(config->mem, address, data) ||
           config->irq->ops->message(config->irq, address, data);
}

static bool send_configured(Smmuv3 *s, unsigned line, unsigned r_cfg0,
                              unsigned r_cfg1) REQUIRES(&s->parent.ring_lock)
{
    return send(s, line, smmuv3_reg64(s, r_cfg0), s->reg[r_cfg1]);
}

void smmuv3_gerror_raise(Smmuv3 *s, uint32_t error)
{
    if (smmuv3_gerror_is_active(s, error)) {
        return;
    }
    s->reg[R_GERROR] ^= error;
    if (error == FIELD_MASK(GERROR, MSI_GERROR_ABT_ERR) ||
        !FIELD_GET(s->reg[R_IRQ_CTRL], IRQ_CTRL, GERROR_IRQEN)) {
        return;
    }
    if (!send_configured(s, SMMUV3_IRQ_GERROR, R_GERROR_IRQ_CFG0,
                           R_GERROR_IRQ_CFG1)) {
        smmuv3_gerror_raise(s, FIELD_MASK(GERROR, MSI_GERROR_ABT_ERR));
    }
}

void smmuv3_irq_eventq(Smmuv3 *s)
{
    if (!FIELD_GET(s->reg[R_IRQ_CTRL], IRQ_CTRL, EVENTQ_IRQEN)) {
        return;
    }
    counter_add(&s->parent.counters.interrupts, 1);
    if (!send_configured(s, SMMUV3_IRQ_EVENTQ, R_EVENTQ_IRQ_CFG0,
                           R_EVENTQ_IRQ_CFG1)) {
        smmuv3_gerror_raise(s, FIELD_MASK(GERROR, MSI_EVENTQ_ABT_ERR));
    }
}

void smmuv3_irq_priq(Smmuv3 *s)
{
    if (!FIELD_GET(s->reg[R_IRQ_CTRL], IRQ_CTRL, PRIQ_IRQEN)) {
        return;
    }
    counter_add(&s->parent.page_counters.interrupts, 1);
    if (!send_configured(s, SMMUV3_IRQ_PRIQ, R_PRIQ_IRQ_CFG0,
                           R_PRIQ_IRQ_CFG1)) {
        smmuv3_gerror_raise(s, FIELD_MASK(GERROR, MSI_PRIQ_ABT_ERR));
    }
}

void smmuv3_irq_cmd_sync(Smmuv3 *s, uint64_t address, uint32_t data)
{
    if (!send(s, SMMUV3_IRQ_CMD_SYNC, address, data)) {
        smmuv3_gerror_raise(s, FIELD_MASK(GERROR, MSI_CMDQ_ABT_ERR));
    }
}
