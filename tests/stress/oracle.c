/*
 * oracle.c - threads emit numbered records, signals interrupt them to emit more, another process reads.
 *
 *   oracle flight    snapshots while the writers run: each M's records are an unbroken suffix, whole, none twice, and the
 *                    newest that was published before the copy is in it; idle Ms are robbed of their blocks
 *   oracle kill      the writers are killed at a random instant: the window says the same twice, and holds the newest record
 *   oracle stream    every record that was not counted as lost arrives once, in order
 *
 * Each thread has two numbered streams: its own records and its signal handler's. A number is used up only by a record
 * that was committed, so any gap is an error. GTRACE_STRESS_SECONDS makes it longer; GTRACE_SEED another run.
 * Under ThreadSanitizer the writers are threads of the reader's process, without signals.
 */
#include "libtrace/connect.h"
#include "libtrace/refill.h"
#include "libtrace/walk.h"

#include "base/clock.h"

#include <errno.h>
#include <gtrace/hooks.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__)
#define WITHOUT_PROCESS 1
#else
#define WITHOUT_PROCESS 0
#endif

#define MS_MAX     4096
#define THREADS    6
#define SIGNAL_NS  150000
#define CHECK_BITS 22

enum stream { STREAM_OWN, STREAM_SIGNAL, STREAM_COUNT };

/* Between writers and reader, apart from the memory under test. */
struct board {
	_Atomic uint64_t published[MS_MAX][STREAM_COUNT];
	_Atomic uint64_t attempts;
	_Atomic bool stop;
};

static struct board *board;
static struct gt_memory memory;
static uint64_t errors, records_checked;
static uint64_t seed = 1;

__attribute__((format(printf, 1, 2))) static void wrong(const char *format, ...)
{
	va_list args;

	if (errors++ > 20)
		return;
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

static uint64_t mix(uint64_t value)
{
	value = (value ^ value >> 31) * 0x9e3779b97f4a7c15ull;
	return value ^ value >> 29;
}

/* ---- writers ---- */

struct writer {
	uint64_t number[STREAM_COUNT];
	uint64_t attempts[STREAM_COUNT];
	unsigned int depth; /* records begun: nothing is promised while one is in flight, it may hide those behind it */
};

static __thread struct writer *self;

static void emit(enum stream stream)
{
	uint64_t n = self->number[stream] + 1;
	unsigned int cells = (unsigned int)(mix(n + stream) % 7 == 0 ? 3 : mix(n) % 3 == 0 ? 2 : 1);
	uint64_t words[5];
	bool stored;

	words[0] = n << 1 | stream | (mix(n ^ stream) >> (64 - CHECK_BITS)) << (64 - CHECK_BITS);
	for (unsigned int i = 2; i < 6; i++)
		words[i - 1] = mix(n * 8 + i);
	self->attempts[stream]++;
	self->depth++;
	GT__SIGNAL_ORDER();
	if (cells == 1)
		stored = gt__hook_record1(1, words[0]);
	else if (cells == 2)
		stored = gt__hook_record2(2, words[0], words[1], words[2]);
	else
		stored = gt__hook_record3(3, words);
	if (stored)
		self->number[stream] = n;
	GT__SIGNAL_ORDER();
	self->depth--;
	GT__SIGNAL_ORDER();
	if (stored && self->depth == 0)
		for (int i = 0; i < STREAM_COUNT; i++)
			atomic_store_explicit(&board->published[gt__hook_m - gt_shm_m(&memory, 0)][i], self->number[i],
				memory_order_release);
}

static void on_signal(int number)
{
	int keep = errno;

	(void)number;
	if (self)
		for (int i = 0; i < 3; i++)
			emit(STREAM_SIGNAL);
	errno = keep;
}

static timer_t start_signals(void)
{
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1};
	struct itimerspec every = {.it_interval.tv_nsec = SIGNAL_NS, .it_value.tv_nsec = SIGNAL_NS};
	timer_t timer = NULL;

	event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	if (timer_create(CLOCK_MONOTONIC, &event, &timer) == 0)
		timer_settime(timer, 0, &every, NULL);
	return timer;
}

/* A thread's life: bursts, naps in which its block may be stolen, an end. */
static void *life(void *arg)
{
	struct writer writer = {0};
	uint64_t random = mix((uint64_t)(uintptr_t)arg + seed * 1000);
	uint64_t bursts = 20 + random % 200;
	timer_t timer = NULL;

	self = &writer;
	if (!WITHOUT_PROCESS)
		timer = start_signals();
	for (uint64_t i = 0; i < bursts && !atomic_load_explicit(&board->stop, memory_order_relaxed); i++) {
		random = mix(random + i);
		for (uint64_t k = random % 3000; k > 0; k--)
			emit(STREAM_OWN);
		if (random % 5 == 0)
			usleep(random >> 40 & 2047);
	}
	if (timer)
		timer_delete(timer);
	__atomic_store_n(&self, NULL, __ATOMIC_SEQ_CST);
	atomic_fetch_add(&board->attempts, writer.attempts[0] + writer.attempts[1]);
	return NULL;
}

