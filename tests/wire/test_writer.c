/* test_writer.c - the bytes of small files, against docs/format.md. */
#include "format/wire/writer.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "base/bytes.h"
#include "base/crc32c.h"

#define FILE_MAX (8u << 20)

static uint8_t *raws[16]; /* of the frames that a test unpacked */
static size_t raw_count;
static uint8_t *bytes;
static size_t size;

static char folder[] = "/tmp/gtrace-test-XXXXXX";
static char path[64];

static void setup(void)
{
	cr_assert_not_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/t.gtrace", folder);
}

static void teardown(void)
{
	while (raw_count)
		free(raws[--raw_count]);
	free(bytes);
	unlink(path);
	cr_assert_eq(rmdir(folder), 0, "something was left in %s", folder);
}

TestSuite(writer, .init = setup, .fini = teardown);

static struct gt_writer *open_writer(void)
{
	struct gt_writer_config config = {
		.path = path,
		.window = true,
		.ticks_per_second = 0x1122334455667788,
		.start_ticks = 1000,
		.start_realtime_ns = 2,
		.start_monotonic_ns = -1,
	};
	struct gt_writer *writer;
	struct gt_error err;

	cr_assert_eq(gt_writer_open(&config, &writer, &err), 0, "%s", err.text);
	return writer;
}

static void close_writer(struct gt_writer *writer)
{
	struct gt_error err = {""};

	cr_assert_eq(gt_writer_close(writer, 5000, 6000, &err), 0, "%s", err.text);
}

struct frame {
	uint32_t kind, stored, raw_size, event_count;
	uint64_t offset, ticks, monotonic_ns, watermark;
	uint8_t *raw;
};

static void load(void)
{
	FILE *file = fopen(path, "rb");

	cr_assert_not_null(file);
	bytes = malloc(FILE_MAX);
	size = fread(bytes, 1, FILE_MAX, file);
	fclose(file);
}

/* The frame at *at, checked and unpacked; steps over it. */
static struct frame next_frame(size_t *at)
{
	struct gt_cursor cursor = {bytes + *at, bytes + size, false};
	struct frame frame = {.offset = *at};

	cr_assert_eq(gt_get_u32(&cursor), 0x52465447);
	frame.kind = gt_get_u32(&cursor);
	frame.stored = gt_get_u32(&cursor);
	frame.raw_size = gt_get_u32(&cursor);
	frame.ticks = gt_get_u64(&cursor);
	frame.monotonic_ns = gt_get_u64(&cursor);
	frame.watermark = gt_get_u64(&cursor);
	frame.event_count = gt_get_u32(&cursor);
	cr_assert_eq(gt_get_u32(&cursor), gt_crc32c(0, bytes + *at, 44));
	cr_assert_leq(*at + 48 + frame.stored, size);
	cr_assert_lt(raw_count, 16);
	raws[raw_count++] = frame.raw = malloc(frame.raw_size + 1);
	cr_assert_eq(ZSTD_getFrameContentSize(bytes + *at + 48, frame.stored), frame.raw_size);
	cr_assert(bytes[*at + 48 + 4] & 4, "no checksum");
	cr_assert_eq(ZSTD_decompress(frame.raw, frame.raw_size, bytes + *at + 48, frame.stored), frame.raw_size);
	*at += 48 + frame.stored;
	return frame;
}

static void expect_hex(const uint8_t *got, size_t got_size, const char *want)
{
	static char text[1024], plain[1024];
	size_t used = 0;

	cr_assert_lt(2 * got_size, sizeof(text));
	text[0] = '\0';
	for (size_t i = 0; i < got_size; i++)
		snprintf(text + 2 * i, 3, "%02x", got[i]);
	for (; *want; want++) {
		if (*want != ' ')
			plain[used++] = *want;
	}
	plain[used] = '\0';
	cr_assert_str_eq(text, plain);
}

