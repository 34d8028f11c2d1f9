/* perfetto_rows.c - names of rows, goroutines' states as a kernel's threads have them, slices below them, arrows between them. */
#include "format/convert/json.h"
#include "format/convert/perfetto_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLAB_STRIPS 256

struct slab {
	struct slab *next;
	struct gt__pf_strip strips[SLAB_STRIPS];
};

/* ---- names ---- */

void gt__pf_put_track(struct gt__perfetto *pf, uint64_t track, uint64_t parent, const char *name, const char *unit,
	uint32_t rank, const char *what)
{
	char *to = gt__pf_open(pf), *inner;

	to = gt_pb_number(to, PACKET_SEQUENCE, GT__INTERN_SEQUENCE);
	inner = to = gt_pb_open(to, PACKET_TRACK);
	to = gt_pb_number(to, 1, track);
	to = gt__pb_text(to, 2, name, GT__PF_TEXT_MAX);
	if (parent)
		to = gt_pb_number(to, 5, parent);
	if (unit) {
		char *counter = to = gt_pb_open(to, 8);

		if (strcmp(unit, "bytes") == 0)
			to = gt_pb_number(to, 3, 3);
		else
			to = gt_pb_bytes(to, 6, unit, strlen(unit));
		if (parent)
			to = gt_pb_bytes(to, 7, unit, strlen(unit));
		gt_pb_close(counter, to);
	} else if (!parent) {
		to = gt_pb_number(to, 11, 3);
	}
	if (parent)
		to = gt_pb_number(to, 12, rank);
	if (what)
		to = gt__pb_text(to, 14, what, GT__PF_TEXT_MAX);
	gt_pb_close(inner, to);
	gt__pf_close(pf, to);
}

static char *put_process(char *to, uint64_t pid, const char *name)
{
	char *inner = to = gt_pb_open(to, 1);

	to = gt_pb_number(to, 1, pid);
	to = gt_pb_number(to, 2, 0);
	return gt_pb_close(inner, gt__pb_text(to, 3, name, GT__INTERN_TEXT_MAX));
}

/* The process that stands for all goroutines of this function (of one text in the trace); @fresh when it has to be told of. */
static uint32_t process_of(struct gt__perfetto *pf, const char *function, bool *fresh)
{
	uintptr_t known = (uintptr_t)gt__map_get(&pf->pids, (uintptr_t)function);

	*fresh = !known;
	if (known)
		return (uint32_t)known;
	known = pf->pid_next;
	if (gt__map_put(&pf->pids, (uintptr_t)function, (void *)known) < 0) {
		pf->failed = true;
		return GT_PERFETTO_PID_FIRST;
	}
	/* Hostile files only have so many functions; they share the last process. */
	if (pf->pid_next < INT32_MAX)
		pf->pid_next++;
	return (uint32_t)known;
}

/* A process has a thread of its pid, which must be no goroutine; and ids have a sign in viewers. */
static uint64_t tid_of(uint64_t g)
{
	bool taken = g >= GT_PERFETTO_PID_FIRST && g <= INT32_MAX;

	return taken || g > INT64_MAX ? (g >> 1 ^ g << 63 >> 2) | UINT64_C(1) << 62 : g;
}

static char *put_row_name(char *to, uint32_t field, uint64_t g, const char *function)
{
	char text[GT__INTERN_TEXT_MAX + 64];

	snprintf(text, sizeof(text), function ? "G%" PRIu64 " %.*s" : "G%" PRIu64, g, GT__INTERN_TEXT_MAX, function);
	return gt__pb_text(to, field, text, GT__INTERN_TEXT_MAX + 24);
}

