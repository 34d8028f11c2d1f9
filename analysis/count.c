/* count.c - what is counted, and under what name: sums, histograms, groups of goroutines, sites, objects. */
#include "analysis/state.h"

#include "format/convert/wrapper.h"

#include <stdlib.h>
#include <string.h>

void *gt__made(struct gt_analysis *a, struct gt__map *map, uint64_t key, size_t size)
{
	void *value = calloc(1, size);

	if (value && gt__map_put(map, key, value) >= 0)
		return value;
	free(value);
	a->failed = true;
	return NULL;
}

void gt__stat_add(struct gt__stat *stat, int64_t ns, int64_t at_ns, uint64_t g)
{
	stat->count++;
	GT__ADD(stat->total_ns, ns);
	if (ns > stat->max_ns || stat->count == 1) {
		stat->max_ns = ns;
		stat->max_at_ns = at_ns;
		stat->max_g = g;
	}
}

/* ---- histogram: values below 64 exactly, above it 64 steps an octave ---- */

static size_t hist_index(uint64_t ns)
{
	unsigned int shift;

	if (ns < GT__HIST_SUB)
		return (size_t)ns;
	shift = 63u - (unsigned int)__builtin_clzll(ns) - 6;
	return (size_t)(shift + 1) * GT__HIST_SUB + (size_t)((ns >> shift) - GT__HIST_SUB);
}

/* The greatest value of a step. */
static int64_t hist_value(size_t index)
{
	size_t shift;

	if (index < GT__HIST_SUB)
		return (int64_t)index;
	shift = index / GT__HIST_SUB - 1;
	return (int64_t)(((index % GT__HIST_SUB + GT__HIST_SUB + 1) << shift) - 1);
}

void gt__hist_add(struct gt__hist *hist, int64_t ns, int64_t at_ns, uint64_t g)
{
	size_t index = hist_index(ns > 0 ? (uint64_t)ns : 0);

	hist->counts[index < GT__HIST_SIZE ? index : GT__HIST_SIZE - 1]++;
	gt__stat_add(&hist->all, ns, at_ns, g);
}

int64_t gt__hist_quantile(const struct gt__hist *hist, double q)
{
	uint64_t rank = (uint64_t)(q * (double)hist->all.count), seen = 0;

	for (size_t i = 0; i < GT__HIST_SIZE; i++) {
		seen += hist->counts[i];
		if (seen > rank)
			return hist_value(i) < hist->all.max_ns ? hist_value(i) : hist->all.max_ns;
	}
	return hist->all.max_ns;
}

/* ---- what is counted ---- */

int64_t gt__span_ns(const struct gt_analysis *a)
{
	return a->end_ns > a->begin_ns ? a->end_ns - a->begin_ns : 0;
}

uint64_t gt__procs(const struct gt_analysis *a)
{
	return a->procs ? a->procs : a->slots_seen;
}

struct gt__goroutine *gt__goroutine_of(const struct gt_analysis *a, uint64_t g)
{
	struct gt__row *row = gt__ids_get(&a->rows.goroutines, g);

	return row ? row->user : NULL;
}

const char *gt__intern(struct gt_analysis *a, const char *text)
{
	uint64_t id = 0;

	if (gt_strings_intern(&a->names, text, strlen(text), &id) < 0)
		return "(no memory)";
	return gt_strings_get(&a->names, id, NULL);
}

static struct gt__group *group_new(struct gt_analysis *a, const char *name)
{
	struct gt__group *group, **groups;

	if ((a->group_count & (a->group_count - 1)) == 0) {
		size_t room = a->group_count ? a->group_count * 2 : 16;

		groups = realloc(a->groups, room * sizeof(*groups));
		if (!groups)
			return NULL;
		a->groups = groups;
	}
	group = calloc(1, sizeof(*group));
	if (!group)
		return NULL;
	group->name = group->shown = gt__intern(a, name);
	group->index = (uint32_t)a->group_count;
	group->system = gt__system_function(a, group->name);
	group->wrapper = gt__is_wrapper(group->name);
	a->groups[a->group_count++] = group;
	return group;
}

struct gt__group *gt__group_named(struct gt_analysis *a, const char *name)
{
	struct gt__group *group;
	uint64_t id = 0;

