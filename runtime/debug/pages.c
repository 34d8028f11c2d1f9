/* pages.c - what the debug server answers: the paths, headers and words of Go's net/http/pprof, and /metrics. */
#include "runtime/debug/convert.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <gtrace/gtrace.h>
#include <gtrace/metrics.h>
#include <gtrace/pprof.h>
#include <math.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT        "text/plain; charset=utf-8"
#define HTML        "text/html; charset=utf-8"
#define BYTES       "application/octet-stream"
#define SECONDS_MAX 86400
#define PROFILES    16

/* ---- a body that grows ---- */

struct buffer {
	char *bytes;
	size_t size, room;
	bool failed;
};

static int add(void *context, const void *bytes, size_t size)
{
	struct buffer *buffer = context;

	if (buffer->failed)
		return -ENOMEM;
	if (buffer->room - buffer->size < size) {
		size_t room = (buffer->size + size) * 2;
		char *more = realloc(buffer->bytes, room);

		if (!more) {
			buffer->failed = true;
			return -ENOMEM;
		}
		buffer->bytes = more;
		buffer->room = room;
	}
	memcpy(buffer->bytes + buffer->size, bytes, size);
	buffer->size += size;
	return 0;
}

static void add_text(void *context, const char *text, size_t size)
{
	add(context, text, size);
}

static __attribute__((format(printf, 2, 3))) void say(struct buffer *buffer, const char *format, ...)
{
	char text[1024];
	va_list args;
	int size;

	va_start(args, format);
	size = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (size > 0)
		add(buffer, text, (size_t)size < sizeof(text) ? (size_t)size : sizeof(text) - 1);
}

static void send_buffer(struct gt__conn *conn, const char *type, const char *fields, struct buffer *buffer)
{
	if (buffer->failed)
		gt__conn_error(conn, 500, "out of memory");
	else
		gt__conn_send(conn, 200, type, fields, buffer->bytes, buffer->size);
	free(buffer->bytes);
	*buffer = (struct buffer){0};
}

static void send_file(struct gt__conn *conn, const char *name, const char *suffix, struct buffer *buffer)
{
	char field[128];

	snprintf(field, sizeof(field), "Content-Disposition: attachment; filename=\"%s%s\"\r\n", name, suffix);
	send_buffer(conn, BYTES, field, buffer);
}

/* ---- parameters ---- */

static long number(const struct gt__conn *conn, const char *key, bool *good)
{
	char text[32], *end;
	long value = 0;

	*good = gt_http_query(&conn->request, key, text, sizeof(text)) && *text;
	if (!*good)
		return 0;
	errno = 0;
	value = strtol(text, &end, 10);
	*good = !*end && errno == 0 && text[0] != ' ';
	return *good ? value : 0;
}

static bool too_long(struct gt__conn *conn, double seconds)
{
	if (seconds <= SECONDS_MAX)
		return false;
	gt__conn_error(conn, 400, "invalid value for \"seconds\" - at most 86400");
	return true;
}

/* ---- pages ---- */

static void cmdline(struct gt__conn *conn)
{
	struct buffer buffer = {0};
	char part[4096];
	ssize_t got;
	int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);

	while (fd >= 0 && (got = read(fd, part, sizeof(part))) > 0)
		add(&buffer, part, (size_t)got);
	if (fd >= 0)
		close(fd);
	if (buffer.size && !buffer.bytes[buffer.size - 1])
		buffer.size--;
	send_buffer(conn, TEXT, "", &buffer);
}

static void symbol(struct gt__conn *conn)
{
	const char *at = conn->body && conn->request.method == GT_HTTP_POST ? conn->body : conn->request.query;
	struct buffer buffer = {0};

	say(&buffer, "num_symbols: 1\n");
	while (*at) {
		char *end;
		unsigned long long pc = strtoull(at, &end, 0);
		Dl_info info;

		if (pc && (*end == '+' || !*end) && dladdr((void *)(uintptr_t)pc, &info) && info.dli_sname)
			say(&buffer, "%#llx %s\n", pc, info.dli_sname);
		at += strcspn(at, "+");
		at += *at == '+';
	}
	send_buffer(conn, TEXT, "", &buffer);
}

