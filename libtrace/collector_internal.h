/* collector_internal.h - what collector.c and snapshot.c share. */
#ifndef GT_LIBTRACE_COLLECTOR_INTERNAL_H
#define GT_LIBTRACE_COLLECTOR_INTERNAL_H

#include "base/clock.h"
#include "base/hash.h"
#include "libtrace/collector.h"
#include "libtrace/decode.h"
#include "libtrace/fds.h"
#include "libtrace/history.h"
#include "libtrace/triggers.h"
#include "libtrace/walk.h"

#define GT__CHUNK_MS     GT_MS_A_PAGE
#define GT__MS_AHEAD     256  /* ids beyond the highest seen that hooks may use at once */
#define GT__MS_AHEAD_MAX 1024 /* where there is room */
#define GT__LINES_MAX    32   /* inlined calls at one pc */
/* A clock is read a little before the record's place is visible to others (out-of-order execution): what lies
 * so near before the round's begin may still come. */
#define GT__SKEW_TICKS 50000
/* A thread that stays in the midst of something so long is stopped, or gone: it does not hold up the others. */
#define GT__STUCK_SECONDS 1
#define GT__STEALS_MAX    512                                      /* in one round */
#define GT__BATCH_MAX     (3 * GT_BLOCK_BYTES / GT_CELL_BYTES + 8) /* a cell: two events, and a descriptor's name */

struct gt__m_state {
	struct gt_decoder decoder;
	uint64_t seq;         /* of the block that was read last, or is being read */
	uint32_t offset;      /* of its cells: read up to here */
	uint64_t pos_clean;   /* M.pos when everything was read; 0 never */
	uint64_t last_ticks;  /* of its newest event */
	uint64_t lost_told;   /* of M.lost: already told by Lost events */
	uint64_t known_seq;   /* flight: of the newest block that was sealed, or put into the attic, and seen */
	uint64_t ring_ticket; /* of the newest one that was sealed, */
	uint64_t idle_pos;    /* M.pos at the last look for idle Ms */
	uint64_t idle_ticks;  /* it is the same since */
	uint64_t gap_seq;     /* flight, triggers: an open block that was seen before the block before it */
	uint64_t stuck_pos;   /* the same: M.pos at which a record was in flight, */
	uint64_t stuck_ticks; /* and since when */
	uint64_t begin_seq;   /* when this recording began: M.seq */
	uint64_t begin_lost;  /* and what it had lost */
	uint32_t tid;
	bool in_ring;   /* which may be in the ring still */
	bool partial;   /* the block was read while open: the sealed queue will bring it */
	bool unread;    /* at the end: not all of it could be read */
	bool ended;     /* MEnd was seen */
	bool reclaimed; /* its last block was taken back */
};
_Static_assert(
	sizeof(struct gt__m_state) <= 256, "a window beside 1000 threads has no room for more (e2e: window_memory)");

/* Flight: goroutines that live, or ended within the window: their creation may be overwritten, their name is needed. */
#define GT__NAME_NONE UINT32_MAX
struct gt__name {
	uint64_t g; /* 0 = free: parent is the next free one then */
	uint64_t parent;
	uint64_t start_pc, site_pc; /* as recorded, slide included */
};
struct gt__ended {
	uint64_t g;
	uint64_t ticks;
};
struct gt__names {
	struct gt_map map; /* g -> index into entries */
	struct gt__name *entries;
	struct gt__ended *ended; /* ring of max */
	uint64_t ended_first, ended_end;
	uint32_t count, max, free;
	uint64_t lost;
};

/* Flight: records of stolen blocks (idle.c). */
struct gt__attic {
	uint8_t *memory;
	size_t bytes_max;
	size_t first, end, count; /* as a history's chunks */
};

/* By @ticks the blocks before @ticket were sealed. */
#define GT__AGES 18
struct gt__age {
	uint64_t ticks, ticket;
};

struct gt_collector {
	struct gt_collector_config config;
	struct gt_memory *memory;
	uint64_t slide;
	pid_t pid;
	uint64_t watermark;

	struct gt__m_state **chunks; /* m_count / GT__CHUNK_MS pointers */
	uint32_t ms_seen;            /* highest id seen + 1 */
	/* Stream: blocks that nobody needs now. The fewer are in turn, the more of them are in the program's caches. */
	uint32_t *reserve;
	uint32_t reserve_count;
	uint32_t turn_count; /* blocks in turn: all that are not in reserve */
	uint32_t calm_rounds;
	struct gt__names names;
	struct gt_copy copy;    /* of the last snapshot; its memory is used again */
	uint64_t follow_ticket; /* next sealed block to look at */
	bool followed;
	bool never_steal; /* the kernel has no membarrier */
	struct gt__attic attic;
	bool behind;                            /* a block before the newest one was still to come */
	uint64_t awaited_ticket, awaited_since; /* ticks */
	struct gt_triggers *triggers;           /* flight: NULL when there are none that need events */
	uint64_t
		lost_seen; /* triggers: records that were lost, up to the last round, less those of blocks that nobody read */
	struct gt_history *history; /* flight: NULL when there is none */
	uint64_t history_ticket;    /* next sealed block to pack */
	uint64_t keep_ticks;        /* what is older need not be packed; 0: all is */
	struct gt__age ages[GT__AGES];
	uint32_t age_count;
	struct gt_found *found; /* flight: told again in each snapshot that reaches so far back */
	size_t found_count;
	uint64_t found_ticks;
	struct gt_found *standing; /* flight: as they were read before the copy */
	size_t standing_count;
	uint64_t standing_ticks;                 /* when that began */
	struct gt_map fresh;                     /* found goroutines whose creation may still come */
	uint64_t lost_no_m_seen;                 /* of those counted so far: more of them need more Ms */
	int failed;                              /* first failure of the writer */
	uint64_t cells[GT_BLOCK_CELL_BYTES / 8]; /* an open block's copy */
	struct gt_event batch[GT__BATCH_MAX];
	size_t batch_count;
	struct gt__name alive[GT__BATCH_MAX]; /* who the batch says was there before the trace */
	size_t alive_count;
	struct gt_clock_pair clock; /* a late one */
	struct gt_fds fds;
	uint64_t since;  /* ticks: what is older belongs to an earlier file */
	uint32_t hidden; /* sets that this snapshot does not show */
	bool held;       /* the watermark stays: the trace's first events are still to come */
	struct gt_collector_totals totals;
	struct gt_collector_totals dropped; /* of Ms whose lines are gone */
	uint64_t gone_ticks;                /* flight: such an M's last event, which may be held and is not shown */
	uint32_t gone_m, drop_round, look_round;
	struct gt_collector_totals before; /* config.again: what was lost until then */
};

