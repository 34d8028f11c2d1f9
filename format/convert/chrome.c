/* chrome.c - rows, names, arrows, counters and marks as lines of Chrome's trace event JSON. */
#include "format/convert/chrome.h"
#include "format/convert/chrome_spans.h"
#include "format/convert/json.h"
#include "format/convert/rows.h"
#include "format/convert/text.h"
#include "format/convert/typed.h"
#include "format/convert/wrapper.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	PID_SLOTS = 1,
	PID_GOROUTINES = 2,
	PID_REGIONS = 4,
	PID_TASKS = 5,
	PID_OWN_MAX = 9, /* real pids up to here are moved out of the way */
};
#define PID_REAL_MAX    (UINT64_C(1) << 22) /* Linux gives no higher one */
#define RECORD_ROOM     GT_SINK_RECORD_MAX  /* no line without a stack is longer */
#define REGION_DEPTH    256
#define TASKS_MAX       (1u << 20)
#define PROGRESS_EVENTS (1u << 16)

/* What stands between a slice's tid and its time: the name, perhaps a colour. Copied whole, so of a fixed size. */
struct piece {
	char text[120];
	size_t size;
};

struct region {
	uint64_t name;
	uint64_t task;
	int64_t since_ns;
};

struct regions {
	uint32_t count;
	uint32_t room;
	uint32_t skipped; /* open ones beyond REGION_DEPTH */
	bool told;        /* the row for them has its name */
	struct region open[];
};

struct call {
	uint64_t number, arg0, arg2;
	int64_t since_ns; /* -1: in none */
	uint64_t fd_name; /* what arg0 is */
};

struct task {
	uint64_t id;
	uint64_t name, parent;
	bool told;
};

struct chrome {
	struct gt_trace *trace;
	struct gt_sink *sink;
	unsigned int parts;
	uint64_t thread_pid;
	char thread_head[48]; /* ,\n{"ph":"X","pid":PID,"tid": for M rows */
	size_t thread_head_size;
	struct gt_json_clock clock;
	uint32_t tid_next; /* of ids that do not fit */
	struct gt__rows rows;
	struct gt__typed typed;
	struct gt__texts texts;
	struct gt__insides insides; /* what the goroutines of wrappers are for */
	struct gt__map tasks;
	struct gt_convert_totals totals;
	int64_t counter_step_ns;
	int64_t counter_due_ns;
	uint64_t shown[GT_STATE_COUNT]; /* counters as last written */
	uint64_t shown_slots;
	uint64_t heap_live, shown_heap;
	struct gt__spans spans;
	struct gt__map calls; /* M -> the system call it is in */
	const struct gt_convert_options *options;
	int64_t from_ns;
	bool quiet; /* before from_ns: nothing is written */
	bool lazy;  /* not all is shown: a row gets its name with the first thing on it */
	bool regions_named, tasks_named;
	bool object;
	bool failed; /* no memory */
	struct piece running, syscall;
	struct piece runnable[GT_REASON_COUNT], waiting[GT_REASON_COUNT];
};

/* ---- pieces of a record ---- */

static char *begin(struct chrome *chrome)
{
	chrome->totals.records++;
	return gt_sink_room(chrome->sink, RECORD_ROOM);
}

static char *put_text(char *to, const struct gt__text *text)
{
	memcpy(to, text->bytes, text->size);
	return to + text->size;
}

/* G7 main.worker */
static char *put_goroutine(char *to, uint64_t g, const struct gt__text *name)
{
	*to = 'G';
	to = gt_json_u64(to + 1, g);
	if (name) {
		*to++ = ' ';
		to = put_text(to, name);
	}
	return to;
}

static char *put_times(struct chrome *chrome, char *to, int64_t since_ns, int64_t end_ns)
{
	if (since_ns < chrome->from_ns)
		since_ns = chrome->from_ns;
	to = gt_json_near_time(&chrome->clock, to, (uint64_t)since_ns);
	to = GT_JSON_PUT(to, ",\"dur\":");
	return gt_json_time(to, (uint64_t)(end_ns - since_ns));
}

/* A text of any length: the record goes on at the place returned. */
static char *put_long(struct chrome *chrome, char *to, const struct gt__text *text)
{
	chrome->sink->at = to;
	gt_sink_write(chrome->sink, text->bytes, text->size);
	return gt_sink_room(chrome->sink, RECORD_ROOM);
}

static char *put_key(char *to, const char *key, bool *first)
{
	size_t size = strlen(key);

	if (*first)
		to = GT_JSON_PUT(to, ",\"args\":{\"");
	else
		to = GT_JSON_PUT(to, ",\"");
	*first = false;
	memcpy(to, key, size);
	return GT_JSON_PUT(to + size, "\":");
}

static char *end_args(char *to, bool first)
{
	return first ? GT_JSON_PUT(to, "}") : GT_JSON_PUT(to, "}}");
}

static char *put_cut(char *to, bool *first)
{
	to = put_key(to, "lost", first);
	return GT_JSON_PUT(to, "\"events are missing here: when this ended is not known\"");
}

/* ---- names of rows ---- */

static void put_process(struct chrome *chrome, uint64_t pid, const char *name, unsigned int order)
{
	struct gt__text *text = gt__text_new(name, GT__NAME_BYTES_MAX);
	char *to = begin(chrome);

	to = GT_JSON_PUT(to, ",\n{\"ph\":\"M\",\"pid\":");
	to = gt_json_u64(to, pid);
	to = GT_JSON_PUT(to, ",\"name\":\"process_name\",\"args\":{\"name\":\"");
	if (text)
		to = put_text(to, text);
	to = GT_JSON_PUT(to, "\"}},\n{\"ph\":\"M\",\"pid\":");
	to = gt_json_u64(to, pid);
	to = GT_JSON_PUT(to, ",\"name\":\"process_sort_index\",\"args\":{\"sort_index\":");
	to = gt_json_u64(to, order);
	to = GT_JSON_PUT(to, "}}");
	chrome->sink->at = to;
	chrome->totals.records++;
	free(text);
}

static char *put_row_name(char *to, uint64_t pid, uint64_t tid)
{
	to = GT_JSON_PUT(to, ",\n{\"ph\":\"M\",\"pid\":");
	to = gt_json_u64(to, pid);
	to = GT_JSON_PUT(to, ",\"tid\":");
	to = gt_json_u64(to, tid);
	return GT_JSON_PUT(to, ",\"name\":\"thread_name\",\"args\":{\"name\":\"");
}

