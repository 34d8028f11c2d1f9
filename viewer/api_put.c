/* api_put.c - see api_put.h. */
#include "viewer/api_put.h"

#include "format/convert/json.h"
#include "format/convert/text.h"
#include "format/wire/syscalls.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FRAMES_MAX 64
#define TIME_MAX   ((int64_t)1 << 60)

/* ---- parameters ---- */

int64_t gt__number(const struct gt__asked *asked, const char *name, int64_t otherwise)
{
	const char *text = asked->param(asked->request, name);
	char *end;
	long long value;

	if (!text || !*text)
		return otherwise;
	value = strtoll(text, &end, 10);
	return *end ? otherwise : value;
}

const char *gt__words(const struct gt__asked *asked, const char *name)
{
	const char *text = asked->param(asked->request, name);

	return text ? text : "";
}

bool gt__next_of(const char **list, uint32_t most, uint32_t *out)
{
	unsigned long value;
	char *end;

	if (!**list)
		return false;
	value = strtoul(*list, &end, 10);
	if (end == *list || value >= most)
		return false;
	*list = *end == ',' ? end + 1 : end;
	*out = (uint32_t)value;
	return true;
}

bool gt__contains(const char *text, const char *part)
{
	size_t size = strlen(part);

	for (; *text; text++)
		if (strncasecmp(text, part, size) == 0)
			return true;
	return !size;
}

static int64_t within(int64_t value)
{
	return value < -TIME_MAX ? -TIME_MAX : value > TIME_MAX ? TIME_MAX : value;
}

struct gt__chosen gt__chosen(const struct gt_index *index, const struct gt__asked *asked)
{
	return (struct gt__chosen){
		.t0 = within(gt__number(asked, "t0", -TIME_MAX)),
		.t1 = within(gt__number(asked, "t1", index->span_ns + 1)),
		.group = gt__number(asked, "group", -1),
		.row = gt__number(asked, "row", -1),
		.state = gt__number(asked, "state", -1),
		.reason = gt__number(asked, "reason", -1),
		.call = gt__number(asked, "call", -1),
		.min_ns = gt__number(asked, "min", 0),
	};
}

bool gt__is_chosen_row(const struct gt__chosen *chosen, const struct gt_index *index, uint32_t row)
{
	return index->rows[row].kind == GT_INDEX_GOROUTINE &&
	       (chosen->group < 0 || index->rows[row].group == chosen->group) &&
	       (chosen->row < 0 || row == chosen->row);
}

bool gt__is_chosen(const struct gt__chosen *chosen, const struct gt_index_slice *slice)
{
	return (chosen->state < 0 || slice->state == chosen->state) &&
	       (chosen->reason < 0 || slice->reason == chosen->reason) &&
	       (chosen->call < 0 || (slice->state == GT_STATE_SYSCALL && slice->link == chosen->call + 1)) &&
	       slice->end_ns - slice->since_ns >= chosen->min_ns;
}

/* ---- JSON ---- */

void gt__put(struct gt_sink *out, const char *text)
{
	gt_sink_write(out, text, strlen(text));
}

void gt__put_number(struct gt_sink *out, const char *before, int64_t value)
{
	char text[96];
	int size = snprintf(text, sizeof(text), "%s%" PRId64, before, value);

	gt_sink_write(out, text, (size_t)size);
}

void gt__put_string(struct gt_sink *out, const char *before, const char *text)
{
	struct gt__text *escaped = gt__text_new(text ? text : "", 2000);

	gt__put(out, before);
	gt__put(out, "\"");
	if (escaped)
		gt_sink_write(out, escaped->bytes, escaped->size);
	gt__put(out, "\"");
	free(escaped);
}

void gt__put_times(struct gt_sink *out, const char *before, const uint64_t ns[GT_INDEX_STATES])
{
	gt__put(out, before);
	gt__put(out, "[");
	for (unsigned int i = 0; i < GT_INDEX_STATES; i++)
		gt__put_number(out, i ? "," : "", (int64_t)ns[i]);
	gt__put(out, "]");
}

