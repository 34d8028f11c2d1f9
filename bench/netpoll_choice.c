/*
 * netpoll_choice.c - epoll or io_uring below the runtime's netpoll: one echo server in each of four ways, at 1, 64 and 1000 connections.
 *
 *   epoll        edges, told of once a connection; read, write, read until EAGAIN: what the runtime's goroutines do
 *   uring-poll   the same, readiness by multishot poll requests of io_uring
 *   uring-recv   recv and send as requests, one of each a message
 *   uring-multi  multishot recv into a ring of provided buffers, send as a request
 *
 * The server is one thread, the clients another, each on a CPU of its own: 64 bytes there and back, again and again on each connection.
 * Rounds of all ways are taken in turn. Told: median round trips a second, and the server's CPU time for one.
 *
 *	bench-netpoll-choice [ROUNDS [SECONDS]]
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BYTES      64
#define CONNS_MAX  1000
#define ROUNDS_MAX 99

static int server_end[CONNS_MAX], client_end[CONNS_MAX], conns;
static _Atomic bool stop;
static _Atomic long trips;
static char buffers[CONNS_MAX][BYTES];

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void nonblocking(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);

	if (fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) < 0)
		fail("fcntl");
}

/* ---- servers; each ends when the clients have closed ---- */

static int open_now;

/* As a goroutine does: reads until there is nothing, and answers. */
static void serve_ready(int i)
{
	for (;;) {
		ssize_t got = read(server_end[i], buffers[i], BYTES);

		if (got > 0 && write(server_end[i], buffers[i], (size_t)got) == got)
			continue;
		if (got < 0 && errno == EAGAIN)
			return;
		open_now--;
		return;
	}
}

static void serve_epoll(void)
{
	struct epoll_event events[128];
	int set = epoll_create1(0);

	for (int i = 0; i < conns; i++) {
		struct epoll_event event = {
			.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.u32 = (uint32_t)i};

		if (epoll_ctl(set, EPOLL_CTL_ADD, server_end[i], &event) < 0)
			fail("epoll_ctl");
	}
	while (open_now > 0) {
		int count = epoll_wait(set, events, 128, -1);

		for (int k = 0; k < count; k++)
			serve_ready((int)events[k].data.u32);
	}
	close(set);
}

static void ring_open(struct io_uring *ring)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
		.cq_entries = 8192};

	if (io_uring_queue_init_params(4096, ring, &params) == 0)
		return;
	params = (struct io_uring_params){.flags = IORING_SETUP_CQSIZE, .cq_entries = 8192};
	errno = -io_uring_queue_init_params(4096, ring, &params);
	if (errno)
		fail("io_uring_queue_init");
}

static struct io_uring_sqe *request(struct io_uring *ring, int i, unsigned int kind)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	while (!sqe) {
		io_uring_submit(ring);
		sqe = io_uring_get_sqe(ring);
	}
	sqe->user_data = (uint64_t)kind << 32 | (uint32_t)i;
	return sqe;
}

enum { POLL, RECV, SEND };

static void ask(struct io_uring *ring, int i, unsigned int kind, size_t bytes)
{
	struct io_uring_sqe *sqe = request(ring, i, kind);
	uint64_t data = sqe->user_data;

	switch (kind) {
	case POLL:
		io_uring_prep_poll_multishot(sqe, server_end[i], EPOLLIN | EPOLLRDHUP | EPOLLET);
		break;
	case RECV:
		io_uring_prep_recv(sqe, server_end[i], buffers[i], BYTES, 0);
		break;
	default:
		io_uring_prep_send(sqe, server_end[i], buffers[i], bytes, 0);
	}
	sqe->user_data = data;
}

