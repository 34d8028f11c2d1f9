/*
 * sync.c - condition, once, wait group, weighted semaphore.
 */
#include "runtime/chan.h"
#include "runtime/sema.h"

#include <gtrace/go.h>

/* ---- condition ---- */

/*
 * A waiter draws a ticket before it gives the mutex back, and stands in the queue after. A signal in between finds its ticket
 * but not the waiter: it moves `notified` beyond the ticket, and the waiter, when it comes, does not wait.
 */

static void check_not_copied(struct gt_cond *cond)
{
	uintptr_t self = 0;

	if (atomic_load_explicit(&cond->self, memory_order_relaxed) == (uintptr_t)cond)
		return;
	if (!atomic_compare_exchange_strong_explicit(
		    &cond->self, &self, (uintptr_t)cond, memory_order_relaxed, memory_order_relaxed) &&
		self != (uintptr_t)cond)
		gt__panic("sync.Cond is copied");
}

void gt_cond_wait(struct gt_cond *cond)
{
	struct gt_lock *lock = gt__lock_of(&cond->lock);
	struct gt__wait wait = {.g = gt__self()};
	struct gt__waiter w = {.wait = &wait};

	check_not_copied(cond);
	w.ticket = atomic_fetch_add_explicit(&cond->next_ticket, 1, memory_order_acq_rel);
	gt_mutex_unlock(cond->mutex);
	gt__lock(lock);
	if ((int32_t)((uint32_t)w.ticket - atomic_load_explicit(&cond->notified, memory_order_relaxed)) < 0) {
		gt__unlock(lock);
	} else {
		gt__waitq_add(&cond->waiters, &w);
		gt__waits_on(wait.g, GT_OBJECT_COND, (uintptr_t)cond, 0);
		gt__park_unlock(lock, GT_REASON_SYNC_COND_WAIT);
	}
	gt_mutex_lock(cond->mutex);
}

static bool nobody_waits(struct gt_cond *cond)
{
	return atomic_load_explicit(&cond->next_ticket, memory_order_acquire) ==
	       atomic_load_explicit(&cond->notified, memory_order_acquire);
}

void gt_cond_signal(struct gt_cond *cond)
{
	struct gt_lock *lock = gt__lock_of(&cond->lock);
	struct gt__waiter *w = NULL;
	uint32_t ticket;

	gt__checkpoint();
	check_not_copied(cond);
	if (nobody_waits(cond))
		return;
	gt__lock(lock);
	ticket = atomic_load_explicit(&cond->notified, memory_order_relaxed);
	if (!nobody_waits(cond)) {
		atomic_store_explicit(&cond->notified, ticket + 1, memory_order_release);
		/* Not the first in the queue, when two came in another order than they drew. */
		for (w = cond->waiters.first; w && w->ticket != ticket;)
			w = w->next;
		if (w)
			gt__waitq_remove(&cond->waiters, w);
	}
	gt__unlock(lock);
	if (w)
		gt__ready(w->wait->g);
}

void gt_cond_broadcast(struct gt_cond *cond)
{
	struct gt_lock *lock = gt__lock_of(&cond->lock);
	struct gt__waitq woken;

	gt__checkpoint();
	check_not_copied(cond);
	if (nobody_waits(cond))
		return;
	gt__lock(lock);
	woken = cond->waiters;
	cond->waiters = (struct gt__waitq){NULL, NULL};
	atomic_store_explicit(
		&cond->notified, atomic_load_explicit(&cond->next_ticket, memory_order_acquire), memory_order_release);
	gt__unlock(lock);
	for (struct gt__waiter *w; (w = woken.first);) {
		gt__waitq_remove(&woken, w);
		gt__ready(w->wait->g);
	}
}

/* ---- once ---- */

void gt_once(struct gt_once *once, void (*fn)(void *arg), void *arg)
{
	gt__checkpoint();
	if (atomic_load_explicit(&once->done, memory_order_acquire))
		return;
	gt__mutex_lock_of(&once->mutex, GT_OBJECT_ONCE, once);
	if (!atomic_load_explicit(&once->done, memory_order_relaxed)) {
		fn(arg);
		atomic_store_explicit(&once->done, 1, memory_order_release);
	}
	gt_mutex_unlock(&once->mutex);
}

