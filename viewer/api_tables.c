/* api_tables.c - sums over many slices: time by function, durations and their spread, the longest, stacks, counters, tasks and regions. */
#include "viewer/api_put.h"

#include <stdlib.h>
#include <string.h>

#define FLAME_MAX     4000 /* stacks given */
#define FLAME_KEYS    (FLAME_MAX * 4)
#define FUNCTIONS_MAX 5000
#define LONGEST_MAX   1000
#define NAMES_MAX     5000
#define PARTS         4 /* buckets of a power of two */
#define BUCKETS       (PARTS * 48)

/* ---- counters ---- */

static uint32_t count_at(const struct gt_index *index, int64_t at_ns)
{
	uint32_t low = 0, high = index->count_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (index->counts[middle].at_ns > at_ns)
			high = middle;
		else
			low = middle + 1;
	}
	return low ? low - 1 : 0;
}

/* The highest of what one point stands for. */
static void put_point(const struct gt_index *index, struct gt_sink *out, uint32_t from, uint32_t to)
{
	struct gt_index_count most = index->counts[from];

	for (uint32_t i = from + 1; i < to; i++) {
		const struct gt_index_count *one = &index->counts[i];

		for (unsigned int state = 1; state < GT_INDEX_STATES; state++)
			if (one->by_state[state] > most.by_state[state])
				most.by_state[state] = one->by_state[state];
		most.heap = one->heap > most.heap ? one->heap : most.heap;
		most.goal = one->goal > most.goal ? one->goal : most.goal;
		most.stacks = one->stacks > most.stacks ? one->stacks : most.stacks;
	}
	gt__put_number(out, "[", most.at_ns);
	for (unsigned int state = 1; state < GT_INDEX_STATES; state++)
		gt__put_number(out, ",", most.by_state[state]);
	gt__put_number(out, ",", (int64_t)most.heap);
	gt__put_number(out, ",", (int64_t)most.goal);
	gt__put_number(out, ",", (int64_t)most.stacks);
	gt__put(out, "]");
}

void gt__api_counters(const struct gt_index *index, const struct gt__asked *asked, struct gt_sink *out)
{
	int64_t columns = gt__number(asked, "px", 500);
	uint32_t first = count_at(index, gt__number(asked, "t0", 0)), step,
		 last = count_at(index, gt__number(asked, "t1", index->span_ns)) + 1;

	columns = columns < 1 ? 1 : columns > GT__COLUMNS_MAX ? GT__COLUMNS_MAX : columns;
	if (last > index->count_count)
		last = index->count_count;
	step = last > first ? (last - first) / (uint32_t)columns + 1 : 1;
	gt__put(out, "{\"points\":[");
	for (uint32_t i = first; i < last; i += step) {
		gt__put(out, i > first ? "," : "");
		put_point(index, out, i, i + step < last ? i + step : last);
	}
	gt__put(out, "]}");
}

/* ---- slices between two times, clipped ---- */

static uint64_t inside(const struct gt__chosen *chosen, const struct gt_index_slice *slice)
{
	int64_t from = slice->since_ns > chosen->t0 ? slice->since_ns : chosen->t0,
		to = slice->end_ns < chosen->t1 ? slice->end_ns : chosen->t1;

	return to > from ? (uint64_t)(to - from) : 0;
}

/* The first of a row that touches what is chosen; its count when none does. */
static uint32_t first_chosen(const struct gt__chosen *chosen, const struct gt_index_row *row)
{
	return chosen->t0 <= 0 ? 0 : gt_index_at(row, chosen->t0);
}

/* ---- where time went: stacks of a state, as a flame graph ---- */

struct flame {
	uint32_t stack;
	uint8_t reason;
	uint64_t ns, count;
};

struct flames {
	struct flame *list;
	struct gt_map places;
	size_t count;
};

static int by_ns(const void *a, const void *b)
{
	const struct flame *x = a, *y = b;

	return x->ns < y->ns ? 1 : x->ns > y->ns ? -1 : x->stack < y->stack ? -1 : x->stack > y->stack;
}

