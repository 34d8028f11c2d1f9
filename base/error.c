/* error.c - formats the one line of struct gt_error. */
#include "base/error.h"

#include <stdio.h>
#include <string.h>

/* What a user or a file gave may hold anything: it stays one line, and moves no cursor. */
static void one_line(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}

int gt_fail(struct gt_error *err, int code, const char *format, ...)
{
	if (err) {
		va_list args;

		va_start(args, format);
		vsnprintf(err->text, sizeof(err->text), format, args);
		va_end(args);
		one_line(err->text);
	}
	return code > 0 ? -code : code;
}

int gt_fail_prefix(struct gt_error *err, int ret, const char *format, ...)
{
	if (err) {
		char line[sizeof(err->text)];
		va_list args;
		size_t used;

		va_start(args, format);
		vsnprintf(line, sizeof(line), format, args);
		va_end(args);
		one_line(line);
		used = strlen(line);
		snprintf(line + used, sizeof(line) - used, ": %.*s", (int)sizeof(err->text) - 3, err->text);
		memcpy(err->text, line, sizeof(line));
	}
	return ret;
}
