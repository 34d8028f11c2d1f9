/* history.c - packs old blocks; unpacks them for a snapshot. */
#include "libtrace/history.h"

#include "base/clock.h"
#include "libtrace/coder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* A chunk takes no more than this part of the memory: with it goes its part of the history. */
#define CHUNK_PART 8
/* What a coder reads beyond its input. */
#define BEYOND 8
/* Readings of the clock, to find its step. */
#define CLOCK_LOOKS 200

struct head {
	uint64_t id; /* as in a block */
	uint64_t t_open;
	uint64_t t_max;
	uint64_t lost;
	uint16_t used;   /* bytes of cells */
	uint16_t packed; /* bytes that follow; as many as used: they are the cells as they were */
	uint32_t at;     /* of the cells in the unpacked chunk */
	uint8_t bytes[];
};

struct chunk {
	uint32_t bytes;  /* all of it, a multiple of 8; 0: the rest of the memory is unused, go on at its begin */
	uint32_t cells;  /* bytes unpacked */
	uint32_t count;  /* of blocks */
	uint32_t step;   /* gt_coder_begin */
	uint64_t oldest; /* t_open */
};

struct open_chunk {
	const struct chunk *chunk; /* NULL: free */
	uint64_t used_at;
	uint64_t *cells;
	size_t room;
};

struct gt_history {
	uint8_t *memory;
	size_t bytes_max;
	/* Chunks lie from first to end, around the end of the memory when end <= first and some are held. The newest, at last, grows
	 * as long as it is open. */
	size_t first, last, end;
	size_t chunk_count;
	bool open_end;
	uint32_t clock_step;
	uint64_t blocks, cell_bytes, bytes;

	struct gt_coder *pack, *unpack;
	uint64_t place[GT_BLOCK_CELL_BYTES / 8];
	uint8_t packed[GT_BLOCK_CELL_BYTES / 2 * 3 + 128]; /* gt_coder_room */

	struct open_chunk open[GT_HISTORY_OPEN_CHUNKS];
	uint64_t clock;
};

/* ---- life ---- */

