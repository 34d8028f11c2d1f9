/*
 * clock.h - the clock that stamps records: the invariant TSC (x86-64) or the generic timer (arm64), else
 * CLOCK_MONOTONIC in ns, which says so.
 *
 * Which it is follows from the processor alone, so that gtrace and the program it traces agree without a word.
 */
#ifndef GT_BASE_CLOCK_H
#define GT_BASE_CLOCK_H

#include "base/ticks.h"

#include <stdbool.h>
#include <time.h>

enum gt_clock_source {
	GT_CLOCK_UNKNOWN = 0, /* not looked at yet */
	GT_CLOCK_CPU,         /* the processor's counter; invariant */
	GT_CLOCK_MONOTONIC,   /* fallback */
};

/* Looked at once, at the program's start (constructor); gt_clock_init may be called earlier and again. */
extern enum gt_clock_source gt__clock_source;
enum gt_clock_source gt_clock_init(void);

static inline int64_t gt_monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline uint64_t gt_ticks(void)
{
	if (__builtin_expect(gt__clock_source == GT_CLOCK_MONOTONIC, 0))
		return (uint64_t)gt_monotonic_ns();
	return gt__cpu_ticks();
}

/* The same instant on both clocks, to within the time of one reading of the slower. */
struct gt_clock_pair {
	uint64_t ticks;
	int64_t monotonic_ns;
	uint64_t error_ticks; /* half the width of the bracket */
};
struct gt_clock_pair gt_clock_pair(void);

/* First estimate of ticks per second; the first call takes some 5 ms. Later pairs refine it. */
uint64_t gt_clock_rate(void);

/* What a trace says about its clock: "tsc (invariant)", "tsc (invariant; the kernel marks it unstable)",
 * "clock_gettime (the processor has no invariant tsc)"... */
const char *gt_clock_text(void);

/* The straight line through @start with @ticks_per_second. */
static inline int64_t gt_ticks_to_ns(const struct gt_clock_pair *start, uint64_t ticks_per_second, uint64_t ticks)
{
	__int128 since = (__int128)ticks - start->ticks;

	return start->monotonic_ns + (int64_t)(since * 1000000000 / (ticks_per_second ? ticks_per_second : 1));
}

/* Ticks per second between two pairs, or 0 when they are too near (1 ms) to tell. */
static inline uint64_t gt_clock_rate_between(const struct gt_clock_pair *from, const struct gt_clock_pair *to)
{
	int64_t ns = to->monotonic_ns - from->monotonic_ns;

	if (ns < 1000000 || to->ticks <= from->ticks)
		return 0;
	return (uint64_t)((unsigned __int128)(to->ticks - from->ticks) * 1000000000 / (uint64_t)ns);
}

#endif
