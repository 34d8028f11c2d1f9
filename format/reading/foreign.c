/*
 * foreign.c - Go's own traces behind trace.h: the same events, tables and answers as of a .gtrace file.
 *
 * Their order is their own reader's (format/import), so the streams of order.h are not used; its damage and its names of goroutines
 * are. Records of names go into the tables as they come.
 */
#include "format/import/translate.h"
#include "format/reading/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FRAME_BYTES (1u << 20)
#define PEEK_BYTES  16

struct gt__foreign {
	struct gt__translate *translate;
	struct gt_event first; /* read at the opening, for the clock */
	bool has_first;
	bool ended;
	bool scanned;
};

bool gt__foreign_is(const char *path, const void *bytes, size_t size)
{
	uint8_t first[PEEK_BYTES];
	ssize_t got;
	int fd;

	if (!path)
		return gt_gotrace_is(bytes, size);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return false;
	got = pread(fd, first, sizeof(first), 0);
	close(fd);
	return got > 0 && gt_gotrace_is(first, (size_t)got);
}

static void take_record(void *user, unsigned int type, const uint8_t *bytes, size_t size)
{
	struct gt_trace *trace = user;

	_Static_assert((int)GT__IMPORT_META == (int)GT__REC_META && (int)GT__IMPORT_GOROUTINE == (int)GT__REC_GOROUTINE,
		"the numbers of docs/format.md");
	(void)gt__tables_record(&trace->tables, type, bytes, size, false);
}

/* ---- reading ---- */

static void end(struct gt_trace *trace, int ret)
{
	struct gt_gotrace *source = gt__translate_source(trace->foreign->translate);
	struct gt_trace_damage *damage = &trace->order.damage;
	const char *error = gt_gotrace_error(source);

	trace->foreign->ended = true;
	if (ret < 0) {
		damage->frames_bad++;
		gt__damage_say(damage, "reading ends: %s", strerror(-ret));
	} else if (error) {
		if (gt_gotrace_cut(source))
			trace->info.cut = true;
		else
			damage->frames_bad++;
		gt__damage_say(damage, "%s", error);
	}
}

int gt__foreign_next(struct gt_trace *trace, struct gt_event *event)
{
	struct gt__foreign *foreign = trace->foreign;
	int ret = 0;

	if (foreign->has_first) {
		*event = foreign->first;
		foreign->has_first = false;
		ret = 1;
	} else if (!foreign->ended) {
		ret = gt__translate_next(foreign->translate, event);
	}
	if (ret > 0)
		gt__order_names(&trace->order, event);
	else if (!foreign->ended)
		end(trace, ret);
	return ret > 0;
}

/* The clock is known with the first event. */
static void read_first(struct gt_trace *trace)
{
	struct gt__foreign *foreign = trace->foreign;
	int ret = gt__translate_next(foreign->translate, &foreign->first);

	foreign->has_first = ret > 0;
	if (ret <= 0)
		end(trace, ret);
}

int gt__foreign_rewind(struct gt_trace *trace)
{
	int ret = gt__order_reset(&trace->order);

	if (ret >= 0)
		ret = gt__translate_rewind(trace->foreign->translate);
	if (ret < 0)
		return ret;
	trace->foreign->ended = false;
	read_first(trace);
	return 0;
}

int gt__foreign_scan(struct gt_trace *trace)
{
	struct gt_trace_damage damage;
	struct gt_event event;
	uint64_t events = 0;
	int64_t last_ns = 0;
	int ret;

	if (trace->foreign->scanned)
		return gt__foreign_rewind(trace);
	ret = gt__foreign_rewind(trace);
	if (ret < 0)
		return ret;
	while (gt__foreign_next(trace, &event) > 0) {
		events++;
		last_ns = event.time_ns;
	}
	damage = trace->order.damage;
	trace->info.events = events;
	trace->info.span_ns = last_ns;
	trace->scan_damage = damage;
	trace->foreign->scanned = true;
	return gt__foreign_rewind(trace);
}

/* ---- opening ---- */

