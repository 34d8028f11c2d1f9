/* rows.c - what each event opens and ends on the rows of its goroutine, P and M. */
#include "format/convert/rows.h"
#include "format/reading/trace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SLAB_ROWS 256
/* Room above any real machine; a file that claims more gets no row for it. */
#define SLOT_MAX (UINT64_C(1) << 20)
/* 146 years: times beyond it come from damage, and ns * 1000 no longer fits a viewer's arithmetic. */
#define TIME_NS_MAX (INT64_C(1) << 62)

struct slab {
	struct slab *next;
	_Alignas(64) unsigned char rows[];
};

/* ---- rows ---- */

static size_t row_bytes(const struct gt__rows *rows)
{
	return (sizeof(struct gt__row) + rows->extra + 63) / 64 * 64;
}

static struct gt__row *row_alloc(struct gt__rows *rows)
{
	struct gt__row *row = rows->spare;

	if (row) {
		rows->spare = row->user;
		return row;
	}
	if (!rows->slab_left) {
		struct slab *slab = aligned_alloc(64, sizeof(*slab) + SLAB_ROWS * row_bytes(rows));

		if (!slab)
			return NULL;
		slab->next = rows->slabs;
		rows->slabs = slab;
		rows->slab_left = SLAB_ROWS;
	}
	return (void *)(((struct slab *)rows->slabs)->rows + --rows->slab_left * row_bytes(rows));
}

/* All that can be known of a row that is first seen now. */
static int64_t known_since(const struct gt__rows *rows)
{
	int64_t since = rows->loss_ns > rows->edge_ns ? rows->loss_ns : rows->edge_ns;

	return since < rows->now_ns ? since : rows->now_ns;
}

static int put_row(struct gt__rows *rows, struct gt__row *row)
{
	switch (row->kind) {
	case GT_ROW_GOROUTINE:
		return gt__ids_put(&rows->goroutines, row->id, row);
	case GT_ROW_SLOT:
		return gt__map_put(&rows->slots, row->id, row);
	default:
		return gt__map_put(&rows->threads, row->id, row);
	}
}

static struct gt__row *row_new(struct gt__rows *rows, enum gt__row_kind kind, uint64_t id)
{
	struct gt__row *row = row_alloc(rows);

	if (!row)
		return NULL;
	*row = (struct gt__row){.kind = (uint8_t)kind, .id = id, .known_ns = known_since(rows)};
	if (put_row(rows, row) < 0) {
		row->user = rows->spare;
		rows->spare = row;
		return NULL;
	}
	return row;
}

static void goroutine_remove(struct gt__rows *rows, struct gt__row *row)
{
	rows->out.gone(rows->out.user, row);
	gt__ids_remove(&rows->goroutines, row->id);
	row->user = rows->spare;
	rows->spare = row;
}

struct gt__row *gt__rows_goroutine(struct gt__rows *rows, uint64_t g)
{
	return gt__ids_get(&rows->goroutines, g);
}

struct gt__row *gt__rows_thread(struct gt__rows *rows, uint64_t m)
{
	return gt__map_get(&rows->threads, m);
}

static struct gt__row *tell_new(struct gt__rows *rows, enum gt__row_kind kind, uint64_t id)
{
	struct gt__row *row = row_new(rows, kind, id);

	if (row)
		rows->out.row(rows->out.user, row);
	return row;
}

static struct gt__row *get_goroutine(struct gt__rows *rows, uint64_t g)
{
	struct gt__row *row = gt__ids_get(&rows->goroutines, g);

	return row ? row : tell_new(rows, GT_ROW_GOROUTINE, g);
}

/* The event's M. A row is shown with its tid at once when the event tells it. */
static struct gt__row *get_thread(struct gt__rows *rows, const struct gt_event *event)
{
	struct gt__row *row = gt__rows_thread(rows, event->m);

