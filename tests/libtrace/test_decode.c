/* test_decode.c - records to events: each kind, what a coroutine switch may repeat, and records that no hook writes. */
#include "libtrace/decode.h"
#include "libtrace/go_text.h"
#include "libtrace/shm.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

static struct gt_record state(uint64_t g, unsigned int old, unsigned int new_, unsigned int arg)
{
	return (struct gt_record){
		.ticks = 5, .kind = GT_REC_STATE, .words = 2, .word = {0, GT_STATE_WORD(g, old, new_, arg)}};
}

static struct gt_record state2(
	uint64_t g, unsigned int old, unsigned int new_, unsigned int arg, uint32_t stack, uint64_t by)
{
	struct gt_record record = state(g, old, new_, arg);

	record.kind = GT_REC_STATE2;
	record.words = 4;
	record.word[2] = stack;
	record.word[3] = by;
	return record;
}

static struct gt_record coro(uint64_t from, bool exits, uint64_t to, uint32_t p)
{
	return (struct gt_record){.ticks = 5,
		.kind = GT_REC_CORO,
		.words = 4,
		.word = {0, from | (uint64_t)exits << 40, (uint64_t)p << 32 | 77, to}};
}

static int decode(struct gt_decoder *decoder, struct gt_record record, struct gt_event *out)
{
	return gt_decode(decoder, NULL, &record, out);
}

Test(decode, each_change_of_state_has_its_event)
{
	static const struct {
		unsigned int old, new_;
		enum gt_event_kind kind;
	} cases[] = {
		{GT_STATE_RUNNABLE, GT_STATE_RUNNING, GT_EV_GO_RUN},
		{GT_STATE_WAITING, GT_STATE_RUNNING, GT_EV_GO_RUN},
		{GT_STATE_RUNNING, GT_STATE_WAITING, GT_EV_GO_BLOCK},
		{GT_STATE_RUNNING, GT_STATE_RUNNABLE, GT_EV_GO_YIELD},
		{GT_STATE_RUNNING, GT_STATE_SYSCALL, GT_EV_GO_SYSCALL},
		{GT_STATE_RUNNING, GT_STATE_DEAD, GT_EV_GO_END},
		{GT_STATE_SYSCALL, GT_STATE_RUNNING, GT_EV_GO_SYSEXIT},
		{GT_STATE_SYSCALL, GT_STATE_RUNNABLE, GT_EV_GO_SYSEXIT},
		{GT_STATE_WAITING, GT_STATE_RUNNABLE, GT_EV_GO_READY},
		{GT_STATE_DEAD, GT_STATE_SYSCALL, GT_EV_GO_STATE},
		{GT_STATE_RUNNABLE, GT_STATE_WAITING, GT_EV_GO_STATE},
		{GT_STATE_SYSCALL, GT_STATE_DEAD, GT_EV_GO_STATE},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct gt_decoder decoder = {0};
		struct gt_event out[GT_DECODE_EVENTS_MAX];

		cr_assert_eq(decode(&decoder, state(9, cases[i].old, cases[i].new_, 0), out), 1);
		cr_assert_eq(out[0].kind, cases[i].kind, "case %zu", i);
		cr_assert_eq(out[0].args[0], 9);
		cr_assert_eq(out[0].ticks, 5);
	}
}

Test(decode, a_run_tells_its_p_and_a_wake_who_did_it)
{
	struct gt_decoder decoder = {0};
	struct gt_event out[GT_DECODE_EVENTS_MAX];

	decode(&decoder, state(9, GT_STATE_RUNNABLE, GT_STATE_RUNNING, 4), out);
	cr_assert_eq(out[0].args[1], GT_STATE_RUNNABLE);
	cr_assert_eq(out[0].args[2], 4);
	decode(&decoder, state2(9, GT_STATE_WAITING, GT_STATE_RUNNABLE, 0, 0, 12), out);
	cr_assert_eq(out[0].args[2], 12);
}

