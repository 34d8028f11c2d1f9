/*
 * history.h - flight: sealed blocks that the ring is about to overwrite, packed, so that the same bytes hold more of the past.
 *
 *            one piece of memory of a fixed size, used in turn; the oldest chunk goes when room is needed
 *   +-------+------+--------+------+--------+-----+-------+-------------+----------------------+
 *   | chunk | head | packed | head | packed | ... | chunk | ...         |   (unused)           |
 *   +-------+------+--------+------+--------+-----+-------+-------------+----------------------+
 *             a block         the next one: at most GT_HISTORY_CHUNK_BLOCKS
 *
 * Packed: coder.h, which learns from block to block and begins anew with each chunk. Whoever adds gives blocks in the order of their
 * seal; a gap is nobody's business here.
 *
 * One thread. What is in here was read from the program's memory: heads were checked (gt_view_block), cells were not.
 */
#ifndef GT_LIBTRACE_HISTORY_H
#define GT_LIBTRACE_HISTORY_H

#include "libtrace/walk.h"

#define GT_HISTORY_CHUNK_BLOCKS 64u
/* Below it the work is not worth it: chunks must come and go. */
#define GT_HISTORY_BYTES_MIN (256u << 10)

struct gt_history;

/* @bytes_max: of the memory that holds chunks; what packing itself needs (some 50 KiB) is apart, and so is what is unpacked (at most
 * 2 MiB, once somebody asks for cells). -ENOMEM, -EINVAL below the least. */
int gt_history_new(size_t bytes_max, struct gt_history **out);
void gt_history_free(struct gt_history *history);

/* Room for more; what is held stays. -ENOMEM: nothing has changed. */
int gt_history_grow(struct gt_history *history, size_t bytes_max);

/* Where the cells of the next block (GT_BLOCK_CELL_BYTES) may be put, so that gt_history_add need not copy them. */
uint64_t *gt_history_place(struct gt_history *history);

/* Packs @view, whose records are all committed or lost by now. */
int gt_history_add(struct gt_history *history, const struct gt_view *view);
/* Nothing is held, and the memory is given back. */
void gt_history_clear(struct gt_history *history);

/* Blocks held, and each as a view without its cells: from the oldest (place 0) on. Places change with the next add. */
size_t gt_history_count(const struct gt_history *history);
void gt_history_views(const struct gt_history *history, struct gt_view *out);
/* The cells of the block at @place; they live until GT_HISTORY_OPEN_CHUNKS other chunks were asked for, or the next add.
 * NULL: no memory. */
#define GT_HISTORY_OPEN_CHUNKS 8u
const uint64_t *gt_history_cells(struct gt_history *history, size_t place);

/* The least t_open held; 0: nothing is. */
uint64_t gt_history_oldest(const struct gt_history *history);

struct gt_history_totals {
	uint64_t blocks;     /* held */
	uint64_t cell_bytes; /* of their records, unpacked */
	uint64_t bytes;      /* what they take */
};
void gt_history_totals(const struct gt_history *history, struct gt_history_totals *out);

#endif
