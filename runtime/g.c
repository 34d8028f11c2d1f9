/*
 * g.c - goroutines: made, begun, ended, counted.
 */
#include "runtime/prof.h"
#include "runtime/rt.h"

#include <string.h>

/* Some ids at a time, so that Ps do not meet. */
static uint64_t new_id(struct gt_p *p)
{
	if (!p)
		return atomic_fetch_add_explicit(&gt__sched.next_id, 1, memory_order_relaxed);
	if (UNLIKELY(p->id_next == p->id_end)) {
		p->id_next = atomic_fetch_add_explicit(&gt__sched.next_id, GT_IDS_PER_P, memory_order_relaxed);
		p->id_end = p->id_next + GT_IDS_PER_P;
	}
	return p->id_next++;
}

/*
 * A new stack costs the kernel's time, some microseconds, and most of it is the page it touches. So they are made some at a time,
 * and by a spinning M before they are asked for: never more than one in so many of those there are.
 */
#define ONE_AHEAD_IN 64u
#define AHEAD_MAX    256u

static uint32_t ahead(uint32_t max)
{
	uint32_t count = gt__stack_count() / ONE_AHEAD_IN;

	return count < max ? count : max;
}

/* The lock is held. */
static struct gt_g *get_free(void)
{
	struct gt_g *g = gt__sched.free;

	if (g) {
		gt__sched.free = g->next;
		store_relaxed(&gt__sched.free_count, load_relaxed(&gt__sched.free_count) - 1);
	}
	return g;
}

/* The same: @first to @last, linked by next. */
static void put_free(struct gt_g *first, struct gt_g *last, uint32_t count)
{
	last->next = gt__sched.free;
	gt__sched.free = first;
	store_relaxed(&gt__sched.free_count, load_relaxed(&gt__sched.free_count) + count);
}

void gt__g_give_all(struct gt_p *p)
{
	struct gt_g *last = p->free;

	if (!last)
		return;
	while (last->next)
		last = last->next;
	put_free(p->free, last, p->free_count);
	p->free = NULL;
	p->free_count = 0;
}

static struct gt_g *take_slow(struct gt_p *p)
{
	struct gt_g *g;

	gt__lock(&gt__sched.lock);
	g = get_free();
	for (uint32_t i = 0; p && i < GT_FREE_PER_P / 2; i++) {
		struct gt_g *more = get_free();

		if (!more)
			break;
		more->next = p->free;
		p->free = more;
		p->free_count++;
	}
	gt__unlock(&gt__sched.lock);
	if (g)
		return g;
	g = gt__stacks_new(p ? 1 + ahead(GT_STACKS_AT_ONCE - 1) : 1);
	if (g && p) {
		p->free = g->next;
		for (struct gt_g *more = p->free; more; more = more->next)
			p->free_count++;
	}
	return g;
}

bool gt__g_ahead(void)
{
	struct gt_g *first, *last;
	uint32_t count = 1;

	if (load_relaxed(&gt__sched.free_count) >= ahead(AHEAD_MAX))
		return false;
	first = gt__stacks_new(GT_STACKS_AT_ONCE);
	if (!first)
		return false;
	for (last = first; last->next; last = last->next)
		count++;
	gt__lock(&gt__sched.lock);
	put_free(first, last, count);
	gt__unlock(&gt__sched.lock);
	return true;
}

struct gt_g *gt__g_take(struct gt_p *p)
{
	struct gt_g *g = p ? p->free : NULL;

	if (UNLIKELY(!g))
		return take_slow(p);
	p->free = g->next;
	p->free_count--;
	return g;
}

static __attribute__((noinline)) void give_half(struct gt_p *p)
{
	struct gt_g *first = p->free, *last = first;

	for (uint32_t i = 1; i < GT_FREE_PER_P / 2; i++)
		last = last->next;
	p->free = last->next;
	p->free_count -= GT_FREE_PER_P / 2;
	gt__lock(&gt__sched.lock);
	put_free(first, last, GT_FREE_PER_P / 2);
	gt__unlock(&gt__sched.lock);
}

/* The `after` of one that ended: its stack is left only now. */
void gt__g_give(void *arg)
{
	struct gt_p *p = gt__worker()->p;
	struct gt_g *g = arg;

	gt_san_stack_dead(&g->context.san);
	g->next = p->free;
	p->free = g;
	if (UNLIKELY(++p->free_count == GT_FREE_PER_P))
		give_half(p);
}

static void set_name(struct gt_g *g, const char *name)
{
	size_t length = strnlen(name, sizeof(g->name) - 1);

	memcpy(g->name, name, length);
	g->name[length] = '\0';
}

struct gt_g *gt__g_make(struct gt_p *p, const char *name, void (*fn)(void *arg), void *arg, const void *site)
{
	struct gt_g *g = gt__g_take(p), *parent = gt__self();
	char *low, *high;