Test(decode, wait_reasons_are_mapped_and_unknown_ones_are_unknown)
{
	struct gt_decoder decoder = {0};
	struct gt_event out[GT_DECODE_EVENTS_MAX];
	uint8_t reasons[256] = {[19] = GT_REASON_CHAN_RECEIVE};
	struct gt_record record = state2(9, GT_STATE_RUNNING, GT_STATE_WAITING, 19, 3, 0);

	cr_assert_eq(gt_decode(&decoder, reasons, &record, out), 1);
	cr_assert_eq(out[0].args[1], GT_REASON_CHAN_RECEIVE);
	cr_assert_eq(out[0].args[2], 3);
	record = state2(9, GT_STATE_RUNNING, GT_STATE_WAITING, 500, 3, 0);
	gt_decode(&decoder, reasons, &record, out);
	cr_assert_eq(out[0].args[1], GT_REASON_UNKNOWN);
	/* A yield's reason is gtrace's own already. */
	record = state(9, GT_STATE_RUNNING, GT_STATE_RUNNABLE, GT_REASON_PREEMPT);
	gt_decode(&decoder, reasons, &record, out);
	cr_assert_eq(out[0].args[1], GT_REASON_PREEMPT);
}

Test(decode, a_coroutine_switch_is_two_events)
{
	struct gt_decoder decoder = {0};
	struct gt_event out[GT_DECODE_EVENTS_MAX];

	cr_assert_eq(decode(&decoder, coro(7, false, 8, 2), out), 2);
	cr_assert_eq(out[0].kind, GT_EV_GO_BLOCK);
	cr_assert_eq(out[0].args[1], GT_REASON_COROUTINE);
	cr_assert_eq(out[0].args[2], 77);
	cr_assert_eq(out[1].kind, GT_EV_GO_RUN);
	cr_assert_eq(out[1].args[0], 8);
	cr_assert_eq(out[1].args[1], GT_STATE_WAITING);
	cr_assert_eq(out[1].args[2], 2);
}

Test(decode, what_the_runtime_repeats_after_a_switch_is_told_once)
{
	struct gt_decoder decoder = {0};
	struct gt_event out[GT_DECODE_EVENTS_MAX];

	decode(&decoder, coro(7, false, 8, 2), out);
	cr_assert_eq(decode(&decoder, state(7, GT_STATE_RUNNING, GT_STATE_WAITING, 0), out), 0);
	cr_assert_eq(decode(&decoder, state2(8, GT_STATE_WAITING, GT_STATE_RUNNABLE, 0, 0, 0), out), 0);
	cr_assert_eq(decode(&decoder, state(8, GT_STATE_RUNNABLE, GT_STATE_RUNNING, 2), out), 0);
	/* 8 blocks for itself: that is new, and so is everything after it. */
	cr_assert_eq(decode(&decoder, state(8, GT_STATE_RUNNING, GT_STATE_WAITING, 0), out), 1);
	cr_assert_eq(decode(&decoder, state2(8, GT_STATE_WAITING, GT_STATE_RUNNABLE, 0, 0, 7), out), 1);
	cr_assert_eq(decode(&decoder, state(7, GT_STATE_RUNNING, GT_STATE_WAITING, 0), out), 1);
}

Test(decode, a_coroutine_that_ends_runs_the_next_after_its_end)
{
	struct gt_decoder decoder = {0};
	struct gt_event out[GT_DECODE_EVENTS_MAX];

	cr_assert_eq(decode(&decoder, coro(7, true, 8, 2), out), 0);
	cr_assert_eq(decode(&decoder, state(7, GT_STATE_RUNNING, GT_STATE_DEAD, 0), out), 2);
	cr_assert_eq(out[0].kind, GT_EV_GO_END);
	cr_assert_eq(out[1].kind, GT_EV_GO_RUN);
	cr_assert_eq(out[1].args[0], 8);
	/* The slow way of the same switch. */
	cr_assert_eq(decode(&decoder, state2(8, GT_STATE_WAITING, GT_STATE_RUNNABLE, 0, 0, 0), out), 0);
	cr_assert_eq(decode(&decoder, state(8, GT_STATE_RUNNABLE, GT_STATE_RUNNING, 2), out), 0);
	cr_assert_eq(decode(&decoder, state(8, GT_STATE_RUNNING, GT_STATE_RUNNABLE, GT_REASON_GOSCHED), out), 1);
}

