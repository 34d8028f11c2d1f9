/* index.c - the index says what the scheduler did, and tiles and splits are what a slow look at every slice gives. */
#include "../convert/simulate.h"
#include "viewer/slices.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct gt_index *build(struct gt_trace *trace)
{
	struct gt_index *index;
	struct gt_error err;

	cr_assert_eq(gt_index_build(trace, NULL, &index, &err), 0);
	return index;
}

static char *truth_text;
static size_t truth_size;

static struct gt_trace *simulated(unsigned int seed)
{
	struct gt_trace *trace = fake_new();
	FILE *truth = open_memstream(&truth_text, &truth_size);

	simulate(trace, seed, 4000, truth);
	fclose(truth);
	return trace;
}

static uint64_t dice = 0x1234567;
static int64_t roll(int64_t sides)
{
	dice = dice * 6364136223846793005u + 1442695040888963407u;
	return (int64_t)(dice >> 33) % sides;
}

/* Sums the simulator's lines ["GOROUTINES","G7 name","waiting: ...",begin,length] by state, until the list's end. */
static uint64_t truth_sums(char *text, uint64_t want[GT_INDEX_STATES])
{
	static const char *const names[GT_INDEX_STATES] = {"?", "\"runnable", "\"running", "\"syscall", "\"waiting"};
	char *line, *rest = NULL;
	uint64_t slices = 0;

	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		char *at = strstr(line, "[\"GOROUTINES\",\"") == line ? strrchr(line, '"') : NULL;
		long long begin, length;

		if (strncmp(line, "],", 2) == 0)
			break;
		if (!at || sscanf(at, "\",%lld,%lld", &begin, &length) != 2)
			continue;
		*at = '\0';
		at = strrchr(line, '"');
		for (int state = 1; state < GT_INDEX_STATES; state++)
			if (strncmp(at, names[state], strlen(names[state])) == 0) {
				want[state] += (uint64_t)length;
				slices++;
			}
	}
	return slices;
}

/* Goal: what is shown is what happened. Method: the simulator's own list of goroutine slices, summed by state, and how many. */
Test(index, equals_what_the_scheduler_knows)
{
	for (unsigned int seed = 1; seed <= 5; seed++) {
		struct gt_trace *trace = simulated(seed);
		uint64_t want[GT_INDEX_STATES] = {0}, got[GT_INDEX_STATES] = {0}, summed[GT_INDEX_STATES] = {0}, slices,
			 have = 0;
		struct gt_index *index = build(trace);

		slices = truth_sums(truth_text, want);
		for (uint32_t i = 0; i < index->row_count; i++) {
			const struct gt_index_row *row = &index->rows[i];

			for (uint32_t k = 0; k < row->count; k++) {
				cr_assert_leq(gt_index_slice(row, k)->since_ns, gt_index_slice(row, k)->end_ns);
				cr_assert(k == 0 ||
					  gt_index_slice(row, k)->since_ns >= gt_index_slice(row, k - 1)->end_ns);
			}
			if (row->kind != GT_INDEX_GOROUTINE)
				continue;
			for (uint32_t k = 0; k < row->count; k++) {
				have += gt_index_slice(row, k)->end_ns > gt_index_slice(row, k)->since_ns;
				summed[gt_index_slice(row, k)->state] +=
					(uint64_t)(gt_index_slice(row, k)->end_ns - gt_index_slice(row, k)->since_ns);
			}
			for (int state = 1; state < GT_INDEX_STATES; state++)
				got[state] += row->total_ns[state];
		}
		cr_expect_gt(slices, 100);
		cr_expect_eq(have, slices, "seed %u: %" PRIu64 " slices of %" PRIu64, seed, have, slices);
		for (int state = 1; state < GT_INDEX_STATES; state++) {
			cr_expect_eq(got[state], want[state], "seed %u state %d: %" PRIu64 " ns of %" PRIu64, seed,
				state, got[state], want[state]);
			cr_expect_eq(summed[state], want[state]);
		}
		gt_index_free(index);
		fake_free(trace);
		free(truth_text);
	}
}

