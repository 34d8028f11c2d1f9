/* writer.c - lays out the records of docs/format.md in frames. */
#include "format/wire/writer.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/hash.h"
#include "format/wire/frames.h"

static const uint8_t file_magic[8] = {0x89, 'G', 'T', 'R', 'A', 'C', 'E', '\n'};
#define VERSION_MAJOR 1
#define VERSION_MINOR 0
#define FLAG_WINDOW   1

enum record_type {
	RECORD_META = 1,
	RECORD_STRING,
	RECORD_PC,
	RECORD_STACK,
	RECORD_THREAD,
	RECORD_GOROUTINE,
	RECORD_EVENTS,
	RECORD_LOSS,
	RECORD_SINCE,
};

/* type and length of a record */
#define RECORD_HEAD_MAX (1 + GT_UVARINT_BYTES_MAX)
/* those, and m, base, count before an EVENTS record's events */
#define EVENTS_HEAD_MAX (RECORD_HEAD_MAX + 3 * GT_UVARINT_BYTES_MAX)
/* a step back, then an event with all arguments */
#define EVENT_BYTES_MAX (2 * (1 + GT_UVARINT_BYTES_MAX) + GT_EVENT_ARGS_MAX * GT_UVARINT_BYTES_MAX)
/* The index has META and LOSS in it, and must stay below the limit of a frame. */
#define FINALS_BYTES_MAX (4u << 20)
#define NO_KIND          0xff
#define KEPT_IDS         1024 /* a power of 2 */

/* The final value of a META or LOSS. */
struct final {
	char *name;
	char *text;     /* META */
	uint64_t count; /* LOSS */
	size_t size;    /* at most, in the index */
	enum record_type type;
};

struct gt_writer {
	/* for each event */
	uint8_t *at;    /* where the next byte goes */
	uint8_t *limit; /* an event may begin up to here; NULL when there is no room or all failed */
	uint64_t ticks; /* the last event's time, or the base */
	uint64_t count; /* events in this record */
	uint8_t arg_counts[GT_EVENT_KIND_COUNT];

	/* for each EVENTS record */
	uint8_t *events; /* where its events begin; NULL: none is open */
	uint64_t m;
	uint64_t base;
	uint64_t first; /* earliest and latest event in it so far */
	uint64_t last;

	struct gt__frames *frames;
	struct gt__frame *frame; /* the one being filled; NULL after a failure */
	uint64_t watermark, hold;
	uint64_t pair_ticks;
	int64_t pair_monotonic_ns;
	struct gt_writer_totals totals;
	int failed;
	struct gt_error error;

	struct gt_strings strings;
	struct gt_map pcs;
	struct gt_map stacks;
	struct final *finals;
	size_t final_count;
	size_t final_bytes;
	struct {
		uint64_t key, id;
	} kept[KEPT_IDS];
};

/* ---- numbers ---- */

static size_t uvarint_size(uint64_t value)
{
	/* bits / 7, rounded up; 0 takes a byte too */
	return (size_t)((70 - __builtin_clzll(value | 1)) * 37) >> 8;
}

__attribute__((noinline)) static uint8_t *put_long(uint8_t *at, uint64_t value)
{
	return gt_put_uvarint(at, value);
}

/* As gt_put_uvarint, for times and goroutines: whether they take one byte or two is as good as random, and a
 * wrong guess would cost more than the event. May write 2 bytes whatever the length. */
static inline uint8_t *put_short(uint8_t *at, uint64_t value)
{
	unsigned int two = value >= 0x80;
	uint16_t bytes = (uint16_t)((value & 0x7f) | two << 7 | value >> 7 << 8);

	if (__builtin_expect(value >= 0x4000, 0))
		return put_long(at, value);
	memcpy(at, &bytes, sizeof(bytes));
	return at + 1 + two;
}

/* ---- failure ---- */

static int writer_fail(struct gt_writer *writer, int code, const char *what)
{
	if (!writer->failed)
		writer->failed = gt_fail(&writer->error, code, "cannot write the trace: %s", what);
	writer->limit = NULL;
	return writer->failed;
}

