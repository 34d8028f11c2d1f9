/*
 * snapshot.c - flight: the names that must outlive their events, and the copy of a window.
 *
 * The copy itself (walk.h) writes nothing into the shared memory and takes no lock: N snapshots of a resting program are
 * equal. Following reads sealed blocks where they are, in the same way.
 */
#include "libtrace/collector_internal.h"

#include "libtrace/crash.h"
#include "libtrace/refill.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SAFE_BLOCKS    1024u /* 4 MiB: a tenth of a second of two busy CPUs */
#define LOOK_ROUNDS    16
#define LOOK_MS        16
#define EXPECTED_NAMES 8 /* fetched ahead: of many goroutines most are in no cache */

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
		if (names->ended_end - names->ended_first > EXPECTED_NAMES)
			gt_map_expect(&names->map, names->ended[(names->ended_first + EXPECTED_NAMES) % names->max].g);
		index = gt_map_find(&names->map, ended->g);
		if (index) {
			uint32_t at = (uint32_t)*index;

			gt_map_remove(&names->map, ended->g);
			names->entries[at].g = 0;
			GT__SIGNAL_ORDER();
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
	names->entries[at].parent = event->args[2];
	names->entries[at].start_pc = event->args[3];
	names->entries[at].site_pc = event->args[4];
	GT__SIGNAL_ORDER(); /* a crash file shows no half of it */
	names->entries[at].g = event->args[0];
}

void gt__name_found(struct gt_collector *c, const struct gt_found *found)
{
	const struct gt_event event = {
		.args = {found->g, 0, found->parent, found->start_pc, found->site_pc ? found->site_pc - 1 : 0}};

	name_born(c, &event);
}

void gt_collector_name(struct gt_collector *c, uint64_t g, uint64_t parent, uint64_t start_pc, uint64_t site_pc)
{
	const struct gt_event event = {.args = {g, 0, parent, start_pc, site_pc}};

	name_born(c, &event);
}

static void name_died(struct gt_collector *c, const struct gt_event *event)
{
	struct gt__names *names = &c->names;

	if (!gt_map_find(&names->map, event->args[0]) || names->ended_end - names->ended_first == names->max)
		return;
	names->ended[names->ended_end++ % names->max] = (struct gt__ended){.g = event->args[0], .ticks = event->ticks};
}

_Static_assert(sizeof(struct gt__name) == sizeof(struct gt_crash_name), "names may stand in a crash file");

size_t gt_collector_names_max(size_t bytes)
{
	/* An entry, its place in the map (two thirds full at most, doubled when it grows), its place in the queue of the dead. */
	size_t each = sizeof(struct gt__name) + 4 * sizeof(struct gt_map_slot) + sizeof(struct gt__ended);

	return bytes / each > 64 ? bytes / each : 64;
}

int gt__names_start(struct gt_collector *c, size_t bytes_max)
{
	c->names.max = (uint32_t)gt_collector_names_max(bytes_max);
	c->names.free = GT__NAME_NONE;
	c->names.entries =
		c->config.names_place ? c->config.names_place : calloc(c->names.max, sizeof(*c->names.entries));
	c->names.ended = calloc(c->names.max, sizeof(*c->names.ended));
	return c->names.entries && c->names.ended ? 0 : -ENOMEM;
}

void gt__names_free(struct gt_collector *c)
{
	gt_map_free(&c->names.map);
	if (!c->config.names_place)
		free(c->names.entries);
	free(c->names.ended);
}

/* ---- reading along ---- */

/* With triggers a block may have been read in part while it was open. False: all of it was. */
static bool where_it_stopped(
	struct gt_collector *c, struct gt__m_state *state, const struct gt_view *view, struct gt_walk *walk)
{
	if (view->seq < state->seq)
		return false;
	if (view->seq == state->seq) {
		walk->at = state->offset;
	} else if (view->seq != state->seq + 1 || state->partial) {
		/* Of the missing ones nobody knows how much they held. */
		gt_decoder_clear(&state->decoder);
		c->lost_seen -= (view->seq - state->seq) * (GT_BLOCK_CELL_BYTES / GT_CELL_BYTES);
	}
	state->seq = view->seq;
	state->partial = view->open;
	return true;
}

