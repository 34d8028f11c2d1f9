/*
 * hooks.h - for those who write a scheduler: tell each transition where it happens.
 *
 *   off    one load and one branch
 *   on     a record of 16 bytes in this thread's own block: about the time of reading the clock
 *
 * A hook takes no lock, allocates nothing, makes no system call but once at a thread's first record (gettid), and may be
 * called in a signal handler that interrupted a hook. A record that finds no room is dropped and counted.
 *
 * Rules
 *   - A transition is told on the thread that makes it, before another thread can act on it: run after the goroutine was taken
 *     off the queue, block before it can be found by a waker.
 *   - Each transition tells the old state: it must be the new state of the goroutine's record before.
 *   - Goroutine ids are 1 .. 2^40-1 and never used twice. P ids begin at 0.
 *   - C11 with GNU extensions. The library is linked with -lgtrace; a program that gtrace did not start runs with hooks off.
 */
#ifndef GTRACE_HOOKS_H
#define GTRACE_HOOKS_H

#include <gtrace/atomics.h>
#include <gtrace/shm.h>
#include <gtrace/states.h>
#include <gtrace/ticks.h>

#include <stdbool.h>
#include <stddef.h>

#define GT_API __attribute__((visibility("default")))

/* ---- the library's side; not for callers ---- */

extern GT_API const _Atomic uint32_t *gt__hook_gate; /* at the memory's word `enabled`, or at a zero */
extern GT_API uint8_t *gt__hook_blocks;              /* where the offsets in struct gt_m count from */
/* NULL: not joined, or the clock is not the processor's counter: every record takes the long way. */
extern GT_API __thread struct gt_m *gt__hook_m __attribute__((tls_model("initial-exec")));

/*
 * The long way: joins the thread, gets a block, writes the record. @at is the reservation that did not fit, or
 * GT__NOT_RESERVED. False: the record is lost, and counted. They do all of the rest, so that a hook's fast
 * path keeps nothing across a call: no register is saved there.
 */
#define GT__NOT_RESERVED UINT64_MAX
#define GT__SLOW         __attribute__((noinline, cold))
GT_API bool gt__hook_record1_slow(uint64_t at, uint64_t kind, uint64_t word1) GT__SLOW;
GT_API bool gt__hook_record2_slow(uint64_t at, uint64_t kind, uint64_t word1, uint64_t word2, uint64_t word3) GT__SLOW;
GT_API bool gt__hook_record3_slow(uint64_t at, uint64_t kind, const uint64_t words[5]) GT__SLOW;
GT_API void gt__hook_big_g(void) GT__SLOW;

#define GT__UNLIKELY(x) __builtin_expect(!!(x), 0)

/*
 * A trace that begins in the midst of a program's life must not get what a thread decided to tell in an earlier one. Each trace
 * has its number in the gate; a record that is meant for one trace carries the gate above its kind (0: for any), and
 * is made void when that has another value by the time the record is reserved. [turn] the record is
 * reserved, then the gate is loaded <> the gate is stored, membarrier, then the reservations are waited for.
 */
#define GT__KIND_IN(gate, kind) ((uint64_t)(gate) << 32 | (uint64_t)(kind))

/* The memory behind the gate is there before the gate opens, and a barrier on all CPUs lies between: TSan does not see that one. */
#ifdef __SANITIZE_THREAD__
#define GT__GATE_ORDER memory_order_acquire
#else
#define GT__GATE_ORDER memory_order_relaxed
#endif
static inline uint32_t gt__hook_gate_now(void)
{
	return atomic_load_explicit(__atomic_load_n(&gt__hook_gate, __ATOMIC_RELAXED), GT__GATE_ORDER);
}

#define GT_GATE_SETS 12 /* bits */

/* A trace of the process's own may change its sets while it runs. */
static inline bool gt__hook_same_trace(uint32_t gate, uint32_t now)
{
	return now == gate || (now >> GT_GATE_SETS && now >> GT_GATE_SETS == gate >> GT_GATE_SETS);
}

