/*
 * error.h - one line that says what happened, to what, and what to try.
 *
 * A function that can fail for a reason its caller cannot know takes a struct gt_error
 * and returns 0 or -errno. Whoever talks to the user prints the text behind "gtrace: ".
 */
#ifndef GT_BASE_ERROR_H
#define GT_BASE_ERROR_H

#include <stdarg.h>
#include <stdio.h>

struct gt_error {
	char text[512]; /* one line, no newline or other control character ("?" in its place), no "gtrace: " prefix */
};

/* Writes the line (cut at the size of @err->text) and returns -@code, so that a caller can
 * `return gt_fail(err, ENOENT, "...")`. @err may be NULL: then only the code is given. */
int gt_fail(struct gt_error *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4), cold));

/* Puts a phrase before the line that is there ("FILE: what happened"). Returns @ret. */
int gt_fail_prefix(struct gt_error *err, int ret, const char *format, ...) __attribute__((format(printf, 3, 4), cold));

/* What a user or a file gave may hold anything: it stays one line, and moves no cursor ("?" in place of control characters). */
char *gt_one_line(char *text);
void gt_put_one_line(FILE *out, const char *text);

#endif
