/*
 * fuzz_trigger.c - any text as a trigger's expression. What is accepted stays within its bounds, and is the same one when its text is
 * parsed again; what is not has one line that says so.
 */
#include "libtrace/triggers.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gt_trigger trigger, again;
	struct gt_error err = {""};
	/* Just these bytes and a zero: a sanitizer sees the step behind them. */
	char *text = malloc(size + 1);

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = 0;
	if (gt_trigger_parse(text, &trigger, &err) < 0) {
		if (!err.text[0] || strchr(err.text, '\n'))
			abort();
	} else {
		if (strlen(trigger.text) >= sizeof(trigger.text) || strlen(trigger.name) >= sizeof(trigger.name) ||
			trigger.limit > INT64_MAX)
			abort();
		if (gt_trigger_parse(trigger.text, &again, &err) != 0 || memcmp(&trigger, &again, sizeof(again)) != 0)
			abort();
	}
	free(text);
	return 0;
}
