/* translate.c - a Go trace as gtrace's own events and names. */
#include "format/import/translate.h"
#include "base/bytes.h"
#include "base/hash.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define QUEUE_MAX    2
#define CPU_UNKNOWN  0xffffffffu
#define NONE         GT_GOTRACE_NONE
#define NAMES_BYTES  (1ull << 30)
#define UNNAMED_MAX  (1u << 24)
#define LOOK_AHEAD   2000000u
#define RECORD_BYTES (GT_GOTRACE_FRAMES * GT_UVARINT_BYTES_MAX + 4096)

struct gt__translate {
	struct gt_gotrace *source;
	struct gt__import_sink sink;

	/* ids of the whole trace; these stay when it is read again */
	struct gt_strings strings;
	struct gt_strings stacks; /* the bytes of their pcs */
	struct gt_map pcs, threads;
	bool metas_told;

	/* of the generation: its ids -> those of the trace (strings, stacks), reasons */
	struct gt_map string_of, stack_of, reason_of;

	struct gt_map unnamed; /* goroutines from before the trace, of which no stack was seen */
	struct gt_map stands;  /* goroutine -> its first stack in the first generation: a look ahead, for their names */
	uint64_t cycle;        /* of the collector */
	uint64_t experimental;
	struct gt__translate_clock clock;
	bool started;
	int error;
	struct gt_event queue[QUEUE_MAX];
	unsigned int queued, given;
	uint8_t record[RECORD_BYTES];
};

/* The stack of the goroutine that an event tells, or does something itself; 0 none. */
static uint64_t own_stack(const struct gt_gotrace_event *e, uint64_t *g)
{
	unsigned int stacks = gt_gotrace_specs[e->type].stacks;

	*g = e->type == GT_GOTRACE_GO_STATUS_STACK ? e->args[0] : e->g;
	if (!stacks || *g == NONE || e->type == GT_GOTRACE_CPU_SAMPLE)
		return 0;
	return e->args[31 - __builtin_clz(stacks)];
}

/* Goroutines that were there before the trace are told of before a stack of theirs is: who only goes through a trace once would never
 * know what they are. Without memory they stay without names for a while. */
static void look_ahead(struct gt__translate *t)
{
	struct gt_gotrace_event e;
	struct gt_gotrace *ahead;
	uint64_t id, g;

	if (gt_gotrace_again(t->source, &ahead) < 0)
		return;
	for (unsigned int i = 0; i < LOOK_AHEAD && gt_gotrace_next(ahead, &e) > 0; i++) {
		if (e.type == GT_GOTRACE_SYNC && e.args[0] > 1)
			break;
		id = own_stack(&e, &g);
		if (id && !gt_map_find(&t->stands, g) && gt_map_put(&t->stands, g, id) < 0)
			break;
	}
	gt_gotrace_close(ahead);
}

int gt__translate_new(struct gt_gotrace *source, const struct gt__import_sink *sink, struct gt__translate **out)
{
	struct gt__translate *t = calloc(1, sizeof(*t));

	if (!t) {
		gt_gotrace_close(source);
		return -ENOMEM;
	}
	t->source = source;
	t->sink = *sink;
	look_ahead(t);
	t->strings.bytes_max = t->stacks.bytes_max = NAMES_BYTES;
	*out = t;
	return 0;
}

static void forget_generation(struct gt__translate *t)
{
	gt_map_free(&t->string_of);
	gt_map_free(&t->stack_of);
	gt_map_free(&t->reason_of);
}

void gt__translate_free(struct gt__translate *t)
{
	if (!t)
		return;
	forget_generation(t);
	gt_map_free(&t->unnamed);
	gt_map_free(&t->stands);
	gt_map_free(&t->pcs);
	gt_map_free(&t->threads);
	gt_strings_free(&t->strings);
	gt_strings_free(&t->stacks);
	gt_gotrace_close(t->source);
	free(t);
}

int gt__translate_rewind(struct gt__translate *t)
{
	forget_generation(t);
	gt_map_free(&t->unnamed);
	t->cycle = t->experimental = 0;
	t->queued = t->given = 0;
	t->started = false;
	return gt_gotrace_rewind(t->source);
}

