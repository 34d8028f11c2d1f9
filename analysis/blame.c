/*
 * blame.c - whom a wait is due to.
 *
 * A waits until B wakes it. What B did meanwhile is in B's past: it ran, was in a system call, slept, had no P, or waited itself until
 * C woke it, and so on. So each wait falls into pieces, each with a root; the longest piece, level by level, is the chain that is shown.
 * When B itself had waited for the same lock, what came before it had the lock is due to those who had it before.
 */
#include "analysis/state.h"

#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX  6u
#define STEPS_MAX  48u
#define PIECES_MAX 24u

struct piece {
	uint8_t root, reason;
	uint64_t stack, call, g;
	struct gt__group *group;
	int64_t ns, since_ns;
};

struct walk {
	struct gt_analysis *a;
	const struct gt__blame *lock; /* stop where it was handed over; NULL: nowhere */
	unsigned int steps;
	struct piece pieces[PIECES_MAX];
	size_t count;
	bool handed;
	int64_t handed_ns;       /* when the waker got the lock */
	int64_t from_ns;         /* since when the lock was the waker's, at most */
	struct gt__hold longest; /* of those before it, when longer than the waker's: longest_ns > 0 */
	int64_t longest_ns;
	uint32_t hands; /* who had it before, while the waiter waited */
};

const char *gt__root_text(unsigned int root)
{
	static const char *const texts[] = {
		"unknown", "running", "no P", "system call", "sleep", "network", "GC", "waiting", "off CPU"};

	return root < GT__ROOTS ? texts[root] : "?";
}

static void add_piece(struct walk *walk, const struct piece *piece)
{
	for (size_t i = 0; i < walk->count; i++) {
		struct piece *same = &walk->pieces[i];

		if (same->root == piece->root && same->stack == piece->stack && same->group == piece->group &&
			same->call == piece->call && same->reason == piece->reason) {
			GT__ADD(same->ns, piece->ns);
			if (piece->since_ns < same->since_ns)
				same->since_ns = piece->since_ns;
			return;
		}
	}
	if (walk->count < PIECES_MAX)
		walk->pieces[walk->count++] = *piece;
	else
		GT__ADD(walk->pieces[PIECES_MAX - 1].ns, piece->ns); /* the sum stays right */
}

static uint8_t root_of_wait(unsigned int class, unsigned int cause)
{
	if (class == GT__WAIT_SLEEP || cause == GT_CAUSE_TIMER || cause == GT_CAUSE_DEADLINE)
		return GT__ROOT_SLEEP;
	if (class == GT__WAIT_NETWORK || cause == GT_CAUSE_NETPOLL)
		return GT__ROOT_NETWORK;
	if (class == GT__WAIT_GC || cause == GT_CAUSE_GC)
		return GT__ROOT_GC;
	return GT__ROOT_WAIT;
}

static void walk_into(struct walk *walk, uint64_t g, int64_t from, int64_t to, unsigned int depth);

/* @gor was in this between @from and @to. */
static void walk_slice(struct walk *walk, const struct gt__goroutine *gor, const struct gt__site *site,
	unsigned int cause, uint64_t by, uint64_t call, int64_t from, int64_t to, unsigned int depth)
{
	struct piece piece = {.g = gor->g,
		.group = gor->group,
		.ns = to - from,
		.since_ns = from,
		.stack = site->stack,
		.reason = site->reason};

	if (to <= from)
		return;
	switch (site->state) {
	case GT_STATE_RUNNABLE:
		piece.root = GT__ROOT_NO_P;
		piece.stack = 0;
		piece.reason = 0;
		break;
	case GT_STATE_SYSCALL:
		piece.root = GT__ROOT_SYSCALL;
		piece.call = call;
		break;
	case GT_STATE_RUNNING:
		piece.root = GT__ROOT_OFF_CPU;
		break;
	default:
		piece.root = root_of_wait(site->class, cause);
		if (piece.root == GT__ROOT_WAIT && by && depth < DEPTH_MAX) {
			walk_into(walk, by, from, to, depth + 1);
			return;
		}
		break;
	}
	add_piece(walk, &piece);
}

static void walk_running(struct walk *walk, const struct gt__goroutine *gor, int64_t from, int64_t to)
{
	struct piece piece = {
		.g = gor->g, .group = gor->group, .ns = to - from, .since_ns = from, .root = GT__ROOT_RUNNING};

	if (to > from)
		add_piece(walk, &piece);
}

