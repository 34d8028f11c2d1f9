/* perfetto_marks.c - slices and instants inside of a goroutine's states: regions, tasks, logs, system calls, assists, sweeps, the heap. */
#include "format/convert/perfetto_internal.h"

#include <stdlib.h>
#include <string.h>

#define TASKS_MAX (1u << 20)

struct call {
	uint64_t number, arg0, arg2;
	uint64_t stack, file; /* file: what arg0 is, a string */
	int64_t since_ns;     /* -1: in none */
};

struct task {
	uint64_t id, parent, name;
	uint32_t track; /* 0: not told of yet */
};

struct number {
	enum gt__intern_key key;
	uint64_t value;
};

/* ---- what is open inside of all regions ---- */

static void inner_begin(
	struct gt__perfetto *pf, const struct gt__row *row, int64_t time_ns, unsigned int what, uint64_t stack_id)
{
	uint64_t stack = gt__pf_stack(pf, stack_id);
	uint64_t name = gt__intern_name(&pf->intern, what == INNER_ASSIST ? GT_NAME_ASSIST : GT_NAME_SWEEP);
	char *to;

	gt__intern_category(&pf->intern, GT_CATEGORY_GC);
	to = gt__pf_named(gt__pf_begin(pf, time_ns, EVENT_BEGIN, row->number), name, GT_CATEGORY_GC);
	gt__pf_end(pf, stack ? gt_pb_number(to, 56, stack) : to);
}

void gt__pf_end_inner(struct gt__perfetto *pf, const struct gt__row *row, struct gt__pf_strip *strip, unsigned int keep)
{
	for (unsigned int gone = strip->inner & ~keep; gone && !pf->quiet; gone &= gone - 1)
		gt__pf_slice_end(pf, pf->rows.now_ns, row->number);
	strip->inner &= (uint8_t)keep;
}

/* @what begins inside of what is open; what can only be inside of it ended unseen. */
static void open_inner(struct gt__perfetto *pf, uint64_t g, unsigned int what, uint64_t stack)
{
	struct gt__row *row = gt__rows_goroutine(&pf->rows, g);
	struct gt__pf_strip *strip = row ? row->user : NULL;

	if (!strip || strip->hidden)
		return;
	gt__pf_end_inner(pf, row, strip, what - 1);
	strip->inner |= (uint8_t)what;
	if (!pf->quiet && gt__pf_strip(pf, row))
		inner_begin(pf, row, pf->rows.now_ns, what, stack);
}

static void close_inner(struct gt__perfetto *pf, uint64_t g, unsigned int what)
{
	struct gt__row *row = gt__rows_goroutine(&pf->rows, g);
	struct gt__pf_strip *strip = row ? row->user : NULL;

	if (strip && (strip->inner & what))
		gt__pf_end_inner(pf, row, strip, what - 1);
}

/* The M that sweeps is known, its goroutine is who runs there; it stays there until the sweep's end. */
static void sweep_begin(struct gt__perfetto *pf, const struct gt_event *event)
{
	const struct gt__row *thread = gt__rows_thread(&pf->rows, event->m);
	uint64_t g = thread && gt__slice_open(&thread->open) ? thread->open.g : 0;

	gt__map_remove(&pf->sweeps, event->m);
	/* A hostile goroutine 2^64-1 does not sweep. */
	if (!g || !(g + 1))
		return;
	if (gt__map_put(&pf->sweeps, event->m, (void *)(uintptr_t)(g + 1)) < 0)
		pf->failed = true;
	open_inner(pf, g, INNER_SWEEP, event->args[1]);
}

static void sweep_end(struct gt__perfetto *pf, const struct gt_event *event)
{
	uint64_t g = (uint64_t)(uintptr_t)gt__map_get(&pf->sweeps, event->m);

	if (!g)
		return;
	gt__map_remove(&pf->sweeps, event->m);
	close_inner(pf, g - 1, INNER_SWEEP);
}

/* ---- regions ---- */

static void write_region(
	struct gt__perfetto *pf, const struct gt__row *row, int64_t time_ns, const struct gt__pf_region *region)
{
	struct gt__intern *intern = &pf->intern;
	uint64_t name = gt__intern_string(intern, region->name);
	char *to;

