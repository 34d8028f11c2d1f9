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
	if (event->kind == GT_EV_SYSCALL_INFO) {
		thread->number = event->args[1];
		thread->since_ns = event->time_ns;
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

void gt__on_alloc(struct gt_analysis *a, const struct gt_event *event)
{
	struct gt__alloc *alloc = gt__map_get(&a->allocs, event->args[4]);

	a->alloc_bytes += event->args[3];
	if (!alloc) {
		uint64_t stack = a->alloc_count < GT__SITES_MAX ? event->args[4] : 0;

		alloc = gt__map_get(&a->allocs, stack);
		if (!alloc) {
			alloc = calloc(1, sizeof(*alloc));
			if (!alloc || gt__map_put(&a->allocs, stack, alloc) < 0) {
				free(alloc);
				a->failed = true;
				return;
			}
			alloc->stack = stack;
			a->alloc_count++;
		}
	}
	alloc->count++;
	alloc->bytes += event->args[2];
	alloc->weight += event->args[3];
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
