/*
 * hook.c - what a hook of libtrace costs beside its floor: the clock, a 16-byte store and a release-store, nothing else.
 *
 *   hook [CHUNKS [ROUNDS]]
 *
 * The contestants take turns chunk by chunk (about 50 us each), so that a neighbour's load, a clock step and
 * a migration hit all alike. A figure is the median over the chunks of a round; the result is the median over the
 * rounds, the spread their smallest and largest. Two threads: the same on two CPUs at once.
 * The memory is in flight mode: blocks are sealed and exchanged as in a recording (one in 254 records).
 */
#include "libtrace/connect.h"

#include "base/clock.h"

#include <gtrace/hooks.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define EVENTS     5000
#define CHUNKS_MAX 2001
#define ROUNDS_MAX 101
#define FLOOR_RING (64u << 10)

enum contestant { FLOOR, CLOCK, HOOK, HOOK_BY, HOOK_OFF, EMPTY, CONTESTANTS };
static const char *const names[CONTESTANTS] = {
	"floor: rdtsc + 16 B + release",
	"rdtsc alone",
	"hook on, 16 B",
	"hook on, 32 B",
	"hook off, inlined",
	"nothing: the loop",
};

/* The floor: what no recorder can be without. */
struct floor_ring {
	uint64_t head;
	uint64_t cells[FLOOR_RING / 8];
};
static __thread struct floor_ring *ring __attribute__((tls_model("initial-exec")));

__attribute__((noinline)) static void floor_record(uint64_t g, unsigned int old, unsigned int new_, unsigned int arg)
{
	struct floor_ring *r = ring;
	uint64_t *cell = &r->cells[r->head / 8 & (FLOOR_RING / 8 - 1)];

	cell[1] = GT_STATE_WORD(g, old, new_, arg);
	cell[0] = GT_WORD0(gt__cpu_ticks(), GT_REC_STATE, 1);
	__atomic_store_n(&r->head, r->head + 16, __ATOMIC_RELEASE);
}

/* What any recorder takes that reads the clock for each event. */
__attribute__((noinline)) static uint64_t clock_alone(void)
{
	return gt__cpu_ticks();
}

__attribute__((noinline)) static void hook_record(uint64_t g, unsigned int old, unsigned int new_, unsigned int arg)
{
	gt_hook_state(g, old, new_, arg);
}

__attribute__((noinline)) static void hook_by_record(uint64_t g, unsigned int old, unsigned int new_, unsigned int arg)
{
	gt_hook_state_by(g, old, new_, arg, 7);
}

static double chunk(enum contestant who)
{
	uint64_t begin = gt__cpu_ticks(), ticks;

	switch (who) {
	case FLOOR:
		for (uint64_t i = 0; i < EVENTS; i++)
			floor_record(i, GT_STATE_RUNNABLE, GT_STATE_RUNNING, 1);
		break;
	case CLOCK:
		for (uint64_t i = 0; i < EVENTS; i++) {
			ticks = clock_alone();
			__asm__ volatile("" ::"r"(ticks));
		}
		break;
	case HOOK:
		for (uint64_t i = 0; i < EVENTS; i++)
			hook_record(i, GT_STATE_RUNNABLE, GT_STATE_RUNNING, 1);
		break;
	case HOOK_BY:
		for (uint64_t i = 0; i < EVENTS; i++)
			hook_by_record(i, GT_STATE_RUNNABLE, GT_STATE_RUNNING, 1);
		break;
	case HOOK_OFF:
		for (uint64_t i = 0; i < EVENTS; i++) {
			__asm__ volatile("" ::: "memory");
			gt_hook_state(i, GT_STATE_RUNNABLE, GT_STATE_RUNNING, 1);
		}
		break;
	case EMPTY:
		for (uint64_t i = 0; i < EVENTS; i++)
			__asm__ volatile("" ::: "memory");
		break;
	case CONTESTANTS:
		break;
	}
	return (double)(gt__cpu_ticks() - begin) / EVENTS;
}

static int ascending(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return left < right ? -1 : left > right;
}

