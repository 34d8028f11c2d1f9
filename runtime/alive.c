/*
 * alive.c - a trace begins while goroutines live: who is there, and in which state, without stopping anybody.
 *
 * A goroutine's word `told` holds the number of the trace to which it last told something, and GT_TOLD_SELF; or the state
 * that the list (gt__alive) claims for it. Both sides change it by compare-and-swap, once a trace:
 *
 *   transition   1 state stored   2 gate loaded: on   3 told is another trace's: CAS to SELF, ALIVE(old state), the event
 *   list         1 gate stored, barrier on all CPUs   2 state loaded   3 told is another trace's: CAS to the state
 *
 * A transition that saw the gate shut has stored its state before the barrier, so the list sees it. One that saw it open finds
 * either nothing (then it speaks first, and the list's swap fails), or a claim: of its old state, and it goes on as if told; or of
 * its new one, since the list looked after step 1: then the list has told the transition, and the event is left out.
 * A goroutine's transitions come one after the other, so a claim is one of the two.
 */
#include "runtime/traceback.h"

bool gt__tell_first(struct gt_g *g, uint32_t gate, enum gt_state old, enum gt_state new_)
{
	uint32_t told = load_acquire(&g->told);

	for (;;) {
		if (told >> 4 == gate >> GT_GATE_SETS) {
			enum gt_state claim = (enum gt_state)(told & 15);

			store_relaxed(&g->told, GT_TOLD(gate, GT_TOLD_SELF));
			return claim == old;
		}
		/* Our trace is over, and another's list was here. */
		if (!gt__hook_same_trace(gate, gt_hook_sets()))
			return false;
		if (atomic_compare_exchange_weak_explicit(
			    &g->told, &told, GT_TOLD(gate, GT_TOLD_SELF), memory_order_acq_rel, memory_order_acquire))
			break;
	}
	if (old != GT_STATE_NONE)
		gt_hook_alive(gate, &(struct gt_hook_alive){
					    .g = g->id,
					    .parent = g->parent,
					    .start = (const void *)(uintptr_t)g->start,
					    .state = (uint8_t)old,
					    .reason = old == GT_STATE_WAITING ? (uint8_t)g->reason : 0,
				    });
	return true;
}

/* ---- the list ---- */

/* The stack that it told of when it began to wait, or would have. */
static GT_SAN_NO_TSAN uint32_t stands_at(const struct gt_g *g, uint32_t state)
{
	const void *pc, *frame;

	if (state == GT_STATE_SYSCALL)
		return gt__stack_id(g, (const void *)g->syscall_pc, (const void *)g->syscall_frame);
	return gt__waits_at(g, &pc, &frame) ? gt__stack_id(g, pc, frame) : 0;
}

/* Whom it has: `landing` while that is hidden from `after`. */
static GT_SAN_NO_TSAN struct gt_g *goroutine_of(const struct gt_worker *m)
{
	struct gt_g *g = *(struct gt_g *volatile const *)&m->g;

	if (!g)
		g = *(struct gt_g *volatile const *)&m->landing;
	return g ? g : *(struct gt_g *volatile const *)&m->g;
}

/* @m: of one that runs or is in a system call. What it reads may change under it; then the swap fails. */
static GT_SAN_NO_TSAN bool claim(struct gt_g *g, uint32_t gate, const struct gt_worker *m, struct gt_hook_alive *out)
{
	uint32_t told = load_acquire(&g->told);
	uint32_t state = load_acquire(&g->state); /* [runs] */

	if (told >> 4 == gate >> GT_GATE_SETS || state == GT_STATE_NONE || state == GT_STATE_DEAD ||
		!m == (state == GT_STATE_RUNNING || state == GT_STATE_SYSCALL))
		return false;
	/* An M that read the gate shut may have let go of it since @m was asked, and another have stored that it runs there, and be about to
	 * tell. An M lets go before the goroutine can be had by another: so who still has it now is where it ran then. */
	if (m && goroutine_of(m) != g)
		return false;
	/* What the list tells was so when the trace began. Who began to run after its M saw the gate open, and told who ran there before,
	 * or whose P it took, must tell that itself; and does, since the gate stays open. */
	if (state == GT_STATE_RUNNING) {
		uint32_t ran_gate = load_acquire(&m->ran_gate);

		if (ran_gate == GT_RAN_UNKNOWN || gt__hook_same_trace(gate, ran_gate))
			return false;
	}
	out->g = g->id;
	out->parent = g->parent;
	out->start = (const void *)(uintptr_t)g->start;
	out->state = (uint8_t)state;
	out->reason = state == GT_STATE_WAITING ? (uint8_t)g->reason : 0;
	/* Read before the swap: when that succeeds, it has stood there all the time. */
	out->stack = stands_at(g, state);
	return atomic_compare_exchange_strong_explicit(
		&g->told, &told, GT_TOLD(gate, state), memory_order_acq_rel, memory_order_relaxed);
}

