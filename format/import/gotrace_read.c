/*
 * gotrace_read.c - the events of a Go trace, one after the other.
 *
 * A cursor an M stands at its next event. The earliest is tried first, by a heap of them; when it must wait for another's, the
 * others are tried in the order of their times. When none may come the trace is broken.
 */
#include "format/import/gotrace_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SORT_INSERT_MAX 12u

struct cursor {
	struct gt_gotrace_event event; /* the next one */
	int64_t last_ns;
	uint64_t m;
	uint32_t batch; /* or GT__GO_NO_BATCH */
	uint32_t offset, size;
	uint32_t room; /* of the buffer */
	const uint8_t *bytes;
	uint8_t *buffer; /* of a file */
};

struct gt_gotrace {
	struct gt_source file;
	unsigned int version;
	uint64_t offset; /* of the next generation */
	struct gt__go_generation generation;
	bool in_generation;
	bool last;  /* before 1.26: no generation comes behind this one */
	bool ended; /* nothing more is given */
	bool broken_behind;
	bool cut_behind;
	bool cut;        /* failed because the file ends */
	char why[256];   /* what broken_behind means */
	char error[256]; /* "" none */
	bool failed;     /* told by error, which is given once what was before it was */
	struct gt__go_order *order;

	struct cursor *cursors;
	struct cursor **heap; /* by event.time_ns */
	struct cursor **sorted;
	size_t cursor_count, heap_count;
	uint64_t held; /* bytes in the cursors' buffers */
	size_t sample; /* the next */

	int64_t last_ns;
	uint64_t syncs;
	struct gt_gotrace_info info;
};

/* ---- opening ---- */

bool gt_gotrace_is(const void *bytes, size_t size)
{
	return size >= 8 && !memcmp(bytes, "go 1.", 5);
}

static int parse_header(struct gt_gotrace *trace, struct gt_error *err)
{
	static const char old[] =
		"Go 1.21 or older: run the program with Go 1.22 or newer, or open it by its own go tool trace";
	uint8_t bytes[GT__GO_HEADER_BYTES];
	char text[GT__GO_HEADER_BYTES + 1] = {0};
	unsigned int version;
	int end = 0, ret;

	ret = gt_source_read(&trace->file, 0, sizeof(bytes), bytes);
	if (ret < 0 && ret != -ENODATA)
		return gt_fail(err, ret, "cannot be read: %s", strerror(-ret));
	memcpy(text, bytes, ret < 0 ? 0 : sizeof(bytes));
	if (ret < 0 || sscanf(text, "go 1.%2u trace%n", &version, &end) != 1 || !end ||
		memcmp(text + end, "\0\0\0", sizeof(bytes) - (size_t)end < 3 ? sizeof(bytes) - (size_t)end : 3))
		return gt_fail(err, EBADMSG, "no trace of Go's: its first bytes are damaged");
	if (version < 22)
		return gt_fail(err, EPROTONOSUPPORT, "a trace of %s", old);
	if (version != 22 && version != 23 && version != 25 && version != 26)
		return gt_fail(err, EPROTONOSUPPORT,
			"written in version 1.%u of Go's format, this program reads 1.22, 1.23, 1.25 and 1.26: use a "
			"newer gtrace",
			version);
	trace->version = version;
	return 0;
}

static int open_common(struct gt_gotrace *trace, struct gt_gotrace **out, struct gt_error *err)
{
	int ret = parse_header(trace, err);

	if (ret < 0)
		goto fail;
	trace->info.version = trace->version;
	trace->info.file_bytes = trace->file.size;
	ret = gt_gotrace_rewind(trace);
	if (ret < 0) {
		gt_fail(err, ret, "no memory to open it");
		goto fail;
	}
	*out = trace;
	return 0;
fail:
	gt_gotrace_close(trace);
	return ret;
}