static char *end_row_name(struct chrome *chrome, char *to, uint64_t pid, uint64_t tid, uint64_t order)
{
	to = GT_JSON_PUT(to, "\"}},\n{\"ph\":\"M\",\"pid\":");
	to = gt_json_u64(to, pid);
	to = GT_JSON_PUT(to, ",\"tid\":");
	to = gt_json_u64(to, tid);
	to = GT_JSON_PUT(to, ",\"name\":\"thread_sort_index\",\"args\":{\"sort_index\":");
	/* A viewer may hold it in 32 bits with a sign. */
	to = gt_json_u64(to, order < INT32_MAX ? order : INT32_MAX);
	chrome->totals.records++;
	return GT_JSON_PUT(to, "}}");
}

/* A number of 32 bits for an id of 64: itself where it can, else one of the upper quarter. */
static uint32_t number_for(struct chrome *chrome, uint64_t id)
{
	uint32_t number;

	if (id < GT_CHROME_TID_FREE)
		return (uint32_t)id;
	number = chrome->tid_next;
	chrome->tid_next = number == UINT32_MAX ? GT_CHROME_TID_FREE : number + 1;
	return number;
}

static void tell_goroutine(struct chrome *chrome, struct gt__row *row)
{
	char *to;

	row->told = true;
	if (!row->number)
		row->number = number_for(chrome, row->id);
	to = put_row_name(begin(chrome), PID_GOROUTINES, row->number);
	to = put_goroutine(to, row->id, row->label);
	chrome->sink->at = end_row_name(chrome, to, PID_GOROUTINES, row->number, row->number);
}

static void name_goroutine(struct chrome *chrome, struct gt__row *row)
{
	const struct gt_trace_goroutine *known = NULL;
	const char *function;

	if (!row->start_pc)
		known = gt_trace_goroutine(chrome->trace, row->id);
	if (known)
		row->start_pc = known->start_pc;
	function = gt__insides_function(
		&chrome->insides, chrome->trace, row->id, row->start_pc, chrome->totals.events + 1);
	row->label = gt__texts_name(&chrome->texts, function);
	if (chrome->options->shown)
		row->hidden = !chrome->options->shown(chrome->options->shown_user, row->id, function);
	if (!chrome->lazy || row->told)
		tell_goroutine(chrome, row);
}

static void name_slot(struct chrome *chrome, struct gt__row *row)
{
	char *to = put_row_name(begin(chrome), PID_SLOTS, row->id);

	row->told = true;
	row->number = (uint32_t)row->id;
	*to++ = 'P';
	to = gt_json_u64(to, row->id - 1);
	chrome->sink->at = end_row_name(chrome, to, PID_SLOTS, row->id, row->id);
}

static void name_thread(struct chrome *chrome, struct gt__row *row)
{
	const struct gt_trace_thread *thread = gt_trace_thread(chrome->trace, row->id);
	uint64_t tid = row->start_pc ? row->start_pc : thread ? thread->tid : 0;
	uint32_t before = row->number;
	struct gt__text *name = NULL;
	char *to;

	if (tid && tid <= PID_REAL_MAX)
		row->number = (uint32_t)tid;
	else if (!row->number)
		row->number = (uint32_t)PID_REAL_MAX + 1 + (uint32_t)(row->id % (UINT32_C(1) << 30));
	row->told = true;
	if (before == row->number)
		return;
	if (thread && thread->name && *thread->name)
		name = gt__text_new(thread->name, GT__NAME_BYTES_MAX);
	to = put_row_name(begin(chrome), chrome->thread_pid, row->number);
	*to++ = 'M';
	to = gt_json_u64(to, row->id);
	if (name) {
		*to++ = ' ';
		to = put_text(to, name);
	}
	chrome->sink->at = end_row_name(chrome, to, chrome->thread_pid, row->number, row->id);
	free(name);
}

static void on_row(void *user, struct gt__row *row)
{
	struct chrome *chrome = user;

	if (row->kind == GT_ROW_GOROUTINE)
		name_goroutine(chrome, row);
	else if (chrome->lazy && !row->told)
		return;
	else if (row->kind == GT_ROW_SLOT)
		name_slot(chrome, row);
	else
		name_thread(chrome, row);
}

/* Something is to be shown on the row: false when not. */
static bool show(struct chrome *chrome, struct gt__row *row)
{
	if (!chrome->lazy)
		return true;
	if (row->hidden || chrome->quiet)
		return false;
	if (row->told)
		return true;
	if (row->kind == GT_ROW_GOROUTINE)
		tell_goroutine(chrome, row);
	else if (row->kind == GT_ROW_SLOT)
		name_slot(chrome, row);
	else
		name_thread(chrome, row);
	return true;
}

/* Is the slice after the cut, and of a goroutine that is wanted? */
static bool show_slice(struct chrome *chrome, struct gt__row *row, int64_t end_ns)
{
	if (!chrome->lazy)
		return true;
	if (end_ns < chrome->from_ns || (end_ns == chrome->from_ns && row->open.since_ns < end_ns))
		return false;
	if (row->kind != GT_ROW_GOROUTINE && chrome->options->shown) {
		const struct gt__row *goroutine = gt__rows_goroutine(&chrome->rows, row->open.g);

		if (!goroutine || goroutine->hidden)
			return false;
	}
	return show(chrome, row);
}

/* ---- slices ---- */

static char *put_quoted(struct chrome *chrome, char *to, const struct gt__text *text)
{
	*to++ = '"';
	if (text)
		to = put_long(chrome, to, text);
	*to++ = '"';
	return to;
}

/* What a wait is for, what woke a goroutine. */
static char *put_object(struct chrome *chrome, char *to, const struct gt__slice *open, bool *first)
{
	if (open->state == GT_STATE_WAITING && open->what) {
		to = put_key(to, "on", first);
		to = put_quoted(chrome, to, gt__texts_object(&chrome->texts, open->what, open->object));
		if (open->holder) {
			to = put_key(to, "holder", first);
			*to++ = '"';
			to = put_goroutine(to, open->holder, NULL);
			*to++ = '"';
		}
	} else if (open->state == GT_STATE_RUNNABLE && open->cause) {
		const char *cause = gt_cause_text(open->cause);

		to = put_key(to, "cause", first);
		*to++ = '"';
		memcpy(to, cause, strlen(cause));
		to += strlen(cause);
		if (open->cause == GT_CAUSE_NETPOLL || open->cause == GT_CAUSE_DEADLINE) {
			to = GT_JSON_PUT(to, " fd ");
			to = gt_json_u64(to, open->detail);
		}
		*to++ = '"';
	}
	return to;
}

