/*
 * lock.c - the lock of sched.h: a few spins, then a futex.
 */
#include "runtime/rt.h"

#ifndef SPINS
#define SPINS  100
#define PAUSES 3
#endif

static __attribute__((noinline, cold)) void wait_for(struct gt_lock *lock)
{
	int64_t since;

	for (int i = 0; i < SPINS; i++) {
		uint32_t free = 0;

		if (load_relaxed(&lock->state) == 0 && atomic_compare_exchange_strong_explicit(&lock->state, &free, 1,
							       memory_order_acquire, memory_order_relaxed))
			return;
		for (int k = 0; k < PAUSES; k++)
			gt__port_pause();
	}
	since = gt__port_now();
	while (atomic_exchange_explicit(&lock->state, 2, memory_order_acquire) != 0)
		gt__port_wait(&lock->state, 2, -1);
	gt__count(&gt__counts.lock_wait_ns, (uint64_t)(gt__port_now() - since));
}

void gt__lock(struct gt_lock *lock)
{
	struct gt_worker *m = gt__worker();
	uint32_t free = 0;

	if (LIKELY(m))
		m->locks++;
	if (UNLIKELY(!atomic_compare_exchange_strong_explicit(
		    &lock->state, &free, 1, memory_order_acquire, memory_order_relaxed)))
		wait_for(lock);
}

bool gt__lock_try(struct gt_lock *lock)
{
	struct gt_worker *m = gt__worker();
	uint32_t free = 0;

	if (!atomic_compare_exchange_strong_explicit(
		    &lock->state, &free, 1, memory_order_acquire, memory_order_relaxed))
		return false;
	if (m)
		m->locks++;
	return true;
}

void gt__unlock(struct gt_lock *lock)
{
	struct gt_worker *m = gt__worker();

	if (UNLIKELY(atomic_exchange_explicit(&lock->state, 0, memory_order_release) == 2))
		gt__port_wake(&lock->state, 1);
	if (LIKELY(m))
		m->locks--;
}
