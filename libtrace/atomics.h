/*
 * atomics.h - additions that are whole against this thread's own signal handlers, and need not be more: nobody else adds.
 */
#ifndef GT_LIBTRACE_ATOMICS_H
#define GT_LIBTRACE_ATOMICS_H

#include <stdatomic.h>
#include <stdint.h>

/* One instruction, not locked. Gives the value before. */
static inline uint64_t gt__xadd(_Atomic uint64_t *at, uint64_t value)
{
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
	__asm__ volatile("xaddq %0, %1" : "+r"(value), "+m"(*at) : : "memory", "cc");
	return value;
#else
	return atomic_fetch_add_explicit(at, value, memory_order_relaxed);
#endif
}

/* What was stored before is visible to whoever sees the sum. */
static inline void gt__add_release(_Atomic uint64_t *at, uint64_t value)
{
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
	__asm__ volatile("addq %1, %0" : "+m"(*at) : "ri"(value) : "memory", "cc");
#else
	atomic_fetch_add_explicit(at, value, memory_order_release);
#endif
}

#endif
