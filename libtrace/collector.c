/* collector.c - streaming: sealed blocks to a file, and the state that both forms share. */
#include "libtrace/collector_internal.h"

#include "libtrace/go_text.h"
#include "libtrace/refill.h"
#include "libtrace/walk.h"

#include <errno.h>
#include <gtrace/hooks.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- Ms ---- */

#define DROP_ROUNDS       16 /* it takes a look at every M that ended */
#define DROP_ROUNDS_SHORT 2

struct gt__m_state *gt__collector_m(struct gt_collector *c, uint32_t m)
{
	struct gt__m_state **chunk = &c->chunks[m / GT__CHUNK_MS];

	if (!*chunk) {
		*chunk = calloc(GT__CHUNK_MS, sizeof(**chunk));
		if (!*chunk)
			return NULL;
	}
	return &(*chunk)[m % GT__CHUNK_MS];
}

static void free_chunk(struct gt_collector *c, size_t index)
{
	struct gt__m_state *chunk = c->chunks[index];

	for (size_t i = 0; chunk && i < GT__CHUNK_MS; i++)
		gt_decoder_clear(&chunk[i].decoder);
	free(chunk);
	c->chunks[index] = NULL;
}

/* ---- names: whatever an event refers to is written before it ---- */

int gt__collector_pc(struct gt_collector *c, struct gt_writer *writer, uint64_t pc)
{
	struct gt_resolved resolved[GT__LINES_MAX];
	struct gt_writer_line lines[GT__LINES_MAX];
	size_t count;

	if (!pc || gt_writer_has_pc(writer, pc))
		return 0;
	count = c->config.resolve ? c->config.resolve(c->config.resolve_context, pc, resolved, GT__LINES_MAX) : 0;
	for (size_t i = 0; i < count; i++) {
		lines[i].function = gt_writer_string(writer, resolved[i].function, strlen(resolved[i].function));
		lines[i].file = gt_writer_string(writer, resolved[i].file, strlen(resolved[i].file));
		lines[i].line = resolved[i].line;
	}
	return gt_writer_pc(writer, pc, lines, count);
}

/* 0 also when the frames are not there (yet): the id is tried again at its next event. */
int gt__collector_name_stack(struct gt_collector *c, struct gt_writer *writer, uint64_t id)
{
	uint64_t pcs[GT_STACK_FRAMES_MAX];
	struct gt_stack_slot *slots = (struct gt_stack_slot *)((char *)c->memory->shm + c->memory->stacks_offset);
	const _Atomic uint32_t *arena = (const _Atomic uint32_t *)((char *)c->memory->shm + c->memory->arena_offset);
	uint32_t at, count;
	int ret;

	if (!id || id >= c->memory->stack_slot_count || gt_writer_has_stack(writer, id))
		return 0;
	at = atomic_load_explicit(&slots[id].arena, memory_order_acquire); /* [frames] pairs with [stack] */
	if (!at || at >= c->memory->arena_words)
		return 0;
	count = atomic_load_explicit(&arena[at], memory_order_relaxed);
	if (!count || count > GT_STACK_FRAMES_MAX || count > c->memory->arena_words - at - 1)
		return 0;
	for (uint32_t i = 0; i < count; i++) {
		/* A return address, told as an address inside the call. */
		pcs[i] = c->memory->text_base + atomic_load_explicit(&arena[at + 1 + i], memory_order_relaxed) - 1;
		ret = gt__collector_pc(c, writer, pcs[i]);
		if (ret < 0)
			return ret;
	}
	return gt_writer_stack(writer, id, pcs, count);
}

int gt_collector_write_stack(
	struct gt_collector *c, struct gt_writer *writer, uint64_t id, const uint64_t *pcs, size_t count)
{
	uint64_t own[GT_WRITER_STACK_PCS_MAX];
	int ret = 0;

	gt__learn_slide(c);
	count = count < GT_WRITER_STACK_PCS_MAX ? count : GT_WRITER_STACK_PCS_MAX;
	for (size_t i = 0; i < count && ret >= 0; i++) {
		own[i] = pcs[i] >> 62 ? pcs[i] : pcs[i] - c->slide;
		ret = gt__collector_pc(c, writer, own[i]);
	}
	return ret < 0 ? ret : gt_writer_stack(writer, id, own, count);
}

static int name_event(struct gt_collector *c, struct gt_writer *writer, struct gt_event *event)
{
	const struct gt_event_spec *spec = &gt_event_specs[event->kind];
	int ret = 0;

	if (event->kind == GT_EV_FD_NAME) {
		const char *name = gt_fds_name(&c->fds, event->args[1]);

		event->args[1] = *name ? gt_writer_string(writer, name, strlen(name)) : 0;
		return 0;
	}
	for (unsigned int i = 0; i < spec->arg_count && ret >= 0; i++) {
		if (spec->args[i].type == GT_ARG_PC && event->args[i]) {
			event->args[i] -= c->slide;
			ret = gt__collector_pc(c, writer, event->args[i]);
		} else if (spec->args[i].type == GT_ARG_STACK) {
			ret = gt__collector_name_stack(c, writer, event->args[i]);
		} else if (spec->args[i].type == GT_ARG_STR && event->args[i]) {
			ret = gt__collector_string(c, writer, &event->args[i]);
		}
	}
	return ret;
}

