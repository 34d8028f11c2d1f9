/*
 * check.c - what must hold: always, and when every thread sleeps; and the scheduler's state as text.
 */
#include "tests/schedsim/world.h"

#include <stdio.h>

/* ---- always: who has what ---- */

void sim_check_always(void)
{
	uint32_t count = 0;

	/* Nobody takes from an idle P: what is in its queue is lost. */
	for (const struct gt_p *p = gt__sched.lock.state ? NULL : gt__sched.idle_p; p; p = p->next_idle)
		if (++count > gt__sched.p_count)
			sim_fail("the list of idle Ps has a ring in it");
		else if (p->runnext || p->head != p->tail)
			sim_fail("P%u is idle, with goroutines in its queue", p->id);
	for (const struct gt_worker *m = gt__sched.all_m; m; m = m->next_all) {
		for (const struct gt_worker *other = m->next_all; other; other = other->next_all) {
			if (m->p && m->p == other->p)
				sim_fail("P%u is held by M%d and M%d", m->p->id, m->thread, other->thread);
			if (m->g && m->g == other->g)
				sim_fail("goroutine %llu runs on M%d and M%d", (unsigned long long)m->g->id, m->thread,
					other->thread);
		}
	}
}

/* ---- at rest: nobody is in the middle of anything ---- */

static struct sim_fiber *fiber_of(const struct gt_worker *m)
{
	return m->thread ? &sim.fiber[m->thread - 1] : NULL;
}

static bool is_idle_p(const struct gt_p *p)
{
	for (const struct gt_p *at = gt__sched.idle_p; at; at = at->next_idle)
		if (at == p)
			return true;
	return false;
}

static bool is_idle_m(const struct gt_worker *m)
{
	for (const struct gt_worker *at = gt__sched.idle_m; at; at = at->next_idle)
		if (at == m)
			return true;
	return false;
}

static const struct gt_worker *holder(const struct gt_p *p)
{
	for (const struct gt_worker *m = gt__sched.all_m; m; m = m->next_all)
		if (m->p == p)
			return m;
	return NULL;
}

static bool in_syscall_with(const struct gt_p *p)
{
	for (const struct gt_worker *m = gt__sched.all_m; m; m = m->next_all)
		if (m->g && m->g->state == GT_STATE_SYSCALL && m->syscall_p == p)
			return true;
	return false;
}

static void check_lists(void)
{
	const struct gt_sched *s = &gt__sched;
	uint32_t count = 0;

	for (const struct gt_p *p = s->idle_p; p; p = p->next_idle) {
		if (++count > s->p_count)
			sim_fail("the list of idle Ps has a ring in it");
		if (p->status != GT_P_IDLE)
			sim_fail("P%u is in the list of idle ones, with status %u", p->id, p->status);
		if (p->retire)
			sim_fail("P%u is to be given up, and idle", p->id);
	}
	if (count != s->idle_ps)
		sim_fail("%u Ps are idle, and the count says %u", count, s->idle_ps);
	count = 0;
	for (const struct gt_worker *m = s->idle_m; m; m = m->next_idle) {
		if (++count > s->m_count)
			sim_fail("the list of idle Ms has a ring in it");
		if (m->p)
			sim_fail("M%d is idle and holds P%u", m->thread, m->p->id);
	}
	if (count != s->m_idle)
		sim_fail("%u Ms are idle, and the count says %u", count, s->m_idle);
	if (s->spinning)
		sim_fail("every thread sleeps, and %u are counted as spinning", s->spinning);
	if (s->lock.state)
		sim_fail("every thread sleeps, and the scheduler's lock is held");
	count = 0;
	for (int i = 0; i < 2; i++)
		for (const struct gt_g *g = i ? s->global_bound.first : s->global.first; g; g = g->next)
			if (++count > 100000)
				sim_fail("the global queue has a ring in it");
	if (count != s->global_count)
		sim_fail("the global queue has %u, and the count says %u", count, s->global_count);
}

