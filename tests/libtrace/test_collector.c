/* test_collector.c - streaming: what a round finds when it looks at an M in the middle of its slow path. */
#include "base/clock.h"
#include "format/reading/trace.h"
#include "libtrace/collector.h"
#include "libtrace/refill.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct stage {
	struct gt_memory memory;
	struct gt_collector *collector;
	struct gt_writer *writer;
	struct gt_m *m;
	char path[64];
	uint64_t told; /* records written */
};

static void set_up(struct stage *stage)
{
	struct gt_shm_config config = {.block_count = 32, .m_count = 256, .m_limit = 256};
	struct gt_collector_config collector = {0};
	struct gt_writer_config writer = {.path = stage->path};
	struct gt_error err = {""};
	struct gt_clock_pair now;

	gt_clock_init();
	now = gt_clock_pair();
	snprintf(stage->path, sizeof(stage->path), "/tmp/gtrace-collector-%d.gtrace", (int)getpid());
	cr_assert_eq(gt_shm_create(&config, &stage->memory, &err), 0, "%s", err.text);
	collector.memory = &stage->memory;
	cr_assert_eq(gt_collector_new(&collector, &stage->collector, &err), 0);
	writer.ticks_per_second = gt_clock_rate();
	writer.start_ticks = now.ticks;
	writer.start_monotonic_ns = now.monotonic_ns;
	cr_assert_eq(gt_writer_open(&writer, &stage->writer, &err), 0, "%s", err.text);
	stage->m = gt_shm_m(&stage->memory, 0);
	stage->told = 0;
}

/* Records of goroutine 7 that waits and runs, as long as they fit; at most @most. */
static void record(struct stage *stage, unsigned int most)
{
	struct gt_m *m = stage->m;

	for (unsigned int i = 0; i < most; i++) {
		uint64_t at = atomic_load(&m->pos);
		uint64_t *cell;
		bool runs = stage->told % 2 == 0;

		if (at + GT_CELL_BYTES > atomic_load(&m->end))
			return;
		atomic_store(&m->pos, at + GT_CELL_BYTES);
		cell = (uint64_t *)(void *)((uint8_t *)stage->memory.exchange.blocks + at);
		cell[1] = runs ? GT_STATE_WORD(7, GT_STATE_WAITING, GT_STATE_RUNNING, 1)
			       : GT_STATE_WORD(7, GT_STATE_RUNNING, GT_STATE_WAITING, GT_REASON_SLEEP);
		atomic_store((_Atomic uint64_t *)cell, GT_WORD0(gt_ticks(), GT_REC_STATE, 1));
		atomic_fetch_add(&m->done, GT_CELL_BYTES);
		stage->told++;
	}
}

static void join(struct stage *stage)
{
	cr_assert_eq(gt__refill(stage->memory.shm, stage->m, 0, GT_CELL_BYTES, 1, gt_ticks), GT_REFILL_READY);
}

/* The first half of the slow path: the block is in the queue, the M has not let go of it yet. */
static uint32_t seal_half(struct stage *stage)
{
	struct gt_m *m = stage->m;
	uint64_t own = atomic_load(&m->own);
	uint32_t block = GT_OWN_BLOCK(own);

	atomic_store(&m->end, 0);
	atomic_store(&m->own, GT_OWN(block, GT_OWN_VERSION(own), GT_OWN_BUSY));
	atomic_store(&stage->memory.exchange.blocks[block].used, atomic_load(&m->pos) - gt__block_begin(block));
	gt_queue_put(&stage->memory.exchange, &stage->memory.exchange.sealed, block);
	return block;
}

static void open_next(struct stage *stage)
{
	uint32_t block = gt_queue_take(&stage->memory.exchange.free);

	cr_assert_neq(block, GT_NO_BLOCK);
	gt__open_block(&stage->memory.exchange, stage->m, 0, block, gt_ticks);
}

static void round_once(struct stage *stage)
{
	cr_assert_eq(gt_collector_round(stage->collector, stage->writer, NULL), 0);
}

/* Finishes, reads the file back: every record is there once, in order. */
static void expect_all(struct stage *stage)
{
	struct gt_collector_totals totals;
	struct gt_clock_pair now = gt_clock_pair();
	struct gt_trace *trace;
	struct gt_event event;
	struct gt_error err;
	uint64_t count = 0;

	cr_assert_eq(gt_collector_finish(stage->collector, stage->writer), 0);
	gt_collector_totals(stage->collector, &totals);
	cr_assert_eq(gt_writer_close(stage->writer, now.ticks, now.monotonic_ns, &err), 0, "%s", err.text);
	cr_assert_eq(gt_trace_open(stage->path, &trace, &err), 0, "%s", err.text);
	while (gt_trace_next(trace, &event) == 1) {
		cr_assert_eq(event.kind, count % 2 == 0 ? GT_EV_GO_RUN : GT_EV_GO_BLOCK, "event %lu", count);
		count++;
	}
	cr_assert_eq(count, stage->told, "%lu of %lu", count, stage->told);
	cr_assert_eq(totals.lost, 0);
	cr_assert_eq(totals.records_bad, 0);
	gt_trace_close(trace);
	unlink(stage->path);
	gt_collector_free(stage->collector);
	gt_shm_close(&stage->memory);
}

Test(collector, an_open_block_is_read_as_far_as_it_is_committed)
{
	struct stage stage;

	set_up(&stage);
	join(&stage);
	for (int i = 0; i < 20; i++) {
		record(&stage, 7);
		round_once(&stage);
	}
	expect_all(&stage);
}

Test(collector, a_block_that_the_queue_brought_is_not_waited_for_again)
{
	struct stage stage;

	set_up(&stage);
	join(&stage);
	record(&stage, 1000);
	seal_half(&stage);
	round_once(&stage); /* takes the sealed block, and still sees it as the M's own */
	open_next(&stage);
	record(&stage, 9);
	round_once(&stage);
	expect_all(&stage);
}

Test(collector, a_block_that_was_read_while_open_comes_from_the_queue_with_the_rest)
{
	struct stage stage;

	set_up(&stage);
	join(&stage);
	record(&stage, 100);
	round_once(&stage);
	record(&stage, 1000);
	seal_half(&stage);
	open_next(&stage);
	record(&stage, 5);
	round_once(&stage);
	expect_all(&stage);
}

Test(collector, many_blocks_between_two_rounds_stay_in_order)
{
	struct stage stage;

	set_up(&stage);
	join(&stage);
	for (int i = 0; i < 40; i++) {
		record(&stage, 1000);
		seal_half(&stage);
		if (i % 3 == 0)
			round_once(&stage);
		open_next(&stage);
		record(&stage, 3);
		if (i % 5 == 0)
			round_once(&stage);
	}
	expect_all(&stage);
}

Test(collector, what_is_behind_the_last_commit_at_the_end_is_counted)
{
	struct stage stage;
	struct gt_collector_totals totals;

	set_up(&stage);
	join(&stage);
	record(&stage, 10);
	atomic_fetch_add(&stage.m->pos, GT_CELL_BYTES); /* reserved; killed before the commit */
	cr_assert_eq(gt_collector_finish(stage.collector, stage.writer), 0);
	gt_collector_totals(stage.collector, &totals);
	cr_assert_eq(totals.lost_in_flight, 1);
	cr_assert_eq(totals.events, 10);
	gt_writer_abandon(stage.writer);
	gt_collector_free(stage.collector);
	gt_shm_close(&stage.memory);
}
