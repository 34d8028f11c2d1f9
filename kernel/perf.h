/*
 * perf.h - rings of perf events, one a CPU; the only file that knows the kernel's interface.
 *
 * A dummy event that counts nothing has the switches, births, deaths and names of threads (24 bytes a switch, +1.1 us each, measured),
 * and what is mapped to be executed; cpu-clock has samples, page-faults has faults: all of one CPU go into its one ring. They are
 * opened for every thread there is, with inherit, so later threads are covered; inherit_thread keeps child processes out (Linux 5.13;
 * before, they are seen too and left out by their pid). With more rights samples show the kernel's frames, and a tracepoint tells
 * who else is let onto a CPU. What a kernel refuses is left out, and told by gt__perf_missing.
 */
#ifndef GT_KERNEL_PERF_H
#define GT_KERNEL_PERF_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define GT__PERF_FRAMES_MAX  64
#define GT__PERF_STACK_BYTES 192 /* of the program's, from its stack pointer up */

enum gt__perf_kind {
	GT__PERF_IN,
	GT__PERF_OUT,
	GT__PERF_BORN,
	GT__PERF_NAMED,
	GT__PERF_GONE,
	GT__PERF_SAMPLE,
	GT__PERF_FAULT,
	GT__PERF_LOST,
	GT__PERF_MAPPED,
	GT__PERF_EXEC,  /* NAMED by an exec: what was mapped before is gone */
	GT__PERF_OTHER, /* one of ours could go on, and its CPU is given to another thread */
};

#define GT__PERF_KERNEL_PC(pc) ((pc) >> 63) /* or of the program */

struct gt__perf_record {
	enum gt__perf_kind kind;
	uint64_t raw_ns; /* CLOCK_MONOTONIC_RAW; 0 for LOST */
	uint32_t tid;
	uint32_t parent; /* BORN */
	bool runnable;   /* OUT; OTHER: one of ours had the CPU until now, and could go on */
	uint64_t number; /* FAULT: address; LOST: how many; MAPPED: where */
	char name[16];   /* NAMED, EXEC, OTHER */
	uint32_t
		pcs_count; /* SAMPLE: innermost first, each inside its call; those of the kernel before those of the program */
	uint64_t pcs[GT__PERF_FRAMES_MAX];
	uint64_t stack[GT__PERF_STACK_BYTES / 8];
	uint32_t stack_bytes; /* 0: it could not be read */
	/* MAPPED. Of the file: from where on; its build id (0 bytes: not known) and name, which lives until gt__perf_done. */
	uint64_t size, offset;
	uint8_t build_id[20], build_id_bytes;
	const char *path;
};

struct gt__perf;

struct gt__perf_wants {
	bool switches;
	bool others;               /* with switches, where it is allowed */
	uint64_t sample_period_ns; /* 0: none */
	uint64_t fault_every;      /* each so-manieth of a thread on a CPU; 0: none */
};

int gt__perf_open(pid_t pid, const struct gt__perf_wants *wants, struct gt__perf **out, struct gt_error *err);
void gt__perf_close(struct gt__perf *perf);
/* Of what was wanted, what there is; and why the rest is not ("": all is there). */
const struct gt__perf_wants *gt__perf_has(const struct gt__perf *perf);
const char *gt__perf_missing(const struct gt__perf *perf);
bool gt__perf_kernel_frames(const struct gt__perf *perf);
/* CPUs are numbered as the kernel does; those that are offline have no ring. */
size_t gt__perf_cpus(const struct gt__perf *perf);
unsigned int gt__perf_cpu(const struct gt__perf *perf, size_t at);

/* How many page faults there were, told or not. */
uint64_t gt__perf_faults(const struct gt__perf *perf);

/* How far the ring is written now: gt__perf_next gives what stands before it. */
void gt__perf_look(struct gt__perf *perf, size_t at);
/* Ahead of gt__perf_next: each MAPPED, EXEC and BORN once, up to what is written by now. After a look at all rings it brings whatever was
 * mapped before a sample that gt__perf_next will give of any of them. */
bool gt__perf_ahead(struct gt__perf *perf, size_t at, struct gt__perf_record *out);
bool gt__perf_next(struct gt__perf *perf, size_t at, struct gt__perf_record *out);
/* What was read makes room again. */
void gt__perf_done(struct gt__perf *perf, size_t at);

/* After the last gt__perf_done and before the next look, for as long as it takes: a thread takes out of the rings what fills them. */
void gt__perf_leave(struct gt__perf *perf);
void gt__perf_back(struct gt__perf *perf);
/* How many bytes that thread has taken that are not read yet. */
size_t gt__perf_spilled(struct gt__perf *perf);

#endif