static void goroutine_slice(struct chrome *chrome, const struct gt__row *row, int64_t end_ns)
{
	const struct gt__slice *open = &row->open;
	const struct gt__text *stack = NULL;
	const struct piece *piece;
	char *to = begin(chrome);
	bool first = true;

	switch (open->state) {
	case GT_STATE_RUNNING:
		piece = &chrome->running;
		break;
	case GT_STATE_RUNNABLE:
		piece = &chrome->runnable[open->reason];
		break;
	case GT_STATE_SYSCALL:
		piece = &chrome->syscall;
		break;
	default:
		piece = &chrome->waiting[open->reason];
		break;
	}
	to = GT_JSON_PUT(to, ",\n{\"ph\":\"X\",\"pid\":2,\"tid\":");
	to = gt_json_u64(to, row->number);
	memcpy(to, piece->text, sizeof(piece->text));
	to = put_times(chrome, to + piece->size, open->since_ns, end_ns);
	if (open->link && (chrome->parts & GT_CONVERT_LINKS)) {
		to = GT_JSON_PUT(to, ",\"bind_id\":");
		to = gt_json_hex(to, open->link);
		to = GT_JSON_PUT(to, ",\"flow_in\":true");
	}
	if (open->state == GT_STATE_RUNNING && (chrome->parts & GT_CONVERT_PLACES)) {
		if (open->p) {
			to = put_key(to, "P", &first);
			to = gt_json_u64(to, open->p - 1);
		}
		to = put_key(to, "M", &first);
		to = gt_json_u64(to, open->m);
	}
	if (chrome->parts & GT_CONVERT_OBJECTS)
		to = put_object(chrome, to, open, &first);
	if (open->cut)
		to = put_cut(to, &first);
	if (open->stack && (chrome->parts & GT_CONVERT_STACKS))
		stack = gt__texts_stack(&chrome->texts, open->stack);
	if (stack) {
		to = put_key(to, "stack", &first);
		*to++ = '"';
		to = put_long(chrome, to, stack);
		*to++ = '"';
	}
	chrome->sink->at = end_args(to, first);
}

static void slot_slice(struct chrome *chrome, const struct gt__row *row, int64_t end_ns)
{
	const struct gt__slice *open = &row->open;
	char *to = begin(chrome);
	bool first = true;

	to = GT_JSON_PUT(to, ",\n{\"ph\":\"X\",\"pid\":1,\"tid\":");
	to = gt_json_u64(to, row->number);
	to = GT_JSON_PUT(to, ",\"name\":\"");
	if (open->state == GT_STATE_SYSCALL)
		to = GT_JSON_PUT(to, "syscall ");
	to = put_goroutine(to, open->g, open->label);
	to = GT_JSON_PUT(to, "\",\"ts\":");
	to = put_times(chrome, to, open->since_ns, end_ns);
	if (open->cut)
		to = put_cut(to, &first);
	chrome->sink->at = end_args(to, first);
}

static void thread_slice(struct chrome *chrome, const struct gt__row *row, int64_t end_ns)
{
	const struct gt__slice *open = &row->open;
	char *to = begin(chrome);
	bool first = true;

	memcpy(to, chrome->thread_head, sizeof(chrome->thread_head));
	to = gt_json_u64(to + chrome->thread_head_size, row->number);
	to = GT_JSON_PUT(to, ",\"name\":\"");
	if (open->state == GT_STATE_SYSCALL) {
		to = GT_JSON_PUT(to, "syscall ");
	} else if (open->p) {
		*to = 'P';
		to = gt_json_u64(to + 1, open->p - 1);
		*to++ = ' ';
	}
	to = put_goroutine(to, open->g, NULL);
	to = GT_JSON_PUT(to, "\",\"ts\":");
	to = put_times(chrome, to, open->since_ns, end_ns);
	if (open->cut)
		to = put_cut(to, &first);
	chrome->sink->at = end_args(to, first);
}

static void on_slice(void *user, const struct gt__row *row, int64_t end_ns)
{
	struct chrome *chrome = user;

	if (!show_slice(chrome, (struct gt__row *)row, end_ns))
		return;
	chrome->totals.slices++;
	switch (row->kind) {
	case GT_ROW_GOROUTINE:
		goroutine_slice(chrome, row, end_ns);
		break;
	case GT_ROW_SLOT:
		slot_slice(chrome, row, end_ns);
		break;
	default:
		thread_slice(chrome, row, end_ns);
		break;
	}
}

/*
 * An arrow begins at a slice of no length in the waker's running slice: a viewer draws arrows from the end of the slice
 * they leave, which is the right place here, and needs not guess which slice is meant. It stands 1 ns before the wake-up,
 * as a viewer may take what begins at the same time in any order, and refuses an arrow whose end comes first.
 */
static bool on_link(void *user, const struct gt__row *from, const struct gt__row *to_row, enum gt__link_kind kind,
	uint64_t link, int64_t now_ns, uint64_t site_pc)
{
	struct chrome *chrome = user;
	const struct gt__text *site = NULL;
	bool first = true;
	char *to;

	if (!(chrome->parts & GT_CONVERT_LINKS) || from->open.since_ns >= now_ns || chrome->from_ns >= now_ns)
		return false;
	if (!show(chrome, (struct gt__row *)to_row) || !show(chrome, (struct gt__row *)from))
		return false;
	if (site_pc && (chrome->parts & GT_CONVERT_STACKS))
		site = gt__texts_pc(&chrome->texts, site_pc);
	chrome->totals.links++;
	to = GT_JSON_PUT(begin(chrome), ",\n{\"ph\":\"X\",\"pid\":2,\"tid\":");
	to = gt_json_u64(to, from->number);
	if (kind == GT_LINK_CREATE) {
		to = GT_JSON_PUT(to, ",\"name\":\"go ");
		to = put_goroutine(to, to_row->id, to_row->label);
	} else {
		to = GT_JSON_PUT(to, ",\"name\":\"wake ");
		to = put_goroutine(to, to_row->id, NULL);
	}
	to = GT_JSON_PUT(to, "\",\"ts\":");
	to = gt_json_near_time(&chrome->clock, to, (uint64_t)now_ns - 1);
	to = GT_JSON_PUT(to, ",\"dur\":0,\"bind_id\":");
	to = gt_json_hex(to, link);
	to = GT_JSON_PUT(to, ",\"flow_out\":true");
	if (site) {
		to = put_key(to, "site", &first);
		*to++ = '"';
		to = put_long(chrome, to, site);
		*to++ = '"';
	}
	chrome->sink->at = end_args(to, first);
	return true;
}