static int name_alive(struct gt_collector *c, struct gt_writer *writer, const struct gt__name *who)
{
	uint64_t start = who->start_pc ? who->start_pc - c->slide : 0;
	int ret = gt__collector_pc(c, writer, start);

	return ret < 0 ? ret : gt_writer_goroutine(writer, who->g, who->parent, start, 0);
}

/* ---- a batch: the events of one run of records ---- */

static uint32_t set_of(const struct gt_event *event)
{
	switch (event->kind) {
	case GT_EV_TASK_BEGIN:
	case GT_EV_TASK_END:
	case GT_EV_REGION_BEGIN:
	case GT_EV_REGION_END:
	case GT_EV_LOG:
	case GT_EV_OBJECT_NAME:
		return GT_SET_MARKS;
	case GT_EV_WAITS_ON:
	case GT_EV_WAKE_CAUSE:
		return GT_SET_OBJECTS;
	case GT_EV_ALLOC:
	case GT_EV_ALLOC_TYPE:
	case GT_EV_FREE:
		return GT_SET_HEAP | GT_SET_ALLOC;
	case GT_EV_HEAP:
		return GT_SET_HEAP | GT_SET_ALLOC | GT_SET_GC;
	case GT_EV_HEAP_GOAL:
	case GT_EV_GC_BEGIN:
	case GT_EV_GC_END:
	case GT_EV_STW_BEGIN:
	case GT_EV_STW_STOPPED:
	case GT_EV_STW_END:
	case GT_EV_ASSIST_BEGIN:
	case GT_EV_ASSIST_END:
	case GT_EV_SWEEP_BEGIN:
	case GT_EV_SWEEP_END:
	case GT_EV_GO_LABEL:
	case GT_EV_PROCS:
	case GT_EV_STACK_MEMORY:
		return GT_SET_GC;
	case GT_EV_TIMER_SET:
	case GT_EV_TIMER_FIRE:
	case GT_EV_TIMER_STOP:
		return GT_SET_TIMERS;
	case GT_EV_SYSCALL_INFO:
	case GT_EV_SYSCALL_LONG:
	case GT_EV_SYSCALL_STACK:
	case GT_EV_SYSCALL_RESULT:
		return GT_SET_SYSCALLS;
	case GT_EV_FD_NAME:
		return GT_SET_SYSCALLS | GT_SET_OBJECTS;
	default:
		return GT_SET_SCHED;
	}
}

/* Leaves what is of another set than the hidden ones; returns how many. */
static int hide(uint32_t hidden, struct gt_event *events, int count)
{
	int kept = 0;

	for (int i = 0; i < count; i++)
		if (set_of(&events[i]) & ~hidden)
			events[kept++] = events[i];
	return kept;
}

/* What only the collector's clock can tell of a record: @out its events. */
static void put_times(struct gt_collector *c, const struct gt_record *record, struct gt_event *out)
{
	uint64_t rate = gt_clock_rate();
	int64_t now_ns;

	if (record->kind == GT_REC_SYSCALL && out->kind == GT_EV_SYSCALL_LONG) {
		out->args[4] = (uint64_t)((unsigned __int128)out->args[4] * 1000000000 / rate);
	} else if (record->kind == GT_REC_TIMER && (record->word[1] & 255) == GT_TIMER_SET_AT) {
		/* Near enough to a pair that the rate's error does not show. */
		if (!c->clock.ticks || record->ticks > c->clock.ticks + rate / 10)
			c->clock = gt_clock_pair();
		now_ns = gt_ticks_to_ns(&c->clock, rate, record->ticks);
		out->args[2] = (int64_t)out->args[2] > now_ns ? out->args[2] - (uint64_t)now_ns : 0;
	} else if (record->kind == GT_REC_TIMER && out->kind == GT_EV_TIMER_FIRE && (int64_t)out->args[1] < 0) {
		out->args[1] = 0;
	}
}

/* Puts the name of a descriptor before the events that have it first. How many there are then. */
static int put_fd(struct gt_collector *c, struct gt_event *out, int count)
{
	struct gt_event name;

	for (int i = 0; i < count; i++) {
		if (!gt_fds_event(&c->fds, c->pid, &out[i], &name))
			continue;
		memmove(&out[1], &out[0], (size_t)count * sizeof(*out));
		out[0] = name;
		return count + 1;
	}
	return count;
}

/* Most records do not. A STATE of two events may be a wake-up by the poller, after a hint. */
static bool may_tell_fd(const struct gt_record *record, int count)
{
	switch (record->kind) {
	case GT_REC_STATE:
		return count > 1;
	case GT_REC_ENTER:
	case GT_REC_LEAVE:
	case GT_REC_WOKEN:
	case GT_REC_ALLOC:
		return false;
	default:
		return true;
	}
}