	if (row)
		return row;
	row = row_new(rows, GT_ROW_THREAD, event->m);
	if (!row)
		return NULL;
	if (event->kind == GT_EV_M_START)
		row->start_pc = event->args[0];
	rows->out.row(rows->out.user, row);
	return row;
}

/* ---- one slice ---- */

static void end_slice(struct gt__rows *rows, struct gt__row *row, int64_t end_ns)
{
	struct gt__slice *open = &row->open;

	if (end_ns < open->since_ns)
		end_ns = open->since_ns;
	if (row->known_ns < end_ns)
		row->known_ns = end_ns;
	if (!gt__slice_open(open))
		return;
	rows->out.slice(rows->out.user, row, end_ns);
	if (row->kind == GT_ROW_GOROUTINE) {
		rows->counts[open->state]--;
	} else if (row->kind == GT_ROW_SLOT) {
		rows->slots_taken--;
		rows->slots_running -= open->state == GT_STATE_RUNNING;
	}
	open->state = GT_STATE_NONE;
}

/* The row has no open slice. */
static void begin_slice(struct gt__rows *rows, struct gt__row *row, const struct gt__slice *slice)
{
	row->open = *slice;
	if (!gt__slice_open(slice))
		return;
	if (row->kind == GT_ROW_GOROUTINE) {
		rows->counts[slice->state]++;
	} else if (row->kind == GT_ROW_SLOT) {
		rows->slots_taken++;
		rows->slots_running += slice->state == GT_STATE_RUNNING;
	}
}

static void goroutine_to(
	struct gt__rows *rows, struct gt__row *row, enum gt_state state, uint64_t reason, uint64_t stack)
{
	struct gt__slice *open = &row->open;

	end_slice(rows, row, rows->now_ns);
	/* In place: it is large, and every event comes here. */
	memset(open, 0, sizeof(*open));
	open->since_ns = rows->now_ns;
	open->state = (uint8_t)state;
	open->reason = reason < GT_REASON_COUNT ? (uint8_t)reason : 0;
	open->stack = stack;
	if (gt__slice_open(open))
		rows->counts[state]++;
}

/* ---- Ms and Ps ---- */

static struct gt__row *slot_of(struct gt__rows *rows, uint64_t p)
{
	return p ? gt__map_get(&rows->slots, p) : NULL;
}

/* Nobody holds the P any more. */
static void release_slot(struct gt__rows *rows, struct gt__row *slot)
{
	end_slice(rows, slot, rows->now_ns);
	if (slot->held) {
		struct gt__row *holder = gt__map_get(&rows->threads, slot->held - 1);

		if (holder && holder->held == slot->id)
			holder->held = 0;
		slot->held = 0;
	}
}

/*
 * A goroutine that came out of its system call on the P turns out to have lost that before: it runs nowhere. Who takes a P from a goroutine in
 * a system call does not always say so; that another M has it, or that the goroutine finds another one, does.
 */
static void unseat(struct gt__rows *rows, struct gt__row *slot)
{
	struct gt__row *thread, *goroutine;

	if (!slot || slot->open.state != GT_STATE_RUNNING || slot->open.back != GT__BACK)
		return;
	slot->open.state = GT_STATE_NONE;
	rows->slots_taken--;
	rows->slots_running--;
	thread = gt__map_get(&rows->threads, slot->open.m);
	goroutine = gt__rows_goroutine(rows, slot->open.g);
	if (thread && thread->open.back == GT__BACK && thread->open.g == slot->open.g) {
		thread->open.p = 0;
		thread->open.back = GT__BACK_LOST;
	}
	if (goroutine && goroutine->open.back == GT__BACK) {
		goroutine->open.p = 0;
		goroutine->open.back = GT__BACK_LOST;
	}
}