/* ---- wait group ---- */

static int32_t counter_of(uint64_t state)
{
	return (int32_t)(state >> 32);
}

void gt_wg_add(struct gt_wg *wg, int delta)
{
	uint64_t change = (uint64_t)(uint32_t)delta << 32;
	uint64_t state;
	uint32_t waiters;

	gt__checkpoint();
	state = atomic_fetch_add_explicit(&wg->state, change, memory_order_acq_rel) + change;
	waiters = (uint32_t)state;
	if (counter_of(state) < 0)
		gt__panic("sync: negative WaitGroup counter");
	if (waiters && delta > 0 && counter_of(state) == delta)
		gt__panic("sync: WaitGroup misuse: Add called concurrently with Wait");
	if (counter_of(state) > 0 || !waiters)
		return;
	/* At 0 with waiters nobody may add, and nobody begins to wait. */
	if (atomic_load_explicit(&wg->state, memory_order_relaxed) != state)
		gt__panic("sync: WaitGroup misuse: Add called concurrently with Wait");
	atomic_store_explicit(&wg->state, 0, memory_order_release);
	for (uint32_t i = 0; i < waiters; i++)
		gt__sema_release(&wg->sema, false);
}

void gt_wg_done(struct gt_wg *wg)
{
	gt_wg_add(wg, -1);
}

void gt_wg_wait(struct gt_wg *wg)
{
	uint64_t state;

	gt__checkpoint();
	state = atomic_load_explicit(&wg->state, memory_order_acquire);
	do {
		if (!counter_of(state))
			return;
	} while (!atomic_compare_exchange_weak_explicit(
		&wg->state, &state, state + 1, memory_order_acq_rel, memory_order_acquire));
	gt__sema_acquire(
		&wg->sema, false, GT_REASON_SYNC_WAITGROUP_WAIT, (struct gt__object){GT_OBJECT_WAITGROUP, wg, 0});
	if (atomic_load_explicit(&wg->state, memory_order_relaxed))
		gt__panic("sync: WaitGroup is reused before previous Wait has returned");
}

static void done(void *arg)
{
	gt_wg_done(arg);
}

void gt_wg_go(struct gt_wg *wg, void (*fn)(void *arg), void *arg)
{
	gt_wg_add(wg, 1);
	gt__go_then(fn, arg, done, wg, __builtin_return_address(0));
}

/* ---- weighted semaphore ---- */

/* With the lock held. */
static bool sem_take(struct gt_sem *sem, uint64_t weight)
{
	if (sem->waiters.first || sem->size - sem->used < weight)
		return false;
	sem->used += weight;
	return true;
}

/* With the lock held: those who can go, in their order, are moved to @woken. */
static void sem_grant(struct gt_sem *sem, struct gt__waitq *woken)
{
	for (struct gt__waiter *w; (w = sem->waiters.first) && sem->size - sem->used >= w->ticket;) {
		gt__waitq_remove(&sem->waiters, w);
		if (!gt__waiter_win(w))
			continue;
		sem->used += w->ticket;
		gt__waitq_add(woken, w);
	}
}

static void sem_wake(struct gt__waitq *woken)
{
	for (struct gt__waiter *w; (w = woken->first);) {
		gt__waitq_remove(woken, w);
		gt__ready(w->wait->g);
	}
}

void gt_sem_acquire(struct gt_sem *sem, uint64_t weight)
{
	struct gt_lock *lock = gt__lock_of(&sem->lock);
	struct gt__wait wait = {.g = gt__self()};
	struct gt__waiter w = {.wait = &wait, .ticket = weight};

	gt__checkpoint();
	/* It will never be there, and must not keep others waiting. */
	if (weight > sem->size) {
		gt__waits_on(wait.g, GT_OBJECT_SEMAPHORE, (uintptr_t)sem, 0);
		gt__park(NULL, NULL, GT_REASON_SEMACQUIRE);
	}
	gt__lock(lock);
	if (sem_take(sem, weight)) {
		gt__unlock(lock);
		return;
	}
	gt__waitq_add(&sem->waiters, &w);
	gt__waits_on(wait.g, GT_OBJECT_SEMAPHORE, (uintptr_t)sem, 0);
	gt__park_unlock(lock, GT_REASON_SEMACQUIRE);
}

