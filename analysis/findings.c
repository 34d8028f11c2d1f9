/*
 * findings.c - sums to findings, in the order of the time that they cost.
 *
 * Lost time is counted in goroutines x time: what waited though it had work, attributed to what made it wait. A finding has to cost at
 * least a tenth of a goroutine all the time; what is stuck for good is told always. Waiting for work is not lost.
 */
#include "analysis/state.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* 1/SHARE of a goroutine on average. */
#define SHARE 10
/* To hand something over takes about so long, whoever is at fault. */
#define HAND_OVER_NS 10000
/* A timer that wakes a goroutine less often than this altogether is no storm, whatever it costs. */
#define STORM_WAKES_A_SECOND 2000

char *gt__format(const char *format, ...)
{
	char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	return text;
}

struct gt__finding *gt__finding_add(struct gt_analysis *a, const char *kind, int64_t lost_ns)
{
	struct gt__finding *finding;
	size_t at = a->finding_count;

	if (at == GT__FINDINGS_MAX) {
		at = 0;
		for (size_t i = 1; i < GT__FINDINGS_MAX; i++)
			if (a->findings[i].lost_ns < a->findings[at].lost_ns)
				at = i;
		if (a->findings[at].lost_ns >= lost_ns)
			return NULL;
		free(a->findings[at].title);
		free(a->findings[at].detail);
	} else {
		a->finding_count++;
	}
	finding = &a->findings[at];
	*finding = (struct gt__finding){.kind = kind, .lost_ns = lost_ns};
	return finding;
}

static double percent(int64_t part, int64_t whole)
{
	return whole > 0 ? 100.0 * (double)part / (double)whole : 0;
}

static const struct gt__culprit *first_culprit(const struct gt__blame *blame, enum gt__root root)
{
	const struct gt__culprit *best = NULL;

	for (uint32_t i = 0; i < blame->culprit_count; i++)
		if (blame->culprits[i].root == root && (!best || blame->culprits[i].ns > best->ns))
			best = &blame->culprits[i];
	return best;
}

static enum gt__root first_root(const struct gt__blame *blame)
{
	enum gt__root best = GT__ROOT_UNKNOWN;

	for (unsigned int root = 1; root < GT__ROOTS; root++)
		if (blame->roots[root] > (best ? blame->roots[best] : 0))
			best = (enum gt__root)root;
	return best;
}

static int64_t known_ns(const struct gt__blame *blame)
{
	int64_t sum = 0;

	for (unsigned int root = 1; root < GT__ROOTS; root++)
		GT__ADD(sum, blame->roots[root]);
	return sum;
}

/* "in system call fsync (main.flush)", "asleep in main.consume", "running (main.work)". */
static void did(const struct gt_analysis *a, const struct gt__culprit *culprit, char *out, size_t size)
{
	const char *where = gt__user_function(a, culprit->stack), *call;
	const char *start = culprit->group ? gt__short(culprit->group->shown) : "?";
	char name[64];

	where = gt__short(*where ? where : start);
	switch (culprit->root) {
	case GT__ROOT_SYSCALL:
		call = gt__call_name(a, culprit->call, culprit->stack, name);
		snprintf(out, size, "in system call%s%s in %.200s", call ? " " : "", call ? call : "", where);
		break;
	case GT__ROOT_SLEEP:
		snprintf(out, size, "asleep in %.200s", where);
		break;
	case GT__ROOT_NETWORK:
		snprintf(out, size, "waiting for the network in %.200s", where);
		break;
	case GT__ROOT_NO_P:
		snprintf(out, size, "runnable, without a P (%.200s)", start);
		break;
	case GT__ROOT_RUNNING:
		snprintf(out, size, "running (%.200s)", start);
		break;
	case GT__ROOT_OFF_CPU:
		snprintf(out, size, "off CPU (%.200s): %s", start, gt__off_text(a, culprit->reason));
		break;
	case GT__ROOT_GC:
		snprintf(out, size, "waiting for the garbage collector in %.200s", where);
		break;
	case GT__ROOT_WAIT:
		snprintf(out, size, "waiting itself (%s) in %.200s", gt_reason_text(culprit->reason), where);
		break;
	default:
		snprintf(out, size, "not known");
		break;
	}
}