static inline uint64_t gt__hook_kind(uint64_t kind)
{
	uint32_t now;

	if (kind >> 32 && GT__UNLIKELY((now = gt__hook_gate_now()) != kind >> 32) &&
		!gt__hook_same_trace((uint32_t)(kind >> 32), now))
		return GT_REC_VOID; /* [turn] */
	return kind & 31;
}

static inline void gt__hook_store(uint64_t *cells, unsigned int word, uint64_t value)
{
	atomic_store_explicit((_Atomic uint64_t *)&cells[word], value, memory_order_relaxed);
}

static inline void gt__hook_commit(struct gt_m *m, uint64_t *cells, uint64_t word0, uint64_t bytes)
{
	atomic_store_explicit((_Atomic uint64_t *)cells, word0, memory_order_release); /* [commit] */
	gt__add_release(&m->done, bytes);                                              /* [done] */
}

static inline bool gt__hook_record1(uint64_t kind, uint64_t word1)
{
	struct gt_m *m = gt__hook_m;
	uint64_t *cells;
	uint64_t at;

	if (GT__UNLIKELY(!m))
		return gt__hook_record1_slow(GT__NOT_RESERVED, kind, word1);
	at = gt__xadd(&m->pos, GT_CELL_BYTES);
	if (GT__UNLIKELY(at + GT_CELL_BYTES > atomic_load_explicit(&m->end, memory_order_relaxed)))
		return gt__hook_record1_slow(at, kind, word1);
	cells = (uint64_t *)(void *)(gt__hook_blocks + at);
	gt__hook_store(cells, 1, word1);
	gt__hook_commit(m, cells, GT_WORD0(gt__cpu_ticks(), gt__hook_kind(kind), 1), GT_CELL_BYTES);
	return true;
}

static inline bool gt__hook_record2(uint64_t kind, uint64_t word1, uint64_t word2, uint64_t word3)
{
	struct gt_m *m = gt__hook_m;
	uint64_t *cells;
	uint64_t at;

	if (GT__UNLIKELY(!m))
		return gt__hook_record2_slow(GT__NOT_RESERVED, kind, word1, word2, word3);
	at = gt__xadd(&m->pos, 2 * GT_CELL_BYTES);
	if (GT__UNLIKELY(at + 2 * GT_CELL_BYTES > atomic_load_explicit(&m->end, memory_order_relaxed)))
		return gt__hook_record2_slow(at, kind, word1, word2, word3);
	cells = (uint64_t *)(void *)(gt__hook_blocks + at);
	gt__hook_store(cells, 0, 2 << 1); /* so that a reader can step over a record in flight */
	gt__hook_store(cells, 1, word1);
	gt__hook_store(cells, 2, word2);
	gt__hook_store(cells, 3, word3);
	gt__hook_commit(m, cells, GT_WORD0(gt__cpu_ticks(), gt__hook_kind(kind), 2), 2 * GT_CELL_BYTES);
	return true;
}

static inline bool gt__hook_record3(uint64_t kind, const uint64_t words[5])
{
	struct gt_m *m = gt__hook_m;
	uint64_t *cells;
	uint64_t at;

	if (GT__UNLIKELY(!m))
		return gt__hook_record3_slow(GT__NOT_RESERVED, kind, words);
	at = gt__xadd(&m->pos, 3 * GT_CELL_BYTES);
	if (GT__UNLIKELY(at + 3 * GT_CELL_BYTES > atomic_load_explicit(&m->end, memory_order_relaxed)))
		return gt__hook_record3_slow(at, kind, words);
	cells = (uint64_t *)(void *)(gt__hook_blocks + at);
	gt__hook_store(cells, 0, 3 << 1);
	for (unsigned int i = 0; i < 5; i++)
		gt__hook_store(cells, i + 1, words[i]);
	gt__hook_commit(m, cells, GT_WORD0(gt__cpu_ticks(), gt__hook_kind(kind), 3), 3 * GT_CELL_BYTES);
	return true;
}