int gt_gotrace_open(const char *path, struct gt_gotrace **out, struct gt_error *err)
{
	struct gt_gotrace *trace = calloc(1, sizeof(*trace));
	struct stat st;
	int ret;

	if (!trace)
		return gt_fail(err, ENOMEM, "no memory to open it: %s", path);
	trace->file.fd = open(path, O_RDONLY | O_CLOEXEC);
	if (trace->file.fd < 0 || fstat(trace->file.fd, &st) < 0) {
		ret = gt_fail(err, errno, "cannot open: %s: %s", path, strerror(errno));
		gt_gotrace_close(trace);
		return ret;
	}
	trace->file.size = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
	ret = open_common(trace, out, err);
	return ret < 0 ? gt_fail_prefix(err, ret, "%s", path) : 0;
}

int gt_gotrace_open_memory(const void *bytes, size_t size, struct gt_gotrace **out, struct gt_error *err)
{
	struct gt_gotrace *trace = calloc(1, sizeof(*trace));

	if (!trace)
		return gt_fail(err, ENOMEM, "no memory to open it");
	trace->file = (struct gt_source){.fd = -1, .memory = bytes, .size = size};
	return open_common(trace, out, err);
}

int gt_gotrace_again(const struct gt_gotrace *trace, struct gt_gotrace **out)
{
	struct gt_gotrace *again = calloc(1, sizeof(*again));
	int ret;

	if (!again)
		return -ENOMEM;
	again->file = trace->file;
	again->version = trace->version;
	again->info.version = trace->version;
	again->info.file_bytes = trace->file.size;
	if (trace->file.fd >= 0)
		again->file.fd = fcntl(trace->file.fd, F_DUPFD_CLOEXEC, 0);
	ret = trace->file.fd >= 0 && again->file.fd < 0 ? -errno : gt_gotrace_rewind(again);
	if (ret < 0)
		gt_gotrace_close(again);
	else
		*out = again;
	return ret;
}

static void drop_cursors(struct gt_gotrace *trace)
{
	for (size_t i = 0; i < trace->cursor_count; i++)
		free(trace->cursors[i].buffer);
	free(trace->cursors);
	free(trace->heap);
	free(trace->sorted);
	trace->cursors = NULL;
	trace->heap = trace->sorted = NULL;
	trace->cursor_count = trace->heap_count = 0;
	trace->held = 0;
}

void gt_gotrace_close(struct gt_gotrace *trace)
{
	if (!trace)
		return;
	drop_cursors(trace);
	gt__go_generation_free(&trace->generation);
	gt__go_order_free(trace->order);
	if (trace->file.fd >= 0)
		close(trace->file.fd);
	free(trace);
}

int gt_gotrace_rewind(struct gt_gotrace *trace)
{
	struct gt__go_order *order;
	int ret = gt__go_order_new(&order);

	if (ret < 0)
		return ret;
	gt__go_order_free(trace->order);
	trace->order = order;
	drop_cursors(trace);
	gt__go_generation_free(&trace->generation);
	trace->offset = GT__GO_HEADER_BYTES;
	trace->in_generation = trace->last = trace->ended = trace->cut = trace->broken_behind = trace->failed = false;
	trace->error[0] = 0;
	trace->sample = 0;
	trace->last_ns = 0;
	trace->syncs = 0;
	trace->info.generations = trace->info.experimental_batches = 0;
	return 0;
}