struct gt_gotrace *gt__translate_source(const struct gt__translate *t)
{
	return t->source;
}

void gt__translate_clock(const struct gt__translate *t, struct gt__translate_clock *out)
{
	*out = t->clock;
}

/* ---- names ---- */

static void tell(struct gt__translate *t, unsigned int type, const uint8_t *end)
{
	t->sink.record(t->sink.user, type, t->record, (size_t)(end - t->record));
}

static uint8_t *put_text(uint8_t *at, const char *text)
{
	size_t size = strlen(text);

	at = gt_put_uvarint(at, size);
	memcpy(at, text, size);
	return at + size;
}

static void tell_meta(struct gt__translate *t, const char *key, const char *value)
{
	tell(t, GT__IMPORT_META, put_text(put_text(t->record, key), value));
}

/* A string of the generation as one of the trace. */
static uint64_t string(struct gt__translate *t, uint64_t id)
{
	const uint64_t *known = gt_map_find(&t->string_of, id);
	const char *text;
	uint64_t out = 0;
	size_t size;
	int ret;

	if (!id || known)
		return id ? *known : 0;
	text = gt_gotrace_string(t->source, id, &size);
	ret = text ? gt_strings_intern(&t->strings, text, size, &out) : -ENOENT;
	if (ret > 0) {
		uint8_t *at = gt_put_uvarint(t->record, out);

		memcpy(at, text, size);
		tell(t, GT__IMPORT_STRING, at + size);
	}
	if (ret >= 0 && gt_map_put(&t->string_of, id, out) < 0)
		t->error = -ENOMEM;
	return ret < 0 ? 0 : out;
}

static void tell_pc(struct gt__translate *t, const struct gt_gotrace_frame *frame)
{
	uint64_t function, file;
	uint8_t *at;

	if (gt_map_find(&t->pcs, frame->pc))
		return;
	function = string(t, frame->function);
	file = string(t, frame->file);
	at = gt_put_uvarint(gt_put_uvarint(t->record, frame->pc), 1);
	tell(t, GT__IMPORT_PC, gt_put_uvarint(gt_put_uvarint(gt_put_uvarint(at, function), file), frame->line));
	if (gt_map_put(&t->pcs, frame->pc, 1) < 0)
		t->error = -ENOMEM;
}

static uint64_t stack(struct gt__translate *t, uint64_t id)
{
	const uint64_t *known = gt_map_find(&t->stack_of, id);
	struct gt_gotrace_frame frames[GT_GOTRACE_FRAMES];
	uint64_t pcs[GT_GOTRACE_FRAMES], out = 0;
	int count, ret;

	if (!id || known)
		return id ? *known : 0;
	count = gt_gotrace_stack(t->source, id, frames);
	for (int i = 0; i < count; i++)
		pcs[i] = frames[i].pc;
	ret = count > 0 ? gt_strings_intern(&t->stacks, pcs, (size_t)count * sizeof(pcs[0]), &out) : 0;
	if (ret > 0) {
		uint8_t *at;

		for (int i = 0; i < count; i++)
			tell_pc(t, &frames[i]);
		at = gt_put_uvarint(gt_put_uvarint(t->record, out), (uint64_t)count);
		for (int i = 0; i < count; i++)
			at = gt_put_uvarint(at, pcs[i]);
		tell(t, GT__IMPORT_STACK, at);
	}
	if (ret >= 0 && gt_map_put(&t->stack_of, id, out) < 0)
		t->error = -ENOMEM;
	return ret < 0 ? 0 : out;
}

/* The innermost frame of a stack: where a goroutine starts, or is made. */
static uint64_t innermost(struct gt__translate *t, uint64_t id)
{
	struct gt_gotrace_frame frames[GT_GOTRACE_FRAMES];

	if (gt_gotrace_stack(t->source, id, frames) <= 0)
		return 0;
	tell_pc(t, &frames[0]);
	return frames[0].pc;
}

