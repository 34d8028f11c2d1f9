/*
 * select_scenarios.c - what Go's specification and runtime say of select.
 */
#include "tests/sim/scenarios.h"

static gt_chan(int) a;
static gt_chan(int) b;
static gt_chan(int) four[4];
static int counted;

/* ---- which case ---- */

/* Of cases that are ready chance takes one: each about as often, wherever it stands. */
static void fair(void *arg)
{
	int got[4] = {0};

	for (int i = 0; i < 4; i++) {
		four[i] = gt_chan_make(int, 1);
		gt_send(four[i], i);
	}
	for (int i = 0; i < 2000; i++) {
		int v;
		size_t index = gt_select(gt_case_recv(four[0], &v), gt_case_recv(four[1], &v),
			gt_case_recv(four[2], &v), gt_case_recv(four[3], &v));

		sim_check(v == (int)index);
		got[index]++;
		gt_send(four[index], v);
	}
	/* 500 expected, a standard deviation of 19: 10 of them. */
	for (int i = 0; i < 4; i++) {
		sim_check(got[i] > 310 && got[i] < 690);
		gt_chan_free(four[i]);
	}
}

static void no_ready_case(void *arg)
{
	gt_chan(int) none = NULL;
	bool ok = true;
	int v = 5;

	a = gt_chan_make(int);
	b = gt_chan_make(int, 1);
	sim_check(gt_select(gt_case_recv(a, &v), gt_case_default) == 1);
	sim_check(gt_select(gt_case_default, gt_case_send(a, 1)) == 0);
	sim_check(gt_select(gt_case_default) == 0);
	sim_check(gt_select(gt_case_recv(none, &v), gt_case_send(none, 1), gt_case_default) == 2);
	sim_check(gt_select(gt_case_recv(a, &v), gt_case_recv(b, &v), gt_case_default) == 2);
	sim_check(v == 5);
	sim_check(gt_select(gt_case_recv(none, &v), gt_case_send(b, 3), gt_case_default) == 1);
	sim_check(gt_select(gt_case_send(b, 4), gt_case_default) == 1);
	sim_check(gt_select(gt_case_recv(a, NULL), gt_case_recv(b, &v, &ok), gt_case_default) == 1 && v == 3 && ok);
	gt_close(a);
	sim_check(gt_select(gt_case_recv(a, &v, &ok), gt_case_default) == 0 && v == 0 && !ok);
	sim_check(gt_select(gt_case_recv(a, &v, &ok)) == 0 && !ok);
	sim_check(gt_select(gt_case_recv(a, &v, &ok), gt_case_recv(b, &v)) == 0 && !ok);
	gt_chan_free(a);
	gt_chan_free(b);
}

static void send_a(void *arg)
{
	gt_send(a, (int)(intptr_t)arg);
}

static void recv_b(void *arg)
{
	sim_check(gt_recv_value(b) == 9);
	counted++;
}

static void waits(void *arg)
{
	gt_chan(int) none = NULL;
	bool ok = false;
	int v = 0;

	a = gt_chan_make(int);
	b = gt_chan_make(int);
	gt_go(send_a, (void *)(intptr_t)42);
	sim_check(gt_select(gt_case_recv(none, &v), gt_case_recv(b, &v), gt_case_recv(a, &v, &ok)) == 2);
	sim_check(v == 42 && ok);
	counted = 0;
	gt_go(recv_b, NULL);
	sim_check(gt_select(gt_case_recv(a, &v), gt_case_send(b, 9)) == 1);
	sim_settle();
	sim_check(counted == 1 && sim_live() == 1);
	gt_chan_free(a);
	gt_chan_free(b);
}

static void close_a(void *arg)
{
	gt_close(a);
}

static void woken_by_close(void *arg)
{
	bool ok = true;
	int v = 3;

	a = gt_chan_make(int);
	b = gt_chan_make(int);
	gt_go(close_a, NULL);
	sim_check(gt_select(gt_case_recv(a, &v, &ok), gt_case_recv(b, &v), gt_case_send(b, 1)) == 0);
	sim_check(!ok && v == 0);
	/* Nothing of it is left behind. */
	sim_check(gt_try_recv(b, &v) == GT_NOT_READY && !gt_try_send(b, 1));
	gt_chan_free(a);
	gt_chan_free(b);
}

