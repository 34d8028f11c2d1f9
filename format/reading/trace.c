/*
 * trace.c - an opened file: walks its frames, feeds order, answers for the tables.
 *
 * Three walks: over the frame headers at open (clock, sizes); over everything when somebody asks
 * (gt_trace_scan) or when order meets an event that fits nowhere, to learn whether a loss that is told only later explains it; and
 * that of gt_trace_next. Each counts its own damage.
 */
#include "format/reading/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define CLOCK_DISTANCE_NS_MIN 1000000
#define LOSSES_MAX            (1u << 20)
#define SKEW_NS_MAX           10000000u
#define END_NS_MAX            (INT64_C(1) << 60) /* 36 years */

/* ---- opening ---- */

/* The line through the start and the last clock pair far enough from it; sums of the headers. */
static int walk_headers(struct gt_trace *trace)
{
	const struct gt__header *header = &trace->reader.header;
	uint64_t offset = header->header_bytes, ns = 1000000000, ticks = header->ticks_per_second, end_ticks = 0;
	struct gt__frame frame;
	int ret;

	while ((ret = gt__reader_next(&trace->reader, offset, &frame, NULL)) > 0) {
		offset = frame.next;
		if (frame.ticks > header->start_ticks && frame.monotonic_ns > header->start_monotonic_ns &&
			(uint64_t)frame.monotonic_ns - (uint64_t)header->start_monotonic_ns >= CLOCK_DISTANCE_NS_MIN) {
			ns = (uint64_t)frame.monotonic_ns - (uint64_t)header->start_monotonic_ns;
			ticks = frame.ticks - header->start_ticks;
		}
		if (frame.kind != GT__FRAME_DATA)
			continue;
		end_ticks = frame.ticks;
		/* All that is older is in the file; beyond the clock it would be what the writer says when it is done. */
		if (frame.watermark <= frame.ticks && !trace->info.window)
			trace->whole_ticks = frame.watermark;
		trace->info.frames++;
		trace->info.events += frame.event_count;
		trace->info.raw_bytes += frame.raw_bytes;
	}
	if (ret < 0)
		return ret;
	if (!ticks)
		ticks = 1000000000;
	gt__clock_set(&trace->order.clock, header->start_ticks, ns, ticks);
	trace->info.ticks_per_second = (double)ticks / (double)ns * 1e9;
	trace->info.span_ns = end_ticks ? gt__clock_ns(&trace->order.clock, end_ticks) : 0;
	if (trace->info.span_ns < 0)
		trace->info.span_ns = 0;
	return 0;
}

/* *last: raised to it. */
static void end_ticks(const struct gt_trace *trace, uint64_t *last)
{
	const char *text = gt_trace_meta(trace, "end_ticks");
	unsigned long long ticks;

	if (text && sscanf(text, "%llu", &ticks) == 1 && ticks > *last)
		*last = ticks;
}

int64_t gt_trace_end_ns(const struct gt_trace *trace, bool *gone)
{
	const char *how = gt_trace_meta(trace, "exit");
	uint64_t ticks = 0;
	int64_t ns;

	*gone = how && strcmp(how, "still running") != 0;
	end_ticks(trace, &ticks);
	if (!ticks && trace->info.cut)
		ticks = trace->whole_ticks;
	ns = ticks ? gt__clock_ns(&trace->order.clock, ticks) : 0;
	return ns > 0 && ns < END_NS_MAX ? ns : 0;
}

static void read_index_record(
	struct gt_trace *trace, unsigned int type, const uint8_t *at, size_t size, uint64_t *first, uint64_t *last)
{
	struct gt_cursor cursor = {.at = at, .end = at + size};
	uint64_t oldest, newest, count;

	if (type == GT__REC_META || type == GT__REC_LOSS)
		(void)gt__tables_record(&trace->tables, type, at, size, true);
	if (type != GT__REC_FRAME)
		return;
	gt_get_uvarint(&cursor);
	oldest = gt_get_uvarint(&cursor);
	newest = gt_get_uvarint(&cursor);
	count = gt_get_uvarint(&cursor);
	if (cursor.bad || !count)
		return;
	if (oldest < *first)
		*first = oldest;
	if (newest > *last)
		*last = newest;
}

