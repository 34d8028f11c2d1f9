/* standing.c - looks at a thread's registers and stack. */
#include "agent/standing.h"

#include "agent/goread.h"

#include <string.h>
#include <sys/uio.h>

#define STACK_BYTES 16384 /* looked at, from the stack pointer up */
#define FRAMES_MAX  64

/* The functions in which a goroutine's state changes without, or some way behind, a hook's record. */
static const char *const changing[] = {
	"runtime.casgstatus",
	"runtime.newproc1",
	"runtime.reentersyscall",
	"runtime.entersyscallblock",
	"runtime.exitsyscall",
	"runtime.exitsyscallNoP",
	"runtime.exitsyscallfast",
	"runtime.exitsyscallTryGetP",
	"runtime.preemptPark",
	"runtime.coroswitch_m",
	"runtime.casGToPreemptScan",
	"runtime.casfrom_Gscanstatus",
};

static const char *const settled[] = {"runtime.schedule", "runtime.execute", "runtime.stopm", "runtime.gopark"};

static const char *const handlers[] = {
	"runtime.sigtramp",
	"runtime.cgoSigtramp",
	"runtime.sigtrampgo",
	"runtime.sigreturn",
	"runtime.sigreturn__sigaction",
	"runtime.sigprofNonGoWrapper",
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static size_t find_ranges(
	struct gt_gobin *bin, const char *const *names, size_t count, uint64_t slide, struct gt_range *ranges)
{
	struct gt_gofunction function;
	size_t found = 0;

	for (size_t i = 0; i < count; i++)
		if (gt_pclntab_find(bin->pclntab, names[i], &function))
			ranges[found++] = (struct gt_range){function.va + slide, function.va + slide + function.size};
	return found;
}

void gt_places_make(struct gt_gobin *bin, const struct gt_golayout *layout, const struct gt_gohooks *hooks,
	uint64_t slide, struct gt_places *places)
{
	_Static_assert(COUNT(changing) <= COUNT(((struct gt_places *)0)->changing), "too many");
	_Static_assert(COUNT(settled) <= COUNT(((struct gt_places *)0)->settled), "too many");
	_Static_assert(COUNT(handlers) <= COUNT(((struct gt_places *)0)->handlers), "too many");

	memset(places, 0, sizeof(*places));
	places->layout = layout;
	places->text_lo = bin->text + slide;
	places->text_hi = bin->etext + slide;
	for (size_t i = 0; i < hooks->count; i++) {
		const struct gt_site *site = &hooks->probes[i].site;

		places->windows[i] = (struct gt_range){site->va + slide + 1, site->va + slide + site->used};
	}
	places->window_count = hooks->count;
	places->changing_count = find_ranges(bin, changing, COUNT(changing), slide, places->changing);
	places->settled_count = find_ranges(bin, settled, COUNT(settled), slide, places->settled);
	places->handler_count = find_ranges(bin, handlers, COUNT(handlers), slide, places->handlers);
}

static bool in_any(const struct gt_range *ranges, size_t count, uint64_t at)
{
	for (size_t i = 0; i < count; i++)
		if (at >= ranges[i].lo && at < ranges[i].hi)
			return true;
	return false;
}

/* A thread that runs at @at. */
static bool runs_bad(const struct gt_places *places, uint64_t at)
{
	return (at >= places->code.lo && at < places->code.hi) || in_any(places->windows, places->window_count, at) ||
	       in_any(places->handlers, places->handler_count, at);
}

/* A word of a stack: where code goes on later. The address of a handler itself is nothing of the kind: sigaction is given it. */
static bool word_bad(const struct gt_places *places, uint64_t at)
{
	if (at >= places->code.lo && at < places->code.hi)
		return true;
	if (at < places->text_lo || at >= places->text_hi)
		return false;
	return in_any(places->windows, places->window_count, at) ||
	       (in_any(places->handlers, places->handler_count, at) &&
		       in_any(places->handlers, places->handler_count, at - 1));
}

/* 1: a change may be under way; 0: go on to its caller; -1: there is none. */
static int look(const struct gt_places *places, uint64_t pc)
{
	if (in_any(places->settled, places->settled_count, pc))
		return -1;
	return in_any(places->changing, places->changing_count, pc);
}

/* By frame pointers; at a function's begin the return address is on top of the stack. */
static bool is_changing(
	const struct gt_places *places, const struct user_regs_struct *regs, const uint8_t *stack, size_t size)
{
	uint64_t frame = regs->rbp, pc, top = 0;
	int found = look(places, regs->rip);

	if (size >= 8)
		memcpy(&top, stack, 8);
	if (found == 0 && top >= places->text_lo && top < places->text_hi)
		found = look(places, top);
	for (int i = 0; found == 0 && i < FRAMES_MAX; i++) {
		uint64_t at = frame - regs->rsp, caller;

		if (size < 16 || at > size - 16)
			break;
		memcpy(&caller, stack + at, 8);
		memcpy(&pc, stack + at + 8, 8);
		found = look(places, pc);
		if (caller <= frame)
			break;
		frame = caller;
	}
	return found > 0;
}

/*
 * Only as far as the stack goes: behind it lies another one's memory, and what a signal handler left there long ago looks like hooks for as long
 * as nobody writes over it. A thread that sleeps on g0 has some hundred bytes above its stack pointer.
 */
static bool any_bad(
	const struct gt_places *places, pid_t pid, const struct gt_thread *thread, const uint64_t *stack, size_t count)
{
	uint64_t from = thread->regs.rsp & ~7ull;

	for (size_t i = 0; i < count; i++)
		if (word_bad(places, stack[i])) {
			uint64_t end = gt_goread_stack_end(pid, places->layout, thread->regs.fs_base, thread->regs.rsp);

			return !end || from + 8 * i < end;
		}
	return false;
}

enum gt_standing gt_standing(const struct gt_places *places, pid_t pid, const struct gt_thread *thread)
{
	uint64_t stack[STACK_BYTES / 8];
	struct iovec local = {stack, sizeof(stack)};
	/* Page by page: the stack may end soon. */
	struct iovec remote[STACK_BYTES / 4096 + 1];
	uint64_t from = thread->regs.rsp & ~7ull, end = from + sizeof(stack);
	size_t parts = 0, size;
	ssize_t got;

	if (runs_bad(places, thread->regs.rip))
		return GT_STANDING_BAD;
	for (uint64_t at = from; at < end && parts < COUNT(remote);) {
		uint64_t next = (at & ~4095ull) + 4096;

		if (next > end)
			next = end;
		remote[parts++] = (struct iovec){(void *)at, next - at};
		at = next;
	}
	got = process_vm_readv(pid, &local, 1, remote, parts, 0);
	size = got > 0 ? (size_t)got : 0;
	if (any_bad(places, pid, thread, stack, size / 8))
		return GT_STANDING_BAD;
	return is_changing(places, &thread->regs, (const uint8_t *)stack, size) ? GT_STANDING_CHANGING
										: GT_STANDING_WELL;
}
