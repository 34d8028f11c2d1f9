/*
 * sched.c - who runs next: park, ready, yield, system calls, and the scheduler's loop of each M.
 */
#include "runtime/prof.h"
#include "runtime/rt.h"

#include <stdlib.h>

_Atomic uint32_t gt__preempt_wanted;

/* A spinning M looks around so many times before it gives its P up; each look ends in some pauses. */
#ifndef LOOKS
#define LOOKS         60
#define PAUSES_A_LOOK 8
#endif
#define STEAL_TRIES 4

/* ---- switching ---- */

#ifdef GT_SAN_THREAD
static __attribute__((noinline)) GT_SAN_NO_TSAN
#else
static inline
	__attribute__((always_inline))
#endif
	void
	switch_to(struct gt_context *from, struct gt_context *to, bool dying)
{
	gt_san_switch_before(&from->san, &to->san, dying);
	gt__switch(&from->sp, to->sp);
	gt_san_switch_after(&from->san);
}

/* On whatever stack was switched to: does what the one who left could not do on its own. */
inline void gt__landed(struct gt_worker *m)
{
	void (*after)(void *arg) = m->after;
	struct gt_g *g = m->g;

	if (!after)
		return;
	m->after = NULL;
	m->landing = g;
	atomic_signal_fence(memory_order_seq_cst);
	m->g = NULL;
	after(m->after_arg);
	m->g = g;
	atomic_signal_fence(memory_order_seq_cst);
	m->landing = NULL;
}

void gt__put_global(void *g)
{
	gt__lock(&gt__sched.lock);
	gt__global_put(g);
	gt__unlock(&gt__sched.lock);
}

/* The `after` of a yield, and of a system call that came back to no P: one may have become idle since it looked. */
static void put_yielded(void *g)
{
	gt__put_global(g);
	gt__wake_p();
}

static void put_local(void *g)
{
	gt__ring_put(gt__worker()->p, g, false);
}

static bool timer_due(const struct gt_p *p)
{
	int64_t min = load_relaxed(&p->timers.min_ns);

	return UNLIKELY(min != INT64_MAX) && gt__port_now() >= min;
}

/* From the queues alone. */
static inline struct gt_g *pick(struct gt_p *p, bool *inherit)
{
	struct gt_g *g = NULL;

	*inherit = false;
	/* A chain of goroutines that ready each other runs in one slice; when it is over, the others come first. */
	if (UNLIKELY(load_relaxed(&p->preempt))) {
		g = atomic_exchange_explicit(&p->runnext, NULL, memory_order_acq_rel);
		if (g)
			gt__ring_put(p, g, false);
		g = NULL;
	}
	if (UNLIKELY(load_relaxed(&p->tick) % GT_GLOBAL_EVERY == 0 || load_relaxed(&p->preempt)) &&
		load_relaxed(&gt__sched.global_count)) {
		gt__lock(&gt__sched.lock);
		g = gt__global_get(p, 1);
		gt__unlock(&gt__sched.lock);
	}
	if (!g)
		g = gt__ring_get(p, inherit);
	if (!g && load_relaxed(&gt__sched.global_count)) {
		gt__lock(&gt__sched.lock);
		g = gt__global_get(p, 0);
		gt__unlock(&gt__sched.lock);
	}
	return g;
}

static inline __attribute__((always_inline)) void execute(struct gt_worker *m, struct gt_g *g, bool inherit)
{
	struct gt_p *p = m->p;

	if (!inherit) {
		store_relaxed(&p->tick, load_relaxed(&p->tick) + 1);
		if (UNLIKELY(load_relaxed(&p->preempt)))
			store_relaxed(&p->preempt, false);
	}
	store_relaxed(&m->ran_gate, GT_RAN_UNKNOWN);
	store_release(&g->state, GT_STATE_RUNNING); /* [runs] */
	m->g = g;
	gt__track_run(g, p);
	gt__tell_runs(m, g, GT_STATE_RUNNABLE, p->id + 1);
}

void gt__execute(struct gt_worker *m, struct gt_g *g, bool inherit)
{
	execute(m, g, inherit);
}

/* The current goroutine has said why it leaves, and set `after`. Comes back when it runs again. */
void gt__leave(struct gt_worker *m, struct gt_g *g, bool dying)
{
	struct gt_p *p = m->p;
	struct gt_g *next = NULL;
	bool inherit;

	g->saved_errno = *m->errno_at;
	if (LIKELY(p && !load_relaxed(&p->retire) && !timer_due(p)))
		next = pick(p, &inherit);
	if (LIKELY(next && !next->bound)) {
		execute(m, next, inherit);
		switch_to(&g->context, &next->context, dying);
	} else {
		if (next)
			gt__ring_put(p, next, true); /* the scheduler takes it from there */
		m->g = NULL;
		switch_to(&g->context, &m->context, dying);
	}
	gt__prof_runs(g);
	m = gt__worker();
	gt__landed(m);
	*m->errno_at = g->saved_errno;
}