/* The frames have failed. */
static int frames_failed(struct gt_writer *writer)
{
	if (!writer->failed)
		writer->failed = gt__frames_failure(writer->frames, &writer->error);
	writer->limit = NULL;
	writer->frame = NULL;
	return writer->failed;
}

int gt_writer_failure(const struct gt_writer *writer, struct gt_error *err)
{
	if (!writer->failed)
		return gt__frames_failure(writer->frames, err);
	if (err)
		*err = writer->error;
	return writer->failed;
}

/* ---- frames ---- */

static int frame_open(struct gt_writer *writer)
{
	writer->frame = gt__frames_get(writer->frames);
	if (!writer->frame)
		return frames_failed(writer);
	writer->frame->event_count = 0;
	writer->frame->first = 0;
	writer->frame->last = 0;
	writer->at = writer->frame->raw;
	return 0;
}

static int frame_close(struct gt_writer *writer, bool push)
{
	struct gt__frame *frame = writer->frame;

	frame->size = (size_t)(writer->at - frame->raw);
	frame->ticks = writer->pair_ticks;
	frame->monotonic_ns = writer->pair_monotonic_ns;
	frame->watermark = writer->watermark;
	frame->push = push;
	writer->totals.bytes_raw += frame->size;
	if (gt__frames_put(writer->frames) < 0)
		return frames_failed(writer);
	return frame_open(writer);
}

/* Room for @size bytes in the frame, by a new one when it must be. */
static int make_room(struct gt_writer *writer, size_t size)
{
	if (writer->failed)
		return writer->failed;
	if ((size_t)(writer->frame->raw + GT_WRITER_FRAME_BYTES - writer->at) >= size)
		return 0;
	return frame_close(writer, false);
}

/* ---- records of tables ---- */

/* Begins a record whose contents take @size bytes, which the caller writes next. */
static int record_begin(struct gt_writer *writer, enum record_type type, size_t size)
{
	int ret;

	assert(!writer->events);
	ret = make_room(writer, RECORD_HEAD_MAX + size);
	if (ret < 0)
		return ret;
	*writer->at++ = (uint8_t)type;
	writer->at = gt_put_uvarint(writer->at, size);
	return 0;
}

static void put_uvarint(struct gt_writer *writer, uint64_t value)
{
	writer->at = gt_put_uvarint(writer->at, value);
}

static void put_bytes(struct gt_writer *writer, const void *bytes, size_t size)
{
	if (size)
		memcpy(writer->at, bytes, size);
	writer->at += size;
}

/* The size that @bytes are cut to: no more than the limit, and not inside a character. */
static size_t cut_text(const char *bytes, size_t size)
{
	size_t cut = GT_WRITER_TEXT_BYTES_MAX;

	if (size <= cut)
		return size;
	while (cut > GT_WRITER_TEXT_BYTES_MAX - 4 && ((uint8_t)bytes[cut] & 0xc0) == 0x80)
		cut--;
	return cut;
}

static uint8_t *put_text(uint8_t *at, const char *text)
{
	size_t size = cut_text(text, strlen(text));

	at = gt_put_uvarint(at, size);
	memcpy(at, text, size);
	return at + size;
}

static size_t text_size(const char *text)
{
	size_t size = cut_text(text, strlen(text));

	return uvarint_size(size) + size;
}

/* Remembers the last value for the index. */
static int final_set(
	struct gt_writer *writer, enum record_type type, const char *name, const char *text, uint64_t count)
{
	size_t size = RECORD_HEAD_MAX + text_size(name) + (text ? text_size(text) : GT_UVARINT_BYTES_MAX);
	char *copy = text ? strdup(text) : NULL;
	struct final *final;
	size_t i;

