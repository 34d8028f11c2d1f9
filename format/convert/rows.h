/*
 * rows.h - events in, the rows of a picture out: one row a goroutine, a P and an M, one slice open on each at most.
 *
 *   gt_trace_next --> gt__rows_event --> slice(row, end): row->open ended, written once, touching the next
 *                                    \-> link(from, to): a goroutine woke or created another
 *
 * A slice is given when it ends, so rows nest by construction and nothing but what is open is held: memory is
 * O(live goroutines + live Ms + Ps). Events that do not fit what is open are believed, and what was open ends where it may have
 * ended (at the last loss): such a slice has `cut` set. What was so before the first event is open from edge_ns on. A goroutine that
 * was told runnable before whole_ns may have run and ended unseen: what it is behind that, its next event tells, if there is one.
 */
#ifndef GT_FORMAT_ROWS_H
#define GT_FORMAT_ROWS_H

#include "format/convert/map.h"
#include "format/wire/event.h"

enum gt__row_kind {
	GT_ROW_GOROUTINE,
	GT_ROW_SLOT,
	GT_ROW_THREAD,
};

/* A running goroutine came out of its system call; whether it had kept its P is told later, if at all. */
enum gt__back {
	GT__BACK_NO,
	GT__BACK,
	GT__BACK_LOST, /* it had not: it has no P */
};

struct gt__slice {
	int64_t since_ns;
	uint64_t g; /* on a P's or an M's row: who runs there */
	uint64_t m; /* on a goroutine's row: where it runs (running, syscall) */
	uint64_t stack;
	uint64_t link;     /* number of the link that ends at its begin, 0 none */
	const void *label; /* of the goroutine g, see struct gt__row */
	/* A waiting goroutine: what it waits for and who had locked it; a running one's: of the wait that comes next. */
	uint64_t object;
	uint64_t holder;
	uint8_t what; /* enum gt_object */
	/* A runnable goroutine: what woke it, when nobody did; a waiting one's: of the wake-up that comes next. */
	uint8_t cause; /* enum gt_cause */
	uint32_t detail;
	uint32_t p;    /* id + 1; 0 none or unknown */
	uint8_t state; /* enum gt_state; NONE and DEAD: nothing is open */
	uint8_t reason;
	uint8_t back; /* enum gt__back */
	bool cut;     /* its end was lost, end_ns is where it may have ended */
};

struct gt__row {
	struct gt__slice open;
	uint64_t id;       /* goroutine, P + 1, or M */
	uint64_t held;     /* M: the P + 1 that it holds; P: the M + 1 that holds it; 0 none */
	int64_t known_ns;  /* nothing about this row from here to its next event is missing */
	uint64_t start_pc; /* goroutine, 0 unknown; M: tid, 0 unknown */
	const void *label; /* the user's name of it; outlives the row */
	void *user;
	uint32_t number; /* the user's */
	uint8_t kind;    /* enum gt__row_kind */
	bool told;       /* the user's: it has a name in the picture */
	bool hidden;     /* the user's: it is not to be in the picture */
};

enum gt__link_kind {
	GT_LINK_WAKE,
	GT_LINK_CREATE,
};

struct gt__rows_user {
	void *user;
	/* A row is there, or what is known of it changed (an M's tid). Sets row->label. */
	void (*row)(void *user, struct gt__row *row);
	/* row->open ended at @end_ns >= open.since_ns. */
	void (*slice)(void *user, const struct gt__row *row, int64_t end_ns);
	/* @from, which runs, woke or created @to at @now_ns; when true, the slice that begins on @to carries @link. */
	bool (*link)(void *user, const struct gt__row *from, const struct gt__row *to, enum gt__link_kind kind,
		uint64_t link, int64_t now_ns, uint64_t site_pc);
	/* The row will be freed. */
	void (*gone)(void *user, struct gt__row *row);
};

struct gt__rows {
	struct gt__ids goroutines;
	struct gt__map slots, threads;
	struct gt__rows_user out;
	int64_t now_ns;   /* of the last event; never goes back */
	int64_t edge_ns;  /* what is first seen was so from here on */
	int64_t whole_ns; /* before it events may be missing (a window's); 0: it is past, or nowhere */
	int64_t loss_ns;  /* the last loss, -1 none */
	uint64_t links;
	uint64_t counts[GT_STATE_COUNT]; /* goroutines in each state */
	uint64_t slots_running;          /* Ps with a running goroutine */
	uint64_t slots_taken;            /* and those whose goroutine is in a system call, too */
	uint64_t cuts;                   /* slices that did not fit what followed */
	struct gt__row *spare;           /* rows to use again, linked by user */
	void *slabs;
	size_t slab_left;
	size_t extra; /* the user's bytes behind each row, what they hold is theirs; set before the first event */
};

void gt__rows_init(struct gt__rows *rows, const struct gt__rows_user *out, int64_t edge_ns);
/* 0 or -ENOMEM. */
int gt__rows_event(struct gt__rows *rows, const struct gt_event *event);
/* No further event: goes on to the trace's end, or to @to_ns when that is asked for (not 0) and earlier. Where a goroutine ran and the program is
 * gone, not: it ended right behind its last event, since who runs says so each 10 ms; what came then was the process's own end. */
struct gt_trace;
void gt__rows_until(struct gt__rows *rows, const struct gt_trace *trace, int64_t to_ns);
/* Ends all that is open now. */
void gt__rows_finish(struct gt__rows *rows);
void gt__rows_free(struct gt__rows *rows);

/* NULL when there is none. */
struct gt__row *gt__rows_goroutine(struct gt__rows *rows, uint64_t g);
struct gt__row *gt__rows_thread(struct gt__rows *rows, uint64_t m);

/* The user's bytes of a row. */
static inline void *gt__row_extra(struct gt__row *row)
{
	return row + 1;
}

static inline bool gt__slice_open(const struct gt__slice *slice)
{
	return slice->state != GT_STATE_NONE && slice->state != GT_STATE_DEAD;
}

#endif
