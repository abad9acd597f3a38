/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vtd-fixture.h"

#include <string.h>

/* What @f has is its host and its context. */
static VtdFixture *fixture_init(VtdFixture *f, const VtdProperties *properties)
{
    GError *error = NULL;

    f->ram = guest_ram_new(&f->mem);
    counting_sink_init(&f->irq);
    f->devices = g_ptr_array_new();
    f->viommu = vtd_new(&(ViommuConfig){ .id = "vtd0",
                                         .ctx = f->ctx,
                                         .mem = f->mem,
                                         .irq = &f->irq.parent },
                        properties, &error);
    g_assert_no_error(error);
    return f;
}

VtdFixture *vtd_fixture_new_on(HostIommu *host,
                               const VtdProperties *properties, bool iothread)
{
    VtdFixture *f = g_new0(VtdFixture, 1);

    f->host = host;
    f->ctx = test_context_new(iothread, &f->iothread);
    return fixture_init(f, properties);
}

VtdFixture *vtd_fixture_new_in(HostIommu *host,
                               const VtdProperties *properties,
                               AioContext *ctx)
{
    VtdFixture *f = g_new0(VtdFixture, 1);

    f->host = host;
    f->ctx = aio_context_ref(ctx);
    f->shared = true;
    return fixture_init(f, properties);
}

VtdFixture *vtd_fixture_new(const VtdProperties *properties, bool iothread)
{
    GError *error = NULL;
    HostIommu *host = emul_new(&error);

    g_assert_no_error(error);
    return vtd_fixture_new_on(host, properties, iothread);
}

void vtd_fixture_free(VtdFixture *f)
{
    test_devices_close(f->viommu, f->devices);
    g_ptr_array_unref(f->devices);
    viommu_free(f->viommu);
    g_assert_cmpuint(f->host->hardware->count_left(f->host), ==, 0);
    host_iommu_free(f->host);
    if (f->shared) {
        aio_context_unref(f->ctx);
    } else {
        test_context_free(f->ctx, f->iothread);
    }
    guest_ram_free(f->ram, f->mem);
    g_free(f);
}

Vtd *vtd_fixture_vtd(VtdFixture *f)
{
    return vtd_from(f->viommu);
}

void vtd_fixture_pump(VtdFixture *f)
{
    test_context_pump(f->ctx);
}

VfioDevice *vtd_fixture_open_device(VtdFixture *f)
{
    return test_device_open(f->host, EMUL_IOMMU_VTD, f->devices);
}

VfioDevice *vtd_fixture_plug(VtdFixture *f, uint16_t rid)
{
    VfioDevice *device = vtd_fixture_open_device(f);
    GError *error = NULL;

    viommu_add_device(f->viommu, device, rid, &error);
    g_assert_no_error(error);
    return device;
}

void vtd_fixture_unplug(VtdFixture *f, VfioDevice *device, uint16_t rid)
{
    g_assert_true(viommu_remove_device(f->viommu, rid));
    g_assert_true(g_ptr_array_remove(f->devices, device));
    vfio_device_free(device);
}

uint32_t vtd_guest_read32(VtdFixture *f, uint64_t offset)
{
    return viommu_mmio_read(f->viommu, offset, 4);
}

uint64_t vtd_guest_read64(VtdFixture *f, uint64_t offset)
{
    return viommu_mmio_read(f->viommu, offset, 8);
}

void vtd_guest_write32(VtdFixture *f, uint64_t offset, uint32_t value)
{
    viommu_mmio_write(f->viommu, offset, 4, value);
}

void vtd_guest_write64(VtdFixture *f, uint64_t offset, uint64_t value)
{
    viommu_mmio_write(f->viommu, offset, 8, value);
}

uint64_t *vtd_guest_words(VtdFixture *f, uint64_t gpa)
{
    return (uint64_t *)(f->ram + (gpa - GUEST_RAM));
}

void vtd_guest_store(VtdFixture *f, uint64_t gpa, uint64_t word)
{
    vtd_guest_store_words(f, gpa, &word, 1);
}

void vtd_guest_store_words(VtdFixture *f, uint64_t gpa, const uint64_t *words,
                           size_t count)
{
    guest_words_store(vtd_guest_words(f, gpa), words, count);
}

/* ---- Tables ---- */

#define PAGE_BYTES 4096
#define PASID_TABLES 4

static void clear_page(VtdFixture *f, uint64_t gpa)
{
    memset(vtd_guest_words(f, gpa), 0, PAGE_BYTES);
}