static void cpu_profile(struct gt__conn *conn)
{
	struct buffer buffer = {0};
	char why[128];
	bool good;
	long seconds = number(conn, "seconds", &good);
	int ret;

	if (!good || seconds <= 0)
		seconds = 30;
	if (too_long(conn, (double)seconds))
		return;
	if (conn->head) {
		send_file(conn, "profile", "", &buffer);
		return;
	}
	ret = gt_profile_cpu_start(add, &buffer, 0);
	if (ret < 0) {
		snprintf(why, sizeof(why), "Could not enable CPU profiling: %s",
			ret == -EBUSY ? "cpu profiling already in use" : strerror(-ret));
		gt__conn_error(conn, 500, why);
		return;
	}
	gt__conn_wait(conn, seconds * GT_SECOND);
	ret = gt_profile_cpu_stop();
	if (ret < 0) {
		snprintf(why, sizeof(why), "Could not write the CPU profile: %s", strerror(-ret));
		free(buffer.bytes);
		gt__conn_error(conn, 500, why);
		return;
	}
	send_file(conn, "profile", "", &buffer);
}

/* ---- a trace: the collector's thread --pipe--> a goroutine --> the client ---- */

/* A client that takes nothing for so long gets no more; the program is not held up by it, only its trace. */
#define STUCK_MS 10000

static _Atomic bool exiting;

static void at_exit(void)
{
	atomic_store(&exiting, true);
}

static int into_pipe(void *context, const void *bytes, size_t size)
{
	int fd = *(int *)context;
	const char *at = bytes;
	int waited = 0;

	while (size) {
		ssize_t done = write(fd, at, size);

		if (done > 0) {
			at += done;
			size -= (size_t)done;
			waited = 0;
		} else if (done < 0 && errno == EAGAIN) {
			struct pollfd ready = {.fd = fd, .events = POLLOUT};

			/* At exit there are no goroutines to read it. */
			if (atomic_load(&exiting) || waited >= STUCK_MS)
				return -ETIMEDOUT;
			if (poll(&ready, 1, 50) == 0)
				waited += 50;
		} else if (done == 0 || errno != EINTR) {
			return done ? -errno : -EIO;
		}
	}
	return 0;
}

struct pump {
	struct gt__conn *conn;
	struct gt_fd *from;
	struct gt_wg done;
	char part[64 << 10];
};

/* To the end, sent or not: the other side must never wait for us. */
static void pump(void *arg)
{
	struct pump *pump = arg;
	ssize_t got;

	while ((got = gt_fd_read(pump->from, pump->part, sizeof(pump->part))) > 0)
		gt__conn_write(pump->conn, pump->part, (size_t)got);
}

static bool start_trace(struct gt__conn *conn, int (*write_to)(void *, const void *, size_t), int *to)
{
	char why[600];

	if (gt_start_write(write_to, to) == 0)
		return true;
	snprintf(why, sizeof(why), "Could not enable tracing: %s", gt_start_error());
	gt__conn_error(conn, 500, why);
	return false;
}

/* First all of it into a file, as names may come later than what they name. */
static void run_converted(struct gt__conn *conn, double seconds, const struct gt__trace_format *format)
{
	char why[600];
	int file = gt__trace_file();

	if (file < 0) {
		snprintf(why, sizeof(why), "Could not enable tracing: no temporary file: %s", strerror(-file));
		gt__conn_error(conn, 500, why);
		return;
	}
	if (start_trace(conn, gt__trace_to_file, &file)) {
		bool waits = gt__conn_wait(conn, (int64_t)(seconds * 1e9)), whole = gt_stop() == 0;

		if (waits)
			gt__send_converted(conn, format, file, whole);
	}
	close(file);
}

static void run_trace(struct gt__conn *conn, double seconds, struct pump *pumping, int to)
{
	static _Atomic bool registered;
	int ret;

	if (!start_trace(conn, into_pipe, &to)) {
		close(to);
		return;
	}
	/* After gtrace's own, which is run later. */
	if (!atomic_exchange(&registered, true))
		atexit(at_exit);
	pumping->conn = conn;
	gt__conn_begin(conn, BYTES, "Content-Disposition: attachment; filename=\"trace\"\r\n");
	gt_wg_go(&pumping->done, pump, pumping);
	gt__conn_wait(conn, (int64_t)(seconds * 1e9));
	ret = gt_stop();
	close(to);
	gt_wg_wait(&pumping->done);
	gt__conn_end(conn, ret == 0);
}

