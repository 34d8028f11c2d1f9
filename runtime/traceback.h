/*
 * traceback.h - where goroutines are: the list that ends a program, and what profiles and debuggers show.
 */
#ifndef GT_RUNTIME_TRACEBACK_H
#define GT_RUNTIME_TRACEBACK_H

#include "runtime/rt.h"

#include <stdio.h>

#define GT_TRACEBACK_FRAMES 64u  /* printed of a stack */
#define GT_TRACEBACK_LIST   100u /* goroutines in the list that ends a program, besides the first */

/*
 * The return addresses of a goroutine's stack, innermost first, by frame pointers; at most @max, and how many there are in
 * @more (may be NULL). One that runs on another thread gives none. The world is not stopped: what a goroutine that goes
 * on meanwhile shows is a mixture, but all reads stay within its stack.
 */
uint32_t gt__traceback(const struct gt_g *g, uintptr_t *pcs, uint32_t max, uint32_t *more);
/* Where the last GoBlock of one that waits was told to stand: pc and frame for gt__stack_id. False: it is on its way, or has not begun,
 * or stands elsewhere. */
bool gt__waits_at(const struct gt_g *g, const void **pc, const void **frame);
/* gt__traceback of the calling one, from @frame (of __builtin_frame_address) on. */
uint32_t gt__traceback_here(const struct gt_g *g, const void *frame, uintptr_t *pcs, uint32_t max, uint32_t *more);

/* "goroutine 7 [chan receive, 2 minutes]: name", its stack, who made it. @frame: of the calling one, else NULL. */
void gt__print_goroutine(FILE *out, const struct gt_g *g, const void *frame);
/* All of them, @first (may be NULL, and then @frame too) before the others; at most @max others, then how many there are more. */
void gt__print_all(FILE *out, const struct gt_g *first, const void *frame, uint32_t max);

/* "running", or the reason why it waits. */
const char *gt__state_text(const struct gt_g *g);

#endif