/* ---- for callers ---- */

/* Are hooks on? For work that is only needed for a record. */
static inline bool gt_hooks_on(void)
{
	return GT__UNLIKELY(gt__hook_gate_now() != 0);
}

/* The gate: which sets of events are on (enum gt_set), and above them the number of the trace that the process writes of itself
 * (0: gtrace's own). 0 when hooks are off: still one load, and one branch on what is asked. */
static inline uint32_t gt_hook_sets(void)
{
	return gt__hook_gate_now();
}

static inline bool gt_hooks_on_for(enum gt_set set)
{
	return GT__UNLIKELY(gt_hook_sets() & (uint32_t)set);
}

/* Any change of state. @arg: P id + 1 when @new_ is running, else enum gt_reason. */
static inline void gt__hook_state_in(uint32_t gate, uint64_t g, enum gt_state old, enum gt_state new_, unsigned int arg)
{
	if (GT__UNLIKELY(g > GT_G_MASK)) {
		gt__hook_big_g();
		return;
	}
	gt__hook_record1(GT__KIND_IN(gate, GT_REC_STATE), GT_STATE_WORD(g, old, new_, arg));
}

static inline void gt_hook_state(uint64_t g, enum gt_state old, enum gt_state new_, unsigned int arg)
{
	if (gt_hooks_on())
		gt__hook_state_in(0, g, old, new_, arg);
}

/* The same, and who made it happen: @by, the goroutine that acted (0: the scheduler). Twice the size. */
static inline void gt__hook_state_by_in(
	uint32_t gate, uint64_t g, enum gt_state old, enum gt_state new_, unsigned int arg, uint64_t by)
{
	if (GT__UNLIKELY(g > GT_G_MASK || by > GT_G_MASK)) {
		gt__hook_big_g();
		return;
	}
	gt__hook_record2(GT__KIND_IN(gate, GT_REC_STATE2), GT_STATE_WORD(g, old, new_, arg), 0, by);
}

static inline void gt_hook_state_by(uint64_t g, enum gt_state old, enum gt_state new_, unsigned int arg, uint64_t by)
{
	if (gt_hooks_on())
		gt__hook_state_by_in(0, g, old, new_, arg, by);
}

/* @g was created in state @new_ by @parent (0: none); it will run @start; the statement stands at @site (a return address). */
static inline void gt__hook_create_in(
	uint32_t gate, uint64_t g, enum gt_state new_, uint64_t parent, const void *start, const void *site)
{
	if (GT__UNLIKELY(g > GT_G_MASK || parent > GT_G_MASK)) {
		gt__hook_big_g();
		return;
	}
	gt__hook_record3(GT__KIND_IN(gate, GT_REC_CREATE),
		(const uint64_t[5]){GT_STATE_WORD(g, GT_STATE_NONE, new_, 0), (uint64_t)(uintptr_t)start,
			(uint64_t)(uintptr_t)site, parent, 0});
}

static inline void gt_hook_create(uint64_t g, enum gt_state new_, uint64_t parent, const void *start, const void *site)
{
	if (gt_hooks_on())
		gt__hook_create_in(0, g, new_, parent, start, site);
}

/* The transitions by name. */
static inline void gt_hook_run(uint64_t g, enum gt_state old, uint32_t p)
{
	gt_hook_state(g, old, GT_STATE_RUNNING, p + 1);
}

static inline void gt_hook_block(uint64_t g, enum gt_reason reason)
{
	gt_hook_state(g, GT_STATE_RUNNING, GT_STATE_WAITING, reason);
}

/*
 * The same, and for what: @object of GT_OBJECT_WORD (0: not told), @holder: the goroutine that had last locked it (0: not
 * known), @stack: of gt_hook_stack.
 */
