/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Proof by cbmc of hw/iommu/pgfault-stream.c: any bytes of a read of up to two
 * records, or of one and a part. No access is outside the read, every item
 * makes progress, every record is in one item, and what is called a group is
 * one.
 *
 * run: READ=0          | unwind 4 | pass
 * run: READ=39         | unwind 4 | pass
 * run: READ=79         | unwind 4 | pass
 * run: READ=80         | unwind 4 | pass
 * run: READ=79,BAD_WHOLE     | unwind 4 | fail upper bound|inside the read|readable
 * run: READ=80,BAD_NO_LAST   | unwind 4 | fail only the last page is the last
 * run: READ=80,BAD_COOKIE    | unwind 4 | fail one cookie
 * run: READ=80,BAD_GROUP     | unwind 4 | fail one group
 * run: READ=40,BAD_CUT_GROUP | unwind 4 | fail only the last page is the last
 *
 * mutate: BAD_WHOLE hw/iommu/pgfault-stream.c s/while (bytes_left(stream) >= PGFAULT_RECORD_SIZE)/while (bytes_left(stream) > 0)/
 * mutate: BAD_NO_LAST hw/iommu/pgfault-stream.c /stream->skipping = false;$/{n;s/break;//}
 * mutate: BAD_COOKIE hw/iommu/pgfault-stream.c s/record.cookie != group->cookie/0/
 * mutate: BAD_GROUP hw/iommu/pgfault-stream.c s/record->grpid == group->grpid/1/
 * mutate: BAD_CUT_GROUP hw/iommu/pgfault-stream.c s/return good && !stream->skipping/return good/
 */
#include "hw/iommu/pgfault-stream.c"

#include <stdlib.h>

#define CHECK(what, condition) __CPROVER_assert(condition, what)
#define ASSUME(condition) __CPROVER_assume(condition)

static struct iommu_hwpt_pgfault record_at(const uint8_t *first, size_t i)
{
    return load_record(first + i * PGFAULT_RECORD_SIZE);
}

/* As the kernel writes it: uapi/linux/iommufd.h. */
static void check_group(const PgfaultGroup *group)
{
    for (size_t i = 0; i < group->count; i++) {
        struct iommu_hwpt_pgfault record = record_at(group->first, i);
        bool last = record.flags & IOMMU_PGFAULT_FLAGS_LAST_PAGE;
        bool pasid = record.flags & IOMMU_PGFAULT_FLAGS_PASID_VALID;
        Pgfault page = pgfault_group_page(group, i);

        CHECK("only the last page is the last",
              last == (i + 1 == group->count));
        CHECK("one cookie", record.cookie == group->cookie);
        CHECK("one group", record.grpid == group->grpid);
        CHECK("one device", record.dev_id == group->dev_id);
        CHECK("one PASID, or none",
              pasid == group->pasid_valid &&
              (!pasid || record.pasid == group->pasid));
        CHECK("no unknown flag", record.flags < 8);
        CHECK("its pages", page.addr == record.addr &&
                               page.perm == record.perm);
    }
}

/* An object of its exact size, of any content. As bytes it were harder. */
typedef struct __attribute__((packed)) Read {
#if READ >= 40
    struct iommu_hwpt_pgfault records[READ / 40];
#endif
#if READ % 40
    uint8_t cut[READ % 40];
#endif
} Read;

int main(void)
{
    PgfaultStream stream;
    const size_t len = READ;
    size_t records = 0;
    uint8_t *buf = (uint8_t *)malloc(sizeof(Read));
    PgfaultKind kind;
    PgfaultGroup group;

    ASSUME(buf);

    pgfault_stream_feed(&stream, buf, len);
    while ((kind = pgfault_stream_next(&stream, &group)) != PGFAULT_END) {
        CHECK("the cursor stays inside the read",
              stream.pos - buf > 0 && stream.pos - buf <= (ptrdiff_t)len);
        if (kind == PGFAULT_TRUNCATED) {
            CHECK("what is cut names nothing, and comes last",
                  group.count == 0 && group.cookie == 0 && !group.first &&
                  stream.pos == buf + len);
            CHECK("it is less than a record",
                  len % PGFAULT_RECORD_SIZE != 0 &&
                  records == len / PGFAULT_RECORD_SIZE);
            continue;
        }
        CHECK("every record is in one item, in order",
              group.first == buf + records * PGFAULT_RECORD_SIZE);
        CHECK("every item makes progress", group.count > 0);
        records += group.count;
        CHECK("and is inside the read",
              records * PGFAULT_RECORD_SIZE <= len &&
              stream.pos == buf + records * PGFAULT_RECORD_SIZE);
        if (kind == PGFAULT_GROUP) {
            check_group(&group);
        }
    }
    CHECK("no record is left over", records == len / PGFAULT_RECORD_SIZE);
    free(buf);
    return 0;
}