static void closed_send_case(void *arg)
{
	a = gt_chan_make(int, 1);
	b = gt_chan_make(int);
	gt_close(a);
	gt_select(gt_case_send(a, 1), gt_case_recv(b, NULL), gt_case_default);
}

static void waiting_send_case(void *arg)
{
	a = gt_chan_make(int);
	b = gt_chan_make(int);
	gt_go(close_a, NULL);
	gt_select(gt_case_send(a, 1), gt_case_recv(b, NULL));
}

static void no_cases(void *arg)
{
	gt_select();
}

static void only_nil(void *arg)
{
	gt_chan(int) none = NULL;

	gt_select(gt_case_recv(none, NULL), gt_case_send(none, 1));
}

static void one_nil(void *arg)
{
	gt_chan(int) none = NULL;

	gt_select(gt_case_send(none, 1));
}

static void nobody(void *arg)
{
	a = gt_chan_make(int);
	b = gt_chan_make(int);
	gt_select(gt_case_recv(a, NULL), gt_case_send(b, 1));
}

static void two_defaults(void *arg)
{
	gt_select(gt_case_default, gt_case_default);
}

/* ---- races ---- */

/* One sends each number on any of four channels; another selects on all four, in another order: each arrives once. */
static void sender_of_four(void *arg)
{
	for (int i = 1; i <= 60; i++)
		gt_select(gt_case_send(four[0], i), gt_case_send(four[1], i), gt_case_send(four[2], i),
			gt_case_send(four[3], i));
	for (int i = 0; i < 4; i++)
		gt_close(four[i]);
}

static void receiver_of_four(void *arg)
{
	gt_chan(int) out = (gt_chan(int))arg;
	gt_chan(int) open[4] = {four[3], four[1], four[0], four[2]};

	for (int left = 4; left;) {
		bool ok;
		int v;
		size_t index = gt_select(gt_case_recv(open[0], &v, &ok), gt_case_recv(open[1], &v, &ok),
			gt_case_recv(open[2], &v, &ok), gt_case_recv(open[3], &v, &ok));

		if (ok) {
			gt_send(out, v);
		} else {
			open[index] = NULL;
			left--;
		}
	}
	gt_send(out, -1);
}

static void double_select(void *arg)
{
	static int times[61];
	gt_chan(int) out = gt_chan_make(int);

	for (int i = 0; i < 4; i++)
		four[i] = gt_chan_make(int);
	for (int i = 0; i <= 60; i++)
		times[i] = 0;
	gt_go(sender_of_four, NULL);
	gt_go(receiver_of_four, (void *)out);
	gt_go(receiver_of_four, (void *)out);
	for (int ends = 0; ends < 2;) {
		int v = gt_recv_value(out);

		if (v < 0)
			ends++;
		else
			sim_check(!times[v]++);
	}
	for (int i = 1; i <= 60; i++)
		sim_check(times[i] == 1);
	for (int i = 0; i < 4; i++)
		gt_chan_free(four[i]);
	gt_chan_free(out);
}

/* Both send and receive on one channel in one select: never with oneself. */
static void both_ways(void *arg)
{
	for (int i = 0; i < 30; i++) {
		int v = -1;

		if (gt_select(gt_case_send(a, (int)(intptr_t)arg), gt_case_recv(a, &v), gt_case_recv(a, &v)) != 0)
			sim_check(v != (int)(intptr_t)arg);
	}
	gt_send(b, 1);
}

static void same_channel(void *arg)
{
	a = gt_chan_make(int);
	b = gt_chan_make(int);
	gt_go(both_ways, (void *)(intptr_t)1);
	gt_go(both_ways, (void *)(intptr_t)2);
	gt_recv(b, NULL);
	gt_recv(b, NULL);
	gt_chan_free(a);
	gt_chan_free(b);
}

/* What goes in comes out once, whatever mix of operations meets on three channels. */
static gt_chan(uint64_t) three[3];
static uint64_t sent, received;
static struct gt_wg wg;

