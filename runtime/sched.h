/*
 * sched.h - what channels, select, sync and I/O are built on: park, ready, locks, timers.
 *
 * A goroutine waits in three steps:
 *
 *	gt__lock(&c->lock);
 *	...put a waiter, on the goroutine's own stack, where a waker finds it...
 *	gt__park(unlock, &c->lock, GT_REASON_CHAN_RECEIVE);     -> runs on here after gt__ready(g)
 *
 * and a waker in two: it takes the waiter off under the same lock, and calls gt__ready(waiter->g), once a park.
 *
 * Words: G goroutine, P processor slot, M kernel thread (here struct gt_worker; struct gt_m is the tracer's).
 *
 * Rules
 *   - A goroutine may go on on another kernel thread after gt__park, gt__yield and whatever calls them. No address of a
 *     thread-local, no pthread_self() and no errno lives across these calls; the current G is asked for anew by gt__self().
 *   - Stacks do not move: a waiter may live on one, and others may write into it until the goroutine is made ready.
 *   - No gt__lock is held across gt__park, gt__yield, gt_go but the one that @unlock gives back.
 *   - Order of locks: the caller's (channel, mutex, pollfd: by address when several) before timers before the scheduler's.
 *     gt__ready, gt__timer_start and gt__timer_stop may be called with the caller's locks held.
 */
#ifndef GT_RUNTIME_SCHED_H
#define GT_RUNTIME_SCHED_H

#include "base/san.h"

#include <gtrace/shm.h>
#include <gtrace/states.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- locks ---- */

/* Valid when zeroed. Spins a little, then sleeps in the kernel (the M does): for some tens of instructions only. Not
 * recursive; given back on the thread that took it (@unlock of a park runs there). While a thread holds one it is not preempted.
 * Whoever takes it after its last holder may free the memory it lies in: giving it back ends with the store (lock.c). */
struct gt_lock {
	_Atomic uint32_t state; /* 0 free, 1 held */
};

bool gt__lock_try(struct gt_lock *lock);
#ifdef GT_LOCKS_ELSEWHERE /* a simulation's */
void gt__lock(struct gt_lock *lock);
void gt__unlock(struct gt_lock *lock);
#else
static inline void gt__lock(struct gt_lock *lock);
static inline void gt__unlock(struct gt_lock *lock);
#endif

/* ---- goroutines ---- */

/* A stack that nobody runs on just now. */
struct gt_context {
	void *sp;
	struct gt_san_stack san;
};

/*
 * What every switch touches comes first, in 64 bytes: those of many goroutines share few sets of a cache (stack.c: COLOURS).
 */
struct gt_g {
	/* Read only for all but the scheduler. */
	uint64_t id;       /* 1 is the main goroutine */
	struct gt_g *next; /* in the queue of runnable ones; free to use between the park's @unlock and gt__ready */
	/* The scheduler's. */
	struct gt_worker *bound; /* stopped in a signal handler on this M: it can go on only there */
	_Atomic uint32_t state;  /* enum gt_state */
	int saved_errno;
	enum gt_reason reason; /* of the last park; to be read by all */
	/* For metrics: this time is taken; transitions until the next that is, of how many. */
	bool tracked, track_more;
	uint8_t track_left, track_period;
	/* For profiles (prof.h): times it began to run: others that read its stack look at it before and after. */
	_Atomic uint32_t runs;
	/* Why the next gt__ready comes, when it is no goroutine that calls it: gt__woken_by. The waker's. */
	uint32_t cause;
	/* What the next park waits for, as the trace tells it: gt__waits_on. The goroutine's own. */
	uint64_t on;
	struct gt_context context; /* its first 8 bytes are the last of the 64 */
	uint64_t on_holder;        /* counts only with `on` */
	uint32_t cause_detail;
	int64_t waits_since; /* of the coarse clock; for people */
	void *param;         /* from waker to waiter, as both agree; NULL after creation */
	uint64_t parent;
	void (*start)(void *arg);
	void *arg;
	void (*then)(void *arg); /* NULL, or what it does at its end */
	void *then_arg;
	char name[24];
	uint64_t ticket;                     /* its turn in the global queue */
	uint32_t slot;                       /* of the stack */
	uintptr_t syscall_pc, syscall_frame; /* who called gt_syscall_enter */
	int64_t track_since_ns, track_mutex_ns;
	_Atomic int64_t woken_ns; /* for profiles; while block profiles are on: when its last wait was ended */
	_Atomic uint32_t told;    /* the last trace to which it told something, and how: alive.c */
};
_Static_assert(offsetof(struct gt_g, context.sp) == 56, "one line of a cache");