	if (a->group_count >= GT__GROUPS_MAX)
		name = "(others)";
	if (gt_strings_intern(&a->names, name, strlen(name), &id) < 0)
		return NULL;
	group = gt__map_get(&a->groups_by_name, id);
	if (group)
		return group;
	group = group_new(a, name);
	return group && gt__map_put(&a->groups_by_name, id, group) == 0 ? group : NULL;
}

struct gt__group *gt__group_of(struct gt_analysis *a, uint64_t start_pc)
{
	struct gt__group *group = gt__map_get(&a->groups_by_pc, start_pc);
	const char *name = start_pc ? gt_trace_function(a->trace, start_pc) : NULL;
	char hex[32];

	if (group)
		return group;
	if (start_pc && (!name || !*name)) {
		snprintf(hex, sizeof(hex), "0x%llx", (unsigned long long)start_pc);
		name = hex;
	}
	group = gt__group_named(a, name ? name : "(unknown)");
	if (!group)
		return NULL;
	if (a->groups_by_pc.count < 4 * GT__GROUPS_MAX && gt__map_put(&a->groups_by_pc, start_pc, group) < 0)
		return NULL;
	if (!group->start_pc)
		group->start_pc = start_pc;
	return group;
}

/* Only in text: an import path's last part tells enough. */
const char *gt__short(const char *function)
{
	const char *base = function;

	for (const char *at = function; *at && *at != '(' && *at != '['; at++)
		if (*at == '/')
			base = at + 1;
	return base;
}

static bool lock_reason(unsigned int reason)
{
	return reason == GT_REASON_SYNC_MUTEX_LOCK || reason == GT_REASON_SYNC_RWMUTEX_LOCK ||
	       reason == GT_REASON_SYNC_RWMUTEX_RLOCK;
}

static uint8_t class_of(const struct gt_analysis *a, unsigned int reason, uint64_t stack, unsigned int what)
{
	if (lock_reason(reason) || what == GT_OBJECT_MUTEX || what == GT_OBJECT_RWMUTEX)
		return GT__WAIT_LOCK;
	switch (reason) {
	case GT_REASON_SEMACQUIRE: /* before Go 1.20 a mutex has no reason of its own */
	case GT_REASON_SYNC:       /* nor for Go's own tracer */
		return gt__stack_has(a, stack, "sync.(*Mutex)") || gt__stack_has(a, stack, "sync.(*RWMutex)")
			       ? GT__WAIT_LOCK
			       : GT__WAIT_SYNC;
	case GT_REASON_CHAN_SEND:
	case GT_REASON_SYNCTEST_SEND:
		return GT__WAIT_SEND;
	case GT_REASON_CHAN_RECEIVE:
	case GT_REASON_SYNCTEST_RECEIVE:
		return GT__WAIT_RECEIVE;
	case GT_REASON_SELECT:
	case GT_REASON_SYNCTEST_SELECT:
		return GT__WAIT_SELECT;
	case GT_REASON_SYNC_COND_WAIT:
	case GT_REASON_SYNC_WAITGROUP_WAIT:
	case GT_REASON_SYNCTEST_WAITGROUP:
	case GT_REASON_SYNCTEST_RUN:
	case GT_REASON_SYNCTEST_WAIT:
	case GT_REASON_SYNCTEST:
	case GT_REASON_COROUTINE:
		return GT__WAIT_SYNC;
	case GT_REASON_IO_WAIT:
		return GT__WAIT_NETWORK;
	case GT_REASON_SLEEP:
		return GT__WAIT_SLEEP;
	case GT_REASON_CHAN_RECEIVE_NIL:
	case GT_REASON_CHAN_SEND_NIL:
	case GT_REASON_SELECT_NO_CASES:
	case GT_REASON_FOREVER:
		return GT__WAIT_NEVER;
	case GT_REASON_GC_ASSIST_MARKING:
	case GT_REASON_GC_ASSIST_WAIT:
	case GT_REASON_WAIT_FOR_GC_CYCLE:
	case GT_REASON_GARBAGE_COLLECTION:
	case GT_REASON_GC_SCAN:
	case GT_REASON_GC_MARK_TERMINATION:
	case GT_REASON_STOPPING_THE_WORLD:
	case GT_REASON_GC_WEAK_TO_STRONG:
	case GT_REASON_FLUSH_PROC_CACHES:
		return GT__WAIT_GC;
	default:
		return GT__WAIT_OTHER;
	}
}

