/* perfetto.c - rows, arrows, counters and marks as packets of Perfetto's TracePacket. */
#include "format/convert/perfetto.h"
#include "format/convert/intern.h"
#include "format/convert/json.h"
#include "format/convert/protobuf.h"
#include "format/convert/rows.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEQUENCE_THREADS 2u /* Ms, on their own machine */
#define MACHINE_THREADS  1u
/* A clock of the sequence, whose 0 is the trace's begin. */
#define CLOCK_TRACE     64u
#define CLOCK_REALTIME  1u
#define CLOCK_MONOTONIC 3u
#define CLOCK_BOOTTIME  6u
#define PID_REAL_MAX    (UINT64_C(1) << 22) /* Linux gives no higher one */
#define CPU_MAX         4096u               /* what a trace processor has room for on a machine */
#define REGION_DEPTH    256
#define TASKS_MAX       (1u << 20)
#define PROGRESS_EVENTS (1u << 16)
#define NAMES_MAX       (1u << 20)
#define TEXT_MAX        400 /* of a user's or a notice's text */

enum { /* TracePacket */
	PACKET_CLOCKS = 6,
	PACKET_TIME = 8,
	PACKET_SEQUENCE = 10,
	PACKET_EVENT = 11,
	PACKET_FLAGS = 13,
	PACKET_DEFAULTS = 59,
	PACKET_TRACK = 60,
	PACKET_MACHINE = 98,
	PACKET_STATE = 117,
	PACKET_PROCESSES = 122,
};

enum { EVENT_BEGIN = 1, EVENT_END = 2, EVENT_INSTANT = 3, EVENT_COUNTER = 4 };

enum kernel_state { /* GenericKernelTaskStateEvent */
	KERNEL_NONE = 0,
	KERNEL_RUNNABLE = 2,
	KERNEL_RUNNING = 3,
	KERNEL_SLEEPING = 4,
	KERNEL_UNINTERRUPTIBLE = 5,
	KERNEL_STOPPED = 6,
	KERNEL_DESTROYED = 8,
};

enum track { /* rows of ours have higher ids */
	TRACK_NOTICES = 1,
	TRACK_TASKS,
	TRACK_THREADS,
	TRACK_GOROUTINES,
	TRACK_RUNNING,
	TRACK_RUNNABLE,
	TRACK_WAITING,
	TRACK_SYSCALL,
	TRACK_SLOTS,
	TRACK_HEAP,
	TRACK_FIRST,
};

/* A goroutine's row, beside what rows.h knows. */
struct strip {
	uint64_t tid;
	int64_t end_ns;   /* of the state last told */
	uint32_t cpu;     /* while that is running */
	uint32_t regions; /* open ones */
	uint8_t state;    /* enum kernel_state */
};

struct call {
	uint64_t number, arg0, arg2;
	int64_t since_ns; /* -1: in none */
};

struct task {
	uint64_t id;
	uint32_t track;
};

struct perfetto {
	struct gt_trace *trace;
	struct gt_sink *sink;
	unsigned int parts;
	uint32_t track_next;
	uint32_t pid_next;
	uint32_t thread_pid;
	struct gt__rows rows;
	struct gt__intern intern;
	struct gt__map pids; /* start pc -> process */
	struct gt__map tasks;
	struct gt__map calls; /* M -> the system call it is in */
	const struct gt_event *event;
	struct gt_convert_totals totals;
	int64_t counter_step_ns;
	int64_t counter_due_ns;
	uint64_t shown[GT_STATE_COUNT]; /* counters as last written */
	uint64_t shown_slots;
	uint64_t heap_live, shown_heap;
	bool heap_told, tasks_told;
	bool clocks;
	bool failed;          /* no memory */
	char *packet, *inner; /* what is open */
};

/* ---- packets ---- */

static inline char *open_packet(struct perfetto *perfetto)
{
	char *to = gt_sink_room(perfetto->sink, GT_SINK_RECORD_MAX);

	perfetto->totals.records++;
	return perfetto->packet = gt_pb_open(to, 1);
}

static inline void close_packet(struct perfetto *perfetto, char *to)
{
	perfetto->sink->at = gt_pb_close(perfetto->packet, to);
}

/* Of the goroutines' sequence. */
static inline char *begin_packet(struct perfetto *perfetto, int64_t time_ns)
{
	char *to = gt_pb_number(open_packet(perfetto), PACKET_TIME, (uint64_t)time_ns);

	to = gt_pb_number(to, PACKET_SEQUENCE, GT__INTERN_SEQUENCE);
	return gt_pb_number(to, PACKET_FLAGS, 2);
}

static inline char *begin_event(struct perfetto *perfetto, int64_t time_ns, unsigned int type, uint64_t track)
{
	char *to = begin_packet(perfetto, time_ns);

	perfetto->inner = to = gt_pb_open(to, PACKET_EVENT);
	to = gt_pb_number(to, 9, type);
	return gt_pb_number(to, 11, track);
}

static inline void end_event(struct perfetto *perfetto, char *to)
{
	gt_pb_close(perfetto->inner, to);
	close_packet(perfetto, to);
}

static char *put_named(char *to, uint64_t name, enum gt__intern_category category)
{
	to = gt_pb_number(to, 10, name);
	return gt_pb_number(to, 3, category + 1u);
}

static void put_slice_end(struct perfetto *perfetto, int64_t time_ns, uint64_t track)
{
	end_event(perfetto, begin_event(perfetto, time_ns, EVENT_END, track));
}

/* ---- arguments: the key was interned before the packet was begun ---- */

static char *put_number(char *to, enum gt__intern_key key, uint64_t value)
{
	char *inside = to = gt_pb_open(to, 4);

	to = gt_pb_number(to, 1, key + 1u);
	return gt_pb_close(inside, gt_pb_number(to, 3, value));
}

static char *put_address(char *to, enum gt__intern_key key, uint64_t value)
{
	char *inside = to = gt_pb_open(to, 4);

	to = gt_pb_number(to, 1, key + 1u);
	return gt_pb_close(inside, gt_pb_number(to, 7, value));
}

static char *put_interned(char *to, enum gt__intern_key key, uint64_t number)
{
	char *inside = to = gt_pb_open(to, 4);

	to = gt_pb_number(to, 1, key + 1u);
	return gt_pb_close(inside, gt_pb_number(to, 17, number));
}