/* ---- counters ---- */

static void put_counters(struct chrome *chrome, int64_t time_ns)
{
	const uint64_t *counts = chrome->rows.counts;
	char *to;

	if (memcmp(chrome->shown, counts, sizeof(chrome->shown)) != 0) {
		memcpy(chrome->shown, counts, sizeof(chrome->shown));
		chrome->totals.counters++;
		to = GT_JSON_PUT(begin(chrome), ",\n{\"ph\":\"C\",\"pid\":2,\"name\":\"goroutines\",\"ts\":");
		to = gt_json_near_time(&chrome->clock, to, (uint64_t)time_ns);
		to = GT_JSON_PUT(to, ",\"args\":{\"running\":");
		to = gt_json_u64(to, counts[GT_STATE_RUNNING]);
		to = GT_JSON_PUT(to, ",\"runnable\":");
		to = gt_json_u64(to, counts[GT_STATE_RUNNABLE]);
		to = GT_JSON_PUT(to, ",\"waiting\":");
		to = gt_json_u64(to, counts[GT_STATE_WAITING]);
		to = GT_JSON_PUT(to, ",\"syscall\":");
		to = gt_json_u64(to, counts[GT_STATE_SYSCALL]);
		chrome->sink->at = GT_JSON_PUT(to, "}}");
	}
	if (chrome->shown_heap != chrome->heap_live) {
		chrome->shown_heap = chrome->heap_live;
		chrome->totals.counters++;
		to = GT_JSON_PUT(begin(chrome), ",\n{\"ph\":\"C\",\"pid\":2,\"name\":\"heap\",\"ts\":");
		to = gt_json_near_time(&chrome->clock, to, (uint64_t)time_ns);
		to = GT_JSON_PUT(to, ",\"args\":{\"live bytes\":");
		to = gt_json_u64(to, chrome->shown_heap);
		chrome->sink->at = GT_JSON_PUT(to, "}}");
	}
	if (chrome->shown_slots != chrome->rows.slots_running) {
		chrome->shown_slots = chrome->rows.slots_running;
		chrome->totals.counters++;
		to = GT_JSON_PUT(begin(chrome), ",\n{\"ph\":\"C\",\"pid\":1,\"name\":\"Ps\",\"ts\":");
		to = gt_json_near_time(&chrome->clock, to, (uint64_t)time_ns);
		to = GT_JSON_PUT(to, ",\"args\":{\"running\":");
		to = gt_json_u64(to, chrome->shown_slots);
		chrome->sink->at = GT_JSON_PUT(to, "}}");
	}
}

/* Before an event at @next_ns: what held since the last one, unless more comes at the same time or too soon. */
static void counters_until(struct chrome *chrome, int64_t next_ns)
{
	int64_t now_ns = chrome->rows.now_ns;

	if (next_ns <= now_ns || now_ns < chrome->counter_due_ns || chrome->quiet)
		return;
	put_counters(chrome, now_ns);
	chrome->counter_due_ns = now_ns + chrome->counter_step_ns;
}

/* ---- a user's marks ---- */

static void name_regions(struct chrome *chrome, const struct gt__row *row, struct regions *regions)
{
	char *to;

	if (!chrome->regions_named)
		put_process(chrome, PID_REGIONS, "REGIONS", 3);
	chrome->regions_named = true;
	if (regions->told)
		return;
	regions->told = true;
	to = put_row_name(begin(chrome), PID_REGIONS, row->number);
	to = put_goroutine(to, row->id, row->label);
	chrome->sink->at = end_row_name(chrome, to, PID_REGIONS, row->number, row->number);
}

static void put_region(struct chrome *chrome, struct gt__row *row, const struct region *region, int64_t end_ns)
{
	const struct gt__text *name = gt__texts_string(&chrome->texts, region->name);
	bool first = true;
	char *to;

	if (!show(chrome, row) || end_ns < chrome->from_ns)
		return;
	name_regions(chrome, row, row->user);
	to = GT_JSON_PUT(begin(chrome), ",\n{\"ph\":\"X\",\"pid\":4,\"tid\":");
	to = gt_json_u64(to, row->number);
	to = GT_JSON_PUT(to, ",\"name\":\"");
	to = name ? put_text(to, name) : GT_JSON_PUT(to, "region");
	to = GT_JSON_PUT(to, "\",\"ts\":");
	to = put_times(chrome, to, region->since_ns, end_ns);
	if (region->task) {
		to = put_key(to, "task", &first);
		to = gt_json_hex(to, region->task);
	}
	chrome->sink->at = end_args(to, first);
}

static void region_begin(struct chrome *chrome, struct gt__row *row, uint64_t task, uint64_t name)
{
	struct regions *regions = row->user;

	if (row->hidden)
		return;
	if (!regions || regions->count == regions->room) {
		uint32_t room = regions ? regions->room * 2 : 4;
		bool fresh = !regions;

		if (room > REGION_DEPTH) {
			regions->skipped++;
			return;
		}
		regions = realloc(regions, sizeof(*regions) + room * sizeof(*regions->open));
		if (!regions) {
			chrome->failed = true;
			return;
		}
		if (fresh) {
			regions->count = regions->skipped = 0;
			regions->told = false;
		}
		regions->room = room;
		row->user = regions;
		if (!chrome->lazy)
			name_regions(chrome, row, regions);
	}
	regions->open[regions->count++] = (struct region){.name = name, .task = task, .since_ns = chrome->rows.now_ns};
}

/* The innermost one ends. Its begin may lie before the window: then there is nothing to end. */
static void region_end(struct chrome *chrome, struct gt__row *row)
{
	struct regions *regions = row->user;

	if (!regions)
		return;
	if (regions->skipped)
		regions->skipped--;
	else if (regions->count)
		put_region(chrome, row, &regions->open[--regions->count], chrome->rows.now_ns);
}

static void on_gone(void *user, struct gt__row *row)
{
	struct chrome *chrome = user;
	struct regions *regions = row->user;

	if (!regions)
		return;
	while (regions->count)
		put_region(chrome, row, &regions->open[--regions->count], chrome->rows.now_ns);
	free(regions);
	row->user = NULL;
}

