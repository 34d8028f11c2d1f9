/*
 * rt.h - the scheduler from inside: Ps, Ms, their queues; shared by g.c, m.c, p.c, sched.c, sysmon.c, stack.c, timer.c.
 *
 *   g.c      goroutines: made, begun, ended, counted       stack.c   one region of slots, guards
 *   p.c      per-P ring, the global queue, stealing        timer.c   a 4-heap for each P
 *   m.c      kernel threads: started, asleep, woken        sysmon.c  the thread without a P: takes back, preempts
 *   sched.c  park, ready, yield: who is next               procs.c   how many Ps
 *   netpoll.c epoll, who waits for a descriptor            io.c      read, write, accept, connect
 *   alive.c  who is there when a trace begins
 *   start.c  gt_main, deadlock, panic                      preempt.c the end of a slice by a signal
 *   metrics.c what is counted, and the time to run         prometheus.c the same as text
 *
 * A goroutine leaves in one of two ways: straight to the next one of this P, on whose stack the rest of its leaving
 * (`after`) is done; or, when that takes more than a look into the queues, to the scheduler's stack, which is the M's own.
 *
 * Ordering (the tags stand at each use)
 *   [put]    ring tail store-release, runnext exchange -> [get]   load-acquire / CAS: the goroutine's context
 *   [work]   put, fence, nmspinning and npidle loaded  <> [idle]  nmspinning or npidle stored, fence, queues looked at again
 *   [until]  timers.min stored, fence, poll_until loaded <> [min] poll_until stored, fence, every min looked at again
 *   [take]   P.status CAS from syscall: one of exit, sysmon and others wins
 *   [wake]   worker.wake exchange                      -> [woken] exchange: next_p, spinning
 *   [runs]   state store-release (running)             -> [runs]  load-acquire: who had it before has let go, ran_gate is unknown
 */
#ifndef GT_RUNTIME_RT_H
#define GT_RUNTIME_RT_H

#include "runtime/metrics.h"
#include "runtime/port.h"
#include "runtime/sched.h"

#include <gtrace/go.h>
#include <gtrace/hooks.h>

#define GT_RING               256u
#define GT_P_MAX              1024u
#define GT_M_MAX              10000u
#define GT_GLOBAL_EVERY       61u
#define GT_SLICE_NS           (10 * GT_MILLISECOND)
#define GT_FREE_PER_P         64u
#define GT_IDS_PER_P          16u
#define GT_STACKS_AT_ONCE     4u
#define GT_CREATED_DEPTH      8u
#define GT_SIGNAL_STACK_BYTES 65536u

#define load_relaxed(at)         atomic_load_explicit(at, memory_order_relaxed)
#define load_acquire(at)         atomic_load_explicit(at, memory_order_acquire)
#define store_relaxed(at, value) atomic_store_explicit(at, value, memory_order_relaxed)
#define store_release(at, value) atomic_store_explicit(at, value, memory_order_release)
#define LIKELY(x)                __builtin_expect(!!(x), 1)
#define UNLIKELY(x)              __builtin_expect(!!(x), 0)

#define errno_of_thread (*__errno_location())

/* ---- timers of a P ---- */

struct gt_timers {
	struct gt_lock lock;
	uint32_t count;
	uint32_t room;
	struct gt_timer **heap;
	_Atomic int64_t min_ns; /* of the first; INT64_MAX: none */
};

/* Calls what is due. On the scheduler's stack, with a P. Whether anything was. */
bool gt__timers_run(struct gt_timers *timers, int64_t now_ns);
void gt__timers_move(struct gt_timers *to, struct gt_timers *from);
int64_t gt__timers_first(void); /* over all Ps; INT64_MAX: none */

/* ---- P ---- */

enum gt_p_status { GT_P_IDLE, GT_P_RUNNING, GT_P_SYSCALL, GT_P_DEAD };