void gt__foreign_close(struct gt_trace *trace)
{
	if (!trace->foreign)
		return;
	gt__translate_free(trace->foreign->translate);
	free(trace->foreign);
	trace->foreign = NULL;
}

/* What the headers of the batches tell. */
static void survey(struct gt_trace *trace)
{
	struct gt_gotrace *source = gt__translate_source(trace->foreign->translate);
	struct gt__translate_clock clock;
	struct gt_gotrace_extent extent;
	struct gt_gotrace_info info;

	gt_gotrace_info(source, &info);
	gt_gotrace_extent(source, &extent);
	gt__translate_clock(trace->foreign->translate, &clock);
	trace->info.source = "Go's own tracer";
	trace->info.version_major = 1;
	trace->info.version_minor = (uint16_t)info.version;
	trace->info.file_bytes = trace->info.raw_bytes = info.file_bytes;
	trace->info.frames = extent.generations;
	trace->info.span_ns =
		extent.last_ns > extent.begin_ns ? (int64_t)((uint64_t)extent.last_ns - (uint64_t)extent.begin_ns) : 0;
	trace->info.start_realtime_ns = clock.start_realtime_ns;
	trace->info.start_monotonic_ns = clock.start_monotonic_ns;
	trace->info.ticks_per_second = 1e9;
	trace->info.cut |= extent.cut;
	gt__clock_set(&trace->order.clock, clock.start_ticks, 1, 1);
}

int gt__foreign_open(struct gt_trace *trace, const char *path, const void *bytes, size_t size, struct gt_error *err)
{
	struct gt__import_sink sink = {.user = trace, .record = take_record};
	struct gt_gotrace *source;
	int ret = path ? gt_gotrace_open(path, &source, err) : gt_gotrace_open_memory(bytes, size, &source, err);

	if (ret < 0)
		return ret;
	trace->foreign = calloc(1, sizeof(*trace->foreign));
	if (!trace->foreign) {
		gt_gotrace_close(source);
		return gt_fail(err, ENOMEM, "no memory to open it");
	}
	ret = gt__translate_new(source, &sink, &trace->foreign->translate);
	if (ret < 0) {
		free(trace->foreign);
		trace->foreign = NULL;
		return gt_fail(err, ret, "no memory to open it");
	}
	read_first(trace);
	survey(trace);
	return 0;
}

/* ---- as frames ---- */

struct buffer {
	uint8_t *bytes;
	size_t size, room;
};

struct framing {
	const struct gt__foreign_out *out;
	struct buffer frame, run; /* the frame's records; the events of the run that is open */
	uint64_t m, base, last, count;
	uint64_t frame_events;
	bool open;
	bool no_memory;
	struct gt__translate_clock clock;
};

static uint8_t *room(struct framing *framing, struct buffer *buffer, size_t size)
{
	if (buffer->room - buffer->size < size) {
		size_t more = (buffer->room ? buffer->room * 2 : 4096) + size;
		uint8_t *bytes = realloc(buffer->bytes, more);

		if (!bytes) {
			framing->no_memory = true;
			return NULL;
		}
		buffer->bytes = bytes;
		buffer->room = more;
	}
	return buffer->bytes + buffer->size;
}

static void put_record(struct framing *framing, unsigned int type, const uint8_t *head, size_t head_size,
	const uint8_t *bytes, size_t size)
{
	uint8_t *at = room(framing, &framing->frame, 1 + GT_UVARINT_BYTES_MAX + head_size + size);

	if (!at)
		return;
	*at++ = (uint8_t)type;
	at = gt_put_uvarint(at, head_size + size);
	memcpy(at, head, head_size);
	if (size)
		memcpy(at + head_size, bytes, size);
	framing->frame.size = (size_t)(at + head_size + size - framing->frame.bytes);
}

/* Names go before the events that use them, so before the run that is open. */
static void frame_record(void *user, unsigned int type, const uint8_t *bytes, size_t size)
{
	put_record(user, type, bytes, size, NULL, 0);
}

