/*
 * gotrace_order.c - which event may come next: the sequence numbers of goroutines and Ps, and the scheduler's states.
 *
 * An event that must wait for another M's (its number is not the next one, its goroutine or P is not yet in the state that it
 * needs) is told so; one that could never come is broken. The rules are those of the format (docs/go-traces.md).
 */
#include "format/import/gotrace_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { G_BAD, G_RUNNABLE, G_RUNNING, G_SYSCALL, G_WAITING, G_COUNT };
enum { P_BAD, P_RUNNING, P_IDLE, P_SYSCALL, P_ABANDONED, P_COUNT };
enum gc { GC_UNDETERMINED, GC_OFF, GC_ON };

#define NONE       GT_GOTRACE_NONE
#define TRIO       3
#define RANGE_STW  1u
#define RANGE_MARK 2u

struct seq {
	uint64_t generation, number;
};
struct region {
	uint64_t task, name;
};
struct range {
	uint64_t kind, text; /* of STW: the string that names it */
};

struct g_state {
	uint64_t id;
	struct seq seq;
	struct region *regions;
	struct range *ranges;
	uint32_t region_count, region_room;
	uint8_t range_count, range_room;
	uint8_t status;
	uint32_t next_free; /* place + 1 */
};
struct p_state {
	struct seq seq;
	uint8_t status;
	bool sweeps;
};
struct m_state {
	uint64_t m, g, p;
};
struct task {
	uint64_t parent, name;
};

struct gt__go_order {
	struct gt__go_array gs, ps, ms, tasks;
	struct gt_map g_of, p_of, m_of, task_of; /* id -> place */
	uint32_t free_g, free_task;              /* place + 1 */
	uint64_t regions;                        /* open ones */
	struct gt_strings names; /* of tasks and regions: ids are of one generation, these live longer */
	uint64_t gc_seq;
	enum gc gc;
	uint64_t first_generation;
	struct gt_gotrace_event queue[TRIO];
	unsigned int queued, given;
	const struct gt__go_generation *generation;
	char *why;
};

/* What is around an event: its own place, and what is bound there afterwards. */
struct context {
	uint64_t m, p, g; /* before */
	uint64_t new_p, new_g;
};

int gt__go_order_new(struct gt__go_order **out)
{
	*out = calloc(1, sizeof(**out));
	if (!*out)
		return -ENOMEM;
	(*out)->names.bytes_max = GT__GO_NAME_BYTES_MAX;
	return 0;
}

void gt__go_order_free(struct gt__go_order *order)
{
	struct g_state *gs;

	if (!order)
		return;
	gs = order->gs.at;
	for (size_t i = 0; i < order->gs.count; i++) {
		free(gs[i].regions);
		free(gs[i].ranges);
	}
	free(order->gs.at);
	free(order->ps.at);
	free(order->ms.at);
	free(order->tasks.at);
	gt_map_free(&order->g_of);
	gt_map_free(&order->p_of);
	gt_map_free(&order->m_of);
	gt_map_free(&order->task_of);
	gt_strings_free(&order->names);
	free(order);
}

const char *gt__go_order_name(const struct gt__go_order *order, uint64_t name, size_t *size)
{
	return gt_strings_get(&order->names, name, size);
}

