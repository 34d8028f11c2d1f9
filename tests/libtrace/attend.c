/*
 * attend.c - requests of gtrace attach that are nonsense: the program goes on, answers each, and is recorded by the next that is none.
 *
 *   libtrace-attend [ROUNDS [FIRST]]        GTRACE_RUNS=long: many more; FIRST: the seed of the first round
 *   libtrace-attend hostile         what the program tells gtrace is nonsense: for tests/e2e/cases_linked.py
 *
 * Each round is a process of its own, with threads that record, one that looks, and a list of goroutines. Somebody who may write to its
 * memory writes into struct gt_attend: single words of a request, or all of it, what belongs to the program too.
 * Then a request that is right: it must be answered as such.
 */
#include "base/san.h"
#include "libtrace/attend.h"
#include "libtrace/connect.h"

#include <errno.h>
#include <gtrace/hooks.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define REQUESTS 12 /* of nonsense a round */
#define WRITERS  2
#define LIVING   300
#define NAPS_MAX 600000 /* of 100 us */

extern struct gt_attend gt__attend __attribute__((visibility("hidden")));

static _Atomic uint32_t asleep;
static uint64_t seed;

static void fail(const char *what, uint64_t value)
{
	fprintf(stderr, "libtrace-attend: %s: %llu (seed %llu)\n", what, (unsigned long long)value,
		(unsigned long long)seed);
	_exit(1);
}

static void nap(void)
{
	nanosleep(&(const struct timespec){.tv_nsec = 100000}, NULL);
}

