/* order.c - the streams of all Ms merged into one. order.h tells how. */
#include "format/reading/order.h"

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
	bool has_head, blocked, repaired;
	struct gt_event head;
};

/* ---- memory ---- */

static void prepare_checks(struct gt__order *order);

int gt__order_init(struct gt__order *order, struct gt__tables *tables)
{
	memset(order, 0, sizeof(*order));
	order->tables = tables;
	order->loss_to_ns = INT64_MIN;
	order->last_ns = INT64_MIN;
	prepare_checks(order);
	return gt_model_new(&order->model);
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

static void drop_all(struct gt__order *order)
{
	for (uint32_t i = 0; i < order->stream_count; i++)
		while (order->streams[i].first)
			drop_run(order, &order->streams[i]);
	order->stream_count = 0;
	order->heap_count = 0;
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
	free(order->heap);
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
	memset(&order->damage, 0, sizeof(order->damage));
	return 0;
}

/* ---- the heap: the stream with the oldest head on top; of equal ones the one that the file named first ---- */

static inline unsigned int before(struct gt__heap_entry a, struct gt__heap_entry b)
{
	/* One comparison of 96 bits, without a branch: which M comes next is hard to guess. */
	return ((unsigned __int128)a.key << 32 | a.stream) < ((unsigned __int128)b.key << 32 | b.stream);
}

static inline void heap_down(struct gt__order *order, struct gt__heap_entry entry)
{
	struct gt__heap_entry *heap = order->heap;
	uint32_t at = 0, count = order->heap_count, child;

	for (; (child = at * 2 + 1) + 1 < count; at = child) {
		child += before(heap[child + 1], heap[child]);
		if (!before(heap[child], entry)) {
			heap[at] = entry;
			return;
		}
		heap[at] = heap[child];
	}
	if (child < count && before(heap[child], entry)) {
		heap[at] = heap[child];
		at = child;
	}
	heap[at] = entry;
}

static void heap_push(struct gt__order *order, uint32_t stream)
{
	struct gt__heap_entry entry = {.key = order->streams[stream].key, .stream = stream};
	uint32_t at = order->heap_count++;

	while (at && before(entry, order->heap[(at - 1) / 2])) {
		order->heap[at] = order->heap[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	order->heap[at] = entry;
}

static void heap_pop(struct gt__order *order)
{
	struct gt__heap_entry last = order->heap[--order->heap_count];

	if (order->heap_count)
		heap_down(order, last);
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
		void *streams = realloc(order->streams, room * sizeof(*order->streams)), *heap;

		if (!streams)
			return -ENOMEM;
		order->streams = streams;
		heap = realloc(order->heap, room * sizeof(*order->heap));
		if (!heap)
			return -ENOMEM;
		order->heap = heap;
		order->stream_room = room;
	}
	ret = gt_map_put(&order->ids, m, order->stream_count);
	if (ret < 0)
		return ret;
	*out = order->stream_count++;
	memset(&order->streams[*out], 0, sizeof(order->streams[*out]));
	order->streams[*out].m = order->streams[*out].head.m = m;
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
}

/* Unpacks the stream's next event into its head. */
static void advance(struct gt__order *order, struct gt__stream *stream)
{
	const uint8_t *payload;
	size_t size;

	stream->has_head = false;
	while (stream->first) {
		enum gt__step step = gt__events_step(&stream->first->events, &stream->head, &payload, &size);

		if (step == GT__STEP_EVENT) {
			struct gt_event *head = &stream->head;

			if (!check_args(order, head)) {
				bad_record(order, "an event with a state that does not exist", stream->m);
				continue;
			}
			if (head->ticks > stream->key)
				stream->key = head->ticks;
			stream->has_head = true;
			return;
		}
		if (step == GT__STEP_BAD)
			bad_record(order, "a record of events that breaks off", stream->m);
		if (step == GT__STEP_BAD || step == GT__STEP_END)
			drop_run(order, stream);
	}
}

/* A head that tells of a loss: what others contradict since the event before it is explained. */
static void note_loss(struct gt__order *order, const struct gt__stream *stream)
{
	int64_t to = gt__clock_ns(&order->clock, stream->key);

	if (to > order->loss_to_ns)
		order->loss_to_ns = to;
}

static void new_head(struct gt__order *order, struct gt__stream *stream)
{
	advance(order, stream);
	if (stream->has_head && stream->head.kind == GT_EV_LOST)
		note_loss(order, stream);
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
		new_head(order, stream);
		if (stream->has_head)
			heap_push(order, index);
	}
	return 0;
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
		if (ret == -EBADMSG || ret == -ENOSPC) {
			order->damage.records_bad++;
			gt__damage_say(&order->damage, "a %s record of type %u in the frame at byte %llu",
				ret == -ENOSPC ? "name too many: a" : "damaged", type,
				(unsigned long long)frame->offset);
			ret = 0;
		}
	}
	if (order->tables->since_max) {
		int64_t since = gt__clock_ns(&order->clock, order->tables->since_max);

		if (since > order->loss_to_ns)
			order->loss_to_ns = since;
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

static int64_t head_ns(const struct gt__order *order, const struct gt__stream *stream)
{
	int64_t now = gt__clock_ns(&order->clock, stream->head.ticks);

	return now > order->last_ns ? now : order->last_ns;
}

/* Gives the stream's head and goes on to its next. The stream is not in the heap, or is its top (@top). */
static int give(struct gt__order *order, uint32_t index, bool top, struct gt_event *event)
{
	struct gt__stream *stream = &order->streams[index];

	*event = stream->head;
	event->time_ns = head_ns(order, stream);
	order->last_ns = event->time_ns;
	if (stream->key > order->last_key)
		order->last_key = stream->key;
	gt_model_apply(order->model, event);
	gt__order_names(order, event);
	if (event->kind == GT_EV_CPU_SAMPLE && !event->args[0])
		sampled_goroutine(order, event);
	order->retry = true;
	new_head(order, stream);
	if (top && stream->has_head)
		heap_down(order, (struct gt__heap_entry){.key = stream->key, .stream = index});
	else if (top)
		heap_pop(order);
	else if (stream->has_head)
		heap_push(order, index);
	return 1;
}

static void unblock(struct gt__order *order, uint32_t place)
{
	order->streams[order->blocked[place]].blocked = false;
	memmove(&order->blocked[place], &order->blocked[place + 1],
		(order->blocked_count - place - 1) * sizeof(order->blocked[0]));
	order->blocked_count--;
}

/* A blocked head that fits now. */
static int give_blocked(struct gt__order *order, struct gt_event *event)
{
	order->retry = false;
	for (uint32_t i = 0; i < order->blocked_count; i++) {
		uint32_t index = order->blocked[i];

		if (gt_model_fits(order->model, &order->streams[index].head) != GT_FIT)
			continue;
		unblock(order, i);
		order->damage.order_repaired++;
		return give(order, index, false, event);
	}
	return 0;
}

/* Everything within the skew of the oldest blocked head has passed (or too many wait). */
static bool stuck(const struct gt__order *order, uint64_t now)
{
	uint64_t key;

	if (!order->blocked_count)
		return false;
	key = order->streams[order->blocked[0]].key;
	return order->blocked_count == GT__BLOCKED_MAX || (now > key && now - key > order->skew_ticks);
}

static void block(struct gt__order *order, uint32_t index)
{
	uint32_t place = order->blocked_count++;

	while (place && order->streams[order->blocked[place - 1]].key > order->streams[index].key) {
		order->blocked[place] = order->blocked[place - 1];
		place--;
	}
	order->blocked[place] = index;
	order->streams[index].blocked = true;
	heap_pop(order);
}

/* A misfit that a loss or the window's edge explains at once: it need not wait for another event. */
static bool explained(const struct gt__order *order, const struct gt__stream *stream, enum gt_model_fit fit)
{
	bool loss = order->loss_to_ns != INT64_MIN;

	if (fit == GT_FIT_UNBORN)
		return order->window || order->tables->partial || loss;
	return loss && gt_model_fit_since(order->model, &stream->head, fit) <= order->loss_to_ns;
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

int gt__order_next(struct gt__order *order, struct gt_event *event)
{
	for (;;) {
		struct gt__heap_entry top;
		struct gt__stream *stream;
		enum gt_model_fit fit;

		if (__builtin_expect(order->blocked_count && order->retry, 0) && give_blocked(order, event))
			return 1;
		if (!order->heap_count) {
			if (!order->ended && !too_much(order))
				return 0;
			return order->blocked_count ? GT__ORDER_STUCK : 0;
		}
		top = order->heap[0];
		if (__builtin_expect(stuck(order, top.key), 0))
			return GT__ORDER_STUCK;
		if (__builtin_expect(top.key >= order->watermark && !order->ended, 0) && !too_much(order))
			return 0;
		stream = &order->streams[top.stream];
		/* A frame that broke its forerunner's watermark. */
		if (__builtin_expect(top.key < order->last_key && !order->blocked_count, 0) &&
			order->last_key - top.key > order->skew_ticks)
			gt__damage_say(&order->damage, "an event of M %llu came later than the watermark allows",
				(unsigned long long)stream->m);
		fit = gt_model_fits(order->model, &stream->head);
		if (__builtin_expect(fit == GT_FIT || explained(order, stream, fit), 1))
			return give(order, top.stream, true, event);
		block(order, top.stream);
	}
}

const struct gt_event *gt__order_stuck(const struct gt__order *order, int64_t *since_ns, int64_t *time_ns)
{
	const struct gt__stream *stream = &order->streams[order->blocked[0]];
	enum gt_model_fit fit = gt_model_fits(order->model, &stream->head);

	*since_ns = gt_model_fit_since(order->model, &stream->head, fit);
	*time_ns = head_ns(order, stream);
	return &stream->head;
}

int gt__order_force(struct gt__order *order, bool is_explained, struct gt_event *event)
{
	uint32_t index = order->blocked[0];
	struct gt__stream *stream = &order->streams[index];

	if (!is_explained) {
		order->damage.order_broken++;
		if (!order->damage.first[0]) {
			char why[160];

			gt_model_explain(order->model, &stream->head, gt_model_fits(order->model, &stream->head), why,
				sizeof(why));
			gt__damage_say(&order->damage, "an impossible event at %lld ns on M %llu: %s",
				(long long)gt__clock_ns(&order->clock, stream->head.ticks),
				(unsigned long long)stream->m, why);
		}
	}
	unblock(order, 0);
	return give(order, index, false, event);
}