/*
 * Most records change nothing in what must be known later: who lives and how it is called, which threads ended, what descriptors are
 * called. Without triggers they are not decoded: a recorder that shares the program's CPUs is to take as little of them as it can.
 */
static bool changes_nothing(const struct gt_decoder *decoder, const uint64_t *cells)
{
	unsigned int old = cells[1] >> 40 & 15, new_ = cells[1] >> 44 & 15, object;

	switch (GT_WORD0_KIND(cells[0])) {
	case GT_REC_STATE2:
		if (old == GT_STATE_RUNNING && new_ == GT_STATE_WAITING && GT_WORD0_CELLS(cells[0]) > 1) {
			object = GT_OBJECT_WORD_WHAT(cells[3]);
			if (object >= GT_OBJECT_FD_READ && object <= GT_OBJECT_FD_CONNECT)
				return false;
		}
		/* fall through */
	case GT_REC_STATE:
		return !decoder->coro_from && new_ != GT_STATE_DEAD;
	case GT_REC_ENTER:
	case GT_REC_LEAVE:
	case GT_REC_POLLED:
	case GT_REC_WOKEN:
		return !decoder->coro_from;
	case GT_REC_SLOT:
	case GT_REC_HINT:
	case GT_REC_HEAP:
	case GT_REC_ALLOC:
	case GT_REC_TIMER:
		return true;
	default:
		return false;
	}
}

/* Over those that change nothing, and are as a walk would give them, to the next one. */
static void skip_records(struct gt__m_state *state, const struct gt_view *view, struct gt_walk *walk)
{
	uint64_t most = view->t_max >= view->t_open ? view->t_max - view->t_open : 0, newest = 0;
	uint32_t at = walk->at;

	while (at + GT_CELL_BYTES <= view->used) {
		const uint64_t *cells = &view->cells[at / 8];
		uint32_t bytes = GT_WORD0_CELLS(cells[0]) * GT_CELL_BYTES;
		uint64_t since = (GT_WORD0_TIME(cells[0]) - view->t_open) & GT_TIME_MASK;

		if (!GT_WORD0_COMMITTED(cells[0]) || !bytes || bytes > view->used - at || since > most ||
			!changes_nothing(&state->decoder, cells))
			break;
		newest = since > newest ? since : newest;
		at += bytes;
	}
	if (at != walk->at && view->t_open + newest > state->last_ticks)
		state->last_ticks = view->t_open + newest;
	walk->at = at;
}

void gt__follow_view(struct gt_collector *c, const struct gt_view *view, bool step_over)
{
	struct gt__m_state *state = gt__collector_m(c, view->m);
	struct gt_walk walk = {0};
	struct gt_record record;

	if (!state || (c->triggers && !where_it_stopped(c, state, view, &walk)))
		return;
	if (view->m >= c->ms_seen)
		c->ms_seen = view->m + 1;
	for (;;) {
		if (!c->triggers)
			skip_records(state, view, &walk);
		if (gt_walk_next(&walk, view, step_over, &record) <= 0)
			break;
		gt__batch_add(c, state, &record);
		if (record.ticks > state->last_ticks)
			state->last_ticks = record.ticks;
	}
	state->offset = walk.at;
	for (size_t i = 0; i < c->alive_count; i++)
		gt_collector_name(c, c->alive[i].g, c->alive[i].parent, c->alive[i].start_pc, 0);
	c->alive_count = 0;
	for (size_t i = 0; i < c->batch_count; i++)
		if (c->batch[i].kind == GT_EV_GO_CREATE || c->batch[i].kind == GT_EV_GO_END)
			gt_map_expect(&c->names.map, c->batch[i].args[0]);
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
		if (c->triggers)
			gt_triggers_event(c->triggers, event);
	}
	c->batch_count = 0;
	c->alive_count = 0;
}

/* ---- packing: what the ring is about to lose, and is younger than what is asked for ---- */

