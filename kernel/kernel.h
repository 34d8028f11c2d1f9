/*
 * kernel.h - the kernel's layer: which thread was on which CPU and when, CPU samples, page faults, throttling; without root where
 * perf_event_paranoid is 2 or less (kernel/perf.h tells what is opened).
 *
 *   stream:  open -> (round -> the collector's own round)* -> round -> close      events go to the writer as they come
 *   flight:  open -> round*, write at each snapshot -> close                      they are kept here, the oldest go first
 *
 * Each CPU is a stream of its own in the file: the pseudo-M GT_M_KERNEL + cpu. In a round, what happened before it is given out, and
 * the watermark is held there: call it before the collector's round. What the kernel hands over later than that (it was in the midst
 * of writing) gets the time of the watermark, and is counted.
 *
 * One thread at a time. What fails here never fails the recording: it is told, and the rest is there.
 */
#ifndef GT_KERNEL_KERNEL_H
#define GT_KERNEL_KERNEL_H

#include "base/error.h"
#include "format/wire/writer.h"
#include "symbols/modules.h"

#include <sys/types.h>

struct gt_kernel;

struct gt_kernel_config {
	pid_t pid;                  /* all its threads, and those that they make; not its child processes */
	uint32_t sets;              /* enum gt_set: GT_SET_KERNEL, GT_SET_SAMPLES, GT_SET_FAULTS */
	uint64_t sample_period_ns;  /* of CPU time */
	uint64_t fault_every;       /* each so-manieth page fault is told, of a thread on a CPU */
	size_t store_bytes;         /* flight: what is kept takes so much; 0: stream */
	bool running;               /* @pid runs its program already; else it is about to execute it */
	struct gt_modules *modules; /* set samples: gets what is mapped */
	/* How many bytes above the stack pointer the return address stands at a place; false: not known. */
	bool (*frame)(void *context, uint64_t place, uint64_t *bytes);
	/* Gives the stack @id (new to @writer) the places @pcs (symbols/modules.h), innermost first, each inside its call. */
	int (*write_stack)(void *context, struct gt_writer *writer, uint64_t id, const uint64_t *pcs, size_t count);
	void *context;
};

/* 0, or -errno with the line that tells why there is no such layer and what would allow it. */
int gt_kernel_open(const struct gt_kernel_config *config, struct gt_kernel **out, struct gt_error *err);
void gt_kernel_close(struct gt_kernel *kernel);
/* Of the sets that were asked for, those that there are; and what is missing of all that there could be, and why ("": nothing). */
uint32_t gt_kernel_sets(const struct gt_kernel *kernel);
const char *gt_kernel_missing(const struct gt_kernel *kernel);

/* Stream: @writer's error. Flight (@writer NULL): 0. */
int gt_kernel_round(struct gt_kernel *kernel, struct gt_writer *writer);
/* Flight: what is kept from @since_ticks on. */
int gt_kernel_write(struct gt_kernel *kernel, struct gt_writer *writer, uint64_t since_ticks);
/* Before the trace is closed: what is known to be lost, and META `kernel_layer`. */
void gt_kernel_write_end(struct gt_kernel *kernel, struct gt_writer *writer);

struct gt_kernel_totals {
	uint64_t by_kind[GT_EVENT_KIND_COUNT];
	uint64_t events;
	uint64_t lost;        /* records for which the kernel had no room */
	uint64_t late;        /* told a moment later than they were */
	uint64_t stacks_lost; /* samples without a stack: the table is full */
};
void gt_kernel_totals(const struct gt_kernel *kernel, struct gt_kernel_totals *out);

#endif
