/* perfetto_gc.c - the garbage collector's cycles and the stops of the world as tracks of their own; counters. */
#include "format/convert/perfetto_internal.h"

static const struct track {
	uint8_t track, parent;
	uint8_t rank;
	const char *name, *unit, *what;
} tracks[] = {
	{TRACK_GOROUTINES, 0, 0, "Goroutines", NULL, "how many goroutines are in each state"},
	{TRACK_RUNNING, TRACK_GOROUTINES, 0, "running", "goroutines", NULL},
	{TRACK_RUNNABLE, TRACK_GOROUTINES, 1, "runnable", "goroutines",
		"goroutines that could run and wait for a P: the length of all run queues"},
	{TRACK_WAITING, TRACK_GOROUTINES, 2, "waiting", "goroutines", NULL},
	{TRACK_SYSCALL, TRACK_GOROUTINES, 3, "syscall", "goroutines", NULL},
	{TRACK_SLOTS, 0, 0, "Ps", NULL, NULL},
	{TRACK_SLOTS_RUNNING, TRACK_SLOTS, 0, "Ps running", "Ps", "Ps on which a goroutine runs"},
	{TRACK_SLOTS_ALL, TRACK_SLOTS, 1, "GOMAXPROCS", "Ps", NULL},
	{TRACK_HEAP, 0, 0, "Heap", NULL, NULL},
	{TRACK_HEAP_LIVE, TRACK_HEAP, 0, "heap live", "bytes", NULL},
	{TRACK_HEAP_GOAL, TRACK_HEAP, 1, "heap goal", "bytes",
		"where the collector's next cycle is to end; 0: it is off"},
	{TRACK_HEAP_STACKS, TRACK_HEAP, 2, "goroutine stacks", "bytes", NULL},
	{TRACK_HEAP_OBJECTS, TRACK_HEAP, 3, "heap objects", "objects", NULL},
	{TRACK_GC, 0, 0, "Garbage collector", NULL, NULL},
	{TRACK_GC_MARK, TRACK_GC, 0, "mark phase", NULL, NULL},
	{TRACK_GC_STW, TRACK_GC, 1, "stop the world", NULL, NULL},
};

/* When it is first used: a picture without a heap has no row for it. */
static __attribute__((noinline)) void tell_track(struct gt__perfetto *pf, unsigned int id)
{
	const struct track *track = tracks;

	while (track->track != id)
		track++;
	if (track->parent && !(pf->told >> track->parent & 1))
		tell_track(pf, track->parent);
	pf->told |= UINT64_C(1) << id;
	gt__pf_put_track(pf, id, track->parent, track->name, track->unit, track->rank, track->what);
}

static inline void need_track(struct gt__perfetto *pf, unsigned int id)
{
	if (__builtin_expect(!(pf->told >> id & 1), 0))
		tell_track(pf, id);
}

/* ---- counters ---- */

static inline void put_counter(
	struct gt__perfetto *pf, int64_t time_ns, unsigned int track, uint64_t *shown, uint64_t value)
{
	if (*shown == value)
		return;
	*shown = value;
	need_track(pf, track);
	pf->totals.counters++;
	/* It has a sign there. */
	value = value > INT64_MAX ? INT64_MAX : value;
	gt__pf_end(pf, gt_pb_number(gt__pf_begin(pf, time_ns, EVENT_COUNTER, track), 30, value));
}

void gt__pf_counters(struct gt__perfetto *pf, int64_t time_ns)
{
	const uint64_t *counts = pf->rows.counts;

	put_counter(pf, time_ns, TRACK_RUNNING, &pf->shown[GT_STATE_RUNNING], counts[GT_STATE_RUNNING]);
	put_counter(pf, time_ns, TRACK_RUNNABLE, &pf->shown[GT_STATE_RUNNABLE], counts[GT_STATE_RUNNABLE]);
	put_counter(pf, time_ns, TRACK_WAITING, &pf->shown[GT_STATE_WAITING], counts[GT_STATE_WAITING]);
	put_counter(pf, time_ns, TRACK_SYSCALL, &pf->shown[GT_STATE_SYSCALL], counts[GT_STATE_SYSCALL]);
	put_counter(pf, time_ns, TRACK_SLOTS_RUNNING, &pf->shown_slots, pf->rows.slots_running);
	put_counter(pf, time_ns, TRACK_HEAP_LIVE, &pf->live.shown, pf->live.value);
	put_counter(pf, time_ns, TRACK_HEAP_GOAL, &pf->goal.shown, pf->goal.value);
	put_counter(pf, time_ns, TRACK_HEAP_STACKS, &pf->stacks.shown, pf->stacks.value);
	put_counter(pf, time_ns, TRACK_HEAP_OBJECTS, &pf->objects.shown, pf->objects.value);
	put_counter(pf, time_ns, TRACK_SLOTS_ALL, &pf->slots.shown, pf->slots.value);
}

/* ---- cycles ---- */

