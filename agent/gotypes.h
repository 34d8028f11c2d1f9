/*
 * gotypes.h - names of a Go program's types, from its file: also of stripped ones.
 */
#ifndef GT_AGENT_GOTYPES_H
#define GT_AGENT_GOTYPES_H

#include "agent/golayout.h"

/* Where names of types are counted from; 0: unknown. O(relocations). */
uint64_t gt_gotypes_base(const struct gt_gobin *bin, const struct gt_golayout *layout);

/* The name of the type at link-time @address (hostile), as Go prints it, into @out: its length, cut at @size; 0 when there is none. */
size_t gt_gotype_name(const struct gt_gobin *bin, uint64_t base, uint64_t address, char *out, size_t size);

#endif
