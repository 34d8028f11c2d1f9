/*
 * sema.c - semaphores with a queue.
 */
#include "runtime/sema.h"

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
	if (first)
		gt__waitq_add_first(&sema->waiters, &w);
	else
		gt__waitq_add(&sema->waiters, &w);
	gt__waits_on(wait.g, on.what, (uintptr_t)on.address, on.holder);
	gt__park_unlock(lock, reason);
}

void gt__sema_release(struct gt__sema *sema, bool hand_off)
{
	struct gt_lock *lock = gt__lock_of(&sema->lock);
	struct gt__waiter *w;

	gt__lock(lock);
	w = gt__waitq_take(&sema->waiters);
	if (!w)
		sema->value++;
	gt__unlock(lock);
	if (!w)
		return;
	gt__ready(w->wait->g);
	if (hand_off)
		gt__yield_local();
}
