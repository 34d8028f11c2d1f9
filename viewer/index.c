/* index.c - events to rows of slices: see index.h. */
#include "viewer/index.h"

#include "format/convert/rows.h"
#include "format/convert/wrapper.h"
#include "viewer/ahead.h"
#include "viewer/slices.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define PROGRESS_EVENTS (1u << 18)
#define DEPTH_MAX       15
#define UNWRAP_SLICES   16
#define MIXED           UINT64_MAX
#define NO_ROW          UINT32_MAX
#define AHEAD           8 /* events by which each step of fetch is ahead of the next */
/* 36 years: columns are counted in doubles. */
#define TIME_NS_MAX (INT64_C(1) << 60)

/* Of an index's life. Who holds both gates entered rows' first. */
struct gt__index_reading {
	struct gt__gate rows, names; /* of the index; of the trace's tables */
	struct gt_index_config config;
	atomic_bool stop;
	bool limited; /* by bytes_max */
};

/* One that has begun, on a row that is no goroutine's, P's or M's. */
struct span {
	uint32_t row;
	struct gt_index_slice slice;
};

/* Of gt_index_read. */
struct building {
	struct gt_index *index;
	struct gt__rows rows;
	struct gt_map group_of; /* a start's pc -> place in groups */
	uint32_t *unnamed;      /* goroutines' rows whose function is to be looked up */
	uint32_t unnamed_count, unnamed_room;
	struct span *spans;
	uint32_t span_count, span_room;
	struct gt_map span_of; /* row -> place in spans */
	struct gt_map insides; /* a wrapper's group -> that of what all its goroutines are for, or MIXED */
	struct gt_map m_of;    /* tid -> M, of threads that had page faults */
	struct gt_map taken;   /* tid -> CPU that another process's thread took from it */
	uint32_t ended;        /* row of the goroutine that ended with this event, or NO_ROW */
	int64_t count_due_ns;
	uint64_t heap, goal, stacks;
	bool failed, finishing;
	struct gt__row *fetched[GT__BATCH_EVENTS];
};

/* ---- arrays that grow ---- */

static bool grow(struct gt_index *index, void *array, uint32_t *room, size_t each, uint32_t first)
{
	uint32_t more = *room ? *room + *room / 2 + 1 : first;
	void *grown;

	if (index->bytes_max && index->bytes + (more - *room) * each > index->bytes_max) {
		index->own->limited = true;
		return false;
	}
	grown = realloc(*(void **)array, (size_t)more * each);
	if (!grown)
		return false;
	index->bytes += (more - *room) * each;
	*(void **)array = grown;
	*room = more;
	return true;
}

static uint32_t new_row(struct building *b, enum gt_index_kind kind, uint64_t id)
{
	struct gt_index *index = b->index;
	struct gt_index_row *row;

	if (index->row_count == index->row_room &&
		!grow(index, &index->rows, &index->row_room, sizeof(*index->rows), 256)) {
		b->failed = true;
		return NO_ROW;
	}
	if (gt_map_put(&index->by_id[kind], id, index->row_count) < 0) {
		b->failed = true;
		return NO_ROW;
	}
	index->bytes += 24;
	row = &index->rows[index->row_count];
	*row = (struct gt_index_row){.id = id, .kind = (uint8_t)kind, .born_ns = -1, .died_ns = -1};
	index->kinds[kind]++;
	index->groups[0].rows += kind == GT_INDEX_GOROUTINE;
	return index->row_count++;
}

uint32_t gt_index_row_of(const struct gt_index *index, enum gt_index_kind kind, uint64_t id)
{
	const uint64_t *row = gt_map_find(&index->by_id[kind], id);

	return row ? (uint32_t)*row : NO_ROW;
}

static uint32_t need_row(struct building *b, enum gt_index_kind kind, uint64_t id)
{
	uint32_t row = gt_index_row_of(b->index, kind, id);

	return row == NO_ROW ? new_row(b, kind, id) : row;
}

static bool need_room(struct gt_index *index, struct gt_index_row *row)
{
	while (row->room - row->size < GT__SLICE_BYTES_MAX)
		if (row->room > UINT32_MAX / 2 || !grow(index, &row->bytes, &row->room, 1, 64))
			return false;
	return gt__slices_blocks(row->count + 1) <= row->block_room ||
	       grow(index, &row->blocks, &row->block_room, sizeof(*row->blocks), 2);
}

