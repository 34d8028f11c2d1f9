/*
 * http.h - requests of HTTP/1.0 and 1.1, from bytes that nobody trusts. No I/O, no memory of its own.
 *
 * What is not plainly right is refused: two readings of one request are how requests are smuggled.
 */
#ifndef GT_RUNTIME_DEBUG_HTTP_H
#define GT_RUNTIME_DEBUG_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GT_HTTP_HEADER_MAX 8192u
#define GT_HTTP_PATH_MAX   256u
#define GT_HTTP_QUERY_MAX  2048u
#define GT_HTTP_HOST_MAX   256u

enum gt_http_method { GT_HTTP_GET, GT_HTTP_HEAD, GT_HTTP_POST, GT_HTTP_OTHER };

struct gt_http_request {
	enum gt_http_method method;
	unsigned int minor; /* of HTTP/1.minor: 0 or 1 */
	bool keep_alive;
	bool has_host;
	bool chunked; /* a body in chunks, or in another coding: its end is not known from here */
	bool expect_continue;
	uint64_t body_bytes;
	char path[GT_HTTP_PATH_MAX];   /* decoded; begins with '/' */
	char query[GT_HTTP_QUERY_MAX]; /* as it came, without '?' */
	char host[GT_HTTP_HOST_MAX];   /* without the port, brackets kept */
};

/* Bytes of the header at the begin of @bytes; 0: more are needed; else -STATUS: to be answered, and the connection closed. */
int gt_http_parse(const char *bytes, size_t size, struct gt_http_request *out);

/* The value of @key in the query, decoded, into @out; false: it is not there, is no text, or does not fit. */
bool gt_http_query(const struct gt_http_request *request, const char *key, char *out, size_t size);

/* Is it a name of this machine that no name server has a say in: localhost, 127.x.y.z, [::1]? */
bool gt_http_host_local(const char *host);

const char *gt_http_status_text(int status);

#endif
