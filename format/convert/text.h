/*
 * text.h - names, strings and stacks of a trace as text for JSON: escaped once, cut at a length, kept while they are wanted.
 *
 * Names of start functions stay until gt__texts_free, as rows point to them. Everything else stands in a cache of
 * bounded size: it is valid until the next call that is not gt__texts_name.
 */
#ifndef GT_FORMAT_TEXT_H
#define GT_FORMAT_TEXT_H

#include "format/convert/map.h"
#include "format/reading/trace.h"

#define GT__NAME_BYTES_MAX  200  /* of a function's or a region's name, before escapes */
#define GT__STACK_BYTES_MAX 6000 /* of a stack, before escapes */

struct gt__text {
	size_t size;
	char bytes[]; /* escaped, not NUL-ended */
};

struct gt__texts {
	const struct gt_trace *trace;
	struct gt__map names; /* function, a pointer to its name in the trace */
	struct gt__map stacks, strings, pcs, objects;
	size_t cache_bytes;
};

void gt__texts_init(struct gt__texts *texts, const struct gt_trace *trace);
void gt__texts_free(struct gt__texts *texts);

/* Each gives NULL when nothing is known, or no memory is left. @function is a string of the trace's, or NULL. */
const struct gt__text *gt__texts_name(struct gt__texts *texts, const char *function);
const struct gt__text *gt__texts_string(struct gt__texts *texts, uint64_t id);
/* "function file:line" */
const struct gt__text *gt__texts_pc(struct gt__texts *texts, uint64_t pc);
/* "function file:line < caller file:line < ..." */
const struct gt__text *gt__texts_stack(struct gt__texts *texts, uint64_t id);

/* "mutex#3". */
const struct gt__text *gt__texts_object(struct gt__texts *texts, unsigned int what, uint64_t object);
/* What lies at the address has a new name. */
void gt__texts_object_named(struct gt__texts *texts, uint64_t object);

/* @text escaped, cut at @max bytes between two characters (then it ends with "..."). For the caller to free. */
struct gt__text *gt__text_new(const char *text, size_t max);

#endif