struct gt_p {
	uint32_t id;
	_Atomic uint32_t status;
	struct gt_worker *_Atomic m; /* who holds it, or held it last */
	_Atomic uint32_t tick;       /* slices begun */
	_Atomic uint32_t syscall_tick;
	_Atomic bool preempt;   /* the slice is over */
	_Atomic bool retire;    /* to be given up: GOMAXPROCS fell */
	struct gt_p *next_idle; /* or the next that waits for a thread */
	bool make_spinning;
	/* The owner's. */
	struct gt_g *free;
	uint32_t free_count;
	uint64_t id_next, id_end;
	_Atomic uint64_t created, ended;
	/* sysmon's: what it saw last, and since when. */
	uint32_t seen_tick, seen_syscall;
	int64_t seen_ns, seen_syscall_ns, signal_ns;
	int64_t idle_since_ns; /* under the scheduler's lock */
	struct gt_timers timers;
	struct gt_p_counts counts;
	_Alignas(64) struct gt_g *_Atomic runnext;
	_Atomic uint32_t tail; /* only the owner moves it */
	_Alignas(64) _Atomic uint32_t head;
	_Alignas(64) struct gt_g *_Atomic ring[GT_RING];
};

void gt__ring_put(struct gt_p *p, struct gt_g *g, bool next);
/* From this P's own queues. @inherit: within the slice of who ran before. */
struct gt_g *gt__ring_get(struct gt_p *p, bool *inherit);
bool gt__ring_empty(struct gt_p *p);
/* Half of what @from has; the last of them is returned, the others go onto @p. */
struct gt_g *gt__ring_steal(struct gt_p *p, struct gt_p *from, bool runnext);
void gt__ring_drain(struct gt_p *p); /* all to the global queue */

/* The scheduler's lock is held. */
void gt__global_put(struct gt_g *g);
/* One, and some more onto @p's ring; @max 0: no limit but fairness. */
struct gt_g *gt__global_get(struct gt_p *p, uint32_t max);
/* The first of those that are stopped on an M (preempt.c); NULL: there is none. */
struct gt_g *gt__global_get_bound(void);
void gt__idle_p_put(struct gt_p *p);
struct gt_p *gt__idle_p_get(void);

/* ---- M ---- */

struct gt_worker {
	struct gt_g *g; /* that runs here; NULL on the scheduler's stack */
	struct gt_p *p;
	int *errno_at;
	uint32_t locks; /* > 0: not to be preempted */
	bool spinning;
	bool next_spinning;
	void (*after)(void *arg); /* what is left to do of who left last */
	void *after_arg;
	struct gt_context context; /* the scheduler's */
	uint64_t random;
	uint32_t id;
	int thread;
	_Atomic uint32_t trace_id; /* in the trace, + 1 */
	_Atomic uint32_t
		ran_gate;     /* the gate when g began to run here; GT_RAN_UNKNOWN: it is about to be told (alive.c) */
	struct gt_g *landing; /* g, while that is hidden from `after` */
	struct gt_p *next_p;  /* from whoever wakes it */
	struct gt_p *syscall_p;
	void *_Atomic stopped_at;       /* while it waits in the signal handler: ucontext_t of what it stopped */
	_Atomic uint32_t wake;          /* 0; 1: woken; 2: asleep */
	_Atomic uint64_t syscall_edges; /* odd: in a system call */
	struct gt_worker *next_idle, *next_all;
	void *signal_stack;
	/* For profiles (prof.h). */
	uintptr_t stack_high; /* nothing of interest is above on the thread's own stack */
	uint32_t created_depth;
	uintptr_t created[GT_CREATED_DEPTH]; /* the stack that started this thread */
};

#define GT_RAN_UNKNOWN UINT32_MAX

_Static_assert(offsetof(struct gt_worker, locks) == GT_WORKER_LOCKS, "sched.h counts them");

