/*
 * chrome.h - a trace as Chrome's trace event JSON: for Perfetto, for Catapult, and for whoever reads lines.
 *
 *   process 1 "PROCS"        a row for each P (tid = P + 1): "G7 main.worker"; "syscall G7" until it is taken away
 *   process 2 "GOROUTINES"   a row for each goroutine: running, runnable, "waiting: chan receive", syscall; arrows from
 *                            "wake G9" and "go G9" to what begins there; a user's logs; in args, `on` and `holder` of a
 *                            wait, `cause` of a wake-up by nobody; system calls inside, allocations as instants
 *   process 3 "CPUS"         a row for each CPU: which thread was on it (set kernel)
 *   process 4 "REGIONS"      a user's regions, a row for each goroutine that has some
 *   process 5 "TASKS"        a user's tasks
 *   process 6 "GC"           cycles, stops of the world, assists and sweeps of Go's collector
 *   process PID "THREADS"    a row for each M under its real tid: "P0 G7"
 *
 * One array, a record a line, closed at the end; a file that was cut still loads, as only a comma hangs over. Times are
 * microseconds since the trace's begin with three decimals. Slices touch, and nest exactly. A slice is written when it ends,
 * so lines are in order of their ends. tid is a number of 32 bits in viewers: goroutines above GT_CHROME_TID_FREE get
 * numbers from there on in order of their appearance, and their name tells the id.
 */
#ifndef GT_FORMAT_CHROME_H
#define GT_FORMAT_CHROME_H

#include "format/convert/sink.h"
#include "format/reading/trace.h"

#define GT_CHROME_TID_FREE 0xc0000000u

enum gt_convert_parts {
	GT_CONVERT_LINKS = 1,    /* who woke or created whom */
	GT_CONVERT_COUNTERS = 2, /* goroutines in each state, running Ps */
	GT_CONVERT_STACKS = 4,   /* where each wait and syscall began */
	GT_CONVERT_PLACES = 8,   /* P and M of each running slice */
	GT_CONVERT_COLOURS = 16, /* Catapult's colours of thread states */
	GT_CONVERT_MARKS = 32,   /* tasks, regions, logs */
	GT_CONVERT_OBJECTS = 64, /* what waits are for, what woke; system calls; the heap's events and timers */
	GT_CONVERT_ALL = 127,
	GT_CONVERT_SLICES = 0, /* rows and their slices, losses; nothing else */
};

struct gt_convert_totals {
	uint64_t events;
	uint64_t slices;
	uint64_t links;
	uint64_t counters;
	uint64_t records; /* lines: all of the above and names, marks, losses */
};

struct gt_convert_options {
	unsigned int parts; /* enum gt_convert_parts */
	/*
	 * An object that says displayTimeUnit ns, instead of a bare array. Catapult then compares times to the ns when it
	 * nests; else it rounds them to us, and draws slices shorter than that one line too low. When cut it
	 * is worth nothing to Perfetto, and old ones misread its times: so only for Catapult.
	 */
	bool object;
	/* Only what is, or still is, between these; what began earlier begins at from_ns. 0 and 0: all. */
	int64_t from_ns, to_ns;
	/* Whether goroutine @g is among those wanted, which starts with @function (NULL: not known). NULL: all are. */
	bool (*shown)(void *user, uint64_t g, const char *function);
	void *shown_user;
	int64_t counter_step_ns; /* at most one value of a counter in this time; 0: every change */
	/* Called now and then with the time reached; may be NULL. */
	void (*progress)(void *user, int64_t time_ns);
	void *progress_user;
	struct gt_convert_totals *totals; /* filled at the end; may be NULL */
};

#define GT_CONVERT_OPTIONS_DEFAULT \
	{ \
		.parts = GT_CONVERT_ALL \
	}

/*
 * The rest of @trace as JSON into @sink, which the caller closes. @options may be NULL: everything.
 * 0, or -errno and the line in @err: no memory, or the sink's failure.
 */
int gt_convert_chrome(
	struct gt_trace *trace, struct gt_sink *sink, const struct gt_convert_options *options, struct gt_error *err);

#endif
