/* clock.c - which clock, how fast it is, and what time it is on both. */
#include "base/clock.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#define PAIR_READINGS 32
#define RATE_NS       5000000

enum gt_clock_source gt__clock_source;

static enum gt_clock_source look(void)
{
#if defined(__x86_64__)
	unsigned int a, b, c, d;

	if (__get_cpuid(0x80000007, &a, &b, &c, &d) && (d & 1u << 8))
		return GT_CLOCK_CPU;
	return GT_CLOCK_MONOTONIC;
#else
	return GT_CLOCK_CPU; /* the generic timer runs at one rate on all cores by definition */
#endif
}

__attribute__((constructor(101))) static void init_early(void)
{
	gt_clock_init();
}

enum gt_clock_source gt_clock_init(void)
{
	if (gt__clock_source == GT_CLOCK_UNKNOWN)
		gt__clock_source = look();
	return gt__clock_source;
}

struct gt_clock_pair gt_clock_pair(void)
{
	struct gt_clock_pair best = {.error_ticks = UINT64_MAX};

	for (int i = 0; i < PAIR_READINGS; i++) {
		uint64_t before = gt_ticks();
		int64_t ns = gt_monotonic_ns();
		uint64_t after = gt_ticks();

		if ((after - before) / 2 >= best.error_ticks)
			continue;
		best.error_ticks = (after - before) / 2;
		best.ticks = before + (after - before) / 2;
		best.monotonic_ns = ns;
	}
	return best;
}

uint64_t gt_clock_rate(void)
{
	static _Atomic uint64_t known;
	uint64_t rate = known;
	struct gt_clock_pair from, to;
	struct timespec nap = {.tv_nsec = RATE_NS};

	if (rate)
		return rate;
	if (gt_clock_init() == GT_CLOCK_MONOTONIC) {
		known = 1000000000;
		return 1000000000;
	}
	from = gt_clock_pair();
	do {
		nanosleep(&nap, NULL);
		to = gt_clock_pair();
		rate = gt_clock_rate_between(&from, &to);
	} while (!rate);
	known = rate;
	return rate;
}

#if defined(__x86_64__)
/* The kernel takes the TSC off its list once it saw it drift. No list (no /sys) is no evidence. */
static bool kernel_distrusts_tsc(void)
{
	char list[256];
	ssize_t size;
	int fd = open("/sys/devices/system/clocksource/clocksource0/available_clocksource", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	size = read(fd, list, sizeof(list) - 1);
	close(fd);
	if (size <= 0)
		return false;
	list[size] = '\0';
	return strstr(list, "tsc") == NULL;
}
#endif

const char *gt_clock_text(void)
{
#if defined(__x86_64__)
	if (gt_clock_init() == GT_CLOCK_MONOTONIC)
		return "clock_gettime (the processor has no invariant tsc)";
	return kernel_distrusts_tsc() ? "tsc (invariant; the kernel marks it unstable)" : "tsc (invariant)";
#else
	return "cntvct";
#endif
}
