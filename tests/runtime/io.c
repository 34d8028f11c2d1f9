/*
 * io.c - descriptors: pipes, sockets, files; deadlines, closing, many at once.
 */
#include "runtime/sched.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtrace/io.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHECK(what) \
	do { \
		if (!(what)) { \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what); \
			exit(1); \
		} \
	} while (0)

#define CLIENTS 30
#define TURNS   40

static _Atomic int ended;

static struct gt_fd *wrap(int number)
{
	struct gt_fd *fd;

	CHECK(number >= 0);
	CHECK(gt_fd_new(number, &fd) == 0);
	return fd;
}

/* ---- an echo server ---- */

static struct sockaddr_in address = {.sin_family = AF_INET};

static void serve_one(void *arg)
{
	struct gt_fd *fd = arg;
	char buffer[512];
	ssize_t got;

	while ((got = gt_fd_read(fd, buffer, sizeof(buffer))) > 0)
		CHECK(gt_fd_write(fd, buffer, (size_t)got) == got);
	CHECK(got == 0);
	CHECK(gt_fd_close(fd) == 0);
	atomic_fetch_add(&ended, 1);
}

static void serve(void *arg)
{
	struct gt_fd *conn;
	int ret;

	while ((ret = gt_fd_accept(arg, &conn, NULL, NULL)) == 0)
		gt_go_named("server", serve_one, conn);
	CHECK(ret == -ECANCELED);
	atomic_fetch_add(&ended, 1);
}

static void ask(void *arg)
{
	struct gt_fd *fd = wrap(socket(AF_INET, SOCK_STREAM, 0));
	char text[64], answer[64];

	CHECK(gt_fd_connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	for (int i = 0; i < TURNS; i++) {
		size_t length = (size_t)snprintf(text, sizeof(text), "%ld asks %d", (long)(intptr_t)arg, i), have = 0;

		CHECK(gt_fd_write(fd, text, length) == (ssize_t)length);
		while (have < length) {
			ssize_t got = gt_fd_read(fd, answer + have, length - have);

			CHECK(got > 0);
			have += (size_t)got;
		}
		CHECK(memcmp(text, answer, length) == 0);
	}
	CHECK(gt_fd_close(fd) == 0);
	atomic_fetch_add(&ended, 1);
}

static void echo(void)
{
	socklen_t length = sizeof(address);
	int number = socket(AF_INET, SOCK_STREAM, 0);
	struct gt_fd *listener, *nobody;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK(bind(number, (struct sockaddr *)&address, sizeof(address)) == 0);
	CHECK(listen(number, 128) == 0);
	CHECK(getsockname(number, (struct sockaddr *)&address, &length) == 0);
	listener = wrap(number);
	gt_go_named("listener", serve, listener);
	for (long i = 0; i < CLIENTS; i++)
		gt_go_named("client", ask, (void *)(intptr_t)i);
	while (atomic_load(&ended) < 2 * CLIENTS)
		gt_sleep(GT_MILLISECOND);
	CHECK(gt_fd_close(listener) == 0);
	while (atomic_load(&ended) < 2 * CLIENTS + 1)
		gt_sleep(GT_MILLISECOND);
	/* A port that is ours, so that nobody else listens there. */
	number = socket(AF_INET, SOCK_STREAM, 0);
	address.sin_port = 0;
	CHECK(bind(number, (struct sockaddr *)&address, sizeof(address)) == 0);
	CHECK(getsockname(number, (struct sockaddr *)&address, &length) == 0);
	nobody = wrap(socket(AF_INET, SOCK_STREAM, 0));
	CHECK(gt_fd_connect(nobody, (struct sockaddr *)&address, sizeof(address)) == -ECONNREFUSED);
	CHECK(gt_fd_close(nobody) == 0);
	close(number);
}

/* ---- pipes ---- */

#define PIPE_BYTES 300000

static void fill(void *arg)
{
	static char bytes[PIPE_BYTES];

	for (int i = 0; i < PIPE_BYTES; i++)
		bytes[i] = (char)(i * 7);
	CHECK(gt_fd_write(arg, bytes, PIPE_BYTES) == PIPE_BYTES);
	CHECK(gt_fd_close(arg) == 0);
}

static void through_a_pipe(void)
{
	int ends[2], have = 0;
	char buffer[1000];
	struct gt_fd *from;
	ssize_t got;

	CHECK(pipe2(ends, O_CLOEXEC) == 0);
	from = wrap(ends[0]);
	gt_go(fill, wrap(ends[1]));
	while ((got = gt_fd_read(from, buffer, sizeof(buffer))) > 0)
		for (ssize_t i = 0; i < got; i++, have++)
			CHECK(buffer[i] == (char)(have * 7));
	CHECK(got == 0 && have == PIPE_BYTES);
	CHECK(gt_fd_close(from) == 0);
}

static void close_later(void *fd)
{
	gt_sleep(2 * GT_MILLISECOND);
	CHECK(gt_fd_close(fd) == 0);
}

static void write_later(void *fd)
{
	gt_sleep(2 * GT_MILLISECOND);
	CHECK(gt_fd_write(fd, "x", 1) == 1);
}

static void waits_end(void)
{
	struct gt_fd *from, *to;
	int64_t begin = gt__now();
	ssize_t got;
	char byte;
	int ends[2];

	CHECK(pipe2(ends, O_CLOEXEC) == 0);
	from = wrap(ends[0]);
	to = wrap(ends[1]);
	gt_fd_read_deadline(from, begin + 3 * GT_MILLISECOND);
	CHECK(gt_fd_read(from, &byte, 1) == -ETIMEDOUT);
	CHECK(gt__now() >= begin + 3 * GT_MILLISECOND);
	CHECK(gt_fd_write(to, "a", 1) == 1);
	CHECK(gt_fd_read(from, &byte, 1) == -ETIMEDOUT); /* as long as it stands */
	gt_fd_read_deadline(from, gt__now() + 3600 * GT_SECOND);
	CHECK(gt_fd_read(from, &byte, 1) == 1 && byte == 'a');
	gt_fd_read_deadline(from, 0);
	gt_go(write_later, to);
	CHECK(gt_fd_read(from, &byte, 1) == 1 && byte == 'x');
	gt_go(close_later, from);
	CHECK(gt_fd_read(from, &byte, 1) == -ECANCELED);
	/* The number is closed when both are out of their calls. */
	while ((got = gt_fd_write(to, "x", 1)) == 1)
		gt_yield();
	CHECK(got == -EPIPE);
	CHECK(gt_fd_close(to) == 0);
}

static void a_file(void)
{
	char name[] = "/tmp/gtrace-io-XXXXXX", buffer[16];
	int number = mkstemp(name);
	struct gt_fd *fd = wrap(number);

	unlink(name);
	CHECK(gt_fd_write(fd, "content", 7) == 7);
	CHECK(lseek(number, 0, SEEK_SET) == 0);
	CHECK(gt_fd_read(fd, buffer, sizeof(buffer)) == 7 && memcmp(buffer, "content", 7) == 0);
	CHECK(gt_fd_read(fd, buffer, sizeof(buffer)) == 0);
	CHECK(gt_fd_close(fd) == 0);
	CHECK(gt_fd_new(-1, &fd) == -EBADF);
}

static int run(int argc, char **argv)
{
	through_a_pipe();
	waits_end();
	a_file();
	echo();
	printf("good\n");
	return 0;
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	return gt_main(argc, argv, run);
}
