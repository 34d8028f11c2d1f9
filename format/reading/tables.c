/* tables.c - what names things, within bounds. */
#include "format/reading/tables.h"

#include <errno.h>
#include <stdlib.h>

#define CHUNK_BYTES     65536u
#define MAP_ENTRY_BYTES 40u /* a slot of a map at its usual load */

struct gt__chunk {
	struct gt__chunk *next;
	uint64_t align;
	uint8_t bytes[];
};

struct gt__free_goroutine {
	struct gt__free_goroutine *next;
};

/* ---- memory ---- */

static int charge(struct gt__tables *tables, uint64_t bytes)
{
	if (tables->bytes + bytes > GT__TABLE_BYTES_MAX)
		return -ENOSPC;
	tables->bytes += bytes;
	return 0;
}

/* 8-aligned; NULL beyond the limit or without memory (the caller says -ENOSPC for both: nothing else can be done). */
static void *take(struct gt__tables *tables, size_t size)
{
	void *at;

	size = (size + 7) & ~(size_t)7;
	if (size > (size_t)(tables->end - tables->at)) {
		size_t room = size > CHUNK_BYTES / 4 ? size : CHUNK_BYTES;
		struct gt__chunk *chunk;

		if (charge(tables, room + sizeof(*chunk)) < 0)
			return NULL;
		chunk = malloc(sizeof(*chunk) + room);
		if (!chunk)
			return NULL;
		chunk->next = tables->chunks;
		tables->chunks = chunk;
		if (room == size)
			return chunk->bytes; /* a large one: the open chunk stays open */
		tables->at = chunk->bytes;
		tables->end = chunk->bytes + room;
	}
	at = tables->at;
	tables->at += size;
	return at;
}

static int map_put(struct gt__tables *tables, struct gt_map *map, uint64_t key, const void *value)
{
	int ret;

	if (!gt_map_find(map, key) && charge(tables, MAP_ENTRY_BYTES) < 0)
		return -ENOSPC;
	ret = gt_map_put(map, key, (uint64_t)(uintptr_t)value);
	return ret < 0 ? ret : 0;
}

static void keyed_free(struct gt__keyed *keyed)
{
	gt_strings_free(&keyed->keys);
	free(keyed->values);
}

void gt__tables_free(struct gt__tables *tables)
{
	while (tables->chunks) {
		struct gt__chunk *next = tables->chunks->next;

		free(tables->chunks);
		tables->chunks = next;
	}
	keyed_free(&tables->metas);
	keyed_free(&tables->losses);
	gt_map_free(&tables->strings);
	gt_map_free(&tables->pcs);
	gt_map_free(&tables->stacks);
	gt_map_free(&tables->threads);
	gt_map_free(&tables->goroutines);
	gt_map_free(&tables->tids);
	gt__objects_free(&tables->objects);
	memset(tables, 0, sizeof(*tables));
}

/* ---- text ---- */

