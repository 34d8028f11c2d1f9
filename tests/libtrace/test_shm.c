/* test_shm.c - creation of the shared memory, its limits, and heads that lie. */
#include "libtrace/shm_create.h"
#include "libtrace/walk.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct gt_memory make(struct gt_shm_config config)
{
	struct gt_memory memory;
	struct gt_error err;

	cr_assert_eq(gt_shm_create(&config, &memory, &err), 0, "%s", err.text);
	return memory;
}

Test(shm, everything_together_stays_below_max_bytes)
{
	for (uint64_t bytes = 2 << 20; bytes <= 256 << 20; bytes = bytes * 3 + 12345) {
		struct gt_memory memory = make((struct gt_shm_config){.max_bytes = bytes,
			.stack_slot_count = 1024,
			.arena_words = 4096,
			.string_slot_count = 64,
			.string_bytes = 4096});

		cr_expect_leq(memory.total_bytes, bytes);
		/* and is used: one more block with its share of the queues would be too much, or the queues would double */
		cr_expect_gt(memory.total_bytes + GT_BLOCK_BYTES + 2 * 8 * 2 * 2 * (uint64_t)memory.block_count, bytes);
		cr_expect_eq(gt_shm_conserved(&memory, NULL), 0);
		cr_expect_eq(gt_queue_length(&memory.exchange.free), memory.block_count);
		gt_shm_close(&memory);
	}
}

Test(shm, a_size_below_the_minimum_is_refused_with_the_minimum)
{
	struct gt_shm_config config = {.max_bytes = 1000, .live_ms = 100};
	uint64_t least = gt_shm_bytes_min(&config);
	struct gt_memory memory;
	struct gt_error err;
	char number[32];

	snprintf(number, sizeof(number), "%llu", (unsigned long long)least);
	config.max_bytes = least - 1;
	cr_assert_eq(gt_shm_create(&config, &memory, &err), -EINVAL);
	cr_expect_not_null(strstr(err.text, number), "%s", err.text);
	config.max_bytes = least;
	cr_assert_eq(gt_shm_create(&config, &memory, &err), 0);
	cr_expect_geq(memory.block_count, 200, "each live M needs a block and the window as many");
	gt_shm_close(&memory);
}

Test(shm, sizes_that_cannot_be_are_refused)
{
	const struct gt_shm_config bad[] = {
		{.block_count = 1},
		{.block_count = GT_BLOCKS_MAX + 1},
		{.block_count = 100, .stack_slot_count = 3},
		{.block_count = 100, .m_count = GT_M_IDS_MAX + 1},
		{.block_count = 100, .stack_depth = GT_STACK_FRAMES_MAX + 1},
		{.block_count = 100, .max_bytes = 4096},
		{0},
	};
	struct gt_memory memory;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_eq(gt_shm_create(&bad[i], &memory, NULL), -EINVAL, "config %zu", i);
}

Test(shm, ms_grow_to_their_limit_and_no_further)
{
	struct gt_memory memory = make((struct gt_shm_config){.block_count = 32, .m_count = 1000, .m_limit = 10});

	cr_expect_eq(memory.m_limit, 10);
	cr_expect_eq(gt_shm_grow_ms(&memory, 500, NULL), 0);
	cr_expect_eq(gt_shm_grow_ms(&memory, 100, NULL), 0);
	cr_expect_eq(atomic_load(&memory.shm->m_limit), 500);
	cr_expect_eq(gt_shm_grow_ms(&memory, 5000, NULL), 0);
	cr_expect_eq(atomic_load(&memory.shm->m_limit), 1000);
	memset(gt_shm_m(&memory, 0), 0xff, 1000 * GT_M_BYTES);
	cr_expect_eq(
		gt_shm_m(&memory, 1000), (struct gt_m *)((uint8_t *)memory.shm + memory.ms_offset + 1000 * GT_M_BYTES));
	gt_shm_close(&memory);
}

Test(shm, a_mapped_memory_is_the_created_one)
{
	struct gt_memory made =
		make((struct gt_shm_config){.block_count = 32, .string_slot_count = 16, .string_bytes = 100});
	struct gt_memory mapped;
	struct gt_error err;

	cr_assert_eq(gt_shm_map(made.fd, &mapped, &err), 0, "%s", err.text);
	cr_expect_eq(mapped.total_bytes, made.total_bytes);
	cr_expect_eq(mapped.blocks_offset, made.blocks_offset);
	cr_expect_eq(mapped.exchange.free.slot_mask, made.exchange.free.slot_mask);
	cr_expect_eq(gt_queue_take(&mapped.exchange.free), 0);
	cr_expect_eq(gt_queue_take(&made.exchange.free), 1);
	gt_shm_close(&mapped);
	gt_shm_close(&made);
}

