/*
 * chrome_spans.h - what is no goroutine's state, as rows of Chrome's JSON: threads on CPUs, the collector's cycles, stops of the
 * world, assists, sweeps.
 *
 *   process 3 "CPUS"   a row for each CPU: "demo 4711", args: its M, and what made it leave
 *   process 6 "GC"     a row of cycles, one of stops of the world; one for each goroutine that assists, and each P that sweeps
 *
 * A row holds one open span at most: what begins ends what was open. Memory is O(open spans + threads).
 */
#ifndef GT_FORMAT_CHROME_SPANS_H
#define GT_FORMAT_CHROME_SPANS_H

#include "format/convert/json.h"
#include "format/convert/map.h"
#include "format/convert/sink.h"
#include "format/convert/text.h"
#include "format/wire/event.h"

struct gt__spans {
	struct gt_sink *sink;
	struct gt__texts *texts;
	struct gt_json_clock clock;
	struct gt__map rows;    /* kind << 60 | id */
	struct gt__map threads; /* tid -> the string that names it, and its M */
	uint64_t slices, records;
	uint64_t goal;   /* 0: not known */
	int64_t from_ns; /* 0: from the begin; what ends before is not shown, what began before begins there */
	bool lazy;       /* a row gets its name with its first span */
	bool cpus_named, gc_named;
	bool failed; /* no memory */
};

void gt__spans_init(struct gt__spans *spans, struct gt_sink *sink, struct gt__texts *texts);
void gt__spans_event(struct gt__spans *spans, const struct gt_event *event);
/* The counter at from_ns, which is reached. */
void gt__spans_resume(struct gt__spans *spans);
/* Ends what is open. */
void gt__spans_finish(struct gt__spans *spans, int64_t now_ns);
void gt__spans_free(struct gt__spans *spans);

#endif