static void walk_unknown(struct walk *walk, int64_t from, int64_t to)
{
	struct piece piece = {.ns = to - from, .since_ns = from, .root = GT__ROOT_UNKNOWN};

	if (to > from)
		add_piece(walk, &piece);
}

/* What @gor is in since row->open.since_ns; returns that time, or @to when it is later. Of a time of running the parts without a CPU
 * are in the past already: it is left to who looks there. */
static int64_t walk_open(
	struct walk *walk, const struct gt__goroutine *gor, int64_t from, int64_t to, unsigned int depth)
{
	const struct gt__slice *open = &gor->row->open;
	int64_t since = open->since_ns > from ? open->since_ns : from;
	struct gt__site now = {.state = open->state, .reason = open->reason, .stack = open->stack, .group = gor->group};

	if (!gt__slice_open(open) || since >= to || open->state == GT_STATE_RUNNING)
		return to;
	if (open->state == GT_STATE_WAITING) {
		now.class = open->reason == GT_REASON_SLEEP     ? GT__WAIT_SLEEP
			    : open->reason == GT_REASON_IO_WAIT ? GT__WAIT_NETWORK
								: GT__WAIT_OTHER;
	}
	walk_slice(walk, gor, &now, open->cause, open->holder, gor->call, since, to, depth);
	return since;
}

static void walk_into(struct walk *walk, uint64_t g, int64_t from, int64_t to, unsigned int depth)
{
	const struct gt__goroutine *gor = gt__goroutine_of(walk->a, g);
	int64_t end;

	if (!gor || ++walk->steps > STEPS_MAX) {
		walk_unknown(walk, from, to);
		return;
	}
	end = walk_open(walk, gor, from, to, depth);
	for (unsigned int i = 1; i <= gor->past_count && end > from; i++) {
		const struct gt__past *past = &gor->past[(gor->past_next + GT__PAST - i) % GT__PAST];
		int64_t since = past->since_ns > from ? past->since_ns : from;

		if (past->end_ns <= from)
			break;
		if (past->end_ns < end) {
			walk_running(walk, gor, past->end_ns, end);
			end = past->end_ns;
		}
		if (depth == 0 && walk->lock && past->blame == walk->lock) {
			walk->handed = true;
			walk->handed_ns = end;
			return;
		}
		walk_slice(walk, gor, past->site, past->cause, past->by, past->call, since, end, depth);
		end = since;
	}
	if (end <= from)
		return;
	/* Its past reaches no further back; or this is all that it did. */
	if (gor->past_count == GT__PAST)
		walk_unknown(walk, from, end);
	else if (gor->begin_ns > from) {
		walk_running(walk, gor, gor->begin_ns, end);
		walk_unknown(walk, from, gor->begin_ns < end ? gor->begin_ns : end);
	} else {
		walk_running(walk, gor, from, end);
	}
}

/* ---- who is blamed ---- */

static struct gt__blame *blame_of(struct gt_analysis *a, enum gt__blame_kind kind, unsigned int what, uint64_t object,
	uint64_t stack, const char *start)
{
	const char *name = gt__user_function(a, stack);
	struct gt__blame *blame;
	uint64_t key;

	name = gt__intern(a, *name ? name : start);
	key = object ? object << 8 ^ what << 2 ^ kind : (uint64_t)(uintptr_t)name << 8 ^ UINT64_C(1) << 63 ^ kind;
	blame = gt__map_get(&a->blames, key);
	if (blame)
		return blame;
	if (a->blame_count >= GT__BLAMES_MAX) {
		key = UINT64_MAX - kind;
		name = "(others)";
		object = 0;
		blame = gt__map_get(&a->blames, key);
		if (blame)
			return blame;
	}
	blame = gt__made(a, &a->blames, key, sizeof(*blame));
	if (!blame)
		return NULL;
	a->blame_count++;
	blame->kind = (uint8_t)kind;
	blame->what = (uint8_t)what;
	blame->object = object;
	blame->name = name;
	return blame;
}

static void add_waiter(struct gt__blame *blame, uint64_t g)
{
	for (uint32_t i = 0; i <= blame->waiter_count; i++) {
		if (i == blame->waiter_count) {
			if (i < GT__WAITERS)
				blame->waiters[blame->waiter_count++] = g;
			else
				blame->waiters_more = true;
			break;
		}
		if (blame->waiters[i] == g)
			break;
	}
}

