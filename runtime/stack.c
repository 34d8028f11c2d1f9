/*
 * stack.c - one reserved region, cut into slots of equal size; the goroutine itself stands near the top of its slot.
 *
 *   | guard page | ............ untouched ............ | stack <- | struct gt_g | 0 .. COLOURS - 1 lines |
 *
 * So an idle goroutine costs the one page that both share. Slots are opened in chunks, in order, and used again by
 * whoever ends (g.c), with the page they touched. Huge pages are off: one would make the whole slot real.
 */
#include "runtime/rt.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#ifndef SYS_process_madvise
#define SYS_process_madvise 440
#endif
#define PIDFD_OF_SELF (-10000) /* since Linux 6.14 */

#define GUARD_BYTES  4096u
#define MPROTECT_MAX 30000u /* two VMAs each; vm.max_map_count is 65530 */
#define CANARY       UINT64_C(0x6b6361747374676e)

#ifdef GT_SAN_ADDRESS
#define CHUNK_SLOTS 16u /* leak search reads all of it */
#else
#define CHUNK_SLOTS 1024u
#endif

static struct {
	char *base;
	size_t slot_bytes;
	uint32_t slots_max;
	struct gt_lock lock;
	uint32_t opened; /* slots that can be read and written */
	_Atomic uint32_t count;
	_Atomic uint32_t unguarded;
	enum { GUARD_MADVISE, GUARD_MPROTECT, GUARD_CANARY } guard;
} stacks;
bool gt__stack_canaries;
GT_API extern const struct gt_inspect gt__inspect; /* below */

/*
 * What many goroutines touch at every switch would lie at the same place of a page, in a few sets of the caches; so they stand at
 * different ones. All of it within half a page: an idle goroutine still needs but one.
 */
#define COLOURS      24u
#define COLOUR_BYTES 64u

#define G_BYTES ((sizeof(struct gt_g) + 63) & ~(size_t)63)

void gt_set_stack_bytes(size_t bytes)
{
	size_t size = 16384;

	while (size < bytes && size < (size_t)1 << 30)
		size *= 2;
	if (!stacks.base)
		stacks.slot_bytes = size;
}

const char *gt_stack_guard(void)
{
	static const char *const names[] = {"guard", "mprotect", "canary"};

	return names[stacks.guard];
}

int gt__stacks_init(void)
{
	const char *text = getenv("GT_STACK_BYTES"), *mode = getenv("GT_STACK_GUARD");
	size_t slots = 1u << 22;

	if (!stacks.slot_bytes)
		gt_set_stack_bytes(text ? strtoull(text, NULL, 10) : 65536);
#if defined(GT_SAN_THREAD) || defined(GT_SAN_ADDRESS)
	slots = 1u << 17;
#endif
	/* As much as there is of addresses: RLIMIT_AS, or a small machine's. */
	for (; slots >= 64; slots /= 2) {
		void *base = mmap(NULL, slots * stacks.slot_bytes, PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);

		if (base != MAP_FAILED) {
			stacks.base = base;
			break;
		}
	}
	if (!stacks.base)
		return -ENOMEM;
	__asm__ volatile("" : : "r"(&gt__inspect)); /* --gc-sections keeps what is used */
	stacks.slots_max = (uint32_t)slots;
	madvise(stacks.base, slots * stacks.slot_bytes, MADV_NOHUGEPAGE);
	/* What writes a core from outside would copy all that is reserved. */
	madvise(stacks.base, slots * stacks.slot_bytes, MADV_DONTDUMP);
	if (mode && strcmp(mode, "mprotect") == 0)
		stacks.guard = GUARD_MPROTECT;
	if (mode && strcmp(mode, "canary") == 0) {
		stacks.guard = GUARD_CANARY;
		gt__stack_canaries = true;
	}
#ifdef GT_SAN_ADDRESS
	stacks.guard = GUARD_MPROTECT; /* leak search must see from the maps what it cannot read */
#endif
	return 0;
}

static char *slot_low(uint32_t slot)
{
	return stacks.base + (size_t)slot * stacks.slot_bytes;
}

struct gt_g *gt__stack_g(uint32_t slot)
{
	return (struct gt_g *)(void *)(slot_low(slot) + stacks.slot_bytes - G_BYTES - slot % COLOURS * COLOUR_BYTES);
}

uint32_t gt__stack_count(void)
{
	return load_acquire(&stacks.count);
}

uint32_t gt__stack_unguarded(void)
{
	return load_relaxed(&stacks.unguarded);
}

size_t gt__stack_bytes(void)
{
	return stacks.slot_bytes;
}

/* A slot's number is written once for ever; the list of who lives (alive.c) reads it beside that, and finds by its swap that it had no use. */
GT_SAN_NO_TSAN void gt__stack_bounds(const struct gt_g *g, char **low, char **high)
{
	*low = slot_low(g->slot) + GUARD_BYTES;
	*high = (char *)(uintptr_t)g;
}

