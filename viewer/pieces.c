/* pieces.c - a row between two times, as so many columns show it: index.h's questions. */
#include "viewer/index.h"

#include <string.h>

/* The first slice from @from on whose end is past @at_ns. */
static uint32_t first_after(const struct gt_index_row *row, uint32_t from, int64_t at_ns)
{
	uint32_t low = from, high = row->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (row->slices[middle].end_ns > at_ns)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

uint32_t gt_index_at(const struct gt_index_row *row, int64_t at_ns)
{
	return first_after(row, 0, at_ns);
}

/* The first slice from @from on that begins at @at_ns or later: near, most of the time. */
static uint32_t first_from(const struct gt_index_row *row, uint32_t from, int64_t at_ns)
{
	uint32_t low = from, step = 1, high;

	while (low < row->count && row->slices[low].since_ns < at_ns) {
		low += step;
		step *= 2;
	}
	high = low < row->count ? low : row->count;
	low = step > 1 && low >= step / 2 ? low - step / 2 : from;
	if (low < from)
		low = from;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (row->slices[middle].since_ns >= at_ns)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static void add_slices(const struct gt_index_row *row, uint32_t from, uint32_t to, uint64_t sums[GT_INDEX_STATES - 1])
{
	for (; from < to; from++) {
		const struct gt_index_slice *slice = &row->slices[from];

		if (slice->state >= 1 && slice->state < GT_INDEX_STATES)
			sums[slice->state - 1] += (uint64_t)(slice->end_ns - slice->since_ns);
	}
}

static void sum_between(const struct gt_index_row *row, uint32_t from, uint32_t to, uint64_t sums[GT_INDEX_STATES - 1])
{
	uint32_t first = (from + GT_INDEX_BUCKET - 1) / GT_INDEX_BUCKET, last = to / GT_INDEX_BUCKET;

	memset(sums, 0, (GT_INDEX_STATES - 1) * sizeof(*sums));
	if (!row->sums || first >= last) {
		add_slices(row, from, to, sums);
		return;
	}
	add_slices(row, from, first * GT_INDEX_BUCKET, sums);
	for (unsigned int i = 0; i < GT_INDEX_STATES - 1; i++)
		sums[i] += row->sums[last][i] - row->sums[first][i];
	add_slices(row, last * GT_INDEX_BUCKET, to, sums);
}

static void put_one(const struct gt_index_row *row, uint32_t at, struct gt_index_piece *out)
{
	const struct gt_index_slice *slice = &row->slices[at];
	bool call = row->kind == GT_INDEX_GOROUTINE && slice->state == GT_STATE_SYSCALL;

	*out = (struct gt_index_piece){
		.since_ns = (double)slice->since_ns,
		.end_ns = (double)slice->end_ns,
		.slice = at,
		.count = 1,
		.state = slice->state,
		.reason = slice->reason,
		.part = UINT16_MAX,
		.detail = call ? slice->link : slice->detail,
	};
}

static void put_many(const struct gt_index_row *row, uint32_t from, uint32_t to, struct gt_index_piece *out)
{
	uint64_t sums[GT_INDEX_STATES - 1], all = 0;
	unsigned int best = 0;

	sum_between(row, from, to, sums);
	for (unsigned int i = 0; i < GT_INDEX_STATES - 1; i++) {
		all += sums[i];
		if (sums[i] > sums[best])
			best = i;
	}
	*out = (struct gt_index_piece){
		.since_ns = (double)row->slices[from].since_ns,
		.end_ns = (double)row->slices[to - 1].end_ns,
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
	uint32_t at = first_after(row, 0, t0_ns);
	size_t count_ = 0, most = 2 * (size_t)columns + 2;

	while (at < row->count && row->slices[at].since_ns < t1_ns && count_ < most) {
		const struct gt_index_slice *slice = &row->slices[at];
		double column, end;
		uint32_t to;

		if ((double)(slice->end_ns - slice->since_ns) >= column_ns) {
			put_one(row, at++, &out[count_++]);
			continue;
		}
		column =
			slice->since_ns > t0_ns ? (double)(uint64_t)((double)(slice->since_ns - t0_ns) / column_ns) : 0;
		end = (double)t0_ns + (column + 1) * column_ns;
		to = first_from(row, at + 1, (int64_t)end);
		/* A long one at the end of the column is seen itself. */
		if (to > at + 1 && (double)(row->slices[to - 1].end_ns - row->slices[to - 1].since_ns) >= column_ns)
			to--;
		if (to == at + 1)
			put_one(row, at, &out[count_++]);
		else
			put_many(row, at, to, &out[count_++]);
		at = to;
	}
	return count_;
}
