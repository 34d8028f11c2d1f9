/* api.c - see api.h. */
#include "viewer/api.h"

#include "format/convert/json.h"
#include "format/convert/sink.h"
#include "format/convert/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_MAX    512 /* of one question */
#define COLUMNS_MAX 8192
#define LIST_MAX    5000
#define FLAME_MAX   4000 /* stacks */
#define FRAMES_MAX  64

/* ---- JSON ---- */

static void put(struct gt_sink *out, const char *text)
{
	gt_sink_write(out, text, strlen(text));
}

static void put_number(struct gt_sink *out, const char *before, int64_t value)
{
	char text[96];
	int size = snprintf(text, sizeof(text), "%s%" PRId64, before, value);

	gt_sink_write(out, text, (size_t)size);
}

static void put_string(struct gt_sink *out, const char *before, const char *text)
{
	struct gt__text *escaped = gt__text_new(text ? text : "", 2000);

	put(out, before);
	put(out, "\"");
	if (escaped)
		gt_sink_write(out, escaped->bytes, escaped->size);
	put(out, "\"");
	free(escaped);
}

static void put_times(struct gt_sink *out, const char *before, const uint64_t ns[GT_INDEX_STATES])
{
	put(out, before);
	put(out, "[");
	for (unsigned int i = 0; i < GT_INDEX_STATES; i++)
		put_number(out, i ? "," : "", (int64_t)ns[i]);
	put(out, "]");
}

/* ---- parameters ---- */

struct asked {
	gt_api_param *param;
	void *request;
};

static int64_t number(const struct asked *asked, const char *name, int64_t otherwise)
{
	const char *text = asked->param(asked->request, name);
	char *end;
	long long value;

	if (!text || !*text)
		return otherwise;
	value = strtoll(text, &end, 10);
	return *end ? otherwise : value;
}

static const char *words(const struct asked *asked, const char *name)
{
	const char *text = asked->param(asked->request, name);

	return text ? text : "";
}

/* ---- info ---- */

static void put_row(const struct gt_index *index, struct gt_sink *out, uint32_t at)
{
	const struct gt_index_row *row = &index->rows[at];

	put_number(out, "{\"row\":", at);
	put_number(out, ",\"kind\":", row->kind);
	put_number(out, ",\"id\":", (int64_t)row->id);
	put_number(out, ",\"count\":", row->count);
	if (row->kind == GT_INDEX_GOROUTINE) {
		put_number(out, ",\"group\":", row->group);
		put_number(out, ",\"parent\":", (int64_t)row->parent);
		put_number(out, ",\"born\":", row->born_ns);
		put_number(out, ",\"died\":", row->died_ns);
	}
	if (row->kind == GT_INDEX_M) {
		const struct gt_trace_thread *thread = gt_trace_thread(index->trace, row->id);

		put_number(out, ",\"tid\":", thread ? (int64_t)thread->tid : 0);
		put_string(out, ",\"name\":", thread ? thread->name : "");
	}
	put_number(out, ",\"since\":", row->count ? row->since_ns : 0);
	put_number(out, ",\"end\":", row->count ? row->end_ns : 0);
	put_times(out, ",\"ns\":", row->total_ns);
	put(out, "}");
}

static void put_words(struct gt_sink *out)
{
	put(out, ",\"states\":[");
	for (unsigned int i = 0; i < GT_INDEX_STATES; i++)
		put_string(out, i ? "," : "", gt_state_text(i));
	put(out, "],\"reasons\":[");
	for (unsigned int i = 0; i < GT_REASON_COUNT; i++)
		put_string(out, i ? "," : "", gt_reason_known(i) && i ? gt_reason_text(i) : "");
	put(out, "]");
}

