/*
 * scenarios_objects.c - channels, select, mutexes, wait groups, timers and contexts on the real scheduler.
 */
#include "tests/schedsim/world.h"

/* ---- channels ---- */

static gt_chan(int) pipe_in, pipe_out;
static struct gt_wg group;

static void stage(void *arg)
{
	int value;

	while (gt_recv(pipe_in, &value))
		gt_send(pipe_out, value * 2);
	gt_wg_done(&group);
}

static void feeder(void *arg)
{
	for (int i = 1; i <= 30; i++)
		gt_send(pipe_in, i);
	gt_close(pipe_in);
}

static void closer(void *arg)
{
	gt_wg_wait(&group);
	gt_close(pipe_out);
}

/* One feeds, three work, one gathers. */
static int fan(int argc, char **argv)
{
	long sum = 0;
	int value;

	pipe_in = gt_chan_make(int, sim_below(3));
	pipe_out = gt_chan_make(int, sim_below(3));
	gt_wg_add(&group, 3);
	for (int i = 0; i < 3; i++)
		gt_go(stage, NULL);
	gt_go(feeder, NULL);
	gt_go(closer, NULL);
	while (gt_recv(pipe_out, &value))
		sum += value;
	sim_check(sum == 930);
	return 0;
}

static gt_chan(int) ping, pong;

static void answer(void *arg)
{
	int value;

	while (gt_recv(ping, &value))
		gt_send(pong, value + 1);
	gt_close(pong);
}

static int chan_ping_pong(int argc, char **argv)
{
	int value;

	ping = gt_chan_make(int);
	pong = gt_chan_make(int);
	gt_go(answer, NULL);
	for (int i = 0; i < 30; i++) {
		gt_send(ping, i);
		sim_check(gt_recv(pong, &value) && value == i + 1);
	}
	gt_close(ping);
	sim_check(!gt_recv(pong, &value));
	return 0;
}

/* Each goroutine takes out the multiples of one prime. */
static void filter(void *arg)
{
	gt_chan(int) in = arg, out = NULL;
	int prime, value;

	if (!gt_recv(in, &prime))
		return;
	gt_send(pipe_out, prime);
	out = gt_chan_make(int);
	gt_go(filter, (void *)out);
	while (gt_recv(in, &value))
		if (value % prime)
			gt_send(out, value);
	gt_close(out);
}

static void numbers(void *arg)
{
	gt_chan(int) to = arg;

	for (int i = 2; i < 20; i++)
		gt_send(to, i);
	gt_close(to);
}

static int sieve(int argc, char **argv)
{
	static const int primes[] = {2, 3, 5, 7, 11, 13, 17, 19};
	gt_chan(int) first = gt_chan_make(int);
	int value;

	pipe_out = gt_chan_make(int);
	gt_go(numbers, (void *)first);
	gt_go(filter, (void *)first);
	for (int i = 0; i < 8; i++)
		sim_check(gt_recv(pipe_out, &value) && value == primes[i]);
	return 0;
}

/* ---- select ---- */

static gt_chan(int) storm[3];
static _Atomic long sent, received;

static void storm_sender(void *arg)
{
	for (int i = 0; i < 12; i++) {
		switch (gt_select(gt_case_send(storm[0], 1), gt_case_send(storm[1], 2), gt_case_send(storm[2], 3))) {
		case 0:
			__atomic_fetch_add(&sent, 1, __ATOMIC_RELAXED);
			break;
		case 1:
			__atomic_fetch_add(&sent, 2, __ATOMIC_RELAXED);
			break;
		default:
			__atomic_fetch_add(&sent, 3, __ATOMIC_RELAXED);
		}
	}
	gt_wg_done(&group);
}

static void storm_receiver(void *arg)
{
	int value = 0;

	for (int i = 0; i < 12; i++) {
		size_t which = gt_select(
			gt_case_recv(storm[2], &value), gt_case_recv(storm[1], &value), gt_case_recv(storm[0], &value));

		sim_check(value == 3 - (int)which);
		__atomic_fetch_add(&received, value, __ATOMIC_RELAXED);
	}
	gt_wg_done(&group);
}

static int select_storm(int argc, char **argv)
{
	for (int i = 0; i < 3; i++)
		storm[i] = gt_chan_make(int, sim_below(2));
	gt_wg_add(&group, 4);
	gt_go(storm_sender, NULL);
	gt_go(storm_receiver, NULL);
	gt_go(storm_sender, NULL);
	gt_go(storm_receiver, NULL);
	gt_wg_wait(&group);
	sim_check(sent == received);
	return 0;
}

static void closes_all(void *arg)
{
	gt_yield();
	for (int i = 0; i < 3; i++)
		gt_close(storm[i]);
}

