/*
 * m.c - kernel threads: started when a P has work and no thread, put to sleep when there is none, never ended.
 */
#include "runtime/prof.h"
#include "runtime/rt.h"

#include <stdlib.h>
#include <string.h>

__thread struct gt_worker *gt__worker_here;

#if !defined(__x86_64__)
struct gt_worker *gt__worker_slow(void);
__attribute__((noinline)) struct gt_worker *gt__worker_slow(void)
{
	__asm__ volatile("");
	return gt__worker_here;
}
#endif

/* Before it sleeps, in pauses: a wake across CPUs costs some 50 us, and most Ms are wanted again sooner. */
#ifndef SPINS_BEFORE_SLEEP
#define SPINS_BEFORE_SLEEP 200
#endif

static void own_stack(struct gt_worker *m)
{
	void *low = NULL;
	size_t bytes = 0;

#if defined(GT_SAN_ADDRESS)
	gt__port_stack(&low, &bytes);
#endif
	gt_san_stack_of_thread(&m->context.san, low, bytes);
}

struct gt_worker *gt__worker_new(void)
{
	struct gt_worker *m = calloc(1, sizeof(*m));

	if (!m)
		gt__fatal("no memory for a thread");
	m->random = gt__port_seed() | 1;
	m->locks = 1; /* on the scheduler's stack */
	return m;
}

void gt__worker_begin(struct gt_worker *m)
{
	gt__worker_here = m;
	m->errno_at = &errno_of_thread;
	m->thread = gt__port_thread_id();
	m->stack_high = (uintptr_t)__builtin_frame_address(0) + 2 * sizeof(uintptr_t);
	own_stack(m);
	gt__stack_signals(&m->signal_stack);
	gt_hook_m_at(&m->trace_id);
	gt_hook_thread(GT_THREAD_START);
	gt__prof_thread();
}

static void thread_main(void *arg)
{
	struct gt_worker *m = arg;

	gt__worker_begin(m);
	m->spinning = m->next_spinning;
	if (m->next_p) {
		gt__worker_take_p(m, m->next_p);
	} else {
		gt__lock(&gt__sched.lock);
		gt__sched.spares_born--;
		gt__unlock(&gt__sched.lock);
	}
	gt__schedule(m);
}

void gt__worker_take_p(struct gt_worker *m, struct gt_p *p)
{
	gt_hook_slot(GT_SLOT_START, p->id);
	store_relaxed(&p->m, m);
	store_release(&p->status, GT_P_RUNNING);
	m->p = p;
	if (UNLIKELY(load_relaxed(&gt__sched.sysmon_asleep)))
		gt__sysmon_wake();
}

struct gt_p *gt__worker_drop_p(struct gt_worker *m)
{
	struct gt_p *p = m->p;

	gt_hook_slot(GT_SLOT_STOP, p->id);
	m->p = NULL;
	return p;
}

int gt_set_max_threads(int n)
{
	struct gt_sched *s = &gt__sched;
	uint32_t before, count;

	gt__lock(&s->lock);
	before = s->m_max;
	count = s->m_count;
	if (n > 0)
		s->m_max = (uint32_t)n;
	gt__unlock(&s->lock);
	if (n > 0 && count > (uint32_t)n)
		gt__fatal("program exceeds %d-thread limit", n);
	return (int)before;
}

/*
 * ---- the maker: a thread that makes threads ----
 *
 * Who makes a thread may have to wait for a lock of the C library, or of a sanitizer, and a goroutine that is stopped in the
 * middle of malloc may hold it. So neither sysmon (who ends slices) nor an M with a P does it: the goroutine would never go on.
 */

/* The lock is held. */
static void ask_maker(void)
{
	atomic_fetch_add_explicit(&gt__sched.maker_word, 1, memory_order_release);
	gt__port_wake(&gt__sched.maker_word, 1);
}

static void make_thread(struct gt_p *p, bool spinning)
{
	struct gt_sched *s = &gt__sched;
	struct gt_worker *m = gt__worker_new();
	int ret;

	m->next_p = p;
	m->next_spinning = spinning;
	m->created_depth = (uint32_t)gt__walk_here(m->created, GT_CREATED_DEPTH);
	gt__lock(&s->lock);
	m->id = s->m_count;
	m->next_all = s->all_m;
	s->all_m = m;
	gt__unlock(&s->lock);
	ret = gt__port_thread(thread_main, m);
	if (ret < 0)
		gt__fatal("cannot start a thread: %s (there are %u): ulimit -u, pids.max?", strerror(-ret), s->m_count);
}

static void maker(void *arg)
{
	struct gt_sched *s = &gt__sched;

	for (;;) {
		uint32_t word = load_acquire(&s->maker_word);
		bool spare = false;
		struct gt_p *p;

		gt__lock(&s->lock);
		p = s->making;
		if (p) {
			s->making = p->next_idle;
		} else if (s->making_spare) {
			spare = true;
			s->making_spare = false;
			s->spares_born++;
		}
		gt__unlock(&s->lock);
		if (p || spare)
			make_thread(p, p && p->make_spinning);
		else
			gt__port_wait(&s->maker_word, word, -1);
	}
}