static void add_share(struct gt__blame *blame, struct gt__group *group, int64_t ns)
{
	size_t least = 0;

	for (size_t i = 0; i < 8; i++) {
		if (blame->groups[i].group == group || !blame->groups[i].group) {
			blame->groups[i].group = group;
			GT__ADD(blame->groups[i].ns, ns);
			return;
		}
		if (blame->groups[i].ns < blame->groups[least].ns)
			least = i;
	}
	blame->groups[least] = (struct gt__share){group, gt__sum(blame->groups[least].ns, ns)};
}

static void count_waiter(struct gt__blame *blame, const struct gt__goroutine *gor, int64_t ns)
{
	add_waiter(blame, gor->g);
	add_share(blame, gor->group, ns);
}

/* The culprit's place, new or not. */
static struct gt__culprit *culprit_of(struct gt__blame *blame, const struct gt__culprit *like)
{
	struct gt__culprit *culprit, *least = NULL;

	for (uint32_t i = 0; i < blame->culprit_count; i++) {
		culprit = &blame->culprits[i];
		if (culprit->root == like->root && culprit->stack == like->stack && culprit->group == like->group &&
			culprit->call == like->call &&
			(like->root != GT__ROOT_OFF_CPU || culprit->reason == like->reason))
			return culprit;
		if (!least || culprit->ns < least->ns)
			least = culprit;
	}
	/* The smallest makes place, and what it had counts for the new one: who comes often stays. */
	culprit = blame->culprit_count < GT__CULPRITS ? &blame->culprits[blame->culprit_count++] : least;
	culprit->root = like->root;
	culprit->reason = like->reason;
	culprit->stack = like->stack;
	culprit->group = like->group;
	culprit->call = like->call;
	culprit->longest_ns = 0;
	return culprit;
}

static void count_culprit(struct gt__blame *blame, const struct piece *piece)
{
	struct gt__culprit *culprit = culprit_of(blame, &(struct gt__culprit){.root = piece->root,
								.reason = piece->reason,
								.stack = piece->stack,
								.group = piece->group,
								.call = piece->call});

	GT__ADD(blame->roots[piece->root], piece->ns);
	GT__ADD(culprit->ns, piece->ns);
	culprit->count++;
	if (piece->ns > culprit->longest_ns) {
		culprit->longest_ns = piece->ns;
		culprit->at_ns = piece->since_ns;
		culprit->g = piece->g;
	}
}

/* ---- a lock goes from hand to hand ---- */

static const struct gt__hold *last_hold(const struct gt__blame *blame, uint32_t back)
{
	return back < blame->ring_count ? &blame->ring[(blame->ring_next + 2 * GT__HOLDS - 1 - back) % GT__HOLDS]
					: NULL;
}

static void keep_hold(struct gt__blame *blame, const struct walk *walk, int64_t since_ns, int64_t end_ns)
{
	const struct piece *best = NULL;
	struct gt__hold *hold;

	for (size_t i = 0; i < walk->count; i++)
		if (walk->pieces[i].root != GT__ROOT_UNKNOWN && (!best || walk->pieces[i].ns > best->ns))
			best = &walk->pieces[i];
	if (!blame->ring)
		blame->ring = calloc(GT__HOLDS, sizeof(*blame->ring));
	if (!blame->ring)
		return;
	hold = &blame->ring[blame->ring_next];
	*hold = (struct gt__hold){.since_ns = since_ns, .end_ns = end_ns};
	if (best) {
		hold->root = best->root;
		hold->reason = best->reason;
		hold->stack = best->stack;
		hold->call = best->call;
		hold->g = best->g;
		hold->group = best->group;
	}
	blame->ring_next = (blame->ring_next + 1) % GT__HOLDS;
	if (blame->ring_count < GT__HOLDS)
		blame->ring_count++;
}

