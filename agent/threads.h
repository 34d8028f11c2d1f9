/*
 * threads.h - all threads of a running process stopped at once, and let go again.
 *
 *   gt_threads_stop     PTRACE_SEIZE and PTRACE_INTERRUPT for each, until no new one is found and all stand
 *   gt_threads_go       PTRACE_DETACH: each goes on as it would have, with the signal it was about to be given
 *
 * A thread that stands at the delivery of a signal gets that signal when it goes on, once. A process that job control has stopped
 * stays so. Should gtrace die in between, the kernel does what gt_threads_go does.
 * One thread calls all this; SIGCHLD must be blocked in it, and not ignored. SIGALRM and ITIMER_REAL are used while threads are sought.
 */
#ifndef GT_AGENT_THREADS_H
#define GT_AGENT_THREADS_H

#include "base/error.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

struct gt_thread {
	pid_t tid;
	bool stopped;
	bool gone;
	bool plain; /* stopped by us alone, no signal is on its way: may be made to do something */
	int signal; /* it stands at the delivery of this one; 0 none */
	struct user_regs_struct regs;
};

struct gt_threads {
	pid_t pid;
	struct gt_thread *list;
	size_t count, room;
	int64_t begin_ns; /* of the stop */
	int64_t stop_ns;  /* how long the last stop took, from the first request to the last thread's going on */
	bool ended;       /* the process is gone, or another program runs in it */
	struct sigaction alarm_before;
};

/* -EAGAIN: some thread does not come out of the kernel within @limit_ns (a vfork, a dead disk); nothing is stopped then.
 * -ESRCH: the process is gone. -EPERM, -EBUSY with a line: not allowed, or somebody else traces it. */
int gt_threads_stop(struct gt_threads *threads, int64_t limit_ns, struct gt_error *err);

/* The same for one of its threads, which is then the only one of the list. */
int gt_threads_stop_one(struct gt_threads *threads, pid_t tid, int64_t limit_ns, struct gt_error *err);

void gt_threads_go(struct gt_threads *threads);
void gt_threads_free(struct gt_threads *threads);

/* Waits for the next stop of a thread that was continued: its status as of waitpid, or -errno (-ETIMEDOUT). */
int gt_threads_wait(pid_t tid, int64_t limit_ns, int *status);

#endif