static void check_piece(const struct gt_index_row *row, const struct gt_index_piece *piece, double column_ns)
{
	const struct gt_index_slice *first = gt_index_slice(row, piece->slice),
				    *last = gt_index_slice(row, piece->slice + piece->count - 1);
	uint64_t sums[GT_INDEX_STATES] = {0}, all = 0;

	cr_assert_leq(piece->slice + piece->count, row->count);
	cr_assert_eq((int64_t)piece->since_ns, first->since_ns);
	cr_assert_eq((int64_t)piece->end_ns, last->end_ns);
	if (piece->count == 1) {
		cr_assert_eq(piece->state, first->state);
		cr_assert_eq(piece->reason, first->reason);
		cr_assert_eq(piece->detail, row->kind == GT_INDEX_GOROUTINE && first->state == GT_STATE_SYSCALL
						    ? first->link
						    : first->detail);
		return;
	}
	/* Two columns, and what hangs over at the left of the first. */
	cr_assert_leq(piece->end_ns - piece->since_ns, 3 * column_ns + 1);
	for (uint32_t i = 0; i < piece->count; i++) {
		const struct gt_index_slice *slice = gt_index_slice(row, piece->slice + i);

		sums[slice->state] += (uint64_t)(slice->end_ns - slice->since_ns);
		all += (uint64_t)(slice->end_ns - slice->since_ns);
	}
	for (int state = 1; state < GT_INDEX_STATES; state++)
		cr_assert_leq(sums[state], sums[piece->state]);
	if (all)
		cr_assert_eq(piece->part, (uint16_t)((double)sums[piece->state] * UINT16_MAX / (double)all));
}

/* Goal: a picture hides nothing. Method: its pieces are put back to slices: each is told of, once, in order. */
Test(index, pieces_tell_every_slice_once)
{
	static struct gt_index_piece pieces[2 * 512 + 2];

	for (unsigned int seed = 12; seed < 15; seed++) {
		struct gt_trace *trace = simulated(seed);
		struct gt_index *index = build(trace);

		for (int i = 0; i < 1500; i++) {
			const struct gt_index_row *row = &index->rows[roll(index->row_count)];
			unsigned int columns = (unsigned int)(1 + roll(512));
			int64_t from = roll(index->span_ns), to = from + 1 + roll((index->span_ns >> roll(14)) + 1);
			uint32_t next = 0;
			size_t count;

			memset(pieces, 0xff, sizeof(pieces));
			count = gt_index_pieces(row, from, to, columns, pieces);
			cr_assert_leq(count, 2 * columns + 2);
			while (next < row->count && gt_index_slice(row, next)->end_ns <= from)
				next++;
			cr_assert_eq(gt_index_at(row, from), next);
			for (size_t k = 0; k < count; k++) {
				check_piece(row, &pieces[k], (double)(to - from) / columns);
				cr_assert_eq(pieces[k].slice, next);
				next += pieces[k].count;
			}
			cr_assert(next >= row->count || gt_index_slice(row, next)->since_ns >= to,
				"slices before the end are left out");
		}
		gt_index_free(index);
		fake_free(trace);
		free(truth_text);
	}
}

/* Goal: who woke whom. Method: each runnable slice's link is a wake-up of its row at its begin. */
Test(index, wakes_are_linked)
{
	struct gt_trace *trace = simulated(13);
	struct gt_index *index = build(trace);
	uint32_t linked = 0;

	for (uint32_t i = 0; i < index->row_count; i++) {
		const struct gt_index_row *row = &index->rows[i];

		for (uint32_t k = 0; row->kind == GT_INDEX_GOROUTINE && k < row->count; k++) {
			const struct gt_index_slice *slice = gt_index_slice(row, k);

			if (slice->state != GT_STATE_RUNNABLE || !slice->link)
				continue;
			cr_assert_lt(slice->link, index->wake_count);
			cr_expect_eq(index->wakes[slice->link].to, i);
			cr_expect_eq(index->wakes[slice->link].at_ns, slice->since_ns);
			cr_expect_neq(index->wakes[slice->link].from, i);
			linked++;
		}
	}
	cr_expect_gt(linked, 50);
	gt_index_free(index);
	fake_free(trace);
	free(truth_text);
}