/* Of a wait from @t0 to @t1: since the last hand-over it is @by's; what came before is those holders' whose hand-overs are remembered. */
static void blame_lock(struct walk *walk, struct gt__blame *blame, int64_t t0, int64_t t1, uint64_t by)
{
	const struct gt__hold *hold = last_hold(blame, 0);
	int64_t from = hold && hold->end_ns > t0 ? hold->end_ns : t0, left;
	uint32_t back = 0;

	walk->lock = blame;
	if (by)
		walk_into(walk, by, from, t1, 0);
	else
		walk_unknown(walk, from, t1);
	if (walk->handed && walk->handed_ns > from)
		from = walk->handed_ns;
	walk->from_ns = from;
	if (from > t0) {
		blame->holds++;
		GT__ADD(blame->holds_ns, t1 - from);
	}
	for (size_t i = 0; i < walk->count; i++)
		count_culprit(blame, &walk->pieces[i]);
	for (left = from; left > t0 && (hold = last_hold(blame, back)); back++) {
		int64_t since = hold->since_ns > t0 ? hold->since_ns : t0,
			end = hold->end_ns < left ? hold->end_ns : left;
		struct piece piece = {.root = hold->root,
			.reason = hold->reason,
			.stack = hold->stack,
			.call = hold->call,
			.g = hold->g,
			.group = hold->group,
			.ns = end - since,
			.since_ns = since};

		if (end <= since)
			continue;
		count_culprit(blame, &piece);
		walk->hands++;
		if (end - since > walk->longest_ns) {
			walk->longest = *hold;
			walk->longest_ns = end - since;
		}
		left = since;
	}
	if (walk->longest_ns <= t1 - from)
		walk->longest_ns = 0;
	if (t1 > from)
		keep_hold(blame, walk, from, t1);
}

/* ---- the longest chains ---- */

/* What @g did most of the time between @from and @to, as the chain's next link; *by: whom it waited for in it. It runs, and has no CPU, in many
 * pieces: those of a reason count together. */
static bool link_of(struct walk *walk, uint64_t g, int64_t from, int64_t to, struct gt__link *link, uint64_t *by)
{
	const struct gt__goroutine *gor = gt__goroutine_of(walk->a, g);
	struct gt__link off[GT__CPU_KINDS] = {0};
	const struct gt__slice *open;
	int64_t covered = 0, reach = from, ns;

	*by = 0;
	if (!gor)
		return false;
	open = &gor->row->open;
	*link = (struct gt__link){.g = g, .group = gor->group, .state = GT_STATE_RUNNING};
	if (gt__slice_open(open) && open->since_ns < to && open->state != GT_STATE_RUNNING) {
		link->state = open->state;
		link->since_ns = open->since_ns > from ? open->since_ns : from;
		link->ns = to - link->since_ns;
		link->reason = open->reason;
		link->stack = open->stack;
		link->what = open->what;
		link->object = open->object;
		link->call = gor->call;
		*by = open->state == GT_STATE_WAITING ? open->holder : 0;
		covered = link->ns;
	}
	for (unsigned int i = 1; i <= gor->past_count; i++) {
		const struct gt__past *past = &gor->past[(gor->past_next + GT__PAST - i) % GT__PAST];
		int64_t since = past->since_ns > from ? past->since_ns : from,
			end = past->end_ns < to ? past->end_ns : to;

		ns = end - since;
		if (ns <= 0)
			break;
		if (gor->past_count == GT__PAST)
			reach = since;
		GT__ADD(covered, ns);
		if (past->site->state == GT_STATE_RUNNING && past->site->reason < GT__CPU_KINDS) {
			struct gt__link *pieces = &off[past->site->reason];

			*pieces = (struct gt__link){.g = g,
				.group = gor->group,
				.state = GT_STATE_RUNNING,
				.reason = past->site->reason,
				.stack = past->site->stack,
				.since_ns = since,
				.ns = gt__sum(pieces->ns, ns)};
			continue;
		}
		if (ns <= link->ns)
			continue;
		*link = (struct gt__link){.g = g,
			.group = gor->group,
			.state = past->site->state,
			.reason = past->site->reason,
			.stack = past->site->stack,
			.what = past->site->what,
			.object = past->object,
			.cause = past->cause,
			.call = past->call,
			.since_ns = since,
			.ns = ns};
		*by = past->site->state == GT_STATE_WAITING ? past->by : 0;
	}
	for (size_t i = 0; i < GT__CPU_KINDS; i++)
		if (off[i].ns > link->ns) {
			*link = off[i];
			*by = 0;
		}
	/* The rest of the time that is known it ran. */
	ns = to - reach - covered;
	if (ns > link->ns) {
		*link = (struct gt__link){
			.g = g, .group = gor->group, .state = GT_STATE_RUNNING, .since_ns = reach, .ns = ns};
		*by = 0;
	}
	return link->ns > 0;
}

