/*
 * io.h - sockets, pipes and files for goroutines: a wait parks the goroutine, not its thread.
 *
 *	struct gt_fd *conn = gt_fd_accept(listener);
 *	while ((n = gt_fd_read(conn, buffer, sizeof(buffer))) > 0)
 *		gt_fd_write(conn, buffer, (size_t)n);
 *	gt_fd_close(conn);
 *
 * All give a number of bytes (0: the end) or -errno: -ETIMEDOUT after the deadline, -ECANCELED when another goroutine closed it
 * meanwhile. What the kernel cannot wait for (regular files) is done in a blocking call, during which the
 * goroutine holds no P. All calls are for goroutines; one gt_fd may be used by several at once.
 */
#ifndef GTRACE_IO_H
#define GTRACE_IO_H

#include <gtrace/go.h>

#include <sys/socket.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct gt_fd;

/* Takes @fd over and makes it non-blocking. 0 or -errno: then it is still the caller's. */
GT_API int gt_fd_new(int fd, struct gt_fd **out);
GT_API int gt_fd_number(const struct gt_fd *fd);
/* Ends every wait on it with -ECANCELED; the number is closed when the last call is out. Then @fd is not to be used. */
GT_API int gt_fd_close(struct gt_fd *fd);

/* Once, as soon as something is there. */
GT_API ssize_t gt_fd_read(struct gt_fd *fd, void *buffer, size_t bytes);
/* All of it, or -errno after a part. */
GT_API ssize_t gt_fd_write(struct gt_fd *fd, const void *buffer, size_t bytes);
/* A connection, or -errno; @address may be NULL. */
GT_API int gt_fd_accept(struct gt_fd *fd, struct gt_fd **out, struct sockaddr *address, socklen_t *length);
/* On a fresh socket. */
GT_API int gt_fd_connect(struct gt_fd *fd, const struct sockaddr *address, socklen_t length);

/* From @when_ns on (of CLOCK_MONOTONIC) reads, or writes, fail with -ETIMEDOUT, those under way too; 0: never. Again and again. */
GT_API void gt_fd_read_deadline(struct gt_fd *fd, int64_t when_ns);
GT_API void gt_fd_write_deadline(struct gt_fd *fd, int64_t when_ns);

#ifdef __cplusplus
}
#endif

#endif