static char *put_text(char *to, enum gt__intern_key key, const char *text)
{
	char *inside = to = gt_pb_open(to, 4);

	to = gt_pb_number(to, 1, key + 1u);
	return gt_pb_close(inside, gt__pb_text(to, 6, text, TEXT_MAX));
}

/* ---- names of rows ---- */

static void put_track(
	struct perfetto *perfetto, uint64_t track, uint64_t parent, const char *name, const char *unit, uint32_t rank)
{
	char *to = open_packet(perfetto), *inner;

	to = gt_pb_number(to, PACKET_SEQUENCE, GT__INTERN_SEQUENCE);
	inner = to = gt_pb_open(to, PACKET_TRACK);
	to = gt_pb_number(to, 1, track);
	to = gt__pb_text(to, 2, name, TEXT_MAX);
	if (parent)
		to = gt_pb_number(to, 5, parent);
	if (unit) {
		char *counter = to = gt_pb_open(to, 8);

		if (strcmp(unit, "bytes") == 0)
			to = gt_pb_number(to, 3, 3);
		else
			to = gt_pb_bytes(to, 6, unit, strlen(unit));
		if (parent)
			to = gt_pb_bytes(to, 7, unit, strlen(unit));
		gt_pb_close(counter, to);
	} else if (!parent) {
		to = gt_pb_number(to, 11, 3);
	}
	if (parent)
		to = gt_pb_number(to, 12, rank);
	gt_pb_close(inner, to);
	close_packet(perfetto, to);
}

static char *put_process(char *to, uint64_t pid, const char *name)
{
	char *inner = to = gt_pb_open(to, 1);

	to = gt_pb_number(to, 1, pid);
	to = gt_pb_number(to, 2, 0);
	return gt_pb_close(inner, gt__pb_text(to, 3, name, GT__INTERN_TEXT_MAX));
}

/* The process that stands for all goroutines with this start function; @fresh when it has to be told of. */
static uint32_t process_of(struct perfetto *perfetto, uint64_t start_pc, bool *fresh)
{
	uintptr_t known = (uintptr_t)gt__map_get(&perfetto->pids, start_pc);

	*fresh = !known;
	if (known)
		return (uint32_t)known;
	known = perfetto->pid_next;
	if (gt__map_put(&perfetto->pids, start_pc, (void *)known) < 0) {
		perfetto->failed = true;
		return GT_PERFETTO_PID_FIRST;
	}
	/* Hostile files only have so many functions; they share the last process. */
	if (perfetto->pid_next < INT32_MAX)
		perfetto->pid_next++;
	return (uint32_t)known;
}

/* A process has a thread of its pid, which must be no goroutine; and ids have a sign in viewers. */
static uint64_t tid_of(uint64_t g)
{
	bool taken = g >= GT_PERFETTO_PID_FIRST && g <= INT32_MAX;

	return taken || g > INT64_MAX ? (g >> 1 ^ g << 63 >> 2) | UINT64_C(1) << 62 : g;
}

static char *put_row_name(char *to, uint32_t field, uint64_t g, const char *function)
{
	char text[GT__INTERN_TEXT_MAX + 64];

	snprintf(text, sizeof(text), function ? "G%" PRIu64 " %.*s" : "G%" PRIu64, g, GT__INTERN_TEXT_MAX, function);
	return gt__pb_text(to, field, text, GT__INTERN_TEXT_MAX + 24);
}

static void name_goroutine(struct perfetto *perfetto, struct gt__row *row)
{
	const struct gt_trace_goroutine *known = row->start_pc ? NULL : gt_trace_goroutine(perfetto->trace, row->id);
	const char *function;
	struct strip *strip;
	char *to, *tree, *inner;
	uint32_t pid;
	bool fresh;

	/* Told once: what it was first known as stays. */
	if (row->user)
		return;
	strip = row->user = malloc(sizeof(*strip));
	if (!strip) {
		perfetto->failed = true;
		return;
	}
	if (known)
		row->start_pc = known->start_pc;
	*strip = (struct strip){.tid = tid_of(row->id)};
	row->number = perfetto->track_next++;
	function = row->start_pc ? gt_trace_function(perfetto->trace, row->start_pc) : NULL;
	if (function && !*function)
		function = NULL;
	row->label = function;
	pid = process_of(perfetto, function ? row->start_pc : 0, &fresh);
	to = gt_pb_number(open_packet(perfetto), PACKET_SEQUENCE, GT__INTERN_SEQUENCE);
	tree = to = gt_pb_open(to, PACKET_PROCESSES);
	if (fresh)
		to = put_process(to, pid, function ? function : "goroutines");
	inner = to = gt_pb_open(to, 2);
	to = gt_pb_number(to, 1, strip->tid);
	to = gt_pb_number(to, 2, pid);
	to = gt_pb_close(inner, put_row_name(to, 3, row->id, function));
	gt_pb_close(tree, to);
	close_packet(perfetto, to);

	to = gt_pb_number(open_packet(perfetto), PACKET_SEQUENCE, GT__INTERN_SEQUENCE);
	tree = to = gt_pb_open(to, PACKET_TRACK);
	to = gt_pb_number(to, 1, row->number);
	inner = to = gt_pb_open(to, 4);
	to = gt_pb_number(to, 1, pid);
	to = gt_pb_number(to, 2, strip->tid);
	to = gt_pb_close(inner, put_row_name(to, 5, row->id, function));
	gt_pb_close(tree, to);
	close_packet(perfetto, to);
}

