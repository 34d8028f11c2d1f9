/*
 * golden.c - runs one .gtt file: a trace as text and what is expected of it.
 *
 *   # what it shows
 *   -- expect --
 *   POSSIBLE | IMPOSSIBLE "why"          the verdict; why = the sentence of the first impossible event
 *   EXPLAINED n                          contradictions that a loss explains (default 0)
 *   REPAIRED n                           inversions put right (default 0)
 *   BROKEN n                             events that order found no place for (default: not looked at)
 *   ORDER                                then the ordered events, as gt_text_events gives them
 *   ...
 *   -- trace --
 *   gtrace ...                           as docs/text.md
 *
 * A .gtrace file instead (real/: recordings of real programs, one of each version of the format, never deleted) must be
 * possible, whole and in order as it stands; its text must give it back.
 *
 * GTRACE_ACCEPT=1 prints what it saw in the form of the first part.
 */
#include "format/reading/text.h"
#include "format/reading/validate.h"
#include "format/text/text_read.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct expected {
	bool possible;
	char why[256];
	uint64_t explained, repaired, broken;
	bool looks_at_broken, looks_at_order;
	char *order;
	size_t order_size;
};

static int failed;

static void fail(const char *file, const char *what)
{
	fprintf(stderr, "%s: %s\n", file, what);
	failed = 1;
}

static void parse_expected(const char *file, FILE *in, struct expected *expected)
{
	FILE *order = open_memstream(&expected->order, &expected->order_size);
	char line[1024];

	while (fgets(line, sizeof(line), in) && strcmp(line, "-- trace --\n")) {
		if (expected->looks_at_order)
			fputs(line, order);
		else if (!strcmp(line, "POSSIBLE\n"))
			expected->possible = true;
		else if (!strcmp(line, "ORDER\n"))
			expected->looks_at_order = true;
		else if (sscanf(line, "BROKEN %" SCNu64, &expected->broken) == 1)
			expected->looks_at_broken = true;
		else if (sscanf(line, "IMPOSSIBLE \"%255[^\"]", expected->why) != 1 &&
			 sscanf(line, "EXPLAINED %" SCNu64, &expected->explained) != 1 &&
			 sscanf(line, "REPAIRED %" SCNu64, &expected->repaired) != 1 && line[0] != '#' &&
			 line[0] != '\n' && strcmp(line, "-- expect --\n"))
			fail(file, "a line of what is expected that nobody understands");
	}
	fclose(order);
}

static void compare(const char *file, const struct expected *expected, struct gt_trace *trace)
{
	struct gt_trace_damage damage;
	struct gt_verdict verdict;
	struct gt_error err;
	char *order;
	size_t size;
	FILE *out = open_memstream(&order, &size);

	if (gt_validate(trace, &verdict) < 0)
		fail(file, "gt_validate failed");
	gt_trace_damage(trace, &damage);
	if (gt_text_events(trace, out, &err) < 0)
		fail(file, err.text);
	fclose(out);
	if (!expected->possible != !!verdict.impossible || strcmp(verdict.why, expected->why))
		fail(file, "another verdict");
	if (verdict.explained != expected->explained)
		fail(file, "another number of explained contradictions");
	if (damage.order_repaired != expected->repaired)
		fail(file, "another number of repaired inversions");
	if (expected->looks_at_broken && damage.order_broken != expected->broken)
		fail(file, "another number of events without a place");
	if (damage.frames_bad || damage.records_bad)
		fail(file, damage.first);
	if (expected->looks_at_order && (size != expected->order_size || memcmp(order, expected->order, size)))
		fail(file, "another order");
	if (failed || getenv("GTRACE_ACCEPT")) {
		if (verdict.impossible)
			printf("IMPOSSIBLE \"%s\"\n# event %" PRIu64 " at %" PRId64 " ns on M %" PRIu64 ": %s\n",
				verdict.why, verdict.number, verdict.time_ns, verdict.m, verdict.event);
		else
			puts("POSSIBLE");
		printf("EXPLAINED %" PRIu64 "\nREPAIRED %" PRIu64 "\nBROKEN %" PRIu64 "\nORDER\n%s", verdict.explained,
			damage.order_repaired, damage.order_broken, order);
	}
	free(order);
}

/* The file's bytes to text and back: the same text, and the same bytes (@bytes NULL: another zstd may have made them). */
static void round_trip(const char *file, struct gt_trace *trace, const char *bytes, size_t size)
{
	char *text, *again, *text_again;
	size_t text_size, again_size, text_again_size;
	FILE *out = open_memstream(&text, &text_size), *in;
	struct gt_trace *trace_again;
	struct gt_error err;

	if (gt_text_write(trace, out, &err) < 0)
		fail(file, err.text);
	fclose(out);
	in = fmemopen(text, text_size, "r");
	out = open_memstream(&again, &again_size);
	if (gt_text_read(in, out, &err) < 0)
		fail(file, err.text);
	fclose(in);
	fclose(out);
	if (bytes && (again_size != size || memcmp(again, bytes, size)))
		fail(file, "file -> text -> file gives another file");
	if (gt_trace_open_memory(again, again_size, &trace_again, &err) < 0) {
		fail(file, err.text);
	} else {
		out = open_memstream(&text_again, &text_again_size);
		gt_text_write(trace_again, out, &err);
		fclose(out);
		if (text_again_size != text_size || memcmp(text_again, text, text_size))
			fail(file, "text -> file -> text gives another text");
		free(text_again);
		gt_trace_close(trace_again);
	}
	free(text);
	free(again);
}

static int run_real(const char *file)
{
	struct gt_trace_damage damage;
	struct gt_verdict verdict;
	struct gt_trace *trace;
	struct gt_error err;

	if (gt_trace_open(file, &trace, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	if (gt_validate(trace, &verdict) < 0 || !verdict.events || verdict.impossible)
		fail(file, verdict.why);
	gt_trace_damage(trace, &damage);
	if (damage.first[0])
		fail(file, damage.first);
	round_trip(file, trace, NULL, 0);
	gt_trace_close(trace);
	return failed;
}

int main(int argc, char **argv)
{
	struct expected expected = {0};
	struct gt_trace *trace;
	struct gt_error err;
	FILE *in, *out;
	char *bytes;
	size_t size;

	if (argc != 2 || !(in = fopen(argv[1], "r"))) {
		fprintf(stderr, "usage: golden FILE.gtt\n");
		return 2;
	}
	if (strlen(argv[1]) > 7 && !strcmp(argv[1] + strlen(argv[1]) - 7, ".gtrace")) {
		fclose(in);
		return run_real(argv[1]);
	}
	parse_expected(argv[1], in, &expected);
	out = open_memstream(&bytes, &size);
	if (gt_text_read(in, out, &err) < 0) {
		fprintf(stderr, "%s: trace: %s\n", argv[1], err.text);
		return 1;
	}
	fclose(out);
	fclose(in);
	if (gt_trace_open_memory(bytes, size, &trace, &err) < 0) {
		fprintf(stderr, "%s: %s\n", argv[1], err.text);
		return 1;
	}
	compare(argv[1], &expected, trace);
	round_trip(argv[1], trace, bytes, size);
	gt_trace_close(trace);
	free(bytes);
	free(expected.order);
	return failed;
}