Test(shm, a_head_that_lies_is_refused)
{
	struct gt_memory made =
		make((struct gt_shm_config){.block_count = 64, .stack_slot_count = 64, .arena_words = 100});
	static uint8_t head[sizeof(struct gt_shm)];
	struct gt_memory mapped;
	struct gt_error err;

	memcpy(head, made.shm, sizeof(head));
	/* Whatever is written into any one word: refused, or harmless because it is not a size. */
	for (size_t at = 0; at < sizeof(head); at += 4) {
		static const uint32_t values[] = {0, 1, 0x7fffffff, 0xffffffff, 0x1000, 0x80000000};

		for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
			int ret;

			memcpy((uint8_t *)made.shm + at, &values[i], 4);
			ret = gt_shm_map(made.fd, &mapped, &err);
			if (ret == 0) {
				cr_expect_eq(mapped.total_bytes, made.total_bytes);
				cr_expect_eq(mapped.blocks_offset, made.blocks_offset, "word %zu", at);
				cr_expect_eq(mapped.exchange.sealed.slot_mask, made.exchange.sealed.slot_mask);
				cr_expect_eq(mapped.block_count, made.block_count, "word %zu", at);
				cr_expect_leq(mapped.m_limit, mapped.m_count);
				gt_shm_close(&mapped);
			} else {
				cr_expect(ret == -EBADMSG || ret == -EPROTONOSUPPORT);
			}
			memcpy(made.shm, head, sizeof(head));
		}
	}
	gt_shm_close(&made);
}

Test(shm, a_file_that_could_be_cut_is_refused)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct gt_memory mapped;

	cr_assert_eq(ftruncate(fd, 1 << 20), 0);
	cr_expect_eq(gt_shm_map(fd, &mapped, NULL), -EBADMSG, "no seals");
	cr_assert_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
	cr_expect_eq(gt_shm_map(fd, &mapped, NULL), -EBADMSG, "zeros");
	close(fd);
	fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	cr_assert_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
	cr_expect_eq(gt_shm_map(fd, &mapped, NULL), -EBADMSG, "empty");
	close(fd);
	cr_expect_lt(gt_shm_map(-1, &mapped, NULL), 0);
}

Test(shm, conservation_names_the_block_that_is_twice_or_nowhere)
{
	struct gt_memory memory = make((struct gt_shm_config){.block_count = 32});
	struct gt_error err;
	uint32_t block = gt_queue_take(&memory.exchange.free);

	cr_expect_eq(gt_shm_conserved(&memory, &err), -EBADMSG);
	cr_expect_not_null(strstr(err.text, "block 0 is in no place"), "%s", err.text);
	gt_queue_put(&memory.exchange, &memory.exchange.sealed, block);
	cr_expect_eq(gt_shm_conserved(&memory, &err), 0);
	gt_queue_put(&memory.exchange, &memory.exchange.free, block);
	cr_expect_eq(gt_shm_conserved(&memory, &err), -EBADMSG);
	cr_expect_not_null(strstr(err.text, "block 0 is in two places"), "%s", err.text);
	gt_shm_close(&memory);
}

/* ---- reading what a hostile program wrote ---- */

static uint64_t random_state = 88172645463325252ull;

static uint64_t random_number(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	return random_state ^= random_state << 17;
}