static uint8_t root_of_link(const struct gt__link *link)
{
	switch (link->state) {
	case GT_STATE_RUNNING:
		return link->reason ? GT__ROOT_OFF_CPU : GT__ROOT_RUNNING;
	case GT_STATE_RUNNABLE:
		return GT__ROOT_NO_P;
	case GT_STATE_SYSCALL:
		return GT__ROOT_SYSCALL;
	case GT_STATE_WAITING:
		return root_of_wait(
			link->reason == GT_REASON_SLEEP     ? GT__WAIT_SLEEP
			: link->reason == GT_REASON_IO_WAIT ? GT__WAIT_NETWORK
			: link->reason == GT_REASON_GC_ASSIST_WAIT || link->reason == GT_REASON_GC_ASSIST_MARKING
				? GT__WAIT_GC
				: GT__WAIT_OTHER,
			link->cause);
	default:
		return GT__ROOT_UNKNOWN;
	}
}

/* Who had the lock longest is not its last holder, and may have ended since: what is remembered of the hand-over is told. */
static struct gt__link link_of_hold(const struct walk *walk)
{
	const struct gt__hold *hold = &walk->longest;

	return (struct gt__link){
		.g = hold->g,
		.group = hold->group,
		.state = hold->root == GT__ROOT_SYSCALL                                     ? GT_STATE_SYSCALL
			 : hold->root == GT__ROOT_RUNNING || hold->root == GT__ROOT_OFF_CPU ? GT_STATE_RUNNING
			 : hold->root == GT__ROOT_NO_P                                      ? GT_STATE_RUNNABLE
											    : GT_STATE_WAITING,
		.reason = hold->reason,
		.stack = hold->stack,
		.call = hold->call,
		.since_ns = hold->since_ns,
		.ns = walk->longest_ns,
	};
}

static void keep_chain(struct walk *walk, const struct gt__goroutine *gor, const struct gt__site *site,
	const struct gt__slice *slice, int64_t end_ns, uint64_t by, bool open)
{
	struct gt_analysis *a = walk->a;
	int64_t ns = end_ns - slice->since_ns, from = slice->since_ns, to = end_ns;
	size_t at = a->chain_count, same;
	struct gt__chain chain = {.ns = ns, .open = open, .root = GT__ROOT_UNKNOWN, .hands = walk->hands};

	if (at == GT__WORST && ns <= a->chains[at - 1].ns)
		return;
	for (same = 0; same < a->chain_count; same++)
		if (a->chains[same].links[0].stack == slice->stack &&
			a->chains[same].links[0].object == slice->object && (slice->stack || slice->object))
			break;
	if (same < a->chain_count && ns <= a->chains[same].ns)
		return;
	chain.links[chain.count++] = (struct gt__link){.g = gor->g,
		.group = gor->group,
		.state = GT_STATE_WAITING,
		.reason = site->reason,
		.what = slice->what,
		.object = slice->object,
		.stack = slice->stack,
		.since_ns = from,
		.ns = ns};
	if (walk->from_ns > from)
		from = walk->from_ns;
	if (walk->longest_ns > 0 && walk->longest.group) {
		chain.links[chain.count++] = link_of_hold(walk);
		chain.root = walk->longest.root;
		by = 0;
	}
	while (by && chain.count < GT__CHAIN) {
		struct gt__link *link = &chain.links[chain.count];

		if (!link_of(walk, by, from, to, link, &by))
			break;
		chain.count++;
		chain.root = root_of_link(link);
		from = link->since_ns;
		to = from + link->ns;
	}
	/* Of one place and object the longest; else the least makes place. */
	if (same < a->chain_count)
		at = same;
	else if (at == GT__WORST)
		at--;
	else
		a->chain_count++;
	for (; at > 0 && a->chains[at - 1].ns < ns; at--)
		a->chains[at] = a->chains[at - 1];
	a->chains[at] = chain;
}

/* ---- what is told here ---- */

