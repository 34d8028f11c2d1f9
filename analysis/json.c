/* json.c - the analysis as JSON, for programs: docs/report-json.md. */
#include "format/convert/json.h"
#include "analysis/state.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SITES_SHOWN   1000u
#define OBJECTS_SHOWN 1000u
#define TEXT_MAX      4096u

struct json {
	FILE *out;
	bool comma;
};

static void put_text(struct json *j, const char *text)
{
	char escaped[TEXT_MAX * GT_JSON_ESCAPE_MAX + 16], *end;
	size_t size = strnlen(text, TEXT_MAX);

	end = gt_json_escape(escaped, text, size);
	putc('"', j->out);
	fwrite(escaped, 1, (size_t)(end - escaped), j->out);
	putc('"', j->out);
}

static void key(struct json *j, const char *name)
{
	if (j->comma)
		fputs(",\n", j->out);
	j->comma = true;
	if (name)
		fprintf(j->out, "\"%s\":", name);
}

static void open_object(struct json *j, const char *name)
{
	key(j, name);
	putc('{', j->out);
	j->comma = false;
}

static void open_array(struct json *j, const char *name)
{
	key(j, name);
	putc('[', j->out);
	j->comma = false;
}

static void close_with(struct json *j, char end)
{
	putc(end, j->out);
	j->comma = true;
}

static void text(struct json *j, const char *name, const char *value)
{
	key(j, name);
	put_text(j, value ? value : "");
}

static void number(struct json *j, const char *name, int64_t value)
{
	key(j, name);
	fprintf(j->out, "%" PRIi64, value);
}

static void count(struct json *j, const char *name, uint64_t value)
{
	key(j, name);
	fprintf(j->out, "%" PRIu64, value);
}

static void truth(struct json *j, const char *name, bool value)
{
	key(j, name);
	fputs(value ? "true" : "false", j->out);
}

static void stat_fields(struct json *j, const struct gt__stat *stat)
{
	count(j, "count", stat->count);
	number(j, "total_ns", stat->total_ns);
	number(j, "max_ns", stat->max_ns);
	number(j, "max_at_ns", stat->max_at_ns);
	count(j, "max_goroutine", stat->max_g);
}

static void stack_field(struct json *j, const struct gt_analysis *a, const char *name, uint64_t id)
{
	const struct gt_trace_stack *stack = id ? gt_trace_stack(a->trace, id) : NULL;

	open_array(j, name);
	for (uint32_t i = 0; stack && i < stack->count; i++) {
		const struct gt_trace_pc *pc = gt_trace_pc(a->trace, stack->pcs[i]);

		for (uint32_t k = 0; pc && k < pc->count; k++) {
			open_object(j, NULL);
			text(j, "function", pc->lines[k].function);
			text(j, "file", pc->lines[k].file);
			count(j, "line", pc->lines[k].line);
			close_with(j, '}');
		}
	}
	close_with(j, ']');
}

static void put_findings(struct json *j, const struct gt_analysis *a)
{
	open_array(j, "findings");
	for (size_t i = 0; i < a->finding_count; i++) {
		const struct gt__finding *f = &a->findings[i];

		open_object(j, NULL);
		text(j, "kind", f->kind);
		text(j, "title", f->title);
		text(j, "detail", f->detail);
		text(j, "advice", f->advice);
		number(j, "lost_ns", f->lost_ns);
		count(j, "count", f->count);
		number(j, "at_ns", f->at_ns);
		number(j, "for_ns", f->at_for_ns);
		count(j, "goroutine", f->g);
		stack_field(j, a, "stack", f->stack);
		count(j, "culprit_goroutine", f->culprit_g);
		stack_field(j, a, "culprit_stack", f->culprit_stack);
		close_with(j, '}');
	}
	close_with(j, ']');
}

