/*
 * model.c - the state machine: what is, what may come next, and why not.
 *
 * Three tables, each an array of entries behind a map from ids. An entry of a goroutine is given back at its
 * end and used again; those of Ms and Ps stay.
 *
 * A P is held *firmly* by an M that runs a goroutine with it. It is held *loosely* by an M in a system call,
 * by one that just came out of it (its hook tells that before the runtime has the P back), by one between two
 * goroutines and by one that sleeps: from those it is taken without a word.
 *
 * fits has one function a kind of event, apply another. Both are given the entries of the event's M and goroutine, which take
 * looks up once for the two: what order does for each event of a file.
 */
#include "model/model.h"
#include "base/hash.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NO_INDEX    UINT32_MAX
#define ENTRIES_MIN 64u
#define SMALL_IDS   256u
#define HINTS_MIN   256u
#define HINTS_MAX   (1u << 20)

struct g_entry {
	struct gt_model_g g;
	bool live;
	uint32_t next_free;
};

struct m_entry {
	struct gt_model_m m;
	uint32_t g_index; /* of m.g, when there is one: it is on this M, so it lives */
	bool loose;       /* its P may be taken: see above */
	bool counted;     /* in counts.slots_running */
	int64_t call_ns;  /* since when m.call is so */
};

struct p_entry {
	struct gt_model_p p;
};

struct table {
	uint32_t small[SMALL_IDS]; /* index + 1 of an id below SMALL_IDS: most Ms and Ps */
	struct gt_map map;         /* of the others */
	void *entries;
	size_t count; /* ever used */
	size_t room;
};

struct gt_model {
	struct table gs, ms, ps;
	uint32_t free_g; /* NO_INDEX: none */
	uint32_t *hints; /* at a goroutine's lowest bits: the index of one that had them, which its entry confirms */
	uint32_t hint_mask;
	struct gt_model_counts counts;
};

static void table_free(struct table *table)
{
	gt_map_free(&table->map);
	free(table->entries);
}

void gt_model_free(struct gt_model *model)
{
	if (!model)
		return;
	table_free(&model->gs);
	table_free(&model->ms);
	table_free(&model->ps);
	free(model->hints);
	free(model);
}

int gt_model_new(struct gt_model **out)
{
	struct gt_model *model = calloc(1, sizeof(*model));

	if (!model)
		return -ENOMEM;
	model->free_g = NO_INDEX;
	model->hints = calloc(HINTS_MIN, sizeof(*model->hints));
	model->hint_mask = HINTS_MIN - 1;
	/* Hints of nobody lead to the first entry: there is one from the begin. */
	model->gs.entries = calloc(ENTRIES_MIN, sizeof(struct g_entry));
	model->gs.room = ENTRIES_MIN;
	if (!model->hints || !model->gs.entries) {
		gt_model_free(model);
		return -ENOMEM;
	}
	*out = model;
	return 0;
}

/* ---- entries ---- */

static uint32_t table_find(const struct table *table, uint64_t id)
{
	const uint64_t *value;

	if (id < SMALL_IDS)
		return table->small[id] - 1; /* 0 - 1 is NO_INDEX */
	value = gt_map_find(&table->map, id);
	return value ? (uint32_t)*value : NO_INDEX;
}

static int table_put(struct table *table, uint64_t id, uint32_t index)
{
	if (id >= SMALL_IDS)
		return gt_map_put(&table->map, id, index);
	table->small[id] = index + 1;
	return 0;
}

static void table_remove(struct table *table, uint64_t id)
{
	if (id < SMALL_IDS)
		table->small[id] = 0;
	else
		gt_map_remove(&table->map, id);
}

/* The index of a new entry, or NO_INDEX without memory. */
static uint32_t table_append(struct table *table, size_t size)
{
	if (table->count == table->room) {
		size_t room = table->room ? table->room * 2 : ENTRIES_MIN;
		void *entries;

		if (room >= NO_INDEX)
			return NO_INDEX;
		entries = realloc(table->entries, room * size);
		if (!entries)
			return NO_INDEX;
		table->entries = entries;
		table->room = room;
	}
	memset((char *)table->entries + table->count * size, 0, size);
	return (uint32_t)table->count++;
}

static struct g_entry *g_at(const struct gt_model *model, uint32_t index)
{
	return (struct g_entry *)model->gs.entries + index;
}

