/* units.c - durations and sizes, as users write and read them. */
#include "cli/cli.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct unit {
	const char *name;
	uint64_t factor;
};

/* A decimal number with at most 9 digits behind the point, then one of the units. */
static bool parse(const char *text, const struct unit *units, uint64_t *out)
{
	uint64_t whole = 0, fraction = 0, scale = 1;
	const char *at = text;

	if (!isdigit((unsigned char)*at))
		return false;
	for (; isdigit((unsigned char)*at); at++) {
		if (whole > (UINT64_MAX - 9) / 10)
			return false;
		whole = whole * 10 + (uint64_t)(*at - '0');
	}
	if (*at == '.') {
		at++;
		if (!isdigit((unsigned char)*at))
			return false;
		for (; isdigit((unsigned char)*at); at++) {
			if (scale >= 1000000000)
				return false;
			fraction = fraction * 10 + (uint64_t)(*at - '0');
			scale *= 10;
		}
	}
	for (; units->name; units++) {
		unsigned __int128 value;

		if (strcmp(at, units->name) != 0)
			continue;
		value = (unsigned __int128)whole * units->factor + (unsigned __int128)fraction * units->factor / scale;
		if (value > INT64_MAX)
			return false;
		*out = (uint64_t)value;
		return true;
	}
	return false;
}

bool gt_parse_duration(const char *text, uint64_t *ns)
{
	static const struct unit units[] = {
		{"ns", 1},
		{"us", 1000},
		{"µs", 1000},
		{"ms", 1000000},
		{"s", 1000000000},
		{"m", 60000000000},
		{"h", 3600000000000},
		{NULL, 0},
	};

	if (strcmp(text, "0") == 0) {
		*ns = 0;
		return true;
	}
	return parse(text, units, ns);
}

bool gt_parse_size(const char *text, uint64_t *bytes)
{
	static const struct unit units[] = {
		{"", 1},
		{"B", 1},
		{"K", 1024},
		{"KiB", 1024},
		{"M", 1048576},
		{"MiB", 1048576},
		{"G", 1073741824},
		{"GiB", 1073741824},
		{NULL, 0},
	};

	return parse(text, units, bytes);
}

char *gt_format_duration(uint64_t ns, char *out)
{
	if (ns < 1000)
		snprintf(out, 32, "%llu ns", (unsigned long long)ns);
	else if (ns < 1000000)
		snprintf(out, 32, "%.1f us", (double)ns / 1e3);
	else if (ns < 1000000000)
		snprintf(out, 32, "%.1f ms", (double)ns / 1e6);
	else
		snprintf(out, 32, "%.3f s", (double)ns / 1e9);
	return out;
}

char *gt_format_size(uint64_t bytes, char *out)
{
	if (bytes < 1024)
		snprintf(out, 32, "%llu B", (unsigned long long)bytes);
	else if (bytes < 1048576)
		snprintf(out, 32, "%.1f KiB", (double)bytes / 1024);
	else if (bytes < 1073741824)
		snprintf(out, 32, "%.1f MiB", (double)bytes / 1048576);
	else
		snprintf(out, 32, "%.2f GiB", (double)bytes / 1073741824);
	return out;
}
