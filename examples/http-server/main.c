/*
 * main.c - an HTTP/1.1 server: static files, an echo, counters; one goroutine a connection.
 *
 *   http-server [-p PORT] [-c CONNECTIONS] [-t SECONDS] [DIRECTORY]
 *   gtrace record ./http-server .          and Ctrl-C, or SIGTERM, ends it when the requests under way are answered
 *
 *   GET /stats      counters
 *   POST /echo      the body, as it came (chunked too)
 *   GET /...        a file of the directory
 *
 * Goroutines: the main one waits for a signal; one accepts; one for each connection reads, answers, reads again. Who
 * stops whom is told by one context. In the trace: a task for each request with the regions "head", "body" and
 * "answer".
 */
#include "conn.h"
#include "files.h"
#include "http.h"

#include <arpa/inet.h>
#include <gtrace/gtrace.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define LINGER_MAX (256 << 10)

static struct {
	int root;
	int64_t timeout_ns;
	struct gt_fd *listener;
	struct gt_ctx *stop; /* ends when no new request shall be taken */
	struct gt_wg running;
	struct gt_sem places; /* connections at once */
	struct gt_mutex mutex;
	/* With the mutex. */
	struct client *idle; /* between two requests */
	long connections, requests, failures;
	int64_t bytes;
} server = {.timeout_ns = 10 * GT_SECOND, .places = {.size = 1000}};

struct client {
	struct conn conn;
	struct client *next, **link; /* in server.idle; NULL: is not */
};

/* ---- a request's body ---- */

/* Adds @size bytes to the body. 0, -errno, or the status to refuse it with. */
static int body_add(struct conn *conn, char **body, int64_t *have, int64_t size)
{
	char *larger;

	if (*have + size > BODY_MAX)
		return 413;
	larger = realloc(*body, (size_t)(*have + size) + 1);
	if (!larger)
		return 503;
	*body = larger;
	*have += size;
	return conn_take(conn, larger + *have - size, (size_t)size);
}

static int body_chunked(struct conn *conn, char **body, int64_t *have)
{
	char line[256];
	int ret, lines = 0;

	for (;;) {
		int64_t size;

		ret = conn_line(conn, line, sizeof(line));
		if (ret)
			return ret;
		size = chunk_size(line);
		if (size < 0)
			return 400;
		if (!size)
			break;
		ret = body_add(conn, body, have, size);
		if (!ret)
			ret = conn_line(conn, line, sizeof(line));
		if (ret || *line)
			return ret ? ret : 400;
	}
	/* Trailers say nothing to us. */
	do
		ret = ++lines > 32 ? 431 : conn_line(conn, line, sizeof(line));
	while (!ret && *line);
	return ret;
}

static int read_body(struct conn *conn, const struct request *request, char **body, int64_t *size)
{
	int ret = 0;

	gt_fd_read_deadline(conn->fd, gt_now() + server.timeout_ns);
	if (request->expect_continue && conn->used == conn->have) {
		ret = conn_printf(conn, "HTTP/1.1 100 Continue\r\n\r\n");
		if (!ret)
			ret = conn_flush(conn);
	}
	if (!ret && request->chunked)
		ret = body_chunked(conn, body, size);
	else if (!ret && request->body_size)
		ret = body_add(conn, body, size, request->body_size);
	return ret == -EMSGSIZE || ret == -EBADMSG ? 400 : ret == -ETIMEDOUT ? 408 : ret;
}

/* ---- answers ---- */

static int answer_stats(struct conn *conn)
{
	char text[256];
	int size, ret;

	gt_mutex_lock(&server.mutex);
	size = snprintf(text, sizeof(text), "connections %ld\nrequests %ld\nfailures %ld\nbytes %lld\n",
		server.connections, server.requests, server.failures, (long long)server.bytes);
	gt_mutex_unlock(&server.mutex);
	ret = conn_head(conn, 200, "text/plain", size);
	return ret ? ret : conn_printf(conn, "Cache-Control: no-store\r\n\r\n%s", text);
}

static int answer_echo(struct conn *conn, const struct request *request, const char *body, int64_t size)
{
	int ret =
		conn_head(conn, 200, request->content_type ? request->content_type : "application/octet-stream", size);

	if (!ret)
		ret = conn_printf(conn, "\r\n");
	return ret ? ret : conn_put(conn, body, (size_t)size);
}

static bool known_method(const char *method)
{
	static const char *const known[] = {
		"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE"};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (strcmp(method, known[i]) == 0)
			return true;
	return false;
}

static int answer(struct conn *conn, const struct request *request, const char *body, int64_t size)
{
	bool head = strcmp(request->method, "HEAD") == 0, get = strcmp(request->method, "GET") == 0;

	if (!known_method(request->method))
		return conn_status(conn, 501, true, "");
	if (strcmp(request->path, "/echo") == 0) {
		if (strcmp(request->method, "POST") == 0 || strcmp(request->method, "PUT") == 0)
			return answer_echo(conn, request, body, size);
		return conn_status(conn, 405, !head, "Allow: POST, PUT\r\n");
	}
	if (!get && !head)
		return conn_status(conn, 405, true, "Allow: GET, HEAD\r\n");
	if (get && strcmp(request->path, "/stats") == 0)
		return answer_stats(conn);
	return files_respond(conn, request, server.root);
}

