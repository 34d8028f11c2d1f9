/*
 * snapshot.c - flight: the names that must outlive their events, and the copy of a window.
 *
 * The copy itself (walk.h) writes nothing into the shared memory and takes no lock: N snapshots of a resting program are
 * equal. Following reads sealed blocks where they are, in the same way.
 */
#include "libtrace/collector_internal.h"

#include "libtrace/refill.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TICKET_MASK (((uint64_t)1 << (64 - GT_TICKET_SHIFT)) - 1)

/* ---- names ---- */

/* Goroutines that ended are remembered in the order of their end, until no held event is so old. */
static void name_forget_ended(struct gt_collector *c, uint64_t oldest_ticks)
{
	struct gt__names *names = &c->names;

	while (names->ended_first != names->ended_end) {
		struct gt__ended *ended = &names->ended[names->ended_first % names->max];
		uint64_t *index;

		if (ended->ticks >= oldest_ticks)
			return;
		index = gt_map_find(&names->map, ended->g);
		if (index) {
			uint32_t at = (uint32_t)*index;

			gt_map_remove(&names->map, ended->g);
			names->entries[at].g = 0;
			names->entries[at].parent = names->free;
			names->free = at;
		}
		names->ended_first++;
	}
}

static void name_born(struct gt_collector *c, const struct gt_event *event)
{
	struct gt__names *names = &c->names;
	uint32_t at = names->free;

	if (gt_map_find(&names->map, event->args[0]))
		return;
	if (at != GT__NAME_NONE)
		names->free = (uint32_t)names->entries[at].parent;
	else if (names->count < names->max)
		at = names->count++;
	if (at == GT__NAME_NONE || gt_map_put(&names->map, event->args[0], at) < 0) {
		names->lost++;
		return;
	}
	names->entries[at] = (struct gt__name){
		.g = event->args[0],
		.parent = event->args[2],
		.start_pc = event->args[3],
		.site_pc = event->args[4],
	};
}

static void name_died(struct gt_collector *c, const struct gt_event *event)
{
	struct gt__names *names = &c->names;

	if (!gt_map_find(&names->map, event->args[0]) || names->ended_end - names->ended_first == names->max)
		return;
	names->ended[names->ended_end++ % names->max] = (struct gt__ended){.g = event->args[0], .ticks = event->ticks};
}

int gt__names_start(struct gt_collector *c, size_t bytes_max)
{
	/* An entry, its place in the map (two thirds full at most, doubled when it grows), its place in the queue of the dead. */
	size_t each = sizeof(struct gt__name) + 4 * sizeof(struct gt_map_slot) + sizeof(struct gt__ended);

	c->names.max = (uint32_t)(bytes_max / each > 64 ? bytes_max / each : 64);
	c->names.free = GT__NAME_NONE;
	c->names.entries = calloc(c->names.max, sizeof(*c->names.entries));
	c->names.ended = calloc(c->names.max, sizeof(*c->names.ended));
	return c->names.entries && c->names.ended ? 0 : -ENOMEM;
}

void gt__names_free(struct gt_collector *c)
{
	gt_map_free(&c->names.map);
	free(c->names.entries);
	free(c->names.ended);
}

/* ---- sealed blocks, looked at where they are ---- */

/* Copies the block of @ticket; false when it was not there, or changed under the copy. */
static bool copy_sealed(struct gt_collector *c, uint64_t ticket, struct gt_block *out)
{
	const struct gt_queue_ref *queue = &c->memory->exchange.sealed;
	_Atomic uint64_t *place = &queue->slots[ticket & queue->slot_mask];
	uint64_t slot = atomic_load_explicit(place, memory_order_acquire); /* pairs with [put] */
	const struct gt_block *block;
	uint64_t id;

	if (gt__ticket_diff(gt__slot_ticket(slot), ticket) != 0 || gt__slot_block(slot) >= c->memory->block_count)
		return false;
	block = gt_shm_block(c->memory, gt__slot_block(slot));
	id = atomic_load_explicit(&block->id, memory_order_acquire);
	memcpy(out, block, sizeof(*out));
	atomic_thread_fence(memory_order_acquire); /* [again] pairs with [seize] */
	return atomic_load_explicit(place, memory_order_relaxed) == slot &&
	       atomic_load_explicit(&block->id, memory_order_relaxed) == id && id &&
	       atomic_load_explicit(&out->id, memory_order_relaxed) == id && GT_BLOCK_ID_M(id) < c->memory->m_count &&
	       atomic_load_explicit(&out->used, memory_order_relaxed) <= sizeof(out->cells);
}

