/*
 * pprof.h - profiles of a program on the runtime, as Go's runtime/pprof has them, in pprof's format.
 *
 *	static int to_file(void *file, const void *bytes, size_t size)
 *	{
 *		return fwrite(bytes, 1, size, file) == size ? 0 : -EIO;
 *	}
 *	...
 *	gt_profile_cpu_start(to_file, file, 0);
 *	work();
 *	gt_profile_cpu_stop();                          then: go tool pprof -http=: FILE
 *
 * What is written is made by libgtrace_profile, loaded at the first one unless it is linked (-ELIBACC: neither). heap and allocs
 * are empty unless the program runs with libgtrace_malloc (linked, or LD_PRELOAD). Stacks are taken by frame pointers: compile with
 * -fno-omit-frame-pointer. gt_profile_cpu_start(3) has more.
 *
 * All calls are for goroutines and for plain threads. @write is called on the caller's own stack, never from a signal or
 * another thread, some times or once, and may wait (gt_write); what it returns but 0 ends the profile and is returned.
 * From a goroutine, the encoding runs on a thread apart and does not hold the P.
 */
#ifndef GTRACE_PPROF_H
#define GTRACE_PPROF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef GT_API
#define GT_API __attribute__((visibility("default")))
#endif

/* 0, or -errno. */
typedef int gt_profile_write_fn(void *ctx, const void *bytes, size_t size);

/* ---- CPU ---- */

/*
 * Takes the stack of every thread @hz times (0: 100; at most 1000) in a second of its CPU time, by SIGPROF. Nothing is written
 * before the stop, which calls @write. Samples have the labels goroutine (a number) and name.
 * -EBUSY: one runs already. -EINVAL: @hz. Else what timer_create said.
 */
GT_API int gt_profile_cpu_start(gt_profile_write_fn *write, void *ctx, int hz);
/* Ends it and writes it, gzipped. -EINVAL: none runs. Else 0 or what @write said. */
GT_API int gt_profile_cpu_stop(void);

/* ---- the others, by name ---- */

/*
 * goroutine     where every goroutine is now, one after the other: the world is not stopped
 * heap          live memory, sampled: alloc_objects, alloc_space, inuse_objects, inuse_space; shows inuse_space first
 * allocs        the same, shows alloc_space first
 * block         where goroutines waited for channels, locks and each other: contentions, delay (gt_profile_block_rate)
 * mutex         who held what others waited for: contentions, delay, charged to the unlock (gt_profile_mutex_fraction)
 * threadcreate  what made the runtime start kernel threads
 *
 * @debug 0: pprof's format, gzipped. 1: text, as Go's legacy one. 2: for goroutine, as in a panic; for others as 1.
 * -ENOENT: no such profile.
 */
GT_API int gt_profile_write(const char *name, int debug, gt_profile_write_fn *write, void *ctx);

struct gt_profile_info {
	const char *name;
	const char *description;
	uint64_t count; /* for an index page: goroutines, threads; for the others the number of different stacks */
};

/* Fills at most @max, by name in order of the alphabet; returns how many there are. */
GT_API size_t gt_profiles(struct gt_profile_info *out, size_t max);

/* ---- differences ---- */

/* What a profile says now, to be subtracted from a later one. 0, -ENOENT, -ENOMEM. */
struct gt_profile_snapshot;
GT_API int gt_profile_snapshot(const char *name, struct gt_profile_snapshot **out);
/* Now less @since, in pprof's format, gzipped, with the time between as its duration. */
GT_API int gt_profile_write_since(const struct gt_profile_snapshot *since, gt_profile_write_fn *write, void *ctx);
GT_API void gt_profile_snapshot_free(struct gt_profile_snapshot *snapshot);

/* ---- rates, all as in Go ---- */

/* One wait a @ns ns of waiting is taken (1: every one; 0 or less: off, as at the start). Longer ones always. */
GT_API void gt_profile_block_rate(int64_t ns);
/* One of @n contentions is taken (0: off, as at the start). Negative: nothing is changed. Returns the former. */
GT_API int gt_profile_mutex_fraction(int n);
/* One allocation every @bytes bytes is taken, in the middle (1: every one; 0: off; at the start 524288, or GT_HEAP_RATE of the
 * environment). Early, and once: what was taken before is scaled by the new one. Negative: nothing is changed. Returns the
 * former; 0 without libgtrace_malloc. */
GT_API int64_t gt_profile_heap_rate(int64_t bytes);

#ifdef __cplusplus
}
#endif

#endif
