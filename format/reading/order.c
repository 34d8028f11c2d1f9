/* order.c - the streams of all Ms merged into one. order.h tells how. */
#include "format/reading/events.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct gt__bytes {
	uint32_t refs; /* runs, and whoever fills it */
	uint32_t size, room;
	uint8_t bytes[];
};

/* One EVENTS record that is not yet used up. */
struct gt__run {
	struct gt__run *next;
	struct gt__bytes *bytes;
	struct gt__events events;
};

struct gt__stream {
	uint64_t m;
	uint64_t key; /* the head's place in time: its ticks, never less than the key before */
	struct gt__run *first, *last;
	uint64_t ticks; /* of its head; its arguments are what comes next in the first run */
	uint32_t leaf;
	uint8_t kind;
	bool has_head;
};

/* ---- memory ---- */

static void prepare_checks(struct gt__order *order);
static int more_leaves(struct gt__order *order);

int gt__order_init(struct gt__order *order, struct gt__tables *tables)
{
	memset(order, 0, sizeof(*order));
	order->tables = tables;
	order->loss_to_ns = INT64_MIN;
	order->last_ns = INT64_MIN;
	prepare_checks(order);
	return more_leaves(order) < 0 ? -ENOMEM : gt_model_new(&order->model);
}

struct gt__bytes *gt__order_buffer(struct gt__order *order, uint32_t size)
{
	struct gt__bytes *bytes = order->spare;

	order->spare = NULL;
	if (!bytes || bytes->room < size) {
		free(bytes);
		bytes = malloc(sizeof(*bytes) + size);
		if (!bytes)
			return NULL;
		bytes->room = size;
	}
	bytes->refs = 1;
	bytes->size = size;
	order->pending_bytes += size;
	return bytes;
}

uint8_t *gt__order_buffer_bytes(struct gt__bytes *bytes)
{
	return bytes->bytes;
}

void gt__order_drop(struct gt__order *order, struct gt__bytes *bytes)
{
	if (--bytes->refs)
		return;
	order->pending_bytes -= bytes->size;
	if (order->spare && order->spare->room >= bytes->room) {
		free(bytes);
	} else {
		free(order->spare);
		order->spare = bytes;
	}
}

static void drop_run(struct gt__order *order, struct gt__stream *stream)
{
	struct gt__run *run = stream->first;

	stream->first = run->next;
	if (!stream->first)
		stream->last = NULL;
	gt__order_drop(order, run->bytes);
	order->pending_bytes -= sizeof(*run);
	run->next = order->free_runs;
	order->free_runs = run;
}

static void clear_leaves(struct gt__order *order, uint32_t from);

static void drop_all(struct gt__order *order)
{
	for (uint32_t i = 0; i < order->stream_count; i++)
		while (order->streams[i].first)
			drop_run(order, &order->streams[i]);
	order->stream_count = 0;
	order->leaf_count = order->free_leaf_count = 0;
	clear_leaves(order, 0);
	order->blocked_count = 0;
	gt_map_free(&order->ids);
	while (order->free_runs) {
		struct gt__run *next = order->free_runs->next;

		free(order->free_runs);
		order->free_runs = next;
	}
}

void gt__order_free(struct gt__order *order)
{
	drop_all(order);
	free(order->spare);
	free(order->streams);
	free(order->tree);
	free(order->free_leaves);
	gt_model_free(order->model);
}

int gt__order_reset(struct gt__order *order)
{
	struct gt_model *model;
	int ret = gt_model_new(&model);

	if (ret < 0)
		return ret;
	gt_model_free(order->model);
	order->model = model;
	drop_all(order);
	gt__tables_goroutines_clear(order->tables);
	order->retry = false;
	order->watermark = 0;
	order->ended = false;
	order->last_ns = INT64_MIN;
	order->last_key = 0;
	order->ended_g = 0;
	order->loss_to_ns = INT64_MIN;
	order->partial = false;
	order->names_bad = 0;
	memset(&order->damage, 0, sizeof(order->damage));
	return 0;
}

/* ---- the tree: which stream has the oldest head; of equal ones the one that the file named first ---- */