static void add_slice(struct building *b, uint32_t at, const struct gt_index_slice *slice)
{
	struct gt_index_slice added = *slice;
	struct gt_index *index = b->index;
	struct gt_index_row *row;

	if (at == NO_ROW)
		return;
	row = &index->rows[at];
	if (row->count == UINT32_MAX || !need_room(index, row)) {
		b->failed = true;
		return;
	}
	/* Slices of a row never overlap, whatever a file claims: all searches rest on that. */
	if (row->count && added.since_ns < row->end_ns)
		added.since_ns = row->end_ns;
	if (added.end_ns < added.since_ns)
		added.end_ns = added.since_ns;
	gt__slices_add(row, &added);
	if (row->kind == GT_INDEX_GOROUTINE && added.state < GT_INDEX_STATES)
		index->groups[row->group].total_ns[added.state] += (uint64_t)(added.end_ns - added.since_ns);
	index->slices++;
}

/* ---- names ---- */

static uint32_t group_named(struct building *b, const char *name)
{
	struct gt_index *index = b->index;
	uint64_t id;

	if (!name || !*name)
		name = "?";
	if (gt_strings_intern(&index->functions, name, strlen(name), &id) < 0) {
		b->failed = true;
		return 0;
	}
	if (id > index->group_count) {
		if (index->group_count == index->group_room &&
			!grow(index, &index->groups, &index->group_room, sizeof(*index->groups), 16)) {
			b->failed = true;
			return 0;
		}
		index->groups[index->group_count++] =
			(struct gt_index_group){.function = gt_strings_get(&index->functions, id, NULL)};
	}
	return (uint32_t)(id - 1);
}

static void regroup(struct gt_index *index, struct gt_index_row *row, uint32_t group)
{
	struct gt_index_group *from = &index->groups[row->group], *to = &index->groups[group];

	if (from == to)
		return;
	from->rows--;
	to->rows++;
	for (unsigned int state = 0; state < GT_INDEX_STATES; state++) {
		from->total_ns[state] -= row->total_ns[state];
		to->total_ns[state] += row->total_ns[state];
	}
	row->group = group;
}

/* Looks up what the trace knows of the goroutine. The gate of names is ours. */
static void name_row(struct building *b, struct gt_index_row *row)
{
	const struct gt_trace_goroutine *known = row->start_pc ? NULL : gt_trace_goroutine(b->index->trace, row->id);
	const char *function;
	uint32_t group;

	if (known) {
		row->start_pc = known->start_pc;
		row->parent = known->parent;
	}
	function = row->start_pc ? gt_trace_function(b->index->trace, row->start_pc) : NULL;
	if (!function || !*function)
		return;
	group = group_named(b, function);
	regroup(b->index, row, group);
	if (gt_map_put(&b->group_of, row->start_pc, group) < 0)
		b->failed = true;
}

/* Of the batch, all at once: the reader's thread waits meanwhile. */
static void name_rows(struct building *b)
{
	if (!b->unnamed_count)
		return;
	gt__gate_ask(&b->index->own->names);
	for (uint32_t i = 0; i < b->unnamed_count; i++)
		name_row(b, &b->index->rows[b->unnamed[i]]);
	gt__gate_leave(&b->index->own->names);
	b->unnamed_count = 0;
}

static void need_name(struct building *b, uint32_t at)
{
	struct gt_index_row *row = &b->index->rows[at];
	const uint64_t *group = row->start_pc ? gt_map_find(&b->group_of, row->start_pc) : NULL;

	if (group) {
		regroup(b->index, row, (uint32_t)*group);
	} else {
		if (b->unnamed_count == b->unnamed_room &&
			!grow(b->index, &b->unnamed, &b->unnamed_room, sizeof(*b->unnamed), 256))
			b->failed = true;
		else
			b->unnamed[b->unnamed_count++] = at;
	}
}

static bool in_wrapper(const struct building *b, const struct gt_index_row *row)
{
	return row->kind == GT_INDEX_GOROUTINE && gt__is_wrapper(b->index->groups[row->group].function);
}

/* A wrapper of the compiler tells nothing: its group is that of what it calls, if the stack tells that. */
static bool unwrap_by(struct building *b, struct gt_index_row *row, uint64_t stack)
{
	const char *inside = gt__wrapped(b->index->trace, stack, b->index->groups[row->group].function);
	uint64_t *known, wrapper = row->group;

	if (!inside)
		return false;
	regroup(b->index, row, group_named(b, inside));
	known = gt_map_find(&b->insides, wrapper);
	if (!known && gt_map_put(&b->insides, wrapper, row->group) < 0)
		b->failed = true;
	else if (known && *known != row->group)
		*known = MIXED;
	return true;
}

