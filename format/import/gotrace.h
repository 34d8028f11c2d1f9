/*
 * gotrace.h - Go's own execution traces (Go 1.22 to 1.27, the flight recorder's too): their events in order, as Go tells them.
 *
 *   file --generation--> names, batches of each M --order--> gt_gotrace_next: one event after the other
 *
 * Every byte is hostile. What is held: a generation's names, an index of its batches, one batch an M, and what lives (goroutines with
 * their open regions, Ms, Ps, open tasks); each with a limit. Events are checked as Go's own reader checks them: the first one that
 * cannot be is the end, with a line that says why, and what was before it stands.
 * What names things belongs to one generation: it is good until the next gt_gotrace_next. One thread at a time.
 */
#ifndef GT_FORMAT_GOTRACE_H
#define GT_FORMAT_GOTRACE_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GT_GOTRACE_NONE     UINT64_MAX /* no M, P or goroutine; and no task */
#define GT_GOTRACE_ARGS_MAX 4
#define GT_GOTRACE_FRAMES   128u /* of a stack, at most */

enum gt_gotrace_type {
#define GT_GOTRACE(number, NAME, text, args, count, stacks, strings, kind) GT_GOTRACE_##NAME = number,
#include "format/import/gotrace.def"
#undef GT_GOTRACE
	GT_GOTRACE_CPU_SAMPLE = 7, /* args: the stack */
	GT_GOTRACE_SYNC = 255,     /* a generation begins, or the trace ends; args: its number, from 1 */
};

struct gt_gotrace_spec {
	const char *text; /* NULL: no timed event */
	const char *args;
	const char *kind;
	uint8_t arg_count;
	uint8_t stacks, strings; /* which arguments are ids */
};
extern const struct gt_gotrace_spec gt_gotrace_specs[256];

enum gt_gotrace_gstate {
	GT_GOTRACE_G_UNDETERMINED,
	GT_GOTRACE_G_NOTEXIST,
	GT_GOTRACE_G_RUNNABLE,
	GT_GOTRACE_G_RUNNING,
	GT_GOTRACE_G_WAITING,
	GT_GOTRACE_G_SYSCALL,
};
enum gt_gotrace_pstate {
	GT_GOTRACE_P_UNDETERMINED,
	GT_GOTRACE_P_NOTEXIST,
	GT_GOTRACE_P_RUNNING,
	GT_GOTRACE_P_IDLE,
};

/*
 * One event. m, p and g are those before it. GoSwitch and GoSwitchDestroy come as three: themselves (next wakes), GoBlock or
 * GoDestroy, GoStart. What the file does not tell stands in:
 *     old       of ProcStatus, ProcSteal, GoStatus: the state before
 *     args[0]   of STWEnd: the kind, as its begin told it (an id of that event's generation)
 *     args[1]   of UserTaskBegin: GT_GOTRACE_NONE when there is no parent
 *     args[2,3] of UserTaskEnd: the parent, and the name for gt_gotrace_name
 */
struct gt_gotrace_event {
	uint8_t type; /* enum gt_gotrace_type */
	uint8_t old;
	bool first;      /* of Active events and statuses: of the first generation, so what it tells is new */
	int64_t time_ns; /* of the trace's clock; each later than the one before */
	uint64_t m, p, g;
	uint64_t args[GT_GOTRACE_ARGS_MAX];
};

struct gt_gotrace;

/* The first bytes of one, of whatever version. */
bool gt_gotrace_is(const void *bytes, size_t size);

/* Fails with one line: not to be read, not one of Go's traces, of a version that it does not know. */
int gt_gotrace_open(const char *path, struct gt_gotrace **out, struct gt_error *err);
int gt_gotrace_open_memory(const void *bytes, size_t size, struct gt_gotrace **out, struct gt_error *err);
void gt_gotrace_close(struct gt_gotrace *trace);

/* Another reader of the same file, from its begin. */
int gt_gotrace_again(const struct gt_gotrace *trace, struct gt_gotrace **out);

/* 1 and *event, or 0 at the end: gt_gotrace_error tells whether it came too early. */
int gt_gotrace_next(struct gt_gotrace *trace, struct gt_gotrace_event *event);
int gt_gotrace_rewind(struct gt_gotrace *trace);
/* NULL: none so far. */
const char *gt_gotrace_error(const struct gt_gotrace *trace);
/* The error is that the file ends too early. */
bool gt_gotrace_cut(const struct gt_gotrace *trace);

/* Of the generation now read. NULL when there is no such id; "" for 0. May hold NULs. */
const char *gt_gotrace_string(const struct gt_gotrace *trace, uint64_t id, size_t *size);

struct gt_gotrace_frame {
	uint64_t pc;
	uint64_t function, file; /* ids of strings */
	uint64_t line;
};
/* How many frames, innermost first, into @out; 0 for the stack 0, -ENOENT when there is no such id. */
int gt_gotrace_stack(const struct gt_gotrace *trace, uint64_t id, struct gt_gotrace_frame out[GT_GOTRACE_FRAMES]);

/* A task's name at its end, which no generation's table may have any more. */
const char *gt_gotrace_name(const struct gt_gotrace *trace, uint64_t name, size_t *size);

struct gt_gotrace_clock {
	bool known;    /* since 1.25 */
	int64_t ns;    /* the trace's clock... */
	uint64_t mono; /* ...when the monotonic one said this... */
	int64_t sec;   /* ...and the wall's this */
	int64_t nsec;
};

struct gt_gotrace_info {
	unsigned int version; /* 22, 23, 25, 26: 1.24 writes 23, 1.27 writes 26 */
	uint64_t file_bytes;
	uint64_t generations; /* begun so far */
	uint64_t generation;  /* the program's number of it */
	uint64_t experimental_batches;
	int64_t begin_ns;              /* of the generation */
	struct gt_gotrace_clock clock; /* of the generation */
};
void gt_gotrace_info(const struct gt_gotrace *trace, struct gt_gotrace_info *out);

/* Walks the batches' headers alone: how many generations begin, how many batches there are, the latest time at which one begins (known
 * while a generation is read). */
struct gt_gotrace_extent {
	uint64_t generations, batches;
	int64_t begin_ns, last_ns;
	bool cut; /* ends inside a batch, or (since 1.26) inside a generation */
};
void gt_gotrace_extent(struct gt_gotrace *trace, struct gt_gotrace_extent *out);

#endif