static struct g_entry *g_find(const struct gt_model *model, uint64_t g)
{
	struct g_entry *entry = g_at(model, model->hints[g & model->hint_mask]);
	uint32_t index;

	if (!g)
		return NULL;
	if (__builtin_expect(entry->g.g == g, 1))
		return entry;
	index = table_find(&model->gs, g);
	return index == NO_INDEX ? NULL : g_at(model, index);
}

/* As many hints as there are entries, so that ids in a row never share one. Without memory they stay as few as they are. */
static void more_hints(struct gt_model *model)
{
	size_t count = ((size_t)model->hint_mask + 1) * 4;
	uint32_t *hints = calloc(count, sizeof(*hints));

	if (!hints)
		return;
	free(model->hints);
	model->hints = hints;
	model->hint_mask = (uint32_t)count - 1;
	for (uint32_t i = 0; i < model->gs.count; i++)
		hints[g_at(model, i)->g.g & model->hint_mask] = i;
}

static struct g_entry *g_need(struct gt_model *model, uint64_t g)
{
	struct g_entry *entry = g_find(model, g);
	uint32_t index;

	if (entry)
		return entry;
	index = model->free_g;
	if (index != NO_INDEX)
		model->free_g = g_at(model, index)->next_free;
	else
		index = table_append(&model->gs, sizeof(struct g_entry));
	if (index == NO_INDEX)
		return NULL;
	entry = g_at(model, index);
	memset(entry, 0, sizeof(*entry));
	if (table_put(&model->gs, g, index) < 0) {
		entry->next_free = model->free_g;
		model->free_g = index;
		return NULL;
	}
	entry->g.g = g;
	entry->live = true;
	if (model->gs.count > model->hint_mask && model->hint_mask < HINTS_MAX - 1)
		more_hints(model);
	model->hints[g & model->hint_mask] = index;
	model->counts.goroutines[GT_STATE_NONE]++;
	return entry;
}

static void g_drop(struct gt_model *model, struct g_entry *entry)
{
	model->counts.goroutines[entry->g.state]--;
	table_remove(&model->gs, entry->g.g);
	entry->g.g = 0;
	entry->live = false;
	entry->next_free = model->free_g;
	model->free_g = (uint32_t)(entry - (struct g_entry *)model->gs.entries);
}

static struct m_entry *m_find(const struct gt_model *model, uint64_t m)
{
	uint32_t index = table_find(&model->ms, m);

	return index == NO_INDEX ? NULL : (struct m_entry *)model->ms.entries + index;
}

static struct m_entry *m_need(struct gt_model *model, uint64_t m)
{
	struct m_entry *entry = m_find(model, m);
	uint32_t index;

	if (entry)
		return entry;
	index = table_append(&model->ms, sizeof(*entry));
	if (index == NO_INDEX)
		return NULL;
	if (table_put(&model->ms, m, index) < 0) {
		model->ms.count--;
		return NULL;
	}
	entry = (struct m_entry *)model->ms.entries + index;
	entry->m.m = m;
	return entry;
}

static struct p_entry *p_find(const struct gt_model *model, uint64_t p)
{
	uint32_t index = table_find(&model->ps, p);

	return index == NO_INDEX ? NULL : (struct p_entry *)model->ps.entries + index;
}

static struct p_entry *p_need(struct gt_model *model, uint64_t p)
{
	struct p_entry *entry = p_find(model, p);
	uint32_t index;

	if (entry)
		return entry;
	index = table_append(&model->ps, sizeof(*entry));
	if (index == NO_INDEX)
		return NULL;
	if (table_put(&model->ps, p, index) < 0) {
		model->ps.count--;
		return NULL;
	}
	entry = (struct p_entry *)model->ps.entries + index;
	entry->p.p = p;
	return entry;
}

/* ---- what fits ---- */

static bool on_m(unsigned int state)
{
	return state == GT_STATE_RUNNING || state == GT_STATE_SYSCALL;
}

