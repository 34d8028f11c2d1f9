/*
 * sync_scenarios.c - what Go's sync package says of its types.
 */
#include "tests/sim/scenarios.h"

#include "runtime/sema.h"

static struct gt_mutex mutex;
static struct gt_rwmutex rw;
static struct gt_wg wg;
static int inside, writers_inside, counted;

/* A step at which others may go on. */
static void elsewhere(void)
{
	if (sim_below(3) == 0)
		gt_yield();
	else
		gt__checkpoint();
}

static void reset(void)
{
	mutex = (struct gt_mutex){0};
	rw = (struct gt_rwmutex){0};
	wg = (struct gt_wg){0};
	inside = writers_inside = counted = 0;
}

/* ---- mutex ---- */

static void lock_often(void *arg)
{
	for (int i = 0; i < 30; i++) {
		if (sim_below(5) == 0) {
			if (!gt_mutex_trylock(&mutex))
				continue;
		} else {
			gt_mutex_lock(&mutex);
		}
		sim_check(!inside++);
		/* Now and then long enough for those who wait to starve. */
		if (sim_below(12) == 0)
			gt_sleep(2 * GT_MILLISECOND);
		elsewhere();
		inside--;
		gt_mutex_unlock(&mutex);
	}
}

static void mutual_exclusion(void *arg)
{
	reset();
	for (int i = 0; i < 6; i++)
		gt_wg_go(&wg, lock_often, NULL);
	gt_wg_wait(&wg);
	sim_check(!mutex.state && !mutex.sema.value && !mutex.sema.waiters.first);
	sim_check(gt_mutex_trylock(&mutex) && !gt_mutex_trylock(&mutex));
}

static void lock_once(void *arg)
{
	gt_mutex_lock(&mutex);
	counted = counted * 10 + (int)(intptr_t)arg;
	gt_mutex_unlock(&mutex);
}

/* Held for more than 1 ms with waiters: starving, so it goes to them in their order, and nobody comes between. */
static void starving(void *arg)
{
	reset();
	gt_mutex_lock(&mutex);
	for (intptr_t i = 1; i <= 3; i++) {
		gt_go(lock_once, (void *)i);
		sim_settle();
		sim_check(sim_reason((uint64_t)i + 1) == GT_REASON_SYNC_MUTEX_LOCK);
	}
	gt_sleep(5 * GT_MILLISECOND);
	gt_mutex_unlock(&mutex);
	/* The one that was woken may have lost to this; then it starves, and is the next. */
	gt_mutex_lock(&mutex);
	sim_settle();
	if (counted < 123) {
		sim_check(mutex.state & 4);
		sim_check(!gt_mutex_trylock(&mutex));
	}
	gt_mutex_unlock(&mutex);
	sim_settle();
	sim_check(counted == 123 || counted == 231 || counted == 312 || counted == 132 || counted == 213 ||
		  counted == 321);
	sim_check(!mutex.state);
}

static void unlock_elsewhere(void *arg)
{
	gt_mutex_unlock(&mutex);
}

static void not_owned(void *arg)
{
	reset();
	gt_mutex_lock(&mutex);
	gt_go(unlock_elsewhere, NULL);
	gt_mutex_lock(&mutex);
	gt_mutex_unlock(&mutex);
}

static void unlock_unlocked(void *arg)
{
	reset();
	gt_mutex_unlock(&mutex);
}

static void lock_twice(void *arg)
{
	reset();
	gt_mutex_lock(&mutex);
	gt_mutex_lock(&mutex);
}

/* ---- rwmutex ---- */

static void read_often(void *arg)
{
	for (int i = 0; i < 20; i++) {
		if (sim_below(4) == 0) {
			if (!gt_rwmutex_tryrlock(&rw))
				continue;
		} else {
			gt_rwmutex_rlock(&rw);
		}
		inside++;
		sim_check(!writers_inside);
		elsewhere();
		sim_check(!writers_inside);
		inside--;
		gt_rwmutex_runlock(&rw);
	}
}

static void write_often(void *arg)
{
	for (int i = 0; i < 10; i++) {
		if (sim_below(4) == 0) {
			if (!gt_rwmutex_trylock(&rw))
				continue;
		} else {
			gt_rwmutex_lock(&rw);
		}
		sim_check(!inside && !writers_inside++);
		elsewhere();
		sim_check(!inside && writers_inside == 1);
		writers_inside--;
		gt_rwmutex_unlock(&rw);
	}
}