static void trace(struct gt__conn *conn)
{
	const struct gt__trace_format *format = NULL;
	char text[64] = "", *end;
	double seconds = 0;
	struct pump *pumping;
	int fds[2];

	if (gt_http_query(&conn->request, "format", text, sizeof(text)) && strcmp(text, "gtrace") != 0) {
		format = gt__trace_format(text);
		if (!format) {
			gt__conn_error(conn, 400, "format: one of gtrace, perfetto, chrome");
			return;
		}
	}
	if (gt_http_query(&conn->request, "seconds", text, sizeof(text))) {
		seconds = strtod(text, &end);
		if (*end || isnan(seconds))
			seconds = 0;
	}
	if (!(seconds > 0))
		seconds = 1;
	if (too_long(conn, seconds))
		return;
	if (conn->head) {
		gt__conn_begin(
			conn, format ? format->type : BYTES, "Content-Disposition: attachment; filename=\"trace\"\r\n");
		gt__conn_end(conn, true);
		return;
	}
	if (format) {
		run_converted(conn, seconds, format);
		return;
	}
	pumping = calloc(1, sizeof(*pumping));
	if (!pumping || pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0) {
		free(pumping);
		gt__conn_error(conn, 500, "Could not enable tracing: no memory or descriptors");
		return;
	}
	fcntl(fds[1], F_SETPIPE_SZ, 1 << 20);
	if (gt_fd_new(fds[0], &pumping->from) == 0) {
		run_trace(conn, seconds, pumping, fds[1]);
		gt_fd_close(pumping->from);
	} else {
		close(fds[0]);
		close(fds[1]);
		gt__conn_error(conn, 500, "Could not enable tracing: no descriptors");
	}
	free(pumping);
}

/* ---- profiles by name ---- */

static bool is_profile(const char *name)
{
	struct gt_profile_info list[PROFILES];
	size_t count = gt_profiles(list, PROFILES);

	for (size_t i = 0; i < count && i < PROFILES; i++)
		if (!strcmp(list[i].name, name))
			return true;
	return false;
}

static void delta(struct gt__conn *conn, const char *name)
{
	struct gt_profile_snapshot *before;
	struct buffer buffer = {0};
	bool good, debug_good;
	long seconds = number(conn, "seconds", &good), debug = number(conn, "debug", &debug_good);

	if (!good || seconds <= 0) {
		gt__conn_error(conn, 400, "invalid value for \"seconds\" - must be a positive integer");
		return;
	}
	if (debug != 0) {
		gt__conn_error(conn, 400, "seconds and debug params are incompatible");
		return;
	}
	if (too_long(conn, (double)seconds))
		return;
	if (conn->head) {
		send_file(conn, name, "-delta", &buffer);
		return;
	}
	if (gt_profile_snapshot(name, &before) < 0) {
		gt__conn_error(conn, 500, "failed to collect profile");
		return;
	}
	if (!gt__conn_wait(conn, seconds * GT_SECOND)) {
		gt__conn_error(conn, 500, "context canceled");
	} else if (gt_profile_write_since(before, add, &buffer) < 0) {
		free(buffer.bytes);
		gt__conn_error(conn, 500, "failed to compute delta");
	} else {
		send_file(conn, name, "-delta", &buffer);
	}
	gt_profile_snapshot_free(before);
}

static void profile(struct gt__conn *conn, const char *name)
{
	struct buffer buffer = {0};
	char text[64];
	long debug;
	bool good;
	int ret;

	if (!is_profile(name)) {
		gt__conn_error(conn, 404, "Unknown profile");
		return;
	}
	if (gt_http_query(&conn->request, "seconds", text, sizeof(text)) && *text) {
		delta(conn, name);
		return;
	}
	debug = number(conn, "debug", &good);
	ret = conn->head ? 0 : gt_profile_write(name, debug < 0 || debug > 2 ? 1 : (int)debug, add, &buffer);
	if (ret < 0) {
		free(buffer.bytes);
		snprintf(text, sizeof(text), "Could not write the profile: %s", strerror(-ret));
		gt__conn_error(conn, 500, text);
	} else if (debug != 0) {
		send_buffer(conn, TEXT, "", &buffer);
	} else {
		send_file(conn, name, "", &buffer);
	}
}