_Noreturn void gt__schedule(struct gt_worker *m); /* on the scheduler's stack, for ever */
void gt__worker_begin(struct gt_worker *m);       /* on its thread */
struct gt_worker *gt__worker_new(void);
/* Lets some M run with @p (NULL: any idle one); @spinning: the caller has counted it. */
void gt__worker_start(struct gt_p *p, bool spinning);
/* Sleeps until somebody gives it a P. */
void gt__worker_stop(struct gt_worker *m);
void gt__worker_take_p(struct gt_worker *m, struct gt_p *p);
struct gt_p *gt__worker_drop_p(struct gt_worker *m);
/* There is new work: one more M looks for it, if there is an idle P and nobody looks. */
void gt__wake_p(void);
/* Of an M in a system call. */
void gt__hand_off(struct gt_p *p);
/* Is anything in a queue? */
bool gt__any_work(void);

/* ---- the trace ---- */

/* The goroutine's transitions are told by these: after its state is stored, before anybody else can make its next one. */
#define GT_TOLD(gate, how) ((gate) >> GT_GATE_SETS << 4 | (uint32_t)(how))
#define GT_TOLD_SELF       15u
/* Its first word in this trace. False: the transition is told already. */
bool gt__tell_first(struct gt_g *g, uint32_t gate, enum gt_state old, enum gt_state new_)
	__attribute__((noinline, cold));
/* The program's stack as the trace knows it: @pc, and its callers from @frame on. */
uint32_t gt__stack_id(const struct gt_g *g, const void *pc, const void *frame) __attribute__((noinline));
/* Of functions in which a goroutine waits: the caller of the outermost is where the trace says that it stands (gt__waits_at). */
#define GT_PARKS __attribute__((section("gt_parks"), noinline))
size_t gt__alive(uint32_t gate, uint64_t at[2], struct gt_hook_alive *out, size_t room);
size_t gt__standing(uint64_t at[2], struct gt_hook_alive *out, size_t room);

/* The gate, to be asked when the state is stored. */
static inline uint32_t gt__gate_seen(void)
{
	atomic_signal_fence(memory_order_seq_cst); /* the state is stored; the rest is membarrier's */
	return gt_hook_sets();
}

/* The transition is to be told to the trace of @gate. */
static inline bool gt__tells(struct gt_g *g, uint32_t gate, enum gt_state old, enum gt_state new_)
{
	if (LIKELY(!gate))
		return false;
	return LIKELY(load_relaxed(&g->told) == GT_TOLD(gate, GT_TOLD_SELF)) || gt__tell_first(g, gate, old, new_);
}

/* The gate of the trace to which the transition is to be told; 0: none. */
static inline uint32_t gt__tell_gate(struct gt_g *g, enum gt_state old, enum gt_state new_)
{
	uint32_t gate = gt__gate_seen();

	return gt__tells(g, gate, old, new_) ? gate : 0;
}

static inline void gt__tell(struct gt_g *g, enum gt_state old, enum gt_state new_, unsigned int arg)
{
	uint32_t gate = gt__tell_gate(g, old, new_);

	if (UNLIKELY(gate))
		gt__hook_state_in(gate, g->id, old, new_, arg);
}

/* It runs on @m from now on, whose ran_gate is unknown since before the state was stored. */
static inline void gt__tell_runs(struct gt_worker *m, struct gt_g *g, enum gt_state old, unsigned int arg)
{
	uint32_t gate = gt__gate_seen();

	if (UNLIKELY(gt__tells(g, gate, old, GT_STATE_RUNNING)))
		gt__hook_state_in(gate, g->id, old, GT_STATE_RUNNING, arg);
	store_relaxed(&m->ran_gate, gate);
}

static inline void gt__tell_block(struct gt_g *g, const void *pc, const void *frame)
{
	uint32_t gate = gt__tell_gate(g, GT_STATE_RUNNING, GT_STATE_WAITING);

	if (UNLIKELY(gate))
		gt__hook_block_on_in(gate, g->id, g->reason, g->on, g->on_holder, gt__stack_id(g, pc, frame));
	g->on = 0;
}

