/*
 * chan.h - what a channel is, for those that look inside: chan.c, select.c, ticker.c.
 *
 * With the lock held:
 *   1. At least one of the two queues is empty, but for a select that stands in both.
 *   2. Values in the buffer: no receiver waits. Room in the buffer: no sender waits.
 *   3. Closed: nobody waits.
 * So whoever comes finds either the buffer or a partner, never both, and values go over in the order they were sent.
 */
#ifndef GT_RUNTIME_CHAN_H
#define GT_RUNTIME_CHAN_H

#include <gtrace/chan.h>
#include "runtime/sched.h"
#include "runtime/waitq.h"

struct gt__chan {
	struct gt_lock lock;
	_Atomic uint32_t refs;
	_Atomic size_t count; /* values in the buffer; a look without the lock is a hint */
	_Atomic bool closed;  /* never goes back */
	size_t cap;
	size_t value_size;
	size_t take_index;            /* where the next value is received from */
	size_t put_index;             /* where the next value is sent to */
	const void *of;               /* a context's: the context; else NULL */
	struct gt__chan_timer *timer; /* NULL, or what sends here (ticker.c): len and cap are told as 0 */
	struct gt__waitq receivers;
	struct gt__waitq senders;
	_Alignas(max_align_t) unsigned char buffer[];
};

/* What one who waits on it says that it waits for. */
static inline uint64_t gt__chan_object(const struct gt__chan *c)
{
	if (c->of)
		return GT_OBJECT_WORD(GT_OBJECT_CONTEXT, (uintptr_t)c->of);
	return GT_OBJECT_WORD(c->timer ? GT_OBJECT_TIMER : GT_OBJECT_CHAN, (uintptr_t)c);
}

/* With the lock held. True: it was done. *@wake: a waiter to make ready when the lock is given back, or NULL. */
bool gt__chan_send_locked(struct gt__chan *c, const void *value, struct gt__waiter **wake);
/* The same; *@ok: what gt_recv returns. */
bool gt__chan_recv_locked(struct gt__chan *c, void *into, struct gt__waiter **wake, bool *ok);
/* Throws the buffer's values away; false: there were none. */
bool gt__chan_drop_locked(struct gt__chan *c);
/* Stops and frees c->timer. */
void gt__chan_timer_free(struct gt__chan *c);

#endif
