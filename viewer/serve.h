/*
 * serve.h - the page and its answers over HTTP, for this machine's user alone.
 *
 * Bound to 127.0.0.1. Every address begins with a random word that only whoever started the server knows; a request must name the
 * server as its host (so a name that somebody points to 127.0.0.1 gets nothing), and must not come from a page of another origin.
 * GET and HEAD only. Nothing in the page refers to anything outside.
 */
#ifndef GT_VIEWER_SERVE_H
#define GT_VIEWER_SERVE_H

#include "viewer/findings.h"
#include "viewer/index.h"

#include <sys/types.h>

struct gt_serve;

struct gt_serve_config {
	const struct gt_index *index;
	struct gt_findings *findings; /* may be NULL */
	const char *title;            /* the file's name */
	unsigned int port;            /* 0: any that is free */
	/* Writes the trace in Perfetto's format to @fd: 0 or -errno. On a thread of its own, one at a time; when the server ends
	 * writing fails. May be NULL. */
	int (*perfetto)(void *context, int fd);
	void *context;
};

/* 0, or -errno and the line. Answers on a thread of its own until gt_serve_stop. */
int gt_serve_start(const struct gt_serve_config *config, struct gt_serve **out, struct gt_error *err);
/* http://127.0.0.1:PORT/WORD/ */
const char *gt_serve_address(const struct gt_serve *serve);
void gt_serve_stop(struct gt_serve *serve);

#endif
