/*
 * sink.h - bytes out: to a file descriptor through a buffer, or into memory that grows.
 *
 * A converter bumps `at` after gt_sink_room, and never looks at errors between two records: after a failure the
 * sink swallows what it is given, gt_sink_bad tells, and gt_sink_close gives the one line for the user.
 * The descriptor stays the caller's, who also knows what to do with a file that was not finished.
 * Packed, one stream of gzip or zstd comes out, which is whole after gt_sink_close.
 */
#ifndef GT_FORMAT_SINK_H
#define GT_FORMAT_SINK_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GT_SINK_RECORD_MAX 4096 /* most that one gt_sink_room may ask for */

enum gt_sink_packing { GT_SINK_PLAIN, GT_SINK_GZIP, GT_SINK_ZSTD };

struct gt__packer;

struct gt_sink {
	char *at; /* next free byte */
	char *end;
	char *buffer;
	size_t size;
	int fd;                    /* -1: into memory */
	int error;                 /* 0 or the errno of the first failure */
	uint64_t flushed;          /* bytes that left the buffer */
	struct gt__packer *packer; /* NULL: plain */
	const char *name;          /* for the error line; the caller's */
};

/* @name is what the user calls this output ("trace.json", "standard output"); it must outlive the sink. */
int gt_sink_open_fd(struct gt_sink *sink, int fd, const char *name);
/* Into memory: after gt_sink_close the bytes are at *bytes (NUL-ended, not counted) and the caller's to free. */
int gt_sink_open_memory(struct gt_sink *sink);

/* Before anything is written, to a descriptor only. 0 or -ENOMEM. */
int gt_sink_pack(struct gt_sink *sink, enum gt_sink_packing packing);

/* Flushes and frees. 0, or -errno and the line; @bytes and @size may be NULL for a descriptor. */
int gt_sink_close(struct gt_sink *sink, char **bytes, size_t *size, struct gt_error *err);

/* The line for the failure so far; 0 when there is none. */
int gt_sink_error(const struct gt_sink *sink, struct gt_error *err);

/* Makes room; called when there is too little. */
void gt__sink_make_room(struct gt_sink *sink, size_t size);

/* At least @size (<= GT_SINK_RECORD_MAX) bytes are free at the returned place; the caller moves sink->at. */
static inline char *gt_sink_room(struct gt_sink *sink, size_t size)
{
	if (__builtin_expect((size_t)(sink->end - sink->at) < size, 0))
		gt__sink_make_room(sink, size);
	return sink->at;
}

/* Any number of bytes. */
void gt_sink_write(struct gt_sink *sink, const void *bytes, size_t size);

static inline bool gt_sink_bad(const struct gt_sink *sink)
{
	return sink->error != 0;
}

/* Bytes given to the sink so far. */
static inline uint64_t gt_sink_total(const struct gt_sink *sink)
{
	return sink->flushed + (uint64_t)(sink->at - sink->buffer);
}

#endif
