/*
 * echo.c - loads an echo server of one address, and the plainest one to compare with.
 *
 *   bench-echo serve                  prints "port N" and echoes with epoll alone, on one thread, until killed
 *   bench-echo load PORT CONNS MS     64 bytes to and fro on each connection; prints "per_s N"
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE 64
#define EVENTS  256

static void die(const char *what)
{
	fprintf(stderr, "bench-echo: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int64_t now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return at.tv_sec * INT64_C(1000000000) + at.tv_nsec;
}

static void watch(int set, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	if (epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) < 0)
		die("epoll_ctl");
}

static void answer(int fd)
{
	char buffer[4096];
	ssize_t n = read(fd, buffer, sizeof(buffer));

	if (n <= 0 || write(fd, buffer, (size_t)n) != n)
		close(fd);
}

static void serve(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), set = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event events[EVENTS];

	if (listener < 0 || set < 0 || bind(listener, (struct sockaddr *)&address, length) < 0 ||
		listen(listener, 4096) < 0 || getsockname(listener, (struct sockaddr *)&address, &length) < 0)
		die("listen");
	printf("port %d\n", ntohs(address.sin_port));
	fflush(stdout);
	watch(set, listener);
	for (;;) {
		int count = epoll_wait(set, events, EVENTS, -1);

		for (int i = 0; i < count; i++) {
			int fd = events[i].data.fd;

			if (fd != listener) {
				answer(fd);
				continue;
			}
			fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
			if (fd >= 0) {
				int one = 1;

				setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
				watch(set, fd);
			}
		}
	}
}

static long run_for(int set, int64_t ns)
{
	int64_t end = now() + ns;
	long done = 0;

	while (now() < end) {
		struct epoll_event events[EVENTS];
		int count = epoll_wait(set, events, EVENTS, 100);

		for (int i = 0; i < count; i++) {
			char buffer[MESSAGE] = "x";
			ssize_t n = read(events[i].data.fd, buffer, sizeof(buffer));

			if (n != MESSAGE || write(events[i].data.fd, buffer, MESSAGE) != MESSAGE)
				die("a connection");
			done++;
		}
	}
	return done;
}

static void load(int port, int conns, int ms)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
	int set = epoll_create1(EPOLL_CLOEXEC), one = 1;
	int64_t begin;
	long done;

	for (int i = 0; i < conns; i++) {
		char message[MESSAGE] = "x";
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
			die("connect");
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		watch(set, fd);
		if (write(fd, message, MESSAGE) != MESSAGE)
			die("write");
	}
	run_for(set, ms * INT64_C(100000)); /* a tenth, to get going */
	begin = now();
	done = run_for(set, ms * INT64_C(1000000));
	printf("per_s %.0f\n", (double)done * 1e9 / (double)(now() - begin));
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "serve") == 0)
		serve();
	if (argc != 5 || strcmp(argv[1], "load") != 0) {
		fprintf(stderr, "usage: bench-echo serve | load PORT CONNS MS\n");
		return 2;
	}
	load((int)strtol(argv[2], NULL, 10), (int)strtol(argv[3], NULL, 10), (int)strtol(argv[4], NULL, 10));
	return 0;
}
