/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Parts of an explanation end in "; ", which the last one loses.
 */
#include "run-sample.h"

#include <inttypes.h>

/* Every event comes to one of these ends. */
static uint64_t accounted(const RunSample *sample)
{
    return sample->pump.delivered + sample->pump.discarded + sample->pump.lost;
}

/* Every group that the vIOMMU took in is one of these. */
static uint64_t groups_accounted(const ViommuPageStats *stats)
{
    return stats->answered + stats->invalid + stats->retried + stats->open;
}

/* Every operation that the guest heard of again. */
static uint64_t operations_seen(const RunOperations *operations)
{
    return operations->verified + operations->corrupt + operations->failed;
}

static uint64_t distance(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

uint64_t run_sample_pending(const RunSample *sample)
{
    const RunPages *pages = &sample->pages;
    const RunOperations *operations = &sample->operations;

    uint64_t groups, under_way;

    if (sample->uncounted) {
        return pages->pump.open +
               distance(sample->pump.delivered, sample->seen + sample->corrupt);
    }
    /* One group may be missing in several of these sums. */
    groups = MAX(distance(pages->raised, pages->responded),
                 distance(pages->raised, groups_accounted(&pages->pump)));
    groups = MAX(groups, pages->pump.open);
    under_way = distance(operations->begun, operations_seen(operations));
    /* An operation may wait for a group. */
    return distance(sample->generated, accounted(sample)) +
           distance(sample->pump.delivered, sample->seen + sample->corrupt) +
           MAX(groups, under_way);
}

/* @format has a place for each of two numbers that should be equal. */
G_GNUC_PRINTF(2, 0)
static void explain_difference(GString *text, const char *format, uint64_t a,
                               uint64_t b)
{
    if (a != b) {
        g_string_append_printf(text, format, a, b);
        g_string_append_printf(text, " (difference %+" PRId64 "); ",
                               (int64_t)(a - b));
    }
}

/* What should not have happened at all. */
static void explain_count(GString *text, uint64_t count, const char *what)
{
    if (count > 0) {
        g_string_append_printf(text, "%" PRIu64 " %s; ", count, what);
    }
}

/* What is lost must be shown to the guest, and noticed by it. */
static void explain_loss(GString *text, const RunSample *sample)
{
    if (sample->pump.lost > 0 && sample->pump.overflows == 0) {
        g_string_append_printf(text, "%" PRIu64 " events lost, but no overflow "
                               "shown to the guest; ", sample->pump.lost);
    }
    if (sample->guest_overflows != sample->pump.overflows) {
        g_string_append_printf(text, "%" PRIu64 " overflows shown to the guest,"
                               " but %" PRIu64 " seen by it; ",
                               sample->pump.overflows, sample->guest_overflows);
    }
}

static void explain_events(GString *text, const RunSample *sample)
{
    if (!sample->uncounted) {
        explain_difference(text, "%" PRIu64 " events generated, but %" PRIu64
                           " delivered, discarded or lost",
                           sample->generated, accounted(sample));
    }
    explain_difference(text, "%" PRIu64 " records delivered, but %" PRIu64
                       " read by the guest", sample->pump.delivered,
                       sample->seen + sample->corrupt);
    explain_count(text, sample->corrupt,
                  "records damaged, out of order or twice");
    explain_count(text, sample->refused, "events refused by the host");
    explain_loss(text, sample);
    explain_count(text, sample->gerrors, "global errors or faults");
}

/* Each group once in, and once out, on both sides of the vIOMMU. */
static void explain_pages(GString *text, const RunSample *sample)
{
    const RunPages *pages = &sample->pages;

    if (!sample->uncounted) {
        explain_difference(text, "%" PRIu64 " groups raised, but %" PRIu64
                           " taken in", pages->raised, pages->pump.raised);
    }
    explain_difference(text, "%" PRIu64 " groups taken in, but %" PRIu64
                       " answered, invalid, retried or open",
                       pages->pump.raised, groups_accounted(&pages->pump));
    if (!sample->uncounted) {
        explain_difference(text, "%" PRIu64 " groups raised, but %" PRIu64
                           " responded to", pages->raised, pages->responded);
    }
    explain_difference(text, "%" PRIu64 " answers of the guest's counted by "
                       "the vIOMMU, but %" PRIu64 " by the guest",
                       pages->pump.answered + pages->pump.stray,
                       pages->guest_answered);
    explain_count(text, pages->pump.open, "groups open");
    explain_count(text, pages->failed, "groups not answered Success");
    explain_count(text, pages->unexpected, "groups answered twice");
    explain_count(text, pages->pump.stray, "answers of the guest's to groups "
                                           "that were not open");
    explain_count(text, pages->refused, "groups refused by the host");
    explain_count(text, pages->guest_bad, "page requests damaged");
    explain_count(text, pages->unlike, "devices whose page requests the guest "
                                       "has not read as they were raised");
    if (pages->guest_overflows != pages->pump.overflows) {
        g_string_append_printf(text, "%" PRIu64 " page request overflows shown "
                               "to the guest, but %" PRIu64 " seen by it; ",
                               pages->pump.overflows, pages->guest_overflows);
    }
}

static void explain_operations(GString *text, const RunOperations *operations)
{
    explain_difference(text, "%" PRIu64 " operations begun, but %" PRIu64
                       " verified, corrupt or failed", operations->begun,
                       operations_seen(operations));
    explain_difference(text, "%" PRIu64 " operations completed, but %" PRIu64
                       " verified or corrupt", operations->completed,
                       operations->verified + operations->corrupt);
    explain_count(text, operations->corrupt, "operations with wrong results");
    explain_count(text, operations->failed, "operations failed");
    explain_count(text, operations->changed, "results changed after they were "
                                             "verified");
    explain_count(text, operations->damaged, "pages written to after their "
                                             "translation was gone");
}

/* Without the last separator; NULL if there is nothing to say. */
static char *take_text(GString *text)
{
    if (text->len == 0) {
        g_string_free(text, TRUE);
        return NULL;
    }
    g_string_truncate(text, text->len - 2);
    return g_string_free(text, FALSE);
}

char *run_sample_explain(const RunSample *sample)
{
    GString *text = g_string_new(NULL);

    explain_events(text, sample);
    explain_pages(text, sample);
    explain_operations(text, &sample->operations);
    return take_text(text);
}

char *run_sample_explain_stop(const RunSample *before, const RunSample *after)
{
    const RunPages *was = &before->pages;
    const RunPages *is = &after->pages;
    GString *text = g_string_new(NULL);

    explain_count(text, after->gerrors - before->gerrors,
                  "global errors, faults or refused commands");
    explain_count(text, after->corrupt - before->corrupt,
                  "records damaged, out of order or twice");
    explain_count(text, is->guest_bad - was->guest_bad,
                  "page requests damaged");
    explain_count(text, is->unexpected - was->unexpected,
                  "groups answered twice");
    explain_count(text, is->pump.stray - was->pump.stray,
                  "answers of the guest's to groups that were not open");
    explain_count(text, is->pump.open, "groups open");
    explain_count(text, after->operations.damaged - before->operations.damaged,
                  "pages written to after their translation was gone");
    return take_text(text);
}
