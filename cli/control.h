/*
 * control.h - how `gtrace snapshot` finds a recorder, and what the two say to each other.
 *
 * A recorder has a socket GTRACE_PID-PROGRAM_PID in a folder of its user: $XDG_RUNTIME_DIR/gtrace, else /run/user/UID/gtrace, else
 * /tmp/gtrace-UID. The folder must be the user's own, with mode 0700; the socket has 0600; the peer must be the same user, or root.
 * One question and one answer a connection, each one packet (SOCK_SEQPACKET) of a fixed size with a version. The server never
 * waits: at most GT_CONTROL_CLIENTS_MAX at a time, more wait in the kernel's queue; who says nothing for
 * GT_CONTROL_SILENCE_NS is sent away.
 */
#ifndef GT_CLI_CONTROL_H
#define GT_CLI_CONTROL_H

#include "base/error.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define GT_CONTROL_MAGIC       0x006c746365636172ull
#define GT_CONTROL_VERSION     1u
#define GT_CONTROL_CLIENTS_MAX 32
#define GT_CONTROL_SILENCE_NS  5000000000
#define GT_CONTROL_REASON_MAX  128

enum { GT_CONTROL_SNAPSHOT = 1, GT_CONTROL_STATUS = 2 };

struct gt_control_head {
	uint64_t magic;
	uint32_t version;
	uint32_t size; /* of the whole packet */
};

struct gt_control_question {
	struct gt_control_head head;
	uint32_t what;
	uint32_t zero;
	char path[PATH_MAX]; /* absolute, or "": the recorder chooses */
	char reason[GT_CONTROL_REASON_MAX];
};

struct gt_control_answer {
	struct gt_control_head head;
	uint32_t failed;
	uint32_t zero;
	char path[PATH_MAX]; /* of the snapshot; STATUS: of the program */
	char text[1024];     /* one line: its summary, or what went wrong */
};

/* ---- the recorder's side ---- */

struct gt_control;
/* A client: never the same number twice in a row, so that an answer to one that has gone reaches nobody. */
typedef uint32_t gt_control_client;
typedef void gt_control_handler(void *context, gt_control_client client, const struct gt_control_question *question);

int gt_control_open(pid_t program, struct gt_control **out, struct gt_error *err);
/* For POLLIN. */
int gt_control_fd(const struct gt_control *control);
void gt_control_step(struct gt_control *control, gt_control_handler *handler, void *context);
/* Ends the connection. */
void gt_control_answer(
	struct gt_control *control, gt_control_client client, bool failed, const char *path, const char *text);
/* Takes the socket's name away too. */
void gt_control_close(struct gt_control *control);
/* In a forked child: closes descriptors, and nothing else. */
void gt_control_leave(const struct gt_control *control);

/* ---- the client's side ---- */

struct gt_control_peer {
	pid_t recorder, program;
	char folder[PATH_MAX];
};
/* Those of @uid, at most @max; what is left of dead ones is removed. An unsafe folder is an error. Returns the number. */
int gt_control_list(uid_t uid, struct gt_control_peer *peers, size_t max, struct gt_error *err);
/* One question, one answer. -ESRCH: it has gone; -EAGAIN: no answer in that time; -EACCES; -EPROTO. */
int gt_control_ask(const struct gt_control_peer *peer, uid_t uid, struct gt_control_question *question,
	int64_t timeout_ns, struct gt_control_answer *answer);

#endif
