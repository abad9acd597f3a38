/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Invariant: an item is a run of records with one cookie that ends with the
 * first LAST_PAGE in it, so every record is in exactly one item, and no cookie
 * goes unnamed. A run that ends without LAST_PAGE makes the stream skip: the
 * runs after it are malformed too, up to and including the next LAST_PAGE.
 */
#include "hw/iommu/pgfault-stream.h"

#include "host/iommufd-abi.h"

#include <string.h>

_Static_assert(sizeof(struct iommu_hwpt_pgfault) == PGFAULT_RECORD_SIZE,
               "PGFAULT_RECORD_SIZE is not the kernel's");

/*
 * The kernel copies its internal flags, of which one more may be set: that the
 * answer needs the PASID. It adds the PASID itself, so this means nothing here.
 */
#define FLAG_RESPONSE_NEEDS_PASID (UINT32_C(1) << 2)

#define KNOWN_FLAGS                                                       \
    (IOMMU_PGFAULT_FLAGS_PASID_VALID | IOMMU_PGFAULT_FLAGS_LAST_PAGE |    \
     FLAG_RESPONSE_NEEDS_PASID)

static struct iommu_hwpt_pgfault load_record(const uint8_t *from)
{
    struct iommu_hwpt_pgfault record;

    memcpy(&record, from, sizeof(record));
    return record;
}

static size_t bytes_left(const PgfaultStream *stream)
{
    return stream->end - stream->pos;
}

static void begin_group(PgfaultGroup *group, const uint8_t *first)
{
    struct iommu_hwpt_pgfault record = load_record(first);

    group->first = first;
    group->cookie = record.cookie;
    group->dev_id = record.dev_id;
    group->grpid = record.grpid;
    group->pasid_valid = record.flags & IOMMU_PGFAULT_FLAGS_PASID_VALID;
    group->pasid = group->pasid_valid ? record.pasid : 0;
}

/* Whether a kernel may have written @record into @group. */
static bool belongs(const PgfaultGroup *group,
                    const struct iommu_hwpt_pgfault *record)
{
    bool pasid_valid = record->flags & IOMMU_PGFAULT_FLAGS_PASID_VALID;

    return !(record->flags & ~KNOWN_FLAGS) &&
           record->dev_id == group->dev_id &&
           record->grpid == group->grpid &&
           pasid_valid == group->pasid_valid &&
           (!pasid_valid || record->pasid == group->pasid);
}

static PgfaultKind take_run(PgfaultStream *stream, PgfaultGroup *group)
{
    bool good = !stream->skipping;

    begin_group(group, stream->pos);
    stream->skipping = true;
    while (bytes_left(stream) >= PGFAULT_RECORD_SIZE) {
        struct iommu_hwpt_pgfault record = load_record(stream->pos);

        if (record.cookie != group->cookie) {
            break;
        }
        good &= belongs(group, &record);
        group->count++;
        stream->pos += PGFAULT_RECORD_SIZE;
        if (record.flags & IOMMU_PGFAULT_FLAGS_LAST_PAGE) {
            stream->skipping = false;
            break;
        }
    }
    return good && !stream->skipping ? PGFAULT_GROUP : PGFAULT_MALFORMED;
}

void pgfault_stream_feed(PgfaultStream *stream, const void *buf, size_t len)
{
    stream->pos = buf;
    /* An empty read may come with no buffer; NULL + 0 is not C. */
    stream->end = len ? stream->pos + len : stream->pos;
    stream->skipping = false;
}

PgfaultKind pgfault_stream_next(PgfaultStream *stream, PgfaultGroup *group)
{
    *group = (PgfaultGroup) { 0 };
    if (bytes_left(stream) >= PGFAULT_RECORD_SIZE) {
        return take_run(stream, group);
    }
    if (bytes_left(stream) > 0) {
        stream->pos = stream->end;
        return PGFAULT_TRUNCATED;
    }
    return PGFAULT_END;
}

Pgfault pgfault_group_page(const PgfaultGroup *group, size_t i)
{
    struct iommu_hwpt_pgfault record =
        load_record(group->first + i * PGFAULT_RECORD_SIZE);

    return (Pgfault) { .addr = record.addr, .perm = record.perm };
}
