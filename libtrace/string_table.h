/*
 * string_table.h - puts a text into the shared memory's table; for the library's marks and for injected hooks: no libc, no
 * lock, no unbounded loop.
 */
#ifndef GT_LIBTRACE_STRING_TABLE_H
#define GT_LIBTRACE_STRING_TABLE_H

#include "libtrace/shm.h"

#include <stddef.h>

static inline uint64_t gt__string_hash(const char *text, size_t size)
{
	uint64_t hash = 0xcbf29ce484222325ull;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ (uint8_t)text[i]) * 0x100000001b3ull;
	hash ^= hash >> 32;
	return hash ? hash : 1;
}

static inline uint32_t gt__string_copy(struct gt_shm *shm, struct gt_string_slot *slot, const char *text, size_t size)
{
	uint64_t at = atomic_fetch_add_explicit(&shm->strings_used, size, memory_order_relaxed);
	uint8_t *arena = (uint8_t *)shm + shm->strings_offset + shm->string_slot_count * sizeof(struct gt_string_slot);

	if (at + size > shm->string_bytes)
		return 0;
	for (size_t i = 0; i < size; i++)
		arena[at + i] = (uint8_t)text[i];
	atomic_store_explicit(&slot->length, (uint32_t)size, memory_order_relaxed);
	atomic_store_explicit(&slot->at, (uint32_t)at, memory_order_release); /* [string] */
	return (uint32_t)at;
}

/* The text's id; 0 when it is empty, or there is no room: that is counted. At most GT_STRING_BYTES_MAX of it are kept. */
static inline uint32_t gt__string_store(struct gt_shm *shm, const char *text, size_t size)
{
	struct gt_string_slot *slots = (struct gt_string_slot *)(void *)((uint8_t *)shm + shm->strings_offset);
	uint32_t mask = shm->string_slot_count - 1;
	uint64_t hash;

	if (size == 0)
		return 0;
	if (size > GT_STRING_BYTES_MAX)
		size = GT_STRING_BYTES_MAX;
	hash = gt__string_hash(text, size);
	for (uint32_t probe = 0; probe < GT_STRING_PROBES_MAX && shm->string_slot_count; probe++) {
		uint32_t id = ((uint32_t)(hash >> 20) + probe) & mask;
		uint64_t seen;

		if (id == 0)
			continue; /* 0 is no id */
		seen = atomic_load_explicit(&slots[id].hash, memory_order_relaxed);
		if (seen == hash)
			return id;
		if (seen != 0)
			continue;
		/* A full arena takes no slot: the texts that are there keep theirs. */
		if (atomic_load_explicit(&shm->strings_used, memory_order_relaxed) + size > shm->string_bytes)
			break;
		if (atomic_compare_exchange_strong_explicit(
			    &slots[id].hash, &seen, hash, memory_order_relaxed, memory_order_relaxed)) {
			if (gt__string_copy(shm, &slots[id], text, size))
				return id;
			break;
		}
		if (seen == hash)
			return id;
	}
	atomic_fetch_add_explicit(&shm->strings_lost, 1, memory_order_relaxed);
	return 0;
}

#endif
