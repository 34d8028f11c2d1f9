/*
 * conformance.c - what Go's own channel and scheduler tests check, on the real scheduler, each a case here.
 *
 *   conformance           all but those about order
 *   conformance order     those that need one P: with GOMAXPROCS=1
 *
 * docs/conformance.md tells which fact is tested where. Nothing here is decided by time: what must happen is waited for,
 * however long; what must not happen is looked for after others have had their turns; what chance decides is tried until
 * it is seen.
 */
#include <errno.h>
#include <gtrace/io.h>

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			exit(1); \
		} \
	} while (0)

/* Lets the others go on until they wait; not a proof, but what must not happen has had its chance. */
static void settle(void)
{
	for (int i = 0; i < 50; i++)
		gt_yield();
	gt_sleep(GT_MILLISECOND);
}

/* ---- doubleselect: a value that several cases offer goes out once ---- */

#define DOUBLE_ROUNDS 20000

static gt_chan(int) lanes[4], merged;

static void double_send(void *arg)
{
	for (int i = 0; i < DOUBLE_ROUNDS; i++)
		gt_select(gt_case_send(lanes[0], i), gt_case_send(lanes[1], i), gt_case_send(lanes[2], i),
			gt_case_send(lanes[3], i));
	for (int i = 0; i < 4; i++)
		gt_close(lanes[i]);
}

static void double_forward(void *arg)
{
	gt_chan(int) *lane = arg;
	int v;

	while (gt_recv(*lane, &v))
		gt_send(merged, v);
}

static void close_merged(void *arg)
{
	gt_wg_wait(arg);
	gt_close(merged);
}

static void doubleselect(void)
{
	static unsigned char seen[DOUBLE_ROUNDS];
	struct gt_wg wg = {0};
	int v, count = 0;

	merged = gt_chan_make(int);
	for (int i = 0; i < 4; i++) {
		lanes[i] = gt_chan_make(int);
		gt_wg_go(&wg, double_forward, &lanes[i]);
	}
	gt_go(double_send, NULL);
	gt_go(close_merged, &wg);
	while (gt_recv(merged, &v)) {
		CHECK(!seen[v]++);
		count++;
	}
	CHECK(count == DOUBLE_ROUNDS);
	gt_chan_free(merged);
	for (int i = 0; i < 4; i++)
		gt_chan_free(lanes[i]);
}

/* ---- fifo: a buffer's values, and a chain of goroutines, keep their order ---- */

struct link {
	gt_chan(int) in, out, c;
	int index;
};

static void link_run(void *arg)
{
	struct link *l = arg;

	CHECK(gt_recv_value(l->in) == l->index);
	gt_send(l->c, l->index);
	gt_send(l->out, l->index + 1);
}

static void fifo(void)
{
	gt_chan(int) buffered = gt_chan_make(int, 10), c = gt_chan_make(int), first = gt_chan_make(int), in = first;
	struct link links[10];

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 10; i++)
			gt_send(buffered, i);
		for (int i = 0; i < 10; i++)
			CHECK(gt_recv_value(buffered) == i);
	}
	for (int i = 0; i < 10; i++) {
		links[i] = (struct link){in, gt_chan_make(int), c, i};
		gt_go(link_run, &links[i]);
		in = links[i].out;
	}
	gt_send(first, 0);
	for (int i = 0; i < 10; i++)
		CHECK(gt_recv_value(c) == i);
	CHECK(gt_recv_value(in) == 10);
}

/* ---- goroutines: a chain of very many ---- */

static void hand_on(void *arg)
{
	gt_chan(int) *pair = arg;
	int v = gt_recv_value(pair[1]);

	gt_send(pair[0], v + 1);
}

static void goroutines(void)
{
#ifdef __SANITIZE_THREAD__
	enum { MANY = 2000 }; /* TSan knows 8128 at once */
#else
	enum { MANY = 20000 };
#endif
	gt_chan(int) *all = malloc((MANY + 1) * sizeof(*all));

	CHECK(all);
	for (int i = 0; i <= MANY; i++)
		all[i] = gt_chan_make(int);
	for (int i = 0; i < MANY; i++)
		gt_go(hand_on, &all[i]);
	gt_send(all[MANY], 0);
	CHECK(gt_recv_value(all[0]) == MANY);
}

/* ---- nonblock: the forms that never wait, for each kind of value ---- */

struct big {
	char bytes[300];
};