static void unwrap(struct building *b, struct gt_index_row *row)
{
	for (uint32_t i = 0; in_wrapper(b, row) && i < row->count && i < UNWRAP_SLICES; i++)
		if (unwrap_by(b, row, gt_index_slice(row, i)->stack))
			return;
}

/* Who told no stack of its own: what it allocated or was sampled in tells it; or all others of the wrapper are for one function. */
static void unwrap_rest(struct building *b)
{
	struct gt_index *index = b->index;

	for (uint32_t i = 0; i < index->marks.count; i++) {
		const struct gt_mark *mark = &index->marks.list[i];

		if (mark->stack && mark->row < index->row_count && in_wrapper(b, &index->rows[mark->row]))
			(void)unwrap_by(b, &index->rows[mark->row], mark->stack);
	}
	for (uint32_t i = 0; b->insides.count && i < index->row_count; i++) {
		struct gt_index_row *row = &index->rows[i];
		const uint64_t *inside = in_wrapper(b, row) ? gt_map_find(&b->insides, row->group) : NULL;

		if (inside && *inside != MIXED)
			regroup(index, row, (uint32_t)*inside);
	}
}

static uint32_t object_of(struct building *b, const struct gt__slice *open)
{
	struct gt_index *index = b->index;
	const uint64_t words[3] = {open->what, open->object, open->holder};
	uint64_t hash;
	const uint64_t *known;

	if (!open->what)
		return 0;
	hash = gt_hash_bytes(words, sizeof(words));
	known = gt_map_find(&index->object_ids, hash);
	if (known)
		return (uint32_t)*known;
	if ((index->object_count == index->object_room &&
		    !grow(index, &index->objects, &index->object_room, sizeof(*index->objects), 64)) ||
		gt_map_put(&index->object_ids, hash, index->object_count) < 0) {
		b->failed = true;
		return 0;
	}
	index->objects[index->object_count] =
		(struct gt_index_object){.what = open->what, .object = open->object, .holder = open->holder};
	return index->object_count++;
}

/* ---- what rows.h tells ---- */

static void on_row(void *user, struct gt__row *row)
{
	static const enum gt_index_kind kinds[] = {
		[GT_ROW_GOROUTINE] = GT_INDEX_GOROUTINE, [GT_ROW_SLOT] = GT_INDEX_P, [GT_ROW_THREAD] = GT_INDEX_M};
	struct building *b = user;
	enum gt_index_kind kind = kinds[row->kind];
	uint32_t at = need_row(b, kind, kind == GT_INDEX_P ? row->id - 1 : row->id);

	row->number = at;
	if (kind != GT_INDEX_GOROUTINE || at == NO_ROW)
		return;
	/* So that slices of Ps and Ms have the number of the goroutine's row. */
	row->label = (const void *)((uintptr_t)at + 1);
	if (row->start_pc)
		b->index->rows[at].start_pc = row->start_pc;
	need_name(b, at);
}

static void note_latency(struct gt_index *index, int64_t ns)
{
	unsigned int bucket = ns > 0 ? 64u - (unsigned int)__builtin_clzll((unsigned long long)ns) : 0;

	index->latencies[bucket < GT_INDEX_LATENCIES ? bucket : GT_INDEX_LATENCIES - 1]++;
}

static void on_slice(void *user, const struct gt__row *row, int64_t end_ns)
{
	struct building *b = user;
	const struct gt__slice *open = &row->open;
	struct gt_index_slice slice = {
		.since_ns = open->since_ns,
		.end_ns = end_ns,
		.stack = open->stack <= UINT32_MAX ? (uint32_t)open->stack : 0,
		.p = open->p < UINT16_MAX ? (uint16_t)open->p : 0,
		.state = open->state,
		.reason = open->reason,
	};

	if (row->kind != GT_ROW_GOROUTINE) {
		slice.detail = open->label ? (uint32_t)((uintptr_t)open->label - 1) : NO_ROW;
	} else if (open->state == GT_STATE_WAITING) {
		slice.detail = object_of(b, open);
	} else if (open->state == GT_STATE_RUNNABLE) {
		slice.link = (uint32_t)open->link;
		slice.detail = open->cause;
		note_latency(b->index, end_ns - open->since_ns);
	} else {
		slice.detail = (uint32_t)open->m;
		slice.link = open->state == GT_STATE_SYSCALL ? open->detail : 0;
	}
	add_slice(b, row->number, &slice);
}