static void put_task(struct chrome *chrome, char phase, const struct task *task, uint64_t parent, int64_t time_ns)
{
	const struct gt__text *name = gt__texts_string(&chrome->texts, task->name);
	char *to = GT_JSON_PUT(begin(chrome), ",\n{\"ph\":\"");
	bool first = true;

	*to++ = phase;
	to = GT_JSON_PUT(to, "\",\"cat\":\"task\",\"id2\":{\"local\":");
	to = gt_json_hex(to, task->id);
	to = GT_JSON_PUT(to, "},\"pid\":5,\"tid\":1,\"name\":\"");
	to = name && name->size ? put_text(to, name) : GT_JSON_PUT(to, "task");
	to = GT_JSON_PUT(to, "\",\"ts\":");
	to = gt_json_near_time(&chrome->clock, to, (uint64_t)time_ns);
	if (parent) {
		to = put_key(to, "parent", &first);
		to = gt_json_hex(to, parent);
	}
	chrome->sink->at = end_args(to, first);
}

static void tell_task(struct chrome *chrome, struct task *task, int64_t time_ns)
{
	if (!chrome->tasks_named) {
		chrome->tasks_named = true;
		put_process(chrome, PID_TASKS, "TASKS", 4);
	}
	task->told = true;
	put_task(chrome, 'b', task, task->parent, time_ns);
}

static void task_begin(struct chrome *chrome, const uint64_t *args)
{
	const struct gt__row *row = gt__rows_goroutine(&chrome->rows, args[0]);
	uint64_t id = args[1];
	struct task *task;

	if (gt__map_get(&chrome->tasks, id) || chrome->tasks.count >= TASKS_MAX)
		return;
	if (chrome->options->shown && (!row || row->hidden))
		return;
	task = malloc(sizeof(*task));
	if (!task || gt__map_put(&chrome->tasks, id, task) < 0) {
		free(task);
		chrome->failed = true;
		return;
	}
	*task = (struct task){.id = id, .parent = args[2], .name = args[3]};
	if (!chrome->quiet)
		tell_task(chrome, task, chrome->rows.now_ns);
}

static void task_end(struct chrome *chrome, uint64_t id)
{
	struct task *task = gt__map_get(&chrome->tasks, id);

	if (!task)
		return;
	if (task->told)
		put_task(chrome, 'e', task, 0, chrome->rows.now_ns);
	gt__map_remove(&chrome->tasks, id);
	free(task);
}

static void put_log(struct chrome *chrome, struct gt__row *row, const uint64_t *args)
{
	const struct gt__text *text = gt__texts_string(&chrome->texts, args[2]);
	bool first = true;
	char *to;

	if (!show(chrome, row))
		return;
	to = GT_JSON_PUT(begin(chrome), ",\n{\"ph\":\"i\",\"s\":\"t\",\"pid\":2,\"tid\":");
	to = gt_json_u64(to, row->number);
	to = GT_JSON_PUT(to, ",\"name\":\"");
	to = text && text->size ? put_text(to, text) : GT_JSON_PUT(to, "log");
	to = GT_JSON_PUT(to, "\",\"ts\":");
	to = gt_json_near_time(&chrome->clock, to, (uint64_t)chrome->rows.now_ns);
	if (args[1]) {
		to = put_key(to, "task", &first);
		to = gt_json_hex(to, args[1]);
	}
	to = put_key(to, "value", &first);
	*to++ = '"';
	text = gt__texts_string(&chrome->texts, args[3]);
	if (text)
		to = put_text(to, text);
	*to++ = '"';
	chrome->sink->at = end_args(to, first);
}

static void on_mark(struct chrome *chrome, const struct gt_event *event)
{
	const uint64_t *args = event->args;
	struct gt__row *row;

	if (!(chrome->parts & GT_CONVERT_MARKS))
		return;
	if (event->kind == GT_EV_TASK_BEGIN) {
		task_begin(chrome, args);
		return;
	}
	if (event->kind == GT_EV_TASK_END) {
		task_end(chrome, args[1]);
		return;
	}
	row = gt__rows_goroutine(&chrome->rows, args[0]);
	if (!row)
		return;
	if (event->kind == GT_EV_REGION_BEGIN)
		region_begin(chrome, row, args[1], args[2]);
	else if (event->kind == GT_EV_REGION_END)
		region_end(chrome, row);
	else
		put_log(chrome, row, args);
}

/* ---- system calls, the heap, timers ---- */

/* Where something of @g (0: of no goroutine) on @m is shown: NULL: nowhere. */
static struct gt__row *place_of(struct chrome *chrome, uint64_t g, uint64_t m, uint64_t *pid)
{
	*pid = g ? PID_GOROUTINES : chrome->thread_pid;
	return g ? gt__rows_goroutine(&chrome->rows, g) : gt__rows_thread(&chrome->rows, m);
}

/* What no goroutine does is not what somebody wants who wants some of them. */
static bool show_other(struct chrome *chrome, struct gt__row *row)
{
	return (row->kind == GT_ROW_GOROUTINE || !chrome->options->shown) && show(chrome, row);
}

static void call_begin(struct chrome *chrome, const struct gt_event *event)
{
	struct call *call = gt__map_get(&chrome->calls, event->m);

	if (!call) {
		call = malloc(sizeof(*call));
		if (!call || gt__map_put(&chrome->calls, event->m, call) < 0) {
			free(call);
			chrome->failed = true;
			return;
		}
	}
	*call = (struct call){event->args[1], event->args[2], event->args[3], chrome->rows.now_ns,
		gt_trace_syscall_fd(chrome->trace, event->args[1], event->args[2])};
	if (event->kind == GT_EV_SYSCALL_LONG)
		call->since_ns -= event->args[4] < (uint64_t)call->since_ns ? (int64_t)event->args[4] : call->since_ns;
}

