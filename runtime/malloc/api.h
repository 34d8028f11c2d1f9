/*
 * api.h - between libgtrace_malloc and a program that uses it: looked up by name, because the library may be preloaded.
 */
#ifndef GT_RUNTIME_MALLOC_API_H
#define GT_RUNTIME_MALLOC_API_H

#include "base/buckets.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GT_MALLOC_API_NAME    "gt__malloc_api"
#define GT_MALLOC_API_VERSION 1u

struct gt_malloc_totals {
	uint64_t allocs, frees;           /* calls; a realloc is one of each */
	uint64_t alloc_bytes, free_bytes; /* usable sizes */
};

/* What is told to a trace: one allocation or one free. */
struct gt_malloc_event {
	const void *at;
	uint64_t size;
	uint64_t weight; /* of an allocation: the bytes that it stands for */
	bool freed;
	bool tell;    /* it itself; false: it was told already, as one of all */
	bool sampled; /* the numbers below are there */
	uint64_t live_bytes, live_objects;
	uintptr_t pc, frame; /* of who allocates: the return address, the frame pointer */
};

/* What a runtime gives; all may be NULL. @event is called with no lock held, on the thread that does it; it must not allocate. */
struct gt_malloc_hooks {
	/* Where frames of a stack with @sp may lie; false: the thread's own stack. */
	bool (*bounds)(uintptr_t sp, uintptr_t *low, uintptr_t *high);
	void (*event)(const struct gt_malloc_event *event); /* of what was sampled; of all while **@gate has @every */
	const _Atomic uint32_t *const *gate;
	uint32_t every;
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
