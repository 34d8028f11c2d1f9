/* slices.c - see slices.h. */
#include "viewer/slices.h"

#include "base/bytes.h"

#include <stdatomic.h>

/* Of the head's byte; the lowest three bits are the state. */
#define HAS_GAP    0x08
#define HAS_STACK  0x10
#define HAS_LINK   0x20
#define HAS_P      0x40
#define HAS_REASON 0x80

/* ---- packing ---- */

static uint64_t zigzag(int64_t value)
{
	return (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
}

static int64_t unzigzag(uint64_t value)
{
	return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

static void begin_block(struct gt_index_row *row, int64_t since_ns)
{
	row->last_link = 0;
	row->end_ns = since_ns;
	if (!row->count) {
		row->since_ns = since_ns;
		return;
	}
	row->blocks[gt__slices_blocks(row->count + 1) - 1] = (struct gt_index_block){
		.since_ns = since_ns,
		.at = row->size,
		.sums = {row->total_ns[1], row->total_ns[2], row->total_ns[3], row->total_ns[4]},
	};
}

void gt__slices_add(struct gt_index_row *row, const struct gt_index_slice *slice)
{
	uint8_t *head = row->bytes + row->size, *at = head + 1;

	if (row->count % GT_INDEX_BUCKET == 0)
		begin_block(row, slice->since_ns);
	*head = slice->state;
	at = gt_put_uvarint(at, (uint64_t)(slice->end_ns - slice->since_ns));
	if (slice->since_ns != row->end_ns) {
		*head |= HAS_GAP;
		at = gt_put_uvarint(at, (uint64_t)(slice->since_ns - row->end_ns));
	}
	/* No row (UINT32_MAX) is the least. */
	at = gt_put_uvarint(at, (uint32_t)(slice->detail + 1));
	if (slice->stack) {
		*head |= HAS_STACK;
		at = gt_put_uvarint(at, slice->stack);
	}
	if (slice->link) {
		*head |= HAS_LINK;
		at = gt_put_uvarint(at, zigzag((int64_t)slice->link - row->last_link));
		row->last_link = slice->link;
	}
	if (slice->p) {
		*head |= HAS_P;
		at = gt_put_uvarint(at, slice->p);
	}
	if (slice->reason) {
		*head |= HAS_REASON;
		*at++ = slice->reason;
	}
	row->size = (uint32_t)(at - row->bytes);
	row->end_ns = slice->end_ns;
	row->count++;
	if (slice->state < GT_INDEX_STATES)
		row->total_ns[slice->state] += (uint64_t)(slice->end_ns - slice->since_ns);
}

/* ---- unpacking ---- */

static inline uint64_t get(const uint8_t **bytes)
{
	const uint8_t *at = *bytes;
	uint64_t value = *at++;

	if (value >= 0x80) {
		value &= 0x7f;
		for (unsigned int shift = 7;; shift += 7) {
			uint64_t byte = *at++;

			value |= (byte & 0x7f) << shift;
			if (byte < 0x80)
				break;
		}
	}
	*bytes = at;
	return value;
}

static void unpack(const struct gt_index_row *row, uint32_t block, uint32_t count, struct gt_index_slice *out)
{
	const uint8_t *at = row->bytes + (block ? row->blocks[block - 1].at : 0);
	int64_t end_ns = gt__slices_begin(row, block);
	uint32_t link = 0;

	for (uint32_t i = 0; i < count; i++, out++) {
		unsigned int head = *at++;
		uint64_t length = get(&at);

		*out = (struct gt_index_slice){.state = head & 7};
		out->since_ns = end_ns + (head & HAS_GAP ? (int64_t)get(&at) : 0);
		out->end_ns = end_ns = out->since_ns + (int64_t)length;
		out->detail = (uint32_t)get(&at) - 1;
		if (head & HAS_STACK)
			out->stack = (uint32_t)get(&at);
		if (head & HAS_LINK)
			out->link = link = (uint32_t)(link + unzigzag(get(&at)));
		if (head & HAS_P)
			out->p = (uint16_t)get(&at);
		if (head & HAS_REASON)
			out->reason = *at++;
	}
}

/* ---- blocks that this thread unpacked last ---- */

#define HELD 8

struct held {
	const uint8_t *bytes; /* of the row; with its kind and id they are no other's as long as the index lives */
	uint64_t id;
	uint32_t block, count;
	uint8_t kind;
	struct gt_index_slice slices[GT_INDEX_BUCKET];
};

static atomic_uint indexes_gone;
static _Thread_local struct {
	struct held list[HELD];
	unsigned int newest, gone;
} held;

void gt__slices_forget(void)
{
	atomic_fetch_add(&indexes_gone, 1);
}

static bool is_it(const struct held *it, const struct gt_index_row *row, uint32_t block, uint32_t count)
{
	return it->block == block && it->bytes == row->bytes && it->id == row->id && it->kind == row->kind &&
	       it->count >= count;
}

const struct gt_index_slice *gt_index_slice(const struct gt_index_row *row, uint32_t number)
{
	uint32_t block = number / GT_INDEX_BUCKET, in = number % GT_INDEX_BUCKET, count = row->count - number + in;
	unsigned int gone = atomic_load_explicit(&indexes_gone, memory_order_relaxed);
	struct held *it = &held.list[held.newest];

	if (gone != held.gone) {
		for (unsigned int i = 0; i < HELD; i++)
			held.list[i].count = 0;
		held.gone = gone;
	}
	if (is_it(it, row, block, in + 1))
		return &it->slices[in];
	for (unsigned int i = 1; i < HELD; i++) {
		it = &held.list[(held.newest + i) % HELD];
		if (is_it(it, row, block, in + 1))
			return &it->slices[in];
	}
	/* The place after the newest is the oldest's. */
	held.newest = (held.newest + 1) % HELD;
	it = &held.list[held.newest];
	it->bytes = row->bytes;
	it->id = row->id;
	it->kind = row->kind;
	it->block = block;
	it->count = count < GT_INDEX_BUCKET ? count : GT_INDEX_BUCKET;
	unpack(row, block, it->count, it->slices);
	return &it->slices[in];
}

void gt__slices_sums(const struct gt_index_row *row, uint32_t at, uint64_t out[GT_INDEX_STATES - 1])
{
	uint32_t block = at / GT_INDEX_BUCKET;

	/* Behind the last of a full block there is no next one yet. */
	if (at && at == row->count && at % GT_INDEX_BUCKET == 0)
		block--;
	for (unsigned int i = 0; i < GT_INDEX_STATES - 1; i++)
		out[i] = block ? row->blocks[block - 1].sums[i] : 0;
	for (uint32_t i = block * GT_INDEX_BUCKET; i < at; i++) {
		const struct gt_index_slice *slice = gt_index_slice(row, i);

		if (slice->state >= 1 && slice->state < GT_INDEX_STATES)
			out[slice->state - 1] += (uint64_t)(slice->end_ns - slice->since_ns);
	}
}
