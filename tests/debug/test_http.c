/* test_http.c - the parser of requests: what is taken and as what, and what is refused with which status. */
#include "runtime/debug/http.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static int parse(const char *text, struct gt_http_request *out)
{
	return gt_http_parse(text, strlen(text), out);
}

static int status(const char *text)
{
	struct gt_http_request request;

	return parse(text, &request);
}

#define H "Host: localhost\r\n"

Test(http, a_request_is_taken_with_its_path_query_and_host)
{
	struct gt_http_request request;
	const char *text =
		"GET /debug/pprof/heap?debug=1&seconds=%32+ HTTP/1.1\r\nHost: LocalHost:6060\r\nAccept: */*\r\n\r\nGET";
	char value[8];

	cr_assert_eq(parse(text, &request), (int)strlen(text) - 3);
	cr_assert_eq(request.method, GT_HTTP_GET);
	cr_assert_str_eq(request.path, "/debug/pprof/heap");
	cr_assert_str_eq(request.host, "localhost");
	cr_assert(request.keep_alive);
	cr_assert(gt_http_query(&request, "seconds", value, sizeof(value)));
	cr_assert_str_eq(value, "2 ");
	cr_assert(gt_http_query(&request, "debug", value, sizeof(value)));
	cr_assert_str_eq(value, "1");
	cr_assert_not(gt_http_query(&request, "deb", value, sizeof(value)));
	cr_assert_not(gt_http_query(&request, "seconds", value, 2));
}

Test(http, the_connection_stays_as_version_and_field_say)
{
	struct gt_http_request request;

	parse("GET / HTTP/1.0\r\n\r\n", &request);
	cr_assert_not(request.keep_alive);
	parse("GET / HTTP/1.0\r\nConnection: foo , Keep-Alive\r\n\r\n", &request);
	cr_assert(request.keep_alive);
	parse("GET / HTTP/1.1\r\n" H "Connection: close\r\n\r\n", &request);
	cr_assert_not(request.keep_alive);
	parse("GET / HTTP/1.9\n" H "\n", &request);
	cr_assert_eq(request.minor, 1);
}

Test(http, an_absolute_target_names_the_host)
{
	struct gt_http_request request;

	cr_assert_gt(parse("GET http://127.0.0.1:80/x?y HTTP/1.1\r\nHost: evil\r\n\r\n", &request), 0);
	cr_assert_str_eq(request.host, "127.0.0.1");
	cr_assert_str_eq(request.path, "/x");
	cr_assert_str_eq(request.query, "y");
	cr_assert_eq(status("GET http:///x HTTP/1.1\r\n" H "\r\n"), -400);
	cr_assert_eq(status("GET http://host HTTP/1.1\r\n" H "\r\n"), -400);
	cr_assert_eq(status("GET https://host/ HTTP/1.1\r\n" H "\r\n"), -400);
}

Test(http, what_is_not_whole_waits)
{
	const char *text = "GET /a HTTP/1.1\r\n" H "\r\n";
	struct gt_http_request request;

	for (size_t size = 0; size < strlen(text); size++)
		cr_assert_eq(gt_http_parse(text, size, &request), 0, "%zu", size);
}

Test(http, what_can_be_read_in_two_ways_is_refused)
{
	static const struct {
		const char *text;
		int status;
	} bad[] = {
		{"\x16\x03\x01\x02\n", -400},
		{"GET\r\n\r\n", -400},
		{"GET / \r\n\r\n", -400},
		{"GET  HTTP/1.1\r\n" H "\r\n", -400},
		{"GET / HTTP/1.1\r\n\r\n", -400}, /* no host */
		{"GET / HTTP/1.1\r\n" H H "\r\n", -400},
		{"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", -400},
		{"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", -400},
		{"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", -400},
		{"GET / HTTP/1.1\r\n" H " folded: x\r\n\r\n", -400},
		{"GET / HTTP/1.1\r\n" H "Space : x\r\n\r\n", -400},
		{"GET / HTTP/1.1\r\n" H "NoColon\r\n\r\n", -400},
		{"GET / HTTP/1.1\r\n" H "X: a\rb\r\n\r\n", -400},
		{"GET / HTTP/1.1\r\n" H "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", -400},
		{"GET / HTTP/1.1\r\n" H "Content-Length: +1\r\n\r\n", -400},
		{"GET / HTTP/1.1\r\n" H "Content-Length: 99999999999999999999\r\n\r\n", -400},
		{"GET / HTTP/1.1\r\n" H "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", -400},
		{"GET / HTTP/2.0\r\n" H "\r\n", -505},
		{"GET / FTTP/1.1\r\n" H "\r\n", -400},
		{"GET /%zz HTTP/1.1\r\n" H "\r\n", -400},
		{"GET /%00 HTTP/1.1\r\n" H "\r\n", -400},
		{"GET /% HTTP/1.1\r\n" H "\r\n", -400},
		{"GET /#a HTTP/1.1\r\n" H "\r\n", -400},
		{"GET debug HTTP/1.1\r\n" H "\r\n", -400},
		{"GET * HTTP/1.1\r\n" H "\r\n", -400},
		{"POST / HTTP/1.1\r\n" H "Expect: more\r\n\r\n", -417},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		cr_assert_eq(status(bad[i].text), bad[i].status, "%s: %d", bad[i].text, status(bad[i].text));
}

Test(http, lengths_are_bounded)
{
	static char text[2 * GT_HTTP_HEADER_MAX];
	struct gt_http_request request;

	memset(text, 'a', sizeof(text));
	cr_assert_eq(gt_http_parse(text, GT_HTTP_HEADER_MAX - 1, &request), 0);
	cr_assert_eq(gt_http_parse(text, GT_HTTP_HEADER_MAX, &request), -431);
	memcpy(text, "GET / HTTP/1.1\r\nX: ", 19);
	cr_assert_eq(gt_http_parse(text, GT_HTTP_HEADER_MAX, &request), -431);
	memcpy(text, "GET /", 5);
	memset(text + 5, 'a', 4000);
	memcpy(text + 4005, " HTTP/1.1\r\n" H "\r\n", 30);
	cr_assert_eq(gt_http_parse(text, 4005 + 30, &request), -414);
}

Test(http, only_names_of_this_machine_are_local)
{
	static const char *const local[] = {"localhost", "127.0.0.1", "127.255.0.3", "[::1]"};
	static const char *const others[] = {"", "127.0.0.1.evil.com", "127.evil.com", "localhost.evil.com", "evil.com",
		"127.0.0", "127.0.0.256", "127.0.0.1.", "127.0.0.0001", "[::2]", "0.0.0.0", "10.0.0.1"};

	for (size_t i = 0; i < sizeof(local) / sizeof(*local); i++)
		cr_assert(gt_http_host_local(local[i]), "%s", local[i]);
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		cr_assert_not(gt_http_host_local(others[i]), "%s", others[i]);
}
