/* test_hash.c - the map and the string table against a plain model of them. */
#include "base/hash.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define KEYS 512

/* Random puts and removes of few keys, so that runs form and break; the model is an array. */
Test(map, agrees_with_an_array_over_random_puts_and_removes)
{
	struct gt_map map = {0};
	uint64_t values[KEYS] = {0};
	bool held[KEYS] = {false};
	size_t count = 0;
	uint32_t dice = 1;

	for (int step = 0; step < 200000; step++) {
		uint64_t key, value;
		uint64_t *found;

		dice = dice * 1664525 + 1013904223;
		key = (dice >> 8) % KEYS;
		value = dice;
		if (dice & 0x80000000) {
			int ret = gt_map_put(&map, key << 32, value);

			cr_assert_eq(ret, !held[key]);
			count += !held[key];
			held[key] = true;
			values[key] = value;
		} else {
			cr_assert_eq(gt_map_remove(&map, key << 32), held[key]);
			count -= held[key];
			held[key] = false;
		}
		cr_assert_eq(map.count, count);
		key = (dice >> 3) % KEYS;
		found = gt_map_find(&map, key << 32);
		cr_assert_eq(found != NULL, held[key]);
		if (found)
			cr_assert_eq(*found, values[key]);
	}
	cr_assert_leq(map.capacity, 2 * KEYS);
	gt_map_free(&map);
}

Test(map, iterates_over_each_key_once_zero_included)
{
	struct gt_map map = {0};
	bool seen[KEYS] = {false};
	size_t at = 0, count = 0;
	uint64_t key, value;

	cr_assert_not(gt_map_next(&map, &at, &key, &value));
	cr_assert_null(gt_map_find(&map, 7));
	cr_assert_not(gt_map_remove(&map, 7));
	for (uint64_t i = 0; i < KEYS; i++)
		cr_assert_eq(gt_map_put(&map, i, ~i), 1);
	at = 0;
	while (gt_map_next(&map, &at, &key, &value)) {
		cr_assert_lt(key, KEYS);
		cr_assert_not(seen[key]);
		cr_assert_eq(value, ~key);
		seen[key] = true;
		count++;
	}
	cr_assert_eq(count, KEYS);
	cr_assert_eq(gt_map_put(&map, UINT64_MAX, 1), 1);
	cr_assert_eq(*gt_map_find(&map, UINT64_MAX), 1);
	gt_map_free(&map);
	cr_assert_eq(map.count, 0);
}

Test(strings, give_the_same_id_for_the_same_bytes_and_keep_their_place)
{
	struct gt_strings strings = {0};
	const char *first;
	uint64_t id;
	size_t size;
	char name[32];

	cr_assert_eq(gt_strings_intern(&strings, "main.main", 9, &id), 1);
	cr_assert_eq(id, 1);
	first = gt_strings_get(&strings, 1, NULL);
	for (int i = 0; i < 5000; i++) {
		int length = snprintf(name, sizeof(name), "function%d", i);

		cr_assert_eq(gt_strings_intern(&strings, name, (size_t)length, &id), 1);
		cr_assert_eq(id, (uint64_t)i + 2);
		cr_assert_eq(gt_strings_intern(&strings, name, (size_t)length, &id), 0);
		cr_assert_eq(id, (uint64_t)i + 2);
	}
	cr_assert_eq(gt_strings_get(&strings, 1, NULL), first);
	cr_assert_str_eq(first, "main.main");
	cr_assert_str_eq(gt_strings_get(&strings, 5001, &size), "function4999");
	cr_assert_eq(size, 12);
	cr_assert_eq(gt_strings_find(&strings, "function7", 9), 9);
	cr_assert_eq(gt_strings_find(&strings, "function", 8), 0);
	cr_assert_null(gt_strings_get(&strings, 5002, NULL));
	gt_strings_free(&strings);
}

Test(strings, hold_empty_long_and_NUL_ridden_ones)
{
	struct gt_strings strings = {0};
	static char big[100000];
	uint64_t id;
	size_t size;

	memset(big, 'x', sizeof(big));
	cr_assert_eq(gt_strings_intern(&strings, "", 0, &id), 0);
	cr_assert_eq(id, 0);
	cr_assert_str_eq(gt_strings_get(&strings, 0, &size), "");
	cr_assert_eq(gt_strings_intern(&strings, "a\0b", 3, &id), 1);
	cr_assert_eq(gt_strings_intern(&strings, "a\0c", 3, &id), 1);
	cr_assert_eq(id, 2);
	cr_assert_eq(gt_strings_intern(&strings, big, sizeof(big), &id), 1);
	cr_assert_eq(gt_strings_intern(&strings, "after", 5, &id), 1);
	cr_assert_eq(gt_strings_find(&strings, big, sizeof(big)), 3);
	cr_assert_eq(gt_strings_get(&strings, 3, NULL)[sizeof(big)], '\0');
	gt_strings_free(&strings);
}

/* What does not fit the limit is refused; what was taken stays, and the limit is kept. */
Test(strings, keep_to_their_limit_of_memory)
{
	struct gt_strings strings = {.bytes_max = 100000};
	uint64_t id;
	char name[32];
	int taken = 0, ret;

	do {
		int length = snprintf(name, sizeof(name), "some.function.%d", taken);

		ret = gt_strings_intern(&strings, name, (size_t)length, &id);
		taken += ret == 1;
	} while (ret == 1);
	cr_assert_eq(ret, -ENOSPC);
	cr_assert_gt(taken, 500);
	cr_assert_leq(strings.bytes, 100000);
	cr_assert_eq(gt_strings_find(&strings, "some.function.17", 16), 18);
	gt_strings_free(&strings);
}
