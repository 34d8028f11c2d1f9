/*
 * gtrace.h - marks for any C or C++ program: tasks, regions and messages in the trace; and tracing of oneself.
 *
 * Link with -lgtrace. Started by `gtrace record`, the program is traced from its first mark. Otherwise each call costs
 * a load and a branch, until gt_start.
 *
 * Texts are copied once each into a bounded table; when it is full, new texts show as unknown (and are counted). At
 * most 1024 bytes of a text are kept. All calls may be made by any thread and in a signal handler, but for gt_start
 * and gt_stop.
 */
#ifndef GTRACE_H
#define GTRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GTRACE_VERSION "0.1.0"

/* Of the library that runs. */
const char *gt_version(void);

/* Is anything recorded now? */
bool gt_tracing(void);

/* A task: a piece of work that may move between threads and goroutines. @parent: a task it is a part of, or 0.
 * Returns its id, 0 when nothing is recorded. */
uint64_t gt_task_begin(const char *name, uint64_t parent);
void gt_task_end(uint64_t task);

/* A region: what the running goroutine (or thread) does, from begin to end. Regions of a goroutine nest. @task may be 0. */
void gt_region_begin(uint64_t task, const char *name);
void gt_region_end(uint64_t task, const char *name);

/*
 *	gt_region("parse") {
 *		...                     // a region until the block is left: by its end, break, return or goto
 *	}
 *
 * gt_region_of(task, "parse") is a part of a task. The name must live as long as the block. An end of the goroutine, or
 * longjmp, inside leaves the region open until the goroutine's end.
 */
#define gt_region(name)          gt_region_of(0, name)
#define gt_region_of(task, name) GT__REGION(task, name, GT__CAT(gt__region_, __COUNTER__))

/* A message. */
void gt_log(uint64_t task, const char *key, const char *value);

/* The name of what lies at @object (a channel, a mutex, anything that goroutines wait for), as traces show it. A later name
 * replaces it; memory that is used again keeps the old name until then. */
void gt_name(const void *object, const char *name);

/* ---- not for callers ---- */

struct gt__region {
	uint64_t task;
	const char *name;
	bool inside;
};
static inline void gt__region_leave(struct gt__region *region)
{
	gt_region_end(region->task, region->name);
}
static inline struct gt__region gt__region_enter(uint64_t task, const char *name)
{
	struct gt__region region = {task, name, true};

	gt_region_begin(task, name);
	return region;
}
#define GT__CAT_(a, b) a##b
#define GT__CAT(a, b)  GT__CAT_(a, b)
#define GT__REGION(task, name, region) \
	for (struct gt__region region __attribute__((cleanup(gt__region_leave))) = gt__region_enter(task, name); \
		region.inside; region.inside = false)

/*
 * Traces this process by a thread of its own, from now until gt_stop or exit: into a file, a descriptor (which stays the caller's, is
 * written in order and may be a pipe), or by calls of @write on that thread, each with the next bytes: 0, or -errno, after which it
 * is not called again. May be called at any time and again and again; when it returns, the trace runs. Goroutines of
 * gt_main that are there already are told in the trace as they are then; of another scheduler's, the trace knows what happens next.
 *
 * Return 0 or -errno, and then gt_start_error() says in one line what happened: -EBUSY when a trace of this kind runs already, or
 * gtrace records the process (its recording goes on, and has everything; a copy of it is not made).
 */
int gt_start(const char *path);
int gt_start_fd(int fd);
int gt_start_write(int (*write)(void *context, const void *bytes, size_t size), void *context);
/* Writes what is left; a file gets its name. -errno when that failed, or the sink did before, or events are missing. */
int gt_stop(void);
/* Of the last call, by whatever thread. */
const char *gt_start_error(void);

#ifdef __cplusplus
}
#endif

#endif
