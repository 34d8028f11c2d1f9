/* profile.c - time and bytes by stack, for go tool pprof, speedscope and flame graphs; goroutines as CSV. */
#include "analysis/state.h"
#include "format/pprof/pprof.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 256u
#define LINES_MAX 64u

static const char *const names[GT_PROFILE_COUNT] = {
	"sync-block", "sched-latency", "syscall-block", "network-block", "alloc", "cpu"};

const char *gt_profile_name(enum gt_profile profile)
{
	return profile < GT_PROFILE_COUNT ? names[profile] : NULL;
}

/* One line of a profile: stack (0: only the function where it began is known), how often, how much. */
struct sample {
	uint64_t stack;
	const char *start;
	uint64_t count;
	int64_t value;
	/* CPU samples, as labels */
	uint64_t g;
	const char *state; /* NULL: no labels */
};

static bool belongs(const struct gt__site *site, enum gt_profile profile)
{
	if (site->group->system)
		return false;
	switch (profile) {
	case GT_PROFILE_SYNC_BLOCK:
		return site->state == GT_STATE_WAITING &&
		       (site->class == GT__WAIT_LOCK || site->class == GT__WAIT_SEND ||
			       site->class == GT__WAIT_RECEIVE || site->class == GT__WAIT_SELECT ||
			       site->class == GT__WAIT_SYNC || site->class == GT__WAIT_NEVER);
	case GT_PROFILE_SCHED_LATENCY:
		return site->state == GT_STATE_RUNNABLE;
	case GT_PROFILE_SYSCALL_BLOCK:
		return site->state == GT_STATE_SYSCALL;
	case GT_PROFILE_NETWORK_BLOCK:
		return site->state == GT_STATE_WAITING && site->class == GT__WAIT_NETWORK;
	default:
		return false;
	}
}

static int by_stack(const void *x, const void *y)
{
	const struct sample *a = x, *b = y;

	if (a->stack != b->stack)
		return a->stack < b->stack ? -1 : 1;
	if (a->g != b->g)
		return a->g < b->g ? -1 : 1;
	return strcmp(a->start, b->start) ? strcmp(a->start, b->start) : a->state ? strcmp(a->state, b->state) : 0;
}

static size_t collect_cpu(const struct gt_analysis *a, bool labels, struct sample *out, size_t room)
{
	int64_t period = gt__sample_period(a);
	const struct gt__sample *sample;
	size_t at = 0, n = 0;

	while (n < room && (sample = gt__map_each(&a->samples, &at))) {
		int64_t ns;

		if (__builtin_mul_overflow((int64_t)(sample->count & INT64_MAX), period, &ns))
			ns = INT64_MAX;
		out[n++] = (struct sample){.stack = sample->stack,
			.start = sample->group && (labels || !sample->stack) ? sample->group->shown : "",
			.count = sample->count,
			.value = ns,
			.g = labels ? sample->g : 0,
			.state = !labels     ? NULL
				 : sample->g ? gt_state_text(sample->state)
					     : "scheduler"};
	}
	return n;
}

/* Of one stack: together, unless nothing but the start is known, or labels tell them apart. *out is the caller's. */
static int collect(struct gt_analysis *a, enum gt_profile profile, bool labels, struct sample **out, size_t *count)
{
	size_t room = (profile == GT_PROFILE_ALLOC        ? a->allocs.count
			      : profile == GT_PROFILE_CPU ? a->samples.count
							  : a->site_count) +
		      1,
	       n = 0, kept = 0, at = 0;
	struct sample *samples = calloc(room, sizeof(*samples));
	const struct gt__alloc *alloc;
	const struct gt__site *site;

	if (!samples)
		return -ENOMEM;
	while (profile == GT_PROFILE_ALLOC && n < room && (alloc = gt__map_each(&a->allocs, &at)))
		samples[n++] = (struct sample){alloc->key, "(unknown)", alloc->count, (int64_t)alloc->weight, 0, NULL};
	if (profile == GT_PROFILE_CPU)
		n = collect_cpu(a, labels, samples, room);
	while (profile != GT_PROFILE_ALLOC && profile != GT_PROFILE_CPU && n < room &&
		(site = gt__map_each(&a->sites, &at)))
		if (belongs(site, profile))
			samples[n++] = (struct sample){site->stack, site->stack ? "" : site->group->shown,
				site->done.count + site->open.count, gt__sum(site->done.total_ns, site->open.total_ns),
				0, NULL};
	if (n)
		qsort(samples, n, sizeof(*samples), by_stack);
	for (size_t i = 0; i < n; i++) {
		if (kept && by_stack(&samples[kept - 1], &samples[i]) == 0) {
			samples[kept - 1].count += samples[i].count;
			GT__ADD(samples[kept - 1].value, samples[i].value);
		} else {
			samples[kept++] = samples[i];
		}
	}
	*out = samples;
	*count = kept;
	return 0;
}

