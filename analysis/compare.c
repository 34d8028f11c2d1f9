/*
 * compare.c - two recordings side by side: what grew, by group and state or reason.
 *
 * Spans differ, so times are compared as times in each second: "1.50" of waiting means that one and a half goroutines waited on average.
 */
#include "analysis/state.h"
#include "format/convert/json.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN 20u

struct change {
	const char *start;
	const char *what; /* a state, or a wait's reason */
	bool system;
	int64_t before_ns, now_ns;
	uint64_t before_count, now_count;
	double before, now; /* goroutines on average */
};

struct changes {
	struct change *rows;
	size_t count, room;
	bool failed;
};

static const struct gt__group *group_named(const struct gt_analysis *a, const char *name)
{
	uint64_t id = gt_strings_find(&a->names, name, strlen(name));

	return id ? gt__map_get(&a->groups_by_name, id) : NULL;
}

/* The same of the other recording: one of a wrapper stands by itself where all its goroutines are for one function. */
static const struct gt__group *counterpart(const struct gt_analysis *a, const struct gt__group *group)
{
	const struct gt__group *same = group_named(a, group->name);

	for (size_t i = 0; !same && i < a->group_count; i++)
		if ((group->wrapper || a->groups[i]->wrapper) && strcmp(a->groups[i]->shown, group->shown) == 0)
			same = a->groups[i];
	return same;
}

static double per_span(int64_t ns, const struct gt_analysis *a)
{
	int64_t span = gt__span_ns(a);

	return span > 0 ? (double)ns / (double)span : 0;
}

static void add(struct changes *changes, const struct gt_analysis *before, const struct gt_analysis *now,
	const char *label, bool system, const char *what, const struct gt__stat *old, const struct gt__stat *new_)
{
	static const struct gt__stat none;
	struct change *rows;

	old = old ? old : &none;
	new_ = new_ ? new_ : &none;
	if (!old->count && !new_->count)
		return;
	if (changes->count == changes->room) {
		changes->room = changes->room ? changes->room * 2 : 64;
		rows = realloc(changes->rows, changes->room * sizeof(*rows));
		if (!rows) {
			changes->failed = true;
			return;
		}
		changes->rows = rows;
	}
	changes->rows[changes->count++] = (struct change){label, what, system, old->total_ns, new_->total_ns,
		old->count, new_->count, per_span(old->total_ns, before), per_span(new_->total_ns, now)};
}

static void add_group(struct changes *changes, const struct gt_analysis *before, const struct gt_analysis *now,
	const struct gt__group *old, const struct gt__group *new_)
{
	static const unsigned int states[] = {GT_STATE_RUNNING, GT_STATE_RUNNABLE, GT_STATE_SYSCALL};
	const struct gt__group *any = new_ ? new_ : old;
	/* A wrapper that calls something else now keeps its own name. */
	const char *label = old && new_ && strcmp(old->shown, new_->shown) != 0 ? any->name : any->shown;

	for (size_t s = 0; s < 3 && !changes->failed; s++)
		add(changes, before, now, label, any->system, gt_state_text(states[s]),
			old ? &old->state[states[s]] : NULL, new_ ? &new_->state[states[s]] : NULL);
	for (unsigned int r = 0; r < GT_REASON_COUNT && !changes->failed; r++)
		add(changes, before, now, label, any->system, gt_reason_text(r), old ? &old->reason[r] : NULL,
			new_ ? &new_->reason[r] : NULL);
}

static int by_change(const void *x, const void *y)
{
	const struct change *a = x, *b = y;
	double left = fabs(a->now - a->before), right = fabs(b->now - b->before);
	int names = strcmp(a->start, b->start);

	if (a->system != b->system)
		return a->system - b->system;
	if (left != right)
		return left < right ? 1 : -1;
	return names ? names : strcmp(a->what, b->what);
}

static int collect(struct changes *changes, const struct gt_analysis *before, const struct gt_analysis *now)
{
	for (size_t i = 0; i < now->group_count; i++)
		add_group(changes, before, now, counterpart(before, now->groups[i]), now->groups[i]);
	for (size_t i = 0; i < before->group_count; i++)
		if (!counterpart(now, before->groups[i]))
			add_group(changes, before, now, before->groups[i], NULL);
	if (changes->failed)
		return -ENOMEM;
	if (changes->count)
		qsort(changes->rows, changes->count, sizeof(*changes->rows), by_change);
	return 0;
}

static void put_side(const struct gt_analysis *a, const char *name, const char *file, FILE *out)
{
	char t[4][32];

	fprintf(out,
		"  %-7s %s: span %s, %" PRIu64 " events, %" PRIu64 " goroutines, %" PRIu64
		" Ps; latency p50 %s, p99 %s, max %s\n",
		name, file, gt__time(gt__span_ns(a), t[0]), a->events, a->goroutines_seen, gt__procs(a),
		gt__time(gt__hist_quantile(&a->latency, 0.5), t[1]),
		gt__time(gt__hist_quantile(&a->latency, 0.99), t[2]), gt__time(a->latency.all.max_ns, t[3]));
}

