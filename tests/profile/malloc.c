/*
 * malloc.c - every way into libgtrace_malloc: what it counts is what was done, on many threads, over fork, in threads' ends.
 */
#include "runtime/malloc/api.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define check(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			_exit(1); \
		} \
	} while (0)

extern const struct gt_malloc_api gt__malloc_api;

#define THREADS 8

static int64_t live_sampled(void)
{
	struct gt_buckets buckets = {0};
	int64_t bytes = 0;

	check(gt__malloc_api.copy(&buckets) == 0);
	for (const struct gt_bucket *bucket = buckets.first; bucket; bucket = bucket->next) {
		check(bucket->values[2] >= 0 && bucket->values[3] >= 0 && bucket->values[0] >= bucket->values[2]);
		bytes += bucket->values[3];
	}
	gt_buckets_free(&buckets);
	return bytes;
}

/* ---- one thread: each call is one ---- */

static void calls(void)
{
	struct gt_malloc_totals before, after;
	volatile size_t huge = SIZE_MAX / 2;
	void *at, *volatile none;

	gt__malloc_api.rate(1);
	gt__malloc_api.totals(&before);
	at = malloc(100);
	check(at && malloc_usable_size(at) >= 100);
	memset(at, 1, malloc_usable_size(at));
	at = realloc(at, 100000);
	check(at && malloc_usable_size(at) >= 100000 && ((char *)at)[99] == 1);
	errno = 0;
	none = realloc(at, huge); /* refused: the old one stays, and its sample */
	check(!none && errno == ENOMEM && ((char *)at)[99] == 1);
	none = reallocarray(at, huge, 4);
	check(!none);
	at = reallocarray(at, 10, 20);
	check(at);
	errno = 7;
	free(at);
	free(NULL);
	check(errno == 7);
	at = calloc(3, 1000);
	check(at && !((char *)at)[2999] && malloc_usable_size(at) >= 3000);
	free(at);
	at = aligned_alloc(256, 512);
	check(at && (uintptr_t)at % 256 == 0);
	free(at);
	at = memalign(4096, 10);
	check(at && (uintptr_t)at % 4096 == 0);
	free(at);
	check(posix_memalign(&at, 64, 1000) == 0 && (uintptr_t)at % 64 == 0);
	free(at);
	check(posix_memalign(&at, 3, 1000) == EINVAL);
	at = valloc(1);
	check(at && (uintptr_t)at % 4096 == 0);
	free(at);
	at = pvalloc(1);
	check(at && malloc_usable_size(at) >= 4096);
	free(at);
	at = strdup("a copy, made inside of the C library");
	check(at);
	free(at);
	at = malloc(0);
	check(at);
	none = realloc(at, 0); /* a free */
	gt__malloc_api.totals(&after);
	check(after.allocs - before.allocs == 11 && after.frees - before.frees == 11);
	check(after.alloc_bytes - before.alloc_bytes == after.free_bytes - before.free_bytes);
	check(live_sampled() == 0);
}

/* ---- many threads give each other what they free ---- */

static void *_Atomic slots[64];
static pthread_key_t late;

static void at_the_end(void *at)
{
	/* Some destructors come after ours. */
	free(at);
	free(malloc(500));
}

static void *work(void *arg)
{
	unsigned int seed = (unsigned int)(uintptr_t)arg;

	pthread_setspecific(late, malloc(77));
	for (int i = 0; i < 20000; i++) {
		size_t size = (size_t)(rand_r(&seed) % 3000);
		void *at = i % 3 ? malloc(size) : calloc(1, size);

		check(at);
		if (i % 7 == 0)
			check((at = realloc(at, size + 100)));
		free(__atomic_exchange_n((void **)&slots[rand_r(&seed) % 64], at, __ATOMIC_ACQ_REL));
	}
	return NULL;
}

static void forks(void)
{
	for (int i = 0; i < 10; i++) {
		pid_t child = fork();
		int status;

		if (child == 0) {
			for (int k = 0; k < 1000; k++)
				free(malloc((size_t)k));
			live_sampled();
			_exit(0);
		}
		check(child > 0 && waitpid(child, &status, 0) == child && status == 0);
	}
}

static void threads(void)
{
	const char *runs = getenv("GTRACE_RUNS");
	int rounds = runs && strcmp(runs, "long") == 0 ? 100 : 2;
	struct gt_malloc_totals before, after;
	pthread_t thread[THREADS];

	gt__malloc_api.totals(&before);
	for (int round = 0; round < rounds; round++) {
		for (int i = 0; i < THREADS; i++)
			check(pthread_create(&thread[i], NULL, work, (void *)(uintptr_t)(round * THREADS + i + 1)) ==
				0);
		forks();
		for (int i = 0; i < THREADS; i++)
			check(pthread_join(thread[i], NULL) == 0);
	}
	for (int i = 0; i < 64; i++)
		free(slots[i]);
	gt__malloc_api.totals(&after);
	/* The C library keeps a few of its own for its threads. */
	check(live_sampled() < 65536);
	check(after.allocs - before.allocs >= (uint64_t)rounds * THREADS * 20000);
	check((int64_t)(after.alloc_bytes - before.alloc_bytes - (after.free_bytes - before.free_bytes)) >= 0);
	check(after.alloc_bytes - before.alloc_bytes - (after.free_bytes - before.free_bytes) < 65536);
}

int main(void)
{
	check(pthread_key_create(&late, at_the_end) == 0);
	calls();
	gt__malloc_api.rate(2000);
	threads();
	check(gt__malloc_api.rate(0) == 2000);
	return 0;
}
