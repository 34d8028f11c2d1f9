/*
 * fake_trace.h - a trace made by a test instead of a file: format/reading/trace.h over arrays.
 *
 * The functions of trace.h that converters call are defined here, so link this or format/reading, not both.
 */
#ifndef GT_TESTS_FAKE_TRACE_H
#define GT_TESTS_FAKE_TRACE_H

#include "format/reading/trace.h"

struct gt_trace *fake_new(void);
void fake_free(struct gt_trace *trace);

/* Texts and arrays are the caller's and stay. */
void fake_event(struct gt_trace *trace, enum gt_event_kind kind, uint64_t m, int64_t time_ns, const uint64_t *args);
#define FAKE_EVENT(trace, kind, m, time_ns, ...) \
	fake_event(trace, GT_EV_##kind, m, time_ns, (const uint64_t[GT_EVENT_ARGS_MAX]){__VA_ARGS__})
void fake_meta(struct gt_trace *trace, const char *key, const char *value);
void fake_string(struct gt_trace *trace, uint64_t id, const char *text);
void fake_pc(struct gt_trace *trace, uint64_t pc, const char *function, const char *file, uint32_t line);
void fake_stack(struct gt_trace *trace, uint64_t id, const uint64_t *pcs, uint32_t count);
void fake_thread(struct gt_trace *trace, uint64_t m, uint64_t tid, const char *name);
void fake_goroutine(struct gt_trace *trace, uint64_t g, uint64_t start_pc);
void fake_loss(struct gt_trace *trace, const char *what, uint64_t count);
void fake_complete(struct gt_trace *trace, int64_t complete_ns);
struct gt_trace_damage *fake_damage(struct gt_trace *trace);

/* The same as a real file, by the writer. Dies when that fails. */
void fake_write(const struct gt_trace *trace, const char *path);

#endif
