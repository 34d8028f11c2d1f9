/*
 * analysis.h - a trace in, what a tired engineer wants to know out.
 *
 *   gt_trace_next --> rows --> ended slices --> sums by group, site, object, call --> findings
 *
 * Memory is O(live goroutines + groups + sites + stacks), never O(file); everything that a file can make many of has a limit,
 * beyond which it is counted under "(others)". Times are ns since the trace's start. What was still so at the trace's end is counted
 * up to its last event. docs/report-json.md says what each number means.
 */
#ifndef GT_ANALYSIS_H
#define GT_ANALYSIS_H

#include "base/error.h"
#include "format/reading/trace.h"

#include <stdio.h>

struct gt_analysis;

/* What a goroutine did, told once it has ended, or at the trace's end. */
struct gt_goroutine_sum {
	uint64_t g, parent;
	const char *start; /* its start function; "" unknown */
	int64_t begin_ns;  /* first known */
	int64_t end_ns;
	bool created; /* in this trace */
	bool ended;
	const char *last; /* state, or reason of the wait, at the end; "" when it ended */
	uint64_t runs;
	int64_t running_ns, runnable_ns, syscall_ns;
	int64_t lock_ns, chan_ns, sync_ns, network_ns, sleep_ns, gc_ns, other_ns; /* waiting */
};

struct gt_analysis_options {
	void (*goroutine)(void *user, const struct gt_goroutine_sum *sum); /* may be NULL */
	void *user;
	/* Only what is between these times; 0: the trace's begin, its end. What was so at the first of them begins there. */
	int64_t from_ns, to_ns;
	bool (*stopped)(void *user); /* asked now and then: true ends it with -ECANCELED. May be NULL */
};

/* Reads @trace from its first event to its last, at times twice. @options may be NULL. 0 or -errno; the trace must outlive the
 * analysis. */
int gt_analysis_run(struct gt_trace *trace, const struct gt_analysis_options *options, struct gt_analysis **out,
	struct gt_error *err);
void gt_analysis_free(struct gt_analysis *analysis);

/* For tests, and for those who want no words: the finding's kind, what it names, its lost time. False: there are no more. */
struct gt_finding_view {
	const char *kind;
	const char *title;
	int64_t lost_ns;
	int64_t at_ns;
	uint64_t g;
	uint64_t stack;
};
bool gt_analysis_finding(const struct gt_analysis *analysis, size_t index, struct gt_finding_view *out);

/* @file: as the user calls the trace, for the commands that are shown. 0, or -EIO when @out could not be written. */
int gt_report_text(struct gt_analysis *analysis, const char *file, FILE *out);
int gt_report_json(struct gt_analysis *analysis, const char *file, FILE *out);
/* The report's member `findings` alone. */
int gt_findings_json(struct gt_analysis *analysis, FILE *out);

/* What @now has that @before had not, and the other way round, by group and reason; normalised by span. */
int gt_report_compare(
	struct gt_analysis *before, const char *before_file, struct gt_analysis *now, const char *now_file, FILE *out);
int gt_report_compare_json(
	struct gt_analysis *before, const char *before_file, struct gt_analysis *now, const char *now_file, FILE *out);

/* Profiles: which time or bytes, by stack. */
enum gt_profile {
	GT_PROFILE_SYNC_BLOCK,    /* waits for channels, selects, locks, conditions, groups */
	GT_PROFILE_SCHED_LATENCY, /* runnable, by where it had stopped */
	GT_PROFILE_SYSCALL_BLOCK, /* in system calls */
	GT_PROFILE_NETWORK_BLOCK, /* waits for descriptors */
	GT_PROFILE_ALLOC,         /* bytes allocated */
	GT_PROFILE_CPU,           /* CPU time, by samples; the runtime's own goroutines too */
	GT_PROFILE_COUNT
};
const char *gt_profile_name(enum gt_profile profile); /* "sync-block"...; NULL beyond the last */

/* 0 or -errno. @bytes, which the caller frees: profile.proto, gzipped. */
int gt_profile_pprof(struct gt_analysis *analysis, enum gt_profile profile, void **bytes, size_t *size);
/* A line a stack: "outermost;...;innermost NUMBER", ns or bytes; for flame graphs. */
int gt_profile_folded(struct gt_analysis *analysis, enum gt_profile profile, FILE *out);
/* Its sum: what pprof and folded add up to. */
int64_t gt_profile_total(struct gt_analysis *analysis, enum gt_profile profile, uint64_t *count);

/* A line a goroutine, in the order of their ends; the first line names the columns. */
int gt_goroutines_csv(struct gt_trace *trace, FILE *out, struct gt_error *err);

#endif