void gt_collector_keep(struct gt_collector *c, uint64_t ticks)
{
	c->keep_ticks = ticks;
	c->age_count = 0;
}

/* Blocks before *@ticket were sealed at least as long ago as is asked for. False: none is known to be. */
static bool old_enough(struct gt_collector *c, uint64_t now, uint64_t end, uint64_t *ticket)
{
	uint64_t apart = c->keep_ticks / (GT__AGES - 2);

	if (!c->keep_ticks)
		return false;
	if (!c->age_count || now - c->ages[c->age_count - 1].ticks > apart) {
		if (c->age_count == GT__AGES)
			memmove(c->ages, c->ages + 1, --c->age_count * sizeof(c->ages[0]));
		c->ages[c->age_count].ticks = now;
		c->ages[c->age_count++].ticket = end;
	}
	for (uint32_t i = c->age_count; i-- > 0;)
		if (now - c->ages[i].ticks >= c->keep_ticks) {
			*ticket = c->ages[i].ticket;
			return true;
		}
	return false;
}

/*
 * Not what is safe in the ring for a while yet, though this process may get no CPU: for three quarters of its turn, or of a large
 * ring for as long as SAFE_BLOCKS last. What is old enough by then is not wanted, nor is what was packed before it.
 */
static void pack_old(struct gt_collector *c, uint64_t first, uint64_t end, uint64_t now)
{
	uint32_t turn = c->memory->turn_count, rest = turn - turn / 4;
	uint64_t until, old;
	struct gt_view view;

	if (rest > SAFE_BLOCKS)
		rest = turn / 4 > SAFE_BLOCKS ? turn / 4 : SAFE_BLOCKS;
	until = (end - (turn - rest)) & GT_TICKET_MASK;
	if (old_enough(c, now, end, &old)) {
		old = gt__ticket_diff(old, until) > 0 ? until : old;
		if (gt__ticket_diff(old, c->history_ticket) > 0) {
			gt_history_clear(c->history);
			c->history_ticket = old;
		}
	}
	if (gt__ticket_diff(first, c->history_ticket) > 0)
		c->history_ticket = first; /* overwritten before we came: a gap */
	for (; gt__ticket_diff(until, c->history_ticket) > 0;
		c->history_ticket = (c->history_ticket + 1) & GT_TICKET_MASK) {
		gt_sealed_expect(c->memory, c->history_ticket + 1);
		if (gt_view_sealed(c->memory, c->history_ticket, gt_history_place(c->history), &view))
			gt_history_add(c->history, &view);
	}
}

/* A thread has taken the ticket and is about to put its block there: it may be off its CPU for a while. One that never comes
 * back does not hold up the others for ever. */
static bool still_to_come(struct gt_collector *c, uint64_t ticket, uint64_t now)
{
	const struct gt_queue_ref *queue = &c->memory->exchange.sealed;
	uint64_t word = atomic_load_explicit(&queue->slots[ticket & queue->slot_mask], memory_order_relaxed);

	if (gt__ticket_diff(gt__slot_ticket(word), ticket) >= 0)
		return false;
	if (c->awaited_ticket != ticket || !c->awaited_since) {
		c->awaited_ticket = ticket;
		c->awaited_since = now;
	}
	return now - c->awaited_since < GT__STUCK_SECONDS * gt_clock_rate();
}

/* Ids are given out one after the other: who is new stands next to who was there, but for one round in LOOK_ROUNDS. */
static void look_for_ms(struct gt_collector *c)
{
	uint32_t limit = c->memory->m_limit, at = c->ms_seen;
	bool all = c->look_round++ % LOOK_ROUNDS == 0;

	for (uint32_t m = gt_shm_next_m(c->memory, at); m < limit && (all || m < at + LOOK_MS);
		m = gt_shm_next_m(c->memory, m + 1)) {
		const struct gt_m *shared = gt_shm_m(c->memory, m);

		if (atomic_load_explicit(&shared->pos, memory_order_relaxed) ||
			atomic_load_explicit(&shared->tid, memory_order_relaxed)) /* or it found no block */
			c->ms_seen = at = m + 1;
	}
}

