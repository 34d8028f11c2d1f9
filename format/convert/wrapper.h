/*
 * wrapper.h - what stands around the function that a goroutine is for: the user knows the one that it calls.
 *
 *   NAME.gowrapN                          by Go's compiler, of a go statement with arguments
 *   sync.(*WaitGroup).Go.func1            Go 1.25 and newer
 *   .../errgroup.(*Group).Go.func1        golang.org/x/sync
 *
 * A name like main.run.(*WaitGroup).Go.func2 is one that was inlined into main.run.
 */
#ifndef GT_FORMAT_WRAPPER_H
#define GT_FORMAT_WRAPPER_H

#include "format/reading/trace.h"

#include <string.h>

static inline bool gt__is_wrapper(const char *function)
{
	return strstr(function, ".gowrap") || strstr(function, "(*WaitGroup).Go.func") ||
	       (strstr(function, "(*Group).Go.func") && strstr(function, "errgroup"));
}

/* What @wrapper calls, by a stack; NULL when that does not reach it, or it calls nothing. */
const char *gt__wrapped(const struct gt_trace *trace, uint64_t stack, const char *wrapper);

#endif