static bool on_link(void *user, const struct gt__row *from, const struct gt__row *to, enum gt__link_kind kind,
	uint64_t link, int64_t now_ns, uint64_t site_pc)
{
	struct building *b = user;
	struct gt_index *index = b->index;

	(void)kind;
	(void)site_pc;
	while (index->wake_count <= link && link < UINT32_MAX) {
		if (index->wake_count == index->wake_room &&
			!grow(index, &index->wakes, &index->wake_room, sizeof(*index->wakes), 1024)) {
			b->failed = true;
			return false;
		}
		index->wakes[index->wake_count++] =
			(struct gt_index_wake){.at_ns = now_ns, .from = NO_ROW, .to = NO_ROW};
	}
	if (link >= index->wake_count)
		return false;
	index->wakes[link] = (struct gt_index_wake){.at_ns = now_ns, .from = from->number, .to = to->number};
	return true;
}

static void on_gone(void *user, struct gt__row *row)
{
	struct building *b = user;

	if (row->kind == GT_ROW_GOROUTINE && !b->finishing)
		b->ended = row->number;
}

/* ---- what is no row of theirs ---- */

static void close_row(struct building *b, uint32_t at, int64_t now)
{
	uint64_t *place = gt_map_find(&b->span_of, at);

	if (!place)
		return;
	b->spans[*place].slice.end_ns = now;
	add_slice(b, at, &b->spans[*place].slice);
	b->index->rows[at].open = false;
	/* The last one fills its place. */
	b->spans[*place] = b->spans[--b->span_count];
	if (*place < b->span_count)
		(void)gt_map_put(&b->span_of, b->spans[*place].row, *place);
	gt_map_remove(&b->span_of, at);
}

static void close_span(struct building *b, enum gt_index_kind kind, uint64_t id, int64_t now)
{
	uint32_t at = gt_index_row_of(b->index, kind, id);

	if (at != NO_ROW && b->index->rows[at].open)
		close_row(b, at, now);
}

static void open_span(struct building *b, enum gt_index_kind kind, uint64_t id, int64_t now, uint8_t state,
	uint32_t stack, uint32_t detail)
{
	uint32_t at = need_row(b, kind, id);

	if (at == NO_ROW)
		return;
	if (b->index->rows[at].open)
		close_row(b, at, now);
	if ((b->span_count == b->span_room && !grow(b->index, &b->spans, &b->span_room, sizeof(*b->spans), 64)) ||
		gt_map_put(&b->span_of, at, b->span_count) < 0) {
		b->failed = true;
		return;
	}
	b->spans[b->span_count++] =
		(struct span){.row = at, .slice = {.since_ns = now, .stack = stack, .detail = detail, .state = state}};
	b->index->rows[at].open = true;
}

static void cpu_in(struct building *b, const struct gt_event *event, int64_t now)
{
	const uint64_t *taken = gt_map_find(&b->taken, event->args[0]);
	uint32_t at = taken ? gt_index_row_of(b->index, GT_INDEX_CPU, *taken) : NO_ROW;
	const uint64_t *place = at != NO_ROW ? gt_map_find(&b->span_of, at) : NULL;

	/* The one who took its CPU is not looked for any more when it goes on elsewhere. */
	if (place && *taken != event->args[1] && b->spans[*place].slice.state != GT_STATE_RUNNING)
		close_row(b, at, now);
	if (taken)
		gt_map_remove(&b->taken, event->args[0]);
	open_span(b, GT_INDEX_CPU, event->args[1], now, GT_STATE_RUNNING, 0, (uint32_t)event->args[0]);
}

static void cpu_out(struct building *b, const struct gt_event *event, int64_t now)
{
	uint32_t at = gt_index_row_of(b->index, GT_INDEX_CPU, event->args[1]);
	const uint64_t *place = at != NO_ROW ? gt_map_find(&b->span_of, at) : NULL;

	if (!place)
		return;
	b->spans[*place].slice.p = event->args[2] ? GT_INDEX_LEFT_RUNNABLE : GT_INDEX_LEFT_WAITING;
	close_row(b, at, now);
}

static void cpu_other(struct building *b, const struct gt_event *event, int64_t now)
{
	const uint64_t *args = event->args;

	open_span(b, GT_INDEX_CPU, args[1], now, GT_STATE_WAITING, 0, (uint32_t)args[0]);
	if (gt_map_put(&b->taken, args[3], args[1]) < 0 ||
		(args[2] && gt_map_put(&b->index->threads, args[0], args[2]) < 0))
		b->failed = true;
}

