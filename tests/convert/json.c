/* json.c - numbers, times, escapes, the sink and the map. */
#include "format/convert/json.h"
#include "format/convert/map.h"
#include "format/convert/sink.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void check_number(uint64_t value)
{
	char got[64], want[64];

	*gt_json_u64(got, value) = '\0';
	snprintf(want, sizeof(want), "%" PRIu64, value);
	cr_assert_str_eq(got, want);
	*gt_json_time(got, value) = '\0';
	snprintf(want, sizeof(want), "%" PRIu64 ".%03u", value / 1000, (unsigned int)(value % 1000));
	cr_assert_str_eq(got, want);
	*gt_json_hex(got, value) = '\0';
	snprintf(want, sizeof(want), "\"0x%" PRIx64 "\"", value);
	cr_assert_str_eq(got, want);
}

/* Goal: each length of number, at its both ends. Method: against printf, around all powers of 10 and 2. */
Test(json, numbers_are_printf_s)
{
	uint64_t value = 1;

	for (int i = 0; i < 20; i++, value *= 10)
		for (uint64_t near = value - 2; near != value + 3; near++)
			check_number(near);
	for (int i = 0; i < 64; i++)
		for (int near = -2; near < 3; near++)
			check_number((UINT64_C(1) << i) + (uint64_t)near);
	check_number(UINT64_MAX);
	for (uint64_t i = 0; i < 100000; i++)
		check_number(i * UINT64_C(0x9e3779b97f4a7c15) >> (i % 64));
}

/* Goal: the copied digits are those of this time. Method: walks and jumps against gt_json_time. */
Test(json, near_times_are_times)
{
	struct gt_json_clock clock = {0};
	char got[64], want[64];
	uint64_t ns = 0, step = 1;

	for (int i = 0; i < 300000; i++) {
		*gt_json_near_time(&clock, got, ns) = '\0';
		*gt_json_time(want, ns) = '\0';
		cr_assert_str_eq(got, want);
		step = step * 6364136223846793005 + 1442695040888963407;
		if (i % 1000 == 0)
			ns = step >> (step % 64);
		else
			ns += step >> 44;
	}
}

static const char *escaped(const char *text, size_t size)
{
	static char out[512];

	*gt_json_escape(out, text, size) = '\0';
	return out;
}

Test(json, quotes_and_controls_are_escaped)
{
	cr_assert_str_eq(escaped("a\"b\\c\n\t\x01\x7f\x00z", 11), "a\\\"b\\\\c\\n\\u0009\\u0001\\u007f\\u0000z");
	cr_assert_str_eq(escaped("", 0), "");
}

