/*
 * prof.h - what the scheduler does for profiles: stacks by frame pointers, waits measured while somebody wants it.
 *
 * The profiles themselves (runtime/profile/) are linked only by programs that use them; they set what stands in gt__prof. Off,
 * a park and a wake cost one load each for it.
 *
 * Another thread may read the stack of a goroutine that does not run: [saved] context.sp is NULL from its first step on until
 * gt__switch has put all there is of it on its stack, and `runs` counts; who finds both as they were has read
 * one moment. What it reads meanwhile may be anything, so every hop is bounded by the goroutine's stack, which is always mapped.
 */
#ifndef GT_RUNTIME_PROF_H
#define GT_RUNTIME_PROF_H

#include "runtime/sched.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gt_worker;

#define GT_WALK_MAX 128u

enum gt_prof_event { GT_PROF_BLOCK, GT_PROF_MUTEX };

struct gt_prof_hooks {
	_Atomic int64_t block_rate; /* ns; 0: off */
	_Atomic int64_t mutex_rate; /* one of so many; 0: off */
	/* On the goroutine's stack, where it may not wait; set before a rate is. */
	void (*_Atomic event)(enum gt_prof_event event, int64_t ns);
	/* On each new M. */
	void (*_Atomic thread)(void);
};
extern struct gt_prof_hooks gt__prof;

/* Stacks are return addresses less one (base/frames.h), the innermost first. */

/* Of the caller of the calling function: of its goroutine, or of the scheduler's stack of an M. Elsewhere: one. */
size_t gt__walk_here(uintptr_t *pcs, size_t max) __attribute__((noinline));

/* From inside a signal handler: where the thread was. The first is the instruction itself. */
void gt__prof_interrupted(const void *ucontext, uintptr_t *pc, uintptr_t *frame, uintptr_t *sp);
size_t gt__walk_interrupted(uintptr_t pc, uintptr_t frame, uintptr_t sp, uintptr_t *pcs, size_t max);

/* Who runs on the stack that @sp lies in, or is stopped by the signal whose handler runs there; NULL: nobody. */
const struct gt_g *gt__prof_g(uintptr_t sp);

/* The stack of another goroutine, or the own one; false: it runs elsewhere just now, or ran meanwhile. */
bool gt__walk_g(const struct gt_g *g, uintptr_t *pcs, size_t max, size_t *depth);

/* The goroutine goes on: [saved]. */
static inline void gt__prof_runs(struct gt_g *g)
{
	g->context.sp = NULL;
	atomic_store_explicit(&g->runs, atomic_load_explicit(&g->runs, memory_order_relaxed) + 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
}

/* Once, at the start: tells libgtrace_malloc, when it is there, of our stacks. */
void gt__prof_init(void);

/* The rest of gt__park, with the time taken. */
void gt__prof_park(struct gt_worker *m, struct gt_g *g, enum gt_reason reason);

static inline void gt__prof_thread(void)
{
	void (*thread)(void) = atomic_load_explicit(&gt__prof.thread, memory_order_acquire);

	if (thread)
		thread();
}

#endif
