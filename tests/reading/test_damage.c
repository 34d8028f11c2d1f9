/*
 * test_damage.c - a file that is cut at every length gives back every whole frame; one with any byte changed is read to
 * its end, all the frames but one.
 *
 * Each mutilated file is read in a buffer of exactly its size, so that a sanitizer sees one byte too many.
 */
#include "sample.h"
#include "format/reading/reader.h"
#include "format/reading/text.h"
#include "format/reading/validate.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FRAMES 12u

static int failed;

struct seen {
	bool opened;
	uint64_t frames, events, frames_bad;
};

static struct seen read_all(const char *bytes, size_t size)
{
	struct seen seen = {0};
	struct gt_trace_damage damage;
	struct gt_trace_info info;
	struct gt_verdict verdict;
	struct gt_trace *trace;
	struct gt_error err;
	struct gt_event event;
	int64_t last = INT64_MIN;
	char *copy = malloc(size ? size : 1);

	memcpy(copy, bytes, size);
	seen.opened = !gt_trace_open_memory(copy, size, &trace, &err);
	if (!seen.opened) {
		if (strchr(err.text, '\n') || !err.text[0])
			failed = 1;
		free(copy);
		return seen;
	}
	while (gt_trace_next(trace, &event) > 0) {
		if (event.time_ns < last) {
			fprintf(stderr, "time goes back\n");
			failed = 1;
		}
		last = event.time_ns;
		seen.events++;
	}
	gt_trace_damage(trace, &damage);
	gt_trace_info(trace, &info);
	seen.frames = info.frames;
	seen.frames_bad = damage.frames_bad;
	if (gt_validate(trace, &verdict) < 0 || verdict.events != seen.events) {
		fprintf(stderr, "a second pass gives %" PRIu64 " events, not %" PRIu64 "\n", verdict.events,
			seen.events);
		failed = 1;
	}
	gt_trace_close(trace);
	free(copy);
	return seen;
}

/* Where each data frame ends, and how many events there are up to there. */
static unsigned int find_ends(const char *bytes, size_t size, uint64_t ends[], uint64_t events[])
{
	struct gt__reader reader;
	struct gt__frame frame;
	struct gt_error err;
	unsigned int count = 0;
	uint64_t offset = GT__HEADER_BYTES, sum = 0;

	if (gt__reader_open_memory(bytes, size, &reader, &err) < 0)
		return 0;
	while (gt__reader_next(&reader, offset, &frame, NULL) > 0) {
		offset = frame.next;
		if (frame.kind != GT__FRAME_DATA)
			continue;
		sum += frame.event_count;
		ends[count] = offset;
		events[count++] = sum;
	}
	gt__reader_close(&reader);
	return count;
}

static void cut_everywhere(const char *bytes, size_t size)
{
	uint64_t ends[FRAMES + 3], events[FRAMES + 3];
	unsigned int count = find_ends(bytes, size, ends, events), whole = 0;

	for (size_t at = 0; at <= size; at++) {
		struct seen seen = read_all(bytes, at);

		while (whole < count && ends[whole] <= at)
			whole++;
		if (seen.opened != (at >= GT__HEADER_BYTES) || seen.frames != whole || seen.frames_bad ||
			seen.events != (whole ? events[whole - 1] : 0)) {
			fprintf(stderr, "cut at %zu: %" PRIu64 " frames, not %u; %" PRIu64 " events; %" PRIu64 " bad\n",
				at, seen.frames, whole, seen.events, seen.frames_bad);
			failed = 1;
			return;
		}
	}
}

static void change_everywhere(char *bytes, size_t size, unsigned int step)
{
	uint64_t events = read_all(bytes, size).events;

	for (size_t at = 0; at < size; at += step)
		for (int way = 0; way < 3; way++) {
			char was = bytes[at];
			struct seen seen;

			bytes[at] = way == 0 ? (char)~was : way == 1 ? (char)(was ^ 1 << at % 8) : 0;
			seen = read_all(bytes, size);
			/* One frame's events at most, and the first frame's names do not count. */
			if (at >= GT__HEADER_BYTES && (!seen.opened || seen.events + 15 < events)) {
				fprintf(stderr, "byte %zu changed: %" PRIu64 " of %" PRIu64 " events\n", at,
					seen.events, events);
				failed = 1;
			}
			bytes[at] = was;
		}
}

int main(void)
{
	size_t size;
	char *bytes = sample_large(FRAMES, &size);

	if (!bytes)
		return 1;
	printf("%zu bytes\n", size);
	cut_everywhere(bytes, size);
	change_everywhere(bytes, size, getenv("GTRACE_FAST") ? 7 : 1);
	free(bytes);
	return failed;
}
