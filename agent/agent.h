/*
 * agent.h - traces a program: an unmodified Go binary by hooks put in at its start, or one that links libtrace.
 *
 *   gt_agent_open      looks at the file: version, layout, every site. Nothing runs
 *   gt_agent_launch    starts it; when this returns it runs, hooked, and nobody is attached any more
 *   gt_agent_close     the program, if it runs, is not touched
 */
#ifndef GT_AGENT_AGENT_H
#define GT_AGENT_AGENT_H

#include "agent/gohooks.h"
#include "agent/inject.h"
#include "libtrace/shm_create.h"

#define GT_AGENT_SHM_VARIABLE "GTRACE_SHM" /* for a program that links libtrace: what to open */

struct gt_agent;

struct gt_agent_options {
	bool stacks;           /* hooks take stacks, memory->stack_depth frames at most */
	const char *skip_hook; /* leave one hook out, by its name in gohooks.c: for tests; NULL: none */
};

struct gt_agent_started {
	pid_t pid;
	uint64_t slide;        /* address in the process = address in the file + slide */
	uint64_t code_address; /* of the hooks */
	uint64_t code_size;
	size_t hooks;          /* sites that were patched */
	uint64_t setup_ns;     /* from the program's start to its first instruction */
	int exec_errno;        /* not 0: execve failed (ENOENT: 127 for a shell, else 126) */
};

/* -ENOTSUP, -EPROTONOSUPPORT, -EBADMSG, ... with a line: this program cannot be traced. */
int gt_agent_open(
	const char *path, const struct gt_agent_options *options, struct gt_agent **out, struct gt_error *err);
void gt_agent_close(struct gt_agent *agent);

struct gt_gobin *gt_agent_binary(struct gt_agent *agent);
const struct gt_golayout *gt_agent_layout(const struct gt_agent *agent);
const struct gt_gohooks *gt_agent_hooks(const struct gt_agent *agent);

/*
 * Starts the program with its hooks writing into @memory. Sets the memory's text_base and text_end (in the process): a
 * collector that copies them is made afterwards. On any error the program has not run a single
 * instruction and is gone; @started->exec_errno tells when it was execve.
 * One thread calls this from beginning to end.
 */
int gt_agent_launch(struct gt_agent *agent, const struct gt_launch *launch, struct gt_memory *memory,
	struct gt_agent_started *started, struct gt_error *err);

/* Starts a program without hooks. @memory_fd: told to it in GTRACE_SHM as a path, which is good while gtrace lives; -1: none. */
int gt_agent_launch_plain(
	const struct gt_launch *launch, int memory_fd, struct gt_agent_started *started, struct gt_error *err);

#endif
