/* shm_create.c - layout, creation and checking of the shared memory. */
#include "libtrace/shm_create.h"

#include "format/wire/event.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE            4096u
#define M_COUNT_USUAL   4096u
#define M_LIMIT_USUAL   256u
#define STACK_SLOTS_MAX (1u << 24)
#define ARENA_MAX       (1u << 30)
#define SPILL_MAX       (1u << 16)
#define ALLOC_RATE      (512u << 10)
#define SEALS           (F_SEAL_SHRINK | F_SEAL_GROW)

static uint64_t page_up(uint64_t bytes)
{
	return (bytes + PAGE - 1) / PAGE * PAGE;
}

static bool power_of_two_or_zero(uint32_t value)
{
	return (value & (value - 1)) == 0;
}

/* Offsets follow from the sizes alone, so a checker computes them anew and compares. */
static void lay_out(struct gt_memory *memory, uint64_t slot_count, uint64_t *slots_offset)
{
	uint64_t at = page_up(sizeof(struct gt_shm));

	*slots_offset = at;
	at = page_up(at + 2 * slot_count * sizeof(uint64_t));
	memory->ms_offset = at;
	at = page_up(at + (uint64_t)memory->m_count * GT_M_BYTES);
	memory->stacks_offset = at;
	memory->arena_offset = at + (uint64_t)memory->stack_slot_count * sizeof(struct gt_stack_slot);
	at = page_up(memory->arena_offset + (uint64_t)memory->arena_words * sizeof(uint32_t));
	memory->strings_offset = at;
	at = page_up(at + (uint64_t)memory->string_slot_count * sizeof(struct gt_string_slot) + memory->string_bytes);
	memory->spill_offset = at;
	at = page_up(at + (uint64_t)memory->spill_count * GT_SPILL_BYTES);
	memory->blocks_offset = at;
	memory->total_bytes = at + (uint64_t)memory->block_count * GT_BLOCK_BYTES;
}

static uint64_t slots_for(uint32_t block_count)
{
	uint64_t count = 4;

	while (count < 2 * (uint64_t)block_count)
		count *= 2;
	return count;
}

static uint64_t bytes_for(const struct gt_memory *sizes, uint32_t block_count)
{
	struct gt_memory memory = *sizes;
	uint64_t slots_offset;

	memory.block_count = block_count;
	lay_out(&memory, slots_for(block_count), &slots_offset);
	return memory.total_bytes - (uint64_t)(memory.m_count - memory.m_live) * GT_M_BYTES;
}

/* Sizes but for block_count. */
static int sizes_of(const struct gt_shm_config *config, struct gt_memory *memory)
{
	memset(memory, 0, sizeof(*memory));
	memory->fd = -1;
	memory->m_count = config->m_count ? config->m_count : M_COUNT_USUAL;
	memory->m_live = config->m_live && config->m_live < memory->m_count ? config->m_live : memory->m_count;
	memory->stack_slot_count = config->stack_slot_count;
	memory->arena_words = config->arena_words;
	memory->stack_depth = config->stack_depth;
	memory->alloc_rate = config->alloc_rate ? config->alloc_rate : ALLOC_RATE;
	memory->string_slot_count = config->string_slot_count;
	memory->string_bytes = config->string_bytes;
	memory->spill_count = config->spill_count;
	memory->text_base = config->text_base;
	memory->text_end = config->text_end;
	if (memory->m_count > GT_M_IDS_MAX || memory->stack_slot_count > STACK_SLOTS_MAX ||
		memory->string_slot_count > STACK_SLOTS_MAX || memory->arena_words > ARENA_MAX ||
		memory->string_bytes > ARENA_MAX || memory->spill_count > SPILL_MAX ||
		memory->stack_depth > GT_STACK_FRAMES_MAX || !power_of_two_or_zero(memory->stack_slot_count) ||
		!power_of_two_or_zero(memory->string_slot_count))
		return -EINVAL;
	return 0;
}

/* A quarter of the blocks is for the window's age order (gt__take_first), one is open on each live M. */
static uint32_t blocks_min(const struct gt_shm_config *config)
{
	uint64_t count = (uint64_t)config->live_ms * 2;

	if (count < GT_BLOCKS_MIN)
		count = GT_BLOCKS_MIN;
	return count > GT_BLOCKS_MAX ? GT_BLOCKS_MAX : (uint32_t)count;
}

