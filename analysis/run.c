/*
 * run.c - events to sums.
 *
 * rows gives each slice of a goroutine and of a P when it ends; here it is counted: in its group, its site, its object. What an event
 * tells beside (who woke whom, calls, the collector, allocations) is taken from the event itself.
 */
#include "analysis/state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ASK_EVENTS (1u << 16) /* after so many each time: is it to stop? */

/* ---- slices of goroutines ---- */

void gt__remember(struct gt_analysis *a, struct gt__goroutine *gor, const struct gt__slice *slice, int64_t end_ns,
	struct gt__site *site, uint64_t by, struct gt__blame *blame)
{
	struct gt__past *past;

	if (!gor->past) {
		if (a->past_count >= GT__PASTS_MAX)
			return;
		gor->past = malloc(GT__PAST * sizeof(*gor->past));
		if (!gor->past)
			return;
		a->past_count++;
	}
	past = &gor->past[gor->past_next];
	*past = (struct gt__past){slice->since_ns, end_ns, site, blame, by, gor->call, slice->object, slice->cause};
	gor->past_next = (uint8_t)((gor->past_next + 1u) % GT__PAST);
	if (gor->past_count < GT__PAST)
		gor->past_count++;
}

static bool alike(const struct gt__latency *x, const struct gt__latency *y)
{
	return x->group == y->group && x->reason == y->reason && x->created == y->created && x->stack == y->stack;
}

/* The longest of each kind, the longest first. */
static void keep_worst(struct gt_analysis *a, const struct gt__latency *latency)
{
	size_t at = a->worst_count, same;

	if (at == GT__WORST && latency->ns <= a->worst[at - 1].ns)
		return;
	for (same = 0; same < a->worst_count && !alike(&a->worst[same], latency); same++)
		;
	if (same < a->worst_count && latency->ns <= a->worst[same].ns)
		return;
	if (same < a->worst_count)
		at = same;
	else if (at == GT__WORST)
		at--;
	else
		a->worst_count++;
	for (; at > 0 && a->worst[at - 1].ns < latency->ns; at--)
		a->worst[at] = a->worst[at - 1];
	a->worst[at] = *latency;
}

static void runnable_ended(
	struct gt_analysis *a, struct gt__goroutine *gor, const struct gt__slice *slice, int64_t end_ns)
{
	int64_t ns = end_ns - slice->since_ns, busy = a->all_busy_ns - gor->all_busy_mark;
	uint64_t stack = slice->stack;
	struct gt__latency latency;
	struct gt__site *site;

	if (!stack && gor->wait && !slice->reason && gor->runs)
		stack = gor->wait->stack;
	site = gt__site_of(a, gor->group, GT_STATE_RUNNABLE, slice->reason, stack, 0);
	if (!site)
		return;
	if (busy > ns)
		busy = ns;
	gt__stat_add(a->finishing ? &site->open : &site->done, ns, slice->since_ns, gor->g);
	if (!a->finishing)
		gt__hist_add(&a->latency, ns, slice->since_ns, gor->g);
	gt__stat_add(&site->starved, busy, slice->since_ns, gor->g);
	latency = (struct gt__latency){gor->g, gor->group, slice->since_ns, ns, busy, slice->reason,
		!gor->runs && gor->created, gor->by, stack, gor->cause};
	if (!gor->group->system)
		keep_worst(a, &latency);
	if (gor->woken_at) {
		GT__ADD(gor->woken_at->timer_runnable_ns, ns);
		GT__ADD(a->starved_timer_ns, busy);
	} else if (!gor->group->system) {
		GT__ADD(a->starved_ns, busy);
		GT__ADD(gor->group->starved_ns, busy);
		if (busy > a->starved_worst.busy_ns)
			a->starved_worst = latency;
	}
	gt__remember(a, gor, slice, end_ns, site, 0, NULL);
}

static bool timer_woke(const struct gt_analysis *a, const struct gt__site *site, unsigned int cause, uint64_t by)
{
	if (site->class == GT__WAIT_SLEEP || cause == GT_CAUSE_TIMER)
		return true;
	/* In Go a timer's channel is sent to by nobody. */
	return a->go && !by && cause == GT_CAUSE_NONE &&
	       (site->class == GT__WAIT_RECEIVE || site->class == GT__WAIT_SELECT);
}