/* ---- park, ready, yield ---- */

/* From the caller of the function that uses this on: pc and frame. */
#define STACK_HERE __builtin_return_address(0), *(void **)__builtin_frame_address(0)

uint32_t gt__stack_id(const struct gt_g *g, const void *pc, const void *frame)
{
	char *low, *high;

	gt__stack_bounds(g, &low, &high);
	return gt_hook_stack(pc, frame, low, high);
}

GT_PARKS void gt__park(void (*unlock)(void *arg), void *arg, enum gt_reason reason)
{
	struct gt_worker *m = gt__worker();
	struct gt_g *g = m ? m->g : NULL;

	if (UNLIKELY(!g))
		gt__fatal("a wait outside of a goroutine");
	m->locks++;
	if (UNLIKELY(gt__stack_canaries))
		gt__stack_check(g);
	g->reason = reason;
	g->waits_since = load_relaxed(&gt__sched.coarse_ns);
	gt__track_wait(g, reason);
	store_relaxed(&g->state, GT_STATE_WAITING);
	gt__tell_block(g, STACK_HERE);
	m->after = unlock;
	m->after_arg = arg;
	if (UNLIKELY(load_relaxed(&gt__prof.block_rate) > 0)) {
		gt__prof_park(m, g, reason);
		return;
	}
	gt__leave(m, g, false);
	gt__worker()->locks--;
}

static void unlock_it(void *lock)
{
	gt__unlock(lock);
}

void gt__park_unlock(struct gt_lock *lock, enum gt_reason reason)
{
	gt__park(unlock_it, lock, reason);
}

void gt__ready(struct gt_g *g)
{
	struct gt_worker *m = gt__worker();

	if (UNLIKELY(load_relaxed(&g->state) != GT_STATE_WAITING))
		gt__fatal("goroutine %llu made ready in state %u", (unsigned long long)g->id, load_relaxed(&g->state));
	if (UNLIKELY(load_relaxed(&gt__prof.block_rate) > 0))
		store_relaxed(&g->woken_ns, gt__port_now());
	gt__track_ready(g);
	store_relaxed(&g->state, GT_STATE_RUNNABLE);
	if (m)
		m->locks++;
	gt__tell_ready(g, m);
	if (LIKELY(m && m->p))
		gt__ring_put(m->p, g, true);
	else
		gt__put_global(g);
	gt__wake_p();
	if (m)
		m->locks--;
}

static bool nobody_else(struct gt_p *p)
{
	return load_relaxed(&p->tail) == load_relaxed(&p->head) && !load_relaxed(&p->runnext) &&
	       !load_relaxed(&gt__sched.global_count) && !load_relaxed(&p->retire) && !timer_due(p);
}

static void yield(void (*put)(void *g), enum gt_reason reason)
{
	struct gt_worker *m = gt__worker();
	struct gt_g *g = m ? m->g : NULL;

	if (UNLIKELY(!g))
		return;
	m->locks++;
	if (UNLIKELY(gt__stack_canaries))
		gt__stack_check(g);
	store_relaxed(&g->state, GT_STATE_RUNNABLE);
	gt__tell(g, GT_STATE_RUNNING, GT_STATE_RUNNABLE, reason);
	if (nobody_else(m->p)) {
		gt__track_alone(g, m->p);
		execute(m, g, false);
		m->locks--;
		return;
	}
	gt__track_out(g);
	m->after = put;
	m->after_arg = g;
	gt__leave(m, g, false);
	gt__worker()->locks--;
}

void gt__yield(void)
{
	yield(put_yielded, GT_REASON_GOSCHED);
}

void gt__yield_local(void)
{
	yield(put_local, GT_REASON_GOSCHED);
}

void gt_yield(void)
{
	yield(put_yielded, GT_REASON_GOSCHED);
}

void gt__checkpoint_slow(void)
{
	struct gt_worker *m = gt__worker();
	uint32_t count = load_acquire(&gt__sched.p_count);

	if (UNLIKELY(load_relaxed(&gt__sched.forked)))
		gt__forked_fatal();
	if (!m || !m->g || !m->p || m->locks)
		return;
	if (load_relaxed(&m->p->preempt)) {
		store_relaxed(&m->p->preempt, false);
		atomic_fetch_add_explicit(&gt__preempt_counts.cooperative, 1, memory_order_relaxed);
		yield(put_yielded, GT_REASON_PREEMPT);
		return;
	}
	store_relaxed(&gt__preempt_wanted, 0);
	atomic_thread_fence(memory_order_seq_cst);
	for (uint32_t i = 0; i < count; i++)
		if (load_relaxed(&gt__sched.ps[i]->preempt))
			store_relaxed(&gt__preempt_wanted, 1);
}

