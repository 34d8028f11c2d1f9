/*
 * typed.h - events with a look at the next one: an allocation's type stands in the event behind it, and a row's instant is written whole.
 */
#ifndef GT_FORMAT_TYPED_H
#define GT_FORMAT_TYPED_H

#include "format/reading/trace.h"

/* Zeroed is empty. */
struct gt__typed {
	struct gt_event ahead;
	int result; /* of @ahead */
	bool held;
	uint64_t type; /* of the event that was given last, an Alloc: its string; 0: not told */
};

/* As gt_trace_next. */
static inline int gt__typed_next(struct gt_trace *trace, struct gt__typed *typed, struct gt_event *out)
{
	int ret;

	if (typed->held) {
		typed->held = false;
		*out = typed->ahead;
		ret = typed->result;
	} else {
		ret = gt_trace_next(trace, out);
	}
	if (__builtin_expect(ret <= 0 || out->kind != GT_EV_ALLOC, 1))
		return ret;
	typed->held = true;
	typed->result = gt_trace_next(trace, &typed->ahead);
	typed->type = typed->result > 0 && typed->ahead.kind == GT_EV_ALLOC_TYPE && typed->ahead.m == out->m &&
				      typed->ahead.args[0] == out->args[0]
			      ? typed->ahead.args[1]
			      : 0;
	return ret;
}

#endif
