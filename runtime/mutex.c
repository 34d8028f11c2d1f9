/*
 * mutex.c - the mutex and the rwmutex.
 *
 * The word: bit 0 locked; bit 1 woken: a waiter is on its way, unlock need wake nobody; bit 2 starving; above: the number
 * of waiters. In the starving mode nobody sets locked: unlock leaves it clear, and the waiter that is let through sets it, so that
 * nobody can come between.
 */
#include "runtime/sema.h"

#define LOCKED         1u
#define WOKEN          2u
#define STARVING       4u
#define WAITER         8u
#define WAITERS(state) ((state) / WAITER)

#define STARVING_NS INT64_C(1000000)

#define READERS_MAX (INT32_C(1) << 30)

static uint32_t state_of(struct gt_mutex *mutex)
{
	return atomic_load_explicit(&mutex->state, memory_order_relaxed);
}

static bool change(struct gt_mutex *mutex, uint32_t *old, uint32_t new_)
{
	return atomic_compare_exchange_strong_explicit(
		&mutex->state, old, new_, memory_order_acq_rel, memory_order_relaxed);
}

/* Spins while that may help. True: the woken bit is this goroutine's. @state: what was seen last. */
static bool spin(struct gt_mutex *mutex, uint32_t *state, bool woken)
{
	for (unsigned int round = 0; (*state & (LOCKED | STARVING)) == LOCKED && gt__spin_worth(round); round++) {
		if (!woken && !(*state & WOKEN) && WAITERS(*state)) {
			uint32_t old = *state;

			woken = change(mutex, &old, old | WOKEN);
		}
		gt__spin();
		*state = state_of(mutex);
	}
	return woken;
}

/* Let through while starving: the mutex is this goroutine's. @starving: it itself waited long. */
static void take_over(struct gt_mutex *mutex, uint32_t state, bool starving)
{
	uint32_t delta = LOCKED - WAITER;

	if (state & (LOCKED | WOKEN) || !WAITERS(state))
		gt__fatal("sync: inconsistent mutex state");
	if (!starving || WAITERS(state) == 1)
		delta -= STARVING;
	atomic_fetch_add_explicit(&mutex->state, delta, memory_order_acquire);
}

/* Who has it. Between the lock and this, and after the unlock, it is nobody: not known. */
static void hold(struct gt_mutex *mutex)
{
	struct gt_g *g = gt__self();

	atomic_store_explicit(&mutex->holder, g ? g->id : 0, memory_order_relaxed);
}

static struct gt__object object_of(enum gt_object what, const void *address, struct gt_mutex *holds)
{
	return (struct gt__object){what, address, atomic_load_explicit(&holds->holder, memory_order_relaxed)};
}

/* @what, @of: what the mutex is a part of, as those who wait tell it. */
static void lock_slow(struct gt_mutex *mutex, enum gt_object what, const void *of)
{
	uint32_t state = state_of(mutex);
	bool starving = false;
	bool woken = false;
	int64_t since = 0;

	for (;;) {
		uint32_t new_;

		woken = spin(mutex, &state, woken);
		new_ = state;
		if (!(state & STARVING))
			new_ |= LOCKED;
		if (state & (LOCKED | STARVING))
			new_ += WAITER;
		if (starving && state & LOCKED)
			new_ |= STARVING;
		if (woken) {
			if (!(new_ & WOKEN))
				gt__fatal("sync: inconsistent mutex state");
			new_ &= ~WOKEN;
		}
		if (!change(mutex, &state, new_))
			continue;
		if (!(state & (LOCKED | STARVING)))
			return;
		if (!since) {
			since = gt__now();
			gt__sema_acquire(&mutex->sema, false, GT_REASON_SYNC_MUTEX_LOCK, object_of(what, of, mutex));
		} else {
			gt__sema_acquire(&mutex->sema, true, GT_REASON_SYNC_MUTEX_LOCK, object_of(what, of, mutex));
		}
		starving = starving || gt__now() - since > STARVING_NS;
		state = state_of(mutex);
		if (state & STARVING) {
			take_over(mutex, state, starving);
			return;
		}
		woken = true;
	}
}

void gt__mutex_lock_of(struct gt_mutex *mutex, enum gt_object what, const void *of)
{
	uint32_t old = 0;

	gt__checkpoint();
	if (!change(mutex, &old, LOCKED))
		lock_slow(mutex, what, of);
	hold(mutex);
}