static void name_goroutine(struct gt__perfetto *pf, struct gt__row *row, struct gt__pf_strip *strip)
{
	const char *function = row->label;
	char *to, *tree, *inner;
	uint32_t pid;
	bool fresh;

	strip->told = true;
	row->number = pf->track_next++;
	pid = process_of(pf, function, &fresh);
	to = gt_pb_number(gt__pf_open(pf), PACKET_SEQUENCE, GT__INTERN_SEQUENCE);
	tree = to = gt_pb_open(to, PACKET_PROCESSES);
	if (fresh)
		to = put_process(to, pid, function ? function : "goroutines");
	inner = to = gt_pb_open(to, 2);
	to = gt_pb_number(to, 1, strip->tid);
	to = gt_pb_number(to, 2, pid);
	to = gt_pb_close(inner, put_row_name(to, 3, row->id, function));
	gt_pb_close(tree, to);
	gt__pf_close(pf, to);

	to = gt_pb_number(gt__pf_open(pf), PACKET_SEQUENCE, GT__INTERN_SEQUENCE);
	tree = to = gt_pb_open(to, PACKET_TRACK);
	to = gt_pb_number(to, 1, row->number);
	inner = to = gt_pb_open(to, 4);
	to = gt_pb_number(to, 1, pid);
	to = gt_pb_number(to, 2, strip->tid);
	to = gt_pb_close(inner, put_row_name(to, 5, row->id, function));
	gt_pb_close(tree, to);
	gt__pf_close(pf, to);
}

static struct gt__pf_strip *strip_new(struct gt__perfetto *pf)
{
	struct gt__pf_strip *strip = pf->spare;

	if (!strip) {
		struct slab *slab = malloc(sizeof(*slab));

		if (!slab) {
			pf->failed = true;
			return NULL;
		}
		slab->next = pf->strip_slabs;
		pf->strip_slabs = slab;
		for (size_t i = 0; i < SLAB_STRIPS; i++) {
			slab->strips[i].regions = NULL;
			slab->strips[i].next = pf->spare;
			pf->spare = &slab->strips[i];
		}
		strip = pf->spare;
	}
	pf->spare = strip->next;
	*strip = (struct gt__pf_strip){0};
	return strip;
}

/* A goroutine is there, or its start function is known now; it gets its name with the first thing that is shown of it. */
static void on_goroutine(struct gt__perfetto *pf, struct gt__row *row)
{
	const struct gt_trace_goroutine *known = row->start_pc ? NULL : gt_trace_goroutine(pf->trace, row->id);
	struct gt__pf_strip *strip = row->user;
	const char *function;

	/* What it was first known as stays. */
	if (strip && strip->told)
		return;
	if (!strip)
		strip = row->user = strip_new(pf);
	if (!strip)
		return;
	if (known)
		row->start_pc = known->start_pc;
	strip->tid = tid_of(row->id);
	/* In a damaged trace an id comes again: what is known of it since the trace's begin was its first life. */
	strip->min_ns = pf->from_ns;
	if (pf->ended[row->id % GT__PF_ENDED].g == row->id && pf->ended[row->id % GT__PF_ENDED].end_ns > strip->min_ns)
		strip->min_ns = pf->ended[row->id % GT__PF_ENDED].end_ns;
	function = gt__insides_function(&pf->insides, pf->trace, row->id, row->start_pc, pf->totals.events + 1);
	row->label = function && *function ? function : NULL;
	strip->hidden = pf->options->shown && !pf->options->shown(pf->options->shown_user, row->id, row->label);
}

struct gt__pf_strip *gt__pf_strip(struct gt__perfetto *pf, struct gt__row *row)
{
	struct gt__pf_strip *strip = row ? row->user : NULL;

	if (!strip || strip->hidden)
		return NULL;
	if (__builtin_expect(!strip->told, 0))
		name_goroutine(pf, row, strip);
	return strip;
}

static void put_tid_track(struct gt__perfetto *pf, uint32_t number, uint64_t tid, const char *name)
{
	char *to, *track, *inner;

	to = gt_pb_number(gt__pf_open(pf), PACKET_SEQUENCE, GT__PF_THREADS);
	to = gt_pb_number(to, PACKET_MACHINE, GT__PF_MACHINE);
	track = to = gt_pb_open(to, PACKET_TRACK);
	to = gt_pb_number(to, 1, number);
	inner = to = gt_pb_open(to, 4);
	to = gt_pb_number(to, 1, pf->thread_pid);
	to = gt_pb_number(to, 2, gt__pf_shown_tid(pf, tid));
	to = gt_pb_close(inner, gt__pb_text(to, 5, name, GT__INTERN_TEXT_MAX + 24));
	gt_pb_close(track, to);
	gt__pf_close(pf, to);
}

