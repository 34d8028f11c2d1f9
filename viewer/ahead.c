/* ahead.c - see ahead.h. */
#include "viewer/ahead.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

/* ---- the gate ---- */

void gt__gate_init(struct gt__gate *gate)
{
	*gate = (struct gt__gate){.mutex = PTHREAD_MUTEX_INITIALIZER, .open = PTHREAD_COND_INITIALIZER};
}

void gt__gate_free(struct gt__gate *gate)
{
	pthread_mutex_destroy(&gate->mutex);
	pthread_cond_destroy(&gate->open);
}

void gt__gate_work(struct gt__gate *gate)
{
	pthread_mutex_lock(&gate->mutex);
	gate->waits = true;
	while (gate->closed || (gate->asking && !gate->turn))
		pthread_cond_wait(&gate->open, &gate->mutex);
	gate->waits = gate->turn = false;
	gate->closed = gate->works = true;
	pthread_mutex_unlock(&gate->mutex);
}

void gt__gate_ask(struct gt__gate *gate)
{
	pthread_mutex_lock(&gate->mutex);
	gate->asking++;
	while (gate->closed || gate->turn)
		pthread_cond_wait(&gate->open, &gate->mutex);
	gate->asking--;
	gate->closed = true;
	gate->works = false;
	pthread_mutex_unlock(&gate->mutex);
}

void gt__gate_leave(struct gt__gate *gate)
{
	pthread_mutex_lock(&gate->mutex);
	gate->closed = false;
	gate->turn = gate->waits && !gate->works;
	pthread_cond_broadcast(&gate->open);
	pthread_mutex_unlock(&gate->mutex);
}

/* ---- the reader ---- */

/* Fills a batch; fewer events than it holds, at the end. */
static void fill(struct gt__ahead *ahead, struct gt__batch *batch)
{
	gt__gate_work(ahead->names);
	batch->count = batch->ended_count = 0;
	while (batch->count < GT__BATCH_EVENTS && gt_trace_next(ahead->trace, &batch->events[batch->count]) > 0) {
		const struct gt_event *event = &batch->events[batch->count++];
		const struct gt_trace_goroutine *known;

		if (__builtin_expect(!gt__ends_goroutine(event), 1))
			continue;
		known = gt_trace_goroutine(ahead->trace, event->args[0]);
		batch->ended[batch->ended_count++] =
			known ? (struct gt__obituary){known->parent, known->start_pc} : (struct gt__obituary){0};
	}
	gt__gate_leave(ahead->names);
}

static void *read_ahead(void *context)
{
	struct gt__ahead *ahead = context;
	bool ended = false;

	while (!ended) {
		struct gt__batch *batch;

		pthread_mutex_lock(&ahead->mutex);
		while (ahead->made - ahead->used == GT__BATCHES && !ahead->stop)
			pthread_cond_wait(&ahead->changed, &ahead->mutex);
		ended = ahead->stop;
		batch = &ahead->batches[ahead->made % GT__BATCHES];
		pthread_mutex_unlock(&ahead->mutex);
		if (ended)
			break;
		fill(ahead, batch);
		ended = batch->count < GT__BATCH_EVENTS;
		pthread_mutex_lock(&ahead->mutex);
		ahead->made++;
		ahead->ended = ended;
		pthread_cond_signal(&ahead->changed);
		pthread_mutex_unlock(&ahead->mutex);
	}
	return NULL;
}

int gt__ahead_start(struct gt__ahead *ahead, struct gt_trace *trace, struct gt__gate *names)
{
	sigset_t all, before;

	*ahead = (struct gt__ahead){.trace = trace,
		.names = names,
		.mutex = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER};
	ahead->batches = malloc(GT__BATCHES * sizeof(*ahead->batches));
	if (!ahead->batches)
		return -ENOMEM;
	/* Signals are the caller's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	ahead->has_thread = pthread_create(&ahead->thread, NULL, read_ahead, ahead) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return 0;
}

static const struct gt__batch *read_here(struct gt__ahead *ahead)
{
	if (ahead->ended)
		return NULL;
	fill(ahead, ahead->batches);
	ahead->ended = ahead->batches->count < GT__BATCH_EVENTS;
	return ahead->batches->count ? ahead->batches : NULL;
}

const struct gt__batch *gt__ahead_next(struct gt__ahead *ahead)
{
	const struct gt__batch *batch = NULL;

	if (!ahead->has_thread)
		return read_here(ahead);
	pthread_mutex_lock(&ahead->mutex);
	/* The one given before is given back. */
	if (ahead->given) {
		ahead->used++;
		pthread_cond_signal(&ahead->changed);
	}
	while (ahead->made == ahead->used && !ahead->ended)
		pthread_cond_wait(&ahead->changed, &ahead->mutex);
	if (ahead->made > ahead->used)
		batch = &ahead->batches[ahead->used % GT__BATCHES];
	ahead->given = batch != NULL;
	pthread_mutex_unlock(&ahead->mutex);
	return batch && batch->count ? batch : NULL;
}

void gt__ahead_stop(struct gt__ahead *ahead)
{
	if (!ahead->batches)
		return;
	if (ahead->has_thread) {
		pthread_mutex_lock(&ahead->mutex);
		ahead->stop = true;
		pthread_cond_signal(&ahead->changed);
		pthread_mutex_unlock(&ahead->mutex);
		pthread_join(ahead->thread, NULL);
	}
	pthread_mutex_destroy(&ahead->mutex);
	pthread_cond_destroy(&ahead->changed);
	free(ahead->batches);
	ahead->batches = NULL;
}
