/*
 * triggers.c - conditions on events.
 *
 * Between two rounds events are only collected (16 bytes each). A round brings those up to the watermark into the order of time, by
 * merging what is in order already, applies them, and then looks at what still goes on.
 *
 * Goroutines in a state that a trigger asks for stand in a list of that state, in the order of its beginning. Each trigger has
 * a cursor in that list: what stands before it was judged. So a wait is looked at once for each trigger, when its time
 * has come, and a round costs nothing for those that wait.
 */
#include "libtrace/triggers.h"

#include "base/hash.h"
#include "libtrace/go_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define NONE        UINT32_MAX
#define G_MASK      0xffffffffffull
#define FIRED_MAX   16
#define SKEW_TICKS  1000000 /* far more than the clocks of two CPUs differ */
#define WAITS_MIN   64
#define EVENTS_MIN  1024
#define REGIONS_OUT 255 /* deepest nesting in one region that is counted */
#define STW_KEY     ((uint64_t)255 << 40)

enum list_of { LIST_RUNNABLE, LIST_BLOCKED, LIST_SYSCALL, LIST_REGION, LIST_STW, LIST_COUNT, LIST_NONE = LIST_COUNT };

/* A goroutine and its state, or a goroutine in a region: then its key holds the trigger's number too. */
struct wait {
	uint64_t key; /* 0: free, next is the next free one */
	uint64_t since;
	uint32_t next, prev; /* of its list */
	uint16_t judged;     /* a bit for each trigger */
	uint8_t state, old, reason;
	uint8_t list;  /* enum list_of */
	uint8_t depth; /* region: others that are open in it */
	bool sure;     /* its events followed each other up to here */
};

enum op { OP_STATE, OP_REGION_BEGIN, OP_REGION_END, OP_STW_BEGIN, OP_STW_END };
/* word: g:40 | old:4 | new:4 | reason:8 | op:8; region begin: a bit for each trigger of its name:16 in place of the middle ones */
struct compact {
	uint64_t ticks;
	uint64_t word;
};

struct list {
	uint32_t first, last;
};

struct gt_triggers {
	struct gt_trigger triggers[GT_TRIGGERS_MAX];
	uint64_t limit_ticks[GT_TRIGGERS_MAX];
	uint32_t cursor[GT_TRIGGERS_MAX]; /* first of its list that was not judged */
	bool done[GT_TRIGGERS_MAX];       /* once: it has fired; goroutines: until there are fewer */
	bool over[GT_TRIGGERS_MAX];       /* goroutines: above the limit */
	bool has_fired[GT_TRIGGERS_MAX];
	uint64_t last_fired[GT_TRIGGERS_MAX]; /* ticks */
	struct gt_triggers_config config;
	uint64_t interval_ticks;
	bool lists_wanted[LIST_COUNT], counts, events;

	struct gt_map map; /* key -> index into waits */
	struct wait *waits;
	uint32_t wait_count, wait_max, wait_free;
	struct list lists[LIST_COUNT];

	struct compact *buffer, *scratch;
	size_t buffered, room;
	uint64_t forget_ticks; /* what is not younger may miss what followed it: only counted */

	gt_triggers_string_fn *string;
	void *string_context;
	struct gt_map names; /* string id -> bits of triggers */

	uint64_t goroutines, ends_lost; /* at most so many of them may have ended unseen */
	struct gt_triggers_fired fired[FIRED_MAX];
	unsigned int fired_first, fired_count;
	struct gt_triggers_totals totals;
};

static uint64_t to_ticks(const struct gt_triggers *t, uint64_t ns)
{
	unsigned __int128 ticks = (unsigned __int128)ns * t->config.ticks_per_second / 1000000000;

	return ticks > INT64_MAX ? INT64_MAX : (uint64_t)ticks;
}

static enum list_of list_of_kind(enum gt_trigger_kind kind)
{
	switch (kind) {
	case GT_TRIGGER_RUNNABLE:
		return LIST_RUNNABLE;
	case GT_TRIGGER_BLOCKED:
		return LIST_BLOCKED;
	case GT_TRIGGER_SYSCALL:
		return LIST_SYSCALL;
	case GT_TRIGGER_REGION:
		return LIST_REGION;
	case GT_TRIGGER_STW:
		return LIST_STW;
	default:
		return LIST_NONE;
	}
}