void vtd_guest_make_tables(VtdFixture *f)
{
    clear_page(f, VTD_GUEST_ROOT);
    clear_page(f, VTD_GUEST_CONTEXT);
    clear_page(f, VTD_GUEST_CONTEXT + PAGE_BYTES);
    vtd_guest_store(f, VTD_GUEST_ROOT, VTD_GUEST_CONTEXT | 1);
    vtd_guest_store(f, VTD_GUEST_ROOT + 8,
                    (VTD_GUEST_CONTEXT + PAGE_BYTES) | 1);
    clear_page(f, VTD_GUEST_PASID_DIR);
    for (unsigned i = 0; i < PASID_TABLES; i++) {
        uint64_t table = VTD_GUEST_PASID_TABLE + i * PAGE_BYTES;

        clear_page(f, table);
        vtd_guest_store(f, VTD_GUEST_PASID_DIR + 8 * i, table | 1);
    }
}

uint64_t vtd_guest_context_gpa(uint16_t rid)
{
    g_assert_cmphex(rid, <, 256);
    return VTD_GUEST_CONTEXT + 32 * rid;
}

uint64_t vtd_guest_pasid_gpa(uint32_t pasid)
{
    g_assert_cmphex(pasid, <, 64 * PASID_TABLES);
    return VTD_GUEST_PASID_TABLE + 64 * pasid;
}

void vtd_guest_set_context(VtdFixture *f, uint16_t rid, uint64_t bits)
{
    const uint64_t words[4] = { VTD_GUEST_PASID_DIR | bits };

    vtd_guest_store_words(f, vtd_guest_context_gpa(rid), words, 4);
}

void vtd_guest_set_pasid(VtdFixture *f, uint32_t pasid, uint16_t did,
                         uint64_t table)
{
    uint64_t words[8] = { 0 };

    if (table) {
        words[0] = FIELD_SET(FIELD_SET(0, PASID0, P, 1), PASID0, PGTT,
                             PGTT_FIRST);
        words[1] = FIELD_SET(0, PASID1, DID, did);
        words[2] = table;
    }
    vtd_guest_store_words(f, vtd_guest_pasid_gpa(pasid), words, 8);
}

/* ---- Registers ---- */

#define ONE_SHOTS                                                        \
    (FIELD_MASK(GCMD, SRTP) | FIELD_MASK(GCMD, SIRTP) | FIELD_MASK(GCMD, WBF))

void vtd_guest_command(VtdFixture *f, uint32_t bit, bool on)
{
    uint32_t level = vtd_guest_read32(f, A_GSTS) & ~ONE_SHOTS;
    uint32_t status;

    vtd_guest_write32(f, A_GCMD, on ? level | bit : level & ~bit);
    status = vtd_guest_read32(f, A_GSTS);
    g_assert_cmphex(status & bit, ==, on ? bit : 0);
}

void vtd_guest_enable_iq(VtdFixture *f, unsigned qs, bool wide)
{
    vtd_guest_write32(f, A_IQT, 0);
    vtd_guest_write64(f, A_IQA, FIELD_SET(VTD_GUEST_IQ | qs, IQA, DW, wide));
    vtd_guest_command(f, FIELD_MASK(GCMD, QIE), true);
    f->iq_qs = qs;
    f->iq_wide = wide;
    f->iq_tail = 0;
}

void vtd_guest_set_root(VtdFixture *f, unsigned ttm)
{
    vtd_guest_write64(f, A_RTADDR, FIELD_SET(VTD_GUEST_ROOT, RTADDR, TTM, ttm));
    vtd_guest_command(f, FIELD_MASK(GCMD, SRTP), true);
    if (!FIELD_GET(vtd_guest_read64(f, A_CAP), CAP, ESRTPS)) {
        vtd_guest_submit(f, vtd_desc_context_cache(CONTEXT_G_GLOBAL, 0, 0), 0);
        vtd_guest_submit(f, vtd_desc_pasid_cache(PASID_CACHE_G_GLOBAL, 0, 0),
                         0);
        vtd_guest_submit(f, vtd_desc_iotlb(IOTLB_G_GLOBAL, 0), 0);
    }
}

/* Data, address, upper address, then IM=0, which is read back. */
static void enable_message(VtdFixture *f, uint64_t control, uint32_t data)
{
    vtd_guest_write32(f, control + 4, data);
    vtd_guest_write32(f, control + 8, GUEST_DOORBELL);
    vtd_guest_write32(f, control + 12, GUEST_DOORBELL >> 32);
    vtd_guest_write32(f, control, 0);
    g_assert_cmphex(vtd_guest_read32(f, control), ==, 0);
}

void vtd_guest_enable_prq(VtdFixture *f, unsigned pqs)
{
    enable_message(f, A_PECTL, VTD_GUEST_PAGE_DATA);
    vtd_guest_write64(f, A_PQH, 0);
    vtd_guest_write64(f, A_PQT, 0);
    vtd_guest_write64(f, A_PQA, VTD_GUEST_PRQ | pqs);
}

void vtd_guest_enable_faults(VtdFixture *f)
{
    enable_message(f, A_FECTL, VTD_GUEST_FAULT_DATA);
}