/* Final metas and losses, and the span. An index that is damaged is as good as none. */
static int read_index(struct gt_trace *trace)
{
	uint64_t first = UINT64_MAX, last = 0;
	struct gt_cursor cursor;
	struct gt__frame frame;
	struct gt__bytes *bytes;
	int ret;

	trace->info.cut = true;
	if (!trace->reader.index_offset)
		return 0;
	ret = gt__reader_next(&trace->reader, trace->reader.index_offset, &frame, NULL);
	if (ret <= 0 || frame.raw_bytes > GT__RAW_BYTES_MAX)
		return ret < 0 ? ret : 0;
	bytes = gt__order_buffer(&trace->order, frame.raw_bytes);
	if (!bytes)
		return -ENOMEM;
	cursor.at = gt__order_buffer_bytes(bytes);
	cursor.end = cursor.at + frame.raw_bytes;
	cursor.bad = false;
	ret = gt__reader_unpack(&trace->reader, &frame, gt__order_buffer_bytes(bytes), NULL);
	while (!ret && cursor.at < cursor.end) {
		unsigned int type = gt_get_u8(&cursor);
		uint64_t size = gt_get_uvarint(&cursor);
		const uint8_t *at = gt_get_bytes(&cursor, size);

		if (cursor.bad)
			break;
		read_index_record(trace, type, at, (size_t)size, &first, &last);
	}
	gt__order_drop(&trace->order, bytes);
	trace->info.cut = ret || cursor.bad;
	end_ticks(trace, &last);
	if (!trace->info.cut && first <= last)
		trace->info.span_ns =
			gt__clock_ns(&trace->order.clock, last) - gt__clock_ns(&trace->order.clock, first);
	return ret == -EBADMSG ? 0 : ret;
}

static void set_skew(struct gt_trace *trace, uint64_t ns)
{
	trace->order.skew_ns = (int64_t)ns;
	trace->order.skew_ticks = gt__clock_ticks(&trace->order.clock, ns);
}

/* META clock may tell the measured bound: "... skew_ns=N ...". It is told as of the frame at @offset, which was just read. */
static void find_skew(struct gt_trace *trace, uint64_t offset)
{
	const char *clock = trace->skew_known ? NULL : gt_trace_meta(trace, "clock");
	const char *at = clock ? strstr(clock, "skew_ns=") : NULL;
	unsigned long long ns;

	if (!clock)
		return;
	trace->skew_known = true;
	trace->skew_offset = offset;
	trace->skew_ns = GT__SKEW_NS;
	if (at && sscanf(at, "skew_ns=%llu", &ns) == 1)
		trace->skew_ns = ns < SKEW_NS_MAX ? ns : SKEW_NS_MAX;
}

/* The bound for what follows the frame at @offset: each pass goes by what the file has told up to there. */
static void use_skew(struct gt_trace *trace, uint64_t offset)
{
	set_skew(trace, trace->skew_known && trace->skew_offset <= offset ? trace->skew_ns : GT__SKEW_NS);
}

static int open_common(struct gt_trace *trace, struct gt_trace **out, struct gt_error *err)
{
	const struct gt__header *header = &trace->reader.header;
	int ret = gt__order_init(&trace->order, &trace->tables);

	if (ret < 0)
		goto fail;
	trace->info.file_bytes = trace->reader.source.size;
	trace->info.start_realtime_ns = header->start_realtime_ns;
	trace->info.start_monotonic_ns = header->start_monotonic_ns;
	trace->info.version_major = header->version_major;
	trace->info.version_minor = header->version_minor;
	trace->info.window = trace->order.window = header->flags & GT__FLAG_WINDOW;
	trace->offset = header->header_bytes;
	ret = walk_headers(trace);
	if (ret < 0)
		goto fail;
	ret = read_index(trace);
	if (ret < 0)
		goto fail;
	find_skew(trace, 0);
	use_skew(trace, 0);
	*out = trace;
	return 0;
fail:
	gt_trace_close(trace);
	return gt_fail(err, ret, "cannot be read: %s", strerror(-ret));
}

