/* threads.c - stops every thread of a process, and lets them go. */
#include "agent/threads.h"

#include "base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX  100000
#define SYSCALL_STOP (SIGTRAP | 0x80)
#define NAP_NS       1000000 /* between two looks, should the news of a stop be lost */
#define SEIZE_US     5000    /* a PTRACE_SEIZE that takes longer waits for an execve that waits for us */

/* ---- what /proc says ---- */

/* The value of "@key:" in /proc/@pid/task/@tid/status; false when the thread is gone. */
static bool status_value(pid_t pid, pid_t tid, const char *key, char *out, size_t size)
{
	char path[64], line[256];
	size_t length = strlen(key);
	bool found = false;
	FILE *in;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", (int)pid, (int)tid);
	in = fopen(path, "re");
	while (in && !found && fgets(line, sizeof(line), in)) {
		if (strncmp(line, key, length) || line[length] != ':')
			continue;
		line[strcspn(line, "\n")] = 0;
		snprintf(out, size, "%s", line + length + 1 + strspn(line + length + 1, " \t"));
		found = true;
	}
	if (in)
		fclose(in);
	return found;
}

/* Why PTRACE_SEIZE failed with @code. 0: the thread is on its way out, which is no failure. */
static int seize_failed(const struct gt_threads *threads, pid_t tid, int code, struct gt_error *err)
{
	char text[64];

	if (code == ESRCH || !status_value(threads->pid, tid, "State", text, sizeof(text)) || *text == 'Z' ||
		*text == 'X')
		return 0;
	if (status_value(threads->pid, tid, "TracerPid", text, sizeof(text)) && atoi(text) == getpid())
		return 0; /* it was let go as one that dies, and has not died yet */
	if (status_value(threads->pid, tid, "TracerPid", text, sizeof(text)) && atoi(text) > 0)
		return gt_fail(err, EBUSY,
			"cannot attach: process %d is traced by process %s already: end that (a debugger, strace, "
			"another gtrace) first",
			(int)threads->pid, text);
	return gt_fail(err, code,
		"cannot attach: process %d: ptrace: %s: try as its user or as root (kernel.yama.ptrace_scope must be 0 "
		"for "
		"processes of one's own)",
		(int)threads->pid, strerror(code));
}

/* ---- one thread ---- */

static struct gt_thread *add(struct gt_threads *threads, pid_t tid)
{
	if (threads->count == threads->room) {
		size_t room = threads->room ? threads->room * 2 : 64;
		struct gt_thread *list = room > THREADS_MAX ? NULL : realloc(threads->list, room * sizeof(*list));

		if (!list)
			return NULL;
		threads->list = list;
		threads->room = room;
	}
	threads->list[threads->count] = (struct gt_thread){.tid = tid};
	return &threads->list[threads->count++];
}

static const struct gt_thread *known(const struct gt_threads *threads, pid_t tid)
{
	for (size_t i = threads->count; i > 0; i--)
		if (threads->list[i - 1].tid == tid)
			return &threads->list[i - 1];
	return NULL;
}

/* What waitpid said of @thread. */
static void note(struct gt_thread *thread, int status)
{
	if (!WIFSTOPPED(status)) {
		thread->gone = true;
		return;
	}
	thread->stopped = true;
	thread->signal = 0;
	thread->plain = false;
	if (status >> 16 == PTRACE_EVENT_STOP)
		thread->plain = true;
	else if (status >> 16 == 0 &&
		 WSTOPSIG(status) != SYSCALL_STOP) /* that is one asked for by a gtrace that died */
		thread->signal = WSTOPSIG(status);
	/* Killed since: its end is ours to wait for, or nobody hears of the process's. */
	if (ptrace(PTRACE_GETREGS, thread->tid, NULL, &thread->regs) < 0)
		thread->stopped = thread->plain = false;
}