void gt__batch_add(struct gt_collector *c, struct gt__m_state *state, const struct gt_record *record)
{
	struct gt_event *out = &c->batch[c->batch_count];
	int count;

	if (record->kind == GT_REC_VOID || record->ticks < c->since)
		return;
	count = gt_decode(&state->decoder, c->config.wait_reasons, record, out);
	if (count > 0 && (record->kind == GT_REC_SYSCALL || record->kind == GT_REC_TIMER))
		put_times(c, record, out);
	if (count > 0 && record->kind == GT_REC_ALIVE)
		c->alive[c->alive_count++] = (struct gt__name){.g = record->word[1] & GT_G_MASK,
			.parent = record->word[4] & GT_G_MASK,
			.start_pc = record->word[2]};
	if (count > 0 && c->hidden)
		count = hide(c->hidden, out, count);
	if (count > 0 && may_tell_fd(record, count))
		count = put_fd(c, out, count);
	if (count < 0)
		c->totals.records_bad++;
	else if (count && !gt__found_created(c, out))
		c->batch_count += (size_t)count;
	if (record->kind == GT_REC_THREAD && (record->word[1] & 255) == GT_THREAD_END)
		state->ended = true;
}

void gt__batch_lost(struct gt_collector *c, struct gt__m_state *state, uint64_t ticks, uint64_t count)
{
	struct gt_event *event = &c->batch[c->batch_count++];

	memset(event, 0, sizeof(*event));
	event->kind = GT_EV_LOST;
	event->ticks = ticks;
	event->args[0] = count;
	gt_decoder_clear(&state->decoder);
}

int gt__batch_write(struct gt_collector *c, struct gt_writer *writer, uint32_t m)
{
	int ret = 0;

	if (!c->batch_count)
		return 0;
	for (size_t i = 0; i < c->alive_count && ret >= 0; i++)
		ret = name_alive(c, writer, &c->alive[i]);
	c->alive_count = 0;
	for (size_t i = 0; i < c->batch_count && ret >= 0; i++)
		ret = name_event(c, writer, &c->batch[i]);
	if (ret >= 0)
		ret = gt_writer_events_begin(writer, m, c->batch[0].ticks);
	for (size_t i = 0; i < c->batch_count && ret >= 0; i++) {
		const struct gt_event *event = &c->batch[i];

		ret = gt_writer_event(writer, event->kind, event->ticks, event->args);
		c->totals.by_kind[event->kind]++;
		c->totals.events++;
		if (event->kind == GT_EV_GO_CREATE)
			c->totals.goroutines++;
	}
	if (ret >= 0)
		ret = gt_writer_events_end(writer);
	c->batch_count = 0;
	return ret;
}

/* ---- streaming ---- */

/* Gives the writer what is new in @view: from where the last look at the same block ended. */
static int drain_view(struct gt_collector *c, struct gt_writer *writer, struct gt__m_state *state,
	const struct gt_view *view, bool step_over)
{
	struct gt_walk walk = {.at = state->offset};
	struct gt_record record;

	if (view->lost > state->lost_told) {
		gt__batch_lost(c, state, view->t_open, view->lost - state->lost_told);
		state->lost_told = view->lost;
	}
	while (gt_walk_next(&walk, view, step_over, &record) > 0) {
		gt__batch_add(c, state, &record);
		if (record.ticks > state->last_ticks)
			state->last_ticks = record.ticks;
	}
	if (step_over)
		c->totals.lost_in_flight += walk.in_flight;
	state->offset = walk.at;
	return gt__batch_write(c, writer, view->m);
}

static int drain_sealed(struct gt_collector *c, struct gt_writer *writer, const struct gt_view *view)
{
	struct gt__m_state *state = gt__collector_m(c, view->m);

	if (!state)
		return -ENOMEM;
	if (view->seq != state->seq) {
		/* Not the one that was open at the last look: it must be the next. */
		if (view->seq != state->seq + 1) {
			c->totals.records_bad++;
			gt__batch_lost(c, state, view->t_open, 1);
		}
		state->seq = view->seq;
		state->offset = 0;
	}
	state->partial = false;
	return drain_view(c, writer, state, view, true);
}

/* Every sealed block there is now: a program that seals faster than this writes does not hold the round up for ever. */
static size_t drain_queue(struct gt_collector *c, struct gt_writer *writer)
{
	struct gt_view view;
	uint32_t block;
	size_t taken = 0;

	for (; taken < c->memory->block_count && gt_take_sealed(c->memory, &block, &view); taken++) {
		int ret = drain_sealed(c, writer, &view);

		if (ret < 0 && !c->failed)
			c->failed = ret;
		gt_give_back(c->memory, block);
	}
	return taken;
}