/* The M that holds @p firmly, if it is another than @m. */
static const struct m_entry *p_firm_holder(const struct gt_model *model, uint64_t p, uint64_t m)
{
	const struct p_entry *slot = p ? p_find(model, p) : NULL;
	const struct m_entry *holder;
	const struct g_entry *g;

	if (!slot || !slot->p.held || slot->p.m == m)
		return NULL;
	holder = m_find(model, slot->p.m);
	if (!holder || holder->m.p != p || !holder->m.g || holder->loose)
		return NULL;
	g = g_at(model, holder->g_index);
	return g->g.state == GT_STATE_RUNNING ? holder : NULL;
}

/* The goroutine that keeps @thread (NULL: one that never did anything) from taking @g, or NULL. */
static const struct g_entry *m_occupant(const struct gt_model *model, const struct m_entry *thread, uint64_t g)
{
	const struct g_entry *entry;

	if (!thread || !thread->m.g || thread->m.g == g)
		return NULL;
	entry = g_at(model, thread->g_index);
	return on_m(entry->g.state) ? entry : NULL;
}

static bool chain_holds(const struct g_entry *entry, unsigned int old)
{
	return entry->g.state == GT_STATE_NONE || entry->g.state == old;
}

static enum gt_model_fit fits_run(const struct gt_model *model, const struct gt_event *event,
	const struct g_entry *entry, const struct m_entry *thread)
{
	if (!event->args[2])
		return GT_FIT_NO_P;
	if (!entry)
		return GT_FIT_UNBORN;
	if (!chain_holds(entry, (unsigned int)event->args[1]) || on_m((unsigned int)event->args[1]))
		return GT_FIT_CHAIN;
	/* Without GoReady it kept its M, but for coroutines (and one made parked: its reason is unknown). */
	if (entry->g.state == GT_STATE_WAITING && entry->g.m != event->m && entry->g.reason != GT_REASON_COROUTINE &&
		entry->g.reason != GT_REASON_UNKNOWN)
		return GT_FIT_NOT_HERE;
	if (m_occupant(model, thread, event->args[0]))
		return GT_FIT_M_BUSY;
	if (p_firm_holder(model, event->args[2], event->m))
		return GT_FIT_P_TAKEN;
	return GT_FIT;
}

/* What a goroutine does itself, on its own M, in state @old. */
static enum gt_model_fit fits_own(const struct gt_model *model, const struct gt_event *event,
	const struct g_entry *entry, const struct m_entry *thread, unsigned int old)
{
	if (!entry)
		return GT_FIT_UNBORN;
	if (!chain_holds(entry, old))
		return GT_FIT_CHAIN;
	if (entry->g.state != GT_STATE_NONE && entry->g.m != event->m)
		return GT_FIT_NOT_HERE;
	return m_occupant(model, thread, event->args[0]) ? GT_FIT_M_BUSY : GT_FIT;
}

static enum gt_model_fit fits_state(const struct gt_model *model, const struct gt_event *event,
	const struct g_entry *entry, const struct m_entry *thread)
{
	unsigned int old = (unsigned int)event->args[1], new_ = (unsigned int)event->args[2];

	if (!entry && old != GT_STATE_NONE && old != GT_STATE_DEAD)
		return GT_FIT_UNBORN;
	if (entry && !chain_holds(entry, old))
		return GT_FIT_CHAIN;
	if (entry && on_m(old) && on_m(new_) && entry->g.state != GT_STATE_NONE && entry->g.m != event->m)
		return GT_FIT_NOT_HERE;
	return on_m(new_) && m_occupant(model, thread, event->args[0]) ? GT_FIT_M_BUSY : GT_FIT;
}

/* What a goroutine does in the midst of its work: it is on this M. */
static enum gt_model_fit fits_on_m(const struct gt_model *model, const struct gt_event *event,
	const struct g_entry *entry, const struct m_entry *thread)
{
	if (!event->args[0])
		return GT_FIT;
	if (!entry)
		return GT_FIT_UNBORN;
	if (entry->g.state == GT_STATE_NONE)
		return m_occupant(model, thread, event->args[0]) ? GT_FIT_M_BUSY : GT_FIT;
	return on_m(entry->g.state) && entry->g.m == event->m ? GT_FIT : GT_FIT_NOT_HERE;
}

static enum gt_model_fit fits_result(const struct gt_model *model, const struct gt_event *event,
	const struct g_entry *entry, const struct m_entry *thread)
{
	if (thread && thread->m.call && thread->m.call != event->args[1] + 2)
		return GT_FIT_NO_CALL;
	return fits_on_m(model, event, entry, thread);
}

