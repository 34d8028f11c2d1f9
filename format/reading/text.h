/*
 * text.h - a trace as text.
 *
 *   gt_text_event    one event, for people: names for what has one
 *   gt_text_events   all of them in order, a line each
 *   gt_text_write    the file itself, record by record in its own order; exact: gt_text_read (format/text) makes
 *                    the same records in the same frames of it. The format is told in docs/text.md
 */
#ifndef GT_FORMAT_TEXT_H
#define GT_FORMAT_TEXT_H

#include "format/reading/trace.h"

#include <stdio.h>

/* "GoRun g=5 (main.worker) old=runnable p=1", cut at @size. */
void gt_text_event(const struct gt_trace *trace, const struct gt_event *event, char *text, size_t size);

/* Rewinds; one line an event: time in ns, M, the event. 0 or -errno of writing. */
int gt_text_events(struct gt_trace *trace, FILE *out, struct gt_error *err);

/* Leaves the place of gt_trace_next where it is. What is damaged beyond records is told in lines that begin with #. */
int gt_text_write(struct gt_trace *trace, FILE *out, struct gt_error *err);

#endif
