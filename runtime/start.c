/*
 * start.c - the program's begin and its bad ends: gt_main, deadlock, panic, fork.
 */
#include "runtime/prof.h"
#include "runtime/rt.h"
#include "runtime/traceback.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* The child has this thread alone: no other M will ever take its P, and no goroutine may run a second time. */
static void forked(void)
{
	struct gt_worker *m = gt__worker();

	store_relaxed(&gt__sched.forked, true);
	store_relaxed(&gt__preempt_wanted, 1);
	if (m && m->p)
		store_relaxed(&m->p->retire, true);
}

void gt__forked_fatal(void)
{
	static const char text[] = "fatal error: a gt_ call after fork: the child has only the goroutine that forked; "
				   "it may call exec or _exit\n";

	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(2);
	_exit(2);
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
	gt_hook_world(&(struct gt_hook_world){.alive = gt__alive,
		.block_begin = gt_syscall_enter,
		.block_end = gt_syscall_exit,
		.standing = gt__standing});
	gt__port_barrier(); /* the first takes long, but for a process of one thread */
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
	gt__prof_init();
	pthread_atfork(NULL, NULL, forked);
	gt__maker_start();
	gt__sysmon_start();
	gt__schedule(m);
}

/* ---- bad ends ---- */

/* @frame: of the one that calls this; its caller is the innermost shown. */
static _Noreturn void die(const char *what, const char *format, va_list args, const void *frame)
{
	static _Atomic bool dying;
	struct gt_g *g = gt__self();

	/* The threads go on, but this one must not: a signal would hand its P to another. */
	if (gt__worker())
		gt__worker()->locks++;
	if (atomic_exchange(&dying, true))
		for (;;)
			gt__port_sleep(GT_SECOND);
	gt__port_say(what, format, args);
	gt__print_all(stderr, g, g ? frame : NULL, GT_TRACEBACK_LIST);
	gt__port_exit(2, true);
}

void gt__panic(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	die("panic", format, args, __builtin_frame_address(0));
}

void gt__fatal(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	die("fatal error", format, args, __builtin_frame_address(0));
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