static void name_thread(struct perfetto *perfetto, struct gt__row *row)
{
	const struct gt_trace_thread *thread = gt_trace_thread(perfetto->trace, row->id);
	uint64_t tid = row->start_pc ? row->start_pc : thread ? thread->tid : 0;
	char text[GT__INTERN_TEXT_MAX + 64], *to, *track, *inner;

	if (row->number)
		return;
	if (!tid || tid > PID_REAL_MAX)
		tid = PID_REAL_MAX + 1 + row->id % (UINT32_C(1) << 30);
	row->number = perfetto->track_next++;
	snprintf(text, sizeof(text), "M%" PRIu64 "%s%.*s", row->id, thread && thread->name && *thread->name ? " " : "",
		GT__INTERN_TEXT_MAX, thread && thread->name ? thread->name : "");
	to = gt_pb_number(open_packet(perfetto), PACKET_SEQUENCE, SEQUENCE_THREADS);
	to = gt_pb_number(to, PACKET_MACHINE, MACHINE_THREADS);
	track = to = gt_pb_open(to, PACKET_TRACK);
	to = gt_pb_number(to, 1, row->number);
	inner = to = gt_pb_open(to, 4);
	to = gt_pb_number(to, 1, perfetto->thread_pid);
	to = gt_pb_number(to, 2, tid);
	to = gt_pb_close(inner, gt__pb_text(to, 5, text, GT__INTERN_TEXT_MAX + 24));
	gt_pb_close(track, to);
	close_packet(perfetto, to);
}

static void on_row(void *user, struct gt__row *row)
{
	if (row->kind == GT_ROW_GOROUTINE)
		name_goroutine(user, row);
	else if (row->kind == GT_ROW_THREAD)
		name_thread(user, row);
}

/* ---- states: the strip and the CPU rows ---- */

static void put_state(
	struct perfetto *perfetto, const struct strip *strip, int64_t time_ns, uint32_t cpu, enum kernel_state state)
{
	char *to = begin_packet(perfetto, time_ns), *inner;

	inner = to = gt_pb_open(to, PACKET_STATE);
	to = gt_pb_number(to, 1, cpu);
	to = gt_pb_number(to, 3, strip->tid);
	to = gt_pb_number(to, 4, state);
	to = gt_pb_number(to, 5, 120);
	gt_pb_close(inner, to);
	close_packet(perfetto, to);
}

/* From @since_ns on; the strip's last state held until strip->end_ns. */
static void tell_state(struct perfetto *perfetto, struct strip *strip, int64_t since_ns, int64_t end_ns, uint32_t cpu,
	enum kernel_state state)
{
	if (since_ns >= end_ns)
		return;
	if (strip->state && strip->end_ns < since_ns) {
		put_state(perfetto, strip, strip->end_ns, strip->cpu, KERNEL_STOPPED);
		strip->state = KERNEL_STOPPED;
	}
	if (strip->state == KERNEL_RUNNING && state == KERNEL_RUNNING) {
		/* Still there; or on another P: nobody runs twice without having stopped. */
		if (strip->cpu != cpu)
			put_state(perfetto, strip, since_ns, strip->cpu, KERNEL_RUNNABLE);
	}
	if (strip->state != state || (state == KERNEL_RUNNING && strip->cpu != cpu))
		put_state(perfetto, strip, since_ns, state == KERNEL_RUNNING ? cpu : strip->cpu, state);
	if (state == KERNEL_RUNNING)
		strip->cpu = cpu;
	strip->state = state;
	strip->end_ns = end_ns;
}

static void tell_running(struct perfetto *perfetto, const struct gt__row *row, int64_t end_ns)
{
	uint32_t cpu = GT_PERFETTO_CPU_UNKNOWN + (uint32_t)(row->open.m % (CPU_MAX - GT_PERFETTO_CPU_UNKNOWN));
	const struct gt__row *slot = row->open.p ? gt__map_get(&perfetto->rows.slots, row->open.p) : NULL;
	struct strip *strip = row->user;
	int64_t since_ns = row->open.since_ns;

	if (row->open.p && row->open.p <= GT_PERFETTO_CPU_UNKNOWN)
		cpu = row->open.p - 1;
	/* What was open on the P a moment ago still stands there. */
	if (slot && slot->open.g == row->id && slot->open.since_ns > since_ns) {
		since_ns = slot->open.since_ns;
		if (strip->state && strip->end_ns < since_ns && strip->end_ns == row->open.since_ns)
			strip->end_ns = since_ns < end_ns ? since_ns : end_ns;
	}
	tell_state(perfetto, strip, since_ns, end_ns, cpu, KERNEL_RUNNING);
}

/* ---- slices ---- */

static char *put_cause(char *to, const struct gt__slice *open)
{
	to = put_text(to, GT_KEY_CAUSE, gt_cause_text(open->cause));
	if (open->cause == GT_CAUSE_NETPOLL || open->cause == GT_CAUSE_DEADLINE)
		to = put_number(to, GT_KEY_FD, open->detail);
	return to;
}

/* A wait, a syscall, or why it gave way. */
static void put_slice(struct perfetto *perfetto, const struct gt__row *row, int64_t end_ns, unsigned int name,
	enum gt__intern_category category)
{
	const struct gt__slice *open = &row->open;
	struct gt__intern *intern = &perfetto->intern;
	const struct gt_event *event = perfetto->event;
	bool objects = perfetto->parts & GT_CONVERT_OBJECTS;
	uint64_t number = gt__intern_name(intern, name), stack = 0, object = 0, waker = 0;
	char *to;

	gt__intern_category(intern, category);
	if (perfetto->parts & GT_CONVERT_STACKS)
		stack = gt__intern_stack(intern, open->stack);
	if (objects && open->what)
		object = gt__intern_object(intern, open->what, open->object);
	if (objects && event && event->kind == GT_EV_GO_READY && event->args[0] == row->id)
		waker = event->args[2];
	gt__intern_key(intern, GT_KEY_ON);
	gt__intern_key(intern, GT_KEY_HOLDER);
	gt__intern_key(intern, GT_KEY_WAKER);
	gt__intern_key(intern, GT_KEY_CAUSE);
	gt__intern_key(intern, GT_KEY_FD);
	gt__intern_key(intern, GT_KEY_LOST);

	to = put_named(begin_event(perfetto, open->since_ns, EVENT_BEGIN, row->number), number, category);
	if (stack)
		to = gt_pb_number(to, 56, stack);
	if (object)
		to = put_interned(to, GT_KEY_ON, object);
	if (object && open->holder)
		to = put_number(to, GT_KEY_HOLDER, open->holder);
	if (waker)
		to = put_number(to, GT_KEY_WAKER, waker);
	if (objects && open->cause)
		to = put_cause(to, open);
	if (open->cut)
		to = put_text(to, GT_KEY_LOST, "events are missing here: when this ended is not known");
	end_event(perfetto, to);
	put_slice_end(perfetto, end_ns, row->number);
}