/* Where one waits for the semaphore and for the end of a context: as a select does, it stands in both queues. */
struct sem_or_done {
	struct gt_sem *sem;
	struct gt__chan *done;
	struct gt__wait wait;
	struct gt__waiter for_sem, for_done;
};

/* The semaphore's lock is taken first. N.B. its goroutine goes on only after the last unlock here. */
static void unlock_both(void *arg)
{
	struct sem_or_done *both = arg;

	gt__unlock(&both->done->lock);
	gt__unlock(gt__lock_of(&both->sem->lock));
}

/* With both locks held; gives them back. True: the weight is ours. */
static bool sem_or_done_wait(struct sem_or_done *both, uint64_t weight)
{
	struct gt_sem *sem = both->sem;
	struct gt__waitq woken = {NULL, NULL};
	bool was_first;

	both->wait = (struct gt__wait){.g = gt__self()};
	both->for_sem = (struct gt__waiter){.wait = &both->wait, .ticket = weight, .in_select = true};
	both->for_done = (struct gt__waiter){.wait = &both->wait, .in_select = true};
	gt__waitq_add(&sem->waiters, &both->for_sem);
	gt__waitq_add(&both->done->receivers, &both->for_done);
	gt__waits_on(both->wait.g, GT_OBJECT_SEMAPHORE, (uintptr_t)sem, 0);
	gt__park(unlock_both, both, GT_REASON_SEMACQUIRE);

	gt__lock(gt__lock_of(&sem->lock));
	gt__lock(&both->done->lock);
	gt__waitq_remove(&both->done->receivers, &both->for_done);
	was_first = sem->waiters.first == &both->for_sem;
	gt__waitq_remove(&sem->waiters, &both->for_sem);
	/* A large request that gives up lets the small ones behind it go. */
	if (was_first)
		sem_grant(sem, &woken);
	unlock_both(both);
	sem_wake(&woken);
	return both->wait.fired == &both->for_sem;
}

int gt_sem_acquire_ctx(struct gt_sem *sem, uint64_t weight, struct gt_ctx *ctx)
{
	struct gt_lock *lock = gt__lock_of(&sem->lock);
	struct sem_or_done both = {.sem = sem, .done = (struct gt__chan *)gt_ctx_done(ctx)};
	int err;

	gt__checkpoint();
	if (!both.done) {
		gt_sem_acquire(sem, weight);
		return 0;
	}
	err = gt_ctx_err(ctx);
	if (err)
		return -err;
	if (weight > sem->size) {
		gt_recv(gt_ctx_done(ctx), NULL);
		return -gt_ctx_err(ctx);
	}
	gt__lock(lock);
	if (sem_take(sem, weight)) {
		gt__unlock(lock);
		return 0;
	}
	gt__lock(&both.done->lock);
	if (atomic_load_explicit(&both.done->closed, memory_order_relaxed)) {
		unlock_both(&both);
		return -gt_ctx_err(ctx);
	}
	return sem_or_done_wait(&both, weight) ? 0 : -gt_ctx_err(ctx);
}

bool gt_sem_tryacquire(struct gt_sem *sem, uint64_t weight)
{
	struct gt_lock *lock = gt__lock_of(&sem->lock);
	bool got;

	gt__checkpoint();
	gt__lock(lock);
	got = sem_take(sem, weight);
	gt__unlock(lock);
	return got;
}

void gt_sem_release(struct gt_sem *sem, uint64_t weight)
{
	struct gt_lock *lock = gt__lock_of(&sem->lock);
	struct gt__waitq woken = {NULL, NULL};

	gt__checkpoint();
	gt__lock(lock);
	if (weight > sem->used) {
		gt__unlock(lock);
		gt__panic("semaphore: released more than held");
	}
	sem->used -= weight;
	sem_grant(sem, &woken);
	gt__unlock(lock);
	sem_wake(&woken);
}
