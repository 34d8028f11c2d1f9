/*
 * cpu.c - what the kernel tells: when a thread whose goroutine runs had a CPU and when not, and what it was found doing.
 *
 * An M tells an event only while it is on a CPU: what the kernel's clock says otherwise, at the edges of a time of running, is the
 * clocks' difference. So a thread is off its CPU only where that begins and ends within one time of running.
 */
#include "analysis/state.h"
#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

#define THREADS_MAX 65536u
#define CPUS_MAX    4096u
#define SAMPLES_MAX (1u << 18)
/* What is shorter is not remembered of who held a lock. */
#define PAST_NS 100000
/* A thread that touched a missing page so short a time ago waits for that page. */
#define FAULT_NS 200000

/* A thread, by its tid. */
struct gt__cpu_thread {
	uint64_t tid;
	struct gt__row *row; /* of its M; NULL: it is none */
	int64_t since_ns;
	int64_t fault_ns; /* its last page fault, -1 none */
	int64_t own_ns;   /* preempted: the program's time on that CPU until then */
	uint32_t cpu;
	uint8_t at; /* enum gt__cpu_at */
	bool lost;  /* events of it may be missing since since_ns */
};

/* A CPU: the program's own time on it. */
struct gt__cpu {
	uint64_t tid; /* on it now, 0 none */
	int64_t since_ns, sum_ns;
};

const char *gt__cpu_text(unsigned int at)
{
	static const char *const texts[] = {"not known", "on a CPU", "preempted by another process",
		"preempted by another thread of the program", "page fault", "blocked in the kernel"};

	return at < GT__CPU_KINDS ? texts[at] : "?";
}

static struct gt__cpu_thread *thread_of(struct gt_analysis *a, uint64_t tid)
{
	struct gt__cpu_thread *thread = gt__map_get(&a->cpu_threads, tid);

	if (thread || a->cpu_threads.count >= THREADS_MAX)
		return thread;
	thread = gt__made(a, &a->cpu_threads, tid, sizeof(*thread));
	if (!thread)
		return NULL;
	thread->tid = tid;
	thread->fault_ns = -1;
	return thread;
}

void gt__cpu_bind(struct gt_analysis *a, struct gt__row *row)
{
	const struct gt_trace_thread *told = gt_trace_thread(a->trace, row->id);
	uint64_t tid = row->start_pc ? row->start_pc : told ? told->tid : 0;
	struct gt__thread *m = row->user;
	struct gt__cpu_thread *thread;

	if (!tid || !m || (m->cpu && m->cpu->tid == tid))
		return;
	thread = thread_of(a, tid);
	if (!thread)
		return;
	/* The number of a thread that ended is used again. */
	if (thread->row && thread->row->user)
		((struct gt__thread *)thread->row->user)->cpu = NULL;
	if (m->cpu)
		m->cpu->row = NULL;
	thread->row = row;
	m->cpu = thread;
}

/* @g ran from @from to @to, and its thread was there. */
static void count(struct gt_analysis *a, uint64_t g, unsigned int at, int64_t from, int64_t to)
{
	struct gt__goroutine *gor = gt__goroutine_of(a, g);
	struct gt__slice slice = {.since_ns = from};

	if (!gor || to <= from)
		return;
	if (at == GT__CPU_ON) {
		GT__ADD(gor->group->on_cpu_ns, to - from);
		return;
	}
	gt__stat_add(&gor->group->off_cpu[at], to - from, from, g);
	if (to - from >= PAST_NS && !a->finishing)
		gt__remember(a, gor, &slice, to, &a->off_sites[at], 0, NULL);
}

/* What the thread was until @now, in the time of running that is open. */
static void settle(struct gt_analysis *a, struct gt__cpu_thread *thread, int64_t now)
{
	const struct gt__slice *open = thread->row ? &thread->row->open : NULL;
	unsigned int at = thread->at;
	int64_t from = thread->since_ns;

	thread->since_ns = now;
	if (!open || at == GT__CPU_UNKNOWN || open->state != GT_STATE_RUNNING)
		return;
	if (open->since_ns > from) {
		from = open->since_ns;
		at = GT__CPU_ON;
	}
	count(a, open->g, at, from > a->begin_ns ? from : a->begin_ns, now);
}

void gt__cpu_slice(struct gt_analysis *a, const struct gt__row *row, const struct gt__slice *slice, int64_t end_ns)
{
	const struct gt__thread *m = row->user;
	const struct gt__cpu_thread *thread = m ? m->cpu : NULL;
	int64_t from = slice->since_ns;

	if (slice->state != GT_STATE_RUNNING || !thread || thread->at == GT__CPU_UNKNOWN)
		return;
	if (thread->since_ns > from)
		from = thread->since_ns;
	count(a, slice->g, GT__CPU_ON, from, end_ns);
}

