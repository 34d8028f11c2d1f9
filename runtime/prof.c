/*
 * prof.c - stacks by frame pointers, and the time of a wait.
 */
#include "runtime/prof.h"

#include "base/frames.h"
#include "runtime/malloc/api.h"
#include "runtime/rt.h"

#include <dlfcn.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>

#if defined(__aarch64__)
#define SAVED_BYTES 160u
#else
#define SAVED_BYTES 64u
#endif

/* Of an M's own stack: what the scheduler uses at most. */
#define OWN_STACK_BYTES 65536u
/* A frame of a stack that nobody knows is not farther away than that from sp. */
#define ANY_STACK_BYTES (UINT64_C(64) << 20)

GT_SAN_NO_TSAN const struct gt_g *gt__prof_g(uintptr_t sp)
{
	const struct gt_g *g = gt__stack_find(sp);
	const struct gt_worker *m = gt__worker();

	if (!g && m && m->signal_stack && sp - (uintptr_t)m->signal_stack < GT_SIGNAL_STACK_BYTES)
		g = m->g;
	return g;
}

/* Where frames may lie when the thread's sp is @sp: all of it is mapped, from there to the stack's end. */
static void bounds(uintptr_t sp, uintptr_t *low, uintptr_t *high)
{
	struct gt_g *g = gt__stack_find(sp);
	struct gt_worker *m = gt__worker();
	char *from, *to;

	*low = *high = sp;
	if (g) {
		gt__stack_bounds(g, &from, &to);
		if (sp < (uintptr_t)from)
			return; /* in the guard */
		*high = (uintptr_t)to;
	} else if (m && sp < m->stack_high && m->stack_high - sp < OWN_STACK_BYTES) {
		*high = m->stack_high; /* the scheduler needs less; farther away it is another stack */
	}
}

GT_READS_STACKS size_t gt__walk_here(uintptr_t *pcs, size_t max)
{
	uintptr_t frame = (uintptr_t)__builtin_frame_address(0), low, high;

	bounds(frame, &low, &high);
	return gt_frames_walk(*(const uintptr_t *)frame, low, high, pcs, max);
}

