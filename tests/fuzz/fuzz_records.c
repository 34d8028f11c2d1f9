/*
 * fuzz_records.c - any bytes as the records of frames that are whole: past the checksums, where fuzz_trace hardly comes.
 *
 * However often a file is read from its begin, each pass gives the same events in the same order and finds the same damage, whatever
 * an earlier one has learned of later frames.
 *
 * Input: u8 (bit 0: a window), then frames: u16 bytes, u16 watermark, the bytes.
 */
#include "base/hash.h"
#include "format/text/build.h"
#include "format/reading/text.h"
#include "format/reading/validate.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *make_file(const uint8_t *data, size_t size, size_t *file_size)
{
	struct gt__header header = {.version_major = 1, .ticks_per_second = 1000000000};
	struct gt_cursor cursor = {.at = data, .end = data + size};
	struct gt_build build;
	char *bytes;
	FILE *out = open_memstream(&bytes, file_size);

	header.flags = gt_get_u8(&cursor) & 1;
	gt_build_begin(&build, out, &header);
	while (gt_cursor_left(&cursor) >= 4) {
		unsigned int length = gt_get_u8(&cursor), watermark;

		length |= (unsigned int)gt_get_u8(&cursor) << 8;
		watermark = gt_get_u8(&cursor);
		watermark |= (unsigned int)gt_get_u8(&cursor) << 8;
		if (length > gt_cursor_left(&cursor))
			length = (unsigned int)gt_cursor_left(&cursor);
		if (gt_build_frame(&build, watermark, watermark, watermark, UINT64_MAX) < 0 ||
			gt_build_raw(&build, gt_get_bytes(&cursor, length), length) < 0)
			abort();
	}
	if (gt_build_end(&build) < 0)
		abort();
	fclose(out);
	return bytes;
}

struct seen {
	uint64_t count;
	uint64_t digest; /* of the events, in order */
	struct gt_trace_damage damage;
};

static uint64_t add(uint64_t digest, uint64_t value)
{
	return gt_hash_u64(digest ^ value);
}

static uint64_t digest_event(uint64_t digest, const struct gt_event *event)
{
	digest = add(add(add(add(digest, event->kind), event->m), event->ticks), (uint64_t)event->time_ns);
	/* Whose goroutine a sample is of follows from what is known of its thread, which a later frame may tell. */
	for (unsigned int i = event->kind == GT_EV_CPU_SAMPLE; i < gt_event_specs[event->kind].arg_count; i++)
		digest = add(digest, event->args[i]);
	return digest;
}

/* What a whole pass gives; each event must be one that the table knows, and time must not go back. */
static struct seen pass(struct gt_trace *trace)
{
	struct seen seen = {0};
	struct gt_event event;
	char name[GT_TRACE_OBJECT_BYTES];
	int64_t last = INT64_MIN;

	while (gt_trace_next(trace, &event) > 0) {
		const struct gt_event_spec *spec = &gt_event_specs[event.kind];

		if (event.time_ns < last || !spec->text)
			abort();
		for (unsigned int i = 0; i < spec->arg_count; i++) {
			if (spec->args[i].type == GT_ARG_STATE &&
				(event.args[i] > 15 || !gt_state_known((unsigned int)event.args[i])))
				abort();
			if (spec->args[i].type == GT_ARG_OBJECT &&
				(event.args[i] >= GT_OBJECT_COUNT || !gt_object_known((unsigned int)event.args[i])))
				abort();
			if (spec->args[i].type == GT_ARG_CAUSE &&
				(event.args[i] >= GT_CAUSE_COUNT || !gt_cause_known((unsigned int)event.args[i])))
				abort();
			if (spec->args[i].type == GT_ARG_OBJECT)
				gt_trace_object(trace, (unsigned int)event.args[i], event.args[i + 1], name);
			gt_trace_syscall(trace, event.args[i]);
			gt_trace_goroutine(trace, event.args[i]);
			gt_trace_function(trace, event.args[i]);
		}
		last = event.time_ns;
		seen.count++;
		seen.digest = digest_event(seen.digest, &event);
	}
	gt_trace_damage(trace, &seen.damage);
	return seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static FILE *nowhere;
	struct gt_verdict verdict;
	struct seen first, second;
	struct gt_trace *trace;
	struct gt_error err;
	size_t file_size;
	char *file;

	if (!size)
		return 0;
	if (!nowhere)
		nowhere = fopen("/dev/null", "w");
	file = make_file(data, size, &file_size);
	if (gt_trace_open_memory(file, file_size, &trace, &err) < 0)
		abort();
	first = pass(trace);
	if (first.damage.frames_bad)
		abort();
	if (gt_validate(trace, &verdict) < 0 || verdict.events != first.count || gt_trace_scan(trace) < 0)
		abort();
	second = pass(trace);
	if (second.count != first.count || second.digest != first.digest ||
		second.damage.frames_bad != first.damage.frames_bad ||
		second.damage.records_bad != first.damage.records_bad ||
		second.damage.events_lost != first.damage.events_lost ||
		second.damage.order_broken != first.damage.order_broken ||
		second.damage.order_repaired != first.damage.order_repaired)
		abort();
	gt_text_write(trace, nowhere, &err);
	gt_text_events(trace, nowhere, &err);
	gt_trace_close(trace);
	free(file);
	return 0;
}
