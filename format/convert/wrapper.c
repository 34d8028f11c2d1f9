/* wrapper.c - see wrapper.h. */
#include "format/convert/wrapper.h"

/* What a wrapper does before and after. */
static bool of_wrapper(const char *name)
{
	return !strncmp(name, "sync.(*WaitGroup).", 18) || !strncmp(name, "runtime.", 8) ||
	       strstr(name, "errgroup.(*Group).") || strstr(name, "(*WaitGroup).Go.func") ||
	       strstr(name, "(*Group).Go.func");
}

const char *gt__wrapped(const struct gt_trace *trace, uint64_t stack, const char *wrapper)
{
	const struct gt_trace_stack *frames = stack ? gt_trace_stack(trace, stack) : NULL;
	bool there = false;

	/* From the outermost on, where it stands. */
	for (uint32_t i = frames ? frames->count : 0; i-- > 0;) {
		const struct gt_trace_pc *pc = gt_trace_pc(trace, frames->pcs[i]);

		for (uint32_t j = pc ? pc->count : 0; j-- > 0;) {
			const char *name = pc->lines[j].function;

			if (!name || !*name)
				continue;
			if (there)
				return of_wrapper(name) ? NULL : name;
			there = strcmp(name, wrapper) == 0;
		}
	}
	return NULL;
}