Test(decode, records_that_no_hook_writes_are_refused)
{
	struct gt_decoder decoder = {0};
	struct gt_event out[GT_DECODE_EVENTS_MAX];
	struct gt_record record = {.kind = 0, .words = 2};

	for (unsigned int kind = 0; kind < 32; kind++) {
		record.kind = kind;
		record.words = 2;
		/* Of those that need one cell any word is good that names a goroutine. */
		memset(record.word, kind >= GT_REC_HINT && kind <= GT_REC_WOKEN ? 0 : 0xff, sizeof(record.word));
		if (kind == GT_REC_ALLOC) /* any word at all */
			record.words = 1;
		cr_assert_eq(gt_decode(&decoder, NULL, &record, out), -EBADMSG, "kind %u", kind);
	}
	cr_assert_eq(decode(&decoder, state(1, 5, GT_STATE_RUNNING, 0), out), -EBADMSG);
	record = state2(1, GT_STATE_WAITING, GT_STATE_RUNNABLE, 0, 0, 0);
	record.words = 2;
	cr_assert_eq(decode(&decoder, record, out), -EBADMSG);
	cr_assert_eq(decode(&decoder, coro(0, false, 8, 1), out), -EBADMSG);
}

Test(decode, marks_and_slots_and_threads)
{
	struct gt_decoder decoder = {0};
	struct gt_event out[GT_DECODE_EVENTS_MAX];
	struct gt_record record = {.kind = GT_REC_SLOT, .words = 2, .word = {0, GT_SLOT_STOP | 3 << 8}};

	cr_assert_eq(decode(&decoder, record, out), 1);
	cr_assert_eq(out[0].kind, GT_EV_P_STOP);
	cr_assert_eq(out[0].args[0], 3);
	record.kind = GT_REC_THREAD;
	record.word[1] = GT_THREAD_START | 4711 << 8;
	cr_assert_eq(decode(&decoder, record, out), 1);
	cr_assert_eq(out[0].kind, GT_EV_M_START);
	cr_assert_eq(out[0].args[0], 4711);
	record = (struct gt_record){.kind = GT_REC_MARK, .words = 6, .word = {0, GT_MARK_LOG | 9 << 8, 1, 0, 22, 23}};
	cr_assert_eq(decode(&decoder, record, out), 1);
	cr_assert_eq(out[0].kind, GT_EV_LOG);
	cr_assert_eq(out[0].args[0], 9);
	cr_assert_eq(out[0].args[2], 22);
	cr_assert_eq(out[0].args[3], 23);
}

static struct gt_record gc(unsigned int op, uint64_t g, uint64_t arg, uint64_t word2, uint64_t word3)
{
	return (struct gt_record){.ticks = 5,
		.kind = GT_REC_GC,
		.words = 4,
		.word = {0, (uint64_t)op | g << 8 | arg << 48, word2, word3}};
}

