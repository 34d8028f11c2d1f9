/*
 * map.h - numbers to pointers: base/hash.h's map with the look-up inline, as every event makes three to five of them.
 *
 * Places are chosen with a secret of the process, so that hostile ids cannot pile up. Key 0 is a key like any other. Removing keeps runs of probes whole by moving entries back, so a map in which
 * a million goroutines come and go stays as small as the most that lived at once.
 */
#ifndef GT_FORMAT_MAP_H
#define GT_FORMAT_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gt__map_slot {
	uint64_t key;
	void *value; /* NULL: free */
};

struct gt__map {
	struct gt__map_slot *slots; /* NULL until the first put */
	size_t count;
	unsigned int bits; /* log2 of the number of slots */
	uint64_t secret;   /* set by the first put */
};

static inline size_t gt__map_home(const struct gt__map *map, uint64_t key)
{
	uint64_t mixed = (key ^ map->secret) * UINT64_C(0xff51afd7ed558ccd);

	return (size_t)((mixed ^ mixed >> 32) * UINT64_C(0x9e3779b97f4a7c15) >> (64 - map->bits));
}

static inline void *gt__map_get(const struct gt__map *map, uint64_t key)
{
	size_t mask, i;

	if (!map->slots)
		return NULL;
	mask = ((size_t)1 << map->bits) - 1;
	for (i = gt__map_home(map, key); map->slots[i].value; i = (i + 1) & mask)
		if (map->slots[i].key == key)
			return map->slots[i].value;
	return NULL;
}

/* @value is not NULL, @key is not in the map. 0 or -ENOMEM. */
int gt__map_put(struct gt__map *map, uint64_t key, void *value);
void gt__map_remove(struct gt__map *map, uint64_t key);
/* @at starts at 0; NULL at the end. Nothing may be put or removed meanwhile. */
void *gt__map_each(const struct gt__map *map, size_t *at);
void gt__map_free(struct gt__map *map);

/*
 * Ids that are given one after the other, goroutines': pages of 64 of them by a map of pages. Of 100,000 goroutines the pages' places
 * stay in the cache, where a map of all would miss with every event. An id that is alone on its page costs 0.5 KiB.
 */
#define GT__PAGE_IDS 64u

struct gt__page {
	uint64_t number; /* id / GT__PAGE_IDS */
	size_t count;
	void *values[GT__PAGE_IDS];
};

struct gt__ids {
	struct gt__map pages;
	size_t count;
};

static inline void *gt__ids_get(const struct gt__ids *ids, uint64_t id)
{
	const struct gt__page *page = gt__map_get(&ids->pages, id / GT__PAGE_IDS);

	return page ? page->values[id % GT__PAGE_IDS] : NULL;
}

/* As gt__map_put and so on. The pages come in no order, the ids of one in theirs. */
int gt__ids_put(struct gt__ids *ids, uint64_t id, void *value);
void gt__ids_remove(struct gt__ids *ids, uint64_t id);
void *gt__ids_each(const struct gt__ids *ids, size_t *at);
void gt__ids_free(struct gt__ids *ids);

#endif