/* An M that finds no block says nothing more: its losses are told before the watermark passes them. */
static int tell_lost(struct gt_collector *c, struct gt_writer *writer, uint32_t m, uint64_t lost, uint64_t ticks)
{
	struct gt__m_state *state;

	if (!lost)
		return 0;
	state = gt__collector_m(c, m);
	if (!state)
		return -ENOMEM;
	if (lost <= state->lost_told)
		return 0;
	gt__batch_lost(c, state, ticks > state->last_ticks ? ticks : state->last_ticks, lost - state->lost_told);
	state->lost_told = lost;
	return gt__batch_write(c, writer, m);
}

/* The block that M has open, as far as it is committed. Sets the M's part of the watermark. */
static int drain_open(
	struct gt_collector *c, struct gt_writer *writer, uint32_t m, uint64_t *watermark, bool program_gone)
{
	struct gt_m *shared = gt_shm_m(c->memory, m);
	uint64_t lost =
		gt__m_lost(shared); /* before the look whether it has a block: later losses may lie behind that */
	uint64_t pos = atomic_load_explicit(&shared->pos, memory_order_acquire);
	struct gt__m_state *state;
	struct gt_view view;
	int ret = 0;

	if (!pos) /* never recorded */
		return program_gone ? 0 : tell_lost(c, writer, m, lost, gt_ticks() - GT__SKEW_TICKS);
	state = gt__collector_m(c, m);
	if (!state)
		return -ENOMEM;
	if (m >= c->ms_seen)
		c->ms_seen = m + 1;
	if (!state->tid) {
		state->tid = atomic_load_explicit(&shared->tid, memory_order_relaxed);
		if (state->tid)
			gt_writer_thread(writer, m, state->tid, "");
	}
	if (gt__nothing_open(state, shared))
		return program_gone ? 0 : tell_lost(c, writer, m, lost, gt_ticks() - GT__SKEW_TICKS);
	if (pos == state->pos_clean)
		return 0; /* nothing new since everything was read */
	if (gt_view_open(c->memory, m, c->cells, &view)) {
		/* A block that the queue brought already may still be seen here, while its M looks for the next. */
		if (view.seq == state->seq + 1 && !state->partial) {
			state->seq = view.seq;
			state->offset = 0;
			state->partial = true;
		}
		if (view.seq == state->seq && state->partial) {
			ret = drain_view(c, writer, state, &view, program_gone);
			if (ret >= 0 && gt__read_to(state, pos)) {
				state->pos_clean = pos;
				state->unread = false;
				return 0;
			}
		}
		/* Else an older block of this M is in the queue: next round. */
	}
	if (program_gone)
		state->unread = true; /* records that were begun, or are where nobody can read them */
	/* Later records of this M are not older than its last one. */
	if (state->last_ticks < *watermark)
		*watermark = state->last_ticks;
	return ret;
}

static uint32_t m_limit(const struct gt_collector *c)
{
	uint32_t limit = atomic_load_explicit(&c->memory->shm->m_limit, memory_order_relaxed);

	return limit < c->memory->m_count ? limit : c->memory->m_count;
}

/* It said that it ends, and all that it recorded was read. */
static bool clean_and_ended(struct gt_collector *c, uint32_t m)
{
	const struct gt__m_state *chunk = c->chunks[m / GT__CHUNK_MS];

	return chunk && chunk[m % GT__CHUNK_MS].ended &&
	       chunk[m % GT__CHUNK_MS].pos_clean ==
		       atomic_load_explicit(&gt_shm_m(c->memory, m)->pos, memory_order_acquire);
}

/* The block of an M whose thread is gone, to be used again: an M's id is never used again, and its records are read. */
void gt__collector_reclaim(struct gt_collector *c, uint32_t m, bool flight)
{
	struct gt__m_state *state = gt__collector_m(c, m);
	uint32_t block;

	if (!state || !state->ended || state->reclaimed || !c->pid)
		return;
	if (!state->tid)
		state->tid = atomic_load_explicit(&gt_shm_m(c->memory, m)->tid, memory_order_relaxed);
	if (!state->tid || syscall(SYS_tgkill, c->pid, state->tid, 0) == 0 || errno != ESRCH)
		return;
	state->reclaimed = true;
	block = gt_steal_gone(c->memory, m);
	if (block == GT_NO_BLOCK)
		return;
	/* In flight its records stay part of the window; in a stream they were read, but for one that the thread never ended. */
	if (flight)
		gt__put_away(c, block);
	else
		gt_give_back(c->memory, block);
	state->partial = false;
}

/* ---- Ms that are history ---- */

static bool is_over(
	struct gt_collector *c, uint32_t m, bool flight, bool pressed, uint64_t first_ticket, uint64_t oldest)
{
	const struct gt__m_state *chunk = c->chunks[m / GT__CHUNK_MS];
	const struct gt__m_state *state = chunk ? &chunk[m % GT__CHUNK_MS] : NULL;

	if (!state || !state->reclaimed)
		return false;
	if (!flight)
		return true;
	if (state->in_ring && gt__ticket_diff(first_ticket, state->ring_ticket) <= 0)
		return false;
	return pressed || (oldest && state->last_ticks < oldest && !c->attic.count);
}

