/* gotrace_generation.c - a generation of a Go trace: its batches found, its names read. Events are left where they are. */
#include "format/import/gotrace_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define HEADER_BYTES_MAX (2 + 4 * GT_UVARINT_BYTES_MAX + 1)
#define ARRAY_ROOM_MIN   64u

enum gt__go_found gt__go_header(
	const struct gt_source *file, uint64_t offset, struct gt__go_header *out, const char **why)
{
	uint64_t left = offset < file->size ? file->size - offset : 0, size;
	size_t have = left < HEADER_BYTES_MAX ? (size_t)left : HEADER_BYTES_MAX;
	uint8_t bytes[HEADER_BYTES_MAX];
	struct gt_cursor cursor = {.at = bytes, .end = bytes + have};
	unsigned int type;

	*out = (struct gt__go_header){.next = file->size};
	if (!have)
		return GT__GO_END;
	*why = "it cannot be read";
	if (gt_source_read(file, offset, have, bytes) < 0)
		return GT__GO_BAD;
	type = gt_get_u8(&cursor);
	if (type == GT__GO_END_OF_GENERATION) {
		out->next = offset + 1;
		return GT__GO_GENERATION_ENDS;
	}
	*why = "no batch begins here";
	if (type != GT__GO_EVENT_BATCH && type != GT__GO_EXPERIMENTAL_BATCH)
		return GT__GO_BAD;
	if (type == GT__GO_EXPERIMENTAL_BATCH) {
		if (have == 1)
			return GT__GO_END;
		out->experiment = gt_get_u8(&cursor);
	}
	out->gen = gt_get_uvarint(&cursor);
	out->m = gt_get_uvarint(&cursor);
	out->time = gt_get_uvarint(&cursor);
	size = gt_get_uvarint(&cursor);
	*why = have == left ? "cut inside a batch's header" : "a damaged batch header";
	if (cursor.bad)
		return GT__GO_BAD;
	*why = "a batch longer than 64 KiB";
	if (size > GT__GO_BATCH_MAX)
		return GT__GO_BAD;
	out->data = offset + (uint64_t)(cursor.at - bytes);
	out->size = (uint32_t)size;
	*why = "cut inside a batch";
	if (size > file->size - out->data)
		return GT__GO_BAD;
	out->next = out->data + size;
	out->first = size ? *cursor.at : 0;
	return GT__GO_BATCH;
}

void *gt__go_add(struct gt__go_array *array, size_t size)
{
	if (array->count == array->room) {
		size_t room = array->room ? array->room * 2 : ARRAY_ROOM_MIN;
		void *at = realloc(array->at, room * size);

		if (!at)
			return NULL;
		array->at = at;
		array->room = room;
	}
	return (char *)array->at + array->count++ * size;
}

int64_t gt__go_ns(double ns_per_unit, uint64_t units)
{
	double ns = (double)units * ns_per_unit;

	return ns >= -0x1p63 && ns < 0x1p63 ? (int64_t)ns : INT64_MIN;
}

static void array_free(struct gt__go_array *array)
{
	free(array->at);
	*array = (struct gt__go_array){0};
}

void gt__go_generation_free(struct gt__go_generation *generation)
{
	array_free(&generation->batches);
	array_free(&generation->streams);
	array_free(&generation->samples);
	array_free(&generation->texts);
	array_free(&generation->stacks);
	array_free(&generation->frames);
	array_free(&generation->pcs);
	gt_map_free(&generation->stream_of);
	gt_map_free(&generation->strings);
	gt_map_free(&generation->stack_of);
	gt_map_free(&generation->frame_of);
	free(generation->bytes);
	*generation = (struct gt__go_generation){0};
}

/* ---- names ---- */

static const char no_memory[] = "no memory for it";
static const char too_many[] = "more names than this program takes";

static size_t names_bytes(const struct gt__go_generation *g)
{
	return g->byte_count + g->texts.count * sizeof(struct gt__go_text) +
	       g->stacks.count * sizeof(struct gt__go_stack) + g->frames.count * sizeof(struct gt_gotrace_frame) +
	       g->pcs.count * sizeof(uint32_t) +
	       (g->strings.count + g->stack_of.count + g->frame_of.count) * 2 * sizeof(struct gt_map_slot);
}

