/*
 * hash.h - a map of numbers and a table of strings, both by open addressing.
 *
 * Both are valid when zeroed and own their memory until _free, which makes them valid and empty again.
 * Places are chosen with a secret of the process, so that hostile keys cannot pile up. Keys, values and
 * sizes are otherwise free: every uint64_t is a key. One thread at a time.
 */
#ifndef GT_BASE_HASH_H
#define GT_BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A good hash of @size bytes, or of a number; differs from process to process. */
uint64_t gt_hash_bytes(const void *bytes, size_t size);
uint64_t gt_hash_u64(uint64_t value);

struct gt_map_slot {
	uint64_t key; /* 0: free. The key 0 has a place of its own */
	uint64_t value;
};

struct gt_map {
	struct gt_map_slot *slots; /* a power of two, or NULL */
	size_t capacity;
	size_t count;            /* keys held */
	struct gt_map_slot zero; /* the key 0's */
	bool has_zero;
};

void gt_map_free(struct gt_map *map);

/* The value's place, or NULL. Valid until the next put or remove. */
uint64_t *gt_map_find(const struct gt_map *map, uint64_t key);
/* It will be asked for soon: the CPU may fetch its place meanwhile. */
void gt_map_expect(const struct gt_map *map, uint64_t key);

/* 1 when @key is new, 0 when its value was replaced, -ENOMEM. */
int gt_map_put(struct gt_map *map, uint64_t key, uint64_t value);

/* Whether it was there. */
bool gt_map_remove(struct gt_map *map, uint64_t key);

/* Iterates in no order: @at starts at 0; false at the end. The map may not change meanwhile. */
bool gt_map_next(const struct gt_map *map, size_t *at, uint64_t *key, uint64_t *value);

struct gt_strings_entry;
struct gt_strings_chunk;

struct gt_strings {
	struct gt_strings_entry *entries; /* by id - 1 */
	uint64_t count;                   /* the greatest id */
	uint64_t entries_max;
	uint64_t *slots; /* ids; 0: free */
	size_t capacity;
	struct gt_strings_chunk *chunks; /* the bytes; never moved */
	size_t bytes;                    /* memory held by all of it */
	size_t bytes_max;                /* the caller's limit on it, 0 = none */
};

void gt_strings_free(struct gt_strings *strings);

/* *id of these bytes (they may hold NULs): 1, 2, 3... in order of appearance; 0 for the empty string.
 * Returns 1 when the string is new, 0 when known, -ENOMEM, or -ENOSPC beyond bytes_max. */
int gt_strings_intern(struct gt_strings *strings, const void *bytes, size_t size, uint64_t *id);

/* As intern, for a string that must be there already: its id, or 0. */
uint64_t gt_strings_find(const struct gt_strings *strings, const void *bytes, size_t size);

/* NUL-ended, at the same place until _free; "" for 0; NULL when there is no such id. @size may be NULL. */
const char *gt_strings_get(const struct gt_strings *strings, uint64_t id, size_t *size);

#endif