/* @thread holds the P from now on. *out is NULL when there is none. */
static int take_slot(struct gt__rows *rows, struct gt__row *thread, uint64_t p, struct gt__row **out)
{
	struct gt__row *slot;

	*out = NULL;
	if (!p || p > SLOT_MAX)
		return 0;
	slot = gt__map_get(&rows->slots, p);
	if (!slot)
		slot = tell_new(rows, GT_ROW_SLOT, p);
	if (!slot)
		return -ENOMEM;
	*out = slot;
	if (thread->held == p && slot->held == thread->id + 1)
		return 0;
	unseat(rows, slot);
	release_slot(rows, slot);
	if (thread->held) {
		struct gt__row *before = slot_of(rows, thread->held);

		unseat(rows, before);
		if (before)
			release_slot(rows, before);
	}
	slot->held = thread->id + 1;
	thread->held = p;
	return 0;
}

/* What @goroutine does on @thread and on the P (may be NULL), from now on. */
static void occupy(struct gt__rows *rows, struct gt__row *goroutine, struct gt__row *thread, struct gt__row *slot,
	enum gt_state state)
{
	struct gt__slice slice = {.since_ns = rows->now_ns,
		.state = (uint8_t)state,
		.g = goroutine->id,
		.label = goroutine->label,
		.m = thread->id,
		.p = slot ? (uint32_t)slot->id : 0};

	end_slice(rows, thread, rows->now_ns);
	begin_slice(rows, thread, &slice);
	if (slot) {
		end_slice(rows, slot, rows->now_ns);
		begin_slice(rows, slot, &slice);
	}
	goroutine->open.m = thread->id;
	goroutine->open.p = slice.p;
	goroutine->open.back = GT__BACK_NO;
}

/* Its system call ended, and it runs. */
static void occupy_back(struct gt__rows *rows, struct gt__row *goroutine, struct gt__row *thread, struct gt__row *slot)
{
	occupy(rows, goroutine, thread, slot, GT_STATE_RUNNING);
	goroutine->open.back = thread->open.back = GT__BACK;
	if (slot)
		slot->open.back = GT__BACK;
}

/* The goroutine is on no M and no P any more, since @end_ns. */
static void vacate(struct gt__rows *rows, struct gt__row *goroutine, int64_t end_ns)
{
	struct gt__row *thread = gt__map_get(&rows->threads, goroutine->open.m);
	struct gt__row *slot = slot_of(rows, goroutine->open.p);

	if (thread && thread->open.g == goroutine->id)
		end_slice(rows, thread, end_ns);
	if (slot && slot->open.g == goroutine->id)
		end_slice(rows, slot, end_ns);
}

static bool on_thread(unsigned int state)
{
	return state == GT_STATE_RUNNING || state == GT_STATE_SYSCALL;
}

/* The row is not in @old, see believe. */
static __attribute__((noinline)) void correct(
	struct gt__rows *rows, struct gt__row *row, uint64_t old, struct gt__row *thread)
{
	int64_t from = row->known_ns;

	if (old >= GT_STATE_COUNT || !gt_state_known((unsigned int)old))
		return;
	if (gt__slice_open(&row->open)) {
		from = rows->loss_ns > row->open.since_ns ? rows->loss_ns : rows->now_ns;
		row->open.cut = true;
		rows->cuts++;
		if (on_thread(row->open.state))
			vacate(rows, row, from);
		end_slice(rows, row, from);
	}
	begin_slice(rows, row, &(struct gt__slice){.since_ns = from, .state = (uint8_t)old});
	if (!on_thread((unsigned int)old) || !thread)
		return;
	row->open.m = thread->id;
	if (!gt__slice_open(&thread->open)) {
		struct gt__slice slice = {.since_ns = from > thread->known_ns ? from : thread->known_ns,
			.state = (uint8_t)old,
			.g = row->id,
			.label = row->label,
			.m = thread->id};

		begin_slice(rows, thread, &slice);
	}
}

/*
 * The event tells that the goroutine was in @old until now (@thread: on which M, if on one). When that is not what is open,
 * it is believed: from when the row was last known, or from the last loss, where the missing event may have been.
 */