/* Told of one that lives and does not run. */
static enum gt_model_fit fits_stack(const struct g_entry *entry)
{
	if (!entry)
		return GT_FIT_UNBORN;
	return entry->g.state == GT_STATE_RUNNING ? GT_FIT_CHAIN : GT_FIT;
}

static enum gt_model_fit fits_other(const struct g_entry *entry, unsigned int old)
{
	if (!entry)
		return GT_FIT_UNBORN;
	return chain_holds(entry, old) ? GT_FIT : GT_FIT_CHAIN;
}

/* Of a goroutine whose last event told what the next is. */
static bool as_told(const struct gt_event *event, const struct g_entry *entry)
{
	if (!entry || entry->g.told == GT_TOLD_NOTHING)
		return true;
	if (entry->g.told == GT_TOLD_WAIT)
		return event->kind == GT_EV_GO_BLOCK || event->kind == GT_EV_WAITS_ON;
	return event->kind == GT_EV_GO_READY && !event->args[2];
}

/* The kinds that change a goroutine's state, or tell of its next one. Goroutine 0 is none: the scheduler's own stack. */
static enum gt_model_fit fits_goroutine(const struct gt_model *model, const struct gt_event *event,
	const struct g_entry *entry, const struct m_entry *thread)
{
	enum gt_model_fit fit = GT_FIT;

	if (!event->args[0])
		return GT_FIT;
	switch (event->kind) {
	case GT_EV_GO_CREATE:
		fit = entry ? GT_FIT_REBORN : GT_FIT;
		break;
	case GT_EV_GO_RUN:
		fit = fits_run(model, event, entry, thread);
		break;
	case GT_EV_GO_BLOCK:
	case GT_EV_GO_YIELD:
	case GT_EV_GO_END:
	case GT_EV_GO_SYSCALL:
	case GT_EV_WAITS_ON:
		fit = fits_own(model, event, entry, thread, GT_STATE_RUNNING);
		break;
	case GT_EV_WAKE_CAUSE:
		fit = fits_other(entry, GT_STATE_WAITING);
		break;
	case GT_EV_GO_SYSEXIT:
		fit = fits_own(model, event, entry, thread, GT_STATE_SYSCALL);
		break;
	case GT_EV_GO_READY:
		fit = fits_other(entry, (unsigned int)event->args[1]);
		break;
	case GT_EV_GO_STATE:
		fit = fits_state(model, event, entry, thread);
		break;
	default:
		break;
	}
	return fit == GT_FIT && !as_told(event, entry) ? GT_FIT_TOLD : fit;
}

/* Whose entry an event's first argument names; of other kinds NULL. */
static inline struct g_entry *g_of(const struct gt_model *model, const struct gt_event *event)
{
	switch (event->kind) {
	case GT_EV_WAITS_ON:
	case GT_EV_WAKE_CAUSE:
	case GT_EV_GO_STACK:
	case GT_EV_SYSCALL_INFO:
	case GT_EV_SYSCALL_LONG:
	case GT_EV_SYSCALL_STACK:
	case GT_EV_SYSCALL_RESULT:
	case GT_EV_ALLOC:
	case GT_EV_FREE:
		return g_find(model, event->args[0]);
	default:
		return event->kind <= GT_EV_GO_STATE ? g_find(model, event->args[0]) : NULL;
	}
}

static inline enum gt_model_fit fits(const struct gt_model *model, const struct gt_event *event,
	const struct g_entry *entry, const struct m_entry *thread)
{
	switch (event->kind) {
	case GT_EV_WAITS_ON:
	case GT_EV_WAKE_CAUSE:
		return fits_goroutine(model, event, entry, thread);
	case GT_EV_P_START:
	case GT_EV_P_STOP:
	case GT_EV_P_IDLE:
		return p_firm_holder(model, event->args[0], event->m) ? GT_FIT_P_TAKEN : GT_FIT;
	case GT_EV_GO_STACK:
		return fits_stack(entry);
	case GT_EV_SYSCALL_RESULT:
		return fits_result(model, event, entry, thread);
	case GT_EV_SYSCALL_INFO:
	case GT_EV_SYSCALL_LONG:
	case GT_EV_SYSCALL_STACK:
	case GT_EV_ALLOC:
	case GT_EV_FREE:
		return fits_on_m(model, event, entry, thread);
	default:
		return event->kind <= GT_EV_GO_STATE ? fits_goroutine(model, event, entry, thread) : GT_FIT;
	}
}

