/*
 * misuse.c - what must end the program: misuse CASE, for misuse.sh. The comments are what stderr must begin with, and
 * the reason under which goroutine 1 is listed.
 */
#include <gtrace/go.h>

#include <stdio.h>
#include <string.h>

static gt_chan(int) c;
static struct gt_mutex mutex;
static struct gt_rwmutex rw;
static struct gt_wg wg;

static void send_one(void *arg)
{
	gt_send(c, 1);
}

static int run(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	gt_chan(int) none = NULL;
	struct gt_sem sem = {.size = 1};
	struct gt_cond cond = {.mutex = &mutex};

#define CASE(name) else if (!strcmp(what, name))
	c = gt_chan_make(int);
	if (!*what)
		return 1;
	CASE("send-closed") /* panic: send on closed channel [running] */
	{
		gt_close(c);
		gt_send(c, 1);
	}
	CASE("sender-closed") /* panic: send on closed channel [] */
	{
		gt_go(send_one, NULL);
		gt_sleep(5 * GT_MILLISECOND);
		gt_close(c);
		gt_sleep(60 * GT_SECOND);
	}
	CASE("select-closed") /* panic: send on closed channel [running] */
	{
		gt_close(c);
		gt_select(gt_case_send(c, 1), gt_case_recv(none, NULL), gt_case_default);
	}
	CASE("close-twice") /* panic: close of closed channel [running] */
	{
		gt_close(c);
		gt_close(c);
	}
	CASE("close-nil") /* panic: close of nil channel [running] */
	gt_close(none);
	CASE("make-huge") /* panic: makechan: size out of range [running] */
	gt_chan_make(long, (size_t)1 << 62);
	CASE("recv-nil") /* fatal error: all goroutines are asleep - deadlock! [chan receive (nil chan)] */
	gt_recv(none, NULL);
	CASE("send-nil") /* fatal error: all goroutines are asleep - deadlock! [chan send (nil chan)] */
	gt_send(none, 1);
	CASE("recv") /* fatal error: all goroutines are asleep - deadlock! [chan receive] */
	gt_recv(c, NULL);
	CASE("send") /* fatal error: all goroutines are asleep - deadlock! [chan send] */
	gt_send(c, 1);
	CASE("select") /* fatal error: all goroutines are asleep - deadlock! [select] */
	gt_select(gt_case_recv(c, NULL), gt_case_send(c, 1));
	CASE("select-none") /* fatal error: all goroutines are asleep - deadlock! [select (no cases)] */
	gt_select();
	CASE("unlock") /* fatal error: sync: unlock of unlocked mutex [running] */
	gt_mutex_unlock(&mutex);
	CASE("lock-twice") /* fatal error: all goroutines are asleep - deadlock! [sync.Mutex.Lock] */
	{
		gt_mutex_lock(&mutex);
		gt_mutex_lock(&mutex);
	}
	CASE("runlock") /* fatal error: sync: RUnlock of unlocked RWMutex [running] */
	gt_rwmutex_runlock(&rw);
	CASE("rw-unlock") /* fatal error: sync: Unlock of unlocked RWMutex [running] */
	gt_rwmutex_unlock(&rw);
	CASE("rlock-waits") /* fatal error: all goroutines are asleep - deadlock! [sync.RWMutex.RLock] */
	{
		gt_rwmutex_lock(&rw);
		gt_rwmutex_rlock(&rw);
	}
	CASE("wlock-waits") /* fatal error: all goroutines are asleep - deadlock! [sync.RWMutex.Lock] */
	{
		gt_rwmutex_rlock(&rw);
		gt_rwmutex_lock(&rw);
	}
	CASE("wg-negative") /* panic: sync: negative WaitGroup counter [running] */
	gt_wg_done(&wg);
	CASE("wg-waits") /* fatal error: all goroutines are asleep - deadlock! [sync.WaitGroup.Wait] */
	{
		gt_wg_add(&wg, 1);
		gt_wg_wait(&wg);
	}
	CASE("cond-waits") /* fatal error: all goroutines are asleep - deadlock! [sync.Cond.Wait] */
	{
		gt_mutex_lock(&mutex);
		gt_cond_wait(&cond);
	}
	CASE("sem-waits") /* fatal error: all goroutines are asleep - deadlock! [semacquire] */
	{
		gt_sem_acquire(&sem, 1);
		gt_sem_acquire(&sem, 1);
	}
	CASE("sem-released") /* panic: semaphore: released more than held [running] */
	gt_sem_release(&sem, 1);
	CASE("ticker") /* panic: non-positive interval for NewTicker [running] */
	gt_ticker(0);
	CASE("stopped-timer") /* fatal error: all goroutines are asleep - deadlock! [chan receive] */
	{
		gt_timer t = gt_after(GT_SECOND);

		gt_timer_stop(t);
		gt_recv(t, NULL);
	}
	printf("%s did not end the program\n", what);
	return 0;
}

int main(int argc, char **argv)
{
	return gt_main(argc, argv, run);
}
