/* api_slice.c - one slice and what is known of it, the chain of who woke whom that led to it, a task with what belongs to it. */
#include "viewer/api_put.h"

#include <stdlib.h>
#include <string.h>

#define WOKEN_MAX       100
#define MARKS_MAX       200    /* of one slice */
#define MARKS_SEEN_MAX  500000 /* of all rows, while a slice lasted */
#define CHAIN_MAX       200
#define REGIONS_MAX     500
#define MARKS_GIVEN_MAX 5000
#define NO_SLICE        UINT32_MAX

/* ---- one slice ---- */

/* Whom the goroutine woke or made while this slice lasted. */
static void put_woken(
	const struct gt_index *index, struct gt_sink *out, uint32_t row, const struct gt_index_slice *slice)
{
	unsigned int given = 0;

	gt__put(out, ",\"woke\":[");
	for (uint32_t i = gt__first_at(
		     &index->wakes[0].at_ns, sizeof(index->wakes[0]), 1, index->wake_count, slice->since_ns);
		i < index->wake_count && index->wakes[i].at_ns <= slice->end_ns && given < WOKEN_MAX; i++)
		if (index->wakes[i].from == row)
			gt__put_place(index, out, given++ ? "," : "", index->wakes[i].to, index->wakes[i].at_ns);
	gt__put(out, "]");
}

/* What the goroutine told while this slice lasted: logs, calls, allocations. */
static void put_marks(
	const struct gt_index *index, struct gt_sink *out, uint32_t row, const struct gt_index_slice *slice)
{
	const struct gt_marks *marks = &index->marks;
	uint32_t first = gt_marks_from(marks, slice->since_ns), given = 0, more = 0, faults = 0;

	gt__put(out, ",\"marks\":[");
	for (uint32_t i = first;
		i < marks->count && i - first < MARKS_SEEN_MAX && marks->list[i].at_ns <= slice->end_ns; i++) {
		const struct gt_mark *mark = &marks->list[i];

		/* What is told at its very end is of the next one, but for the stack there. */
		if (mark->row != row || mark->kind == GT_EV_EVENT_STACK ||
			(mark->at_ns == slice->end_ns && slice->end_ns > slice->since_ns))
			continue;
		faults += mark->kind == GT_EV_FAULT;
		if (given == MARKS_MAX) {
			more++;
			continue;
		}
		gt__put(out, given++ ? "," : "");
		gt__put_mark(index, out, mark);
	}
	gt__put(out, "]");
	gt__put_number(out, ",\"marks_more\":", more);
	if (faults)
		gt__put_number(out, ",\"faults\":", faults);
	if (marks->full_ns >= 0 && slice->end_ns > marks->full_ns)
		gt__put(out, ",\"marks_full\":true");
}

/* Why it became runnable: a goroutine, or what else. */
static void put_wake(const struct gt_index *index, struct gt_sink *out, const struct gt_index_slice *slice)
{
	const struct gt_index_wake *wake =
		slice->link && slice->link < index->wake_count ? &index->wakes[slice->link] : NULL;

	if (wake && wake->from < index->row_count) {
		gt__put_place(index, out, ",\"waker\":", wake->from, wake->at_ns);
		gt__put(out, ",\"wake\":{\"at\":0");
		gt__put_stack(index, out, gt_marks_stack(&index->marks, wake->from, wake->at_ns));
		gt__put(out, "}");
	} else if (slice->detail) {
		gt__put_string(out, ",\"cause\":", gt_cause_text(slice->detail));
	}
}