Test(decode, what_the_collector_of_go_does)
{
	static const struct {
		unsigned int op;
		uint64_t arg;
		enum gt_event_kind kind;
		uint64_t args[3];
	} cases[] = {
		{GT_GC_BEGIN, 0, GT_EV_GC_BEGIN, {7, 11, 22}},
		{GT_GC_END, 0, GT_EV_GC_END, {11}},
		{GT_GC_STW_BEGIN, 1, GT_EV_STW_BEGIN, {7, GT_GO_TEXT_BASE + 1, 22}},
		{GT_GC_STW_BEGIN, 4000, GT_EV_STW_BEGIN, {7, GT_GO_TEXT_BASE, 22}},
		{GT_GC_STW_STOPPED, 0, GT_EV_STW_STOPPED, {7}},
		{GT_GC_STW_END, 0, GT_EV_STW_END, {7}},
		{GT_GC_ASSIST_BEGIN, 0, GT_EV_ASSIST_BEGIN, {7, 22}},
		{GT_GC_ASSIST_END, 0, GT_EV_ASSIST_END, {7}},
		{GT_GC_SWEEP_BEGIN, 3, GT_EV_SWEEP_BEGIN, {3, 22}},
		{GT_GC_SWEEP_END, 3, GT_EV_SWEEP_END, {3, 11, 22}},
		{GT_GC_LABEL, 2, GT_EV_GO_LABEL, {7, GT_GO_TEXT_BASE + GT_GO_TEXT_LABEL + 2}},
		{GT_GC_PROCS, 0, GT_EV_PROCS, {11, 22}},
		{GT_GC_STACKS, 0, GT_EV_STACK_MEMORY, {11}},
		{GT_GC_GOAL, 0, GT_EV_HEAP_GOAL, {11}},
	};
	struct gt_decoder decoder = {0};
	struct gt_event out[GT_DECODE_EVENTS_MAX];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cr_assert_eq(decode(&decoder, gc(cases[i].op, 7, cases[i].arg, 11, 22), out), 1, "op %u", cases[i].op);
		cr_expect_eq(out[0].kind, cases[i].kind, "op %u", cases[i].op);
		for (unsigned int j = 0; j < 3; j++)
			cr_expect_eq(out[0].args[j], cases[i].args[j], "op %u, argument %u", cases[i].op, j);
	}
	cr_expect_eq(decode(&decoder, gc(0, 7, 0, 0, 0), out), -EBADMSG);
	cr_expect_eq(decode(&decoder, gc(GT_GC_GOAL + 1, 7, 0, 0, 0), out), -EBADMSG);
	cr_expect_eq(decode(&decoder, gc(GT_GC_LABEL, 7, 0, 0, 0), out), -EBADMSG);
	cr_expect_eq(decode(&decoder, gc(GT_GC_LABEL, 7, 4, 0, 0), out), -EBADMSG);
}

/* Until Go 1.20 a stop's reason is a text; the record has its length and first letter. */
Test(decode, reasons_to_stop_the_world)
{
	cr_expect_str_eq(gt_go_text(GT_GO_TEXT_BASE + gt_go_stw_reason(0x8000)), "GC sweep termination");
	cr_expect_str_eq(gt_go_text(GT_GO_TEXT_BASE + gt_go_stw_reason(0x8000 | 5 << 8 | 'g')), "GC mark termination");
	cr_expect_str_eq(gt_go_text(GT_GO_TEXT_BASE + gt_go_stw_reason(0x8000 | 15 << 8 | 'w')), "write heap dump");
	cr_expect_str_eq(
		gt_go_text(GT_GO_TEXT_BASE + gt_go_stw_reason(0x8000 | 15 << 8 | 'p')), "goroutine profile cleanup");
	cr_expect_str_eq(gt_go_text(GT_GO_TEXT_BASE + gt_go_stw_reason(0x8000 | 99 << 8 | 'p')), "unknown");
	cr_expect_str_eq(gt_go_text(GT_GO_TEXT_BASE + gt_go_stw_reason(9)), "GOMAXPROCS");
	cr_expect_null(gt_go_text(GT_GO_TEXT_BASE - 1));
	cr_expect_null(gt_go_text(GT_GO_TEXT_BASE + GT_GO_TEXT_END));
	cr_expect_null(gt_go_text(UINT64_MAX));
}

Test(decode, a_go_programs_allocation_tells_its_type)
{
	struct gt_record record = {.ticks = 5,
		.kind = GT_REC_HEAP,
		.words = 6,
		.word = {0, GT_HEAP_ALLOC | 7u << 8, 0, 64, 1000, (uint64_t)0x1234 << 32 | 9}};
	struct gt_decoder decoder = {0};
	struct gt_event out[GT_DECODE_EVENTS_MAX];

	cr_assert_eq(decode(&decoder, record, out), 2);
	cr_expect(out[0].kind == GT_EV_ALLOC && out[0].args[2] == 64 && out[0].args[3] == 1000 && out[0].args[4] == 9);
	cr_expect(out[1].kind == GT_EV_ALLOC_TYPE && out[1].args[0] == 7 && out[1].args[1] == GT_GO_TYPE_BASE + 0x1234);
	record.word[5] = 9;
	cr_expect_eq(decode(&decoder, record, out), 1);
}

