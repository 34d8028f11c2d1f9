/* chrome.c - what a trace becomes as Chrome's JSON: line by line for a small one, and at the edges. */
#include "format/convert/chrome.h"
#include "small.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *convert_options(struct gt_trace *trace, const struct gt_convert_options *options)
{
	struct gt_sink sink;
	struct gt_error err;
	char *bytes = NULL;
	size_t size;

	cr_assert_eq(gt_sink_open_memory(&sink), 0);
	cr_assert_eq(gt_convert_chrome(trace, &sink, options, &err), 0);
	cr_assert_eq(gt_sink_close(&sink, &bytes, &size, &err), 0);
	cr_assert_eq(strlen(bytes), size);
	return bytes;
}

static char *convert_parts(struct gt_trace *trace, unsigned int parts, struct gt_convert_totals *totals)
{
	struct gt_convert_options options = {.parts = parts, .totals = totals};

	return convert_options(trace, &options);
}

static char *convert(struct gt_trace *trace)
{
	return convert_parts(trace, GT_CONVERT_ALL, NULL);
}

static char *read_file(const char *path)
{
	FILE *file = fopen(path, "r");
	char *text = calloc(1, 1 << 20);

	if (file) {
		text[fread(text, 1, (1 << 20) - 1, file)] = '\0';
		fclose(file);
	}
	return text;
}

static void expect_line(const char *json, const char *line)
{
	cr_assert_not_null(strstr(json, line), "no line %s in\n%s", line, json);
}

static void expect_none(const char *json, const char *text)
{
	cr_assert_null(strstr(json, text), "%s in\n%s", text, json);
}

/* Goal: any change of the output is seen. Method: tests/convert/small.json; GT_UPDATE_GOLDEN=1 writes it anew. */
Test(chrome, a_small_trace_is_known_line_by_line)
{
	struct gt_trace *trace = fake_new();
	const char *source = getenv("GTRACE_SOURCE_DIR");
	char path[4096], *got, *want;

	if (!source)
		cr_skip_test("GTRACE_SOURCE_DIR is not set");
	snprintf(path, sizeof(path), "%s/tests/convert/small.json", source);
	small_trace(trace);
	got = convert(trace);
	if (getenv("GT_UPDATE_GOLDEN")) {
		FILE *file = fopen(path, "w");

		cr_assert_not_null(file);
		fputs(got, file);
		fclose(file);
	}
	want = read_file(path);
	cr_assert_str_eq(got, want);
	free(want);
	free(got);
	fake_free(trace);
}

Test(chrome, an_empty_trace_is_an_array)
{
	struct gt_trace *trace = fake_new();
	char *json = convert(trace);

	cr_assert_eq(strncmp(json, "[\n{", 3), 0);
	cr_assert_str_eq(json + strlen(json) - 4, "}\n]\n");
	free(json);
	fake_free(trace);
}

Test(chrome, what_was_so_before_the_window_begins_at_0)
{
	struct gt_trace *trace = fake_new();
	char *json;

	FAKE_EVENT(trace, GO_READY, 0, 1000, 5, GT_STATE_WAITING, 6);
	FAKE_EVENT(trace, GO_BLOCK, 0, 3000, 6, GT_REASON_SELECT, 0);
	FAKE_EVENT(trace, M_IDLE, 0, 9000);
	json = convert_parts(trace, GT_CONVERT_LINKS, NULL);
	expect_line(json, "\"tid\":5,\"name\":\"waiting\",\"ts\":0.000,\"dur\":1.000}");
	expect_line(json, "\"tid\":6,\"name\":\"running\",\"ts\":0.000,\"dur\":3.000}");
	expect_line(json, "\"name\":\"wake G5\",\"ts\":0.999,\"dur\":0,\"bind_id\":\"0x1\",\"flow_out\":true}");
	expect_line(json, "\"tid\":4194305,\"name\":\"G6\",\"ts\":0.000,\"dur\":3.000}");
	free(json);
	fake_free(trace);
}

