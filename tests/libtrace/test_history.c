/* test_history.c - old blocks come back as they were; the memory is never exceeded; the oldest go first; a window joins both. */
#include "base/clock.h"
#include "format/reading/trace.h"
#include "libtrace/collector.h"
#include "libtrace/history.h"
#include "libtrace/refill.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEPT 20000

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	return *state ^= *state << 17;
}

enum filling { LIKE_RECORDS, NOISE, FULL_OF_HOLES };

static uint32_t fill(uint64_t *cells, uint64_t seed, uint64_t t_open, enum filling filling)
{
	uint64_t random = seed * 0x9e3779b97f4a7c15u + 1, time = t_open;
	uint32_t used = (uint32_t)(next_random(&random) % (GT_BLOCK_CELL_BYTES / GT_CELL_BYTES + 1)) * GT_CELL_BYTES;

	for (uint32_t i = 0; i < used / 8; i++)
		cells[i] = filling == NOISE ? next_random(&random) : next_random(&random) & 0xffff;
	for (uint32_t at = 0; filling != NOISE && at + 2 <= used / 8;) {
		unsigned int count = (unsigned int)(next_random(&random) % 3 + 1);

		time += next_random(&random) % 5000;
		cells[at] = GT_WORD0(time, GT_REC_STATE, count);
		if (filling == FULL_OF_HOLES && next_random(&random) % 5 == 0)
			cells[at] = next_random(&random) % 2 ? 0 : count << 1;
		at += count * 2;
	}
	return used;
}

/* Everything that is held, compared with what was added under the same number. */
static void compare(struct gt_history *h, uint64_t added, enum filling filling)
{
	static uint64_t cells[GT_BLOCK_CELL_BYTES / 8];
	size_t count = gt_history_count(h);
	struct gt_view *views = calloc(count + 1, sizeof(*views));

	gt_history_views(h, views);
	for (size_t i = 0; i < count; i++) {
		uint64_t number = added - count + i;
		uint32_t used = fill(cells, number, 1000000 * number, filling);
		const uint64_t *found = gt_history_cells(h, i);

		cr_assert_eq(views[i].seq, number + 1);
		cr_assert_eq(views[i].m, number % 7);
		cr_assert_eq(views[i].t_open, 1000000 * number);
		cr_assert_eq(views[i].lost, number * 3);
		cr_assert_eq(views[i].used, used);
		cr_assert_not_null(found);
		cr_assert_arr_eq(found, cells, used, "block %zu of %zu", i, count);
	}
	cr_assert_null(gt_history_cells(h, count));
	free(views);
}

static void add_many(enum filling filling, size_t bytes_max, uint64_t blocks)
{
	static uint64_t cells[GT_BLOCK_CELL_BYTES / 8];
	struct gt_history_totals totals;
	struct gt_history *h;

	cr_assert_eq(gt_history_new(bytes_max, &h), 0);
	for (uint64_t number = 0; number < blocks; number++) {
		struct gt_view view = {
			.cells = cells,
			.seq = number + 1,
			.m = (uint32_t)(number % 7),
			.t_open = 1000000 * number,
			.t_max = UINT64_MAX,
			.lost = number * 3,
		};

		view.used = fill(cells, number, view.t_open, filling);
		cr_assert_eq(gt_history_add(h, &view), 0);
		gt_history_totals(h, &totals);
		cr_assert_leq(totals.bytes, bytes_max + GT_HISTORY_CHUNK_BLOCKS * GT_BLOCK_BYTES);
		if (number % 97 == 0 || number + 1 == blocks)
			compare(h, number + 1, filling);
	}
	/* More than the same bytes hold as they are; noise does not shrink. */
	cr_assert_lt(gt_history_count(h), blocks);
	if (filling == LIKE_RECORDS)
		cr_assert_gt(totals.cell_bytes, bytes_max * 3 / 2);
	gt_history_free(h);
}

Test(history, records_come_back)
{
	add_many(LIKE_RECORDS, GT_HISTORY_BYTES_MIN, 1500);
}

Test(history, any_bytes_come_back)
{
	add_many(NOISE, GT_HISTORY_BYTES_MIN + 12345, 700);
	add_many(FULL_OF_HOLES, GT_HISTORY_BYTES_MIN + 8, 700);
}

