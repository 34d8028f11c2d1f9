/*
 * peer_flight.c - the flight recorder of libtrace beside LTTng-UST's in one program, for flight-peers.sh: what an event costs in each,
 * and what no recorder that reads the clock can be below.
 *
 *   bench-peer-flight [CHUNKS [MIB SNAPSHOT]]
 *
 * The contestants take turns chunk by chunk (as in hook.c), so that a neighbour's load, the processor's clock and a migration hit all
 * alike; a figure is the median over the chunks, what one takes longer the median of the differences within a turn. Each event is told twice: in a loop of
 * nothing else, and behind 80 dependent multiplications, as a program that does something tells it: there the clock's latency hides
 * behind the work, and what an event costs is what the work takes longer.
 *
 * With PEER_LTTNG the program has LTTng's tracepoint too; whether it records is up to its session daemon. In the end a
 * snapshot of libtrace's window; that of LTTng is the script's, which ends standard input when it has it.
 */
#include "base/clock.h"

#include <gtrace/flight.h>
#include <gtrace/hooks.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#ifdef PEER_LTTNG
#define LTTNG_UST_TRACEPOINT_CREATE_PROBES
#define LTTNG_UST_TRACEPOINT_DEFINE
#include "peer_lttng.h"
#define PEER(g, i) lttng_ust_tracepoint(peer, state, (g), (uint32_t)(i))
#else
#define PEER(g, i) ((void)(g), (void)(i))
#endif

#define EVENTS     2000
#define WARM_UP    20
#define CHUNKS_MAX 4001

enum contestant { EMPTY, CLOCK, OWN, LTTNG, WORK, WORK_CLOCK, WORK_OWN, WORK_LTTNG, CONTESTANTS };
static const char *const names[CONTESTANTS] = {
	[EMPTY] = "the loop",
	[CLOCK] = "the clock's instruction (rdtsc), nothing stored",
	[OWN] = "libtrace",
	[LTTNG] = "LTTng-UST",
	[WORK] = "80 multiplications",
	[WORK_CLOCK] = "  and the clock's instruction",
	[WORK_OWN] = "  and libtrace",
	[WORK_LTTNG] = "  and LTTng-UST",
};

static volatile uint64_t sink;
static double values[CONTESTANTS][CHUNKS_MAX];

__attribute__((noinline)) static void clock_event(uint64_t *sum)
{
	*sum += gt__cpu_ticks();
}

__attribute__((noinline)) static void own_event(uint64_t g, uint64_t i)
{
	if (i & 1)
		gt_hook_yield(g, GT_REASON_UNKNOWN);
	else
		gt_hook_run(g, GT_STATE_RUNNABLE, 0);
}

__attribute__((noinline)) static void lttng_event(uint64_t g, uint64_t i)
{
	PEER(g, i);
}

static inline uint64_t work(uint64_t x)
{
	for (int i = 0; i < 80; i++) {
		x *= 0x9e3779b97f4a7c15ull;
		__asm__ volatile("" : "+r"(x));
	}
	return x;
}

static double chunk(enum contestant who)
{
	uint64_t x = 1, sum = 0, begin = gt__cpu_ticks();

	for (uint64_t i = 0; i < EVENTS; i++) {
		if (who >= WORK)
			x = work(x);
		switch (who) {
		case EMPTY:
		case WORK:
			__asm__ volatile("" ::: "memory");
			break;
		case CLOCK:
		case WORK_CLOCK:
			clock_event(&sum);
			break;
		case OWN:
		case WORK_OWN:
			own_event(1, i);
			break;
		case LTTNG:
		case WORK_LTTNG:
			lttng_event(1, i);
			break;
		case CONTESTANTS:
			break;
		}
	}
	begin = gt__cpu_ticks() - begin;
	sink = x + sum;
	return (double)begin / EVENTS;
}

static int ascending(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return left < right ? -1 : left > right;
}

/* The median; *@low and *@high: what the middle 80 % reach. */
static double median(const double *of, int count, double *low, double *high)
{
	static double sorted[CHUNKS_MAX];

	for (int i = 0; i < count; i++)
		sorted[i] = of[i];
	qsort(sorted, (size_t)count, sizeof(*sorted), ascending);
	*low = sorted[count / 10];
	*high = sorted[count - 1 - count / 10];
	return sorted[count / 2];
}

