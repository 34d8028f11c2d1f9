/* convert.c - a trace on its way to the client in another format: file --a thread that reads and converts--> pipe --> client. */
#include "runtime/debug/convert.h"
#include "format/convert/perfetto.h"

#include <errno.h>
#include <fcntl.h>
#include <gtrace/go.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct gt__trace_format *gt__trace_format(const char *name)
{
	static const struct gt__trace_format formats[] = {
		{"perfetto", "trace.pftrace", "application/octet-stream", gt_convert_perfetto},
		{"chrome", "trace.json", "application/json", gt_convert_chrome},
		{"json", "trace.json", "application/json", gt_convert_chrome},
	};

	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (strcmp(formats[i].name, name) == 0)
			return &formats[i];
	return NULL;
}

int gt__trace_file(void)
{
	const char *folder = getenv("TMPDIR");
	char path[4096];
	int fd;

	if (!folder || !*folder)
		folder = "/tmp";
	fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd >= 0)
		return fd;
	if (snprintf(path, sizeof(path), "%s/gtrace-XXXXXX", folder) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	unlink(path);
	return fd;
}

int gt__trace_to_file(void *context, const void *bytes, size_t size)
{
	int fd = *(int *)context;
	const char *at = bytes;

	while (size) {
		ssize_t done = write(fd, at, size);

		if (done > 0) {
			at += done;
			size -= (size_t)done;
		} else if (done == 0 || errno != EINTR) {
			return done ? -errno : -EIO;
		}
	}
	return 0;
}

struct job {
	const struct gt__trace_format *format;
	int from, to;
	int ret;
	struct gt_error err;
};

static void *run(void *arg)
{
	struct job *job = arg;
	struct gt_convert_options options = GT_CONVERT_OPTIONS_DEFAULT;
	struct gt_trace *trace;
	struct gt_sink sink;
	char path[64];
	int closed;

	options.object = true;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", job->from);
	job->ret = gt_trace_open(path, &trace, &job->err);
	if (job->ret == 0) {
		job->ret = gt_sink_open_fd(&sink, job->to, "the client");
		if (job->ret == 0) {
			job->ret = job->format->convert(trace, &sink, &options, &job->err);
			closed = gt_sink_close(&sink, NULL, NULL, &job->err);
			if (job->ret == 0)
				job->ret = closed;
		}
		gt_trace_close(trace);
	}
	/* Whoever reads the pipe sees the end, and then comes for the result. */
	close(job->to);
	return NULL;
}

static int start(struct job *job, pthread_t *thread)
{
	sigset_t all, before;
	int ret;

	/* The program's signals are not for that thread; nor is the one of a pipe that nobody reads any more. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	ret = pthread_create(thread, NULL, run, job);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -ret;
}

static int join(struct job *job, pthread_t thread)
{
	gt_syscall_enter();
	pthread_join(thread, NULL);
	gt_syscall_exit();
	return job->ret;
}

void gt__send_converted(struct gt__conn *conn, const struct gt__trace_format *format, int file, bool whole)
{
	struct job *job = calloc(1, sizeof(*job));
	char fields[128], *part = malloc(GT__PART_BYTES), why[700];
	int fds[2] = {-1, -1}, ret = -ENOMEM;
	struct gt_fd *from = NULL;
	pthread_t thread;
	ssize_t got;

	if (job && part)
		ret = pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0 ? -errno : gt_fd_new(fds[0], &from);
	if (ret == 0) {
		*job = (struct job){.format = format, .from = file, .to = fds[1]};
		fcntl(fds[1], F_SETPIPE_SZ, 1 << 20);
		ret = start(job, &thread);
	}
	if (ret < 0) {
		snprintf(why, sizeof(why), "Could not convert the trace: %s", strerror(-ret));
		gt__conn_error(conn, 500, why);
		if (from)
			gt_fd_close(from);
		else if (fds[0] >= 0)
			close(fds[0]);
		if (fds[1] >= 0)
			close(fds[1]);
		goto out;
	}
	/* The first bytes tell whether there is anything to send. */
	got = gt_fd_read(from, part, GT__PART_BYTES);
	if (got > 0) {
		snprintf(fields, sizeof(fields), "Content-Disposition: attachment; filename=\"%s\"\r\n", format->file);
		gt__conn_begin(conn, format->type, fields);
		do
			gt__conn_write(conn, part, (size_t)got);
		while (!conn->broken && (got = gt_fd_read(from, part, GT__PART_BYTES)) > 0);
		/* Of a client that went: the thread gets EPIPE. */
		gt_fd_close(from);
		gt__conn_end(conn, join(job, thread) == 0 && whole);
	} else {
		gt_fd_close(from);
		join(job, thread);
		snprintf(why, sizeof(why), "Could not convert the trace: %s",
			job->ret < 0 ? job->err.text : "it is empty");
		gt__conn_error(conn, 500, why);
	}
out:
	free(part);
	free(job);
}
