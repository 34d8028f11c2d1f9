/*
 * follow_open.c - flight, with triggers: the blocks that Ms have open, and since when everything is known.
 *
 * A goroutine that waits long is quiet, and so may be the M that said so: its block is sealed when it is full, which may be never. So what is
 * committed in it is read in place, and when the queue brings the block the rest of it (same M and number).
 */
#include "libtrace/collector_internal.h"

#include "libtrace/refill.h"

/* Reads on in the block of @m. True: all that it recorded is known. */
static bool read_open(struct gt_collector *c, uint32_t m, struct gt__m_state *state, uint64_t pos)
{
	struct gt_view view;

	if (!gt_view_open(c->memory, m, c->cells, &view))
		return gt__nothing_open(state, gt_shm_m(c->memory, m));
	if (view.seq < state->seq)
		return false;
	/* An older block of it is in the queue, for the next round; or was overwritten, if the next round did not bring it. */
	if (view.seq != state->seq && (view.seq != state->seq + 1 || state->partial) &&
		(c->behind || view.seq != state->gap_seq)) {
		state->gap_seq = c->behind ? 0 : view.seq;
		return false;
	}
	gt__follow_view(c, &view, false);
	return gt__read_to(state, pos);
}

/* The M's part of the watermark. */
static uint64_t known_until(struct gt_collector *c, uint32_t m, uint64_t begin, uint64_t watermark)
{
	uint64_t pos = atomic_load_explicit(&gt_shm_m(c->memory, m)->pos, memory_order_acquire);
	struct gt__m_state *state = pos ? gt__collector_m(c, m) : NULL;

	if (!state || pos == state->pos_clean)
		return watermark;
	if (read_open(c, m, state, pos)) {
		state->pos_clean = pos;
		return watermark;
	}
	if (state->stuck_pos != pos) {
		state->stuck_pos = pos;
		state->stuck_ticks = begin;
	}
	if (begin - state->stuck_ticks > GT__STUCK_SECONDS * gt_clock_rate())
		return watermark;
	return state->last_ticks < watermark ? state->last_ticks : watermark;
}

/* Whatever was counted as lost so far happened before now. */
static void tell_lost(struct gt_collector *c)
{
	const struct gt_shm *shm = c->memory->shm;
	uint32_t limit = atomic_load_explicit(&shm->m_limit, memory_order_relaxed);
	uint64_t lost = atomic_load_explicit(&shm->lost_no_m, memory_order_relaxed) +
			atomic_load_explicit(&shm->lost_big_g, memory_order_relaxed) +
			atomic_load_explicit(&shm->lost_spill, memory_order_relaxed);

	for (uint32_t m = gt_shm_next_m(c->memory, 0); m < limit && m < c->memory->m_count;
		m = gt_shm_next_m(c->memory, m + 1))
		lost += gt__m_lost(gt_shm_m(c->memory, m));
	if (lost != c->lost_seen)
		gt_triggers_lost(c->triggers, lost - c->lost_seen, gt_ticks());
	c->lost_seen = lost;
}

void gt__follow_open(struct gt_collector *c, uint64_t begin)
{
	uint64_t watermark = begin - GT__SKEW_TICKS;

	for (uint32_t m = gt_shm_next_m(c->memory, 0); m < c->ms_seen; m = gt_shm_next_m(c->memory, m + 1))
		watermark = known_until(c, m, begin, watermark);
	tell_lost(c);
	if (watermark > c->watermark)
		c->watermark = watermark;
	gt_triggers_round(c->triggers, c->watermark);
}

void gt_collector_follow_end(struct gt_collector *c)
{
	uint64_t newest = 0;

	gt_collector_follow(c);
	for (uint32_t m = gt_shm_next_m(c->memory, 0); m < c->ms_seen; m = gt_shm_next_m(c->memory, m + 1)) {
		const struct gt__m_state *state = gt__collector_m(c, m);

		if (state && state->last_ticks > newest)
			newest = state->last_ticks;
	}
	if (c->triggers)
		gt_triggers_round(c->triggers, newest > c->watermark ? newest : c->watermark);
}
