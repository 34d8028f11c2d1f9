/*
 * select.c - waits on many channels, does exactly one case.
 *
 *   1. with all channels locked, look at the cases in an order of chance: the first that can go, goes;
 *   2. none can: stand in the queue of each, sleep; the last thing before it sleeps is to give all locks back;
 *   3. woken: with all channels locked again, leave the queues of those that did not win.
 *
 * Locks are taken in the order of the channels' addresses, so that two selects never wait for each other. A channel that stands in
 * several cases is locked once. Wakers on different channels race for gt__wait.won: one wins, the others
 * go on to the next waiter. Nobody looks at a waiter without its channel's lock, so after 3 the memory is free.
 */
#include "runtime/chan.h"

#include <gtrace/hooks.h>

#include <stdlib.h>

#define CASES_MAX   65536
#define CASES_SMALL 8
/* Channels that one wait tells the trace of: docs/format.md. */
#define OBJECTS_TOLD 8

/* One for each case that has a channel. */
struct place {
	uint32_t poll;            /* index into the cases, in the order of chance */
	uint32_t lock;            /* index into the cases, in the order of addresses */
	struct gt__waiter waiter; /* of the case `lock` */
};

struct selection {
	struct gt_case *cases;
	struct place *places;
	size_t count; /* of places */
};

static struct gt__chan *locked_chan(const struct selection *s, size_t i)
{
	return s->cases[s->places[i].lock].chan;
}

static void lock_all(struct selection *s)
{
	struct gt__chan *last = NULL;

	for (size_t i = 0; i < s->count; i++) {
		struct gt__chan *c = locked_chan(s, i);

		if (c != last)
			gt__lock(&c->lock);
		last = c;
	}
}

/* N.B. when this runs as the last step of sleeping, a waker may be at work on a channel as soon as that one is unlocked. The goroutine
 * itself cannot get beyond lock_all before the last unlock, which is the last access here. */
static void unlock_all(struct selection *s)
{
	for (size_t i = s->count; i-- > 0;) {
		struct gt__chan *c = locked_chan(s, i);

		if (i == 0 || locked_chan(s, i - 1) != c)
			gt__unlock(&c->lock);
	}
}

static void unlock_parked(void *arg)
{
	unlock_all(arg);
}

static bool below(const struct selection *s, size_t a, size_t b)
{
	return (uintptr_t)locked_chan(s, a) < (uintptr_t)locked_chan(s, b);
}

static void swap_locks(struct selection *s, size_t a, size_t b)
{
	uint32_t lock = s->places[a].lock;

	s->places[a].lock = s->places[b].lock;
	s->places[b].lock = lock;
}

static void sift_down(struct selection *s, size_t at, size_t count)
{
	for (size_t child; (child = 2 * at + 1) < count; at = child) {
		if (child + 1 < count && below(s, child, child + 1))
			child++;
		if (!below(s, at, child))
			return;
		swap_locks(s, at, child);
	}
}

/* Heap sort: no recursion, and n log n for 65536 cases too. */
static void sort_locks(struct selection *s)
{
	for (size_t i = s->count / 2; i-- > 0;)
		sift_down(s, i, s->count);
	for (size_t i = s->count; i-- > 1;) {
		swap_locks(s, 0, i);
		sift_down(s, 0, i);
	}
}

/* Fills the places: cases without a channel are left out. */
static void arrange(struct selection *s, size_t case_count)
{
	for (size_t i = 0; i < case_count; i++) {
		size_t at;

		if (s->cases[i].kind == GT__CASE_DEFAULT || !s->cases[i].chan)
			continue;
		at = gt__random_below((uint32_t)s->count + 1);
		s->places[s->count].poll = s->places[at].poll;
		s->places[at].poll = (uint32_t)i;
		s->places[s->count].lock = (uint32_t)i;
		s->count++;
	}
	sort_locks(s);
}

static void tell_ok(const struct gt_case *one, bool ok)
{
	if (one->kind == GT__CASE_RECV && one->ok)
		*one->ok = ok;
}

enum polled { NOTHING, DID, SEND_ON_CLOSED };

static enum polled poll_one(const struct gt_case *one, struct gt__waiter **wake, bool *ok)
{
	if (one->kind == GT__CASE_RECV)
		return gt__chan_recv_locked(one->chan, one->value, wake, ok) ? DID : NOTHING;
	if (atomic_load_explicit(&one->chan->closed, memory_order_relaxed))
		return SEND_ON_CLOSED;
	return gt__chan_send_locked(one->chan, one->value, wake) ? DID : NOTHING;
}

/* With all locked; gives the locks back when a case went. SIZE_MAX: none can go. */
static size_t poll_all(struct selection *s)
{
	for (size_t i = 0; i < s->count; i++) {
		size_t index = s->places[i].poll;
		struct gt__waiter *wake = NULL;
		bool ok = false;
		enum polled polled = poll_one(&s->cases[index], &wake, &ok);

		if (polled == NOTHING)
			continue;
		unlock_all(s);
		if (polled == SEND_ON_CLOSED)
			gt__panic("send on closed channel");
		tell_ok(&s->cases[index], ok);
		if (wake)
			gt__ready(wake->wait->g);
		return index;
	}
	return SIZE_MAX;
}