static void close_run(struct framing *framing)
{
	uint8_t head[3 * GT_UVARINT_BYTES_MAX], *at;

	if (!framing->open)
		return;
	at = gt_put_uvarint(gt_put_uvarint(gt_put_uvarint(head, framing->m), framing->base), framing->count);
	put_record(framing, GT__REC_EVENTS, head, (size_t)(at - head), framing->run.bytes, framing->run.size);
	framing->frame_events += framing->count;
	framing->open = false;
	framing->run.size = 0;
	framing->count = 0;
}

static void put_event(struct framing *framing, const struct gt_event *event)
{
	const struct gt_event_spec *spec = &gt_event_specs[event->kind];
	uint8_t *at;

	if (framing->open && framing->m != event->m)
		close_run(framing);
	if (!framing->open) {
		framing->open = true;
		framing->m = event->m;
		framing->base = framing->last = event->ticks;
	}
	at = room(framing, &framing->run, 1 + (1 + GT_EVENT_ARGS_MAX) * GT_UVARINT_BYTES_MAX);
	if (!at)
		return;
	*at++ = event->kind;
	at = gt_put_uvarint(at, event->ticks - framing->last);
	for (unsigned int i = 0; i < spec->arg_count; i++)
		at = gt_put_uvarint(at, event->args[i]);
	framing->run.size = (size_t)(at - framing->run.bytes);
	framing->last = event->ticks;
	framing->count++;
}

static int close_frame(struct framing *framing, unsigned int kind)
{
	uint64_t now = framing->last > framing->clock.start_ticks ? framing->last : framing->clock.start_ticks;
	struct gt__frame frame = {.kind = (uint8_t)kind,
		.ticks = now,
		.monotonic_ns =
			(int64_t)((uint64_t)framing->clock.start_monotonic_ns + now - framing->clock.start_ticks),
		.watermark = now};
	int ret;

	close_run(framing);
	if (framing->no_memory)
		return -ENOMEM;
	if (kind == GT__FRAME_DATA && !framing->frame.size)
		return 0;
	frame.raw_bytes = (uint32_t)framing->frame.size;
	frame.event_count = (uint32_t)framing->frame_events;
	ret = framing->out->frame(framing->out->user, &frame, framing->frame.bytes);
	framing->frame.size = 0;
	framing->frame_events = 0;
	return ret;
}

static int put_header(struct framing *framing, const struct gt__translate *translate)
{
	struct gt__header header = {
		.version_major = 1, .header_bytes = GT__HEADER_BYTES, .ticks_per_second = 1000000000};

	gt__translate_clock(translate, &framing->clock);
	header.start_ticks = framing->clock.start_ticks;
	header.start_realtime_ns = framing->clock.start_realtime_ns;
	header.start_monotonic_ns = framing->clock.start_monotonic_ns;
	return framing->out->header(framing->out->user, &header);
}

int gt__foreign_frames(const struct gt_trace *trace, const struct gt__foreign_out *out)
{
	struct framing framing = {.out = out};
	struct gt__import_sink sink = {.user = &framing, .record = frame_record};
	struct gt__translate *translate = NULL;
	struct gt_gotrace *source;
	struct gt_event event;
	bool begun = false;
	int ret = gt_gotrace_again(gt__translate_source(trace->foreign->translate), &source), more = 0;

	if (ret >= 0)
		ret = gt__translate_new(source, &sink, &translate);
	if (ret < 0)
		return ret;
	while (ret >= 0 && (more = gt__translate_next(translate, &event)) > 0) {
		if (!begun)
			ret = put_header(&framing, translate);
		begun = true;
		put_event(&framing, &event);
		if (ret >= 0 && framing.frame.size + framing.run.size > FRAME_BYTES)
			ret = close_frame(&framing, GT__FRAME_DATA);
	}
	if (ret >= 0 && !begun)
		ret = put_header(&framing, translate);
	if (ret >= 0)
		ret = more < 0 ? more : close_frame(&framing, GT__FRAME_DATA);
	/* What was cut stays cut: no index. */
	if (ret >= 0 && !gt_gotrace_error(source))
		ret = close_frame(&framing, GT__FRAME_INDEX);
	free(framing.frame.bytes);
	free(framing.run.bytes);
	gt__translate_free(translate);
	return ret;
}
