/*
 * found.c - goroutines that lived before the first record: told at the moment at which the records begin.
 *
 * They were read from a running program, some time after its hooks began to record. So what the records say comes first: the old
 * state of a goroutine's first event is the state it had when they began. Only of one without an event is the state that was read
 * the state it had: nothing has changed it. (A record is written before the change it tells of: a state that was read early
 * cannot belong to a record that is missing.)
 */
#include "libtrace/collector_internal.h"

#include "libtrace/stack_table.h"
#include "libtrace/walk.h"

#include <errno.h>
#include <gtrace/hooks.h>
#include <stdlib.h>
#include <string.h>

/* The first event of a goroutine. */
struct first {
	uint64_t ticks;
	uint32_t m;
	uint8_t old;  /* enum gt_state; NONE: it was created */
	bool keeps_m; /* the event is one of its own M */
};

struct firsts {
	struct gt_map map; /* g -> index */
	struct first *list;
	size_t count, room;
};

static bool old_state(const struct gt_event *event, uint8_t *old)
{
	switch (event->kind) {
	case GT_EV_GO_CREATE:
		*old = GT_STATE_NONE;
		return true;
	case GT_EV_GO_RUN:
	case GT_EV_GO_READY:
	case GT_EV_GO_STATE:
		*old = (uint8_t)event->args[1];
		return true;
	case GT_EV_GO_BLOCK:
	case GT_EV_GO_YIELD:
	case GT_EV_GO_END:
	case GT_EV_GO_SYSCALL:
		*old = GT_STATE_RUNNING;
		return true;
	case GT_EV_GO_SYSEXIT:
		*old = GT_STATE_SYSCALL;
		return true;
	default:
		return false;
	}
}

static int note_first(struct firsts *firsts, const struct gt_event *event, uint32_t m)
{
	struct first first = {.ticks = event->ticks, .m = m, .keeps_m = event->kind == GT_EV_GO_RUN};
	uint64_t *index;

	if (!old_state(event, &first.old))
		return 0;
	index = gt_map_find(&firsts->map, event->args[0]);
	if (index) {
		if (event->ticks < firsts->list[*index].ticks)
			firsts->list[*index] = first;
		return 0;
	}
	if (firsts->count == firsts->room) {
		size_t room = firsts->room ? firsts->room * 2 : 1024;
		struct first *list = realloc(firsts->list, room * sizeof(*list));

		if (!list)
			return -ENOMEM;
		firsts->list = list;
		firsts->room = room;
	}
	firsts->list[firsts->count] = first;
	return gt_map_put(&firsts->map, event->args[0], firsts->count++);
}

static int note_views(struct gt_collector *c, struct firsts *firsts)
{
	struct gt_event events[GT_DECODE_EVENTS_MAX];
	struct gt_decoder decoder = {0};
	int ret = 0;

	for (uint32_t i = 0; i < c->copy.view_count && ret >= 0; i++) {
		const struct gt_view *view = &c->copy.views[i];
		struct gt_walk walk = {0};
		struct gt_record record;

		if (!i || view->m != view[-1].m)
			gt_decoder_clear(&decoder);
		while (ret >= 0 && gt_walk_next(&walk, view, true, &record) > 0) {
			int count = gt_decode(&decoder, c->config.wait_reasons, &record, events);

			/* Of what was written during the copy some is in it and some is not. */
			for (int j = 0; j < count && ret >= 0; j++)
				if (events[j].ticks < c->copy.ticks)
					ret = note_first(firsts, &events[j], view->m);
		}
	}
	gt_decoder_clear(&decoder);
	return ret;
}

/* Puts the state that it had when the records began in place of the one that was read. False: it was created since. */
static bool settle(const struct firsts *firsts, struct gt_found *found)
{
	uint64_t *index = gt_map_find(&firsts->map, found->g);
	const struct first *first;

	if (!index)
		return true;
	first = &firsts->list[*index];
	if (first->old == GT_STATE_NONE)
		return false;
	if (found->state != GT_STATE_WAITING || first->old != GT_STATE_WAITING)
		found->reason = GT_REASON_UNKNOWN;
	/* One that is woken by another M waits on none; one that runs on without a wake-up kept its M. */
	found->m = first->old == GT_STATE_WAITING && !first->keeps_m ? 0 : first->m;
	found->state = first->old;
	found->stack = 0; /* read before or after the event: nobody knows */
	found->p = 0;
	found->fresh = false;
	return true;
}

