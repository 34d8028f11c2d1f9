/*
 * port_linux.c - the real world: clock_gettime, getrandom, pthreads, futexes.
 */
#include "runtime/port.h"

#include "runtime/cgroup.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* What a goroutine may come to, in a call that means something else to it, leaves errno as it is. */

int64_t gt__port_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

uint64_t gt__port_seed(void)
{
	uint64_t seed;

	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != (ssize_t)sizeof(seed))
		seed = (uint64_t)gt__port_now() * UINT64_C(0x9e3779b97f4a7c15);
	return seed;
}

struct thread_start {
	void (*main_fn)(void *arg);
	void *arg;
};

static void *thread_main(void *arg)
{
	struct thread_start start = *(struct thread_start *)arg;

	free(arg);
	start.main_fn(start.arg);
	return NULL;
}

void *gt__port_memory(void *old, size_t old_bytes, size_t bytes)
{
	void *memory = old ? mremap(old, old_bytes, bytes, MREMAP_MAYMOVE)
			   : mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

int gt__port_thread(void (*main_fn)(void *arg), void *arg)
{
	int before = errno;
	struct thread_start *start = malloc(sizeof(*start));
	pthread_attr_t attributes;
	pthread_t thread;
	int ret;

	if (!start)
		return -ENOMEM;
	*start = (struct thread_start){main_fn, arg};
	ret = pthread_attr_init(&attributes);
	if (ret == 0) {
		pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
		ret = pthread_create(&thread, &attributes, thread_main, start);
		pthread_attr_destroy(&attributes);
	}
	if (ret != 0)
		free(start);
	errno = before;
	return -ret;
}

bool gt__port_wait(_Atomic uint32_t *word, uint32_t value, int64_t deadline_ns)
{
	struct timespec deadline = {.tv_sec = deadline_ns / 1000000000, .tv_nsec = deadline_ns % 1000000000};
	int before = errno;
	bool in_time;

	/* FUTEX_WAIT_BITSET takes an absolute time of CLOCK_MONOTONIC. */
	in_time = syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, value, deadline_ns < 0 ? NULL : &deadline, NULL,
			  FUTEX_BITSET_MATCH_ANY) == 0 ||
		  errno != ETIMEDOUT;
	errno = before;
	return in_time;
}

void gt__port_wake(_Atomic uint32_t *word, int count)
{
	int before = errno;

	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count);
	errno = before;
}

bool gt__port_barrier(void)
{
	int before = errno;
	bool done = syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;

	/* EPERM: the first time in this process. */
	if (!done && errno == EPERM && syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0)
		done = syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
	errno = before;
	return done;
}

void gt__port_pause(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

void gt__port_give_cpu(void)
{
	sched_yield();
}

void gt__port_sleep(int64_t ns)
{
	struct timespec time = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};

	nanosleep(&time, NULL);
}

int gt__port_thread_id(void)
{
	return (int)syscall(SYS_gettid);
}

void gt__port_signal(int thread_id, int signal)
{
	syscall(SYS_tgkill, getpid(), thread_id, signal);
}

/* ---- descriptors ---- */

#define WAKE_TAG UINT64_MAX

/* Made by the first that needs them, read by every M and by sysmon. */
static _Atomic int poll_fd = -1, wake_fd = -1;

int gt__port_poll_open(void)
{
	/* Not by edges: a look that does not wait must not take the wake from one that does. */
	struct epoll_event event = {.events = EPOLLIN, .data = {.u64 = WAKE_TAG}};

	poll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (poll_fd < 0)
		return -errno;
	wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (wake_fd < 0 || epoll_ctl(poll_fd, EPOLL_CTL_ADD, wake_fd, &event) < 0) {
		int ret = -errno;

		close(poll_fd);
		if (wake_fd >= 0)
			close(wake_fd);
		poll_fd = -1;
		wake_fd = -1;
		return ret;
	}
	return 0;
}

