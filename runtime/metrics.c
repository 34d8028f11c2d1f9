/*
 * metrics.c - gt_metrics_all and gt_metrics_read, and the timing of transitions.
 */
#include <gtrace/metrics.h>

#include "runtime/rt.h"

#include <math.h>
#include <string.h>

struct gt_counts gt__counts;

/* ---- buckets of time ---- */

#define LOWEST_BITS  9u
#define HIGHEST_BITS 48u
#define SUB_BITS     2u
#define SUBS         (1u << SUB_BITS)
_Static_assert(GT_TIME_BUCKETS == (HIGHEST_BITS - LOWEST_BITS + 1) * SUBS + 2, "two more: below and above");

uint32_t gt__time_bucket(int64_t ns)
{
	uint32_t bits, power = 0;

	if (ns < 0)
		return 0;
	bits = ns ? 64 - (uint32_t)__builtin_clzll((uint64_t)ns) : 0;
	if (bits < LOWEST_BITS)
		bits = LOWEST_BITS;
	else
		power = bits - LOWEST_BITS + 1;
	if (power > HIGHEST_BITS - LOWEST_BITS)
		return GT_TIME_BUCKETS - 1;
	return 1 + power * SUBS + (uint32_t)((uint64_t)ns >> (bits - 1 - SUB_BITS)) % SUBS;
}

const double *gt__time_buckets(void)
{
	static double boundaries[GT_TIME_BUCKETS + 1];
	static struct gt_lock lock;
	static _Atomic bool filled;

	if (LIKELY(load_acquire(&filled)))
		return boundaries;
	gt__lock(&lock);
	if (!load_relaxed(&filled)) {
		double *at = boundaries;

		*at++ = -INFINITY;
		for (uint64_t i = 0; i < SUBS; i++)
			*at++ = (double)(i << (LOWEST_BITS - 1 - SUB_BITS)) / 1e9;
		for (uint32_t bit = LOWEST_BITS - 1; bit < HIGHEST_BITS - 1; bit++)
			for (uint64_t i = 0; i < SUBS; i++)
				*at++ = (double)((SUBS + i) << (bit - SUB_BITS)) / 1e9;
		*at++ = (double)(UINT64_C(1) << (HIGHEST_BITS - 1)) / 1e9;
		*at = INFINITY;
		store_release(&filled, true);
	}
	gt__unlock(&lock);
	return boundaries;
}

/* ---- transitions ---- */

#define PERIOD     8u
#define PERIOD_MAX 128u
/* Two looks at the clock take some 50 ns: on one P they are to be so far apart, or up to four times as far. */
#define APART_NS 4000

void gt__track_first(struct gt_g *g, uint32_t slot)
{
	g->track_period = PERIOD;
	g->track_left = (uint8_t)(1 + slot * UINT32_C(0x9e3779b9) / (UINT32_MAX / PERIOD + 1));
}

static bool is_mutex(enum gt_reason reason)
{
	return reason == GT_REASON_SYNC_MUTEX_LOCK || reason == GT_REASON_SYNC_RWMUTEX_RLOCK ||
	       reason == GT_REASON_SYNC_RWMUTEX_LOCK;
}

void gt__track_out_slow(struct gt_g *g)
{
	g->tracked = true;
	g->track_mutex_ns = 0;
	g->track_since_ns = gt__port_now();
}

void gt__track_wait_slow(struct gt_g *g, enum gt_reason reason)
{
	g->tracked = true;
	g->track_mutex_ns = 0;
	if (is_mutex(reason))
		g->track_since_ns = gt__port_now();
}

void gt__track_ready_slow(struct gt_g *g)
{
	int64_t now = gt__port_now();

	if (is_mutex(g->reason))
		g->track_mutex_ns = now - g->track_since_ns;
	g->track_since_ns = now;
}

static void record(struct gt_g *g, struct gt_p *p, int64_t ns)
{
	uint64_t weight = g->track_period / PERIOD; /* so that each count stands for 8 */

	gt__count_own(&p->counts.latencies[gt__time_bucket(ns)], weight);
	if (ns > 0)
		gt__count_own(&p->counts.latency_sum_ns, (uint64_t)ns * weight);
}

/* One more and one less than the period in turn, so that who does two things in turn is not always timed in the same one. */
static void again(struct gt_g *g, uint8_t period)
{
	g->track_period = period;
	g->track_more = !g->track_more;
	g->track_left = (uint8_t)(g->track_more ? period + 1 : period - 1);
}

void gt__track_alone_slow(struct gt_g *g, struct gt_p *p)
{
	record(g, p, 0);
	again(g, g->track_period);
}

