/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a recorded host asks of its Recorder.
 *
 * Threads: any.
 * Locks:   Recorder::lock, a leaf.
 */
#ifndef HOST_RECORDER_H
#define HOST_RECORDER_H

#include "host/record.h"
#include "recording-format.h"

/**
 * recorder_add() - a record of something new, which gets the next number
 * @type: %RECORD_HOST, %RECORD_DEVICE or %RECORD_QUEUE
 *
 * The rest is as recorder_append() has it.
 * Return: the number.
 */
uint32_t recorder_add(Recorder *recorder, RecordType type, const void *head,
                      size_t head_len, const void *tail, size_t tail_len);

/**
 * recorder_append() - one record, with the present time
 * @head, @head_len: the payload begins with these
 * @tail, @tail_len: and ends with these; NULL, 0 for none
 *
 * Context: Any thread. Never blocks for the file, never allocates.
 */
void recorder_append(Recorder *recorder, RecordType type, uint32_t subject,
                     const void *head, size_t head_len, const void *tail,
                     size_t tail_len);

#endif
