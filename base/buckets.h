/*
 * buckets.h - counters by stack: what a profile is while it is made.
 *
 * Valid when zeroed. Memory is mapped, never malloc'd, so that a malloc may count itself here; it is bounded, and
 * nothing is given back before _free. No lock: one thread at a time.
 */
#ifndef GT_BASE_BUCKETS_H
#define GT_BASE_BUCKETS_H

#include <stddef.h>
#include <stdint.h>

#define GT_BUCKET_TAGS   4u
#define GT_BUCKET_VALUES 4u

struct gt_bucket {
	struct gt_bucket *next; /* in the order in which they were made */
	struct gt_bucket *same; /* in the same slot */
	uint64_t hash;
	uint64_t tags[GT_BUCKET_TAGS]; /* with the stack they are the key */
	int64_t values[GT_BUCKET_VALUES];
	uint32_t depth;
	uintptr_t pcs[]; /* the innermost first */
};

struct gt_buckets {
	struct gt_bucket *first;
	struct gt_bucket *last;
	struct gt_bucket **slots;
	size_t slot_count;
	size_t count;
	void *chunks;
	size_t chunk_used, chunk_bytes;
	size_t bytes;     /* mapped */
	size_t bytes_max; /* 0: 64 MiB */
};

/* The bucket of this key, made with zeros when it is new. @tags may be NULL: zeros. NULL: there is no more room. */
struct gt_bucket *gt_buckets_get(
	struct gt_buckets *buckets, const uint64_t tags[GT_BUCKET_TAGS], const uintptr_t *pcs, size_t depth);

/* NULL: there is none. */
struct gt_bucket *gt_buckets_find(
	const struct gt_buckets *buckets, const uint64_t tags[GT_BUCKET_TAGS], const uintptr_t *pcs, size_t depth);

void gt_buckets_free(struct gt_buckets *buckets);

#endif
