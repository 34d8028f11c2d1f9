/*
 * frames.h - raw frames in, compressed ones with their headers into the file; keeps the index.
 *
 *   gt__frames_open -> (gt__frames_get, fill, gt__frames_put)* -> gt__frames_finish or gt__frames_drop
 *
 * With a worker, a frame that was put belongs to the worker's thread until it is stored; the caller fills
 * another one meanwhile, and waits when all are on their way. Failures show at a later call.
 */
#ifndef GT_FORMAT_FRAMES_H
#define GT_FORMAT_FRAMES_H

#include "format/wire/disk.h"

#define GT__HEADER_BYTES       64
#define GT__FRAME_HEADER_BYTES 48
#define GT__FRAME_RAW_MAX      (16u << 20)

struct gt__frames;

struct gt__frame {
	uint8_t *raw; /* raw_bytes of the config, and 16 more that nobody reads */
	size_t size;
	uint32_t event_count;
	uint64_t first; /* times of the earliest and latest event; 0 when there is none */
	uint64_t last;
	uint64_t ticks;
	int64_t monotonic_ns;
	uint64_t watermark;
	bool push; /* leave it to no later frame to bring this one to the disk */
};

struct gt__frames_config {
	struct gt__disk_config disk; /* buffer_bytes is set here */
	size_t raw_bytes;
	int level;
	bool worker;
	const uint8_t *header; /* GT__HEADER_BYTES */
};

int gt__frames_open(const struct gt__frames_config *config, struct gt__frames **out, struct gt_error *err);

/* An empty frame, the same until it is put. NULL after a failure. */
struct gt__frame *gt__frames_get(struct gt__frames *frames);
int gt__frames_put(struct gt__frames *frames);

int gt__frames_failure(struct gt__frames *frames, struct gt_error *err);
uint64_t gt__frames_stored(struct gt__frames *frames);
bool gt__frames_uses_uring(struct gt__frames *frames);

/* The end of the file: of the index, @tables are the META and LOSS records; of @last, the clock pair and the
 * watermark are used. */
struct gt__frames_end {
	const uint8_t *tables;
	size_t size;
	struct gt__frame last;
	int failed; /* < 0: the caller's own failure keeps the file from its final name */
	struct gt_error error;
};
/* Frees @frames in any case. */
int gt__frames_finish(struct gt__frames *frames, const struct gt__frames_end *end, struct gt_error *err);
void gt__frames_drop(struct gt__frames *frames);

#endif
