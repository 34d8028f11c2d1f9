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

int gt__ids_put(struct gt__ids *ids, uint64_t id, void *value)
{
	struct gt__page *page = gt__map_get(&ids->pages, id / GT__PAGE_IDS);

	if (!page) {
		page = calloc(1, sizeof(*page));
		if (!page || gt__map_put(&ids->pages, id / GT__PAGE_IDS, page) < 0) {
			free(page);
			return -ENOMEM;
		}
		page->number = id / GT__PAGE_IDS;
	}
	page->values[id % GT__PAGE_IDS] = value;
	page->count++;
	ids->count++;
	return 0;
}

void gt__ids_remove(struct gt__ids *ids, uint64_t id)
{
	struct gt__page *page = gt__map_get(&ids->pages, id / GT__PAGE_IDS);

	if (!page || !page->values[id % GT__PAGE_IDS])
		return;
	page->values[id % GT__PAGE_IDS] = NULL;
	ids->count--;
	if (--page->count)
		return;
	gt__map_remove(&ids->pages, page->number);
	free(page);
}

/* @at counts places: those of the map of pages, 64 to each. */
void *gt__ids_each(const struct gt__ids *ids, size_t *at)
{
	size_t size = ids->pages.slots ? (size_t)GT__PAGE_IDS << ids->pages.bits : 0;

	while (*at < size) {
		const struct gt__page *page = ids->pages.slots[*at / GT__PAGE_IDS].value;
		void *value;

		if (!page) {
			*at += GT__PAGE_IDS;
			continue;
		}
		value = page->values[(*at)++ % GT__PAGE_IDS];
		if (value)
			return value;
	}
	return NULL;
}

void gt__ids_free(struct gt__ids *ids)
{
	size_t at = 0;
	void *page;

	while ((page = gt__map_each(&ids->pages, &at)))
		free(page);
	gt__map_free(&ids->pages);
	ids->count = 0;
}