static void sealed_range(struct gt_collector *c, uint64_t *first, uint64_t *end)
{
	uint64_t word = atomic_load_explicit(c->memory->exchange.sealed.word, memory_order_acquire);
	uint64_t length = word & GT_LENGTH_MASK;

	*end = word >> GT_TICKET_SHIFT;
	if (length > c->memory->exchange.sealed.slot_mask + 1)
		length = c->memory->exchange.sealed.slot_mask + 1;
	*first = *end - length;
}

static void follow_block(struct gt_collector *c, const struct gt_block *block)
{
	uint64_t id = atomic_load_explicit(&block->id, memory_order_relaxed);
	struct gt_view view = {
		.cells = block->cells,
		.m = GT_BLOCK_ID_M(id),
		.seq = GT_BLOCK_ID_SEQ(id),
		.t_open = atomic_load_explicit(&block->t_open, memory_order_relaxed),
		.t_max = UINT64_MAX,
		.used = (uint32_t)atomic_load_explicit(&block->used, memory_order_relaxed),
	};
	struct gt__m_state *state = gt__collector_m(c, view.m);
	struct gt_walk walk = {0};
	struct gt_record record;

	if (!state)
		return;
	if (view.m >= c->ms_seen)
		c->ms_seen = view.m + 1;
	while (gt_walk_next(&walk, &view, true, &record) > 0)
		gt__batch_add(c, state, &record);
	for (size_t i = 0; i < c->batch_count; i++) {
		const struct gt_event *event = &c->batch[i];

		c->totals.by_kind[event->kind]++;
		c->totals.events++;
		if (event->kind == GT_EV_GO_CREATE) {
			c->totals.goroutines++;
			name_born(c, event);
		} else if (event->kind == GT_EV_GO_END) {
			name_died(c, event);
		}
	}
	c->batch_count = 0;
}

void gt_collector_follow(struct gt_collector *c)
{
	struct gt_block copy;
	uint64_t first, end, oldest = 0;

	atomic_store_explicit(&c->memory->shm->heartbeat, gt_ticks(), memory_order_relaxed);
	sealed_range(c, &first, &end);
	if (copy_sealed(c, first & TICKET_MASK, &copy))
		oldest = atomic_load_explicit(&copy.t_open, memory_order_relaxed);
	if (c->followed && gt__ticket_diff(c->follow_ticket, first) > 0)
		first = c->follow_ticket;
	for (uint64_t ticket = first; gt__ticket_diff(end, ticket) > 0; ticket++)
		if (copy_sealed(c, ticket & TICKET_MASK, &copy))
			follow_block(c, &copy);
	c->follow_ticket = end;
	c->followed = true;
	for (uint32_t m = c->ms_seen; m < c->memory->m_limit; m++)
		if (atomic_load_explicit(&gt_shm_m(c->memory, m)->pos, memory_order_relaxed))
			c->ms_seen = m + 1;
	for (uint32_t m = 0; m < c->ms_seen; m++)
		gt__collector_reclaim(c, m, true);
	gt__collector_grow(c);
	if (oldest)
		name_forget_ended(c, oldest);
}

/* ---- the copy ---- */

static int write_names(struct gt_collector *c, const struct gt_copy *copy, struct gt_writer *writer)
{
	int ret = 0;

	for (uint32_t i = 0; i < copy->m_count && ret >= 0; i++) {
		const struct gt_copy_m *m = &copy->ms[i];
		bool from_birth = m->count ? copy->views[m->first].seq == 1 : !m->since;

		if (m->tid)
			ret = gt_writer_thread(writer, m->m, m->tid, "");
		if (ret >= 0)
			ret = gt_writer_since(writer, m->m, from_birth ? 0 : m->since);
	}
	for (uint32_t i = 0; i < c->names.count && ret >= 0; i++) {
		const struct gt__name *name = &c->names.entries[i];
		uint64_t start = name->start_pc ? name->start_pc - c->slide : 0;
		uint64_t site = name->site_pc ? name->site_pc - c->slide : 0;

		if (!name->g)
			continue;
		ret = gt__collector_pc(c, writer, start);
		if (ret >= 0)
			ret = gt__collector_pc(c, writer, site);
		if (ret >= 0)
			ret = gt_writer_goroutine(writer, name->g, name->parent, start, site);
	}
	return ret;
}

static int by_time(const void *left, const void *right)
{
	const struct gt_view *a = *(const struct gt_view *const *)left, *b = *(const struct gt_view *const *)right;

	return a->t_open < b->t_open ? -1 : a->t_open > b->t_open;
}