	if (!name)
		name = gt__intern_name(intern, GT_NAME_REGION);
	gt__intern_category(intern, GT_CATEGORY_REGION);
	gt__intern_key(intern, GT_KEY_TASK);
	to = gt__pf_named(gt__pf_begin(pf, time_ns, EVENT_BEGIN, row->number), name, GT_CATEGORY_REGION);
	if (region->task)
		to = gt__pf_address(to, GT_KEY_TASK, region->task);
	gt__pf_end(pf, to);
}

static void region_begin(struct gt__perfetto *pf, struct gt__row *row, const uint64_t *args)
{
	struct gt__pf_strip *strip = row->user;
	struct gt__pf_region *region, *more;

	gt__pf_end_inner(pf, row, strip, 0);
	if (strip->count++ >= GT__PF_REGION_DEPTH)
		return;
	if (strip->count > strip->room) {
		uint32_t room = strip->room ? strip->room * 2 : 4;

		more = realloc(strip->regions, room * sizeof(*more));
		if (!more) {
			pf->failed = true;
			strip->count--;
			return;
		}
		strip->regions = more;
		strip->room = room;
	}
	region = &strip->regions[strip->count - 1];
	*region = (struct gt__pf_region){.name = args[2], .task = args[1]};
	if (!pf->quiet && gt__pf_strip(pf, row))
		write_region(pf, row, pf->rows.now_ns, region);
}

/* The innermost one ends. Its begin may lie before the window: then there is nothing to end. */
static void region_end(struct gt__perfetto *pf, struct gt__row *row)
{
	struct gt__pf_strip *strip = row->user;

	gt__pf_end_inner(pf, row, strip, 0);
	if (strip->count && strip->count-- <= GT__PF_REGION_DEPTH && !pf->quiet)
		gt__pf_slice_end(pf, pf->rows.now_ns, row->number);
}

/* ---- tasks ---- */

static void write_task(struct gt__perfetto *pf, struct task *task, int64_t time_ns)
{
	struct gt__intern *intern = &pf->intern;
	const char *name = gt_trace_string(pf->trace, task->name);
	char *to;

	if (!(pf->told >> TRACK_TASKS & 1))
		gt__pf_put_track(pf, TRACK_TASKS, 0, "Tasks", NULL, 0, NULL);
	pf->told |= UINT64_C(1) << TRACK_TASKS;
	task->track = pf->track_next++;
	gt__pf_put_track(pf, task->track, TRACK_TASKS, name && *name ? name : "task", NULL, 0, NULL);
	gt__intern_category(intern, GT_CATEGORY_TASK);
	gt__intern_key(intern, GT_KEY_TASK);
	gt__intern_key(intern, GT_KEY_PARENT);
	to = gt__pf_begin(pf, time_ns, EVENT_BEGIN, task->track);
	to = gt_pb_number(to, 3, GT_CATEGORY_TASK + 1u);
	to = gt__pb_text(to, 23, name && *name ? name : "task", GT__INTERN_TEXT_MAX);
	to = gt__pf_address(to, GT_KEY_TASK, task->id);
	if (task->parent)
		to = gt__pf_address(to, GT_KEY_PARENT, task->parent);
	gt__pf_end(pf, to);
}

static void task_begin(struct gt__perfetto *pf, const uint64_t *args)
{
	const struct gt__row *row = gt__rows_goroutine(&pf->rows, args[0]);
	const struct gt__pf_strip *strip = row ? row->user : NULL;
	struct task *task;

	if (gt__map_get(&pf->tasks, args[1]) || pf->tasks.count >= TASKS_MAX)
		return;
	if (pf->options->shown && (!strip || strip->hidden))
		return;
	task = malloc(sizeof(*task));
	if (!task || gt__map_put(&pf->tasks, args[1], task) < 0) {
		free(task);
		pf->failed = true;
		return;
	}
	*task = (struct task){.id = args[1], .parent = args[2], .name = args[3]};
	if (!pf->quiet)
		write_task(pf, task, pf->rows.now_ns);
}

static void task_end(struct gt__perfetto *pf, uint64_t id)
{
	struct task *task = gt__map_get(&pf->tasks, id);

	if (!task)
		return;
	if (task->track)
		gt__pf_slice_end(pf, pf->rows.now_ns, task->track);
	gt__map_remove(&pf->tasks, id);
	free(task);
}