static void region(struct building *b, const struct gt_event *event, int64_t now)
{
	uint32_t at = gt_index_row_of(b->index, GT_INDEX_GOROUTINE, event->args[0]);
	struct gt_index_row *row = at == NO_ROW ? NULL : &b->index->rows[at];

	if (!row)
		return;
	if (event->kind == GT_EV_REGION_BEGIN) {
		if (row->regions < DEPTH_MAX)
			open_span(b, GT_INDEX_REGION, event->args[0] << 4 | row->regions, now, GT_STATE_RUNNING,
				(uint32_t)event->args[2], (uint32_t)event->args[1]);
		b->index->rows[at].regions++;
	} else if (row->regions) {
		row->regions--;
		if (row->regions < DEPTH_MAX)
			close_span(b, GT_INDEX_REGION, event->args[0] << 4 | row->regions, now);
	}
}

static void task(struct building *b, const struct gt_event *event, int64_t now)
{
	struct gt_index *index = b->index;
	uint64_t id = event->args[1];
	uint32_t at;

	if (event->kind == GT_EV_TASK_END) {
		close_span(b, GT_INDEX_TASK, id, now);
	} else if (gt_index_row_of(index, GT_INDEX_TASK, id) == NO_ROW) {
		open_span(b, GT_INDEX_TASK, id, now, GT_STATE_RUNNING, (uint32_t)event->args[3],
			gt_index_row_of(index, GT_INDEX_GOROUTINE, event->args[0]));
		at = gt_index_row_of(index, GT_INDEX_TASK, id);
		if (at != NO_ROW)
			index->rows[at].parent = event->args[2];
	}
}

/* Logs, calls, allocations: what is no slice. */
/* The M whose thread it is; NULL: none, or not known. The number of a thread that ended is used again. */
static const struct gt__row *m_of_thread(struct building *b, uint64_t tid)
{
	const uint64_t *known = gt_map_find(&b->m_of, tid);
	const struct gt__row *m = known ? gt__rows_thread(&b->rows, *known) : NULL;
	const struct gt_trace_thread *told;
	size_t at = 0;

	if (m && m->start_pc == tid)
		return m;
	while ((m = gt__map_each(&b->rows.threads, &at)) && m->start_pc != tid)
		;
	/* One that was there before the trace began has no event that tells its thread. */
	if (!m) {
		gt__gate_ask(&b->index->own->names);
		for (at = 0; (m = gt__map_each(&b->rows.threads, &at));) {
			told = m->start_pc ? NULL : gt_trace_thread(b->index->trace, m->id);
			if (told && told->tid == tid)
				break;
		}
		gt__gate_leave(&b->index->own->names);
	}
	if (m && gt_map_put(&b->m_of, tid, m->id) < 0)
		b->failed = true;
	return m;
}

/* Who runs on the thread. */
static const struct gt__row *goroutine_on(struct building *b, uint64_t tid)
{
	const struct gt__row *m = m_of_thread(b, tid);

	return m && gt__slice_open(&m->open) ? gt__rows_goroutine(&b->rows, m->open.g) : NULL;
}

static void mark(struct building *b, const struct gt_event *event, int64_t now)
{
	const struct gt__row *row = NULL;

	if (event->kind == GT_EV_FAULT)
		row = goroutine_on(b, event->args[0]);
	else if (gt_marks_wants[event->kind] > 0 && event->args[0])
		row = gt__rows_goroutine(&b->rows, event->args[0]);
	gt_marks_event(&b->index->marks, event, now, row ? row->number : NO_ROW);
}

static void other(struct building *b, const struct gt_event *event, int64_t now)
{
	struct gt_index *index = b->index;
	struct gt__row *row;

	switch (event->kind) {
	case GT_EV_CPU_IN:
		cpu_in(b, event, now);
		break;
	case GT_EV_CPU_OUT:
		cpu_out(b, event, now);
		break;
	case GT_EV_CPU_OTHER:
		cpu_other(b, event, now);
		break;
	case GT_EV_M_START:
		if (event->args[0] && gt_map_put(&index->thread_of, event->m, event->args[0]) < 0)
			b->failed = true;
		break;
	case GT_EV_THREAD_BEGIN:
		if (event->args[2] && gt_map_put(&index->threads, event->args[0], event->args[2]) < 0)
			b->failed = true;
		break;
	case GT_EV_GC_BEGIN:
		open_span(b, GT_INDEX_GC, 0, now, GT_STATE_RUNNING, 0, (uint32_t)event->args[1]);
		break;
	case GT_EV_GC_END:
		close_span(b, GT_INDEX_GC, 0, now);
		break;
	case GT_EV_STW_BEGIN:
		open_span(b, GT_INDEX_GC, 1, now, GT_STATE_WAITING, (uint32_t)event->args[1], 0);
		break;
	case GT_EV_STW_END:
		close_span(b, GT_INDEX_GC, 1, now);
		break;
	case GT_EV_REGION_BEGIN:
	case GT_EV_REGION_END:
		region(b, event, now);
		break;
	case GT_EV_TASK_BEGIN:
	case GT_EV_TASK_END:
		task(b, event, now);
		break;
	case GT_EV_HEAP:
		b->heap = event->args[0];
		break;
	case GT_EV_HEAP_GOAL:
		b->goal = event->args[0];
		break;
	case GT_EV_STACK_MEMORY:
		b->stacks = event->args[0];
		break;
	case GT_EV_SYSCALL_INFO:
		/* The call that the goroutine's syscall is for. */
		row = event->args[0] ? gt__rows_goroutine(&b->rows, event->args[0]) : NULL;
		if (row && row->open.state == GT_STATE_SYSCALL)
			row->open.detail = (uint32_t)event->args[1] + 1;
		if (event->args[1] < GT_INDEX_CALLS)
			index->calls[event->args[1]] = true;
		break;
	case GT_EV_GO_CREATE:
		row = gt__rows_goroutine(&b->rows, event->args[0]);
		if (!row || row->number == NO_ROW)
			break;
		index->rows[row->number].born_ns = now;
		index->rows[row->number].parent = event->args[2];
		break;
	default:
		break;
	}
}