#define NONBLOCK(T, ...) \
	do { \
		const T value[1] = {__VA_ARGS__}; \
		gt_chan(T) plain = gt_chan_make(T), one = gt_chan_make(T, 1); \
		T got[1]; \
\
		memset(got, 1, sizeof(got)); \
		CHECK(gt_try_recv(plain, &got[0]) == GT_NOT_READY && !gt_try_send(plain, value[0])); \
		CHECK(gt_try_recv(one, &got[0]) == GT_NOT_READY); \
		CHECK(gt_select(gt_case_recv(plain, &got[0]), gt_case_send(plain, value[0]), gt_case_default) == 2); \
		CHECK(gt_try_send(one, value[0]) && !gt_try_send(one, value[0])); \
		CHECK(gt_select(gt_case_send(one, value[0]), gt_case_default) == 1); \
		CHECK(gt_chan_len(one) == 1 && gt_chan_cap(one) == 1); \
		CHECK(gt_try_recv(one, &got[0]) == GT_DONE && !memcmp(got, value, sizeof(got))); \
		CHECK(gt_select(gt_case_send(one, value[0]), gt_case_default) == 0); \
		CHECK(gt_select(gt_case_recv(one, &got[0]), gt_case_default) == 0); \
		gt_close(one); \
		CHECK(gt_try_recv(one, &got[0]) == GT_CLOSED); \
		for (size_t i_ = 0; i_ < sizeof(got); i_++) \
			CHECK(((char *)got)[i_] == 0); \
		gt_chan_free(one); \
		gt_chan_free(plain); \
	} while (0)

static void nonblock(void)
{
	NONBLOCK(char, 'a');
	NONBLOCK(int16_t, 257);
	NONBLOCK(int32_t, 123456);
	NONBLOCK(int64_t, 1234567890123);
	NONBLOCK(double, 0.5);
	NONBLOCK(bool, true);
	NONBLOCK(const char *, "text");
	NONBLOCK(struct big, {{1, 2, 3}});
}

/* ---- select: every ready case is taken about as often as any other ---- */

static void fairness(void)
{
	enum { CASES = 4, TURNS = 4000 };
	gt_chan(int) c[CASES];
	int taken[CASES] = {0};

	for (int i = 0; i < CASES; i++) {
		c[i] = gt_chan_make(int, 1);
		gt_send(c[i], i);
	}
	for (int i = 0; i < TURNS; i++) {
		int v = -1;
		size_t which = gt_select(
			gt_case_recv(c[0], &v), gt_case_recv(c[1], &v), gt_case_recv(c[2], &v), gt_case_recv(c[3], &v));

		CHECK((size_t)v == which);
		taken[v]++;
		gt_send(c[v], v);
	}
	/* 1000 each; to be 400 off happens once in 10^45 runs. */
	for (int i = 0; i < CASES; i++)
		CHECK(taken[i] > TURNS / CASES - 400 && taken[i] < TURNS / CASES + 400);
}

/* ---- select2: a select that waits and goes on leaves nothing behind ---- */

static void answer_all(void *arg)
{
	/* The array is gone when the channel is closed. */
	gt_chan(int) *c = arg, in = c[0], out = c[1];
	int v;

	while (gt_recv(in, &v))
		gt_send(out, v);
}

static void no_leak(void)
{
	gt_chan(int) c[3] = {gt_chan_make(int), gt_chan_make(int), gt_chan_make(int)};
	struct gt_wg wg = {0};
	size_t before = 0;

	gt_wg_go(&wg, answer_all, c);
	for (int i = 0; i < 60000; i++) {
		int v = -1;

		gt_send(c[0], i);
		CHECK(gt_select(gt_case_recv(c[2], &v), gt_case_recv(c[1], &v), gt_case_send(c[2], 5)) == 1 && v == i);
		if (i == 10000)
			before = mallinfo2().uordblks;
	}
	/* In 50,000 rounds a waiter of 64 bytes each would be 3 MB. */
	CHECK(mallinfo2().uordblks < before + 500000);
	gt_close(c[0]);
	gt_wg_wait(&wg); /* it reads from this stack */
}

/* ---- select3: which operations wait for ever, and which never ---- */

struct trial {
	void (*fn)(void);
	gt_chan(struct gt_unit) through;
};

static gt_chan(int) nil_chan, plain_chan, full_chan, closed_chan;

static void trial_run(void *arg)
{
	struct trial *t = arg;

	t->fn();
	gt_close(t->through);
}

