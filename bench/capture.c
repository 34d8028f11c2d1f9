/*
 * capture.c - the copy of a full ring while its writers run flat out: how long it takes, and what the writers feel of it.
 *
 *   capture [-m MIB] [-w WRITERS] [-s SECONDS]
 *
 * Phases take turns, 200 ms each: writers alone; writers and copies back to back. A writer times each run of 64 records; the figures
 * are quantiles over all runs of a kind of phase. Goals: 64 MiB in 8 ms at most, the writers' p50 unchanged, their p99 1.5 times at most.
 * Each writer needs a CPU of its own, and the copy one more: otherwise the scheduler's turns are what is measured (it says so).
 */
#include "libtrace/connect.h"
#include "libtrace/walk.h"

#include "base/clock.h"

#include <gtrace/hooks.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RUN         64
#define WRITERS_MAX 64
#define BINS        4096
#define COPIES_MAX  100000

static _Atomic int phase; /* 0: alone, 1: with copies, -1: over */

/* Runs by their length: 16 ticks a bin, the last holds all that are longer. */
struct writer {
	pthread_t thread;
	uint64_t bins[2][BINS];
	uint64_t records;
} __attribute__((aligned(256)));
static struct writer writers[WRITERS_MAX];

static void *write_all(void *arg)
{
	struct writer *w = arg;
	uint64_t g = (uint64_t)(w - writers) + 1;
	int now;

	while ((now = atomic_load_explicit(&phase, memory_order_relaxed)) >= 0) {
		uint64_t begin = gt__cpu_ticks(), bin;

		for (int i = 0; i < RUN / 2; i++) {
			gt_hook_run(g, GT_STATE_RUNNABLE, 0);
			gt_hook_yield(g, GT_REASON_UNKNOWN);
		}
		bin = (gt__cpu_ticks() - begin) / 16;
		w->bins[now][bin < BINS ? bin : BINS - 1]++;
		w->records += RUN;
	}
	return NULL;
}

static double quantile(int kind, int count, double q)
{
	uint64_t all = 0, seen = 0;

	for (int i = 0; i < count; i++)
		for (int bin = 0; bin < BINS; bin++)
			all += writers[i].bins[kind][bin];
	for (int bin = 0; bin < BINS; bin++) {
		for (int i = 0; i < count; i++)
			seen += writers[i].bins[kind][bin];
		if ((double)seen >= q * (double)all)
			return (bin + 0.5) * 16 / RUN * 1e9 / (double)gt_clock_rate();
	}
	return 0;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	struct gt_shm_config config = {.mode = GT_MODE_FLIGHT, .m_count = 256, .m_limit = 256};
	int count = 1, seconds = 4, mib = 64, option;
	static double copies[COPIES_MAX];
	struct gt_copy copy = {0};
	struct gt_memory memory;
	struct gt_error err;
	uint64_t records = 0, views = 0, torn = 0;
	size_t taken = 0;

	while ((option = getopt(argc, argv, "m:w:s:")) >= 0) {
		if (option == 'm')
			mib = atoi(optarg);
		else if (option == 'w')
			count = atoi(optarg);
		else if (option == 's')
			seconds = atoi(optarg);
		else
			return 2;
	}
	if (mib < 1 || count < 1 || count > WRITERS_MAX || seconds < 1)
		return 2;
	gt_clock_init();
	config.block_count = (uint32_t)mib * ((1 << 20) / GT_BLOCK_BYTES);
	if (gt_shm_create(&config, &memory, &err) < 0 || gt__connect(&memory) < 0) {
		fprintf(stderr, "capture: %s\n", err.text);
		return 1;
	}
	gt_shm_touch(&memory);
	for (int i = 0; i < count; i++)
		pthread_create(&writers[i].thread, NULL, write_all, &writers[i]);
	usleep(500000); /* until the ring is full */
	gt_copy_take(&memory, &copy, NULL);
	for (int i = 0; i < count; i++)
		memset(writers[i].bins, 0, sizeof(writers[i].bins));
	for (int turn = 0; turn < seconds * 5; turn++) {
		int64_t end = gt_monotonic_ns() + 200000000;

		atomic_store(&phase, turn & 1);
		if (!(turn & 1)) {
			usleep(200000);
			continue;
		}
		while (gt_monotonic_ns() < end && taken < COPIES_MAX) {
			int64_t begin = gt_monotonic_ns();

			gt_copy_take(&memory, &copy, NULL);
			copies[taken++] = (double)(gt_monotonic_ns() - begin) / 1e6;
			views += copy.view_count;
			torn += copy.torn + copy.cut;
		}
	}
	atomic_store(&phase, -1);
	for (int i = 0; i < count; i++) {
		pthread_join(writers[i].thread, NULL);
		records += writers[i].records;
	}
	qsort(copies, taken, sizeof(*copies), by_value);
	printf("%d MiB, %d writers, %.1f million records a second%s\n", mib, count,
		(double)records / ((double)seconds + 0.5) / 1e6,
		sysconf(_SC_NPROCESSORS_ONLN) > count ? ""
						      : "; too few CPUs: turns of the scheduler are in the figures");
	printf("copy: median %.2f ms, best %.2f, p99 %.2f (%zu copies; %.1f %% of the blocks held, %.2f %% overwritten "
	       "meanwhile)\n",
		copies[taken / 2], copies[0], copies[taken * 99 / 100], taken,
		100.0 * (double)views / (double)taken / memory.block_count,
		100.0 * (double)torn / (double)taken / memory.block_count);
	printf("writer, ns a record: alone p50 %.2f p99 %.2f p99.9 %.2f; while copied p50 %.2f p99 %.2f p99.9 %.2f: "
	       "p50 x %.2f, p99 x %.2f\n",
		quantile(0, count, .5), quantile(0, count, .99), quantile(0, count, .999), quantile(1, count, .5),
		quantile(1, count, .99), quantile(1, count, .999), quantile(1, count, .5) / quantile(0, count, .5),
		quantile(1, count, .99) / quantile(0, count, .99));
	return 0;
}