static bool on_m(const struct gt_found *found)
{
	return found->state == GT_STATE_RUNNING || found->state == GT_STATE_SYSCALL;
}

static int by_m(const void *left, const void *right)
{
	const struct gt_found *a = left, *b = right;

	return a->m != b->m ? (a->m < b->m ? -1 : 1) : a->g < b->g ? -1 : a->g > b->g;
}

static int write_state(struct gt_writer *writer, const struct gt_found *found, uint64_t ticks)
{
	const uint64_t args[GT_EVENT_ARGS_MAX] = {found->g, GT_STATE_NONE, found->state, found->reason};
	const uint64_t stack[GT_EVENT_ARGS_MAX] = {found->g, found->stack};
	const uint64_t slot[GT_EVENT_ARGS_MAX] = {found->p};
	int ret = 0;

	if (found->p && found->state == GT_STATE_RUNNING)
		ret = gt_writer_event(writer, GT_EV_P_START, ticks, slot);
	if (ret >= 0)
		ret = gt_writer_event(writer, GT_EV_GO_STATE, ticks, args);
	return ret < 0 || !found->stack ? ret : gt_writer_event(writer, GT_EV_GO_STACK, ticks, stack);
}

int gt__states_write(
	struct gt_collector *c, struct gt_writer *writer, const struct gt_found *list, size_t count, uint64_t ticks)
{
	int ret = 0;

	for (size_t i = 0; i < count && ret >= 0; i++)
		ret = gt__collector_name_stack(c, writer, list[i].stack);
	for (size_t i = 0; i < count && ret >= 0;) {
		uint64_t m = list[i].m;

		ret = gt_writer_events_begin(writer, m, ticks);
		for (; i < count && list[i].m == m && ret >= 0; i++)
			ret = write_state(writer, &list[i], ticks);
		if (ret >= 0)
			ret = gt_writer_events_end(writer);
	}
	return ret;
}

int gt__found_write_states(struct gt_collector *c, struct gt_writer *writer)
{
	return gt__states_write(c, writer, c->found, c->found_count, c->found_ticks);
}

static int write_names(struct gt_collector *c, struct gt_writer *writer)
{
	int ret = 0;

	for (size_t i = 0; i < c->found_count && ret >= 0; i++) {
		const struct gt_found *found = &c->found[i];
		uint64_t start = found->start_pc ? found->start_pc - c->slide : 0;
		uint64_t site = found->site_pc ? found->site_pc - 1 - c->slide : 0;

		ret = gt__collector_pc(c, writer, start);
		if (ret >= 0)
			ret = gt__collector_pc(c, writer, site);
		if (ret >= 0)
			ret = gt_writer_goroutine(writer, found->g, found->parent, start, site);
	}
	return ret;
}

static int keep(struct gt_collector *c, const struct firsts *firsts, const struct gt_found *list, size_t count)
{
	int ret = 0;

	c->found = malloc((count + 1) * sizeof(*c->found));
	if (!c->found)
		return -ENOMEM;
	for (size_t i = 0; i < count && ret >= 0; i++) {
		struct gt_found *found = &c->found[c->found_count];

		*found = list[i];
		if (!settle(firsts, found))
			continue;
		/* One whose M is not known does not run any more: it was met in the midst of a change. */
		if (on_m(found) && found->m >= c->memory->m_count)
			continue;
		if (!on_m(found) && found->m >= c->memory->m_count)
			found->m = 0;
		if (found->m >= c->ms_seen)
			c->ms_seen = (uint32_t)found->m + 1;
		if (found->fresh)
			ret = gt_map_put(&c->fresh, found->g, 1);
		c->found_count++;
	}
	qsort(c->found, c->found_count, sizeof(*c->found), by_m);
	return ret;
}

static void tell_triggers(struct gt_collector *c, const struct gt_found *found)
{
	const struct gt_event event = {.kind = GT_EV_GO_STATE,
		.ticks = c->found_ticks,
		.args = {found->g, GT_STATE_NONE, found->state, found->reason}};

	if (c->triggers)
		gt_triggers_event(c->triggers, &event);
}

