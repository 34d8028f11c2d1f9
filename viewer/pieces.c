/* pieces.c - a row between two times, as so many columns show it: index.h's questions. */
#include "viewer/slices.h"

#include <string.h>

/* The last block from @block on that begins before @at_ns, or @block. */
static uint32_t last_before(const struct gt_index_row *row, uint32_t block, int64_t at_ns)
{
	uint32_t low = block, step = 1, high, last = gt__slices_blocks(row->count);

	/* Near, most of the time. */
	while (low < last && gt__slices_begin(row, low + step) < at_ns) {
		low += step;
		step = 2 * step <= last - low ? 2 * step : 1;
	}
	high = low + step < last ? low + step : last;
	while (low < high) {
		uint32_t middle = low + (high - low + 1) / 2;

		if (gt__slices_begin(row, middle) < at_ns)
			low = middle;
		else
			high = middle - 1;
	}
	return low;
}

uint32_t gt_index_at(const struct gt_index_row *row, int64_t at_ns)
{
	uint32_t at;

	if (!row->count || at_ns >= row->end_ns)
		return row->count;
	/* Blocks that begin at @at_ns or before: the slice that holds it is in the last of them, or the next one is the first after. */
	at = last_before(row, 0, at_ns < INT64_MAX ? at_ns + 1 : at_ns) * GT_INDEX_BUCKET;
	while (at < row->count && gt_index_slice(row, at)->end_ns <= at_ns)
		at++;
	return at;
}

/* The first slice from @from on that begins at @at_ns or later. */
static uint32_t first_from(const struct gt_index_row *row, uint32_t from, int64_t at_ns)
{
	uint32_t at;

	if (from >= row->count || at_ns > row->end_ns)
		return row->count;
	at = last_before(row, from / GT_INDEX_BUCKET, at_ns) * GT_INDEX_BUCKET;
	if (at < from)
		at = from;
	while (at < row->count && gt_index_slice(row, at)->since_ns < at_ns)
		at++;
	return at;
}

static void put_one(const struct gt_index_row *row, uint32_t at, struct gt_index_piece *out)
{
	const struct gt_index_slice *slice = gt_index_slice(row, at);
	bool call = row->kind == GT_INDEX_GOROUTINE && slice->state == GT_STATE_SYSCALL;
	bool named =
		row->kind == GT_INDEX_REGION || row->kind == GT_INDEX_TASK || (row->kind == GT_INDEX_GC && row->id);

	*out = (struct gt_index_piece){
		.since_ns = (double)slice->since_ns,
		.end_ns = (double)slice->end_ns,
		.slice = at,
		.count = 1,
		.state = slice->state,
		.reason = slice->reason,
		.part = UINT16_MAX,
		.detail = call    ? slice->link
			  : named ? slice->stack
				  : slice->detail,
	};
}

static void put_many(const struct gt_index_row *row, uint32_t from, uint32_t to, struct gt_index_piece *out)
{
	uint64_t sums[GT_INDEX_STATES - 1], before[GT_INDEX_STATES - 1], all = 0;
	unsigned int best = 0;

	gt__slices_sums(row, from, before);
	gt__slices_sums(row, to, sums);
	for (unsigned int i = 0; i < GT_INDEX_STATES - 1; i++) {
		sums[i] -= before[i];
		all += sums[i];
		if (sums[i] > sums[best])
			best = i;
	}
	*out = (struct gt_index_piece){
		.since_ns = (double)gt_index_slice(row, from)->since_ns,
		.end_ns = (double)gt_index_slice(row, to - 1)->end_ns,
		.slice = from,
		.count = to - from,
		.state = (uint8_t)(best + 1),
		.part = all ? (uint16_t)((double)sums[best] * UINT16_MAX / (double)all) : UINT16_MAX,
	};
}

size_t gt_index_pieces(
	const struct gt_index_row *row, int64_t t0_ns, int64_t t1_ns, unsigned int columns, struct gt_index_piece *out)
{
	double column_ns = (double)(t1_ns - t0_ns) / (columns ? columns : 1);
	uint32_t at = gt_index_at(row, t0_ns);
	size_t count = 0, most = 2 * (size_t)columns + 2;

	while (at < row->count && count < most) {
		const struct gt_index_slice *slice = gt_index_slice(row, at);
		double column, end;
		uint32_t to;

		if (slice->since_ns >= t1_ns)
			break;
		if ((double)(slice->end_ns - slice->since_ns) >= column_ns) {
			put_one(row, at++, &out[count++]);
			continue;
		}
		column =
			slice->since_ns > t0_ns ? (double)(uint64_t)((double)(slice->since_ns - t0_ns) / column_ns) : 0;
		end = (double)t0_ns + (column + 1) * column_ns;
		to = first_from(row, at + 1, (int64_t)end);
		/* A long one at the end of the column is seen itself. */
		slice = gt_index_slice(row, to - 1);
		if (to > at + 1 && (double)(slice->end_ns - slice->since_ns) >= column_ns)
			to--;
		if (to == at + 1)
			put_one(row, at, &out[count++]);
		else
			put_many(row, at, to, &out[count++]);
		at = to;
	}
	return count;
}