static inline void gt__hook_block_on_in(
	uint32_t gate, uint64_t g, enum gt_reason reason, uint64_t object, uint64_t holder, uint32_t stack)
{
	if (GT__UNLIKELY(g > GT_G_MASK)) {
		gt__hook_big_g();
		return;
	}
	if (!(gate & GT_SET_OBJECTS) || holder > GT_G_MASK)
		holder = 0;
	if (!(gate & GT_SET_OBJECTS))
		object = 0;
	if (!object && !stack)
		gt__hook_record1(
			GT__KIND_IN(gate, GT_REC_STATE), GT_STATE_WORD(g, GT_STATE_RUNNING, GT_STATE_WAITING, reason));
	else
		gt__hook_record2(GT__KIND_IN(gate, GT_REC_STATE2),
			GT_STATE_WORD(g, GT_STATE_RUNNING, GT_STATE_WAITING, reason), stack | holder << 32,
			object | holder >> 32 << 56);
}

static inline void gt_hook_block_on(uint64_t g, enum gt_reason reason, uint64_t object, uint64_t holder, uint32_t stack)
{
	uint32_t gate = gt_hook_sets();

	if (GT__UNLIKELY(gate))
		gt__hook_block_on_in(gate, g, reason, object, holder, stack);
}

/* One more that @g is about to wait for: before gt_hook_block_on, on the same thread, for a wait on many. */
static inline void gt_hook_object(uint64_t g, uint64_t object, uint64_t holder)
{
	if (gt_hooks_on_for(GT_SET_OBJECTS) && g <= GT_G_MASK)
		gt__hook_record2(GT_REC_OBJECT, g, holder & GT_G_MASK, object);
}

static inline void gt_hook_yield(uint64_t g, enum gt_reason reason)
{
	gt_hook_state(g, GT_STATE_RUNNING, GT_STATE_RUNNABLE, reason);
}

static inline void gt_hook_ready(uint64_t g, enum gt_state old, uint64_t by)
{
	gt_hook_state_by(g, old, GT_STATE_RUNNABLE, 0, by);
}

/* The same, of one that waited: @cause when no goroutine did it (@by = 0), @detail as causes.def says. */
static inline void gt__hook_wake_in(uint32_t gate, uint64_t g, uint64_t by, enum gt_cause cause, uint32_t detail)
{
	if (GT__UNLIKELY(g > GT_G_MASK || by > GT_G_MASK)) {
		gt__hook_big_g();
		return;
	}
	if (!(gate & GT_SET_OBJECTS))
		cause = GT_CAUSE_NONE;
	gt__hook_record2(GT__KIND_IN(gate, GT_REC_STATE2), GT_STATE_WORD(g, GT_STATE_WAITING, GT_STATE_RUNNABLE, cause),
		cause ? (uint64_t)detail << 32 : 0, by);
}

static inline void gt_hook_wake(uint64_t g, uint64_t by, enum gt_cause cause, uint32_t detail)
{
	uint32_t gate = gt_hook_sets();

	if (GT__UNLIKELY(gate))
		gt__hook_wake_in(gate, g, by, cause, detail);
}

static inline void gt_hook_end(uint64_t g)
{
	gt_hook_state(g, GT_STATE_RUNNING, GT_STATE_DEAD, 0);
}

static inline void gt_hook_syscall(uint64_t g)
{
	gt_hook_state(g, GT_STATE_RUNNING, GT_STATE_SYSCALL, 0);
}

static inline void gt__hook_syscall_stack_in(uint32_t gate, uint64_t g, uint32_t stack)
{
	if (!stack || GT__UNLIKELY(g > GT_G_MASK))
		gt__hook_state_in(gate, g, GT_STATE_RUNNING, GT_STATE_SYSCALL, 0);
	else
		gt__hook_record2(GT__KIND_IN(gate, GT_REC_STATE2),
			GT_STATE_WORD(g, GT_STATE_RUNNING, GT_STATE_SYSCALL, 0), stack, 0);
}