static void wait_ended(struct gt_analysis *a, struct gt__goroutine *gor, const struct gt__slice *slice, int64_t end_ns)
{
	int64_t ns = end_ns - slice->since_ns;
	struct gt__site *site = gt__wait_site(a, gor, slice);
	struct gt__blame *blame;

	if (!site)
		return;
	gt__stat_add(a->finishing ? &site->open : &site->done, ns, slice->since_ns, gor->g);
	GT__ADD(gor->wait_ns[site->class], ns);
	GT__ADD(gor->group->wait_ns[site->class], ns);
	gt__stat_add(&gor->group->reason[slice->reason], ns, slice->since_ns, gor->g);
	if (slice->what)
		gt__count_object(a, slice, ns, gor->g);
	if (a->finishing)
		return;
	blame = gt__blame_wait(a, gor, site, slice, end_ns, gor->by, false);
	gor->wait = site;
	gor->cause = slice->cause;
	if (gor->by) {
		gor->last_waker = gor->by;
		gor->last_site = site;
	}
	if (gor->usual == site)
		gor->usual_count++;
	else if (gor->usual_count == 0)
		gor->usual = site, gor->usual_count = 1;
	else
		gor->usual_count--;
	gor->woken_at = NULL;
	if (timer_woke(a, site, slice->cause, gor->by)) {
		site->timer_wakes++;
		GT__ADD(site->timer_wait_ns, ns);
		gor->woken_at = site;
	}
	gt__remember(a, gor, slice, end_ns, site, gor->by, blame);
}

static void goroutine_slice(
	struct gt_analysis *a, struct gt__goroutine *gor, const struct gt__slice *slice, int64_t end_ns)
{
	int64_t ns = end_ns - slice->since_ns;
	struct gt__site *site;

	gt__unwrap(a, gor, slice->stack);
	GT__ADD(gor->state_ns[slice->state], ns);
	gt__stat_add(&gor->group->state[slice->state], ns, slice->since_ns, gor->g);
	switch (slice->state) {
	case GT_STATE_RUNNING:
		gor->runs++;
		if (gor->woken_at)
			GT__ADD(gor->woken_at->timer_run_ns, ns);
		gor->woken_at = NULL;
		gor->by = 0;
		break;
	case GT_STATE_RUNNABLE:
		runnable_ended(a, gor, slice, end_ns);
		break;
	case GT_STATE_SYSCALL:
		site = gt__site_of(a, gor->group, GT_STATE_SYSCALL, 0, slice->stack, 0);
		if (!site)
			return;
		gt__stat_add(a->finishing ? &site->open : &site->done, ns, slice->since_ns, gor->g);
		gt__remember(a, gor, slice, end_ns, site, 0, NULL);
		gor->call = 0;
		break;
	case GT_STATE_WAITING:
		wait_ended(a, gor, slice, end_ns);
		break;
	default:
		break;
	}
	gor->all_busy_mark = a->all_busy_ns;
}

static void slot_slice(struct gt_analysis *a, uint64_t p, const struct gt__slice *slice, int64_t end_ns)
{
	struct gt__slot *slot;
	int64_t ns = end_ns - slice->since_ns;

	if (p == 0 || p > GT__SLOTS_MAX)
		return;
	slot = &a->slots[p - 1];
	if (slice->state == GT_STATE_RUNNING) {
		GT__ADD(slot->running_ns, ns);
		slot->runs++;
	} else {
		GT__ADD(slot->syscall_ns, ns);
	}
}

/* Before every M is complete nobody knows what else happened: counted is from there on. */
static void on_slice(void *user, const struct gt__row *row, int64_t end_ns)
{
	struct gt_analysis *a = user;
	struct gt__slice slice = row->open;

	if (end_ns < a->begin_ns || (end_ns == a->begin_ns && slice.since_ns < a->begin_ns))
		return;
	if (slice.since_ns < a->begin_ns)
		slice.since_ns = a->begin_ns;
	if (row->kind == GT_ROW_GOROUTINE && row->user)
		goroutine_slice(a, row->user, &slice, end_ns);
	else if (row->kind == GT_ROW_SLOT)
		slot_slice(a, row->id, &slice, end_ns);
	else if (row->kind == GT_ROW_THREAD && !a->finishing && a->cpu_threads.count)
		gt__cpu_slice(a, row, &slice, end_ns);
}