Test(decode, where_all_allocations_are_told_a_record_is_brief)
{
	struct gt_record record = {.ticks = 5,
		.kind = GT_REC_HEAP,
		.words = 4,
		.word = {0, GT_HEAP_ALLOC | 7u << 8, 64, (uint64_t)0x1234 << 32 | 9}};
	struct gt_decoder decoder = {0};
	struct gt_event out[GT_DECODE_EVENTS_MAX];

	cr_assert_eq(decode(&decoder, record, out), 2);
	cr_expect(out[0].kind == GT_EV_ALLOC && out[0].args[0] == 7 && out[0].args[1] == 0 && out[0].args[2] == 64 &&
		  out[0].args[3] == 64 && out[0].args[4] == 9);
	cr_expect(out[1].kind == GT_EV_ALLOC_TYPE && out[1].args[1] == GT_GO_TYPE_BASE + 0x1234);
}

Test(decode, a_long_call_is_told_at_its_end)
{
	struct gt_record record = {.ticks = 5,
		.kind = GT_REC_SYSCALL,
		.words = 6,
		.word = {0, GT_SYSCALL_LONG | 9ull << 8 | 17ull << 48, (uint64_t)-11, 4, 100, 5000}};
	struct gt_event out[GT_DECODE_EVENTS_MAX];
	struct gt_decoder decoder = {0};

	cr_assert_eq(decode(&decoder, record, out), 2);
	cr_assert_eq(out[0].kind, GT_EV_SYSCALL_LONG);
	cr_assert_eq(out[0].args[0], 9);
	cr_assert_eq(out[0].args[1], 17);
	cr_assert_eq(out[0].args[2], 4);
	cr_assert_eq(out[0].args[3], 100);
	cr_assert_eq(out[0].args[4], 5000);
	cr_assert_eq(out[1].kind, GT_EV_SYSCALL_RESULT);
	cr_assert_eq(out[1].args[1], 17);
	cr_assert_eq(out[1].args[2], 0);
	cr_assert_eq(out[1].args[3], 11);
	record.words = 4;
	cr_assert_eq(decode(&decoder, record, out), -EBADMSG);
}

Test(decode, a_raw_calls_stack_comes_before_its_result)
{
	struct gt_record record = {.ticks = 5,
		.kind = GT_REC_SYSCALL,
		.words = 4,
		.word = {0, GT_SYSCALL_EXIT | 9ull << 8 | 39ull << 48, 1234, 77}};
	struct gt_event out[GT_DECODE_EVENTS_MAX];
	struct gt_decoder decoder = {0};

	cr_assert_eq(decode(&decoder, record, out), 2);
	cr_assert_eq(out[0].kind, GT_EV_SYSCALL_STACK);
	cr_assert_eq(out[0].args[1], 77);
	cr_assert_eq(out[1].kind, GT_EV_SYSCALL_RESULT);
	cr_assert_eq(out[1].args[2], 1234);
	record.word[3] = 0;
	cr_assert_eq(decode(&decoder, record, out), 1);
}

static struct gt_record brief(unsigned int kind, uint64_t g, uint64_t side)
{
	return (struct gt_record){.ticks = 5, .kind = kind, .words = 2, .word = {0, g | side << GT_G_BITS}};
}

static struct gt_record alloc(uint64_t g, uint64_t bytes, uint64_t stack, uint64_t type)
{
	return (struct gt_record){
		.ticks = 5, .kind = GT_REC_ALLOC, .words = 2, .word = {0, g | stack << 15 | bytes << 32 | type << 42}};
}