static void goroutine_slice(struct perfetto *perfetto, const struct gt__row *row, int64_t end_ns)
{
	const struct gt__slice *open = &row->open;

	if (!row->user)
		return;
	switch (open->state) {
	case GT_STATE_RUNNING:
		tell_running(perfetto, row, end_ns);
		break;
	case GT_STATE_RUNNABLE:
		tell_state(perfetto, row->user, open->since_ns, end_ns, 0, KERNEL_RUNNABLE);
		if (open->reason)
			put_slice(perfetto, row, end_ns, GT_NAME_RUNNABLE + open->reason, GT_CATEGORY_SCHED);
		break;
	case GT_STATE_SYSCALL:
		tell_state(perfetto, row->user, open->since_ns, end_ns, 0, KERNEL_UNINTERRUPTIBLE);
		put_slice(perfetto, row, end_ns, GT_NAME_SYSCALL, GT_CATEGORY_SYSCALL);
		break;
	default:
		tell_state(perfetto, row->user, open->since_ns, end_ns, 0, KERNEL_SLEEPING);
		put_slice(perfetto, row, end_ns, GT_NAME_WAIT + open->reason, GT_CATEGORY_WAIT);
		break;
	}
}

static char *begin_thread_event(struct perfetto *perfetto, int64_t time_ns, unsigned int type, uint64_t track)
{
	char *to = gt_pb_number(open_packet(perfetto), PACKET_TIME, (uint64_t)time_ns);

	to = gt_pb_number(to, PACKET_SEQUENCE, SEQUENCE_THREADS);
	to = gt_pb_number(to, PACKET_FLAGS, 2);
	to = gt_pb_number(to, PACKET_MACHINE, MACHINE_THREADS);
	perfetto->inner = to = gt_pb_open(to, PACKET_EVENT);
	to = gt_pb_number(to, 9, type);
	return gt_pb_number(to, 11, track);
}

/* "P0 G7" */
static void thread_slice(struct perfetto *perfetto, const struct gt__row *row, int64_t end_ns)
{
	const struct gt__slice *open = &row->open;
	char *to = begin_thread_event(perfetto, open->since_ns, EVENT_BEGIN, row->number), *name;

	/* Shorter than 128 bytes: its size is one. */
	name = to = gt_pb_tag(to, 23, 2) + 1;
	if (open->state == GT_STATE_SYSCALL) {
		to = GT_JSON_PUT(to, "syscall ");
	} else if (open->p) {
		*to = 'P';
		to = gt_json_u64(to + 1, open->p - 1);
		*to++ = ' ';
	}
	*to = 'G';
	to = gt_json_u64(to + 1, open->g);
	name[-1] = (char)(to - name);
	end_event(perfetto, to);
	end_event(perfetto, begin_thread_event(perfetto, end_ns, EVENT_END, row->number));
}

static void on_slice(void *user, const struct gt__row *row, int64_t end_ns)
{
	struct perfetto *perfetto = user;

	if (row->kind == GT_ROW_SLOT)
		return;
	perfetto->totals.slices++;
	if (row->kind == GT_ROW_GOROUTINE)
		goroutine_slice(perfetto, row, end_ns);
	else
		thread_slice(perfetto, row, end_ns);
}

/* Two instants and an arrow between them. What leaves stands first: at the same time, a reader keeps the order. */
static bool on_link(void *user, const struct gt__row *from, const struct gt__row *to_row, enum gt__link_kind kind,
	uint64_t link, int64_t now_ns, uint64_t site_pc)
{
	struct perfetto *perfetto = user;
	struct gt__intern *intern = &perfetto->intern;
	bool create = kind == GT_LINK_CREATE;
	uint64_t site = 0, name;
	char text[GT__INTERN_TEXT_MAX + 64], *to;

	if (!(perfetto->parts & GT_CONVERT_LINKS))
		return false;
	if (perfetto->parts & GT_CONVERT_STACKS)
		site = gt__intern_site(intern, site_pc);
	gt__intern_category(intern, GT_CATEGORY_WAKE);
	gt__intern_key(intern, create ? GT_KEY_PARENT : GT_KEY_WAKER);
	name = gt__intern_name(intern, create ? GT_NAME_CREATED : GT_NAME_WOKEN);
	perfetto->totals.links++;

	to = begin_event(perfetto, now_ns, EVENT_INSTANT, from->number);
	to = gt_pb_number(to, 3, GT_CATEGORY_WAKE + 1u);
	if (create && to_row->label) {
		snprintf(text, sizeof(text), "go G%" PRIu64 " %.*s", to_row->id, GT__INTERN_TEXT_MAX,
			(const char *)to_row->label);
		to = gt__pb_text(to, 23, text, GT__INTERN_TEXT_MAX + 24);
	} else {
		char *inside = to = gt_pb_tag(to, 23, 2) + 1;

		to = create ? GT_JSON_PUT(to, "go G") : GT_JSON_PUT(to, "wake G");
		to = gt_json_u64(to, to_row->id);
		inside[-1] = (char)(to - inside);
	}
	if (site)
		to = gt_pb_number(to, 56, site);
	end_event(perfetto, gt_pb_fixed64(to, 47, link));

	to = put_named(begin_event(perfetto, now_ns, EVENT_INSTANT, to_row->number), name, GT_CATEGORY_WAKE);
	to = put_number(to, create ? GT_KEY_PARENT : GT_KEY_WAKER, from->id);
	end_event(perfetto, gt_pb_fixed64(to, 48, link));
	return true;
}

static void on_gone(void *user, struct gt__row *row)
{
	struct perfetto *perfetto = user;
	struct strip *strip = row->user;
	int64_t now_ns = perfetto->rows.now_ns;

	if (row->kind != GT_ROW_GOROUTINE || !strip)
		return;
	for (uint32_t open = strip->regions < REGION_DEPTH ? strip->regions : REGION_DEPTH; open > 0; open--)
		put_slice_end(perfetto, now_ns, row->number);
	if (row->open.state == GT_STATE_DEAD && strip->state)
		put_state(perfetto, strip, now_ns, strip->cpu, KERNEL_DESTROYED);
	else if (strip->state && strip->state != KERNEL_STOPPED && strip->end_ns < now_ns)
		put_state(perfetto, strip, strip->end_ns, strip->cpu, KERNEL_STOPPED);
	free(strip);
	row->user = NULL;
}