static void must(bool wait, void (*fn)(void))
{
	struct trial *t = malloc(sizeof(*t));

	CHECK(t);
	*t = (struct trial){fn, gt_chan_make(struct gt_unit)};
	gt_go(trial_run, t);
	if (wait) {
		settle();
		CHECK(gt_try_recv(t->through, NULL) == GT_NOT_READY); /* and it stays, to the end of the program */
	} else {
		gt_recv(t->through, NULL);
		gt_chan_free(t->through);
		free(t);
	}
}

#define TRIAL(name, statement) \
	static void name(void) \
	{ \
		statement; \
	}
TRIAL(recv_nil, gt_recv(nil_chan, NULL))
TRIAL(send_nil, gt_send(nil_chan, 7))
TRIAL(recv_nil_default, gt_select(gt_case_recv(nil_chan, NULL), gt_case_default))
TRIAL(send_nil_default, gt_select(gt_case_send(nil_chan, 7), gt_case_default))
TRIAL(recv_plain, gt_recv(gt_chan_make(int), NULL))
TRIAL(send_plain, gt_send(gt_chan_make(int), 7))
TRIAL(send_full, gt_send(full_chan, 7))
TRIAL(recv_plain_default, gt_select(gt_case_recv(plain_chan, NULL), gt_case_default))
TRIAL(send_full_default, gt_select(gt_case_send(full_chan, 7), gt_case_default))
TRIAL(send_room, gt_send(gt_chan_make(int, 1), 7))
TRIAL(recv_closed, gt_recv(closed_chan, NULL); gt_recv(closed_chan, NULL))
TRIAL(select_none, gt_select())
TRIAL(select_default, gt_select(gt_case_default))
TRIAL(select_nil_nil, gt_select(gt_case_recv(nil_chan, NULL), gt_case_send(nil_chan, 7)))
TRIAL(select_nil_plain, gt_select(gt_case_recv(nil_chan, NULL), gt_case_send(gt_chan_make(int), 7)))
TRIAL(select_self, gt_select(gt_case_recv(plain_chan, NULL), gt_case_send(plain_chan, 7)))
TRIAL(select_closed, gt_select(gt_case_recv(nil_chan, NULL), gt_case_recv(closed_chan, NULL)))

static void who_waits(void)
{
	plain_chan = gt_chan_make(int);
	full_chan = gt_chan_make(int, 2);
	closed_chan = gt_chan_make(int);
	gt_send(full_chan, 1);
	gt_send(full_chan, 2);
	gt_close(closed_chan);
	must(true, recv_nil);
	must(true, send_nil);
	must(false, recv_nil_default);
	must(false, send_nil_default);
	must(true, recv_plain);
	must(true, send_plain);
	must(true, send_full);
	must(false, recv_plain_default);
	must(false, send_full_default);
	must(false, send_room);
	must(false, recv_closed);
	must(true, select_none);
	must(false, select_default);
	must(true, select_nil_nil);
	must(true, select_nil_plain);
	must(true, select_self);
	must(false, select_closed);
}

/* ---- select4, select5: a case that does not go changes nothing; every argument is evaluated once ---- */

static int evaluated[4];

static gt_chan(int) chan_once(int i, gt_chan(int) c)
{
	evaluated[i]++;
	return c;
}

static int value_once(int i, int v)
{
	evaluated[i]++;
	return v;
}

static void arguments(void)
{
	gt_chan(int) ready = gt_chan_make(int, 1), never = gt_chan_make(int);
	int a = 11, b = 12;
	bool ok_a = true, ok_b = false;

	gt_send(ready, 7);
	CHECK(gt_select(gt_case_recv(chan_once(0, never), &a, &ok_a), gt_case_recv(chan_once(1, ready), &b, &ok_b),
		      gt_case_send(chan_once(2, never), value_once(3, 5))) == 1);
	CHECK(a == 11 && ok_a && b == 7 && ok_b);
	for (int i = 0; i < 4; i++)
		CHECK(evaluated[i] == 1);
	gt_send(chan_once(0, ready), value_once(1, b == 7 ? 1 : 2));
	CHECK(gt_recv(chan_once(2, ready), &a) && a == 1);
	CHECK(gt_try_send(chan_once(3, ready), 1) && evaluated[0] == 2 && evaluated[1] == 2 && evaluated[3] == 2);
	/* Commas belong to the value. */
	gt_chan(struct link) links = gt_chan_make(struct link, 1);
	gt_send(links, (struct link){ready, never, NULL, 3});
	CHECK(gt_recv_value(links).index == 3);
}

