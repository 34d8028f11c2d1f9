/* index.c - see index.h. */
#include "viewer/index.h"

#include "format/convert/rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUCKET          32
#define PROGRESS_EVENTS (1u << 18)
#define DEPTH_MAX       15
#define UNWRAP_SLICES   16
#define NO_ROW          UINT32_MAX

struct building {
	struct gt_index *index;
	const struct gt_index_config *config;
	struct gt__rows rows;
	int64_t count_due_ns;
	uint64_t heap, goal;
	bool failed;
};

/* ---- arrays that grow ---- */

static bool grow(struct gt_index *index, void *array, uint32_t *room, size_t each, uint32_t first)
{
	uint32_t more = *room ? *room + *room / 2 + 1 : first;
	void *grown;

	if (index->bytes_max && index->bytes + (more - *room) * each > index->bytes_max)
		return false;
	grown = realloc(*(void **)array, (size_t)more * each);
	if (!grown)
		return false;
	index->bytes += (more - *room) * each;
	*(void **)array = grown;
	*room = more;
	return true;
}

static uint32_t new_row(struct building *b, enum gt_index_kind kind, uint64_t id)
{
	struct gt_index *index = b->index;
	struct gt_index_row *row;

	if (index->row_count == index->row_room &&
		!grow(index, &index->rows, &index->row_room, sizeof(*index->rows), 256)) {
		b->failed = true;
		return NO_ROW;
	}
	if (gt_map_put(&index->by_id[kind], id, index->row_count) < 0) {
		b->failed = true;
		return NO_ROW;
	}
	index->bytes += 24;
	row = &index->rows[index->row_count];
	*row = (struct gt_index_row){.id = id, .kind = (uint8_t)kind, .born_ns = -1, .died_ns = -1};
	index->kinds[kind]++;
	return index->row_count++;
}

uint32_t gt_index_row_of(const struct gt_index *index, enum gt_index_kind kind, uint64_t id)
{
	const uint64_t *row = gt_map_find(&index->by_id[kind], id);

	return row ? (uint32_t)*row : NO_ROW;
}

static uint32_t need_row(struct building *b, enum gt_index_kind kind, uint64_t id)
{
	uint32_t row = gt_index_row_of(b->index, kind, id);

	return row == NO_ROW ? new_row(b, kind, id) : row;
}

static void add_slice(struct building *b, uint32_t at, const struct gt_index_slice *slice)
{
	struct gt_index *index = b->index;
	struct gt_index_slice *added;
	struct gt_index_row *row;

	if (at == NO_ROW)
		return;
	row = &index->rows[at];
	if (row->count == row->room && !grow(index, &row->slices, &row->room, sizeof(*row->slices), 4)) {
		b->failed = true;
		return;
	}
	added = &row->slices[row->count];
	*added = *slice;
	/* Slices of a row never overlap, whatever a file claims: all searches rest on that. */
	if (row->count && added->since_ns < added[-1].end_ns)
		added->since_ns = added[-1].end_ns;
	if (added->end_ns >= 0 && added->end_ns < added->since_ns)
		added->end_ns = added->since_ns;
	row->count++;
	if (added->state < GT_INDEX_STATES && added->end_ns >= 0)
		row->total_ns[added->state] += (uint64_t)(added->end_ns - added->since_ns);
	index->slices++;
}

/* ---- names ---- */

static uint32_t group_named(struct building *b, const char *name)
{
	struct gt_index *index = b->index;
	uint64_t id;

	if (!name || !*name)
		name = "?";
	if (gt_strings_intern(&index->functions, name, strlen(name), &id) < 0) {
		b->failed = true;
		return 0;
	}
	if (id > index->group_count) {
		if (index->group_count == index->group_room &&
			!grow(index, &index->groups, &index->group_room, sizeof(*index->groups), 16)) {
			b->failed = true;
			return 0;
		}
		index->groups[index->group_count++] =
			(struct gt_index_group){.function = gt_strings_get(&index->functions, id, NULL)};
	}
	return (uint32_t)(id - 1);
}