enum gt_model_fit gt_model_fits(const struct gt_model *model, const struct gt_event *event)
{
	return fits(model, event, g_of(model, event), m_find(model, event->m));
}

int64_t gt_model_fit_since(const struct gt_model *model, const struct gt_event *event, enum gt_model_fit fit)
{
	const struct g_entry *entry = g_find(model, event->args[0]);
	const struct m_entry *holder;

	switch (fit) {
	case GT_FIT_CHAIN:
	case GT_FIT_NOT_HERE:
	case GT_FIT_TOLD:
		break;
	case GT_FIT_NO_CALL:
		holder = m_find(model, event->m);
		return holder ? holder->call_ns : INT64_MIN;
	case GT_FIT_M_BUSY:
		entry = m_occupant(model, m_find(model, event->m), event->args[0]);
		break;
	case GT_FIT_P_TAKEN:
		holder = p_firm_holder(model, event->kind == GT_EV_GO_RUN ? event->args[2] : event->args[0], event->m);
		entry = holder ? g_find(model, holder->m.g) : NULL;
		break;
	default:
		return INT64_MIN;
	}
	return entry ? entry->g.since_ns : INT64_MIN;
}

/* ---- why not ---- */

static unsigned int old_state(const struct gt_event *event)
{
	switch (event->kind) {
	case GT_EV_GO_RUN:
	case GT_EV_GO_READY:
	case GT_EV_GO_STATE:
		return (unsigned int)event->args[1];
	case GT_EV_GO_SYSEXIT:
		return GT_STATE_SYSCALL;
	case GT_EV_WAKE_CAUSE:
	case GT_EV_GO_STACK:
		return GT_STATE_WAITING;
	default:
		return GT_STATE_RUNNING;
	}
}

static void explain_chain(const struct gt_event *event, const struct g_entry *entry, char *text, size_t size)
{
	const char *name = event->kind < GT_EVENT_KIND_COUNT ? gt_event_specs[event->kind].text : NULL;
	int used = snprintf(text, size, "%s needs goroutine %llu %s, but it is %s", name ? name : "?",
		(unsigned long long)event->args[0], gt_state_text(old_state(event)),
		entry ? gt_state_text(entry->g.state) : "?");

	if (used < 0 || (size_t)used >= size || !entry)
		return;
	if (on_m(entry->g.state))
		snprintf(text + used, size - (size_t)used, " on M %llu", (unsigned long long)entry->g.m);
	else if (entry->g.state == GT_STATE_WAITING)
		snprintf(text + used, size - (size_t)used, " (%s)", gt_reason_text(entry->g.reason));
}

void gt_model_explain(
	const struct gt_model *model, const struct gt_event *event, enum gt_model_fit fit, char *text, size_t size)
{
	const struct g_entry *entry = g_find(model, event->args[0]);
	unsigned long long g = event->args[0], m = event->m;
	unsigned long long p = event->kind == GT_EV_GO_RUN ? event->args[2] : event->args[0];
	const struct m_entry *holder;
	const struct g_entry *other;

	switch (fit) {
	case GT_FIT:
	case GT_FIT_COUNT:
		snprintf(text, size, "it fits");
		break;
	case GT_FIT_CHAIN:
		explain_chain(event, entry, text, size);
		break;
	case GT_FIT_UNBORN:
		snprintf(text, size, "goroutine %llu was never created, or has ended", g);
		break;
	case GT_FIT_REBORN:
		snprintf(text, size, "goroutine %llu was created before and is %s", g,
			entry ? gt_state_text(entry->g.state) : "?");
		break;
	case GT_FIT_M_BUSY:
		other = m_occupant(model, m_find(model, event->m), event->args[0]);
		snprintf(text, size, "M %llu has goroutine %llu on it, %s", m,
			other ? (unsigned long long)other->g.g : 0, other ? gt_state_text(other->g.state) : "?");
		break;
	case GT_FIT_P_TAKEN:
		holder = p_firm_holder(model, p, event->m);
		snprintf(text, size, "P %llu is held by M %llu, which runs goroutine %llu", p - 1,
			holder ? (unsigned long long)holder->m.m : 0, holder ? (unsigned long long)holder->m.g : 0);
		break;
	case GT_FIT_TOLD:
		snprintf(text, size, "%s of goroutine %llu follows %s, which told of %s",
			gt_event_specs[event->kind].text, g,
			entry && entry->g.told == GT_TOLD_WAIT ? "WaitsOn" : "WakeCause",
			entry && entry->g.told == GT_TOLD_WAIT ? "GoBlock" : "GoReady by none");
		break;
	case GT_FIT_NO_CALL:
		holder = m_find(model, event->m);
		if (holder && holder->m.call > 1)
			snprintf(text, size, "M %llu is in system call %llu, not in %llu", m,
				(unsigned long long)holder->m.call - 2, (unsigned long long)event->args[1]);
		else
			snprintf(text, size, "M %llu is in no system call", m);
		break;
	case GT_FIT_NO_P:
		snprintf(text, size, "goroutine %llu starts to run without a P", g);
		break;
	case GT_FIT_NOT_HERE:
		snprintf(text, size, "goroutine %llu is %s on M %llu, not on M %llu", g,
			entry ? gt_state_text(entry->g.state) : "?", entry ? (unsigned long long)entry->g.m : 0, m);
		break;
	}
}