/* ---- select6: who lost in a select stands in no queue any more, and the queue behind him is whole ---- */

static gt_chan(bool) c1, c2, c3, c4;

static void recv_c1(void *arg)
{
	gt_recv(c1, NULL);
}

static void select_then_forward(void *arg)
{
	gt_select(gt_case_recv(c1, NULL), gt_case_recv(c2, NULL)); /* loses on c1 */
	gt_send(c3, true);
}

static void recv_c1_forward(void *arg)
{
	gt_recv(c1, NULL);
	gt_send(c4, true);
}

static void losers(void)
{
	c1 = gt_chan_make(bool);
	c2 = gt_chan_make(bool);
	c3 = gt_chan_make(bool);
	c4 = gt_chan_make(bool);
	gt_go(recv_c1, NULL);
	settle();
	gt_go(select_then_forward, NULL);
	settle();
	gt_go(recv_c1_forward, NULL);
	settle();
	gt_send(c2, true); /* takes the one in the middle out of the queue of c1 */
	gt_recv(c3, NULL);
	gt_send(c1, true);
	gt_send(c1, true);
	gt_recv(c4, NULL);
	CHECK(!gt_try_send(c1, true));
}

/* ---- select7: every form of receive finds every form of send ---- */

static gt_chan(int) dead;

static void recv_form(int form, gt_chan(int) c)
{
	int v = 0;
	bool ok = false;

	if (form == 0)
		CHECK(gt_recv(c, &v));
	else if (form == 1)
		CHECK(gt_select(gt_case_recv(c, &v, &ok)) == 0 && ok);
	else if (form == 2)
		CHECK(gt_select(gt_case_recv(dead, &v), gt_case_recv(c, &v, &ok)) == 1 && ok);
	else if (form == 3)
		while (gt_try_recv(c, &v) != GT_DONE)
			gt_yield();
	else
		v = gt_recv_value(c);
	CHECK(v == 1);
}

static void send_form(int form, gt_chan(int) c)
{
	if (form == 0)
		gt_send(c, 1);
	else if (form == 1)
		CHECK(gt_select(gt_case_send(c, 1)) == 0);
	else if (form == 2)
		CHECK(gt_select(gt_case_recv(dead, NULL), gt_case_send(c, 1)) == 1);
	else
		while (!gt_try_send(c, 1))
			gt_yield();
}

struct forms {
	gt_chan(int) c;
	int send;
};

static void send_one(void *arg)
{
	struct forms *f = arg;

	send_form(f->send, f->c);
}

static void forms(void)
{
	dead = gt_chan_make(int);
	for (int recv = 0; recv < 5; recv++) {
		for (int send = 0; send < 4; send++) {
			struct gt_wg wg = {0};
			struct forms f = {gt_chan_make(int), send};

			/* Two that only try never meet. */
			if (recv == 3 && send == 3)
				continue;
			gt_wg_go(&wg, send_one, &f);
			recv_form(recv, f.c);
			gt_wg_wait(&wg);
			gt_chan_free(f.c);
		}
	}
}

/* ---- zerosize: values of no size count all the same ---- */

static void zerosize(void)
{
	gt_chan(struct gt_unit) many = gt_chan_make(struct gt_unit, (size_t)1 << 40),
				plain = gt_chan_make(struct gt_unit);
	struct trial t = {NULL, plain};

	for (int i = 0; i < 1000; i++)
		gt_send(many, (struct gt_unit){});
	CHECK(gt_chan_len(many) == 1000 && gt_chan_cap(many) == (size_t)1 << 40);
	gt_close(many);
	for (int i = 0; i < 1000; i++)
		CHECK(gt_recv(many, NULL));
	CHECK(!gt_recv(many, NULL));
	t.fn = zerosize; /* not called */
	CHECK(!gt_try_send(t.through, (struct gt_unit){}));
	gt_chan_free(plain);
	gt_chan_free(many);
}

/* ---- sieve: one goroutine a prime; and primes by merging their multiples ---- */

struct filter {
	gt_chan(int) in, out;
	int prime;
};

static void count_up(void *arg)
{
	gt_chan(int) out = arg;

	for (int i = 2;; i++)
		gt_send(out, i);
}

