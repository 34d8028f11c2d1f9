/*
 * p.c - the queues: a ring and a place for the next one for each P, one list for all, and who takes from whom.
 */
#include "runtime/rt.h"

struct gt_sched gt__sched = {.m_max = GT_M_MAX};

/* ---- the global queue; the lock is held ---- */

void gt__global_put(struct gt_g *g)
{
	struct gt_sched *s = &gt__sched;
	struct gt_g_list *list = g->bound ? &s->global_bound : &s->global;

	g->next = NULL;
	g->ticket = s->global_ticket++;
	if (list->first)
		list->last->next = g;
	else
		list->first = g;
	list->last = g;
	store_relaxed(&s->global_count, load_relaxed(&s->global_count) + 1);
}

static struct gt_g *pop(struct gt_g_list *list)
{
	struct gt_g *g = list->first;

	list->first = g->next;
	return g;
}

/* The list whose turn it is: both together are one queue. At least one of them is not empty. */
static struct gt_g_list *next_list(void)
{
	struct gt_sched *s = &gt__sched;

	if (!s->global_bound.first)
		return &s->global;
	if (!s->global.first)
		return &s->global_bound;
	return s->global_bound.first->ticket < s->global.first->ticket ? &s->global_bound : &s->global;
}

struct gt_g *gt__global_get_bound(void)
{
	struct gt_sched *s = &gt__sched;

	if (!s->global_bound.first)
		return NULL;
	store_relaxed(&s->global_count, load_relaxed(&s->global_count) - 1);
	return pop(&s->global_bound);
}

struct gt_g *gt__global_get(struct gt_p *p, uint32_t max)
{
	struct gt_sched *s = &gt__sched;
	uint32_t count = load_relaxed(&s->global_count), take = count / load_relaxed(&s->procs) + 1;
	uint32_t tail = load_relaxed(&p->tail);
	uint32_t room = GT_RING - (tail - load_acquire(&p->head)), taken;
	struct gt_g *first;

	if (!count)
		return NULL;
	if (take > count)
		take = count;
	if (max && take > max)
		take = max;
	if (take > GT_RING / 2)
		take = GT_RING / 2;
	if (take > room + 1)
		take = room + 1;
	first = pop(next_list());
	taken = 1;
	/* Bound ones stay where everybody finds them: when no M sleeps, they alone let a slice end (preempt.c). */
	for (; !first->bound && taken < take && next_list() == &s->global; taken++)
		store_relaxed(&p->ring[tail++ % GT_RING], pop(&s->global));
	store_relaxed(&s->global_count, count - taken);
	store_release(&p->tail, tail); /* [put] */
	return first;
}

/* ---- a P's own ---- */

/* The ring is full: half of it, and @g, to the global queue. False: somebody stole meanwhile, there is room. */
static __attribute__((noinline)) bool overflow(struct gt_p *p, struct gt_g *g)
{
	struct gt_g *batch[GT_RING / 2];
	uint32_t head = load_acquire(&p->head), tail = load_relaxed(&p->tail), count = GT_RING / 2;

	if (tail - head < GT_RING)
		return false;
	for (uint32_t i = 0; i < count; i++)
		batch[i] = load_relaxed(&p->ring[(head + i) % GT_RING]);
	if (!atomic_compare_exchange_strong_explicit(
		    &p->head, &head, head + count, memory_order_acq_rel, memory_order_relaxed))
		return false;
	gt__lock(&gt__sched.lock);
	for (uint32_t i = 0; i < count; i++)
		gt__global_put(batch[i]);
	gt__global_put(g);
	gt__unlock(&gt__sched.lock);
	return true;
}

void gt__ring_put(struct gt_p *p, struct gt_g *g, bool next)
{
	if (next) {
		g = atomic_exchange_explicit(&p->runnext, g, memory_order_acq_rel); /* [put] */
		if (!g)
			return;
	}
	for (;;) {
		uint32_t tail = load_relaxed(&p->tail);

		if (LIKELY(tail - load_acquire(&p->head) < GT_RING)) {
			store_relaxed(&p->ring[tail % GT_RING], g);
			store_release(&p->tail, tail + 1); /* [put] */
			return;
		}
		if (overflow(p, g))
			return;
	}
}