/* One of another tracer's. */
static int open_foreign(struct gt_trace *trace, const char *path, const void *bytes, size_t size, struct gt_trace **out,
	struct gt_error *err)
{
	int ret = gt__order_init(&trace->order, &trace->tables);

	ret = ret < 0 ? gt_fail(err, ret, "no memory to open it") : gt__foreign_open(trace, path, bytes, size, err);
	if (ret < 0)
		gt_trace_close(trace);
	else
		*out = trace;
	return ret;
}

int gt_trace_open(const char *path, struct gt_trace **out, struct gt_error *err)
{
	struct gt_trace *trace = calloc(1, sizeof(*trace));
	int ret;

	if (!trace)
		return gt_fail(err, ENOMEM, "no memory to open it: %s", path);
	trace->reader.source.fd = -1;
	if (gt__foreign_is(path, NULL, 0))
		return open_foreign(trace, path, NULL, 0, out, err);
	ret = gt__reader_open(path, &trace->reader, err);
	if (ret < 0) {
		free(trace);
		return ret;
	}
	ret = open_common(trace, out, err);
	return ret < 0 ? gt_fail_prefix(err, ret, "%s", path) : 0;
}

int gt_trace_open_memory(const void *bytes, size_t size, struct gt_trace **out, struct gt_error *err)
{
	struct gt_trace *trace = calloc(1, sizeof(*trace));
	int ret;

	if (!trace)
		return gt_fail(err, ENOMEM, "no memory to open it");
	trace->reader.source.fd = -1;
	if (gt__foreign_is(NULL, bytes, size))
		return open_foreign(trace, NULL, bytes, size, out, err);
	ret = gt__reader_open_memory(bytes, size, &trace->reader, err);
	if (ret < 0) {
		free(trace);
		return ret;
	}
	return open_common(trace, out, err);
}

void gt_trace_close(struct gt_trace *trace)
{
	if (!trace)
		return;
	gt__foreign_close(trace);
	gt__order_free(&trace->order);
	gt__tables_free(&trace->tables);
	gt__reader_close(&trace->reader);
	free(trace->losses);
	free(trace);
}

/* ---- reading on ---- */

/* The next data frame that is whole, unpacked; 1, 0 at the end, -errno. */
static int load(struct gt_trace *trace, uint64_t *offset, struct gt__frame *frame, struct gt__bytes **out,
	struct gt_trace_damage *damage)
{
	for (;;) {
		int ret = gt__reader_next(&trace->reader, *offset, frame, damage);

		if (ret <= 0)
			return ret;
		*offset = frame->next;
		if (frame->kind != GT__FRAME_DATA)
			continue;
		/* More than may be unpacked is damage; unpack counts it without touching the buffer. */
		*out = gt__order_buffer(&trace->order, frame->raw_bytes > GT__RAW_BYTES_MAX ? 0 : frame->raw_bytes);
		if (!*out)
			return -ENOMEM;
		ret = gt__reader_unpack(&trace->reader, frame, gt__order_buffer_bytes(*out), damage);
		if (!ret)
			return 1;
		gt__order_drop(&trace->order, *out);
		if (ret != -EBADMSG)
			return ret;
	}
}

static void give_up(struct gt_trace *trace, int ret)
{
	trace->order.damage.frames_bad++;
	gt__damage_say(&trace->order.damage, "reading ends at byte %llu: %s", (unsigned long long)trace->offset,
		strerror(-ret));
	trace->order.ended = true;
}

static void feed(struct gt_trace *trace)
{
	struct gt__bytes *bytes;
	struct gt__frame frame;
	int ret = load(trace, &trace->offset, &frame, &bytes, &trace->order.damage);

	if (ret > 0) {
		ret = gt__order_frame(&trace->order, &frame, bytes);
		find_skew(trace, frame.offset);
		use_skew(trace, frame.offset);
	} else if (!ret) {
		trace->order.ended = trace->tables.complete = true;
		if (trace->order.names_bad > trace->names_bad)
			trace->names_bad = trace->order.names_bad;
	}
	if (ret < 0)
		give_up(trace, ret);
}

