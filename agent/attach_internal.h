/* attach_internal.h - between attach.c and attach_look.c. */
#ifndef GT_AGENT_ATTACH_INTERNAL_H
#define GT_AGENT_ATTACH_INTERNAL_H

#include "agent/attach.h"
#include "agent/hookpage.h"
#include "agent/standing.h"
#include "agent/threads.h"

struct gt_attach {
	struct gt_attach_view view;
	char exe[64];
	char program[PATH_MAX];
	uint64_t device, inode;  /* of the program's file: another one after an exec */
	int memory;              /* /proc/PID/mem */
	uint64_t stub;           /* runtime.schedinit, which ran before the first goroutine: place for it */
	const uint8_t *original; /* its bytes in the file */
	uint64_t allgs;
	struct gt_gohooks hooks;
	struct gt_places places;
	struct gt_threads threads;
	uint64_t ms_gone[GT_M_IDS_MAX / GT_MS_A_PAGE / 64];
	pid_t idle;                                          /* a thread that slept at the last stop */
	uint64_t code_address, code_size, rings, rings_size; /* in the process; 0: not mapped */
	bool code_sealed; /* its first page cannot be written: a gtrace that started the program made it */
	struct gt_patch patches[GT_GOHOOKS_MAX];
	size_t patch_count;
	bool patched;
};

/* The part that touches nothing: fills view, exe, program, memory. */
int gt__attach_look(struct gt_attach *attach, struct gt_error *err);
/* Why @pid cannot be attached to, as its status tells; @foreign: it is in another PID namespace. */
int gt__attach_status(pid_t pid, bool *foreign, struct gt_error *err);
/* Job control has stopped it. */
bool gt__attach_stopped(pid_t pid);
int gt__attach_not_allowed(pid_t pid, int code, struct gt_error *err);
/* The file that the process runs now is the one looked at. */
bool gt__attach_same_program(const struct gt_attach *attach);
/* Hooks that a gtrace left in: 1 and *@page and where it is; 0 none; -EBUSY when that gtrace is at work. */
int gt__attach_leftover(struct gt_attach *attach, uint64_t *at, struct gt_hookpage *page, struct gt_error *err);
/* Keeps other gtraces out until @attach is closed, or this one is killed; also while a dead one's hooks are taken out. Waits for one that is about to end.
 * -EBUSY. */
int gt__attach_lock(struct gt_attach *attach, struct gt_error *err);
/* Rings that a gtrace which was killed on its way in or out left, and that no hooks write to: how many. */
struct gt__orphan {
	uint64_t address, size;
};
size_t gt__attach_orphans(const struct gt_attach *attach, struct gt__orphan *list, size_t max);

#endif
