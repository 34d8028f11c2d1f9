/*
 * events.c - does known things, and says which events a trace of it must hold. For events.py.
 *
 *   events objects    each kind of wait, one goroutine each: "wait G WHAT OBJECT HOLDER CAUSE DETAIL FUNCTION"
 *   events marks      regions, tasks and messages of goroutines that move between threads: "marks G COUNT"
 *   events heap       "alloc G ADDRESS BYTES WEIGHT", "free G ADDRESS BYTES", "heap LIVE PIECES"
 *   events timers     "set TIMER", "fire TIMER", "stop TIMER"
 *   events io FILE    reads, writes, connects..., between two calls of getppid: the same calls each time, on one P
 */
#include "runtime/rt.h"

#include <gtrace/go.h>
#include <gtrace/gtrace.h>
#include <gtrace/io.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAIN 1

/* ---- one goroutine that waits ---- */

static struct gt_g *_Atomic waiter;

static void parked(void)
{
	struct gt_g *g;

	while (!(g = atomic_load(&waiter)))
		gt_yield();
	while (atomic_load(&g->state) != GT_STATE_WAITING)
		gt_yield();
}

/* Starts @fn, which calls here() before it waits, and comes back when it does. */
static uint64_t start(void (*fn)(void *arg), void *arg)
{
	uint64_t g;

	atomic_store(&waiter, NULL);
	g = gt_go(fn, arg);
	parked();
	return g;
}

static void here(void)
{
	atomic_store(&waiter, gt__self());
}

static void say(uint64_t g, const char *what, uint64_t object, uint64_t holder, const char *cause, uint64_t detail,
	const char *function)
{
	printf("wait %llu %s %llu %llu %s %llu %s\n", (unsigned long long)g, what, (unsigned long long)object,
		(unsigned long long)holder, cause, (unsigned long long)detail, function);
}

#define SAY(g, what, object, holder, cause, detail, function) \
	say(g, what, (uint64_t)(object), holder, cause, (uint64_t)(detail), function)

typedef gt_chan(int) chan_int;

static struct gt_wg done;
static chan_int channel, full, one, two, release;
static struct gt_mutex mutex, cond_mutex; /* the first may still be wanted when the other is */
static struct gt_rwmutex rw;
static struct gt_cond cond = {.mutex = &cond_mutex};
static struct gt_wg group;
static struct gt_once once;
static struct gt_sem sem = {.size = 1};
static struct gt_ctx *ctx;
static struct gt_fd *read_end, *write_end, *listener, *connector;

static void receives(void *arg)
{
	here();
	gt_recv(channel, NULL);
	gt_wg_done(&done);
}
static void sends(void *arg)
{
	here();
	gt_send(full, 2);
	gt_wg_done(&done);
}
static void selects(void *arg)
{
	here();
	gt_select(gt_case_recv(one, NULL), gt_case_recv(two, NULL), gt_case_recv(one, NULL));
	gt_wg_done(&done);
}
static void locks(void *arg)
{
	here();
	gt_mutex_lock(&mutex);
	gt_mutex_unlock(&mutex);
	gt_wg_done(&done);
}
static void read_locks(void *arg)
{
	here();
	gt_rwmutex_rlock(&rw);
	gt_rwmutex_runlock(&rw);
	gt_wg_done(&done);
}
static void write_locks(void *arg)
{
	here();
	gt_rwmutex_lock(&rw);
	gt_rwmutex_unlock(&rw);
	gt_wg_done(&done);
}
static void waits_cond(void *arg)
{
	gt_mutex_lock(&cond_mutex);
	here();
	gt_cond_wait(&cond);
	gt_mutex_unlock(&cond_mutex);
	gt_wg_done(&done);
}
static void waits_group(void *arg)
{
	here();
	gt_wg_wait(&group);
	gt_wg_done(&done);
}
static void once_body(void *arg)
{
	gt_recv(release, NULL);
}
static void runs_once(void *arg)
{
	here();
	gt_once(&once, once_body, NULL);
	gt_wg_done(&done);
}
static void waits_once(void *arg)
{
	here();
	gt_once(&once, once_body, NULL);
	gt_wg_done(&done);
}
static void acquires(void *arg)
{
	here();
	gt_sem_acquire(&sem, 1);
	gt_sem_release(&sem, 1);
	gt_wg_done(&done);
}
static void waits_ctx(void *arg)
{
	here();
	gt_recv(gt_ctx_done(ctx), NULL);
	gt_wg_done(&done);
}
static void reads(void *arg)
{
	char byte;

	here();
	gt_fd_read(read_end, &byte, 1);
	gt_wg_done(&done);
}
static char much[1 << 20];
static void writes(void *arg)
{
	here();
	gt_fd_write(write_end, much, sizeof(much));
	gt_wg_done(&done);
}
static void accepts(void *arg)
{
	here();
	gt_fd_read_deadline(listener, gt_now() + 100 * GT_MILLISECOND);
	gt_fd_accept(listener, &connector, NULL, NULL);
	gt_wg_done(&done);
}
static void sleeps(void *arg)
{
	here();
	gt_sleep(100 * GT_MILLISECOND);
	gt_wg_done(&done);
}
static gt_timer timer;
static void waits_timer(void *arg)
{
	here();
	timer = gt_after(100 * GT_MILLISECOND);
	gt_recv(timer, NULL);
	gt_wg_done(&done);
}