/* One of each record; zstd's own bytes are its version's, so what it unpacks to is compared. */
Test(writer, writes_the_bytes_of_the_page)
{
	struct gt_writer *writer = open_writer();
	struct gt_writer_line line = {1, 2, 300};
	uint64_t pcs[] = {0x401000, 0x7f};
	struct frame data, index;
	char want[200];
	size_t at = 64;

	gt_writer_meta(writer, "pid", "1");
	gt_writer_meta(writer, "pid", "22");
	cr_assert_eq(gt_writer_string(writer, "f", 1), 1);
	cr_assert_eq(gt_writer_string(writer, "a.go", 4), 2);
	cr_assert_eq(gt_writer_string(writer, "f", 1), 1);
	cr_assert_eq(gt_writer_string(writer, "", 0), 0);
	cr_assert_not(gt_writer_has_pc(writer, 0x401000));
	gt_writer_pc(writer, 0x401000, &line, 1);
	cr_assert(gt_writer_has_pc(writer, 0x401000));
	cr_assert_not(gt_writer_has_stack(writer, 9));
	gt_writer_stack(writer, 9, pcs, 2);
	cr_assert(gt_writer_has_stack(writer, 9));
	gt_writer_thread(writer, 3, 1000, "m3");
	gt_writer_goroutine(writer, 7, 1, 0x401000, 0);
	gt_writer_since(writer, 3, 1001);
	gt_writer_loss(writer, "blocks", 128);
	gt_writer_events_begin(writer, 3, 2000);
	gt_writer_event(writer, GT_EV_GO_RUN, 2000, (uint64_t[]){7, GT_STATE_RUNNABLE, 1});
	gt_writer_event(writer, GT_EV_GO_BLOCK, 2200, (uint64_t[]){7, GT_REASON_SELECT, 9});
	gt_writer_event(writer, GT_EV_GO_READY, 2190, (uint64_t[]){16384, GT_STATE_WAITING, 16383});
	gt_writer_event(writer, GT_EV_M_IDLE, 2190 + 16384, NULL);
	gt_writer_events_end(writer);
	gt_writer_events_begin(writer, 4, 3000);
	gt_writer_events_end(writer);
	gt_writer_watermark(writer, 1900);
	gt_writer_watermark(writer, 1800);
	close_writer(writer);

	load();
	expect_hex(bytes, 56,
		"894754524143450a 0100 0000 40000000 0100000000000000 8877665544332211"
		"e803000000000000 0200000000000000 ffffffffffffffff");
	cr_assert_eq(gt_crc32c(0, bytes, 56),
		(uint32_t)(bytes[56] | bytes[57] << 8 | bytes[58] << 16) | (uint32_t)bytes[59] << 24);
	expect_hex(bytes + 60, 4, "00000000");
	data = next_frame(&at);
	cr_assert_eq(data.kind, 1);
	cr_assert_eq(data.event_count, 4);
	cr_assert_eq(data.ticks, 5000);
	cr_assert_eq(data.monotonic_ns, 6000);
	cr_assert_eq(data.watermark, 1900);
	expect_hex(data.raw, data.raw_size,
		"01 06 03706964 0131   01 07 03706964 023232"
		"02 02 01 66   02 05 02 612e676f"
		"03 09 80a08002 01 01 02 ac02"
		"04 07 09 02 80a08002 7f"
		"05 06 03 e807 026d33"
		"06 07 07 01 80a08002 00"
		"09 03 03 e907"
		"08 09 06626c6f636b73 8001"
		"07 1d 03 d00f 04"
		"  02 00 07 01 01"
		"  03 c801 07 09 09"
		"  00 0a 05 00 808001 04 ff7f"
		"  0b 808001");
	index = next_frame(&at);
	cr_assert_eq(index.kind, 2);
	cr_assert_eq(index.event_count, 0);
	snprintf(want, sizeof(want), "01 07 03706964 023232  08 09 06626c6f636b73 8001  10 07 40 d00f 8e9101 04");
	expect_hex(index.raw, index.raw_size, want);
	cr_assert_eq(size - at, 16);
	snprintf(want, sizeof(want), "%02x%02x000000000000", (unsigned int)(index.offset & 255),
		(unsigned int)(index.offset >> 8));
	expect_hex(bytes + at, 8, want);
	expect_hex(bytes + at + 12, 4, "47544e44");
}

Test(writer, makes_a_whole_file_of_nothing)
{
	struct gt_writer *writer = open_writer();
	size_t at = 64;

	cr_assert_eq(gt_writer_flush(writer, 1, 2), 0);
	close_writer(writer);
	load();
	cr_assert_eq(next_frame(&at).kind, 2);
	cr_assert_eq(at + 16, size);
}

