/*
 * perfetto_kernel.c - the kernel's layer: threads by their tids, on real CPUs, as a machine of their own beside the goroutines'.
 *
 * A thread's states are told as they come; the track on which its M's slices lie is the thread's, too.
 */
#include "format/convert/perfetto_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define THREADS_MAX (1u << 22)

struct thread {
	uint64_t tid;
	int64_t since_ns; /* of the state */
	uint32_t cpu;
	uint32_t lives; /* that ended: the kernel gives numbers again, a viewer must not */
	uint8_t state;  /* enum gt__pf_state */
	bool told;
	bool other;         /* of another process */
	uint32_t taken_cpu; /* + 1: it was sent away from there, */
	uint64_t taken_by;  /* for this thread of another process */
	uint64_t name; /* a string */
};

static void name_of(const struct gt__perfetto *pf, const struct thread *thread, uint64_t tid, char text[96])
{
	const char *name = thread && thread->name ? gt_trace_string(pf->trace, thread->name) : NULL;
	uint64_t m = (uintptr_t)gt__map_get(&pf->tid_ms, tid);

	if (m)
		snprintf(text, 96, "M%" PRIu64 "%s%.60s", m - 1, name && *name ? " " : "", name ? name : "");
	else if (name && *name)
		snprintf(text, 96, "%.60s", name);
	else
		snprintf(text, 96, "thread %" PRIu64, tid);
}

static struct thread *thread_of(struct gt__perfetto *pf, uint64_t tid)
{
	struct thread *thread = gt__map_get(&pf->threads, tid);

	if (thread || !tid || tid > GT__PF_PID_REAL_MAX || pf->threads.count >= THREADS_MAX)
		return thread;
	thread = malloc(sizeof(*thread));
	if (!thread || gt__map_put(&pf->threads, tid, thread) < 0) {
		free(thread);
		pf->failed = true;
		return NULL;
	}
	*thread = (struct thread){.tid = tid};
	return thread;
}

static uint64_t shown_tid(const struct thread *thread)
{
	return thread->tid + thread->lives * (GT__PF_PID_REAL_MAX << 10);
}

uint64_t gt__pf_shown_tid(const struct gt__perfetto *pf, uint64_t tid)
{
	const struct thread *thread = gt__map_get(&pf->threads, tid);

	return thread ? shown_tid(thread) : tid;
}

/* They are of one process here: which they are of, nobody knows. */
#define OTHERS_PID (GT__PF_PID_REAL_MAX + 2)

static void put_others(struct gt__perfetto *pf, int64_t time_ns)
{
	char *to = gt__pf_begin_thread_packet(pf, time_ns), *tree, *inner;

	pf->others_told = true;
	tree = to = gt_pb_open(to, PACKET_PROCESSES);
	inner = to = gt_pb_open(to, 1);
	to = gt_pb_number(to, 1, OTHERS_PID);
	to = gt_pb_close(inner, gt__pb_text(to, 3, "other processes", GT__INTERN_TEXT_MAX));
	gt_pb_close(tree, to);
	gt__pf_close(pf, to);
}

/* Of which process it is. */
static void put_thread(struct gt__perfetto *pf, struct thread *thread, int64_t time_ns)
{
	char *to, *tree, *inner, text[96];

	if (thread->other && !pf->others_told)
		put_others(pf, time_ns);
	to = gt__pf_begin_thread_packet(pf, time_ns);
	thread->told = true;
	name_of(pf, thread, thread->tid, text);
	tree = to = gt_pb_open(to, PACKET_PROCESSES);
	inner = to = gt_pb_open(to, 2);
	to = gt_pb_number(to, 1, shown_tid(thread));
	to = gt_pb_number(to, 2, thread->other ? OTHERS_PID : pf->thread_pid);
	to = gt_pb_close(inner, gt__pb_text(to, 3, text, GT__INTERN_TEXT_MAX));
	gt_pb_close(tree, to);
	gt__pf_close(pf, to);
}

static void put_state(struct gt__perfetto *pf, struct thread *thread, int64_t time_ns, enum gt__pf_state state)
{
	char *to, *inner;

	thread->state = (uint8_t)state;
	thread->since_ns = time_ns;
	if (pf->quiet || pf->options->shown)
		return;
	if (!thread->told)
		put_thread(pf, thread, time_ns);
	to = gt__pf_begin_thread_packet(pf, time_ns);
	inner = to = gt_pb_open(to, PACKET_STATE);
	to = gt_pb_number(to, 1, thread->cpu);
	to = gt_pb_number(to, 3, shown_tid(thread));
	to = gt_pb_number(to, 4, state);
	to = gt_pb_number(to, 5, 120);
	gt_pb_close(inner, to);
	gt__pf_close(pf, to);
}