static void gc_begin(struct gt__perfetto *pf, int64_t time_ns)
{
	struct gt__intern *intern = &pf->intern;
	uint64_t name = gt__intern_name(intern, GT_NAME_GC), stack = gt__pf_stack(pf, pf->gc.stack);
	char *to;

	need_track(pf, TRACK_GC_MARK);
	gt__intern_category(intern, GT_CATEGORY_GC);
	gt__intern_key(intern, GT_KEY_CYCLE);
	gt__intern_key(intern, GT_KEY_BY);
	to = gt__pf_named(gt__pf_begin(pf, time_ns, EVENT_BEGIN, TRACK_GC_MARK), name, GT_CATEGORY_GC);
	if (stack)
		to = gt_pb_number(to, 56, stack);
	to = gt__pf_number(to, GT_KEY_CYCLE, pf->gc.cycle);
	if (pf->gc.g)
		to = gt__pf_number(to, GT_KEY_BY, pf->gc.g);
	gt__pf_end(pf, to);
}

static void gc_end(struct gt__perfetto *pf)
{
	if (pf->gc.open && !pf->quiet)
		gt__pf_slice_end(pf, pf->rows.now_ns, TRACK_GC_MARK);
	pf->gc.open = false;
}

static void stw_begin(struct gt__perfetto *pf, int64_t time_ns)
{
	struct gt__intern *intern = &pf->intern;
	uint64_t name = gt__intern_string(intern, pf->stw.kind), stack = gt__pf_stack(pf, pf->stw.stack);
	char *to;

	need_track(pf, TRACK_GC_STW);
	if (!name)
		name = gt__intern_name(intern, GT_NAME_STW);
	gt__intern_category(intern, GT_CATEGORY_STW);
	gt__intern_key(intern, GT_KEY_BY);
	to = gt__pf_named(gt__pf_begin(pf, time_ns, EVENT_BEGIN, TRACK_GC_STW), name, GT_CATEGORY_STW);
	if (stack)
		to = gt_pb_number(to, 56, stack);
	if (pf->stw.g)
		to = gt__pf_number(to, GT_KEY_BY, pf->stw.g);
	gt__pf_end(pf, to);
}

/* Inside of it: until here it waited for the Ps. */
static void stw_stopped(struct gt__perfetto *pf, int64_t time_ns)
{
	uint64_t name = gt__intern_name(&pf->intern, GT_NAME_STOPPED);
	char *to;

	gt__intern_category(&pf->intern, GT_CATEGORY_STW);
	to = gt__pf_begin(pf, time_ns, EVENT_BEGIN, TRACK_GC_STW);
	gt__pf_end(pf, gt__pf_named(to, name, GT_CATEGORY_STW));
}

static void stw_end(struct gt__perfetto *pf)
{
	if (pf->stw.open && !pf->quiet) {
		if (pf->stw.stopped)
			gt__pf_slice_end(pf, pf->rows.now_ns, TRACK_GC_STW);
		gt__pf_slice_end(pf, pf->rows.now_ns, TRACK_GC_STW);
	}
	pf->stw.open = pf->stw.stopped = false;
}

void gt__pf_on_gc(struct gt__perfetto *pf, const struct gt_event *event)
{
	const uint64_t *args = event->args;
	int64_t now_ns = pf->rows.now_ns;

	switch (event->kind) {
	case GT_EV_HEAP:
		pf->live.value = args[0];
		pf->objects.value = args[1];
		break;
	case GT_EV_HEAP_GOAL:
		pf->goal.value = args[0];
		break;
	case GT_EV_STACK_MEMORY:
		pf->stacks.value = args[0];
		break;
	case GT_EV_PROCS:
		pf->slots.value = args[0];
		break;
	case GT_EV_GC_BEGIN:
		gc_end(pf);
		pf->gc.g = args[0];
		pf->gc.cycle = args[1];
		pf->gc.stack = args[2];
		pf->gc.open = true;
		if (!pf->quiet)
			gc_begin(pf, now_ns);
		break;
	case GT_EV_GC_END:
		gc_end(pf);
		break;
	case GT_EV_STW_BEGIN:
		stw_end(pf);
		pf->stw.g = args[0];
		pf->stw.kind = args[1];
		pf->stw.stack = args[2];
		pf->stw.open = true;
		if (!pf->quiet)
			stw_begin(pf, now_ns);
		break;
	case GT_EV_STW_STOPPED:
		if (!pf->stw.open || pf->stw.stopped)
			break;
		pf->stw.stopped = true;
		if (!pf->quiet)
			stw_stopped(pf, now_ns);
		break;
	case GT_EV_STW_END:
		stw_end(pf);
		break;
	default:
		break;
	}
}

void gt__pf_gc_resume(struct gt__perfetto *pf)
{
	if (pf->gc.open)
		gc_begin(pf, pf->from_ns);
	if (pf->stw.open)
		stw_begin(pf, pf->from_ns);
	if (pf->stw.stopped)
		stw_stopped(pf, pf->from_ns);
}

void gt__pf_gc_finish(struct gt__perfetto *pf)
{
	gc_end(pf);
	stw_end(pf);
}
