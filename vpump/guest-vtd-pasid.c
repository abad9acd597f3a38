/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The order is that of Linux's device_pasid_table_setup(),
 * intel_pasid_setup_first_level() and intel_pasid_tear_down_entry(): entries
 * are whole before P is set, and what may have been cached is forgotten after.
 */
#include "guest-vtd-internal.h"

#include "base/error.h"

/* 9.1: half a root entry: for devfn 0 to 127, or 128 to 255 */
FIELD(ROOT, P, 0, 1)

/* 9.4: scalable-mode context entry */
FIELD(CONTEXT0, P, 0, 1)
FIELD(CONTEXT0, DTE, 2, 1)
FIELD(CONTEXT0, PASIDE, 3, 1)
FIELD(CONTEXT0, PRE, 4, 1)

/* 9.5 */
FIELD(DIRECTORY, P, 0, 1)

/* 9.6 */
FIELD(PASID0, P, 0, 1)
FIELD(PASID0, AW, 2, 3)
FIELD(PASID0, PGTT, 6, 3)
FIELD(PASID1, DID, 0, 16)
FIELD(PASID1, PWSNP, 23, 1)

#define TABLE_ADDR_MASK BIT_RANGE(12, 52)

enum { PGTT_FIRST = 1, PGTT_PASS_THROUGH = 4 };
enum { AW_48 = 2 };

/* Linux's FLPT_DEFAULT_DID, of all that does not translate. */
enum { DID_PASS_THROUGH = 1, DID_FIRST = 2 };

enum {
    TABLE_BYTES = 4096,
    CONTEXT_WORDS = 4,
    /* PDTS 0: 128 entries, each for 64 PASIDs. */
    DIRECTORY_ENTRIES = 128,
    PASIDS_PER_TABLE = 64,
    /* Times that a PASID is drained while the queue overflows. */
    DRAIN_TURNS = 16,
};

#define CONTEXT_BYTES (UINT64_C(8) * CONTEXT_WORDS)
#define PASID_ENTRY_BYTES (UINT64_C(8) * PASID_ENTRY_WORDS)

G_STATIC_ASSERT(GUEST_VTD_PASIDS_MAX < DIRECTORY_ENTRIES * PASIDS_PER_TABLE);

/* Spaces lie at different addresses, each across a boundary of all levels. */
#define SPACE_BASE(pasid, pages) \
    ((UINT64_C(1) + (pasid) % 128) * (UINT64_C(1) << 39) - \
     (uint64_t)(pages) / 2 * GUEST_FRAME_BYTES)

static uint64_t *words_at(GuestVtd *guest, uint64_t gpa)
{
    return guest_ram_ptr(guest->ram, gpa);
}

/* The table that @entry names; an empty one is made if it names none. */
static uint64_t table_of(GuestVtd *guest, uint64_t *entry, GError **error)
{
    uint64_t word;

    guest_words_load(&word, entry, 1);
    if (!word) {
        uint64_t gpa = guest_ram_alloc(guest->ram, TABLE_BYTES, TABLE_BYTES,
                                       error);

        if (!gpa) {
            return 0;
        }
        word = gpa | FIELD_MASK(ROOT, P);
        guest_words_store(entry, &word, 1);
    }
    return word & TABLE_ADDR_MASK;
}

static uint64_t *context_entry(GuestVtd *guest, uint32_t rid, GError **error)
{
    uint64_t *root = words_at(guest, guest->root_gpa);
    uint32_t devfn = rid & 0xff;
    uint64_t table = table_of(guest, &root[2 * (rid >> 8) + devfn / 128],
                              error);

    return table ? words_at(guest, table + devfn % 128 * CONTEXT_BYTES) : NULL;
}

static uint64_t *pasid_entry(GuestVtdFunction *function, uint32_t pasid,
                             GError **error)
{
    GuestVtd *guest = function->guest;
    uint64_t *directory = words_at(guest, function->directory_gpa);
    uint64_t table = table_of(guest, &directory[pasid / PASIDS_PER_TABLE],
                              error);

    return table ? words_at(guest, table + pasid % PASIDS_PER_TABLE *
                                               PASID_ENTRY_BYTES)
                 : NULL;
}

/* Word 0 last, which has P: the others are there when it can be seen. */
static void entry_store(uint64_t *entry, const uint64_t *words, size_t count)
{
    guest_words_store(entry + 1, words + 1, count - 1);
    __atomic_store_n(entry, GUINT64_TO_LE(words[0]), __ATOMIC_RELEASE);
}

static bool submit(GuestVtd *guest, const GuestVtdDescriptor *descriptors,
                   size_t count, const char *what, uint32_t rid,
                   GError **error)
{
    if (!guest_qi_submit(guest, descriptors, count, false)) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "invalidation of the %s of device 0x%x failed", what, rid);
        return false;
    }
    return true;
}