uint64_t gt_shm_bytes_min(const struct gt_shm_config *config)
{
	struct gt_memory memory;

	if (sizes_of(config, &memory) < 0)
		return 0;
	return bytes_for(&memory, blocks_min(config));
}

static int choose_blocks(const struct gt_shm_config *config, struct gt_memory *memory, struct gt_error *err)
{
	uint32_t low = blocks_min(config), high = GT_BLOCKS_MAX;

	if (config->block_count) {
		if (config->block_count < 2 || config->block_count > GT_BLOCKS_MAX)
			return gt_fail(err, EINVAL, "%u blocks cannot be: between 2 and %u", config->block_count,
				GT_BLOCKS_MAX);
		memory->block_count = config->block_count;
		if (config->max_bytes && bytes_for(memory, config->block_count) > config->max_bytes)
			return gt_fail(err, EINVAL,
				"%u blocks need %" PRIu64 " bytes: more than the %" PRIu64 " allowed",
				config->block_count, bytes_for(memory, config->block_count), config->max_bytes);
		return 0;
	}
	if (bytes_for(memory, low) > config->max_bytes)
		return gt_fail(err, EINVAL,
			"%" PRIu64
			" bytes do not hold a window: threads, names and %u blocks need them: give at least %" PRIu64
			" (%" PRIu64 "K)",
			config->max_bytes, low, bytes_for(memory, low), (bytes_for(memory, low) + 1023) / 1024);
	while (low < high) {
		uint32_t middle = low + (high - low + 1) / 2;

		if (bytes_for(memory, middle) <= config->max_bytes)
			low = middle;
		else
			high = middle - 1;
	}
	memory->block_count = low;
	return 0;
}

static void make_queue(struct gt_memory *memory, struct gt_queue *queue, uint64_t slots_offset, uint64_t slot_count,
	uint32_t block_count)
{
	_Atomic uint64_t *slots = (_Atomic uint64_t *)((uint8_t *)memory->shm + slots_offset);

	/* The first ticket is S, so that slot i begins as the empty slot of ticket i. */
	for (uint64_t i = 0; i < slot_count; i++)
		atomic_store_explicit(&slots[i],
			i < block_count ? gt__slot_word(slot_count + i, (uint32_t)i) : gt__slot_word(i, GT_SLOT_EMPTY),
			memory_order_relaxed);
	queue->slots_offset = slots_offset;
	queue->slot_mask = slot_count - 1;
	atomic_store_explicit(
		&queue->word, (slot_count + block_count) << GT_TICKET_SHIFT | block_count, memory_order_release);
}

static void connect(struct gt_memory *memory, uint64_t slots_offset, uint64_t slot_count)
{
	uint8_t *base = (uint8_t *)memory->shm;
	struct gt_exchange *exchange = &memory->exchange;

	memory->turn_count = memory->block_count;
	exchange->shm = memory->shm;
	exchange->blocks = (struct gt_block *)(base + memory->blocks_offset);
	exchange->block_count = memory->block_count;
	exchange->sealed.word = &memory->shm->sealed.word;
	exchange->sealed.slots = (_Atomic uint64_t *)(base + slots_offset);
	exchange->sealed.slot_mask = slot_count - 1;
	exchange->free.word = &memory->shm->free.word;
	exchange->free.slots = (_Atomic uint64_t *)(base + slots_offset) + slot_count;
	exchange->free.slot_mask = slot_count - 1;
}

static void write_head(
	struct gt_memory *memory, const struct gt_shm_config *config, uint64_t slots_offset, uint64_t slot_count)
{
	struct gt_shm *shm = memory->shm;