static void add_flame(struct flames *flames, uint32_t stack, uint8_t reason, uint64_t ns)
{
	uint64_t key = (uint64_t)stack << 8 | reason, *at = gt_map_find(&flames->places, key);

	if (!at) {
		if (flames->count == FLAME_KEYS || gt_map_put(&flames->places, key, flames->count) < 0)
			return;
		flames->list[flames->count] = (struct flame){.stack = stack, .reason = reason};
		at = gt_map_find(&flames->places, key);
		flames->count++;
	}
	flames->list[*at].ns += ns;
	flames->list[*at].count++;
}

/* Samples of running goroutines: each counts as one. */
static void sampled_flames(const struct gt_index *index, const struct gt__chosen *chosen, struct flames *flames)
{
	const struct gt_marks *marks = &index->marks;

	for (uint32_t i = gt_marks_from(marks, chosen->t0);
		i < marks->count && marks->list[i].at_ns < chosen->t1 && marks->kinds[GT_EV_CPU_SAMPLE]; i++) {
		const struct gt_mark *mark = &marks->list[i];

		if (mark->kind != GT_EV_CPU_SAMPLE ||
			((chosen->group >= 0 || chosen->row >= 0) &&
				(mark->row >= index->row_count || !gt__is_chosen_row(chosen, index, mark->row))))
			continue;
		add_flame(flames, mark->stack, 0, 1);
	}
}

void gt__api_flames(const struct gt_index *index, const struct gt__asked *asked, struct gt_sink *out)
{
	struct gt__chosen chosen = gt__chosen(index, asked);
	struct flames flames = {.list = malloc(FLAME_KEYS * sizeof(*flames.list))};

	if (chosen.state < 0)
		chosen.state = GT_STATE_WAITING;
	if (flames.list && chosen.state == GT_STATE_RUNNING)
		sampled_flames(index, &chosen, &flames);
	for (uint32_t i = 0; flames.list && chosen.state != GT_STATE_RUNNING && i < index->row_count; i++) {
		const struct gt_index_row *row = &index->rows[i];

		if (!gt__is_chosen_row(&chosen, index, i))
			continue;
		for (uint32_t j = first_chosen(&chosen, row);
			j < row->count && gt_index_slice(row, j)->since_ns < chosen.t1; j++)
			if (gt__is_chosen(&chosen, gt_index_slice(row, j)))
				add_flame(&flames, gt_index_slice(row, j)->stack, gt_index_slice(row, j)->reason,
					inside(&chosen, gt_index_slice(row, j)));
	}
	gt_map_free(&flames.places);
	if (flames.list)
		qsort(flames.list, flames.count, sizeof(*flames.list), by_ns);
	gt__put(out, "{\"stacks\":[");
	for (size_t i = 0; i < flames.count && i < FLAME_MAX; i++) {
		gt__put_number(out, i ? ",{\"ns\":" : "{\"ns\":", (int64_t)flames.list[i].ns);
		gt__put_number(out, ",\"count\":", (int64_t)flames.list[i].count);
		gt__put_number(out, ",\"reason\":", flames.list[i].reason);
		gt__put_stack(index, out, flames.list[i].stack);
		gt__put(out, "}");
	}
	gt__put(out, "]}");
	free(flames.list);
}

/* ---- functions: what their goroutines did with their time ---- */

struct function {
	uint64_t ns[GT_INDEX_STATES], reasons[GT_REASON_COUNT];
	uint64_t assist_ns, faults, slices, wakeups, latency_ns, latency_most_ns;
	uint32_t rows;
};

static void add_row(struct function *function, const struct gt__chosen *chosen, const struct gt_index_row *row)
{
	bool seen = false;

	for (uint32_t i = first_chosen(chosen, row); i < row->count && gt_index_slice(row, i)->since_ns < chosen->t1;
		i++) {
		const struct gt_index_slice *slice = gt_index_slice(row, i);
		uint64_t ns = inside(chosen, slice), whole = (uint64_t)(slice->end_ns - slice->since_ns);

		if (slice->state >= GT_INDEX_STATES)
			continue;
		seen = true;
		function->ns[slice->state] += ns;
		function->slices++;
		if (slice->state == GT_STATE_WAITING && slice->reason < GT_REASON_COUNT)
			function->reasons[slice->reason] += ns;
		if (slice->state == GT_STATE_RUNNABLE) {
			function->wakeups++;
			function->latency_ns += whole;
			function->latency_most_ns =
				whole > function->latency_most_ns ? whole : function->latency_most_ns;
		}
	}
	function->rows += seen;
}

