/*
 * marks.h - what events tell besides slices: logs, system calls with their results, allocations, stacks, tasks; in order of time.
 *
 *   an event --> a mark on a goroutine's row, and what follows it (a result, a type, a stack) is put into that mark
 *
 * 48 bytes a mark, up to a limit: what is after it is not kept, and `full_ns` says from when on.
 */
#ifndef GT_VIEWER_MARKS_H
#define GT_VIEWER_MARKS_H

#include "base/hash.h"
#include "format/wire/event.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gt_mark {
	int64_t at_ns;
	int64_t took_ns; /* a call, an assist, a stop of time: so long; -1: it has not ended, or nothing that lasts */
	uint64_t
		a; /* Log, TaskBegin, TaskEnd: task. Alloc, Free, Mapped: bytes. SyscallInfo: the first argument. Timers: delay. CpuOther: tid, CPU << 32. Fault: address */
	uint32_t row; /* of the goroutine; UINT32_MAX: none */
	uint32_t
		b; /* Log: key. TaskBegin: name. Alloc: type. SyscallInfo: number. GoLabel: label. WakeCause: cause. Mapped: file. CpuOther: its name. Strings. Fault: tid */
	uint32_t
		c; /* Log: value. SyscallInfo: the result, when it fits, else UINT32_MAX. WakeCause: detail. Mapped: build id. CpuOther: from tid */
	uint32_t stack;
	uint8_t kind;  /* enum gt_event_kind */
	uint8_t error; /* SyscallInfo: errno */
};

struct gt_mark_task {
	uint64_t id, parent;
	int64_t since_ns, end_ns; /* -1: not ended */
	uint32_t name;            /* string */
	uint32_t row, ended_by;   /* goroutines; UINT32_MAX: none */
};

struct gt_mark_fd {
	int64_t at_ns;
	uint32_t name;
	uint32_t before; /* what it was before this: place in fds, + 1 */
};

struct gt_marks {
	struct gt_mark *list;
	uint32_t count, room;
	struct gt_mark_task *tasks;
	uint32_t task_count, task_room;
	struct gt_map task_ids; /* id -> place in tasks */
	struct gt_mark_fd *fds;
	uint32_t fd_count, fd_room;
	struct gt_map fd_last;        /* descriptor -> place in fds */
	struct gt_map calls, assists; /* row -> place of the mark that is open */
	uint32_t kinds[GT_EVENT_KIND_COUNT];
	uint64_t bytes, bytes_max;
	int64_t full_ns; /* from here on some are not kept; -1: all are */
};

void gt_marks_init(struct gt_marks *marks, uint64_t bytes_max);
void gt_marks_free(struct gt_marks *marks);

/* 0: gt_marks_event has no use for events of this kind. 1: it has, and their first argument is a goroutine; -1: and they name none. */
extern const int8_t gt_marks_wants[GT_EVENT_KIND_COUNT];
/* @row: of that goroutine, UINT32_MAX when it is none. */
void gt_marks_event(struct gt_marks *marks, const struct gt_event *event, int64_t now, uint32_t row);

/* Of things in order of time, @each bytes apart, the first of [@low, @high) at @at_ns or later; @high when there is none. */
uint32_t gt__first_at(const int64_t *times, size_t each, uint32_t low, uint32_t high, int64_t at_ns);
/* The first mark at @at_ns or later; count when there is none. */
uint32_t gt_marks_from(const struct gt_marks *marks, int64_t at_ns);
/* The stack that was told for what @row's goroutine did at @at_ns, 0: none. */
uint32_t gt_marks_stack(const struct gt_marks *marks, uint32_t row, int64_t at_ns);
/* What the descriptor was then: a string, 0 when it is not known. */
uint32_t gt_marks_fd(const struct gt_marks *marks, uint64_t fd, int64_t at_ns);

#endif
