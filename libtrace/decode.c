/* decode.c - records to events. */
#include "libtrace/decode.h"
#include "libtrace/go_text.h"
#include "libtrace/shm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct gt_event *add(struct gt_event *out, int *count, const struct gt_record *record, enum gt_event_kind kind)
{
	struct gt_event *event = &out[(*count)++];

	memset(event, 0, sizeof(*event));
	event->ticks = record->ticks;
	event->kind = (uint8_t)kind;
	return event;
}

static void add_run(
	struct gt_event *out, int *count, const struct gt_record *record, uint64_t g, uint64_t old, uint64_t p)
{
	struct gt_event *event = add(out, count, record, GT_EV_GO_RUN);

	event->args[0] = g;
	event->args[1] = old;
	event->args[2] = p;
}

static void add_object(
	struct gt_event *out, int *count, const struct gt_record *record, uint64_t g, uint64_t word, uint64_t holder)
{
	struct gt_event *event;

	if (!GT_OBJECT_WORD_WHAT(word))
		return;
	event = add(out, count, record, GT_EV_WAITS_ON);
	event->args[0] = g;
	event->args[1] = gt_object_known(GT_OBJECT_WORD_WHAT(word)) ? GT_OBJECT_WORD_WHAT(word) : GT_OBJECT_NONE;
	event->args[2] = word & GT_OBJECT_MASK;
	event->args[3] = holder;
}

/* The set of four in which a hint for @g stands. */
static uint64_t *hints_of(struct gt_decoder *decoder, uint64_t g)
{
	return decoder->hints + (g * 0x9e3779b97f4a7c15u >> 59) * GT_DECODE_HINTS_A;
}
_Static_assert(GT_DECODE_HINTS == GT_DECODE_HINTS_A << 5, "5 bits choose one");

/* The descriptor that the M's poller found ready for @g. */
static uint64_t take_hint(struct gt_decoder *decoder, uint64_t g)
{
	uint64_t *set, hint;

	if (!decoder->hints)
		return GT_FD_UNKNOWN;
	set = hints_of(decoder, g);
	for (unsigned int i = 0; i < GT_DECODE_HINTS_A; i++) {
		hint = set[i];
		if (hint && (hint & GT_G_MASK) == g) {
			for (; i + 1 < GT_DECODE_HINTS_A; i++)
				set[i] = set[i + 1];
			set[i] = 0;
			return hint >> GT_G_BITS;
		}
	}
	return GT_FD_UNKNOWN;
}

static int decode_hint(struct gt_decoder *decoder, const struct gt_record *record)
{
	uint64_t g = record->word[1] & GT_G_MASK;
	uint64_t fd = record->words > 2 ? record->word[2] : record->word[1] >> GT_G_BITS;
	uint64_t *set;

	if (!g)
		return -EBADMSG;
	take_hint(decoder, g); /* one that was not used is old */
	if (fd >> GT_SIDE_BITS)
		return 0;
	if (!decoder->hints)
		decoder->hints = calloc(GT_DECODE_HINTS, sizeof(*decoder->hints));
	if (!decoder->hints)
		return 0; /* the wake-up's descriptor is not known then */
	set = hints_of(decoder, g);
	for (unsigned int i = GT_DECODE_HINTS_A - 1; i > 0; i--)
		set[i] = set[i - 1];
	set[0] = fd << GT_G_BITS | g;
	return 0;
}