Test(history, bounds)
{
	static uint64_t cells[GT_BLOCK_CELL_BYTES / 8];
	struct gt_view view = {.cells = cells, .seq = 1, .used = GT_BLOCK_CELL_BYTES + GT_CELL_BYTES};
	struct gt_history *h;

	cr_assert_eq(gt_history_new(GT_HISTORY_BYTES_MIN - 1, &h), -EINVAL);
	cr_assert_eq(gt_history_new(GT_HISTORY_BYTES_MIN, &h), 0);
	cr_assert_eq(gt_history_add(h, &view), -EINVAL);
	cr_assert_eq(gt_history_count(h), 0);
	cr_assert_eq(gt_history_oldest(h), 0);
	cr_assert_null(gt_history_cells(h, 0));
	gt_history_free(h);
}

/* ---- a window: ring and history together ---- */

struct stage {
	struct gt_memory memory;
	struct gt_collector *collector;
	char path[64];
	uint64_t told;
	struct gt_clock_pair start;
};

static void set_up(struct stage *stage)
{
	struct gt_shm_config config = {.block_count = 16, .m_count = 256, .m_limit = 256, .mode = GT_MODE_FLIGHT};
	struct gt_collector_config collector = {.names_bytes_max = 65536, .history_bytes_max = GT_HISTORY_BYTES_MIN};
	struct gt_error err = {""};

	gt_clock_init();
	memset(stage, 0, sizeof(*stage));
	stage->start = gt_clock_pair();
	snprintf(stage->path, sizeof(stage->path), "/tmp/gtrace-history-%d.gtrace", (int)getpid());
	cr_assert_eq(gt_shm_create(&config, &stage->memory, &err), 0, "%s", err.text);
	collector.memory = &stage->memory;
	cr_assert_eq(gt_collector_new(&collector, &stage->collector, &err), 0);
}

/* Goroutine 7 runs and yields, numbered by the P that it runs on: the next @count records. */
static void record(struct stage *stage, unsigned int count)
{
	struct gt_m *m = gt_shm_m(&stage->memory, 0);

	for (unsigned int i = 0; i < count; i++) {
		uint64_t at = atomic_load(&m->pos);
		bool runs = stage->told % 2 == 0;
		uint64_t *cell;

		if (at + GT_CELL_BYTES > atomic_load(&m->end)) {
			cr_assert_eq(gt__refill(stage->memory.shm, m, 0, GT_CELL_BYTES, 1, gt_ticks), GT_REFILL_READY);
			at = atomic_load(&m->pos);
		}
		atomic_store(&m->pos, at + GT_CELL_BYTES);
		cell = (uint64_t *)(void *)((uint8_t *)stage->memory.exchange.blocks + at);
		cell[1] = runs ? GT_STATE_WORD(7, GT_STATE_RUNNABLE, GT_STATE_RUNNING, 1 + stage->told / 2 % 60000)
			       : GT_STATE_WORD(7, GT_STATE_RUNNING, GT_STATE_RUNNABLE, GT_REASON_GOSCHED);
		atomic_store((_Atomic uint64_t *)cell, GT_WORD0(gt_ticks(), GT_REC_STATE, 1));
		atomic_fetch_add(&m->done, GT_CELL_BYTES);
		stage->told++;
	}
}

struct stood {
	int64_t time_ns;
	uint64_t count, m;
	uint8_t state, reason;
};

struct seen {
	uint64_t first, next, events, lost, gaps;
	int64_t edge_ns;        /* all is there from here on */
	struct stood stood[16]; /* by goroutine: GoState */
};

static struct gt_snapshot_result snapshot(struct stage *stage, struct seen *seen)
{
	struct gt_clock_pair now = gt_clock_pair();
	struct gt_writer_config config = {
		.path = stage->path,
		.window = true,
		.ticks_per_second = gt_clock_rate(),
		.start_ticks = stage->start.ticks,
		.start_monotonic_ns = stage->start.monotonic_ns,
	};
	struct gt_snapshot_result result;
	struct gt_event event;
	struct gt_writer *writer;
	struct gt_trace_info info;
	struct gt_trace *trace;
	struct gt_error err = {""};

