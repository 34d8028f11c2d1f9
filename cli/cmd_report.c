/* cmd_report.c - gtrace report FILE [FILE2] [--json]: what happened, the culprit first. */
#include "analysis/analysis.h"
#include "cli/cli.h"

#include <argp.h>
#include <stdio.h>
#include <string.h>

enum { KEY_JSON = 256, KEY_FROM, KEY_TO };

static const struct argp_option options[] = {
	{"json", KEY_JSON, NULL, 0, "for programs: all numbers, as docs/report-json.md tells", 0},
	{"from", KEY_FROM, "TIME", 0, "only what is from this time since the trace's begin on (1.5s, 200ms)", 0},
	{"to", KEY_TO, "TIME", 0, "only what is before this time", 0},
	{0},
};

struct report_options {
	const char *files[2];
	unsigned int count;
	bool json;
	uint64_t from_ns, to_ns; /* 0: the trace's */
};

/* A trace and what was found in it. */
struct side {
	struct gt_trace *trace;
	struct gt_analysis *analysis;
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct report_options *o = state->input;

	switch (key) {
	case KEY_JSON:
		o->json = true;
		return 0;
	case KEY_FROM:
	case KEY_TO:
		if (!gt_parse_duration(arg, key == KEY_FROM ? &o->from_ns : &o->to_ns))
			argp_error(state, "no time: %s: give it with its unit (1.5s, 200ms, 12us)", arg);
		return 0;
	case ARGP_KEY_ARG:
		if (o->count == 2)
			argp_error(state, "two FILEs at most");
		o->files[o->count++] = arg;
		return 0;
	case ARGP_KEY_END:
		if (!o->count)
			argp_error(state, "FILE is missing");
		if (o->to_ns && o->to_ns <= o->from_ns)
			argp_error(state, "--to is not after --from");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int open_side(struct side *side, const struct report_options *o, const char *file, struct gt_error *err)
{
	struct gt_analysis_options part = {.from_ns = (int64_t)o->from_ns, .to_ns = (int64_t)o->to_ns};
	int ret = gt_trace_open(file, &side->trace, err);

	if (ret < 0)
		return ret;
	ret = gt_analysis_run(side->trace, &part, &side->analysis, err);
	return ret < 0 ? gt_fail_prefix(err, ret, "cannot report: %s", file) : 0;
}

static int put(const struct report_options *o, struct side *sides)
{
	if (o->count == 2)
		return (o->json ? gt_report_compare_json : gt_report_compare)(
			sides[0].analysis, o->files[0], sides[1].analysis, o->files[1], stdout);
	return (o->json ? gt_report_json : gt_report_text)(sides[0].analysis, o->files[0], stdout);
}

int gt_cmd_report(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.args_doc = "FILE\nBEFORE NOW",
		.doc = "Says what happened in a trace: first what cost most time and who made it so, then where the "
		       "goroutines' time went. "
		       "With two traces: what changed from the first to the second.\vExamples:\n  gtrace report "
		       "app.gtrace\n"
		       "  gtrace report --json app.gtrace | jq '.findings[0].title'\n  gtrace report old.gtrace "
		       "new.gtrace",
	};
	struct report_options o = {0};
	struct side sides[2] = {{0}};
	struct gt_error err;
	int ret = 0, status = 0;

	argp_err_exit_status = GT_EXIT_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, &o);
	for (unsigned int i = 0; i < o.count && ret >= 0; i++)
		ret = open_side(&sides[i], &o, o.files[i], &err);
	if (ret < 0)
		status = gt_die(GT_EXIT_FAILURE, &err);
	else if (put(&o, sides) < 0)
		status = gt_die_text(GT_EXIT_FAILURE, "cannot write: standard output");
	for (unsigned int i = 0; i < o.count; i++) {
		gt_analysis_free(sides[i].analysis);
		gt_trace_close(sides[i].trace);
	}
	return status;
}