/* As gt_go; and when it ends, by return or by gt_exit, it calls @then(@then_arg). @site: for the trace, where it was started. */
uint64_t gt__go_then(void (*fn)(void *arg), void *arg, void (*then)(void *then_arg), void *then_arg, const void *site);

/* The goroutine that runs here; NULL on a thread, or in a moment, that has none (@unlock, timer callbacks: may be any). */
struct gt_g *gt__self(void);

/* Before gt__park: the object of @what at @address (or the number that objects.def says), which @holder locked (0: not known). */
static inline void gt__waits_on(struct gt_g *g, enum gt_object what, uint64_t address, uint64_t holder)
{
	g->on = GT_OBJECT_WORD(what, address);
	g->on_holder = holder;
}

/* Before gt__ready from a timer or the poller. */
static inline void gt__woken_by(struct gt_g *g, enum gt_cause cause, uint32_t detail)
{
	g->cause = cause;
	g->cause_detail = detail;
}

/*
 * Makes the current goroutine wait until gt__ready. When its context is saved, its state is waiting and the trace knows,
 * calls @unlock(@arg) (may be NULL): on another stack, perhaps another goroutine's, where gt__self() means nothing.
 * @unlock must not park or yield; it may take and give back gt__locks, start timers, and may itself make the goroutine
 * ready (what it waited for came meanwhile). From its end on the goroutine may run on another thread: whatever
 * @unlock reads after the goroutine can be found is not the goroutine's stack.
 *
 * Nobody returns spuriously: exactly one gt__ready ends one park.
 */
void gt__park(void (*unlock)(void *arg), void *arg, enum gt_reason reason);

/* The same, where @arg is a lock to be given back. */
void gt__park_unlock(struct gt_lock *lock, enum gt_reason reason);

/*
 * Makes a parked goroutine runnable: next in turn on this P, and within the running goroutine's slice, as in Go. From
 * any goroutine, @unlock, timer callback, or any thread at all (then it goes on the global queue). Everything
 * written before it is seen by the goroutine after its gt__park. @g may run, and end, before this returns.
 * Calling it for a goroutine that is not parked ends the program with a message.
 */
void gt__ready(struct gt_g *g);

/* Gives way. gt__yield: to the tail of the global queue (Gosched). gt__yield_local: to the tail of this P's own, so that the
 * one just made ready runs at once, in this slice (a starving mutex's hand-off). */
void gt__yield(void);
void gt__yield_local(void);

/* Gives way if the slice is over: at the head of every public call that does not wait. */
static inline void gt__checkpoint(void);

/* ---- spinning, for a mutex ---- */

/* Is a spin worth its time? More than one CPU, another P runs goroutines, nothing else is to do on this P, @round < 4. */
bool gt__spin_worth(unsigned int round);
/* Some 30 pauses. */
void gt__spin(void);

/* ---- time and chance ---- */

/* CLOCK_MONOTONIC, or the simulation's. */
int64_t gt__now(void);

/* Fast, fair enough for a scheduler, no secret; any thread. gt__random_below: 0 .. n-1, n > 0. */
uint32_t gt__random(void);
static inline uint32_t gt__random_below(uint32_t n)
{
	return (uint32_t)((uint64_t)gt__random() * n >> 32);
}

/*
 * Timers. Valid when zeroed. The caller owns the memory; a started timer must stay where it is until gt__timer_stop gave
 * true, or it ran (and has no period), and then gt__timer_join came back.
 *
 * @fn(@arg) runs on some M, on a stack that may be another goroutine's or the scheduler's: it must not park, yield or take
 * long; it may take gt__locks, gt__ready, gt_go, and start or stop any timer, its own too. No lock is held around it.
 */