uint32_t gt__pf_tid_track(struct gt__perfetto *pf, uint64_t tid, const char *name)
{
	uintptr_t known = (uintptr_t)gt__map_get(&pf->tid_tracks, tid);

	if (known)
		return (uint32_t)known;
	known = pf->track_next++;
	if (gt__map_put(&pf->tid_tracks, tid, (void *)known) < 0)
		pf->failed = true;
	put_tid_track(pf, (uint32_t)known, tid, name);
	return (uint32_t)known;
}
/* When something is to be shown there, as its tid may come late. */
static uint32_t thread_track(struct gt__perfetto *pf, const struct gt__row *row)
{
	const struct gt_trace_thread *thread = gt_trace_thread(pf->trace, row->id);
	uint64_t tid = row->start_pc ? row->start_pc : thread ? thread->tid : 0;
	char text[GT__INTERN_TEXT_MAX + 64];
	uint32_t number;
	bool known;

	if (!tid || tid > GT__PF_PID_REAL_MAX)
		tid = GT__PF_PID_REAL_MAX + 1 + row->id % (UINT32_C(1) << 30);
	snprintf(text, sizeof(text), "M%" PRIu64 "%s%.*s", row->id, thread && thread->name && *thread->name ? " " : "",
		GT__INTERN_TEXT_MAX, thread && thread->name ? thread->name : "");
	known = gt__map_get(&pf->tid_tracks, tid);
	number = gt__pf_tid_track(pf, tid, text);
	/* The kernel's layer told of it first, by another name. */
	if (known)
		put_tid_track(pf, number, tid, text);
	return number;
}

void gt__pf_on_row(void *user, struct gt__row *row)
{
	struct gt__perfetto *pf = user;
	uint64_t tid = row->kind == GT_ROW_THREAD ? row->start_pc : 0;

	if (row->kind == GT_ROW_GOROUTINE)
		on_goroutine(pf, row);
	if (!tid || tid > GT__PF_PID_REAL_MAX || row->id >= UINTPTR_MAX)
		return;
	/* The kernel's layer calls it by its M. */
	gt__map_remove(&pf->tid_ms, tid);
	if (gt__map_put(&pf->tid_ms, tid, (void *)(uintptr_t)(row->id + 1)) < 0)
		pf->failed = true;
}

/* ---- states: the strip and the CPU rows ---- */

static void put_state(struct gt__perfetto *pf, const struct gt__pf_strip *strip, int64_t time_ns, uint32_t cpu,
	enum gt__pf_state state)
{
	char *to = gt__pf_begin_packet(pf, time_ns), *inner;

	/* Shorter than 128 bytes: its size is one. */
	inner = to = gt_pb_tag(to, PACKET_STATE, 2) + 1;
	to = gt_pb_number(to, 1, cpu);
	to = gt_pb_number(to, 3, strip->tid);
	to = gt_pb_number(to, 4, state);
	to = gt_pb_number(to, 5, 120);
	inner[-1] = (char)(to - inner);
	gt__pf_close(pf, to);
}

/* From @since_ns on; the strip's last state held until strip->end_ns. */
static void tell_state(struct gt__perfetto *pf, struct gt__pf_strip *strip, int64_t since_ns, int64_t end_ns,
	uint32_t cpu, enum gt__pf_state state)
{
	if (since_ns >= end_ns)
		return;
	if (strip->state && strip->end_ns < since_ns) {
		put_state(pf, strip, strip->end_ns, strip->cpu, KERNEL_STOPPED);
		strip->state = KERNEL_STOPPED;
	}
	if (strip->state == KERNEL_RUNNING && state == KERNEL_RUNNING) {
		/* Still there; or on another P: nobody runs twice without having stopped, nor stops and runs at the same time. */
		if (strip->cpu != cpu) {
			put_state(pf, strip, since_ns++, strip->cpu, KERNEL_RUNNABLE);
			strip->state = KERNEL_RUNNABLE;
			strip->end_ns = since_ns;
			if (since_ns >= end_ns)
				return;
		}
	}
	if (strip->state != state || (state == KERNEL_RUNNING && strip->cpu != cpu))
		put_state(pf, strip, since_ns, state == KERNEL_RUNNING ? cpu : strip->cpu, state);
	if (state == KERNEL_RUNNING)
		strip->cpu = cpu;
	strip->state = (uint8_t)state;
	strip->end_ns = end_ns;
}

static int64_t since_of(const struct gt__row *row)
{
	const struct gt__pf_strip *strip = row->user;

	return row->open.since_ns > strip->min_ns ? row->open.since_ns : strip->min_ns;
}

