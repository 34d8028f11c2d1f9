/*
 * chan.c - channels: a buffer, two queues of waiters, one lock.
 *
 * A value goes from hand to hand where it can: whoever finds a partner waiting writes into its stack, or reads from it, while the
 * partner sleeps. The buffer is used only when nobody waits for it (the invariants stand in chan.h).
 */
#include "runtime/chan.h"

#include <stdlib.h>
#include <string.h>

static void copy(void *to, const void *from, size_t size)
{
	if (size == 8)
		memcpy(to, from, 8);
	else if (size == 4)
		memcpy(to, from, 4);
	else if (size)
		memcpy(to, from, size);
}

static void *slot(struct gt__chan *c, size_t index)
{
	return c->buffer + index * c->value_size;
}

static size_t after(const struct gt__chan *c, size_t index)
{
	return index + 1 == c->cap ? 0 : index + 1;
}

static size_t count_of(struct gt__chan *c)
{
	return atomic_load_explicit(&c->count, memory_order_relaxed);
}

static void count_set(struct gt__chan *c, size_t count)
{
	atomic_store_explicit(&c->count, count, memory_order_relaxed);
}

static bool closed(struct gt__chan *c)
{
	return atomic_load_explicit(&c->closed, memory_order_acquire);
}

struct gt__chan *gt__chan_make(size_t value_size, size_t cap)
{
	struct gt__chan *c;
	size_t bytes;

	if (__builtin_mul_overflow(value_size, cap, &bytes) || bytes > PTRDIFF_MAX - sizeof *c || cap > PTRDIFF_MAX)
		gt__panic("makechan: size out of range");
	c = malloc(sizeof *c + bytes);
	if (!c)
		gt__fatal("out of memory: a channel of %zu bytes", bytes);
	memset(c, 0, sizeof *c);
	atomic_store_explicit(&c->refs, 1, memory_order_relaxed);
	c->cap = cap;
	c->value_size = value_size;
	return c;
}

