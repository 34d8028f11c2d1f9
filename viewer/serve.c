/* serve.c - see serve.h. */
#include "viewer/serve.h"

#include "viewer/api.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORD_BYTES 16

#define WEB(name) \
	extern const char gt__web_##name[] __attribute__((visibility("hidden"))); \
	extern const char gt__web_##name##_end[] __attribute__((visibility("hidden")))
WEB(page);
WEB(style);
WEB(app);
WEB(draw);
WEB(panels);

struct gt_serve {
	struct gt_serve_config config;
	struct MHD_Daemon *daemon;
	unsigned int port;
	char word[2 * WORD_BYTES + 1];
	char address[64 + 2 * WORD_BYTES];
};

/* What the page may do: load what is here, ask here. */
static const char policy[] =
	"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/* ---- answers ---- */

static enum MHD_Result send_response(
	struct MHD_Connection *connection, unsigned int status, struct MHD_Response *response, const char *type)
{
	enum MHD_Result ret;

	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, "Content-Type", type);
	MHD_add_response_header(response, "Content-Security-Policy", policy);
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
	MHD_add_response_header(response, "Cross-Origin-Resource-Policy", "same-origin");
	MHD_add_response_header(response, "Cache-Control", "no-store");
	ret = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return ret;
}

static enum MHD_Result refuse(struct MHD_Connection *connection, unsigned int status, const char *why)
{
	return send_response(connection, status,
		MHD_create_response_from_buffer(strlen(why), (void *)(uintptr_t)why, MHD_RESPMEM_PERSISTENT),
		"text/plain; charset=utf-8");
}

static enum MHD_Result send_file(struct MHD_Connection *connection, const char *name)
{
	static const struct {
		const char *name, *type, *bytes, *end;
	} files[] = {
		{"", "text/html; charset=utf-8", gt__web_page, gt__web_page_end},
		{"style.css", "text/css; charset=utf-8", gt__web_style, gt__web_style_end},
		{"app.js", "text/javascript; charset=utf-8", gt__web_app, gt__web_app_end},
		{"draw.js", "text/javascript; charset=utf-8", gt__web_draw, gt__web_draw_end},
		{"panels.js", "text/javascript; charset=utf-8", gt__web_panels, gt__web_panels_end},
	};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (strcmp(name, files[i].name) == 0)
			return send_response(connection, MHD_HTTP_OK,
				MHD_create_response_from_buffer((size_t)(files[i].end - files[i].bytes),
					(void *)(uintptr_t)files[i].bytes, MHD_RESPMEM_PERSISTENT),
				files[i].type);
	return refuse(connection, MHD_HTTP_NOT_FOUND, "there is nothing here\n");
}

static const char *param(void *request, const char *name)
{
	return MHD_lookup_connection_value(request, MHD_GET_ARGUMENT_KIND, name);
}

static enum MHD_Result send_answer(const struct gt_serve *serve, struct MHD_Connection *connection, const char *what)
{
	struct gt_api_answer answer;

	gt_index_enter(serve->config.index);
	gt_api(serve->config.index, what, param, connection, &answer);
	gt_index_leave(serve->config.index);
	if (!answer.bytes)
		return refuse(connection, MHD_HTTP_INTERNAL_SERVER_ERROR, "out of memory\n");
	return send_response(connection, answer.status,
		MHD_create_response_from_buffer(answer.size, answer.bytes, MHD_RESPMEM_MUST_FREE), answer.type);
}

/* In memory that has no name: gone with the connection. */
static enum MHD_Result send_perfetto(const struct gt_serve *serve, struct MHD_Connection *connection)
{
	int fd = serve->config.perfetto ? memfd_create("pftrace", MFD_CLOEXEC) : -1;
	struct stat st;

	if (fd < 0)
		return refuse(connection, MHD_HTTP_NOT_FOUND, "there is nothing here\n");
	if (serve->config.perfetto(serve->config.context, fd) < 0 || fstat(fd, &st) < 0) {
		close(fd);
		return refuse(connection, MHD_HTTP_INTERNAL_SERVER_ERROR, "the trace cannot be converted\n");
	}
	return send_response(connection, MHD_HTTP_OK, MHD_create_response_from_fd64((uint64_t)st.st_size, fd),
		"application/octet-stream");
}

/* ---- who may ask ---- */

static bool same(const char *a, const char *b)
{
	unsigned char differ = 0;

	if (strlen(a) != strlen(b))
		return false;
	for (; *a; a++, b++)
		differ |= (unsigned char)(*a ^ *b);
	return !differ;
}