/* The length of the UTF-8 character at @at, 0 when it is none (overlong, surrogate, beyond U+10FFFF, cut) or NUL. */
static size_t utf8_length(const uint8_t *at, size_t left)
{
	static const uint8_t low[] = {0x80, 0xa0, 0x80, 0x90, 0x80}, high[] = {0xbf, 0xbf, 0x9f, 0xbf, 0x8f};
	size_t length;
	unsigned int special;

	if (at[0] < 0x80)
		return at[0] != 0;
	length = at[0] < 0xc2 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : at[0] < 0xf5 ? 4 : 0;
	if (!length || length > left)
		return 0;
	special = at[0] == 0xe0 ? 1 : at[0] == 0xed ? 2 : at[0] == 0xf0 ? 3 : at[0] == 0xf4 ? 4 : 0;
	if (at[1] < low[special] || at[1] > high[special])
		return 0;
	for (size_t i = 2; i < length; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	return length;
}

/* A copy, NUL-ended, with U+FFFD for what is no UTF-8. */
static const char *take_text(struct gt__tables *tables, const uint8_t *bytes, size_t size)
{
	size_t good = 0, bad = 0, length;
	char *text, *to;

	for (size_t i = 0; i < size; i += length ? length : 1) {
		length = utf8_length(bytes + i, size - i);
		good += length;
		bad += !length;
	}
	text = to = take(tables, good + bad * 3 + 1);
	if (!text)
		return NULL;
	for (size_t i = 0; i < size; i += length ? length : 1) {
		length = utf8_length(bytes + i, size - i);
		memcpy(to, length ? (const char *)bytes + i : "\xef\xbf\xbd", length ? length : 3);
		to += length ? length : 3;
	}
	*to = 0;
	return text;
}

static const uint8_t *get_text(struct gt_cursor *cursor, size_t *size)
{
	uint64_t length = gt_get_uvarint(cursor);
	const uint8_t *bytes = gt_get_bytes(cursor, length);

	*size = bytes ? (size_t)length : 0;
	return bytes;
}

static const char *text_of(const struct gt__tables *tables, uint64_t string)
{
	const uint64_t *value = string ? gt_map_find(&tables->strings, string) : NULL;

	return value ? (const char *)(uintptr_t)*value : "";
}

/* ---- records ---- */

/* The place of a key's value, made when new; NULL beyond the limit. */
static struct gt__value *keyed_value(
	struct gt__tables *tables, struct gt__keyed *keyed, const uint8_t *key, size_t size)
{
	uint64_t id = gt_strings_find(&keyed->keys, key, size);

	if (!id) {
		if (!size || keyed->keys.count >= GT__KEYS_MAX || charge(tables, size + 2 * MAP_ENTRY_BYTES) < 0)
			return NULL;
		if (keyed->keys.count == keyed->room) {
			size_t room = keyed->room ? keyed->room * 2 : 32;
			struct gt__value *values = realloc(keyed->values, room * sizeof(*values));

			if (!values)
				return NULL;
			keyed->values = values;
			keyed->room = room;
		}
		if (gt_strings_intern(&keyed->keys, key, size, &id) < 0)
			return NULL;
		keyed->values[id - 1] = (struct gt__value){0};
	}
	return &keyed->values[id - 1];
}

static int add_meta(struct gt__tables *tables, struct gt_cursor *cursor, bool final)
{
	size_t key_size, size;
	const uint8_t *key = get_text(cursor, &key_size);
	const uint8_t *text = get_text(cursor, &size);
	struct gt__value *value;

	if (cursor->bad || !key_size || memchr(key, 0, key_size))
		return -EBADMSG;
	value = keyed_value(tables, &tables->metas, key, key_size);
	if (!value)
		return -ENOSPC;
	if (value->final && !final)
		return 0;
	if (!value->text || strlen(value->text) != size || memcmp(value->text, text, size)) {
		const char *copy = take_text(tables, text, size);

		if (!copy)
			return -ENOSPC;
		value->text = copy;
	}
	value->final = final;
	return 0;
}

static int add_loss(struct gt__tables *tables, struct gt_cursor *cursor, bool final)
{
	size_t size;
	const uint8_t *what = get_text(cursor, &size);
	uint64_t count = gt_get_uvarint(cursor);
	struct gt__value *value;

	if (cursor->bad || !size || memchr(what, 0, size))
		return -EBADMSG;
	value = keyed_value(tables, &tables->losses, what, size);
	if (!value)
		return -ENOSPC;
	if (!value->final || final) {
		value->count = count;
		value->final = final;
	}
	return 0;
}

static int add_string(struct gt__tables *tables, struct gt_cursor *cursor)
{
	uint64_t id = gt_get_uvarint(cursor);
	const char *text;

	if (cursor->bad || !id)
		return -EBADMSG;
	if (gt_map_find(&tables->strings, id))
		return 0;
	text = take_text(tables, cursor->at, gt_cursor_left(cursor));
	return text ? map_put(tables, &tables->strings, id, text) : -ENOSPC;
}

/* What is there twice holds as it was first; that it is whole counts all the same. */
static int pass_over(struct gt_cursor *cursor, uint64_t count)
{
	while (count-- && !cursor->bad)
		gt_get_uvarint(cursor);
	return cursor->bad ? -EBADMSG : 0;
}

static int add_pc(struct gt__tables *tables, struct gt_cursor *cursor)
{
	uint64_t pc = gt_get_uvarint(cursor);
	uint64_t count = gt_get_uvarint(cursor);
	struct gt_trace_line *lines;
	struct gt_trace_pc *entry;

	if (cursor->bad || count > gt_cursor_left(cursor) / 3)
		return -EBADMSG;
	if (gt_map_find(&tables->pcs, pc))
		return pass_over(cursor, count * 3);
	entry = take(tables, sizeof(*entry) + (size_t)count * sizeof(*lines));
	if (!entry)
		return -ENOSPC;
	lines = (struct gt_trace_line *)(entry + 1);
	for (uint64_t i = 0; i < count; i++) {
		uint64_t line;

		lines[i].function = text_of(tables, gt_get_uvarint(cursor));
		lines[i].file = text_of(tables, gt_get_uvarint(cursor));
		line = gt_get_uvarint(cursor);
		lines[i].line = line > UINT32_MAX ? 0 : (uint32_t)line;
	}
	*entry = (struct gt_trace_pc){.pc = pc, .count = (uint32_t)count, .lines = lines};
	return cursor->bad ? -EBADMSG : map_put(tables, &tables->pcs, pc, entry);
}

static int add_stack(struct gt__tables *tables, struct gt_cursor *cursor)
{
	uint64_t id = gt_get_uvarint(cursor);
	uint64_t count = gt_get_uvarint(cursor);
	struct gt_trace_stack *entry;
	uint64_t *pcs;

	if (cursor->bad || !id || count > gt_cursor_left(cursor))
		return -EBADMSG;
	if (gt_map_find(&tables->stacks, id))
		return pass_over(cursor, count);
	entry = take(tables, sizeof(*entry) + (size_t)count * sizeof(*pcs));
	if (!entry)
		return -ENOSPC;
	pcs = (uint64_t *)(entry + 1);
	for (uint64_t i = 0; i < count; i++)
		pcs[i] = gt_get_uvarint(cursor);
	*entry = (struct gt_trace_stack){.count = (uint32_t)count, .pcs = pcs};
	return cursor->bad ? -EBADMSG : map_put(tables, &tables->stacks, id, entry);
}

static int add_thread(struct gt__tables *tables, struct gt_cursor *cursor)
{
	uint64_t m = gt_get_uvarint(cursor);
	uint64_t tid = gt_get_uvarint(cursor);
	size_t size;
	const uint8_t *name = get_text(cursor, &size);
	struct gt_trace_thread *entry;

	if (cursor->bad)
		return -EBADMSG;
	entry = take(tables, sizeof(*entry));
	if (!entry)
		return -ENOSPC;
	*entry = (struct gt_trace_thread){.m = m, .tid = tid, .name = take_text(tables, name, size)};
	if (tid && gt_map_put(&tables->tids, tid, m) < 0)
		return -ENOMEM;
	return entry->name ? map_put(tables, &tables->threads, m, entry) : -ENOSPC;
}

int gt__goroutine_parse(const uint8_t *bytes, size_t size, struct gt_trace_goroutine *out)
{
	struct gt_cursor cursor = {.at = bytes, .end = bytes + size};

	out->g = gt_get_uvarint(&cursor);
	out->parent = gt_get_uvarint(&cursor);
	out->start_pc = gt_get_uvarint(&cursor);
	out->site_pc = gt_get_uvarint(&cursor);
	return cursor.bad || !out->g ? -EBADMSG : 0;
}

int gt__since_parse(const uint8_t *bytes, size_t size, uint64_t *ticks)
{
	struct gt_cursor cursor = {.at = bytes, .end = bytes + size};

	gt_get_uvarint(&cursor);
	*ticks = gt_get_uvarint(&cursor);
	return cursor.bad ? -EBADMSG : 0;
}

static int add_goroutine(struct gt__tables *tables, const uint8_t *bytes, size_t size)
{
	struct gt_trace_goroutine goroutine;

	if (gt__goroutine_parse(bytes, size, &goroutine) < 0)
		return -EBADMSG;
	tables->partial = true;
	return gt__tables_goroutine_add(tables, &goroutine);
}

static int add_since(struct gt__tables *tables, const uint8_t *bytes, size_t size)
{
	uint64_t ticks;

	if (gt__since_parse(bytes, size, &ticks) < 0)
		return -EBADMSG;
	tables->partial = true;
	if (ticks > tables->since_max)
		tables->since_max = ticks;
	return 0;
}

int gt__tables_record(struct gt__tables *tables, unsigned int type, const uint8_t *bytes, size_t size, bool final)
{
	struct gt_cursor cursor = {.at = bytes, .end = bytes + size};

	if (tables->complete && !gt__of_its_place(type))
		return 0;
	switch (type) {
	case GT__REC_META:
		return add_meta(tables, &cursor, final);
	case GT__REC_STRING:
		return add_string(tables, &cursor);
	case GT__REC_PC:
		return add_pc(tables, &cursor);
	case GT__REC_STACK:
		return add_stack(tables, &cursor);
	case GT__REC_THREAD:
		return add_thread(tables, &cursor);
	case GT__REC_GOROUTINE:
		return add_goroutine(tables, bytes, size);
	case GT__REC_LOSS:
		return add_loss(tables, &cursor, final);
	case GT__REC_SINCE:
		return add_since(tables, bytes, size);
	default:
		return 0;
	}
}

/* ---- goroutines ---- */

int gt__tables_goroutine_add(struct gt__tables *tables, const struct gt_trace_goroutine *goroutine)
{
	uint64_t *value = gt_map_find(&tables->goroutines, goroutine->g);
	struct gt_trace_goroutine *entry;
	int ret;

	if (value) {
		*(struct gt_trace_goroutine *)(uintptr_t)*value = *goroutine;
		return 0;
	}
	if (tables->free_goroutines) {
		entry = (struct gt_trace_goroutine *)tables->free_goroutines;
		tables->free_goroutines = tables->free_goroutines->next;
	} else {
		entry = charge(tables, MAP_ENTRY_BYTES) < 0 ? NULL : take(tables, sizeof(*entry));
		if (!entry)
			return -ENOSPC;
	}
	*entry = *goroutine;
	ret = gt_map_put(&tables->goroutines, goroutine->g, (uint64_t)(uintptr_t)entry);
	return ret < 0 ? ret : 0;
}

static void give_goroutine(struct gt__tables *tables, uint64_t value)
{
	struct gt__free_goroutine *entry = (struct gt__free_goroutine *)(uintptr_t)value;

	entry->next = tables->free_goroutines;
	tables->free_goroutines = entry;
}

void gt__tables_goroutine_drop(struct gt__tables *tables, uint64_t g)
{
	const uint64_t *value = gt_map_find(&tables->goroutines, g);

	if (!value)
		return;
	give_goroutine(tables, *value);
	gt_map_remove(&tables->goroutines, g);
}

void gt__tables_goroutines_clear(struct gt__tables *tables)
{
	uint64_t g, value;
	size_t at = 0;

	while (gt_map_next(&tables->goroutines, &at, &g, &value))
		give_goroutine(tables, value);
	gt_map_free(&tables->goroutines);
	gt__objects_free(&tables->objects);
}