/* ---- counters ---- */

/* Every second one goes, and only half as many come from here on. */
static void thin_counts(struct gt_index *index)
{
	for (uint32_t i = 0; i < index->count_count / 2; i++)
		index->counts[i] = index->counts[2 * i];
	index->count_count /= 2;
	index->count_step_ns = index->count_step_ns ? 2 * index->count_step_ns : 1000;
}

static void count(struct building *b, int64_t now)
{
	struct gt_index *index = b->index;
	struct gt_index_count *out;

	if (now < b->count_due_ns)
		return;
	if (index->count_count == GT_INDEX_COUNTS_MAX)
		thin_counts(index);
	out = &index->counts[index->count_count++];
	out->at_ns = now;
	for (unsigned int i = 0; i < GT_INDEX_STATES; i++)
		out->by_state[i] = (uint32_t)b->rows.counts[i];
	out->heap = b->heap;
	out->goal = b->goal;
	out->stacks = b->stacks;
	b->count_due_ns = now + (index->count_step_ns ? index->count_step_ns : 1);
}

/* ---- the end ---- */

/* What a row has more than it needs, given back where that is worth a call. */
static void trim(struct gt_index *index, struct gt_index_row *row)
{
	uint8_t *bytes;

	if (row->room - row->size < 64)
		return;
	bytes = realloc(row->bytes, row->size ? row->size : 1);
	if (!bytes)
		return;
	index->bytes -= row->room - row->size;
	row->bytes = bytes;
	row->room = row->size;
}

static void finish_rows(struct building *b)
{
	struct gt_index *index = b->index;

	while (b->span_count)
		close_row(b, b->spans[b->span_count - 1].row, index->span_ns);
	for (uint32_t i = 0; i < index->row_count; i++) {
		struct gt_index_row *row = &index->rows[i];

		if (row->kind == GT_INDEX_GOROUTINE) {
			if (!row->group)
				name_row(b, row);
			unwrap(b, row);
		}
		trim(index, row);
	}
	unwrap_rest(b);
}

/* ---- one batch ---- */

static const bool of_goroutine[GT_EVENT_KIND_COUNT] = {
	[GT_EV_GO_RUN] = true,
	[GT_EV_GO_BLOCK] = true,
	[GT_EV_GO_YIELD] = true,
	[GT_EV_GO_READY] = true,
	[GT_EV_GO_END] = true,
	[GT_EV_GO_SYSCALL] = true,
	[GT_EV_GO_SYSEXIT] = true,
	[GT_EV_GO_STATE] = true,
	[GT_EV_WAITS_ON] = true,
	[GT_EV_WAKE_CAUSE] = true,
	[GT_EV_GO_STACK] = true,
};

/*
 * With 100,000 goroutines each event's row, the index's row of it and the end of its slices are far away in memory, one behind the
 * other. So each is asked for some events before it is needed: three times as fast. Nothing here has an effect but on time.
 */