static struct gt_record alloc_longer(uint64_t g, uint64_t bytes, uint64_t stack, uint64_t type)
{
	return (struct gt_record){.ticks = 5,
		.kind = GT_REC_HEAP,
		.words = 4,
		.word = {0, GT_HEAP_ALLOC | g << 8, bytes, type << 32 | stack}};
}

/* A record of one cell gives the very events of the longer ones. */
Test(decode, brief_kinds_say_what_longer_ones_do)
{
	const uint64_t g = 0xfffffffff0ull;
	const struct {
		struct gt_record brief, longer[2];
	} cases[] = {
		{brief(GT_REC_ENTER, g, 0), {state2(g, GT_STATE_RUNNING, GT_STATE_SYSCALL, 0, 0, 0)}},
		{brief(GT_REC_ENTER, 9, 0xffffff), {state2(9, GT_STATE_RUNNING, GT_STATE_SYSCALL, 0, 0xffffff, 0)}},
		{brief(GT_REC_LEAVE, g, 0), {state(g, GT_STATE_SYSCALL, GT_STATE_RUNNING, 0)}},
		{brief(GT_REC_LEAVE, 9, 8),
			{{.ticks = 5, .kind = GT_REC_SLOT, .words = 2, .word = {0, GT_SLOT_START | 8 << 8}},
				state(9, GT_STATE_SYSCALL, GT_STATE_RUNNING, 0)}},
		{brief(GT_REC_LEAVE, 9, 0xffffff),
			{{.ticks = 5, .kind = GT_REC_SLOT, .words = 2, .word = {0, GT_SLOT_START | 0xffffffull << 8}},
				state(9, GT_STATE_SYSCALL, GT_STATE_RUNNING, 0)}},
		{brief(GT_REC_POLLED, 9, 0), {state2(9, GT_STATE_WAITING, GT_STATE_RUNNABLE, GT_CAUSE_NETPOLL, 0, 0)}},
		{brief(GT_REC_WOKEN, g, 15), {state2(g, GT_STATE_WAITING, GT_STATE_RUNNABLE, 0, 0, g + 15)}},
		{brief(GT_REC_WOKEN, g, 0x800000),
			{state2(g, GT_STATE_WAITING, GT_STATE_RUNNABLE, 0, 0, g - 0x800000)}},
		{brief(GT_REC_WOKEN, 9, 0x7fffff), {state2(9, GT_STATE_WAITING, GT_STATE_RUNNABLE, 0, 0, 0x800008)}},
		{brief(GT_REC_WOKEN, 9, 0xffffff), {state2(9, GT_STATE_WAITING, GT_STATE_RUNNABLE, 0, 0, 8)}},
		{state(9, GT_STATE_WAITING, GT_STATE_RUNNABLE, GT_CAUSE_TIMER),
			{state2(9, GT_STATE_WAITING, GT_STATE_RUNNABLE, GT_CAUSE_TIMER, 0, 0)}},
		{state(9, GT_STATE_WAITING, GT_STATE_RUNNABLE, 0),
			{state2(9, GT_STATE_WAITING, GT_STATE_RUNNABLE, 0, 0, 0)}},
		/* goroutine, bytes, stack and type: none, the least, the most */
		{alloc(0, 0, 0, 0), {alloc_longer(0, 0, 0, 0)}},
		{alloc(1, 1, 1, 1), {alloc_longer(1, 1, 1, 1 << 3)}},
		{alloc(0x7fff, 0, 0, 0), {alloc_longer(0x7fff, 0, 0, 0)}},
		{alloc(7, 0x3ff, 0, 0), {alloc_longer(7, 0x3ff, 0, 0)}},
		{alloc(7, 48, 0x1ffff, 0), {alloc_longer(7, 48, 0x1ffff, 0)}},
		{alloc(7, 48, 9, 0x3fffff), {alloc_longer(7, 48, 9, 0x1fffff8)}},
		{alloc(0x7fff, 0x3ff, 0x1ffff, 0x3fffff), {alloc_longer(0x7fff, 0x3ff, 0x1ffff, 0x1fffff8)}},
		{{.ticks = 5, .kind = GT_REC_HEAP, .words = 2, .word = {0, GT_HEAP_LIVE | 0xff12345678ull << 8}},
			{{.ticks = 5, .kind = GT_REC_HEAP, .words = 4, .word = {0, GT_HEAP_LIVE, 0xff12345678ull, 0}}}},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct gt_event out[GT_DECODE_EVENTS_MAX], expected[2 * GT_DECODE_EVENTS_MAX];
		struct gt_decoder decoder = {0}, other = {0};
		int count = decode(&decoder, cases[i].brief, out);
		int wanted = decode(&other, cases[i].longer[0], expected);

		if (cases[i].longer[1].words)
			wanted += decode(&other, cases[i].longer[1], expected + wanted);
		cr_assert_eq(count, wanted, "case %zu: %d events instead of %d", i, count, wanted);
		cr_expect_arr_eq(out, expected, (size_t)count * sizeof(*out), "case %zu", i);
	}
}