	memset(seen, 0, sizeof(*seen));
	cr_assert_eq(gt_writer_open(&config, &writer, &err), 0, "%s", err.text);
	cr_assert_eq(gt_collector_snapshot(stage->collector, writer, &result), 0);
	now = gt_clock_pair();
	cr_assert_eq(gt_writer_close(writer, now.ticks, now.monotonic_ns, &err), 0, "%s", err.text);
	cr_assert_eq(gt_trace_open(stage->path, &trace, &err), 0, "%s", err.text);
	while (gt_trace_next(trace, &event) > 0) {
		if (event.kind == GT_EV_GO_STATE && event.args[0] < 16) {
			struct stood *stood = &seen->stood[event.args[0]];

			cr_assert_eq(event.args[1], GT_STATE_NONE);
			*stood = (struct stood){event.time_ns, stood->count + 1, event.m, (uint8_t)event.args[2],
				(uint8_t)event.args[3]};
		}
		if (event.kind == GT_EV_LOST) {
			seen->lost += event.args[0];
			seen->gaps++;
		}
		if (event.kind != GT_EV_GO_RUN)
			continue;
		if (!seen->events++)
			seen->first = event.args[2] - 1;
		else if (event.args[2] - 1 != seen->next % 60000)
			cr_assert(seen->gaps, "run %lu instead of %lu", event.args[2] - 1, seen->next);
		seen->next = event.args[2];
	}
	gt_trace_info(trace, &info);
	seen->edge_ns = info.complete_ns;
	gt_trace_close(trace);
	unlink(stage->path);
	return result;
}

static void tear_down(struct stage *stage)
{
	gt_collector_free(stage->collector);
	gt_shm_close(&stage->memory);
}

Test(window, whole_as_long_as_the_history_holds_it)
{
	struct gt_snapshot_result result;
	struct stage stage;
	struct seen seen;

	set_up(&stage);
	for (int i = 0; i < 100; i++) {
		record(&stage, 500);
		gt_collector_follow(stage.collector);
	}
	result = snapshot(&stage, &seen);
	cr_assert(result.whole);
	cr_assert_eq(result.blocks_missed, 0);
	cr_assert_eq(seen.lost, 0);
	cr_assert_eq(seen.first, 0);
	cr_assert_eq(seen.events, stage.told / 2);
	/* And again the same. */
	result = snapshot(&stage, &seen);
	cr_assert_eq(seen.events, stage.told / 2);
	tear_down(&stage);
}

Test(window, an_unbroken_end_when_the_history_is_full)
{
	struct gt_snapshot_result result;
	struct stage stage;
	struct seen seen;

	set_up(&stage);
	for (int i = 0; i < 4000; i++) {
		record(&stage, 500);
		gt_collector_follow(stage.collector);
	}
	result = snapshot(&stage, &seen);
	cr_assert_not(result.whole);
	cr_assert_eq(seen.lost, 0);
	cr_assert_eq(seen.next % 60000, stage.told / 2 % 60000);
	cr_assert_gt(seen.events * 2 * GT_CELL_BYTES, GT_HISTORY_BYTES_MIN);
	tear_down(&stage);
}

/* As they were read: 7 is busy, 9 and 12 wait, 10 runs on the busy M, 11 is in a call on M 5. */
static void read_standing(struct stage *stage, uint64_t ticks)
{
	const struct gt_found found[] = {
		{.g = 7, .state = GT_STATE_RUNNABLE, .m = UINT64_MAX},
		{.g = 9, .state = GT_STATE_WAITING, .reason = GT_REASON_CHAN_RECEIVE, .m = UINT64_MAX},
		{.g = 10, .state = GT_STATE_RUNNING, .m = 0, .p = 1},
		{.g = 11, .state = GT_STATE_SYSCALL, .m = 5},
		{.g = 12, .state = GT_STATE_RUNNABLE, .m = UINT64_MAX, .fresh = true},
	};
	struct gt_found *list = malloc(sizeof(found));

	memcpy(list, found, sizeof(found));
	gt_collector_standing(stage->collector, ticks, list, sizeof(found) / sizeof(found[0]));
}

