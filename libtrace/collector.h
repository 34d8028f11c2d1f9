/*
 * collector.h - sealed blocks in, a .gtrace file out. Runs in the gtrace process, or in a thread of the program.
 *
 *   stream:  round, round, ... finish      takes sealed blocks, reads the open ones up to what is committed, gives
 *                                          blanks back. Memory is bounded by names and Ms, not by time
 *   flight:  round, round, ... snapshot    reads along (it takes nothing), so that the names of goroutines that
 *                                          live are known when their creation is no longer held; packs blocks
 *                                          into the history before they are overwritten
 *
 * Everything in the shared memory is hostile: the collector uses the sizes that it chose itself.
 *
 * Watermark. What a later round may bring is never older than the watermark of this one: the time at which
 * the round began to look, or, for an M with a record in flight or a sealed block that this round did not
 * get, the time of its last event.
 */
#ifndef GT_LIBTRACE_COLLECTOR_H
#define GT_LIBTRACE_COLLECTOR_H

#include "base/error.h"
#include "format/wire/writer.h"
#include "libtrace/shm_create.h"

#include <sys/types.h>

struct gt_collector;
struct gt_triggers;

/* What stands at @pc (in the file's address space: slide taken off, but for what is not the program's), innermost call first. Texts must live until the next
 * call. Returns the number of lines, 0 when nothing is known. */
struct gt_resolved {
	const char *function;
	const char *file;
	uint32_t line;
};
typedef size_t gt_resolve_fn(void *context, uint64_t pc, struct gt_resolved *lines, size_t lines_max);

struct gt_collector_config {
	struct gt_memory *memory;    /* the collector's own mapping; kept by the caller */
	const uint8_t *wait_reasons; /* 256 entries, or NULL: records hold enum gt_reason */
	size_t names_bytes_max;      /* flight: memory for the names of goroutines; 0 = stream */
	size_t history_bytes_max;    /* flight: memory for old blocks, packed; 0 = none are kept */
	uint64_t keep_ticks;         /* flight: as gt_collector_keep */
	size_t attic_bytes_max;      /* flight: memory for what idle Ms recorded last; 0 = it stays in blocks */
	void *names_place; /* flight: where the names stand (gt_collector_names_max struct gt_crash_name, zeroed), or NULL */
	struct gt_triggers
		*triggers; /* flight: told of every event, those of open blocks too; NULL = none. Kept by the caller */
	bool again;        /* the memory was recorded into before: losses count from gt_collector_again on */
	gt_resolve_fn *resolve; /* may be NULL: no names */
	/* May be NULL. The name of the type at a link-time address of a Go program, into @out; its length, 0 unknown. */
	size_t (*type_name)(void *resolve_context, uint64_t address, char *out, size_t size);
	void *resolve_context;
};

int gt_collector_new(const struct gt_collector_config *config, struct gt_collector **out, struct gt_error *err);
void gt_collector_free(struct gt_collector *collector);

/* The program runs now: its pid (0 = not known; tells which threads are gone), and its load slide: address in the process =
 * address in the file + slide. Before the first round. */
void gt_collector_started(struct gt_collector *collector, pid_t pid, uint64_t slide);

/* A goroutine that lived before the first record. */
struct gt_found {
	uint64_t g, parent;
	uint64_t start_pc, site_pc; /* as records have them: slide included, site_pc a return address; 0 unknown */
	uint64_t m, p;              /* while it runs or is in a syscall: the M's id; its P + 1 or 0 */
	uint32_t stack;             /* of gt_collector_stack: where it stands, unless it runs; 0 unknown */
	uint8_t state, reason;      /* as they were read */
	bool fresh;                 /* it has not run: the record of its creation may still come */
};

/* What was there when the records began, at @ticks: before the first round; read after the hooks went in. @settled: no goroutine
 * was in the midst of a change then. @writer: NULL in flight. */
int gt_collector_found(struct gt_collector *collector, struct gt_writer *writer, uint64_t ticks,
	const struct gt_found *list, size_t count, bool settled);

/* The id of a stack that no hook took, as hooks would name it: @pcs as records have them (slide included), return addresses, innermost
 * first. What lies outside of the program ends it, and so does the depth that hooks go to. 0: stacks are off, or there is no room. */
uint32_t gt_collector_stack(struct gt_collector *collector, const uint64_t *pcs, size_t count);

/* Stream. @writer's failure is returned, and by every later call; the blocks are drained (and dropped) all the same, so that
 * nothing else changes for the program. @blocks gets how many were taken. */
int gt_collector_round(struct gt_collector *collector, struct gt_writer *writer, size_t *blocks);
/* The program is gone, or hooks are off: everything that is committed. A record that never was is counted. */
int gt_collector_finish(struct gt_collector *collector, struct gt_writer *writer);

/* A file begins at @since_ticks, after gt_collector_finish ended another. Until gt_collector_told the watermark stays: what was there
 * before the file is still to be told by gt_collector_alive, as of @since_ticks. */
void gt_collector_again(struct gt_collector *collector, uint64_t since_ticks);
struct gt_hook_alive;
/* @m: of those that have none. */
int gt_collector_alive(struct gt_collector *collector, struct gt_writer *writer, const struct gt_hook_alive *alive,
	size_t count, uint32_t m);
void gt_collector_told(struct gt_collector *collector);

/* Flight: what was there at the @since_ticks of gt_collector_again; each snapshot that reaches so far back tells it. */
int gt_collector_alive_kept(
	struct gt_collector *collector, const struct gt_hook_alive *alive, size_t count, uint32_t m);