	shm->abi = GT_SHM_ABI;
	shm->header_bytes = sizeof(*shm);
	shm->total_bytes = memory->total_bytes;
	shm->ms_offset = memory->ms_offset;
	shm->stacks_offset = memory->stacks_offset;
	shm->arena_offset = memory->arena_offset;
	shm->strings_offset = memory->strings_offset;
	shm->spill_offset = memory->spill_offset;
	shm->blocks_offset = memory->blocks_offset;
	shm->m_count = memory->m_count;
	shm->stack_slot_count = memory->stack_slot_count;
	shm->arena_words = memory->arena_words;
	shm->spill_count = memory->spill_count;
	shm->block_count = memory->block_count;
	shm->stack_depth = memory->stack_depth;
	shm->string_slot_count = memory->string_slot_count;
	shm->string_bytes = memory->string_bytes;
	shm->text_base = memory->text_base;
	shm->text_end = memory->text_end;
	atomic_store(&shm->mode, config->mode);
	atomic_store(&shm->enabled, config->sets ? config->sets : gt_sets_default());
	atomic_store(&shm->call_ticks_min, config->call_ticks_min);
	atomic_store(&shm->arena_used, 1);
	atomic_store(&shm->strings_used, 1);
	make_queue(memory, &shm->sealed, slots_offset, slot_count, 0);
	make_queue(memory, &shm->free, slots_offset + slot_count * sizeof(uint64_t), slot_count, memory->block_count);
	shm->magic = GT_SHM_MAGIC;
}

/* Pages of everything but the M table, which grows. */
static int populate(struct gt_memory *memory, struct gt_error *err)
{
	struct {
		uint64_t from, to;
	} part[] = {{0, memory->ms_offset}, {memory->stacks_offset, memory->total_bytes}};

	for (size_t i = 0; i < sizeof(part) / sizeof(part[0]); i++) {
		if (part[i].from == part[i].to)
			continue;
		if (fallocate(memory->fd, 0, (off_t)part[i].from, (off_t)(part[i].to - part[i].from)) < 0)
			return gt_fail(err, errno, "no memory for the window: %" PRIu64 " bytes: %s: give a lower size",
				memory->total_bytes, strerror(errno));
		/* An older kernel has no such advice: then the first touch of a page costs a fault. */
		madvise((uint8_t *)memory->shm + part[i].from, part[i].to - part[i].from, MADV_POPULATE_WRITE);
	}
	return 0;
}

static int make_lines(struct gt_memory *memory, uint32_t from_page, uint32_t to_page, struct gt_error *err)
{
	uint64_t from = memory->ms_offset + (uint64_t)from_page * PAGE, bytes = (uint64_t)(to_page - from_page) * PAGE;

	if (fallocate(memory->fd, 0, (off_t)from, (off_t)bytes) < 0)
		return gt_fail(err, errno, "no memory for %u threads: %s", to_page * GT_MS_A_PAGE, strerror(errno));
	madvise((uint8_t *)memory->shm + from, bytes, MADV_POPULATE_WRITE);
	return 0;
}

int gt_shm_grow_ms(struct gt_memory *memory, uint32_t limit, struct gt_error *err)
{
	uint32_t most = memory->m_live + memory->ms_gone_count * GT_MS_A_PAGE;
	uint32_t page = memory->m_limit / GT_MS_A_PAGE, end, run;
	int ret = 0;

	if (limit > most)
		limit = most;
	if (limit > memory->m_count)
		limit = memory->m_count;
	if (limit <= memory->m_limit)
		return 0;
	end = (limit + GT_MS_A_PAGE - 1) / GT_MS_A_PAGE;
	for (; page < end && ret >= 0; page = run) {
		uint32_t there = gt_shm_next_m(memory, page * GT_MS_A_PAGE) / GT_MS_A_PAGE;

		run = there > page ? there : page + 1;
		while (there == page && run < end && gt_shm_next_m(memory, run * GT_MS_A_PAGE) == run * GT_MS_A_PAGE)
			run++;
		if (there == page)
			ret = make_lines(memory, page, run, err);
	}
	if (ret < 0)
		return ret;
	memory->m_limit = limit;
	/* The other side may have gone further. */
	if (atomic_load_explicit(&memory->shm->m_limit, memory_order_relaxed) < limit)
		atomic_store_explicit(&memory->shm->m_limit, limit, memory_order_release);
	return 0;
}

