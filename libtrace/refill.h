/*
 * refill.h - the slow path of a hook: this M's block is full, or it has none.
 *
 *   reserve: p = xadd(m.pos, size)
 *            if p + size > m.end: unless gt__unreserve says that the place is ours after all: gt__refill, then once more
 *
 * Freestanding, as exchange.h. A signal's hook may run at every instruction of this thread; it may find the M in
 * the middle of this function. Therefore:
 *
 * Invariants
 *   1  Nobody seals while a reservation is open (done != pos): its writer would store into a block that belongs to
 *      another M by then. The nested record is dropped and counted.
 *   2  busy is set first and cleared last: a nested hook that gets here drops.
 *   3  end is cleared before anything is changed and stored last: a nested hook gets here and drops.
 *   4  Whoever moves own from owned to busy (this thread) or stolen (a thief) has the block, the other has none.
 *      own's version makes a thief's old value useless.
 *   5  A reservation is taken back only while it is the last one. A signal's record may have found a place behind it before a
 *      thief cleared end: then there is room for it as well, and the thief will see done != pos. (Without thieves it
 *      cannot happen: what does not fit leaves no room for what comes behind it.)
 *   6  used is stored before the put, the slot's CAS to taken comes before id = 0, that before the first new byte.
 *
 * Cells are not cleared. A record is valid when its word 0 is committed and its time is not before t_open, which
 * is read when the block was taken. What lies below done and is not valid is a record in flight.
 */
#ifndef GT_LIBTRACE_REFILL_H
#define GT_LIBTRACE_REFILL_H

#include "base/ticks.h"
#include "libtrace/atomics.h"
#include "libtrace/exchange.h"

enum gt_refill {
	GT_REFILL_READY = 0, /* there is room for @bytes: reserve once more */
	GT_REFILL_LOST = -1, /* counted; the caller drops its record */
};

/* Between two accesses of one thread whose order a signal's hook relies on. */
#define GT__SIGNAL_ORDER() atomic_signal_fence(memory_order_seq_cst)

/* ThreadSanitizer knows no fences, and x86 needs no instruction for these. */
#if defined(__SANITIZE_THREAD__)
#define GT__FENCE(order) __asm__ volatile("" ::: "memory")
#else
#define GT__FENCE(order) atomic_thread_fence(order)
#endif

static inline uint64_t gt__block_begin(uint32_t block)
{
	return (uint64_t)block * GT_BLOCK_BYTES + GT_BLOCK_HEADER_BYTES;
}

static inline uint64_t gt__block_limit(uint32_t block)
{
	return ((uint64_t)block + 1) * GT_BLOCK_BYTES;
}

static inline uint64_t gt__m_lost(const struct gt_m *m)
{
	return atomic_load_explicit(&m->lost, memory_order_relaxed) +
	       atomic_load_explicit(&m->lost_nested, memory_order_relaxed);
}

/* The first records' clocks may be read a little before t_open's (out of order): a barrier would wait for the new page, at a tenth
 * of the slow path's cost a record. Nothing in the block is older than this before it was taken. */
#define GT_T_OPEN_SLACK 256

/* Makes @block this M's open block. The caller holds it; end is 0. */
static inline void gt__open_block(
	const struct gt_exchange *exchange, struct gt_m *m, uint32_t m_id, uint32_t block, uint64_t (*clock)(void))
{
	struct gt_block *header = &exchange->blocks[block];
	uint64_t seq = atomic_load_explicit(&m->seq, memory_order_relaxed) + 1;
	uint64_t own = atomic_load_explicit(&m->own, memory_order_relaxed);
	uint64_t ticks;

	atomic_store_explicit(&header->id, 0, memory_order_relaxed);
	GT__FENCE(memory_order_release); /* [seize] */
	ticks = clock() - GT_T_OPEN_SLACK;
	atomic_store_explicit(&header->t_open, ticks, memory_order_relaxed);
	atomic_store_explicit(&header->lost, gt__m_lost(m), memory_order_relaxed);
	atomic_store_explicit(&header->used, 0, memory_order_relaxed);
	if (seq == 1)
		atomic_store_explicit(&m->t_birth, ticks, memory_order_relaxed);
	atomic_store_explicit(&m->seq, seq, memory_order_relaxed);
	GT_POINT();
	atomic_store_explicit(&header->id, GT_BLOCK_ID(m_id, seq), memory_order_release);
	GT_POINT();
	atomic_store_explicit(&m->pos, gt__block_begin(block), memory_order_relaxed);
	GT_POINT();
	atomic_store_explicit(&m->done, gt__block_begin(block), memory_order_release);
	GT_POINT();
	atomic_store_explicit(
		&m->own, GT_OWN(block, GT_OWN_VERSION(own) + 1, GT_OWN_OWNED), memory_order_release); /* [own] */
	GT__SIGNAL_ORDER();
	GT_POINT();
	atomic_store_explicit(&m->end, gt__block_limit(block), memory_order_release);
}

