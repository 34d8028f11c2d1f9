/*
 * snapshot.c - flight: the names that must outlive their events, and the copy of a window.
 *
 * The copy writes nothing into the shared memory and takes no lock: N snapshots of a resting program are equal.
 *   1  each M's open block, as far as it was committed when we looked; its id before and after
 *   2  then the sealed ones, oldest first; slot and id before and after the copy [again]
 * 1 before 2 must hold: a block is put before its M's own moves on, so whatever 1 missed is in the queue when 2 starts.
 */
#include "libtrace/collector_internal.h"

#include "libtrace/refill.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

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
	uint64_t t_open = atomic_load_explicit(&block->t_open, memory_order_relaxed);
	size_t used = atomic_load_explicit(&block->used, memory_order_relaxed);
	struct gt__m_state *state = gt__collector_m(c, GT_BLOCK_ID_M(id));
	struct gt_record record;
	int size;

	if (!state)
		return;
	if (GT_BLOCK_ID_M(id) >= c->ms_seen)
		c->ms_seen = GT_BLOCK_ID_M(id) + 1;
	for (size_t at = 0; at < used; at += (size_t)(size > 0 ? size : size < 0 ? -size : (int)GT_CELL_BYTES)) {
		size = gt__record_at(&block->cells[at / 8], used - at, t_open, &record);
		if (size > 0)
			gt__batch_add(c, state, &record);
	}
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
	gt__collector_grow(c);
	if (oldest)
		name_forget_ended(c, oldest);
}

/* ---- the copy ---- */

struct copied {
	uint32_t m;
	bool open; /* a part: only the newest of its M can be that */
	bool kept;
	uint64_t seq, t_open, lost;
	size_t used;
	struct gt_block *block;
};

struct window_copy {
	struct gt_block *blocks; /* scratch: as many as the window has */
	size_t bytes;
	struct copied *index;
	size_t count, max;
	uint64_t torn;
};

static struct copied *add_copy(struct window_copy *copy)
{
	struct copied *entry = &copy->index[copy->count];

	memset(entry, 0, sizeof(*entry));
	entry->block = &copy->blocks[copy->count];
	return entry;
}

static void describe_copy(struct window_copy *copy, struct copied *entry, size_t used, bool open)
{
	uint64_t id = atomic_load_explicit(&entry->block->id, memory_order_relaxed);

	entry->m = GT_BLOCK_ID_M(id);
	entry->seq = GT_BLOCK_ID_SEQ(id);
	entry->t_open = atomic_load_explicit(&entry->block->t_open, memory_order_relaxed);
	entry->lost = atomic_load_explicit(&entry->block->lost, memory_order_relaxed);
	entry->used = used;
	entry->open = open;
	copy->count++;
}

static bool copy_open_once(struct gt_collector *c, struct window_copy *copy, uint32_t m)
{
	struct gt_m *shared = gt_shm_m(c->memory, m);
	uint64_t own = atomic_load_explicit(&shared->own, memory_order_acquire);   /* [own?] */
	uint64_t done = atomic_load_explicit(&shared->done, memory_order_acquire); /* [done?]: before the copy */
	uint32_t number = GT_OWN_BLOCK(own);
	struct copied *entry;
	struct gt_block *block;
	uint64_t id, begin;

	if (GT_OWN_STATE(own) != GT_OWN_OWNED && GT_OWN_STATE(own) != GT_OWN_BUSY)
		return true;
	if (number >= c->memory->block_count || copy->count == copy->max)
		return true;
	block = gt_shm_block(c->memory, number);
	begin = gt__block_begin(number);
	id = atomic_load_explicit(&block->id, memory_order_acquire);
	if (GT_BLOCK_ID_M(id) != m || done < begin || done > gt__block_limit(number))
		return false; /* it moved on: the sealed queue has it, or the next try */
	entry = add_copy(copy);
	/* Ascending, and no further than what was committed before: never beyond the writer's front. */
	for (size_t i = 0; i < (done - begin) / 8; i++)
		entry->block->cells[i] =
			atomic_load_explicit((_Atomic uint64_t *)&block->cells[i], memory_order_acquire);
	atomic_store_explicit(&entry->block->t_open, atomic_load_explicit(&block->t_open, memory_order_relaxed),
		memory_order_relaxed);
	atomic_store_explicit(
		&entry->block->lost, atomic_load_explicit(&block->lost, memory_order_relaxed), memory_order_relaxed);
	atomic_store_explicit(&entry->block->id, id, memory_order_relaxed);
	atomic_thread_fence(memory_order_acquire);
	if (atomic_load_explicit(&block->id, memory_order_relaxed) != id)
		return false;
	describe_copy(copy, entry, (size_t)(done - begin), true);
	return true;
}

static void copy_window(struct gt_collector *c, struct window_copy *copy)
{
	uint64_t first, end;

	for (uint32_t m = 0; m < c->memory->m_limit; m++) {
		if (!atomic_load_explicit(&gt_shm_m(c->memory, m)->pos, memory_order_acquire))
			continue;
		for (int tries = 0; tries < 8 && !copy_open_once(c, copy, m); tries++)
			;
	}
	sealed_range(c, &first, &end);
	for (uint64_t ticket = first; gt__ticket_diff(end, ticket) > 0 && copy->count < copy->max; ticket++) {
		struct copied *entry = add_copy(copy);

		if (copy_sealed(c, ticket & TICKET_MASK, entry->block))
			describe_copy(copy, entry,
				(size_t)atomic_load_explicit(&entry->block->used, memory_order_relaxed), false);
		else
			copy->torn++;
	}
}