void gt_shm_drop_ms(struct gt_memory *memory, uint32_t m)
{
	uint32_t page = m / GT_MS_A_PAGE;

	if (!memory->ms_gone || (page + 1) * GT_MS_A_PAGE > memory->m_limit ||
		memory->ms_gone[page / 64] >> page % 64 & 1)
		return;
	fallocate(memory->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		(off_t)(memory->ms_offset + (uint64_t)page * PAGE), PAGE);
	memory->ms_gone[page / 64] |= 1ull << page % 64;
	memory->ms_gone_count++;
}

void gt_shm_find_ms(struct gt_memory *memory)
{
	off_t at = (off_t)memory->ms_offset, end = at + (off_t)memory->m_limit * GT_M_BYTES / PAGE * PAGE;

	while (memory->ms_gone_count && at < end) {
		off_t from = lseek(memory->fd, at, SEEK_DATA), to = from < 0 ? end : lseek(memory->fd, from, SEEK_HOLE);

		if (from < 0 || to <= from)
			return;
		for (at = from; at < to && at < end; at += PAGE) {
			uint32_t page = (uint32_t)((at - (off_t)memory->ms_offset) / PAGE);

			if (!(memory->ms_gone[page / 64] >> page % 64 & 1))
				continue;
			memory->ms_gone[page / 64] &= ~(1ull << page % 64);
			memory->ms_gone_count--;
		}
		at = to;
	}
}

/* Only where ids are many. */
static int make_gone(struct gt_memory *memory, const struct gt_shm_config *config, struct gt_error *err)
{
	uint32_t pages = memory->m_count / GT_MS_A_PAGE;

	if (pages < 64 || config->file)
		return 0;
	memory->ms_gone = calloc(pages / 64 + 1, sizeof(*memory->ms_gone));
	if (!memory->ms_gone)
		return gt_fail(err, ENOMEM, "out of memory");
	for (uint32_t page = 0; config->ms_gone && page < pages; page++)
		if (config->ms_gone[page / 64] >> page % 64 & 1) {
			memory->ms_gone[page / 64] |= 1ull << page % 64;
			memory->ms_gone_count++;
		}
	return 0;
}

uint64_t gt_shm_bytes(const struct gt_shm_config *config)
{
	uint64_t slots_offset;
	struct gt_memory memory;

	if (sizes_of(config, &memory) < 0 || choose_blocks(config, &memory, NULL) < 0)
		return 0;
	lay_out(&memory, slots_for(memory.block_count), &slots_offset);
	return memory.total_bytes;
}

