/*
 * walk.h - the reader's side of the shared memory: sealed blocks, open blocks, a copy of the whole window, records.
 *
 *   stream    gt_take_sealed: a block is the caller's alone, until gt_give_back. Open blocks: gt_view_open copies what
 *             is committed; when the block is sealed later the caller goes on where it stopped (same m and seq)
 *   flight    gt_copy_take: reads only, so that any number of copies of a resting program are equal
 *   idle Ms   gt_steal_*: takes the open block of a thread that does not record
 *
 * The memory may be written by anybody to anything at any time. What is returned is checked: numbers of blocks and Ms are
 * in range, used fits a block. A record's own words are as the program wrote them: gt_decode judges them.
 */
#ifndef GT_LIBTRACE_WALK_H
#define GT_LIBTRACE_WALK_H

#include "libtrace/decode.h"
#include "libtrace/shm_create.h"

#define GT_BLOCK_CELL_BYTES (GT_BLOCK_BYTES - GT_BLOCK_HEADER_BYTES)

/* A block as a reader has it. */
struct gt_view {
	const uint64_t *cells; /* NULL: packed away (history.h) */
	uint64_t seq;
	uint64_t t_open;
	uint64_t t_max; /* no record is younger: when the view was taken, and a little for the clocks of other CPUs */
	uint64_t lost;  /* the M's count when it was opened */
	uint32_t m;
	uint32_t used;  /* bytes that may hold records */
	uint32_t place; /* of packed cells: in the history */
	bool open;      /* more may follow */
};

/* ---- records of a view ---- */

struct gt_walk {
	uint32_t at;        /* begin at 0, or where an earlier walk of the same (m, seq) stopped */
	uint32_t in_flight; /* records that were begun and not committed: stepped over, or the cause of the stop */
};

/*
 * 1: the next record is in @out. 0: no more. With @step_over a record in flight whose size is known is left out (a copy: it
 * will never be seen again); without, the walk stops before it (it may be committed at the next look). After one of unknown
 * size the rest of the view cannot be read.
 */
int gt_walk_next(struct gt_walk *walk, const struct gt_view *view, bool step_over, struct gt_record *out);

/* ---- streaming ---- */

/* The oldest sealed block. False: none. */
bool gt_take_sealed(const struct gt_memory *memory, uint32_t *block, struct gt_view *out);
void gt_give_back(const struct gt_memory *memory, uint32_t block);

/* What M has committed in its open block, copied into @cells (GT_BLOCK_CELL_BYTES). False: it has none, or was faster. */
bool gt_view_open(const struct gt_memory *memory, uint32_t m, uint64_t *cells, struct gt_view *out);

/* ---- sealed blocks where they are ---- */

/* The tickets of the sealed blocks now: from *first up to, not including, *end. */
void gt_sealed_range(const struct gt_memory *memory, uint64_t *first, uint64_t *end);
/* The block of @ticket, copied into @cells (GT_BLOCK_CELL_BYTES). False: it is not there, or was taken during the copy. */
bool gt_view_sealed(const struct gt_memory *memory, uint64_t ticket, uint64_t *cells, struct gt_view *out);
/* It will be wanted soon: the CPU may fetch it meanwhile. */
void gt_sealed_expect(const struct gt_memory *memory, uint64_t ticket);

/* ---- a copy of the window ---- */

struct gt_copy_m {
	uint32_t m;
	uint32_t tid;
	uint64_t since;        /* ticks: complete from here on */
	uint64_t lost;         /* the M's count of lost records when it was read */
	uint64_t seq;          /* of its newest block */
	uint32_t first, count; /* of views */
	bool whole;            /* complete since its birth */
};

struct gt_copy {
	struct gt_view *views; /* by M, each M's in its order without a gap */
	struct gt_copy_m *ms;
	uint32_t view_count, m_count;
	uint32_t torn;  /* blocks that were taken away while they were copied */
	uint32_t cut;   /* blocks before a gap: left out */
	uint32_t begun; /* Ms that were in the midst of a record; of a dead program, these come no more */
	uint64_t ticks; /* when it began */
	void *scratch;
	uint64_t scratch_bytes; /* at most the window's blocks and an index of 64 bytes each */
};

/* @scratch is prepared by the first call (all zero before) and used again by the next, so that a copy costs no faults. */
int gt_copy_take(const struct gt_memory *memory, struct gt_copy *copy, struct gt_error *err);
void gt_copy_free(struct gt_copy *copy);

/* ---- idle Ms ---- */

struct gt_steal {
	uint64_t own;
	uint32_t m;
};

/*
 * Three steps, for many Ms at once: ask, one barrier, take. A writer that wakes meanwhile keeps its block.
 * When streaming, take what is sealed between ask and take: then the stolen block is the next of its M, and is read at once.
 * A take that fails may be asked for again at any time.
 */
bool gt_steal_ask(const struct gt_memory *memory, uint32_t m, struct gt_steal *out);
/* Every thread of every program that registered has done what it did before. -errno when the kernel cannot. */
int gt_steal_barrier(void);
/* The block, in the caller's hand: to be put to the sealed ones, or read and given back. Or GT_NO_BLOCK. */
uint32_t gt_steal_take(const struct gt_memory *memory, const struct gt_steal *steal);
/* The thread is known to be gone: no ask, no barrier; records in flight stay so. */
uint32_t gt_steal_gone(const struct gt_memory *memory, uint32_t m);
/* The view of a block in the caller's hand. False: its header is damaged. */
bool gt_view_block(const struct gt_memory *memory, uint32_t block, struct gt_view *out);

/* ---- strings ---- */

/* Bytes of the string, at most @size of them, no terminator. 0: not known, or not stored yet. */
size_t gt_string_read(const struct gt_memory *memory, uint64_t id, char *out, size_t size);

#endif
