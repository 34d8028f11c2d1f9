/*
 * idmap.h - 64-bit ids to indexes: open addressing, linear probing, no tombstones.
 *
 * The ids come from hostile files, so the hash takes a seed that differs from process to process (the kernel's
 * AT_RANDOM): nobody can choose ids that collide. Nothing iterates over the map, so the seed never shows.
 */
#ifndef GT_BASE_IDMAP_H
#define GT_BASE_IDMAP_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#define GT_IDMAP_NONE UINT32_MAX

struct gt_idmap_slot {
	uint64_t id;
	uint32_t index; /* GT_IDMAP_NONE: free */
};

struct gt_idmap {
	struct gt_idmap_slot *slots;
	size_t mask; /* slots - 1; 0 with slots NULL: empty */
	size_t count;
	uint64_t seed;
};

static inline size_t gt_idmap_home(const struct gt_idmap *map, uint64_t id)
{
	uint64_t x = (id ^ map->seed) * 0x9e3779b97f4a7c15ull;

	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ull;
	return (size_t)(x >> 29) & map->mask;
}

static inline uint32_t gt_idmap_get(const struct gt_idmap *map, uint64_t id)
{
	if (!map->slots)
		return GT_IDMAP_NONE;
	for (size_t at = gt_idmap_home(map, id);; at = (at + 1) & map->mask) {
		const struct gt_idmap_slot *slot = &map->slots[at];

		if (slot->index == GT_IDMAP_NONE || slot->id == id)
			return slot->index;
	}
}

static inline void gt_idmap_free(struct gt_idmap *map)
{
	free(map->slots);
	memset(map, 0, sizeof(*map));
}

static inline void gt_idmap_place(struct gt_idmap *map, uint64_t id, uint32_t index)
{
	size_t at = gt_idmap_home(map, id);

	while (map->slots[at].index != GT_IDMAP_NONE)
		at = (at + 1) & map->mask;
	map->slots[at].id = id;
	map->slots[at].index = index;
}

static inline int gt_idmap_grow(struct gt_idmap *map)
{
	size_t count_old = map->slots ? map->mask + 1 : 0;
	size_t count_new = count_old ? count_old * 2 : 64;
	struct gt_idmap_slot *old = map->slots;
	struct gt_idmap_slot *slots = malloc(count_new * sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	if (!old) {
		const void *random = (const void *)getauxval(AT_RANDOM);

		if (random)
			memcpy(&map->seed, random, sizeof(map->seed));
	}
	for (size_t i = 0; i < count_new; i++)
		slots[i].index = GT_IDMAP_NONE;
	map->slots = slots;
	map->mask = count_new - 1;
	for (size_t i = 0; i < count_old; i++)
		if (old[i].index != GT_IDMAP_NONE)
			gt_idmap_place(map, old[i].id, old[i].index);
	free(old);
	return 0;
}

/* @id must not be in the map. */
static inline int gt_idmap_put(struct gt_idmap *map, uint64_t id, uint32_t index)
{
	if (!map->slots || (map->count + 1) * 3 > (map->mask + 1) * 2) {
		int ret = gt_idmap_grow(map);

		if (ret < 0)
			return ret;
	}
	gt_idmap_place(map, id, index);
	map->count++;
	return 0;
}

static inline void gt_idmap_remove(struct gt_idmap *map, uint64_t id)
{
	size_t hole, at;

	if (!map->slots)
		return;
	hole = gt_idmap_home(map, id);
	while (map->slots[hole].index != GT_IDMAP_NONE && map->slots[hole].id != id)
		hole = (hole + 1) & map->mask;
	if (map->slots[hole].index == GT_IDMAP_NONE)
		return;
	/* Whatever would no longer be found behind the hole moves into it. */
	for (at = (hole + 1) & map->mask; map->slots[at].index != GT_IDMAP_NONE; at = (at + 1) & map->mask) {
		size_t home = gt_idmap_home(map, map->slots[at].id);

		if (((at - home) & map->mask) >= ((at - hole) & map->mask)) {
			map->slots[hole] = map->slots[at];
			hole = at;
		}
	}
	map->slots[hole].index = GT_IDMAP_NONE;
	map->count--;
}

#endif
