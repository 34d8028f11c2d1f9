/* refuse.c - runs a program in which some system calls fail with EPERM: refuse ptrace,io_uring_setup PROG ARG... */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
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
};

static void refuse(long number)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) {
		perror("refuse: seccomp");
		exit(77);
	}
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	for (char *name = strtok(argv[1], ","); name; name = strtok(NULL, ",")) {
		size_t i = 0;

		while (i < sizeof(calls) / sizeof(calls[0]) && strcmp(calls[i].name, name) != 0)
			i++;
		if (i == sizeof(calls) / sizeof(calls[0])) {
			fprintf(stderr, "refuse: %s is not in the list\n", name);
			return 2;
		}
		refuse(calls[i].number);
	}
	execvp(argv[2], argv + 2);
	perror("refuse: exec");
	return 127;
}
