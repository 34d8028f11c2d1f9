/*
 * start.c - the program's begin and its bad ends: gt_main, deadlock, panic, the list of goroutines.
 */
#include "runtime/rt.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
	int argc;
	char **argv;
	int (*main_fn)(int argc, char **argv);
} program;

static void main_goroutine(void *arg)
{
	gt__end(program.main_fn(program.argc, program.argv));
}

static uint64_t current(void)
{
	return gt_id();
}

int gt_main(int argc, char **argv, int (*main_fn)(int argc, char **argv))
{
	struct gt_sched *s = &gt__sched;
	static _Atomic bool begun;
	struct gt_worker *m;
	struct gt_g *g;
	struct gt_p *p;

	if (atomic_exchange(&begun, true))
		gt__fatal("gt_main is called twice");
	if (gt__stacks_init() < 0)
		gt__fatal("no addresses for the stacks of goroutines (ulimit -v?)");
	program.argc = argc;
	program.argv = argv;
	program.main_fn = main_fn;
	store_relaxed(&s->next_id, 1);
	gt_hook_current(current);
	gt_hook_world(&(struct gt_hook_world){
		.alive = gt__alive, .block_begin = gt_syscall_enter, .block_end = gt_syscall_exit});
	m = gt__worker_new();
	s->m_count = 1;
	s->all_m = m;
	gt__worker_begin(m);
	gt__procs_init();
	gt__lock(&s->lock);
	p = gt__idle_p_get();
	gt__unlock(&s->lock);
	gt__worker_take_p(m, p);
	g = gt__g_make(p, "main", main_goroutine, NULL, (const void *)(uintptr_t)main_fn);
	store_relaxed(&p->created, 1);
	gt__ring_put(p, g, true);
	gt__preempt_init();
	gt__sysmon_start();
	gt__schedule(m);
}

/* ---- who is there ---- */

static const char *state_text(const struct gt_g *g)
{
	static const char *const states[] = {
#define GT_STATE(number, name, text, meaning) [number] = text,
#include <gtrace/states.def>
#undef GT_STATE
	};
	static const char *const reasons[] = {
#define GT_REASON(number, name, text) [number] = text,
#include <gtrace/reasons.def>
#undef GT_REASON
	};
	uint32_t state = load_acquire(&g->state);

	if (state == GT_STATE_WAITING && (size_t)g->reason < sizeof(reasons) / sizeof(*reasons) && reasons[g->reason])
		return reasons[g->reason];
	return state < sizeof(states) / sizeof(*states) && states[state] ? states[state] : "?";
}

static void print_frame(uintptr_t pc)
{
	Dl_info info;

	if (dladdr((void *)(pc - 1), &info) && info.dli_sname)
		fprintf(stderr, "\t%s+0x%zx\n", info.dli_sname, pc - (uintptr_t)info.dli_saddr);
	else if (info.dli_fname)
		fprintf(stderr, "\t%s(+0x%zx)\n", info.dli_fname, pc - (uintptr_t)info.dli_fbase);
	else
		fprintf(stderr, "\t0x%zx\n", pc);
}

/* By frame pointers, which never leave the stack's bounds. */
static GT_SAN_NO_TSAN void print_stack(const struct gt_g *g)
{
#if defined(__x86_64__)
	const uintptr_t *sp = g->context.sp;
	uintptr_t frame = sp[6], low, high;
	char *from, *to;

	gt__stack_bounds(g, &from, &to);
	low = (uintptr_t)from;
	high = (uintptr_t)to;
	print_frame(sp[7]);
	for (int depth = 0; depth < 64 && frame >= low && frame + 16 <= high && frame % 8 == 0; depth++) {
		const uintptr_t *at = (const uintptr_t *)frame;

		if (!at[1])
			break;
		print_frame(at[1]);
		if (at[0] <= frame)
			break;
		frame = at[0];
	}
#endif
}

void gt__print_goroutines(void)
{
	uint32_t count = gt__stack_count();

	for (uint32_t i = 0; i < count; i++) {
		const struct gt_g *g = gt__stack_g(i);
		uint32_t state = load_acquire(&g->state);

		if (state == GT_STATE_NONE || state == GT_STATE_DEAD)
			continue;
		fprintf(stderr, "\ngoroutine %llu [%s]:%s%s\n", (unsigned long long)g->id, state_text(g),
			g->name[0] ? " " : "", g->name);
		if (state == GT_STATE_WAITING || state == GT_STATE_RUNNABLE)
			print_stack(g);
		if (g->parent)
			fprintf(stderr, "created by goroutine %llu\n", (unsigned long long)g->parent);
	}
}

static _Noreturn void die(const char *what, const char *format, va_list args)
{
	static _Atomic bool dying;

	if (atomic_exchange(&dying, true))
		for (;;)
			gt__port_sleep(GT_SECOND);
	gt__port_say(what, format, args);
	gt__print_goroutines();
	gt__port_exit(2, true);
}

void gt__panic(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	die("panic", format, args);
}

void gt__fatal(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	die("fatal error", format, args);
}

void gt__deadlock_check(void)
{
	struct gt_sched *s = &gt__sched;

	/* The one that waits for timers and descriptors waits for nothing when there are none left. */
	if (s->m_idle + load_relaxed(&s->poller) < s->m_count || load_relaxed(&s->spinning) ||
		load_relaxed(&s->global_count) || gt__timers_first() != INT64_MAX || gt__net_waited_for())
		return;
	for (uint32_t i = 0; i < load_relaxed(&s->p_count); i++)
		if (load_relaxed(&s->ps[i]->status) == GT_P_RUNNING || !gt__ring_empty(s->ps[i]))
			return;
	if (s->main_exited && gt_num_goroutine() == 0)
		gt__fatal("no goroutines (main called gt_exit) - deadlock!");
	gt__fatal("all goroutines are asleep - deadlock!");
}