static const char *add_string(struct gt__go_generation *g, uint64_t id, const uint8_t *bytes, size_t size)
{
	struct gt__go_text *text;

	if (!id || gt_map_find(&g->strings, id))
		return "two strings with one id";
	if (g->byte_count + size > g->byte_room) {
		size_t room = (g->byte_room ? g->byte_room * 2 : 16384) + size;
		uint8_t *more = realloc(g->bytes, room);

		if (!more)
			return no_memory;
		g->bytes = more;
		g->byte_room = room;
	}
	text = gt__go_add(&g->texts, sizeof(*text));
	if (!text || gt_map_put(&g->strings, id, g->texts.count - 1) < 0)
		return no_memory;
	*text = (struct gt__go_text){.at = g->byte_count, .size = (uint32_t)size};
	if (size)
		memcpy(g->bytes + g->byte_count, bytes, size);
	g->byte_count += size;
	return names_bytes(g) > GT__GO_NAME_BYTES_MAX ? too_many : NULL;
}

static const char *read_strings(struct gt__go_generation *g, struct gt_cursor *cursor)
{
	while (cursor->at < cursor->end) {
		unsigned int type = gt_get_u8(cursor);
		uint64_t id = gt_get_uvarint(cursor), size = gt_get_uvarint(cursor);
		const uint8_t *bytes;
		const char *why;

		if (type != GT__GO_STRING)
			return "something else among the strings";
		if (!cursor->bad && size > GT__GO_STRING_MAX)
			return "a string longer than 1024 bytes";
		bytes = gt_get_bytes(cursor, size);
		if (!bytes)
			return "strings that break off";
		why = add_string(g, id, bytes, (size_t)size);
		if (why)
			return why;
	}
	return NULL;
}

static const char *add_frame(struct gt__go_generation *g, const struct gt_gotrace_frame *frame)
{
	const uint64_t *known = gt_map_find(&g->frame_of, frame->pc);
	uint32_t *pc = gt__go_add(&g->pcs, sizeof(*pc));
	struct gt_gotrace_frame *entry;

	if (!pc)
		return no_memory;
	if (known) {
		*pc = (uint32_t)*known;
		return NULL;
	}
	*pc = (uint32_t)g->frames.count;
	entry = gt__go_add(&g->frames, sizeof(*entry));
	if (!entry || gt_map_put(&g->frame_of, frame->pc, *pc) < 0)
		return no_memory;
	*entry = *frame;
	return NULL;
}

static const char *read_stacks(struct gt__go_generation *g, struct gt_cursor *cursor)
{
	while (cursor->at < cursor->end) {
		unsigned int type = gt_get_u8(cursor);
		uint64_t id = gt_get_uvarint(cursor), count = gt_get_uvarint(cursor);
		struct gt__go_stack *stack;
		size_t at = g->pcs.count;
		const char *why;

		if (type != GT__GO_STACK)
			return "something else among the stacks";
		if (!cursor->bad && count > GT_GOTRACE_FRAMES)
			return "a stack of more than 128 frames";
		for (uint64_t i = 0; i < count && !cursor->bad; i++) {
			struct gt_gotrace_frame frame;

			frame.pc = gt_get_uvarint(cursor);
			frame.function = gt_get_uvarint(cursor);
			frame.file = gt_get_uvarint(cursor);
			frame.line = gt_get_uvarint(cursor);
			why = cursor->bad ? NULL : add_frame(g, &frame);
			if (why)
				return why;
		}
		if (cursor->bad)
			return "stacks that break off";
		if (!id || gt_map_find(&g->stack_of, id))
			return "two stacks with one id";
		stack = gt__go_add(&g->stacks, sizeof(*stack));
		if (!stack || gt_map_put(&g->stack_of, id, g->stacks.count - 1) < 0)
			return no_memory;
		*stack = (struct gt__go_stack){.at = at, .count = (uint32_t)count};
		if (names_bytes(g) > GT__GO_NAME_BYTES_MAX)
			return too_many;
	}
	return NULL;
}

static const char *read_samples(struct gt__go_generation *g, struct gt_cursor *cursor)
{
	while (cursor->at < cursor->end) {
		struct gt__go_sample sample;

		if (gt_get_u8(cursor) != GT_GOTRACE_CPU_SAMPLE)
			return "something else among the CPU samples";
		/* Its time becomes ns when the frequency is known. */
		sample.time_ns = (int64_t)gt_get_uvarint(cursor);
		sample.m = gt_get_uvarint(cursor);
		sample.p = gt_get_uvarint(cursor);
		sample.g = gt_get_uvarint(cursor);
		sample.stack = gt_get_uvarint(cursor);
		if (cursor->bad)
			return "CPU samples that break off";
		if (!sample.g)
			sample.g = GT_GOTRACE_NONE;
		if (g->samples.count == GT__GO_SAMPLES_MAX)
			return "more CPU samples than this program takes";
		if (!gt__go_add(&g->samples, sizeof(sample)))
			return no_memory;
		((struct gt__go_sample *)g->samples.at)[g->samples.count - 1] = sample;
	}
	return NULL;
}

