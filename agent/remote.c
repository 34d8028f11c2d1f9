/* remote.c - makes a thread do system calls and go on as if nothing had been. */
#include "agent/remote.h"

#include "agent/call.h"
#include "agent/process.h"

#include <errno.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define SYSCALL_STOP (SIGTRAP | 0x80)
#define CALL_NS      5000000000 /* none of the calls made here takes so long */

/* The kernel's own numbers, which no program sees: the call is to be begun anew. */
#define RESTART_SYS   512
#define RESTART_NOINT 513
#define RESTART_NOHND 514
#define RESTART_BLOCK 516

size_t gt_remote_stub_bytes(void)
{
	return (size_t)(gt__call_end - gt__call);
}

/* What the kernel makes of an interrupted call on the way back to a program that no signal was for. */
static void begin_call_anew(struct user_regs_struct *regs)
{
	if ((int64_t)regs->orig_rax < 0)
		return;
	switch (-(int64_t)regs->rax) {
	case RESTART_SYS:
	case RESTART_NOINT:
	case RESTART_NOHND:
		regs->rax = regs->orig_rax;
		regs->rip -= 2;
		break;
	case RESTART_BLOCK:
		regs->rax = SYS_restart_syscall;
		regs->rip -= 2;
		break;
	default:
		break;
	}
	regs->orig_rax = (unsigned long long)-1;
}

static void fill_data(const struct gt_remote *remote, struct gt__call_data *data)
{
	const struct user_regs_struct *regs = &remote->back;

	*data = (struct gt__call_data){
		.mask = remote->mask,
		.rax = regs->rax,
		.rbx = regs->rbx,
		.rcx = regs->rcx,
		.rdx = regs->rdx,
		.rsi = regs->rsi,
		.rdi = regs->rdi,
		.rbp = regs->rbp,
		.rsp = regs->rsp,
		.r8 = regs->r8,
		.r9 = regs->r9,
		.r10 = regs->r10,
		.r11 = regs->r11,
		.r12 = regs->r12,
		.r13 = regs->r13,
		.r14 = regs->r14,
		.r15 = regs->r15,
		.rip = regs->rip,
		.flags = (uint8_t)(regs->eflags & 0xd5),
		.overflow = regs->eflags >> 11 & 1,
		.direction = regs->eflags >> 10 & 1,
	};
}

static int cannot(struct gt_remote *remote, const char *what, struct gt_error *err)
{
	int code = errno;

	remote->lost = true;
	return gt_fail(err, code, "cannot %s thread %d: %s", what, (int)remote->thread->tid, strerror(code));
}

int gt_remote_begin(struct gt_remote *remote, struct gt_thread *thread, int memory, uint64_t stub,
	const uint8_t *original, struct gt_error *err)
{
	uint64_t all = ~0ull;
	uint8_t bytes[1024];
	struct gt__call_data data;
	int ret;

	memset(remote, 0, sizeof(*remote));
	remote->thread = thread;
	remote->memory = memory;
	remote->stub = stub;
	remote->original = original;
	remote->back = thread->regs;
	begin_call_anew(&remote->back);
	if (gt_remote_stub_bytes() > sizeof(bytes))
		return gt_fail(err, ENOSPC, "the stub is too big");
	if (ptrace(PTRACE_GETSIGMASK, thread->tid, (void *)sizeof(remote->mask), &remote->mask) < 0)
		return cannot(remote, "read the signal mask of", err);
	fill_data(remote, &data);
	memcpy(bytes, gt__call, gt_remote_stub_bytes());
	memcpy(bytes + (gt__call_data - gt__call), &data, sizeof(data));
	ret = gt__memory_write(memory, thread->tid, stub, bytes, gt_remote_stub_bytes());
	if (ret < 0)
		return gt_fail(err, -ret, "cannot write into the program: %s", strerror(-ret));
	/* From here on it would come back by itself: first the registers, then the mask that the stub puts back. */
	remote->work = thread->regs;
	remote->work.eflags &= ~0x400ull;
	remote->work.rip = stub + (uint64_t)(gt__call_plain - gt__call);
	remote->work.rax = SYS_getpid;
	remote->work.orig_rax = (unsigned long long)-1;
	if (ptrace(PTRACE_SETREGS, thread->tid, NULL, &remote->work) < 0)
		return cannot(remote, "set the registers of", err);
	if (ptrace(PTRACE_SETSIGMASK, thread->tid, (void *)sizeof(all), &all) < 0)
		return cannot(remote, "set the signal mask of", err);
	return 0;
}

