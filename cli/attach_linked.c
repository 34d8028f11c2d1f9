/*
 * attach_linked.c - a recording of a running program that links libtrace.
 *
 * The program makes the memory and keeps it (threads hold pointers into it): as large as the first recording wants it, and for later ones
 * at most that. Of a window that is to be smaller, blocks are set aside; tables stay as large as they are, so the first
 * recording makes them no larger than a window's.
 */
#include "cli/attach_internal.h"

#include "libtrace/walk.h"

#include <gtrace/hooks.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TABLES_MAX    (2u << 20)
#define M_COUNT       16384
#define WINDOW_BLOCKS 64 /* fewer are no window */

int gt_linked_look(struct gt_attached *a)
{
	struct gt_recording *r = a->recording;
	struct gt_error err;

	r->pid = a->options->pid;
	if (gt_elf_symbols_open(gt_linked_exe(a->linked), &r->resolver.elf, &err) < 0)
		r->resolver.elf = NULL;
	return gt_attached_name(a, gt_linked_program(a->linked), gt_linked_exe(a->linked));
}

/* A trace's tables are not larger than those of a window: another time one may be wanted. */
static void fit_tables(struct gt_shm_config *memory)
{
	while (memory->stack_slot_count * 64ull > TABLES_MAX)
		memory->stack_slot_count /= 2;
	if (memory->arena_words > memory->stack_slot_count * 12)
		memory->arena_words = memory->stack_slot_count * 12;
	if (memory->m_count > M_COUNT)
		memory->m_count = memory->m_live && memory->m_live < M_COUNT ? memory->m_live : M_COUNT;
	memory->m_live = 0;
	memory->spill_count = 0;
}

/* How many blocks the window may have. @allowed: bytes, for all of the memory. */
static int blocks_in_turn(struct gt_attached *a, uint64_t allowed, uint32_t *out)
{
	const struct gt_memory *memory = &a->recording->memory;
	uint64_t tables = gt_shm_tables_bytes(memory);
	uint64_t least = tables + (uint64_t)WINDOW_BLOCKS * GT_BLOCK_BYTES;

	*out = memory->block_count;
	if (!a->recording->options.flight || allowed >= tables + (uint64_t)memory->block_count * GT_BLOCK_BYTES)
		return 0;
	if (allowed < least)
		return gt_die_text(GT_EXIT_FAILURE,
			"cannot attach: process %d keeps memory of an earlier recording, whose tables take %" PRIu64
			"K: give "
			"--max-bytes at least %" PRIu64 "K",
			(int)a->recording->pid, tables / 1024,
			(least + (a->recording->options.window_bytes_max - allowed)) / 1024 + 64);
	*out = (uint32_t)((allowed - tables) / GT_BLOCK_BYTES);
	return 0;
}

static int tell_alive(struct gt_attached *a, const struct gt_attend_alive *list, size_t count, uint32_t none_m)
{
	struct gt_recording *r = a->recording;
	struct gt_hook_alive *alive = gt_standing_alive(list, count);
	int ret = 0;

	if (!alive)
		return gt_die_text(GT_EXIT_FAILURE, "out of memory");
	if (r->options.flight)
		ret = gt_collector_alive_kept(r->collector, alive, count, none_m);
	else
		ret = gt_collector_alive(r->collector, r->writer, alive, count, none_m);
	if (ret < 0)
		gt_record_failure(r, "cannot write the trace", ret);
	gt_collector_told(r->collector);
	a->found = count;
	free(alive);
	return 0;
}

static int make_memory(
	struct gt_attached *a, const struct gt_shm_config *config, const struct gt_collector_config *collector)
{
	struct gt_recording *r = a->recording;
	struct gt_error err;
	uint32_t in_turn;
	bool old;
	int ret;

	if (gt_linked_memory(a->linked, config, &r->memory, &old, &err) < 0)
		return gt_die(GT_EXIT_FAILURE, &err);
	/* Whoever ended there before had its own. */
	ret = blocks_in_turn(a, config->max_bytes, &in_turn);
	if (ret)
		return ret;
	atomic_store(&r->memory.shm->mode, config->mode);
	if (gt_shm_begin_again(&r->memory, in_turn, &a->aside, &err) < 0)
		return gt_die(GT_EXIT_FAILURE, &err);
	if (gt_collector_new(collector, &r->collector, &err) < 0)
		return gt_die(GT_EXIT_FAILURE, &err);
	gt_collector_started(
		r->collector, gt_linked_foreign(a->linked) ? 0 : r->pid, atomic_load(&r->memory.shm->slide));
	gt_collector_again(r->collector, r->start.ticks);
	if (old && !r->options.quiet)
		fprintf(stderr,
			"gtrace: process %d keeps the memory of an earlier recording: of its %u blocks %u are used\n",
			(int)r->pid, r->memory.block_count, in_turn);
	return 0;
}

int gt_linked_hook(struct gt_attached *a)
{
	struct gt_recording *r = a->recording;
	struct gt_collector_config collector;
	struct gt_attend_alive *list;
	struct gt_shm_config memory;
	struct gt_error err;
	uint32_t none_m;
	size_t count;
	int ret = gt_record_lay_out(r, &memory, &collector);

	if (ret)
		return ret;
	fit_tables(&memory);
	collector.again = true;
	ret = gt_record_begin(r);
	if (!ret)
		ret = make_memory(a, &memory, &collector);
	if (ret)
		return ret;
	if (gt_linked_begin(a->linked, &r->memory, r->start.ticks, r->options.sets, &list, &count, &none_m, &err) < 0)
		return gt_die(GT_EXIT_FAILURE, &err);
	a->hooked = true;
	r->linked = a->linked;
	gt_record_kernel(r, r->pid, true);
	ret = tell_alive(a, list, count, none_m);
	free(list);
	return ret;
}

void gt_linked_unhook(struct gt_attached *a)
{
	struct gt_error err;
	int ret = gt_linked_end(a->linked, &err);

	/* What failed before was told. */
	if (ret < 0 && !a->gone && ret != -ESRCH && a->hooked)
		gt_die(0, &err);
}

void gt_linked_finish(struct gt_attached *a)
{
	struct gt_recording *r = a->recording;
	struct gt_view view;
	uint32_t block;

	if (!r->memory.shm || a->gone) {
		free(a->aside.blocks);
		return;
	}
	/* What was not taken is nobody's. */
	for (uint32_t i = 0; i < r->memory.block_count && gt_take_sealed(&r->memory, &block, &view); i++)
		gt_give_back(&r->memory, block);
	gt_shm_end_for_now(&r->memory, &a->aside);
}
