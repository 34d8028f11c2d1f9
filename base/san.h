/*
 * san.h - what sanitizers and Valgrind must know of stacks that a program makes, switches and gives back itself.
 *
 * Called at three places: where a stack is made, around a switch, and where a stack dies. Nothing of it is left in a
 * build without a sanitizer, but for Valgrind's registration when its header is there (a no-op outside of Valgrind).
 */
#ifndef GT_BASE_SAN_H
#define GT_BASE_SAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define GT_SAN_ADDRESS 1
#endif
#if __has_feature(thread_sanitizer)
#define GT_SAN_THREAD 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define GT_SAN_ADDRESS 1
#endif
#if defined(__SANITIZE_THREAD__)
#define GT_SAN_THREAD 1
#endif

#ifdef GT_SAN_ADDRESS
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif
#ifdef GT_SAN_THREAD
#include <sanitizer/tsan_interface.h>
#endif

#if defined(__has_include) && !defined(GT_SAN_ADDRESS) && !defined(GT_SAN_THREAD)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#define GT_SAN_VALGRIND 1
#endif
#endif

/* A stack, as the tools see it. */
struct gt_san_stack {
	void *fiber;        /* TSan's */
	void *frame;        /* ASan's, while switched away */
	const void *bottom; /* the lowest address */
	size_t bytes;
	unsigned int valgrind;
};

/* Valgrind complains of system calls that it does not know. */
static inline bool gt_san_in_valgrind(void)
{
#ifdef GT_SAN_VALGRIND
	return RUNNING_ON_VALGRIND;
#else
	return false;
#endif
}

/* A new stack, or one that is used again. */
static inline void gt_san_stack_made(struct gt_san_stack *stack, const void *bottom, size_t bytes)
{
	stack->bottom = bottom;
	stack->bytes = bytes;
	stack->frame = NULL;
#ifdef GT_SAN_ADDRESS
	__asan_unpoison_memory_region(bottom, bytes);
#endif
#ifdef GT_SAN_THREAD
	stack->fiber = __tsan_create_fiber(0);
#endif
#ifdef GT_SAN_VALGRIND
	if (RUNNING_ON_VALGRIND)
		stack->valgrind = VALGRIND_STACK_REGISTER(bottom, (const char *)bottom + bytes - 1);
#endif
}

/* The calling thread's own stack. */
static inline void gt_san_stack_of_thread(struct gt_san_stack *stack, const void *bottom, size_t bytes)
{
	stack->bottom = bottom;
	stack->bytes = bytes;
	stack->frame = NULL;
#ifdef GT_SAN_THREAD
	stack->fiber = __tsan_get_current_fiber();
#endif
}

/* Nobody runs on it any more. */
static inline void gt_san_stack_dead(struct gt_san_stack *stack)
{
#ifdef GT_SAN_THREAD
	__tsan_destroy_fiber(stack->fiber);
#endif
#ifdef GT_SAN_VALGRIND
	if (RUNNING_ON_VALGRIND)
		VALGRIND_STACK_DEREGISTER(stack->valgrind);
#endif
	(void)stack;
}

/* Immediately before a switch, from a function that is not instrumented for TSan. @dying: @from is never run again. */
static inline __attribute__((always_inline)) void gt_san_switch_before(
	struct gt_san_stack *from, const struct gt_san_stack *to, bool dying)
{
#ifdef GT_SAN_ADDRESS
	__sanitizer_start_switch_fiber(dying ? NULL : &from->frame, to->bottom, to->bytes);
#endif
#ifdef GT_SAN_THREAD
	__tsan_switch_to_fiber(to->fiber, 0);
#endif
	(void)from;
	(void)to;
	(void)dying;
}

/* The first thing on the stack that was switched to. */
static inline __attribute__((always_inline)) void gt_san_switch_after(struct gt_san_stack *to)
{
#ifdef GT_SAN_ADDRESS
	__sanitizer_finish_switch_fiber(to->frame, NULL, NULL);
#endif
	(void)to;
}

/* Memory that holds stacks: what they point to is not lost. */
static inline void gt_san_stack_memory(const void *at, size_t bytes)
{
#ifdef GT_SAN_ADDRESS
	__lsan_register_root_region(at, bytes);
#endif
	(void)at;
	(void)bytes;
}

#if defined(GT_SAN_THREAD)
#define GT_SAN_NO_TSAN __attribute__((no_sanitize("thread")))
#else
#define GT_SAN_NO_TSAN
#endif
/* For code that walks a stack: what it reads may lie in a frame's red zone. */
#ifdef GT_SAN_ADDRESS
#define GT_SAN_NO_ADDRESS __attribute__((no_sanitize("address")))
#else
#define GT_SAN_NO_ADDRESS
#endif

#endif
