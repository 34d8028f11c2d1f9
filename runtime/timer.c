/*
 * timer.c - timers: for each P a heap in which each node has four children, behind a lock.
 */
#include "runtime/rt.h"

#include <stdlib.h>

/* ---- the heap; its lock is held ---- */

static void place(struct gt_timers *timers, struct gt_timer *timer, uint32_t at)
{
	timers->heap[at] = timer;
	timer->index = at;
}

static void up(struct gt_timers *timers, struct gt_timer *timer, uint32_t at)
{
	while (at) {
		uint32_t parent = (at - 1) / 4;

		if (timers->heap[parent]->when_ns <= timer->when_ns)
			break;
		place(timers, timers->heap[parent], at);
		at = parent;
	}
	place(timers, timer, at);
}

static void down(struct gt_timers *timers, struct gt_timer *timer, uint32_t at)
{
	for (;;) {
		uint32_t first = at * 4 + 1, least = first;

		if (first >= timers->count)
			break;
		for (uint32_t i = first + 1; i < first + 4 && i < timers->count; i++)
			if (timers->heap[i]->when_ns < timers->heap[least]->when_ns)
				least = i;
		if (timers->heap[least]->when_ns >= timer->when_ns)
			break;
		place(timers, timers->heap[least], at);
		at = least;
	}
	place(timers, timer, at);
}

static void tell_min(struct gt_timers *timers)
{
	store_relaxed(&timers->min_ns, timers->count ? timers->heap[0]->when_ns : INT64_MAX);
}

static void insert(struct gt_timers *timers, struct gt_timer *timer)
{
	if (timers->count == timers->room) {
		uint32_t room = timers->room ? timers->room * 2 : 512;
		struct gt_timer **heap = gt__port_memory(
			timers->heap, timers->room * sizeof(struct gt_timer *), room * sizeof(struct gt_timer *));

		if (!heap)
			gt__fatal("no memory for %u timers", room);
		timers->heap = heap;
		timers->room = room;
	}
	store_relaxed(&timer->heap, timers);
	up(timers, timer, timers->count++);
	tell_min(timers);
}

/* It still says that it is in this heap. */
static void unhook(struct gt_timers *timers, struct gt_timer *timer)
{
	struct gt_timer *last = timers->heap[--timers->count];
	uint32_t at = timer->index;

	if (last != timer) {
		if (at && timers->heap[(at - 1) / 4]->when_ns > last->when_ns)
			up(timers, last, at);
		else
			down(timers, last, at);
	}
	tell_min(timers);
}

static void take_out(struct gt_timers *timers, struct gt_timer *timer)
{
	unhook(timers, timer);
	/* Whoever sees it may start it again, in another heap: what was read of it here was read before. */
	store_release(&timer->heap, NULL); /* [out] pairs with lock_heap_of */
}

/* Locks the heap that the timer is in; NULL: in none. */
static struct gt_timers *lock_heap_of(struct gt_timer *timer)
{
	for (;;) {
		struct gt_timers *timers = load_acquire(&timer->heap); /* [out] */

		if (!timers)
			return NULL;
		gt__lock(&timers->lock);
		if (load_relaxed(&timer->heap) == timers)
			return timers;
		gt__unlock(&timers->lock); /* it was moved, or ran */
	}
}

/* The heap's lock is held: nobody else tells of it, nor gives its memory back. */
static void tell(enum gt_timer_op op, const struct gt_timer *timer, int64_t when_ns)
{
	const struct gt_g *g;
	int64_t ns = 0;

	if (!gt_hooks_on_for(GT_SET_TIMERS))
		return;
	g = gt__self();
	if (op == GT_TIMER_SET)
		ns = when_ns - gt__port_now();
	else if (op == GT_TIMER_FIRE)
		ns = gt__port_now() - when_ns;
	gt_hook_timer(op, g ? g->id : 0, timer->of ? timer->of : timer, ns > 0 ? (uint64_t)ns : 0);
}

/* ---- for callers ---- */