/* A slice inside of what is open; not longer than that, should the goroutine have been stopped in the midst of it. */
static void call_end(struct chrome *chrome, const struct gt_event *event)
{
	struct call *call = gt__map_get(&chrome->calls, event->m);
	const char *name = gt_trace_syscall(chrome->trace, event->args[1]);
	const struct gt__text *file = NULL;
	int64_t since_ns;
	struct gt__row *row;
	bool first = true;
	uint64_t pid;
	char *to;

	if (!call || call->since_ns < 0 || call->number != event->args[1])
		return;
	since_ns = call->since_ns;
	call->since_ns = -1;
	if (call->fd_name)
		file = gt__texts_string(&chrome->texts, call->fd_name);
	row = place_of(chrome, event->args[0], event->m, &pid);
	if (!row || !show_other(chrome, row))
		return;
	if (gt__slice_open(&row->open) && row->open.since_ns > since_ns)
		since_ns = row->open.since_ns;
	to = GT_JSON_PUT(begin(chrome), ",\n{\"ph\":\"X\",\"pid\":");
	to = gt_json_u64(to, pid);
	to = GT_JSON_PUT(to, ",\"tid\":");
	to = gt_json_u64(to, row->number);
	to = GT_JSON_PUT(to, ",\"name\":\"");
	if (name) {
		memcpy(to, name, strlen(name));
		to += strlen(name);
	} else {
		to = GT_JSON_PUT(to, "syscall ");
		to = gt_json_u64(to, event->args[1]);
	}
	to = GT_JSON_PUT(to, "\",\"ts\":");
	to = put_times(chrome, to, since_ns, chrome->rows.now_ns);
	to = put_key(to, "arg0", &first);
	to = gt_json_u64(to, call->arg0);
	if (file) {
		to = put_key(to, "fd", &first);
		to = put_quoted(chrome, to, file);
	}
	to = put_key(to, "arg2", &first);
	to = gt_json_u64(to, call->arg2);
	to = put_key(to, event->args[3] ? "errno" : "result", &first);
	to = gt_json_u64(to, event->args[event->args[3] ? 3 : 2]);
	chrome->sink->at = end_args(to, first);
}

struct number {
	const char *key;
	uint64_t value;
};

static void put_instant(struct chrome *chrome, uint64_t g, uint64_t m, const char *name, const struct number *numbers,
	size_t count, uint64_t type_id, uint64_t stack_id)
{
	const struct gt__text *text;
	bool first = true;
	uint64_t pid;
	struct gt__row *row = place_of(chrome, g, m, &pid);
	char *to;

	if (!row || !show_other(chrome, row))
		return;
	to = GT_JSON_PUT(begin(chrome), ",\n{\"ph\":\"i\",\"s\":\"t\",\"pid\":");
	to = gt_json_u64(to, pid);
	to = GT_JSON_PUT(to, ",\"tid\":");
	to = gt_json_u64(to, row->number);
	to = GT_JSON_PUT(to, ",\"name\":\"");
	memcpy(to, name, strlen(name));
	to = GT_JSON_PUT(to + strlen(name), "\",\"ts\":");
	to = gt_json_near_time(&chrome->clock, to, (uint64_t)chrome->rows.now_ns);
	for (size_t i = 0; i < count; i++) {
		to = put_key(to, numbers[i].key, &first);
		if (numbers[i].key[0] == 'a') /* an address */
			to = gt_json_hex(to, numbers[i].value);
		else
			to = gt_json_u64(to, numbers[i].value);
	}
	/* Each is good until the next is asked for. */
	text = type_id ? gt__texts_string(&chrome->texts, type_id) : NULL;
	if (text) {
		to = put_key(to, "type", &first);
		to = put_quoted(chrome, to, text);
	}
	text = stack_id && (chrome->parts & GT_CONVERT_STACKS) ? gt__texts_stack(&chrome->texts, stack_id) : NULL;
	if (text) {
		to = put_key(to, "stack", &first);
		to = put_quoted(chrome, to, text);
	}
	chrome->sink->at = end_args(to, first);
}

static void on_other(struct chrome *chrome, const struct gt_event *event)
{
	const uint64_t *args = event->args;
	uint64_t m = event->m;

	switch (event->kind) {
	case GT_EV_SYSCALL_INFO:
	case GT_EV_SYSCALL_LONG:
		call_begin(chrome, event);
		break;
	case GT_EV_SYSCALL_RESULT:
		call_end(chrome, event);
		break;
	case GT_EV_ALLOC:
		put_instant(chrome, args[0], m, "alloc",
			(struct number[]){{"address", args[1]}, {"bytes", args[2]}, {"weight", args[3]}}, 3,
			chrome->typed.type, args[4]);
		break;
	case GT_EV_FREE:
		put_instant(chrome, args[0], m, "free", (struct number[]){{"address", args[1]}, {"bytes", args[2]}}, 2,
			0, 0);
		break;
	case GT_EV_TIMER_SET:
		put_instant(chrome, args[0], m, "timer set", (struct number[]){{"address", args[1]}, {"ns", args[2]}},
			2, 0, 0);
		break;
	case GT_EV_TIMER_STOP:
		put_instant(chrome, args[0], m, "timer stop", (struct number[]){{"address", args[1]}}, 1, 0, 0);
		break;
	case GT_EV_TIMER_FIRE:
		put_instant(chrome, 0, m, "timer fires", (struct number[]){{"address", args[0]}, {"late ns", args[1]}},
			2, 0, 0);
		break;
	default:
		break;
	}
}

/* ---- what is missing ---- */

/* A line over the whole height at @time_ns. */
static void put_notice(struct chrome *chrome, int64_t time_ns, const char *name, const char *key, const char *value)
{
	struct gt__text *text = gt__text_new(value, 2 * GT__NAME_BYTES_MAX);
	char *to = GT_JSON_PUT(begin(chrome), ",\n{\"ph\":\"i\",\"s\":\"g\",\"pid\":");

	to = gt_json_u64(to, chrome->thread_pid);
	to = GT_JSON_PUT(to, ",\"tid\":");
	to = gt_json_u64(to, chrome->thread_pid);
	to = GT_JSON_PUT(to, ",\"ts\":");
	to = gt_json_near_time(&chrome->clock, to, (uint64_t)time_ns);
	to = GT_JSON_PUT(to, ",\"name\":\"");
	memcpy(to, name, strlen(name));
	to = GT_JSON_PUT(to + strlen(name), "\",\"args\":{\"");
	memcpy(to, key, strlen(key));
	to = GT_JSON_PUT(to + strlen(key), "\":\"");
	if (text)
		to = put_text(to, text);
	chrome->sink->at = GT_JSON_PUT(to, "\"}}");
	free(text);
}

static void put_lost(struct chrome *chrome, const struct gt_event *event)
{
	char name[64], value[32];

	snprintf(name, sizeof(name), "LOST %" PRIu64 " events", event->args[0]);
	snprintf(value, sizeof(value), "M%" PRIu64, event->m);
	put_notice(chrome, chrome->rows.now_ns, name, "on", value);
}

