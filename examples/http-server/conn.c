/*
 * conn.c - reads into one buffer, writes from another.
 */
#include "conn.h"
#include "http.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

int conn_fill(struct conn *conn)
{
	ssize_t got;

	if (conn->used) {
		memmove(conn->in, conn->in + conn->used, conn->have - conn->used);
		conn->have -= conn->used;
		conn->used = 0;
	}
	if (conn->have == sizeof(conn->in))
		return -EMSGSIZE;
	got = gt_fd_read(conn->fd, conn->in + conn->have, sizeof(conn->in) - conn->have);
	if (got <= 0)
		return got ? (int)got : -ECONNRESET;
	conn->have += (size_t)got;
	return 0;
}

int conn_take(struct conn *conn, void *to, size_t size)
{
	while (size) {
		size_t now = conn->have - conn->used;
		int ret;

		if (!now) {
			ret = conn_fill(conn);
			if (ret)
				return ret;
			continue;
		}
		if (now > size)
			now = size;
		memcpy(to, conn->in + conn->used, now);
		conn->used += now;
		to = (char *)to + now;
		size -= now;
	}
	return 0;
}

int conn_line(struct conn *conn, char *line, size_t room)
{
	for (size_t size = 0; size < room; size++) {
		int ret = conn_take(conn, &line[size], 1);

		if (ret)
			return ret;
		if (!line[size])
			return -EBADMSG;
		if (line[size] != '\n')
			continue;
		if (!size || line[size - 1] != '\r')
			return -EBADMSG;
		line[size - 1] = 0;
		return 0;
	}
	return -EMSGSIZE;
}

int conn_flush(struct conn *conn)
{
	ssize_t put;

	if (!conn->out_size)
		return 0;
	gt_fd_write_deadline(conn->fd, gt_now() + conn->timeout_ns);
	put = gt_fd_write(conn->fd, conn->out, conn->out_size);
	conn->out_size = 0;
	if (put < 0)
		return (int)put;
	conn->sent += put;
	return 0;
}

int conn_put(struct conn *conn, const void *bytes, size_t size)
{
	while (size) {
		size_t now = sizeof(conn->out) - conn->out_size;
		int ret;

		if (now > size)
			now = size;
		memcpy(conn->out + conn->out_size, bytes, now);
		conn->out_size += now;
		bytes = (const char *)bytes + now;
		size -= now;
		if (conn->out_size < sizeof(conn->out))
			continue;
		ret = conn_flush(conn);
		if (ret)
			return ret;
	}
	return 0;
}

int conn_printf(struct conn *conn, const char *format, ...)
{
	char text[1024];
	va_list args;
	int size;

	va_start(args, format);
	size = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (size < 0 || (size_t)size >= sizeof(text))
		return -EMSGSIZE;
	return conn_put(conn, text, (size_t)size);
}

int conn_head(struct conn *conn, int status, const char *type, int64_t body_size)
{
	time_t now = time(NULL);
	struct tm tm;
	char date[64];
	int ret;

	conn->status = status;
	gmtime_r(&now, &tm);
	strftime(date, sizeof(date), "%a, %d %b %Y %T GMT", &tm);
	ret = conn_printf(conn, "HTTP/1.1 %d %s\r\nDate: %s\r\nConnection: %s\r\n", status, status_text(status), date,
		conn->close ? "close" : "keep-alive");
	if (!ret && type)
		ret = conn_printf(conn, "Content-Type: %s\r\nContent-Length: %lld\r\n", type, (long long)body_size);
	return ret;
}

int conn_status(struct conn *conn, int status, bool body, const char *field)
{
	const char *text = status_text(status);
	int ret = conn_head(conn, status, "text/plain; charset=utf-8", (int64_t)strlen(text) + 1);

	if (!ret)
		ret = conn_printf(conn, "%s\r\n", field);
	if (!ret && body)
		ret = conn_printf(conn, "%s\n", text);
	return ret;
}