static int by_m_and_seq(const void *left, const void *right)
{
	const struct copied *a = left, *b = right;

	if (a->m != b->m)
		return a->m < b->m ? -1 : 1;
	if (a->seq != b->seq)
		return a->seq < b->seq ? -1 : 1;
	return a->open - b->open; /* the sealed one first: it is whole */
}

static int by_time(const void *left, const void *right)
{
	const struct copied *a = left, *b = right;

	if (a->kept != b->kept)
		return a->kept ? -1 : 1;
	if (a->t_open != b->t_open)
		return a->t_open < b->t_open ? -1 : 1;
	return 0;
}

/* Of each M an unbroken run that ends with its newest block; tells since when. */
static int keep_runs(struct gt_collector *c, struct window_copy *copy, struct gt_writer *writer, uint64_t *since)
{
	struct copied *index = copy->index;
	size_t count = 0;
	int ret = 0;

	qsort(index, copy->count, sizeof(*index), by_m_and_seq);
	for (size_t i = 0; i < copy->count; i++)
		if (!count || index[count - 1].m != index[i].m || index[count - 1].seq != index[i].seq)
			index[count++] = index[i];
	copy->count = count;
	*since = UINT64_MAX;
	for (size_t begin = 0; begin < count && ret >= 0;) {
		size_t end = begin + 1, first;
		uint64_t birth;

		while (end < count && index[end].m == index[begin].m)
			end++;
		first = end - 1;
		index[first].kept = true;
		while (first > begin && index[first - 1].seq + 1 == index[first].seq && !index[first - 1].open)
			index[--first].kept = true;
		birth = index[first].t_open;
		ret = gt_writer_since(writer, index[first].m, index[first].seq == 1 ? 0 : birth);
		if (birth < *since)
			*since = birth;
		begin = end;
	}
	(void)c;
	qsort(index, count, sizeof(*index), by_time);
	while (copy->count && !index[copy->count - 1].kept)
		copy->count--;
	return ret;
}

static int write_names(struct gt_collector *c, struct gt_writer *writer)
{
	int ret = 0;

	for (uint32_t m = 0; m < c->memory->m_limit && ret >= 0; m++) {
		uint32_t tid = atomic_load_explicit(&gt_shm_m(c->memory, m)->tid, memory_order_relaxed);

		if (tid)
			ret = gt_writer_thread(writer, m, tid, "");
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

static int write_blocks(struct gt_collector *c, struct window_copy *copy, struct gt_writer *writer,
	struct gt_snapshot_result *result, uint64_t *newest)
{
	struct gt__m_state *states = calloc(c->memory->m_limit, sizeof(*states));
	int ret = 0;

	if (!states)
		return -ENOMEM;
	for (size_t i = 0; i < copy->count && ret >= 0; i++) {
		struct copied *entry = &copy->index[i];
		struct gt__m_state *state;
		struct gt_record record;
		int size;

		if (entry->m >= c->memory->m_limit)
			continue;
		state = &states[entry->m];
		gt_writer_watermark(writer, entry->t_open);
		if (state->seq && entry->lost > state->lost_told)
			gt__batch_lost(c, state, entry->t_open, entry->lost - state->lost_told);
		state->seq = entry->seq;
		state->lost_told = entry->lost;
		for (size_t at = 0; at < entry->used; at += (size_t)size) {
			size = gt__record_at(&entry->block->cells[at / 8], entry->used - at, entry->t_open, &record);
			if (size == 0)
				break; /* in flight when the program was stopped or killed */
			if (size < 0) {
				size = -size;
				continue;
			}
			gt__batch_add(c, state, &record);
			result->kept_bytes += (uint64_t)size;
			if (record.ticks > *newest)
				*newest = record.ticks;
		}
		result->events += c->batch_count;
		ret = gt__batch_write(c, writer, entry->m);
	}
	free(states);
	return ret;
}

int gt_collector_snapshot(struct gt_collector *c, struct gt_writer *writer, struct gt_snapshot_result *result)
{
	struct gt_collector_totals totals = c->totals;
	struct window_copy copy = {.max = c->memory->block_count};
	int64_t begin_ns;
	uint64_t since, newest = 0;
	int ret = -ENOMEM;

	memset(result, 0, sizeof(*result));
	copy.bytes = copy.max * sizeof(*copy.blocks);
	/* Populated: a fault a page would make the copy eight times as long. */
	copy.blocks = mmap(NULL, copy.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	copy.index = calloc(copy.max, sizeof(*copy.index));
	if (copy.blocks != MAP_FAILED && copy.index) {
		begin_ns = gt_monotonic_ns();
		copy_window(c, &copy);
		result->copy_ns = gt_monotonic_ns() - begin_ns;
		result->blocks_torn = copy.torn;
		ret = keep_runs(c, &copy, writer, &since);
		if (ret >= 0)
			ret = write_names(c, writer);
		if (ret >= 0)
			ret = write_blocks(c, &copy, writer, result, &newest);
		result->kept_ticks = newest > since ? (int64_t)(newest - since) : 0;
	}
	/* What was counted along the way was counted when it was followed. */
	c->totals = totals;
	free(copy.index);
	if (copy.blocks != MAP_FAILED)
		munmap(copy.blocks, copy.bytes);
	return ret;
}