static void info(const struct gt_index *index, struct gt_sink *out)
{
	struct gt_trace_damage damage;
	struct gt_trace_info facts;
	const char *key, *value;
	uint64_t count;
	bool first = true;
	size_t at = 0;

	gt_trace_info(index->trace, &facts);
	gt_trace_damage(index->trace, &damage);
	put_number(out, "{\"span_ns\":", index->span_ns);
	put_number(out, ",\"begin_ns\":", index->begin_ns);
	put(out, index->reading ? ",\"reading\":true" : ",\"reading\":false");
	put(out, index->stopped ? ",\"stopped\":true" : ",\"stopped\":false");
	put_number(out, ",\"read_ns\":", index->read_ns);
	put_number(out, ",\"events\":", (int64_t)index->events);
	put_number(out, ",\"events_expected\":", (int64_t)index->events_expected);
	put_number(out, ",\"slices\":", (int64_t)index->slices);
	put_number(out, ",\"index_bytes\":", (int64_t)index->bytes);
	put_number(out, ",\"start_realtime_ms\":", facts.start_realtime_ns / 1000000);
	put_number(out, ",\"complete_ns\":", facts.complete_ns > 0 ? facts.complete_ns : 0);
	put(out, facts.cut ? ",\"cut\":true" : ",\"cut\":false");
	put_number(out, ",\"lost\":", (int64_t)damage.events_lost);
	put_number(out, ",\"damaged\":", (int64_t)(damage.frames_bad + damage.records_bad + damage.order_broken));
	put_string(out, ",\"damage\":", damage.first);
	put(out, ",\"metas\":{");
	while (gt_trace_metas(index->trace, &at, &key, &value)) {
		put_string(out, first ? "" : ",", key);
		put_string(out, ":", value);
		first = false;
	}
	put(out, "},\"losses\":{");
	first = true;
	at = 0;
	while (gt_trace_losses(index->trace, &at, &key, &count)) {
		if (!count)
			continue;
		put_string(out, first ? "" : ",", key);
		put_number(out, ":", (int64_t)count);
		first = false;
	}
	put(out, "}");
	put_words(out);
	put(out, ",\"calls\":{");
	first = true;
	for (unsigned int i = 0; i < GT_INDEX_CALLS; i++) {
		const char *name = index->calls[i] ? gt_trace_syscall(index->trace, i) : NULL;

		if (!name)
			continue;
		put_number(out, first ? "\"" : ",\"", i + 1);
		put_string(out, "\":", name);
		first = false;
	}
	put(out, "},\"groups\":[");
	for (uint32_t i = 0; i < index->group_count; i++) {
		put_string(out, i ? ",{\"function\":" : "{\"function\":", index->groups[i].function);
		put_number(out, ",\"rows\":", index->groups[i].rows);
		put_times(out, ",\"ns\":", index->groups[i].total_ns);
		put(out, "}");
	}
	put(out, "],\"rows\":[");
	first = true;
	for (uint32_t i = 0; i < index->row_count; i++) {
		unsigned int kind = index->rows[i].kind;

		if (kind == GT_INDEX_GOROUTINE || kind == GT_INDEX_REGION)
			continue;
		put(out, first ? "" : ",");
		put_row(index, out, i);
		first = false;
	}
	put_number(out, "],\"goroutines\":", index->kinds[GT_INDEX_GOROUTINE]);
	put(out, "}");
}

/* ---- lists of goroutines ---- */

enum sort_key { BY_ID, BY_RUNNING, BY_RUNNABLE, BY_WAITING, BY_SYSCALL, BY_SINCE, BY_COUNT };

struct sorting {
	uint64_t value;
	uint32_t row;
};

static int by_value(const void *a, const void *b)
{
	const struct sorting *x = a, *y = b;

	if (x->value != y->value)
		return x->value < y->value ? -1 : 1;
	return x->row < y->row ? -1 : x->row > y->row;
}

static enum sort_key sort_key(const char *text)
{
	static const char *const names[] = {"id", "running", "runnable", "waiting", "syscall", "since", "count"};

	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(text, names[i]) == 0)
			return i;
	return BY_ID;
}

static uint64_t sort_value(const struct gt_index_row *row, enum sort_key key)
{
	switch (key) {
	case BY_RUNNABLE:
		return ~row->total_ns[GT_STATE_RUNNABLE];
	case BY_RUNNING:
		return ~row->total_ns[GT_STATE_RUNNING];
	case BY_SYSCALL:
		return ~row->total_ns[GT_STATE_SYSCALL];
	case BY_WAITING:
		return ~row->total_ns[GT_STATE_WAITING];
	case BY_SINCE:
		return row->count ? (uint64_t)row->since_ns : UINT64_MAX;
	case BY_COUNT:
		return ~(uint64_t)row->count;
	default:
		return row->id;
	}
}

