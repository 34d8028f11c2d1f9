/*
 * samestory.c - the story of tests/programs/samestory/main.go, line for line.
 */
#include <gtrace/go.h>

static gt_chan(int) a, b, full;
static gt_chan(struct gt_unit) stop;
static struct gt_mutex mutex;
static struct gt_rwmutex rw;
static struct gt_cond cond = {.mutex = &mutex};
static bool open;
static struct gt_wg wg;

static void start(void (*f)(void *arg))
{
	gt_wg_go(&wg, f, NULL);
}

static void echo(void *arg)
{
	int v;

	while (gt_recv(a, &v))
		gt_send(b, v + 1);
	gt_close(b);
}

static void produce(void *arg)
{
	for (int i = 0; i < 10; i++)
		gt_send(full, i);
	gt_close(full);
}

static void consume(void *arg)
{
	while (gt_recv(full, NULL))
		continue;
}

static void lock(void *arg)
{
	gt_mutex_lock(&mutex);
	gt_mutex_unlock(&mutex);
}

static void read_once(void *arg)
{
	gt_rwmutex_rlock(&rw);
	gt_yield();
	gt_rwmutex_runlock(&rw);
}

static void write_once(void *arg)
{
	gt_rwmutex_lock(&rw);
	gt_rwmutex_unlock(&rw);
}

static void await(void *arg)
{
	gt_mutex_lock(&mutex);
	while (!open)
		gt_cond_wait(&cond);
	gt_mutex_unlock(&mutex);
}

static void choose(void *arg)
{
	for (;;) {
		switch (gt_select(gt_case_recv(a, NULL), gt_case_send(b, 7), gt_case_recv(stop, NULL))) {
		case 2:
			return;
		}
	}
}

static void until_stop(void *arg)
{
	gt_recv(stop, NULL);
}

static void channels(void)
{
	start(echo);
	for (int i = 0; i < 5; i++) {
		gt_send(a, i);
		gt_recv(b, NULL);
	}
	gt_close(a);
	gt_recv(b, NULL);
	gt_wg_wait(&wg);

	start(produce);
	start(consume);
	gt_wg_wait(&wg);
}

static void locks(void)
{
	gt_mutex_lock(&mutex);
	for (int i = 0; i < 3; i++)
		start(lock);
	gt_yield();
	gt_mutex_unlock(&mutex);
	gt_wg_wait(&wg);

	start(read_once);
	start(write_once);
	start(read_once);
	gt_rwmutex_rlock(&rw);
	gt_yield();
	gt_rwmutex_runlock(&rw);
	gt_wg_wait(&wg);

	for (int i = 0; i < 4; i++)
		start(await);
	gt_yield();
	gt_cond_signal(&cond);
	gt_mutex_lock(&mutex);
	open = true;
	gt_mutex_unlock(&mutex);
	gt_cond_broadcast(&cond);
	gt_wg_wait(&wg);
}

static int story(int argc, char **argv)
{
	a = gt_chan_make(int);
	b = gt_chan_make(int);
	full = gt_chan_make(int, 3);
	stop = gt_chan_make(struct gt_unit);
	channels();
	locks();

	gt_chan_free(a);
	gt_chan_free(b);
	a = gt_chan_make(int);
	b = gt_chan_make(int);
	gt_chan_free(full);
	full = gt_chan_make(int);
	start(choose);
	start(until_stop);
	start(until_stop);
	gt_send(a, 1);
	gt_recv(b, NULL);
	gt_send(a, 2);
	gt_close(stop);
	gt_wg_wait(&wg);

	gt_sleep(2 * GT_MILLISECOND);
	gt_recv(gt_after(2 * GT_MILLISECOND), NULL);
	gt_select(gt_case_recv(gt_after(2 * GT_MILLISECOND), NULL), gt_case_recv(full, NULL));
	gt_yield();
	return 0;
}

int main(int argc, char **argv)
{
	return gt_main(argc, argv, story);
}
