/*
 * metrics.h - what the scheduler counts and times for gt_metrics_read; a part of rt.h.
 *
 * Counters have one writer (who holds the P, the M's own thread) or are rare; readers add them up. Time is asked for at few
 * transitions only: each goroutine counts down, and the transition at zero is timed, from there until the goroutine
 * runs. It stands for as many as were counted down: 8, as in Go, or up to 128 on a P with so many transitions that the looks at the
 * clock, two each, would be felt.
 */
#ifndef GT_RUNTIME_METRICS_H
#define GT_RUNTIME_METRICS_H

#include "runtime/sched.h"

struct gt_p;

/* Go's buckets of time: 4 to each power of two, from 2^8 to 2^47 ns, 4 below, and at the ends what is negative or longer. */
#define GT_TIME_BUCKETS 162u

/* Only who holds the P writes. */
struct gt_p_counts {
	_Atomic uint64_t steals, stolen;
	_Atomic uint64_t mutex_ns;
	_Atomic uint64_t latency_sum_ns;
	int64_t timed_ns;     /* when one was timed last */
	uint8_t timed_period; /* from how many one is to be timed */
	_Atomic uint64_t latencies[GT_TIME_BUCKETS];
};

/* Of all; rare, or beside a system call. */
struct gt_counts {
	_Atomic uint64_t lock_wait_ns; /* of the runtime's own locks */
	_Atomic uint64_t hand_offs;
	_Atomic uint64_t polls, poll_events;
};
extern struct gt_counts gt__counts;

static inline void gt__count(_Atomic uint64_t *what, uint64_t by)
{
	atomic_fetch_add_explicit(what, by, memory_order_relaxed);
}

/* By its one writer. */
static inline void gt__count_own(_Atomic uint64_t *what, uint64_t by)
{
	atomic_store_explicit(what, atomic_load_explicit(what, memory_order_relaxed) + by, memory_order_relaxed);
}

/* In which of the buckets; and the lower boundary of each in seconds, GT_TIME_BUCKETS + 1 of them. */
uint32_t gt__time_bucket(int64_t ns);
const double *gt__time_buckets(void);

/* How many metrics there are. */
enum {
#define METRIC(name, path, kind, cumulative, description) GT__METRIC_##name,
#include "runtime/metrics.def"
#undef METRIC
	GT__METRICS
};

/* ---- transitions ---- */

void gt__track_first(struct gt_g *g, uint32_t slot); /* a new stack */
void gt__track_out_slow(struct gt_g *g) __attribute__((noinline));
void gt__track_wait_slow(struct gt_g *g, enum gt_reason reason) __attribute__((noinline));
void gt__track_ready_slow(struct gt_g *g) __attribute__((noinline));
void gt__track_alone_slow(struct gt_g *g, struct gt_p *p) __attribute__((noinline));
void gt__track_run_slow(struct gt_g *g, struct gt_p *p) __attribute__((noinline));

/* It is made, or leaves running or a system call, and is runnable at once. */
static inline void gt__track_out(struct gt_g *g)
{
	if (__builtin_expect(--g->track_left == 0, 0))
		gt__track_out_slow(g);
}

static inline void gt__track_wait(struct gt_g *g, enum gt_reason reason)
{
	if (__builtin_expect(--g->track_left == 0, 0))
		gt__track_wait_slow(g, reason);
}

static inline void gt__track_ready(struct gt_g *g)
{
	if (__builtin_expect(g->tracked, 0))
		gt__track_ready_slow(g);
}

/* It gave way, and goes on in the same moment: there was nobody else. */
static inline void gt__track_alone(struct gt_g *g, struct gt_p *p)
{
	if (__builtin_expect(--g->track_left == 0, 0))
		gt__track_alone_slow(g, p);
}

static inline void gt__track_run(struct gt_g *g, struct gt_p *p)
{
	if (__builtin_expect(g->tracked, 0))
		gt__track_run_slow(g, p);
}

#endif
