/* convert.h - traces in other formats than gtrace's own. Between pages.c and convert.c. */
#ifndef GT_RUNTIME_DEBUG_CONVERT_H
#define GT_RUNTIME_DEBUG_CONVERT_H

#include "format/convert/chrome.h"
#include "runtime/debug/server.h"

#define GT__PART_BYTES 65536u

struct gt__trace_format {
	const char *name; /* in format= */
	const char *file, *type;
	int (*convert)(struct gt_trace *trace, struct gt_sink *sink, const struct gt_convert_options *options,
		struct gt_error *err);
};

/* NULL: there is none of this name. */
const struct gt__trace_format *gt__trace_format(const char *name);

/* A file without a name, or -errno: a trace is read when it is whole, and may be longer than memory. */
int gt__trace_file(void);
/* Writes there: gt_write_fn, @context is an int. */
int gt__trace_to_file(void *context, const void *bytes, size_t size);
/* The answer: what is in @file, in @format; @whole false: the client is to see that something is missing. */
void gt__send_converted(struct gt__conn *conn, const struct gt__trace_format *format, int file, bool whole);

#endif