static const char *top_group(const struct gt__blame *blame)
{
	const struct gt__share *best = &blame->groups[0];

	for (size_t i = 1; i < 8; i++)
		if (blame->groups[i].ns > best->ns)
			best = &blame->groups[i];
	return best->group ? gt__short(best->group->shown) : "?";
}

static char *blame_detail(const struct gt_analysis *a, const struct gt__blame *blame)
{
	int64_t known = known_ns(blame);
	size_t size;
	char *text = NULL, what[512], time[32], stack[400];
	FILE *out = open_memstream(&text, &size);
	unsigned int shown = 0;

	if (!out)
		return NULL;
	fprintf(out, "%llu wait%s", (unsigned long long)blame->waits.count, blame->waits.count == 1 ? "" : "s");
	if (blame->waits.count > 1)
		fprintf(out, ", %s on average", gt__time(blame->waits.total_ns / (int64_t)blame->waits.count, time));
	if (blame->holds)
		fprintf(out, "; handed on every %s on average",
			gt__time(blame->holds_ns / (int64_t)blame->holds, time));
	if (blame->open)
		fprintf(out, "; %llu still wait at the end", (unsigned long long)blame->open);
	for (unsigned int round = 0; round < 3 && known; round++) {
		const struct gt__culprit *best = NULL;

		for (uint32_t i = 0; i < blame->culprit_count; i++) {
			const struct gt__culprit *culprit = &blame->culprits[i];

			if (culprit->root != GT__ROOT_UNKNOWN && !(shown & 1u << i) &&
				(!best || culprit->ns > best->ns))
				best = culprit;
		}
		if (!best || percent(best->ns, known) < 1)
			break;
		shown |= 1u << (best - blame->culprits);
		did(a, best, what, sizeof(what));
		fprintf(out, "\nmeanwhile %s: %.0f %%", what, percent(best->ns, known));
		if (best->stack && *gt__stack_text(a, best->stack, 3, stack, sizeof(stack)))
			fprintf(out, ": %s", stack);
	}
	if (known < blame->waits.total_ns / 2 && blame->kind != GT__BLAME_GC)
		fprintf(out, "\nfor whom is known for %.0f %% of that time", percent(known, blame->waits.total_ns));
	return fclose(out) ? NULL : text;
}

static void who_waited(const struct gt__blame *blame, char *out, size_t size)
{
	snprintf(out, size, "%s%u goroutine%s (%.200s)", blame->waiters_more ? "more than " : "", blame->waiter_count,
		blame->waiter_count == 1 ? "" : "s", top_group(blame));
}

static void fill(struct gt__finding *finding, const struct gt__blame *blame, const struct gt__culprit *culprit)
{
	finding->count = blame->waits.count;
	finding->at_ns = blame->waits.max_at_ns;
	finding->at_for_ns = blame->waits.max_ns;
	finding->g = blame->waits.max_g;
	finding->stack = blame->worst_stack;
	finding->stack_of = "waits in";
	if (culprit) {
		finding->culprit_g = culprit->g;
		finding->culprit_stack = culprit->stack;
	}
}

static const char *off_advice(const struct gt_analysis *a, unsigned int at)
{
	switch (at) {
	case GT__CPU_OTHERS:
		return gt__off_text(a, at) == gt__cpu_text(at)
			       ? "give the program CPUs of its own, or others a lower priority (nice, cpusets)"
			       : "raise the cgroup's quota, or set GOMAXPROCS to what it gives";
	case GT__CPU_OWN:
		return "more of its threads want to run than it has CPUs: lower GOMAXPROCS";
	case GT__CPU_FAULT:
		return "touch the memory before it matters; look for swapping and for files that are mapped";
	default:
		return "record with --events=default,kernel,syscalls,faults to see what it waited for";
	}
}

