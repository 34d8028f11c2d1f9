/*
 * index.h - a trace in memory, as its picture needs it: rows of slices, and answers of the size of a screen.
 *
 *   one pass over the events --> rows (goroutines, Ps, Ms, CPUs, the collector, regions), each an array of slices in order of time
 *   a question: [t0, t1) in so many columns --> at most two pieces a column: a slice, or "these 312, mostly waiting"
 *
 * A slice takes about 8 bytes (slices.h): gt_index_slice unpacks it. Blocks of slices have sums, by which a column of thousands is
 * answered at once.
 *
 * gt_index_read works with a thread that reads ahead. Meanwhile others may ask, between gt_index_enter and gt_index_leave: rows
 * and slices are only added to, a slice when it has ended, so what is told stays true, but for the group of a goroutine whose
 * name comes later. When it has returned, nothing changes any more.
 */
#ifndef GT_VIEWER_INDEX_H
#define GT_VIEWER_INDEX_H

#include "base/error.h"
#include "base/hash.h"
#include "format/reading/trace.h"
#include "viewer/marks.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum gt_index_kind {
	GT_INDEX_GOROUTINE,
	GT_INDEX_P,
	GT_INDEX_M,
	GT_INDEX_CPU,
	GT_INDEX_GC,     /* id 0: cycles, 1: stops of the world */
	GT_INDEX_REGION, /* of a goroutine: id = g << 4 | depth */
	GT_INDEX_TASK,   /* id: the task's; one slice, stack: its name, detail: the goroutine's row */
	GT_INDEX_KINDS,
};

#define GT_INDEX_BUCKET 32 /* slices of a block */
#define GT_INDEX_STATES 5  /* GT_STATE_NONE to GT_STATE_WAITING: all that a slice can be */

struct gt_index_slice {
	int64_t since_ns, end_ns;
	uint32_t stack; /* its id; of regions, tasks and stops of the world a string's */
	uint32_t
		detail; /* running, syscall: the M. Runnable: enum gt_cause. Waiting: place in objects. On a P or an M: the goroutine's row. CPU: tid. GC: cycle */
	uint32_t link;  /* runnable: place in wakes, by which it began; syscall: number + 1; 0 none */
	uint16_t p;     /* + 1. CPU: enum gt_index_left */
	uint8_t state;  /* enum gt_state. CPU: waiting when it is a thread of another process that has it */
	uint8_t reason;
};

/* How a thread left its CPU. */
enum gt_index_left { GT_INDEX_LEFT_UNKNOWN, GT_INDEX_LEFT_RUNNABLE, GT_INDEX_LEFT_WAITING };

/* GT_INDEX_BUCKET slices, from the second such on. */
struct gt_index_block {
	int64_t since_ns;
	uint64_t sums[GT_INDEX_STATES - 1]; /* of all slices before: time in runnable, running, syscall, waiting */
	uint32_t at;                        /* place in the row's bytes */
};

/* What every event touches stands first. */
struct gt_index_row {
	uint8_t *bytes; /* slices, packed: ask gt_index_slice */
	uint32_t size, room;
	uint32_t count;     /* slices */
	uint32_t last_link; /* while packing */
	int64_t end_ns;     /* of the last slice */
	uint64_t total_ns[GT_INDEX_STATES];
	uint32_t group;   /* goroutine: place in groups */
	uint32_t regions; /* depth of its regions */
	uint64_t id;      /* goroutine, P, M, CPU */
	struct gt_index_block *blocks;
	uint32_t block_room;
	uint8_t kind;             /* enum gt_index_kind */
	bool open;                /* while reading: a span of this row has begun, and is not yet among its slices */
	int64_t since_ns;         /* of the first slice */
	uint64_t parent;          /* goroutine */
	uint64_t start_pc;        /* goroutine; 0 unknown */
	int64_t born_ns, died_ns; /* -1: not in the trace */
};

struct gt_index_wake {
	int64_t at_ns;
	uint32_t from, to; /* rows; UINT32_MAX: none */
};

struct gt_index_object {
	uint64_t object, holder;
	uint8_t what; /* enum gt_object */
};

struct gt_index_group {
	const char *function; /* "" unknown */
	uint32_t rows;
	uint64_t total_ns[GT_INDEX_STATES];
};