#define LEAVES_MIN 8u
#define NOBODY     ((struct gt__place){.key = UINT64_MAX, .stream = UINT64_MAX})

static inline bool before(struct gt__place a, struct gt__place b)
{
	return ((unsigned __int128)a.key << 64 | a.stream) < ((unsigned __int128)b.key << 64 | b.stream);
}

/* Chosen without a jump: which of two Ms comes next cannot be guessed. */
static inline void leaf_set(struct gt__order *order, uint32_t leaf, struct gt__place place)
{
	struct gt__place *tree = order->tree;
	uint64_t key = place.key, stream = place.stream;

	for (uint32_t at = order->leaf_room + leaf; at; at /= 2) {
		struct gt__place other = tree[at ^ 1];
		bool swap = before(other, (struct gt__place){key, stream});

		tree[at].key = key;
		tree[at].stream = stream;
		key = swap ? other.key : key;
		stream = swap ? other.stream : stream;
	}
}

static void clear_leaves(struct gt__order *order, uint32_t from)
{
	for (uint32_t i = from; i < order->leaf_room; i++)
		order->tree[order->leaf_room + i] = NOBODY;
	for (uint32_t at = order->leaf_room ? order->leaf_room - 1 : 0; at; at--)
		order->tree[at] = order->tree[at * 2 + before(order->tree[at * 2 + 1], order->tree[at * 2])];
}

static int more_leaves(struct gt__order *order)
{
	uint32_t room = order->leaf_room ? order->leaf_room * 2 : LEAVES_MIN;
	struct gt__place *tree = malloc(2 * (size_t)room * sizeof(*tree));
	uint32_t *free_leaves = realloc(order->free_leaves, room * sizeof(*free_leaves));

	if (free_leaves)
		order->free_leaves = free_leaves;
	if (!tree || !free_leaves) {
		free(tree);
		return -ENOMEM;
	}
	if (order->leaf_room)
		memcpy(tree + room, order->tree + order->leaf_room, order->leaf_room * sizeof(*tree));
	free(order->tree);
	order->tree = tree;
	order->tree[0] = NOBODY;
	order->leaf_room = room;
	clear_leaves(order, order->leaf_count);
	return 0;
}

/* Into the tree: the stream has a head again. */
static int tree_add(struct gt__order *order, uint32_t index)
{
	struct gt__stream *stream = &order->streams[index];
	int ret = order->free_leaf_count || order->leaf_count < order->leaf_room ? 0 : more_leaves(order);

	if (ret < 0)
		return ret;
	stream->leaf = order->free_leaf_count ? order->free_leaves[--order->free_leaf_count] : order->leaf_count++;
	leaf_set(order, stream->leaf, (struct gt__place){.key = stream->key, .stream = index});
	return 0;
}

/* Its head has changed. Without one it leaves the tree. */
static inline void tree_update(struct gt__order *order, uint32_t index)
{
	const struct gt__stream *stream = &order->streams[index];

	if (__builtin_expect(stream->has_head, 1)) {
		leaf_set(order, stream->leaf, (struct gt__place){.key = stream->key, .stream = index});
		return;
	}
	order->free_leaves[order->free_leaf_count++] = stream->leaf;
	leaf_set(order, stream->leaf, NOBODY);
}

/* ---- streams ---- */

static int need_stream(struct gt__order *order, uint64_t m, uint32_t *out)
{
	const uint64_t *value = gt_map_find(&order->ids, m);
	int ret;

	if (value) {
		*out = (uint32_t)*value;
		return 0;
	}
	if (order->stream_count == GT__STREAMS_MAX)
		return -ENOSPC;
	if (order->stream_count == order->stream_room) {
		uint32_t room = order->stream_room ? order->stream_room * 2 : 16;
		void *streams = realloc(order->streams, room * sizeof(*order->streams));

		if (!streams)
			return -ENOMEM;
		order->streams = streams;
		order->stream_room = room;
	}
	ret = gt_map_put(&order->ids, m, order->stream_count);
	if (ret < 0)
		return ret;
	*out = order->stream_count++;
	memset(&order->streams[*out], 0, sizeof(order->streams[*out]));
	order->streams[*out].m = m;
	return 0;
}