Test(window, who_did_nothing_is_told_as_he_stands)
{
	static const uint64_t told[] = {[9] = 1, [11] = 1, [12] = 1, [15] = 0};
	struct gt_snapshot_result result;
	struct stage stage;
	struct seen seen;

	set_up(&stage);
	record(&stage, 500);
	gt_collector_follow(stage.collector);
	/* All there ever was is held: whoever is not in it was not there. */
	read_standing(&stage, gt_ticks());
	result = snapshot(&stage, &seen);
	cr_assert(result.whole);
	cr_assert_eq(result.standing, 0);

	gt_collector_keep(stage.collector, 1);
	for (int i = 0; i < 40; i++) {
		record(&stage, 500);
		gt_collector_follow(stage.collector);
	}
	read_standing(&stage, gt_ticks());
	for (int again = 0; again < 2; again++) {
		result = snapshot(&stage, &seen);
		cr_assert_not(result.whole);
		cr_assert_eq(result.standing, 3);
		for (uint64_t g = 0; g < 16; g++)
			cr_assert_eq(seen.stood[g].count, told[g], "goroutine %lu: %lu times", g, seen.stood[g].count);
		for (uint64_t g = 9; g <= 12; g++)
			cr_assert(g == 10 || seen.stood[g].time_ns == seen.edge_ns, "goroutine %lu: %ld instead of %ld",
				g, seen.stood[g].time_ns, seen.edge_ns);
		cr_assert_eq(seen.stood[9].state, GT_STATE_WAITING);
		cr_assert_eq(seen.stood[9].reason, GT_REASON_CHAN_RECEIVE);
		cr_assert_eq(seen.stood[11].state, GT_STATE_SYSCALL);
		cr_assert_eq(seen.stood[11].m, 5);
		cr_assert_eq(seen.stood[12].state, GT_STATE_RUNNABLE);
		/* No M of the program's. */
		cr_assert_eq(seen.stood[12].m, seen.stood[9].m);
		cr_assert_neq(seen.stood[12].m, 0);
		cr_assert_neq(seen.stood[12].m, 5);
		cr_assert_eq(seen.lost, 0);
	}

	/* A list that is older than what is missing says nothing. */
	read_standing(&stage, 1);
	result = snapshot(&stage, &seen);
	cr_assert_eq(result.standing, 0);
	gt_collector_standing(stage.collector, 0, NULL, 0);
	result = snapshot(&stage, &seen);
	cr_assert_eq(result.standing, 0);
	tear_down(&stage);
}

static uint64_t packed_bytes(const struct stage *stage)
{
	struct gt_collector_totals totals;

	gt_collector_totals(stage->collector, &totals);
	return totals.history_bytes;
}

static void record_for_a_while(struct stage *stage)
{
	for (int i = 0; i < 40; i++) {
		record(stage, 500);
		gt_collector_follow(stage->collector);
	}
}

Test(window, what_is_old_enough_is_not_packed)
{
	struct gt_snapshot_result result;
	struct stage stage;
	struct seen seen;

	set_up(&stage);
	/* All is older than a tick by the next round. */
	gt_collector_keep(stage.collector, 1);
	record_for_a_while(&stage);
	cr_assert_eq(packed_bytes(&stage), 0);
	result = snapshot(&stage, &seen);
	cr_assert_not(result.whole);
	cr_assert_eq(result.blocks_missed, 0);
	cr_assert_eq(seen.lost, 0);
	cr_assert_eq(seen.next % 60000, stage.told / 2 % 60000);
	tear_down(&stage);
}

Test(window, what_was_packed_goes_when_it_is_older_than_what_was_not)
{
	struct gt_snapshot_result result;
	struct stage stage;
	struct seen seen;

	set_up(&stage);
	/* An hour: the ring is too small for that. */
	gt_collector_keep(stage.collector, 3600 * gt_clock_rate());
	record_for_a_while(&stage);
	cr_assert_gt(packed_bytes(&stage), 0);
	result = snapshot(&stage, &seen);
	cr_assert(result.whole);
	cr_assert_eq(seen.events, stage.told / 2);
	gt_collector_keep(stage.collector, 1);
	record_for_a_while(&stage);
	cr_assert_eq(packed_bytes(&stage), 0);
	result = snapshot(&stage, &seen);
	cr_assert_not(result.whole);
	cr_assert_eq(result.blocks_missed, 0);
	cr_assert_eq(seen.lost, 0);
	cr_assert_eq(seen.next % 60000, stage.told / 2 % 60000);
	/* And again. */
	gt_collector_keep(stage.collector, 0);
	record_for_a_while(&stage);
	cr_assert_gt(packed_bytes(&stage), 0);
	result = snapshot(&stage, &seen);
	cr_assert_eq(result.blocks_missed, 0);
	cr_assert_eq(seen.lost, 0);
	cr_assert_gt(seen.events, stage.told / 2 / 4);
	tear_down(&stage);
}

Test(window, a_late_collector_leaves_a_gap_that_is_told)
{
	struct gt_snapshot_result result;
	struct stage stage;
	struct seen seen;

	set_up(&stage);
	for (int i = 0; i < 40; i++) {
		record(&stage, 500);
		gt_collector_follow(stage.collector);
	}
	record(&stage, KEPT); /* five times the ring */
	gt_collector_follow(stage.collector);
	result = snapshot(&stage, &seen);
	cr_assert_not(result.whole);
	cr_assert_gt(result.blocks_missed, 0);
	cr_assert_eq(seen.lost, result.blocks_missed);
	cr_assert_eq(seen.gaps, 1);
	cr_assert_eq(seen.first, 0);
	cr_assert_eq(seen.next % 60000, stage.told / 2 % 60000);
	cr_assert_lt(result.complete_ticks, result.kept_ticks);
	tear_down(&stage);
}
