/*
 * chan_scenarios.c - what Go's specification and runtime say of send, receive, close, len, cap and nil.
 */
#include "tests/sim/scenarios.h"

static gt_chan(int) c;
static gt_chan(int) back;
static int seen[256];
static int counted;

/* ---- hand to hand ---- */

static void echo(void *arg)
{
	int v;

	while (gt_recv(c, &v))
		gt_send(back, v + 1);
	gt_close(back);
}

static void ping_pong(void *arg)
{
	int v;

	c = gt_chan_make(int);
	back = gt_chan_make(int);
	gt_go(echo, NULL);
	for (int i = 0; i < 50; i++) {
		gt_send(c, i);
		sim_check(gt_recv_value(back) == i + 1);
	}
	gt_close(c);
	sim_check(!gt_recv(back, &v) && v == 0);
	gt_chan_free(c);
	gt_chan_free(back);
}

static void send_number(void *arg)
{
	gt_send(c, (int)(intptr_t)arg);
}

static void take_number(void *arg)
{
	seen[(intptr_t)arg] = gt_recv_value(c);
}

/* Senders that wait are served in the order they came; so are receivers. */
static void fifo(void *arg)
{
	c = gt_chan_make(int);
	for (intptr_t i = 0; i < 10; i++) {
		gt_go(send_number, (void *)i);
		sim_settle();
		sim_check(sim_reason((uint64_t)i + 2) == GT_REASON_CHAN_SEND);
	}
	for (int i = 0; i < 10; i++)
		sim_check(gt_recv_value(c) == i);
	for (intptr_t i = 0; i < 10; i++) {
		gt_go(take_number, (void *)i);
		sim_settle();
		sim_check(sim_reason((uint64_t)i + 12) == GT_REASON_CHAN_RECEIVE);
	}
	for (int i = 0; i < 10; i++)
		gt_send(c, i + 100);
	sim_settle();
	for (int i = 0; i < 10; i++)
		sim_check(seen[i] == i + 100);
	sim_check(sim_live() == 1);
	gt_chan_free(c);
}

/* A receiver from a full buffer takes its head; the sender that waits goes to its tail. */
static void full_buffer(void *arg)
{
	c = gt_chan_make(int, 3);
	sim_check(gt_chan_cap(c) == 3 && gt_chan_len(c) == 0);
	for (int i = 0; i < 3; i++)
		gt_send(c, i);
	for (intptr_t i = 3; i < 6; i++) {
		gt_go(send_number, (void *)i);
		sim_settle();
	}
	sim_check(gt_chan_len(c) == 3 && !gt_try_send(c, 99));
	for (int i = 0; i < 6; i++)
		sim_check(gt_recv_value(c) == i);
	sim_check(gt_chan_len(c) == 0 && gt_try_recv(c, NULL) == GT_NOT_READY);
	gt_chan_free(c);
}

/* The forms that do not wait do their work with one who waits. */
static void try_with_waiter(void *arg)
{
	int v = 0;

	c = gt_chan_make(int);
	gt_go(take_number, (void *)(intptr_t)1);
	sim_settle();
	sim_check(gt_try_send(c, 5) && !gt_try_send(c, 6));
	sim_settle();
	sim_check(seen[1] == 5);
	gt_go(send_number, (void *)(intptr_t)8);
	sim_settle();
	sim_check(gt_try_recv(c, &v) == GT_DONE && v == 8 && gt_try_recv(c, &v) == GT_NOT_READY);
	sim_settle();
	gt_chan_free(c);
}

/* ---- many to many ---- */

#define PRODUCERS 4
#define CONSUMERS 3
#define EACH      20

static struct gt_wg producers;

static void produce(void *arg)
{
	for (int i = 0; i < EACH; i++)
		gt_send(c, (int)(intptr_t)arg * EACH + i);
}

static void consume(void *arg)
{
	int latest[PRODUCERS] = {-1, -1, -1, -1};
	int v;

	while (gt_recv(c, &v)) {
		sim_check(v > latest[v / EACH]);
		latest[v / EACH] = v;
		seen[v]++;
		counted++;
	}
	gt_send(back, 1);
}