static void readers_or_writer(void *arg)
{
	reset();
	for (int i = 0; i < 4; i++)
		gt_wg_go(&wg, read_often, NULL);
	for (int i = 0; i < 2; i++)
		gt_wg_go(&wg, write_often, NULL);
	gt_wg_wait(&wg);
	sim_check(gt_rwmutex_trylock(&rw) && !gt_rwmutex_tryrlock(&rw) && !gt_rwmutex_trylock(&rw));
	gt_rwmutex_unlock(&rw);
	sim_check(!rw.readers && !rw.readers_left && !rw.writers.state);
}

static void write_once(void *arg)
{
	gt_rwmutex_lock(&rw);
	counted = counted * 10 + 1;
	gt_rwmutex_unlock(&rw);
}

static void read_once(void *arg)
{
	gt_rwmutex_rlock(&rw);
	counted = counted * 10 + 2;
	gt_rwmutex_runlock(&rw);
}

/* Readers share; a writer that waits keeps new readers out. */
static void writer_first(void *arg)
{
	reset();
	gt_rwmutex_rlock(&rw);
	gt_rwmutex_rlock(&rw);
	gt_go(write_once, NULL);
	sim_settle();
	sim_check(sim_reason(2) == GT_REASON_SYNC_RWMUTEX_LOCK);
	gt_go(read_once, NULL);
	sim_settle();
	sim_check(sim_reason(3) == GT_REASON_SYNC_RWMUTEX_RLOCK && !gt_rwmutex_tryrlock(&rw));
	gt_rwmutex_runlock(&rw);
	sim_settle();
	sim_check(!counted);
	gt_rwmutex_runlock(&rw);
	sim_settle();
	sim_check(counted == 12);
}

static void runlock_unlocked(void *arg)
{
	reset();
	gt_rwmutex_runlock(&rw);
}

static void runlock_of_writer(void *arg)
{
	reset();
	gt_rwmutex_lock(&rw);
	gt_rwmutex_runlock(&rw);
}

static void unlock_of_reader(void *arg)
{
	reset();
	gt_rwmutex_rlock(&rw);
	gt_rwmutex_unlock(&rw);
}

/* ---- cond ---- */

static struct gt_cond cond;
static int items;

static void take_item(void *arg)
{
	gt_mutex_lock(&mutex);
	while (!items)
		gt_cond_wait(&cond);
	items--;
	counted++;
	gt_mutex_unlock(&mutex);
}

static void put_items(void *arg)
{
	for (int i = 0; i < 10; i++) {
		gt_mutex_lock(&mutex);
		items++;
		gt_mutex_unlock(&mutex);
		gt_cond_signal(&cond);
	}
}

static void queue_by_cond(void *arg)
{
	reset();
	items = 0;
	cond = (struct gt_cond){.mutex = &mutex};
	for (int i = 0; i < 20; i++)
		gt_wg_go(&wg, take_item, NULL);
	gt_wg_go(&wg, put_items, NULL);
	gt_wg_go(&wg, put_items, NULL);
	gt_wg_wait(&wg);
	sim_check(counted == 20 && !items);
}

static bool go_on;

static void wait_for_go(void *arg)
{
	gt_mutex_lock(&mutex);
	while (!go_on)
		gt_cond_wait(&cond);
	counted++;
	gt_mutex_unlock(&mutex);
}

static void broadcast(void *arg)
{
	reset();
	go_on = false;
	cond = (struct gt_cond){.mutex = &mutex};
	for (int i = 0; i < 8; i++)
		gt_wg_go(&wg, wait_for_go, NULL);
	if (sim_below(2)) {
		sim_settle();
		sim_check(sim_reason(3) == GT_REASON_SYNC_COND_WAIT);
	}
	gt_mutex_lock(&mutex);
	go_on = true;
	gt_cond_broadcast(&cond);
	gt_mutex_unlock(&mutex);
	gt_wg_wait(&wg);
	sim_check(counted == 8);
}

static void wait_in_line(void *arg)
{
	gt_mutex_lock(&mutex);
	gt_cond_wait(&cond);
	counted = counted * 10 + (int)(intptr_t)arg;
	gt_mutex_unlock(&mutex);
}

