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

struct gt_trace {
	struct gt__reader reader;
	struct gt__tables tables;
	struct gt__order order;
	uint64_t offset; /* of the next frame to read */
	struct gt_trace_info info;
	bool skew_known;

	bool scanned; /* the three below are of the whole file */
	struct gt_trace_damage scan_damage;
	struct gt__loss *losses;
	size_t loss_count;
};

/* Does a stated loss, or the window's edge, explain that an event at @now contradicts what has stood since @since
 * (INT64_MIN: ever)? Walks the whole file once, the first time. */
bool gt__trace_explains(struct gt_trace *trace, int64_t since_ns, int64_t now_ns);

#endif