struct gt_g *gt__ring_get(struct gt_p *p, bool *inherit)
{
	struct gt_g *g = load_relaxed(&p->runnext);
	uint32_t head;

	/* A thief may take it, but only we put another one there. */
	if (g && atomic_compare_exchange_strong_explicit(
			 &p->runnext, &g, NULL, memory_order_acquire, memory_order_relaxed)) { /* [get] */
		*inherit = true;
		return g;
	}
	*inherit = false;
	head = load_acquire(&p->head);
	while (head != load_relaxed(&p->tail)) {
		g = load_relaxed(&p->ring[head % GT_RING]);
		if (atomic_compare_exchange_weak_explicit(
			    &p->head, &head, head + 1, memory_order_acq_rel, memory_order_acquire)) /* [get] */
			return g;
	}
	return NULL;
}

bool gt__ring_empty(struct gt_p *p)
{
	/* runnext may fall into the ring between two looks: look at the tail again. */
	for (;;) {
		uint32_t tail = load_acquire(&p->tail);
		bool empty = load_acquire(&p->head) == tail && !load_acquire(&p->runnext);

		if (tail == load_acquire(&p->tail))
			return empty;
	}
}

struct gt_g *gt__ring_steal(struct gt_p *p, struct gt_p *from, bool runnext)
{
	uint32_t tail = load_relaxed(&p->tail);

	for (;;) {
		uint32_t head = load_acquire(&from->head);
		uint32_t count = load_acquire(&from->tail) - head; /* [get] */
		struct gt_g *g;

		count -= count / 2;
		if (count > GT_RING / 2)
			continue; /* head and tail do not belong together */
		if (!count) {
			g = runnext ? load_relaxed(&from->runnext) : NULL;
			if (!g)
				return NULL;
			/* Who readied it is about to block, most likely, and will run it at once. */
			if (load_relaxed(&from->status) == GT_P_RUNNING)
				for (int i = 0; i < 100; i++)
					gt__port_pause();
			if (!atomic_compare_exchange_strong_explicit(
				    &from->runnext, &g, NULL, memory_order_acquire, memory_order_relaxed))
				continue;
			gt__count_own(&p->counts.steals, 1);
			gt__count_own(&p->counts.stolen, 1);
			return g;
		}
		for (uint32_t i = 0; i < count; i++)
			store_relaxed(&p->ring[(tail + i) % GT_RING], load_relaxed(&from->ring[(head + i) % GT_RING]));
		if (!atomic_compare_exchange_strong_explicit(
			    &from->head, &head, head + count, memory_order_acq_rel, memory_order_relaxed))
			continue;
		g = load_relaxed(&p->ring[(tail + count - 1) % GT_RING]);
		store_release(&p->tail, tail + count - 1); /* [put] */
		gt__count_own(&p->counts.steals, 1);
		gt__count_own(&p->counts.stolen, count);
		return g;
	}
}

void gt__ring_drain(struct gt_p *p)
{
	struct gt_g *g;
	bool inherit;

	while ((g = gt__ring_get(p, &inherit)))
		gt__global_put(g);
}

/* ---- idle Ps; the lock is held ---- */

void gt__idle_p_put(struct gt_p *p)
{
	store_relaxed(&p->status, GT_P_IDLE);
	if (UNLIKELY(load_relaxed(&p->retire))) {
		gt__p_retire(p);
		return;
	}
	gt_hook_slot(GT_SLOT_IDLE, p->id);
	p->idle_since_ns = gt__port_now();
	p->next_idle = gt__sched.idle_p;
	gt__sched.idle_p = p;
	atomic_fetch_add_explicit(&gt__sched.idle_ps, 1, memory_order_seq_cst);
}

struct gt_p *gt__idle_p_get(void)
{
	struct gt_p *p = gt__sched.idle_p;

	if (p) {
		gt__sched.idle_p = p->next_idle;
		gt__sched.cpu_idle_ns += gt__port_now() - p->idle_since_ns;
		atomic_fetch_sub_explicit(&gt__sched.idle_ps, 1, memory_order_seq_cst);
	}
	return p;
}