int gt_trace_next(struct gt_trace *trace, struct gt_event *event)
{
	if (trace->foreign)
		return gt__foreign_next(trace, event);
	for (;;) {
		int ret = gt__order_next(&trace->order, event);

		if (ret == 1)
			return 1;
		if (ret == GT__ORDER_STUCK) {
			int64_t since, now;

			gt__order_stuck(&trace->order, &since, &now);
			return gt__order_force(&trace->order, gt__trace_explains(trace, since, now), event);
		}
		if (trace->order.ended)
			return 0;
		feed(trace);
	}
}

int gt_trace_rewind(struct gt_trace *trace)
{
	if (trace->foreign)
		return gt__foreign_rewind(trace);
	trace->offset = trace->reader.header.header_bytes;
	use_skew(trace, 0);
	return gt__order_reset(&trace->order);
}

/* ---- the walk over everything ---- */

struct walk {
	struct gt_trace *trace;
	struct gt_map last; /* m -> ticks of its last event */
	struct gt_trace_damage damage;
	uint64_t names_bad;
	size_t loss_room;
	bool no_memory;
};

static void add_loss(struct walk *walk, uint64_t from, uint64_t to)
{
	struct gt_trace *trace = walk->trace;
	struct gt__loss loss = {
		.from_ns = from ? gt__clock_ns(&trace->order.clock, from) : INT64_MIN,
		.to_ns = gt__clock_ns(&trace->order.clock, to),
	};

	if (trace->loss_count == LOSSES_MAX) { /* so many that no place is free of them */
		trace->losses[0] = (struct gt__loss){.from_ns = INT64_MIN, .to_ns = INT64_MAX};
		return;
	}
	if (trace->loss_count == walk->loss_room) {
		size_t room = walk->loss_room ? walk->loss_room * 2 : 64;
		void *losses = realloc(trace->losses, room * sizeof(*trace->losses));

		if (!losses) {
			walk->no_memory = true;
			return;
		}
		trace->losses = losses;
		walk->loss_room = room;
	}
	trace->losses[trace->loss_count++] = loss;
}

static void walk_events(struct walk *walk, const uint8_t *at, size_t size)
{
	struct gt__events events;
	struct gt_event event;
	const uint8_t *payload;
	size_t payload_size;
	uint64_t m, *value, last;
	enum gt__step step;

	if (!gt__events_begin(&events, at, size, &m)) {
		walk->damage.records_bad++;
		return;
	}
	value = gt_map_find(&walk->last, m);
	last = value ? *value : 0;
	while ((step = gt__events_step(&events, &event, &payload, &payload_size)) != GT__STEP_END) {
		if (step == GT__STEP_BAD) {
			walk->damage.records_bad++;
			gt__damage_say(
				&walk->damage, "a record of events that breaks off, M %llu", (unsigned long long)m);
			break;
		}
		if (step != GT__STEP_EVENT)
			continue;
		if (event.kind == GT_EV_LOST) {
			walk->damage.events_lost += event.args[0];
			add_loss(walk, last, event.ticks);
		}
		if (event.ticks > last)
			last = event.ticks;
	}
	if (walk->last.count < GT__STREAMS_MAX && gt_map_put(&walk->last, m, last) < 0)
		walk->no_memory = true;
}

/* The goroutine itself belongs to the place in the trace. */
static int was_there(struct gt__tables *tables, const uint8_t *at, size_t size)
{
	struct gt_trace_goroutine goroutine;
	int ret = gt__goroutine_parse(at, size, &goroutine);

	if (!ret)
		tables->partial = true;
	return ret;
}

static void walk_frame(struct walk *walk, const struct gt__frame *frame, struct gt__bytes *bytes)
{
	struct gt__tables *tables = &walk->trace->tables;
	struct gt_cursor cursor = {.at = gt__order_buffer_bytes(bytes)};

	cursor.end = cursor.at + frame->raw_bytes;
	while (cursor.at < cursor.end) {
		unsigned int type = gt_get_u8(&cursor);
		uint64_t size = gt_get_uvarint(&cursor);
		const uint8_t *at = gt_get_bytes(&cursor, size);
		int ret = 0;

		if (cursor.bad) {
			walk->damage.records_bad++;
			gt__damage_say(&walk->damage, "the frame at byte %llu ends inside a record",
				(unsigned long long)frame->offset);
			break;
		}
		if (type == GT__REC_EVENTS)
			walk_events(walk, at, (size_t)size);
		else if (type == GT__REC_GOROUTINE)
			ret = was_there(tables, at, (size_t)size);
		else
			ret = gt__tables_record(tables, type, at, (size_t)size, false);
		if (ret < 0) {
			*(gt__of_its_place(type) ? &walk->damage.records_bad : &walk->names_bad) += 1;
			gt__damage_say(&walk->damage, "a damaged record of type %u in the frame at byte %llu", type,
				(unsigned long long)frame->offset);
		}
	}
}