/* What @wrapper calls, by a stack; NULL when it is not there, or calls nothing. */
static const char *called_by(const struct gt_trace *trace, uint32_t stack_id, const char *wrapper)
{
	const struct gt_trace_stack *stack = gt_trace_stack(trace, stack_id);
	const char *called = NULL;

	for (uint32_t i = 0; stack && i < stack->count; i++) {
		const struct gt_trace_pc *pc = gt_trace_pc(trace, stack->pcs[i]);

		for (uint32_t j = 0; pc && j < pc->count; j++) {
			if (pc->lines[j].function && strcmp(pc->lines[j].function, wrapper) == 0)
				return called;
			called = pc->lines[j].function;
		}
	}
	return NULL;
}

/* Go puts a function of its own, NAME.gowrapN, around a go statement with arguments: the user knows the one inside. */
static void unwrap(struct building *b, struct gt_index_row *row)
{
	const char *name = b->index->groups[row->group].function, *inside = NULL;

	if (!strstr(name, ".gowrap"))
		return;
	for (uint32_t i = 0; i < row->count && i < UNWRAP_SLICES && !inside; i++)
		if (row->slices[i].stack)
			inside = called_by(b->index->trace, row->slices[i].stack, name);
	if (inside)
		row->group = group_named(b, inside);
}

static uint32_t object_of(struct building *b, const struct gt__slice *open)
{
	struct gt_index *index = b->index;
	const uint64_t words[3] = {open->what, open->object, open->holder};
	uint64_t hash;
	const uint64_t *known;

	if (!open->what)
		return 0;
	hash = gt_hash_bytes(words, sizeof(words));
	known = gt_map_find(&index->object_ids, hash);
	if (known)
		return (uint32_t)*known;
	if ((index->object_count == index->object_room &&
		    !grow(index, &index->objects, &index->object_room, sizeof(*index->objects), 64)) ||
		gt_map_put(&index->object_ids, hash, index->object_count) < 0) {
		b->failed = true;
		return 0;
	}
	index->objects[index->object_count] =
		(struct gt_index_object){.what = open->what, .object = open->object, .holder = open->holder};
	return index->object_count++;
}

/* ---- what rows.h tells ---- */

static void on_row(void *user, struct gt__row *row)
{
	static const enum gt_index_kind kinds[] = {
		[GT_ROW_GOROUTINE] = GT_INDEX_GOROUTINE, [GT_ROW_SLOT] = GT_INDEX_P, [GT_ROW_THREAD] = GT_INDEX_M};
	struct building *b = user;
	enum gt_index_kind kind = kinds[row->kind];
	uint32_t at = need_row(b, kind, kind == GT_INDEX_P ? row->id - 1 : row->id);
	const struct gt_trace_goroutine *known;

	row->number = at;
	if (kind != GT_INDEX_GOROUTINE || at == NO_ROW)
		return;
	known = gt_trace_goroutine(b->index->trace, row->id);
	if (known && !row->start_pc)
		row->start_pc = known->start_pc;
	if (known)
		b->index->rows[at].parent = known->parent;
	b->index->rows[at].group =
		group_named(b, row->start_pc ? gt_trace_function(b->index->trace, row->start_pc) : NULL);
}

static void note_latency(struct gt_index *index, int64_t ns)
{
	unsigned int bucket = ns > 0 ? 64u - (unsigned int)__builtin_clzll((unsigned long long)ns) : 0;

	index->latencies[bucket < GT_INDEX_LATENCIES ? bucket : GT_INDEX_LATENCIES - 1]++;
}

static void on_slice(void *user, const struct gt__row *row, int64_t end_ns)
{
	struct building *b = user;
	const struct gt__slice *open = &row->open;
	struct gt_index_slice slice = {
		.since_ns = open->since_ns,
		.end_ns = end_ns,
		.stack = open->stack <= UINT32_MAX ? (uint32_t)open->stack : 0,
		.p = open->p < UINT16_MAX ? (uint16_t)open->p : 0,
		.state = open->state,
		.reason = open->reason,
	};

	if (row->kind != GT_ROW_GOROUTINE) {
		slice.detail = gt_index_row_of(b->index, GT_INDEX_GOROUTINE, open->g);
	} else if (open->state == GT_STATE_WAITING) {
		slice.detail = object_of(b, open);
	} else if (open->state == GT_STATE_RUNNABLE) {
		slice.link = (uint32_t)open->link;
		note_latency(b->index, end_ns - open->since_ns);
	} else {
		slice.detail = (uint32_t)open->m;
		slice.link = open->state == GT_STATE_SYSCALL ? open->detail : 0;
	}
	add_slice(b, row->number, &slice);
}

