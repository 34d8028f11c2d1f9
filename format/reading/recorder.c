/* recorder.c - META `recorder`: what recording cost. */
#include "format/reading/trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The number behind "name="; negative or absent: 0. */
static double number(const char *text, const char *name)
{
	size_t length = strlen(name);

	for (const char *at = text; at && *at; at = strchr(at, ' '), at = at ? at + 1 : NULL)
		if (strncmp(at, name, length) == 0 && at[length] == '=') {
			double value = strtod(at + length + 1, NULL);

			return value > 0 && value < 1e18 ? value : 0;
		}
	return 0;
}

bool gt_trace_recorder(const struct gt_trace *trace, struct gt_trace_recorder *out)
{
	const char *text = gt_trace_meta(trace, "recorder");
	double span_s = text ? number(text, "span_ns") / 1e9 : 0;

	*out = (struct gt_trace_recorder){0};
	if (!(span_s > 0))
		return false;
	out->events_per_s = number(text, "events") / span_s;
	out->bytes_per_s = number(text, "bytes") / span_s;
	out->record_ns = number(text, "record_ns");
	out->program_cpu_ns = (uint64_t)number(text, "program_ns");
	out->own_cpu_ns = (uint64_t)number(text, "own_ns");
	out->hooks_ns = (uint64_t)number(text, "hooks_ns");
	return true;
}

/* 1234567 -> "1.23 M" */
static const char *scaled(double value, char text[32])
{
	static const char *const units[] = {"", "k", "M", "G", "T"};
	size_t unit = 0;

	while (value >= 1000 && unit < 4) {
		value /= 1000;
		unit++;
	}
	snprintf(text, 32, "%.*f %s", value < 10 && unit ? 2 : value < 100 && unit ? 1 : 0, value, units[unit]);
	return text;
}

bool gt_trace_recorder_text(const struct gt_trace *trace, char *out, size_t size)
{
	struct gt_trace_recorder cost;
	char events[32], bytes[32];
	int used;

	if (!gt_trace_recorder(trace, &cost))
		return false;
	used = snprintf(out, size, "%sevents/s, %sB/s, at least %.1f ns a record: ", scaled(cost.events_per_s, events),
		scaled(cost.bytes_per_s, bytes), cost.record_ns);
	if (used < 0 || (size_t)used >= size)
		return true;
	if (cost.program_cpu_ns)
		snprintf(out + used, size - (size_t)used,
			"hooks at least %.2f %% of the program's %.1f ms of CPU time; gtrace beside it took %.1f ms",
			100 * (double)cost.hooks_ns / (double)cost.program_cpu_ns, (double)cost.program_cpu_ns / 1e6,
			(double)cost.own_cpu_ns / 1e6);
	else
		snprintf(out + used, size - (size_t)used, "the program's CPU time is not known");
	return true;
}
