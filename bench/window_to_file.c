/*
 * window_to_file.c - how fast a window's events become a .gtrace file, and how large it is.
 *
 *   window_to_file [-n EVENTS] [-r RUNS] [-l LEVEL] [-s synthetic|real] [DIRECTORY]
 *
 * Two streams. synthetic: 12 kinds, log-normal steps of time, 4096 skewed ids, an argument of 4 random bits and
 * a stack id; what a codec cannot guess. real: what a scheduler does: goroutines that run, block, are woken,
 * enter system calls on 8 Ms. Each is made beforehand; timed is open .. close without the sync.
 * raw16 is what the same events take at 16 bytes each: GB/s of it compares encodings with each other.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "format/wire/writer.h"

#define BATCH 250 /* events in a block of the window */

/* 16 bytes, as a window's record is: what is timed reads its input from memory as a collector does. */
struct step {
	uint64_t ticks;
	uint16_t args[3];
	uint8_t m;
	uint8_t kind;
};

static uint64_t dice = 0x9e3779b97f4a7c15;

static uint64_t roll(void)
{
	dice ^= dice << 13;
	dice ^= dice >> 7;
	dice ^= dice << 17;
	return dice * 0x2545f4914f6cdd1d;
}

static double uniform(void)
{
	return ((double)(roll() >> 11) + 0.5) / 9007199254740992.0;
}

/* Median @median, and 2.3 times more or less at one sigma. */
static uint64_t log_normal(double median)
{
	double normal = sqrt(-2 * log(uniform())) * cos(6.283185307179586 * uniform());

	return (uint64_t)(median * exp(0.85 * normal));
}

static uint64_t skewed(uint64_t count)
{
	double u = uniform();

	return (uint64_t)((double)count * u * u * u);
}

static void make_synthetic(struct step *steps, size_t count)
{
	/* three arguments on average, as in the layout that the goal was measured with */
	static const uint8_t kinds[12] = {GT_EV_GO_RUN, GT_EV_GO_BLOCK, GT_EV_GO_YIELD, GT_EV_GO_READY,
		GT_EV_REGION_BEGIN, GT_EV_REGION_END, GT_EV_GO_STATE, GT_EV_TASK_BEGIN, GT_EV_LOG, GT_EV_GO_SYSCALL,
		GT_EV_GO_SYSEXIT, GT_EV_TASK_END};
	uint64_t ticks = 1000000;

	for (size_t i = 0; i < count; i++) {
		ticks += log_normal(600);
		steps[i] = (struct step){.ticks = ticks,
			.m = (uint8_t)(i / BATCH % 8),
			.kind = kinds[roll() % (sizeof(kinds) / sizeof(*kinds))],
			.args = {skewed(4096), roll() & 15, skewed(100)}};
	}
}

/* 8 Ms with a P each; 2000 goroutines in 40 places of code. Each M runs one, which then blocks, yields, or goes
 * through a system call; what blocks is woken by the one that runs somewhere. */
static void make_real(struct step *steps, size_t count)
{
	enum { MS = 8, GS = 2000 };
	uint64_t ticks[MS];
	uint16_t waiting[GS], ready[GS], g;
	uint64_t waiting_count = 0, ready_head = 0, ready_count = 0;
	size_t at = 0;

	for (int m = 0; m < MS; m++)
		ticks[m] = 1000000;
	for (g = 0; g < GS; g++)
		ready[ready_count++] = (uint16_t)(10 + g * 3);
	while (at < count) {
		uint32_t m = (uint32_t)(at / BATCH % MS);
		uint16_t p = (uint16_t)(m + 1), code;

		for (size_t stop = at + BATCH < count ? at + BATCH : count; at < stop;) {
#define PUT(kind_, median, ...) \
	do { \
		ticks[m] += log_normal(median); \
		if (at < stop) \
			steps[at++] = (struct step){ \
				.ticks = ticks[m], .m = (uint8_t)m, .kind = kind_, .args = {__VA_ARGS__}}; \
	} while (0)
			if (!ready_count) {
				ready[(ready_head + ready_count++) % GS] = waiting[--waiting_count];
				PUT(GT_EV_GO_READY, 900, ready[ready_head], GT_STATE_WAITING, 0);
			}
			g = ready[ready_head];
			ready_head = (ready_head + 1) % GS;
			ready_count--;
			code = (uint16_t)(g % 40 + 1);
			PUT(GT_EV_GO_RUN, 400, g, GT_STATE_RUNNABLE, p);
			if (roll() % 4 && waiting_count) {
				uint64_t pick = roll() % waiting_count;
				uint16_t woken = waiting[pick];

				waiting[pick] = waiting[--waiting_count];
				ready[(ready_head + ready_count++) % GS] = woken;
				PUT(GT_EV_GO_READY, 1500, woken, GT_STATE_WAITING, g);
			}
			if (roll() % 8 == 0) {
				PUT(GT_EV_GO_SYSCALL, 2000, g, (uint16_t)(code + 100));
				PUT(GT_EV_GO_SYSEXIT, 5000, g, GT_STATE_RUNNING);
			}
			if (roll() % 10 == 0) {
				PUT(GT_EV_GO_YIELD, 3000, g, GT_REASON_PREEMPTED, (uint16_t)(code + 200));
				ready[(ready_head + ready_count++) % GS] = g;
			} else {
				PUT(GT_EV_GO_BLOCK, 2500, g, code & 1 ? GT_REASON_CHAN_RECEIVE : GT_REASON_SELECT,
					code);
				waiting[waiting_count++] = g;
			}
#undef PUT
		}
	}
}

