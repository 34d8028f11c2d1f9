/*
 * conn.h - a connection: what was read and is not used yet, what is to be written, and how long either may take.
 *
 * One goroutine has it, so nothing here is locked; a read that has to wait parks the goroutine, and its thread goes on with others. All return
 * -errno, -ETIMEDOUT after the deadline, -ECONNRESET when the other side ended in the middle.
 */
#ifndef CONN_H
#define CONN_H

#include <gtrace/io.h>

struct conn {
	struct gt_fd *fd;
	int64_t timeout_ns; /* for a head, for a body, for each write */
	bool close;         /* after this response */
	int status;         /* of the last response */
	size_t used, have;  /* in[used..have) */
	size_t out_size;
	int64_t sent; /* bytes, ever */
	char in[16384];
	char out[65536];
};

/* Waits for more bytes in @in. */
int conn_fill(struct conn *conn);
/* Exactly so many bytes. */
int conn_take(struct conn *conn, void *to, size_t size);
/* A line without its CRLF, as a string; -EMSGSIZE when it has no room in @line, -EBADMSG when it is none. */
int conn_line(struct conn *conn, char *line, size_t room);

/* Adds to @out. What has no room is written at once. */
int conn_put(struct conn *conn, const void *bytes, size_t size);
int conn_printf(struct conn *conn, const char *format, ...) __attribute__((format(printf, 2, 3)));
int conn_flush(struct conn *conn);

/* The status line and the fields that each response has; more fields may follow, an empty line must. @type NULL: no body, no length. */
int conn_head(struct conn *conn, int status, const char *type, int64_t body_size);
/* A whole response whose body says the status; @field: one more field with its CRLF, or "". */
int conn_status(struct conn *conn, int status, bool body, const char *field);

#endif
