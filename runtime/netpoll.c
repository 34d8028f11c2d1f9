/*
 * netpoll.c - who waits for which descriptor, and who is told.
 *
 * A descriptor is registered once, for edges. An edge that finds nobody is remembered (ready), so that none is lost between
 * a call that gave EAGAIN and the park after it.
 */
#include "runtime/netpoll.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK      256u
#define CHUNKS_MAX 4096u

static struct gt_lock lock; /* of the table and its free list */
static struct gt_fd *_Atomic chunks[CHUNKS_MAX];
static uint32_t chunk_count;
static struct gt_fd *free_fds;
static _Atomic bool opened;
static _Atomic int32_t waiting;
static _Atomic bool looking;

bool gt__net_waited_for(void)
{
	return load_relaxed(&waiting) > 0;
}

uint64_t gt__net_waiting(void)
{
	int32_t count = load_relaxed(&waiting);

	return count > 0 ? (uint64_t)count : 0;
}

bool gt__net_opened(void)
{
	return load_acquire(&opened);
}

void gt__net_wake(void)
{
	gt__port_poll_wake();
}

/* ---- the table; its lock is held ---- */

static bool more_room(void)
{
	struct gt_fd *chunk;

	if (chunk_count == CHUNKS_MAX)
		return false;
	chunk = gt__port_memory(NULL, 0, CHUNK * sizeof(*chunk));
	if (!chunk)
		return false;
	for (uint32_t i = CHUNK; i-- > 0;) {
		chunk[i].index = chunk_count * CHUNK + i;
		chunk[i].next_free = free_fds;
		free_fds = &chunk[i];
	}
	store_release(&chunks[chunk_count++], chunk);
	return true;
}

static int open_poll(void)
{
	int ret = load_relaxed(&opened) ? 0 : gt__port_poll_open();

	if (ret == 0 && !load_relaxed(&opened)) {
		store_release(&opened, true);
		/* Who waits on the futex for the next timer waits in the new set from now on. */
		gt__poller_wake();
	}
	return ret;
}

int gt__net_new(int number, struct gt_fd **out)
{
	struct gt_fd *fd;
	int ret;

	gt__lock(&lock);
	ret = open_poll();
	if (ret == 0 && !free_fds && !more_room())
		ret = -ENOMEM;
	if (ret < 0) {
		gt__unlock(&lock);
		return ret;
	}
	fd = free_fds;
	free_fds = fd->next_free;
	gt__unlock(&lock);
	gt__lock(&fd->lock);
	fd->turn++;
	fd->number = number;
	fd->users = 1;
	fd->closing = false;
	fd->no_socket = false;
	for (int i = 0; i < 2; i++) {
		fd->way[i].ready = false;
		fd->way[i].deadline_ns = 0;
		fd->way[i].waiters = NULL;
	}
	gt__unlock(&fd->lock);
	ret = gt__port_poll_add(number, (uint64_t)fd->turn << 32 | fd->index);
	fd->pollable = ret == 0;
	if (ret < 0 && ret != -EPERM) {
		gt__lock(&lock);
		fd->next_free = free_fds;
		free_fds = fd;
		gt__unlock(&lock);
		return ret;
	}
	*out = fd;
	return 0;
}

void gt__net_free(struct gt_fd *fd)
{
	for (int i = 0; i < 2; i++)
		gt__timer_stop(&fd->way[i].timer);
	if (fd->pollable)
		gt__port_poll_remove(fd->number);
	SYSCALL_AROUND(SYS_close, fd->number, 0, close(fd->number));
	for (int i = 0; i < 2; i++)
		gt__timer_join(&fd->way[i].timer);
	gt__lock(&lock);
	fd->next_free = free_fds;
	free_fds = fd;
	gt__unlock(&lock);
}

/* ---- waiting ---- */

/* The lock is held. */
static int may(const struct gt_fd *fd, enum gt_net_way way)
{
	int64_t deadline = fd->way[way].deadline_ns;

	if (fd->closing)
		return -ECANCELED;
	return deadline && gt__port_now() >= deadline ? -ETIMEDOUT : 0;
}

int gt__net_may(struct gt_fd *fd, enum gt_net_way way)
{
	int ret;

	gt__lock(&fd->lock);
	ret = may(fd, way);
	gt__unlock(&fd->lock);
	return ret;
}