void gt_mutex_lock(struct gt_mutex *mutex)
{
	uint32_t old = 0;

	gt__checkpoint();
	if (!change(mutex, &old, LOCKED))
		lock_slow(mutex, GT_OBJECT_MUTEX, mutex);
	hold(mutex);
}

bool gt_mutex_trylock(struct gt_mutex *mutex)
{
	uint32_t old = state_of(mutex);

	gt__checkpoint();
	if (old & (LOCKED | STARVING) || !change(mutex, &old, old | LOCKED))
		return false;
	hold(mutex);
	return true;
}

static void unlock_slow(struct gt_mutex *mutex, uint32_t state)
{
	if (!((state + LOCKED) & LOCKED))
		gt__fatal("sync: unlock of unlocked mutex");
	if (state & STARVING) {
		gt__sema_release(&mutex->sema, true);
		return;
	}
	/* Somebody has it, or is on the way: nobody need be woken. */
	while (WAITERS(state) && !(state & (LOCKED | WOKEN | STARVING))) {
		if (change(mutex, &state, (state - WAITER) | WOKEN)) {
			gt__sema_release(&mutex->sema, false);
			return;
		}
	}
}

void gt_mutex_unlock(struct gt_mutex *mutex)
{
	uint32_t state;

	atomic_store_explicit(&mutex->holder, 0, memory_order_relaxed);
	state = atomic_fetch_sub_explicit(&mutex->state, LOCKED, memory_order_release) - LOCKED;
	if (state)
		unlock_slow(mutex, state);
}

/* ---- many readers or one writer ---- */

static int32_t add(_Atomic int32_t *to, int32_t delta)
{
	return atomic_fetch_add_explicit(to, delta, memory_order_acq_rel) + delta;
}

void gt_rwmutex_rlock(struct gt_rwmutex *rw)
{
	gt__checkpoint();
	if (add(&rw->readers, 1) < 0)
		gt__sema_acquire(&rw->reader_sema, false, GT_REASON_SYNC_RWMUTEX_RLOCK,
			object_of(GT_OBJECT_RWMUTEX, rw, &rw->writers));
}

bool gt_rwmutex_tryrlock(struct gt_rwmutex *rw)
{
	int32_t readers = atomic_load_explicit(&rw->readers, memory_order_relaxed);

	gt__checkpoint();
	while (readers >= 0) {
		if (atomic_compare_exchange_weak_explicit(
			    &rw->readers, &readers, readers + 1, memory_order_acq_rel, memory_order_relaxed))
			return true;
	}
	return false;
}

void gt_rwmutex_runlock(struct gt_rwmutex *rw)
{
	int32_t readers = add(&rw->readers, -1);

	if (readers >= 0)
		return;
	if (readers + 1 == 0 || readers + 1 == -READERS_MAX)
		gt__fatal("sync: RUnlock of unlocked RWMutex");
	/* A writer waits: the last reader lets it through. */
	if (!add(&rw->readers_left, -1))
		gt__sema_release(&rw->writer_sema, false);
}

void gt_rwmutex_lock(struct gt_rwmutex *rw)
{
	int32_t readers;

	gt__mutex_lock_of(&rw->writers, GT_OBJECT_RWMUTEX, rw);
	readers = add(&rw->readers, -READERS_MAX) + READERS_MAX;
	/* Readers that left since then have counted it below 0 already. */
	if (readers && add(&rw->readers_left, readers))
		/* Readers have it: who they are, nobody keeps. */
		gt__sema_acquire(&rw->writer_sema, false, GT_REASON_SYNC_RWMUTEX_LOCK,
			(struct gt__object){GT_OBJECT_RWMUTEX, rw, 0});
}

bool gt_rwmutex_trylock(struct gt_rwmutex *rw)
{
	int32_t none = 0;

	if (!gt_mutex_trylock(&rw->writers))
		return false;
	if (atomic_compare_exchange_strong_explicit(
		    &rw->readers, &none, -READERS_MAX, memory_order_acq_rel, memory_order_relaxed))
		return true;
	gt_mutex_unlock(&rw->writers);
	return false;
}

void gt_rwmutex_unlock(struct gt_rwmutex *rw)
{
	int32_t readers = add(&rw->readers, READERS_MAX);

	if (readers >= READERS_MAX)
		gt__fatal("sync: Unlock of unlocked RWMutex");
	for (int32_t i = 0; i < readers; i++)
		gt__sema_release(&rw->reader_sema, false);
	gt_mutex_unlock(&rw->writers);
}
