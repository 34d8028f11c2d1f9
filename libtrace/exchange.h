/*
 * exchange.h - the two queues of block numbers, shared by all writers and the collector without a lock.
 *
 * A queue's word holds the next ticket T and the length L, so that one atomic operation moves tail and head
 * at once. The head's ticket is T - L. Ticket t stands in slot t mod S; a ticket is never used twice, so there is
 * no ABA. A slot holds (ticket, block) or (ticket, empty).
 *
 *   put    T and L grow by one; then the slot is moved from any older ticket to (t, block)
 *   take   L shrinks by one; then the slot is moved to (t, empty)
 *   swap   T grows, L stays: put at the tail and take from the head in one step
 *
 * Nobody waits for a thread that was stopped between its two steps:
 *   taker meets a late putter    it leaves (t, empty), a tombstone; the putter finds it and puts again
 *   putter meets a late taker    one turn of the ring later: it takes the old block out of the slot itself (a surplus
 *                                block, which goes to the free queue); the taker finds a newer ticket and takes again
 *
 * Invariants
 *   1  A block is in exactly one place: a slot, an M's own, or somebody's hand. Else two writers share it.
 *   2  An empty take is made good by a take, a lapped put by a put; never by keeping the surplus block: the length
 *      would run away from the truth.
 *   3  S >= 2 * blocks. Tickets are compared as signed 44-bit differences.
 *
 * Freestanding: no libc, no globals, nothing but general registers. The same text is compiled into the library and into
 * the code that is injected into a program.
 */
#ifndef GT_LIBTRACE_EXCHANGE_H
#define GT_LIBTRACE_EXCHANGE_H

#include "libtrace/shm.h"

#include <stdbool.h>
#include <stddef.h>

/* Tests explore what can happen between two accesses to shared memory; nothing in real builds. */
#ifndef GT_POINT
#define GT_POINT() ((void)0)
#endif

#define GT_NO_BLOCK GT_SLOT_EMPTY
/* A writer looks for a block at most so often; each failure means that another thread was caught half-way. */
#define GT_QUEUE_TAKE_TRIES 4
/* A put that is lapped so often met no stalled threads but a damaged queue. */
#define GT_QUEUE_PUT_TRIES 64
#define GT_TICKET_SHIFT    GT_QUEUE_LENGTH_BITS
#define GT_TICKET_MASK     (((uint64_t)1 << (64 - GT_TICKET_SHIFT)) - 1)
#define GT_LENGTH_MASK     ((1u << GT_QUEUE_LENGTH_BITS) - 1)

struct gt_queue_ref {
	_Atomic uint64_t *word;
	_Atomic uint64_t *slots;
	uint64_t slot_mask;
};

/* What the operations work on: made by a writer from the memory's own words, by the collector from checked ones. */
struct gt_exchange {
	struct gt_shm *shm;
	struct gt_block *blocks;
	uint32_t block_count;
	struct gt_queue_ref sealed, free;
};

static inline struct gt_queue_ref gt__queue_ref(struct gt_shm *shm, struct gt_queue *queue)
{
	struct gt_queue_ref ref = {
		.word = &queue->word,
		.slots = (_Atomic uint64_t *)((uint8_t *)shm + queue->slots_offset),
		.slot_mask = queue->slot_mask,
	};

	return ref;
}

static inline struct gt_exchange gt_exchange_of(struct gt_shm *shm)
{
	struct gt_exchange exchange = {
		.shm = shm,
		.blocks = (struct gt_block *)((uint8_t *)shm + shm->blocks_offset),
		.block_count = shm->block_count,
		.sealed = gt__queue_ref(shm, &shm->sealed),
		.free = gt__queue_ref(shm, &shm->free),
	};

	return exchange;
}

/*
 * A line that is read and then changed: fetched once, to be changed, instead of twice. With two threads that seal all
 * the time it is most of the cost.
 */
static inline void gt__fetch_to_change(const void *line)
{
#if defined(__x86_64__)
	__asm__ volatile("prefetchw %0" : : "m"(*(const char *)line));
#else
	__builtin_prefetch(line, 1);
#endif
}

/* > 0: ticket @a is younger than @b. */
static inline int64_t gt__ticket_diff(uint64_t a, uint64_t b)
{
	return (int64_t)((a - b) << GT_TICKET_SHIFT) >> GT_TICKET_SHIFT;
}

static inline uint64_t gt__slot_word(uint64_t ticket, uint32_t block)
{
	return ticket << GT_TICKET_SHIFT | block;
}

static inline uint32_t gt__slot_block(uint64_t slot)
{
	return (uint32_t)(slot & GT_LENGTH_MASK);
}

static inline uint64_t gt__slot_ticket(uint64_t slot)
{
	return slot >> GT_TICKET_SHIFT;
}

static inline uint32_t gt_queue_length(const struct gt_queue_ref *queue)
{
	return (uint32_t)(atomic_load_explicit(queue->word, memory_order_relaxed) & GT_LENGTH_MASK);
}

