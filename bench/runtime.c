/*
 * runtime.c - the runtime's basic costs, in ns: yield, spawn and join, park and ready, sleep lateness.
 *
 *   GOMAXPROCS=1 bench-runtime [yield|spawn|park|sleep|idle|syscall] [COUNT]
 */
#include "runtime/sched.h"

#include <gtrace/go.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *which = "all";
static long count;

static bool wanted(const char *name)
{
	return strcmp(which, "all") == 0 || strcmp(which, name) == 0;
}

static long times(long usual)
{
	return count > 0 ? count : usual;
}

struct join {
	struct gt_lock lock;
	long left;
	struct gt_g *waiter;
};

static void join_done(struct join *join)
{
	struct gt_g *waiter = NULL;

	gt__lock(&join->lock);
	if (--join->left == 0) {
		waiter = join->waiter;
		join->waiter = NULL;
	}
	gt__unlock(&join->lock);
	if (waiter)
		gt__ready(waiter);
}

static void join_wait(struct join *join)
{
	gt__lock(&join->lock);
	if (join->left == 0) {
		gt__unlock(&join->lock);
		return;
	}
	join->waiter = gt__self();
	gt__park_unlock(&join->lock, GT_REASON_SYNC_WAITGROUP_WAIT);
}

static void tell(const char *name, int64_t ns, long per)
{
	printf("%-28s %9.1f ns\n", name, (double)ns / (double)per);
	fflush(stdout);
}

static struct join join;
static long yields;

static void yielder(void *arg)
{
	for (long i = 0; i < yields; i++)
		gt_yield();
	join_done(&join);
}

static void bench_yield(int goroutines)
{
	char name[32];
	int64_t begin = gt__now();

	yields = times(5000000) / goroutines;
	join.left = goroutines;
	for (int i = 0; i < goroutines; i++)
		gt_go(yielder, NULL);
	join_wait(&join);
	snprintf(name, sizeof(name), "yield, %d goroutines", goroutines);
	tell(name, gt__now() - begin, yields * goroutines);
}

static void nothing(void *arg)
{
	join_done(&join);
}

static void bench_spawn(int batch)
{
	char name[32];
	long rounds = times(2000000) / batch;
	int64_t begin = gt__now();

	for (long i = 0; i < rounds; i++) {
		join.left = batch;
		for (int k = 0; k < batch; k++)
			gt_go(nothing, NULL);
		join_wait(&join);
	}
	snprintf(name, sizeof(name), "spawn and join, batch %d", batch);
	tell(name, gt__now() - begin, rounds * batch);
}

/* One place, a reader and a writer who wait for each other. */
static struct {
	struct gt_lock lock;
	int turn;
	struct gt_g *waiter;
} place;
static long passes;

static void pass(void *arg)
{
	int me = (int)(intptr_t)arg;

	for (long i = 0; i < passes; i++) {
		struct gt_g *waiter;

		gt__lock(&place.lock);
		if (place.turn != me) {
			place.waiter = gt__self();
			gt__park_unlock(&place.lock, GT_REASON_CHAN_RECEIVE);
			gt__lock(&place.lock);
		}
		place.turn = !me;
		waiter = place.waiter;
		place.waiter = NULL;
		gt__unlock(&place.lock);
		if (waiter)
			gt__ready(waiter);
	}
	join_done(&join);
}

static void bench_park(void)
{
	int64_t begin = gt__now();

	passes = times(2000000);
	join.left = 2;
	gt_go(pass, (void *)0);
	gt_go(pass, (void *)1);
	join_wait(&join);
	tell("park and ready round trip", gt__now() - begin, passes);
}

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static void bench_sleep(void)
{
	long rounds = times(2000);
	int64_t *late = calloc((size_t)rounds, sizeof(*late));

	for (long i = 0; late && i < rounds; i++) {
		int64_t begin = gt__now();

		gt_sleep(100 * GT_MICROSECOND);
		late[i] = gt__now() - begin - 100 * GT_MICROSECOND;
	}
	if (late) {
		qsort(late, (size_t)rounds, sizeof(*late), by_value);
		tell("sleep 100 us, late p50", late[rounds / 2], 1);
		tell("sleep 100 us, late p99", late[rounds * 99 / 100], 1);
	}
	free(late);
}

static void idle(void *arg)
{
	gt__park(NULL, NULL, GT_REASON_CHAN_RECEIVE);
}

static long resident_kb(const char *key)
{
	FILE *file = fopen("/proc/self/status", "r");
	char line[128];
	long kb = 0;

	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, key, strlen(key)) == 0)
			kb = strtol(line + strlen(key), NULL, 10);
	if (file)
		fclose(file);
	return kb;
}

static void bench_idle(void)
{
	long goroutines = times(100000), before = resident_kb("VmRSS:") + resident_kb("VmPTE:");
	int64_t begin = gt__now();

	for (long i = 0; i < goroutines; i++) {
		gt_go(idle, NULL);
		if (i % 1000 == 999)
			gt_yield();
	}
	gt_yield();
	tell("start an idle goroutine", gt__now() - begin, goroutines);
	printf("%-28s %9.1f B (guard: %s)\n", "memory of it",
		(double)(resident_kb("VmRSS:") + resident_kb("VmPTE:") - before) * 1024 / (double)goroutines,
		gt_stack_guard());
}

static void bench_syscall(void)
{
	long rounds = times(2000000);
	int64_t begin = gt__now(), raw;

	for (long i = 0; i < rounds; i++)
		getppid();
	raw = gt__now() - begin;
	begin = gt__now();
	for (long i = 0; i < rounds; i++) {
		gt_syscall_enter();
		getppid();
		gt_syscall_exit();
	}
	tell("syscall enter and exit", gt__now() - begin - raw, rounds);
}

static int run(int argc, char **argv)
{
	if (wanted("yield")) {
		bench_yield(1);
		bench_yield(2);
		bench_yield(100);
	}
	if (wanted("spawn")) {
		bench_spawn(1);
		bench_spawn(1000);
	}
	if (wanted("park"))
		bench_park();
	if (wanted("syscall"))
		bench_syscall();
	if (wanted("sleep"))
		bench_sleep();
	if (wanted("idle"))
		bench_idle();
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 1)
		which = argv[1];
	if (argc > 2)
		count = strtol(argv[2], NULL, 10);
	return gt_main(argc, argv, run);
}