static void put_goroutine(const struct gt_index *index, struct gt_sink *out, const struct gt_index_row *row)
{
	gt__put_number(out, ",\"group\":", row->group);
	gt__put_number(out, ",\"parent\":", (int64_t)row->parent);
	gt__put_number(out, ",\"born\":", row->born_ns);
	gt__put_number(out, ",\"died\":", row->died_ns);
	if (gt_index_row_of(index, GT_INDEX_REGION, row->id << 4) != UINT32_MAX)
		gt__put(out, ",\"regions\":true");
}

void gt__put_row(const struct gt_index *index, struct gt_sink *out, uint32_t at)
{
	const struct gt_index_row *row = &index->rows[at];
	const struct gt_trace_thread *thread;

	gt__put_number(out, "{\"row\":", at);
	gt__put_number(out, ",\"kind\":", row->kind);
	gt__put_number(out, ",\"id\":", (int64_t)row->id);
	gt__put_number(out, ",\"count\":", row->count);
	switch (row->kind) {
	case GT_INDEX_GOROUTINE:
		put_goroutine(index, out, row);
		break;
	case GT_INDEX_M:
		thread = gt_trace_thread(index->trace, row->id);
		gt__put_number(out, ",\"tid\":", thread ? (int64_t)thread->tid : 0);
		gt__put_string(out, ",\"name\":", thread ? thread->name : "");
		break;
	case GT_INDEX_TASK:
		gt__put_number(out, ",\"parent\":", (int64_t)row->parent);
		gt__put_string(out,
			",\"name\":", row->count ? gt_trace_string(index->trace, gt_index_slice(row, 0)->stack) : "");
		break;
	default:
		break;
	}
	gt__put_number(out, ",\"since\":", row->count ? row->since_ns : 0);
	gt__put_number(out, ",\"end\":", row->count ? row->end_ns : 0);
	gt__put_times(out, ",\"ns\":", row->total_ns);
	gt__put(out, "}");
}

void gt__put_stack(const struct gt_index *index, struct gt_sink *out, uint32_t id)
{
	const struct gt_trace_stack *stack = id ? gt_trace_stack(index->trace, id) : NULL;
	bool first = true;

	gt__put(out, ",\"stack\":[");
	for (uint32_t i = 0; stack && i < stack->count && i < FRAMES_MAX; i++) {
		const struct gt_trace_pc *pc = gt_trace_pc(index->trace, stack->pcs[i]);

		for (uint32_t j = 0; pc && j < pc->count; j++) {
			gt__put_string(out, first ? "{\"function\":" : ",{\"function\":", pc->lines[j].function);
			gt__put_string(out, ",\"file\":", pc->lines[j].file);
			gt__put_number(out, ",\"line\":", pc->lines[j].line);
			gt__put(out, "}");
			first = false;
		}
	}
	gt__put(out, "]");
}

void gt__put_place(const struct gt_index *index, struct gt_sink *out, const char *before, uint32_t row, int64_t at_ns)
{
	gt__put(out, before);
	if (row >= index->row_count) {
		gt__put(out, "null");
		return;
	}
	gt__put_number(out, "{\"row\":", row);
	gt__put_number(out, ",\"id\":", (int64_t)index->rows[row].id);
	if (index->rows[row].kind == GT_INDEX_GOROUTINE)
		gt__put_string(out, ",\"function\":", index->groups[index->rows[row].group].function);
	gt__put_number(out, ",\"slice\":", gt_index_at(&index->rows[row], at_ns));
	gt__put_number(out, ",\"at\":", at_ns);
	gt__put(out, "}");
}

static bool is_fd(unsigned int what)
{
	return what >= GT_OBJECT_FD_READ && what <= GT_OBJECT_FD_CONNECT;
}