static bool on_link(void *user, const struct gt__row *from, const struct gt__row *to, enum gt__link_kind kind,
	uint64_t link, int64_t now_ns, uint64_t site_pc)
{
	struct building *b = user;
	struct gt_index *index = b->index;

	(void)kind;
	(void)site_pc;
	while (index->wake_count <= link && link < UINT32_MAX) {
		if (index->wake_count == index->wake_room &&
			!grow(index, &index->wakes, &index->wake_room, sizeof(*index->wakes), 1024)) {
			b->failed = true;
			return false;
		}
		index->wakes[index->wake_count++] =
			(struct gt_index_wake){.at_ns = now_ns, .from = NO_ROW, .to = NO_ROW};
	}
	if (link >= index->wake_count)
		return false;
	index->wakes[link] = (struct gt_index_wake){.at_ns = now_ns, .from = from->number, .to = to->number};
	return true;
}

static void on_gone(void *user, struct gt__row *row)
{
	(void)user;
	(void)row;
}

/* ---- what is no row of theirs ---- */

/* The open span of a row stands at its end, with end_ns < 0. */
static void close_span(struct building *b, enum gt_index_kind kind, uint64_t id, int64_t now)
{
	uint32_t at = gt_index_row_of(b->index, kind, id);
	struct gt_index_row *row = at == NO_ROW ? NULL : &b->index->rows[at];
	struct gt_index_slice *last = row && row->count ? &row->slices[row->count - 1] : NULL;

	if (!last || last->end_ns >= 0)
		return;
	last->end_ns = now;
	row->total_ns[last->state] += (uint64_t)(now - last->since_ns);
}

static void open_span(struct building *b, enum gt_index_kind kind, uint64_t id, int64_t now, uint8_t state,
	uint32_t stack, uint32_t detail)
{
	const struct gt_index_slice slice = {
		.since_ns = now, .end_ns = -1, .stack = stack, .detail = detail, .state = state};

	close_span(b, kind, id, now);
	add_slice(b, need_row(b, kind, id), &slice);
}

static void region(struct building *b, const struct gt_event *event)
{
	uint32_t at = gt_index_row_of(b->index, GT_INDEX_GOROUTINE, event->args[0]);
	struct gt_index_row *row = at == NO_ROW ? NULL : &b->index->rows[at];

	if (!row)
		return;
	if (event->kind == GT_EV_REGION_BEGIN) {
		if (row->regions < DEPTH_MAX)
			open_span(b, GT_INDEX_REGION, event->args[0] << 4 | row->regions, event->time_ns,
				GT_STATE_RUNNING, (uint32_t)event->args[2], (uint32_t)event->args[1]);
		b->index->rows[at].regions++;
	} else if (row->regions) {
		row->regions--;
		if (row->regions < DEPTH_MAX)
			close_span(b, GT_INDEX_REGION, event->args[0] << 4 | row->regions, event->time_ns);
	}
}