/* Goal: a trace of nothing, or of nonsense, harms nobody. */
Test(index, nothing_and_nonsense)
{
	struct gt_trace *trace = fake_new();
	struct gt_index *index = build(trace);

	cr_expect_eq(index->row_count, 0);
	gt_index_free(index);
	gt_trace_rewind(trace);
	for (int i = 0; i < 20000; i++) {
		uint64_t args[GT_EVENT_ARGS_MAX];

		for (int k = 0; k < GT_EVENT_ARGS_MAX; k++)
			args[k] = roll(4) ? (uint64_t)roll(6) : (uint64_t)roll(INT32_MAX) << roll(33);
		fake_event(trace, (enum gt_event_kind)(1 + roll(GT_EVENT_KIND_COUNT - 1)), (uint64_t)roll(5), i * 10,
			args);
	}
	index = build(trace);
	for (uint32_t i = 0; i < index->row_count; i++) {
		struct gt_index_piece pieces[202];

		cr_assert_leq(gt_index_pieces(&index->rows[i], 0, index->span_ns, 100, pieces), 202);
		for (uint32_t k = 1; k < index->rows[i].count; k++)
			cr_assert_geq(gt_index_slice(&index->rows[i], k)->since_ns,
				gt_index_slice(&index->rows[i], k - 1)->since_ns);
	}
	gt_index_free(index);
	fake_free(trace);
}

/* Goal: a window's picture begins where its events do. Method: what is first seen late was so from the first event on, not from 0. */
Test(index, begins_at_the_first_event)
{
	struct gt_trace *trace = fake_new();
	struct gt_index *index;
	uint32_t row;

	fake_goroutine(trace, 7, 0);
	FAKE_EVENT(trace, GO_RUN, 3, 5000000, 8, GT_STATE_RUNNABLE, 1);
	FAKE_EVENT(trace, GO_READY, 3, 5000400, 7, GT_STATE_WAITING, 8);
	FAKE_EVENT(trace, GO_BLOCK, 3, 5000900, 8, GT_REASON_SELECT, 0);
	index = build(trace);
	cr_expect_eq(index->begin_ns, 5000000);
	cr_expect_eq(index->span_ns, 5000900);
	row = gt_index_row_of(index, GT_INDEX_GOROUTINE, 7);
	cr_assert_neq(row, UINT32_MAX);
	cr_expect_eq(index->rows[row].since_ns, 5000000);
	cr_expect_eq(gt_index_slice(&index->rows[row], 0)->state, GT_STATE_WAITING);
	gt_index_free(index);
	fake_complete(trace, 5000300);
	gt_trace_rewind(trace);
	index = build(trace);
	cr_expect_eq(index->begin_ns, 5000000);
	cr_expect_eq(index->rows[gt_index_row_of(index, GT_INDEX_GOROUTINE, 7)].since_ns, 5000300);
	gt_index_free(index);
	fake_free(trace);
}