static struct gt__group *group_of(struct gt_analysis *a, uint64_t g, uint64_t start_pc)
{
	const uint64_t *placed = gt_map_find(&a->placed, g);

	return placed ? gt__group_named(a, gt_strings_get(&a->names, *placed, NULL)) : gt__group_of(a, start_pc);
}

static void on_goroutine(struct gt_analysis *a, struct gt__row *row)
{
	const struct gt_trace_goroutine *told = gt_trace_goroutine(a->trace, row->id);
	struct gt__goroutine *gor = row->user;
	uint64_t pc = row->start_pc ? row->start_pc : told ? told->start_pc : 0;

	if (gor) /* created again: a damaged trace */
		return;
	gor = gt__row_extra(row);
	memset(gor, 0, sizeof(*gor));
	gor->group = group_of(a, row->id, pc);
	if (!gor->group) {
		a->failed = true;
		return;
	}
	gor->g = row->id;
	gor->row = row;
	gor->parent = told ? told->parent : 0;
	gor->begin_ns = a->rows.now_ns;
	gor->main = (a->go && strcmp(gor->group->name, "runtime.main") == 0) || (gor->g == 1 && !gor->parent);
	gor->assist_ns = -1;
	gor->all_busy_mark = a->all_busy_ns;
	row->user = gor;
	gor->group->seen++;
	gor->group->live++;
	a->goroutines_seen++;
	if (++a->goroutines_live > a->goroutines_live_peak || gt__early(a, a->rows.now_ns))
		a->goroutines_live_peak = a->goroutines_live;
}

static void on_row(void *user, struct gt__row *row)
{
	struct gt_analysis *a = user;

	if (row->kind == GT_ROW_GOROUTINE)
		on_goroutine(a, row);
	else if (row->kind == GT_ROW_SLOT && row->id <= GT__SLOTS_MAX && row->id > a->slots_seen)
		a->slots_seen = row->id;
	if (row->kind != GT_ROW_THREAD)
		return;
	if (!row->user)
		row->user = calloc(1, sizeof(struct gt__thread));
	gt__cpu_bind(a, row);
}

static bool on_link(void *user, const struct gt__row *from, const struct gt__row *to, enum gt__link_kind kind,
	uint64_t link, int64_t now_ns, uint64_t site_pc)
{
	struct gt_analysis *a = user;

	if (!gt__early(a, now_ns))
		*(kind == GT_LINK_WAKE ? &a->wakes : &a->creates) += 1;
	return false;
}

static void tell_sum(struct gt_analysis *a, const struct gt__goroutine *gor)
{
	const int64_t *wait = gor->wait_ns;
	struct gt_goroutine_sum sum = {
		.g = gor->g,
		.parent = gor->parent,
		.start = gor->inside ? gor->inside : gor->group->name,
		.begin_ns = gor->begin_ns,
		.end_ns = a->rows.now_ns,
		.created = gor->created,
		.ended = !a->finishing,
		.last = "",
		.runs = gor->runs,
		.running_ns = gor->state_ns[GT_STATE_RUNNING],
		.runnable_ns = gor->state_ns[GT_STATE_RUNNABLE],
		.syscall_ns = gor->state_ns[GT_STATE_SYSCALL],
		.lock_ns = wait[GT__WAIT_LOCK],
		.chan_ns = wait[GT__WAIT_SEND] + wait[GT__WAIT_RECEIVE] + wait[GT__WAIT_SELECT] + wait[GT__WAIT_NEVER],
		.sync_ns = wait[GT__WAIT_SYNC],
		.network_ns = wait[GT__WAIT_NETWORK],
		.sleep_ns = wait[GT__WAIT_SLEEP],
		.gc_ns = wait[GT__WAIT_GC],
		.other_ns = wait[GT__WAIT_OTHER],
	};

	if (a->finishing)
		sum.last = gor->visit == GT_STATE_WAITING ? gt_reason_text(gor->cause) : gt_state_text(gor->visit);
	a->options.goroutine(a->options.user, &sum);
}