/* What an M says last may be lost, or stand in a block that nobody has read. */
static void find_ended(struct gt_collector *c)
{
	for (uint32_t m = gt_shm_next_m(c->memory, 0); m < c->ms_seen; m = gt_shm_next_m(c->memory, m + 1)) {
		uint32_t tid = atomic_load_explicit(&gt_shm_m(c->memory, m)->tid, memory_order_relaxed);
		struct gt__m_state *state = tid && c->pid ? gt__collector_m(c, m) : NULL;

		if (state && !state->ended && syscall(SYS_tgkill, c->pid, tid, 0) < 0 && errno == ESRCH)
			state->ended = true;
	}
}

/* Its counts stay; what the window still holds of it is not shown any more. */
static void drop_m(struct gt_collector *c, uint32_t m, bool flight)
{
	const struct gt_m *shared = gt_shm_m(c->memory, m);
	struct gt__m_state *state = gt__collector_m(c, m);

	c->dropped.ms++;
	c->dropped.lost_full += atomic_load_explicit(&shared->lost, memory_order_relaxed);
	c->dropped.lost_nested += atomic_load_explicit(&shared->lost_nested, memory_order_relaxed);
	if (flight && state && state->last_ticks >= c->gone_ticks) {
		c->gone_ticks = state->last_ticks;
		c->gone_m = m;
	}
}

/*
 * Threads come and go, and the id of an M is never used twice: the page of lines of GT_MS_A_PAGE Ms that are all over is given
 * back, once nothing of them is held; or, when lines are short, the oldest such page.
 */
void gt__collector_drop_ms(struct gt_collector *c, bool flight)
{
	struct gt_memory *memory = c->memory;
	uint64_t first = 0, end, oldest = c->history ? gt_history_oldest(c->history) : 0;
	uint32_t live = memory->m_limit - memory->ms_gone_count * GT_MS_A_PAGE;

	bool short_ = flight && live > memory->m_live / 4 * 3;

	if (!memory->ms_gone || (c->drop_round++ % (short_ ? DROP_ROUNDS_SHORT : DROP_ROUNDS)))
		return;
	gt_shm_find_ms(memory);
	if (flight)
		gt_sealed_range(memory, &first, &end);
	if (short_)
		find_ended(c);
	for (uint32_t m = gt_shm_next_m(memory, 0); m + GT_MS_A_PAGE <= c->ms_seen;
		m = gt_shm_next_m(memory, m + GT_MS_A_PAGE)) {
		bool over = true, pressed = flight && live > memory->m_live / 4 * 3;

		for (uint32_t i = 0; i < GT_MS_A_PAGE && over; i++)
			over = is_over(c, m + i, flight, pressed, first, oldest);
		if (!over)
			continue;
		for (uint32_t i = 0; i < GT_MS_A_PAGE; i++)
			drop_m(c, m + i, flight);
		gt_shm_drop_ms(memory, m);
		free_chunk(c, m / GT__CHUNK_MS);
		live -= GT_MS_A_PAGE;
	}
}

/* ---- how many blocks are in turn ---- */

#define TURN_BLOCKS_MIN 4096 /* 16 MiB: what two busy CPUs write in some 20 ms */
#define CALM_ROUNDS     256

/* Never so few that an M without a block would be refused one (gt__take_first). */
static uint32_t turn_min(const struct gt_collector *c)
{
	uint32_t half = c->memory->block_count / 2;

	return half > TURN_BLOCKS_MIN ? half : TURN_BLOCKS_MIN;
}

static void turn_less(struct gt_collector *c)
{
	while (c->turn_count > turn_min(c)) {
		uint32_t block = gt_queue_take(&c->memory->exchange.free);

		if (block >= c->memory->block_count)
			return;
		c->reserve[c->reserve_count++] = block;
		c->turn_count--;
	}
}

static void turn_more(struct gt_collector *c)
{
	for (uint32_t i = c->turn_count; i && c->reserve_count; i--) {
		gt_give_back(c->memory, c->reserve[--c->reserve_count]);
		c->turn_count++;
	}
}

/* Twice as many when an eighth came at once; the least again after a long calm. */
static void adapt_turn(struct gt_collector *c, size_t taken)
{
	if (!c->reserve)
		return;
	c->calm_rounds = taken < c->turn_count / 64 ? c->calm_rounds + 1 : 0;
	if (taken > c->turn_count / 8)
		turn_more(c);
	else if (c->calm_rounds == CALM_ROUNDS)
		turn_less(c);
}

