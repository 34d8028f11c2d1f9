/*
 * explore.c - every interleaving of a few threads in exchange.h and refill.h: the real code, not a model of it.
 *
 * Each thread is a coroutine that stops at every GT_POINT(), which stands before each access to shared memory. A state is
 * the shared memory plus each coroutine's used stack; it is saved, hashed and restored, so that states reached on
 * two ways are explored once. A signal is a choice at a point: the handler's record is emitted from there, on the
 * same stack, itself stopping at points. A thief (collector that takes an idle M's block) is a thread too.
 *
 * Checked in every final state: each block is in exactly one place, the queues' lengths are true, nothing is stranded.
 * Checked at each record: its cells belong to a block that its M owns.
 * Memory is sequentially consistent here; weak orders are ThreadSanitizer's and the oracle's part.
 *
 * explore [STATES_MAX [SCENARIO]]: the default suits ./check; GTRACE_EXPLORE=N in the environment too. Hitting the bound is no
 * failure: it is said. SCENARIO: only those whose names contain it.
 */
#define GT_POINT() point()
static void point(void);

#include "libtrace/refill.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if !defined(__x86_64__)
int main(void)
{
	puts("skipped: the explorer's coroutines are written for x86-64");
	return 77;
}
#else

#define THREADS_MAX  4
#define BLOCKS_MAX   8
#define SLOTS_MAX    16
#define STACK_BYTES  8192

/* ---- the shared memory, small: two records fill a block ---- */

struct world {
	struct gt_shm shm;
	_Atomic uint64_t sealed_slots[SLOTS_MAX], free_slots[SLOTS_MAX];
	struct gt_m m[THREADS_MAX];
	struct {
		uint64_t id, t_open, lost, used;
	} header[BLOCKS_MAX];
	uint8_t stored[THREADS_MAX];  /* records that found a place */
	uint8_t signals[THREADS_MAX]; /* still to be delivered */
	uint8_t in_signal[THREADS_MAX];
	uint8_t finished[THREADS_MAX];
};

struct thread {
	uint64_t sp;
	uint8_t *stack;
};

static struct world *world;     /* mapped: its address is the same in each state, as the stacks' are */
static struct gt_block *blocks; /* whole blocks; only headers are part of the state */
static struct thread threads[THREADS_MAX];
static int thread_count, current;
static uint64_t scheduler_sp;
static bool deliver; /* the scheduler's choice for the thread it resumes: a signal now */
static const char *failure;

__attribute__((naked, noinline)) static void switch_to(
	uint64_t *save __attribute__((unused)), uint64_t load __attribute__((unused)))
{
	__asm__ volatile("push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15\n"
			 "mov %rsp, (%rdi); mov %rsi, %rsp\n"
			 "pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp; ret\n");
}

static enum {
	ROLE_WRITER,
	ROLE_PUT_TAKE,
	ROLE_SWAP,
	ROLE_COLLECTOR,
	ROLE_THIEF,
	ROLE_CLEANER,
	ROLE_GO_WRITER
} roles[THREADS_MAX];

static void emit(int t);
static void emit_go(int t);

static void point(void)
{
	switch_to(&threads[current].sp, scheduler_sp);
	if (deliver) {
		int t = current;

		deliver = false;
		world->signals[t]--;
		world->in_signal[t]++;
		if (roles[t] == ROLE_GO_WRITER)
			emit_go(t);
		else
			emit(t);
		world->in_signal[t]--;
	}
}

/* ---- what the threads do ---- */

static int steps[THREADS_MAX]; /* records each writer emits; 0: not a writer */

static uint64_t no_clock(void)
{
	return 1;
}

/* The hook's fast path as libtrace/include/gtrace/hooks.h has it; a record takes a third of a block. */
#define RECORD_BYTES ((GT_BLOCK_BYTES - GT_BLOCK_HEADER_BYTES) / 2 / 16 * 16)