static uint8_t next_period(struct gt_p_counts *counts, int64_t now)
{
	int64_t apart = now - counts->timed_ns;
	uint8_t period = counts->timed_period ? counts->timed_period : PERIOD;

	if (apart < APART_NS && period < PERIOD_MAX)
		period *= 2;
	else if (apart > 4 * APART_NS && period > PERIOD)
		period /= 2;
	counts->timed_ns = now;
	counts->timed_period = period;
	return period;
}

void gt__track_run_slow(struct gt_g *g, struct gt_p *p)
{
	int64_t now = gt__port_now();

	record(g, p, now - g->track_since_ns);
	if (g->track_mutex_ns > 0)
		gt__count_own(&p->counts.mutex_ns, (uint64_t)g->track_mutex_ns * g->track_period);
	again(g, next_period(&p->counts, now));
	g->tracked = false;
}

/* ---- which there are ---- */

#define GAUGE   false
#define COUNTER true

static const struct gt_metric metrics[] = {
#define METRIC(name, path, kind, cumulative, description) {path, description, GT_METRIC_##kind, cumulative},
#include "runtime/metrics.def"
#undef METRIC
};

const struct gt_metric *gt_metrics_all(size_t *n)
{
	*n = GT__METRICS;
	return metrics;
}

static int find(const char *name)
{
	int low = 0, high = GT__METRICS;

	while (name && low < high) {
		int at = (low + high) / 2, order = strcmp(name, metrics[at].name);

		if (order == 0)
			return at;
		if (order < 0)
			high = at;
		else
			low = at + 1;
	}
	return -1;
}

/* ---- their values ---- */

union value {
	uint64_t uint64;
	double float64;
};

static uint64_t running(const struct gt_p *p)
{
	return load_relaxed(&p->status) == GT_P_RUNNING;
}

static uint64_t in_queues(const struct gt_p *p)
{
	uint32_t count = load_relaxed(&p->tail) - load_relaxed(&p->head);

	return (count > GT_RING ? 0 : count) + (load_relaxed(&p->runnext) != NULL);
}

static uint64_t or_none(uint64_t from, uint64_t less)
{
	return from > less ? from - less : 0;
}

static void look_at_ps(union value *v)
{
	struct gt_sched *s = &gt__sched;
	uint32_t count = load_acquire(&s->p_count);
	uint64_t ended = 0, mutex_ns = load_relaxed(&gt__counts.lock_wait_ns);

	/* Who ended was created: in this order the difference is never below 0. */
	for (uint32_t i = 0; i < count; i++)
		ended += load_acquire(&s->ps[i]->ended);
	v[GT__METRIC_GOROUTINES_CREATED].uint64 = load_relaxed(&s->created_outside);
	for (uint32_t i = 0; i < count; i++) {
		struct gt_p *p = s->ps[i];

		v[GT__METRIC_GOROUTINES_CREATED].uint64 += load_relaxed(&p->created);
		v[GT__METRIC_GOROUTINES_RUNNING].uint64 += running(p);
		v[GT__METRIC_GOROUTINES_RUNNABLE].uint64 += in_queues(p);
		v[GT__METRIC_SCHED_STEALS].uint64 += load_relaxed(&p->counts.steals);
		v[GT__METRIC_SCHED_STOLEN].uint64 += load_relaxed(&p->counts.stolen);
		mutex_ns += load_relaxed(&p->counts.mutex_ns);
		gt__lock(&p->timers.lock);
		v[GT__METRIC_TIMERS_PENDING].uint64 += p->timers.count;
		gt__unlock(&p->timers.lock);
	}
	v[GT__METRIC_GOROUTINES].uint64 = or_none(v[GT__METRIC_GOROUTINES_CREATED].uint64, ended);
	v[GT__METRIC_GOROUTINES_RUNNABLE].uint64 += load_relaxed(&s->global_count);
	/* Who spins has a P and no goroutine; the caller may have one, and is no spinner then. */
	v[GT__METRIC_GOROUTINES_RUNNING].uint64 =
		or_none(v[GT__METRIC_GOROUTINES_RUNNING].uint64, load_relaxed(&s->spinning));
	if (!v[GT__METRIC_GOROUTINES_RUNNING].uint64)
		v[GT__METRIC_GOROUTINES_RUNNING].uint64 = gt__self() != NULL;
	v[GT__METRIC_MUTEX_WAIT].float64 = (double)mutex_ns / 1e9;
}

