/*
 * standing.h - where a stopped thread stands: may the code under it be changed now?
 */
#ifndef GT_AGENT_STANDING_H
#define GT_AGENT_STANDING_H

#include "agent/gohooks.h"
#include "agent/threads.h"

struct gt_range {
	uint64_t lo, hi;
};

struct gt_places {
	const struct gt_golayout *layout;
	uint64_t text_lo, text_hi;               /* all below lies in here, but for `code` */
	struct gt_range windows[GT_GOHOOKS_MAX]; /* (first, last] bytes of each site: strictly inside */
	size_t window_count;
	struct gt_range handlers[8]; /* of signals: what they interrupted is not in the registers */
	size_t handler_count;
	struct gt_range changing[16]; /* a change of state may be under way in there */
	size_t changing_count;
	struct gt_range settled[4]; /* what calls these is through with its change */
	size_t settled_count;
	struct gt_range code; /* the hooks themselves */
};

/* Of the sites at @hooks in a program loaded @slide away. */
void gt_places_make(struct gt_gobin *bin, const struct gt_golayout *layout, const struct gt_gohooks *hooks,
	uint64_t slide, struct gt_places *places);

enum gt_standing {
	GT_STANDING_WELL = 0,
	GT_STANDING_CHANGING, /* the patching would be safe, but the record of a change would be missing */
	GT_STANDING_BAD,      /* in a window, in the hooks, or in a signal handler */
};

enum gt_standing gt_standing(const struct gt_places *places, pid_t pid, const struct gt_thread *thread);

#endif
