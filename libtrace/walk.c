/* walk.c - reads what another process writes, or wrote before it was killed. */
#include "libtrace/walk.h"
#include "libtrace/refill.h"

#include "base/clock.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define OPEN_TRIES 4
/* Far more than the clocks of two CPUs differ, far less than what left-over bytes could mean. */
#define SKEW_TICKS_MAX 1000000

static uint64_t load(const _Atomic uint64_t *at)
{
	return atomic_load_explicit(at, memory_order_relaxed);
}

/* ---- records ---- */

int gt_walk_next(struct gt_walk *walk, const struct gt_view *view, bool step_over, struct gt_record *out)
{
	while (walk->at + GT_CELL_BYTES <= view->used) {
		const _Atomic uint64_t *cells = (const _Atomic uint64_t *)&view->cells[walk->at / 8];
		uint64_t word = atomic_load_explicit(&cells[0], memory_order_acquire); /* [walk] */
		unsigned int count = GT_WORD0_CELLS(word);
		uint64_t since = (GT_WORD0_TIME(word) - view->t_open) & GT_TIME_MASK;
		uint32_t bytes = count * GT_CELL_BYTES;

		if (count == 0 || bytes > view->used - walk->at)
			goto hole;
		if (!GT_WORD0_COMMITTED(word)) {
			if (word >> 3 != 0)
				goto hole;
			if (!step_over)
				break;
			walk->in_flight++;
			walk->at += bytes;
			continue;
		}
		/* Older than the block, or of the future: bytes left behind by an earlier use of it. */
		if (view->t_max < view->t_open || since > view->t_max - view->t_open)
			goto hole;
		out->ticks = view->t_open + since;
		out->kind = GT_WORD0_KIND(word);
		out->words = count * 2;
		out->word[0] = word;
		for (unsigned int i = 1; i < count * 2; i++)
			out->word[i] = load(&cells[i]);
		walk->at += bytes;
		return 1;
	}
	return 0;

hole:
	if (step_over) {
		walk->in_flight++;
		walk->at = view->used;
	}
	return 0;
}

static uint64_t youngest(const struct gt_memory *memory)
{
	return memory->dead_ticks ? memory->dead_ticks : gt_ticks() + SKEW_TICKS_MAX;
}

/* ---- streaming ---- */

bool gt_view_block(const struct gt_memory *memory, uint32_t block, struct gt_view *out)
{
	const struct gt_block *header = gt_shm_block(memory, block);
	uint64_t id = atomic_load_explicit(&header->id, memory_order_acquire);
	uint64_t used = load(&header->used);

	out->cells = header->cells;
	out->seq = GT_BLOCK_ID_SEQ(id);
	out->m = GT_BLOCK_ID_M(id);
	out->t_open = load(&header->t_open);
	out->lost = load(&header->lost);
	out->t_max = youngest(memory);
	out->used = used <= GT_BLOCK_CELL_BYTES ? (uint32_t)used : 0;
	out->open = false;
	return out->seq != 0 && out->m < memory->m_count && used <= GT_BLOCK_CELL_BYTES;
}

bool gt_take_sealed(const struct gt_memory *memory, uint32_t *block, struct gt_view *out)
{
	/* As many as there are: a damaged queue does not hold the caller up for ever. */
	for (uint32_t tries = 0; tries < memory->block_count; tries++) {
		*block = gt_queue_take(&memory->exchange.sealed);
		if (*block == GT_NO_BLOCK)
			return false;
		if (*block >= memory->block_count)
			continue;
		if (gt_view_block(memory, *block, out))
			return true;
		gt_give_back(memory, *block);
	}
	return false;
}

void gt_give_back(const struct gt_memory *memory, uint32_t block)
{
	gt_queue_put(&memory->exchange, &memory->exchange.free, block);
}

/*
 * Order: own, then done, then id, then the cells upwards, then id again. What lies below done was reserved before it, and
 * the copy never overtakes the writer; a record that straddles done is not seen whole and so not at all.
 */
