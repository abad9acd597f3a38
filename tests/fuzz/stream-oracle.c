/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream-oracle.h"

#include "host/iommufd-abi.h"

#include <glib.h>
#include <string.h>

#define NUMBERS (UINT64_C(1) << 31)

size_t vevent_oracle(const uint8_t *buf, size_t len, size_t record_size,
                     VeventItem items[ORACLE_ITEMS])
{
    size_t count = 0;
    size_t at = 0;

    while (at < len) {
        struct iommufd_vevent_header header = { .flags = UINT32_MAX };
        VeventItem *item = &items[count++];
        size_t size = sizeof(header);

        if (len - at >= size) {
            memcpy(&header, buf + at, size);
        }
        size += header.flags == 0 ? record_size : 0;
        if (header.flags > 1 || header.sequence >> 31 || len - at < size) {
            *item = (VeventItem){ .kind = VEVENT_MALFORMED };
            break;
        }
        *item = (VeventItem){
            .kind = header.flags ? VEVENT_LOST : VEVENT_EVENT,
            .at = at + sizeof(header), .sequence = header.sequence,
        };
        at += size;
    }
    return count;
}

void vevent_oracle_check(uint64_t *position, const VeventItem *item,
                         const Vevent *event)
{
    g_assert_cmpuint(event->lost, <, NUMBERS);
    *position += event->lost;
    switch (item->kind) {
    case VEVENT_EVENT:
        g_assert_cmpuint(*position % NUMBERS, ==, item->sequence);
        (*position)++;
        break;
    case VEVENT_LOST:
        /* The last of the lost ones. */
        g_assert_cmpuint(*position % NUMBERS, ==,
                         (item->sequence + 1) % NUMBERS);
        break;
    default:
        g_assert_cmpuint(event->lost, ==, 0);
        break;
    }
}

/* Numbers from @position up to @number; moves there. */
static uint64_t count_up(uint64_t *position, uint32_t number)
{
    uint64_t lost = (NUMBERS + number - *position % NUMBERS) % NUMBERS;

    *position += lost;
    return lost;
}

uint64_t vevent_oracle_lost(uint64_t *position, const VeventItem *items,
                            size_t count)
{
    uint64_t lost = 0;

    for (size_t i = 0; i < count; i++) {
        if (items[i].kind == VEVENT_LOST) {
            lost += count_up(position, (items[i].sequence + 1) % NUMBERS);
        } else if (items[i].kind == VEVENT_EVENT) {
            lost += count_up(position, items[i].sequence);
            (*position)++;
        }
    }
    return lost;
}

static struct iommu_hwpt_pgfault record_at(const uint8_t *buf, size_t index)
{
    struct iommu_hwpt_pgfault record;

    memcpy(&record, buf + index * sizeof(record), sizeof(record));
    return record;
}

static bool is_last(const uint8_t *buf, size_t index)
{
    return record_at(buf, index).flags & IOMMU_PGFAULT_FLAGS_LAST_PAGE;
}

/* Whether records from @first to before @end can be one group. */
static bool one_group(const uint8_t *buf, size_t first, size_t end)
{
    struct iommu_hwpt_pgfault a = record_at(buf, first);

    for (size_t i = first; i < end; i++) {
        struct iommu_hwpt_pgfault b = record_at(buf, i);
        uint32_t changes = a.flags ^ b.flags;

        /* The kernel's: PASID valid, last page, and "answer needs PASID". */
        if (b.flags > 7 || (changes & IOMMU_PGFAULT_FLAGS_PASID_VALID) ||
            a.dev_id != b.dev_id || a.grpid != b.grpid ||
            a.cookie != b.cookie ||
            ((a.flags & IOMMU_PGFAULT_FLAGS_PASID_VALID) &&
             a.pasid != b.pasid)) {
            return false;
        }
    }
    return is_last(buf, end - 1);
}

/* Up to @end, which is a LAST_PAGE or the last record: runs of a cookie. */
static size_t cut_span(const uint8_t *buf, size_t first, size_t end,
                       PgfaultItem *items)
{
    PgfaultKind kind = one_group(buf, first, end) ? PGFAULT_GROUP
                                                  : PGFAULT_MALFORMED;
    size_t count = 0;

    for (size_t i = first; i < end; i++) {
        uint32_t cookie = record_at(buf, i).cookie;

        if (i == first || cookie != items[count - 1].cookie) {
            items[count++] = (PgfaultItem){
                .kind = kind, .at = i * PGFAULT_RECORD_SIZE, .cookie = cookie,
            };
        }
        items[count - 1].count++;
    }
    return count;
}

size_t pgfault_oracle(const uint8_t *buf, size_t len,
                      PgfaultItem items[ORACLE_ITEMS])
{
    size_t records = len / PGFAULT_RECORD_SIZE;
    size_t count = 0;
    size_t first = 0;

    for (size_t i = 0; i < records; i++) {
        if (is_last(buf, i) || i == records - 1) {
            count += cut_span(buf, first, i + 1, items + count);
            first = i + 1;
        }
    }
    if (len % PGFAULT_RECORD_SIZE) {
        items[count++] = (PgfaultItem){ .kind = PGFAULT_TRUNCATED };
    }
    return count;
}

void pgfault_oracle_check(const uint8_t *buf, const PgfaultItem *item,
                          const PgfaultGroup *group)
{
    const uint8_t *first = buf + item->at;
    struct iommu_hwpt_pgfault record;

    g_assert_cmpuint(group->count, ==, item->count);
    g_assert_cmpuint(group->cookie, ==, item->cookie);
    if (item->count == 0) {
        g_assert_null(group->first);
        return;
    }
    g_assert_true(group->first == first);
    record = record_at(first, 0);
    g_assert_cmpuint(group->dev_id, ==, record.dev_id);
    g_assert_cmpuint(group->grpid, ==, record.grpid);
    g_assert_true(group->pasid_valid == (record.flags & 1));
    g_assert_cmpuint(group->pasid, ==, record.flags & 1 ? record.pasid : 0);
    for (size_t i = 0; i < group->count; i++) {
        Pgfault page = pgfault_group_page(group, i);

        record = record_at(first, i);
        g_assert_cmpuint(page.addr, ==, record.addr);
        g_assert_cmpuint(page.perm, ==, record.perm);
    }
}
