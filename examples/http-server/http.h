/*
 * http.h - what HTTP/1.1 says of a request: bytes in, meaning out. No I/O here, so it can be tested, and fuzzed, alone.
 *
 * Whatever could be read in two ways is refused (400): who reads it the other way may be another server on the
 * way here.
 */
#ifndef HTTP_H
#define HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HEAD_MAX 8192
#define BODY_MAX (1 << 20)

/* All texts point into the head that was parsed. NULL: there is no such field. */
struct request {
	const char *method;
	char *path; /* decoded, without the query; begins with a slash */
	bool http10;
	bool keep_alive;
	bool expect_continue;
	bool chunked;
	int64_t body_size; /* 0 when none is announced, or chunked */
	const char *content_type, *if_none_match, *if_modified_since, *if_range, *range;
};

/* How many of @size bytes are a head, its empty line included; 0: not all of it is here yet; -1: it never will be one. */
int head_size(const char *bytes, size_t size);

/* 0, or the status to refuse it with. Writes into @head, which must stay as long as @request is used. */
int request_parse(struct request *request, char *head, size_t size);

/* The line before a chunk, without its CRLF. -1: it is not one. */
int64_t chunk_size(const char *line);

/* bytes=1-5, of a file of @size: 206 sets @from and @count; 416 cannot be satisfied; 200: the field is to be ignored. */
int range_parse(const char *field, int64_t size, int64_t *from, int64_t *count);

const char *status_text(int status);

#endif