/* ---- counters ---- */

static void put_counter(struct perfetto *perfetto, int64_t time_ns, enum track track, uint64_t *shown, uint64_t value)
{
	if (*shown == value)
		return;
	*shown = value;
	perfetto->totals.counters++;
	end_event(perfetto, gt_pb_number(begin_event(perfetto, time_ns, EVENT_COUNTER, track), 30, value));
}

static void put_counters(struct perfetto *perfetto, int64_t time_ns)
{
	static const struct {
		uint8_t state, track;
	} states[] = {{GT_STATE_RUNNING, TRACK_RUNNING}, {GT_STATE_RUNNABLE, TRACK_RUNNABLE},
		{GT_STATE_WAITING, TRACK_WAITING}, {GT_STATE_SYSCALL, TRACK_SYSCALL}};

	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		put_counter(perfetto, time_ns, states[i].track, &perfetto->shown[states[i].state],
			perfetto->rows.counts[states[i].state]);
	put_counter(perfetto, time_ns, TRACK_SLOTS, &perfetto->shown_slots, perfetto->rows.slots_running);
	if (perfetto->shown_heap == perfetto->heap_live)
		return;
	if (!perfetto->heap_told)
		put_track(perfetto, TRACK_HEAP, 0, "Heap", "bytes", 0);
	perfetto->heap_told = true;
	put_counter(perfetto, time_ns, TRACK_HEAP, &perfetto->shown_heap, perfetto->heap_live);
}

/* Before an event at @next_ns: what held since the last one, unless more comes at the same time or too soon. */
static inline void counters_until(struct perfetto *perfetto, int64_t next_ns)
{
	int64_t now_ns = perfetto->rows.now_ns;

	if (next_ns <= now_ns || now_ns < perfetto->counter_due_ns)
		return;
	put_counters(perfetto, now_ns);
	perfetto->counter_due_ns = now_ns + perfetto->counter_step_ns;
}

/* ---- a user's marks ---- */

static void put_region(struct perfetto *perfetto, struct gt__row *row, const uint64_t *args)
{
	struct gt__intern *intern = &perfetto->intern;
	struct strip *strip = row->user;
	uint64_t name;
	char *to;

	if (strip->regions++ >= REGION_DEPTH)
		return;
	name = gt__intern_string(intern, args[2]);
	if (!name)
		name = gt__intern_name(intern, GT_NAME_REGION);
	gt__intern_category(intern, GT_CATEGORY_REGION);
	gt__intern_key(intern, GT_KEY_TASK);
	to = begin_event(perfetto, perfetto->rows.now_ns, EVENT_BEGIN, row->number);
	to = put_named(to, name, GT_CATEGORY_REGION);
	if (args[1])
		to = put_address(to, GT_KEY_TASK, args[1]);
	end_event(perfetto, to);
}

/* The innermost one ends. Its begin may lie before the window: then there is nothing to end. */
static void put_region_end(struct perfetto *perfetto, struct gt__row *row)
{
	struct strip *strip = row->user;

	if (strip->regions && strip->regions-- <= REGION_DEPTH)
		put_slice_end(perfetto, perfetto->rows.now_ns, row->number);
}

static void task_begin(struct perfetto *perfetto, const uint64_t *args)
{
	struct gt__intern *intern = &perfetto->intern;
	const char *name = gt_trace_string(perfetto->trace, args[3]);
	struct task *task;
	char *to;

	if (gt__map_get(&perfetto->tasks, args[1]) || perfetto->tasks.count >= TASKS_MAX)
		return;
	if (!perfetto->tasks_told)
		put_track(perfetto, TRACK_TASKS, 0, "Tasks", NULL, 0);
	perfetto->tasks_told = true;
	task = malloc(sizeof(*task));
	if (!task || gt__map_put(&perfetto->tasks, args[1], task) < 0) {
		free(task);
		perfetto->failed = true;
		return;
	}
	*task = (struct task){.id = args[1], .track = perfetto->track_next++};
	put_track(perfetto, task->track, TRACK_TASKS, name && *name ? name : "task", NULL, 0);
	gt__intern_category(intern, GT_CATEGORY_TASK);
	gt__intern_key(intern, GT_KEY_TASK);
	gt__intern_key(intern, GT_KEY_PARENT);
	to = begin_event(perfetto, perfetto->rows.now_ns, EVENT_BEGIN, task->track);
	to = gt_pb_number(to, 3, GT_CATEGORY_TASK + 1u);
	to = gt__pb_text(to, 23, name && *name ? name : "task", GT__INTERN_TEXT_MAX);
	to = put_address(to, GT_KEY_TASK, args[1]);
	if (args[2])
		to = put_address(to, GT_KEY_PARENT, args[2]);
	end_event(perfetto, to);
}

static void task_end(struct perfetto *perfetto, uint64_t id)
{
	struct task *task = gt__map_get(&perfetto->tasks, id);

	if (!task)
		return;
	put_slice_end(perfetto, perfetto->rows.now_ns, task->track);
	gt__map_remove(&perfetto->tasks, id);
	free(task);
}

static void put_log(struct perfetto *perfetto, const struct gt__row *row, const uint64_t *args)
{
	struct gt__intern *intern = &perfetto->intern;
	const char *value = gt_trace_string(perfetto->trace, args[3]);
	uint64_t name = gt__intern_string(intern, args[2]);
	char *to;

	if (!name)
		name = gt__intern_name(intern, GT_NAME_LOG);
	gt__intern_category(intern, GT_CATEGORY_LOG);
	gt__intern_key(intern, GT_KEY_TASK);
	gt__intern_key(intern, GT_KEY_VALUE);
	to = begin_event(perfetto, perfetto->rows.now_ns, EVENT_INSTANT, row->number);
	to = put_named(to, name, GT_CATEGORY_LOG);
	if (args[1])
		to = put_address(to, GT_KEY_TASK, args[1]);
	end_event(perfetto, put_text(to, GT_KEY_VALUE, value ? value : ""));
}