static void many(size_t cap)
{
	c = gt_chan_make(int, cap);
	back = gt_chan_make(int);
	counted = 0;
	producers = (struct gt_wg){0};
	for (int i = 0; i < PRODUCERS * EACH; i++)
		seen[i] = 0;
	for (intptr_t i = 0; i < CONSUMERS; i++)
		gt_go(consume, NULL);
	for (intptr_t i = 0; i < PRODUCERS; i++)
		gt_wg_go(&producers, produce, (void *)i);
	gt_wg_wait(&producers);
	gt_close(c);
	for (int i = 0; i < CONSUMERS; i++)
		gt_recv(back, NULL);
	sim_check(counted == PRODUCERS * EACH);
	for (int i = 0; i < PRODUCERS * EACH; i++)
		sim_check(seen[i] == 1);
	gt_chan_free(c);
	gt_chan_free(back);
}

static void many_unbuffered(void *arg)
{
	many(0);
}

static void many_buffered(void *arg)
{
	many(1 + sim_below(5));
}

/* ---- close ---- */

static void expect_closed(void *arg)
{
	int v = 77;

	sim_check(!gt_recv(c, &v) && v == 0);
	counted++;
}

static void close_wakes(void *arg)
{
	c = gt_chan_make(int, sim_below(3));
	counted = 0;
	for (int i = 0; i < 5; i++)
		gt_go(expect_closed, NULL);
	if (sim_below(2))
		sim_settle();
	gt_close(c);
	sim_settle();
	sim_check(counted == 5);
	gt_chan_free(c);
}

static void close_drains(void *arg)
{
	bool ok;
	int v;

	c = gt_chan_make(int, 4);
	for (int i = 1; i <= 3; i++)
		gt_send(c, i);
	gt_close(c);
	sim_check(gt_chan_len(c) == 3);
	for (int i = 1; i <= 3; i++) {
		ok = gt_recv(c, &v);
		sim_check(ok && v == i);
	}
	for (int i = 0; i < 3; i++) {
		v = 7;
		ok = gt_recv(c, &v);
		sim_check(!ok && v == 0);
		v = 7;
		sim_check(gt_try_recv(c, &v) == GT_CLOSED && v == 0);
		sim_check(gt_recv_value(c) == 0);
	}
	gt_chan_free(c);
}

static void send_on_closed(void *arg)
{
	c = gt_chan_make(int, 1);
	gt_close(c);
	gt_send(c, 1);
}

static void try_send_on_closed(void *arg)
{
	c = gt_chan_make(int, sim_below(2));
	gt_close(c);
	gt_try_send(c, 1);
}

static void close_with_sender(void *arg)
{
	c = gt_chan_make(int);
	gt_go(send_number, NULL);
	sim_settle();
	gt_close(c);
	sim_settle();
}

static void close_twice(void *arg)
{
	c = gt_chan_make(int);
	gt_close(c);
	gt_close(c);
}

static void close_nil(void *arg)
{
	c = NULL;
	gt_close(c);
}

static void free_with_waiter(void *arg)
{
	c = gt_chan_make(int);
	gt_go(send_number, NULL);
	sim_settle();
	gt_chan_free(c);
}

static void too_large(void *arg)
{
	c = gt_chan_make(int, (size_t)-1);
}

/* ---- nil ---- */

static void nil_receive(void *arg)
{
	c = NULL;
	gt_recv(c, NULL);
}

static void nil_send(void *arg)
{
	c = NULL;
	gt_send(c, 1);
}

static void nil_others(void *arg)
{
	c = NULL;
	sim_check(!gt_try_send(c, 1) && gt_try_recv(c, NULL) == GT_NOT_READY);
	sim_check(gt_chan_len(c) == 0 && gt_chan_cap(c) == 0);
	sim_check(!gt_chan_ref(c));
	gt_chan_free(c);
}

static void nobody_sends(void *arg)
{
	c = gt_chan_make(int);
	gt_recv(c, NULL);
}

static void nobody_receives(void *arg)
{
	c = gt_chan_make(int, 1);
	gt_send(c, 1);
	gt_send(c, 2);
}

/* ---- types ---- */

struct big {
	long numbers[40];
};

static gt_chan(struct big) bigs;
static gt_chan(struct gt_unit) units;
static gt_chan(gt_chan(int)) of_chans;