/* With caching mode, what was not present may be cached, in domain 0. */
static bool context_present(GuestVtdFunction *function, GError **error)
{
    GuestVtd *guest = function->guest;
    const GuestVtdDescriptor descriptors[] = {
        guest_qi_context_device(function->rid), guest_qi_iotlb_domain(0),
    };

    return !FIELD_GET(guest->cap, DMAR_CAP, CM) ||
           submit(guest, descriptors, G_N_ELEMENTS(descriptors),
                  "context entry", function->rid, error);
}

static bool set_context(GuestVtdFunction *function, GError **error)
{
    /* RID_PASID 0, PDTS 0 */
    const uint64_t words[CONTEXT_WORDS] = {
        function->directory_gpa | FIELD_MASK(CONTEXT0, DTE) |
            FIELD_MASK(CONTEXT0, PRE) | FIELD_MASK(CONTEXT0, PASIDE) |
            FIELD_MASK(CONTEXT0, P),
    };

    function->context = context_entry(function->guest, function->rid, error);
    if (!function->context) {
        return false;
    }
    entry_store(function->context, words, CONTEXT_WORDS);
    return context_present(function, error);
}

static bool pasid_present(GuestVtdFunction *function, uint16_t did,
                          uint32_t pasid, GError **error)
{
    GuestVtd *guest = function->guest;
    const GuestVtdDescriptor descriptors[] = {
        guest_qi_pasid_cache(did, pasid), guest_qi_piotlb_all(did, pasid),
    };

    return !FIELD_GET(guest->cap, DMAR_CAP, CM) ||
           submit(guest, descriptors, G_N_ELEMENTS(descriptors),
                  "PASID entry", function->rid, error);
}

static bool set_pasid(GuestVtdFunction *function, uint64_t *entry,
                      uint32_t pasid, unsigned pgtt, uint16_t did,
                      uint64_t root, GError **error)
{
    bool snoop = FIELD_GET(function->guest->ecap, DMAR_ECAP, SMPWCS);
    uint64_t words[PASID_ENTRY_WORDS] = { FIELD_MASK(PASID0, P) };

    words[0] = FIELD_SET(words[0], PASID0, AW, AW_48);
    words[0] = FIELD_SET(words[0], PASID0, PGTT, pgtt);
    words[1] = FIELD_SET(words[1], PASID1, DID, did);
    words[1] = FIELD_SET(words[1], PASID1, PWSNP, snoop);
    words[2] = root;                        /* FSPM 0: 4 levels */
    entry_store(entry, words, PASID_ENTRY_WORDS);
    return pasid_present(function, did, pasid, error);
}

/* RID_PASID: what the device does without a PASID passes through, or faults. */
static bool set_rid_pasid(GuestVtdFunction *function, GError **error)
{
    uint64_t *entry;

    if (!FIELD_GET(function->guest->ecap, DMAR_ECAP, PT)) {
        return true;
    }
    entry = pasid_entry(function, 0, error);
    return entry && set_pasid(function, entry, 0, PGTT_PASS_THROUGH,
                              DID_PASS_THROUGH, 0, error);
}

/* What a guest owes after it has cleared PTEs. */
static void flush_pages(void *opaque, const uint64_t *addrs, size_t count)
{
    const GuestVtdPasid *self = opaque;
    const GuestVtdFunction *function = self->function;
    GuestVtdDescriptor descriptors[2 * GUEST_TAKE_MAX];

    for (size_t i = 0; i < count; i++) {
        descriptors[i] = guest_qi_piotlb_page(function->did, self->pasid,
                                              addrs[i]);
        descriptors[count + i] = guest_qi_dev_tlb_page(function->rid,
                                                       self->pasid, addrs[i]);
    }
    guest_qi_submit(function->guest, descriptors, 2 * count, false);
}

G_STATIC_ASSERT(2 * GUEST_TAKE_MAX <= QI_BATCH_MAX);

static bool add_pasid(GuestVtdFunction *function, uint32_t pasid,
                      const GuestVtdDevice *device, GError **error)
{
    GuestVtd *guest = function->guest;
    GuestVtdPasid *self = &function->pasids[pasid - 1];
    const GuestAddressSpaceConfig config = {
        .ram = guest->ram,
        .frames = device->contents ? guest->frames : guest->bare_frames,
        .base = SPACE_BASE(pasid, device->pages), .pages = device->pages,
        .contents = device->contents, .flush = flush_pages, .opaque = self,
    };

    self->function = function;
    self->pasid = pasid;
    self->space = guest_address_space_new(&config, error);
    if (!self->space) {
        return false;
    }
    self->entry = pasid_entry(function, pasid, error);
    return self->entry &&
           set_pasid(function, self->entry, pasid, PGTT_FIRST, function->did,
                     guest_address_space_get_root(self->space), error);
}