Test(chrome, a_window_tells_from_where_on_it_is_complete)
{
	struct gt_trace *trace = fake_new();
	char *json;

	fake_complete(trace, 2000);
	FAKE_EVENT(trace, GO_READY, 0, 1000, 5, GT_STATE_WAITING, 0);
	FAKE_EVENT(trace, GO_BLOCK, 0, 3000, 6, GT_REASON_SELECT, 0);
	FAKE_EVENT(trace, M_IDLE, 0, 9000);
	json = convert_parts(trace, GT_CONVERT_SLICES, NULL);
	expect_line(json, "\"ts\":2.000,\"name\":\"COMPLETE from here on\"");
	expect_line(json, "\"tid\":6,\"name\":\"running\",\"ts\":2.000,\"dur\":1.000}");
	/* It may have run and ended on an M whose first events are overwritten: no later event of it says that it did not. */
	expect_line(json, "\"tid\":5,\"name\":\"runnable\",\"ts\":1.000,\"dur\":1.000,\"args\":{\"lost\":");
	free(json);
	fake_free(trace);
}

Test(chrome, what_is_open_at_the_end_ends_with_the_last_event)
{
	struct gt_trace *trace = fake_new();
	char *json;

	FAKE_EVENT(trace, GO_CREATE, 0, 1000, 5, GT_STATE_RUNNABLE, 0, 0, 0);
	FAKE_EVENT(trace, GO_RUN, 0, 2000, 5, GT_STATE_RUNNABLE, 1);
	FAKE_EVENT(trace, M_IDLE, 1, 4500);
	json = convert_parts(trace, GT_CONVERT_SLICES, NULL);
	expect_line(json, "\"pid\":2,\"tid\":5,\"name\":\"running\",\"ts\":2.000,\"dur\":2.500}");
	expect_line(json, "\"pid\":1,\"tid\":1,\"name\":\"G5\",\"ts\":2.000,\"dur\":2.500}");
	free(json);
	fake_free(trace);
}