/* What stands beside a STATE or STATE2 that blocks or wakes. */
static void add_why(struct gt_decoder *decoder, struct gt_event *out, int *count, const struct gt_record *record,
	uint64_t g, bool blocks, unsigned int cause)
{
	bool brief = record->words < 4;
	struct gt_event *event;

	if (blocks) {
		if (brief)
			return;
		add_object(out, count, record, g, record->word[3], record->word[2] >> 32 | record->word[3] >> 56 << 32);
	} else if (cause && (brief || !(record->word[3] & GT_G_MASK))) {
		event = add(out, count, record, GT_EV_WAKE_CAUSE);
		event->args[0] = g;
		event->args[1] = gt_cause_known(cause) ? cause : GT_CAUSE_NONE;
		event->args[2] = brief ? 0 : record->word[2] >> 32;
		/* What POLLED says itself is newer than any hint. */
		if (cause == GT_CAUSE_NETPOLL && record->kind != GT_REC_POLLED && (brief || decoder->hints))
			event->args[2] = take_hint(decoder, g);
	}
}

/* True when the record repeats what a coroutine switch told. */
static bool said_by_coro(struct gt_decoder *decoder, uint64_t g, unsigned int old, unsigned int new_)
{
	if (decoder->coro_from && g == decoder->coro_from && old == GT_STATE_RUNNING && new_ == GT_STATE_WAITING)
		return true;
	if (decoder->coro_to && g == decoder->coro_to && !decoder->coro_exits) {
		if (old == GT_STATE_WAITING && new_ == GT_STATE_RUNNABLE)
			return true;
		if (old == GT_STATE_RUNNABLE && new_ == GT_STATE_RUNNING)
			return true;
	}
	return false;
}

static int decode_state(
	struct gt_decoder *decoder, const uint8_t *wait_reasons, const struct gt_record *record, struct gt_event *out)
{
	uint64_t word = record->word[1];
	uint64_t g = word & GT_G_MASK;
	unsigned int old = word >> 40 & 15, new_ = word >> 44 & 15;
	unsigned int arg = word >> 48;
	uint64_t stack = record->words > 2 ? record->word[2] & 0xffffffffu : 0;
	uint64_t by = record->words > 3 ? record->word[3] & GT_G_MASK : 0;
	struct gt_event *event;
	int count = 0;

	if (!gt_state_known(old) || !gt_state_known(new_))
		return -EBADMSG;
	if (said_by_coro(decoder, g, old, new_))
		return 0;
	if ((old == GT_STATE_RUNNING && new_ == GT_STATE_WAITING) ||
		(old == GT_STATE_WAITING && new_ == GT_STATE_RUNNABLE))
		add_why(decoder, out, &count, record, g, new_ == GT_STATE_WAITING, arg);
	if (new_ == GT_STATE_WAITING && wait_reasons)
		arg = arg < 256 ? wait_reasons[arg] : GT_REASON_UNKNOWN;
	if (new_ != GT_STATE_RUNNING && !gt_reason_known(arg))
		arg = GT_REASON_UNKNOWN;

	if (new_ == GT_STATE_RUNNING && (old == GT_STATE_RUNNABLE || old == GT_STATE_WAITING)) {
		add_run(out, &count, record, g, old, arg);
	} else if (old == GT_STATE_RUNNING && new_ == GT_STATE_WAITING) {
		event = add(out, &count, record, GT_EV_GO_BLOCK);
		event->args[0] = g;
		event->args[1] = arg;
		event->args[2] = stack;
	} else if (old == GT_STATE_RUNNING && new_ == GT_STATE_RUNNABLE) {
		event = add(out, &count, record, GT_EV_GO_YIELD);
		event->args[0] = g;
		event->args[1] = arg;
		event->args[2] = stack;
	} else if (old == GT_STATE_RUNNING && new_ == GT_STATE_SYSCALL) {
		event = add(out, &count, record, GT_EV_GO_SYSCALL);
		event->args[0] = g;
		event->args[1] = stack;
	} else if (old == GT_STATE_RUNNING && new_ == GT_STATE_DEAD) {
		event = add(out, &count, record, GT_EV_GO_END);
		event->args[0] = g;
		if (decoder->coro_exits && g == decoder->coro_from) {
			add_run(out, &count, record, decoder->coro_to, GT_STATE_WAITING, decoder->coro_p);
			decoder->coro_exits = false;
			return count; /* what the runtime may repeat about coro_to still follows */
		}
	} else if (old == GT_STATE_SYSCALL && (new_ == GT_STATE_RUNNING || new_ == GT_STATE_RUNNABLE)) {
		event = add(out, &count, record, GT_EV_GO_SYSEXIT);
		event->args[0] = g;
		event->args[1] = new_;
	} else if (new_ == GT_STATE_RUNNABLE) {
		event = add(out, &count, record, GT_EV_GO_READY);
		event->args[0] = g;
		event->args[1] = old;
		event->args[2] = by;
	} else {
		event = add(out, &count, record, GT_EV_GO_STATE);
		event->args[0] = g;
		event->args[1] = old;
		event->args[2] = new_;
		event->args[3] = new_ == GT_STATE_RUNNING ? 0 : arg;
	}
	return count;
}

