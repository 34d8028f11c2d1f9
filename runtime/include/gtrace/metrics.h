/*
 * metrics.h - what the scheduler counts and times, by name: Go's runtime/metrics for C, and as text for Prometheus.
 *
 *	struct gt_metric_sample samples[] = {{.name = "/sched/goroutines:goroutines"}, {.name = "/sched/threads/total:threads"}};
 *
 *	gt_metrics_read(samples, 2);
 *	printf("%" PRIu64 " goroutines on %" PRIu64 " threads\n", samples[0].uint64, samples[1].uint64);
 *
 * A name is a path, a colon, and the unit. Those outside of /gtrace/ are Go's (1.26), and mean what they mean there. Any thread may
 * call, before gt_main too; nothing here waits or allocates. gt_metrics(3) has more.
 */
#ifndef GTRACE_METRICS_H
#define GTRACE_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef GT_API
#define GT_API __attribute__((visibility("default")))
#endif

enum gt_metric_kind {
	GT_METRIC_BAD, /* there is no such metric */
	GT_METRIC_UINT64,
	GT_METRIC_FLOAT64,
	GT_METRIC_FLOAT64_HISTOGRAM,
};

/* ---- which there are ---- */

struct gt_metric {
	const char *name;
	const char *description;
	enum gt_metric_kind kind;
	bool cumulative; /* never falls: its rate says something. Of a histogram: each of its counts */
};

/* All of them, sorted by name (strcmp); *@n: how many. */
GT_API const struct gt_metric *gt_metrics_all(size_t *n);

/* ---- their values ---- */

/* No histogram has more. */
#define GT_METRIC_BUCKETS_MAX 256

struct gt_metric_histogram {
	/* The caller's: room for GT_METRIC_BUCKETS_MAX. NULL: the counts are not wanted. */
	uint64_t *counts;
	/* counts[i] samples were in buckets[i] <= value < buckets[i + 1]: there are @count counts and one more boundary, of
	 * which the first and the last may be infinite. The boundaries stay, and are the same for the life of the process. */
	size_t count;
	const double *buckets;
	double sum; /* of all samples: what Go's histograms do not have */
};

struct gt_metric_sample {
	const char *name; /* the caller's */
	enum gt_metric_kind kind;
	union {
		uint64_t uint64;
		double float64;
	};
	struct gt_metric_histogram histogram;
};

/* Sets kind and value of each sample by its name. One call looks at the scheduler once, for all its samples. */
GT_API void gt_metrics_read(struct gt_metric_sample *samples, size_t n);

/* ---- for Prometheus ---- */

#define GT_METRICS_PROMETHEUS_TYPE "text/plain; version=0.0.4; charset=utf-8"

/*
 * All of them in the text exposition format, in some calls of @write on the caller's stack. The names are those that Prometheus's
 * own collector for Go gives them (go_sched_goroutines_goroutines, go_sched_latencies_seconds, go_goroutines, ...), and gtrace_...
 * for our own. 0.
 */
GT_API int gt_metrics_prometheus(void (*write)(void *ctx, const char *text, size_t length), void *ctx);

#ifdef __cplusplus
}
#endif

#endif
