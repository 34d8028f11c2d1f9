/*
 * trace.c - the library's side of the hooks: each record becomes an event at once, and the model judges it.
 *
 * The rules are those of `gtrace check` (format/reading/validate.c): an event that the state machine cannot take is a failure.
 */
#include "tests/schedsim/world.h"

#include "libtrace/decode.h"

#include <string.h>

/* Every set: what is told must be true, too. */
static const _Atomic uint32_t gate = UINT32_MAX;
const _Atomic uint32_t *gt__hook_gate = &gate;
uint8_t *gt__hook_blocks;
__thread struct gt_m *gt__hook_m __attribute__((tls_model("initial-exec")));

static bool is_address(unsigned int kind, unsigned int arg)
{
	enum gt_arg_type type =
		arg < gt_event_specs[kind].arg_count ? gt_event_specs[kind].args[arg].type : GT_ARG_NONE;

	return type == GT_ARG_PC || type == GT_ARG_ADDR;
}

static void judge(struct gt_event *event)
{
	enum gt_model_fit fit;

	event->m = sim_index(sim.current) + 1;
	event->ticks = sim.result.events++;
	event->time_ns = sim.now;
	sim.quiet = 0;
	sim_log_event(event);
	for (unsigned int i = 0; i < 6; i++) {
		uint64_t word = i < 2 ? (i ? (uint64_t)event->kind : event->m) : event->args[i - 2];

		/* An address moves from process to process. */
		if (i >= 2 && is_address(event->kind, i - 2))
			continue;
		sim.result.hash = (sim.result.hash ^ word) * UINT64_C(0x100000001b3);
	}
	fit = gt_model_fits(sim.model, event);
	if (fit != GT_FIT) {
		char text[200];

		gt_model_explain(sim.model, event, fit, text, sizeof(text));
		sim_fail("the trace is impossible: %s", text);
	}
	gt_model_apply(sim.model, event);
}

static bool tell(uint64_t kind, unsigned int words, const uint64_t *from)
{
	static struct gt_decoder decoder;
	struct gt_record record = {.ticks = sim.result.events, .kind = (unsigned int)kind, .words = words};
	struct gt_event events[GT_DECODE_EVENTS_MAX];
	int count;

	memcpy(&record.word[1], from, (words - 1) * sizeof(*from));
	count = gt_decode(&decoder, NULL, &record, events);
	if (count < 0)
		sim_fail("a record of kind %llu that no reader knows", (unsigned long long)kind);
	for (int i = 0; i < count; i++)
		judge(&events[i]);
	return true;
}

bool gt__hook_record1_slow(uint64_t at, uint64_t kind, uint64_t word1)
{
	return tell(kind, 2, &word1);
}

bool gt__hook_record2_slow(uint64_t at, uint64_t kind, uint64_t word1, uint64_t word2, uint64_t word3)
{
	return tell(kind, 4, (const uint64_t[]){word1, word2, word3});
}

bool gt__hook_record3_slow(uint64_t at, uint64_t kind, const uint64_t words[5])
{
	return tell(kind, 6, words);
}

void gt__hook_big_g(void)
{
	sim_fail("a goroutine's id is too big");
}

void gt__hook_thread(enum gt_thread_op op)
{
	uint64_t word = (uint64_t)op | (uint64_t)(sim_index(sim.current) + 1) << 8;

	tell(GT_REC_THREAD, 2, &word);
}

void gt_hook_current(uint64_t (*current)(void))
{
}

uint32_t gt_hook_stack(const void *pc, const void *frame, const void *low, const void *high)
{
	return 0;
}

/* The trace begins with the program: nobody is there before it. */
void gt_hook_world(const struct gt_hook_world *world)
{
}

void gt_hook_m_at(_Atomic uint32_t *at)
{
}

bool gt_hook_watch(_Atomic uint32_t *asleep)
{
	(void)asleep;
	return false;
}

uint32_t gt_hook_m(_Atomic uint32_t *at, uint32_t tid)
{
	return 0;
}