static void emit(int t)
{
	struct gt_m *m = &world->m[t];

	for (int tries = 0; tries < 2; tries++) {
		uint64_t at;
		uint8_t stored;
		uint32_t block;

		point();
		stored = world->stored[t];
		at = gt__xadd(&m->pos, RECORD_BYTES);
		point();
		if (at + RECORD_BYTES > atomic_load_explicit(&m->end, memory_order_relaxed) &&
			gt__unreserve(m, at, RECORD_BYTES)) {
			if (stored != world->stored[t])
				failure = "a reservation is taken back below a record";
			if (gt__refill(&world->shm, m, (uint32_t)t, RECORD_BYTES, 0, no_clock) < 0)
				return;
			continue;
		}
		world->stored[t]++;
		block = (uint32_t)(at / GT_BLOCK_BYTES);
		point(); /* the payload */
		if (block >= world->shm.block_count || (blocks[block].id >> 40) != (uint32_t)t ||
			blocks[block].id == 0 || GT_OWN_STATE(m->own) != GT_OWN_OWNED || GT_OWN_BLOCK(m->own) != block)
			failure = "a record is stored into a block that its M does not own";
		point();
		atomic_fetch_add_explicit(&m->done, RECORD_BYTES, memory_order_release);
		return;
	}
	atomic_fetch_add_explicit(&m->lost, 1, memory_order_relaxed);
}

/* As agent/blob/hooks.S has it: what cannot be taken back is filled with a record that says nothing. A handler on
 * the signal stack gets no private stack, and so no new block. */
static void emit_go(int t)
{
	struct gt_m *m = &world->m[t];

	for (int tries = 0; tries < 2; tries++) {
		uint64_t at;
		uint32_t block;
		uint8_t stored;
		bool room;

		point();
		stored = world->stored[t];
		at = gt__xadd(&m->pos, RECORD_BYTES);
		point();
		room = at + RECORD_BYTES <= atomic_load_explicit(&m->end, memory_order_relaxed);
		if (!room && gt__unreserve(m, at, RECORD_BYTES)) {
			if (stored != world->stored[t])
				failure = "a reservation is taken back below a record";
			if (world->in_signal[t] ||
				gt__refill(&world->shm, m, (uint32_t)t, RECORD_BYTES, 0, no_clock) < 0)
				return;
			continue;
		}
		block = (uint32_t)(at / GT_BLOCK_BYTES);
		point(); /* the payload */
		if (block >= world->shm.block_count || (blocks[block].id >> 40) != (uint32_t)t ||
			blocks[block].id == 0 || GT_OWN_STATE(m->own) != GT_OWN_OWNED || GT_OWN_BLOCK(m->own) != block)
			failure = "a record is stored into a block that its M does not own";
		world->stored[t]++;
		point();
		atomic_fetch_add_explicit(&m->done, RECORD_BYTES, memory_order_release);
		if (room)
			return;
	}
}

/* The collector's way to an idle M's block; as gt_steal in walk.c, where the barrier is a system call. @to_free: its records are
 * read, as libtrace/idle.c does. */
static void steal(int victim, bool to_free)
{
	struct gt_exchange exchange = gt_exchange_of(&world->shm);
	struct gt_m *m = &world->m[victim];
	uint64_t own, end, pos, done;

	point();
	own = atomic_load_explicit(&m->own, memory_order_acquire);
	if (GT_OWN_STATE(own) != GT_OWN_OWNED)
		return;
	point();
	if (atomic_load_explicit(&m->busy, memory_order_acquire))
		return;
	point();
	end = atomic_load_explicit(&m->end, memory_order_relaxed);
	point();
	if (end && !atomic_compare_exchange_strong(&m->end, &end, 0))
		return;
	point();
	pos = atomic_load_explicit(&m->pos, memory_order_acquire);
	point();
	done = atomic_load_explicit(&m->done, memory_order_acquire);
	if (pos != done || pos / GT_BLOCK_BYTES != GT_OWN_BLOCK(own))
		return;
	point();
	if (!atomic_compare_exchange_strong(
		    &m->own, &own, GT_OWN(GT_OWN_BLOCK(own), GT_OWN_VERSION(own), GT_OWN_STOLEN)))
		return;
	atomic_store_explicit(
		&blocks[GT_OWN_BLOCK(own)].used, pos - gt__block_begin(GT_OWN_BLOCK(own)), memory_order_relaxed);
	gt_queue_put(&exchange, to_free ? &exchange.free : &exchange.sealed, GT_OWN_BLOCK(own));
}

