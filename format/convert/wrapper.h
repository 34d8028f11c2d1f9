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

#include "format/convert/map.h"
#include "format/reading/trace.h"

#include <string.h>

static inline bool gt__is_wrapper(const char *function)
{
	return strstr(function, ".gowrap") || strstr(function, "(*WaitGroup).Go.func") ||
	       (strstr(function, "(*Group).Go.func") && strstr(function, "errgroup"));
}

/* What @wrapper calls, by a stack; NULL when that does not reach it, or it calls nothing. */
const char *gt__wrapped(const struct gt_trace *trace, uint64_t stack, const char *wrapper);

/*
 * For who shows a goroutine before its first stack is read. With the first wrapper that is met the trace is read to its end and anew to
 * where it was; one without wrappers is read once. Zeroed is empty.
 */
struct gt__insides {
	struct gt__map starts; /* start pc -> what is known of it */
	struct gt__map names;  /* goroutine of a wrapper -> what it is for */
	struct gt__map tries;  /* and stacks that did not tell it */
	bool known;            /* the trace was read */
};

/* What goroutine @g, which began at @start_pc, is for: its start function where that is no wrapper, or what it calls is not known. Who
 * told no stack is for what all others of the same start are for, if that is one function. NULL: nothing is known. @at: events read so far. What gt_trace_goroutine gave before is not valid any more. */
const char *gt__insides_function(
	struct gt__insides *insides, struct gt_trace *trace, uint64_t g, uint64_t start_pc, uint64_t at);
void gt__insides_free(struct gt__insides *insides);

#endif
