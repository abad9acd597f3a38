/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "prq-fixture.h"

PrqFixture prq;

void prq_setup(void)
{
    VtdFixture *f = vtd_fixture_new(NULL, false);
    VtdTables *t = &prq.t;

    prq.f = f;
    prq.v = vtd_fixture_vtd(f);
    message_log_start();
    vtd_tables_init(t, f->ram, GUEST_RAM, VTD_GUEST_FREE,
                    GUEST_RAM + GUEST_RAM_SIZE);
    vtd_guest_write64(f, A_RTADDR, FIELD_SET(t->root, RTADDR, TTM,
                                             TTM_SCALABLE));
    vtd_guest_command(f, FIELD_MASK(GCMD, SRTP), true);
    vtd_guest_enable_prq(f, 0);
    vtd_guest_enable_faults(f);
    vtd_tables_set_context(t, PRQ_RID, VTD_CONTEXT_SVA, 0);
    vtd_tables_set_pass_through(t, PRQ_RID, 0, 1);
    vtd_tables_set_pass_through(t, PRQ_RID, PRQ_PASID, 2);
    vtd_guest_command(f, FIELD_MASK(GCMD, TE), true);
}

void prq_teardown(void)
{
    vtd_fixture_free(prq.f);
}

static const Pgfault *many_pages(void)
{
    static Pgfault pages[1024];

    for (size_t i = 0; i < G_N_ELEMENTS(pages); i++) {
        pages[i] = (Pgfault){ .addr = PRQ_ADDR + 4096 * i,
                              .perm = PGFAULT_PERM_READ };
    }
    return pages;
}

PageGroup prq_group(uint32_t pasid, uint32_t index, size_t count)
{
    return (PageGroup){
        .request.key = {
            .virt_id = PRQ_RID, .pasid = pasid, .index = index,
        },
        .count = count,
        .pages = many_pages(),
        .outcome = -1,
        .code = UINT32_MAX,
    };
}

PageGroup prq_stop_marker(void)
{
    static const Pgfault page = { .addr = 0, .perm = 0 };
    PageGroup group = prq_group(PRQ_PASID, 0, 1);

    group.pages = &page;
    group.stop_marker = true;
    return group;
}

void prq_deliver(PageGroup *group)
{
    vtd_prq_deliver(prq.f->viommu, group, 1);
}

PageOutcome prq_deliver_pages(size_t count)
{
    PageGroup group = prq_group(PRQ_PASID, 0, count);

    prq_deliver(&group);
    return group.outcome;
}

void prq_assert_answered(const PageGroup *group, uint32_t code)
{
    g_assert_cmpint(group->outcome, ==, PAGE_ANSWERED);
    g_assert_cmpuint(group->code, ==, code);
}

uint32_t prq_room(uint32_t want)
{
    return vtd_prq_room(prq.f->viommu, want);
}

uint32_t prq_status(void)
{
    return vtd_guest_read32(prq.f, A_PRS);
}

uint64_t prq_tail(void)
{
    return vtd_guest_read64(prq.f, A_PQT);
}

unsigned prq_messages(void)
{
    return atomic_load(&prq.f->irq.messages);
}

void prq_consume_all(void)
{
    vtd_guest_write32(prq.f, A_PRS, PRS_PPR);
    vtd_guest_write64(prq.f, A_PQH, prq_tail());
}