size_t gt_collector_follow(struct gt_collector *c)
{
	uint64_t first, end, oldest = 0, begin = gt_ticks();
	struct gt_view view;
	size_t count = 0;

	atomic_store_explicit(&c->memory->shm->heartbeat, begin, memory_order_relaxed);
	gt_sealed_range(c->memory, &first, &end);
	if (c->history)
		oldest = gt_history_oldest(c->history);
	if (!oldest && gt_view_sealed(c->memory, first, c->cells, &view))
		oldest = view.t_open;
	if (!c->followed)
		c->history_ticket = first;
	if (!c->followed || gt__ticket_diff(first, c->follow_ticket) > 0)
		c->follow_ticket = first;
	for (; gt__ticket_diff(end, c->follow_ticket) > 0;
		c->follow_ticket = (c->follow_ticket + 1) & GT_TICKET_MASK, count++) {
		gt_sealed_expect(c->memory, c->follow_ticket + 1);
		if (gt_view_sealed(c->memory, c->follow_ticket, c->cells, &view)) {
			gt__follow_view(c, &view, true);
			gt__idle_sealed(c, &view, c->follow_ticket);
		} else if (still_to_come(c, c->follow_ticket, begin)) {
			break;
		}
	}
	c->behind = gt__ticket_diff(end, c->follow_ticket) > 0;
	c->followed = true;
	if (c->history)
		pack_old(c, first, end, gt_ticks());
	look_for_ms(c);
	if (c->triggers)
		gt__follow_open(c, begin);
	for (uint32_t m = gt_shm_next_m(c->memory, 0); m < c->ms_seen; m = gt_shm_next_m(c->memory, m + 1))
		gt__collector_reclaim(c, m, true);
	gt__collector_drop_ms(c, true);
	count += gt__collector_idle(c);
	gt__collector_grow(c);
	if (oldest)
		name_forget_ended(c, oldest);
	return count;
}

/* ---- the window: the copy of the ring, and what the history holds before it ---- */

struct window {
	struct gt_view *views; /* by M, each M's in its order without a gap */
	struct gt_copy_m *ms;
	size_t view_count;
	uint64_t ticks; /* when the copy of the ring began */
	uint64_t since; /* nothing older is shown */
	uint32_t m_count;
};

static int by_m_and_seq(const void *left, const void *right)
{
	const struct gt_view *a = left, *b = right;

	if (a->m != b->m)
		return a->m < b->m ? -1 : 1;
	return a->seq < b->seq ? -1 : a->seq > b->seq;
}

/* The first of @old (by M and number, @count) that belongs to @m. */
static size_t first_of(const struct gt_view *old, size_t count, uint32_t m)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (old[middle].m < m)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Not those from the attic that what comes next in the window does not follow: they lie as they are while all that was behind them
 * is overwritten. How many. */
static size_t keep_old(struct gt_view *out, const struct gt_view *old, size_t count, uint64_t next)
{
	size_t kept = 0;

	for (size_t i = count; i-- > 0;) {
		if (old[i].cells && old[i].seq + 1 != next)
			continue;
		next = old[i].seq;
		out[count - ++kept] = old[i];
	}
	memmove(out, out + count - kept, kept * sizeof(*out));
	return kept;
}

/* Where the M stood when this recording began. */
static const struct gt__m_state *base_of(const struct gt_collector *c, uint32_t m)
{
	static const struct gt__m_state none;
	const struct gt__m_state *chunk = c->chunks[m / GT__CHUNK_MS];

	return chunk ? &chunk[m % GT__CHUNK_MS] : &none;
}

/* Of one M: its old blocks, then those of the ring. Where blocks are missing in between (gtrace came too late to pack them), what is
 * older is kept too: a Lost event tells of the gap, and the M is complete since its end. */