static inline void fetch(struct building *b, const struct gt__batch *batch, int64_t i)
{
	const struct gt__ids *ids = &b->rows.goroutines;
	const struct gt__page *page;
	const struct gt_index_row *row;
	int64_t at = i + 3 * AHEAD;

	if (at < batch->count && of_goroutine[batch->events[at].kind]) {
		page = gt__map_get(&ids->pages, batch->events[at].args[0] / GT__PAGE_IDS);
		if (page)
			__builtin_prefetch(&page->values[batch->events[at].args[0] % GT__PAGE_IDS]);
	}
	at = i + 2 * AHEAD;
	if (at >= 0 && at < batch->count) {
		char *known = of_goroutine[batch->events[at].kind] ? gt__ids_get(ids, batch->events[at].args[0]) : NULL;

		/* It may be another's by then; the memory stays. */
		b->fetched[at] = (struct gt__row *)(void *)known;
		for (size_t byte = 0; known && byte < sizeof(struct gt__row); byte += 64)
			__builtin_prefetch(known + byte, 1);
	}
	at = i + AHEAD;
	if (at >= 0 && at < batch->count && b->fetched[at] && b->fetched[at]->number < b->index->row_count) {
		row = &b->index->rows[b->fetched[at]->number];
		__builtin_prefetch(row, 1);
		__builtin_prefetch((const char *)row + 64, 1);
	}
	at = i + AHEAD / 2;
	if (at >= 0 && at < batch->count && b->fetched[at] && b->fetched[at]->number < b->index->row_count) {
		row = &b->index->rows[b->fetched[at]->number];
		if (row->bytes)
			__builtin_prefetch(row->bytes + row->size, 1);
	}
}

/* Where it begins, and from when on rows are whole. */
static void first_event(struct building *b, int64_t time_ns)
{
	struct gt_trace_info info;

	gt__gate_ask(&b->index->own->names);
	gt_trace_info(b->index->trace, &info);
	gt__gate_leave(&b->index->own->names);
	b->index->begin_ns = time_ns > 0 ? time_ns : 0;
	b->rows.edge_ns = info.complete_ns > b->index->begin_ns ? info.complete_ns : b->index->begin_ns;
	b->rows.whole_ns = info.complete_ns;
}

static void end_of_goroutine(struct building *b, const struct gt__obituary *obituary, int64_t now)
{
	struct gt_index_row *row;

	if (b->ended == NO_ROW)
		return;
	row = &b->index->rows[b->ended];
	row->died_ns = now;
	if (row->start_pc || !obituary->start_pc)
		return;
	row->start_pc = obituary->start_pc;
	row->parent = obituary->parent;
	need_name(b, b->ended);
}

static void take_batch(struct building *b, const struct gt__batch *batch)
{
	struct gt_index *index = b->index;
	uint32_t ended = 0;

	for (int64_t i = -3 * AHEAD; i < batch->count && !b->failed; i++) {
		struct gt_event event;

		fetch(b, batch, i);
		if (i < 0)
			continue;
		event = batch->events[i];
		if (event.time_ns > TIME_NS_MAX)
			event.time_ns = TIME_NS_MAX;
		if (!index->events++)
			first_event(b, event.time_ns);
		b->ended = NO_ROW;
		if (gt__rows_event(&b->rows, &event) < 0)
			b->failed = true;
		other(b, &event, b->rows.now_ns);
		if (event.kind < GT_EVENT_KIND_COUNT && gt_marks_wants[event.kind])
			mark(b, &event, b->rows.now_ns);
		count(b, b->rows.now_ns);
		if (__builtin_expect(gt__ends_goroutine(&event), 0))
			end_of_goroutine(b, &batch->ended[ended++], b->rows.now_ns);
	}
	name_rows(b);
	index->read_ns = b->rows.now_ns;
	if (index->span_ns < index->read_ns)
		index->span_ns = index->read_ns;
}

/* ---- the whole ---- */

int gt_index_new(
	struct gt_trace *trace, const struct gt_index_config *config, struct gt_index **out, struct gt_error *err)
{
	struct gt_index *index = calloc(1, sizeof(*index));
	struct gt__index_reading *own = calloc(1, sizeof(*own));
	struct building b = {.index = index};
	struct gt_trace_info info;

	if (!index || !own) {
		free(index);
		free(own);
		return gt_fail(err, ENOMEM, "out of memory: the viewer's index");
	}
	gt__gate_init(&own->rows);
	gt__gate_init(&own->names);
	index->own = own;
	index->trace = trace;
	if (config)
		own->config = *config;
	index->bytes_max = own->config.bytes_max;
	index->reading = true;
	gt_marks_init(&index->marks, index->bytes_max / 4);
	index->counts = malloc(GT_INDEX_COUNTS_MAX * sizeof(*index->counts));
	if (!index->counts || !grow(index, &index->wakes, &index->wake_room, sizeof(*index->wakes), 1024) ||
		!grow(index, &index->objects, &index->object_room, sizeof(*index->objects), 64) ||
		group_named(&b, "") != 0 || b.failed) {
		gt_index_free(index);
		return gt_fail(err, ENOMEM, "out of memory: the viewer's index");
	}
	index->wakes[0] = (struct gt_index_wake){.from = NO_ROW, .to = NO_ROW};
	index->objects[0] = (struct gt_index_object){0};
	index->wake_count = index->object_count = 1;
	gt_trace_info(trace, &info);
	index->events_expected = info.events;
	index->span_ns = info.span_ns > 0 && info.span_ns < TIME_NS_MAX ? info.span_ns : 0;
	*out = index;
	return 0;
}