void gt__put_object(const struct gt_index *index, struct gt_sink *out, uint32_t at, int64_t at_ns)
{
	const struct gt_index_object *object = at < index->object_count ? &index->objects[at] : NULL;
	char text[GT_TRACE_OBJECT_BYTES];
	uint32_t name;

	if (!object || !object->what)
		return;
	gt_trace_object(index->trace, object->what, object->object, text);
	name = is_fd(object->what) ? gt_marks_fd(&index->marks, object->object, at_ns) : 0;
	/* What the descriptor was then, not what it is at the end of what was read. */
	if (name)
		text[strcspn(text, "0123456789") + strspn(text + strcspn(text, "0123456789"), "0123456789")] = '\0';
	gt__put_string(out, ",\"object\":", text);
	if (name)
		gt__put_string(out, ",\"fd\":", gt_trace_string(index->trace, name));
	if (object->holder) {
		uint32_t row = gt_index_row_of(index, GT_INDEX_GOROUTINE, object->holder);

		gt__put_number(out, ",\"holder\":{\"id\":", (int64_t)object->holder);
		if (row != UINT32_MAX)
			gt__put_number(out, ",\"row\":", row);
		gt__put(out, "}");
	}
}

/* ---- marks ---- */

static void put_text(const struct gt_index *index, struct gt_sink *out, const char *before, uint32_t string)
{
	if (string)
		gt__put_string(out, before, gt_trace_string(index->trace, string));
}

static void put_call(const struct gt_index *index, struct gt_sink *out, const struct gt_mark *mark)
{
	const char *name = gt_trace_syscall(index->trace, mark->b);

	if (name)
		gt__put_string(out, ",\"call\":", name);
	else
		gt__put_number(out, ",\"number\":", mark->b);
	if (name && gt_syscall_fd(mark->b) & GT_SYSCALL_FD_ARG) {
		gt__put_number(out, ",\"arg\":", (int64_t)(int32_t)mark->a);
		put_text(index, out, ",\"fd\":", gt_marks_fd(&index->marks, mark->a, mark->at_ns));
	}
	if (mark->error)
		gt__put_string(out, ",\"error\":", strerror(mark->error));
	else if (mark->c != UINT32_MAX)
		gt__put_number(out, ",\"result\":", mark->c);
	/* It made a descriptor: what of. */
	if (name && !mark->error && mark->c != UINT32_MAX && gt_syscall_fd(mark->b) & GT_SYSCALL_FD_RESULT)
		put_text(index, out, ",\"made\":",
			gt_marks_fd(&index->marks, mark->c, mark->at_ns + (mark->took_ns > 0 ? mark->took_ns : 0)));
}

static void put_task_name(const struct gt_index *index, struct gt_sink *out, uint64_t id)
{
	const uint64_t *at = gt_map_find(&index->marks.task_ids, id);

	if (!id)
		return;
	gt__put_number(out, ",\"task\":", (int64_t)id);
	if (at)
		put_text(index, out, ",\"task_name\":", index->marks.tasks[*at].name);
}