static const char *read_sync(
	struct gt__go_generation *g, struct gt_cursor *cursor, const struct gt__go_header *header, unsigned int version)
{
	uint64_t now = header->time;

	while (cursor->at < cursor->end) {
		unsigned int type = gt_get_u8(cursor);

		if (type == GT__GO_FREQUENCY) {
			if (g->has_frequency)
				return "two frequencies";
			g->ns_per_unit = 1.0 / ((double)gt_get_uvarint(cursor) / 1e9);
			g->has_frequency = true;
		} else if (type == GT_GOTRACE_CLOCK_SNAPSHOT && version >= 25) {
			if (g->clock.known)
				return "two snapshots of the clocks";
			g->clock.known = true;
			now += gt_get_uvarint(cursor);
			g->clock_units = now;
			g->clock.mono = gt_get_uvarint(cursor);
			g->clock.sec = (int64_t)gt_get_uvarint(cursor);
			g->clock.nsec = (int64_t)gt_get_uvarint(cursor);
		} else {
			return "something else than clocks where they are told";
		}
		if (cursor->bad)
			return "clocks that break off";
	}
	return NULL;
}

/* ---- batches ---- */

static const char *add_batch(struct gt__go_generation *g, const struct gt__go_header *header)
{
	const uint64_t *place = gt_map_find(&g->stream_of, header->m);
	struct gt__go_batch *batch, *batches;
	struct gt__go_stream *stream;
	uint32_t number;

	if (!place) {
		if (g->streams.count == GT__GO_THREADS_MAX)
			return "more threads than this program takes";
		stream = gt__go_add(&g->streams, sizeof(*stream));
		if (!stream || gt_map_put(&g->stream_of, header->m, g->streams.count - 1) < 0)
			return no_memory;
		*stream = (struct gt__go_stream){.m = header->m, .first = GT__GO_NO_BATCH, .last = GT__GO_NO_BATCH};
	} else {
		stream = (struct gt__go_stream *)g->streams.at + *place;
	}
	if (!header->size)
		return NULL;
	if (g->batches.count == GT__GO_BATCHES_MAX)
		return "more batches in a generation than this program takes";
	number = (uint32_t)g->batches.count;
	batch = gt__go_add(&g->batches, sizeof(*batch));
	if (!batch)
		return no_memory;
	*batch = (struct gt__go_batch){
		.offset = header->data, .time = header->time, .size = header->size, .next = GT__GO_NO_BATCH};
	batches = g->batches.at;
	if (stream->last == GT__GO_NO_BATCH)
		stream->first = number;
	else
		batches[stream->last].next = number;
	stream->last = number;
	return NULL;
}

static const char *take_batch(struct gt__go_generation *g, const struct gt_source *file,
	const struct gt__go_header *header, unsigned int version, uint8_t *scratch)
{
	bool plain = !header->experiment && header->size;
	bool sync = plain && header->first == (version < 25 ? GT__GO_FREQUENCY : GT__GO_SYNC);
	struct gt_cursor cursor = {.at = scratch, .end = scratch + header->size};

	if (header->experiment) {
		g->experimental_batches++;
		return NULL;
	}
	if (!sync && (!plain || (header->first != GT__GO_STRINGS && header->first != GT__GO_STACKS &&
					header->first != GT__GO_CPU_SAMPLES)))
		return plain && header->first == GT__GO_END_OF_GENERATION ? "a generation's end inside a batch"
									  : add_batch(g, header);
	if (gt_source_read(file, header->data, header->size, scratch) < 0)
		return "it cannot be read";
	if (!sync || version >= 25)
		gt_get_u8(&cursor);
	if (sync)
		return read_sync(g, &cursor, header, version);
	if (header->first == GT__GO_STRINGS)
		return read_strings(g, &cursor);
	return header->first == GT__GO_STACKS ? read_stacks(g, &cursor) : read_samples(g, &cursor);
}

/* By time; among equal ones as they stood. */
static int merge_samples(struct gt__go_generation *g)
{
	struct gt__go_sample *from = g->samples.at, *to;
	size_t count = g->samples.count;

	for (size_t i = 0; i < count; i++)
		from[i].time_ns = gt__go_ns(g->ns_per_unit, (uint64_t)from[i].time_ns);
	if (count < 2)
		return 0;
	to = malloc(count * sizeof(*to));
	if (!to)
		return -ENOMEM;
	for (size_t width = 1; width < count; width *= 2) {
		struct gt__go_sample *swap = from;

		for (size_t begin = 0; begin < count; begin += 2 * width) {
			size_t middle = begin + width < count ? begin + width : count;
			size_t end = middle + width < count ? middle + width : count;
			size_t a = begin, b = middle, at = begin;

			while (a < middle || b < end)
				to[at++] = b == end || (a < middle && from[a].time_ns <= from[b].time_ns) ? from[a++]
													  : from[b++];
		}
		from = to;
		to = swap;
	}
	free(to);
	g->samples.at = from;
	g->samples.room = count;
	return 0;
}

