/* serve.c - see serve.h. */
#include "viewer/serve.h"

#include "viewer/api.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORD_BYTES      16
#define URL_BYTES_MAX   8192
#define PARAMETERS_MAX  64
#define CONNECTIONS_MAX 256u
#define IDLE_SECONDS    20u
/* Of one connection: what the two limits above take of it leaves enough for the fields of a request. */
#define CONNECTION_BYTES ((size_t)65536)

#define HTML "text/html; charset=utf-8"
#define CSS  "text/css; charset=utf-8"
#define JS   "text/javascript; charset=utf-8"

#define WEB(name, path, url, kind) \
	extern const char gt__web_##name[] __attribute__((visibility("hidden"))); \
	extern const char gt__web_##name##_end[] __attribute__((visibility("hidden")));
#include "viewer/web.def"
#undef WEB

/* The trace in another format, made in a thread of its own while its connection sleeps: others are answered meanwhile. */
struct conversion {
	const struct gt_serve_config *config;
	struct MHD_Connection *connection;
	pthread_t thread;
	int fd, ret;
	/* Of the lock: */
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	bool busy, resumed, stopping;
};

struct gt_serve {
	struct gt_serve_config config;
	struct conversion conversion;
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
	struct MHD_Response *response =
		MHD_create_response_from_buffer(strlen(why), (void *)(uintptr_t)why, MHD_RESPMEM_PERSISTENT);

	if (response && status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, "Allow", "GET, HEAD");
	return send_response(connection, status, response, "text/plain; charset=utf-8");
}

