/*
 * peer_flight.c - a program that is its own flight recorder, for flight-peers.sh: with libtrace, or (-DPEER_LTTNG) with LTTng-UST,
 * whose session daemon records it.
 *
 *   peer THREADS EVENTS [MIB SNAPSHOT]
 *
 * Each thread writes so many events as fast as it can; the best of ten parts is told as ns an event (a machine with
 * other work disturbs the others). Then, with libtrace, a snapshot; with LTTng the script takes it while this waits for standard input's end.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#ifdef PEER_LTTNG
#define LTTNG_UST_TRACEPOINT_CREATE_PROBES
#define LTTNG_UST_TRACEPOINT_DEFINE
#include "peer_lttng.h"
#define EVENT(g, i) lttng_ust_tracepoint(peer, state, (g), (uint32_t)(i))
#else
#include <gtrace/flight.h>
#include <gtrace/hooks.h>
#define EVENT(g, i) ((i)&1 ? gt_hook_yield((g), GT_REASON_UNKNOWN) : gt_hook_run((g), GT_STATE_RUNNABLE, 0))
#endif

#define PARTS 10

static long count;
static double best_ns[64];

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static void *work(void *arg)
{
	double *best = arg;
	uint64_t g = (uint64_t)(best - best_ns) + 1;

	for (int part = 0; part < PARTS; part++) {
		double begin = now(), each;

		for (long i = 0; i < count / PARTS; i++)
			EVENT(g, i);
		each = (now() - begin) / (double)(count / PARTS);
		if (!part || each < *best)
			*best = each;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[64];
	int thread_count = argc > 1 ? atoi(argv[1]) : 1;
	char byte;

	count = argc > 2 ? atol(argv[2]) : 1000000;
	if (thread_count < 1 || thread_count > 64 || count < PARTS)
		return 2;
#ifndef PEER_LTTNG
	struct gt_flight_config config = {.max_bytes = (argc > 3 ? strtoull(argv[3], NULL, 10) : 16) << 20};
	struct gt_flight_stat stat;
	struct gt_flight *flight;
	double begin;

	if (gt_flight_start(&config, &flight) < 0) {
		fprintf(stderr, "%s\n", gt_flight_error());
		return 1;
	}
#endif
	for (int i = 0; i < thread_count; i++)
		pthread_create(&threads[i], NULL, work, &best_ns[i]);
	for (int i = 0; i < thread_count; i++)
		pthread_join(threads[i], NULL);
	printf("ns %.2f\n", best_ns[0]);
	fflush(stdout);
#ifndef PEER_LTTNG
	begin = now();
	if (argc < 5 || gt_flight_snapshot(flight, argv[4]) < 0) {
		fprintf(stderr, "%s\n", gt_flight_error());
		return 1;
	}
	begin = now() - begin;
	gt_flight_stat(flight, &stat);
	printf("snapshot_ms %.1f\ncopy_ms %.2f\nevents %llu\n", begin / 1e6, (double)stat.copy_ns / 1e6,
		(unsigned long long)stat.events);
	gt_flight_stop(flight);
#endif
	while (read(0, &byte, 1) > 0)
		;
	return 0;
}