static int64_t own_ns(const struct gt__cpu *cpu, int64_t now)
{
	return cpu->sum_ns + (cpu->tid && now > cpu->since_ns ? now - cpu->since_ns : 0);
}

static void occupy(struct gt__cpu *cpu, uint64_t tid, int64_t now)
{
	cpu->sum_ns = own_ns(cpu, now);
	cpu->tid = tid;
	cpu->since_ns = now;
}

static void on_in(struct gt_analysis *a, struct gt__cpu_thread *thread, uint64_t cpu, int64_t now)
{
	int64_t off = now - thread->since_ns;

	if (thread->at == GT__CPU_OTHERS && thread->cpu < CPUS_MAX &&
		own_ns(&a->cpus[thread->cpu], now) - thread->own_ns > off / 2)
		thread->at = GT__CPU_OWN;
	settle(a, thread, now);
	thread->at = GT__CPU_ON;
	thread->cpu = (uint32_t)(cpu < CPUS_MAX ? cpu : CPUS_MAX);
	thread->fault_ns = -1;
	if (cpu < CPUS_MAX)
		occupy(&a->cpus[cpu], thread->tid, now);
}

static void on_out(struct gt_analysis *a, struct gt__cpu_thread *thread, uint64_t cpu, bool runnable, int64_t now)
{
	bool fault = thread->fault_ns >= 0 && now - thread->fault_ns < FAULT_NS &&
		     (!thread->row || thread->row->known_ns <= thread->fault_ns);

	/* It was there before the trace began to tell. */
	if (thread->at == GT__CPU_UNKNOWN && !thread->lost)
		thread->at = GT__CPU_ON;
	settle(a, thread, now);
	thread->lost = false;
	thread->at = runnable ? GT__CPU_OTHERS : fault ? GT__CPU_FAULT : GT__CPU_BLOCKED;
	thread->cpu = (uint32_t)(cpu < CPUS_MAX ? cpu : CPUS_MAX);
	if (cpu >= CPUS_MAX)
		return;
	if (a->cpus[cpu].tid == thread->tid)
		occupy(&a->cpus[cpu], 0, now);
	thread->own_ns = own_ns(&a->cpus[cpu], now);
}

/* From here on nobody knows where the threads are. */
static void on_lost(struct gt_analysis *a, int64_t now)
{
	struct gt__cpu_thread *thread;
	size_t at = 0;

	while ((thread = gt__map_each(&a->cpu_threads, &at))) {
		settle(a, thread, now);
		thread->at = GT__CPU_UNKNOWN;
		thread->lost = true;
	}
	for (at = 0; at < CPUS_MAX; at++)
		occupy(&a->cpus[at], 0, now);
}

/* ---- samples ---- */

static struct gt__sample *sample_of(struct gt_analysis *a, uint64_t stack, uint64_t g, unsigned int state)
{
	uint64_t key = gt_hash_u64(stack) ^ gt_hash_u64(g << 4 | state) * 3;
	struct gt__sample *sample;

	/* Two that have the same key by chance stand side by side. */
	for (; (sample = gt__map_get(&a->samples, key)); key++)
		if (sample->stack == stack && sample->g == g && sample->state == state)
			return sample;
	if (a->samples.count >= SAMPLES_MAX && (stack || g))
		return sample_of(a, a->samples.count >= 2 * SAMPLES_MAX ? 0 : stack, 0, state);
	sample = gt__made(a, &a->samples, key, sizeof(*sample));
	if (!sample)
		return NULL;
	sample->stack = stack;
	sample->g = g;
	sample->state = (uint8_t)state;
	return sample;
}

static void on_sample(struct gt_analysis *a, const struct gt_event *event)
{
	struct gt__row *row = event->args[0] ? gt__rows_goroutine(&a->rows, event->args[0]) : NULL;
	struct gt__goroutine *gor = row ? row->user : NULL;
	unsigned int state = row && gt__slice_open(&row->open) ? row->open.state : GT_STATE_NONE;
	struct gt__sample *sample = sample_of(a, event->args[3], event->args[0], state);

	if (gor)
		gt__unwrap(a, gor, event->args[3]);
	if (!sample)
		return;
	sample->count++;
	a->samples_counted++;
	if (gor && sample->g)
		sample->group = gor->group;
}

/* ---- all of it ---- */

