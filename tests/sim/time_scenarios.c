/*
 * time_scenarios.c - timers and tickers on channels, contexts.
 */
#include "tests/sim/scenarios.h"

#include <gtrace/context.h>
#include <gtrace/timer.h>

#include <string.h>

static int counted;

/* ---- timers ---- */

static void once(void *arg)
{
	int64_t before = gt_now();
	gt_timer t = gt_after(5 * GT_MILLISECOND);
	int64_t at;

	sim_check(gt_chan_len(t) == 0 && gt_chan_cap(t) == 0);
	sim_check(gt_recv(t, &at));
	sim_check(at - before >= 5 * GT_MILLISECOND && gt_now() >= at);
	sim_check(gt_try_recv(t, NULL) == GT_NOT_READY);
	sim_check(!gt_timer_stop(t));
	sim_check(!gt_timer_reset(t, GT_MILLISECOND));
	sim_check(gt_recv(t, NULL));
	gt_chan_free(t);
	t = gt_after(-5);
	sim_check(gt_recv(t, NULL));
	gt_chan_free(t);
	t = gt_after(INT64_MAX);
	gt_chan_free(t);
}

/* Stopped, whether it has fired or not: nothing comes. Reset: nothing older than the reset comes. */
static void no_stale_value(void *arg)
{
	gt_timer t = gt_after(GT_MILLISECOND);

	for (int i = 0; i < 20; i++) {
		int64_t reset_at, at;

		gt_sleep((int64_t)sim_below(3) * GT_MILLISECOND);
		if (sim_below(2)) {
			sim_check(gt_timer_stop(t));
			gt_yield();
			sim_check(gt_try_recv(t, NULL) == GT_NOT_READY && !gt_timer_stop(t));
		}
		reset_at = gt_now();
		gt_timer_reset(t, GT_MILLISECOND);
		if (sim_below(2)) {
			sim_check(gt_recv(t, &at) && at - reset_at >= GT_MILLISECOND);
			gt_timer_reset(t, GT_MILLISECOND);
		}
	}
	gt_chan_free(t);
}

/* Never early, never bunched: beats that are missed are left out. */
static void beats(void *arg)
{
	int64_t start = gt_now();
	gt_timer t = gt_ticker(2 * GT_MILLISECOND);
	int64_t last = 0, at;

	for (int i = 1; i <= 10; i++) {
		if (sim_below(4) == 0)
			gt_sleep(7 * GT_MILLISECOND);
		sim_check(gt_recv(t, &at));
		sim_check(at >= start + i * 2 * GT_MILLISECOND && at > last);
		last = at;
	}
	gt_sleep(50 * GT_MILLISECOND);
	sim_check(gt_recv(t, NULL));
	start = gt_now();
	gt_timer_reset(t, 9 * GT_MILLISECOND);
	sim_check(gt_recv(t, &at) && at - start >= 9 * GT_MILLISECOND);
	gt_timer_stop(t);
	gt_sleep(50 * GT_MILLISECOND);
	sim_check(gt_try_recv(t, NULL) == GT_NOT_READY);
	gt_chan_free(t);
	sim_check(!gt_tick(0) && !gt_tick(-1));
}

static void count(void *arg)
{
	counted++;
}

static void functions(void *arg)
{
	gt_timer a, b;

	counted = 0;
	a = gt_after_func(GT_MILLISECOND, count, NULL);
	b = gt_after_func(50 * GT_MILLISECOND, count, NULL);
	gt_sleep(5 * GT_MILLISECOND);
	sim_settle();
	sim_check(counted <= 2);
	if (gt_timer_stop(b))
		sim_check(counted <= 1);
	gt_sleep(100 * GT_MILLISECOND);
	sim_settle();
	sim_check(counted == 1 || counted == 2);
	counted = 0;
	gt_timer_reset(a, GT_MILLISECOND);
	gt_sleep(10 * GT_MILLISECOND);
	while (!counted)
		gt_yield();
	sim_check(counted == 1);
	gt_chan_free(a);
	gt_chan_free(b);
}

static gt_chan(int) answers;

static void answer_late(void *arg)
{
	gt_sleep((int64_t)sim_below(20) * GT_MILLISECOND);
	gt_send(answers, 1);
}

static void time_out(void *arg)
{
	answers = gt_chan_make(int, 1);
	for (int i = 0; i < 5; i++) {
		gt_timer t = gt_after(10 * GT_MILLISECOND);

		gt_go(answer_late, NULL);
		if (gt_select(gt_case_recv(answers, NULL), gt_case_recv(t, NULL)) == 1)
			gt_recv(answers, NULL);
		gt_chan_free(t);
	}
	gt_chan_free(answers);
}