/* A CPU has one thread: the one before left it unseen. A thread has one CPU, too. */
static void cpu_in(struct gt__perfetto *pf, uint64_t tid, uint64_t cpu)
{
	struct thread *thread, *before;
	int64_t now_ns = pf->rows.now_ns;

	if (cpu >= GT__PF_CPU_MAX)
		return;
	thread = thread_of(pf, tid);
	if (!pf->cpu_threads)
		pf->cpu_threads = calloc(GT__PF_CPU_MAX, sizeof(*pf->cpu_threads));
	if (!thread || !pf->cpu_threads) {
		pf->failed |= !pf->cpu_threads;
		return;
	}
	before = pf->cpu_threads[cpu] ? gt__map_get(&pf->threads, pf->cpu_threads[cpu] - 1) : NULL;
	if (before && (before == thread || before->state != KERNEL_RUNNING || before->cpu != cpu))
		before = NULL;
	/* Nobody leaves and comes at the same time: a reader could not put that in order. */
	if (thread->state == KERNEL_RUNNING && thread->cpu == cpu)
		return;
	if ((thread->state && thread->since_ns >= now_ns) || (before && before->since_ns >= now_ns))
		return;
	if (thread->state == KERNEL_RUNNING)
		put_state(pf, thread, now_ns - 1, KERNEL_RUNNABLE);
	if (before)
		put_state(pf, before, now_ns, KERNEL_RUNNABLE);
	pf->cpu_threads[cpu] = (uint32_t)tid + 1;
	thread->cpu = (uint32_t)cpu;
	put_state(pf, thread, now_ns, KERNEL_RUNNING);
}

static void cpu_out(struct gt__perfetto *pf, uint64_t tid, uint64_t cpu, bool runnable)
{
	struct thread *thread = cpu < GT__PF_CPU_MAX ? thread_of(pf, tid) : NULL;
	enum gt__pf_state state = runnable ? KERNEL_RUNNABLE : KERNEL_SLEEPING;

	if (!thread)
		return;
	/* An ended thread leaves its CPU at last. */
	if (thread->state == KERNEL_NONE && thread->lives)
		return;
	/* What it did before the trace's begin is not known, but for that it ran here. */
	if (thread->state == KERNEL_NONE) {
		thread->cpu = (uint32_t)cpu;
	} else if (thread->state == state) {
		return;
	}
	put_state(pf, thread, pf->rows.now_ns, state);
}

/* Until one of ours comes there, or the thread that had to go goes on elsewhere. */
static void cpu_other(struct gt__perfetto *pf, const uint64_t *args)
{
	struct thread *from = thread_of(pf, args[3]), *thread = from ? thread_of(pf, args[0]) : NULL;

	if (!thread || args[1] >= GT__PF_CPU_MAX)
		return;
	if (!thread->told) {
		thread->name = args[2];
		thread->other = true;
	}
	cpu_in(pf, args[0], args[1]);
	from->taken_cpu = (uint32_t)args[1] + 1;
	from->taken_by = args[0];
}

static void goes_on(struct gt__perfetto *pf, struct thread *thread, uint64_t cpu)
{
	struct thread *by = thread && thread->taken_cpu ? gt__map_get(&pf->threads, thread->taken_by) : NULL;

	if (by && cpu + 1 != thread->taken_cpu && by->other && by->state == KERNEL_RUNNING &&
		by->cpu + 1 == thread->taken_cpu && by->since_ns < pf->rows.now_ns)
		put_state(pf, by, pf->rows.now_ns, KERNEL_SLEEPING);
	if (thread)
		thread->taken_cpu = 0;
}

static void thread_begin(struct gt__perfetto *pf, const uint64_t *args)
{
	struct thread *thread = thread_of(pf, args[0]);

	if (!thread)
		return;
	thread->name = args[2];
	thread->other = false;
	/* A new name. */
	if (thread->told && !pf->quiet)
		put_thread(pf, thread, pf->rows.now_ns);
}

static void thread_end(struct gt__perfetto *pf, uint64_t tid)
{
	struct thread *thread = gt__map_get(&pf->threads, tid);

	if (!thread)
		return;
	/* When the first thread ends, a reader takes the whole process for ended; others of it may go on a little. */
	if (thread->state != KERNEL_NONE)
		put_state(pf, thread, pf->rows.now_ns, tid == pf->thread_pid ? KERNEL_SLEEPING : KERNEL_DESTROYED);
	gt__map_remove(&pf->tid_tracks, tid);
	gt__map_remove(&pf->tid_ms, tid);
	*thread = (struct thread){.tid = tid, .lives = thread->lives + 1};
}

/* On the thread's row, or on the goroutine's that ran there. */
static void put_instant(
	struct gt__perfetto *pf, uint64_t tid, unsigned int name, enum gt__intern_key key, uint64_t value)
{
	char text[96];
	uint32_t track;
	char *to, *inside;
	const char *what = name == GT_NAME_FAULT ? "page fault" : "CPU sample";

