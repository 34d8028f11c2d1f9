/* inject.c - starts a program under ptrace and puts memory and jumps into it. */
#include "agent/inject.h"

#include "agent/process.h"
#include "agent/stub.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SYSCALL_STOP (SIGTRAP | 0x80)

/* ---- start ---- */

struct child_pipes {
	int go[2];     /* a byte: you are attached, go on */
	int failed[2]; /* errno of execve; closed by its success */
};

static int full_pipe(int fds[2])
{
	return pipe2(fds, O_CLOEXEC) < 0 ? -errno : 0;
}

static void close_pair(int fds[2])
{
	for (int i = 0; i < 2; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static void restore_signals(const struct gt_start *start)
{
	if (start->signals_ignored) {
		struct sigaction action;

		memset(&action, 0, sizeof(action));
		for (int signal = 1; signal < NSIG; signal++) {
			action.sa_handler = sigismember(start->signals_ignored, signal) == 1 ? SIG_IGN : SIG_DFL;
			sigaction(signal, &action, NULL); /* fails for KILL, STOP and libc's own */
		}
	}
	if (start->signal_mask)
		sigprocmask(SIG_SETMASK, start->signal_mask, NULL);
}

/* Between fork and exec: only what a signal handler may call. */
static void __attribute__((noreturn)) child(const struct gt_start *start, const struct child_pipes *pipes)
{
	char byte;
	int code;

	close(pipes->go[1]);
	while (read(pipes->go[0], &byte, 1) != 1)
		if (errno != EINTR)
			_exit(127); /* gtrace is gone: nothing was started yet */
	restore_signals(start);
	execve(start->path, start->argv, start->envp);
	code = errno;
	while (write(pipes->failed[1], &code, sizeof(code)) < 0 && errno == EINTR)
		;
	_exit(127);
}

/* waitpid that a signal does not end. */
static int wait_for(pid_t pid, int *status)
{
	pid_t got;

	do
		got = waitpid(pid, status, __WALL);
	while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : 0;
}

static int program_ended(struct gt_program *program, int status, struct gt_error *err)
{
	program->pid = 0;
	program->attached = false;
	program->ended = true;
	program->wait_status = status;
	if (WIFSIGNALED(status))
		return gt_fail(err, ECHILD, "the program was ended by signal %d before it began", WTERMSIG(status));
	return gt_fail(err, ECHILD, "the program ended with status %d before it began", WEXITSTATUS(status));
}

/*
 * Lets the program run to its next stop of the kind wanted: the event @event, or a system call's entry or exit (0). Signals and
 * job control on the way go where they would have gone.
 */
static int run_to(struct gt_program *program, int event, struct gt_error *err)
{
	int request = event ? PTRACE_CONT : PTRACE_SYSCALL;
	int signal = 0;

	for (;;) {
		int status, ret, stop;

		/* One that runs already may have come to the wanted stop by now: this would send it on. */
		if (program->stopped && ptrace(request, program->pid, NULL, (void *)(long)signal) < 0 && errno != ESRCH)
			return gt_fail(err, errno, "cannot continue the program: ptrace: %s", strerror(errno));
		ret = wait_for(program->pid, &status);
		if (ret < 0)
			return gt_fail(err, -ret, "cannot wait for the program: %s", strerror(-ret));
		if (!WIFSTOPPED(status))
			return program_ended(program, status, err);
		program->stopped = true;
		request = event ? PTRACE_CONT : PTRACE_SYSCALL;
		signal = 0;
		stop = status >> 16;
		if (stop == PTRACE_EVENT_STOP) {
			/* SIGTRAP: it goes on after a stop. Others: a stop of job control, which lasts until SIGCONT. */
			if (WSTOPSIG(status) != SIGTRAP)
				request = PTRACE_LISTEN;
		} else if (stop) {
			if (stop == event)
				return 0;
		} else if (WSTOPSIG(status) == SYSCALL_STOP) {
			if (!event)
				return 0;
		} else {
			signal = WSTOPSIG(status);
		}
	}
}

/* execve's own error, sent by the child; 0 when there is none. */
static int exec_failed(int fd)
{
	int code = 0;
	ssize_t got;

	do
		got = read(fd, &code, sizeof(code));
	while (got < 0 && errno == EINTR);
	return got == (ssize_t)sizeof(code) ? code : 0;
}

static int open_memory(struct gt_program *program, struct gt_error *err)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/mem", (int)program->pid);
	program->memory = open(path, O_RDWR | O_CLOEXEC);
	if (program->memory < 0)
		return gt_fail(err, errno, "cannot open %s: %s", path, strerror(errno));
	program->entry = gt__entry_of(program->pid);
	return program->entry ? 0 : gt_fail(err, EIO, "process %d has no entry address", (int)program->pid);
}

/* From the stop inside execve to the one at its end, where all registers may be set. */
static int stop_at_start(struct gt_program *program, struct gt_error *err)
{
	int ret = run_to(program, 0, err);

	if (ret < 0)
		return ret;
	if (ptrace(PTRACE_GETREGS, program->pid, NULL, &program->start) < 0)
		return gt_fail(err, errno, "cannot read the program's registers: %s", strerror(errno));
	return open_memory(program, err);
}

static int attach(struct gt_program *program, struct gt_error *err)
{
	if (ptrace(PTRACE_SEIZE, program->pid, NULL, (void *)(long)(PTRACE_O_TRACEEXEC | PTRACE_O_TRACESYSGOOD)) < 0) {
		int code = errno;

		return gt_fail(err, code,
			"cannot trace the program: ptrace: %s: is it under strace, a debugger or a sandbox (or "
			"kernel.yama.ptrace_scope above 1)?",
			strerror(code));
	}
	program->attached = true;
	return 0;
}

static int begin(const struct gt_start *start, bool traced, struct child_pipes *pipes, struct gt_program *program,
	int *exec_errno, struct gt_error *err)
{
	int ret = 0;

	program->pid = fork();
	if (program->pid < 0) {
		ret = errno;
		program->pid = 0;
		return gt_fail(err, ret, "cannot start a process: %s", strerror(ret));
	}
	if (program->pid == 0)
		child(start, pipes);
	close(pipes->failed[1]);
	pipes->failed[1] = -1;
	if (traced)
		ret = attach(program, err);
	if (ret < 0)
		return ret;
	if (start->before_exec)
		start->before_exec(start->context, program->pid);
	if (write(pipes->go[1], "", 1) != 1)
		return gt_fail(err, errno, "cannot start the program: %s", strerror(errno));
	if (traced) {
		struct gt_error ended;

		ret = run_to(program, PTRACE_EVENT_EXEC, &ended);
		if (ret >= 0)
			return stop_at_start(program, err);
		if (err)
			*err = ended;
	}
	*exec_errno = exec_failed(pipes->failed[0]);
	if (*exec_errno) {
		program->ended = false;
		return gt_fail(err, *exec_errno, "cannot run %s: %s", start->path, strerror(*exec_errno));
	}
	return ret;
}

int gt_inject_start(
	const struct gt_start *start, bool traced, struct gt_program *program, int *exec_errno, struct gt_error *err)
{
	struct child_pipes pipes = {{-1, -1}, {-1, -1}};
	int ret;

	memset(program, 0, sizeof(*program));
	program->memory = -1;
	*exec_errno = 0;
	ret = full_pipe(pipes.go);
	if (ret >= 0)
		ret = full_pipe(pipes.failed);
	if (ret < 0)
		gt_fail(err, -ret, "cannot make a pipe: %s", strerror(-ret));
	else
		ret = begin(start, traced, &pipes, program, exec_errno, err);
	close_pair(pipes.go);
	close_pair(pipes.failed);
	if (ret < 0)
		gt_inject_kill(program, err);
	return ret;
}

/* ---- memory of the program ---- */

static int read_memory(const struct gt_program *program, uint64_t address, void *to, size_t size)
{
	return gt__memory_read(program->memory, address, to, size);
}

static int write_memory(const struct gt_program *program, uint64_t address, const void *bytes, size_t size)
{
	return gt__memory_write(program->memory, program->pid, address, bytes, size);
}

/* ---- the stub's calls ---- */

/* Runs to the end of the stub's next call, which must be @number. */
static int pass_call(struct gt_program *program, uint64_t number, int64_t *result, struct gt_error *err)
{
	struct user_regs_struct regs;

	for (int half = 0; half < 2; half++) {
		int ret = run_to(program, 0, err);

		if (ret < 0)
			return ret;
	}
	if (ptrace(PTRACE_GETREGS, program->pid, NULL, &regs) < 0)
		return gt_fail(err, errno, "cannot read the program's registers: %s", strerror(errno));
	if (regs.orig_rax != number)
		return gt_fail(
			err, EIO, "the program made call %lld where %d was due", (long long)regs.orig_rax, (int)number);
	*result = (int64_t)regs.rax;
	return 0;
}

/* The same, and it must have worked. */
static int finish_call(
	struct gt_program *program, uint64_t number, const char *what, int64_t *result, struct gt_error *err)
{
	int ret = pass_call(program, number, result, err);

	if (ret < 0)
		return ret;
	if (*result < 0 && *result >= -4095)
		return gt_fail(err, (int)-*result, "the program could not %s: %s", what, strerror((int)-*result));
	return 0;
}

static void name_descriptor(char *path, int fd)
{
	snprintf(path, GT_STUB_PATH_BYTES, "/proc/%d/fd/%d", (int)getpid(), fd);
}

static int put_stub(struct gt_program *program, uint64_t place, const struct gt__stub_data *data, struct gt_error *err)
{
	struct user_regs_struct regs = program->start;
	uint8_t bytes[1024];
	size_t size = (size_t)(gt__stub_end - gt__stub);
	int ret;

	if (size > sizeof(bytes))
		return gt_fail(err, ENOSPC, "the stub is too big");
	memcpy(bytes, gt__stub, size);
	memcpy(bytes + (gt__stub_data - gt__stub), data, sizeof(*data));
	ret = write_memory(program, place, bytes, size);
	if (ret < 0)
		return gt_fail(err, -ret, "cannot write into the program: %s", strerror(-ret));
	program->stub = place;
	regs.rip = place;
	regs.orig_rax = (unsigned long long)-1;
	if (ptrace(PTRACE_SETREGS, program->pid, NULL, &regs) < 0)
		return gt_fail(err, errno, "cannot set the program's registers: %s", strerror(errno));
	return 0;
}

static int place_code(
	const struct gt_program *program, const struct gt_inject_maps *maps, uint64_t *place, struct gt_error *err)
{
	struct gt__mapping *mappings;
	size_t count;
	int ret = gt__mappings_read(program->pid, &mappings, &count, err);

	if (ret < 0)
		return ret;
	ret = gt__near_find(mappings, count, maps->text_lo, maps->text_hi, maps->code_size, place, err);
	free(mappings);
	return ret;
}

static int run_stub(struct gt_program *program, const struct gt_inject_maps *maps, struct gt__stub_data *data,
	int *code_memfd, struct gt_error *err)
{
	uint64_t data_at = program->stub + (uint64_t)(gt__stub_data - gt__stub);
	int64_t result;
	uint64_t rings;
	int ret;

	ret = finish_call(program, SYS_open, "open gtrace's shared memory", &result, err);
	if (ret >= 0)
		ret = finish_call(program, SYS_mmap, "map gtrace's shared memory", &result, err);
	if (ret < 0)
		return ret;
	rings = (uint64_t)result;
	/* Not before: the kernel may have put the rings beside the program's code (a static PIE lies where mmap does). */
	ret = place_code(program, maps, &data->code_address, err);
	if (ret >= 0)
		ret = maps->code(maps->context, rings, data->code_address, code_memfd, err);
	if (ret < 0)
		return ret;
	name_descriptor(data->code_path, *code_memfd);
	ret = write_memory(program, data_at, data, sizeof(*data));
	if (ret < 0)
		return gt_fail(err, -ret, "cannot write into the program: %s", strerror(-ret));
	ret = finish_call(program, SYS_close, "close gtrace's shared memory", &result, err);
	if (ret >= 0)
		ret = pass_call(program, SYS_madvise, &result, err);
	if (ret >= 0)
		ret = pass_call(program, SYS_membarrier, &result, err);
	program->membarrier = ret >= 0 && result == 0;
	if (ret >= 0)
		ret = finish_call(program, SYS_open, "open the hooks' code", &result, err);
	if (ret >= 0)
		ret = finish_call(program, SYS_mmap, "map the hooks' code", &result, err);
	if (ret >= 0 && (uint64_t)result != data->code_address)
		ret = gt_fail(
			err, EEXIST, "the hooks' code was mapped elsewhere: this kernel is too old (before 4.17)");
	if (ret >= 0)
		ret = finish_call(program, SYS_close, "close the hooks' code", &result, err);
	return ret;
}

int gt_inject_map(struct gt_program *program, const struct gt_inject_maps *maps, struct gt_error *err)
{
	struct gt__stub_data data = {
		.resume = program->start.rip,
		.code_size = maps->code_size,
		.rings_size = maps->rings_size,
		.populate_offset = maps->populate_offset,
		.populate_size = maps->populate_size,
	};
	struct gt__mapping *mappings;
	int code_memfd = -1;
	uint64_t place = 0;
	size_t count = 0;
	int ret = gt__mappings_read(program->pid, &mappings, &count, err);

	if (ret < 0)
		return ret;
	ret = gt__zeros_find(program->memory, mappings, count, (size_t)(gt__stub_end - gt__stub), &place, err);
	free(mappings);
	name_descriptor(data.rings_path, maps->rings_memfd);
	if (ret >= 0)
		ret = put_stub(program, place, &data, err);
	if (ret >= 0)
		ret = run_stub(program, maps, &data, &code_memfd, err);
	if (code_memfd >= 0)
		close(code_memfd);
	return ret;
}

/* ---- patches and the end ---- */

int gt_inject_patch(struct gt_program *program, const struct gt_patch *patches, size_t count, struct gt_error *err)
{
	for (size_t i = 0; i < count; i++) {
		uint8_t found[GT_SITE_WINDOW_MAX];
		int ret = read_memory(program, patches[i].address, found, patches[i].original_size);

		if (ret < 0)
			return gt_fail(err, -ret, "cannot read the program's code at 0x%" PRIx64 ": %s",
				patches[i].address, strerror(-ret));
		if (memcmp(found, patches[i].original, patches[i].original_size))
			return gt_fail(err, EBADMSG,
				"the program's code at 0x%" PRIx64 " is not what its file says: was the file changed?",
				patches[i].address);
	}
	for (size_t i = 0; i < count; i++) {
		int ret = write_memory(program, patches[i].address, patches[i].bytes, sizeof(patches[i].bytes));

		if (ret < 0)
			return gt_fail(err, -ret, "cannot patch the program: %s", strerror(-ret));
	}
	return 0;
}

int gt_inject_release(struct gt_program *program, struct gt_error *err)
{
	int ret = 0;

	program->start.orig_rax = (unsigned long long)-1; /* no call is under way: nothing to restart */
	if (ptrace(PTRACE_SETREGS, program->pid, NULL, &program->start) < 0)
		return gt_fail(err, errno, "cannot set the program's registers: %s", strerror(errno));
	if (program->stub) {
		static const uint8_t zeros[1024];

		ret = write_memory(program, program->stub, zeros, (size_t)(gt__stub_end - gt__stub));
		program->stub = 0;
	}
	if (ret < 0)
		return gt_fail(err, -ret, "cannot write into the program: %s", strerror(-ret));
	if (ptrace(PTRACE_DETACH, program->pid, NULL, NULL) < 0)
		return gt_fail(err, errno, "cannot detach from the program: %s", strerror(errno));
	program->attached = false;
	close(program->memory);
	program->memory = -1;
	return 0;
}

/* Somebody killed it: then whatever failed failed because of that. SIGKILL takes its time. */
static bool was_killed(struct gt_program *program, struct gt_error *err)
{
	const struct timespec nap = {.tv_nsec = 1000000};
	int status;

	for (int tries = 0; tries < 20; tries++) {
		if (waitpid(program->pid, &status, WNOHANG | __WALL) == program->pid && !WIFSTOPPED(status)) {
			/* One that was told not to begin ends by itself: the failure is what it was. */
			program_ended(program, status, WIFSIGNALED(status) ? err : NULL);
			program->ended = WIFSIGNALED(status);
			return true;
		}
		nanosleep(&nap, NULL);
	}
	return false;
}

void gt_inject_kill(struct gt_program *program, struct gt_error *err)
{
	int status;

	if (program->memory >= 0)
		close(program->memory);
	program->memory = -1;
	if (program->pid <= 0 || was_killed(program, err))
		return;
	kill(program->pid, SIGKILL);
	while (wait_for(program->pid, &status) == 0 && WIFSTOPPED(status))
		;
	program->pid = 0;
	program->attached = false;
}
