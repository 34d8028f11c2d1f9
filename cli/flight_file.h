/* flight_file.h - one snapshot's file: its name, what it says about itself, its line. Runs in the child, or at the end in gtrace. */
#ifndef GT_CLI_FLIGHT_FILE_H
#define GT_CLI_FLIGHT_FILE_H

#include "cli/flight.h"
#include "cli/record.h"

struct gt__meta {
	char key[32], value[256];
};

/* What is to be written. */
struct gt__snapshot {
	const char *cause;
	const char *path;      /* NULL: NAME-<time>-<cause>.gtrace */
	const char *exit_text; /* NULL: the program runs */
	const struct gt__meta *metas;
	size_t meta_count;
	uint32_t requests; /* that share it */
	bool last;         /* its partial file is worth keeping */
};

/* The copy that it is made of. */
struct gt__copied {
	struct gt_snapshot_result result;
	struct gt_collector_totals totals;
	int64_t realtime_ns;
};

/* What came of it: goes through a pipe. */
struct gt__report {
	uint32_t index; /* the sender's own */
	int32_t ret;
	uint64_t bytes, device, inode;
	char path[PATH_MAX]; /* absolute */
	char line[1024];     /* its summary, or the error */
};

void gt__flight_write(struct gt_recording *recording, const struct gt__snapshot *snapshot,
	const struct gt__copied *copied, struct gt__report *report);

#endif
