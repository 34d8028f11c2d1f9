/* wrapper.c - see wrapper.h. */
#include "format/convert/wrapper.h"

#include <stdlib.h>

#define INSIDES_MAX (1u << 20) /* goroutines; of more, the rest keeps its wrapper's name */
#define TRIES       16u        /* stacks that are asked: of the first, some may be cut off */

struct start {
	const char *wrapper; /* NULL: it is none */
	const char *inside;  /* what the first goroutine that told it is for */
	bool mixed;          /* another one is for something else */
};

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
				return of_wrapper(name) && strncmp(wrapper, "runtime.", 8) != 0 ? NULL : name;
			there = strcmp(name, wrapper) == 0;
		}
	}
	return NULL;
}

/* ---- of all goroutines, before they are shown ---- */

/* NULL: nothing is known, or no memory. */
static struct start *start_at(struct gt__insides *insides, const struct gt_trace *trace, uint64_t pc)
{
	struct start *start = pc ? gt__map_get(&insides->starts, pc) : NULL;
	const char *name = pc && !start ? gt_trace_function(trace, pc) : NULL;

	if (start || !name)
		return start;
	start = calloc(1, sizeof(*start));
	if (!start || gt__map_put(&insides->starts, pc, start) < 0) {
		free(start);
		return NULL;
	}
	start->wrapper = gt__is_wrapper(name) ? name : NULL;
	return start;
}

/* Where event's goroutine stands; 0: the event tells no stack. */
static uint64_t stack_of(const struct gt_event *event)
{
	switch (event->kind) {
	case GT_EV_GO_BLOCK:
	case GT_EV_GO_YIELD:
		return event->args[2];
	case GT_EV_GO_SYSCALL:
	case GT_EV_GO_STACK:
	case GT_EV_EVENT_STACK:
	case GT_EV_SYSCALL_STACK:
		return event->args[1];
	case GT_EV_CPU_SAMPLE:
		return event->args[3];
	case GT_EV_ALLOC:
		return event->args[4];
	default:
		return 0;
	}
}

static void note(struct gt__insides *insides, const struct gt_trace *trace, const struct gt_event *event)
{
	uint64_t stack = stack_of(event), g = event->args[0];
	const struct gt_trace_goroutine *known = stack && g ? gt_trace_goroutine(trace, g) : NULL;
	struct start *start = known ? start_at(insides, trace, known->start_pc) : NULL;
	const char *inside;
	uintptr_t tries;

	if (!start || !start->wrapper || gt__map_get(&insides->names, g))
		return;
	tries = (uintptr_t)gt__map_get(&insides->tries, g);
	if (tries == TRIES || insides->names.count == INSIDES_MAX || insides->tries.count == INSIDES_MAX)
		return;
	inside = gt__wrapped(trace, stack, start->wrapper);
	if (tries)
		gt__map_remove(&insides->tries, g);
	/* Without memory it keeps its wrapper's name. */
	if (!inside) {
		(void)gt__map_put(&insides->tries, g, (void *)(tries + 1));
		return;
	}
	(void)gt__map_put(&insides->names, g, (void *)(uintptr_t)inside);
	if (!start->inside)
		start->inside = inside;
	start->mixed |= strcmp(start->inside, inside) != 0;
}

/* All of the trace, and back to the place behind event number @at. */
static void look_ahead(struct gt__insides *insides, struct gt_trace *trace, uint64_t at)
{
	struct gt_event event;

	insides->known = true;
	if (gt_trace_rewind(trace) < 0)
		return;
	while (gt_trace_next(trace, &event) > 0)
		note(insides, trace, &event);
	if (gt_trace_rewind(trace) < 0)
		return;
	for (uint64_t i = 0; i < at; i++)
		if (gt_trace_next(trace, &event) <= 0)
			return;
}

const char *gt__insides_function(
	struct gt__insides *insides, struct gt_trace *trace, uint64_t g, uint64_t start_pc, uint64_t at)
{
	const struct start *start = start_at(insides, trace, start_pc);
	const char *name;

	if (!start || !start->wrapper)
		return start_pc ? gt_trace_function(trace, start_pc) : NULL;
	if (!insides->known)
		look_ahead(insides, trace, at);
	name = gt__map_get(&insides->names, g);
	if (!name && !start->mixed)
		name = start->inside;
	return name ? name : start->wrapper;
}

void gt__insides_free(struct gt__insides *insides)
{
	struct start *start;
	size_t at = 0;

	while ((start = gt__map_each(&insides->starts, &at)))
		free(start);
	gt__map_free(&insides->starts);
	gt__map_free(&insides->names);
	gt__map_free(&insides->tries);
}
