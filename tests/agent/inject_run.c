/*
 * inject_run.c - runs a Go program with hooks, keeps every block, then checks each goroutine's chain of states. No part of
 * gtrace reads the records here: it shows what the hooks themselves wrote.
 *
 * Usage: inject_run [-s DEPTH] [-x HOOK] [-b BLOCKS] [-f FILE] [-v] PROGRAM [ARG...]
 *     -s   frames of a stack; 0 (the default): hooks without stacks
 *     -x   leave one hook out
 *     -b   blocks of the memory (default 4096)
 *     -f   the report goes there, not to stderr
 *     -F   flight mode: nobody drains, the memory holds the last records; lost ones are no failure
 *     -v   every record, as text
 * Exit status: the program's own; 99 when a chain is broken, a record is damaged or lost; 98 when it could not run.
 */
#include "agent/agent.h"
#include "libtrace/exchange.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BROKEN  99
#define CANNOT  98
#define G_TABLE (1u << 20)
#define STATES  8
#define NONE    255

struct record {
	uint64_t time;
	uint32_t m;
	uint32_t order; /* in its M */
	uint64_t seq;
	uint8_t kind;
	uint64_t words[6];
};

struct chain {
	uint64_t g;
	uint8_t state;
	bool switched; /* by a coroutine switch: the same change may follow through casgstatus */
};

static struct {
	struct gt_memory memory;
	struct gt_block *blocks; /* copies */
	size_t block_count, block_room;
	struct record *records;
	size_t record_count, record_room;
	struct chain *chains;
	FILE *out;
	bool verbose;
	uint64_t uncommitted, damaged, breaks, stacks[3], counts[16], changes[16][16], goroutines, created;
} run;

static void *grow(void *old, size_t *room, size_t need, size_t size)
{
	void *fresh = old;

	if (need > *room) {
		*room = *room ? *room * 2 : 1024;
		if (*room < need)
			*room = need;
		fresh = realloc(old, *room * size);
		if (!fresh)
			abort();
	}
	return fresh;
}

static void keep(const struct gt_block *block, uint64_t used)
{
	run.blocks = grow(run.blocks, &run.block_room, run.block_count + 1, sizeof(*run.blocks));
	memcpy(&run.blocks[run.block_count], block, sizeof(*block));
	run.blocks[run.block_count++].used = used;
}

static size_t drain(void)
{
	size_t taken = 0;

	for (;;) {
		uint32_t block = gt_queue_take(&run.memory.exchange.sealed);

		if (block == GT_NO_BLOCK)
			return taken;
		keep(gt_shm_block(&run.memory, block), gt_shm_block(&run.memory, block)->used);
		gt_queue_put(&run.memory.exchange, &run.memory.exchange.free, block);
		taken++;
	}
}

static void keep_open_blocks(void)
{
	for (uint32_t m = 0; m < run.memory.m_count && m < run.memory.m_limit; m++) {
		const struct gt_m *line = gt_shm_m(&run.memory, m);
		uint64_t begin;

		if (GT_OWN_STATE(line->own) != GT_OWN_OWNED)
			continue;
		begin = (uint64_t)GT_OWN_BLOCK(line->own) * GT_BLOCK_BYTES + GT_BLOCK_HEADER_BYTES;
		if (line->pos != line->done)
			fprintf(run.out, "M%u: %ld bytes in flight at the end\n", m, (long)(line->pos - line->done));
		keep(gt_shm_block(&run.memory, GT_OWN_BLOCK(line->own)), line->pos - begin);
	}
}

static void parse(const struct gt_block *block)
{
	uint64_t used = block->used;
	uint32_t order = 0;
	size_t at = 0;

	if (used > sizeof(block->cells)) {
		run.damaged++;
		return;
	}
	while (at + 16 <= used) {
		uint64_t word = block->cells[at / 8];
		unsigned int cells = GT_WORD0_CELLS(word);
		struct record *record;

		if (!GT_WORD0_COMMITTED(word) || GT_WORD0_TIME(word) < (block->t_open & GT_TIME_MASK) || !cells ||
			at + cells * 16 > used) {
			run.uncommitted++;
			at += cells && !GT_WORD0_COMMITTED(word) ? cells * 16 : 16;
			continue;
		}
		run.records = grow(run.records, &run.record_room, run.record_count + 1, sizeof(*run.records));
		record = &run.records[run.record_count++];
		memset(record, 0, sizeof(*record));
		record->time = GT_WORD0_TIME(word);
		record->m = GT_BLOCK_ID_M(block->id);
		record->seq = GT_BLOCK_ID_SEQ(block->id);
		record->order = order++;
		record->kind = (uint8_t)GT_WORD0_KIND(word);
		for (unsigned int i = 0; i < cells * 2; i++)
			record->words[i] = block->cells[at / 8 + i];
		at += cells * 16;
	}
}