static void join(const struct gt_collector *c, struct window *window, const struct gt_copy_m *m,
	const struct gt_view *old, size_t old_count)
{
	const struct gt_copy *copy = &c->copy;
	uint64_t before = base_of(c, m->m)->begin_seq;
	const struct gt__m_state *state = base_of(c, m->m);
	struct gt_copy_m *out = &window->ms[window->m_count++];
	uint64_t next = m->count ? copy->views[m->first].seq : m->seq + 1, last = next;
	size_t begin = first_of(old, old_count, m->m), end = begin, since;

	while (end < old_count && old[end].m == m->m && old[end].seq < next)
		end++;
	for (since = end; since > begin && old[since - 1].seq + 1 == next; since--)
		next = old[since - 1].seq;
	*out = *m;
	out->first = (uint32_t)window->view_count;
	window->view_count += keep_old(&window->views[window->view_count], &old[begin], end - begin, last);
	memcpy(&window->views[window->view_count], &copy->views[m->first], m->count * sizeof(*old));
	window->view_count += m->count;
	out->count = (uint32_t)(window->view_count - out->first);
	out->whole = next <= before + 1;
	if (out->whole)
		out->since = out->since > c->since ? out->since : c->since;
	else if (since < end)
		out->since = old[since].t_open;
	else if (!m->count && m->seq)
		/* Nothing of its newest events is held; but it may have said nothing since. */
		out->since = state->known_seq == m->seq ? state->last_ticks + 1 : copy->ticks;
}

static int join_history(struct gt_collector *c, struct window *window)
{
	size_t packed_count = c->history ? gt_history_count(c->history) : 0;
	size_t old_count = packed_count + c->attic.count;
	struct gt_view *old = calloc(old_count + 1, sizeof(*old));

	window->views = calloc(old_count + c->copy.view_count + 1, sizeof(*window->views));
	window->ms = calloc(c->copy.m_count + 1, sizeof(*window->ms));
	if (!old || !window->views || !window->ms) {
		free(old);
		return -ENOMEM;
	}
	if (packed_count)
		gt_history_views(c->history, old);
	for (size_t i = 0; i < packed_count; i++)
		old[i].place = (uint32_t)i;
	gt__attic_views(&c->attic, old + packed_count);
	qsort(old, old_count, sizeof(*old), by_m_and_seq);
	window->ticks = c->copy.ticks;
	for (uint32_t i = 0; i < c->copy.m_count; i++)
		join(c, window, &c->copy.ms[i], old, old_count);
	free(old);
	return 0;
}

/* ---- the part of it that is asked for ---- */

static int by_youth(const void *left, const void *right)
{
	const struct gt_view *a = *(const struct gt_view *const *)left, *b = *(const struct gt_view *const *)right;

	return a->t_open > b->t_open ? -1 : a->t_open < b->t_open;
}

/* The time from which on blocks take no more than @max_bytes: those of the ring a page, packed ones their share. */
static int since_by_bytes(
	const struct gt_collector *c, const struct window *window, uint64_t max_bytes, uint64_t *since)
{
	const struct gt_view **order = calloc(window->view_count + 1, sizeof(*order));
	struct gt_history_totals totals = {0};
	uint64_t packed = 0, held = 0;

	if (!order)
		return -ENOMEM;
	if (c->history)
		gt_history_totals(c->history, &totals);
	if (totals.blocks)
		packed = totals.bytes / totals.blocks + 1;
	/* One block of each M may be older than the cut and is there all the same. */
	max_bytes -= max_bytes / 2 < (uint64_t)window->m_count * GT_BLOCK_BYTES
			     ? max_bytes / 2
			     : (uint64_t)window->m_count * GT_BLOCK_BYTES;
	for (size_t i = 0; i < window->view_count; i++)
		order[i] = &window->views[i];
	qsort(order, window->view_count, sizeof(*order), by_youth);
	for (size_t i = 0; i < window->view_count; i++) {
		held += order[i]->cells ? GT_BLOCK_BYTES : packed;
		if (held > max_bytes) {
			if (i && order[i - 1]->t_open > *since)
				*since = order[i - 1]->t_open;
			break;
		}
	}
	free(order);
	return 0;
}

