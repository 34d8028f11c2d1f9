/*
 * standing.c - for e2e linked_standing: standing FILE MORE [FOLDER]. Waits with goroutines of every kind there is, for ever, while two others play ping-pong
 * for some seconds; then nobody does anything. FILE gets which goroutine is of which kind. MORE of the first kind are not told of. With FOLDER, the program's own
 * flight recorder writes two windows there, long after its begin; then the program ends.
 */
#include <gtrace/flight.h>
#include <gtrace/go.h>
#include <gtrace/io.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OF_EACH  3
#define WINDOWS  200
#define WINDOW_K 640
#define ROUNDS   400000

typedef gt_chan(int) int_chan;

static struct gt_mutex held;
static struct gt_rwmutex written;
static struct gt_wg told;
static struct gt_mutex writing;
static FILE *table;
static int_chan ping, pong;

static void tell(const char *kind)
{
	gt_mutex_lock(&writing);
	fprintf(table, "%llu %s\n", (unsigned long long)gt_id(), kind);
	gt_mutex_unlock(&writing);
	gt_wg_done(&told);
}

static void receives(void *arg)
{
	int_chan never = gt_chan_make(int);

	tell("receives");
	gt_recv(never, NULL);
}

static void receives_nil(void *arg)
{
	int_chan none = NULL;

	tell("receives_nil");
	gt_recv(none, NULL);
}

static void sends(void *arg)
{
	int_chan never = gt_chan_make(int);

	tell("sends");
	gt_send(never, 1);
}

static void sends_nil(void *arg)
{
	int_chan none = NULL;

	tell("sends_nil");
	gt_send(none, 1);
}

static void selects_none(void *arg)
{
	tell("selects_none");
	gt_select_n(NULL, 0);
}

static void expires(void *arg)
{
	gt_timer late = gt_after(3600 * GT_SECOND);

	tell("expires");
	gt_recv(late, NULL);
}

static void cancels(void *arg)
{
	struct gt_ctx *ctx = gt_ctx_with_timeout(gt_ctx_background(), 3600 * GT_SECOND);

	tell("cancels");
	gt_select(gt_case_recv(gt_ctx_done(ctx), NULL), gt_case_recv(gt_after(3600 * GT_SECOND), NULL));
}

static void locks_read(void *arg)
{
	tell("locks_read");
	gt_rwmutex_rlock(&written);
}

/* Who waits for readers; behind another writer it would wait for a mutex. */
static void locks_write(void *arg)
{
	struct gt_rwmutex read_by_us = {0};

	gt_rwmutex_rlock(&read_by_us);
	tell("locks_write");
	gt_rwmutex_lock(&read_by_us);
}

static void conds(void *arg)
{
	struct gt_mutex mutex = {0};
	struct gt_cond cond = {.mutex = &mutex};

	tell("conds");
	gt_mutex_lock(&mutex);
	gt_cond_wait(&cond);
}

static void acquires(void *arg)
{
	struct gt_sem sem = {.size = 1};

	gt_sem_acquire(&sem, 1);
	tell("acquires");
	gt_sem_acquire(&sem, 1);
}

static void polls(void *arg)
{
	struct gt_fd *fd;
	int fds[2];
	char one;

	if (pipe(fds) < 0 || gt_fd_new(fds[0], &fd) < 0)
		abort();
	tell("polls");
	gt_fd_read(fd, &one, 1);
}

static void selects(void *arg)
{
	int_chan never = gt_chan_make(int);
	int value;

	tell("selects");
	gt_select(gt_case_recv(never, &value), gt_case_send(never, 1));
}

static void locks(void *arg)
{
	tell("locks");
	gt_mutex_lock(&held);
}

static void sleeps(void *arg)
{
	tell("sleeps");
	gt_sleep(3600 * GT_SECOND);
}

static void joins(void *arg)
{
	struct gt_wg all = {0};

	tell("joins");
	gt_wg_add(&all, 1);
	gt_wg_wait(&all);
}

/* A call that lasts: its M and the goroutine stay in it. */
static void reads(void *arg)
{
	int pipe_fds[2];
	char one;

	tell("reads");
	if (pipe(pipe_fds) < 0)
		abort();
	gt_syscall_enter();
	(void)!read(pipe_fds[0], &one, 1);
	gt_syscall_exit();
}

static void more(void *arg)
{
	int_chan never = gt_chan_make(int);

	gt_recv(never, NULL);
}

static void answer(void *arg)
{
	int value;

	while (gt_recv(ping, &value))
		gt_send(pong, value);
}

static void play(int rounds)
{
	for (int i = 0; i < rounds; i++) {
		gt_send(ping, i);
		gt_recv(pong, NULL);
		if (i % 1000 == 0)
			gt_sleep(5 * GT_MILLISECOND); /* the recorder is to keep up */
	}
}

/* Long enough that windows do not reach back to the recorder's begin. */
static int record(const char *folder)
{
	const struct gt_flight_config config = {.max_bytes = WINDOW_K << 10};
	struct gt_flight *flight;
	struct gt_flight_stat stat;
	char path[4096];
	int ret = 0;

	if (gt_flight_start(&config, &flight) < 0) {
		fprintf(stderr, "%s\n", gt_flight_error());
		return 1;
	}
	for (int i = 0; i < WINDOWS && ret >= 0; i++)
		play(1000);
	snprintf(path, sizeof(path), "%s/first.gtrace", folder);
	ret = gt_flight_snapshot(flight, path);
	play(1000);
	snprintf(path, sizeof(path), "%s/last.gtrace", folder);
	if (ret >= 0)
		ret = gt_flight_snapshot(flight, path);
	if (ret < 0 || gt_flight_stat(flight, &stat) < 0) {
		fprintf(stderr, "%s\n", gt_flight_error());
		return 1;
	}
	gt_flight_stop(flight);
	return 0;
}

static int program(int argc, char **argv)
{
	static void (*const kinds[])(void *arg) = {receives, receives_nil, sends, sends_nil, selects, selects_none,
		expires, cancels, locks, locks_read, locks_write, conds, acquires, sleeps, joins, polls, reads};
	size_t count = sizeof(kinds) / sizeof(kinds[0]);

	table = fopen(argv[1], "w");
	if (argc < 3 || !table)
		return 2;
	ping = gt_chan_make(int);
	pong = gt_chan_make(int);
	gt_mutex_lock(&held);
	gt_rwmutex_lock(&written);
	gt_wg_add(&told, (int)(OF_EACH * count));
	for (int i = 0; i < OF_EACH; i++)
		for (size_t k = 0; k < count; k++)
			gt_go(kinds[k], NULL);
	gt_wg_wait(&told);
	fclose(table);
	for (int i = 0; i < atoi(argv[2]); i++)
		gt_go(more, NULL);
	gt_go(answer, NULL);
	play(10000);
	if (argc > 3)
		return record(argv[3]);
	printf("ready\n");
	fflush(stdout);
	play(ROUNDS);
	printf("stalled\n");
	fflush(stdout);
	gt_sleep(3600 * GT_SECOND); /* nobody does anything any more */
	return 0;
}

int main(int argc, char **argv)
{
	return gt_main(argc, argv, program);
}
