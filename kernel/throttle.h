/* throttle.h - how long the cgroup's CPU quota kept a process from running: cpu.stat of its cgroup, or of the nearest above that has a
 * quota (cgroup v1 and v2). */
#ifndef GT_KERNEL_THROTTLE_H
#define GT_KERNEL_THROTTLE_H

#include <stdint.h>
#include <sys/types.h>

/* A descriptor of cpu.stat, or -1 where no quota holds for @pid. */
int gt__throttle_open(pid_t pid);
/* ns since the cgroup was made; 0 when it cannot be told. */
uint64_t gt__throttle_read(int fd);

#endif
