/*
 * syscalls.h - what is known of the kernel's calls by their numbers (x86-64): which deal with a file descriptor.
 */
#ifndef GT_FORMAT_SYSCALLS_H
#define GT_FORMAT_SYSCALLS_H

#include <stdint.h>

enum gt_syscall_fd {
	GT_SYSCALL_FD_ARG = 1,     /* its first argument is one */
	GT_SYSCALL_FD_RESULT = 2,  /* its result is a new one */
	GT_SYSCALL_FD_CLOSED = 4,  /* the first argument is none any more */
	GT_SYSCALL_FD_CHANGED = 8, /* the first argument is something else from now on: it has an address, say */
};

/* Of enum gt_syscall_fd; 0: none, or not known. */
unsigned int gt_syscall_fd(uint64_t number);

#endif
