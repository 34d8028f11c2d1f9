/*
 * seccomp.h - would a filter of system calls end a process for a call that it makes for gtrace?
 *
 * The kernel shows filters to a tracer with CAP_SYS_ADMIN that has none itself. Where they cannot be read nothing is known.
 */
#ifndef GT_AGENT_SECCOMP_H
#define GT_AGENT_SECCOMP_H

#include "base/error.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct gt_call {
	const char *name;
	uint64_t number;
	uint64_t arguments[6];
};

/* -EPERM: a filter of @tid, which stands under our ptrace, kills or traps one of @calls. */
int gt_seccomp_check(pid_t tid, const struct gt_call *calls, size_t count, struct gt_error *err);

/* What @filter answers (SECCOMP_RET_...); -1: it is none that the kernel would have taken. */
int64_t gt_seccomp_run(const struct sock_filter *filter, size_t count, const struct seccomp_data *data);

#endif
