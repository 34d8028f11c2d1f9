/* record.h - one recording, from its options to its end. */
#ifndef GT_CLI_RECORD_H
#define GT_CLI_RECORD_H

#include "agent/agent.h"
#include "base/clock.h"
#include "cli/cli.h"
#include "cli/cost.h"
#include "cli/resolver.h"
#include "cli/triggers.h"
#include "format/wire/writer.h"
#include "kernel/kernel.h"
#include "libtrace/collector.h"

#include <argp.h>
#include <limits.h>
#include <signal.h>
#include <sys/types.h>

struct gt_record_options {
	const char *output;
	char **argv;              /* PROG and its arguments */
	unsigned int stack_depth; /* 0 = off */
	uint32_t sets;            /* enum gt_set */
	uint32_t sets_named;      /* of them, those that were asked for by name */
	uint32_t alloc_rate;      /* bytes from one sampled allocation to the next, about */
	uint64_t call_ns_min;     /* of system calls, only those that take so long; 0 = all */
	bool flight;
	uint64_t min_age_ns;
	uint64_t window_bytes_max;
	uint64_t every_ns;         /* a snapshot so often; 0 = only when asked */
	const char *every_text;    /* as it was given */
	unsigned int keep;         /* snapshots named by time; 0 = all */
	uint64_t disk_bytes_max;   /* of them; 0 = no limit */
	const char *window_option; /* one that needs --flight, or NULL */
	uint64_t buffer_bytes;     /* 0: what fits the sets */
	uint64_t sample_period_ns; /* of CPU time; set samples */
	bool sampled;              /* --sample-every was given: the set is meant */
	uint64_t fault_every;      /* each so-manieth page fault; set faults */
	bool faults_counted;       /* --fault-every was given: the set is meant */
	bool no_uring;
	bool quiet;
	struct gt_trigger_options triggers;
};

struct gt_flight;

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
	uint64_t allgs; /* of a Go program: where it has its goroutines, in the process; 0: not known */
	struct gt_linked *
		linked; /* of a program that links libtrace: through this it tells who is there; NULL: not asked yet. Attach's, or ours */
	const char *standing_missing; /* why they were not read for the last snapshot; NULL: they were */
	pid_t waker;                  /* process that last waited in our place while we were stopped */

	struct gt_clock_pair start;
	int64_t start_realtime_ns;
	uint64_t end_ticks;       /* the program was gone, or its hooks were about to be taken out */
	struct gt_flight *flight; /* NULL: no --flight, or the program does not run yet */
	int private_fds[2];       /* of the recorder alone: not for the process that writes a snapshot; 0 = none */
	struct gt_kernel *kernel; /* NULL: none was asked for, or it is not allowed */
	struct gt_error kernel_missing; /* why not; empty: it is there, or was not asked for */
	struct gt_watch *watch;         /* NULL: no triggers */
	struct gt_cost cost;
	struct gt_error failure; /* the writer's, told at the end */
	bool failed;
};

/* Everything after the look at the file. Returns gtrace's exit status. */
int gt_record_run(struct gt_recording *recording);

/* ---- what attach (attach_loop.c) does in the same way ---- */

/* The options that both take: a child of their own parser, whose input is a struct gt_record_options. */
extern const struct argp gt_record_common;
void gt_record_defaults(struct gt_record_options *o);
/* What follows returns 0, or an exit status after the error was told. */
int gt_record_check_proc(void);
int gt_record_check_go_sets(struct gt_recording *recording);
int gt_record_lay_out(
	struct gt_recording *recording, struct gt_shm_config *memory, struct gt_collector_config *collector);
int gt_record_begin(struct gt_recording *recording);
/* A Go program: finds where it has its goroutines, so that they can be read. @slide: address in the process = address in the file + slide. */
void gt_standing_find(struct gt_recording *recording, uint64_t slide);
struct gt_goroutine;
struct gt_found;
/* As the collector wants them; NULL: out of memory. */
struct gt_found *gt_standing_list(const struct gt_goroutine *list, size_t count);
/* For gt_goread_stacks: the collector's id of a stack. */
uint32_t gt_standing_stack(void *collector, const uint64_t *pcs, size_t count);
struct gt_attend_alive;
struct gt_hook_alive;
struct gt_hook_alive *gt_standing_alive(const struct gt_attend_alive *list, size_t count); /* the same */
/* Right before a copy, of a process that lives: the collector gets its goroutines as they stand. What cannot be read is not told. */
void gt_standing_read(struct gt_recording *recording);
/* The process is there, and @running, or about to execute the program: opens what the kernel tells of it, as far as it was asked for and is allowed. */
void gt_record_kernel(struct gt_recording *recording, pid_t pid, bool running);
/* META `kernel_layer` and what is lost, before the trace is closed. */
void gt_record_kernel_end(struct gt_recording *recording, struct gt_writer *writer);
/* The sets that come from the kernel and not from hooks. */
#define GT_KERNEL_SETS (GT_SET_KERNEL | GT_SET_SAMPLES | GT_SET_FAULTS)

int gt_record_open_writer(
	struct gt_recording *recording, const char *path, struct gt_writer **out, struct gt_error *err);
void gt_record_write_losses(const struct gt_collector_totals *totals, struct gt_writer *writer);
void gt_record_failure(struct gt_recording *recording, const char *what, int ret);

struct gt_record_pace {
	int wait_ms; /* until the next round */
	int64_t flushed_ns;
	int64_t told_ns; /* stream: what it costs, into the trace */
	int64_t end_ns;  /* of the recording; 0: nobody knows */
};
/* For poll: until the next round, but no longer than to what is due in between. */
int gt_record_wait_ms(const struct gt_recording *recording, const struct gt_record_pace *pace);
void gt_record_round(struct gt_recording *recording, struct gt_record_pace *pace);
void gt_record_finish(struct gt_recording *recording, const char *exit_text, uint64_t *bytes);
void gt_record_summary(const struct gt_recording *recording, const struct gt_collector_totals *totals, uint64_t bytes,
	int64_t span_ns, const char *end);

#endif