static void bad_record(struct gt__order *order, const char *what, uint64_t m)
{
	order->damage.records_bad++;
	gt__damage_say(&order->damage, "%s, M %llu", what, (unsigned long long)m);
}

/* Objects and causes that a newer version made. */
static void check_words(const struct gt__order *order, struct gt_event *event)
{
	for (unsigned int left = order->word_args[event->kind]; left; left &= left - 1) {
		unsigned int i = (unsigned int)__builtin_ctz(left);
		uint64_t *word = &event->args[i];
		bool object = gt_event_specs[event->kind].args[i].type == GT_ARG_OBJECT;

		if (*word >= (object ? GT_OBJECT_COUNT : GT_CAUSE_COUNT) ||
			!(object ? gt_object_known((unsigned int)*word) : gt_cause_known((unsigned int)*word)))
			*word = 0;
	}
}

/* States are indexes for those who read on: one that is not known is no event. A reason that a newer version
 * made is unknown to us, no more. */
static bool check_args(const struct gt__order *order, struct gt_event *event)
{
	for (unsigned int left = order->state_args[event->kind]; left; left &= left - 1) {
		uint64_t state = event->args[__builtin_ctz(left)];

		if (state >= GT_STATE_COUNT || !(order->states_known >> state & 1))
			return false;
	}
	for (unsigned int left = order->reason_args[event->kind]; left; left &= left - 1) {
		uint64_t *reason = &event->args[__builtin_ctz(left)];

		if (*reason >= GT_REASON_COUNT || !(order->reasons_known[*reason / 64] >> *reason % 64 & 1))
			*reason = GT_REASON_UNKNOWN;
	}
	if (order->word_args[event->kind])
		check_words(order, event);
	return true;
}

static void prepare_checks(struct gt__order *order)
{
	static const uint8_t names[] = {GT_EV_GO_CREATE, GT_EV_GO_END, GT_EV_GO_STATE, GT_EV_WAITS_ON,
		GT_EV_OBJECT_NAME, GT_EV_FD_NAME, GT_EV_LOST, GT_EV_M_START};

	for (unsigned int i = 0; i < GT_STATE_COUNT; i++)
		order->states_known |= (uint32_t)gt_state_known(i) << i;
	for (unsigned int i = 0; i < GT_REASON_COUNT; i++)
		order->reasons_known[i / 64] |= (uint64_t)gt_reason_known(i) << i % 64;
	for (unsigned int kind = 0; kind < GT_EVENT_KIND_COUNT; kind++)
		for (unsigned int i = 0; i < gt_event_specs[kind].arg_count; i++) {
			enum gt_arg_type type = gt_event_specs[kind].args[i].type;

			order->state_args[kind] |= (uint8_t)((type == GT_ARG_STATE) << i);
			order->reason_args[kind] |= (uint8_t)((type == GT_ARG_REASON) << i);
			order->word_args[kind] |= (uint8_t)((type == GT_ARG_OBJECT || type == GT_ARG_CAUSE) << i);
		}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		order->named[names[i]] = true;
}

/* A head that tells of a loss: what others contradict since the event before it is explained. */
static void note_loss(struct gt__order *order, const struct gt__stream *stream)
{
	int64_t to = gt__clock_ns(&order->clock, stream->key);

	if (to > order->loss_to_ns)
		order->loss_to_ns = to;
}

static void end_run(struct gt__order *order, struct gt__stream *stream, bool bad)
{
	if (bad)
		bad_record(order, "a record of events that breaks off", stream->m);
	drop_run(order, stream);
}

