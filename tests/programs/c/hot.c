/* hot.c - a shared library: hot(ns) burns so much CPU time, in a function that is named by -DINNER=NAME. */
#include <stdint.h>
#include <time.h>

static int64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return now.tv_sec * 1000000000ll + now.tv_nsec;
}

__attribute__((noinline)) uint64_t INNER(uint64_t x)
{
	for (int i = 0; i < 100000; i++) {
		x = x * 31 + 7;
		__asm__ volatile("" : "+r"(x));
	}
	return x;
}

uint64_t hot(int64_t ns)
{
	uint64_t x = 1;

	for (int64_t end = cpu_ns() + ns; cpu_ns() < end;)
		x = INNER(x);
	return x;
}
