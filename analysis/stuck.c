/*
 * stuck.c - who waits at the trace's end for what will not come.
 *
 * To wait is no fault: most goroutines of a healthy program do nothing else. A wait that lasts to the end is told as a finding only
 * with evidence against it: holders that wait for each other; a nil channel; a send that nobody takes, for longer than ever before; many of
 * one kind that were made over time and all ended up at one place; one that left the place where it used to wait, or for whom another waits
 * that it always served.
 */
#include "analysis/state.h"

#include <stdlib.h>
#include <string.h>

#define CYCLE_MAX 32u
/* So many at one place, made over at least a quarter of the time: they leak. */
#define LEAK_COUNT 8u

/* Those who wait at one site at the end. */
struct place {
	struct gt__site *site;
	uint64_t count, odd; /* odd: for longer than was ever normal here */
	int64_t odd_ns;
	int64_t first_ns, last_ns; /* when the odd ones were made */
	uint64_t strays, victims;  /* of strays: left their usual place; victims: wait for those */
	int64_t stray_ns, victim_ns;
	const struct gt__goroutine *worst, *stray, *victim;
	int64_t worst_ns;
};

struct stuck {
	struct gt_analysis *a;
	struct gt__map places;
	int64_t end_ns, span_ns;
};

static int64_t waited(const struct stuck *s, const struct gt__goroutine *gor)
{
	return s->end_ns - gor->row->open.since_ns;
}

static bool waits(const struct gt__goroutine *gor)
{
	return gor && gor->row->open.state == GT_STATE_WAITING && !gor->group->system;
}

static struct place *place_of(struct stuck *s, struct gt__site *site)
{
	struct place *place = gt__map_get(&s->places, (uintptr_t)site);

	if (place)
		return place;
	place = calloc(1, sizeof(*place));
	if (!place || gt__map_put(&s->places, (uintptr_t)site, place) < 0) {
		free(place);
		return NULL;
	}
	place->site = site;
	return place;
}

/* Where it waits now is not where it waits as a rule. */
static bool strayed(const struct gt__goroutine *gor, const struct gt__site *site)
{
	return !gor->main && gor->usual && gor->usual != site;
}

static bool odd(const struct stuck *s, const struct gt__site *site, int64_t ns)
{
	return ns > 2 * site->done.max_ns && ns > s->span_ns / 20;
}

static bool may_stick(unsigned int class)
{
	return class == GT__WAIT_SEND || class == GT__WAIT_RECEIVE || class == GT__WAIT_SELECT ||
	       class == GT__WAIT_SYNC || class == GT__WAIT_NEVER;
}

static void look_at(struct stuck *s, struct gt__goroutine *gor)
{
	struct gt__site *site = gt__wait_site(s->a, gor, &gor->row->open);
	struct gt__slice open = gor->row->open;
	int64_t ns = waited(s, gor);
	struct place *place;

	if (!site || ns <= 0)
		return;
	/* A channel has no holder; a lock's may be known. */
	gt__blame_wait(s->a, gor, site, &open, s->end_ns, site->class == GT__WAIT_LOCK ? open.holder : 0, true);
	if (!may_stick(site->class) || !(place = place_of(s, site)))
		return;
	place->count++;
	if (site->class != GT__WAIT_NEVER && !odd(s, site, ns))
		return;
	if (!place->odd++ || gor->begin_ns < place->first_ns)
		place->first_ns = gor->begin_ns;
	if (gor->begin_ns > place->last_ns)
		place->last_ns = gor->begin_ns;
	GT__ADD(place->odd_ns, ns);
	if (ns > place->worst_ns) {
		place->worst_ns = ns;
		place->worst = gor;
	}
	if (strayed(gor, site) && gor->usual_count >= 3 && !site->done.count) {
		place->strays++;
		GT__ADD(place->stray_ns, ns);
		place->stray = gor;
	}
}

/* @gor waits where it always was woken by the same one, which waits now itself, at an unusual place. */
static void look_for_server(struct stuck *s, const struct gt__goroutine *gor)
{
	const struct gt__site *site = gt__wait_site(s->a, gor, &gor->row->open), *where;
	const struct gt__goroutine *server = gor->last_waker ? gt__goroutine_of(s->a, gor->last_waker) : NULL;
	struct place *place;

	if (!site || site != gor->last_site || !waits(server) || server == gor)
		return;
	where = gt__wait_site(s->a, server, &server->row->open);
	if (!where || !strayed(server, where) || !odd(s, where, waited(s, server)) || !may_stick(where->class))
		return;
	place = place_of(s, (struct gt__site *)(uintptr_t)where);
	if (!place)
		return;
	if (!place->strays) {
		place->strays = 1;
		place->stray = server;
		place->stray_ns = waited(s, server);
	}
	place->victims++;
	GT__ADD(place->victim_ns, waited(s, gor));
	place->victim = gor;
}

/* ---- holders that wait for each other ---- */