/* ---- what fires ---- */

static bool too_soon(const struct gt_triggers *t, size_t i, uint64_t ticks)
{
	return t->has_fired[i] && t->interval_ticks &&
	       (ticks < t->last_fired[i] || ticks - t->last_fired[i] < t->interval_ticks);
}

/* @now: of the round; the interval is counted by it. */
static void fire(struct gt_triggers *t, size_t i, const struct gt_triggers_fired *what, uint64_t now)
{
	struct gt_triggers_fired *out;

	if (t->done[i] || too_soon(t, i, now) || t->fired_count == FIRED_MAX) {
		t->totals.suppressed++;
		return;
	}
	t->done[i] = t->config.once;
	t->has_fired[i] = true;
	t->last_fired[i] = now;
	t->totals.fired++;
	out = &t->fired[(t->fired_first + t->fired_count++) % FIRED_MAX];
	*out = *what;
	out->trigger = &t->triggers[i];
}

bool gt_triggers_next(struct gt_triggers *t, struct gt_triggers_fired *out)
{
	if (!t->fired_count)
		return false;
	*out = t->fired[t->fired_first];
	t->fired_first = (t->fired_first + 1) % FIRED_MAX;
	t->fired_count--;
	return true;
}

/* ---- waits and their lists ---- */

/* Waits for something that only another goroutine of the program can do. */
static bool waits_for_others(unsigned int reason)
{
	switch (reason) {
	case GT_REASON_CHAN_RECEIVE_NIL:
	case GT_REASON_CHAN_SEND_NIL:
	case GT_REASON_SELECT:
	case GT_REASON_SELECT_NO_CASES:
	case GT_REASON_CHAN_RECEIVE:
	case GT_REASON_CHAN_SEND:
	case GT_REASON_SEMACQUIRE:
	case GT_REASON_SYNC_COND_WAIT:
	case GT_REASON_SYNC_MUTEX_LOCK:
	case GT_REASON_SYNC_RWMUTEX_RLOCK:
	case GT_REASON_SYNC_RWMUTEX_LOCK:
	case GT_REASON_SYNC_WAITGROUP_WAIT:
	case GT_REASON_SYNCTEST_RUN:
	case GT_REASON_SYNCTEST_WAIT:
	case GT_REASON_SYNCTEST_RECEIVE:
	case GT_REASON_SYNCTEST_SEND:
	case GT_REASON_SYNCTEST_SELECT:
	case GT_REASON_SYNCTEST_WAITGROUP:
		return true;
	default:
		return false;
	}
}

static bool matches(const struct gt_triggers *t, size_t i, const struct wait *wait)
{
	const struct gt_trigger *trigger = &t->triggers[i];

	if (trigger->kind == GT_TRIGGER_REGION)
		return wait->key >> 40 == i + 1;
	if (trigger->kind != GT_TRIGGER_BLOCKED || trigger->reason == GT_TRIGGER_REASON_ANY)
		return true;
	if (trigger->reason == GT_TRIGGER_REASON_OTHERS)
		return waits_for_others(wait->reason);
	return trigger->reason == wait->reason;
}

/* Its time has come: goes on, or has @ended. */
static void judge(struct gt_triggers *t, size_t i, struct wait *wait, uint64_t at, bool ended, uint64_t now)
{
	const struct gt_triggers_fired what = {
		.g = wait->key & G_MASK,
		.since_ticks = wait->since,
		.at_ticks = at,
		.reason = wait->reason,
		.ended = ended,
	};

	wait->judged |= (uint16_t)(1u << i);
	if (matches(t, i, wait))
		fire(t, i, &what, now);
}

static void list_add(struct gt_triggers *t, uint32_t at, enum list_of which)
{
	struct wait *wait = &t->waits[at];
	struct list *list = &t->lists[which];

	wait->list = (uint8_t)which;
	wait->judged = 0;
	wait->next = NONE;
	wait->prev = list->last;
	if (list->last == NONE)
		list->first = at;
	else
		t->waits[list->last].next = at;
	list->last = at;
	for (size_t i = 0; i < t->config.count; i++)
		if (t->cursor[i] == NONE && list_of_kind(t->triggers[i].kind) == which)
			t->cursor[i] = at;
}