Test(walk, a_memory_full_of_noise_is_read_without_harm)
{
	struct gt_memory memory = make((struct gt_shm_config){
		.block_count = 32, .m_count = 64, .m_limit = 64, .string_slot_count = 16, .string_bytes = 64});
	static uint64_t cells[GT_BLOCK_CELL_BYTES / 8];
	struct gt_copy copy = {0};
	char text[GT_STRING_BYTES_MAX];

	for (int round = 0; round < 300; round++) {
		struct gt_view view;
		uint32_t block;

		/* Small and large numbers, all over, the head's fixed part too: it is not read again. */
		for (uint64_t *at = (uint64_t *)memory.shm;
			at < (uint64_t *)((uint8_t *)memory.shm + memory.total_bytes); at++) {
			uint64_t value = random_number();

			*at = value >> (value & 3 ? 0 : value >> 2 & 63);
		}
		cr_assert_eq(gt_copy_take(&memory, &copy, NULL), 0);
		for (uint32_t i = 0; i < copy.view_count; i++) {
			struct gt_record record;
			struct gt_walk walk = {0};

			while (gt_walk_next(&walk, &copy.views[i], true, &record))
				cr_assert_leq(record.words, 6);
			cr_assert_leq(walk.at, GT_BLOCK_CELL_BYTES);
		}
		for (uint32_t m = 0; m < memory.m_count; m++)
			gt_view_open(&memory, m, cells, &view);
		for (int i = 0; i < 5; i++)
			if (gt_take_sealed(&memory, &block, &view)) {
				cr_assert_lt(block, memory.block_count);
				cr_assert_leq(view.used, GT_BLOCK_CELL_BYTES);
				gt_give_back(&memory, block);
			}
		for (uint64_t id = 0; id < 20; id++)
			cr_assert_leq(gt_string_read(&memory, id, text, sizeof(text)), sizeof(text));
		for (uint32_t m = 0; m < memory.m_count; m++) {
			struct gt_steal steal;

			if (gt_steal_ask(&memory, m, &steal))
				gt_steal_take(&memory, &steal);
			gt_steal_gone(&memory, m);
		}
	}
	gt_copy_free(&copy);
	gt_shm_close(&memory);
}

static uint64_t put(uint64_t *cells, uint64_t at, uint64_t time, unsigned int count, bool committed)
{
	cells[at / 8] = committed ? GT_WORD0(time, GT_REC_STATE, count) : count << 1;
	return at + count * GT_CELL_BYTES;
}

Test(walk, a_record_in_flight_is_stepped_over_or_waited_for)
{
	static uint64_t cells[GT_BLOCK_CELL_BYTES / 8];
	struct gt_view view = {.cells = cells, .t_open = 1000, .t_max = 5000, .open = true};
	struct gt_walk walk = {0};
	struct gt_record record;
	uint64_t at = put(cells, 0, 1001, 1, true);

	at = put(cells, at, 0, 3, false);
	at = put(cells, at, 1003, 2, true);
	view.used = (uint32_t)at;
	cr_expect_eq(gt_walk_next(&walk, &view, false, &record), 1);
	cr_expect_eq(gt_walk_next(&walk, &view, false, &record), 0);
	cr_expect_eq(walk.at, 16, "the walk waits before it");
	cr_expect_eq(gt_walk_next(&walk, &view, true, &record), 1);
	cr_expect_eq(record.ticks, 1003);
	cr_expect_eq(record.words, 4);
	cr_expect_eq(walk.in_flight, 1);
	cr_expect_eq(gt_walk_next(&walk, &view, true, &record), 0);
}

Test(walk, what_an_earlier_use_of_the_block_left_is_no_record)
{
	static uint64_t cells[GT_BLOCK_CELL_BYTES / 8];
	struct gt_view view = {.cells = cells, .t_open = 1000, .t_max = 5000, .used = 64, .open = true};
	const uint64_t times[] = {999, 5001, 0, GT_TIME_MASK};

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		struct gt_walk walk = {0};
		struct gt_record record;

		put(cells, 0, times[i], 1, true);
		put(cells, 16, 2000, 1, true);
		cr_expect_eq(gt_walk_next(&walk, &view, true, &record), 0, "time %llu", (unsigned long long)times[i]);
		cr_expect_eq(walk.in_flight, 1);
	}
}

Test(walk, ticks_have_all_their_bits_across_the_56_bit_border)
{
	static uint64_t cells[GT_BLOCK_CELL_BYTES / 8];
	uint64_t border = (uint64_t)3 << 56;
	struct gt_view view = {.cells = cells, .t_open = border - 10, .t_max = border + 100, .used = 32};
	struct gt_walk walk = {0};
	struct gt_record record;

	put(cells, 0, border - 5, 1, true);
	put(cells, 16, border + 7, 1, true);
	cr_assert_eq(gt_walk_next(&walk, &view, true, &record), 1);
	cr_expect_eq(record.ticks, border - 5);
	cr_assert_eq(gt_walk_next(&walk, &view, true, &record), 1);
	cr_expect_eq(record.ticks, border + 7);
}