/* Longest slice of a state at least so long, perhaps for a reason. */
static bool has_slice(const struct gt_index_row *row, int64_t state, int64_t reason, int64_t min_ns)
{
	if (state < 0 && reason < 0 && min_ns <= 0)
		return true;
	for (uint32_t i = 0; i < row->count; i++) {
		const struct gt_index_slice *slice = gt_index_slice(row, i);

		if ((state < 0 || slice->state == state) && (reason < 0 || slice->reason == reason) &&
			slice->end_ns - slice->since_ns >= min_ns)
			return true;
	}
	return false;
}

static bool contains(const char *text, const char *part)
{
	size_t size = strlen(part);

	for (; *text; text++)
		if (strncasecmp(text, part, size) == 0)
			return true;
	return !size;
}

static bool matches(const struct gt_index *index, const struct gt_index_row *row, const char *query)
{
	char id[24];

	if (!*query)
		return true;
	snprintf(id, sizeof(id), "g%" PRIu64, row->id);
	return strcasecmp(id, query) == 0 || strcmp(id + 1, query) == 0 ||
	       contains(index->groups[row->group].function, query);
}

static void goroutines(const struct gt_index *index, const struct asked *asked, struct gt_sink *out)
{
	int64_t group = number(asked, "group", -1), state = number(asked, "state", -1);
	int64_t reason = number(asked, "reason", -1), min_ns = number(asked, "min", 0);
	int64_t offset = number(asked, "offset", 0), limit = number(asked, "limit", 200);
	enum sort_key key = sort_key(words(asked, "sort"));
	const char *query = words(asked, "q");
	struct sorting *list = malloc((index->kinds[GT_INDEX_GOROUTINE] + 1) * sizeof(*list));
	int64_t count = 0;

	for (uint32_t i = 0; list && i < index->row_count; i++) {
		const struct gt_index_row *row = &index->rows[i];

		if (row->kind != GT_INDEX_GOROUTINE || (group >= 0 && row->group != group) ||
			!matches(index, row, query) || !has_slice(row, state, reason, min_ns))
			continue;
		list[count++] = (struct sorting){sort_value(row, key), i};
	}
	if (list)
		qsort(list, (size_t)count, sizeof(*list), by_value);
	limit = limit < 0 ? 0 : limit > LIST_MAX ? LIST_MAX : limit;
	put_number(out, "{\"total\":", count);
	put(out, ",\"rows\":[");
	for (int64_t i = offset < 0 ? 0 : offset, given = 0; i < count && given < limit; i++, given++) {
		put(out, given ? "," : "");
		put_row(index, out, list[i].row);
	}
	put(out, "]}");
	free(list);
}

/* ---- rows of pieces: for each a head {row, count} and its pieces, as struct gt_index_piece ---- */

static void pieces(const struct gt_index *index, const struct asked *asked, struct gt_sink *out)
{
	int64_t t0 = number(asked, "t0", 0), t1 = number(asked, "t1", index->span_ns),
		columns = number(asked, "px", 1000);
	const char *list = words(asked, "rows");
	struct gt_index_piece *buffer;
	char *end;

	if (columns < 1 || columns > COLUMNS_MAX || t1 <= t0 || t0 < -((int64_t)1 << 60) || t1 > (int64_t)1 << 60)
		return;
	buffer = malloc((2 * (size_t)columns + 2) * sizeof(*buffer));
	for (unsigned int i = 0; buffer && *list && i < ROWS_MAX; i++) {
		unsigned long row = strtoul(list, &end, 10);
		uint32_t head[2];

		if (end == list || row >= index->row_count)
			break;
		head[0] = (uint32_t)row;
		head[1] = (uint32_t)gt_index_pieces(&index->rows[row], t0, t1, (unsigned int)columns, buffer);
		gt_sink_write(out, head, sizeof(head));
		gt_sink_write(out, buffer, head[1] * sizeof(*buffer));
		list = *end == ',' ? end + 1 : end;
	}
	free(buffer);
}

/* ---- one slice ---- */

static void put_stack(const struct gt_index *index, struct gt_sink *out, uint32_t id)
{
	const struct gt_trace_stack *stack = id ? gt_trace_stack(index->trace, id) : NULL;
	bool first = true;

	put(out, ",\"stack\":[");
	for (uint32_t i = 0; stack && i < stack->count && i < FRAMES_MAX; i++) {
		const struct gt_trace_pc *pc = gt_trace_pc(index->trace, stack->pcs[i]);

		for (uint32_t j = 0; pc && j < pc->count; j++) {
			put_string(out, first ? "{\"function\":" : ",{\"function\":", pc->lines[j].function);
			put_string(out, ",\"file\":", pc->lines[j].file);
			put_number(out, ",\"line\":", pc->lines[j].line);
			put(out, "}");
			first = false;
		}
	}
	put(out, "]");
}