static void zero_ticker(void *arg)
{
	gt_ticker(0);
}

static void zero_reset(void *arg)
{
	gt_timer_reset(gt_ticker(1), 0);
}

static void stop_of_no_timer(void *arg)
{
	gt_timer_stop(gt_chan_make(int64_t, 1));
}

/* A stopped timer keeps nobody from being seen as asleep; a pending one does. */
static void stopped_timer(void *arg)
{
	gt_timer t = gt_after(GT_MILLISECOND);

	gt_timer_stop(t);
	gt_recv(t, NULL);
}

/* ---- contexts ---- */

static struct gt_wg wg;

static void until_done(void *arg)
{
	struct gt_ctx *ctx = arg;

	sim_check(!gt_recv(gt_ctx_done(ctx), NULL));
	sim_check(gt_ctx_err(ctx));
	counted++;
	gt_ctx_unref(ctx);
}

static void cancel_tree(void *arg)
{
	struct gt_ctx *top = gt_ctx_with_cancel(gt_ctx_background());
	struct gt_ctx *all[10] = {top};

	wg = (struct gt_wg){0};
	counted = 0;
	sim_check(!gt_ctx_err(top) && gt_try_recv(gt_ctx_done(top), NULL) == GT_NOT_READY);
	for (int i = 1; i < 10; i++) {
		all[i] = gt_ctx_with_cancel(all[sim_below((uint32_t)i)]);
		gt_wg_go(&wg, until_done, gt_ctx_ref(all[i]));
	}
	if (sim_below(2))
		sim_settle();
	gt_ctx_cancel(top);
	for (int i = 0; i < 10; i++)
		sim_check(gt_ctx_err(all[i]) == ECANCELED);
	gt_wg_wait(&wg);
	sim_check(counted == 9);
	/* Below one that has ended: ended at once. */
	all[1] = (gt_ctx_unref(all[1]), gt_ctx_with_timeout(top, GT_SECOND));
	sim_check(gt_ctx_err(all[1]) == ECANCELED);
	gt_ctx_cancel(top);
	for (int i = 9; i >= 0; i--)
		gt_ctx_unref(all[i]);
	/* Its deadline may have passed before; that goroutine gives back the last reference. */
	sim_settle();
}

/* A child's end is not its parent's. */
static void only_below(void *arg)
{
	struct gt_ctx *top = gt_ctx_with_cancel(gt_ctx_background());
	struct gt_ctx *left = gt_ctx_with_cancel(top);
	struct gt_ctx *right = gt_ctx_with_cancel(top);

	gt_ctx_free(left);
	sim_check(!gt_ctx_err(top) && !gt_ctx_err(right));
	gt_ctx_free(top);
	sim_check(gt_ctx_err(right) == ECANCELED);
	gt_ctx_unref(right);
}

static void deadlines(void *arg)
{
	struct gt_ctx *slow = gt_ctx_with_timeout(gt_ctx_background(), 20 * GT_MILLISECOND);
	struct gt_ctx *fast = gt_ctx_with_timeout(slow, 5 * GT_MILLISECOND);
	struct gt_ctx *slower = gt_ctx_with_timeout(slow, 90 * GT_MILLISECOND);
	struct gt_ctx *past = gt_ctx_with_timeout(slow, -1);
	int64_t a, b;

	sim_check(gt_ctx_deadline(slow, &a) && gt_ctx_deadline(slower, &b) && a == b);
	sim_check(!gt_ctx_deadline(gt_ctx_background(), &a));
	gt_recv(gt_ctx_done(past), NULL);
	sim_check(gt_ctx_err(past) == ETIMEDOUT);
	gt_recv(gt_ctx_done(fast), NULL);
	sim_check(gt_ctx_err(fast) == ETIMEDOUT);
	gt_recv(gt_ctx_done(slower), NULL);
	sim_check(gt_ctx_err(slower) == ETIMEDOUT && gt_now() >= b);
	sim_check(!strcmp(gt_ctx_err_text(ETIMEDOUT), "context deadline exceeded"));
	sim_check(!strcmp(gt_ctx_err_text(ECANCELED), "context canceled"));
	gt_ctx_free(past);
	gt_ctx_free(slow);
	gt_ctx_free(fast);
	gt_ctx_free(slower);
	/* The goroutines of the deadlines give back theirs. */
	sim_settle();
	sim_check(sim_live() == 1);
}