static void thread_main(void)
{
	int t = current;
	struct gt_exchange exchange = gt_exchange_of(&world->shm);
	uint32_t block;

	for (int i = 0; i < steps[t]; i++) {
		switch (roles[t]) {
		case ROLE_WRITER:
			emit(t);
			break;
		case ROLE_PUT_TAKE:
			block = gt_queue_take(&exchange.free);
			if (block != GT_NO_BLOCK)
				gt_queue_put(&exchange, &exchange.sealed, block);
			break;
		case ROLE_SWAP:
			block = gt_queue_take(&exchange.free);
			if (block != GT_NO_BLOCK)
				block = gt_queue_swap(&exchange, block);
			if (block != GT_NO_BLOCK)
				gt_queue_put(&exchange, &exchange.free, block);
			break;
		case ROLE_COLLECTOR:
			block = gt_queue_take(&exchange.sealed);
			if (block != GT_NO_BLOCK)
				gt_queue_put(&exchange, &exchange.free, block);
			break;
		case ROLE_THIEF:
			steal(0, false);
			break;
		case ROLE_CLEANER:
			steal(0, true);
			break;
		case ROLE_GO_WRITER:
			emit_go(t);
			break;
		}
	}
	world->finished[t] = 1;
	for (;;)
		switch_to(&threads[t].sp, scheduler_sp);
}

/* ---- states ---- */

struct state {
	struct state *next;
	struct world world;
	uint64_t sp[THREADS_MAX];
	uint8_t choice;  /* next one to try */
	uint8_t *stacks; /* used parts, one after the other */
};

static uint64_t *seen;
static uint64_t seen_mask, seen_count;

static uint64_t hash_bytes(const void *bytes, size_t size, uint64_t hash)
{
	const uint64_t *words = bytes;

	for (size_t i = 0; i < size / 8; i++) {
		hash = (hash ^ words[i]) * 0x9e3779b97f4a7c15ull;
		hash ^= hash >> 29;
	}
	return hash;
}

static void blocks_to_world(void)
{
	for (uint32_t i = 0; i < world->shm.block_count; i++)
		memcpy(&world->header[i], &blocks[i], sizeof(world->header[i]));
}

static size_t stack_used(int t)
{
	return (size_t)(threads[t].stack + STACK_BYTES - (uint8_t *)threads[t].sp);
}

static struct state *save(void)
{
	struct state *state = malloc(sizeof(*state));
	size_t bytes = 0, at = 0;

	for (int t = 0; t < thread_count; t++)
		bytes += stack_used(t);
	state->stacks = malloc(bytes);
	if (!state->stacks)
		abort();
	blocks_to_world();
	state->world = *world;
	for (int t = 0; t < thread_count; t++) {
		state->sp[t] = threads[t].sp;
		memcpy(state->stacks + at, (void *)threads[t].sp, stack_used(t));
		at += stack_used(t);
	}
	state->choice = 0;
	return state;
}

static void restore(const struct state *state)
{
	size_t at = 0;

	*world = state->world;
	for (uint32_t i = 0; i < world->shm.block_count; i++)
		memcpy(&blocks[i], &world->header[i], sizeof(world->header[i]));
	for (int t = 0; t < thread_count; t++) {
		threads[t].sp = state->sp[t];
		memcpy((void *)threads[t].sp, state->stacks + at, stack_used(t));
		at += stack_used(t);
	}
}

/* True when this state was not seen before. Two hashes' 64 bits: a false "seen" is one in 10^7 at a million states. */
static bool first_visit(void)
{
	uint64_t hash = 0x1234567;
	uint64_t at;

	blocks_to_world();
	hash = hash_bytes(world, sizeof(*world), hash);
	for (int t = 0; t < thread_count; t++) {
		hash = hash_bytes(&threads[t].sp, sizeof(uint64_t), hash);
		hash = hash_bytes((void *)threads[t].sp, stack_used(t), hash);
	}
	hash |= 1;
	for (at = hash >> 7 & seen_mask; seen[at]; at = (at + 1) & seen_mask)
		if (seen[at] == hash)
			return false;
	seen[at] = hash;
	seen_count++;
	return true;
}