/* Before the program runs: the first blocks of the free queue stay, their pages are populated in the program. */
static void start_turn(struct gt_collector *c)
{
	uint32_t kept[TURN_BLOCKS_MIN];
	uint32_t count = 0;

	c->turn_count = c->memory->block_count;
	if (c->turn_count <= TURN_BLOCKS_MIN || atomic_load(&c->memory->shm->mode) != GT_MODE_STREAM)
		return;
	c->reserve = malloc(c->memory->block_count * sizeof(*c->reserve));
	if (!c->reserve)
		return;
	while (count < TURN_BLOCKS_MIN) {
		kept[count] = gt_queue_take(&c->memory->exchange.free);
		if (kept[count] >= c->memory->block_count)
			break;
		count++;
	}
	turn_less(c);
	for (uint32_t i = 0; i < count; i++)
		gt_give_back(c->memory, kept[i]);
}

int gt_collector_round(struct gt_collector *c, struct gt_writer *writer, size_t *blocks)
{
	uint64_t begin = gt_ticks();
	uint64_t watermark = begin - GT__SKEW_TICKS;
	size_t taken;

	atomic_store_explicit(&c->memory->shm->heartbeat, begin, memory_order_relaxed);
	gt__learn_slide(c);
	taken = drain_queue(c, writer);
	adapt_turn(c, taken);
	for (uint32_t m = gt_shm_next_m(c->memory, 0), limit = m_limit(c); m < limit;
		m = gt_shm_next_m(c->memory, m + 1)) {
		int ret = drain_open(c, writer, m, &watermark, false);

		if (ret < 0 && !c->failed)
			c->failed = ret;
		if (clean_and_ended(c, m))
			gt__collector_reclaim(c, m, false);
	}
	gt__collector_drop_ms(c, false);
	gt__collector_grow(c);
	if (watermark > c->watermark && !c->held) {
		c->watermark = watermark;
		gt_writer_watermark(writer, watermark);
	}
	if (blocks)
		*blocks = taken;
	return c->failed;
}

/* ---- files one after the other, of a program that lives on ---- */

/* What other traces left is nobody's: blocks are free again, and reading goes on where each M stands. */
static void forget(struct gt_collector *c)
{
	struct gt_view view;
	uint32_t block;

	for (uint32_t i = 0; i < c->memory->block_count && gt_take_sealed(c->memory, &block, &view); i++)
		gt_give_back(c->memory, block);
	for (uint32_t m = gt_shm_next_m(c->memory, 0), limit = m_limit(c); m < limit;
		m = gt_shm_next_m(c->memory, m + 1)) {
		const struct gt_m *shared = gt_shm_m(c->memory, m);
		uint64_t pos = atomic_load_explicit(&shared->pos, memory_order_acquire);
		unsigned int own = GT_OWN_STATE(atomic_load_explicit(&shared->own, memory_order_acquire));
		struct gt__m_state *state = pos ? gt__collector_m(c, m) : NULL;

		if (!state)
			continue;
		state->seq = atomic_load_explicit(&shared->seq, memory_order_relaxed);
		state->offset = (uint32_t)((pos - 1) % GT_BLOCK_BYTES + 1 - GT_BLOCK_HEADER_BYTES);
		state->partial = own == GT_OWN_OWNED || own == GT_OWN_BUSY;
		state->pos_clean = pos;
		state->begin_seq = state->seq;
		state->begin_lost = state->lost_told = gt__m_lost(shared);
	}
}

static void lost_so_far(const struct gt_collector *c, struct gt_collector_totals *out)
{
	for (uint32_t m = gt_shm_next_m(c->memory, 0), limit = m_limit(c); m < limit;
		m = gt_shm_next_m(c->memory, m + 1)) {
		const struct gt_m *shared = gt_shm_m(c->memory, m);

		out->lost_full += atomic_load_explicit(&shared->lost, memory_order_relaxed);
		out->lost_nested += atomic_load_explicit(&shared->lost_nested, memory_order_relaxed);
	}
	out->lost_no_m = atomic_load_explicit(&c->memory->shm->lost_no_m, memory_order_relaxed);
	out->lost_big_g = atomic_load_explicit(&c->memory->shm->lost_big_g, memory_order_relaxed);
	out->lost_spill = atomic_load_explicit(&c->memory->shm->lost_spill, memory_order_relaxed);
	out->strings_lost = atomic_load_explicit(&c->memory->shm->strings_lost, memory_order_relaxed);
	out->stacks_lost = atomic_load_explicit(&c->memory->shm->stacks_lost, memory_order_relaxed);
}

void gt_collector_again(struct gt_collector *c, uint64_t since_ticks)
{
	forget(c);
	c->since = since_ticks;
	gt_fds_again(&c->fds);
	c->held = true;
	c->failed = 0;
	if (c->config.again) {
		memset(&c->before, 0, sizeof(c->before));
		lost_so_far(c, &c->before);
		c->lost_no_m_seen = c->before.lost_no_m;
	}
	/* Each file tells the threads. */
	for (uint32_t m = gt_shm_next_m(c->memory, 0), limit = m_limit(c); m < limit;
		m = gt_shm_next_m(c->memory, m + 1)) {
		struct gt__m_state *chunk = c->chunks[m / GT__CHUNK_MS];

		if (chunk && !chunk[m % GT__CHUNK_MS].reclaimed)
			chunk[m % GT__CHUNK_MS].tid = 0;
	}
}

