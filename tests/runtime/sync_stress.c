/*
 * sync_stress.c - channels, select, sync, timers and contexts on real threads; also what TSan watches.
 *
 *   sync_stress [ROUNDS [PROCS]]      also by GTRACE_STRESS
 *
 * Each part has an account that must come out even. Plain variables behind the locks under test are on purpose: a lock
 * that does not order is a race that TSan sees.
 */
#include <gtrace/go.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static int rounds = 1;

#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			exit(1); \
		} \
	} while (0)

static unsigned int chance(unsigned int *state, unsigned int n)
{
	*state = *state * 1664525u + 1013904223u;
	return (*state >> 8) % n;
}

/* ---- channels ---- */

struct pair {
	gt_chan(int) there;
	gt_chan(int) back;
};

static void echo(void *arg)
{
	struct pair *p = arg;
	int v;

	while (gt_recv(p->there, &v))
		gt_send(p->back, v + 1);
	gt_close(p->back);
}

static void ping_pong(void)
{
	struct pair p = {gt_chan_make(int), gt_chan_make(int)};
	int v;

	gt_go(echo, &p);
	for (int i = 0; i < 2000; i++) {
		gt_send(p.there, i);
		CHECK(gt_recv_value(p.back) == i + 1);
	}
	gt_close(p.there);
	CHECK(!gt_recv(p.back, &v));
	gt_chan_free(p.there);
	gt_chan_free(p.back);
}

struct market {
	gt_chan(long) c;
	gt_chan(struct gt_unit) end;
	struct gt_mutex mutex;
	long sent, received;
};

static void seller(void *arg)
{
	struct market *m = arg;
	long sum = 0;

	for (long i = 1; i <= 500; i++) {
		if (i % 5 == 0) {
			if (!gt_try_send(m->c, i))
				continue;
		} else {
			gt_send(m->c, i);
		}
		sum += i;
	}
	gt_mutex_lock(&m->mutex);
	m->sent += sum;
	gt_mutex_unlock(&m->mutex);
}

static void buyer(void *arg)
{
	struct market *m = arg;
	long sum = 0, v = 0;

	while (gt_recv(m->c, &v)) {
		sum += v;
		if (gt_try_recv(m->c, &v) == GT_DONE)
			sum += v;
	}
	gt_mutex_lock(&m->mutex);
	m->received += sum;
	gt_mutex_unlock(&m->mutex);
}

static void market(size_t cap)
{
	struct market m = {.c = gt_chan_make(long, cap)};
	struct gt_wg sellers = {0}, buyers = {0};

	for (int i = 0; i < 6; i++) {
		gt_wg_go(&sellers, seller, &m);
		gt_wg_go(&buyers, buyer, &m);
	}
	gt_wg_wait(&sellers);
	gt_close(m.c);
	gt_wg_wait(&buyers);
	CHECK(m.sent == m.received && m.sent > 0);
	gt_chan_free(m.c);
}

/* Everyone sends and receives on four channels by select, until told to stop. */
struct crowd {
	gt_chan(long) c[4];
	gt_chan(struct gt_unit) stop;
	_Atomic long balance, moved;
	_Atomic unsigned int seed;
};

static void member(void *arg)
{
	struct crowd *w = arg;
	unsigned int seed = atomic_fetch_add(&w->seed, 77);
	long balance = 0, moved = 0;

	for (bool on = true; on; moved++) {
		unsigned int a = chance(&seed, 4), b = chance(&seed, 4);
		long got = 0, give = (long)chance(&seed, 1000);
		bool ok = false;

		switch (gt_select(gt_case_recv(w->c[a], &got, &ok), gt_case_send(w->c[b], give),
			gt_case_recv(w->c[(b + 1) % 4], &got, &ok), gt_case_recv(w->stop, NULL))) {
		case 1:
			balance -= give;
			break;
		case 3:
			on = false;
			break;
		default:
			CHECK(ok);
			balance += got;
		}
	}
	atomic_fetch_add(&w->balance, balance);
	atomic_fetch_add(&w->moved, moved);
}

static void crowd(void)
{
	struct crowd w = {.stop = gt_chan_make(struct gt_unit)};
	struct gt_wg wg = {0};
	long rest = 0, v;

	for (int i = 0; i < 4; i++)
		w.c[i] = gt_chan_make(long, (size_t)(i % 3));
	for (int i = 0; i < 12; i++)
		gt_wg_go(&wg, member, &w);
	gt_sleep(20 * GT_MILLISECOND);
	gt_close(w.stop);
	gt_wg_wait(&wg);
	for (int i = 0; i < 4; i++) {
		while (gt_try_recv(w.c[i], &v) == GT_DONE)
			rest += v;
		gt_chan_free(w.c[i]);
	}
	CHECK(w.balance + rest == 0 && w.moved > 0);
	gt_chan_free(w.stop);
}