/* A goroutine that was there before the trace is known by its outermost function. */
static void name_goroutine(struct gt__translate *t, uint64_t g, uint64_t stack_id)
{
	struct gt_gotrace_frame frames[GT_GOTRACE_FRAMES];
	uint8_t *at;
	int count;

	if (__builtin_expect(!t->unnamed.count, 1) || g == NONE || !stack_id || !gt_map_find(&t->unnamed, g))
		return;
	count = gt_gotrace_stack(t->source, stack_id, frames);
	if (count <= 0 || count == (int)GT_GOTRACE_FRAMES) /* cut: its last one is not the outermost */
		return;
	gt_map_remove(&t->unnamed, g);
	tell_pc(t, &frames[count - 1]);
	at = gt_put_uvarint(gt_put_uvarint(t->record, g), 0);
	tell(t, GT__IMPORT_GOROUTINE, gt_put_uvarint(gt_put_uvarint(at, frames[count - 1].pc), 0));
}

static uint64_t thread(struct gt__translate *t, uint64_t m)
{
	if (m == NONE)
		return 0;
	if (!gt_map_find(&t->threads, m)) {
		tell(t, GT__IMPORT_THREAD, put_text(gt_put_uvarint(gt_put_uvarint(t->record, m), m), ""));
		if (gt_map_put(&t->threads, m, 1) < 0)
			t->error = -ENOMEM;
	}
	return m;
}

/* ---- reasons ---- */

static const struct {
	const char *text;
	uint8_t wait, yield;
} reasons[] = {
	{"unspecified", GT_REASON_UNKNOWN, GT_REASON_UNKNOWN},
	{"forever", GT_REASON_FOREVER, 0},
	{"network", GT_REASON_IO_WAIT, 0},
	{"select", GT_REASON_SELECT, 0},
	{"sync.(*Cond).Wait", GT_REASON_SYNC_COND_WAIT, 0},
	{"sync", GT_REASON_SYNC, 0},
	{"chan send", GT_REASON_CHAN_SEND, 0},
	{"chan receive", GT_REASON_CHAN_RECEIVE, 0},
	{"GC mark assist wait for work", GT_REASON_GC_ASSIST_WAIT, 0},
	{"GC background sweeper wait", GT_REASON_GC_SWEEP_WAIT, 0},
	{"system goroutine wait", GT_REASON_SYSTEM_GOROUTINE, 0},
	{"preempted", GT_REASON_PREEMPTED, GT_REASON_PREEMPT},
	{"wait for debug call", GT_REASON_DEBUG_CALL, 0},
	{"wait until GC ends", GT_REASON_WAIT_FOR_GC_CYCLE, 0},
	{"sleep", GT_REASON_SLEEP, 0},
	{"GC weak to strong wait", GT_REASON_GC_WEAK_TO_STRONG, 0},
	{"synctest", GT_REASON_SYNCTEST, 0},
	{"runtime.Gosched", GT_REASON_GOSCHED, GT_REASON_GOSCHED},
};

static uint64_t reason(struct gt__translate *t, uint64_t id, bool yields)
{
	const uint64_t *known;
	const char *text;
	uint64_t both = 0;
	size_t size, i;

	if (!id)
		return yields ? GT_REASON_UNKNOWN : GT_REASON_COROUTINE; /* a GoSwitch's part has none */
	known = gt_map_find(&t->reason_of, id);
	if (!known) {
		text = gt_gotrace_string(t->source, id, &size);
		for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
			if (text && strlen(reasons[i].text) == size && !memcmp(reasons[i].text, text, size))
				break;
		if (i < sizeof(reasons) / sizeof(reasons[0])) {
			both = reasons[i].wait | (uint64_t)reasons[i].yield << 8;
		} else if (text) {
			char shown[128];

			snprintf(shown, sizeof(shown), "%.*s", (int)(size < 100 ? size : 100), text);
			tell_meta(t, "reason_unknown", shown);
		}
		if (gt_map_put(&t->reason_of, id, both) < 0)
			t->error = -ENOMEM;
	} else {
		both = *known;
	}
	return yields ? both >> 8 : both & 0xff;
}