/* The recorder looked longer than anything happened. */
Test(chrome, what_is_open_at_the_end_ends_when_the_recorder_looked_last)
{
	static const struct {
		const char *exit;
		bool runs;
		const char *line;
	} cases[] = {
		{NULL, true, "\"tid\":5,\"name\":\"running\",\"ts\":2.000,\"dur\":7.000}"},
		{NULL, false, "\"tid\":5,\"name\":\"waiting\",\"ts\":2.500,\"dur\":6.500}"},
		/* Who runs says so again and again: it ended then. */
		{"signal 9", true, "\"tid\":5,\"name\":\"running\",\"ts\":2.000,\"dur\":2.500}"},
		{"signal 9", false, "\"tid\":5,\"name\":\"waiting\",\"ts\":2.500,\"dur\":6.500}"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct gt_trace *trace = fake_new();
		char *json;

		fake_meta(trace, "end_ticks", "9000");
		if (cases[i].exit)
			fake_meta(trace, "exit", cases[i].exit);
		FAKE_EVENT(trace, GO_CREATE, 0, 1000, 5, GT_STATE_RUNNABLE, 0, 0, 0);
		FAKE_EVENT(trace, GO_RUN, 0, 2000, 5, GT_STATE_RUNNABLE, 1);
		if (!cases[i].runs)
			FAKE_EVENT(trace, GO_BLOCK, 0, 2500, 5);
		FAKE_EVENT(trace, M_IDLE, 1, 4500);
		json = convert_parts(trace, GT_CONVERT_SLICES, NULL);
		expect_line(json, cases[i].line);
		free(json);
		fake_free(trace);
	}
}

Test(chrome, a_loss_is_told_and_ends_what_it_may_have_ended)
{
	struct gt_trace *trace = fake_new();
	char *json;

	FAKE_EVENT(trace, GO_RUN, 0, 1000, 5, GT_STATE_RUNNABLE, 1);
	FAKE_EVENT(trace, GO_BLOCK, 1, 1500, 6, GT_REASON_SLEEP, 0);
	FAKE_EVENT(trace, LOST, 0, 2000, 7);
	FAKE_EVENT(trace, GO_BLOCK, 0, 4000, 5, GT_REASON_SLEEP, 0);
	FAKE_EVENT(trace, GO_RUN, 0, 5000, 6, GT_STATE_RUNNABLE, 1);
	FAKE_EVENT(trace, M_IDLE, 1, 6000);
	json = convert_parts(trace, GT_CONVERT_SLICES, NULL);
	expect_line(json, "\"name\":\"LOST 7 events\",\"args\":{\"on\":\"M0\"}}");
	expect_line(json, "\"tid\":5,\"name\":\"running\",\"ts\":1.000,\"dur\":1.000,\"args\":{\"lost\":");
	expect_line(json, "\"tid\":5,\"name\":\"running\",\"ts\":2.000,\"dur\":2.000}");
	/* G6 was woken in the loss at the latest. */
	expect_line(json, "\"tid\":6,\"name\":\"waiting: sleep\",\"ts\":1.500,\"dur\":0.500,\"args\":{\"lost\":");
	expect_line(json, "\"tid\":6,\"name\":\"runnable\",\"ts\":2.000,\"dur\":3.000}");
	free(json);
	fake_free(trace);
}

Test(chrome, ids_beyond_32_bits_get_rows_of_their_own)
{
	struct gt_trace *trace = fake_new();
	uint64_t big = UINT64_C(5000000000);
	char *json;

	FAKE_EVENT(trace, GO_CREATE, 0, 1000, big, GT_STATE_RUNNABLE, 0, 0, 0);
	FAKE_EVENT(trace, GO_CREATE, 0, 1000, UINT64_MAX, GT_STATE_RUNNABLE, 0, 0, 0);
	FAKE_EVENT(trace, GO_CREATE, 0, 1000, GT_CHROME_TID_FREE - 1, GT_STATE_RUNNABLE, 0, 0, 0);
	FAKE_EVENT(trace, M_IDLE, 0, 2000);
	json = convert_parts(trace, GT_CONVERT_SLICES, NULL);
	expect_line(json, "\"tid\":3221225472,\"name\":\"thread_name\",\"args\":{\"name\":\"G5000000000\"}}");
	expect_line(json, "\"tid\":3221225473,\"name\":\"thread_name\",\"args\":{\"name\":\"G18446744073709551615\"}}");
	expect_line(json, "\"tid\":3221225471,\"name\":\"thread_name\",\"args\":{\"name\":\"G3221225471\"}}");
	free(json);
	fake_free(trace);
}

Test(chrome, a_real_pid_never_meets_our_own)
{
	struct gt_trace *trace = fake_new();
	char *json;

	fake_meta(trace, "pid", "1");
	FAKE_EVENT(trace, M_START, 0, 1000, 1);
	json = convert_parts(trace, GT_CONVERT_SLICES, NULL);
	expect_line(json, "\"pid\":4194306,\"tid\":1,\"name\":\"thread_name\",\"args\":{\"name\":\"M0\"}}");
	expect_none(json, "\"pid\":1,\"tid\":");
	free(json);
	fake_free(trace);
}

Test(chrome, times_that_go_back_or_are_absurd_stay_in_order)
{
	struct gt_trace *trace = fake_new();
	char *json;

	FAKE_EVENT(trace, GO_CREATE, 0, -500, 5, GT_STATE_RUNNABLE, 0, 0, 0);
	FAKE_EVENT(trace, GO_RUN, 0, 3000, 5, GT_STATE_RUNNABLE, 1);
	FAKE_EVENT(trace, GO_YIELD, 0, 2000, 5, GT_REASON_PREEMPT, 0);
	FAKE_EVENT(trace, GO_RUN, 0, INT64_MAX, 5, GT_STATE_RUNNABLE, 1);
	FAKE_EVENT(trace, GO_END, 0, INT64_MAX, 5);
	json = convert_parts(trace, GT_CONVERT_SLICES, NULL);
	expect_line(json, "\"name\":\"runnable\",\"ts\":0.000,\"dur\":3.000}");
	expect_line(json, "\"tid\":5,\"name\":\"running\",\"ts\":3.000,\"dur\":0.000}");
	expect_line(json, "\"name\":\"runnable: preempt\",\"ts\":3.000,\"dur\":4611686018427384.904}");
	expect_none(json, "-");
	free(json);
	fake_free(trace);
}

Test(chrome, parts_can_be_left_out)
{
	struct gt_trace *trace = fake_new();
	struct gt_convert_totals all, slices;
	char *json;

	small_trace(trace);
	free(convert_parts(trace, GT_CONVERT_ALL, &all));
	gt_trace_rewind(trace);
	json = convert_parts(trace, GT_CONVERT_SLICES, &slices);
	cr_assert_eq(all.slices, slices.slices);
	cr_assert_eq(all.links, 3);
	cr_assert_eq(slices.links, 0);
	cr_assert_gt(all.counters, 10);
	cr_assert_eq(slices.counters, 0);
	expect_none(json, "\"ph\":\"C\"");
	expect_none(json, "cname");
	expect_none(json, "bind_id");
	expect_none(json, "stack");
	expect_none(json, "REGIONS");
	free(json);
	fake_free(trace);
}

Test(chrome, counters_can_be_thinned)
{
	struct gt_trace *trace = fake_new();
	struct gt_convert_totals exact, thin;
	struct gt_convert_options options = {.parts = GT_CONVERT_COUNTERS, .totals = &thin, .counter_step_ns = 100000};
	struct gt_sink sink;
	struct gt_error err;

	for (int i = 0; i < 1000; i++) {
		FAKE_EVENT(trace, GO_RUN, 0, 1000 * i, 5, GT_STATE_RUNNABLE, 1);
		FAKE_EVENT(trace, GO_YIELD, 0, 1000 * i + 500, 5, GT_REASON_GOSCHED, 0);
	}
	free(convert_parts(trace, GT_CONVERT_COUNTERS, &exact));
	gt_trace_rewind(trace);
	cr_assert_eq(gt_sink_open_memory(&sink), 0);
	cr_assert_eq(gt_convert_chrome(trace, &sink, &options, &err), 0);
	cr_assert_eq(gt_sink_close(&sink, NULL, NULL, &err), 0);
	/* Two counters, each with two values a round. */
	cr_assert_eq(exact.counters, 4000);
	cr_assert_leq(thin.counters, 24);
	cr_assert_geq(thin.counters, 2);
	fake_free(trace);
}

Test(chrome, regions_end_in_order_and_with_their_goroutine)
{
	struct gt_trace *trace = fake_new();
	char *json;

	fake_string(trace, 1, "outer");
	fake_string(trace, 2, "inner");
	FAKE_EVENT(trace, GO_RUN, 0, 1000, 5, GT_STATE_RUNNABLE, 1);
	FAKE_EVENT(trace, REGION_END, 0, 1500, 5, 0, 2);
	FAKE_EVENT(trace, REGION_BEGIN, 0, 2000, 5, 0, 1);
	FAKE_EVENT(trace, REGION_BEGIN, 0, 3000, 5, 0, 2);
	FAKE_EVENT(trace, REGION_END, 0, 4000, 5, 0, 2);
	for (int i = 0; i < 1000; i++)
		FAKE_EVENT(trace, REGION_BEGIN, 0, 5000, 5, 0, 2);
	for (int i = 0; i < 1000; i++)
		FAKE_EVENT(trace, REGION_END, 0, 6000, 5, 0, 2);
	FAKE_EVENT(trace, GO_END, 0, 7000, 5);
	json = convert(trace);
	expect_line(json, "\"pid\":4,\"tid\":5,\"name\":\"inner\",\"ts\":3.000,\"dur\":1.000}");
	expect_line(json, "\"pid\":4,\"tid\":5,\"name\":\"outer\",\"ts\":2.000,\"dur\":5.000}");
	free(json);
	fake_free(trace);
}

Test(chrome, a_full_disk_stops_it)
{
	struct gt_trace *trace = fake_new();
	struct gt_sink sink;
	struct gt_error err;
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		cr_skip_test("no /dev/full");
	for (int i = 0; i < 200000; i++)
		FAKE_EVENT(trace, GO_RUN, 0, 1000 * i, 5, GT_STATE_RUNNING, 1);
	cr_assert_eq(gt_sink_open_fd(&sink, fd, "out.json"), 0);
	cr_assert_eq(gt_convert_chrome(trace, &sink, NULL, &err), -ENOSPC);
	cr_assert_str_eq(err.text, "no space left: out.json: free some, or write elsewhere with -o");
	gt_sink_close(&sink, NULL, NULL, NULL);
	close(fd);
	fake_free(trace);
}

/* Goal: no event, however wrong, breaks the converter. Method: random kinds and arguments, small and huge; run
 * under ASan and UBSan. */
Test(chrome, any_events_give_an_array)
{
	unsigned int seed = 11;

	for (int round = 0; round < 40; round++) {
		struct gt_trace *trace = fake_new();
		int64_t now = 0;
		char *json;

		for (int i = 0; i < 3000; i++) {
			uint64_t args[GT_EVENT_ARGS_MAX];

			for (int a = 0; a < GT_EVENT_ARGS_MAX; a++) {
				args[a] = (uint64_t)rand_r(&seed) % 7;
				if (rand_r(&seed) % 50 == 0)
					args[a] = UINT64_MAX >> (rand_r(&seed) % 64);
			}
			now += rand_r(&seed) % 1000 - 10;
			fake_event(trace, (enum gt_event_kind)(rand_r(&seed) % 24), (uint64_t)rand_r(&seed) % 5, now,
				args);
		}
		json = convert(trace);
		cr_assert_str_eq(json + strlen(json) - 4, "}\n]\n");
		free(json);
		fake_free(trace);
	}
}

static bool by_function(void *user, uint64_t g, const char *function)
{
	(void)g;
	return function && strstr(function, user);
}

Test(chrome, goroutines_of_wrappers_are_named_after_what_they_call)
{
	struct gt_convert_options chosen = GT_CONVERT_OPTIONS_DEFAULT;
	struct gt_trace *trace = fake_new();
	char function[] = "main.serve", *json;

	wrapped_trace(trace);
	json = convert_parts(trace, GT_CONVERT_ALL, NULL);
	expect_line(json, "\"name\":\"thread_name\",\"args\":{\"name\":\"G11 main.fetch\"}}");
	expect_line(json, "\"name\":\"thread_name\",\"args\":{\"name\":\"G12 main.store\"}}");
	/* Others of the same place are for other functions. */
	expect_line(json, "\"name\":\"thread_name\",\"args\":{\"name\":\"G13 sync.(*WaitGroup).Go.func1\"}}");
	expect_line(json, "\"name\":\"thread_name\",\"args\":{\"name\":\"G21 main.serve\"}}");
	expect_line(json, "\"name\":\"thread_name\",\"args\":{\"name\":\"G22 main.serve\"}}");
	expect_none(json, "G22 main.run");
	free(json);

	gt_trace_rewind(trace);
	chosen.shown = by_function;
	chosen.shown_user = function;
	json = convert_options(trace, &chosen);
	expect_line(json, "\"name\":\"thread_name\",\"args\":{\"name\":\"G22 main.serve\"}}");
	expect_none(json, "G11");
	free(json);
	fake_free(trace);
}