static uint64_t chance(void)
{
	static uint64_t state;

	if (!state)
		state = seed * 0x9e3779b97f4a7c15ull + 1;
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* ---- the program ---- */

static void *look(void *arg)
{
	(void)arg;
	for (;;) {
		gt_hook_watch(&asleep);
		nap();
	}
	return NULL;
}

static void *record(void *arg)
{
	uint64_t g = 1 + (uint64_t)(uintptr_t)arg;

	for (;;) {
		gt_hook_run(g, GT_STATE_RUNNABLE, 0);
		gt_hook_yield(g, GT_REASON_UNKNOWN);
	}
	return NULL;
}

static size_t living(uint32_t gate, uint64_t at[2], struct gt_hook_alive *out, size_t room)
{
	size_t count = 0;

	(void)gate;
	for (; at[0] < LIVING && count < room; at[0]++)
		out[count++] = (struct gt_hook_alive){.g = 1000 + at[0], .state = GT_STATE_WAITING};
	return count;
}

static const struct gt_hook_world world = {.alive = living};

/* ---- who asks ---- */

static uint32_t ask(enum gt_attend_what what)
{
	struct gt_attend *a = &gt__attend;
	uint32_t request = ((uint32_t)chance() & 0xfffffff) << 4 | (uint32_t)what;

	if (request == __atomic_load_n(&a->answer, __ATOMIC_ACQUIRE))
		request ^= 16;
	__atomic_store_n(&a->request, request, __ATOMIC_RELEASE);
	syscall(SYS_futex, &a->request, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	for (int i = 0; i < NAPS_MAX; i++) {
		if (__atomic_load_n(&a->answer, __ATOMIC_ACQUIRE) == request)
			return request;
		nap();
	}
	fail("no answer to request", what);
	return 0;
}

static GT_SAN_NO_TSAN void put_sizes(void)
{
	struct gt_attend *a = &gt__attend;

	a->owner = 0;
	a->since = 0;
	a->sets = GT_SET_SCHED;
	a->block_count = 64;
	a->max_bytes = 8 << 20;
	a->mode = 0;
	a->m_count = 256;
	a->m_limit = 64;
	a->stack_slot_count = 64;
	a->arena_words = 1024;
	a->stack_depth = 16;
	a->string_slot_count = 16;
	a->string_bytes = 512;
}

/* Sizes that a program could give, but that would take a test too long, are not among them. */
static uint64_t nonsense(void)
{
	static const uint64_t odd[] = {0, 1, 2, 3, 5, 63, 64, 255, 4096, 4097, 65535, 0x7fffffff, 0x80000000,
		0xffffffff, 0x100000000, 0x7fffffffffffffff, UINT64_MAX};

	return chance() % 4 ? odd[chance() % (sizeof(odd) / sizeof(odd[0]))] : chance() << 32 | chance() >> 20;
}

/* Without a word to anybody, as ptrace and /proc/PID/mem do. */
static GT_SAN_NO_TSAN void put(size_t at, uint32_t value)
{
	*(volatile uint32_t *)(void *)((char *)&gt__attend + at) = value;
}

static void garble(void)
{
	const size_t from = offsetof(struct gt_attend, owner), words = (sizeof(gt__attend) - from) / 4;

	put_sizes();
	if (chance() % 4) {
		for (uint64_t i = chance() % 4; i < 4; i++)
			put(from + chance() % words * 4, (uint32_t)nonsense());
		return;
	}
	for (size_t at = offsetof(struct gt_attend, looker); at + 4 <= sizeof(gt__attend); at += 4)
		if (at != offsetof(struct gt_attend, answer) && at != offsetof(struct gt_attend, request))
			put(at, (uint32_t)nonsense());
}

/* An M table that the program's threads have filled would stay, and have no M for goroutines that are on none. */
static void too_few(void)
{
	put_sizes();
	gt__attend.m_count = 1;
	ask(GT_ATTEND_MEMORY);
	if (gt__attend.result != -EINVAL)
		fail("a table of one thread is made", (uint64_t)-gt__attend.result);
}

static void recorded(void)
{
	struct gt_attend *a = &gt__attend;
	uint64_t now = 0;

	put_sizes();
	ask(GT_ATTEND_MEMORY);
	if (a->result < 0)
		fail(a->text, (uint64_t)-a->result);
	ask(GT_ATTEND_OPEN);
	if (a->result < 0)
		fail(a->text, (uint64_t)-a->result);
	if (a->alive_count != LIVING)
		fail("goroutines are told", a->alive_count);
	/* The writers write, whatever sizes the memory has: blocks go round, or they count what they lose. */
	for (int i = 0; i < NAPS_MAX && !now; i++, nap()) {
		now = atomic_load(&gt__connected()->shm->lost_no_m);
		for (uint32_t m = 0; m < 4 && m < gt__connected()->m_count; m++)
			now += atomic_load(&gt_shm_m(gt__connected(), m)->pos) +
			       atomic_load(&gt_shm_m(gt__connected(), m)->lost);
	}
	if (!now)
		fail("nothing is recorded", 0);
	ask(GT_ATTEND_CLOSE);
	if (a->result < 0)
		fail(a->text, (uint64_t)-a->result);
}

static void one_round(void)
{
	pthread_t thread;

	gt_hook_world(&world);
	pthread_create(&thread, NULL, look, NULL);
	for (uintptr_t i = 0; i < WRITERS; i++)
		pthread_create(&thread, NULL, record, (void *)i);
	too_few();
	for (int i = 0; i < REQUESTS; i++) {
		garble();
		ask(chance() % 4 ? 1 + (enum gt_attend_what)(chance() % 3) : (enum gt_attend_what)(chance() % 16));
	}
	recorded();
	recorded();
	_exit(0);
}

/* Answers as it should, and now and then what it says is something else. */
static void hostile(void)
{
	const size_t from = offsetof(struct gt_attend, looker), to = offsetof(struct gt_attend, text);
	pthread_t thread;

	seed = 7;
	gt_hook_world(&world);
	pthread_create(&thread, NULL, look, NULL);
	pthread_create(&thread, NULL, record, NULL);
	puts("ready");
	fflush(stdout);
	for (;;) {
		size_t at = from + chance() % ((to - from) / 4) * 4;

		for (uint64_t naps = chance() % 20; naps; naps--)
			nap();
		if (at != offsetof(struct gt_attend, answer) || chance() % 8 == 0)
			put(at, (uint32_t)nonsense());
	}
}

int main(int argc, char **argv)
{
	const char *runs = getenv("GTRACE_RUNS");
	uint64_t rounds = argc > 1 ? strtoull(argv[1], NULL, 10) : runs && strcmp(runs, "long") == 0 ? 5000 : 40;

	uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;

	if (argc > 1 && strcmp(argv[1], "hostile") == 0)
		hostile();
	for (seed = first; seed < first + rounds; seed++) {
		pid_t child = fork();
		int status;

		if (child == 0)
			one_round();
		if (child < 0 || waitpid(child, &status, 0) != child) {
			perror("libtrace-attend: fork");
			return 1;
		}
		if (status != 0) {
			fprintf(stderr, "libtrace-attend: seed %llu: the program ended with status %#x\n",
				(unsigned long long)seed, (unsigned int)status);
			return 1;
		}
	}
	printf("%llu programs, %llu requests of nonsense, each recorded afterwards\n", (unsigned long long)rounds,
		(unsigned long long)rounds * REQUESTS);
	return 0;
}
