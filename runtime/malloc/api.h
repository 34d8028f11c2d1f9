/*
 * api.h - between libgtrace_malloc and a program that uses it: looked up by name, because the library may be preloaded.
 */
#ifndef GT_RUNTIME_MALLOC_API_H
#define GT_RUNTIME_MALLOC_API_H

#include "base/buckets.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GT_MALLOC_API_NAME    "gt__malloc_api"
#define GT_MALLOC_API_VERSION 1u

struct gt_malloc_totals {
	uint64_t allocs, frees;           /* calls; a realloc is one of each */
	uint64_t alloc_bytes, free_bytes; /* usable sizes */
};

/* What a runtime gives: all may be NULL. @sampled and @freed are called with no lock held, on the thread that does it; they must
 * not allocate. */
struct gt_malloc_hooks {
	/* Where frames of a stack with @sp may lie; false: the thread's own stack. */
	bool (*bounds)(uintptr_t sp, uintptr_t *low, uintptr_t *high);
	void (*sampled)(const void *at, uint64_t size, uint64_t live_bytes);
	void (*freed)(const void *at, uint64_t size, uint64_t live_bytes); /* one of those that were sampled */
};

struct gt_malloc_api {
	uint32_t version;
	uint32_t hooks_bytes; /* sizeof(struct gt_malloc_hooks) */
	/* The former rate; @bytes < 0: only that. */
	int64_t (*rate)(int64_t bytes);
	void (*totals)(struct gt_malloc_totals *totals);
	/* Adds what was sampled, unscaled: tags[0] the size of one object, or the least of its class; values: objects and bytes
	 * allocated, objects and bytes live. The number of samples for which there was no room. */
	uint64_t (*copy)(struct gt_buckets *into);
	void (*hooks)(const struct gt_malloc_hooks *hooks);
};

#endif