static void add_assists(
	const struct gt_index *index, const struct gt__chosen *chosen, struct function *functions, uint32_t count)
{
	const struct gt_marks *marks = &index->marks;

	for (uint32_t i = 0; i < marks->count && marks->kinds[GT_EV_ASSIST_BEGIN]; i++) {
		const struct gt_mark *mark = &marks->list[i];
		const struct gt_index_slice as_slice = {
			.since_ns = mark->at_ns, .end_ns = mark->at_ns + (mark->took_ns > 0 ? mark->took_ns : 0)};

		if (mark->kind == GT_EV_ASSIST_BEGIN && mark->row < index->row_count &&
			index->rows[mark->row].group < count)
			functions[index->rows[mark->row].group].assist_ns += inside(chosen, &as_slice);
	}
}

static void add_faults(
	const struct gt_index *index, const struct gt__chosen *chosen, struct function *functions, uint32_t count)
{
	const struct gt_marks *marks = &index->marks;

	for (uint32_t i = gt_marks_from(marks, chosen->t0);
		i < marks->count && marks->list[i].at_ns < chosen->t1 && marks->kinds[GT_EV_FAULT]; i++) {
		const struct gt_mark *mark = &marks->list[i];

		if (mark->kind == GT_EV_FAULT && mark->row < index->row_count && index->rows[mark->row].group < count &&
			gt__is_chosen_row(chosen, index, mark->row))
			functions[index->rows[mark->row].group].faults++;
	}
}

static void put_function(
	const struct gt_index *index, struct gt_sink *out, uint32_t group, const struct function *function)
{
	bool first = true;

	gt__put_number(out, "{\"group\":", group);
	gt__put_string(out, ",\"function\":", index->groups[group].function);
	gt__put_number(out, ",\"rows\":", function->rows);
	gt__put_times(out, ",\"ns\":", function->ns);
	gt__put_number(out, ",\"assist\":", (int64_t)function->assist_ns);
	gt__put_number(out, ",\"faults\":", (int64_t)function->faults);
	gt__put_number(out, ",\"slices\":", (int64_t)function->slices);
	gt__put_number(out, ",\"wakeups\":", (int64_t)function->wakeups);
	gt__put_number(out, ",\"latency\":", (int64_t)function->latency_ns);
	gt__put_number(out, ",\"latency_most\":", (int64_t)function->latency_most_ns);
	gt__put(out, ",\"reasons\":[");
	for (unsigned int i = 0; i < GT_REASON_COUNT; i++) {
		if (!function->reasons[i])
			continue;
		gt__put_number(out, first ? "[" : ",[", i);
		gt__put_number(out, ",", (int64_t)function->reasons[i]);
		gt__put(out, "]");
		first = false;
	}
	gt__put(out, "]}");
}

void gt__api_functions(const struct gt_index *index, const struct gt__asked *asked, struct gt_sink *out)
{
	struct gt__chosen chosen = gt__chosen(index, asked);
	uint32_t count = index->group_count < FUNCTIONS_MAX ? index->group_count : FUNCTIONS_MAX, given = 0;
	struct function *functions = calloc(count + 1, sizeof(*functions));

	gt__put(out, "{\"functions\":[");
	for (uint32_t i = 0; functions && i < index->row_count; i++)
		if (gt__is_chosen_row(&chosen, index, i) && index->rows[i].group < count)
			add_row(&functions[index->rows[i].group], &chosen, &index->rows[i]);
	if (functions) {
		add_assists(index, &chosen, functions, count);
		add_faults(index, &chosen, functions, count);
	}
	for (uint32_t i = 0; functions && i < count; i++) {
		if (!functions[i].rows)
			continue;
		gt__put(out, given++ ? "," : "");
		put_function(index, out, i, &functions[i]);
	}
	gt__put_number(out, "],\"more\":", index->group_count - count);
	gt__put(out, "}");
	free(functions);
}