Test(json, good_utf8_stays_and_bad_is_replaced)
{
	cr_assert_str_eq(escaped("Grüße → 🏃", strlen("Grüße → 🏃")), "Grüße → 🏃");
	/* A lone tail, a cut character, too long forms, a surrogate, beyond U+10FFFF, no head at all. */
	cr_assert_str_eq(escaped("\x80", 1), "\xef\xbf\xbd");
	cr_assert_str_eq(escaped("a\xe2\x82", 3), "a\xef\xbf\xbd\xef\xbf\xbd");
	cr_assert_str_eq(escaped("\xc0\xaf", 2), "\xef\xbf\xbd\xef\xbf\xbd");
	cr_assert_str_eq(escaped("\xe0\x80\x80", 3), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
	cr_assert_str_eq(escaped("\xed\xa0\x80", 3), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
	cr_assert_str_eq(escaped("\xf4\x90\x80\x80", 4), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
	cr_assert_str_eq(escaped("\xff", 1), "\xef\xbf\xbd");
	cr_assert_str_eq(escaped("\xf4\x8f\xbf\xbf", 4), "\xf4\x8f\xbf\xbf");
}

Test(sink, memory_grows)
{
	struct gt_sink sink;
	char *bytes = NULL;
	size_t size = 0;

	cr_assert_eq(gt_sink_open_memory(&sink), 0);
	for (int i = 0; i < 200000; i++)
		gt_sink_write(&sink, "0123456789", 10);
	cr_assert_eq(gt_sink_total(&sink), 2000000);
	cr_assert_eq(gt_sink_close(&sink, &bytes, &size, NULL), 0);
	cr_assert_eq(size, 2000000);
	cr_assert_eq(memcmp(bytes + 1999990, "0123456789", 11), 0);
	free(bytes);
}

Test(sink, a_full_disk_is_one_line_and_ends_nothing)
{
	struct gt_sink sink;
	struct gt_error err;
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		cr_skip_test("no /dev/full");
	cr_assert_eq(gt_sink_open_fd(&sink, fd, "out.json"), 0);
	for (int i = 0; i < 100000; i++)
		gt_sink_write(&sink, "0123456789", 10);
	cr_assert(gt_sink_bad(&sink));
	cr_assert_eq(gt_sink_close(&sink, NULL, NULL, &err), -ENOSPC);
	cr_assert_str_eq(err.text, "no space left: out.json: free some, or write elsewhere with -o");
	close(fd);
}

Test(sink, a_reader_that_went_away_is_one_line)
{
	struct gt_sink sink;
	struct gt_error err;
	int ends[2];

	signal(SIGPIPE, SIG_IGN);
	cr_assert_eq(pipe(ends), 0);
	close(ends[0]);
	cr_assert_eq(gt_sink_open_fd(&sink, ends[1], "standard output"), 0);
	gt_sink_write(&sink, "x", 1);
	cr_assert_eq(gt_sink_close(&sink, NULL, NULL, &err), -EPIPE);
	cr_assert_str_eq(err.text, "the reader went away: standard output: read it to its end");
	close(ends[1]);
}

/* Goal: removal keeps every other key reachable. Method: random puts and removes against a plain array. */
Test(map, keys_stay_reachable_while_others_go)
{
	static bool there[1000];
	static char value;
	struct gt__map map = {0};
	unsigned int seed = 7;
	size_t at = 0, count = 0;

	for (int i = 0; i < 200000; i++) {
		/* Few distinct high bits: many keys share a home. */
		unsigned int pick = (unsigned int)rand_r(&seed) % 1000;
		uint64_t key = (uint64_t)pick << 20;

		if (there[pick])
			gt__map_remove(&map, key);
		else
			cr_assert_eq(gt__map_put(&map, key, &value), 0);
		there[pick] = !there[pick];
		if (i % 1000 == 0)
			for (uint64_t k = 0; k < 1000; k++)
				cr_assert_eq(gt__map_get(&map, k << 20) != NULL, there[k]);
	}
	while (gt__map_each(&map, &at))
		count++;
	cr_assert_eq(count, map.count);
	cr_assert_null(gt__map_get(&map, 12345));
	gt__map_remove(&map, 12345);
	gt__map_free(&map);
}

/* The same of ids, that stand close and far: each is found, told once, and its page goes with the last of it. */
Test(map, ids_in_pages)
{
	static bool there[1000];
	struct gt__ids ids = {0};
	unsigned int seed = 7;
	size_t at = 0, count = 0;
	int values[1000], *value;

	for (int i = 0; i < 100000; i++) {
		unsigned int pick = (unsigned int)rand_r(&seed) % 1000;
		uint64_t id = pick < 500 ? pick : (uint64_t)pick << 40;

		if (there[pick])
			gt__ids_remove(&ids, id);
		else
			cr_assert_eq(gt__ids_put(&ids, id, &values[pick]), 0);
		there[pick] = !there[pick];
		cr_assert_eq(gt__ids_get(&ids, id), there[pick] ? &values[pick] : NULL);
	}
	while ((value = gt__ids_each(&ids, &at))) {
		cr_assert(there[value - values]);
		there[value - values] = false;
		count++;
	}
	cr_assert_eq(count, ids.count);
	cr_assert_null(gt__ids_get(&ids, UINT64_MAX));
	gt__ids_remove(&ids, UINT64_MAX);
	for (unsigned int pick = 0; pick < 1000; pick++)
		gt__ids_remove(&ids, pick < 500 ? pick : (uint64_t)pick << 40);
	cr_assert_eq(ids.count, 0);
	cr_assert_eq(ids.pages.count, 0);
	gt__ids_free(&ids);
}