/* Who waits longest is signalled first; a signal with nobody waiting is lost. */
static void signal_order(void *arg)
{
	reset();
	cond = (struct gt_cond){.mutex = &mutex};
	gt_cond_signal(&cond);
	gt_cond_broadcast(&cond);
	for (intptr_t i = 1; i <= 4; i++) {
		gt_go(wait_in_line, (void *)i);
		sim_settle();
	}
	for (int i = 0; i < 4; i++) {
		gt_cond_signal(&cond);
		sim_settle();
	}
	sim_check(counted == 1234);
}

static void cond_copied(void *arg)
{
	struct gt_cond copy;

	reset();
	cond = (struct gt_cond){.mutex = &mutex};
	gt_cond_signal(&cond);
	copy = cond;
	gt_cond_broadcast(&copy);
}

/* ---- once ---- */

static struct gt_once once;

static void first_time(void *arg)
{
	elsewhere();
	counted++;
	elsewhere();
}

static void call_once(void *arg)
{
	gt_once(&once, first_time, NULL);
	sim_check(counted == 1);
}

static void only_once(void *arg)
{
	reset();
	once = (struct gt_once){0};
	for (int i = 0; i < 8; i++)
		gt_wg_go(&wg, call_once, NULL);
	gt_wg_wait(&wg);
}

static void again(void *arg)
{
	gt_once(&once, again, NULL);
}

static void once_in_once(void *arg)
{
	once = (struct gt_once){0};
	gt_once(&once, again, NULL);
}

/* ---- wait group ---- */

static void add_one(void *arg)
{
	elsewhere();
	counted++;
}

static void wait_too(void *arg)
{
	gt_wg_wait(&wg);
	sim_check(counted == 5);
	gt_mutex_lock(&mutex);
	inside++;
	gt_mutex_unlock(&mutex);
}

static void all_wait(void *arg)
{
	struct gt_wg outer = {0};

	reset();
	gt_wg_wait(&wg);
	gt_wg_add(&wg, 1);
	for (int i = 0; i < 3; i++)
		gt_wg_go(&outer, wait_too, NULL);
	for (int i = 0; i < 5; i++)
		gt_wg_go(&wg, add_one, NULL);
	if (sim_below(2)) {
		sim_settle();
		sim_check(sim_reason(2) == GT_REASON_SYNC_WAITGROUP_WAIT);
	}
	sim_settle();
	gt_wg_done(&wg);
	gt_wg_wait(&outer);
	sim_check(inside == 3 && !wg.state);
	/* Used again, after all have returned. */
	gt_wg_go(&wg, add_one, NULL);
	gt_wg_wait(&wg);
	sim_check(counted == 6);
}

static void leave_early(void *arg)
{
	elsewhere();
	gt_exit();
}

/* The end of a goroutine counts, not only its return. */
static void left_early(void *arg)
{
	reset();
	for (int i = 0; i < 3; i++)
		gt_wg_go(&wg, leave_early, NULL);
	gt_wg_wait(&wg);
}

static void negative(void *arg)
{
	reset();
	gt_wg_add(&wg, 1);
	gt_wg_done(&wg);
	gt_wg_done(&wg);
}

/* States that only misuse can bring about, made by hand: by accident they are rare. */
static void add_while_waiting(void *arg)
{
	reset();
	wg.state = 1;
	gt_wg_add(&wg, 1);
}

static void wait_on_one(void *arg)
{
	gt_wg_wait(&wg);
}

static void reused(void *arg)
{
	reset();
	gt_wg_add(&wg, 1);
	gt_go(wait_on_one, NULL);
	sim_settle();
	sim_check(sim_reason(2) == GT_REASON_SYNC_WAITGROUP_WAIT);
	wg.state = (UINT64_C(1) << 32);
	gt__sema_release(&wg.sema, false);
	sim_settle();
}

/* ---- semaphore ---- */

static struct gt_sem sem;
static uint64_t held;

static void hold_some(void *arg)
{
	uint64_t weight = 1 + sim_below(3);

	for (int i = 0; i < 10; i++) {
		if (sim_below(4) == 0) {
			if (!gt_sem_tryacquire(&sem, weight))
				continue;
		} else {
			gt_sem_acquire(&sem, weight);
		}
		held += weight;
		sim_check(held <= 4);
		elsewhere();
		held -= weight;
		gt_sem_release(&sem, weight);
	}
}

