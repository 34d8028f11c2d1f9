/*
 * pprof.h - writes one profile in pprof's format: profile.proto, gzipped.
 *
 * The caller gives what it has, in any order but this: what is referred to comes first. Everything is held in memory until the
 * end. An error is kept and returned by _finish; calls after it do nothing. Ids begin at 1; 0 means none.
 */
#ifndef GT_FORMAT_PPROF_PPROF_H
#define GT_FORMAT_PPROF_PPROF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gt_pprof;

struct gt_pprof_mapping {
	uint64_t start, limit, offset;
	const char *file;     /* NULL or "": unknown */
	const char *build_id; /* in hex; NULL or "": unknown */
	/* What all its locations have: then nobody looks for it in the file. */
	bool has_functions, has_files, has_lines, has_inlines;
};

struct gt_pprof_line {
	uint64_t function;
	int64_t line;
};

/* @text NULL: a number, of @unit ("" or NULL: none). */
struct gt_pprof_label {
	const char *key;
	const char *text;
	int64_t number;
	const char *unit;
};

/* NULL without memory. */
struct gt_pprof *gt_pprof_new(void);
void gt_pprof_free(struct gt_pprof *profile);

/* Each sample has one value for each of these. */
void gt_pprof_sample_type(struct gt_pprof *profile, const char *type, const char *unit);
/* The one to show first. */
void gt_pprof_default_type(struct gt_pprof *profile, const char *type);
void gt_pprof_period(struct gt_pprof *profile, const char *type, const char *unit, int64_t period);
/* Of the beginning, since 1970; and how long. */
void gt_pprof_time(struct gt_pprof *profile, int64_t time_ns, int64_t duration_ns);
void gt_pprof_comment(struct gt_pprof *profile, const char *text);

uint64_t gt_pprof_mapping(struct gt_pprof *profile, const struct gt_pprof_mapping *mapping);
/* The same name, file and line give the same id. */
uint64_t gt_pprof_function(struct gt_pprof *profile, const char *name, const char *file, int64_t start_line);
/* @lines: inlined calls first, the function that holds them last; the caller gives one location an address. */
uint64_t gt_pprof_location(struct gt_pprof *profile, uint64_t mapping, uint64_t address,
	const struct gt_pprof_line *lines, size_t line_count);
/* @locations: the innermost first. */
void gt_pprof_sample(struct gt_pprof *profile, const uint64_t *locations, size_t depth, const int64_t *values,
	const struct gt_pprof_label *labels, size_t label_count);

/* 0 and bytes that the caller frees, or -errno. */
int gt_pprof_finish(struct gt_pprof *profile, void **bytes, size_t *size);

#endif
