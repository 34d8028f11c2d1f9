/*
 * fuzz_example_http.c - any bytes as requests to examples/http-server, one after the other as a connection has them, and as the
 * other things that its parser takes: a chunk's line, a Range field.
 */
#include "examples/http-server/http.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FILE_BYTES 1000

static void check_range(const char *field)
{
	int64_t from = -1, count = -1;
	int status = range_parse(field, FILE_BYTES, &from, &count);

	if (status != 200 && status != 206 && status != 416)
		abort();
	if (status == 206 && (from < 0 || count <= 0 || from >= FILE_BYTES || count > FILE_BYTES - from))
		abort();
	status = range_parse(field, 0, &from, &count);
	if (status == 206) /* nothing of an empty file can be had */
		abort();
}

/* A text that @request keeps is inside the head, its end too. */
static void check_inside(const char *text, const char *head, size_t size)
{
	if (text && (text < head || text >= head + size || strlen(text) >= size - (size_t)(text - head)))
		abort();
}

static void check_request(const struct request *request, const char *head, size_t size)
{
	check_inside(request->method, head, size);
	check_inside(request->path, head, size);
	check_inside(request->content_type, head, size);
	check_inside(request->if_none_match, head, size);
	check_inside(request->if_modified_since, head, size);
	check_inside(request->if_range, head, size);
	check_inside(request->range, head, size);
	if (!request->method || !*request->method || !request->path || *request->path != '/')
		abort();
	if (request->body_size < 0 || request->body_size > BODY_MAX || (request->chunked && request->body_size))
		abort();
	/* A body's field that the other end of a 1.0 connection does not know is refused. */
	if (request->http10 && request->chunked)
		abort();
	if (request->range)
		check_range(request->range);
}

/* The first head of @bytes; how long it is, or 0 when there is none that is accepted. */
static size_t one_head(const uint8_t *bytes, size_t size)
{
	/* Copies of just these bytes: a sanitizer sees the step behind them. */
	char *head = malloc(size);
	struct request request;
	int length, status;

	if (!head)
		return 0;
	memcpy(head, bytes, size);
	length = head_size(head, size);
	if (length > (int)size || length < -1)
		abort();
	free(head);
	if (length <= 0)
		return 0;
	head = malloc((size_t)length);
	if (!head)
		return 0;
	memcpy(head, bytes, (size_t)length);
	/* With a byte less it is not whole. */
	if (head_size(head, (size_t)length - 1) != 0 || head_size(head, (size_t)length) != length)
		abort();
	status = request_parse(&request, head, (size_t)length);
	if (status && (status < 400 || status > 505 || !strcmp(status_text(status), "Unknown")))
		abort();
	if (!status)
		check_request(&request, head, (size_t)length);
	free(head);
	return status ? 0 : (size_t)length;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *line = malloc(size + 1);
	int64_t chunk;

	if (!line)
		return 0;
	memcpy(line, data, size);
	line[size] = 0;
	chunk = chunk_size(line);
	if (chunk < -1 || chunk > UINT32_MAX)
		abort();
	check_range(line);
	free(line);

	for (size_t at = 0, step; at < size; at += step) {
		step = one_head(data + at, size - at < HEAD_MAX ? size - at : HEAD_MAX);
		if (!step)
			break;
	}
	return 0;
}