/* The kinds of one cell: as what is longer. */
static int decode_brief(
	struct gt_decoder *decoder, const uint8_t *wait_reasons, const struct gt_record *record, struct gt_event *out)
{
	uint64_t g = record->word[1] & GT_G_MASK, side = record->word[1] >> GT_G_BITS;
	struct gt_record longer = {.ticks = record->ticks, .kind = GT_REC_STATE2, .words = 4};
	int count = 0, more;

	if (!g)
		return -EBADMSG;
	switch (record->kind) {
	case GT_REC_ENTER:
		longer.word[1] = GT_STATE_WORD(g, GT_STATE_RUNNING, GT_STATE_SYSCALL, 0);
		longer.word[2] = side;
		break;
	case GT_REC_LEAVE:
		if (side)
			add(out, &count, record, GT_EV_P_START)->args[0] = side;
		longer.word[1] = GT_STATE_WORD(g, GT_STATE_SYSCALL, GT_STATE_RUNNING, 0);
		break;
	case GT_REC_POLLED:
		if (decoder->hints)
			take_hint(decoder, g);
		longer.kind = GT_REC_POLLED;
		longer.word[1] = GT_STATE_WORD(g, GT_STATE_WAITING, GT_STATE_RUNNABLE, GT_CAUSE_NETPOLL);
		longer.word[2] = side << 32;
		break;
	default: /* WOKEN */
		longer.word[1] = GT_STATE_WORD(g, GT_STATE_WAITING, GT_STATE_RUNNABLE, 0);
		longer.word[3] = (g + (uint64_t)((int64_t)(side << GT_G_BITS) >> GT_G_BITS)) & GT_G_MASK;
		break;
	}
	more = decode_state(decoder, wait_reasons, &longer, out + count);
	return more < 0 ? more : count + more;
}

static int decode_coro(struct gt_decoder *decoder, const struct gt_record *record, struct gt_event *out)
{
	uint64_t from = record->word[1] & GT_G_MASK;
	uint64_t to = record->word[3] & GT_G_MASK;
	uint64_t p = record->word[2] >> 32;
	bool exits = record->word[1] >> GT_G_BITS & 1;
	struct gt_event *event;
	int count = 0;

	if (!from || !to)
		return -EBADMSG;
	if (!exits) {
		event = add(out, &count, record, GT_EV_GO_BLOCK);
		event->args[0] = from;
		event->args[1] = GT_REASON_COROUTINE;
		event->args[2] = record->word[2] & 0xffffffffu;
		add_run(out, &count, record, to, GT_STATE_WAITING, p);
	}
	decoder->coro_from = from;
	decoder->coro_to = to;
	decoder->coro_p = p;
	decoder->coro_exits = exits;
	return count;
}