static void put_metas(struct chrome *chrome)
{
	const char *key, *value;
	struct gt__text *text;
	bool first = true;
	size_t at = 0;
	char *to = GT_JSON_PUT(begin(chrome), ",\n{\"ph\":\"i\",\"s\":\"g\",\"ts\":");

	if (chrome->from_ns)
		to = gt_json_near_time(&chrome->clock, to, (uint64_t)chrome->from_ns);
	else
		*to++ = '0';
	to = GT_JSON_PUT(to, ",\"name\":\"gtrace\",\"pid\":");
	to = gt_json_u64(to, chrome->thread_pid);
	to = GT_JSON_PUT(to, ",\"tid\":");
	to = gt_json_u64(to, chrome->thread_pid);
	while (gt_trace_metas(chrome->trace, &at, &key, &value)) {
		char plain[64];

		/* Keys are the format's own words; others are made to look like them. */
		snprintf(plain, sizeof(plain), "%s", key);
		for (char *c = plain; *c; c++)
			if (!(*c >= 'a' && *c <= 'z') && !(*c >= '0' && *c <= '9'))
				*c = '_';
		text = gt__text_new(value, 2 * GT__NAME_BYTES_MAX);
		if (!text)
			continue;
		to = put_key(to, plain, &first);
		*to++ = '"';
		to = put_long(chrome, to, text);
		*to++ = '"';
		free(text);
	}
	chrome->sink->at = end_args(to, first);
}

static void put_damage(struct chrome *chrome)
{
	struct gt_trace_damage damage;
	struct gt_trace_info info;
	char labels[160] = "", line[512];
	int64_t end_ns = chrome->rows.now_ns;
	const char *what;
	uint64_t count;
	size_t at = 0;

	gt_trace_damage(chrome->trace, &damage);
	gt_trace_info(chrome->trace, &info);
	while (gt_trace_losses(chrome->trace, &at, &what, &count)) {
		snprintf(line, sizeof(line), "%" PRIu64 " %s", count, what);
		put_notice(chrome, end_ns, "LOST in all", "what", line);
	}
	if (damage.frames_bad || damage.records_bad || damage.order_broken) {
		snprintf(line, sizeof(line),
			"%" PRIu64 " frames, %" PRIu64 " records, %" PRIu64 " events out of order; first: %s",
			damage.frames_bad, damage.records_bad, damage.order_broken, damage.first);
		put_notice(chrome, end_ns, "DAMAGED trace", "what", line);
	}
	if (info.cut)
		put_notice(chrome, end_ns, "CUT trace", "what", "the file has no end: the recorder was killed");
	if (damage.events_lost)
		snprintf(labels, sizeof(labels), "%" PRIu64 " events lost", damage.events_lost);
	if (damage.frames_bad || damage.records_bad || damage.order_broken || info.cut) {
		size_t used = strlen(labels);

		snprintf(labels + used, sizeof(labels) - used, "%s%s", used ? ", " : "", info.cut ? "cut" : "damaged");
	}
	if (labels[0]) {
		char *to = GT_JSON_PUT(begin(chrome), ",\n{\"ph\":\"M\",\"pid\":");

		to = gt_json_u64(to, chrome->thread_pid);
		to = GT_JSON_PUT(to, ",\"name\":\"process_labels\",\"args\":{\"labels\":\"");
		memcpy(to, labels, strlen(labels));
		chrome->sink->at = GT_JSON_PUT(to + strlen(labels), "\"}}");
	}
}

/* ---- begin, events, end ---- */

static void set_piece(
	const struct chrome *chrome, struct piece *piece, const char *state, const char *reason, const char *colour)
{
	bool coloured = chrome->parts & GT_CONVERT_COLOURS;
	int size = snprintf(piece->text, sizeof(piece->text), ",\"name\":\"%s%s%s\"%s%s%s,\"ts\":", state,
		reason ? ": " : "", reason ? reason : "", coloured ? ",\"cname\":\"thread_state_" : "",
		coloured ? colour : "", coloured ? "\"" : "");

	piece->size = size > 0 && (size_t)size < sizeof(piece->text) ? (size_t)size : 0;
}

static void set_pieces(struct chrome *chrome)
{
	set_piece(chrome, &chrome->running, "running", NULL, "running");
	set_piece(chrome, &chrome->syscall, "syscall", NULL, "iowait");
	for (unsigned int reason = 0; reason < GT_REASON_COUNT; reason++) {
		const char *text = reason ? gt_reason_text(reason) : NULL;

		set_piece(chrome, &chrome->runnable[reason], "runnable", text, "runnable");
		set_piece(chrome, &chrome->waiting[reason], "waiting", text, "sleeping");
	}
}

static void put_begin(struct chrome *chrome)
{
	const char *pid = gt_trace_meta(chrome->trace, "pid"), *program = gt_trace_meta(chrome->trace, "program");
	const char *base = program ? strrchr(program, '/') : NULL;
	unsigned long long real = pid ? strtoull(pid, NULL, 10) : 0;
	char name[128], *first;
	int size;

	chrome->thread_pid = real > PID_OWN_MAX && real <= PID_REAL_MAX ? real : PID_REAL_MAX + 1 + real % PID_REAL_MAX;
	size = snprintf(chrome->thread_head, sizeof(chrome->thread_head),
		",\n{\"ph\":\"X\",\"pid\":%" PRIu64 ",\"tid\":", chrome->thread_pid);
	chrome->thread_head_size = (size_t)size;
	snprintf(name, sizeof(name), "THREADS %s", base ? base + 1 : program ? program : "");
	if (chrome->object) {
		static const char head[] = "{\"displayTimeUnit\":\"ns\",\"traceEvents\":";

		gt_sink_write(chrome->sink, head, sizeof(head) - 1);
	}
	/* The first record has no comma before it. */
	first = gt_sink_room(chrome->sink, RECORD_ROOM);
	put_process(chrome, PID_SLOTS, "PROCS", 1);
	*first = '[';
	put_process(chrome, PID_GOROUTINES, "GOROUTINES", 2);
	put_process(chrome, chrome->thread_pid, name, 5);
}

/*
 * A window begins at another time on each M. What the first events tell of the time before them holds from where
 * every M is complete; before that, a goroutine may have been anything.
 */
static void put_edge(struct chrome *chrome)
{
	struct gt_trace_info info;

	gt_trace_info(chrome->trace, &info);
	if (info.complete_ns <= 0)
		return;
	chrome->rows.edge_ns = chrome->rows.whole_ns = info.complete_ns;
	put_notice(chrome, info.complete_ns > chrome->from_ns ? info.complete_ns : chrome->from_ns,
		"COMPLETE from here on", "what", "before this, some threads' events were already overwritten");
}

/* from_ns is reached: what is counted, and what is open and not told when it ends. */
static void resume(struct chrome *chrome)
{
	struct task *task;
	size_t at = 0;

	chrome->quiet = false;
	while ((task = gt__map_each(&chrome->tasks, &at)))
		tell_task(chrome, task, chrome->from_ns);
	gt__spans_resume(&chrome->spans);
	memset(chrome->shown, 0xff, sizeof(chrome->shown));
	chrome->shown_slots = UINT64_MAX;
	if (chrome->parts & GT_CONVERT_COUNTERS)
		put_counters(chrome, chrome->from_ns);
}

