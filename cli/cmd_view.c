/* cmd_view.c - gtrace view FILE: a trace in the browser, by a server for this user alone. */
#include "cli/cli.h"
#include "format/convert/perfetto.h"
#include "format/convert/sink.h"
#include "format/reading/trace.h"
#include "viewer/serve.h"

#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEY_PORT = 256, KEY_NO_OPEN, KEY_AT, KEY_GOROUTINE, KEY_MEMORY };

struct view_options {
	const char *file;
	unsigned int port;
	bool no_open;
	bool at_given;
	uint64_t at_ns, goroutine;
	uint64_t memory_bytes_max;
};

static const struct argp_option options[] = {
	{"port", KEY_PORT, "N", 0, "listen there (default: any port that is free)", 0},
	{"no-open", KEY_NO_OPEN, NULL, 0, "only print the address: open no browser", 0},
	{"at", KEY_AT, "TIME", 0,
		"begin at this moment (1.5s, 200ms since the trace's begin), as gtrace report names it", 0},
	{"goroutine", KEY_GOROUTINE, "N", 0, "begin with this goroutine: with what it did at --at, or first", 0},
	{"max-memory", KEY_MEMORY, "SIZE", 0, "read no further than an index of that size holds (default: 4G)", 0},
	{0},
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct view_options *o = state->input;
	unsigned long port;
	char *end;

	switch (key) {
	case KEY_PORT:
		port = strtoul(arg, &end, 10);
		if (*end || end == arg || *arg == '-' || port > 65535)
			argp_error(state, "--port takes a number up to 65535: %s", arg);
		o->port = (unsigned int)port;
		return 0;
	case KEY_NO_OPEN:
		o->no_open = true;
		return 0;
	case KEY_AT:
		if (!gt_parse_duration(arg, &o->at_ns))
			argp_error(state, "--at takes a time with its unit (250ms, 1.5s): %s", arg);
		o->at_given = true;
		return 0;
	case KEY_GOROUTINE:
		arg += *arg == 'G' || *arg == 'g';
		o->goroutine = strtoull(arg, &end, 10);
		if (*end || end == arg || *arg == '-' || !o->goroutine)
			argp_error(state, "--goroutine takes its number: %s", arg);
		return 0;
	case KEY_MEMORY:
		if (!gt_parse_size(arg, &o->memory_bytes_max) || o->memory_bytes_max < 1 << 20)
			argp_error(state, "--max-memory takes a size from 1M on (512M, 8G): %s", arg);
		return 0;
	case ARGP_KEY_ARG:
		if (o->file)
			argp_error(state, "one FILE at a time");
		o->file = arg;
		return 0;
	case ARGP_KEY_END:
		if (!o->file)
			argp_error(state, "FILE is missing");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void progress(void *user, uint64_t events)
{
	(void)user;
	fprintf(stderr, "\r%" PRIu64 " events\033[K", events);
}

/* For the page's button: read anew, as the index has used its own up. */
static int write_perfetto(void *context, int fd)
{
	const struct view_options *o = context;
	struct gt_trace *trace;
	struct gt_sink sink;
	struct gt_error err;
	int ret = gt_trace_open(o->file, &trace, &err);

	if (ret < 0)
		return ret;
	ret = gt_sink_open_fd(&sink, fd, "Perfetto's format");
	if (ret >= 0) {
		ret = gt_convert_perfetto(trace, &sink, NULL, &err);
		if (gt_sink_close(&sink, NULL, NULL, ret < 0 ? NULL : &err) < 0 && ret >= 0)
			ret = -EIO;
	}
	gt_trace_close(trace);
	return ret;
}

/* Where there is a desktop to open it on. The user's own choice of a browser, by his desktop. */
static void open_browser(const char *address)
{
	if (!getenv("DISPLAY") && !getenv("WAYLAND_DISPLAY"))
		return;
	if (fork() == 0) {
		setsid();
		execlp("xdg-open", "xdg-open", address, (char *)NULL);
		_exit(127);
	}
}

struct reading {
	const struct view_options *o;
	struct gt_index *index;
	int ret;
};

/* Beside the server, which answers from the begin on. */
static void *read_trace(void *context)
{
	struct reading *reading = context;
	struct gt_index *index = reading->index;
	char memory[32];
	struct gt_error err;

	reading->ret = gt_index_read(index, &err);
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[K");
	if (reading->ret == -ECANCELED)
		return NULL;
	if (reading->ret < 0)
		gt_die(GT_EXIT_FAILURE, &err);
	fprintf(stderr, "gtrace: %s: %" PRIu64 " events, %" PRIu32 " goroutines, %s of memory; Ctrl-C ends it\n",
		reading->o->file, index->events, index->kinds[GT_INDEX_GOROUTINE],
		gt_format_size(index->bytes, memory));
	return NULL;
}

static void tell_address(const struct view_options *o, const struct gt_serve *server)
{
	char address[256], at[48] = "", goroutine[48] = "";

	if (o->at_given)
		snprintf(at, sizeof(at), "#t=%" PRIu64, o->at_ns);
	if (o->goroutine)
		snprintf(goroutine, sizeof(goroutine), "%cg=%" PRIu64, o->at_given ? '&' : '#', o->goroutine);
	snprintf(address, sizeof(address), "%s%s%s", gt_serve_address(server), at, goroutine);
	printf("%s\n", address);
	fflush(stdout);
	if (!o->no_open && isatty(STDOUT_FILENO))
		open_browser(address);
}

static int view(const struct view_options *o, struct gt_index *index)
{
	struct gt_serve_config config = {
		.index = index,
		.findings = gt_findings_new(o->file),
		.title = o->file,
		.port = o->port,
		.perfetto = write_perfetto,
		.context = (void *)(uintptr_t)o,
	};
	struct reading reading = {.o = o, .index = index};
	struct gt_serve *server;
	struct gt_error err;
	pthread_t thread;
	sigset_t ends;
	int number, ret;

	/* Before any thread is made: it inherits the mask. */
	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGHUP);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	signal(SIGCHLD, SIG_IGN);
	if (gt_serve_start(&config, &server, &err) < 0)
		return gt_die(GT_EXIT_FAILURE, &err);
	tell_address(o, server);
	ret = pthread_create(&thread, NULL, read_trace, &reading);
	if (ret)
		read_trace(&reading);
	sigwait(&ends, &number);
	gt_index_stop(index);
	if (!ret)
		pthread_join(thread, NULL);
	gt_serve_stop(server);
	gt_findings_free(config.findings);
	return reading.ret < 0 && reading.ret != -ECANCELED ? GT_EXIT_FAILURE : 0;
}

int gt_cmd_view(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.args_doc = "FILE",
		.doc = "Shows a trace in the browser: a row a goroutine, P, M and CPU, what each waited for and who "
		       "woke it. Prints the "
		       "address, which begins with a random word and is answered to this machine only; nothing is sent "
		       "anywhere."
		       "\vEnds on Ctrl-C.\n\nExamples:\n  gtrace view app.gtrace\n  gtrace view --at 1.25s app.gtrace",
	};
	struct view_options o = {.memory_bytes_max = 4ull << 30};
	struct gt_index_config config;
	struct gt_index *index;
	struct gt_trace *trace;
	struct gt_error err;
	int ret;

	argp_err_exit_status = GT_EXIT_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, &o);
	config = (struct gt_index_config){
		.bytes_max = o.memory_bytes_max, .progress = isatty(STDERR_FILENO) ? progress : NULL};
	if (gt_trace_open(o.file, &trace, &err) < 0)
		return gt_die(GT_EXIT_FAILURE, &err);
	if (gt_index_new(trace, &config, &index, &err) < 0) {
		gt_trace_close(trace);
		return gt_die(GT_EXIT_FAILURE, &err);
	}
	ret = view(&o, index);
	gt_index_free(index);
	gt_trace_close(trace);
	return ret;
}