static void on_gone(void *user, struct gt__row *row)
{
	struct gt_analysis *a = user;
	struct gt__goroutine *gor = row->user;

	row->user = NULL;
	if (row->kind == GT_ROW_THREAD)
		free(gor);
	if (row->kind != GT_ROW_GOROUTINE || !gor)
		return;
	if (a->options.goroutine && (a->finishing || !gt__early(a, a->rows.now_ns)))
		tell_sum(a, gor);
	if (!a->finishing) {
		bool early = gt__early(a, a->rows.now_ns);

		gor->group->ended += !early;
		gor->group->live--;
		gor->group->seen -= early;
		a->goroutines_ended += !early;
		a->goroutines_live--;
		a->goroutines_seen -= early;
	}
	if (gor->past)
		a->past_count--;
	free(gor->past);
}

/* ---- what events tell beside ---- */

static void on_create(struct gt_analysis *a, const struct gt_event *event)
{
	struct gt__goroutine *gor = gt__goroutine_of(a, event->args[0]);

	if (!gor || gor->created)
		return;
	gor->created = true;
	gor->parent = event->args[2];
	gor->main = gor->main && !gor->parent;
	if (gt__early(a, event->time_ns))
		return;
	if (!gor->group->created++)
		gor->group->first_created_ns = event->time_ns;
	gor->group->last_created_ns = event->time_ns;
	a->goroutines_created++;
}

/* A P that was given up and is not idle is on its way, or gone for good: GOMAXPROCS may change. */
static void set_presence(struct gt_analysis *a, uint64_t p, enum gt__presence presence)
{
	struct gt__slot *slot;

	if (!p || p > GT__SLOTS_MAX)
		return;
	slot = &a->slots[p - 1];
	a->present -= slot->presence != GT__P_GONE;
	a->present += presence != GT__P_GONE;
	slot->presence = (uint8_t)presence;
	if (p > a->slots_seen)
		a->slots_seen = p;
}

static void after_event(struct gt_analysis *a, const struct gt_event *event)
{
	switch (event->kind) {
	case GT_EV_GO_CREATE:
		on_create(a, event);
		break;
	case GT_EV_SYSCALL_INFO:
	case GT_EV_SYSCALL_LONG:
	case GT_EV_SYSCALL_RESULT:
		gt__on_call(a, event);
		break;
	case GT_EV_ALLOC:
	case GT_EV_ALLOC_TYPE:
		if (!gt__early(a, event->time_ns))
			gt__on_alloc(a, event);
		break;
	case GT_EV_HEAP:
		a->heap_last = event->args[0];
		if (a->heap_last > a->heap_peak || gt__early(a, event->time_ns))
			a->heap_peak = a->heap_last;
		break;
	case GT_EV_HEAP_GOAL:
		a->heap_goal = event->args[0];
		break;
	case GT_EV_GO_RUN:
		set_presence(a, event->args[2], GT__P_HELD);
		break;
	case GT_EV_P_START:
		set_presence(a, event->args[0], GT__P_HELD);
		break;
	case GT_EV_P_STOP:
		/* Not when it has been told idle already. */
		if (event->args[0] && event->args[0] <= GT__SLOTS_MAX &&
			a->slots[event->args[0] - 1].presence == GT__P_HELD)
			set_presence(a, event->args[0], GT__P_GONE);
		break;
	case GT_EV_P_IDLE:
		set_presence(a, event->args[0], GT__P_IDLE);
		break;
	default:
		if (event->kind >= GT_EV_GC_BEGIN && event->kind <= GT_EV_STACK_MEMORY)
			gt__on_gc(a, event);
		else if (gt_m_is_kernel(event->m) || (event->kind >= GT_EV_CPU_IN && event->kind <= GT_EV_THROTTLED))
			gt__on_kernel(a, event);
		break;
	}
}

static void count_busy(struct gt_analysis *a, int64_t now_ns)
{
	uint64_t procs = a->procs_told ? a->procs : a->present;

	if (procs && a->rows.slots_taken >= procs && now_ns > a->all_busy_at) {
		GT__ADD(a->all_busy_ns, now_ns - a->all_busy_at);
		GT__ADD(a->busy_by_procs[procs], now_ns - a->all_busy_at);
	}
	if (now_ns > a->all_busy_at)
		a->all_busy_at = now_ns;
}

