/* http.c - a request's head: line by line, each byte looked at once. */
#include "runtime/debug/http.h"

#include <string.h>

struct text {
	const char *at;
	size_t size;
};

static bool is_token(unsigned char c)
{
	return c > 32 && c < 127 && !strchr("\"(),/:;<=>?@[\\]{}", c);
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static bool same(struct text text, const char *word)
{
	size_t i = 0;

	while (i < text.size && word[i] && lower(text.at[i]) == word[i])
		i++;
	return i == text.size && !word[i];
}

static struct text trim(struct text text)
{
	while (text.size && (text.at[0] == ' ' || text.at[0] == '\t'))
		text.at++, text.size--;
	while (text.size && (text.at[text.size - 1] == ' ' || text.at[text.size - 1] == '\t'))
		text.size--;
	return text;
}

/* The next line without its end; false: it is not whole yet. */
static bool next_line(const char *bytes, size_t size, size_t *at, struct text *line)
{
	const char *end = *at < size ? memchr(bytes + *at, '\n', size - *at) : NULL;

	if (!end)
		return false;
	line->at = bytes + *at;
	line->size = (size_t)(end - line->at);
	*at += line->size + 1;
	if (line->size && line->at[line->size - 1] == '\r')
		line->size--;
	return true;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* %XX, and '+' in a query. No NUL comes out. */
static bool decode(struct text text, bool plus, char *out, size_t size)
{
	size_t used = 0;

	for (size_t i = 0; i < text.size; i++) {
		char c = text.at[i];

		if (c == '%') {
			int high = i + 2 < text.size ? hex(text.at[i + 1]) : -1;
			int low = i + 2 < text.size ? hex(text.at[i + 2]) : -1;

			if (high < 0 || low < 0)
				return false;
			c = (char)(high << 4 | low);
			i += 2;
		} else if (c == '+' && plus) {
			c = ' ';
		}
		if (!c || used + 1 >= size)
			return false;
		out[used++] = c;
	}
	out[used] = '\0';
	return true;
}

/* HOST or HOST:PORT. */
static bool take_host(struct text text, struct gt_http_request *out)
{
	size_t size = 0, port;

	if (text.size && text.at[0] == '[') {
		while (size < text.size && text.at[size] != ']')
			size++;
		if (size == text.size)
			return false;
		size++;
	} else {
		while (size < text.size && text.at[size] != ':')
			size++;
	}
	port = size;
	if (port < text.size && text.at[port++] != ':')
		return false;
	for (; port < text.size; port++)
		if (text.at[port] < '0' || text.at[port] > '9')
			return false;
	if (size >= sizeof(out->host))
		return false;
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)text.at[i];

		if (c <= 32 || c >= 127 || strchr("\"#%/<>?@\\^`{|}", c))
			return false;
		out->host[i] = lower(text.at[i]);
	}
	out->host[size] = '\0';
	return true;
}

/* 0 or -STATUS. "/path?query", or "http://host/path?query". */
static int take_target(struct text target, struct gt_http_request *out)
{
	struct text path, query = {NULL, 0};
	const char *mark;

	if (target.size > 7 && same((struct text){target.at, 7}, "http://")) {
		struct text host = {target.at + 7, 0};

		while (host.size + 7 < target.size && !strchr("/?", host.at[host.size]))
			host.size++;
		if (!host.size || !take_host(host, out))
			return -400;
		out->has_host = true;
		target = (struct text){host.at + host.size, target.size - 7 - host.size};
		if (!target.size || target.at[0] == '?')
			return -400;
	}
	if (!target.size || target.at[0] != '/')
		return -400;
	for (size_t i = 0; i < target.size; i++)
		if ((unsigned char)target.at[i] <= 32 || target.at[i] == 127 || target.at[i] == '#')
			return -400;
	mark = memchr(target.at, '?', target.size);
	path = (struct text){target.at, mark ? (size_t)(mark - target.at) : target.size};
	if (mark)
		query = (struct text){mark + 1, target.size - path.size - 1};
	if (path.size >= sizeof(out->path) || query.size >= sizeof(out->query))
		return -414;
	if (query.size)
		memcpy(out->query, query.at, query.size);
	out->query[query.size] = '\0';
	return decode(path, false, out->path, sizeof(out->path)) ? 0 : -400;
}

static int take_request_line(struct text line, struct gt_http_request *out)
{
	const char *first = memchr(line.at, ' ', line.size), *last = first;
	struct text method, target, version;

	if (!first)
		return -400;
	method = (struct text){line.at, (size_t)(first - line.at)};
	for (size_t i = (size_t)(first - line.at); i < line.size; i++)
		if (line.at[i] == ' ')
			last = line.at + i;
	version = (struct text){last + 1, line.size - (size_t)(last + 1 - line.at)};
	if (last == first || !method.size || version.size != 8 || memcmp(version.at, "HTTP/", 5) != 0 ||
		version.at[5] < '0' || version.at[5] > '9' || version.at[6] != '.' || version.at[7] < '0' ||
		version.at[7] > '9')
		return -400;
	for (size_t i = 0; i < method.size; i++)
		if (!is_token((unsigned char)method.at[i]))
			return -400;
	if (version.at[5] != '1')
		return -505;
	out->minor = version.at[7] == '0' ? 0 : 1;
	out->keep_alive = out->minor == 1;
	out->method = method.size == 3 && memcmp(method.at, "GET", 3) == 0    ? GT_HTTP_GET
		      : method.size == 4 && memcmp(method.at, "HEAD", 4) == 0 ? GT_HTTP_HEAD
		      : method.size == 4 && memcmp(method.at, "POST", 4) == 0 ? GT_HTTP_POST
									      : GT_HTTP_OTHER;
	target = (struct text){first + 1, (size_t)(last - first - 1)};
	if (target.size == 1 && target.at[0] == '*' && out->method == GT_HTTP_OTHER) {
		memcpy(out->path, "*", 2);
		return 0;
	}
	return take_target(target, out);
}

