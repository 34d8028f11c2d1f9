/*
 * server.c - listens, reads requests and sends answers: one goroutine a connection.
 *
 * Everything is bounded: connections, a header, a body, the time for a header to come whole and for each part of an answer to go.
 */
#include "runtime/debug/server.h"

#include <arpa/inet.h>
#include <gtrace/debug.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONNECTIONS_MAX 128u
#define TIMEOUT_NS      (10 * GT_SECOND)
#define IDLE_NS         (60 * GT_SECOND)
#define PART_BYTES      (64u << 10)
#define BACKLOG         128
#define LINGER_BYTES    (256u << 10)
#define LINGER_NS       GT_SECOND

struct server {
	int listener;
	bool check_host;
	unsigned int connections_max;
	int64_t timeout_ns;
	_Atomic unsigned int connections;
};

struct accepted {
	struct server *server;
	struct gt_fd *fd;
};

/* ---- sending ---- */

/* In parts, so that a deadline is one for a part: who takes nothing for so long is gone. */
static int put(struct gt__conn *conn, const void *bytes, size_t size)
{
	const char *at = bytes;

	while (size && !conn->broken) {
		size_t part = size < PART_BYTES ? size : PART_BYTES;

		gt_fd_write_deadline(conn->fd, gt_now() + conn->timeout_ns);
		if (gt_fd_write(conn->fd, at, part) < 0)
			conn->broken = true;
		at += part;
		size -= part;
	}
	return conn->broken ? -EPIPE : 0;
}

static void put_head(struct gt__conn *conn, int status, const char *type, const char *fields, const char *length)
{
	char head[1024];
	int size;

	size = snprintf(head, sizeof(head),
		"HTTP/1.1 %d %s\r\nContent-Type: %s\r\nX-Content-Type-Options: nosniff\r\n%s%sConnection: %s\r\n\r\n",
		status, gt_http_status_text(status), type, fields, length, conn->keep_alive ? "keep-alive" : "close");
	put(conn, head, (size_t)size);
}

void gt__conn_send(
	struct gt__conn *conn, int status, const char *type, const char *fields, const void *body, size_t size)
{
	char length[64];

	snprintf(length, sizeof(length), "Content-Length: %zu\r\n", size);
	put_head(conn, status, type, fields, length);
	if (!conn->head)
		put(conn, body, size);
}

int gt__conn_begin(struct gt__conn *conn, const char *type, const char *fields)
{
	conn->in_parts = conn->request.minor == 1;
	if (!conn->in_parts)
		conn->keep_alive = false;
	put_head(conn, 200, type, fields, conn->in_parts ? "Transfer-Encoding: chunked\r\n" : "");
	return conn->broken ? -EPIPE : 0;
}

int gt__conn_write(struct gt__conn *conn, const void *bytes, size_t size)
{
	char length[32];

	if (!size || conn->head)
		return 0;
	if (conn->in_parts) {
		snprintf(length, sizeof(length), "%zx\r\n", size);
		put(conn, length, strlen(length));
	}
	put(conn, bytes, size);
	return conn->in_parts ? put(conn, "\r\n", 2) : conn->broken ? -EPIPE : 0;
}

void gt__conn_end(struct gt__conn *conn, bool whole)
{
	if (!whole)
		conn->broken = true;
	else if (conn->in_parts && !conn->head)
		put(conn, "0\r\n\r\n", 5);
}

void gt__conn_error(struct gt__conn *conn, int status, const char *text)
{
	char line[512];
	int size = snprintf(line, sizeof(line), "%s\n", text);

	gt__conn_send(conn, status, "text/plain; charset=utf-8",
		status == 405 ? "X-Go-Pprof: 1\r\nAllow: GET, HEAD\r\n" : "X-Go-Pprof: 1\r\n", line,
		size < (int)sizeof(line) ? (size_t)size : sizeof(line) - 1);
}

/* ---- receiving ---- */

/* > 0; 0: the client has ended; -errno. */
static ssize_t get_more(struct gt__conn *conn, int64_t deadline_ns)
{
	ssize_t got;

	gt_fd_read_deadline(conn->fd, deadline_ns);
	got = gt_fd_read(conn->fd, conn->in + conn->have, sizeof(conn->in) - conn->have);
	if (got > 0)
		conn->have += (size_t)got;
	return got;
}

static void used(struct gt__conn *conn, size_t size)
{
	conn->have -= size;
	memmove(conn->in, conn->in + size, conn->have);
}