static void other(struct building *b, const struct gt_event *event)
{
	struct gt_index *index = b->index;
	struct gt__row *row;
	uint32_t at;

	switch (event->kind) {
	case GT_EV_CPU_IN:
		open_span(
			b, GT_INDEX_CPU, event->args[1], event->time_ns, GT_STATE_RUNNING, 0, (uint32_t)event->args[0]);
		break;
	case GT_EV_CPU_OUT:
		close_span(b, GT_INDEX_CPU, event->args[1], event->time_ns);
		break;
	case GT_EV_THREAD_BEGIN:
		if (event->args[2] && gt_map_put(&index->threads, event->args[0], event->args[2]) < 0)
			b->failed = true;
		break;
	case GT_EV_GC_BEGIN:
		open_span(b, GT_INDEX_GC, 0, event->time_ns, GT_STATE_RUNNING, 0, (uint32_t)event->args[1]);
		break;
	case GT_EV_GC_END:
		close_span(b, GT_INDEX_GC, 0, event->time_ns);
		break;
	case GT_EV_STW_BEGIN:
		open_span(b, GT_INDEX_GC, 1, event->time_ns, GT_STATE_WAITING, (uint32_t)event->args[1], 0);
		break;
	case GT_EV_STW_END:
		close_span(b, GT_INDEX_GC, 1, event->time_ns);
		break;
	case GT_EV_REGION_BEGIN:
	case GT_EV_REGION_END:
		region(b, event);
		break;
	case GT_EV_HEAP:
		b->heap = event->args[0];
		break;
	case GT_EV_HEAP_GOAL:
		b->goal = event->args[0];
		break;
	case GT_EV_SYSCALL_INFO:
		/* The call that the goroutine's syscall is for. */
		row = event->args[0] ? gt__rows_goroutine(&b->rows, event->args[0]) : NULL;
		if (row && row->open.state == GT_STATE_SYSCALL)
			row->open.detail = (uint32_t)event->args[1] + 1;
		if (event->args[1] < GT_INDEX_CALLS)
			index->calls[event->args[1]] = true;
		break;
	case GT_EV_GO_CREATE:
		at = gt_index_row_of(index, GT_INDEX_GOROUTINE, event->args[0]);
		if (at != NO_ROW)
			index->rows[at].born_ns = event->time_ns;
		break;
	case GT_EV_GO_END:
		at = gt_index_row_of(index, GT_INDEX_GOROUTINE, event->args[0]);
		if (at != NO_ROW)
			index->rows[at].died_ns = event->time_ns;
		break;
	default:
		break;
	}
}

/* ---- counters ---- */

/* Every second one goes, and only half as many come from here on. */
static void thin_counts(struct gt_index *index)
{
	for (uint32_t i = 0; i < index->count_count / 2; i++)
		index->counts[i] = index->counts[2 * i];
	index->count_count /= 2;
	index->count_step_ns = index->count_step_ns ? 2 * index->count_step_ns : 1000;
}

static void count(struct building *b, int64_t now)
{
	struct gt_index *index = b->index;
	struct gt_index_count *out;

	if (now < b->count_due_ns)
		return;
	if (index->count_count == GT_INDEX_COUNTS_MAX)
		thin_counts(index);
	out = &index->counts[index->count_count++];
	out->at_ns = now;
	for (unsigned int i = 0; i < GT_INDEX_STATES; i++)
		out->by_state[i] = (uint32_t)b->rows.counts[i];
	out->heap = b->heap;
	out->goal = b->goal;
	b->count_due_ns = now + (index->count_step_ns ? index->count_step_ns : 1);
}

/* ---- the whole ---- */

static bool sum_row(struct gt_index *index, struct gt_index_row *row)
{
	uint64_t sums[GT_INDEX_STATES - 1] = {0};

	if (row->count <= 2 * BUCKET)
		return true;
	row->sums = malloc(((size_t)row->count / BUCKET + 1) * sizeof(*row->sums));
	if (!row->sums)
		return false;
	index->bytes += ((size_t)row->count / BUCKET + 1) * sizeof(*row->sums);
	for (uint32_t i = 0; i < row->count; i++) {
		const struct gt_index_slice *slice = &row->slices[i];

		if (i % BUCKET == 0)
			memcpy(row->sums[i / BUCKET], sums, sizeof(sums));
		if (slice->state >= 1 && slice->state < GT_INDEX_STATES)
			sums[slice->state - 1] += (uint64_t)(slice->end_ns - slice->since_ns);
	}
	return true;
}

static void finish_rows(struct building *b)
{
	struct gt_index *index = b->index;

	for (uint32_t i = 0; i < index->row_count; i++) {
		struct gt_index_row *row = &index->rows[i];

		if (row->count && row->slices[row->count - 1].end_ns < 0) {
			row->slices[row->count - 1].end_ns = index->span_ns;
			row->total_ns[row->slices[row->count - 1].state] +=
				(uint64_t)(index->span_ns - row->slices[row->count - 1].since_ns);
		}
		if (row->kind == GT_INDEX_GOROUTINE) {
			struct gt_index_group *group;

			unwrap(b, row);
			group = &index->groups[row->group];
			group->rows++;
			for (unsigned int state = 0; state < GT_INDEX_STATES; state++)
				group->total_ns[state] += row->total_ns[state];
		}
		if (!sum_row(index, row))
			b->failed = true;
	}
}

