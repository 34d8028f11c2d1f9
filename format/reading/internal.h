/* internal.h - an opened trace, for the files of this folder and of format/text. */
#ifndef GT_FORMAT_READING_INTERNAL_H
#define GT_FORMAT_READING_INTERNAL_H

#include "format/reading/order.h"
#include "format/reading/reader.h"
#include "format/reading/tables.h"

/* Events are missing between the two times. */
struct gt__loss {
	int64_t from_ns, to_ns;
};

struct gt__foreign;

struct gt_trace {
	struct gt__foreign *foreign; /* not NULL: another tracer's file; reader, offset and losses are not used then */
	struct gt__reader reader;
	struct gt__tables tables;
	struct gt__order order;
	uint64_t offset; /* of the next frame to read */
	struct gt_trace_info info;
	uint64_t whole_ticks; /* nothing older is missing: the last data frame's watermark; 0: not known */
	bool skew_known;
	uint64_t skew_ns, skew_offset; /* of META clock; the frame that tells it, 0: known from the begin */

	bool scanned; /* the four below are of the whole file */
	struct gt_trace_damage scan_damage;
	uint64_t names_bad; /* as order.names_bad: of the first reading of all names, by a pass or the walk */
	struct gt__loss *losses;
	size_t loss_count;
};

/* Does a stated loss, or the window's edge, explain that an event at @now contradicts what has stood since @since
 * (INT64_MIN: ever)? Walks the whole file once, the first time. */
bool gt__trace_explains(struct gt_trace *trace, int64_t since_ns, int64_t now_ns);

/* ---- files of other tracers (foreign.c): what trace.h and text.h promise, of them ---- */

/* Whether the file is one. */
bool gt__foreign_is(const char *path, const void *bytes, size_t size);
/* @path, or (NULL) the memory. Fills trace->foreign and what is known at the begin. */
int gt__foreign_open(struct gt_trace *trace, const char *path, const void *bytes, size_t size, struct gt_error *err);
void gt__foreign_close(struct gt_trace *trace);
int gt__foreign_next(struct gt_trace *trace, struct gt_event *event);
int gt__foreign_rewind(struct gt_trace *trace);
int gt__foreign_scan(struct gt_trace *trace);

/* The whole of it as frames, from the begin, wherever gt_trace_next stands. -errno of reading, or what @frame gave. */
struct gt__foreign_out {
	void *user;
	int (*header)(void *user, const struct gt__header *header);
	int (*frame)(void *user, const struct gt__frame *frame, const uint8_t *raw);
};
int gt__foreign_frames(const struct gt_trace *trace, const struct gt__foreign_out *out);

#endif