static void filter_run(void *arg)
{
	struct filter *f = arg;

	for (int i;;) {
		i = gt_recv_value(f->in);
		if (i % f->prime)
			gt_send(f->out, i);
	}
}

static const int primes_to_100[] = {
	2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97};
#define PRIMES 25

static void sieve(void)
{
	gt_chan(int) c = gt_chan_make(int);

	gt_go(count_up, c);
	for (int i = 0; i < PRIMES; i++) {
		struct filter *f = malloc(sizeof(*f));

		CHECK(f);
		*f = (struct filter){c, gt_chan_make(int), gt_recv_value(c)};
		CHECK(f->prime == primes_to_100[i]);
		gt_go(filter_run, f);
		c = f->out;
	}
}

struct multiples {
	gt_chan(int) c;
	int prime, next;
};

static void multiples_run(void *arg)
{
	struct multiples *m = arg;

	for (int i = m->prime * m->prime;; i += m->prime)
		gt_send(m->c, i);
}

/* The smallest multiples of all primes so far are taken from their goroutines; what is between them is prime. */
static void sieve_by_merging(void)
{
	struct multiples m[PRIMES];
	int count = 0;

	for (int i = 2; count < PRIMES; i++) {
		bool prime = true;

		for (int k = 0; k < count; k++) {
			if (m[k].next == i) {
				prime = false;
				m[k].next = gt_recv_value(m[k].c);
			}
		}
		if (!prime)
			continue;
		CHECK(i == primes_to_100[count]);
		m[count] = (struct multiples){gt_chan_make(int, (size_t)count), i, 0};
		struct multiples *kept = malloc(sizeof(*kept));
		CHECK(kept);
		*kept = m[count];
		gt_go(multiples_run, kept);
		m[count].next = gt_recv_value(m[count].c);
		count++;
	}
}

/* ---- the scheduler ---- */

static atomic_int at_barrier;

static void meet(void *arg)
{
	atomic_fetch_add(&at_barrier, 1);
	while (atomic_load(&at_barrier) < 2)
		continue; /* without a call: whoever is first holds its P until the other runs too, elsewhere */
}

/* Two goroutines of one P's queue run at the same instant: one was stolen. Signals would end the first one's slice: the test
 * is run with GT_ASYNCPREEMPT=0. */
static void overlap(void)
{
	struct gt_wg wg = {0};

	if (!getenv("GT_ASYNCPREEMPT"))
		return;
	CHECK(gt_gomaxprocs(0) >= 2);
	at_barrier = 0;
	gt_wg_go(&wg, meet, NULL);
	gt_wg_go(&wg, meet, NULL);
	gt_wg_wait(&wg);
}

struct ends {
	int number[2];
	gt_chan(struct gt_unit) through;
};

static void read_blocking(void *arg)
{
	struct ends *e = arg;
	char byte;

	gt_syscall_enter();
	CHECK(read(e->number[0], &byte, 1) == 1);
	gt_syscall_exit();
	gt_close(e->through);
}

/* A goroutine in a call that blocks gives its P to others: with one P, somebody else ends the call. */
static void hand_off(void)
{
	struct ends e = {.through = gt_chan_make(struct gt_unit)};

	CHECK(pipe(e.number) == 0);
	gt_go(read_blocking, &e);
	settle();
	CHECK(write(e.number[1], "x", 1) == 1);
	gt_recv(e.through, NULL);
	close(e.number[0]);
	close(e.number[1]);
	gt_chan_free(e.through);
}

static void *write_later(void *arg)
{
	usleep(20000);
	CHECK(write(*(int *)arg, "x", 1) == 1);
	return NULL;
}

static void read_by_poll(void *arg)
{
	struct ends *e = arg;
	struct gt_fd *fd;
	char byte;

	CHECK(gt_fd_new(e->number[0], &fd) == 0);
	CHECK(gt_fd_read(fd, &byte, 1) == 1);
	gt_fd_close(fd);
	gt_close(e->through);
}

/* All wait, but one of them for a descriptor: that is no deadlock. */
static void poll_is_no_deadlock(void)
{
	struct ends e = {.through = gt_chan_make(struct gt_unit)};
	pthread_t thread;

	CHECK(pipe(e.number) == 0);
	gt_go(read_by_poll, &e);
	CHECK(pthread_create(&thread, NULL, write_later, &e.number[1]) == 0);
	gt_recv(e.through, NULL);
	pthread_join(thread, NULL);
	close(e.number[1]);
	gt_chan_free(e.through);
}