static bool read_all(struct building *b)
{
	struct gt_index *index = b->index;
	struct gt_trace_info info;
	struct gt_event event;

	while (!b->failed && gt_trace_next(index->trace, &event) > 0) {
		if (!index->events) {
			gt_trace_info(index->trace, &info);
			if (info.complete_ns > 0)
				b->rows.edge_ns = info.complete_ns;
		}
		if (gt__rows_event(&b->rows, &event) < 0)
			return false;
		other(b, &event);
		count(b, event.time_ns);
		index->span_ns = event.time_ns > index->span_ns ? event.time_ns : index->span_ns;
		if (++index->events % PROGRESS_EVENTS == 0 && b->config && b->config->progress)
			b->config->progress(b->config->progress_user, index->events);
	}
	return !b->failed;
}

int gt_index_build(
	struct gt_trace *trace, const struct gt_index_config *config, struct gt_index **out, struct gt_error *err)
{
	struct gt_index *index = calloc(1, sizeof(*index));
	struct building b = {.index = index, .config = config};
	struct gt__rows_user user = {&b, on_row, on_slice, on_link, on_gone};
	bool good;

	if (!index)
		return gt_fail(err, ENOMEM, "out of memory: the viewer's index");
	index->trace = trace;
	index->bytes_max = config ? config->bytes_max : 0;
	index->counts = malloc(GT_INDEX_COUNTS_MAX * sizeof(*index->counts));
	good = index->counts && grow(index, &index->wakes, &index->wake_room, sizeof(*index->wakes), 1024) &&
	       grow(index, &index->objects, &index->object_room, sizeof(*index->objects), 64);
	if (good) {
		index->wakes[0] = (struct gt_index_wake){.from = NO_ROW, .to = NO_ROW};
		index->objects[0] = (struct gt_index_object){0};
		index->wake_count = index->object_count = 1;
		gt__rows_init(&b.rows, &user, 0);
		good = read_all(&b);
		gt__rows_finish(&b.rows);
		gt__rows_free(&b.rows);
		finish_rows(&b);
	}
	if (!good || b.failed) {
		bool limit = index->bytes_max && index->bytes > index->bytes_max - index->bytes_max / 4;
		uint64_t events = index->events;

		gt_index_free(index);
		return limit ? gt_fail(err, ENOMEM,
				       "the trace is too long to view: its index needs more than %llu MiB after %llu "
				       "events: "
				       "cut it by gtrace convert --from, or give --max-memory",
				       (unsigned long long)(config->bytes_max >> 20), (unsigned long long)events)
			     : gt_fail(err, ENOMEM, "out of memory: the viewer's index");
	}
	*out = index;
	return 0;
}

void gt_index_free(struct gt_index *index)
{
	if (!index)
		return;
	for (uint32_t i = 0; i < index->row_count; i++) {
		free(index->rows[i].slices);
		free(index->rows[i].sums);
	}
	for (unsigned int kind = 0; kind < GT_INDEX_KINDS; kind++)
		gt_map_free(&index->by_id[kind]);
	gt_map_free(&index->object_ids);
	gt_map_free(&index->threads);
	gt_strings_free(&index->functions);
	free(index->rows);
	free(index->wakes);
	free(index->objects);
	free(index->groups);
	free(index->counts);
	free(index);
}

/* ---- questions ---- */