static void weights(void *arg)
{
	reset();
	sem = (struct gt_sem){.size = 4};
	held = 0;
	for (int i = 0; i < 6; i++)
		gt_wg_go(&wg, hold_some, NULL);
	gt_wg_wait(&wg);
	sim_check(!sem.used && !sem.waiters.first);
}

static void acquire_some(void *arg)
{
	gt_sem_acquire(&sem, (uint64_t)(intptr_t)arg);
	counted = counted * 10 + (int)(intptr_t)arg;
}

/* A large request at the head is not passed by a small one. */
static void in_line(void *arg)
{
	reset();
	sem = (struct gt_sem){.size = 4};
	gt_sem_acquire(&sem, 2);
	gt_go(acquire_some, (void *)(intptr_t)3);
	sim_settle();
	gt_go(acquire_some, (void *)(intptr_t)1);
	sim_settle();
	sim_check(!counted && !gt_sem_tryacquire(&sem, 1));
	sim_check(sim_reason(2) == GT_REASON_SEMACQUIRE);
	gt_sem_release(&sem, 1);
	sim_settle();
	sim_check(counted == 3);
	gt_sem_release(&sem, 1);
	sim_settle();
	sim_check(counted == 31 && sem.used == 4);
}

static void released_too_much(void *arg)
{
	sem = (struct gt_sem){.size = 4};
	gt_sem_acquire(&sem, 1);
	gt_sem_release(&sem, 2);
}

static void never_there(void *arg)
{
	sem = (struct gt_sem){.size = 4};
	gt_sem_acquire(&sem, 5);
}

/* Somebody waits for the weight until @ctx ends: when it gets it, it gives it back after a step. */
struct impatient {
	struct gt_ctx *ctx;
	uint64_t weight;
};

static int got, gave_up;

static void hold_or_give_up(void *arg)
{
	struct impatient *me = arg;
	int ret = gt_sem_acquire_ctx(&sem, me->weight, me->ctx);

	if (ret) {
		sim_check(ret == -gt_ctx_err(me->ctx));
		gave_up++;
		return;
	}
	held += me->weight;
	sim_check(held <= 4);
	elsewhere();
	held -= me->weight;
	got++;
	gt_sem_release(&sem, me->weight);
}

/* Ends of contexts, grants and patient ones race: nothing is lost, nothing is held twice. */
static void until_the_end_of(void *arg)
{
	struct gt_ctx *soon = gt_ctx_with_timeout(gt_ctx_background(), (int64_t)sim_below(3) * GT_MILLISECOND);
	struct gt_ctx *never = gt_ctx_with_cancel(gt_ctx_background());
	struct impatient all[10];

	reset();
	sem = (struct gt_sem){.size = 4};
	held = 0;
	got = gave_up = 0;
	for (int i = 0; i < 10; i++) {
		all[i] = (struct impatient){i % 2 ? soon : never, 1 + sim_below(4)};
		gt_wg_go(&wg, hold_or_give_up, &all[i]);
	}
	gt_wg_go(&wg, hold_some, NULL);
	if (sim_below(2))
		gt_ctx_cancel(soon);
	gt_wg_wait(&wg);
	sim_check(got + gave_up == 10 && got >= 5);
	sim_check(!sem.used && !sem.waiters.first);
	gt_ctx_free(soon);
	gt_ctx_free(never);
	sim_settle();
}

static void acquire_too_long(void *arg)
{
	sim_check(gt_sem_acquire_ctx(&sem, 3, arg) == -ECANCELED);
	counted = counted * 10 + 9;
}

/* A large request at the head gives up: those behind it go on. */
static void head_gives_up(void *arg)
{
	struct gt_ctx *ctx = gt_ctx_with_cancel(gt_ctx_background());

	reset();
	sem = (struct gt_sem){.size = 4};
	gt_sem_acquire(&sem, 2);
	gt_go(acquire_too_long, ctx);
	sim_settle();
	sim_check(sim_reason(2) == GT_REASON_SEMACQUIRE);
	gt_go(acquire_some, (void *)(intptr_t)1);
	gt_go(acquire_some, (void *)(intptr_t)1);
	sim_settle();
	sim_check(!counted);
	gt_ctx_cancel(ctx);
	sim_settle();
	sim_check((counted == 911 || counted == 191 || counted == 119) && sem.used == 4);
	/* Ended before: nothing, though there is room. */
	gt_sem_release(&sem, 4);
	sim_check(gt_sem_acquire_ctx(&sem, 1, ctx) == -ECANCELED && !sem.used);
	sim_check(gt_sem_acquire_ctx(&sem, 1, gt_ctx_background()) == 0 && sem.used == 1);
	gt_ctx_free(ctx);
}

