/*
 * traceback.c - where goroutines are, in words: states, reasons, stacks by frame pointers.
 */
#include "runtime/traceback.h"

#include "runtime/symbols.h"

#include <inttypes.h>
#include <string.h>
#include <ucontext.h>

const char *const gt__state_texts[] = {
#define GT_STATE(number, name, text, meaning) [number] = text,
#include <gtrace/states.def>
#undef GT_STATE
};
const uint32_t gt__state_text_count = sizeof(gt__state_texts) / sizeof(*gt__state_texts);

const char *const gt__reason_texts[] = {
#define GT_REASON(number, name, text) [number] = text,
#include <gtrace/reasons.def>
#undef GT_REASON
};
const uint32_t gt__reason_text_count = sizeof(gt__reason_texts) / sizeof(*gt__reason_texts);

const char *gt__state_text(const struct gt_g *g)
{
	uint32_t state = load_acquire(&g->state);

	if (state == GT_STATE_WAITING && (size_t)g->reason < gt__reason_text_count && gt__reason_texts[g->reason])
		return gt__reason_texts[g->reason];
	return state < gt__state_text_count && gt__state_texts[state] ? gt__state_texts[state] : "?";
}

/* ---- stacks ---- */

/* Where a walk begins: the innermost pc, and the frame record of whoever called that. */
struct walk {
	uintptr_t pc, frame;
};

/* Other goroutines' frames, in whatever state: sanitizers would see races, and redzones. */
#if defined(GT_SAN_ADDRESS)
#define UNCHECKED __attribute__((no_sanitize("address"))) GT_SAN_NO_TSAN
#else
#define UNCHECKED GT_SAN_NO_TSAN
#endif

static UNCHECKED bool walk_begin(const struct gt_g *g, struct walk *walk)
{
	const struct gt_worker *bound = g->bound;
	const uintptr_t *sp = g->context.sp;

	switch (load_acquire(&g->state)) {
	case GT_STATE_SYSCALL:
		*walk = (struct walk){g->syscall_pc, g->syscall_frame};
		return true;
	case GT_STATE_WAITING:
	case GT_STATE_RUNNABLE:
		break;
	default:
		return false;
	}
	if (bound) {
		const ucontext_t *stopped = load_acquire(&bound->stopped_at);

		if (!stopped)
			return false;
#if defined(__x86_64__)
		*walk = (struct walk){
			(uintptr_t)stopped->uc_mcontext.gregs[REG_RIP], (uintptr_t)stopped->uc_mcontext.gregs[REG_RBP]};
#elif defined(__aarch64__)
		*walk = (struct walk){stopped->uc_mcontext.pc, stopped->uc_mcontext.regs[29]};
#endif
		return true;
	}
	/* What gt__switch left there; nothing while it is on its way (prof.h). */
	if (!sp)
		return false;
#if defined(__x86_64__)
	*walk = (struct walk){sp[7], sp[6]};
#elif defined(__aarch64__)
	*walk = (struct walk){sp[19], sp[18]};
#endif
	/* Not begun: where it will. */
	if (walk->pc == (uintptr_t)gt__entry)
		*walk = (struct walk){(uintptr_t)g->start + 1, 0};
	return true;
}

static UNCHECKED uint32_t walk_on(const struct gt_g *g, struct walk walk, uintptr_t *pcs, uint32_t max, uint32_t *more)
{
	uint32_t count = 0, left_out = 0;
	uintptr_t low, high;
	char *from, *to;

	gt__stack_bounds(g, &from, &to);
	low = (uintptr_t)from;
	high = (uintptr_t)to;
	while (walk.pc) {
		const uintptr_t *at = (const uintptr_t *)walk.frame;

		if (count < max)
			pcs[count++] = walk.pc;
		else
			left_out++;
		if (walk.frame < low || walk.frame > high - 16 || walk.frame % 8 != 0)
			break;
		low = walk.frame + 1; /* outwards only */
		walk = (struct walk){at[1], at[0]};
	}
	if (more)
		*more = left_out;
	return count;
}

/* What the linker calls the ends of the section of GT_PARKS. */
extern const char __start_gt_parks[] __attribute__((visibility("hidden")));
extern const char __stop_gt_parks[] __attribute__((visibility("hidden")));

#define PARK_FRAMES 8 /* from the switch to the function that waits */

