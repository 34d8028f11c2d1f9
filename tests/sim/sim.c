/*
 * sim.c - the scheduler's contract on one thread: actors, chance, a clock.
 */
#include "tests/sim/sim.h"

#include "model/model.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#define STACK_BYTES (64 * 1024)
#define STEPS_MAX   2000000

struct actor {
	struct gt_g g; /* first: a goroutine's; id 0 for helpers */
	ucontext_t context;
	char *stack;
	void *fake_stack;
	void (*fn)(void *arg);
	void *argument;
	struct actor *next_all;
	size_t runnable_at; /* index + 1 in the list of those that can go on, 0: waits */
	bool waiting;       /* parked, from the point of view of the trace */
	bool dead;
};

struct gt_timers {
	int dummy;
};

static struct {
	uint64_t random;
	uint32_t switch_one_in; /* how often a step lets another go on */
	struct actor *current;
	struct actor *all;
	struct actor *free_helpers;
	struct actor **runnable;
	size_t runnable_count, runnable_space;
	struct gt_timer **timers;
	size_t timer_count, timer_space;
	struct gt_timers heap;
	struct call *calls;
	uint64_t ids;
	size_t live;
	int64_t now;
	ucontext_t outside;
	void *outside_fake_stack;
	const void *outside_bottom;
	size_t outside_size;
	struct sim_result result;
	struct gt_model *model;
	bool in_model; /* its memory is not the program's */
	struct actor *settling;
	bool main_left; /* by gt_exit: the others go on */
} sim;

static void poison(void *at, size_t size)
{
#if defined(__SANITIZE_ADDRESS__)
	__asan_poison_memory_region(at, size);
#endif
}

static void unpoison(void *at, size_t size)
{
#if defined(__SANITIZE_ADDRESS__)
	__asan_unpoison_memory_region(at, size);
#endif
}

/* Stacks stay from run to run. */
static char *stacks[4096];
static size_t stack_count;

_Atomic uint32_t gt__preempt_wanted = 1; /* so that every checkpoint is a step */

/* ---- memory ---- */

/*
 * What the runtime under test allocates lies in one region, in the order of allocation: locks are taken in the order of addresses, and
 * the same seed must give the same run in every process. Nothing is used twice in a run, so that ASan sees a use
 * after free. Linked with --wrap=malloc,--wrap=calloc,--wrap=free.
 */
#define HEAP_BYTES (16 * 1024 * 1024)
#define HEAP_GAP   32
#define HEAP_LIVE  UINT64_C(0x6c6976656c697665)

void *__real_malloc(size_t size);
void __real_free(void *at);
void *__wrap_malloc(size_t size);
void __wrap_free(void *at);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

static char *heap;
static size_t heap_used;

static bool in_heap(const void *at)
{
	return heap && (const char *)at >= heap && (const char *)at < heap + HEAP_BYTES;
}

void *__wrap_calloc(size_t count, size_t size)
{
	void *at;

	if (!sim.current || sim.in_model)
		return __real_calloc(count, size);
	at = __wrap_malloc(count * size);
	return at ? memset(at, 0, count * size) : NULL;
}

void *__wrap_malloc(size_t size)
{
	size_t whole = (size + 15) / 16 * 16 + HEAP_GAP;
	uint64_t *head;

	if (!sim.current || sim.in_model)
		return __real_malloc(size);
	if (size > HEAP_BYTES || heap_used + whole > HEAP_BYTES)
		return NULL;
	head = (uint64_t *)(void *)(heap + heap_used);
	heap_used += whole;
	unpoison(head, size + HEAP_GAP);
	head[0] = HEAP_LIVE;
	head[1] = size;
	memset(head + 4, 0xa5, size);
	sim.result.allocated++;
	return head + 4;
}

void __wrap_free(void *at)
{
	uint64_t *head;

	if (!in_heap(at)) {
		__real_free(at);
		return;
	}
	head = (uint64_t *)at - 4;
	if (head[0] != HEAP_LIVE)
		sim_fail("free of what is not allocated");
	head[0] = 0;
	memset(head + 4, 0xdd, head[1]);
	poison(head + 4, head[1]);
	sim.result.allocated--;
}