static uint8_t *map_memory(size_t bytes)
{
	void *memory =
		mmap(NULL, bytes + BEYOND, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

/* Many clocks go in steps: of the processor's bus, say. */
static uint32_t clock_step(void)
{
	uint64_t before = gt_ticks(), step = 0;

	for (int i = 0; i < CLOCK_LOOKS && step != 1; i++) {
		uint64_t now = gt_ticks(), rest = now - before;

		before = now;
		while (rest) {
			uint64_t next = step % rest;

			step = rest;
			rest = next;
		}
	}
	return step && step < 1 << 16 ? (uint32_t)step : 1;
}

int gt_history_new(size_t bytes_max, struct gt_history **out)
{
	struct gt_history *h;

	if (bytes_max < GT_HISTORY_BYTES_MIN || bytes_max > UINT32_MAX)
		return -EINVAL;
	h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	h->bytes_max = bytes_max & ~(size_t)7;
	h->memory = map_memory(h->bytes_max);
	h->pack = gt_coder_new();
	h->clock_step = clock_step();
	if (!h->memory || !h->pack) {
		gt_history_free(h);
		return -ENOMEM;
	}
	*out = h;
	return 0;
}

void gt_history_free(struct gt_history *h)
{
	if (!h)
		return;
	if (h->memory)
		munmap(h->memory, h->bytes_max + BEYOND);
	for (uint32_t i = 0; i < GT_HISTORY_OPEN_CHUNKS; i++)
		free(h->open[i].cells);
	free(h->pack);
	free(h->unpack);
	free(h);
}

/* ---- chunks in turn ---- */

static struct chunk *chunk_at(const struct gt_history *h, size_t at)
{
	return (struct chunk *)(void *)(h->memory + at);
}

/* A chunk at @at, or the first one when the rest of the memory is unused. */
static size_t skip_unused(const struct gt_history *h, size_t at)
{
	return at + sizeof(struct chunk) > h->bytes_max || chunk_at(h, at)->bytes == 0 ? 0 : at;
}

static void drop_oldest(struct gt_history *h)
{
	const struct chunk *chunk = chunk_at(h, h->first);

	h->blocks -= chunk->count;
	h->cell_bytes -= chunk->cells;
	h->bytes -= chunk->bytes;
	if (--h->chunk_count)
		h->first = skip_unused(h, h->first + chunk->bytes);
	else
		h->first = h->end = 0;
}

/* Room for @bytes in one piece at h->end; NULL: never. */
static struct chunk *make_room(struct gt_history *h, size_t bytes)
{
	if (bytes > h->bytes_max)
		return NULL;
	if (h->end + bytes > h->bytes_max) {
		/* The rest stays unused. What lies behind it, up to the end of the memory, is older than what lies at its begin. */
		while (h->chunk_count && h->first >= h->end)
			drop_oldest(h);
		if (h->end + sizeof(struct chunk) <= h->bytes_max)
			chunk_at(h, h->end)->bytes = 0;
		if (h->chunk_count)
			h->end = 0;
	}
	while (h->chunk_count && h->first >= h->end && h->first < h->end + bytes)
		drop_oldest(h);
	return chunk_at(h, h->end);
}

int gt_history_grow(struct gt_history *h, size_t bytes_max)
{
	size_t at = h->first, end = 0;
	uint8_t *memory;

	bytes_max &= ~(size_t)7;
	if (bytes_max <= h->bytes_max)
		return 0;
	if (bytes_max > UINT32_MAX)
		return -EINVAL;
	memory = map_memory(bytes_max);
	if (!memory)
		return -ENOMEM;
	for (size_t left = h->chunk_count; left; left--) {
		const struct chunk *chunk;

		at = skip_unused(h, at);
		chunk = chunk_at(h, at);
		memcpy(memory + end, chunk, chunk->bytes);
		h->last = end;
		end += chunk->bytes;
		at += chunk->bytes;
	}
	for (uint32_t i = 0; i < GT_HISTORY_OPEN_CHUNKS; i++)
		h->open[i].chunk = NULL;
	munmap(h->memory, h->bytes_max + BEYOND);
	h->memory = memory;
	h->bytes_max = bytes_max;
	h->first = 0;
	h->end = end;
	return 0;
}

/* ---- what comes in ---- */

static size_t room_of(size_t packed)
{
	return (sizeof(struct head) + packed + 7) & ~(size_t)7;
}

/* As it stands in the chunk that is open. */
static size_t pack(struct gt_history *h, const struct gt_view *view, uint32_t used)
{
	size_t packed = gt_coder_pack(h->pack, view->cells, used, view->t_open, h->packed);

	if (packed < used)
		return packed;
	memcpy(h->packed, view->cells, used);
	return used;
}

/* A chunk with nothing in it at the end, and room for a block of any size. */
static void begin_chunk(struct gt_history *h, const struct gt_view *view, uint32_t used)
{
	struct chunk *chunk = make_room(h, sizeof(*chunk) + room_of(GT_BLOCK_CELL_BYTES));

	*chunk = (struct chunk){
		.bytes = sizeof(*chunk), .step = gt_coder_step(view->cells, used, view->t_open, h->clock_step)};
	gt_coder_begin(h->pack, chunk->step);
	h->last = h->end;
	h->end += sizeof(*chunk);
	h->bytes += sizeof(*chunk);
	h->chunk_count++;
	h->open_end = true;
}

/* The open chunk takes a block of any size more. */
static bool has_room(struct gt_history *h)
{
	const struct chunk *chunk = chunk_at(h, h->last);
	size_t most = room_of(GT_BLOCK_CELL_BYTES);

	if (!h->open_end || chunk->count == GT_HISTORY_CHUNK_BLOCKS ||
		chunk->bytes + most > h->bytes_max / CHUNK_PART || h->end + most > h->bytes_max)
		return false;
	make_room(h, most);
	return true;
}

uint64_t *gt_history_place(struct gt_history *h)
{
	return h->place;
}

int gt_history_add(struct gt_history *h, const struct gt_view *view)
{
	uint32_t used = view->used & ~(GT_CELL_BYTES - 1);
	struct chunk *chunk;
	struct head *head;
	size_t packed, bytes;

	if (used > GT_BLOCK_CELL_BYTES)
		return -EINVAL;
	/* Places, and with them what was opened, are no more. */
	for (uint32_t i = 0; i < GT_HISTORY_OPEN_CHUNKS; i++)
		h->open[i].chunk = NULL;
	if (!has_room(h))
		begin_chunk(h, view, used);
	packed = pack(h, view, used);
	bytes = room_of(packed);
	chunk = chunk_at(h, h->last);
	head = (struct head *)(void *)(h->memory + h->end);
	*head = (struct head){
		.id = GT_BLOCK_ID(view->m, view->seq),
		.t_open = view->t_open,
		.t_max = view->t_max,
		.lost = view->lost,
		.used = (uint16_t)used,
		.packed = (uint16_t)packed,
		.at = chunk->cells,
	};
	memcpy(head->bytes, h->packed, packed);
	chunk->bytes += (uint32_t)bytes;
	chunk->cells += used;
	if (!chunk->count++ || view->t_open < chunk->oldest)
		chunk->oldest = view->t_open;
	h->end += bytes;
	h->bytes += bytes;
	h->cell_bytes += used;
	h->blocks++;
	return 0;
}

void gt_history_clear(struct gt_history *h)
{
	if (!h->chunk_count)
		return;
	for (uint32_t i = 0; i < GT_HISTORY_OPEN_CHUNKS; i++)
		h->open[i].chunk = NULL;
	while (h->chunk_count)
		drop_oldest(h);
	h->open_end = false;
	madvise(h->memory, h->bytes_max, MADV_DONTNEED);
}

/* ---- what is held ---- */

size_t gt_history_count(const struct gt_history *h)
{
	return h->blocks;
}

/* The next chunk from @at on (0 chunks left: NULL). */
static const struct chunk *next_chunk(const struct gt_history *h, size_t *at, size_t *left)
{
	const struct chunk *chunk;

	if (!*left)
		return NULL;
	(*left)--;
	*at = skip_unused(h, *at);
	chunk = chunk_at(h, *at);
	*at += chunk->bytes;
	return chunk;
}

static struct gt_view view_of(const struct head *head)
{
	return (struct gt_view){
		.seq = GT_BLOCK_ID_SEQ(head->id),
		.m = GT_BLOCK_ID_M(head->id),
		.t_open = head->t_open,
		.t_max = head->t_max,
		.lost = head->lost,
		.used = head->used,
	};
}

/* The blocks of a chunk, one after the other from first_head on. */
static const struct head *first_head(const struct chunk *chunk)
{
	return (const struct head *)(const void *)(chunk + 1);
}

static const struct head *next_head(const struct head *head)
{
	return (const struct head *)(const void *)((const uint8_t *)head + room_of(head->packed));
}

void gt_history_views(const struct gt_history *h, struct gt_view *out)
{
	size_t at = h->first, left = h->chunk_count;

	for (const struct chunk *chunk; (chunk = next_chunk(h, &at, &left));) {
		const struct head *head = first_head(chunk);

		for (uint32_t i = 0; i < chunk->count; i++, head = next_head(head))
			*out++ = view_of(head);
	}
}

uint64_t gt_history_oldest(const struct gt_history *h)
{
	return h->chunk_count ? chunk_at(h, h->first)->oldest : 0;
}

static bool unpack(struct gt_history *h, const struct chunk *chunk, uint64_t *cells)
{
	const struct head *head = first_head(chunk);

	if (!h->unpack)
		h->unpack = gt_coder_new();
	if (!h->unpack)
		return false;
	gt_coder_begin(h->unpack, chunk->step);
	for (uint32_t i = 0; i < chunk->count; i++, head = next_head(head)) {
		uint64_t *to = cells + head->at / 8;

		if (head->packed == head->used) {
			memcpy(to, head->bytes, head->used);
			/* What it taught is wanted all the same. */
			gt_coder_pack(h->unpack, to, head->used, head->t_open, h->packed);
			continue;
		}
		if (!gt_coder_unpack(h->unpack, head->bytes, head->packed, head->t_open, to, head->used))
			return false;
	}
	return true;
}

static struct open_chunk *open_chunk(struct gt_history *h, const struct chunk *chunk)
{
	struct open_chunk *oldest = &h->open[0];

	for (uint32_t i = 0; i < GT_HISTORY_OPEN_CHUNKS; i++) {
		if (h->open[i].chunk == chunk)
			return &h->open[i];
		if (h->open[i].used_at < oldest->used_at)
			oldest = &h->open[i];
	}
	oldest->chunk = NULL;
	if (oldest->room < chunk->cells) {
		free(oldest->cells);
		oldest->room = 0;
		oldest->cells = malloc(chunk->cells);
		if (!oldest->cells)
			return NULL;
		oldest->room = chunk->cells;
	}
	if (!unpack(h, chunk, oldest->cells))
		return NULL;
	oldest->chunk = chunk;
	return oldest;
}

const uint64_t *gt_history_cells(struct gt_history *h, size_t place)
{
	size_t at = h->first, left = h->chunk_count;

	/* All chunks but few hold the same number: a walk from the first is short beside unpacking. */
	for (const struct chunk *chunk; (chunk = next_chunk(h, &at, &left)); place -= chunk->count) {
		const struct head *head = first_head(chunk);
		struct open_chunk *open;

		if (place >= chunk->count)
			continue;
		open = open_chunk(h, chunk);
		if (!open)
			return NULL;
		open->used_at = ++h->clock;
		while (place--)
			head = next_head(head);
		return open->cells + head->at / 8;
	}
	return NULL;
}

void gt_history_totals(const struct gt_history *h, struct gt_history_totals *out)
{
	*out = (struct gt_history_totals){.blocks = h->blocks, .cell_bytes = h->cell_bytes, .bytes = h->bytes};
}