void gt_collector_told(struct gt_collector *c)
{
	c->held = false;
}

static int tell_alive(struct gt_collector *c, struct gt_writer *writer, const struct gt_hook_alive *who, uint32_t m)
{
	const struct gt__name name = {.g = who->g, .parent = who->parent, .start_pc = (uintptr_t)who->start};
	const uint64_t state[GT_EVENT_ARGS_MAX] = {who->g, GT_STATE_NONE, who->state, who->reason};
	const uint64_t slot[GT_EVENT_ARGS_MAX] = {who->p};
	const uint64_t stack[GT_EVENT_ARGS_MAX] = {who->g, who->stack};
	struct gt__m_state *thread = gt__collector_m(c, m);
	int ret = name_alive(c, writer, &name);

	if (thread && !thread->tid) {
		thread->tid = atomic_load_explicit(&gt_shm_m(c->memory, m)->tid, memory_order_relaxed);
		gt_writer_thread(writer, m, thread->tid, who->m ? "" : "gtrace");
	}
	if (ret >= 0)
		ret = gt__collector_name_stack(c, writer, who->stack);
	if (ret >= 0)
		ret = gt_writer_events_begin(writer, m, c->since);
	if (ret >= 0 && who->p)
		ret = gt_writer_event(writer, GT_EV_P_START, c->since, slot);
	if (ret >= 0)
		ret = gt_writer_event(writer, GT_EV_GO_STATE, c->since, state);
	if (ret >= 0 && who->stack)
		ret = gt_writer_event(writer, GT_EV_GO_STACK, c->since, stack);
	if (ret >= 0)
		ret = gt_writer_events_end(writer);
	return ret;
}

int gt_collector_alive(
	struct gt_collector *c, struct gt_writer *writer, const struct gt_hook_alive *alive, size_t count, uint32_t m)
{
	int ret = 0;

	for (size_t i = 0; i < count && ret >= 0; i++) {
		ret = tell_alive(c, writer, &alive[i], alive[i].m ? alive[i].m - 1 : m);
		c->totals.goroutines++;
		c->totals.events += 1 + (alive[i].p != 0) + (alive[i].stack != 0);
	}
	if (ret < 0 && !c->failed)
		c->failed = ret;
	return ret;
}

int gt_collector_finish(struct gt_collector *c, struct gt_writer *writer)
{
	uint64_t watermark = UINT64_MAX;

	gt__learn_slide(c);
	/* Twice: nothing is sealed any more, but the first pass may have met a queue longer than the blocks of one pass. */
	for (int pass = 0; pass < 2; pass++) {
		drain_queue(c, writer);
		for (uint32_t m = gt_shm_next_m(c->memory, 0), limit = m_limit(c); m < limit;
			m = gt_shm_next_m(c->memory, m + 1)) {
			struct gt_m *shared = gt_shm_m(c->memory, m);
			struct gt__m_state *state;
			uint64_t lost;
			int ret = drain_open(c, writer, m, &watermark, true);

			if (ret < 0 && !c->failed)
				c->failed = ret;
			lost = gt__m_lost(shared);
			if (!lost)
				continue;
			state = gt__collector_m(c, m);
			if (state && lost > state->lost_told) {
				gt__batch_lost(c, state, gt_ticks(), lost - state->lost_told);
				state->lost_told = lost;
				ret = gt__batch_write(c, writer, m);
				if (ret < 0 && !c->failed)
					c->failed = ret;
			}
		}
	}
	for (uint32_t m = gt_shm_next_m(c->memory, 0), limit = m_limit(c); m < limit;
		m = gt_shm_next_m(c->memory, m + 1)) {
		const struct gt__m_state *chunk = c->chunks[m / GT__CHUNK_MS];

		if (chunk && chunk[m % GT__CHUNK_MS].unread)
			c->totals.lost_in_flight++;
	}
	return c->failed;
}

/* ---- life ---- */

/* New Ms find their line populated: ids far ahead of the highest seen are let in. */
void gt__collector_grow(struct gt_collector *c)
{
	uint64_t lost = atomic_load_explicit(&c->memory->shm->lost_no_m, memory_order_relaxed);
	uint32_t limit = m_limit(c);
	uint32_t ahead = c->memory->m_live >= 4 * GT__MS_AHEAD_MAX ? GT__MS_AHEAD_MAX : GT__MS_AHEAD;

	if (c->ms_seen + ahead > limit && limit < c->memory->m_count)
		gt_shm_grow_ms(c->memory, c->ms_seen + 2 * ahead, NULL);
	/* A program that was attached to may have Ms of any id. */
	if (lost > c->lost_no_m_seen && limit < c->memory->m_count)
		gt_shm_grow_ms(c->memory, limit < c->memory->m_count / 2 ? limit * 2 : c->memory->m_count, NULL);
	c->lost_no_m_seen = lost;
}