static void begin_at(struct gt_analysis *a, int64_t first_ns)
{
	struct gt_trace_info info;

	gt_trace_info(a->trace, &info);
	a->begin_ns = first_ns;
	if (info.complete_ns > first_ns && info.complete_ns < GT__TIME_MAX)
		a->begin_ns = a->rows.whole_ns = info.complete_ns;
	if (a->options.from_ns > a->begin_ns)
		a->begin_ns = a->options.from_ns;
	a->rows.edge_ns = a->begin_ns;
	a->all_busy_at = a->begin_ns;
}

static int read_events(struct gt_analysis *a)
{
	struct gt_event event;
	unsigned int since_asked = 0;
	int ret = 0;

	while (ret == 0 && !a->failed && gt_trace_next(a->trace, &event) > 0) {
		if (event.time_ns > GT__TIME_MAX)
			event.time_ns = GT__TIME_MAX;
		if (event.time_ns < 0)
			event.time_ns = 0;
		if (!a->begun)
			begin_at(a, event.time_ns);
		a->begun = true;
		if (a->options.stopped && ++since_asked % ASK_EVENTS == 0 && a->options.stopped(a->options.user))
			return -ECANCELED;
		if (a->options.to_ns && event.time_ns >= a->options.to_ns) {
			a->rows.now_ns = a->end_ns = a->options.to_ns;
			break;
		}
		a->events += !gt__early(a, event.time_ns);
		a->by_kind[event.kind]++;
		count_busy(a, event.time_ns);
		if (event.kind == GT_EV_GO_READY) {
			struct gt__goroutine *gor = gt__goroutine_of(a, event.args[0]);

			if (gor)
				gor->by = event.args[2] != event.args[0] ? event.args[2] : 0;
		}
		ret = gt__rows_event(&a->rows, &event);
		after_event(a, &event);
		a->end_ns = a->last_ns = event.time_ns;
	}
	/* What was open then stood still. */
	if (a->begun) {
		gt__rows_until(&a->rows, a->trace, a->options.to_ns);
		a->end_ns = a->rows.now_ns;
	}
	return ret < 0 || a->failed ? -ENOMEM : 0;
}

/* What is open at the end is told in the rows' own order. */
static void finish(struct gt_analysis *a)
{
	struct gt__goroutine *gor;
	struct gt__row *row;
	size_t at = 0;

	count_busy(a, a->rows.now_ns);
	if (a->gc_since >= 0)
		GT__ADD(a->gc_ns, a->rows.now_ns - a->gc_since);
	/* Waits that have not ended have no site yet. */
	while ((row = gt__ids_each(&a->rows.goroutines, &at)))
		if (row->user && row->open.state == GT_STATE_WAITING) {
			gt__unwrap(a, row->user, row->open.stack);
			gt__wait_site(a, row->user, &row->open);
		}
	gt__show_groups(a);
	gt__find_stuck(a);
	a->finishing = true;
	gt__cpu_finish(a);
	for (at = 0; (row = gt__ids_each(&a->rows.goroutines, &at));) {
		gor = row->user;
		if (!gor)
			continue;
		/* Told to the CSV when the row has forgotten it. */
		gor->visit = row->open.state;
		gor->cause = row->open.reason;
	}
	gt__rows_finish(&a->rows);
}

static struct gt_analysis *new_analysis(struct gt_trace *trace, const struct gt_analysis_options *options)
{
	struct gt_analysis *a = calloc(1, sizeof(*a));
	const char *runtime = gt_trace_meta(trace, "runtime"), *procs = gt_trace_meta(trace, "gomaxprocs");
	struct gt__rows_user user = {a, on_row, on_slice, on_link, on_gone};

	if (!a)
		return NULL;
	a->trace = trace;
	a->names.bytes_max = (size_t)64 << 20;
	a->slots = calloc(GT__SLOTS_MAX, sizeof(*a->slots));
	a->busy_by_procs = calloc(GT__SLOTS_MAX + 1, sizeof(*a->busy_by_procs));
	if (options)
		a->options = *options;
	a->go = !runtime || strcmp(runtime, "gtrace") != 0;
	if (procs)
		a->procs = strtoul(procs, NULL, 10) <= GT__SLOTS_MAX ? strtoul(procs, NULL, 10) : 0;
	a->gc_since = a->stw_since = a->sweep_since = -1;
	gt__rows_init(&a->rows, &user, 0);
	a->rows.extra = sizeof(struct gt__goroutine);
	if (a->slots && a->busy_by_procs && gt__cpu_init(a) == 0)
		return a;
	gt_analysis_free(a);
	return NULL;
}