struct gt__chan *gt__chan_ref(struct gt__chan *c)
{
	if (c)
		atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

void gt__chan_free(struct gt__chan *c)
{
	if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
		return;
	if (c->receivers.first || c->senders.first)
		gt__fatal("free of a channel on which goroutines wait");
	if (c->timer)
		gt__chan_timer_free(c);
	free(c);
}

/* ---- with the lock held ---- */

bool gt__chan_send_locked(struct gt__chan *c, const void *value, struct gt__waiter **wake)
{
	struct gt__waiter *receiver = gt__waitq_take(&c->receivers);

	*wake = receiver;
	if (receiver) {
		if (receiver->value)
			copy(receiver->value, value, c->value_size);
		receiver->success = true;
		return true;
	}
	if (count_of(c) == c->cap)
		return false;
	copy(slot(c, c->put_index), value, c->value_size);
	c->put_index = after(c, c->put_index);
	count_set(c, count_of(c) + 1);
	return true;
}

bool gt__chan_recv_locked(struct gt__chan *c, void *into, struct gt__waiter **wake, bool *ok)
{
	size_t count = count_of(c);
	struct gt__waiter *sender;

	*wake = NULL;
	*ok = true;
	if (closed(c) && !count) {
		if (into)
			memset(into, 0, c->value_size);
		*ok = false;
		return true;
	}
	sender = gt__waitq_take(&c->senders);
	*wake = sender;
	if (sender)
		sender->success = true;
	if (!c->cap) {
		if (sender && into)
			copy(into, sender->value, c->value_size);
		return sender;
	}
	if (!count)
		return false;
	if (into)
		copy(into, slot(c, c->take_index), c->value_size);
	c->take_index = after(c, c->take_index);
	if (sender) {
		/* The buffer was full, so the slot that is free now is the end of the line. */
		copy(slot(c, c->put_index), sender->value, c->value_size);
		c->put_index = after(c, c->put_index);
	} else {
		count_set(c, count - 1);
	}
	return true;
}

bool gt__chan_drop_locked(struct gt__chan *c)
{
	bool some = count_of(c);

	count_set(c, 0);
	c->take_index = 0;
	c->put_index = 0;
	return some;
}

/* ---- operations ---- */

static void ready_if(struct gt__waiter *w)
{
	if (w)
		gt__ready(w->wait->g);
}

/* Gives the lock back; false: woken by close. */
static bool wait_in(struct gt__chan *c, struct gt__waitq *q, void *value, enum gt_reason reason)
{
	struct gt__wait wait = {.g = gt__self()};
	struct gt__waiter w = {.wait = &wait, .value = value};

	gt__waitq_add(q, &w);
	wait.g->on = gt__chan_object(c);
	wait.g->on_holder = 0;
	gt__park_unlock(&c->lock, reason);
	return w.success;
}

void gt__chan_send(struct gt__chan *c, const void *value)
{
	struct gt__waiter *wake;

	gt__checkpoint();
	if (!c) {
		gt__park(NULL, NULL, GT_REASON_CHAN_SEND_NIL);
		__builtin_unreachable();
	}
	gt__lock(&c->lock);
	if (closed(c)) {
		gt__unlock(&c->lock);
		gt__panic("send on closed channel");
	}
	if (gt__chan_send_locked(c, value, &wake)) {
		gt__unlock(&c->lock);
		ready_if(wake);
		return;
	}
	if (!wait_in(c, &c->senders, (void *)value, GT_REASON_CHAN_SEND))
		gt__panic("send on closed channel");
}

bool gt__chan_recv(struct gt__chan *c, void *into)
{
	struct gt__waiter *wake;
	bool ok;

	gt__checkpoint();
	if (!c) {
		gt__park(NULL, NULL, GT_REASON_CHAN_RECEIVE_NIL);
		__builtin_unreachable();
	}
	gt__lock(&c->lock);
	if (gt__chan_recv_locked(c, into, &wake, &ok)) {
		gt__unlock(&c->lock);
		ready_if(wake);
		return ok;
	}
	return wait_in(c, &c->receivers, into, GT_REASON_CHAN_RECEIVE);
}

void *gt__chan_recv_value(struct gt__chan *c, void *into)
{
	gt__chan_recv(c, into);
	return into;
}

bool gt__chan_try_send(struct gt__chan *c, const void *value)
{
	struct gt__waiter *wake;
	bool done;

	gt__checkpoint();
	if (!c)
		return false;
	/* Full at an instant at which it was open: closed is looked at first, and never goes back. */
	if (!closed(c) && count_of(c) == c->cap && gt__waitq_empty_hint(&c->receivers))
		return false;
	gt__lock(&c->lock);
	if (closed(c)) {
		gt__unlock(&c->lock);
		gt__panic("send on closed channel");
	}
	done = gt__chan_send_locked(c, value, &wake);
	gt__unlock(&c->lock);
	ready_if(wake);
	return done;
}

enum gt_try gt__chan_try_recv(struct gt__chan *c, void *into)
{
	struct gt__waiter *wake;
	bool done, ok;

	gt__checkpoint();
	if (!c)
		return GT_NOT_READY;
	/* Empty at an instant at which it was open: closed is looked at last. */
	if (!atomic_load_explicit(&c->count, memory_order_acquire) && gt__waitq_empty_hint(&c->senders) && !closed(c))
		return GT_NOT_READY;
	gt__lock(&c->lock);
	done = gt__chan_recv_locked(c, into, &wake, &ok);
	gt__unlock(&c->lock);
	ready_if(wake);
	return !done ? GT_NOT_READY : ok ? GT_DONE : GT_CLOSED;
}

void gt__chan_close(struct gt__chan *c)
{
	struct gt__waitq woken = {NULL, NULL};

	gt__checkpoint();
	if (!c)
		gt__panic("close of nil channel");
	gt__lock(&c->lock);
	if (closed(c)) {
		gt__unlock(&c->lock);
		gt__panic("close of closed channel");
	}
	atomic_store_explicit(&c->closed, true, memory_order_release);
	for (struct gt__waiter *w; (w = gt__waitq_take(&c->receivers));) {
		if (w->value)
			memset(w->value, 0, c->value_size);
		gt__waitq_add_first(&woken, w);
	}
	/* Senders end with Go's message when they wake. */
	for (struct gt__waiter *w; (w = gt__waitq_take(&c->senders));)
		gt__waitq_add_first(&woken, w);
	gt__unlock(&c->lock);
	/* The last first, as in Go: each one made ready is the next to run, so the one that waited longest is. */
	for (struct gt__waiter *w; (w = woken.first);) {
		gt__waitq_remove(&woken, w);
		gt__ready(w->wait->g);
	}
}

size_t gt__chan_len(struct gt__chan *c)
{
	return c && !c->timer ? count_of(c) : 0;
}

size_t gt__chan_cap(struct gt__chan *c)
{
	return c && !c->timer ? c->cap : 0;
}