/* One slot of THREADS: thread after thread, each a new M. */
static void *lives(void *arg)
{
	uint64_t number = (uint64_t)(uintptr_t)arg;

	while (!atomic_load_explicit(&board->stop, memory_order_relaxed)) {
		pthread_t thread;

		number += THREADS;
		if (pthread_create(&thread, NULL, life, (void *)(uintptr_t)number) != 0)
			continue;
		pthread_join(thread, NULL);
	}
	return NULL;
}

static pthread_t slots[THREADS];

static void start_writers(void)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

	sigaction(SIGUSR1, &action, NULL);
	if (gt__connect(&memory) != 0)
		abort();
	for (uint64_t i = 0; i < THREADS; i++)
		if (pthread_create(&slots[i], NULL, lives, (void *)(uintptr_t)i) != 0)
			abort();
}

static void join_writers(void)
{
	for (int i = 0; i < THREADS; i++)
		pthread_join(slots[i], NULL);
}

/* ---- the reader ---- */

static struct {
	uint64_t next[STREAM_COUNT]; /* 0: not known */
	uint64_t seq;
	uint32_t offset;
	bool known, whole; /* whole: that block was read when sealed, all of it */
	uint64_t pos;      /* at the last round: the same twice = idle */
} ms[MS_MAX];

static void check_record(const struct gt_view *view, const struct gt_record *record, uint64_t next[STREAM_COUNT])
{
	uint64_t word = record->word[1];
	enum stream stream = word & 1;
	uint64_t n = (word << CHECK_BITS) >> (CHECK_BITS + 1);

	records_checked++;
	if (word >> (64 - CHECK_BITS) != mix(n ^ stream) >> (64 - CHECK_BITS) || record->kind != record->words / 2) {
		wrong("M %u block %" PRIu64 ": a torn record: %" PRIx64 " %" PRIx64, view->m, view->seq,
			record->word[0], word);
		return;
	}
	for (unsigned int i = 2; i < record->words; i++)
		if (record->word[i] != mix(n * 8 + i))
			wrong("M %u block %" PRIu64 ": record %" PRIu64 " is torn in word %u", view->m, view->seq, n,
				i);
	if (next[stream] && n != next[stream])
		wrong("M %u block %" PRIu64 ": record %" PRIu64 " of stream %d where %" PRIu64 " must be", view->m,
			view->seq, n, stream, next[stream]);
	next[stream] = n + 1;
}

static uint32_t ms_used(void)
{
	return (uint32_t)atomic_load_explicit(&memory.shm->m_next, memory_order_relaxed);
}

struct promise {
	uint64_t published[MS_MAX][STREAM_COUNT];
};

static void look_at_board(struct promise *promise)
{
	for (uint32_t m = 0; m < ms_used(); m++)
		for (int stream = 0; stream < STREAM_COUNT; stream++)
			promise->published[m][stream] =
				atomic_load_explicit(&board->published[m][stream], memory_order_acquire);
}

/* Returns a sum of all that is in the copy. @resting: nobody writes. */
static uint64_t check_copy(const struct gt_copy *copy, const struct promise *promise)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < copy->m_count; i++) {
		const struct gt_copy_m *m = &copy->ms[i];
		uint64_t next[STREAM_COUNT] = {0};

		if (m->count && copy->views[m->first].seq == 1)
			next[STREAM_OWN] = next[STREAM_SIGNAL] = 1;
		for (uint32_t k = m->first; k < m->first + m->count; k++) {
			struct gt_walk walk = {0};
			struct gt_record record;

			while (gt_walk_next(&walk, &copy->views[k], true, &record)) {
				check_record(&copy->views[k], &record, next);
				sum = mix(sum + record.word[0] + record.word[1]);
			}
			if (walk.in_flight && !copy->views[k].open)
				wrong("M %u: a record in flight in sealed block %" PRIu64, m->m, copy->views[k].seq);
		}
		/* Only the newest blocks may be looked at: an old M's may all have been overwritten. */
		for (int stream = 0; stream < STREAM_COUNT && copy->torn == 0 && m->count; stream++)
			if (next[stream] && next[stream] <= promise->published[m->m][stream])
				wrong("M %u: the newest record of stream %d is %" PRIu64 ", but %" PRIu64
				      " was published",
					m->m, stream, next[stream] - 1, promise->published[m->m][stream]);
	}
	return sum;
}