static void until_closed(void *arg)
{
	bool ok = true;
	int value;

	while (ok) {
		gt_timer late = gt_after(2 * GT_MICROSECOND);

		gt_select(gt_case_recv(storm[0], &value, &ok), gt_case_recv(storm[1], &value, &ok),
			gt_case_recv(storm[2], &value, &ok), gt_case_recv(late, NULL));
		gt_chan_free(late);
	}
	gt_wg_done(&group);
}

/* Selects with a time limit against channels that are closed meanwhile. */
static int select_close(int argc, char **argv)
{
	for (int i = 0; i < 3; i++)
		storm[i] = gt_chan_make(int);
	gt_wg_add(&group, 3);
	for (int i = 0; i < 3; i++)
		gt_go(until_closed, NULL);
	gt_go(closes_all, NULL);
	gt_wg_wait(&group);
	return 0;
}

/* ---- mutexes ---- */

static struct gt_mutex mutex;
static struct gt_rwmutex rw;
static long guarded;
static bool inside;

static void locker(void *arg)
{
	intptr_t kind = (intptr_t)arg;

	for (int i = 0; i < 10; i++) {
		gt_mutex_lock(&mutex);
		sim_check(!inside);
		inside = true;
		sim_work(sim_below(6));
		if (kind == 0 && i % 4 == 0)
			gt_sleep(2 * GT_MILLISECOND); /* so that others starve */
		else if (kind == 1 && i % 3 == 0)
			gt_yield();
		inside = false;
		guarded++;
		gt_mutex_unlock(&mutex);
	}
	gt_wg_done(&group);
}

static int mutex_starving(int argc, char **argv)
{
	gt_wg_add(&group, 5);
	for (intptr_t i = 0; i < 5; i++)
		gt_go(locker, (void *)i);
	gt_wg_wait(&group);
	sim_check(guarded == 50);
	return 0;
}

static int readers_in;

static void reader(void *arg)
{
	for (int i = 0; i < 8; i++) {
		gt_rwmutex_rlock(&rw);
		__atomic_fetch_add(&readers_in, 1, __ATOMIC_SEQ_CST);
		sim_check(!inside);
		sim_work(sim_below(4));
		if (i % 4 == 0)
			gt_yield();
		sim_check(!inside);
		__atomic_fetch_sub(&readers_in, 1, __ATOMIC_SEQ_CST);
		gt_rwmutex_runlock(&rw);
	}
	gt_wg_done(&group);
}

static void writer(void *arg)
{
	for (int i = 0; i < 6; i++) {
		gt_rwmutex_lock(&rw);
		sim_check(!inside && !readers_in);
		inside = true;
		sim_work(sim_below(4));
		if (i % 3 == 0)
			gt_yield();
		inside = false;
		guarded++;
		gt_rwmutex_unlock(&rw);
	}
	gt_wg_done(&group);
}

static int rwmutex(int argc, char **argv)
{
	gt_wg_add(&group, 5);
	for (int i = 0; i < 3; i++)
		gt_go(reader, NULL);
	gt_go(writer, NULL);
	gt_go(writer, NULL);
	gt_wg_wait(&group);
	sim_check(guarded == 12);
	return 0;
}

/* ---- wait groups, conditions ---- */

static void done_soon(void *arg)
{
	if (sim_one_in(3))
		gt_yield();
	__atomic_fetch_add(&guarded, 1, __ATOMIC_RELAXED);
	gt_wg_done(&group);
}

static int wait_group_again(int argc, char **argv)
{
	for (int round = 0; round < 8; round++) {
		gt_wg_add(&group, 4);
		for (int i = 0; i < 4; i++)
			gt_go(done_soon, NULL);
		gt_wg_wait(&group);
		sim_check(guarded == 4 * (round + 1));
	}
	return 0;
}

static struct gt_cond cond = {.mutex = &mutex};
static int items;

static void consumer(void *arg)
{
	for (int i = 0; i < 5; i++) {
		gt_mutex_lock(&mutex);
		while (!items)
			gt_cond_wait(&cond);
		items--;
		gt_mutex_unlock(&mutex);
	}
	gt_wg_done(&group);
}

static int condition(int argc, char **argv)
{
	gt_wg_add(&group, 3);
	for (int i = 0; i < 3; i++)
		gt_go(consumer, NULL);
	for (int i = 0; i < 15; i++) {
		gt_mutex_lock(&mutex);
		items++;
		gt_mutex_unlock(&mutex);
		if (i % 5 == 4)
			gt_cond_broadcast(&cond);
		else
			gt_cond_signal(&cond);
	}
	gt_cond_broadcast(&cond);
	gt_wg_wait(&group);
	sim_check(items == 0);
	return 0;
}

/* ---- time ---- */

static void sleeper(void *arg)
{
	for (int i = 0; i < 5; i++) {
		int64_t ns = (int64_t)sim_below(200) * GT_MICROSECOND, before = gt_now();

		gt_sleep(ns);
		sim_check(gt_now() >= before + ns);
	}
	gt_wg_done(&group);
}

