/*
 * gohooks.h - which functions of Go's runtime are hooked, where, with which template.
 */
#ifndef GT_AGENT_GOHOOKS_H
#define GT_AGENT_GOHOOKS_H

#include "agent/golayout.h"
#include "agent/probe.h"

#include <stdbool.h>

#define GT_GOHOOKS_MAX 300 /* sites; a hook at returns has one for each ret */

struct gt_gohooks {
	struct gt_probe probes[GT_GOHOOKS_MAX];
	const char *names[GT_GOHOOKS_MAX]; /* the probe's function */
	size_t count;
	const char *missing[GT_GOHOOKS_MAX]; /* functions that this program does not have; it can do without */
	size_t missing_count;
};

/*
 * Finds every site. @stacks: hooks that take stacks. @sets (enum gt_set): of a set that is not in it no hook is found. @skip: a function that is not hooked, or NULL (tests).
 * -EINVAL when the table has no such function.
 * A function without which goroutines' states would not add up must be there and must be patchable: else -ENOTSUP and a line.
 */
int gt_gohooks_find(struct gt_gobin *bin, const struct gt_golayout *layout, bool stacks, uint32_t sets,
	const char *skip, struct gt_gohooks *hooks, struct gt_error *err);

/* The values that follow from the version. Those of the shared memory and of the text are the caller's. */
void gt_gohooks_values(const struct gt_golayout *layout, struct gt_probe_values *values);

/* Those that follow from the program. @alloc_rate: bytes from one sampled allocation to the next, about. */
void gt_gohooks_bin_values(struct gt_gobin *bin, uint64_t slide, uint32_t alloc_rate, struct gt_probe_values *values);

#endif