static void tell_running(struct gt__perfetto *pf, const struct gt__row *row, struct gt__pf_strip *strip, int64_t end_ns)
{
	uint32_t cpu = GT_PERFETTO_CPU_UNKNOWN + (uint32_t)(row->open.m % (GT__PF_CPU_MAX - GT_PERFETTO_CPU_UNKNOWN));
	const struct gt__row *slot = row->open.p ? gt__map_get(&pf->rows.slots, row->open.p) : NULL;
	int64_t since_ns = since_of(row);

	/* On no P it does not run: its system call lasts. */
	if (row->open.back == GT__BACK_LOST) {
		if (strip->state && strip->end_ns == since_ns)
			strip->end_ns = end_ns;
		return;
	}
	if (row->open.p && row->open.p <= GT_PERFETTO_CPU_UNKNOWN)
		cpu = row->open.p - 1;
	/* What was open on the P a moment ago still stands there. */
	if (slot && slot->open.g == row->id && slot->open.since_ns > since_ns) {
		int64_t before_ns = since_ns;

		since_ns = slot->open.since_ns;
		if (strip->state && strip->end_ns < since_ns && strip->end_ns == before_ns)
			strip->end_ns = since_ns < end_ns ? since_ns : end_ns;
	}
	/* Two at once are a trace's damage: the first stays. */
	if (__builtin_expect(since_ns < pf->cpus[cpu].end_ns, 0) && pf->cpus[cpu].g != row->id)
		since_ns = pf->cpus[cpu].end_ns;
	if (since_ns >= end_ns)
		return;
	pf->cpus[cpu].g = row->id;
	pf->cpus[cpu].end_ns = end_ns;
	tell_state(pf, strip, since_ns, end_ns, cpu, KERNEL_RUNNING);
}

/* ---- slices ---- */

static char *put_cause(char *to, const struct gt__slice *open)
{
	to = gt__pf_text(to, GT_KEY_CAUSE, gt_cause_text(open->cause));
	if (open->cause == GT_CAUSE_NETPOLL || open->cause == GT_CAUSE_DEADLINE)
		to = gt__pf_number(to, GT_KEY_FD, open->detail);
	return to;
}

/* A wait, a syscall, or why it gave way. */
static void put_slice(struct gt__perfetto *pf, const struct gt__row *row, int64_t end_ns, unsigned int name,
	enum gt__intern_category category)
{
	const struct gt__slice *open = &row->open;
	struct gt__intern *intern = &pf->intern;
	const struct gt_event *event = pf->event;
	bool objects = pf->parts & GT_CONVERT_OBJECTS;
	uint64_t number = gt__intern_name(intern, name), stack = 0, object = 0, waker = 0;
	char *to;

	gt__intern_category(intern, category);
	if (open->stack)
		stack = gt__pf_stack(pf, open->stack);
	if (objects) {
		if (open->what)
			object = gt__intern_object(intern, open->what, open->object);
		if (event && event->kind == GT_EV_GO_READY && event->args[0] == row->id)
			waker = event->args[2];
		gt__intern_key(intern, GT_KEY_ON);
		gt__intern_key(intern, GT_KEY_HOLDER);
		gt__intern_key(intern, GT_KEY_WAKER);
		gt__intern_key(intern, GT_KEY_CAUSE);
		gt__intern_key(intern, GT_KEY_FD);
	}
	gt__intern_key(intern, GT_KEY_LOST);

	to = gt__pf_named(gt__pf_begin(pf, since_of(row), EVENT_BEGIN, row->number), number, category);
	if (stack)
		to = gt_pb_number(to, 56, stack);
	if (object)
		to = gt__pf_interned(to, GT_KEY_ON, object);
	if (object && open->holder)
		to = gt__pf_number(to, GT_KEY_HOLDER, open->holder);
	if (waker)
		to = gt__pf_number(to, GT_KEY_WAKER, waker);
	if (objects && open->cause)
		to = put_cause(to, open);
	if (open->cut)
		to = gt__pf_text(to, GT_KEY_LOST, "events are missing here: when this ended is not known");
	gt__pf_end(pf, to);
	gt__pf_slice_end(pf, end_ns, row->number);
}