/* A record that does not fit is split: base of the second is where the first ended. */
Test(writer, splits_a_long_run_of_events_over_frames)
{
	struct gt_writer *writer = open_writer();
	struct gt_writer_totals totals;
	uint64_t events = 0;
	size_t at = 64;
	struct frame frame;

	gt_writer_events_begin(writer, 1, 5000);
	for (uint64_t i = 0; i < 500000; i++)
		cr_assert_eq(gt_writer_event(writer, GT_EV_P_IDLE, 5000 + i * 3, &i), 0);
	gt_writer_events_end(writer);
	gt_writer_totals(writer, &totals);
	cr_assert_eq(totals.events, 500000);
	close_writer(writer);
	load();
	while ((frame = next_frame(&at)).kind == 1) {
		struct gt_cursor cursor = {frame.raw, frame.raw + frame.raw_size, false};

		cr_assert_leq(frame.raw_size, 1 << 20);
		cr_assert_eq(gt_get_u8(&cursor), 7);
		cr_assert_eq(gt_get_uvarint(&cursor), gt_cursor_left(&cursor));
		cr_assert_eq(gt_get_uvarint(&cursor), 1);
		cr_assert_eq(gt_get_uvarint(&cursor), events ? 5000 + (events - 1) * 3 : 5000);
		cr_assert_eq(gt_get_uvarint(&cursor), frame.event_count);
		events += frame.event_count;
	}
	cr_assert_eq(events, 500000);
}

Test(writer, refuses_an_event_that_the_table_lacks_and_goes_on)
{
	struct gt_writer *writer = open_writer();
	uint64_t args[GT_EVENT_ARGS_MAX] = {1, 2, 3};
	struct gt_writer_totals totals;

	gt_writer_events_begin(writer, 1, 1000);
	cr_assert_eq(gt_writer_event(writer, GT_EV_NONE, 1000, args), -EINVAL);
	cr_assert_eq(gt_writer_event(writer, (enum gt_event_kind)127, 1000, args), -EINVAL);
	cr_assert_eq(gt_writer_event(writer, (enum gt_event_kind)128, 1000, args), -EINVAL);
	cr_assert_eq(gt_writer_event(writer, GT_EV_GO_END, 1000, args), 0);
	cr_assert_eq(gt_writer_events_end(writer), 0);
	gt_writer_totals(writer, &totals);
	cr_assert_eq(totals.events, 1);
	close_writer(writer);
}

/* Long texts end at a character; deep stacks and long inlinings keep their innermost part. */
Test(writer, cuts_what_is_too_long)
{
	struct gt_writer *writer = open_writer();
	static char text[200001];
	static uint64_t pcs[5000];
	struct frame frame;
	struct gt_cursor cursor;
	size_t at = 64, length;

	for (size_t i = 0; i + 1 < sizeof(text); i += 2)
		memcpy(text + i, "\303\266", 2);
	for (size_t i = 0; i < 5000; i++)
		pcs[i] = UINT64_MAX - i;
	gt_writer_string(writer, text, sizeof(text) - 1);
	gt_writer_meta(writer, "args", text);
	gt_writer_stack(writer, 1, pcs, 5000);
	for (int i = 0; i < 40; i++) {
		snprintf(text, 16, "%d", i);
		text[15] = 'x';
		gt_writer_string(writer, text, sizeof(text) - 1);
	}
	close_writer(writer);
	load();
	frame = next_frame(&at);
	cursor = (struct gt_cursor){frame.raw, frame.raw + frame.raw_size, false};
	cr_assert_eq(gt_get_u8(&cursor), 2);
	length = gt_get_uvarint(&cursor);
	cr_assert_eq(length, 1 + 65534);
	gt_get_bytes(&cursor, length);
	cr_assert_eq(gt_get_u8(&cursor), 1);
	gt_get_bytes(&cursor, gt_get_uvarint(&cursor));
	cr_assert_eq(gt_get_u8(&cursor), 4);
	gt_get_uvarint(&cursor);
	cr_assert_eq(gt_get_uvarint(&cursor), 1);
	cr_assert_eq(gt_get_uvarint(&cursor), 1024);
	cr_assert_eq(gt_get_uvarint(&cursor), UINT64_MAX);
	cr_assert_not(cursor.bad);
	cr_assert_eq(next_frame(&at).kind, 1, "40 long strings take more than a frame");
}

Test(writer, removes_everything_when_abandoned)
{
	struct gt_writer *writer = open_writer();

	gt_writer_meta(writer, "a", "b");
	gt_writer_flush(writer, 1, 1);
	gt_writer_abandon(writer);
}