/* A program that links libtrace tells its own slide when it connects. It is a name's matter only: a wrong one harms nobody. */
static inline void gt__learn_slide(struct gt_collector *collector)
{
	if (!collector->slide && !collector->config.wait_reasons)
		collector->slide = atomic_load_explicit(&collector->memory->shm->slide, memory_order_relaxed);
}

/* Everything up to @pos was read: nothing of this M is on its way. */
static inline bool gt__read_to(const struct gt__m_state *state, uint64_t pos)
{
	return (pos - 1) % GT_BLOCK_BYTES + 1 == state->offset + GT_BLOCK_HEADER_BYTES;
}

/* It has no block, and those that it had came with the queue. */
static inline bool gt__nothing_open(const struct gt__m_state *state, const struct gt_m *shared)
{
	unsigned int own = GT_OWN_STATE(atomic_load_explicit(&shared->own, memory_order_acquire));

	return (own == GT_OWN_NONE || own == GT_OWN_STOLEN) && !state->partial &&
	       state->seq == atomic_load_explicit(&shared->seq, memory_order_relaxed);
}

struct gt__m_state *gt__collector_m(struct gt_collector *collector, uint32_t m);
void gt__batch_add(struct gt_collector *collector, struct gt__m_state *state, const struct gt_record *record);
void gt__batch_lost(struct gt_collector *collector, struct gt__m_state *state, uint64_t ticks, uint64_t count);
int gt__batch_write(struct gt_collector *collector, struct gt_writer *writer, uint32_t m);
void gt__collector_reclaim(struct gt_collector *collector, uint32_t m, bool flight);
void gt__collector_drop_ms(struct gt_collector *collector, bool flight);
void gt__collector_grow(struct gt_collector *collector);
void gt__follow_view(struct gt_collector *collector, const struct gt_view *view, bool step_over);
void gt__follow_open(struct gt_collector *collector, uint64_t begin);
void gt__idle_sealed(struct gt_collector *collector, const struct gt_view *view, uint64_t ticket);
void gt__put_away(struct gt_collector *collector, uint32_t block);
/* How many blocks were stolen; not next to nothing when blocks are short. */
size_t gt__collector_idle(struct gt_collector *collector);
int gt__attic_start(struct gt__attic *attic, size_t bytes_max);
void gt__attic_free(struct gt__attic *attic);
/* attic->count of them; their cells live until the next follow. */
void gt__attic_views(const struct gt__attic *attic, struct gt_view *out);
int gt__names_start(struct gt_collector *collector, size_t bytes_max);
void gt__names_free(struct gt_collector *collector);
void gt__name_found(struct gt_collector *collector, const struct gt_found *found);
/* @list: by M. */
int gt__states_write(struct gt_collector *collector, struct gt_writer *writer, const struct gt_found *list,
	size_t count, uint64_t ticks);
/* Who is to be told as standing since @ticks; list to free(). */
struct gt__standing {
	struct gt_found *list;
	size_t count;
	uint64_t ticks;
	uint32_t m_none; /* tells of those that are on no M */
	bool late;       /* the list is older than @edge: the ring went round while it was made */
};
/* Of the window that @views are, by M; nothing is missing from @edge to @end, when it was copied. @m_free: an M that nothing is told of. */
int gt__standing_choose(struct gt_collector *collector, const struct gt_view *views, size_t view_count, uint64_t edge,
	uint64_t end, uint32_t m_free, struct gt__standing *out);
/* Names that were in what is missing. */
/* @m: of one on no M. */
struct gt_found gt__found_of(const struct gt_hook_alive *alive, uint32_t m);
void gt__standing_names(struct gt_collector *collector);
int gt__found_write_states(struct gt_collector *collector, struct gt_writer *writer);
bool gt__found_created(struct gt_collector *collector, const struct gt_event *event);
void gt__found_free(struct gt_collector *collector);
int gt__collector_pc(struct gt_collector *collector, struct gt_writer *writer, uint64_t pc);
int gt__collector_name_stack(struct gt_collector *collector, struct gt_writer *writer, uint64_t id);
int gt__collector_string(struct gt_collector *collector, struct gt_writer *writer, uint64_t *id);

#endif
