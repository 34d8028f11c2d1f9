/*
 * standing.c - for e2e linked_standing: standing FILE MORE [FOLDER]. Waits with goroutines of some kinds, for ever, while two others play ping-pong
 * for some seconds; then nobody does anything. FILE gets which goroutine is of which kind. MORE of the first kind are not told of. With FOLDER, the program's own
 * flight recorder writes two windows there, long after its begin; then the program ends.
 */
#include <gtrace/flight.h>
#include <gtrace/go.h>
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
	static void (*const kinds[])(void *arg) = {receives, selects, locks, sleeps, joins, reads};
	size_t count = sizeof(kinds) / sizeof(kinds[0]);

	table = fopen(argv[1], "w");
	if (argc < 3 || !table)
		return 2;
	ping = gt_chan_make(int);
	pong = gt_chan_make(int);
	gt_mutex_lock(&held);
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
