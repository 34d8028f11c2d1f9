/*
 * fuzz_http.c - any bytes as requests, one after the other as a connection has them. What is accepted stays within its bounds, and is
 * the same request however few of its bytes come at once.
 */
#include "runtime/debug/http.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *bytes, int head, const struct gt_http_request *request)
{
	struct gt_http_request again;
	char value[64];

	if (request->path[0] != '/' && strcmp(request->path, "*") != 0)
		abort();
	if (strlen(request->path) >= sizeof(request->path) || strlen(request->query) >= sizeof(request->query) ||
		strlen(request->host) >= sizeof(request->host) || head > (int)GT_HTTP_HEADER_MAX)
		abort();
	if (request->minor == 1 && !request->has_host)
		abort();
	/* With a byte less it is not whole; with just its own it is the same. */
	if (gt_http_parse(bytes, (size_t)head - 1, &again) != 0)
		abort();
	if (gt_http_parse(bytes, (size_t)head, &again) != head || memcmp(&again, request, sizeof(again)) != 0)
		abort();
	gt_http_query(request, "seconds", value, sizeof(value));
	gt_http_query(request, "", value, 1);
	gt_http_host_local(request->host);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t at = 0;

	while (at < size) {
		/* A copy of just these bytes: a sanitizer sees the step behind them. */
		size_t rest = size - at < GT_HTTP_HEADER_MAX ? size - at : GT_HTTP_HEADER_MAX;
		char *bytes = malloc(rest);
		struct gt_http_request request;
		int ret;

		if (!bytes)
			return 0;
		memcpy(bytes, data + at, rest);
		ret = gt_http_parse(bytes, rest, &request);
		if (ret > (int)rest || (ret < 0 && (ret > -400 || ret < -599)))
			abort();
		if (ret > 0)
			check(bytes, ret, &request);
		free(bytes);
		if (ret <= 0)
			break;
		at += (size_t)ret;
	}
	return 0;
}