static void send_big(void *arg)
{
	struct big b;

	for (int i = 0; i < 40; i++)
		b.numbers[i] = i;
	gt_send(bigs, b);
	gt_send(units, (struct gt_unit){});
	gt_send(of_chans, c);
}

static void types(void *arg)
{
	size_t cap = sim_below(2);
	gt_chan(int) got;
	struct big b;

	c = gt_chan_make(int, 1);
	bigs = gt_chan_make(struct big, cap);
	units = gt_chan_make(struct gt_unit, cap);
	of_chans = gt_chan_make(gt_chan(int), cap);
	gt_go(send_big, NULL);
	sim_check(gt_recv(bigs, &b));
	for (int i = 0; i < 40; i++)
		sim_check(b.numbers[i] == i);
	sim_check(gt_recv(units, NULL));
	got = gt_recv_value(of_chans);
	sim_check(got == c);
	gt_chan_free(bigs);
	gt_chan_free(units);
	gt_chan_free(of_chans);
	gt_chan_free(gt_chan_ref(c));
	gt_chan_free(got);
}

/* ---- the sieve: one goroutine a prime ---- */

struct filter {
	gt_chan(int) in;
	gt_chan(int) out;
	int prime;
};

static void generate(void *arg)
{
	struct filter *f = arg;

	for (int i = 2;; i++)
		gt_send(f->out, i);
}

static void sift(void *arg)
{
	struct filter *f = arg;

	for (;;) {
		int i = gt_recv_value(f->in);

		if (i % f->prime)
			gt_send(f->out, i);
	}
}

static void sieve(void *arg)
{
	static const int primes[] = {2, 3, 5, 7, 11, 13, 17, 19, 23, 29};
	static struct filter filters[11];

	filters[0].out = gt_chan_make(int);
	gt_go(generate, &filters[0]);
	for (int i = 0; i < 10; i++) {
		int prime = gt_recv_value(filters[i].out);

		sim_check(prime == primes[i]);
		filters[i + 1] = (struct filter){filters[i].out, gt_chan_make(int), prime};
		gt_go(sift, &filters[i + 1]);
	}
}

const struct scenario chan_scenarios[] = {
	{"ping-pong", ping_pong, SIM_RETURNED, NULL, 0},
	{"fifo", fifo, SIM_RETURNED, NULL, 0},
	{"try-with-waiter", try_with_waiter, SIM_RETURNED, NULL, 0},
	{"full-buffer", full_buffer, SIM_RETURNED, NULL, 0},
	{"many-unbuffered", many_unbuffered, SIM_RETURNED, NULL, 0},
	{"many-buffered", many_buffered, SIM_RETURNED, NULL, 0},
	{"close-wakes", close_wakes, SIM_RETURNED, NULL, 0},
	{"close-drains", close_drains, SIM_RETURNED, NULL, 0},
	{"send-on-closed", send_on_closed, SIM_PANIC, "panic: send on closed channel", 0},
	{"try-send-on-closed", try_send_on_closed, SIM_PANIC, "panic: send on closed channel", 0},
	{"close-with-sender", close_with_sender, SIM_PANIC, "panic: send on closed channel", 0},
	{"close-twice", close_twice, SIM_PANIC, "panic: close of closed channel", 0},
	{"close-nil", close_nil, SIM_PANIC, "panic: close of nil channel", 0},
	{"free-with-waiter", free_with_waiter, SIM_PANIC, "fatal error: free of a channel on which goroutines wait", 0},
	{"too-large", too_large, SIM_PANIC, "panic: makechan: size out of range", 0},
	{"nil-receive", nil_receive, SIM_DEADLOCK, NULL, GT_REASON_CHAN_RECEIVE_NIL},
	{"nil-send", nil_send, SIM_DEADLOCK, NULL, GT_REASON_CHAN_SEND_NIL},
	{"nil-others", nil_others, SIM_RETURNED, NULL, 0},
	{"nobody-sends", nobody_sends, SIM_DEADLOCK, NULL, GT_REASON_CHAN_RECEIVE},
	{"nobody-receives", nobody_receives, SIM_DEADLOCK, NULL, GT_REASON_CHAN_SEND},
	{"types", types, SIM_RETURNED, NULL, 0},
	{"sieve", sieve, SIM_RETURNED, NULL, 0, true},
	{NULL, NULL, SIM_RETURNED, NULL, 0},
};