/* The text of an id in a record. */
static size_t string_of(void *context, uint64_t id, char *out, size_t size)
{
	const struct gt_collector *c = context;
	const char *text = gt_go_text(id);

	if (text) {
		size_t length = strlen(text);

		length = length < size ? length : size;
		memcpy(out, text, length);
		return length;
	}
	if (id >= GT_GO_TYPE_BASE && c->config.type_name)
		return c->config.type_name(
			c->config.resolve_context, c->memory->text_base + (id - GT_GO_TYPE_BASE), out, size);
	return gt_string_read(c->memory, id, out, size);
}

int gt__collector_string(struct gt_collector *c, struct gt_writer *writer, uint64_t *id)
{
	bool type = *id >= GT_GO_TYPE_BASE; /* of the program's file: what it is called never changes */
	uint64_t kept = type ? gt_writer_kept(writer, *id) : 0;
	char bytes[GT_STRING_BYTES_MAX];
	size_t size;

	if (!kept) {
		size = string_of(c, *id, bytes, sizeof(bytes));
		kept = size ? gt_writer_string(writer, bytes, size) : 0;
		if (type && kept)
			gt_writer_keep(writer, *id, kept);
	}
	*id = kept;
	return 0;
}

int gt_collector_new(const struct gt_collector_config *config, struct gt_collector **out, struct gt_error *err)
{
	struct gt_collector *c = calloc(1, sizeof(*c));

	if (!c)
		return gt_fail(err, ENOMEM, "out of memory: collector");
	c->config = *config;
	c->memory = config->memory;
	gt_collector_keep(c, config->keep_ticks);
	if (config->triggers && gt_triggers_want_events(config->triggers))
		c->triggers = config->triggers;
	if (c->triggers)
		gt_triggers_strings(c->triggers, string_of, c);
	c->chunks = calloc(c->memory->m_count / GT__CHUNK_MS + 1, sizeof(*c->chunks));
	if (!c->chunks) {
		free(c);
		return gt_fail(err, ENOMEM, "out of memory: collector");
	}
	if (config->names_bytes_max && gt__names_start(c, config->names_bytes_max) < 0) {
		gt_collector_free(c);
		return gt_fail(err, ENOMEM, "out of memory: collector");
	}
	if (config->history_bytes_max && gt_history_new(config->history_bytes_max, &c->history) < 0) {
		gt_collector_free(c);
		return gt_fail(err, ENOMEM, "out of memory: collector");
	}
	if (config->attic_bytes_max && gt__attic_start(&c->attic, config->attic_bytes_max) < 0) {
		gt_collector_free(c);
		return gt_fail(err, ENOMEM, "out of memory: collector");
	}
	start_turn(c);
	*out = c;
	return 0;
}

void gt_collector_started(struct gt_collector *c, pid_t pid, uint64_t slide)
{
	c->pid = pid;
	c->slide = slide;
}

void gt_collector_free(struct gt_collector *c)
{
	if (!c)
		return;
	for (uint32_t i = 0; i <= c->memory->m_count / GT__CHUNK_MS; i++)
		free_chunk(c, i);
	free(c->chunks);
	gt__found_free(c);
	free(c->standing);
	gt_map_free(&c->fresh);
	gt__names_free(c);
	gt_history_free(c->history);
	gt__attic_free(&c->attic);
	gt_copy_free(&c->copy);
	gt_fds_free(&c->fds);
	gt__found_free(c);
	gt_map_free(&c->fresh);
	while (c->reserve_count)
		gt_give_back(c->memory, c->reserve[--c->reserve_count]);
	free(c->reserve);
	free(c);
}

void gt_collector_totals(struct gt_collector *c, struct gt_collector_totals *out)
{
	*out = c->totals;
	out->ms = c->dropped.ms;
	out->lost_full = c->dropped.lost_full;
	out->lost_nested = c->dropped.lost_nested;
	for (uint32_t m = gt_shm_next_m(c->memory, 0), limit = m_limit(c); m < limit;
		m = gt_shm_next_m(c->memory, m + 1))
		if (atomic_load_explicit(&gt_shm_m(c->memory, m)->pos, memory_order_relaxed))
			out->ms++;
	lost_so_far(c, out);
	out->names_lost = c->names.lost;
	if (c->history) {
		struct gt_history_totals history;

		gt_history_totals(c->history, &history);
		out->history_bytes = history.bytes;
		out->history_cell_bytes = history.cell_bytes;
	}
	out->lost_full -= c->before.lost_full;
	out->lost_nested -= c->before.lost_nested;
	out->lost_no_m -= c->before.lost_no_m;
	out->lost_big_g -= c->before.lost_big_g;
	out->lost_spill -= c->before.lost_spill;
	out->strings_lost -= c->before.strings_lost;
	out->stacks_lost -= c->before.stacks_lost;
	out->lost = out->lost_full + out->lost_nested + out->lost_no_m + out->lost_big_g + out->lost_spill +
		    out->lost_in_flight;
}
