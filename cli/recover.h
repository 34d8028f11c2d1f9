/*
 * recover.h - a crash file's bytes in, a trace out. Everything in them is hostile.
 */
#ifndef GT_CLI_RECOVER_H
#define GT_CLI_RECOVER_H

#include "base/error.h"

#include <stdint.h>

struct gt_recovered {
	char text[512]; /* what was kept and lost, in a line */
};

/* @map: @bytes, all of the file, writable and the caller's. @output: the trace's path; its program's file, if it is the same, is looked at
 * for names. -EBADMSG, -EPROTONOSUPPORT, or what the writing gave. */
int gt_recover(void *map, uint64_t bytes, const char *output, struct gt_recovered *out, struct gt_error *err);

#endif