	if (UNLIKELY(!g))
		gt__fatal("no memory for the stack of a goroutine (there are %d)", gt_num_goroutine());
	gt__stack_bounds(g, &low, &high);
	gt_san_stack_made(&g->context.san, low, (size_t)(high - low));
	g->context.sp = gt__context_new(high);
	g->param = NULL;
	g->reason = GT_REASON_UNKNOWN;
	g->parent = parent ? parent->id : 0;
	g->saved_errno = 0;
	g->start = fn;
	g->arg = arg;
	g->then = NULL;
	g->bound = NULL;
	g->name[0] = '\0';
	if (name)
		set_name(g, name);
	g->id = new_id(p);
	gt__track_out(g);
	store_release(&g->state, GT_STATE_RUNNABLE);
	gt__tell_create(g, site);
	return g;
}

/* What is started, but for its name and place. */
struct beginning {
	void (*fn)(void *arg);
	void *arg;
	void (*then)(void *arg);
	void *then_arg;
};

static struct gt_g *make(struct gt_p *p, const char *name, const struct beginning *what, const void *site)
{
	struct gt_g *g = gt__g_make(p, name, what->fn, what->arg, site);

	g->then = what->then;
	g->then_arg = what->then_arg;
	return g;
}

static uint64_t go(const char *name, const struct beginning *what, const void *site)
{
	struct gt_worker *m = gt__worker();
	struct gt_p *p;
	struct gt_g *g;
	uint64_t id;

	if (m)
		m->locks++; /* from here on it keeps its P */
	p = m ? m->p : NULL;
	if (UNLIKELY(!p)) {
		g = make(NULL, name, what, site);
		id = g->id;
		atomic_fetch_add_explicit(&gt__sched.created_outside, 1, memory_order_relaxed);
		gt__put_global(g);
		gt__wake_p();
		if (m)
			m->locks--;
		return id;
	}
	g = make(p, name, what, site);
	id = g->id;
	store_relaxed(&p->created, load_relaxed(&p->created) + 1);
	gt__ring_put(p, g, true);
	gt__wake_p();
	m->locks--;
	return id;
}

uint64_t gt_go(void (*fn)(void *arg), void *arg)
{
	gt__checkpoint();
	return go(NULL, &(struct beginning){.fn = fn, .arg = arg}, __builtin_return_address(0));
}

uint64_t gt_go_named(const char *name, void (*fn)(void *arg), void *arg)
{
	gt__checkpoint();
	return go(name, &(struct beginning){.fn = fn, .arg = arg}, __builtin_return_address(0));
}

uint64_t gt__go_then(void (*fn)(void *arg), void *arg, void (*then)(void *then_arg), void *then_arg, const void *site)
{
	return go(NULL, &(struct beginning){fn, arg, then, then_arg}, site);
}

/* A goroutine's first C function: gt__entry calls it. */
_Noreturn void gt__g_main(void);
_Noreturn void gt__g_main(void)
{
	struct gt_worker *m = gt__worker();
	struct gt_g *g = m->g;

	gt_san_switch_after(&g->context.san); /* before anything at which a simulated thread may be left */
	gt__prof_runs(g);
	gt__landed(m);
	*m->errno_at = 0;
	m->locks--;
	g->start(g->arg);
	gt_exit();
}

void gt_exit(void)
{
	struct gt_g *g = gt__self();
	struct gt_worker *m;
	struct gt_p *p;

	if (!g)
		gt__fatal("gt_exit: not in a goroutine");
	if (g->then)
		g->then(g->then_arg);
	m = gt__worker();
	m->locks++;
	p = m->p;
	if (UNLIKELY(gt__stack_canaries))
		gt__stack_check(g);
	if (UNLIKELY(g->id == 1))
		gt__sched.main_exited = true;
	store_relaxed(&p->ended, load_relaxed(&p->ended) + 1);
	store_relaxed(&g->state, GT_STATE_DEAD);
	gt__tell(g, GT_STATE_RUNNING, GT_STATE_DEAD, 0);
	m->after = gt__g_give;
	m->after_arg = g;
	gt__leave(m, g, true);
	__builtin_unreachable();
}

uint64_t gt_id(void)
{
	struct gt_g *g = gt__self();

	return g ? g->id : 0;
}

uint64_t gt_parent(void)
{
	struct gt_g *g = gt__self();

	return g ? g->parent : 0;
}

int gt_num_goroutine(void)
{
	uint64_t created = load_relaxed(&gt__sched.created_outside), ended = 0;
	uint32_t count = load_acquire(&gt__sched.p_count);

	for (uint32_t i = 0; i < count; i++) {
		ended += load_relaxed(&gt__sched.ps[i]->ended);
		created += load_relaxed(&gt__sched.ps[i]->created);
	}
	return (int)(created - ended);
}