int64_t gt_profile_total(struct gt_analysis *a, enum gt_profile profile, uint64_t *count)
{
	struct sample *samples;
	int64_t total = 0;
	uint64_t times = 0;
	size_t n;

	if (collect(a, profile, false, &samples, &n) < 0)
		return 0;
	for (size_t i = 0; i < n; i++) {
		GT__ADD(total, samples[i].value);
		times += samples[i].count;
	}
	free(samples);
	if (count)
		*count = times;
	return total;
}

/* ---- pprof ---- */

struct encoder {
	struct gt_analysis *a;
	struct gt_pprof *out;
	uint64_t mapping;
	struct gt_map locations; /* pc -> id */
};

static uint64_t location_of(struct encoder *e, uint64_t pc)
{
	const uint64_t *known = gt_map_find(&e->locations, pc);
	const struct gt_trace_pc *at = gt_trace_pc(e->a->trace, pc);
	struct gt_pprof_line lines[LINES_MAX];
	size_t count = 0;
	uint64_t id;

	if (known)
		return *known;
	for (; at && count < at->count && count < LINES_MAX; count++) {
		const struct gt_trace_line *line = &at->lines[count];
		const char *function = line->function && *line->function ? line->function : "(unknown)";

		lines[count].function = gt_pprof_function(e->out, function, line->file ? line->file : "", 0);
		lines[count].line = line->line;
	}
	id = gt_pprof_location(e->out, e->mapping, pc, lines, count);
	gt_map_put(&e->locations, pc, id);
	return id;
}

/* Where a goroutine without a stack began; such names are few. */
static uint64_t start_location(struct encoder *e, const char *name)
{
	uint64_t key = 0, id;
	struct gt_pprof_line line = {gt_pprof_function(e->out, name, "", 0), 0};
	const uint64_t *known;

	/* The key 0.. of pcs is not used by code. */
	for (const char *at = name; *at; at++)
		key = key * 31 + (unsigned char)*at;
	key |= UINT64_C(1) << 63;
	known = gt_map_find(&e->locations, key);
	if (known)
		return *known;
	id = gt_pprof_location(e->out, e->mapping, 0, &line, 1);
	gt_map_put(&e->locations, key, id);
	return id;
}

static void put_sample(struct encoder *e, const struct sample *sample)
{
	const struct gt_trace_stack *stack = sample->stack ? gt_trace_stack(e->a->trace, sample->stack) : NULL;
	int64_t values[2] = {(int64_t)sample->count, sample->value};
	struct gt_pprof_label labels[3];
	uint64_t locations[DEPTH_MAX];
	size_t depth = 0, label_count = 0;

	for (; stack && depth < stack->count && depth < DEPTH_MAX; depth++)
		locations[depth] = location_of(e, stack->pcs[depth]);
	if (!depth)
		locations[depth++] = start_location(e, *sample->start ? sample->start : "(unknown)");
	if (sample->state) {
		labels[label_count++] = (struct gt_pprof_label){.key = "state", .text = sample->state};
		if (*sample->start)
			labels[label_count++] = (struct gt_pprof_label){.key = "function", .text = sample->start};
		if (sample->g)
			labels[label_count++] =
				(struct gt_pprof_label){.key = "goroutine", .number = (int64_t)sample->g};
	}
	gt_pprof_sample(e->out, locations, depth, values, labels, label_count);
}

int gt_profile_pprof(struct gt_analysis *a, enum gt_profile profile, void **bytes, size_t *size)
{
	static const char *const types[3][2][2] = {
		{{"contentions", "count"}, {"delay", "nanoseconds"}},
		{{"alloc_objects", "count"}, {"alloc_space", "bytes"}},
		{{"samples", "count"}, {"cpu", "nanoseconds"}},
	};
	const char *program = gt_trace_meta(a->trace, "program"), *build = gt_trace_meta(a->trace, "build_id");
	unsigned int type = profile == GT_PROFILE_ALLOC ? 1 : profile == GT_PROFILE_CPU ? 2 : 0;
	struct encoder e = {.a = a, .out = gt_pprof_new()};
	struct gt_trace_info info;
	struct sample *samples = NULL;
	size_t count = 0;
	int ret;

	if (!e.out)
		return -ENOMEM;
	ret = collect(a, profile, true, &samples, &count);
	if (ret == 0) {
		gt_trace_info(a->trace, &info);
		gt_pprof_sample_type(e.out, types[type][0][0], types[type][0][1]);
		gt_pprof_sample_type(e.out, types[type][1][0], types[type][1][1]);
		gt_pprof_default_type(e.out, types[type][1][0]);
		if (profile == GT_PROFILE_CPU)
			gt_pprof_period(e.out, "cpu", "nanoseconds", gt__sample_period(a));
		else
			gt_pprof_period(e.out, types[type][0][0], types[type][0][1], 1);
		gt_pprof_time(
			e.out, (int64_t)((uint64_t)info.start_realtime_ns + (uint64_t)a->begin_ns), gt__span_ns(a));
		e.mapping = gt_pprof_mapping(e.out, &(struct gt_pprof_mapping){.start = 1,
							    .limit = UINT64_C(1) << 48,
							    .file = program ? program : "",
							    .build_id = build,
							    .has_functions = true,
							    .has_files = true,
							    .has_lines = true,
							    .has_inlines = true});
		for (size_t i = 0; i < count; i++)
			put_sample(&e, &samples[i]);
		ret = gt_pprof_finish(e.out, bytes, size);
	}
	gt_map_free(&e.locations);
	free(samples);
	gt_pprof_free(e.out);
	return ret;
}