/* Gives a block that stays the M's own back to its hooks. */
static inline void gt__reopen(struct gt_m *m, uint32_t block)
{
	uint64_t own = atomic_load_explicit(&m->own, memory_order_relaxed);

	GT_POINT();
	atomic_store_explicit(&m->own, GT_OWN(block, GT_OWN_VERSION(own) + 1, GT_OWN_OWNED), memory_order_release);
	GT__SIGNAL_ORDER();
	GT_POINT();
	atomic_store_explicit(&m->end, gt__block_limit(block), memory_order_release);
}

/* @at + @bytes was beyond the end. True: taken back. False: the reservation holds (invariant 5). */
static inline bool gt__unreserve(struct gt_m *m, uint64_t at, uint64_t bytes)
{
	GT_POINT();
	if (atomic_load_explicit(&m->pos, memory_order_relaxed) != at + bytes)
		return false;
	GT_POINT();
	gt__xadd(&m->pos, -bytes);
	return true;
}

static inline int gt__count_lost(struct gt_m *m)
{
	atomic_fetch_add_explicit(&m->lost, 1, memory_order_relaxed);
	return GT_REFILL_LOST;
}

/*
 * An M without a block looks for one. It is refused while fewer than a quarter of the blocks are in the queues: so many
 * threads hold an open one that a window would hold nothing else.
 */
static inline uint32_t gt__take_first(const struct gt_exchange *exchange, bool flight)
{
	uint32_t queued = gt_queue_length(&exchange->sealed) + gt_queue_length(&exchange->free);
	uint32_t aside = atomic_load_explicit(&exchange->shm->aside, memory_order_relaxed);
	uint32_t block;

	if (queued < (exchange->block_count - aside) / 4 || aside > exchange->block_count)
		return GT_NO_BLOCK;
	block = gt_queue_take(&exchange->free);
	if (block == GT_NO_BLOCK && flight)
		block = gt_queue_take(&exchange->sealed);
	return block;
}

/* Moves own from owned to busy. GT_NO_BLOCK: there is none, or a thief was faster. */
static inline uint32_t gt__hold_own(const struct gt_exchange *exchange, struct gt_m *m)
{
	uint64_t own;

	GT_POINT();
	own = atomic_load_explicit(&m->own, memory_order_acquire);
	if (GT_OWN_STATE(own) != GT_OWN_OWNED || GT_OWN_BLOCK(own) >= exchange->block_count)
		return GT_NO_BLOCK;
	GT_POINT();
	if (!atomic_compare_exchange_strong_explicit(&m->own, &own,
		    GT_OWN(GT_OWN_BLOCK(own), GT_OWN_VERSION(own), GT_OWN_BUSY), memory_order_acq_rel,
		    memory_order_acquire))
		return GT_NO_BLOCK;
	return GT_OWN_BLOCK(own);
}

/* The block is full: seal it and get another. */
static inline uint32_t gt__exchange_full(const struct gt_exchange *exchange, uint32_t full, uint64_t used, bool flight)
{
	struct gt_block *header = &exchange->blocks[full];
	uint32_t block = gt_queue_take(&exchange->free);

	if (block == GT_NO_BLOCK && !flight)
		return full;
	atomic_store_explicit(&header->used, used, memory_order_relaxed);
	if (block == GT_NO_BLOCK)
		return gt_queue_swap(exchange, full);
	gt_queue_put(exchange, &exchange->sealed, full);
	return block;
}

