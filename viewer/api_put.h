/*
 * api_put.h - between api's files: parameters in, JSON out.
 */
#ifndef GT_VIEWER_API_PUT_H
#define GT_VIEWER_API_PUT_H

#include "format/convert/sink.h"
#include "viewer/api.h"

#define GT__ROWS_MAX    512 /* of one question */
#define GT__COLUMNS_MAX 8192
#define GT__LIST_MAX    5000

struct gt__asked {
	gt_api_param *param;
	void *request;
};

/* Numbers that are none, or are missing, are @otherwise; words are never NULL. */
int64_t gt__number(const struct gt__asked *asked, const char *name, int64_t otherwise);
const char *gt__words(const struct gt__asked *asked, const char *name);
/* The next number of "1,2,3", which must be below @most; false at the end. */
bool gt__next_of(const char **list, uint32_t most, uint32_t *out);
/* Is @part in @text, in whatever case? */
bool gt__contains(const char *text, const char *part);

/* Which slices are meant: all parameters that tables share. */
struct gt__chosen {
	int64_t t0, t1;              /* touching that stretch */
	int64_t group, row;          /* of these goroutines; -1: any */
	int64_t state, reason, call; /* -1: any; call: a system call's number */
	int64_t min_ns;
};
struct gt__chosen gt__chosen(const struct gt_index *index, const struct gt__asked *asked);
bool gt__is_chosen_row(const struct gt__chosen *chosen, const struct gt_index *index, uint32_t row);
bool gt__is_chosen(const struct gt__chosen *chosen, const struct gt_index_slice *slice);

void gt__put(struct gt_sink *out, const char *text);
void gt__put_number(struct gt_sink *out, const char *before, int64_t value);
void gt__put_string(struct gt_sink *out, const char *before, const char *text);
void gt__put_times(struct gt_sink *out, const char *before, const uint64_t ns[GT_INDEX_STATES]);
void gt__put_row(const struct gt_index *index, struct gt_sink *out, uint32_t at);
/* ,"stack":[{"function","file","line"}...] */
void gt__put_stack(const struct gt_index *index, struct gt_sink *out, uint32_t id);
/* A row, and its slice at a time: where a click goes. */
/* What M @m's thread did between two times, as the kernel tells: a member "cpu", or nothing. */
void gt__put_cpu(const struct gt_index *index, struct gt_sink *out, uint64_t m, int64_t since_ns, int64_t end_ns);
void gt__put_place(const struct gt_index *index, struct gt_sink *out, const char *before, uint32_t row, int64_t at_ns);
/* ,"object":"mutex#3" and who holds it */
void gt__put_object(const struct gt_index *index, struct gt_sink *out, uint32_t at, int64_t at_ns);
/* One mark as an object. */
void gt__put_mark(const struct gt_index *index, struct gt_sink *out, const struct gt_mark *mark);
/* What is said of a slice in lists: its row, times, state, reason, call, object. */
void gt__put_brief(const struct gt_index *index, struct gt_sink *out, uint32_t row, uint32_t slice);

/* api_slice.c */
void gt__api_slice(const struct gt_index *index, const struct gt__asked *asked, struct gt_sink *out);
void gt__api_chain(const struct gt_index *index, const struct gt__asked *asked, struct gt_sink *out);
void gt__api_task(const struct gt_index *index, const struct gt__asked *asked, struct gt_sink *out);
void gt__api_marks(const struct gt_index *index, const struct gt__asked *asked, struct gt_sink *out);

/* api_tables.c */
void gt__api_counters(const struct gt_index *index, const struct gt__asked *asked, struct gt_sink *out);
void gt__api_flames(const struct gt_index *index, const struct gt__asked *asked, struct gt_sink *out);
void gt__api_functions(const struct gt_index *index, const struct gt__asked *asked, struct gt_sink *out);
void gt__api_durations(const struct gt_index *index, const struct gt__asked *asked, struct gt_sink *out);
void gt__api_longest(const struct gt_index *index, const struct gt__asked *asked, struct gt_sink *out);
void gt__api_spans(const struct gt_index *index, const struct gt__asked *asked, struct gt_sink *out);

#endif
