/*
 * marks.c - the marks of a Go program: runtime/trace's tasks, regions and messages, from the arguments of its functions.
 *
 * Runs as slow.c does. The texts and contexts are the goroutine's own, whose function is just being entered: they live as long as this
 * runs, and nothing writes to them.
 */
#include "agent/blob/offsets.h"
#include "libtrace/refill.h"
#include "libtrace/shm.h"
#include "libtrace/string_table.h"

#include <stddef.h>
#include <stdint.h>

#define SAME(value, other) _Static_assert((value) == (other), "offsets.h is out of step: " #value)

SAME(offsetof(struct gt_shm, gc_cycle), SHM_GC_CYCLE);
SAME(offsetof(struct gt_shm, context_kind), SHM_CONTEXT_KIND);
SAME(offsetof(struct gt_shm, context_key), SHM_CONTEXT_KEY);
SAME(offsetof(struct gt_m, step), M_STEP);
SAME(offsetof(struct gt_m, swept), M_SWEPT);
SAME(offsetof(struct gt_m, reclaimed), M_RECLAIMED);
SAME(offsetof(struct gt_m, alloc_left), M_ALLOC_LEFT);
SAME(offsetof(struct gt_m, alloc_step), M_ALLOC_STEP);
SAME(GT_REC_HEAP, REC_HEAP);
SAME(GT_REC_GC, REC_GC);
SAME((int)GT_HEAP_ALLOC, HEAP_ALLOC);
SAME((int)GT_HEAP_LIVE, HEAP_LIVE);
SAME((int)GT_GC_BEGIN, GC_BEGIN);
SAME((int)GT_GC_END, GC_END);
SAME((int)GT_GC_STW_BEGIN, GC_STW_BEGIN);
SAME((int)GT_GC_STW_STOPPED, GC_STW_STOPPED);
SAME((int)GT_GC_STW_END, GC_STW_END);
SAME((int)GT_GC_ASSIST_BEGIN, GC_ASSIST_BEGIN);
SAME((int)GT_GC_ASSIST_END, GC_ASSIST_END);
SAME((int)GT_GC_SWEEP_BEGIN, GC_SWEEP_BEGIN);
SAME((int)GT_GC_SWEEP_END, GC_SWEEP_END);
SAME((int)GT_GC_LABEL, GC_LABEL);
SAME((int)GT_GC_PROCS, GC_PROCS);
SAME((int)GT_GC_STACKS, GC_STACKS);
SAME((int)GT_GC_GOAL, GC_GOAL);
SAME((int)GT_MARK_TASK_BEGIN, MARK_TASK_BEGIN);
SAME((int)GT_MARK_TASK_END, MARK_TASK_END);
SAME((int)GT_MARK_REGION_BEGIN, MARK_REGION);
SAME((int)GT_MARK_LOG, MARK_LOG);

#define CONTEXT_DEPTH_MAX 32

/* As thunk_mark pushed them. */
struct marked {
	uint64_t op, op_again, back, rsi, rdi, rcx, rbx, rax;
};

struct text {
	const char *at;
	uint64_t size;
};

/* An interface of Go. */
struct context {
	uint64_t kind;
	const uint64_t *value;
};

/* Called by hooks.S. */
void gt_slow_mark(
	struct gt_shm *shm, const struct marked *args, uint64_t g_address, uint64_t g, uint64_t m_id, uint32_t tid);

/*
 * The task that a context holds. Of its kinds only one is known, by NewTask's result: what context.WithValue makes,
 *     { parent: interface; key: interface; value: interface }
 * Another that has the parent as its first field (WithCancel's, WithTimeout's) is passed over when that one is of the known kind.
 */
static uint64_t task_of(struct gt_shm *shm, uint64_t kind, uint64_t value)
{
	uint64_t known = atomic_load_explicit(&shm->context_kind, memory_order_relaxed);
	uint64_t key = atomic_load_explicit(&shm->context_key, memory_order_relaxed);
	struct context at = {kind, (const uint64_t *)value};

	for (int i = 0; known && at.value && i < CONTEXT_DEPTH_MAX; i++) {
		if (at.kind == known) {
			if (at.value[2] == key)
				return at.value[5] ? *(const uint64_t *)at.value[5] : 0;
		} else if (((uint64_t)at.value & 4095) > 4096 - 16 || at.value[0] != known) {
			return 0; /* two words may be read of whatever it is, but not beyond its page */
		}
		at = (struct context){at.value[0], (const uint64_t *)at.value[1]};
	}
	return 0;
}