struct gt_g *gt__stack_find(uintptr_t at)
{
	uintptr_t base = (uintptr_t)stacks.base;

	if (!base || at - base >= (uintptr_t)load_acquire(&stacks.count) * stacks.slot_bytes)
		return NULL;
	return gt__stack_g((uint32_t)((at - base) / stacks.slot_bytes));
}

/* Under the lock. */
static bool open_chunk(void)
{
	char *from = slot_low(stacks.opened);
	uint32_t left = stacks.slots_max - stacks.opened, slots = left < CHUNK_SLOTS ? left : CHUNK_SLOTS;
	size_t bytes = slots * stacks.slot_bytes;

	if (!slots || mprotect(from, bytes, PROT_READ | PROT_WRITE) != 0)
		return false;
	stacks.opened += slots;
	madvise(from, bytes, MADV_DODUMP);
	gt_san_stack_memory(from, bytes);
	return true;
}

/* Under the lock. */
static void guard(uint32_t slot)
{
	char *low = slot_low(slot);

	if (stacks.guard == GUARD_MPROTECT && slot < MPROTECT_MAX && mprotect(low, GUARD_BYTES, PROT_NONE) == 0)
		return;
	stacks.guard = GUARD_CANARY;
	store_relaxed(&stacks.unguarded, load_relaxed(&stacks.unguarded) + 1);
	gt__stack_canaries = true;
	*(uint64_t *)(void *)(low + GUARD_BYTES) = CANARY;
}

/* By one call for all, where the kernel does that for the process itself; false: not by this kernel. */
static bool guard_by_madvise(uint32_t first, uint32_t count)
{
	static _Atomic bool one_by_one;
	struct iovec ranges[GT_STACKS_AT_ONCE];
	uint32_t i = 0;

	if (count > 1 && !load_relaxed(&one_by_one) && !gt_san_in_valgrind()) {
		ssize_t done;

		for (i = 0; i < count; i++)
			ranges[i] = (struct iovec){slot_low(first + i), GUARD_BYTES};
		done = syscall(SYS_process_madvise, PIDFD_OF_SELF, ranges, (size_t)count, MADV_GUARD_INSTALL, 0);
		i = done > 0 ? (uint32_t)done / GUARD_BYTES : 0;
		if (i < count)
			store_relaxed(&one_by_one, true);
	}
	for (; i < count; i++)
		if (madvise(slot_low(first + i), GUARD_BYTES, MADV_GUARD_INSTALL) != 0)
			return false;
	return true;
}

static void guard_all(uint32_t first, uint32_t count)
{
	bool old_kernel = !guard_by_madvise(first, count);

	if (!old_kernel)
		return;
	gt__lock(&stacks.lock);
	if (stacks.guard == GUARD_MADVISE)
		stacks.guard = GUARD_MPROTECT;
	for (uint32_t i = 0; i < count; i++)
		guard(first + i);
	gt__unlock(&stacks.lock);
}

struct gt_g *gt__stacks_new(uint32_t want)
{
	int before = *gt_errno_location();
	struct gt_g *list = NULL;
	uint32_t first, count = 0;
	bool by_madvise;

	gt__lock(&stacks.lock);
	first = load_relaxed(&stacks.count);
	if (first < stacks.opened || open_chunk())
		count = stacks.opened - first < want ? stacks.opened - first : want;
	/* From here on others look at them, and find zeros: no goroutine. */
	store_release(&stacks.count, first + count);
	by_madvise = stacks.guard == GUARD_MADVISE;
	for (uint32_t i = 0; i < count && !by_madvise; i++)
		guard(first + i);
	gt__unlock(&stacks.lock);
	if (by_madvise && count)
		guard_all(first, count);
	for (uint32_t i = count; i-- > 0;) {
		struct gt_g *g = gt__stack_g(first + i);

		g->slot = first + i;
		gt__track_first(g, first + i);
		g->next = list;
		list = g;
	}
	*gt_errno_location() = before; /* madvise may have failed, and been done without */
	return list;
}

void gt__stack_check(const struct gt_g *g)
{
	const uint64_t *at = (const uint64_t *)(const void *)(slot_low(g->slot) + GUARD_BYTES);

	/* A slot that was made before canaries has a guard, and a zero here. */
	if (*at != CANARY && *at != 0)
		gt__fatal("stack overflow: goroutine %llu%s%s wrote below its %zu bytes (GT_STACK_BYTES sets more)",
			(unsigned long long)g->id, g->name[0] ? " " : "", g->name, stacks.slot_bytes);
}

/* ---- for debuggers ---- */

/*
 * Where goroutines are and how to read them, without debug information: tools/gdb/gtrace-gdb.py finds it by its name, in a
 * process or a core. New fields are added at the end; what changes otherwise takes a new version.
 */