/* Goal: packing loses nothing. Method: slices with every field at its least and greatest, and in between, come back as they were. */
Test(index, packed_slices_come_back)
{
	static struct gt_index_slice want[2000];
	struct gt_index_row row = {
		.bytes = malloc(2000 * GT__SLICE_BYTES_MAX), .blocks = malloc(64 * sizeof(*row.blocks))};
	uint64_t sums[GT_INDEX_STATES] = {0}, got[GT_INDEX_STATES - 1];
	int64_t now = 0;

	for (uint32_t i = 0; i < 2000; i++) {
		struct gt_index_slice *slice = &want[i];

		now += roll(3) ? 0 : roll(2) ? roll(1000) : roll(1ll << 31) << roll(24);
		slice->since_ns = now;
		now += roll(2) ? roll(3000) : roll(1ll << 31) << roll(20);
		slice->end_ns = now;
		slice->state = (uint8_t)roll(GT_INDEX_STATES);
		slice->stack = roll(2) ? 0 : (uint32_t)roll(1ll << 32);
		slice->detail = roll(8) ? (uint32_t)roll(1ll << 32) : UINT32_MAX;
		slice->link = roll(3) ? (uint32_t)roll(1ll << 32) : roll(2) ? UINT32_MAX : 0;
		slice->p = roll(2) ? 0 : (uint16_t)roll(1 << 16);
		slice->reason = roll(2) ? 0 : (uint8_t)roll(256);
		gt__slices_add(&row, slice);
	}
	cr_assert_eq(row.count, 2000);
	cr_assert_leq(row.size, 2000 * GT__SLICE_BYTES_MAX);
	for (uint32_t i = 0; i <= 2000; i++) {
		gt__slices_sums(&row, i, got);
		cr_assert_arr_eq(got, sums + 1, sizeof(got));
		if (i == 2000)
			break;
		cr_assert_arr_eq(gt_index_slice(&row, i), &want[i], sizeof(want[i]));
		sums[want[i].state] += (uint64_t)(want[i].end_ns - want[i].since_ns);
	}
	for (int i = 0; i < 20000; i++) {
		uint32_t at = (uint32_t)roll(2000);

		cr_assert_arr_eq(gt_index_slice(&row, at), &want[at], sizeof(want[at]));
	}
	free(row.bytes);
	free(row.blocks);
	gt__slices_forget();
}

/* Goal: claims of a file harm nobody: ids of 2^32 and far beyond, times at the ends of what 64 bits hold. */
Test(index, claims_beyond_all_bounds)
{
	static const uint64_t ids[] = {
		1, UINT32_MAX, 1ull << 32, (1ull << 32) + 1, 1ull << 60, UINT64_MAX - 1, UINT64_MAX};
	static const int64_t times[] = {
		INT64_MIN, -5, 0, 7, 1000, INT64_C(1) << 40, INT64_C(1) << 61, INT64_MAX - 1, INT64_MAX};
	struct gt_trace *trace = fake_new();
	struct gt_index_piece pieces[202];
	struct gt_index *index;

	for (int i = 0; i < 30000; i++) {
		uint64_t args[GT_EVENT_ARGS_MAX];
		/* Mostly on, at times back, at times to the end of time. */
		int64_t now = roll(4) ? i * 10 : times[roll(9)];

		for (int k = 0; k < GT_EVENT_ARGS_MAX; k++)
			args[k] = roll(3) ? ids[roll(7)] : (uint64_t)roll(6);
		fake_event(trace, (enum gt_event_kind)(1 + roll(GT_EVENT_KIND_COUNT - 1)), ids[roll(7)], now, args);
	}
	index = build(trace);
	cr_assert_geq(index->span_ns, index->begin_ns);
	for (uint32_t i = 0; i < index->row_count; i++) {
		const struct gt_index_row *row = &index->rows[i];

		cr_assert_leq(gt_index_pieces(row, index->begin_ns, index->span_ns + 1, 100, pieces), 202);
		for (uint32_t k = 0; k < row->count; k++) {
			cr_assert_geq(gt_index_slice(row, k)->end_ns, gt_index_slice(row, k)->since_ns);
			cr_assert(!k || gt_index_slice(row, k)->since_ns >= gt_index_slice(row, k - 1)->end_ns);
		}
	}
	gt_index_free(index);
	fake_free(trace);
}
