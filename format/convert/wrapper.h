/*
 * wrapper.h - NAME.gowrapN: a function that Go's compiler puts around a go statement with arguments. A goroutine starts with it; the
 * user knows the one that it calls.
 */
#ifndef GT_FORMAT_WRAPPER_H
#define GT_FORMAT_WRAPPER_H

#include "format/reading/trace.h"

#include <string.h>

static inline bool gt__is_wrapper(const char *function)
{
	return strstr(function, ".gowrap") != NULL;
}

/* What @wrapper calls, by a stack; NULL when that does not reach it, or it calls nothing. */
const char *gt__wrapped(const struct gt_trace *trace, uint64_t stack, const char *wrapper);

#endif