	if (text && !copy)
		return writer_fail(writer, ENOMEM, "no memory");
	for (i = 0; i < writer->final_count; i++) {
		if (writer->finals[i].type == type && !strcmp(writer->finals[i].name, name))
			break;
	}
	if (writer->final_bytes + size - (i < writer->final_count ? writer->finals[i].size : 0) > FINALS_BYTES_MAX) {
		free(copy);
		return -E2BIG;
	}
	if (i == writer->final_count) {
		struct final *finals = realloc(writer->finals, (i + 1) * sizeof(*finals));

		if (finals)
			writer->finals = finals;
		final = finals ? &finals[i] : NULL;
		if (final)
			*final = (struct final){.name = strdup(name), .type = type};
		if (!final || !final->name) {
			free(copy);
			return writer_fail(writer, ENOMEM, "no memory");
		}
		writer->final_count++;
	}
	final = &writer->finals[i];
	free(final->text);
	writer->final_bytes += size - final->size;
	final->text = copy;
	final->count = count;
	final->size = size;
	return 0;
}

int gt_writer_meta(struct gt_writer *writer, const char *key, const char *value)
{
	int ret = writer->failed ? writer->failed : final_set(writer, RECORD_META, key, value, 0);

	if (ret < 0)
		return ret;
	ret = record_begin(writer, RECORD_META, text_size(key) + text_size(value));
	if (ret < 0)
		return ret;
	writer->at = put_text(writer->at, key);
	writer->at = put_text(writer->at, value);
	return 0;
}

int gt_writer_meta_number(struct gt_writer *writer, const char *key, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	return gt_writer_meta(writer, key, text);
}

int gt_writer_loss(struct gt_writer *writer, const char *what, uint64_t count)
{
	int ret = writer->failed ? writer->failed : final_set(writer, RECORD_LOSS, what, NULL, count);

	if (ret < 0)
		return ret;
	ret = record_begin(writer, RECORD_LOSS, text_size(what) + uvarint_size(count));
	if (ret < 0)
		return ret;
	writer->at = put_text(writer->at, what);
	put_uvarint(writer, count);
	return 0;
}

int gt_writer_thread(struct gt_writer *writer, uint64_t m, uint64_t tid, const char *name)
{
	int ret = record_begin(writer, RECORD_THREAD, uvarint_size(m) + uvarint_size(tid) + text_size(name));

	if (ret < 0)
		return ret;
	put_uvarint(writer, m);
	put_uvarint(writer, tid);
	writer->at = put_text(writer->at, name);
	return 0;
}

int gt_writer_since(struct gt_writer *writer, uint64_t m, uint64_t ticks)
{
	int ret = record_begin(writer, RECORD_SINCE, uvarint_size(m) + uvarint_size(ticks));

	if (ret < 0)
		return ret;
	put_uvarint(writer, m);
	put_uvarint(writer, ticks);
	return 0;
}

int gt_writer_goroutine(struct gt_writer *writer, uint64_t g, uint64_t parent, uint64_t start_pc, uint64_t site_pc)
{
	int ret = record_begin(writer, RECORD_GOROUTINE,
		uvarint_size(g) + uvarint_size(parent) + uvarint_size(start_pc) + uvarint_size(site_pc));

	if (ret < 0)
		return ret;
	put_uvarint(writer, g);
	put_uvarint(writer, parent);
	put_uvarint(writer, start_pc);
	put_uvarint(writer, site_pc);
	return 0;
}

uint64_t gt_writer_string(struct gt_writer *writer, const char *bytes, size_t size)
{
	uint64_t id;
	int ret;

	if (writer->failed)
		return 0;
	size = cut_text(bytes, size);
	ret = gt_strings_intern(&writer->strings, bytes, size, &id);
	if (ret < 0) {
		writer_fail(writer, -ret, "no memory for names");
		return 0;
	}
	if (ret == 0)
		return id;
	if (record_begin(writer, RECORD_STRING, uvarint_size(id) + size) < 0)
		return 0;
	put_uvarint(writer, id);
	put_bytes(writer, bytes, size);
	return id;
}

uint64_t gt_writer_kept(const struct gt_writer *writer, uint64_t key)
{
	uint64_t at = (key * 0x9e3779b97f4a7c15u >> 32) % KEPT_IDS;

	return writer->kept[at].key == key ? writer->kept[at].id : 0;
}

void gt_writer_keep(struct gt_writer *writer, uint64_t key, uint64_t id)
{
	uint64_t at = (key * 0x9e3779b97f4a7c15u >> 32) % KEPT_IDS;

	writer->kept[at].key = key;
	writer->kept[at].id = id;
}