/* Leaves out the blocks that end before it, and says of each M since when it is complete. */
static void cut_views(const struct gt_collector *c, struct window *window)
{
	size_t kept = 0;

	for (uint32_t i = 0; i < window->m_count; i++) {
		struct gt_copy_m *m = &window->ms[i];
		const struct gt_view *views = &window->views[m->first];
		uint32_t drop = 0;

		while (drop + 1 < m->count && views[drop + 1].t_open <= window->since)
			drop++;
		if (m->count && views[drop].t_open < window->since) {
			if (m->since < window->since)
				m->whole = window->since == c->since;
			if (m->since < window->since)
				m->since = window->since;
		}
		memmove(&window->views[kept], &views[drop], (m->count - drop) * sizeof(*views));
		m->first = (uint32_t)kept;
		m->count -= drop;
		kept += m->count;
	}
	window->view_count = kept;
}

static int cut_window(struct gt_collector *c, struct window *window, const struct gt_snapshot_cut *cut)
{
	int ret = 0;

	window->since = c->since;
	if (cut && cut->since_ticks > window->since)
		window->since = cut->since_ticks;
	if (cut && cut->max_bytes)
		ret = since_by_bytes(c, window, cut->max_bytes, &window->since);
	if (window->since)
		cut_views(c, window);
	return ret;
}

static void window_free(struct window *window)
{
	free(window->views);
	free(window->ms);
}

/* ---- to the file ---- */

static int write_names(struct gt_collector *c, const struct window *window, struct gt_writer *writer)
{
	int ret = 0;

	for (uint32_t i = 0; i < window->m_count && ret >= 0; i++) {
		const struct gt_copy_m *m = &window->ms[i];
		if (m->tid)
			ret = gt_writer_thread(writer, m->m, m->tid, "");
		if (ret >= 0)
			ret = gt_writer_since(writer, m->m, m->whole ? 0 : m->since);
	}
	if (ret >= 0 && c->gone_ticks)
		ret = gt_writer_since(writer, c->gone_m, c->gone_ticks + 1);
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
	struct gt_collector *c, const struct window *window, struct gt_writer *writer, struct gt__m_state *states)
{
	int ret = 0;

	for (uint32_t i = 0; i < window->m_count && ret >= 0; i++) {
		const struct gt_copy_m *m = &window->ms[i];
		const struct gt_view *first = &window->views[m->first];

		if (!m->count)
			ret = write_lost(c, writer, &states[i], m->m, window->ticks, m->lost);
		else if (first->seq == 1 && first->t_open >= window->since)
			ret = write_lost(c, writer, &states[i], m->m, first->t_open, first->lost);
	}
	return ret;
}

/* Since when nothing of any M is missing; 0: of none ever was. */
static uint64_t complete_since(const struct window *window, uint64_t gone)
{
	uint64_t complete = gone;

	for (uint32_t i = 0; i < window->m_count; i++)
		if (!window->ms[i].whole && window->ms[i].since > complete)
			complete = window->ms[i].since;
	return complete;
}

/* Since when something of every M is held, and since when nothing of any is missing. */
static void ages(const struct window *window, uint64_t gone, uint64_t end, struct gt_snapshot_result *result)
{
	uint64_t held = 0, complete = complete_since(window, gone), birth = UINT64_MAX;

	for (uint32_t i = 0; i < window->m_count; i++) {
		const struct gt_copy_m *m = &window->ms[i];
		uint64_t first = m->count ? window->views[m->first].t_open : m->since;

		if (first < window->since)
			first = window->since;
		if (!m->whole && first > held)
			held = first;
		if (m->since && m->since < birth) /* 0: it never had a block */
			birth = m->since;
	}
	held = held ? held : birth;
	complete = complete ? complete : birth;
	result->end_ticks = end;
	result->kept_ticks = end > held ? (int64_t)(end - held) : 0;
	result->complete_ticks = end > complete ? (int64_t)(end - complete) : 0;
}

/* They are in the order of their ids; each view is of one of them. */
static const struct gt_copy_m *m_of(const struct window *window, uint32_t m)
{
	uint32_t low = 0, high = window->m_count - 1;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (window->ms[middle].m < m)
			low = middle + 1;
		else
			high = middle;
	}
	return &window->ms[low];
}

