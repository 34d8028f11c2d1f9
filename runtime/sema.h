/*
 * sema.h - sleep until a count allows it: what sync.c is built on.
 *
 * The waiters stand in the semaphore itself, so nothing is shared between two mutexes. A release with somebody waiting grants that
 * one; the count is for releases that came before.
 *
 * Ordering: everything before a release is seen after the acquire that it let through.
 */
#ifndef GT_RUNTIME_SEMA_H
#define GT_RUNTIME_SEMA_H

#include "runtime/sched.h"
#include "runtime/waitq.h"

/* What the waiter says that it waits for: the object whose semaphore it is. */
struct gt__object {
	enum gt_object what;
	const void *address;
	uint64_t holder; /* 0: not known */
};

/* @first: stands before all others, for one that had waited before. */
void gt__sema_acquire(struct gt__sema *sema, bool first, enum gt_reason reason, struct gt__object on);
/* @hand_off: the one that is let through runs now, in the rest of the caller's slice. */
void gt__sema_release(struct gt__sema *sema, bool hand_off);

/* gt_mutex_lock of one that is a part of something else, which is told in its place. */
void gt__mutex_lock_of(struct gt_mutex *mutex, enum gt_object what, const void *of);

/* The public headers know a lock as a word. */
_Static_assert(sizeof(struct gt_lock) == sizeof(uint32_t), "sync.h keeps locks in a uint32_t");
static inline struct gt_lock *gt__lock_of(uint32_t *word)
{
	return (struct gt_lock *)(void *)word;
}

#endif