static void check_ps(void)
{
	const struct gt_sched *s = &gt__sched;

	for (uint32_t i = 0; i < s->p_count; i++) {
		const struct gt_p *p = s->ps[i];
		const struct gt_worker *m = holder(p);
		uint32_t status = p->status;

		if ((status == GT_P_RUNNING) != (m != NULL))
			sim_fail("P%u has status %u, and %s holds it", i, status, m ? "somebody" : "nobody");
		if (status == GT_P_IDLE && !is_idle_p(p))
			sim_fail("P%u is lost: idle, and not in the list", i);
		if (status == GT_P_SYSCALL && !in_syscall_with(p))
			sim_fail("P%u is lost: in a system call that nobody makes", i);
		if (status == GT_P_DEAD && (p->head != p->tail || p->runnext))
			sim_fail("P%u is given up, with goroutines in its queue", i);
		if (p->tail - p->head > GT_RING)
			sim_fail("P%u's queue has %u in it", i, p->tail - p->head);
		if (p->timers.min_ns != (p->timers.count ? p->timers.heap[0]->when_ns : INT64_MAX))
			sim_fail("P%u's first timer is not the one that it tells of", i);
	}
}

static void check_ms(void)
{
	for (const struct gt_worker *m = gt__sched.all_m; m; m = m->next_all) {
		const struct sim_fiber *fiber = fiber_of(m);

		if (fiber && fiber->state == FIBER_ASLEEP && fiber->word == (const void *)&m->wake && !is_idle_m(m) &&
			!fiber->in_handler)
			sim_fail("M%d is lost: asleep, and not in the list", m->thread);
	}
}

/* In how many queues it is, or how many Ms have it. */
static uint32_t places_of(const struct gt_g *g)
{
	const struct gt_sched *s = &gt__sched;
	uint32_t places = 0;

	for (int i = 0; i < 2; i++)
		for (const struct gt_g *at = i ? s->global_bound.first : s->global.first; at; at = at->next)
			places += at == g;
	for (uint32_t i = 0; i < s->p_count; i++) {
		const struct gt_p *p = s->ps[i];

		places += p->runnext == g;
		for (uint32_t k = p->head; k != p->tail; k++)
			places += p->ring[k % GT_RING] == g;
	}
	return places;
}

static void check_gs(void)
{
	uint32_t count = gt__stack_count(), runnable = 0;

	for (uint32_t i = 0; i < count; i++) {
		const struct gt_g *g = gt__stack_g(i);
		uint32_t places, on = 0;

		if (g->state == GT_STATE_NONE)
			continue;
		places = places_of(g);
		for (const struct gt_worker *m = gt__sched.all_m; m; m = m->next_all)
			on += m->g == g;
		runnable += g->state == GT_STATE_RUNNABLE;
		if (g->state == GT_STATE_RUNNABLE && places != 1)
			sim_fail("goroutine %llu is %s: runnable, and in %u queues", (unsigned long long)g->id,
				places ? "there twice" : "lost", places);
		if (g->state != GT_STATE_RUNNABLE && places)
			sim_fail("goroutine %llu is in a queue, in state %u", (unsigned long long)g->id, g->state);
		if ((g->state == GT_STATE_RUNNING || g->state == GT_STATE_SYSCALL) && on != 1)
			sim_fail("goroutine %llu is lost: state %u, and on %u Ms", (unsigned long long)g->id, g->state,
				on);
	}
	if (runnable && gt__sched.idle_ps)
		sim_fail("a wake-up is lost: %u goroutines can run, %u Ps are idle, and every thread sleeps", runnable,
			gt__sched.idle_ps);
}