void gt__put_mark(const struct gt_index *index, struct gt_sink *out, const struct gt_mark *mark)
{
	char address[24];

	gt__put_number(out, "{\"at\":", mark->at_ns);
	gt__put_string(out, ",\"kind\":", gt_event_specs[mark->kind].text);
	if (mark->row < index->row_count) {
		gt__put_number(out, ",\"row\":", mark->row);
		gt__put_number(out, ",\"id\":", (int64_t)index->rows[mark->row].id);
		gt__put_number(out, ",\"group\":", index->rows[mark->row].group);
	}
	if (mark->took_ns >= 0)
		gt__put_number(out, ",\"took\":", mark->took_ns);
	switch (mark->kind) {
	case GT_EV_LOG:
		put_task_name(index, out, mark->a);
		put_text(index, out, ",\"name\":", mark->b);
		put_text(index, out, ",\"value\":", mark->c);
		break;
	case GT_EV_TASK_BEGIN:
	case GT_EV_TASK_END:
		put_task_name(index, out, mark->a);
		break;
	case GT_EV_ALLOC:
		put_text(index, out, ",\"type\":", mark->b);
		gt__put_number(out, ",\"bytes\":", (int64_t)mark->a);
		break;
	case GT_EV_FREE:
		gt__put_number(out, ",\"bytes\":", (int64_t)mark->a);
		break;
	case GT_EV_SYSCALL_INFO:
		put_call(index, out, mark);
		break;
	case GT_EV_GO_LABEL:
		put_text(index, out, ",\"name\":", mark->b);
		break;
	case GT_EV_WAKE_CAUSE:
		gt__put_string(out, ",\"name\":", gt_cause_text(mark->b));
		if (mark->b == GT_CAUSE_NETPOLL || mark->b == GT_CAUSE_DEADLINE) {
			gt__put_number(out, ",\"arg\":", mark->c);
			put_text(index, out, ",\"fd\":", gt_marks_fd(&index->marks, mark->c, mark->at_ns));
		}
		break;
	case GT_EV_CPU_SAMPLE:
		if (mark->a < UINT32_MAX)
			gt__put_number(out, ",\"cpu\":", (int64_t)mark->a);
		break;
	case GT_EV_FAULT:
		gt__put_number(out, ",\"tid\":", mark->b);
		snprintf(address, sizeof(address), "0x%" PRIx64, mark->a);
		gt__put_string(out, ",\"address\":", address);
		break;
	case GT_EV_MAPPED:
		put_text(index, out, ",\"name\":", mark->b);
		put_text(index, out, ",\"value\":", mark->c);
		gt__put_number(out, ",\"bytes\":", (int64_t)mark->a);
		break;
	case GT_EV_CPU_OTHER:
		put_text(index, out, ",\"name\":", mark->b);
		gt__put_number(out, ",\"tid\":", (int64_t)(mark->a & UINT32_MAX));
		gt__put_number(out, ",\"cpu\":", (int64_t)(mark->a >> 32));
		gt__put_number(out, ",\"from\":", mark->c);
		break;
	case GT_EV_TIMER_SET:
	case GT_EV_TIMER_FIRE:
	case GT_EV_THROTTLED:
		gt__put_number(out, ",\"ns\":", (int64_t)mark->a);
		break;
	case GT_EV_LOST:
	case GT_EV_PROCS:
		gt__put_number(out, ",\"number\":", (int64_t)mark->a);
		break;
	default:
		break;
	}
	if (mark->stack)
		gt__put_stack(index, out, mark->stack);
	gt__put(out, "}");
}

void gt__put_brief(const struct gt_index *index, struct gt_sink *out, uint32_t row, uint32_t at)
{
	const struct gt_index_slice slice = *gt_index_slice(&index->rows[row], at);
	const char *call;

	gt__put_number(out, "{\"row\":", row);
	gt__put_number(out, ",\"id\":", (int64_t)index->rows[row].id);
	gt__put_number(out, ",\"group\":", index->rows[row].group);
	gt__put_number(out, ",\"slice\":", at);
	gt__put_number(out, ",\"since\":", slice.since_ns);
	gt__put_number(out, ",\"end\":", slice.end_ns);
	gt__put_number(out, ",\"state\":", slice.state);
	gt__put_number(out, ",\"reason\":", slice.reason);
	if (slice.state == GT_STATE_WAITING)
		gt__put_object(index, out, slice.detail, slice.since_ns);
	call = slice.state == GT_STATE_SYSCALL && slice.link ? gt_trace_syscall(index->trace, slice.link - 1) : NULL;
	if (call)
		gt__put_string(out, ",\"call\":", call);
	gt__put(out, "}");
}
