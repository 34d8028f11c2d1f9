/* test_fds.c - names of descriptors: told before the first use, again when they change, by what /proc says. */
#include "libtrace/fds.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct gt_fds fds;
static struct gt_event name;

static bool call(uint64_t number, int fd)
{
	struct gt_event event = {.ticks = 7, .kind = GT_EV_SYSCALL_INFO, .args = {1, number, (uint64_t)fd}};

	return gt_fds_event(&fds, getpid(), &event, &name);
}

static bool gives(uint64_t number, int fd)
{
	struct gt_event event = {.ticks = 8, .kind = GT_EV_SYSCALL_RESULT, .args = {1, number, (uint64_t)fd}};

	return gt_fds_event(&fds, getpid(), &event, &name);
}

static const char *told(void)
{
	cr_assert_eq(name.kind, GT_EV_FD_NAME);
	return gt_fds_name(&fds, name.args[1]);
}

enum { READ = 0, CLOSE = 3, LSEEK = 8, DUP = 32, SOCKET = 41, CONNECT = 42, LISTEN = 50, OPENAT = 257 };

Test(fds, a_file_is_told_once_and_again_when_it_is_another)
{
	int fd = open("/dev/null", O_RDWR), other = open("/dev/zero", O_RDWR);

	cr_assert(call(READ, fd));
	cr_assert_str_eq(told(), "/dev/null");
	cr_assert_eq(name.args[0], (uint64_t)fd);
	cr_assert_not(call(READ, fd));
	cr_assert_not(call(LSEEK, fd));
	cr_assert_not(call(CLOSE, fd));
	dup2(other, fd);
	cr_assert(gives(OPENAT, fd));
	cr_assert_str_eq(told(), "/dev/zero");
	cr_assert_not(call(READ, fd));
	gt_fds_again(&fds); /* another file */
	cr_assert(call(READ, fd));
	cr_assert_str_eq(told(), "/dev/zero");
	/* The same again under the number: nothing new to tell. */
	cr_assert_not(call(CLOSE, fd));
	cr_assert_not(gives(OPENAT, fd));
	close(fd);
	cr_assert_not(call(CLOSE, fd));
	cr_assert(call(READ, fd)); /* it is nothing any more */
	cr_assert_str_eq(told(), "");
	close(other);
	gt_fds_free(&fds);
}

Test(fds, what_has_no_descriptor_names_none)
{
	struct gt_event event = {.kind = GT_EV_SYSCALL_INFO, .args = {1, 39, 1}};

	cr_assert_not(gt_fds_event(&fds, getpid(), &event, &name)); /* getpid */
	event.args[1] = READ;
	cr_assert_not(gt_fds_event(&fds, 0, &event, &name)); /* whose? */
	event.args[2] = UINT64_MAX;
	cr_assert_not(gt_fds_event(&fds, getpid(), &event, &name));
	event = (struct gt_event){.kind = GT_EV_WAITS_ON, .args = {1, GT_OBJECT_CHAN, 1}};
	cr_assert_not(gt_fds_event(&fds, getpid(), &event, &name));
	event = (struct gt_event){.kind = GT_EV_SYSCALL_RESULT, .args = {1, OPENAT, 1, 2}};
	cr_assert_not(gt_fds_event(&fds, getpid(), &event, &name)); /* it failed */
	gt_fds_free(&fds);
}

Test(fds, a_socket_is_told_by_its_addresses)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int server = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
	char text[128];

	fds.sockets_ns = INT64_MIN / 2; /* whatever time it takes */
	cr_assert_eq(bind(server, (struct sockaddr *)&address, sizeof(address)), 0);
	cr_assert_eq(listen(server, 5), 0);
	cr_assert_eq(getsockname(server, (struct sockaddr *)&address, &size), 0);
	cr_assert(call(READ, server));
	snprintf(text, sizeof(text), "tcp listening at 127.0.0.1:%d", ntohs(address.sin_port));
	cr_assert_str_eq(told(), text);
	cr_assert(gives(SOCKET, client));
	cr_assert_str_eq(told(), "socket");
	cr_assert_not(call(CONNECT, client));
	cr_assert_eq(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
	cr_assert(call(READ, client));
	snprintf(text, sizeof(text), "-> 127.0.0.1:%d", ntohs(address.sin_port));
	cr_assert(strstr(told(), text) && strncmp(told(), "tcp 127.0.0.1:", 14) == 0, "%s", told());
	close(client);
	close(server);
	gt_fds_free(&fds);
}

/* A window is written: what a descriptor was at the time, though it is something else now. */
Test(fds, a_window_has_the_names_of_its_time)
{
	int fd = open("/dev/null", O_RDWR), other = open("/dev/zero", O_RDWR);
	struct gt_event then = {.ticks = 10, .kind = GT_EV_SYSCALL_INFO, .args = {1, READ, (uint64_t)fd}};
	struct gt_event ends = {.ticks = 20, .kind = GT_EV_SYSCALL_INFO, .args = {1, CLOSE, (uint64_t)fd}};
	struct gt_event later = {.ticks = 30, .kind = GT_EV_SYSCALL_INFO, .args = {1, READ, (uint64_t)fd}};

	cr_assert(gt_fds_event(&fds, getpid(), &then, &name));
	cr_assert_not(gt_fds_event(&fds, getpid(), &ends, &name));
	dup2(other, fd);
	cr_assert(gt_fds_event(&fds, getpid(), &later, &name));
	close(fd);
	close(other);
	for (int i = 0; i < 2; i++) {
		gt_fds_again(&fds);
		fds.replay = true;
		cr_assert(gt_fds_event(&fds, getpid(), &then, &name));
		cr_assert_str_eq(told(), "/dev/null");
		cr_assert_not(gt_fds_event(&fds, getpid(), &ends, &name));
		cr_assert(gt_fds_event(&fds, getpid(), &later, &name));
		cr_assert_str_eq(told(), "/dev/zero");
		fds.replay = false;
	}
	gt_fds_free(&fds);
}

Test(fds, names_are_bounded)
{
	int fd = open("/dev/null", O_RDWR);

	for (unsigned int i = 0; i < 3 * GT_FDS_MAX; i++) {
		call(READ, fd);
		call(CLOSE, fd);
	}
	cr_assert_leq(fds.end - fds.first, GT_FDS_MAX);
	call(READ, fd);
	cr_assert_not(call(READ, fd));
	close(fd);
	gt_fds_free(&fds);
}