int gt__net_park(struct gt_fd *fd, enum gt_net_way way, enum gt_object what)
{
	struct gt_net_waiter waiter = {.g = gt__self()};

	gt__lock(&fd->lock);
	waiter.result = may(fd, way);
	if (waiter.result < 0 || fd->way[way].ready) {
		fd->way[way].ready = false;
		gt__unlock(&fd->lock);
		return waiter.result;
	}
	waiter.next = fd->way[way].waiters;
	fd->way[way].waiters = &waiter;
	atomic_fetch_add_explicit(&waiting, 1, memory_order_relaxed);
	gt__waits_on(waiter.g, what, (uint64_t)(uint32_t)fd->number, 0);
	gt__park_unlock(&fd->lock, GT_REASON_IO_WAIT);
	return waiter.result;
}

struct gt_net_waiter *gt__net_take_all(struct gt_fd *fd, enum gt_net_way way, int result)
{
	struct gt_net_waiter *all = fd->way[way].waiters;

	for (struct gt_net_waiter *at = all; at; at = at->next)
		at->result = result;
	fd->way[way].waiters = NULL;
	return all;
}

bool gt__net_go(struct gt_net_waiter *waiters, enum gt_cause cause, int number)
{
	bool any = waiters;

	while (waiters) {
		struct gt_net_waiter *next = waiters->next; /* its stack is gone after ready */

		gt__woken_by(waiters->g, cause, (uint32_t)number);
		/* Counted until it is in a queue: else a deadlock would be seen in between. */
		gt__ready(waiters->g);
		atomic_fetch_sub_explicit(&waiting, 1, memory_order_seq_cst);
		waiters = next;
	}
	/* Who waited for descriptors because of that count looks again; an M comes by itself. */
	if (any && !gt__worker())
		gt__poller_wake();
	return any;
}

static bool edge(struct gt_fd *fd, enum gt_net_way way)
{
	struct gt_net_waiter *waiters;
	int number = fd->number;

	/* The lock is held, and given back for the readies. */
	waiters = gt__net_take_all(fd, way, 0);
	fd->way[way].ready = !waiters;
	gt__unlock(&fd->lock);
	gt__net_go(waiters, GT_CAUSE_NETPOLL, number);
	gt__lock(&fd->lock);
	return waiters;
}

bool gt__net_tell(const struct gt_net_events *events)
{
	bool any = false;

	for (int i = 0; i < events->count; i++) {
		uint32_t index = (uint32_t)events->tags[i], turn = (uint32_t)(events->tags[i] >> 32);
		struct gt_fd *fd = &load_acquire(&chunks[index / CHUNK])[index % CHUNK];

		gt__lock(&fd->lock);
		if (fd->turn == turn && (events->what[i] & GT_PORT_READ))
			any |= edge(fd, GT_NET_READ);
		if (fd->turn == turn && (events->what[i] & GT_PORT_WRITE))
			any |= edge(fd, GT_NET_WRITE);
		gt__unlock(&fd->lock);
	}
	return any;
}

void gt__net_wait(struct gt_net_events *events, int64_t deadline_ns)
{
	events->count = gt__port_poll(events->tags, events->what, 128, deadline_ns);
	gt__count(&gt__counts.polls, 1);
	if (events->count > 0)
		gt__count(&gt__counts.poll_events, (uint64_t)events->count);
	store_relaxed(&gt__sched.polled_ns, gt__port_now());
}

bool gt__net_look(void)
{
	struct gt_net_events events;
	bool any;

	if (!gt__net_waited_for() || load_relaxed(&gt__sched.poller) ||
		atomic_exchange_explicit(&looking, true, memory_order_acquire))
		return false;
	gt__net_wait(&events, 0);
	store_release(&looking, false);
	any = gt__net_tell(&events);
	return any;
}

/* ---- deadlines ---- */

static void time_is_over(struct gt_fd *fd, enum gt_net_way way)
{
	struct gt_net_waiter *waiters = NULL;
	int number;

	gt__lock(&fd->lock);
	number = fd->number;
	/* It may have been moved meanwhile. */
	if (may(fd, way) == -ETIMEDOUT)
		waiters = gt__net_take_all(fd, way, -ETIMEDOUT);
	gt__unlock(&fd->lock);
	gt__net_go(waiters, GT_CAUSE_DEADLINE, number);
}

static void read_over(void *fd)
{
	time_is_over(fd, GT_NET_READ);
}

static void write_over(void *fd)
{
	time_is_over(fd, GT_NET_WRITE);
}

void gt__net_deadline(struct gt_fd *fd, enum gt_net_way way, int64_t when_ns)
{
	gt__lock(&fd->lock);
	fd->way[way].deadline_ns = when_ns;
	if (when_ns)
		gt__timer_start(&fd->way[way].timer, when_ns, way == GT_NET_READ ? read_over : write_over, fd);
	else
		gt__timer_stop(&fd->way[way].timer);
	gt__unlock(&fd->lock);
}
