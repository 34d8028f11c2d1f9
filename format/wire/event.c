/* event.c - the tables behind event.h, made from the .def files. */
#include "format/wire/event.h"

#define A(name, type) {#name, GT_ARG_##type},
#define GT_EVENT(number, name, text_, args_, meaning_) \
	[number] = {.text = text_, \
		.meaning = meaning_, \
		.arg_count = \
			sizeof((struct gt_arg_spec[]){args_{NULL, GT_ARG_NONE}}) / sizeof(struct gt_arg_spec) - 1, \
		.args = {args_}},
const struct gt_event_spec gt_event_specs[GT_EVENT_KIND_COUNT] = {
#include "format/wire/events.def"
};
#undef A
#undef GT_EVENT

static const char *const state_texts[GT_STATE_COUNT] = {
#define GT_STATE(number, name, text, meaning) [number] = text,
#include "format/wire/states.def"
#undef GT_STATE
};

static const char *const reason_texts[GT_REASON_COUNT] = {
#define GT_REASON(number, name, text) [number] = text,
#include "format/wire/reasons.def"
#undef GT_REASON
};

bool gt_state_known(unsigned int state)
{
	return state < GT_STATE_COUNT && state_texts[state];
}

bool gt_reason_known(unsigned int reason)
{
	return reason < GT_REASON_COUNT && reason_texts[reason];
}

const char *gt_state_text(unsigned int state)
{
	return gt_state_known(state) ? state_texts[state] : "?";
}

const char *gt_reason_text(unsigned int reason)
{
	return gt_reason_known(reason) ? reason_texts[reason] : "?";
}