struct gt_inspect {
	char magic[8];
	uint32_t version, g_bytes;
	/* Of the first slot; in each a struct gt_g is at its end less g_bytes, and less number % colours * colour_bytes. */
	char *const *base;
	const size_t *slot_bytes;
	const _Atomic uint32_t *count;
	struct gt_worker *const *workers;
	const char *const *states, *const *reasons;
	const uint32_t *state_count, *reason_count;
	const _Atomic int64_t *now;
	uint32_t id, parent, state, reason, name, name_bytes, start, sp, bound, since; /* offsets in struct gt_g */
	uint32_t worker_g, worker_thread, worker_next;                                 /* in struct gt_worker */
	uint32_t colours, colour_bytes;
};

#define IN_G(field)      ((uint32_t)offsetof(struct gt_g, field))
#define IN_WORKER(field) ((uint32_t)offsetof(struct gt_worker, field))

const struct gt_inspect gt__inspect = {
	.magic = "gtinsp1",
	.version = 2,
	.g_bytes = G_BYTES,
	.base = &stacks.base,
	.slot_bytes = &stacks.slot_bytes,
	.count = &stacks.count,
	.workers = &gt__sched.all_m,
	.states = gt__state_texts,
	.reasons = gt__reason_texts,
	.state_count = &gt__state_text_count,
	.reason_count = &gt__reason_text_count,
	.now = &gt__sched.coarse_ns,
	.id = IN_G(id),
	.parent = IN_G(parent),
	.state = IN_G(state),
	.reason = IN_G(reason),
	.name = IN_G(name),
	.name_bytes = sizeof(((struct gt_g *)NULL)->name),
	.start = IN_G(start),
	.sp = IN_G(context.sp),
	.bound = IN_G(bound),
	.since = IN_G(waits_since),
	.worker_g = IN_WORKER(g),
	.worker_thread = IN_WORKER(thread),
	.worker_next = IN_WORKER(next_all),
	.colours = COLOURS,
	.colour_bytes = COLOUR_BYTES,
};

/* ---- a write into a guard ---- */

static struct sigaction before_segv;

static void say(const char *text)
{
	if (write(STDERR_FILENO, text, strlen(text)) < 0)
		return;
}

static void say_number(uint64_t number)
{
	char text[24], *at = text + sizeof(text) - 1;

	*at = '\0';
	do
		*--at = (char)('0' + number % 10);
	while (number /= 10);
	say(at);
}

static void on_segv(int signal, siginfo_t *info, void *context)
{
	uintptr_t at = (uintptr_t)info->si_addr, base = (uintptr_t)stacks.base;
	struct gt_worker *m = gt__worker();

	if (at - base < (uintptr_t)load_relaxed(&stacks.count) * stacks.slot_bytes &&
		(at - base) % stacks.slot_bytes < GUARD_BYTES) {
		const struct gt_g *g = gt__stack_g((uint32_t)((at - base) / stacks.slot_bytes));

		say("fatal error: stack overflow\ngoroutine ");
		say_number(g->id);
		if (g->name[0]) {
			say(" ");
			say(g->name);
		}
		say(m && m->g == g ? " [running]" : " [another one wrote into its stack's guard]");
		say(": its stack of ");
		say_number(stacks.slot_bytes);
		say(" bytes is full: set GT_STACK_BYTES or gt_set_stack_bytes to more\n");
		_exit(2);
	}
	/* Not ours: as if this handler were not there, once the instruction runs again. */
	sigaction(SIGSEGV, &before_segv, NULL);
}

int gt__stack_signals(void **signal_stack)
{
	struct sigaction action = {.sa_sigaction = on_segv, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	static _Atomic bool installed;
	stack_t stack = {.ss_size = GT_SIGNAL_STACK_BYTES};

	stack.ss_sp = mmap(NULL, GT_SIGNAL_STACK_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (stack.ss_sp == MAP_FAILED)
		return -ENOMEM;
	*signal_stack = stack.ss_sp;
	sigaltstack(&stack, NULL);
	if (!atomic_exchange(&installed, true))
		sigaction(SIGSEGV, &action, &before_segv);
	return 0;
}

/* ---- contexts ---- */

void *gt__context_new(void *high)
{
	uint64_t *sp = (uint64_t *)((uintptr_t)high & ~(uintptr_t)63);

#if defined(__x86_64__)
	uint32_t mxcsr;
	uint16_t cw;

	__asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(mxcsr), "=m"(cw));
	*--sp = 0; /* after the entry's address is popped, sp is a multiple of 16 */
	*--sp = 0;
	*--sp = (uint64_t)(uintptr_t)gt__entry;
	for (int i = 0; i < 6; i++)
		*--sp = 0;
	*--sp = (uint64_t)cw << 32 | mxcsr;
#elif defined(__aarch64__)
	uint64_t fpcr;

	__asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
	sp -= 22;
	memset(sp, 0, 22 * sizeof(*sp));
	sp[19] = (uint64_t)(uintptr_t)gt__entry;
	sp[20] = fpcr;
#endif
	return sp;
}