void gt__timer_start(struct gt_timer *timer, int64_t when_ns, void (*fn)(void *arg), void *arg)
{
	struct gt_worker *m = gt__worker();
	struct gt_timers *timers;
	int64_t until;

	gt__timer_stop(timer);
	/* The thread must not lose its P in between. */
	if (m)
		m->locks++;
	timers = &(m && m->p ? m->p : gt__sched.ps[0])->timers;
	gt__lock(&timers->lock);
	timer->when_ns = when_ns;
	timer->fn = fn;
	timer->arg = arg;
	insert(timers, timer);
	tell(GT_TIMER_SET, timer, when_ns);
	gt__unlock(&timers->lock);
	atomic_thread_fence(memory_order_seq_cst); /* [until] */
	until = load_relaxed(&gt__sched.poll_until);
	if (until && when_ns < until)
		gt__poller_wake();
	else if (!m || !m->p)
		gt__wake_p(); /* nobody may be about to look */
	if (m)
		m->locks--;
}

bool gt__timer_stop(struct gt_timer *timer)
{
	struct gt_timers *timers = lock_heap_of(timer);

	if (!timers)
		return false;
	tell(GT_TIMER_STOP, timer, 0);
	take_out(timers, timer);
	gt__unlock(&timers->lock);
	return true;
}

void gt__timer_join(struct gt_timer *timer)
{
	for (int i = 0; load_acquire(&timer->running); i++) {
		if (i < 1000)
			gt__port_pause();
		else
			gt__port_give_cpu();
	}
}

bool gt__timers_run(struct gt_timers *timers, int64_t now_ns)
{
	bool any = false;

	gt__lock(&timers->lock);
	while (timers->count && timers->heap[0]->when_ns <= now_ns) {
		struct gt_timer *timer = timers->heap[0];
		void (*fn)(void *arg) = timer->fn;
		void *arg = timer->arg;

		tell(GT_TIMER_FIRE, timer, timer->when_ns);
		atomic_fetch_add_explicit(&timer->running, 1, memory_order_relaxed);
		if (timer->period_ns > 0) {
			timer->when_ns += timer->period_ns * (1 + (now_ns - timer->when_ns) / timer->period_ns);
			down(timers, timer, 0);
			tell_min(timers);
		} else {
			take_out(timers, timer);
		}
		gt__unlock(&timers->lock);
		fn(arg);
		atomic_fetch_sub_explicit(&timer->running, 1, memory_order_release);
		any = true;
		gt__lock(&timers->lock);
	}
	gt__unlock(&timers->lock);
	return any;
}

/* @to's P has the smaller id: the order of these locks. */
void gt__timers_move(struct gt_timers *to, struct gt_timers *from)
{
	gt__lock(&to->lock);
	gt__lock(&from->lock);
	while (from->count) {
		struct gt_timer *timer = from->heap[0];

		/* Never in none, nor told of by none: a stop, or a look for a deadlock, that saw that would believe it. */
		if (timer->when_ns < load_relaxed(&to->min_ns))
			store_relaxed(&to->min_ns, timer->when_ns);
		atomic_thread_fence(memory_order_release); /* [moved] */
		unhook(from, timer);
		insert(to, timer);
	}
	gt__unlock(&from->lock);
	gt__unlock(&to->lock);
}

int64_t gt__timers_first(void)
{
	uint32_t count = load_acquire(&gt__sched.p_count);
	int64_t first = INT64_MAX;

	/* Timers move from larger ids to smaller ones: who looks in this order does not miss one. */
	for (uint32_t i = count; i-- > 0;) {
		int64_t min = load_acquire(&gt__sched.ps[i]->timers.min_ns); /* [moved] */

		if (min < first)
			first = min;
	}
	return first;
}

/* ---- sleep ---- */

struct sleep {
	struct gt_timer timer;
	struct gt_g *g;
	int64_t when_ns;
};

static void wake_up(void *g)
{
	gt__woken_by(g, GT_CAUSE_TIMER, 0);
	gt__ready(g);
}

static void start_sleep(void *arg)
{
	struct sleep *sleep = arg;

	gt__timer_start(&sleep->timer, sleep->when_ns, wake_up, sleep->g);
}

void gt__sleep_until(int64_t when_ns, enum gt_reason reason)
{
	struct sleep sleep = {.g = gt__self(), .when_ns = when_ns};

	if (gt__port_now() >= when_ns)
		return;
	gt__waits_on(sleep.g, GT_OBJECT_SLEEP, (uint64_t)(when_ns - gt__port_now()), 0);
	gt__park(start_sleep, &sleep, reason);
	gt__timer_join(&sleep.timer);
}

void gt_sleep(int64_t ns)
{
	int64_t now = gt__port_now();

	gt__checkpoint();
	if (ns > 0)
		gt__sleep_until(ns > INT64_MAX - now - 1 ? INT64_MAX - 1 : now + ns, GT_REASON_SLEEP);
}