static int decode_create(const struct gt_record *record, struct gt_event *out)
{
	int count = 0;
	struct gt_event *event = add(out, &count, record, GT_EV_GO_CREATE);

	event->args[0] = record->word[1] & GT_G_MASK;
	event->args[1] = record->word[1] >> 44 & 15;
	event->args[2] = record->word[4] & GT_G_MASK;
	event->args[3] = record->word[2];
	/* A return address, told as an address inside the call (docs/format.md). */
	event->args[4] = record->word[3] ? record->word[3] - 1 : 0;
	return gt_state_known((unsigned int)event->args[1]) ? count : -EBADMSG;
}

static int decode_alive(const struct gt_record *record, struct gt_event *out)
{
	unsigned int state = record->word[1] >> 44 & 15, reason = record->word[1] >> 48;
	int count = 0;
	struct gt_event *event;

	if (!gt_state_known(state) || state == GT_STATE_NONE)
		return -EBADMSG;
	event = add(out, &count, record, GT_EV_GO_STATE);
	event->args[0] = record->word[1] & GT_G_MASK;
	event->args[2] = state;
	event->args[3] = gt_reason_known(reason) ? reason : GT_REASON_UNKNOWN;
	return count;
}

static int decode_op(const struct gt_record *record, struct gt_event *out)
{
	static const enum gt_event_kind slots[] = {
		[GT_SLOT_START] = GT_EV_P_START,
		[GT_SLOT_STOP] = GT_EV_P_STOP,
		[GT_SLOT_IDLE] = GT_EV_P_IDLE,
	};
	static const enum gt_event_kind threads[] = {
		[GT_THREAD_START] = GT_EV_M_START,
		[GT_THREAD_IDLE] = GT_EV_M_IDLE,
		[GT_THREAD_END] = GT_EV_M_END,
	};
	unsigned int op = record->word[1] & 255;
	uint64_t value = record->word[1] >> 8 & 0xffffffffu;
	int count = 0;

	if (op < 1 || op > 3)
		return -EBADMSG;
	if (record->kind == GT_REC_SLOT)
		add(out, &count, record, slots[op])->args[0] = value;
	else if (op == GT_THREAD_START)
		add(out, &count, record, threads[op])->args[0] = value;
	else
		add(out, &count, record, threads[op]);
	return count;
}

static int decode_mark(const struct gt_record *record, struct gt_event *out)
{
	static const enum gt_event_kind kinds[] = {
		[GT_MARK_TASK_BEGIN] = GT_EV_TASK_BEGIN,
		[GT_MARK_TASK_END] = GT_EV_TASK_END,
		[GT_MARK_REGION_BEGIN] = GT_EV_REGION_BEGIN,
		[GT_MARK_REGION_END] = GT_EV_REGION_END,
		[GT_MARK_LOG] = GT_EV_LOG,
		[GT_MARK_NAME] = GT_EV_OBJECT_NAME,
	};
	unsigned int op = record->word[1] & 255;
	struct gt_event *event;
	int count = 0;

	if (op < GT_MARK_TASK_BEGIN || op > GT_MARK_NAME)
		return -EBADMSG;
	event = add(out, &count, record, kinds[op]);
	event->args[0] = record->word[1] >> 8 & GT_G_MASK;
	event->args[1] = record->word[2];
	switch (op) {
	case GT_MARK_TASK_BEGIN:
		event->args[2] = record->word[3];
		event->args[3] = record->word[4];
		break;
	case GT_MARK_REGION_BEGIN:
	case GT_MARK_REGION_END:
		event->args[2] = record->word[4];
		break;
	case GT_MARK_NAME:
		event->args[0] = record->word[2] & GT_OBJECT_MASK;
		event->args[1] = record->word[4];
		break;
	case GT_MARK_LOG:
		event->args[2] = record->word[4];
		event->args[3] = record->word[5];
		break;
	default:
		break;
	}
	return count;
}