static uint64_t child_id, child_parent;

static void note_ids(void *arg)
{
	child_id = gt_id();
	child_parent = gt_parent();
	gt_close((gt_chan(struct gt_unit))arg);
	gt_exit();
}

static void ids(void)
{
	gt_chan(struct gt_unit) through = gt_chan_make(struct gt_unit);
	uint64_t id;

	CHECK(gt_id() == 1 && gt_parent() == 0);
	id = gt_go(note_ids, through);
	gt_recv(through, NULL);
	CHECK(id == child_id && id > 1 && child_parent == 1);
	gt_chan_free(through);
}

static void times(void)
{
	int64_t before = gt_now();
	gt_timer t;

	gt_sleep(0);
	gt_sleep(-GT_SECOND);
	CHECK(!gt_tick(0) && !gt_tick(-1));
	t = gt_after(-1);
	CHECK(gt_recv_value(t) >= before);
	CHECK(gt_chan_len(t) == 0 && gt_chan_cap(t) == 0);
	CHECK(!gt_timer_reset(t, 3600 * GT_SECOND) && gt_timer_stop(t) && !gt_timer_stop(t));
	CHECK(gt_try_recv(t, NULL) == GT_NOT_READY);
	gt_chan_free(t);
	before = gt_now();
	gt_sleep(3 * GT_MILLISECOND);
	CHECK(gt_now() - before >= 3 * GT_MILLISECOND);
}

static void procs(void)
{
	int was = gt_gomaxprocs(3);

	CHECK(gt_gomaxprocs(0) == 3 && gt_gomaxprocs(-1) == 3);
	CHECK(gt_gomaxprocs(1) == 3 && gt_gomaxprocs(was) == 1);
	CHECK(gt_num_cpu() >= 1 && gt_num_goroutine() >= 1);
}

/* ---- order, with one P ---- */

static char order[64];

static void note(void *arg)
{
	order[strlen(order)] = (char)(intptr_t)arg;
}

static void note_and_yield(void *arg)
{
	note(arg);
	gt_yield();
	note((void *)((intptr_t)arg - 'a' + 'A'));
}

static void yield_until(size_t count)
{
	while (strlen(order) < count)
		gt_yield();
}

static gt_chan(int) wake;

static void wait_and_note(void *arg)
{
	gt_recv(wake, NULL);
	note(arg);
}

/* The one started last runs next, the others in their order. */
static void newest_first(void)
{
	for (int i = 0; i < 5; i++)
		gt_go(note, (void *)(intptr_t)('a' + i));
	yield_until(5);
}

/* Who yields goes behind all others. */
static void yield_goes_last(void)
{
	for (int i = 0; i < 3; i++)
		gt_go(note_and_yield, (void *)(intptr_t)('a' + i));
	yield_until(6);
}

/* Who is made ready runs next, before those that were there. */
static void woken_runs_next(void)
{
	wake = gt_chan_make(int);
	gt_go(wait_and_note, (void *)'w');
	gt_yield();
	gt_go(note, (void *)'a');
	gt_go(note, (void *)'b');
	gt_send(wake, 1);
	yield_until(3);
	gt_chan_free(wake);
}

/* A slice may end anywhere, and then the order is another: one run as expected tells enough. */
static void expect_order(const char *want, void (*fn)(void))
{
	for (int tries = 0; tries < 1000; tries++) {
		memset(order, 0, sizeof(order));
		fn();
		if (strcmp(order, want) == 0)
			return;
	}
	fprintf(stderr, "in 1000 runs never %s; the last was %s\n", want, order);
	exit(1);
}

static int run(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "order") == 0) {
		CHECK(gt_gomaxprocs(0) == 1);
		expect_order("eabcd", newest_first);
		expect_order("cabCAB", yield_goes_last);
		expect_order("wab", woken_runs_next);
		hand_off();
		poll_is_no_deadlock();
		printf("good\n");
		return 0;
	}
	ids();
	times();
	doubleselect();
	fifo();
	goroutines();
	nonblock();
	fairness();
	no_leak();
	who_waits();
	arguments();
	losers();
	forms();
	zerosize();
	sieve();
	sieve_by_merging();
	overlap();
	hand_off();
	poll_is_no_deadlock();
	procs();
	printf("good\n");
	return 0;
}

int main(int argc, char **argv)
{
	return gt_main(argc, argv, run);
}