/* How many names so many bytes hold. */
size_t gt_collector_names_max(size_t bytes);
/* A goroutine that a dead program's list names; slide included. */
void gt_collector_name(
	struct gt_collector *collector, uint64_t g, uint64_t parent, uint64_t start_pc, uint64_t site_pc);
/* Room for more history; never less than there is. */
int gt_collector_grow_history(struct gt_collector *collector, size_t bytes_max);

/* Flight: blocks are packed as long as they are younger than @ticks when the ring is about to lose them, so that a ring that holds so
 * much costs no packing. 0, as it is at first: all are. */
void gt_collector_keep(struct gt_collector *collector, uint64_t ticks);

/* Flight. Returns how many blocks were new: many in a row mean that it should be called more often. */
size_t gt_collector_follow(struct gt_collector *collector);
/* After the last follow of a program that ended: triggers are judged up to its end. */
void gt_collector_follow_end(struct gt_collector *collector);

/* Flight: the goroutines as they were read from the process, from @ticks on until right before gt_collector_copy; each write of that copy tells
 * those that did nothing in the window. Takes @list (malloc); NULL: forgets the last. */
void gt_collector_standing(struct gt_collector *collector, uint64_t ticks, struct gt_found *list, size_t count);
/* The same, of what a scheduler told itself (struct gt_hook_world). -ENOMEM: nothing is known. */
int gt_collector_standing_alive(
	struct gt_collector *collector, uint64_t ticks, const struct gt_hook_alive *alive, size_t count);
/* Why there is no such list, after -errno: -E2BIG, -ENOSYS, -ETIMEDOUT or -EAGAIN, -ENOMEM, others; NULL: @ret is none. */
const char *gt_standing_missing(int ret);
struct gt_snapshot_result;
/* META `standing`. @missing: why there was no list; NULL: there was. */
void gt_standing_meta(struct gt_writer *writer, const struct gt_snapshot_result *result, const char *missing);

struct gt_snapshot_result {
	uint64_t events;
	uint64_t kept_bytes; /* of records */
	/* The copy's moment, or of a crash file the newest event's: nothing of what is older is missing behind the newest event. */
	uint64_t end_ticks;
	int64_t kept_ticks;     /* from the moment since which something of every M is held to the end */
	int64_t complete_ticks; /* the same, from the moment since which nothing of any M is missing */
	uint64_t
		blocks_missed; /* overwritten before they could be packed: gaps, told by Lost events that count each as one */
	uint64_t blocks_torn; /* overwritten while they were copied: left out */
	uint64_t in_flight;   /* records that were begun and not committed: left out */
	int64_t copy_ns;
	uint64_t scratch_bytes; /* what the copy takes: apart from the window */
	uint64_t standing;      /* goroutines that did nothing in it, told as they were read */
	bool standing_late; /* none of them is told: what is missing is younger than the moment when they were read */
	bool whole;         /* nothing was evicted: everything since the start */
	uint64_t by_kind[GT_EVENT_KIND_COUNT]; /* of the events that were written */
};
/* In two steps. The copy of the ring: now. What it and the history hold, to @writer (which was opened for a window): until the next
 * follow, as that packs and overwrites; or in a process that was forked before it. @result of the copy goes on. The same copy may
 * be written more than once: with another @result, as the copy gave it. */
int gt_collector_copy(struct gt_collector *collector, struct gt_snapshot_result *result, struct gt_error *err);
int gt_collector_write_copy(
	struct gt_collector *collector, struct gt_writer *writer, struct gt_snapshot_result *result);
/* Both. The window stays as it is. */
int gt_collector_snapshot(struct gt_collector *collector, struct gt_writer *writer, struct gt_snapshot_result *result);

/* The part of the window that one of several asks for. */
struct gt_snapshot_cut {
	uint64_t since_ticks; /* nothing older */
	uint64_t max_bytes;   /* the newest blocks that take no more; 0: all */
	uint32_t sets;        /* enum gt_set; 0: all */
};
int gt_collector_snapshot_cut(struct gt_collector *collector, struct gt_writer *writer,
	const struct gt_snapshot_cut *cut, struct gt_snapshot_result *result);
int gt_collector_write_copy_cut(struct gt_collector *collector, struct gt_writer *writer,
	const struct gt_snapshot_cut *cut, struct gt_snapshot_result *result);

/* A stack that no hook took: addresses of the process as it runs, innermost first, each inside its call; those with bit 62 or 63 are not the
 * program's, and stay as they are (docs/format.md). @id is none of the hooks'
 * (below 2^32), and new to @writer. */
int gt_collector_write_stack(
	struct gt_collector *collector, struct gt_writer *writer, uint64_t id, const uint64_t *pcs, size_t count);

struct gt_collector_totals {
	uint64_t events;
	uint64_t by_kind[GT_EVENT_KIND_COUNT];
	uint64_t goroutines; /* created or seen alive at the start */
	uint64_t lost;       /* records: all causes */
	uint64_t lost_full, lost_nested, lost_no_m, lost_big_g, lost_spill, lost_in_flight;
	uint64_t stacks_lost, strings_lost;
	uint64_t records_bad; /* records that no hook writes */
	uint64_t ms;
	uint64_t stolen;                            /* blocks taken from idle Ms */
	uint64_t names_lost;                        /* goroutines whose name found no room */
	uint64_t history_bytes, history_cell_bytes; /* packed blocks: what they take, what they hold */
};
void gt_collector_totals(struct gt_collector *collector, struct gt_collector_totals *out);

#endif
