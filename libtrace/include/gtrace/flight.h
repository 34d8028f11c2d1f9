/*
 * flight.h - the flight recorder inside a C or C++ program: the last seconds, always there, in bounded memory, without a
 * gtrace process; and, with a crash file, still there after the program was killed.
 *
 *	struct gt_flight_config config = {.max_bytes = 16 << 20, .min_age_ns = 5000000000, .signal = SIGUSR2};
 *	struct gt_flight *flight;
 *
 *	if (gt_flight_start(&config, &flight) < 0)
 *		puts(gt_flight_error());
 *	...
 *	gt_flight_snapshot(flight, "slow.gtrace");
 *
 * Link with -lgtrace. A thread of the library's own reads along and writes snapshots; those who record wait for nobody.
 *
 * Memory. All recorders of a process share one ring, which the first of them (or gt_start) makes for the life of the process. It, the
 * names of goroutines and the packed history together never exceed the largest max_bytes that was asked for; gt_flight_stat tells.
 * A recorder that comes later and asks for more gets it as packed history. Beside it stand some 50 KiB for packing and, while a
 * snapshot is written, a copy of the ring, 2 MiB of what is unpacked, and the writer's 9 MiB.
 *
 * Return values are 0 or -errno; then gt_flight_error() says in one line what happened.
 */
#ifndef GTRACE_FLIGHT_H
#define GTRACE_FLIGHT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct gt_flight;

/* All may be 0 or NULL. Texts are copied. */
struct gt_flight_config {
	/* A snapshot holds everything of the last so many ns, as far as max_bytes holds it, and nothing older. What the ring alone holds so
	 * long is not packed. 0: all that is held. */
	uint64_t min_age_ns;
	/* Hard; 0: 16 MiB. The least is some 300 KiB; below 2 MiB nothing is packed. */
	uint64_t max_bytes;
	/* Of enum gt_set (gtrace/hooks.h), what this recorder's snapshots hold; 0: sched, marks, objects and heap. sched is always on. */
	uint32_t sets;
	/* Writes a snapshot by path; 0: none. A signal that has its default action now. */
	int signal;
	/* Names of snapshots for which none is given: %n number, %p process, %t UTC time, %% a percent. NULL: gtrace-%p-%n.gtrace */
	const char *path;
	/*
	 * The ring lies in this file, so that it outlives the process, however that ends: gtrace recover FILE. One that a dead process
	 * left becomes FILE.old; at exit() it is removed. Best on a tmpfs (/dev/shm, /run): on a disk, the kernel that writes a page makes
	 * whoever records wait for it. The first start of the process decides; a later one may name the same file or none.
	 */
	const char *crash_file;
	/* All of max_bytes is ring: nothing is packed, and all that is held outlives the process. */
	uint32_t no_history;
	uint32_t reserved[7];
};

/* From now on. Goroutines of gt_main that are there are told in the first snapshots as they are now. -EBUSY while gt_start's
 * trace runs or gtrace records this process; in a child of fork(). */
int gt_flight_start(const struct gt_flight_config *config, struct gt_flight **out);
/* Frees @flight. */
int gt_flight_stop(struct gt_flight *flight);

/* The window as it is now into a file, which appears when it is whole. Goroutines of gt_main that did nothing in it are told as they stand (up to
 * 10,000; not those that are runnable). @path NULL: config.path. The recording goes on. Any thread; several at
 * once take turns. Not in a signal handler: config.signal is for that. */
int gt_flight_snapshot(struct gt_flight *flight, const char *path);
/* By calls of @write on the library's thread, each with the next bytes: 0, or -errno, which ends the snapshot and is returned. */
int gt_flight_snapshot_to(
	struct gt_flight *flight, int (*write)(void *context, const void *bytes, size_t size), void *context);

struct gt_flight_stat {
	uint64_t snapshots;      /* of this recorder, good ones */
	uint64_t failed;         /* and others */
	uint64_t held_bytes;     /* of all recorders: ring, names, packed history, as it is now */
	uint64_t held_bytes_max; /* and can become */
	uint64_t ring_bytes;     /* of them, what a crash file keeps */
	/* Of the last snapshot. */
	uint64_t events;
	uint64_t kept_ns;     /* since when something of every thread is held */
	uint64_t complete_ns; /* since when nothing of any is missing */
	uint64_t copy_ns;
	char last[512]; /* in words: the file, or why there is none */
};
int gt_flight_stat(struct gt_flight *flight, struct gt_flight_stat *out);

/* Of the calling thread's last call that failed. */
const char *gt_flight_error(void);

#ifdef __cplusplus
}
#endif

#endif