/* What it did for the scheduler: a worker of the collector counts as waiting while it marks. */
static void put_label(struct gt__perfetto *pf, const struct gt__row *row, struct gt__pf_strip *strip, int64_t end_ns)
{
	uint64_t name = gt__intern_string(&pf->intern, strip->label);
	char *to;

	strip->label = 0;
	if (!name || !(pf->parts & GT_CONVERT_MARKS))
		return;
	gt__intern_category(&pf->intern, GT_CATEGORY_GC);
	to = gt__pf_begin(pf, since_of(row), EVENT_BEGIN, row->number);
	gt__pf_end(pf, gt__pf_named(to, name, GT_CATEGORY_GC));
	gt__pf_slice_end(pf, end_ns, row->number);
}

static void goroutine_slice(struct gt__perfetto *pf, struct gt__row *row, int64_t end_ns)
{
	const struct gt__slice *open = &row->open;
	struct gt__pf_strip *strip = gt__pf_strip(pf, row);
	int64_t since_ns;

	if (!strip)
		return;
	since_ns = since_of(row);
	if (end_ns < since_ns)
		return;
	/* Around the slice of a wait: what begins at the same time nests as it was written. */
	if (__builtin_expect(strip->label != 0, 0))
		put_label(pf, row, strip, end_ns);
	switch (open->state) {
	case GT_STATE_RUNNING:
		tell_running(pf, row, strip, end_ns);
		break;
	case GT_STATE_RUNNABLE:
		tell_state(pf, strip, since_ns, end_ns, 0, KERNEL_RUNNABLE);
		if (open->reason)
			put_slice(pf, row, end_ns, GT_NAME_RUNNABLE + open->reason, GT_CATEGORY_SCHED);
		break;
	case GT_STATE_SYSCALL:
		tell_state(pf, strip, since_ns, end_ns, 0, KERNEL_UNINTERRUPTIBLE);
		put_slice(pf, row, end_ns, GT_NAME_SYSCALL, GT_CATEGORY_SYSCALL);
		break;
	default:
		tell_state(pf, strip, since_ns, end_ns, 0, KERNEL_SLEEPING);
		put_slice(pf, row, end_ns, GT_NAME_WAIT + open->reason, GT_CATEGORY_WAIT);
		break;
	}
}

/* "P0 G7" */
static void thread_slice(struct gt__perfetto *pf, struct gt__row *row, int64_t end_ns)
{
	const struct gt__slice *open = &row->open;
	char *to, *name;

	if (pf->options->shown) {
		const struct gt__row *goroutine = gt__rows_goroutine(&pf->rows, open->g);
		const struct gt__pf_strip *strip = goroutine ? goroutine->user : NULL;

		if (!strip || strip->hidden)
			return;
	}
	if (!row->number)
		row->number = thread_track(pf, row);
	to = gt__pf_begin_thread_packet(pf, open->since_ns > pf->from_ns ? open->since_ns : pf->from_ns);
	to = gt__pf_event(pf, to, EVENT_BEGIN, row->number);
	/* Shorter than 128 bytes: its size is one. */
	name = to = gt_pb_tag(to, 23, 2) + 1;
	if (open->state == GT_STATE_SYSCALL) {
		to = GT_JSON_PUT(to, "syscall ");
	} else if (open->p) {
		*to = 'P';
		to = gt_json_u64(to + 1, open->p - 1);
		*to++ = ' ';
	}
	*to = 'G';
	to = gt_json_u64(to + 1, open->g);
	name[-1] = (char)(to - name);
	gt__pf_end(pf, to);
	to = gt__pf_begin_thread_packet(pf, end_ns);
	gt__pf_end(pf, gt__pf_event(pf, to, EVENT_END, row->number));
}

void gt__pf_on_slice(void *user, const struct gt__row *row, int64_t end_ns)
{
	struct gt__perfetto *pf = user;

	/* What is of no length was not before the cut either. */
	if (row->kind == GT_ROW_SLOT || end_ns < pf->from_ns || (end_ns == pf->from_ns && pf->quiet))
		return;
	pf->totals.slices++;
	if (row->kind == GT_ROW_GOROUTINE)
		goroutine_slice(pf, (struct gt__row *)row, end_ns);
	else
		thread_slice(pf, (struct gt__row *)row, end_ns);
}