static void put_place(
	const struct gt_index *index, struct gt_sink *out, const char *before, uint32_t row, int64_t at_ns)
{
	put(out, before);
	if (row >= index->row_count) {
		put(out, "null");
		return;
	}
	put_number(out, "{\"row\":", row);
	put_number(out, ",\"id\":", (int64_t)index->rows[row].id);
	if (index->rows[row].kind == GT_INDEX_GOROUTINE)
		put_string(out, ",\"function\":", index->groups[index->rows[row].group].function);
	put_number(out, ",\"slice\":", gt_index_at(&index->rows[row], at_ns));
	put_number(out, ",\"at\":", at_ns);
	put(out, "}");
}

static void put_object(const struct gt_index *index, struct gt_sink *out, uint32_t at)
{
	const struct gt_index_object *object = at < index->object_count ? &index->objects[at] : NULL;
	char text[GT_TRACE_OBJECT_BYTES];

	if (!object || !object->what)
		return;
	put_string(out, ",\"object\":", gt_trace_object(index->trace, object->what, object->object, text));
	if (object->holder) {
		uint32_t row = gt_index_row_of(index, GT_INDEX_GOROUTINE, object->holder);

		put_number(out, ",\"holder\":{\"id\":", (int64_t)object->holder);
		if (row != UINT32_MAX)
			put_number(out, ",\"row\":", row);
		put(out, "}");
	}
}

/* Whom the goroutine woke or made while this slice lasted. */
static void put_woken(
	const struct gt_index *index, struct gt_sink *out, uint32_t row, const struct gt_index_slice *slice)
{
	uint32_t low = 1, high = index->wake_count;
	unsigned int given = 0;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (index->wakes[middle].at_ns >= slice->since_ns)
			high = middle;
		else
			low = middle + 1;
	}
	put(out, ",\"woke\":[");
	for (; low < index->wake_count && index->wakes[low].at_ns <= slice->end_ns && given < 100; low++)
		if (index->wakes[low].from == row)
			put_place(index, out, given++ ? "," : "", index->wakes[low].to, index->wakes[low].at_ns);
	put(out, "]");
}

static void slice_of_a_goroutine(
	const struct gt_index *index, struct gt_sink *out, uint32_t at, const struct gt_index_slice *slice)
{
	const char *call;

	switch (slice->state) {
	case GT_STATE_RUNNABLE:
		if (slice->link < index->wake_count && slice->link)
			put_place(index, out, ",\"waker\":", index->wakes[slice->link].from,
				index->wakes[slice->link].at_ns);
		break;
	case GT_STATE_WAITING:
		put_object(index, out, slice->detail);
		break;
	case GT_STATE_SYSCALL:
		call = slice->link ? gt_trace_syscall(index->trace, slice->link - 1) : NULL;
		if (call)
			put_string(out, ",\"call\":", call);
		put_number(out, ",\"m\":", slice->detail);
		break;
	default:
		put_number(out, ",\"m\":", slice->detail);
		put_woken(index, out, at, slice);
		break;
	}
	if (slice->p)
		put_number(out, ",\"p\":", slice->p - 1);
	put_stack(index, out, slice->stack);
}