static void fail(struct gt_gotrace *trace, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void fail(struct gt_gotrace *trace, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(trace->error, sizeof(trace->error), format, args);
	va_end(args);
	trace->failed = true;
	trace->cut = trace->broken_behind && trace->cut_behind;
}

/* ---- cursors ---- */

/* The cursor's batch into memory; false and failed when it cannot be. */
static bool load_batch(struct gt_gotrace *trace, struct cursor *cursor)
{
	const struct gt__go_batch *batch = (const struct gt__go_batch *)trace->generation.batches.at + cursor->batch;
	int ret;

	cursor->offset = 0;
	cursor->size = batch->size;
	cursor->last_ns = 0;
	if (trace->file.fd < 0) {
		cursor->bytes = trace->file.memory + batch->offset;
		return true;
	}
	if (batch->size > cursor->room) {
		uint8_t *buffer;

		trace->held += batch->size - cursor->room;
		if (trace->held > GT__GO_HELD_MAX) {
			fail(trace, "broken in generation %llu: more threads at once than this program takes",
				(unsigned long long)trace->generation.number);
			return false;
		}
		buffer = realloc(cursor->buffer, batch->size);
		if (!buffer) {
			fail(trace, "no memory for a batch");
			return false;
		}
		cursor->buffer = buffer;
		cursor->room = batch->size;
	}
	ret = gt_source_read(&trace->file, batch->offset, batch->size, cursor->buffer);
	if (ret < 0)
		fail(trace, "cannot be read at byte %llu: %s", (unsigned long long)batch->offset, strerror(-ret));
	cursor->bytes = cursor->buffer;
	return ret == 0;
}

/* One or two bytes are what most numbers have. */
static inline bool get_number(const uint8_t **at, const uint8_t *end, uint64_t *value)
{
	struct gt_cursor cursor;

	if (__builtin_expect(*at < end && !(**at & 0x80), 1)) {
		*value = *(*at)++;
		return true;
	}
	if (end - *at >= 2 && !((*at)[1] & 0x80)) {
		*value = ((*at)[0] & 0x7fu) | (uint64_t)(*at)[1] << 7;
		*at += 2;
		return true;
	}
	cursor = (struct gt_cursor){.at = *at, .end = end};
	*value = gt_get_uvarint(&cursor);
	*at = cursor.at;
	return !cursor.bad;
}

enum step { STEP_EVENT, STEP_END, STEP_BAD };

static enum step next_event(struct gt_gotrace *trace, struct cursor *cursor)
{
	const struct gt__go_batch *batches = trace->generation.batches.at;
	const struct gt_gotrace_spec *spec;
	struct gt_gotrace_event *event = &cursor->event;
	const uint8_t *at, *end;
	uint64_t units;

	while (cursor->batch != GT__GO_NO_BATCH && cursor->offset == cursor->size) {
		if (cursor->bytes)
			cursor->batch = batches[cursor->batch].next;
		if (cursor->batch != GT__GO_NO_BATCH && !load_batch(trace, cursor))
			return STEP_BAD;
	}
	if (cursor->batch == GT__GO_NO_BATCH)
		return STEP_END;
	if (!cursor->last_ns)
		cursor->last_ns = gt__go_ns(trace->generation.ns_per_unit, batches[cursor->batch].time);
	at = cursor->bytes + cursor->offset;
	end = cursor->bytes + cursor->size;
	event->type = *at++;
	event->first = false;
	event->old = 0;
	event->m = cursor->m;
	spec = &gt_gotrace_specs[event->type];
	if (!spec->text || !get_number(&at, end, &units))
		goto bad;
	for (unsigned int i = 0; i < spec->arg_count; i++)
		if (!get_number(&at, end, &event->args[i]))
			goto bad;
	cursor->last_ns =
		(int64_t)((uint64_t)gt__go_ns(trace->generation.ns_per_unit, units) + (uint64_t)cursor->last_ns);
	event->time_ns = cursor->last_ns;
	cursor->offset = (uint32_t)(at - cursor->bytes);
	return STEP_EVENT;
bad:
	fail(trace, "broken in generation %llu: damaged events at byte %llu, thread %lld: what follows is left out",
		(unsigned long long)trace->generation.number,
		(unsigned long long)(batches[cursor->batch].offset + cursor->offset), (long long)cursor->m);
	return STEP_BAD;
}

/* ---- the heap: a parent is never later than its children ---- */

static size_t sift_up(struct cursor **heap, size_t i)
{
	while (i && heap[(i - 1) / 2]->event.time_ns > heap[i]->event.time_ns) {
		struct cursor *parent = heap[(i - 1) / 2];

		heap[(i - 1) / 2] = heap[i];
		heap[i] = parent;
		i = (i - 1) / 2;
	}
	return i;
}

static void sift_down(struct cursor **heap, size_t count, size_t i)
{
	for (;;) {
		size_t least = i;

		for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < count; child++)
			if (heap[child]->event.time_ns < heap[least]->event.time_ns)
				least = child;
		if (least == i)
			return;
		struct cursor *swap = heap[i];

		heap[i] = heap[least];
		heap[least] = swap;
		i = least;
	}
}