static void use_and_drop(void *arg)
{
	struct gt_ctx *below = gt_ctx_with_timeout(arg, (int64_t)sim_below(4) * GT_MILLISECOND);

	switch (sim_below(4)) {
	case 0:
		gt_recv(gt_ctx_done(below), NULL);
		break;
	case 1:
		gt_sleep((int64_t)sim_below(4) * GT_MILLISECOND);
		break;
	case 2:
		gt_ctx_cancel(below);
	}
	if (sim_below(2))
		gt_ctx_free(below);
	else
		gt_ctx_unref(below);
	gt_ctx_unref(arg);
}

/* Ends from above, deadlines and the last reference race. */
static void races(void *arg)
{
	wg = (struct gt_wg){0};
	for (int i = 0; i < 5; i++) {
		struct gt_ctx *top = gt_ctx_with_timeout(gt_ctx_background(), (int64_t)sim_below(5) * GT_MILLISECOND);

		for (int j = 0; j < 3; j++)
			gt_wg_go(&wg, use_and_drop, gt_ctx_ref(top));
		if (sim_below(2))
			gt_ctx_free(top);
		else
			gt_ctx_unref(top);
	}
	gt_wg_wait(&wg);
	gt_sleep(GT_SECOND);
	sim_settle();
	gt_sleep(GT_SECOND);
	sim_settle();
	sim_check(sim_live() == 1);
}

static void values(void *arg)
{
	static const char user, session;
	char ann[] = "ann", bob[] = "bob";
	struct gt_ctx *top = gt_ctx_with_cancel(gt_ctx_background());
	struct gt_ctx *a = gt_ctx_with_value(top, &user, ann);
	struct gt_ctx *b = gt_ctx_with_cancel(a);
	struct gt_ctx *c = gt_ctx_with_value(b, &user, bob);

	sim_check(!strcmp(gt_ctx_value(b, &user), "ann") && !strcmp(gt_ctx_value(c, &user), "bob"));
	sim_check(!gt_ctx_value(c, &session) && !gt_ctx_value(top, &user));
	sim_check(gt_ctx_done(a) == gt_ctx_done(top) && !gt_ctx_done(gt_ctx_background()));
	gt_ctx_cancel(top);
	sim_check(gt_ctx_err(a) == ECANCELED && gt_ctx_err(c) == ECANCELED);
	gt_ctx_unref(top);
	gt_ctx_unref(a);
	gt_ctx_unref(b);
	gt_ctx_free(c);
}

static void deep(void *arg)
{
	struct gt_ctx *top = gt_ctx_with_cancel(gt_ctx_background());
	struct gt_ctx *bottom = gt_ctx_ref(top);

	for (int i = 0; i < 3000; i++) {
		struct gt_ctx *next = gt_ctx_with_cancel(bottom);

		gt_ctx_unref(bottom);
		bottom = next;
	}
	gt_ctx_free(top);
	sim_check(gt_ctx_err(bottom) == ECANCELED);
	gt_ctx_unref(bottom);
}

static void nil_parent(void *arg)
{
	gt_ctx_with_cancel(NULL);
}

const struct scenario time_scenarios[] = {
	{"timer", once, SIM_RETURNED, NULL, 0},
	{"timer-no-stale-value", no_stale_value, SIM_RETURNED, NULL, 0},
	{"timer-ticks", beats, SIM_RETURNED, NULL, 0},
	{"timer-functions", functions, SIM_RETURNED, NULL, 0},
	{"timer-in-select", time_out, SIM_RETURNED, NULL, 0},
	{"timer-zero-ticker", zero_ticker, SIM_PANIC, "panic: non-positive interval for NewTicker", 0},
	{"timer-zero-reset", zero_reset, SIM_PANIC, "panic: non-positive interval for Ticker.Reset", 0},
	{"timer-stop-of-none", stop_of_no_timer, SIM_PANIC, "panic: time: Stop called on uninitialized Timer", 0},
	{"timer-stopped", stopped_timer, SIM_DEADLOCK, NULL, GT_REASON_CHAN_RECEIVE},
	{"context-tree", cancel_tree, SIM_RETURNED, NULL, 0},
	{"context-only-below", only_below, SIM_RETURNED, NULL, 0},
	{"context-deadlines", deadlines, SIM_RETURNED, NULL, 0},
	{"context-races", races, SIM_RETURNED, NULL, 0},
	{"context-values", values, SIM_RETURNED, NULL, 0},
	{"context-deep", deep, SIM_RETURNED, NULL, 0},
	{"context-nil-parent", nil_parent, SIM_PANIC, "panic: cannot create context from nil parent", 0},
	{NULL, NULL, SIM_RETURNED, NULL, 0},
};
