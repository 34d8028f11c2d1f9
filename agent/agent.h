/*
 * agent.h - starts a program that writes its events into a shared memory: an unmodified Go binary, by hooks put in at its
 * start, or a program that links libtrace, which is told where the memory is.
 *
 * When gt_agent_launch returns the program runs and nobody is attached to it any more.
 */
#ifndef GT_AGENT_AGENT_H
#define GT_AGENT_AGENT_H

#include "agent/gohooks.h"
#include "libtrace/shm_create.h"

#include <signal.h>
#include <sys/types.h>

/* What a program that links libtrace opens; good while gtrace lives. */
#define GT_AGENT_SHM_VARIABLE "GTRACE_SHM"

struct gt_agent_launch {
	const char *path; /* of the file: no search in PATH here */
	char *const *argv;
	char *const *envp;
	const sigset_t *mask;    /* the program's blocked signals; NULL: as this thread's */
	const sigset_t *ignored; /* signals it ignores, all others at their default; NULL: as this process has them */

	struct gt_gobin *bin;             /* what gt_gobin_open made of @path; not needed without layout */
	const struct gt_golayout *layout; /* found and verified; NULL: it links libtrace, or is not traced at all */
	uint32_t sets;                    /* enum gt_set: whose hooks are put in; sched always */
	struct gt_memory *memory;         /* NULL: not traced. Its text_base and text_end are link-time addresses;
	                                    stacks are taken when it has room for them */
	void (*before_exec)(void *context, pid_t pid); /* the process is there, and does nothing yet; may be NULL */
	void *context;
	const char *skip_hook; /* for tests: a function of gohooks.c that is not hooked; NULL */
};

struct gt_agent_result {
	pid_t pid;
	bool exec_failed;      /* the error returned is execve's own */
	bool ended;            /* the error is that it ended during the start, by a signal from elsewhere, say: */
	int wait_status;       /* as of waitpid */
	uint64_t slide;        /* address in the process = address in the file + slide */
	uint64_t code_address; /* of the hooks, in the process */
	uint64_t code_size;
	size_t hooks;    /* sites that were patched */
	bool membarrier; /* gtrace's membarrier reaches the program: blocks of idle Ms may be stolen (never without) */
	const char *missing[GT_GOHOOKS_MAX]; /* functions that this program does not have and can do without */
	size_t missing_count;
	uint64_t setup_ns; /* from fork to the program's first instruction */
};

/* On any error the program has not run one instruction, and is gone. One thread calls this from beginning to end. */
int gt_agent_launch(const struct gt_agent_launch *launch, struct gt_agent_result *result, struct gt_error *err);

#endif