/* ---- a connection ---- */

static void idle_leave(struct client *client)
{
	if (!client->link)
		return;
	*client->link = client->next;
	if (client->next)
		client->next->link = client->link;
	client->link = NULL;
}

/* Waits for a request's first byte. Who waits here when the server is to stop is woken by a deadline. */
static int wait_for_request(struct client *client)
{
	struct conn *conn = &client->conn;
	int ret = 0;

	gt_mutex_lock(&server.mutex);
	if (gt_ctx_err(server.stop)) {
		ret = -ECANCELED;
	} else {
		gt_fd_read_deadline(conn->fd, gt_now() + server.timeout_ns);
		client->next = server.idle;
		if (client->next)
			client->next->link = &client->next;
		client->link = &server.idle;
		server.idle = client;
	}
	gt_mutex_unlock(&server.mutex);
	if (!ret && conn->used == conn->have)
		ret = conn_fill(conn);
	gt_mutex_lock(&server.mutex);
	idle_leave(client);
	gt_mutex_unlock(&server.mutex);
	return ret;
}

/* The whole head lies at in[used] when it comes back with 0; or -errno, or the status to refuse it with. */
static int read_head(struct conn *conn, size_t *size)
{
	gt_fd_read_deadline(conn->fd, gt_now() + server.timeout_ns);
	for (;;) {
		/* Empty lines before a request are allowed, and sent by some. */
		while (conn->have - conn->used >= 2 && memcmp(conn->in + conn->used, "\r\n", 2) == 0)
			conn->used += 2;
		int bytes = head_size(conn->in + conn->used, conn->have - conn->used), ret;

		if (bytes < 0)
			return 400;
		if (bytes > HEAD_MAX || (!bytes && conn->have - conn->used > HEAD_MAX))
			return memchr(conn->in + conn->used, '\n', HEAD_MAX) ? 431 : 414;
		*size = (size_t)bytes;
		if (bytes)
			return 0;
		ret = conn_fill(conn);
		if (ret)
			return ret == -ETIMEDOUT ? 408 : ret;
	}
}

static void count(const struct conn *conn, int64_t sent_before)
{
	gt_mutex_lock(&server.mutex);
	server.requests++;
	server.failures += conn->status >= 400;
	server.bytes += conn->sent - sent_before;
	gt_mutex_unlock(&server.mutex);
}

/* One request. 0: another may come. */
static int serve_request(struct conn *conn, uint64_t task)
{
	char head[HEAD_MAX + 1], *body = NULL;
	int64_t body_size = 0, sent = conn->sent;
	struct request request;
	size_t size = 0;
	int ret;

	gt_region_begin(task, "head");
	ret = read_head(conn, &size);
	if (!ret) {
		/* The body's bytes will come to where it lies now. */
		memcpy(head, conn->in + conn->used, size);
		conn->used += size;
		ret = request_parse(&request, head, size);
	}
	gt_region_end(task, "head");
	if (!ret && (request.chunked || request.body_size)) {
		gt_region_begin(task, "body");
		ret = read_body(conn, &request, &body, &body_size);
		gt_region_end(task, "body");
	}
	if (ret < 0)
		goto out;
	gt_region_begin(task, "answer");
	if (ret) {
		/* Where the next request begins is not known. */
		conn->close = true;
		ret = conn_status(conn, ret, true, "");
	} else {
		gt_log(task, "path", request.path);
		conn->close = !request.keep_alive || gt_ctx_err(server.stop);
		ret = answer(conn, &request, body, body_size);
	}
	if (!ret)
		ret = conn_flush(conn);
	gt_region_end(task, "answer");
	count(conn, sent);
out:
	free(body);
	return ret;
}

/* A close with bytes unread would take the answer back from the other side (RST). */
static void linger(struct conn *conn)
{
	int64_t end = gt_now() + GT_SECOND;

	shutdown(gt_fd_number(conn->fd), SHUT_WR);
	gt_fd_read_deadline(conn->fd, end);
	for (size_t dropped = 0; dropped < LINGER_MAX; dropped += conn->have) {
		conn->used = conn->have = 0;
		if (conn_fill(conn) < 0)
			break;
	}
}

static void serve(void *arg)
{
	struct client *client = arg;
	struct conn *conn = &client->conn;
	int ret = 0;

	while (!ret && !conn->close) {
		ret = wait_for_request(client);
		if (!ret) {
			uint64_t task = gt_task_begin("request", 0);

			ret = serve_request(conn, task);
			gt_task_end(task);
		}
	}
	if (!ret)
		linger(conn);
	gt_fd_close(conn->fd);
	free(client);
	gt_sem_release(&server.places, 1);
}

/* ---- the server ---- */