static int write_lost(struct gt_collector *c, struct gt_writer *writer, struct gt__m_state *state, uint32_t m,
	uint64_t ticks, uint64_t lost)
{
	if (lost <= state->lost_told)
		return 0;
	gt__batch_lost(c, state, ticks, lost - state->lost_told);
	state->lost_told = lost;
	return gt__batch_write(c, writer, m);
}

/* What an M lost before its first block, or all if it never had one: said first, as nobody knows how long ago that began. */
static int write_lost_at_birth(
	struct gt_collector *c, const struct gt_copy *copy, struct gt_writer *writer, struct gt__m_state *states)
{
	int ret = 0;

	for (uint32_t i = 0; i < copy->m_count && ret >= 0; i++) {
		const struct gt_copy_m *m = &copy->ms[i];
		const struct gt_view *first = &copy->views[m->first];

		if (!m->count)
			ret = write_lost(c, writer, &states[m->m], m->m, copy->ticks, m->lost);
		else if (first->seq == 1)
			ret = write_lost(c, writer, &states[m->m], m->m, first->t_open, first->lost);
	}
	return ret;
}

/* In order of age, so that each block's begin is a watermark: what follows is younger. */
static int write_views(
	struct gt_collector *c, const struct gt_copy *copy, struct gt_writer *writer, struct gt_snapshot_result *result)
{
	struct gt__m_state *states = calloc(c->memory->m_count, sizeof(*states));
	const struct gt_view **order = calloc(copy->view_count + 1, sizeof(*order));
	const struct gt_copy_m **of = calloc(c->memory->m_count, sizeof(*of));
	int ret = states && order && of ? 0 : -ENOMEM;
	uint64_t newest = 0;

	for (uint32_t i = 0; !ret && i < copy->view_count; i++)
		order[i] = &copy->views[i];
	if (!ret)
		qsort(order, copy->view_count, sizeof(*order), by_time);
	for (uint32_t i = 0; !ret && i < copy->m_count; i++)
		of[copy->ms[i].m] = &copy->ms[i];
	if (!ret)
		ret = write_lost_at_birth(c, copy, writer, states);
	for (uint32_t i = 0; i < copy->view_count && ret >= 0; i++) {
		const struct gt_view *view = order[i];
		struct gt__m_state *state = &states[view->m];
		struct gt_walk walk = {0};
		struct gt_record record;

		gt_writer_watermark(writer, view->t_open);
		if (state->seq && view->lost > state->lost_told)
			gt__batch_lost(c, state, view->t_open, view->lost - state->lost_told);
		state->seq = view->seq;
		state->lost_told = view->lost;
		state->last_ticks = copy->ticks;
		while (gt_walk_next(&walk, view, true, &record) > 0) {
			gt__batch_add(c, state, &record);
			result->kept_bytes += record.words * 8;
			if (record.ticks > newest)
				newest = record.ticks;
			if (record.ticks > state->last_ticks)
				state->last_ticks = record.ticks;
		}
		/* Behind its last block: lost since that was opened. */
		if (of[view->m] && view == &copy->views[of[view->m]->first + of[view->m]->count - 1] &&
			of[view->m]->lost > state->lost_told)
			gt__batch_lost(c, state, state->last_ticks, of[view->m]->lost - state->lost_told);
		result->events += c->batch_count;
		ret = gt__batch_write(c, writer, view->m);
	}
	if (copy->view_count && !ret) {
		uint64_t oldest = order[0]->t_open;

		result->kept_ticks = newest > oldest ? (int64_t)(newest - oldest) : 0;
	}
	free(of);
	free(order);
	free(states);
	return ret;
}

int gt_collector_snapshot(struct gt_collector *c, struct gt_writer *writer, struct gt_snapshot_result *result)
{
	struct gt_collector_totals totals = c->totals;
	struct gt_error err;
	int64_t begin_ns = gt_monotonic_ns();
	int ret = gt_copy_take(c->memory, &c->copy, &err);

	gt__learn_slide(c);
	memset(result, 0, sizeof(*result));
	if (ret < 0)
		return ret;
	result->copy_ns = gt_monotonic_ns() - begin_ns;
	result->blocks_torn = c->copy.torn + c->copy.cut;
	result->whole = true;
	for (uint32_t i = 0; i < c->copy.m_count; i++)
		if (c->copy.ms[i].count && c->copy.views[c->copy.ms[i].first].seq != 1)
			result->whole = false;
	ret = write_names(c, &c->copy, writer);
	if (ret >= 0)
		ret = write_views(c, &c->copy, writer, result);
	/* What was counted along the way was counted when it was followed. */
	c->totals = totals;
	return ret;
}