static int sleepers(int argc, char **argv)
{
	gt_wg_add(&group, 8);
	for (int i = 0; i < 8; i++)
		gt_go(sleeper, NULL);
	gt_wg_wait(&group);
	return 0;
}

/* Who waits for all, and the other who starts a timer that comes first, all the time. */
static void short_sleeper(void *arg)
{
	for (int i = 0; i < 20; i++) {
		int64_t ns = 1 + (int64_t)sim_below(8000), before = gt_now();

		gt_sleep(ns);
		sim_check(gt_now() >= before + ns);
	}
	gt_wg_done(&group);
}

static int sleep_two(int argc, char **argv)
{
	gt_wg_add(&group, 2);
	gt_go(short_sleeper, NULL);
	gt_go(short_sleeper, NULL);
	gt_wg_wait(&group);
	return 0;
}

static _Atomic int fired;

static void fire(void *arg)
{
	__atomic_fetch_add(&fired, 1, __ATOMIC_RELAXED);
}

static void timer_user(void *arg)
{
	for (int i = 0; i < 4; i++) {
		int64_t begin = gt_now(), ns = (1 + (int64_t)sim_below(40)) * GT_MICROSECOND, at;
		gt_timer t = gt_after(ns);

		if (sim_one_in(3)) {
			gt_timer_stop(t);
			begin = gt_now();
			gt_timer_reset(t, ns);
		} else if (sim_one_in(3)) {
			begin = gt_now();
			gt_timer_reset(t, ns);
		}
		sim_check(gt_recv(t, &at));
		sim_check(at >= begin + ns);
		gt_chan_free(t);
	}
	gt_wg_done(&group);
}

static int timers(int argc, char **argv)
{
	int wanted = 0;

	gt_wg_add(&group, 4);
	for (int i = 0; i < 4; i++)
		gt_go(timer_user, NULL);
	for (int i = 0; i < 6; i++) {
		gt_timer t = gt_after_func((int64_t)sim_below(30) * GT_MICROSECOND, fire, NULL);

		sim_work(sim_below(40));
		if (sim_one_in(2))
			gt_yield();
		/* True: it has not been started and never will be. */
		wanted += !(sim_one_in(2) && gt_timer_stop(t));
	}
	gt_wg_wait(&group);
	for (int i = 0; fired != wanted; i++) {
		sim_check(fired < wanted && i < 1000);
		gt_sleep(10 * GT_MICROSECOND);
	}
	return 0;
}

static int ticker(int argc, char **argv)
{
	gt_timer t = gt_ticker(10 * GT_MICROSECOND);
	int64_t last = gt_now(), at;

	for (int i = 0; i < 8; i++) {
		sim_check(gt_recv(t, &at));
		sim_check(at > last || i == 0);
		last = at;
		if (i == 4)
			gt_timer_reset(t, 35 * GT_MICROSECOND);
		if (sim_one_in(3))
			gt_sleep(25 * GT_MICROSECOND);
	}
	gt_timer_stop(t);
	sim_check(gt_select(gt_case_recv(t, &at), gt_case_default) == 1);
	gt_chan_free(t);
	return 0;
}

static void context_user(void *arg)
{
	struct gt_ctx *ctx = arg;

	gt_recv(gt_ctx_done(ctx), NULL);
	sim_check(gt_ctx_err(ctx) != 0);
	gt_ctx_unref(ctx);
	gt_wg_done(&group);
}

static int contexts(int argc, char **argv)
{
	struct gt_ctx *root = gt_ctx_with_cancel(gt_ctx_background());

	gt_wg_add(&group, 6);
	for (int i = 0; i < 6; i++) {
		struct gt_ctx *ctx = i % 2 ? gt_ctx_with_timeout(root, (int64_t)sim_below(50) * GT_MICROSECOND)
					   : gt_ctx_with_cancel(root);

		gt_go(context_user, ctx);
	}
	gt_sleep((int64_t)sim_below(60) * GT_MICROSECOND);
	gt_ctx_cancel(root);
	gt_wg_wait(&group);
	gt_ctx_unref(root);
	return 0;
}

const struct sim_scenario sim_scenarios_objects[] = {
	{.name = "fan", .main_fn = fan},
	{.name = "chan-ping-pong", .main_fn = chan_ping_pong},
	{.name = "sieve", .main_fn = sieve},
	{.name = "select-storm", .main_fn = select_storm},
	{.name = "select-close", .main_fn = select_close},
	{.name = "mutex-starving", .main_fn = mutex_starving},
	{.name = "rwmutex", .main_fn = rwmutex},
	{.name = "wait-group-again", .main_fn = wait_group_again},
	{.name = "condition", .main_fn = condition},
	{.name = "sleepers", .main_fn = sleepers},
	{.name = "sleep-two", .main_fn = sleep_two, .procs = 2},
	{.name = "timers", .main_fn = timers},
	{.name = "ticker", .main_fn = ticker},
	{.name = "contexts", .main_fn = contexts},
	{.name = NULL},
};
