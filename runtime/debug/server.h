/*
 * server.h - a connection as the pages see it. Between server.c and pages.c.
 *
 *   an answer:  gt__conn_send, once; or gt__conn_begin, gt__conn_write ..., gt__conn_end
 */
#ifndef GT_RUNTIME_DEBUG_SERVER_H
#define GT_RUNTIME_DEBUG_SERVER_H

#include "runtime/debug/http.h"

#include <gtrace/io.h>

#define GT_DEBUG_BODY_MAX 65536u

struct gt__conn {
	struct gt_fd *fd;
	int64_t timeout_ns;
	bool check_host;
	bool broken;     /* nothing more can be sent */
	bool keep_alive; /* after this answer */
	bool in_parts;   /* chunks: HTTP/1.1 */
	bool head;       /* no body is to be sent */
	struct gt_http_request request;
	char *body; /* of a POST; NULL: none */
	size_t have;
	char in[GT_HTTP_HEADER_MAX]; /* bytes that came and are not used yet */
};

/* @fields: whole header lines, each with its CRLF, or "". */
void gt__conn_send(
	struct gt__conn *conn, int status, const char *type, const char *fields, const void *body, size_t size);
/* A body of which the length is not known. 0 or -errno. */
int gt__conn_begin(struct gt__conn *conn, const char *type, const char *fields);
int gt__conn_write(struct gt__conn *conn, const void *bytes, size_t size);
/* @whole false: the client is to see that something is missing. */
void gt__conn_end(struct gt__conn *conn, bool whole);
/* A line for a person, as Go's pprof sends them. */
void gt__conn_error(struct gt__conn *conn, int status, const char *text);

/* Waits so long, or until the client goes: false then. */
bool gt__conn_wait(struct gt__conn *conn, int64_t ns);

void gt__debug_page(struct gt__conn *conn);

#endif