static const char *lock_advice(const struct gt_analysis *a, const struct gt__culprit *culprit, bool convoy)
{
	enum gt__root root = culprit ? (enum gt__root)culprit->root : GT__ROOT_UNKNOWN;

	if (convoy)
		return "take it less often, hold it for less, or split it: more goroutines only make it worse";
	switch (root) {
	case GT__ROOT_SYSCALL:
		return "do the system call outside of the lock";
	case GT__ROOT_SLEEP:
	case GT__ROOT_NETWORK:
	case GT__ROOT_WAIT:
		return "do not wait for anything with the lock held";
	case GT__ROOT_NO_P:
		return "the holder could not run: see the Ps below";
	case GT__ROOT_OFF_CPU:
		return off_advice(a, culprit->reason);
	default:
		return "do less with the lock held";
	}
}

/* "mutex#3", "mutex#3 and 8 more like it" */
static void object_text(const struct gt_analysis *a, const struct gt__blame *blame, char *out)
{
	gt__object_text(a, blame->what, blame->object, out);
	if (blame->alike)
		sprintf(out + strlen(out), " and %llu more like it", (unsigned long long)blame->alike);
}

static void find_lock(struct gt_analysis *a, const struct gt__blame *blame, int64_t lost)
{
	enum gt__root root = first_root(blame);
	const struct gt__culprit *culprit = first_culprit(blame, root);
	int64_t mean = blame->waits.total_ns / (int64_t)blame->waits.count;
	int64_t hold = blame->holds ? blame->holds_ns / (int64_t)blame->holds : mean;
	bool convoy = (root == GT__ROOT_RUNNING || root == GT__ROOT_NO_P) && blame->holds > blame->waits.count / 4 &&
		      hold < mean / 2 && blame->waiter_count > 2;
	struct gt__finding *finding = gt__finding_add(a, convoy ? "lock-convoy" : "lock-held", lost);
	char name[GT_TRACE_OBJECT_BYTES + 64] = "the lock", who[256], what[512] = "not known", time[32], hold_text[32];

	if (!finding)
		return;
	if (blame->object)
		object_text(a, blame, name);
	who_waited(blame, who, sizeof(who));
	if (culprit)
		did(a, culprit, what, sizeof(what));
	if (convoy)
		finding->title =
			gt__format("lock convoy: %s waited %s for %s in %s, handed on %llu times, each time for %s",
				who, gt__time(lost, time), name, gt__short(blame->name),
				(unsigned long long)blame->waits.count, gt__time(hold, hold_text));
	else if (blame->open_unknown && blame->open_ns > lost / 2)
		finding->title = gt__format("%s waited %s for %s in %s, which nobody unlocked before the trace's end; "
					    "its holder is not known",
			who, gt__time(lost, time), name, blame->name);
	else if (culprit && root == GT__ROOT_OFF_CPU)
		finding->title = gt__format("%s waited %s for %s in %s; its holder's thread was %s; G%llu's for %s "
					    "in one wait",
			who, gt__time(lost, time), name, gt__short(blame->name), what, (unsigned long long)culprit->g,
			gt__time(culprit->longest_ns, hold_text));
	else
		finding->title = gt__format("%s waited %s for %s in %s; its holder was %s", who, gt__time(lost, time),
			name, gt__short(blame->name), what);
	finding->detail = blame_detail(a, blame);
	fill(finding, blame, culprit);
	finding->advice = lock_advice(a, culprit, convoy);
}

