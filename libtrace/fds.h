/*
 * fds.h - what the program's file descriptors are: told by FdName before the first event that has one, and again when it is
 * something else.
 *
 * The hook knows numbers only; /proc says what they are, when the collector meets the first use: up to some 20 ms later, in a window
 * some 100. One that was
 * closed by then is not named, and one that was opened anew in that time may be named as what it is now. A close, or an open that gives
 * the number again, ends a name.
 *
 * Bounded: GT_FDS_MAX names; the oldest go.
 */
#ifndef GT_LIBTRACE_FDS_H
#define GT_LIBTRACE_FDS_H

#include "base/hash.h"
#include "format/wire/event.h"

#include <stdbool.h>
#include <sys/types.h>

#define GT_FDS_MAX       512u
#define GT_FD_NAME_BYTES 128u

struct gt_fd_entry {
	uint64_t fd;
	uint64_t since; /* ticks */
	uint64_t seal;  /* unique */
	char name[GT_FD_NAME_BYTES];
};

#define GT_FD_SOCKETS_MAX 1024u
struct gt_fd_socket {
	uint64_t inode;
	char local[40], remote[40]; /* as the list has them */
	const char *kind;
	unsigned int state;
};

struct gt_fds {
	struct gt_fd_entry
		*entries;    /* a ring of GT_FDS_MAX, in the order in which they were looked up; NULL until one was */
	uint64_t first, end; /* seals */
	struct gt_map known; /* fd -> seal + 1; 0: to be looked up again */
	struct gt_map told;  /* the same, of the file that is being written */
	int64_t sockets_since, sockets_ns; /* the time that went into looking for sockets, since when */
	struct gt_fd_socket *sockets;      /* of the kernel's lists, as they were read last; NULL until they were */
	size_t socket_count;
	bool replay; /* a window is written: nothing that its events say is new */
};

void gt_fds_free(struct gt_fds *fds);
/* Another file begins. */
void gt_fds_again(struct gt_fds *fds);

/* @event is met, of process @pid (0: not known: nothing is named). True: @name is to be told before it. */
bool gt_fds_event(struct gt_fds *fds, pid_t pid, const struct gt_event *event, struct gt_event *name);

/* The text of an FdName's argument, as gt_fds_event gave it. */
const char *gt_fds_name(const struct gt_fds *fds, uint64_t seal);

#endif