static inline void gt__tell_ready(struct gt_g *g, const struct gt_worker *m)
{
	uint32_t gate = gt__tell_gate(g, GT_STATE_WAITING, GT_STATE_RUNNABLE);

	if (UNLIKELY(gate)) {
		enum gt_cause cause = g->cause;
		uint32_t detail = cause != GT_CAUSE_NONE ? g->cause_detail : 0;

		/* Sysmon has no M either, but finds what is ready. */
		if (!m && cause == GT_CAUSE_NONE)
			cause = GT_CAUSE_THREAD;
		gt__hook_wake_in(gate, g->id, m && m->g ? m->g->id : 0, cause, detail);
	}
	g->cause = GT_CAUSE_NONE;
}

static inline void gt__tell_syscall(struct gt_g *g, const void *pc, const void *frame)
{
	uint32_t gate = gt__tell_gate(g, GT_STATE_RUNNING, GT_STATE_SYSCALL);

	if (UNLIKELY(gate))
		gt__hook_syscall_stack_in(gate, g->id, gt__stack_id(g, pc, frame));
}

static inline void gt__tell_create(struct gt_g *g, const void *site)
{
	uint32_t gate = gt__tell_gate(g, GT_STATE_NONE, GT_STATE_RUNNABLE);

	if (UNLIKELY(gate))
		gt__hook_create_in(gate, g->id, GT_STATE_RUNNABLE, g->parent, (const void *)(uintptr_t)g->start, site);
}

/* ---- all of it ---- */

struct gt_g_list {
	struct gt_g *first, *last;
};

struct gt_sched {
	_Atomic uint32_t procs;   /* GOMAXPROCS */
	_Atomic uint32_t p_count; /* ever made; the others are dead */
	_Atomic uint32_t idle_ps; /* npidle */
	_Atomic uint32_t spinning;
	_Atomic uint32_t global_count;
	_Atomic uint64_t next_id;
	_Atomic uint64_t created_outside; /* goroutines, by threads that have no P */
	_Atomic int64_t poll_until;       /* the M that waits for the next timer waits until then; 0: there is none */
	_Atomic uint32_t poll_word;
	_Atomic bool poller;
	_Atomic int64_t
		coarse_ns; /* the time, as sysmon saw it last: not older than its longest look while anybody runs */
	_Atomic int64_t polled_ns; /* when somebody looked at the descriptors last */
	_Atomic uint32_t sysmon_asleep;
	_Atomic bool procs_fixed; /* by GOMAXPROCS or gt_gomaxprocs */
	bool main_exited;
	_Atomic bool forked; /* a child of fork: nothing goes on here */
	int cpus;            /* at the start */
	struct gt_lock lock;
	/* Under the lock. */
	struct gt_g_list global,
		global_bound; /* one queue, in two lists: those that are stopped on an M, and the others */
	uint64_t global_ticket;
	struct gt_p *making;  /* Ps that wait for a thread to be made */
	bool making_spare;    /* a thread without a P is wanted, */
	uint32_t spares_born; /* or made and not yet asleep */
	_Atomic uint32_t maker_word;
	struct gt_p *idle_p;
	struct gt_worker *idle_m;
	struct gt_worker *all_m;
	uint32_t m_count, m_idle;
	uint32_t m_max;
	int64_t procs_since_ns, cpu_total_ns,
		cpu_idle_ns; /* P's time: until procs changed last; of those idle no more */
	struct gt_g *free;
	_Atomic uint32_t free_count; /* stored under the lock */
	struct gt_p *ps[GT_P_MAX];
};
extern struct gt_sched gt__sched;

