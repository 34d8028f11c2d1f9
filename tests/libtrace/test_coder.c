/* test_coder.c - whatever is packed comes back; what follows a rule takes few bytes. */
#include "format/wire/event.h"
#include "libtrace/coder.h"
#include "libtrace/shm.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define CELL_BYTES (GT_BLOCK_BYTES - GT_BLOCK_HEADER_BYTES)
#define BLOCKS     40

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	return *state ^= *state << 17;
}

/* Few values that come again, many small ones, some of any size, and all their bits at the ends. */
static uint64_t value(uint64_t *random)
{
	uint64_t bits = next_random(random), x = next_random(random);

	switch (bits % 8) {
	case 0:
		return x;
	case 1:
		return x << bits / 8 % 64;
	case 2:
		return x >> bits / 8 % 64;
	case 3:
		return bits & 8 ? 0 : UINT64_MAX;
	default:
		return x % 3;
	}
}

/* Records of every kind, with parts that are not whole, and words that no hook writes. */
static uint32_t fill(uint64_t *cells, uint64_t *random, uint64_t t_open)
{
	uint32_t used = (uint32_t)(next_random(random) % (CELL_BYTES / GT_CELL_BYTES + 1)) * GT_CELL_BYTES,
		 count = used / 8;
	uint64_t time = t_open;

	for (uint32_t i = 0; i < count; i++)
		cells[i] = value(random);
	for (uint32_t at = 0; at < count;) {
		uint32_t size = (uint32_t)(next_random(random) % 3 + 1);

		time += next_random(random) % 8 ? next_random(random) % 300 * 26 : value(random);
		if (next_random(random) % 16)
			cells[at] = GT_WORD0(time, next_random(random) % 32, size);
		/* As goroutines change their states, to find the ways of those. */
		if (next_random(random) % 2)
			cells[at + 1] = GT_STATE_WORD(next_random(random) % 4 + 7, next_random(random) % 8,
				next_random(random) % 8, next_random(random) % 3);
		at += next_random(random) % 16 ? size * 2 : 2;
	}
	return used;
}

static void there_and_back(uint32_t step, uint64_t seed)
{
	static uint64_t cells[BLOCKS][CELL_BYTES / 8], back[CELL_BYTES / 8];
	static uint8_t packed[BLOCKS][CELL_BYTES * 2];
	struct gt_coder *coder = gt_coder_new();
	uint64_t random = seed, t_open[BLOCKS];
	uint32_t used[BLOCKS];
	size_t size[BLOCKS];

	cr_assert_not_null(coder);
	gt_coder_begin(coder, step);
	for (int i = 0; i < BLOCKS; i++) {
		t_open[i] = i ? value(&random) : 0;
		used[i] = fill(cells[i], &random, t_open[i]);
		size[i] = gt_coder_pack(coder, cells[i], used[i], t_open[i], packed[i]);
		cr_assert_leq(size[i] + 8, gt_coder_room(used[i]));
	}
	gt_coder_begin(coder, step);
	for (int i = 0; i < BLOCKS; i++) {
		cr_assert(gt_coder_unpack(coder, packed[i], size[i], t_open[i], back, used[i]), "block %d", i);
		cr_assert_arr_eq(back, cells[i], used[i], "block %d, step %u, seed %lu", i, step, seed);
	}
	free(coder);
}

Test(coder, any_cells_come_back)
{
	for (uint64_t seed = 1; seed <= 60; seed++) {
		there_and_back(0, seed);
		there_and_back(1, seed);
		there_and_back(26, seed);
		there_and_back(1000, seed);
		there_and_back(UINT32_MAX, seed);
	}
}

Test(coder, what_is_cut_is_not_taken_for_whole)
{
	static uint64_t cells[CELL_BYTES / 8], back[CELL_BYTES / 8];
	static uint8_t packed[CELL_BYTES * 2];
	struct gt_coder *coder = gt_coder_new();
	uint64_t random = 3;
	uint32_t used = fill(cells, &random, 5);
	size_t size = gt_coder_pack(coder, cells, used, 5, packed);

	gt_coder_begin(coder, 1);
	cr_assert_not(gt_coder_unpack(coder, packed, size - 1, 5, back, used));
	gt_coder_begin(coder, 1);
	cr_assert_not(gt_coder_unpack(coder, packed, size, 5, back, used - GT_CELL_BYTES));
	free(coder);
}

/* Goroutines take turns, each with the same calls in a row: kind, id and words are guessed, the time is told. */
Test(coder, what_follows_a_rule_takes_few_bytes)
{
	static uint64_t cells[CELL_BYTES / 8];
	static uint8_t packed[CELL_BYTES * 2];
	struct gt_coder *coder = gt_coder_new();
	uint64_t random = 1, time = 1000000, g = 7;
	size_t size = 0, whole = 0;
	uint32_t call = 0;

	gt_coder_begin(coder, 26);
	for (int block = 0; block < BLOCKS; block++) {
		uint64_t t_open = time;
		uint32_t at = 0;

		for (; at + 8 <= CELL_BYTES / 8; call++) {
			if (call % 8 == 0)
				g = 7 + next_random(&random) % 20;
			time += 26 * (next_random(&random) % 200);
			cells[at++] = GT_WORD0(time, GT_REC_STATE2, 2);
			cells[at++] = GT_STATE_WORD(g, GT_STATE_RUNNING, GT_STATE_SYSCALL, 0);
			cells[at++] = 1000 + call % 8;
			cells[at++] = 0;
			time += 26 * (next_random(&random) % 200);
			cells[at++] = GT_WORD0(time, GT_REC_SLOT, 1);
			cells[at++] = GT_SLOT_START | 3 << 8;
			time += 26;
			cells[at++] = GT_WORD0(time, GT_REC_STATE, 1);
			cells[at++] = GT_STATE_WORD(g, GT_STATE_SYSCALL, GT_STATE_RUNNING, 3);
		}
		cr_assert_eq(gt_coder_step(cells, at * 8, t_open, 26), 26);
		cr_assert_eq(gt_coder_step(cells, at * 8, t_open, 27), 1);
		size += gt_coder_pack(coder, cells, at * 8, t_open, packed);
		whole += at * 8;
	}
	/* Of 21 bytes two, and a little for who it is. */
	cr_assert_lt(size, whole / 9, "%zu of %zu", size, whole);
	free(coder);
}
