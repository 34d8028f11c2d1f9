/*
 * shm_create.h - makes the shared memory, and maps one that somebody else made.
 *
 * The creator (gtrace, or a program that records itself) chooses all sizes; struct gt_memory keeps them apart from the
 * memory, so that whatever the traced program writes in there, the collector goes by what was chosen.
 * A mapped memory's sizes are copied once and checked; afterwards they are as good as one's own.
 *
 * Every page that a writer may touch exists before its address is told to anybody.
 */
#ifndef GT_LIBTRACE_SHM_CREATE_H
#define GT_LIBTRACE_SHM_CREATE_H

#include "base/error.h"
#include "libtrace/exchange.h"

#define GT_BLOCKS_MIN 16u

struct gt_shm_config {
	uint32_t block_count; /* 0: as many as max_bytes allows */
	uint64_t max_bytes;   /* of everything in the memory; 0: block_count decides */
	enum gt_shm_mode mode;
	uint32_t m_count; /* M ids that can ever be; their table counts in full. 0: 4096 */
	uint32_t m_live;  /* of them, so many may have a line at once: those count. 0: all */
	uint32_t m_limit; /* ids below it are usable; gt_shm_grow_ms adds. 0: 256 */
	const uint64_t *
		ms_gone; /* pages of the table that need not be: of Ms that ended long ago. As in struct gt_memory, or NULL */
	uint32_t live_ms;          /* threads that trace now: each needs a block; raises the minimum */
	uint32_t stack_slot_count; /* a power of two, 0: no stacks */
	uint32_t arena_words;
	uint32_t stack_depth;
	uint32_t string_slot_count; /* a power of two, 0: no strings */
	uint32_t string_bytes;
	uint32_t spill_count;
	uint32_t sets;           /* library form: enum gt_set; 0: the default */
	uint32_t alloc_rate;     /* injected form: bytes from one sampled allocation to the next, about; 0: 512 KiB */
	uint64_t call_ticks_min; /* hooks of Go, set syscalls: only calls that took so long; 0: all */
	uint64_t text_base, text_end;
	int memfd;            /* an empty memfd to be used; it is closed when that fails. 0: one is made */
	bool file;            /* memfd is a plain file, which knows no seals */
	uint64_t extra_bytes; /* at its end, for the caller */
};

struct gt_memory {
	struct gt_shm *shm; /* also the mapping's address */
	int fd;             /* the memfd; closed by gt_shm_close */
	/* as chosen or checked; never read from the memory again */
	uint64_t total_bytes;
	uint64_t ms_offset, stacks_offset, arena_offset, strings_offset, spill_offset, blocks_offset;
	uint32_t m_count, stack_slot_count, arena_words, spill_count, block_count, stack_depth;
	uint32_t string_slot_count, string_bytes;
	uint32_t alloc_rate; /* 0: mapped, not made here */
	uint64_t text_base, text_end;
	/* One bit a page of the M table (GT_MS_A_PAGE ids): there is none any more. NULL: all below m_limit are there. */
	uint64_t *ms_gone;
	uint32_t ms_gone_count, m_live;
	uint32_t turn_count;         /* of the blocks, those that are not set aside */
	uint32_t m_limit;            /* what this side made usable */
	uint64_t dead_ticks;         /* its program is gone: no record is younger. 0: it lives */
	struct gt_exchange exchange; /* for the queues' operations */
};

/* A memfd of the name "gtrace", sealed against a change of its size, mapped, filled, with all blocks in the free queue.
 * -EINVAL with a line that names the minimum when max_bytes is below it. */
int gt_shm_create(const struct gt_shm_config *config, struct gt_memory *out, struct gt_error *err);

/* Maps what @fd refers to; the memory keeps a descriptor of its own. -EBADMSG when it is not what a creator makes,
 * -EPROTONOSUPPORT for another ABI. */
int gt_shm_map(int fd, struct gt_memory *out, struct gt_error *err);

/* The same of a copy of one, @bytes at @map, whose program is gone: nothing of it is mapped or kept open, it is the caller's. @cut: the
 * bytes do not reach as far as the head tells. */
int gt_shm_adopt(void *map, uint64_t bytes, struct gt_memory *out, struct gt_error *err);

/* Fills this mapping's page table (a writer's: a hook meets no fault). Not for a memory whose maker is not trusted: its pages
 * that do not exist yet would be made. */
void gt_shm_touch(const struct gt_memory *memory);

/* Makes M ids below @limit usable (at most m_count). */
int gt_shm_grow_ms(struct gt_memory *memory, uint32_t limit, struct gt_error *err);

void gt_shm_close(struct gt_memory *memory);

/*
 * A memory that was recorded into before and is again, while hooks are off and no collector is there. _begin: every block that no M has open
 * is free, those too that a dead recorder had set aside; all but @in_turn blocks are set aside. -ENOMEM; 0. _end: those are
 * free again, and the pages of all free blocks are given back; _begin makes them anew.
 */
struct gt_shm_aside {
	uint32_t *blocks;
	uint32_t count;
};
int gt_shm_begin_again(struct gt_memory *memory, uint32_t in_turn, struct gt_shm_aside *aside, struct gt_error *err);
void gt_shm_end_for_now(struct gt_memory *memory, struct gt_shm_aside *aside);
/* What the tables take, blocks apart; lines of Ms that were never used not counted. */
uint64_t gt_shm_tables_bytes(const struct gt_memory *memory);

/* What gt_shm_create would take, in bytes; 0 when it would fail. */
uint64_t gt_shm_bytes(const struct gt_shm_config *config);

/* What a config needs at least, in bytes; 0 when it cannot be. */
uint64_t gt_shm_bytes_min(const struct gt_shm_config *config);

#define GT_MS_A_PAGE (4096u / GT_M_BYTES)

/* The first id from @m on whose line is there (or that is beyond the limit): what loops over Ms goes by. */
static inline uint32_t gt_shm_next_m(const struct gt_memory *memory, uint32_t m)
{
	uint32_t page = m / GT_MS_A_PAGE, pages = memory->m_count / GT_MS_A_PAGE;

	if (!memory->ms_gone || page >= pages || !(memory->ms_gone[page / 64] >> page % 64 & 1))
		return m;
	while (page < pages) {
		uint64_t there = ~memory->ms_gone[page / 64] >> page % 64;

		if (there) {
			page += (uint32_t)__builtin_ctzll(there);
			break;
		}
		page = (page / 64 + 1) * 64;
	}
	return page < pages ? page * GT_MS_A_PAGE : memory->m_count;
}

/* An M that was believed to be over recorded all the same: its page is there again. */
void gt_shm_find_ms(struct gt_memory *memory);
/* The page of @m's line is given back: no M of it lives, or is of interest. Only for who made the memory. */
void gt_shm_drop_ms(struct gt_memory *memory, uint32_t m);

static inline struct gt_m *gt_shm_m(const struct gt_memory *memory, uint32_t m)
{
	return (struct gt_m *)((uint8_t *)memory->shm + memory->ms_offset) + m;
}

static inline struct gt_block *gt_shm_block(const struct gt_memory *memory, uint32_t block)
{
	return (struct gt_block *)((uint8_t *)memory->shm + memory->blocks_offset) + block;
}

/* Every block is in exactly one place: a queue, an M's own. Only while nobody writes. For tests and debugging:
 * 0, or -EBADMSG with a line that says which block is twice or nowhere. */
int gt_shm_conserved(const struct gt_memory *memory, struct gt_error *err);

#endif