static const char *finish(struct gt__go_generation *g, unsigned int version)
{
	const struct gt_gotrace_frame *frames = g->frames.at;

	/* Before 1.25 it stands at the generation's end. */
	if (!g->has_frequency)
		return version < 25 ? "cut inside a generation, or its clock's frequency is missing"
				    : "it tells no frequency of its clock";
	if (version >= 25 && !g->clock.known)
		return "it has no snapshot of the clocks";
	for (size_t i = 0; i < g->frames.count; i++)
		if (!gt__go_string_known(g, frames[i].function) || !gt__go_string_known(g, frames[i].file))
			return "a stack names a string that is not there";
	if (g->clock.known)
		g->clock.ns = gt__go_ns(g->ns_per_unit, g->clock_units);
	return merge_samples(g) < 0 ? no_memory : NULL;
}

/* Before its first batch number is 0. */
static const char *wrong_generation(const struct gt__go_generation *g, const struct gt__go_header *header)
{
	if (!header->gen)
		return "a generation without a number";
	return g->number && header->gen != g->number ? "generations out of order" : NULL;
}

static int read_batches(struct gt__go_generation *g, const struct gt_source *file, unsigned int version,
	uint64_t *offset, const char **why, bool *pending, uint8_t *scratch)
{
	struct gt__go_header header;

	for (;;) {
		enum gt__go_found found = gt__go_header(file, *offset, &header, why);

		if (found == GT__GO_BAD) {
			*pending = version < 26 && g->number;
			return *pending ? 1 : -1;
		}
		if (found == GT__GO_END) {
			*offset = file->size;
			*why = "cut inside a generation";
			return version < 26 ? 1 : g->streams.count ? -1 : 0;
		}
		if (version >= 26 &&
			(found == GT__GO_GENERATION_ENDS ||
				(!header.experiment && header.size && header.first == GT__GO_END_OF_GENERATION))) {
			*offset = header.next;
			return 1;
		}
		if (version < 26 && g->number && header.gen && header.gen == g->number + 1)
			return 1;
		*why = wrong_generation(g, &header);
		if (*why)
			return -1;
		g->number = header.gen;
		if (!g->begin || header.time < g->begin)
			g->begin = header.time;
		*why = take_batch(g, file, &header, version, scratch);
		if (*why)
			return -1;
		*offset = header.next;
	}
}

int gt__go_generation_read(const struct gt_source *file, unsigned int version, uint64_t *offset,
	struct gt__go_generation *out, char text[256], bool *pending, bool *cut)
{
	uint8_t *scratch = malloc(GT__GO_BATCH_MAX);
	uint64_t begin = *offset;
	const char *why = NULL, *wrong;
	int ret;

	*pending = *cut = false;
	gt__go_generation_free(out);
	ret = scratch ? read_batches(out, file, version, offset, &why, pending, scratch) : -1;
	free(scratch);
	if (*pending)
		snprintf(text, 256, "broken behind generation %llu, at byte %llu: %s: what follows is left out",
			(unsigned long long)out->number, (unsigned long long)*offset, why);
	*cut = ret < 0 || *pending ? why && !strncmp(why, "cut", 3) : false;
	wrong = ret > 0 ? finish(out, version) : NULL;
	if (wrong) {
		ret = -1;
		/* What is cut off is what is missing. */
		why = *cut ? why : wrong;
		*cut |= !strncmp(wrong, "cut", 3);
	}
	if (ret < 0) {
		*pending = false;
		snprintf(text, 256,
			"the generation that begins at byte %llu is left out, and what follows it: %s (byte %llu)",
			(unsigned long long)begin, why ? why : no_memory, (unsigned long long)*offset);
	}
	return ret;
}

/* ---- looking ---- */

bool gt__go_string_known(const struct gt__go_generation *generation, uint64_t id)
{
	return !id || gt_map_find(&generation->strings, id);
}

bool gt__go_stack_known(const struct gt__go_generation *generation, uint64_t id)
{
	return !id || gt_map_find(&generation->stack_of, id);
}

const char *gt__go_string(const struct gt__go_generation *generation, uint64_t id, size_t *size)
{
	const uint64_t *place = id ? gt_map_find(&generation->strings, id) : NULL;
	const struct gt__go_text *text;

	*size = 0;
	if (!place)
		return id ? NULL : "";
	text = (const struct gt__go_text *)generation->texts.at + *place;
	*size = text->size;
	return text->size ? (const char *)generation->bytes + text->at : "";
}
