/* wrapper.c - see wrapper.h. */
#include "format/convert/wrapper.h"

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
				return name;
			there = strcmp(name, wrapper) == 0;
		}
	}
	return NULL;
}