static void list_remove(struct gt_triggers *t, uint32_t at)
{
	struct wait *wait = &t->waits[at];
	struct list *list;

	if (wait->list == LIST_NONE)
		return;
	list = &t->lists[wait->list];
	for (size_t i = 0; i < t->config.count; i++)
		if (t->cursor[i] == at)
			t->cursor[i] = wait->next;
	if (wait->prev == NONE)
		list->first = wait->next;
	else
		t->waits[wait->prev].next = wait->next;
	if (wait->next == NONE)
		list->last = wait->prev;
	else
		t->waits[wait->next].prev = wait->prev;
	wait->list = LIST_NONE;
}

/* It began and ended between two rounds, or just after the last. */
static void judge_ended(struct gt_triggers *t, struct wait *wait, uint64_t at, uint64_t now)
{
	if (wait->list == LIST_NONE || at < wait->since)
		return;
	for (size_t i = 0; i < t->config.count; i++)
		if (list_of_kind(t->triggers[i].kind) == (enum list_of)wait->list && !(wait->judged >> i & 1) &&
			at - wait->since > t->limit_ticks[i])
			judge(t, i, wait, at, true, now);
}

static uint32_t wait_find(const struct gt_triggers *t, uint64_t key)
{
	const uint64_t *index = gt_map_find(&t->map, key);

	return index ? (uint32_t)*index : NONE;
}

static uint32_t wait_add(struct gt_triggers *t, uint64_t key)
{
	uint32_t at = t->wait_free;

	if (at != NONE)
		t->wait_free = t->waits[at].next;
	else if (t->wait_count < t->wait_max)
		at = t->wait_count++;
	if (at == NONE || gt_map_put(&t->map, key, at) < 0) {
		t->totals.untracked++;
		if (at != NONE) {
			t->waits[at] = (struct wait){.next = t->wait_free, .list = LIST_NONE};
			t->wait_free = at;
		}
		return NONE;
	}
	t->waits[at] = (struct wait){.key = key, .list = LIST_NONE, .next = NONE, .prev = NONE};
	return at;
}

static void wait_remove(struct gt_triggers *t, uint32_t at)
{
	list_remove(t, at);
	gt_map_remove(&t->map, t->waits[at].key);
	t->waits[at] = (struct wait){.next = t->wait_free, .list = LIST_NONE};
	t->wait_free = at;
}

static void forget_all(struct gt_triggers *t)
{
	gt_map_free(&t->map);
	t->wait_count = 0;
	t->wait_free = NONE;
	for (size_t i = 0; i < LIST_COUNT; i++)
		t->lists[i] = (struct list){NONE, NONE};
	for (size_t i = 0; i < GT_TRIGGERS_MAX; i++)
		t->cursor[i] = NONE;
}

/* ---- events ---- */

static enum list_of list_of_state(const struct gt_triggers *t, const struct wait *wait)
{
	enum list_of which = wait->state == GT_STATE_RUNNABLE  ? LIST_RUNNABLE
			     : wait->state == GT_STATE_WAITING ? LIST_BLOCKED
			     : wait->state == GT_STATE_SYSCALL ? LIST_SYSCALL
							       : LIST_NONE;

	return which != LIST_NONE && wait->sure && t->lists_wanted[which] ? which : LIST_NONE;
}

static void count_goroutine(struct gt_triggers *t, unsigned int old, unsigned int new_)
{
	bool lived = old != GT_STATE_NONE && old != GT_STATE_DEAD,
	     lives = new_ != GT_STATE_NONE && new_ != GT_STATE_DEAD;

	if (lives && !lived)
		t->goroutines++;
	else if (lived && !lives && t->goroutines)
		t->goroutines--;
}