/* Room in the M's block; NULL: the record is lost, and counted. */
static uint64_t *reserve(struct gt_shm *shm, struct gt_m *m, uint32_t m_id, uint64_t bytes, uint32_t tid)
{
	uint8_t *blocks = (uint8_t *)shm + shm->blocks_offset;

	for (int tries = 0; tries < 3; tries++) {
		uint64_t at;

		if (tries && gt__refill(shm, m, m_id, (uint32_t)bytes, tid, gt__cpu_ticks) != GT_REFILL_READY)
			return NULL;
		at = gt__xadd(&m->pos, bytes);
		if (at + bytes <= atomic_load_explicit(&m->end, memory_order_relaxed) || !gt__unreserve(m, at, bytes))
			return (uint64_t *)(void *)(blocks + at);
	}
	gt__count_lost(m);
	return NULL;
}

static void record(struct gt_shm *shm, struct gt_m *m, uint32_t m_id, uint32_t tid, const uint64_t words[5])
{
	const uint64_t bytes = 3 * GT_CELL_BYTES;
	uint64_t *to = reserve(shm, m, m_id, bytes, tid);

	if (!to)
		return;
	__atomic_store_n(&to[0], 3 << 1, __ATOMIC_RELAXED);
	for (int i = 0; i < 5; i++)
		__atomic_store_n(&to[i + 1], words[i], __ATOMIC_RELAXED);
	__atomic_store_n(&to[0], GT_WORD0(gt__cpu_ticks(), GT_REC_MARK, 3), __ATOMIC_RELEASE); /* [commit] */
	gt__add_release(&m->done, bytes);                                                      /* [done] */
}

void gt_slow_mark(
	struct gt_shm *shm, const struct marked *args, uint64_t g_address, uint64_t g, uint64_t m_id, uint32_t tid)
{
	struct text first = {(const char *)args->rcx, args->rdi}, second = {NULL, 0};
	uint64_t op = args->op & 255, task = args->rax, parent = 0;
	struct gt_m *m;

	if (m_id >= atomic_load_explicit(&shm->m_limit, memory_order_relaxed)) {
		atomic_fetch_add_explicit(&shm->lost_no_m, 1, memory_order_relaxed);
		return;
	}
	if (g > GT_G_MASK) {
		atomic_fetch_add_explicit(&shm->lost_big_g, 1, memory_order_relaxed);
		return;
	}
	m = (struct gt_m *)(void *)((uint8_t *)shm + shm->ms_offset) + m_id;
	switch (op) {
	case MARK_TASK_BEGIN:
		parent = args->rbx;
		break;
	case MARK_TASK_END:
		first.size = 0;
		break;
	case MARK_REGION:
		if (args->rbx) {
			op = GT_MARK_REGION_END;
		} else if (!(args->op & MARK_SURE) && m->step == (g_address | STEP_REGION)) {
			m->step = 0; /* StartRegion's, told already: unless it changed its M on the way */
			return;
		}
		break;
	case MARK_START_REGION:
		task = task_of(shm, args->rax, args->rbx);
		m->step = g_address | STEP_REGION;
		op = GT_MARK_REGION_BEGIN;
		break;
	case MARK_LOG:
		first = (struct text){(const char *)args->rbx, args->rcx};
		second = (struct text){(const char *)args->rdi, args->rsi};
		break;
	case MARK_LOGF:
		task = task_of(shm, args->rax, args->rbx);
		second = (struct text){(const char *)args->rsi, args->op >> 8};
		op = GT_MARK_LOG;
		break;
	default:
		return;
	}
	record(shm, m, (uint32_t)m_id, tid,
		(const uint64_t[5]){op | g << 8, task, parent, gt__string_store(shm, first.at, first.size),
			gt__string_store(shm, second.at, second.size)});
}