static void check_queue(const struct gt_queue_ref *queue, uint8_t *places)
{
	uint64_t word = *queue->word;
	uint64_t tail = word >> GT_TICKET_SHIFT, head = tail - (word & GT_LENGTH_MASK);
	uint32_t found = 0;

	for (uint64_t i = 0; i <= queue->slot_mask; i++) {
		uint64_t slot = queue->slots[i];
		uint32_t block = gt__slot_block(slot);

		if (block == GT_SLOT_EMPTY)
			continue;
		places[block]++;
		found++;
		/* Not stranded: its ticket is one that a taker will come to. */
		if (gt__ticket_diff(gt__slot_ticket(slot), head) < 0 ||
			gt__ticket_diff(gt__slot_ticket(slot), tail) >= 0)
			failure = "a block is stranded outside its queue's tickets";
	}
	if (found != gt_queue_length(queue))
		failure = "a queue's length is not what it holds";
}

static void check_final(void)
{
	struct gt_exchange exchange = gt_exchange_of(&world->shm);
	uint8_t places[BLOCKS_MAX] = {0};

	check_queue(&exchange.sealed, places);
	check_queue(&exchange.free, places);
	for (int t = 0; t < thread_count; t++) {
		uint64_t own = world->m[t].own;

		if (GT_OWN_STATE(own) == GT_OWN_OWNED)
			places[GT_OWN_BLOCK(own)]++;
		if (GT_OWN_STATE(own) == GT_OWN_BUSY || world->m[t].busy)
			failure = "an M is left busy";
		if (world->m[t].pos != world->m[t].done)
			failure = "a reservation is left open";
	}
	for (uint32_t i = 0; i < world->shm.block_count; i++)
		if (places[i] != 1)
			failure = places[i] ? "a block is in two places" : "a block is in no place";
	if (world->shm.blocks_leaked)
		failure = "a put gave up";
}

/* ---- scenarios ---- */

static void make_queue(struct gt_queue *queue, _Atomic uint64_t *slots, uint32_t slot_count)
{
	for (uint32_t i = 0; i < slot_count; i++)
		slots[i] = gt__slot_word(i, GT_SLOT_EMPTY);
	queue->slots_offset = (uint64_t)((uint8_t *)slots - (uint8_t *)world);
	queue->slot_mask = slot_count - 1;
	queue->word = (uint64_t)slot_count << GT_TICKET_SHIFT;
}

static void fill(struct gt_queue *queue, uint32_t first, uint32_t count)
{
	struct gt_queue_ref ref = gt__queue_ref(&world->shm, queue);

	for (uint32_t i = first; i < first + count; i++) {
		uint64_t word = *ref.word;

		*ref.word = word + ((uint64_t)1 << GT_TICKET_SHIFT) + 1;
		ref.slots[word >> GT_TICKET_SHIFT & ref.slot_mask] = gt__slot_word(word >> GT_TICKET_SHIFT, i);
	}
}

struct scenario {
	const char *name;
	uint32_t block_count, slot_count, sealed; /* blocks that begin in the sealed queue; the rest is free */
	enum gt_shm_mode mode;
	struct {
		int role, steps, signals;
	} thread[THREADS_MAX];
};