int gt_collector_found(struct gt_collector *c, struct gt_writer *writer, uint64_t ticks, const struct gt_found *list,
	size_t count, bool settled)
{
	struct firsts firsts = {0};
	struct gt_error err;
	int ret = gt_copy_take(c->memory, &c->copy, &err);

	if (ret >= 0)
		ret = note_views(c, &firsts);
	c->found_ticks = ticks;
	if (ret >= 0)
		ret = keep(c, &firsts, list, count);
	gt_map_free(&firsts.map);
	free(firsts.list);
	c->totals.goroutines += c->found_count;
	if (ret < 0 || !writer) {
		for (size_t i = 0; i < c->found_count; i++) {
			gt__name_found(c, &c->found[i]);
			tell_triggers(c, &c->found[i]);
		}
		return ret;
	}
	gt_copy_free(&c->copy);
	memset(&c->copy, 0, sizeof(c->copy));
	ret = write_names(c, writer);
	/* A change was under way: what contradicts what is told here is no damage. */
	if (ret >= 0 && !settled)
		ret = gt_writer_since(writer, 0, ticks + 1);
	if (ret >= 0)
		ret = gt__found_write_states(c, writer);
	gt__found_free(c);
	return ret;
}

uint32_t gt_collector_stack(struct gt_collector *c, const uint64_t *pcs, size_t count)
{
	const struct gt_memory *memory = c->memory;
	struct gt_stack_slot *slots = (struct gt_stack_slot *)((char *)memory->shm + memory->stacks_offset);
	_Atomic uint32_t *arena = (_Atomic uint32_t *)((char *)memory->shm + memory->arena_offset);
	uint64_t size = memory->text_end - memory->text_base, hash = GT_STACK_HASH_SEED, at;
	uint32_t frames[GT_STACK_FRAMES_MAX], used = 0, slot;

	if (!memory->stack_slot_count || !memory->stack_depth)
		return 0;
	for (; used < count && used < memory->stack_depth && used < GT_STACK_FRAMES_MAX; used++) {
		uint64_t frame = pcs[used] - c->slide - memory->text_base;

		if (frame >= size || frame > UINT32_MAX)
			break;
		frames[used] = (uint32_t)frame;
		hash = gt_stack_hash_step(hash, frames[used]);
	}
	if (!used)
		return 0;
	hash = gt_stack_hash_end(hash);
	slot = gt_stack_home(hash) & (memory->stack_slot_count - 1);
	for (uint32_t probe = 0; probe < GT_STACK_PROBES_MAX;
		probe++, slot = (slot + 1) & (memory->stack_slot_count - 1)) {
		uint64_t seen = 0;

		if (atomic_load(&memory->shm->arena_used) + used + 1 > memory->arena_words)
			break;
		if (!atomic_compare_exchange_strong(&slots[slot].hash, &seen, hash)) {
			if (seen == hash)
				return slot;
			continue;
		}
		at = atomic_fetch_add(&memory->shm->arena_used, used + 1);
		/* The program may write anything there: what is used is what was checked. */
		if (at + used + 1 > memory->arena_words || at + used + 1 < at)
			break;
		atomic_store(&arena[at], used);
		for (uint32_t i = 0; i < used; i++)
			atomic_store(&arena[at + 1 + i], frames[i]);
		atomic_store_explicit(&slots[slot].arena, (uint32_t)at, memory_order_release); /* [stack] */
		return slot;
	}
	atomic_fetch_add(&memory->shm->stacks_lost, 1);
	return 0;
}

struct gt_found gt__found_of(const struct gt_hook_alive *alive, uint32_t m)
{
	return (struct gt_found){
		.g = alive->g,
		.parent = alive->parent,
		.start_pc = (uintptr_t)alive->start,
		.m = alive->m ? alive->m - 1 : m,
		.p = alive->p,
		.state = alive->state,
		.reason = alive->reason,
		.stack = alive->stack,
	};
}

int gt_collector_alive_kept(struct gt_collector *c, const struct gt_hook_alive *alive, size_t count, uint32_t m)
{
	struct gt_found *list = realloc(c->found, (c->found_count + count + 1) * sizeof(*list));

	if (!list)
		return -ENOMEM;
	c->found = list;
	c->found_ticks = c->since;
	for (size_t i = 0; i < count; i++) {
		list[c->found_count] = gt__found_of(&alive[i], m);
		gt__name_found(c, &list[c->found_count]);
		tell_triggers(c, &list[c->found_count++]);
	}
	c->totals.goroutines += count;
	qsort(c->found, c->found_count, sizeof(*c->found), by_m);
	return 0;
}

/* Its creation is still to be recorded: it is known already. */
bool gt__found_created(struct gt_collector *c, const struct gt_event *event)
{
	return c->fresh.slots && event->kind == GT_EV_GO_CREATE && gt_map_find(&c->fresh, event->args[0]);
}

void gt__found_free(struct gt_collector *c)
{
	free(c->found);
	c->found = NULL;
	c->found_count = 0;
}
