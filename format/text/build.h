/*
 * build.h - a .gtrace file put together record by record, as told, possible or not.
 *
 *   gt_build_begin -> (frame -> record...)... -> gt_build_end
 *
 * For text_read and for tests: it holds back nothing (a writer would), so that it shares no code with the writer
 * and each can be tested against the other.
 */
#ifndef GT_FORMAT_BUILD_H
#define GT_FORMAT_BUILD_H

#include "base/error.h"
#include "format/reading/reader.h"

#include <stdio.h>

/* Bytes that grow. Zero is empty. */
struct gt_build_bytes {
	uint8_t *at;
	size_t size, room;
	bool no_memory;
};

void gt_build_u8(struct gt_build_bytes *bytes, uint8_t value);
void gt_build_uvarint(struct gt_build_bytes *bytes, uint64_t value);
void gt_build_put(struct gt_build_bytes *bytes, const void *from, size_t size);
void gt_build_text(struct gt_build_bytes *bytes, const void *from, size_t size); /* length first */
void gt_build_bytes_free(struct gt_build_bytes *bytes);

struct gt_build_keyed {
	struct gt_build_bytes key, value;
	uint64_t count;
	bool loss;
};

struct gt_build {
	FILE *out;
	uint64_t offset;
	struct gt_build_bytes raw, packed, frames; /* of the open frame; FRAME records of the index */
	bool open;                                 /* a frame is open */
	bool window;
	uint64_t ticks, watermark; /* its header */
	int64_t monotonic_ns;
	uint64_t events, events_told; /* counted; UINT64_MAX: take events */
	uint64_t first, last;
	struct gt_build_keyed *finals; /* metas and losses for the index */
	size_t final_count;
};

int gt_build_begin(struct gt_build *build, FILE *out, const struct gt__header *header);
/* Closes the frame that is open. @events: UINT64_MAX = as many as there are. */
int gt_build_frame(struct gt_build *build, uint64_t ticks, int64_t monotonic_ns, uint64_t watermark, uint64_t events);
int gt_build_record(struct gt_build *build, unsigned int type, const void *bytes, size_t size);
/* Into the open frame without a record around it. */
int gt_build_raw(struct gt_build *build, const void *bytes, size_t size);
/* Index and trailer. Without it the file is one that was cut. */
int gt_build_index(struct gt_build *build, uint64_t ticks, int64_t monotonic_ns, uint64_t watermark);
/* Closes what is open and frees. 0 or -errno of anything before. */
int gt_build_end(struct gt_build *build);

#endif