void gt__prof_interrupted(const void *ucontext, uintptr_t *pc, uintptr_t *frame, uintptr_t *sp)
{
	const ucontext_t *context = ucontext;

#if defined(__x86_64__)
	*pc = (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
	*frame = (uintptr_t)context->uc_mcontext.gregs[REG_RBP];
	*sp = (uintptr_t)context->uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
	*pc = context->uc_mcontext.pc;
	*frame = context->uc_mcontext.regs[29];
	*sp = context->uc_mcontext.sp;
#endif
}

/*
 * A function that was stopped before its first two instructions, or at its last, has its caller's frame in the register: the
 * return address is still at sp. The code at @pc was being executed, so it can be read; the bytes before it when they
 * lie on the same page.
 */
static GT_READS_STACKS uintptr_t caller_without_frame(uintptr_t pc, uintptr_t sp, uintptr_t high)
{
#if defined(__x86_64__)
	const uint8_t *code = (const uint8_t *)pc;
	const uintptr_t *at = (const uintptr_t *)sp;

	if (sp % sizeof(*at) || high - sp < 2 * sizeof(*at) || high <= sp)
		return 0;
	if (code[0] == 0x55 || code[0] == 0xc3) /* push %rbp; ret */
		return at[0];
	if ((pc & 4095) && (pc & 4095) < 4093 && code[-1] == 0x55 && code[0] == 0x48 && code[1] == 0x89 &&
		code[2] == 0xe5) /* mov %rsp, %rbp after the push */
		return at[1];
#endif
	return 0;
}

/* Of a thread that is not ours: the kernel reads for us, and says no where a read would fault. */
static size_t walk_unknown(uintptr_t frame, uintptr_t sp, uintptr_t *pcs, size_t max)
{
	uintptr_t high = sp + ANY_STACK_BYTES, low = sp, at[2];
	int error = errno_of_thread;
	size_t depth = 0;
	pid_t self = getpid();

	while (depth < max && frame >= low && frame < high && frame % sizeof(frame) == 0) {
		struct iovec to = {at, sizeof(at)}, from = {(void *)frame, sizeof(at)};

		if (process_vm_readv(self, &to, 1, &from, 1, 0) != (ssize_t)sizeof(at) || at[1] < 4096)
			break;
		pcs[depth++] = at[1] - 1;
		low = frame + 1;
		frame = at[0];
	}
	errno_of_thread = error;
	return depth;
}

GT_READS_STACKS size_t gt__walk_interrupted(uintptr_t pc, uintptr_t frame, uintptr_t sp, uintptr_t *pcs, size_t max)
{
	uintptr_t low, high, caller;
	size_t depth = 0;

	bounds(sp, &low, &high);
	if (depth < max)
		pcs[depth++] = pc;
	caller = low < high ? caller_without_frame(pc, sp, high) : 0;
	if (caller >= 4096 && depth < max)
		pcs[depth++] = caller - 1;
	if (low == high)
		return depth + walk_unknown(frame, sp, pcs + depth, max - depth);
	return depth + gt_frames_walk(frame, low, high, pcs + depth, max - depth);
}

GT_READS_STACKS bool gt__walk_g(const struct gt_g *g, uintptr_t *pcs, size_t max, size_t *depth)
{
	uint32_t runs = load_acquire(&g->runs), state = load_acquire(&g->state);
	const struct gt_worker *bound = *(struct gt_worker *const volatile *)&g->bound;
	uintptr_t pc = 0, frame = 0, low, high;
	uint64_t id = g->id;
	char *from, *to;

	gt__stack_bounds(g, &from, &to);
	low = (uintptr_t)from;
	high = (uintptr_t)to;
	if (state == GT_STATE_SYSCALL) {
		pc = g->syscall_pc;
		frame = g->syscall_frame;
	} else if ((state == GT_STATE_WAITING || state == GT_STATE_RUNNABLE) && bound) {
		const void *stopped = load_acquire(&bound->stopped_at);
		uintptr_t unused;

		if (!stopped)
			return false;
		gt__prof_interrupted(stopped, &pc, &frame, &unused);
		pc++;
	} else if (state == GT_STATE_WAITING || state == GT_STATE_RUNNABLE) {
		const uintptr_t *sp = *(void *const volatile *)&g->context.sp; /* [saved] */

		if ((uintptr_t)sp < low || (uintptr_t)sp >= high || high - (uintptr_t)sp < SAVED_BYTES)
			return false;
#if defined(__x86_64__)
		frame = sp[6];
		pc = sp[7];
#elif defined(__aarch64__)
		frame = sp[18];
		pc = sp[19];
#endif
	} else {
		return false;
	}
	*depth = 0;
	if (pc >= 4096 && max)
		pcs[(*depth)++] = pc - 1;
	*depth += gt_frames_walk(frame, low, high, pcs + *depth, max - *depth);
	atomic_thread_fence(memory_order_acquire);
	return load_relaxed(&g->runs) == runs && load_relaxed(&g->state) == state && g->id == id;
}

/* ---- for libgtrace_malloc ---- */

static bool stack_bounds(uintptr_t sp, uintptr_t *low, uintptr_t *high)
{
	bounds(sp, low, high);
	return gt__stack_find(sp) != NULL;
}

/* The program's stack, where it is a goroutine's; elsewhere its end is not known. */
static void tell_heap(const struct gt_malloc_event *event)
{
	struct gt_worker *m = gt__worker();
	uint64_t id = m && m->g ? m->g->id : 0;
	uint32_t stack = 0;
	uintptr_t low, high;

	if (!gt_hooks_on_for((enum gt_set)(GT_SET_HEAP | GT_SET_ALLOC)))
		return;
	if (m)
		m->locks++;
	if (event->tell && event->freed) {
		gt_hook_free(id, event->at, event->size);
	} else if (event->tell) {
		if (stack_bounds((uintptr_t)__builtin_frame_address(0), &low, &high))
			stack = gt_hook_stack((const void *)event->pc, (const void *)event->frame, (const void *)low,
				(const void *)high);
		gt_hook_alloc(id, event->at, event->size, event->weight, stack);
	}
	if (event->sampled)
		gt_hook_heap(event->live_bytes, event->live_objects);
	if (m)
		m->locks--;
}

void gt__prof_init(void)
{
	static const struct gt_malloc_hooks hooks = {
		.bounds = stack_bounds, .event = tell_heap, .gate = &gt__hook_gate, .every = GT_SET_ALLOC};
	const struct gt_malloc_api *api = dlsym(RTLD_DEFAULT, GT_MALLOC_API_NAME);

	if (api && api->version == GT_MALLOC_API_VERSION)
		api->hooks(&hooks);
}

/* ---- waits ---- */

static bool is_blocking(enum gt_reason reason)
{
	switch (reason) {
	case GT_REASON_CHAN_RECEIVE:
	case GT_REASON_CHAN_SEND:
	case GT_REASON_SELECT:
	case GT_REASON_SEMACQUIRE:
	case GT_REASON_SYNC_COND_WAIT:
	case GT_REASON_SYNC_MUTEX_LOCK:
	case GT_REASON_SYNC_RWMUTEX_RLOCK:
	case GT_REASON_SYNC_RWMUTEX_LOCK:
	case GT_REASON_SYNC_WAITGROUP_WAIT:
		return true;
	default:
		return false;
	}
}

GT_PARKS void gt__prof_park(struct gt_worker *m, struct gt_g *g, enum gt_reason reason)
{
	int64_t since = gt__port_now(), woken;

	store_relaxed(&g->woken_ns, 0);
	gt__leave(m, g, false);
	gt__worker()->locks--;
	/* To the wake, not to the run: what it waits for a P is nobody's lock. 0: the rate was off when it was woken. */
	woken = load_relaxed(&g->woken_ns);
	if (woken && is_blocking(reason) && gt__prof.event)
		gt__prof.event(GT_PROF_BLOCK, woken > since ? woken - since : 0);
}
