/*
 * collect.c - what a window costs the process that follows it, a record: reading along, and packing what the ring loses.
 *
 *   collect [-m MIB] [-r ROUNDS]
 *
 * One thread in turn writes records as hooks of Go do for a server that reads, answers and starts a goroutine a request (32 connections, two
 * threads, 31 records a request), an eighth of the ring, and follows them; only the latter is timed, by the thread's CPU time. The least of
 * all rounds: what it costs with warm caches; in life other programs cool them.
 */
#include "base/clock.h"
#include "libtrace/collector.h"
#include "libtrace/history.h"
#include "libtrace/refill.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS 32
#define THREADS     2

struct server {
	struct gt_memory memory;
	struct gt_collector *collector;
	uint64_t random, ticks, made, records;
	size_t blocks;
};

static uint64_t next_random(struct server *s)
{
	s->random ^= s->random << 13;
	s->random ^= s->random >> 7;
	return s->random ^= s->random << 17;
}

static void put(struct server *s, uint32_t thread, unsigned int kind, unsigned int cells, uint64_t first,
	uint64_t second, uint64_t third)
{
	struct gt_m *m = gt_shm_m(&s->memory, thread);
	uint32_t bytes = cells * GT_CELL_BYTES;
	uint64_t at = atomic_load_explicit(&m->pos, memory_order_relaxed);
	uint64_t *cell;

	if (at + bytes > atomic_load_explicit(&m->end, memory_order_relaxed)) {
		if (gt__refill(s->memory.shm, m, thread, bytes, 1, gt_ticks) != GT_REFILL_READY)
			abort();
		at = atomic_load_explicit(&m->pos, memory_order_relaxed);
		s->blocks++;
		s->ticks = gt_ticks();
	}
	/* Between a tenth of a us and some. */
	s->ticks += 26 * (4 + next_random(s) % 16 + (next_random(s) % 8 ? 0 : next_random(s) % 300));
	cell = (uint64_t *)(void *)((uint8_t *)s->memory.exchange.blocks + at);
	cell[1] = first;
	if (cells > 1) {
		cell[2] = second;
		cell[3] = third;
	}
	if (cells > 2)
		cell[4] = cell[5] = 0;
	cell[0] = GT_WORD0(s->ticks, kind, cells);
	atomic_store_explicit(&m->pos, at + bytes, memory_order_relaxed);
	atomic_store_explicit(&m->done, at + bytes, memory_order_release);
	s->records++;
}

static uint64_t state(uint64_t g, unsigned int old, unsigned int new_, uint64_t arg)
{
	return GT_STATE_WORD(g, old, new_, arg);
}

static void request(struct server *s)
{
	uint32_t thread = (uint32_t)(next_random(s) % THREADS);
	uint64_t g = 30 + next_random(s) % CONNECTIONS, child;

	put(s, thread, GT_REC_HINT, 2, g, g - 20, 0);
	put(s, thread, GT_REC_STATE2, 2, state(g, GT_STATE_WAITING, GT_STATE_RUNNABLE, 2), 0, 0);
	put(s, thread, GT_REC_STATE, 1, state(g, GT_STATE_RUNNABLE, GT_STATE_RUNNING, thread + 1), 0, 0);
	for (uint64_t call = 0; call < 8; call++) {
		if (call == 4) {
			child = 1000 + s->made++;
			put(s, thread, GT_REC_CREATE, 3, state(child, GT_STATE_NONE, GT_STATE_RUNNABLE, 0), 0x7b3cc0,
				0x7b3c56);
			put(s, thread, GT_REC_STATE, 1, state(child, GT_STATE_RUNNABLE, GT_STATE_RUNNING, thread + 1),
				0, 0);
			put(s, thread, GT_REC_STATE, 1, state(child, GT_STATE_RUNNING, GT_STATE_DEAD, 0), 0, 0);
		}
		put(s, thread, GT_REC_STATE2, 2, state(g, GT_STATE_RUNNING, GT_STATE_SYSCALL, 0), 100 + 37 * call, 0);
		put(s, thread, GT_REC_SLOT, 1, GT_SLOT_START | (thread + 1) << 8, 0, 0);
		put(s, thread, GT_REC_STATE, 1, state(g, GT_STATE_SYSCALL, GT_STATE_RUNNING, thread + 1), 0, 0);
	}
	put(s, thread, GT_REC_STATE2, 2, state(g, GT_STATE_RUNNING, GT_STATE_WAITING, 2), 900,
		GT_OBJECT_WORD(GT_OBJECT_FD_READ, g - 20));
}

static double cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* The least ns a record; @packed: how many times what is packed would be larger. */
static double measured(uint32_t blocks, size_t history_bytes, int rounds, double *packed)
{
	struct gt_shm_config config = {.block_count = blocks, .m_count = 256, .m_limit = 256, .mode = GT_MODE_FLIGHT};
	struct gt_collector_config collector = {.names_bytes_max = 4 << 20, .history_bytes_max = history_bytes};
	struct gt_collector_totals totals;
	struct server s = {.random = 88172645463325252ull};
	struct gt_error err = {""};
	double least = 0;

	collector.memory = &s.memory;
	if (gt_shm_create(&config, &s.memory, &err) < 0 || gt_collector_new(&collector, &s.collector, &err) < 0) {
		fprintf(stderr, "collect: %s\n", err.text);
		exit(1);
	}
	/* Two turns of the ring, and of what is packed, before it counts. */
	for (int round = -64; round < rounds; round++) {
		double begin;

		s.records = s.blocks = 0;
		while (s.blocks < blocks / 8)
			request(&s);
		begin = cpu_ns();
		gt_collector_follow(s.collector);
		begin = (cpu_ns() - begin) / (double)s.records;
		if (round == 0 || (round > 0 && begin < least))
			least = begin;
	}
	gt_collector_totals(s.collector, &totals);
	*packed = totals.history_bytes ? (double)totals.history_cell_bytes / (double)totals.history_bytes : 0;
	gt_collector_free(s.collector);
	gt_shm_close(&s.memory);
	return least;
}

int main(int argc, char **argv)
{
	uint32_t mib = 6;
	int rounds = 400, option;
	double along, both, packed;

	while ((option = getopt(argc, argv, "m:r:")) > 0) {
		if (option == 'm')
			mib = (uint32_t)atoi(optarg);
		else if (option == 'r')
			rounds = atoi(optarg);
		else
			return 2;
	}
	if (mib < 1 || mib > 1024 || rounds < 1)
		return 2;
	gt_clock_init();
	along = measured(mib * 256, 0, rounds, &packed);
	both = measured(mib * 256, (size_t)mib << 20, rounds, &packed);
	printf("a ring of %u MiB: reading along %.2f ns a record; and packing %.2f, to a %.1fth\n", mib, along,
		both - along, packed);
	return 0;
}
