/* error.c - formats the one line of struct gt_error. */
#include "base/error.h"

#include <stdio.h>
#include <string.h>

static char plain(char c)
{
	return (unsigned char)c < ' ' || c == 0x7f ? '?' : c;
}

char *gt_one_line(char *text)
{
	for (char *at = text; *at; at++)
		*at = plain(*at);
	return text;
}

void gt_put_one_line(FILE *out, const char *text)
{
	for (; *text; text++)
		putc(plain(*text), out);
}

int gt_fail(struct gt_error *err, int code, const char *format, ...)
{
	if (err) {
		va_list args;

		va_start(args, format);
		vsnprintf(err->text, sizeof(err->text), format, args);
		va_end(args);
		gt_one_line(err->text);
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
		gt_one_line(line);
		used = strlen(line);
		snprintf(line + used, sizeof(line) - used, ": %.*s", (int)sizeof(err->text) - 3, err->text);
		memcpy(err->text, line, sizeof(line));
	}
	return ret;
}