/* ---- the index ---- */

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct gt_profile_info *)a)->name, ((const struct gt_profile_info *)b)->name);
}

static void index_page(struct gt__conn *conn)
{
	static const struct gt_profile_info own[] = {
		{"cmdline", "The program and its arguments, separated by NUL bytes.", 0},
		{"profile", "Where CPU time goes, from now on for seconds=N (30): for go tool pprof.", 0},
		{"symbol",
			"The functions at addresses, which are given in the query or a POST body, with + between them.",
			0},
		{"trace", "What every goroutine does, from now on for seconds=N (1, may be a fraction): for gtrace.",
			0},
	};
	struct gt_profile_info list[PROFILES + sizeof(own) / sizeof(*own)];
	size_t count = gt_profiles(list, PROFILES);
	struct buffer buffer = {0};

	count = count < PROFILES ? count : PROFILES;
	memcpy(&list[count], own, sizeof(own));
	count += sizeof(own) / sizeof(*own);
	qsort(list, count, sizeof(*list), by_name);
	say(&buffer, "<!DOCTYPE html>\n<html>\n<head>\n<title>/debug/pprof/</title>\n"
		     "<style>\n.profile-name{display:inline-block;width:7rem}\n</style>\n</head>\n<body>\n"
		     "/debug/pprof/\n<p>debug=1 gives text that can be read.</p>\nProfiles:\n<table>\n"
		     "<thead><td>Count</td><td>Profile</td></thead>\n");
	for (size_t i = 0; i < count; i++)
		say(&buffer, "<tr><td>%llu</td><td><a href='%s?debug=1'>%s</a></td></tr>\n",
			(unsigned long long)list[i].count, list[i].name, list[i].name);
	say(&buffer, "</table>\n<a href=\"goroutine?debug=2\">full goroutine stack dump</a><br>\n"
		     "<a href=\"/metrics\">metrics</a>\n<ul>\n");
	for (size_t i = 0; i < count; i++)
		say(&buffer, "<li><div class=profile-name>%s:</div> %s</li>\n", list[i].name, list[i].description);
	say(&buffer, "</ul>\n</body>\n</html>\n");
	send_buffer(conn, HTML, "", &buffer);
}

static void metrics(struct gt__conn *conn)
{
	struct buffer buffer = {0};

	gt_metrics_prometheus(add_text, &buffer);
	send_buffer(conn, GT_METRICS_PROMETHEUS_TYPE, "", &buffer);
}

void gt__debug_page(struct gt__conn *conn)
{
	static const struct {
		const char *name;
		void (*page)(struct gt__conn *conn);
	} pages[] = {
		{"", index_page}, {"cmdline", cmdline}, {"profile", cpu_profile}, {"symbol", symbol}, {"trace", trace}};
	const char *path = conn->request.path, *name;
	enum gt_http_method method = conn->request.method;

	if (method != GT_HTTP_GET && method != GT_HTTP_HEAD &&
		!(method == GT_HTTP_POST && !strcmp(path, "/debug/pprof/symbol"))) {
		gt__conn_error(conn, 405, "Method Not Allowed");
		return;
	}
	if (!strcmp(path, "/metrics")) {
		metrics(conn);
		return;
	}
	if (!strcmp(path, "/") || !strcmp(path, "/debug") || !strcmp(path, "/debug/") ||
		!strcmp(path, "/debug/pprof")) {
		gt__conn_send(conn, 301, TEXT, "Location: /debug/pprof/\r\n", "", 0);
		return;
	}
	if (strncmp(path, "/debug/pprof/", 13) != 0) {
		gt__conn_error(conn, 404, "404 page not found");
		return;
	}
	name = path + 13;
	for (size_t i = 0; i < sizeof(pages) / sizeof(*pages); i++)
		if (!strcmp(name, pages[i].name)) {
			pages[i].page(conn);
			return;
		}
	profile(conn, name);
}
