/* death.h - how the recorded program ended, in words: the OOM killer too, as far as the kernel tells. */
#ifndef GT_CLI_DEATH_H
#define GT_CLI_DEATH_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define GT_DEATH_TEXT 192

struct gt_death {
	char events[PATH_MAX]; /* the file in which its cgroup counts; "" */
	uint64_t oom_kills;    /* before */
};

void gt_death_watch(struct gt_death *death, pid_t pid);

/* @status: as of waitpid. @out: GT_DEATH_TEXT bytes. "status 2", "signal 9 (Killed)"... */
void gt_death_exit_text(const struct gt_death *death, int status, char *out);
/* The same as the cause of the last snapshot: "program died: ...", "program ended with status 0". */
void gt_death_cause(const struct gt_death *death, int status, bool go, char *out);

#endif
