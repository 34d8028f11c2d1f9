/*
 * sema.c - semaphores with a queue.
 */
#include "runtime/sema.h"

#include "runtime/prof.h"

/* Here, because it goes wherever semaphores go. */
struct gt_prof_hooks gt__prof;

static bool for_a_mutex(enum gt_reason reason)
{
	return reason == GT_REASON_SYNC_MUTEX_LOCK || reason == GT_REASON_SYNC_RWMUTEX_RLOCK ||
	       reason == GT_REASON_SYNC_RWMUTEX_LOCK;
}

/* Places are numbered along the queue, so that its ends tell how many there are. */
static void stand(struct gt__waitq *q, struct gt__waiter *w, bool first)
{
	if (first) {
		w->ticket = q->first ? q->first->ticket - 1 : 0;
		/* It has waited at least as long as who was the first. */
		if (w->since && q->first && q->first->since)
			w->since = q->first->since;
		gt__waitq_add_first(q, w);
	} else {
		w->ticket = q->last ? q->last->ticket + 1 : 0;
		gt__waitq_add(q, w);
	}
}

/*
 * What the unlock that took @w out of @q kept waiting: @w, and the others about as long as the first and the last of them in the
 * middle. They count from now on for the next unlock. Under the lock.
 */
static int64_t charge(struct gt__waitq *q, const struct gt__waiter *w)
{
	int64_t now = gt__now(), waited = now - w->since;

	if (q->first && q->last->since) {
		int64_t count = (int64_t)(q->last->ticket - q->first->ticket + 1);

		waited += (waited + now - q->last->since) / 2 * count;
		q->first->since = now;
		q->last->since = now;
	}
	return waited > 0 ? waited : 0;
}

void gt__sema_acquire(struct gt__sema *sema, bool first, enum gt_reason reason, struct gt__object on)
{
	struct gt_lock *lock = gt__lock_of(&sema->lock);
	struct gt__wait wait;
	struct gt__waiter w;

	/* Without the lock nothing is taken: who comes out may give back the memory, and a releaser is still in there. */
	gt__lock(lock);
	if (sema->value) {
		sema->value--;
		gt__unlock(lock);
		return;
	}
	wait = (struct gt__wait){.g = gt__self()};
	w = (struct gt__waiter){.wait = &wait};
	if (atomic_load_explicit(&gt__prof.mutex_rate, memory_order_relaxed) > 0 && for_a_mutex(reason))
		w.since = gt__now();
	stand(&sema->waiters, &w, first);
	gt__waits_on(wait.g, on.what, (uintptr_t)on.address, on.holder);
	gt__park_unlock(lock, reason);
}

void gt__sema_release(struct gt__sema *sema, bool hand_off)
{
	struct gt_lock *lock = gt__lock_of(&sema->lock);
	struct gt__waiter *w;
	int64_t waited = -1;

	gt__lock(lock);
	w = gt__waitq_take(&sema->waiters);
	if (!w)
		sema->value++;
	else if (w->since)
		waited = charge(&sema->waiters, w);
	gt__unlock(lock);
	if (!w)
		return;
	if (waited >= 0 && gt__prof.event)
		gt__prof.event(GT_PROF_MUTEX, waited);
	gt__ready(w->wait->g);
	if (hand_off)
		gt__yield_local();
}