	if (pf->quiet || pf->options->shown || !tid || tid > GT__PF_PID_REAL_MAX)
		return;
	name_of(pf, gt__map_get(&pf->threads, tid), tid, text);
	track = gt__pf_tid_track(pf, tid, text);
	/* Numbers of names belong to the other sequence. */
	to = gt__pf_event(pf, gt__pf_begin_thread_packet(pf, pf->rows.now_ns), EVENT_INSTANT, track);
	to = gt__pb_text(to, 22, "kernel", 16);
	to = gt__pb_text(to, 23, what, 32);
	inside = to = gt_pb_open(to, 4);
	to = gt__pb_text(to, 10, key == GT_KEY_ADDRESS ? "address" : "cpu", 16);
	to = gt_pb_number(to, key == GT_KEY_ADDRESS ? 7 : 3, value);
	gt__pf_end(pf, gt_pb_close(inside, to));
}

static void put_sample(struct gt__perfetto *pf, const uint64_t *args)
{
	struct gt__row *row = args[0] ? gt__rows_goroutine(&pf->rows, args[0]) : NULL;
	struct gt__intern *intern = &pf->intern;
	uint64_t stack, name;
	char *to;

	if (pf->quiet)
		return;
	if (!row) {
		put_instant(pf, args[1], GT_NAME_SAMPLE, GT_KEY_CPU, args[2]);
		return;
	}
	if (!gt__pf_strip(pf, row))
		return;
	name = gt__intern_name(intern, GT_NAME_SAMPLE);
	stack = gt__pf_stack(pf, args[3]);
	gt__intern_category(intern, GT_CATEGORY_SAMPLE);
	gt__intern_key(intern, GT_KEY_CPU);
	to = gt__pf_begin(pf, pf->rows.now_ns, EVENT_INSTANT, row->number);
	to = gt__pf_named(to, name, GT_CATEGORY_SAMPLE);
	if (stack)
		to = gt_pb_number(to, 56, stack);
	if (args[2] < UINT32_MAX)
		to = gt__pf_number(to, GT_KEY_CPU, args[2]);
	gt__pf_end(pf, to);
}

static void put_throttled(struct gt__perfetto *pf, uint64_t duration_ns)
{
	struct gt__intern *intern = &pf->intern;
	uint64_t name;
	char *to;

	if (pf->quiet)
		return;
	name = gt__intern_name(intern, GT_NAME_THROTTLED);
	if (!(pf->told >> TRACK_QUOTA & 1))
		gt__pf_put_track(
			pf, TRACK_QUOTA, 0, "CPU quota", NULL, 0, "the cgroup's quota kept the program from running");
	pf->told |= UINT64_C(1) << TRACK_QUOTA;
	gt__intern_category(intern, GT_CATEGORY_SCHED);
	gt__intern_key(intern, GT_KEY_NS);
	to = gt__pf_begin(pf, pf->rows.now_ns, EVENT_INSTANT, TRACK_QUOTA);
	to = gt__pf_named(to, name, GT_CATEGORY_SCHED);
	gt__pf_end(pf, gt__pf_number(to, GT_KEY_NS, duration_ns));
}

void gt__pf_on_kernel(struct gt__perfetto *pf, const struct gt_event *event)
{
	const uint64_t *args = event->args;

	switch (event->kind) {
	case GT_EV_CPU_IN:
		goes_on(pf, gt__map_get(&pf->threads, args[0]), args[1]);
		cpu_in(pf, args[0], args[1]);
		break;
	case GT_EV_CPU_OUT:
		cpu_out(pf, args[0], args[1], args[2]);
		break;
	case GT_EV_CPU_OTHER:
		cpu_other(pf, args);
		break;
	case GT_EV_CPU_SAMPLE:
		put_sample(pf, args);
		break;
	case GT_EV_FAULT:
		put_instant(pf, args[0], GT_NAME_FAULT, GT_KEY_ADDRESS, args[1]);
		break;
	case GT_EV_THREAD_BEGIN:
		thread_begin(pf, args);
		break;
	case GT_EV_THREAD_END:
		thread_end(pf, args[0]);
		break;
	case GT_EV_THROTTLED:
		put_throttled(pf, args[0]);
		break;
	default:
		break;
	}
}

static int by_tid(const void *a, const void *b)
{
	const struct thread *x = *(struct thread *const *)a, *y = *(struct thread *const *)b;

	return x->tid < y->tid ? -1 : x->tid > y->tid;
}

void gt__pf_kernel_resume(struct gt__perfetto *pf)
{
	struct thread **all = malloc((pf->threads.count + 1) * sizeof(struct thread *)), *thread;
	size_t at = 0, count = 0;

	while (all && (thread = gt__map_each(&pf->threads, &at)))
		all[count++] = thread;
	if (count)
		qsort(all, count, sizeof(struct thread *), by_tid);
	for (at = 0; at < count; at++)
		if (all[at]->state != KERNEL_NONE)
			put_state(pf, all[at], pf->from_ns, all[at]->state);
	pf->failed |= !all;
	free(all);
}

void gt__pf_kernel_free(struct gt__perfetto *pf)
{
	struct thread *thread;
	size_t at = 0;

	while ((thread = gt__map_each(&pf->threads, &at)))
		free(thread);
	gt__map_free(&pf->threads);
	free(pf->cpu_threads);
}
