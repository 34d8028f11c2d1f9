/* text.c - the cache of escaped texts behind text.h. */
#include "format/convert/text.h"
#include "format/convert/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* When the cache grows past this it starts anew: stacks that are seen often are soon back. */
#define CACHE_BYTES_MAX ((size_t)32 << 20)
#define ENTRY_BYTES     64 /* what a map's entry and malloc take beside the text, about */

struct gt__text *gt__text_new(const char *text, size_t max)
{
	size_t size = strnlen(text, max + 1);
	bool cut = size > max;
	struct gt__text *out, *fit;
	char *end;

	if (cut) {
		size = max;
		while (size > 0 && ((unsigned char)text[size] & 0xc0) == 0x80)
			size--;
	}
	out = malloc(sizeof(*out) + size * GT_JSON_ESCAPE_MAX + 3);
	if (!out)
		return NULL;
	end = gt_json_escape(out->bytes, text, size);
	if (cut)
		end = GT_JSON_PUT(end, "...");
	out->size = (size_t)(end - out->bytes);
	fit = realloc(out, sizeof(*out) + out->size);
	return fit ? fit : out;
}

void gt__texts_init(struct gt__texts *texts, const struct gt_trace *trace)
{
	memset(texts, 0, sizeof(*texts));
	texts->trace = trace;
}

static void empty_map(struct gt__map *map)
{
	size_t at = 0;
	void *text;

	while ((text = gt__map_each(map, &at)))
		free(text);
	gt__map_free(map);
}

static void empty_cache(struct gt__texts *texts)
{
	empty_map(&texts->stacks);
	empty_map(&texts->strings);
	empty_map(&texts->pcs);
	empty_map(&texts->objects);
	texts->cache_bytes = 0;
}

void gt__texts_free(struct gt__texts *texts)
{
	empty_cache(texts);
	empty_map(&texts->names);
}

static const struct gt__text *keep(struct gt__texts *texts, struct gt__map *map, uint64_t key, struct gt__text *text)
{
	if (!text)
		return NULL;
	if (map != &texts->names) {
		if (texts->cache_bytes > CACHE_BYTES_MAX)
			empty_cache(texts);
		texts->cache_bytes += text->size + ENTRY_BYTES;
	}
	if (gt__map_put(map, key, text) < 0) {
		free(text);
		return NULL;
	}
	return text;
}

const struct gt__text *gt__texts_name(struct gt__texts *texts, const char *function)
{
	const struct gt__text *text = function ? gt__map_get(&texts->names, (uintptr_t)function) : NULL;

	if (text || !function || !*function)
		return text;
	return keep(texts, &texts->names, (uintptr_t)function, gt__text_new(function, GT__NAME_BYTES_MAX));
}

const struct gt__text *gt__texts_string(struct gt__texts *texts, uint64_t id)
{
	const struct gt__text *text = gt__map_get(&texts->strings, id);
	const char *string;

	if (text)
		return text;
	string = gt_trace_string(texts->trace, id);
	return string ? keep(texts, &texts->strings, id, gt__text_new(string, GT__NAME_BYTES_MAX)) : NULL;
}

/* The lines of @pc behind what @to holds already; cut where it is full. */
static size_t put_lines(const struct gt_trace *trace, uint64_t pc, char *to, size_t used, size_t size)
{
	const struct gt_trace_pc *at = gt_trace_pc(trace, pc);
	uint32_t count = at ? at->count : 0;

	for (uint32_t i = 0; i < (count ? count : 1) && used < size; i++) {
		const struct gt_trace_line *line = count ? &at->lines[i] : NULL;
		const char *file = line && line->file ? line->file : "", *base = strrchr(file, '/');
		const char *comma = used ? " < " : "";
		int more;

		base = base ? base + 1 : file;
		if (!line || !line->function || !*line->function)
			more = snprintf(to + used, size - used, "%s0x%llx", comma, (unsigned long long)pc);
		else if (*base)
			more = snprintf(to + used, size - used, "%s%.*s %.*s:%u", comma, GT__NAME_BYTES_MAX,
				line->function, GT__NAME_BYTES_MAX, base, line->line);
		else
			more = snprintf(to + used, size - used, "%s%.*s", comma, GT__NAME_BYTES_MAX, line->function);
		used += more > 0 ? (size_t)more : 0;
	}
	return used < size ? used : size;
}

const struct gt__text *gt__texts_pc(struct gt__texts *texts, uint64_t pc)
{
	const struct gt__text *text = gt__map_get(&texts->pcs, pc);
	char lines[GT__STACK_BYTES_MAX];

	if (text || !pc)
		return text;
	put_lines(texts->trace, pc, lines, 0, sizeof(lines));
	return keep(texts, &texts->pcs, pc, gt__text_new(lines, sizeof(lines)));
}

const struct gt__text *gt__texts_stack(struct gt__texts *texts, uint64_t id)
{
	const struct gt__text *text = gt__map_get(&texts->stacks, id);
	const struct gt_trace_stack *stack;
	char lines[GT__STACK_BYTES_MAX];
	size_t used = 0;

	if (text || !id)
		return text;
	stack = gt_trace_stack(texts->trace, id);
	if (!stack || !stack->count)
		return NULL;
	for (uint32_t i = 0; i < stack->count && used < sizeof(lines); i++)
		used = put_lines(texts->trace, stack->pcs[i], lines, used, sizeof(lines));
	return keep(texts, &texts->stacks, id, gt__text_new(lines, sizeof(lines)));
}

static uint64_t object_key(unsigned int what, uint64_t object)
{
	return (uint64_t)what << 56 ^ object;
}

const struct gt__text *gt__texts_object(struct gt__texts *texts, unsigned int what, uint64_t object)
{
	uint64_t key = object_key(what, object);
	const struct gt__text *text = gt__map_get(&texts->objects, key);
	char name[GT_TRACE_OBJECT_BYTES];

	if (text)
		return text;
	gt_trace_object(texts->trace, what, object, name);
	return keep(texts, &texts->objects, key, gt__text_new(name, GT__NAME_BYTES_MAX));
}

void gt__texts_object_named(struct gt__texts *texts, uint64_t object)
{
	for (unsigned int what = 0; what < GT_OBJECT_COUNT; what++) {
		struct gt__text *text = gt__map_get(&texts->objects, object_key(what, object));

		if (!text)
			continue;
		gt__map_remove(&texts->objects, object_key(what, object));
		free(text);
	}
}