int gt_shm_create(const struct gt_shm_config *config, struct gt_memory *out, struct gt_error *err)
{
	uint64_t slots_offset, slot_count;
	struct gt_memory memory;
	void *map;
	int ret;

	if (sizes_of(config, &memory) < 0)
		return gt_fail(
			err, EINVAL, "sizes of the tables cannot be: more than their limits, or not a power of two");
	ret = choose_blocks(config, &memory, err);
	if (ret < 0)
		return ret;
	slot_count = slots_for(memory.block_count);
	lay_out(&memory, slot_count, &slots_offset);

	memory.fd = config->memfd ? config->memfd : memfd_create("gtrace", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (memory.fd < 0)
		return gt_fail(err, errno, "cannot make the window's memory: memfd_create: %s", strerror(errno));
	if (ftruncate(memory.fd, (off_t)(memory.total_bytes + config->extra_bytes)) < 0 ||
		(!config->file && fcntl(memory.fd, F_ADD_SEALS, SEALS | F_SEAL_SEAL) < 0)) {
		ret = gt_fail(err, errno, "cannot make the window's memory of %" PRIu64 " bytes: %s%s",
			memory.total_bytes, strerror(errno),
			errno == EFBIG ? ": raise the limit on file sizes, which holds for memory too (ulimit -f)"
				       : "");
		goto fail_close;
	}
	map = mmap(NULL, memory.total_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory.fd, 0);
	if (map == MAP_FAILED) {
		ret = gt_fail(err, errno, "cannot map the window's %" PRIu64 " bytes: %s", memory.total_bytes,
			strerror(errno));
		goto fail_close;
	}
	memory.shm = map;
	ret = populate(&memory, err);
	if (ret == 0)
		ret = make_gone(&memory, config, err);
	if (ret == 0)
		ret = gt_shm_grow_ms(&memory, config->m_limit ? config->m_limit : M_LIMIT_USUAL, err);
	if (ret < 0)
		goto fail_unmap;
	write_head(&memory, config, slots_offset, slot_count);
	connect(&memory, slots_offset, slot_count);
	*out = memory;
	return 0;

fail_unmap:
	free(memory.ms_gone);
	munmap(map, memory.total_bytes);
fail_close:
	close(memory.fd);
	return ret;
}

/* Copies the head's numbers once; whatever they are, the layout that follows from them must be the one they tell. */
static int check_head(const struct gt_shm *shm, uint64_t file_bytes, struct gt_memory *memory, uint64_t *slots_offset,
	uint64_t *slot_count, struct gt_error *err)
{
	const volatile struct gt_shm *head = shm;
	struct gt_shm_config config = {
		.m_count = head->m_count,
		.stack_slot_count = head->stack_slot_count,
		.arena_words = head->arena_words,
		.stack_depth = head->stack_depth,
		.string_slot_count = head->string_slot_count,
		.string_bytes = head->string_bytes,
		.spill_count = head->spill_count,
		.text_base = head->text_base,
		.text_end = head->text_end,
	};

	if (head->magic != GT_SHM_MAGIC)
		return gt_fail(err, EBADMSG, "this is no window of gtrace");
	if (head->abi != GT_SHM_ABI)
		return gt_fail(err, EPROTONOSUPPORT,
			"the window's memory has version %u, this program knows %u: use the gtrace and libtrace of one "
			"release",
			head->abi, GT_SHM_ABI);
	if (config.m_count == 0 || sizes_of(&config, memory) < 0 || head->header_bytes != sizeof(struct gt_shm))
		return gt_fail(err, EBADMSG, "the window's head is damaged: sizes that cannot be");
	memory->block_count = head->block_count;
	if (memory->block_count < 2 || memory->block_count > GT_BLOCKS_MAX)
		return gt_fail(err, EBADMSG, "the window's head is damaged: %u blocks", memory->block_count);
	*slot_count = slots_for(memory->block_count);
	lay_out(memory, *slot_count, slots_offset);
	if (memory->total_bytes != file_bytes || head->total_bytes != file_bytes ||
		head->ms_offset != memory->ms_offset || head->stacks_offset != memory->stacks_offset ||
		head->arena_offset != memory->arena_offset || head->strings_offset != memory->strings_offset ||
		head->spill_offset != memory->spill_offset || head->blocks_offset != memory->blocks_offset ||
		head->sealed.slots_offset != *slots_offset || head->sealed.slot_mask != *slot_count - 1 ||
		head->free.slots_offset != *slots_offset + *slot_count * sizeof(uint64_t) ||
		head->free.slot_mask != *slot_count - 1)
		return gt_fail(err, EBADMSG, "the window's head is damaged: offsets that do not follow from its sizes");
	memory->m_live = memory->m_count;
	memory->m_limit = head->m_limit;
	if (memory->m_limit > memory->m_count)
		return gt_fail(err, EBADMSG, "the window's head is damaged: %u threads of %u", memory->m_limit,
			memory->m_count);
	return 0;
}

int gt_shm_adopt(void *map, uint64_t bytes, struct gt_memory *out, struct gt_error *err)
{
	uint64_t slots_offset = 0, slot_count = 0;
	struct gt_memory memory;
	const struct gt_shm *head = map;
	int ret;

	if (bytes < sizeof(*head))
		return gt_fail(err, EBADMSG, "this is no window of gtrace: %" PRIu64 " bytes are too few", bytes);
	if (head->magic == GT_SHM_MAGIC && head->abi == GT_SHM_ABI && head->total_bytes > bytes)
		return gt_fail(err, EBADMSG, "the file was cut: %" PRIu64 " bytes of at least %" PRIu64, bytes,
			head->total_bytes);
	ret = check_head(map, head->total_bytes, &memory, &slots_offset, &slot_count, err);
	if (ret < 0)
		return ret;
	memory.shm = map;
	connect(&memory, slots_offset, slot_count);
	*out = memory;
	return 0;
}

int gt_shm_map(int fd, struct gt_memory *out, struct gt_error *err)
{
	uint64_t slots_offset = 0, slot_count = 0, bytes;
	struct gt_memory memory;
	struct stat status;
	int ret, seals;
	void *map;

	if (fstat(fd, &status) < 0)
		return gt_fail(err, errno, "cannot look at the window's memory: %s", strerror(errno));
	/* Without the seal its owner could cut it under our feet. */
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & SEALS) != SEALS || status.st_size < (off_t)sizeof(struct gt_shm))
		return gt_fail(err, EBADMSG, "this is no window of gtrace: not a sealed memory file");
	bytes = (uint64_t)status.st_size;
	map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return gt_fail(err, errno, "cannot map the window's %" PRIu64 " bytes: %s", bytes, strerror(errno));
	ret = check_head(map, bytes, &memory, &slots_offset, &slot_count, err);
	if (ret < 0)
		goto fail;
	memory.fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (memory.fd < 0) {
		ret = gt_fail(err, errno, "cannot keep the window's descriptor: %s", strerror(errno));
		goto fail;
	}
	memory.shm = map;
	connect(&memory, slots_offset, slot_count);
	*out = memory;
	return 0;

