/*
 * flight.h - the snapshots of a flight recorder: who asks for one, when it is taken, who writes it, what becomes of the files.
 *
 *   request (signal, command, time, trigger) -> due -> copy of the ring, in the recorder -> a forked child writes, at low
 *   priority, what copy and history hold (it has both by copy-on-write) -> its line comes back through a pipe
 *
 * The recorder goes on following at once: a slow or full disk costs a snapshot, never the window. One child at a time; requests
 * that come meanwhile wait, and share the next copy; those of the same cause share one file. Copies are at least
 * GT_FLIGHT_GAP_NS apart. What does not fit into the queue joins a request in it: none fails for want of room.
 *
 * One thread. Only --flight has one of these.
 */
#ifndef GT_CLI_FLIGHT_H
#define GT_CLI_FLIGHT_H

#include <stddef.h>
#include <stdint.h>

#define GT_FLIGHT_GAP_NS    100000000
#define GT_FLIGHT_METAS_MAX 8
#define GT_FLIGHT_CAUSE_MAX 256

struct gt_flight;
struct gt_recording;

struct gt_flight_meta {
	const char *key, *value;
};

/* The program runs: its pid is known. What fails is the user's to know, and no reason to end: the recorder works without its
 * socket. NULL only when memory is out. */
struct gt_flight *gt_flight_start(struct gt_recording *recording);

/* To be polled for POLLIN beside the caller's own; gt_flight_step does what is due, and returns at once. */
int gt_flight_fd(const struct gt_flight *flight);
void gt_flight_step(struct gt_flight *flight);
/* When gt_flight_step will have something to do though nothing is to be read: CLOCK_MONOTONIC; INT64_MAX: never. */
int64_t gt_flight_due_ns(const struct gt_flight *flight);

/*
 * Asks for a snapshot @after_ns from now (the program's end comes before that: then at that). @cause is one line ("trigger:
 * blocked > 1s"), written into the file (META cause), on the line, and, as far as letters go, into the name of the file; @metas are
 * more META pairs. All texts are copied, and cut: causes at GT_FLIGHT_CAUSE_MAX, keys at 31 bytes, values at 255.
 * 0; 1: joined another request (same cause, still waiting, or no room): the metas of that one stand.
 */
int gt_flight_request(struct gt_flight *flight, const char *cause, int64_t after_ns, const struct gt_flight_meta *metas,
	size_t meta_count);

/* The end: waits for the child, writes what was asked for, then the last snapshot, under the plain name, here. @exit_text: how the
 * program ended, or NULL. Returns 0, or -errno after it was told. */
int gt_flight_end(struct gt_flight *flight, const char *cause, const char *exit_text,
	const struct gt_flight_meta *metas, size_t meta_count);
void gt_flight_free(struct gt_flight *flight);

#endif