static const struct scenario scenarios[] = {
	{"two movers, one swapper's blocks", 2, 4, 1, GT_MODE_FLIGHT, {{ROLE_PUT_TAKE, 2, 0}, {ROLE_COLLECTOR, 2, 0}}},
	{"two swappers", 4, 8, 2, GT_MODE_FLIGHT, {{ROLE_SWAP, 2, 0}, {ROLE_SWAP, 2, 0}}},
	{"two swappers, a ring of four", 2, 4, 1, GT_MODE_FLIGHT, {{ROLE_SWAP, 3, 0}, {ROLE_SWAP, 3, 0}}},
	{"a swapper laps a taker", 2, 4, 1, GT_MODE_FLIGHT, {{ROLE_SWAP, 7, 0}, {ROLE_COLLECTOR, 1, 0}}},
	{"two swappers lap a taker", 3, 4, 1, GT_MODE_FLIGHT,
		{{ROLE_SWAP, 3, 0}, {ROLE_COLLECTOR, 1, 0}, {ROLE_SWAP, 3, 0}}},
	{"two movers lap a taker", 2, 4, 1, GT_MODE_FLIGHT,
		{{ROLE_SWAP, 5, 0}, {ROLE_COLLECTOR, 1, 0}, {ROLE_PUT_TAKE, 1, 0}}},
	{"put, take and swap", 3, 8, 1, GT_MODE_FLIGHT,
		{{ROLE_SWAP, 1, 0}, {ROLE_PUT_TAKE, 1, 0}, {ROLE_COLLECTOR, 1, 0}}},
	{"three movers", 4, 8, 2, GT_MODE_FLIGHT,
		{{ROLE_COLLECTOR, 2, 0}, {ROLE_PUT_TAKE, 1, 0}, {ROLE_COLLECTOR, 1, 0}}},
	{"one writer with signals, streaming", 4, 8, 0, GT_MODE_STREAM, {{ROLE_WRITER, 4, 3}}},
	{"one writer with signals, flight", 3, 8, 0, GT_MODE_FLIGHT, {{ROLE_WRITER, 6, 3}}},
	{"writer and collector, streaming", 4, 8, 0, GT_MODE_STREAM, {{ROLE_WRITER, 5, 1}, {ROLE_COLLECTOR, 2, 0}}},
	{"two writers, flight, three blocks", 3, 8, 1, GT_MODE_FLIGHT, {{ROLE_WRITER, 5, 0}, {ROLE_WRITER, 5, 0}}},
	{"two writers and signals, flight", 4, 8, 1, GT_MODE_FLIGHT, {{ROLE_WRITER, 3, 1}, {ROLE_WRITER, 3, 1}}},
	{"two writers, thief, flight", 4, 8, 1, GT_MODE_FLIGHT,
		{{ROLE_WRITER, 3, 0}, {ROLE_WRITER, 3, 0}, {ROLE_THIEF, 1, 0}}},
	{"two writers, flight", 4, 8, 1, GT_MODE_FLIGHT, {{ROLE_WRITER, 4, 0}, {ROLE_WRITER, 3, 0}}},
	{"writer with a signal and thief", 4, 8, 0, GT_MODE_FLIGHT, {{ROLE_WRITER, 4, 1}, {ROLE_THIEF, 2, 0}}},
	{"writer of one block, and thief", 1, 4, 0, GT_MODE_FLIGHT, {{ROLE_WRITER, 7, 0}, {ROLE_THIEF, 2, 0}}},
	{"writer, cleaner, thief of one M", 4, 8, 1, GT_MODE_FLIGHT,
		{{ROLE_WRITER, 3, 0}, {ROLE_CLEANER, 1, 0}, {ROLE_THIEF, 1, 0}}},
	{"writer of one block, and cleaner", 1, 4, 0, GT_MODE_FLIGHT, {{ROLE_WRITER, 5, 0}, {ROLE_CLEANER, 2, 0}}},
	{"Go writer with signals and thief", 4, 8, 0, GT_MODE_FLIGHT, {{ROLE_GO_WRITER, 4, 2}, {ROLE_THIEF, 2, 0}}},
	{"Go writer, signal, one block, cleaner", 2, 4, 1, GT_MODE_FLIGHT,
		{{ROLE_GO_WRITER, 4, 1}, {ROLE_CLEANER, 2, 0}}},
	{"writer, thief and collector", 4, 8, 0, GT_MODE_STREAM,
		{{ROLE_WRITER, 3, 0}, {ROLE_THIEF, 1, 0}, {ROLE_COLLECTOR, 1, 0}}},
};

