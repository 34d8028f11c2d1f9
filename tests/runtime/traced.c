/*
 * traced.c - does things a known number of times, and says how often: traced.sh compares with the trace.
 *
 * At one P the order of everything is known, so are all counts but those of threads.
 */
#include "runtime/sched.h"

#include <gtrace/go.h>
#include <stdio.h>
#include <unistd.h>

#define CHILDREN 10
#define YIELDS   20
#define PARKS    15
#define CALLS    5

static struct gt_g *waits;
static int left = CHILDREN;
static struct gt_g *main_g;

static void child(void *arg)
{
	for (int i = 0; i < YIELDS; i++)
		gt_yield();
	for (int i = 0; i < CALLS; i++) {
		gt_syscall_enter();
		getppid();
		gt_syscall_exit();
	}
	if (--left == 0)
		gt__ready(main_g);
}

static void parker(void *arg)
{
	for (int i = 0; i < PARKS; i++) {
		waits = gt__self();
		gt__park(NULL, NULL, GT_REASON_CHAN_RECEIVE);
	}
}

static int run(int argc, char **argv)
{
	main_g = gt__self();
	gt_go_named("parker", parker, NULL);
	for (int i = 0; i < PARKS; i++) {
		gt_yield(); /* the parker parks meanwhile */
		gt__ready(waits);
	}
	gt_yield();
	for (int i = 0; i < CHILDREN; i++)
		gt_go_named("child", child, NULL);
	gt__park(NULL, NULL, GT_REASON_SYNC_WAITGROUP_WAIT);
	printf("GoCreate %d\n", CHILDREN + 2);
	printf("GoEnd %d\n", CHILDREN + 1);
	printf("GoYield %d\n", CHILDREN * YIELDS + PARKS + 1);
	printf("GoBlock %d\n", PARKS + 1);
	printf("GoReady %d\n", PARKS + 1);
	printf("GoRun %d\n", CHILDREN + 2 + CHILDREN * YIELDS + PARKS + 1 + PARKS + 1);
	printf("GoSyscall %d\n", CHILDREN * CALLS);
	printf("GoSysexit %d\n", CHILDREN * CALLS);
	return 0;
}

int main(int argc, char **argv)
{
	return gt_main(argc, argv, run);
}