/* False: lapped, a tombstone or a younger ticket is there. @surplus gets the block of a late taker, or GT_NO_BLOCK. */
static inline bool gt__queue_put_at(
	const struct gt_queue_ref *queue, uint64_t ticket, uint32_t block, uint32_t *surplus)
{
	_Atomic uint64_t *slot = &queue->slots[ticket & queue->slot_mask];
	uint64_t seen;

	*surplus = GT_NO_BLOCK;
	GT_POINT();
	seen = atomic_load_explicit(slot, memory_order_relaxed);
	for (;;) {
		if (gt__ticket_diff(gt__slot_ticket(seen), ticket) >= 0)
			return false;
		GT_POINT();
		if (atomic_compare_exchange_weak_explicit(slot, &seen, gt__slot_word(ticket, block),
			    memory_order_acq_rel, memory_order_relaxed)) /* [put] */
			break;
	}
	*surplus = gt__slot_block(seen);
	return true;
}

static inline uint32_t gt__queue_take_at(const struct gt_queue_ref *queue, uint64_t ticket)
{
	_Atomic uint64_t *slot = &queue->slots[ticket & queue->slot_mask];
	uint64_t seen;

	GT_POINT();
	seen = atomic_load_explicit(slot, memory_order_relaxed);
	for (;;) {
		if (gt__ticket_diff(gt__slot_ticket(seen), ticket) > 0)
			return GT_NO_BLOCK;
		GT_POINT();
		if (atomic_compare_exchange_weak_explicit(slot, &seen, gt__slot_word(ticket, GT_SLOT_EMPTY),
			    memory_order_acq_rel, memory_order_relaxed)) /* [take] [seize] */
			return gt__slot_block(seen);
	}
}

/* Puts @block at the tail of @queue, and what it finds in the way into the free queue. */
static inline void gt_queue_put(const struct gt_exchange *exchange, const struct gt_queue_ref *queue, uint32_t block)
{
	for (int tries = 0; tries < GT_QUEUE_PUT_TRIES; tries++) {
		uint32_t surplus;
		uint64_t word;

		GT_POINT();
		word = atomic_fetch_add_explicit(
			queue->word, ((uint64_t)1 << GT_TICKET_SHIFT) + 1, memory_order_acq_rel);
		if (!gt__queue_put_at(queue, word >> GT_TICKET_SHIFT, block, &surplus))
			continue;
		if (surplus == GT_NO_BLOCK)
			return;
		queue = &exchange->free;
		block = surplus;
	}
	atomic_fetch_add_explicit(&exchange->shm->blocks_leaked, 1, memory_order_relaxed);
}

/* The oldest block of @queue, or GT_NO_BLOCK. */
static inline uint32_t gt_queue_take(const struct gt_queue_ref *queue)
{
	for (int tries = 0; tries < GT_QUEUE_TAKE_TRIES; tries++) {
		uint64_t word, length;
		uint32_t block;

		GT_POINT();
		word = atomic_load_explicit(queue->word, memory_order_relaxed);
		do {
			length = word & GT_LENGTH_MASK;
			if (length == 0)
				return GT_NO_BLOCK;
			GT_POINT();
		} while (!atomic_compare_exchange_weak_explicit(
			queue->word, &word, word - 1, memory_order_acq_rel, memory_order_relaxed));
		block = gt__queue_take_at(queue, (word >> GT_TICKET_SHIFT) - length);
		if (block != GT_NO_BLOCK)
			return block;
	}
	return GT_NO_BLOCK;
}

/*
 * Puts @block at the tail of the sealed queue and takes the oldest. Gives @block itself when it is the oldest: it was
 * not put. GT_NO_BLOCK: it was put, and others were faster at the head.
 */
static inline uint32_t gt_queue_swap(const struct gt_exchange *exchange, uint32_t block)
{
	const struct gt_queue_ref *queue = &exchange->sealed;
	uint64_t word, length;
	uint32_t surplus, oldest;
	bool in;

	gt__fetch_to_change(queue->word);
	GT_POINT();
	word = atomic_load_explicit(queue->word, memory_order_relaxed);
	do {
		length = word & GT_LENGTH_MASK;
		if (length == 0)
			return block;
		gt__fetch_to_change(&queue->slots[word >> GT_TICKET_SHIFT & queue->slot_mask]);
		gt__fetch_to_change(&queue->slots[((word >> GT_TICKET_SHIFT) - length) & queue->slot_mask]);
		GT_POINT();
	} while (!atomic_compare_exchange_weak_explicit(queue->word, &word, word + ((uint64_t)1 << GT_TICKET_SHIFT),
		memory_order_acq_rel, memory_order_relaxed));
	in = gt__queue_put_at(queue, word >> GT_TICKET_SHIFT, block, &surplus);
	oldest = gt__queue_take_at(queue, (word >> GT_TICKET_SHIFT) - length);
	if (surplus != GT_NO_BLOCK)
		gt_queue_put(exchange, &exchange->free, surplus);
	if (!in && oldest == GT_NO_BLOCK)
		return block;
	if (!in)
		gt_queue_put(exchange, queue, block);
	else if (oldest == GT_NO_BLOCK)
		oldest = gt_queue_take(queue);
	return oldest;
}

#endif