/* Two instants and an arrow between them. What leaves stands first: at the same time, a reader keeps the order. */
bool gt__pf_on_link(void *user, const struct gt__row *from, const struct gt__row *to_row, enum gt__link_kind kind,
	uint64_t link, int64_t now_ns, uint64_t site_pc)
{
	struct gt__perfetto *pf = user;
	struct gt__intern *intern = &pf->intern;
	bool create = kind == GT_LINK_CREATE, leaves, arrives;
	uint64_t site = 0, name;
	char text[GT__INTERN_TEXT_MAX + 64], *to;

	if (!(pf->parts & GT_CONVERT_LINKS) || pf->quiet)
		return false;
	leaves = gt__pf_strip(pf, (struct gt__row *)from);
	arrives = gt__pf_strip(pf, (struct gt__row *)to_row);
	if (!leaves && !arrives)
		return false;
	if (site_pc && (pf->parts & GT_CONVERT_STACKS))
		site = gt__intern_site(intern, site_pc);
	gt__intern_category(intern, GT_CATEGORY_WAKE);
	gt__intern_key(intern, create ? GT_KEY_PARENT : GT_KEY_WAKER);
	name = gt__intern_name(intern, create ? GT_NAME_CREATED : GT_NAME_WOKEN);
	pf->totals.links++;

	if (leaves) {
		to = gt__pf_begin(pf, now_ns, EVENT_INSTANT, from->number);
		to = gt_pb_number(to, 3, GT_CATEGORY_WAKE + 1u);
		if (create && to_row->label) {
			snprintf(text, sizeof(text), "go G%" PRIu64 " %.*s", to_row->id, GT__INTERN_TEXT_MAX,
				(const char *)to_row->label);
			to = gt__pb_text(to, 23, text, GT__INTERN_TEXT_MAX + 24);
		} else {
			char *inside = to = gt_pb_tag(to, 23, 2) + 1;

			to = create ? GT_JSON_PUT(to, "go G") : GT_JSON_PUT(to, "wake G");
			to = gt_json_u64(to, to_row->id);
			inside[-1] = (char)(to - inside);
		}
		if (site)
			to = gt_pb_number(to, 56, site);
		if (arrives)
			to = gt_pb_fixed64(to, 47, link);
		gt__pf_end(pf, to);
	}
	if (!arrives)
		return true;
	to = gt__pf_named(gt__pf_begin(pf, now_ns, EVENT_INSTANT, to_row->number), name, GT_CATEGORY_WAKE);
	to = gt__pf_number(to, create ? GT_KEY_PARENT : GT_KEY_WAKER, from->id);
	if (leaves)
		to = gt_pb_fixed64(to, 48, link);
	gt__pf_end(pf, to);
	return true;
}

void gt__pf_on_gone(void *user, struct gt__row *row)
{
	struct gt__perfetto *pf = user;
	struct gt__pf_strip *strip = row->user;
	int64_t now_ns = pf->rows.now_ns;

	if (row->kind != GT_ROW_GOROUTINE || !strip)
		return;
	if (strip->told) {
		gt__pf_end_inner(pf, row, strip, 0);
		for (uint32_t open = strip->count < GT__PF_REGION_DEPTH ? strip->count : GT__PF_REGION_DEPTH;
			!pf->quiet && open > 0; open--)
			gt__pf_slice_end(pf, now_ns, row->number);
		/* One for callbacks from C has rested dead for a while when nothing comes of it any more. */
		if (row->open.state == GT_STATE_DEAD && strip->state)
			put_state(pf, strip, row->open.since_ns, strip->cpu, KERNEL_DESTROYED);
		else if (strip->state && strip->state != KERNEL_STOPPED && strip->end_ns < now_ns)
			put_state(pf, strip, strip->end_ns, strip->cpu, KERNEL_STOPPED);
	}
	if (row->open.state == GT_STATE_DEAD) {
		pf->ended[row->id % GT__PF_ENDED].g = row->id;
		pf->ended[row->id % GT__PF_ENDED].end_ns = now_ns;
	}
	free(strip->regions);
	strip->regions = NULL;
	strip->next = pf->spare;
	pf->spare = strip;
	row->user = NULL;
}

void gt__pf_rows_free(struct gt__perfetto *pf)
{
	struct slab *slab = pf->strip_slabs;

	while (slab) {
		struct slab *next = slab->next;

		free(slab);
		slab = next;
	}
	gt__insides_free(&pf->insides);
	gt__map_free(&pf->pids);
	gt__map_free(&pf->tid_ms);
	gt__map_free(&pf->tid_tracks);
}