static void begin(const struct scenario *scenario)
{
	memset(world, 0, sizeof(*world));
	memset(blocks, 0, BLOCKS_MAX * sizeof(*blocks));
	world->shm.block_count = scenario->block_count;
	world->shm.blocks_offset = (uint64_t)((uint8_t *)blocks - (uint8_t *)world);
	world->shm.mode = scenario->mode;
	make_queue(&world->shm.sealed, world->sealed_slots, scenario->slot_count);
	make_queue(&world->shm.free, world->free_slots, scenario->slot_count);
	fill(&world->shm.sealed, 0, scenario->sealed);
	fill(&world->shm.free, scenario->sealed, scenario->block_count - scenario->sealed);
	thread_count = 0;
	for (int t = 0; t < THREADS_MAX && scenario->thread[t].steps; t++) {
		uint64_t *top = (uint64_t *)(threads[t].stack + STACK_BYTES);

		memset(threads[t].stack, 0, STACK_BYTES);
		roles[t] = scenario->thread[t].role;
		steps[t] = scenario->thread[t].steps;
		world->signals[t] = (uint8_t)scenario->thread[t].signals;
		*--top = 0;
		*--top = (uint64_t)thread_main;
		top -= 6;
		threads[t].sp = (uint64_t)top;
		thread_count++;
	}
}

/* One step of the state's next choice: thread t runs to its next point; for t + THREADS_MAX a signal comes first. */
static bool step(int choice)
{
	int t = choice % THREADS_MAX;

	if (t >= thread_count || world->finished[t])
		return false;
	if (choice >= THREADS_MAX) {
		/* The thread must stand at a point, not before its first instruction. */
		if (!world->signals[t] || world->in_signal[t] >= 2 ||
			threads[t].sp == (uint64_t)(threads[t].stack + STACK_BYTES - 64))
			return false;
		deliver = true;
	}
	current = t;
	switch_to(&scheduler_sp, threads[t].sp);
	return true;
}

static int explore(const struct scenario *scenario, uint64_t states_max)
{
	struct state *top;
	uint64_t finals = 0;
	bool bounded = false;

	memset(seen, 0, (seen_mask + 1) * sizeof(*seen));
	seen_count = 0;
	failure = NULL;
	begin(scenario);
	first_visit();
	top = save();
	top->next = NULL;
	while (top && !failure) {
		bool all = true;
		struct state *state;

		if (top->choice == 2 * THREADS_MAX || seen_count >= states_max) {
			bounded |= seen_count >= states_max;
			state = top->next;
			free(top->stacks);
			free(top);
			top = state;
			continue;
		}
		restore(top);
		for (int t = 0; t < thread_count; t++)
			all = all && world->finished[t];
		if (all) {
			check_final();
			finals++;
			top->choice = 2 * THREADS_MAX;
			continue;
		}
		if (!step(top->choice++) || !first_visit())
			continue;
		state = save();
		state->next = top;
		top = state;
	}
	printf("%-36s %9" PRIu64 " states, %6" PRIu64 " ends%s%s%s\n", scenario->name, seen_count, finals,
		bounded ? " (bound reached)" : "", failure ? ": " : "", failure ? failure : "");
	while (top) {
		struct state *state = top->next;

		free(top->stacks);
		free(top);
		top = state;
	}
	return failure ? 1 : 0;
}

int main(int argc, char **argv)
{
	const char *bound = argc > 1 ? argv[1] : getenv("GTRACE_EXPLORE");
	uint64_t states_max = bound ? strtoull(bound, NULL, 10) : 150000;
	size_t area = sizeof(*world) + 4096 + BLOCKS_MAX * sizeof(*blocks) + THREADS_MAX * STACK_BYTES;
	uint8_t *memory = mmap(NULL, area, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int ret = 0;

	if (memory == MAP_FAILED || states_max < 1)
		return 1;
	world = (struct world *)memory;
	blocks = (struct gt_block *)(memory + (sizeof(*world) + 4095) / 4096 * 4096);
	for (int t = 0; t < THREADS_MAX; t++)
		threads[t].stack = (uint8_t *)(blocks + BLOCKS_MAX) + t * STACK_BYTES;
	for (seen_mask = 1024; seen_mask < states_max * 2; seen_mask *= 2)
		;
	seen = calloc(seen_mask--, sizeof(*seen));
	if (!seen)
		return 1;
	setvbuf(stdout, NULL, _IOLBF, 0); /* with a large bound each takes minutes */
	for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++)
		if (argc < 3 || strstr(scenarios[i].name, argv[2]))
			ret |= explore(&scenarios[i], states_max);
	free(seen);
	return ret;
}
#endif