void gt_checkpoint(void)
{
	gt__checkpoint();
}

struct gt_g *gt__self(void)
{
	struct gt_worker *m = gt__worker();

	return m ? m->g : NULL;
}

int *gt_errno_location(void)
{
	struct gt_worker *m = gt__worker();

	return m ? m->errno_at : &errno_of_thread;
}

bool gt__spin_worth(unsigned int round)
{
	struct gt_worker *m = gt__worker();
	struct gt_sched *s = &gt__sched;

	return round < 4 && s->cpus > 1 && m && m->p &&
	       load_relaxed(&s->procs) > load_relaxed(&s->idle_ps) + load_relaxed(&s->spinning) + 1 &&
	       gt__ring_empty(m->p);
}

void gt__spin(void)
{
	for (int i = 0; i < 30; i++)
		gt__port_pause();
}

int64_t gt__now(void)
{
	return gt__port_now();
}

uint32_t gt__random(void)
{
	struct gt_worker *m = gt__worker();
	static _Atomic uint64_t outside;
	uint64_t x = m ? (m->random += UINT64_C(0x9e3779b97f4a7c15))
		       : atomic_fetch_add(&outside, UINT64_C(0x9e3779b97f4a7c15));

	x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
	return (uint32_t)(x >> 32);
}

/* ---- system calls ---- */

void gt_syscall_enter(void)
{
	struct gt_worker *m;
	struct gt_g *g;
	struct gt_p *p;

	gt__checkpoint(); /* a loop of short system calls has no other place to give way */
	m = gt__worker();
	g = m ? m->g : NULL;
	if (UNLIKELY(!g))
		return;
	m->locks++;
	p = m->p;
	g->syscall_pc = (uintptr_t)__builtin_return_address(0);
	g->syscall_frame = *(uintptr_t *)__builtin_frame_address(0);
	gt__count_own(&m->syscall_edges, 1);
	store_relaxed(&g->state, GT_STATE_SYSCALL);
	gt__tell_syscall(g, STACK_HERE);
	m->syscall_p = p;
	m->p = NULL;
	store_relaxed(&p->syscall_tick, load_relaxed(&p->syscall_tick) + 1);
	store_release(&p->status, GT_P_SYSCALL);
	if (UNLIKELY(load_relaxed(&gt__sched.sysmon_asleep)))
		gt__sysmon_wake();
}

static __attribute__((noinline)) void syscall_exit_slow(struct gt_worker *m, struct gt_g *g)
{
	struct gt_p *p;

	gt__lock(&gt__sched.lock);
	p = gt__idle_p_get();
	gt__unlock(&gt__sched.lock);
	if (p) {
		gt__worker_take_p(m, p);
		gt__prof_runs(g);
		store_release(&g->state, GT_STATE_RUNNING); /* [runs] */
		gt__tell_runs(m, g, GT_STATE_SYSCALL, 0);
		m->locks--;
		return;
	}
	gt__track_out(g);
	store_relaxed(&g->state, GT_STATE_RUNNABLE);
	gt__tell(g, GT_STATE_SYSCALL, GT_STATE_RUNNABLE, GT_REASON_SYSCALL_NO_P);
	m->after = put_yielded;
	m->after_arg = g;
	gt__leave(m, g, false);
	gt__worker()->locks--;
}

void gt_syscall_exit(void)
{
	struct gt_worker *m = gt__worker();
	struct gt_g *g = m ? m->g : NULL;
	uint32_t in_syscall = GT_P_SYSCALL;
	struct gt_p *p;

	if (UNLIKELY(!g))
		return;
	gt__count_own(&m->syscall_edges, 1);
	store_relaxed(&m->ran_gate, GT_RAN_UNKNOWN);
	p = m->syscall_p;
	/* Another M may have had the P and be in a system call itself: then we take it from that one. */
	if (UNLIKELY(!atomic_compare_exchange_strong_explicit(
		    &p->status, &in_syscall, GT_P_RUNNING, memory_order_acq_rel, memory_order_relaxed))) { /* [take] */
		syscall_exit_slow(m, g);
		return;
	}
	if (UNLIKELY(load_relaxed(&p->m) != m)) {
		gt_hook_slot(GT_SLOT_START, p->id);
		store_relaxed(&p->m, m);
	}
	m->p = p;
	store_relaxed(&p->syscall_tick, load_relaxed(&p->syscall_tick) + 1);
	gt__prof_runs(g);
	store_release(&g->state, GT_STATE_RUNNING); /* [runs] */
	gt__tell_runs(m, g, GT_STATE_SYSCALL, 0);
	m->locks--;
}

