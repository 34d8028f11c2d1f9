/*
 * goread.h - the goroutines of a running Go process, read from its memory while it runs.
 *
 * Nothing in there is believed: an address may be wrong by the time it is read, a number may be anything. What does not look like a
 * goroutine is left out. Everything is bounded; reads go in batches of a thousand.
 */
#ifndef GT_AGENT_GOREAD_H
#define GT_AGENT_GOREAD_H

#include "agent/golayout.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define GT_GOREAD_MAX  (16u << 20) /* goroutines */
#define GT_GOREAD_NO_M UINT64_MAX

struct gt_goroutine {
	uint64_t g, parent;
	uint64_t start_pc, site_pc; /* run-time addresses; site_pc is a return address, 0 unknown */
	uint64_t address;           /* of its struct */
	uint64_t m;                 /* id of the M it is on; GT_GOREAD_NO_M */
	uint64_t p;                 /* that M's P + 1; 0 none */
	uint32_t stack;             /* of gt_goread_stacks; 0 unknown */
	uint8_t state;              /* enum gt_state */
	uint8_t reason;             /* enum gt_reason, while it waits */
	bool fresh;                 /* it has not run yet: its creation may still be under way */
};

/* Link-time address of runtime.allgs, from the code of runtime.allgadd: stripped programs have it too. */
int gt_goread_find(const struct gt_gobin *bin, uint64_t *allgs, struct gt_error *err);

struct gt_goread {
	pid_t pid;
	uint64_t allgs; /* run-time address */
	const struct gt_golayout *layout;
	size_t count_max;                 /* as allgs has them, which never shrinks; 0: GT_GOREAD_MAX */
	void (*meanwhile)(void *context); /* NULL, or called now and then while much is read */
	void *context;
};

/* All that live; of a process that ends meanwhile some may be missing. *@out to free(). -E2BIG: more than count_max. */
int gt_goread_all(const struct gt_goread *read, struct gt_goroutine **out, size_t *count, struct gt_error *err);

/*
 * Leaves out those that another goroutine has replaced meanwhile; *@count is how many are left. -ESRCH: the process has ended, and
 * nobody knows who is missing from the list: events of goroutines that are not told of would contradict the trace.
 */
int gt_goread_again(const struct gt_goread *read, struct gt_goroutine *list, size_t *count, struct gt_error *err);

/*
 * Where those stand that do not run: return addresses, innermost first, by frame pointers. @take gets each, and its answer goes into
 * the goroutine's `stack`. Only of one that stood still from before its stack was read until after; but that it went on and came back
 * to the same place meanwhile is for the caller to know.
 */
typedef uint32_t gt_goread_take_fn(void *context, const uint64_t *pcs, size_t count);
void gt_goread_stacks(const struct gt_goread *read, struct gt_goroutine *list, size_t count, size_t depth,
	gt_goread_take_fn *take, void *context);

/* The id of the M that runs on thread @tid, whose thread-local storage ends at @fs_base. */
uint64_t gt_goread_m_of_thread(const struct gt_goread *read, pid_t tid, uint64_t fs_base);
/* Where the Go stack ends that a stopped thread's stack pointer lies in: its M's g0's, gsignal's, or that of the goroutine on it. 0: it lies in
 * none of them (C code's own stack, a thread without an M). */
uint64_t gt_goread_stack_end(pid_t pid, const struct gt_golayout *layout, uint64_t fs_base, uint64_t sp);

#endif