static uint64_t stolen;

static void drain_view(const struct gt_view *view, bool last)
{
	struct gt_record record;
	struct gt_walk walk = {0};

	if (view->m >= MS_MAX)
		return;
	if (ms[view->m].known && ms[view->m].seq == view->seq) {
		walk.at = ms[view->m].offset;
	} else {
		/* An open block's predecessor may have been sealed, and not taken, since it was read in part. */
		if (view->seq != ms[view->m].seq + 1 || (ms[view->m].known && !ms[view->m].whole && view->open)) {
			if (!view->open)
				wrong("M %u: block %" PRIu64 " comes after %" PRIu64, view->m, view->seq,
					ms[view->m].seq);
			return;
		}
		if (!ms[view->m].known)
			ms[view->m].next[0] = ms[view->m].next[1] = 1;
		ms[view->m].known = true;
		ms[view->m].seq = view->seq;
	}
	while (gt_walk_next(&walk, view, last, &record))
		check_record(view, &record, ms[view->m].next);
	ms[view->m].offset = walk.at;
	ms[view->m].whole = !view->open;
	if (!view->open && walk.at != view->used)
		wrong("M %u: sealed block %" PRIu64 " can be read to byte %u of %u", view->m, view->seq, walk.at,
			view->used);
}

static void drain_sealed(void)
{
	struct gt_view view;
	uint32_t block;

	while (gt_take_sealed(&memory, &block, &view)) {
		drain_view(&view, false);
		gt_give_back(&memory, block);
	}
}

/* Idle since the last round: robbed. */
static void steal_idle(bool streaming)
{
	static struct gt_steal asked[MS_MAX];
	uint32_t count = 0;

	for (uint32_t m = 0; m < ms_used(); m++) {
		uint64_t pos = atomic_load_explicit(&gt_shm_m(&memory, m)->pos, memory_order_relaxed);

		if (pos && pos == ms[m].pos && gt_steal_ask(&memory, m, &asked[count]))
			count++;
		ms[m].pos = pos;
	}
	if (!count || gt_steal_barrier() < 0)
		return;
	if (streaming)
		drain_sealed();
	for (uint32_t i = 0; i < count; i++) {
		uint32_t block = gt_steal_take(&memory, &asked[i]);
		struct gt_view view;

		if (block == GT_NO_BLOCK)
			continue;
		stolen++;
		if (!streaming) {
			gt_queue_put(&memory.exchange, &memory.exchange.sealed, block);
		} else if (gt_view_block(&memory, block, &view)) {
			drain_view(&view, false);
			gt_give_back(&memory, block);
		}
	}
}

static uint64_t lost_total(void)
{
	uint64_t total = atomic_load(&memory.shm->lost_no_m);

	for (uint32_t m = 0; m < MS_MAX; m++)
		total += gt__m_lost(gt_shm_m(&memory, m));
	return total;
}

/* ---- rounds ---- */