/*
 * Looks at each that is not gone; returns how many neither stand nor are gone. All of them, at every look: when the process ends, its
 * first thread is told of only after the others, which are ours to wait for; and so are those that stood, when another's execve kills them.
 */
static size_t look(struct gt_threads *threads)
{
	size_t left = 0;

	for (size_t i = 0; i < threads->count; i++) {
		struct gt_thread *thread = &threads->list[i];
		int status;
		pid_t got;

		if (thread->gone)
			continue;
		got = waitpid(thread->tid, &status, __WALL | WNOHANG);
		if (got == thread->tid)
			note(thread, status);
		else if (got < 0)
			thread->gone = true;
		left += !thread->gone && !thread->stopped;
	}
	return left;
}

/*
 * execve in one thread kills the others and waits until they are gone, which those that are ours are when we have waited for them. The
 * kernel's lock that it holds meanwhile is what PTRACE_SEIZE of any thread waits for. So that call is made with a timer: its handler waits
 * for those that died, and the call goes on by itself.
 */
static struct gt_threads *seizing;

static void on_timer(int signal)
{
	int error = errno;

	(void)signal;
	if (seizing)
		look(seizing);
	errno = error;
}

static int seize(struct gt_threads *threads, pid_t tid)
{
	sigset_t alarm, before;
	int ret;

	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	seizing = threads;
	sigprocmask(SIG_UNBLOCK, &alarm, &before);
	ret = ptrace(PTRACE_SEIZE, tid, NULL, (void *)(long)PTRACE_O_TRACESYSGOOD) < 0 ? -errno : 0;
	sigprocmask(SIG_SETMASK, &before, NULL);
	seizing = NULL;
	return ret;
}

/* From here on until @timer is 0 again each seize() is looked after. */
static void set_timer(struct gt_threads *threads, suseconds_t timer)
{
	const struct itimerval often = {{0, timer}, {0, timer}};
	struct sigaction action = {.sa_handler = on_timer, .sa_flags = SA_RESTART};

	if (timer)
		sigaction(SIGALRM, &action, &threads->alarm_before);
	setitimer(ITIMER_REAL, &often, NULL);
	if (!timer) {
		/* Ignored, one that is pending is gone. */
		action.sa_handler = SIG_IGN;
		sigaction(SIGALRM, &action, NULL);
		sigaction(SIGALRM, &threads->alarm_before, NULL);
	}
}

/* 1: taken; 0: it is gone. */
static int take(struct gt_threads *threads, pid_t tid, struct gt_error *err)
{
	struct gt_thread *thread;
	int ret = seize(threads, tid);

	if (ret < 0)
		return seize_failed(threads, tid, -ret, err);
	thread = add(threads, tid);
	if (!thread) {
		/* It runs, so it cannot be let go here; the end of gtrace does. */
		return gt_fail(err, ENOMEM, "cannot attach: process %d: too many threads", (int)threads->pid);
	}
	if (ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) < 0)
		thread->gone = true;
	return 1;
}

static void nap(void)
{
	const struct timespec limit = {.tv_nsec = NAP_NS};
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigtimedwait(&child, NULL, &limit);
}

/* All that are known stand, or are gone. */
static int wait_all(struct gt_threads *threads, int64_t until_ns, struct gt_error *err)
{
	while (look(threads)) {
		if (gt_monotonic_ns() > until_ns)
			return gt_fail(err, EAGAIN,
				"cannot attach: a thread of process %d does not come out of the kernel: try again",
				(int)threads->pid);
		nap();
	}
	return 0;
}

int gt_threads_wait(pid_t tid, int64_t limit_ns, int *status)
{
	int64_t until_ns = gt_monotonic_ns() + limit_ns;

	for (;;) {
		pid_t got = waitpid(tid, status, __WALL | WNOHANG);

		if (got == tid)
			return 0;
		if (got < 0)
			return -errno;
		if (gt_monotonic_ns() > until_ns)
			return -ETIMEDOUT;
		nap();
	}
}