static void put_goroutines_slice(
	const struct gt_index *index, struct gt_sink *out, uint32_t at, const struct gt_index_slice *slice)
{
	const char *call;

	switch (slice->state) {
	case GT_STATE_RUNNABLE:
		put_wake(index, out, slice);
		break;
	case GT_STATE_WAITING:
		gt__put_object(index, out, slice->detail, slice->since_ns);
		break;
	case GT_STATE_SYSCALL:
		call = slice->link ? gt_trace_syscall(index->trace, slice->link - 1) : NULL;
		if (call)
			gt__put_string(out, ",\"call\":", call);
		gt__put_number(out, ",\"m\":", slice->detail);
		break;
	default:
		gt__put_number(out, ",\"m\":", slice->detail);
		gt__put_cpu(index, out, slice->detail, slice->since_ns, slice->end_ns);
		put_woken(index, out, at, slice);
		break;
	}
	if (slice->p)
		gt__put_number(out, ",\"p\":", slice->p - 1);
	put_marks(index, out, at, slice);
	gt__put_stack(index, out, slice->stack);
}

static void put_others_slice(const struct gt_index *index, struct gt_sink *out, const struct gt_index_row *row,
	const struct gt_index_slice *slice)
{
	const uint64_t *name;

	switch (row->kind) {
	case GT_INDEX_P:
	case GT_INDEX_M:
		gt__put_place(index, out, ",\"goroutine\":", slice->detail, slice->since_ns);
		if (slice->p)
			gt__put_number(out, ",\"p\":", slice->p - 1);
		if (row->kind == GT_INDEX_M && slice->state == GT_STATE_RUNNING)
			gt__put_cpu(index, out, row->id, slice->since_ns, slice->end_ns);
		break;
	case GT_INDEX_CPU:
		name = gt_map_find(&index->threads, slice->detail);
		gt__put_number(out, ",\"tid\":", slice->detail);
		gt__put_string(out, ",\"name\":", name ? gt_trace_string(index->trace, *name) : "");
		if (slice->state != GT_STATE_RUNNING)
			gt__put(out, ",\"other\":true");
		else if (slice->p)
			gt__put_string(out, ",\"left\":", slice->p == GT_INDEX_LEFT_RUNNABLE ? "preempted" : "waits");
		break;
	case GT_INDEX_GC:
		gt__put_number(out, ",\"cycle\":", slice->detail);
		gt__put_string(out, ",\"name\":", row->id ? gt_trace_string(index->trace, slice->stack) : "");
		break;
	case GT_INDEX_TASK:
		gt__put_string(out, ",\"name\":", gt_trace_string(index->trace, slice->stack));
		gt__put_number(out, ",\"task\":", (int64_t)row->id);
		gt__put_place(index, out, ",\"goroutine\":", slice->detail, slice->since_ns);
		break;
	default: /* a region */
		gt__put_string(out, ",\"name\":", gt_trace_string(index->trace, slice->stack));
		gt__put_number(out, ",\"task\":", slice->detail);
		gt__put_place(index, out, ",\"goroutine\":", gt_index_row_of(index, GT_INDEX_GOROUTINE, row->id >> 4),
			slice->since_ns);
		break;
	}
}

/* Row and slice of a question, or false: then the error is written. */
static bool slice_asked(const struct gt_index *index, const struct gt__asked *asked, struct gt_sink *out,
	uint32_t *row_out, uint32_t *slice_out)
{
	int64_t row = gt__number(asked, "row", -1), slice = gt__number(asked, "slice", -1);

	if (row >= 0 && row < index->row_count && slice < 0 && *gt__words(asked, "at"))
		slice = gt_index_at(&index->rows[row], gt__number(asked, "at", 0));
	if (row < 0 || row >= index->row_count || slice < 0 || slice >= index->rows[row].count) {
		gt__put(out, "{\"error\":\"there is no such slice\"}");
		return false;
	}
	*row_out = (uint32_t)row;
	*slice_out = (uint32_t)slice;
	return true;
}