static void on_mark(struct perfetto *perfetto, const struct gt_event *event)
{
	const uint64_t *args = event->args;
	struct gt__row *row;

	if (!(perfetto->parts & GT_CONVERT_MARKS))
		return;
	if (event->kind == GT_EV_TASK_BEGIN) {
		task_begin(perfetto, args);
		return;
	}
	if (event->kind == GT_EV_TASK_END) {
		task_end(perfetto, args[1]);
		return;
	}
	row = gt__rows_goroutine(&perfetto->rows, args[0]);
	if (!row || !row->user)
		return;
	if (event->kind == GT_EV_REGION_BEGIN)
		put_region(perfetto, row, args);
	else if (event->kind == GT_EV_REGION_END)
		put_region_end(perfetto, row);
	else
		put_log(perfetto, row, args);
}

/* ---- system calls, the heap, timers ---- */

static void call_begin(struct perfetto *perfetto, const struct gt_event *event)
{
	struct call *call = gt__map_get(&perfetto->calls, event->m);

	if (!call) {
		call = malloc(sizeof(*call));
		if (!call || gt__map_put(&perfetto->calls, event->m, call) < 0) {
			free(call);
			perfetto->failed = true;
			return;
		}
	}
	*call = (struct call){event->args[1], event->args[2], event->args[3],
		perfetto->rows.now_ns - (event->kind == GT_EV_SYSCALL_LONG ? (int64_t)event->args[4] : 0)};
}

/*
 * A slice inside of what is open; not longer than that, should the goroutine have been stopped in the midst of it. It is written
 * before what is around it, so it begins 1 ns later: what begins at the same time nests as it was written.
 */
static void call_end(struct perfetto *perfetto, const struct gt_event *event)
{
	struct call *call = gt__map_get(&perfetto->calls, event->m);
	const char *name = gt_trace_syscall(perfetto->trace, event->args[1]);
	const struct gt__row *row = gt__rows_goroutine(&perfetto->rows, event->args[0]);
	enum gt__intern_key last = event->args[3] ? GT_KEY_ERROR : GT_KEY_RESULT;
	struct gt__intern *intern = &perfetto->intern;
	int64_t since_ns, now_ns = perfetto->rows.now_ns;
	char text[64], *to;

	if (!call || call->since_ns < 0 || call->number != event->args[1])
		return;
	since_ns = call->since_ns;
	call->since_ns = -1;
	if (!event->args[0] || !row || !row->user)
		return;
	if (gt__slice_open(&row->open) && row->open.since_ns >= since_ns)
		since_ns = row->open.since_ns < now_ns ? row->open.since_ns + 1 : now_ns;
	snprintf(text, sizeof(text), name ? "%s" : "syscall %.0s%" PRIu64, name ? name : "", event->args[1]);
	gt__intern_category(intern, GT_CATEGORY_SYSCALL);
	gt__intern_key(intern, GT_KEY_ARG0);
	gt__intern_key(intern, GT_KEY_ARG2);
	gt__intern_key(intern, last);
	to = begin_event(perfetto, since_ns, EVENT_BEGIN, row->number);
	to = gt_pb_number(to, 3, GT_CATEGORY_SYSCALL + 1u);
	to = gt__pb_text(to, 23, text, GT__INTERN_TEXT_MAX);
	to = put_number(to, GT_KEY_ARG0, call->arg0);
	to = put_number(to, GT_KEY_ARG2, call->arg2);
	end_event(perfetto, put_number(to, last, event->args[event->args[3] ? 3 : 2]));
	put_slice_end(perfetto, now_ns, row->number);
}

struct number {
	enum gt__intern_key key;
	uint64_t value;
};

static void put_instant(struct perfetto *perfetto, uint64_t g, unsigned int name, enum gt__intern_category category,
	const struct number *numbers, size_t count, uint64_t stack_id)
{
	const struct gt__row *row = g ? gt__rows_goroutine(&perfetto->rows, g) : NULL;
	struct gt__intern *intern = &perfetto->intern;
	uint64_t stack = 0, number = gt__intern_name(intern, name);
	char *to;

	if (g && !row)
		return;
	gt__intern_category(intern, category);
	if (perfetto->parts & GT_CONVERT_STACKS)
		stack = gt__intern_stack(intern, stack_id);
	for (size_t i = 0; i < count; i++)
		gt__intern_key(intern, numbers[i].key);
	/* What no goroutine does is nobody's. */
	to = begin_event(perfetto, perfetto->rows.now_ns, EVENT_INSTANT, row ? row->number : (uint64_t)TRACK_NOTICES);
	to = put_named(to, number, category);
	if (stack)
		to = gt_pb_number(to, 56, stack);
	for (size_t i = 0; i < count; i++)
		to = numbers[i].key == GT_KEY_ADDRESS ? put_address(to, numbers[i].key, numbers[i].value)
						      : put_number(to, numbers[i].key, numbers[i].value);
	end_event(perfetto, to);
}

static void on_other(struct perfetto *perfetto, const struct gt_event *event)
{
	const uint64_t *args = event->args;

	switch (event->kind) {
	case GT_EV_SYSCALL_INFO:
	case GT_EV_SYSCALL_LONG:
		call_begin(perfetto, event);
		break;
	case GT_EV_SYSCALL_RESULT:
		call_end(perfetto, event);
		break;
	case GT_EV_ALLOC:
		put_instant(perfetto, args[0], GT_NAME_ALLOC, GT_CATEGORY_HEAP,
			(struct number[]){{GT_KEY_ADDRESS, args[1]}, {GT_KEY_BYTES, args[2]}, {GT_KEY_WEIGHT, args[3]}},
			3, args[4]);
		break;
	case GT_EV_FREE:
		put_instant(perfetto, args[0], GT_NAME_FREE, GT_CATEGORY_HEAP,
			(struct number[]){{GT_KEY_ADDRESS, args[1]}, {GT_KEY_BYTES, args[2]}}, 2, 0);
		break;
	case GT_EV_TIMER_SET:
		put_instant(perfetto, args[0], GT_NAME_TIMER_SET, GT_CATEGORY_TIMER,
			(struct number[]){{GT_KEY_ADDRESS, args[1]}, {GT_KEY_NS, args[2]}}, 2, 0);
		break;
	case GT_EV_TIMER_STOP:
		put_instant(perfetto, args[0], GT_NAME_TIMER_STOP, GT_CATEGORY_TIMER,
			(struct number[]){{GT_KEY_ADDRESS, args[1]}}, 1, 0);
		break;
	case GT_EV_TIMER_FIRE:
		put_instant(perfetto, 0, GT_NAME_TIMER_FIRE, GT_CATEGORY_TIMER,
			(struct number[]){{GT_KEY_ADDRESS, args[0]}, {GT_KEY_LATE, args[1]}}, 2, 0);
		break;
	default:
		break;
	}
}