/* ---- events ---- */

static uint64_t *emit(struct gt__translate *t, const struct gt_gotrace_event *e, unsigned int kind)
{
	struct gt_event *event = &t->queue[t->queued++];

	*event = (struct gt_event){.ticks = (uint64_t)e->time_ns,
		.time_ns = e->time_ns - (int64_t)t->clock.start_ticks,
		.m = thread(t, e->m),
		.kind = (uint8_t)kind};
	return event->args;
}

static uint64_t g_of(const struct gt_gotrace_event *e)
{
	return e->g == NONE ? 0 : e->g;
}

/* EventStack: of what was emitted before; GoStack: of one that was there before the trace. */
static void emit_stack(
	struct gt__translate *t, const struct gt_gotrace_event *e, unsigned int kind, uint64_t g, uint64_t id)
{
	uint64_t out = stack(t, id), *args;

	if (!out)
		return;
	args = emit(t, e, kind);
	args[0] = g;
	args[1] = out;
}

static void translate_create(struct gt__translate *t, const struct gt_gotrace_event *e)
{
	bool runnable = e->type == GT_GOTRACE_GO_CREATE, outside = e->type == GT_GOTRACE_GO_CREATE_SYSCALL;
	uint64_t start = outside ? 0 : innermost(t, e->args[1]), site = outside ? 0 : innermost(t, e->args[2]), *args;

	args = emit(t, e, GT_EV_GO_CREATE);
	args[0] = e->args[0];
	args[1] = outside ? GT_STATE_SYSCALL : runnable ? GT_STATE_RUNNABLE : GT_STATE_WAITING;
	if (outside)
		return;
	args[2] = g_of(e);
	args[3] = start;
	args[4] = site;
	name_goroutine(t, e->g, e->args[2]);
	emit_stack(t, e, GT_EV_EVENT_STACK, g_of(e), e->args[2]);
}

static void translate_status(struct gt__translate *t, const struct gt_gotrace_event *e)
{
	static const uint8_t states[] = {
		GT_STATE_NONE, GT_STATE_RUNNABLE, GT_STATE_RUNNING, GT_STATE_SYSCALL, GT_STATE_WAITING};
	bool with_stack = e->type == GT_GOTRACE_GO_STATUS_STACK && e->args[3];
	const uint64_t *ahead;
	uint64_t *args;

	if (!e->first)
		return; /* it is so already */
	if (t->unnamed.count < UNNAMED_MAX && gt_map_put(&t->unnamed, e->args[0], 1) < 0)
		t->error = -ENOMEM;
	ahead = gt_map_find(&t->stands, e->args[0]);
	if (with_stack || ahead)
		name_goroutine(t, e->args[0], with_stack ? e->args[3] : *ahead);
	args = emit(t, e, GT_EV_GO_STATE);
	args[0] = e->args[0];
	args[1] = GT_STATE_NONE;
	args[2] = states[e->args[2]];
	if (with_stack)
		emit_stack(
			t, e, args[2] == GT_STATE_RUNNING ? GT_EV_EVENT_STACK : GT_EV_GO_STACK, e->args[0], e->args[3]);
}

static void translate_proc(struct gt__translate *t, const struct gt_gotrace_event *e)
{
	switch (e->type) {
	case GT_GOTRACE_PROC_START:
		emit(t, e, GT_EV_P_START)[0] = e->args[0] + 1;
		break;
	case GT_GOTRACE_PROC_STOP:
		emit(t, e, GT_EV_P_STOP)[0] = e->p + 1;
		break;
	case GT_GOTRACE_PROC_STEAL:
		if (e->old != GT_GOTRACE_P_IDLE) /* else it was told to be idle before */
			emit(t, e, GT_EV_P_STOP)[0] = e->args[0] + 1;
		break;
	default:
		if (e->first) /* status: 1 running, 2 idle, 3 in a system call, 4 in one of an unknown thread */
			emit(t, e, e->args[1] & 1 ? GT_EV_P_START : GT_EV_P_IDLE)[0] = e->args[0] + 1;
		break;
	}
}