void gt__api_slice(const struct gt_index *index, const struct gt__asked *asked, struct gt_sink *out)
{
	const struct gt_index_row *row;
	struct gt_index_slice slice;
	uint32_t row_at, slice_at;

	if (!slice_asked(index, asked, out, &row_at, &slice_at))
		return;
	row = &index->rows[row_at];
	slice = *gt_index_slice(row, slice_at);
	gt__put(out, "{\"in\":");
	gt__put_row(index, out, row_at);
	if (row->kind == GT_INDEX_GOROUTINE)
		gt__put_string(out, ",\"function\":", index->groups[row->group].function);
	gt__put_number(out, ",\"slice\":", slice_at);
	gt__put_number(out, ",\"since\":", slice.since_ns);
	gt__put_number(out, ",\"end\":", slice.end_ns);
	gt__put_number(out, ",\"state\":", slice.state);
	gt__put_number(out, ",\"reason\":", slice.reason);
	if (row->kind == GT_INDEX_GOROUTINE)
		put_goroutines_slice(index, out, row_at, &slice);
	else
		put_others_slice(index, out, row, &slice);
	gt__put(out, "}");
}

/* ---- the chain: who woke it, who woke that one before, ... ---- */

/* The runnable slice that @at's running came from, by a wake-up; @at itself or the next when it waits. NO_SLICE: there is none. */
static uint32_t woken_at(const struct gt_index_row *row, uint32_t at)
{
	if (gt_index_slice(row, at)->state == GT_STATE_WAITING) {
		at++;
		return at < row->count && gt_index_slice(row, at)->state == GT_STATE_RUNNABLE ? at : NO_SLICE;
	}
	for (;; at--) {
		const struct gt_index_slice *slice = gt_index_slice(row, at);

		if (slice->state == GT_STATE_RUNNABLE && (slice->link || slice->detail))
			return at;
		if (slice->state == GT_STATE_WAITING || !at)
			return NO_SLICE;
	}
}

static void put_step(const struct gt_index *index, struct gt_sink *out, uint32_t row_at, uint32_t at,
	const struct gt_index_wake *wake)
{
	const struct gt_index_row *row = &index->rows[row_at];
	bool waited = at && gt_index_slice(row, at - 1)->state == GT_STATE_WAITING;

	gt__put_place(index, out, "{\"woken\":", row_at, gt_index_slice(row, at)->since_ns);
	gt__put_number(out, ",\"at\":", gt_index_slice(row, at)->since_ns);
	gt__put_number(out, ",\"runnable_ns\":", gt_index_slice(row, at)->end_ns - gt_index_slice(row, at)->since_ns);
	if (waited) {
		gt__put(out, ",\"waited\":");
		gt__put_brief(index, out, row_at, at - 1);
	}
	if (wake) {
		gt__put_place(index, out, ",\"waker\":", wake->from, wake->at_ns);
		gt__put(out, ",\"wake\":{\"at\":0");
		gt__put_stack(index, out, gt_marks_stack(&index->marks, wake->from, wake->at_ns));
		gt__put(out, "}");
	} else {
		gt__put_string(out, ",\"cause\":", gt_cause_text(gt_index_slice(row, at)->detail));
	}
	gt__put(out, "}");
}

void gt__api_chain(const struct gt_index *index, const struct gt__asked *asked, struct gt_sink *out)
{
	int64_t before_ns = INT64_MAX;
	uint32_t row, at;
	bool more = false;

	if (!slice_asked(index, asked, out, &row, &at))
		return;
	gt__put(out, "{\"steps\":[");
	for (unsigned int given = 0; index->rows[row].kind == GT_INDEX_GOROUTINE; given++) {
		const struct gt_index_slice *slice;
		const struct gt_index_wake *wake = NULL;

		at = woken_at(&index->rows[row], at);
		if (at == NO_SLICE)
			break;
		slice = gt_index_slice(&index->rows[row], at);
		if (slice->link && slice->link < index->wake_count && index->wakes[slice->link].from < index->row_count)
			wake = &index->wakes[slice->link];
		/* Time goes back with each step, whatever a file claims: so it ends. */
		if (slice->since_ns >= before_ns)
			break;
		if (given == CHAIN_MAX) {
			more = true;
			break;
		}
		before_ns = slice->since_ns;
		gt__put(out, given ? "," : "");
		put_step(index, out, row, at, wake);
		if (!wake)
			break;
		row = wake->from;
		at = gt_index_at(&index->rows[row], wake->at_ns);
		if (at >= index->rows[row].count)
			break;
		/* At the very end of a wait that it ended itself: what ran is the one before. */
		if (at && gt_index_slice(&index->rows[row], at)->since_ns >= wake->at_ns)
			at--;
	}
	gt__put(out, more ? "],\"more\":true}" : "]}");
}

