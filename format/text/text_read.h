/*
 * text_read.h - the exact text of a trace (gt_text_write, docs/text.md) back to a .gtrace file.
 *
 * Hostile input too: a line that cannot be understood ends it with its number; nothing is guessed.
 */
#ifndef GT_FORMAT_TEXT_READ_H
#define GT_FORMAT_TEXT_READ_H

#include "base/error.h"

#include <stdio.h>

/* Reads @in to its end and writes the file to @out: 0, or -EBADMSG with the line's number, or another -errno. */
int gt_text_read(FILE *in, FILE *out, struct gt_error *err);

#endif
