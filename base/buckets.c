/* buckets.c - counters by stack. */
#include "base/buckets.h"

#include <string.h>
#include <sys/mman.h>

#define BYTES_MAX   ((size_t)64 << 20)
#define CHUNK_BYTES ((size_t)256 << 10)
#define SLOTS_FIRST 1024u

static const uint64_t no_tags[GT_BUCKET_TAGS];

static uint64_t mix(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
	return hash ^ hash >> 29;
}

static uint64_t hash_of(const uint64_t *tags, const uintptr_t *pcs, size_t depth)
{
	uint64_t hash = depth;

	for (size_t i = 0; i < GT_BUCKET_TAGS; i++)
		hash = mix(hash, tags[i]);
	for (size_t i = 0; i < depth; i++)
		hash = mix(hash, pcs[i]);
	return hash;
}

static void *map(struct gt_buckets *buckets, size_t bytes)
{
	void *at;

	if (buckets->bytes + bytes > (buckets->bytes_max ? buckets->bytes_max : BYTES_MAX))
		return NULL;
	at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED)
		return NULL;
	buckets->bytes += bytes;
	return at;
}

/* A chunk's first word is the one before it. */
static void *take(struct gt_buckets *buckets, size_t bytes)
{
	char *at;

	bytes = (bytes + 15) & ~(size_t)15;
	if (!buckets->chunks || buckets->chunk_bytes - buckets->chunk_used < bytes) {
		size_t size = bytes + 16 > CHUNK_BYTES ? (bytes + 16 + 4095) & ~(size_t)4095 : CHUNK_BYTES;
		struct {
			void *before;
			size_t bytes;
		} *chunk = map(buckets, size);

		if (!chunk)
			return NULL;
		chunk->before = buckets->chunks;
		chunk->bytes = size;
		buckets->chunks = chunk;
		buckets->chunk_bytes = size;
		buckets->chunk_used = 16;
	}
	at = (char *)buckets->chunks + buckets->chunk_used;
	buckets->chunk_used += bytes;
	return at;
}

static int grow(struct gt_buckets *buckets)
{
	size_t count = buckets->slot_count ? buckets->slot_count * 2 : SLOTS_FIRST;
	struct gt_bucket **slots = map(buckets, count * sizeof(*slots));

	if (!slots)
		return buckets->slots ? 0 : -1; /* longer chains, then */
	for (struct gt_bucket *bucket = buckets->first; bucket; bucket = bucket->next) {
		struct gt_bucket **slot = &slots[bucket->hash & (count - 1)];

		bucket->same = *slot;
		*slot = bucket;
	}
	if (buckets->slots) {
		munmap(buckets->slots, buckets->slot_count * sizeof(*slots));
		buckets->bytes -= buckets->slot_count * sizeof(*slots);
	}
	buckets->slots = slots;
	buckets->slot_count = count;
	return 0;
}

static struct gt_bucket *find(
	const struct gt_buckets *buckets, uint64_t hash, const uint64_t *tags, const uintptr_t *pcs, size_t depth)
{
	if (!buckets->slots)
		return NULL;
	for (struct gt_bucket *bucket = buckets->slots[hash & (buckets->slot_count - 1)]; bucket; bucket = bucket->same)
		if (bucket->hash == hash && bucket->depth == depth &&
			memcmp(bucket->tags, tags, sizeof(bucket->tags)) == 0 &&
			(depth == 0 || memcmp(bucket->pcs, pcs, depth * sizeof(*pcs)) == 0))
			return bucket;
	return NULL;
}

struct gt_bucket *gt_buckets_find(
	const struct gt_buckets *buckets, const uint64_t tags[GT_BUCKET_TAGS], const uintptr_t *pcs, size_t depth)
{
	if (!tags)
		tags = no_tags;
	return find(buckets, hash_of(tags, pcs, depth), tags, pcs, depth);
}

struct gt_bucket *gt_buckets_get(
	struct gt_buckets *buckets, const uint64_t tags[GT_BUCKET_TAGS], const uintptr_t *pcs, size_t depth)
{
	struct gt_bucket *bucket, **slot;
	uint64_t hash;

	if (!tags)
		tags = no_tags;
	hash = hash_of(tags, pcs, depth);
	bucket = find(buckets, hash, tags, pcs, depth);
	if (bucket)
		return bucket;
	if (buckets->count >= buckets->slot_count && grow(buckets) < 0)
		return NULL;
	bucket = take(buckets, sizeof(*bucket) + depth * sizeof(*pcs));
	if (!bucket)
		return NULL;
	bucket->hash = hash;
	memcpy(bucket->tags, tags, sizeof(bucket->tags));
	bucket->depth = (uint32_t)depth;
	if (depth)
		memcpy(bucket->pcs, pcs, depth * sizeof(*pcs));
	slot = &buckets->slots[hash & (buckets->slot_count - 1)];
	bucket->same = *slot;
	*slot = bucket;
	if (buckets->last)
		buckets->last->next = bucket;
	else
		buckets->first = bucket;
	buckets->last = bucket;
	buckets->count++;
	return bucket;
}

void gt_buckets_free(struct gt_buckets *buckets)
{
	size_t bytes_max = buckets->bytes_max;

	while (buckets->chunks) {
		struct {
			void *before;
			size_t bytes;
		} chunk;

		memcpy(&chunk, buckets->chunks, sizeof(chunk));
		munmap(buckets->chunks, chunk.bytes);
		buckets->chunks = chunk.before;
	}
	if (buckets->slots)
		munmap(buckets->slots, buckets->slot_count * sizeof(*buckets->slots));
	*buckets = (struct gt_buckets){.bytes_max = bytes_max};
}