static void heap_update(struct gt_gotrace *trace, size_t i)
{
	if (sift_up(trace->heap, i) == i)
		sift_down(trace->heap, trace->heap_count, i);
}

static void heap_remove(struct gt_gotrace *trace, size_t i)
{
	struct cursor **heap = trace->heap, *gone = heap[i];

	for (; i; i = (i - 1) / 2)
		heap[i] = heap[(i - 1) / 2];
	heap[0] = heap[--trace->heap_count];
	heap[trace->heap_count] = gone;
	sift_down(heap, trace->heap_count, 0);
}

/* By time, equal ones as they stand. A sorted heap is a heap. */
static void heap_sort(struct gt_gotrace *trace)
{
	struct cursor **from = trace->heap, **to = trace->sorted;
	size_t count = trace->heap_count;

	if (count <= SORT_INSERT_MAX) {
		for (size_t i = 1; i < count; i++) {
			struct cursor *one = from[i];
			size_t at = i;

			for (; at && from[at - 1]->event.time_ns > one->event.time_ns; at--)
				from[at] = from[at - 1];
			from[at] = one;
		}
		return;
	}
	for (size_t width = 1; width < count; width *= 2) {
		struct cursor **swap = from;

		for (size_t begin = 0; begin < count; begin += 2 * width) {
			size_t middle = begin + width < count ? begin + width : count;
			size_t end = middle + width < count ? middle + width : count;
			size_t a = begin, b = middle, at = begin;

			while (a < middle || b < end)
				to[at++] = b == end || (a < middle && from[a]->event.time_ns <= from[b]->event.time_ns)
						   ? from[a++]
						   : from[b++];
		}
		from = to;
		to = swap;
	}
	trace->heap = from;
	trace->sorted = to;
}

/* ---- generations ---- */

static int give_sync(struct gt_gotrace *trace, int64_t time_ns, struct gt_gotrace_event *event)
{
	*event = (struct gt_gotrace_event){.type = GT_GOTRACE_SYNC,
		.time_ns = time_ns,
		.m = GT_GOTRACE_NONE,
		.p = GT_GOTRACE_NONE,
		.g = GT_GOTRACE_NONE,
		.args = {++trace->syncs}};
	return 1;
}

/* The trace's last event, whether it ends well or not. */
static int end_with_sync(struct gt_gotrace *trace, struct gt_gotrace_event *event)
{
	drop_cursors(trace);
	gt__go_generation_free(&trace->generation);
	trace->in_generation = false;
	trace->ended = true;
	return give_sync(trace, trace->last_ns, event);
}

static bool begin_cursors(struct gt_gotrace *trace)
{
	const struct gt__go_stream *streams = trace->generation.streams.at;
	size_t count = trace->generation.streams.count;

	trace->cursors = calloc(count + 1, sizeof(*trace->cursors));
	trace->heap = calloc(count + 1, sizeof(struct cursor *));
	trace->sorted = calloc(count + 1, sizeof(struct cursor *));
	if (!trace->cursors || !trace->heap || !trace->sorted) {
		fail(trace, "no memory for %zu threads", count);
		return false;
	}
	trace->cursor_count = count;
	for (size_t i = 0; i < count; i++) {
		struct cursor *cursor = &trace->cursors[i];
		enum step step;

		cursor->m = streams[i].m;
		cursor->batch = streams[i].first;
		step = next_event(trace, cursor);
		if (step == STEP_BAD)
			return false;
		if (step == STEP_END)
			continue;
		trace->heap[trace->heap_count] = cursor;
		sift_up(trace->heap, trace->heap_count++);
	}
	return true;
}

