/* marks.c - see marks.h. */
#include "viewer/marks.h"

#include <stdlib.h>
#include <string.h>

#define NO_ROW        UINT32_MAX
#define BEHIND        8  /* marks that a stack may be for: all of one moment */
#define TYPE_BEHIND   64 /* marks between an allocation and its type: other threads' */
#define FD_TELLS_MAX  10000
#define TASKS_MAX     (1u << 20)
#define ITSELF(event) [GT_EV_##event] = 1

const int8_t gt_marks_wants[GT_EVENT_KIND_COUNT] = {
	ITSELF(LOG),
	ITSELF(TASK_BEGIN),
	ITSELF(TASK_END),
	ITSELF(REGION_BEGIN),
	ITSELF(EVENT_STACK),
	ITSELF(SYSCALL_INFO),
	ITSELF(SYSCALL_RESULT),
	ITSELF(SYSCALL_LONG),
	ITSELF(SYSCALL_STACK),
	ITSELF(ALLOC),
	ITSELF(ALLOC_TYPE),
	ITSELF(FREE),
	ITSELF(ASSIST_BEGIN),
	ITSELF(ASSIST_END),
	ITSELF(GO_LABEL),
	ITSELF(WAKE_CAUSE),
	ITSELF(TIMER_SET),
	ITSELF(TIMER_STOP),
	ITSELF(CPU_SAMPLE),
	[GT_EV_FAULT] = -1, /* of the goroutine that its thread runs */
	[GT_EV_FD_NAME] = -1,
	[GT_EV_LOST] = -1,
	[GT_EV_THROTTLED] = -1,
	[GT_EV_PROCS] = -1,
	[GT_EV_TIMER_FIRE] = -1,
	[GT_EV_MAPPED] = -1,
	[GT_EV_CPU_OTHER] = -1,
};

void gt_marks_init(struct gt_marks *marks, uint64_t bytes_max)
{
	*marks = (struct gt_marks){.bytes_max = bytes_max ? bytes_max : UINT64_C(1) << 30, .full_ns = -1};
}

void gt_marks_free(struct gt_marks *marks)
{
	free(marks->list);
	free(marks->tasks);
	free(marks->fds);
	gt_map_free(&marks->task_ids);
	gt_map_free(&marks->fd_last);
	gt_map_free(&marks->calls);
	gt_map_free(&marks->assists);
}

static bool grow(struct gt_marks *marks, void *array, uint32_t *room, size_t each)
{
	uint32_t more = *room ? *room + *room / 2 : 256;
	void *grown;

	if (marks->bytes + (more - *room) * each > marks->bytes_max)
		return false;
	grown = realloc(*(void **)array, (size_t)more * each);
	if (!grown)
		return false;
	marks->bytes += (more - *room) * each;
	*(void **)array = grown;
	*room = more;
	return true;
}

static struct gt_mark *add(struct gt_marks *marks, const struct gt_event *event, int64_t at_ns, uint32_t row)
{
	struct gt_mark *mark;

	if (marks->count == marks->room &&
		(marks->full_ns >= 0 || !grow(marks, &marks->list, &marks->room, sizeof(*marks->list)))) {
		if (marks->full_ns < 0)
			marks->full_ns = at_ns;
		return NULL;
	}
	mark = &marks->list[marks->count++];
	*mark = (struct gt_mark){.at_ns = at_ns, .took_ns = -1, .row = row, .kind = event->kind};
	marks->kinds[event->kind]++;
	return mark;
}

static uint32_t id32(uint64_t id)
{
	return id <= UINT32_MAX ? (uint32_t)id : 0;
}

/* ---- what follows a mark, and belongs to it ---- */

static void add_stack(struct gt_marks *marks, const struct gt_event *event, int64_t now, uint32_t row)
{
	struct gt_mark *mark;

	for (uint32_t i = 0; i < BEHIND && i < marks->count; i++) {
		mark = &marks->list[marks->count - 1 - i];
		if (mark->at_ns != now)
			break;
		if (mark->row == row && !mark->stack) {
			mark->stack = id32(event->args[1]);
			return;
		}
	}
	mark = add(marks, event, now, row);
	if (mark)
		mark->stack = id32(event->args[1]);
}

static void add_type(struct gt_marks *marks, const struct gt_event *event, uint32_t row)
{
	for (uint32_t i = 0; i < TYPE_BEHIND && i < marks->count; i++) {
		struct gt_mark *mark = &marks->list[marks->count - 1 - i];

		if (mark->row != row || mark->kind != GT_EV_ALLOC)
			continue;
		if (!mark->b)
			mark->b = id32(event->args[1]);
		return;
	}
}