struct gt_g *gt__g_take(struct gt_p *p); /* @p may be NULL */
/* By who spins: makes some stacks before they are asked for. False: there are enough. */
bool gt__g_ahead(void);
void gt__g_give(void *g);            /* of the calling M's P */
void gt__g_give_all(struct gt_p *p); /* what it has; the lock is held */
struct gt_g *gt__g_make(struct gt_p *p, const char *name, void (*fn)(void *arg), void *arg, const void *site);
/* The next one of this P, without leaving the goroutine's stack; NULL: the scheduler must look. */
void gt__leave(struct gt_worker *m, struct gt_g *g, bool dying);
void gt__landed(struct gt_worker *m);
void gt__put_global(void *g);
_Noreturn void gt__end(int code); /* from a goroutine */

void gt__procs_init(void);
void gt__procs_set(uint32_t count);
uint32_t gt__procs_default(void);
void gt__p_retire(struct gt_p *p); /* the lock is held; nobody holds it */

void gt__sysmon_start(void);
void gt__sysmon_wake(void);
void gt__poller_wake(void);

void gt__deadlock_check(void); /* the lock is held; @returns only when there is none */
_Noreturn void gt__forked_fatal(void) __attribute__((cold));

/* ---- slices that end from outside ---- */

struct gt_preempt_counts {
	_Atomic uint64_t requested, cooperative, async, in_runtime, no_thread, over_limit;
	_Atomic uint32_t bound; /* threads that wait in the handler, now */
};
extern struct gt_preempt_counts gt__preempt_counts;
void gt__preempt_init(void);
void gt__preempt(struct gt_p *p);
void gt__resume_bound(struct gt_worker *m, struct gt_g *g);
/* Lets @g, which was taken off the global queue, go on with @p on the M that it is stopped on. */
void gt__give_bound(struct gt_g *g, struct gt_p *p);
void gt__execute(struct gt_worker *m, struct gt_g *g, bool inherit);
/* Can somebody take the P of a goroutine that is stopped? If not, one more thread is asked for, which will. */
bool gt__worker_spare(void);
void gt__maker_start(void);

/* ---- waiting for descriptors ---- */

/* True: there are goroutines that wait for one. */
bool gt__net_waited_for(void);
uint64_t gt__net_waiting(void);
/* Looks once, without waiting, unless somebody looks or waits already; readies who can go on. True: somebody can. */
bool gt__net_look(void);
/* Waits until @deadline_ns (-1: none) or gt__net_wake; gives what came to gt__net_tell, to be called with or without a P. */
struct gt_net_events {
	int count;
	uint64_t tags[128];
	uint32_t what[128];
};
void gt__net_wait(struct gt_net_events *events, int64_t deadline_ns);
bool gt__net_tell(const struct gt_net_events *events);
bool gt__net_opened(void);
void gt__net_wake(void);

/* Of enum gt_state and enum gt_reason; NULL where there is none. */
extern const char *const gt__state_texts[], *const gt__reason_texts[];
extern const uint32_t gt__state_text_count, gt__reason_text_count;

/* ---- stacks ---- */

int gt__stacks_init(void);
/* Up to @want fresh slots, each with a zeroed goroutine at its top, linked by next; NULL without memory. */
struct gt_g *gt__stacks_new(uint32_t want);
struct gt_g *gt__stack_g(uint32_t slot);
uint32_t gt__stack_count(void);
uint32_t gt__stack_unguarded(void);
size_t gt__stack_bytes(void);
void gt__stack_bounds(const struct gt_g *g, char **low, char **high);
/* Whose stack @at lies in; NULL: nobody's. Async-signal-safe. */
struct gt_g *gt__stack_find(uintptr_t at);
void gt__stack_check(const struct gt_g *g); /* canaries only */
int gt__stack_signals(void **signal_stack); /* on each thread */
extern bool gt__stack_canaries;

void gt__switch(void **save, void *load);
void gt__entry(void);
/* What gt__switch finds on a new stack. */
void *gt__context_new(void *high);

#endif