/* ---- what is missing, what it is ---- */

static void put_notice(struct perfetto *perfetto, int64_t time_ns, const char *name, const char *value)
{
	struct gt__intern *intern = &perfetto->intern;
	char *to;

	gt__intern_category(intern, GT_CATEGORY_NOTICE);
	gt__intern_key(intern, GT_KEY_VALUE);
	to = begin_event(perfetto, time_ns, EVENT_INSTANT, TRACK_NOTICES);
	to = gt_pb_number(to, 3, GT_CATEGORY_NOTICE + 1u);
	to = gt__pb_text(to, 23, name, TEXT_MAX);
	end_event(perfetto, put_text(to, GT_KEY_VALUE, value));
}

static void put_lost(struct perfetto *perfetto, const struct gt_event *event)
{
	char name[64], value[32];

	snprintf(name, sizeof(name), "LOST %" PRIu64 " events", event->args[0]);
	snprintf(value, sizeof(value), "M%" PRIu64, event->m);
	put_notice(perfetto, perfetto->rows.now_ns, name, value);
}

static void put_damage(struct perfetto *perfetto)
{
	struct gt_trace_damage damage;
	struct gt_trace_info info;
	int64_t end_ns = perfetto->rows.now_ns;
	const char *what;
	char line[512];
	uint64_t count;
	size_t at = 0;

	gt_trace_damage(perfetto->trace, &damage);
	gt_trace_info(perfetto->trace, &info);
	while (gt_trace_losses(perfetto->trace, &at, &what, &count)) {
		snprintf(line, sizeof(line), "%" PRIu64 " %s", count, what);
		put_notice(perfetto, end_ns, "LOST in all", line);
	}
	if (damage.frames_bad || damage.records_bad || damage.order_broken) {
		snprintf(line, sizeof(line),
			"%" PRIu64 " frames, %" PRIu64 " records, %" PRIu64 " events out of order; first: %s",
			damage.frames_bad, damage.records_bad, damage.order_broken, damage.first);
		put_notice(perfetto, end_ns, "DAMAGED trace", line);
	}
	if (info.cut)
		put_notice(perfetto, end_ns, "CUT trace", "the file has no end: the recorder was killed");
}

static void put_metas(struct perfetto *perfetto)
{
	const char *key, *value;
	size_t at = 0;

	while (gt_trace_metas(perfetto->trace, &at, &key, &value))
		put_notice(perfetto, 0, key, value);
}

/* ---- begin, events, end ---- */

static char *put_clock(char *to, uint64_t id, uint64_t time_ns)
{
	char *inner = to = gt_pb_open(to, 1);

	to = gt_pb_number(to, 1, id);
	return gt_pb_close(inner, gt_pb_number(to, 2, time_ns));
}

/* Times are written since the trace's begin; this tells when that was. */
static void put_clocks(struct perfetto *perfetto, const struct gt_trace_info *info, uint32_t sequence)
{
	char *to = open_packet(perfetto), *inner;

	to = gt_pb_number(to, PACKET_SEQUENCE, sequence);
	if (sequence == SEQUENCE_THREADS)
		to = gt_pb_number(to, PACKET_MACHINE, MACHINE_THREADS);
	inner = to = gt_pb_open(to, PACKET_CLOCKS);
	to = put_clock(to, CLOCK_TRACE, 0);
	to = put_clock(to, CLOCK_MONOTONIC, (uint64_t)info->start_monotonic_ns);
	to = put_clock(to, CLOCK_REALTIME, (uint64_t)info->start_realtime_ns);
	to = gt_pb_number(to, 2, CLOCK_MONOTONIC);
	gt_pb_close(inner, to);
	close_packet(perfetto, to);
}

static void put_threads_begin(struct perfetto *perfetto)
{
	const char *pid = gt_trace_meta(perfetto->trace, "pid"), *program = gt_trace_meta(perfetto->trace, "program");
	const char *base = program ? strrchr(program, '/') : NULL;
	unsigned long long real = pid ? strtoull(pid, NULL, 10) : 0;
	char *to = gt_pb_number(open_packet(perfetto), PACKET_SEQUENCE, SEQUENCE_THREADS), *track, *inner;

	perfetto->thread_pid = real && real <= PID_REAL_MAX ? (uint32_t)real : (uint32_t)PID_REAL_MAX + 1;
	to = gt_pb_number(to, PACKET_FLAGS, 1);
	to = gt_pb_number(to, PACKET_MACHINE, MACHINE_THREADS);
	if (perfetto->clocks) {
		char *defaults = gt_pb_open(to, PACKET_DEFAULTS);

		to = gt_pb_close(defaults, gt_pb_number(defaults, 58, CLOCK_TRACE));
	}
	track = to = gt_pb_open(to, PACKET_TRACK);
	to = gt_pb_number(to, 1, TRACK_THREADS);
	inner = to = gt_pb_open(to, 3);
	to = gt_pb_number(to, 1, perfetto->thread_pid);
	to = gt__pb_text(to, 6, base ? base + 1 : program && *program ? program : "program", GT__INTERN_TEXT_MAX);
	gt_pb_close(inner, to);
	gt_pb_close(track, to);
	close_packet(perfetto, to);
}