void gt__on_kernel(struct gt_analysis *a, const struct gt_event *event)
{
	struct gt__cpu_thread *thread;

	if (event->time_ns < a->begin_ns && event->kind == GT_EV_CPU_SAMPLE)
		return;
	switch (event->kind) {
	case GT_EV_CPU_IN:
		thread = thread_of(a, event->args[0]);
		if (thread)
			on_in(a, thread, event->args[1], event->time_ns);
		break;
	case GT_EV_CPU_OUT:
		thread = thread_of(a, event->args[0]);
		if (thread)
			on_out(a, thread, event->args[1], event->args[2] == 1, event->time_ns);
		break;
	case GT_EV_CPU_SAMPLE:
		on_sample(a, event);
		break;
	case GT_EV_FAULT:
		thread = gt__map_get(&a->cpu_threads, event->args[0]);
		if (thread)
			thread->fault_ns = event->time_ns;
		break;
	case GT_EV_THREAD_END:
		thread = gt__map_get(&a->cpu_threads, event->args[0]);
		if (thread) {
			settle(a, thread, event->time_ns);
			thread->at = GT__CPU_UNKNOWN;
		}
		break;
	case GT_EV_THROTTLED:
		if (event->time_ns >= a->begin_ns)
			GT__ADD(a->throttled_ns, event->args[0] < INT64_MAX / 2 ? (int64_t)event->args[0] : 0);
		break;
	case GT_EV_LOST:
		on_lost(a, event->time_ns);
		break;
	default:
		break;
	}
}

bool gt__has_kernel(const struct gt_analysis *a)
{
	return a->by_kind[GT_EV_CPU_IN] || a->by_kind[GT_EV_CPU_OUT];
}

void gt__cpu_finish(struct gt_analysis *a)
{
	struct gt__cpu_thread *thread;
	size_t at = 0;

	while ((thread = gt__map_each(&a->cpu_threads, &at)))
		settle(a, thread, a->rows.now_ns);
}

void gt__cpu_add(struct gt__cpu_time *sum, const struct gt__group *group)
{
	GT__ADD(sum->running_ns, group->state[GT_STATE_RUNNING].total_ns);
	GT__ADD(sum->on_ns, group->on_cpu_ns);
	for (unsigned int k = GT__CPU_OTHERS; k < GT__CPU_KINDS; k++) {
		const struct gt__stat *off = &group->off_cpu[k];

		sum->off[k].count += off->count;
		GT__ADD(sum->off[k].total_ns, off->total_ns);
		GT__ADD(sum->off_ns, off->total_ns);
		if (off->max_ns > sum->off[k].max_ns) {
			sum->off[k].max_ns = off->max_ns;
			sum->off[k].max_at_ns = off->max_at_ns;
			sum->off[k].max_g = off->max_g;
		}
	}
	sum->unknown_ns = sum->running_ns - gt__sum(sum->on_ns, sum->off_ns);
	if (sum->unknown_ns < 0)
		sum->unknown_ns = 0;
}

/* The quota holds threads as another process does: when it held them for most of that time, it was the quota. */
const char *gt__off_text(const struct gt_analysis *a, unsigned int at)
{
	struct gt__cpu_time sum = {0};

	for (size_t i = 0; i < a->group_count; i++)
		gt__cpu_add(&sum, a->groups[i]);
	if (at != GT__CPU_OTHERS || !a->throttled_ns)
		return gt__cpu_text(at);
	return a->throttled_ns >= sum.off[at].total_ns / 2 ? "held back by the cgroup's CPU quota" : gt__cpu_text(at);
}

int64_t gt__sample_period(const struct gt_analysis *a)
{
	const char *told = gt_trace_meta(a->trace, "sample_period_ns");
	uint64_t ns = told ? strtoull(told, NULL, 10) : 0;

	/* Go's own tracer takes its samples from Go's CPU profile. */
	return ns && ns <= 1000000000 ? (int64_t)ns : 10000000;
}

int gt__cpu_init(struct gt_analysis *a)
{
	for (unsigned int k = 0; k < GT__CPU_KINDS; k++)
		a->off_sites[k] = (struct gt__site){.state = GT_STATE_RUNNING, .reason = (uint8_t)k};
	a->cpus = calloc(CPUS_MAX, sizeof(*a->cpus));
	return a->cpus ? 0 : -1;
}

void gt__cpu_free(struct gt_analysis *a)
{
	struct gt__cpu_thread *thread;
	struct gt__sample *sample;
	size_t at = 0;

	while ((thread = gt__map_each(&a->cpu_threads, &at)))
		free(thread);
	for (at = 0; (sample = gt__map_each(&a->samples, &at));)
		free(sample);
	gt__map_free(&a->cpu_threads);
	gt__map_free(&a->samples);
	free(a->cpus);
}