static void judge_count(struct gt_triggers *t, uint64_t g, uint64_t ticks, uint64_t now)
{
	uint64_t count = t->goroutines > t->ends_lost ? t->goroutines - t->ends_lost : 0;

	for (size_t i = 0; i < t->config.count; i++) {
		const struct gt_triggers_fired what = {.g = g, .since_ticks = ticks, .at_ticks = ticks, .count = count};
		uint64_t limit = t->triggers[i].limit;

		if (t->triggers[i].kind != GT_TRIGGER_GOROUTINES)
			continue;
		if (count > limit && !t->over[i]) {
			t->over[i] = true;
			fire(t, i, &what, now);
		} else if (t->goroutines <= limit - limit / 10) {
			t->over[i] = false; /* a tenth below: a number that swings around the limit fires once */
		}
	}
}

/* Takes its regions with it. */
static void end_regions(struct gt_triggers *t, uint64_t g)
{
	for (size_t i = 0; t->lists_wanted[LIST_REGION] && i < t->config.count; i++) {
		uint32_t at = t->triggers[i].kind == GT_TRIGGER_REGION ? wait_find(t, (i + 1) << 40 | g) : NONE;

		if (at != NONE)
			wait_remove(t, at);
	}
}

static void apply_state(struct gt_triggers *t, const struct compact *event, uint64_t now)
{
	uint64_t g = event->word & G_MASK;
	unsigned int old = event->word >> 40 & 15, new_ = event->word >> 44 & 15;
	uint32_t at;
	struct wait *wait;
	bool begins = old == GT_STATE_NONE, fits;

	if (t->counts) {
		count_goroutine(t, old, new_);
		judge_count(t, g, event->ticks, now);
	}
	if (new_ == GT_STATE_DEAD || new_ == GT_STATE_NONE)
		end_regions(t, g);
	at = wait_find(t, g);
	if (at == NONE) {
		if (new_ == GT_STATE_DEAD || new_ == GT_STATE_NONE)
			return;
		at = wait_add(t, g);
		if (at == NONE)
			return;
		fits = begins;
		wait = &t->waits[at];
	} else {
		wait = &t->waits[at];
		if (event->ticks < wait->since)
			return; /* much later than it should have come: what is known is newer */
		fits = begins || old == wait->state;
		/* Clocks differ a little: what follows it came first, and now all fits. */
		if (!fits && !wait->sure && wait->old == new_ && event->ticks - wait->since < SKEW_TICKS) {
			wait->sure = true;
			wait->old = (uint8_t)old;
			if (list_of_state(t, wait) != LIST_NONE)
				list_add(t, at, list_of_state(t, wait));
			return;
		}
		if (fits && wait->sure)
			judge_ended(t, wait, event->ticks, now);
		list_remove(t, at);
		if (new_ == GT_STATE_DEAD || new_ == GT_STATE_NONE) {
			wait_remove(t, at);
			return;
		}
	}
	wait->since = event->ticks;
	wait->state = (uint8_t)new_;
	wait->old = (uint8_t)old;
	wait->reason = event->word >> 48 & 255;
	wait->sure = fits;
	if (list_of_state(t, wait) != LIST_NONE)
		list_add(t, at, list_of_state(t, wait));
}

static void region_begins(struct gt_triggers *t, size_t i, const struct compact *event)
{
	uint64_t key = (uint64_t)(i + 1) << 40 | (event->word & G_MASK);
	uint32_t at = wait_find(t, key);

	if (at != NONE) {
		if (t->waits[at].depth < REGIONS_OUT)
			t->waits[at].depth++; /* inside it, of whatever name: of one in itself the outermost counts */
		return;
	}
	if (!(event->word >> 40 >> i & 1))
		return;
	at = wait_add(t, key);
	if (at == NONE)
		return;
	t->waits[at].since = event->ticks;
	t->waits[at].sure = true;
	list_add(t, at, LIST_REGION);
}

static void region_ends(struct gt_triggers *t, size_t i, const struct compact *event, uint64_t now)
{
	uint32_t at = wait_find(t, (uint64_t)(i + 1) << 40 | (event->word & G_MASK));

	if (at != NONE && t->waits[at].depth) {
		t->waits[at].depth--;
	} else if (at != NONE) {
		judge_ended(t, &t->waits[at], event->ticks, now);
		wait_remove(t, at);
	}
}