bool gt_writer_has_pc(const struct gt_writer *writer, uint64_t pc)
{
	return gt_map_find(&writer->pcs, pc);
}

int gt_writer_pc(struct gt_writer *writer, uint64_t pc, const struct gt_writer_line *lines, size_t count)
{
	size_t size;
	int ret;

	if (writer->failed)
		return writer->failed;
	if (count > GT_WRITER_PC_LINES_MAX)
		count = GT_WRITER_PC_LINES_MAX;
	size = uvarint_size(pc) + uvarint_size(count);
	for (size_t i = 0; i < count; i++)
		size += uvarint_size(lines[i].function) + uvarint_size(lines[i].file) + uvarint_size(lines[i].line);
	ret = gt_map_put(&writer->pcs, pc, 1);
	if (ret < 0)
		return writer_fail(writer, -ret, "no memory for addresses");
	if (!ret)
		return 0;
	ret = record_begin(writer, RECORD_PC, size);
	if (ret < 0)
		return ret;
	put_uvarint(writer, pc);
	put_uvarint(writer, count);
	for (size_t i = 0; i < count; i++) {
		put_uvarint(writer, lines[i].function);
		put_uvarint(writer, lines[i].file);
		put_uvarint(writer, lines[i].line);
	}
	return 0;
}

bool gt_writer_has_stack(const struct gt_writer *writer, uint64_t id)
{
	return gt_map_find(&writer->stacks, id);
}

int gt_writer_stack(struct gt_writer *writer, uint64_t id, const uint64_t *pcs, size_t count)
{
	size_t size;
	int ret;

	assert(id);
	if (writer->failed)
		return writer->failed;
	if (count > GT_WRITER_STACK_PCS_MAX)
		count = GT_WRITER_STACK_PCS_MAX;
	size = uvarint_size(id) + uvarint_size(count);
	for (size_t i = 0; i < count; i++)
		size += uvarint_size(pcs[i]);
	ret = gt_map_put(&writer->stacks, id, 1);
	if (ret < 0)
		return writer_fail(writer, -ret, "no memory for stacks");
	if (!ret)
		return 0;
	ret = record_begin(writer, RECORD_STACK, size);
	if (ret < 0)
		return ret;
	put_uvarint(writer, id);
	put_uvarint(writer, count);
	for (size_t i = 0; i < count; i++)
		put_uvarint(writer, pcs[i]);
	return 0;
}

/* ---- events ---- */

/* Events are written behind a gap for the record's head, and moved up to it at the end: the head holds the length. */
int gt_writer_events_begin(struct gt_writer *writer, uint64_t m, uint64_t base_ticks)
{
	int ret;

	assert(!writer->events);
	ret = make_room(writer, EVENTS_HEAD_MAX + EVENT_BYTES_MAX);
	if (ret < 0)
		return ret;
	writer->m = m;
	writer->base = base_ticks;
	writer->ticks = base_ticks;
	writer->count = 0;
	writer->first = UINT64_MAX;
	writer->last = 0;
	writer->at += EVENTS_HEAD_MAX;
	writer->events = writer->at;
	writer->limit = writer->frame->raw + GT_WRITER_FRAME_BYTES - EVENT_BYTES_MAX;
	return 0;
}

/* Times grow but for steps back, so the earliest and latest stand at the ends of what lies between those. */
static void note_times(struct gt_writer *writer, uint64_t first, uint64_t last)
{
	if (first < writer->first)
		writer->first = first;
	if (last > writer->last)
		writer->last = last;
}

