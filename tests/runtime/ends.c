/*
 * ends.c - a program that ends in the way its argument names; ends.sh looks at how.
 */
#include "runtime/sched.h"

#include <gtrace/go.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void waits(void *arg)
{
	gt__park(NULL, NULL, (enum gt_reason)(intptr_t)arg);
}

static __attribute__((noinline)) int deep(int depth)
{
	volatile char room[1024];

	room[depth % 1024] = (char)depth;
	return depth > 0 ? deep(depth - 1) + room[depth % 1024] : 0;
}

static void overflows(void *arg)
{
	exit(deep(1 << 20) ? 3 : 4);
}

static void spins(void *arg)
{
	while (!*(volatile bool *)arg)
		gt_checkpoint();
}

static struct gt_g *_Atomic links[2];

struct link {
	struct gt_g *g;
	long at;
};

/* Only who waits can be made ready: it is found from here on, when it has parked. */
static void publish(void *arg)
{
	struct link *link = arg;

	atomic_store(&links[link->at], link->g);
}

/* Two that make each other ready for ever: in one slice, which must end for the others. */
static void chain(void *arg)
{
	struct link link = {gt__self(), (intptr_t)arg};

	for (;;) {
		struct gt_g *other = atomic_exchange(&links[!link.at], NULL);

		if (other)
			gt__ready(other);
		gt__park(publish, &link, GT_REASON_CHAN_RECEIVE);
	}
}

static void never(void *arg)
{
	gt_sleep(3600 * GT_SECOND);
}

static struct gt_g *parked;

static void waits_long(void *arg)
{
	parked = gt__self();
	gt__park(NULL, NULL, GT_REASON_CHAN_RECEIVE);
}

static __attribute__((noinline)) void inner(int *mutex)
{
	gt_mutex_unlock((struct gt_mutex *)mutex);
	puts("not reached");
}

static void culprit(void *arg)
{
	inner(arg);
	puts("not reached");
}

static __attribute__((noinline)) void in_pause(void)
{
	gt_syscall_enter();
	for (;;)
		pause();
}

static void pauses(void *arg)
{
	parked = gt__self();
	in_pause();
	puts("not reached");
}

static void spins_for_ever(void *arg)
{
	for (;;)
		*(volatile bool *)arg = true;
}

static int run(int argc, char **argv)
{
	static volatile bool stop;
	const char *how = argc > 1 ? argv[1] : "";

	if (strcmp(how, "deadlock") == 0) {
		gt_go_named("first", waits, (void *)GT_REASON_CHAN_SEND);
		gt_go(waits, (void *)GT_REASON_SELECT);
		gt__park(NULL, NULL, GT_REASON_CHAN_RECEIVE);
	} else if (strcmp(how, "exit-deadlock") == 0) {
		gt_exit();
	} else if (strcmp(how, "minutes") == 0) {
		gt_go(waits_long, NULL);
		gt_yield();
		while (!parked)
			gt_sleep(GT_MILLISECOND);
		parked->waits_since = gt_now() - 150 * GT_SECOND;
		gt_exit();
	} else if (strcmp(how, "culprit") == 0) {
		static struct gt_mutex mutex;
		for (int i = 0; i < 150; i++)
			gt_go(waits, (void *)GT_REASON_SELECT);
		gt_sleep(5 * GT_MILLISECOND);
		gt_go_named("culprit", culprit, &mutex);
		gt__park(NULL, NULL, GT_REASON_CHAN_RECEIVE);
	} else if (strcmp(how, "elsewhere") == 0) {
		static struct gt_mutex mutex;
		static volatile bool spun;

		/* A spinner that a signal stopped (there is one P), and one that is in a system call. */
		gt_gomaxprocs(1);
		gt_go_named("pauses", pauses, NULL);
		gt_go_named("spins", spins_for_ever, (void *)(uintptr_t)&spun);
		while (!spun || !parked || parked->state != GT_STATE_SYSCALL)
			gt_sleep(GT_MILLISECOND);
		culprit(&mutex);
	} else if (strcmp(how, "others-wait") == 0) {
		gt_go(waits, (void *)GT_REASON_SELECT);
		gt_exit();
	} else if (strcmp(how, "overflow") == 0) {
		gt_go_named("deep one", overflows, NULL);
		gt_sleep(10 * GT_SECOND);
	} else if (strcmp(how, "segv") == 0) {
		gt_go(never, NULL);
		*(volatile int *)8 = 1;
	} else if (strcmp(how, "status") == 0) {
		gt_go(never, NULL);
		return 7;
	} else if (strcmp(how, "ready-twice") == 0) {
		gt__ready(gt__self());
	} else if (strcmp(how, "checkpoint") == 0) {
		gt_gomaxprocs(1);
		gt_go(spins, (void *)(uintptr_t)&stop);
		gt_yield(); /* comes back only when the slice of the one that spins is over */
		stop = true;
		return 5;
	} else if (strcmp(how, "chain") == 0) {
		/* Two that ready each other for ever do not starve a third. */
		gt_gomaxprocs(1);
		gt_go(chain, (void *)0);
		gt_go(chain, (void *)1);
		gt_yield();
		gt_yield();
		return 6;
	} else if (strcmp(how, "procs") == 0) {
		printf("%d %d\n", gt_gomaxprocs(0), gt_num_cpu());
	} else if (strcmp(how, "guard") == 0) {
		printf("%s\n", gt_stack_guard());
	}
	return 0;
}

static int at_exit_ran;
static void at_exit(void)
{
	/* On a thread's own stack: there is room. */
	at_exit_ran = deep(200);
}

int main(int argc, char **argv)
{
	atexit(at_exit);
	return gt_main(argc, argv, run);
}
