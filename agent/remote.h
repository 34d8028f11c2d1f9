/*
 * remote.h - one stopped thread of a process makes system calls for gtrace.
 *
 * gt_remote_begin writes the stub (call.S) over code that has done its work and takes the thread there; gt_remote_end puts
 * its registers, its signal mask and those bytes back. A call that the stop interrupted is begun anew, as the kernel would.
 * The thread takes no signal meanwhile: they wait for it. Should gtrace die at any instant, the thread itself puts everything back.
 */
#ifndef GT_AGENT_REMOTE_H
#define GT_AGENT_REMOTE_H

#include "agent/threads.h"

struct gt_remote {
	struct gt_thread *thread;
	int memory; /* /proc/PID/mem */
	uint64_t stub;
	const uint8_t *original; /* its bytes without us */
	uint64_t mask;
	struct user_regs_struct back; /* what the thread goes on with */
	struct user_regs_struct work;
	bool lost; /* the thread is gone, or does not do what it is told */
};

enum gt_remote_call {
	GT_REMOTE_PLAIN,
	GT_REMOTE_DESCRIPTOR, /* gives a descriptor: closed by the thread itself when gtrace dies */
	GT_REMOTE_WITH,       /* while that descriptor is open */
};

size_t gt_remote_stub_bytes(void);

/* @thread stands and is plain. @stub: gt_remote_stub_bytes() of code that never run (again), and in which no thread is;
 * @original: what they are without us. */
int gt_remote_begin(struct gt_remote *remote, struct gt_thread *thread, int memory, uint64_t stub,
	const uint8_t *original, struct gt_error *err);

/* The call's result, which may be -errno; *@failed and @err tell when it could not be made at all. */
int64_t gt_remote_call(struct gt_remote *remote, enum gt_remote_call how, uint64_t number, const uint64_t arguments[6],
	bool *failed, struct gt_error *err);

int gt_remote_end(struct gt_remote *remote, struct gt_error *err);

#endif