int gt_writer_events_end(struct gt_writer *writer)
{
	struct gt__frame *frame = writer->frame;
	uint8_t *events = writer->events;
	uint8_t *at;
	size_t size;

	writer->events = NULL;
	writer->limit = NULL;
	if (writer->failed)
		return writer->failed;
	assert(events);
	size = (size_t)(writer->at - events);
	at = writer->at = events - EVENTS_HEAD_MAX;
	if (!writer->count)
		return 0;
	note_times(writer, writer->ticks, writer->ticks);
	if (!frame->event_count || writer->first < frame->first)
		frame->first = writer->first;
	if (!frame->event_count || writer->last > frame->last)
		frame->last = writer->last;
	frame->event_count += (uint32_t)writer->count;
	writer->totals.events += writer->count;

	*at++ = RECORD_EVENTS;
	at = gt_put_uvarint(
		at, uvarint_size(writer->m) + uvarint_size(writer->base) + uvarint_size(writer->count) + size);
	at = gt_put_uvarint(at, writer->m);
	at = gt_put_uvarint(at, writer->base);
	at = gt_put_uvarint(at, writer->count);
	memmove(at, events, size);
	writer->at = at + size;
	return 0;
}

/* What an event needs rarely: a frame that is full, a first event, a time before the last one. 0: go on with it. */
__attribute__((noinline)) static int event_slow(struct gt_writer *writer, uint64_t ticks)
{
	int ret;

	if (writer->failed)
		return writer->failed;
	assert(writer->events);
	if (writer->at > writer->limit) {
		uint64_t now = writer->ticks;

		ret = gt_writer_events_end(writer);
		if (!ret)
			ret = frame_close(writer, false);
		if (!ret)
			ret = gt_writer_events_begin(writer, writer->m, now);
		if (ret < 0)
			return ret;
	}
	if (ticks < writer->ticks) {
		if (writer->count)
			note_times(writer, UINT64_MAX, writer->ticks);
		*writer->at++ = GT_EV_NONE;
		writer->at = gt_put_uvarint(writer->at, writer->ticks - ticks);
		writer->ticks = ticks;
		note_times(writer, ticks, 0);
	}
	if (!writer->count)
		note_times(writer, ticks, 0);
	return 0;
}

int gt_writer_event(struct gt_writer *writer, enum gt_event_kind kind, uint64_t ticks, const uint64_t *args)
{
	unsigned int count = (unsigned int)kind < GT_EVENT_KIND_COUNT ? writer->arg_counts[kind] : NO_KIND;
	uint8_t *at;

	if (__builtin_expect(count == NO_KIND, 0))
		return writer->failed ? writer->failed : -EINVAL;
	if (__builtin_expect((writer->at > writer->limit) | (ticks < writer->ticks) | !writer->count, 0)) {
		int ret = event_slow(writer, ticks);

		if (ret < 0)
			return ret;
	}
	at = writer->at;
	*at++ = (uint8_t)kind;
	at = put_short(at, ticks - writer->ticks);
	if (count) {
		at = put_short(at, args[0]);
		for (unsigned int i = 1; i < count; i++)
			at = gt_put_uvarint(at, args[i]);
	}
	writer->at = at;
	writer->ticks = ticks;
	writer->count++;
	return 0;
}

/* ---- opening and closing ---- */

static void put_header(uint8_t *header, const struct gt_writer_config *config)
{
	uint8_t *at = header;

	memcpy(at, file_magic, sizeof(file_magic));
	at = gt_put_u32(at + sizeof(file_magic), VERSION_MAJOR | VERSION_MINOR << 16);
	at = gt_put_u32(at, GT__HEADER_BYTES);
	at = gt_put_u64(at, config->window ? FLAG_WINDOW : 0);
	at = gt_put_u64(at, config->ticks_per_second);
	at = gt_put_u64(at, config->start_ticks);
	at = gt_put_u64(at, (uint64_t)config->start_realtime_ns);
	at = gt_put_u64(at, (uint64_t)config->start_monotonic_ns);
	at = gt_put_u32(at, gt_crc32c(0, header, (size_t)(at - header)));
	gt_put_u32(at, 0);
}

static void writer_free(struct gt_writer *writer)
{
	for (size_t i = 0; i < writer->final_count; i++) {
		free(writer->finals[i].name);
		free(writer->finals[i].text);
	}
	free(writer->finals);
	gt_strings_free(&writer->strings);
	gt_map_free(&writer->pcs);
	gt_map_free(&writer->stacks);
	free(writer);
}