static void make(uint32_t block_count, enum gt_shm_mode mode)
{
	struct gt_shm_config config = {
		.block_count = block_count,
		.mode = mode,
		.m_count = MS_MAX,
		.m_limit = MS_MAX,
	};
	struct gt_error err;

	if (gt_shm_create(&config, &memory, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		exit(1);
	}
	memset(board, 0, sizeof(*board));
	memset(ms, 0, sizeof(ms));
}

static pid_t start_program(void)
{
	pid_t child = WITHOUT_PROCESS ? 0 : fork();

	if (child < 0)
		exit(1);
	if (child == 0) {
		start_writers();
		if (WITHOUT_PROCESS)
			return 0;
		join_writers();
		_exit(0);
	}
	return child;
}

static void end_program(pid_t child)
{
	atomic_store(&board->stop, true);
	if (WITHOUT_PROCESS)
		join_writers();
	else
		waitpid(child, NULL, 0);
}

static void check_conserved(void)
{
	struct gt_error err;

	if (gt_shm_conserved(&memory, &err) < 0)
		wrong("%s", err.text);
}

static void run_flight(int64_t ns)
{
	static struct promise promise;
	struct gt_copy copy = {0};
	int64_t end = gt_monotonic_ns() + ns;
	uint64_t copies = 0, torn = 0, cut = 0;
	pid_t child;

	make(48, GT_MODE_FLIGHT);
	child = start_program();
	for (; gt_monotonic_ns() < end && !errors; copies++) {
		look_at_board(&promise);
		if (gt_copy_take(&memory, &copy, NULL) < 0)
			exit(1);
		check_copy(&copy, &promise);
		torn += copy.torn;
		cut += copy.cut;
		steal_idle(false);
	}
	end_program(child);
	check_conserved();
	printf("flight: %" PRIu64 " copies, %" PRIu64 " records checked, %" PRIu64 " blocks torn, %" PRIu64
	       " cut, %" PRIu64 " stolen, %" PRIu64 " Ms, %" PRIu64 " lost of %" PRIu64 "\n",
		copies, records_checked, torn, cut, stolen, atomic_load(&memory.shm->m_next), lost_total(),
		atomic_load(&board->attempts));
	gt_copy_free(&copy);
}

static void run_kill(int64_t ns)
{
	static struct promise promise;
	int64_t end = gt_monotonic_ns() + ns;
	uint64_t rounds = 0, torn = 0;

	for (; (gt_monotonic_ns() < end || rounds < 4) && !errors; rounds++) {
		struct gt_copy copy = {0};
		uint64_t first, second;
		pid_t child;

		make(24 + (uint32_t)(mix(seed + rounds) % 40), GT_MODE_FLIGHT);
		child = start_program();
		usleep(2000 + mix(rounds * 7 + seed) % 30000);
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		look_at_board(&promise);
		if (gt_copy_take(&memory, &copy, NULL) < 0)
			exit(1);
		first = check_copy(&copy, &promise);
		if (gt_copy_take(&memory, &copy, NULL) < 0)
			exit(1);
		second = check_copy(&copy, &promise);
		if (first != second)
			wrong("two copies of a dead program differ");
		torn += copy.torn;
		if (copy.torn > THREADS)
			wrong("%u blocks of a dead program are in doubt: more than it had threads", copy.torn);
		gt_copy_free(&copy);
		gt_shm_close(&memory);
	}
	printf("kill: %" PRIu64 " rounds, %" PRIu64 " records checked, %" PRIu64 " blocks in doubt\n", rounds,
		records_checked, torn);
}

static void run_stream(int64_t ns)
{
	static uint64_t cells[GT_BLOCK_CELL_BYTES / 8];
	int64_t end = gt_monotonic_ns() + ns;
	uint64_t written;
	pid_t child;

	make(64, GT_MODE_STREAM);
	child = start_program();
	for (uint64_t round = 0;; round++) {
		bool last = gt_monotonic_ns() >= end || errors;
		struct gt_view view;

		if (last)
			end_program(child);
		drain_sealed();
		for (uint32_t m = 0; m < ms_used(); m++)
			if (atomic_load_explicit(&gt_shm_m(&memory, m)->seq, memory_order_relaxed) &&
				gt_view_open(&memory, m, cells, &view))
				drain_view(&view, false);
		if (last)
			break;
		if (round % 4 == 3)
			steal_idle(true);
		if (round % 64 == 63)
			usleep(3000); /* late: the writers run out of blocks */
	}
	check_conserved();
	written = atomic_load(&board->attempts);
	if (records_checked + lost_total() != written)
		wrong("%" PRIu64 " read + %" PRIu64 " lost is not %" PRIu64 " written", records_checked, lost_total(),
			written);
	printf("stream: %" PRIu64 " records read, %" PRIu64 " lost of %" PRIu64 ", %" PRIu64 " stolen, %" PRIu64
	       " Ms\n",
		records_checked, lost_total(), written, stolen, atomic_load(&memory.shm->m_next));
}

int main(int argc, char **argv)
{
	const char *seconds = getenv("GTRACE_STRESS_SECONDS");
	const char *mode = argc > 1 ? argv[1] : "";
	int64_t ns = (seconds ? atoll(seconds) : 2) * 1000000000;

	if (getenv("GTRACE_SEED"))
		seed = strtoull(getenv("GTRACE_SEED"), NULL, 10);
	setvbuf(stdout, NULL, _IOLBF, 0);
	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (board == MAP_FAILED)
		return 1;
	if (strcmp(mode, "flight") == 0) {
		run_flight(ns);
	} else if (strcmp(mode, "kill") == 0) {
		if (WITHOUT_PROCESS) {
			puts("skipped: a thread cannot be killed alone");
			return 77;
		}
		run_kill(ns);
	} else if (strcmp(mode, "stream") == 0) {
		run_stream(ns);
	} else {
		fprintf(stderr, "usage: oracle flight|kill|stream\n");
		return 2;
	}
	if (errors)
		fprintf(stderr, "%" PRIu64 " errors; GTRACE_SEED=%" PRIu64 "\n", errors, seed);
	return errors ? 1 : 0;
}
