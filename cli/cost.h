/*
 * cost.h - what recording costs, as the trace tells it (META `recorder`, docs/format.md).
 *
 *   gt_cost_begin -> gt_cost_program -> gt_cost_step... -> gt_cost_ended -> gt_cost_write
 *
 * How long a record takes is measured on this machine when the recording begins: the steps of a hook, over memory of one's own. The
 * CPU time of the program and of gtrace are read as it goes on.
 */
#ifndef GT_CLI_COST_H
#define GT_CLI_COST_H

#include "format/wire/writer.h"

#include <sys/types.h>
#include <time.h>

#define GT_COST_SAMPLES 256 /* so many seconds of a window are known */

struct gt_cost_sample {
	int64_t at_ns, program_ns, own_ns; /* monotonic; CPU times */
};

struct gt_cost {
	double record_ns; /* a record without stack, */
	double stack_ns;  /* and what one with a stack takes more */
	clockid_t clock;  /* the program's */
	bool known;       /* there is one */
	struct gt_cost_sample now, samples[GT_COST_SAMPLES];
	uint64_t count; /* of samples: the newest ones are kept */
};

/* @stack_depth: frames that hooks take; 0: none. */
void gt_cost_begin(struct gt_cost *cost, unsigned int stack_depth);
void gt_cost_program(struct gt_cost *cost, pid_t pid);
/* Now and then. */
void gt_cost_step(struct gt_cost *cost);
/* The program is gone, and had taken @program_ns. */
void gt_cost_ended(struct gt_cost *cost, int64_t program_ns);

/* CPU time that hooks took for so many events of each kind, about, in ns. @records: in so many records. */
double gt_cost_hooks_ns(const struct gt_cost *cost, const uint64_t by_kind[GT_EVENT_KIND_COUNT], uint64_t *records);
/* CPU time of the program since gt_cost_program. */
int64_t gt_cost_program_ns(const struct gt_cost *cost);

struct gt_cost_span {
	uint64_t events;         /* in the file */
	uint64_t bytes;          /* of the file; of a window: of its records */
	int64_t span_ns;         /* the time in which they came to be: the last */
	const uint64_t *by_kind; /* those of hooks */
};
void gt_cost_write(const struct gt_cost *cost, struct gt_writer *writer, const struct gt_cost_span *span);

#endif