/* Runs to the begin or the end of a call. */
static int run_to_call(struct gt_remote *remote, struct gt_error *err)
{
	for (;;) {
		int status, ret;

		if (ptrace(PTRACE_SYSCALL, remote->thread->tid, NULL, NULL) < 0)
			return cannot(remote, "continue", err);
		ret = gt_threads_wait(remote->thread->tid, CALL_NS, &status);
		if (ret < 0 || !WIFSTOPPED(status)) {
			remote->lost = true;
			remote->thread->gone = ret != -ETIMEDOUT;
			remote->thread->stopped = false;
			return gt_fail(err, ESRCH, "the process ended, or is stuck in the kernel");
		}
		if (status >> 16 == 0 && WSTOPSIG(status) == SYSCALL_STOP)
			return 0;
		if (status >> 16 == 0)
			return gt_fail(err, EFAULT, "the process met signal %d in a call for gtrace", WSTOPSIG(status));
		/* A stop of job control: the thread stops again when it is let go. */
	}
}

int64_t gt_remote_call(struct gt_remote *remote, enum gt_remote_call how, uint64_t number, const uint64_t arguments[6],
	bool *failed, struct gt_error *err)
{
	const uint8_t *at = how == GT_REMOTE_DESCRIPTOR ? gt__call_descriptor
			    : how == GT_REMOTE_WITH     ? gt__call_with
							: gt__call_plain;
	struct user_regs_struct regs = remote->work;

	*failed = true;
	regs.rip = remote->stub + (uint64_t)(at - gt__call);
	regs.rax = number;
	regs.orig_rax = (unsigned long long)-1;
	regs.rdi = arguments[0];
	regs.rsi = arguments[1];
	regs.rdx = arguments[2];
	regs.r10 = arguments[3];
	regs.r8 = arguments[4];
	regs.r9 = arguments[5];
	if (remote->lost)
		return gt_fail(err, ESRCH, "the process ended");
	if (ptrace(PTRACE_SETREGS, remote->thread->tid, NULL, &regs) < 0)
		return cannot(remote, "set the registers of", err);
	for (int half = 0; half < 2; half++) {
		int ret = run_to_call(remote, err);

		if (ret < 0)
			return ret;
	}
	if (ptrace(PTRACE_GETREGS, remote->thread->tid, NULL, &regs) < 0)
		return cannot(remote, "read the registers of", err);
	if (regs.orig_rax != number)
		return gt_fail(
			err, EIO, "the process made call %lld where %d was due", (long long)regs.orig_rax, (int)number);
	if (how == GT_REMOTE_DESCRIPTOR)
		remote->work.rbx = regs.rax;
	*failed = false;
	return (int64_t)regs.rax;
}

int gt_remote_end(struct gt_remote *remote, struct gt_error *err)
{
	int ret;

	if (remote->lost)
		return gt_fail(err, ESRCH, "the process ended");
	/* The mask first: should gtrace die here, the stub still puts the rest back. */
	if (ptrace(PTRACE_SETSIGMASK, remote->thread->tid, (void *)sizeof(remote->mask), &remote->mask) < 0)
		return cannot(remote, "set the signal mask of", err);
	if (ptrace(PTRACE_SETREGS, remote->thread->tid, NULL, &remote->back) < 0)
		return cannot(remote, "set the registers of", err);
	ret = gt__memory_write(
		remote->memory, remote->thread->tid, remote->stub, remote->original, gt_remote_stub_bytes());
	return ret < 0 ? gt_fail(err, -ret, "cannot write into the program: %s", strerror(-ret)) : 0;
}