/* ---- durations: how they spread ---- */

struct spread {
	uint64_t count, total_ns, most_ns, least_ns;
	uint64_t errors;
	uint32_t buckets[BUCKETS];
	uint32_t row, slice; /* of the longest */
};

/* From 2^(n / 4) to the next: 1.19 times as long. Below 16 ns each has its own. */
static unsigned int bucket_of(uint64_t ns)
{
	unsigned int power, part;

	if (ns < 1u << 4)
		return (unsigned int)ns;
	power = 63u - (unsigned int)__builtin_clzll(ns);
	part = (unsigned int)(ns >> (power - 2)) & (PARTS - 1);
	return power * PARTS + part < BUCKETS ? power * PARTS + part : BUCKETS - 1;
}

static void add_duration(struct spread *spread, uint64_t ns, uint32_t row, uint32_t slice)
{
	if (!spread->count || ns > spread->most_ns) {
		spread->most_ns = ns;
		spread->row = row;
		spread->slice = slice;
	}
	if (!spread->count || ns < spread->least_ns)
		spread->least_ns = ns;
	spread->count++;
	spread->total_ns += ns;
	spread->buckets[bucket_of(ns)]++;
}

/* [from ns, how many]... of those that are not empty. */
static void put_spread(struct gt_sink *out, const struct spread *spread)
{
	bool first = true;

	gt__put_number(out, ",\"count\":", (int64_t)spread->count);
	gt__put_number(out, ",\"total\":", (int64_t)spread->total_ns);
	gt__put_number(out, ",\"least\":", (int64_t)spread->least_ns);
	gt__put_number(out, ",\"most\":", (int64_t)spread->most_ns);
	gt__put_number(out, ",\"errors\":", (int64_t)spread->errors);
	gt__put_number(out, ",\"row\":", spread->row);
	gt__put_number(out, ",\"slice\":", spread->slice);
	gt__put(out, ",\"buckets\":[");
	for (unsigned int i = 0; i < BUCKETS; i++) {
		int64_t from = i < 16 ? (int64_t)i : (int64_t)(PARTS + i % PARTS) << (i / PARTS - 2);

		if (!spread->buckets[i])
			continue;
		gt__put_number(out, first ? "[" : ",[", from);
		gt__put_number(out, ",", spread->buckets[i]);
		gt__put(out, "]");
		first = false;
	}
	gt__put(out, "]}");
}

/* Of states by number, then of reasons to wait. */
#define SPREADS (GT_INDEX_STATES + GT_REASON_COUNT)

static void add_slices(
	const struct gt_index *index, const struct gt__chosen *chosen, struct spread *spreads, struct spread *calls)
{
	for (uint32_t i = 0; i < index->row_count; i++) {
		const struct gt_index_row *row = &index->rows[i];

		if (!gt__is_chosen_row(chosen, index, i))
			continue;
		for (uint32_t j = first_chosen(chosen, row);
			j < row->count && gt_index_slice(row, j)->since_ns < chosen->t1; j++) {
			const struct gt_index_slice *slice = gt_index_slice(row, j);
			uint64_t ns = (uint64_t)(slice->end_ns - slice->since_ns);

			if (slice->state >= GT_INDEX_STATES || !gt__is_chosen(chosen, slice))
				continue;
			add_duration(&spreads[slice->state], ns, i, j);
			if (slice->state == GT_STATE_WAITING && slice->reason < GT_REASON_COUNT)
				add_duration(&spreads[GT_INDEX_STATES + slice->reason], ns, i, j);
			if (calls && slice->state == GT_STATE_SYSCALL && slice->link && slice->link <= GT_INDEX_CALLS)
				add_duration(&calls[slice->link - 1], ns, i, j);
		}
	}
}