fail:
	munmap(map, bytes);
	return ret;
}

void gt_shm_touch(const struct gt_memory *memory)
{
	uint8_t *map = (uint8_t *)memory->shm;

	madvise(map, memory->ms_offset + page_up((uint64_t)memory->m_limit * GT_M_BYTES), MADV_POPULATE_WRITE);
	madvise(map + memory->stacks_offset, memory->total_bytes - memory->stacks_offset, MADV_POPULATE_WRITE);
}

void gt_shm_close(struct gt_memory *memory)
{
	if (!memory->shm)
		return;
	munmap(memory->shm, memory->total_bytes);
	free(memory->ms_gone);
	close(memory->fd);
	memset(memory, 0, sizeof(*memory));
	memory->fd = -1;
}

uint64_t gt_shm_tables_bytes(const struct gt_memory *memory)
{
	return memory->ms_offset + page_up((uint64_t)memory->m_limit * GT_M_BYTES) +
	       (memory->blocks_offset - memory->stacks_offset);
}

/* All that are free now, in the order in which they would be taken; marks them. */
static uint32_t take_free(struct gt_memory *memory, uint32_t *blocks, uint8_t *seen)
{
	uint32_t count = 0, block;

	while (count < memory->block_count) {
		block = gt_queue_take(&memory->exchange.free);
		if (block >= memory->block_count)
			break;
		if (!seen[block]++)
			blocks[count++] = block;
	}
	return count;
}

int gt_shm_begin_again(struct gt_memory *memory, uint32_t in_turn, struct gt_shm_aside *aside, struct gt_error *err)
{
	uint64_t bytes = (uint64_t)memory->block_count * GT_BLOCK_BYTES;
	uint8_t *seen = calloc(1, memory->block_count);
	uint32_t *blocks = malloc(memory->block_count * sizeof(*blocks)), count, open = 0;

	*aside = (struct gt_shm_aside){0};
	if (!seen || !blocks) {
		free(seen);
		free(blocks);
		return gt_fail(err, ENOMEM, "out of memory");
	}
	/* What another recording left sealed is nobody's. */
	for (uint32_t i = 0, block; i < memory->block_count; i++) {
		block = gt_queue_take(&memory->exchange.sealed);
		if (block >= memory->block_count)
			break;
		gt_queue_put(&memory->exchange, &memory->exchange.free, block);
	}
	count = take_free(memory, blocks, seen);
	for (uint32_t m = 0, limit = atomic_load(&memory->shm->m_limit); m < limit && m < memory->m_count; m++) {
		uint64_t own = atomic_load_explicit(&gt_shm_m(memory, m)->own, memory_order_acquire);

		if ((GT_OWN_STATE(own) == GT_OWN_OWNED || GT_OWN_STATE(own) == GT_OWN_BUSY) &&
			GT_OWN_BLOCK(own) < memory->block_count && !seen[GT_OWN_BLOCK(own)]++)
			open++;
	}
	for (uint32_t block = 0; block < memory->block_count; block++)
		if (!seen[block])
			blocks[count++] = block;
	free(seen);
	in_turn = in_turn > open ? in_turn - open : 0;
	for (uint32_t i = 0; i < count && i < in_turn; i++)
		gt_queue_put(&memory->exchange, &memory->exchange.free, blocks[i]);
	aside->count = count > in_turn ? count - in_turn : 0;
	memmove(blocks, blocks + (count - aside->count), aside->count * sizeof(*blocks));
	aside->blocks = blocks;
	memory->turn_count = memory->block_count - aside->count;
	atomic_store(&memory->shm->aside, aside->count);
	if (!aside->count && fallocate(memory->fd, 0, (off_t)memory->blocks_offset, (off_t)bytes) < 0)
		return gt_fail(err, errno, "no memory for the window: %" PRIu64 " bytes: %s: give a lower size", bytes,
			strerror(errno));
	return 0;
}