/* In order of age, so that each block's begin is a watermark: what follows is younger. */
static int write_views(struct gt_collector *c, const struct window *window, const struct gt__standing *standing,
	struct gt_writer *writer, struct gt_snapshot_result *result)
{
	bool stood = !standing->count;
	struct gt__m_state *states = calloc(window->m_count + 1, sizeof(*states));
	const struct gt_view **order = calloc(window->view_count + 1, sizeof(*order));
	int ret = states && order ? 0 : -ENOMEM;
	uint64_t newest = 0;

	for (size_t i = 0; !ret && i < window->view_count; i++)
		order[i] = &window->views[i];
	if (!ret)
		qsort(order, window->view_count, sizeof(*order), by_time);
	for (uint32_t i = 0; !ret && i < window->m_count; i++)
		states[i].lost_told = base_of(c, window->ms[i].m)->begin_lost;
	if (!ret)
		ret = write_lost_at_birth(c, window, writer, states);
	for (size_t i = 0; i < window->view_count && ret >= 0; i++) {
		struct gt_view view = *order[i];
		const struct gt_copy_m *of = m_of(window, view.m);
		struct gt__m_state *state = &states[of - window->ms];
		struct gt_walk walk = {0};
		struct gt_record record;
		uint64_t lost;

		if (!view.cells)
			view.cells = gt_history_cells(c->history, view.place);
		if (!view.cells) {
			ret = -ENOMEM;
			break;
		}
		/* The last moment: what follows is younger. Their Ms have said nothing since. */
		if (!stood && view.t_open > standing->ticks) {
			stood = true;
			ret = gt__states_write(c, writer, standing->list, standing->count, standing->ticks);
			if (ret < 0)
				break;
		}
		gt_writer_watermark(writer, view.t_open);
		lost = state->seq ? view.lost - state->lost_told + (view.seq - state->seq - 1) : 0;
		if (lost)
			gt__batch_lost(c, state, view.t_open, lost);
		if (state->seq)
			result->blocks_missed += view.seq - state->seq - 1;
		state->seq = view.seq;
		state->lost_told = view.lost;
		state->last_ticks = window->ticks;
		while (gt_walk_next(&walk, &view, true, &record) > 0) {
			/* Made during the copy, which may have lasted: what other Ms did then is not all held. */
			if (record.ticks > window->ticks)
				continue;
			gt__batch_add(c, state, &record);
			if (record.ticks >= window->since)
				result->kept_bytes += record.words * 8;
			if (record.ticks > newest)
				newest = record.ticks;
			if (record.ticks > state->last_ticks)
				state->last_ticks = record.ticks;
		}
		result->in_flight += walk.in_flight;
		if (order[i] == &window->views[of->first + of->count - 1]) {
			/* Behind its last block: lost since that was opened; and blocks that were overwritten before they
			 * were copied or packed. */
			uint64_t missed = of->seq > view.seq ? of->seq - view.seq : 0;

			lost = of->lost > state->lost_told ? of->lost - state->lost_told : 0;
			result->blocks_missed += order[i]->cells ? 0 : missed;
			if (lost + missed)
				gt__batch_lost(c, state, state->last_ticks, lost + missed);
		}
		result->events += c->batch_count;
		ret = gt__batch_write(c, writer, view.m);
	}
	if (!stood && ret >= 0)
		ret = gt__states_write(c, writer, standing->list, standing->count, standing->ticks);
	ages(window, c->gone_ticks, c->memory->dead_ticks ? newest : window->ticks, result);
	for (size_t i = 0; states && i < window->m_count; i++)
		gt_decoder_clear(&states[i].decoder);
	free(order);
	free(states);
	return ret;
}