/* What @who takes longer than @less: the median of the differences within a turn. */
static double longer(enum contestant who, enum contestant less, int chunks)
{
	static double differences[CHUNKS_MAX];
	double low, high;

	for (int i = 0; i < chunks; i++)
		differences[i] = values[who][i] - values[less][i];
	return median(differences, chunks, &low, &high);
}

static void tell(int chunks)
{
	double ns_a_tick = 1e9 / (double)gt_clock_rate(), low, high, middle;

	printf("%d turns of %d events each; medians (80 %% of the turns)\n", chunks, EVENTS);
	for (int who = 0; who < CONTESTANTS; who++) {
		middle = median(values[who], chunks, &low, &high);
		printf("%-50s %7.2f ns (%.2f .. %.2f)\n", names[who], middle * ns_a_tick, low * ns_a_tick,
			high * ns_a_tick);
	}
	/* Less the loop's own time, as a program that does something has a loop of its own. */
	printf("libtrace takes %.2f times as long as the clock's instruction\n",
		longer(OWN, EMPTY, chunks) / longer(CLOCK, EMPTY, chunks));
#ifdef PEER_LTTNG
	printf("LTTng-UST takes %.1f times as long as libtrace when nothing but events is done; %.1f times as long as "
	       "the "
	       "clock's instruction: more than that\n    no recorder can reach that reads the clock for each event. "
	       "Behind work, "
	       "%.1f ns and %.1f ns an event: %.1f times\n",
		longer(LTTNG, EMPTY, chunks) / longer(OWN, EMPTY, chunks),
		longer(LTTNG, EMPTY, chunks) / longer(CLOCK, EMPTY, chunks), longer(WORK_OWN, WORK, chunks) * ns_a_tick,
		longer(WORK_LTTNG, WORK, chunks) * ns_a_tick,
		longer(WORK_LTTNG, WORK, chunks) / longer(WORK_OWN, WORK, chunks));
#endif
}

static int flight(int chunks, uint64_t mib, const char *snapshot)
{
	struct gt_flight_config config = {.max_bytes = mib << 20};
	struct gt_flight_stat stat;
	struct gt_flight *flight;
	uint64_t begin;
	cpu_set_t set;

	if (gt_flight_start(&config, &flight) < 0) {
		fprintf(stderr, "bench-peer-flight: %s\n", gt_flight_error());
		return 1;
	}
	/* The recorder's thread has the other CPUs. */
	CPU_ZERO(&set);
	CPU_SET(0, &set);
	sched_setaffinity(0, sizeof(set), &set);
	for (int i = -WARM_UP; i < chunks; i++)
		for (int who = 0; who < CONTESTANTS; who++)
			values[who][i < 0 ? 0 : i] = chunk(who);
	tell(chunks);
	begin = gt__cpu_ticks();
	if (snapshot && gt_flight_snapshot(flight, snapshot) < 0) {
		fprintf(stderr, "bench-peer-flight: %s\n", gt_flight_error());
		return 1;
	}
	begin = gt__cpu_ticks() - begin;
	if (snapshot && gt_flight_stat(flight, &stat) >= 0)
		printf("libtrace: written %llu events, snapshot in %.1f ms (copied in %.2f ms), %llu events of it\n",
			(unsigned long long)2 * EVENTS * (unsigned int)(chunks + WARM_UP),
			(double)begin * 1e3 / (double)gt_clock_rate(), (double)stat.copy_ns / 1e6,
			(unsigned long long)stat.events);
	fflush(stdout);
	while (read(0, &(char){0}, 1) > 0)
		;
	gt_flight_stop(flight);
	return 0;
}

int main(int argc, char **argv)
{
	int chunks = argc > 1 ? atoi(argv[1]) : 1501;
	unsigned long mib = argc > 2 ? strtoul(argv[2], NULL, 10) : 16;

	if (chunks < 1 || chunks > CHUNKS_MAX || mib < 1 || mib > 4096) {
		fprintf(stderr, "usage: bench-peer-flight [CHUNKS [MIB SNAPSHOT]]: at most %d\n", CHUNKS_MAX);
		return 2;
	}
	gt_clock_init();
	return flight(chunks, mib, argc > 3 ? argv[3] : NULL);
}
