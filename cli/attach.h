/* attach.h - a recording of a program that runs already. */
#ifndef GT_CLI_ATTACH_H
#define GT_CLI_ATTACH_H

#include "cli/record.h"

struct gt_attach_options {
	struct gt_record_options *record;
	pid_t pid;
	uint64_t duration_ns; /* 0: until somebody ends it */
};

/* Returns gtrace's exit status. */
int gt_attach_run(struct gt_recording *recording, const struct gt_attach_options *options);

#endif
