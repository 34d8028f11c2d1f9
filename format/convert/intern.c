/* intern.c - the maps from a trace's ids to Perfetto's numbers, and the packets that tell of them. */
#include "format/convert/intern.h"
#include "format/convert/json.h"
#include "format/convert/protobuf.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { /* InternedData */
	EVENT_CATEGORIES = 1,
	EVENT_NAMES = 2,
	ANNOTATION_NAMES = 3,
	FUNCTION_NAMES = 5,
	FRAMES = 6,
	CALLSTACKS = 7,
	SOURCE_PATHS = 18,
	ANNOTATION_STRINGS = 29,
};
/* Numbers below belong to enum gt__intern_name. */
#define FIRST_NUMBER 1000u
#define LINES_OF_PC  64u /* inlined calls of one place */
#define REPLACE      "\xef\xbf\xbd"

static const char *const key_texts[] = {
#define K(name, text) text,
	GT_KEYS(K)
#undef K
};
static const char *const category_texts[] = {
#define C(name, text) text,
	GT_CATEGORIES(C)
#undef C
};

char *gt__pb_text(char *to, uint32_t field, const char *text, size_t max)
{
	size_t size = strnlen(text, max + 1);
	bool cut = size > max;
	char *inside;

	if (cut) {
		size = max;
		while (size > 0 && ((unsigned char)text[size] & 0xc0) == 0x80)
			size--;
	}
	inside = to = gt_pb_open(to, field);
	for (size_t i = 0; i < size;) {
		unsigned int bytes = (unsigned char)text[i] < 0x80 ? 1 : gt_json_utf8(text + i, size - i);

		if (bytes) {
			memcpy(to, text + i, bytes);
			to += bytes;
			i += bytes;
		} else {
			to = GT_JSON_PUT(to, REPLACE);
			i++;
		}
	}
	if (cut)
		to = GT_JSON_PUT(to, "...");
	return gt_pb_close(inside, to);
}

/* ---- packets ---- */

struct packet {
	char *packet, *data, *entry;
};

/* A packet with one entry of InternedData open. */
static char *begin(struct gt__intern *intern, struct packet *p, uint32_t field, uint64_t number)
{
	char *to = gt_sink_room(intern->sink, GT_SINK_RECORD_MAX);

	p->packet = to = gt_pb_open(to, 1);
	to = gt_pb_number(to, 10, GT__INTERN_SEQUENCE);
	to = gt_pb_number(to, 13, 2);
	p->data = to = gt_pb_open(to, 12);
	p->entry = to = gt_pb_open(to, field);
	return gt_pb_number(to, 1, number);
}

static void end(struct gt__intern *intern, struct packet *p, char *to)
{
	gt_pb_close(p->entry, to);
	gt_pb_close(p->data, to);
	intern->sink->at = gt_pb_close(p->packet, to);
}

static void put_text(struct gt__intern *intern, uint32_t field, uint64_t number, const char *text)
{
	struct packet packet;
	char *to = begin(intern, &packet, field, number);

	end(intern, &packet, gt__pb_text(to, 2, text, GT__INTERN_TEXT_MAX));
}

void gt__intern_new_key(struct gt__intern *intern, enum gt__intern_key key)
{
	intern->keys[key] = true;
	put_text(intern, ANNOTATION_NAMES, key + 1u, key_texts[key]);
}

void gt__intern_new_category(struct gt__intern *intern, enum gt__intern_category category)
{
	intern->categories[category] = true;
	put_text(intern, EVENT_CATEGORIES, category + 1u, category_texts[category]);
}

void gt__intern_new_name(struct gt__intern *intern, unsigned int name)
{
	static const char *const texts[GT_NAME_COUNT] = {
		[GT_NAME_WAIT] = "waiting",
		[GT_NAME_SYSCALL] = "syscall",
		[GT_NAME_WOKEN] = "woken",
		[GT_NAME_CREATED] = "created",
		[GT_NAME_ALLOC] = "alloc",
		[GT_NAME_FREE] = "free",
		[GT_NAME_TIMER_SET] = "timer set",
		[GT_NAME_TIMER_STOP] = "timer stop",
		[GT_NAME_TIMER_FIRE] = "timer fires",
		[GT_NAME_REGION] = "region",
		[GT_NAME_TASK] = "task",
		[GT_NAME_LOG] = "log",
		[GT_NAME_ASSIST] = "GC assist",
		[GT_NAME_SWEEP] = "GC sweep",
		[GT_NAME_GC] = "GC",
		[GT_NAME_STW] = "stop the world",
		[GT_NAME_STOPPED] = "stopped",
		[GT_NAME_SAMPLE] = "CPU sample",
		[GT_NAME_FAULT] = "page fault",
		[GT_NAME_THROTTLED] = "throttled",
	};
	const char *text = texts[name];

	if (!text)
		text = gt_reason_text(name < GT_NAME_RUNNABLE ? name - GT_NAME_WAIT : name - GT_NAME_RUNNABLE);
	intern->names[name] = true;
	put_text(intern, EVENT_NAMES, name + 1, text);
}

