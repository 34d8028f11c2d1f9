/*
 * mn.c - for mn.py: goroutines of which two must run at once, one must be stolen, and one in a system call must lose its P.
 *
 * Nothing here is timed: each round goes on when what it waits for has happened, or when preemption has made up for it.
 */
#include <gtrace/go.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#define ROUNDS 20
#define TURNS  1000

static _Atomic int turn, ready, ends;
static int pipes[2];

/* Takes each odd turn without a call: with both Ps this is ping-pong between two threads. */
static void partner(void *arg)
{
	atomic_store(&ready, 1);
	for (int i = 1; i < TURNS; i += 2) {
		while (atomic_load(&turn) != i)
			;
		atomic_store(&turn, i + 1);
	}
	atomic_fetch_add(&ends, 1);
}

/* In a system call until somebody runs who writes. */
static void reader(void *arg)
{
	char byte;

	gt_syscall_enter();
	if (read(pipes[0], &byte, 1) != 1)
		_exit(1);
	gt_syscall_exit();
	atomic_fetch_add(&ends, 1);
}

static void writer(void *arg)
{
	if (write(pipes[1], "x", 1) != 1)
		_exit(1);
	atomic_fetch_add(&ends, 1);
}

static void round_of(void)
{
	/* main does not leave its P: who would run the partner must steal it. */
	atomic_store(&turn, 0);
	atomic_store(&ready, 0);
	atomic_store(&ends, 0);
	gt_go_named("partner", partner, NULL);
	while (!atomic_load(&ready))
		;
	for (int i = 0; i < TURNS; i += 2) {
		while (atomic_load(&turn) != i)
			;
		atomic_store(&turn, i + 1);
	}
	while (atomic_load(&ends) != 1)
		;
	/* The reader is stolen too, and holds the other P in its system call; the writer needs it. */
	gt_go_named("reader", reader, NULL);
	while (gt_num_goroutine() != 2)
		;
	for (int i = 0; i < 2000; i++)
		atomic_load(&ends);
	gt_go_named("writer", writer, NULL);
	while (atomic_load(&ends) != 3)
		;
	while (gt_num_goroutine() != 1)
		gt_yield();
}

static int run(int argc, char **argv)
{
	if (pipe(pipes))
		return 1;
	for (int i = 0; i < ROUNDS; i++)
		round_of();
	return 0;
}

int main(int argc, char **argv)
{
	return gt_main(argc, argv, run);
}