static void channels(void)
{
	uint64_t g;

	channel = gt_chan_make(int);
	full = gt_chan_make(int, 1);
	one = gt_chan_make(int);
	two = gt_chan_make(int);
	gt_name((void *)channel, "orders");
	gt_wg_add(&done, 3);
	g = start(receives, NULL);
	SAY(g, "chan", (uintptr_t)channel, 0, "goroutine", MAIN, "receives");
	gt_send(channel, 1);
	gt_send(full, 1);
	g = start(sends, NULL);
	SAY(g, "chan", (uintptr_t)full, 0, "goroutine", MAIN, "sends");
	gt_recv(full, NULL);
	g = start(selects, NULL);
	printf("select %llu %llu %llu\n", (unsigned long long)g, (unsigned long long)(uintptr_t)one,
		(unsigned long long)(uintptr_t)two);
	SAY(g, "select", 2, 0, "goroutine", MAIN, "selects");
	gt_send(two, 1);
	gt_wg_wait(&done);
}

static void locked(void)
{
	uint64_t g;

	gt_wg_add(&done, 4);
	gt_mutex_lock(&mutex);
	g = start(locks, NULL);
	SAY(g, "mutex", (uintptr_t)&mutex, MAIN, "goroutine", MAIN, "locks");
	gt_mutex_unlock(&mutex);
	gt_rwmutex_lock(&rw);
	g = start(read_locks, NULL);
	SAY(g, "rwmutex", (uintptr_t)&rw, MAIN, "goroutine", MAIN, "read_locks");
	g = start(write_locks, NULL);
	SAY(g, "rwmutex", (uintptr_t)&rw, MAIN, "any", 0, "write_locks");
	gt_rwmutex_unlock(&rw);
	g = start(waits_cond, NULL);
	SAY(g, "cond", (uintptr_t)&cond, 0, "goroutine", MAIN, "waits_cond");
	gt_mutex_lock(&cond_mutex);
	gt_cond_signal(&cond);
	gt_mutex_unlock(&cond_mutex);
	gt_wg_wait(&done);
}

static void others(void)
{
	uint64_t g, runner;

	gt_wg_add(&done, 5);
	gt_wg_add(&group, 1);
	g = start(waits_group, NULL);
	SAY(g, "waitgroup", (uintptr_t)&group, 0, "goroutine", MAIN, "waits_group");
	gt_wg_done(&group);
	release = gt_chan_make(int);
	runner = start(runs_once, NULL);
	SAY(runner, "chan", (uintptr_t)release, 0, "goroutine", MAIN, "runs_once");
	g = start(waits_once, NULL);
	SAY(g, "once", (uintptr_t)&once, runner, "goroutine", runner, "waits_once");
	gt_send(release, 1);
	gt_sem_acquire(&sem, 1);
	g = start(acquires, NULL);
	SAY(g, "semaphore", (uintptr_t)&sem, 0, "goroutine", MAIN, "acquires");
	gt_sem_release(&sem, 1);
	ctx = gt_ctx_with_cancel(gt_ctx_background());
	g = start(waits_ctx, NULL);
	SAY(g, "context", (uintptr_t)ctx, 0, "goroutine", MAIN, "waits_ctx");
	gt_ctx_cancel(ctx);
	gt_wg_wait(&done);
}

static struct gt_fd *make_listener(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct gt_fd *out;

	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 1) < 0 || gt_fd_new(fd, &out) < 0)
		exit(1);
	return out;
}

static void descriptors(void)
{
	int ends[2];
	uint64_t g;

	if (pipe2(ends, O_CLOEXEC) < 0 || gt_fd_new(ends[0], &read_end) < 0 || gt_fd_new(ends[1], &write_end) < 0)
		exit(1);
	gt_wg_add(&done, 1);
	g = start(reads, NULL);
	SAY(g, "fd_read", ends[0], 0, "netpoll", ends[0], "reads");
	gt_fd_write(write_end, "x", 1);
	gt_wg_wait(&done);
	gt_wg_add(&done, 1);
	g = start(writes, NULL);
	SAY(g, "fd_write", ends[1], 0, "netpoll", ends[1], "writes");
	for (size_t left = sizeof(much); left;)
		left -= (size_t)gt_fd_read(read_end, much, sizeof(much));
	gt_wg_wait(&done);
}

/* These end by themselves: who waits for the wait to begin may come too late. */
static void timed(void)
{
	uint64_t g;

	listener = make_listener();
	gt_wg_add(&done, 3);
	g = gt_go(accepts, NULL);
	SAY(g, "fd_accept", gt_fd_number(listener), 0, "deadline", gt_fd_number(listener), "accepts");
	g = gt_go(sleeps, NULL);
	SAY(g, "sleep", 0, 0, "timer", 0, "sleeps");
	g = gt_go(waits_timer, NULL);
	gt_wg_wait(&done);
	SAY(g, "timer", (uintptr_t)timer, 0, "timer", 0, "waits_timer");
}