/* Goes to the stream's next event: its kind and time. */
static inline void next_head(struct gt__order *order, struct gt__stream *stream)
{
	const uint8_t *payload;
	unsigned int kind;
	size_t size;

	stream->has_head = false;
	while (stream->first) {
		enum gt__step step = gt__events_peek(&stream->first->events, &kind, &payload, &size);

		if (__builtin_expect(step == GT__STEP_EVENT, 1)) {
			stream->ticks = stream->first->events.ticks;
			stream->key = stream->ticks > stream->key ? stream->ticks : stream->key;
			stream->kind = (uint8_t)kind;
			stream->has_head = true;
			if (__builtin_expect(kind == GT_EV_LOST, 0))
				note_loss(order, stream);
			return;
		}
		if (step == GT__STEP_BAD || step == GT__STEP_END)
			end_run(order, stream, step == GT__STEP_BAD);
	}
}

static int add_run(struct gt__order *order, struct gt__bytes *bytes, const uint8_t *at, size_t size)
{
	struct gt__stream *stream;
	struct gt__events events;
	struct gt__run *run;
	uint32_t index;
	uint64_t m;
	int ret;

	if (!gt__events_begin(&events, at, size, &m)) {
		bad_record(order, "a record of events that breaks off", m);
		return 0;
	}
	ret = need_stream(order, m, &index);
	if (ret == -ENOSPC) {
		bad_record(order, "more Ms than there may be", m);
		return 0;
	}
	if (ret < 0)
		return ret;
	run = order->free_runs;
	if (run)
		order->free_runs = run->next;
	else
		run = malloc(sizeof(*run));
	if (!run)
		return -ENOMEM;
	*run = (struct gt__run){.bytes = bytes, .events = events};
	bytes->refs++;
	order->pending_bytes += sizeof(*run);
	stream = &order->streams[index];
	if (stream->last)
		stream->last->next = run;
	else
		stream->first = run;
	stream->last = run;
	if (!stream->has_head) {
		next_head(order, stream);
		if (stream->has_head)
			return tree_add(order, index);
	}
	return 0;
}

/* Things were there before the trace; before a SINCE, events may be missing. */
static void note_beginning(struct gt__order *order, unsigned int type, const uint8_t *at, size_t size)
{
	int64_t since;
	uint64_t ticks;

	order->partial = true;
	if (type != GT__REC_SINCE || gt__since_parse(at, size, &ticks) < 0 || !ticks)
		return;
	since = gt__clock_ns(&order->clock, ticks);
	if (since > order->loss_to_ns)
		order->loss_to_ns = since;
}

int gt__order_frame(struct gt__order *order, const struct gt__frame *frame, struct gt__bytes *bytes)
{
	struct gt_cursor cursor = {.at = bytes->bytes, .end = bytes->bytes + bytes->size};
	int ret = 0;

	while (ret >= 0 && cursor.at < cursor.end) {
		unsigned int type = gt_get_u8(&cursor);
		uint64_t size = gt_get_uvarint(&cursor);
		const uint8_t *at = gt_get_bytes(&cursor, size);

		if (cursor.bad) {
			order->damage.records_bad++;
			gt__damage_say(&order->damage, "the frame at byte %llu ends inside a record",
				(unsigned long long)frame->offset);
			break;
		}
		if (type == GT__REC_EVENTS) {
			ret = add_run(order, bytes, at, (size_t)size);
			continue;
		}
		ret = gt__tables_record(order->tables, type, at, (size_t)size, false);
		if (!ret && gt__of_its_place(type))
			note_beginning(order, type, at, (size_t)size);
		if (ret == -EBADMSG || ret == -ENOSPC) {
			*(gt__of_its_place(type) ? &order->damage.records_bad : &order->names_bad) += 1;
			gt__damage_say(&order->damage, "a %s record of type %u in the frame at byte %llu",
				ret == -ENOSPC ? "name too many: a" : "damaged", type,
				(unsigned long long)frame->offset);
			ret = 0;
		}
	}
	if (frame->watermark > order->watermark)
		order->watermark = frame->watermark;
	gt__order_drop(order, bytes);
	return ret < 0 ? ret : 0;
}

/* ---- giving events ---- */