static void open_mark(struct gt_marks *marks, struct gt_map *map, uint32_t row, const struct gt_mark *mark)
{
	if (row != NO_ROW && mark)
		gt_map_put(map, row, (uint64_t)(mark - marks->list));
}

static struct gt_mark *opened(const struct gt_marks *marks, const struct gt_map *map, uint32_t row)
{
	const uint64_t *at = gt_map_find(map, row);

	return at && *at < marks->count ? &marks->list[*at] : NULL;
}

static void call(struct gt_marks *marks, const struct gt_event *event, int64_t now, uint32_t row)
{
	uint64_t before = event->kind == GT_EV_SYSCALL_LONG ? event->args[4] : 0;
	struct gt_mark *mark;

	if (row == NO_ROW)
		return;
	mark = add(marks, event, now, row);
	if (!mark)
		return;
	/* Marks stand in order of time; that it began earlier is told when it ends. */
	mark->kind = GT_EV_SYSCALL_INFO;
	mark->took_ns = before < INT64_MAX ? -1 - (int64_t)before : -1;
	mark->a = event->args[2];
	mark->b = id32(event->args[1]);
	mark->c = UINT32_MAX;
	open_mark(marks, &marks->calls, row, mark);
}

static void call_result(struct gt_marks *marks, const struct gt_event *event, int64_t now, uint32_t row)
{
	struct gt_mark *mark = opened(marks, &marks->calls, row);

	if (!mark || mark->b != event->args[1])
		return;
	mark->took_ns = now - mark->at_ns - (mark->took_ns + 1);
	mark->error = event->args[3] < UINT8_MAX ? (uint8_t)event->args[3] : UINT8_MAX;
	mark->c = event->args[2] < UINT32_MAX ? (uint32_t)event->args[2] : UINT32_MAX;
	gt_map_remove(&marks->calls, row);
}

static void assist_end(struct gt_marks *marks, int64_t now, uint32_t row)
{
	struct gt_mark *mark = opened(marks, &marks->assists, row);

	if (mark)
		mark->took_ns = now - mark->at_ns;
	gt_map_remove(&marks->assists, row);
}

/* ---- tasks, descriptors ---- */

static void task_begin(struct gt_marks *marks, const struct gt_event *event, int64_t now, uint32_t row)
{
	if (marks->task_count == TASKS_MAX || gt_map_find(&marks->task_ids, event->args[1]) ||
		(marks->task_count == marks->task_room &&
			!grow(marks, &marks->tasks, &marks->task_room, sizeof(*marks->tasks))) ||
		gt_map_put(&marks->task_ids, event->args[1], marks->task_count) < 0)
		return;
	marks->tasks[marks->task_count++] = (struct gt_mark_task){
		.id = event->args[1],
		.parent = event->args[2],
		.since_ns = now,
		.end_ns = -1,
		.name = id32(event->args[3]),
		.row = row,
		.ended_by = NO_ROW,
	};
}

static void task_end(struct gt_marks *marks, const struct gt_event *event, int64_t now, uint32_t row)
{
	const uint64_t *at = gt_map_find(&marks->task_ids, event->args[1]);

	if (!at || marks->tasks[*at].end_ns >= 0)
		return;
	marks->tasks[*at].end_ns = now;
	marks->tasks[*at].ended_by = row;
}

static void fd_name(struct gt_marks *marks, const struct gt_event *event, int64_t now)
{
	const uint64_t *last = gt_map_find(&marks->fd_last, event->args[0]);
	uint32_t before = last ? (uint32_t)*last + 1 : 0;

	if ((marks->fd_count == marks->fd_room && !grow(marks, &marks->fds, &marks->fd_room, sizeof(*marks->fds))) ||
		gt_map_put(&marks->fd_last, event->args[0], marks->fd_count) < 0)
		return;
	marks->fds[marks->fd_count++] =
		(struct gt_mark_fd){.at_ns = now, .name = id32(event->args[1]), .before = before};
}

/* ---- one event ---- */