static inline int gt__refill_busy(
	const struct gt_exchange *exchange, struct gt_m *m, uint32_t m_id, uint32_t bytes, uint64_t (*clock)(void))
{
	bool flight = atomic_load_explicit(&exchange->shm->mode, memory_order_relaxed) == GT_MODE_FLIGHT;
	uint64_t pos = atomic_load_explicit(&m->pos, memory_order_relaxed);
	uint64_t end = atomic_load_explicit(&m->end, memory_order_relaxed);
	uint32_t full, block;

	if (atomic_load_explicit(&m->done, memory_order_relaxed) != pos) {
		atomic_fetch_add_explicit(&m->lost_nested, 1, memory_order_relaxed);
		return GT_REFILL_LOST;
	}
	if (end != 0 && pos + bytes <= end)
		return GT_REFILL_READY; /* a signal's hook was here since we looked */
	GT_POINT();
	if (end != 0 && !flight && gt_queue_length(&exchange->free) == 0)
		return gt__count_lost(m); /* the usual drop touches nothing else */
	atomic_store_explicit(&m->end, 0, memory_order_relaxed);
	GT__SIGNAL_ORDER();
	GT_POINT();
	pos = atomic_load_explicit(&m->pos, memory_order_relaxed);

	full = gt__hold_own(exchange, m);
	if (full == GT_NO_BLOCK) {
		block = gt__take_first(exchange, flight);
	} else if (pos + bytes <= gt__block_limit(full)) {
		gt__reopen(m, full); /* a thief asked for it and did not come */
		return GT_REFILL_READY;
	} else {
		block = gt__exchange_full(exchange, full, pos - gt__block_begin(full), flight);
		if (block == full && !flight) {
			gt__reopen(m, full);
			return gt__count_lost(m);
		}
	}
	if (block >= exchange->block_count) {
		uint64_t own = atomic_load_explicit(&m->own, memory_order_relaxed);

		atomic_store_explicit(&m->own, GT_OWN(0, GT_OWN_VERSION(own) + 1, GT_OWN_NONE), memory_order_release);
		return gt__count_lost(m);
	}
	gt__open_block(exchange, m, m_id, block, clock);
	return GT_REFILL_READY;
}

/*
 * Called by the M's own thread when @bytes do not fit, after the reservation was taken back. @clock reads the clock that
 * stamps the records (gt__cpu_ticks in injected code). @tid: kernel thread id, 0 = not known.
 */
static inline int gt__refill(
	struct gt_shm *shm, struct gt_m *m, uint32_t m_id, uint32_t bytes, uint32_t tid, uint64_t (*clock)(void))
{
	struct gt_exchange exchange;
	int ret;

	if (atomic_load_explicit(&m->busy, memory_order_relaxed)) {
		atomic_fetch_add_explicit(&m->lost_nested, 1, memory_order_relaxed);
		return GT_REFILL_LOST;
	}
	atomic_store_explicit(&m->busy, 1, memory_order_relaxed);
	GT__SIGNAL_ORDER();
	if (tid && atomic_load_explicit(&m->tid, memory_order_relaxed) == 0)
		atomic_store_explicit(&m->tid, tid, memory_order_relaxed);
	exchange = gt_exchange_of(shm);
	ret = gt__refill_busy(&exchange, m, m_id, bytes, clock);
	GT__SIGNAL_ORDER();
	GT_POINT();
	atomic_store_explicit(&m->busy, 0, memory_order_release); /* [idle] */
	return ret;
}

/* The M's thread ends: its open block goes to the sealed ones. False: a reservation is open, nothing was done. */
static inline bool gt__retire(struct gt_shm *shm, struct gt_m *m)
{
	struct gt_exchange exchange = gt_exchange_of(shm);
	uint64_t pos, own;
	uint32_t block;

	if (atomic_load_explicit(&m->busy, memory_order_relaxed))
		return false;
	atomic_store_explicit(&m->busy, 1, memory_order_relaxed);
	atomic_store_explicit(&m->end, 0, memory_order_relaxed);
	GT__SIGNAL_ORDER();
	pos = atomic_load_explicit(&m->pos, memory_order_relaxed);
	if (atomic_load_explicit(&m->done, memory_order_relaxed) != pos) {
		/* end stays 0: the next record reopens the block. */
		GT__SIGNAL_ORDER();
		atomic_store_explicit(&m->busy, 0, memory_order_relaxed);
		return false;
	}
	block = gt__hold_own(&exchange, m);
	if (block != GT_NO_BLOCK) {
		atomic_store_explicit(&exchange.blocks[block].used, pos - gt__block_begin(block), memory_order_relaxed);
		gt_queue_put(&exchange, &exchange.sealed, block);
		own = atomic_load_explicit(&m->own, memory_order_relaxed);
		atomic_store_explicit(&m->own, GT_OWN(0, GT_OWN_VERSION(own) + 1, GT_OWN_NONE), memory_order_release);
	}
	GT__SIGNAL_ORDER();
	atomic_store_explicit(&m->busy, 0, memory_order_relaxed);
	return true;
}

#endif
