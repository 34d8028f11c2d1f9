/*
 * trace.h - an opened .gtrace file, or one of Go's own traces: its tables, and its events in the order in which they happened.
 *
 *   file --reader--> blocks of one M's events --order--> gt_trace_next: one event after the other
 *
 * Everything in the file is hostile. Memory is O(live goroutines + Ms + names + events between two
 * watermarks), with a limit on the last: a file that would break it gets a damage report, not memory.
 * A damaged or cut file gives what is whole, then gt_trace_damage tells what was not.
 * Pointers that a trace gives stay valid until gt_trace_close, but for gt_trace_goroutine's. One thread at a time.
 */
#ifndef GT_FORMAT_TRACE_H
#define GT_FORMAT_TRACE_H

#include "base/error.h"
#include "format/wire/event.h"

struct gt_trace;

/* Fails with one line when @path is neither a .gtrace file nor a trace of Go's, of another major version, or cannot be read. */
int gt_trace_open(const char *path, struct gt_trace **out, struct gt_error *err);
int gt_trace_open_memory(const void *bytes, size_t size, struct gt_trace **out, struct gt_error *err);
void gt_trace_close(struct gt_trace *trace);

/* The next event, in order: 1 and *event, 0 at the end. Damage never ends the program: what follows it that is
 * whole is given; gt_trace_damage counts. A file that cannot be read on (I/O, memory) ends there, as damage. */
int gt_trace_next(struct gt_trace *trace, struct gt_event *event);
/* Back to the first event. Tables stay. */
int gt_trace_rewind(struct gt_trace *trace);

/* Reads the whole file once without giving events, so that all tables, metas and losses are known; then rewinds. Cheap for a file
 * with an index as far as META and LOSS go; names come with the events that use them, so most callers need it not. */
int gt_trace_scan(struct gt_trace *trace);

/* Tables, as far as read. Absent: NULL or 0. */
const char *gt_trace_meta(const struct gt_trace *trace, const char *key);
const char *gt_trace_string(const struct gt_trace *trace, uint64_t id); /* NUL-ended, UTF-8; "" for 0; NULL unknown */

struct gt_trace_line {
	const char *function;
	const char *file;
	uint32_t line;
};
struct gt_trace_pc {
	uint64_t pc;
	uint32_t count; /* lines, innermost first; 0 = nothing known */
	const struct gt_trace_line *lines;
};
const struct gt_trace_pc *gt_trace_pc(const struct gt_trace *trace, uint64_t pc);
/* Outermost function at @pc, or NULL. */
const char *gt_trace_function(const struct gt_trace *trace, uint64_t pc);

struct gt_trace_stack {
	uint32_t count;
	const uint64_t *pcs; /* innermost first */
};
const struct gt_trace_stack *gt_trace_stack(const struct gt_trace *trace, uint64_t id);

struct gt_trace_thread {
	uint64_t m;
	uint64_t tid;
	const char *name;
};
const struct gt_trace_thread *gt_trace_thread(const struct gt_trace *trace, uint64_t m);

/* From GoCreate or a GOROUTINE record; kept while the goroutine lives (and until the event after its end): ask again after each
 * gt_trace_next. */
struct gt_trace_goroutine {
	uint64_t g;
	uint64_t parent;
	uint64_t start_pc;
	uint64_t site_pc;
};
const struct gt_trace_goroutine *gt_trace_goroutine(const struct gt_trace *trace, uint64_t g);

/* What a WaitsOn tells, as far as events were given: "mutex#3" (the third mutex seen), "mutex "queue"" when the program named it,
 * "fd read 7", "sleep of 5000.000 us", "select of 2". Returns @out. */
#define GT_TRACE_OBJECT_BYTES 1200
const char *gt_trace_object(
	const struct gt_trace *trace, unsigned int what, uint64_t object, char out[GT_TRACE_OBJECT_BYTES]);
/* What descriptor @fd is (a path, addresses) at the event that was read last: a string's id, 0: not known. Of a system call's first
 * argument: 0 also when that is none. */
uint64_t gt_trace_fd(const struct gt_trace *trace, uint64_t fd);
uint64_t gt_trace_syscall_fd(const struct gt_trace *trace, uint64_t number, uint64_t arg0);
/* Of the traced machine; NULL: not known. */
const char *gt_trace_syscall(const struct gt_trace *trace, uint64_t number);

/* Iterate: @at starts at 0; false at the end. */
bool gt_trace_metas(const struct gt_trace *trace, size_t *at, const char **key, const char **value);
bool gt_trace_losses(const struct gt_trace *trace, size_t *at, const char **what, uint64_t *count);

/* What recording cost, as the recorder told it (META `recorder`): over the file's span, or a window's. False: it did not. */
struct gt_trace_recorder {
	double events_per_s, bytes_per_s;
	double record_ns;                              /* one record, measured */
	uint64_t hooks_ns, program_cpu_ns, own_cpu_ns; /* all records; 0 CPU time: not known */
};
bool gt_trace_recorder(const struct gt_trace *trace, struct gt_trace_recorder *out);
/* The same in one line. */
bool gt_trace_recorder_text(const struct gt_trace *trace, char *out, size_t size);

struct gt_trace_info {
	const char *
		source; /* whose file it is, in a word or two, when not gtrace's own: version_* are its format's; frames are its parts */
	uint64_t file_bytes;
	uint64_t frames; /* whole ones */
	uint64_t events; /* from the frame headers */
	uint64_t raw_bytes;
	int64_t span_ns; /* first event to the end (gt_trace_end_ns) or the last event, when an index tells; else to the last clock pair */
	int64_t complete_ns; /* the latest SINCE read so far: from here on every M's events are there; 0 = from the begin */
	int64_t start_realtime_ns; /* 0: not known */
	int64_t start_monotonic_ns;
	double ticks_per_second;
	uint16_t version_major, version_minor;
	bool window;
	bool cut; /* no index: the writer never came to its end */
};
void gt_trace_info(const struct gt_trace *trace, struct gt_trace_info *out);
/* When the recorder looked for the last time (META `end_ticks`): behind the last event nothing happened until then. As an event's time; 0: not
 * known. Of a file that was cut, the moment before which nothing is missing (the last frame's watermark). *@gone: the program was gone then, nobody
 * knows since when. */
int64_t gt_trace_end_ns(const struct gt_trace *trace, bool *gone);

struct gt_trace_damage {
	uint64_t frames_bad; /* checksum, unpacking, lengths */
	uint64_t records_bad;
	uint64_t events_lost;    /* sum of Lost events and LOSS totals so far */
	uint64_t order_repaired; /* inversions within the clock's skew, put right */
	uint64_t order_broken;   /* events that fit nowhere: given at their own time */
	char first[256];         /* the first damage in words, "" when none */
};
void gt_trace_damage(const struct gt_trace *trace, struct gt_trace_damage *out);

#endif