/* ---- ids of the trace ---- */

static uint64_t known(const struct gt__map *map, uint64_t key)
{
	return (uint64_t)(uintptr_t)gt__map_get(map, key);
}

/* A number for @key; 0 without memory. */
static uint64_t take(struct gt__intern *intern, struct gt__map *map, uint64_t key)
{
	uint64_t number = intern->next;

	if (gt__map_put(map, key, (void *)(uintptr_t)number) < 0) {
		intern->failed = true;
		return 0;
	}
	intern->next++;
	return number;
}

/* Texts of a trace stay where they are, and each is there once: the address is its id. */
static uint64_t intern_at(struct gt__intern *intern, struct gt__map *map, uint32_t field, const char *text)
{
	uint64_t key = (uint64_t)(uintptr_t)text, number = known(map, key);

	if (number)
		return number;
	number = take(intern, map, key);
	if (number)
		put_text(intern, field, number, text);
	return number;
}

uint64_t gt__intern_string(struct gt__intern *intern, uint64_t id)
{
	uint64_t number = known(&intern->strings, id);
	const char *text;

	if (number)
		return number;
	text = gt_trace_string(intern->trace, id);
	if (!text || !*text)
		return 0;
	number = take(intern, &intern->strings, id);
	if (number)
		put_text(intern, EVENT_NAMES, number, text);
	return number;
}

uint64_t gt__intern_text(struct gt__intern *intern, uint64_t id)
{
	uint64_t number = id ? known(&intern->texts, id) : 0;
	const char *text = id && !number ? gt_trace_string(intern->trace, id) : NULL;

	if (!text)
		return number;
	number = take(intern, &intern->texts, id);
	if (number)
		put_text(intern, ANNOTATION_STRINGS, number, text);
	return number;
}

uint64_t gt__intern_syscall(struct gt__intern *intern, uint64_t call)
{
	uint64_t number = known(&intern->calls, call);
	const char *name = gt_trace_syscall(intern->trace, call);
	char text[64];

	if (number)
		return number;
	snprintf(text, sizeof(text), name ? "%.40s" : "syscall %.0s%" PRIu64, name ? name : "", call);
	number = take(intern, &intern->calls, call);
	if (number)
		put_text(intern, EVENT_NAMES, number, text);
	return number;
}

static uint32_t lines_of(const struct gt_trace_pc *at)
{
	uint32_t count = at ? at->count : 0;

	return count > LINES_OF_PC ? LINES_OF_PC : count ? count : 1;
}

static void put_frame(struct gt__intern *intern, uint64_t number, uint64_t pc, const struct gt_trace_line *line)
{
	uint64_t function, file = 0;
	struct packet packet;
	char text[32], *to;

	if (line && line->function && *line->function) {
		function = intern_at(intern, &intern->functions, FUNCTION_NAMES, line->function);
	} else {
		/* It has no text of its own: its number serves for the name, too. */
		function = number;
		*gt_json_hex(text, pc) = '\0';
		text[strlen(text) - 1] = '\0';
		put_text(intern, FUNCTION_NAMES, function, text + 1);
	}
	if (line && line->file && *line->file)
		file = intern_at(intern, &intern->files, SOURCE_PATHS, line->file);
	to = gt_pb_number(begin(intern, &packet, FRAMES, number), 2, function);
	if (file) {
		to = gt_pb_number(to, 5, file);
		to = gt_pb_number(to, 6, line->line);
	}
	end(intern, &packet, to);
}

/* The first of the numbers of its lines, innermost first. How many there are is kept with it: a trace may learn more later. */
static uint64_t intern_pc(struct gt__intern *intern, uint64_t pc, uint32_t *count)
{
	uint64_t number = intern->next, kept = known(&intern->pcs, pc);
	const struct gt_trace_pc *at;

	if (kept) {
		*count = kept & 0xff;
		return kept >> 8;
	}
	at = gt_trace_pc(intern->trace, pc);
	*count = lines_of(at);
	if (gt__map_put(&intern->pcs, pc, (void *)(uintptr_t)(number << 8 | *count)) < 0) {
		intern->failed = true;
		return 0;
	}
	intern->next += *count;
	for (uint32_t i = 0; i < *count; i++)
		put_frame(intern, number + i, pc, at && at->count ? &at->lines[i] : NULL);
	return number;
}

