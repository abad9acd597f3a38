/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "priq-fixture.h"

static Pgfault pages[PRIQ_GROUP_MAX];
static const Pgfault marker_page;

/* The same for everybody, so that nobody's change. */
static void fill_pages(size_t count)
{
    g_assert_cmpuint(count, <=, PRIQ_GROUP_MAX);
    for (size_t i = 0; i < PRIQ_GROUP_MAX && pages[i].perm == 0; i++) {
        pages[i] = (Pgfault){ i << 12,
                              PGFAULT_PERM_READ | PGFAULT_PERM_WRITE };
    }
}

PageGroup priq_group(uint32_t sid, uint32_t pasid, uint32_t index,
                     size_t count)
{
    fill_pages(count);
    return (PageGroup){
        .request.key = { .virt_id = sid, .pasid = pasid, .index = index },
        .count = count,
        .pages = pages,
        .code = UINT32_MAX,
    };
}

PageGroup priq_stop_marker(uint32_t sid, uint32_t pasid)
{
    PageGroup group = priq_group(sid, pasid, 0, 1);

    group.pages = &marker_page;
    group.stop_marker = true;
    return group;
}

uint32_t priq_deliver(Fixture *f, PageGroup *groups, size_t count)
{
    uint32_t room = smmuv3_priq_room(f->viommu, groups[0].count);

    smmuv3_priq_deliver(f->viommu, groups, count);
    return room;
}

PageGroup priq_deliver_one(Fixture *f, uint32_t sid, size_t count)
{
    PageGroup group = priq_group(sid, 5, 0, count);

    priq_deliver(f, &group, 1);
    return group;
}

void priq_assert_written(const PageGroup *group)
{
    g_assert_cmpint(group->outcome, ==, PAGE_WRITTEN);
}

void priq_assert_answered(const PageGroup *group, uint32_t code)
{
    g_assert_cmpint(group->outcome, ==, PAGE_ANSWERED);
    g_assert_cmphex(group->code, ==, code);
}

static void responded(void *opaque, SvaGroup *group)
{
    caa_container_of(group, PriqRequest, group)->responses++;
}

SvaDevice *priq_add_device(Fixture *f, uint32_t sid, uint32_t credits)
{
    const SvaDeviceConfig config = {
        .name = "sva0", .virt_id = sid, .ctx = f->ctx, .credits = credits,
        .responded = responded,
    };
    GError *error = NULL;
    SvaDevice *device = viommu_add_sva_device(f->viommu, &config, &error);

    g_assert_no_error(error);
    return device;
}

void priq_request(SvaDevice *device, PriqRequest *request, uint32_t pasid,
                  uint32_t index, uint32_t count)
{
    fill_pages(count);
    *request = (PriqRequest){
        .group = {
            .pasid = pasid, .index = index, .count = count, .pages = pages,
        },
    };
    g_assert_true(viommu_page_request(device, &request->group));
}

void priq_assert_response(const PriqRequest *request, uint32_t code)
{
    g_assert_cmpuint(request->responses, ==, 1);
    g_assert_cmphex(request->group.code, ==, code);
}

uint64_t priq_resp_word0(uint32_t sid, uint32_t pasid)
{
    return OP(0x41, sid) |
           (pasid == NO_PASID ? 0 : BIT(11) | (uint64_t)pasid << 12);
}

uint64_t priq_resp_word1(uint32_t index, unsigned resp)
{
    return (uint64_t)resp << 12 | index;
}

void priq_respond(Fixture *f, uint32_t sid, uint32_t pasid, uint32_t index,
                  unsigned resp)
{
    guest_command(f, priq_resp_word0(sid, pasid),
                  priq_resp_word1(index, resp));
    guest_kick(f);
}

unsigned priq_consume_all(Fixture *f)
{
    uint64_t ppr[2];
    unsigned count = 0;

    while (guest_consume_ppr(f, ppr)) {
        count++;
    }
    return count;
}

bool priq_overflow_is_active(Fixture *f)
{
    return (guest_read(f, A_PRIQ_PROD) ^ guest_read(f, A_PRIQ_CONS)) &
           PRIQ_OVFLG;
}

void priq_acknowledge(Fixture *f)
{
    guest_write(f, A_PRIQ_CONS,
                (guest_read(f, A_PRIQ_CONS) & ~PRIQ_OVFLG) |
                    (guest_read(f, A_PRIQ_PROD) & PRIQ_OVFLG));
    g_assert_false(priq_overflow_is_active(f));
}
