/*
 * order.h - the streams of all Ms merged into one: time proposes, hard edges decide.
 *
 *   frames --add--> runs of one M's events --> streams (one an M) --tree by time--> fits? --> next
 *
 * A stream's events come in its own order; among streams the oldest first, up to the watermark of the last frame
 * read. One that does not fit (model.h) waits, its M with it, until another makes it fit or everything
 * within the clocks' skew has passed. Then it is given as it is: explained when a loss lies between it and what
 * it contradicts, else damage.
 *
 * Of each stream's next event kind and time are known; the rest is unpacked when its turn has come, straight from the frames
 * into the caller's hands. Frames are kept until their last event is given: what waits costs its bytes in the file, unpacked, and a run's struct. That is bounded by GT__PENDING_BYTES_MAX; a file
 * whose watermark does not move so far is damaged, and is given by time alone.
 */
#ifndef GT_FORMAT_ORDER_H
#define GT_FORMAT_ORDER_H

#include "format/reading/reader.h"
#include "format/reading/tables.h"
#include "model/model.h"

#define GT__PENDING_BYTES_MAX (512ull << 20)
#define GT__STREAMS_MAX       (1u << 20)
#define GT__BLOCKED_MAX       64u
#define GT__SKEW_NS           20000u /* when META clock tells none: far above what one machine's TSCs differ by */

struct gt__bytes; /* a frame's, counted */
struct gt__run;
struct gt__stream;

/* A place of the tree: the one of the two below it that comes first. */
struct gt__place {
	uint64_t key;
	uint64_t stream;
};

/* A stream whose head, unpacked, fits nowhere yet. */
struct gt__blocked {
	uint32_t stream;
	struct gt_event head;
};

struct gt__order {
	struct gt__tables *tables;
	struct gt__clock clock;
	uint64_t skew_ticks;
	int64_t skew_ns;
	bool window;
	uint32_t states_known; /* bit masks of what events.def tells, at hand */
	uint64_t reasons_known[GT_REASON_COUNT / 64];
	uint8_t state_args[GT_EVENT_KIND_COUNT], reason_args[GT_EVENT_KIND_COUNT];
	uint8_t word_args[GT_EVENT_KIND_COUNT]; /* objects and causes */
	bool named[GT_EVENT_KIND_COUNT];        /* gt__order_names does something of it */

	struct gt_model *model;
	struct gt_map ids; /* m -> stream */
	struct gt__stream *streams;
	uint32_t stream_count, stream_room;
	struct gt__place *tree; /* leaves from leaf_room on; the first of all is tree[1] */
	uint32_t leaf_room;     /* a power of two, or 0 */
	uint32_t leaf_count;    /* used, or free for use: those behind never were */
	uint32_t *free_leaves, free_leaf_count;
	struct gt__blocked blocked[GT__BLOCKED_MAX]; /* in order of their keys */
	uint32_t blocked_count;
	bool retry; /* something changed since the blocked ones were looked at */

	uint64_t watermark;
	bool ended; /* no more frames */
	uint64_t pending_bytes;
	struct gt__bytes *spare;
	struct gt__run *free_runs;

	int64_t last_ns;
	uint64_t last_key;
	uint64_t ended_g; /* its names are dropped at the next event */
	/* Of this pass, as far as it has read: what earlier ones know of later frames must not change the order. */
	int64_t loss_to_ns; /* a loss lies behind it; INT64_MIN: none yet */
	bool partial;       /* GOROUTINE or SINCE records */
	struct gt_trace_damage damage;
	uint64_t names_bad; /* bad records, not in damage, that are passed over once all names are known */
};

int gt__order_init(struct gt__order *order, struct gt__tables *tables);
void gt__order_free(struct gt__order *order);
/* Back to before the first frame. */
int gt__order_reset(struct gt__order *order);

/* A buffer for a frame of @size bytes; give it back by gt__order_frame or gt__order_drop. */
struct gt__bytes *gt__order_buffer(struct gt__order *order, uint32_t size);
uint8_t *gt__order_buffer_bytes(struct gt__bytes *bytes);
void gt__order_drop(struct gt__order *order, struct gt__bytes *bytes);

/* Takes @bytes: reads its tables, queues its events. */
int gt__order_frame(struct gt__order *order, const struct gt__frame *frame, struct gt__bytes *bytes);

/* 1 and *event; 0: more frames are needed, or (ended) there is nothing more; -errno. */
int gt__order_next(struct gt__order *order, struct gt_event *event);
/* 0 when gt__order_next needs a frame first. */
#define GT__ORDER_STUCK 2 /* an event fits nowhere: judge it, then gt__order_force */
int gt__order_force(struct gt__order *order, bool explained, struct gt_event *event);
/* The stuck event, and since when that stands which it contradicts. */
const struct gt_event *gt__order_stuck(const struct gt__order *order, int64_t *since_ns, int64_t *time_ns);

/* Keeps the names that come with an event and go with its goroutine; for events given by others than gt__order_next. */
void gt__order_names(struct gt__order *order, const struct gt_event *event);

/* ---- one run of events, for others who read them raw ---- */

struct gt__events {
	const uint8_t *at, *end;
	uint64_t ticks;
	uint64_t left; /* events still to come, as the record says */
};

enum gt__step {
	GT__STEP_END = 0,
	GT__STEP_EVENT,
	GT__STEP_BACK,
	GT__STEP_OTHER,
	GT__STEP_BAD,
};

/*
 * The next thing in an EVENTS record: EVENT fills kind, ticks and args (STATE and REASON as they stand); BACK moved the time back;
 * OTHER is of a kind of 128 and above, skipped (event->kind = its kind, *payload and *size = its bytes).
 */
enum gt__step gt__events_step(struct gt__events *events, struct gt_event *event, const uint8_t **payload, size_t *size);
/* Parses "m, base, count"; false when that is bad. */
bool gt__events_begin(struct gt__events *events, const uint8_t *bytes, size_t size, uint64_t *m);

#endif