static void one_slice(const struct gt_index *index, const struct asked *asked, struct gt_sink *out)
{
	int64_t row_at = number(asked, "row", -1), slice_at = number(asked, "slice", -1);
	const struct gt_index_row *row = row_at >= 0 && row_at < index->row_count ? &index->rows[row_at] : NULL;
	const struct gt_index_slice *slice;
	const uint64_t *name;

	if (row && slice_at < 0 && *words(asked, "at"))
		slice_at = gt_index_at(row, number(asked, "at", 0));
	if (!row || slice_at < 0 || slice_at >= row->count) {
		put(out, "{\"error\":\"there is no such slice\"}");
		return;
	}
	slice = gt_index_slice(row, (uint32_t)slice_at);
	put(out, "{\"in\":");
	put_row(index, out, (uint32_t)row_at);
	if (row->kind == GT_INDEX_GOROUTINE)
		put_string(out, ",\"function\":", index->groups[row->group].function);
	put_number(out, ",\"slice\":", slice_at);
	put_number(out, ",\"since\":", slice->since_ns);
	put_number(out, ",\"end\":", slice->end_ns);
	put_number(out, ",\"state\":", slice->state);
	put_number(out, ",\"reason\":", slice->reason);
	switch (row->kind) {
	case GT_INDEX_GOROUTINE:
		slice_of_a_goroutine(index, out, (uint32_t)row_at, slice);
		break;
	case GT_INDEX_P:
	case GT_INDEX_M:
		put_place(index, out, ",\"goroutine\":", slice->detail, slice->since_ns);
		if (slice->p)
			put_number(out, ",\"p\":", slice->p - 1);
		break;
	case GT_INDEX_CPU:
		name = gt_map_find(&index->threads, slice->detail);
		put_number(out, ",\"tid\":", slice->detail);
		put_string(out, ",\"name\":", name ? gt_trace_string(index->trace, *name) : "");
		break;
	case GT_INDEX_GC:
		put_number(out, ",\"cycle\":", slice->detail);
		put_string(out, ",\"name\":", row->id ? gt_trace_string(index->trace, slice->stack) : "");
		break;
	default:
		put_string(out, ",\"name\":", gt_trace_string(index->trace, slice->stack));
		put_number(out, ",\"task\":", slice->detail);
		break;
	}
	put(out, "}");
}

/* ---- counters ---- */

static void counters(const struct gt_index *index, const struct asked *asked, struct gt_sink *out)
{
	int64_t t0 = number(asked, "t0", 0), t1 = number(asked, "t1", index->span_ns),
		columns = number(asked, "px", 500);
	uint32_t step, first = 0, last = index->count_count;

	while (first + 1 < last && index->counts[first + 1].at_ns <= t0)
		first++;
	while (last > first + 1 && index->counts[last - 1].at_ns > t1)
		last--;
	columns = columns < 1 ? 1 : columns > COLUMNS_MAX ? COLUMNS_MAX : columns;
	step = (last - first) / (uint32_t)columns + 1;
	put(out, "{\"points\":[");
	for (uint32_t i = first; i < last; i += step) {
		const struct gt_index_count *most = &index->counts[i];

		put_number(out, i > first ? ",[" : "[", most->at_ns);
		for (unsigned int state = 1; state < GT_INDEX_STATES; state++) {
			uint32_t value = most->by_state[state];

			/* The highest of what one column stands for. */
			for (uint32_t j = i; j < i + step && j < last; j++)
				if (index->counts[j].by_state[state] > value)
					value = index->counts[j].by_state[state];
			put_number(out, ",", value);
		}
		put_number(out, ",", (int64_t)most->heap);
		put_number(out, ",", (int64_t)most->goal);
		put(out, "]");
	}
	put(out, "]}");
}

/* ---- where time went: stacks of a state, as a flame graph ---- */

struct flame {
	uint32_t stack;
	uint8_t reason;
	uint64_t ns, count;
};

static int by_ns(const void *a, const void *b)
{
	const struct flame *x = a, *y = b;

	return x->ns < y->ns ? 1 : x->ns > y->ns ? -1 : x->stack < y->stack ? -1 : x->stack > y->stack;
}

static void flames(const struct gt_index *index, const struct asked *asked, struct gt_sink *out)
{
	int64_t state = number(asked, "state", GT_STATE_WAITING), group = number(asked, "group", -1);
	int64_t t0 = number(asked, "t0", 0), t1 = number(asked, "t1", index->span_ns);
	struct gt_map places = {0};
	struct flame *list = malloc(FLAME_MAX * 4 * sizeof(*list));
	size_t count = 0;

	for (uint32_t i = 0; list && i < index->row_count; i++) {
		const struct gt_index_row *row = &index->rows[i];

		if (row->kind != GT_INDEX_GOROUTINE || (group >= 0 && row->group != group))
			continue;
		for (uint32_t j = gt_index_at(row, t0); j < row->count && gt_index_slice(row, j)->since_ns < t1; j++) {
			const struct gt_index_slice *slice = gt_index_slice(row, j);
			uint64_t key = (uint64_t)slice->stack << 8 | slice->reason, *at;
			int64_t from = slice->since_ns > t0 ? slice->since_ns : t0,
				to = slice->end_ns < t1 ? slice->end_ns : t1;

			if (slice->state != state)
				continue;
			at = gt_map_find(&places, key);
			if (!at && (count == (size_t)FLAME_MAX * 4 || gt_map_put(&places, key, count) < 0))
				continue;
			if (!at)
				list[count++] = (struct flame){.stack = slice->stack, .reason = slice->reason};
			at = gt_map_find(&places, key);
			list[*at].ns += (uint64_t)(to - from);
			list[*at].count++;
		}
	}
	gt_map_free(&places);
	if (list)
		qsort(list, count, sizeof(*list), by_ns);
	put(out, "{\"stacks\":[");
	for (size_t i = 0; i < count && i < FLAME_MAX; i++) {
		put_number(out, i ? ",{\"ns\":" : "{\"ns\":", (int64_t)list[i].ns);
		put_number(out, ",\"count\":", (int64_t)list[i].count);
		put_number(out, ",\"reason\":", list[i].reason);
		put_stack(index, out, list[i].stack);
		put(out, "}");
	}
	put(out, "]}");
	free(list);
}

