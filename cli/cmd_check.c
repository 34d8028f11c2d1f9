/* cmd_check.c - gtrace check FILE: is this a possible execution? */
#include "cli/cli.h"
#include "format/reading/trace.h"
#include "format/reading/validate.h"

#include <inttypes.h>
#include <stdio.h>

static void print_table(const char *title, const uint64_t *counts)
{
	for (unsigned int fit = 0; fit < GT_FIT_COUNT; fit++)
		if (counts[fit])
			printf("  %s %-10s %" PRIu64 "\n", title, gt_verdict_kind(fit), counts[fit]);
}

int gt_cmd_check(int argc, char **argv)
{
	struct gt_trace_damage damage;
	struct gt_verdict verdict;
	struct gt_trace_info info;
	struct gt_trace *trace;
	const char *path = gt_one_file(argc, argv,
		"Follows every goroutine, M and P through the trace and names the first event that cannot have "
		"happened.\v"
		"FILE may be one of Go's own traces (Go 1.22 to 1.27). "
		"Exit status: 0 possible (as far as it goes, when it was cut off), 1 impossible, damaged or "
		"unreadable.");
	struct gt_error err;
	int status = 0;
	bool bad;

	if (gt_trace_open(path, &trace, &err) < 0)
		return gt_die(GT_EXIT_FAILURE, &err);
	if (gt_validate(trace, &verdict) < 0) {
		gt_trace_close(trace);
		return gt_die_text(GT_EXIT_FAILURE, "cannot check: %s: out of memory", path);
	}
	gt_trace_damage(trace, &damage);
	gt_trace_info(trace, &info);
	printf("%s: %" PRIu64 " events, %" PRIu64 " lost, %" PRIu64 " put into order\n", path, verdict.events,
		damage.events_lost, damage.order_repaired);
	if (info.cut && !(info.source && damage.first[0]))
		printf("the file was cut: every whole %s is used\n", info.source ? "generation" : "frame");
	bad = damage.frames_bad || damage.records_bad;
	if (damage.first[0] && info.source) {
		printf("%s: %s\n", damage.frames_bad ? "damaged" : "the file was cut", damage.first);
		status = damage.frames_bad ? GT_EXIT_FAILURE : 0;
	} else if (damage.first[0] && (bad || !info.cut)) {
		printf("damaged: %s (%" PRIu64 " frames, %" PRIu64 " records)\n", damage.first, damage.frames_bad,
			damage.records_bad);
		status = bad ? GT_EXIT_FAILURE : 0;
	}
	if (verdict.impossible) {
		printf("impossible: event %" PRIu64 " at %" PRIi64 " ns on m=%" PRIu64 ": %s: %s\n", verdict.number,
			verdict.time_ns, verdict.m, verdict.event, verdict.why);
		print_table("impossible", verdict.impossible_by);
		status = GT_EXIT_FAILURE;
	} else {
		printf("possible\n");
	}
	print_table("explained by losses", verdict.explained_by);
	gt_trace_close(trace);
	if (fflush(stdout) || ferror(stdout))
		return gt_die_text(GT_EXIT_FAILURE, "cannot write: standard output");
	return status;
}