void gt_shm_end_for_now(struct gt_memory *memory, struct gt_shm_aside *aside)
{
	uint32_t *blocks = malloc(memory->block_count * sizeof(*blocks)), count = 0;
	uint8_t *seen = calloc(1, memory->block_count);

	for (uint32_t i = 0; i < aside->count; i++)
		gt_queue_put(&memory->exchange, &memory->exchange.free, aside->blocks[i]);
	free(aside->blocks);
	*aside = (struct gt_shm_aside){0};
	memory->turn_count = memory->block_count;
	atomic_store(&memory->shm->aside, 0);
	if (blocks && seen)
		count = take_free(memory, blocks, seen);
	for (uint32_t i = 0; i < count; i++) {
		fallocate(memory->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			(off_t)(memory->blocks_offset + (uint64_t)blocks[i] * GT_BLOCK_BYTES), GT_BLOCK_BYTES);
		gt_queue_put(&memory->exchange, &memory->exchange.free, blocks[i]);
	}
	free(blocks);
	free(seen);
}

static int count_queue(const struct gt_memory *memory, const struct gt_queue_ref *queue, const char *name,
	uint8_t *seen, struct gt_error *err)
{
	uint32_t found = 0;

	for (uint64_t i = 0; i <= queue->slot_mask; i++) {
		uint32_t block = gt__slot_block(atomic_load_explicit(&queue->slots[i], memory_order_acquire));

		if (block == GT_SLOT_EMPTY)
			continue;
		if (block >= memory->block_count)
			return gt_fail(
				err, EBADMSG, "the %s queue holds block %u of %u", name, block, memory->block_count);
		if (seen[block]++)
			return gt_fail(
				err, EBADMSG, "block %u is in two places, one of them the %s queue", block, name);
		found++;
	}
	if (found != gt_queue_length(queue))
		return gt_fail(
			err, EBADMSG, "the %s queue holds %u blocks and says %u", name, found, gt_queue_length(queue));
	return 0;
}

int gt_shm_conserved(const struct gt_memory *memory, struct gt_error *err)
{
	uint8_t *seen = calloc(1, memory->block_count);
	int ret;

	if (!seen)
		return gt_fail(err, ENOMEM, "no memory to look at %u blocks", memory->block_count);
	ret = count_queue(memory, &memory->exchange.sealed, "sealed", seen, err);
	if (ret == 0)
		ret = count_queue(memory, &memory->exchange.free, "free", seen, err);
	for (uint32_t m = 0; ret == 0 && m < memory->m_limit; m++) {
		uint64_t own = atomic_load_explicit(&gt_shm_m(memory, m)->own, memory_order_acquire);
		uint32_t block = GT_OWN_BLOCK(own);

		if (GT_OWN_STATE(own) != GT_OWN_OWNED && GT_OWN_STATE(own) != GT_OWN_BUSY)
			continue;
		if (block >= memory->block_count || seen[block]++)
			ret = gt_fail(err, EBADMSG, "block %u, open on M %u, is in two places", block, m);
	}
	for (uint32_t block = 0; ret == 0 && block < memory->block_count; block++)
		if (!seen[block])
			ret = gt_fail(err, EBADMSG, "block %u is in no place", block);
	free(seen);
	return ret;
}
