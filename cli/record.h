/* record.h - one recording, from its options to its end. */
#ifndef GT_CLI_RECORD_H
#define GT_CLI_RECORD_H

#include "agent/agent.h"
#include "base/clock.h"
#include "cli/cli.h"
#include "cli/resolver.h"
#include "format/wire/writer.h"
#include "libtrace/collector.h"

#include <limits.h>
#include <signal.h>
#include <sys/types.h>

struct gt_record_options {
	const char *output;
	char **argv;              /* PROG and its arguments */
	unsigned int stack_depth; /* 0 = off */
	uint32_t sets;            /* enum gt_set */
	uint32_t sets_named;      /* of them, those that were asked for by name */
	bool flight;
	uint64_t min_age_ns;
	uint64_t window_bytes_max;
	const char *window_option; /* one that needs --flight, or NULL */
	uint64_t buffer_bytes;
	bool no_uring;
	bool quiet;
};

struct gt_recording {
	struct gt_record_options options;
	char *path; /* of the program */
	char output[PATH_MAX];
	struct gt_resolver resolver;
	const struct gt_golayout *layout; /* NULL: a libtrace program */
	uint8_t wait_reasons[256];

	struct gt_memory memory;
	struct gt_collector *collector;
	struct gt_writer *writer; /* stream; NULL in flight */
	struct gt_agent_result agent;
	pid_t pid;
	pid_t waker; /* process that last waited in our place while we were stopped */

	struct gt_clock_pair start;
	int64_t start_realtime_ns;
	unsigned int snapshots;
	struct gt_error failure; /* the writer's, told at the end */
	bool failed;
};

/* Everything after the look at the file. Returns gtrace's exit status. */
int gt_record_run(struct gt_recording *recording);

#endif