/* Some goroutines of one wrapper are for other functions than others are. */
static bool is_mixed(const struct gt_analysis *a)
{
	for (size_t i = 0; i < a->group_count; i++)
		if (a->groups[i]->mixed)
			return true;
	return false;
}

/* What a goroutine is for is known with its first stack, when much was counted already: with that knowledge all is read again. */
static struct gt_analysis *with_places(struct gt_analysis *before)
{
	struct gt_analysis *a = new_analysis(before->trace, &before->options);
	uint64_t g, value;
	size_t at = 0;

	if (!a)
		return NULL;
	a->names = before->names;
	before->names = (struct gt_strings){0};
	while (gt_map_next(&before->insides, &at, &g, &value))
		if (before->groups[value >> 32]->mixed && gt_map_put(&a->placed, g, value & UINT32_MAX) < 0)
			a->failed = true;
	return a;
}

int gt_analysis_run(struct gt_trace *trace, const struct gt_analysis_options *options, struct gt_analysis **out,
	struct gt_error *err)
{
	struct gt_analysis *a = new_analysis(trace, options);
	struct gt_trace_info info;
	int ret;

	gt_trace_info(trace, &info);
	if (!a)
		ret = -ENOMEM;
	else if (info.window)
		ret = gt_trace_scan(trace); /* since when each M is complete may stand at the end; a window is small */
	else
		ret = gt_trace_rewind(trace);
	if (ret >= 0)
		ret = read_events(a);
	if (ret >= 0)
		finish(a);
	/* Who takes each goroutine by itself has been told its function already. */
	if (ret >= 0 && !a->failed && !a->options.goroutine && is_mixed(a)) {
		struct gt_analysis *before = a;

		a = with_places(before);
		gt_analysis_free(before);
		ret = a ? gt_trace_rewind(trace) : -ENOMEM;
		if (ret >= 0)
			ret = read_events(a);
		if (ret >= 0)
			finish(a);
	}
	if (ret >= 0 && !a->failed)
		gt__findings(a);
	if (ret < 0 || a->failed) {
		gt_analysis_free(a);
		return ret == -ECANCELED ? gt_fail(err, ECANCELED, "stopped") : gt_fail(err, ENOMEM, "out of memory");
	}
	*out = a;
	return 0;
}

static void free_all(struct gt__map *map)
{
	size_t at = 0;
	void *value;

	while ((value = gt__map_each(map, &at)))
		free(value);
	gt__map_free(map);
}

void gt_analysis_free(struct gt_analysis *a)
{
	struct gt__object *object;
	struct gt__blame *blame;
	struct gt__row *row;
	size_t at = 0;

	if (!a)
		return;
	a->options.goroutine = NULL;
	for (; (row = gt__ids_each(&a->rows.goroutines, &at));)
		on_gone(a, row);
	for (at = 0; (row = gt__map_each(&a->rows.threads, &at));)
		on_gone(a, row);
	gt__rows_free(&a->rows);
	for (at = 0; (object = gt__map_each(&a->objects, &at));)
		free(object->name);
	for (at = 0; (blame = gt__map_each(&a->blames, &at));)
		free(blame->ring);
	free_all(&a->objects);
	free_all(&a->sites);
	free_all(&a->blames);
	free_all(&a->allocs);
	free_all(&a->alloc_types);
	gt__map_free(&a->stack_names);
	gt_map_free(&a->insides);
	gt_map_free(&a->placed);
	gt__map_free(&a->groups_by_pc);
	gt__map_free(&a->groups_by_name);
	for (size_t i = 0; i < a->group_count; i++)
		free(a->groups[i]);
	free(a->groups);
	gt_strings_free(&a->names);
	gt__cpu_free(a);
	free(a->slots);
	free(a->busy_by_procs);
	for (size_t i = 0; i < a->finding_count; i++) {
		free(a->findings[i].title);
		free(a->findings[i].detail);
	}
	free(a);
}
