/* standing.c - the goroutines of a Go program that lives, read from its memory: who did nothing in a window is in no record of it. */
#include "agent/goread.h"
#include "base/clock.h"
#include "cli/record.h"

#include <stdlib.h>
#include <sys/uio.h>

/* Nobody looks after the ring meanwhile: what takes longer would cost more of the window than it tells. */
#define GOROUTINES_MAX 10000

void gt_standing_find(struct gt_recording *r, uint64_t slide)
{
	struct gt_error err;
	uint64_t allgs;

	if (gt_goread_find(r->resolver.go, &allgs, &err) >= 0)
		r->allgs = allgs + slide;
}

struct gt_found *gt_standing_list(const struct gt_goroutine *list, size_t count)
{
	struct gt_found *found = calloc(count + 1, sizeof(*found));

	for (size_t i = 0; found && i < count; i++)
		found[i] = (struct gt_found){
			.g = list[i].g,
			.parent = list[i].parent,
			.start_pc = list[i].start_pc,
			.site_pc = list[i].site_pc,
			.m = list[i].m,
			.p = list[i].p,
			.stack = list[i].stack,
			.state = list[i].state,
			.reason = list[i].reason,
			.fresh = list[i].fresh,
		};
	return found;
}

static uint32_t take_stack(void *collector, const uint64_t *pcs, size_t count)
{
	return gt_collector_stack(collector, pcs, count);
}

/* The length of allgs, which never shrinks. */
static uint64_t count_of(const struct gt_recording *r)
{
	uint64_t count;
	struct iovec local = {&count, sizeof(count)}, remote = {(void *)(r->allgs + 8), sizeof(count)};

	return process_vm_readv(r->pid, &local, 1, &remote, 1, 0) == sizeof(count) ? count : UINT64_MAX;
}

void gt_standing_read(struct gt_recording *r)
{
	const struct gt_goread read = {r->pid, r->allgs, r->layout};
	struct gt_goroutine *list;
	struct gt_found *found;
	struct gt_error err;
	uint64_t ticks = gt_ticks();
	size_t count;

	/* Found when the hooks are in: before that there may be no collector either. */
	if (!r->allgs)
		return;
	gt_collector_standing(r->collector, 0, NULL, 0);
	r->standing_missing = "not read: the process cannot be read";
	count = count_of(r);
	if (count > GOROUTINES_MAX && count != UINT64_MAX)
		r->standing_missing = "not read: the program has, or had, more than 10000 goroutines at once";
	if (count > GOROUTINES_MAX || gt_goread_all(&read, &list, &count, &err) < 0)
		return;
	if (gt_goread_again(&read, list, &count, &err) >= 0) {
		gt_goread_stacks(&read, list, count, r->options.stack_depth, take_stack, r->collector);
		found = gt_standing_list(list, count);
		gt_collector_standing(r->collector, ticks, found, count);
		r->standing_missing = NULL;
	}
	free(list);
}
