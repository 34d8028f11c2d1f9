/*
 * ticks.h - the processor's counter. Freestanding: no call, no global, nothing but general registers.
 */
#ifndef GT_BASE_TICKS_H
#define GT_BASE_TICKS_H

#include <stdint.h>

static inline uint64_t gt__cpu_ticks(void)
{
#if defined(__x86_64__)
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
#elif defined(__aarch64__)
	uint64_t ticks;

	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
	return ticks;
#else
#error "no cycle counter is known for this processor"
#endif
}

#endif