bool guest_pasid_init(GuestVtd *guest, GError **error)
{
    guest->root_gpa = guest_ram_alloc(guest->ram, TABLE_BYTES, TABLE_BYTES,
                                      error);
    return guest->root_gpa != 0;
}

/* In the array from the start: whatever part of it is made gets freed. */
bool guest_pasid_add_function(GuestVtd *guest, const GuestVtdDevice *device,
                              GError **error)
{
    GuestVtdFunction *function = g_new0(GuestVtdFunction, 1);

    function->guest = guest;
    function->rid = device->rid;
    function->did = DID_FIRST + guest->functions->len;
    function->pasid_count = device->pasids;
    function->pasids = g_new0(GuestVtdPasid, device->pasids);
    g_ptr_array_add(guest->functions, function);
    g_hash_table_insert(guest->by_rid, GUINT_TO_POINTER(device->rid),
                        function);
    function->directory_gpa = guest_ram_alloc(guest->ram, TABLE_BYTES,
                                              TABLE_BYTES, error);
    if (!function->directory_gpa || !set_context(function, error) ||
        !set_rid_pasid(function, error)) {
        return false;
    }
    for (uint32_t pasid = 1; pasid <= device->pasids; pasid++) {
        if (!add_pasid(function, pasid, device, error)) {
            return false;
        }
    }
    return true;
}

static void remove_pasid(GuestVtdFunction *function, uint64_t *entry,
                         uint16_t did, uint32_t pasid)
{
    const GuestVtdDescriptor descriptors[] = {
        guest_qi_pasid_cache(did, pasid),
        guest_qi_piotlb_all(did, pasid),
        guest_qi_dev_tlb_all(function->rid, pasid),
    };
    const uint64_t words[PASID_ENTRY_WORDS] = { 0 };
    uint64_t word0;

    guest_words_load(&word0, entry, 1);
    if (!FIELD_GET(word0, PASID0, P)) {
        return;
    }
    __atomic_store_n(entry, 0, __ATOMIC_RELEASE);
    guest_words_store(entry, words, PASID_ENTRY_WORDS);
    guest_qi_submit(function->guest, descriptors, G_N_ELEMENTS(descriptors),
                    false);
}

static bool prq_overflowed(GuestVtd *guest)
{
    return FIELD_GET(guest_vtd_read32(guest, DMAR_PRS), DMAR_PRS, PRO);
}

/*
 * 7.10: nothing of the PASID is in the unit, the device or the queue then. The
 * thread would empty the queue, but is gone. As in Linux, once more if the
 * queue overflowed; but not for ever.
 */
static void drain_pasid(GuestVtdFunction *function, uint32_t pasid)
{
    const GuestVtdDescriptor descriptors[] = {
        guest_qi_fence(),
        guest_qi_piotlb_all(function->did, pasid),
        guest_qi_dev_tlb_all(function->rid, pasid),
    };

    guest_prq_serve(function->guest);
    for (int turn = 0; turn < DRAIN_TURNS; turn++) {
        bool overflowed;

        guest_qi_submit(function->guest, descriptors,
                        G_N_ELEMENTS(descriptors), true);
        overflowed = prq_overflowed(function->guest);
        guest_prq_serve(function->guest);
        if (!overflowed) {
            return;
        }
    }
    guest_qi_count_error(function->guest);
}

static void clear_context(GuestVtdFunction *function)
{
    const GuestVtdDescriptor descriptors[] = {
        guest_qi_context_device(function->rid),
        guest_qi_pasid_cache_global(),
        guest_qi_iotlb_global(),
    };
    const uint64_t words[CONTEXT_WORDS] = { 0 };

    guest_words_store(function->context, words, CONTEXT_WORDS);
    guest_qi_submit(function->guest, descriptors, G_N_ELEMENTS(descriptors),
                    false);
}

void guest_pasid_remove_function(GuestVtdFunction *function)
{
    GError *error = NULL;

    if (!function->context) {
        return;
    }
    for (uint32_t i = 0; i < function->pasid_count; i++) {
        GuestVtdPasid *self = &function->pasids[i];

        if (self->entry) {
            self->removed = true;
            remove_pasid(function, self->entry, function->did, self->pasid);
            drain_pasid(function, self->pasid);
        }
    }
    if (FIELD_GET(function->guest->ecap, DMAR_ECAP, PT)) {
        uint64_t *entry = pasid_entry(function, 0, &error);

        if (entry) {
            remove_pasid(function, entry, DID_PASS_THROUGH, 0);
        }
        g_clear_error(&error);
    }
    clear_context(function);
}

void guest_pasid_free_function(GuestVtdFunction *function)
{
    for (uint32_t i = 0; i < function->pasid_count; i++) {
        guest_address_space_free(function->pasids[i].space);
    }
    g_free(function->pasids);
    g_free(function);
}