static void mixed_sender(void *arg)
{
	for (int i = 0; i < 25; i++) {
		uint64_t v = (uint64_t)(intptr_t)arg * 1000 + (uint64_t)i;
		unsigned int at = sim_below(3);

		switch (sim_below(3)) {
		case 0:
			gt_send(three[at], v);
			sent += v;
			break;
		case 1:
			gt_select(gt_case_send(three[at], v), gt_case_send(three[(at + 1) % 3], v));
			sent += v;
			break;
		default:
			if (gt_select(gt_case_send(three[at], v), gt_case_send(three[2], v), gt_case_default) != 2)
				sent += v;
		}
	}
}

static void mixed_receiver(void *arg)
{
	gt_chan(uint64_t) open[3] = {three[0], three[1], three[2]};

	for (int left = 3; left;) {
		size_t at = sim_below(3);
		bool ok = false;
		uint64_t v = 0;

		if (sim_below(4) == 0) {
			if (gt_try_recv(three[at], &v) == GT_DONE)
				received += v;
			continue;
		}
		at = gt_select(
			gt_case_recv(open[0], &v, &ok), gt_case_recv(open[1], &v, &ok), gt_case_recv(open[2], &v, &ok));
		if (ok) {
			received += v;
		} else {
			open[at] = NULL;
			left--;
		}
	}
}

static void mixed(void *arg)
{
	struct gt_wg receivers = {0};

	sent = 0;
	received = 0;
	wg = (struct gt_wg){0};
	for (int i = 0; i < 3; i++)
		three[i] = gt_chan_make(uint64_t, sim_below(3));
	for (intptr_t i = 1; i <= 4; i++)
		gt_wg_go(&wg, mixed_sender, (void *)i);
	for (int i = 0; i < 3; i++)
		gt_wg_go(&receivers, mixed_receiver, NULL);
	gt_wg_wait(&wg);
	for (int i = 0; i < 3; i++)
		gt_close(three[i]);
	gt_wg_wait(&receivers);
	sim_check(sent == received);
	for (int i = 0; i < 3; i++)
		gt_chan_free(three[i]);
}

/* More cases than the stack keeps. */
static void many_cases(void *arg)
{
	static struct gt_case cases[300];
	static gt_chan(int) chans[300];
	int v = 0;

	for (int i = 0; i < 300; i++)
		chans[i] = i % 7 == 3 ? NULL : gt_chan_make(int);
	for (int i = 0; i < 300; i++)
		cases[i] = gt_case_recv(chans[i], &v);
	a = chans[200];
	gt_go(send_a, (void *)(intptr_t)5);
	sim_check(gt_select_n(cases, 300) == 200 && v == 5);
	for (int i = 0; i < 300; i++)
		gt_chan_free(chans[i]);
}

static void too_many_cases(void *arg)
{
	gt_select_n(NULL, 65537);
}

const struct scenario select_scenarios[] = {
	{"select-fair", fair, SIM_RETURNED, NULL, 0},
	{"select-no-ready-case", no_ready_case, SIM_RETURNED, NULL, 0},
	{"select-waits", waits, SIM_RETURNED, NULL, 0},
	{"select-woken-by-close", woken_by_close, SIM_RETURNED, NULL, 0},
	{"select-closed-send-case", closed_send_case, SIM_PANIC, "panic: send on closed channel", 0},
	{"select-waiting-send-case", waiting_send_case, SIM_PANIC, "panic: send on closed channel", 0},
	{"select-no-cases", no_cases, SIM_DEADLOCK, NULL, GT_REASON_SELECT_NO_CASES},
	{"select-only-nil", only_nil, SIM_DEADLOCK, NULL, GT_REASON_SELECT},
	{"select-one-nil", one_nil, SIM_DEADLOCK, NULL, GT_REASON_CHAN_SEND_NIL},
	{"select-nobody", nobody, SIM_DEADLOCK, NULL, GT_REASON_SELECT},
	{"select-two-defaults", two_defaults, SIM_PANIC, "panic: select: multiple default cases", 0},
	{"select-too-many-cases", too_many_cases, SIM_PANIC, "panic: select: too many cases (max 65536)", 0},
	{"select-double", double_select, SIM_RETURNED, NULL, 0},
	{"select-same-channel", same_channel, SIM_RETURNED, NULL, 0},
	{"select-mixed", mixed, SIM_RETURNED, NULL, 0},
	{"select-many-cases", many_cases, SIM_RETURNED, NULL, 0},
	{NULL, NULL, SIM_RETURNED, NULL, 0},
};
