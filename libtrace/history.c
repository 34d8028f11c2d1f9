/* history.c - packs old blocks; unpacks them for a snapshot. */
#include "libtrace/history.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <zstd.h>

#define CHUNK_CELL_BYTES (GT_HISTORY_CHUNK_BLOCKS * GT_BLOCK_CELL_BYTES)
#define LEVEL            1
#define TIME_SHIFT       8

struct head {
	uint64_t id; /* as in a block */
	uint64_t t_open;
	uint64_t t_max;
	uint64_t lost;
	uint32_t used;
	uint32_t at; /* of its cells in the unpacked chunk */
};

struct chunk {
	uint32_t bytes;  /* all of it, a multiple of 8; 0: the rest of the memory is unused, go on at its begin */
	uint32_t packed; /* bytes of packed cells */
	uint32_t cells;  /* bytes unpacked */
	uint32_t count;
	struct head heads[];
};

struct open_chunk {
	const struct chunk *chunk; /* NULL: free */
	uint64_t used_at;
	uint64_t *cells;
};

struct gt_history {
	uint8_t *memory;
	size_t bytes_max;
	/* Chunks lie from first to end, around the end of the memory when end <= first and some are held. */
	size_t first, end;
	size_t chunk_count;
	uint64_t blocks, cell_bytes, bytes;

	struct head waiting[GT_HISTORY_CHUNK_BLOCKS];
	uint32_t waiting_count, waiting_bytes;
	uint64_t *waiting_cells; /* CHUNK_CELL_BYTES */

	uint8_t *sorted; /* CHUNK_CELL_BYTES */
	uint8_t *packed;
	size_t packed_max;
	ZSTD_CCtx *pack;
	ZSTD_DCtx *unpack;

	struct open_chunk open[GT_HISTORY_OPEN_CHUNKS];
	uint64_t clock;
};

/* ---- the two transformations ---- */

/* Cells that a record at @word0 takes; what is no whole record is stepped over one by one, the same way in both directions. */
static uint32_t words_of(uint64_t word0, uint32_t left)
{
	uint32_t words = GT_WORD0_CELLS(word0) * 2;

	return !GT_WORD0_COMMITTED(word0) || words == 0 || words > left ? 2 : words;
}

static void times_to_distances(uint64_t *cells, uint32_t bytes, uint64_t t_open)
{
	uint64_t last = t_open & GT_TIME_MASK;

	for (uint32_t at = 0, count = bytes / 8; at + 1 < count;) {
		uint64_t word = cells[at];
		uint64_t time = GT_WORD0_TIME(word);

		cells[at] = (time - last) << TIME_SHIFT | (word & 255);
		last = time;
		at += words_of(word, count - at);
	}
}

static void distances_to_times(uint64_t *cells, uint32_t bytes, uint64_t t_open)
{
	uint64_t last = t_open & GT_TIME_MASK;

	for (uint32_t at = 0, count = bytes / 8; at + 1 < count;) {
		uint64_t word = cells[at];

		last = (last + GT_WORD0_TIME(word)) & GT_TIME_MASK;
		cells[at] = last << TIME_SHIFT | (word & 255);
		at += words_of(word, count - at);
	}
}

/* Byte k of every even word, then of every odd word, for k = 0..7: what is alike stands together. */
static void sort_bytes(uint8_t *out, const uint64_t *cells, uint32_t bytes)
{
	uint32_t pairs = bytes / 16;

	for (uint32_t odd = 0; odd < 2; odd++)
		for (uint32_t k = 0; k < 8; k++)
			for (uint32_t i = 0; i < pairs; i++)
				*out++ = (uint8_t)(cells[2 * i + odd] >> (8 * k));
}

static void unsort_bytes(uint64_t *cells, const uint8_t *in, uint32_t bytes)
{
	uint32_t pairs = bytes / 16;

	memset(cells, 0, bytes);
	for (uint32_t odd = 0; odd < 2; odd++)
		for (uint32_t k = 0; k < 8; k++)
			for (uint32_t i = 0; i < pairs; i++)
				cells[2 * i + odd] |= (uint64_t)*in++ << (8 * k);
}