static inline void believe(struct gt__rows *rows, struct gt__row *row, uint64_t old, struct gt__row *thread)
{
	if (__builtin_expect(row->open.state != old, 0))
		correct(rows, row, old, thread);
}

/* ---- events ---- */

static void link_rows(struct gt__rows *rows, uint64_t from_g, struct gt__row *to, struct gt__row *thread,
	enum gt__link_kind kind, uint64_t site_pc)
{
	struct gt__row *from = from_g && from_g != to->id ? get_goroutine(rows, from_g) : NULL;

	to->open.link = 0;
	if (!from)
		return;
	if (!gt__slice_open(&from->open))
		believe(rows, from, GT_STATE_RUNNING, thread);
	if (!on_thread(from->open.state))
		return;
	if (rows->out.link(rows->out.user, from, to, kind, rows->links + 1, rows->now_ns, site_pc))
		to->open.link = ++rows->links;
}

static int on_create(struct gt__rows *rows, const uint64_t *args, struct gt__row *thread)
{
	struct gt__row *row = gt__rows_goroutine(rows, args[0]);

	if (!row)
		row = row_new(rows, GT_ROW_GOROUTINE, args[0]);
	if (!row)
		return -ENOMEM;
	row->start_pc = args[3];
	rows->out.row(rows->out.user, row);
	if (on_thread(row->open.state))
		vacate(rows, row, rows->now_ns);
	goroutine_to(rows, row, gt_state_known((unsigned int)args[1]) ? (enum gt_state)args[1] : GT_STATE_NONE, 0, 0);
	link_rows(rows, args[2], row, thread, GT_LINK_CREATE, args[4]);
	return 0;
}

static int on_run(struct gt__rows *rows, const uint64_t *args, struct gt__row *row, struct gt__row *thread)
{
	struct gt__row *slot;

	believe(rows, row, args[1], thread);
	if (on_thread(row->open.state))
		vacate(rows, row, rows->now_ns);
	if (take_slot(rows, thread, args[2], &slot) < 0)
		return -ENOMEM;
	goroutine_to(rows, row, GT_STATE_RUNNING, 0, 0);
	occupy(rows, row, thread, slot, GT_STATE_RUNNING);
	return 0;
}

/* A running goroutine stops: it waits, gives way or ends. */
static void on_leave(struct gt__rows *rows, struct gt__row *row, struct gt__row *thread, enum gt_state state,
	uint64_t reason, uint64_t stack)
{
	believe(rows, row, GT_STATE_RUNNING, thread);
	if (reason == GT_REASON_SYSCALL_NO_P && row->open.back == GT__BACK) {
		unseat(rows, slot_of(rows, row->open.p));
		row->open.back = GT__BACK_LOST;
	}
	vacate(rows, row, rows->now_ns);
	end_slice(rows, thread, rows->now_ns);
	goroutine_to(rows, row, state, reason, stack);
}

/* What the next wait or wake-up of the goroutine is about: kept in what is open until then. */
static void on_told(struct gt__rows *rows, const struct gt_event *event, struct gt__row *row, struct gt__row *thread)
{
	const uint64_t *args = event->args;

	if (event->kind == GT_EV_WAITS_ON) {
		believe(rows, row, GT_STATE_RUNNING, thread);
		row->open.what = args[1] < GT_OBJECT_COUNT ? (uint8_t)args[1] : GT_OBJECT_NONE;
		row->open.object = args[2];
		row->open.holder = args[3];
	} else {
		believe(rows, row, GT_STATE_WAITING, NULL);
		row->open.cause = args[1] < GT_CAUSE_COUNT ? (uint8_t)args[1] : GT_CAUSE_NONE;
		row->open.detail = args[2] < UINT32_MAX ? (uint32_t)args[2] : UINT32_MAX;
	}
}

