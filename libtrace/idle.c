/*
 * idle.c - flight: the blocks of Ms that do not record are taken from them, when so many are open that the window suffers.
 *
 *   ask all of them, one membarrier, take:   a writer that wakes meanwhile keeps its block (walk.h)
 *   little in it, nothing of this M in the ring:   its records go to the attic, the block to the free ones
 *   else:                                          it is sealed as it is
 *
 * The attic is a piece of the collector's memory, used in turn: runs of records, each with its block's header, oldest first. Without it
 * a thousand threads that say one thing each would push a thousand blocks of others' history out of the ring.
 *
 * Only Ms without a block in the ring: what a copy of the ring holds of an M has no gap (gt_copy_take), and is
 * younger than what the attic and the history hold of it.
 */
#include "libtrace/collector_internal.h"

#include "libtrace/refill.h"

#include <stdlib.h>
#include <string.h>

/* More is worth a block of the ring. */
#define ATTIC_USED_MAX (GT_BLOCK_CELL_BYTES / 2)
/* So long without a record is idle; less is enough when blocks are short. */
#define IDLE_MS        100
#define IDLE_MS_HUNGRY 2

/* ---- the attic ---- */

struct run {
	uint32_t bytes; /* all of it; 0: the rest of the memory is unused, go on at its begin */
	uint32_t used;
	uint64_t id, t_open, t_max, lost;
	uint64_t cells[];
};

static struct run *run_at(const struct gt__attic *attic, size_t at)
{
	return (struct run *)(void *)(attic->memory + at);
}

static size_t skip_unused(const struct gt__attic *attic, size_t at)
{
	return at + sizeof(struct run) > attic->bytes_max || run_at(attic, at)->bytes == 0 ? 0 : at;
}

static void drop_oldest(struct gt__attic *attic)
{
	size_t bytes = run_at(attic, attic->first)->bytes;

	if (--attic->count)
		attic->first = skip_unused(attic, attic->first + bytes);
	else
		attic->first = attic->end = 0;
}

/* Room for @bytes, at most the attic's, in one piece. */
static struct run *make_room(struct gt__attic *attic, size_t bytes)
{
	if (attic->end + bytes > attic->bytes_max) {
		/* The rest stays unused; the runs behind the end are the oldest. */
		while (attic->count && attic->first >= attic->end)
			drop_oldest(attic);
		if (attic->end + sizeof(struct run) <= attic->bytes_max)
			run_at(attic, attic->end)->bytes = 0;
		if (attic->count)
			attic->end = 0;
	}
	while (attic->count && attic->first >= attic->end && attic->first < attic->end + bytes)
		drop_oldest(attic);
	return run_at(attic, attic->end);
}

static void attic_add(struct gt__attic *attic, const struct gt_view *view)
{
	uint32_t used = view->used & ~(GT_CELL_BYTES - 1);
	struct run *run = make_room(attic, sizeof(*run) + used);

	run->bytes = (uint32_t)sizeof(*run) + used;
	run->used = used;
	run->id = GT_BLOCK_ID(view->m, view->seq);
	run->t_open = view->t_open;
	run->t_max = view->t_max;
	run->lost = view->lost;
	memcpy(run->cells, view->cells, used);
	attic->end += run->bytes;
	attic->count++;
}

void gt__attic_views(const struct gt__attic *attic, struct gt_view *out)
{
	size_t at = attic->first;

	for (size_t i = 0; i < attic->count; i++) {
		const struct run *run;

		at = skip_unused(attic, at);
		run = run_at(attic, at);
		*out++ = (struct gt_view){
			.cells = run->cells,
			.seq = GT_BLOCK_ID_SEQ(run->id),
			.m = GT_BLOCK_ID_M(run->id),
			.t_open = run->t_open,
			.t_max = run->t_max,
			.lost = run->lost,
			.used = run->used,
		};
		at += run->bytes;
	}
}

int gt__attic_start(struct gt__attic *attic, size_t bytes_max)
{
	attic->bytes_max = bytes_max & ~(size_t)7;
	attic->memory = calloc(1, attic->bytes_max);
	return attic->memory ? 0 : -1;
}

void gt__attic_free(struct gt__attic *attic)
{
	free(attic->memory);
	memset(attic, 0, sizeof(*attic));
}