static double median(double *values, int count)
{
	qsort(values, (size_t)count, sizeof(*values), ascending);
	return values[count / 2];
}

struct result {
	double rounds[CONTESTANTS][ROUNDS_MAX];
	double ratio[CONTESTANTS][ROUNDS_MAX]; /* to the floor of the same round */
};

static int chunks = 151, rounds = 9;
static pthread_barrier_t barrier;

struct runner {
	int cpu;
	int threads;
	struct result result;
};

static void *run(void *arg)
{
	static __thread double values[CONTESTANTS][CHUNKS_MAX];
	struct runner *runner = arg;
	struct gt_shm *shm = gt__connected()->shm;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(runner->cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
	ring = mmap(NULL, sizeof(*ring), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (ring == MAP_FAILED)
		exit(1);
	for (int round = 0; round < rounds; round++) {
		for (int i = 0; i < chunks; i++) {
			for (int who = 0; who < CONTESTANTS; who++) {
				pthread_barrier_wait(&barrier);
				if (runner->cpu == 0)
					atomic_store(&shm->enabled, who != HOOK_OFF);
				pthread_barrier_wait(&barrier);
				values[who][i] = chunk(who);
			}
		}
		for (int who = 0; who < CONTESTANTS; who++) {
			runner->result.rounds[who][round] = median(values[who], chunks);
			runner->result.ratio[who][round] =
				runner->result.rounds[who][round] / runner->result.rounds[FLOOR][round];
		}
	}
	munmap(ring, sizeof(*ring));
	return NULL;
}

static void report(struct runner *runners, int threads, double ns_a_tick)
{
	for (int t = 0; t < threads; t++) {
		for (int who = 0; who < CONTESTANTS; who++) {
			double *values = runners[t].result.rounds[who], *ratio = runners[t].result.ratio[who];
			double middle = median(values, rounds), middle_ratio = median(ratio, rounds);

			printf("%d thread%s, %-30s %6.2f ns (%5.2f .. %5.2f)   ratio %.3f (%.3f .. %.3f)\n", threads,
				threads > 1 ? (t ? "s #2" : "s #1") : "     ", names[who], middle * ns_a_tick,
				values[0] * ns_a_tick, values[rounds - 1] * ns_a_tick, middle_ratio, ratio[0],
				ratio[rounds - 1]);
		}
	}
}

int main(int argc, char **argv)
{
	struct gt_shm_config config = {.max_bytes = 16 << 20, .mode = GT_MODE_FLIGHT};
	static struct runner runners[2];
	struct gt_memory memory;
	struct gt_error err;
	double ns_a_tick;
	int cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);

	if (argc > 1)
		chunks = atoi(argv[1]);
	if (argc > 2)
		rounds = atoi(argv[2]);
	if (chunks < 1 || chunks > CHUNKS_MAX || rounds < 1 || rounds > ROUNDS_MAX) {
		fprintf(stderr, "usage: hook [CHUNKS [ROUNDS]]: at most %d and %d\n", CHUNKS_MAX, ROUNDS_MAX);
		return 2;
	}
	if (gt_shm_create(&config, &memory, &err) < 0 || gt__connect(&memory) < 0) {
		fprintf(stderr, "hook: %s\n", err.text);
		return 1;
	}
	ns_a_tick = 1e9 / (double)gt_clock_rate();
	printf("%s, %.0f MHz; %d chunks of %d, %d rounds: median of medians (smallest .. largest round)\n",
		gt_clock_text(), (double)gt_clock_rate() / 1e6, chunks, EVENTS, rounds);
	for (int threads = 1; threads <= 2 && threads <= cpus; threads++) {
		pthread_t thread[2];

		pthread_barrier_init(&barrier, NULL, (unsigned int)threads);
		for (int t = 0; t < threads; t++) {
			runners[t].cpu = t;
			pthread_create(&thread[t], NULL, run, &runners[t]);
		}
		for (int t = 0; t < threads; t++)
			pthread_join(thread[t], NULL);
		pthread_barrier_destroy(&barrier);
		report(runners, threads, ns_a_tick);
	}
	return 0;
}