static void on_block(struct gt__rows *rows, const uint64_t *args, struct gt__row *row, struct gt__row *thread)
{
	struct gt__slice told = row->open;

	on_leave(rows, row, thread, GT_STATE_WAITING, args[1], args[2]);
	if (told.state != GT_STATE_RUNNING)
		return;
	row->open.what = told.what;
	row->open.object = told.object;
	row->open.holder = told.holder;
}

static void on_ready(struct gt__rows *rows, const uint64_t *args, struct gt__row *row, struct gt__row *thread)
{
	struct gt__slice told = row->open;

	believe(rows, row, args[1], NULL);
	if (on_thread(row->open.state))
		vacate(rows, row, rows->now_ns);
	goroutine_to(rows, row, GT_STATE_RUNNABLE, 0, 0);
	if (told.state == GT_STATE_WAITING) {
		row->open.cause = told.cause;
		row->open.detail = told.detail;
	}
	link_rows(rows, args[2], row, thread, GT_LINK_WAKE, 0);
}

static void on_syscall(struct gt__rows *rows, const uint64_t *args, struct gt__row *row, struct gt__row *thread)
{
	struct gt__row *slot = slot_of(rows, thread->held);

	believe(rows, row, GT_STATE_RUNNING, thread);
	vacate(rows, row, rows->now_ns);
	goroutine_to(rows, row, GT_STATE_SYSCALL, 0, args[1]);
	occupy(rows, row, thread, slot, GT_STATE_SYSCALL);
}

static void on_sysexit(struct gt__rows *rows, const uint64_t *args, struct gt__row *row, struct gt__row *thread)
{
	enum gt_state state = args[1] == GT_STATE_RUNNING ? GT_STATE_RUNNING : GT_STATE_RUNNABLE;

	believe(rows, row, GT_STATE_SYSCALL, thread);
	vacate(rows, row, rows->now_ns);
	goroutine_to(rows, row, state, state == GT_STATE_RUNNABLE ? GT_REASON_SYSCALL_NO_P : 0, 0);
	if (state == GT_STATE_RUNNING)
		occupy_back(rows, row, thread, slot_of(rows, thread->held));
}

static void on_state(struct gt__rows *rows, const uint64_t *args, struct gt__row *row, struct gt__row *thread)
{
	enum gt_state state = gt_state_known((unsigned int)args[2]) ? (enum gt_state)args[2] : GT_STATE_NONE;

	believe(rows, row, args[1], thread);
	if (on_thread(row->open.state))
		vacate(rows, row, rows->now_ns);
	goroutine_to(rows, row, state, args[3], 0);
	if (on_thread(state))
		occupy(rows, row, thread, slot_of(rows, thread->held), state);
}

static int on_goroutine(struct gt__rows *rows, const struct gt_event *event, struct gt__row *thread)
{
	const uint64_t *args = event->args;
	struct gt__row *row;

	if (!args[0])
		return 0;
	if (event->kind == GT_EV_GO_CREATE)
		return on_create(rows, args, thread);
	row = get_goroutine(rows, args[0]);
	if (!row)
		return -ENOMEM;
	switch (event->kind) {
	case GT_EV_GO_RUN:
		return on_run(rows, args, row, thread);
	case GT_EV_GO_BLOCK:
		on_block(rows, args, row, thread);
		break;
	case GT_EV_WAITS_ON:
	case GT_EV_WAKE_CAUSE:
		on_told(rows, event, row, thread);
		break;
	case GT_EV_GO_STACK:
		if (gt__slice_open(&row->open) && row->open.state != GT_STATE_RUNNING)
			row->open.stack = args[1];
		break;
	case GT_EV_GO_YIELD:
		on_leave(rows, row, thread, GT_STATE_RUNNABLE, args[1], args[2]);
		break;
	case GT_EV_GO_READY:
		on_ready(rows, args, row, thread);
		break;
	case GT_EV_GO_END:
		on_leave(rows, row, thread, GT_STATE_DEAD, 0, 0);
		goroutine_remove(rows, row);
		break;
	case GT_EV_GO_SYSCALL:
		on_syscall(rows, args, row, thread);
		break;
	case GT_EV_GO_SYSEXIT:
		on_sysexit(rows, args, row, thread);
		break;
	default:
		on_state(rows, args, row, thread);
		break;
	}
	return 0;
}

