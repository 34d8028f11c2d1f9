/*
 * waitq.h - goroutines that wait on an object, in the order they came.
 *
 * A waiter lies on the stack of the goroutine that waits, one for each queue it stands in: a select stands in many. It is in the
 * queue, or out of it, by the lock of the object; whoever takes it out owes the goroutine one gt__ready, after
 * the lock is given back. Until then the goroutine does not run, and its stack may be written.
 */
#ifndef GT_RUNTIME_WAITQ_H
#define GT_RUNTIME_WAITQ_H

#include <gtrace/sync.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gt_g;
struct gt__waiter;

/* What all waiters of one wait share. */
struct gt__wait {
	struct gt_g *g;
	/* Of a select: 0 until one waker has won. Others pass this waiter over. */
	_Atomic uint32_t won;
	/* The winner's: which waiter it took. Written before gt__ready. */
	struct gt__waiter *fired;
};

struct gt__waiter {
	struct gt__waiter *next;
	struct gt__waiter *prev;
	struct gt__wait *wait;
	void *value;     /* a channel's: to send from or receive into; NULL: nobody wants it */
	uint64_t ticket; /* a condition's turn, a semaphore's weight or place in its queue */
	int64_t since;   /* a semaphore's, ns: since when its wait has not been charged to an unlock; 0: nobody asks */
	bool queued;
	bool in_select;
	bool success; /* false: woken by close */
};

/* The first is written with the lock held; a look without it is a hint. */
static inline void gt__waitq_set_first(struct gt__waitq *q, struct gt__waiter *w)
{
	__atomic_store_n(&q->first, w, __ATOMIC_RELAXED);
}

static inline bool gt__waitq_empty_hint(const struct gt__waitq *q)
{
	return !__atomic_load_n(&q->first, __ATOMIC_RELAXED);
}

static inline void gt__waitq_add(struct gt__waitq *q, struct gt__waiter *w)
{
	w->next = NULL;
	w->prev = q->last;
	w->queued = true;
	if (q->last)
		q->last->next = w;
	else
		gt__waitq_set_first(q, w);
	q->last = w;
}

static inline void gt__waitq_add_first(struct gt__waitq *q, struct gt__waiter *w)
{
	w->prev = NULL;
	w->next = q->first;
	w->queued = true;
	if (q->first)
		q->first->prev = w;
	else
		q->last = w;
	gt__waitq_set_first(q, w);
}

/* Nothing when it was taken already. */
static inline void gt__waitq_remove(struct gt__waitq *q, struct gt__waiter *w)
{
	if (!w->queued)
		return;
	w->queued = false;
	if (w->prev)
		w->prev->next = w->next;
	else
		gt__waitq_set_first(q, w->next);
	if (w->next)
		w->next->prev = w->prev;
	else
		q->last = w->prev;
	w->next = NULL;
	w->prev = NULL;
}

/* False: another queue has woken it. Out of the queue first. */
static inline bool gt__waiter_win(struct gt__waiter *w)
{
	uint32_t expected = 0;

	if (w->in_select && !atomic_compare_exchange_strong_explicit(
				    &w->wait->won, &expected, 1, memory_order_acq_rel, memory_order_relaxed))
		return false;
	w->wait->fired = w;
	return true;
}

/* The first that no other queue has woken. NULL: none. */
static inline struct gt__waiter *gt__waitq_take(struct gt__waitq *q)
{
	for (struct gt__waiter *w; (w = q->first);) {
		gt__waitq_remove(q, w);
		if (gt__waiter_win(w))
			return w;
	}
	return NULL;
}

#endif