static void find_send(struct gt_analysis *a, const struct gt__blame *blame, int64_t lost)
{
	enum gt__root root = first_root(blame);
	const struct gt__culprit *culprit = first_culprit(blame, root);
	struct gt__finding *finding = gt__finding_add(a, "slow-reader", lost);
	char name[GT_TRACE_OBJECT_BYTES + 64] = "a channel", who[256], what[512] = "not known", time[32];

	if (!finding)
		return;
	if (blame->object)
		object_text(a, blame, name);
	who_waited(blame, who, sizeof(who));
	if (culprit)
		did(a, culprit, what, sizeof(what));
	finding->title = gt__format("%s waited %s to send on %s in %s; the receiver G%llu (%s) was %s", who,
		gt__time(lost, time), name, gt__short(blame->name), (unsigned long long)(culprit ? culprit->g : 0),
		culprit && culprit->group ? gt__short(culprit->group->shown) : "not known", what);
	finding->detail = blame_detail(a, blame);
	fill(finding, blame, culprit);
	finding->advice = "let more goroutines receive, or let the receiver do its work elsewhere; a buffer only hides "
			  "it for a while";
}

/* The collector's own running time against all running time: so much of what others lost for want of a P is due to it. */
static double gc_share(const struct gt_analysis *a)
{
	int64_t gc = 0, all = 0;

	for (size_t i = 0; i < a->group_count; i++) {
		int64_t ns = a->groups[i]->state[GT_STATE_RUNNING].total_ns;

		GT__ADD(all, ns);
		if (a->go && strstr(a->groups[i]->name, "gcBgMarkWorker"))
			GT__ADD(gc, ns);
	}
	GT__ADD(gc, a->assist.total_ns);
	return all > 0 && gc < all ? (double)gc / (double)all : gc > 0;
}

static int64_t find_gc(struct gt_analysis *a, int64_t least)
{
	const struct gt__blame *blame, *best = NULL;
	struct gt__finding *finding;
	struct gt__stat all = {0};
	double share = gc_share(a);
	int64_t starved = share < 1 ? (int64_t)(share * (double)a->starved_ns) : a->starved_ns, lost;
	char time[32], more[32];
	size_t at = 0;

	while ((blame = gt__map_each(&a->blames, &at))) {
		if (blame->kind != GT__BLAME_GC)
			continue;
		all.count += blame->waits.count;
		GT__ADD(all.total_ns, blame->waits.total_ns);
		if (!best || blame->waits.total_ns > best->waits.total_ns)
			best = blame;
	}
	lost = gt__sum(all.total_ns, starved);
	if (!best || lost < least || all.total_ns < starved / 8)
		return 0;
	finding = gt__finding_add(a, "gc-assist", lost);
	if (!finding)
		return 0;
	finding->title = gt__format("the garbage collector made goroutines work or wait for it for %s, most in %s "
				    "(%s): it allocates faster than "
				    "the collector frees",
		gt__time(lost, time), gt__short(best->name), top_group(best));
	finding->detail = gt__format("%llu assists and waits; %s of it runnable, while the collector had the Ps",
		(unsigned long long)all.count, gt__time(starved, more));
	fill(finding, best, NULL);
	finding->stack_of = "allocates in";
	finding->count = all.count;
	finding->advice = "allocate less there, raise GOGC, or set GOMEMLIMIT instead of a low GOGC";
	return starved;
}