static void put_recording(struct json *j, struct gt_analysis *a, const char *file)
{
	struct gt_trace_damage damage;
	struct gt_trace_recorder cost;
	struct gt_trace_info info;

	gt_trace_damage(a->trace, &damage);
	gt_trace_info(a->trace, &info);
	open_object(j, "recording");
	text(j, "file", file);
	text(j, "program", gt_trace_meta(a->trace, "program"));
	text(j, "runtime", gt_trace_meta(a->trace, "runtime"));
	text(j, "runtime_version", gt_trace_meta(a->trace, "runtime_version"));
	text(j, "sets", gt_trace_meta(a->trace, "events"));
	number(j, "begin_ns", a->begin_ns);
	number(j, "end_ns", a->end_ns);
	number(j, "last_event_ns", a->last_ns);
	number(j, "span_ns", gt__span_ns(a));
	number(j, "complete_ns", info.complete_ns);
	truth(j, "cut", info.cut);
	truth(j, "window", info.window);
	count(j, "events", a->events);
	count(j, "events_lost", damage.events_lost);
	count(j, "events_misfit", damage.order_broken);
	count(j, "frames_bad", damage.frames_bad);
	count(j, "records_bad", damage.records_bad);
	text(j, "damage", damage.first);
	count(j, "slices_cut", a->rows.cuts);
	count(j, "procs", gt__procs(a));
	count(j, "goroutines", a->goroutines_seen);
	count(j, "created", a->goroutines_created);
	count(j, "ended", a->goroutines_ended);
	count(j, "live_at_most", a->goroutines_live_peak);
	count(j, "wakes", a->wakes);
	count(j, "creations", a->creates);
	gt_trace_recorder(a->trace, &cost);
	count(j, "recorder_events_per_s", (uint64_t)cost.events_per_s);
	count(j, "recorder_bytes_per_s", (uint64_t)cost.bytes_per_s);
	count(j, "recorder_hooks_ns", cost.hooks_ns);
	count(j, "recorder_cpu_ns", cost.own_cpu_ns);
	count(j, "program_cpu_ns", cost.program_cpu_ns);
	close_with(j, '}');
}

/* Of the time of running. */
static void put_cpu(struct json *j, const struct gt__cpu_time *time)
{
	static const char *const names[] = {[GT__CPU_OTHERS] = "preempted",
		[GT__CPU_OWN] = "preempted_by_own",
		[GT__CPU_FAULT] = "page_fault",
		[GT__CPU_BLOCKED] = "blocked"};

	open_object(j, "cpu");
	number(j, "on_ns", time->on_ns);
	number(j, "off_ns", time->off_ns);
	number(j, "unknown_ns", time->unknown_ns);
	for (unsigned int k = GT__CPU_OTHERS; k < GT__CPU_KINDS; k++) {
		open_object(j, names[k]);
		stat_fields(j, &time->off[k]);
		close_with(j, '}');
	}
	close_with(j, '}');
}

static void put_groups(struct json *j, const struct gt_analysis *a)
{
	static const struct {
		unsigned int state;
		const char *name;
	} states[] = {{GT_STATE_RUNNING, "running"}, {GT_STATE_RUNNABLE, "runnable"}, {GT_STATE_SYSCALL, "syscall"},
		{GT_STATE_WAITING, "waiting"}};

	open_array(j, "groups");
	for (size_t i = 0; i < a->group_count; i++) {
		const struct gt__group *group = a->groups[i];
		struct gt__cpu_time cpu = {0};

		gt__cpu_add(&cpu, group);
		open_object(j, NULL);
		text(j, "start", group->name);
		text(j, "function", group->shown);
		truth(j, "system", group->system);
		count(j, "goroutines", group->seen);
		count(j, "created", group->created);
		count(j, "ended", group->ended);
		for (size_t s = 0; s < sizeof(states) / sizeof(states[0]); s++) {
			open_object(j, states[s].name);
			stat_fields(j, &group->state[states[s].state]);
			close_with(j, '}');
		}
		put_cpu(j, &cpu);
		number(j, "starved_ns", group->starved_ns);
		open_object(j, "reasons");
		for (unsigned int r = 0; r < GT_REASON_COUNT; r++) {
			if (!group->reason[r].count)
				continue;
			open_object(j, gt_reason_text(r));
			stat_fields(j, &group->reason[r]);
			close_with(j, '}');
		}
		close_with(j, '}');
		close_with(j, '}');
	}
	close_with(j, ']');
}

static void put_latency(struct json *j, const struct gt_analysis *a)
{
	open_object(j, "latency");
	stat_fields(j, &a->latency.all);
	number(j, "p50_ns", gt__hist_quantile(&a->latency, 0.5));
	number(j, "p90_ns", gt__hist_quantile(&a->latency, 0.9));
	number(j, "p99_ns", gt__hist_quantile(&a->latency, 0.99));
	number(j, "all_busy_ns", a->all_busy_ns);
	number(j, "starved_ns", a->starved_ns);
	open_array(j, "worst");
	for (size_t i = 0; i < a->worst_count; i++) {
		const struct gt__latency *w = &a->worst[i];

		open_object(j, NULL);
		count(j, "goroutine", w->g);
		text(j, "start", w->group->shown);
		number(j, "at_ns", w->since_ns);
		number(j, "ns", w->ns);
		number(j, "busy_ns", w->busy_ns);
		text(j, "reason", w->reason ? gt_reason_text(w->reason) : w->created ? "created" : "woken");
		count(j, "by", w->by);
		text(j, "cause", gt_cause_text(w->cause));
		stack_field(j, a, "stack", w->stack);
		close_with(j, '}');
	}
	close_with(j, ']');
	close_with(j, '}');
}