static bool view_own(const struct gt_memory *memory, uint32_t m, bool stolen, uint64_t *cells, struct gt_view *out)
{
	const struct gt_m *shared = gt_shm_m(memory, m);

	for (int tries = 0; tries < OPEN_TRIES; tries++) {
		uint64_t own = atomic_load_explicit(&shared->own, memory_order_acquire);   /* [own?] */
		uint64_t done = atomic_load_explicit(&shared->done, memory_order_acquire); /* [done?] */
		uint32_t block = GT_OWN_BLOCK(own);
		const struct gt_block *header;
		uint64_t id, begin, used;

		if ((GT_OWN_STATE(own) != GT_OWN_OWNED && GT_OWN_STATE(own) != GT_OWN_BUSY &&
			    !(stolen && GT_OWN_STATE(own) == GT_OWN_STOLEN)) ||
			block >= memory->block_count)
			return false;
		header = gt_shm_block(memory, block);
		begin = gt__block_begin(block);
		id = atomic_load_explicit(&header->id, memory_order_acquire);
		if (GT_BLOCK_ID_M(id) != m || GT_BLOCK_ID_SEQ(id) == 0)
			continue;
		if (done >= begin && done <= gt__block_limit(block))
			used = done - begin;
		else
			used = load(&header->used); /* sealed meanwhile: all of it */
		used &= ~(uint64_t)(GT_CELL_BYTES - 1);
		if (used > GT_BLOCK_CELL_BYTES)
			continue;
		out->t_open = load(&header->t_open);
		out->lost = load(&header->lost);
		for (uint64_t i = 0; i < used / 8; i++)
			cells[i] =
				atomic_load_explicit((const _Atomic uint64_t *)&header->cells[i], memory_order_acquire);
		GT__FENCE(memory_order_acquire); /* [again] */
		if (load(&header->id) != id)
			continue;
		out->t_max = youngest(memory);
		out->cells = cells;
		out->seq = GT_BLOCK_ID_SEQ(id);
		out->m = m;
		out->used = (uint32_t)used;
		out->open = true;
		return true;
	}
	return false;
}

bool gt_view_open(const struct gt_memory *memory, uint32_t m, uint64_t *cells, struct gt_view *out)
{
	return view_own(memory, m, false, cells, out);
}

/* ---- a copy of the window ---- */

/* How many Ms a copy may tell of. */
static uint32_t ms_max(const struct gt_memory *memory)
{
	return memory->m_live < memory->m_count ? memory->m_live + GT_MS_A_PAGE : memory->m_count;
}

static int prepare(const struct gt_memory *memory, struct gt_copy *copy, struct gt_error *err)
{
	uint64_t bytes = (uint64_t)memory->turn_count * (GT_BLOCK_CELL_BYTES + sizeof(struct gt_view)) +
			 (uint64_t)ms_max(memory) * sizeof(struct gt_copy_m);
	void *map;

	if (copy->scratch && copy->scratch_bytes == bytes)
		return 0;
	gt_copy_free(copy);
	map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED)
		return gt_fail(
			err, ENOMEM, "no memory for a copy of the window: %llu bytes", (unsigned long long)bytes);
	/* Faults would cost more than the copy. */
	madvise(map, bytes, MADV_POPULATE_WRITE);
	copy->scratch = map;
	copy->scratch_bytes = bytes;
	return 0;
}

void gt_copy_free(struct gt_copy *copy)
{
	if (copy->scratch)
		munmap(copy->scratch, copy->scratch_bytes);
	memset(copy, 0, sizeof(*copy));
}

static uint64_t *cells_of(const struct gt_copy *copy, uint32_t place)
{
	return (uint64_t *)copy->scratch + (uint64_t)place * (GT_BLOCK_CELL_BYTES / 8);
}

/* Every older block of an M is in the queue by the time that its own was read, so this comes first. A stolen block may be
 * in the thief's hand: it is read where it lies, until another M opens it. */