static void add_calls(const struct gt_index *index, const struct gt__chosen *chosen, struct spread *calls)
{
	const struct gt_marks *marks = &index->marks;

	for (uint32_t i = gt_marks_from(marks, chosen->t0); i < marks->count && marks->list[i].at_ns < chosen->t1;
		i++) {
		const struct gt_mark *mark = &marks->list[i];

		if (mark->kind != GT_EV_SYSCALL_INFO || mark->b >= GT_INDEX_CALLS || mark->took_ns < 0 ||
			mark->row >= index->row_count || !gt__is_chosen_row(chosen, index, mark->row))
			continue;
		add_duration(&calls[mark->b], (uint64_t)mark->took_ns, mark->row,
			gt_index_at(&index->rows[mark->row], mark->at_ns));
		calls[mark->b].errors += mark->error > 0;
	}
}

static void put_calls(const struct gt_index *index, struct gt_sink *out, const struct spread *calls)
{
	bool first = true;

	gt__put(out, "],\"calls\":[");
	for (unsigned int i = 0; calls && i < GT_INDEX_CALLS; i++) {
		const char *name = calls[i].count ? gt_trace_syscall(index->trace, i) : NULL;

		if (!calls[i].count)
			continue;
		gt__put_number(out, first ? "{\"number\":" : ",{\"number\":", i);
		gt__put_string(out, ",\"name\":", name ? name : "");
		put_spread(out, &calls[i]);
		first = false;
	}
}

void gt__api_durations(const struct gt_index *index, const struct gt__asked *asked, struct gt_sink *out)
{
	struct gt__chosen chosen = gt__chosen(index, asked);
	struct spread *spreads = calloc(SPREADS, sizeof(*spreads)), *calls = calloc(GT_INDEX_CALLS, sizeof(*calls));
	bool by_marks = index->marks.kinds[GT_EV_SYSCALL_INFO], first = true;

	if (spreads && calls) {
		add_slices(index, &chosen, spreads, by_marks ? NULL : calls);
		if (by_marks)
			add_calls(index, &chosen, calls);
	}
	gt__put(out, "{\"states\":[");
	for (unsigned int i = 1; spreads && i < GT_INDEX_STATES; i++) {
		gt__put_number(out, i > 1 ? ",{\"state\":" : "{\"state\":", i);
		put_spread(out, &spreads[i]);
	}
	gt__put(out, "],\"reasons\":[");
	for (unsigned int i = 0; spreads && i < GT_REASON_COUNT; i++) {
		if (!spreads[GT_INDEX_STATES + i].count)
			continue;
		gt__put_number(out, first ? "{\"reason\":" : ",{\"reason\":", i);
		put_spread(out, &spreads[GT_INDEX_STATES + i]);
		first = false;
	}
	put_calls(index, out, spreads ? calls : NULL);
	gt__put(out, "]}");
	free(spreads);
	free(calls);
}

/* ---- the longest slices: a heap whose root is the shortest of them ---- */

struct longest {
	int64_t ns;
	uint32_t row, slice;
};

static void sink_down(struct longest *heap, size_t count, size_t at)
{
	for (;;) {
		size_t least = at, left = 2 * at + 1, right = left + 1;
		struct longest held = heap[at];

		if (left < count && heap[left].ns < heap[least].ns)
			least = left;
		if (right < count && heap[right].ns < heap[least].ns)
			least = right;
		if (least == at)
			return;
		heap[at] = heap[least];
		heap[least] = held;
		at = least;
	}
}

static void offer(struct longest *heap, size_t *count, size_t most, struct longest one)
{
	size_t at;

	if (*count == most) {
		if (one.ns <= heap[0].ns)
			return;
		heap[0] = one;
		sink_down(heap, *count, 0);
		return;
	}
	at = (*count)++;
	heap[at] = one;
	for (; at && heap[(at - 1) / 2].ns > heap[at].ns; at = (at - 1) / 2) {
		heap[at] = heap[(at - 1) / 2];
		heap[(at - 1) / 2] = one;
	}
}

static int by_length(const void *a, const void *b)
{
	const struct longest *x = a, *y = b;

	return x->ns < y->ns ? 1 : x->ns > y->ns ? -1 : x->row < y->row ? -1 : x->row > y->row;
}