int gt_writer_open(const struct gt_writer_config *config, struct gt_writer **out, struct gt_error *err)
{
	struct gt_writer *writer = calloc(1, sizeof(*writer));
	uint8_t header[GT__HEADER_BYTES];
	struct gt__frames_config frames = {
		.disk = {.path = config->path,
			.sink = config->sink,
			.sink_context = config->sink_context,
			.no_uring = config->no_uring,
			.sync = config->sync},
		.raw_bytes = GT_WRITER_FRAME_BYTES,
		.level = config->compression_level,
		.worker = config->worker,
		.header = header,
	};
	int ret;

	if (!writer)
		return gt_fail(err, ENOMEM, "cannot write: %s: no memory", config->path);
	for (unsigned int kind = 0; kind < GT_EVENT_KIND_COUNT; kind++)
		writer->arg_counts[kind] = gt_event_specs[kind].text ? gt_event_specs[kind].arg_count : NO_KIND;
	writer->pair_ticks = config->start_ticks;
	writer->pair_monotonic_ns = config->start_monotonic_ns;
	put_header(header, config);
	ret = gt__frames_open(&frames, &writer->frames, err);
	if (ret < 0) {
		writer_free(writer);
		return ret;
	}
	writer->hold = UINT64_MAX;
	ret = frame_open(writer);
	assert(!ret);
	*out = writer;
	return 0;
}

void gt_writer_watermark(struct gt_writer *writer, uint64_t ticks)
{
	if (ticks > writer->hold)
		ticks = writer->hold;
	if (ticks > writer->watermark)
		writer->watermark = ticks;
}

void gt_writer_hold(struct gt_writer *writer, uint64_t ticks)
{
	writer->hold = ticks;
}

int gt_writer_flush(struct gt_writer *writer, uint64_t ticks, int64_t monotonic_ns)
{
	assert(!writer->events);
	writer->pair_ticks = ticks;
	writer->pair_monotonic_ns = monotonic_ns;
	if (writer->failed)
		return writer->failed;
	if (writer->at == writer->frame->raw)
		return gt_writer_failure(writer, NULL);
	return frame_close(writer, true);
}

void gt_writer_totals(const struct gt_writer *writer, struct gt_writer_totals *out)
{
	*out = writer->totals;
	if (writer->frame)
		out->bytes_raw += (uint64_t)(writer->at - writer->frame->raw);
	out->bytes_stored = gt__frames_stored(writer->frames);
}

bool gt_writer_uses_uring(const struct gt_writer *writer)
{
	return gt__frames_uses_uring(writer->frames);
}

/* The index's META and LOSS records; NULL when there is no memory. */
static uint8_t *final_records(const struct gt_writer *writer, size_t *size)
{
	uint8_t *bytes = malloc(writer->final_bytes + 1);
	uint8_t *at = bytes;

	for (size_t i = 0; bytes && i < writer->final_count; i++) {
		const struct final *final = &writer->finals[i];
		bool meta = final->type == RECORD_META;

		*at++ = (uint8_t) final->type;
		at = gt_put_uvarint(
			at, text_size(final->name) + (meta ? text_size(final->text) : uvarint_size(final->count)));
		at = put_text(at, final->name);
		at = meta ? put_text(at, final->text) : gt_put_uvarint(at, final->count);
	}
	*size = (size_t)(at - bytes);
	return bytes;
}

int gt_writer_close(struct gt_writer *writer, uint64_t ticks, int64_t monotonic_ns, struct gt_error *err)
{
	struct gt__frames_end end = {.last = {.ticks = ticks, .monotonic_ns = monotonic_ns}};
	uint8_t *finals = NULL;
	int ret;

	if (writer->events)
		gt_writer_events_end(writer);
	gt_writer_flush(writer, ticks, monotonic_ns);
	if (!writer->failed) {
		finals = final_records(writer, &end.size);
		if (!finals)
			writer_fail(writer, ENOMEM, "no memory");
	}
	end.tables = finals;
	end.last.watermark = writer->watermark;
	end.failed = writer->failed;
	end.error = writer->error;
	ret = gt__frames_finish(writer->frames, &end, err);
	free(finals);
	writer_free(writer);
	return ret;
}

void gt_writer_abandon(struct gt_writer *writer)
{
	gt__frames_drop(writer->frames);
	writer_free(writer);
}