static void take(struct gt_fd *fd)
{
	struct client *client = malloc(sizeof(*client)); /* not zeroed: most of it are buffers */

	if (!client) {
		gt_fd_close(fd);
		gt_sem_release(&server.places, 1);
		return;
	}
	memset(client, 0, offsetof(struct client, conn.in));
	client->next = NULL;
	client->link = NULL;
	client->conn.fd = fd;
	client->conn.timeout_ns = server.timeout_ns;
	gt_mutex_lock(&server.mutex);
	server.connections++;
	gt_mutex_unlock(&server.mutex);
	setsockopt(gt_fd_number(fd), IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	gt_wg_go(&server.running, serve, client);
}

static void accept_all(void *arg)
{
	while (gt_sem_acquire_ctx(&server.places, 1, server.stop) == 0) {
		struct gt_fd *fd;
		int ret = gt_fd_accept(server.listener, &fd, NULL, NULL);

		if (!ret) {
			take(fd);
			continue;
		}
		gt_sem_release(&server.places, 1);
		if (ret == -ECANCELED)
			return;
		/* No descriptor is free, or no memory: that passes. */
		fprintf(stderr, "http-server: cannot accept: %s\n", strerror(-ret));
		gt_sleep(100 * GT_MILLISECOND);
	}
}

static void pass_signals_on(void *arg)
{
	gt_chan(int) signals = arg;
	struct signalfd_siginfo info;
	struct gt_fd *fd;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	if (gt_fd_new(signalfd(-1, &set, SFD_CLOEXEC), &fd) < 0)
		return;
	while (gt_fd_read(fd, &info, sizeof(info)) == sizeof(info))
		gt_send(signals, (int)info.ssi_signo);
}

static void wait_for_all(void *arg)
{
	gt_chan(struct gt_unit) through = arg;

	gt_wg_wait(&server.running);
	gt_close(through);
}

/* No new requests; those under way are answered, unless that takes too long or somebody asks again. */
static int stop(gt_chan(int) signals)
{
	gt_chan(struct gt_unit) through = gt_chan_make(struct gt_unit);

	gt_ctx_cancel(server.stop);
	gt_fd_close(server.listener);
	gt_mutex_lock(&server.mutex);
	for (struct client *client = server.idle; client; client = client->next)
		gt_fd_read_deadline(client->conn.fd, 1); /* long past */
	gt_mutex_unlock(&server.mutex);
	gt_go_named("drain", wait_for_all, through);
	switch (gt_select(gt_case_recv(through, NULL), gt_case_recv(signals, NULL),
		gt_case_recv(gt_after(server.timeout_ns + 10 * GT_SECOND), NULL))) {
	case 0:
		return 0;
	default:
		fprintf(stderr, "http-server: ends with requests unanswered\n");
		return 1;
	}
}

static int listen_on(int port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), ret;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	if (bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, 1024) < 0 ||
		getsockname(fd, (struct sockaddr *)&address, &size) < 0) {
		ret = -errno;
		close(fd);
		return ret;
	}
	ret = gt_fd_new(fd, &server.listener);
	if (ret < 0)
		return ret;
	printf("http-server: http://127.0.0.1:%d/\n", ntohs(address.sin_port));
	fflush(stdout);
	return 0;
}

/* -1: not a number. */
static int number_of(const char *text)
{
	char *end;
	long number = strtol(text, &end, 10);

	return *text && !*end && number >= 0 && number <= 1000000 ? (int)number : -1;
}

static int usage(void)
{
	fprintf(stderr, "usage: http-server [-p PORT] [-c CONNECTIONS] [-t SECONDS] [DIRECTORY]\n");
	return 2;
}

static int go_main(int argc, char **argv)
{
	gt_chan(int) signals = gt_chan_make(int, 1);
	int port = 8080, option, ret;
	const char *directory;

	while ((option = getopt(argc, argv, "p:c:t:")) != -1) {
		int number = optarg ? number_of(optarg) : -1;

		if (option == 'p' && number >= 0 && number < 65536)
			port = number;
		else if (option == 'c' && number > 0)
			server.places.size = (uint64_t)number;
		else if (option == 't' && number > 0)
			server.timeout_ns = number * GT_SECOND;
		else
			return usage();
	}
	if (argc - optind > 1)
		return usage();
	directory = optind < argc ? argv[optind] : ".";
	server.root = files_open_root(directory);
	if (server.root < 0) {
		fprintf(stderr, "http-server: cannot open %s: %s\n", directory, strerror(-server.root));
		return 1;
	}
	server.stop = gt_ctx_with_cancel(gt_ctx_background());
	gt_go_named("signals", pass_signals_on, signals);
	ret = listen_on(port);
	if (ret < 0) {
		fprintf(stderr, "http-server: cannot listen on port %d: %s\n", port, strerror(-ret));
		return 1;
	}
	gt_wg_go(&server.running, accept_all, NULL);
	gt_recv(signals, NULL);
	return stop(signals);
}

int main(int argc, char **argv)
{
	sigset_t set;

	/* Before the first thread: they all inherit it, so the two signals come by the descriptor only. */
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	return gt_main(argc, argv, go_main);
}
