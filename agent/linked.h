/*
 * linked.h - gtrace attach for a running program that links libtrace: its own hooks, its own memory; it is only told
 * (libtrace/attend.h). No code of it is touched; a thread that sleeps is stopped for an instant, so that it looks.
 *
 *   gt_linked_open     looks: is it one, and can it be asked? Nothing is touched
 *   gt_linked_memory   it makes the memory, or has one
 *   gt_linked_begin    hooks on; who is there
 *   gt_linked_end      hooks off
 *
 * gtrace may be killed at any instant: the program notices within a second, and its hooks go off.
 */
#ifndef GT_AGENT_LINKED_H
#define GT_AGENT_LINKED_H

#include "libtrace/attend.h"
#include "libtrace/shm_create.h"

#include <sys/types.h>

struct gt_linked;

/* 1: *@out; 0: the process links no libtrace; else -errno and a line. @waits: one that does not listen yet is waited for, for a second. */
int gt_linked_open(pid_t pid, bool waits, struct gt_linked **out, struct gt_error *err);
void gt_linked_close(struct gt_linked *linked); /* NULL is fine */
const char *gt_linked_program(const struct gt_linked *linked);
const char *gt_linked_exe(const struct gt_linked *linked); /* what to open */
bool gt_linked_foreign(const struct gt_linked *linked);

/* *@old: it is there since an earlier recording, whatever @config says. */
int gt_linked_memory(struct gt_linked *linked, const struct gt_shm_config *config, struct gt_memory *out, bool *old,
	struct gt_error *err);

/* *@list to free(), of *@count that are what they should be; *@none_m: the M that tells of those on none. */
int gt_linked_begin(struct gt_linked *linked, const struct gt_memory *memory, uint64_t since_ticks, uint32_t sets,
	struct gt_attend_alive **list, size_t *count, uint32_t *none_m, struct gt_error *err);

/*
 * Who is there now, and stands where, of a program that is recorded (by whomever: gtrace record too). *@list to free(), those with an M last.
 * The program has some tenths of a second to answer.
 */
int gt_linked_list(struct gt_linked *linked, const struct gt_memory *memory, struct gt_attend_alive **list,
	size_t *count, struct gt_error *err);

/* -ESRCH: the process is gone. */
int gt_linked_end(struct gt_linked *linked, struct gt_error *err);

#endif
