/*
 * slow.c - the hooks' rare paths in C: a new block for an M, a stack seen for the first time.
 *
 * Runs inside the traced program on a private stack, between two instructions of Go's runtime: no libc, no
 * global, no vector register, no system call, no unbounded loop. Linked with hooks.S into one position-free piece.
 */
#include "agent/blob/offsets.h"
#include "format/wire/event.h"
#include "libtrace/refill.h"
#include "libtrace/shm.h"
#include "libtrace/stack_table.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define SAME(value, other) _Static_assert((value) == (other), "offsets.h is out of step: " #value)

SAME(offsetof(struct gt_shm, m_limit), SHM_M_LIMIT);
SAME(offsetof(struct gt_shm, lost_no_m), SHM_LOST_NO_M);
SAME(offsetof(struct gt_shm, lost_big_g), SHM_LOST_BIG_G);
SAME(offsetof(struct gt_shm, lost_spill), SHM_LOST_SPILL);
SAME(offsetof(struct gt_shm, stacks_lost), SHM_STACKS_LOST);
SAME(offsetof(struct gt_m, pos), M_POS);
SAME(offsetof(struct gt_m, end), M_END);
SAME(offsetof(struct gt_m, done), M_DONE);
SAME(offsetof(struct gt_m, why), M_WHY);
SAME(offsetof(struct gt_m, tid), M_TID);
SAME(offsetof(struct gt_m, lost), M_LOST);
SAME(offsetof(struct gt_m, lost_nested), M_LOST_NESTED);
SAME(offsetof(struct gt_m, took), M_TOOK);
SAME(offsetof(struct gt_m, hints), M_HINTS);
SAME(sizeof(((struct gt_m *)0)->hints), HINTS * 8);
SAME(sizeof(struct gt_m), 1 << M_SHIFT);
SAME(GT_SIDE_BITS, SIDE_BITS);
SAME(offsetof(struct gt_shm, call_ticks_min), SHM_CALL_TICKS_MIN);
SAME(offsetof(struct gt_m, deadline), M_DEADLINE);
SAME(offsetof(struct gt_m, call), M_CALL);
SAME(offsetof(struct gt_m, call_ticks), M_CALL_TICKS);
SAME(offsetof(struct gt_m, pending), M_PENDING);
SAME(offsetof(struct gt_m, pending_g), M_PENDING_G);
SAME(offsetof(struct gt_m, object), M_OBJECT);
SAME(offsetof(struct gt_m, fork), M_FORK);
SAME(offsetof(struct gt_m, saved), M_SAVED);
SAME(sizeof(struct gt_stack_slot), 1 << STACK_SLOT_SHIFT);
SAME(offsetof(struct gt_stack_slot, hash), 0);
SAME(GT_SPILL_BYTES, SPILL_BYTES);
SAME(GT_STACK_PROBES_MAX, STACK_PROBES);
SAME(GT_REC_VOID, REC_VOID);
SAME(GT_REC_STATE, REC_STATE);
SAME(GT_REC_STATE2, REC_STATE2);
SAME(GT_REC_CREATE, REC_CREATE);
SAME(GT_REC_SLOT, REC_SLOT);
SAME(GT_REC_THREAD, REC_THREAD);
SAME(GT_REC_CORO, REC_CORO);
SAME((int)GT_REC_OBJECT, REC_OBJECT);
SAME((int)GT_REC_SYSCALL, REC_SYSCALL);
SAME((int)GT_REC_TIMER, REC_TIMER);
SAME((int)GT_REC_HINT, REC_HINT);
SAME((int)GT_REC_ENTER, REC_ENTER);
SAME((int)GT_REC_LEAVE, REC_LEAVE);
SAME((int)GT_REC_POLLED, REC_POLLED);
SAME((int)GT_REC_WOKEN, REC_WOKEN);
SAME((int)GT_REC_ALLOC, REC_ALLOC);
SAME(GT_ALLOC_G_BITS, ALLOC_G_BITS);
SAME(GT_ALLOC_STACK_BITS, ALLOC_STACK_BITS);
SAME(GT_ALLOC_SIZE_BITS, ALLOC_SIZE_BITS);
SAME(GT_ALLOC_TYPE_BITS, ALLOC_TYPE_BITS);
SAME(GT_ALLOC_TYPE_SHIFT, ALLOC_TYPE_SHIFT);
SAME((int)GT_SYSCALL_ENTER, CALL_ENTER);
SAME((int)GT_SYSCALL_EXIT, CALL_LEAVE);
SAME((int)GT_SYSCALL_LONG, CALL_LONG);
SAME((int)GT_TIMER_FIRE, TIMER_FIRE);
SAME((int)GT_TIMER_STOP, TIMER_STOP);
SAME((int)GT_TIMER_SET_AT, TIMER_SET_AT);
SAME((int)GT_OBJECT_CHAN, OBJECT_CHAN);
SAME((int)GT_OBJECT_SELECT, OBJECT_SELECT);
SAME((int)GT_OBJECT_MUTEX, OBJECT_MUTEX);
SAME((int)GT_OBJECT_RWMUTEX, OBJECT_RWMUTEX);
SAME((int)GT_OBJECT_COND, OBJECT_COND);
SAME((int)GT_OBJECT_WAITGROUP, OBJECT_WAITGROUP);
SAME((int)GT_OBJECT_SEMAPHORE, OBJECT_SEMAPHORE);
SAME((int)GT_OBJECT_FD_READ, OBJECT_FD_READ);
SAME((int)GT_OBJECT_FD_WRITE, OBJECT_FD_WRITE);
SAME((int)GT_OBJECT_SLEEP, OBJECT_SLEEP);
SAME((int)GT_CAUSE_TIMER, CAUSE_TIMER);
SAME((int)GT_CAUSE_NETPOLL, CAUSE_NETPOLL);
SAME((int)GT_CAUSE_DEADLINE, CAUSE_DEADLINE);
SAME((int)GT_CAUSE_GC, CAUSE_GC);
SAME((int)GT_SLOT_START, SLOT_START);
SAME((int)GT_SLOT_STOP, SLOT_STOP);
SAME((int)GT_SLOT_IDLE, SLOT_IDLE);
SAME((int)GT_THREAD_START, THREAD_START);
SAME((int)GT_THREAD_IDLE, THREAD_IDLE);
SAME((int)GT_THREAD_END, THREAD_END);

