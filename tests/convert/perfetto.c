/* perfetto.c - Perfetto's packets at the edges; what is in them is checked by check.sh pf-bytes, pf-cases and pftrace. */
#include "format/convert/perfetto.h"
#include "format/convert/intern.h"
#include "format/convert/protobuf.h"
#include "small.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *convert(struct gt_trace *trace, unsigned int parts, size_t *size, struct gt_convert_totals *totals)
{
	struct gt_convert_options options = {.parts = parts, .totals = totals};
	struct gt_sink sink;
	struct gt_error err;
	char *bytes = NULL;

	cr_assert_eq(gt_sink_open_memory(&sink), 0);
	cr_assert_eq(gt_convert_perfetto(trace, &sink, &options, &err), 0);
	cr_assert_eq(gt_sink_close(&sink, &bytes, size, &err), 0);
	return bytes;
}

/* Each packet begins where the last one ended, and none is too long. */
static size_t count_packets(const char *bytes, size_t size)
{
	const unsigned char *at = (const unsigned char *)bytes, *end = at + size;
	size_t count = 0;

	while (at < end) {
		size_t length;

		cr_assert_geq(end - at, 3);
		cr_assert_eq(at[0], 0x0a);
		cr_assert_geq(at[1], 0x80);
		length = (size_t)(at[1] & 0x7f) | (size_t)at[2] << 7;
		cr_assert_leq(length, GT_SINK_RECORD_MAX);
		at += 3;
		cr_assert_leq(length, (size_t)(end - at));
		at += length;
		count++;
	}
	return count;
}

Test(protobuf, numbers_are_varints)
{
	char bytes[GT_PB_VARINT_MAX];

	cr_assert_eq(gt_pb_varint(bytes, 0) - bytes, 1);
	cr_assert_eq(gt_pb_varint(bytes, 127) - bytes, 1);
	cr_assert_eq(gt_pb_varint(bytes, 128) - bytes, 2);
	cr_assert_arr_eq(bytes, "\x80\x01", 2);
	cr_assert_eq(gt_pb_varint(bytes, 300) - bytes, 2);
	cr_assert_arr_eq(bytes, "\xac\x02", 2);
	cr_assert_eq(gt_pb_varint(bytes, UINT64_MAX) - bytes, 10);
	cr_assert_arr_eq(bytes, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10);
}

Test(protobuf, a_message_in_a_message_keeps_two_bytes_for_its_size)
{
	char bytes[64], *inside = gt_pb_open(bytes, 117), *end;

	end = gt_pb_close(inside, gt_pb_fixed64(gt_pb_number(inside, 1, 150), 2, 1));
	cr_assert_eq(end - bytes, 4 + 3 + 9);
	cr_assert_arr_eq(bytes, "\xaa\x07\x8c\x00\x08\x96\x01\x11\x01\0\0\0\0\0\0\0", 16);
}

Test(protobuf, text_is_cut_between_characters_and_made_good)
{
	char bytes[256], *end = gt__pb_text(bytes, 2, "a\xff\xc3\xbc", 10);

	cr_assert_eq(end - bytes, 3 + 6);
	cr_assert_arr_eq(bytes + 3, "a\xef\xbf\xbd\xc3\xbc", 6);
	end = gt__pb_text(bytes, 2, "abc\xc3\xbc", 4);
	cr_assert_eq(end - bytes, 3 + 6);
	cr_assert_arr_eq(bytes + 3, "abc...", 6);
}

Test(perfetto, an_empty_trace_is_whole)
{
	struct gt_trace *trace = fake_new();
	size_t size;
	char *bytes = convert(trace, GT_CONVERT_ALL, &size, NULL);

	cr_assert_gt(count_packets(bytes, size), 0);
	free(bytes);
	fake_free(trace);
}

Test(perfetto, the_same_trace_gives_the_same_bytes)
{
	struct gt_trace *trace = fake_new();
	size_t first_size, second_size;
	char *first, *second;

	small_trace(trace);
	first = convert(trace, GT_CONVERT_ALL, &first_size, NULL);
	gt_trace_rewind(trace);
	second = convert(trace, GT_CONVERT_ALL, &second_size, NULL);
	cr_assert_eq(first_size, second_size);
	cr_assert_arr_eq(first, second, first_size);
	free(first);
	free(second);
	fake_free(trace);
}

Test(perfetto, parts_can_be_left_out)
{
	struct gt_trace *trace = fake_new();
	struct gt_convert_totals all, slices;
	size_t all_size, slices_size;

	small_trace(trace);
	free(convert(trace, GT_CONVERT_ALL, &all_size, &all));
	gt_trace_rewind(trace);
	free(convert(trace, GT_CONVERT_SLICES, &slices_size, &slices));
	cr_assert_eq(all.slices, slices.slices);
	cr_assert_eq(all.links, 3);
	cr_assert_eq(slices.links, 0);
	cr_assert_gt(all.counters, 10);
	cr_assert_eq(slices.counters, 0);
	cr_assert_lt(slices_size, all_size);
	fake_free(trace);
}