static void apply_region(struct gt_triggers *t, const struct compact *event, bool begins, uint64_t now)
{
	for (size_t i = 0; i < t->config.count; i++) {
		if (t->triggers[i].kind != GT_TRIGGER_REGION)
			continue;
		if (begins)
			region_begins(t, i, event);
		else
			region_ends(t, i, event, now);
	}
}

static void apply_stw(struct gt_triggers *t, const struct compact *event, bool begins, uint64_t now)
{
	uint64_t key = STW_KEY | (event->word & G_MASK);
	uint32_t at = wait_find(t, key);

	if (at != NONE) {
		if (!begins)
			judge_ended(t, &t->waits[at], event->ticks, now);
		wait_remove(t, at);
	}
	if (!begins)
		return;
	at = wait_add(t, key);
	if (at == NONE)
		return;
	t->waits[at].since = event->ticks;
	t->waits[at].reason = event->word >> 48 & 255;
	t->waits[at].sure = true;
	list_add(t, at, LIST_STW);
}

/* ---- order ---- */

static size_t run_end(const struct compact *events, size_t from, size_t count)
{
	size_t i = from + 1;

	while (i < count && events[i - 1].ticks <= events[i].ticks)
		i++;
	return i < count ? i : count;
}

/* Neighbours that are each in order become one, until one is left. Of two at the same time the first stays so. */
static void sort_events(struct gt_triggers *t)
{
	for (;;) {
		struct compact *from = t->buffer, *to = t->scratch;
		size_t count = t->buffered, at = 0;

		if (count == 0 || run_end(from, 0, count) == count)
			return;
		while (at < count) {
			size_t left = at, middle = run_end(from, at, count), right = middle, end;

			end = middle < count ? run_end(from, middle, count) : count;
			while (left < middle && right < end)
				to[at++] = from[right].ticks < from[left].ticks ? from[right++] : from[left++];
			memcpy(&to[at], &from[left], (middle - left) * sizeof(*to));
			at += middle - left;
			memcpy(&to[at], &from[right], (end - right) * sizeof(*to));
			at += end - right;
		}
		t->buffer = to;
		t->scratch = from;
	}
}

static int more_room(struct gt_triggers *t)
{
	size_t room = t->room ? t->room * 2 : EVENTS_MIN;
	struct compact *buffer, *scratch;

	if (room > GT_TRIGGER_EVENTS_MAX)
		return -ENOSPC;
	buffer = realloc(t->buffer, room * sizeof(*buffer));
	if (!buffer)
		return -ENOMEM;
	t->buffer = buffer;
	scratch = realloc(t->scratch, room * sizeof(*scratch));
	if (!scratch)
		return -ENOMEM;
	t->scratch = scratch;
	t->room = room;
	return 0;
}

static void count_only(struct gt_triggers *t, const struct compact *event)
{
	if (event->word >> 56 == OP_STATE)
		count_goroutine(t, event->word >> 40 & 15, event->word >> 44 & 15);
}

void gt_triggers_lost(struct gt_triggers *t, uint64_t count, uint64_t ticks)
{
	t->ends_lost += count;
	sort_events(t);
	for (size_t i = 0; i < t->buffered; i++) {
		count_only(t, &t->buffer[i]);
		judge_count(t, t->buffer[i].word & G_MASK, t->buffer[i].ticks, ticks);
	}
	if (t->buffered && t->buffer[t->buffered - 1].ticks > ticks)
		ticks = t->buffer[t->buffered - 1].ticks;
	t->buffered = 0;
	if (ticks > t->forget_ticks)
		t->forget_ticks = ticks;
	t->totals.forgotten++;
	forget_all(t);
}

static void put(struct gt_triggers *t, uint64_t ticks, uint64_t word)
{
	const struct compact event = {ticks, word};

	/* More than fits: what is under way is not known any more, but who lives is. */
	if (t->buffered == t->room && more_room(t) < 0)
		gt_triggers_lost(t, 0, ticks);
	if (ticks <= t->forget_ticks)
		count_only(t, &event);
	else
		t->buffer[t->buffered++] = event;
}

/* ---- in ---- */

