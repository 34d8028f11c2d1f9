/*
 * slices.h - slices of a row, packed: about 8 bytes each, in blocks of GT_INDEX_BUCKET that are unpacked on demand.
 *
 *   slice := u8 head, uvarint length, then what the head tells of: gap to the slice before, detail, stack, link, P, reason
 *
 * A block begins with a time of its own and with the sums of all before it, so that no question reads more than the block it is about.
 */
#ifndef GT_VIEWER_SLICES_H
#define GT_VIEWER_SLICES_H

#include "viewer/index.h"

/* Room for one more, whatever it is: what of row->bytes and row->blocks must be there before gt__slices_add. */
#define GT__SLICE_BYTES_MAX 48

/* Appends; the slice does not begin before row->end_ns and does not end before it begins. */
void gt__slices_add(struct gt_index_row *row, const struct gt_index_slice *slice);
/* Blocks besides the first that a row of so many slices has. */
static inline uint32_t gt__slices_blocks(uint32_t count)
{
	return count ? (count - 1) / GT_INDEX_BUCKET : 0;
}

/* When the block begins; its first slice is number block * GT_INDEX_BUCKET. */
static inline int64_t gt__slices_begin(const struct gt_index_row *row, uint32_t block)
{
	return block ? row->blocks[block - 1].since_ns : row->since_ns;
}

/* Time in each state from RUNNABLE on of all slices before @at. */
void gt__slices_sums(const struct gt_index_row *row, uint32_t at, uint64_t out[GT_INDEX_STATES - 1]);

/* An index goes: nothing that was unpacked of its rows is good any more, in any thread. */
void gt__slices_forget(void);

#endif