/* The runtime repeats of a switch what the switch has told, by whichever record. */
Test(decode, brief_wakes_of_a_coroutine_switch_are_told_once)
{
	struct gt_event out[GT_DECODE_EVENTS_MAX];
	struct gt_decoder decoder = {0};

	cr_assert_eq(decode(&decoder, coro(7, false, 8, 2), out), 2);
	cr_assert_eq(decode(&decoder, brief(GT_REC_WOKEN, 8, 0xffffff), out), 0);
	cr_assert_eq(decode(&decoder, state(8, GT_STATE_RUNNABLE, GT_STATE_RUNNING, 2), out), 0);
	cr_assert_eq(decode(&decoder, brief(GT_REC_ENTER, 8, 0), out), 1);
	cr_assert_eq(decode(&decoder, brief(GT_REC_WOKEN, 8, 0xffffff), out), 1);
}

/* Go's poller finds up to 128 descriptors at once, and wakes nobody before it has said them all. */
Test(decode, hints_of_a_whole_poll_are_kept)
{
	struct gt_event out[GT_DECODE_EVENTS_MAX];
	struct gt_decoder decoder = {0};
	unsigned int known = 0;

	for (uint64_t step = 1; step < 6; step++) {
		for (uint64_t i = 0; i < 64; i++)
			cr_assert_eq(decode(&decoder, brief(GT_REC_HINT, 1000 + i * step, i), out), 0);
		for (uint64_t i = 0; i < 64; i++) {
			cr_assert_eq(
				decode(&decoder,
					state(1000 + i * step, GT_STATE_WAITING, GT_STATE_RUNNABLE, GT_CAUSE_NETPOLL),
					out),
				2);
			known += out[0].args[2] == i;
			cr_assert(out[0].args[2] == i || out[0].args[2] == GT_FD_UNKNOWN);
		}
	}
	cr_assert_geq(known, 5 * 60, "%u of %u", known, 5 * 64);
	gt_decoder_clear(&decoder);
}