int gt__port_poll_add(int fd, uint64_t tag)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data = {.u64 = tag}};

	return epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

void gt__port_poll_remove(int fd)
{
	epoll_ctl(poll_fd, EPOLL_CTL_DEL, fd, NULL);
}

/* epoll_pwait2 counts in ns; before Linux 5.11 there are ms only, and a sleep that is too long by up to one. */
static int wait_events(struct epoll_event *events, int room, int64_t deadline_ns)
{
	static _Atomic bool only_ms;
	int64_t left = deadline_ns > 0 ? deadline_ns - gt__port_now() : deadline_ns;
	struct timespec time;

	if (deadline_ns > 0 && left < 0)
		left = 0;
	time = (struct timespec){.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
	if (!atomic_load_explicit(&only_ms, memory_order_relaxed)) {
		int got = (int)syscall(SYS_epoll_pwait2, poll_fd, events, room, left < 0 ? NULL : &time, NULL, 0);

		if (got >= 0 || errno != ENOSYS)
			return got;
		atomic_store_explicit(&only_ms, true, memory_order_relaxed);
	}
	if (left > 0)
		left = left / 1000000 + 1;
	return epoll_wait(poll_fd, events, room, left < 0 ? -1 : left > INT_MAX ? INT_MAX : (int)left);
}

void gt__port_exact(bool exact)
{
	/* 0: back to what the thread began with. The kernel gathers timers within the slack, 50 us. */
	prctl(PR_SET_TIMERSLACK, exact ? 1ul : 0ul);
}

int gt__port_poll(uint64_t *tags, uint32_t *what, int room, int64_t deadline_ns)
{
	struct epoll_event events[128];
	int count = 0, got = wait_events(events, room < 128 ? room : 128, deadline_ns);

	for (int i = 0; i < got; i++) {
		uint32_t ready = 0;

		if (events[i].data.u64 == WAKE_TAG) {
			uint64_t value;

			if (deadline_ns == 0)
				continue;
			if (read(wake_fd, &value, sizeof(value)) < 0)
				continue; /* another one emptied it */
			continue;
		}
		if (events[i].events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
			ready |= GT_PORT_READ;
		if (events[i].events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
			ready |= GT_PORT_WRITE;
		tags[count] = events[i].data.u64;
		what[count++] = ready;
	}
	return count;
}

void gt__port_poll_wake(void)
{
	uint64_t one = 1;
	int before = errno;

	if (write(wake_fd, &one, sizeof(one)) < 0)
		errno = before; /* full: it is awake */
}

void gt__port_stack(void **low, size_t *bytes)
{
	pthread_attr_t attributes;

	if (pthread_getattr_np(pthread_self(), &attributes) != 0)
		return;
	pthread_attr_getstack(&attributes, low, bytes);
	pthread_attr_destroy(&attributes);
}

void gt__port_say(const char *what, const char *format, va_list args)
{
	fflush(stdout);
	fprintf(stderr, "%s: ", what);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
}

void gt__port_exit(int code, bool at_once)
{
	if (at_once)
		_exit(code);
	exit(code);
}

int gt__port_cpus(void)
{
	/* The kernel refuses a mask that is smaller than its own. */
	for (size_t cpus = 1024; cpus <= 1 << 20; cpus *= 4) {
		cpu_set_t *set = CPU_ALLOC(cpus);
		size_t bytes = CPU_ALLOC_SIZE(cpus);
		int count = 0;

		if (!set)
			break;
		if (sched_getaffinity(0, bytes, set) == 0)
			count = CPU_COUNT_S(bytes, set);
		CPU_FREE(set);
		if (count > 0)
			return count;
	}
	return 1;
}

double gt__port_cpu_limit(void)
{
	static struct gt_cgroup cgroup;
	static bool opened;

	if (!opened) {
		gt_cgroup_open(&cgroup, "/proc/self/cgroup", "/proc/self/mountinfo");
		opened = true;
	}
	return gt_cgroup_limit(&cgroup);
}