/* With goroutines chosen, their assists are all that is shown of what is no goroutine's state. */
static bool span_shown(struct chrome *chrome, const struct gt_event *event)
{
	const struct gt__row *row;

	if (!chrome->options->shown)
		return true;
	if (event->kind == GT_EV_SWEEP_BEGIN || event->kind >= GT_EV_CPU_IN)
		return false;
	if (event->kind != GT_EV_ASSIST_BEGIN)
		return true;
	row = gt__rows_goroutine(&chrome->rows, event->args[0]);
	return row && !row->hidden;
}

static void put_event(struct chrome *chrome, const struct gt_event *event)
{
	if (span_shown(chrome, event))
		gt__spans_event(&chrome->spans, event);
	if (event->kind >= GT_EV_TASK_BEGIN && event->kind <= GT_EV_LOG) {
		on_mark(chrome, event);
	} else if (event->kind == GT_EV_LOST) {
		if (!chrome->quiet)
			put_lost(chrome, event);
	} else if (event->kind == GT_EV_HEAP) {
		chrome->heap_live = event->args[0];
	} else if (event->kind == GT_EV_OBJECT_NAME || event->kind == GT_EV_FD_NAME) {
		gt__texts_object_named(&chrome->texts, event->args[0]);
	} else if (event->kind > GT_EV_LOST && (chrome->parts & GT_CONVERT_OBJECTS)) {
		on_other(chrome, event);
	}
}

static int put_events(struct chrome *chrome, const struct gt_convert_options *options)
{
	bool counters = chrome->parts & GT_CONVERT_COUNTERS;
	struct gt_event event;

	while (gt__typed_next(chrome->trace, &chrome->typed, &event) > 0) {
		if (!chrome->totals.events)
			put_edge(chrome);
		if (options->to_ns > 0 && event.time_ns >= options->to_ns) {
			if (counters)
				counters_until(chrome, options->to_ns);
			if (chrome->rows.now_ns < options->to_ns)
				chrome->rows.now_ns = options->to_ns;
			break;
		}
		if (__builtin_expect(chrome->quiet, 0) && event.time_ns >= chrome->from_ns)
			resume(chrome);
		if (counters)
			counters_until(chrome, event.time_ns);
		if (gt__rows_event(&chrome->rows, &event) < 0 || chrome->failed)
			return -ENOMEM;
		put_event(chrome, &event);
		if (++chrome->totals.events % PROGRESS_EVENTS == 0) {
			if (options->progress)
				options->progress(options->progress_user, chrome->rows.now_ns);
			if (gt_sink_bad(chrome->sink))
				return 0;
		}
	}
	return 0;
}

static void put_end(struct chrome *chrome)
{
	struct task *task;
	size_t at = 0;

	/* Nothing happened after it: what was open still is. */
	if (chrome->totals.events)
		gt__rows_until(&chrome->rows, chrome->trace, chrome->options->to_ns);
	if (chrome->quiet && chrome->rows.now_ns > chrome->from_ns)
		resume(chrome);
	if ((chrome->parts & GT_CONVERT_COUNTERS) && !chrome->quiet)
		put_counters(chrome, chrome->rows.now_ns);
	gt__rows_finish(&chrome->rows);
	gt__spans_finish(&chrome->spans, chrome->rows.now_ns);
	chrome->totals.slices += chrome->spans.slices;
	chrome->totals.records += chrome->spans.records;
	while ((task = gt__map_each(&chrome->tasks, &at)))
		if (task->told)
			put_task(chrome, 'e', task, 0, chrome->rows.now_ns);
	put_metas(chrome);
	put_damage(chrome);
	if (chrome->object)
		gt_sink_write(chrome->sink, "\n]}\n", 4);
	else
		gt_sink_write(chrome->sink, "\n]\n", 3);
}

static void chrome_free(struct chrome *chrome)
{
	struct task *task;
	struct call *call;
	size_t at = 0;

	while ((task = gt__map_each(&chrome->tasks, &at)))
		free(task);
	gt__map_free(&chrome->tasks);
	at = 0;
	while ((call = gt__map_each(&chrome->calls, &at)))
		free(call);
	gt__map_free(&chrome->calls);
	gt__spans_free(&chrome->spans);
	gt__insides_free(&chrome->insides);
	gt__texts_free(&chrome->texts);
	gt__rows_free(&chrome->rows);
	free(chrome);
}

int gt_convert_chrome(
	struct gt_trace *trace, struct gt_sink *sink, const struct gt_convert_options *options, struct gt_error *err)
{
	static const struct gt_convert_options everything = GT_CONVERT_OPTIONS_DEFAULT;
	struct chrome *chrome = calloc(1, sizeof(*chrome));
	struct gt__rows_user out = {chrome, on_row, on_slice, on_link, on_gone};
	int ret;

	if (!chrome)
		return gt_fail(err, ENOMEM, "out of memory: %s", sink->name);
	if (!options)
		options = &everything;
	chrome->trace = trace;
	chrome->sink = sink;
	chrome->options = options;
	chrome->parts = options->parts;
	chrome->from_ns = options->from_ns > 0 ? options->from_ns : 0;
	chrome->quiet = chrome->from_ns > 0;
	chrome->lazy = chrome->quiet || options->shown;
	chrome->object = options->object;
	chrome->counter_step_ns = options->counter_step_ns > 0 ? options->counter_step_ns : 0;
	chrome->tid_next = GT_CHROME_TID_FREE;
	gt__rows_init(&chrome->rows, &out, 0);
	gt__texts_init(&chrome->texts, trace);
	gt__spans_init(&chrome->spans, sink, &chrome->texts);
	chrome->spans.from_ns = chrome->from_ns;
	chrome->spans.lazy = chrome->lazy;
	set_pieces(chrome);

	put_begin(chrome);
	ret = put_events(chrome, options);
	/* What was read until memory ran out is shown all the same. */
	put_end(chrome);
	if (ret < 0)
		gt_fail(err, ENOMEM, "out of memory: %s: it ends at %" PRId64 " ms of the trace", sink->name,
			chrome->rows.now_ns / 1000000);
	else
		ret = gt_sink_error(sink, err);
	if (options->totals)
		*options->totals = chrome->totals;
	chrome_free(chrome);
	return ret;
}