static bool is_own_host(const struct gt_serve *serve, const char *host)
{
	char own[32];

	if (!host)
		return false;
	snprintf(own, sizeof(own), "127.0.0.1:%u", serve->port);
	if (strcmp(host, own) == 0)
		return true;
	snprintf(own, sizeof(own), "localhost:%u", serve->port);
	return strcmp(host, own) == 0;
}

static bool from_elsewhere(const struct gt_serve *serve, struct MHD_Connection *connection)
{
	const char *origin = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Origin");
	const char *site = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Sec-Fetch-Site");

	if (origin && (strncmp(origin, "http://", 7) != 0 || !is_own_host(serve, origin + 7)))
		return true;
	return site && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0;
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *url, const char *method,
	const char *version, const char *upload, size_t *upload_size, void **state)
{
	const struct gt_serve *serve = context;
	char word[2 * WORD_BYTES + 1];
	const char *rest;

	(void)version;
	(void)upload;
	(void)state;
	if (!is_own_host(serve, MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Host")))
		return refuse(connection, MHD_HTTP_FORBIDDEN, "this is not the name of this server\n");
	if (strcmp(method, "GET") != 0 || *upload_size)
		return refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "GET only\n");
	rest = *url == '/' ? strchr(url + 1, '/') : NULL;
	if (!rest || (size_t)(rest - url - 1) != sizeof(word) - 1)
		return refuse(connection, MHD_HTTP_FORBIDDEN, "the address is the one that gtrace view printed\n");
	memcpy(word, url + 1, sizeof(word) - 1);
	word[sizeof(word) - 1] = 0;
	if (!same(word, serve->word))
		return refuse(connection, MHD_HTTP_FORBIDDEN, "the address is the one that gtrace view printed\n");
	rest++;
	/* A link to the page may stand anywhere; what it asks for then comes from itself. */
	if (*rest && from_elsewhere(serve, connection))
		return refuse(connection, MHD_HTTP_FORBIDDEN, "not for pages of other origins\n");
	if (strncmp(rest, "api/", 4) == 0)
		return send_answer(serve, connection, rest + 4);
	if (strcmp(rest, "trace.pftrace") == 0)
		return send_perfetto(serve, connection);
	return send_file(connection, rest);
}

/* ---- life ---- */

static int make_word(struct gt_serve *serve)
{
	unsigned char bytes[WORD_BYTES];

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return -EIO;
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(serve->word + 2 * i, 3, "%02x", bytes[i]);
	return 0;
}

/* Bound before the server's thread is there, which needs to know the port. */
static int listen_here(unsigned int *port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)*port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;

	if (fd < 0)
		return -errno;
	/* A port that this user gave, and that the last server has just left. */
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, 64) < 0 ||
		getsockname(fd, (struct sockaddr *)&address, &size) < 0) {
		int ret = -errno;

		close(fd);
		return ret;
	}
	*port = ntohs(address.sin_port);
	return fd;
}

int gt_serve_start(const struct gt_serve_config *config, struct gt_serve **out, struct gt_error *err)
{
	struct gt_serve *serve = calloc(1, sizeof(*serve));
	int fd;

	if (!serve || make_word(serve) < 0) {
		free(serve);
		return gt_fail(err, ENOMEM, "out of memory: the viewer's server");
	}
	serve->config = *config;
	serve->port = config->port;
	fd = listen_here(&serve->port);
	if (fd < 0) {
		free(serve);
		return gt_fail(err, -fd, "cannot listen on 127.0.0.1:%u: %s%s", config->port, strerror(-fd),
			config->port ? ": leave --port out for one that is free" : "");
	}
	snprintf(serve->address, sizeof(serve->address), "http://127.0.0.1:%u/%s/", serve->port, serve->word);
	serve->daemon =
		MHD_start_daemon(MHD_USE_AUTO_INTERNAL_THREAD, 0, NULL, NULL, handle, serve, MHD_OPTION_LISTEN_SOCKET,
			fd, MHD_OPTION_CONNECTION_LIMIT, 64u, MHD_OPTION_CONNECTION_TIMEOUT, 60u, MHD_OPTION_END);
	if (!serve->daemon) {
		close(fd);
		free(serve);
		return gt_fail(err, EIO, "cannot start the viewer's server");
	}
	*out = serve;
	return 0;
}

const char *gt_serve_address(const struct gt_serve *serve)
{
	return serve->address;
}

void gt_serve_stop(struct gt_serve *serve)
{
	if (!serve)
		return;
	MHD_stop_daemon(serve->daemon);
	free(serve);
}
