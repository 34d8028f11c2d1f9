/*
 * connect.h - the process's one memory, and the hooks' switch. Between hooks.c, trace.c and embed.c.
 */
#ifndef GT_LIBTRACE_CONNECT_H
#define GT_LIBTRACE_CONNECT_H

#include "libtrace/shm_create.h"

/* Once a process: threads keep pointers into it for ever, so it is never unmapped. -EBUSY when there is one. */
int gt__connect(const struct gt_memory *memory);
/* NULL: none. */
struct gt_memory *gt__connected(void);
/* Is it gtrace's (by the environment), not one's own? @gone (may be NULL): that gtrace has ended, and was killed, or this would have too. */
bool gt__connected_outside(bool *gone);

/* What the scheduler can tell; all NULL: nothing. */
struct gt_hook_world;
extern struct gt_hook_world gt__world;

/* The id of the text, 0 when there is no room or it is empty. Callable in a signal handler. */
uint32_t gt__intern(struct gt_shm *shm, const char *text);

/* stacks.c: what gt_hook_stack needs; before hooks are on. */
void gt__stacks_connect(struct gt_shm *shm);

#endif
