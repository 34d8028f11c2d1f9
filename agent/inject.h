/*
 * inject.h - starts a program, stops it before its first instruction, maps memory into it and patches it.
 *
 *   gt_inject_start    fork, PTRACE_SEIZE, execve: stopped on the way out of execve, nothing ran yet
 *   gt_inject_map      the program itself opens and maps two memfds (agent/stub.S)
 *   gt_inject_patch    jumps over the sites, once all that they lead to is in place
 *   gt_inject_release  as if nothing had been: registers, bytes, detach
 *
 * gtrace may be killed at any instant of this: the program then goes on, with hooks that nobody reads or without.
 * Nothing is single-stepped, no breakpoint is set, no signal is made up. All of this on one thread: ptrace
 * belongs to the thread that attached.
 */
#ifndef GT_AGENT_INJECT_H
#define GT_AGENT_INJECT_H

#include "agent/probe.h"
#include "base/error.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

struct gt_start {
	const char *path; /* of the file: no search in PATH here */
	char *const *argv;
	char *const *envp;
	/* What signals the program begins with, when gtrace has changed its own: NULL = as this thread has them. */
	const sigset_t *signal_mask;
	const sigset_t *signals_ignored;               /* these are ignored, all others have their default */
	void (*before_exec)(void *context, pid_t pid); /* the process is there, and does nothing yet; may be NULL */
	void *context;
};

struct gt_program {
	pid_t pid;                     /* 0: none */
	int memory;                    /* /proc/PID/mem */
	uint64_t entry;                /* AT_ENTRY */
	struct user_regs_struct start; /* as execve left them */
	uint64_t stub;                 /* where it stands now; 0: it does not */
	bool attached;
	bool membarrier; /* it is registered for MEMBARRIER_CMD_GLOBAL_EXPEDITED */
	bool ended;      /* before it began */
	int wait_status; /* then */
	bool stopped;    /* at its last stop; false from the attaching to the first one */
};

/* Starts @start->path. @traced: attach and stop it; otherwise it just runs. *@exec_errno: not 0 when it was execve that failed
 * (126 or 127 for the caller), which is also the error returned. */
int gt_inject_start(
	const struct gt_start *start, bool traced, struct gt_program *program, int *exec_errno, struct gt_error *err);

/* Called when the rings' address in the program is known: makes the code for @code_address and gives a sealed memfd. */
typedef int gt_inject_code_fn(void *context, uint64_t rings, uint64_t code_address, int *memfd, struct gt_error *err);

struct gt_inject_maps {
	int rings_memfd;
	uint64_t rings_size;
	uint64_t populate_offset, populate_size; /* this part's pages are mapped at once */
	uint64_t code_size;
	uint64_t text_lo, text_hi; /* in the process: the code must be within reach of a jump */
	gt_inject_code_fn *code;
	void *context;
};

int gt_inject_map(struct gt_program *program, const struct gt_inject_maps *maps, struct gt_error *err);

/* Checks that the bytes at every site are what the file says, then writes the jumps. */
int gt_inject_patch(struct gt_program *program, const struct gt_patch *patches, size_t count, struct gt_error *err);

/* The program runs, unattached. */
int gt_inject_release(struct gt_program *program, struct gt_error *err);

/* Kills a program that has not run yet and waits for its end. Harmless when there is none. One that was killed by somebody else sets
 * ended, and @err (may be NULL) then says that. */
void gt_inject_kill(struct gt_program *program, struct gt_error *err);

#endif
