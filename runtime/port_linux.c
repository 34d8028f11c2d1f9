/*
 * port_linux.c - the real world: clock_gettime, getrandom, pthreads, futexes.
 */
#include "runtime/port.h"

#include "runtime/cgroup.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

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

int gt__port_thread(void (*main_fn)(void *arg), void *arg)
{
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
	return -ret;
}

bool gt__port_wait(_Atomic uint32_t *word, uint32_t value, int64_t deadline_ns)
{
	struct timespec deadline = {.tv_sec = deadline_ns / 1000000000, .tv_nsec = deadline_ns % 1000000000};

	/* FUTEX_WAIT_BITSET takes an absolute time of CLOCK_MONOTONIC. */
	return syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, value, deadline_ns < 0 ? NULL : &deadline, NULL,
		       FUTEX_BITSET_MATCH_ANY) == 0 ||
	       errno != ETIMEDOUT;
}

void gt__port_wake(_Atomic uint32_t *word, int count)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count);
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