/* ---- apply ---- */

static void recount(struct gt_model *model, struct m_entry *thread)
{
	bool counted = thread->m.g && thread->m.p && g_at(model, thread->g_index)->g.state == GT_STATE_RUNNING;

	if (counted != thread->counted) {
		model->counts.slots_running += counted ? 1 : (uint64_t)-1;
		thread->counted = counted;
	}
}

static void p_release(struct gt_model *model, struct m_entry *thread)
{
	struct p_entry *slot = thread->m.p ? p_find(model, thread->m.p) : NULL;

	if (slot && slot->p.held && slot->p.m == thread->m.m)
		slot->p.held = false;
	thread->m.p = 0;
	thread->loose = false;
	recount(model, thread);
}

/* From whoever has it. */
static void p_free(struct gt_model *model, struct p_entry *slot)
{
	struct m_entry *holder = slot->p.held ? m_find(model, slot->p.m) : NULL;

	if (holder && holder->m.p == slot->p.p)
		p_release(model, holder);
	slot->p.held = false;
}

static void p_take(struct gt_model *model, struct m_entry *thread, uint64_t p)
{
	struct p_entry *slot = p_need(model, p);

	if (!slot)
		return;
	if (!slot->p.held || slot->p.m != thread->m.m || thread->m.p != p) {
		p_free(model, slot);
		p_release(model, thread);
		slot->p.held = true;
		slot->p.m = thread->m.m;
		thread->m.p = p;
	}
	slot->p.idle = false;
	thread->loose = false;
	recount(model, thread);
}

static void set_state(struct gt_model *model, struct g_entry *entry, unsigned int state, int64_t time_ns)
{
	if (state >= GT_STATE_COUNT)
		state = GT_STATE_NONE;
	model->counts.goroutines[entry->g.state]--;
	model->counts.goroutines[state]++;
	entry->g.state = (uint8_t)state;
	entry->g.since_ns = time_ns;
	entry->g.told = GT_TOLD_NOTHING;
}

/* Off the M that it is on, if any; that is @near, most of all. */
static void g_leave(struct gt_model *model, struct g_entry *entry, struct m_entry *near)
{
	struct m_entry *thread = near;

	if (!on_m(entry->g.state))
		return;
	if (entry->g.m != near->m.m)
		thread = m_find(model, entry->g.m);
	if (thread && thread->m.g == entry->g.g) {
		thread->m.g = 0;
		recount(model, thread);
	}
}

static void g_settle(struct gt_model *model, struct g_entry *entry, struct m_entry *thread)
{
	struct g_entry *other = thread->m.g && thread->m.g != entry->g.g ? g_at(model, thread->g_index) : NULL;

	if (on_m(entry->g.state) && entry->g.m != thread->m.m)
		g_leave(model, entry, thread);
	if (other) /* it must have left unseen */
		set_state(model, other, GT_STATE_NONE, other->g.since_ns);
	thread->m.g = entry->g.g;
	thread->g_index = (uint32_t)(entry - (struct g_entry *)model->gs.entries);
	entry->g.m = thread->m.m;
}