struct gt__site *gt__site_of(struct gt_analysis *a, struct gt__group *group, unsigned int state, unsigned int reason,
	uint64_t stack, unsigned int what)
{
	uint64_t key = stack << 28 ^ (uint64_t)group->index << 12 ^ (uint64_t)(reason & 0x7f) << 4 ^ (state & 0xf);
	struct gt__site *site = gt__map_get(&a->sites, key);

	if (site)
		return site;
	if (a->site_count >= GT__SITES_MAX) {
		key = UINT64_MAX ^ ((uint64_t)(reason & 0x7f) << 4 ^ (state & 0xf));
		stack = 0;
		site = gt__map_get(&a->sites, key);
		if (site)
			return site;
	}
	site = gt__made(a, &a->sites, key, sizeof(*site));
	if (!site)
		return NULL;
	a->site_count++;
	site->state = (uint8_t)state;
	site->reason = (uint8_t)reason;
	site->stack = stack;
	site->group = group;
	site->what = (uint8_t)what;
	site->class = state == GT_STATE_WAITING ? class_of(a, reason, stack, what) : GT__WAIT_OTHER;
	return site;
}

struct gt__site *gt__wait_site(struct gt_analysis *a, const struct gt__goroutine *gor, const struct gt__slice *slice)
{
	return gt__site_of(a, gor->group, GT_STATE_WAITING, slice->reason, slice->stack, slice->what);
}

void gt__count_object(struct gt_analysis *a, const struct gt__slice *slice, int64_t ns, uint64_t g)
{
	uint64_t key = (uint64_t)slice->what << 56 ^ slice->object;
	struct gt__object *object;
	char name[GT_TRACE_OBJECT_BYTES];

	if (!gt_object_is_address(slice->what) && slice->what != GT_OBJECT_FD_READ &&
		slice->what != GT_OBJECT_FD_WRITE && slice->what != GT_OBJECT_FD_ACCEPT &&
		slice->what != GT_OBJECT_FD_CONNECT)
		return;
	object = gt__map_get(&a->objects, key);
	if (!object) {
		if (a->object_count >= GT__OBJECTS_CAP)
			return;
		object = gt__made(a, &a->objects, key, sizeof(*object));
		if (!object)
			return;
		a->object_count++;
		object->what = slice->what;
		object->object = slice->object;
		object->name = strdup(gt__object_text(a, slice->what, slice->object, name));
	}
	gt__stat_add(&object->waits, ns, slice->since_ns, g);
	if (object->waits.max_g == g && object->waits.max_ns == ns)
		object->worst_holder = slice->holder;
}

/* ---- order: what is largest first, and the same each time: maps have theirs anew in each run ---- */

int gt__by_site(const void *x, const void *y)
{
	const struct gt__site *a = *(struct gt__site *const *)x, *b = *(struct gt__site *const *)y;
	int64_t left = gt__sum(a->done.total_ns, a->open.total_ns), right = gt__sum(b->done.total_ns, b->open.total_ns);

	if (left != right)
		return left < right ? 1 : -1;
	if (a->stack != b->stack)
		return a->stack < b->stack ? -1 : 1;
	if (a->group->index != b->group->index)
		return a->group->index < b->group->index ? -1 : 1;
	if (a->state != b->state)
		return a->state - b->state;
	if (a->reason != b->reason)
		return a->reason - b->reason;
	return a->class != b->class ? a->class - b->class : a->what - b->what;
}

int gt__by_object(const void *x, const void *y)
{
	const struct gt__object *a = *(struct gt__object *const *)x, *b = *(struct gt__object *const *)y;

	if (a->waits.total_ns != b->waits.total_ns)
		return a->waits.total_ns < b->waits.total_ns ? 1 : -1;
	if (a->object != b->object)
		return a->object < b->object ? -1 : 1;
	return a->what - b->what;
}

int gt__by_weight(const void *x, const void *y)
{
	const struct gt__alloc *a = *(struct gt__alloc *const *)x, *b = *(struct gt__alloc *const *)y;

	if (a->weight != b->weight)
		return a->weight < b->weight ? 1 : -1;
	return a->key < b->key ? -1 : a->key > b->key;
}

void *gt__sorted(const struct gt__map *map, int (*order)(const void *x, const void *y))
{
	void **sorted = malloc((map->count + 1) * sizeof(*sorted));
	size_t at = 0;

	for (size_t i = 0; sorted && i < map->count; i++)
		sorted[i] = gt__map_each(map, &at);
	if (sorted && map->count)
		qsort(sorted, map->count, sizeof(*sorted), order);
	return sorted;
}