struct gt_index_count {
	int64_t at_ns;
	uint32_t by_state[GT_INDEX_STATES];
	uint64_t heap, goal, stacks; /* bytes */
};

#define GT_INDEX_COUNTS_MAX 32768
#define GT_INDEX_LATENCIES  40 /* buckets of powers of two ns */
#define GT_INDEX_CALLS      1024

struct gt_index {
	struct gt_trace *trace;
	struct gt_index_row *rows;
	uint32_t row_count, row_room;
	uint32_t kinds[GT_INDEX_KINDS];
	struct gt_map by_id[GT_INDEX_KINDS]; /* id -> row */
	struct gt_index_wake *wakes;         /* [0] is none */
	uint32_t wake_count, wake_room;
	struct gt_index_object *objects; /* [0] is none */
	uint32_t object_count, object_room;
	struct gt_map object_ids;
	struct gt_index_group *groups; /* [0]: of unknown functions */
	uint32_t group_count, group_room;
	struct gt_strings functions; /* id - 1 is the group */
	struct gt_index_count *counts;
	uint32_t count_count;
	int64_t count_step_ns;
	uint64_t latencies[GT_INDEX_LATENCIES]; /* runnable -> running */
	struct gt_map threads;                  /* tid -> string that names it */
	struct gt_map thread_of;                /* M -> tid, where an event told it */
	bool calls[GT_INDEX_CALLS];             /* system calls that were made */
	int64_t begin_ns;                       /* of the first event: nothing was before it */
	int64_t span_ns;                        /* of the last event; while reading, where that is expected */
	int64_t read_ns;                        /* so far it was read */
	bool reading;                           /* gt_index_read has not yet returned */
	bool stopped;                           /* it ended before the trace did: for memory */
	uint64_t events, slices;
	uint64_t events_expected; /* 0: not known */
	uint64_t bytes;           /* of memory, about */
	uint64_t bytes_max;       /* with more than that reading ends */
	struct gt_marks marks;    /* what events tell besides slices */
	struct gt__index_reading *own;
};

struct gt_index_config {
	uint64_t bytes_max;                            /* 0: no limit */
	void (*progress)(void *user, uint64_t events); /* on gt_index_read's thread */
	void *progress_user;
};

/* Empty, and ready to be asked and read. The trace is the index's until that is freed. 0, or -errno and the line. */
int gt_index_new(
	struct gt_trace *trace, const struct gt_index_config *config, struct gt_index **out, struct gt_error *err);
/* Reads the trace to its end, once. 0, or -errno and the line: then what was read until then is there. */
int gt_index_read(struct gt_index *index, struct gt_error *err);
/* From any thread: gt_index_read returns soon, with -ECANCELED. */
void gt_index_stop(struct gt_index *index);
/* Both: an index that was read, or none. */
int gt_index_build(
	struct gt_trace *trace, const struct gt_index_config *config, struct gt_index **out, struct gt_error *err);
void gt_index_free(struct gt_index *index);

/* Around whatever asks the index or its trace while gt_index_read may run in another thread. */
void gt_index_enter(const struct gt_index *index);
void gt_index_leave(const struct gt_index *index);

/* Slice number @number < row->count. Good in this thread until slices of some other places (7 blocks) were asked for. */
const struct gt_index_slice *gt_index_slice(const struct gt_index_row *row, uint32_t number);

/* UINT32_MAX: there is none. */
uint32_t gt_index_row_of(const struct gt_index *index, enum gt_index_kind kind, uint64_t id);
/* The slice that holds @at_ns, or the first after it; count when there is none. */
uint32_t gt_index_at(const struct gt_index_row *row, int64_t at_ns);

/* What a row looks like between two times: pieces in order, touching or apart. */
struct gt_index_piece {
	double since_ns, end_ns;
	uint32_t slice; /* of one: its place; of more: of the first */
	uint32_t count; /* how many it stands for */
	uint8_t state;  /* of most of its time */
	uint8_t reason;
	uint16_t part;   /* of its time that is of this state: 65535 is all */
	uint32_t detail; /* of one slice; of a system call its number + 1; of a region, a task, a stop its name */
};
/* At most 2 * @columns + 2. Returns how many. */
size_t gt_index_pieces(
	const struct gt_index_row *row, int64_t t0_ns, int64_t t1_ns, unsigned int columns, struct gt_index_piece *out);

#endif
