/*
 * standing.c - the goroutines of a program that lives: who did nothing in a window is in no record of it. A Go program's are read from its
 * memory; one that links libtrace is asked (libtrace/attend.h).
 */
#include "agent/goread.h"
#include "agent/linked.h"
#include "base/clock.h"
#include "cli/record.h"

#include <errno.h>
#include <gtrace/hooks.h>
#include <stdlib.h>

/* 150 bytes and some microseconds each; and the snapshot waits. */
#define GOROUTINES_MAX 200000

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

struct gt_hook_alive *gt_standing_alive(const struct gt_attend_alive *list, size_t count)
{
	struct gt_hook_alive *alive = calloc(count + 1, sizeof(*alive));

	for (size_t i = 0; alive && i < count; i++)
		alive[i] = (struct gt_hook_alive){
			.g = list[i].g,
			.parent = list[i].parent,
			.start = (const void *)(uintptr_t)list[i].start,
			.m = list[i].m,
			.p = list[i].p,
			.state = list[i].state,
			.reason = list[i].reason,
			.stack = list[i].stack,
		};
	return alive;
}

uint32_t gt_standing_stack(void *collector, const uint64_t *pcs, size_t count)
{
	return gt_collector_stack(collector, pcs, count);
}

/* The ring goes on while much is read. */
static void follow(void *collector)
{
	gt_collector_follow(collector);
}

static const char *read_go(struct gt_recording *r)
{
	const struct gt_goread read = {r->pid, r->allgs, r->layout, GOROUTINES_MAX, follow, r->collector};
	const char *missing = "not read: the process cannot be read";
	struct gt_goroutine *list;
	struct gt_found *found;
	struct gt_error err;
	uint64_t ticks = gt_ticks();
	size_t count;
	int ret = gt_goread_all(&read, &list, &count, &err);

	if (ret == -E2BIG)
		return "not read: the program has, or had, more than 200000 goroutines at once";
	if (ret < 0)
		return missing;
	if (gt_goread_again(&read, list, &count, &err) >= 0) {
		gt_goread_stacks(&read, list, count, r->options.stack_depth, gt_standing_stack, r->collector);
		found = gt_standing_list(list, count);
		gt_collector_standing(r->collector, ticks, found, count);
		missing = gt_standing_missing(found ? 0 : -ENOMEM);
	}
	free(list);
	return missing;
}

static int ask_linked(struct gt_recording *r)
{
	struct gt_attend_alive *list;
	struct gt_hook_alive *alive;
	struct gt_error err;
	uint64_t ticks;
	size_t count;
	int ret = r->linked ? 1 : gt_linked_open(r->pid, false, &r->linked, &err);

	/* One that does not listen is no runtime of ours. */
	if (ret <= 0)
		return ret == -EAGAIN ? -ENOSYS : ret < 0 ? ret : -ESRCH;
	ticks = gt_ticks();
	ret = gt_linked_list(r->linked, &r->memory, &list, &count, &err);
	if (ret < 0)
		return ret;
	alive = gt_standing_alive(list, count);
	ret = alive ? gt_collector_standing_alive(r->collector, ticks, alive, count) : -ENOMEM;
	free(alive);
	free(list);
	return ret;
}

void gt_standing_read(struct gt_recording *r)
{
	/* Before the hooks are in there may be no collector either. */
	if (!r->collector)
		return;
	gt_collector_standing(r->collector, 0, NULL, 0);
	r->standing_missing = r->allgs ? read_go(r) : !r->layout ? gt_standing_missing(ask_linked(r)) : NULL;
}