/* A hint says nothing itself: its goroutine may be woken by another. */
Test(decode, the_pollers_descriptor_comes_from_the_last_hint)
{
	struct gt_record wake = state2(8, GT_STATE_WAITING, GT_STATE_RUNNABLE, GT_CAUSE_NETPOLL, 0, 0);
	struct gt_event out[GT_DECODE_EVENTS_MAX];
	struct gt_decoder decoder = {0};

	wake.word[2] = (uint64_t)GT_FD_UNKNOWN << 32;
	cr_assert_eq(decode(&decoder, wake, out), 2);
	cr_assert_eq(out[0].kind, GT_EV_WAKE_CAUSE);
	cr_assert_eq(out[0].args[2], GT_FD_UNKNOWN);
	cr_assert_null(decoder.hints); /* an M that says none takes no room for them */
	for (uint64_t g = 1; g <= 9; g++)
		cr_assert_eq(decode(&decoder,
				     (struct gt_record){
					     .ticks = 5, .kind = GT_REC_HINT, .words = 4, .word = {0, g, 100 + g}},
				     out),
			0);
	cr_assert_eq(decode(&decoder, wake, out), 2);
	cr_assert_eq(out[0].args[2], 108);
	cr_assert_eq(decode(&decoder, wake, out), 2); /* it was used */
	cr_assert_eq(out[0].args[2], GT_FD_UNKNOWN);
	for (uint64_t g = 100; g < 100 + 32 * GT_DECODE_HINTS; g++)
		cr_assert_eq(decode(&decoder, brief(GT_REC_HINT, g, 7), out), 0);
	wake.word[1] = GT_STATE_WORD(2, GT_STATE_WAITING, GT_STATE_RUNNABLE, GT_CAUSE_NETPOLL);
	cr_assert_eq(decode(&decoder, wake, out), 2); /* too many came after it */
	cr_assert_eq(out[0].args[2], GT_FD_UNKNOWN);
	wake.word[1] = GT_STATE_WORD(9, GT_STATE_WAITING, GT_STATE_RUNNABLE, GT_CAUSE_NETPOLL);
	wake.word[3] = 5; /* a goroutine did it: no cause */
	cr_assert_eq(decode(&decoder, wake, out), 1);
	cr_assert_eq(decode(&decoder, (struct gt_record){.kind = GT_REC_HINT, .words = 4}, out), -EBADMSG);
	/* Of one cell, as the wake-up may be; one that was not used does not outlive the next of its goroutine. */
	cr_assert_eq(decode(&decoder, brief(GT_REC_HINT, 9, 55), out), 0);
	for (uint64_t g = 20; g < 20 + GT_DECODE_HINTS_A; g++)
		cr_assert_eq(decode(&decoder, brief(GT_REC_HINT, g, 1), out), 0);
	cr_assert_eq(decode(&decoder, brief(GT_REC_HINT, 9, 56), out), 0);
	wake = state(9, GT_STATE_WAITING, GT_STATE_RUNNABLE, GT_CAUSE_NETPOLL);
	cr_assert_eq(decode(&decoder, wake, out), 2);
	cr_assert_eq(out[0].args[2], 56);
	cr_assert_eq(decode(&decoder, wake, out), 2);
	cr_assert_eq(out[0].args[2], GT_FD_UNKNOWN);
	gt_decoder_clear(&decoder);
	cr_assert_null(decoder.hints);
}

/* The poller of one M tells some descriptors beforehand, those that it has no room for, and the others with the wake-up. */
Test(decode, a_descriptor_told_with_the_wake_up_holds_whatever_was_hinted)
{
	struct gt_event out[GT_DECODE_EVENTS_MAX];
	struct gt_decoder decoder = {0};

	cr_assert_eq(decode(&decoder, brief(GT_REC_HINT, 7, 31), out), 0);
	cr_assert_eq(decode(&decoder, brief(GT_REC_HINT, 8, 32), out), 0);
	cr_assert_eq(decode(&decoder, brief(GT_REC_POLLED, 9, 33), out), 2);
	cr_assert_eq(out[0].kind, GT_EV_WAKE_CAUSE);
	cr_assert_eq(out[0].args[2], 33, "%llu", (unsigned long long)out[0].args[2]);
	/* Of the same goroutine: the hint is the older one, and of no use any more. */
	cr_assert_eq(decode(&decoder, brief(GT_REC_POLLED, 8, 34), out), 2);
	cr_assert_eq(out[0].args[2], 34);
	cr_assert_eq(decode(&decoder, state(8, GT_STATE_WAITING, GT_STATE_RUNNABLE, GT_CAUSE_NETPOLL), out), 2);
	cr_assert_eq(out[0].args[2], GT_FD_UNKNOWN);
	cr_assert_eq(decode(&decoder, state(7, GT_STATE_WAITING, GT_STATE_RUNNABLE, GT_CAUSE_NETPOLL), out), 2);
	cr_assert_eq(out[0].args[2], 31);
	gt_decoder_clear(&decoder);
}