static void put_findings(const struct gt_analysis *a, const char *name, FILE *out)
{
	fprintf(out, "\nFINDINGS %s\n", name);
	for (size_t i = 0; i < a->finding_count && i < 3; i++)
		fprintf(out, "  %zu. %s\n", i + 1, a->findings[i].title ? a->findings[i].title : "");
	if (!a->finding_count)
		fprintf(out, "  none\n");
	else if (a->finding_count > 3)
		fprintf(out, "  and %zu more\n", a->finding_count - 3);
}

int gt_report_compare(
	struct gt_analysis *before, const char *before_file, struct gt_analysis *now, const char *now_file, FILE *out)
{
	struct changes changes = {0};
	size_t shown = 0;

	if (collect(&changes, before, now) < 0) {
		free(changes.rows);
		return -ENOMEM;
	}
	fprintf(out, "COMPARED\n");
	put_side(before, "before", before_file, out);
	put_side(now, "now", now_file, out);
	fprintf(out,
		"\nWHAT CHANGED most, in goroutines on average: 1.00 is one goroutine all the time\n  %9s %9s %9s\n",
		"before", "now", "change");
	for (size_t i = 0; i < changes.count && shown < SHOWN; i++) {
		const struct change *c = &changes.rows[i];

		if (c->system || fabs(c->now - c->before) < 0.005)
			continue;
		shown++;
		fprintf(out, "  %9.2f %9.2f %+9.2f  %s: %s\n", c->before, c->now, c->now - c->before,
			gt__short(c->start), c->what);
	}
	if (!shown)
		fprintf(out, "  nothing by a hundredth of a goroutine\n");
	put_findings(before, "before", out);
	put_findings(now, "now", out);
	free(changes.rows);
	return fflush(out) || ferror(out) ? -EIO : 0;
}

static void put_text(FILE *out, const char *text)
{
	char escaped[1024 * GT_JSON_ESCAPE_MAX], *end = gt_json_escape(escaped, text, strnlen(text, 1024));

	putc('"', out);
	fwrite(escaped, 1, (size_t)(end - escaped), out);
	putc('"', out);
}

static void put_side_json(const struct gt_analysis *a, const char *name, const char *file, FILE *out)
{
	fprintf(out, "\"%s\":{\"file\":", name);
	put_text(out, file);
	fprintf(out,
		",\"span_ns\":%" PRIi64 ",\"events\":%" PRIu64 ",\"goroutines\":%" PRIu64 ",\"procs\":%" PRIu64
		",\"p50_ns\":%" PRIi64 ",\"p90_ns\":%" PRIi64 ",\"p99_ns\":%" PRIi64 ",\"max_ns\":%" PRIi64
		",\"findings\":[",
		gt__span_ns(a), a->events, a->goroutines_seen, gt__procs(a), gt__hist_quantile(&a->latency, 0.5),
		gt__hist_quantile(&a->latency, 0.9), gt__hist_quantile(&a->latency, 0.99), a->latency.all.max_ns);
	for (size_t i = 0; i < a->finding_count; i++) {
		fprintf(out, "%s{\"kind\":", i ? "," : "");
		put_text(out, a->findings[i].kind);
		fputs(",\"title\":", out);
		put_text(out, a->findings[i].title ? a->findings[i].title : "");
		fprintf(out, ",\"lost_ns\":%" PRIi64 "}", a->findings[i].lost_ns);
	}
	fputs("]},\n", out);
}

int gt_report_compare_json(
	struct gt_analysis *before, const char *before_file, struct gt_analysis *now, const char *now_file, FILE *out)
{
	struct changes changes = {0};

	if (collect(&changes, before, now) < 0) {
		free(changes.rows);
		return -ENOMEM;
	}
	fputs("{\"gtrace_compare\":1,\n", out);
	put_side_json(before, "before", before_file, out);
	put_side_json(now, "now", now_file, out);
	fputs("\"changes\":[", out);
	for (size_t i = 0; i < changes.count; i++) {
		const struct change *c = &changes.rows[i];

		fprintf(out, "%s{\"start\":", i ? ",\n" : "");
		put_text(out, c->start);
		fputs(",\"what\":", out);
		put_text(out, c->what);
		fprintf(out,
			",\"system\":%s,\"before_ns\":%" PRIi64 ",\"now_ns\":%" PRIi64 ",\"before_count\":%" PRIu64
			",\"now_count\":%" PRIu64 ",\"before\":%.6f,\"now\":%.6f}",
			c->system ? "true" : "false", c->before_ns, c->now_ns, c->before_count, c->now_count, c->before,
			c->now);
	}
	fputs("]}\n", out);
	free(changes.rows);
	return fflush(out) || ferror(out) ? -EIO : 0;
}