/* ---- a task ---- */

static void put_regions(const struct gt_index *index, struct gt_sink *out, uint64_t task)
{
	unsigned int given = 0;

	gt__put(out, ",\"regions\":[");
	for (uint32_t i = 0; i < index->row_count && index->kinds[GT_INDEX_REGION]; i++) {
		const struct gt_index_row *row = &index->rows[i];

		for (uint32_t j = 0; row->kind == GT_INDEX_REGION && j < row->count && given < REGIONS_MAX; j++) {
			if (gt_index_slice(row, j)->detail != (uint32_t)task)
				continue;
			gt__put_number(out, given++ ? ",{\"row\":" : "{\"row\":", i);
			gt__put_number(out, ",\"slice\":", j);
			gt__put_number(out, ",\"g\":", (int64_t)(row->id >> 4));
			gt__put_number(out, ",\"since\":", gt_index_slice(row, j)->since_ns);
			gt__put_number(out, ",\"end\":", gt_index_slice(row, j)->end_ns);
			gt__put_string(out, ",\"name\":", gt_trace_string(index->trace, gt_index_slice(row, j)->stack));
			gt__put(out, "}");
		}
	}
	gt__put(out, "]");
}

static void put_logs(const struct gt_index *index, struct gt_sink *out, const struct gt_mark_task *task)
{
	const struct gt_marks *marks = &index->marks;
	unsigned int given = 0;

	gt__put(out, ",\"logs\":[");
	for (uint32_t i = gt_marks_from(marks, task->since_ns); i < marks->count && given < REGIONS_MAX; i++) {
		if (task->end_ns >= 0 && marks->list[i].at_ns > task->end_ns)
			break;
		if (marks->list[i].kind != GT_EV_LOG || marks->list[i].a != task->id)
			continue;
		gt__put(out, given++ ? "," : "");
		gt__put_mark(index, out, &marks->list[i]);
	}
	gt__put(out, "]");
}

static void put_children(const struct gt_index *index, struct gt_sink *out, uint64_t parent)
{
	unsigned int given = 0;

	gt__put(out, ",\"children\":[");
	for (uint32_t i = 0; i < index->marks.task_count && given < WOKEN_MAX; i++) {
		const struct gt_mark_task *task = &index->marks.tasks[i];

		if (task->parent != parent)
			continue;
		gt__put_number(out, given++ ? ",{\"id\":" : "{\"id\":", (int64_t)task->id);
		gt__put_string(out, ",\"name\":", gt_trace_string(index->trace, task->name));
		gt__put_number(out, ",\"row\":", gt_index_row_of(index, GT_INDEX_TASK, task->id));
		gt__put(out, "}");
	}
	gt__put(out, "]");
}

