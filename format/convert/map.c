/* map.c - growth and removal for map.h. */
#include "format/convert/map.h"
#include "base/hash.h"

#include <errno.h>
#include <stdlib.h>

static void place(struct gt__map *map, uint64_t key, void *value)
{
	size_t mask = ((size_t)1 << map->bits) - 1;
	size_t i = gt__map_home(map, key);

	while (map->slots[i].value)
		i = (i + 1) & mask;
	map->slots[i] = (struct gt__map_slot){key, value};
}

static int grow(struct gt__map *map)
{
	struct gt__map bigger = {.bits = map->slots ? map->bits + 1 : 6, .count = map->count, .secret = map->secret};
	size_t size = map->slots ? (size_t)1 << map->bits : 0;

	bigger.slots = calloc((size_t)1 << bigger.bits, sizeof(*bigger.slots));
	if (!bigger.slots)
		return -ENOMEM;
	if (!map->slots)
		bigger.secret = gt_hash_u64(0);
	for (size_t i = 0; i < size; i++)
		if (map->slots[i].value)
			place(&bigger, map->slots[i].key, map->slots[i].value);
	free(map->slots);
	*map = bigger;
	return 0;
}

int gt__map_put(struct gt__map *map, uint64_t key, void *value)
{
	/* At most two thirds full. */
	if (!map->slots || map->count * 3 >= (size_t)2 << map->bits) {
		int ret = grow(map);

		if (ret < 0)
			return ret;
	}
	place(map, key, value);
	map->count++;
	return 0;
}

void gt__map_remove(struct gt__map *map, uint64_t key)
{
	size_t mask, hole, i;

	if (!map->slots)
		return;
	mask = ((size_t)1 << map->bits) - 1;
	for (hole = gt__map_home(map, key); map->slots[hole].value; hole = (hole + 1) & mask)
		if (map->slots[hole].key == key)
			break;
	if (!map->slots[hole].value)
		return;
	for (i = (hole + 1) & mask; map->slots[i].value; i = (i + 1) & mask) {
		/* An entry may move back to the hole unless its home lies behind the hole. */
		size_t home = gt__map_home(map, map->slots[i].key);

		if (((i - home) & mask) >= ((i - hole) & mask)) {
			map->slots[hole] = map->slots[i];
			hole = i;
		}
	}
	map->slots[hole].value = NULL;
	map->count--;
}

void *gt__map_each(const struct gt__map *map, size_t *at)
{
	size_t size = map->slots ? (size_t)1 << map->bits : 0;

	while (*at < size) {
		void *value = map->slots[(*at)++].value;

		if (value)
			return value;
	}
	return NULL;
}

void gt__map_free(struct gt__map *map)
{
	free(map->slots);
	*map = (struct gt__map){0};
}