/* ---- where a block goes ---- */

void gt__idle_sealed(struct gt_collector *c, const struct gt_view *view, uint64_t ticket)
{
	struct gt__m_state *state = gt__collector_m(c, view->m);

	if (!state)
		return;
	state->known_seq = view->seq;
	state->ring_ticket = ticket;
	state->in_ring = true;
}

/* No older block of this M is in the ring: all were seen there, and are gone. */
static bool none_in_ring(struct gt_collector *c, struct gt__m_state *state, const struct gt_view *view)
{
	uint64_t first, end;

	gt_sealed_range(c->memory, &first, &end);
	if (state->in_ring && gt__ticket_diff(first, state->ring_ticket) > 0)
		state->in_ring = false;
	return state->known_seq + 1 == view->seq && !state->in_ring;
}

void gt__put_away(struct gt_collector *c, uint32_t block)
{
	struct gt__m_state *state;
	struct gt_view view;

	if (!gt_view_block(c->memory, block, &view)) {
		gt_give_back(c->memory, block);
		return;
	}
	state = gt__collector_m(c, view.m);
	if (!state || view.used > ATTIC_USED_MAX || c->attic.bytes_max < sizeof(struct run) + ATTIC_USED_MAX ||
		!none_in_ring(c, state, &view)) {
		gt_queue_put(&c->memory->exchange, &c->memory->exchange.sealed, block);
		return;
	}
	/* The memory may be written by anybody at any time: from here on it is our copy. */
	memcpy(c->cells, view.cells, view.used);
	view.cells = c->cells;
	gt__follow_view(c, &view, true);
	attic_add(&c->attic, &view);
	state->known_seq = view.seq;
	gt_give_back(c->memory, block);
}

/* ---- idle Ms ---- */

/* It said nothing since the last rounds, and has a block. */
static bool is_idle(struct gt_collector *c, uint32_t m, uint64_t now, uint64_t ticks)
{
	const struct gt_m *shared = gt_shm_m(c->memory, m);
	uint64_t pos = atomic_load_explicit(&shared->pos, memory_order_relaxed);
	struct gt__m_state *state = pos ? gt__collector_m(c, m) : NULL;

	if (!state)
		return false;
	if (pos != state->idle_pos) {
		state->idle_pos = pos;
		state->idle_ticks = now;
		return false;
	}
	if (GT_OWN_STATE(atomic_load_explicit(&shared->own, memory_order_relaxed)) != GT_OWN_OWNED)
		return false;
	return now - state->idle_ticks >= ticks;
}

size_t gt__collector_idle(struct gt_collector *c)
{
	const struct gt_memory *memory = c->memory;
	uint32_t queued = gt_queue_length(&memory->exchange.sealed) + gt_queue_length(&memory->exchange.free);
	uint32_t open = queued < memory->turn_count ? memory->turn_count - queued : 0;
	uint64_t now = gt_ticks();
	bool hungry = open > memory->turn_count / 2;
	uint64_t ticks = gt_clock_rate() / 1000 * (hungry ? IDLE_MS_HUNGRY : IDLE_MS);
	/* Who finds no block seals none: no reason to look more seldom. */
	size_t busy = hungry ? memory->turn_count / 64 + 1 : 0;
	struct gt_steal asked[GT__STEALS_MAX];
	size_t count = 0, stolen = 0;

	/* Few hold little. */
	if (open <= memory->turn_count / 8 || c->never_steal ||
		!atomic_load_explicit(&memory->shm->barrier, memory_order_relaxed))
		return 0;
	for (uint32_t m = gt_shm_next_m(memory, 0); m < c->ms_seen && count < GT__STEALS_MAX;
		m = gt_shm_next_m(memory, m + 1))
		if (is_idle(c, m, now, ticks) && gt_steal_ask(memory, m, &asked[count]))
			count++;
	if (!count)
		return busy;
	if (gt_steal_barrier() < 0) {
		c->never_steal = true;
		return 0;
	}
	for (size_t i = 0; i < count; i++) {
		uint32_t block = gt_steal_take(memory, &asked[i]);

		if (block == GT_NO_BLOCK)
			continue;
		gt__put_away(c, block);
		stolen++;
	}
	c->totals.stolen += stolen;
	return stolen > busy ? stolen : busy;
}