static void copy_open(const struct gt_memory *memory, struct gt_copy *copy)
{
	uint32_t limit = atomic_load_explicit(&memory->shm->m_limit, memory_order_acquire);

	for (uint32_t m = gt_shm_next_m(memory, 0); m < limit && m < memory->m_count;
		m = gt_shm_next_m(memory, m + 1)) {
		const struct gt_m *shared = gt_shm_m(memory, m);
		struct gt_copy_m *out = &copy->ms[copy->m_count];

		if (load(&shared->seq) == 0 && gt__m_lost(shared) == 0)
			continue;
		if (copy->m_count == ms_max(memory))
			break;
		memset(out, 0, sizeof(*out));
		out->m = m;
		out->tid = atomic_load_explicit(&shared->tid, memory_order_relaxed);
		out->lost = gt__m_lost(shared);
		out->since = load(&shared->t_birth);
		out->seq = load(&shared->seq);
		copy->m_count++;
		if (copy->view_count < memory->turn_count &&
			view_own(memory, m, true, cells_of(copy, copy->view_count), &copy->views[copy->view_count])) {
			/* It may open the next one meanwhile: that holds nothing yet. */
			out->seq = copy->views[copy->view_count].seq;
			copy->begun += load(&shared->pos) > load(&shared->done);
			copy->view_count++;
		}
	}
}

/* All that the loads of the copied cells may see of a block that is written again is found by the second look. */
static void copy_cells(uint64_t *to, const struct gt_block *from, uint64_t used)
{
#if defined(__SANITIZE_THREAD__)
	for (uint64_t i = 0; i < used / 8; i++)
		to[i] = load((const _Atomic uint64_t *)&from->cells[i]);
#else
	memcpy(to, from->cells, used);
#endif
}

/* What stands at one ticket: where it was seen, to be looked at again. */
struct sealed {
	const _Atomic uint64_t *slot;
	const struct gt_block *block;
	uint64_t word, id;
};

static bool find_sealed(const struct gt_memory *memory, uint64_t ticket, struct sealed *at, struct gt_view *out)
{
	const struct gt_queue_ref *queue = &memory->exchange.sealed;

	at->slot = &queue->slots[ticket & queue->slot_mask];
	at->word = atomic_load_explicit(at->slot, memory_order_acquire); /* pairs with [put] */
	if (gt__ticket_diff(gt__slot_ticket(at->word), ticket) != 0 || gt__slot_block(at->word) >= memory->block_count)
		return false;
	at->block = gt_shm_block(memory, gt__slot_block(at->word));
	at->id = atomic_load_explicit(&at->block->id, memory_order_acquire);
	return gt_view_block(memory, gt__slot_block(at->word), out);
}

/* After the copy: nobody took the block away meanwhile. */
static bool still_there(const struct sealed *at)
{
	GT__FENCE(memory_order_acquire); /* [again] pairs with [seize] */
	return load(at->slot) == at->word && load(&at->block->id) == at->id;
}

void gt_sealed_range(const struct gt_memory *memory, uint64_t *first, uint64_t *end)
{
	const struct gt_queue_ref *queue = &memory->exchange.sealed;
	uint64_t word = atomic_load_explicit(queue->word, memory_order_acquire);
	uint64_t length = word & GT_LENGTH_MASK;

	if (length > queue->slot_mask + 1)
		length = queue->slot_mask + 1;
	*end = word >> GT_TICKET_SHIFT;
	*first = (*end - length) & GT_TICKET_MASK;
}

bool gt_view_sealed(const struct gt_memory *memory, uint64_t ticket, uint64_t *cells, struct gt_view *out)
{
	struct sealed at;

	if (!find_sealed(memory, ticket, &at, out))
		return false;
	copy_cells(cells, at.block, out->used);
	out->cells = cells;
	return still_there(&at);
}

/* The first lines, in which a CPU does not see yet that more will follow. */
#define EXPECTED_BYTES 512