static bool read_all(struct building *b, struct gt__ahead *ahead)
{
	struct gt_index *index = b->index;
	struct gt__index_reading *own = index->own;
	const struct gt__batch *batch;

	while ((batch = gt__ahead_next(ahead))) {
		gt__gate_work(&own->rows);
		take_batch(b, batch);
		gt__gate_leave(&own->rows);
		if (b->failed || atomic_load(&own->stop))
			return false;
		if (own->config.progress && index->events % PROGRESS_EVENTS < GT__BATCH_EVENTS)
			own->config.progress(own->config.progress_user, index->events);
	}
	return true;
}

int gt_index_read(struct gt_index *index, struct gt_error *err)
{
	struct building *b = calloc(1, sizeof(*b));
	struct gt__rows_user user = {b, on_row, on_slice, on_link, on_gone};
	struct gt__index_reading *own = index->own;
	struct gt__ahead ahead;
	bool failed;

	if (!b || gt__ahead_start(&ahead, index->trace, &own->names) < 0) {
		free(b);
		return gt_fail(err, ENOMEM, "out of memory: the viewer's index");
	}
	b->index = index;
	gt__rows_init(&b->rows, &user, 0);
	read_all(b, &ahead);
	gt__ahead_stop(&ahead);
	gt__gate_work(&own->rows);
	b->finishing = true;
	if (index->events)
		gt__rows_until(&b->rows, index->trace, TIME_NS_MAX);
	index->span_ns = index->read_ns = b->rows.now_ns;
	failed = b->failed;
	if (!atomic_load(&own->stop)) {
		gt__rows_finish(&b->rows);
		finish_rows(b);
	}
	index->reading = false;
	index->stopped = failed;
	gt__gate_leave(&own->rows);
	gt__rows_free(&b->rows);
	gt_map_free(&b->group_of);
	gt_map_free(&b->span_of);
	gt_map_free(&b->taken);
	gt_map_free(&b->insides);
	gt_map_free(&b->m_of);
	free(b->spans);
	free(b->unnamed);
	free(b);
	if (atomic_load(&own->stop))
		return -ECANCELED;
	if (!failed)
		return 0;
	if (own->limited)
		return gt_fail(err, ENOMEM,
			"the trace is too long to view: its index needs more than %llu MiB: shown are its first %llu "
			"events: cut it by gtrace convert --from, or give --max-memory",
			(unsigned long long)(index->bytes_max >> 20), (unsigned long long)index->events);
	return gt_fail(err, ENOMEM, "out of memory: the viewer's index");
}

int gt_index_build(
	struct gt_trace *trace, const struct gt_index_config *config, struct gt_index **out, struct gt_error *err)
{
	struct gt_index *index;
	int ret = gt_index_new(trace, config, &index, err);

	if (ret < 0)
		return ret;
	ret = gt_index_read(index, err);
	if (ret < 0)
		gt_index_free(index);
	else
		*out = index;
	return ret;
}

void gt_index_stop(struct gt_index *index)
{
	atomic_store(&index->own->stop, true);
}

void gt_index_enter(const struct gt_index *index)
{
	gt__gate_ask(&index->own->rows);
	gt__gate_ask(&index->own->names);
}

void gt_index_leave(const struct gt_index *index)
{
	gt__gate_leave(&index->own->names);
	gt__gate_leave(&index->own->rows);
}

void gt_index_free(struct gt_index *index)
{
	if (!index)
		return;
	gt__slices_forget();
	for (uint32_t i = 0; i < index->row_count; i++) {
		free(index->rows[i].bytes);
		free(index->rows[i].blocks);
	}
	for (unsigned int kind = 0; kind < GT_INDEX_KINDS; kind++)
		gt_map_free(&index->by_id[kind]);
	gt_map_free(&index->object_ids);
	gt_map_free(&index->threads);
	gt_map_free(&index->thread_of);
	gt_strings_free(&index->functions);
	free(index->rows);
	free(index->wakes);
	free(index->objects);
	free(index->groups);
	free(index->counts);
	gt_marks_free(&index->marks);
	gt__gate_free(&index->own->rows);
	gt__gate_free(&index->own->names);
	free(index->own);
	free(index);
}
