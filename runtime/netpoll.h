/*
 * netpoll.h - goroutines that wait for a descriptor.
 */
#ifndef GT_RUNTIME_NETPOLL_H
#define GT_RUNTIME_NETPOLL_H

#include "runtime/rt.h"

#include <errno.h>
#include <sys/syscall.h>

/* The value of @call, the C library's wrapper of the system call @number, which the trace is told of. errno stays. */
#define SYSCALL_AROUND(number, arg0, arg2, call) \
	({ \
		bool told_ = gt_hooks_on_for(GT_SET_SYSCALLS); \
		uint64_t g_ = told_ ? gt_id() : 0; \
		__typeof__(call) got_; \
		if (told_) \
			gt_hook_syscall_enter(g_, number, (uint64_t)(arg0), (uint64_t)(arg2)); \
		got_ = (call); \
		if (told_) \
			gt_hook_syscall_exit(g_, number, got_ < 0 ? -(int64_t)errno : (int64_t)got_); \
		got_; \
	})

enum gt_net_way { GT_NET_READ, GT_NET_WRITE };

struct gt_net_waiter {
	struct gt_g *g;
	struct gt_net_waiter *next;
	int result;
};

/* Memory of these is never given back, so that a late event or timer finds one: another's, which its tag tells. */
struct gt_fd {
	struct gt_lock lock;
	uint32_t index;
	uint32_t turn; /* counts who had this memory */
	int number;
	uint32_t users; /* calls inside, and one for being open */
	bool pollable;
	_Atomic bool no_socket; /* known by its first write */
	bool closing;
	struct {
		bool ready; /* an edge came while nobody waited */
		int64_t deadline_ns;
		struct gt_timer timer;
		struct gt_net_waiter *waiters;
	} way[2];
	struct gt_fd *next_free;
};

int gt__net_new(int number, struct gt_fd **out);
/* The descriptor and the memory; nobody is inside. */
void gt__net_free(struct gt_fd *fd);
/* Parks until the next edge. 0, -ETIMEDOUT, -ECANCELED. */
int gt__net_park(struct gt_fd *fd, enum gt_net_way way, enum gt_object what);
/* 0, or why a call may not even begin. */
int gt__net_may(struct gt_fd *fd, enum gt_net_way way);
void gt__net_deadline(struct gt_fd *fd, enum gt_net_way way, int64_t when_ns);
/* The lock is held: all waiters' result is @result; they are to be readied by gt__net_go after the lock is given back. */
struct gt_net_waiter *gt__net_take_all(struct gt_fd *fd, enum gt_net_way way, int result);
bool gt__net_go(struct gt_net_waiter *waiters, enum gt_cause cause, int number);

#endif
