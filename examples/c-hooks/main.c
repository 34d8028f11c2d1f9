/*
 * main.c - a toy scheduler that tells gtrace what it does.
 *
 *   cc main.c $(pkg-config --cflags --libs gtrace) -o c-hooks
 *   gtrace record -o c-hooks.gtrace ./c-hooks
 *
 * Three producers send through a channel of four places to two consumers, one of which is slow: the channel fills, and
 * everybody waits for it. Goroutines are plain functions that go one step each time they are run; two threads, each
 * with a processor slot, run them from one queue. In the trace: who waited for whom, regions "make" and "use", a task
 * for the whole, and a message at its end.
 *
 * What is printed is exactly what a trace of the run holds.
 */
#include <gtrace/gtrace.h>
#include <gtrace/hooks.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define THREADS   2
#define PRODUCERS 3
#define CONSUMERS 2
#define PLACES    4

struct goroutine {
	uint64_t id;
	/* One step. The lock is held, and given back while the step works. False: the goroutine ended. */
	enum step { STEP_YIELD, STEP_BLOCK, STEP_END } (*run)(struct goroutine *self);
	struct goroutine *next; /* in the one queue that it is in */
	int left;               /* items still to be made */
	int work_us;
};

struct queue {
	struct goroutine *first, **end;
};

/* Under the lock: all of it. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct queue runnable, senders, receivers;
static int items, made, used, alive, total;
static uint64_t whole; /* the task */

/* Also under the lock, as each hook below. */
static struct {
	unsigned long created, runs, yields, blocks, readies, ends, regions, slots, threads;
} count;

static __thread uint64_t current; /* the goroutine that this thread runs */

static uint64_t current_goroutine(void)
{
	return current;
}

static void push(struct queue *queue, struct goroutine *g)
{
	g->next = NULL;
	if (!queue->first)
		queue->end = &queue->first;
	*queue->end = g;
	queue->end = &g->next;
}

static struct goroutine *pop(struct queue *queue)
{
	struct goroutine *g = queue->first;

	if (g)
		queue->first = g->next;
	return g;
}

/* Told before anybody can run it. */
static void wake_one(struct queue *waiters)
{
	struct goroutine *g = pop(waiters);

	if (!g)
		return;
	gt_hook_ready(g->id, GT_STATE_WAITING, current);
	count.readies++;
	push(&runnable, g);
	pthread_cond_signal(&changed);
}

/* Told while it is in no queue: nobody can wake it yet. */
static enum step wait_in(struct queue *waiters, struct goroutine *self, enum gt_reason reason)
{
	gt_hook_block(self->id, reason);
	count.blocks++;
	push(waiters, self);
	return STEP_BLOCK;
}

/* The lock is not held: two of these run at once. */
static void work(int us, const char *name)
{
	struct timespec begin, now;

	pthread_mutex_unlock(&lock);
	gt_region_begin(whole, name);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while ((now.tv_sec - begin.tv_sec) * 1000000 + (now.tv_nsec - begin.tv_nsec) / 1000 < us);
	gt_region_end(whole, name);
	pthread_mutex_lock(&lock);
	count.regions++;
}

static enum step produce(struct goroutine *self)
{
	if (self->left == 0)
		return STEP_END;
	if (items == PLACES)
		return wait_in(&senders, self, GT_REASON_CHAN_SEND);
	items++; /* the place is ours while we fill it */
	self->left--;
	work(self->work_us, "make");
	made++;
	wake_one(&receivers);
	return STEP_YIELD;
}

static enum step consume(struct goroutine *self)
{
	if (used == total)
		return STEP_END;
	if (made == used)
		return wait_in(&receivers, self, GT_REASON_CHAN_RECEIVE);
	used++;
	work(self->work_us, "use");
	items--;
	wake_one(&senders);
	if (used == total)
		wake_one(&receivers);
	return STEP_YIELD;
}

static void go(struct goroutine *g, uint64_t id, enum step (*run)(struct goroutine *), int left, int work_us)
{
	g->id = id;
	g->run = run;
	g->left = left;
	g->work_us = work_us;
	gt_hook_create(id, GT_STATE_RUNNABLE, current, (const void *)(uintptr_t)run, __builtin_return_address(0));
	count.created++;
	alive++;
	push(&runnable, g);
}

static void run_one(struct goroutine *g, uint32_t p)
{
	gt_hook_run(g->id, GT_STATE_RUNNABLE, p);
	count.runs++;
	current = g->id;
	switch (g->run(g)) {
	case STEP_YIELD:
		gt_hook_yield(g->id, GT_REASON_GOSCHED);
		count.yields++;
		push(&runnable, g);
		pthread_cond_signal(&changed);
		break;
	case STEP_BLOCK:
		break;
	case STEP_END:
		gt_hook_end(g->id);
		count.ends++;
		if (--alive == 0)
			pthread_cond_broadcast(&changed);
		break;
	}
	current = 0;
}

static void slot(enum gt_slot_op op, uint32_t p)
{
	gt_hook_slot(op, p);
	count.slots++;
}

static void thread_tells(enum gt_thread_op op)
{
	gt_hook_thread(op);
	count.threads++;
}

/* Each thread has a slot of its own; a scheduler that hands slots around tells it in the same way. */
static void *thread_main(void *arg)
{
	uint32_t p = (uint32_t)(uintptr_t)arg;
	struct goroutine *g;

	pthread_mutex_lock(&lock);
	thread_tells(GT_THREAD_START);
	slot(GT_SLOT_START, p);
	while (alive) {
		g = pop(&runnable);
		if (g) {
			run_one(g, p);
			continue;
		}
		slot(GT_SLOT_STOP, p);
		slot(GT_SLOT_IDLE, p);
		thread_tells(GT_THREAD_IDLE);
		while (alive && !runnable.first)
			pthread_cond_wait(&changed, &lock);
		slot(GT_SLOT_START, p);
	}
	slot(GT_SLOT_STOP, p);
	thread_tells(GT_THREAD_END);
	pthread_mutex_unlock(&lock);
	return NULL;
}

int main(int argc, char **argv)
{
	static struct goroutine goroutines[PRODUCERS + CONSUMERS];
	int each = argc > 1 ? atoi(argv[1]) : 200;
	pthread_t threads[THREADS];
	uint64_t id = 0;

	if (each < 1 || each > 1000000) {
		fprintf(stderr, "usage: c-hooks [ITEMS]\n");
		return 2;
	}
	total = each * PRODUCERS;
	gt_hook_current(current_goroutine);
	whole = gt_task_begin("transfer", 0);
	for (int i = 0; i < PRODUCERS; i++, id++)
		go(&goroutines[id], id + 1, produce, each, 10);
	for (int i = 0; i < CONSUMERS; i++, id++)
		go(&goroutines[id], id + 1, consume, 0, i ? 60 : 15);
	for (uint32_t i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, thread_main, (void *)(uintptr_t)i) != 0)
			return 1;
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	gt_log(whole, "result", used == total ? "complete" : "incomplete");
	gt_task_end(whole);

	printf("items=%d created=%lu runs=%lu yields=%lu blocks=%lu readies=%lu ends=%lu\n", used, count.created,
		count.runs, count.yields, count.blocks, count.readies, count.ends);
	printf("regions=%lu slots=%lu threads=%lu tasks=1 logs=1\n", count.regions, count.slots, count.threads);
	return used == total ? 0 : 1;
}