/* ---- all of them ---- */

/* Takes those that are not taken yet: how many, or -errno. */
static int take_new(struct gt_threads *threads, struct gt_error *err)
{
	struct dirent *entry;
	char path[64];
	int taken = 0, ret = 0;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)threads->pid);
	tasks = opendir(path);
	if (!tasks) {
		threads->ended = true;
		return gt_fail(err, ESRCH, "cannot attach: process %d is gone", (int)threads->pid);
	}
	while (ret >= 0 && (entry = readdir(tasks))) {
		pid_t tid = atoi(entry->d_name);

		if (tid <= 0 || known(threads, tid))
			continue;
		ret = take(threads, tid, err);
		taken += ret > 0;
	}
	closedir(tasks);
	return ret < 0 ? ret : taken;
}

static size_t standing(const struct gt_threads *threads)
{
	size_t count = 0;

	for (size_t i = 0; i < threads->count; i++)
		count += threads->list[i].stopped && !threads->list[i].gone;
	return count;
}

static void begin(struct gt_threads *threads)
{
	threads->count = 0;
	threads->begin_ns = gt_monotonic_ns();
}

int gt_threads_stop(struct gt_threads *threads, int64_t limit_ns, struct gt_error *err)
{
	int64_t until_ns;
	int ret;

	begin(threads);
	until_ns = threads->begin_ns + limit_ns;
	set_timer(threads, SEIZE_US);
	do {
		ret = take_new(threads, err);
		if (ret > 0) {
			int waited = wait_all(threads, until_ns, err);

			ret = waited < 0 ? waited : ret;
		}
	} while (ret > 0);
	set_timer(threads, 0);
	if (ret >= 0 && !standing(threads)) {
		threads->ended = true;
		ret = gt_fail(err, ESRCH, "cannot attach: process %d is gone", (int)threads->pid);
	}
	if (ret < 0)
		gt_threads_go(threads);
	return ret;
}

int gt_threads_stop_one(struct gt_threads *threads, pid_t tid, int64_t limit_ns, struct gt_error *err)
{
	int ret;

	begin(threads);
	set_timer(threads, SEIZE_US);
	ret = take(threads, tid, err);
	set_timer(threads, 0);
	if (ret > 0)
		ret = wait_all(threads, threads->begin_ns + limit_ns, err);
	if (ret >= 0 && !standing(threads))
		ret = gt_fail(err, ESRCH, "thread %d of process %d is gone", (int)tid, (int)threads->pid);
	if (ret < 0)
		gt_threads_go(threads);
	return ret;
}

/* One that was killed while it stood cannot be let go: it is looked at until it is over. */
static void let_go(struct gt_thread *thread)
{
	int ret;

	if (!thread->stopped || thread->gone)
		return;
	ret = ptrace(PTRACE_DETACH, thread->tid, NULL, (void *)(long)thread->signal) < 0 ? -errno : 0;
	if (ret == -EIO)
		ret = ptrace(PTRACE_DETACH, thread->tid, NULL, NULL) < 0 ? -errno : 0;
	thread->stopped = false;
	thread->gone = ret != -ESRCH;
}

void gt_threads_go(struct gt_threads *threads)
{
	for (size_t i = 0; i < threads->count; i++)
		let_go(&threads->list[i]);
	threads->stop_ns = gt_monotonic_ns() - threads->begin_ns;
	/* One that never stood cannot be detached; it is asked to stop already, and waited for as long as it takes: it is either on its way
	 * here, or asleep in the kernel where it delays nobody but itself. */
	while (look(threads) || standing(threads)) {
		for (size_t i = 0; i < threads->count; i++)
			let_go(&threads->list[i]);
		nap();
	}
	threads->count = 0;
}

void gt_threads_free(struct gt_threads *threads)
{
	free(threads->list);
	memset(threads, 0, sizeof(*threads));
}