/* Somebody must wait for the next timer and for descriptors; while a P is busy sysmon does, or whoever has it. */
static void check_waits(void)
{
	const struct gt_sched *s = &gt__sched;
	bool busy = false, retiring = false, somebody_waits = false, polls = false;
	int64_t first = INT64_MAX, next = INT64_MAX;

	for (uint32_t i = 0; i < s->p_count; i++) {
		const struct gt_p *p = s->ps[i];

		busy |= p->status == GT_P_RUNNING || p->status == GT_P_SYSCALL;
		retiring |= p->retire;
		if (p->timers.min_ns < first)
			first = p->timers.min_ns;
	}
	for (const struct gt_worker *m = s->all_m; m; m = m->next_all) {
		const struct sim_fiber *fiber = fiber_of(m);

		if (!fiber || fiber->state != FIBER_ASLEEP || fiber->blocked_by_user)
			continue;
		polls |= fiber->polling;
		somebody_waits |= fiber->polling || fiber->word == (const void *)&s->poll_word;
		if (fiber->deadline < next)
			next = fiber->deadline;
	}
	if (s->poller && !somebody_waits)
		sim_fail("one M is said to wait for all, and none does");
	if (busy) {
		if (s->sysmon_asleep && !retiring)
			for (uint32_t i = 0; i < sim.fibers; i++)
				if (sim.fiber[i].state == FIBER_ASLEEP &&
					sim.fiber[i].word == (const void *)&s->sysmon_asleep)
					sim_fail("sysmon sleeps while a P is busy");
		return;
	}
	if (first != INT64_MAX && next > first && next > sim.now)
		sim_fail("a timer is due at %lld, and nobody waits for it until %lld", (long long)first,
			(long long)next);
	if (gt__net_waited_for() && !polls)
		sim_fail("goroutines wait for descriptors, and nobody looks at these");
	if (polls && sim_fds_ready())
		sim_fail("a descriptor is ready, and who looks at it sleeps");
}

/* Without membarrier who sleeps for a lock may have missed its wake, and looks again after a while. */
static bool somebody_looks_again(void)
{
	for (uint32_t i = 0; i < sim.fibers; i++) {
		const struct sim_fiber *fiber = &sim.fiber[i];

		if (fiber->state == FIBER_ASLEEP && fiber->word && fiber->deadline != SIM_NEVER &&
			fiber->word != &gt__sched.poll_word && fiber->word != &gt__sched.sysmon_asleep)
			return true;
	}
	return false;
}

void sim_check_at_rest(void)
{
	if (somebody_looks_again())
		return;
	check_lists();
	check_ps();
	check_ms();
	check_gs();
	check_waits();
	sim_check_always();
}

/* ---- as text ---- */

void sim_print_state(void)
{
	static const char *const states[] = {"idle", "running", "in a system call", "given up"};
	const struct gt_sched *s = &gt__sched;

	printf("GOMAXPROCS %u, idle Ps %u, spinning %u, global queue %u, idle Ms %u of %u, poller %d, sysmon asleep "
	       "%u\n",
		s->procs, s->idle_ps, s->spinning, s->global_count, s->m_idle, s->m_count, s->poller, s->sysmon_asleep);
	for (uint32_t i = 0; i < s->p_count; i++) {
		const struct gt_p *p = s->ps[i];

		printf("  P%u %s%s: queue %u%s, timers %u\n", p->id, p->status < 4 ? states[p->status] : "?",
			p->retire ? ", to be given up" : "", p->tail - p->head, p->runnext ? " and a next one" : "",
			p->timers.count);
	}
	for (const struct gt_worker *m = s->all_m; m; m = m->next_all) {
		const struct sim_fiber *fiber = fiber_of(m);
		const char *what = "begins";

		if (fiber)
			what = fiber->state == FIBER_READY    ? "can go on"
			       : fiber->polling               ? "waits for descriptors"
			       : fiber->word == &m->wake      ? "asleep"
			       : fiber->word == &s->poll_word ? "waits for the next timer"
			       : fiber->blocked_by_user       ? "blocked by the program"
							      : "waits for a lock";
		printf("  M%d %s%s", m->thread, what, m->spinning ? ", spinning" : "");
		if (m->p)
			printf(", P%u", m->p->id);
		if (m->g)
			printf(", goroutine %llu", (unsigned long long)m->g->id);
		printf("\n");
	}
	for (uint32_t i = 0; i < gt__stack_count(); i++) {
		const struct gt_g *g = gt__stack_g(i);

		if (g->state != GT_STATE_NONE && g->state != GT_STATE_DEAD)
			printf("  goroutine %llu%s%s: %s%s%s\n", (unsigned long long)g->id, g->name[0] ? " " : "",
				g->name, gt_state_text(g->state), g->state == GT_STATE_WAITING ? ", " : "",
				g->state == GT_STATE_WAITING ? gt_reason_text(g->reason) : "");
	}
}