static void look_at_ms(union value *v)
{
	struct gt_sched *s = &gt__sched;
	const struct gt_worker *first;
	int64_t now, total, idle;

	gt__lock(&s->lock);
	first = s->all_m;
	v[GT__METRIC_THREADS].uint64 = s->m_count ? s->m_count + 2 : 0; /* sysmon, and the maker of threads */
	v[GT__METRIC_THREADS_IDLE].uint64 = s->m_idle;
	v[GT__METRIC_GOMAXPROCS].uint64 = load_relaxed(&s->procs);
	now = gt__port_now();
	total = s->cpu_total_ns + (now - s->procs_since_ns) * (int64_t)load_relaxed(&s->procs);
	idle = s->cpu_idle_ns;
	for (const struct gt_p *p = s->idle_p; p; p = p->next_idle)
		idle += now - p->idle_since_ns;
	gt__unlock(&s->lock);
	v[GT__METRIC_CPU_TOTAL].float64 = (double)total / 1e9;
	v[GT__METRIC_CPU_IDLE].float64 = (double)idle / 1e9;
	v[GT__METRIC_CPU_USER].float64 = (double)(total - idle) / 1e9;
	/* The list grows at its front only. */
	for (const struct gt_worker *m = first; m; m = m->next_all) {
		uint64_t edges = load_relaxed(&m->syscall_edges);

		v[GT__METRIC_SCHED_SYSCALLS].uint64 += (edges + 1) / 2;
		v[GT__METRIC_GOROUTINES_NOT_IN_GO].uint64 += edges % 2;
	}
}

static void look(union value *v)
{
	struct gt_preempt_counts *preempt = &gt__preempt_counts;

	memset(v, 0, GT__METRICS * sizeof(*v));
	look_at_ps(v);
	look_at_ms(v);
	v[GT__METRIC_GOROUTINES_WAITING].uint64 = or_none(v[GT__METRIC_GOROUTINES].uint64,
		v[GT__METRIC_GOROUTINES_RUNNING].uint64 + v[GT__METRIC_GOROUTINES_RUNNABLE].uint64 +
			v[GT__METRIC_GOROUTINES_NOT_IN_GO].uint64);
	v[GT__METRIC_STACK_BYTES].uint64 = gt__stack_bytes();
	v[GT__METRIC_STACKS_MADE].uint64 = gt__stack_count();
	v[GT__METRIC_STACKS_UNGUARDED].uint64 = gt__stack_unguarded();
	v[GT__METRIC_NETPOLL_POLLS].uint64 = load_relaxed(&gt__counts.polls);
	v[GT__METRIC_NETPOLL_READY].uint64 = load_relaxed(&gt__counts.poll_events);
	v[GT__METRIC_NETPOLL_WAITING].uint64 = gt__net_waiting();
	v[GT__METRIC_SCHED_HAND_OFFS].uint64 = load_relaxed(&gt__counts.hand_offs);
	v[GT__METRIC_PREEMPT_REQUESTED].uint64 = load_relaxed(&preempt->requested);
	v[GT__METRIC_PREEMPT_COOPERATIVE].uint64 = load_relaxed(&preempt->cooperative);
	v[GT__METRIC_PREEMPT_ASYNC].uint64 = load_relaxed(&preempt->async);
	v[GT__METRIC_PREEMPT_IN_RUNTIME].uint64 = load_relaxed(&preempt->in_runtime);
	v[GT__METRIC_PREEMPT_NO_THREAD].uint64 = load_relaxed(&preempt->no_thread);
	v[GT__METRIC_PREEMPT_OVER_LIMIT].uint64 = load_relaxed(&preempt->over_limit);
	v[GT__METRIC_PREEMPT_STOPPED].uint64 = load_relaxed(&preempt->bound);
}

static void read_latencies(struct gt_metric_histogram *out)
{
	struct gt_sched *s = &gt__sched;
	uint32_t count = load_acquire(&s->p_count);
	uint64_t sum_ns = 0;

	out->count = GT_TIME_BUCKETS;
	out->buckets = gt__time_buckets();
	if (out->counts)
		memset(out->counts, 0, GT_TIME_BUCKETS * sizeof(*out->counts));
	for (uint32_t i = 0; i < count; i++) {
		sum_ns += load_relaxed(&s->ps[i]->counts.latency_sum_ns);
		for (uint32_t k = 0; out->counts && k < GT_TIME_BUCKETS; k++)
			out->counts[k] += load_relaxed(&s->ps[i]->counts.latencies[k]);
	}
	out->sum = (double)sum_ns / 1e9;
}

void gt_metrics_read(struct gt_metric_sample *samples, size_t n)
{
	union value values[GT__METRICS];

	_Static_assert(GT_TIME_BUCKETS <= GT_METRIC_BUCKETS_MAX, "a caller's counts have room for it");
	look(values);
	for (size_t i = 0; i < n; i++) {
		int at = find(samples[i].name);

		samples[i].kind = at < 0 ? GT_METRIC_BAD : metrics[at].kind;
		samples[i].uint64 = 0;
		if (samples[i].kind == GT_METRIC_UINT64)
			samples[i].uint64 = values[at].uint64;
		else if (samples[i].kind == GT_METRIC_FLOAT64)
			samples[i].float64 = values[at].float64;
		else if (samples[i].kind == GT_METRIC_FLOAT64_HISTOGRAM)
			read_latencies(&samples[i].histogram);
	}
}
