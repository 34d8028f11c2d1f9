/* perfetto.c - a trace as packets of Perfetto's TracePacket: begin, events, end; what is missing. */
#include "format/convert/perfetto_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A clock of the sequence, whose 0 is the trace's begin. */
#define CLOCK_TRACE     64u
#define CLOCK_REALTIME  1u
#define CLOCK_MONOTONIC 3u
#define PROGRESS_EVENTS (1u << 16)
#define NAMES_MAX       (1u << 20)

/* ---- what is missing, what it is ---- */

static void put_notice(struct gt__perfetto *pf, int64_t time_ns, const char *name, const char *value)
{
	struct gt__intern *intern = &pf->intern;
	char *to;

	gt__intern_category(intern, GT_CATEGORY_NOTICE);
	gt__intern_key(intern, GT_KEY_VALUE);
	to = gt__pf_begin(pf, time_ns, EVENT_INSTANT, TRACK_NOTICES);
	to = gt_pb_number(to, 3, GT_CATEGORY_NOTICE + 1u);
	to = gt__pb_text(to, 23, name, GT__PF_TEXT_MAX);
	gt__pf_end(pf, gt__pf_text(to, GT_KEY_VALUE, value));
}

static void put_lost(struct gt__perfetto *pf, const struct gt_event *event)
{
	char name[64], value[32];

	snprintf(name, sizeof(name), "LOST %" PRIu64 " events", event->args[0]);
	snprintf(value, sizeof(value), "M%" PRIu64, event->m);
	put_notice(pf, pf->rows.now_ns, name, value);
}

static void put_damage(struct gt__perfetto *pf)
{
	struct gt_trace_damage damage;
	struct gt_trace_info info;
	int64_t end_ns = pf->rows.now_ns;
	const char *what;
	char line[512];
	uint64_t count;
	size_t at = 0;

	gt_trace_damage(pf->trace, &damage);
	gt_trace_info(pf->trace, &info);
	while (gt_trace_losses(pf->trace, &at, &what, &count)) {
		snprintf(line, sizeof(line), "%" PRIu64 " %s", count, what);
		put_notice(pf, end_ns, "LOST in all", line);
	}
	if (damage.frames_bad || damage.records_bad || damage.order_broken) {
		snprintf(line, sizeof(line),
			"%" PRIu64 " frames, %" PRIu64 " records, %" PRIu64 " events out of order; first: %s",
			damage.frames_bad, damage.records_bad, damage.order_broken, damage.first);
		put_notice(pf, end_ns, "DAMAGED trace", line);
	}
	if (info.cut)
		put_notice(pf, end_ns, "CUT trace", "the file has no end: the recorder was killed");
}

static void put_metas(struct gt__perfetto *pf)
{
	const char *key, *value;
	size_t at = 0;

	while (gt_trace_metas(pf->trace, &at, &key, &value))
		put_notice(pf, pf->from_ns, key, value);
}

/* ---- begin, events, end ---- */

static char *put_clock(char *to, uint64_t id, uint64_t time_ns)
{
	char *inner = to = gt_pb_open(to, 1);

	to = gt_pb_number(to, 1, id);
	return gt_pb_close(inner, gt_pb_number(to, 2, time_ns));
}

/* Times are written since the trace's begin; this tells when that was. */
static void put_clocks(struct gt__perfetto *pf, const struct gt_trace_info *info, uint32_t sequence)
{
	char *to = gt__pf_open(pf), *inner;

	to = gt_pb_number(to, PACKET_SEQUENCE, sequence);
	if (sequence == GT__PF_THREADS)
		to = gt_pb_number(to, PACKET_MACHINE, GT__PF_MACHINE);
	inner = to = gt_pb_open(to, PACKET_CLOCKS);
	to = put_clock(to, CLOCK_TRACE, 0);
	to = put_clock(to, CLOCK_MONOTONIC, (uint64_t)info->start_monotonic_ns);
	to = put_clock(to, CLOCK_REALTIME, (uint64_t)info->start_realtime_ns);
	to = gt_pb_number(to, 2, CLOCK_MONOTONIC);
	gt_pb_close(inner, to);
	gt__pf_close(pf, to);
}