void gt__order_names(struct gt__order *order, const struct gt_event *event)
{
	if (order->ended_g) {
		gt__tables_goroutine_drop(order->tables, order->ended_g);
		order->ended_g = 0;
	}
	switch (event->kind) {
	case GT_EV_GO_CREATE:
		if (event->args[0]) {
			struct gt_trace_goroutine goroutine = {
				.g = event->args[0],
				.parent = event->args[2],
				.start_pc = event->args[3],
				.site_pc = event->args[4],
			};

			/* Beyond the limit it stays without a name. */
			(void)gt__tables_goroutine_add(order->tables, &goroutine);
		}
		break;
	case GT_EV_GO_END:
		order->ended_g = event->args[0];
		break;
	case GT_EV_GO_STATE:
		if (event->args[2] == GT_STATE_DEAD)
			order->ended_g = event->args[0];
		break;
	case GT_EV_WAITS_ON:
	case GT_EV_OBJECT_NAME:
	case GT_EV_FD_NAME:
		gt__objects_event(&order->tables->objects, event);
		break;
	case GT_EV_LOST:
		order->damage.events_lost += event->args[0];
		break;
	case GT_EV_M_START:
		/* Without it the sample names no goroutine. */
		(void)gt_map_put(&order->tables->tids, event->args[0], event->m);
		break;
	default:
		break;
	}
}

/* The kernel knows threads: whose goroutine was sampled follows from what the thread's M ran just then. */
static void sampled_goroutine(const struct gt__order *order, struct gt_event *event)
{
	const uint64_t *m = gt_map_find(&order->tables->tids, event->args[1]);
	const struct gt_model_m *thread = m ? gt_model_thread(order->model, *m) : NULL;

	if (thread)
		event->args[0] = thread->g;
}

static int64_t place_ns(const struct gt__order *order, uint64_t ticks)
{
	int64_t now = gt__clock_ns(&order->clock, ticks);

	return now > order->last_ns ? now : order->last_ns;
}

/* What the model has taken goes out; the stream's next event comes up. */
static inline int give(struct gt__order *order, uint32_t index, struct gt_event *event)
{
	struct gt__stream *stream = &order->streams[index];

	order->last_ns = event->time_ns;
	if (stream->key > order->last_key)
		order->last_key = stream->key;
	if (order->named[event->kind] || order->ended_g)
		gt__order_names(order, event);
	if (__builtin_expect(event->kind == GT_EV_CPU_SAMPLE, 0) && !event->args[0])
		sampled_goroutine(order, event);
	order->retry = true;
	next_head(order, stream);
	tree_update(order, index);
	return 1;
}

static void unblock(struct gt__order *order, uint32_t place)
{
	memmove(&order->blocked[place], &order->blocked[place + 1],
		(order->blocked_count - place - 1) * sizeof(order->blocked[0]));
	order->blocked_count--;
}

/* A blocked head that fits now. */
static int give_blocked(struct gt__order *order, struct gt_event *event)
{
	order->retry = false;
	for (uint32_t i = 0; i < order->blocked_count; i++) {
		struct gt__blocked *blocked = &order->blocked[i];
		uint32_t index = blocked->stream;

		blocked->head.time_ns = place_ns(order, blocked->head.ticks);
		if (gt_model_take(order->model, &blocked->head) != GT_FIT)
			continue;
		*event = blocked->head;
		unblock(order, i);
		order->damage.order_repaired++;
		return give(order, index, event);
	}
	return 0;
}

/* Everything within the skew of the oldest blocked head has passed (or too many wait). */
static bool stuck(const struct gt__order *order, uint64_t now)
{
	uint64_t key;

	if (!order->blocked_count)
		return false;
	key = order->streams[order->blocked[0].stream].key;
	return order->blocked_count == GT__BLOCKED_MAX || (now > key && now - key > order->skew_ticks);
}

/* Keeps the stream's head for later. Its leaf stays its own. */
static void block(struct gt__order *order, uint32_t index, const struct gt_event *head)
{
	uint32_t place = order->blocked_count++;

	while (place && order->streams[order->blocked[place - 1].stream].key > order->streams[index].key) {
		order->blocked[place] = order->blocked[place - 1];
		place--;
	}
	order->blocked[place] = (struct gt__blocked){.stream = index, .head = *head};
	leaf_set(order, order->streams[index].leaf, NOBODY);
}