bool gt__conn_wait(struct gt__conn *conn, int64_t ns)
{
	int64_t until = gt_now() + ns;

	/* What comes meanwhile is the next request; when there is no room for more of it, it must wait. */
	while (conn->have < sizeof(conn->in)) {
		ssize_t got = get_more(conn, until);

		if (got == -ETIMEDOUT)
			return true;
		if (got <= 0)
			return false;
	}
	gt_sleep(until - gt_now());
	return true;
}

/* 0: answered or ended; the connection is done. */
static int read_head(struct gt__conn *conn)
{
	int64_t until = 0;
	int ret;

	for (;;) {
		int64_t now = gt_now();
		ssize_t got;

		if (conn->have) {
			ret = gt_http_parse(conn->in, conn->have, &conn->request);
			if (ret)
				return ret;
			if (!until)
				until = now + conn->timeout_ns;
		}
		got = get_more(
			conn, conn->have ? until : now + (conn->timeout_ns < TIMEOUT_NS ? conn->timeout_ns : IDLE_NS));
		if (got == -ETIMEDOUT && conn->have)
			return -408;
		if (got <= 0)
			return 0;
	}
}

/* The body, so that the next request begins behind it. 0 or -STATUS. */
static int read_body(struct gt__conn *conn)
{
	size_t size = (size_t)conn->request.body_bytes, done;
	int64_t until = gt_now() + conn->timeout_ns;

	if (conn->request.chunked)
		return -411;
	if (!size)
		return 0;
	if (conn->request.body_bytes > GT_DEBUG_BODY_MAX)
		return -413;
	conn->body = malloc(size + 1);
	if (!conn->body)
		return -503;
	if (conn->request.expect_continue && conn->request.minor == 1 && conn->have == 0)
		put(conn, "HTTP/1.1 100 Continue\r\n\r\n", 25);
	for (done = 0; done < size;) {
		size_t take = conn->have < size - done ? conn->have : size - done;

		memcpy(conn->body + done, conn->in, take);
		used(conn, take);
		done += take;
		if (done < size && get_more(conn, until) <= 0)
			return -408;
	}
	conn->body[size] = '\0';
	return 0;
}

static void refuse(struct gt__conn *conn, int status)
{
	conn->keep_alive = false;
	gt__conn_error(conn, status, gt_http_status_text(status));
}

/* True: another request may follow. */
static bool serve_one(struct gt__conn *conn)
{
	int ret;

	memset(&conn->request, 0, sizeof(conn->request));
	conn->head = conn->keep_alive = conn->in_parts = false;
	ret = read_head(conn);
	if (ret <= 0) {
		if (ret < 0)
			refuse(conn, -ret);
		return false;
	}
	used(conn, (size_t)ret);
	ret = read_body(conn);
	conn->head = conn->request.method == GT_HTTP_HEAD;
	if (ret < 0) {
		refuse(conn, -ret);
	} else {
		conn->keep_alive = conn->request.keep_alive;
		if (conn->check_host && conn->request.has_host && !gt_http_host_local(conn->request.host))
			gt__conn_error(conn, 403,
				"Forbidden: this server is asked by the names localhost, 127.0.0.1 and [::1] only");
		else
			gt__debug_page(conn);
	}
	free(conn->body);
	conn->body = NULL;
	return conn->keep_alive && !conn->broken;
}

/* A close with bytes unread resets the connection, and may take our answer with it: they are read, for a while. */
static void linger(struct gt__conn *conn)
{
	int64_t until = gt_now() + LINGER_NS;
	size_t total = 0;

	shutdown(gt_fd_number(conn->fd), SHUT_WR);
	while (total < LINGER_BYTES) {
		ssize_t got;

		conn->have = 0;
		got = get_more(conn, until);
		if (got <= 0)
			return;
		total += (size_t)got;
	}
}

static void connection(void *arg)
{
	struct accepted accepted = *(struct accepted *)arg;
	struct server *server = accepted.server;
	struct gt__conn *conn = arg;

	/* The goroutine's memory is the connection's: made by the one that accepted. */
	conn->fd = accepted.fd;
	conn->timeout_ns = server->timeout_ns;
	conn->check_host = server->check_host;
	conn->broken = false;
	conn->body = NULL;
	conn->have = 0;
	while (serve_one(conn))
		;
	if (!conn->broken)
		linger(conn);
	gt_fd_close(conn->fd);
	free(conn);
	atomic_fetch_sub(&server->connections, 1);
}

