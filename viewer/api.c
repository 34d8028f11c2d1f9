/* api.c - the questions by their names; what the trace is, lists of rows, and their pieces. */
#include "viewer/api.h"

#include "viewer/api_put.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- info ---- */

static void put_words(struct gt_sink *out)
{
	gt__put(out, ",\"states\":[");
	for (unsigned int i = 0; i < GT_INDEX_STATES; i++)
		gt__put_string(out, i ? "," : "", gt_state_text(i));
	gt__put(out, "],\"reasons\":[");
	for (unsigned int i = 0; i < GT_REASON_COUNT; i++)
		gt__put_string(out, i ? "," : "", gt_reason_known(i) && i ? gt_reason_text(i) : "");
	gt__put(out, "]");
}

static void put_threads(const struct gt_index *index, struct gt_sink *out)
{
	uint64_t tid, name;
	size_t at = 0;

	gt__put(out, ",\"threads\":{");
	for (unsigned int given = 0; given < GT__LIST_MAX && gt_map_next(&index->threads, &at, &tid, &name); given++) {
		gt__put_number(out, given ? ",\"" : "\"", (int64_t)tid);
		gt__put_string(out, "\":", gt_trace_string(index->trace, name));
	}
	gt__put(out, "}");
}

static void info(const struct gt_index *index, const struct gt__asked *asked, struct gt_sink *out)
{
	struct gt_trace_damage damage;
	struct gt_trace_info facts;
	const char *key, *value;
	uint64_t count;
	bool first = true;
	size_t at = 0;

	(void)asked;
	gt_trace_info(index->trace, &facts);
	gt_trace_damage(index->trace, &damage);
	gt__put_number(out, "{\"span_ns\":", index->span_ns);
	gt__put_number(out, ",\"begin_ns\":", index->begin_ns);
	gt__put(out, index->reading ? ",\"reading\":true" : ",\"reading\":false");
	gt__put(out, index->stopped ? ",\"stopped\":true" : ",\"stopped\":false");
	gt__put_number(out, ",\"read_ns\":", index->read_ns);
	gt__put_number(out, ",\"events\":", (int64_t)index->events);
	gt__put_number(out, ",\"events_expected\":", (int64_t)index->events_expected);
	gt__put_number(out, ",\"slices\":", (int64_t)index->slices);
	gt__put_number(out, ",\"index_bytes\":", (int64_t)index->bytes);
	gt__put_number(out, ",\"start_realtime_ms\":", facts.start_realtime_ns / 1000000);
	gt__put_number(out, ",\"complete_ns\":", facts.complete_ns > 0 ? facts.complete_ns : 0);
	gt__put(out, facts.cut ? ",\"cut\":true" : ",\"cut\":false");
	gt__put_number(out, ",\"lost\":", (int64_t)damage.events_lost);
	gt__put_number(out, ",\"damaged\":", (int64_t)(damage.frames_bad + damage.records_bad + damage.order_broken));
	gt__put_string(out, ",\"damage\":", damage.first);
	gt__put(out, ",\"metas\":{");
	while (gt_trace_metas(index->trace, &at, &key, &value)) {
		gt__put_string(out, first ? "" : ",", key);
		gt__put_string(out, ":", value);
		first = false;
	}
	gt__put(out, "},\"losses\":{");
	first = true;
	at = 0;
	while (gt_trace_losses(index->trace, &at, &key, &count)) {
		if (!count)
			continue;
		gt__put_string(out, first ? "" : ",", key);
		gt__put_number(out, ":", (int64_t)count);
		first = false;
	}
	gt__put(out, "}");
	put_words(out);
	put_threads(index, out);
	gt__put(out, ",\"calls\":{");
	first = true;
	for (unsigned int i = 0; i < GT_INDEX_CALLS; i++) {
		const char *name = index->calls[i] ? gt_trace_syscall(index->trace, i) : NULL;

		if (!name)
			continue;
		gt__put_number(out, first ? "\"" : ",\"", i + 1);
		gt__put_string(out, "\":", name);
		first = false;
	}
	gt__put(out, "},\"groups\":[");
	for (uint32_t i = 0; i < index->group_count; i++) {
		gt__put_string(out, i ? ",{\"function\":" : "{\"function\":", index->groups[i].function);
		gt__put_number(out, ",\"rows\":", index->groups[i].rows);
		gt__put_times(out, ",\"ns\":", index->groups[i].total_ns);
		gt__put(out, "}");
	}
	gt__put(out, "],\"rows\":[");
	first = true;
	for (uint32_t i = 0; i < index->row_count; i++) {
		unsigned int kind = index->rows[i].kind;

		if (kind == GT_INDEX_GOROUTINE || kind == GT_INDEX_REGION || kind == GT_INDEX_TASK)
			continue;
		gt__put(out, first ? "" : ",");
		gt__put_row(index, out, i);
		first = false;
	}
	gt__put_number(out, "],\"goroutines\":", index->kinds[GT_INDEX_GOROUTINE]);
	gt__put_number(out, ",\"tasks\":", index->kinds[GT_INDEX_TASK]);
	gt__put_number(out, ",\"regions\":", index->kinds[GT_INDEX_REGION]);
	gt__put_number(out, ",\"marks\":", index->marks.count);
	gt__put_number(out, ",\"samples\":", index->marks.kinds[GT_EV_CPU_SAMPLE]);
	gt__put_number(out, ",\"faults\":", index->marks.kinds[GT_EV_FAULT]);
	gt__put(out, "}");
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

static bool matches(const struct gt_index *index, const struct gt_index_row *row, const char *query)
{
	const char *name;
	char id[24];

	if (!*query)
		return true;
	if (row->kind == GT_INDEX_TASK) {
		name = row->count ? gt_trace_string(index->trace, gt_index_slice(row, 0)->stack) : NULL;
		return name && gt__contains(name, query);
	}
	snprintf(id, sizeof(id), "g%" PRIu64, row->id);
	return strcasecmp(id, query) == 0 || strcmp(id + 1, query) == 0 ||
	       gt__contains(index->groups[row->group].function, query);
}

/* Goroutines, or with kind=6 tasks. */
static void goroutines(const struct gt_index *index, const struct gt__asked *asked, struct gt_sink *out)
{
	int64_t group = gt__number(asked, "group", -1), state = gt__number(asked, "state", -1);
	int64_t reason = gt__number(asked, "reason", -1), min_ns = gt__number(asked, "min", 0);
	int64_t offset = gt__number(asked, "offset", 0), limit = gt__number(asked, "limit", 200);
	enum gt_index_kind kind = gt__number(asked, "kind", 0) == GT_INDEX_TASK ? GT_INDEX_TASK : GT_INDEX_GOROUTINE;
	enum sort_key key = sort_key(gt__words(asked, "sort"));
	const char *query = gt__words(asked, "q");
	struct sorting *list = malloc((index->kinds[kind] + 1) * sizeof(*list));
	int64_t count = 0;

	for (uint32_t i = 0; list && i < index->row_count; i++) {
		const struct gt_index_row *row = &index->rows[i];

		if (row->kind != kind || (group >= 0 && row->group != group) || !matches(index, row, query) ||
			!has_slice(row, state, reason, min_ns))
			continue;
		list[count++] = (struct sorting){sort_value(row, key), i};
	}
	if (list)
		qsort(list, (size_t)count, sizeof(*list), by_value);
	limit = limit < 0 ? 0 : limit > GT__LIST_MAX ? GT__LIST_MAX : limit;
	gt__put_number(out, "{\"total\":", count);
	gt__put(out, ",\"rows\":[");
	for (int64_t i = offset < 0 ? 0 : offset, given = 0; i < count && given < limit; i++, given++) {
		gt__put(out, given ? "," : "");
		gt__put_row(index, out, list[i].row);
	}
	gt__put(out, "]}");
	free(list);
}

#define PIECES_MAX (1u << 21) /* 64 MiB: a page of rows has a few thousand */

/* ---- rows of pieces: for each a head {row, count} and its pieces, as struct gt_index_piece ---- */

static void pieces(const struct gt_index *index, const struct gt__asked *asked, struct gt_sink *out)
{
	int64_t t0 = gt__number(asked, "t0", 0), t1 = gt__number(asked, "t1", index->span_ns),
		columns = gt__number(asked, "px", 1000);
	const char *list = gt__words(asked, "rows");
	struct gt_index_piece *buffer;
	size_t room = PIECES_MAX;
	uint32_t head[2];

	if (columns < 1 || columns > GT__COLUMNS_MAX || t1 <= t0 || t0 < -((int64_t)1 << 60) || t1 > (int64_t)1 << 60)
		return;
	buffer = malloc((2 * (size_t)columns + 2) * sizeof(*buffer));
	for (unsigned int i = 0; buffer && i < GT__ROWS_MAX && gt__next_of(&list, index->row_count, &head[0]); i++) {
		head[1] = (uint32_t)gt_index_pieces(&index->rows[head[0]], t0, t1, (unsigned int)columns, buffer);
		if (head[1] > room)
			break;
		room -= head[1];
		gt_sink_write(out, head, sizeof(head));
		gt_sink_write(out, buffer, head[1] * sizeof(*buffer));
	}
	free(buffer);
}

static void latencies(const struct gt_index *index, const struct gt__asked *asked, struct gt_sink *out)
{
	(void)asked;
	gt__put(out, "{\"runnable\":[");
	for (unsigned int i = 0; i < GT_INDEX_LATENCIES; i++)
		gt__put_number(out, i ? "," : "", (int64_t)index->latencies[i]);
	gt__put(out, "]}");
}

/* Rows of a goroutine's regions, and its own: for a list of goroutine rows. */
static void regions(const struct gt_index *index, const struct gt__asked *asked, struct gt_sink *out)
{
	int64_t at = gt__number(asked, "row", -1);
	bool first = true;

	gt__put(out, "{\"rows\":[");
	for (uint64_t depth = 0; at >= 0 && at < index->row_count && depth < 15; depth++) {
		uint32_t row = gt_index_row_of(index, GT_INDEX_REGION, index->rows[at].id << 4 | depth);

		if (row == UINT32_MAX)
			break;
		gt__put(out, first ? "" : ",");
		gt__put_row(index, out, row);
		first = false;
	}
	gt__put(out, "]}");
}

/* The goroutine with this id, as a row. */
static void find(const struct gt_index *index, const struct gt__asked *asked, struct gt_sink *out)
{
	uint32_t row = gt_index_row_of(index, GT_INDEX_GOROUTINE, (uint64_t)gt__number(asked, "g", 0));

	if (row == UINT32_MAX)
		gt__put(out, "{\"error\":\"there is no such goroutine in this trace\"}");
	else
		gt__put_row(index, out, row);
}

/* Texts by their ids: names of regions, tasks and stops. */
static void strings(const struct gt_index *index, const struct gt__asked *asked, struct gt_sink *out)
{
	const char *list = gt__words(asked, "ids");
	uint32_t id;

	gt__put(out, "{\"strings\":[");
	for (unsigned int given = 0; given < GT__ROWS_MAX && gt__next_of(&list, UINT32_MAX, &id); given++)
		gt__put_string(out, given ? "," : "", gt_trace_string(index->trace, id));
	gt__put(out, "]}");
}

/* Several rows by their numbers. */
static void rows(const struct gt_index *index, const struct gt__asked *asked, struct gt_sink *out)
{
	const char *list = gt__words(asked, "rows");
	uint32_t row;

	gt__put(out, "{\"rows\":[");
	for (unsigned int given = 0; given < GT__ROWS_MAX && gt__next_of(&list, index->row_count, &row); given++) {
		gt__put(out, given ? "," : "");
		gt__put_row(index, out, row);
	}
	gt__put(out, "]}");
}

void gt_api(
	const struct gt_index *index, const char *what, gt_api_param *param, void *request, struct gt_api_answer *out)
{
	static const struct {
		const char *name;
		void (*answer)(const struct gt_index *index, const struct gt__asked *asked, struct gt_sink *out);
	} questions[] = {
		{"info", info},
		{"goroutines", goroutines},
		{"pieces", pieces},
		{"slice", gt__api_slice},
		{"chain", gt__api_chain},
		{"task", gt__api_task},
		{"marks", gt__api_marks},
		{"counters", gt__api_counters},
		{"flames", gt__api_flames},
		{"functions", gt__api_functions},
		{"durations", gt__api_durations},
		{"longest", gt__api_longest},
		{"spans", gt__api_spans},
		{"latencies", latencies},
		{"regions", regions},
		{"rows", rows},
		{"strings", strings},
		{"find", find},
	};
	const struct gt__asked asked = {param, request};
	struct gt_sink sink;
	size_t i = 0;

	*out = (struct gt_api_answer){.status = 200, .type = "application/json"};
	if (gt_sink_open_memory(&sink) < 0) {
		out->status = 500;
		return;
	}
	while (i < sizeof(questions) / sizeof(questions[0]) && strcmp(what, questions[i].name) != 0)
		i++;
	if (i < sizeof(questions) / sizeof(questions[0])) {
		if (questions[i].answer == pieces)
			out->type = "application/octet-stream";
		questions[i].answer(index, &asked, &sink);
	} else {
		out->status = 404;
		gt__put(&sink, "{\"error\":\"no such question\"}");
	}
	if (gt_sink_close(&sink, &out->bytes, &out->size, NULL) < 0)
		out->status = 500;
}