static uint64_t bits_of_name(struct gt_triggers *t, uint64_t id)
{
	const uint64_t *known = gt_map_find(&t->names, id);
	char text[GT_TRIGGER_NAME_BYTES];
	uint64_t bits = 0;
	size_t size;

	if (known)
		return *known;
	size = t->string ? t->string(t->string_context, id, text, sizeof(text)) : 0;
	if (!size)
		return 0; /* not there yet, or never: asked again */
	for (size_t i = 0; i < t->config.count; i++)
		if (t->triggers[i].kind == GT_TRIGGER_REGION && strlen(t->triggers[i].name) == size &&
			memcmp(t->triggers[i].name, text, size) == 0)
			bits |= 1u << i;
	gt_map_put(&t->names, id, bits);
	return bits;
}

static void put_region(struct gt_triggers *t, const struct gt_event *event, enum op op)
{
	uint64_t bits = 0;

	if (!t->lists_wanted[LIST_REGION])
		return;
	if (op == OP_REGION_BEGIN)
		bits = bits_of_name(t, event->args[2]);
	put(t, event->ticks, (event->args[0] & G_MASK) | bits << 40 | (uint64_t)op << 56);
}

static void put_stw(struct gt_triggers *t, const struct gt_event *event, enum op op)
{
	uint64_t kind = op == OP_STW_BEGIN ? event->args[1] - GT_GO_TEXT_BASE - GT_GO_TEXT_STW : 0;

	if (t->lists_wanted[LIST_STW])
		put(t, event->ticks,
			(event->args[0] & G_MASK) | (kind < GT_GO_TEXT_LABEL ? kind : 0) << 48 | (uint64_t)op << 56);
}

static void put_state(struct gt_triggers *t, const struct gt_event *event, uint64_t old, uint64_t new_, uint64_t reason)
{
	put(t, event->ticks,
		(event->args[0] & G_MASK) | (old & 15) << 40 | (new_ & 15) << 44 | (reason & 255) << 48 |
			(uint64_t)OP_STATE << 56);
}

void gt_triggers_event(struct gt_triggers *t, const struct gt_event *event)
{
	const uint64_t *args = event->args;

	switch (event->kind) {
	case GT_EV_GO_CREATE:
		put_state(t, event, GT_STATE_NONE, args[1], 0);
		return;
	case GT_EV_GO_RUN:
		put_state(t, event, args[1], GT_STATE_RUNNING, 0);
		return;
	case GT_EV_GO_BLOCK:
		put_state(t, event, GT_STATE_RUNNING, GT_STATE_WAITING, args[1]);
		return;
	case GT_EV_GO_YIELD:
		put_state(t, event, GT_STATE_RUNNING, GT_STATE_RUNNABLE, args[1]);
		return;
	case GT_EV_GO_READY:
		put_state(t, event, args[1], GT_STATE_RUNNABLE, 0);
		return;
	case GT_EV_GO_END:
		put_state(t, event, GT_STATE_RUNNING, GT_STATE_DEAD, 0);
		return;
	case GT_EV_GO_SYSCALL:
		put_state(t, event, GT_STATE_RUNNING, GT_STATE_SYSCALL, 0);
		return;
	case GT_EV_GO_SYSEXIT:
		put_state(t, event, GT_STATE_SYSCALL, args[1], 0);
		return;
	case GT_EV_GO_STATE:
		put_state(t, event, args[1], args[2], args[3]);
		return;
	case GT_EV_REGION_BEGIN:
		put_region(t, event, OP_REGION_BEGIN);
		return;
	case GT_EV_REGION_END:
		put_region(t, event, OP_REGION_END);
		return;
	case GT_EV_STW_BEGIN:
		put_stw(t, event, OP_STW_BEGIN);
		return;
	case GT_EV_STW_END:
		put_stw(t, event, OP_STW_END);
		return;
	default:
		return;
	}
}

/* ---- rounds ---- */

static void judge_waiting(struct gt_triggers *t, uint64_t watermark)
{
	for (size_t i = 0; i < t->config.count; i++)
		while (t->cursor[i] != NONE) {
			struct wait *wait = &t->waits[t->cursor[i]];

			if (wait->since > watermark || watermark - wait->since <= t->limit_ticks[i])
				break;
			judge(t, i, wait, watermark, false, watermark);
			t->cursor[i] = wait->next;
		}
}