static int decode_syscall(const struct gt_record *record, struct gt_event *out)
{
	unsigned int op = record->word[1] & 255;
	int64_t result = (int64_t)record->word[2];
	struct gt_event *event;
	int count = 0;

	if (op < GT_SYSCALL_ENTER || op > GT_SYSCALL_LONG || (op == GT_SYSCALL_LONG && record->words < 6))
		return -EBADMSG;
	if (op == GT_SYSCALL_LONG) {
		event = add(out, &count, record, GT_EV_SYSCALL_LONG);
		event->args[0] = record->word[1] >> 8 & GT_G_MASK;
		event->args[1] = record->word[1] >> 48;
		event->args[2] = record->word[3];
		event->args[3] = record->word[4];
		event->args[4] = record->word[5]; /* ticks: the collector makes ns of it */
	} else if (op == GT_SYSCALL_EXIT && (record->word[3] & 0xffffffffu)) {
		event = add(out, &count, record, GT_EV_SYSCALL_STACK);
		event->args[0] = record->word[1] >> 8 & GT_G_MASK;
		event->args[1] = record->word[3] & 0xffffffffu;
	}
	event = add(out, &count, record, op == GT_SYSCALL_ENTER ? GT_EV_SYSCALL_INFO : GT_EV_SYSCALL_RESULT);
	event->args[0] = record->word[1] >> 8 & GT_G_MASK;
	event->args[1] = record->word[1] >> 48;
	if (op == GT_SYSCALL_ENTER) {
		event->args[2] = record->word[2];
		event->args[3] = record->word[3];
	} else if (result < 0 && result >= -4095) {
		event->args[3] = (uint64_t)-result;
	} else {
		event->args[2] = (uint64_t)result;
	}
	return count;
}

static int decode_heap(const struct gt_record *record, struct gt_event *out)
{
	static const enum gt_event_kind kinds[] = {
		[GT_HEAP_ALLOC] = GT_EV_ALLOC,
		[GT_HEAP_FREE] = GT_EV_FREE,
		[GT_HEAP_LIVE] = GT_EV_HEAP,
	};
	unsigned int op = record->word[1] & 255;
	struct gt_event *event;
	int count = 0;

	if (op < GT_HEAP_ALLOC || op > GT_HEAP_LIVE)
		return -EBADMSG;
	if (op != GT_HEAP_LIVE && record->words < 4)
		return -EBADMSG;
	event = add(out, &count, record, kinds[op]);
	if (op == GT_HEAP_LIVE && record->words < 4) {
		event->args[0] = record->word[1] >> 8;
		return count;
	}
	if (op == GT_HEAP_LIVE) {
		event->args[0] = record->word[2];
		event->args[1] = record->word[3];
		return count;
	}
	event->args[0] = record->word[1] >> 8 & GT_G_MASK;
	if (op == GT_HEAP_FREE) {
		event->args[1] = record->word[2] & GT_OBJECT_MASK;
		event->args[2] = record->word[3];
	} else {
		bool brief = record->words < 6; /* no sample: its weight is its size; and nobody asks where it lies */
		uint64_t where = record->word[brief ? 3 : 5], type = where >> 32;

		event->args[1] = brief ? 0 : record->word[2] & GT_OBJECT_MASK;
		event->args[2] = record->word[brief ? 2 : 3];
		event->args[3] = record->word[brief ? 2 : 4];
		event->args[4] = where & 0xffffffffu;
		if (type) {
			event = add(out, &count, record, GT_EV_ALLOC_TYPE);
			event->args[0] = record->word[1] >> 8 & GT_G_MASK;
			event->args[1] = GT_GO_TYPE_BASE + type;
		}
	}
	return count;
}

