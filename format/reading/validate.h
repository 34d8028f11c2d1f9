/*
 * validate.h - is this a possible execution?
 *
 * The ordered events go through the state machine of model.h once more. What contradicts it is impossible, unless
 * a stated loss (a Lost event, SINCE, a LOSS total) lies between it and what it contradicts: then the chain was broken there.
 * That a window's goroutines were there before it is neither.
 */
#ifndef GT_FORMAT_VALIDATE_H
#define GT_FORMAT_VALIDATE_H

#include "format/reading/trace.h"
#include "model/model.h"

struct gt_verdict {
	uint64_t events;
	uint64_t impossible; /* sum of impossible_by: 0 = a possible execution */
	uint64_t explained;  /* contradictions that a stated loss explains */
	uint64_t impossible_by[GT_FIT_COUNT];
	uint64_t explained_by[GT_FIT_COUNT];

	/* the first impossible one, when there is one */
	uint64_t number; /* of the event, from 1, in order */
	int64_t time_ns;
	uint64_t m;
	char event[256]; /* as text */
	char why[256];   /* a sentence without its stop */
};

/* A word for the kind of contradiction, for tables: "chain", "unborn"... */
const char *gt_verdict_kind(enum gt_model_fit fit);

/* Rewinds, reads everything. 0 whatever the verdict; -errno without memory. gt_trace_damage tells about the bytes. */
int gt_validate(struct gt_trace *trace, struct gt_verdict *out);

#endif