static enum gt__go_fit broken(struct gt__go_order *order, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static enum gt__go_fit broken(struct gt__go_order *order, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(order->why, 256, format, args);
	va_end(args);
	return GT__GO_BROKEN;
}

static enum gt__go_fit full(struct gt__go_order *order)
{
	return broken(order, "it needs more memory than there is, or than this program takes");
}

/* ---- what lives ---- */

static struct g_state *g_find(const struct gt__go_order *order, uint64_t g)
{
	const uint64_t *place = g == NONE ? NULL : gt_map_find(&order->g_of, g);

	return place ? (struct g_state *)order->gs.at + *place : NULL;
}

static struct g_state *g_new(struct gt__go_order *order, uint64_t g, unsigned int status, uint64_t generation)
{
	struct g_state *gs = order->gs.at, *state;
	uint32_t place = order->free_g;

	if (place) {
		state = &gs[--place];
		order->free_g = state->next_free;
	} else {
		place = (uint32_t)order->gs.count;
		state = place < GT__GO_GOROUTINES_MAX ? gt__go_add(&order->gs, sizeof(*state)) : NULL;
		if (!state)
			return NULL;
		memset(state, 0, sizeof(*state));
	}
	if (gt_map_put(&order->g_of, g, place) < 0) {
		state->next_free = order->free_g;
		order->free_g = place + 1;
		return NULL;
	}
	state->id = g;
	state->status = (uint8_t)status;
	state->seq = (struct seq){.generation = generation};
	state->region_count = state->range_count = 0;
	return state;
}

static void g_end(struct gt__go_order *order, struct g_state *state)
{
	uint32_t place = (uint32_t)(state - (struct g_state *)order->gs.at);

	gt_map_remove(&order->g_of, state->id);
	order->regions -= state->region_count;
	free(state->regions);
	free(state->ranges);
	*state = (struct g_state){.next_free = order->free_g};
	order->free_g = place + 1;
}

static struct p_state *p_find(const struct gt__go_order *order, uint64_t p)
{
	const uint64_t *place = p == NONE ? NULL : gt_map_find(&order->p_of, p);

	return place ? (struct p_state *)order->ps.at + *place : NULL;
}

static struct m_state *m_find(const struct gt__go_order *order, uint64_t m)
{
	const uint64_t *place = gt_map_find(&order->m_of, m);

	return place ? (struct m_state *)order->ms.at + *place : NULL;
}

static struct m_state *m_need(struct gt__go_order *order, uint64_t m)
{
	struct m_state *state = m_find(order, m);

	if (state)
		return state;
	state = order->ms.count < GT__GO_THREADS_MAX ? gt__go_add(&order->ms, sizeof(*state)) : NULL;
	if (!state)
		return NULL;
	*state = (struct m_state){.m = m, .g = NONE, .p = NONE};
	return gt_map_put(&order->m_of, m, order->ms.count - 1) < 0 ? NULL : state;
}

static bool succeeds(struct seq seq, uint64_t generation, uint64_t number)
{
	return seq.generation == generation && number == seq.number + 1;
}

/* ---- the queue ---- */

static struct gt_gotrace_event *push(
	struct gt__go_order *order, const struct gt_gotrace_event *event, const struct context *at)
{
	struct gt_gotrace_event *to = &order->queue[order->queued++];

	*to = *event;
	to->m = at->m;
	to->p = at->p;
	to->g = at->g;
	return to;
}

/* One that stands for a part of @event. */
static struct gt_gotrace_event *push_part(struct gt__go_order *order, const struct gt_gotrace_event *event,
	const struct context *at, enum gt_gotrace_type type)
{
	struct gt_gotrace_event part = {.type = (uint8_t)type, .time_ns = event->time_ns};

	return push(order, &part, at);
}

bool gt__go_pop(struct gt__go_order *order, struct gt_gotrace_event *event)
{
	if (order->given == order->queued) {
		order->given = order->queued = 0;
		return false;
	}
	*event = order->queue[order->given++];
	return true;
}

/* ---- what an event needs ---- */

enum need { NEED_M = 1, NEED_P = 2, NEED_G = 4, NO_P = 8, NO_G = 16, NEED_ALL = NEED_M | NEED_P | NEED_G };

static bool has(struct gt__go_order *order, const struct context *at, unsigned int needs)
{
	const char *what = NULL;

	if (needs & NEED_M && at->m == NONE)
		what = "it happened on no thread";
	else if (needs & NEED_P && at->p == NONE)
		what = "its thread has no P";
	else if (needs & NO_P && at->p != NONE)
		what = "its thread has a P";
	else if (needs & NEED_G && at->g == NONE)
		what = "its thread runs no goroutine";
	else if (needs & NO_G && at->g != NONE)
		what = "its thread has a goroutine";
	if (what)
		broken(order, "%s", what);
	return !what;
}

/* The goroutine on this M, in @status; NULL and why when it is not so. */
static struct g_state *current(
	struct gt__go_order *order, const struct context *at, unsigned int needs, unsigned int status)
{
	struct g_state *state;

	if (!has(order, at, needs))
		return NULL;
	state = g_find(order, at->g);
	if (!state)
		broken(order, "goroutine %lld does not exist", (long long)at->g);
	else if (state->status != status)
		broken(order, "goroutine %lld is not %s", (long long)at->g,
			status == G_RUNNING ? "running" : "in a system call");
	return state && state->status == status ? state : NULL;
}

/* ---- Ps ---- */

/* Whose it is, when an abandoned P turns out to be one in a system call. */
static bool find_holder(const struct gt__go_order *order, uint64_t p, struct context *at)
{
	const struct m_state *ms = order->ms.at;

	for (size_t i = 0; i < order->ms.count; i++) {
		if (ms[i].p != p)
			continue;
		at->m = ms[i].m;
		at->p = p;
		at->g = ms[i].g;
		return true;
	}
	return false;
}

static enum gt__go_fit proc_status(
	struct gt__go_order *order, struct gt_gotrace_event *event, uint64_t generation, struct context *at)
{
	static const uint8_t states[P_COUNT] = {GT_GOTRACE_P_UNDETERMINED, GT_GOTRACE_P_RUNNING, GT_GOTRACE_P_IDLE,
		GT_GOTRACE_P_RUNNING, GT_GOTRACE_P_IDLE};
	uint64_t p = event->args[0], status = event->args[1] & 0xff;
	struct p_state *state = p_find(order, p);
	struct context where = *at;

	if (status >= P_COUNT)
		return broken(order, "P %lld in a state %llu", (long long)p, (unsigned long long)status);
	event->old = states[status];
	if (state) {
		if (status == P_ABANDONED && state->status == P_SYSCALL) {
			event->old = GT_GOTRACE_P_RUNNING;
			event->args[1] = P_SYSCALL;
			if (!find_holder(order, p, &where))
				return broken(order, "P %lld is to be taken from nobody", (long long)p);
		} else if (state->status != status) {
			return broken(order, "P %lld is told to be in another state than it is", (long long)p);
		}
		state->seq = (struct seq){.generation = generation};
	} else {
		state = order->ps.count < GT__GO_PROCS_MAX ? gt__go_add(&order->ps, sizeof(*state)) : NULL;
		if (!state || gt_map_put(&order->p_of, p, order->ps.count - 1) < 0)
			return full(order);
		*state = (struct p_state){.seq = {.generation = generation}, .status = (uint8_t)status};
		event->first = true;
		event->old = generation == order->first_generation ? GT_GOTRACE_P_UNDETERMINED : GT_GOTRACE_P_NOTEXIST;
	}
	if (status == P_RUNNING || status == P_SYSCALL)
		at->new_p = p;
	push(order, event, &where);
	return GT__GO_FITS;
}

static enum gt__go_fit proc_start(
	struct gt__go_order *order, struct gt_gotrace_event *event, uint64_t generation, struct context *at)
{
	struct p_state *state = p_find(order, event->args[0]);

	if (!state || state->status != P_IDLE || !succeeds(state->seq, generation, event->args[1]) || at->p != NONE)
		return GT__GO_WAITS;
	if (!has(order, at, NEED_M | NO_P))
		return GT__GO_BROKEN;
	state->status = P_RUNNING;
	state->seq.number = event->args[1];
	at->new_p = event->args[0];
	push(order, event, at);
	return GT__GO_FITS;
}

static enum gt__go_fit proc_stop(
	struct gt__go_order *order, struct gt_gotrace_event *event, uint64_t generation, struct context *at)
{
	struct p_state *state = p_find(order, at->p);

	(void)generation;
	if (!state)
		return broken(order, "its thread has no P");
	if (state->status != P_RUNNING && state->status != P_SYSCALL)
		return broken(order, "P %lld does not run", (long long)at->p);
	if (!has(order, at, NEED_M | NEED_P))
		return GT__GO_BROKEN;
	state->status = P_IDLE;
	at->new_p = NONE;
	push(order, event, at);
	return GT__GO_FITS;
}

static enum gt__go_fit proc_steal(
	struct gt__go_order *order, struct gt_gotrace_event *event, uint64_t generation, struct context *at)
{
	uint64_t p = event->args[0], from = event->args[2];
	struct p_state *state = p_find(order, p);
	struct m_state *holder;

	if (!state || (state->status != P_SYSCALL && state->status != P_ABANDONED) ||
		!succeeds(state->seq, generation, event->args[1]))
		return GT__GO_WAITS;
	if (!has(order, at, NEED_M))
		return GT__GO_BROKEN;
	event->old = state->status == P_ABANDONED ? GT_GOTRACE_P_IDLE : GT_GOTRACE_P_RUNNING;
	state->status = P_IDLE;
	state->seq.number = event->args[1];
	if (event->old == GT_GOTRACE_P_RUNNING) {
		holder = from == at->m ? NULL : m_find(order, from);
		if (from != at->m && !holder)
			return broken(order, "P %lld is taken from thread %lld, which does not exist", (long long)p,
				(long long)from);
		if ((holder ? holder->p : at->p) != p)
			return broken(order, "P %lld is taken from thread %lld, which does not have it", (long long)p,
				(long long)from);
		if (holder)
			holder->p = NONE;
		else
			at->new_p = NONE;
	}
	push(order, event, at);
	return GT__GO_FITS;
}

/* ---- goroutines ---- */

/* A goroutine in a system call, told by another thread: it is bound to its own. */
static enum gt__go_fit status_in_syscall(struct gt__go_order *order, const struct gt_gotrace_event *event,
	uint64_t generation, struct context *at, struct context *where)
{
	uint64_t g = event->args[0], m = event->args[1];
	struct m_state *thread;

	if (m == NONE)
		return broken(order, "goroutine %lld is in a system call on no thread", (long long)g);
	if (m == at->m) {
		if (generation != order->first_generation && at->g != g)
			return broken(order, "goroutine %lld is not on thread %lld", (long long)g, (long long)m);
		at->new_g = g;
		return GT__GO_FITS;
	}
	thread = m_find(order, m);
	if (thread && thread->g != g)
		return broken(order, "goroutine %lld is not on thread %lld", (long long)g, (long long)m);
	if (thread) {
		where->g = g;
	} else {
		thread = m_need(order, m);
		if (!thread)
			return full(order);
		thread->g = g;
	}
	where->m = m;
	return GT__GO_FITS;
}

static enum gt__go_fit go_status(
	struct gt__go_order *order, struct gt_gotrace_event *event, uint64_t generation, struct context *at)
{
	static const uint8_t states[G_COUNT] = {GT_GOTRACE_G_UNDETERMINED, GT_GOTRACE_G_RUNNABLE, GT_GOTRACE_G_RUNNING,
		GT_GOTRACE_G_SYSCALL, GT_GOTRACE_G_WAITING};
	uint64_t g = event->args[0], status = event->args[2] & 0xff;
	struct g_state *state = g_find(order, g);
	struct context where = *at;

	if (status >= G_COUNT)
		return broken(order, "goroutine %lld in a state %llu", (long long)g, (unsigned long long)status);
	event->old = states[status];
	if (state) {
		if (state->status != status)
			return broken(order, "goroutine %lld is told to be in another state than it is", (long long)g);
		state->seq = (struct seq){.generation = generation};
	} else if (generation == order->first_generation) {
		if (!g_new(order, g, (unsigned int)status, generation))
			return full(order);
		event->old = GT_GOTRACE_G_UNDETERMINED;
		event->first = true;
	} else {
		return broken(order, "goroutine %lld appears after the first generation", (long long)g);
	}
	event->args[2] = status;
	if (status == G_RUNNING)
		at->new_g = g;
	if (status == G_SYSCALL && status_in_syscall(order, event, generation, at, &where) == GT__GO_BROKEN)
		return GT__GO_BROKEN;
	push(order, event, &where);
	return GT__GO_FITS;
}

static enum gt__go_fit go_create(
	struct gt__go_order *order, struct gt_gotrace_event *event, uint64_t generation, struct context *at)
{
	const struct g_state *parent;

	if (!has(order, at, NEED_M | NEED_P))
		return GT__GO_BROKEN;
	parent = g_find(order, at->g);
	if (parent && parent->status != G_RUNNING)
		return broken(order, "goroutine %lld is not running", (long long)at->g);
	if (g_find(order, event->args[0]))
		return broken(order, "goroutine %lld exists already", (long long)event->args[0]);
	if (!g_new(order, event->args[0], event->type == GT_GOTRACE_GO_CREATE ? G_RUNNABLE : G_WAITING, generation))
		return full(order);
	push(order, event, at);
	return GT__GO_FITS;
}

static enum gt__go_fit go_stop(
	struct gt__go_order *order, struct gt_gotrace_event *event, uint64_t generation, struct context *at)
{
	struct g_state *state = current(order, at, NEED_ALL, G_RUNNING);

	(void)generation;
	if (!state)
		return GT__GO_BROKEN;
	if (event->type == GT_GOTRACE_GO_DESTROY)
		g_end(order, state);
	else
		state->status = event->type == GT_GOTRACE_GO_STOP ? G_RUNNABLE : G_WAITING;
	at->new_g = NONE;
	push(order, event, at);
	return GT__GO_FITS;
}

static enum gt__go_fit go_start(
	struct gt__go_order *order, struct gt_gotrace_event *event, uint64_t generation, struct context *at)
{
	struct g_state *state = g_find(order, event->args[0]);

	if (!state || state->status != G_RUNNABLE || !succeeds(state->seq, generation, event->args[1]))
		return GT__GO_WAITS;
	if (!has(order, at, NEED_M | NEED_P | NO_G))
		return GT__GO_BROKEN;
	state->status = G_RUNNING;
	state->seq.number = event->args[1];
	at->new_g = event->args[0];
	push(order, event, at);
	return GT__GO_FITS;
}

static enum gt__go_fit go_unblock(
	struct gt__go_order *order, struct gt_gotrace_event *event, uint64_t generation, struct context *at)
{
	struct g_state *state = g_find(order, event->args[0]);

	if (!state || state->status != G_WAITING || !succeeds(state->seq, generation, event->args[1]))
		return GT__GO_WAITS;
	state->status = G_RUNNABLE;
	state->seq.number = event->args[1];
	push(order, event, at);
	return GT__GO_FITS;
}

static enum gt__go_fit go_switch(
	struct gt__go_order *order, struct gt_gotrace_event *event, uint64_t generation, struct context *at)
{
	struct g_state *state = current(order, at, NEED_ALL, G_RUNNING), *next;
	struct gt_gotrace_event *start;
	struct context after = *at;

	if (!state)
		return GT__GO_BROKEN;
	next = g_find(order, event->args[0]);
	if (!next || next->status != G_WAITING || !succeeds(next->seq, generation, event->args[1]))
		return GT__GO_WAITS;
	push(order, event, at);
	next->status = G_RUNNING;
	next->seq.number = event->args[1];
	if (event->type == GT_GOTRACE_GO_SWITCH) {
		state->status = G_WAITING;
		push_part(order, event, at, GT_GOTRACE_GO_BLOCK);
	} else {
		g_end(order, state);
		push_part(order, event, at, GT_GOTRACE_GO_DESTROY);
	}
	after.g = NONE;
	start = push_part(order, event, &after, GT_GOTRACE_GO_START);
	start->args[0] = event->args[0];
	start->args[1] = event->args[1];
	at->new_g = event->args[0];
	return GT__GO_FITS;
}

/* ---- system calls ---- */

static enum gt__go_fit syscall_begin(
	struct gt__go_order *order, struct gt_gotrace_event *event, uint64_t generation, struct context *at)
{
	struct g_state *state = current(order, at, NEED_ALL, G_RUNNING);
	struct p_state *slot = p_find(order, at->p);

	if (!state)
		return GT__GO_BROKEN;
	if (!slot)
		return broken(order, "P %lld was never told of", (long long)at->p);
	if (!succeeds(slot->seq, generation, event->args[0]))
		return broken(order, "P %lld's numbers have a gap", (long long)at->p);
	state->status = G_SYSCALL;
	slot->status = P_SYSCALL;
	slot->seq.number = event->args[0];
	push(order, event, at);
	return GT__GO_FITS;
}

static enum gt__go_fit syscall_end(
	struct gt__go_order *order, struct gt_gotrace_event *event, uint64_t generation, struct context *at)
{
	struct g_state *state = current(order, at, NEED_ALL, G_SYSCALL);
	struct p_state *slot = p_find(order, at->p);

	(void)generation;
	if (!state)
		return GT__GO_BROKEN;
	if (!slot || slot->status != P_SYSCALL)
		return broken(order, "P %lld is not in a system call", (long long)at->p);
	state->status = G_RUNNING;
	slot->status = P_RUNNING;
	push(order, event, at);
	return GT__GO_FITS;
}

static enum gt__go_fit syscall_end_blocked(
	struct gt__go_order *order, struct gt_gotrace_event *event, uint64_t generation, struct context *at)
{
	const struct p_state *slot = p_find(order, at->p);
	struct g_state *state;

	(void)generation;
	if (at->p != NONE && !slot)
		return broken(order, "P %lld was never told of", (long long)at->p);
	if (slot && slot->status == P_SYSCALL)
		return GT__GO_WAITS;
	state = current(order, at, NEED_M | NEED_G, G_SYSCALL);
	if (!state)
		return GT__GO_BROKEN;
	state->status = G_RUNNABLE;
	at->new_g = NONE;
	push(order, event, at);
	return GT__GO_FITS;
}

static enum gt__go_fit create_syscall(
	struct gt__go_order *order, struct gt_gotrace_event *event, uint64_t generation, struct context *at)
{
	if (!has(order, at, NEED_M | NO_G))
		return GT__GO_BROKEN;
	if (g_find(order, event->args[0]))
		return broken(order, "goroutine %lld exists already", (long long)event->args[0]);
	if (!g_new(order, event->args[0], G_SYSCALL, generation))
		return full(order);
	at->new_g = event->args[0];
	push(order, event, at);
	return GT__GO_FITS;
}

static enum gt__go_fit destroy_syscall(
	struct gt__go_order *order, struct gt_gotrace_event *event, uint64_t generation, struct context *at)
{
	struct g_state *state = current(order, at, NEED_M | NEED_G, G_SYSCALL);
	struct gt_gotrace_event *steal;
	struct p_state *slot;

	(void)generation;
	if (!state)
		return GT__GO_BROKEN;
	g_end(order, state);
	at->new_g = NONE;
	if (at->p != NONE) {
		slot = p_find(order, at->p);
		if (!slot || slot->status != P_SYSCALL)
			return broken(order, "P %lld is not in a system call", (long long)at->p);
		/* The thread's id may come again: whoever takes the P later takes it from nobody. */
		slot->status = P_ABANDONED;
		at->new_p = NONE;
		steal = push_part(order, event, at, GT_GOTRACE_PROC_STEAL);
		steal->args[0] = at->p;
		steal->old = GT_GOTRACE_P_RUNNING;
	}
	push(order, event, at);
	return GT__GO_FITS;
}

/* ---- what a user told ---- */

/* Its id in what lives longer than a generation; false without such a string, or room. */
static bool keep_name(struct gt__go_order *order, uint64_t string, uint64_t *name)
{
	size_t size;
	const char *text = gt__go_string(order->generation, string, &size);

	if (!text)
		broken(order, "it names a string %llu that is not there", (unsigned long long)string);
	else if (gt_strings_intern(&order->names, text, size, name) < 0)
		full(order);
	else
		return true;
	return false;
}

static enum gt__go_fit task_begin(
	struct gt__go_order *order, struct gt_gotrace_event *event, uint64_t generation, struct context *at)
{
	struct task *tasks = order->tasks.at, *task;
	uint32_t place = order->free_task;
	uint64_t name;

	(void)generation;
	if (gt_map_find(&order->task_of, event->args[0]))
		return broken(order, "task %llu has begun already", (unsigned long long)event->args[0]);
	if (!event->args[1])
		event->args[1] = NONE;
	if (!keep_name(order, event->args[2], &name))
		return GT__GO_BROKEN;
	if (place) {
		task = &tasks[--place];
		order->free_task = (uint32_t)task->parent;
	} else {
		place = (uint32_t)order->tasks.count;
		task = place < GT__GO_TASKS_MAX ? gt__go_add(&order->tasks, sizeof(*task)) : NULL;
	}
	if (!task || gt_map_put(&order->task_of, event->args[0], place) < 0)
		return full(order);
	*task = (struct task){.parent = event->args[1], .name = name};
	if (!has(order, at, NEED_ALL))
		return GT__GO_BROKEN;
	push(order, event, at);
	return GT__GO_FITS;
}

static enum gt__go_fit task_end(
	struct gt__go_order *order, struct gt_gotrace_event *event, uint64_t generation, struct context *at)
{
	const uint64_t *found = gt_map_find(&order->task_of, event->args[0]);
	uint32_t place = found ? (uint32_t)*found : 0;
	struct task *task = found ? (struct task *)order->tasks.at + place : NULL;

	(void)generation;
	event->args[2] = task ? task->parent : NONE;
	event->args[3] = task ? task->name : 0;
	if (task) {
		gt_map_remove(&order->task_of, event->args[0]);
		task->parent = order->free_task;
		order->free_task = place + 1;
	}
	if (!has(order, at, NEED_ALL))
		return GT__GO_BROKEN;
	push(order, event, at);
	return GT__GO_FITS;
}

static enum gt__go_fit region(
	struct gt__go_order *order, struct gt_gotrace_event *event, uint64_t generation, struct context *at)
{
	struct region one = {.task = event->args[0]};
	struct region *last;
	struct g_state *state;

	(void)generation;
	if (!has(order, at, NEED_ALL) || !keep_name(order, event->args[1], &one.name))
		return GT__GO_BROKEN;
	state = g_find(order, at->g);
	if (!state)
		return broken(order, "goroutine %lld does not exist", (long long)at->g);
	if (event->type == GT_GOTRACE_USER_REGION_BEGIN) {
		if (state->region_count == state->region_room) {
			uint32_t room = state->region_room ? state->region_room * 2 : 4;
			struct region *more = order->regions < GT__GO_REGIONS_MAX
						      ? realloc(state->regions, room * sizeof(*more))
						      : NULL;

			if (!more)
				return full(order);
			state->regions = more;
			state->region_room = room;
		}
		state->regions[state->region_count++] = one;
		order->regions++;
	} else if (state->region_count) { /* else it began before the trace */
		last = &state->regions[state->region_count - 1];
		if (last->task != one.task || last->name != one.name)
			return broken(
				order, "goroutine %lld leaves a region that is not its innermost", (long long)at->g);
		state->region_count--;
		order->regions--;
	}
	push(order, event, at);
	return GT__GO_FITS;
}

static enum gt__go_fit annotation(
	struct gt__go_order *order, struct gt_gotrace_event *event, uint64_t generation, struct context *at)
{
	(void)generation;
	if (!has(order, at, NEED_ALL))
		return GT__GO_BROKEN;
	push(order, event, at);
	return GT__GO_FITS;
}

static enum gt__go_fit metric(
	struct gt__go_order *order, struct gt_gotrace_event *event, uint64_t generation, struct context *at)
{
	(void)generation;
	if (!has(order, at, NEED_M | NEED_P))
		return GT__GO_BROKEN;
	push(order, event, at);
	return GT__GO_FITS;
}

static enum gt__go_fit experimental(
	struct gt__go_order *order, struct gt_gotrace_event *event, uint64_t generation, struct context *at)
{
	(void)generation;
	if (!has(order, at, NEED_M))
		return GT__GO_BROKEN;
	push(order, event, at);
	return GT__GO_FITS;
}

/* ---- the collector ---- */

static enum gt__go_fit gc_active(
	struct gt__go_order *order, struct gt_gotrace_event *event, uint64_t generation, struct context *at)
{
	if (generation == order->first_generation) {
		if (order->gc != GC_UNDETERMINED)
			return broken(order, "it is not the first event of the collector");
		order->gc = GC_ON;
		event->first = true;
	} else {
		if (event->args[0] != order->gc_seq + 1)
			return GT__GO_WAITS;
		if (order->gc != GC_ON)
			return broken(order, "the collector does not run");
	}
	order->gc_seq = event->args[0];
	if (!event->first && !has(order, at, NEED_ALL))
		return GT__GO_BROKEN;
	push(order, event, at);
	return GT__GO_FITS;
}

static enum gt__go_fit gc_begin(
	struct gt__go_order *order, struct gt_gotrace_event *event, uint64_t generation, struct context *at)
{
	bool first = order->gc == GC_UNDETERMINED;

	(void)generation;
	if (!first) {
		if (event->args[0] != order->gc_seq + 1)
			return GT__GO_WAITS;
		if (order->gc == GC_ON)
			return broken(order, "the collector runs already");
	}
	order->gc_seq = event->args[0];
	order->gc = GC_ON;
	if (!first && !has(order, at, NEED_ALL))
		return GT__GO_BROKEN;
	push(order, event, at);
	return GT__GO_FITS;
}

static enum gt__go_fit gc_end(
	struct gt__go_order *order, struct gt_gotrace_event *event, uint64_t generation, struct context *at)
{
	(void)generation;
	if (event->args[0] != order->gc_seq + 1)
		return GT__GO_WAITS;
	if (order->gc != GC_ON)
		return broken(order, "the collector does not run");
	order->gc_seq = event->args[0];
	order->gc = GC_OFF;
	if (!has(order, at, NEED_ALL))
		return GT__GO_BROKEN;
	push(order, event, at);
	return GT__GO_FITS;
}

static enum gt__go_fit sweep(
	struct gt__go_order *order, struct gt_gotrace_event *event, uint64_t generation, struct context *at)
{
	bool active = event->type == GT_GOTRACE_GC_SWEEP_ACTIVE, end = event->type == GT_GOTRACE_GC_SWEEP_END;
	uint64_t p = active ? event->args[0] : at->p;
	struct p_state *state;

	if (!active && !has(order, at, NEED_M | NEED_P))
		return GT__GO_BROKEN;
	state = p_find(order, p);
	if (!state)
		return broken(order, "P %lld was never told of", (long long)p);
	event->first = active && generation == order->first_generation;
	if (state->sweeps != (end || (active && !event->first)))
		return broken(order, state->sweeps ? "P %lld sweeps already" : "P %lld does not sweep", (long long)p);
	state->sweeps = !end;
	push(order, event, at);
	return GT__GO_FITS;
}

static int find_range(const struct g_state *state, uint64_t kind, uint64_t text, bool any)
{
	for (int i = 0; i < state->range_count; i++)
		if (state->ranges[i].kind == kind && (any || state->ranges[i].text == text))
			return i;
	return -1;
}

static enum gt__go_fit begin_range(struct gt__go_order *order, struct g_state *state, uint64_t kind, uint64_t text)
{
	if (find_range(state, kind, text, false) >= 0)
		return broken(order, "goroutine %lld does so already", (long long)state->id);
	if (state->range_count == state->range_room) {
		unsigned int room = state->range_room ? state->range_room * 2u : 2u;
		struct range *more = room <= GT__GO_RANGES_MAX ? realloc(state->ranges, room * sizeof(*more)) : NULL;

		if (!more)
			return full(order);
		state->ranges = more;
		state->range_room = (uint8_t)room;
	}
	state->ranges[state->range_count++] = (struct range){.kind = kind, .text = text};
	return GT__GO_FITS;
}

/* Stops of the world and mark assists: a goroutine's. */
static enum gt__go_fit go_range(
	struct gt__go_order *order, struct gt_gotrace_event *event, uint64_t generation, struct context *at)
{
	bool active = event->type == GT_GOTRACE_GC_MARK_ASSIST_ACTIVE;
	bool stw = event->type == GT_GOTRACE_STW_BEGIN || event->type == GT_GOTRACE_STW_END;
	uint64_t kind = stw ? RANGE_STW : RANGE_MARK, g = active ? event->args[0] : at->g;
	struct g_state *state;
	int place;

	if (!active && !has(order, at, NEED_ALL))
		return GT__GO_BROKEN;
	state = g_find(order, g);
	if (!state)
		return broken(order, "goroutine %lld does not exist", (long long)g);
	event->first = active && generation == order->first_generation;
	if (event->type == GT_GOTRACE_STW_END || event->type == GT_GOTRACE_GC_MARK_ASSIST_END) {
		place = find_range(state, kind, 0, true);
		if (place < 0)
			return broken(order, "goroutine %lld did not begin it", (long long)g);
		if (stw)
			event->args[0] = state->ranges[place].text;
		state->ranges[place] = state->ranges[--state->range_count];
	} else if (active && !event->first) {
		if (find_range(state, kind, 0, false) < 0)
			return broken(order, "goroutine %lld did not begin it", (long long)g);
	} else if (begin_range(order, state, kind, stw ? event->args[0] : 0) == GT__GO_BROKEN) {
		return GT__GO_BROKEN;
	}
	push(order, event, at);
	return GT__GO_FITS;
}

/* ---- all of them ---- */

typedef enum gt__go_fit advance_fn(
	struct gt__go_order *order, struct gt_gotrace_event *event, uint64_t generation, struct context *at);

static advance_fn *const advances[256] = {
	[GT_GOTRACE_PROCS_CHANGE] = annotation,
	[GT_GOTRACE_PROC_START] = proc_start,
	[GT_GOTRACE_PROC_STOP] = proc_stop,
	[GT_GOTRACE_PROC_STEAL] = proc_steal,
	[GT_GOTRACE_PROC_STATUS] = proc_status,
	[GT_GOTRACE_GO_CREATE] = go_create,
	[GT_GOTRACE_GO_CREATE_SYSCALL] = create_syscall,
	[GT_GOTRACE_GO_START] = go_start,
	[GT_GOTRACE_GO_DESTROY] = go_stop,
	[GT_GOTRACE_GO_DESTROY_SYSCALL] = destroy_syscall,
	[GT_GOTRACE_GO_STOP] = go_stop,
	[GT_GOTRACE_GO_BLOCK] = go_stop,
	[GT_GOTRACE_GO_UNBLOCK] = go_unblock,
	[GT_GOTRACE_GO_SYSCALL_BEGIN] = syscall_begin,
	[GT_GOTRACE_GO_SYSCALL_END] = syscall_end,
	[GT_GOTRACE_GO_SYSCALL_END_BLOCKED] = syscall_end_blocked,
	[GT_GOTRACE_GO_STATUS] = go_status,
	[GT_GOTRACE_GO_STATUS_STACK] = go_status,
	[GT_GOTRACE_STW_BEGIN] = go_range,
	[GT_GOTRACE_STW_END] = go_range,
	[GT_GOTRACE_GC_ACTIVE] = gc_active,
	[GT_GOTRACE_GC_BEGIN] = gc_begin,
	[GT_GOTRACE_GC_END] = gc_end,
	[GT_GOTRACE_GC_SWEEP_ACTIVE] = sweep,
	[GT_GOTRACE_GC_SWEEP_BEGIN] = sweep,
	[GT_GOTRACE_GC_SWEEP_END] = sweep,
	[GT_GOTRACE_GC_MARK_ASSIST_ACTIVE] = go_range,
	[GT_GOTRACE_GC_MARK_ASSIST_BEGIN] = go_range,
	[GT_GOTRACE_GC_MARK_ASSIST_END] = go_range,
	[GT_GOTRACE_HEAP_ALLOC] = metric,
	[GT_GOTRACE_HEAP_GOAL] = metric,
	[GT_GOTRACE_GO_LABEL] = annotation,
	[GT_GOTRACE_USER_TASK_BEGIN] = task_begin,
	[GT_GOTRACE_USER_TASK_END] = task_end,
	[GT_GOTRACE_USER_REGION_BEGIN] = region,
	[GT_GOTRACE_USER_REGION_END] = region,
	[GT_GOTRACE_USER_LOG] = annotation,
	[GT_GOTRACE_GO_SWITCH] = go_switch,
	[GT_GOTRACE_GO_SWITCH_DESTROY] = go_switch,
	[GT_GOTRACE_GO_CREATE_BLOCKED] = go_create,
	[GT_GOTRACE_SPAN] = experimental,
	[GT_GOTRACE_SPAN_ALLOC] = experimental,
	[GT_GOTRACE_SPAN_FREE] = experimental,
	[GT_GOTRACE_HEAP_OBJECT] = experimental,
	[GT_GOTRACE_HEAP_OBJECT_ALLOC] = experimental,
	[GT_GOTRACE_HEAP_OBJECT_FREE] = experimental,
	[GT_GOTRACE_GOROUTINE_STACK] = experimental,
	[GT_GOTRACE_GOROUTINE_STACK_ALLOC] = experimental,
	[GT_GOTRACE_GOROUTINE_STACK_FREE] = experimental,
};

enum gt__go_fit gt__go_advance(struct gt__go_order *order, struct gt_gotrace_event *event,
	const struct gt__go_generation *generation, char why[256])
{
	struct context at = {.m = event->m, .p = NONE, .g = NONE, .new_p = NONE, .new_g = NONE};
	struct m_state *thread = NULL;
	enum gt__go_fit fit;

	order->generation = generation;
	order->why = why;
	order->queued = order->given = 0;
	if (!order->first_generation)
		order->first_generation = generation->number;
	if (event->m != NONE) {
		thread = m_need(order, event->m);
		if (!thread)
			return full(order);
		at.p = at.new_p = thread->p;
		at.g = at.new_g = thread->g;
	}
	if (!advances[event->type])
		return broken(order, "an event of type %u", event->type);
	fit = advances[event->type](order, event, generation->number, &at);
	if (fit == GT__GO_FITS && thread) {
		thread = m_find(order, event->m); /* others may have come */
		thread->p = at.new_p;
		thread->g = at.new_g;
	}
	return fit;
}
