/*
 * standing.c - goroutines that did nothing while a window lasted.
 *
 * What waits for minutes has left no record in a window of seconds, and is what one looks for when a program stalls. So who asks for a snapshot
 * reads the goroutines from the process, right before the ring is copied. One that has no event between the moment since which nothing is
 * missing (the window's edge) and the copy has stood all that time as it was read, and is told so, at the edge. Of any other its own events tell.
 * (A record is written before the change it tells of: a state that was read early cannot belong to a record that is missing.)
 */
#include "libtrace/collector_internal.h"

#include "libtrace/walk.h"

#include <errno.h>
#include <gtrace/hooks.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void gt_collector_standing(struct gt_collector *c, uint64_t ticks, struct gt_found *list, size_t count)
{
	free(c->standing);
	c->standing = list;
	c->standing_count = list ? count : 0;
	c->standing_ticks = ticks;
}

int gt_collector_standing_alive(struct gt_collector *c, uint64_t ticks, const struct gt_hook_alive *alive, size_t count)
{
	struct gt_found *list = calloc(count + 1, sizeof(*list));

	for (size_t i = 0; list && i < count; i++)
		list[i] = gt__found_of(&alive[i], 0);
	gt_collector_standing(c, ticks, list, count);
	return list ? 0 : -ENOMEM;
}

const char *gt_standing_missing(int ret)
{
	switch (ret < 0 ? -ret : 0) {
	case 0:
		return NULL;
	case E2BIG:
		return "not read: the program has, or had, more than 10000 goroutines at once";
	case ENOSYS:
		return "not read: the program's scheduler cannot tell";
	case ETIMEDOUT:
	case EAGAIN:
		return "not read: the program did not answer in time";
	case ENOMEM:
		return "not read: out of memory";
	default:
		return "not read: the process cannot be asked";
	}
}

void gt_standing_meta(struct gt_writer *writer, const struct gt_snapshot_result *result, const char *missing)
{
	if (result->standing_late)
		missing = "not told: the window is shorter than it took to read them: give a larger one";
	if (!result->whole && missing)
		gt_writer_meta(writer, "standing", missing);
	else if (result->standing)
		gt_writer_meta_number(writer, "standing", result->standing);
}

/* ---- who did something since the edge ---- */

struct busy {
	struct gt_map goroutines, ms; /* -> 1 */
};

static int note_event(struct busy *busy, const struct gt_event *event)
{
	switch (event->kind) {
	case GT_EV_GO_CREATE:
	case GT_EV_GO_RUN:
	case GT_EV_GO_READY:
	case GT_EV_GO_STATE:
	case GT_EV_GO_BLOCK:
	case GT_EV_GO_YIELD:
	case GT_EV_GO_END:
	case GT_EV_GO_SYSCALL:
	case GT_EV_GO_SYSEXIT:
		return gt_map_put(&busy->goroutines, event->args[0], 1);
	default:
		return 0;
	}
}

static int note_view(struct gt_collector *c, struct busy *busy, const struct gt_view *view, struct gt_decoder *decoder,
	uint64_t edge, uint64_t end)
{
	struct gt_event events[GT_DECODE_EVENTS_MAX];
	struct gt_walk walk = {0};
	struct gt_record record;
	bool late = false;
	int ret = 0;

	while (ret >= 0 && gt_walk_next(&walk, view, true, &record) > 0) {
		int count = gt_decode(decoder, c->config.wait_reasons, &record, events);

		if (record.ticks < edge || record.ticks > end)
			continue;
		late = true;
		for (int i = 0; i < count && ret >= 0; i++)
			ret = note_event(busy, &events[i]);
	}
	return late && ret >= 0 ? gt_map_put(&busy->ms, view->m, 1) : ret;
}

/* @views: by M. */
static int note_views(struct gt_collector *c, struct busy *busy, const struct gt_view *views, size_t count,
	uint64_t edge, uint64_t end)
{
	struct gt_decoder decoder = {0};
	int ret = 0;

	for (size_t i = 0; i < count && ret >= 0; i++) {
		struct gt_view view = views[i];

		if (!i || view.m != views[i - 1].m)
			gt_decoder_clear(&decoder);
		if (!view.cells)
			view.cells = gt_history_cells(c->history, view.place);
		ret = view.cells ? note_view(c, busy, &view, &decoder, edge, end) : -ENOMEM;
	}
	gt_decoder_clear(&decoder);
	return ret;
}

/* ---- who is told ---- */

static bool on_m(const struct gt_found *found)
{
	return found->state == GT_STATE_RUNNING || found->state == GT_STATE_SYSCALL;
}

static int by_m(const void *left, const void *right)
{
	const struct gt_found *a = left, *b = right;

	return a->m != b->m ? (a->m < b->m ? -1 : 1) : a->g < b->g ? -1 : a->g > b->g;
}

int gt__standing_choose(struct gt_collector *c, const struct gt_view *views, size_t view_count, uint64_t edge,
	uint64_t end, uint32_t m_free, struct gt__standing *out)
{
	struct busy busy = {0};
	int ret = 0;

	memset(out, 0, sizeof(*out));
	out->m_none = m_free;
	/* What happened before the edge may be missing: the state that was read then may have changed by then. */
	out->late = c->standing_count && edge > c->standing_ticks;
	if (!c->standing_count || out->late)
		return 0;
	out->ticks = edge;
	out->list = malloc(c->standing_count * sizeof(*out->list));
	ret = out->list ? note_views(c, &busy, views, view_count, edge, end) : -ENOMEM;
	for (size_t i = 0; i < c->standing_count && ret >= 0; i++) {
		struct gt_found *found = &out->list[out->count];

		*found = c->standing[i];
		if (gt_map_find(&busy.goroutines, found->g))
			continue;
		if (!on_m(found))
			found->m = m_free;
		else if (found->m >= c->memory->m_count || gt_map_find(&busy.ms, found->m))
			continue; /* it was met in the midst of a change */
		out->count++;
	}
	gt_map_free(&busy.goroutines);
	gt_map_free(&busy.ms);
	if (ret >= 0)
		qsort(out->list, out->count, sizeof(*out->list), by_m);
	return ret;
}

void gt__standing_names(struct gt_collector *c)
{
	for (size_t i = 0; i < c->standing_count; i++)
		gt__name_found(c, &c->standing[i]);
}
