/*
 * goroutines.c - where goroutines are, and who started threads.
 *
 * The world is not stopped: each goroutine is shown as it was at one moment of its own. One that does not run is read where it
 * lies; one that runs elsewhere is asked by a signal; one that does not answer in time shows the function it began with.
 */
#include "runtime/profile/profile.h"

#include "runtime/prof.h"
#include "runtime/rt.h"

#include <string.h>

/* So long for one that is on its way between states. */
#define PATIENCE_NS (20 * GT_MILLISECOND)

/* The kernel's id of the thread that runs @g; 0: none that is known. */
static GT_SAN_NO_TSAN int thread_of(const struct gt_g *g)
{
	uint32_t count = load_acquire(&gt__sched.p_count);

	for (uint32_t i = 0; i < count; i++) {
		struct gt_worker *m = load_acquire(&gt__sched.ps[i]->m);

		if (m && *(struct gt_g *volatile *)&m->g == g)
			return m->thread;
	}
	return 0;
}

static GT_SAN_NO_TSAN void stack_of(const struct gt_g *g, uintptr_t *pcs, size_t *depth)
{
	int64_t until = gt__port_now() + PATIENCE_NS;

	do {
		uint32_t state = load_acquire(&g->state);
		int thread = 0;

		if (gt__walk_g(g, pcs, GT_WALK_MAX, depth))
			return;
		if (state == GT_STATE_DEAD)
			break;
		if (state == GT_STATE_RUNNING)
			thread = thread_of(g);
		if (thread && gt__profile_ask(g, thread, pcs, GT_WALK_MAX, depth))
			return;
		gt__port_give_cpu();
	} while (gt__port_now() < until);
	*depth = 0;
}

static void add(struct gt_profile_data *data, const uint64_t *tags, const uintptr_t *pcs, size_t depth, int debug,
	const int64_t *values)
{
	struct gt_bucket *bucket = gt_buckets_get(&data->buckets, tags, pcs, depth);

	if (!bucket) {
		data->lost++;
		return;
	}
	bucket->values[0]++;
	for (int i = 1; debug >= 2 && i < 4; i++)
		bucket->values[i] = values[i];
}

GT_SAN_NO_TSAN int gt__profile_collect_goroutines(struct gt_profile_data *data, int debug)
{
	uint32_t count = gt__stack_count();
	struct gt_g *self = gt__self();
	uintptr_t pcs[GT_WALK_MAX];

	data->buckets.bytes_max = (size_t)1 << 30;
	data->period = 1;
	for (uint32_t i = 0; i < count; i++) {
		const struct gt_g *g = gt__stack_g(i);
		uint32_t state = load_acquire(&g->state);
		int64_t values[4] = {1, (int64_t)g->parent, state, g->reason};
		uint64_t tags[GT_BUCKET_TAGS] = {debug >= 2 ? g->id : 0, 0, 0, 0}, id = g->id;
		size_t depth = 0;

		if (state == GT_STATE_NONE || state == GT_STATE_DEAD)
			continue;
		memcpy(&tags[1], g->name, sizeof(g->name));
		((char *)&tags[1])[sizeof(g->name) - 1] = '\0';
		/* What follows the name's end may be of an earlier one. */
		memset((char *)&tags[1] + strlen((char *)&tags[1]), 0, 24 - strlen((char *)&tags[1]));
		if (g == self)
			depth = gt__walk_here(pcs, GT_WALK_MAX);
		else
			stack_of(g, pcs, &depth);
		state = load_acquire(&g->state);
		if (state == GT_STATE_DEAD || g->id != id)
			continue; /* it ended meanwhile: not there any more */
		if (depth <= 1)   /* not yet begun, or no answer */
		{
			pcs[0] = (uintptr_t)g->start;
			depth = 1;
		}
		add(data, tags, pcs, depth, debug, values);
	}
	return 0;
}

int gt__profile_collect_threads(struct gt_profile_data *data, int debug)
{
	struct gt_sched *s = &gt__sched;

	data->period = 1;
	gt__lock(&s->lock);
	for (struct gt_worker *m = s->all_m; m; m = m->next_all) {
		struct gt_bucket *bucket = gt_buckets_get(&data->buckets, NULL, m->created, m->created_depth);

		if (bucket)
			bucket->values[0]++;
		else
			data->lost++;
	}
	gt__unlock(&s->lock);
	return 0;
}
