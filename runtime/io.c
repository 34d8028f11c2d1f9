/*
 * io.c - read, write, accept, connect: tries, and parks when the kernel says EAGAIN.
 */
#include "runtime/netpoll.h"

#include <fcntl.h>
#include <gtrace/io.h>
#include <unistd.h>

int gt_fd_new(int fd, struct gt_fd **out)
{
	int flags = SYSCALL_AROUND(SYS_fcntl, fd, 0, fcntl(fd, F_GETFL)), ret;

	gt__checkpoint();
	if (flags < 0)
		return -errno;
	if (!(flags & O_NONBLOCK) &&
		SYSCALL_AROUND(SYS_fcntl, fd, flags | O_NONBLOCK, fcntl(fd, F_SETFL, flags | O_NONBLOCK)) < 0)
		return -errno;
	ret = gt__net_new(fd, out);
	if (ret < 0 && !(flags & O_NONBLOCK))
		SYSCALL_AROUND(SYS_fcntl, fd, flags, fcntl(fd, F_SETFL, flags));
	return ret;
}

int gt_fd_number(const struct gt_fd *fd)
{
	return fd->number;
}

static void leave(struct gt_fd *fd)
{
	bool last;

	gt__lock(&fd->lock);
	last = --fd->users == 0;
	gt__unlock(&fd->lock);
	if (last)
		gt__net_free(fd);
}

static int enter(struct gt_fd *fd, enum gt_net_way way)
{
	int ret = gt__net_may(fd, way);

	if (ret < 0)
		return ret;
	gt__lock(&fd->lock);
	ret = fd->closing ? -ECANCELED : 0;
	if (ret == 0)
		fd->users++;
	gt__unlock(&fd->lock);
	return ret;
}

int gt_fd_close(struct gt_fd *fd)
{
	struct gt_net_waiter *readers, *writers;

	gt__lock(&fd->lock);
	if (fd->closing) {
		gt__unlock(&fd->lock);
		return -ECANCELED;
	}
	fd->closing = true;
	readers = gt__net_take_all(fd, GT_NET_READ, -ECANCELED);
	writers = gt__net_take_all(fd, GT_NET_WRITE, -ECANCELED);
	gt__unlock(&fd->lock);
	gt__net_go(readers, GT_CAUSE_NONE, 0);
	gt__net_go(writers, GT_CAUSE_NONE, 0);
	leave(fd);
	return 0;
}

static ssize_t try_read(struct gt_fd *fd, void *buffer, size_t bytes)
{
	ssize_t got;

	if (!fd->pollable)
		gt_syscall_enter();
	got = SYSCALL_AROUND(SYS_read, fd->number, bytes, read(fd->number, buffer, bytes));
	if (got < 0)
		got = -errno;
	if (!fd->pollable)
		gt_syscall_exit();
	return got;
}

static ssize_t try_write(struct gt_fd *fd, const void *buffer, size_t bytes)
{
	ssize_t got;

	if (!fd->pollable)
		gt_syscall_enter();
	/* Who writes to a socket that nobody reads any more gets -EPIPE, and no SIGPIPE, as in Go. */
	got = fd->no_socket
		      ? -1
		      : SYSCALL_AROUND(SYS_sendto, fd->number, bytes, send(fd->number, buffer, bytes, MSG_NOSIGNAL));
	if (fd->no_socket || (got < 0 && errno == ENOTSOCK)) {
		fd->no_socket = true;
		got = SYSCALL_AROUND(SYS_write, fd->number, bytes, write(fd->number, buffer, bytes));
	}
	if (got < 0)
		got = -errno;
	if (!fd->pollable)
		gt_syscall_exit();
	return got;
}

/* 0: try again; else why not. */
static int after_failure(struct gt_fd *fd, enum gt_net_way way, enum gt_object what, int error)
{
	if (error == EINTR)
		return 0;
	if (error == EAGAIN && fd->pollable)
		return gt__net_park(fd, way, what);
	return -error;
}

