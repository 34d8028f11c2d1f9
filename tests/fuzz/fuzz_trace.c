/* fuzz_trace.c - any bytes as a .gtrace file: everything that a reader can ask of it. */
#include "format/reading/text.h"
#include "format/reading/validate.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(struct gt_trace *trace, const struct gt_event *event)
{
	const struct gt_event_spec *spec = &gt_event_specs[event->kind];

	if (!spec->text)
		abort();
	for (unsigned int i = 0; i < spec->arg_count; i++) {
		if (spec->args[i].type == GT_ARG_STATE && !gt_state_known((unsigned int)event->args[i]))
			abort();
		if (spec->args[i].type == GT_ARG_REASON && !gt_reason_known((unsigned int)event->args[i]))
			abort();
		gt_trace_goroutine(trace, event->args[i]);
		gt_trace_stack(trace, event->args[i]);
		gt_trace_string(trace, event->args[i]);
		gt_trace_function(trace, event->args[i]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static FILE *nowhere;
	struct gt_trace *trace;
	struct gt_verdict verdict;
	struct gt_error err;
	struct gt_event event;
	int64_t last = INT64_MIN;
	uint64_t count = 0;

	if (!nowhere)
		nowhere = fopen("/dev/null", "w");
	if (gt_trace_open_memory(data, size, &trace, &err) < 0)
		return 0;
	while (gt_trace_next(trace, &event) > 0) {
		if (event.time_ns < last)
			abort();
		last = event.time_ns;
		count++;
		ask(trace, &event);
	}
	gt_text_write(trace, nowhere, &err);
	gt_text_events(trace, nowhere, &err);
	if (gt_validate(trace, &verdict) < 0 || verdict.events != count)
		abort();
	gt_trace_close(trace);
	return 0;
}
