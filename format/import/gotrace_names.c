/* gotrace_names.c - the table of events as data. */
#include "format/import/gotrace.h"

const struct gt_gotrace_spec gt_gotrace_specs[256] = {
#define GT_GOTRACE(number, NAME, text_, args_, count_, stacks_, strings_, kind_) \
	[number] = {.text = text_, \
		.args = args_, \
		.kind = kind_, \
		.arg_count = count_, \
		.stacks = stacks_, \
		.strings = strings_},
#include "format/import/gotrace.def"
#undef GT_GOTRACE
	[GT_GOTRACE_CPU_SAMPLE] = {.text = NULL, .args = "stack", .kind = "StackSample", .arg_count = 1, .stacks = 1},
	[GT_GOTRACE_SYNC] = {.text = NULL, .args = "n", .kind = "Sync", .arg_count = 1},
};