static int on_slot_start(struct gt__rows *rows, uint64_t p, struct gt__row *thread)
{
	struct gt__row *goroutine, *slot;
	int ret;

	/* A goroutine that came out of its syscall without a P has one now: the same, if it was given back meanwhile. */
	if (thread->open.state == GT_STATE_RUNNING && thread->open.back == GT__BACK)
		unseat(rows, slot_of(rows, thread->open.p));
	ret = take_slot(rows, thread, p, &slot);
	if (ret == 0 && slot && thread->open.state == GT_STATE_RUNNING && thread->open.p != slot->id) {
		goroutine = gt__rows_goroutine(rows, thread->open.g);
		if (goroutine)
			occupy(rows, goroutine, thread, slot, GT_STATE_RUNNING);
	}
	return ret;
}

/* Events of this M are missing: nothing that it could have changed is known any more. */
static void on_lost(struct gt__rows *rows, struct gt__row *thread)
{
	struct gt__row *goroutine = NULL, *slot = slot_of(rows, thread->held);

	if (gt__slice_open(&thread->open))
		goroutine = gt__rows_goroutine(rows, thread->open.g);
	rows->loss_ns = rows->now_ns;
	if (goroutine && on_thread(goroutine->open.state) && goroutine->open.m == thread->id) {
		goroutine->open.cut = true;
		rows->cuts++;
		end_slice(rows, goroutine, rows->now_ns);
	}
	thread->open.cut = true;
	end_slice(rows, thread, rows->now_ns);
	if (slot) {
		slot->open.cut = true;
		release_slot(rows, slot);
	}
}

static int on_event(struct gt__rows *rows, const struct gt_event *event, struct gt__row *thread)
{
	struct gt__row *slot;

	switch (event->kind) {
	case GT_EV_GO_CREATE:
	case GT_EV_GO_RUN:
	case GT_EV_GO_BLOCK:
	case GT_EV_GO_YIELD:
	case GT_EV_GO_READY:
	case GT_EV_GO_END:
	case GT_EV_GO_SYSCALL:
	case GT_EV_GO_SYSEXIT:
	case GT_EV_GO_STATE:
	case GT_EV_WAITS_ON:
	case GT_EV_WAKE_CAUSE:
	case GT_EV_GO_STACK:
		return on_goroutine(rows, event, thread);
	case GT_EV_M_START:
		thread->start_pc = event->args[0];
		rows->out.row(rows->out.user, thread);
		break;
	case GT_EV_M_IDLE:
	case GT_EV_M_END:
		end_slice(rows, thread, rows->now_ns);
		break;
	case GT_EV_P_START:
		return on_slot_start(rows, event->args[0], thread);
	case GT_EV_P_STOP:
	case GT_EV_P_IDLE:
		slot = slot_of(rows, event->args[0]);
		if (slot && slot->held != thread->id + 1)
			unseat(rows, slot);
		if (slot)
			release_slot(rows, slot);
		break;
	case GT_EV_LOST:
		on_lost(rows, thread);
		break;
	default:
		break;
	}
	return 0;
}

/* All events are there from now on, which does not mend what was told before: such a goroutine may have run on an M of which that is missing. */
static void become_whole(struct gt__rows *rows)
{
	struct gt__row *row;
	size_t at = 0;

	while ((row = gt__ids_each(&rows->goroutines, &at))) {
		if (row->open.state != GT_STATE_RUNNABLE)
			continue;
		row->open.cut = true;
		rows->cuts++;
		end_slice(rows, row, rows->whole_ns);
	}
	rows->whole_ns = 0;
}