UNCHECKED bool gt__waits_at(const struct gt_g *g, const void **pc, const void **frame)
{
	uintptr_t begin = (uintptr_t)__start_gt_parks, size = (uintptr_t)__stop_gt_parks - begin, low, high;
	struct walk walk;
	bool parks = false;
	char *from, *to;

	if (g->bound || load_acquire(&g->state) == GT_STATE_SYSCALL || !walk_begin(g, &walk))
		return false;
	gt__stack_bounds(g, &from, &to);
	low = (uintptr_t)from;
	high = (uintptr_t)to;
	for (int i = 0; i < PARK_FRAMES; i++) {
		const uintptr_t *at = (const uintptr_t *)walk.frame;

		if (walk.pc - begin < size) {
			parks = true;
		} else if (parks) {
			*pc = (const void *)walk.pc;
			*frame = (const void *)walk.frame;
			return true;
		}
		if (walk.frame < low || walk.frame > high - 16 || walk.frame % 8 != 0)
			return false;
		low = walk.frame + 1;
		walk = (struct walk){at[1], at[0]};
	}
	return false;
}

uint32_t gt__traceback(const struct gt_g *g, uintptr_t *pcs, uint32_t max, uint32_t *more)
{
	struct walk walk;

	if (more)
		*more = 0;
	return walk_begin(g, &walk) ? walk_on(g, walk, pcs, max, more) : 0;
}

uint32_t gt__traceback_here(const struct gt_g *g, const void *frame, uintptr_t *pcs, uint32_t max, uint32_t *more)
{
	const uintptr_t *at = frame;

	return walk_on(g, (struct walk){at[1], at[0]}, pcs, max, more);
}

/* ---- in words ---- */

static void print_frame(FILE *out, uintptr_t pc)
{
	struct gt_symbol symbol;

	gt__symbol_of(pc - 1, &symbol); /* a return address may be the next function's first */
	if (symbol.name)
		fprintf(out, "\t%s+0x%" PRIxPTR "\n", symbol.name, symbol.offset + 1);
	else
		fprintf(out, "\t%s(+0x%" PRIxPTR ")\n", symbol.module, symbol.offset + 1);
}

/* gt__g_main and gt__entry, below every goroutine's own function. */
static bool is_begin(uintptr_t pc)
{
	struct gt_symbol symbol;

	gt__symbol_of(pc - 1, &symbol);
	return symbol.name && (strcmp(symbol.name, "gt__g_main") == 0 || strcmp(symbol.name, "gt__entry") == 0);
}

void gt__print_goroutine(FILE *out, const struct gt_g *g, const void *frame)
{
	uint32_t state = load_acquire(&g->state), count, more = 0;
	int64_t since = g->waits_since;
	uintptr_t pcs[GT_TRACEBACK_FRAMES];
	char name[sizeof(g->name)];

	memcpy(name, g->name, sizeof(name));
	name[sizeof(name) - 1] = '\0';
	fprintf(out, "goroutine %" PRIu64 " [%s", g->id, gt__state_text(g));
	if (state == GT_STATE_WAITING && since && gt__port_now() - since >= 60 * GT_SECOND)
		fprintf(out, ", %" PRId64 " minutes", (gt__port_now() - since) / (60 * GT_SECOND));
	fprintf(out, "]:%s%s\n", name[0] ? " " : "", name);
	count = frame ? gt__traceback_here(g, frame, pcs, GT_TRACEBACK_FRAMES, &more)
		      : gt__traceback(g, pcs, GT_TRACEBACK_FRAMES, &more);
	if (!count)
		fprintf(out, "\tgoroutine running on another thread; stack unavailable\n");
	while (!more && count > 1 && is_begin(pcs[count - 1]))
		count--;
	for (uint32_t i = 0; i < count; i++)
		print_frame(out, pcs[i]);
	if (more)
		fprintf(out, "\t...%" PRIu32 " frames more...\n", more);
	if (g->parent)
		fprintf(out, "created by goroutine %" PRIu64 "\n", g->parent);
}

void gt__print_all(FILE *out, const struct gt_g *first, const void *frame, uint32_t max)
{
	uint32_t count = gt__stack_count(), printed = 0, left_out = 0;

	if (first) {
		fputc('\n', out);
		gt__print_goroutine(out, first, frame);
	}
	for (uint32_t i = 0; i < count; i++) {
		const struct gt_g *g = gt__stack_g(i);
		uint32_t state = load_acquire(&g->state);

		if (g == first || state == GT_STATE_NONE || state == GT_STATE_DEAD)
			continue;
		if (printed == max) {
			left_out++;
			continue;
		}
		printed++;
		fputc('\n', out);
		gt__print_goroutine(out, g, NULL);
	}
	if (left_out)
		fprintf(out, "\n...%" PRIu32 " goroutines more...\n", left_out);
}