struct filter {
	gt_chan(int) in;
	gt_chan(int) out;
	gt_chan(struct gt_unit) stop;
	struct gt_wg *wg;
	int prime;
};

static void generate(void *arg)
{
	struct filter *f = arg;

	for (int i = 2; gt_select(gt_case_send(f->out, i), gt_case_recv(f->stop, NULL)) == 0;)
		i++;
}

static void sift(void *arg)
{
	struct filter *f = arg;
	int i;

	while (gt_select(gt_case_recv(f->in, &i), gt_case_recv(f->stop, NULL)) == 0) {
		if (i % f->prime && gt_select(gt_case_send(f->out, i), gt_case_recv(f->stop, NULL)) != 0)
			break;
	}
}

static void sieve(void)
{
	struct filter filters[51];
	gt_chan(struct gt_unit) stop = gt_chan_make(struct gt_unit);
	struct gt_wg wg = {0};
	int prime = 0;

	filters[0] = (struct filter){.out = gt_chan_make(int), .stop = stop};
	gt_wg_go(&wg, generate, &filters[0]);
	for (int i = 0; i < 50; i++) {
		prime = gt_recv_value(filters[i].out);
		filters[i + 1] = (struct filter){filters[i].out, gt_chan_make(int), stop, &wg, prime};
		gt_wg_go(&wg, sift, &filters[i + 1]);
	}
	CHECK(prime == 229);
	gt_close(stop);
	gt_wg_wait(&wg);
	for (int i = 0; i <= 50; i++)
		gt_chan_free(filters[i].out);
	gt_chan_free(stop);
}

/* ---- sync ---- */

static struct {
	struct gt_mutex mutex;
	struct gt_rwmutex rw;
	struct gt_cond cond;
	struct gt_once once;
	struct gt_sem sem;
	long by_mutex, by_rw, items, taken, once_runs;
	_Atomic long held;
} s;

static void lock_often(void *arg)
{
	for (int i = 0; i < 1000; i++) {
		if (i % 7 == 0 && !gt_mutex_trylock(&s.mutex))
			gt_mutex_lock(&s.mutex);
		else if (i % 7)
			gt_mutex_lock(&s.mutex);
		s.by_mutex++;
		if (i % 100 == 0)
			gt_yield();
		gt_mutex_unlock(&s.mutex);
	}
}

static void rw_often(void *arg)
{
	for (int i = 0; i < 500; i++) {
		if (i % 10 == 0) {
			gt_rwmutex_lock(&s.rw);
			s.by_rw++;
			if (i % 100 == 0)
				gt_yield();
			s.by_rw++;
			gt_rwmutex_unlock(&s.rw);
		} else {
			gt_rwmutex_rlock(&s.rw);
			CHECK(s.by_rw % 2 == 0);
			if (i % 50 == 1)
				gt_yield();
			CHECK(s.by_rw % 2 == 0);
			gt_rwmutex_runlock(&s.rw);
		}
	}
}

static void take_items(void *arg)
{
	for (int i = 0; i < 200; i++) {
		gt_mutex_lock(&s.mutex);
		while (!s.items)
			gt_cond_wait(&s.cond);
		s.items--;
		s.taken++;
		gt_mutex_unlock(&s.mutex);
	}
}

static void put_items(void *arg)
{
	for (int i = 0; i < 100; i++) {
		gt_mutex_lock(&s.mutex);
		s.items += 2;
		gt_mutex_unlock(&s.mutex);
		if (i % 2) {
			gt_cond_broadcast(&s.cond);
		} else {
			gt_cond_signal(&s.cond);
			gt_cond_signal(&s.cond);
		}
	}
}

static void first(void *arg)
{
	gt_yield();
	s.once_runs++;
}

static void hold(void *arg)
{
	for (int i = 0; i < 200; i++) {
		uint64_t weight = 1 + (uint64_t)i % 3;

		if (i % 4 == 3) {
			struct gt_ctx *ctx = gt_ctx_with_timeout(gt_ctx_background(), i % 8 * 20 * GT_MICROSECOND);
			int ret = gt_sem_acquire_ctx(&s.sem, weight, ctx);

			CHECK(!ret || ret == -ETIMEDOUT);
			gt_ctx_free(ctx);
			if (ret)
				continue;
		} else {
			gt_sem_acquire(&s.sem, weight);
		}
		CHECK(atomic_fetch_add(&s.held, (long)weight) + (long)weight <= 5);
		if (i % 10 == 0)
			gt_yield();
		atomic_fetch_sub(&s.held, (long)weight);
		gt_sem_release(&s.sem, weight);
		gt_once(&s.once, first, NULL);
		CHECK(s.once_runs == 1);
	}
}