static const struct gt__goroutine *holder_of(const struct stuck *s, const struct gt__goroutine *gor)
{
	const struct gt__goroutine *holder;

	if (!waits(gor) || !gor->row->open.holder)
		return NULL;
	holder = gt__goroutine_of(s->a, gor->row->open.holder);
	return holder && waits(holder) ? holder : NULL;
}

/* Does the way from @gor along the holders come to one of @cycle? */
static bool leads_to(
	const struct stuck *s, const struct gt__goroutine *gor, const struct gt__goroutine *const *cycle, size_t length)
{
	for (unsigned int steps = 0; gor && steps < CYCLE_MAX; steps++, gor = holder_of(s, gor))
		for (size_t i = 0; i < length; i++)
			if (cycle[i] == gor)
				return true;
	return false;
}

static void take_from_blame(struct stuck *s, const struct gt__goroutine *gor)
{
	const struct gt__slice *open = &gor->row->open;
	struct gt__blame *blame;
	size_t at = 0;

	while ((blame = gt__map_each(&s->a->blames, &at)))
		if (blame->kind == GT__BLAME_LOCK && blame->object == open->object && blame->what == open->what &&
			open->object)
			GT__ADD(blame->taken_ns, waited(s, gor));
}

static void tell_cycle(struct stuck *s, const struct gt__goroutine *const *cycle, size_t length)
{
	struct gt_analysis *a = s->a;
	const struct gt__goroutine *gor, *last = cycle[0];
	struct gt__finding *finding;
	struct gt__row *row;
	uint64_t others = 0;
	int64_t lost = 0;
	size_t at = 0, size;
	char *text = NULL, name[GT_TRACE_OBJECT_BYTES], stack[400];
	FILE *out;

	while ((row = gt__ids_each(&a->rows.goroutines, &at))) {
		gor = row->user;
		if (!waits(gor) || !row->open.holder || !leads_to(s, gor, cycle, length))
			continue;
		GT__ADD(lost, waited(s, gor));
		others++;
		take_from_blame(s, gor);
	}
	finding = gt__finding_add(a, "deadlock", lost);
	out = finding ? open_memstream(&text, &size) : NULL;
	if (!out)
		return;
	for (size_t i = 0; i < length; i++) {
		gor = cycle[i];
		if (gor->row->open.since_ns > last->row->open.since_ns)
			last = gor;
		fprintf(out, "%sG%llu (%s) waits for %s, held by G%llu, in %s", i ? "\n" : "",
			(unsigned long long)gor->g, gt__short(gor->group->shown),
			gt__object_text(a, gor->row->open.what, gor->row->open.object, name),
			(unsigned long long)gor->row->open.holder,
			gt__stack_text(a, gor->row->open.stack, 3, stack, sizeof(stack)));
	}
	fclose(out);
	finding->detail = text;
	if (length == 1)
		finding->title = gt__format("deadlock: G%llu (%s) waits for a lock that it holds itself%s",
			(unsigned long long)cycle[0]->g, gt__short(cycle[0]->group->shown),
			others > length ? "; more wait behind it" : "");
	else
		finding->title = gt__format(
			"deadlock: %zu goroutines hold what each other waits for: G%llu (%s) and G%llu (%s)%s", length,
			(unsigned long long)cycle[0]->g, gt__short(cycle[0]->group->shown),
			(unsigned long long)cycle[1]->g, gt__short(cycle[1]->group->shown),
			others > length ? "; more wait behind them" : "");
	finding->count = others;
	finding->at_ns = last->row->open.since_ns; /* when the circle closed */
	finding->at_for_ns = waited(s, last);
	finding->g = last->g;
	finding->stack = last->row->open.stack;
	finding->stack_of = "waits in";
	finding->advice = "take the locks in one order everywhere";
}

static void find_cycles(struct stuck *s)
{
	const struct gt__goroutine *cycle[CYCLE_MAX], *at_g;
	struct gt__goroutine *gor;
	struct gt__row *row;
	size_t at = 0;
	uint8_t tell = 1;

	while ((row = gt__ids_each(&s->a->rows.goroutines, &at)) && tell) {
		size_t length = 0;

		gor = row->user;
		for (at_g = gor; gor && at_g && length < CYCLE_MAX; at_g = holder_of(s, at_g)) {
			if (length && at_g == gor)
				break;
			cycle[length++] = at_g;
		}
		/* Told once: by the member with the least id. */
		if (!length || at_g != gor || length == CYCLE_MAX)
			continue;
		for (size_t i = 1; i < length && gor; i++)
			if (cycle[i]->g < cycle[0]->g)
				gor = NULL;
		if (gor)
			tell_cycle(s, cycle, length);
		tell = s->a->finding_count < GT__FINDINGS_MAX;
	}
}

/* ---- places ---- */

static void fill(struct stuck *s, struct gt__finding *finding, const struct gt__goroutine *gor)
{
	finding->at_ns = gor->row->open.since_ns;
	finding->at_for_ns = waited(s, gor);
	finding->g = gor->g;
	finding->stack = gor->row->open.stack;
	finding->stack_of = "waits in";
}