/* Of one cell: as the one of two. */
static int decode_alloc(const struct gt_record *record, struct gt_event *out)
{
	uint64_t word = record->word[1], g, stack, bytes;
	struct gt_record longer = {.ticks = record->ticks, .kind = GT_REC_HEAP, .words = 4};

	g = word & ((1u << GT_ALLOC_G_BITS) - 1);
	word >>= GT_ALLOC_G_BITS;
	stack = word & ((1u << GT_ALLOC_STACK_BITS) - 1);
	word >>= GT_ALLOC_STACK_BITS;
	bytes = word & ((1u << GT_ALLOC_SIZE_BITS) - 1);
	word >>= GT_ALLOC_SIZE_BITS;
	longer.word[1] = GT_HEAP_ALLOC | g << 8;
	longer.word[2] = bytes;
	longer.word[3] = word << GT_ALLOC_TYPE_SHIFT << 32 | stack;
	return decode_heap(&longer, out);
}
_Static_assert(GT_ALLOC_G_BITS + GT_ALLOC_STACK_BITS + GT_ALLOC_SIZE_BITS + GT_ALLOC_TYPE_BITS == 64, "a word");

static int decode_gc(const struct gt_record *record, struct gt_event *out)
{
	/* What its arguments are: g, a word, the record's arg, a stack; 0 ends. */
	static const struct {
		enum gt_event_kind kind;
		char args[4];
	} ops[] = {
		[GT_GC_BEGIN] = {GT_EV_GC_BEGIN, "g2s"},
		[GT_GC_END] = {GT_EV_GC_END, "2"},
		[GT_GC_STW_BEGIN] = {GT_EV_STW_BEGIN, "gws"},
		[GT_GC_STW_STOPPED] = {GT_EV_STW_STOPPED, "g"},
		[GT_GC_STW_END] = {GT_EV_STW_END, "g"},
		[GT_GC_ASSIST_BEGIN] = {GT_EV_ASSIST_BEGIN, "gs"},
		[GT_GC_ASSIST_END] = {GT_EV_ASSIST_END, "g"},
		[GT_GC_SWEEP_BEGIN] = {GT_EV_SWEEP_BEGIN, "as"},
		[GT_GC_SWEEP_END] = {GT_EV_SWEEP_END, "a23"},
		[GT_GC_LABEL] = {GT_EV_GO_LABEL, "gl"},
		[GT_GC_PROCS] = {GT_EV_PROCS, "2s"},
		[GT_GC_STACKS] = {GT_EV_STACK_MEMORY, "2"},
		[GT_GC_GOAL] = {GT_EV_HEAP_GOAL, "2"},
	};
	unsigned int op = record->word[1] & 255, arg = record->word[1] >> 48;
	struct gt_event *event;
	int count = 0;

	if (op < GT_GC_BEGIN || op > GT_GC_GOAL || (op == GT_GC_LABEL && (arg < 1 || arg > 3)))
		return -EBADMSG;
	event = add(out, &count, record, ops[op].kind);
	for (unsigned int i = 0; i < sizeof(ops[op].args) && ops[op].args[i]; i++)
		switch (ops[op].args[i]) {
		case 'g':
			event->args[i] = record->word[1] >> 8 & GT_G_MASK;
			break;
		case 'a':
			event->args[i] = arg;
			break;
		case 'w':
			event->args[i] = GT_GO_TEXT_BASE + GT_GO_TEXT_STW + gt_go_stw_reason(arg);
			break;
		case 'l':
			event->args[i] = GT_GO_TEXT_BASE + GT_GO_TEXT_LABEL + arg;
			break;
		case 's':
			event->args[i] = record->word[3] & 0xffffffffu;
			break;
		default:
			event->args[i] = record->word[ops[op].args[i] - '0'];
			break;
		}
	return count;
}