/* Outermost first, as Perfetto wants it; a stack that is too deep loses its outer end. */
static uint64_t put_stack(struct gt__intern *intern, uint64_t number, const uint64_t *pcs, uint32_t pc_count)
{
	uint64_t frames[GT__INTERN_FRAMES_MAX];
	uint32_t used = 0;
	struct packet packet;
	char *to;

	for (uint32_t i = 0; i < pc_count && used < GT__INTERN_FRAMES_MAX; i++) {
		uint32_t count;
		uint64_t first = intern_pc(intern, pcs[i], &count);

		for (uint32_t j = 0; first && j < count && used < GT__INTERN_FRAMES_MAX; j++)
			frames[used++] = first + j;
	}
	to = begin(intern, &packet, CALLSTACKS, number);
	while (used > 0)
		to = gt_pb_number(to, 2, frames[--used]);
	end(intern, &packet, to);
	return number;
}

uint64_t gt__intern_stack(struct gt__intern *intern, uint64_t id)
{
	uint64_t number = id ? known(&intern->stacks, id) : 0;
	const struct gt_trace_stack *stack;

	if (number || !id)
		return number;
	stack = gt_trace_stack(intern->trace, id);
	if (!stack || !stack->count)
		return 0;
	number = take(intern, &intern->stacks, id);
	return number ? put_stack(intern, number, stack->pcs, stack->count) : 0;
}

uint64_t gt__intern_site(struct gt__intern *intern, uint64_t pc)
{
	uint64_t number = pc ? known(&intern->sites, pc) : 0;

	if (number || !pc)
		return number;
	number = take(intern, &intern->sites, pc);
	return number ? put_stack(intern, number, &pc, 1) : 0;
}

static uint64_t object_key(unsigned int what, uint64_t object)
{
	return (uint64_t)what << 56 ^ object;
}

uint64_t gt__intern_object(struct gt__intern *intern, unsigned int what, uint64_t object)
{
	uint64_t key = object_key(what, object), number = known(&intern->objects, key);
	char text[GT_TRACE_OBJECT_BYTES];

	if (number)
		return number;
	gt_trace_object(intern->trace, what, object, text);
	number = take(intern, &intern->objects, key);
	if (number)
		put_text(intern, ANNOTATION_STRINGS, number, text);
	return number;
}

void gt__intern_object_named(struct gt__intern *intern, uint64_t object)
{
	for (unsigned int what = 0; what < GT_OBJECT_COUNT; what++)
		gt__map_remove(&intern->objects, object_key(what, object));
}

/* ---- begin and end ---- */

static void put_begin(struct gt__intern *intern)
{
	char *to = gt_sink_room(intern->sink, GT_SINK_RECORD_MAX), *packet;

	packet = to = gt_pb_open(to, 1);
	to = gt_pb_number(to, 10, GT__INTERN_SEQUENCE);
	to = gt_pb_number(to, 13, 1);
	if (intern->clock) {
		char *defaults = gt_pb_open(to, 59);

		to = gt_pb_close(defaults, gt_pb_number(defaults, 58, intern->clock));
	}
	intern->sink->at = gt_pb_close(packet, to);
	intern->next = FIRST_NUMBER;
}

static void free_maps(struct gt__intern *intern)
{
	gt__map_free(&intern->strings);
	gt__map_free(&intern->functions);
	gt__map_free(&intern->files);
	gt__map_free(&intern->pcs);
	gt__map_free(&intern->stacks);
	gt__map_free(&intern->sites);
	gt__map_free(&intern->objects);
	gt__map_free(&intern->calls);
	gt__map_free(&intern->texts);
}

void gt__intern_forget(struct gt__intern *intern)
{
	free_maps(intern);
	memset(intern->keys, 0, sizeof(intern->keys));
	memset(intern->categories, 0, sizeof(intern->categories));
	memset(intern->names, 0, sizeof(intern->names));
	put_begin(intern);
}

void gt__intern_init(
	struct gt__intern *intern, const struct gt_trace *trace, struct gt_sink *sink, uint64_t clock, size_t limit)
{
	memset(intern, 0, sizeof(*intern));
	intern->trace = trace;
	intern->sink = sink;
	intern->clock = clock;
	intern->limit = limit;
	put_begin(intern);
}

void gt__intern_free(struct gt__intern *intern)
{
	free_maps(intern);
}