static GT_SAN_NO_TSAN bool claim_of(struct gt_worker *m, uint32_t gate, struct gt_hook_alive *out)
{
	struct gt_g *g = goroutine_of(m);
	struct gt_p *p;
	uint32_t id;

	if (!g)
		return false;
	/* While a goroutine runs its M has the same P: what is read before the swap still holds when that succeeds. */
	p = *(struct gt_p *volatile *)&m->p;
	id = gt_hook_m(&m->trace_id, (uint32_t)m->thread);
	if (!id || !m->thread || !claim(g, gate, m, out))
		return false;
	out->m = id;
	out->p = out->state == GT_STATE_RUNNING && p ? p->id + 1 : 0;
	return true;
}

/* @at: 0: at the first M; else [0] is the M to be looked at next, or 1, and [1] the slot. */
size_t gt__alive(uint32_t gate, uint64_t at[2], struct gt_hook_alive *out, size_t room)
{
	struct gt_worker *m = (struct gt_worker *)(uintptr_t)at[0];
	uint32_t slots = gt__stack_count(), slot = (uint32_t)at[1];
	size_t count = 0;

	if (!m) {
		gt__lock(&gt__sched.lock);
		m = gt__sched.all_m;
		gt__unlock(&gt__sched.lock);
	}
	if (at[0] != 1) {
		for (; m && count < room; m = m->next_all) {
			out[count] = (struct gt_hook_alive){0};
			count += claim_of(m, gate, &out[count]);
		}
		at[0] = m ? (uint64_t)(uintptr_t)m : 1;
		if (count)
			return count;
	}
	for (; slot < slots && count < room; slot++) {
		out[count] = (struct gt_hook_alive){0};
		count += claim(gt__stack_g(slot), gate, NULL, &out[count]);
	}
	at[1] = slot;
	return count;
}

/*
 * ---- who stands where, in the midst of a trace ----
 *
 * A state is stored before it is told, so what is read may not be in the trace yet. Who parks is still its M's goroutine until that is told:
 * so those that wait are read first, and what the Ms have after, behind a barrier, voids them. Who goes into a system call gives its P away
 * behind the record; who begins to run has an M with an unknown gate until then. Only of one that became runnable nothing tells whether
 * its waker has said so yet: those are left out.
 */

/* What is read belongs to one wait, or to two between which it has told something. One that ended meanwhile, and whose place got a new id that nobody has
 * told yet, does not wait behind that. */
static GT_SAN_NO_TSAN bool waits(const struct gt_g *g, struct gt_hook_alive *out)
{
	if (load_acquire(&g->state) != GT_STATE_WAITING)
		return false;
	*out = (struct gt_hook_alive){
		.g = g->id,
		.parent = g->parent,
		.start = (const void *)(uintptr_t)g->start,
		.state = GT_STATE_WAITING,
		.reason = (uint8_t)g->reason,
		.stack = stands_at(g, GT_STATE_WAITING),
	};
	atomic_thread_fence(memory_order_acquire);
	return load_relaxed(&g->state) == GT_STATE_WAITING;
}

static GT_SAN_NO_TSAN bool has(struct gt_worker *m, struct gt_hook_alive *out)
{
	struct gt_g *g = goroutine_of(m);
	const struct gt_p *p;
	uint32_t id, state;

	if (!g)
		return false;
	state = load_acquire(&g->state); /* [runs] */
	p = *(struct gt_p *volatile *)&m->p;
	id = load_relaxed(&m->trace_id);
	*out = (struct gt_hook_alive){.g = g->id, .m = id ? id : 1};
	if (!id || goroutine_of(m) != g)
		return true;
	if (state == GT_STATE_RUNNING ? !p || load_acquire(&m->ran_gate) == GT_RAN_UNKNOWN
				      : state != GT_STATE_SYSCALL || p)
		return true;
	out->parent = g->parent;
	out->start = (const void *)(uintptr_t)g->start;
	out->state = (uint8_t)state;
	out->p = state == GT_STATE_RUNNING ? p->id + 1 : 0;
	out->stack = state == GT_STATE_SYSCALL ? stands_at(g, state) : 0;
	return true;
}

/* @at: [1] is the slot to be looked at next, and when there are no more, [0] is the M, or 1 behind the last. */
size_t gt__standing(uint64_t at[2], struct gt_hook_alive *out, size_t room)
{
	struct gt_worker *m = (struct gt_worker *)(uintptr_t)at[0];
	uint32_t slots = gt__stack_count(), slot = (uint32_t)at[1];
	size_t count = 0;

	if (slots > GT_HOOK_STANDING_MAX)
		return SIZE_MAX;
	for (; !m && slot < slots && count < room; slot++)
		count += waits(gt__stack_g(slot), &out[count]);
	at[1] = slot;
	if (count || at[0] == 1)
		return count;
	if (!m) {
		gt__port_barrier();
		gt__lock(&gt__sched.lock);
		m = gt__sched.all_m;
		gt__unlock(&gt__sched.lock);
	}
	for (; m && count < room; m = m->next_all)
		count += has(m, &out[count]);
	at[0] = m ? (uint64_t)(uintptr_t)m : 1;
	return count;
}
