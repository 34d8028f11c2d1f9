/*
 * process.h - a process's memory and its map: what inject.c and attach.c both need. No thread is touched here.
 */
#ifndef GT_AGENT_PROCESS_H
#define GT_AGENT_PROCESS_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define GT__PAGE         4096u
#define GT__MAPPINGS_MAX 65536 /* the kernel's own limit, as it comes */

struct gt__mapping {
	uint64_t lo, hi;
	bool runs;    /* r-xp */
	bool unnamed; /* of no file */
	bool gtrace;  /* of a memory file of gtrace's */
	bool hooks;   /* of one, and executable */
	bool rings;   /* of one that can hold records, to be written by all who have it */
};

/* Of process @pid; *@mappings to free(). */
int gt__mappings_read(pid_t pid, struct gt__mapping **mappings, size_t *count, struct gt_error *err);

int gt__memory_read(int memory, uint64_t address, void *to, size_t size);
/* @tid: a thread that stands under us, for kernels that forbid the write through @memory; 0: none. */
int gt__memory_write(int memory, pid_t tid, uint64_t address, const void *bytes, size_t size);

/* @need bytes of the program's code that are zero and never run. */
int gt__zeros_find(int memory, const struct gt__mapping *mappings, size_t count, size_t need, uint64_t *place,
	struct gt_error *err);

/* Free space of @size bytes from which a jump reaches all of [@text_lo, @text_hi) and back. */
int gt__near_find(const struct gt__mapping *mappings, size_t count, uint64_t text_lo, uint64_t text_hi, uint64_t size,
	uint64_t *place, struct gt_error *err);

/* AT_ENTRY of @pid; 0 when it cannot be told. */
uint64_t gt__entry_of(pid_t pid);

#endif
