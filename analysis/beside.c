/* beside.c - what events tell beside the states of goroutines: calls, the collector, allocations. */
#include "analysis/state.h"

#include <stdlib.h>

/* What began before the part that is asked for is counted from there. */
static int64_t since(const struct gt_analysis *a, int64_t time_ns)
{
	return gt__early(a, time_ns) ? a->options.from_ns : time_ns;
}

void gt__on_call(struct gt_analysis *a, const struct gt_event *event)
{
	struct gt__row *row = gt__rows_thread(&a->rows, event->m);
	struct gt__goroutine *gor = event->args[0] ? gt__goroutine_of(a, event->args[0]) : NULL;
	struct gt__thread *thread = row ? row->user : NULL;
	struct gt__call *call;

	if (!thread)
		return;
	if (event->kind == GT_EV_SYSCALL_INFO || event->kind == GT_EV_SYSCALL_LONG) {
		thread->number = event->args[1];
		thread->since_ns = event->time_ns;
		if (event->kind == GT_EV_SYSCALL_LONG)
			thread->since_ns -= event->args[4] < INT64_MAX / 2 ? (int64_t)event->args[4] : 0;
		thread->g = event->args[0];
		thread->inside = true;
		if (gor)
			gor->call = event->args[1] + 1;
		return;
	}
	if (!thread->inside || thread->number != event->args[1])
		return;
	thread->inside = false;
	if (gt__early(a, event->time_ns))
		return;
	call = event->args[1] < GT__CALLS ? &a->calls[event->args[1]] : &a->calls_other;
	gt__stat_add(
		&call->all, event->time_ns - since(a, thread->since_ns), since(a, thread->since_ns), event->args[0]);
	call->errors += event->args[3] > 0;
}

static void on_stw_end(struct gt_analysis *a, const struct gt_event *event)
{
	size_t i;

	if (a->stw_since < 0)
		return;
	a->stw_since = since(a, a->stw_since);
	gt__stat_add(&a->stw, event->time_ns - a->stw_since, a->stw_since, a->stw_g);
	for (i = 0; i < a->stw_count && a->stw_kinds[i].kind != a->stw_kind; i++)
		;
	if (i == a->stw_count && i < GT__STW_KINDS)
		a->stw_kinds[a->stw_count++].kind = a->stw_kind;
	if (i < GT__STW_KINDS)
		gt__stat_add(&a->stw_kinds[i].all, event->time_ns - a->stw_since, a->stw_since, a->stw_g);
	a->stw_since = -1;
}

static void on_assist(struct gt_analysis *a, const struct gt_event *event)
{
	struct gt__goroutine *gor = gt__goroutine_of(a, event->args[0]);

	if (!gor)
		return;
	if (event->kind == GT_EV_ASSIST_BEGIN) {
		gor->assist_ns = event->time_ns;
		gor->assist_stack = event->args[1];
	} else if (gor->assist_ns >= 0 && gt__early(a, event->time_ns)) {
		gor->assist_ns = -1;
	} else if (gor->assist_ns >= 0) {
		gor->assist_ns = since(a, gor->assist_ns);
		gt__stat_add(&a->assist, event->time_ns - gor->assist_ns, gor->assist_ns, gor->g);
		gt__blame_assist(a, gor, gor->assist_stack, gor->assist_ns, event->time_ns);
		gor->assist_ns = -1;
	}
}

/* Those of which there are too many are 0's. */
static void add_alloc(struct gt_analysis *a, struct gt__map *of, uint64_t key, uint64_t bytes, uint64_t weight)
{
	struct gt__alloc *alloc = gt__map_get(of, key);

	if (!alloc && of->count >= GT__SITES_MAX)
		alloc = gt__map_get(of, key = 0);
	if (!alloc) {
		alloc = gt__made(a, of, key, sizeof(*alloc));
		if (!alloc)
			return;
		alloc->key = key;
	}
	alloc->count++;
	alloc->bytes += bytes;
	alloc->weight += weight;
}

void gt__on_alloc(struct gt_analysis *a, const struct gt_event *event)
{
	const uint64_t *args = event->args;

	if (event->kind == GT_EV_ALLOC_TYPE) {
		/* At once behind its Alloc, at the same time; another M's may come between in the very same ns. */
		if (a->alloc_last.g == args[0] && a->alloc_last.weight)
			add_alloc(a, &a->alloc_types, args[1], a->alloc_last.bytes, a->alloc_last.weight);
		a->alloc_last.weight = 0;
		return;
	}
	a->alloc_count++;
	a->alloc_sampled |= args[3] != args[2];
	a->alloc_bytes += args[3];
	add_alloc(a, &a->allocs, args[4], args[2], args[3]);
	a->alloc_last.g = args[0];
	a->alloc_last.bytes = args[2];
	a->alloc_last.weight = args[3];
}

void gt__on_gc(struct gt_analysis *a, const struct gt_event *event)
{
	switch (event->kind) {
	case GT_EV_GC_BEGIN:
		a->gc_cycles += !gt__early(a, event->time_ns);
		a->gc_since = since(a, event->time_ns);
		break;
	case GT_EV_GC_END:
		if (a->gc_since >= 0 && event->time_ns > a->gc_since)
			GT__ADD(a->gc_ns, event->time_ns - a->gc_since);
		a->gc_since = -1;
		break;
	case GT_EV_STW_BEGIN:
		a->stw_since = event->time_ns;
		a->stw_g = event->args[0];
		a->stw_kind = event->args[1];
		break;
	case GT_EV_STW_END:
		if (gt__early(a, event->time_ns))
			a->stw_since = -1;
		on_stw_end(a, event);
		break;
	case GT_EV_ASSIST_BEGIN:
	case GT_EV_ASSIST_END:
		on_assist(a, event);
		break;
	case GT_EV_SWEEP_END:
		if (gt__early(a, event->time_ns))
			break;
		a->sweep.count++;
		a->swept += event->args[1];
		a->reclaimed += event->args[2];
		break;
	case GT_EV_PROCS:
		if (event->args[0] && event->args[0] <= GT__SLOTS_MAX) {
			a->procs = event->args[0];
			a->procs_told = true;
		}
		break;
	default:
		break;
	}
}