/* What the goroutine on this M does to itself, or to another. */
static void translate_go(struct gt__translate *t, const struct gt_gotrace_event *e)
{
	uint64_t *args;

	switch (e->type) {
	case GT_GOTRACE_GO_START:
		args = emit(t, e, GT_EV_GO_RUN);
		args[0] = e->args[0];
		args[1] = GT_STATE_RUNNABLE;
		args[2] = e->p + 1;
		break;
	case GT_GOTRACE_GO_DESTROY:
		gt_map_remove(&t->unnamed, e->g);
		emit(t, e, GT_EV_GO_END)[0] = e->g;
		break;
	case GT_GOTRACE_GO_DESTROY_SYSCALL:
		gt_map_remove(&t->unnamed, e->g);
		args = emit(t, e, GT_EV_GO_STATE);
		args[0] = e->g;
		args[1] = GT_STATE_SYSCALL;
		args[2] = GT_STATE_DEAD;
		break;
	case GT_GOTRACE_GO_STOP:
	case GT_GOTRACE_GO_BLOCK:
		name_goroutine(t, e->g, e->args[1]);
		args = emit(t, e, e->type == GT_GOTRACE_GO_STOP ? GT_EV_GO_YIELD : GT_EV_GO_BLOCK);
		args[0] = e->g;
		args[1] = reason(t, e->args[0], e->type == GT_GOTRACE_GO_STOP);
		args[2] = stack(t, e->args[1]);
		break;
	case GT_GOTRACE_GO_UNBLOCK:
	case GT_GOTRACE_GO_SWITCH:
	case GT_GOTRACE_GO_SWITCH_DESTROY:
		args = emit(t, e, GT_EV_GO_READY);
		args[0] = e->args[0];
		args[1] = GT_STATE_WAITING;
		args[2] = g_of(e);
		if (e->type == GT_GOTRACE_GO_UNBLOCK) {
			name_goroutine(t, e->g, e->args[2]);
			emit_stack(t, e, GT_EV_EVENT_STACK, g_of(e), e->args[2]);
		}
		break;
	case GT_GOTRACE_GO_SYSCALL_BEGIN:
		name_goroutine(t, e->g, e->args[1]);
		args = emit(t, e, GT_EV_GO_SYSCALL);
		args[0] = e->g;
		args[1] = stack(t, e->args[1]);
		break;
	default:
		args = emit(t, e, GT_EV_GO_SYSEXIT);
		args[0] = e->g;
		args[1] = e->type == GT_GOTRACE_GO_SYSCALL_END ? GT_STATE_RUNNING : GT_STATE_RUNNABLE;
		break;
	}
}

static void translate_collector(struct gt__translate *t, const struct gt_gotrace_event *e)
{
	uint64_t *args;

	switch (e->type) {
	case GT_GOTRACE_STW_BEGIN:
		args = emit(t, e, GT_EV_STW_BEGIN);
		args[0] = g_of(e);
		args[1] = string(t, e->args[0]);
		args[2] = stack(t, e->args[1]);
		break;
	case GT_GOTRACE_STW_END:
		emit(t, e, GT_EV_STW_END)[0] = g_of(e);
		break;
	case GT_GOTRACE_GC_ACTIVE:
	case GT_GOTRACE_GC_BEGIN:
		if (e->type == GT_GOTRACE_GC_ACTIVE && !e->first)
			break;
		args = emit(t, e, GT_EV_GC_BEGIN);
		args[0] = e->type == GT_GOTRACE_GC_ACTIVE ? 0 : g_of(e);
		args[1] = ++t->cycle;
		args[2] = e->type == GT_GOTRACE_GC_ACTIVE ? 0 : stack(t, e->args[1]);
		break;
	case GT_GOTRACE_GC_END:
		emit(t, e, GT_EV_GC_END)[0] = t->cycle;
		break;
	case GT_GOTRACE_GC_SWEEP_ACTIVE:
	case GT_GOTRACE_GC_SWEEP_BEGIN:
		if (e->type == GT_GOTRACE_GC_SWEEP_ACTIVE && !e->first)
			break;
		args = emit(t, e, GT_EV_SWEEP_BEGIN);
		args[0] = (e->type == GT_GOTRACE_GC_SWEEP_ACTIVE ? e->args[0] : e->p) + 1;
		args[1] = e->type == GT_GOTRACE_GC_SWEEP_ACTIVE ? 0 : stack(t, e->args[0]);
		break;
	case GT_GOTRACE_GC_SWEEP_END:
		args = emit(t, e, GT_EV_SWEEP_END);
		args[0] = e->p + 1;
		args[1] = e->args[0];
		args[2] = e->args[1];
		break;
	case GT_GOTRACE_GC_MARK_ASSIST_ACTIVE:
	case GT_GOTRACE_GC_MARK_ASSIST_BEGIN:
		if (e->type == GT_GOTRACE_GC_MARK_ASSIST_ACTIVE && !e->first)
			break;
		args = emit(t, e, GT_EV_ASSIST_BEGIN);
		args[0] = e->type == GT_GOTRACE_GC_MARK_ASSIST_ACTIVE ? e->args[0] : g_of(e);
		args[1] = e->type == GT_GOTRACE_GC_MARK_ASSIST_ACTIVE ? 0 : stack(t, e->args[0]);
		break;
	default:
		emit(t, e, GT_EV_ASSIST_END)[0] = g_of(e);
		break;
	}
}