static char *starved_detail(const struct gt_analysis *a)
{
	const struct gt__group *runs[3] = {0}, *waits[3] = {0};
	int64_t running = 0;
	char *text = NULL, time[32];
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	for (size_t i = 0; i < a->group_count; i++) {
		const struct gt__group *group = a->groups[i];

		GT__ADD(running, group->state[GT_STATE_RUNNING].total_ns);
		for (size_t k = 0; k < 3; k++) {
			if (!runs[k] ||
				group->state[GT_STATE_RUNNING].total_ns > runs[k]->state[GT_STATE_RUNNING].total_ns) {
				memmove(&runs[k + 1], &runs[k], (2 - k) * sizeof(runs[0]));
				runs[k] = group;
				break;
			}
		}
		for (size_t k = 0; k < 3; k++) {
			if (!waits[k] || group->starved_ns > waits[k]->starved_ns) {
				memmove(&waits[k + 1], &waits[k], (2 - k) * sizeof(waits[0]));
				waits[k] = group;
				break;
			}
		}
	}
	for (size_t k = 0; k < 3 && runs[k] && percent(runs[k]->state[GT_STATE_RUNNING].total_ns, running) >= 1; k++)
		fprintf(out, "%s%s %.0f %%", k ? ", " : "the Ps ran: ", gt__short(runs[k]->shown),
			percent(runs[k]->state[GT_STATE_RUNNING].total_ns, running));
	for (size_t k = 0; k < 3 && waits[k] && percent(waits[k]->starved_ns, a->starved_ns) >= 1; k++)
		fprintf(out, "%s%s %s", k ? ", " : "\nwithout a P were: ", gt__short(waits[k]->shown),
			gt__time(waits[k]->starved_ns, time));
	return fclose(out) ? NULL : text;
}

static void find_starved(struct gt_analysis *a, int64_t lost)
{
	const struct gt__latency *worst = &a->starved_worst;
	const char *cpus = gt_trace_meta(a->trace, "cpus");
	const struct gt__group *hog = NULL;
	uint64_t procs = 0, cpu_count = cpus ? strtoul(cpus, NULL, 10) : 0;
	struct gt__finding *finding;
	struct gt__cpu_time cpu = {0};
	char time[32], ps[40];

	for (size_t i = 0; i < a->group_count; i++)
		if (!hog || a->groups[i]->state[GT_STATE_RUNNING].total_ns > hog->state[GT_STATE_RUNNING].total_ns)
			hog = a->groups[i];
	for (size_t i = 1; i <= GT__SLOTS_MAX; i++)
		if (a->busy_by_procs[i] > a->busy_by_procs[procs])
			procs = i;
	finding = gt__finding_add(a, "starved", lost);
	if (!finding || !hog)
		return;
	snprintf(ps, sizeof(ps), procs == 1 ? "the only P was" : "all %llu Ps were", (unsigned long long)procs);
	finding->title =
		gt__format("goroutines were runnable for %s without a P: %s taken (%.0f %% of the time), most by %s%s",
			gt__time(lost, time), ps, percent(a->all_busy_ns, gt__span_ns(a)), gt__short(hog->shown),
			procs < cpu_count ? "; GOMAXPROCS is below the number of CPUs" : "");
	finding->detail = starved_detail(a);
	for (size_t i = 0; i < a->group_count; i++)
		gt__cpu_add(&cpu, a->groups[i]);
	if (cpu.off_ns > cpu.running_ns / 10 && finding->detail) {
		char *more = gt__format("%s\nwhat had a P was off CPU for %.0f %% of that: see CPUs below",
			finding->detail, percent(cpu.off_ns, cpu.running_ns));

		free(finding->detail);
		finding->detail = more;
	}
	finding->count = a->latency.all.count;
	finding->at_ns = worst->since_ns;
	finding->at_for_ns = worst->ns;
	finding->g = worst->g;
	finding->stack = worst->stack;
	finding->stack_of = "had stopped in";
	finding->advice = procs < cpu_count ? "raise GOMAXPROCS, or let fewer goroutines compute at once"
					    : "let fewer goroutines compute at once, or give it more CPUs";
}