static void put_objects(struct json *j, const struct gt_analysis *a)
{
	struct gt__object **sorted = gt__sorted(&a->objects, gt__by_object);

	open_array(j, "objects");
	for (size_t i = 0; sorted && i < a->objects.count && i < OBJECTS_SHOWN; i++) {
		open_object(j, NULL);
		text(j, "kind", gt_object_text(sorted[i]->what));
		text(j, "name", sorted[i]->name);
		stat_fields(j, &sorted[i]->waits);
		count(j, "worst_holder", sorted[i]->worst_holder);
		close_with(j, '}');
	}
	close_with(j, ']');
	count(j, "objects_in_all", a->object_count);
	free(sorted);
}

static void put_sites(struct json *j, const struct gt_analysis *a)
{
	struct gt__site **sorted = gt__sorted(&a->sites, gt__by_site), *site;

	open_array(j, "sites");
	for (size_t i = 0; sorted && i < a->sites.count && i < SITES_SHOWN; i++) {
		site = sorted[i];
		open_object(j, NULL);
		text(j, "state", gt_state_text(site->state));
		text(j, "reason", site->state == GT_STATE_SYSCALL ? "" : gt_reason_text(site->reason));
		text(j, "start", site->group->name);
		truth(j, "system", site->group->system);
		count(j, "count", site->done.count + site->open.count);
		number(j, "total_ns", gt__sum(site->done.total_ns, site->open.total_ns));
		count(j, "open", site->open.count);
		stack_field(j, a, "stack", site->stack);
		close_with(j, '}');
	}
	close_with(j, ']');
	count(j, "sites_in_all", a->site_count);
	free(sorted);
}

static void put_chains(struct json *j, const struct gt_analysis *a)
{
	char name[GT_TRACE_OBJECT_BYTES], call[64];

	open_array(j, "chains");
	for (size_t i = 0; i < a->chain_count; i++) {
		const struct gt__chain *chain = &a->chains[i];

		open_object(j, NULL);
		number(j, "ns", chain->ns);
		truth(j, "open", chain->open);
		text(j, "root", gt__root_text(chain->root));
		count(j, "hands", chain->hands);
		open_array(j, "links");
		for (uint32_t k = 0; k < chain->count; k++) {
			const struct gt__link *link = &chain->links[k];
			const char *called = link->state == GT_STATE_SYSCALL
						     ? gt__call_name(a, link->call, link->stack, call)
						     : NULL;

			open_object(j, NULL);
			count(j, "goroutine", link->g);
			text(j, "start", link->group->shown);
			text(j, "state", gt_state_text(link->state));
			text(j, "reason",
				link->state == GT_STATE_WAITING                   ? gt_reason_text(link->reason)
				: link->state == GT_STATE_RUNNING && link->reason ? gt__off_text(a, link->reason)
										  : "");
			text(j, "object", link->what ? gt__object_text(a, link->what, link->object, name) : "");
			text(j, "call", called);
			number(j, "at_ns", link->since_ns);
			number(j, "ns", link->ns);
			stack_field(j, a, "stack", link->stack);
			close_with(j, '}');
		}
		close_with(j, ']');
		close_with(j, '}');
	}
	close_with(j, ']');
}

static void put_calls(struct json *j, const struct gt_analysis *a)
{
	open_array(j, "syscalls");
	for (size_t i = 0; i < GT__CALLS; i++) {
		if (!a->calls[i].all.count)
			continue;
		open_object(j, NULL);
		count(j, "number", i);
		text(j, "name", gt_trace_syscall(a->trace, i));
		stat_fields(j, &a->calls[i].all);
		count(j, "errors", a->calls[i].errors);
		close_with(j, '}');
	}
	close_with(j, ']');
}

static void put_gc(struct json *j, const struct gt_analysis *a)
{
	open_object(j, "gc");
	count(j, "cycles", a->gc_cycles);
	number(j, "marking_ns", a->gc_ns);
	open_object(j, "assists");
	stat_fields(j, &a->assist);
	close_with(j, '}');
	open_object(j, "stw");
	stat_fields(j, &a->stw);
	close_with(j, '}');
	open_object(j, "stw_by_kind");
	for (size_t i = 0; i < a->stw_count; i++) {
		const char *kind = gt_trace_string(a->trace, a->stw_kinds[i].kind);

		key(j, NULL);
		put_text(j, kind ? kind : "?");
		fputs(":{", j->out);
		j->comma = false;
		stat_fields(j, &a->stw_kinds[i].all);
		close_with(j, '}');
	}
	close_with(j, '}');
	count(j, "swept_bytes", a->swept);
	count(j, "reclaimed_bytes", a->reclaimed);
	count(j, "heap_peak_bytes", a->heap_peak);
	count(j, "heap_last_bytes", a->heap_last);
	count(j, "heap_goal_bytes", a->heap_goal);
	close_with(j, '}');
}

