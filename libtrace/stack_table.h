/*
 * stack_table.h - puts a stack that is seen for the first time into the shared memory's table; for the library's hooks and for the
 * injected ones: no libc, no lock, no unbounded loop.
 */
#ifndef GT_LIBTRACE_STACK_TABLE_H
#define GT_LIBTRACE_STACK_TABLE_H

#include "libtrace/shm.h"

/* As hooks of Go hash (agent/blob/offsets.h): step by step over the frames, then the end. */
#define GT_STACK_HASH_SEED 0x2545f491u
static inline uint64_t gt_stack_hash_step(uint64_t hash, uint32_t frame)
{
	return (hash + frame) * 0x4f6cdd1d;
}

static inline uint64_t gt_stack_hash_end(uint64_t hash)
{
	return ((hash ^ hash >> 32) & ~3ull) |
	       2; /* neither 0, free, nor 1, slot 0's; 3: one of the set alloc, less deep */
}

/* Where a stack's slot is looked for first: the hash's two lowest bits are the same for all. */
static inline uint32_t gt_stack_home(uint64_t hash)
{
	return (uint32_t)hash >> 2;
}

/*
 * The slot of the stack with this hash (neither 0 nor 1); 0 when there is no room, and that is counted. The slot is claimed
 * first, its frames follow: another thread that meets the same stack meanwhile uses the id.
 */
static inline uint32_t gt__stack_store(struct gt_shm *shm, uint64_t hash, const uint32_t *frames, uint32_t count)
{
	struct gt_stack_slot *slots = (struct gt_stack_slot *)(void *)((char *)shm + shm->stacks_offset);
	uint32_t *arena = (uint32_t *)(void *)((char *)shm + shm->arena_offset);
	uint32_t mask = shm->stack_slot_count - 1;
	uint32_t at = gt_stack_home(hash) & mask;
	uint32_t probes;
	uint64_t first;

	if (atomic_load_explicit(&shm->arena_used, memory_order_relaxed) + GT_STACK_FRAMES_MAX + 1 > shm->arena_words)
		goto lost;
	for (probes = 0; probes < GT_STACK_PROBES_MAX; probes++, at = (at + 1) & mask) {
		uint64_t free = 0;

		if (atomic_compare_exchange_strong_explicit(
			    &slots[at].hash, &free, hash, memory_order_relaxed, memory_order_relaxed))
			break;
		if (free == hash)
			return at;
	}
	if (probes == GT_STACK_PROBES_MAX)
		goto lost;
	first = atomic_fetch_add_explicit(&shm->arena_used, count + 1, memory_order_relaxed);
	if (first + count + 1 > shm->arena_words)
		goto lost; /* the slot stays without frames: several threads reached the arena's end at once */
	__atomic_store_n(&arena[first], count, __ATOMIC_RELAXED);
	for (uint32_t i = 0; i < count; i++)
		__atomic_store_n(&arena[first + 1 + i], frames[i], __ATOMIC_RELAXED);
	atomic_store_explicit(&slots[at].arena, (uint32_t)first, memory_order_release); /* [stack] */
	return at;
lost:
	atomic_fetch_add_explicit(&shm->stacks_lost, 1, memory_order_relaxed);
	return 0;
}

#endif
