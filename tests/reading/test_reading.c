/* test_reading.c - clock, names, order's limits, text's refusals. Executions are in tests/golden, damage in test_damage. */
#include "sample.h"
#include "format/reading/reader.h"
#include "format/reading/text.h"
#include "format/text/build.h"
#include "format/text/text_read.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Against long division in 128 bits. */
Test(clock, ns_are_the_floor_of_the_exact_product)
{
	uint64_t seed = 88172645463325252ull;

	for (int i = 0; i < 200000; i++) {
		uint64_t ns = next_random(&seed) >> next_random(&seed) % 64;
		uint64_t ticks = next_random(&seed) >> next_random(&seed) % 64;
		uint64_t start = next_random(&seed) >> next_random(&seed) % 64;
		uint64_t at = next_random(&seed) >> next_random(&seed) % 64;
		struct gt__clock clock;
		unsigned __int128 exact;

		if (!ticks || at < start)
			continue;
		gt__clock_set(&clock, start, ns, ticks);
		exact = (unsigned __int128)(at - start) * ns / ticks;
		if (exact > INT64_MAX)
			exact = INT64_MAX;
		cr_assert_eq(
			(uint64_t)gt__clock_ns(&clock, at), (uint64_t)exact, "%lu * %lu / %lu", at - start, ns, ticks);
	}
}

Test(clock, before_the_start_it_is_the_floor_too)
{
	struct gt__clock clock;

	gt__clock_set(&clock, 1000, 1, 3);
	cr_assert_eq(gt__clock_ns(&clock, 1000), 0);
	cr_assert_eq(gt__clock_ns(&clock, 999), -1);
	cr_assert_eq(gt__clock_ns(&clock, 997), -1);
	cr_assert_eq(gt__clock_ns(&clock, 996), -2);
	gt__clock_set(&clock, UINT64_MAX, UINT64_MAX, 1);
	cr_assert_eq(gt__clock_ns(&clock, 0), INT64_MIN);
}

/* A frame's pair nearer than 1 ms is no measure; the last one that is far enough counts, the index frame's too. */
Test(clock, the_last_far_clock_pair_refines_the_rate)
{
	struct gt_trace_info info;
	struct gt_trace *trace =
		sample_open("gtrace ticks_per_second=1000000000 start_ticks=100 start_monotonic_ns=50\n"
			    "Frame ticks=300 monotonic_ns=150\nEvents m=0 base=4000100\nMStart\n"
			    "Frame ticks=8000100 monotonic_ns=4000050\n");
	struct gt_event event;

	cr_assert(trace);
	gt_trace_info(trace, &info);
	cr_assert_float_eq(info.ticks_per_second, 2e9, 1);
	cr_assert_eq(gt_trace_next(trace, &event), 1);
	cr_assert_eq(event.time_ns, 2000000);
	sample_close(trace);
}

Test(names, are_told_as_they_stand_and_as_utf_8)
{
	struct gt_trace *trace =
		sample_open("gtrace\nMeta key=\"a\" value=\"1\"\nMeta key=\"a\" value=\"2\"\n"
			    "String id=1 text=\"f\\x80\\xc3\\xa9\\x00g\"\nString id=1 text=\"second\"\n"
			    "String id=2 text=\"outer\"\n"
			    "Pc pc=0x10 lines=[1:0:7 2:0:8]\nStack id=3 pcs=[0x10 0x20]\n"
			    "Thread m=4 tid=99 name=\"old\"\nThread m=4 tid=99 name=\"new\"\n");
	const struct gt_trace_pc *pc;

	cr_assert(trace);
	cr_assert_eq(gt_trace_scan(trace), 0);
	cr_assert_str_eq(gt_trace_meta(trace, "a"), "2");
	cr_assert_null(gt_trace_meta(trace, "b"));
	cr_assert_str_eq(gt_trace_string(trace, 1), "f\xef\xbf\xbd\xc3\xa9\xef\xbf\xbdg");
	cr_assert_str_eq(gt_trace_string(trace, 0), "");
	cr_assert_null(gt_trace_string(trace, 9));
	pc = gt_trace_pc(trace, 0x10);
	cr_assert(pc && pc->count == 2 && pc->lines[0].line == 7);
	cr_assert_str_eq(pc->lines[1].function, "outer");
	cr_assert_str_eq(gt_trace_function(trace, 0x10), "outer");
	cr_assert_null(gt_trace_function(trace, 0x20));
	cr_assert_eq(gt_trace_stack(trace, 3)->count, 2);
	cr_assert_str_eq(gt_trace_thread(trace, 4)->name, "new");
	sample_close(trace);
}

