/*
 * http.c - parses what http.h says.
 */
#include "http.h"

#include <string.h>
#include <strings.h>

const char *status_text(int status)
{
	static const struct {
		int status;
		const char *text;
	} all[] = {{200, "OK"}, {206, "Partial Content"}, {301, "Moved Permanently"}, {304, "Not Modified"},
		{400, "Bad Request"}, {403, "Forbidden"}, {404, "Not Found"}, {405, "Method Not Allowed"},
		{408, "Request Timeout"}, {413, "Content Too Large"}, {414, "URI Too Long"},
		{416, "Range Not Satisfiable"}, {417, "Expectation Failed"}, {431, "Request Header Fields Too Large"},
		{500, "Internal Server Error"}, {501, "Not Implemented"}, {503, "Service Unavailable"},
		{505, "HTTP Version Not Supported"}};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		if (all[i].status == status)
			return all[i].text;
	return "Unknown";
}

int head_size(const char *bytes, size_t size)
{
	size_t line = 0; /* where the present line begins */

	for (size_t i = 0; i < size; i++) {
		if (bytes[i] != '\n')
			continue;
		if (i == line || bytes[i - 1] != '\r')
			return -1;
		if (i - line == 1)
			return (int)i + 1;
		line = i + 1;
	}
	return 0;
}

/* ---- the first line ---- */

static bool is_token(const char *text)
{
	static const char marks[] = "!#$%&'*+-.^_`|~";

	if (!*text)
		return false;
	for (; *text; text++) {
		bool letter = (*text | 32) >= 'a' && (*text | 32) <= 'z';

		if (!letter && !(*text >= '0' && *text <= '9') && !strchr(marks, *text))
			return false;
	}
	return true;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 32;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* In place. A coded NUL would end the path early for whoever opens it. */
static bool percent_decode(char *text)
{
	char *to = text;

	for (; *text; text++) {
		if (*text == '%') {
			int high = hex_digit(text[1]), low = high < 0 ? -1 : hex_digit(text[2]);

			if (low < 0 || !(high | low))
				return false;
			*to++ = (char)(high << 4 | low);
			text += 2;
		} else {
			*to++ = *text;
		}
	}
	*to = 0;
	return true;
}

/* /path?query, or http://host/path?query as a proxy's client would say. */
static int parse_target(struct request *request, char *target)
{
	if (strncasecmp(target, "http://", 7) == 0) {
		target = strchr(target + 7, '/');
		if (!target)
			return 400;
	}
	target[strcspn(target, "?#")] = 0;
	if (*target != '/' || !percent_decode(target))
		return 400;
	request->path = target;
	return 0;
}

static int parse_first_line(struct request *request, char *line)
{
	char *target = strchr(line, ' ');
	char *version = target ? strchr(target + 1, ' ') : NULL;

	if (!version)
		return 400;
	*target++ = 0;
	*version++ = 0;
	request->method = line;
	if (!is_token(request->method) || strncmp(version, "HTTP/", 5) != 0 || strlen(version) != 8)
		return 400;
	request->http10 = strcmp(version, "HTTP/1.0") == 0;
	if (!request->http10 && strcmp(version, "HTTP/1.1") != 0)
		return 505;
	request->keep_alive = !request->http10;
	return parse_target(request, target);
}

/* ---- fields ---- */

static bool has_word(const char *list, const char *word)
{
	size_t size = strlen(word);

	while (*list) {
		size_t span;

		list += strspn(list, " \t,");
		span = strcspn(list, " \t,;");
		if (span == size && strncasecmp(list, word, size) == 0)
			return true;
		list += strcspn(list, ",");
	}
	return false;
}

static int parse_length(struct request *request, const char *value)
{
	int64_t size = 0;

	if (!*value)
		return 400;
	for (; *value; value++) {
		if (*value < '0' || *value > '9')
			return 400;
		size = size * 10 + (*value - '0');
		if (size > BODY_MAX)
			return 413;
	}
	request->body_size = size;
	return 0;
}

/* What came before: a second field of these kinds makes a request that two servers read differently. */
struct seen {
	bool host, length, coding;
};

static int parse_field(struct request *request, struct seen *seen, const char *name, const char *value)
{
	static const struct {
		const char *name;
		size_t at;
	} kept[] = {{"Content-Type", offsetof(struct request, content_type)},
		{"If-None-Match", offsetof(struct request, if_none_match)},
		{"If-Modified-Since", offsetof(struct request, if_modified_since)},
		{"If-Range", offsetof(struct request, if_range)}, {"Range", offsetof(struct request, range)}};

	for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++)
		if (strcasecmp(name, kept[i].name) == 0)
			*(const char **)((char *)request + kept[i].at) = value;
	if (strcasecmp(name, "Host") == 0) {
		if (seen->host)
			return 400;
		seen->host = true;
	} else if (strcasecmp(name, "Connection") == 0) {
		if (has_word(value, "close"))
			request->keep_alive = false;
		else if (request->http10 && has_word(value, "keep-alive"))
			request->keep_alive = true;
	} else if (strcasecmp(name, "Content-Length") == 0) {
		if (seen->length || seen->coding)
			return 400;
		seen->length = true;
		return parse_length(request, value);
	} else if (strcasecmp(name, "Transfer-Encoding") == 0) {
		if (seen->length || seen->coding || request->http10)
			return 400;
		seen->coding = request->chunked = true;
		return strcasecmp(value, "chunked") == 0 ? 0 : 501;
	} else if (strcasecmp(name, "Expect") == 0) {
		request->expect_continue = strcasecmp(value, "100-continue") == 0;
		return request->expect_continue ? 0 : 417;
	}
	return 0;
}