static void translate_metric(struct gt__translate *t, const struct gt_gotrace_event *e)
{
	uint64_t *args;

	if (e->type == GT_GOTRACE_HEAP_ALLOC) {
		emit(t, e, GT_EV_HEAP)[0] = e->args[0];
	} else if (e->type == GT_GOTRACE_HEAP_GOAL) {
		emit(t, e, GT_EV_HEAP_GOAL)[0] = e->args[0];
	} else if (e->type == GT_GOTRACE_GO_LABEL) {
		args = emit(t, e, GT_EV_GO_LABEL);
		args[0] = g_of(e);
		args[1] = string(t, e->args[0]);
	} else {
		args = emit(t, e, GT_EV_PROCS);
		args[0] = e->args[0];
		args[1] = stack(t, e->args[1]);
	}
}

static void translate_mark(struct gt__translate *t, const struct gt_gotrace_event *e)
{
	static const uint8_t kinds[] = {
		GT_EV_TASK_BEGIN, GT_EV_TASK_END, GT_EV_REGION_BEGIN, GT_EV_REGION_END, GT_EV_LOG};
	uint64_t *args = emit(t, e, kinds[e->type - GT_GOTRACE_USER_TASK_BEGIN]), id = e->args[2];

	args[0] = g_of(e);
	args[1] = e->args[0];
	switch (e->type) {
	case GT_GOTRACE_USER_TASK_BEGIN:
		args[2] = e->args[1] == NONE ? 0 : e->args[1];
		args[3] = string(t, e->args[2]);
		id = e->args[3];
		break;
	case GT_GOTRACE_USER_TASK_END:
		id = e->args[1];
		break;
	case GT_GOTRACE_USER_LOG:
		args[2] = string(t, e->args[1]);
		args[3] = string(t, e->args[2]);
		id = e->args[3];
		break;
	default:
		args[2] = string(t, e->args[1]);
		break;
	}
	name_goroutine(t, e->g, id);
	emit_stack(t, e, GT_EV_EVENT_STACK, g_of(e), id);
}

static void translate_sample(struct gt__translate *t, const struct gt_gotrace_event *e)
{
	uint64_t *args = emit(t, e, GT_EV_CPU_SAMPLE);

	args[0] = g_of(e);
	args[1] = e->m == NONE ? 0 : e->m;
	args[2] = CPU_UNKNOWN;
	args[3] = stack(t, e->args[0]);
}

/* ---- generations ---- */

