/*
 * view.c - what `gtrace view` costs before and behind the page: reading a file into the index, its memory, answering tiles.
 *
 *   viewer_sample FILE.gtrace crowd 10000000 100000 (tests/viewer) makes a big one
 *   bench-view FILE.gtrace; frame times of the page: view-page.mjs
 *
 * Time until the server could answer, and until all is read; CPU time of both threads; bytes that the index holds, most memory of the
 * process; then tiles of 40 rows x 1024 pixels at resolutions from the whole trace down, CPU time each.
 */
#include "viewer/index.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

static double seconds(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void tiles(const struct gt_index *index)
{
	enum { ROWS = 40, PIXELS = 1024 };
	static struct gt_index_piece items[2 * PIXELS + 2];
	int64_t all = index->span_ns;

	for (int64_t part = 1; part <= 1000000 && all / part > PIXELS; part *= 10) {
		double begin = seconds(CLOCK_PROCESS_CPUTIME_ID);
		int64_t from = (all - all / part) / 2;
		size_t count = 0;
		int rows = 0;

		for (uint32_t i = 0; i < index->row_count && rows < ROWS; i++) {
			/* Every 100th goroutine, and all Ps and Ms. */
			if (index->rows[i].kind == GT_INDEX_GOROUTINE && i % 100)
				continue;
			count += gt_index_pieces(&index->rows[i], from, from + all / part, PIXELS, items);
			rows++;
		}
		printf("1/%-8lld of the trace: %8zu items of %d rows in %7.3f ms\n", (long long)part, count, rows,
			1e3 * (seconds(CLOCK_PROCESS_CPUTIME_ID) - begin));
	}
}

int main(int argc, char **argv)
{
	struct gt_index *index;
	struct gt_trace *trace;
	struct rusage usage;
	struct gt_error err;
	double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID),
	       own = seconds(CLOCK_THREAD_CPUTIME_ID), opened;

	if (argc != 2)
		return 2;
	if (gt_trace_open(argv[1], &trace, &err) < 0 || gt_index_new(trace, NULL, &index, &err) < 0) {
		fprintf(stderr, "view: %s\n", err.text);
		return 1;
	}
	opened = seconds(CLOCK_MONOTONIC) - wall;
	if (gt_index_read(index, &err) < 0) {
		fprintf(stderr, "view: %s\n", err.text);
		return 1;
	}
	wall = seconds(CLOCK_MONOTONIC) - wall;
	cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	own = seconds(CLOCK_THREAD_CPUTIME_ID) - own;
	getrusage(RUSAGE_SELF, &usage);
	printf("%llu events, %u rows, %llu slices\n", (unsigned long long)index->events, index->row_count,
		(unsigned long long)index->slices);
	printf("opened: %.0f ms; index: %.2f s, CPU %.2f s (slices %.2f, reading ahead %.2f)\n", 1e3 * opened, wall,
		cpu, own, cpu - own);
	printf("memory: %.1f MiB held, %.1f bytes a slice; most in use %.1f MiB\n", (double)index->bytes / 1048576,
		(double)index->bytes / (double)(index->slices ? index->slices : 1), (double)usage.ru_maxrss / 1024);
	tiles(index);
	gt_index_free(index);
	gt_trace_close(trace);
	return 0;
}