static void latencies(const struct gt_index *index, struct gt_sink *out)
{
	put(out, "{\"runnable\":[");
	for (unsigned int i = 0; i < GT_INDEX_LATENCIES; i++)
		put_number(out, i ? "," : "", (int64_t)index->latencies[i]);
	put(out, "]}");
}

/* Rows of a goroutine's regions, and its own: for a list of goroutine rows. */
static void regions(const struct gt_index *index, const struct asked *asked, struct gt_sink *out)
{
	int64_t at = number(asked, "row", -1);
	bool first = true;

	put(out, "{\"rows\":[");
	for (uint64_t depth = 0; at >= 0 && at < index->row_count && depth < 15; depth++) {
		uint32_t row = gt_index_row_of(index, GT_INDEX_REGION, index->rows[at].id << 4 | depth);

		if (row == UINT32_MAX)
			break;
		put(out, first ? "" : ",");
		put_row(index, out, row);
		first = false;
	}
	put(out, "]}");
}

/* The goroutine with this id, as a row. */
static void find(const struct gt_index *index, const struct asked *asked, struct gt_sink *out)
{
	uint32_t row = gt_index_row_of(index, GT_INDEX_GOROUTINE, (uint64_t)number(asked, "g", 0));

	if (row == UINT32_MAX)
		put(out, "{\"error\":\"there is no such goroutine in this trace\"}");
	else
		put_row(index, out, row);
}

/* Several rows by their numbers. */
static void rows(const struct gt_index *index, const struct asked *asked, struct gt_sink *out)
{
	const char *list = words(asked, "rows");
	char *end;

	put(out, "{\"rows\":[");
	for (unsigned int given = 0; *list && given < ROWS_MAX; given++) {
		unsigned long row = strtoul(list, &end, 10);

		if (end == list || row >= index->row_count)
			break;
		put(out, given ? "," : "");
		put_row(index, out, (uint32_t)row);
		list = *end == ',' ? end + 1 : end;
	}
	put(out, "]}");
}

void gt_api(
	const struct gt_index *index, const char *what, gt_api_param *param, void *request, struct gt_api_answer *out)
{
	const struct asked asked = {param, request};
	struct gt_sink sink;

	*out = (struct gt_api_answer){.status = 200, .type = "application/json"};
	if (gt_sink_open_memory(&sink) < 0) {
		out->status = 500;
		return;
	}
	if (strcmp(what, "info") == 0) {
		info(index, &sink);
	} else if (strcmp(what, "goroutines") == 0) {
		goroutines(index, &asked, &sink);
	} else if (strcmp(what, "pieces") == 0) {
		out->type = "application/octet-stream";
		pieces(index, &asked, &sink);
	} else if (strcmp(what, "slice") == 0) {
		one_slice(index, &asked, &sink);
	} else if (strcmp(what, "counters") == 0) {
		counters(index, &asked, &sink);
	} else if (strcmp(what, "flames") == 0) {
		flames(index, &asked, &sink);
	} else if (strcmp(what, "latencies") == 0) {
		latencies(index, &sink);
	} else if (strcmp(what, "regions") == 0) {
		regions(index, &asked, &sink);
	} else if (strcmp(what, "rows") == 0) {
		rows(index, &asked, &sink);
	} else if (strcmp(what, "find") == 0) {
		find(index, &asked, &sink);
	} else {
		out->status = 404;
		put(&sink, "{\"error\":\"no such question\"}");
	}
	if (gt_sink_close(&sink, &out->bytes, &out->size, NULL) < 0)
		out->status = 500;
}
