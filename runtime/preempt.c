/*
 * preempt.c - ends a slice from outside. The goroutine never changes its kernel thread for it.
 *
 * A thread's own data (errno, malloc's cache, any pthread lock) may be in use at any instruction, so a goroutine
 * that is stopped by a signal stays where it is: its M waits inside the signal handler, bound to it, and hands its P to
 * another M. When the goroutine's turn comes, whoever picked it hands a P to the waiting M in the same way.
 *
 *   sysmon   the slice is over: P.preempt, a hint for checkpoints; a little later SIGURG to P's M
 *   handler  in user code, still wanted, and somebody can take the P: bound, into the global queue, waits
 *
 * Who takes the P: an M that sleeps; or, when none does, the goroutine that was stopped longest ago, on its own M. So
 * whoever waits for a lock in user code gives way to a stopped goroutine that may hold it, even when no further
 * thread can be made because that needs the same lock.
 *
 * The price: a kernel thread for each goroutine that is stopped so, and EINTR where SA_RESTART does not reach.
 */
#include "runtime/prof.h"
#include "runtime/rt.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* At most so many threads wait in the handler. */
#define BOUND_MAX 256u

static struct sigaction before_urg;
static bool enabled;

struct gt_preempt_counts gt__preempt_counts;

static void count(_Atomic uint64_t *what)
{
	atomic_fetch_add_explicit(what, 1, memory_order_relaxed);
}

/* The lock is held: an M that sleeps, or NULL. */
static struct gt_worker *sleeper(void)
{
	struct gt_worker *m = gt__sched.idle_m;

	if (m) {
		gt__sched.idle_m = m->next_idle;
		gt__sched.m_idle--;
	}
	return m;
}

/* [wake] */
static void give(struct gt_worker *to, struct gt_p *p)
{
	to->next_p = p;
	to->next_spinning = false;
	if (atomic_exchange_explicit(&to->wake, 1, memory_order_acq_rel) == 2)
		gt__port_wake(&to->wake, 1);
}

void gt__give_bound(struct gt_g *g, struct gt_p *p)
{
	give(g->bound, p);
}

/* m->locks > 0 from here on: another signal does nothing. */
static void stop_here(struct gt_worker *m, struct gt_g *g, struct gt_p *p, void *context)
{
	struct gt_worker *other;
	struct gt_g *first = NULL;
	uint32_t none = 0;

	gt__lock(&gt__sched.lock);
	other = sleeper();
	if (!other)
		first = gt__global_get_bound();
	if (!other && !first) {
		gt__unlock(&gt__sched.lock);
		count(&gt__preempt_counts.no_thread);
		return;
	}
	count(&gt__preempt_counts.async);
	store_relaxed(&p->preempt, false);
	store_release(&m->stopped_at, context);
	g->bound = m;
	gt__track_out(g);
	store_relaxed(&g->state, GT_STATE_RUNNABLE);
	gt__tell(g, GT_STATE_RUNNING, GT_STATE_RUNNABLE, GT_REASON_PREEMPT);
	gt__worker_drop_p(m);
	m->g = NULL;
	gt__global_put(g);
	atomic_fetch_add_explicit(&gt__preempt_counts.bound, 1, memory_order_relaxed);
	gt__unlock(&gt__sched.lock);
	if (first)
		gt__give_bound(first, p);
	else
		give(other, p);
	if (atomic_compare_exchange_strong_explicit(&m->wake, &none, 2, memory_order_acq_rel, memory_order_acquire))
		while (load_acquire(&m->wake) == 2)
			gt__port_wait(&m->wake, 2, -1);
	atomic_exchange_explicit(&m->wake, 0, memory_order_acq_rel); /* [woken] */
	atomic_fetch_sub_explicit(&gt__preempt_counts.bound, 1, memory_order_relaxed);
	gt__prof_runs(g);
	g->bound = NULL;
	store_relaxed(&m->stopped_at, NULL);
	gt__worker_take_p(m, m->next_p);
	gt__execute(m, g, false);
}

static void on_urg(int signal, siginfo_t *info, void *context)
{
	struct gt_worker *m = gt__worker();
	int error = errno_of_thread;

	/* A stale request, a moment inside the runtime, no goroutine: the flag stays, and sysmon comes again. */
	if (m && m->locks == 0 && m->g && m->p) {
		m->locks++;
		if (load_relaxed(&m->p->preempt) && load_relaxed(&m->p->status) == GT_P_RUNNING)
			stop_here(m, m->g, m->p, context);
		m->locks--;
	} else if (m && m->locks) {
		count(&gt__preempt_counts.in_runtime);
	}
	if (before_urg.sa_flags & SA_SIGINFO)
		before_urg.sa_sigaction(signal, info, context);
	else if (before_urg.sa_handler != SIG_DFL && before_urg.sa_handler != SIG_IGN)
		before_urg.sa_handler(signal);
	errno_of_thread = error;
}

void gt__resume_bound(struct gt_worker *m, struct gt_g *g)
{
	gt__give_bound(g, gt__worker_drop_p(m));
}

/* sysmon: P's slice has been over for a while, and it does not come by itself. */
void gt__preempt(struct gt_p *p)
{
	struct gt_worker *m = load_relaxed(&p->m);

	if (!enabled || !m)
		return;
	if (load_relaxed(&gt__preempt_counts.bound) >= BOUND_MAX) {
		count(&gt__preempt_counts.over_limit);
		return;
	}
	if (!gt__worker_spare())
		return;
	gt__port_signal(m->thread, SIGURG);
}

void gt__preempt_init(void)
{
	struct sigaction action = {.sa_sigaction = on_urg, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
	const char *text = getenv("GT_ASYNCPREEMPT");

	enabled = !text || strcmp(text, "0") != 0;
#ifdef GT_SAN_THREAD
	/* Its pthread_mutex_lock holds signals back while it waits: who has the mutex, and was stopped, might never get a turn. */
	enabled = enabled && text;
#endif
	if (enabled)
		sigaction(SIGURG, &action, &before_urg);
}