static void put_threads_begin(struct gt__perfetto *pf)
{
	const char *pid = gt_trace_meta(pf->trace, "pid"), *program = gt_trace_meta(pf->trace, "program");
	const char *base = program ? strrchr(program, '/') : NULL;
	unsigned long long real = pid ? strtoull(pid, NULL, 10) : 0;
	char *to = gt_pb_number(gt__pf_open(pf), PACKET_SEQUENCE, GT__PF_THREADS), *track, *inner;

	pf->thread_pid = real && real <= GT__PF_PID_REAL_MAX ? (uint32_t)real : (uint32_t)GT__PF_PID_REAL_MAX + 1;
	to = gt_pb_number(to, PACKET_FLAGS, 1);
	to = gt_pb_number(to, PACKET_MACHINE, GT__PF_MACHINE);
	if (pf->clocks) {
		char *defaults = gt_pb_open(to, PACKET_DEFAULTS);

		to = gt_pb_close(defaults, gt_pb_number(defaults, 58, CLOCK_TRACE));
	}
	track = to = gt_pb_open(to, PACKET_TRACK);
	to = gt_pb_number(to, 1, TRACK_THREADS);
	inner = to = gt_pb_open(to, 3);
	to = gt_pb_number(to, 1, pf->thread_pid);
	to = gt__pb_text(to, 6, base ? base + 1 : program && *program ? program : "program", GT__INTERN_TEXT_MAX);
	gt_pb_close(inner, to);
	gt_pb_close(track, to);
	gt__pf_close(pf, to);
}

static void put_begin(struct gt__perfetto *pf)
{
	struct gt_trace_info info;

	gt_trace_info(pf->trace, &info);
	pf->clocks = info.start_monotonic_ns > 0 && info.start_realtime_ns > 0;
	gt__intern_init(&pf->intern, pf->trace, pf->sink, pf->clocks ? CLOCK_TRACE : 0, NAMES_MAX);
	if (pf->clocks)
		put_clocks(pf, &info, GT__INTERN_SEQUENCE);
	put_threads_begin(pf);
	if (pf->clocks)
		put_clocks(pf, &info, GT__PF_THREADS);
	gt__pf_put_track(pf, TRACK_NOTICES, 0, "gtrace", NULL, 0, "what was recorded, and what is missing");
}

/* See chrome.c: before this, a goroutine may have been anything. */
static void put_edge(struct gt__perfetto *pf)
{
	struct gt_trace_info info;

	gt_trace_info(pf->trace, &info);
	if (info.complete_ns <= 0)
		return;
	pf->rows.edge_ns = pf->rows.whole_ns = info.complete_ns;
	put_notice(pf, info.complete_ns > pf->from_ns ? info.complete_ns : pf->from_ns, "COMPLETE from here on",
		"before this, some threads' events were already overwritten");
}

/* Before an event at @next_ns: what held since the last one, unless more comes at the same time or too soon. */
static inline void counters_until(struct gt__perfetto *pf, int64_t next_ns)
{
	int64_t now_ns = pf->rows.now_ns;

	if (next_ns <= now_ns || now_ns < pf->counter_due_ns || pf->quiet)
		return;
	gt__pf_counters(pf, now_ns);
	pf->counter_due_ns = now_ns + pf->counter_step_ns;
}

/* What is open at from_ns, and how many there are. States come by themselves when they end. */
static void resume(struct gt__perfetto *pf)
{
	struct gt__pf_counter *counters[] = {&pf->live, &pf->goal, &pf->stacks, &pf->objects, &pf->slots};

	pf->quiet = false;
	gt__pf_gc_resume(pf);
	gt__pf_marks_resume(pf);
	gt__pf_kernel_resume(pf);
	if (!(pf->parts & GT_CONVERT_COUNTERS))
		return;
	for (unsigned int state = 0; state < GT_STATE_COUNT; state++)
		pf->shown[state] = 0;
	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++)
		counters[i]->shown = 0;
	pf->shown_slots = 0;
	gt__pf_counters(pf, pf->from_ns);
}

static void put_event(struct gt__perfetto *pf, const struct gt_event *event)
{
	unsigned int kind = event->kind;

	if (kind >= GT_EV_TASK_BEGIN && kind <= GT_EV_LOG) {
		if (pf->parts & GT_CONVERT_MARKS)
			gt__pf_on_mark(pf, event);
	} else if (kind == GT_EV_LOST) {
		if (!pf->quiet)
			put_lost(pf, event);
	} else if (kind == GT_EV_OBJECT_NAME || kind == GT_EV_FD_NAME) {
		gt__intern_object_named(&pf->intern, event->args[0]);
	} else if (kind > GT_EV_LOST) {
		if (kind >= GT_EV_HEAP && kind <= GT_EV_STACK_MEMORY)
			gt__pf_on_gc(pf, event);
		if (!(pf->parts & GT_CONVERT_OBJECTS))
			return;
		if (kind >= GT_EV_CPU_IN)
			gt__pf_on_kernel(pf, event);
		else
			gt__pf_on_other(pf, event);
	}
}