static void tell_leak(struct stuck *s, const struct place *place, const char *where)
{
	const struct gt__site *site = place->site;
	struct gt__finding *finding = gt__finding_add(s->a, "leak", place->odd_ns);
	char first[32], last[32];

	if (!finding)
		return;
	finding->title = gt__format("%llu goroutines of %s leak: each waits for ever (%s) in %s",
		(unsigned long long)place->odd, gt__short(site->group->shown), gt_reason_text(site->reason), where);
	finding->detail = gt__format(
		"made between %s and %s; %llu of this function ended in the whole trace, %llu live at its end",
		gt__time(place->first_ns, first), gt__time(place->last_ns, last),
		(unsigned long long)site->group->ended, (unsigned long long)site->group->live);
	finding->count = place->odd;
	finding->advice = "give the wait a way out: a context, a time limit, a buffered channel";
	fill(s, finding, place->worst);
}

static void tell_stuck(struct stuck *s, const struct place *place, const char *where)
{
	const struct gt__site *site = place->site;
	const struct gt__goroutine *gor = place->strays ? place->stray : place->worst;
	struct gt__finding *finding;
	char object[GT_TRACE_OBJECT_BYTES] = "", time[32], more[64] = "";
	bool never = site->class == GT__WAIT_NEVER;

	finding = gt__finding_add(
		s->a, "stuck", gt__sum(place->strays ? place->stray_ns : place->odd_ns, place->victim_ns));
	if (!finding)
		return;
	if (gt_object_is_address(gor->row->open.what) && !never)
		gt__object_text(s->a, gor->row->open.what, gor->row->open.object, object);
	if (place->odd > 1)
		snprintf(more, sizeof(more), " (and %llu more)", (unsigned long long)place->odd - 1);
	finding->title = gt__format("G%llu (%s)%s is stuck in %s (%s%s%s) since %s: %s", (unsigned long long)gor->g,
		gt__short(gor->group->shown), more, where, gt_reason_text(site->reason), *object ? ", " : "", object,
		gt__time(gor->row->open.since_ns, time),
		never                          ? "nothing can ever wake it"
		: site->class == GT__WAIT_SEND ? "nobody receives"
		: place->victims               ? "others wait for it"
					       : "nobody comes");
	if (place->victim)
		finding->detail = gt__format("G%llu (%s), which it used to wake, waits for it, %llu such in all",
			(unsigned long long)place->victim->g, gt__short(place->victim->group->shown),
			(unsigned long long)place->victims);
	finding->count = (place->strays ? place->strays : place->odd) + place->victims;
	finding->advice = never ? "make the channel before it is used"
				: "look for who was to be the other side, and where it went";
	fill(s, finding, gor);
}

static const char *where_of(const struct stuck *s, const struct place *place)
{
	const char *where = gt__user_function(s->a, place->site->stack);

	return *where ? where : place->site->group->name;
}

/* What is told here is no slow reader's fault. */
static void take_sends(struct stuck *s, const struct place *place)
{
	struct gt__blame *blame;
	size_t at = 0;

	while ((blame = gt__map_each(&s->a->blames, &at)))
		if (blame->kind == GT__BLAME_SEND && blame->open && strcmp(blame->name, where_of(s, place)) == 0)
			GT__ADD(blame->taken_ns, blame->open_ns);
}

static void tell_place(struct stuck *s, const struct place *place)
{
	const struct gt__site *site = place->site;
	const char *where = gt__short(where_of(s, place));
	bool main = place->worst && place->worst->main;

	if (!place->worst)
		return;
	if (place->odd >= LEAK_COUNT && place->last_ns - place->first_ns >= s->span_ns / 4 &&
		site->done.count < place->odd)
		tell_leak(s, place, where);
	/* A main that sleeps for good while others work is usual. */
	else if (site->class == GT__WAIT_NEVER
			 ? !(main && (site->reason == GT_REASON_SELECT_NO_CASES || site->reason == GT_REASON_FOREVER))
			 : site->class == GT__WAIT_SEND || place->strays)
		tell_stuck(s, place, where);
	else
		return;
	if (site->class == GT__WAIT_SEND)
		take_sends(s, place);
}

void gt__find_stuck(struct gt_analysis *a)
{
	struct stuck s = {.a = a, .end_ns = a->rows.now_ns, .span_ns = gt__span_ns(a)};
	struct place *place;
	struct gt__row *row;
	size_t at = 0;

	while ((row = gt__ids_each(&a->rows.goroutines, &at)))
		if (waits(row->user))
			look_at(&s, row->user);
	for (at = 0; (row = gt__ids_each(&a->rows.goroutines, &at));)
		if (waits(row->user))
			look_for_server(&s, row->user);
	find_cycles(&s);
	for (at = 0; (place = gt__map_each(&s.places, &at));)
		tell_place(&s, place);
	for (at = 0; (place = gt__map_each(&s.places, &at));)
		free(place);
	gt__map_free(&s.places);
}