void gt_sealed_expect(const struct gt_memory *memory, uint64_t ticket)
{
	const struct gt_queue_ref *queue = &memory->exchange.sealed;
	uint64_t block = gt__slot_block(load(&queue->slots[ticket & queue->slot_mask]));

	for (uint32_t at = 0; block < memory->block_count && at < EXPECTED_BYTES; at += 64)
		__builtin_prefetch((const char *)gt_shm_block(memory, (uint32_t)block) + at);
}

static void copy_one_sealed(const struct gt_memory *memory, struct gt_copy *copy, uint64_t ticket, uint32_t *open_view)
{
	struct gt_view view;
	struct sealed at;
	uint32_t place;

	if (!find_sealed(memory, ticket, &at, &view)) {
		copy->torn++;
		return;
	}
	/* The same block, open a moment ago: this copy is the better one. */
	place = open_view[view.m] - 1;
	if (place >= copy->view_count || copy->views[place].m != view.m || copy->views[place].seq != view.seq)
		place = copy->view_count;
	if (place == memory->turn_count) {
		copy->cut++;
		return;
	}
	if (place < copy->view_count) {
		/* If this copy is torn, the open one is gone too. */
		copy->views[place].used = 0;
		copy->views[place].seq = 0;
	}
	view.cells = cells_of(copy, place);
	copy_cells(cells_of(copy, place), at.block, view.used);
	if (!still_there(&at)) {
		copy->torn++;
		return;
	}
	copy->views[place] = view;
	if (place == copy->view_count)
		copy->view_count++;
}

static int by_m_and_seq(const void *a, const void *b)
{
	const struct gt_view *left = a, *right = b;

	if (left->m != right->m)
		return left->m < right->m ? -1 : 1;
	if (left->seq != right->seq)
		return left->seq < right->seq ? -1 : 1;
	return 0;
}

/* Keeps of each M's views the last ones that follow each other; an open one only at the end. */
static void cut_gaps(struct gt_copy *copy)
{
	uint32_t at = 0, kept = 0;

	qsort(copy->views, copy->view_count, sizeof(*copy->views), by_m_and_seq);
	for (uint32_t i = 0; i < copy->m_count; i++) {
		struct gt_copy_m *m = &copy->ms[i];
		uint32_t first, last;

		while (at < copy->view_count && (copy->views[at].m < m->m || copy->views[at].seq == 0))
			at++;
		first = at;
		while (at < copy->view_count && copy->views[at].m == m->m)
			at++;
		m->first = kept;
		m->count = 0;
		m->whole = m->seq == 0;
		if (first == at)
			continue;
		last = at - 1;
		while (last > first && copy->views[last - 1].seq + 1 == copy->views[last].seq &&
			!copy->views[last - 1].open)
			last--;
		copy->cut += last - first;
		m->whole = copy->views[last].seq == 1;
		if (!m->whole)
			m->since = copy->views[last].t_open;
		m->count = at - last;
		memmove(&copy->views[kept], &copy->views[last], m->count * sizeof(*copy->views));
		kept += m->count;
	}
	copy->view_count = kept;
}

int gt_copy_take(const struct gt_memory *memory, struct gt_copy *copy, struct gt_error *err)
{
	uint64_t first, end;
	uint32_t *open_view;
	int ret = prepare(memory, copy, err);

	if (ret < 0)
		return ret;
	open_view = calloc(memory->m_count, sizeof(*open_view)); /* of an M, + 1; few are touched */
	if (!open_view)
		return gt_fail(err, ENOMEM, "no memory for a copy of the window");
	copy->views = (struct gt_view *)(void *)cells_of(copy, memory->turn_count);
	copy->ms = (struct gt_copy_m *)(void *)(copy->views + memory->turn_count);
	copy->view_count = copy->m_count = copy->torn = copy->cut = copy->begun = 0;
	copy->ticks = memory->dead_ticks ? memory->dead_ticks : gt_ticks();

	copy_open(memory, copy);
	for (uint32_t i = 0; i < copy->view_count; i++)
		open_view[copy->views[i].m] = i + 1;
	gt_sealed_range(memory, &first, &end);
	for (uint64_t ticket = first; gt__ticket_diff(end, ticket) > 0; ticket = (ticket + 1) & GT_TICKET_MASK)
		copy_one_sealed(memory, copy, ticket, open_view);
	free(open_view);
	cut_gaps(copy);
	return 0;
}