struct gt_timer {
	int64_t when_ns;
	const void *of; /* what it is for, as the trace tells it; NULL: itself */
	int64_t period_ns; /* > 0: again, every so often; missed turns are dropped, not bunched. Set before gt__timer_start */
	void (*fn)(void *arg);
	void *arg;
	/* The heap's. */
	struct gt_timers *_Atomic heap; /* NULL: not pending */
	uint32_t index;
	_Atomic uint32_t running; /* callbacks under way */
};

/* Runs @fn at @when_ns (of gt__now), or soon after; a time that is past: at once, not in this call. Pending already:
 * moves it to the new time and function. One thread at a time starts or stops a given timer. */
void gt__timer_start(struct gt_timer *timer, int64_t when_ns, void (*fn)(void *arg), void *arg);
/* True: it was pending, and @fn will not be called for it. False: it was not pending; @fn may be running. */
bool gt__timer_stop(struct gt_timer *timer);
/* Waits until no callback of it is under way; not from its own @fn nor with a lock held that @fn takes. */
void gt__timer_join(struct gt_timer *timer);

/* Parks the current goroutine until then; a time that is past returns at once. */
void gt__sleep_until(int64_t when_ns, enum gt_reason reason);

/* ---- the end ---- */

/* "panic: TEXT" (misuse that Go panics on) or "fatal error: TEXT", then the goroutines; exit 2. */
_Noreturn void gt__panic(const char *format, ...) __attribute__((format(printf, 1, 2), cold));
_Noreturn void gt__fatal(const char *format, ...) __attribute__((format(printf, 1, 2), cold));

/* ---- inline ---- */

extern __thread struct gt_worker *gt__worker_here __attribute__((tls_model("initial-exec")));

/* Never cached by the compiler: a goroutine changes threads. */
static inline struct gt_worker *gt__worker(void)
{
#if defined(__x86_64__)
	struct gt_worker *m;

	__asm__ volatile("movq gt__worker_here@gottpoff(%%rip), %0\n\tmovq %%fs:(%0), %0" : "=r"(m) : : "memory");
	return m;
#else
	extern struct gt_worker *gt__worker_slow(void);
	return gt__worker_slow();
#endif
}

#ifndef GT_LOCKS_ELSEWHERE

#define GT_WORKER_LOCKS 24 /* where struct gt_worker counts the locks that are held */

static inline void gt__locks_add(uint32_t by)
{
	struct gt_worker *m = gt__worker();

	if (__builtin_expect(m != NULL, 1))
		*(uint32_t *)(void *)((char *)m + GT_WORKER_LOCKS) += by;
}

#define GT_SLEEPER_WORDS 64u
extern _Atomic uint32_t gt__sleepers[GT_SLEEPER_WORDS];
void gt__lock_slow(struct gt_lock *lock) __attribute__((noinline, cold));
void gt__unlock_slow(struct gt_lock *lock) __attribute__((noinline, cold));

static inline _Atomic uint32_t *gt__sleepers_on(const struct gt_lock *lock)
{
	return &gt__sleepers[(uintptr_t)lock / 64 % GT_SLEEPER_WORDS];
}

static inline void gt__lock(struct gt_lock *lock)
{
	uint32_t free = 0;

	gt__locks_add(1);
	if (__builtin_expect(!atomic_compare_exchange_strong_explicit(
				     &lock->state, &free, 1, memory_order_acquire, memory_order_relaxed),
		    0))
		gt__lock_slow(lock);
}

/* What it does, and why it may: lock.c. */
static inline void gt__unlock(struct gt_lock *lock)
{
	atomic_store_explicit(&lock->state, 0, memory_order_release);
	atomic_signal_fence(memory_order_seq_cst);
	if (__builtin_expect(atomic_load_explicit(gt__sleepers_on(lock), memory_order_relaxed) != 0, 0)) /* [free] */
		gt__unlock_slow(lock);
	gt__locks_add(UINT32_MAX);
}
#endif

/* Set while some P's slice is over; a hint, so that a checkpoint costs a load. */
extern _Atomic uint32_t gt__preempt_wanted;
void gt__checkpoint_slow(void) __attribute__((noinline, cold));

static inline void gt__checkpoint(void)
{
	if (__builtin_expect(atomic_load_explicit(&gt__preempt_wanted, memory_order_relaxed), 0))
		gt__checkpoint_slow();
}

#endif
