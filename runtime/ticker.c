/*
 * ticker.c - timers that send on a channel, or start a goroutine.
 *
 * A callback of the heap may be late: stop or reset may have come between its begin and the channel's lock. So it believes only
 * what stands in the channel under the lock: is the timer armed, and has its time come?
 */
#include "runtime/chan.h"

#include <gtrace/go.h>
#include <gtrace/timer.h>

#include <stdlib.h>

struct gt__chan_timer {
	struct gt_timer heap_timer;
	int64_t when_ns;
	int64_t period_ns; /* 0: once */
	bool armed;
	void (*fn)(void *arg); /* NULL: send */
	void *arg;
};

static void expire(void *arg)
{
	struct gt__chan *c = arg;
	struct gt__chan_timer *t = c->timer;
	struct gt__waiter *wake = NULL;
	int64_t now;
	bool due;

	gt__lock(&c->lock);
	now = gt__now();
	due = t->armed && now >= t->when_ns;
	if (due && t->period_ns) {
		t->when_ns += t->period_ns * (1 + (now - t->when_ns) / t->period_ns);
		gt__timer_start(&t->heap_timer, t->when_ns, expire, c);
	} else if (due) {
		t->armed = false;
	}
	/* Full: this tick is dropped. */
	if (due && !t->fn)
		gt__chan_send_locked(c, &now, &wake);
	gt__unlock(&c->lock);
	if (wake) {
		gt__woken_by(wake->wait->g, GT_CAUSE_TIMER, 0);
		gt__ready(wake->wait->g);
	}
	if (due && t->fn)
		gt_go(t->fn, t->arg);
}

/* A time so far that it does not fit is as far as can be. */
static int64_t from_now(int64_t ns)
{
	int64_t when;

	if (__builtin_add_overflow(gt__now(), ns > 0 ? ns : 0, &when))
		return INT64_MAX;
	return when;
}

static void arm_locked(struct gt__chan *c, int64_t ns)
{
	struct gt__chan_timer *t = c->timer;

	t->armed = true;
	t->when_ns = from_now(ns);
	gt__timer_start(&t->heap_timer, t->when_ns, expire, c);
}

static bool disarm_locked(struct gt__chan *c)
{
	bool was = c->timer->armed || (!c->timer->period_ns && gt__chan_drop_locked(c));

	c->timer->armed = false;
	gt__chan_drop_locked(c);
	gt__timer_stop(&c->timer->heap_timer);
	return was;
}

void gt__chan_timer_free(struct gt__chan *c)
{
	/* Nobody has the channel any more, but a callback may be under way, or have started the timer again. */
	gt__lock(&c->lock);
	disarm_locked(c);
	gt__unlock(&c->lock);
	gt__timer_join(&c->timer->heap_timer);
	free(c->timer);
}

static gt_timer start(int64_t ns, int64_t period_ns, void (*fn)(void *arg), void *arg)
{
	struct gt__chan *c = gt__chan_make(sizeof(int64_t), 1);

	gt__checkpoint();
	c->timer = malloc(sizeof *c->timer);
	if (!c->timer)
		gt__fatal("out of memory: a timer");
	*c->timer = (struct gt__chan_timer){.heap_timer.of = c, .period_ns = period_ns, .fn = fn, .arg = arg};
	gt__lock(&c->lock);
	arm_locked(c, ns);
	gt__unlock(&c->lock);
	return (gt_timer)c;
}

int64_t gt_now(void)
{
	return gt__now();
}

gt_timer gt_after(int64_t ns)
{
	return start(ns, 0, NULL, NULL);
}

gt_timer gt_ticker(int64_t ns)
{
	if (ns <= 0)
		gt__panic("non-positive interval for NewTicker");
	return start(ns, ns, NULL, NULL);
}

gt_timer gt_tick(int64_t ns)
{
	return ns > 0 ? gt_ticker(ns) : NULL;
}

gt_timer gt_after_func(int64_t ns, void (*fn)(void *arg), void *arg)
{
	return start(ns, 0, fn, arg);
}

bool gt_timer_stop(gt_timer timer)
{
	struct gt__chan *c = (struct gt__chan *)timer;
	bool was;

	gt__checkpoint();
	if (!c || !c->timer)
		gt__panic("time: Stop called on uninitialized Timer");
	gt__lock(&c->lock);
	was = disarm_locked(c);
	gt__unlock(&c->lock);
	return was;
}

bool gt_timer_reset(gt_timer timer, int64_t ns)
{
	struct gt__chan *c = (struct gt__chan *)timer;
	bool was;

	gt__checkpoint();
	if (!c || !c->timer)
		gt__panic("time: Reset called on uninitialized Timer");
	if (c->timer->period_ns && ns <= 0)
		gt__panic("non-positive interval for Ticker.Reset");
	gt__lock(&c->lock);
	was = disarm_locked(c);
	if (c->timer->period_ns)
		c->timer->period_ns = ns;
	arm_locked(c, ns);
	gt__unlock(&c->lock);
	return was;
}