static void turn_away(struct gt_fd *fd)
{
	static const char text[] =
		"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nContent-Length: 21\r\n"
		"Connection: close\r\n\r\ntoo many connections\n";

	/* A new connection has room for it. */
	gt_fd_write_deadline(fd, gt_now() + 100 * GT_MILLISECOND);
	(void)!gt_fd_write(fd, text, sizeof(text) - 1);
	gt_fd_close(fd);
}

static void listen_on(void *arg)
{
	struct server *server = arg;
	struct gt_fd *listener, *fd;

	if (gt_fd_new(server->listener, &listener) < 0) {
		close(server->listener);
		free(server);
		return;
	}
	for (;;) {
		int ret = gt_fd_accept(listener, &fd, NULL, NULL), one = 1;
		struct accepted *accepted;

		if (ret < 0) { /* descriptors or memory: others' for now */
			gt_sleep(50 * GT_MILLISECOND);
			continue;
		}
		accepted = atomic_load(&server->connections) < server->connections_max ? malloc(sizeof(struct gt__conn))
										       : NULL;
		if (!accepted) {
			turn_away(fd);
			continue;
		}
		setsockopt(gt_fd_number(fd), IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		atomic_fetch_add(&server->connections, 1);
		*accepted = (struct accepted){server, fd};
		gt_go_named("debug connection", connection, accepted);
	}
}

/* ---- addresses ---- */

union address {
	struct sockaddr any;
	struct sockaddr_in four;
	struct sockaddr_in6 six;
};

/* "HOST:PORT" into @out; its length, or 0. */
static socklen_t read_address(const char *text, union address *out)
{
	const char *colon = text ? strrchr(text, ':') : NULL;
	char host[64];
	size_t length;
	char *end;
	unsigned long port;

	if (!colon || !colon[1] || colon[1] < '0' || colon[1] > '9')
		return 0;
	port = strtoul(colon + 1, &end, 10);
	length = (size_t)(colon - text);
	if (*end || port > 65535 || length >= sizeof(host))
		return 0;
	memcpy(host, text, length);
	host[length] = '\0';
	memset(out, 0, sizeof(*out));
	if (length > 2 && host[0] == '[' && host[length - 1] == ']') {
		host[length - 1] = '\0';
		out->six.sin6_family = AF_INET6;
		out->six.sin6_port = htons((uint16_t)port);
		return inet_pton(AF_INET6, host + 1, &out->six.sin6_addr) == 1 ? sizeof(out->six) : 0;
	}
	out->four.sin_family = AF_INET;
	out->four.sin_port = htons((uint16_t)port);
	if (!length || !strcmp(host, "localhost"))
		strcpy(host, "127.0.0.1");
	return inet_pton(AF_INET, host, &out->four.sin_addr) == 1 ? sizeof(out->four) : 0;
}

static bool is_loopback(const union address *address)
{
	if (address->any.sa_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&address->six.sin6_addr);
	return ntohl(address->four.sin_addr.s_addr) >> 24 == 127;
}

/* The port, or -errno. */
static int open_listener(const union address *address, socklen_t length, int *out)
{
	int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1, ret;
	union address bound;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	length = address->any.sa_family == AF_INET6 ? sizeof(address->six) : sizeof(address->four);
	if (bind(fd, &address->any, length) < 0 || listen(fd, BACKLOG) < 0 ||
		getsockname(fd, &bound.any, &length) < 0) {
		ret = -errno;
		close(fd);
		return ret;
	}
	*out = fd;
	return ntohs(address->any.sa_family == AF_INET6 ? bound.six.sin6_port : bound.four.sin_port);
}

int gt_debug_serve_options(const struct gt_debug_options *options)
{
	union address address;
	socklen_t length = read_address(options->address, &address);
	struct server *server;
	int port;

	if (!length)
		return -EINVAL;
	if (!options->allow_remote && !is_loopback(&address))
		return -EACCES;
	server = calloc(1, sizeof(*server));
	if (!server)
		return -ENOMEM;
	port = open_listener(&address, length, &server->listener);
	if (port < 0) {
		free(server);
		return port;
	}
	server->check_host = !options->allow_remote;
	server->connections_max = options->connections_max ? options->connections_max : CONNECTIONS_MAX;
	server->timeout_ns = options->timeout_ns > 0 ? options->timeout_ns : TIMEOUT_NS;
	gt_go_named("debug server", listen_on, server);
	return port;
}

int gt_debug_serve(const char *address)
{
	return gt_debug_serve_options(&(struct gt_debug_options){.address = address});
}