/* With all locked. A channel in several cases stands once. */
static void tell_objects(struct selection *s, struct gt_g *g)
{
	size_t count = 0;

	if (!gt_hooks_on_for(GT_SET_OBJECTS))
		return;
	for (size_t i = 0; i < s->count; i++) {
		struct gt__chan *c = locked_chan(s, i);

		if (i && locked_chan(s, i - 1) == c)
			continue;
		if (count++ < OBJECTS_TOLD)
			gt_hook_object(g->id, gt__chan_object(c), 0);
	}
	gt__waits_on(g, GT_OBJECT_SELECT, count, 0);
}

static size_t sleep_and_leave(struct selection *s)
{
	struct gt__wait wait = {.g = gt__self()};
	size_t won = SIZE_MAX;
	bool success = false;

	for (size_t i = 0; i < s->count; i++) {
		struct gt_case *one = &s->cases[s->places[i].lock];
		struct gt__waiter *w = &s->places[i].waiter;

		*w = (struct gt__waiter){.wait = &wait, .value = one->value, .in_select = true};
		gt__waitq_add(one->kind == GT__CASE_SEND ? &one->chan->senders : &one->chan->receivers, w);
	}
	tell_objects(s, wait.g);
	gt__park(unlock_parked, s, GT_REASON_SELECT);
	lock_all(s);
	for (size_t i = 0; i < s->count; i++) {
		struct gt_case *one = &s->cases[s->places[i].lock];
		struct gt__waiter *w = &s->places[i].waiter;

		if (w == wait.fired) {
			won = s->places[i].lock;
			success = w->success;
		} else {
			gt__waitq_remove(one->kind == GT__CASE_SEND ? &one->chan->senders : &one->chan->receivers, w);
		}
	}
	unlock_all(s);
	if (s->cases[won].kind == GT__CASE_SEND && !success)
		gt__panic("send on closed channel");
	tell_ok(&s->cases[won], success);
	return won;
}

static size_t select_many(struct gt_case *cases, size_t count, size_t default_index, struct place *places)
{
	struct selection s = {cases, places, 0};
	size_t index;

	arrange(&s, count);
	lock_all(&s);
	index = poll_all(&s);
	if (index != SIZE_MAX)
		return index;
	if (default_index != SIZE_MAX) {
		unlock_all(&s);
		return default_index;
	}
	return sleep_and_leave(&s);
}

/* One channel and nothing else is the plain operation, and waits under its reason; so it is in Go. */
static size_t select_one(const struct gt_case *one)
{
	if (one->kind == GT__CASE_SEND)
		gt__chan_send(one->chan, one->value);
	else
		tell_ok(one, gt__chan_recv(one->chan, one->value));
	return 0;
}

/* One channel and a default. Both take the index in the array of two. */
static size_t select_try(const struct gt_case *cases, size_t default_index)
{
	const struct gt_case *one = &cases[1 - default_index];
	enum gt_try tried;

	if (one->kind == GT__CASE_SEND)
		return gt__chan_try_send(one->chan, one->value) ? 1 - default_index : default_index;
	tried = gt__chan_try_recv(one->chan, one->value);
	if (tried == GT_NOT_READY)
		return default_index;
	tell_ok(one, tried == GT_DONE);
	return 1 - default_index;
}

size_t gt_select_n(struct gt_case *cases, size_t count)
{
	struct place small[CASES_SMALL];
	size_t default_index = SIZE_MAX;
	size_t channels = 0;
	struct place *places;
	size_t index;

	if (count > CASES_MAX)
		gt__panic("select: too many cases (max 65536)");
	for (size_t i = 0; i < count; i++) {
		if (cases[i].kind == GT__CASE_DEFAULT && default_index != SIZE_MAX)
			gt__panic("select: multiple default cases");
		if (cases[i].kind == GT__CASE_DEFAULT)
			default_index = i;
		else
			channels += cases[i].chan != NULL;
	}
	if (count == 1 && default_index == SIZE_MAX)
		return select_one(cases);
	if (count == 2 && default_index != SIZE_MAX)
		return select_try(cases, default_index);
	gt__checkpoint();
	if (!channels && default_index != SIZE_MAX)
		return default_index;
	if (!channels) {
		gt__park(NULL, NULL, count ? GT_REASON_SELECT : GT_REASON_SELECT_NO_CASES);
		__builtin_unreachable();
	}
	if (channels <= CASES_SMALL)
		return select_many(cases, count, default_index, small);
	places = malloc(channels * sizeof *places);
	if (!places)
		gt__fatal("out of memory: a select's cases");
	index = select_many(cases, count, default_index, places);
	free(places);
	return index;
}
