/* trace.c - marks of users: tasks, regions, messages; and the table of their texts. */
#include "libtrace/connect.h"

#include <gtrace/gtrace.h>
#include <gtrace/hooks.h>
#include <string.h>

static uint64_t (*current_goroutine)(void);
static _Atomic uint64_t task_next = 1;

GT_API const char *gt_version(void)
{
	return GTRACE_VERSION;
}

GT_API bool gt_tracing(void)
{
	return gt_hooks_on();
}

void gt_hook_current(uint64_t (*current)(void))
{
	current_goroutine = current;
}

uint64_t gt_hook_g(void)
{
	return current_goroutine ? current_goroutine() : 0;
}

static uint64_t hash_text(const char *text, size_t size)
{
	uint64_t hash = 0xcbf29ce484222325ull;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ (uint8_t)text[i]) * 0x100000001b3ull;
	hash ^= hash >> 32;
	return hash ? hash : 1;
}

static uint32_t store_text(struct gt_shm *shm, struct gt_string_slot *slot, const char *text, size_t size)
{
	uint64_t at = atomic_fetch_add_explicit(&shm->strings_used, size, memory_order_relaxed);
	uint8_t *arena = (uint8_t *)shm + shm->strings_offset + shm->string_slot_count * sizeof(struct gt_string_slot);

	if (at + size > shm->string_bytes)
		return 0;
	memcpy(arena + at, text, size);
	atomic_store_explicit(&slot->length, (uint32_t)size, memory_order_relaxed);
	atomic_store_explicit(&slot->at, (uint32_t)at, memory_order_release); /* [string] */
	return (uint32_t)at;
}

uint32_t gt__intern(struct gt_shm *shm, const char *text)
{
	size_t size = text ? strnlen(text, GT_STRING_BYTES_MAX) : 0;
	struct gt_string_slot *slots = (struct gt_string_slot *)((uint8_t *)shm + shm->strings_offset);
	uint32_t mask = shm->string_slot_count - 1;
	uint64_t hash;

	if (size == 0)
		return 0;
	hash = hash_text(text, size);
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
			if (store_text(shm, &slots[id], text, size))
				return id;
			break;
		}
		if (seen == hash)
			return id;
	}
	atomic_fetch_add_explicit(&shm->strings_lost, 1, memory_order_relaxed);
	return 0;
}

static void mark(enum gt_mark_op op, uint64_t task, uint64_t parent, const char *first, const char *second)
{
	struct gt_shm *shm = gt__connected()->shm;
	uint64_t g = gt_hook_g();
	const uint64_t words[5] = {
		(uint64_t)op | (g & GT_G_MASK) << 8, task, parent, gt__intern(shm, first), gt__intern(shm, second)};

	gt__hook_record3(GT_REC_MARK, words);
}

GT_API uint64_t gt_task_begin(const char *name, uint64_t parent)
{
	uint64_t task;

	if (!gt_hooks_on_for(GT_SET_MARKS))
		return 0;
	task = atomic_fetch_add_explicit(&task_next, 1, memory_order_relaxed);
	mark(GT_MARK_TASK_BEGIN, task, parent, name, NULL);
	return task;
}

GT_API void gt_task_end(uint64_t task)
{
	if (gt_hooks_on_for(GT_SET_MARKS))
		mark(GT_MARK_TASK_END, task, 0, NULL, NULL);
}

GT_API void gt_region_begin(uint64_t task, const char *name)
{
	if (gt_hooks_on_for(GT_SET_MARKS))
		mark(GT_MARK_REGION_BEGIN, task, 0, name, NULL);
}

GT_API void gt_region_end(uint64_t task, const char *name)
{
	if (gt_hooks_on_for(GT_SET_MARKS))
		mark(GT_MARK_REGION_END, task, 0, name, NULL);
}

GT_API void gt_log(uint64_t task, const char *key, const char *value)
{
	if (gt_hooks_on_for(GT_SET_MARKS))
		mark(GT_MARK_LOG, task, 0, key, value);
}

GT_API void gt_name(const void *object, const char *name)
{
	if (gt_hooks_on_for(GT_SET_MARKS))
		mark(GT_MARK_NAME, (uint64_t)(uintptr_t)object, 0, name, NULL);
}