static int by_begin(const void *a, const void *b)
{
	int64_t x = ((const struct gt__loss *)a)->from_ns, y = ((const struct gt__loss *)b)->from_ns;

	return (x > y) - (x < y);
}

/* Sorted by their begin; each with the latest end of itself and all before it. */
static void sort_losses(struct gt_trace *trace)
{
	if (!trace->loss_count)
		return;
	qsort(trace->losses, trace->loss_count, sizeof(*trace->losses), by_begin);
	for (size_t i = 1; i < trace->loss_count; i++)
		if (trace->losses[i].to_ns < trace->losses[i - 1].to_ns)
			trace->losses[i].to_ns = trace->losses[i - 1].to_ns;
}

static int walk_all(struct gt_trace *trace)
{
	struct walk walk = {.trace = trace};
	uint64_t offset = trace->reader.header.header_bytes;
	struct gt__bytes *bytes;
	struct gt__frame frame;
	int ret;

	if (trace->scanned)
		return 0;
	while ((ret = load(trace, &offset, &frame, &bytes, &walk.damage)) > 0) {
		walk_frame(&walk, &frame, bytes);
		find_skew(trace, frame.offset);
		gt__order_drop(&trace->order, bytes);
	}
	gt_map_free(&walk.last);
	if (!ret && walk.no_memory)
		ret = -ENOMEM;
	if (ret < 0) {
		trace->loss_count = 0;
		return ret;
	}
	if (trace->tables.since_max)
		add_loss(&walk, 0, trace->tables.since_max);
	sort_losses(trace);
	trace->scan_damage = walk.damage;
	if (walk.names_bad > trace->names_bad)
		trace->names_bad = walk.names_bad;
	trace->scanned = trace->tables.complete = true;
	return 0;
}

/* What a LOSS total counts; the texts are the collector's (docs/format.md). */
enum loss_kind {
	LOSS_NAMES,    /* no events: what names them */
	LOSS_TOLD,     /* events, and Lost events tell them in their places */
	LOSS_ANYWHERE, /* events that may be missing anywhere */
};

static enum loss_kind loss_kind(const char *what)
{
	static const struct {
		const char *what;
		enum loss_kind kind;
	} known[] = {
		{"stacks", LOSS_NAMES},
		{"names", LOSS_NAMES},
		{"strings", LOSS_NAMES},
		{"no room", LOSS_TOLD},
		{"in a signal", LOSS_TOLD},
		{"kernel events", LOSS_TOLD},
		{"stacks of samples", LOSS_NAMES},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!strcmp(what, known[i].what))
			return known[i].kind;
	return LOSS_ANYWHERE;
}

static bool lost_anywhere(const struct gt_trace *trace)
{
	const char *what;
	uint64_t count;
	size_t at = 0;

	while (gt_trace_losses(trace, &at, &what, &count))
		if (count && loss_kind(what) == LOSS_ANYWHERE)
			return true;
	return false;
}

bool gt__trace_explains(struct gt_trace *trace, int64_t since_ns, int64_t now_ns)
{
	size_t low = 0, high;
	int ret = trace->foreign ? 0 : walk_all(trace);

	if (ret < 0)
		return true; /* it cannot be known: nobody is accused */
	if (since_ns == INT64_MIN && (trace->order.window || trace->tables.partial))
		return true;
	if (lost_anywhere(trace))
		return true;
	/* The last loss that begins before now (and the clocks' skew). */
	high = trace->loss_count;
	while (low < high) {
		size_t middle = (low + high) / 2;

		if (trace->losses[middle].from_ns <= now_ns ||
			trace->losses[middle].from_ns - now_ns <= trace->order.skew_ns)
			low = middle + 1;
		else
			high = middle;
	}
	return low && trace->losses[low - 1].to_ns >= since_ns;
}