static void simple(struct gt_marks *marks, const struct gt_event *event, int64_t now, uint32_t row)
{
	const uint64_t *args = event->args;
	struct gt_mark *mark = add(marks, event, now, row);

	if (!mark)
		return;
	switch (event->kind) {
	case GT_EV_LOG:
		mark->a = args[1];
		mark->b = id32(args[2]);
		mark->c = id32(args[3]);
		break;
	case GT_EV_TASK_BEGIN:
		mark->a = args[1];
		mark->b = id32(args[3]);
		break;
	case GT_EV_TASK_END:
		mark->a = args[1];
		break;
	case GT_EV_ALLOC:
		mark->a = args[2];
		mark->stack = id32(args[4]);
		break;
	case GT_EV_FREE:
	case GT_EV_TIMER_SET:
		mark->a = args[2];
		break;
	case GT_EV_ASSIST_BEGIN:
		mark->stack = id32(args[1]);
		open_mark(marks, &marks->assists, row, mark);
		break;
	case GT_EV_GO_LABEL:
		mark->b = id32(args[1]);
		break;
	case GT_EV_WAKE_CAUSE:
		mark->b = id32(args[1]);
		mark->c = id32(args[2]);
		break;
	case GT_EV_CPU_SAMPLE:
		mark->a = args[2];
		mark->stack = id32(args[3]);
		break;
	case GT_EV_TIMER_FIRE:
		mark->a = args[1];
		break;
	case GT_EV_FAULT:
		mark->a = args[1];
		mark->b = id32(args[0]);
		break;
	case GT_EV_MAPPED:
		mark->a = args[1];
		mark->b = id32(args[3]);
		mark->c = id32(args[4]);
		break;
	case GT_EV_CPU_OTHER:
		mark->a = id32(args[0]) | (uint64_t)id32(args[1]) << 32;
		mark->b = id32(args[2]);
		mark->c = id32(args[3]);
		break;
	case GT_EV_PROCS:
		mark->stack = id32(args[1]);
		mark->a = args[0];
		break;
	default: /* Lost, Throttled: how many, how long */
		mark->a = args[0];
		break;
	}
}

void gt_marks_event(struct gt_marks *marks, const struct gt_event *event, int64_t now, uint32_t row)
{
	struct gt_mark *last;

	switch (event->kind) {
	case GT_EV_EVENT_STACK:
		add_stack(marks, event, now, row);
		break;
	case GT_EV_ALLOC_TYPE:
		add_type(marks, event, row);
		break;
	case GT_EV_SYSCALL_INFO:
	case GT_EV_SYSCALL_LONG:
		call(marks, event, now, row);
		break;
	case GT_EV_SYSCALL_RESULT:
		call_result(marks, event, now, row);
		break;
	case GT_EV_SYSCALL_STACK:
		last = opened(marks, &marks->calls, row);
		if (last)
			last->stack = id32(event->args[1]);
		break;
	case GT_EV_ASSIST_END:
		assist_end(marks, now, row);
		break;
	case GT_EV_FD_NAME:
		fd_name(marks, event, now);
		break;
	case GT_EV_REGION_BEGIN:
		/* Regions have rows. The stack that follows belongs to this moment, not to what was before. */
		break;
	case GT_EV_TASK_BEGIN:
		task_begin(marks, event, now, row);
		simple(marks, event, now, row);
		break;
	case GT_EV_TASK_END:
		task_end(marks, event, now, row);
		simple(marks, event, now, row);
		break;
	default:
		simple(marks, event, now, row);
		break;
	}
}

/* ---- questions ---- */

uint32_t gt__first_at(const int64_t *times, size_t each, uint32_t low, uint32_t high, int64_t at_ns)
{
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (*(const int64_t *)(const void *)((const char *)times + middle * each) >= at_ns)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

uint32_t gt_marks_from(const struct gt_marks *marks, int64_t at_ns)
{
	return marks->count ? gt__first_at(&marks->list[0].at_ns, sizeof(marks->list[0]), 0, marks->count, at_ns) : 0;
}

uint32_t gt_marks_stack(const struct gt_marks *marks, uint32_t row, int64_t at_ns)
{
	for (uint32_t i = gt_marks_from(marks, at_ns); i < marks->count && marks->list[i].at_ns == at_ns; i++)
		if (marks->list[i].row == row && marks->list[i].stack)
			return marks->list[i].stack;
	return 0;
}

uint32_t gt_marks_fd(const struct gt_marks *marks, uint64_t fd, int64_t at_ns)
{
	const uint64_t *last = gt_map_find(&marks->fd_last, fd);
	uint32_t at = last ? (uint32_t)*last + 1 : 0;

	for (unsigned int i = 0; at && i < FD_TELLS_MAX; i++, at = marks->fds[at - 1].before)
		if (marks->fds[at - 1].at_ns <= at_ns)
			return marks->fds[at - 1].name;
	return 0;
}