/* Who did nothing in a window that does not hold all there ever was; nobody when what it misses is younger than the list. */
static int choose_standing(struct gt_collector *c, const struct window *window, struct gt__standing *standing)
{
	uint64_t edge = complete_since(window, c->gone_ticks);
	uint32_t m_free = c->ms_seen;

	for (uint32_t i = 0; i < window->m_count; i++)
		if (window->ms[i].m >= m_free)
			m_free = window->ms[i].m + 1;
	if (edge < window->since)
		edge = window->since;
	return edge ? gt__standing_choose(c, window->views, window->view_count, edge, window->ticks, m_free, standing)
		    : 0;
}

int gt_collector_copy(struct gt_collector *c, struct gt_snapshot_result *result, struct gt_error *err)
{
	int64_t begin_ns = gt_monotonic_ns();
	int ret = gt_copy_take(c->memory, &c->copy, err);

	gt__learn_slide(c);
	memset(result, 0, sizeof(*result));
	if (ret < 0)
		return ret;
	result->in_flight = c->copy.begun;
	result->copy_ns = gt_monotonic_ns() - begin_ns;
	result->blocks_torn = c->copy.torn + c->copy.cut;
	result->scratch_bytes = c->copy.scratch_bytes;
	return 0;
}

int gt_collector_grow_history(struct gt_collector *c, size_t bytes_max)
{
	return c->history ? gt_history_grow(c->history, bytes_max) : gt_history_new(bytes_max, &c->history);
}

int gt_collector_write_copy_cut(struct gt_collector *c, struct gt_writer *writer, const struct gt_snapshot_cut *cut,
	struct gt_snapshot_result *result)
{
	struct gt_collector_totals totals = c->totals;
	uint64_t since = c->since;
	struct gt__standing standing = {0};
	struct window window = {0};
	int ret = join_history(c, &window);

	result->whole = !c->gone_ticks;
	if (ret >= 0)
		ret = cut_window(c, &window, cut);
	c->hidden = cut && cut->sets ? ~cut->sets : 0;
	for (uint32_t i = 0; i < window.m_count; i++)
		if (!window.ms[i].whole)
			result->whole = false;
	gt__standing_names(c);
	if (ret >= 0 && !result->whole)
		ret = choose_standing(c, &window, &standing);
	result->standing = standing.count;
	result->standing_late = standing.late;
	if (ret >= 0)
		ret = write_names(c, &window, writer);
	/* They are by M, and that one is the highest. */
	if (ret >= 0 && standing.count && standing.list[standing.count - 1].m == standing.m_none)
		ret = gt_writer_thread(writer, standing.m_none, 0, "no thread");
	/* Of no use any more, but for a snapshot that only shows less than there is. */
	if (!result->whole && window.since == since)
		gt__found_free(c);
	if (ret >= 0 && result->whole)
		ret = gt__found_write_states(c, writer);
	c->since = window.since;
	gt_fds_again(&c->fds);
	c->fds.replay = true;
	if (ret >= 0)
		ret = write_views(c, &window, &standing, writer, result);
	c->fds.replay = false;
	gt_fds_again(&c->fds);
	window_free(&window);
	free(standing.list);
	c->since = since;
	c->hidden = 0;
	for (size_t i = 0; i < GT_EVENT_KIND_COUNT; i++)
		result->by_kind[i] = c->totals.by_kind[i] - totals.by_kind[i];
	/* What was counted along the way was counted when it was followed. */
	c->totals = totals;
	return ret;
}

int gt_collector_write_copy(struct gt_collector *c, struct gt_writer *writer, struct gt_snapshot_result *result)
{
	return gt_collector_write_copy_cut(c, writer, NULL, result);
}

int gt_collector_snapshot_cut(struct gt_collector *c, struct gt_writer *writer, const struct gt_snapshot_cut *cut,
	struct gt_snapshot_result *result)
{
	struct gt_error err;
	int ret = gt_collector_copy(c, result, &err);

	return ret < 0 ? ret : gt_collector_write_copy_cut(c, writer, cut, result);
}

int gt_collector_snapshot(struct gt_collector *c, struct gt_writer *writer, struct gt_snapshot_result *result)
{
	struct gt_error err;
	int ret = gt_collector_copy(c, result, &err);

	return ret < 0 ? ret : gt_collector_write_copy(c, writer, result);
}