/* ---- folded ---- */

static void put_name(FILE *out, const char *name, bool first)
{
	if (!first)
		putc(';', out);
	for (; *name; name++)
		putc(*name == ';' || (unsigned char)*name < 0x20 || *name == 0x7f ? '_' : *name, out);
}

static void put_folded(struct gt_analysis *a, const struct sample *sample, FILE *out)
{
	const struct gt_trace_stack *stack = sample->stack ? gt_trace_stack(a->trace, sample->stack) : NULL;
	bool first = true;

	for (uint32_t i = stack ? stack->count : 0; i-- > 0;) {
		const struct gt_trace_pc *pc = gt_trace_pc(a->trace, stack->pcs[i]);
		char hex[32];

		for (uint32_t j = pc ? pc->count : 0; j-- > 0; first = false)
			put_name(out,
				pc->lines[j].function && *pc->lines[j].function ? pc->lines[j].function : "(unknown)",
				first);
		if (!pc || !pc->count) {
			snprintf(hex, sizeof(hex), "0x%" PRIx64, stack->pcs[i]);
			put_name(out, hex, first);
			first = false;
		}
	}
	if (first)
		put_name(out, *sample->start ? sample->start : "(unknown)", true);
	fprintf(out, " %" PRIi64 "\n", sample->value);
}

int gt_profile_folded(struct gt_analysis *a, enum gt_profile profile, FILE *out)
{
	struct sample *samples;
	size_t count;
	int ret = collect(a, profile, false, &samples, &count);

	if (ret < 0)
		return ret;
	for (size_t i = 0; i < count; i++)
		put_folded(a, &samples[i], out);
	free(samples);
	return fflush(out) || ferror(out) ? -EIO : 0;
}

/* ---- CSV ---- */

static void put_quoted(FILE *out, const char *text)
{
	putc('"', out);
	/* A spreadsheet would take a leading one of these for a formula. */
	if (*text && strchr("=+-@", *text))
		putc('\'', out);
	for (; *text; text++) {
		if (*text == '"')
			putc('"', out);
		putc((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text, out);
	}
	putc('"', out);
}

static void put_goroutine(void *user, const struct gt_goroutine_sum *sum)
{
	FILE *out = user;

	fprintf(out, "%" PRIu64 ",%" PRIu64 ",", sum->g, sum->parent);
	put_quoted(out, sum->start);
	fprintf(out, ",%" PRIi64 ",%" PRIi64 ",%d,%d,", sum->begin_ns, sum->end_ns, sum->created, sum->ended);
	put_quoted(out, sum->last);
	fprintf(out,
		",%" PRIu64 ",%" PRIi64 ",%" PRIi64 ",%" PRIi64 ",%" PRIi64 ",%" PRIi64 ",%" PRIi64 ",%" PRIi64
		",%" PRIi64 ",%" PRIi64 ",%" PRIi64 "\n",
		sum->runs, sum->running_ns, sum->runnable_ns, sum->syscall_ns, sum->lock_ns, sum->chan_ns, sum->sync_ns,
		sum->network_ns, sum->sleep_ns, sum->gc_ns, sum->other_ns);
}

int gt_goroutines_csv(struct gt_trace *trace, FILE *out, struct gt_error *err)
{
	struct gt_analysis_options options = {.goroutine = put_goroutine, .user = out};
	struct gt_analysis *a;
	int ret;

	fputs("goroutine,parent,start,begin_ns,end_ns,created,ended,last,runs,running_ns,runnable_ns,syscall_ns,lock_"
	      "ns,chan_ns,sync_ns,"
	      "network_ns,sleep_ns,gc_ns,other_ns\n",
		out);
	ret = gt_analysis_run(trace, &options, &a, err);
	if (ret < 0)
		return ret;
	gt_analysis_free(a);
	return fflush(out) || ferror(out) ? gt_fail(err, EIO, "cannot write: standard output") : 0;
}
