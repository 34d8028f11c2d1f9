/*
 * sysmon.c - a thread without a P: takes Ps back from system calls, ends slices, follows the machine's number of CPUs.
 *
 * It looks every 20 us while it finds something to do, ever less often when not, and sleeps while all Ps are idle.
 */
#include "runtime/rt.h"

#include <string.h>

#define SHORTEST_NS (20 * GT_MICROSECOND)
#define LONGEST_NS  (2500 * GT_MICROSECOND)
#define QUIET_LOOKS 50
#define GRACE_NS    (100 * GT_MICROSECOND) /* for a checkpoint, which is cheaper than a signal */
#define AGAIN_NS    GT_MILLISECOND

static bool somebody_waits(struct gt_p *p)
{
	int64_t first = gt__timers_first();

	return load_relaxed(&gt__sched.global_count) || !gt__ring_empty(p) || load_relaxed(&p->retire) ||
	       (first != INT64_MAX && first <= gt__port_now());
}

/* Seen in the same system call twice. While others are idle and it has no work of its own, it may keep it for a slice. */
static bool look_at_syscall(struct gt_p *p, int64_t now)
{
	uint32_t tick = load_relaxed(&p->syscall_tick), status = GT_P_SYSCALL;

	if (p->seen_syscall != tick) {
		p->seen_syscall = tick;
		p->seen_syscall_ns = now;
		return false;
	}
	if (gt__ring_empty(p) && !load_relaxed(&gt__sched.global_count) &&
		load_relaxed(&gt__sched.spinning) + load_relaxed(&gt__sched.idle_ps) > 0 &&
		now - p->seen_syscall_ns < GT_SLICE_NS)
		return false;
	if (!atomic_compare_exchange_strong_explicit(
		    &p->status, &status, GT_P_IDLE, memory_order_acq_rel, memory_order_relaxed)) /* [take] */
		return false;
	gt__count(&gt__counts.hand_offs, 1);
	gt__hand_off(p);
	return true;
}

/* True: look again soon. */
static bool look_at_slice(struct gt_p *p, int64_t now)
{
	uint32_t tick = load_relaxed(&p->tick);

	if (p->seen_tick != tick) {
		p->seen_tick = tick;
		p->seen_ns = now;
		return false;
	}
	if (now - p->seen_ns < GT_SLICE_NS)
		return false;
	if (!load_relaxed(&p->preempt)) {
		atomic_fetch_add_explicit(&gt__preempt_counts.requested, 1, memory_order_relaxed);
		store_relaxed(&p->preempt, true);
		store_relaxed(&gt__preempt_wanted, 1);
		p->signal_ns = now + GRACE_NS;
		return true;
	}
	if (now < p->signal_ns)
		return true;
	/* Alone, it may as well go on: there is nobody to run instead. In a system call a signal would only disturb. */
	if (!somebody_waits(p) || load_relaxed(&p->status) != GT_P_RUNNING)
		return false;
	p->signal_ns = now + AGAIN_NS;
	gt__preempt(p);
	return false;
}

static bool look(int64_t now)
{
	struct gt_sched *s = &gt__sched;
	uint32_t count = load_acquire(&s->p_count);
	bool found = false;

	for (uint32_t i = 0; i < count; i++) {
		struct gt_p *p = s->ps[i];

		switch (load_acquire(&p->status)) {
		case GT_P_SYSCALL:
			found |= look_at_syscall(p, now) || look_at_slice(p, now);
			break;
		case GT_P_RUNNING:
			found |= look_at_slice(p, now);
			break;
		case GT_P_DEAD:
			if (i && load_relaxed(&p->timers.min_ns) != INT64_MAX)
				gt__timers_move(&s->ps[0]->timers, &p->timers);
			break;
		default:
			break;
		}
	}
	if (gt__net_waited_for() && load_relaxed(&s->polled_ns) + GT_SLICE_NS < now)
		found |= gt__net_look();
	/* Who goes idle waits for timers and descriptors; those that came to be after that have nobody yet. */
	if (load_relaxed(&s->idle_ps) && !load_relaxed(&s->poller) && !load_relaxed(&s->spinning) &&
		(gt__net_waited_for() || gt__timers_first() != INT64_MAX))
		gt__worker_start(NULL, false);
	return found;
}

void gt__sysmon_wake(void)
{
	store_relaxed(&gt__sched.coarse_ns, gt__port_now());
	if (atomic_exchange_explicit(&gt__sched.sysmon_asleep, 0, memory_order_seq_cst))
		gt__port_wake(&gt__sched.sysmon_asleep, 1);
}

/* True: it slept. */
static bool sleep_while_idle(void)
{
	struct gt_sched *s = &gt__sched;

	if (load_relaxed(&s->idle_ps) < load_relaxed(&s->procs))
		return false;
	atomic_store_explicit(&s->sysmon_asleep, 1, memory_order_seq_cst);
	atomic_thread_fence(memory_order_seq_cst);
	if (load_relaxed(&s->idle_ps) < load_relaxed(&s->procs) || gt_hook_watch(&s->sysmon_asleep)) {
		store_relaxed(&s->sysmon_asleep, 0);
		return false;
	}
	while (load_acquire(&s->sysmon_asleep))
		gt__port_wait(&s->sysmon_asleep, 1, -1);
	return true;
}

static void sysmon(void *arg)
{
	int64_t delay = SHORTEST_NS, procs_at = gt__port_now() + GT_SECOND;
	int quiet = 0;

	for (;;) {
		int64_t now;

		gt__port_sleep(delay);
		if (quiet > QUIET_LOOKS && sleep_while_idle())
			quiet = 0;
		now = gt__port_now();
		store_relaxed(&gt__sched.coarse_ns, now);
		quiet = look(now) ? 0 : quiet + 1;
		gt_hook_watch(&gt__sched.sysmon_asleep);
		if (quiet == 0)
			delay = SHORTEST_NS;
		else if (quiet > QUIET_LOOKS && delay < LONGEST_NS)
			delay *= 2;
		if (now >= procs_at && !load_relaxed(&gt__sched.procs_fixed)) {
			uint32_t count = gt__procs_default();

			if (count != load_relaxed(&gt__sched.procs))
				gt__procs_set(count);
			procs_at = now + GT_SECOND;
		}
	}
}

void gt__sysmon_start(void)
{
	int ret = gt__port_thread(sysmon, NULL);

	if (ret < 0)
		gt__fatal("cannot start a thread: %s", strerror(-ret));
}