/* @entry goes to @state by an event on @thread. */
static void g_move(
	struct gt_model *model, struct g_entry *entry, struct m_entry *thread, unsigned int state, int64_t time_ns)
{
	if (on_m(state)) {
		g_settle(model, entry, thread);
	} else {
		g_leave(model, entry, thread);
		if (thread->m.g == entry->g.g)
			thread->m.g = 0;
	}
	if (!on_m(entry->g.state) && state == GT_STATE_WAITING && entry->g.state == GT_STATE_NONE)
		entry->g.m = thread->m.m;
	set_state(model, entry, state, time_ns);
	entry->g.p = on_m(state) ? thread->m.p : 0;
	recount(model, thread);
}

static void apply_goroutine(
	struct gt_model *model, const struct gt_event *event, struct g_entry *entry, struct m_entry *thread)
{
	int64_t now = event->time_ns;

	if (!entry)
		entry = g_need(model, event->args[0]);
	if (!entry)
		return;
	switch (event->kind) {
	case GT_EV_GO_CREATE:
		g_move(model, entry, thread, (unsigned int)event->args[1], now);
		entry->g.reason = GT_REASON_UNKNOWN;
		entry->g.by = 0;
		break;
	case GT_EV_GO_RUN:
		if (event->args[2])
			p_take(model, thread, event->args[2]);
		g_move(model, entry, thread, GT_STATE_RUNNING, now);
		break;
	case GT_EV_GO_BLOCK:
	case GT_EV_GO_YIELD:
		if (event->kind != GT_EV_GO_BLOCK || entry->g.told != GT_TOLD_WAIT)
			entry->g.what = GT_OBJECT_NONE;
		g_move(model, entry, thread, event->kind == GT_EV_GO_BLOCK ? GT_STATE_WAITING : GT_STATE_RUNNABLE, now);
		entry->g.reason = (uint8_t)(event->args[1] < GT_REASON_COUNT ? event->args[1] : 0);
		entry->g.by = 0;
		break;
	case GT_EV_GO_READY:
		if (entry->g.told != GT_TOLD_WAKE)
			entry->g.cause = GT_CAUSE_NONE;
		g_move(model, entry, thread, GT_STATE_RUNNABLE, now);
		entry->g.by = event->args[2];
		break;
	case GT_EV_GO_END:
		g_leave(model, entry, thread);
		g_drop(model, entry);
		break;
	case GT_EV_GO_SYSCALL:
		g_move(model, entry, thread, GT_STATE_SYSCALL, now);
		thread->loose = true;
		break;
	case GT_EV_GO_SYSEXIT:
		g_move(model, entry, thread, (unsigned int)event->args[1], now);
		if (event->args[1] != GT_STATE_RUNNING)
			p_release(model, thread);
		break;
	case GT_EV_GO_STATE:
		g_move(model, entry, thread, (unsigned int)event->args[2], now);
		entry->g.reason = (uint8_t)(event->args[3] < GT_REASON_COUNT ? event->args[3] : 0);
		if (event->args[2] == GT_STATE_SYSCALL)
			thread->loose = true;
		else if (event->args[2] == GT_STATE_DEAD)
			g_drop(model, entry);
		break;
	default:
		break;
	}
}

/* What is told of a goroutine's next event, or of what its M does in the kernel. */
static void apply_told(
	struct gt_model *model, const struct gt_event *event, struct g_entry *entry, struct m_entry *thread)
{
	if (event->kind == GT_EV_SYSCALL_INFO || event->kind == GT_EV_SYSCALL_LONG ||
		event->kind == GT_EV_SYSCALL_RESULT) {
		thread->m.call = event->kind == GT_EV_SYSCALL_RESULT ? 1 : event->args[1] + 2;
		thread->call_ns = event->time_ns;
		return;
	}
	if (!entry && event->args[0])
		entry = g_need(model, event->args[0]);
	if (!entry)
		return;
	if (event->kind == GT_EV_WAITS_ON) {
		if (entry->g.state == GT_STATE_NONE)
			g_move(model, entry, thread, GT_STATE_RUNNING, event->time_ns);
		entry->g.told = GT_TOLD_WAIT;
		entry->g.what = (uint8_t)(event->args[1] < GT_OBJECT_COUNT ? event->args[1] : GT_OBJECT_NONE);
		entry->g.object = event->args[2];
		entry->g.holder = event->args[3];
	} else {
		entry->g.told = GT_TOLD_WAKE;
		entry->g.cause = (uint8_t)(event->args[1] < GT_CAUSE_COUNT ? event->args[1] : GT_CAUSE_NONE);
	}
}