static void put_allocs(struct json *j, const struct gt_analysis *a)
{
	struct gt__alloc **types = gt__sorted(&a->alloc_types, gt__by_weight),
			 **places = gt__sorted(&a->allocs, gt__by_weight);

	open_object(j, "allocations");
	count(j, "bytes", a->alloc_bytes);
	count(j, "events", a->alloc_count);
	truth(j, "sampled", a->alloc_sampled);
	open_array(j, "types");
	for (size_t i = 0; types && i < a->alloc_types.count && i < SITES_SHOWN; i++) {
		open_object(j, NULL);
		text(j, "type", gt_trace_string(a->trace, types[i]->key));
		count(j, "bytes", types[i]->weight);
		count(j, "count", types[i]->count);
		close_with(j, '}');
	}
	close_with(j, ']');
	open_array(j, "places");
	for (size_t i = 0; places && i < a->allocs.count && i < SITES_SHOWN; i++) {
		open_object(j, NULL);
		stack_field(j, a, "stack", places[i]->key);
		count(j, "bytes", places[i]->weight);
		count(j, "count", places[i]->count);
		close_with(j, '}');
	}
	close_with(j, ']');
	close_with(j, '}');
	free(types);
	free(places);
}

static void put_slots(struct json *j, const struct gt_analysis *a)
{
	open_array(j, "procs");
	for (size_t i = 0; i < GT__SLOTS_MAX && i < gt__procs(a); i++) {
		open_object(j, NULL);
		count(j, "p", i);
		number(j, "running_ns", a->slots[i].running_ns);
		number(j, "syscall_ns", a->slots[i].syscall_ns);
		count(j, "stretches", a->slots[i].runs);
		close_with(j, '}');
	}
	close_with(j, ']');
}

static void put_missing(struct json *j, const struct gt_analysis *a)
{
	open_array(j, "missing");
	if (!a->by_kind[GT_EV_SYSCALL_INFO] && !a->by_kind[GT_EV_SYSCALL_LONG]) {
		key(j, NULL);
		put_text(j, "syscalls");
	}
	if (!a->by_kind[GT_EV_WAITS_ON]) {
		key(j, NULL);
		put_text(j, "objects");
	}
	if (a->go && !a->by_kind[GT_EV_GC_BEGIN] && !a->by_kind[GT_EV_STW_BEGIN]) {
		key(j, NULL);
		put_text(j, "gc");
	}
	if (!gt__has_kernel(a)) {
		key(j, NULL);
		put_text(j, "kernel");
	}
	if (!a->by_kind[GT_EV_CPU_SAMPLE]) {
		key(j, NULL);
		put_text(j, "samples");
	}
	close_with(j, ']');
}

int gt_findings_json(struct gt_analysis *a, FILE *out)
{
	struct json j = {.out = out};

	open_object(&j, NULL);
	put_findings(&j, a);
	close_with(&j, '}');
	return fflush(out) || ferror(out) ? -EIO : 0;
}

int gt_report_json(struct gt_analysis *a, const char *file, FILE *out)
{
	struct json j = {.out = out};
	struct gt__cpu_time cpu = {0};
	uint64_t times;

	for (size_t i = 0; i < a->group_count; i++)
		gt__cpu_add(&cpu, a->groups[i]);
	open_object(&j, NULL);
	number(&j, "gtrace_report", 1);
	put_recording(&j, a, file);
	put_missing(&j, a);
	put_findings(&j, a);
	put_groups(&j, a);
	put_latency(&j, a);
	put_objects(&j, a);
	put_sites(&j, a);
	put_chains(&j, a);
	put_calls(&j, a);
	put_gc(&j, a);
	put_allocs(&j, a);
	put_slots(&j, a);
	put_cpu(&j, &cpu);
	number(&j, "throttled_ns", a->throttled_ns);
	open_object(&j, "samples");
	count(&j, "count", a->samples_counted);
	number(&j, "period_ns", gt__sample_period(a));
	close_with(&j, '}');
	open_object(&j, "profiles");
	for (unsigned int i = 0; i < GT_PROFILE_COUNT; i++) {
		int64_t total = gt_profile_total(a, (enum gt_profile)i, &times);

		open_object(&j, gt_profile_name((enum gt_profile)i));
		count(&j, "count", times);
		number(&j, "total", total);
		close_with(&j, '}');
	}
	close_with(&j, '}');
	close_with(&j, '}');
	putc('\n', out);
	return fflush(out) || ferror(out) ? -EIO : 0;
}
