/* hash.c - linear probing; at most 3/4 full for numbers, 1/2 for strings; removal shifts back. */
#include "base/hash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define MAP_CAPACITY_MIN     16
#define STRINGS_CAPACITY_MIN 64
#define CHUNK_BYTES          16384

static uint64_t secrets[2];

/* N.B. before main, so that no reader of the secrets can run beside it. */
__attribute__((constructor)) static void make_secrets(void)
{
	if (getrandom(secrets, sizeof(secrets), GRND_NONBLOCK) != sizeof(secrets)) {
		secrets[0] ^= (uint64_t)(uintptr_t)&secrets;
		secrets[1] ^= (uint64_t)(uintptr_t)__builtin_frame_address(0);
	}
	secrets[0] |= 1;
	secrets[1] ^= 0x9e3779b97f4a7c15;
}

static uint64_t mix(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t gt_hash_u64(uint64_t value)
{
	return mix(value ^ secrets[1], secrets[0] ^ 0xd6e8feb86659fd93);
}

uint64_t gt_hash_bytes(const void *bytes, size_t size)
{
	const uint8_t *at = bytes;
	uint64_t hash = secrets[0] ^ size;
	uint64_t word;

	for (; size >= 8; size -= 8, at += 8) {
		memcpy(&word, at, 8);
		hash = mix(hash ^ word, secrets[1] ^ 0xa0761d6478bd642f);
	}
	word = 0;
	if (size)
		memcpy(&word, at, size);
	return mix(hash ^ word, secrets[0] ^ 0xe7037ed1a0b428db);
}

/* ---- numbers ---- */

void gt_map_free(struct gt_map *map)
{
	free(map->slots);
	memset(map, 0, sizeof(*map));
}

/* The slot of @key (not 0), or the free one where it would stand. There is always a free one. */
static struct gt_map_slot *map_slot(const struct gt_map *map, uint64_t key)
{
	size_t mask = map->capacity - 1;
	size_t at = gt_hash_u64(key) & mask;

	while (map->slots[at].key && map->slots[at].key != key)
		at = (at + 1) & mask;
	return &map->slots[at];
}

uint64_t *gt_map_find(const struct gt_map *map, uint64_t key)
{
	struct gt_map_slot *slot;

	if (!key)
		return map->has_zero ? (uint64_t *)&map->zero.value : NULL;
	if (!map->capacity)
		return NULL;
	slot = map_slot(map, key);
	return slot->key ? &slot->value : NULL;
}

void gt_map_expect(const struct gt_map *map, uint64_t key)
{
	if (map->capacity)
		__builtin_prefetch(&map->slots[gt_hash_u64(key) & (map->capacity - 1)]);
}

static int map_grow(struct gt_map *map)
{
	struct gt_map bigger = *map;

	bigger.capacity = map->capacity ? map->capacity * 2 : MAP_CAPACITY_MIN;
	bigger.slots = calloc(bigger.capacity, sizeof(*bigger.slots));
	if (!bigger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < map->capacity; i++) {
		if (map->slots[i].key)
			*map_slot(&bigger, map->slots[i].key) = map->slots[i];
	}
	free(map->slots);
	*map = bigger;
	return 0;
}

int gt_map_put(struct gt_map *map, uint64_t key, uint64_t value)
{
	struct gt_map_slot *slot;
	bool added;

	if (!key) {
		added = !map->has_zero;
		map->has_zero = true;
		map->zero.value = value;
		map->count += added;
		return added;
	}
	if ((map->count + 1) * 4 > map->capacity * 3) {
		int ret = map_grow(map);

		if (ret < 0)
			return ret;
	}
	slot = map_slot(map, key);
	added = !slot->key;
	*slot = (struct gt_map_slot){key, value};
	map->count += added;
	return added;
}

bool gt_map_remove(struct gt_map *map, uint64_t key)
{
	size_t mask = map->capacity - 1;
	size_t hole, at;

	if (!key) {
		bool was = map->has_zero;

		map->has_zero = false;
		map->count -= was;
		return was;
	}
	if (!map->capacity)
		return false;
	hole = (size_t)(map_slot(map, key) - map->slots);
	if (!map->slots[hole].key)
		return false;
	/* What stands behind the hole moves into it unless its own place lies between the two. */
	for (at = (hole + 1) & mask; map->slots[at].key; at = (at + 1) & mask) {
		size_t home = gt_hash_u64(map->slots[at].key) & mask;

		if (((at - home) & mask) >= ((at - hole) & mask)) {
			map->slots[hole] = map->slots[at];
			hole = at;
		}
	}
	map->slots[hole].key = 0;
	map->count--;
	return true;
}

bool gt_map_next(const struct gt_map *map, size_t *at, uint64_t *key, uint64_t *value)
{
	for (; *at < map->capacity; ++*at) {
		if (map->slots[*at].key) {
			*key = map->slots[*at].key;
			*value = map->slots[*at].value;
			++*at;
			return true;
		}
	}
	if (*at == map->capacity && map->has_zero) {
		*key = 0;
		*value = map->zero.value;
		++*at;
		return true;
	}
	return false;
}

/* ---- strings ---- */

struct gt_strings_entry {
	const char *bytes;
	size_t size;
	uint64_t hash;
};

struct gt_strings_chunk {
	struct gt_strings_chunk *next;
	size_t used;
	size_t size;
	char bytes[];
};

void gt_strings_free(struct gt_strings *strings)
{
	size_t bytes_max = strings->bytes_max;

	while (strings->chunks) {
		struct gt_strings_chunk *next = strings->chunks->next;

		free(strings->chunks);
		strings->chunks = next;
	}
	free(strings->entries);
	free(strings->slots);
	memset(strings, 0, sizeof(*strings));
	strings->bytes_max = bytes_max;
}

/* The slot that holds the id of these bytes, or the free one where it would stand. */
static uint64_t *strings_slot(const struct gt_strings *strings, const void *bytes, size_t size, uint64_t hash)
{
	size_t mask = strings->capacity - 1;
	size_t at = hash & mask;

	for (; strings->slots[at]; at = (at + 1) & mask) {
		const struct gt_strings_entry *entry = &strings->entries[strings->slots[at] - 1];

		if (entry->hash == hash && entry->size == size && !memcmp(entry->bytes, bytes, size))
			break;
	}
	return &strings->slots[at];
}

static bool strings_may_take(const struct gt_strings *strings, size_t more)
{
	return !strings->bytes_max ||
	       (strings->bytes <= strings->bytes_max && more <= strings->bytes_max - strings->bytes);
}

/* Room for one more id in both tables. */
static int strings_grow(struct gt_strings *strings)
{
	if (strings->count == strings->entries_max) {
		uint64_t most = strings->entries_max ? strings->entries_max * 2 : STRINGS_CAPACITY_MIN / 2;
		size_t more = (most - strings->entries_max) * sizeof(*strings->entries);
		struct gt_strings_entry *entries;

		if (!strings_may_take(strings, more))
			return -ENOSPC;
		entries = realloc(strings->entries, most * sizeof(*entries));
		if (!entries)
			return -ENOMEM;
		strings->entries = entries;
		strings->entries_max = most;
		strings->bytes += more;
	}
	if ((strings->count + 1) * 2 > strings->capacity) {
		size_t capacity = strings->capacity ? strings->capacity * 2 : STRINGS_CAPACITY_MIN;
		size_t more = (capacity - strings->capacity) * sizeof(*strings->slots);
		uint64_t *slots;

		if (!strings_may_take(strings, more))
			return -ENOSPC;
		slots = calloc(capacity, sizeof(*slots));
		if (!slots)
			return -ENOMEM;
		for (uint64_t id = 1; id <= strings->count; id++) {
			size_t at = strings->entries[id - 1].hash & (capacity - 1);

			while (slots[at])
				at = (at + 1) & (capacity - 1);
			slots[at] = id;
		}
		free(strings->slots);
		strings->slots = slots;
		strings->capacity = capacity;
		strings->bytes += more;
	}
	return 0;
}

static int strings_copy(struct gt_strings *strings, const void *bytes, size_t size, const char **out)
{
	struct gt_strings_chunk *chunk = strings->chunks;
	char *copy;

	if (!chunk || chunk->size - chunk->used <= size) {
		size_t body = size < CHUNK_BYTES / 4 ? CHUNK_BYTES - sizeof(*chunk) : size + 1;
		size_t more = sizeof(*chunk) + body;

		if (size > SIZE_MAX / 2 || !strings_may_take(strings, more))
			return -ENOSPC;
		chunk = malloc(more);
		if (!chunk)
			return -ENOMEM;
		chunk->used = 0;
		chunk->size = body;
		strings->bytes += more;
		/* A long string's own chunk goes behind the one that still has room. */
		if (strings->chunks && size >= CHUNK_BYTES / 4) {
			chunk->next = strings->chunks->next;
			strings->chunks->next = chunk;
		} else {
			chunk->next = strings->chunks;
			strings->chunks = chunk;
		}
	}
	copy = chunk->bytes + chunk->used;
	memcpy(copy, bytes, size);
	copy[size] = '\0';
	chunk->used += size + 1;
	*out = copy;
	return 0;
}

int gt_strings_intern(struct gt_strings *strings, const void *bytes, size_t size, uint64_t *id)
{
	uint64_t hash;
	struct gt_strings_entry entry;
	int ret;

	if (!size) {
		*id = 0;
		return 0;
	}
	hash = gt_hash_bytes(bytes, size);
	if (strings->capacity) {
		*id = *strings_slot(strings, bytes, size, hash);
		if (*id)
			return 0;
	}
	ret = strings_grow(strings);
	if (ret < 0)
		return ret;
	entry.hash = hash;
	entry.size = size;
	ret = strings_copy(strings, bytes, size, &entry.bytes);
	if (ret < 0)
		return ret;
	strings->entries[strings->count] = entry;
	*id = ++strings->count;
	*strings_slot(strings, bytes, size, hash) = *id;
	return 1;
}

uint64_t gt_strings_find(const struct gt_strings *strings, const void *bytes, size_t size)
{
	if (!size || !strings->capacity)
		return 0;
	return *strings_slot(strings, bytes, size, gt_hash_bytes(bytes, size));
}

const char *gt_strings_get(const struct gt_strings *strings, uint64_t id, size_t *size)
{
	if (!id || id > strings->count) {
		if (size)
			*size = 0;
		return id ? NULL : "";
	}
	if (size)
		*size = strings->entries[id - 1].size;
	return strings->entries[id - 1].bytes;
}