static enum MHD_Result send_file(struct MHD_Connection *connection, const char *name)
{
	static const struct {
		const char *name, *type, *bytes, *end;
	} files[] = {
#define WEB(name, path, url, kind) {url, kind, gt__web_##name, gt__web_##name##_end},
#include "viewer/web.def"
#undef WEB
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
	const char *found;
	size_t size;

	if (strcmp(what, "findings") == 0 && serve->config.findings) {
		found = gt_findings_ask(serve->config.findings, &size);
		return send_response(connection, MHD_HTTP_OK,
			MHD_create_response_from_buffer(size, (void *)(uintptr_t)found, MHD_RESPMEM_MUST_COPY),
			"application/json");
	}
	gt_index_enter(serve->config.index);
	gt_api(serve->config.index, what, param, connection, &answer);
	gt_index_leave(serve->config.index);
	if (!answer.bytes)
		return refuse(connection, MHD_HTTP_INTERNAL_SERVER_ERROR, "out of memory\n");
	return send_response(connection, answer.status,
		MHD_create_response_from_buffer(answer.size, answer.bytes, MHD_RESPMEM_MUST_FREE), answer.type);
}

/* ---- the trace in Perfetto's format: in memory that has no name, gone with the connection ---- */

static void *convert(void *context)
{
	struct conversion *conversion = context;

	conversion->ret = conversion->config->perfetto(conversion->config->context, conversion->fd);
	pthread_mutex_lock(&conversion->mutex);
	conversion->resumed = true;
	MHD_resume_connection(conversion->connection);
	pthread_cond_signal(&conversion->changed);
	pthread_mutex_unlock(&conversion->mutex);
	return NULL;
}

/* The one that can be under way is ours now; not when the server ends. */
static bool take_conversion(struct conversion *conversion)
{
	bool taken;

	pthread_mutex_lock(&conversion->mutex);
	taken = !conversion->busy && !conversion->stopping;
	if (taken) {
		conversion->fd = memfd_create("pftrace", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		conversion->busy = true;
		conversion->resumed = false;
	}
	pthread_mutex_unlock(&conversion->mutex);
	return taken;
}

static void free_conversion(struct conversion *conversion)
{
	pthread_mutex_lock(&conversion->mutex);
	conversion->busy = false;
	pthread_cond_signal(&conversion->changed);
	pthread_mutex_unlock(&conversion->mutex);
}

static enum MHD_Result begin_perfetto(struct gt_serve *serve, struct MHD_Connection *connection, void **state)
{
	struct conversion *conversion = &serve->conversion;

	if (!serve->config.perfetto)
		return refuse(connection, MHD_HTTP_NOT_FOUND, "there is nothing here\n");
	if (!take_conversion(conversion))
		return refuse(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "it is being converted: ask again\n");
	conversion->connection = connection;
	if (conversion->fd >= 0) {
		MHD_suspend_connection(connection);
		*state = conversion;
		if (pthread_create(&conversion->thread, NULL, convert, conversion) == 0)
			return MHD_YES;
		MHD_resume_connection(connection);
		*state = NULL;
		close(conversion->fd);
	}
	free_conversion(conversion);
	return MHD_NO;
}

/* Its file is the caller's. */
static int end_conversion(struct conversion *conversion, int *fd)
{
	int ret;

	pthread_join(conversion->thread, NULL);
	*fd = conversion->fd;
	ret = conversion->ret;
	free_conversion(conversion);
	return ret;
}

static enum MHD_Result send_perfetto(struct gt_serve *serve, struct MHD_Connection *connection, void **state)
{
	int fd, ret = end_conversion(&serve->conversion, &fd);
	struct stat st;

	*state = NULL;
	if (ret < 0 || fstat(fd, &st) < 0) {
		close(fd);
		return refuse(connection, MHD_HTTP_INTERNAL_SERVER_ERROR, "the trace cannot be converted\n");
	}
	return send_response(connection, MHD_HTTP_OK, MHD_create_response_from_fd64((uint64_t)st.st_size, fd),
		"application/octet-stream");
}

/* A request has ended; when nobody is there any more, without its answer having been asked for. */
static void forget_request(
	void *context, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode why)
{
	struct gt_serve *serve = context;
	int fd;

	(void)connection;
	(void)why;
	if (*state != &serve->conversion)
		return;
	(void)end_conversion(&serve->conversion, &fd);
	close(fd);
	*state = NULL;
}

/* No connection may sleep when the server ends: a conversion that can write no more fails. */
static void stop_daemon(struct gt_serve *serve)
{
	struct conversion *conversion = &serve->conversion;

	pthread_mutex_lock(&conversion->mutex);
	conversion->stopping = true;
	if (conversion->busy)
		fcntl(conversion->fd, F_ADD_SEALS, F_SEAL_GROW);
	while (conversion->busy && !conversion->resumed)
		pthread_cond_wait(&conversion->changed, &conversion->mutex);
	pthread_mutex_unlock(&conversion->mutex);
	MHD_stop_daemon(serve->daemon);
	pthread_mutex_destroy(&conversion->mutex);
	pthread_cond_destroy(&conversion->changed);
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

static enum MHD_Result count_host(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
	unsigned int *count = context;

	(void)kind;
	(void)value;
	*count += strcasecmp(name, "Host") == 0;
	return MHD_YES;
}

/* What is refused by its head alone, before anything of a body is read. */
static enum MHD_Result look(struct gt_serve *serve, struct MHD_Connection *connection, const char *method)
{
	const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Length");
	unsigned int hosts = 0;

	MHD_get_connection_values(connection, MHD_HEADER_KIND, count_host, &hosts);
	if (hosts != 1)
		return refuse(connection, MHD_HTTP_BAD_REQUEST, "one Host, please\n");
	if (!is_own_host(serve, MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Host")))
		return refuse(connection, MHD_HTTP_FORBIDDEN, "this is not the name of this server\n");
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		return refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "GET only\n");
	if ((length && strcmp(length, "0") != 0) ||
		MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Transfer-Encoding"))
		return refuse(connection, MHD_HTTP_BAD_REQUEST, "no body, please\n");
	return MHD_YES;
}

static enum MHD_Result answer(
	struct gt_serve *serve, struct MHD_Connection *connection, const char *url, bool head, void **state)
{
	char word[2 * WORD_BYTES + 1];
	const char *rest = *url == '/' ? strchr(url + 1, '/') : NULL;

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
	if (strcmp(rest, "trace.pftrace") != 0)
		return send_file(connection, rest);
	if (head)
		return send_response(connection, MHD_HTTP_OK,
			MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT), "application/octet-stream");
	return begin_perfetto(serve, connection, state);
}

/*
 * Called for each request when its head is there, and again when all of it is: only what is answered then leaves the connection open
 * for the next request. A third time when a conversion has ended.
 */
static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *url, const char *method,
	const char *version, const char *upload, size_t *upload_size, void **state)
{
	static char looked_at;
	struct gt_serve *serve = context;

	(void)version;
	(void)upload;
	(void)upload_size;
	if (*state == &serve->conversion)
		return send_perfetto(serve, connection, state);
	if (!*state) {
		*state = &looked_at;
		return look(serve, connection, method);
	}
	return answer(serve, connection, url, strcmp(method, "HEAD") == 0, state);
}

/*
 * libmicrohttpd (0.9.75) never answers a request with more parameters than its memory holds, so it does not get to see one: the
 * answer goes out here, and the connection ends.
 */
static void *see_uri(void *context, const char *uri, struct MHD_Connection *connection)
{
	static const char refusal[] = "HTTP/1.1 414 URI Too Long\r\nConnection: close\r\nContent-Type: text/plain\r\n"
				      "Content-Length: 25\r\n\r\nthe address is too long.\n";
	const union MHD_ConnectionInfo *info;
	size_t size = strlen(uri), parameters = 0;

	(void)context;
	for (const char *at = uri; (at = strchr(at, '&')); at++)
		parameters++;
	if (size <= URL_BYTES_MAX && parameters < PARAMETERS_MAX)
		return NULL;
	info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	if (info) {
		(void)!send(info->connect_fd, refusal, sizeof(refusal) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
		shutdown(info->connect_fd, SHUT_RDWR);
	}
	return NULL;
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
	serve->conversion.config = &serve->config;
	pthread_mutex_init(&serve->conversion.mutex, NULL);
	pthread_cond_init(&serve->conversion.changed, NULL);
	serve->port = config->port;
	fd = listen_here(&serve->port);
	if (fd < 0) {
		free(serve);
		return gt_fail(err, -fd, "cannot listen on 127.0.0.1:%u: %s%s", config->port, strerror(-fd),
			config->port ? ": leave --port out for one that is free" : "");
	}
	snprintf(serve->address, sizeof(serve->address), "http://127.0.0.1:%u/%s/", serve->port, serve->word);
	serve->daemon = MHD_start_daemon(MHD_USE_AUTO_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, handle,
		serve, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX,
		MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_BYTES,
		MHD_OPTION_URI_LOG_CALLBACK, see_uri, NULL, MHD_OPTION_NOTIFY_COMPLETED, forget_request, serve,
		MHD_OPTION_END);
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
	stop_daemon(serve);
	free(serve);
}