ssize_t gt_fd_read(struct gt_fd *fd, void *buffer, size_t bytes)
{
	ssize_t got;
	int ret;

	gt__checkpoint();
	ret = enter(fd, GT_NET_READ);
	if (ret < 0)
		return ret;
	while ((got = try_read(fd, buffer, bytes)) < 0) {
		ret = after_failure(fd, GT_NET_READ, GT_OBJECT_FD_READ, (int)-got);
		if (ret < 0) {
			got = ret;
			break;
		}
	}
	leave(fd);
	return got;
}

ssize_t gt_fd_write(struct gt_fd *fd, const void *buffer, size_t bytes)
{
	size_t done = 0;
	int ret;

	gt__checkpoint();
	ret = enter(fd, GT_NET_WRITE);
	if (ret < 0)
		return ret;
	while (done < bytes) {
		ssize_t got = try_write(fd, (const char *)buffer + done, bytes - done);

		if (got >= 0) {
			done += (size_t)got;
			continue;
		}
		ret = after_failure(fd, GT_NET_WRITE, GT_OBJECT_FD_WRITE, (int)-got);
		if (ret < 0)
			break;
	}
	leave(fd);
	return ret < 0 ? ret : (ssize_t)done;
}

int gt_fd_accept(struct gt_fd *fd, struct gt_fd **out, struct sockaddr *address, socklen_t *length)
{
	int ret;

	gt__checkpoint();
	ret = enter(fd, GT_NET_READ);
	if (ret < 0)
		return ret;
	for (;;) {
		int number = SYSCALL_AROUND(
			SYS_accept4, fd->number, 0, accept4(fd->number, address, length, SOCK_NONBLOCK | SOCK_CLOEXEC));

		if (number >= 0) {
			ret = gt__net_new(number, out);
			if (ret < 0)
				SYSCALL_AROUND(SYS_close, number, 0, close(number));
			break;
		}
		/* One that was gone before we took it says nothing of the others. */
		ret = errno == ECONNABORTED ? 0 : after_failure(fd, GT_NET_READ, GT_OBJECT_FD_ACCEPT, errno);
		if (ret < 0)
			break;
	}
	leave(fd);
	return ret;
}

int gt_fd_connect(struct gt_fd *fd, const struct sockaddr *address, socklen_t length)
{
	socklen_t size = sizeof(int);
	int ret, error = 0;

	gt__checkpoint();
	ret = enter(fd, GT_NET_WRITE);
	if (ret < 0)
		return ret;
	/* A fresh socket has had an edge that says it is ready for what it cannot do yet. */
	gt__lock(&fd->lock);
	fd->way[GT_NET_WRITE].ready = false;
	gt__unlock(&fd->lock);
	if (SYSCALL_AROUND(SYS_connect, fd->number, length, connect(fd->number, address, length)) < 0)
		error = errno;
	while (error == EINPROGRESS || error == EINTR || error == EALREADY) {
		struct sockaddr_storage peer;
		socklen_t peer_size = sizeof(peer);

		ret = gt__net_park(fd, GT_NET_WRITE, GT_OBJECT_FD_CONNECT);
		if (ret < 0)
			break;
		if (SYSCALL_AROUND(SYS_getsockopt, fd->number, SO_ERROR,
			    getsockopt(fd->number, SOL_SOCKET, SO_ERROR, &error, &size)) < 0)
			error = errno;
		/* No error may also mean: not yet. */
		else if (error == 0 && SYSCALL_AROUND(SYS_getpeername, fd->number, 0,
					       getpeername(fd->number, (struct sockaddr *)&peer, &peer_size)) < 0)
			error = EINPROGRESS;
	}
	leave(fd);
	return ret < 0 ? ret : -error;
}

void gt_fd_read_deadline(struct gt_fd *fd, int64_t when_ns)
{
	gt__net_deadline(fd, GT_NET_READ, when_ns);
}

void gt_fd_write_deadline(struct gt_fd *fd, int64_t when_ns)
{
	gt__net_deadline(fd, GT_NET_WRITE, when_ns);
}
