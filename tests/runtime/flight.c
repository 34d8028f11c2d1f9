/*
 * flight.c - a flight recorder that starts in the midst of a program of goroutines: its snapshots tell of all that were there, are possible
 * executions, and are taken from goroutines; again after a stop.
 */
#include "format/reading/trace.h"
#include "format/reading/validate.h"

#include <gtrace/flight.h>
#include <gtrace/go.h>
#include <gtrace/metrics.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PARKED 200

typedef gt_chan(int) int_chan;

static int_chan never, ping, pong;
static uint64_t parked[PARKED];
static _Atomic uint32_t parked_count;
static struct gt_flight *flight;
static int bad;

static void park(void *arg)
{
	(void)arg;
	parked[atomic_fetch_add(&parked_count, 1)] = gt_id();
	gt_recv(never, NULL);
}

static void answer(void *arg)
{
	int value;

	(void)arg;
	while (gt_recv(ping, &value))
		gt_send(pong, value);
}

static int keep(void *context, const void *bytes, size_t size)
{
	return fwrite(bytes, 1, size, context) == size ? 0 : -5;
}

static void check(const char *what)
{
	struct gt_verdict verdict = {0};
	struct gt_trace *trace;
	struct gt_event event;
	struct gt_error err;
	size_t size, told = 0;
	char *bytes;
	FILE *to = open_memstream(&bytes, &size);
	int ret = gt_flight_snapshot_to(flight, keep, to);

	fclose(to);
	if (ret < 0 || gt_trace_open_memory(bytes, size, &trace, &err) < 0) {
		fprintf(stderr, "%s: %s\n", what, ret < 0 ? gt_flight_error() : err.text);
		exit(1);
	}
	while (gt_trace_next(trace, &event) > 0)
		if (event.kind == GT_EV_GO_STATE && event.args[1] == GT_STATE_NONE)
			for (int i = 0; i < PARKED; i++)
				told += event.args[0] == parked[i] && event.args[2] == GT_STATE_WAITING;
	gt_trace_rewind(trace);
	if (gt_validate(trace, &verdict) < 0 || verdict.impossible || told != PARKED) {
		fprintf(stderr, "%s: %zu told of %d; %s\n", what, told, PARKED, verdict.why);
		bad = 1;
	}
	gt_trace_close(trace);
	free(bytes);
}

static uint64_t waiting(void)
{
	struct gt_metric_sample sample = {.name = "/sched/goroutines/waiting:goroutines"};

	gt_metrics_read(&sample, 1);
	return sample.uint64;
}

static int program(int argc, char **argv)
{
	int value;

	(void)argc, (void)argv;
	never = gt_chan_make(int);
	ping = gt_chan_make(int);
	pong = gt_chan_make(int);
	for (int i = 0; i < PARKED; i++)
		gt_go(park, NULL);
	gt_go(answer, NULL);
	while (atomic_load(&parked_count) < PARKED)
		gt_yield();
	for (int round = 0; round < 5 && !bad; round++) {
		/* Each is awake until it waits: the last of them too, and who answers. */
		while (waiting() < PARKED + 1)
			gt_sleep(GT_MILLISECOND);
		if (gt_flight_start(&(struct gt_flight_config){.max_bytes = 4 << 20}, &flight) < 0) {
			fprintf(stderr, "%s\n", gt_flight_error());
			return 1;
		}
		for (int i = 0; i < 100; i++) {
			gt_send(ping, i);
			gt_recv(pong, &value);
		}
		check("first");
		for (int i = 0; i < 100; i++) {
			gt_send(ping, i);
			gt_recv(pong, &value);
		}
		check("second");
		if (gt_flight_stop(flight) < 0)
			bad = 1;
	}
	return bad;
}

int main(int argc, char **argv)
{
	return gt_main(argc, argv, program);
}