/* The first slice from @from on whose end is past @at_ns. */
static uint32_t first_after(const struct gt_index_row *row, uint32_t from, int64_t at_ns)
{
	uint32_t low = from, high = row->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (row->slices[middle].end_ns > at_ns)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

uint32_t gt_index_at(const struct gt_index_row *row, int64_t at_ns)
{
	return first_after(row, 0, at_ns);
}

/* The first slice from @from on that begins at @at_ns or later: near, most of the time. */
static uint32_t first_from(const struct gt_index_row *row, uint32_t from, int64_t at_ns)
{
	uint32_t low = from, step = 1, high;

	while (low < row->count && row->slices[low].since_ns < at_ns) {
		low += step;
		step *= 2;
	}
	high = low < row->count ? low : row->count;
	low = step > 1 && low >= step / 2 ? low - step / 2 : from;
	if (low < from)
		low = from;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (row->slices[middle].since_ns >= at_ns)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static void add_slices(const struct gt_index_row *row, uint32_t from, uint32_t to, uint64_t sums[GT_INDEX_STATES - 1])
{
	for (; from < to; from++) {
		const struct gt_index_slice *slice = &row->slices[from];

		if (slice->state >= 1 && slice->state < GT_INDEX_STATES)
			sums[slice->state - 1] += (uint64_t)(slice->end_ns - slice->since_ns);
	}
}

static void sum_between(const struct gt_index_row *row, uint32_t from, uint32_t to, uint64_t sums[GT_INDEX_STATES - 1])
{
	uint32_t first = (from + BUCKET - 1) / BUCKET, last = to / BUCKET;

	memset(sums, 0, (GT_INDEX_STATES - 1) * sizeof(*sums));
	if (!row->sums || first >= last) {
		add_slices(row, from, to, sums);
		return;
	}
	add_slices(row, from, first * BUCKET, sums);
	for (unsigned int i = 0; i < GT_INDEX_STATES - 1; i++)
		sums[i] += row->sums[last][i] - row->sums[first][i];
	add_slices(row, last * BUCKET, to, sums);
}

static void put_one(const struct gt_index_row *row, uint32_t at, struct gt_index_piece *out)
{
	const struct gt_index_slice *slice = &row->slices[at];
	bool call = row->kind == GT_INDEX_GOROUTINE && slice->state == GT_STATE_SYSCALL;

	*out = (struct gt_index_piece){
		.since_ns = (double)slice->since_ns,
		.end_ns = (double)slice->end_ns,
		.slice = at,
		.count = 1,
		.state = slice->state,
		.reason = slice->reason,
		.part = UINT16_MAX,
		.detail = call ? slice->link : slice->detail,
	};
}

static void put_many(const struct gt_index_row *row, uint32_t from, uint32_t to, struct gt_index_piece *out)
{
	uint64_t sums[GT_INDEX_STATES - 1], all = 0;
	unsigned int best = 0;

	sum_between(row, from, to, sums);
	for (unsigned int i = 0; i < GT_INDEX_STATES - 1; i++) {
		all += sums[i];
		if (sums[i] > sums[best])
			best = i;
	}
	*out = (struct gt_index_piece){
		.since_ns = (double)row->slices[from].since_ns,
		.end_ns = (double)row->slices[to - 1].end_ns,
		.slice = from,
		.count = to - from,
		.state = (uint8_t)(best + 1),
		.part = all ? (uint16_t)((double)sums[best] * UINT16_MAX / (double)all) : UINT16_MAX,
	};
}

size_t gt_index_pieces(
	const struct gt_index_row *row, int64_t t0_ns, int64_t t1_ns, unsigned int columns, struct gt_index_piece *out)
{
	double column_ns = (double)(t1_ns - t0_ns) / (columns ? columns : 1);
	uint32_t at = first_after(row, 0, t0_ns);
	size_t count_ = 0, most = 2 * (size_t)columns + 2;

	while (at < row->count && row->slices[at].since_ns < t1_ns && count_ < most) {
		const struct gt_index_slice *slice = &row->slices[at];
		double column, end;
		uint32_t to;

		if ((double)(slice->end_ns - slice->since_ns) >= column_ns) {
			put_one(row, at++, &out[count_++]);
			continue;
		}
		column =
			slice->since_ns > t0_ns ? (double)(uint64_t)((double)(slice->since_ns - t0_ns) / column_ns) : 0;
		end = (double)t0_ns + (column + 1) * column_ns;
		to = first_from(row, at + 1, (int64_t)end);
		/* A long one at the end of the column is seen itself. */
		if (to > at + 1 && (double)(row->slices[to - 1].end_ns - row->slices[to - 1].since_ns) >= column_ns)
			to--;
		if (to == at + 1)
			put_one(row, at, &out[count_++]);
		else
			put_many(row, at, to, &out[count_++]);
		at = to;
	}
	return count_;
}