static inline void gt_hook_syscall_stack(uint64_t g, uint32_t stack)
{
	uint32_t gate = gt_hook_sets();

	if (GT__UNLIKELY(gate))
		gt__hook_syscall_stack_in(gate, g, stack);
}

/* @new_: running, or runnable when there was no P for it. */
static inline void gt_hook_sysexit(uint64_t g, enum gt_state new_)
{
	gt_hook_state(g, GT_STATE_SYSCALL, new_, new_ == GT_STATE_RUNNABLE ? GT_REASON_SYSCALL_NO_P : 0);
}

/* This thread takes p, gives it up, or puts it on the idle list. */
static inline void gt_hook_slot(enum gt_slot_op op, uint32_t p)
{
	if (gt_hooks_on())
		gt__hook_record1(GT_REC_SLOT, (uint64_t)op | (uint64_t)(p + 1) << 8);
}

/* This thread starts to run goroutines, goes to sleep, or ends. */
GT_API void gt__hook_thread(enum gt_thread_op op);
static inline void gt_hook_thread(enum gt_thread_op op)
{
	if (gt_hooks_on())
		gt__hook_thread(op);
}

/*
 * Traces that begin while goroutines live (gt_start in a running program). For a scheduler that can tell what there is; others
 * are traced from what happens next.
 */
struct gt_hook_alive {
	uint64_t g, parent;
	const void *start;
	uint32_t m; /* running or in a system call: its M's id + 1, from gt_hook_m */
	uint32_t p; /* running: P id + 1 */
	uint8_t state, reason;
	uint32_t stack; /* of gt_hook_stack: where it stands, and has stood since the trace's begin; 0: not known */
};
struct gt_hook_world {
	/*
	 * Goroutines that have told nothing in the trace of @gate, and now never tell what they are told to be here: those with an M first.
	 * Called by the collecting thread, while all run on, with the same @at (zeroed at first) until it gives 0.
	 */
	size_t (*alive)(uint32_t gate, uint64_t at[2], struct gt_hook_alive *out, size_t room);
	/* Around what blocks the calling thread for some ms. */
	void (*block_begin)(void);
	void (*block_end)(void);
	/*
	 * At any time: goroutines as they stand, while all run on; called as `alive` is. First those that wait (m 0), then of each M that has a
	 * goroutine this one: running or in a system call, and its last transition is told; else in state NONE, and then nothing said of it
	 * before counts. Those that are runnable are left out. SIZE_MAX: more than GT_HOOK_STANDING_MAX lived at once: it would take too long.
	 */
	size_t (*standing)(uint64_t at[2], struct gt_hook_alive *out, size_t room);
};
#define GT_HOOK_STANDING_MAX 10000u
GT_API void gt_hook_world(const struct gt_hook_world *world);

/*
 * For a thread of the scheduler that is no M and looks around now and then: whether a gtrace wants to attach (gtrace attach PID), which
 * is then answered by a thread of the library. @asleep: not 0 while the caller sleeps on it (a private futex): gtrace clears it to be
 * heard. Called before each such sleep too, after @asleep was set; true: something is wanted, look again soon.
 */
GT_API bool gt_hook_watch(_Atomic uint32_t *asleep);

/* Where the calling thread's M id + 1 is to be kept, from its first record on (0: it has none yet); and that id, made when there is
 * none, for the thread @tid whose place @at is. 0: there are too many Ms. */
GT_API void gt_hook_m_at(_Atomic uint32_t *at);
GT_API uint32_t gt_hook_m(_Atomic uint32_t *at, uint32_t tid);

/* A goroutine that was there before the trace of @gate, and says only now, in @state, what it is. */
static inline void gt_hook_alive(uint32_t gate, const struct gt_hook_alive *who)
{
	if (GT__UNLIKELY(who->g > GT_G_MASK || who->parent > GT_G_MASK)) {
		gt__hook_big_g();
		return;
	}
	gt__hook_record3(GT__KIND_IN(gate, GT_REC_ALIVE),
		(const uint64_t[5]){GT_STATE_WORD(who->g, GT_STATE_NONE, who->state, who->reason),
			(uint64_t)(uintptr_t)who->start, 0, who->parent, 0});
}