/* ---- logs ---- */

static void put_log(struct gt__perfetto *pf, struct gt__row *row, const uint64_t *args)
{
	struct gt__intern *intern = &pf->intern;
	const char *value = gt_trace_string(pf->trace, args[3]);
	uint64_t name;
	char *to;

	if (pf->quiet || !gt__pf_strip(pf, row))
		return;
	name = gt__intern_string(intern, args[2]);
	if (!name)
		name = gt__intern_name(intern, GT_NAME_LOG);
	gt__intern_category(intern, GT_CATEGORY_LOG);
	gt__intern_key(intern, GT_KEY_TASK);
	gt__intern_key(intern, GT_KEY_VALUE);
	to = gt__pf_begin(pf, pf->rows.now_ns, EVENT_INSTANT, row->number);
	to = gt__pf_named(to, name, GT_CATEGORY_LOG);
	if (args[1])
		to = gt__pf_address(to, GT_KEY_TASK, args[1]);
	gt__pf_end(pf, gt__pf_text(to, GT_KEY_VALUE, value ? value : ""));
}

void gt__pf_on_mark(struct gt__perfetto *pf, const struct gt_event *event)
{
	const uint64_t *args = event->args;
	struct gt__row *row;

	if (event->kind == GT_EV_TASK_BEGIN) {
		task_begin(pf, args);
		return;
	}
	if (event->kind == GT_EV_TASK_END) {
		task_end(pf, args[1]);
		return;
	}
	row = gt__rows_goroutine(&pf->rows, args[0]);
	if (!row || !row->user || ((struct gt__pf_strip *)row->user)->hidden)
		return;
	if (event->kind == GT_EV_REGION_BEGIN)
		region_begin(pf, row, args);
	else if (event->kind == GT_EV_REGION_END)
		region_end(pf, row);
	else
		put_log(pf, row, args);
}

/* ---- system calls ---- */

static void call_begin(struct gt__perfetto *pf, const struct gt_event *event)
{
	struct call *call = gt__map_get(&pf->calls, event->m);

	if (!call) {
		call = malloc(sizeof(*call));
		if (!call || gt__map_put(&pf->calls, event->m, call) < 0) {
			free(call);
			pf->failed = true;
			return;
		}
	}
	*call = (struct call){.number = event->args[1],
		.arg0 = event->args[2],
		.arg2 = event->args[3],
		.file = gt_trace_syscall_fd(pf->trace, event->args[1], event->args[2]),
		.since_ns = pf->rows.now_ns};
	/* Its begin was not told. */
	if (event->kind == GT_EV_SYSCALL_LONG)
		call->since_ns -= event->args[4] < (uint64_t)call->since_ns ? (int64_t)event->args[4] : call->since_ns;
}

static void call_stack(struct gt__perfetto *pf, const struct gt_event *event)
{
	struct call *call = gt__map_get(&pf->calls, event->m);

	if (call)
		call->stack = event->args[1];
}

/*
 * A slice inside of what is open; not longer than that, should the goroutine have been stopped in the midst of it. It is written
 * before what is around it, so it begins 1 ns later: what begins at the same time nests as it was written.
 */