static int take_length(struct text value, bool again, struct gt_http_request *out)
{
	uint64_t length = 0;

	if (!value.size || value.size > 18)
		return -400;
	for (size_t i = 0; i < value.size; i++) {
		if (value.at[i] < '0' || value.at[i] > '9')
			return -400;
		length = length * 10 + (uint64_t)(value.at[i] - '0');
	}
	if (again && length != out->body_bytes)
		return -400;
	out->body_bytes = length;
	return 0;
}

static void take_connection(struct text value, struct gt_http_request *out)
{
	while (value.size) {
		const char *comma = memchr(value.at, ',', value.size);
		struct text word = {value.at, comma ? (size_t)(comma - value.at) : value.size};

		value.at += word.size + (comma ? 1 : 0);
		value.size -= word.size + (comma ? 1 : 0);
		word = trim(word);
		if (same(word, "close"))
			out->keep_alive = false;
		else if (same(word, "keep-alive") && out->minor == 0)
			out->keep_alive = true;
	}
}

struct seen {
	bool host, length, absolute;
};

static int take_field(struct text line, struct seen *seen, struct gt_http_request *out)
{
	const char *colon = memchr(line.at, ':', line.size);
	struct text name, value;

	if (!colon || colon == line.at)
		return -400;
	name = (struct text){line.at, (size_t)(colon - line.at)};
	for (size_t i = 0; i < name.size; i++)
		if (!is_token((unsigned char)name.at[i]))
			return -400;
	value = trim((struct text){colon + 1, line.size - name.size - 1});
	for (size_t i = 0; i < value.size; i++)
		if (((unsigned char)value.at[i] < 32 && value.at[i] != '\t') || value.at[i] == 127)
			return -400;
	if (same(name, "host")) {
		struct gt_http_request ignored;

		if (seen->host || !take_host(value, seen->absolute ? &ignored : out))
			return -400;
		seen->host = true;
		out->has_host = true;
	} else if (same(name, "content-length")) {
		int ret = take_length(value, seen->length, out);

		seen->length = true;
		return ret;
	} else if (same(name, "transfer-encoding")) {
		out->chunked = true;
	} else if (same(name, "connection")) {
		take_connection(value, out);
	} else if (same(name, "expect")) {
		out->expect_continue = same(value, "100-continue");
		return out->expect_continue ? 0 : -417;
	}
	return 0;
}

int gt_http_parse(const char *bytes, size_t size, struct gt_http_request *out)
{
	struct seen seen = {false, false, false};
	struct text line;
	size_t at = 0;
	int ret;

	memset(out, 0, sizeof(*out));
	/* An empty line or two before a request is left over from the body of another. */
	do {
		if (!next_line(bytes, size, &at, &line))
			return size < GT_HTTP_HEADER_MAX ? 0 : -431;
	} while (!line.size && at < 5);
	ret = take_request_line(line, out);
	if (ret < 0)
		return ret;
	seen.absolute = out->has_host;
	for (;;) {
		if (!next_line(bytes, size, &at, &line))
			return size < GT_HTTP_HEADER_MAX ? 0 : -431;
		if (!line.size)
			break;
		ret = take_field(line, &seen, out);
		if (ret < 0)
			return ret;
	}
	if (at > GT_HTTP_HEADER_MAX)
		return -431;
	/* Both lengths: who is right is how a request is smuggled. */
	if ((out->chunked && seen.length) || (out->minor == 1 && !seen.host))
		return -400;
	return (int)at;
}

bool gt_http_query(const struct gt_http_request *request, const char *key, char *out, size_t size)
{
	const char *at = request->query;

	while (*at) {
		size_t length = strcspn(at, "&"), name = strcspn(at, "=&");

		if (name == strlen(key) && memcmp(at, key, name) == 0) {
			struct text value = {at + name, length - name};

			if (value.size)
				value.at++, value.size--; /* '=' */
			return decode(value, true, out, size);
		}
		at += length + (at[length] == '&');
	}
	return false;
}

bool gt_http_host_local(const char *host)
{
	unsigned int numbers = 0;

	if (!strcmp(host, "localhost") || !strcmp(host, "localhost.") || !strcmp(host, "[::1]"))
		return true;
	if (strncmp(host, "127.", 4) != 0)
		return false;
	for (const char *at = host;; at++) {
		unsigned int value = 0, digits = 0;

		for (; *at >= '0' && *at <= '9' && digits < 4; at++, digits++)
			value = value * 10 + (unsigned int)(*at - '0');
		if (!digits || digits > 3 || value > 255)
			return false;
		numbers++;
		if (*at != '.')
			return !*at && numbers == 4;
	}
}

const char *gt_http_status_text(int status)
{
	switch (status) {
	case 100:
		return "Continue";
	case 200:
		return "OK";
	case 301:
		return "Moved Permanently";
	case 400:
		return "Bad Request";
	case 403:
		return "Forbidden";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 408:
		return "Request Timeout";
	case 411:
		return "Length Required";
	case 413:
		return "Content Too Large";
	case 414:
		return "URI Too Long";
	case 417:
		return "Expectation Failed";
	case 431:
		return "Request Header Fields Too Large";
	case 500:
		return "Internal Server Error";
	case 501:
		return "Not Implemented";
	case 503:
		return "Service Unavailable";
	case 505:
		return "HTTP Version Not Supported";
	default:
		return "Error";
	}
}