static int by_time(const void *a, const void *b)
{
	const struct record *x = a, *y = b;

	if (x->time != y->time)
		return x->time < y->time ? -1 : 1;
	if (x->m != y->m)
		return x->m < y->m ? -1 : 1;
	if (x->seq != y->seq)
		return x->seq < y->seq ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static struct chain *chain_of(uint64_t g)
{
	for (size_t i = g * 0x9e3779b97f4a7c15ull >> 44;; i = (i + 1) % G_TABLE) {
		struct chain *chain = &run.chains[i % G_TABLE];

		if (chain->g == g + 1)
			return chain;
		if (!chain->g) {
			chain->g = g + 1;
			chain->state = NONE;
			run.goroutines++;
			return chain;
		}
	}
}

static void broken(const struct record *record, uint64_t g, unsigned int state, unsigned int old, unsigned int new)
{
	if (run.breaks++ < 20)
		fprintf(run.out, "broken: g %lu at %lu on M%u: was %u, then %u -> %u (kind %u)\n", (unsigned long)g,
			(unsigned long)record->time, record->m, state, old, new, record->kind);
}

static void change(const struct record *record, uint64_t g, unsigned int old, unsigned int new)
{
	struct chain *chain = chain_of(g);

	run.changes[old & 15][new & 15]++;
	if (chain->switched && old == 4 && (new == 1 || new == 2)) {
		chain->state = (uint8_t) new;
		return;
	}
	if (chain->state != NONE && chain->state != old && !chain->switched)
		broken(record, g, chain->state, old, new);
	chain->switched = false;
	chain->state = (uint8_t) new;
}

static void coroutine_switch(const struct record *record)
{
	uint64_t from = record->words[1] & GT_G_MASK, to = record->words[3] & GT_G_MASK;

	if (!(record->words[1] >> 40 & 1)) {
		change(record, from, 2, 4);
		chain_of(from)->switched = true;
	}
	change(record, to, 4, 2);
	chain_of(to)->switched = true;
}

static void check_stack(uint32_t id)
{
	const struct gt_stack_slot *slots = (void *)((uint8_t *)run.memory.shm + run.memory.stacks_offset);
	const uint32_t *arena = (void *)((uint8_t *)run.memory.shm + run.memory.arena_offset);

	if (!id) {
		run.stacks[0]++;
	} else if (id >= run.memory.stack_slot_count || !slots[id].arena || slots[id].arena >= run.memory.arena_words ||
		   !arena[slots[id].arena] || arena[slots[id].arena] > GT_STACK_FRAMES_MAX) {
		run.damaged++;
	} else {
		run.stacks[1]++;
		run.stacks[2] += arena[slots[id].arena];
	}
}

static void check(void)
{
	for (size_t i = 0; i < run.record_count; i++) {
		const struct record *record = &run.records[i];
		uint64_t word = record->words[1];
		uint64_t g = word & GT_G_MASK;
		unsigned int old = word >> 40 & 15, new = word >> 44 & 15;

		run.counts[record->kind & 15]++;
		if (run.verbose)
			fprintf(run.out, "%lu M%u kind %u g %lu %u>%u arg %lu  %lx %lx %lx\n",
				(unsigned long)record->time, record->m, record->kind, (unsigned long)g, old, new,
				(unsigned long)(word >> 48), (unsigned long)record->words[2],
				(unsigned long)record->words[3], (unsigned long)record->words[4]);
		switch (record->kind) {
		case GT_REC_CREATE:
			run.created++;
			if (chain_of(g)->state != NONE)
				broken(record, g, chain_of(g)->state, old, new);
			change(record, g, old, new);
			if (!record->words[2] || !record->words[3])
				run.damaged++;
			break;
		case GT_REC_STATE2:
			if (run.memory.stack_depth && new != 1)
				check_stack((uint32_t)record->words[2]);
			change(record, g, old, new);
			break;
		case GT_REC_STATE:
			change(record, g, old, new);
			break;
		case GT_REC_ENTER:
			if (run.memory.stack_depth)
				check_stack((uint32_t)(word >> GT_G_BITS));
			change(record, g, 2, 3);
			break;
		case GT_REC_LEAVE:
			change(record, g, 3, 2);
			break;
		case GT_REC_POLLED:
		case GT_REC_WOKEN:
			change(record, g, 4, 1);
			break;
		case GT_REC_CORO:
			coroutine_switch(record);
			break;
		case GT_REC_SLOT:
		case GT_REC_THREAD:
			if (!(word & 0xff) || (word & 0xff) > 3)
				run.damaged++;
			break;
		default:
			run.damaged++;
		}
	}
}

static uint64_t lost(void)
{
	uint64_t count = run.memory.shm->lost_no_m + run.memory.shm->lost_big_g + run.memory.shm->lost_spill;

	for (uint32_t m = 0; m < run.memory.m_limit; m++)
		count += gt_shm_m(&run.memory, m)->lost + gt_shm_m(&run.memory, m)->lost_nested;
	return count;
}

static void report(const struct gt_agent_result *started)
{
	fprintf(run.out, "hooks %zu, missing", started->hooks);
	for (size_t i = 0; i < started->missing_count; i++)
		fprintf(run.out, " %s", started->missing[i]);
	fprintf(run.out, "; setup %lu us; code %lu bytes; membarrier %d\n", (unsigned long)started->setup_ns / 1000,
		(unsigned long)started->code_size, started->membarrier);
	fprintf(run.out,
		"blocks %zu, records %zu, goroutines %lu (created %lu), breaks %lu, uncommitted %lu, damaged %lu, lost "
		"%lu\n",
		run.block_count, run.record_count, (unsigned long)run.goroutines, (unsigned long)run.created,
		(unsigned long)run.breaks, (unsigned long)run.uncommitted, (unsigned long)run.damaged,
		(unsigned long)lost());
	fprintf(run.out, "state %lu, state2 %lu, create %lu, slot %lu, thread %lu, coro %lu\n",
		(unsigned long)run.counts[1], (unsigned long)run.counts[2], (unsigned long)run.counts[3],
		(unsigned long)run.counts[4], (unsigned long)run.counts[5], (unsigned long)run.counts[6]);
	for (int old = 0; old < 16; old++)
		for (int new = 0; new < 16; new ++)
			if (run.changes[old][new])
				fprintf(run.out, "%d>%d %lu, ", old, new, (unsigned long)run.changes[old][new]);
	fprintf(run.out, "\nstacks: none %lu, some %lu with %lu frames, lost %lu, arena %lu\n",
		(unsigned long)run.stacks[0], (unsigned long)run.stacks[1], (unsigned long)run.stacks[2],
		(unsigned long)run.memory.shm->stacks_lost, (unsigned long)run.memory.shm->arena_used);
}

static int follow(pid_t pid, bool drains)
{
	struct timespec pause = {0, 300000};
	int status;

	while (waitpid(pid, &status, WNOHANG) == 0)
		if (!drains || !drain())
			nanosleep(&pause, NULL);
	drain();
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
	struct gt_shm_config config = {.block_count = 4096, .m_count = 1024, .m_limit = 1024, .spill_count = 16};
	struct gt_agent_launch launch = {.envp = environ, .memory = &run.memory};
	struct gt_agent_result started;
	struct gt_error err;
	int option, status;

	run.out = stderr;
	while ((option = getopt(argc, argv, "+s:x:b:f:vF")) != -1)
		switch (option) {
		case 's':
			config.stack_depth = (uint32_t)atoi(optarg);
			break;
		case 'x':
			launch.skip_hook = optarg;
			break;
		case 'b':
			config.block_count = (uint32_t)atoi(optarg);
			break;
		case 'f':
			run.out = fopen(optarg, "w");
			break;
		case 'F':
			config.mode = GT_MODE_FLIGHT;
			break;
		case 'v':
			run.verbose = true;
			break;
		default:
			return CANNOT;
		}
	if (optind == argc || !run.out)
		return CANNOT;
	if (config.stack_depth) {
		config.stack_slot_count = 1u << 14;
		config.arena_words = 1u << 19;
	}
	launch.path = argv[optind];
	launch.argv = argv + optind;
	run.chains = calloc(G_TABLE, sizeof(*run.chains));
	if (gt_gobin_open(launch.path, &launch.bin, &err) < 0 ||
		gt_golayout_find(launch.bin, &launch.layout, &err) < 0 ||
		gt_golayout_verify(launch.bin, launch.layout, &err) < 0 ||
		gt_shm_create(&config, &run.memory, &err) < 0 || gt_agent_launch(&launch, &started, &err) < 0) {
		fprintf(stderr, "inject_run: %s\n", err.text);
		return CANNOT;
	}
	status = follow(started.pid, config.mode == GT_MODE_STREAM);
	keep_open_blocks();
	for (size_t i = 0; i < run.block_count; i++)
		parse(&run.blocks[i]);
	if (run.record_count)
		qsort(run.records, run.record_count, sizeof(*run.records), by_time);
	check();
	report(&started);
	if (status == 0 && config.mode == GT_MODE_STREAM &&
		(run.breaks || run.damaged || run.uncommitted || lost() || !run.record_count))
		status = BROKEN;
	gt_gobin_close(launch.bin);
	gt_shm_close(&run.memory);
	free(run.chains);
	free(run.records);
	free(run.blocks);
	return status;
}
