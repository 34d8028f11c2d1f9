/* stream.h - a stream of all kinds of records from one number, for tests of the writer. */
#ifndef GT_TESTS_WIRE_STREAM_H
#define GT_TESTS_WIRE_STREAM_H

#include <stdio.h>

#include "format/wire/writer.h"

/* Writes about @events events and their tables; @text (may be NULL) gets what read_gtrace.py prints for them.
 * With @flush_each a frame holds one event. Returns the first failure. */
int stream_write(struct gt_writer *writer, FILE *text, uint32_t seed, size_t events, bool flush_each);

#endif
