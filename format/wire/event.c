/* event.c - the tables behind event.h, made from the .def files. */
#include "format/wire/event.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

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

static const char *const object_texts[GT_OBJECT_COUNT] = {
#define GT_OBJECT(number, name, text, meaning) [number] = text,
#include "format/wire/objects.def"
#undef GT_OBJECT
};

static const char *const cause_texts[GT_CAUSE_COUNT] = {
#define GT_CAUSE(number, name, text, meaning) [number] = text,
#include "format/wire/causes.def"
#undef GT_CAUSE
};

const struct gt_set_spec gt_set_specs[GT_SETS_MAX + 1] = {
#define GT_SET(bit_, name, text_, by_default_, meaning_) \
	{.text = text_, .meaning = meaning_, .bit = 1u << (bit_), .by_default = by_default_},
#include "format/wire/sets.def"
#undef GT_SET
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

bool gt_object_known(unsigned int object)
{
	return object < GT_OBJECT_COUNT && object_texts[object];
}

bool gt_cause_known(unsigned int cause)
{
	return cause < GT_CAUSE_COUNT && cause_texts[cause];
}

const char *gt_object_text(unsigned int object)
{
	return gt_object_known(object) ? object_texts[object] : "?";
}

const char *gt_cause_text(unsigned int cause)
{
	return gt_cause_known(cause) ? cause_texts[cause] : "?";
}

bool gt_object_is_address(unsigned int object)
{
	switch (object) {
	case GT_OBJECT_NONE:
	case GT_OBJECT_SELECT:
	case GT_OBJECT_FD_READ:
	case GT_OBJECT_FD_WRITE:
	case GT_OBJECT_FD_ACCEPT:
	case GT_OBJECT_FD_CONNECT:
	case GT_OBJECT_SLEEP:
		return false;
	default:
		return true;
	}
}

uint32_t gt_sets_default(void)
{
	uint32_t sets = 0;

	for (const struct gt_set_spec *set = gt_set_specs; set->text; set++)
		sets |= set->by_default ? set->bit : 0;
	return sets;
}

char *gt_sets_text(uint32_t sets, char *out)
{
	char *to = out;

	for (const struct gt_set_spec *set = gt_set_specs; set->text; set++) {
		if (!(sets & set->bit))
			continue;
		if (to != out)
			*to++ = ',';
		to = stpcpy(to, set->text);
	}
	*to = '\0';
	return out;
}

char *gt_counts_text(const uint64_t by_kind[GT_EVENT_KIND_COUNT], char out[GT_COUNTS_BYTES])
{
	size_t used = 0;

	out[0] = '\0';
	for (unsigned int kind = 0; kind < GT_EVENT_KIND_COUNT && used < GT_COUNTS_BYTES - 64; kind++)
		if (by_kind[kind] && gt_event_specs[kind].text)
			used += (size_t)snprintf(out + used, GT_COUNTS_BYTES - used, "%s%s=%" PRIu64, used ? " " : "",
				gt_event_specs[kind].text, by_kind[kind]);
	return out;
}