static void serve_uring(bool poll)
{
	struct io_uring ring;

	ring_open(&ring);
	for (int i = 0; i < conns; i++)
		ask(&ring, i, poll ? POLL : RECV, 0);
	while (open_now > 0) {
		struct io_uring_cqe *cqe;
		unsigned int head, count = 0;

		io_uring_submit_and_wait(&ring, 1);
		io_uring_for_each_cqe(&ring, head, cqe)
		{
			int i = (int)(uint32_t)cqe->user_data;

			count++;
			switch (cqe->user_data >> 32) {
			case POLL:
				serve_ready(i);
				if (!(cqe->flags & IORING_CQE_F_MORE) && cqe->res > 0)
					ask(&ring, i, POLL, 0);
				break;
			case RECV:
				if (cqe->res > 0)
					ask(&ring, i, SEND, (size_t)cqe->res);
				else
					open_now--;
				break;
			default:
				ask(&ring, i, RECV, 0);
			}
		}
		io_uring_cq_advance(&ring, count);
	}
	io_uring_queue_exit(&ring);
}

#define POOL 4096

static void ask_multi(struct io_uring *ring, int i)
{
	struct io_uring_sqe *sqe = request(ring, i, RECV);
	uint64_t data = sqe->user_data;

	io_uring_prep_recv_multishot(sqe, server_end[i], NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = 1;
	sqe->user_data = data;
}

static void serve_multi(void)
{
	static char pool[POOL][BYTES];
	struct io_uring ring;
	struct io_uring_buf_ring *br = NULL;
	struct io_uring_buf_reg reg = {.ring_entries = POOL, .bgid = 1};
	size_t bytes = POOL * sizeof(struct io_uring_buf);

	ring_open(&ring);
	if (posix_memalign((void **)&br, 4096, bytes) != 0)
		exit(1);
	reg.ring_addr = (uint64_t)(uintptr_t)br;
	errno = -io_uring_register_buf_ring(&ring, &reg, 0);
	if (errno)
		fail("io_uring_register_buf_ring");
	io_uring_buf_ring_init(br);
	for (int i = 0; i < POOL; i++)
		io_uring_buf_ring_add(br, pool[i], BYTES, (unsigned short)i, POOL - 1, i);
	io_uring_buf_ring_advance(br, POOL);
	for (int i = 0; i < conns; i++)
		ask_multi(&ring, i);
	while (open_now > 0) {
		struct io_uring_cqe *cqe;
		unsigned int head, count = 0;

		io_uring_submit_and_wait(&ring, 1);
		io_uring_for_each_cqe(&ring, head, cqe)
		{
			int i = (int)(uint32_t)cqe->user_data & 0xffff, id = (int)(cqe->user_data >> 16 & 0xffff);
			struct io_uring_sqe *sqe;

			count++;
			if (cqe->user_data >> 32 == SEND) {
				io_uring_buf_ring_add(br, pool[id], BYTES, (unsigned short)id, POOL - 1, 0);
				io_uring_buf_ring_advance(br, 1);
				continue;
			}
			if (cqe->res <= 0) {
				if (cqe->res == -ENOBUFS)
					ask_multi(&ring, i);
				else
					open_now--;
				continue;
			}
			id = (int)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
			sqe = request(&ring, i | id << 16, SEND);
			{
				uint64_t data = sqe->user_data;

				io_uring_prep_send(sqe, server_end[i], pool[id], (size_t)cqe->res, 0);
				sqe->user_data = data;
			}
			if (!(cqe->flags & IORING_CQE_F_MORE))
				ask_multi(&ring, i);
		}
		io_uring_cq_advance(&ring, count);
	}
	io_uring_queue_exit(&ring);
	free(br);
}

/* ---- clients ---- */

static void *clients(void *arg)
{
	struct epoll_event events[128];
	int set = epoll_create1(0);
	char bytes[BYTES] = "";
	long done = 0;

	pin(1);
	for (int i = 0; i < conns; i++) {
		struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)i};

		if (epoll_ctl(set, EPOLL_CTL_ADD, client_end[i], &event) < 0 ||
			write(client_end[i], bytes, BYTES) != BYTES)
			fail("client");
	}
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		int count = epoll_wait(set, events, 128, 100);

		for (int k = 0; k < count; k++) {
			int fd = client_end[events[k].data.u32];

			if (read(fd, bytes, BYTES) != BYTES || write(fd, bytes, BYTES) != BYTES)
				fail("client");
			done++;
		}
		atomic_store_explicit(&trips, done, memory_order_relaxed);
	}
	close(set);
	for (int i = 0; i < conns; i++)
		shutdown(client_end[i], SHUT_WR);
	return arg;
}