/* Called by hooks.S. */
int gt_slow_refill(struct gt_shm *shm, struct gt_m *m, uint32_t id, uint32_t bytes, uint32_t tid);
uint32_t gt_slow_stack(struct gt_shm *shm, uint64_t pc, uint64_t fp, uint64_t lo, uint64_t hi, uint64_t hash,
	uint64_t text, uint64_t text_size);

/* 1: the M may have room for @bytes now. 0: the record is lost, and counted. */
int gt_slow_refill(struct gt_shm *shm, struct gt_m *m, uint32_t id, uint32_t bytes, uint32_t tid)
{
	return gt__refill(shm, m, id, bytes, tid, gt__cpu_ticks) == GT_REFILL_READY;
}

struct bounds {
	uint64_t lo, hi; /* of the goroutine's stack */
	uint64_t text, text_size;
};

/* Walks as hooks.S does; the frames go to @frames, innermost first. How many. */
static uint32_t walk(const struct bounds *in, uint32_t depth, uint64_t pc, uint64_t fp, uint32_t *frames)
{
	uint32_t count = 0;

	if (depth > GT_STACK_FRAMES_MAX)
		depth = GT_STACK_FRAMES_MAX;
	if (fp < in->lo || fp >= in->hi)
		depth = 1;
	while (count < depth && pc - in->text < in->text_size) {
		uint64_t caller;

		frames[count++] = (uint32_t)(pc - in->text);
		if (count == depth || fp > in->hi - 16)
			break;
		pc = ((const uint64_t *)fp)[1];
		caller = ((const uint64_t *)fp)[0];
		if (caller <= fp && depth > count + 1)
			depth = count + 1; /* the outermost: its pc is the last */
		fp = caller;
	}
	return count;
}

/* The slot for a stack that the assembly did not find; 0 when there is no room. */
uint32_t gt_slow_stack(struct gt_shm *shm, uint64_t pc, uint64_t fp, uint64_t lo, uint64_t hi, uint64_t hash,
	uint64_t text, uint64_t text_size)
{
	struct bounds bounds = {lo, hi, text, text_size};
	uint32_t frames[GT_STACK_FRAMES_MAX];
	uint32_t depth = shm->stack_depth, count;

	if (hash & STACK_OF_ALLOC && depth > STACK_DEPTH_ALLOC)
		depth = STACK_DEPTH_ALLOC;
	count = walk(&bounds, depth, pc, fp, frames);

	return gt__stack_store(shm, hash, frames, count);
}