static void tell_metas(struct gt__translate *t, const struct gt_gotrace_info *info)
{
	char text[160];

	if (t->metas_told)
		return;
	t->metas_told = true;
	tell_meta(t, "runtime", "go");
	tell_meta(t, "runtime_version",
		info->version == 22   ? "go1.22"
		: info->version == 23 ? "go1.23 or 1.24"
		: info->version == 25 ? "go1.25"
				      : "go1.26 or 1.27");
	snprintf(text, sizeof(text), "Go's own tracer, format 1.%u", info->version);
	tell_meta(t, "source", text);
	tell_meta(t, "clock",
		info->clock.known ? "Go's tracer, steps of 64 ns, monotonic and wall clock told skew_ns=1"
				  : "Go's tracer, steps of 64 ns, taken for the monotonic clock skew_ns=1");
	tell_meta(t, "events", "sched,marks,heap,gc,samples");
}

static void translate_sync(struct gt__translate *t, const struct gt_gotrace_event *e)
{
	struct gt_gotrace_info info;
	uint64_t before;

	forget_generation(t);
	gt_gotrace_info(t->source, &info);
	if (!t->started) {
		t->started = true;
		t->clock.start_ticks = (uint64_t)e->time_ns;
		t->clock.start_monotonic_ns = e->time_ns;
		if (info.generations && info.clock.known) {
			before = (uint64_t)info.clock.ns - (uint64_t)e->time_ns;
			t->clock.start_monotonic_ns = (int64_t)(info.clock.mono - before);
			t->clock.start_realtime_ns =
				(int64_t)((uint64_t)info.clock.sec * 1000000000u + (uint64_t)info.clock.nsec - before);
		}
		tell_metas(t, &info);
	}
}

static void tell_experiment(struct gt__translate *t)
{
	struct gt_gotrace_info info;
	char text[160];

	gt_gotrace_info(t->source, &info);
	if (!t->experimental && !info.experimental_batches)
		return;
	snprintf(text, sizeof(text), "%llu events and %llu batches of an experiment of Go's tracer (AllocFree)",
		(unsigned long long)t->experimental, (unsigned long long)info.experimental_batches);
	tell_meta(t, "skipped", text);
}

static void translate(struct gt__translate *t, const struct gt_gotrace_event *e)
{
	switch (e->type) {
	case GT_GOTRACE_SYNC:
		translate_sync(t, e);
		break;
	case GT_GOTRACE_CPU_SAMPLE:
		translate_sample(t, e);
		break;
	case GT_GOTRACE_PROC_START:
	case GT_GOTRACE_PROC_STOP:
	case GT_GOTRACE_PROC_STEAL:
	case GT_GOTRACE_PROC_STATUS:
		translate_proc(t, e);
		break;
	case GT_GOTRACE_GO_CREATE:
	case GT_GOTRACE_GO_CREATE_BLOCKED:
	case GT_GOTRACE_GO_CREATE_SYSCALL:
		translate_create(t, e);
		break;
	case GT_GOTRACE_GO_STATUS:
	case GT_GOTRACE_GO_STATUS_STACK:
		translate_status(t, e);
		break;
	case GT_GOTRACE_PROCS_CHANGE:
	case GT_GOTRACE_HEAP_ALLOC:
	case GT_GOTRACE_HEAP_GOAL:
	case GT_GOTRACE_GO_LABEL:
		translate_metric(t, e);
		break;
	default:
		if (e->type >= 128)
			t->experimental++;
		else if (e->type >= GT_GOTRACE_USER_TASK_BEGIN && e->type <= GT_GOTRACE_USER_LOG)
			translate_mark(t, e);
		else if (e->type >= GT_GOTRACE_STW_BEGIN && e->type <= GT_GOTRACE_GC_MARK_ASSIST_END)
			translate_collector(t, e);
		else
			translate_go(t, e);
		break;
	}
}

int gt__translate_next(struct gt__translate *t, struct gt_event *event)
{
	struct gt_gotrace_event e;

	while (t->given == t->queued) {
		t->given = t->queued = 0;
		if (gt_gotrace_next(t->source, &e) <= 0) {
			tell_experiment(t);
			return 0;
		}
		translate(t, &e);
		if (t->error)
			return t->error;
	}
	*event = t->queue[t->given++];
	return 1;
}