/* ---- life ---- */

int gt_history_new(size_t bytes_max, struct gt_history **out)
{
	struct gt_history *h;

	if (bytes_max < GT_HISTORY_BYTES_MIN || bytes_max > UINT32_MAX)
		return -EINVAL;
	h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	h->bytes_max = bytes_max & ~(size_t)7;
	h->memory =
		mmap(NULL, h->bytes_max, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	h->packed_max = ZSTD_compressBound(CHUNK_CELL_BYTES);
	h->waiting_cells = malloc(CHUNK_CELL_BYTES);
	h->sorted = malloc(CHUNK_CELL_BYTES);
	h->packed = malloc(h->packed_max);
	h->pack = ZSTD_createCCtx();
	h->unpack = ZSTD_createDCtx();
	if (h->memory == MAP_FAILED || !h->waiting_cells || !h->sorted || !h->packed || !h->pack || !h->unpack) {
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
	if (h->memory && h->memory != MAP_FAILED)
		munmap(h->memory, h->bytes_max);
	for (uint32_t i = 0; i < GT_HISTORY_OPEN_CHUNKS; i++)
		free(h->open[i].cells);
	free(h->waiting_cells);
	free(h->sorted);
	free(h->packed);
	ZSTD_freeCCtx(h->pack);
	ZSTD_freeDCtx(h->unpack);
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
	memory = mmap(NULL, bytes_max, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return -ENOMEM;
	for (size_t left = h->chunk_count; left; left--) {
		const struct chunk *chunk;

		at = skip_unused(h, at);
		chunk = chunk_at(h, at);
		memcpy(memory + end, chunk, chunk->bytes);
		end += chunk->bytes;
		at += chunk->bytes;
	}
	for (uint32_t i = 0; i < GT_HISTORY_OPEN_CHUNKS; i++)
		h->open[i].chunk = NULL;
	munmap(h->memory, h->bytes_max);
	h->memory = memory;
	h->bytes_max = bytes_max;
	h->first = 0;
	h->end = end;
	return 0;
}

static void pack_waiting(struct gt_history *h)
{
	size_t packed, bytes;
	struct chunk *chunk;

	for (uint32_t i = 0; i < h->waiting_count; i++)
		times_to_distances(h->waiting_cells + h->waiting[i].at / 8, h->waiting[i].used, h->waiting[i].t_open);
	sort_bytes(h->sorted, h->waiting_cells, h->waiting_bytes);
	packed = ZSTD_compressCCtx(h->pack, h->packed, h->packed_max, h->sorted, h->waiting_bytes, LEVEL);
	if (ZSTD_isError(packed))
		goto out; /* cannot be: the bound was kept. They are lost as if they had been overwritten */
	bytes = (sizeof(*chunk) + h->waiting_count * sizeof(struct head) + packed + 7) & ~(size_t)7;
	chunk = make_room(h, bytes);
	if (!chunk)
		goto out;
	*chunk = (struct chunk){
		.bytes = (uint32_t)bytes,
		.packed = (uint32_t)packed,
		.cells = h->waiting_bytes,
		.count = h->waiting_count,
	};
	memcpy(chunk->heads, h->waiting, h->waiting_count * sizeof(struct head));
	memcpy(&chunk->heads[chunk->count], h->packed, packed);
	h->end += bytes;
	h->chunk_count++;
	h->blocks += chunk->count;
	h->cell_bytes += chunk->cells;
	h->bytes += bytes;
out:
	h->waiting_count = 0;
	h->waiting_bytes = 0;
}

uint64_t *gt_history_place(struct gt_history *h)
{
	return h->waiting_cells + h->waiting_bytes / 8;
}

int gt_history_add(struct gt_history *h, const struct gt_view *view)
{
	uint32_t used = view->used & ~(GT_CELL_BYTES - 1);

	if (used > GT_BLOCK_CELL_BYTES)
		return -EINVAL;
	/* Places, and with them what was opened, are no more. */
	for (uint32_t i = 0; i < GT_HISTORY_OPEN_CHUNKS; i++)
		h->open[i].chunk = NULL;
	h->waiting[h->waiting_count++] = (struct head){
		.id = GT_BLOCK_ID(view->m, view->seq),
		.t_open = view->t_open,
		.t_max = view->t_max,
		.lost = view->lost,
		.used = used,
		.at = h->waiting_bytes,
	};
	if (view->cells != gt_history_place(h))
		memcpy(gt_history_place(h), view->cells, used);
	h->waiting_bytes += used;
	if (h->waiting_count == GT_HISTORY_CHUNK_BLOCKS)
		pack_waiting(h);
	return 0;
}

/* ---- what is held ---- */

size_t gt_history_count(const struct gt_history *h)
{
	return h->blocks + h->waiting_count;
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

void gt_history_views(const struct gt_history *h, struct gt_view *out)
{
	size_t at = h->first, left = h->chunk_count;

	for (const struct chunk *chunk; (chunk = next_chunk(h, &at, &left));)
		for (uint32_t i = 0; i < chunk->count; i++)
			*out++ = view_of(&chunk->heads[i]);
	for (uint32_t i = 0; i < h->waiting_count; i++)
		*out++ = view_of(&h->waiting[i]);
}

uint64_t gt_history_oldest(const struct gt_history *h)
{
	const struct head *heads = h->waiting;
	uint32_t count = h->waiting_count;
	uint64_t oldest = 0;

	if (h->chunk_count) {
		heads = chunk_at(h, h->first)->heads;
		count = chunk_at(h, h->first)->count;
	}
	for (uint32_t i = 0; i < count; i++)
		if (!oldest || heads[i].t_open < oldest)
			oldest = heads[i].t_open;
	return oldest;
}

static struct open_chunk *open_chunk(struct gt_history *h, const struct chunk *chunk)
{
	struct open_chunk *oldest = &h->open[0];
	size_t sorted;

	for (uint32_t i = 0; i < GT_HISTORY_OPEN_CHUNKS; i++) {
		if (h->open[i].chunk == chunk)
			return &h->open[i];
		if (h->open[i].used_at < oldest->used_at)
			oldest = &h->open[i];
	}
	oldest->chunk = NULL;
	if (!oldest->cells)
		oldest->cells = malloc(CHUNK_CELL_BYTES);
	if (!oldest->cells)
		return NULL;
	sorted =
		ZSTD_decompressDCtx(h->unpack, h->sorted, CHUNK_CELL_BYTES, &chunk->heads[chunk->count], chunk->packed);
	if (ZSTD_isError(sorted) || sorted != chunk->cells)
		return NULL;
	unsort_bytes(oldest->cells, h->sorted, chunk->cells);
	for (uint32_t i = 0; i < chunk->count; i++)
		distances_to_times(
			oldest->cells + chunk->heads[i].at / 8, chunk->heads[i].used, chunk->heads[i].t_open);
	oldest->chunk = chunk;
	return oldest;
}

const uint64_t *gt_history_cells(struct gt_history *h, size_t place)
{
	size_t at = h->first, left = h->chunk_count;

	/* All chunks but few hold the same number: a walk from the first is short beside unpacking. */
	for (const struct chunk *chunk; (chunk = next_chunk(h, &at, &left)); place -= chunk->count) {
		struct open_chunk *open;

		if (place >= chunk->count)
			continue;
		open = open_chunk(h, chunk);
		if (!open)
			return NULL;
		open->used_at = ++h->clock;
		return open->cells + chunk->heads[place].at / 8;
	}
	return place < h->waiting_count ? h->waiting_cells + h->waiting[place].at / 8 : NULL;
}

void gt_history_totals(const struct gt_history *h, struct gt_history_totals *out)
{
	*out = (struct gt_history_totals){
		.blocks = gt_history_count(h),
		.cell_bytes = h->cell_bytes + h->waiting_bytes,
		.bytes = h->bytes + h->waiting_bytes + h->waiting_count * sizeof(struct head),
	};
}
