/*
 * lock.c - the lock of sched.h: a few spins, then a futex.
 *
 * It is given back by a plain store: who sleeps on it is told by a word beside, so that no atomic exchange need ask.
 *
 *   [sleep]  sleepers added to, barrier on all threads, state looked at  <>  [free]  state stored, sleepers loaded
 *
 * The barrier (membarrier) lies, on the thread that gives back, before the load, or after it and so after the store: the one
 * sees the sleeper, the other's store is seen by the sleeper. The words are shared by many locks and lie apart from them, for
 * the memory of a lock may be freed as soon as it is stored to; one more wake than needed hurts nobody.
 */
#include "runtime/rt.h"

#ifndef SPINS
#define SPINS  100
#define PAUSES 3
#endif

_Atomic uint32_t gt__sleepers[GT_SLEEPER_WORDS];

void gt__lock_slow(struct gt_lock *lock)
{
	int64_t since;
	bool barrier;

	for (int i = 0; i < SPINS; i++) {
		uint32_t free = 0;

		if (load_relaxed(&lock->state) == 0 && atomic_compare_exchange_strong_explicit(&lock->state, &free, 1,
							       memory_order_acquire, memory_order_relaxed))
			return;
		for (int k = 0; k < PAUSES; k++)
			gt__port_pause();
	}
	since = gt__port_now();
	atomic_fetch_add_explicit(gt__sleepers_on(lock), 1, memory_order_seq_cst);
	barrier = gt__port_barrier(); /* [sleep] */
	while (atomic_exchange_explicit(&lock->state, 1, memory_order_acquire) != 0)
		gt__port_wait(&lock->state, 1, barrier ? -1 : gt__port_now() + GT_MILLISECOND);
	atomic_fetch_sub_explicit(gt__sleepers_on(lock), 1, memory_order_relaxed);
	gt__count(&gt__counts.lock_wait_ns, (uint64_t)(gt__port_now() - since));
}

void gt__unlock_slow(struct gt_lock *lock)
{
	gt__port_wake(&lock->state, 1);
}

bool gt__lock_try(struct gt_lock *lock)
{
	uint32_t free = 0;

	if (!atomic_compare_exchange_strong_explicit(
		    &lock->state, &free, 1, memory_order_acquire, memory_order_relaxed))
		return false;
	gt__locks_add(1);
	return true;
}