/* Without a CPU, though with a P: what the scheduler calls running. */
static void find_off_cpu(struct gt_analysis *a, int64_t least)
{
	const struct gt__group *worst = NULL;
	struct gt__cpu_time sum = {0}, each;
	unsigned int most = GT__CPU_OTHERS;
	struct gt__finding *finding;
	int64_t worst_ns = 0;
	size_t size;
	char time[3][32], *text = NULL;
	FILE *out;

	for (size_t i = 0; i < a->group_count; i++) {
		if (a->groups[i]->system)
			continue;
		each = (struct gt__cpu_time){0};
		gt__cpu_add(&each, a->groups[i]);
		gt__cpu_add(&sum, a->groups[i]);
		if (!worst || each.off_ns > worst_ns) {
			worst = a->groups[i];
			worst_ns = each.off_ns;
		}
	}
	for (unsigned int k = GT__CPU_OTHERS; k < GT__CPU_KINDS; k++)
		if (sum.off[k].total_ns > sum.off[most].total_ns)
			most = k;
	if (!worst || sum.off_ns < least)
		return;
	finding = gt__finding_add(a, "off-cpu", sum.off_ns);
	out = finding ? open_memstream(&text, &size) : NULL;
	if (!out)
		return;
	finding->title = gt__format(
		"goroutines ran for %s, but their threads were off CPU for %s of it (%.0f %%), most in %s: %s",
		gt__time(sum.running_ns, time[0]), gt__time(sum.off_ns, time[1]), percent(sum.off_ns, sum.running_ns),
		gt__short(worst->shown), gt__off_text(a, most));
	for (unsigned int k = GT__CPU_OTHERS, shown = 0; k < GT__CPU_KINDS; k++)
		if (sum.off[k].count)
			fprintf(out, "%s%s: %s, %llu times, at most %s", shown++ ? "\n" : "", gt__cpu_text(k),
				gt__time(sum.off[k].total_ns, time[0]), (unsigned long long)sum.off[k].count,
				gt__time(sum.off[k].max_ns, time[1]));
	if (a->throttled_ns)
		fprintf(out, "\nthe cgroup's quota held the program for %s (of each CPU that it had)",
			gt__time(a->throttled_ns, time[0]));
	fclose(out);
	finding->detail = text;
	finding->count = sum.off[most].count;
	finding->at_ns = sum.off[most].max_at_ns;
	finding->at_for_ns = sum.off[most].max_ns;
	finding->g = sum.off[most].max_g;
	finding->advice = off_advice(a, most);
}

static void find_storm(struct gt_analysis *a, int64_t least)
{
	const struct gt__site *site, *best = NULL;
	int64_t lost = 0, run = 0, best_cost = -1, span = gt__span_ns(a);
	uint64_t wakes = 0;
	struct gt__finding *finding;
	char time[32], each[32], pause[32];
	size_t at = 0;

	while ((site = gt__map_each(&a->sites, &at))) {
		int64_t cost = gt__sum(site->timer_runnable_ns, site->timer_run_ns);

		/* Who works for long after each pause is no part of it. */
		if (!site->timer_wakes || site->group->system ||
			site->timer_run_ns / (int64_t)site->timer_wakes > 100000)
			continue;
		GT__ADD(lost, cost);
		GT__ADD(run, site->timer_run_ns);
		wakes += site->timer_wakes;
		if (cost > best_cost) {
			best_cost = cost;
			best = site;
		}
	}
	if (!best || lost < least || (double)wakes * 1e9 < (double)STORM_WAKES_A_SECOND * (double)span)
		return;
	finding = gt__finding_add(a, "timer-storm", lost);
	if (!finding)
		return;
	finding->title = gt__format("timer storm: timers woke goroutines %llu times (%.0f a second), most in %s (%s), "
				    "to run for %s each: %s of running and waiting for a P",
		(unsigned long long)wakes, (double)wakes * 1e9 / (double)span,
		gt__short(*gt__user_function(a, best->stack) ? gt__user_function(a, best->stack) : best->group->shown),
		gt__short(best->group->shown), gt__time(run / (int64_t)wakes, each), gt__time(lost, time));
	finding->detail = gt__format("there %llu times, after %s on average", (unsigned long long)best->timer_wakes,
		gt__time(best->timer_wait_ns / (int64_t)best->timer_wakes, pause));
	finding->count = wakes;
	finding->at_ns = best->done.max_at_ns;
	finding->at_for_ns = best->done.max_ns;
	finding->g = best->done.max_g;
	finding->stack = best->stack;
	finding->stack_of = "sleeps in";
	finding->advice =
		"wait for what is to come instead of looking for it, or look less often; let one ticker serve many";
}

