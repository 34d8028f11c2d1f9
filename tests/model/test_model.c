/* test_model.c - the state machine: counts, who is where, memory. */
#include "model/model.h"

#include <criterion/criterion.h>
#include <string.h>

static struct gt_model *model;

static void set_up(void)
{
	cr_assert_eq(gt_model_new(&model), 0);
}

static void tear_down(void)
{
	gt_model_free(model);
}

TestSuite(model, .init = set_up, .fini = tear_down);

static void happen(enum gt_event_kind kind, uint64_t m, uint64_t a, uint64_t b, uint64_t c)
{
	struct gt_event event = {.kind = (uint8_t)kind, .m = m, .args = {a, b, c}};

	gt_model_apply(model, &event);
}

static enum gt_model_fit fits(enum gt_event_kind kind, uint64_t m, uint64_t a, uint64_t b, uint64_t c)
{
	struct gt_event event = {.kind = (uint8_t)kind, .m = m, .args = {a, b, c}};

	return gt_model_fits(model, &event);
}

Test(model, counts_follow_the_states)
{
	const struct gt_model_counts *counts = gt_model_counts(model);

	happen(GT_EV_GO_CREATE, 0, 1, GT_STATE_RUNNABLE, 0);
	happen(GT_EV_GO_CREATE, 0, 2, GT_STATE_WAITING, 0);
	cr_assert_eq(counts->goroutines[GT_STATE_RUNNABLE], 1);
	cr_assert_eq(counts->goroutines[GT_STATE_WAITING], 1);
	happen(GT_EV_GO_RUN, 0, 1, GT_STATE_RUNNABLE, 3);
	cr_assert_eq(counts->goroutines[GT_STATE_RUNNING], 1);
	cr_assert_eq(counts->slots_running, 1);
	happen(GT_EV_GO_SYSCALL, 0, 1, 0, 0);
	cr_assert_eq(counts->slots_running, 0);
	happen(GT_EV_GO_SYSEXIT, 0, 1, GT_STATE_RUNNING, 0);
	cr_assert_eq(counts->slots_running, 1);
	happen(GT_EV_GO_END, 0, 1, 0, 0);
	cr_assert_eq(counts->slots_running, 0);
	cr_assert_eq(counts->goroutines[GT_STATE_RUNNING], 0);
	cr_assert_null(gt_model_goroutine(model, 1));
}

Test(model, a_stack_told_of_one_that_stands_changes_nothing)
{
	cr_assert_eq(fits(GT_EV_GO_STACK, 0, 1, 7, 0), GT_FIT_UNBORN);
	happen(GT_EV_GO_STATE, 0, 1, GT_STATE_NONE, GT_STATE_WAITING);
	cr_assert_eq(fits(GT_EV_GO_STACK, 0, 1, 7, 0), GT_FIT);
	happen(GT_EV_GO_STACK, 0, 1, 7, 0);
	cr_assert_eq(gt_model_goroutine(model, 1)->state, GT_STATE_WAITING);
	happen(GT_EV_GO_STATE, 0, 2, GT_STATE_NONE, GT_STATE_RUNNING);
	cr_assert_eq(fits(GT_EV_GO_STACK, 0, 2, 7, 0), GT_FIT_CHAIN);
}

Test(model, tells_who_is_where)
{
	happen(GT_EV_GO_CREATE, 0, 1, GT_STATE_RUNNABLE, 0);
	happen(GT_EV_P_START, 5, 3, 0, 0);
	happen(GT_EV_GO_RUN, 5, 1, GT_STATE_RUNNABLE, 3);
	cr_assert_eq(gt_model_thread(model, 5)->g, 1);
	cr_assert_eq(gt_model_thread(model, 5)->p, 3);
	cr_assert_eq(gt_model_goroutine(model, 1)->m, 5);
	cr_assert_eq(gt_model_goroutine(model, 1)->p, 3);
	cr_assert(gt_model_slot(model, 3)->held && gt_model_slot(model, 3)->m == 5);
	happen(GT_EV_GO_SYSCALL, 5, 1, 0, 0);
	cr_assert_eq(fits(GT_EV_P_START, 6, 3, 0, 0), GT_FIT);
	happen(GT_EV_P_START, 6, 3, 0, 0);
	cr_assert_eq(gt_model_thread(model, 5)->p, 0);
	cr_assert_eq(gt_model_slot(model, 3)->m, 6);
	happen(GT_EV_P_STOP, 6, 3, 0, 0);
	happen(GT_EV_P_IDLE, 6, 3, 0, 0);
	cr_assert(!gt_model_slot(model, 3)->held && gt_model_slot(model, 3)->idle);
	happen(GT_EV_M_IDLE, 6, 0, 0, 0);
	cr_assert(gt_model_thread(model, 6)->idle);
	happen(GT_EV_P_START, 6, 3, 0, 0);
	cr_assert_not(gt_model_thread(model, 6)->idle);
}

Test(model, a_loss_makes_an_ms_goroutine_unknown)
{
	happen(GT_EV_GO_CREATE, 0, 1, GT_STATE_RUNNABLE, 0);
	happen(GT_EV_GO_RUN, 0, 1, GT_STATE_RUNNABLE, 1);
	happen(GT_EV_LOST, 0, 9, 0, 0);
	cr_assert_eq(gt_model_goroutine(model, 1)->state, GT_STATE_NONE);
	cr_assert_eq(gt_model_thread(model, 0)->g, 0);
	cr_assert_eq(gt_model_counts(model)->slots_running, 0);
	cr_assert_eq(fits(GT_EV_GO_RUN, 1, 1, GT_STATE_WAITING, 1), GT_FIT);
	cr_assert_eq(fits(GT_EV_GO_SYSEXIT, 1, 1, GT_STATE_RUNNING, 0), GT_FIT);
}