static void call_end(struct gt__perfetto *pf, const struct gt_event *event)
{
	struct call *call = gt__map_get(&pf->calls, event->m);
	struct gt__row *row = gt__rows_goroutine(&pf->rows, event->args[0]);
	enum gt__intern_key last = event->args[3] ? GT_KEY_ERROR : GT_KEY_RESULT;
	struct gt__intern *intern = &pf->intern;
	int64_t since_ns, around_ns, now_ns = pf->rows.now_ns;
	uint64_t name, stack, file;
	char *to;

	if (!call || call->since_ns < 0 || call->number != event->args[1])
		return;
	since_ns = call->since_ns;
	call->since_ns = -1;
	if (pf->quiet || !event->args[0] || !gt__pf_strip(pf, row))
		return;
	around_ns = gt__slice_open(&row->open) && row->open.since_ns > pf->from_ns ? row->open.since_ns : pf->from_ns;
	if (since_ns <= around_ns && around_ns)
		since_ns = around_ns < now_ns ? around_ns + 1 : now_ns;
	name = gt__intern_syscall(intern, event->args[1]);
	stack = gt__pf_stack(pf, call->stack);
	file = gt__intern_text(intern, call->file);
	gt__intern_key(intern, GT_KEY_FILE);
	gt__intern_category(intern, GT_CATEGORY_SYSCALL);
	gt__intern_key(intern, GT_KEY_ARG0);
	gt__intern_key(intern, GT_KEY_ARG2);
	gt__intern_key(intern, last);
	to = gt__pf_begin(pf, since_ns, EVENT_BEGIN, row->number);
	to = gt__pf_named(to, name, GT_CATEGORY_SYSCALL);
	if (stack)
		to = gt_pb_number(to, 56, stack);
	to = gt__pf_number(to, GT_KEY_ARG0, call->arg0);
	if (file)
		to = gt__pf_interned(to, GT_KEY_FILE, file);
	to = gt__pf_number(to, GT_KEY_ARG2, call->arg2);
	gt__pf_end(pf, gt__pf_number(to, last, event->args[event->args[3] ? 3 : 2]));
	gt__pf_slice_end(pf, now_ns, row->number);
}

/* ---- instants ---- */

static void put_instant(struct gt__perfetto *pf, uint64_t g, unsigned int name, enum gt__intern_category category,
	const struct number *numbers, size_t count, const char *type, uint64_t stack_id)
{
	struct gt__row *row = g ? gt__rows_goroutine(&pf->rows, g) : NULL;
	struct gt__intern *intern = &pf->intern;
	uint64_t stack, number;
	char *to;

	if (pf->quiet || (g ? !gt__pf_strip(pf, row) : pf->options->shown != NULL))
		return;
	number = gt__intern_name(intern, name);
	stack = gt__pf_stack(pf, stack_id);
	gt__intern_category(intern, category);
	for (size_t i = 0; i < count; i++)
		gt__intern_key(intern, numbers[i].key);
	if (type)
		gt__intern_key(intern, GT_KEY_TYPE);
	/* What no goroutine does is nobody's. */
	to = gt__pf_begin(pf, pf->rows.now_ns, EVENT_INSTANT, row ? row->number : (uint64_t)TRACK_NOTICES);
	to = gt__pf_named(to, number, category);
	if (stack)
		to = gt_pb_number(to, 56, stack);
	for (size_t i = 0; i < count; i++)
		to = gt__pf_arg(to, numbers[i].key, numbers[i].key == GT_KEY_ADDRESS ? 7 : 3, numbers[i].value);
	if (type)
		to = gt__pf_text(to, GT_KEY_TYPE, type);
	gt__pf_end(pf, to);
}

static void set_label(struct gt__perfetto *pf, const uint64_t *args)
{
	const struct gt__row *row = gt__rows_goroutine(&pf->rows, args[0]);
	struct gt__pf_strip *strip = row ? row->user : NULL;

	if (strip && gt__slice_open(&row->open))
		strip->label = args[1];
}