/* ---- the scheduler's loop ---- */

static uint32_t gcd(uint32_t a, uint32_t b)
{
	while (b) {
		uint32_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

static struct gt_g *steal_once(struct gt_p *p, bool runnext)
{
	uint32_t count = load_acquire(&gt__sched.p_count), at = gt__random_below(count), step;
	struct gt_g *g;

	do
		step = count > 1 ? 1 + gt__random_below(count - 1) : 1;
	while (gcd(step, count) != 1);
	for (uint32_t i = 0; i < count; i++, at = (at + step) % count) {
		struct gt_p *from = gt__sched.ps[at];

		if (from == p || load_relaxed(&from->status) == GT_P_IDLE)
			continue;
		g = gt__ring_steal(p, from, runnext);
		if (g)
			return g;
	}
	return NULL;
}

/* Timers of every P: those of idle ones have nobody else. */
static bool run_all_timers(void)
{
	uint32_t count = load_acquire(&gt__sched.p_count);
	int64_t first = gt__timers_first(), now;
	bool any = false;

	if (first == INT64_MAX || (now = gt__port_now()) < first)
		return false;
	for (uint32_t i = 0; i < count; i++)
		if (load_relaxed(&gt__sched.ps[i]->timers.min_ns) <= now)
			any |= gt__timers_run(&gt__sched.ps[i]->timers, now);
	return any;
}

/* Spins, with the P in hand, while not half of the busy ones do so already. NULL: nothing, or look at the queues again. */
static struct gt_g *look_around(struct gt_worker *m, struct gt_p *p)
{
	struct gt_sched *s = &gt__sched;
	uint32_t procs = load_relaxed(&s->procs);

	if (procs == 1 && load_relaxed(&s->p_count) == 1)
		return NULL;
	if (!m->spinning) {
		if (2 * load_relaxed(&s->spinning) >= procs - load_relaxed(&s->idle_ps))
			return NULL;
		m->spinning = true;
		atomic_fetch_add_explicit(&s->spinning, 1, memory_order_seq_cst);
	}
	for (int look = 0; look < LOOKS; look++) {
		struct gt_g *g = steal_once(p, look % STEAL_TRIES == STEAL_TRIES - 1);

		if (g)
			return g;
		if (load_relaxed(&s->global_count) || load_relaxed(&p->retire) || run_all_timers())
			return NULL;
		if (gt__g_ahead())
			continue;
		for (int i = 0; i < PAUSES_A_LOOK && s->cpus > 1; i++)
			gt__port_pause();
	}
	return NULL;
}

bool gt__any_work(void)
{
	uint32_t count = load_acquire(&gt__sched.p_count);

	if (load_relaxed(&gt__sched.global_count))
		return true;
	for (uint32_t i = 0; i < count; i++)
		if (!gt__ring_empty(gt__sched.ps[i]))
			return true;
	return false;
}

static bool take_idle_p(struct gt_worker *m)
{
	struct gt_p *p;

	gt__lock(&gt__sched.lock);
	p = gt__idle_p_get();
	gt__unlock(&gt__sched.lock);
	if (p)
		gt__worker_take_p(m, p);
	return p;
}

/* Gives the P up, unless there is work after all: then the M has a P again, or was given a goroutine. */
static struct gt_g *give_up(struct gt_worker *m)
{
	struct gt_sched *s = &gt__sched;
	bool spun = m->spinning;
	struct gt_g *g;

	gt__lock(&s->lock);
	g = gt__global_get(m->p, 0);
	if (!g)
		gt__idle_p_put(gt__worker_drop_p(m));
	gt__unlock(&s->lock);
	if (g)
		return g;
	if (spun) {
		m->spinning = false;
		atomic_fetch_sub_explicit(&s->spinning, 1, memory_order_seq_cst);
	}
	atomic_thread_fence(memory_order_seq_cst); /* [idle] */
	if (gt__any_work() && take_idle_p(m) && spun) {
		m->spinning = true;
		atomic_fetch_add_explicit(&s->spinning, 1, memory_order_seq_cst);
	}
	return NULL;
}

void gt__poller_wake(void)
{
	atomic_fetch_add_explicit(&gt__sched.poll_word, 1, memory_order_release);
	gt__port_wake(&gt__sched.poll_word, 1);
	if (gt__net_opened())
		gt__net_wake();
}

/* The M that waits for all: for the next timer and for descriptors. */
static void wait_for_all(struct gt_worker *m, int64_t first)
{
	struct gt_sched *s = &gt__sched;
	uint32_t word = load_acquire(&s->poll_word);
	struct gt_net_events events;
	bool wait;

	events.count = 0;
	gt_hook_thread(GT_THREAD_IDLE);
	/* Whoever starts a timer that comes before poll_until wakes us; so it must say what we really wait for. */
	for (int64_t again = first;; first = again) {
		store_relaxed(&s->poll_until, first);
		atomic_thread_fence(memory_order_seq_cst); /* [min] */
		again = gt__timers_first();
		if (again == first)
			break;
	}
	wait = !(load_relaxed(&s->idle_ps) && gt__any_work()) &&
	       (first == INT64_MAX ? gt__net_waited_for() : gt__port_now() < first);
	if (wait && first != INT64_MAX)
		gt__port_exact(true);
	if (gt__net_opened())
		gt__net_wait(&events, !wait ? 0 : first == INT64_MAX ? -1 : first);
	else if (wait)
		gt__port_wait(&s->poll_word, word, first == INT64_MAX ? -1 : first);
	if (wait && first != INT64_MAX)
		gt__port_exact(false);
	store_relaxed(&s->poll_until, 0);
	atomic_store_explicit(&s->poller, false, memory_order_seq_cst);
	if (take_idle_p(m)) {
		gt__net_tell(&events);
		return;
	}
	gt__net_tell(&events); /* into the global queue */
	gt__worker_stop(m);
}

/* Without a P. */
static void rest(struct gt_worker *m)
{
	int64_t first = gt__timers_first();

	if ((first == INT64_MAX && !gt__net_waited_for()) ||
		atomic_exchange_explicit(&gt__sched.poller, true, memory_order_seq_cst))
		gt__worker_stop(m);
	else
		wait_for_all(m, first);
}

static struct gt_g *find(struct gt_worker *m, bool *inherit)
{
	for (;;) {
		struct gt_p *p = m->p;
		struct gt_g *g;

		if (!p) {
			rest(m);
			continue;
		}
		if (UNLIKELY(load_relaxed(&p->retire))) {
			if (UNLIKELY(load_relaxed(&gt__sched.forked)))
				gt__forked_fatal();
			if (m->spinning) {
				m->spinning = false;
				atomic_fetch_sub_explicit(&gt__sched.spinning, 1, memory_order_seq_cst);
			}
			gt__lock(&gt__sched.lock);
			/* Under the lock it is certain: GOMAXPROCS may have risen again. */
			if (load_relaxed(&p->retire))
				gt__idle_p_put(gt__worker_drop_p(m));
			gt__unlock(&gt__sched.lock);
			gt__wake_p(); /* what it had is in the global queue */
			continue;
		}
		if (timer_due(p))
			gt__timers_run(&p->timers, gt__port_now());
		g = pick(p, inherit);
		if (g)
			return g;
		if (run_all_timers() || gt__net_look())
			continue;
		*inherit = false;
		g = look_around(m, p);
		if (!g && (!gt__ring_empty(p) || load_relaxed(&gt__sched.global_count)))
			continue;
		if (!g)
			g = give_up(m);
		if (g)
			return g;
	}
}

static void end_now(void *code)
{
	gt__worker()->p = NULL; /* what exit calls finds no scheduler here */
	gt__port_exit((int)(intptr_t)code, false);
}

/* On the thread's own stack: what exit calls may need more than a goroutine's. */
_Noreturn void gt__end(int code)
{
	struct gt_worker *m = gt__worker();
	struct gt_g *g = m->g;

	m->locks++;
	m->after = end_now;
	m->after_arg = (void *)(intptr_t)code;
	m->g = NULL;
	switch_to(&g->context, &m->context, false);
	__builtin_unreachable();
}

_Noreturn void gt__schedule(struct gt_worker *m)
{
	for (;;) {
		struct gt_g *g;
		bool inherit;

		gt__landed(m);
		g = find(m, &inherit);
		if (m->spinning) {
			m->spinning = false;
			atomic_fetch_sub_explicit(&gt__sched.spinning, 1, memory_order_seq_cst);
			gt__wake_p(); /* one more may find work, now that nobody looks */
		}
		if (UNLIKELY(g->bound)) {
			gt__resume_bound(m, g);
			continue;
		}
		execute(m, g, inherit);
		switch_to(&m->context, &g->context, false);
	}
}
