/*
 * world.c - fibers, chance, the clock, store buffers and memory: what one seed decides.
 */
#include "tests/schedsim/world.h"

#include <errno.h>
#include <link.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#undef errno
#define errno (*__errno_location())

#define STACK_BYTES ((size_t)256 * 1024)
#define HEAP_BYTES  ((size_t)64 * 1024 * 1024)
#define MAPPED_MAX  256
#define FAIR_POINTS 3000u
#define SLOW_AFTER  400000u

struct sim_world sim SIM_KEPT;

/* ---- chance ---- */

uint64_t sim_random(void)
{
	uint64_t z = (sim.random += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

uint32_t sim_below(uint32_t n)
{
	return (uint32_t)((sim_random() >> 32) * n >> 32);
}

/* ---- the log ---- */

static struct sim_step *next_step(void)
{
	struct sim_step *step = &sim.log[sim.logged++ % SIM_LOG];
	const struct gt_worker *m = gt__worker_here;

	step->point = sim.result.points;
	step->now = sim.now;
	step->fiber = sim.current ? sim_index(sim.current) : 0;
	step->g = m && m->g ? m->g->id : 0;
	step->p = m && m->p ? m->p->id + 1 : 0;
	step->is_event = false;
	return step;
}

void sim_log(const char *what, const char *site)
{
	struct sim_step *step = next_step();

	step->what = what;
	step->site = site;
}

void sim_log_event(const struct gt_event *event)
{
	struct sim_step *step = next_step();

	step->is_event = true;
	step->event = *event;
}

/* ---- store buffers ---- */

static void put_value(void *at, uint64_t value, uint8_t bytes)
{
	switch (bytes) {
	case 1:
		*(uint8_t *)at = (uint8_t)value;
		break;
	case 2:
		*(uint16_t *)at = (uint16_t)value;
		break;
	case 4:
		*(uint32_t *)at = (uint32_t)value;
		break;
	default:
		*(uint64_t *)at = value;
	}
}

static void drain_one(struct sim_fiber *fiber)
{
	struct sim_store *store = &fiber->stores[fiber->store_first++ % SIM_BUFFER];

	fiber->store_count--;
	put_value(store->at, store->value, store->bytes);
}

static void drain(struct sim_fiber *fiber)
{
	while (fiber->store_count)
		drain_one(fiber);
}

void sim_flush(void)
{
	if (sim.current)
		drain(sim.current);
}

void sim_flush_all(void)
{
	for (uint32_t i = 0; i < sim.fibers; i++)
		drain(&sim.fiber[i]);
}

void sim_atomic_load(const volatile void *at, void *value, size_t bytes, const char *site);
void sim_atomic_load(const volatile void *at, void *value, size_t bytes, const char *site)
{
	struct sim_fiber *self;

	sim_point("load", site);
	self = sim.current;
	for (uint32_t i = self ? self->store_count : 0; i-- > 0;) {
		struct sim_store *store = &self->stores[(self->store_first + i) % SIM_BUFFER];

		if (store->at == at) {
			put_value(value, store->value, (uint8_t)bytes);
			return;
		}
	}
	switch (bytes) {
	case 1:
		*(uint8_t *)value = *(const volatile uint8_t *)at;
		break;
	case 2:
		*(uint16_t *)value = *(const volatile uint16_t *)at;
		break;
	case 4:
		*(uint32_t *)value = *(const volatile uint32_t *)at;
		break;
	default:
		*(uint64_t *)value = *(const volatile uint64_t *)at;
	}
}

void sim_atomic_store(volatile void *at, const void *value, size_t bytes, int order, const char *site);
void sim_atomic_store(volatile void *at, const void *value, size_t bytes, int order, const char *site)
{
	struct sim_fiber *self;
	uint64_t word = 0;

	sim_point("store", site);
	self = sim.current;
	memcpy(&word, value, bytes);
	if (order == __ATOMIC_SEQ_CST || !sim.config.buffered || !self) {
		sim_flush();
		put_value((void *)(uintptr_t)at, word, (uint8_t)bytes);
		return;
	}
	if (self->store_count == SIM_BUFFER)
		drain_one(self);
	self->stores[(self->store_first + self->store_count++) % SIM_BUFFER] =
		(struct sim_store){(void *)(uintptr_t)at, word, (uint8_t)bytes};
}

void sim_atomic_change(const char *what, const char *site);
void sim_atomic_change(const char *what, const char *site)
{
	sim_point(what, site);
	sim_flush();
}

void sim_atomic_fence(int order, const char *site);
void sim_atomic_fence(int order, const char *site)
{
	sim_point("fence", site);
	if (order == __ATOMIC_SEQ_CST)
		sim_flush();
}

/* ---- from fiber to fiber ---- */

/* @from NULL: the driver's own stack; so is @to. @dead: @from is never run again. */
static void jump(struct sim_fiber *from, struct sim_fiber *to, bool dead)
{
#if defined(__SANITIZE_ADDRESS__)
	const void *bottom;
	size_t bytes;

	__sanitizer_start_switch_fiber(dead   ? NULL
				       : from ? &from->fake_stack
					      : &sim.outside_fake,
		to ? to->bottom : sim.outside_bottom, to ? to->bytes : sim.outside_bytes);
#endif
	if (from) {
		from->worker = gt__worker_here;
		from->saved_errno = errno;
	}
	gt__worker_here = to ? to->worker : NULL;
	sim.current = to;
	gt__switch(from ? &from->sp : &sim.outside_sp, to ? to->sp : sim.outside_sp);
	if (from)
		errno = from->saved_errno;
#if defined(__SANITIZE_ADDRESS__)
	__sanitizer_finish_switch_fiber(from ? from->fake_stack : sim.outside_fake, &bottom, &bytes);
#endif
}

/* Where the stack lies on which the fiber is now: a goroutine's, or its own. */
static void note_stack(struct sim_fiber *fiber)
{
#if defined(__SANITIZE_ADDRESS__)
	const struct gt_worker *m = gt__worker_here;
	const char *here = __builtin_frame_address(0);

	fiber->bottom = fiber->stack;
	fiber->bytes = STACK_BYTES;
	if (here >= fiber->stack && here < fiber->stack + STACK_BYTES)
		return;
	for (uint32_t i = 0; m && i < gt__stack_count(); i++) {
		char *low, *high;

		gt__stack_bounds(gt__stack_g(i), &low, &high);
		if (here >= low && here < high) {
			fiber->bottom = low;
			fiber->bytes = (size_t)(high - low);
			return;
		}
	}
#endif
	(void)fiber;
}

static void wake_sleepers(void)
{
	sim.first_deadline = SIM_NEVER;
	for (uint32_t i = 0; i < sim.fibers; i++) {
		struct sim_fiber *fiber = &sim.fiber[i];

		if (fiber->state != FIBER_ASLEEP || fiber->deadline == SIM_NEVER)
			continue;
		if (fiber->deadline <= sim.now) {
			fiber->in_time = false;
			fiber->state = FIBER_READY;
		} else if (fiber->deadline < sim.first_deadline) {
			sim.first_deadline = fiber->deadline;
		}
	}
}

static struct sim_fiber *choose(void)
{
	struct sim_fiber *best = NULL;
	uint32_t ready = 0;

	for (uint32_t i = 0; i < sim.fibers; i++) {
		struct sim_fiber *fiber = &sim.fiber[i];

		if (fiber->state != FIBER_READY)
			continue;
		ready++;
		if (sim.config.strategy == SIM_PCT) {
			if (!best || fiber->priority > best->priority)
				best = fiber;
		} else if (sim.config.strategy == SIM_STARVE && i == sim.victim && sim_below(100)) {
			ready--;
			if (!best)
				best = fiber; /* nobody else: then it may */
		} else if (sim_below(ready) == 0) {
			best = fiber;
		}
	}
	return best;
}

static uint64_t next_choice(const struct sim_fiber *fiber)
{
	uint64_t until = SIM_POINTS;

	if (sim.config.strategy != SIM_PCT)
		return 1 + sim_below(2 * sim.config.one_in);
	for (uint32_t i = 0; i < sim.config.changes; i++)
		if (sim.change_at[i] > sim.result.points && sim.change_at[i] - sim.result.points < until)
			until = sim.change_at[i] - sim.result.points;
	return until < FAIR_POINTS - fiber->ran ? until : FAIR_POINTS - fiber->ran;
}

static void demote(struct sim_fiber *fiber)
{
	fiber->priority = --sim.lowest_priority;
	fiber->ran = 0;
}

static void deliver(void)
{
	struct sim_fiber *self = sim.current;
	int signal = self->signal;
	siginfo_t info = {.si_signo = signal};

	self->signal = 0;
	if (!sim.handler)
		return;
	self->in_handler = true;
	sim_log("signal", "delivered");
	sim.handler(signal, &info, NULL);
	/* The handler may have waited; it is the same thread. */
	sim.current->in_handler = false;
}

/* Nobody can go on: time passes. */
static void pass_time(void)
{
	wake_sleepers();
	for (uint32_t i = 0; i < sim.fibers; i++)
		if (sim.fiber[i].state == FIBER_READY)
			return;
	sim_flush_all();
	sim_check_at_rest();
	if (sim.first_deadline == SIM_NEVER)
		sim_fail("stuck: every thread sleeps, and nothing will wake one");
	if (++sim.quiet > 200000)
		sim_fail("stuck: time passes, and nothing happens");
	sim.now = sim.first_deadline;
	if (sim.now > SIM_VIRTUAL)
		sim_fail("stuck: %lld s have passed", (long long)(sim.now / GT_SECOND));
	if (sim_one_in(4))
		sim.now += sim_below(100000);
	wake_sleepers();
}

/* The next one goes on: perhaps the same. */
static void reschedule(void)
{
	struct sim_fiber *self = sim.current, *to;

	sim.in_world = true;
	sim_check_always();
	while (!(to = choose()))
		pass_time();
	note_stack(self);
	sim.in_world = false;
	sim.until = next_choice(to);
	if (sim.config.strategy == SIM_STARVE && sim_one_in(500))
		sim.victim = sim_below(sim.fibers);
	if (to == self)
		return;
	sim.result.switches++;
	jump(self, to, false);
}

static void maybe_deliver(void)
{
	if (__builtin_expect(sim.current->signal && !sim.current->in_handler, 0))
		deliver();
}

void sim_point(const char *what, const char *site)
{
	struct sim_fiber *self = sim.current;

	if (!self || sim.in_world)
		return;
	sim_log(what, site);
	if (++sim.result.points > SIM_POINTS)
		sim_fail("endless: more than %llu points", (unsigned long long)SIM_POINTS);
	sim.now += sim.config.tick_ns;
	/* What is told to end by the clock ends within the bound. */
	if (sim.result.points % SLOW_AFTER == 0)
		sim.config.tick_ns = sim.config.tick_ns < 4000 ? sim.config.tick_ns * 4 : 16000;
	if (sim.config.stall_one_in && sim_one_in(sim.config.stall_one_in))
		sim.now += (int64_t)(sim_random() % (uint64_t)sim.config.stall_ns);
	if (sim.config.buffered && sim_one_in(8)) {
		struct sim_fiber *some = &sim.fiber[sim_below(sim.fibers)];

		if (some->store_count)
			drain_one(some);
	}
	if (sim.now >= sim.first_deadline) {
		wake_sleepers();
		sim.until = 0;
	}
	self->ran++;
	if (sim.until <= 1) {
		if (sim.config.strategy == SIM_PCT) {
			for (uint32_t i = 0; i < sim.config.changes; i++)
				if (sim.change_at[i] == sim.result.points)
					demote(self);
			if (self->ran >= FAIR_POINTS) {
				demote(self);
			}
		}
		reschedule();
	} else {
		sim.until--;
	}
	maybe_deliver();
}

void sim_sleep(const void *word, int64_t deadline, const char *what)
{
	struct sim_fiber *self = sim.current;

	sim_log(what, "sleeps");
	drain(self);
	if (self->signal && !self->in_handler) {
		deliver();
		return;
	}
	self->word = word;
	self->deadline = deadline;
	self->in_time = true;
	self->interrupted = false;
	self->state = FIBER_ASLEEP;
	if (deadline < sim.first_deadline)
		sim.first_deadline = deadline;
	reschedule();
	self->word = NULL;
	self->deadline = SIM_NEVER;
	sim_log(what, "is awake");
	maybe_deliver();
}

void sim_wake(struct sim_fiber *fiber)
{
	if (fiber->state == FIBER_ASLEEP)
		fiber->state = FIBER_READY;
	sim.until = 0;
}

void sim_back_off(void)
{
	if (!sim.current)
		return;
	if (sim.config.strategy == SIM_PCT && sim_one_in(2))
		demote(sim.current);
	if (sim_one_in(2))
		sim.until = 0;
	sim_point("pause", "");
}

static _Noreturn void fiber_main(void)
{
	struct sim_fiber *self = sim.current;

#if defined(__SANITIZE_ADDRESS__)
	const void *bottom;
	size_t bytes;

	__sanitizer_finish_switch_fiber(NULL, &bottom, &bytes);
	if (!sim.outside_bottom) {
		sim.outside_bottom = bottom;
		sim.outside_bytes = bytes;
	}
#endif
	self->main_fn(self->arg);
	drain(self);
	self->state = FIBER_NONE;
	reschedule();
	__builtin_unreachable();
}

int sim_start(void (*main_fn)(void *arg), void *arg)
{
	struct sim_fiber *fiber;
	char *stack;
	uint64_t *sp;

	if (sim.fibers == SIM_FIBERS)
		return -EAGAIN;
	fiber = &sim.fiber[sim.fibers];
	stack = fiber->stack;
	if (!stack)
		stack = mmap(
			NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (stack == MAP_FAILED)
		return -EAGAIN;
#if defined(__SANITIZE_ADDRESS__)
	__asan_unpoison_memory_region(stack, STACK_BYTES);
#endif
	memset(fiber, 0, sizeof(*fiber));
	fiber->stack = stack;
	fiber->bottom = stack;
	fiber->bytes = STACK_BYTES;
	fiber->main_fn = main_fn;
	fiber->arg = arg;
	fiber->deadline = SIM_NEVER;
	fiber->state = FIBER_READY;
	fiber->priority = 1 + sim_below(1000000);
	sp = gt__context_new(stack + STACK_BYTES - 64);
#if defined(__x86_64__)
	/* gt__entry calls; this one is jumped to: as if a return address lay there. */
	memmove(sp - 1, sp, 7 * sizeof(*sp));
	sp--;
	sp[7] = (uint64_t)(uintptr_t)fiber_main;
	sp[8] = 0;
#elif defined(__aarch64__)
	sp[19] = (uint64_t)(uintptr_t)fiber_main;
#endif
	fiber->sp = sp;
	sim.fibers++;
	sim.until = 0;
	return 0;
}

/* ---- the end ---- */

void sim_end(enum sim_end end, int code, const char *format, va_list args)
{
	sim.result.end = end;
	sim.result.code = code;
	if (format)
		vsnprintf(sim.result.text, sizeof(sim.result.text), format, args);
	sim.running = false;
	if (sim.current)
		jump(sim.current, NULL, true);
	abort();
}

static _Noreturn __attribute__((format(printf, 2, 3))) void end_with(enum sim_end end, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	sim_end(end, 0, format, args);
}

void sim_fail(const char *format, ...)
{
	char text[sizeof(sim.result.text)];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	end_with(SIM_BROKEN, "%s", text);
}

/* ---- memory: one region, in the order of calls, nothing used twice ---- */

struct piece {
	uint64_t live, bytes;
};
#define PIECE_LIVE UINT64_C(0x6c6976656c697665)

static char *heap SIM_KEPT = NULL;
static size_t heap_used SIM_KEPT = 0;
static struct {
	void *at;
	size_t bytes;
} mapped[MAPPED_MAX] SIM_KEPT;
static uint32_t mapped_count SIM_KEPT = 0;

void *sim_malloc(size_t bytes);
void *sim_calloc(size_t count, size_t bytes);
void *sim_realloc(void *at, size_t bytes);
char *sim_getenv(const char *name);
void *sim_mmap(size_t bytes, int protection, int flags);

void *sim_aligned_alloc(size_t align, size_t bytes)
{
	size_t at = (heap_used + sizeof(struct piece) + align - 1) / align * align;
	struct piece *piece = (struct piece *)(void *)(heap + at) - 1;

	if (bytes > HEAP_BYTES || at + bytes + 64 > HEAP_BYTES)
		return NULL;
	heap_used = at + (bytes + 15) / 16 * 16 + 16;
#if defined(__SANITIZE_ADDRESS__)
	__asan_unpoison_memory_region(piece, sizeof(*piece) + bytes);
#endif
	*piece = (struct piece){PIECE_LIVE, bytes};
	return memset(piece + 1, 0xa5, bytes);
}

void *sim_malloc(size_t bytes)
{
	return sim_aligned_alloc(16, bytes);
}

void *sim_calloc(size_t count, size_t bytes)
{
	void *at = sim_malloc(count * bytes);

	return at ? memset(at, 0, count * bytes) : NULL;
}

void sim_free(void *at)
{
	struct piece *piece;

	if (!at)
		return;
	piece = (struct piece *)at - 1;
	sim_flush();
	if (piece->live != PIECE_LIVE)
		sim_fail("free of what is not allocated");
	piece->live = 0;
	memset(at, 0xdd, piece->bytes);
#if defined(__SANITIZE_ADDRESS__)
	__asan_poison_memory_region(at, piece->bytes);
#endif
}

void *sim_realloc(void *at, size_t bytes)
{
	void *more = sim_malloc(bytes);
	size_t had = at ? ((struct piece *)at - 1)->bytes : 0;

	if (more && at) {
		memcpy(more, at, had < bytes ? had : bytes);
		sim_free(at);
	}
	return more;
}

void *sim_mmap(size_t bytes, int protection, int flags)
{
	void *at = mmap(NULL, bytes, protection, flags, -1, 0);

	if (at == MAP_FAILED || mapped_count == MAPPED_MAX)
		return MAP_FAILED;
	mapped[mapped_count].at = at;
	mapped[mapped_count++].bytes = bytes;
	return at;
}

char *sim_getenv(const char *name)
{
	return strcmp(name, "GOMAXPROCS") == 0 && sim.procs_text[0] ? sim.procs_text : NULL;
}

static void memory_reset(void)
{
	if (!heap)
		heap = mmap(
			NULL, HEAP_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (heap == MAP_FAILED)
		abort();
#if defined(__SANITIZE_ADDRESS__)
	__asan_poison_memory_region(heap, heap_used);
#endif
	heap_used = 0;
	while (mapped_count) {
		mapped_count--;
		munmap(mapped[mapped_count].at, mapped[mapped_count].bytes);
	}
}

/* ---- this library's variables, as they were when it was loaded ---- */

extern char __start_sim_kept[] __attribute__((visibility("hidden")));
extern char __stop_sim_kept[] __attribute__((visibility("hidden")));

static struct range {
	char *from, *to, *saved;
} ranges[8] SIM_KEPT;
static size_t range_count SIM_KEPT = 0;

static void add_range(char *from, char *to)
{
	if (from < to && range_count < sizeof(ranges) / sizeof(ranges[0]))
		ranges[range_count++] = (struct range){from, to, NULL};
}

static int find_ranges(struct dl_phdr_info *info, size_t size, void *arg)
{
	char *base = (char *)info->dlpi_addr, *here = (char *)&gt__sched, *relro = NULL, *relro_end = NULL;
	bool ours = false;

	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &info->dlpi_phdr[i];
		char *from = base + part->p_vaddr;

		if (part->p_type == PT_LOAD && here >= from && here < from + part->p_memsz)
			ours = true;
		if (part->p_type == PT_GNU_RELRO) {
			relro = from;
			relro_end = (char *)(((uintptr_t)from + part->p_memsz) & ~(uintptr_t)4095);
		}
	}
	for (int i = 0; ours && i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &info->dlpi_phdr[i];
		char *from = base + part->p_vaddr, *to = from + part->p_memsz;

		if (part->p_type != PT_LOAD || !(part->p_flags & PF_W))
			continue;
		if (relro && relro >= from && relro < to)
			from = relro_end;
		if (__start_sim_kept >= from && __stop_sim_kept <= to) {
			add_range(from, __start_sim_kept);
			add_range(__stop_sim_kept, to);
		} else {
			add_range(from, to);
		}
	}
	return ours;
}

/* Not memcpy: between variables lies what ASan has poisoned. */
static __attribute__((noinline)) void copy_bytes(void *to, const void *from, size_t bytes)
{
#if defined(__x86_64__)
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
#else
	volatile char *at = to;

	for (size_t i = 0; i < bytes; i++)
		at[i] = ((const volatile char *)from)[i];
#endif
}

static void variables_reset(void)
{
	if (range_count) {
		for (size_t i = 0; i < range_count; i++)
			copy_bytes(ranges[i].from, ranges[i].saved, (size_t)(ranges[i].to - ranges[i].from));
		return;
	}
	dl_iterate_phdr(find_ranges, NULL);
	for (size_t i = 0; i < range_count; i++) {
		size_t bytes = (size_t)(ranges[i].to - ranges[i].from);

		ranges[i].saved = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (ranges[i].saved == MAP_FAILED)
			abort();
		copy_bytes(ranges[i].saved, ranges[i].from, bytes);
	}
}

/* ---- a run ---- */

static void choose_config(const struct sim_scenario *scenario, uint64_t seed)
{
	static const uint32_t ticks[] = {10, 20, 20, 50, 100, 500};
	struct sim_config *c = &sim.config;

	c->seed = seed;
	c->strategy = (enum sim_strategy)sim_below(SIM_STRATEGIES);
	c->one_in = 1u << sim_below(7);
	c->tick_ns = ticks[sim_below(sizeof(ticks) / sizeof(ticks[0]))];
	c->stall_one_in = sim_one_in(2) ? 64u << sim_below(8) : 0;
	c->stall_ns = INT64_C(1000) << sim_below(15);
	c->buffered = sim_one_in(2);
	c->changes = 1 + sim_below(12);
	c->length = UINT64_C(100) << sim_below(9);
	c->cpus = 1 + (int)sim_below(4);
	c->cpu_limit = 0;
	c->procs = scenario->procs ? scenario->procs : 1 + (int)sim_below(4);
	for (uint32_t i = 0; i < c->changes; i++)
		sim.change_at[i] = 1 + sim_random() % c->length;
}

static int (*program)(int argc, char **argv) SIM_KEPT = NULL;

static void first_thread(void *arg)
{
	gt_main(0, NULL, program);
}

struct sim_result sim_run(const struct sim_scenario *scenario, uint64_t seed)
{
	char *stack;

	variables_reset();
	memory_reset();
	for (uint32_t i = 0; i < sim.fibers; i++) {
		stack = sim.fiber[i].stack;
		memset(&sim.fiber[i], 0, sizeof(sim.fiber[i]));
		sim.fiber[i].stack = stack;
	}
	if (!sim.log)
		sim.log = calloc(SIM_LOG, sizeof(*sim.log));
	if (!sim.log)
		abort();
	sim.random = seed * UINT64_C(0x2545f4914f6cdd1d);
	for (const char *at = scenario->name; *at; at++)
		sim.random = (sim.random ^ (uint64_t)*at) * UINT64_C(0x100000001b3);
	sim.fibers = 0;
	sim.now = GT_SECOND;
	sim.first_deadline = SIM_NEVER;
	sim.lowest_priority = 0;
	sim.victim = 0;
	sim.quiet = 0;
	sim.logged = 0;
	sim.in_world = false;
	sim.handler = NULL;
	memset(&sim.result, 0, sizeof(sim.result));
	sim.result.hash = UINT64_C(0xcbf29ce484222325);
	choose_config(scenario, seed);
	sim.procs_text[0] = '\0';
	if (sim.config.procs > 0)
		snprintf(sim.procs_text, sizeof(sim.procs_text), "%d", sim.config.procs);
	gt_model_free(sim.model);
	if (gt_model_new(&sim.model) < 0)
		abort();
	program = scenario->main_fn;
	gt__worker_here = NULL;
	if (sim_start(first_thread, NULL) < 0)
		abort();
	sim.running = true;
	sim.until = 1;
	jump(NULL, &sim.fiber[0], false);
	return sim.result;
}