struct gt__blame *gt__blame_wait(struct gt_analysis *a, struct gt__goroutine *gor, struct gt__site *site,
	const struct gt__slice *slice, int64_t end_ns, uint64_t by, bool open)
{
	int64_t ns = end_ns - slice->since_ns;
	struct walk walk = {.a = a};
	struct gt__blame *blame;

	if ((site->class != GT__WAIT_LOCK && site->class != GT__WAIT_SEND && site->class != GT__WAIT_GC) ||
		gor->group->system)
		return NULL;
	if (site->class == GT__WAIT_GC && gor->assist_ns >= 0)
		return NULL; /* the assist as a whole counts */
	if (site->class != GT__WAIT_GC && slice->object && gt_object_is_address(slice->what))
		blame = blame_of(a, site->class == GT__WAIT_LOCK ? GT__BLAME_LOCK : GT__BLAME_SEND, slice->what,
			slice->object, slice->stack, gor->group->name);
	else if (site->blame)
		blame = site->blame;
	else
		blame = site->blame = blame_of(a,
			site->class == GT__WAIT_LOCK   ? GT__BLAME_LOCK
			: site->class == GT__WAIT_SEND ? GT__BLAME_SEND
						       : GT__BLAME_GC,
			0, 0, slice->stack, gor->group->name);
	if (!blame)
		return NULL;
	gt__stat_add(&blame->waits, ns, slice->since_ns, gor->g);
	if (blame->waits.max_g == gor->g && blame->waits.max_ns == ns)
		blame->worst_stack = slice->stack;
	count_waiter(blame, gor, ns);
	if (open) {
		blame->open++;
		GT__ADD(blame->open_ns, ns);
		blame->open_unknown += by == 0;
	}
	if (blame->kind == GT__BLAME_GC) {
		GT__ADD(blame->roots[GT__ROOT_GC], ns);
		return blame;
	}
	if (blame->kind == GT__BLAME_LOCK && !open) {
		blame_lock(&walk, blame, slice->since_ns, end_ns, by);
	} else {
		if (by)
			walk_into(&walk, by, slice->since_ns, end_ns, 0);
		else
			walk_unknown(&walk, slice->since_ns, end_ns);
		for (size_t i = 0; i < walk.count; i++)
			count_culprit(blame, &walk.pieces[i]);
	}
	keep_chain(&walk, gor, site, slice, end_ns, by, open);
	return blame;
}

void gt__blame_add(struct gt__blame *to, const struct gt__blame *from)
{
	struct gt__culprit *culprit;

	to->alike++;
	/* It has the name of the one that cost most. */
	if (from->waits.total_ns > to->most_ns) {
		to->most_ns = from->waits.total_ns;
		to->object = from->object;
		to->what = from->what;
	}
	if (from->waits.max_ns > to->waits.max_ns) {
		to->waits.max_ns = from->waits.max_ns;
		to->waits.max_at_ns = from->waits.max_at_ns;
		to->waits.max_g = from->waits.max_g;
		to->worst_stack = from->worst_stack;
	}
	to->waits.count += from->waits.count;
	GT__ADD(to->waits.total_ns, from->waits.total_ns);
	to->open += from->open;
	GT__ADD(to->open_ns, from->open_ns);
	to->open_unknown += from->open_unknown;
	GT__ADD(to->holds_ns, from->holds_ns);
	to->holds += from->holds;
	GT__ADD(to->taken_ns, from->taken_ns < from->waits.total_ns ? from->taken_ns : from->waits.total_ns);
	for (uint32_t i = 0; i < from->waiter_count; i++)
		add_waiter(to, from->waiters[i]);
	to->waiters_more |= from->waiters_more;
	for (size_t i = 0; i < 8 && from->groups[i].group; i++)
		add_share(to, from->groups[i].group, from->groups[i].ns);
	for (unsigned int root = 0; root < GT__ROOTS; root++)
		GT__ADD(to->roots[root], from->roots[root]);
	for (uint32_t i = 0; i < from->culprit_count; i++) {
		const struct gt__culprit *like = &from->culprits[i];

		culprit = culprit_of(to, like);
		GT__ADD(culprit->ns, like->ns);
		culprit->count += like->count;
		if (like->longest_ns > culprit->longest_ns) {
			culprit->longest_ns = like->longest_ns;
			culprit->at_ns = like->at_ns;
			culprit->g = like->g;
		}
	}
}

void gt__blame_assist(
	struct gt_analysis *a, struct gt__goroutine *gor, uint64_t stack, int64_t since_ns, int64_t end_ns)
{
	struct gt__blame *blame = blame_of(a, GT__BLAME_GC, 0, 0, stack, gor->group->name);

	if (!blame || gor->group->system)
		return;
	gt__stat_add(&blame->waits, end_ns - since_ns, since_ns, gor->g);
	if (blame->waits.max_g == gor->g && blame->waits.max_ns == end_ns - since_ns)
		blame->worst_stack = stack;
	count_waiter(blame, gor, end_ns - since_ns);
	GT__ADD(blame->roots[GT__ROOT_GC], end_ns - since_ns);
}