static int decode_timer(const struct gt_record *record, struct gt_event *out)
{
	unsigned int op = record->word[1] & 255;
	uint64_t g = record->word[1] >> 8 & GT_G_MASK, timer = record->word[2] & GT_OBJECT_MASK;
	struct gt_event *event;
	int count = 0;

	switch (op) {
	case GT_TIMER_SET:
	case GT_TIMER_SET_AT: /* the collector makes a distance of it */
		event = add(out, &count, record, GT_EV_TIMER_SET);
		event->args[0] = g;
		event->args[1] = timer;
		event->args[2] = record->word[3];
		break;
	case GT_TIMER_FIRE:
		event = add(out, &count, record, GT_EV_TIMER_FIRE);
		event->args[0] = timer;
		event->args[1] = record->word[3];
		break;
	case GT_TIMER_STOP:
		event = add(out, &count, record, GT_EV_TIMER_STOP);
		event->args[0] = g;
		event->args[1] = timer;
		break;
	default:
		return -EBADMSG;
	}
	return count;
}

static int decode_object(const struct gt_record *record, struct gt_event *out)
{
	uint64_t g = record->word[1] & GT_G_MASK;
	int count = 0;

	if (!g || !GT_OBJECT_WORD_WHAT(record->word[3]))
		return -EBADMSG;
	add_object(out, &count, record, g, record->word[3], record->word[2] & GT_G_MASK);
	return count;
}

int gt_decode(struct gt_decoder *decoder, const uint8_t *wait_reasons, const struct gt_record *record,
	struct gt_event out[GT_DECODE_EVENTS_MAX])
{
	/* Words that a record of the kind has; fewer is damage. */
	static const uint8_t words_min[] = {
		[GT_REC_STATE] = 2,
		[GT_REC_STATE2] = 4,
		[GT_REC_CREATE] = 6,
		[GT_REC_SLOT] = 2,
		[GT_REC_THREAD] = 2,
		[GT_REC_CORO] = 4,
		[GT_REC_MARK] = 6,
		[GT_REC_ALIVE] = 6,
		[GT_REC_OBJECT] = 4,
		[GT_REC_SYSCALL] = 4,
		[GT_REC_HEAP] = 2,
		[GT_REC_TIMER] = 4,
		[GT_REC_GC] = 4,
		[GT_REC_HINT] = 2,
		[GT_REC_ENTER] = 2,
		[GT_REC_LEAVE] = 2,
		[GT_REC_POLLED] = 2,
		[GT_REC_WOKEN] = 2,
		[GT_REC_ALLOC] = 2,
	};
	bool brief = record->kind >= GT_REC_ENTER && record->kind <= GT_REC_WOKEN;
	int count;

	if (record->kind < GT_REC_STATE || record->kind >= GT_REC_END || !words_min[record->kind] ||
		record->words < words_min[record->kind])
		return -EBADMSG;
	if (record->kind == GT_REC_CORO)
		return decode_coro(decoder, record, out);
	if (brief || record->kind == GT_REC_STATE || record->kind == GT_REC_STATE2) {
		bool exits = decoder->coro_exits;

		count = brief ? decode_brief(decoder, wait_reasons, record, out)
			      : decode_state(decoder, wait_reasons, record, out);
		/* Anything that the switch did not announce ends it; a repetition does not. */
		if (count > 0 && !exits)
			decoder->coro_from = decoder->coro_to = 0;
		return count;
	}
	switch (record->kind) {
	case GT_REC_ALIVE:
		return decode_alive(record, out);
	case GT_REC_CREATE:
		return decode_create(record, out);
	case GT_REC_MARK:
		return decode_mark(record, out);
	case GT_REC_OBJECT:
		return decode_object(record, out);
	case GT_REC_SYSCALL:
		return decode_syscall(record, out);
	case GT_REC_HEAP:
		return decode_heap(record, out);
	case GT_REC_HINT:
		return decode_hint(decoder, record);
	case GT_REC_TIMER:
		return decode_timer(record, out);
	case GT_REC_ALLOC:
		return decode_alloc(record, out);
	case GT_REC_GC:
		return decode_gc(record, out);
	default:
		return decode_op(record, out);
	}
}

void gt_decoder_clear(struct gt_decoder *decoder)
{
	free(decoder->hints);
	memset(decoder, 0, sizeof(*decoder));
}