static void never_there_ctx(void *arg)
{
	struct gt_ctx *ctx = gt_ctx_with_timeout(gt_ctx_background(), GT_MILLISECOND);

	sem = (struct gt_sem){.size = 4};
	sim_check(gt_sem_acquire_ctx(&sem, 5, ctx) == -ETIMEDOUT && !sem.used);
	gt_sem_acquire(&sem, 4);
	gt_ctx_free(ctx);
	ctx = gt_ctx_with_timeout(gt_ctx_background(), GT_MILLISECOND);
	sim_check(gt_sem_acquire_ctx(&sem, 1, ctx) == -ETIMEDOUT && !sem.waiters.first);
	gt_ctx_free(ctx);
	sim_settle();
}

const struct scenario sync_scenarios[] = {
	{"mutex", mutual_exclusion, SIM_RETURNED, NULL, 0},
	{"mutex-starving", starving, SIM_RETURNED, NULL, 0},
	{"mutex-not-owned", not_owned, SIM_RETURNED, NULL, 0},
	{"mutex-unlock-unlocked", unlock_unlocked, SIM_PANIC, "fatal error: sync: unlock of unlocked mutex", 0},
	{"mutex-lock-twice", lock_twice, SIM_DEADLOCK, NULL, GT_REASON_SYNC_MUTEX_LOCK},
	{"rwmutex", readers_or_writer, SIM_RETURNED, NULL, 0},
	{"rwmutex-writer-first", writer_first, SIM_RETURNED, NULL, 0},
	{"rwmutex-runlock-unlocked", runlock_unlocked, SIM_PANIC, "fatal error: sync: RUnlock of unlocked RWMutex", 0},
	{"rwmutex-runlock-of-writer", runlock_of_writer, SIM_PANIC, "fatal error: sync: RUnlock of unlocked RWMutex",
		0},
	{"rwmutex-unlock-of-reader", unlock_of_reader, SIM_PANIC, "fatal error: sync: Unlock of unlocked RWMutex", 0},
	{"cond-queue", queue_by_cond, SIM_RETURNED, NULL, 0},
	{"cond-broadcast", broadcast, SIM_RETURNED, NULL, 0},
	{"cond-order", signal_order, SIM_RETURNED, NULL, 0},
	{"cond-copied", cond_copied, SIM_PANIC, "panic: sync.Cond is copied", 0},
	{"once", only_once, SIM_RETURNED, NULL, 0},
	{"once-in-once", once_in_once, SIM_DEADLOCK, NULL, GT_REASON_SYNC_MUTEX_LOCK},
	{"wg", all_wait, SIM_RETURNED, NULL, 0},
	{"wg-left-early", left_early, SIM_RETURNED, NULL, 0},
	{"wg-negative", negative, SIM_PANIC, "panic: sync: negative WaitGroup counter", 0},
	{"wg-add-while-waiting", add_while_waiting, SIM_PANIC,
		"panic: sync: WaitGroup misuse: Add called concurrently with Wait", 0},
	{"wg-reused", reused, SIM_PANIC, "panic: sync: WaitGroup is reused before previous Wait has returned", 0},
	{"sem", weights, SIM_RETURNED, NULL, 0},
	{"sem-in-line", in_line, SIM_RETURNED, NULL, 0},
	{"sem-released-too-much", released_too_much, SIM_PANIC, "panic: semaphore: released more than held", 0},
	{"sem-until-the-end-of", until_the_end_of, SIM_RETURNED, NULL, 0},
	{"sem-head-gives-up", head_gives_up, SIM_RETURNED, NULL, 0},
	{"sem-never-there-ctx", never_there_ctx, SIM_RETURNED, NULL, 0},
	{"sem-never-there", never_there, SIM_DEADLOCK, NULL, GT_REASON_SEMACQUIRE},
	{NULL, NULL, SIM_RETURNED, NULL, 0},
};
