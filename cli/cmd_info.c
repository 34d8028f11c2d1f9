/* cmd_info.c - gtrace info FILE: what a trace holds. Its events are only read when nothing else tells how many there are of each kind. */
#include "cli/cli.h"
#include "format/reading/trace.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static void print_time(int64_t realtime_ns)
{
	time_t seconds = (time_t)(realtime_ns / 1000000000);
	struct tm tm;
	char text[64];

	if (!gmtime_r(&seconds, &tm))
		return;
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
	printf("%-18s %s.%09" PRId64 " UTC\n", "start", text, realtime_ns % 1000000000);
}

/* A program's name or arguments may hold anything. */
static void put_meta(const char *key, const char *value)
{
	gt_put_one_line(stdout, key);
	printf("%*s ", strlen(key) < 18 ? 18 - (int)strlen(key) : 0, "");
	gt_put_one_line(stdout, value);
	putchar('\n');
}

/* Of a window, or a file that was cut: the events themselves tell. */
static void print_counts(struct gt_trace *trace)
{
	uint64_t by_kind[GT_EVENT_KIND_COUNT] = {0};
	char text[GT_COUNTS_BYTES];
	struct gt_event event;

	while (gt_trace_next(trace, &event) > 0)
		by_kind[event.kind]++;
	printf("%-18s %s\n", "counts", gt_counts_text(by_kind, text));
}

int gt_cmd_info(int argc, char **argv)
{
	const char *path = gt_one_file(argc, argv,
			   "Says what a trace holds: program, host, clock, span, events, losses, damage.\vFILE may be "
			   "one of Go's own traces (Go 1.22 to 1.27)."),
		   *key, *value, *what;
	struct gt_trace *trace;
	struct gt_trace_info info;
	struct gt_trace_damage damage;
	struct gt_error err;
	char text[32], cost[256];
	uint64_t count;
	size_t at;

	if (gt_trace_open(path, &trace, &err) < 0)
		return gt_die(GT_EXIT_FAILURE, &err);
	gt_trace_scan(trace);
	gt_trace_info(trace, &info);
	gt_trace_damage(trace, &damage);

	printf("%-18s %s\n", "file", path);
	printf("%-18s %s%s%u.%u%s\n", "format", info.source ? info.source : "", info.source ? ", version " : "",
		info.version_major, info.version_minor, info.window ? ", a window's snapshot" : "");
	if (info.start_realtime_ns)
		print_time(info.start_realtime_ns);
	printf("%-18s %s\n", "span", gt_format_duration(info.span_ns > 0 ? (uint64_t)info.span_ns : 0, text));
	printf("%-18s %" PRIu64 "\n", "events", info.events);
	printf("%-18s %s", "size", gt_format_size(info.file_bytes, text));
	printf(" (%s unpacked, %" PRIu64 " %s", gt_format_size(info.raw_bytes, text), info.frames,
		info.source ? "generations" : "frames");
	if (info.events)
		printf(", %.2f bytes an event", (double)info.file_bytes / (double)info.events);
	printf(")\n");
	for (at = 0; gt_trace_metas(trace, &at, &key, &value);)
		if (strcmp(key, "recorder") != 0)
			put_meta(key, value);
	if (gt_trace_recorder_text(trace, cost, sizeof(cost)))
		printf("%-18s %s\n", "recorder", cost);
	if (!gt_trace_meta(trace, "counts"))
		print_counts(trace);
	for (at = 0; gt_trace_losses(trace, &at, &what, &count);)
		printf("lost: %-12s %" PRIu64 "\n", what, count);
	printf("%-18s %s\n", "complete",
		!info.cut     ? "yes"
		: info.source ? "no: the file was cut; every whole generation is used"
			      : "no: the file was cut; every whole frame is used");
	if (damage.first[0] && info.source)
		printf("%-18s %s\n", "damage", damage.first);
	else if (damage.first[0] && (damage.frames_bad || damage.records_bad || !info.cut))
		printf("%-18s %s (%" PRIu64 " frames, %" PRIu64 " records)\n", "damage", damage.first,
			damage.frames_bad, damage.records_bad);
	gt_trace_close(trace);
	return fflush(stdout) || ferror(stdout) ? gt_die_text(GT_EXIT_FAILURE, "cannot write: standard output") : 0;
}
