/*
 * refuse.c - runs a program in which some system calls fail: refuse ptrace,io_uring_setup=ENOSYS PROG ARG...
 *
 *   CALL=ERRNO   by name; EPERM where none is given
 *   CALL=kill    the program is ended; CALL=unknown: by an action that no kernel knows
 *   perf_event_open=old   as a kernel of 2020 answers: what Linux 5.12, 5.13 and 6.0 brought is EINVAL
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct {
	const char *name;
	long number;
} calls[] = {
	{"ptrace", SYS_ptrace},
	{"io_uring_setup", SYS_io_uring_setup},
	{"memfd_create", SYS_memfd_create},
	{"perf_event_open", SYS_perf_event_open},
	{"process_vm_writev", SYS_process_vm_writev},
	{"membarrier", SYS_membarrier},
	{"mbind", SYS_mbind},
};

static const struct {
	const char *name;
	unsigned int number;
} errors[] = {{"EPERM", EPERM}, {"EACCES", EACCES}, {"ENOSYS", ENOSYS}, {"EMFILE", EMFILE}, {"EINVAL", EINVAL}};

static int filter(long number, unsigned int action, unsigned int flags)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, action),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};
	int fd;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
		(fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program)) < 0) {
		perror("refuse: seccomp");
		exit(77);
	}
	return fd;
}

/* What newer kernels know: read_format LOST; build_id and inherit_thread, bits 34 and 35 of the flags. */
static int knows_newer(int pid, uint64_t address)
{
	uint64_t read_format = 0, bits = 0;
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return 0;
	if (pread(fd, &read_format, 8, (off_t)(address + offsetof(struct perf_event_attr, read_format))) != 8 ||
		pread(fd, &bits, 8, (off_t)(address + offsetof(struct perf_event_attr, read_format) + 8)) != 8)
		bits = 0;
	close(fd);
	return (read_format & 16) || (bits >> 34 & 3);
}

static void answer(int listener)
{
	struct seccomp_notif call;
	struct seccomp_notif_resp reply;

	for (;;) {
		memset(&call, 0, sizeof(call));
		memset(&reply, 0, sizeof(reply));
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) < 0) {
			if (errno == EINTR)
				continue;
			_exit(0);
		}
		reply.id = call.id;
		if (knows_newer((int)call.pid, call.data.args[0]))
			reply.error = -EINVAL;
		else
			reply.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &reply) < 0 && errno != ENOENT)
			_exit(1);
	}
}

/* The filter is ours, the one who answers is a child that has none. */
static void grow_old(void)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	char byte = 0;
	struct iovec data = {&byte, 1};
	struct msghdr message = {.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes)};
	int pair[2], listener;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		exit(77);
	if (fork() == 0) {
		close(pair[1]);
		/* Not what the program's reader waits for to end. */
		close(0);
		close(1);
		close(2);
		if (recvmsg(pair[0], &message, 0) <= 0)
			_exit(1);
		memcpy(&listener, CMSG_DATA(&control.header), sizeof(listener));
		close(pair[0]);
		answer(listener);
	}
	close(pair[0]);
	listener = filter(SYS_perf_event_open, SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER);
	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.header), &listener, sizeof(listener));
	if (sendmsg(pair[1], &message, 0) != 1)
		exit(77);
	close(pair[1]);
	close(listener);
}

static int refuse(char *what)
{
	char *how = strchr(what, '=');
	size_t i = 0, error = 0;

	if (how)
		*how++ = 0;
	while (i < sizeof(calls) / sizeof(calls[0]) && strcmp(calls[i].name, what) != 0)
		i++;
	if (i == sizeof(calls) / sizeof(calls[0])) {
		fprintf(stderr, "refuse: %s is not in the list\n", what);
		return 2;
	}
	if (how && strcmp(how, "old") == 0 && calls[i].number == SYS_perf_event_open) {
		grow_old();
		return 0;
	}
	if (how && strcmp(how, "kill") == 0) {
		filter(calls[i].number, SECCOMP_RET_KILL_PROCESS, 0);
		return 0;
	}
	if (how && strcmp(how, "unknown") == 0) { /* an action that no kernel knows ends the program, too */
		filter(calls[i].number, 0x12340000, 0);
		return 0;
	}
	while (how && error < sizeof(errors) / sizeof(errors[0]) && strcmp(errors[error].name, how) != 0)
		error++;
	if (error == sizeof(errors) / sizeof(errors[0])) {
		fprintf(stderr, "refuse: %s is not in the list\n", how);
		return 2;
	}
	filter(calls[i].number, SECCOMP_RET_ERRNO | errors[error].number, 0);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	for (char *what = strtok(argv[1], ","); what; what = strtok(NULL, ",")) {
		int ret = refuse(what);

		if (ret)
			return ret;
	}
	execvp(argv[2], argv + 2);
	perror("refuse: exec");
	return 127;
}
