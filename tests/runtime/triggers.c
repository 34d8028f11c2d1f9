/*
 * triggers.c - does one thing that a trigger waits for, on purpose and once, and says which goroutine: triggers WHAT. For
 * triggers.py.
 */
#include <gtrace/go.h>
#include <gtrace/gtrace.h>
#include <gtrace/sync.h>

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LONG_NS 300000000

static struct gt_mutex lock;
static _Atomic int done;
static char long_one[] = "long one";

static void locks(void *arg)
{
	(void)arg;
	gt_mutex_lock(&lock);
	gt_mutex_unlock(&lock);
	atomic_store(&done, 1);
}

static void in_region(void *arg)
{
	gt_region_begin(0, arg);
	gt_sleep(LONG_NS);
	gt_region_end(0, arg);
	atomic_store(&done, 1);
}

/* By looking: who waits for it stays out of long waits itself. */
static void wait_done(void)
{
	while (!atomic_load(&done))
		gt_sleep(GT_MILLISECOND);
}

static void chatter_one(void *arg)
{
	gt_region_begin(0, "short");
	gt_yield();
	gt_region_end(0, "short");
	atomic_fetch_add((_Atomic int *)arg, 1);
}

static void chatter(void)
{
	_Atomic int ended = 0;

	for (int i = 0; i < 200; i++)
		gt_go(chatter_one, &ended);
	while (atomic_load(&ended) < 200)
		gt_yield();
}

static int go_main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "nothing";
	uint64_t g = 0;

	chatter();
	if (strcmp(what, "blocked") == 0) {
		gt_mutex_lock(&lock);
		g = gt_go(locks, NULL);
		gt_sleep(LONG_NS);
		gt_mutex_unlock(&lock);
		wait_done();
	} else if (strcmp(what, "region") == 0) {
		g = gt_go(in_region, long_one);
		wait_done();
	}
	printf("%llu\n", (unsigned long long)g);
	fflush(stdout);
	if (strcmp(what, "segv") == 0)
		*(volatile int *)8 = 1;
	chatter();
	return strcmp(what, "exit") == 0 ? 3 : 0;
}

int main(int argc, char **argv)
{
	return gt_main(argc, argv, go_main);
}
