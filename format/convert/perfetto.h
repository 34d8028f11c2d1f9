/*
 * perfetto.h - a trace as Perfetto's own protobuf: what ui.perfetto.dev draws best, and SQL asks best.
 *
 *   CPU rows                   Ps: which goroutine runs there (table sched; cpu = P)
 *   process "main.worker"      all goroutines that began with this function
 *     thread "G7 main.worker"  tid = the goroutine's id. Its states with the colours of a kernel's threads (table thread_state):
 *                              Running, Runnable, Sleeping = waiting, Uninterruptible Sleep = in a syscall, Stopped = not
 *                              known, events are missing. Below them slices: waits by reason (category wait; on, holder,
 *                              waker, cause, stack), runnable after a yield or preemption (sched), syscalls, regions, logs;
 *                              arrows from "wake" and "go" to "woken" and "created"
 *   Goroutines, Ps, Heap       counters
 *   Tasks                      a user's tasks
 *   process PROGRAM            on a machine of its own, as its tids are not goroutines: a row for each M under its real tid
 *   gtrace                     what was recorded, and what is missing
 *
 * A packet is written when a slice ends, so packets are not in order of time: a reader sorts. Strings, stacks and names are written
 * once and then called by number. No packet is longer than GT_SINK_RECORD_MAX. Memory is O(live goroutines + names), and the
 * latter begins anew at a limit. Running without a P (its last step out of a syscall) counts to the state before; where the P is
 * not known, its row is GT_PERFETTO_CPU_UNKNOWN and what follows, by M.
 */
#ifndef GT_FORMAT_PERFETTO_H
#define GT_FORMAT_PERFETTO_H

#include "format/convert/chrome.h"

#define GT_PERFETTO_CPU_UNKNOWN 2048u
/* Processes that stand for start functions are numbered from here. */
#define GT_PERFETTO_PID_FIRST 2000000000u

/*
 * The rest of @trace as packets into @sink, which the caller closes. @options may be NULL: everything; `object` and
 * GT_CONVERT_COLOURS mean nothing here. 0, or -errno and the line in @err: no memory, or the sink's failure.
 */
int gt_convert_perfetto(
	struct gt_trace *trace, struct gt_sink *sink, const struct gt_convert_options *options, struct gt_error *err);

#endif