void gt__api_task(const struct gt_index *index, const struct gt__asked *asked, struct gt_sink *out)
{
	uint64_t id = (uint64_t)gt__number(asked, "id", 0);
	const uint64_t *at = gt_map_find(&index->marks.task_ids, id);
	const struct gt_mark_task *task = at ? &index->marks.tasks[*at] : NULL;
	uint32_t row = gt_index_row_of(index, GT_INDEX_TASK, id);

	if (!task || row == UINT32_MAX) {
		gt__put(out, "{\"error\":\"there is no such task in this trace\"}");
		return;
	}
	gt__put_number(out, "{\"id\":", (int64_t)task->id);
	gt__put_string(out, ",\"name\":", gt_trace_string(index->trace, task->name));
	gt__put_number(out, ",\"row\":", row);
	gt__put_number(out, ",\"since\":", task->since_ns);
	gt__put_number(out, ",\"end\":", task->end_ns);
	gt__put_number(out, ",\"parent\":", (int64_t)task->parent);
	gt__put_place(index, out, ",\"began\":", task->row, task->since_ns);
	gt__put_place(index, out, ",\"ended\":", task->ended_by, task->end_ns);
	put_children(index, out, id);
	put_regions(index, out, id);
	put_logs(index, out, task);
	gt__put(out, "}");
}

/* ---- marks between two times ---- */

static bool has_words(const struct gt_index *index, const struct gt_mark *mark, const char *query)
{
	const char *texts[] = {gt_event_specs[mark->kind].text, "", ""};

	if (!*query)
		return true;
	if (mark->kind == GT_EV_SYSCALL_INFO) {
		texts[1] = gt_trace_syscall(index->trace, mark->b);
		texts[2] = gt_trace_string(index->trace, gt_marks_fd(&index->marks, mark->a, mark->at_ns));
	} else if (mark->kind != GT_EV_WAKE_CAUSE && mark->kind != GT_EV_FAULT) {
		texts[1] = gt_trace_string(index->trace, mark->b);
		texts[2] = mark->kind == GT_EV_LOG || mark->kind == GT_EV_MAPPED
				   ? gt_trace_string(index->trace, mark->c)
				   : "";
	}
	for (unsigned int i = 0; i < 3; i++)
		if (texts[i] && gt__contains(texts[i], query))
			return true;
	return false;
}

void gt__api_marks(const struct gt_index *index, const struct gt__asked *asked, struct gt_sink *out)
{
	const struct gt_marks *marks = &index->marks;
	struct gt__chosen chosen = gt__chosen(index, asked);
	int64_t kind = gt__number(asked, "kind", -1), limit = gt__number(asked, "limit", 500);
	const char *query = gt__words(asked, "q");
	int64_t given = 0, more = 0;

	limit = limit < 0 ? 0 : limit > MARKS_GIVEN_MAX ? MARKS_GIVEN_MAX : limit;
	gt__put(out, "{\"marks\":[");
	for (uint32_t i = gt_marks_from(marks, chosen.t0); i < marks->count && marks->list[i].at_ns < chosen.t1; i++) {
		const struct gt_mark *mark = &marks->list[i];

		if ((kind >= 0 && mark->kind != kind) || mark->kind == GT_EV_EVENT_STACK ||
			((chosen.row >= 0 || chosen.group >= 0) &&
				(mark->row >= index->row_count || !gt__is_chosen_row(&chosen, index, mark->row))) ||
			!has_words(index, mark, query))
			continue;
		if (given == limit) {
			more++;
			continue;
		}
		gt__put(out, given++ ? "," : "");
		gt__put_mark(index, out, mark);
	}
	gt__put_number(out, "],\"more\":", more);
	gt__put_number(out, ",\"full\":", marks->full_ns);
	gt__put(out, ",\"kinds\":[");
	given = 0;
	for (unsigned int i = 0; i < GT_EVENT_KIND_COUNT; i++) {
		if (!marks->kinds[i] || i == GT_EV_EVENT_STACK)
			continue;
		gt__put_number(out, given++ ? ",{\"kind\":" : "{\"kind\":", i);
		gt__put_string(out, ",\"name\":", gt_event_specs[i].text);
		gt__put_number(out, ",\"count\":", marks->kinds[i]);
		gt__put(out, "}");
	}
	gt__put(out, "]}");
}
