/*
 * api.h - what the page asks, and its answers. docs/viewer.md has the list.
 *
 * Bytes come from a browser: whatever they say, the answer is one, or an error in JSON.
 */
#ifndef GT_VIEWER_API_H
#define GT_VIEWER_API_H

#include "viewer/index.h"

struct gt_api_answer {
	unsigned int status;
	const char *type;
	char *bytes; /* malloc'd */
	size_t size;
};

/* The value of a parameter, or NULL. */
typedef const char *gt_api_param(void *request, const char *name);

/* @what: "info", "rows"... The caller has entered the index. */
void gt_api(
	const struct gt_index *index, const char *what, gt_api_param *param, void *request, struct gt_api_answer *out);

#endif