/* As the report leaves them out. */
static bool is_runtimes_own(const struct gt_index *index, const struct gt_index_row *row)
{
	const char *name = index->groups[row->group].function;

	return (strncmp(name, "runtime.", 8) == 0 && strcmp(name, "runtime.main") != 0) ||
	       strncmp(name, "runtime/", 8) == 0 || strncmp(name, "os/signal.", 10) == 0;
}

void gt__api_longest(const struct gt_index *index, const struct gt__asked *asked, struct gt_sink *out)
{
	struct gt__chosen chosen = gt__chosen(index, asked);
	int64_t limit = gt__number(asked, "limit", 100);
	bool system = gt__number(asked, "system", 1);
	struct longest heap[LONGEST_MAX];
	uint64_t matching = 0;
	size_t count = 0;

	limit = limit < 1 ? 1 : limit > LONGEST_MAX ? LONGEST_MAX : limit;
	for (uint32_t i = 0; i < index->row_count; i++) {
		const struct gt_index_row *row = &index->rows[i];

		if (!gt__is_chosen_row(&chosen, index, i) || (!system && is_runtimes_own(index, row)))
			continue;
		for (uint32_t j = first_chosen(&chosen, row);
			j < row->count && gt_index_slice(row, j)->since_ns < chosen.t1; j++) {
			const struct gt_index_slice *slice = gt_index_slice(row, j);

			if (slice->state == GT_STATE_NONE || !gt__is_chosen(&chosen, slice))
				continue;
			matching++;
			offer(heap, &count, (size_t)limit, (struct longest){slice->end_ns - slice->since_ns, i, j});
		}
	}
	qsort(heap, count, sizeof(*heap), by_length);
	gt__put_number(out, "{\"matching\":", (int64_t)matching);
	gt__put(out, ",\"slices\":[");
	for (size_t i = 0; i < count; i++) {
		gt__put(out, i ? "," : "");
		gt__put_brief(index, out, heap[i].row, heap[i].slice);
	}
	gt__put(out, "]}");
}

/* ---- tasks and regions by their names ---- */

struct names {
	struct spread *list;
	uint32_t *names;
	struct gt_map places; /* string -> place */
	uint32_t count;
};

static void add_name(struct names *names, const struct gt_index_slice *slice, uint32_t row, uint32_t at)
{
	uint64_t *place = gt_map_find(&names->places, slice->stack);

	if (!place) {
		if (names->count == NAMES_MAX || gt_map_put(&names->places, slice->stack, names->count) < 0)
			return;
		names->names[names->count++] = slice->stack;
		place = gt_map_find(&names->places, slice->stack);
	}
	add_duration(&names->list[*place], (uint64_t)(slice->end_ns - slice->since_ns), row, at);
}

static void put_names(const struct gt_index *index, const struct gt__chosen *chosen, struct gt_sink *out,
	enum gt_index_kind kind, const char *before)
{
	struct names names = {
		.list = calloc(NAMES_MAX, sizeof(*names.list)), .names = calloc(NAMES_MAX, sizeof(*names.names))};

	for (uint32_t i = 0; names.list && names.names && index->kinds[kind] && i < index->row_count; i++) {
		const struct gt_index_row *row = &index->rows[i];

		if (row->kind != kind)
			continue;
		for (uint32_t j = first_chosen(chosen, row);
			j < row->count && gt_index_slice(row, j)->since_ns < chosen->t1; j++)
			add_name(&names, gt_index_slice(row, j), i, j);
	}
	gt__put(out, before);
	for (uint32_t i = 0; i < names.count; i++) {
		gt__put_string(out, i ? ",{\"name\":" : "{\"name\":", gt_trace_string(index->trace, names.names[i]));
		put_spread(out, &names.list[i]);
	}
	gt__put(out, "]");
	gt_map_free(&names.places);
	free(names.list);
	free(names.names);
}

void gt__api_spans(const struct gt_index *index, const struct gt__asked *asked, struct gt_sink *out)
{
	struct gt__chosen chosen = gt__chosen(index, asked);

	put_names(index, &chosen, out, GT_INDEX_TASK, "{\"tasks\":[");
	put_names(index, &chosen, out, GT_INDEX_REGION, ",\"regions\":[");
	gt__put(out, "}");
}
