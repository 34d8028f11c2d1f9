/*
 * procs.c - how many Ps: from the environment, by a call, or the default, which follows the machine.
 *
 * Fewer: a P beyond the number is marked; who holds it gives it up when its goroutine next leaves. Nobody stops the world.
 */
#include "runtime/rt.h"

#include <stdlib.h>
#include <string.h>

uint32_t gt__procs_default(void)
{
	int cpus = gt__port_cpus();
	double limit = gt__port_cpu_limit();

	if (limit > 0 && limit < cpus) {
		int up = (int)limit + ((double)(int)limit < limit);

		if (up < 2)
			up = 2;
		if (up < cpus)
			cpus = up;
	}
	return cpus > (int)GT_P_MAX ? GT_P_MAX : (uint32_t)cpus;
}

static struct gt_p *p_new(uint32_t id)
{
	struct gt_p *p = gt__port_memory(NULL, 0, sizeof(*p));

	if (!p)
		gt__fatal("no memory for P %u", id);
	p->id = id;
	store_relaxed(&p->status, GT_P_DEAD);
	store_relaxed(&p->timers.min_ns, INT64_MAX);
	return p;
}

/* Its timers stay; sysmon brings them to a living P. */
void gt__p_retire(struct gt_p *p)
{
	gt__ring_drain(p);
	gt__g_give_all(p);
	store_relaxed(&p->retire, false);
	store_release(&p->status, GT_P_DEAD);
}

static bool unlink_idle(struct gt_p *p)
{
	for (struct gt_p **at = &gt__sched.idle_p; *at; at = &(*at)->next_idle)
		if (*at == p) {
			*at = p->next_idle;
			gt__sched.cpu_idle_ns += gt__port_now() - p->idle_since_ns;
			atomic_fetch_sub_explicit(&gt__sched.idle_ps, 1, memory_order_seq_cst);
			return true;
		}
	return false;
}

static void shrink(struct gt_p *p)
{
	uint32_t in_syscall = GT_P_SYSCALL;

	if (load_relaxed(&p->status) == GT_P_DEAD)
		return;
	store_relaxed(&p->retire, true);
	store_relaxed(&p->preempt, true);
	store_relaxed(&gt__preempt_wanted, 1);
	if (unlink_idle(p) || atomic_compare_exchange_strong(&p->status, &in_syscall, GT_P_IDLE)) /* [take] */
		gt__p_retire(p);
}

/* What @procs of them had until now. The lock is held. */
static void account(uint32_t procs)
{
	int64_t now = gt__port_now();

	gt__sched.cpu_total_ns += (now - gt__sched.procs_since_ns) * (int64_t)procs;
	gt__sched.procs_since_ns = now;
}

void gt__procs_set(uint32_t count)
{
	struct gt_sched *s = &gt__sched;
	struct gt_worker *m = gt__worker();
	uint32_t before;
	bool more;

	if (m)
		m->locks++;
	gt__lock(&s->lock);
	before = load_relaxed(&s->procs);
	more = before && count > before;
	/* Before more are idle, but after some are idle no more: so the time in use never falls. */
	if (count >= before)
		account(before);
	for (uint32_t i = load_relaxed(&s->p_count); i < count; i++) {
		s->ps[i] = p_new(i);
		store_release(&s->p_count, i + 1);
	}
	store_relaxed(&s->procs, count);
	for (uint32_t i = 0; i < count; i++) {
		store_relaxed(&s->ps[i]->retire, false);
		if (load_relaxed(&s->ps[i]->status) == GT_P_DEAD)
			gt__idle_p_put(s->ps[i]);
	}
	for (uint32_t i = count; i < load_relaxed(&s->p_count); i++)
		shrink(s->ps[i]);
	if (count < before)
		account(before);
	gt__unlock(&s->lock);
	if (more)
		gt__wake_p();
	if (m)
		m->locks--;
}

void gt__procs_init(void)
{
	const char *text = getenv("GOMAXPROCS");
	long count = text ? strtol(text, NULL, 10) : 0;

	gt__sched.cpus = gt__port_cpus();
	if (count > 0)
		store_relaxed(&gt__sched.procs_fixed, true);
	if (count > (long)GT_P_MAX)
		count = GT_P_MAX;
	gt__procs_set(count > 0 ? (uint32_t)count : gt__procs_default());
}

/* Until no P beyond the number is left: a goroutine that never leaves keeps its P for a slice. */
static void wait_for_retired(void)
{
	struct gt_sched *s = &gt__sched;

	if (!gt__self())
		return;
	for (int i = 0; i < 100; i++) {
		bool left = false;

		for (uint32_t k = load_relaxed(&s->procs); k < load_acquire(&s->p_count); k++)
			left |= load_acquire(&s->ps[k]->status) != GT_P_DEAD;
		if (!left)
			return;
		gt__yield();
		if (i > 2)
			gt_sleep(GT_MILLISECOND);
	}
}

int gt_gomaxprocs(int n)
{
	int before = (int)load_relaxed(&gt__sched.procs);

	if (n <= 0)
		return before;
	store_relaxed(&gt__sched.procs_fixed, true);
	if (n == before)
		return before;
	gt__procs_set(n > (int)GT_P_MAX ? GT_P_MAX : (uint32_t)n);
	wait_for_retired();
	return before;
}

void gt_gomaxprocs_default(void)
{
	uint32_t count = gt__procs_default();

	store_relaxed(&gt__sched.procs_fixed, false);
	if (count != load_relaxed(&gt__sched.procs)) {
		gt__procs_set(count);
		wait_for_retired();
	}
}

int gt_num_cpu(void)
{
	return gt__sched.cpus ? gt__sched.cpus : gt__port_cpus();
}