/* ---- idle Ms ---- */

bool gt_steal_ask(const struct gt_memory *memory, uint32_t m, struct gt_steal *out)
{
	struct gt_m *shared = gt_shm_m(memory, m);
	uint64_t end;

	out->m = m;
	out->own = atomic_load_explicit(&shared->own, memory_order_acquire);
	if (GT_OWN_STATE(out->own) != GT_OWN_OWNED || GT_OWN_BLOCK(out->own) >= memory->block_count)
		return false;
	/* busy is set before own and cleared after end: who sees this own and no busy sees the end that belongs to it, or one
	 * that a thief cleared. */
	if (atomic_load_explicit(&shared->busy, memory_order_acquire)) /* pairs with [idle] */
		return false;
	end = load(&shared->end);
	return end == 0 || atomic_compare_exchange_strong_explicit(
				   &shared->end, &end, 0, memory_order_seq_cst, memory_order_relaxed);
}

int gt_steal_barrier(void)
{
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0) < 0)
		return -errno;
	return 0;
}

static uint32_t steal(const struct gt_memory *memory, uint32_t m, uint64_t own, uint64_t pos)
{
	struct gt_m *shared = gt_shm_m(memory, m);
	uint32_t block = GT_OWN_BLOCK(own);

	if (pos < gt__block_begin(block) || pos > gt__block_limit(block))
		return GT_NO_BLOCK;
	if (!atomic_compare_exchange_strong_explicit(&shared->own, &own,
		    GT_OWN(block, GT_OWN_VERSION(own), GT_OWN_STOLEN), memory_order_acq_rel, memory_order_relaxed))
		return GT_NO_BLOCK;
	atomic_store_explicit(&gt_shm_block(memory, block)->used, pos - gt__block_begin(block), memory_order_relaxed);
	return block;
}

uint32_t gt_steal_take(const struct gt_memory *memory, const struct gt_steal *asked)
{
	struct gt_m *shared = gt_shm_m(memory, asked->m);
	uint64_t pos = atomic_load_explicit(&shared->pos, memory_order_acquire);

	if (atomic_load_explicit(&shared->done, memory_order_acquire) != pos)
		return GT_NO_BLOCK;
	return steal(memory, asked->m, asked->own, pos);
}

uint32_t gt_steal_gone(const struct gt_memory *memory, uint32_t m)
{
	struct gt_m *shared = gt_shm_m(memory, m);
	uint64_t own = atomic_load_explicit(&shared->own, memory_order_acquire);

	if (GT_OWN_STATE(own) != GT_OWN_OWNED || GT_OWN_BLOCK(own) >= memory->block_count)
		return GT_NO_BLOCK;
	return steal(memory, m, own, atomic_load_explicit(&shared->pos, memory_order_acquire));
}

/* ---- strings ---- */

size_t gt_string_read(const struct gt_memory *memory, uint64_t id, char *out, size_t size)
{
	const struct gt_string_slot *slots =
		(const struct gt_string_slot *)((const uint8_t *)memory->shm + memory->strings_offset);
	const char *arena = (const char *)(slots + memory->string_slot_count);
	uint32_t at, length;

	if (id == 0 || id >= memory->string_slot_count)
		return 0;
	at = atomic_load_explicit(&slots[id].at, memory_order_acquire); /* [bytes] */
	length = atomic_load_explicit(&slots[id].length, memory_order_relaxed);
	if (at == 0 || at >= memory->string_bytes || length > GT_STRING_BYTES_MAX || length > memory->string_bytes - at)
		return 0;
	if (length > size)
		length = (uint32_t)size;
	memcpy(out, arena + at, length);
	return length;
}
