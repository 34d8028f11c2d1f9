/* cost.c - see cost.h. */
#include "cli/cost.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#define SAMPLE_NS  1000000000
#define RING_WORDS 8192 /* 64 KiB: as much of the caches as blocks take */
#define SLOTS      4096
#define FRAMES_MAX 8 /* of a usual stack */
#define ROUNDS     9
#define RECORDS    500

/* ---- how long a record takes ---- */

struct frame {
	const struct frame *caller;
	uint64_t pc;
};

static uint64_t ring[RING_WORDS], slots[SLOTS], position;
static struct frame frames[FRAMES_MAX + 1];

/* Room by an addition that no signal can split, the clock, the payload, word 0 last. */
__attribute__((noinline)) static void put_record(uint64_t payload)
{
	uint64_t at = 32, *cell;

	__asm__ volatile("" : "+r"(payload), "+r"(at));
#ifdef __x86_64__
	__asm__ volatile("xaddq %0, %1" : "+r"(at), "+m"(position) : : "cc", "memory");
#else
	at = __atomic_fetch_add(&position, at, __ATOMIC_RELAXED);
#endif
	cell = &ring[at / 8 % RING_WORDS];
	cell[1] = payload;
	cell[2] = payload + 1;
	__atomic_store_n(&cell[0], gt_ticks(), __ATOMIC_RELEASE);
}

/* Each frame is checked and goes into a hash, under which the stack's id is found. */
__attribute__((noinline)) static uint64_t take_stack(const struct frame *frame, unsigned int depth)
{
	uint64_t hash = 0x9e3779b97f4a7c15;

	for (unsigned int i = 0; i < depth && frame && frame->pc; i++, frame = frame->caller)
		hash = (hash ^ frame->pc) * 0xff51afd7ed558ccd;
	return slots[hash >> 32 & (SLOTS - 1)];
}

static double each_ns(unsigned int depth)
{
	double best = 0;

	for (int round = 0; round < ROUNDS; round++) {
		int64_t begin = gt_monotonic_ns();
		double each;

		for (uint64_t i = 0; i < RECORDS; i++)
			put_record(depth ? take_stack(frames, depth) : i);
		each = (double)(gt_monotonic_ns() - begin) / RECORDS;
		if (round == 0 || each < best)
			best = each;
	}
	return best;
}

void gt_cost_begin(struct gt_cost *cost, unsigned int stack_depth)
{
	unsigned int depth = stack_depth < FRAMES_MAX ? stack_depth : FRAMES_MAX;
	double with;

	*cost = (struct gt_cost){0};
	for (unsigned int i = 0; i < FRAMES_MAX; i++)
		frames[i] = (struct frame){&frames[i + 1], 0x400000 + 4096 * (uint64_t)i};
	cost->record_ns = each_ns(0);
	with = depth ? each_ns(depth) : cost->record_ns;
	cost->stack_ns = with > cost->record_ns ? with - cost->record_ns : 0;
}

/* ---- CPU times ---- */

