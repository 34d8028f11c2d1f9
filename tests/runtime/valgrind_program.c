/*
 * valgrind_program.c - a little of everything, with goroutines that end and others that take their stacks; and one that only a signal stops.
 */
#include <gtrace/go.h>
#include <gtrace/io.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct gt_mutex mutex;
static struct gt_wg wg;
static int sum;
static gt_chan(int) numbers;

static __attribute__((noinline)) int deep(int depth)
{
	char room[200];

	memset(room, depth, sizeof(room));
	return depth ? deep(depth - 1) + room[depth % 200] - depth : 0;
}

static void adds(void *arg)
{
	int *heap = malloc(sizeof(*heap));

	*heap = (int)(intptr_t)arg + deep(20);
	gt_mutex_lock(&mutex);
	sum += *heap;
	gt_mutex_unlock(&mutex);
	gt_yield();
	gt_send(numbers, *heap);
	free(heap);
}

static void spins(void *arg)
{
	while (!*(volatile int *)arg)
		;
}

static int through_a_pipe(void)
{
	struct gt_fd *from, *to;
	char text[8] = "";
	int ends[2];

	if (pipe(ends) < 0 || gt_fd_new(ends[0], &from) < 0 || gt_fd_new(ends[1], &to) < 0)
		return -1;
	if (gt_fd_write(to, "pipe", 4) != 4 || gt_fd_read(from, text, sizeof(text)) != 4)
		return -1;
	gt_fd_close(to);
	gt_fd_close(from);
	return strcmp(text, "pipe");
}

static int run(int argc, char **argv)
{
	static int stop;
	int received = 0, want = 0;

	numbers = gt_chan_make(int, 2);
	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < 20; i++) {
			gt_wg_go(&wg, adds, (void *)(intptr_t)i);
			want += i;
		}
		for (int i = 0; i < 20; i++)
			received += gt_recv_value(numbers);
		gt_wg_wait(&wg);
	}
	/* One P, and a goroutine that makes no call: back here only by SIGURG. */
	if (argc > 1 && strcmp(argv[1], "preempt") == 0) {
		gt_gomaxprocs(1);
		gt_wg_go(&wg, spins, &stop);
		gt_sleep(GT_MILLISECOND);
		stop = 1;
		gt_wg_wait(&wg);
	}
	gt_chan_free(numbers);
	if (sum != want || received != want || through_a_pipe() != 0)
		return 1;
	puts("good");
	return 0;
}

int main(int argc, char **argv)
{
#if !__has_include(<valgrind/valgrind.h>)
	/* The runtime could not tell its stacks either. */
	puts("built before valgrind was installed: build anew (touch base/san.h)");
	return 77;
#endif
	return gt_main(argc, argv, run);
}