static void connect_all(bool nonblock)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	if (bind(listener, (struct sockaddr *)&address, size) < 0 || listen(listener, 1024) < 0 ||
		getsockname(listener, (struct sockaddr *)&address, &size) < 0)
		fail("listen");
	for (int i = 0; i < conns; i++) {
		client_end[i] = socket(AF_INET, SOCK_STREAM, 0);
		if (connect(client_end[i], (struct sockaddr *)&address, size) < 0)
			fail("connect");
		server_end[i] = accept(listener, NULL, NULL);
		setsockopt(client_end[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		setsockopt(server_end[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		nonblocking(server_end[i], nonblock);
	}
	close(listener);
}

struct figure {
	double rate, cpu_us;
};

static void *server(void *arg)
{
	static struct figure figure;
	struct rusage usage;
	int way = *(int *)arg;

	pin(0);
	open_now = conns;
	if (way == 0)
		serve_epoll();
	else if (way < 3)
		serve_uring(way == 1);
	else
		serve_multi();
	getrusage(RUSAGE_THREAD, &usage);
	figure.cpu_us = (double)usage.ru_utime.tv_sec * 1e6 + (double)usage.ru_utime.tv_usec +
			(double)usage.ru_stime.tv_sec * 1e6 + (double)usage.ru_stime.tv_usec;
	return &figure;
}

static struct figure measure(int way, double seconds)
{
	pthread_t server_thread, client_thread;
	struct figure figure;
	void *result;
	double begin;

	atomic_store(&stop, false);
	atomic_store(&trips, 0);
	connect_all(way < 2);
	begin = now();
	pthread_create(&server_thread, NULL, server, &way);
	pthread_create(&client_thread, NULL, clients, NULL);
	usleep((useconds_t)(seconds * 1e6));
	atomic_store(&stop, true);
	pthread_join(client_thread, NULL);
	figure.rate = (double)atomic_load(&trips) / (now() - begin);
	pthread_join(server_thread, &result);
	figure.cpu_us = ((struct figure *)result)->cpu_us / (double)atomic_load(&trips);
	for (int i = 0; i < conns; i++) {
		close(client_end[i]);
		close(server_end[i]);
	}
	return figure;
}

static int by_value(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return left < right ? -1 : left > right;
}

static double median(double *values, int count)
{
	qsort(values, (size_t)count, sizeof(*values), by_value);
	return values[count / 2];
}

int main(int argc, char **argv)
{
	static const char *const names[] = {"epoll", "uring-poll", "uring-recv", "uring-multi"};
	static const int counts[] = {1, 64, 1000};
	int rounds = argc > 1 ? atoi(argv[1]) : 5;
	double seconds = argc > 2 ? atof(argv[2]) : 1;
	struct rlimit files = {4096, 4096};

	setrlimit(RLIMIT_NOFILE, &files);
	if (rounds < 1 || rounds > ROUNDS_MAX)
		return 2;
	printf("%-6s %-12s %14s %16s\n", "conns", "way", "round trips/s", "server us each");
	for (size_t c = 0; c < sizeof(counts) / sizeof(*counts); c++) {
		double rates[4][ROUNDS_MAX], cpu[4][ROUNDS_MAX];

		conns = counts[c];
		for (int round = 0; round < rounds; round++) {
			for (int way = 0; way < 4; way++) {
				struct figure figure = measure(way, seconds);

				rates[way][round] = figure.rate;
				cpu[way][round] = figure.cpu_us;
			}
		}
		for (int way = 0; way < 4; way++)
			printf("%-6d %-12s %14.0f %16.2f\n", conns, names[way], median(rates[way], rounds),
				median(cpu[way], rounds));
		fflush(stdout);
	}
	return 0;
}