/* Behind the last event nothing happened until the recorder looked for the last time. */
Test(names, a_trace_ends_when_the_recorder_looked_last)
{
	static const struct {
		const char *metas;
		int64_t end_ns, span_ns;
		bool gone;
	} cases[] = {
		{"", 0, 700, false},
		{"Meta key=\"end_ticks\" value=\"9500\"\n", 9500, 4500, false},
		{"Meta key=\"end_ticks\" value=\"5600\"\n", 5600, 700, false},
		{"Meta key=\"end_ticks\" value=\"9500\"\nMeta key=\"exit\" value=\"still running\"\n", 9500, 4500,
			false},
		{"Meta key=\"end_ticks\" value=\"9500\"\nMeta key=\"exit\" value=\"signal 9\"\n", 9500, 4500, true},
		/* What no clock has. */
		{"Meta key=\"end_ticks\" value=\"-1\"\n", 0, -1, false},
		{"Meta key=\"end_ticks\" value=\"99999999999999999999999999\"\n", 0, -1, false},
		{"Meta key=\"end_ticks\" value=\"x\"\n", 0, 700, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[512];
		struct gt_trace *trace;
		struct gt_trace_info info;
		bool gone;

		snprintf(text, sizeof(text), "gtrace\n%sEvents m=0 base=5000\nMStart\nMEnd dt=700\nIndex ticks=9000\n",
			cases[i].metas);
		trace = sample_open(text);
		cr_assert(trace);
		cr_expect_eq(gt_trace_end_ns(trace, &gone), cases[i].end_ns, "%zu: %lld", i,
			(long long)gt_trace_end_ns(trace, &gone));
		cr_expect_eq(gone, cases[i].gone, "%zu", i);
		gt_trace_info(trace, &info);
		cr_expect(cases[i].span_ns < 0 ? info.span_ns >= 0 : info.span_ns == cases[i].span_ns, "%zu: %lld", i,
			(long long)info.span_ns);
		sample_close(trace);
	}
}

/* A recorder that was killed tells until when it had looked by the watermark of its last frame. */
Test(names, a_trace_that_was_cut_ends_where_its_last_frame_is_whole)
{
	static const struct {
		const char *text;
		int64_t end_ns;
	} cases[] = {
		{"Frame ticks=9000 monotonic_ns=9000 watermark=8000\nEvents m=0 base=5000\nMStart\nMEnd dt=700\n",
			8000},
		{"Frame ticks=9000 monotonic_ns=9000 watermark=8000\nEvents m=0 base=5000\nMStart\n"
		 "Frame ticks=9900 monotonic_ns=9900 watermark=9800\n",
			9800},
		/* All is there, says one that has come to its end, whenever that is. */
		{"Frame ticks=9000 monotonic_ns=9000 watermark=18446744073709551615\nEvents m=0 base=5000\nMStart\n",
			0},
		{"Frame ticks=9000 monotonic_ns=9000 watermark=8000\nEvents m=0 base=5000\nMStart\nIndex ticks=9000\n",
			0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[512];
		struct gt_trace *trace;
		bool gone;

		snprintf(text, sizeof(text), "gtrace\n%s", cases[i].text);
		trace = sample_open(text);
		cr_assert(trace);
		cr_expect_eq(gt_trace_end_ns(trace, &gone), cases[i].end_ns, "%zu: %lld", i,
			(long long)gt_trace_end_ns(trace, &gone));
		sample_close(trace);
	}
}

/* The index of a whole file tells the final values before anything is read. */
Test(names, an_index_tells_the_last_values_at_once)
{
	struct gt_trace *trace =
		sample_open("gtrace\nMeta key=\"exit\" value=\"?\"\nLoss what=\"x\" count=1\n"
			    "Events m=0 base=5000\nMStart\nMEnd dt=700\n"
			    "Meta key=\"exit\" value=\"0\"\nLoss what=\"x\" count=5\nIndex ticks=9000\n");
	struct gt_trace_damage damage;
	struct gt_trace_info info;
	struct gt_event event;

	cr_assert(trace);
	cr_assert_str_eq(gt_trace_meta(trace, "exit"), "0");
	gt_trace_info(trace, &info);
	cr_assert_not(info.cut);
	cr_assert_eq(info.span_ns, 700);
	cr_assert_eq(info.events, 2);
	while (gt_trace_next(trace, &event) > 0)
		cr_assert_str_eq(gt_trace_meta(trace, "exit"), "0");
	gt_trace_damage(trace, &damage);
	cr_assert_eq(damage.events_lost, 5);
	sample_close(trace);
}

Test(names, a_goroutine_is_known_until_the_event_after_its_end)
{
	struct gt_trace *trace = sample_open("gtrace\nEvents m=0 base=0\nGoCreate g=1 new=runnable start=0x7\n"
					     "GoRun g=1 old=runnable p=0\nGoEnd g=1\nMIdle\n");
	struct gt_event event;

	for (int i = 0; i < 3; i++) {
		cr_assert_eq(gt_trace_next(trace, &event), 1);
		cr_assert_eq(gt_trace_goroutine(trace, 1)->start_pc, 7);
	}
	cr_assert_eq(gt_trace_next(trace, &event), 1);
	cr_assert_null(gt_trace_goroutine(trace, 1));
	cr_assert_eq(gt_trace_next(trace, &event), 0);
	cr_assert_eq(gt_trace_rewind(trace), 0);
	cr_assert_eq(gt_trace_next(trace, &event), 1);
	cr_assert_eq(gt_trace_goroutine(trace, 1)->start_pc, 7);
	sample_close(trace);
}

/* A signal's hook inside another: its event stands earlier in time and later in the M's order. */
Test(order, an_ms_own_order_holds_when_its_time_goes_back)
{
	struct gt_trace *trace =
		sample_open("gtrace\nEvents m=0 base=1000\nGoCreate g=1 new=runnable\n"
			    "GoRun g=1 old=runnable p=0\nBack dt=300\nGoBlock dt=0 g=1 reason=\"sleep\"\n");
	struct gt_trace_damage damage;
	struct gt_event event;
	unsigned int count = 0;

	while (gt_trace_next(trace, &event) > 0) {
		cr_assert_eq(event.time_ns, 1000);
		count++;
	}
	cr_assert_eq(count, 3);
	cr_assert_eq(event.ticks, 700);
	gt_trace_damage(trace, &damage);
	cr_assert_eq(damage.order_repaired + damage.order_broken + damage.records_bad, 0);
	sample_close(trace);
}

Test(order, what_no_version_knows_is_damage_and_what_a_newer_one_adds_is_skipped)
{
	struct gt_trace *trace =
		sample_open("gtrace version=1.9\nRecord type=200 bytes=\"future\"\n"
			    "Events m=0 base=0\nEvent kind=130 bytes=\"new\"\nMIdle\nGoCreate g=1 new=9\nMEnd\n"
			    /* m 1, base 0, count 2: kind 127; then nothing can be told */
			    "Record type=7 bytes=\"\\x01\\x00\\x02\\x7f\\x00\\x0b\\x00\"\n");
	struct gt_trace_damage damage;
	struct gt_event event;
	unsigned int count = 0;

	cr_assert(trace);
	while (gt_trace_next(trace, &event) > 0)
		count++;
	cr_assert_eq(count, 2);
	gt_trace_damage(trace, &damage);
	cr_assert_eq(damage.records_bad, 2);
	sample_close(trace);
}

#define PASS_MAX 16

struct pass {
	struct gt_event events[PASS_MAX];
	unsigned int count;
	struct gt_trace_damage damage;
};

static void take_pass(struct gt_trace *trace, struct pass *pass)
{
	memset(pass, 0, sizeof(*pass));
	while (pass->count < PASS_MAX && gt_trace_next(trace, &pass->events[pass->count]) > 0)
		pass->count++;
	gt_trace_damage(trace, &pass->damage);
}

static void same_pass(const struct pass *a, const struct pass *b)
{
	cr_assert_eq(a->count, b->count);
	for (unsigned int i = 0; i < a->count; i++)
		cr_assert(a->events[i].kind == b->events[i].kind && a->events[i].m == b->events[i].m &&
				  a->events[i].time_ns == b->events[i].time_ns,
			"event %u", i);
	cr_assert_eq(a->damage.records_bad, b->damage.records_bad);
	cr_assert_eq(a->damage.order_broken, b->damage.order_broken);
	cr_assert_eq(a->damage.order_repaired, b->damage.order_repaired);
}

/* That things were there before, how far clocks differ, which records are damaged: told late, known to later passes from the begin. */
Test(order, passes_are_alike_whatever_was_learned_between)
{
	struct gt_trace *trace =
		sample_open("gtrace\nFrame ticks=5000 watermark=5000\n"
			    "Events m=6 base=2000\nGoEnd g=9\nGoCreate dt=10 g=1 new=runnable\n"
			    "Record type=3 bytes=\"\\x10\\x7f\"\nPc pc=0x10 lines=[0:0:1]\n"
			    "Frame ticks=6000 watermark=6000\nGoroutine g=9\nSince m=6 ticks=1\n"
			    "Record type=6 bytes=\"\\x00\"\nRecord type=9 bytes=\"\\x00\"\n"
			    "Events m=0 base=1990\nGoCreate g=2 new=runnable\nGoCreate dt=3 g=3 new=runnable\n"
			    "Frame ticks=7000 watermark=7000\nMeta key=\"clock\" value=\"skew_ns=0\"\n"
			    "Events m=7 base=6500\nGoRun g=4 old=runnable p=1\n"
			    "Events m=8 base=6501\nGoCreate g=4 new=runnable\n");
	struct pass first, next;

	cr_assert(trace);
	take_pass(trace, &first);
	cr_assert_eq(first.count, 6);
	/* The one that nothing explains so far waits, until others have had their turn. */
	cr_assert_eq(first.events[0].m, 0);
	cr_assert_eq(first.damage.records_bad, 3);
	cr_assert_eq(gt_trace_rewind(trace), 0);
	take_pass(trace, &next);
	same_pass(&first, &next);
	cr_assert_eq(gt_trace_scan(trace), 0);
	take_pass(trace, &next);
	same_pass(&first, &next);
	sample_close(trace);
}

/* Two Ms that each wait for what stands behind the other's head: the oldest goes first, as damage, and nothing hangs. */
Test(order, a_cycle_is_damage)
{
	struct gt_trace *trace =
		sample_open("gtrace\nEvents m=0 base=100\nGoReady g=1 old=waiting\nGoCreate g=2 new=runnable\n"
			    "Events m=1 base=101\nGoReady g=2 old=waiting\nGoCreate g=1 new=runnable\n");
	struct gt_trace_damage damage;
	struct gt_event event;
	unsigned int count = 0;

	while (gt_trace_next(trace, &event) > 0)
		count++;
	cr_assert_eq(count, 4);
	gt_trace_damage(trace, &damage);
	cr_assert_gt(damage.order_broken, 0);
	cr_assert(strstr(damage.first, "impossible event"), "%s", damage.first);
	sample_close(trace);
}

/* More Ms at once than order lets wait. */
Test(order, many_blocked_ms_are_all_given)
{
	char *text, *at;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	struct gt_trace *trace;
	struct gt_event event;
	unsigned int count = 0;

	fputs("gtrace\n", out);
	for (int m = 0; m < 500; m++)
		fprintf(out, "Events m=%d base=100\nGoReady g=%d old=waiting\n", m, m + 1);
	fclose(out);
	at = text;
	trace = sample_open(at);
	while (gt_trace_next(trace, &event) > 0)
		count++;
	cr_assert_eq(count, 500);
	sample_close(trace);
	free(text);
}

static void refused(const char *text, const char *why)
{
	FILE *in = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
	struct gt_error err;
	char *bytes;
	size_t size;
	FILE *out = open_memstream(&bytes, &size);

	cr_assert_lt(gt_text_read(in, out, &err), 0, "%s", text);
	cr_assert(strstr(err.text, why), "%s: %s", text, err.text);
	fclose(in);
	fclose(out);
	free(bytes);
}

Test(text, what_cannot_be_understood_is_refused_with_its_line)
{
	refused("Meta key=\"a\"\n", "line 1: no line \"gtrace");
	refused("gtrace\nNonsense\n", "line 2: no such word: Nonsense");
	refused("gtrace\nEvents m=0\nMIdle nonsense=1\n", "line 3: MIdle has no nonsense");
	refused("gtrace\nMIdle\n", "line 2: an event that stands in no Events record");
	refused("gtrace\nEvents m=0\nGoRun g=1 old=asleep\n", "old is no state");
	refused("gtrace\nEvents m=0\nGoBlock g=1 reason=\"boredom\"\n", "reason is no reason");
	refused("gtrace\nEvents m=0x1ffffffffffffffff\n", "m is no number");
	refused("gtrace\nEvents m=0 base=5\nBack dt=6\n", "dt leads out of time");
	refused("gtrace\nMeta key=\"a\n", "a text without its end quote");
	refused("gtrace\nMeta key=\"\\q\"\n", "an escape that does not exist");
	refused("gtrace\nStack id=1 pcs=[1 2\n", "a list without its end");
	refused("gtrace\nIndex\nMeta key=\"a\"\n", "line 3: a line behind Index");
	refused("", "no line \"gtrace");
}

Test(open, another_file_is_refused_in_one_line)
{
	struct gt_trace *trace;
	struct gt_error err;

	cr_assert_lt(gt_trace_open("/nonexistent/x.gtrace", &trace, &err), 0);
	cr_assert(strstr(err.text, "/nonexistent/x.gtrace"));
	cr_assert_lt(gt_trace_open("/dev/null", &trace, &err), 0);
	cr_assert_lt(gt_trace_open("/", &trace, &err), 0);
	cr_assert_lt(gt_trace_open_memory("hello", 5, &trace, &err), 0);
	cr_assert(strstr(err.text, "not a .gtrace file"), "%s", err.text);
}

Test(open, another_major_version_is_refused)
{
	struct gt_trace *trace;
	struct gt_error err;
	size_t size;
	char *bytes = sample_bytes("gtrace version=2.0\n", &size);

	cr_assert_lt(gt_trace_open_memory(bytes, size, &trace, &err), 0);
	cr_assert(strstr(err.text, "version 2.0"), "%s", err.text);
	free(bytes);
}