/* Cuts the next line off: its text ends where its CR was. */
static char *next_line(char **head)
{
	char *line = *head, *end = strchr(line, '\n');

	end[-1] = 0;
	*head = end + 1;
	return line;
}

int request_parse(struct request *request, char *head, size_t size)
{
	struct seen seen = {0};
	char *line;
	int status;

	*request = (struct request){0};
	/* Control characters have no place here; without NULs, lines are strings. */
	for (size_t i = 0; i < size; i++)
		if ((unsigned char)head[i] < 32 ? !strchr("\t\r\n", head[i] ? head[i] : 1) : head[i] == 127)
			return 400;
	for (size_t i = 0; i + 1 < size; i++)
		if (head[i] == '\r' && head[i + 1] != '\n')
			return 400;
	status = parse_first_line(request, next_line(&head));
	while (!status && *(line = next_line(&head))) {
		char *value = strchr(line, ':');

		if (!value)
			return 400;
		*value++ = 0;
		/* A blank before the colon, or a line that goes on: both have been used to smuggle requests. */
		if (!is_token(line))
			return 400;
		value += strspn(value, " \t");
		for (char *end = value + strlen(value); end > value && (end[-1] == ' ' || end[-1] == '\t');)
			*--end = 0;
		status = parse_field(request, &seen, line, value);
	}
	if (!status && !request->http10 && !seen.host)
		return 400;
	return status;
}

int64_t chunk_size(const char *line)
{
	int64_t size = 0;
	int digits = 0;

	for (int digit; (digit = hex_digit(*line)) >= 0; line++) {
		size = size * 16 + digit;
		if (++digits > 8)
			return -1;
	}
	line += strspn(line, " \t");
	return digits && (!*line || *line == ';') ? size : -1;
}

/* Digits at *@text; -1: there are none. Large numbers become INT64_MAX. */
static int64_t take_number(const char **text)
{
	int64_t number = -1;

	for (; **text >= '0' && **text <= '9'; ++*text) {
		if (number < 0)
			number = 0;
		if (__builtin_mul_overflow(number, 10, &number) ||
			__builtin_add_overflow(number, **text - '0', &number))
			number = INT64_MAX / 10;
	}
	return number;
}

int range_parse(const char *field, int64_t size, int64_t *from, int64_t *count)
{
	int64_t first, last;

	if (strncasecmp(field, "bytes=", 6) != 0)
		return 200;
	field += 6;
	first = take_number(&field);
	if (*field++ != '-')
		return 200;
	last = take_number(&field);
	/* Several ranges may be answered with the whole. */
	if (*field || (first < 0 && last < 0) || (first >= 0 && last >= 0 && last < first))
		return 200;
	if (first < 0) { /* the last so many */
		first = last < size ? size - last : 0;
		last = last ? size - 1 : -1;
	} else if (last < 0 || last >= size) {
		last = size - 1;
	}
	if (first >= size || last < first)
		return 416;
	*from = first;
	*count = last - first + 1;
	return 206;
}
