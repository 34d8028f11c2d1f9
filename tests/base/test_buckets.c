/* test_buckets.c - one bucket a key, whatever grows; a limit that is kept. */
#include "base/buckets.h"

#include <criterion/criterion.h>
#include <string.h>

#define KEYS 20000

static size_t key(uint64_t number, uint64_t tags[GT_BUCKET_TAGS], uintptr_t *pcs)
{
	memset(tags, 0, GT_BUCKET_TAGS * sizeof(*tags));
	tags[number % GT_BUCKET_TAGS] = number / 7;
	for (size_t i = 0; i < number % 5; i++)
		pcs[i] = (uintptr_t)(number * 31 + i);
	return number % 5;
}

Test(buckets, one_a_key)
{
	struct gt_buckets buckets = {0};
	uint64_t tags[GT_BUCKET_TAGS];
	uintptr_t pcs[5];
	int64_t sum = 0;
	size_t count = 0;

	cr_assert_null(gt_buckets_find(&buckets, NULL, NULL, 0));
	for (int round = 0; round < 2; round++)
		for (uint64_t i = 0; i < KEYS; i++) {
			size_t depth = key(i, tags, pcs);
			struct gt_bucket *bucket = gt_buckets_get(&buckets, tags, pcs, depth);

			cr_assert_not_null(bucket);
			cr_assert_eq(gt_buckets_find(&buckets, tags, pcs, depth), bucket);
			bucket->values[0]++;
		}
	for (const struct gt_bucket *bucket = buckets.first; bucket; bucket = bucket->next, count++)
		sum += bucket->values[0];
	cr_assert_eq(count, buckets.count);
	cr_assert_eq(sum, 2 * KEYS);
	cr_assert_eq(gt_buckets_get(&buckets, NULL, NULL, 0), gt_buckets_get(&buckets, NULL, NULL, 0));
	gt_buckets_free(&buckets);
	cr_assert_eq(buckets.bytes, 0);
	cr_assert_not_null(gt_buckets_get(&buckets, NULL, NULL, 0));
	gt_buckets_free(&buckets);
}

Test(buckets, the_limit_is_kept)
{
	struct gt_buckets buckets = {.bytes_max = (size_t)1 << 20};
	struct gt_bucket *first = gt_buckets_get(&buckets, NULL, NULL, 0);
	uintptr_t pcs[128] = {0};
	size_t refused = 0;

	for (uintptr_t i = 1; i < 10000; i++) {
		pcs[0] = i;
		refused += !gt_buckets_get(&buckets, NULL, pcs, 128);
	}
	cr_assert_gt(refused, 0);
	cr_assert_leq(buckets.bytes, buckets.bytes_max);
	cr_assert_eq(gt_buckets_find(&buckets, NULL, NULL, 0), first);
	gt_buckets_free(&buckets);
}
