/*
 * writer.h - events and tables in, a .gtrace file out. docs/format.md says what the bytes mean.
 *
 *   gt_writer_open -> (meta | string | pc | stack | thread | goroutine | events | watermark)* -> gt_writer_close
 *
 * The file grows as NAME.partial and takes its final name in gt_writer_close: a file under the final name is
 * whole. NAME.partial is locked (flock): one of a dead writer is replaced, one of a living writer is an error.
 * A pipe, a device, /dev/stdout and /dev/fd/N are written in place; a broken pipe is an error, never a SIGPIPE.
 *
 * Frames of GT_WRITER_FRAME_BYTES are compressed here, or by a thread of the writer's own, and written by
 * io_uring while the next one fills; where io_uring is not allowed, write() is used and gt_writer_uses_uring
 * tells so.
 *
 * What survives: the death of this process at any instant leaves NAME.partial with every frame that the kernel
 * has taken. The death of the machine may cost what the kernel had not yet brought to the disk, the whole file
 * included: a trace is not worth the wait of an fsync, unless config.sync asks for it.
 *
 * Memory: about 7 MiB (9 with a worker), 32 bytes a frame up to 4 MiB, and what names, addresses and stacks
 * need: nothing grows with the events.
 * One thread at a time. After a failure (disk full...) every call returns the same error and does nothing.
 */
#ifndef GT_FORMAT_WRITER_H
#define GT_FORMAT_WRITER_H

#include "base/error.h"
#include "format/wire/event.h"

struct gt_writer;

struct gt_writer_config {
	const char *path; /* final name; an existing file is replaced at close only. With a sink: what errors call it */
	/* Takes the bytes instead, in order: 0, or -errno, after which it gets no more. On the thread that calls, or on the worker. */
	int (*sink)(void *context, const void *bytes, size_t size);
	void *sink_context;
	bool window; /* header flag: a snapshot of a window */
	uint64_t ticks_per_second;
	uint64_t start_ticks;
	int64_t start_realtime_ns;
	int64_t start_monotonic_ns;
	int compression_level; /* zstd; 0 = the default (1) */
	bool no_uring;         /* force write() */
	bool worker;           /* compress and write on a thread of the writer's own (all signals blocked in it) */
	bool sync;             /* in close: fdatasync before the rename, fsync of the directory after it */
};

/* Longer texts are cut there, at a character's end; stacks and inlined calls keep their innermost part. */
#define GT_WRITER_FRAME_BYTES    (1 << 20)
#define GT_WRITER_TEXT_BYTES_MAX 65535
#define GT_WRITER_STACK_PCS_MAX  1024
#define GT_WRITER_PC_LINES_MAX   256

int gt_writer_open(const struct gt_writer_config *config, struct gt_writer **out, struct gt_error *err);

int gt_writer_meta(struct gt_writer *writer, const char *key, const char *value);
int gt_writer_meta_number(struct gt_writer *writer, const char *key, uint64_t value);
int gt_writer_loss(struct gt_writer *writer, const char *what, uint64_t count);
int gt_writer_thread(struct gt_writer *writer, uint64_t m, uint64_t tid, const char *name);
int gt_writer_since(struct gt_writer *writer, uint64_t m, uint64_t ticks);
int gt_writer_goroutine(struct gt_writer *writer, uint64_t g, uint64_t parent, uint64_t start_pc, uint64_t site_pc);

/* The id of the string; the same bytes give the same id. Written when first seen. 0 for "". */
uint64_t gt_writer_string(struct gt_writer *writer, const char *bytes, size_t size);

/* The id that was kept for @key, which is not 0; 0: none any more. For texts that are slow to make and come again and again. */
uint64_t gt_writer_kept(const struct gt_writer *writer, uint64_t key);
void gt_writer_keep(struct gt_writer *writer, uint64_t key, uint64_t id);

/* What stands at @pc: @count lines, innermost first. Written once per pc: gt_writer_has_pc tells. */
struct gt_writer_line {
	uint64_t function; /* string ids */
	uint64_t file;
	uint32_t line;
};
bool gt_writer_has_pc(const struct gt_writer *writer, uint64_t pc);
int gt_writer_pc(struct gt_writer *writer, uint64_t pc, const struct gt_writer_line *lines, size_t count);

/* @id is the caller's and > 0; written once per id: gt_writer_has_stack tells. */
bool gt_writer_has_stack(const struct gt_writer *writer, uint64_t id);
int gt_writer_stack(struct gt_writer *writer, uint64_t id, const uint64_t *pcs, size_t count);

/*
 * Events of one M, in its order. begin, event..., end; tables may not be written between begin and end
 * (write what an event needs before begin). Ticks may go back (a nested hook): the writer takes care.
 * @args holds as many as events.def says for the kind; -EINVAL when it has none such (the writer goes on).
 * Errors of the disk may show at any later call.
 */
int gt_writer_events_begin(struct gt_writer *writer, uint64_t m, uint64_t base_ticks);
int gt_writer_event(struct gt_writer *writer, enum gt_event_kind kind, uint64_t ticks, const uint64_t *args);
int gt_writer_events_end(struct gt_writer *writer);

/* No later event is older than @ticks. Frames carry the newest watermark given before they were closed. */
void gt_writer_watermark(struct gt_writer *writer, uint64_t ticks);
/* Another source may still bring what happened from @ticks on: no watermark passes it. UINT64_MAX, as it begins: none holds. */
void gt_writer_hold(struct gt_writer *writer, uint64_t ticks);

/* Closes the current frame and hands it to the disk, whatever its size (so that a cut file holds it); without
 * records there is none. The clock pair goes into frame headers from here on. Not between begin and end. */
int gt_writer_flush(struct gt_writer *writer, uint64_t ticks, int64_t monotonic_ns);

struct gt_writer_totals {
	uint64_t events;
	uint64_t bytes_stored;
	uint64_t bytes_raw;
};
void gt_writer_totals(const struct gt_writer *writer, struct gt_writer_totals *out);
bool gt_writer_uses_uring(const struct gt_writer *writer);

/* 0, or the -errno that every call returns by now, and its line in @err (may be NULL): gt_writer_close gives it too. */
int gt_writer_failure(const struct gt_writer *writer, struct gt_error *err);

/* Index, trailer, rename to the final name; frees @writer in any case. On failure NAME.partial stays when it
 * holds whole frames (the error says so), else it is removed. */
int gt_writer_close(struct gt_writer *writer, uint64_t ticks, int64_t monotonic_ns, struct gt_error *err);

/* Frees @writer and removes NAME.partial. */
void gt_writer_abandon(struct gt_writer *writer);

#endif