static int64_t own_ns(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000ll +
	       (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000ll;
}

static void keep(struct gt_cost *cost)
{
	const struct gt_cost_sample *last = &cost->samples[(cost->count + GT_COST_SAMPLES - 1) % GT_COST_SAMPLES];

	if (cost->count && cost->now.at_ns - last->at_ns < SAMPLE_NS)
		return;
	cost->samples[cost->count++ % GT_COST_SAMPLES] = cost->now;
}

void gt_cost_program(struct gt_cost *cost, pid_t pid)
{
	cost->known = clock_getcpuclockid(pid, &cost->clock) == 0;
	cost->count = 0;
	cost->now.program_ns = 0;
	gt_cost_step(cost);
}

void gt_cost_step(struct gt_cost *cost)
{
	struct timespec used;

	cost->now.at_ns = gt_monotonic_ns();
	cost->now.own_ns = own_ns();
	/* Of one that is gone, the last is what is known. */
	if (cost->known && clock_gettime(cost->clock, &used) == 0)
		cost->now.program_ns = used.tv_sec * 1000000000ll + used.tv_nsec;
	keep(cost);
}

void gt_cost_ended(struct gt_cost *cost, int64_t program_ns)
{
	cost->known = false;
	cost->now.program_ns = program_ns;
	gt_cost_step(cost);
}

/* How it stood then, about, or at the oldest moment that is known: between two samples time went evenly. */
static struct gt_cost_sample sample_at(const struct gt_cost *cost, int64_t at_ns)
{
	uint64_t at = cost->count > GT_COST_SAMPLES ? cost->count - GT_COST_SAMPLES : 0;
	const struct gt_cost_sample *before, *behind = &cost->now;
	double share;

	while (at + 1 < cost->count && cost->samples[(at + 1) % GT_COST_SAMPLES].at_ns <= at_ns)
		at++;
	before = &cost->samples[at % GT_COST_SAMPLES];
	if (at + 1 < cost->count)
		behind = &cost->samples[(at + 1) % GT_COST_SAMPLES];
	if (at_ns <= before->at_ns || behind->at_ns <= before->at_ns)
		return *before;
	share = (double)(at_ns - before->at_ns) / (double)(behind->at_ns - before->at_ns);
	return (struct gt_cost_sample){
		.at_ns = at_ns,
		.program_ns = before->program_ns + (int64_t)(share * (double)(behind->program_ns - before->program_ns)),
		.own_ns = before->own_ns + (int64_t)(share * (double)(behind->own_ns - before->own_ns)),
	};
}

int64_t gt_cost_program_ns(const struct gt_cost *cost)
{
	return cost->now.program_ns - sample_at(cost, 0).program_ns;
}

/* ---- what it says ---- */

double gt_cost_hooks_ns(const struct gt_cost *cost, const uint64_t by_kind[GT_EVENT_KIND_COUNT], uint64_t *records)
{
	/* These stand in the record of the event beside them, or are told by nobody's hook. */
	static const uint8_t beside[] = {GT_EV_WAITS_ON, GT_EV_WAKE_CAUSE, GT_EV_ALLOC_TYPE, GT_EV_LOST, GT_EV_FD_NAME};
	uint64_t count = 0, with_stack = 0;

	for (unsigned int kind = 0; kind < GT_EV_CPU_IN; kind++) {
		const struct gt_event_spec *spec = &gt_event_specs[kind];
		bool stack = false;

		if (memchr(beside, (int)kind, sizeof(beside)))
			continue;
		for (unsigned int i = 0; i < spec->arg_count; i++)
			stack |= spec->args[i].type == GT_ARG_STACK;
		count += by_kind[kind];
		with_stack += stack ? by_kind[kind] : 0;
	}
	/* So does the PStart of one that leaves a system call with its P: all but as many as gave theirs up. */
	if (by_kind[GT_EV_P_START] > by_kind[GT_EV_P_STOP])
		count -= by_kind[GT_EV_P_START] - by_kind[GT_EV_P_STOP];
	*records = count;
	return (double)count * cost->record_ns + (double)with_stack * cost->stack_ns;
}

void gt_cost_write(const struct gt_cost *cost, struct gt_writer *writer, const struct gt_cost_span *span)
{
	const struct gt_cost_sample from = sample_at(cost, cost->now.at_ns - span->span_ns);
	char text[256];
	uint64_t records;
	double hooks_ns = gt_cost_hooks_ns(cost, span->by_kind, &records);

	snprintf(text, sizeof(text),
		"events=%" PRIu64 " bytes=%" PRIu64 " span_ns=%" PRId64
		" record_ns=%.1f hooks_ns=%.0f program_ns=%" PRId64 " own_ns=%" PRId64,
		span->events, span->bytes, span->span_ns, records ? hooks_ns / (double)records : cost->record_ns,
		hooks_ns, cost->now.program_ns - from.program_ns, cost->now.own_ns - from.own_ns);
	gt_writer_meta(writer, "recorder", text);
}