/* ---- stacks ---- */

/*
 * The id of the stack whose innermost return address is @pc and whose frame pointer is @frame, as deep as was asked for; 0: stacks
 * are off, or there is no room. Frame pointers must lie between @low and @high (of the goroutine's stack) and grow; frames
 * outside of the program's own file are left out. About 2 ns a frame once the stack has been seen.
 */
GT_API uint32_t gt_hook_stack(const void *pc, const void *frame, const void *low, const void *high);

/* ---- system calls, the heap, timers; @g: the goroutine, 0 for none ---- */

/* Around the call itself, on one thread; between gt_hook_syscall and gt_hook_sysexit when the P is given up meanwhile. */
static inline void gt_hook_syscall_enter(uint64_t g, unsigned int number, uint64_t arg0, uint64_t arg2)
{
	if (gt_hooks_on_for(GT_SET_SYSCALLS))
		gt__hook_record2(
			GT_REC_SYSCALL, GT_SYSCALL_ENTER | (g & GT_G_MASK) << 8 | (uint64_t)number << 48, arg0, arg2);
}

/* @result as the kernel gives it: -errno when it failed. */
static inline void gt_hook_syscall_exit(uint64_t g, unsigned int number, int64_t result)
{
	if (gt_hooks_on_for(GT_SET_SYSCALLS))
		gt__hook_record2(GT_REC_SYSCALL, GT_SYSCALL_EXIT | (g & GT_G_MASK) << 8 | (uint64_t)number << 48,
			(uint64_t)result, 0);
}

/*
 * For a malloc interposer. It decides what is told: every allocation with the set alloc, a sample of them with heap alone. @weight:
 * the bytes for which this one stands (@bytes when every one is told). @stack: of gt_hook_stack, or 0.
 */
static inline void gt_hook_alloc(uint64_t g, const void *address, uint64_t bytes, uint64_t weight, uint32_t stack)
{
	if (gt_hooks_on_for((enum gt_set)(GT_SET_HEAP | GT_SET_ALLOC)))
		gt__hook_record3(GT_REC_HEAP, (const uint64_t[5]){GT_HEAP_ALLOC | (g & GT_G_MASK) << 8,
						      (uint64_t)(uintptr_t)address, bytes, weight, stack});
}

static inline void gt_hook_free(uint64_t g, const void *address, uint64_t bytes)
{
	if (gt_hooks_on_for((enum gt_set)(GT_SET_HEAP | GT_SET_ALLOC)))
		gt__hook_record2(GT_REC_HEAP, GT_HEAP_FREE | (g & GT_G_MASK) << 8, (uint64_t)(uintptr_t)address, bytes);
}

/* All of the heap now: bytes and pieces that are allocated. */
static inline void gt_hook_heap(uint64_t live_bytes, uint64_t pieces)
{
	if (gt_hooks_on_for((enum gt_set)(GT_SET_HEAP | GT_SET_ALLOC)))
		gt__hook_record2(GT_REC_HEAP, GT_HEAP_LIVE, live_bytes, pieces);
}

/* @ns: set: until it fires; fire: since its time; stop: 0. */
static inline void gt_hook_timer(enum gt_timer_op op, uint64_t g, const void *timer, uint64_t ns)
{
	if (gt_hooks_on_for(GT_SET_TIMERS))
		gt__hook_record2(GT_REC_TIMER, (uint64_t)op | (g & GT_G_MASK) << 8, (uint64_t)(uintptr_t)timer, ns);
}

/* Which goroutine runs on the calling thread, as gt_hook_current's function tells; 0 for none. */
GT_API uint64_t gt_hook_g(void);

/* Tells the marks of gtrace.h which goroutine runs on the calling thread (0: none). Once, at the runtime's start. */
GT_API void gt_hook_current(uint64_t (*current)(void));

#endif
