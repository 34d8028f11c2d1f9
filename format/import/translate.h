/*
 * translate.h - a Go trace as gtrace's own events and names. docs/go-traces.md tells what becomes of what.
 *
 * Events come in order; one of Go's becomes none, one or two of ours. Names are told before the first event that uses them, as records of
 * docs/format.md: ids are of the whole trace, whatever generation they come from. Memory is that of gotrace.h, and the names.
 */
#ifndef GT_FORMAT_TRANSLATE_H
#define GT_FORMAT_TRANSLATE_H

#include "format/import/gotrace.h"
#include "format/wire/event.h"

/* Types of records, as docs/format.md numbers them. */
enum gt__import_record {
	GT__IMPORT_META = 1,
	GT__IMPORT_STRING,
	GT__IMPORT_PC,
	GT__IMPORT_STACK,
	GT__IMPORT_THREAD,
	GT__IMPORT_GOROUTINE,
};

struct gt__import_sink {
	void *user;
	/* A record's bytes, without its type and length. Names that find no room stay unknown: nothing comes back. */
	void (*record)(void *user, unsigned int type, const uint8_t *bytes, size_t size);
};

struct gt__translate;

/* @source is the translator's from now on, also when it fails. */
int gt__translate_new(struct gt_gotrace *source, const struct gt__import_sink *sink, struct gt__translate **out);
void gt__translate_free(struct gt__translate *translate);
int gt__translate_rewind(struct gt__translate *translate);

/* 1 and *event, 0 at the end (gt_gotrace_error of the source), -ENOMEM. */
int gt__translate_next(struct gt__translate *translate, struct gt_event *event);

struct gt_gotrace *gt__translate_source(const struct gt__translate *translate);

/* Known from the first event on; before it all zeros. Ticks are ns of the trace's clock. */
struct gt__translate_clock {
	uint64_t start_ticks;
	int64_t start_monotonic_ns;
	int64_t start_realtime_ns; /* 0: not known (before Go 1.25) */
};
void gt__translate_clock(const struct gt__translate *translate, struct gt__translate_clock *out);

#endif
