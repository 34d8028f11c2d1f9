/*
 * fds.c - simulated descriptors: pipes, and a set that tells of edges as epoll does with EPOLLET.
 */
#include "tests/schedsim/world.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define FIRST_FD 100

struct end {
	bool open, added, is_reader;
	uint64_t tag;
	uint32_t edges; /* not told yet */
	struct end *other;
	size_t filled, room; /* of the pipe: kept in the reading end */
	uint8_t bytes[256];
};

static struct end ends[SIM_FDS];
static bool set_open, wake_pending;

static struct end *end_of(int fd)
{
	return fd >= FIRST_FD && fd < FIRST_FD + SIM_FDS && ends[fd - FIRST_FD].open ? &ends[fd - FIRST_FD] : NULL;
}

void sim_pipe(int fds[2], size_t room)
{
	int at = 0;

	for (int i = 0; i < 2; i++) {
		while (at < SIM_FDS && ends[at].open)
			at++;
		if (at == SIM_FDS)
			sim_fail("the scenario has too many pipes");
		memset(&ends[at], 0, sizeof(ends[at]));
		ends[at].open = true;
		fds[i] = FIRST_FD + at;
	}
	ends[fds[0] - FIRST_FD].is_reader = true;
	ends[fds[0] - FIRST_FD].room = room;
	ends[fds[0] - FIRST_FD].other = &ends[fds[1] - FIRST_FD];
	ends[fds[1] - FIRST_FD].other = &ends[fds[0] - FIRST_FD];
}

static void tell_edge(struct end *end, uint32_t what)
{
	if (!end || !end->added)
		return;
	end->edges |= what;
	/* One that sleeps in the set is woken; it looks for itself. */
	for (uint32_t i = 0; i < sim.fibers; i++)
		if (sim.fiber[i].state == FIBER_ASLEEP && sim.fiber[i].polling) {
			sim_wake(&sim.fiber[i]);
			break;
		}
}

static uint32_t level(const struct end *end)
{
	if (!end->other)
		return GT_PORT_READ | GT_PORT_WRITE; /* hung up */
	if (end->is_reader)
		return end->filled ? GT_PORT_READ : 0;
	return end->other->filled < end->other->room ? GT_PORT_WRITE : 0;
}

ssize_t sim_read(int fd, void *buffer, size_t bytes);
ssize_t sim_write(int fd, const void *buffer, size_t bytes);
int sim_close(int fd);
int sim_fcntl(int fd, int what);

static ssize_t failed(int error)
{
	*gt_errno_location() = error;
	return -1;
}

ssize_t sim_read(int fd, void *buffer, size_t bytes)
{
	struct end *end;
	bool was_full;

	sim_flush();
	sim_point("read", "");
	end = end_of(fd);
	if (!end || !end->is_reader)
		return failed(EBADF);
	if (sim_one_in(50))
		return failed(EINTR);
	if (!end->filled)
		return end->other ? failed(EAGAIN) : 0;
	if (bytes > end->filled)
		bytes = end->filled;
	was_full = end->filled == end->room;
	memcpy(buffer, end->bytes, bytes);
	memmove(end->bytes, end->bytes + bytes, end->filled - bytes);
	end->filled -= bytes;
	if (was_full)
		tell_edge(end->other, GT_PORT_WRITE);
	sim_point("read", "done");
	return (ssize_t)bytes;
}

ssize_t sim_write(int fd, const void *buffer, size_t bytes)
{
	struct end *end, *to;

	sim_flush();
	sim_point("write", "");
	end = end_of(fd);
	if (!end || end->is_reader)
		return failed(EBADF);
	if (sim_one_in(50))
		return failed(EINTR);
	to = end->other;
	if (!to)
		return failed(EPIPE);
	if (to->filled == to->room)
		return failed(EAGAIN);
	if (bytes > to->room - to->filled)
		bytes = to->room - to->filled;
	memcpy(to->bytes + to->filled, buffer, bytes);
	to->filled += bytes;
	tell_edge(to, GT_PORT_READ);
	sim_point("write", "done");
	return (ssize_t)bytes;
}

int sim_close(int fd)
{
	struct end *end;

	sim_flush();
	sim_point("close", "");
	end = end_of(fd);
	if (!end)
		sim_fail("close of descriptor %d, which is not open", fd);
	end->open = false;
	end->added = false;
	if (end->other) {
		end->other->other = NULL;
		tell_edge(end->other, GT_PORT_READ | GT_PORT_WRITE);
	}
	return 0;
}

int sim_fcntl(int fd, int what)
{
	if (!end_of(fd))
		return (int)failed(EBADF);
	return O_NONBLOCK;
}

/* ---- the set ---- */

int gt__port_poll_open(void)
{
	set_open = true;
	return 0;
}

int gt__port_poll_add(int fd, uint64_t tag)
{
	struct end *end;

	sim_flush();
	sim_point("epoll add", "");
	end = end_of(fd);
	if (!set_open || !end)
		return -EBADF;
	end->added = true;
	end->tag = tag;
	if (level(end))
		tell_edge(end, level(end));
	return 0;
}

void gt__port_poll_remove(int fd)
{
	struct end *end;

	sim_flush();
	sim_point("epoll remove", "");
	end = end_of(fd);
	if (end)
		end->added = false;
}

bool sim_fds_ready(void)
{
	for (int i = 0; i < SIM_FDS; i++)
		if (ends[i].open && ends[i].added && ends[i].edges)
			return true;
	return wake_pending;
}

int gt__port_poll(uint64_t *tags, uint32_t *what, int room, int64_t deadline_ns)
{
	struct sim_fiber *self;

	sim_flush();
	sim_point("epoll wait", "");
	for (;;) {
		int count = 0, from = (int)sim_below(SIM_FDS);
		bool woken = wake_pending;

		/* One that does not wait leaves it for one that does: a level, not an edge. */
		if (deadline_ns != 0)
			wake_pending = false;
		for (int i = 0; i < SIM_FDS && count < room; i++) {
			struct end *end = &ends[(from + i) % SIM_FDS];

			if (!end->open || !end->added || !end->edges)
				continue;
			tags[count] = end->tag;
			what[count++] = end->edges;
			end->edges = 0;
		}
		if (count || woken || deadline_ns == 0)
			return count;
		if (deadline_ns > 0 && sim.now >= deadline_ns)
			return 0;
		self = sim.current;
		self->polling = true;
		sim_sleep(NULL, deadline_ns < 0 ? SIM_NEVER : deadline_ns, "epoll wait");
		self->polling = false;
		if (sim_one_in(50))
			return 0; /* EINTR */
	}
}

void gt__port_poll_wake(void)
{
	sim_flush();
	sim_point("epoll wake", "");
	wake_pending = true;
	for (uint32_t i = 0; i < sim.fibers; i++)
		if (sim.fiber[i].state == FIBER_ASLEEP && sim.fiber[i].polling) {
			sim_wake(&sim.fiber[i]);
			break;
		}
}
