/*
 * preempt.c - goroutines that never call the runtime: each gets its turns, and what belongs to its thread stays its own.
 *
 *   preempt [HOW]    spin: one that does nothing at all; libc: malloc, printf, errno; locks: pthread mutexes;
 *                    arena: as libc, where one lock guards all of malloc: it is held by a stopped goroutine half of the time
 */
#include "base/san.h"

#include <errno.h>
#include <gtrace/go.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPINNERS 4

static _Atomic bool stop;
static _Atomic long turns[SPINNERS];
static _Atomic int ended;
static _Atomic long wrong;

static void spin(void *arg)
{
	_Atomic long *mine = arg;

	while (!atomic_load_explicit(&stop, memory_order_relaxed))
		atomic_fetch_add_explicit(mine, 1, memory_order_relaxed);
	atomic_fetch_add(&ended, 1);
}

/* The C library's own errno, its address kept by the compiler: so it must not move. */
#undef errno
static void use_libc(void *arg)
{
	_Atomic long *mine = arg;
	int code = 100 + (int)(mine - turns);

	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		char *text = malloc(64 + (size_t)(*mine % 500)), copy[64];

		if (!text)
			abort();
		memset(text, code, 64);
		snprintf(copy, sizeof(copy), "%d %ld", code, *mine);
		text = realloc(text, 2000);
		if (!text)
			abort();
		for (int i = 0; i < 64; i++)
			if (text[i] != (char)code)
				atomic_fetch_add(&wrong, 1);
		free(text);
		*__errno_location() = code;
		for (volatile int i = 0; i < 200; i++)
			;
		if (*__errno_location() != code)
			atomic_fetch_add(&wrong, 1);
		if (atoi(copy) != code)
			atomic_fetch_add(&wrong, 1);
		atomic_fetch_add_explicit(mine, 1, memory_order_relaxed);
	}
	atomic_fetch_add(&ended, 1);
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static long guarded;

static void lock(void)
{
#ifdef GT_SAN_THREAD
	/* Its pthread_mutex_lock holds signals back while it waits; a call that comes back does not. */
	while (pthread_mutex_trylock(&mutex))
		;
#else
	pthread_mutex_lock(&mutex);
#endif
}

/* Whoever is stopped with the lock held keeps its thread, and gets its turn while the others wait for the lock. */
static void use_lock(void *arg)
{
	_Atomic long *mine = arg;

	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		lock();
		long before = guarded;

		for (volatile int i = 0; i < 1000; i++)
			;
		if (guarded != before)
			atomic_fetch_add(&wrong, 1);
		guarded++;
		pthread_mutex_unlock(&mutex);
		for (volatile int i = 0; i < 3000; i++)
			;
		atomic_fetch_add_explicit(mine, 1, memory_order_relaxed);
	}
	atomic_fetch_add(&ended, 1);
}

/* A turn with a contended lock may take a slice. */
static bool all_had_turns(long least)
{
	for (int i = 0; i < SPINNERS; i++)
		if (atomic_load(&turns[i]) < least)
			return false;
	return true;
}

static int run(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "spin";
	void (*fn)(void *) = strcmp(how, "libc") == 0 || strcmp(how, "arena") == 0 ? use_libc
			     : strcmp(how, "locks") == 0                           ? use_lock
										   : spin;

	for (int i = 0; i < SPINNERS; i++)
		gt_go(fn, (void *)(uintptr_t)&turns[i]);
	/* Each of these waits needs a spinner to be stopped. */
	for (int i = 0; i < 20 || !all_had_turns(fn == use_lock ? 10 : 1000); i++)
		gt_sleep(GT_MILLISECOND);
	atomic_store(&stop, true);
	while (atomic_load(&ended) < SPINNERS)
		gt_sleep(GT_MILLISECOND);
	printf("%s: %ld %ld %ld %ld turns, %ld wrong\n", how, turns[0], turns[1], turns[2], turns[3], wrong);
	return wrong ? 1 : 0;
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "arena") == 0)
		mallopt(M_ARENA_MAX, 1);
	return gt_main(argc, argv, run);
}