Test(perfetto, a_full_disk_stops_it)
{
	struct gt_trace *trace = fake_new();
	struct gt_sink sink;
	struct gt_error err;
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		cr_skip_test("no /dev/full");
	for (int i = 0; i < 200000; i++)
		FAKE_EVENT(trace, GO_RUN, 0, 1000 * i, 5, GT_STATE_RUNNING, 1 + i % 2);
	cr_assert_eq(gt_sink_open_fd(&sink, fd, "out.pftrace"), 0);
	cr_assert_eq(gt_convert_perfetto(trace, &sink, NULL, &err), -ENOSPC);
	cr_assert_str_eq(err.text, "no space left: out.pftrace: free some, or write elsewhere with -o");
	gt_sink_close(&sink, NULL, NULL, NULL);
	close(fd);
	fake_free(trace);
}

Test(perfetto, any_events_give_whole_packets)
{
	unsigned int seed = 11;

	for (int round = 0; round < 40; round++) {
		struct gt_trace *trace = fake_new();
		int64_t now = 0;
		size_t size;
		char *bytes;

		for (int i = 0; i < 3000; i++) {
			uint64_t args[GT_EVENT_ARGS_MAX];

			for (int a = 0; a < GT_EVENT_ARGS_MAX; a++) {
				args[a] = (uint64_t)rand_r(&seed) % 7;
				if (rand_r(&seed) % 50 == 0)
					args[a] = UINT64_MAX >> (rand_r(&seed) % 64);
			}
			now += rand_r(&seed) % 1000 - 10;
			fake_event(trace, (enum gt_event_kind)(rand_r(&seed) % 96), (uint64_t)rand_r(&seed) % 5, now,
				args);
		}
		bytes = convert(trace, GT_CONVERT_ALL, &size, NULL);
		count_packets(bytes, size);
		free(bytes);
		fake_free(trace);
	}
}

/* Goal: names take bounded memory. Method: at the limit the maps are empty, the reader is told, and what was known is told again. */
Test(intern, begins_anew_at_the_limit)
{
	struct gt_trace *trace = fake_new();
	struct gt__intern intern;
	struct gt_sink sink;
	struct gt_error err;
	uint64_t first;
	char *bytes;
	size_t size, packets;

	fake_string(trace, 1, "one");
	fake_string(trace, 2, "two");
	cr_assert_eq(gt_sink_open_memory(&sink), 0);
	gt__intern_init(&intern, trace, &sink, 0, 1001);
	first = gt__intern_string(&intern, 1);
	cr_assert_eq(gt__intern_string(&intern, 1), first);
	gt__intern_key(&intern, GT_KEY_ON);
	gt__intern_limit(&intern);
	cr_assert(intern.keys[GT_KEY_ON]);
	cr_assert_neq(gt__intern_string(&intern, 2), first);
	gt__intern_limit(&intern);
	cr_assert_not(intern.keys[GT_KEY_ON]);
	cr_assert_eq(intern.strings.count, 0);
	cr_assert_eq(gt__intern_string(&intern, 2), first);
	gt__intern_free(&intern);
	cr_assert_eq(gt_sink_close(&sink, &bytes, &size, &err), 0);
	packets = count_packets(bytes, size);
	/* Two begins, three strings, a key. */
	cr_assert_eq(packets, 6);
	free(bytes);
	fake_free(trace);
}

static size_t count_text(const char *bytes, size_t size, const char *text)
{
	size_t count = 0, length = strlen(text);

	for (const char *at = bytes; (at = memmem(at, size - (size_t)(at - bytes), text, length)); at += length)
		count++;
	return count;
}

Test(perfetto, goroutines_of_wrappers_are_named_and_grouped_after_what_they_call)
{
	struct gt_trace *trace = fake_new();
	size_t size;
	char *bytes;

	wrapped_trace(trace);
	bytes = convert(trace, GT_CONVERT_SLICES, &size, NULL);
	/* The thread's name, its track's. */
	cr_assert_eq(count_text(bytes, size, "G11 main.fetch"), 2);
	cr_assert_eq(count_text(bytes, size, "G12 main.store"), 2);
	cr_assert_eq(count_text(bytes, size, "G13 sync.(*WaitGroup).Go.func1"), 2);
	cr_assert_eq(count_text(bytes, size, "G21 main.serve"), 2);
	cr_assert_eq(count_text(bytes, size, "G22 main.serve"), 2);
	/* And one group for both. */
	cr_assert_eq(count_text(bytes, size, "main.serve"), 5);
	cr_assert_eq(count_text(bytes, size, "gowrap"), 0);
	free(bytes);
	fake_free(trace);
}
