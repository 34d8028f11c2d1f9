/*
 * gdb_program.c - goroutines that stand in known places; then it says "ready", and waits or (with "abort") aborts. For gdb.sh.
 */
#include <gtrace/go.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static gt_chan(int) never;
static struct gt_mutex taken;
static int nothing[2];

static __attribute__((noinline)) void receives_inner(int depth)
{
	int v, secret = 4711 + depth;

	gt_recv(never, &v);
	printf("%d\n", secret);
}

static void receives(void *arg)
{
	receives_inner(7);
	puts("not reached");
}

static void locks(void *arg)
{
	gt_mutex_lock(&taken);
}

static void in_syscall(void *arg)
{
	char byte;

	gt_syscall_enter();
	if (read(nothing[0], &byte, 1) < 0)
		puts("");
	gt_syscall_exit();
}

static void sleeps(void *arg)
{
	gt_sleep(3600 * GT_SECOND);
}

static void spins(void *arg)
{
	while (!*(volatile int *)arg)
		;
}

static int run(int argc, char **argv)
{
	static int stop;

	never = gt_chan_make(int);
	if (pipe(nothing) < 0)
		return 1;
	gt_mutex_lock(&taken);
	gt_go_named("receiver", receives, NULL);
	gt_go_named("locker", locks, NULL);
	gt_go_named("reader", in_syscall, NULL);
	gt_go_named("sleeper", sleeps, NULL);
	gt_go_named("spinner", spins, &stop);
	/* All of them are where they will stay. */
	for (int i = 0; i < 20; i++)
		gt_sleep(5 * GT_MILLISECOND);
	puts("ready");
	fflush(stdout);
	if (argc > 1 && strcmp(argv[1], "abort") == 0)
		abort();
	gt_mutex_lock(&taken);
	return 0;
}

int main(int argc, char **argv)
{
	gt_set_stack_bytes(65536);
	return gt_main(argc, argv, run);
}