static void put_begin(struct perfetto *perfetto)
{
	struct gt_trace_info info;

	gt_trace_info(perfetto->trace, &info);
	perfetto->clocks = info.start_monotonic_ns > 0 && info.start_realtime_ns > 0;
	gt__intern_init(
		&perfetto->intern, perfetto->trace, perfetto->sink, perfetto->clocks ? CLOCK_TRACE : 0, NAMES_MAX);
	if (perfetto->clocks)
		put_clocks(perfetto, &info, GT__INTERN_SEQUENCE);
	put_threads_begin(perfetto);
	if (perfetto->clocks)
		put_clocks(perfetto, &info, SEQUENCE_THREADS);
	put_track(perfetto, TRACK_NOTICES, 0, "gtrace", NULL, 0);
	if (!(perfetto->parts & GT_CONVERT_COUNTERS))
		return;
	put_track(perfetto, TRACK_GOROUTINES, 0, "Goroutines", NULL, 0);
	put_track(perfetto, TRACK_RUNNING, TRACK_GOROUTINES, "running", "goroutines", 0);
	put_track(perfetto, TRACK_RUNNABLE, TRACK_GOROUTINES, "runnable", "goroutines", 1);
	put_track(perfetto, TRACK_WAITING, TRACK_GOROUTINES, "waiting", "goroutines", 2);
	put_track(perfetto, TRACK_SYSCALL, TRACK_GOROUTINES, "syscall", "goroutines", 3);
	put_track(perfetto, TRACK_SLOTS, 0, "Ps running", "Ps", 0);
}

/* See chrome.c: before this, a goroutine may have been anything. */
static void put_edge(struct perfetto *perfetto)
{
	struct gt_trace_info info;

	gt_trace_info(perfetto->trace, &info);
	if (info.complete_ns <= 0)
		return;
	perfetto->rows.edge_ns = info.complete_ns;
	put_notice(perfetto, info.complete_ns, "COMPLETE from here on",
		"before this, some threads' events were already overwritten");
}

static int put_events(struct perfetto *perfetto, const struct gt_convert_options *options)
{
	bool counters = perfetto->parts & GT_CONVERT_COUNTERS;
	struct gt_event event;

	while (gt_trace_next(perfetto->trace, &event) > 0) {
		if (!perfetto->totals.events)
			put_edge(perfetto);
		perfetto->event = &event;
		gt__intern_limit(&perfetto->intern);
		if (counters)
			counters_until(perfetto, event.time_ns);
		if (gt__rows_event(&perfetto->rows, &event) < 0 || perfetto->failed || perfetto->intern.failed)
			return -ENOMEM;
		if (event.kind >= GT_EV_TASK_BEGIN && event.kind <= GT_EV_LOG)
			on_mark(perfetto, &event);
		else if (event.kind == GT_EV_LOST)
			put_lost(perfetto, &event);
		else if (event.kind == GT_EV_HEAP)
			perfetto->heap_live = event.args[0];
		else if (event.kind == GT_EV_OBJECT_NAME || event.kind == GT_EV_FD_NAME)
			gt__intern_object_named(&perfetto->intern, event.args[0]);
		else if (event.kind > GT_EV_LOST && (perfetto->parts & GT_CONVERT_OBJECTS))
			on_other(perfetto, &event);
		if (++perfetto->totals.events % PROGRESS_EVENTS == 0) {
			if (options->progress)
				options->progress(options->progress_user, perfetto->rows.now_ns);
			if (gt_sink_bad(perfetto->sink))
				return 0;
		}
	}
	return 0;
}

static int by_track(const void *a, const void *b)
{
	const struct task *x = *(struct task *const *)a, *y = *(struct task *const *)b;

	return x->track < y->track ? -1 : x->track > y->track;
}

/* In the order of their begins, so that the same trace gives the same bytes. */
static void finish_tasks(struct perfetto *perfetto)
{
	struct task **sorted = malloc((perfetto->tasks.count + 1) * sizeof(struct task *)), *task;
	size_t at = 0, count = 0;

	while (sorted && (task = gt__map_each(&perfetto->tasks, &at)))
		sorted[count++] = task;
	if (count)
		qsort(sorted, count, sizeof(struct task *), by_track);
	for (at = 0; at < count; at++)
		put_slice_end(perfetto, perfetto->rows.now_ns, sorted[at]->track);
	free(sorted);
}

static void put_end(struct perfetto *perfetto)
{
	perfetto->event = NULL;
	if (perfetto->parts & GT_CONVERT_COUNTERS)
		put_counters(perfetto, perfetto->rows.now_ns);
	gt__rows_finish(&perfetto->rows);
	finish_tasks(perfetto);
	put_metas(perfetto);
	put_damage(perfetto);
	put_notice(perfetto, perfetto->rows.now_ns, "END", "the last event");
}

static void free_values(struct gt__map *map)
{
	size_t at = 0;
	void *value;

	while ((value = gt__map_each(map, &at)))
		free(value);
	gt__map_free(map);
}

static void perfetto_free(struct perfetto *perfetto)
{
	free_values(&perfetto->tasks);
	free_values(&perfetto->calls);
	gt__map_free(&perfetto->pids);
	gt__intern_free(&perfetto->intern);
	gt__rows_free(&perfetto->rows);
	free(perfetto);
}

int gt_convert_perfetto(
	struct gt_trace *trace, struct gt_sink *sink, const struct gt_convert_options *options, struct gt_error *err)
{
	static const struct gt_convert_options everything = GT_CONVERT_OPTIONS_DEFAULT;
	struct perfetto *perfetto = calloc(1, sizeof(*perfetto));
	struct gt__rows_user out = {perfetto, on_row, on_slice, on_link, on_gone};
	int ret;

	if (!perfetto)
		return gt_fail(err, ENOMEM, "out of memory: %s", sink->name);
	if (!options)
		options = &everything;
	perfetto->trace = trace;
	perfetto->sink = sink;
	perfetto->parts = options->parts;
	perfetto->counter_step_ns = options->counter_step_ns > 0 ? options->counter_step_ns : 0;
	perfetto->track_next = TRACK_FIRST;
	perfetto->pid_next = GT_PERFETTO_PID_FIRST;
	gt__rows_init(&perfetto->rows, &out, 0);
	put_begin(perfetto);
	ret = put_events(perfetto, options);
	/* What was read until memory ran out is shown all the same. */
	put_end(perfetto);
	if (ret < 0)
		gt_fail(err, ENOMEM, "out of memory: %s: it ends at %" PRId64 " ms of the trace", sink->name,
			perfetto->rows.now_ns / 1000000);
	else
		ret = gt_sink_error(sink, err);
	if (options->totals)
		*options->totals = perfetto->totals;
	perfetto_free(perfetto);
	return ret;
}
