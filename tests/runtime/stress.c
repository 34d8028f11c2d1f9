/*
 * stress.c - goroutines that do everything at once, while the number of Ps changes: nothing is lost, nothing runs twice.
 *
 *   stress [ROUNDS]
 */
#include "runtime/sched.h"

#include <gtrace/go.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FAMILIES 40
#define TOKENS   8

static long rounds = 200;
static _Atomic long done, children, passed;

/* A ring of places: each token is handed on by park and ready. */
struct place {
	struct gt_lock lock;
	long tokens;
	struct gt_g *waiter;
};
static struct place places[FAMILIES];
static struct place end;

static void put(struct place *place)
{
	struct gt_g *waiter;

	gt__lock(&place->lock);
	place->tokens++;
	waiter = place->waiter;
	place->waiter = NULL;
	gt__unlock(&place->lock);
	if (waiter)
		gt__ready(waiter);
}

static void get(struct place *place)
{
	gt__lock(&place->lock);
	while (place->tokens == 0) {
		place->waiter = gt__self();
		gt__park_unlock(&place->lock, GT_REASON_CHAN_RECEIVE);
		gt__lock(&place->lock);
	}
	place->tokens--;
	gt__unlock(&place->lock);
}

static void child(void *arg)
{
	atomic_fetch_add(&children, 1);
	if ((intptr_t)arg % 3 == 0)
		gt_yield();
	if ((intptr_t)arg % 7 == 0)
		gt_sleep(10 * GT_MICROSECOND);
}

static void callback(void *arg)
{
	put(arg);
}

static void family(void *arg)
{
	long me = (intptr_t)arg;

	for (long i = 0; i < rounds; i++) {
		errno = (int)me + 1;
		get(&places[me]);
		atomic_fetch_add(&passed, 1);
		put(&places[(me + 1) % FAMILIES]);
		if (errno != me + 1) {
			fprintf(stderr, "errno %d became %d\n", (int)me + 1, errno);
			exit(1);
		}
		gt_go(child, (void *)(intptr_t)i);
		if (i % 5 == 0)
			gt_yield();
		if (i % 17 == 0) {
			gt_syscall_enter();
			if (i % 51 == 0)
				usleep(50);
			gt_syscall_exit();
		}
		if (i % 31 == 0) {
			struct place here = {.tokens = 0};
			struct gt_timer timer = {.when_ns = 0};

			gt__timer_start(&timer, gt__now() + GT_SECOND, callback, &here);
			if (i % 2 && gt__timer_stop(&timer))
				continue;
			gt__timer_start(&timer, gt__now() + 20 * GT_MICROSECOND, callback, &here);
			get(&here);
			gt__timer_join(&timer);
		}
	}
	atomic_fetch_add(&done, 1);
	put(&end);
}

static void changer(void *arg)
{
	for (int i = 0; atomic_load(&done) < FAMILIES; i++) {
		gt_gomaxprocs(1 + i % 4);
		gt_sleep(GT_MILLISECOND);
	}
}

static int run(int argc, char **argv)
{
	int left;

	for (int i = 0; i < TOKENS; i++)
		places[i * FAMILIES / TOKENS].tokens++;
	gt_go_named("changer", changer, NULL);
	for (long i = 0; i < FAMILIES; i++)
		gt_go_named("family", family, (void *)(intptr_t)i);
	for (int i = 0; i < FAMILIES; i++)
		get(&end);
	while ((left = gt_num_goroutine()) > 1)
		gt_sleep(GT_MILLISECOND);
	printf("passed=%ld children=%ld left=%d\n", passed, children, left);
	return passed == FAMILIES * rounds && children == FAMILIES * rounds ? 0 : 1;
}

int main(int argc, char **argv)
{
	if (argc > 1)
		rounds = strtol(argv[1], NULL, 10);
	return gt_main(argc, argv, run);
}