/* A misfit that a loss or the window's edge explains at once: it need not wait for another event. */
static bool explained(const struct gt__order *order, const struct gt_event *event, enum gt_model_fit fit)
{
	bool loss = order->loss_to_ns != INT64_MIN;

	if (fit == GT_FIT_UNBORN)
		return order->window || order->partial || loss;
	return loss && gt_model_fit_since(order->model, event, fit) <= order->loss_to_ns;
}

static bool too_much(struct gt__order *order)
{
	if (order->pending_bytes <= GT__PENDING_BYTES_MAX)
		return false;
	gt__damage_say(&order->damage,
		"the watermark stands still for more than %llu MiB of events: given by time alone",
		GT__PENDING_BYTES_MAX >> 20);
	return true;
}

/* Unpacks the head. False: it is none, and the stream has gone on. */
static inline bool read_head(struct gt__order *order, uint32_t index, struct gt_event *event)
{
	struct gt__stream *stream = &order->streams[index];
	bool whole;

	event->kind = stream->kind;
	event->ticks = stream->ticks;
	event->m = stream->m;
	whole = gt__events_args(&stream->first->events, stream->kind, event->args);
	if (__builtin_expect(whole && check_args(order, event), 1))
		return true;
	if (whole)
		bad_record(order, "an event with a state that does not exist", stream->m);
	else
		end_run(order, stream, true);
	next_head(order, stream);
	tree_update(order, index);
	return false;
}

int gt__order_next(struct gt__order *order, struct gt_event *event)
{
	for (;;) {
		struct gt__place top;
		enum gt_model_fit fit;
		uint32_t index;

		if (__builtin_expect(order->blocked_count && order->retry, 0) && give_blocked(order, event))
			return 1;
		top = order->tree[1];
		index = (uint32_t)top.stream;
		if (__builtin_expect(top.stream == UINT64_MAX, 0)) {
			if (!order->ended && !too_much(order))
				return 0;
			return order->blocked_count ? GT__ORDER_STUCK : 0;
		}
		if (__builtin_expect(stuck(order, top.key), 0))
			return GT__ORDER_STUCK;
		if (__builtin_expect(top.key >= order->watermark && !order->ended, 0) && !too_much(order))
			return 0;
		/* A frame that broke its forerunner's watermark. */
		if (__builtin_expect(top.key < order->last_key && !order->blocked_count, 0) &&
			order->last_key - top.key > order->skew_ticks)
			gt__damage_say(&order->damage, "an event of M %llu came later than the watermark allows",
				(unsigned long long)order->streams[index].m);
		if (!read_head(order, index, event))
			continue;
		event->time_ns = place_ns(order, event->ticks);
		fit = gt_model_take(order->model, event);
		if (__builtin_expect(fit == GT_FIT, 1))
			return give(order, index, event);
		if (!explained(order, event, fit)) {
			block(order, index, event);
			continue;
		}
		gt_model_apply(order->model, event);
		return give(order, index, event);
	}
}

const struct gt_event *gt__order_stuck(const struct gt__order *order, int64_t *since_ns, int64_t *time_ns)
{
	const struct gt_event *head = &order->blocked[0].head;

	*since_ns = gt_model_fit_since(order->model, head, gt_model_fits(order->model, head));
	*time_ns = place_ns(order, head->ticks);
	return head;
}

int gt__order_force(struct gt__order *order, bool is_explained, struct gt_event *event)
{
	uint32_t index = order->blocked[0].stream;

	*event = order->blocked[0].head;
	if (!is_explained) {
		order->damage.order_broken++;
		if (!order->damage.first[0]) {
			char why[160];

			gt_model_explain(order->model, event, gt_model_fits(order->model, event), why, sizeof(why));
			gt__damage_say(&order->damage, "an impossible event at %lld ns on M %llu: %s",
				(long long)gt__clock_ns(&order->clock, event->ticks), (unsigned long long)event->m,
				why);
		}
	}
	unblock(order, 0);
	event->time_ns = place_ns(order, event->ticks);
	gt_model_apply(order->model, event);
	return give(order, index, event);
}
