/* validate.c - the verdict on an execution. */
#include "format/reading/validate.h"
#include "format/reading/internal.h"
#include "format/reading/text.h"

const char *gt_verdict_kind(enum gt_model_fit fit)
{
	static const char *const words[GT_FIT_COUNT] = {
		[GT_FIT] = "fits",
		[GT_FIT_CHAIN] = "chain of states broken",
		[GT_FIT_UNBORN] = "goroutine that does not live",
		[GT_FIT_REBORN] = "created twice",
		[GT_FIT_M_BUSY] = "two goroutines on one M",
		[GT_FIT_P_TAKEN] = "one P on two Ms",
		[GT_FIT_NO_P] = "run without a P",
		[GT_FIT_NOT_HERE] = "goroutine on another M",
		[GT_FIT_TOLD] = "told of another event",
		[GT_FIT_NO_CALL] = "result without its system call",
	};

	return fit < GT_FIT_COUNT ? words[fit] : "?";
}

static void judge(struct gt_trace *trace, const struct gt_model *model, const struct gt_event *event,
	enum gt_model_fit fit, struct gt_verdict *out)
{
	/* Where things were there before the trace, a first event is no contradiction. */
	if (fit == GT_FIT_UNBORN && (trace->order.window || trace->tables.partial))
		return;
	if (gt__trace_explains(trace, gt_model_fit_since(model, event, fit), event->time_ns)) {
		out->explained++;
		out->explained_by[fit]++;
		return;
	}
	out->impossible_by[fit]++;
	if (out->impossible++)
		return;
	out->number = out->events;
	out->time_ns = event->time_ns;
	out->m = event->m;
	gt_text_event(trace, event, out->event, sizeof(out->event));
	gt_model_explain(model, event, fit, out->why, sizeof(out->why));
}

int gt_validate(struct gt_trace *trace, struct gt_verdict *out)
{
	struct gt_model *model;
	struct gt_event event;
	int ret = gt_trace_rewind(trace);

	if (ret < 0)
		return ret;
	ret = gt_model_new(&model);
	if (ret < 0)
		return ret;
	memset(out, 0, sizeof(*out));
	while (gt_trace_next(trace, &event) > 0) {
		enum gt_model_fit fit = gt_model_fits(model, &event);

		out->events++;
		if (fit != GT_FIT)
			judge(trace, model, &event, fit, out);
		gt_model_apply(model, &event);
	}
	gt_model_free(model);
	return 0;
}