int gt__rows_event(struct gt__rows *rows, const struct gt_event *event)
{
	int64_t time_ns = event->time_ns < TIME_NS_MAX ? event->time_ns : TIME_NS_MAX;
	struct gt__row *thread;
	int ret;

	if (__builtin_expect(rows->whole_ns > 0, 0) && time_ns >= rows->whole_ns)
		become_whole(rows);
	if (time_ns > rows->now_ns)
		rows->now_ns = time_ns;
	if (gt_m_is_kernel(event->m))
		return 0;
	thread = get_thread(rows, event);
	if (!thread)
		return -ENOMEM;
	ret = on_event(rows, event, thread);
	thread->known_ns = rows->now_ns;
	if (event->kind == GT_EV_M_END) {
		struct gt__row *slot = slot_of(rows, thread->held);

		if (slot)
			release_slot(rows, slot);
	}
	return ret;
}

static int by_id(const void *a, const void *b)
{
	const struct gt__row *x = *(struct gt__row *const *)a, *y = *(struct gt__row *const *)b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static void finish_row(struct gt__rows *rows, struct gt__row *row)
{
	/* What begins with the last event has no length: nothing to see. */
	if (gt__slice_open(&row->open) && row->open.since_ns < rows->now_ns) {
		row->open.cut = row->open.since_ns < rows->loss_ns;
		end_slice(rows, row, rows->now_ns);
	}
	rows->out.gone(rows->out.user, row);
}

static struct gt__row *each_row(const struct gt__rows *rows, enum gt__row_kind kind, size_t *at)
{
	return kind == GT_ROW_GOROUTINE ? gt__ids_each(&rows->goroutines, at)
	       : kind == GT_ROW_SLOT    ? gt__map_each(&rows->slots, at)
					: gt__map_each(&rows->threads, at);
}

/* In order of their ids, so that the same trace gives the same bytes. */
static void finish_rows(struct gt__rows *rows, enum gt__row_kind kind)
{
	size_t all = kind == GT_ROW_GOROUTINE ? rows->goroutines.count
		     : kind == GT_ROW_SLOT    ? rows->slots.count
					      : rows->threads.count;
	struct gt__row **sorted = malloc((all + 1) * sizeof(*sorted)), *row;
	size_t at = 0, count = 0;

	while ((row = each_row(rows, kind, &at))) {
		if (sorted)
			sorted[count++] = row;
		else
			finish_row(rows, row);
	}
	if (count)
		qsort(sorted, count, sizeof(*sorted), by_id);
	for (at = 0; at < count; at++)
		finish_row(rows, sorted[at]);
	free(sorted);
}

void gt__rows_until(struct gt__rows *rows, const struct gt_trace *trace, int64_t to_ns)
{
	bool gone;
	int64_t end_ns = gt_trace_end_ns(trace, &gone);

	if (gone && rows->slots_running)
		return;
	if (to_ns > 0 && end_ns > to_ns)
		end_ns = to_ns;
	if (end_ns > rows->now_ns)
		rows->now_ns = end_ns;
}

void gt__rows_finish(struct gt__rows *rows)
{
	finish_rows(rows, GT_ROW_SLOT);
	finish_rows(rows, GT_ROW_GOROUTINE);
	finish_rows(rows, GT_ROW_THREAD);
}

void gt__rows_init(struct gt__rows *rows, const struct gt__rows_user *out, int64_t edge_ns)
{
	memset(rows, 0, sizeof(*rows));
	rows->out = *out;
	rows->edge_ns = edge_ns > 0 ? edge_ns : 0;
	rows->loss_ns = -1;
}

void gt__rows_free(struct gt__rows *rows)
{
	struct slab *slab = rows->slabs;

	while (slab) {
		struct slab *next = slab->next;

		free(slab);
		slab = next;
	}
	gt__ids_free(&rows->goroutines);
	gt__map_free(&rows->slots);
	gt__map_free(&rows->threads);
}
