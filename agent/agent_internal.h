/* agent_internal.h - what agent.c and attach.c share. */
#ifndef GT_AGENT_AGENT_INTERNAL_H
#define GT_AGENT_AGENT_INTERNAL_H

#include "agent/gohooks.h"
#include "libtrace/shm_create.h"

static inline bool gt__takes_stacks(const struct gt_memory *memory)
{
	return memory->stack_depth && memory->stack_slot_count;
}

/* Everything that the templates leave open. @rings: the memory's address in the process. */
int gt__agent_values(const struct gt_memory *memory, struct gt_gobin *bin, const struct gt_golayout *layout,
	uint64_t slide, uint64_t rings, struct gt_probe_values *values, struct gt_error *err);

void gt__agent_reserve_slot_0(const struct gt_memory *memory);

#endif