void gt__pf_on_other(struct gt__perfetto *pf, const struct gt_event *event)
{
	const uint64_t *args = event->args;

	switch (event->kind) {
	case GT_EV_SYSCALL_INFO:
		call_begin(pf, event);
		break;
	case GT_EV_SYSCALL_LONG:
		call_begin(pf, event);
		break;
	case GT_EV_SYSCALL_STACK:
		call_stack(pf, event);
		break;
	case GT_EV_SYSCALL_RESULT:
		call_end(pf, event);
		break;
	case GT_EV_ALLOC:
		put_instant(pf, args[0], GT_NAME_ALLOC, GT_CATEGORY_HEAP,
			(struct number[]){{GT_KEY_ADDRESS, args[1]}, {GT_KEY_BYTES, args[2]}, {GT_KEY_WEIGHT, args[3]}},
			3, pf->typed.type ? gt_trace_string(pf->trace, pf->typed.type) : NULL, args[4]);
		break;
	case GT_EV_FREE:
		put_instant(pf, args[0], GT_NAME_FREE, GT_CATEGORY_HEAP,
			(struct number[]){{GT_KEY_ADDRESS, args[1]}, {GT_KEY_BYTES, args[2]}}, 2, NULL, 0);
		break;
	case GT_EV_ASSIST_BEGIN:
		open_inner(pf, args[0], INNER_ASSIST, args[1]);
		break;
	case GT_EV_ASSIST_END:
		close_inner(pf, args[0], INNER_ASSIST);
		break;
	case GT_EV_SWEEP_BEGIN:
		sweep_begin(pf, event);
		break;
	case GT_EV_SWEEP_END:
		sweep_end(pf, event);
		break;
	case GT_EV_GO_LABEL:
		set_label(pf, args);
		break;
	case GT_EV_TIMER_SET:
		put_instant(pf, args[0], GT_NAME_TIMER_SET, GT_CATEGORY_TIMER,
			(struct number[]){{GT_KEY_ADDRESS, args[1]}, {GT_KEY_NS, args[2]}}, 2, NULL, 0);
		break;
	case GT_EV_TIMER_STOP:
		put_instant(pf, args[0], GT_NAME_TIMER_STOP, GT_CATEGORY_TIMER,
			(struct number[]){{GT_KEY_ADDRESS, args[1]}}, 1, NULL, 0);
		break;
	case GT_EV_TIMER_FIRE:
		put_instant(pf, 0, GT_NAME_TIMER_FIRE, GT_CATEGORY_TIMER,
			(struct number[]){{GT_KEY_ADDRESS, args[0]}, {GT_KEY_LATE, args[1]}}, 2, NULL, 0);
		break;
	default:
		break;
	}
}

/* ---- the cut, the end ---- */

static int by_id(const void *a, const void *b)
{
	const struct gt__row *x = *(struct gt__row *const *)a, *y = *(struct gt__row *const *)b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static int by_task(const void *a, const void *b)
{
	const struct task *x = *(struct task *const *)a, *y = *(struct task *const *)b;

	if (x->track != y->track)
		return x->track < y->track ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

/* All tasks, or (@rows) goroutines' rows, in an order that is always the same; NULL: no memory. The caller's to free. */
static void **sorted(struct gt__perfetto *pf, bool rows)
{
	void **all = malloc(((rows ? pf->rows.goroutines.count : pf->tasks.count) + 1) * sizeof(*all));
	size_t at = 0, count = 0;

	if (!all) {
		pf->failed = true;
		return NULL;
	}
	while ((all[count] = rows ? gt__ids_each(&pf->rows.goroutines, &at) : gt__map_each(&pf->tasks, &at)))
		count++;
	if (count)
		qsort(all, count, sizeof(*all), rows ? by_id : by_task);
	return all;
}

void gt__pf_marks_resume(struct gt__perfetto *pf)
{
	void **tasks = sorted(pf, false), **rows = sorted(pf, true);

	for (size_t i = 0; tasks && tasks[i]; i++)
		write_task(pf, tasks[i], pf->from_ns);
	for (size_t i = 0; rows && rows[i]; i++) {
		struct gt__row *row = rows[i];
		struct gt__pf_strip *strip = row->user;

		if (!strip || (!strip->count && !strip->inner) || !gt__pf_strip(pf, row))
			continue;
		for (uint32_t r = 0; r < strip->count && r < GT__PF_REGION_DEPTH; r++)
			write_region(pf, row, pf->from_ns, &strip->regions[r]);
		for (unsigned int what = INNER_ASSIST; what <= INNER_SWEEP; what <<= 1)
			if (strip->inner & what)
				inner_begin(pf, row, pf->from_ns, what, 0);
	}
	free(tasks);
	free(rows);
}

void gt__pf_marks_finish(struct gt__perfetto *pf)
{
	struct task **tasks = (struct task **)sorted(pf, false);

	for (size_t i = 0; tasks && tasks[i]; i++)
		if (tasks[i]->track)
			gt__pf_slice_end(pf, pf->rows.now_ns, tasks[i]->track);
	free(tasks);
}

static void free_values(struct gt__map *map)
{
	size_t at = 0;
	void *value;

	while ((value = gt__map_each(map, &at)))
		free(value);
	gt__map_free(map);
}

void gt__pf_marks_free(struct gt__perfetto *pf)
{
	free_values(&pf->tasks);
	free_values(&pf->calls);
	gt__map_free(&pf->sweeps);
}