/* Whatever does not fit is true afterwards all the same. */
Test(model, what_does_not_fit_holds_after_apply)
{
	happen(GT_EV_GO_CREATE, 0, 1, GT_STATE_RUNNABLE, 0);
	happen(GT_EV_GO_CREATE, 0, 2, GT_STATE_RUNNABLE, 0);
	happen(GT_EV_GO_RUN, 0, 1, GT_STATE_RUNNABLE, 1);
	cr_assert_eq(fits(GT_EV_GO_RUN, 0, 2, GT_STATE_RUNNABLE, 1), GT_FIT_M_BUSY);
	happen(GT_EV_GO_RUN, 0, 2, GT_STATE_RUNNABLE, 1);
	cr_assert_eq(gt_model_goroutine(model, 1)->state, GT_STATE_NONE);
	cr_assert_eq(gt_model_goroutine(model, 2)->state, GT_STATE_RUNNING);
	happen(GT_EV_GO_RUN, 7, 2, GT_STATE_RUNNABLE, 1);
	cr_assert_eq(gt_model_thread(model, 0)->g, 0);
	cr_assert_eq(gt_model_thread(model, 0)->p, 0);
	cr_assert_eq(gt_model_counts(model)->slots_running, 1);
}

/* A million lives, ten at a time: as much memory as ten need, and only the living are found. */
Test(model, the_dead_leave_no_trace)
{
	struct gt_model_g *g;
	size_t at = 0;
	unsigned int count = 0;

	for (uint64_t i = 1; i <= 1000000; i++) {
		happen(GT_EV_GO_CREATE, 0, i, GT_STATE_RUNNABLE, 0);
		if (i <= 10)
			continue;
		happen(GT_EV_GO_RUN, 0, i - 10, GT_STATE_RUNNABLE, 1);
		happen(GT_EV_GO_END, 0, i - 10, 0, 0);
	}
	while (gt_model_goroutines(model, &at, &g))
		cr_assert_gt((++count, g->g), 999990);
	cr_assert_eq(count, 10);
	cr_assert_leq(at, 11);
}

/* Random events, possible or not: counts stay true, nobody is in two places. */
Test(model, its_invariants_hold_whatever_happens)
{
	uint64_t x = 88172645463325252ull;

	for (int i = 0; i < 300000; i++) {
		struct gt_model_counts seen = {.slots_running = 0};
		struct gt_event event = {.time_ns = i};
		struct gt_model_g *g;
		size_t at = 0;

		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		event.kind = (uint8_t)(x % 22);
		event.m = x >> 8 & 3;
		event.args[0] = x >> 16 & 7;
		event.args[1] = x >> 20 & 7;
		event.args[2] = x >> 24 & 3;
		if (gt_model_fits(model, &event) != GT_FIT) {
			char why[200];

			gt_model_explain(model, &event, gt_model_fits(model, &event), why, sizeof(why));
			cr_assert(why[0]);
		}
		gt_model_apply(model, &event);
		if (i % 64)
			continue;
		while (gt_model_goroutines(model, &at, &g)) {
			seen.goroutines[g->state]++;
			if (g->state == GT_STATE_RUNNING || g->state == GT_STATE_SYSCALL)
				cr_assert_eq(gt_model_thread(model, g->m)->g, g->g);
		}
		for (uint64_t m = 0; m < 4; m++) {
			const struct gt_model_m *thread = gt_model_thread(model, m);

			if (!thread)
				continue;
			if (thread->g)
				cr_assert_eq(gt_model_goroutine(model, thread->g)->m, m);
			if (thread->p)
				cr_assert(gt_model_slot(model, thread->p)->held &&
					  gt_model_slot(model, thread->p)->m == m);
			seen.slots_running += thread->g && thread->p &&
					      gt_model_goroutine(model, thread->g)->state == GT_STATE_RUNNING;
		}
		cr_assert_eq(memcmp(&seen, gt_model_counts(model), sizeof(seen)), 0, "step %d", i);
	}
}

/* take is fits and, if so, apply: beside a second model that does the two; ids near and far, so that hints are shared and grow. */
Test(model, take_is_fits_and_apply)
{
	uint64_t x = 88172645463325252ull;
	struct gt_model *other;

	cr_assert_eq(gt_model_new(&other), 0);
	for (int i = 0; i < 300000; i++) {
		struct gt_event event = {.time_ns = i};
		enum gt_model_fit fit;

		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		event.kind = (uint8_t)(x % 70);
		event.m = (x >> 8 & 3) + (x >> 40 & 63 ? 0 : GT_M_KERNEL);
		event.args[0] = (x >> 16 & 7) << (x >> 28 & 1 ? 0 : 10);
		event.args[0] += x >> 29 & 1 ? x >> 32 & 1023 : 0;
		event.args[1] = x >> 20 & 7;
		event.args[2] = x >> 24 & 3;
		fit = gt_model_fits(other, &event);
		cr_assert_eq(gt_model_take(model, &event), fit, "step %d", i);
		if (fit == GT_FIT || x >> 50 & 1)
			gt_model_apply(other, &event);
		if (fit != GT_FIT && x >> 50 & 1)
			gt_model_apply(model, &event);
		cr_assert_eq(memcmp(gt_model_counts(model), gt_model_counts(other), sizeof(struct gt_model_counts)), 0,
			"step %d", i);
	}
	gt_model_free(other);
}
