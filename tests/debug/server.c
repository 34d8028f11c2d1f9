/*
 * server.c - a program that serves its inside: prints the ports, and works a little for ever. tests/debug/debug.py asks it.
 *
 * usage: server [seconds]: after so long it ends by itself.
 */
#include <gtrace/debug.h>
#include <gtrace/go.h>
#include <gtrace/gtrace.h>
#include <gtrace/io.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef gt_chan(int) int_chan;

static void produce(void *arg)
{
	int_chan numbers = arg;

	for (int i = 0;; i++) {
		gt_send(numbers, i);
		gt_sleep(GT_MILLISECOND);
	}
}

static volatile unsigned int sink;

static __attribute__((noinline)) void burn_cpu(int rounds)
{
	for (int i = 0; i < rounds; i++)
		sink = sink * 31 + (unsigned int)i;
}

static void consume(void *arg)
{
	int_chan numbers = arg;
	int value;

	while (gt_recv(numbers, &value))
		burn_cpu(50000);
}

static void forever(void *arg)
{
	gt_recv((gt_chan(int))arg, NULL);
}

static int go_main(int argc, char **argv)
{
	int64_t until = gt_now() + (argc > 1 ? atoi(argv[1]) : 600) * GT_SECOND;
	int_chan numbers = gt_chan_make(int, 0), never = gt_chan_make(int, 0);
	/* One with short times and few places, for slow clients and crowds. */
	struct gt_debug_options strict = {.address = ":0", .connections_max = 4, .timeout_ns = 500 * GT_MILLISECOND};
	int port = gt_debug_serve("localhost:0"), strict_port = gt_debug_serve_options(&strict);

	if (port <= 0 || strict_port <= 0)
		return 1;
	if (gt_debug_serve("0.0.0.0:0") != -EACCES || gt_debug_serve("[::]:0") != -EACCES ||
		gt_debug_serve("8.8.8.8:80") != -EACCES)
		return 3;
	if (gt_debug_serve("nonsense") != -EINVAL || gt_debug_serve("127.0.0.1:99999") != -EINVAL ||
		gt_debug_serve("127.0.0.1:") != -EINVAL || gt_debug_serve(NULL) != -EINVAL ||
		gt_debug_serve("example.com:80") != -EINVAL || gt_debug_serve("127.0.0.1:1x") != -EINVAL)
		return 4;
	gt_go_named("producer", produce, numbers);
	gt_go_named("consumer", consume, numbers);
	gt_go_named("forever", forever, never);
	printf("%d %d %p\n", port, strict_port, (void *)(uintptr_t)burn_cpu);
	fflush(stdout);
	while (gt_now() < until)
		gt_sleep(50 * GT_MILLISECOND);
	return 0;
}

int main(int argc, char **argv)
{
	return gt_main(argc, argv, go_main);
}
