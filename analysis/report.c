/* report.c - the analysis as text: what to look at first, then the numbers. */
#include "analysis/state.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define TOP            10u
#define NAME_MAX_SHOWN 64
#define WHOLE          5u /* findings with all that is known; the others a line each */
#define STILL_NS       10000000

/* Does the trace hold this set? What it tells of itself; 'not known' is no. */
static bool has_set(const struct gt_analysis *a, const char *set)
{
	const char *sets = gt_trace_meta(a->trace, "events");
	size_t length = strlen(set);

	for (const char *at = sets; at && *at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
		if (strncmp(at, set, length) == 0 &&
			!strchr("abcdefghijklmnopqrstuvwxyz", at[length] ? at[length] : ','))
			return true;
	return false;
}

/* Why the set's events are not there: nothing of it happened, it was not recorded, or this kind of trace does not have it. */
static void put_missing(const struct gt_analysis *a, FILE *out, const char *set, const char *what, const char *nothing)
{
	struct gt_trace_info info;

	gt_trace_info(a->trace, &info);
	if (has_set(a, set))
		fprintf(out, "  %s\n", nothing);
	else if (info.source)
		fprintf(out, "  no %s: %s does not tell of them\n", what, "Go's own tracer");
	else
		fprintf(out, "  no %s in this trace: record with --events=default,%s\n", what, set);
}

static const char *plural(uint64_t count)
{
	return count == 1 ? "" : "s";
}

/* The name in quotes when a shell would not take it as it is. */
static void put_view(FILE *out, const char *file)
{
	bool plain = *file != '\0';

	for (const char *c = file; *c; c++)
		plain = plain && (strchr("./_-+:@%", *c) || (*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z') ||
					 (*c >= 'A' && *c <= 'Z'));
	fputs("gtrace view ", out);
	if (!plain)
		putc('\'', out);
	for (const char *c = file; *c; c++) {
		if (*c == '\'')
			fputs("'\\''", out);
		else
			putc((unsigned char)*c < 0x20 ? '?' : *c, out);
	}
	if (!plain)
		putc('\'', out);
}

/* The command that opens this moment, and chooses @g when it is one. */
static void put_command(FILE *out, const char *file, int64_t at_ns, uint64_t g)
{
	put_view(out, file);
	fprintf(out, " --at=%" PRIi64 ".%09" PRIi64 "s", at_ns / 1000000000, at_ns % 1000000000);
	if (g)
		fprintf(out, " --goroutine=%" PRIu64, g);
}

static void put_none(FILE *out, const char *file)
{
	fputs("no findings: nothing that waits costs a tenth of a goroutine; to look for oneself: ", out);
	put_view(out, file);
	putc('\n', out);
}

static void put_lines(FILE *out, const char *lines, const char *indent)
{
	for (const char *end; *lines; lines = *end ? end + 1 : end) {
		end = strchrnul(lines, '\n');
		fprintf(out, "%s%.*s\n", indent, (int)(end - lines), lines);
	}
}

static void put_finding(struct gt_analysis *a, const char *file, FILE *out, size_t number)
{
	const struct gt__finding *finding = &a->findings[number];
	int64_t span = gt__span_ns(a);
	char time[32], at[32], more[32], stack[1000];

	fprintf(out, "%s%zu. %s\n", number && number <= WHOLE ? "\n" : "", number + 1,
		finding->title ? finding->title : finding->kind);
	if (number >= WHOLE) {
		fprintf(out, "   cost: %s; worst: G%" PRIu64 " at %s, for %s: ", gt__time(finding->lost_ns, more),
			finding->g, gt__time(finding->at_ns, at), gt__time(finding->at_for_ns, time));
		put_command(out, file, finding->at_ns, finding->g);
		putc('\n', out);
		return;
	}
	fprintf(out, "   cost: %s of goroutines' time", gt__time(finding->lost_ns, time));
	if (span > 0)
		fprintf(out, ", %.1f goroutines all the time", (double)finding->lost_ns / (double)span);
	putc('\n', out);
	if (finding->detail)
		put_lines(out, finding->detail, "   ");
	if (finding->stack && *gt__stack_text(a, finding->stack, 6, stack, sizeof(stack)))
		fprintf(out, "   %s: %s\n", finding->stack_of, stack);
	fprintf(out, "   worst: G%" PRIu64 " at %s, for %s: ", finding->g, gt__time(finding->at_ns, at),
		gt__time(finding->at_for_ns, time));
	put_command(out, file, finding->at_ns, finding->g);
	putc('\n', out);
	if (finding->advice)
		fprintf(out, "   try: %s\n", finding->advice);
}

static void put_recording(struct gt_analysis *a, FILE *out)
{
	struct gt_trace_damage damage;
	struct gt_trace_info info;
	const char *program = gt_trace_meta(a->trace, "program"), *version = gt_trace_meta(a->trace, "runtime_version"),
		   *runtime = gt_trace_meta(a->trace, "runtime"), *sets = gt_trace_meta(a->trace, "events"),
		   *cpus = gt_trace_meta(a->trace, "cpus");
	char time[32], text[32], cost[256];

	gt_trace_damage(a->trace, &damage);
	gt_trace_info(a->trace, &info);
	fprintf(out, "\nRECORDING\n");
	if (program) {
		fprintf(out, "  program      ");
		gt_put_one_line(out, program);
		fprintf(out, " (");
		gt_put_one_line(out, runtime ? runtime : "?");
		if (version)
			putc(' ', out);
		gt_put_one_line(out, version ? version : "");
		fprintf(out, ")\n");
	}
	fprintf(out, "  span         %s, %" PRIu64 " events%s", gt__time(gt__span_ns(a), time), a->events,
		sets ? ", sets " : "");
	gt_put_one_line(out, sets ? sets : "");
	putc('\n', out);
	if (a->end_ns - a->last_ns >= STILL_NS)
		fprintf(out, "  still        nothing happened in the last %s\n",
			gt__time(a->end_ns - a->last_ns, time));
	if (a->options.from_ns || a->options.to_ns)
		fprintf(out, "  part         from %s to %s\n", gt__time(a->begin_ns, time), gt__time(a->end_ns, text));
	fprintf(out, "  machine      %s%s%" PRIu64 " P%s\n", cpus ? cpus : "",
		!cpus                    ? ""
		: strcmp(cpus, "1") == 0 ? " CPU, "
					 : " CPUs, ",
		gt__procs(a), plural(gt__procs(a)));
	fprintf(out,
		"  goroutines   %" PRIu64 " (%" PRIu64 " created, %" PRIu64 " ended, at most %" PRIu64 " at once)\n",
		a->goroutines_seen, a->goroutines_created, a->goroutines_ended, a->goroutines_live_peak);
	fprintf(out, "  complete     %s", info.cut ? "no: the file was cut; every whole frame is used" : "yes");
	if (info.complete_ns > 0)
		fprintf(out, "; a window: all Ms from %s on", gt__time(info.complete_ns, text));
	putc('\n', out);
	if (gt_trace_recorder_text(a->trace, cost, sizeof(cost)))
		fprintf(out, "  recorder     %s\n", cost);
	fprintf(out, "  lost         %" PRIu64 " events", damage.events_lost);
	if (a->rows.cuts)
		fprintf(out, "; %" PRIu64 " times are cut there", a->rows.cuts);
	if (damage.order_broken)
		fprintf(out, "; %" PRIu64 " events fit nowhere", damage.order_broken);
	putc('\n', out);
	if (damage.first[0])
		fprintf(out, "  damage       %s (%" PRIu64 " frames, %" PRIu64 " records)\n", damage.first,
			damage.frames_bad, damage.records_bad);
}

static int64_t weight_of(const struct gt__group *group)
{
	int64_t sum = group->state[GT_STATE_RUNNING].total_ns;

	GT__ADD(sum, group->state[GT_STATE_RUNNABLE].total_ns);
	GT__ADD(sum, group->state[GT_STATE_SYSCALL].total_ns);
	/* Idle waits put nobody first. */
	GT__ADD(sum, group->wait_ns[GT__WAIT_LOCK]);
	GT__ADD(sum, group->wait_ns[GT__WAIT_SEND]);
	return gt__sum(sum, group->wait_ns[GT__WAIT_GC]);
}

static int by_weight(const void *x, const void *y)
{
	const struct gt__group *a = *(struct gt__group *const *)x, *b = *(struct gt__group *const *)y;
	int64_t left = weight_of(a), right = weight_of(b);

	if (a->system != b->system)
		return a->system - b->system;
	if (left != right)
		return left < right ? 1 : -1;
	return strcmp(a->name, b->name) ? strcmp(a->name, b->name) : a->index < b->index ? -1 : a->index > b->index;
}

/* Nothing is a dot: numbers are what is to be seen. */
static void put_cell(FILE *out, int64_t ns)
{
	char time[32];

	fprintf(out, " %9s", ns ? gt__time(ns, time) : ".");
}

/* A line of the table; @cpu: running is told as two columns, on and off CPU. */
static void put_group(FILE *out, int width, const char *name, uint64_t count, const int64_t *state, const int64_t *wait,
	const struct gt__cpu_time *cpu)
{
	int64_t channels = gt__sum(gt__sum(wait[GT__WAIT_SEND], wait[GT__WAIT_RECEIVE]),
		gt__sum(wait[GT__WAIT_SELECT], wait[GT__WAIT_NEVER]));
	const int64_t columns[] = {state[GT_STATE_RUNNABLE], state[GT_STATE_SYSCALL], wait[GT__WAIT_LOCK], channels,
		gt__sum(wait[GT__WAIT_SYNC], wait[GT__WAIT_OTHER]), wait[GT__WAIT_NETWORK], wait[GT__WAIT_SLEEP],
		wait[GT__WAIT_GC]};

	size_t length = strlen(name);

	/* What tells a long name from others is its end. */
	if (length > (size_t)width)
		fprintf(out, "  ...%-*s %6" PRIu64, width - 3, name + length - (size_t)width + 3, count);
	else
		fprintf(out, "  %-*s %6" PRIu64, width, name, count);
	if (cpu) {
		put_cell(out, gt__sum(cpu->on_ns, cpu->unknown_ns));
		put_cell(out, cpu->off_ns);
	} else {
		put_cell(out, state[GT_STATE_RUNNING]);
	}
	for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
		put_cell(out, columns[i]);
	putc('\n', out);
}

static void put_groups(struct gt_analysis *a, FILE *out)
{
	struct gt__group **sorted = malloc((a->group_count + 1) * sizeof(*sorted));
	int64_t state[GT_STATE_COUNT] = {0}, wait[GT__WAIT_CLASSES] = {0};
	uint64_t count = 0, shown = 0, left = 0;
	bool kernel = gt__has_kernel(a);
	int width = 24;
	struct gt__cpu_time system = {0};

	if (!sorted)
		return;
	if (a->group_count)
		memcpy(sorted, a->groups, a->group_count * sizeof(*sorted));
	if (a->group_count)
		qsort(sorted, a->group_count, sizeof(*sorted), by_weight);
	for (size_t i = 0; i < a->group_count && i < TOP && !sorted[i]->system; i++) {
		int length = (int)strnlen(gt__short(sorted[i]->shown), NAME_MAX_SHOWN);

		width = length > width ? length : width;
	}
	fprintf(out, "\nGOROUTINES by start function: time in each state\n  %-*s %6s", width, "", "count");
	fprintf(out, kernel ? " %9s %9s" : " %9s", kernel ? "on CPU" : "running", "off CPU");
	fprintf(out, " %9s %9s %9s %9s %9s %9s %9s %9s\n", "runnable", "syscall", "lock", "channel", "sync", "network",
		"sleep", "GC");
	for (size_t i = 0; i < a->group_count; i++) {
		const struct gt__group *group = sorted[i];
		int64_t each[GT_STATE_COUNT];
		struct gt__cpu_time cpu = {0};

		gt__cpu_add(group->system ? &system : &cpu, group);
		for (size_t s = 0; s < GT_STATE_COUNT; s++)
			each[s] = group->state[s].total_ns;
		if (!group->system && shown < TOP) {
			shown++;
			put_group(out, width, gt__short(group->shown), group->seen, each, group->wait_ns,
				kernel ? &cpu : NULL);
			continue;
		}
		left += !group->system;
		if (!group->system)
			continue;
		count += group->seen;
		for (size_t s = 0; s < GT_STATE_COUNT; s++)
			GT__ADD(state[s], each[s]);
		for (size_t c = 0; c < GT__WAIT_CLASSES; c++)
			GT__ADD(wait[c], group->wait_ns[c]);
	}
	if (count)
		put_group(out, width, "(the runtime's own)", count, state, wait, kernel ? &system : NULL);
	if (left)
		fprintf(out, "  and %" PRIu64 " more functions: --json lists them all\n", left);
	free(sorted);
}

static void put_latency(struct gt_analysis *a, FILE *out)
{
	const struct gt__hist *hist = &a->latency;
	char t[5][32], stack[400];

	fprintf(out, "\nSCHEDULER LATENCY: from runnable to running\n");
	if (!hist->all.count) {
		fprintf(out, "  nothing became runnable and ran\n");
		return;
	}
	fprintf(out,
		"  %" PRIu64
		" times: p50 %s, p90 %s, p99 %s, max %s; every P was taken for %s\n  the worst of each kind:\n",
		hist->all.count, gt__time(gt__hist_quantile(hist, 0.5), t[0]),
		gt__time(gt__hist_quantile(hist, 0.9), t[1]), gt__time(gt__hist_quantile(hist, 0.99), t[2]),
		gt__time(hist->all.max_ns, t[3]), gt__time(a->all_busy_ns, t[4]));
	for (size_t i = 0; i < a->worst_count && i < 5; i++) {
		const struct gt__latency *w = &a->worst[i];

		fprintf(out, "  %9s at %s: G%" PRIu64 " (%s) ", gt__time(w->ns, t[0]), gt__time(w->since_ns, t[1]),
			w->g, gt__short(w->group->shown));
		if (w->reason)
			fprintf(out, "gave way: %s", gt_reason_text(w->reason));
		else if (w->created)
			fprintf(out, "had been created");
		else if (w->by)
			fprintf(out, "had been woken by G%" PRIu64, w->by);
		else
			fprintf(out, "had been woken by %s", w->cause ? gt_cause_text(w->cause) : "the scheduler");
		if (w->busy_ns >= w->ns - w->ns / 16)
			fprintf(out, "; every P was taken");
		else if (w->busy_ns)
			fprintf(out, "; every P was taken for %s of it", gt__time(w->busy_ns, t[2]));
		else
			fprintf(out, "; not every P was taken");
		if (w->stack && *gt__stack_text(a, w->stack, 2, stack, sizeof(stack)))
			fprintf(out, "; %s", stack);
		putc('\n', out);
	}
}

static void put_reasons(struct gt_analysis *a, FILE *out)
{
	struct gt__stat stats[GT_REASON_COUNT] = {{0}};
	char t[3][32];
	bool none = true;

	for (size_t i = 0; i < a->group_count; i++) {
		const struct gt__group *group = a->groups[i];

		for (size_t r = 0; r < GT_REASON_COUNT && !group->system; r++) {
			stats[r].count += group->reason[r].count;
			GT__ADD(stats[r].total_ns, group->reason[r].total_ns);
			if (group->reason[r].max_ns > stats[r].max_ns) {
				stats[r].max_ns = group->reason[r].max_ns;
				stats[r].max_g = group->reason[r].max_g;
				stats[r].max_at_ns = group->reason[r].max_at_ns;
			}
		}
	}
	fprintf(out, "\nWAITING by reason (without the runtime's own goroutines)\n");
	for (;;) {
		size_t best = GT_REASON_COUNT;

		for (size_t r = 0; r < GT_REASON_COUNT; r++)
			if (stats[r].count && (best == GT_REASON_COUNT || stats[r].total_ns > stats[best].total_ns))
				best = r;
		if (best == GT_REASON_COUNT)
			break;
		none = false;
		fprintf(out, "  %-28s %9s in %" PRIu64 " wait%s, at most %s (G%" PRIu64 " at %s)\n",
			gt_reason_text((unsigned int)best), gt__time(stats[best].total_ns, t[0]), stats[best].count,
			plural(stats[best].count), gt__time(stats[best].max_ns, t[1]), stats[best].max_g,
			gt__time(stats[best].max_at_ns, t[2]));
		stats[best].count = 0;
	}
	if (none)
		fprintf(out, "  nobody waited\n");
}

static void put_objects(struct gt_analysis *a, FILE *out)
{
	struct gt__object **sorted = gt__sorted(&a->objects, gt__by_object);
	size_t count = a->objects.count;
	char t[3][32];

	if (!sorted)
		return;
	fprintf(out, "\nWAITING by object\n");
	if (!count)
		put_missing(a, out, "objects", "objects", "nobody waited for an object that is known");
	for (size_t i = 0; i < count && i < TOP; i++)
		fprintf(out, "  %-28s %9s in %" PRIu64 " wait%s, at most %s (G%" PRIu64 " at %s)\n",
			sorted[i]->name ? sorted[i]->name : "?", gt__time(sorted[i]->waits.total_ns, t[0]),
			sorted[i]->waits.count, plural(sorted[i]->waits.count), gt__time(sorted[i]->waits.max_ns, t[1]),
			sorted[i]->waits.max_g, gt__time(sorted[i]->waits.max_at_ns, t[2]));
	if (count > TOP)
		fprintf(out, "  and %zu more\n", count - TOP);
	free(sorted);
}

static void put_sites(struct gt_analysis *a, FILE *out)
{
	struct gt__site **sorted = malloc((a->site_count + 1) * sizeof(*sorted)), *site;
	size_t count = 0, at = 0;
	char t[2][32], stack[400];

	if (!sorted)
		return;
	while (count < a->site_count && (site = gt__map_each(&a->sites, &at)))
		if (site->state == GT_STATE_WAITING && !site->group->system)
			sorted[count++] = site;
	if (count)
		qsort(sorted, count, sizeof(*sorted), gt__by_site);
	fprintf(out, "\nWAITING by stack\n");
	for (size_t i = 0; i < count && i < TOP; i++) {
		site = sorted[i];
		gt__stack_text(a, site->stack, 3, stack, sizeof(stack));
		fprintf(out, "  %9s in %" PRIu64 " wait%s, %s: %s\n",
			gt__time(gt__sum(site->done.total_ns, site->open.total_ns), t[0]),
			site->done.count + site->open.count, plural(site->done.count + site->open.count),
			gt_reason_text(site->reason), *stack ? stack : gt__short(site->group->shown));
	}
	if (count > TOP)
		fprintf(out, "  and %zu more\n", count - TOP);
	if (!count)
		fprintf(out, "  nobody waited\n");
	free(sorted);
}

static void put_link(struct gt_analysis *a, FILE *out, const struct gt__link *link, bool first)
{
	char time[32], stack[300], name[GT_TRACE_OBJECT_BYTES], call_text[64];
	const char *call;

	fprintf(out, "%sG%" PRIu64 " (%s) ", first ? "" : "    because ", link->g, gt__short(link->group->shown));
	switch (link->state) {
	case GT_STATE_RUNNING:
		fprintf(out, link->reason ? "ran, but was off CPU for %s" : "ran for %s", gt__time(link->ns, time));
		if (link->reason)
			fprintf(out, ": %s", gt__off_text(a, link->reason));
		break;
	case GT_STATE_RUNNABLE:
		fprintf(out, "was runnable, without a P, for %s", gt__time(link->ns, time));
		break;
	case GT_STATE_SYSCALL:
		call = gt__call_name(a, link->call, link->stack, call_text);
		fprintf(out, "was in system call%s%s for %s", call ? " " : "", call ? call : "",
			gt__time(link->ns, time));
		break;
	default:
		fprintf(out, "waited %s: %s", gt__time(link->ns, time), gt_reason_text(link->reason));
		if (link->what == GT_OBJECT_SLEEP && link->object < INT64_MAX)
			fprintf(out, " (of %s)", gt__time((int64_t)link->object, time));
		else if (link->what)
			fprintf(out, " (%s)", gt__object_text(a, link->what, link->object, name));
		break;
	}
	if (link->stack && *gt__stack_text(a, link->stack, 2, stack, sizeof(stack)))
		fprintf(out, ", in %s", stack);
	putc('\n', out);
}

static void put_chains(struct gt_analysis *a, const char *file, FILE *out)
{
	char at[32];

	fprintf(out, "\nWHO BLOCKED WHOM: for each lock and send the longest wait, down to its root\n");
	if (!a->chain_count)
		fprintf(out, "  nobody waited for a lock or to send\n");
	for (size_t i = 0; i < a->chain_count && i < 5; i++) {
		const struct gt__chain *chain = &a->chains[i];

		fprintf(out, "  at %s%s: ", gt__time(chain->links[0].since_ns, at), chain->open ? ", to the end" : "");
		for (uint32_t k = 0; k < chain->count; k++) {
			put_link(a, out, &chain->links[k], k == 0);
			if (k == 0 && chain->hands)
				fprintf(out,
					"    the lock went through %" PRIu32
					" hands meanwhile; it was kept longest by one\n",
					chain->hands + 1);
		}
		/* Down to a wait that nobody is known to have ended. */
		if (chain->count < 2 || (chain->root == GT__ROOT_WAIT && chain->count < GT__CHAIN))
			fprintf(out, "    because of whom is not known, or it had ended\n");
		fputs("    ", out);
		put_command(out, file, chain->links[0].since_ns, chain->links[0].g);
		putc('\n', out);
	}
}

static void put_calls(struct gt_analysis *a, FILE *out)
{
	bool shown[GT__CALLS] = {false}, any = false;
	const char *least = gt_trace_meta(a->trace, "syscall_ns_min");
	char t[2][32], number[32], who[32];
	int64_t syscall_ns = 0;

	fprintf(out, "\nSYSTEM CALLS\n");
	for (size_t row = 0; row < 2 * TOP; row++) {
		size_t best = GT__CALLS;
		const char *name;

		for (size_t i = 0; i < GT__CALLS; i++)
			if (!shown[i] && a->calls[i].all.count &&
				(best == GT__CALLS || a->calls[i].all.total_ns > a->calls[best].all.total_ns))
				best = i;
		if (best == GT__CALLS)
			break;
		shown[best] = any = true;
		name = gt_trace_syscall(a->trace, best);
		snprintf(number, sizeof(number), "call %zu", best);
		snprintf(who, sizeof(who), "G%" PRIu64, a->calls[best].all.max_g);
		if (!a->calls[best].all.max_g)
			snprintf(who, sizeof(who), "the scheduler");
		fprintf(out, "  %-20s %9s in %" PRIu64 " call%s, at most %s (%s), %" PRIu64 " error%s\n",
			name ? name : number, gt__time(a->calls[best].all.total_ns, t[0]), a->calls[best].all.count,
			plural(a->calls[best].all.count), gt__time(a->calls[best].all.max_ns, t[1]), who,
			a->calls[best].errors, plural(a->calls[best].errors));
	}
	for (size_t i = 0; i < a->group_count; i++)
		GT__ADD(syscall_ns, a->groups[i]->state[GT_STATE_SYSCALL].total_ns);
	fprintf(out, "  goroutines were in system calls for %s\n", gt__time(syscall_ns, t[0]));
	if (!any)
		put_missing(a, out, "syscalls", "names of calls", "no call is told");
	else if (least && strtoll(least, NULL, 10) > 0)
		fprintf(out, "  calls shorter than %s were not recorded\n", gt__time(strtoll(least, NULL, 10), t[0]));
}

static void put_gc(struct gt_analysis *a, FILE *out)
{
	char t[2][32];

	if (!a->go)
		return;
	fprintf(out, "\nGARBAGE COLLECTOR\n");
	if (!a->gc_cycles && !a->stw.count && !a->assist.count) {
		put_missing(a, out, "gc", "events of the collector", "it did nothing while this was recorded");
		return;
	}
	fprintf(out, "  %" PRIu64 " cycle%s, marking for %s (%.0f %% of the time)\n", a->gc_cycles,
		plural(a->gc_cycles), gt__time(a->gc_ns, t[0]),
		gt__span_ns(a) > 0 ? 100.0 * (double)a->gc_ns / (double)gt__span_ns(a) : 0.0);
	fprintf(out, "  assists: %" PRIu64 ", %s, at most %s\n", a->assist.count, gt__time(a->assist.total_ns, t[0]),
		gt__time(a->assist.max_ns, t[1]));
	fprintf(out, "  the world stood still %" PRIu64 " time%s, for %s, at most %s\n", a->stw.count,
		plural(a->stw.count), gt__time(a->stw.total_ns, t[0]), gt__time(a->stw.max_ns, t[1]));
	for (size_t i = 0; i < a->stw_count; i++) {
		const char *kind = gt_trace_string(a->trace, a->stw_kinds[i].kind);

		fprintf(out, "    %s: %" PRIu64 ", %s, at most %s\n", kind ? kind : "?", a->stw_kinds[i].all.count,
			gt__time(a->stw_kinds[i].all.total_ns, t[0]), gt__time(a->stw_kinds[i].all.max_ns, t[1]));
	}
	if (a->heap_peak)
		fprintf(out, "  heap: at most %.1f MiB, %.1f MiB at the end\n", (double)a->heap_peak / 1048576,
			(double)a->heap_last / 1048576);
}

static const char *size_text(uint64_t bytes, char out[32])
{
	if (bytes < 1024)
		snprintf(out, 32, "%" PRIu64 " B", bytes);
	else
		snprintf(out, 32, bytes < 1048576 ? "%.1f KiB" : "%.1f MiB",
			(double)bytes / (bytes < 1048576 ? 1024 : 1048576));
	return out;
}

static void put_alloc(const struct gt__alloc *alloc, const char *what, FILE *out)
{
	char size[32];

	fprintf(out, "  %10s in %6" PRIu64 "  %s\n", size_text(alloc->weight, size), alloc->count, what);
}

static void put_allocs(struct gt_analysis *a, FILE *out)
{
	struct gt__alloc **types, **places;
	char size[32], stack[400];

	if (!a->alloc_count)
		return;
	types = gt__sorted(&a->alloc_types, gt__by_weight);
	places = gt__sorted(&a->allocs, gt__by_weight);
	fprintf(out, "\nALLOCATED: %s, told by %" PRIu64 " %s%s\n", size_text(a->alloc_bytes, size), a->alloc_count,
		a->alloc_sampled ? "sample" : "event", plural(a->alloc_count));
	for (size_t i = 0; types && i < a->alloc_types.count && i < TOP; i++) {
		const char *type = gt_trace_string(a->trace, types[i]->key);

		put_alloc(types[i], type && *type ? type : "(a type that is not known)", out);
	}
	if (places && a->allocs.count)
		fprintf(out, "  by place:\n");
	for (size_t i = 0; places && i < a->allocs.count && i < TOP; i++) {
		gt__stack_text(a, places[i]->key, 3, stack, sizeof(stack));
		put_alloc(places[i], *stack ? stack : "(a place that is not known)", out);
	}
	free(types);
	free(places);
}

static void put_slots(struct gt_analysis *a, FILE *out)
{
	int64_t span = gt__span_ns(a), running = 0, in_calls = 0;
	uint64_t procs = gt__procs(a);
	char t[2][32];

	for (size_t i = 0; i < GT__SLOTS_MAX; i++) {
		GT__ADD(running, a->slots[i].running_ns);
		GT__ADD(in_calls, a->slots[i].syscall_ns);
	}
	fprintf(out, "\nPs: %" PRIu64 ", running goroutines for %s", procs, gt__time(running, t[0]));
	if (span > 0 && procs)
		fprintf(out, " (%.0f %% of what they could)", 100.0 * (double)running / ((double)span * (double)procs));
	fprintf(out, ", in system calls for %s\n", gt__time(in_calls, t[1]));
	for (size_t i = 0; i < procs && i < 16; i++)
		fprintf(out, "  P%-3zu running %9s (%.0f %%), in %" PRIu64 " stretches\n", i,
			gt__time(a->slots[i].running_ns, t[0]),
			span > 0 ? 100.0 * (double)a->slots[i].running_ns / (double)span : 0.0, a->slots[i].runs);
	if (procs > 16)
		fprintf(out, "  and %" PRIu64 " more\n", procs - 16);
}

static void put_cpu(struct gt_analysis *a, FILE *out)
{
	const char *missing = gt_trace_meta(a->trace, "kernel_layer");
	struct gt__cpu_time sum = {0};
	char t[3][32];

	fprintf(out, "\nCPUs: what the kernel let run of what was running\n");
	if (!gt__has_kernel(a)) {
		struct gt_trace_info info;

		gt_trace_info(a->trace, &info);
		fprintf(out, "  not recorded: %s\n",
			missing && strncmp(missing, "missing: ", 9) == 0 ? missing + 9
			: info.source                                    ? "Go's own tracer does not tell of them"
				      : "--events=default,kernel tells when running goroutines had no CPU");
		return;
	}
	for (size_t i = 0; i < a->group_count; i++)
		gt__cpu_add(&sum, a->groups[i]);
	fprintf(out, "  goroutines ran for %s: %s on a CPU, %s off CPU", gt__time(sum.running_ns, t[0]),
		gt__time(sum.on_ns, t[1]), gt__time(sum.off_ns, t[2]));
	if (sum.unknown_ns)
		fprintf(out, ", %s not known", gt__time(sum.unknown_ns, t[0]));
	putc('\n', out);
	for (unsigned int k = GT__CPU_OTHERS; k < GT__CPU_KINDS; k++)
		if (sum.off[k].count)
			fprintf(out, "  %-43s %9s in %" PRIu64 " time%s, at most %s (G%" PRIu64 " at %s)\n",
				gt__cpu_text(k), gt__time(sum.off[k].total_ns, t[0]), sum.off[k].count,
				plural(sum.off[k].count), gt__time(sum.off[k].max_ns, t[1]), sum.off[k].max_g,
				gt__time(sum.off[k].max_at_ns, t[2]));
	if (a->throttled_ns)
		fprintf(out, "  the cgroup's CPU quota held the program for %s, summed over CPUs\n",
			gt__time(a->throttled_ns, t[0]));
}

/* Samples in one function of the user's, and its stack that was found most often. */
struct hot {
	const char *function;
	uint64_t count, most, stack;
};

static int by_function(const void *x, const void *y)
{
	const struct hot *a = x, *b = y;
	int names = strcmp(a->function, b->function);

	return names ? names : a->stack < b->stack ? -1 : a->stack > b->stack;
}

static int by_count(const void *x, const void *y)
{
	const struct hot *a = x, *b = y;

	return a->count != b->count ? (a->count < b->count ? 1 : -1) : strcmp(a->function, b->function);
}

/* One line a function: samples of one stack first, so that the most frequent is known. */
static size_t add_up(struct hot *hot, size_t count)
{
	size_t kept = 0;

	if (count)
		qsort(hot, count, sizeof(*hot), by_function);
	for (size_t i = 0, next; i < count; i = next) {
		uint64_t of_stack = 0;

		for (next = i; next < count && by_function(&hot[i], &hot[next]) == 0; next++)
			of_stack += hot[next].count;
		if (!kept || strcmp(hot[kept - 1].function, hot[i].function) != 0)
			hot[kept++] = (struct hot){hot[i].function, 0, 0, 0};
		hot[kept - 1].count += of_stack;
		if (of_stack > hot[kept - 1].most) {
			hot[kept - 1].most = of_stack;
			hot[kept - 1].stack = hot[i].stack;
		}
	}
	if (kept)
		qsort(hot, kept, sizeof(*hot), by_count);
	return kept;
}

static void put_samples(struct gt_analysis *a, FILE *out)
{
	struct hot *hot = malloc((a->samples.count + 1) * sizeof(*hot));
	uint64_t all = a->samples_counted;
	const struct gt__sample *sample;
	size_t n = 0, at = 0;
	char time[32], stack[400];

	for (; hot && n < a->samples.count && (sample = gt__map_each(&a->samples, &at)); n++)
		hot[n] = (struct hot){gt__user_function(a, sample->stack), sample->count, 0, sample->stack};
	n = hot ? add_up(hot, n) : 0;
	if (n)
		fprintf(out, "\nCPU SAMPLES: %" PRIu64 ", one each %s of a thread's CPU time; by function\n", all,
			gt__time(gt__sample_period(a), time));
	for (size_t i = 0; i < n && i < TOP; i++) {
		gt__stack_text(a, hot[i].stack, 3, stack, sizeof(stack));
		fprintf(out, "  %5.1f %%  %s\n", 100.0 * (double)hot[i].count / (double)all,
			*stack             ? stack
			: *hot[i].function ? gt__short(hot[i].function)
					   : "(no function is known)");
	}
	if (n > TOP)
		fprintf(out, "  and %zu more: gtrace convert --to pprof --profile cpu\n", n - TOP);
	free(hot);
}

int gt_report_text(struct gt_analysis *a, const char *file, FILE *out)
{
	if (!a->events)
		fprintf(out, "no events in this trace\n");
	else if (!a->finding_count)
		put_none(out, file);
	for (size_t i = 0; i < a->finding_count && i < TOP; i++)
		put_finding(a, file, out, i);
	if (a->finding_count > TOP)
		fprintf(out, "\nand %zu more: --json lists them all\n", a->finding_count - TOP);
	put_recording(a, out);
	put_groups(a, out);
	put_latency(a, out);
	put_reasons(a, out);
	put_objects(a, out);
	put_sites(a, out);
	put_chains(a, file, out);
	put_calls(a, out);
	put_gc(a, out);
	put_allocs(a, out);
	put_slots(a, out);
	put_cpu(a, out);
	put_samples(a, out);
	return fflush(out) || ferror(out) ? -EIO : 0;
}