int gt_trace_scan(struct gt_trace *trace)
{
	int ret;

	if (trace->foreign)
		return gt__foreign_scan(trace);
	ret = walk_all(trace);
	return ret < 0 ? ret : gt_trace_rewind(trace);
}

/* ---- tables ---- */

static const void *find(const struct gt_map *map, uint64_t key)
{
	const uint64_t *value = gt_map_find(map, key);

	return value ? (const void *)(uintptr_t)*value : NULL;
}

const char *gt_trace_meta(const struct gt_trace *trace, const char *key)
{
	uint64_t id = gt_strings_find(&trace->tables.metas.keys, key, strlen(key));

	return id ? trace->tables.metas.values[id - 1].text : NULL;
}

const char *gt_trace_string(const struct gt_trace *trace, uint64_t id)
{
	return id ? find(&trace->tables.strings, id) : "";
}

const struct gt_trace_pc *gt_trace_pc(const struct gt_trace *trace, uint64_t pc)
{
	return find(&trace->tables.pcs, pc);
}

const char *gt_trace_function(const struct gt_trace *trace, uint64_t pc)
{
	const struct gt_trace_pc *entry = gt_trace_pc(trace, pc);

	return entry && entry->count && entry->lines[entry->count - 1].function[0]
		       ? entry->lines[entry->count - 1].function
		       : NULL;
}

const struct gt_trace_stack *gt_trace_stack(const struct gt_trace *trace, uint64_t id)
{
	return id ? find(&trace->tables.stacks, id) : NULL;
}

const struct gt_trace_thread *gt_trace_thread(const struct gt_trace *trace, uint64_t m)
{
	return find(&trace->tables.threads, m);
}

const struct gt_trace_goroutine *gt_trace_goroutine(const struct gt_trace *trace, uint64_t g)
{
	return find(&trace->tables.goroutines, g);
}

bool gt_trace_metas(const struct gt_trace *trace, size_t *at, const char **key, const char **value)
{
	const struct gt__keyed *metas = &trace->tables.metas;

	while (*at < metas->keys.count) {
		size_t place = (*at)++;

		if (!metas->values[place].text)
			continue; /* its value found no room */
		*key = gt_strings_get(&metas->keys, place + 1, NULL);
		*value = metas->values[place].text;
		return true;
	}
	return false;
}

bool gt_trace_losses(const struct gt_trace *trace, size_t *at, const char **what, uint64_t *count)
{
	const struct gt__keyed *losses = &trace->tables.losses;

	if (*at >= losses->keys.count)
		return false;
	*what = gt_strings_get(&losses->keys, *at + 1, NULL);
	*count = losses->values[(*at)++].count;
	return true;
}

void gt_trace_info(const struct gt_trace *trace, struct gt_trace_info *out)
{
	*out = trace->info;
	if (trace->tables.since_max)
		out->complete_ns = gt__clock_ns(&trace->order.clock, trace->tables.since_max);
	if (out->complete_ns < 0)
		out->complete_ns = 0;
}

void gt_trace_damage(const struct gt_trace *trace, struct gt_trace_damage *out)
{
	const struct gt_trace_damage *scan = &trace->scan_damage;
	const char *what;
	uint64_t count;
	size_t at = 0;

	*out = trace->order.damage;
	if (scan->frames_bad > out->frames_bad)
		out->frames_bad = scan->frames_bad;
	if (scan->records_bad > out->records_bad)
		out->records_bad = scan->records_bad;
	out->records_bad += trace->order.names_bad > trace->names_bad ? trace->order.names_bad : trace->names_bad;
	if (scan->events_lost > out->events_lost)
		out->events_lost = scan->events_lost;
	if (!out->first[0])
		memcpy(out->first, scan->first, sizeof(out->first));
	while (gt_trace_losses(trace, &at, &what, &count))
		if (loss_kind(what) == LOSS_ANYWHERE)
			out->events_lost += count;
}
