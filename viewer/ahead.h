/*
 * ahead.h - a trace's events in batches, read by a thread of their own while another uses them; and a lock that goes around.
 *
 *   gt_trace_next --reader's thread--> at most BATCHES batches --> gt__ahead_next
 *
 * The reader changes the trace's tables of names while it reads: whoever looks into them asks at its gate first.
 */
#ifndef GT_VIEWER_AHEAD_H
#define GT_VIEWER_AHEAD_H

#include "format/reading/trace.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* ---- a lock for one who works all the time, and others who ask: between two of its turns one of them at least, and the reverse ---- */

struct gt__gate {
	pthread_mutex_t mutex;
	pthread_cond_t open;
	unsigned int asking;
	bool closed, works; /* by whom: the one who works */
	bool waits, turn;   /* he does; and is the next */
};

void gt__gate_init(struct gt__gate *gate);
void gt__gate_free(struct gt__gate *gate);
/* By the one who works, between two pieces of it. */
void gt__gate_work(struct gt__gate *gate);
/* By those who ask. */
void gt__gate_ask(struct gt__gate *gate);
void gt__gate_leave(struct gt__gate *gate);

/* ---- events ahead ---- */

#define GT__BATCH_EVENTS 1024u
#define GT__BATCHES      8u

/* What the trace knew of a goroutine at its end: it forgets it with the next event. */
struct gt__obituary {
	uint64_t parent, start_pc;
};

struct gt__batch {
	uint32_t count, ended_count;
	struct gt_event events[GT__BATCH_EVENTS];
	struct gt__obituary ended[GT__BATCH_EVENTS]; /* one for each event that gt__ends_goroutine, in their order */
};

struct gt__ahead {
	struct gt_trace *trace;
	struct gt__gate *names;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	pthread_t thread;
	bool has_thread, ended, stop;
	bool given;          /* the one at used is in use */
	uint64_t made, used; /* batches */
	struct gt__batch *batches;
};

/* 0 or -ENOMEM. Where no thread can be had, gt__ahead_next reads. */
int gt__ahead_start(struct gt__ahead *ahead, struct gt_trace *trace, struct gt__gate *names);
/* The next batch, good until the next call; NULL at the end. */
const struct gt__batch *gt__ahead_next(struct gt__ahead *ahead);
/* Also before the end. */
void gt__ahead_stop(struct gt__ahead *ahead);

static inline bool gt__ends_goroutine(const struct gt_event *event)
{
	return event->kind == GT_EV_GO_END || (event->kind == GT_EV_GO_STATE && event->args[2] == GT_STATE_DEAD);
}

#endif