static int put_events(struct gt__perfetto *pf, const struct gt_convert_options *options)
{
	bool counters = pf->parts & GT_CONVERT_COUNTERS;
	struct gt_event event;

	while (gt__typed_next(pf->trace, &pf->typed, &event) > 0) {
		if (!pf->totals.events)
			put_edge(pf);
		if (options->to_ns > 0 && event.time_ns >= options->to_ns) {
			if (counters)
				counters_until(pf, options->to_ns);
			if (pf->rows.now_ns < options->to_ns)
				pf->rows.now_ns = options->to_ns;
			break;
		}
		pf->event = &event;
		gt__intern_limit(&pf->intern);
		if (__builtin_expect(pf->quiet, 0) && event.time_ns >= pf->from_ns)
			resume(pf);
		if (counters)
			counters_until(pf, event.time_ns);
		if (gt__rows_event(&pf->rows, &event) < 0)
			return -ENOMEM;
		if (event.kind > GT_EV_P_IDLE)
			put_event(pf, &event);
		if (__builtin_expect(pf->failed || pf->intern.failed, 0))
			return -ENOMEM;
		if (++pf->totals.events % PROGRESS_EVENTS == 0) {
			if (options->progress)
				options->progress(options->progress_user, pf->rows.now_ns);
			if (gt_sink_bad(pf->sink))
				return 0;
		}
	}
	return 0;
}

static void put_end(struct gt__perfetto *pf)
{
	const char *end = pf->options->to_ns > 0 ? "the end of what was asked for" : "the last event";
	int64_t last_ns = pf->rows.now_ns;

	pf->event = NULL;
	/* Nothing happened after it: what was open still is. */
	if (pf->totals.events)
		gt__rows_until(&pf->rows, pf->trace, pf->options->to_ns);
	if (pf->rows.now_ns > last_ns && !(pf->options->to_ns > 0))
		end = "the recording's end";
	if (pf->quiet && pf->rows.now_ns > pf->from_ns)
		resume(pf);
	if ((pf->parts & GT_CONVERT_COUNTERS) && !pf->quiet)
		gt__pf_counters(pf, pf->rows.now_ns);
	gt__rows_finish(&pf->rows);
	if (!pf->quiet) {
		gt__pf_gc_finish(pf);
		gt__pf_marks_finish(pf);
	}
	put_metas(pf);
	put_damage(pf);
	put_notice(pf, pf->rows.now_ns, "END", end);
}

static void perfetto_free(struct gt__perfetto *pf)
{
	gt__pf_marks_free(pf);
	gt__pf_kernel_free(pf);
	gt__pf_rows_free(pf);
	gt__intern_free(&pf->intern);
	gt__rows_free(&pf->rows);
	free(pf);
}

int gt_convert_perfetto(
	struct gt_trace *trace, struct gt_sink *sink, const struct gt_convert_options *options, struct gt_error *err)
{
	static const struct gt_convert_options everything = GT_CONVERT_OPTIONS_DEFAULT;
	struct gt__perfetto *pf = calloc(1, sizeof(*pf));
	struct gt__rows_user out = {pf, gt__pf_on_row, gt__pf_on_slice, gt__pf_on_link, gt__pf_on_gone};
	int ret;

	if (!pf)
		return gt_fail(err, ENOMEM, "out of memory: %s", sink->name);
	if (!options)
		options = &everything;
	pf->trace = trace;
	pf->sink = sink;
	pf->options = options;
	pf->parts = options->parts;
	pf->from_ns = options->from_ns > 0 ? options->from_ns : 0;
	pf->quiet = pf->from_ns > 0;
	pf->counter_step_ns = options->counter_step_ns > 0 ? options->counter_step_ns : 0;
	pf->track_next = TRACK_FIRST;
	pf->pid_next = GT_PERFETTO_PID_FIRST;
	gt__rows_init(&pf->rows, &out, 0);
	put_begin(pf);
	ret = put_events(pf, options);
	/* What was read until memory ran out is shown all the same. */
	put_end(pf);
	if (ret < 0)
		gt_fail(err, ENOMEM, "out of memory: %s: it ends at %" PRId64 " ms of the trace", sink->name,
			pf->rows.now_ns / 1000000);
	else
		ret = gt_sink_error(sink, err);
	if (options->totals)
		*options->totals = pf->totals;
	perfetto_free(pf);
	return ret;
}