void vtd_guest_start(VtdFixture *f, unsigned pqs)
{
    uint64_t ecap = vtd_guest_read64(f, A_ECAP);

    vtd_guest_make_tables(f);
    vtd_guest_enable_iq(f, 1, true);
    vtd_guest_set_root(f, TTM_SCALABLE);
    if (FIELD_GET(ecap, ECAP, PRS)) {
        vtd_guest_enable_prq(f, pqs);
    }
    vtd_guest_enable_faults(f);
    vtd_guest_command(f, FIELD_MASK(GCMD, TE), true);
}

/* ---- The invalidation queue ---- */

void vtd_guest_put(VtdFixture *f, uint64_t word0, uint64_t word1)
{
    const uint64_t words[4] = { word0, word1 };
    uint32_t bytes = f->iq_wide ? 32 : 16;

    vtd_guest_store_words(f, VTD_GUEST_IQ + f->iq_tail, words, bytes / 8);
    f->iq_tail = (f->iq_tail + bytes) & ((UINT32_C(4096) << f->iq_qs) - 1);
}

void vtd_guest_kick(VtdFixture *f)
{
    vtd_guest_write32(f, A_IQT, f->iq_tail);
}

uint32_t vtd_guest_status(VtdFixture *f)
{
    uint64_t word;

    guest_words_load(&word, vtd_guest_words(f, VTD_GUEST_STATUS), 1);
    return word;
}

void vtd_guest_put_wait(VtdFixture *f, uint64_t flags)
{
    vtd_guest_store(f, VTD_GUEST_STATUS, VTD_GUEST_IN_USE);
    vtd_guest_put(f, VTD_GUEST_WAIT0 | flags, VTD_GUEST_STATUS);
}

void vtd_guest_submit_put(VtdFixture *f, uint64_t wait_flags)
{
    vtd_guest_put_wait(f, wait_flags);
    vtd_guest_kick(f);
    g_assert_cmpuint(vtd_guest_status(f), ==, VTD_GUEST_DONE);
    g_assert_false(FIELD_GET(vtd_guest_read32(f, A_FSTS), FSTS, IQE));
}

void vtd_guest_submit(VtdFixture *f, uint64_t word0, uint64_t word1)
{
    vtd_guest_put(f, word0, word1);
    vtd_guest_submit_put(f, 0);
}

static uint64_t desc(VtdDescType type, unsigned g, uint16_t did)
{
    return FIELD_SET(FIELD_SET((uint64_t)type, DESC0, G, g), DESC0, DID, did);
}

uint64_t vtd_desc_context_cache(unsigned g, uint16_t did, uint16_t sid)
{
    return FIELD_SET(desc(VTD_DESC_CONTEXT_CACHE, g, did), CONTEXT_DESC0, SID,
                     sid);
}

uint64_t vtd_desc_iotlb(unsigned g, uint16_t did)
{
    return desc(VTD_DESC_IOTLB, g, did);
}

uint64_t vtd_desc_pasid_cache(unsigned g, uint16_t did, uint32_t pasid)
{
    return FIELD_SET(desc(VTD_DESC_PASID_CACHE, g, did), DESC0, PASID, pasid);
}

uint64_t vtd_desc_pasid_iotlb(unsigned g, uint16_t did, uint32_t pasid)
{
    return FIELD_SET(desc(VTD_DESC_PASID_IOTLB, g, did), DESC0, PASID, pasid);
}

void vtd_guest_respond(VtdFixture *f, uint16_t rid, uint32_t pasid,
                       unsigned prgi, unsigned code)
{
    uint64_t word0 = VTD_DESC_PAGE_RESPONSE;

    word0 = FIELD_SET(word0, PAGE_RESPONSE_DESC0, RID, rid);
    word0 = FIELD_SET(word0, PAGE_RESPONSE_DESC0, RC, code);
    if (pasid != PAGE_REQUEST_NO_PASID) {
        word0 = FIELD_SET(word0, PAGE_RESPONSE_DESC0, PP, 1);
        word0 = FIELD_SET(word0, DESC0, PASID, pasid);
    }
    vtd_guest_submit(f, word0, FIELD_SET(0, PAGE_RESPONSE_DESC1, PRGI, prgi));
}

bool vtd_guest_consume(VtdFixture *f, uint64_t entry[4])
{
    GuestByteRing ring = {
        .pqs = FIELD_GET(vtd_guest_read64(f, A_PQA), PQA, PQS),
        .tail = vtd_guest_read64(f, A_PQT),
        .head = vtd_guest_read64(f, A_PQH),
    };
    uint32_t offset = guest_byte_ring_offset(&ring, ring.head);

    if (guest_byte_ring_empty(&ring)) {
        return false;
    }
    guest_words_load(entry, vtd_guest_words(f, VTD_GUEST_PRQ + offset), 4);
    vtd_guest_write64(f, A_PQH, guest_byte_ring_advance(&ring, ring.head, 1));
    return true;
}