void gt_triggers_round(struct gt_triggers *t, uint64_t watermark)
{
	size_t at = 0;

	sort_events(t);
	for (; at < t->buffered && t->buffer[at].ticks <= watermark; at++) {
		const struct compact *event = &t->buffer[at];

		switch (event->word >> 56) {
		case OP_STATE:
			apply_state(t, event, watermark);
			break;
		case OP_REGION_BEGIN:
		case OP_REGION_END:
			apply_region(t, event, event->word >> 56 == OP_REGION_BEGIN, watermark);
			break;
		default:
			apply_stw(t, event, event->word >> 56 == OP_STW_BEGIN, watermark);
			break;
		}
	}
	t->buffered -= at;
	if (t->buffered)
		memmove(t->buffer, &t->buffer[at], t->buffered * sizeof(*t->buffer));
	judge_waiting(t, watermark);
}

bool gt_triggers_ended(struct gt_triggers *t, int status, uint64_t ticks, struct gt_triggers_fired *out)
{
	uint64_t code = WIFSIGNALED(status) ? 128 + (uint64_t)WTERMSIG(status) : (uint64_t)WEXITSTATUS(status);

	for (size_t i = 0; i < t->config.count; i++) {
		const struct gt_trigger *trigger = &t->triggers[i];
		bool signal = trigger->kind == GT_TRIGGER_SIGNAL && WIFSIGNALED(status);
		bool exit = trigger->kind == GT_TRIGGER_EXIT &&
			    (!trigger->compare || (code == trigger->limit) == (trigger->compare == '='));

		if (!signal && !exit)
			continue;
		*out = (struct gt_triggers_fired){.trigger = trigger,
			.since_ticks = ticks,
			.at_ticks = ticks,
			.count = signal ? (uint64_t)WTERMSIG(status) : code,
			.ended = true};
		t->totals.fired++;
		return true;
	}
	return false;
}

/* ---- life ---- */

void gt_triggers_strings(struct gt_triggers *t, gt_triggers_string_fn *string, void *context)
{
	t->string = string;
	t->string_context = context;
}

bool gt_triggers_want_events(const struct gt_triggers *t)
{
	return t->events;
}

int gt_triggers_new(const struct gt_triggers_config *config, struct gt_triggers **out)
{
	/* A place in the table, and in the map: two thirds full at most, doubled when it grows. */
	size_t each = sizeof(struct wait) + 4 * sizeof(struct gt_map_slot);
	struct gt_triggers *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	if (config->count > GT_TRIGGERS_MAX || !config->ticks_per_second) {
		free(t);
		return -EINVAL;
	}
	t->config = *config;
	t->config.list = NULL;
	t->interval_ticks = to_ticks(t, config->interval_ns);
	for (size_t i = 0; i < config->count; i++) {
		enum list_of which = list_of_kind(config->list[i].kind);

		t->triggers[i] = config->list[i];
		t->limit_ticks[i] = to_ticks(t, config->list[i].limit);
		if (which != LIST_NONE)
			t->lists_wanted[which] = true;
		t->counts |= config->list[i].kind == GT_TRIGGER_GOROUTINES;
		t->events |= which != LIST_NONE || config->list[i].kind == GT_TRIGGER_GOROUTINES;
	}
	t->wait_max = config->bytes_max / each > UINT32_MAX / 2 ? UINT32_MAX / 2 : (uint32_t)(config->bytes_max / each);
	if (t->wait_max < WAITS_MIN)
		t->wait_max = WAITS_MIN;
	t->waits = t->events ? calloc(t->wait_max, sizeof(*t->waits)) : NULL;
	if (t->events && !t->waits) {
		free(t);
		return -ENOMEM;
	}
	forget_all(t);
	*out = t;
	return 0;
}

void gt_triggers_free(struct gt_triggers *t)
{
	if (!t)
		return;
	gt_map_free(&t->map);
	gt_map_free(&t->names);
	free(t->waits);
	free(t->buffer);
	free(t->scratch);
	free(t);
}

void gt_triggers_totals(const struct gt_triggers *t, struct gt_triggers_totals *out)
{
	*out = t->totals;
}