static void heap_reset(void)
{
	if (!heap)
		heap = mmap(
			NULL, HEAP_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (heap == MAP_FAILED)
		abort();
	heap_used = 0;
	poison(heap, HEAP_BYTES);
}

/* ---- chance ---- */

static uint64_t next_random(void)
{
	uint64_t z = (sim.random += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

uint32_t gt__random(void)
{
	return (uint32_t)next_random();
}

uint32_t sim_below(uint32_t n)
{
	return gt__random_below(n);
}

/* ---- switching ---- */

static void switch_to(struct actor *from, struct actor *to)
{
	ucontext_t *save = from ? &from->context : &sim.outside;
	ucontext_t *load = to ? &to->context : &sim.outside;

#if defined(__SANITIZE_ADDRESS__)
	void **fake = from ? &from->fake_stack : &sim.outside_fake_stack;

	__sanitizer_start_switch_fiber(from && from->dead ? NULL : fake, to ? to->stack : sim.outside_bottom,
		to ? STACK_BYTES : sim.outside_size);
#endif
	sim.current = to;
	swapcontext(save, load);
#if defined(__SANITIZE_ADDRESS__)
	__sanitizer_finish_switch_fiber(from ? from->fake_stack : sim.outside_fake_stack, NULL, NULL);
#endif
}

static _Noreturn void end_run(enum sim_end end, const char *format, va_list args)
{
	struct actor *from = sim.current;

	sim.result.end = end;
	vsnprintf(sim.result.text, sizeof sim.result.text, format, args);
	switch_to(from, NULL);
	__builtin_unreachable();
}

static _Noreturn void __attribute__((format(printf, 2, 3))) end_with(enum sim_end end, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	end_run(end, format, args);
}

void sim_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	end_run(SIM_BROKEN, format, args);
}

static void set_runnable(struct actor *a)
{
	if (sim.runnable_count == sim.runnable_space) {
		sim.runnable_space = sim.runnable_space ? 2 * sim.runnable_space : 64;
		sim.runnable = realloc(sim.runnable, sim.runnable_space * sizeof *sim.runnable);
		if (!sim.runnable)
			abort();
	}
	sim.runnable[sim.runnable_count++] = a;
	a->runnable_at = sim.runnable_count;
}

static void set_waiting(struct actor *a)
{
	struct actor *last = sim.runnable[--sim.runnable_count];

	sim.runnable[a->runnable_at - 1] = last;
	last->runnable_at = a->runnable_at;
	a->runnable_at = 0;
}

static void run_due_timer(int64_t until);

/* Somebody goes on; the current one too, when it can. */
static void switch_away(void)
{
	struct actor *from = sim.current;
	struct actor *to;

	if (++sim.result.steps > STEPS_MAX)
		end_with(SIM_ENDLESS, "no end after %d steps", STEPS_MAX);
	if (sim.timer_count && !sim.settling && !(next_random() & 31))
		run_due_timer(sim.now + GT_SECOND * 3600);
	while (!sim.runnable_count) {
		if (sim.settling) {
			set_runnable(sim.settling);
			sim.settling = NULL;
		} else if (sim.timer_count) {
			run_due_timer(INT64_MAX);
		} else {
			sim.result.main_reason = sim_reason(1);
			end_with(SIM_DEADLOCK, "all goroutines are asleep - deadlock!");
		}
	}
	to = sim.runnable[gt__random_below((uint32_t)sim.runnable_count)];
	if (to != from)
		switch_to(from, to);
}

static void step(void)
{
	if (!gt__random_below(sim.switch_one_in))
		switch_away();
}

void sim_settle(void)
{
	sim.settling = sim.current;
	set_waiting(sim.current);
	switch_away();
}

/* ---- the trace ---- */

static void tell(uint64_t m, enum gt_event_kind kind, uint64_t a, uint64_t b, uint64_t c)
{
	struct gt_event event = {.ticks = sim.result.transitions++, .m = m, .kind = kind, .args = {a, b, c}};
	enum gt_model_fit fit;

	event.time_ns = (int64_t)event.ticks;
	fit = gt_model_fits(sim.model, &event);
	for (unsigned int i = 0; i < 5; i++) {
		uint64_t word = (const uint64_t[]){m, kind, a, b, c}[i];

		sim.result.hash = (sim.result.hash ^ word) * 0x100000001b3u;
	}
	if (fit != GT_FIT) {
		char text[200];

		gt_model_explain(sim.model, &event, fit, text, sizeof text);
		sim_fail("impossible transition: %s", text);
	}
	sim.in_model = true;
	gt_model_apply(sim.model, &event);
	sim.in_model = false;
}

/* Each goroutine has an M and a P of its own; their number is its id. */
static void tell_run(struct actor *a)
{
	tell(a->g.id, GT_EV_GO_RUN, a->g.id, GT_STATE_RUNNABLE, a->g.id + 1);
}

/* ---- actors ---- */

static void entry(void);

static struct actor *actor_new(void)
{
	struct actor *a = __real_calloc(1, sizeof *a);

	if (!a)
		abort();
	a->stack = stack_count ? stacks[--stack_count]
			       : mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (a->stack == MAP_FAILED)
		abort();
	unpoison(a->stack, STACK_BYTES);
	getcontext(&a->context);
	a->context.uc_stack.ss_sp = a->stack;
	a->context.uc_stack.ss_size = STACK_BYTES;
	a->context.uc_link = NULL;
	makecontext(&a->context, entry, 0);
	a->next_all = sim.all;
	sim.all = a;
	return a;
}

static void helper_loop(struct actor *self)
{
	for (;;) {
		self->fn(self->argument);
		self->g.next = (struct gt_g *)sim.free_helpers;
		sim.free_helpers = self;
		set_waiting(self);
		switch_away();
	}
}

static _Noreturn void goroutine_end(void)
{
	struct actor *self = sim.current;

	if (self->g.then)
		self->g.then(self->g.then_arg);
	tell(self->g.id, GT_EV_GO_END, self->g.id, 0, 0);
	sim.live--;
	self->dead = true;
	set_waiting(self);
	if (self->g.id == 1 && !sim.main_left)
		end_with(SIM_RETURNED, "returned");
	switch_away();
	__builtin_unreachable();
}

static void entry(void)
{
	struct actor *self = sim.current;

#if defined(__SANITIZE_ADDRESS__)
	const void *bottom;
	size_t size;

	__sanitizer_finish_switch_fiber(NULL, &bottom, &size);
	if (!sim.outside_bottom) {
		sim.outside_bottom = bottom;
		sim.outside_size = size;
	}
#endif
	if (!self->g.id)
		helper_loop(self);
	tell_run(self);
	self->fn(self->argument);
	goroutine_end();
}

/* Runs @fn on a stack of nobody's, some time from now. */
static void help(void (*fn)(void *arg), void *arg)
{
	struct actor *a = sim.free_helpers;

	if (a)
		sim.free_helpers = (struct actor *)a->g.next;
	else
		a = actor_new();
	a->fn = fn;
	a->argument = arg;
	set_runnable(a);
}

static struct actor *spawn(void (*fn)(void *arg), void *arg)
{
	struct actor *a = actor_new();
	uint64_t parent = sim.current ? sim.current->g.id : 0;

	a->g.id = ++sim.ids;
	a->g.parent = parent;
	a->fn = fn;
	a->argument = arg;
	sim.live++;
	tell(a->g.id, GT_EV_P_START, a->g.id + 1, 0, 0);
	tell(parent ? parent : a->g.id, GT_EV_GO_CREATE, a->g.id, GT_STATE_RUNNABLE, parent);
	set_runnable(a);
	return a;
}

uint64_t gt_go(void (*fn)(void *arg), void *arg)
{
	uint64_t id = spawn(fn, arg)->g.id;

	step();
	return id;
}

uint64_t gt__go_then(void (*fn)(void *arg), void *arg, void (*then)(void *then_arg), void *then_arg, const void *site)
{
	struct actor *a = spawn(fn, arg);

	a->g.then = then;
	a->g.then_arg = then_arg;
	step();
	return a->g.id;
}

void gt_exit(void)
{
	sim.main_left = sim.main_left || sim.current->g.id == 1;
	goroutine_end();
}

uint64_t gt_id(void)
{
	return sim.current ? sim.current->g.id : 0;
}

int *gt_errno_location(void)
{
	return __errno_location();
}

struct gt_g *gt__self(void)
{
	return sim.current && sim.current->g.id ? &sim.current->g : NULL;
}

enum gt_reason sim_reason(uint64_t g)
{
	for (struct actor *a = sim.all; a; a = a->next_all) {
		if (a->g.id == g)
			return a->waiting ? a->g.reason : GT_REASON_UNKNOWN;
	}
	return GT_REASON_UNKNOWN;
}

size_t sim_live(void)
{
	return sim.live;
}

/* ---- locks ---- */

void gt__lock(struct gt_lock *lock)
{
	step();
	while (lock->state)
		switch_away();
	lock->state = 1;
}

bool gt__lock_try(struct gt_lock *lock)
{
	step();
	if (lock->state)
		return false;
	lock->state = 1;
	return true;
}

void gt__unlock(struct gt_lock *lock)
{
	if (lock->state != 1)
		sim_fail("unlock of a lock that is not held");
	lock->state = 0;
	step();
}

/* ---- park and ready ---- */

struct unlocking {
	void (*fn)(void *arg);
	void *arg;
};

static void park(void (*unlock)(void *arg), void *arg, enum gt_reason reason)
{
	struct actor *self = sim.current;

	if (!self->g.id)
		sim_fail("park of no goroutine");
	self->g.reason = reason;
	self->waiting = true;
	tell(self->g.id, GT_EV_GO_BLOCK, self->g.id, reason, 0);
	set_waiting(self);
	if (unlock)
		help(unlock, arg);
	switch_away();
	tell_run(self);
}

void gt__park(void (*unlock)(void *arg), void *arg, enum gt_reason reason)
{
	park(unlock, arg, reason);
}

static void unlock_one(void *arg)
{
	gt__unlock(arg);
}

void gt__park_unlock(struct gt_lock *lock, enum gt_reason reason)
{
	park(unlock_one, lock, reason);
}

void gt__ready(struct gt_g *g)
{
	struct actor *a = (struct actor *)g;

	if (a->dead || !a->waiting)
		sim_fail("ready of goroutine %llu, which does not wait", (unsigned long long)g->id);
	a->waiting = false;
	tell(sim.current->g.id ? sim.current->g.id : UINT64_C(1) << 31, GT_EV_GO_READY, g->id, GT_STATE_WAITING,
		sim.current->g.id);
	set_runnable(a);
	step();
}

void gt__yield(void)
{
	struct actor *self = sim.current;

	tell(self->g.id, GT_EV_GO_YIELD, self->g.id, GT_REASON_GOSCHED, 0);
	switch_away();
	tell_run(self);
}

void gt__yield_local(void)
{
	gt__yield();
}

void gt_yield(void)
{
	gt__yield();
}

void gt__checkpoint_slow(void)
{
	step();
}

bool gt__spin_worth(unsigned int round)
{
	return round < 4 && gt__random() & 1;
}

void gt__spin(void)
{
	switch_away();
}

/* ---- time ---- */

int64_t gt__now(void)
{
	sim.now += 1 + gt__random_below(1000);
	return sim.now;
}

static void timer_forget(size_t at)
{
	sim.timers[at]->heap = NULL;
	sim.timers[at] = sim.timers[--sim.timer_count];
}

static void timer_add(struct gt_timer *timer)
{
	if (sim.timer_count == sim.timer_space) {
		sim.timer_space = sim.timer_space ? 2 * sim.timer_space : 64;
		sim.timers = realloc(sim.timers, sim.timer_space * sizeof(struct gt_timer *));
		if (!sim.timers)
			abort();
	}
	timer->heap = &sim.heap;
	sim.timers[sim.timer_count++] = timer;
}

struct call {
	struct call *next, **link; /* those not begun yet, for the run's end */
	struct gt_timer *timer;
	void (*fn)(void *arg);
	void *arg;
};

static void timer_call(void *arg)
{
	struct call call = *(struct call *)arg;

	*call.link = call.next;
	if (call.next)
		call.next->link = call.link;
	__real_free(arg);
	call.fn(call.arg);
	step();
	if (!call.timer->running || call.timer->running > 1000)
		sim_fail("a timer's memory is gone while its callback is under way");
	call.timer->running--;
}

/* The clock goes to the first timer's time, if that is not after @until, and its callback may begin. */
static void run_due_timer(int64_t until)
{
	size_t first = 0;
	struct gt_timer *timer;
	struct call *call;

	for (size_t i = 1; i < sim.timer_count; i++) {
		if (sim.timers[i]->when_ns < sim.timers[first]->when_ns)
			first = i;
	}
	timer = sim.timers[first];
	if (timer->when_ns > until)
		return;
	call = __real_malloc(sizeof *call);
	if (!call)
		abort();
	*call = (struct call){sim.calls, &sim.calls, timer, timer->fn, timer->arg};
	if (sim.calls)
		sim.calls->link = &call->next;
	sim.calls = call;
	timer_forget(first);
	if (timer->when_ns > sim.now)
		sim.now = timer->when_ns;
	if (timer->period_ns > 0) {
		timer->when_ns += timer->period_ns * (1 + (sim.now - timer->when_ns) / timer->period_ns);
		timer_add(timer);
	}
	timer->running++;
	help(timer_call, call);
}

bool gt__timer_stop(struct gt_timer *timer)
{
	step();
	for (size_t i = 0; i < sim.timer_count; i++) {
		if (sim.timers[i] == timer) {
			timer_forget(i);
			return true;
		}
	}
	return false;
}

void gt__timer_start(struct gt_timer *timer, int64_t when_ns, void (*fn)(void *arg), void *arg)
{
	step();
	for (size_t i = 0; i < sim.timer_count; i++) {
		if (sim.timers[i] == timer) {
			timer_forget(i);
			break;
		}
	}
	timer->when_ns = when_ns;
	timer->fn = fn;
	timer->arg = arg;
	timer_add(timer);
}

void gt__timer_join(struct gt_timer *timer)
{
	while (timer->running)
		switch_away();
}

static void wake(void *arg)
{
	gt__ready(arg);
}

struct sleeper {
	struct gt_timer timer;
	struct gt_g *g;
	int64_t until;
};

static void set_alarm(void *arg)
{
	struct sleeper *s = arg;

	gt__timer_start(&s->timer, s->until, wake, s->g);
}

void gt__sleep_until(int64_t when_ns, enum gt_reason reason)
{
	struct sleeper s = {.g = gt__self(), .until = when_ns};

	if (when_ns <= sim.now)
		return;
	gt__park(set_alarm, &s, reason);
	gt__timer_join(&s.timer);
}

void gt_sleep(int64_t ns)
{
	gt__sleep_until(sim.now + ns, GT_REASON_SLEEP);
}

/* ---- ends ---- */

void gt__panic(const char *format, ...)
{
	char text[200];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	end_with(SIM_PANIC, "panic: %s", text);
}

void gt__fatal(const char *format, ...)
{
	char text[200];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	end_with(SIM_PANIC, "fatal error: %s", text);
}

struct sim_result sim_run(uint64_t seed, void (*main_fn)(void *arg), void *arg)
{
	struct sim_result result;

	memset(&sim, 0, sizeof sim);
	heap_reset();
	sim.random = seed;
	sim.switch_one_in = 1u << gt__random_below(6);
	sim.now = 1000000;
	sim.result.hash = 0xcbf29ce484222325u;
	if (gt_model_new(&sim.model) < 0)
		abort();
	spawn(main_fn, arg);
	switch_to(NULL, sim.runnable[0]);
	result = sim.result;
	for (struct actor *a; (a = sim.all);) {
		sim.all = a->next_all;
		if (stack_count < sizeof stacks / sizeof stacks[0])
			stacks[stack_count++] = a->stack;
		else
			munmap(a->stack, STACK_BYTES);
		__real_free(a);
	}
	for (struct call *call; (call = sim.calls);) {
		sim.calls = call->next;
		__real_free(call);
	}
	gt_model_free(sim.model);
	free(sim.runnable);
	free(sim.timers);
	return result;
}