static int next_generation(struct gt_gotrace *trace, struct gt_gotrace_event *event)
{
	int ret;

	drop_cursors(trace);
	if (trace->broken_behind) {
		fail(trace, "%s", trace->why);
		trace->cut = trace->cut_behind;
		return end_with_sync(trace, event);
	}
	if (trace->last)
		return end_with_sync(trace, event);
	ret = gt__go_generation_read(&trace->file, trace->version, &trace->offset, &trace->generation, trace->why,
		&trace->broken_behind, &trace->cut_behind);
	if (ret < 0) {
		fail(trace, "%s", trace->why);
		trace->cut = trace->cut_behind;
	}
	if (ret <= 0)
		return end_with_sync(trace, event);
	trace->last = trace->version < 26 && !trace->broken_behind && trace->offset >= trace->file.size;
	trace->in_generation = true;
	trace->sample = 0;
	trace->info.generations++;
	trace->info.generation = trace->generation.number;
	trace->info.experimental_batches += trace->generation.experimental_batches;
	trace->info.clock = trace->generation.clock;
	trace->info.begin_ns = gt__go_ns(trace->generation.ns_per_unit, trace->generation.begin);
	if (!begin_cursors(trace)) {
		trace->ended = true;
		return 0;
	}
	return give_sync(trace, trace->info.begin_ns, event);
}

/* ---- the next one ---- */

/* Strings and stacks that it names must be there. */
static bool names_known(struct gt_gotrace *trace, const struct gt_gotrace_event *event)
{
	const struct gt_gotrace_spec *spec = &gt_gotrace_specs[event->type];

	if (!spec->stacks && !spec->strings)
		return true;
	for (unsigned int i = 0; i < spec->arg_count; i++) {
		const char *what = NULL;

		if (spec->stacks >> i & 1 && !gt__go_stack_known(&trace->generation, event->args[i]))
			what = "stack";
		else if (spec->strings >> i & 1 && !gt__go_string_known(&trace->generation, event->args[i]))
			what = "string";
		if (!what)
			continue;
		fail(trace, "%s generation %llu: %s names a %s %llu that is not there: what follows is left out",
			trace->cut_behind || trace->last ? "cut inside" : "broken in",
			(unsigned long long)trace->generation.number, spec->text ? spec->text : spec->kind, what,
			(unsigned long long)event->args[i]);
		/* They stand at the generation's end; only since 1.26 it is known to be there. */
		trace->cut |= trace->last;
		return false;
	}
	return true;
}

static enum gt__go_fit try_one(struct gt_gotrace *trace, size_t i)
{
	struct cursor *cursor = trace->heap[i];
	char why[256];
	enum gt__go_fit fit = gt__go_advance(trace->order, &cursor->event, &trace->generation, why);
	enum step step;

	if (fit == GT__GO_BROKEN)
		fail(trace, "broken in generation %llu: %s on thread %lld: %.140s: what follows is left out",
			(unsigned long long)trace->generation.number, gt_gotrace_specs[cursor->event.type].text,
			(long long)cursor->m, why);
	if (fit != GT__GO_FITS)
		return fit;
	step = next_event(trace, cursor);
	if (step == STEP_BAD)
		return GT__GO_BROKEN;
	if (step == STEP_EVENT)
		heap_update(trace, i);
	else
		heap_remove(trace, i);
	return GT__GO_FITS;
}

/* Brings one event into the order's queue. */
static bool advance(struct gt_gotrace *trace)
{
	enum gt__go_fit fit = try_one(trace, 0);

	if (__builtin_expect(fit == GT__GO_WAITS, 0)) {
		heap_sort(trace);
		for (size_t i = 1; i < trace->heap_count && fit == GT__GO_WAITS; i++)
			fit = try_one(trace, i);
		if (fit == GT__GO_WAITS)
			fail(trace,
				"broken in generation %llu: %s on thread %lld waits for what never comes: what follows "
				"is left out",
				(unsigned long long)trace->generation.number,
				gt_gotrace_specs[trace->heap[0]->event.type].text, (long long)trace->heap[0]->m);
	}
	return fit == GT__GO_FITS;
}

