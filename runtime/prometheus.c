/*
 * prometheus.c - the metrics as text, named as Prometheus's collector for Go names them.
 *
 * A path's slashes and dashes become underscores, the unit comes after it, a counter ends in _total. Of a histogram's
 * boundaries those are kept that are ten times the one before at least, up to a second: fewer series for the same question.
 */
#include <gtrace/metrics.h>

#include "runtime/rt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct out {
	void (*write)(void *ctx, const char *text, size_t length);
	void *ctx;
	size_t length;
	char text[2048];
};

static void flush(struct out *out)
{
	if (out->length)
		out->write(out->ctx, out->text, out->length);
	out->length = 0;
}

static void put(struct out *out, const char *text)
{
	for (size_t left = strlen(text); left;) {
		size_t room = sizeof(out->text) - out->length, part = left < room ? left : room;

		memcpy(out->text + out->length, text, part);
		out->length += part;
		text += part;
		left -= part;
		if (out->length == sizeof(out->text))
			flush(out);
	}
}

static void put_uint64(struct out *out, uint64_t number)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
	put(out, text);
}

/* The next one down, of one above 0. */
static double before(double number)
{
	uint64_t bits;

	memcpy(&bits, &number, sizeof(bits));
	bits--;
	memcpy(&number, &bits, sizeof(bits));
	return number;
}

/* The shortest that reads as the same number; with a point, whatever the locale has. */
static void put_double(struct out *out, double number)
{
	char text[40];

	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, number);
		if (strtod(text, NULL) == number)
			break;
	}
	for (char *at = text; *at; at++)
		if (!strchr("0123456789+-e", *at))
			*at = '.';
	put(out, text);
}

/* "/sched/threads/total:threads" -> "go_sched_threads_total_threads" */
static void name_of(const struct gt_metric *metric, char *name, size_t room)
{
	const char *ours = strncmp(metric->name, "/gtrace/", 8) == 0 ? "" : "go_";

	snprintf(name, room, "%s%s%s", ours, metric->name + 1,
		metric->cumulative && metric->kind != GT_METRIC_FLOAT64_HISTOGRAM ? "_total" : "");
	for (char *at = name; *at; at++)
		if (strchr("/-:", *at))
			*at = '_';
}

static void head(struct out *out, const char *name, const char *type, const char *description)
{
	put(out, "# HELP ");
	put(out, name);
	put(out, " ");
	put(out, description);
	put(out, "\n# TYPE ");
	put(out, name);
	put(out, " ");
	put(out, type);
	put(out, "\n");
}

static void gauge(struct out *out, const char *name, const char *description, uint64_t value)
{
	head(out, name, "gauge", description);
	put(out, name);
	put(out, " ");
	put_uint64(out, value);
	put(out, "\n");
}

/* Which of the boundaries ends the bucket that begins at @from; @h->count: the last. Below 0 there is one with what is at 0. */
static size_t bucket_end(const struct gt_metric_histogram *h, size_t from)
{
	double low = h->buckets[from] < 0 ? 0 : h->buckets[from];
	size_t end = from + 1;

	while (end < h->count && (h->buckets[end] <= 0 || h->buckets[end] < low * 10))
		end++;
	return h->buckets[end] > 1 ? h->count : end;
}

static void histogram(struct out *out, const char *name, const struct gt_metric_histogram *h)
{
	uint64_t below = 0;

	for (size_t from = 0, end; from < h->count; from = end) {
		end = bucket_end(h, from);
		for (size_t i = from; i < end; i++)
			below += h->counts[i];
		put(out, name);
		put(out, "_bucket{le=\"");
		/* Theirs are inclusive. */
		if (end < h->count)
			put_double(out, before(h->buckets[end]));
		else
			put(out, "+Inf");
		put(out, "\"} ");
		put_uint64(out, below);
		put(out, "\n");
	}
	put(out, name);
	put(out, "_sum ");
	put_double(out, h->sum);
	put(out, "\n");
	put(out, name);
	put(out, "_count ");
	put_uint64(out, below);
	put(out, "\n");
}

static void metric(struct out *out, const struct gt_metric *metric, const struct gt_metric_sample *sample)
{
	char name[96];

	name_of(metric, name, sizeof(name));
	if (sample->kind == GT_METRIC_FLOAT64_HISTOGRAM) {
		head(out, name, "histogram", metric->description);
		histogram(out, name, &sample->histogram);
		return;
	}
	head(out, name, metric->cumulative ? "counter" : "gauge", metric->description);
	put(out, name);
	put(out, " ");
	if (sample->kind == GT_METRIC_UINT64)
		put_uint64(out, sample->uint64);
	else
		put_double(out, sample->float64);
	put(out, "\n");
}

int gt_metrics_prometheus(void (*write)(void *ctx, const char *text, size_t length), void *ctx)
{
	uint64_t counts[GT_METRIC_BUCKETS_MAX];
	struct gt_metric_sample samples[GT__METRICS];
	struct out out = {.write = write, .ctx = ctx};
	size_t n;
	const struct gt_metric *all = gt_metrics_all(&n);
	uint64_t goroutines = 0, threads = 0;

	memset(samples, 0, sizeof(samples));
	for (size_t i = 0; i < n; i++) {
		samples[i].name = all[i].name;
		samples[i].histogram.counts = counts; /* there is one histogram */
	}
	gt_metrics_read(samples, n);
	for (size_t i = 0; i < n; i++) {
		metric(&out, &all[i], &samples[i]);
		if (strcmp(all[i].name, "/sched/goroutines:goroutines") == 0)
			goroutines = samples[i].uint64;
		else if (strcmp(all[i].name, "/sched/threads/total:threads") == 0)
			threads = samples[i].uint64;
	}
	/* What most boards ask for, under the names that are older than the rule. */
	gauge(&out, "go_goroutines", "Goroutines that were started and have not ended.", goroutines);
	gauge(&out, "go_threads", "Kernel threads that the scheduler started and keeps.", threads);
	flush(&out);
	return 0;
}