static void sync_types(void)
{
	struct gt_wg wg = {0};

	s.mutex = (struct gt_mutex){0};
	s.rw = (struct gt_rwmutex){0};
	s.cond = (struct gt_cond){.mutex = &s.mutex};
	s.once = (struct gt_once){0};
	s.sem = (struct gt_sem){.size = 5};
	s.by_mutex = s.by_rw = s.items = s.taken = s.once_runs = 0;
	for (int i = 0; i < 6; i++) {
		gt_wg_go(&wg, lock_often, NULL);
		gt_wg_go(&wg, rw_often, NULL);
		gt_wg_go(&wg, take_items, NULL);
		gt_wg_go(&wg, put_items, NULL);
		gt_wg_go(&wg, hold, NULL);
	}
	gt_wg_wait(&wg);
	CHECK(s.by_mutex == 6000 && s.by_rw == 6 * 50 * 2 && s.taken == 1200 && !s.items && !s.sem.used);
}

/* ---- time ---- */

static void until_done(void *arg)
{
	struct gt_ctx *ctx = arg;
	gt_timer tick = gt_ticker(200 * GT_MICROSECOND);

	while (gt_select(gt_case_recv(tick, NULL), gt_case_recv(gt_ctx_done(ctx), NULL)) == 0)
		continue;
	CHECK(gt_ctx_err(ctx) == ETIMEDOUT || gt_ctx_err(ctx) == ECANCELED);
	gt_chan_free(tick);
	gt_ctx_unref(ctx);
}

static void contexts(void)
{
	struct gt_wg wg = {0};

	for (int i = 0; i < 40; i++) {
		struct gt_ctx *top = gt_ctx_with_timeout(gt_ctx_background(), (i % 4) * GT_MILLISECOND);
		struct gt_ctx *below = gt_ctx_with_cancel(top);

		gt_wg_go(&wg, until_done, gt_ctx_ref(below));
		gt_wg_go(&wg, until_done, gt_ctx_ref(top));
		if (i % 3 == 0)
			gt_ctx_cancel(below);
		gt_ctx_unref(below);
		if (i % 5 == 0)
			gt_ctx_free(top);
		else
			gt_ctx_unref(top);
	}
	gt_wg_wait(&wg);
}

static void time_out_often(void *arg)
{
	gt_chan(int) never = gt_chan_make(int);
	gt_timer t = gt_after(GT_MICROSECOND);

	for (int i = 0; i < 100; i++) {
		int64_t from = gt_now(), at;

		gt_timer_reset(t, (i % 3) * 50 * GT_MICROSECOND);
		CHECK(gt_select(gt_case_recv(never, NULL), gt_case_recv(t, &at)) == 1);
		CHECK(at >= from);
		gt_timer_reset(t, (i % 2) * 20 * GT_MICROSECOND);
		if (i % 5 == 0)
			gt_yield();
		gt_timer_stop(t);
		CHECK(gt_try_recv(t, NULL) == GT_NOT_READY);
	}
	gt_chan_free(t);
	gt_chan_free(never);
}

/* Timers go from heap to heap when Ps come and go. */
static void resize(void *arg)
{
	int procs = gt_gomaxprocs(0);

	for (int i = 0; i < 20; i++) {
		gt_gomaxprocs(1 + i % 5);
		gt_sleep(100 * GT_MICROSECOND);
	}
	gt_gomaxprocs(procs);
}

static void timers(void)
{
	struct gt_wg wg = {0};

	gt_wg_go(&wg, resize, NULL);
	for (int i = 0; i < 8; i++)
		gt_wg_go(&wg, time_out_often, NULL);
	gt_wg_wait(&wg);
}

static int all(int argc, char **argv)
{
	const char *env = getenv("GTRACE_STRESS");

	rounds = argc > 1 ? atoi(argv[1]) : env ? atoi(env) : 3;
	gt_gomaxprocs(argc > 2 ? atoi(argv[2]) : 4);
	for (int i = 0; i < rounds; i++) {
		ping_pong();
		market(0);
		market(1);
		market(16);
		crowd();
		sieve();
		sync_types();
		contexts();
		timers();
	}
	printf("%d rounds\n", rounds);
	return 0;
}

int main(int argc, char **argv)
{
	return gt_main(argc, argv, all);
}
