/*
 * midway.c - for e2e attach_linked_*: goroutines that were there before somebody looked, and that number what they do while he does.
 *
 * Phases as in tests/programs/midway: it says "phase N" and waits for a line. In between every worker is woken so many times, each time
 * only when it waits (a handshake: what it waits on has nobody else). At the end it tells, as JSON, what each did in a phase. Marks (messages,
 * whose task is their number) count on without a pause, in the order of one goroutine.
 * Arguments: -i IDLE goroutines that wait for ever, -n WAKES a phase, -q (no noise), -r (marks without a rest)
 */
#include <gtrace/go.h>
#include <gtrace/gtrace.h>
#include <gtrace/metrics.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORKERS  8
#define CHILDREN 5

typedef gt_chan(int) int_chan;

static struct worker {
	uint64_t g;
	int_chan wake;
	_Atomic uint64_t done;
} workers[WORKERS];

static uint64_t *idle_ids;
static _Atomic int idle_count, over, marks_over, marks_ended;
static int_chan never;
static uint64_t marks;
static uint64_t children[CHILDREN];

static void wait_for_ever(void *arg)
{
	(void)arg;
	idle_ids[atomic_fetch_add(&idle_count, 1)] = gt_id();
	gt_recv(never, NULL);
}

static void work(void *arg)
{
	struct worker *worker = arg;
	int value;

	worker->g = gt_id();
	while (gt_recv(worker->wake, &value))
		atomic_fetch_add(&worker->done, 1);
}

static void count_marks(void *arg)
{
	const bool rest = !arg;

	while (!atomic_load(&marks_over)) {
		gt_log(++marks, "mark", "n");
		if (rest || marks % 64 == 0)
			gt_sleep(100 * GT_MICROSECOND);
		else
			gt_yield();
	}
	atomic_store(&marks_ended, 1);
}

static void sleeper(void *arg)
{
	(void)arg;
	while (!atomic_load(&over))
		gt_sleep(GT_MILLISECOND);
}

static void child(void *arg)
{
	*(uint64_t *)arg = gt_id();
}

static void maker(void *arg)
{
	uint64_t id;

	(void)arg;
	while (!atomic_load(&over)) {
		gt_go(child, &id);
		gt_sleep(500 * GT_MICROSECOND);
	}
}

/* The calling thread reads, and its P is for others. */
static void next_line(int phase)
{
	char byte = 0;

	fprintf(stderr, "phase %d\n", phase);
	gt_syscall_enter();
	while (read(0, &byte, 1) == 1 && byte != '\n')
		;
	gt_syscall_exit();
}

static uint64_t waiting(void)
{
	struct gt_metric_sample sample = {.name = "/sched/goroutines/waiting:goroutines"};

	gt_metrics_read(&sample, 1);
	return sample.uint64;
}

static void wake_all(int times)
{
	for (int i = 0; i < times; i++)
		for (int w = 0; w < WORKERS; w++) {
			uint64_t before = atomic_load(&workers[w].done);

			gt_send(workers[w].wake, i);
			while (atomic_load(&workers[w].done) == before)
				gt_sleep(50 * GT_MICROSECOND);
		}
}

static void tell(int times)
{
	printf("{\"main\": %" PRIu64 ", \"woken\": %d, \"marks\": %" PRIu64 ", \"workers\": [", gt_id(), times, marks);
	for (int w = 0; w < WORKERS; w++)
		printf("%s%" PRIu64, w ? ", " : "", workers[w].g);
	printf("], \"children\": [");
	for (int i = 0; i < CHILDREN; i++)
		printf("%s%" PRIu64, i ? ", " : "", children[i]);
	printf("], \"idle\": [");
	for (int i = 0; i < idle_count; i++)
		printf("%s%" PRIu64, i ? ", " : "", idle_ids[i]);
	printf("]}\n");
	fflush(stdout);
}

static int go_main(int argc, char **argv)
{
	int idle = 50, times = 20, option;
	bool noise = true, restless = false;

	while ((option = getopt(argc, argv, "i:n:qr")) != -1) {
		if (option == 'i')
			idle = atoi(optarg);
		else if (option == 'n')
			times = atoi(optarg);
		else if (option == 'q')
			noise = false;
		else if (option == 'r')
			restless = true;
		else
			return 2;
	}
	idle_ids = calloc((size_t)idle + 1, sizeof(*idle_ids));
	never = gt_chan_make(int, 0);
	for (int i = 0; i < idle; i++)
		gt_go(wait_for_ever, NULL);
	for (int w = 0; w < WORKERS; w++) {
		workers[w].wake = gt_chan_make(int, 0);
		gt_go(work, &workers[w]);
	}
	while (waiting() < (uint64_t)idle + WORKERS)
		gt_yield();
	if (noise) {
		for (int i = 0; i < 3; i++)
			gt_go(sleeper, NULL);
		gt_go(maker, NULL);
		gt_go(count_marks, restless ? &over : NULL);
	}
	next_line(1);
	for (int i = 0; i < CHILDREN; i++)
		gt_go(child, &children[i]);
	wake_all(times);
	next_line(2);
	wake_all(times);
	next_line(3);
	atomic_store(&over, 1);
	atomic_store(&marks_over, 1);
	while (noise && !atomic_load(&marks_ended))
		gt_sleep(50 *
			 GT_MICROSECOND); /* who gives way all the time pushes the last marks out of a small window */
	tell(times);
	return 0;
}

int main(int argc, char **argv)
{
	return gt_main(argc, argv, go_main);
}