static int take_sample(struct gt_gotrace *trace, struct gt_gotrace_event *event)
{
	const struct gt__go_sample *samples = trace->generation.samples.at, *sample = &samples[trace->sample];

	if (trace->heap_count && sample->time_ns >= trace->heap[0]->event.time_ns)
		return 0;
	trace->sample++;
	*event = (struct gt_gotrace_event){.type = GT_GOTRACE_CPU_SAMPLE,
		.time_ns = sample->time_ns,
		.m = sample->m,
		.p = sample->p,
		.g = sample->g,
		.args = {sample->stack}};
	return 1;
}

static int next(struct gt_gotrace *trace, struct gt_gotrace_event *event)
{
	if (gt__go_pop(trace->order, event))
		return 1;
	if (!trace->heap_count && (!trace->in_generation || trace->sample == trace->generation.samples.count))
		return next_generation(trace, event);
	if (trace->sample < trace->generation.samples.count && take_sample(trace, event))
		return 1;
	return advance(trace) && gt__go_pop(trace->order, event);
}

int gt_gotrace_next(struct gt_gotrace *trace, struct gt_gotrace_event *event)
{
	if (trace->ended)
		return 0;
	if (!next(trace, event) || (event->type != GT_GOTRACE_SYNC && !names_known(trace, event))) {
		trace->ended = true;
		return 0;
	}
	if (event->time_ns <= trace->last_ns)
		event->time_ns = trace->last_ns < INT64_MAX ? trace->last_ns + 1 : INT64_MAX;
	trace->last_ns = event->time_ns;
	return 1;
}

/* ---- looking ---- */

const char *gt_gotrace_error(const struct gt_gotrace *trace)
{
	return trace->failed ? trace->error : NULL;
}

bool gt_gotrace_cut(const struct gt_gotrace *trace)
{
	return trace->failed && trace->cut;
}

const char *gt_gotrace_string(const struct gt_gotrace *trace, uint64_t id, size_t *size)
{
	return gt__go_string(&trace->generation, id, size);
}

const char *gt_gotrace_name(const struct gt_gotrace *trace, uint64_t name, size_t *size)
{
	return gt__go_order_name(trace->order, name, size);
}

int gt_gotrace_stack(const struct gt_gotrace *trace, uint64_t id, struct gt_gotrace_frame out[GT_GOTRACE_FRAMES])
{
	const struct gt__go_generation *generation = &trace->generation;
	const uint64_t *place = id ? gt_map_find(&generation->stack_of, id) : NULL;
	const struct gt__go_stack *stack;

	if (!place)
		return id ? -ENOENT : 0;
	stack = (const struct gt__go_stack *)generation->stacks.at + *place;
	for (uint32_t i = 0; i < stack->count; i++)
		out[i] = ((const struct gt_gotrace_frame *)
				  generation->frames.at)[((const uint32_t *)generation->pcs.at)[stack->at + i]];
	return (int)stack->count;
}

void gt_gotrace_info(const struct gt_gotrace *trace, struct gt_gotrace_info *out)
{
	*out = trace->info;
}

void gt_gotrace_extent(struct gt_gotrace *trace, struct gt_gotrace_extent *out)
{
	uint64_t offset = GT__GO_HEADER_BYTES, generation = 0, first = 0, last = 0;
	struct gt__go_header header;
	enum gt__go_found found;
	const char *why;

	*out = (struct gt_gotrace_extent){0};
	while ((found = gt__go_header(&trace->file, offset, &header, &why)) == GT__GO_BATCH ||
		found == GT__GO_GENERATION_ENDS) {
		offset = header.next;
		if (found == GT__GO_GENERATION_ENDS) {
			generation = 0;
			continue;
		}
		out->batches++;
		if (header.gen != generation) {
			generation = header.gen;
			out->generations++;
		}
		if (!first || header.time < first)
			first = header.time;
		if (header.time > last)
			last = header.time;
	}
	out->cut = found == GT__GO_BAD || (trace->version >= 26 && generation);
	out->begin_ns = gt__go_ns(trace->generation.ns_per_unit, first);
	out->last_ns = gt__go_ns(trace->generation.ns_per_unit, last);
}