/* ---- marks ---- */

#define MARKERS 8
#define ROUNDS  50

static void inner(uint64_t task)
{
	gt_region_of(task, "inner")
	{
		gt_yield();
		if (task % 2)
			return;
	}
}

static void marks(void *arg)
{
	uint64_t task = gt_task_begin("job", 0);

	for (int i = 0; i < ROUNDS; i++) {
		gt_region("outer")
		{
			gt_yield();
			inner(task);
			if (i % 3 == 0)
				break;
			gt_log(task, "round", i % 2 ? "odd" : "even");
		}
	}
	gt_task_end(task);
	printf("marks %llu %d %d\n", (unsigned long long)gt_id(), ROUNDS, ROUNDS - (ROUNDS + 2) / 3);
	gt_wg_done(&done);
}

/* ---- the heap, as an interposer would tell it ---- */

static void heap(void *arg)
{
	for (uint64_t i = 1; i <= 20; i++) {
		const void *at = (const void *)(uintptr_t)(0x7000000000 + i * 64);

		gt_hook_alloc(gt_hook_g(), at, i * 10, i * 1000, 0);
		printf("alloc %llu %llu %llu %llu\n", (unsigned long long)gt_id(), (unsigned long long)(uintptr_t)at,
			(unsigned long long)i * 10, (unsigned long long)i * 1000);
		gt_hook_heap(i * 10, i);
		printf("heap %llu %llu\n", (unsigned long long)i * 10, (unsigned long long)i);
		gt_yield();
		if (i % 2)
			continue;
		gt_hook_free(gt_hook_g(), at, i * 10);
		printf("free %llu %llu %llu\n", (unsigned long long)gt_id(), (unsigned long long)(uintptr_t)at,
			(unsigned long long)i * 10);
	}
	gt_wg_done(&done);
}

/* ---- timers ---- */

static void timers(void)
{
	gt_timer later = gt_after(3600 * GT_SECOND), soon = gt_after(GT_MILLISECOND);

	gt_recv(soon, NULL);
	gt_timer_stop(later);
	printf("set %llu\nset %llu\nfire %llu\nstop %llu\n", (unsigned long long)(uintptr_t)later,
		(unsigned long long)(uintptr_t)soon, (unsigned long long)(uintptr_t)soon,
		(unsigned long long)(uintptr_t)later);
}

/* ---- system calls ---- */

static void peer(void *arg)
{
	struct gt_fd *conn;
	char bytes[64];

	if (gt_fd_accept(listener, &conn, NULL, NULL) < 0)
		exit(1);
	while (gt_fd_read(conn, bytes, sizeof(bytes)) > 0)
		gt_fd_write(conn, "pong", 4);
	gt_fd_close(conn);
	gt_wg_done(&done);
}

static void calls(const char *path)
{
	struct sockaddr_in address;
	socklen_t length = sizeof(address);
	struct gt_fd *file, *conn;
	int socket_fd, file_fd, failed;
	char bytes[100];

	syscall(SYS_getppid);
	listener = make_listener();
	if (getsockname(gt_fd_number(listener), (struct sockaddr *)&address, &length) < 0)
		exit(1);
	file_fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	socket_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	failed = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (gt_fd_new(file_fd, &file) < 0)
		exit(1);
	for (int i = 0; i < 5; i++)
		gt_fd_write(file, "hello", 5);
	gt_fd_read(file, bytes, sizeof(bytes));
	gt_fd_close(file);
	if (gt_fd_new(failed, &file) == 0) {
		gt_fd_write(file, "x", 1); /* EBADF */
		gt_fd_close(file);
	}
	gt_wg_add(&done, 1);
	gt_go(peer, NULL);
	if (gt_fd_new(socket_fd, &conn) < 0 || gt_fd_connect(conn, (struct sockaddr *)&address, length) < 0)
		exit(1);
	for (int i = 0; i < 20; i++) {
		gt_fd_write(conn, "ping", 4);
		gt_fd_read(conn, bytes, sizeof(bytes));
	}
	gt_fd_close(conn);
	gt_wg_wait(&done);
	gt_fd_close(listener);
	syscall(SYS_getppid);
}

static int go_main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "objects")) {
		channels();
		locked();
		others();
		descriptors();
		timed();
	} else if (!strcmp(what, "marks") || !strcmp(what, "heap")) {
		gt_wg_add(&done, MARKERS);
		for (int i = 0; i < MARKERS; i++)
			gt_go(*what == 'm' ? marks : heap, NULL);
		gt_wg_wait(&done);
	} else if (!strcmp(what, "timers")) {
		timers();
	} else if (!strcmp(what, "io") && argc > 2) {
		calls(argv[2]);
	} else {
		return 2;
	}
	return 0;
}

int main(int argc, char **argv)
{
	return gt_main(argc, argv, go_main);
}