void gt__maker_start(void)
{
	int ret = gt__port_thread(maker, NULL);

	if (ret < 0)
		gt__fatal("cannot start a thread: %s", strerror(-ret));
}

/* The lock is held, and given back. */
static void start_thread(struct gt_p *p, bool spinning)
{
	struct gt_sched *s = &gt__sched;

	if (s->m_count >= s->m_max) {
		gt__unlock(&s->lock);
		gt__fatal("program exceeds %u-thread limit", s->m_max);
	}
	s->m_count++;
	p->make_spinning = spinning;
	p->next_idle = s->making;
	s->making = p;
	ask_maker();
	gt__unlock(&s->lock);
}

bool gt__worker_spare(void)
{
	struct gt_sched *s = &gt__sched;
	bool somebody;

	gt__lock(&s->lock);
	somebody = s->m_idle || s->global_bound.first;
	if (!s->m_idle && !s->making_spare && !s->spares_born && s->m_count < s->m_max) {
		s->m_count++;
		s->making_spare = true;
		ask_maker();
	}
	gt__unlock(&s->lock);
	return somebody;
}

void gt__worker_start(struct gt_p *p, bool spinning)
{
	struct gt_sched *s = &gt__sched;
	struct gt_worker *m;
	struct gt_g *bound;

	gt__lock(&s->lock);
	if (!p)
		p = gt__idle_p_get();
	if (!p) {
		gt__unlock(&s->lock);
		if (spinning)
			atomic_fetch_sub_explicit(&s->spinning, 1, memory_order_seq_cst);
		return;
	}
	m = s->idle_m;
	if (m) {
		s->idle_m = m->next_idle;
		s->m_idle--;
		gt__unlock(&s->lock);
		m->next_p = p;
		m->next_spinning = spinning;
		if (atomic_exchange_explicit(&m->wake, 1, memory_order_acq_rel) == 2) /* [wake] */
			gt__port_wake(&m->wake, 1);
		return;
	}
	bound = gt__global_get_bound();
	if (bound) {
		/* It does not spin: it has its work. */
		if (spinning)
			atomic_fetch_sub_explicit(&s->spinning, 1, memory_order_seq_cst);
		gt__unlock(&s->lock);
		gt__give_bound(bound, p);
		return;
	}
	start_thread(p, spinning);
}

void gt__worker_stop(struct gt_worker *m)
{
	struct gt_sched *s = &gt__sched;
	uint32_t none = 0;

	gt_hook_thread(GT_THREAD_IDLE);
	gt__lock(&s->lock);
	m->next_idle = s->idle_m;
	s->idle_m = m;
	s->m_idle++;
	gt__deadlock_check();
	gt__unlock(&s->lock);
	for (int i = 0; i < SPINS_BEFORE_SLEEP && s->cpus > 1 && load_relaxed(&m->wake) == 0; i++)
		gt__port_pause();
	if (atomic_compare_exchange_strong_explicit(&m->wake, &none, 2, memory_order_acq_rel, memory_order_acquire))
		while (load_acquire(&m->wake) == 2)
			gt__port_wait(&m->wake, 2, -1);
	atomic_exchange_explicit(&m->wake, 0, memory_order_acq_rel); /* [woken] */
	m->spinning = m->next_spinning;
	gt__worker_take_p(m, m->next_p);
}

void gt__wake_p(void)
{
	struct gt_sched *s = &gt__sched;
	struct gt_worker *m = gt__worker();
	uint32_t none = 0;

	/* There is one P, and we hold it; not another one that is still to be given up. */
	if (load_relaxed(&s->procs) == 1 && m && m->p && m->p->id == 0)
		return;
	atomic_thread_fence(memory_order_seq_cst); /* [work] */
	if (load_relaxed(&s->idle_ps) == 0 || load_relaxed(&s->spinning) != 0 ||
		!atomic_compare_exchange_strong_explicit(
			&s->spinning, &none, 1, memory_order_seq_cst, memory_order_relaxed))
		return;
	gt__worker_start(NULL, true);
}

void gt__hand_off(struct gt_p *p)
{
	struct gt_sched *s = &gt__sched;
	uint32_t none = 0;

	if (!gt__ring_empty(p) || load_relaxed(&s->global_count) ||
		(load_relaxed(&p->timers.min_ns) != INT64_MAX && !load_relaxed(&s->poller))) {
		gt__worker_start(p, false);
		return;
	}
	if (load_relaxed(&s->spinning) == 0 && load_relaxed(&s->idle_ps) == 0 &&
		atomic_compare_exchange_strong_explicit(
			&s->spinning, &none, 1, memory_order_seq_cst, memory_order_relaxed)) {
		gt__worker_start(p, true);
		return;
	}
	gt__lock(&s->lock);
	gt__idle_p_put(p);
	gt__unlock(&s->lock);
	/* Work that came meanwhile, here or on another P, found no idle one. */
	atomic_thread_fence(memory_order_seq_cst); /* [idle] */
	if (gt__any_work() || load_relaxed(&p->timers.min_ns) < load_relaxed(&s->poll_until)) {
		gt__poller_wake();
		gt__wake_p();
	}
}