static double now(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void die(const struct gt_error *err)
{
	fprintf(stderr, "window_to_file: %s\n", err->text);
	exit(1);
}

struct result {
	double wall;
	double cpu; /* of this thread */
	struct gt_writer_totals totals;
	uint64_t file_bytes;
	bool uring;
};

static struct result run(const struct gt_writer_config *config, const struct step *steps, size_t count)
{
	struct gt_writer *writer;
	struct gt_error err;
	struct result result;
	FILE *file;

	result.wall = now(CLOCK_MONOTONIC);
	result.cpu = now(CLOCK_THREAD_CPUTIME_ID);
	if (gt_writer_open(config, &writer, &err) < 0)
		die(&err);
	for (size_t i = 0; i < count;) {
		size_t stop = i + BATCH < count ? i + BATCH : count;

		gt_writer_events_begin(writer, steps[i].m, steps[i].ticks);
		for (; i < stop; i++) {
			/* the fourth where a kind has one */
			uint64_t args[4] = {steps[i].args[0], steps[i].args[1], steps[i].args[2], 1};

			gt_writer_event(writer, (enum gt_event_kind)steps[i].kind, steps[i].ticks, args);
		}
		if (gt_writer_events_end(writer) < 0)
			break;
	}
	result.uring = gt_writer_uses_uring(writer);
	gt_writer_totals(writer, &result.totals);
	if (gt_writer_close(writer, 1, 1, &err) < 0)
		die(&err);
	result.wall = now(CLOCK_MONOTONIC) - result.wall;
	result.cpu = now(CLOCK_THREAD_CPUTIME_ID) - result.cpu;
	file = fopen(config->path, "rb");
	if (!file || fseek(file, 0, SEEK_END) < 0)
		exit(1);
	result.file_bytes = (uint64_t)ftell(file);
	fclose(file);
	unlink(config->path);
	return result;
}

static int by_wall(const void *a, const void *b)
{
	double x = ((const struct result *)a)->wall, y = ((const struct result *)b)->wall;

	return (x > y) - (x < y);
}

static void measure(const char *name, const struct step *steps, size_t count, int runs, int level, const char *path)
{
	static const char *const how[] = {"io_uring", "write()", "io_uring + worker", "write() + worker"};
	struct result results[64];

	for (int way = 0; way < 4; way++) {
		struct gt_writer_config config = {.path = path,
			.ticks_per_second = 2600000000,
			.compression_level = level,
			.no_uring = way & 1,
			.worker = way & 2};
		struct result *best = &results[0], *median = &results[runs / 2];

		for (int i = 0; i < runs; i++)
			results[i] = run(&config, steps, count);
		qsort(results, (size_t)runs, sizeof(*results), by_wall);
		printf("%-10s %-18s %6.1f %6.1f %7.2f %7.2f %6.2f %6.2f %6.1f%s\n", name, how[way],
			(double)count / median->wall / 1e6, (double)count / best->wall / 1e6,
			16 * (double)count / median->wall / 1e9, 16 * (double)count / best->wall / 1e9,
			(double)median->totals.bytes_raw / (double)count, (double)median->file_bytes / (double)count,
			median->cpu * 1e9 / (double)count, !(way & 1) && !median->uring ? "  (no io_uring here)" : "");
	}
}

int main(int argc, char **argv)
{
	size_t count = 4 << 20;
	int runs = 7, level = 0, option;
	const char *only = NULL;
	struct step *steps;
	char path[4096];

	while ((option = getopt(argc, argv, "n:r:l:s:")) >= 0) {
		if (option == 'n')
			count = strtoul(optarg, NULL, 10);
		else if (option == 'r')
			runs = atoi(optarg);
		else if (option == 'l')
			level = atoi(optarg);
		else if (option == 's')
			only = optarg;
		else
			return 2;
	}
	if (runs < 1 || runs > 64 || count < 1)
		return 2;
	snprintf(path, sizeof(path), "%s/window_to_file.%d.gtrace", optind < argc ? argv[optind] : ".", (int)getpid());
	steps = malloc(count * sizeof(*steps));
	if (!steps)
		return 1;
	printf("%zu events, %d runs; raw16 = 16 bytes an event\n", count, runs);
	printf("%-10s %-18s %13s %15s %6s %6s %6s\n", "", "", "Mev/s", "GB/s of raw16", "raw", "file", "own");
	printf("%-10s %-18s %6s %6s %7s %7s %6s %6s %6s\n", "stream", "how", "median", "best", "median", "best", "B/ev",
		"B/ev", "ns/ev");
	if (!only || !strcmp(only, "synthetic")) {
		make_synthetic(steps, count);
		measure("synthetic", steps, count, runs, level, path);
	}
	if (!only || !strcmp(only, "real")) {
		make_real(steps, count);
		measure("real", steps, count, runs, level, path);
	}
	free(steps);
	return 0;
}