static int by_lost(const void *x, const void *y)
{
	const struct gt__finding *a = x, *b = y;

	if (a->lost_ns != b->lost_ns)
		return a->lost_ns < b->lost_ns ? 1 : -1;
	if (a->at_ns != b->at_ns)
		return a->at_ns < b->at_ns ? -1 : 1;
	if (a->g != b->g)
		return a->g < b->g ? -1 : 1;
	return strcmp(a->kind, b->kind) ? strcmp(a->kind, b->kind)
					: strcmp(a->title ? a->title : "", b->title ? b->title : "");
}

/* What one place waits for is one fault, on however many locks or channels: added up. False without memory. */
static bool by_place(struct gt_analysis *a, struct gt__map *places)
{
	const struct gt__blame *blame;
	size_t at = 0;

	while ((blame = gt__map_each(&a->blames, &at))) {
		uint64_t key = (uint64_t)(uintptr_t)blame->name << 2 | blame->kind;
		struct gt__blame *place = gt__map_get(places, key);

		if (blame->kind == GT__BLAME_GC)
			continue;
		if (place) {
			gt__blame_add(place, blame);
			continue;
		}
		place = malloc(sizeof(*place));
		if (!place || gt__map_put(places, key, place) < 0) {
			free(place);
			return false;
		}
		*place = *blame;
		place->most_ns = blame->waits.total_ns;
		if (place->taken_ns > place->waits.total_ns)
			place->taken_ns = place->waits.total_ns;
	}
	return true;
}

static void find_blocked(struct gt_analysis *a, int64_t least, int64_t *no_p)
{
	struct gt__map places = {0};
	struct gt__blame *blame;
	size_t at = 0;

	a->failed |= !by_place(a, &places);
	while ((blame = gt__map_each(&places, &at))) {
		int64_t lost = blame->waits.total_ns - blame->taken_ns;

		/* The receiver could not run: that is no slow reader, but too few Ps. */
		if (blame->kind == GT__BLAME_SEND) {
			int64_t known = known_ns(blame), without = 0;

			/* What is not known went as what is. */
			if (known > 0)
				without =
					(int64_t)((double)lost * ((double)blame->roots[GT__ROOT_NO_P] / (double)known));
			GT__ADD(*no_p, without);
			lost = lost > without ? lost - without : 0;
			if (lost / (int64_t)blame->waits.count < HAND_OVER_NS)
				lost = 0;
		}
		if (lost >= least && lost > 0 && blame->kind == GT__BLAME_LOCK)
			find_lock(a, blame, lost);
		else if (lost >= least && lost > 0)
			find_send(a, blame, lost);
		free(blame);
	}
	gt__map_free(&places);
}

void gt__findings(struct gt_analysis *a)
{
	int64_t least = gt__span_ns(a) / SHARE, starved = a->starved_ns, no_p = 0;

	find_blocked(a, least, &no_p);
	if (least > 0) {
		starved -= find_gc(a, least);
		if (starved >= 2 * least)
			find_starved(a, gt__sum(starved, no_p));
		find_off_cpu(a, least);
		find_storm(a, least);
	}
	if (a->finding_count)
		qsort(a->findings, a->finding_count, sizeof(a->findings[0]), by_lost);
}

bool gt_analysis_finding(const struct gt_analysis *a, size_t index, struct gt_finding_view *out)
{
	const struct gt__finding *finding = &a->findings[index < a->finding_count ? index : 0];

	if (index >= a->finding_count)
		return false;
	*out = (struct gt_finding_view){finding->kind, finding->title ? finding->title : "", finding->lost_ns,
		finding->at_ns, finding->g, finding->stack};
	return true;
}
