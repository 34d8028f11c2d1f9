/*
 * attach.h - hooks for a Go process that runs already, and out of it again.
 *
 *   gt_attach_open        looks: what process, what program, which version, where everything goes. Nothing is touched
 *   gt_attach_map         stop: the process makes a memfd, maps it, and a place for the code. Then it runs
 *   (the caller fills the memory)
 *   gt_attach_patch       code is written; stop: every thread stands where it may, jumps over the sites. Then it runs
 *   gt_attach_goroutines  those that lived already, read while it runs
 *   gt_attach_detach      stop: the sites' own bytes again; once no thread is in the hooks, what was mapped is unmapped
 *
 * gtrace may be killed at any instant: the process goes on, with hooks that write to nobody or without. A later gtrace finds what was
 * left (hookpage.h), and takes it out first.
 *
 * Where a thread may stand for the patching: not inside a site's window; not in a signal handler, whose interrupted code may; and
 * not in the midst of a change of state whose record would be missing (runtime.casgstatus behind its hook, say).
 */
#ifndef GT_AGENT_ATTACH_H
#define GT_AGENT_ATTACH_H

#include "agent/gohooks.h"
#include "agent/goread.h"
#include "libtrace/shm_create.h"

#include <limits.h>
#include <sys/types.h>

struct gt_attach;

struct gt_attach_view {
	pid_t pid;
	const char *exe;     /* what to open: /proc/PID/exe */
	const char *program; /* its path, as the process has it */
	struct gt_gobin *bin;
	const struct gt_golayout *layout;
	uint64_t slide;
	bool foreign;       /* in another PID namespace: the numbers of its threads there are not those here */
	uint64_t m_highest; /* after gt_attach_map: the highest M id that a thread has */
	const uint64_t *
		ms_gone; /* and the pages of lines below it (struct gt_shm_config) without one; NULL: all may be needed */
	size_t threads; /* at the last stop */
	uint64_t ticks; /* of the clock, at the end of the stop that put the hooks in */
	size_t hooks;
	unsigned int stops; /* so far, of all threads */
	int64_t stop_ns_longest, stop_ns_total;
	bool settled;     /* no change of state was under way at the patching */
	bool membarrier;  /* as in agent.h */
	bool left_mapped; /* after gt_attach_detach: a thread would not leave the hooks' code; it stays there, unused */
};

/* One line for each thing that can be wrong; then nothing was touched. Takes out what a killed gtrace left. */
int gt_attach_open(pid_t pid, struct gt_attach **out, struct gt_error *err);
void gt_attach_close(struct gt_attach *attach); /* NULL is fine; the process is left as it is */
const struct gt_attach_view *gt_attach_view(const struct gt_attach *attach);

/* @stacks, @sets, @skip_hook: as gt_gohooks_find. @memfd: for gt_shm_config, an empty file that will be @rings_size. */
int gt_attach_map(struct gt_attach *attach, bool stacks, uint32_t sets, const char *skip_hook, uint64_t rings_size,
	int *memfd, struct gt_error *err);

int gt_attach_patch(struct gt_attach *attach, const struct gt_memory *memory, struct gt_error *err);

int gt_attach_goroutines(struct gt_attach *attach, struct gt_goroutine **list, size_t *count, struct gt_error *err);
/* A moment later: leaves out what was not what it seemed. -ESRCH: the process ended, or began another program, while they were read:
 * the list is not whole. */
int gt_attach_goroutines_again(
	struct gt_attach *attach, struct gt_goroutine *list, size_t *count, struct gt_error *err);

/* Where those stand that do not run; what came to pass meanwhile is in the records. */
void gt_attach_stacks(struct gt_attach *attach, struct gt_goroutine *list, size_t count, size_t depth,
	gt_goread_take_fn *take, void *context);

/* -ESRCH when the process is gone, which needs no line. Also undoes a map without a patch. */
int gt_attach_detach(struct gt_attach *attach, struct gt_error *err);

#endif
