/*
 * cgroup.h - the CPU limit of the process's cgroup, v1 or v2.
 */
#ifndef GT_RUNTIME_CGROUP_H
#define GT_RUNTIME_CGROUP_H

struct gt_cgroup {
	int quota_fd;  /* -1: none */
	int period_fd; /* v1 only, else -1 */
};

/* Finds the files of the leaf cgroup and keeps them open, so that a limit that changes is seen. Where there is none, or
 * where anything is odd: no limit. @membership and @mounts: /proc/self/cgroup and /proc/self/mountinfo. */
void gt_cgroup_open(struct gt_cgroup *cgroup, const char *membership, const char *mounts);
void gt_cgroup_close(struct gt_cgroup *cgroup);

/* quota / period in CPUs; 0: none. */
double gt_cgroup_limit(const struct gt_cgroup *cgroup);

#endif