/* What the M did unseen: its goroutine may be anywhere, its P anyone's. */
static void apply_lost(struct gt_model *model, struct m_entry *thread, int64_t time_ns)
{
	struct g_entry *entry = thread->m.g ? g_at(model, thread->g_index) : NULL;

	if (entry)
		set_state(model, entry, GT_STATE_NONE, time_ns);
	thread->m.g = 0;
	thread->m.call = 0;
	p_release(model, thread);
}

static void apply_slot(struct gt_model *model, const struct gt_event *event, struct m_entry *thread)
{
	struct p_entry *slot = event->args[0] ? p_need(model, event->args[0]) : NULL;
	struct g_entry *entry;

	if (!slot)
		return;
	if (event->kind == GT_EV_P_START) {
		p_take(model, thread, event->args[0]);
		entry = thread->m.g ? g_at(model, thread->g_index) : NULL;
		if (entry)
			entry->g.p = event->args[0];
		return;
	}
	p_free(model, slot);
	if (event->kind == GT_EV_P_IDLE)
		slot->p.idle = true;
}

static inline void apply(
	struct gt_model *model, const struct gt_event *event, struct g_entry *entry, struct m_entry *thread)
{
	thread->m.idle = event->kind == GT_EV_M_IDLE;
	switch (event->kind) {
	case GT_EV_M_START:
		thread->m.ended = false;
		break;
	case GT_EV_M_IDLE:
		break;
	case GT_EV_M_END:
		thread->m.ended = true;
		break;
	case GT_EV_P_START:
	case GT_EV_P_STOP:
	case GT_EV_P_IDLE:
		apply_slot(model, event, thread);
		break;
	case GT_EV_LOST:
		apply_lost(model, thread, event->time_ns);
		break;
	case GT_EV_WAITS_ON:
	case GT_EV_WAKE_CAUSE:
	case GT_EV_SYSCALL_INFO:
	case GT_EV_SYSCALL_LONG:
	case GT_EV_SYSCALL_RESULT:
		apply_told(model, event, entry, thread);
		break;
	default:
		if (event->kind <= GT_EV_GO_STATE && event->args[0])
			apply_goroutine(model, event, entry, thread);
		break;
	}
}

void gt_model_apply(struct gt_model *model, const struct gt_event *event)
{
	struct m_entry *thread = gt_m_is_kernel(event->m) ? NULL : m_need(model, event->m);

	if (thread)
		apply(model, event, g_of(model, event), thread);
}

enum gt_model_fit gt_model_take(struct gt_model *model, const struct gt_event *event)
{
	struct m_entry *thread = gt_m_is_kernel(event->m) ? NULL : m_need(model, event->m);
	struct g_entry *entry = g_of(model, event);
	enum gt_model_fit fit = fits(model, event, entry, thread);

	if (fit == GT_FIT && thread)
		apply(model, event, entry, thread);
	return fit;
}

/* ---- looking ---- */

struct gt_model_g *gt_model_goroutine(const struct gt_model *model, uint64_t g)
{
	struct g_entry *entry = g_find(model, g);

	return entry ? &entry->g : NULL;
}

struct gt_model_m *gt_model_thread(const struct gt_model *model, uint64_t m)
{
	struct m_entry *entry = m_find(model, m);

	return entry ? &entry->m : NULL;
}

struct gt_model_p *gt_model_slot(const struct gt_model *model, uint64_t p)
{
	struct p_entry *entry = p_find(model, p);

	return entry ? &entry->p : NULL;
}

const struct gt_model_counts *gt_model_counts(const struct gt_model *model)
{
	return &model->counts;
}

bool gt_model_goroutines(const struct gt_model *model, size_t *at, struct gt_model_g **out)
{
	while (*at < model->gs.count) {
		struct g_entry *entry = g_at(model, (uint32_t)(*at)++);

		if (entry->live) {
			*out = &entry->g;
			return true;
		}
	}
	return false;
}
